//! Turns [`Finding`](panoptes_model::Finding)s into [`AlertUpdate`](panoptes_model::AlertUpdate)s: what a rule says
//! again and again about the same entities becomes one alert with a count.
//!
//! # Where to look first
//! * [`Deduplicator`]: the whole stage, three calls ([`observe`](Deduplicator::observe) each finding of a frame,
//!   [`flush`](Deduplicator::flush) at its end, [`state`](Deduplicator::state) for a checkpoint).
//! * `dedup.rs`: what "the same thing again" means, and what is forgotten first.
//!
//! # Invariants
//! * No I/O, no threads, no clock: time is that of the findings, and `now` is an argument.
//! * The same findings in the same order, with the same frame borders, give the same updates, also after a restart
//!   from a checkpoint in between.
//! * Memory is bounded by [`ALERTS_LIVE_MAX`] and [`ALERTS_LIVE_BYTES_MAX`]. What is forgotten for it is counted and
//!   only ends the merging: the alert itself has long been handed on.
//! * Every finding is in exactly one alert, and the counts of all alerts add up to the counts of all findings.

mod dedup;

pub use crate::dedup::{
    ALERTS_LIVE_BYTES_MAX, ALERTS_LIVE_MAX, COOLDOWN_SECONDS_DEFAULT, Deduplicator, DeduplicatorOptions,
    DeduplicatorState,
};
