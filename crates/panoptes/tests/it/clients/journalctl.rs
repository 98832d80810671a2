//! The journal through a `journalctl` that the test plays, and through the real one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use panoptes_testkit::{Server, wait_until};

use super::{needed, program};
use crate::support::{LIMIT, binary, events, output_of};

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

/// The program that makes journals of exports: where systemd has it, or where `PANOPTES_JOURNAL_REMOTE` says.
fn journal_remote() -> Option<PathBuf> {
    let named = std::env::var_os("PANOPTES_JOURNAL_REMOTE").map(PathBuf::from);
    let usual = ["/lib/systemd", "/usr/lib/systemd"].map(|it| Path::new(it).join("systemd-journal-remote"));
    named.into_iter().chain(usual).find(|it| it.is_file())
}

/// Adds entries with these numbers to the journal in `folder`.
fn write_journal(remote: &Path, folder: &Path, numbers: std::ops::RangeInclusive<usize>) {
    let mut export = Vec::new();
    for number in numbers {
        let message = format!("Failed password for user{number} from 203.0.113.9 port 22 ssh2");
        let head = format!(
            "__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={number}000\n_BOOT_ID=0123456789abcdef0123456789abcdef\n\
             _HOSTNAME=web1\nSYSLOG_IDENTIFIER=sshd\n_PID=42\nNOTE\n",
            1_705_314_600_000_000 + number * 1_000
        );
        export.extend_from_slice(head.as_bytes());
        let note = b"two\nlines \xe9";
        export.extend_from_slice(&(note.len() as u64).to_le_bytes());
        export.extend_from_slice(note);
        export.extend_from_slice(format!("\nMESSAGE={message}\n\n").as_bytes());
    }
    let file = folder.join("export");
    std::fs::write(&file, export).unwrap();
    output_of(Command::new(remote).arg("-o").arg(folder.join("test.journal")).arg(file));
}

#[test]
fn the_real_journalctl_goes_on_where_it_was() {
    let Some(_) = needed("journalctl", program("journalctl")) else { return };
    let Some(remote) = needed("systemd-journal-remote", journal_remote()) else { return };
    let journal = tempfile::tempdir().unwrap();
    write_journal(&remote, journal.path(), 1..=4);
    let config = format!(
        "files = []\n[journald]\nenabled = true\nstart = \"beginning\"\narguments = [\"--directory={}\"]\n[store]\nsegment_seconds_max = 1\n",
        journal.path().display()
    );
    let mut server = Server::of(binary()).config(&config).start();
    let arrives = |server: &Server, count: usize| {
        wait_until(LIMIT, "entries", || Some(users(server)).filter(|it| it.len() >= count))
    };
    assert_eq!(arrives(&server, 4), ["user1", "user2", "user3", "user4"]);
    assert_eq!(events(&server, "user1")[0]["NOTE"], "two\nlines \u{fffd}");
    server.kill();
    write_journal(&remote, journal.path(), 5..=6);
    server.restart();
    assert_eq!(arrives(&server, 6), ["user1", "user2", "user3", "user4", "user5", "user6"]);
    write_journal(&remote, journal.path(), 7..=7);
    assert_eq!(arrives(&server, 7).len(), 7);
    assert_eq!(server.stop(), Some(0));
}
