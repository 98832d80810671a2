//! Records with named fields (JSON, key=value) that files describe: recognised by what a field says.
//!
//! Of each `[[record]]` one field is looked at first, the one with the most telling text. A batch learns once which of
//! its fields are looked at by any record, so that a field that none cares for costs one look at a table.

use hashbrown::HashMap;
use std::cell::{Cell, RefCell};

use panoptes_model::{BatchWriter, FieldId, Value};

use super::file::Record;
use super::matcher::{self, Effort, Found};
use super::set::{Searcher, ServiceFormats, Sink, Texts, User};
use crate::context::Context;

/// How many fields of one record are looked at; the values of those beyond tell nothing.
const FIELDS_MAX: usize = 512;
/// Longer values of fields tell nothing: what recognises a record is a word or a phrase.
const VALUE_BYTES_MAX: usize = 4_096;

/// Which fields of a batch are looked at. One per batch, as ids hold for one.
#[derive(Debug, Default)]
pub(crate) struct KeyTable {
    /// By index of fixed and of local fields: 0 not known yet, 1 no, else two more than the index of a key.
    fixed: RefCell<Vec<u32>>,
    local: RefCell<Vec<u32>>,
    /// What the pattern that read a record calls the record's connection; taken by the normaliser.
    pub(crate) connection: Cell<Option<u64>>,
}

impl KeyTable {
    #[inline]
    fn key(&self, id: FieldId, find: impl FnOnce() -> Option<usize>) -> Option<usize> {
        let (table, index) = match id.local_index() {
            Some(index) => (&self.local, index as usize),
            None => (&self.fixed, id.fixed_index()?),
        };
        let mut table = table.borrow_mut();
        let known = match table.get(index) {
            Some(known @ 1..) => *known,
            _ => {
                if table.len() <= index {
                    table.resize(index + 1, 0);
                }
                let known = find().map_or(1, |it| it as u32 + 2);
                if let Some(place) = table.get_mut(index) {
                    *place = known;
                }
                known
            }
        };
        known.checked_sub(2).map(|it| it as usize)
    }
}

/// By field: the texts that records want it to have.
#[derive(Debug, Default)]
pub(super) struct Records {
    keys: HashMap<Box<str>, usize>,
    searchers: Vec<Searcher>,
}

/// Fields on their way into [`Records`].
#[derive(Default)]
pub(super) struct RecordTexts {
    keys: HashMap<Box<str>, usize>,
    texts: Vec<Texts>,
}

impl RecordTexts {
    pub(super) fn add(&mut self, record: &Record, user: User) {
        let weight =
            |it: &&(String, super::template::Template)| it.1.literals.iter().map(|it| it.len()).min().unwrap_or(0);
        let Some((key, template)) = record.when.iter().max_by_key(weight) else { return };
        let at = *self.keys.entry(key.as_str().into()).or_insert_with(|| {
            self.texts.push(Texts::default());
            self.texts.len() - 1
        });
        if let Some(texts) = self.texts.get_mut(at) {
            texts.add(template, user);
        }
    }

    pub(super) fn records(self) -> Records {
        Records { keys: self.keys, searchers: self.texts.into_iter().map(Texts::searcher).collect() }
    }
}

impl ServiceFormats {
    /// Says what the record means whose fields begin at `start`. `false`, with nothing written, if it is of no service.
    pub(crate) fn read_record(&self, writer: &mut BatchWriter<'_>, start: usize, context: &Context<'_>) -> bool {
        if self.records.keys.is_empty() {
            return false;
        }
        let mut users = Vec::new();
        for (offset, id) in writer.ids(start).take(FIELDS_MAX).enumerate() {
            let key = context.keys.key(id, || self.records.keys.get(writer.field_name(id)).copied());
            let Some(searcher) = key.and_then(|it| self.records.searchers.get(it)) else { continue };
            if let Some((_, value)) = writer.nth(start + offset) {
                match value {
                    Value::Text(text) if text.len() <= VALUE_BYTES_MAX => searcher.search(text, &mut users),
                    Value::Integer(_) | Value::Boolean(_) => searcher.search(&value.to_text(), &mut users),
                    _ => {}
                }
            }
        }
        users.sort_unstable();
        users.dedup();
        users.iter().any(|user| self.read_as(writer, *user, context))
    }

    fn read_as(&self, writer: &mut BatchWriter<'_>, user: User, context: &Context<'_>) -> bool {
        let Some(definition) = self.definition(user.service) else { return false };
        let Some(record) = definition.records.get(user.pattern as usize) else { return false };
        let mut found: Vec<(&super::template::Template, String, Found)> = Vec::new();
        for (key, template) in &record.when {
            let Some(value) = text_of(writer, key).filter(|it| it.len() <= VALUE_BYTES_MAX) else { return false };
            let mut effort = Effort::for_text(&value);
            let Some(places) = matcher::find(template, value.trim_ascii(), writer.received_at(), &mut effort) else {
                return false;
            };
            found.push((template, value.trim_ascii().to_owned(), places));
        }
        let values: Vec<_> = record
            .fields
            .iter()
            .filter_map(|(target, keys)| Some((target, keys.iter().find_map(|key| text_of(writer, key))?)))
            .collect();
        let mut sink = Sink { writer, context };
        sink.event(definition, definition.events.get(record.event));
        for (template, value, places) in &found {
            sink.captures(template, places, value);
        }
        for (target, value) in values {
            sink.put(target, None, &value);
        }
        sink.finish(definition, definition.events.get(record.event), record.number);
        true
    }
}

/// The value of the field called `key` as text.
fn text_of(writer: &mut BatchWriter<'_>, key: &str) -> Option<String> {
    let id = writer.field(key)?;
    match writer.get(id)? {
        Value::List(_) | Value::Null => None,
        value => Some(value.to_text().into_owned()),
    }
}
