//! syslog-ng: forwarding over TLS, and `elasticsearch-http()`.

use std::path::{Path, PathBuf};
use std::process::Command;

use panoptes_testkit::free_port;

use super::rsyslog::made_certificate;
use super::{Client, all_stored, append, needed, nothing_is_lost_across_a_restart, program, server};

/// Where syslog-ng is: beside the rest of the system, or, because Debian has it only instead of rsyslog, unpacked in
/// the folder that `PANOPTES_SYSLOG_NG` names.
struct SyslogNg {
    root: PathBuf,
    program: PathBuf,
    /// Below which its modules are.
    libraries: PathBuf,
}

fn syslog_ng() -> Option<SyslogNg> {
    let unpacked = std::env::var_os("PANOPTES_SYSLOG_NG").map(PathBuf::from);
    let program = match &unpacked {
        Some(root) => Some(root.join("usr/sbin/syslog-ng")).filter(|it| it.is_file()),
        None => program("syslog-ng"),
    };
    let root = unpacked.unwrap_or_else(|| PathBuf::from("/"));
    let libraries = root.join("usr/lib/syslog-ng");
    needed("syslog-ng", program.map(|program| SyslogNg { root, program, libraries }))
}

impl SyslogNg {
    /// syslog-ng that reads the file `input` in `folder` and sends its lines to `destination`.
    fn start(&self, folder: &Path, destination: &str) -> Client {
        let config = folder.join("syslog-ng.conf");
        let bulk = self.root.join("usr/share/syslog-ng/include/scl/elasticsearch/elastic-http.conf");
        let text = format!(
            r#"@version: 3.35
@include "{}"
options {{ keep-hostname(yes); stats-freq(0); time-reopen(1); }};
source s {{ file("{}/input" follow-freq(1) flags(no-parse) program-override("app")); }};
destination d {{ {destination} }};
log {{ source(s); destination(d); flags(flow-control); }};
"#,
            bulk.display(),
            folder.display()
        );
        std::fs::write(&config, text).unwrap();
        let modules = std::fs::read_dir(&self.libraries).unwrap().flatten().map(|it| it.path());
        let modules = modules.filter(|it| it.is_dir()).max().expect("there are modules");
        let libraries = self.root.join("usr/lib/x86_64-linux-gnu");
        let mut command = Command::new(&self.program);
        command.env("LD_LIBRARY_PATH", format!("{}:{}", libraries.display(), self.libraries.display()));
        command.args(["--foreground", "--no-caps", "--stderr"]).arg("--module-path").arg(modules);
        for (option, name) in [
            ("--cfgfile", "syslog-ng.conf"),
            ("--persist-file", "persist"),
            ("--pidfile", "pid"),
            ("--control", "control"),
        ] {
            command.arg(option).arg(folder.join(name));
        }
        Client::start(&mut command, folder)
    }
}

#[test]
fn syslog_ng_forwards_lines_over_tls_to_whom_it_trusts() {
    let Some(syslog_ng) = syslog_ng() else { return };
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let server = server(&format!("[syslog]\ntls = \"127.0.0.1:{port}\""));
    let destination = format!(
        r#"syslog("localhost" port({port}) ip-protocol(4) transport("tls") tls(ca-file("{}") peer-verify(required-trusted)));"#,
        made_certificate(&server).display()
    );
    append(&folder.path().join("input"), 0..1_000);
    let client = syslog_ng.start(folder.path(), &destination);
    assert!(all_stored(&server, Some(&client), 0..1_000).values().all(|it| *it == 1));
}

#[test]
fn syslog_ngs_bulk_output_loses_nothing_across_a_restart() {
    let Some(syslog_ng) = syslog_ng() else { return };
    let (folder, mut server) = (tempfile::tempdir().unwrap(), server(""));
    let destination = format!(
        r#"elasticsearch-http(url("http://{}/_bulk") index("syslog-ng") type("") batch-lines(100) batch-timeout(500) workers(2)
            template("$(format-json message=${{MESSAGE}} host.name=${{HOST}} @timestamp=${{ISODATE}})"));"#,
        server.http()
    );
    let client = syslog_ng.start(folder.path(), &destination);
    nothing_is_lost_across_a_restart(&mut server, &client, &folder.path().join("input"));
}
