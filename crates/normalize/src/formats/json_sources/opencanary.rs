//! OpenCanary: what touched the honeypot.

use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "OpenCanary",
    examples: &[(
        "opencanary.events",
        r#"{"dst_host":"192.0.2.1","dst_port":22,"local_time":"2024-01-15 10:30:00.123456","local_time_adjusted":"2024-01-15 11:30:00.123456","logdata":{"USERNAME":"root","PASSWORD":"toor","REMOTEVERSION":"SSH-2.0-x"},"logtype":4002,"node_id":"canary-1","src_host":"203.0.113.9","src_port":50000,"utc_time":"2024-01-15 10:30:00.123456"}"#,
    )],
    keys: &[mark::LOGTYPE.and(mark::NODE_ID)],
    read,
};

const MEANINGS: Meanings = Meanings::of(&[
    ("logtype", "event.code"),
    ("src_host", "source.ip"),
    ("src_port", "source.port"),
    ("dst_host", "destination.ip"),
    ("dst_port", "destination.port"),
    ("node_id", "observer.name"),
    ("logdata.USERNAME", "user.name"),
    ("logdata.USERAGENT", "user_agent.original"),
    ("logdata.HOSTNAME", "url.domain"),
]);

/// The numbers that say of an attempt to log in: FTP, HTTP, SSH, MySQL, VNC, SMB, Telnet, MSSQL, HTTP proxy…
const LOGINS: &[i64] = &[2000, 3001, 4002, 6001, 7001, 8001, 9001, 9002, 12001];

fn read(fields: &mut Fields<'_, '_>) -> bool {
    let Some(number) = fields.number("logtype") else { return false };
    fields.dataset("opencanary.events");
    fields.time(&["utc_time", "local_time"]);
    fields.mean(MEANINGS);
    fields.url("logdata.PATH");
    if LOGINS.contains(&number) {
        fields.login(false);
    } else {
        fields.category("intrusion_detection", "info");
    }
    true
}
