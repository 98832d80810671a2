//! What correlations forget when memory is full, in which order, and that nobody can make them forget cheaply.

use std::sync::Arc;

use crate::support::{Line, NOW, batch_of, rules_of, shown};
use panoptes_detect::{Checkpoint, Detector, DetectorOptions, RuleSet, WindowCounters, WindowOptions};
use panoptes_model::{Finding, FindingOrigin};

/// The least that an operator may choose: about 11,000 groups of one event.
const MEMORY_BYTES_MAX: usize = 1 << 20;
/// More groups than fit.
const TURNOVER: usize = 12_000;

const RULES: &str = "
title: Failed
name: failed
logsource: {product: linux, service: sshd}
detection: {selection: {event.outcome: failure}, condition: selection}
---
title: Accepted
name: accepted
logsource: {product: linux, service: sshd}
detection: {selection: {event.outcome: success}, condition: selection}
---
title: Guessing
correlation:
  type: event_count
  rules: [failed]
  group-by: [source.ip]
  timespan: 1h
  condition: {gte: 10}
---
title: Twice
correlation:
  type: event_count
  rules: [accepted]
  group-by: [user.name]
  timespan: 1h
  condition: {gte: 2}
";

struct Bench {
    rules: Arc<RuleSet>,
    detector: Detector,
    frame: u64,
    /// Invented addresses so far.
    invented: u32,
}

fn options() -> DetectorOptions {
    let windows = WindowOptions { memory_bytes_max: MEMORY_BYTES_MAX, ..WindowOptions::default() };
    DetectorOptions { windows, ..DetectorOptions::default() }
}

impl Bench {
    fn new(rules: &str) -> Self {
        let rules = rules_of(rules);
        Self { detector: Detector::new(Arc::clone(&rules), options()), rules, frame: 0, invented: 0 }
    }

    fn fold(&mut self, lines: &[Line<'_>]) -> Vec<Finding> {
        self.frame += 1;
        let batch = batch_of(&self.rules, self.frame, "test", lines);
        let mut findings = Vec::new();
        self.detector.fold(&mut findings, &batch, &self.rules.prepare(&batch), NOW, FindingOrigin::Live);
        let counters = self.counters();
        assert!(counters.memory_bytes <= MEMORY_BYTES_MAX as u64, "{counters:?}");
        findings
    }

    /// Events of addresses that nobody has seen before.
    fn flood(&mut self, time: i64, events: usize) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut left = events;
        while left > 0 {
            let count = left.min(8_192);
            left -= count;
            let lines: Vec<String> = (0..count)
                .map(|_| {
                    self.invented += 1;
                    let [a, b, c, d] = (0x0a00_0000 + self.invented).to_be_bytes();
                    failure(&format!("{a}.{b}.{c}.{d}"))
                })
                .collect();
            let lines: Vec<Line<'_>> = lines.iter().map(|it| (time, it.as_str())).collect();
            findings.extend(self.fold(&lines));
        }
        findings
    }

    fn counters(&self) -> WindowCounters {
        self.detector.counters().windows
    }

    fn restart(&mut self) {
        let bytes = postcard::to_stdvec(&self.detector.checkpoint()).unwrap();
        let checkpoint: Checkpoint = postcard::from_bytes(&bytes).unwrap();
        self.detector = Detector::restore(Arc::clone(&self.rules), options(), checkpoint);
    }
}

fn failure(ip: &str) -> String {
    format!("event.dataset=linux.sshd event.outcome=failure source.ip={ip}")
}

fn times<'t>(count: usize, time: i64, text: &'t str) -> Vec<Line<'t>> {
    vec![(time, text); count]
}

#[test]
fn memory_is_bounded_whatever_keys_are_invented_and_what_is_forgotten_is_counted() {
    let mut bench = Bench::new(RULES);
    assert!(bench.flood(0, 5 * TURNOVER).is_empty());
    let counters = bench.counters();
    assert_eq!(counters.groups + counters.groups_forgotten, 5 * TURNOVER as u64);
    assert!(counters.groups > TURNOVER as u64 / 2, "{counters:?}");
    // The last one is still there.
    let [a, b, c, d] = (0x0a00_0000 + bench.invented).to_be_bytes();
    let last = failure(&format!("{a}.{b}.{c}.{d}"));
    assert_eq!(bench.fold(&times(9, 1, &last)).len(), 1);
}

#[test]
fn a_group_that_is_nearly_full_outlives_many_times_what_memory_holds() {
    let mut bench = Bench::new(RULES);
    let (nearly, begun) = (failure("203.0.113.1"), failure("203.0.113.2"));
    assert!(bench.fold(&times(9, 0, &nearly)).is_empty());
    assert!(bench.fold(&times(1, 0, &begun)).is_empty());
    assert!(bench.flood(1, 40 * TURNOVER).is_empty());
    assert_eq!(shown(&bench.fold(&times(1, 2, &nearly))), ["Guessing 10 [source.ip=203.0.113.1] 0..2"]);
    assert!(bench.fold(&times(9, 2, &begun)).is_empty(), "it was forgotten: nine are not ten");
}

#[test]
fn a_group_that_was_nearly_full_long_ago_goes_before_those_of_today() {
    let mut bench = Bench::new(RULES);
    let nearly = failure("203.0.113.1");
    assert!(bench.fold(&times(9, 0, &nearly)).is_empty());
    assert!(bench.flood(20_000, 2 * TURNOVER).is_empty());
    let groups = bench.counters().groups;
    // Were it kept, it would have two runs of time, and an event of its old one would be told of.
    assert!(bench.fold(&times(1, 1, &nearly)).is_empty());
    assert_eq!(bench.counters().groups, groups);
}

#[test]
fn memory_full_of_nearly_full_groups_does_not_blind_the_rule_to_new_ones() {
    let mut bench = Bench::new(RULES);
    for group in 0..8_000 {
        let line = failure(&format!("172.16.{}.{}", group / 250, group % 250));
        assert!(bench.fold(&times(9, 0, &line)).is_empty());
    }
    let newcomer = failure("203.0.113.1");
    let mut findings = Vec::new();
    for time in 1..=10 {
        findings.extend(bench.fold(&times(1, time, &newcomer)));
        findings.extend(bench.flood(time, 20));
    }
    assert_eq!(shown(&findings), ["Guessing 10 [source.ip=203.0.113.1] 1..10"]);
}

#[test]
fn a_flood_in_one_rule_costs_no_other_rule_a_group() {
    let mut bench = Bench::new(RULES);
    let users: Vec<String> =
        (0..500).map(|it| format!("event.dataset=linux.sshd event.outcome=success user.name=u{it}")).collect();
    let once = |time| users.iter().map(|it| (time, it.as_str())).collect::<Vec<Line<'_>>>();
    assert!(bench.fold(&once(0)).is_empty());
    bench.flood(1, 10 * TURNOVER);
    assert_eq!(bench.fold(&once(2)).len(), users.len());
}

#[test]
fn a_group_that_is_forgotten_still_tells_what_it_had_to_tell() {
    let mut bench = Bench::new(RULES);
    let guessing = failure("203.0.113.1");
    let invented: Vec<String> =
        (0..3 * TURNOVER).map(|it| failure(&format!("10.{}.{}.{}", it >> 16, it >> 8 & 255, it & 255))).collect();
    // All in one frame: it is forgotten before the frame ends, being told of at the level of those that hold.
    let mut lines = times(10, 0, &guessing);
    for _ in 0..8 {
        lines.extend(invented.iter().map(|it| (1, it.as_str())));
    }
    let found = bench.fold(&lines);
    assert_eq!(shown(&found), ["Guessing 10 [source.ip=203.0.113.1] 0..0"]);
}

#[test]
fn a_restart_while_memory_is_full_changes_nothing() {
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let rules = RULES.replace("timespan: 1h", "timespan: 10m").replace("gte: 10", "gte: 4");
    let (mut whole, mut restarted) = (Bench::new(&rules), Bench::new(&rules));
    let mut findings = 0;
    for frame in 0..40_i64 {
        let lines: Vec<(i64, String)> = (0..4_000)
            .map(|_| {
                // Few that come often, many that come rarely, some late.
                let key = if random(4) == 0 { random(3_000) } else { 10_000 + random(60_000) };
                (frame * 20 - (random(900) as i64 - 600).max(0), failure(&format!("10.0.{}.{}", key >> 8, key & 255)))
            })
            .collect();
        let lines: Vec<Line<'_>> = lines.iter().map(|(time, text)| (*time, text.as_str())).collect();
        let (a, b) = (whole.fold(&lines), restarted.fold(&lines));
        assert_eq!(a, b, "frame {frame}");
        assert_eq!(whole.counters(), restarted.counters(), "frame {frame}");
        findings += a.len();
        restarted.restart();
    }
    assert!(findings > 100 && whole.counters().groups_forgotten > 10_000, "{:?}", whole.counters());
}

#[test]
fn one_group_cannot_take_all_memory() {
    let mut bench = Bench::new(
        &RULES
            .replace("type: event_count", "type: value_count")
            .replace("{gte: 10}", "{gte: 10, field: user.name}")
            .replace("{gte: 2}", "{gte: 2, field: source.ip}"),
    );
    let other = failure("203.0.113.2");
    let other: Vec<String> = (0..9).map(|it| format!("{other} user.name=u{it}")).collect();
    let other: Vec<Line<'_>> = other.iter().map(|it| (0, it.as_str())).collect();
    assert!(bench.fold(&other).is_empty());
    let ip = failure("203.0.113.1");
    for frame in 0..5 {
        let lines: Vec<String> = (0..6_000).map(|it| format!("{ip} user.name=somebody-{frame}-{it}")).collect();
        let lines: Vec<Line<'_>> = lines.iter().map(|it| (1, it.as_str())).collect();
        bench.fold(&lines);
    }
    let counters = bench.counters();
    assert!(counters.values_forgotten > 10_000, "{counters:?}");
    let tenth = format!("{} user.name=u9", failure("203.0.113.2"));
    assert_eq!(bench.fold(&[(2, &tenth)]).len(), 1, "the other group is still there");
}

/// Every type, with far more events in one group than are kept one by one, some of them late.
#[test]
fn a_restart_in_a_crowded_group_changes_nothing() {
    for (kind, condition) in [
        ("event_count", "{gte: 1500}"),
        ("value_count", "{gte: 700, field: amount}"),
        ("value_sum", "{gte: 600000, field: amount}"),
        ("value_avg", "{gt: 400, field: amount}"),
        ("value_median", "{gt: 400, field: amount}"),
        ("value_percentile", "{gt: 850, field: amount, percentile: 95}"),
        ("temporal", "{gte: 2}"),
    ] {
        for window in ["sliding", "tumbling", "session\n  gap: 15s"] {
            let rules = format!(
                "{}---\ntitle: Crowd\ncorrelation:\n  type: {kind}\n  rules: [failed, accepted]\n  group-by: [source.ip]\n  timespan: 60s\n  window: {window}\n  condition: {condition}\n",
                RULES.split("---\ntitle: Guessing").next().unwrap()
            );
            let (mut whole, mut restarted) = (Bench::new(&rules), Bench::new(&rules));
            let mut state = 3_u64;
            let mut random = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            let mut findings = 0;
            for frame in 0..30_i64 {
                let lines: Vec<(i64, String)> = (0..400)
                    .map(|_| {
                        let late = if random(5) == 0 { random(200) as i64 } else { 0 };
                        let outcome = if random(50) == 0 { "success" } else { "failure" };
                        // Now high, now low.
                        let amount = random(500) + if frame % 8 < 4 { 400 } else { 0 };
                        let pause = if frame % 10 == 9 { 5 } else { 0 };
                        (
                            frame * 14 - late + pause,
                            format!(
                                "event.dataset=linux.sshd event.outcome={outcome} source.ip=203.0.113.1 amount={amount}"
                            ),
                        )
                    })
                    .collect();
                let lines: Vec<Line<'_>> = lines.iter().map(|(time, text)| (*time, text.as_str())).collect();
                let (a, b) = (whole.fold(&lines), restarted.fold(&lines));
                assert_eq!(a, b, "{kind} {window} frame {frame}");
                assert_eq!(whole.counters(), restarted.counters(), "{kind} {window} frame {frame}");
                findings += a.len();
                restarted.restart();
            }
            assert!(findings > 0, "{kind} {window}");
        }
    }
}
