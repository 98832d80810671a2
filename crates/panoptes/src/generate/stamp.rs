//! The time in the forms that logs use, rendered once per second (and millisecond) instead of once per line.

use jiff::tz::TimeZone;
use panoptes_model::Timestamp;

/// A form of the time. All have a fixed width, so that a line can be patched in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// `15/Jan/2024:10:30:00 +0000`: web servers.
    Common,
    /// `Jan 15 10:30:00`: syslog as of old.
    Rfc3164,
    /// `2024-01-15T10:30:00.250Z`: JSON and RFC 5424.
    Rfc3339,
    /// `4120000.250417`: seconds since the machine started, as the kernel writes them.
    Uptime,
}

impl Stamp {
    pub(super) const fn len(self) -> usize {
        match self {
            Self::Common => 26,
            Self::Rfc3164 => 15,
            Self::Rfc3339 => 24,
            Self::Uptime => 14,
        }
    }
}

/// How long the imagined machines have been up when the generator starts.
const UPTIME_SECONDS: i64 = 4_120_000;

/// The current time, rendered.
#[derive(Debug)]
pub(super) struct Stamps {
    zone: TimeZone,
    started_at: Timestamp,
    /// The millisecond that is rendered.
    millis: i64,
    common: [u8; Stamp::Common.len()],
    rfc3164: [u8; Stamp::Rfc3164.len()],
    rfc3339: [u8; Stamp::Rfc3339.len()],
    uptime: [u8; Stamp::Uptime.len()],
}

impl Stamps {
    pub(super) fn new(zone: TimeZone, start: Timestamp) -> Self {
        let mut stamps = Self {
            zone,
            started_at: start,
            millis: i64::MIN,
            common: [b' '; _],
            rfc3164: [b' '; _],
            rfc3339: [b' '; _],
            uptime: [b' '; _],
        };
        stamps.set(start);
        stamps
    }

    #[inline]
    pub(super) fn get(&self, stamp: Stamp) -> &[u8] {
        match stamp {
            Stamp::Common => &self.common,
            Stamp::Rfc3164 => &self.rfc3164,
            Stamp::Rfc3339 => &self.rfc3339,
            Stamp::Uptime => &self.uptime,
        }
    }

    #[inline]
    pub(super) fn set(&mut self, now: Timestamp) {
        let millis = now.0.div_euclid(1_000_000);
        if millis != self.millis {
            self.render(millis);
        }
    }

    fn render(&mut self, millis: i64) {
        let known = self.millis.div_euclid(1_000) == millis.div_euclid(1_000) && self.millis != i64::MIN;
        self.millis = millis;
        let at = Timestamp::from_millis(millis);
        if !known {
            let at = jiff::Timestamp::from(at);
            let local = at.to_zoned(self.zone.clone());
            fill(&mut self.common, &local.strftime("%d/%b/%Y:%H:%M:%S %z").to_string());
            fill(&mut self.rfc3164, &local.strftime("%b %e %H:%M:%S").to_string());
            fill(&mut self.rfc3339, &at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string());
        }
        fill(&mut self.rfc3339[20..23], &format!("{:03}", millis.rem_euclid(1_000)));
        let up = at.nanos_since(self.started_at).max(0) / 1_000;
        let text = format!("{}.{:06}", UPTIME_SECONDS + up / 1_000_000, up % 1_000_000);
        fill(&mut self.uptime, &text);
    }
}

/// Copies what fits: years beyond 9999 cannot occur ([`Timestamp`] ends in 2262).
fn fill(into: &mut [u8], text: &str) {
    for (byte, new) in into.iter_mut().zip(text.bytes()) {
        *byte = new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(zone: TimeZone, seconds: i64, stamp: Stamp, expected: &str) {
        let stamps = Stamps::new(zone, Timestamp::from_millis(seconds * 1_000 + 250));
        assert_eq!(std::str::from_utf8(stamps.get(stamp)), Ok(expected));
    }

    #[test]
    fn the_time_is_written_as_each_log_writes_it() {
        check(TimeZone::UTC, 1_705_314_600, Stamp::Common, "15/Jan/2024:10:30:00 +0000");
        check(TimeZone::UTC, 1_705_314_600, Stamp::Rfc3164, "Jan 15 10:30:00");
        check(TimeZone::UTC, 1_704_105_000, Stamp::Rfc3164, "Jan  1 10:30:00");
        check(TimeZone::UTC, 1_705_314_600, Stamp::Rfc3339, "2024-01-15T10:30:00.250Z");
        check(TimeZone::UTC, 1_705_314_600, Stamp::Uptime, "4120000.000000");
        let east = TimeZone::fixed(jiff::tz::offset(2));
        check(east.clone(), 1_705_314_600, Stamp::Common, "15/Jan/2024:12:30:00 +0200");
        check(east.clone(), 1_705_314_600, Stamp::Rfc3164, "Jan 15 12:30:00");
        check(east, 1_705_314_600, Stamp::Rfc3339, "2024-01-15T10:30:00.250Z");
    }

    #[test]
    fn stamps_follow_the_clock_in_both_directions() {
        let mut stamps = Stamps::new(TimeZone::UTC, Timestamp::from_millis(1_705_314_600_250));
        for (millis, expected) in [(600_251, "00.251"), (601_007, "01.007"), (600_999, "00.999"), (660_000, "00.000")] {
            stamps.set(Timestamp::from_millis(1_705_314_000_000 + millis));
            assert_eq!(std::str::from_utf8(&stamps.get(Stamp::Rfc3339)[17..23]), Ok(expected));
        }
        assert_eq!(std::str::from_utf8(stamps.get(Stamp::Uptime)), Ok("4120059.750000"));
    }
}
