//! Messages of a kind that their source has never written.

use std::sync::Arc;

use crate::support::{Bench, Line, NOW, batch_of, rules_of};
use panoptes_detect::{Checkpoint, Detector, DetectorOptions, NEVER_SEEN_RULE_ID, NeverSeenOptions};
use panoptes_model::{Finding, FindingOrigin};

const NO_RULES: &str = "title: t\nlogsource: {product: none}\ndetection: {s: {a: b}, condition: s}\n";
const HOUR: i64 = 3_600;

fn bench() -> Bench {
    let mut bench = Bench::new(NO_RULES);
    let never_seen = NeverSeenOptions { learn_events: 20, learn_seconds: 3_600, findings_per_hour_max: 3 };
    bench.detector =
        Detector::new(Arc::clone(&bench.rules), DetectorOptions { never_seen, ..DetectorOptions::default() });
    bench
}

fn said(message: &str) -> String {
    format!("event.dataset=linux.syslog service.name=app message={message}")
}

/// Thirty usual messages over more than an hour.
fn learn(bench: &mut Bench, source: &str) -> Vec<Finding> {
    let lines: Vec<String> = (0..30).map(|it| said(&format!("job_{it}_done_in_{it}ms"))).collect();
    let lines: Vec<Line<'_>> = lines.iter().zip(0..).map(|(text, index)| (index * 150, text.as_str())).collect();
    bench.fold_from(source, &lines)
}

#[test]
fn a_new_kind_of_message_is_told_once_and_only_after_learning() {
    let mut bench = bench();
    let new = said("disk_sda_is_failing");
    assert!(bench.fold(&[(0, &new)]).is_empty(), "nothing is known yet");
    assert!(learn(&mut bench, "test").is_empty());
    assert!(bench.fold(&[(2 * HOUR, &new)]).is_empty(), "it was there while learning");
    let newer = said("disk_sdb_caught_fire");
    let found = bench.fold(&[(2 * HOUR, &newer), (2 * HOUR + 1, &newer)]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].rule.id, NEVER_SEEN_RULE_ID);
    assert_eq!(found[0].reason, "no message like `disk sdb caught fire` among the 32 before it");
    assert_eq!(found[0].entities.len(), 2, "{:?}", found[0].entities);
    // What varies is no news.
    assert!(bench.fold(&[(2 * HOUR, &said("job_99999_done_in_7ms"))]).is_empty());
}

#[test]
fn sources_learn_apart_and_both_time_and_number_must_have_passed() {
    let mut bench = bench();
    learn(&mut bench, "one");
    let new = said("something_else");
    assert!(bench.fold_from("two", &[(9 * HOUR, &new)]).is_empty());
    assert_eq!(bench.fold_from("one", &[(9 * HOUR, &new)]).len(), 1);
    // Many messages in one second teach no more than that second.
    let many = said("same");
    let lines: Vec<Line<'_>> = (0..100).map(|_| (0, many.as_str())).collect();
    bench.fold_from("three", &lines);
    assert!(bench.fold_from("three", &[(10, &new)]).is_empty());
}

#[test]
fn findings_are_limited_per_hour_and_the_rest_is_counted() {
    let mut bench = bench();
    learn(&mut bench, "test");
    let words = ["alpha", "beta", "gamma", "delta", "epsilon"].map(|it| said(&format!("new_{it}")));
    let at = |time: i64| words.iter().map(|it| (time, it.as_str())).collect::<Vec<Line<'_>>>();
    assert_eq!(bench.fold(&at(5 * HOUR)).len(), 3);
    assert_eq!(bench.detector.counters().never_seen.suppressed, 2);
    assert_eq!(bench.fold(&[(6 * HOUR, &said("new_zeta"))]).len(), 1, "another hour");
}

#[test]
fn access_logs_and_events_without_a_message_have_no_patterns() {
    let mut bench = bench();
    for dataset in ["nginx.access", "apache.error", "web.access"] {
        let line = format!("event.dataset={dataset} message=hello");
        let lines: Vec<Line<'_>> = (0..100).map(|it| (it * 100, line.as_str())).collect();
        assert!(bench.fold(&lines).is_empty());
        assert!(bench.fold(&[(20_000, &format!("event.dataset={dataset} message=never_seen"))]).is_empty());
    }
    assert!(bench.fold(&[(20_000, "event.dataset=json level=info")]).is_empty());
}

#[test]
fn a_source_that_says_something_new_all_the_time_is_given_up() {
    let mut bench = bench();
    let word = |mut number: usize| {
        let mut word = String::new();
        for _ in 0..5 {
            word.push((b'g' + (number % 20) as u8) as char);
            number /= 20;
        }
        word
    };
    let lines: Vec<String> = (0..20_000).map(|it| said(&word(it))).collect();
    let lines: Vec<Line<'_>> = lines.iter().map(|text| (0, text.as_str())).collect();
    for lines in lines.chunks(4_000) {
        bench.fold(lines);
    }
    assert_eq!(bench.detector.counters().never_seen.sources_too_varied, 1);
    assert!(bench.fold(&[(9 * HOUR, &said("entirely_new"))]).is_empty());
}

#[test]
fn sources_are_bounded_and_the_quietest_is_forgotten() {
    let mut bench = bench();
    learn(&mut bench, "first");
    learn(&mut bench, "second");
    let line = said("hello");
    for source in 0..255 {
        bench.fold_from(&format!("s{source}"), &[(0, &line)]);
    }
    assert_eq!(bench.detector.counters().never_seen.sources_forgotten, 1);
    let new = said("something_else");
    assert_eq!(bench.fold_from("second", &[(9 * HOUR, &new)]).len(), 1, "it is still known");
    assert!(bench.fold_from("first", &[(9 * HOUR, &new)]).is_empty(), "it learns anew");
}

#[test]
fn a_checkpoint_keeps_what_was_learnt() {
    let mut bench = bench();
    learn(&mut bench, "test");
    let bytes = postcard::to_stdvec(&bench.detector.checkpoint()).unwrap();
    let checkpoint: Checkpoint = postcard::from_bytes(&bytes).unwrap();
    let rules = rules_of(NO_RULES);
    let never_seen = NeverSeenOptions { learn_events: 20, ..NeverSeenOptions::default() };
    let options = DetectorOptions { never_seen, ..DetectorOptions::default() };
    let mut restored = Detector::restore(Arc::clone(&rules), options, checkpoint);
    assert_eq!(postcard::to_stdvec(&restored.checkpoint()).unwrap(), bytes);
    let (old, new) = (said("job_4711_done_in_1ms"), said("something_else"));
    let batch = batch_of(&rules, 9, "test", &[(2 * HOUR, &old), (2 * HOUR, &new)]);
    let mut findings = Vec::new();
    restored.fold(&mut findings, &batch, &rules.prepare(&batch), NOW, FindingOrigin::Live);
    assert_eq!(findings.iter().map(|it| it.events[0].index).collect::<Vec<_>>(), [1]);
}
