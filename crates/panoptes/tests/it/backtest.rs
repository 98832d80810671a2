//! Rules over the evidence: `rules backtest`, and `rules explain` of an event in it.

use std::path::Path;
use std::process::Command;

use panoptes_testkit::{Server, get, post, wait_until};
use serde_json::Value;

use crate::commands::panoptes;
use crate::support::{LIMIT, alerts, complaint_of, events, json_lines, output_of, server};

/// Guesses by `attackers`, `times` each, one a second, on a day of January 2026.
fn guesses(day: u32, attackers: std::ops::Range<u32>, times: u32) -> String {
    let mut lines = String::new();
    for attacker in attackers {
        for second in 0..times {
            lines.push_str(&format!(
                "<38>1 2026-01-{day:02}T10:{attacker:02}:{second:02}Z web1 sshd 42 - - Failed password for root from 203.0.113.{attacker} port 22 ssh2\n"
            ));
        }
    }
    lines
}

fn import(home: &Path, name: &str, lines: &str) {
    let file = home.join(name);
    std::fs::write(&file, lines).expect("a file can be written");
    output_of(panoptes(home).arg("import").arg(&file));
}

fn backtest(command: &mut Command, arguments: &[&str]) -> Vec<Value> {
    json_lines(&output_of(command.args(["rules", "backtest", "--format", "jsonl"]).args(arguments)))
}

#[test]
fn a_backtest_counts_what_detection_told_day_by_day() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    // Nine guesses are one alert; four are none.
    import(home, "first.log", &(guesses(5, 1..4, 9) + &guesses(5, 7..9, 4)));
    import(home, "second.log", &guesses(7, 1..2, 20));
    let all = backtest(&mut panoptes(home), &["SSH password guessing", "--since", "2026-01-01"]);
    assert_eq!(all.len(), 1);
    let all = &all[0];
    let told: Vec<Value> = json_lines(&output_of(
        panoptes(home).args(["alerts", "list", "--all", "--format", "jsonl", "--limit", "1000"]),
    ))
    .into_iter()
    .filter(|it| it["rule"]["title"] == "SSH password guessing")
    .collect();
    let counted: u64 = told.iter().map(|it| it["count"].as_u64().unwrap()).sum();
    assert_eq!((all["alerts"].as_u64(), all["events"].as_u64()), (Some(told.len() as u64), Some(counted)));
    assert_eq!((told.len(), counted), (4, 3 * 9 + 20));
    assert_eq!(
        all["days"],
        serde_json::json!([
            { "day": "2026-01-05", "events": 27, "alerts": 3 },
            { "day": "2026-01-07", "events": 20, "alerts": 1 },
        ])
    );
    assert_eq!(all["entities"][0]["entity"], "source.ip 203.0.113.1");
    assert_eq!(all["entities"][0]["events"], 29);
    assert_eq!(
        (all["first"].as_str(), all["last"].as_str()),
        (Some("2026-01-05T10:01:00Z"), Some("2026-01-07T10:01:19Z"))
    );

    // A part of the time.
    let part =
        backtest(&mut panoptes(home), &["SSH password guessing", "--since", "2026-01-06", "--until", "2026-01-08"]);
    assert_eq!((part[0]["alerts"].as_u64(), part[0]["events"].as_u64()), (Some(1), Some(20)));
    let later = backtest(&mut panoptes(home), &["SSH password guessing", "--since", "2026-01-08"]);
    assert_eq!((later[0]["events"].as_u64(), &later[0]["first"]), (Some(0), &Value::Null));

    // Nothing of it was stored.
    let after = output_of(panoptes(home).args(["alerts", "list", "--all", "--format", "jsonl", "--limit", "1000"]));
    assert_eq!(after.lines().filter(|it| it.contains("SSH password guessing")).count(), told.len());
}

#[test]
fn a_draft_is_tried_before_it_is_installed_and_its_examples_can_be_explained() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    import(home, "auth.log", &guesses(5, 1..3, 9));
    let draft = home.join("draft.yml");
    // The id of a shipped rule: the draft is meant.
    let text = "title: Three tries\nid: dafc5753-ed01-4fe4-9ef5-0d8e8c47c80a\nlevel: low\ncorrelation:\n    type: event_count\n    rules: [ssh_login_failed]\n    group-by: [source.ip]\n    timespan: 1m\n    condition: {gte: 3}\n";
    std::fs::write(&draft, text).unwrap();
    let draft = draft.to_str().unwrap();
    for arguments in [&["--rules", draft][..], &[draft], &["Three tries", "--rules", draft]] {
        let found = backtest(&mut panoptes(home), &[arguments, &["--since", "2026-01-01", "--examples", "1"]].concat());
        assert_eq!(found.len(), 1, "{arguments:?}");
        assert_eq!((found[0]["title"].as_str(), found[0]["events"].as_u64()), (Some("Three tries"), Some(18)));
        assert_eq!(found[0]["examples"].as_array().unwrap().len(), 1);
    }
    let table = output_of(panoptes(home).args(["rules", "backtest", draft, "--since", "2026-01-01"]));
    for part in [
        "LOW Three tries",
        "18 events in",
        "2 alerts at a cool-down of",
        "2026-01-05",
        "source.ip 203.0.113.2",
        "such as event ",
        "rules explain dafc5753",
    ] {
        assert!(table.contains(part), "`{part}` is not in:\n{table}");
    }
    let days = output_of(panoptes(home).args(["rules", "backtest", draft, "--since", "2026-01-01", "--format", "csv"]));
    assert!(days.contains("Three tries,low,2026-01-05,18,2"), "{days}");

    // An example, explained by its id: the evidence has it, and it is the event that the example shows.
    let found = backtest(&mut panoptes(home), &[draft, "--since", "2026-01-01"]);
    let example = &found[0]["examples"][0];
    let id = example["event"].as_str().unwrap();
    let explained = json_lines(&output_of(panoptes(home).args(["rules", "explain", draft, id, "--format", "jsonl"])));
    assert_eq!(explained.len(), 1);
    assert_eq!(
        (&explained[0]["event"]["original"], &explained[0]["event"]["id"]),
        (&example["sample"], &example["event"])
    );
    assert_eq!(explained[0]["fires"], true);

    for (arguments, parts) in [
        (&["backtest", "no such rule"][..], &["no rule has the id, name or title `no such rule`"][..]),
        (&["backtest", "SSH login failed"], &["none of these rules makes findings"]),
        (&["backtest", draft, "--since", "2026-02-01", "--until", "2026-01-01"], &["is not after"]),
        (&["explain", draft, "999999-1"], &["has no event 999999-1"]),
        (&["explain", "SSH", "x"], &["means", "name one by its id"]),
        (&["explain", "nothing/there.yml", "x"], &["there is no rule file nothing/there.yml"]),
    ] {
        let said = complaint_of(panoptes(home).arg("rules").args(arguments));
        for part in parts {
            assert!(said.contains(part), "{arguments:?}: `{part}` is not in:\n{said}");
        }
    }
}

fn folded(server: &Server) {
    wait_until(LIMIT, "everything is folded", || {
        let metrics = get(server.http(), "/metrics").ok()?.body;
        metrics.lines().any(|it| it == "panoptes_fold_lag_frames 0").then_some(())
    });
}

fn sealed_frames(server: &Server) -> u64 {
    let metrics = get(server.http(), "/metrics").map(|it| it.body).unwrap_or_default();
    let value = metrics.lines().find_map(|it| it.strip_prefix("panoptes_store_sealed_frame "));
    value.and_then(|it| it.parse().ok()).unwrap_or(0)
}

/// Segments and log together, beside a running instance: the same alerts as it told.
#[test]
fn a_backtest_beside_a_running_instance_comes_to_the_same_alerts() {
    let server = server();
    let noise: String = (0..2_000).map(|n| format!("{{\"message\":\"nothing {n}\"}}\n")).collect();
    for (round, attackers) in [1..4, 4..6, 6..7].into_iter().enumerate() {
        for lines in [guesses(5, attackers.clone(), 8), noise.clone()] {
            let answer = post(server.http(), "/logs?source=test", "text/plain", lines.as_bytes()).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        folded(&server);
        if round == 0 {
            wait_until(LIMIT, "a segment", || (sealed_frames(&server) > 0).then_some(()));
        }
    }
    let told = alerts(&server);
    let expected = |title: &str| -> (u64, u64) {
        let of_rule = told.iter().filter(|it| it["rule"]["title"] == title);
        let counts: Vec<u64> = of_rule.map(|it| it["count"].as_u64().unwrap()).collect();
        (counts.len() as u64, counts.iter().sum())
    };
    let arguments = [
        "rules",
        "backtest",
        "SSH password guessing",
        "SSH password spraying",
        "--since",
        "2026-01-01",
        "--format",
        "jsonl",
    ];
    let (program, rest) = arguments.split_first().unwrap();
    let found = json_lines(&output_of(server.command(program).args(rest)));
    assert_eq!(found.len(), 2);
    for rule in &found {
        let title = rule["title"].as_str().unwrap();
        let came_to = (rule["alerts"].as_u64().unwrap(), rule["events"].as_u64().unwrap());
        assert_eq!(came_to, expected(title), "{title}");
    }
    assert_eq!(expected("SSH password guessing"), (6, 48));

    // Every event of the evidence can be explained, in a segment or in the log.
    let stored = events(&server, "source.ip:203.0.113.0/24");
    assert_eq!(stored.len(), 48);
    for event in [stored.first().unwrap(), stored.last().unwrap()] {
        let id = event["event.id"].as_str().unwrap();
        let said = output_of(server.command("rules").args(["explain", "ssh_login_failed", id, "--format", "jsonl"]));
        let explained = json_lines(&said);
        assert_eq!(
            (&explained[0]["event"]["original"], &explained[0]["fires"]),
            (&event["event.original"], &Value::Bool(true))
        );
    }
}

#[test]
fn explain_says_of_every_condition_what_it_saw() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let rule = home.join("rule.yml");
    std::fs::write(&rule, "title: Odd agent\nid: 33333333-0000-4000-8000-000000000001\nlevel: low\nlogsource: {category: webserver}\ndetection:\n    agent:\n        cs-user-agent|contains: [sqlmap, nikto]\n        sc-status: 200\n    filter:\n        c-ip|cidr: 10.0.0.0/8\n    condition: agent and not filter\n").unwrap();
    let rule = rule.to_str().unwrap();
    let line = |address: &str, agent: &str| {
        format!("{address} - - [01/Mar/2026:10:00:00 +0000] \"GET / HTTP/1.1\" 200 12 \"-\" \"{agent}\"")
    };
    let said = output_of(panoptes(home).args(["rules", "explain", rule, &line("192.0.2.1", "curl/8")]));
    for part in [
        "DOES NOT FIRE  Odd agent",
        "log source  yes",
        "no   cs-user-agent|contains: [sqlmap, nikto]  (user_agent.original)  saw `curl/8`",
        "yes  sc-status: 200  (http.response.status_code)  saw `200`",
        "yes  not",
        "no   c-ip|cidr: 10.0.0.0/8  (source.ip)  saw `192.0.2.1`",
    ] {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
    let said = output_of(panoptes(home).args([
        "rules",
        "explain",
        rule,
        "Mar  1 11:00:00 web1 sshd[1]: Accepted password for root from 203.0.113.9 port 22 ssh2",
    ]));
    assert!(said.contains("log source  no   the rule is for category=webserver; the event is OpenSSH"), "{said}");
    assert!(said.contains("the event has no such field"), "{said}");

    // A file, line by line, up to a limit.
    let log = home.join("access.log");
    let lines: String = [("192.0.2.1", "sqlmap/1"), ("10.1.1.1", "sqlmap/1"), ("192.0.2.1", "x")]
        .iter()
        .map(|(a, b)| line(a, b) + "\n")
        .collect();
    std::fs::write(&log, lines).unwrap();
    let log = log.to_str().unwrap();
    let fires = |arguments: &[&str]| -> Vec<bool> {
        let all = [&["rules", "explain", rule, log, "--format", "jsonl"], arguments].concat();
        json_lines(&output_of(panoptes(home).args(all))).iter().map(|it| it["fires"].as_bool().unwrap()).collect()
    };
    assert_eq!(fires(&[]), [true, false, false]);
    assert_eq!(fires(&["--limit", "2"]), [true, false]);
    let rows = output_of(panoptes(home).args(["rules", "explain", rule, log, "--limit", "1", "--format", "csv"]));
    assert!(rows.contains("1,true,cs-user-agent|contains") || rows.contains("sqlmap/1"), "{rows}");
}
