//! Commands beside no server: what they answer, and how they complain.

use std::path::Path;
use std::process::Command;

use panoptes_testkit::{Server, post, wait_until};

use crate::support::{LIMIT, binary, complaint_of, events, json_lines, output_of, server};

pub(crate) fn panoptes(home: &Path) -> Command {
    let mut command = Command::new(binary());
    command.env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.arg("--data").arg(home.join("data")).arg("--key-file").arg(home.join("key"));
    command
}

#[test]
fn an_import_is_searchable_and_alerts() {
    let home = tempfile::tempdir().unwrap();
    let logs = home.path().join("old-logs");
    std::fs::create_dir(&logs).unwrap();
    let lines: String = (0..10)
        .map(|n| format!("Jan 15 10:30:{n:02} web1 sshd[1]: Failed password for root from 203.0.113.9 port 22 ssh2\n"))
        .collect();
    std::fs::write(logs.join("auth.log"), lines).unwrap();
    std::fs::write(logs.join("picture.png"), b"\x89PNG\r\n\x1a\n\0\0\0").unwrap();
    let said = output_of(panoptes(home.path()).args(["import", "--source", "legacy"]).arg(&logs));
    assert!(said.contains("10 records from 2 files") && said.contains("1 problems"), "{said}");
    let query = "source.ip:203.0.113.9 AND event.outcome:failure panoptes.source:legacy";
    let found = output_of(panoptes(home.path()).args(["search", query, "--format", "jsonl"]));
    assert_eq!(json_lines(&found).len(), 10);
    let sql = "select \"user.name\" u, count(*) n from events group by 1";
    let answer = output_of(panoptes(home.path()).args(["search", "--sql", sql, "--format", "jsonl"]));
    assert_eq!(answer.trim(), r#"{"u":"root","n":10}"#);
    let alerts = output_of(panoptes(home.path()).args(["alerts", "list", "--format", "jsonl"]));
    assert!(said.contains(&format!("{} new alerts", alerts.lines().count())), "{said}");
    let guessing = json_lines(&alerts).into_iter().find(|it| it["rule"]["title"] == "SSH password guessing").unwrap();
    assert_eq!((guessing["origin"].as_str(), guessing["count"].as_u64()), (Some("import"), Some(10)));
}

#[test]
fn sources_and_entities_are_told_from_the_evidence() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("auth.log");
    let mut lines: String = (0..8)
        .map(|n| format!("Jan 15 10:3{n}:00 web1 sshd[1]: Failed password for root from 203.0.113.9 port 22 ssh2\n"))
        .collect();
    lines.push_str("nothing that anybody understands\n");
    std::fs::write(&log, lines).unwrap();
    output_of(panoptes(home.path()).args(["import", "--source", "old"]).arg(&log));

    let sources = output_of(panoptes(home.path()).args(["sources", "--since", "2000-01-01", "--format", "jsonl"]));
    let source = json_lines(&sources).remove(0);
    assert_eq!((source["source"].as_str(), source["events"].as_u64()), (Some("old"), Some(9)), "{sources}");
    assert!((source["unparsed"].as_f64().unwrap() - 1.0 / 9.0).abs() < 1e-9, "{sources}");
    let shown = output_of(panoptes(home.path()).args(["sources", "--since", "2000-01-01", "--examples", "1"]));
    assert!(shown.contains("not understood, of old:\n  nothing that anybody understands"), "{shown}");
    assert!(output_of(panoptes(home.path()).args(["sources", "--since", "2999-01-01"])).starts_with("no event since"));

    let of = |entity: &str| {
        let told =
            output_of(panoptes(home.path()).args(["entity", entity, "--since", "2000-01-01", "--format", "json"]));
        serde_json::from_str::<serde_json::Value>(&told).unwrap()
    };
    let address = of("203.0.113.9");
    assert_eq!((address["events"].as_u64(), address["by_hour"][10].as_u64()), (Some(8), Some(8)), "{address}");
    assert_eq!(address["top"]["as users"][0], serde_json::json!({ "value": "root", "events": 8 }));
    assert!(address["alerts"].as_array().unwrap().iter().any(|it| it["rule"] == "SSH password guessing"), "{address}");
    assert_eq!(of("root")["events"], 8);
    assert_eq!(of("host.name=web1")["events"], 8);
    assert_eq!(of("nobody")["events"], 0);
    let said = complaint_of(panoptes(home.path()).args(["entity", "no.field=x"]));
    assert!(said.contains("no event has a field `no.field`"), "{said}");
}

#[test]
fn services_of_ones_own_are_understood_and_mistakes_in_them_told() {
    let home = tempfile::tempdir().unwrap();
    let formats = home.path().join("formats");
    std::fs::create_dir(&formats).unwrap();
    let shop = "service = \"shop\"\nprograms = [\"shopd\"]\n[[event]]\npattern = \"Login of {user.name} from {source} refused\"\n\
                category = \"authentication\"\ntype = \"start\"\naction = \"shop_login\"\noutcome = \"failure\"\n";
    std::fs::write(formats.join("shop.toml"), shop).unwrap();
    std::fs::write(formats.join("wrong.toml"), "service = \"x\"\nprograms = 7\n").unwrap();
    std::fs::write(home.path().join("a.toml"), "[rules]\nformats = [\"formats\"]\n").unwrap();
    let log = home.path().join("a.log");
    std::fs::write(&log, "Jan 15 10:30:00 web1 shopd[7]: Login of bob from 203.0.113.9 refused\n").unwrap();
    let mut command = panoptes(home.path());
    let output = command.arg("--config").arg(home.path().join("a.toml")).arg("normalize").arg(&log).output().unwrap();
    let (told, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    for part in ["shop_login", "bob", "203.0.113.9", "failure"] {
        assert!(told.contains(part), "{told}{said}");
    }
    assert!(said.contains("wrong.toml:2"), "{said}");
}

#[test]
fn mistakes_get_one_sentence_with_the_cure() {
    let home = tempfile::tempdir().unwrap();
    let expect = |arguments: &[&str], parts: &[&str]| {
        let said = complaint_of(panoptes(home.path()).args(arguments));
        for part in parts {
            assert!(said.contains(part), "{arguments:?}: `{part}` is not in:\n{said}");
        }
    };
    expect(&["search", "x"], &["there is no evidence in", "panoptes run"]);
    expect(&["search", "a AND ("], &["a AND (", "^"]);
    expect(&["alerts", "list", "--entity", "nobody"], &["there is no evidence in"]);
    expect(&["scan", "/nowhere/at/all.log"], &["nothing could be read"]);
    expect(&["scan", "--input-format", "klingon", "x"], &["no format is named `klingon`", "json"]);
    expect(&["scan", "--time-zone", "Mars/Olympus", "x"], &["Mars/Olympus"]);
    expect(&["rules", "check", "/nowhere"], &["cannot read rules from /nowhere"]);
    expect(&["generate", "--to", "tcp://127.0.0.1:1", "--count", "1"], &["127.0.0.1:1"]);
    expect(&["run", "--http", "0.0.0.0:8080"], &["insecure"]);

    let config = home.path().join("bad.toml");
    std::fs::write(&config, "[htpp]\nlisten = \"127.0.0.1:1\"\n").unwrap();
    expect(&["config", "check", "--config", config.to_str().unwrap()], &["bad.toml:1", "htpp", "did you mean"]);
}

#[test]
fn a_used_port_is_named_with_the_cure() {
    let home = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--http", "--tcp", "--syslog"] {
        let mut command = panoptes(home.path());
        command.arg("run");
        for other in ["--http", "--tcp", "--syslog"] {
            command.arg(other).arg(if other == flag { &address } else { "none" });
        }
        let said = complaint_of(&mut command);
        assert!(said.contains(&address) && said.contains("port"), "{flag}: {said}");
    }
}

#[test]
fn another_key_or_none_is_told_apart_from_damage() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("a.log");
    std::fs::write(&log, "one line\n").unwrap();
    output_of(panoptes(home.path()).arg("import").arg(&log));
    std::fs::rename(home.path().join("key"), home.path().join("key.away")).unwrap();
    let said = complaint_of(panoptes(home.path()).arg("import").arg(&log));
    assert!(said.contains("there is no key file") && said.contains("put the key back"), "{said}");
    let other = tempfile::tempdir().unwrap();
    output_of(panoptes(other.path()).arg("import").arg(&log));
    std::fs::copy(other.path().join("key"), home.path().join("key")).unwrap();
    for arguments in [&["search", "x"][..], &["alerts", "list"]] {
        let said = complaint_of(panoptes(home.path()).args(arguments));
        assert!(said.contains("opens none of them") && said.contains("slot 1: key"), "{said}");
    }
}

#[test]
fn a_broken_rule_is_named_and_the_others_load() {
    let home = tempfile::tempdir().unwrap();
    let rules = home.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    let rule = |title: &str, id: u32, condition: &str| {
        format!(
            "title: {title}\nid: 0000000{id}-0000-4000-8000-000000000000\nlevel: high\nlogsource:\n    product: linux\n    \
             service: sshd\ndetection:\n    selection:\n        event.action: ssh_login\n    condition: {condition}\n"
        )
    };
    std::fs::write(rules.join("good.yml"), rule("Any login", 1, "selection")).unwrap();
    std::fs::write(rules.join("bad.yml"), rule("No such part", 2, "selektion")).unwrap();
    let output = panoptes(home.path()).args(["rules", "check"]).arg(&rules).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("bad.yml") && said.contains("selektion") && said.contains("1 rule loaded, 1 refused"),
        "{said}"
    );

    let log = home.path().join("auth.log");
    std::fs::write(&log, "Jan 15 10:30:00 h sshd[1]: Accepted password for a from 192.0.2.1 port 22 ssh2\n").unwrap();
    let output = panoptes(home.path())
        .args(["scan", "--no-shipped-rules", "--format", "jsonl", "--fail-on", "high", "--rules"])
        .arg(&rules)
        .arg(&log)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "found something and was asked to fail on it");
    let found = json_lines(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["source"]["record"], 1);
    assert!(String::from_utf8_lossy(&output.stderr).contains("bad.yml"));
}

#[test]
fn normalize_explains_and_generate_feeds_it() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("out.log");
    let target = format!("file:{}", log.display());
    output_of(panoptes(home.path()).args(["generate", "--count", "50", "--kind", "nginx", "--to", &target]));
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().count(), 50);
    let explained = output_of(panoptes(home.path()).args(["normalize", "--explain", "--limit", "1"]).arg(&log));
    for part in ["web_access", "http.response.status_code", "source.ip"] {
        assert!(explained.contains(part), "`{part}` is not in:\n{explained}");
    }
    let events = json_lines(&output_of(panoptes(home.path()).arg("normalize").arg(&log)));
    assert_eq!(events.len(), 50);
    assert!(events.iter().all(|it| it["event.dataset"].as_str().is_some_and(|it| it.ends_with("access"))));
}

#[test]
fn help_and_completions_are_there() {
    let home = tempfile::tempdir().unwrap();
    let commands = [
        "run",
        "demo",
        "scan",
        "import",
        "search",
        "sources",
        "entity",
        "alerts",
        "generate",
        "normalize",
        "rules",
        "config",
    ];
    for command in commands {
        let help = output_of(panoptes(home.path()).args([command, "--help"]));
        assert!(help.contains("Usage:"), "{command}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(output_of(panoptes(home.path()).args(["completions", shell])).contains("panoptes"));
    }
}

#[test]
fn small_segments_are_merged_at_once_and_nothing_is_lost() {
    let mut server = server();
    let segments = |server: &Server| {
        let names = std::fs::read_dir(server.data().join("segments")).into_iter().flatten();
        let names = names.map(|it| it.unwrap().file_name().into_string().unwrap());
        names.filter(|it| it.ends_with(".segment")).count()
    };
    for number in 0..3 {
        let line =
            format!("<38>Jan 15 10:30:0{number} h sshd[1]: Failed password for u{number} from 192.0.2.1 port 22 ssh2");
        assert_eq!(post(server.http(), "/logs", "text/plain", line.as_bytes()).unwrap().status, 200);
        wait_until(LIMIT, "a segment", || (segments(&server) > number).then_some(()));
        // It would merge them by itself before long.
        assert_eq!(server.stop(), Some(0));
        if number < 2 {
            server.restart();
        }
    }
    let said = output_of(&mut server.command("compact"));
    assert!(said.starts_with("3 segments merged into 1;"), "{said}");
    assert_eq!(output_of(&mut server.command("compact")), "nothing to merge\n");
    let mut users: Vec<_> = events(&server, "failed").iter().map(|it| it["user.name"].to_string()).collect();
    users.sort_unstable();
    assert_eq!(users, ["\"u0\"", "\"u1\"", "\"u2\""]);
    assert_eq!(segments(&server), 1);
    output_of(&mut server.command("verify"));
}
