//! Turns [`Event`](panoptes_model::Event)s into [`Finding`](panoptes_model::Finding)s: claims with evidence.
//!
//! In go rule files (Sigma, as text) and event batches; out come findings. `docs/sigma.md` is for rule writers.
//!
//! # Where to look first
//! * [`RuleSet`]: [`compile`](RuleSet::compile) all files, then [`prepare`](RuleSet::prepare) batches on any core.
//! * [`Detector`]: [`fold`](Detector::fold) batches in log order; everything that remembers is behind it.
//! * `sigma/`: single-event rules. `window/`: correlations. `anomaly/`: what is merely unusual. `behaviour/`:
//!   what is unusual for whom.
//! * [`testing`]: runs the test file beside a rule.
//!
//! # Invariants
//! * No I/O, no threads, no clock: time comes with the events, and the frame's `now` is an argument.
//! * The same events in the same order with the same frame borders give the same findings, also after a restart from
//!   a checkpoint in between.
//! * Memory is bounded by the `*_MAX` constants of `window/` and `anomaly/` and by the budget of `behaviour/`; what is
//!   forgotten is counted.
//! * Rules cannot fail at run time: all that can be wrong with them is found by [`RuleSet::compile`].
//! * The counts of a rule's findings add up to distinct events: a follow-up finding counts only what is new.

mod anomaly;
mod behaviour;
mod detector;
mod finding;
mod prepare;
mod rules;
mod sigma;
mod stored;
pub mod testing;
mod window;

pub use crate::anomaly::{NEVER_SEEN_RULE_ID, NeverSeenCounters, NeverSeenOptions};
pub use crate::behaviour::{BEHAVIOUR_RULE_IDS, BehaviourCounters, BehaviourOptions, EntityCounters};
pub use crate::detector::{Checkpoint, Detector, DetectorCounters, DetectorOptions};
pub use crate::prepare::Hits;
pub use crate::rules::{
    CompileOptions, CorrelationMeta, RULE_FILE_BYTES_MAX, RULES_MAX, RuleError, RuleFile, RuleMeta, RuleSet,
};
pub use crate::sigma::{Explanation, Reach, Reason};
pub use crate::window::{TRACKS_MAX, WindowCounters, WindowOptions};
