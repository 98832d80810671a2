//! Rules that change while the program runs.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use panoptes_testkit::{Server, get, post, wait_until};

use crate::support::{LIMIT, alerts, binary, failed_login, json_lines, output_of};

/// A server that seals nothing by itself and watches `rules` alone.
fn server(rules: &Path) -> Server {
    let config = format!("files = []\n[rules]\nshipped = false\npaths = [{:?}]\n", rules.display().to_string());
    Server::of(binary()).config(&config).start()
}

pub(crate) fn rule(number: u32, title: &str, detection: &str) -> String {
    format!(
        "title: {title}\nid: 22222222-0000-4000-8000-{number:012}\nlevel: high\nlogsource: {{product: linux, service: sshd}}\n\
         detection:\n    selection:\n        {detection}\n    condition: selection\n"
    )
}

/// When this returns, the line is in the log.
#[track_caller]
pub(crate) fn send(server: &Server, line: &str) {
    let answer = post(server.http(), "/logs", "text/plain", line.as_bytes()).expect("the server listens");
    assert_eq!(answer.status, 200, "{}", answer.body);
}

pub(crate) fn metric(server: &Server, name: &str) -> Option<String> {
    let metrics = get(server.http(), "/metrics").ok()?.body;
    Some(metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.to_owned())
}

#[track_caller]
pub(crate) fn wait_for_metric(server: &Server, name: &str, value: &str) {
    wait_until(LIMIT, &format!("{name} {value}"), || (metric(server, name).as_deref() == Some(value)).then_some(()));
}

/// Title and count of every alert, sorted.
fn told(server: &Server) -> Vec<(String, u64)> {
    let mut told: Vec<_> = alerts(server)
        .iter()
        .map(|it| {
            (it["rule"]["title"].as_str().unwrap_or_default().to_owned(), it["count"].as_u64().unwrap_or_default())
        })
        .collect();
    told.sort();
    told
}

#[track_caller]
pub(crate) fn wait_for_alerts(server: &Server, expected: &[(&str, u64)]) {
    let expected: Vec<(String, u64)> = expected.iter().map(|(title, count)| ((*title).to_owned(), *count)).collect();
    wait_until(LIMIT, &format!("{expected:?}"), || (told(server) == expected).then_some(()));
}

fn hang_up(server: &Server) {
    let pid = server.pid().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().expect("kill is there").success());
}

const LOADED: &str = "panoptes_rules_reloads_total{result=\"loaded\"}";
const REFUSED: &str = "panoptes_rules_reloads_total{result=\"refused\"}";

#[test]
fn a_rule_that_is_dropped_in_comes_into_force_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path();
    std::fs::write(rules.join("first.yml"), rule(1, "First", "user.name: first")).unwrap();
    let mut server = server(rules);
    assert_eq!(metric(&server, "panoptes_rules_loaded").as_deref(), Some("1"));
    send(&server, &failed_login("203.0.113.1", "second", "a"));
    send(&server, &failed_login("203.0.113.1", "first", "a"));
    wait_for_alerts(&server, &[("First", 1)]);

    // By itself, within seconds.
    std::fs::write(rules.join("second.yml"), rule(2, "Second", "user.name: second")).unwrap();
    wait_for_metric(&server, LOADED, "1");
    assert_eq!(metric(&server, "panoptes_rules_loaded").as_deref(), Some("2"));
    assert!(server.stderr().contains("rules reloaded: 2 in force, 1 new, 0 gone"), "{}", server.stderr());
    send(&server, &failed_login("203.0.113.1", "second", "b"));
    wait_for_alerts(&server, &[("First", 1), ("Second", 1)]);

    // A broken file: both go on, and the reason is told once.
    std::fs::write(rules.join("third.yml"), rule(3, "Third", "user.name|sounds_like: third")).unwrap();
    std::fs::write(rules.join("second.yml"), rule(2, "Second", "user.name: other")).unwrap();
    wait_for_metric(&server, REFUSED, "1");
    hang_up(&server);
    wait_for_metric(&server, REFUSED, "2");
    assert_eq!(metric(&server, "panoptes_rules_stale").as_deref(), Some("1"));
    assert_eq!(get(server.http(), "/readyz").unwrap().status, 200);
    send(&server, &failed_login("203.0.113.1", "second", "c"));
    send(&server, &failed_login("203.0.113.1", "other", "c"));
    send(&server, &failed_login("203.0.113.1", "first", "c"));
    wait_for_alerts(&server, &[("First", 2), ("Second", 2)]);
    let said = server.stderr();
    assert_eq!(said.matches("third.yml:7:").count(), 1, "{said}");
    assert!(said.contains("all 2 rules in force stay as they are"), "{said}");

    // The file is what it was, so a restart comes to the same alerts.
    std::fs::write(rules.join("second.yml"), rule(2, "Second", "user.name: second")).unwrap();
    server.kill();
    server.restart();
    wait_for_metric(&server, "panoptes_fold_lag_frames", "0");
    assert_eq!(told(&server), [("First".to_owned(), 2), ("Second".to_owned(), 2)]);
    send(&server, &failed_login("203.0.113.1", "second", "d"));
    wait_for_alerts(&server, &[("First", 2), ("Second", 3)]);

    // Put right at last.
    std::fs::write(rules.join("third.yml"), rule(3, "Third", "user.name: third")).unwrap();
    wait_for_metric(&server, LOADED, "1");
    assert_eq!(metric(&server, "panoptes_rules_stale").as_deref(), Some("0"));
    send(&server, &failed_login("203.0.113.1", "third", "e"));
    wait_for_alerts(&server, &[("First", 2), ("Second", 3), ("Third", 1)]);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn windows_go_on_across_a_reload_and_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path();
    let guessing = "title: Failed\nname: failed\nid: 22222222-0000-4000-8000-000000000010\nlevel: low\nlogsource: {product: linux, service: sshd}\n\
                    detection:\n    s:\n        event.outcome: failure\n    condition: s\n---\ntitle: Guessing\nid: 22222222-0000-4000-8000-000000000011\nlevel: high\n\
                    correlation: {type: event_count, rules: [failed], group-by: [source.ip], timespan: 1h, condition: {gte: 5}}\n";
    std::fs::write(rules.join("guessing.yml"), guessing).unwrap();
    let mut server = server(rules);
    let guess =
        |server: &Server, times: usize| (0..times).for_each(|_| send(server, &failed_login("203.0.113.7", "root", "")));
    guess(&server, 3);
    // The change falls into the window: three before it, two behind it.
    std::fs::write(rules.join("other.yml"), rule(2, "Other", "user.name: other")).unwrap();
    hang_up(&server);
    wait_for_metric(&server, LOADED, "1");
    guess(&server, 1);
    // And a crash after it.
    let committed = || metric(&server, "panoptes_log_committed_frame");
    wait_until(LIMIT, "all is folded", || (committed() == metric(&server, "panoptes_log_folded_frame")).then_some(()));
    server.kill();
    server.restart();
    assert_eq!(told(&server), []);
    guess(&server, 1);
    wait_for_alerts(&server, &[("Guessing", 5)]);
}

#[test]
fn a_rule_that_is_taken_away_is_silent_and_one_that_was_always_broken_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path();
    std::fs::write(rules.join("broken.yml"), "title: Broken\ndetection: [\n").unwrap();
    std::fs::write(rules.join("first.yml"), rule(1, "First", "user.name: first")).unwrap();
    std::fs::write(rules.join("second.yml"), rule(2, "Second", "user.name: second")).unwrap();
    let server = server(rules);
    assert_eq!(metric(&server, "panoptes_rules_loaded").as_deref(), Some("2"));
    std::fs::remove_file(rules.join("first.yml")).unwrap();
    hang_up(&server);
    wait_for_metric(&server, LOADED, "1");
    assert_eq!(metric(&server, "panoptes_rules_loaded").as_deref(), Some("1"));
    send(&server, &failed_login("203.0.113.1", "first", ""));
    send(&server, &failed_login("203.0.113.1", "second", ""));
    wait_for_alerts(&server, &[("Second", 1)]);

    // The whole folder vanishes, as when a disk is not mounted: the rules in force stay.
    std::fs::rename(rules, folder.path().with_extension("away")).unwrap();
    hang_up(&server);
    wait_for_metric(&server, REFUSED, "1");
    assert!(server.stderr().contains("cannot read rules from"), "{}", server.stderr());
    send(&server, &failed_login("203.0.113.1", "second", ""));
    wait_for_alerts(&server, &[("Second", 2)]);
    std::fs::rename(folder.path().with_extension("away"), rules).unwrap();
}

#[test]
fn rules_check_names_what_a_reload_would_refuse() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.yml"), rule(1, "A", "user.name|sounds_like: a")).unwrap();
    let server = server(folder.path());
    let output = server.command("rules").args(["check", "--format", "jsonl"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let problems = json_lines(&String::from_utf8(output.stdout).unwrap());
    assert_eq!((problems[0]["line"].as_u64(), problems[0]["rule"].as_str()), (Some(7), Some("A")));
    assert!(output_of(server.command("rules").args(["list"])).contains("never_seen"));
}

#[test]
fn every_event_meets_exactly_one_of_the_sets_that_follow_each_other() {
    const CHANGES: usize = 8;
    const EVENTS_BETWEEN: usize = 150;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rule.yml");
    // The same rule under two names: each event is told of under one of them.
    let versions = [rule(1, "Left", "event.outcome: failure"), rule(2, "Right", "event.outcome: failure")];
    std::fs::write(&file, &versions[0]).unwrap();
    let server = server(folder.path());
    let mut stream = TcpStream::connect(server.tcp()).unwrap();
    for change in 1..=CHANGES {
        std::fs::write(&file, &versions[change % 2]).unwrap();
        hang_up(&server);
        for _ in 0..EVENTS_BETWEEN {
            writeln!(stream, "{}", failed_login("203.0.113.7", "root", "")).unwrap();
            // In small pieces, so that the change falls among them.
            stream.flush().unwrap();
        }
        let loaded = || metric(&server, LOADED)?.parse::<usize>().ok();
        wait_until(LIMIT, "the change", || (loaded() >= Some(change)).then_some(()));
    }
    let mut all = (CHANGES * EVENTS_BETWEEN) as u64;
    // However fast the machine, both sets meet events.
    for (name, version) in ["Left", "Right"].iter().zip(&versions) {
        std::fs::write(&file, version).unwrap();
        hang_up(&server);
        wait_until(LIMIT, "an event to meet each set", || {
            writeln!(stream, "{}", failed_login("203.0.113.7", "root", "")).unwrap();
            all += 1;
            told(&server).iter().any(|it| it.0 == *name).then_some(())
        });
    }
    let told = wait_until(LIMIT, "all events to be told of", || {
        let told = told(&server);
        (told.iter().map(|it| it.1).sum::<u64>() >= all).then_some(told)
    });
    println!("{told:?}");
    assert_eq!(told.iter().map(|it| it.1).sum::<u64>(), all, "{told:?}");
    assert_eq!(told.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["Left", "Right"]);
}

#[test]
fn a_mapping_that_is_added_gives_rules_new_events() {
    let folder = tempfile::tempdir().unwrap();
    let detection = "Who: eve";
    let shop = rule(1, "Eve", detection).replace("product: linux, service: sshd", "product: shop, category: audit");
    std::fs::write(folder.path().join("eve.yml"), shop).unwrap();
    let server = server(folder.path());
    let event = "{\"event.dataset\": \"shop\", \"actor\": \"eve\"}";
    send(&server, event);
    let mapping = "[[source]]\nname = \"shop\"\nproduct = \"shop\"\ncategory = \"audit\"\nwhen = { \"event.dataset\" = \"shop\" }\nfields = [\"shop\"]\n[fields.shop]\nWho = \"actor\"\n";
    std::fs::write(folder.path().join("shop.toml"), mapping).unwrap();
    // Somebody else's file in the same folder says nothing.
    std::fs::write(folder.path().join("pyproject.toml"), "[project]\nname = \"rules\"\n").unwrap();
    hang_up(&server);
    wait_for_metric(&server, LOADED, "1");
    send(&server, event);
    wait_for_alerts(&server, &[("Eve", 1)]);
}
