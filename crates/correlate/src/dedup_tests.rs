use std::collections::BTreeMap;

use panoptes_model::{FindingId, FrameId, Severity};
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(5_000_000);
const HOUR: i64 = 3_600;

fn rule(id: &str) -> Arc<RuleSummary> {
    Arc::new(RuleSummary { id: id.to_owned(), title: "Guessing".to_owned(), level: Severity::High, tags: Vec::new() })
}

/// A finding at `second` about `who`, resting on the event of the same number.
fn finding(rule_id: &str, who: &str, id: u128, second: i64) -> Finding {
    Finding {
        id: FindingId(id),
        rule: rule(rule_id),
        time: Timestamp::from_seconds(second),
        first_seen: Timestamp::from_seconds(second),
        entities: vec![Entity { field: "source.ip".to_owned(), value: who.to_owned() }],
        context: Vec::new(),
        count: 1,
        events: vec![EventId { frame: FrameId(id as u64), index: 0 }],
        sample: format!("sample {id}"),
        reason: format!("reason {id}"),
        source: "auth.log".to_owned(),
        position: 0,
        origin: FindingOrigin::Live,
    }
}

/// One frame: what the deduplicator tells of `findings`.
fn frame(dedup: &mut Deduplicator, findings: &[Finding]) -> Vec<AlertUpdate> {
    let mut out = Vec::new();
    for finding in findings {
        dedup.observe(&mut out, finding, NOW);
    }
    dedup.flush(&mut out);
    out
}

/// `(id, opened, count, findings)` of each update.
fn told(updates: &[AlertUpdate]) -> Vec<(u128, bool, u64, u64)> {
    updates.iter().map(|it| (it.alert.id.0, it.opened, it.alert.count, it.alert.findings)).collect()
}

#[test]
fn findings_within_the_cool_down_are_one_alert() {
    let mut dedup = Deduplicator::default();
    assert_eq!(told(&frame(&mut dedup, &[finding("r", "a", 1, 0)])), [(1, true, 1, 1)]);
    let updates = frame(&mut dedup, &[finding("r", "a", 2, HOUR)]);
    assert_eq!(told(&updates), [(1, false, 2, 2)]);
    let alert = &updates[0].alert;
    assert_eq!((alert.first_seen.as_seconds(), alert.last_seen.as_seconds()), (0, HOUR));
    assert_eq!((alert.sample.as_str(), alert.reason.as_str(), alert.opened_at), ("sample 2", "reason 2", NOW));
    assert_eq!(alert.events.iter().map(|it| it.frame.0).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_finding_after_the_cool_down_opens_a_new_alert() {
    let mut dedup = Deduplicator::default();
    frame(&mut dedup, &[finding("r", "a", 1, 0)]);
    assert_eq!(told(&frame(&mut dedup, &[finding("r", "a", 2, HOUR + 1)])), [(2, true, 1, 1)]);
    // The cool-down counts from the newest event, so a steady attack stays one alert for ever.
    assert_eq!(told(&frame(&mut dedup, &[finding("r", "a", 3, 2 * HOUR)])), [(2, false, 2, 2)]);
    assert_eq!(told(&frame(&mut dedup, &[finding("r", "a", 4, 3 * HOUR)])), [(2, false, 3, 3)]);
}

#[test]
fn the_cool_down_is_an_option() {
    let options = DeduplicatorOptions { cooldown_seconds: 10, ..DeduplicatorOptions::default() };
    let mut dedup = Deduplicator::new(options);
    let findings = [finding("r", "a", 1, 0), finding("r", "a", 2, 10), finding("r", "a", 3, 21)];
    assert_eq!(told(&frame(&mut dedup, &findings)), [(1, true, 2, 2), (3, true, 1, 1)]);
}

#[test]
fn another_rule_another_entity_or_another_origin_is_another_alert() {
    let mut dedup = Deduplicator::default();
    let imported = Finding { origin: FindingOrigin::Import, ..finding("r", "a", 4, 0) };
    let findings = [finding("r", "a", 1, 0), finding("q", "a", 2, 0), finding("r", "b", 3, 0), imported];
    assert_eq!(told(&frame(&mut dedup, &findings)).len(), 4);
}

#[test]
fn all_findings_of_a_frame_are_one_update_per_alert_in_the_order_of_their_first() {
    let mut dedup = Deduplicator::default();
    let findings = [finding("r", "a", 1, 0), finding("r", "b", 2, 1), finding("r", "a", 3, 2)];
    assert_eq!(told(&frame(&mut dedup, &findings)), [(1, true, 2, 2), (2, true, 1, 1)]);
    assert_eq!(told(&frame(&mut dedup, &[])), []);
}

#[test]
fn counts_of_findings_add_up() {
    let mut dedup = Deduplicator::default();
    let first = Finding { count: 5, ..finding("r", "a", 1, 0) };
    let second = Finding { count: 1, ..finding("r", "a", 2, 1) };
    assert_eq!(told(&frame(&mut dedup, &[first, second])), [(1, true, 6, 2)]);
    let huge = Finding { count: u64::MAX, ..finding("r", "a", 3, 2) };
    assert_eq!(told(&frame(&mut dedup, &[huge])), [(1, false, u64::MAX, 3)]);
}

#[test]
fn a_late_finding_widens_the_span_and_leaves_the_newest_sample() {
    let mut dedup = Deduplicator::default();
    frame(&mut dedup, &[finding("r", "a", 1, 1_000)]);
    let updates = frame(&mut dedup, &[finding("r", "a", 2, 400)]);
    let alert = &updates[0].alert;
    assert_eq!((alert.id.0, alert.first_seen.as_seconds(), alert.last_seen.as_seconds()), (1, 400, 1_000));
    assert_eq!(alert.sample, "sample 1");
    assert_eq!(alert.events.iter().map(|it| it.frame.0).collect::<Vec<_>>(), [2, 1], "older evidence goes in front");
}

#[test]
fn streams_years_apart_that_alternate_stay_two_alerts() {
    let mut dedup = Deduplicator::default();
    let year = 365 * 24 * HOUR;
    for n in 0..10 {
        frame(&mut dedup, &[finding("r", "a", 2 * n + 1, n as i64), finding("r", "a", 2 * n + 2, year + n as i64)]);
    }
    let last = frame(&mut dedup, &[finding("r", "a", 21, 10), finding("r", "a", 22, year + 10)]);
    assert_eq!(told(&last), [(1, false, 11, 11), (2, false, 11, 11)]);
}

#[test]
fn a_finding_between_two_alerts_goes_to_the_later_one() {
    let mut dedup = Deduplicator::default();
    frame(&mut dedup, &[finding("r", "a", 1, 0), finding("r", "a", 2, 2 * HOUR)]);
    assert_eq!(told(&frame(&mut dedup, &[finding("r", "a", 3, HOUR)])), [(2, false, 2, 2)]);
}

#[test]
fn a_finding_with_the_id_of_a_live_alert_belongs_to_it_however_late() {
    let mut dedup = Deduplicator::default();
    frame(&mut dedup, &[finding("r", "a", 1, 0)]);
    assert_eq!(told(&frame(&mut dedup, &[finding("r", "a", 1, 5 * HOUR)])), [(1, false, 2, 2)]);
}

#[test]
fn evidence_is_bounded_and_never_doubled() {
    let mut dedup = Deduplicator::default();
    let window = |id: u128, numbers: std::ops::Range<u64>| Finding {
        events: numbers.map(|it| EventId { frame: FrameId(it), index: 0 }).collect(),
        ..finding("r", "a", id, id as i64)
    };
    let updates = frame(&mut dedup, &[window(1, 0..15), window(2, 10..25), window(3, 20..26)]);
    let numbers: Vec<_> = updates[0].alert.events.iter().map(|it| it.frame.0).collect();
    assert_eq!(numbers, (6..26).collect::<Vec<_>>());
    let updates = frame(&mut dedup, &[window(4, 100..200)]);
    let numbers: Vec<_> = updates[0].alert.events.iter().map(|it| it.frame.0).collect();
    assert_eq!(numbers, (180..200).collect::<Vec<_>>());
}

#[test]
fn the_alert_touched_longest_ago_is_forgotten_first_and_counted() {
    let options = DeduplicatorOptions { alerts_live_max: 2, ..DeduplicatorOptions::default() };
    let mut dedup = Deduplicator::new(options);
    frame(&mut dedup, &[finding("r", "a", 1, 0), finding("r", "b", 2, 1)]);
    frame(&mut dedup, &[finding("r", "a", 3, 2)]);
    frame(&mut dedup, &[finding("r", "c", 4, 3)]);
    assert_eq!((dedup.len(), dedup.evicted()), (2, 1));
    assert_eq!(told(&frame(&mut dedup, &[finding("r", "a", 5, 4)])), [(1, false, 3, 3)], "a was touched after b");
    assert_eq!(told(&frame(&mut dedup, &[finding("r", "b", 6, 5)])), [(6, true, 1, 1)], "b was forgotten");
}

#[test]
fn an_alert_forgotten_within_its_frame_is_told_all_the_same() {
    let options = DeduplicatorOptions { alerts_live_max: 1, ..DeduplicatorOptions::default() };
    let mut dedup = Deduplicator::new(options);
    let findings = [finding("r", "a", 1, 0), finding("r", "b", 2, 0), finding("r", "a", 3, 0)];
    assert_eq!(told(&frame(&mut dedup, &findings)), [(1, true, 1, 1), (2, true, 1, 1), (3, true, 1, 1)]);
}

#[test]
fn memory_is_bounded_in_bytes_too() {
    let options = DeduplicatorOptions { alerts_live_bytes_max: 20_000, ..DeduplicatorOptions::default() };
    let mut dedup = Deduplicator::new(options);
    for n in 0..1_000 {
        frame(&mut dedup, &[finding("r", &format!("host{n}"), n + 1, 0)]);
        assert!(dedup.memory_bytes() <= 20_000);
    }
    assert!(dedup.len() > 10);
    assert_eq!(dedup.evicted(), 1_000 - dedup.len() as u64);
    // One alert alone may be larger than the limit and is kept.
    let mut tiny =
        Deduplicator::new(DeduplicatorOptions { alerts_live_bytes_max: 0, ..DeduplicatorOptions::default() });
    frame(&mut tiny, &[finding("r", "a", 1, 0)]);
    assert_eq!(told(&frame(&mut tiny, &[finding("r", "a", 2, 1)])), [(1, false, 2, 2)]);
}

fn read_back(dedup: &Deduplicator) -> DeduplicatorState {
    serde_json::from_str(&serde_json::to_string(&dedup.state()).unwrap()).unwrap()
}

#[test]
fn a_checkpoint_reads_back_through_json() {
    let mut dedup = Deduplicator::default();
    frame(&mut dedup, &[finding("r", "a", 1, 0), finding("r", "b", 2, 1)]);
    let text = serde_json::to_string(&dedup.state()).unwrap();
    let restored = Deduplicator::restore(DeduplicatorOptions::default(), serde_json::from_str(&text).unwrap());
    assert_eq!(serde_json::to_string(&restored.state()).unwrap(), text);
    assert_eq!((restored.len(), restored.memory_bytes() > 0), (2, true));
    let shared: Vec<_> = restored.live.values().map(|it| Arc::as_ptr(&it.alert.rule)).collect();
    assert_eq!(shared[0], shared[1], "alerts of one rule share it again");
}

#[test]
fn a_checkpoint_with_more_alerts_than_the_limit_is_cut_to_it() {
    let mut dedup = Deduplicator::default();
    frame(&mut dedup, &[finding("r", "a", 1, 0), finding("r", "b", 2, 1)]);
    let options = DeduplicatorOptions { alerts_live_max: 1, ..DeduplicatorOptions::default() };
    let mut restored = Deduplicator::restore(options, read_back(&dedup));
    assert_eq!((restored.len(), restored.evicted()), (1, 1));
    assert_eq!(told(&frame(&mut restored, &[finding("r", "b", 3, 2)])), [(2, false, 2, 2)]);
}

#[test]
fn times_at_the_ends_of_the_range_do_not_overflow() {
    let mut dedup = Deduplicator::default();
    let at = |id, time| Finding { time, first_seen: time, ..finding("r", "a", id, 0) };
    let updates = frame(&mut dedup, &[at(1, Timestamp(i64::MIN)), at(2, Timestamp(i64::MAX)), at(3, Timestamp(0))]);
    assert_eq!(updates.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Nothing is lost or counted twice, and a restart from a checkpoint is not to be seen.
    #[test]
    fn counts_add_up_and_a_restart_changes_nothing(
        steps in prop::collection::vec((0..4u8, 0..20_000i64, 1..9u64, prop::bool::weighted(0.3)), 1..60),
        restart_at in 0..60usize,
        alerts_live_max in 1..6usize,
    ) {
        let options = DeduplicatorOptions { alerts_live_max, ..DeduplicatorOptions::default() };
        let mut steady = Deduplicator::new(options);
        let mut restarted = Deduplicator::new(options);
        let mut newest: BTreeMap<AlertId, Alert> = BTreeMap::new();
        let mut opened = 0;
        let (mut out, mut out_restarted) = (Vec::new(), Vec::new());
        for (n, (who, second, count, ends_frame)) in steps.iter().enumerate() {
            let finding = Finding { count: *count, ..finding("r", &who.to_string(), n as u128 + 1, *second) };
            steady.observe(&mut out, &finding, NOW);
            restarted.observe(&mut out_restarted, &finding, NOW);
            if *ends_frame {
                steady.flush(&mut out);
                restarted.flush(&mut out_restarted);
                if n >= restart_at {
                    restarted = Deduplicator::restore(options, read_back(&restarted));
                }
            }
        }
        steady.flush(&mut out);
        restarted.flush(&mut out_restarted);
        prop_assert_eq!(&out, &out_restarted);
        prop_assert_eq!(serde_json::to_string(&steady.state()).unwrap(), serde_json::to_string(&restarted.state()).unwrap());
        for update in out {
            opened += usize::from(update.opened);
            prop_assert_eq!(update.opened, !newest.contains_key(&update.alert.id));
            newest.insert(update.alert.id, update.alert);
        }
        prop_assert_eq!(opened, newest.len());
        prop_assert_eq!(newest.values().map(|it| it.count).sum::<u64>(), steps.iter().map(|it| it.2).sum::<u64>());
        prop_assert_eq!(newest.values().map(|it| it.findings).sum::<u64>(), steps.len() as u64);
        prop_assert!(steady.len() <= alerts_live_max);
        let recounted: usize = steady.live.values().map(|it| size_of_alert(&it.alert)).sum();
        prop_assert_eq!(recounted, steady.memory_bytes());
        prop_assert_eq!(steady.by_key.len(), steady.len());
        prop_assert_eq!(steady.by_touch.len(), steady.len());
    }
}
