//! From a line on a socket to an alert that a person works through.

use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use panoptes_testkit::{Server, post, wait_until};

use crate::support::{alerts, binary, complaint_of, events, failed_login, output_of, server};

const LIMIT: Duration = Duration::from_secs(30);

fn guess(server: &Server, address: &str) {
    let lines: String = (0..8).map(|_| failed_login(address, "root", "") + "\n").collect();
    TcpStream::connect(server.tcp())
        .and_then(|mut it| it.write_all(lines.as_bytes()))
        .expect("the TCP input takes lines");
}

fn guessing(server: &Server, address: &str) -> serde_json::Value {
    wait_until(LIMIT, "an alert", || {
        alerts(server)
            .into_iter()
            .find(|it| it["rule"]["title"] == "SSH password guessing" && it["entities"]["source.ip"] == address)
    })
}

#[test]
fn eight_failures_over_tcp_become_one_alert_that_is_resolved_and_reopens() {
    let server = server();
    guess(&server, "203.0.113.9");
    let alert = guessing(&server, "203.0.113.9");
    assert_eq!(alert["count"], 8);
    assert_eq!(alert["state"], "open");
    let id = alert["id"].as_str().unwrap();
    let short = id.get(..8).unwrap();

    let shown = output_of(server.command("alerts").args(["show", short]));
    for part in ["SSH password guessing", "203.0.113.9", "T1110", "panoptes search", "Failed password for root"] {
        assert!(shown.contains(part), "`{part}` is not in:\n{shown}");
    }
    output_of(server.command("alerts").args(["ack", short, "--note", "looking"]));
    let resolved =
        output_of(server.command("alerts").args(["resolve", id, "--reason", "true-positive", "--note", "blocked"]));
    assert!(resolved.contains("resolved (true-positive)"), "{resolved}");
    assert!(output_of(server.command("alerts").args(["list"])).contains("no alerts match"));
    let stats = output_of(server.command("alerts").args(["stats", "--format", "json"]));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&stats).unwrap()["by_resolution"]["true-positive"], 1);

    // The same address goes on: the alert is open again, and counts on.
    guess(&server, "203.0.113.9");
    wait_until(LIMIT, "the alert to reopen", || (guessing(&server, "203.0.113.9")["state"] == "open").then_some(()));
    let again = guessing(&server, "203.0.113.9");
    assert_eq!((again["id"].as_str(), again["count"].as_u64()), (Some(id), Some(16)));
    let history = output_of(server.command("alerts").args(["show", id]));
    for part in ["acknowledged: looking", "resolved as true-positive: blocked", "reopened"] {
        assert!(history.contains(part), "`{part}` is not in:\n{history}");
    }
}

#[test]
fn every_listening_input_leads_to_searchable_events() {
    let server = server();
    let posted = post(
        server.http(),
        "/logs?source=shop",
        "application/json",
        br#"[{"level":"error","message":"from http","status":500},"a bare string",17]"#,
    )
    .unwrap();
    assert_eq!(posted.status, 200, "{posted:?}");
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed from udp", server.syslog()).unwrap();
    let octets = b"<165>1 2024-01-15T10:30:00Z host app - ID47 - from octet counting";
    let mut stream = TcpStream::connect(server.syslog()).unwrap();
    stream.write_all(format!("{} ", octets.len()).as_bytes()).unwrap();
    stream.write_all(octets).unwrap();
    stream.write_all(b"<13>Jan 15 10:30:01 host app: from line feed\n").unwrap();
    drop(stream);
    for (query, field, value) in [
        ("\"from http\"", "panoptes.source", "shop"),
        ("\"from udp\"", "panoptes.input", "syslog_udp"),
        ("\"octet counting\"", "panoptes.input", "syslog_tcp"),
        ("\"line feed\"", "host.name", "host"),
    ] {
        let found = wait_until(LIMIT, query, || events(&server, query).into_iter().next());
        assert_eq!(found[field], value, "{found}");
    }
}

#[test]
fn files_are_followed_across_a_rotation_and_a_restart_without_doubles() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("app.log");
    std::fs::write(&log, "old line\n").unwrap();
    let config = format!("[[files]]\npaths = [{:?}]\nstart = \"beginning\"\n", log.display().to_string());
    let mut server = Server::of(binary()).config(&config).start();
    let append = |line: &str| {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&log).unwrap();
        writeln!(file, "{line}").unwrap();
    };
    let texts = |server: &Server| {
        let mut texts: Vec<_> =
            events(server, "").iter().map(|it| it["event.original"].as_str().unwrap().to_owned()).collect();
        texts.sort();
        texts
    };
    let arrives =
        |server: &Server, count: usize| wait_until(LIMIT, "lines", || (texts(server).len() >= count).then_some(()));
    arrives(&server, 1);
    append("second line");
    arrives(&server, 2);
    assert_eq!(server.stop(), Some(0));
    append("third line, while nobody looked");
    std::fs::rename(&log, folder.path().join("app.log.1")).unwrap();
    append("fourth line, after the rotation");
    server.restart();
    arrives(&server, 4);
    server.kill();
    append("fifth line, after a kill");
    server.restart();
    arrives(&server, 5);
    assert_eq!(
        texts(&server),
        [
            "fifth line, after a kill",
            "fourth line, after the rotation",
            "old line",
            "second line",
            "third line, while nobody looked"
        ]
    );
}

#[test]
fn a_second_instance_on_the_same_data_is_told_who_has_it() {
    let server = server();
    let said = complaint_of(server.command("run").args(["--http", "none", "--tcp", "none", "--syslog", "none"]));
    let pid = server.pid().unwrap().to_string();
    assert!(said.contains("is in use") && said.contains(&pid), "{said}");
}

#[test]
fn what_was_refused_is_told_of_its_source_after_a_restart_too() {
    let mut server = server();
    let http = server.http();
    assert_eq!(post(http, "/logs", "text/plain", b"a line\n").unwrap().status, 200);
    assert_eq!(post(http, "/logs", "text/plain", b"\x1f\x8b\x00\x01\x02\x00\x00\xff\n").unwrap().status, 400);
    assert_eq!(server.stop(), Some(0));
    let listed = output_of(server.command("sources").args(["--since", "2000-01-01", "--format", "jsonl"]));
    let lost: Vec<_> =
        crate::support::json_lines(&listed).iter().map(|it| (it["events"].as_u64(), it["lost"].as_u64())).collect();
    assert_eq!(lost, [(Some(1), Some(1))], "{listed}");
    let shown = output_of(server.command("sources").args(["--since", "2000-01-01"]));
    assert!(shown.contains("1 rejected: binary"), "{shown}");
}
