//! Nothing in the data folder can be read without the key.

use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use panoptes_testkit::{post, traces, wait_until};

use crate::support::{events, failed_login, server};

/// Words that were sent in and stand nowhere else.
const MARKERS: [&str; 6] = ["xylophage", "qwertzmarker", "zugzwanger", "203.0.113.77", "secretuser", "marker-source"];

#[test]
fn the_data_folder_holds_no_readable_word_page_or_frame() {
    let mut server = server();
    let mut body = String::new();
    for n in 0..20_000 {
        body.push_str(&format!(
            "{{\"level\":\"info\",\"message\":\"xylophage number {n}\",\"user\":\"secretuser\",\"ip\":\"203.0.113.77\"}}\n"
        ));
    }
    let posted = post(server.http(), "/logs?source=marker-source", "application/x-ndjson", body.as_bytes()).unwrap();
    assert_eq!(posted.status, 200, "{}", posted.body);
    let guesses: String = (0..8).map(|_| failed_login("203.0.113.77", "secretuser", "") + "\n").collect();
    TcpStream::connect(server.tcp()).and_then(|mut it| it.write_all(guesses.as_bytes())).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(b"<34>Oct 11 22:14:15 h su: qwertzmarker", server.syslog()).unwrap();
    TcpStream::connect(server.syslog())
        .and_then(|mut it| it.write_all(b"<34>Oct 11 22:14:15 h su: zugzwanger\n"))
        .unwrap();
    for word in ["qwertzmarker", "zugzwanger", "secretuser"] {
        wait_until(Duration::from_secs(30), word, || (!events(&server, word).is_empty()).then_some(()));
    }
    // While it runs there is the log; after a while there are segments; after the end, a checkpoint.
    let data = server.data();
    let look = |when: &str| {
        let found = traces_below(&data);
        assert!(found.is_empty(), "{when}: {found:?}");
    };
    look("running");
    wait_until(Duration::from_secs(30), "a segment", || {
        look("sealing");
        (!has_no_files(&server.data().join("segments"))).then_some(())
    });
    assert_eq!(server.stop(), Some(0));
    look("stopped");
    for part in ["log", "segments"] {
        assert!(!has_no_files(&server.data().join(part)), "the test needs something in {part}");
    }
}

/// Files come and go while the server runs: one that went away held nothing.
fn traces_below(folder: &Path) -> Vec<(PathBuf, traces::Trace)> {
    loop {
        match traces::readable_traces_in(folder, &MARKERS) {
            Ok(found) => return found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn has_no_files(folder: &Path) -> bool {
    std::fs::read_dir(folder).map_or(true, |mut it| it.next().is_none())
}

/// The search for traces must be able to find them, or the test above says nothing.
#[test]
fn the_same_search_finds_everything_when_nothing_is_sealed() {
    let text = "xylophage and 203.0.113.77\n".repeat(100);
    let page = [&b"PAR1"[..], text.as_bytes(), b"PAR1"].concat();
    for bytes in [text.clone().into_bytes(), zstd::encode_all(text.as_bytes(), 3).unwrap(), page] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("evidence"), bytes).unwrap();
        assert!(!traces_below(folder.path()).is_empty());
    }
}
