//! Tests on single values as text: what a column cannot decide by comparing.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use panoptes_model::Timestamp;
use regex::Regex;

use super::folded::Folded;
use super::query::{Bound, Glob, PATTERN_BYTES_MAX, Pattern, Test};
use crate::pivot::{ITEM_SEPARATOR, each_overflow, each_text, instant};
use crate::words::is_word;

/// A test made ready. Two are equal if they came from the same test.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    test: TestOrWords,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum TestOrWords {
    Test(Test),
    Words(Glob),
}

#[derive(Clone, Debug)]
enum Kind {
    Exists,
    /// The text, and the address in its plain form if it is one.
    Is(String, Option<String>),
    Pattern(Regex),
    /// The same as the pattern, but quicker.
    Folded(Folded, Place, Regex),
    Range(Option<End>, Option<End>),
    Network(super::query::Network),
}

/// Where in a text.
#[derive(Clone, Copy, Debug)]
enum Place {
    Anywhere,
    Beginning,
    End,
}

/// One end of a range: compared by what both sides read as.
#[derive(Clone, Debug)]
struct End {
    bound: Bound,
    number: Option<f64>,
    address: Option<IpAddr>,
}

impl Kind {
    fn folded(place: Option<(&String, Place)>, borders: (bool, bool), pattern: Regex) -> Self {
        match place.and_then(|(text, place)| Some((Folded::new(text, borders)?, place))) {
            Some((folded, place)) => Self::Folded(folded, place, pattern),
            None => Self::Pattern(pattern),
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.test == other.test
    }
}

impl Eq for Matcher {}

impl Hash for Matcher {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.test.hash(state);
    }
}

/// A pattern of a query is too large.
#[derive(Debug, thiserror::Error)]
#[error("a pattern with `*` is too large; make it shorter")]
pub(crate) struct PatternTooLarge {
    pub(super) source: regex::Error,
}

impl Matcher {
    pub(crate) fn new(test: &Test) -> Result<Self, PatternTooLarge> {
        let end = |bound: &Option<Bound>| {
            bound.as_ref().map(|bound| End {
                number: bound.value.parse().ok(),
                address: bound.value.parse().ok(),
                bound: bound.clone(),
            })
        };
        let kind = match test {
            Test::Exists => Kind::Exists,
            Test::Is(text) => Kind::Is(text.clone(), canonical(text)),
            Test::Like(glob) => {
                let parts: Vec<String> = glob.0.iter().map(|it| regex::escape(it)).collect();
                let pattern = compile(&format!("^(?:{})$", parts.join(".*")))?;
                let place = match glob.0.as_slice() {
                    [start, end] if end.is_empty() => Some((start, Place::Beginning)),
                    [start, end] if start.is_empty() => Some((end, Place::End)),
                    [start, middle, end] if start.is_empty() && end.is_empty() => Some((middle, Place::Anywhere)),
                    _ => None,
                };
                Kind::folded(place, (false, false), pattern)
            }
            Test::Pattern(pattern) => return Self::pattern(pattern),
            Test::Range { low, high } => Kind::Range(end(low), end(high)),
            Test::Network(network) => Kind::Network(*network),
        };
        Ok(Self { test: TestOrWords::Test(test.clone()), kind })
    }

    /// Finds words in a text: in any case, and only whole words, but for where a `*` stands. A `*` inside stands for
    /// anything without white space.
    pub(crate) fn words(glob: &Glob) -> Result<Self, PatternTooLarge> {
        let parts: Vec<String> = glob.0.iter().map(|it| regex::escape(it)).collect();
        let starts = glob.0.first().and_then(|it| it.chars().next()).is_some_and(is_word);
        let ends = glob.0.last().and_then(|it| it.chars().next_back()).is_some_and(is_word);
        let border = |wanted: bool| if wanted { r"\b" } else { "" };
        let pattern = format!("{}{}{}", border(starts), parts.join(r"\S*"), border(ends));
        // A `*` at an end only takes its border away.
        let only = match glob.0.as_slice() {
            [only] => Some(only),
            [start, end] if end.is_empty() => Some(start),
            [start, end] if start.is_empty() => Some(end),
            [start, middle, end] if start.is_empty() && end.is_empty() => Some(middle),
            _ => None,
        };
        let place = only.map(|it| (it, Place::Anywhere));
        let kind = Kind::folded(place, (starts, ends), compile(&pattern)?);
        Ok(Self { test: TestOrWords::Words(glob.clone()), kind })
    }

    /// Finds what the regular expression fits, as it is written.
    pub(crate) fn pattern(pattern: &Pattern) -> Result<Self, PatternTooLarge> {
        let compiled = regex::RegexBuilder::new(pattern.text()).size_limit(PATTERN_BYTES_MAX).build();
        let kind = Kind::Pattern(compiled.map_err(|source| PatternTooLarge { source })?);
        Ok(Self { test: TestOrWords::Test(Test::Pattern(pattern.clone())), kind })
    }

    /// The one text that passes, if there is only one.
    pub(crate) fn only_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Is(text, None) => Some(text),
            _ => None,
        }
    }

    /// Whether `text` passes.
    pub(crate) fn matches(&self, text: &str) -> bool {
        match &self.kind {
            Kind::Exists => true,
            Kind::Is(wanted, address) => text == wanted || address.as_deref() == Some(text),
            Kind::Pattern(pattern) => pattern.is_match(text),
            Kind::Folded(folded, place, pattern) => {
                let found = match place {
                    Place::Anywhere => folded.find(text),
                    Place::Beginning => folded.is_affix(text, false),
                    Place::End => folded.is_affix(text, true),
                };
                found.unwrap_or_else(|| pattern.is_match(text))
            }
            Kind::Range(low, high) => {
                let number = text.parse().ok();
                low.as_ref().is_none_or(|it| it.admits(text, number, std::cmp::Ordering::Greater))
                    && high.as_ref().is_none_or(|it| it.admits(text, number, std::cmp::Ordering::Less))
            }
            Kind::Network(network) => text.parse().is_ok_and(|it| network.contains(it)),
        }
    }

    /// Whether some item of a text that may be a list passes.
    pub(crate) fn matches_some(&self, text: &str) -> bool {
        text.split(ITEM_SEPARATOR).any(|it| self.matches(it))
    }

    /// Whether the overflow `text` has a value called `name` that passes.
    pub(crate) fn matches_overflow(&self, text: &str, name: &str) -> bool {
        let mut found = false;
        each_overflow(text, |key, value| {
            if key == name {
                each_text(&value, &mut |text| found |= self.matches(text));
            }
        });
        found
    }
}

impl End {
    fn admits(&self, text: &str, number: Option<f64>, wanted: std::cmp::Ordering) -> bool {
        let order = match (self.number, self.address) {
            (Some(bound), _) => number.and_then(|it: f64| it.partial_cmp(&bound)),
            (None, Some(bound)) => text.parse::<IpAddr>().ok().map(|it| it.to_canonical().cmp(&bound.to_canonical())),
            (None, None) => Some(text.cmp(&self.bound.value)),
        };
        order.is_some_and(|it| it == wanted || it.is_eq() && self.bound.inclusive)
    }
}

/// Without regard to case, over whole texts with their line breaks.
fn compile(pattern: &str) -> Result<Regex, PatternTooLarge> {
    regex::RegexBuilder::new(pattern)
        .case_insensitive(true)
        .dot_matches_new_line(true)
        .size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|source| PatternTooLarge { source })
}

/// The plain form of an address, if it differs from `text`.
pub(super) fn canonical(text: &str) -> Option<String> {
    let address = text.parse::<IpAddr>().ok()?.to_canonical().to_string();
    (address != text).then_some(address)
}

/// The time that `text` stands for: an instant, or all of a day.
pub(crate) fn span(text: &str) -> Option<(Timestamp, Timestamp)> {
    if let Some(time) = instant(text) {
        return Some((time, time));
    }
    let utc = |time: jiff::civil::DateTime| {
        let nanos = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_nanosecond();
        i64::try_from(nanos).ok().map(Timestamp)
    };
    // A day is tried first: a date alone also reads as its midnight.
    if text.len() <= "2024-01-15".len()
        && let Ok(day) = text.parse::<jiff::civil::Date>()
    {
        let first = utc(day.at(0, 0, 0, 0))?;
        return Some((first, first.saturating_add_nanos(86_400 * Timestamp::NANOS_PER_SECOND - 1)));
    }
    let time = utc(text.parse().ok()?)?;
    Some((time, time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::query::{Network, Query};

    fn words(query: &str, text: &str) -> bool {
        let Ok(Query::Words(glob)) = query.parse() else { panic!("{query} is no word") };
        Matcher::words(&glob).unwrap().matches(text)
    }

    fn test(query: &str) -> Matcher {
        let Ok(Query::Field { test, .. }) = format!("x:{query}").parse() else { panic!("{query} is no test") };
        Matcher::new(&test).unwrap()
    }

    #[test]
    fn words_match_whole_and_in_any_case_unless_a_star_says_otherwise() {
        let text = "Failed password for root from 203.0.113.9 port 22: Überprüfung (x=1)";
        for (query, found) in [
            ("failed", true),
            ("fail", false),
            ("fail*", true),
            ("*word", true),
            ("assw", false),
            ("*assw*", true),
            ("203.0.113.9", true),
            ("203.0.113", true),
            ("03.0.113", false),
            ("\"password for root\"", true),
            ("\"password for roo\"", false),
            ("f*d", true),
            ("failed*root", false),
            ("überprüfung", true),
            ("prüfung", false),
            ("\"(x=1)\"", true),
            ("22:", true),
            ("x=", true),
        ] {
            assert_eq!(words(query, text), found, "{query}");
        }
    }

    #[test]
    fn values_are_compared_by_what_both_sides_read_as() {
        for (query, text, matches) in [
            ("root", "root", true),
            ("root", "Root", false),
            ("roo*", "Root", true),
            ("*oo*", "a\nfoot", true),
            ("roo*", "groot", false),
            ("a.c*", "abcd", false),
            ("::FFFF:10.0.0.1", "10.0.0.1", true),
            (">=500", "500", true),
            (">500", "500", false),
            (">50", "6", false),
            (">50", "six", false),
            ("<5", "-1e3", true),
            ("[a TO c]", "bb", true),
            ("[a TO c}", "c", false),
            (">10.0.0.9", "10.0.0.10", true),
            ("[* TO *]", "anything", true),
            ("10.0.0.0/8", "10.9.9.9", true),
            ("10.0.0.0/8", "text", false),
        ] {
            assert_eq!(test(query).matches(text), matches, "{query} on {text}");
        }
        assert!(test("b").matches_some("a\u{1f}b") && !test("b").matches_some("a\u{1f}bc"));
    }

    #[test]
    fn overflow_is_searched_by_name_and_value() {
        let text = r#"{"port":"ssh","port":[22,null,1.0],"flag":true,"note":null,"big":18446744073709551615}"#;
        for (name, query, found) in [
            ("port", "ssh", true),
            ("port", "22", true),
            ("port", "1", true),
            ("port", ">21", true),
            ("port", "true", false),
            ("flag", "true", true),
            ("note", "*", false),
            ("big", "18446744073709551615", true),
            ("nowhere", "*", false),
        ] {
            assert_eq!(test(query).matches_overflow(text, name), found, "{name}:{query}");
        }
    }

    #[test]
    fn times_may_be_days_and_need_no_zone() {
        let seconds = |text: &str| span(text).map(|(from, to)| (from.as_seconds(), to.as_seconds()));
        assert_eq!(seconds("1970-01-02"), Some((86_400, 2 * 86_400 - 1)));
        assert_eq!(seconds("1970-01-01T00:01"), Some((60, 60)));
        assert_eq!(seconds("1970-01-01 00:01:01"), Some((61, 61)));
        assert_eq!(seconds("1970-01-01T01:00:00+01:00"), Some((0, 0)));
        assert_eq!((seconds("soon"), seconds("9999-01-01")), (None, None));
    }

    #[test]
    fn patterns_are_bounded_in_size() {
        let glob = |stars: usize| Glob("é*".repeat(stars).split('*').map(str::to_owned).collect());
        let fits = |glob: &Glob| (Matcher::new(&Test::Like(glob.clone())).is_ok(), Matcher::words(glob).is_ok());
        assert_eq!(fits(&glob(200)), (true, true));
        assert_eq!(fits(&glob(crate::search::query::QUERY_BYTES_MAX / 3)), (false, false));
    }

    #[test]
    fn one_plain_text_can_be_compared_by_a_column() {
        assert_eq!(test("a").only_text(), Some("a"));
        assert_eq!(test("::ffff:10.0.0.1").only_text(), None);
        assert!(Network::new("10.0.0.0".parse().unwrap(), 33).is_none());
    }
}
