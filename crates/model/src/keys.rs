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
    /// The key as it stands in JSON, with the quote behind it, and zeros.
    quoted: Quoted,
    /// How long that is; 0 if it does not fit or has escapes.
    quoted_length: u8,
    pub(crate) id: FieldId,
    pub(crate) tag: u16,
}

impl Translated {
    const NONE: Self = Self {
        key: TranslatedKey { words: [0; 4], kind: u32::MAX },
        quoted: [0; 4],
        quoted_length: 0,
        id: FieldId(0),
        tag: 0,
    };

    fn space(&self) -> u8 {
        (self.key.kind >> 8) as u8
    }
}

/// As many bytes as a remembered key has, in words.
type Quoted = [u64; TRANSLATED_BYTES_MAX / 8];

#[inline]
fn quoted_of(bytes: &[u8; TRANSLATED_BYTES_MAX]) -> Quoted {
    let (head, tail) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>());
    match (head, tail) {
        (Some(head), Some(tail)) => [word(head, 0), word(head, 8), word(tail, 0), word(tail, 8)],
        _ => [0; 4],
    }
}

/// By length: the bits of so many bytes.
static MASKS: [Quoted; TRANSLATED_BYTES_MAX + 1] = {
    let mut masks = [[0; 4]; TRANSLATED_BYTES_MAX + 1];
    let mut length = 0;
    while length <= TRANSLATED_BYTES_MAX {
        let mut at = 0;
        while at < length {
            masks[length][at / 8] |= 0xff << (at % 8 * 8);
            at += 1;
        }
        length += 1;
    }
    masks
};

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

/// How many ways through records are known: what came next on each. Two that share a place take turns.
const WAYS: usize = 4_096;

/// From the keys of senders to the fields that they mean, two keys to a set: the older of them is forgotten.
#[derive(Default)]
pub(crate) struct TranslationCache {
    /// Empty until something is put in; a set is two entries that lie together.
    entries: Box<[Translated]>,
    /// By the way through a record: where the key lies that came next.
    next: Box<[u16]>,
    /// The keys of the record so far, in one number.
    way: u32,
}

impl TranslationCache {
    /// Another record begins.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.way = 0;
    }

    #[inline]
    pub(crate) fn get(&mut self, key: TranslatedKey) -> Option<Translated> {
        let first = 2 * key.set();
        let set = self.entries.get(first..first + 2)?;
        let way = set.iter().position(|it| it.key == key)?;
        let found = set.get(way).copied();
        self.follow((first + way) as u16);
        found
    }

    #[inline]
    fn place(&self) -> usize {
        (self.way >> (u32::BITS - WAYS.ilog2())) as usize
    }

    #[inline]
    fn step(&mut self, index: u16) {
        const ODD: u32 = 0x9e37_79b9;
        self.way = (self.way ^ (u32::from(index) + 1)).wrapping_mul(ODD).rotate_left(15).wrapping_mul(ODD);
    }

    /// The key at `index` comes next.
    #[inline]
    fn follow(&mut self, index: u16) {
        let place = self.place();
        if let Some(next) = self.next.get_mut(place) {
            *next = index;
        }
        self.step(index);
    }

    /// What the key that begins `rest` means, if it is the one that came next when a record began with the same keys;
    /// the length of the key, behind which a quote stands, too. Records of one kind name their fields in one order.
    #[inline]
    pub(crate) fn foretold(&mut self, space: u8, rest: &[u8]) -> Option<(FieldId, u16, usize)> {
        let index = *self.next.get(self.place())?;
        let found = self.entries.get(usize::from(index))?;
        let here = quoted_of(rest.first_chunk::<TRANSLATED_BYTES_MAX>()?);
        let mask = MASKS.get(usize::from(found.quoted_length))?;
        let differing = here.iter().zip(&found.quoted).zip(mask).fold(0, |all, ((a, b), mask)| all | (a ^ b) & mask);
        if differing != 0 || found.quoted_length == 0 || found.space() != space {
            return None;
        }
        let foretold = (found.id, found.tag, usize::from(found.quoted_length) - 1);
        self.step(index);
        Some(foretold)
    }

    pub(crate) fn put(&mut self, key: TranslatedKey, text: &str, id: FieldId, tag: u16) {
        if self.entries.is_empty() {
            self.entries = vec![Translated::NONE; 2 * SETS].into_boxed_slice();
            self.next = vec![0; WAYS].into_boxed_slice();
        }
        let first = 2 * key.set();
        if let Some([newer, older]) = self.entries.get_mut(first..first + 2) {
            *older = *newer;
            let mut quoted = [0; TRANSLATED_BYTES_MAX];
            let is_plain = text.bytes().all(|it| it >= b' ' && it != b'"' && it != b'\\');
            let fits = match quoted.get_mut(..=text.len()) {
                Some([into @ .., quote]) if is_plain => {
                    into.copy_from_slice(text.as_bytes());
                    *quote = b'"';
                    true
                }
                _ => false,
            };
            let quoted_length = if fits { text.len() as u8 + 1 } else { 0 };
            *newer = Translated { key, quoted: quoted_of(&quoted), quoted_length, id, tag };
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

    /// What is foretold of a record that goes on with `rest` and then some.
    fn foretold(cache: &mut TranslationCache, space: u8, rest: &str) -> Option<(FieldId, u16, usize)> {
        cache.foretold(space, format!("{rest}{}", "-".repeat(TRANSLATED_BYTES_MAX)).as_bytes())
    }

    #[test]
    fn the_key_that_came_next_is_foretold_and_no_other() {
        let mut cache = TranslationCache::default();
        assert!(foretold(&mut cache, 3, "UtcTime\"").is_none(), "nothing is known");
        let keys = ["UtcTime", "ProcessGuid", "a-key-of-thirty-two-bytes-in-all", "Image", "with \\ in it", "", "last"];
        for (n, key) in keys.iter().enumerate() {
            cache.put(TranslatedKey::of(3, key).unwrap(), key, FieldId(n as u32), n as u16);
        }
        for round in 0..3 {
            cache.begin();
            for (n, key) in keys.iter().enumerate() {
                for wrong in ["U", "Imagf\"", "UtcTime", "UtcTime2\"", "ProcessGuidx\""] {
                    assert!(foretold(&mut cache, 3, wrong).is_none(), "{wrong}");
                }
                let rest = format!("{key}\":\"value\"");
                assert!(foretold(&mut cache, 4, &rest).is_none(), "another space");
                assert!(cache.foretold(3, &rest.as_bytes()[..key.len()]).is_none(), "the end of the text");
                let known = foretold(&mut cache, 3, &rest);
                // The longest has no room for its quote, and another needs escapes.
                let is_known = n != 2 && n != 4;
                assert_eq!(known, is_known.then_some((FieldId(n as u32), n as u16, key.len())), "{round} {key}");
                if known.is_none() {
                    assert!(cache.get(TranslatedKey::of(3, key).unwrap()).is_some());
                }
            }
        }
    }

    #[test]
    fn keys_are_foretold_by_the_way_that_led_to_them() {
        let mut cache = TranslationCache::default();
        let records = [["kind", "id", "name", "time"], ["kind", "name", "time", "id"], ["id", "kind", "time", "name"]];
        let mut missed = 0;
        for round in 0..10 {
            for record in &records {
                cache.begin();
                for key in record {
                    if foretold(&mut cache, 0, &format!("{key}\"")).is_none() {
                        missed += u32::from(round > 0);
                        let known = TranslatedKey::of(0, key).unwrap();
                        if cache.get(known).is_none() {
                            cache.put(known, key, FieldId(0), 0);
                        }
                    }
                }
            }
        }
        // Only where the ways part: the first key of two records and the second of two.
        assert!(missed <= 9 * 4, "{missed}");
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
