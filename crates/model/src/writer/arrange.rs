//! What formats do to fields after they were written: find, name twice by type, and join.

use super::{BatchWriter, LIST_ITEMS_MAX, bit};
use crate::batch::{Cell, Kind, pack, slice, unpack};
use crate::{Anomaly, FieldId};

/// A small number for some fields of a batch, such as their bit in [`BatchWriter::marks`] plus one; 0 for the others.
#[derive(Default)]
pub(super) struct MarkTable {
    fixed: Vec<u8>,
    local: Vec<u8>,
}

impl MarkTable {
    fn slot(&mut self, id: FieldId) -> &mut Vec<u8> {
        if id.local_index().is_some() { &mut self.local } else { &mut self.fixed }
    }

    pub(super) fn set(&mut self, id: FieldId, mark: u8) {
        let index = id.local_index().map_or_else(|| id.fixed_index().unwrap_or(0), |it| it as usize);
        let slot = self.slot(id);
        if slot.len() <= index {
            slot.resize(index + 1, 0);
        }
        if let Some(slot) = slot.get_mut(index) {
            *slot = mark;
        }
    }

    /// What was set for `id`; 0 if nothing was.
    #[inline]
    pub(super) fn get(&self, id: FieldId) -> u8 {
        let mark = match id.local_index() {
            Some(index) => self.local.get(index as usize),
            None => self.fixed.get(id.fixed_index().unwrap_or(usize::MAX)),
        };
        mark.copied().unwrap_or(0)
    }

    #[inline]
    fn bit(&self, id: FieldId) -> u128 {
        match self.get(id) {
            0 => 0,
            mark => 1 << (u32::from(mark - 1) % u128::BITS),
        }
    }
}

impl BatchWriter<'_> {
    /// The position of the first field `id` of the open event, counted as [`nth`](Self::nth) counts, from `start` on.
    pub fn position(&self, id: FieldId, start: usize) -> Option<usize> {
        let open = self.open.as_ref()?;
        if open.pushed & bit(id) == 0 {
            return None;
        }
        let first = open.head.cells_start as usize + start;
        self.batch.cells.get(first..)?.iter().position(|it| it.field == id).map(|it| it + start)
    }

    /// The text that the `index`th field of the open event is, or those in the list that it is. (What is in a list
    /// cannot be seen through [`nth`](Self::nth) before the batch is finished.)
    pub fn texts(&self, index: usize) -> impl Iterator<Item = &str> {
        let first = self.open.as_ref().map_or(usize::MAX, |open| open.head.cells_start as usize);
        let cell = first.checked_add(index).and_then(|it| self.batch.cells.get(it));
        let items = match cell {
            Some(Cell { kind: Kind::List, payload, .. }) => {
                let (start, length) = unpack(*payload);
                self.batch.items.get(start..start + length).unwrap_or_default()
            }
            Some(cell) => std::slice::from_ref(cell),
            None => &[],
        };
        items.iter().filter_map(|it| match it.kind {
            Kind::TextInput => Some(slice(self.input, it.payload)),
            Kind::TextArena => Some(slice(&self.batch.arena, it.payload)),
            _ => None,
        })
    }

    /// The ids of the open event's fields from the `start`th on.
    pub fn ids(&self, start: usize) -> impl Iterator<Item = FieldId> {
        let first = self.open.as_ref().map_or(usize::MAX, |open| open.head.cells_start as usize + start);
        self.batch.cells.get(first..).unwrap_or_default().iter().map(|it| it.field)
    }

    /// Which of `names` are names of the open event's fields from the `start`th on: bit 0 is the first name. Costs one
    /// look at a table for each field. The names are those of the first call for the whole batch, at most 128.
    #[inline]
    pub fn marks(&mut self, start: usize, names: &[&str]) -> u128 {
        if self.marks.fixed.is_empty() {
            self.learn_marks(names);
        }
        self.ids(start).fold(0, |marks, id| marks | self.marks.bit(id))
    }

    #[cold]
    #[inline(never)]
    fn learn_marks(&mut self, names: &[&str]) {
        let mut marks = MarkTable { fixed: vec![0], local: Vec::new() };
        for (index, name) in names.iter().enumerate().take(u128::BITS as usize) {
            if let Some(id) = self.field(name) {
                marks.set(id, index as u8 + 1);
            }
        }
        self.marks = marks;
    }

    /// Makes one list of all values that fields of the same name have from the `start`th on, in the order of their
    /// writing; lists among them give their items. The fields are sorted by id afterwards.
    pub fn gather(&mut self, start: usize) {
        let Some(open) = &self.open else { return };
        let first = open.head.cells_start as usize + start;
        let Some(cells) = self.batch.cells.get_mut(first..) else { return };
        cells.sort_by_key(|it| it.field);
        let mut cells = self.batch.cells.split_off(first).into_iter().peekable();
        while let Some(cell) = cells.next() {
            if cells.peek().is_none_or(|it| it.field != cell.field) {
                self.batch.cells.push(cell);
                continue;
            }
            let items_start = self.batch.items.len();
            self.gather_items(cell, items_start);
            while let Some(next) = cells.next_if(|it| it.field == cell.field) {
                self.gather_items(next, items_start);
            }
            let payload = pack(items_start as u32, (self.batch.items.len() - items_start) as u32);
            self.batch.cells.push(Cell { kind: Kind::List, payload, ..cell });
        }
    }

    fn gather_items(&mut self, cell: Cell, items_start: usize) {
        let room = LIST_ITEMS_MAX.saturating_sub(self.batch.items.len() - items_start);
        let (from, count) = match cell.kind {
            Kind::List => unpack(cell.payload),
            _ => (0, 1),
        };
        if count > room {
            self.anomaly(Anomaly::ListTooLong);
        }
        match cell.kind {
            Kind::List => self.batch.items.extend_from_within(from..from + count.min(room)),
            _ if room > 0 => self.batch.items.push(cell),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{EventBatch, FrameId, Schema, Timestamp, field};

    fn build(fill: impl FnOnce(&mut BatchWriter<'_>)) -> EventBatch {
        let schema = Arc::new(Schema::ecs());
        EventBatch::build(schema, FrameId(1), Timestamp(5), Vec::new(), String::new(), |writer| {
            writer.begin("", 0, Timestamp(5), 0);
            writer.time(Timestamp(5));
            fill(writer);
        })
    }

    #[test]
    fn fields_are_found_from_a_place_on() {
        build(|writer| {
            writer.integer(field::SOURCE_PORT, 1);
            writer.integer(field::SOURCE_PORT, 2);
            assert_eq!(writer.position(field::SOURCE_PORT, 0), Some(0));
            assert_eq!(writer.position(field::SOURCE_PORT, 1), Some(1));
            assert_eq!(writer.position(field::SOURCE_PORT, 2), None);
            assert_eq!(writer.position(field::SOURCE_PORT, usize::MAX / 2), None);
            assert_eq!(writer.ids(1).collect::<Vec<_>>(), [field::SOURCE_PORT]);
        });
    }

    #[test]
    fn texts_in_lists_can_be_seen_while_the_event_is_open() {
        let schema = Arc::new(Schema::ecs());
        EventBatch::build(schema, FrameId(1), Timestamp(5), Vec::new(), "one".to_owned(), |writer| {
            writer.begin("", 0, Timestamp(5), 0);
            let mut list = writer.list(field::TAGS);
            list.text("copied");
            list.integer(5);
            list.close();
            let input = writer.input();
            writer.text_list(field::TAGS, [input, "two"]);
            writer.text(field::USER_NAME, input);
            writer.integer(field::SOURCE_PORT, 1);
            let seen = |index| writer.texts(index).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(
                (seen(0), seen(1), seen(2)),
                (vec!["copied".into()], vec!["one".into(), "two".into()], vec!["one".into()])
            );
            assert!(seen(3).is_empty() && seen(4).is_empty() && seen(usize::MAX).is_empty());
        });
    }

    #[test]
    fn marks_tell_which_of_some_names_are_there() {
        let names = ["here", "user.name", "absent", "later"];
        build(|writer| {
            writer.text(field::USER_NAME, "root");
            assert_eq!(writer.marks(0, &names), 0b10);
            assert_eq!(writer.marks(1, &names), 0);
            for name in ["other", "later", "here"] {
                let id = writer.field(name).unwrap();
                writer.integer(id, 1);
            }
            assert_eq!(writer.marks(0, &names), 0b1011);
        });
        let many: Vec<String> = (0..129).map(|it| format!("n{it}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        build(|writer| {
            for name in &many {
                let id = writer.field(name).unwrap();
                writer.integer(id, 1);
            }
            assert_eq!(writer.marks(0, &many), u128::MAX);
        });
    }

    #[test]
    fn values_of_one_name_become_one_list() {
        let batch = build(|writer| {
            writer.text(field::USER_NAME, "before");
            writer.text(field::USER_NAME, "a");
            writer.integer(field::SOURCE_PORT, 1);
            writer.text_list(field::USER_NAME, ["b", "c"]);
            writer.text(field::GROUP_NAME, "g");
            writer.integer(field::SOURCE_PORT, 2);
            writer.gather(1);
        });
        let event = batch.event(0).unwrap();
        let mut fields: Vec<_> =
            event.fields().map(|(id, value)| format!("{}={}", batch.field_name(id), value.to_text())).collect();
        fields.sort();
        assert_eq!(fields, ["group.name=g", "source.port=1,2", "user.name=a,b,c", "user.name=before"]);
    }

    #[test]
    fn joined_lists_are_bounded() {
        let batch = build(|writer| {
            for _ in 0..3 {
                writer.text_list(field::TAGS, std::iter::repeat_n("t", LIST_ITEMS_MAX / 2));
            }
            writer.gather(0);
        });
        let event = batch.event(0).unwrap();
        assert!(event.anomalies().contains(Anomaly::ListTooLong));
        assert!(event.get(field::TAGS).is_some_and(|it| it.each().count() == LIST_ITEMS_MAX));
    }
}
