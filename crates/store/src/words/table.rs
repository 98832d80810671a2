//! The terms of one section as bits (specified in the header of `words/mod.rs`), and look-ups in them.

use super::{BUCKET_TERMS, FINGERPRINT_BITS};

/// A term and one row group that has it: the upper 48 bits of the hash, then the number of the row group.
pub(super) type Pair = u64;

pub(super) fn pair(hash: u64, group: u16) -> Pair {
    hash & !0xffff | u64::from(group)
}

/// How many buckets a section with so many terms has.
pub(super) fn buckets(terms: u64) -> u64 {
    terms.div_ceil(BUCKET_TERMS)
}

/// The number of a term among `terms`.
fn number(hash: u64, terms: u64) -> u64 {
    // Sections have far fewer than 2^48 terms.
    ((u128::from(hash & !0xffff) * (u128::from(terms) << FINGERPRINT_BITS)) >> 64) as u64
}

/// A section, encoded.
pub(super) struct Encoded {
    pub(super) data: Vec<u8>,
    /// Where each bucket ends.
    pub(super) ends: Vec<u32>,
    /// How many different terms there are.
    pub(super) terms: u64,
}

/// Encodes `pairs`, which are sorted here, of a section with `groups` row groups. `None` if that takes 4 GiB.
pub(super) fn encode(pairs: &mut [Pair], groups: u32) -> Option<Encoded> {
    pairs.sort_unstable();
    let terms = pairs.chunk_by(|a, b| a >> 16 == b >> 16).count() as u64;
    let mut bits = BitWriter::default();
    let mut ends = Vec::with_capacity(buckets(terms) as usize);
    let mut next = 0;
    let mut sets = pairs.chunk_by(|a, b| number(*a, terms) == number(*b, terms)).peekable();
    for bucket in 1..=buckets(terms) {
        let end = (bucket * BUCKET_TERMS) << FINGERPRINT_BITS;
        while let Some(of_one) = sets.next_if(|it| it.first().is_some_and(|it| number(*it, terms) < end)) {
            let number = of_one.first().map_or(0, |it| number(*it, terms));
            let set = of_one.iter().fold(0_u64, |set, it| set | 1 << (it & 63));
            bits.put_distance(number - next);
            bits.put_groups(set, groups);
            next = number + 1;
        }
        next = end;
        bits.align();
        ends.push(u32::try_from(bits.out.len()).ok()?);
    }
    Some(Encoded { data: bits.out, ends, terms })
}

/// In which bucket a term lies.
pub(super) fn bucket_of(hash: u64, terms: u64) -> u64 {
    (number(hash, terms) >> FINGERPRINT_BITS) / BUCKET_TERMS
}

/// The row groups of the section that may have a term, in the bits of its bucket.
pub(super) fn look_up(bucket: &[u8], hash: u64, terms: u64, groups: u32) -> Result<u64, Unreadable> {
    let wanted = number(hash, terms);
    let mut next = (bucket_of(hash, terms) * BUCKET_TERMS) << FINGERPRINT_BITS;
    let mut bits = BitReader { bytes: bucket, position: 0 };
    // Each round takes at least a byte of the bucket, or ends.
    while !bits.is_at_end() {
        let number = next.checked_add(bits.distance()?).ok_or(Unreadable)?;
        let set = bits.groups(groups)?;
        if number >= wanted {
            return Ok(if number == wanted { set } else { 0 });
        }
        next = number.checked_add(1).ok_or(Unreadable)?;
    }
    Ok(0)
}

/// Bits that no section has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// How many bits the number of a row group takes.
fn group_bits(groups: u32) -> u32 {
    u32::BITS - groups.saturating_sub(1).leading_zeros()
}

/// One bit for each of the row groups.
pub(super) fn all(groups: u32) -> u64 {
    if groups >= 64 { u64::MAX } else { (1 << groups) - 1 }
}

#[derive(Default)]
struct BitWriter {
    out: Vec<u8>,
    /// Bits that are not in `out` yet, from the lowest on: fewer than 8 between calls.
    pending: u128,
    count: u32,
}

impl BitWriter {
    /// The lowest `count` bits of `bits`, at most 64; the others are zero.
    fn put(&mut self, bits: u64, count: u32) {
        self.pending |= u128::from(bits) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.out.push(self.pending as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    fn align(&mut self) {
        self.put(0, (8 - self.count % 8) % 8);
    }

    fn put_distance(&mut self, distance: u64) {
        // A bucket has 512 times 2^F numbers: at most 512 zeros.
        let mut zeros = distance >> FINGERPRINT_BITS;
        while zeros >= 32 {
            self.put(0, 32);
            zeros -= 32;
        }
        self.put(1 << zeros, zeros as u32 + 1);
        self.put(distance & ((1 << FINGERPRINT_BITS) - 1), FINGERPRINT_BITS);
    }

    fn put_groups(&mut self, set: u64, groups: u32) {
        if groups <= 1 {
            return;
        }
        if set.is_power_of_two() {
            self.put(0, 1);
            self.put(u64::from(set.trailing_zeros()), group_bits(groups));
        } else if set == all(groups) {
            self.put(0b01, 2);
        } else {
            self.put(0b11, 2);
            self.put(set, groups);
        }
    }
}

struct BitReader<'b> {
    bytes: &'b [u8],
    position: usize,
}

impl BitReader<'_> {
    /// The next bits, the first one lowest; zeros behind the end. At least 56 count.
    #[inline]
    fn peek(&self) -> u64 {
        let rest = self.bytes.get(self.position / 8..).unwrap_or_default();
        let bits = match rest.first_chunk::<8>() {
            Some(eight) => u64::from_le_bytes(*eight),
            None => rest.iter().rev().fold(0, |bits, it| bits << 8 | u64::from(*it)),
        };
        bits >> (self.position % 8)
    }

    /// Whether nothing follows but the zeros up to the next byte.
    fn is_at_end(&self) -> bool {
        let left = (self.bytes.len() * 8).saturating_sub(self.position);
        left < 8 && self.peek() == 0
    }

    #[inline]
    fn take(&mut self, count: u32) -> Result<u64, Unreadable> {
        let bits = self.peek() & ((1 << count) - 1);
        self.position += count as usize;
        if self.position > self.bytes.len() * 8 { Err(Unreadable) } else { Ok(bits) }
    }

    #[inline]
    fn distance(&mut self) -> Result<u64, Unreadable> {
        let mut above = 0;
        loop {
            let zeros = self.peek().trailing_zeros().min(56);
            self.position += zeros as usize;
            above += u64::from(zeros);
            if self.position >= self.bytes.len() * 8 {
                return Err(Unreadable);
            }
            if zeros < 56 {
                break;
            }
        }
        self.take(1)?;
        Ok(above << FINGERPRINT_BITS | self.take(FINGERPRINT_BITS)?)
    }

    #[inline]
    fn groups(&mut self, groups: u32) -> Result<u64, Unreadable> {
        if groups <= 1 {
            return Ok(all(groups));
        }
        if self.take(1)? == 0 {
            let number = self.take(group_bits(groups))?;
            return if number < u64::from(groups) { Ok(1 << number) } else { Err(Unreadable) };
        }
        if self.take(1)? == 0 {
            return Ok(all(groups));
        }
        let low = self.take(groups.min(32))?;
        let high = self.take(groups.saturating_sub(32))?;
        Ok(low | high << 32)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::words::tokens::hash;

    fn bucket(encoded: &Encoded, hash: u64) -> &[u8] {
        let bucket = bucket_of(hash, encoded.terms) as usize;
        let start = bucket.checked_sub(1).map_or(0, |it| encoded.ends[it]);
        &encoded.data[start as usize..encoded.ends[bucket] as usize]
    }

    fn found(encoded: &Encoded, hash: u64, groups: u32) -> u64 {
        look_up(bucket(encoded, hash), hash, encoded.terms, groups).unwrap()
    }

    fn term(number: u64) -> u64 {
        hash(9, &number.to_le_bytes())
    }

    #[test]
    fn every_term_is_found_in_all_its_row_groups_and_few_others_are() {
        for groups in [1, 2, 3, 33, 63, 64] {
            for terms in [1_u64, 2, 511, 512, 513, 5_000] {
                let mut random = fastrand::Rng::with_seed(terms + u64::from(groups));
                let mut expected: BTreeMap<u64, u64> = BTreeMap::new();
                for number in 0..terms {
                    let set = match random.u32(0..3) {
                        0 => 1 << random.u32(0..groups),
                        1 => all(groups),
                        _ => (random.u64(..) & all(groups)).max(1),
                    };
                    expected.insert(term(number), set);
                }
                let mut pairs: Vec<Pair> = expected
                    .iter()
                    .flat_map(|(hash, set)| {
                        (0..groups as u16).filter(move |it| set >> it & 1 == 1).map(move |it| pair(*hash, it))
                    })
                    .collect();
                let encoded = encode(&mut pairs, groups).unwrap();
                assert_eq!((encoded.terms, encoded.ends.len() as u64), (terms, terms.div_ceil(512)));
                let mut exact = 0;
                for (hash, set) in &expected {
                    let found = found(&encoded, *hash, groups);
                    assert_eq!(found & set, *set, "{groups} {terms}");
                    exact += u64::from(found == *set);
                }
                assert!(exact * 100 >= terms * 98, "{groups} {terms}: {exact}");
                let wrong = (0..10_000).filter(|it| found(&encoded, term(1 << 40 | it), groups) != 0).count();
                assert!(wrong < 80, "{groups} {terms}: {wrong} of 10,000");
            }
        }
    }

    #[test]
    fn no_term_is_in_an_empty_section() {
        let encoded = encode(&mut [], 4).unwrap();
        assert_eq!((encoded.terms, encoded.data.len(), encoded.ends.len()), (0, 0, 0));
    }

    proptest::proptest! {
        #[test]
        fn no_bits_make_a_look_up_panic_or_hang(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400),
            zeros in 0_usize..80,
            hash in proptest::prelude::any::<u64>(),
            terms in 1_u64..1 << 40,
            groups in 0_u32..=64,
        ) {
            let mut all_bytes = vec![0; zeros];
            all_bytes.extend(bytes);
            if let Ok(set) = look_up(&all_bytes, hash, terms, groups) {
                proptest::prop_assert_eq!(set & !all(groups), 0);
            }
        }
    }
}
