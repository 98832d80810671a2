//! `panoptes scan` over the corpora: the addresses that it names against a count made without Panoptes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::support::{binary, json_lines, output_of};

fn scan(path: &Path, home: &Path) -> Vec<serde_json::Value> {
    let mut command = Command::new(binary());
    command.env_clear().env("HOME", home).arg("scan").arg(path).args(["--format", "jsonl"]);
    json_lines(&output_of(&mut command))
}

/// The addresses behind `Failed password … from ADDRESS port`, read with nothing but string search, and how many
/// tries of each fall into any five minutes.
fn guessers(text: &str) -> BTreeMap<String, usize> {
    let mut times: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for line in text.lines() {
        let repeated = line
            .split_once("message repeated ")
            .and_then(|(_, rest)| rest.split(' ').next()?.parse::<usize>().ok())
            .unwrap_or(1);
        let Some((_, rest)) = line.split_once("Failed password for ") else { continue };
        let Some((before, _)) = rest.rsplit_once(" port ") else { continue };
        let Some((_, address)) = before.rsplit_once(" from ") else { continue };
        let clock = line.split_whitespace().nth(2).expect("syslog lines have a clock");
        let day: i64 = line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).expect("and a day");
        let parts: Vec<i64> = clock.split(':').map(|it| it.parse().expect("of numbers")).collect();
        let seconds = day * 86_400 + parts[0] * 3_600 + parts[1] * 60 + parts[2];
        times.entry(address.to_owned()).or_default().extend(std::iter::repeat_n(seconds, repeated));
    }
    times
        .into_iter()
        .map(|(address, times)| {
            let most = times.iter().map(|end| times.iter().filter(|it| (end - 299..=*end).contains(it)).count()).max();
            (address, most.unwrap_or(0))
        })
        .collect()
}

#[test]
fn the_guessing_addresses_of_loghubs_openssh_log_are_named() {
    let Some(corpora) = panoptes_testkit::corpora() else { return };
    let home = tempfile::tempdir().unwrap();
    let path = corpora.join("loghub/OpenSSH/OpenSSH_2k.log");
    let found: BTreeSet<String> = scan(&path, home.path())
        .iter()
        .filter(|it| it["rule"]["title"] == "SSH password guessing")
        .map(|it| it["entities"]["source.ip"].as_str().expect("guessing names an address").to_owned())
        .collect();
    let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
    let counted = guessers(&text);
    let expected: BTreeSet<String> = counted.iter().filter(|it| *it.1 >= 6).map(|it| it.0.clone()).collect();
    let right = found.intersection(&expected).count();
    println!(
        "loghub OpenSSH: {} addresses named, {right} of them guessed six times or more within five minutes; {} such; \
         precision {:.3}, recall {:.3}",
        found.len(),
        expected.len(),
        right as f64 / found.len().max(1) as f64,
        right as f64 / expected.len().max(1) as f64
    );
    assert!(!expected.is_empty());
    assert_eq!(found, expected);
}

#[test]
fn the_apache_and_linux_logs_of_loghub_give_what_is_there() {
    let Some(corpora) = panoptes_testkit::corpora() else { return };
    let home = tempfile::tempdir().unwrap();
    for (name, must) in [("Linux", &["ssh"][..]), ("Apache", &[])] {
        let folder = corpora.join("loghub").join(name);
        let path = folder.join(format!("{name}_2k.log"));
        if !path.try_exists().unwrap() {
            println!("loghub has no {name} here");
            continue;
        }
        let mut titles: BTreeMap<String, usize> = BTreeMap::new();
        for finding in scan(&path, home.path()) {
            *titles.entry(finding["rule"]["title"].as_str().expect("a title").to_lowercase()).or_default() += 1;
        }
        println!("loghub {name}: {titles:?}");
        for word in must {
            assert!(titles.keys().any(|it| it.contains(word)), "{name}: nothing about {word}");
        }
    }
}
