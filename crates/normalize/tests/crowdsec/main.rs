//! The score over CrowdSec's hub: how many of the fields that its parsers read out of a line are fields of our event.
//!
//! `parser.assert` states fields of lines under CrowdSec's names; `names.toml` says what they are called in ECS and which
//! of them state no fact of the line. A field that several names state counts once per line. The score is the mean over
//! the tests.

mod assertions;
mod corpus;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use crate::table::Verdict;

/// The least that the mean over the tests may be.
const FLOOR: f64 = 0.85;

/// Of one test.
#[derive(Default)]
struct Score {
    right: usize,
    all: usize,
    /// How many of them are stated under a name that the table does not know.
    unlisted: usize,
    left_out: usize,
    lost: usize,
    misses: BTreeMap<String, (usize, String)>,
}

/// The value of `key` in the few flat lines of a `config.yaml`.
fn option<'t>(config: &'t str, key: &str) -> &'t str {
    let value = config.lines().find_map(|it| it.strip_prefix(key)?.trim_start().strip_prefix(':'));
    value.unwrap_or("").trim().trim_matches(['"', '\''])
}

fn score(test: &str, statements: &str) -> Option<Score> {
    let config = corpus::read(&format!("{test}/config.yaml"))?;
    let path = format!("{test}/{}", option(&config, "log_file"));
    let text = corpus::read(&path)?;
    let lines: Vec<&str> = text.lines().filter(|it| !it.trim().is_empty()).collect();
    let stated = assertions::read(statements, &lines);
    let events = corpus::normalize(&path, &lines);
    let mut score = Score { lost: stated.lost, ..Score::default() };
    for (index, facts) in &stated.by_line {
        let (Some(event), Some(line)) = (events.event(*index), lines.get(*index)) else { continue };
        let mut seen = BTreeSet::new();
        for (name, fact) in facts {
            let (verdict, row) = table::judge(event, line, option(&config, "log_type"), name, fact);
            let Verdict::Counts { right, listed } = verdict else {
                score.left_out += 1;
                continue;
            };
            let once =
                if listed { (row, String::new(), fact.value.clone()) } else { (row, name.clone(), String::new()) };
            if !seen.insert(once) {
                continue;
            }
            score.all += 1;
            score.right += usize::from(right);
            score.unlisted += usize::from(!listed);
            if !right {
                let miss = score.misses.entry(name.clone()).or_default();
                miss.0 += 1;
                if miss.0 == 1 {
                    miss.1 = format!("{:?} in line {}: {}", fact.value, index + 1, table::shown(event));
                }
            }
        }
    }
    Some(score)
}

#[test]
fn what_crowdsecs_parsers_read_is_in_the_event() {
    let Ok(folder) = corpus::folder().read_dir() else {
        assert!(std::env::var_os("CI").is_none(), "no folder {}", corpus::folder().display());
        println!("skipped: there is no folder {}", corpus::folder().display());
        return;
    };
    let mut tests: Vec<String> =
        folder.filter_map(|it| Some(it.ok()?.file_name().to_string_lossy().into_owned())).collect();
    tests.sort();
    let (mut shares, mut right, mut all, mut unlisted, mut left_out, mut lost) = (Vec::new(), 0, 0, 0, 0, 0);
    for test in tests {
        let Some(score) = corpus::read(&format!("{test}/parser.assert")).and_then(|it| score(&test, &it)) else {
            continue;
        };
        lost += score.lost;
        left_out += score.left_out;
        if score.all == 0 {
            continue;
        }
        let share = score.right as f64 / score.all as f64;
        println!("  {test}: {share:.3} ({} of {})", score.right, score.all);
        for (name, (count, first)) in score.misses {
            println!("    {name} {count} times, first {first}");
        }
        shares.push(share);
        right += score.right;
        all += score.all;
        unlisted += score.unlisted;
    }
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    println!(
        "fields: {mean:.3} over {} tests ({right} of {all} stated fields; {unlisted} of them under names that the table \
         does not know; {left_out} state no fact of the line, {lost} events belong to no line)",
        shares.len(),
    );
    assert!(mean >= FLOOR, "{mean}");
}
