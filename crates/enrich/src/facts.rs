//! What is known of one value, ready to be given to events.

use panoptes_model::{BatchWriter, Kept, Timestamp};

/// Where a fact goes. Which field that is follows from the value it is a fact of (`fields.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Of an address; an index into [`SIDE`](crate::fields::SIDE).
    Side(u8),
    /// Of a domain; an index into [`DOMAIN`](crate::fields::DOMAIN).
    Domain(u8),
    /// Of a user agent; an index into [`AGENT`](crate::fields::AGENT).
    Agent(u8),
    /// Of a host; an index into [`ASSET`](crate::fields::ASSET).
    Host(u8),
    /// That the list with this index has the value.
    Label(u16),
    /// That it is an indicator; an index into [`THREAT`](crate::fields::THREAT).
    Threat(u8),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fact {
    Text(Box<str>),
    Texts(Vec<Box<str>>),
    Integer(i64),
}

/// What is known of a value, and from when until when: entries of lists expire.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) all: Vec<(Slot, Fact)>,
    pub(crate) valid_from: Timestamp,
    pub(crate) valid_until: Timestamp,
    /// Of an address: whether it is one of ours.
    pub(crate) is_own: bool,
}

impl Default for Facts {
    fn default() -> Self {
        Self::NOTHING
    }
}

impl Facts {
    pub(crate) const NOTHING: Self =
        Self { all: Vec::new(), valid_from: Timestamp(i64::MIN), valid_until: Timestamp(i64::MAX), is_own: false };

    pub(crate) fn text(&mut self, slot: Slot, value: &str) {
        if !value.is_empty() {
            self.all.push((slot, Fact::Text(value.into())));
        }
    }

    pub(crate) fn texts(&mut self, slot: Slot, values: Vec<Box<str>>) {
        if !values.is_empty() {
            self.all.push((slot, Fact::Texts(values)));
        }
    }

    /// Notes that an entry that expires at `expires` was looked at, at `now`; whether it still counts.
    pub(crate) fn is_in_force(&mut self, expires: Timestamp, now: Timestamp) -> bool {
        if now < expires {
            self.valid_until = self.valid_until.min(expires);
            true
        } else {
            self.valid_from = self.valid_from.max(expires);
            false
        }
    }

    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        self.valid_from <= now && now < self.valid_until
    }

    /// Puts the values into the batch that is being written.
    pub(crate) fn keep(&self, writer: &mut BatchWriter<'_>, kept: &mut Vec<(Slot, Kept)>) {
        kept.clear();
        kept.extend(self.all.iter().filter_map(|(slot, fact)| {
            let value = match fact {
                Fact::Text(text) => writer.keep(text)?,
                Fact::Texts(texts) => writer.keep_list(texts.iter().map(|it| &**it))?,
                Fact::Integer(number) => Kept::integer(*number),
            };
            Some((*slot, value))
        }));
    }
}
