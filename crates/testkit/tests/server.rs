//! The server of the end-to-end tests, against a stand-in.

use std::io::Read as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use panoptes_testkit::{Server, get, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_panoptes-testkit-pretend");

#[test]
fn a_started_server_is_ready_and_keeps_its_data_and_ports_over_a_kill() {
    let mut server = Server::of(BINARY).config("[limits]\n").arg("--alerts").arg("json").start();
    assert_eq!(get(server.http(), "/readyz").unwrap().status, 200);
    assert_eq!(server.stdout(), "start 1\n");
    assert!(!server.key_file().starts_with(server.data()));
    let (http, pid) = (server.http(), server.pid());
    server.kill();
    assert!(TcpStream::connect(http).is_err() && server.pid().is_none());
    server.restart();
    assert_eq!((server.stdout().as_str(), server.http()), ("start 2\n", http));
    assert_ne!(server.pid(), pid);
}

#[test]
fn a_server_that_is_dropped_is_gone() {
    let server = Server::start(BINARY);
    let mut connection = TcpStream::connect(server.http()).unwrap();
    let pid = server.pid().unwrap();
    drop(server);
    assert!(!Path::new(&format!("/proc/{pid}")).try_exists().unwrap());
    wait_until(Duration::from_secs(10), "its connections are closed", || {
        matches!(connection.read(&mut [0; 100]), Ok(0) | Err(_)).then_some(())
    });
}

#[test]
fn a_server_can_be_asked_to_stop() {
    let mut server = Server::start(BINARY);
    assert_eq!(server.stop(), None, "the stand-in knows no signals");
    assert_eq!(server.pid(), None);
}

#[test]
#[should_panic(expected = "the server did not become ready: it ended with Some(2); it said:\ncannot do that")]
fn a_server_that_ends_at_once_says_why() {
    Server::of(BINARY).arg("--fail").start();
}

#[test]
fn other_commands_work_on_the_same_data() {
    let server = Server::of(BINARY).config("x = 1\n").start();
    let output = server.command("scan").arg("x").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("--data {}", server.data().display())) && said.contains("--config "), "{said}");
}
