//! Bitbucket (Data Center and Server): the audit log.

use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "Bitbucket audit",
    examples: &[(
        "bitbucket.audit",
        r#"{"affectedObjects":[{"id":"1","name":"shop","type":"REPOSITORY"}],"auditType":{"action":"Repository deleted","actionI18nKey":"x","area":"LOCAL_CONFIG_AND_ADMINISTRATION","category":"Repositories","level":"BASE"},"author":{"id":"7","name":"bob","type":"NORMAL"},"changedValues":[],"method":"Browser","node":"n1","source":"203.0.113.9","system":"https://git.example.com","timestamp":{"epochSecond":1705314600,"nano":123000000}}"#,
    )],
    keys: &[mark::AUDIT_TYPE_ACTION],
    read,
};

const MEANINGS: Meanings = Meanings::of(&[
    ("auditType.action", "event.action"),
    ("author.name", "user.name"),
    ("author.id", "user.id"),
    ("source", "source.ip"),
    ("system", "url.original"),
    ("node", "host.name"),
]);

fn read(fields: &mut Fields<'_, '_>) -> bool {
    if !fields.has("auditType.category") {
        return false;
    }
    fields.dataset("bitbucket.audit");
    if let (Some(seconds), nano) = (fields.number("timestamp.epochSecond"), fields.number("timestamp.nano")) {
        fields.time_of_epoch(seconds, nano.unwrap_or(0));
    }
    fields.time(&["timestamp", "time"]);
    fields.mean(MEANINGS);
    if fields.is_one_of("auditType.action", &["User login failed", "User login failed(SSH)"]) {
        fields.login(false);
    }
    fields.spread("affectedObjects");
    fields.spread("changedValues");
    true
}
