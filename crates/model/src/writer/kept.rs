//! Values that are put into a batch once and given to many of its events.

use super::{BatchWriter, LIST_ITEMS_MAX};
use crate::FieldId;
use crate::batch::{Cell, Kind, pack};

/// A value that lies in the batch that is being written: giving it to an event costs one cell and copies nothing.
///
/// It means something to its own batch only, and belongs to the event that was open when it was made:
/// [`BatchWriter::rollback`] of that event takes it away. So it is for what is added to finished events.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    kind: Kind,
    payload: u64,
}

impl Kept {
    /// A whole number, which needs no place in the batch.
    pub const fn integer(value: i64) -> Self {
        Self { kind: Kind::Integer, payload: value as u64 }
    }
}

impl BatchWriter<'_> {
    /// Puts a text into the batch; `None` if the batch holds too much text already.
    pub fn keep(&mut self, value: &str) -> Option<Kept> {
        let Cell { kind, payload, .. } = self.arena_cell(Self::NO_FIELD, |arena| arena.push_str(value))?;
        Some(Kept { kind, payload })
    }

    /// Puts several texts into the batch, the value of one field; one text is that text. What is more than a list may
    /// hold is left out.
    pub fn keep_list<'t>(&mut self, values: impl IntoIterator<Item = &'t str>) -> Option<Kept> {
        let start = self.batch.items.len();
        for value in values.into_iter().take(LIST_ITEMS_MAX) {
            let cell = self.arena_cell(Self::NO_FIELD, |arena| arena.push_str(value))?;
            self.batch.items.push(cell);
        }
        let count = self.batch.items.len() - start;
        match self.batch.items.last() {
            Some(Cell { kind, payload, .. }) if count == 1 => Some(Kept { kind: *kind, payload: *payload }),
            _ => Some(Kept { kind: Kind::List, payload: pack(start as u32, count as u32) }),
        }
    }

    /// Gives the open event a value of this batch.
    #[inline]
    pub fn give(&mut self, id: FieldId, value: Kept) {
        self.push(Cell { field: id, kind: value.kind, payload: value.payload });
    }

    /// Takes all fields of the open event away that `is_unwanted` names.
    pub fn remove_all(&mut self, is_unwanted: impl Fn(FieldId) -> bool) {
        let Some(open) = &self.open else { return };
        let start = open.head.cells_start as usize;
        let mut end = start;
        for place in start..self.batch.cells.len() {
            if self.batch.cells.get(place).is_some_and(|it| !is_unwanted(it.field)) {
                self.batch.cells.swap(end, place);
                end += 1;
            }
        }
        self.batch.cells.truncate(end);
    }

    /// Items and kept values have their field where they are given.
    const NO_FIELD: FieldId = FieldId(0);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{EventBatch, FrameId, Schema, Timestamp, field};

    #[test]
    fn unwanted_fields_go_and_the_others_keep_their_order() {
        let batch =
            EventBatch::build(Arc::new(Schema::ecs()), FrameId(1), Timestamp(0), Vec::new(), String::new(), |writer| {
                for _ in 0..2 {
                    writer.begin("", 0, Timestamp(0), 0);
                    writer.time(Timestamp(0));
                    for id in [field::TAGS, field::USER_NAME, field::TAGS, field::MESSAGE, field::TAGS] {
                        writer.text(id, "x");
                    }
                    writer.remove_all(|it| it == field::TAGS);
                    writer.end();
                }
            });
        for event in batch.events() {
            assert_eq!(event.field_ids().collect::<Vec<_>>(), [field::USER_NAME, field::MESSAGE]);
        }
    }

    #[test]
    fn a_value_is_kept_once_and_given_to_many_events() {
        let schema = Arc::new(Schema::ecs());
        let batch = EventBatch::build(schema, FrameId(1), Timestamp(0), Vec::new(), "a b".to_owned(), |writer| {
            let (mut text, mut list, mut single) = (None, None, None);
            for index in 0..3 {
                writer.begin("a", 0, Timestamp(0), index);
                text = text.or_else(|| writer.keep("Utrecht"));
                list = list.or_else(|| writer.keep_list(["vpn", "hosting"]));
                single = single.or_else(|| writer.keep_list(["one"]));
                writer.give(field::MESSAGE, text.unwrap());
                writer.give(field::TAGS, list.unwrap());
                writer.give(field::USER_NAME, single.unwrap());
                writer.give(field::SOURCE_PORT, super::Kept::integer(7));
                writer.end();
            }
        });
        assert_eq!(batch.len(), 3);
        for event in batch.events() {
            let text = |id| event.get(id).map(|it| it.to_text().into_owned());
            assert_eq!(text(field::MESSAGE).as_deref(), Some("Utrecht"));
            assert_eq!(text(field::TAGS).as_deref(), Some("vpn,hosting"));
            assert_eq!(event.text(field::USER_NAME), Some("one"));
            assert_eq!(text(field::SOURCE_PORT).as_deref(), Some("7"));
        }
        assert_eq!(batch.arena.matches("Utrecht").count(), 1);
    }
}
