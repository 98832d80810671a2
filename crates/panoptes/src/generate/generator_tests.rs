use std::collections::{HashMap, HashSet};

use super::*;

const START: Timestamp = Timestamp::from_seconds(1_705_314_600);

fn options(mix: &str, dress: Dress, anomalies: bool) -> Options {
    Options { mix: mix.parse().unwrap(), dress, anomalies, zone: TimeZone::UTC }
}

/// `count` lines, the clock going on by `step_micros` with each.
fn lines(seed: u64, options: &Options, count: usize, step_micros: i64) -> (String, Generator) {
    let mut generator = Generator::new(seed, START, options);
    let mut out = Vec::new();
    for index in 0..count as i64 {
        generator.next(START.saturating_add_nanos(index * step_micros * 1_000), &mut out);
    }
    (String::from_utf8(out).unwrap(), generator)
}

#[test]
fn the_same_seed_writes_the_same_lines_and_another_does_not() {
    let options = Options::default();
    let (first, _) = lines(7, &options, 20_000, 500);
    assert_eq!(first.lines().count(), 20_000);
    assert!(first == lines(7, &options, 20_000, 500).0);
    assert!(first != lines(8, &options, 20_000, 500).0);
}

#[test]
fn web_lines_are_in_the_combined_format_and_of_some_250_bytes() {
    let (text, _) = lines(1, &options("nginx", Dress::Lines, false), 20_000, 200);
    let average = text.len() / 20_000;
    assert!((240..=265).contains(&average), "{average} bytes");
    for line in text.lines() {
        let parts: Vec<_> = line.split('"').collect();
        assert_eq!(parts.len(), 7, "{line}");
        let (address, rest) = parts[0].split_once(" - - [").unwrap();
        assert!(address.parse::<std::net::Ipv4Addr>().is_ok(), "{line}");
        assert!(rest.starts_with("15/Jan/2024:10:30:0") && rest.ends_with(" +0000] "), "{line}");
        assert!(parts[1].ends_with(" HTTP/1.1") && !parts[1].contains("  "), "{line}");
        let numbers: Vec<u32> = parts[2].split_whitespace().map(|it| it.parse().unwrap()).collect();
        assert!(matches!(numbers[..], [200..=599, _]), "{line}");
    }
}

#[test]
fn json_lines_are_objects_with_time_level_source_and_message() {
    let (text, generator) = lines(1, &options("json", Dress::Lines, true), 20_000, 200);
    assert!(generator.is_json());
    assert!(!generator.staged().is_empty());
    for line in text.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ["level", "source", "host", "message"] {
            assert!(object[key].is_string(), "{key} in {line}");
        }
        assert!(object["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{line}");
    }
    assert!(!Generator::new(1, START, &options("json,nginx", Dress::Lines, true)).is_json());
}

#[test]
fn lines_are_dressed_for_where_they_go() {
    let mix = "sshd,sudo,cron,system,nginx,json";
    let has_priority = |line: &str| line.starts_with('<') && line.find('>').is_some_and(|end| end <= 4);
    let (file, _) = lines(1, &options(mix, Dress::File, true), 5_000, 5_000);
    assert!(!file.lines().any(has_priority));
    let (stream, _) = lines(1, &options(mix, Dress::Lines, true), 5_000, 5_000);
    for line in stream.lines() {
        let is_bare = line.starts_with('{') || line.contains(" - - [");
        assert_eq!(has_priority(line), !is_bare, "{line}");
    }
    let (syslog, _) = lines(1, &options(mix, Dress::Syslog, true), 5_000, 5_000);
    for line in syslog.lines() {
        assert!(has_priority(line), "{line}");
        assert_eq!(line.split_once('>').unwrap().1.get(..10), Some("Jan 15 10:"), "{line}");
    }
    assert!(syslog.contains(" nginx: ") && syslog.contains(" orders: {"));
}

#[test]
fn every_kind_takes_its_share() {
    let (text, _) = lines(1, &options("nginx=70,json=30", Dress::Lines, false), 20_000, 200);
    let json = text.lines().filter(|line| line.starts_with('{')).count();
    assert!((5_600..6_400).contains(&json), "{json}");
    let (text, _) = lines(1, &Options { anomalies: false, ..Options::default() }, 50_000, 200);
    for sign in [
        " sshd[",
        " sudo: ",
        " CRON[",
        " kernel: [",
        " systemd[1]: ",
        " postgres ",
        "{\"timestamp\"",
        " HTTP/1.1\" 200 ",
    ] {
        assert!(text.contains(sign), "no line with {sign}");
    }
}

#[test]
fn stories_are_told_in_one_piece() {
    let (text, _) = lines(3, &options("sshd,sudo,cron,nginx", Dress::File, false), 20_000, 1_000);
    let mut told = 0;
    let all: Vec<_> = text.lines().collect();
    for pair in all.windows(2) {
        if pair[0].contains("Accepted ") {
            told += 1;
            let pid = pair[0].split_once("sshd[").and_then(|(_, rest)| rest.split(']').next()).unwrap();
            assert!(pair[1].contains(&format!("sshd[{pid}]: pam_unix(sshd:session): session opened")), "{pair:?}");
        }
    }
    assert!(told > 100);
}

/// The addresses that stagings are expected to be blamed on, one per staging that has one.
fn attackers(generator: &Generator) -> Vec<String> {
    let entities = generator.staged().iter().filter_map(|it| it.expected.first()?.entity.clone());
    entities.filter(|(field, _)| *field == "source.ip").map(|(_, value)| value).collect()
}

/// Groups of what a rule may count, with the most that a minute may hold.
fn signs(line: &str) -> Option<(&'static str, usize)> {
    let status = |code: &str| line.contains(&format!(" HTTP/1.1\" {code}"));
    if status("404") {
        Some(("404", 10))
    } else if status("4") {
        Some(("4xx", 4))
    } else if status("5") {
        Some(("5xx", 2))
    } else if line.contains("sshd[") && line.contains("Failed") {
        Some(("sshd failure", 2))
    } else if line.contains("incorrect password") || line.contains("authentication failure") {
        Some(("sudo failure", 1))
    } else if line.contains("\"level\":\"ERROR\"") {
        Some(("error", 2))
    } else {
        None
    }
}

#[test]
fn without_anomalies_failures_are_rare_at_any_rate() {
    // From 20 lines a second to 20,000.
    for (count, step_micros) in [(12_000, 50_000), (60_000, 2_000), (200_000, 50)] {
        let (text, generator) = lines(5, &Options { anomalies: false, ..Options::default() }, count, step_micros);
        assert!(generator.staged().is_empty());
        let minutes = (count as i64 * step_micros / 60_000_000 + 1) as usize;
        let mut counts: HashMap<_, usize> = HashMap::new();
        let mut addresses: HashMap<_, usize> = HashMap::new();
        for line in text.lines() {
            if let Some(sign) = signs(line) {
                *counts.entry(sign).or_default() += 1;
                if let Some(Ok(address)) = line.split(' ').next().map(str::parse::<std::net::Ipv4Addr>) {
                    *addresses.entry(address).or_default() += 1;
                }
            }
            assert!(!line.contains("203.0.113."), "only attackers come from there: {line}");
        }
        for ((sign, per_minute), found) in counts {
            assert!(found <= per_minute * minutes, "{sign}: {found} in {minutes} minutes at {step_micros} µs");
            assert!(found * 50 <= count, "{sign}: {found} of {count}");
        }
        assert!(addresses.values().filter(|found| **found > 3).count() == 0, "{addresses:?}");
    }
}

#[test]
fn without_anomalies_there_is_nothing_that_a_rule_looks_for() {
    let (text, _) = lines(5, &Options { anomalies: false, ..Options::default() }, 100_000, 1_000);
    let text = text.to_lowercase();
    for word in [
        "critical",
        "fatal",
        "emerg",
        "unauthorized",
        "denied",
        "attack",
        "exploit",
        "malware",
        "../",
        "%2e",
        "%27",
        "union",
        "select ",
        "<script",
        "%3c",
        "etc/passwd",
        "etc/shadow",
        ".env",
        ".git",
        "sqlmap",
        "nikto",
        "curl",
        "wget",
        "for root from",
        "not in sudoers",
        "useradd",
        "usermod",
        "invalid user",
        "/bin/bash",
        "/bin/sh",
        "segfault",
        "panic",
        "out of memory",
    ] {
        assert!(!text.contains(word), "`{word}` in {:?}", text.lines().find(|line| line.contains(word)));
    }
}

#[test]
fn people_log_in_from_one_address_each() {
    let (text, _) = lines(5, &options("sshd", Dress::File, false), 50_000, 1_000);
    let mut addresses: HashMap<_, HashSet<_>> = HashMap::new();
    for line in text.lines().filter(|line| line.contains("Accepted ")) {
        let words: Vec<_> = line.split(" for ").nth(1).unwrap().split(' ').collect();
        addresses.entry(words[0]).or_default().insert(words[2]);
    }
    assert_eq!(addresses.len(), 16);
    assert!(addresses.values().all(|it| it.len() == 1), "{addresses:?}");
}

#[test]
fn the_first_round_stages_every_attack_within_25_seconds_from_second_2() {
    // 50 lines a second, as the demo writes them.
    let (_, generator) = lines(1, &Options::default(), 25 * 50, 20_000);
    let staged = generator.staged();
    let names: Vec<_> = staged.iter().map(|it| it.to_string()).collect();
    assert_eq!(names, attacks::ALL.iter().map(|it| it.title).collect::<Vec<_>>());
    assert!(staged[0].started_at.nanos_since(START) / 1_000_000 - 2_000 < 40);
    for (attack, description) in staged.iter().zip(attacks::ALL) {
        assert!(attack.is_finished(), "{attack:?}");
        assert_eq!(attack.expected.len(), description.expected.len());
    }
    let attackers = attackers(&generator);
    assert!(attackers.len() > 6);
    assert_eq!(attackers.iter().collect::<HashSet<_>>().len(), attackers.len());
}

#[test]
fn all_lines_of_an_attack_come_out_between_everyday_ones() {
    let (text, generator) = lines(1, &Options { dress: Dress::File, ..Options::default() }, 60 * 500, 2_000);
    let guessing = &generator.staged()[0];
    let attacker = attackers(&generator)[0].clone();
    let all: Vec<_> = text.lines().collect();
    let places: Vec<_> = (0..all.len()).filter(|index| all[*index].contains(&format!(" {attacker} port "))).collect();
    assert_eq!(places.len(), guessing.lines_total);
    let (first, last) = (places[0], places[places.len() - 1]);
    assert!(last - first > 10 * places.len(), "everyday lines lie between");
    assert_eq!(guessing.expected[0].entity, Some(("source.ip", attacker)));
}

#[test]
fn attacks_come_by_the_number_of_lines_when_these_are_made_faster_than_told() {
    // All in one instant: as when a file is written at full speed.
    let (_, generator) = lines(1, &Options::default(), 100_000, 0);
    let finished = generator.staged().iter().filter(|it| it.is_finished()).count();
    assert!((10..=12).contains(&finished), "{finished}: 100,000 lines are 20 seconds");
}

#[test]
fn later_attacks_come_at_random_intervals_with_new_actors() {
    let (text, generator) = lines(1, &Options::default(), 600 * 20, 50_000);
    let staged = generator.staged();
    assert!((12 + 8..12 + 30).contains(&staged.len()), "{}", staged.len());
    let gaps: Vec<_> =
        staged[12..].windows(2).map(|it| it[1].started_at.nanos_since(it[0].started_at) / 1_000_000_000).collect();
    assert!(gaps.iter().all(|gap| (19..=61).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().collect::<HashSet<_>>().len() > 3, "{gaps:?}");
    let attackers = attackers(&generator);
    assert!(attackers.len() > 6);
    assert_eq!(attackers.iter().collect::<HashSet<_>>().len(), attackers.len());
    assert!(text.lines().count() == 12_000);
}

#[test]
fn only_attacks_on_the_chosen_kinds_are_staged() {
    let (text, generator) = lines(1, &options("nginx", Dress::Lines, true), 30 * 1_000, 1_000);
    assert!(generator.staged().iter().any(|it| it.to_string() == "web attack"));
    assert!(text.lines().all(|line| line.contains(" HTTP/1.1\" ")));
    assert!(lines(1, &options("cron", Dress::Lines, true), 30_000, 1_000).1.staged().is_empty());
}

#[test]
fn stagings_beyond_the_limit_are_not_remembered_but_happen() {
    // A clock that leaps a minute with each line starts an attack with nearly every one.
    let (text, generator) = lines(1, &options("system", Dress::Lines, true), 12_000, 60_000_000);
    let staged = generator.staged();
    assert_eq!(staged.len(), 10_000);
    assert!(staged.iter().filter(|it| !it.is_finished()).count() <= 16, "only so many are under way at once");
    assert_eq!(text.lines().count(), 12_000);
    assert!(text.lines().rev().take(100).any(|line| line.contains("integrityd")));
}

#[test]
fn a_mix_is_read_and_a_wrong_one_names_the_mistake() {
    let mix: Mix = "nginx=70, json=30".parse().unwrap();
    assert_eq!(mix.to_string(), "nginx=70,json=30");
    assert_eq!("sshd".parse::<Mix>().unwrap().to_string(), "sshd=1");
    assert_eq!("mixed".parse::<Mix>().unwrap(), Mix::default());
    for (text, cause) in [
        ("apache", "no kind of log is named `apache`: there are mixed, nginx, json, sshd, syslog, system, cron, sudo"),
        ("nginx=x", "the weight `x` of `nginx` is not a whole number up to 1000000"),
        ("nginx=0", "`nginx=0` leaves nothing to generate: give at least one kind a weight above 0"),
        ("", "no kind of log is named ``: there are mixed, nginx, json, sshd, syslog, system, cron, sudo"),
    ] {
        assert_eq!(text.parse::<Mix>().unwrap_err().to_string(), cause);
    }
}
