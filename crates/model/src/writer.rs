//! How formats fill an [`EventBatch`].

mod arrange;
mod kept;
mod pairs;
mod words;

pub use kept::Kept;
pub use pairs::{Pairs, PairsThere};

use std::net::IpAddr;

use crate::batch::{Cell, Head, Kind, pack, slice, unpack};
use crate::keys::{Key, KeyCache, TranslatedKey, TranslationCache};
use crate::{Anomaly, EventBatch, FieldId, FieldType, Schema, Timestamp, Value, field};

/// How many fields one event may have. Further ones stay in the original text ([`Anomaly::FieldsTooMany`]).
pub const EVENT_FIELDS_MAX: usize = 2_048;
/// How many names beyond the schema one batch may hold. Fields with further names stay in the original text
/// ([`Anomaly::NamesTooMany`]).
pub const LOCAL_NAMES_MAX: usize = 8_192;
/// How much decoded text one batch may hold: four times the largest input. A value that does not fit any more stays
/// in the original text ([`Anomaly::FieldsTooMany`]).
const ARENA_BYTES_MAX: usize = 4 * crate::BATCH_BYTES_MAX;
/// How many items one list may have; the rest stays in the original text ([`Anomaly::ListTooLong`]).
const LIST_ITEMS_MAX: usize = 1_024;
/// How far ahead of the clock an event's time may lie before it is clamped ([`Anomaly::TimeAhead`]).
const AHEAD_NANOS_MAX: i64 = 5 * 60 * Timestamp::NANOS_PER_SECOND;

/// Writes one event after another. Made by [`EventBatch::build`].
///
/// [`begin`](Self::begin) opens an event, the value methods add fields, [`end`](Self::end) closes it;
/// [`rollback`](Self::rollback) forgets its fields, so that another format can try. Values given outside an open
/// event are ignored.
pub struct BatchWriter<'i> {
    input: &'i str,
    now: Timestamp,
    batch: EventBatch,
    open: Option<Open>,
    keys: KeyCache,
    marks: arrange::MarkTable,
    pairs: Vec<pairs::Known>,
    notes: pairs::Notes,
    words: words::Words,
    translations: TranslationCache,
    /// The name of a translated key while it is looked up.
    scratch: String,
    /// Per fixed and per local field: the last [`try_number`](Self::try_number) that had it as a key.
    fixed_seen: Vec<u32>,
    local_seen: Vec<u32>,
    /// Counts every begun and every rolled back event.
    try_number: u32,
}

/// The event being written, and how long every buffer was before it.
struct Open {
    head: Head,
    /// A bit for each field that was pushed ([`bit`]): most looks are for fields that are not there.
    pushed: u128,
    time_stated: bool,
    arena_start: usize,
    items_start: usize,
    wide_start: usize,
}

/// The bit of a field in [`Open::pushed`], which it shares with others.
#[inline]
fn bit(id: FieldId) -> u128 {
    1 << (id.0 % u128::BITS)
}

impl<'i> BatchWriter<'i> {
    pub(crate) fn new(input: &'i str, now: Timestamp, batch: EventBatch) -> Self {
        let fixed_seen = vec![0; batch.schema.len()];
        Self {
            input,
            now,
            batch,
            open: None,
            keys: KeyCache::new(),
            marks: arrange::MarkTable::default(),
            pairs: Vec::new(),
            notes: pairs::Notes::default(),
            words: words::Words::default(),
            translations: TranslationCache::default(),
            scratch: String::new(),
            fixed_seen,
            local_seen: Vec::new(),
            try_number: 0,
        }
    }

    pub(crate) fn finish(mut self) -> EventBatch {
        self.end();
        self.batch.arena.shrink_to_fit();
        self.batch.cells.shrink_to_fit();
        self.batch.heads.shrink_to_fit();
        self.batch
    }

    /// The text that events are written over; slices of it cost no copy.
    pub fn input(&self) -> &'i str {
        self.input
    }

    pub fn schema(&self) -> &Schema {
        &self.batch.schema
    }

    /// The clock of the frame: what a missing year is inferred from is the *receive* time instead.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Opens the next event; one that is still open is closed.
    #[inline]
    pub fn begin(&mut self, original: &str, origin: u32, received_at: Timestamp, position: u64) {
        self.end();
        self.try_number = self.try_number.wrapping_add(1);
        self.translations.begin();
        let arena_start = self.batch.arena.len();
        let original = self.text_cell(field::EVENT_ORIGINAL, original).unwrap_or(Cell {
            field: field::EVENT_ORIGINAL,
            kind: Kind::Null,
            payload: 0,
        });
        let cells_start = self.batch.cells.len() as u32;
        self.open = Some(Open {
            head: Head {
                time: received_at,
                received_at,
                position,
                original,
                cells_start,
                cells_end: cells_start,
                origin,
                anomalies: Default::default(),
                unparsed: false,
                spelled: false,
            },
            pushed: 0,
            time_stated: false,
            arena_start: arena_start.max(self.batch.arena.len()),
            items_start: self.batch.items.len(),
            wide_start: self.batch.wide.len(),
        });
    }

    /// Closes the open event.
    #[inline]
    pub fn end(&mut self) {
        let Some(Open { mut head, time_stated, .. }) = self.open.take() else { return };
        if !time_stated {
            head.anomalies.insert(Anomaly::TimeMissing);
        } else if head.time.nanos_since(self.now) > AHEAD_NANOS_MAX {
            head.time = self.now;
            head.anomalies.insert(Anomaly::TimeAhead);
        }
        let start = self.batch.items.len();
        for anomaly in head.anomalies.iter() {
            if let Some(cell) = self.text_cell(field::PANOPTES_ANOMALY, anomaly.as_str()) {
                self.batch.items.push(cell);
            }
        }
        let count = self.batch.items.len() - start;
        if count > 0 {
            self.batch.cells.push(Cell {
                field: field::PANOPTES_ANOMALY,
                kind: Kind::List,
                payload: pack(start as u32, count as u32),
            });
        }
        head.cells_end = self.batch.cells.len() as u32;
        self.batch.heads.push(head);
    }

    /// Forgets the fields, the time and the anomalies of the open event.
    pub fn rollback(&mut self) {
        let Some(open) = &mut self.open else { return };
        self.try_number = self.try_number.wrapping_add(1);
        self.translations.begin();
        self.batch.cells.truncate(open.head.cells_start as usize);
        self.batch.arena.truncate(open.arena_start);
        self.words.forget_behind(open.arena_start);
        self.batch.items.truncate(open.items_start);
        self.batch.wide.truncate(open.wide_start);
        open.head.time = open.head.received_at;
        open.head.anomalies = Default::default();
        open.head.unparsed = false;
        open.head.spelled = false;
        open.pushed = 0;
        open.time_stated = false;
    }

    /// The field called `name`: fixed if the schema knows it, else local to this batch. `None` when the batch holds
    /// too many invented names already; the event is then flagged.
    #[inline]
    pub fn field(&mut self, name: &str) -> Option<FieldId> {
        let key = Key::of(name);
        let batch = &self.batch;
        match self.keys.get(key, |id| batch.field_name(id) == name) {
            Some(id) => Some(id),
            None => self.field_by_table(key, name),
        }
    }

    /// The same for a key of the sender's: the event is flagged if it had that key before
    /// ([`Anomaly::KeyDuplicate`]).
    #[inline]
    pub fn key(&mut self, name: &str) -> Option<FieldId> {
        let id = self.field(name)?;
        self.see(id);
        Some(id)
    }

    /// The same for a key that means a field of another name. `translate` appends that name to the text that it is
    /// given and may return a number of its own, which comes back with the field; what it said is remembered for the
    /// batch per `space` and key, so it must depend on nothing else.
    #[inline]
    pub fn translated(
        &mut self,
        space: u8,
        key: &str,
        translate: impl FnOnce(&mut String) -> u16,
    ) -> Option<(FieldId, u16)> {
        match TranslatedKey::of(space, key).and_then(|it| self.translations.get(it)) {
            Some(known) => {
                self.see(known.id);
                Some((known.id, known.tag))
            }
            None => self.translated_anew(space, key, translate),
        }
    }

    /// What the key that begins `rest` means in `space`, if it is the one that came next when a record had the same
    /// translated keys before it, and the length of the key, behind which a quote stands. `None` says nothing. That the
    /// event has the key is for the caller to [note](Self::see).
    #[inline]
    pub fn foretold(&mut self, space: u8, rest: &[u8]) -> Option<(FieldId, u16, usize)> {
        self.translations.foretold(space, rest)
    }

    #[cold]
    #[inline(never)]
    fn translated_anew(
        &mut self,
        space: u8,
        key: &str,
        translate: impl FnOnce(&mut String) -> u16,
    ) -> Option<(FieldId, u16)> {
        let mut name = std::mem::take(&mut self.scratch);
        name.clear();
        let tag = translate(&mut name);
        let id = self.key(&name);
        self.scratch = name;
        if let (Some(known), Some(id)) = (TranslatedKey::of(space, key), id) {
            self.translations.put(known, key, id, tag);
        }
        Some((id?, tag))
    }

    /// Notes that the event has a key of this field; it is flagged if it had one before ([`Anomaly::KeyDuplicate`]).
    #[inline]
    pub fn see(&mut self, id: FieldId) {
        let seen = match id.local_index() {
            None => self.fixed_seen.get_mut(id.0 as usize),
            Some(index) => {
                let index = index as usize;
                if self.local_seen.len() <= index {
                    self.local_seen.resize(index + 1, 0);
                }
                self.local_seen.get_mut(index)
            }
        };
        if let Some(seen) = seen {
            let repeated = *seen == self.try_number;
            *seen = self.try_number;
            if repeated {
                self.anomaly(Anomaly::KeyDuplicate);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn field_by_table(&mut self, key: Key, name: &str) -> Option<FieldId> {
        let known = self.batch.schema.id(name).or_else(|| self.batch.local.id(name));
        let id = match known {
            Some(id) => id,
            None if self.batch.local.len() >= LOCAL_NAMES_MAX => {
                self.anomaly(Anomaly::NamesTooMany);
                return None;
            }
            None => self.batch.local.add(name),
        };
        self.keys.put(key, id);
        Some(id)
    }

    /// When the open event happened.
    #[inline]
    pub fn time(&mut self, time: Timestamp) {
        if let Some(open) = &mut self.open {
            open.head.time = time;
            open.time_stated = true;
        }
    }

    /// Whether the open event has been given its time.
    #[inline]
    pub fn has_time(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.time_stated)
    }

    /// When the open event was received: what a missing year or date is inferred from.
    pub fn received_at(&self) -> Timestamp {
        self.open.as_ref().map_or(self.now, |open| open.head.received_at)
    }

    /// Flags the open event.
    #[inline]
    pub fn anomaly(&mut self, anomaly: Anomaly) {
        if let Some(open) = &mut self.open {
            open.head.anomalies.insert(anomaly);
        }
    }

    /// Marks the open event as one that no format understood.
    pub fn unparsed(&mut self) {
        if let Some(open) = &mut self.open {
            open.head.unparsed = true;
        }
    }

    /// Notes that some text was written with numbers for characters: [`Event::is_spelled`](crate::Event::is_spelled).
    pub fn spelled(&mut self) {
        if let Some(open) = &mut self.open {
            open.head.spelled = true;
        }
    }

    #[inline]
    pub fn null(&mut self, id: FieldId) {
        self.push(Cell { field: id, kind: Kind::Null, payload: 0 });
    }

    /// A text: referred to if it is a slice of [`input`](Self::input), else copied.
    #[inline]
    pub fn text(&mut self, id: FieldId, value: &str) {
        match self.text_cell(id, value) {
            Some(cell) => self.push(cell),
            None => self.anomaly(Anomaly::FieldsTooMany),
        }
    }

    /// A text that `write` appends to the arena it is given: decoded text without a copy in between.
    #[inline]
    pub fn text_with(&mut self, id: FieldId, write: impl FnOnce(&mut String)) {
        if let Some(cell) = self.arena_cell(id, write) {
            self.push(cell);
        }
    }

    #[inline]
    pub fn integer(&mut self, id: FieldId, value: i64) {
        self.push(Cell { field: id, kind: Kind::Integer, payload: value as u64 });
    }

    pub fn float(&mut self, id: FieldId, value: f64) {
        self.push(Cell { field: id, kind: Kind::Float, payload: value.to_bits() });
    }

    pub fn boolean(&mut self, id: FieldId, value: bool) {
        self.push(Cell { field: id, kind: Kind::Boolean, payload: u64::from(value) });
    }

    /// An address. IPv4 addresses mapped into IPv6 become plain IPv4, so that rules and searches see one form.
    #[inline]
    pub fn ip(&mut self, id: FieldId, value: IpAddr) {
        let cell = match value.to_canonical() {
            IpAddr::V4(ip) => Cell { field: id, kind: Kind::Ip4, payload: u64::from(ip.to_bits()) },
            IpAddr::V6(ip) => {
                self.batch.wide.push(ip);
                Cell { field: id, kind: Kind::Ip6, payload: (self.batch.wide.len() - 1) as u64 }
            }
        };
        self.push(cell);
    }

    pub fn timestamp(&mut self, id: FieldId, value: Timestamp) {
        self.push(Cell { field: id, kind: Kind::Timestamp, payload: value.0 as u64 });
    }

    /// Several texts under one field.
    #[inline]
    pub fn text_list<'t>(&mut self, id: FieldId, values: impl IntoIterator<Item = &'t str>) {
        let mut list = self.list(id);
        for value in values {
            list.text(value);
        }
        list.close();
    }

    /// A list whose items are added one by one.
    #[inline]
    pub fn list(&mut self, id: FieldId) -> ListWriter<'_, 'i> {
        let start = self.batch.items.len();
        ListWriter { writer: self, field: id, start }
    }

    /// A text as the type that the schema gives `id`: an address becomes an address, digits an integer. What does
    /// not read as that type stays text.
    pub fn typed(&mut self, id: FieldId, value: &str) {
        match self.batch.schema.field_type(id) {
            FieldType::Text | FieldType::Timestamp => self.text(id, value),
            FieldType::Integer => match value.parse() {
                Ok(number) => self.integer(id, number),
                Err(_) => self.text(id, value),
            },
            FieldType::Float => match value.parse() {
                Ok(number) => self.float(id, number),
                Err(_) => self.text(id, value),
            },
            FieldType::Boolean => match value {
                "true" => self.boolean(id, true),
                "false" => self.boolean(id, false),
                _ => self.text(id, value),
            },
            FieldType::Ip => match value.parse() {
                Ok(address) => self.ip(id, address),
                Err(_) => self.text(id, value),
            },
        }
    }

    /// The value that the open event has for `id` so far.
    #[inline]
    pub fn get(&self, id: FieldId) -> Option<Value<'_>> {
        let open = self.open.as_ref()?;
        if open.pushed & bit(id) == 0 {
            return None;
        }
        let cells = self.batch.cells.get(open.head.cells_start as usize..)?;
        let cell = cells.iter().find(|cell| cell.field == id)?;
        Some(match cell.kind {
            Kind::TextInput => Value::Text(slice(self.input, cell.payload)),
            _ => self.batch.value(cell),
        })
    }

    #[inline]
    pub fn has(&self, id: FieldId) -> bool {
        self.get(id).is_some()
    }

    /// The `index`th field of the open event so far, in the order of writing.
    #[inline]
    pub fn nth(&self, index: usize) -> Option<(FieldId, Value<'_>)> {
        let cell = self.batch.cells.get(self.open.as_ref()?.head.cells_start as usize + index)?;
        let value = match cell.kind {
            Kind::TextInput => Value::Text(slice(self.input, cell.payload)),
            _ => self.batch.value(cell),
        };
        Some((cell.field, value))
    }

    /// The id of that field.
    #[inline]
    pub fn id(&self, index: usize) -> Option<FieldId> {
        let cell = self.batch.cells.get(self.open.as_ref()?.head.cells_start as usize + index)?;
        Some(cell.field)
    }

    /// The name of a field, fixed or local.
    pub fn field_name(&self, id: FieldId) -> &str {
        self.batch.field_name(id)
    }

    /// Gives the open event `id` with the value of its `index`th field: a second name for the same bytes.
    #[inline]
    pub fn alias(&mut self, id: FieldId, index: usize) {
        let Some(open) = &self.open else { return };
        if let Some(cell) = self.batch.cells.get(open.head.cells_start as usize + index) {
            self.push(Cell { field: id, ..*cell });
        }
    }

    /// Gives the open event `id` with bytes `start` to `end` of the text of its `index`th field; nothing if that field
    /// is no text or shorter.
    #[inline]
    pub fn alias_part(&mut self, id: FieldId, index: usize, start: usize, end: usize) {
        let Some(open) = &self.open else { return };
        let Some(cell) = self.batch.cells.get(open.head.cells_start as usize + index) else { return };
        if matches!(cell.kind, Kind::TextInput | Kind::TextArena) {
            let (offset, length) = unpack(cell.payload);
            if start <= end && end <= length {
                let payload = pack((offset + start) as u32, (end - start) as u32);
                self.push(Cell { field: id, payload, ..*cell });
            }
        }
    }

    /// Takes the `index`th field away from the open event; the later ones move up.
    pub fn remove(&mut self, index: usize) {
        let Some(open) = &self.open else { return };
        let at = open.head.cells_start as usize + index;
        if at < self.batch.cells.len() {
            self.batch.cells.remove(at);
        }
    }

    /// How many fields the open event has so far.
    #[inline]
    pub fn field_count(&self) -> usize {
        self.open.as_ref().map_or(0, |open| self.batch.cells.len() - open.head.cells_start as usize)
    }

    #[inline]
    fn push(&mut self, cell: Cell) {
        let Some(open) = &mut self.open else { return };
        if self.batch.cells.len() - open.head.cells_start as usize >= EVENT_FIELDS_MAX {
            open.head.anomalies.insert(Anomaly::FieldsTooMany);
            return;
        }
        open.pushed |= bit(cell.field);
        self.batch.cells.push(cell);
    }

    #[inline]
    fn text_cell(&mut self, id: FieldId, value: &str) -> Option<Cell> {
        // A slice of the input is recognised by where it lies in memory.
        let offset = (value.as_ptr() as usize).wrapping_sub(self.input.as_ptr() as usize);
        if offset <= self.input.len() && value.len() <= self.input.len() - offset {
            return Some(Cell { field: id, kind: Kind::TextInput, payload: pack(offset as u32, value.len() as u32) });
        }
        self.arena_cell(id, |arena| arena.push_str(value))
    }

    #[inline]
    fn arena_cell(&mut self, id: FieldId, write: impl FnOnce(&mut String)) -> Option<Cell> {
        let start = self.batch.arena.len();
        if start == 0 && self.batch.arena.capacity() == 0 {
            // Growing it by and by would copy it again and again; what stays unused is given back at the end.
            self.batch.arena.reserve(self.input.len() / 4 * 3);
        }
        write(&mut self.batch.arena);
        let length = self.batch.arena.len().saturating_sub(start);
        if self.batch.arena.len() > ARENA_BYTES_MAX {
            self.batch.arena.truncate(start);
            self.anomaly(Anomaly::FieldsTooMany);
            return None;
        }
        Some(Cell { field: id, kind: Kind::TextArena, payload: pack(start as u32, length as u32) })
    }
}

/// Adds items to a list; made by [`BatchWriter::list`]. Dropped without [`close`](Self::close) it leaves no field.
pub struct ListWriter<'w, 'i> {
    writer: &'w mut BatchWriter<'i>,
    field: FieldId,
    start: usize,
}

impl ListWriter<'_, '_> {
    #[inline]
    pub fn text(&mut self, value: &str) {
        if let Some(cell) = self.writer.text_cell(self.field, value) {
            self.push(cell);
        }
    }

    pub fn text_with(&mut self, write: impl FnOnce(&mut String)) {
        if let Some(cell) = self.writer.arena_cell(self.field, write) {
            self.push(cell);
        }
    }

    pub fn integer(&mut self, value: i64) {
        self.push(Cell { field: self.field, kind: Kind::Integer, payload: value as u64 });
    }

    pub fn float(&mut self, value: f64) {
        self.push(Cell { field: self.field, kind: Kind::Float, payload: value.to_bits() });
    }

    pub fn boolean(&mut self, value: bool) {
        self.push(Cell { field: self.field, kind: Kind::Boolean, payload: u64::from(value) });
    }

    pub fn null(&mut self) {
        self.push(Cell { field: self.field, kind: Kind::Null, payload: 0 });
    }

    pub fn ip(&mut self, value: IpAddr) {
        let cell = match value.to_canonical() {
            IpAddr::V4(ip) => Cell { field: self.field, kind: Kind::Ip4, payload: u64::from(ip.to_bits()) },
            IpAddr::V6(ip) => {
                self.writer.batch.wide.push(ip);
                let index = self.writer.batch.wide.len() - 1;
                Cell { field: self.field, kind: Kind::Ip6, payload: index as u64 }
            }
        };
        self.push(cell);
    }

    /// How many items there are so far.
    pub fn len(&self) -> usize {
        self.writer.batch.items.len() - self.start
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the list to the event; a list of one becomes that value, so that readers need not tell them apart.
    #[inline]
    pub fn close(self) {
        let Self { writer, field, start } = self;
        let count = writer.batch.items.len() - start;
        if count == 1
            && let Some(cell) = writer.batch.items.pop()
        {
            writer.push(cell);
        } else {
            writer.push(Cell { field, kind: Kind::List, payload: pack(start as u32, count as u32) });
        }
    }

    fn push(&mut self, cell: Cell) {
        if self.len() >= LIST_ITEMS_MAX {
            self.writer.anomaly(Anomaly::ListTooLong);
        } else {
            self.writer.batch.items.push(cell);
        }
    }
}

#[cfg(test)]
mod tests;
