//! Juniper's Junos: `TAG: text`, from programs that only its devices have.

use panoptes_model::{BatchWriter, field};

use super::write_once;
use crate::address;
use crate::fact::{FAILURE, Fact, SUCCESS, write_dataset};

const DATASET: &str = "juniper.junos";

/// The programs of Junos. Its kernel has a slash in front of its name, as BSD's once had.
const PROGRAMS: [&str; 18] = [
    "/kernel", "rpd", "mgd", "chassisd", "dcd", "eventd", "jlaunchd", "alarmd", "craftd", "cosd", "kmd", "mib2d",
    "pfed", "ppmd", "bfdd", "l2cpd", "RT_FLOW", "RT_IDS",
];

pub(super) fn write(writer: &mut BatchWriter<'_>, program: &str, message: &str) -> bool {
    if !PROGRAMS.contains(&program) {
        return false;
    }
    // `UI_COMMIT: User 'bob' …`, `RT_FLOW_SESSION_DENY: …`
    let code = message.split_once(": ").map(|it| it.0).filter(|it| {
        (3..=64).contains(&it.len())
            && it.bytes().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_')
    });
    let quoted = |mark: &str| message.split_once(mark).and_then(|it| it.1.split_once('\'')).map_or("", |it| it.0);
    let change = |action| Fact { category: &["configuration"], kind: &["change"], action, outcome: None };
    match code {
        Some("UI_CMDLINE_READ_LINE" | "UI_JUNOSCRIPT_CMD" | "UI_NETCONF_CMD") => {
            change("device_command").write(writer, DATASET);
            write_once(writer, field::USER_NAME, quoted("ser '"));
            write_once(writer, field::PROCESS_COMMAND_LINE, quoted("command '"));
        }
        Some("UI_COMMIT" | "UI_COMMIT_COMPLETED" | "UI_CFG_AUDIT_SET" | "UI_CFG_AUDIT_OTHER" | "UI_LOAD_EVENT") => {
            change("device_configured").write(writer, DATASET);
            write_once(writer, field::USER_NAME, quoted("ser '"));
        }
        Some("UI_LOGIN_EVENT" | "UI_AUTH_EVENT") => {
            Fact::authentication(&["start"], "device_login", SUCCESS).write(writer, DATASET);
            write_once(writer, field::USER_NAME, quoted("ser '"));
            address::write_source(writer, quoted("ssh-connection '").split(' ').next().unwrap_or(""), None);
        }
        Some("UI_LOGIN_FAILED" | "UI_AUTH_INVALID_CHALLENGE" | "LOGIN_FAILED") => {
            Fact::authentication(&["start"], "device_login", FAILURE).write(writer, DATASET);
            write_once(writer, field::USER_NAME, quoted("ser '"));
        }
        _ => {
            write_dataset(writer, DATASET);
            if let Some((address, port)) = address::find_introduced(message) {
                writer.ip(field::SOURCE_IP, address);
                if let Some(port) = port {
                    writer.integer(field::SOURCE_PORT, i64::from(port));
                }
            }
        }
    }
    if let Some(code) = code {
        writer.text(field::EVENT_CODE, code);
    }
    writer.text(field::MESSAGE, message);
    true
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::value;

    #[test]
    fn programs_of_junos_are_known() {
        let kernel = "<187>Jan 15 10:30:00 mx1 /kernel: tcp_auth_ok: Packet from 203.0.113.9:179 missing MD5 digest";
        assert_eq!(
            (value(kernel, "event.dataset"), value(kernel, "source.ip")),
            ("juniper.junos".into(), "203.0.113.9".into())
        );
        let command =
            "<189>Jan 15 10:30:00 mx1 mgd[77]: UI_CMDLINE_READ_LINE: User 'bob', command 'delete system syslog '";
        assert_eq!(
            (value(command, "user.name"), value(command, "event.code")),
            ("bob".into(), "UI_CMDLINE_READ_LINE".into())
        );
        assert_eq!(value(command, "process.command_line"), "delete system syslog ");
        let login = "<189>Jan 15 10:30:00 mx1 mgd[77]: UI_LOGIN_EVENT: User 'bob' login, class 'j-super-user' [77], ssh-connection '203.0.113.9 4711 192.0.2.1 22', client-mode 'cli'";
        assert_eq!(
            (value(login, "source.ip"), value(login, "event.outcome")),
            ("203.0.113.9".into(), "success".into())
        );
        assert_eq!(value("<13>Jan 15 10:30:00 h kernel: x", "event.dataset"), "linux.syslog");
    }
}
