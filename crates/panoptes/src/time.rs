//! The clock, and times as people type them. The only module that asks what time it is.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use panoptes_model::Timestamp;

/// Now.
pub(crate) fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

/// Measures how long work takes.
pub(crate) struct Stopwatch(std::time::Instant);

#[expect(clippy::disallowed_methods, reason = "this module is where the clock is read")]
pub(crate) fn stopwatch() -> Stopwatch {
    Stopwatch(std::time::Instant::now())
}

impl Stopwatch {
    pub(crate) fn elapsed_micros(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// `90s`, `10m`, `2h`, `7d`, `500ms`, `1h30m`, or bare seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let malformed = || format!("`{text}` is not a duration; write for example 90s, 10m, 24h or 7d");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit()).ok_or_else(malformed)?;
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| malformed())?;
        let unit_end = tail.find(|it: char| it.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            _ => return Err(malformed()),
        };
        total += Duration::from_millis(number.checked_mul(millis).ok_or_else(malformed)?);
        rest = tail;
    }
    if total.is_zero() { Err(malformed()) } else { Ok(total) }
}

/// RFC 3339, or a date (its midnight UTC).
pub(crate) fn parse_instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(instant.into());
    }
    if let Ok(civil) = text.parse::<jiff::civil::DateTime>()
        && let Ok(zoned) = civil.to_zoned(TimeZone::UTC)
    {
        return Ok(zoned.timestamp().into());
    }
    text.parse::<Date>()
        .ok()
        .and_then(|date| date.to_zoned(TimeZone::UTC).ok())
        .map(|zoned| zoned.timestamp().into())
        .ok_or_else(|| format!("`{text}` is not a time; write for example 2024-01-15T10:30:00Z or 2024-01-15"))
}

/// A duration before `now`, or an instant.
pub(crate) fn parse_when(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if text == "now" {
        return Ok(now);
    }
    match parse_duration(text) {
        Ok(ago) => Ok(now.saturating_add_nanos(-i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX))),
        Err(_) => parse_instant(text).map_err(|_| {
            format!("`{text}` is neither a time ago (15m, 24h, 7d) nor a time (2024-01-15T10:30:00Z, 2024-01-15)")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("24h", 86_400), ("7d", 604_800), ("1h30m", 5_400), ("5", 5)]
        {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for text in ["", "m", "5x", "-5s", "99999999999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_is_an_age_or_an_instant() {
        let now = Timestamp::from_seconds(1_705_314_600);
        assert_eq!(parse_when("1h", now).unwrap(), Timestamp::from_seconds(1_705_311_000));
        assert_eq!(parse_when("2024-01-15T10:30:00Z", now).unwrap(), now);
        assert_eq!(parse_when("2024-01-15", now).unwrap(), Timestamp::from_seconds(1_705_276_800));
        assert!(parse_when("yesterday", now).unwrap_err().contains("7d"));
    }
}
