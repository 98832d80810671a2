//! Tables of names that formats keep: looked up once per batch, then only for the fields that an event has.

use super::BatchWriter;
use super::arrange::MarkTable;
use crate::FieldId;

/// Names of fields, each with another name; the same name may stand there several times. At most 128 pairs.
#[derive(Clone, Copy, Debug)]
pub struct Pairs(&'static [(&'static str, &'static str)]);

impl Pairs {
    /// Does not compile, as a constant, with more pairs than a set of them has bits.
    pub const fn of(pairs: &'static [(&'static str, &'static str)]) -> Self {
        assert!(pairs.len() <= u128::BITS as usize, "a table has at most 128 pairs");
        Self(pairs)
    }

    pub fn iter(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.0.iter().copied()
    }

    /// Tables are told apart by where they lie.
    fn place(self) -> (usize, usize) {
        (self.0.as_ptr() as usize, self.0.len())
    }
}

/// A table, with the ids that its names have in this batch.
pub(super) struct Known {
    place: (usize, usize),
    /// Of the first names: an index into `sets`, plus one.
    classes: MarkTable,
    /// Which pairs a field begins.
    sets: Vec<u128>,
    /// Pairs whose first name an earlier pair may write: only known once that is done.
    late: u128,
    ids: Vec<Option<(FieldId, FieldId)>>,
}

/// The pairs of a table that an event has, in the order of the table.
#[derive(Clone, Copy, Debug)]
pub struct PairsThere {
    table: usize,
    left: u128,
}

impl PairsThere {
    /// The next pair, as ids. With a pair whose first name is the second of an earlier one it may turn out that the
    /// event has no such field.
    #[inline]
    pub fn next(&mut self, writer: &BatchWriter<'_>) -> Option<(FieldId, FieldId)> {
        loop {
            let index = self.left.checked_ilog2().map(|_| self.left.trailing_zeros())?;
            self.left &= self.left - 1;
            let ids = writer.pairs.get(self.table)?.ids.get(index as usize)?;
            if let Some(ids) = ids {
                return Some(*ids);
            }
        }
    }
}

/// What is remembered of each field of a batch: one byte that follows from its name.
#[derive(Default)]
pub(super) struct Notes(MarkTable);

impl BatchWriter<'_> {
    /// Which pairs of `table` begin with a field that the open event has from the `start`th on. Costs one look at a
    /// table for each field, however long the table of names is.
    #[inline]
    pub fn pairs(&mut self, table: Pairs, start: usize) -> PairsThere {
        let place = table.place();
        let index = match self.pairs.iter().position(|it| it.place == place) {
            Some(index) => index,
            None => self.learn_pairs(table),
        };
        let Some(known) = self.pairs.get(index) else { return PairsThere { table: index, left: 0 } };
        let mut left = known.late;
        for id in self.ids(start) {
            if let Some(set) = known.classes.get(id).checked_sub(1).and_then(|it| known.sets.get(usize::from(it))) {
                left |= set;
            }
        }
        PairsThere { table: index, left }
    }

    #[cold]
    #[inline(never)]
    fn learn_pairs(&mut self, table: Pairs) -> usize {
        let mut known =
            Known { place: table.place(), classes: MarkTable::default(), sets: Vec::new(), late: 0, ids: Vec::new() };
        for (index, (from, to)) in table.iter().enumerate() {
            let bit = 1 << index;
            let ids = self.field(from).zip(self.field(to));
            if let Some((from, _)) = ids {
                match known.classes.get(from).checked_sub(1).and_then(|it| known.sets.get_mut(usize::from(it))) {
                    Some(set) => *set |= bit,
                    None => {
                        known.sets.push(bit);
                        known.classes.set(from, known.sets.len() as u8);
                    }
                }
                if known.ids.iter().flatten().any(|(_, written)| *written == from) {
                    known.late |= bit;
                }
            }
            known.ids.push(ids);
        }
        self.pairs.push(known);
        self.pairs.len() - 1
    }

    /// A number that follows from the name of field `id` alone: `of` is asked once per batch. 255 is not remembered.
    #[inline]
    pub fn note(&mut self, id: FieldId, of: impl FnOnce(&str) -> u8) -> u8 {
        match self.notes.0.get(id) {
            0 => {
                let note = of(self.field_name(id));
                self.notes.0.set(id, note.wrapping_add(1));
                note
            }
            note => note - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{EventBatch, FrameId, Schema, Timestamp};

    const TABLE: Pairs =
        Pairs::of(&[("a", "user.name"), ("b", "user.id"), ("a", "user.email"), ("user.id", "c"), ("d", "user.name")]);

    fn there(writer: &mut BatchWriter<'_>, start: usize) -> Vec<(String, String)> {
        let mut pairs = writer.pairs(TABLE, start);
        std::iter::from_fn(|| pairs.next(writer))
            .map(|(from, to)| (writer.field_name(from).to_owned(), writer.field_name(to).to_owned()))
            .collect()
    }

    #[test]
    fn the_pairs_of_the_fields_that_are_there_come_in_the_order_of_the_table() {
        let schema = Arc::new(Schema::ecs());
        EventBatch::build(schema, FrameId(1), Timestamp(5), Vec::new(), String::new(), |writer| {
            let late = ("user.id".to_owned(), "c".to_owned());
            for _ in 0..2 {
                writer.begin("", 0, Timestamp(5), 0);
                assert_eq!(there(writer, 0), std::slice::from_ref(&late), "another pair may have written it");
                for name in ["d", "other", "a"] {
                    let id = writer.field(name).unwrap();
                    writer.integer(id, 1);
                }
                let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
                assert_eq!(
                    there(writer, 0),
                    [pair("a", "user.name"), pair("a", "user.email"), late.clone(), pair("d", "user.name")]
                );
                assert_eq!(there(writer, 1), [pair("a", "user.name"), pair("a", "user.email"), late.clone()]);
            }
        });
    }

    #[test]
    fn what_follows_from_a_name_is_asked_once() {
        let schema = Arc::new(Schema::ecs());
        EventBatch::build(schema, FrameId(1), Timestamp(5), Vec::new(), String::new(), |writer| {
            let mut asked = Vec::new();
            for _ in 0..2 {
                for (name, note) in [("zero", 0), ("seven", 7), ("user.name", 254)] {
                    let id = writer.field(name).unwrap();
                    assert_eq!(
                        writer.note(id, |it| {
                            asked.push(it.to_owned());
                            note
                        }),
                        note
                    );
                }
            }
            assert_eq!(asked, ["zero", "seven", "user.name"]);
        });
    }

    #[test]
    fn a_field_that_was_taken_away_or_rolled_back_is_not_there() {
        let schema = Arc::new(Schema::ecs());
        EventBatch::build(schema, FrameId(1), Timestamp(5), Vec::new(), String::new(), |writer| {
            writer.begin("", 0, Timestamp(5), 0);
            // Far more fields than a set has bits: some share one.
            let ids: Vec<_> = (0..300).map(|n| writer.field(&format!("n{n}")).unwrap()).collect();
            for (n, id) in ids.iter().enumerate().filter(|it| it.0 % 2 == 0) {
                writer.integer(*id, n as i64);
            }
            for (n, id) in ids.iter().enumerate() {
                assert_eq!(writer.has(*id), n % 2 == 0, "{n}");
                assert_eq!(writer.position(*id, 0), (n % 2 == 0).then_some(n / 2));
            }
            writer.remove(0);
            assert!(!writer.has(ids[0]) && writer.has(ids[2]));
            writer.rollback();
            assert!(ids.iter().all(|it| !writer.has(*it)));
            writer.integer(ids[1], 1);
            assert!(writer.has(ids[1]));
        });
    }
}
