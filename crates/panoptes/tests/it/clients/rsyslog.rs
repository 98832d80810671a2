//! rsyslog: forwarding over TCP and TLS, and `omelasticsearch`.

use std::path::{Path, PathBuf};
use std::process::Command;

use panoptes_testkit::{Server, free_port};

use super::{Client, all_stored, append, needed, nothing_is_lost_across_a_restart, program, server};

/// The program, if it has `module`.
fn rsyslogd(module: &str) -> Option<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu/rsyslog", "/usr/lib/aarch64-linux-gnu/rsyslog", "/usr/lib64/rsyslog"];
    let has_module = folders.iter().any(|it| Path::new(it).join(format!("{module}.so")).is_file());
    needed(&format!("rsyslogd with {module}"), program("rsyslogd").filter(|_| has_module))
}

/// rsyslog that reads the file `input` in `folder` and sends its lines by `action`.
fn start(rsyslogd: &Path, folder: &Path, globals: &str, action: &str) -> Client {
    let config = folder.join("rsyslog.conf");
    let folder_text = folder.display();
    std::fs::write(
        &config,
        format!(
            r#"global(workDirectory="{folder_text}" net.enableDNS="off" {globals})
module(load="imfile" mode="polling" pollingInterval="1")
module(load="omelasticsearch")
template(name="document" type="list" option.jsonf="on") {{
    property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
    property(outname="host.name" name="hostname" format="jsonf")
    property(outname="message" name="msg" format="jsonf")
}}
input(type="imfile" file="{folder_text}/input" tag="app:" facility="local0" ruleset="send")
ruleset(name="send") {{
    action({action} action.resumeRetryCount="-1" action.resumeInterval="1"
        queue.type="LinkedList" queue.dequeueBatchSize="100" queue.size="10000")
}}
"#
        ),
    )
    .unwrap();
    let mut command = Command::new(rsyslogd);
    command.arg("-n").arg("-f").arg(config).arg("-i").arg(folder.join("pid"));
    Client::start(&mut command, folder)
}

#[test]
fn rsyslog_forwards_lines_over_tcp() {
    let Some(rsyslogd) = rsyslogd("omelasticsearch") else { return };
    let (folder, server) = (tempfile::tempdir().unwrap(), server(""));
    let action = format!(
        r#"type="omfwd" target="127.0.0.1" port="{}" protocol="tcp" tcp_framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format""#,
        server.syslog().port()
    );
    append(&folder.path().join("input"), 0..1_000);
    let client = start(&rsyslogd, folder.path(), "", &action);
    assert!(all_stored(&server, Some(&client), 0..1_000).values().all(|it| *it == 1));
}

#[test]
fn rsyslog_forwards_lines_over_tls_to_whom_it_trusts() {
    let Some(rsyslogd) = rsyslogd("lmnsd_gtls") else { return };
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let server = server(&format!("[syslog]\ntls = \"127.0.0.1:{port}\""));
    let certificate = made_certificate(&server);
    let globals = format!(r#"defaultNetstreamDriverCAFile="{}""#, certificate.display());
    let action = format!(
        r#"type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" tcp_framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format"
        streamDriver="gtls" streamDriverMode="1" streamDriverAuthMode="x509/name" streamDriverPermittedPeers="localhost""#
    );
    append(&folder.path().join("input"), 0..1_000);
    let client = start(&rsyslogd, folder.path(), &globals, &action);
    assert!(all_stored(&server, Some(&client), 0..1_000).values().all(|it| *it == 1));
}

/// The self-signed certificate that the server made.
pub(super) fn made_certificate(server: &Server) -> PathBuf {
    server.key_file().parent().unwrap().join("tls/certificate.pem")
}

#[test]
fn rsyslogs_bulk_output_loses_nothing_across_a_restart() {
    let Some(rsyslogd) = rsyslogd("omelasticsearch") else { return };
    let (folder, mut server) = (tempfile::tempdir().unwrap(), server(""));
    let action = format!(
        r#"type="omelasticsearch" server="127.0.0.1" serverport="{}" template="document" searchIndex="rsyslog" searchType=""
        bulkmode="on" maxbytes="1m" errorFile="{}""#,
        server.http().port(),
        folder.path().join("errors").display()
    );
    let client = start(&rsyslogd, folder.path(), "", &action);
    nothing_is_lost_across_a_restart(&mut server, &client, &folder.path().join("input"));
    let errors = std::fs::read_to_string(folder.path().join("errors")).unwrap_or_default();
    assert_eq!(errors, "", "rsyslog understood every answer");
}
