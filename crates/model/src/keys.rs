//! From a name to its id without hashing: records repeat the same few dozen names.

use crate::FieldId;

/// Slots of the cache. A batch of one product names far fewer fields; two names that share a slot only take turns.
const SLOTS: usize = 512;
/// Names up to this many bytes are known completely by their slot.
const EXACT_BYTES: usize = 16;

#[derive(Clone, Copy)]
struct Slot {
    head: u64,
    tail: u64,
    /// `usize::MAX`: empty.
    length: usize,
    id: FieldId,
}

/// A direct-mapped cache in front of the tables of names.
pub(crate) struct KeyCache {
    slots: Box<[Slot]>,
}

/// What a name is found by: its length, its first eight bytes and its last eight.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    head: u64,
    tail: u64,
    length: usize,
}

impl Key {
    #[inline]
    pub(crate) fn of(name: &str) -> Self {
        let bytes = name.as_bytes();
        let (head, tail) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
            _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
                (Some(head), Some(tail)) => {
                    (u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail)))
                }
                // Up to three bytes.
                _ => (bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
            },
        };
        Self { head, tail, length: bytes.len() }
    }

    fn slot(self) -> usize {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = (self.head ^ self.tail.rotate_left(23) ^ self.length as u64).wrapping_mul(ODD);
        (mixed >> (64 - SLOTS.ilog2())) as usize
    }
}

impl KeyCache {
    pub(crate) fn new() -> Self {
        let empty = Slot { head: 0, tail: 0, length: usize::MAX, id: FieldId(0) };
        Self { slots: vec![empty; SLOTS].into_boxed_slice() }
    }

    /// The id remembered for `key`; `same` decides whether a long name is really that of an id.
    #[inline]
    pub(crate) fn get(&self, key: Key, same: impl FnOnce(FieldId) -> bool) -> Option<FieldId> {
        let slot = self.slots.get(key.slot())?;
        let hit = slot.head == key.head && slot.tail == key.tail && slot.length == key.length;
        (hit && (key.length <= EXACT_BYTES || same(slot.id))).then_some(slot.id)
    }

    pub(crate) fn put(&mut self, key: Key, id: FieldId) {
        if let Some(slot) = self.slots.get_mut(key.slot()) {
            *slot = Slot { head: key.head, tail: key.tail, length: key.length, id };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_anywhere_are_told_apart() {
        let long = "x".repeat(40);
        let middle = format!("{}y{}", "x".repeat(20), "x".repeat(19));
        let names = [
            "",
            "a",
            "ab",
            "abc",
            "abcd",
            "abcde",
            "abxde",
            "abcdefgh",
            "abcdefghi",
            "abcdefghijklmnop",
            &long,
            &middle,
        ];
        for (index, name) in names.iter().enumerate() {
            let mut cache = KeyCache::new();
            cache.put(Key::of(name), FieldId(index as u32));
            for other in names {
                let found = cache.get(Key::of(other), |id| names[id.0 as usize] == other);
                assert_eq!(found, (*name == other).then_some(FieldId(index as u32)), "{name} {other}");
            }
        }
    }
}
