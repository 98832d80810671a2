//! Parts of times: Sigma's `minute`, `hour`, `day`, `week`, `month`, `year`.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A part of a time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TimePart {
    Minute,
    Hour,
    /// Of the month.
    Day,
    /// ISO 8601.
    Week,
    Month,
    Year,
}

/// Epochs above it are milliseconds.
const SECONDS_MAX: i64 = 1_000_000_000_000;

impl TimePart {
    /// The part of the time that `text` states: RFC 3339, a date and time without a zone (UTC), or an epoch in seconds
    /// or milliseconds.
    pub(crate) fn of(self, text: &str) -> Option<i64> {
        let time = time_of(text)?;
        Some(match self {
            Self::Minute => i64::from(time.minute()),
            Self::Hour => i64::from(time.hour()),
            Self::Day => i64::from(time.day()),
            Self::Week => i64::from(time.date().iso_week_date().week()),
            Self::Month => i64::from(time.month()),
            Self::Year => i64::from(time.year()),
        })
    }
}

fn time_of(text: &str) -> Option<DateTime> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(instant.to_zoned(TimeZone::UTC).datetime());
    }
    if text.contains([':', '-'])
        && let Ok(time) = text.parse::<DateTime>()
    {
        return Some(time);
    }
    let epoch = text.parse::<f64>().ok().filter(|it| it.is_finite())? as i64;
    let seconds = if epoch > SECONDS_MAX { epoch / 1_000 } else { epoch };
    Some(jiff::Timestamp::from_second(seconds).ok()?.to_zoned(TimeZone::UTC).datetime())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_times_are_in_utc() {
        assert_eq!(TimePart::Hour.of("2026-03-01T23:30:00+02:00"), Some(21));
        assert_eq!(TimePart::Minute.of("2026-03-01 23:30:00"), Some(30));
        assert_eq!(TimePart::Day.of("2026-03-01T23:30:00.123"), Some(1));
        assert_eq!(TimePart::Week.of("2026-01-01T00:00:00Z"), Some(1));
        assert_eq!(TimePart::Month.of("1700000000"), Some(11));
        assert_eq!(TimePart::Year.of("1700000000000"), Some(2023));
        assert_eq!(TimePart::Year.of("soon"), None);
        assert_eq!(TimePart::Year.of("1e300"), None);
    }
}
