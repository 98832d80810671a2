//! SigmaHQ over real events: the same pairs of an event and a rule.
//!
//! Some thousand events, spread evenly over all captures; all of them if `PANOPTES_ORACLE_FULL` is set.

use std::collections::BTreeMap;

use crate::corpora::corpora;
use crate::data::{sigma_rules, windows_captures};
use crate::engines::{Ours, Theirs, parsed, without_log_sources};

/// Every how many-th event is asked about.
const STRIDE: usize = 16;
/// How many events are asked about at once.
const EVENTS_AT_ONCE: usize = 1_024;
/// How many disagreements are told.
const TOLD_MAX: usize = 20;

fn stride() -> usize {
    if std::env::var_os("PANOPTES_ORACLE_FULL").is_some() { 1 } else { STRIDE }
}

#[test]
fn without_log_sources_sigmahq_matches_the_same_real_events() {
    let Some(corpora) = corpora() else { return };
    let (files, _) = without_log_sources(&sigma_rules(&corpora));
    let (ours, errors) = Ours::compile(files.clone());
    assert!(errors.is_empty(), "{errors:#?}");
    let theirs = Theirs::compile(&parsed(&files));
    let (mut events, mut pairs) = (0, 0);
    let mut wrong: BTreeMap<(bool, String), Vec<String>> = BTreeMap::new();
    windows_captures(&corpora, |capture| {
        let lines: Vec<&String> = capture.lines.iter().step_by(stride()).collect();
        for lines in lines.chunks(EVENTS_AT_ONCE) {
            let said = ours.ask_objects(lines.iter().map(|it| it.as_str()));
            for (line, ours) in lines.iter().zip(said) {
                let theirs = theirs.ask(line);
                (events, pairs) = (events + 1, pairs + theirs.len());
                for id in ours.symmetric_difference(&theirs) {
                    let place = (ours.contains(id), id.clone());
                    wrong.entry(place).or_default().push(format!("{}: {line}", capture.name));
                }
            }
        }
    });
    println!("real events, no log sources: {events} events, {pairs} pairs; {} rules disagree", wrong.len());
    assert!(pairs > events, "the corpus has events that match");
    let told: Vec<String> = wrong
        .iter()
        .take(TOLD_MAX)
        .map(|((we, id), events)| {
            let who = if *we { "only we match" } else { "only rsigma-eval matches" };
            format!("{who} {id} on {} events, the first {}", events.len(), events[0])
        })
        .collect();
    assert!(wrong.is_empty(), "{}", told.join("\n"));
}
