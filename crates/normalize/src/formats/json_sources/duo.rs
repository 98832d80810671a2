//! Cisco Duo: the authentication log.

use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "Cisco Duo authentication",
    examples: &[(
        "cisco_duo.auth",
        r#"{"access_device":{"browser":"Chrome","hostname":null,"ip":"203.0.113.9","os":"Windows"},"application":{"key":"k","name":"VPN"},"auth_device":{"ip":"198.51.100.7","name":"phone"},"event_type":"authentication","factor":"duo_push","isotimestamp":"2024-01-15T10:30:00.123+00:00","reason":"user_marked_fraud","result":"fraud","timestamp":1705314600,"txid":"t","user":{"groups":["g"],"key":"u","name":"bob"}}"#,
    )],
    keys: &[mark::TXID.and(mark::FACTOR), mark::TXID.and(mark::ACCESS_DEVICE_IP)],
    read,
};

const MEANINGS: Meanings = Meanings::of(&[
    ("txid", "event.id"),
    ("event_type", "event.action"),
    ("eventtype", "event.action"),
    ("reason", "event.reason"),
    ("access_device.ip", "source.ip"),
    ("ip", "source.ip"),
    ("user.key", "user.id"),
    ("username", "user.name"),
    ("email", "user.email"),
    ("access_device.hostname", "source.domain"),
]);

fn read(fields: &mut Fields<'_, '_>) -> bool {
    fields.dataset("cisco_duo.auth");
    fields.time(&["isotimestamp", "timestamp"]);
    fields.mean(MEANINGS);
    let success = fields.is("result", "success");
    if fields.is_one_of("event_type", &["authentication"]) || fields.is_one_of("eventtype", &["authentication"]) {
        fields.login(success);
    }
    fields.outcome(success);
    true
}
