//! The systemd journal, as `journalctl -o json` prints its entries and our own input hands them on.
//!
//! The names with a leading underscore are the journal's word for who wrote the entry; the others are the writer's
//! own. What the program says is read as if it had come through syslog.

use panoptes_model::Value;

use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "the systemd journal",
    examples: &[
        (
            "linux.sshd",
            r#"{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1705314600123456","_BOOT_ID":"b1","_TRANSPORT":"syslog","PRIORITY":"6","SYSLOG_FACILITY":"10","SYSLOG_IDENTIFIER":"sshd","_PID":"42","_UID":"0","_COMM":"sshd","_EXE":"/usr/sbin/sshd","_CMDLINE":"sshd: root [priv]","_SYSTEMD_UNIT":"ssh.service","_HOSTNAME":"web1","_MACHINE_ID":"m1","MESSAGE":"Failed password for bob from 203.0.113.9 port 50000 ssh2"}"#,
        ),
        (
            "linux.syslog",
            r#"{"__REALTIME_TIMESTAMP":"1705314600123456","_BOOT_ID":"b1","_HOSTNAME":"web1","_COMM":"backup","_PID":"43","MESSAGE":[98,97,99,107,117,112,32,111,102,32,99,97,102,233]}"#,
        ),
    ],
    keys: &[mark::JOURNAL_TIME, mark::JOURNAL_BOOT.and(mark::JOURNAL_MESSAGE)],
    read,
};

/// Who wrote it.
const WRITER: Meanings = Meanings::of(&[
    ("_MACHINE_ID", "host.id"),
    ("_BOOT_ID", "host.boot.id"),
    ("_SYSTEMD_UNIT", "systemd.unit"),
    ("_SYSTEMD_USER_UNIT", "systemd.unit"),
    ("CONTAINER_NAME", "container.name"),
    ("CONTAINER_ID_FULL", "container.id"),
    ("IMAGE_NAME", "container.image.name"),
]);

/// About its process, unless the message is about another.
const PROCESS: Meanings = Meanings::of(&[
    ("_EXE", "process.executable"),
    ("_CMDLINE", "process.command_line"),
    ("_UID", "process.user.id"),
    ("_GID", "process.group.id"),
]);

fn read(fields: &mut Fields<'_, '_>) -> bool {
    let Some(message) = message(fields) else { return false };
    // The writer's own time, if it stated one: the journal's is when it arrived there.
    fields.time(&["_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"]);
    fields.mean(WRITER);
    let host = fields.text("_HOSTNAME").map(str::to_owned);
    let name = ["SYSLOG_IDENTIFIER", "_COMM"].iter().find_map(|it| fields.text(it).map(str::to_owned));
    // What syslog was told may be another process than the one that told it.
    let pid = ["SYSLOG_PID", "_PID"].iter().find_map(|it| fields.text(it).map(str::to_owned));
    let severity = fields.number("PRIORITY").and_then(|it| u8::try_from(it).ok());
    let facility = fields.number("SYSLOG_FACILITY").and_then(|it| u8::try_from(it).ok());
    fields.syslog(host.as_deref(), name.as_deref(), pid.as_deref(), facility.zip(severity), &message);
    if let (None, Some(word)) = (facility, severity.and_then(|it| crate::level::of_number(i64::from(it)))) {
        fields.set("log.level", word);
    }
    fields.mean(PROCESS);
    fields.dataset("linux.syslog");
    true
}

/// What the entry says. A message that is not plain text comes as the numbers of its bytes; one that is too long for
/// `journalctl` comes as null.
fn message(fields: &mut Fields<'_, '_>) -> Option<String> {
    match fields.value("MESSAGE")? {
        Value::Text(text) => Some(text.trim_end().to_owned()),
        Value::List(list) => {
            let byte = |it| if let Value::Integer(number) = it { u8::try_from(number).ok() } else { None };
            let bytes: Option<Vec<u8>> = list.iter().map(byte).collect();
            Some(match bytes {
                Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                // The field came several times.
                None => Value::List(list).to_text().into_owned(),
            })
        }
        Value::Null => Some(String::new()),
        other => Some(other.to_text().into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::KIND;
    use crate::formats::tests::{check, value};

    #[test]
    fn an_entry_is_read_as_its_program_says_it_through_syslog() {
        check(
            KIND.examples[0].1,
            expect![[r#"
            2024-01-15T10:30:00.123456Z
            __CURSOR: s=1;i=2
            __REALTIME_TIMESTAMP: 1705314600123456
            _BOOT_ID: b1
            _TRANSPORT: syslog
            PRIORITY: 6
            SYSLOG_FACILITY: 10
            SYSLOG_IDENTIFIER: sshd
            _PID: 42
            _UID: 0
            _COMM: sshd
            _EXE: /usr/sbin/sshd
            _CMDLINE: sshd: root [priv]
            _SYSTEMD_UNIT: ssh.service
            _HOSTNAME: web1
            _MACHINE_ID: m1
            MESSAGE: Failed password for bob from 203.0.113.9 port 50000 ssh2
            host.id: m1
            host.boot.id: b1
            systemd.unit: ssh.service
            host.name: web1
            log.syslog.hostname: web1
            log.syslog.facility.code: 10
            log.syslog.facility.name: authpriv
            log.syslog.severity.code: 6
            log.syslog.severity.name: info
            log.level: info
            log.syslog.appname: sshd
            process.name: sshd
            process.pid: 42
            event.kind: event
            event.dataset: linux.sshd
            event.category: authentication
            event.type: start
            event.action: ssh_login
            event.outcome: failure
            user.name: bob
            source.ip: 203.0.113.9
            source.port: 50000
            ssh.method: password
            message: Failed password for bob from 203.0.113.9 port 50000 ssh2
            process.executable: /usr/sbin/sshd
            process.command_line: sshd: root [priv]
            process.user.id: 0
            panoptes.format: json
        "#]],
        );
    }

    #[test]
    fn messages_come_in_many_shapes() {
        let entry = |more: &str| format!(r#"{{"__REALTIME_TIMESTAMP":"1705314600123456",{more}}}"#);
        assert_eq!(value(KIND.examples[1].1, "message"), "backup of caf\u{fffd}");
        let sudo = entry(
            r#""SYSLOG_IDENTIFIER":"sudo","_EXE":"/usr/bin/sudo","_CMDLINE":"sudo id","MESSAGE":"     bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/usr/bin/id""#,
        );
        assert_eq!(value(&sudo, "event.dataset"), "linux.sudo");
        assert_eq!(value(&sudo, "process.command_line"), "/usr/bin/id", "what was run, not sudo itself");
        let kernel = entry(
            r#""_TRANSPORT":"kernel","SYSLOG_IDENTIFIER":"kernel","PRIORITY":"4","MESSAGE":"[UFW BLOCK] IN=eth0 OUT= MAC= SRC=203.0.113.9 DST=192.0.2.1 LEN=40 PROTO=TCP SPT=4711 DPT=22""#,
        );
        assert_eq!(
            (value(&kernel, "source.ip").as_str(), value(&kernel, "log.level").as_str()),
            ("203.0.113.9", "warning")
        );
        let audit = entry(
            r#""_TRANSPORT":"audit","SYSLOG_IDENTIFIER":"audit","_AUDIT_TYPE_NAME":"USER_CMD","MESSAGE":"USER_CMD pid=42 uid=1000 auid=1000 msg='cwd=\"/root\" cmd=6C73 terminal=pts/0 res=success'""#,
        );
        assert_eq!(value(&audit, "process.command_line"), "ls");
        let json =
            entry(r#""SYSLOG_IDENTIFIER":"app","MESSAGE":"{\"level\":\"error\",\"client_ip\":\"203.0.113.9\"}""#);
        assert_eq!(value(&json, "source.ip"), "203.0.113.9");
        for other in [r#""MESSAGE":null"#, r#""MESSAGE":["a","b"]"#, r#""MESSAGE":7,"PRIORITY":"999","_PID":"x""#] {
            assert_eq!(value(&entry(other), "event.dataset"), "linux.syslog", "{other}");
        }
        assert_eq!(value(&entry(r#""a":1"#), "event.dataset"), "json", "no message, no entry");
        let bad = r#"{"__REALTIME_TIMESTAMP":"soon","MESSAGE":"x"}"#;
        assert_eq!(value(bad, "panoptes.anomaly"), "time_missing,time_invalid");
    }

    #[test]
    fn the_writers_own_time_counts() {
        let entry = r#"{"__REALTIME_TIMESTAMP":"1705314600123456","_SOURCE_REALTIME_TIMESTAMP":"1705314599000001","MESSAGE":"x"}"#;
        assert_eq!(value(entry, "@timestamp"), "2024-01-15T10:29:59.000001Z");
    }
}
