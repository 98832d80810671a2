//! Questions and their answers, as somebody at a terminal gets them: commands behind a query, hints, and the live tail.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use panoptes_testkit::{post, wait_until};
use serde_json::{Value, json};

use crate::support::{LIMIT, binary, complaint_of, events, json_lines, output_of, server, text};

/// A folder with evidence of three logins, three hours apart.
struct Evidence(tempfile::TempDir);

impl Evidence {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        let lines = [("09", "Failed", "root"), ("12", "Failed", "admin"), ("15", "Accepted", "jane")].map(
            |(hour, outcome, user)| {
                format!(
                    "<38>1 2024-01-15T{hour}:00:00Z web1 sshd 42 - - {outcome} password for {user} from 203.0.113.9 port 22 ssh2\n"
                )
            },
        );
        let file = folder.0.path().join("auth.log");
        std::fs::write(&file, lines.concat()).expect("it can be written to");
        output_of(folder.command("import").arg(&file));
        folder
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(binary());
        let path = self.0.path();
        command.arg(name).arg("--data").arg(path.join("data")).arg("--key-file").arg(path.join("key"));
        command.env("XDG_CONFIG_HOME", path).env("XDG_DATA_HOME", path);
        command
    }

    fn search(&self, arguments: &[&str]) -> String {
        output_of(self.command("search").args(arguments))
    }
}

#[test]
fn commands_behind_a_query_are_answered() {
    let evidence = Evidence::new();
    assert_eq!(
        evidence.search(&["| count by event.outcome"]),
        "EVENT.OUTCOME  COUNT\nfailure        2\nsuccess        1\n"
    );
    assert_eq!(
        json_lines(&evidence.search(&["event.outcome:failure | top 1 source.ip", "--format", "jsonl"])),
        [json!({"source.ip": "203.0.113.9", "count": 2, "percent": 100.0})]
    );
    assert_eq!(
        evidence.search(&["password | fields user.name | limit 2", "--format", "csv"]),
        "user.name\r\njane\r\nadmin\r\n"
    );
    assert_eq!(
        evidence.search(&["password | sort user.name | fields user.name", "--format", "csv"]),
        "user.name\r\nadmin\r\njane\r\nroot\r\n"
    );
    let bar = "█".repeat(40);
    assert_eq!(
        evidence.search(&["| timechart 3h"]),
        format!(
            "@TIMESTAMP            COUNT\n2024-01-15T09:00:00Z      1  {bar}\n2024-01-15T12:00:00Z      1  {bar}\n2024-01-15T15:00:00Z      1  {bar}\n"
        )
    );
    let histogram = json_lines(&evidence.search(&["", "--histogram", "--format", "jsonl"]));
    let total: i64 = histogram.iter().filter_map(|it| it["count"].as_i64()).sum();
    assert_eq!((histogram.len(), total), (37, 3), "six hours in steps of ten minutes");
    let fields = json_lines(&evidence.search(&["", "--fields", "--format", "jsonl"]));
    let outcome = fields.iter().find(|it| it["field"] == "event.outcome").unwrap();
    assert_eq!(
        *outcome,
        json!({"field": "event.outcome", "events": 3, "percent": 100.0, "values": 2, "top": "failure (2), success (1)"})
    );
}

#[test]
fn what_was_perhaps_meant_is_said() {
    let evidence = Evidence::new();
    let complaint = complaint_of(evidence.command("search").arg("password | cuont"));
    assert!(
        complaint.contains("did you mean `count`? at character 12 of the query\npassword | cuont\n           ^"),
        "{complaint}"
    );
    let told = |query: &str| text(&evidence.command("search").arg(query).output().unwrap());
    assert!(
        told("user.nam:root").contains("no event has a field `user.nam`; did you mean user.name"),
        "{}",
        told("user.nam:root")
    );
    assert!(told("failed and root").contains("`and` is looked for as a word; the operator is AND"));
    let explained =
        text(&evidence.command("search").args(["| count", "--explain", "--timeout", "0"]).output().unwrap());
    assert!(explained.contains("rows: about 0 read, 0 matched; 3 events not in segments yet"), "{explained}");
    let complaint = complaint_of(evidence.command("search").args(["| count", "--histogram"]));
    assert!(complaint.contains("--histogram takes a query without commands"), "{complaint}");
}

fn login(user: &str) -> String {
    json!({"level": "info", "message": format!("{user} came in"), "user.name": user}).to_string() + "\n"
}

#[test]
fn a_tail_shows_what_was_there_and_then_what_comes() {
    let server = server();
    let send = |user: &str| {
        let answer = post(server.http(), "/logs", "application/x-ndjson", login(user).as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    send("alice");
    wait_until(LIMIT, "the first event", || (!events(&server, "alice").is_empty()).then_some(()));
    let mut tail = server
        .command("tail")
        .args(["user.name:alice OR user.name:carol", "-n", "5", "--limit", "1", "--format", "jsonl"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["message"], "alice came in");
    // The tap was opened before the search for what was there.
    send("bob");
    send("carol");
    assert_eq!(next()["user.name"], "carol");
    assert!(tail.wait().unwrap().success());
    let complaint = complaint_of(server.command("tail").arg("a AND"));
    assert!(complaint.contains("a term is missing here"), "{complaint}");
}

#[test]
fn a_tail_without_an_instance_says_so() {
    let evidence = Evidence::new();
    let complaint = complaint_of(&mut evidence.command("tail"));
    assert!(complaint.contains("no instance is running on") && complaint.contains("panoptes run"), "{complaint}");
}

#[test]
fn evidence_is_exported_whole_or_not_at_all() {
    let evidence = Evidence::new();
    let folder = evidence.0.path();
    let export = |name: &str, more: &[&str]| {
        let mut command = evidence.command("export");
        command.arg("password").arg("--to").arg(folder.join(name)).args(more);
        command
    };
    output_of(&mut export("all.jsonl.zst", &[]));
    let packed = std::fs::read(folder.join("all.jsonl.zst")).unwrap();
    let lines = json_lines(&String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap());
    let users: Vec<&str> = lines.iter().map(|it| it["user.name"].as_str().unwrap()).collect();
    assert_eq!(users, ["root", "admin", "jane"], "oldest first");
    output_of(&mut export("some.csv", &["--columns", "user.name,nowhere,event.outcome"]));
    let csv = std::fs::read_to_string(folder.join("some.csv")).unwrap();
    assert_eq!(csv, "user.name,nowhere,event.outcome\r\nroot,,failure\r\nadmin,,failure\r\njane,,success\r\n");
    output_of(&mut export("all.csv", &["--since", "2024-01-15T15:00:00Z"]));
    let csv = std::fs::read_to_string(folder.join("all.csv")).unwrap();
    assert!(csv.starts_with("@timestamp,event.id,") && csv.lines().count() == 2, "{csv}");
    output_of(&mut export("all.parquet", &[]));
    assert!(std::fs::read(folder.join("all.parquet")).unwrap().ends_with(b"PAR1"));
    let complaint = complaint_of(&mut export("all.parquet", &[]));
    assert!(complaint.contains("all.parquet exists already: name another file, or say --force"), "{complaint}");
    output_of(&mut export("all.parquet", &["--force"]));
    let complaint = complaint_of(&mut export("data/all.csv", &[]));
    assert!(complaint.contains("is in the data folder, where everything is encrypted"), "{complaint}");
    let complaint = complaint_of(&mut export("all.txt", &[]));
    assert!(complaint.contains("does not end with what says how to write it"), "{complaint}");
    let left = std::fs::read_dir(folder)
        .unwrap()
        .filter(|it| it.as_ref().unwrap().file_name().to_string_lossy().starts_with(".tmp"));
    assert_eq!(left.count(), 0);
}
