//! Detectors that learn what is usual instead of being told what is bad.

mod never_seen;
mod pattern;

pub use self::never_seen::{NEVER_SEEN_RULE_ID, NeverSeenCounters, NeverSeenOptions};
pub(crate) use self::never_seen::{NeverSeen, NeverSeenState, meta as never_seen_meta};
pub(crate) use self::pattern::hash_of;
