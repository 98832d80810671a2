//! What correlations count, when they fire, and what they forget.

use std::sync::Arc;

use crate::support::{Bench, Line, NOW, batch_of, rules_of, shown};
use panoptes_detect::{Checkpoint, Detector, DetectorOptions, RuleSet, TRACKS_MAX};
use panoptes_model::{EventBatch, Finding, FindingOrigin, FrameId, Timestamp};
use proptest::prelude::*;

const FAILED: &str = "
title: Failed
name: failed
logsource: {product: linux, service: sshd}
detection: {selection: {event.outcome: failure}, condition: selection}
level: informational
---
title: Accepted
name: accepted
logsource: {product: linux, service: sshd}
detection: {selection: {event.outcome: success}, condition: selection}
level: informational
";

fn with(correlations: &str) -> String {
    format!("{FAILED}{correlations}")
}

fn guessing(threshold: u64) -> String {
    with(&format!(
        "
---
title: Guessing
name: guessing
correlation:
  type: event_count
  rules: [failed]
  group-by: [source.ip]
  timespan: 100s
  condition: {{gte: {threshold}}}
level: high
---
title: Silent accepted
correlation: {{type: event_count, rules: [accepted], timespan: 1s, condition: {{gte: 1000}}}}
"
    ))
}

fn failure(ip: &str) -> String {
    format!("event.dataset=linux.sshd event.outcome=failure source.ip={ip}")
}

fn at<'t>(times: &[i64], text: &'t str) -> Vec<Line<'t>> {
    times.iter().map(|it| (*it, text)).collect()
}

#[test]
fn a_threshold_fires_once_and_then_counts_what_is_new() {
    let mut bench = Bench::new(&guessing(3));
    let a = failure("203.0.113.1");
    assert!(bench.fold(&at(&[0, 10], &a)).is_empty());
    let findings = bench.fold(&at(&[20, 30], &a));
    assert_eq!(shown(&findings), ["Guessing 4 [source.ip=203.0.113.1] 0..30"]);
    assert_eq!(findings[0].events.len(), 4);
    assert_eq!(findings[0].reason, "4 × Failed within 100s (at least 3) for source.ip 203.0.113.1");
    assert_eq!(shown(&bench.fold(&at(&[40], &a))), ["Guessing 1 [source.ip=203.0.113.1] 40..40"]);
    assert!(bench.fold(&at(&[400, 410], &a)).is_empty(), "the window has slid away");
    assert_eq!(shown(&bench.fold(&at(&[420], &a))), ["Guessing 3 [source.ip=203.0.113.1] 400..420"]);
}

#[test]
fn a_record_that_stands_for_several_counts_as_many_but_is_one_event() {
    let mut bench = Bench::new(&guessing(5));
    let a = failure("203.0.113.1");
    let repeated = format!("{a} panoptes.repeat=4");
    assert_eq!(shown(&bench.fold(&[(0, &a), (1, &repeated)])), ["Guessing 2 [source.ip=203.0.113.1] 0..1"]);
    let absurd = format!("{} panoptes.repeat=-9223372036854775808", failure("203.0.113.2"));
    assert!(bench.fold(&[(0, &absurd)]).is_empty());
}

#[test]
fn groups_are_counted_apart_and_events_without_the_field_not_at_all() {
    let mut bench = Bench::new(&guessing(2));
    let (a, b) = (failure("203.0.113.1"), failure("203.0.113.2"));
    let nobody = "event.dataset=linux.sshd event.outcome=failure";
    let found = bench.fold(&[(0, &a), (1, &b), (2, nobody), (3, nobody), (4, &b)]);
    assert_eq!(shown(&found), ["Guessing 2 [source.ip=203.0.113.2] 1..4"]);
    assert_eq!(bench.detector.counters().windows.without_field, 2);
}

#[test]
fn two_attacks_in_one_frame_are_two_findings_and_a_long_one_is_told_per_timespan() {
    let mut bench = Bench::new(&guessing(3));
    let a = failure("203.0.113.1");
    let found = bench.fold(&at(&[0, 1, 2, 3, 1000, 1001, 1002], &a));
    assert_eq!(
        shown(&found),
        ["Guessing 4 [source.ip=203.0.113.1] 0..3", "Guessing 3 [source.ip=203.0.113.1] 1000..1002"]
    );
    assert_ne!(found[0].id, found[1].id);
    let long: Vec<i64> = (2000..2350).step_by(10).collect();
    let found = bench.fold(&at(&long, &a));
    assert_eq!(found.iter().map(|it| it.count).sum::<u64>(), long.len() as u64);
    assert_eq!(found.len(), 3, "{:#?}", shown(&found));
}

#[test]
fn events_out_of_order_within_the_lateness_are_counted_and_later_ones_get_a_window_of_their_own() {
    let mut bench = Bench::new(&guessing(3));
    let a = failure("203.0.113.1");
    // 20 completes 0, 20, 90 although 350 has been seen: 330 s late is within 100 s + 300 s.
    assert!(bench.fold(&at(&[0, 90, 350], &a)).is_empty());
    assert_eq!(shown(&bench.fold(&at(&[20], &a))), ["Guessing 3 [source.ip=203.0.113.1] 0..90"]);
    assert_eq!(bench.detector.counters().windows.late, 0);
    // Years ago, in order: a track of its own, which the present does not disturb.
    let found = bench.fold(&[(-90_000, &a), (360, &a), (-89_990, &a), (370, &a), (-89_980, &a)]);
    assert_eq!(
        shown(&found),
        ["Guessing 3 [source.ip=203.0.113.1] 350..370", "Guessing 3 [source.ip=203.0.113.1] -90000..-89980"]
    );
    assert_eq!(bench.detector.counters().windows.late, 1);
}

#[test]
fn one_event_from_the_future_blinds_nothing() {
    let mut bench = Bench::new(&guessing(3));
    let a = failure("203.0.113.1");
    let now = NOW.as_seconds();
    // The batch cuts it to five minutes ahead of the clock.
    assert!(bench.fold(&at(&[now + 1_000_000], &a)).is_empty());
    let found = bench.fold(&at(&[now, now + 1, now + 2], &a));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].count >= 3);
}

#[test]
fn runs_of_time_are_bounded_and_what_is_forgotten_is_counted() {
    let mut bench = Bench::new(&guessing(2));
    let a = failure("203.0.113.1");
    for track in 0..TRACKS_MAX as i64 + 2 {
        assert!(bench.fold(&at(&[-track * 10_000], &a)).is_empty());
    }
    let counters = bench.detector.counters().windows;
    assert_eq!((counters.late, counters.tracks_forgotten), (TRACKS_MAX as u64 + 1, 2));
}

#[test]
fn groups_that_nobody_touches_give_their_memory_back() {
    let rules = rules_of(&guessing(3));
    let mut detector = Detector::new(Arc::clone(&rules), DetectorOptions::default());
    let line = failure("203.0.113.1");
    let batch = batch_of(&rules, 1, "test", &[(0, &line)]);
    let empty = batch_of(&rules, 2, "test", &[]);
    let mut groups_after = |batch: &EventBatch, seconds: i64| {
        let now = Timestamp::from_seconds(NOW.as_seconds() + seconds);
        detector.fold(&mut Vec::new(), batch, &rules.prepare(batch), now, FindingOrigin::Live);
        detector.counters().windows.groups
    };
    assert_eq!(groups_after(&batch, 0), 1);
    assert_eq!(groups_after(&empty, 3_600), 1);
    assert_eq!(groups_after(&empty, 3_600 + 500), 0);
    // A clock that jumps ages nothing by more than an hour, and one that goes back nothing at all.
    assert_eq!(groups_after(&batch, 4_000), 1);
    assert_eq!(groups_after(&empty, 86_400 * 365), 1);
    assert_eq!(groups_after(&empty, 0), 1);
    assert_eq!(groups_after(&empty, 500), 0);
    assert_eq!(detector.counters().windows.groups_forgotten, 0);
}

#[test]
fn different_values_are_counted_once_and_shown() {
    let mut bench = Bench::new(&with(
        "
---
title: Spraying
correlation:
  type: value_count
  rules: [failed]
  group-by: [source.ip]
  timespan: 100s
  condition: {field: user.name, gte: 3}
---
title: Silent accepted
correlation: {type: event_count, rules: [accepted], timespan: 1s, condition: {gte: 1000}}
",
    ));
    let line = |user: &str| format!("{} user.name={user}", failure("203.0.113.1"));
    let (root, admin, eve) = (line("root"), line("admin"), line("eve"));
    assert!(bench.fold(&[(0, &root), (1, &root), (2, &admin), (3, &root)]).is_empty());
    let found = bench.fold(&[(4, &eve), (5, &eve)]);
    assert_eq!(shown(&found), ["Spraying 6 [source.ip=203.0.113.1] 0..5"]);
    assert_eq!(
        (found[0].context[0].field.as_str(), found[0].context[0].value.as_str()),
        ("user.name", "admin, eve, root")
    );
    // root and admin leave the window; eve alone is no spraying.
    assert!(bench.fold(&[(104, &eve)]).is_empty());
}

#[test]
fn a_success_after_failures_needs_both_in_that_order() {
    let text = with(
        "
---
title: Guessing
name: guessing
correlation: {type: event_count, rules: [failed], group-by: [source.ip], timespan: 100s, condition: {gte: 3}}
---
title: Success after guessing
correlation: {type: temporal_ordered, rules: [guessing, accepted], group-by: [source.ip], timespan: 100s}
level: critical
",
    );
    let mut bench = Bench::new(&text);
    let (a, b) = (failure("203.0.113.1"), failure("203.0.113.2"));
    let success = a.replace("failure", "success");
    assert!(bench.fold(&[(0, &success), (1, &a), (2, &a)]).is_empty());
    assert!(bench.fold(&[(3, &a), (4, &b)]).is_empty(), "guessing alone is only counted");
    let found = bench.fold(&[(20, &success)]);
    assert_eq!(shown(&found), ["Success after guessing 5 [source.ip=203.0.113.1] 0..20"]);
    assert!(bench.fold(&[(21, &b.replace("failure", "success"))]).is_empty());
    assert!(bench.fold(&[(200, &success)]).is_empty(), "too long after");
}

#[test]
fn a_temporal_correlation_wants_all_rules_in_any_order() {
    let mut bench = Bench::new(&with(
        "
---
title: Both
correlation:
  type: temporal
  rules: [failed, accepted]
  aliases: {peer: {failed: source.ip, accepted: client.ip}}
  group-by: [peer]
  timespan: 10s
",
    ));
    let failed = failure("203.0.113.1");
    let accepted = "event.dataset=linux.sshd event.outcome=success client.ip=203.0.113.1";
    assert_eq!(shown(&bench.fold(&[(0, accepted), (10, &failed)])), ["Both 2 [peer=203.0.113.1] 0..10"]);
    assert!(bench.fold(&[(30, accepted)]).is_empty());
    assert_eq!(shown(&bench.fold(&[(31, &failed), (32, &failed)])), ["Both 3 [peer=203.0.113.1] 30..32"]);
}

#[test]
fn a_correlation_of_a_correlation_counts_how_often_it_began() {
    let mut bench = Bench::new(&with(
        "
---
title: Guessing
name: guessing
correlation: {type: event_count, rules: [failed], group-by: [source.ip, host.name], timespan: 10s, condition: {gte: 2}}
---
title: Many hosts
correlation:
  type: value_count
  rules: [guessing]
  group-by: [source.ip]
  timespan: 100s
  condition: {field: host.name, gte: 2}
---
title: Silent accepted
correlation: {type: event_count, rules: [accepted], timespan: 1s, condition: {gte: 1000}}
",
    ));
    let on = |host: &str| format!("{} host.name={host}", failure("203.0.113.1"));
    let (web, db) = (on("web"), on("db"));
    assert!(bench.fold(&[(0, &web), (1, &web), (2, &web), (3, &db)]).is_empty());
    assert_eq!(shown(&bench.fold(&[(4, &db)])), ["Many hosts 4 [source.ip=203.0.113.1] 1..4"]);
}

#[test]
fn rules_that_are_only_counted_are_silent_unless_the_correlation_generates() {
    let mut bench = Bench::new(&guessing(100));
    assert!(bench.fold(&at(&[0], &failure("203.0.113.1"))).is_empty());
    let mut bench = Bench::new(&guessing(100).replace("name: guessing\n", "name: guessing\ngenerate: true\n"));
    assert_eq!(shown(&bench.fold(&at(&[0], &failure("203.0.113.1")))), ["Failed 1 [source.ip=203.0.113.1] 0..0"]);
}

fn fold_all(rules: &Arc<RuleSet>, frames: &[Vec<Line<'_>>], checkpoint_after: Option<usize>) -> Vec<Finding> {
    let mut detector = Detector::new(Arc::clone(rules), DetectorOptions::default());
    let mut findings = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        if checkpoint_after == Some(index) {
            let bytes = postcard::to_stdvec(&detector.checkpoint()).unwrap();
            let checkpoint: Checkpoint = postcard::from_bytes(&bytes).unwrap();
            detector = Detector::restore(Arc::clone(rules), DetectorOptions::default(), checkpoint);
        }
        let batch = batch_of(rules, index as u64 + 1, "test", frame);
        detector.fold(&mut findings, &batch, &rules.prepare(&batch), NOW, FindingOrigin::Live);
    }
    findings
}

const MIXED: &str = "
---
title: Guessing
name: guessing
correlation: {type: event_count, rules: [failed], group-by: [source.ip], timespan: 60s, condition: {gte: 4}}
---
title: Spraying
correlation: {type: value_count, rules: [failed], group-by: [source.ip], timespan: 60s, condition: {field: user.name, gte: 3}}
---
title: Success after guessing
generate: true
correlation: {type: temporal_ordered, rules: [guessing, accepted], group-by: [source.ip], timespan: 60s}
";

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_checkpoint_changes_nothing_and_neither_does_a_second_run(
        events in prop::collection::vec((0_i64..600, 0_u8..4, 0_u8..5, 0_u8..6), 1..200),
        frame_length in 1_usize..40,
        after in 0_usize..10,
    ) {
        let rules = rules_of(&with(MIXED));
        let lines: Vec<String> = events.iter().map(|(_, ip, user, outcome)| {
            let outcome = if *outcome == 0 { "success" } else { "failure" };
            format!("event.dataset=linux.sshd event.outcome={outcome} source.ip=10.0.0.{ip} user.name=u{user}")
        }).collect();
        let lines: Vec<Line<'_>> = events.iter().zip(&lines).map(|((time, ..), text)| (*time, text.as_str())).collect();
        let frames: Vec<Vec<Line<'_>>> = lines.chunks(frame_length).map(<[_]>::to_vec).collect();
        let whole = fold_all(&rules, &frames, None);
        prop_assert_eq!(&whole, &fold_all(&rules, &frames, None));
        prop_assert_eq!(&whole, &fold_all(&rules, &frames, Some(after)));
        let mut ids: Vec<_> = whole.iter().map(|it| it.id).collect();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), whole.len(), "every finding has an id of its own");
    }

    #[test]
    fn a_threshold_fires_exactly_for_the_groups_that_reach_it_in_any_order(
        events in prop::collection::vec((0_i64..250, 0_u8..3), 1..60),
        frame_length in 1_usize..20,
    ) {
        let rules = rules_of(&guessing(5));
        let lines: Vec<String> = events.iter().map(|(_, ip)| failure(&format!("10.0.0.{ip}"))).collect();
        let lines: Vec<Line<'_>> = events.iter().zip(&lines).map(|((time, _), text)| (*time, text.as_str())).collect();
        let frames: Vec<Vec<Line<'_>>> = lines.chunks(frame_length).map(<[_]>::to_vec).collect();
        let findings = fold_all(&rules, &frames, None);
        for group in 0..3_u8 {
            let times: Vec<i64> = events.iter().filter(|(_, ip)| *ip == group).map(|(time, _)| *time).collect();
            // An event rests in a finding exactly if some window of 100 s with it holds five.
            let in_full_window = |time: i64| times.iter().any(|end| {
                (time..=time + 100).contains(end) && times.iter().filter(|it| (end - 100..=*end).contains(*it)).count() >= 5
            });
            let expected = times.iter().filter(|time| in_full_window(**time)).count() as u64;
            let address = format!("10.0.0.{group}");
            let told: u64 = findings.iter().filter(|it| it.entities[0].value == address).map(|it| it.count).sum();
            prop_assert_eq!(told, expected);
        }
    }
}

#[test]
fn a_changed_rule_set_keeps_the_state_of_unchanged_rules_only() {
    let mut bench = Bench::new(&guessing(3));
    let a = failure("203.0.113.1");
    bench.fold(&at(&[0, 1], &a));
    bench.rules = rules_of(
        &(guessing(3) + "---\ntitle: Other\nlogsource: {product: aws}\ndetection: {s: {a: b}, condition: s}\n"),
    );
    bench.detector.replace_rules(Arc::clone(&bench.rules));
    assert_eq!(bench.fold(&at(&[2], &a)).len(), 1, "the state of the unchanged rule is kept");
    let changed = guessing(3).replace("timespan: 100s", "timespan: 101s");
    bench.rules = rules_of(&changed);
    bench.detector.replace_rules(Arc::clone(&bench.rules));
    assert!(bench.fold(&at(&[3, 4], &a)).is_empty(), "that of a changed one is dropped");
    assert_eq!(bench.fold(&at(&[5], &a))[0].count, 3);
}

#[test]
fn hits_of_another_rule_set_are_made_anew() {
    let rules = rules_of(&guessing(1));
    let other = rules_of("title: x\nlogsource: {product: aws}\ndetection: {s: {a: b}, condition: s}\n");
    let line = failure("203.0.113.1");
    let batch = batch_of(&rules, 1, "test", &[(0, &line)]);
    let mut detector = Detector::new(rules, DetectorOptions::default());
    let mut findings = Vec::new();
    detector.fold(&mut findings, &batch, &other.prepare(&batch), NOW, FindingOrigin::Scan);
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].origin, findings[0].events[0].frame), (FindingOrigin::Scan, FrameId(1)));
}
