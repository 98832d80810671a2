//! Time as a number: always passed in, never read here.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Nanoseconds since the Unix epoch, UTC. Covers the years 1677 to 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub const NANOS_PER_SECOND: i64 = 1_000_000_000;

    /// The instant `seconds` after the epoch; saturates at the ends of the range.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(Self::NANOS_PER_SECOND))
    }

    /// The instant `millis` milliseconds after the epoch; saturates at the ends of the range.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Whole seconds since the epoch, rounded towards the past.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(Self::NANOS_PER_SECOND)
    }

    /// `self` moved by `nanos`; saturates at the ends of the range.
    #[must_use]
    pub const fn saturating_add_nanos(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to `self`, negative if `earlier` is the later one; saturates.
    pub const fn nanos_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The UTC day as days since the epoch: the unit by which evidence is partitioned.
    pub const fn day(self) -> i32 {
        // i64 nanoseconds span 106,751 days either way, so this cannot truncate.
        self.0.div_euclid(86_400 * Self::NANOS_PER_SECOND) as i32
    }
}

impl From<jiff::Timestamp> for Timestamp {
    /// Saturates where `jiff`'s range (years -9999 to 9999) exceeds ours.
    fn from(value: jiff::Timestamp) -> Self {
        let nanos = value.as_nanosecond();
        Self(nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }
}

impl From<Timestamp> for jiff::Timestamp {
    fn from(value: Timestamp) -> Self {
        // Every i64 of nanoseconds lies within jiff's range.
        Self::from_nanosecond(i128::from(value.0)).unwrap_or(Self::UNIX_EPOCH)
    }
}

/// RFC 3339 in UTC with the shortest fraction that loses nothing: `2024-01-15T10:30:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&jiff::Timestamp::from(*self), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_prints_as_rfc_3339() {
        assert_eq!(Timestamp::from_seconds(1_705_314_600).to_string(), "2024-01-15T10:30:00Z");
        assert_eq!(Timestamp::from_millis(1_705_314_600_250).to_string(), "2024-01-15T10:30:00.25Z");
    }

    #[test]
    fn days_before_the_epoch_are_negative() {
        assert_eq!(Timestamp::from_seconds(-1).day(), -1);
        assert_eq!(Timestamp::from_seconds(86_400).day(), 1);
    }
}
