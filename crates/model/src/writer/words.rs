//! Words that formats give to event after event: each lies in the arena once.

use super::{BatchWriter, ListWriter};
use crate::FieldId;
use crate::batch::{Cell, Kind, pack, unpack};

/// Slots of the table. Two words that share a slot take turns, and are copied each time.
const SLOTS: usize = 256;

#[derive(Clone, Copy)]
struct Slot {
    /// Where the word lies in the program; `usize::MAX` for none.
    address: usize,
    payload: u64,
}

/// Where words lie in the arena, by where they lie in the program.
#[derive(Default)]
pub(super) struct Words {
    /// Empty until the first word.
    slots: Box<[Slot]>,
    /// Behind the last word in the arena.
    end: usize,
}

impl Words {
    const EMPTY: Slot = Slot { address: usize::MAX, payload: 0 };

    #[inline]
    fn slot(&mut self, word: &'static str) -> Option<&mut Slot> {
        const ODD: usize = 0x9e37_79b9_7f4a_7c15_u64 as usize;
        let mixed = (word.as_ptr() as usize).wrapping_mul(ODD);
        self.slots.get_mut(mixed >> (usize::BITS - SLOTS.ilog2()))
    }

    /// The arena was cut at `length`: words behind it are gone.
    #[inline]
    pub(super) fn forget_behind(&mut self, length: usize) {
        if self.end > length {
            self.slots.fill(Self::EMPTY);
            self.end = 0;
        }
    }
}

impl<'i> BatchWriter<'i> {
    /// A text of the program's own, which the batch then holds once, however many events have it.
    #[inline]
    pub fn word(&mut self, id: FieldId, word: &'static str) {
        if let Some(cell) = self.word_cell(id, word) {
            self.push(cell);
        }
    }

    /// Several of them under one field.
    #[inline]
    pub fn words(&mut self, id: FieldId, words: &[&'static str]) {
        match words {
            [word] => self.word(id, word),
            _ => {
                let mut list = self.list(id);
                for word in words {
                    list.word(word);
                }
                list.close();
            }
        }
    }

    #[inline]
    fn word_cell(&mut self, id: FieldId, word: &'static str) -> Option<Cell> {
        if let Some(slot) = self.words.slot(word)
            && slot.address == word.as_ptr() as usize
            && unpack(slot.payload).1 == word.len()
        {
            return Some(Cell { field: id, kind: Kind::TextArena, payload: slot.payload });
        }
        self.new_word_cell(id, word)
    }

    #[cold]
    #[inline(never)]
    fn new_word_cell(&mut self, id: FieldId, word: &'static str) -> Option<Cell> {
        let cell = self.arena_cell(id, |arena| arena.push_str(word))?;
        if self.words.slots.is_empty() {
            self.words.slots = vec![Words::EMPTY; SLOTS].into_boxed_slice();
        }
        let (start, length) = unpack(cell.payload);
        if let Some(slot) = self.words.slot(word) {
            *slot = Slot { address: word.as_ptr() as usize, payload: pack(start as u32, length as u32) };
        }
        self.words.end = start + length;
        Some(cell)
    }
}

impl ListWriter<'_, '_> {
    /// An item that is a text of the program's own: [`BatchWriter::word`].
    #[inline]
    pub fn word(&mut self, word: &'static str) {
        if let Some(cell) = self.writer.word_cell(self.field, word) {
            self.push(cell);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{EventBatch, FrameId, Schema, Timestamp, field};

    #[test]
    fn a_word_lies_in_the_batch_once_whatever_was_rolled_back() {
        // A word and its beginning lie at the same address.
        static WORD: &str = "authentication";
        let (beginning, _) = WORD.split_at(4);
        let schema = Arc::new(Schema::ecs());
        let batch = EventBatch::build(schema, FrameId(1), Timestamp(0), Vec::new(), String::new(), |writer| {
            for number in 0..4 {
                writer.begin("", 0, Timestamp(0), number);
                writer.time(Timestamp(0));
                writer.text(field::MESSAGE, "before");
                writer.word(field::EVENT_CATEGORY, WORD);
                if number == 0 {
                    writer.rollback();
                    writer.text(field::MESSAGE, "something else that is longer than the word");
                    writer.word(field::EVENT_CATEGORY, WORD);
                }
                writer.word(field::EVENT_ACTION, beginning);
                writer.words(field::EVENT_TYPE, &["start", WORD]);
                writer.words(field::TAGS, &[WORD]);
                writer.end();
            }
        });
        for event in batch.events() {
            let text = |id| event.get(id).map(|it| it.to_text().into_owned());
            assert_eq!(text(field::EVENT_CATEGORY).as_deref(), Some(WORD));
            assert_eq!(text(field::EVENT_ACTION).as_deref(), Some("auth"));
            assert_eq!(text(field::EVENT_TYPE).as_deref(), Some("start,authentication"));
            assert_eq!(text(field::TAGS).as_deref(), Some(WORD));
        }
        assert_eq!(batch.arena.matches("start").count(), 1);
    }

    #[test]
    fn more_words_than_there_are_slots_are_all_right() {
        let text: &'static str =
            Box::leak((0..2_000).map(|it| format!("{it:05}")).collect::<String>().into_boxed_str());
        let words: Vec<&'static str> = (0..2_000).filter_map(|it| text.get(it * 5..it * 5 + 5)).collect();
        let schema = Arc::new(Schema::ecs());
        let batch = EventBatch::build(schema, FrameId(1), Timestamp(0), Vec::new(), String::new(), |writer| {
            for word in words.iter().chain(&words) {
                writer.begin("", 0, Timestamp(0), 0);
                writer.word(field::MESSAGE, word);
                writer.end();
            }
        });
        for (event, word) in batch.events().zip(words.iter().chain(&words)) {
            assert_eq!(event.text(field::MESSAGE), Some(*word));
        }
    }
}
