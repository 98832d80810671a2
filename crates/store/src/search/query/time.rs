//! Times that are said from now, made fixed: `now-1h`, `now/d`, `-15m`, `today`, `yesterday`.
//!
//! ```text
//! moment  = "now" shift* [ "/" unit ] | "-" number unit | "today" | "yesterday"
//! shift   = ("+" | "-") number unit
//! unit    = "ms" | "s" | "m" | "h" | "d" | "w" | "M" | "y"
//! ```
//!
//! `/unit` stands for the whole unit, as a day stands for all of the day: `>=now/d` counts from its beginning, `>now/d`
//! from its end. Weeks begin on Monday, all in UTC.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Span, Zoned};
use panoptes_model::{FieldType, Schema, Timestamp};

use super::{Bound, Query, Test};
use crate::pivot::TIME;
use crate::search::expr::type_of;
use crate::search::item::span;

/// How many shifts one moment may have (`now-1d+1h`); a text with more is no moment.
const SHIFTS_MAX: usize = 8;

impl Query {
    /// The same query with times from `now` made fixed, in fields that hold times.
    pub fn at(&self, now: Timestamp, schema: &Schema) -> Self {
        match self {
            Self::Field { name, test } if type_of(name, schema) == FieldType::Timestamp => {
                Self::Field { name: name.clone(), test: test_at(test, now) }
            }
            Self::Not(inner) => Self::Not(Box::new(inner.at(now, schema))),
            Self::And(parts) => Self::And(parts.iter().map(|it| it.at(now, schema)).collect()),
            Self::Or(parts) => Self::Or(parts.iter().map(|it| it.at(now, schema)).collect()),
            Self::All | Self::Words(_) | Self::Pattern(_) | Self::Field { .. } => self.clone(),
        }
    }

    /// The time in which all matches lie, as the query itself says: from when on, and before when.
    pub(in crate::search) fn time_bounds(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        match self {
            Self::Field { name, test } if name == TIME => match test {
                Test::Is(text) => span(text).map_or((None, None), |(from, to)| (Some(from), Some(after(to)))),
                Test::Range { low, high } => {
                    let ends = |bound: &Option<Bound>| Some((span(&bound.as_ref()?.value)?, bound.as_ref()?.inclusive));
                    let since = ends(low).map(|((from, to), inclusive)| if inclusive { from } else { after(to) });
                    let until = ends(high).map(|((from, to), inclusive)| if inclusive { after(to) } else { from });
                    (since, until)
                }
                Test::Exists | Test::Like(_) | Test::Network(_) | Test::Pattern(_) => (None, None),
            },
            Self::And(parts) => parts
                .iter()
                .map(Self::time_bounds)
                .fold((None, None), |all, it| (all.0.max(it.0), [all.1, it.1].into_iter().flatten().min())),
            _ => (None, None),
        }
    }
}

fn after(time: Timestamp) -> Timestamp {
    time.saturating_add_nanos(1)
}

fn test_at(test: &Test, now: Timestamp) -> Test {
    let at = |bound: &Bound, is_low: bool| match moment(&bound.value, now) {
        Some((from, to)) => {
            let end = if is_low == bound.inclusive { from } else { to };
            Bound { value: end.to_string(), inclusive: bound.inclusive }
        }
        None => bound.clone(),
    };
    match test {
        Test::Is(text) => match moment(text, now) {
            Some((from, to)) => {
                let bound = |it: Timestamp| Some(Bound { value: it.to_string(), inclusive: true });
                Test::Range { low: bound(from), high: bound(to) }
            }
            None => test.clone(),
        },
        Test::Range { low, high } => {
            Test::Range { low: low.as_ref().map(|it| at(it, true)), high: high.as_ref().map(|it| at(it, false)) }
        }
        Test::Exists | Test::Like(_) | Test::Network(_) | Test::Pattern(_) => test.clone(),
    }
}

/// The first and last instant that `text` stands for.
fn moment(text: &str, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let now = zoned(now)?;
    let day = |it: Zoned| rounded(&it, "d");
    let (mut time, mut rest) = match text {
        "today" => return day(now),
        "yesterday" => return day(now.checked_sub(Span::new().days(1)).ok()?),
        _ => match text.strip_prefix("now") {
            Some(rest) => (now, rest),
            None if text.starts_with('-') => (now, text),
            None => return None,
        },
    };
    for _ in 0..SHIFTS_MAX {
        if rest.is_empty() {
            let at = timestamp(&time)?;
            return Some((at, at));
        }
        if let Some(unit) = rest.strip_prefix('/') {
            return rounded(&time, unit);
        }
        let (sign, after) = match rest.strip_prefix('-') {
            Some(after) => (-1, after),
            None => (1, rest.strip_prefix('+')?),
        };
        let digits = after.find(|it: char| !it.is_ascii_digit())?;
        let number = sign * after.get(..digits)?.parse::<i64>().ok()?;
        let tail = after.get(digits..)?;
        let end = tail.find(|it: char| !it.is_ascii_alphabetic()).unwrap_or(tail.len());
        time = time.checked_add(shift(number, tail.get(..end)?)?).ok()?;
        rest = tail.get(end..)?;
    }
    None
}

fn shift(number: i64, unit: &str) -> Option<Span> {
    let span = Span::new();
    match unit {
        "ms" => span.try_milliseconds(number),
        "s" => span.try_seconds(number),
        "m" => span.try_minutes(number),
        "h" => span.try_hours(number),
        "d" => span.try_days(number),
        "w" => span.try_weeks(number),
        "M" => span.try_months(number),
        "y" => span.try_years(number),
        _ => return None,
    }
    .ok()
}

/// The whole unit that `time` lies in.
fn rounded(time: &Zoned, unit: &str) -> Option<(Timestamp, Timestamp)> {
    let at = time.datetime();
    let date = at.date();
    let from = match unit {
        "s" => date.at(at.hour(), at.minute(), at.second(), 0),
        "m" => date.at(at.hour(), at.minute(), 0, 0),
        "h" => date.at(at.hour(), 0, 0, 0),
        "d" => date.at(0, 0, 0, 0),
        "w" => {
            let days = i64::from(date.weekday().since(Weekday::Monday));
            date.checked_sub(Span::new().days(days)).ok()?.at(0, 0, 0, 0)
        }
        "M" => date.first_of_month().at(0, 0, 0, 0),
        "y" => date.first_of_year().at(0, 0, 0, 0),
        _ => return None,
    };
    let from = from.to_zoned(TimeZone::UTC).ok()?;
    let next = from.checked_add(shift(1, unit)?).ok()?;
    Some((timestamp(&from)?, timestamp(&next)?.saturating_add_nanos(-1)))
}

fn zoned(time: Timestamp) -> Option<Zoned> {
    Some(jiff::Timestamp::from_nanosecond(i128::from(time.0)).ok()?.to_zoned(TimeZone::UTC))
}

fn timestamp(time: &Zoned) -> Option<Timestamp> {
    i64::try_from(time.timestamp().as_nanosecond()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2024-01-17T10:30:15.5Z";

    fn now() -> Timestamp {
        span(NOW).unwrap().0
    }

    #[test]
    fn times_from_now_become_fixed() {
        for (text, from, to) in [
            ("now", NOW, NOW),
            ("now-1h", "2024-01-17T09:30:15.5Z", "2024-01-17T09:30:15.5Z"),
            ("now-1d+30m", "2024-01-16T11:00:15.5Z", "2024-01-16T11:00:15.5Z"),
            ("-15m", "2024-01-17T10:15:15.5Z", "2024-01-17T10:15:15.5Z"),
            ("now-1M", "2023-12-17T10:30:15.5Z", "2023-12-17T10:30:15.5Z"),
            ("today", "2024-01-17T00:00:00Z", "2024-01-17T23:59:59.999999999Z"),
            ("yesterday", "2024-01-16T00:00:00Z", "2024-01-16T23:59:59.999999999Z"),
            ("now/d", "2024-01-17T00:00:00Z", "2024-01-17T23:59:59.999999999Z"),
            ("now-1d/h", "2024-01-16T10:00:00Z", "2024-01-16T10:59:59.999999999Z"),
            ("now/w", "2024-01-15T00:00:00Z", "2024-01-21T23:59:59.999999999Z"),
            ("now/M", "2024-01-01T00:00:00Z", "2024-01-31T23:59:59.999999999Z"),
            ("now/y", "2024-01-01T00:00:00Z", "2024-12-31T23:59:59.999999999Z"),
        ] {
            let expected = (span(from).unwrap().0, span(to).unwrap().0);
            assert_eq!(moment(text, now()), Some(expected), "{text}");
        }
        for text in ["", "n", "nowhere", "now-", "now-1", "now-1x", "now/x", "1h", "now-9999999999999999y", "-"] {
            assert_eq!(moment(text, now()), None, "{text}");
        }
        assert_eq!(moment(&format!("now{}", "-1s".repeat(SHIFTS_MAX)), now()), None);
    }

    fn at(query: &str) -> Query {
        query.parse::<Query>().unwrap().at(now(), &Schema::ecs())
    }

    #[test]
    fn only_fields_that_hold_times_know_about_now() {
        assert_eq!(at("user.name:now -message:today"), "user.name:now -message:today".parse().unwrap());
        assert_eq!(at("@timestamp:>now-1h"), "@timestamp:>2024-01-17T09:30:15.5Z".parse().unwrap());
        assert_eq!(at("NOT (x OR event.start:<=now/d)"), {
            "NOT (x OR event.start:<=2024-01-17T23:59:59.999999999Z)".parse().unwrap()
        });
        assert_eq!(
            at("@timestamp:yesterday"),
            "@timestamp:[2024-01-16T00:00:00Z TO 2024-01-16T23:59:59.999999999Z]".parse().unwrap()
        );
    }

    #[test]
    fn a_query_says_in_which_time_its_matches_lie() {
        let bounds = |query: &str| at(query).time_bounds();
        let time = |text: &str| Some(span(text).unwrap().0);
        assert_eq!(bounds("a @timestamp:>=2024-01-15 b"), (time("2024-01-15T00:00:00Z"), None));
        assert_eq!(bounds("@timestamp:2024-01-15"), (time("2024-01-15T00:00:00Z"), time("2024-01-16T00:00:00Z")));
        assert_eq!(
            bounds("@timestamp:(>2024-01-15 <2024-02-01) AND @timestamp:<2024-01-20"),
            (time("2024-01-16T00:00:00Z"), time("2024-01-20T00:00:00Z"))
        );
        for query in ["a OR @timestamp:>now-1h", "-@timestamp:>now-1h", "event.start:>now-1h", "@timestamp:*"] {
            assert_eq!(bounds(query), (None, None), "{query}");
        }
    }
}
