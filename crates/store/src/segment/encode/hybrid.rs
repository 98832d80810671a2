//! Parquet's hybrid of runs and packed bits ("RLE / Bit-Packing Hybrid", Parquet format, Encodings), for definition levels
//! and the numbers of dictionary entries.

/// Values that follow each other are worth a run from this many on; packed values come in groups of as many.
const GROUP: usize = 8;

/// Which rows of a column have a value.
#[derive(Default)]
pub(super) struct Present {
    /// A bit for each row, as far as the last that has a value.
    words: Vec<u64>,
    count: usize,
}

impl Present {
    pub(super) fn clear(&mut self) {
        self.words.clear();
        self.count = 0;
    }

    /// Row `row` has a value; rows come in order.
    #[inline]
    pub(super) fn set(&mut self, row: usize) {
        let word = row / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if let Some(bits) = self.words.get_mut(word) {
            *bits |= 1 << (row % 64);
        }
        self.count += 1;
    }

    /// How many rows have one.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How many of the `rows` from `first` on, a multiple of 64, have one.
    pub(super) fn count_in(&self, first: usize, rows: usize) -> usize {
        self.each_word(first, rows).map(|(bits, _)| bits.count_ones() as usize).sum()
    }

    /// The levels of the `rows` from `first` on, a multiple of 64: one bit each.
    pub(super) fn levels(&self, first: usize, rows: usize, out: &mut Vec<u8>) {
        // Runs of words that are all alike, and the others as they are.
        let mut run: Option<(bool, usize)> = None;
        let mut packed: Vec<u8> = Vec::new();
        for (bits, length) in self.each_word(first, rows) {
            let all = u64::MAX >> (64 - length);
            if bits != 0 && bits != all {
                end_run(&mut run, out);
                packed.extend(bits.to_le_bytes().iter().take(length.div_ceil(GROUP)));
                continue;
            }
            end_packed(&mut packed, out);
            match &mut run {
                Some((value, count)) if *value == (bits != 0) => *count += length,
                _ => {
                    end_run(&mut run, out);
                    run = Some((bits != 0, length));
                }
            }
        }
        end_run(&mut run, out);
        end_packed(&mut packed, out);
    }

    /// The bits of 64 rows each, and how many rows there are in them.
    fn each_word(&self, first: usize, rows: usize) -> impl Iterator<Item = (u64, usize)> + '_ {
        debug_assert_eq!(first % 64, 0, "pages begin with a word");
        (0..rows.div_ceil(64)).map(move |word| {
            let length = (rows - word * 64).min(64);
            let bits = self.words.get(first / 64 + word).copied().unwrap_or(0);
            (bits & (u64::MAX >> (64 - length)), length)
        })
    }
}

fn end_run(run: &mut Option<(bool, usize)>, out: &mut Vec<u8>) {
    if let Some((value, count)) = run.take() {
        varint(count << 1, out);
        out.push(u8::from(value));
    }
}

/// Only the last word of a page has fewer than 64 rows: before it groups are whole.
fn end_packed(packed: &mut Vec<u8>, out: &mut Vec<u8>) {
    if !packed.is_empty() {
        varint(packed.len() << 1 | 1, out);
        out.append(packed);
    }
}

fn varint(number: usize, out: &mut Vec<u8>) {
    let mut rest = number;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// How many bits numbers up to `max` take.
pub(super) fn bits_for(max: u32) -> u32 {
    u32::BITS - max.leading_zeros()
}

/// The numbers `codes`, of which none takes more than `width` bits.
pub(super) fn encode(codes: &[u32], width: u32, out: &mut Vec<u8>) {
    let mut rest = codes;
    let mut packed: &[u32] = &[];
    // `packed` is the part of `codes` that ends where `rest` begins and is not yet written.
    let mut start = 0;
    while let Some(first) = rest.first() {
        let length = if packed.len().is_multiple_of(GROUP) { run_length(rest, *first) } else { 0 };
        if length >= GROUP {
            pack(packed, width, out);
            varint(length << 1, out);
            out.extend(first.to_le_bytes().iter().take(width.div_ceil(8) as usize));
            rest = rest.get(length..).unwrap_or_default();
            start = codes.len() - rest.len();
            packed = &[];
        } else {
            rest = rest.get(1..).unwrap_or_default();
            packed = codes.get(start..codes.len() - rest.len()).unwrap_or_default();
        }
    }
    pack(packed, width, out);
}

fn run_length(codes: &[u32], first: u32) -> usize {
    codes.iter().take_while(|it| **it == first).count()
}

/// Whole groups, the last filled with zeros.
fn pack(codes: &[u32], width: u32, out: &mut Vec<u8>) {
    if codes.is_empty() {
        return;
    }
    let groups = codes.len().div_ceil(GROUP);
    varint(groups << 1 | 1, out);
    let end = out.len() + groups * width as usize;
    let (mut bits, mut filled) = (0_u64, 0);
    for code in codes {
        bits |= u64::from(*code) << filled;
        filled += width;
        while filled >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(bits as u8);
    }
    out.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the specification says it.
    fn decode(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut out = Vec::new();
        while out.len() < count {
            let (mut header, mut shift) = (0_usize, 0);
            loop {
                let (byte, rest) = bytes.split_first().unwrap();
                bytes = rest;
                header |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            if header & 1 == 0 {
                let (value, rest) = bytes.split_at(width.div_ceil(8) as usize);
                bytes = rest;
                let value = value.iter().rev().fold(0_u32, |sum, it| sum << 8 | u32::from(*it));
                out.extend(std::iter::repeat_n(value, header >> 1));
            } else {
                let (packed, rest) = bytes.split_at((header >> 1) * width as usize);
                bytes = rest;
                for index in 0..(header >> 1) * 8 {
                    let bit = |n: usize| u32::from(packed[n / 8] >> (n % 8) & 1);
                    let at = index * width as usize;
                    out.push((0..width as usize).fold(0, |sum, n| sum | bit(at + n) << n));
                }
            }
        }
        assert!(bytes.is_empty(), "nothing is left");
        assert!(out.len() - count < 8);
        out.truncate(count);
        out
    }

    proptest::proptest! {
        #[test]
        fn codes_come_back(
            runs in proptest::collection::vec((0_u32..70_000, 1_usize..30), 0..60),
            narrow in proptest::bool::ANY,
        ) {
            let codes: Vec<u32> = runs
                .iter()
                .flat_map(|(value, count)| std::iter::repeat_n(if narrow { value % 3 } else { *value }, *count))
                .collect();
            let width = bits_for(codes.iter().copied().max().unwrap_or(0));
            let mut out = Vec::new();
            encode(&codes, width, &mut out);
            assert_eq!(decode(&out, width, codes.len()), codes);
        }

        #[test]
        fn levels_come_back(runs in proptest::collection::vec((proptest::bool::ANY, 1_usize..200), 0..20), first in 0_usize..3) {
            let first = first * 64;
            let truths: Vec<bool> = runs.iter().flat_map(|(value, count)| std::iter::repeat_n(*value, *count)).collect();
            let mut present = Present::default();
            truths.iter().enumerate().filter(|it| *it.1).for_each(|it| present.set(it.0));
            let rows = truths.len().saturating_sub(first);
            let expected: Vec<u32> = truths.iter().skip(first).map(|it| u32::from(*it)).collect();
            let mut out = Vec::new();
            present.levels(first, rows, &mut out);
            assert_eq!(decode(&out, 1, rows), expected);
            assert_eq!(present.count_in(first, rows), expected.iter().sum::<u32>() as usize);
        }
    }

    #[test]
    fn equal_values_take_a_few_bytes() {
        let mut out = Vec::new();
        encode(&[7; 100_000], 3, &mut out);
        assert_eq!(out.len(), 4);
        out.clear();
        encode(&[0; 5], 0, &mut out);
        assert_eq!((bits_for(0), decode(&out, 0, 5)), (0, vec![0; 5]));
        out.clear();
        let mut present = Present::default();
        (0..100_000).for_each(|row| present.set(row));
        present.levels(0, 100_000, &mut out);
        assert_eq!(out.len(), 4);
    }
}
