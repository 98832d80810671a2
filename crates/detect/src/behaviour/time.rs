//! Time as profiles keep it: whole seconds in four bytes.

use panoptes_model::Timestamp;
use serde::{Deserialize, Serialize};

pub(super) const MINUTE: u32 = 60;
pub(super) const HOUR: u32 = 3_600;
pub(super) const DAY: u32 = 86_400;

/// Seconds since the Unix epoch, UTC; what lies outside of 1970 to 2106 is at its nearer end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct At(pub(super) u32);

impl At {
    pub(super) fn of(time: Timestamp) -> Self {
        Self(u32::try_from(time.as_seconds().max(0)).unwrap_or(u32::MAX))
    }

    pub(super) fn timestamp(self) -> Timestamp {
        Timestamp::from_seconds(i64::from(self.0))
    }

    /// Days since the epoch.
    pub(super) fn day(self) -> u16 {
        (self.0 / DAY) as u16
    }

    pub(super) fn hour_of_day(self) -> usize {
        (self.0 % DAY / HOUR) as usize
    }

    /// Saturday or Sunday: the epoch was a Thursday.
    pub(super) fn is_weekend(self) -> bool {
        matches!((self.0 / DAY + 4) % 7, 0 | 6)
    }

    /// Seconds from `earlier`; 0 if that is the later one.
    pub(super) fn since(self, earlier: At) -> u32 {
        self.0.saturating_sub(earlier.0)
    }
}

/// `2026-11-21`
pub(super) fn day_text(day: u16) -> String {
    let text = At(u32::from(day) * DAY).timestamp().to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// `3 days`, `5 hours`, `12 minutes`, `40 seconds`: the largest unit that fits at least twice, or once exactly.
pub(super) fn span_text(seconds: u32) -> String {
    let (unit, name) = match seconds {
        it if it >= 2 * DAY || it == DAY => (DAY, "day"),
        it if it >= 2 * HOUR || it == HOUR => (HOUR, "hour"),
        it if it >= 2 * MINUTE || it == MINUTE => (MINUTE, "minute"),
        _ => (1, "second"),
    };
    let count = seconds / unit;
    if count == 1 { format!("1 {name}") } else { format!("{count} {name}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_week_and_hours_are_those_of_the_calendar() {
        // 2026-11-21 was a Saturday.
        let at = At::of("2026-11-21T18:30:00Z".parse::<jiff::Timestamp>().unwrap().into());
        assert_eq!((at.hour_of_day(), at.is_weekend(), day_text(at.day())), (18, true, "2026-11-21".to_owned()));
        assert!(At(at.0 + DAY).is_weekend() && !At(at.0 + 2 * DAY).is_weekend() && !At(at.0 - DAY).is_weekend());
        assert_eq!(At::of(Timestamp(i64::MIN)), At(0));
        assert_eq!(At::of(Timestamp(i64::MAX)), At(u32::MAX));
    }

    #[test]
    fn spans_are_told_in_units_that_fit() {
        for (seconds, text) in [
            (1, "1 second"),
            (90, "90 seconds"),
            (600, "10 minutes"),
            (3_600, "1 hour"),
            (90_000, "25 hours"),
            (604_800, "7 days"),
        ] {
            assert_eq!(span_text(seconds), text);
        }
    }
}
