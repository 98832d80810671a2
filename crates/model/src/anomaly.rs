//! Damage in the input, as data on which rules can match.

use std::fmt;

/// One kind of damage or guess. The word ([`as_str`](Self::as_str)) is what rules see in `panoptes.anomaly`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Anomaly {
    /// Bytes were not UTF-8; each broken sequence became U+FFFD.
    Utf8Invalid,
    /// The event states no time: it got its receive time.
    TimeMissing,
    /// A time was there but names no instant.
    TimeInvalid,
    /// The time lies more than five minutes ahead of the clock and was clamped to it.
    TimeAhead,
    /// The year was inferred from the receive time.
    YearInferred,
    /// Objects were nested deeper than the limit; what lies below is kept as text.
    NestingTooDeep,
    /// The event has more fields than the limit; the rest is only in the original text.
    FieldsTooMany,
    /// The batch has more distinct names than the limit; such fields are only in the original text.
    NamesTooMany,
    /// A list was longer than the limit; the rest is only in the original text.
    ListTooLong,
    /// A key occurred twice in one object; both are kept, readers see the first.
    KeyDuplicate,
    /// A syslog priority was out of range.
    PriorityInvalid,
    /// The record broke off in the middle of its own syntax; what came before is kept.
    Truncated,
    /// The record was longer than the input's limit and was cut.
    LineTooLong,
    /// The record was started like its format demands but went on otherwise.
    SyntaxInvalid,
}

impl Anomaly {
    pub const ALL: [Self; 14] = [
        Self::Utf8Invalid,
        Self::TimeMissing,
        Self::TimeInvalid,
        Self::TimeAhead,
        Self::YearInferred,
        Self::NestingTooDeep,
        Self::FieldsTooMany,
        Self::NamesTooMany,
        Self::ListTooLong,
        Self::KeyDuplicate,
        Self::PriorityInvalid,
        Self::Truncated,
        Self::LineTooLong,
        Self::SyntaxInvalid,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8Invalid => "utf8_invalid",
            Self::TimeMissing => "time_missing",
            Self::TimeInvalid => "time_invalid",
            Self::TimeAhead => "time_ahead",
            Self::YearInferred => "year_inferred",
            Self::NestingTooDeep => "nesting_too_deep",
            Self::FieldsTooMany => "fields_too_many",
            Self::NamesTooMany => "names_too_many",
            Self::ListTooLong => "list_too_long",
            Self::KeyDuplicate => "key_duplicate",
            Self::PriorityInvalid => "priority_invalid",
            Self::Truncated => "truncated",
            Self::LineTooLong => "line_too_long",
            Self::SyntaxInvalid => "syntax_invalid",
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of anomalies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anomalies(u32);

impl Anomalies {
    pub const fn insert(&mut self, anomaly: Anomaly) {
        self.0 |= 1 << anomaly as u8;
    }

    pub const fn contains(self, anomaly: Anomaly) -> bool {
        self.0 & (1 << anomaly as u8) != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Anomaly> {
        Anomaly::ALL.into_iter().filter(move |it| self.contains(*it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_anomaly_has_its_own_bit() {
        for anomaly in Anomaly::ALL {
            let mut set = Anomalies::default();
            set.insert(anomaly);
            assert_eq!(set.iter().collect::<Vec<_>>(), [anomaly]);
        }
    }
}
