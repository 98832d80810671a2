//! Times in the order that a service writes them: `%d-%m-%Y %H:%M:%S`.

use panoptes_model::Timestamp;

use crate::time::{Civil, Parts};

/// How long a shape may be.
const ITEMS_MAX: usize = 48;
/// How long a month's, weekday's or zone's name may be; of a longer one the rest does not fit what follows.
const NAME_CHARACTERS_MAX: usize = 32;
/// How many digits of a fraction are read; more do not fit what follows.
const FRACTION_DIGITS_MAX: usize = 32;

/// A shape of times: the letters of `strftime` that logs need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clock(Vec<Item>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    /// `%Y`
    Year,
    /// `%y`: 70 to 99 are 1970 to 1999.
    ShortYear,
    /// `%m`
    Month,
    /// `%b`: English, French or German, three letters or all, with or without a dot.
    MonthName,
    /// `%d`, `%e`: one or two digits, or a space and a digit.
    Day,
    /// `%H`, `%I`: one or two digits.
    Hour,
    /// `%M`
    Minute,
    /// `%S`, with a fraction behind `.` or `,` if there is one.
    Second,
    /// `%p`: AM or PM.
    Half,
    /// `%z`: `+0100`, `+01:00`, `Z`.
    Offset,
    /// `%Z`: abbreviations that mean one zone (RFC 822's and Europe's) count, other letters are passed over.
    ZoneName,
    /// `%a`: letters, passed over.
    Weekday,
    /// `%s`: seconds since 1970.
    Epoch,
    /// One or more spaces.
    Blanks,
    Character(char),
}

impl Clock {
    pub(super) fn parse(shape: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut characters = shape.chars();
        while let Some(character) = characters.next() {
            items.push(match character {
                ' ' => Item::Blanks,
                '%' => match characters.next() {
                    Some('Y') => Item::Year,
                    Some('y') => Item::ShortYear,
                    Some('m') => Item::Month,
                    Some('b' | 'B') => Item::MonthName,
                    Some('d' | 'e') => Item::Day,
                    Some('H' | 'I') => Item::Hour,
                    Some('M') => Item::Minute,
                    Some('S') => Item::Second,
                    Some('p') => Item::Half,
                    Some('z') => Item::Offset,
                    Some('Z') => Item::ZoneName,
                    Some('a' | 'A') => Item::Weekday,
                    Some('s') => Item::Epoch,
                    Some('%') => Item::Character('%'),
                    other => {
                        let letter = other.map(String::from).unwrap_or_default();
                        return Err(format!("`%{letter}` is not known; there are Y y m b d H I M S p z Z a s"));
                    }
                },
                other => Item::Character(other),
            });
        }
        if items.len() > ITEMS_MAX {
            return Err(format!("it has more than {ITEMS_MAX} characters"));
        }
        if !items.iter().any(|it| matches!(it, Item::Hour | Item::Epoch)) {
            return Err("it has no hour (%H)".to_owned());
        }
        Ok(Self(items))
    }

    /// The time at the start of `text` and where it ends. Without a date it is the last such time before
    /// `received_at`.
    pub(super) fn read(&self, text: &str, received_at: Timestamp) -> Option<(Read, usize)> {
        let mut rest = text;
        let mut parts = Parts::default();
        let mut epoch = None;
        for item in &self.0 {
            match item {
                Item::Year => parts.year = Some(i32::try_from(digits(&mut rest, 4, 4)?).ok()?),
                Item::ShortYear => {
                    let year = i32::try_from(digits(&mut rest, 2, 2)?).ok()?;
                    parts.year = Some(if year < 70 { 2000 + year } else { 1900 + year });
                }
                Item::Month => parts.month = Some(u8::try_from(digits(&mut rest, 1, 2)?).ok()?),
                Item::MonthName => parts.month = Some(month(&mut rest)?),
                Item::Day => {
                    rest = rest.trim_start_matches(' ');
                    parts.day = Some(u8::try_from(digits(&mut rest, 1, 2)?).ok()?);
                }
                Item::Hour => parts.hour = u8::try_from(digits(&mut rest, 1, 2)?).ok()?,
                Item::Minute => parts.minute = u8::try_from(digits(&mut rest, 2, 2)?).ok()?,
                Item::Second => {
                    parts.second = u8::try_from(digits(&mut rest, 2, 2)?).ok()?;
                    parts.nanos = fraction(&mut rest);
                }
                Item::Half => {
                    let afternoon = match rest.get(..2)? {
                        "AM" | "am" => false,
                        "PM" | "pm" => true,
                        _ => return None,
                    };
                    rest = rest.get(2..)?;
                    parts.hour = match (parts.hour, afternoon) {
                        (12, false) => 0,
                        (12, true) => 12,
                        (hour @ 1..12, true) => hour + 12,
                        (hour @ 1..12, false) => hour,
                        _ => return None,
                    };
                }
                Item::Offset => parts.offset = Some(offset(&mut rest)?),
                Item::ZoneName => {
                    let name = letters(&mut rest)?;
                    parts.offset = zone_offset(name).or(parts.offset);
                }
                Item::Weekday => {
                    letters(&mut rest)?;
                    rest = rest.strip_prefix('.').unwrap_or(rest);
                }
                Item::Epoch => epoch = Some(i64::try_from(digits(&mut rest, 9, 10)?).ok()?),
                Item::Blanks => {
                    let after = rest.trim_start_matches([' ', '\t']);
                    if after.len() == rest.len() {
                        return None;
                    }
                    rest = after;
                }
                Item::Character(character) => rest = rest.strip_prefix(*character)?,
            }
        }
        let end = text.len() - rest.len();
        if let Some(seconds) = epoch {
            return Some((Read::Instant(Timestamp::from_seconds(seconds)), end));
        }
        Some((Read::Civil(Civil::of_parts(&parts, received_at)?), end))
    }
}

/// What was read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read {
    Civil(Civil),
    Instant(Timestamp),
}

fn take<'t>(rest: &mut &'t str, length: usize) -> Option<&'t str> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn digits(rest: &mut &str, least: usize, most: usize) -> Option<u64> {
    let length = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if length < least {
        return None;
    }
    take(rest, length)?.parse().ok()
}

fn letters<'t>(rest: &mut &'t str) -> Option<&'t str> {
    let length = rest.chars().take(NAME_CHARACTERS_MAX).take_while(|it| it.is_alphabetic()).map(char::len_utf8).sum();
    if length == 0 { None } else { take(rest, length) }
}

/// `.123` or `,123` as nanoseconds; nothing if there are no digits.
fn fraction(rest: &mut &str) -> u32 {
    let Some(after) = rest.strip_prefix(['.', ',']) else { return 0 };
    let length = after.bytes().take(FRACTION_DIGITS_MAX).take_while(u8::is_ascii_digit).count();
    if length == 0 {
        return 0;
    }
    let (mut nanos, mut scale) = (0, 100_000_000);
    for digit in after.bytes().take(length.min(9)) {
        nanos += u32::from(digit - b'0') * scale;
        scale /= 10;
    }
    *rest = after.get(length..).unwrap_or("");
    nanos
}

fn offset(rest: &mut &str) -> Option<i32> {
    if let Some(after) = rest.strip_prefix('Z') {
        *rest = after;
        return Some(0);
    }
    let sign = match rest.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    take(rest, 1)?;
    let hours = i32::try_from(digits(rest, 2, 2)?).ok()?;
    *rest = rest.strip_prefix(':').unwrap_or(rest);
    let minutes = i32::try_from(digits(rest, 2, 2)?).ok()?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Seconds east of Greenwich.
fn zone_offset(name: &str) -> Option<i32> {
    let hours = match name {
        "UTC" | "GMT" | "UT" | "Z" | "WET" => 0,
        "CET" | "MEZ" | "WEST" => 1,
        "CEST" | "MESZ" | "EET" => 2,
        "EEST" | "MSK" => 3,
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        _ => return None,
    };
    Some(hours * 3_600)
}

/// A month's name in one of the languages that servers with a locale write. The dot behind an abbreviation goes with it.
fn month(rest: &mut &str) -> Option<u8> {
    let name = letters(rest)?.to_lowercase();
    *rest = rest.strip_prefix('.').unwrap_or(rest);
    // The shortest beginning that tells months apart in English, German, French, Spanish, Italian, Dutch and Portuguese.
    const MONTHS: [&[&str]; 12] = [
        &["jan", "jän", "ene", "gen"],
        &["feb", "fev", "fév"],
        &["mar", "mär", "mrz", "maa", "mrt"],
        &["apr", "avr", "abr"],
        &["may", "mai", "mei", "mag"],
        &["jun", "juin", "giu"],
        &["jul", "juil", "lug"],
        &["aug", "aou", "aoû", "ago"],
        &["sep", "set"],
        &["oct", "okt", "out", "ott"],
        &["nov"],
        &["dec", "dez", "déc", "dic"],
    ];
    let found = MONTHS.iter().position(|starts| starts.iter().any(|it| name.starts_with(it)))?;
    u8::try_from(found + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Zone;

    /// 2024-01-15T12:00:00Z
    const NOW: Timestamp = Timestamp(1_705_320_000 * Timestamp::NANOS_PER_SECOND);

    fn read(shape: &str, text: &str) -> String {
        let clock = Clock::parse(shape).unwrap();
        match clock.read(text, NOW) {
            None => String::new(),
            Some((Read::Instant(time), end)) => format!("{time} {end}"),
            Some((Read::Civil(civil), end)) => {
                let time = civil.resolve(&Zone::UTC, NOW).map(|it| it.time.to_string());
                format!("{} {end}", time.unwrap_or_default())
            }
        }
    }

    #[test]
    fn times_are_read_in_the_order_that_was_told() {
        assert_eq!(read("%d-%m-%Y %H:%M:%S %z", "13-06-2013 01:39:34 +0300 x"), "2013-06-12T22:39:34Z 25");
        assert_eq!(read("%m/%d/%Y %H:%M:%S", "10/06/2013 15:50:41"), "2013-10-06T15:50:41Z 19");
        assert_eq!(read("%b-%d-%y %H:%M:%S", "Apr-27-13 02:25:09"), "2013-04-27T02:25:09Z 18");
        assert_eq!(read("%d/%b/%Y:%H:%M:%S %z", "02/sept./2015:00:11:31 +0200"), "2015-09-01T22:11:31Z 28");
        assert_eq!(read("%b %d, %Y %I:%M:%S %p", "apr 15, 2013 8:34:08 PM"), "2013-04-15T20:34:08Z 23");
        assert_eq!(read("%Z %b %d %H:%M:%S", "PDT Jan 5 10:30:00"), "2024-01-05T17:30:00Z 18");
        assert_eq!(read("%Y.%m.%d %H:%M:%S", "2011.11.21 14:29:16.5"), "2011-11-21T14:29:16.5Z 21");
        assert_eq!(read("%s", "1705314600 x"), "2024-01-15T10:30:00Z 10");
    }

    #[test]
    fn a_clock_without_a_date_is_the_last_one_before_receipt() {
        assert_eq!(read("%H:%M:%S", "10:30:00.5"), "2024-01-15T10:30:00.5Z 10");
        assert_eq!(read("%H:%M:%S", "23:30:00"), "2024-01-14T23:30:00Z 8");
    }

    #[test]
    fn what_is_no_such_time_is_none() {
        for text in
            ["", "2024", "2024-13-01 10:30:00", "2024-02-30 10:30:00", "2024-01-15 25:00:00", "2024-01-15 1é:00:00"]
        {
            assert_eq!(
                read("%Y-%m-%d %H:%M:%S", text).trim(),
                if text.contains("02-30") { "19" } else { "" },
                "{text}"
            );
        }
        assert_eq!(read("%b %H", &format!("{} 10", "jan".repeat(11))), "", "a name without end");
        assert_eq!(read("%H:%M:%S x", &format!("10:30:00.{} x", "7".repeat(33))), "", "a fraction without end");
        assert!(Clock::parse("%Y-%m-%d").is_err() && Clock::parse("%Q").is_err() && Clock::parse("%H%").is_err());
        assert!(Clock::parse(&"%H".repeat(ITEMS_MAX + 1)).is_err());
    }
}
