//! What is old goes, what is held stays, and both are on record.

use std::process::Command;

use panoptes_testkit::{Server, post, wait_until};

use crate::support::{LIMIT, complaint_of, events, json_lines, output_of, server, text};

fn filled(server: &Server) {
    let old = r#"{"@timestamp":"2020-01-05T00:00:00Z","message":"old news"}"#;
    let new = format!(r#"{{"@timestamp":"{}","message":"recent news"}}"#, crate::support::now());
    for line in [old, new.as_str()] {
        assert_eq!(
            post(server.http(), "/logs?source=web", "application/json", line.as_bytes())
                .expect("the server answers")
                .status,
            200
        );
    }
    wait_until(LIMIT, "segments", || {
        let names = std::fs::read_dir(server.data().join("segments")).ok()?;
        let count = names
            .filter(|it| {
                it.as_ref().expect("the folder can be read").path().extension().is_some_and(|it| it == "segment")
            })
            .count();
        (count >= 2).then_some(())
    });
}

/// With a policy that the instance did not have: it would have deleted by itself.
fn retention(server: &Server) -> Command {
    let mut command = server.command("retention");
    command.env("PANOPTES__STORE__RETENTION__KEEP_DAYS", "30");
    command
}

#[test]
fn what_is_old_goes_and_what_is_held_stays() {
    let mut server = server();
    filled(&server);
    let busy = complaint_of(retention(&server).arg("apply"));
    assert!(busy.contains("a running instance deletes by itself"), "{busy}");
    let planned = json_lines(&output_of(retention(&server).args(["apply", "--dry-run", "--format", "jsonl"])));
    assert_eq!((planned.len(), &planned[0]["verdict"], &planned[0]["events"]), (1, &"delete".into(), &1.into()));
    assert_eq!(server.stop(), Some(0));

    let held = output_of(retention(&server).args([
        "hold",
        "case-1",
        "--source",
        "web",
        "--until",
        "2021-01-01",
        "--reason",
        "letter",
    ]));
    assert!(held.starts_with("holding case-1: 1 events in 1 segments"), "{held}");
    assert!(output_of(retention(&server).arg("apply")).contains("0 events deleted"));
    let status = json_lines(&output_of(retention(&server).args(["status", "--format", "jsonl"])));
    assert_eq!(
        (&status[0]["policy"], &status[0]["keeps"], &status[0]["events"]),
        (&"default".into(), &"30 days".into(), &2.into())
    );
    assert!(status[0]["held_bytes"].as_u64().unwrap() > 0);
    assert!(output_of(retention(&server).arg("status")).contains("are free on the disk"));

    output_of(retention(&server).args(["release", "case-1", "--reason", "closed"]));
    let record = json_lines(&output_of(retention(&server).args(["holds", "--all", "--format", "jsonl"])));
    assert_eq!((&record[0]["reason"], &record[0]["released_for"]), (&"letter".into(), &"closed".into()));
    assert!(output_of(retention(&server).arg("apply")).contains("1 events deleted"));
    let left = events(&server, "news");
    assert_eq!((left.len(), left[0]["message"].as_str()), (1, Some("recent news")));
    let output = server.command("verify").output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(complaint_of(retention(&server).args(["release", "case-1", "--reason", "x"])).contains("there is no hold"));
}

#[test]
fn one_persons_events_go_and_nothing_else() {
    let mut server = server();
    let lines: String = (0..30)
        .map(|n| {
            crate::support::failed_login(&format!("203.0.113.{}", n % 3), ["alice", "bob"][n % 2], &n.to_string())
                + "\n"
        })
        .collect();
    assert_eq!(post(server.http(), "/logs", "text/plain", lines.as_bytes()).unwrap().status, 200);
    assert!(complaint_of(server.command("erase").args(["--user", "alice"])).contains("while no instance runs"));
    assert_eq!(server.stop(), Some(0));
    assert!(
        output_of(server.command("erase").args(["--user", "Alice", "--dry-run"])).contains("15 events in 1 segments")
    );
    assert_eq!(events(&server, "user.name:alice").len(), 15);
    let proof = json_lines(&output_of(server.command("erase").args(["--user", "Alice", "--format", "jsonl"])));
    assert_eq!((&proof[0]["events"], proof[0]["rows_digest"].as_str().unwrap().len()), (&15.into(), 64));
    assert_eq!((events(&server, "user.name:alice").len(), events(&server, "user.name:bob").len()), (0, 15));
    output_of(server.command("erase").args(["--ip", "203.0.113.1"]));
    assert_eq!((events(&server, "").len(), events(&server, "source.ip:203.0.113.1").len()), (10, 0));
    assert!(output_of(server.command("erase").args(["--user", "nobody"])).contains("0 events erased"));
    let output = server.command("verify").output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    // It goes on, and what went does not come back from the log.
    server.restart();
    assert_eq!(events(&server, "").len(), 10);
}
