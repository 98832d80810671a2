//! SigmaHQ over real events: the same pairs of an event and a rule.
//!
//! Some thousand events, spread evenly over all captures; all of them if `PANOPTES_ORACLE_FULL` is set.

use std::collections::BTreeMap;

use crate::corpora::corpora;
use crate::data::{sigma_rules, windows_captures};
use crate::engines::{Ours, Theirs, parsed, without_log_sources};
use crate::log_sources::LogSource;

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
    windows_captures(&corpora, |capture, lines| {
        let lines: Vec<&String> = lines.iter().step_by(stride()).collect();
        for lines in lines.chunks(EVENTS_AT_ONCE) {
            let said = ours.ask_objects(lines.iter().map(|it| it.as_str()));
            for (line, ours) in lines.iter().zip(said) {
                let theirs = theirs.ask(line);
                (events, pairs) = (events + 1, pairs + theirs.len());
                for id in ours.symmetric_difference(&theirs) {
                    let place = (ours.contains(id), id.clone());
                    wrong.entry(place).or_default().push(format!("{capture}: {line}"));
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

#[test]
fn an_event_is_only_what_its_channel_and_id_say() {
    let source = |product: &str, category: &str, service: &str| {
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        LogSource { product: part(product), category: part(category), service: part(service) }
    };
    let sysmon = "Microsoft-Windows-Sysmon/Operational";
    assert!(source("windows", "process_creation", "").can_be(sysmon, 1));
    assert!(source("windows", "process_creation", "").can_be("security", 4688));
    assert!(source("windows", "", "security").can_be("Security", 4688));
    assert!(!source("windows", "process_creation", "").can_be(sysmon, 3));
    assert!(!source("windows", "process_creation", "").can_be("System", 1));
    assert!(!source("windows", "", "sysmon").can_be("Security", 1));
    assert!(!source("linux", "process_creation", "").can_be(sysmon, 1));
    assert!(!source("zeek", "", "smb_files").can_be("Security", 5145));
    assert!(source("windows", "", "").can_be("whatever", 1));
    assert!(!source("windows", "", "no such service").can_be("Security", 1));
}
