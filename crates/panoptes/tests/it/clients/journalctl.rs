//! The journal through a `journalctl` that the test plays, and through the real one's formats.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use panoptes_testkit::{Server, wait_until};

use crate::support::{LIMIT, binary, events};

/// Prints the entries after the cursor that it is given, of ten lines each, and goes on with those that come.
const JOURNALCTL: &str = r#"#!/bin/sh
after=0
for argument in "$@"; do
    case "$argument" in
        --version) exit 0 ;;
        --after-cursor=*) after="${argument#--after-cursor=s=1;i=}"; after="${after%%;*}" ;;
        --lines=1) exit 0 ;;
    esac
done
echo "$after" >>"JOURNAL/calls"
exec tail -n "+$((after * 10 + 1))" -F "JOURNAL/entries" 2>/dev/null
"#;

fn put(journal: &Path, number: usize) {
    let entry = format!(
        "__CURSOR=s=1;i={number};t=f4240\n__REALTIME_TIMESTAMP=17053146{number:02}000000\n_BOOT_ID=b\n_HOSTNAME=web1\n\
         PRIORITY=6\nSYSLOG_IDENTIFIER=sshd\n_PID=42\n_SYSTEMD_UNIT=ssh.service\n\
         MESSAGE=Failed password for user{number} from 203.0.113.9 port 22 ssh2\n\n"
    );
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(journal.join("entries")).unwrap();
    std::io::Write::write_all(&mut file, entry.as_bytes()).unwrap();
}

fn users(server: &Server) -> Vec<String> {
    let mut users: Vec<_> = events(server, "panoptes.input:journald")
        .iter()
        .map(|it| it["user.name"].as_str().unwrap_or_default().to_owned())
        .collect();
    users.sort();
    users
}

#[test]
fn the_journal_is_followed_across_a_crash_and_a_stop_without_loss_or_doubles() {
    let folder = tempfile::tempdir().unwrap();
    let (programs, journal) = (folder.path().join("bin"), folder.path().join("journal"));
    std::fs::create_dir_all(&programs).unwrap();
    std::fs::create_dir_all(&journal).unwrap();
    let script = programs.join("journalctl");
    std::fs::write(&script, JOURNALCTL.replace("JOURNAL", &journal.display().to_string())).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let config = "files = []\n[journald]\nenabled = true\nstart = \"beginning\"\n[store]\nsegment_seconds_max = 1\n";
    let mut server = Server::of(binary()).config(config).env("PATH", path).start();
    let arrives = |server: &Server, count: usize| {
        wait_until(LIMIT, "entries", || Some(users(server)).filter(|it| it.len() >= count))
    };
    put(&journal, 1);
    put(&journal, 2);
    assert_eq!(arrives(&server, 2), ["user1", "user2"]);
    let event = &events(&server, "user1")[0];
    for (field, value) in [
        ("event.action", "ssh_login"),
        ("source.ip", "203.0.113.9"),
        ("host.name", "web1"),
        ("systemd.unit", "ssh.service"),
    ] {
        assert_eq!(event[field], value, "{event}");
    }
    server.kill();
    put(&journal, 3);
    server.restart();
    assert_eq!(arrives(&server, 3), ["user1", "user2", "user3"]);
    assert_eq!(server.stop(), Some(0));
    put(&journal, 4);
    server.restart();
    assert_eq!(arrives(&server, 4), ["user1", "user2", "user3", "user4"]);
    let calls = std::fs::read_to_string(journal.join("calls")).unwrap();
    assert_eq!(calls.lines().collect::<Vec<_>>(), ["0", "2", "3"]);
}
