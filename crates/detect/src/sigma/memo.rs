//! What was found out about values that come again: most values of most fields do.

use std::hash::BuildHasher;

use hashbrown::HashTable;

/// How many bytes values, items and the table may take. Reaching it forgets everything: what comes often is soon back.
const BYTES_MAX: usize = 4 << 20;
/// Longer values are not remembered.
const VALUE_BYTES_MAX: usize = 16 << 10;
/// After so many lookups of one field it is decided whether remembering its values is worth it.
const TRIAL: u32 = 512;
/// It is not if fewer than one in so many were known.
const KNOWN_OF: u32 = 4;
/// Then so many values are not looked up before it is tried again.
const PAUSE: u32 = 16 * TRIAL;

/// (field, value) to the items that hold.
pub(crate) struct Memo {
    table: HashTable<Entry>,
    values: Vec<u8>,
    items: Vec<u32>,
    /// By number of the field.
    habits: Vec<Habit>,
    /// By number of the field: the value that was known last. Neighbours often have the same.
    last: Vec<Last>,
    /// Random: a sender cannot choose values that collide.
    hasher: foldhash::fast::RandomState,
}

struct Entry {
    hash: u64,
    field: u32,
    value_start: u32,
    value_length: u32,
    items_start: u32,
    items_length: u32,
}

#[derive(Clone, Copy, Default)]
struct Habit {
    lookups: u32,
    known: u32,
    pause: u32,
}

#[derive(Clone, Copy, Default)]
struct Last {
    value_start: u32,
    /// One more than it is long; 0 for none.
    value_length: u32,
    items_start: u32,
    items_length: u32,
}

/// What the memo says of a value.
pub(crate) enum Recalled {
    /// Where its items are: [`Memo::items`].
    Known(u32, u32),
    /// Not known; what is found out should be [kept](Memo::keep) under this hash.
    Unknown(u64),
    /// Not worth remembering.
    Ignored,
}

impl Default for Memo {
    fn default() -> Self {
        Self {
            table: HashTable::new(),
            values: Vec::new(),
            items: Vec::new(),
            habits: Vec::new(),
            last: Vec::new(),
            hasher: foldhash::fast::RandomState::default(),
        }
    }
}

impl Memo {
    #[inline]
    pub(crate) fn recall(&mut self, field: u32, value: &str) -> Recalled {
        if value.len() > VALUE_BYTES_MAX {
            return Recalled::Ignored;
        }
        if self.habits.len() <= field as usize {
            self.habits.resize(field as usize + 1, Habit::default());
            self.last.resize(field as usize + 1, Last::default());
        }
        let (Some(last), Some(habit)) = (self.last.get_mut(field as usize), self.habits.get_mut(field as usize)) else {
            return Recalled::Ignored;
        };
        if last.value_length as usize == value.len() + 1
            && self.values.get(last.value_start as usize..).is_some_and(|it| it.starts_with(value.as_bytes()))
        {
            habit.known = habit.known.saturating_add(1);
            return Recalled::Known(last.items_start, last.items_length);
        }
        if habit.pause > 0 {
            habit.pause -= 1;
            return Recalled::Ignored;
        }
        habit.lookups += 1;
        if habit.lookups >= TRIAL {
            let pause = if habit.known < TRIAL / KNOWN_OF { PAUSE } else { 0 };
            *habit = Habit { pause, ..Habit::default() };
        }
        let hash = self.hasher.hash_one(value.as_bytes()) ^ u64::from(field).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let values = &self.values;
        let found = self.table.find(hash, |it| {
            it.hash == hash
                && it.field == field
                && values.get(it.value_start as usize..(it.value_start + it.value_length) as usize)
                    == Some(value.as_bytes())
        });
        match found {
            Some(entry) => {
                habit.known += 1;
                *last = Last {
                    value_start: entry.value_start,
                    value_length: entry.value_length + 1,
                    items_start: entry.items_start,
                    items_length: entry.items_length,
                };
                Recalled::Known(entry.items_start, entry.items_length)
            }
            None => Recalled::Unknown(hash),
        }
    }

    #[inline]
    pub(crate) fn items(&self, start: u32, length: u32) -> &[u32] {
        self.items.get(start as usize..(start + length) as usize).unwrap_or_default()
    }

    pub(crate) fn keep(&mut self, field: u32, hash: u64, value: &str, items: &[u32]) {
        let added = value.len() + items.len() * 4 + size_of::<Entry>();
        if self.bytes() + added > BYTES_MAX {
            self.table.clear();
            self.values.clear();
            self.items.clear();
            self.last.fill(Last::default());
        }
        let entry = Entry {
            hash,
            field,
            value_start: self.values.len() as u32,
            value_length: value.len() as u32,
            items_start: self.items.len() as u32,
            items_length: items.len() as u32,
        };
        if let Some(last) = self.last.get_mut(field as usize) {
            *last = Last {
                value_start: entry.value_start,
                value_length: entry.value_length + 1,
                items_start: entry.items_start,
                items_length: entry.items_length,
            };
        }
        self.values.extend_from_slice(value.as_bytes());
        self.items.extend_from_slice(items);
        self.table.insert_unique(hash, entry, |it| it.hash);
    }

    fn bytes(&self) -> usize {
        self.values.len() + self.items.len() * 4 + self.table.len() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(memo: &mut Memo, field: u32, value: &str) -> Option<Vec<u32>> {
        match memo.recall(field, value) {
            Recalled::Known(start, length) => Some(memo.items(start, length).to_vec()),
            Recalled::Unknown(_) | Recalled::Ignored => None,
        }
    }

    #[test]
    fn values_are_known_per_field() {
        let mut memo = Memo::default();
        let Recalled::Unknown(hash) = memo.recall(1, "a") else { panic!("nothing is known yet") };
        memo.keep(1, hash, "a", &[3, 4]);
        assert_eq!(known(&mut memo, 1, "a"), Some(vec![3, 4]));
        assert_eq!(known(&mut memo, 2, "a"), None);
        assert_eq!(known(&mut memo, 1, "b"), None);
    }

    #[test]
    fn a_field_whose_values_do_not_come_again_is_left_alone_for_a_while() {
        let mut memo = Memo::default();
        let mut ignored = 0;
        for number in 0..TRIAL + PAUSE {
            match memo.recall(0, &number.to_string()) {
                Recalled::Unknown(hash) => memo.keep(0, hash, &number.to_string(), &[]),
                Recalled::Ignored => ignored += 1,
                Recalled::Known(..) => panic!("{number} was never there"),
            }
        }
        assert_eq!(ignored, PAUSE);
        assert!(matches!(memo.recall(0, "x"), Recalled::Unknown(_)), "then it is tried again");
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let mut memo = Memo::default();
        assert!(matches!(memo.recall(0, &"x".repeat(VALUE_BYTES_MAX + 1)), Recalled::Ignored));
        let value_of = |number: u32| format!("{number}{}", "x".repeat(VALUE_BYTES_MAX - 8));
        for number in 0..2_000_u32 {
            let value = value_of(number);
            // Another field each time, so that none is left alone.
            if let Recalled::Unknown(hash) = memo.recall(number, &value) {
                memo.keep(number, hash, &value, &[number; 100]);
            }
            assert!(memo.bytes() <= BYTES_MAX);
        }
        assert_eq!(known(&mut memo, 1_999, &value_of(1_999)), Some(vec![1_999; 100]));
    }
}
