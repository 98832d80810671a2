//! Times as logs write them.
//!
//! The parsers here are written by hand because every line has a time: they read the usual forms in a few dozen
//! nanoseconds. Only a *named* time zone asks `jiff`, which also is what the tests compare with.

use panoptes_model::Timestamp;

/// A number is taken for a time only if it lies in the years 1990 to 2099: outside it is a duration, a size, an id.
const NUMBER_SECONDS: std::ops::Range<i64> = 631_152_000..4_102_444_800;
/// How far ahead of its receipt a time without a year may lie: clocks and zones differ by less than a day.
const AHEAD_SECONDS_MAX: i64 = 86_400;
/// How many years are tried for a date without one: the 29th of February comes back after at most eight.
const YEARS_BACK_MAX: i32 = 8;
const DAY_SECONDS: i64 = 86_400;

/// The zone of times that name none.
#[derive(Clone, Debug, Default)]
pub struct Zone(Inner);

#[derive(Clone, Debug, Default)]
enum Inner {
    #[default]
    Utc,
    /// Seconds east of Greenwich.
    Fixed(i32),
    Named(jiff::tz::TimeZone),
}

/// No time zone has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no time zone is called `{name}`; give an IANA name such as `Europe/Berlin` or an offset such as `+02:00`")]
pub struct ZoneUnknown {
    name: String,
}

impl Zone {
    pub(crate) const UTC: Self = Self(Inner::Utc);

    /// The zone called `name`: an IANA name, `UTC`, or an offset such as `+02:00`.
    ///
    /// # Errors
    /// [`ZoneUnknown`] if neither the system's nor the built-in database knows it.
    pub fn named(name: &str) -> Result<Self, ZoneUnknown> {
        let unknown = || ZoneUnknown { name: name.to_owned() };
        if matches!(name, "UTC" | "utc" | "Z" | "GMT") {
            return Ok(Self(Inner::Utc));
        }
        if name.starts_with(['+', '-']) {
            let mut reader = Reader { bytes: name.as_bytes(), at: 0 };
            return match reader.offset() {
                Some(seconds) if reader.at == name.len() => Ok(Self(Inner::Fixed(seconds))),
                _ => Err(unknown()),
            };
        }
        jiff::tz::TimeZone::get(name).map(|zone| Self(Inner::Named(zone))).map_err(|_| unknown())
    }
}

/// A wall-clock time, as far as the text states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: Option<i32>,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    nanos: u32,
    /// Seconds east of Greenwich.
    offset: Option<i32>,
}

/// A time whose parts were read one by one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) year: Option<i32>,
    pub(crate) month: Option<u8>,
    pub(crate) day: Option<u8>,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
    pub(crate) nanos: u32,
    /// Seconds east of Greenwich.
    pub(crate) offset: Option<i32>,
}

/// An instant, and whether its year had to be inferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant {
    pub(crate) time: Timestamp,
    pub(crate) year_inferred: bool,
}

impl Civil {
    /// A time of these parts; `None` if one is out of range. Without month and day it is of the day that puts it last
    /// before `received_at`.
    pub(crate) fn of_parts(parts: &Parts, received_at: Timestamp) -> Option<Self> {
        let Parts { year, month, day, hour, minute, second, nanos, offset } = *parts;
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let second = second.min(59);
        let (year, month, day) = match (month, day) {
            (Some(month), Some(day)) => (year, month, day),
            (None, None) if year.is_none() => {
                let clock = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
                let received = received_at.as_seconds();
                let today = received.div_euclid(DAY_SECONDS);
                // An hour of grace for clocks that differ.
                let is_ahead = today * DAY_SECONDS + clock > received.saturating_add(3_600);
                let (year, month, day) = civil_of_day(today - i64::from(is_ahead));
                (Some(year), month, day)
            }
            _ => return None,
        };
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        Some(Self { year, month, day, hour, minute, second, nanos, offset })
    }

    /// Whether the text itself says which zone it means.
    pub(crate) const fn has_zone(&self) -> bool {
        self.offset.is_some()
    }

    /// The instant meant. A missing year becomes the one that puts the time nearest to `received_at` but never more
    /// than a day ahead of it. `None` if the date does not exist or lies beyond what a [`Timestamp`] holds.
    #[inline]
    pub(crate) fn resolve(&self, zone: &Zone, received_at: Timestamp) -> Option<Instant> {
        if let Some(year) = self.year {
            return Some(Instant { time: self.in_year(year, zone)?, year_inferred: false });
        }
        let latest = received_at.as_seconds().saturating_add(AHEAD_SECONDS_MAX);
        // A day more, so that no zone can hide the newest candidate.
        let newest = year_of_day(latest.saturating_add(DAY_SECONDS).div_euclid(DAY_SECONDS));
        (newest - YEARS_BACK_MAX..=newest).rev().find_map(|year| {
            let time = self.in_year(year, zone)?;
            (time.as_seconds() <= latest).then_some(Instant { time, year_inferred: true })
        })
    }

    #[inline]
    fn in_year(&self, year: i32, zone: &Zone) -> Option<Timestamp> {
        if !(1678..=2261).contains(&year) || self.day > days_in_month(year, self.month) {
            return None;
        }
        let seconds = days_from_civil(year, self.month, self.day) * DAY_SECONDS
            + i64::from(self.hour) * 3_600
            + i64::from(self.minute) * 60
            + i64::from(self.second);
        let offset = match (self.offset, &zone.0) {
            (Some(offset), _) => offset,
            (None, Inner::Fixed(offset)) => *offset,
            (None, Inner::Utc) => 0,
            (None, Inner::Named(zone)) => {
                let civil = jiff::civil::DateTime::new(
                    year as i16,
                    self.month as i8,
                    self.day as i8,
                    self.hour as i8,
                    self.minute as i8,
                    self.second as i8,
                    0,
                )
                .ok()?;
                // In the hour that daylight saving time repeats the earlier instant, in the one that it skips the later.
                let instant = zone.to_ambiguous_timestamp(civil).compatible().ok()?;
                return Some(Timestamp::from_seconds(instant.as_second()).saturating_add_nanos(i64::from(self.nanos)));
            }
        };
        Some(Timestamp::from_seconds(seconds - i64::from(offset)).saturating_add_nanos(i64::from(self.nanos)))
    }
}

/// The time at the start of `text`, and what follows it. The forms:
///
/// ```text
/// 2024-01-15T10:30:00.123Z   2024-01-15 10:30:00,123 +01:00   2024/01/15 10:30:00   2024 Jan 15 10:30:00
/// Jan 15 10:30:00   Jan 15 2024 10:30:00.123   Mon Jan 15 10:30:00.123 2024   Mon Jan 15 10:30:00 UTC 2024
/// 15/Jan/2024:10:30:00 +0100   15 Jan 2024 10:30:00   Mon, 15 Jan 2024 10:30:00 +0100   20240115T103000Z
/// 01-15 10:30:00.123
/// ```
#[inline]
pub(crate) fn leading(text: &str) -> Option<(Civil, &str)> {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
    let civil = reader.time()?;
    Some((civil, text.get(reader.at..)?))
}

/// All of `text` as an instant: a written time, a date alone, or an epoch in seconds, milli-, micro- or nanoseconds.
pub(crate) fn of_text(text: &str, zone: &Zone, received_at: Timestamp) -> Option<Instant> {
    let text = text.trim_ascii();
    let text = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    if let Some(time) = of_number_text(text) {
        return Some(Instant { time, year_inferred: false });
    }
    match leading(text) {
        Some((civil, rest)) if rest.trim_ascii().is_empty() => civil.resolve(zone, received_at),
        _ => {
            let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
            let (year, month, day) = reader.date()?;
            let civil = Civil { year: Some(year), month, day, hour: 0, minute: 0, second: 0, nanos: 0, offset: None };
            (reader.at == text.len()).then(|| civil.resolve(zone, received_at))?
        }
    }
}

/// An epoch number; its size says whether it counts seconds, milli-, micro- or nanoseconds.
pub(crate) fn of_integer(number: i64) -> Option<Timestamp> {
    let nanos_per_unit = unit(number)?;
    let time = Timestamp(number.checked_mul(nanos_per_unit)?);
    NUMBER_SECONDS.contains(&time.as_seconds()).then_some(time)
}

/// An epoch number with a fraction.
pub(crate) fn of_float(number: f64) -> Option<Timestamp> {
    if !number.is_finite() || number.abs() >= 9e18 {
        return None;
    }
    let whole = number.trunc();
    let nanos_per_unit = unit(whole as i64)?;
    let fraction = ((number - whole) * nanos_per_unit as f64) as i64;
    Some(of_integer(whole as i64)?.saturating_add_nanos(fraction))
}

/// Epoch digits with an optional fraction, exactly.
fn of_number_text(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |it: &str| it.bytes().all(|byte| byte.is_ascii_digit());
    // Nine digits of seconds are 1973 at the earliest; shorter numbers are dates, counters, years.
    if whole.len() < 9 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let nanos_per_unit = unit(whole)?;
    let (mut nanos, mut scale) = (0, nanos_per_unit);
    for digit in fraction.bytes() {
        scale /= 10;
        nanos += i64::from(digit - b'0') * scale;
    }
    Some(of_integer(whole)?.saturating_add_nanos(nanos))
}

/// Nanoseconds per unit of an epoch number of this size.
const fn unit(number: i64) -> Option<i64> {
    Some(match number.unsigned_abs() {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    })
}

/// Reads digits and marks; every method leaves the place unchanged where it says `None`, or the caller gives up.
struct Reader<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    #[inline]
    fn digit(&self, ahead: usize) -> Option<u8> {
        let digit = self.bytes.get(self.at + ahead)?.wrapping_sub(b'0');
        (digit < 10).then_some(digit)
    }

    #[inline]
    fn two(&mut self) -> Option<u8> {
        let number = self.digit(0)? * 10 + self.digit(1)?;
        self.at += 2;
        Some(number)
    }

    /// One or two digits, with a space in place of the first (`Jan  5`).
    #[inline]
    fn day(&mut self) -> Option<u8> {
        if self.peek() == Some(b' ') {
            self.at += 1;
        }
        let first = self.digit(0)?;
        self.at += 1;
        let day = match self.digit(0) {
            Some(second) => {
                self.at += 1;
                first * 10 + second
            }
            None => first,
        };
        (1..=31).contains(&day).then_some(day)
    }

    #[inline]
    fn year(&mut self) -> Option<i32> {
        let number = self.two()?;
        Some(i32::from(number) * 100 + i32::from(self.two()?))
    }

    #[inline]
    fn month_number(&mut self) -> Option<u8> {
        self.two().filter(|it| (1..=12).contains(it))
    }

    #[inline]
    fn month_name(&mut self) -> Option<u8> {
        let name = self.bytes.get(self.at..)?.first_chunk::<3>()?;
        let month = match name {
            b"Jan" => 1,
            b"Feb" => 2,
            b"Mar" => 3,
            b"Apr" => 4,
            b"May" => 5,
            b"Jun" => 6,
            b"Jul" => 7,
            b"Aug" => 8,
            b"Sep" => 9,
            b"Oct" => 10,
            b"Nov" => 11,
            b"Dec" => 12,
            _ => return None,
        };
        self.at += 3;
        Some(month)
    }

    fn weekday(&mut self) -> Option<()> {
        let name = self.bytes.get(self.at..)?.first_chunk::<3>()?;
        matches!(name, b"Mon" | b"Tue" | b"Wed" | b"Thu" | b"Fri" | b"Sat" | b"Sun").then(|| self.at += 3)
    }

    /// `2024-01-15` or `2024/01/15`.
    #[inline]
    fn date(&mut self) -> Option<(i32, u8, u8)> {
        let year = self.year()?;
        let mark = self.peek().filter(|it| matches!(it, b'-' | b'/'))?;
        self.at += 1;
        let month = self.month_number()?;
        self.eat(mark)?;
        Some((year, month, self.two().filter(|it| (1..=31).contains(it))?))
    }

    /// `10:30`, `10:30:00`, `10:30:00.123`, `10:30:00,123`, into a time without a date.
    #[inline]
    fn clock(&mut self) -> Option<Civil> {
        let hour = self.two().filter(|it| *it < 24)?;
        self.eat(b':')?;
        let minute = self.two().filter(|it| *it < 60)?;
        let mut second = 0;
        let mut nanos = 0;
        if self.peek() == Some(b':') && self.digit(1).is_some() {
            self.at += 1;
            // A leap second is told as the second before it: nothing that reads these times knows 23:59:60.
            second = self.two().filter(|it| *it <= 60)?.min(59);
            if matches!(self.peek(), Some(b'.' | b',')) && self.digit(1).is_some() {
                self.at += 1;
                nanos = self.fraction();
            }
        }
        Some(Civil { year: None, month: 1, day: 1, hour, minute, second, nanos, offset: None })
    }

    /// Digits behind a decimal point as nanoseconds; more than nine are passed over.
    #[inline]
    fn fraction(&mut self) -> u32 {
        let (mut nanos, mut scale) = (0, 100_000_000);
        while let Some(digit) = self.digit(0) {
            nanos += u32::from(digit) * scale;
            scale /= 10;
            self.at += 1;
        }
        nanos
    }

    /// `Z`, `+01:00`, `+0100`, `+01` as seconds.
    #[inline]
    fn offset(&mut self) -> Option<i32> {
        let start = self.at;
        let sign = match self.peek()? {
            b'Z' | b'z' => {
                self.at += 1;
                return Some(0);
            }
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.at += 1;
        let read = self.two().filter(|it| *it < 24).and_then(|hours| {
            if self.peek() == Some(b':') && self.digit(1).is_some() {
                self.at += 1;
            }
            let minutes = if self.digit(0).is_some() { self.two().filter(|it| *it < 60)? } else { 0 };
            Some(sign * (i32::from(hours) * 3_600 + i32::from(minutes) * 60))
        });
        if read.is_none() {
            self.at = start;
        }
        read
    }

    /// A zone behind a clock: glued to it, or after a space if it cannot be anything else.
    #[inline]
    fn zone(&mut self) -> Option<i32> {
        let start = self.at;
        match self.peek()? {
            b'Z' | b'z' | b'+' | b'-' => return self.offset(),
            b' ' => self.at += 1,
            _ => return None,
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let read = match rest {
            [b'+' | b'-', a, b, c, ..]
                if a.is_ascii_digit() && b.is_ascii_digit() && matches!(c, b':' | b'0'..=b'9') =>
            {
                self.offset()
            }
            [b'U', b'T', b'C', tail @ ..] | [b'G', b'M', b'T', tail @ ..]
                if !tail.first().is_some_and(u8::is_ascii_alphanumeric) =>
            {
                self.at += 3;
                Some(0)
            }
            _ => None,
        };
        if read.is_none() {
            self.at = start;
        }
        read
    }

    #[inline]
    fn time(&mut self) -> Option<Civil> {
        match self.peek()? {
            b'0'..=b'9' => match (self.bytes.get(2)?, self.bytes.get(4)?) {
                (_, b'-' | b'/') => self.year_first(),
                (b'/', _) => self.access_log(),
                (_, b' ') if self.digit(2).is_some() => {
                    let year = self.year()?;
                    self.at += 1;
                    Some(Civil { year: Some(year), ..self.month_day_clock()? })
                }
                (b'-', _) => self.month_and_day_numbers(),
                (_, b'0'..=b'9') => self.basic(),
                _ => self.day_month_year(),
            },
            b'A'..=b'Z' => {
                if self.weekday().is_none() {
                    return self.month_day_clock();
                }
                if self.eat(b',').is_some() {
                    self.eat(b' ')?;
                    return self.day_month_year();
                }
                self.eat(b' ')?;
                let civil = self.month_day_clock()?;
                if civil.year.is_some() {
                    return Some(civil);
                }
                // `Mon Jan 15 10:30:00 CET 2024`: abbreviations other than UTC are ambiguous and passed over.
                let start = self.at;
                if self.eat(b' ').is_some() {
                    let letters = self.bytes.get(self.at..)?.iter().take_while(|it| it.is_ascii_uppercase()).count();
                    if (3..=5).contains(&letters) {
                        self.at += letters;
                        self.eat(b' ')?;
                    }
                    if let Some(year) = self.year() {
                        return Some(Civil { year: Some(year), ..civil });
                    }
                }
                self.at = start;
                Some(civil)
            }
            _ => None,
        }
    }

    /// RFC 3339 and its relatives.
    #[inline]
    fn year_first(&mut self) -> Option<Civil> {
        let (year, month, day) = self.date()?;
        match self.peek()? {
            b'T' | b't' | b' ' => self.at += 1,
            _ => return None,
        }
        let civil = self.clock()?;
        let offset = self.zone();
        Some(Civil { year: Some(year), month, day, offset, ..civil })
    }

    /// `15/Jan/2024:10:30:00 +0100`.
    #[inline]
    fn access_log(&mut self) -> Option<Civil> {
        let day = self.two().filter(|it| (1..=31).contains(it))?;
        self.eat(b'/')?;
        let month = self.month_name()?;
        self.eat(b'/')?;
        let year = self.year()?;
        if !matches!(self.peek()?, b':' | b' ') {
            return None;
        }
        self.at += 1;
        let civil = self.clock()?;
        let offset = self.zone();
        Some(Civil { year: Some(year), month, day, offset, ..civil })
    }

    /// `Jan 15 10:30:00`, `Jan 15 2024 10:30:00`, with what zone follows.
    #[inline]
    fn month_day_clock(&mut self) -> Option<Civil> {
        let month = self.month_name()?;
        self.eat(b' ')?;
        let day = self.day()?;
        let _comma = self.eat(b',');
        self.eat(b' ')?;
        let mut year = None;
        if self.digit(2).is_some() {
            year = Some(self.year()?);
            self.eat(b' ')?;
        }
        let civil = self.clock()?;
        let offset = self.zone();
        Some(Civil { year, month, day, offset, ..civil })
    }

    /// `15 Jan 2024 10:30:00`.
    fn day_month_year(&mut self) -> Option<Civil> {
        let day = self.day()?;
        self.eat(b' ')?;
        let month = self.month_name()?;
        self.eat(b' ')?;
        let year = self.year()?;
        self.eat(b' ')?;
        let civil = self.clock()?;
        let offset = self.zone();
        Some(Civil { year: Some(year), month, day, offset, ..civil })
    }

    /// `01-15 10:30:00.123`, as Android writes.
    fn month_and_day_numbers(&mut self) -> Option<Civil> {
        let month = self.month_number()?;
        self.eat(b'-')?;
        let day = self.two().filter(|it| (1..=31).contains(it))?;
        self.eat(b' ')?;
        Some(Civil { month, day, ..self.clock()? })
    }

    /// `20240115T103000Z`.
    fn basic(&mut self) -> Option<Civil> {
        let year = self.year()?;
        let month = self.month_number()?;
        let day = self.two().filter(|it| (1..=31).contains(it))?;
        self.eat(b'T')?;
        let hour = self.two().filter(|it| *it < 24)?;
        let minute = self.two().filter(|it| *it < 60)?;
        let second = self.two().filter(|it| *it <= 60)?.min(59);
        let mut nanos = 0;
        if matches!(self.peek(), Some(b'.' | b',')) && self.digit(1).is_some() {
            self.at += 1;
            nanos = self.fraction();
        }
        let offset = self.zone();
        Some(Civil { year: Some(year), month, day, hour, minute, second, nanos, offset })
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, counted from 1 March so that leap days come last.
#[inline]
const fn days_from_civil(year: i32, month: u8, day: u8) -> i64 {
    let year = year as i64 - (month <= 2) as i64;
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month as i64 + 9) % 12) + 2) / 5 + day as i64 - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The year that a day since 1970-01-01 lies in.
const fn year_of_day(day: i64) -> i32 {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // The year began in March: January and February belong to the next.
    (year_of_era + era * 400 + (day_of_year >= 306) as i64) as i32
}

/// The date of a day since 1970-01-01.
const fn civil_of_day(day: i64) -> (i32, u8, u8) {
    let shifted = day + 719_468;
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_day(day), month as u8, day_of_month as u8)
}

#[inline]
const fn days_in_month(year: i32, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests;
