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

/// Sets of the cache of translations; each has room for two keys.
const SETS: usize = 256;
/// Longer keys are not remembered: they are translated each time.
const TRANSLATED_BYTES_MAX: usize = 32;

/// A key that a format translates, completely: two keys that differ in a byte are not equal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TranslatedKey {
    words: [u64; 4],
    /// The length, and above it the space of the names.
    kind: u32,
}

/// What a format made of a key.
#[derive(Clone, Copy)]
pub(crate) struct Translated {
    key: TranslatedKey,
    pub(crate) id: FieldId,
    pub(crate) tag: u16,
    /// Where the key lies that came after this one the last time.
    next: u16,
    /// Between quotes it stands as it is: JSON needs no escape in it.
    is_plain: bool,
}

impl Translated {
    const NONE: Self =
        Self { key: TranslatedKey { words: [0; 4], kind: u32::MAX }, id: FieldId(0), tag: 0, next: 0, is_plain: false };

    /// In bytes.
    fn length(&self) -> usize {
        (self.key.kind & 0xff) as usize
    }
}

impl TranslatedKey {
    /// `None` for keys that are too long to be remembered.
    #[inline]
    pub(crate) fn of(space: u8, name: &str) -> Option<Self> {
        let bytes = name.as_bytes();
        if bytes.len() > TRANSLATED_BYTES_MAX {
            return None;
        }
        let mut words = [0; 4];
        if let (Some(head), Some(tail)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) {
            words = [word(head, 0), word(head, 8), word(tail, 0), word(tail, 8)];
        } else {
            let Key { head, tail, .. } = Key::of(name);
            words[0] = head;
            words[1] = tail;
        }
        Some(Self { words, kind: u32::from(space) << 8 | bytes.len() as u32 })
    }

    #[inline]
    fn set(self) -> usize {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let [a, b, c, d] = self.words;
        let mixed = a ^ b.rotate_left(23) ^ c.rotate_left(11) ^ d.rotate_left(37) ^ u64::from(self.kind);
        (mixed.wrapping_mul(ODD) >> (64 - SETS.ilog2())) as usize
    }
}

#[inline]
fn word(bytes: &[u8; 16], start: usize) -> u64 {
    bytes.get(start..).and_then(|it| it.first_chunk::<8>()).map_or(0, |it| u64::from_le_bytes(*it))
}

/// From the keys of senders to the fields that they mean, two keys to a set: the older of them is forgotten.
#[derive(Default)]
pub(crate) struct TranslationCache {
    /// Empty until something is put in; a set is two entries that lie together.
    entries: Box<[Translated]>,
    /// Where the last key lies.
    last: u16,
}

impl TranslationCache {
    #[inline]
    pub(crate) fn get(&mut self, key: TranslatedKey) -> Option<Translated> {
        let first = 2 * key.set();
        let set = self.entries.get(first..first + 2)?;
        let way = set.iter().position(|it| it.key == key)?;
        let found = set.get(way).copied();
        self.follow((first + way) as u16);
        found
    }

    /// The key at `index` came after the last one.
    #[inline]
    fn follow(&mut self, index: u16) {
        if let Some(last) = self.entries.get_mut(usize::from(self.last)) {
            last.next = index;
        }
        self.last = index;
    }

    /// What the key that begins `rest` means, if it is the one that came after the last key before; the length of the
    /// key, behind which a quote stands, too. Records of one kind name their fields in one order.
    #[inline]
    pub(crate) fn foretold(&mut self, space: u8, rest: &str) -> Option<(Translated, usize)> {
        let next = self.entries.get(usize::from(self.last))?.next;
        let found = *self.entries.get(usize::from(next))?;
        let length = found.length();
        if !found.is_plain || rest.as_bytes().get(length) != Some(&b'"') {
            return None;
        }
        (TranslatedKey::of(space, rest.get(..length)?)? == found.key).then(|| {
            self.last = next;
            (found, length)
        })
    }

    pub(crate) fn put(&mut self, key: TranslatedKey, text: &str, id: FieldId, tag: u16) {
        if self.entries.is_empty() {
            self.entries = vec![Translated::NONE; 2 * SETS].into_boxed_slice();
        }
        let first = 2 * key.set();
        if let Some([newer, older]) = self.entries.get_mut(first..first + 2) {
            *older = *newer;
            let is_plain = text.bytes().all(|it| it >= b' ' && it != b'"' && it != b'\\');
            *newer = Translated { key, id, tag, next: 0, is_plain };
        }
        self.follow(first as u16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translated_keys_that_differ_anywhere_are_told_apart() {
        for length in 0..=TRANSLATED_BYTES_MAX {
            let name = "x".repeat(length);
            let key = TranslatedKey::of(1, &name).unwrap();
            let mut cache = TranslationCache::default();
            cache.put(key, &name, FieldId(7), 3);
            assert_eq!(cache.get(key).map(|it| (it.id, it.tag)), Some((FieldId(7), 3)));
            assert!(cache.get(TranslatedKey::of(2, &name).unwrap()).is_none());
            for at in 0..length {
                let mut other = name.clone().into_bytes();
                other[at] = b'y';
                let other = TranslatedKey::of(1, std::str::from_utf8(&other).unwrap()).unwrap();
                assert!(cache.get(other).is_none() && other != key, "{length} {at}");
            }
        }
        assert!(TranslatedKey::of(1, &"x".repeat(TRANSLATED_BYTES_MAX + 1)).is_none());
    }

    #[test]
    fn the_cache_of_translations_keeps_the_newest_two_of_a_set() {
        let mut cache = TranslationCache::default();
        let keys: Vec<_> = (0..10_000).filter_map(|n| TranslatedKey::of(0, &n.to_string())).collect();
        for (n, key) in keys.iter().enumerate() {
            cache.put(*key, &n.to_string(), FieldId(n as u32), 0);
            assert_eq!(cache.get(*key).map(|it| it.id), Some(FieldId(n as u32)));
        }
        assert!(keys.iter().filter(|key| cache.get(**key).is_some()).count() <= 2 * SETS);
    }

    #[test]
    fn the_key_that_came_next_is_foretold_and_no_other() {
        let mut cache = TranslationCache::default();
        let keys = ["UtcTime", "ProcessGuid", "a key of more than sixteen bytes", "Image", "with \\ in it", "last"];
        for (n, key) in keys.iter().enumerate() {
            cache.put(TranslatedKey::of(3, key).unwrap(), key, FieldId(n as u32), n as u16);
        }
        assert!(cache.foretold(3, "UtcTime\":1").is_none(), "nothing came after the last one yet");
        for round in 0..3 {
            for (n, key) in keys.iter().enumerate() {
                for wrong in ["", "\"", "U", "Imagf\"", "UtcTime", "UtcTime2\"", "ProcessGuidx\""] {
                    assert!(cache.foretold(3, wrong).is_none(), "{wrong}");
                }
                let rest = format!("{key}\":\"value\"");
                assert!(cache.foretold(4, &rest).is_none(), "another space");
                let foretold = cache.foretold(3, &rest).map(|(it, length)| (it.id, it.tag, length));
                let is_known = round > 0 && n != 4 || round == 0 && n != 0 && n != 4;
                assert_eq!(foretold, is_known.then_some((FieldId(n as u32), n as u16, key.len())), "{round} {key}");
                if foretold.is_none() {
                    assert!(cache.get(TranslatedKey::of(3, key).unwrap()).is_some());
                }
            }
        }
    }

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
