//! Different values of a column, numbered in the order in which they came first.

use std::hash::{BuildHasher as _, RandomState};

/// Free slots of the table hold this.
const FREE: u64 = u64::MAX;
const SLOTS_MIN: usize = 64;
const UPPER: u64 = !0 << 32;
/// Constants of the hash: odd, with as many ones as zeros.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
const MIX_END: u64 = 0xd6e8_feb8_6659_fd93;

/// Values, each once.
pub(super) struct Interner {
    /// The values one behind the other.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<u32>,
    /// The upper half of the hash and the number of a value each. A power of two; at most half of it is taken.
    slots: Vec<u64>,
    /// Another for each interner: nobody outside can choose values that share slots.
    seed: u64,
    last: u32,
}

impl Default for Interner {
    fn default() -> Self {
        let seed = RandomState::new().hash_one(MIX);
        Self { bytes: Vec::new(), ends: Vec::new(), slots: Vec::new(), seed, last: 0 }
    }
}

impl Interner {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.slots.fill(FREE);
        self.last = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all values together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(super) fn get(&self, code: u32) -> Option<&[u8]> {
        let code = code as usize;
        let start = match code.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.bytes.get(start as usize..*self.ends.get(code)? as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len() as u32).filter_map(|it| self.get(it))
    }

    /// The number of `value`; a new one if it was not there.
    #[inline]
    pub(super) fn number(&mut self, value: &[u8]) -> u32 {
        // Neighbours are often alike.
        if self.get(self.last).is_some_and(|it| it == value) {
            return self.last;
        }
        self.last = self.find(value);
        self.last
    }

    fn find(&mut self, value: &[u8]) -> u32 {
        if self.slots.len() <= self.ends.len() * 2 {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let hash = hash(self.seed, value);
        let mut index = hash as usize & mask;
        // Half of the slots are free.
        while let Some(slot) = self.slots.get_mut(index) {
            if *slot == FREE {
                let code = self.ends.len() as u32;
                *slot = hash & UPPER | u64::from(code);
                self.bytes.extend_from_slice(value);
                self.ends.push(self.bytes.len() as u32);
                return code;
            }
            let known = *slot;
            if known & UPPER == hash & UPPER && self.get(known as u32) == Some(value) {
                return known as u32;
            }
            index = (index + 1) & mask;
        }
        0
    }

    fn grow(&mut self) {
        let length = (self.slots.len() * 2).max(SLOTS_MIN);
        let mask = length - 1;
        self.slots.clear();
        self.slots.resize(length, FREE);
        for code in 0..self.ends.len() as u32 {
            let hash = self.get(code).map_or(0, |it| hash(self.seed, it));
            let mut index = hash as usize & mask;
            while self.slots.get(index).is_some_and(|it| *it != FREE) {
                index = (index + 1) & mask;
            }
            if let Some(slot) = self.slots.get_mut(index) {
                *slot = hash & UPPER | u64::from(code);
            }
        }
    }
}

#[inline]
fn hash(seed: u64, value: &[u8]) -> u64 {
    let mut state = seed ^ (value.len() as u64).wrapping_mul(MIX);
    let (blocks, rest) = value.as_chunks::<8>();
    for block in blocks {
        state = mix(state ^ u64::from_le_bytes(*block), MIX);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        state = mix(state ^ u64::from_le_bytes(last), MIX);
    }
    mix(state, MIX_END)
}

#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    proptest::proptest! {
        #[test]
        fn equal_values_have_one_number(values in proptest::collection::vec("[ab]{0,9}|.{0,40}", 0..400)) {
            let mut interner = Interner::default();
            for _ in 0..2 {
                let mut known: HashMap<&str, u32> = HashMap::new();
                for value in &values {
                    let next = known.len() as u32;
                    let expected = *known.entry(value).or_insert(next);
                    assert_eq!(interner.number(value.as_bytes()), expected);
                    assert_eq!(interner.get(expected), Some(value.as_bytes()));
                }
                assert_eq!((interner.len(), interner.iter().count()), (known.len(), known.len()));
                assert_eq!(interner.bytes(), known.keys().map(|it| it.len()).sum::<usize>());
                interner.clear();
                assert_eq!(interner.get(0), None);
            }
        }
    }
}
