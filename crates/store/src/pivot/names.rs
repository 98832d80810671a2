//! The names of the fields of many batches, as one numbering.

use std::collections::HashMap;
use std::sync::Arc;

use panoptes_model::{EventBatch, FieldId, FieldType, Schema};

/// No number given yet.
const UNKNOWN: u32 = u32::MAX;

/// Numbers names across batches: field ids of one batch mean nothing in another.
pub(super) struct Names<'b> {
    batches: &'b [&'b EventBatch],
    known: Vec<Name<'b>>,
    by_name: HashMap<&'b str, u32>,
    /// Fixed ids to numbers; one table for all batches with the same schema.
    fixed: Vec<Vec<u32>>,
    /// Which of `fixed` each batch uses.
    fixed_of: Vec<usize>,
    /// Local ids to numbers, per batch.
    local: Vec<Vec<u32>>,
}

pub(super) struct Name<'b> {
    pub(super) name: &'b str,
    pub(super) field_type: FieldType,
    /// Whether some schema knows it: senders alone cannot make such a name.
    pub(super) is_fixed: bool,
}

impl<'b> Names<'b> {
    pub(super) fn new(batches: &'b [&'b EventBatch]) -> Self {
        let mut schemas: Vec<&Arc<Schema>> = Vec::new();
        let fixed_of = batches
            .iter()
            .map(|batch| {
                schemas.iter().position(|it| Arc::ptr_eq(it, batch.schema())).unwrap_or_else(|| {
                    schemas.push(batch.schema());
                    schemas.len() - 1
                })
            })
            .collect();
        Self {
            batches,
            known: Vec::new(),
            by_name: HashMap::new(),
            fixed: schemas.iter().map(|it| vec![UNKNOWN; it.len()]).collect(),
            fixed_of,
            local: vec![Vec::new(); batches.len()],
        }
    }

    /// The number of `field` of batch `batch`, given on first sight. Numbers count up from 0.
    #[inline]
    pub(super) fn number(&mut self, batch: usize, field: FieldId) -> usize {
        let known = match (field.fixed_index(), field.local_index()) {
            (Some(index), _) => self.fixed_of.get(batch).and_then(|it| self.fixed.get(*it)?.get(index)),
            (None, Some(index)) => self.local.get(batch).and_then(|it| it.get(index as usize)),
            (None, None) => None,
        };
        match known {
            Some(number) if *number != UNKNOWN => *number as usize,
            _ => self.learn(batch, field) as usize,
        }
    }

    #[cold]
    fn learn(&mut self, batch: usize, field: FieldId) -> u32 {
        let (name, field_type) = self
            .batches
            .get(batch)
            .map_or(("", FieldType::Text), |it| (it.field_name(field), it.schema().field_type(field)));
        let number = *self.by_name.entry(name).or_insert_with(|| {
            self.known.push(Name { name, field_type, is_fixed: false });
            (self.known.len() - 1) as u32
        });
        if let Some(known) = self.known.get_mut(number as usize) {
            known.is_fixed |= field.fixed_index().is_some();
            // Schemas of two batches disagree only after a change of the configuration; text takes both.
            if known.field_type != field_type {
                known.field_type = FieldType::Text;
            }
        }
        let (table, index) = match (field.fixed_index(), field.local_index()) {
            (Some(index), _) => (self.fixed_of.get(batch).and_then(|it| self.fixed.get_mut(*it)), index),
            (None, index) => (self.local.get_mut(batch), index.unwrap_or(0) as usize),
        };
        if let Some(table) = table {
            if table.len() <= index {
                table.resize(index + 1, UNKNOWN);
            }
            if let Some(slot) = table.get_mut(index) {
                *slot = number;
            }
        }
        number
    }

    pub(super) fn known(&self) -> &[Name<'b>] {
        &self.known
    }
}
