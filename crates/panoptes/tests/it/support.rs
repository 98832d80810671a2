//! What the tests of the binary share.

use std::path::Path;
use std::process::{Command, Output};

use panoptes_testkit::Server;
use serde_json::Value;

/// How long a test waits for what must come.
pub(crate) const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_panoptes"))
}

/// A server that follows no files of this machine and seals early, so that a short test meets every stage.
pub(crate) fn server() -> Server {
    Server::of(binary())
        .config(
            "files = []\n[store]\nsegment_bytes_max = 1048576\nsegment_seconds_max = 1\nlog_file_bytes_max = 1048576\nquery_bytes_max = 1073741824\n",
        )
        .start()
}

/// The standard output of a command that must succeed.
#[track_caller]
pub(crate) fn output_of(command: &mut Command) -> String {
    let output = command.output().expect("the binary starts");
    assert!(output.status.success(), "{command:?} failed:\n{}", text(&output));
    String::from_utf8(output.stdout).expect("output is text")
}

/// What a command that must fail says; it must not have panicked.
#[track_caller]
pub(crate) fn complaint_of(command: &mut Command) -> String {
    let output = command.output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(2), "{command:?} should have ended with 2:\n{}", text(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked"), "{said}");
    said
}

pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// All alerts that the server's data folder holds.
pub(crate) fn alerts(server: &Server) -> Vec<Value> {
    json_lines(&output_of(server.command("alerts").args(["list", "--all", "--format", "jsonl", "--limit", "10000"])))
}

/// All events that match.
pub(crate) fn events(server: &Server, query: &str) -> Vec<Value> {
    json_lines(&output_of(server.command("search").args([query, "--format", "jsonl", "--limit", "1000000"])))
}

/// Now, as RFC 3339 with a zone.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().to_string()
}

pub(crate) fn failed_login(address: &str, user: &str, token: &str) -> String {
    format!("<38>1 {} web1 sshd 4242 - - Failed password for {user} from {address} port 22 ssh2 {token}", now())
}
