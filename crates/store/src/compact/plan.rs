//! Which segments to merge next.

use std::collections::{BTreeMap, HashSet};

use panoptes_model::{FrameId, Timestamp};

use super::{BYTES_TARGET, FAN_IN_MAX, ROWS_TARGET};
use crate::manifest::Segment;

/// Files up to this size are of the lowest tier; each further tier is four times as large.
const TIER_BYTES: u64 = 64 << 10;
/// Of a day that still grows, so many of a tier are merged at once: each event is then written about once per tier.
const RUN_OF_TODAY: usize = 4;
/// Of a day that is over, any two of a tier: what comes late is little.
const RUN_OF_THE_PAST: usize = 2;
/// Of a day that is over but still gets events (an import, a sender that was cut off): as many as can be merged, so that
/// each event is written twice and not once for each neighbour that comes.
const RUN_OF_THE_UNSETTLED: usize = FAN_IN_MAX;
/// A day is over so long after its end.
const DAY_OVER_AFTER_NANOS: i64 = 3_600 * Timestamp::NANOS_PER_SECOND;

/// The segments to merge next, none of them in `left_out`; empty if there is nothing to do. Frames after `settled` came
/// lately: more of their days may come.
pub(super) fn next<'s>(
    segments: impl Iterator<Item = &'s Segment>,
    now: Timestamp,
    settled: FrameId,
    left_out: &HashSet<String>,
) -> Vec<&'s Segment> {
    // Runs of days (of made-up times) are not mixed with real days.
    let mut groups: BTreeMap<(i32, bool, &str, u32), Vec<&Segment>> = BTreeMap::new();
    for segment in segments {
        let is_small = segment.rows <= ROWS_TARGET / 2 && segment.bytes <= BYTES_TARGET / 2;
        if is_small && !left_out.contains(&segment.file) {
            let is_run = segment.time_max.day() != segment.day;
            groups.entry((segment.day, is_run, segment.class.as_str(), tier(segment.bytes))).or_default().push(segment);
        }
    }
    let over_before = Timestamp(now.0.saturating_sub(DAY_OVER_AFTER_NANOS)).day();
    let mut best: Vec<&Segment> = Vec::new();
    for ((day, ..), mut group) in groups {
        // Neighbours in the log are merged, so that what reads the log's order need not open everything.
        group.sort_by_key(|it| (it.frame_first, it.frame_last));
        let run = first_run(&group);
        let enough = match run.iter().all(|it| it.frame_last <= settled) {
            _ if day >= over_before => RUN_OF_TODAY,
            true => RUN_OF_THE_PAST,
            false => RUN_OF_THE_UNSETTLED,
        };
        if run.len() >= enough && run.len() > best.len() {
            best = run.to_vec();
        }
    }
    best
}

fn tier(bytes: u64) -> u32 {
    (bytes.max(1).div_ceil(TIER_BYTES)).next_power_of_two().ilog2().div_ceil(2)
}

/// As many from the front as fit into one segment.
fn first_run<'g, 's>(group: &'g [&'s Segment]) -> &'g [&'s Segment] {
    let (mut rows, mut bytes) = (0_u64, 0_u64);
    let fits = |it: &&&Segment| {
        rows = rows.saturating_add(it.rows);
        bytes = bytes.saturating_add(it.bytes);
        rows <= ROWS_TARGET && bytes <= BYTES_TARGET
    };
    let length = group.iter().take(FAN_IN_MAX).take_while(fits).count();
    group.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400 * Timestamp::NANOS_PER_SECOND;

    fn segment(frame: u64, day: i32, bytes: u64) -> Segment {
        let time = Timestamp(i64::from(day) * DAY);
        Segment {
            file: frame.to_string(),
            day,
            rows: 10,
            time_min: time,
            time_max: time,
            frame_first: FrameId(frame),
            frame_last: FrameId(frame),
            bytes,
            ..Segment::default()
        }
    }

    fn planned(segments: &[Segment], now: i64) -> Vec<u64> {
        next(segments.iter(), Timestamp(now), FrameId(u64::MAX), &HashSet::new())
            .iter()
            .map(|it| it.frame_first.0)
            .collect()
    }

    #[test]
    fn small_neighbours_of_one_day_and_class_are_merged() {
        let mut segments: Vec<Segment> = (1..=4).map(|n| segment(n, 3, 1000 * n)).collect();
        assert_eq!(planned(&segments, 3 * DAY + 5), [1, 2, 3, 4]);
        segments[1].class = "short".into();
        assert_eq!(planned(&segments, 3 * DAY + 5), [0; 0], "three are too few while the day grows");
        assert_eq!(planned(&segments, 4 * DAY + DAY_OVER_AFTER_NANOS - 1), [0; 0]);
        assert_eq!(planned(&segments, 4 * DAY + DAY_OVER_AFTER_NANOS), [1, 3, 4]);
        segments[2].day = 2;
        segments[3].time_max = Timestamp(9 * DAY);
        assert_eq!(planned(&segments, 9 * DAY), [0; 0]);
        assert_eq!(planned(&[], 0), [0; 0]);
    }

    #[test]
    fn a_past_day_that_still_gets_events_waits_until_many_can_be_merged_or_none_comes_any_more() {
        let segments: Vec<Segment> = (1..=FAN_IN_MAX as u64 + 1).map(|n| segment(n, 3, 9)).collect();
        let planned = |count: usize, day: i64, settled: u64| {
            let segments = segments.iter().take(count);
            next(segments, Timestamp(day * DAY), FrameId(settled), &HashSet::new()).len()
        };
        assert_eq!((planned(5, 9, 5), planned(5, 9, 4), planned(5, 3, 0)), (5, 0, 5));
        assert_eq!((planned(FAN_IN_MAX - 1, 9, 0), planned(FAN_IN_MAX + 1, 9, 0)), (0, FAN_IN_MAX));
    }

    #[test]
    fn large_ones_are_left_alone_and_sizes_are_not_mixed() {
        let sizes = [BYTES_TARGET / 2 + 1, 1, 40 << 20, 2, BYTES_TARGET];
        let segments: Vec<Segment> = (1..).zip(sizes).map(|(n, bytes)| segment(n, 3, bytes)).collect();
        assert_eq!(planned(&segments, 9 * DAY), [2, 4]);
        let mut many = segments[1].clone();
        many.rows = ROWS_TARGET / 2 + 1;
        assert_eq!(planned(&[many, segments[3].clone()], 9 * DAY), [0; 0]);
        let left_out = HashSet::from(["2".to_owned()]);
        assert!(next(segments.iter(), Timestamp(9 * DAY), FrameId(u64::MAX), &left_out).is_empty());
    }

    #[test]
    fn no_more_are_merged_than_fit_and_can_be_read_at_once() {
        let many: Vec<Segment> = (0..100).map(|n| segment(n, 3, 9)).collect();
        assert_eq!(planned(&many, 9 * DAY).len(), FAN_IN_MAX);
        let large: Vec<Segment> = (0..4).map(|n| segment(n, 3, BYTES_TARGET / 2)).collect();
        assert_eq!(planned(&large, 9 * DAY), [0, 1]);
    }

    #[test]
    fn a_day_of_small_segments_becomes_few_and_each_event_is_written_few_times() {
        let mut segments: Vec<Segment> = Vec::new();
        let mut written = 0;
        for frame in 0..3_000 {
            segments.push(segment(frame, 3, 100 << 10));
            let now = if frame < 2_999 { 3 * DAY } else { 9 * DAY };
            loop {
                let plan = planned(&segments, now);
                if plan.is_empty() {
                    break;
                }
                let merged: Vec<Segment> = segments.extract_if(.., |it| plan.contains(&it.frame_first.0)).collect();
                let bytes = merged.iter().map(|it| it.bytes).sum();
                written += bytes;
                let mut output = segment(plan[0], 3, bytes);
                output.rows = merged.iter().map(|it| it.rows).sum();
                segments.push(output);
            }
        }
        let all: u64 = segments.iter().map(|it| it.bytes).sum();
        assert_eq!(all, 3_000 * (100 << 10));
        assert!(segments.len() <= 14, "{}", segments.len());
        assert!(written <= 6 * all, "{written} of {all}");
    }
}
