//! `logger` of util-linux.

use std::process::Command;

use panoptes_testkit::{Server, wait_until};

use super::{needed, program, server};
use crate::support::{LIMIT, events};

fn arrives(server: &Server, query: &str, field: &str, value: &str) {
    let found = wait_until(LIMIT, query, || events(server, query).into_iter().next());
    assert_eq!(found[field], value, "{found}");
    assert_eq!(found["log.syslog.appname"], "sshd", "{found}");
    assert_eq!(found["source.ip"], "203.0.113.9", "{found}");
}

#[test]
fn logger_reaches_every_form_of_syslog() {
    let Some(logger) = needed("logger", program("logger")) else { return };
    let server = server("");
    for (query, input, options) in [
        ("nine1", "syslog_udp", &["--udp", "--rfc3164"][..]),
        ("nine2", "syslog_udp", &["--udp", "--rfc5424"]),
        ("nine3", "syslog_tcp", &["--tcp", "--rfc5424", "--octet-count"]),
        ("nine4", "syslog_tcp", &["--tcp", "--rfc3164"]),
    ] {
        let mut command = Command::new(&logger);
        command.args(["--server", "127.0.0.1", "--port", &server.syslog().port().to_string()]);
        command.args(options).args(["--priority", "authpriv.info", "--tag", "sshd"]);
        let status =
            command.arg(format!("Failed password for {query} from 203.0.113.9 port 22 ssh2")).status().unwrap();
        assert!(status.success(), "{command:?}");
        arrives(&server, query, "panoptes.input", input);
    }
}
