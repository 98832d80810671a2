//! Events as they travel: many at a time, owning their bytes.
//!
//! An [`EventBatch`] holds the input text as it came, one arena for text that had to be decoded, and one row of
//! 16-byte cells per event. A text cell is an offset and a length into either text, so building an event allocates
//! nothing of its own, and the batch has no lifetime parameter: it can cross threads and wait in queues.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hashbrown::HashTable;

use crate::writer::BatchWriter;
use crate::{Anomalies, EventId, FieldId, FrameId, Origin, Schema, Timestamp, field};

/// How much input one field takes at least, roughly: JSON has some 30 bytes of key and value, and means some of them
/// twice; of a short line of syslog much is told in few bytes.
const CELL_INPUT_BYTES: usize = 8;
/// How much input one event takes at least, roughly.
const HEAD_INPUT_BYTES: usize = 64;

/// What a cell's payload means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Null,
    /// Offset (high half) and length (low half) into the input.
    TextInput,
    /// The same into the arena.
    TextArena,
    Integer,
    /// The bits of an `f64`.
    Float,
    Boolean,
    Ip4,
    /// Index into the batch's wide values.
    Ip6,
    Timestamp,
    /// Start (high half) and number (low half) of cells in the batch's list items.
    List,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) field: FieldId,
    pub(crate) kind: Kind,
    pub(crate) payload: u64,
}

// The whole point of the layout: four cells to a cache line.
const _: () = assert!(size_of::<Cell>() == 16);

/// Two halves in one payload.
#[inline]
pub(crate) const fn pack(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

#[inline]
pub(crate) const fn unpack(payload: u64) -> (usize, usize) {
    ((payload >> 32) as usize, (payload & 0xffff_ffff) as usize)
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) time: Timestamp,
    pub(crate) received_at: Timestamp,
    pub(crate) position: u64,
    /// The record as it came: a text cell.
    pub(crate) original: Cell,
    pub(crate) cells_start: u32,
    pub(crate) cells_end: u32,
    pub(crate) origin: u32,
    pub(crate) anomalies: Anomalies,
    pub(crate) unparsed: bool,
    pub(crate) spelled: bool,
}

/// Names that senders invented: ids are valid in this batch only.
#[derive(Clone, Debug, Default)]
pub(crate) struct LocalNames {
    names: Vec<Box<str>>,
    by_name: HashTable<u32>,
    /// Seeded at random per process, so that a sender cannot choose names that collide.
    hasher: foldhash::quality::RandomState,
}

impl LocalNames {
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn id(&self, name: &str) -> Option<FieldId> {
        self.by_name
            .find(self.hasher.hash_one(name), |it| self.names.get(*it as usize).is_some_and(|known| **known == *name))
            .map(|it| FieldId::local(*it))
    }

    pub(crate) fn add(&mut self, name: &str) -> FieldId {
        let index = self.names.len() as u32;
        self.names.push(name.into());
        let (names, hasher) = (&self.names, &self.hasher);
        self.by_name.insert_unique(hasher.hash_one(name), index, |it| {
            hasher.hash_one(names.get(*it as usize).map_or("", |name| name))
        });
        FieldId::local(index)
    }
}

/// Many events that own their bytes. Made by [`EventBatch::build`]; unchangeable afterwards.
#[derive(Clone, Debug)]
pub struct EventBatch {
    pub(crate) schema: Arc<Schema>,
    pub(crate) frame: FrameId,
    pub(crate) origins: Vec<Origin>,
    pub(crate) input: String,
    pub(crate) arena: String,
    pub(crate) wide: Vec<Ipv6Addr>,
    pub(crate) items: Vec<Cell>,
    pub(crate) cells: Vec<Cell>,
    pub(crate) heads: Vec<Head>,
    pub(crate) local: LocalNames,
}

impl EventBatch {
    /// Lets `fill` write events over `input`: text that it hands in as slices of `input` is referred to, all other
    /// text is copied to the arena. `now` is the clock that times ahead of it are clamped to.
    pub fn build(
        schema: Arc<Schema>,
        frame: FrameId,
        now: Timestamp,
        origins: Vec<Origin>,
        input: String,
        fill: impl FnOnce(&mut BatchWriter<'_>),
    ) -> Self {
        let mut empty = Self {
            schema,
            frame,
            origins,
            input: String::new(),
            arena: String::new(),
            wide: Vec::new(),
            items: Vec::new(),
            cells: Vec::new(),
            heads: Vec::new(),
            local: LocalNames::default(),
        };
        // A guess that spares most of the growing: pages that stay untouched cost nothing and are given back at the end.
        empty.cells.reserve(input.len() / CELL_INPUT_BYTES);
        empty.heads.reserve(input.len() / HEAD_INPUT_BYTES);
        let mut writer = BatchWriter::new(&input, now, empty);
        fill(&mut writer);
        let mut batch = writer.finish();
        batch.input = input;
        batch
    }

    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The log frame that the events came in.
    pub fn frame(&self) -> FrameId {
        self.frame
    }

    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    pub fn len(&self) -> usize {
        self.heads.len()
    }

    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The event at `index`, in the order of the records.
    pub fn event(&self, index: usize) -> Option<Event<'_>> {
        Some(Event { batch: self, head: self.heads.get(index)?, index: index as u32 })
    }

    pub fn events(&self) -> impl ExactSizeIterator<Item = Event<'_>> + Clone {
        self.heads.iter().enumerate().map(|(index, head)| Event { batch: self, head, index: index as u32 })
    }

    /// The name of a field of this batch, fixed or local.
    pub fn field_name(&self, id: FieldId) -> &str {
        match id.local_index() {
            None => self.schema.name(id).unwrap_or(""),
            Some(index) => self.local.names.get(index as usize).map_or("", |name| name),
        }
    }

    /// The id that `name` has in this batch, if any event of it or the schema knows the name.
    pub fn field_id(&self, name: &str) -> Option<FieldId> {
        self.schema.id(name).or_else(|| self.local.id(name))
    }

    /// Bytes of memory that the batch holds: what queues and the hot store account for.
    pub fn memory_bytes(&self) -> usize {
        self.input.capacity()
            + self.arena.capacity()
            + self.wide.capacity() * size_of::<Ipv6Addr>()
            + (self.cells.capacity() + self.items.capacity()) * size_of::<Cell>()
            + self.heads.capacity() * size_of::<Head>()
    }

    #[inline]
    pub(crate) fn value(&self, cell: &Cell) -> Value<'_> {
        match cell.kind {
            Kind::Null => Value::Null,
            Kind::TextInput => Value::Text(slice(&self.input, cell.payload)),
            Kind::TextArena => Value::Text(slice(&self.arena, cell.payload)),
            Kind::Integer => Value::Integer(cell.payload as i64),
            Kind::Float => Value::Float(f64::from_bits(cell.payload)),
            Kind::Boolean => Value::Boolean(cell.payload != 0),
            Kind::Ip4 => Value::Ip(IpAddr::V4(Ipv4Addr::from_bits(cell.payload as u32))),
            Kind::Ip6 => self.wide.get(cell.payload as usize).map_or(Value::Null, |ip| Value::Ip(IpAddr::V6(*ip))),
            Kind::Timestamp => Value::Timestamp(Timestamp(cell.payload as i64)),
            Kind::List => {
                let (start, length) = unpack(cell.payload);
                Value::List(List { batch: self, items: self.items.get(start..start + length).unwrap_or_default() })
            }
        }
    }
}

/// The text behind a payload. Both texts are checked UTF-8 as a whole, so this is two border checks, no scan.
#[inline]
pub(crate) fn slice(text: &str, payload: u64) -> &str {
    let (start, length) = unpack(payload);
    text.get(start..start + length).unwrap_or("")
}

/// A fact, seen in its batch.
#[derive(Clone, Copy, Debug)]
pub struct Event<'b> {
    batch: &'b EventBatch,
    head: &'b Head,
    index: u32,
}

impl<'b> Event<'b> {
    pub fn batch(self) -> &'b EventBatch {
        self.batch
    }

    pub fn id(self) -> EventId {
        EventId { frame: self.batch.frame, index: self.index }
    }

    /// When it happened; the receive time if the event does not say ([`Anomaly::TimeMissing`](crate::Anomaly)).
    pub fn time(self) -> Timestamp {
        self.head.time
    }

    pub fn received_at(self) -> Timestamp {
        self.head.received_at
    }

    /// The record as it came.
    pub fn original(self) -> &'b str {
        match self.batch.value(&self.head.original) {
            Value::Text(text) => text,
            _ => "",
        }
    }

    pub fn origin(self) -> Option<&'b Origin> {
        self.batch.origins.get(self.head.origin as usize)
    }

    /// Index of [`origin`](Self::origin) in the batch: what per-source counters group by.
    pub fn origin_index(self) -> usize {
        self.head.origin as usize
    }

    /// Where the record ended in its source ([`RawRecord::position`](crate::RawRecord)).
    pub fn position(self) -> u64 {
        self.head.position
    }

    pub fn anomalies(self) -> Anomalies {
        self.head.anomalies
    }

    /// Whether no format understood the record: its text is then `message`.
    pub fn is_unparsed(self) -> bool {
        self.head.unparsed
    }

    /// Whether some text of the event was written with numbers for characters (JSON's `\u0041`): what is in a field
    /// need not be in the original then.
    pub fn is_spelled(self) -> bool {
        self.head.spelled
    }

    /// The value of `field`: the first, if the sender gave it twice.
    ///
    /// `@timestamp`, `event.ingested`, `event.original`, `panoptes.source` and `panoptes.input` are answered from the
    /// event itself and are not among [`fields`](Self::fields).
    #[inline]
    pub fn get(self, id: FieldId) -> Option<Value<'b>> {
        if let Some(cell) = self.cells().iter().find(|cell| cell.field == id) {
            return Some(self.batch.value(cell));
        }
        match id {
            field::TIMESTAMP => Some(Value::Timestamp(self.head.time)),
            field::EVENT_INGESTED => Some(Value::Timestamp(self.head.received_at)),
            field::EVENT_ORIGINAL => Some(Value::Text(self.original())),
            field::PANOPTES_SOURCE => self.origin().map(|it| Value::Text(&it.source)),
            field::PANOPTES_INPUT => self.origin().map(|it| Value::Text(&it.input)),
            _ => None,
        }
    }

    /// The value of the field called `name`.
    pub fn get_named(self, name: &str) -> Option<Value<'b>> {
        self.get(self.batch.field_id(name)?)
    }

    /// The value of `field` if it is text.
    pub fn text(self, id: FieldId) -> Option<&'b str> {
        match self.get(id)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// All fields in the order in which they were written.
    pub fn fields(self) -> impl ExactSizeIterator<Item = (FieldId, Value<'b>)> + Clone {
        let batch = self.batch;
        self.cells().iter().map(move |cell| (cell.field, batch.value(cell)))
    }

    /// The ids of [`fields`](Self::fields), in their order: for those who want few of the values.
    #[inline]
    pub fn field_ids(self) -> impl ExactSizeIterator<Item = FieldId> + Clone {
        self.cells().iter().map(|cell| cell.field)
    }

    /// The same, and whether the value is null.
    #[inline]
    pub fn field_ids_and_nulls(self) -> impl ExactSizeIterator<Item = (FieldId, bool)> + Clone {
        self.cells().iter().map(|cell| (cell.field, matches!(cell.kind, Kind::Null)))
    }

    /// The value of the field at `position` among [`fields`](Self::fields).
    #[inline]
    pub fn value_at(self, position: u32) -> Option<Value<'b>> {
        self.cells().get(position as usize).map(|cell| self.batch.value(cell))
    }

    #[inline]
    fn cells(self) -> &'b [Cell] {
        self.batch.cells.get(self.head.cells_start as usize..self.head.cells_end as usize).unwrap_or_default()
    }
}

/// One typed value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'b> {
    Null,
    Text(&'b str),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Ip(IpAddr),
    Timestamp(Timestamp),
    List(List<'b>),
}

impl<'b> Value<'b> {
    /// The value as text, the way it would be typed in a search; lists are joined by commas. Null is empty.
    pub fn to_text(self) -> Cow<'b, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Null => Cow::Borrowed(""),
            Self::Boolean(value) => Cow::Borrowed(if value { "true" } else { "false" }),
            _ => {
                let mut out = String::new();
                self.write_text(&mut out);
                Cow::Owned(out)
            }
        }
    }

    /// Appends [`to_text`](Self::to_text) to `out`.
    pub fn write_text(self, out: &mut String) {
        let done = match self {
            Self::Null => Ok(()),
            Self::Text(text) => out.write_str(text),
            Self::Integer(value) => write!(out, "{value}"),
            Self::Float(value) => write!(out, "{value}"),
            Self::Boolean(value) => write!(out, "{value}"),
            // By far the most frequent of those that are no text.
            Self::Ip(IpAddr::V4(value)) => {
                write_v4(value, out);
                Ok(())
            }
            Self::Ip(value) => write!(out, "{value}"),
            Self::Timestamp(value) => write!(out, "{value}"),
            Self::List(list) => {
                for (index, item) in list.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_text(out);
                }
                Ok(())
            }
        };
        debug_assert!(done.is_ok(), "writing to a string cannot fail");
    }

    /// The value's parts: the items of a list, or the value itself.
    pub fn each(self) -> impl Iterator<Item = Value<'b>> {
        let (list, single) = match self {
            Self::List(list) => (Some(list), None),
            other => (None, Some(other)),
        };
        list.into_iter().flat_map(List::iter).chain(single)
    }
}

/// Appends `address` as its `Display` does.
pub fn write_ip(out: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => write_v4(address, out),
        IpAddr::V6(address) => {
            let done = write!(out, "{address}");
            debug_assert!(done.is_ok(), "writing to a string cannot fail");
        }
    }
}

fn write_v4(address: Ipv4Addr, out: &mut String) {
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            out.push('.');
        }
        if octet >= 100 {
            out.push(char::from(b'0' + octet / 100));
        }
        if octet >= 10 {
            out.push(char::from(b'0' + octet / 10 % 10));
        }
        out.push(char::from(b'0' + octet % 10));
    }
}

/// Several values of one field.
#[derive(Clone, Copy, Debug)]
pub struct List<'b> {
    batch: &'b EventBatch,
    items: &'b [Cell],
}

impl<'b> List<'b> {
    pub fn iter(self) -> impl ExactSizeIterator<Item = Value<'b>> + Clone {
        let batch = self.batch;
        self.items.iter().map(move |cell| batch.value(cell))
    }

    pub fn len(self) -> usize {
        self.items.len()
    }

    pub fn is_empty(self) -> bool {
        self.items.is_empty()
    }
}

impl PartialEq for List<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_display() {
        let octets = [0, 1, 9, 10, 11, 99, 100, 101, 199, 200, 255];
        let v4 = octets.map(|it| IpAddr::from([it, 255 - it, it / 2, 7]));
        let v6 = ["::1", "2001:db8::7", "::ffff:192.0.2.1"].map(|it| it.parse::<IpAddr>().unwrap());
        for address in v4.into_iter().chain(v6) {
            let mut text = "x".to_owned();
            write_ip(&mut text, address);
            assert_eq!(text, format!("x{address}"));
        }
    }
}
