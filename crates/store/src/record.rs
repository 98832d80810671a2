//! Sealed records one after the other in an append-only file: what the log and the manifest have in common.
//!
//! A record is `marker (4) | length of what follows the prefix (4) | number (8) | sealed bytes`, integers little-endian.
//! The marker is the last four bytes of the file's nonce: random, so that a reader who has lost its place finds the next
//! record again and loses no more than the damaged one. The 16 bytes of the prefix are authenticated with the record.

use std::io;

use crate::disk::DiskFile;

pub(crate) const PREFIX_BYTES: usize = 16;

/// How many bytes of would-be records may fail to open in one file before the rest of it is given up. A damaged record
/// costs its own length; only somebody who plants markers on purpose gets here.
const RESYNC_BYTES_MAX: u64 = 512 << 20;
/// How much is searched for the marker at a time.
const WINDOW_BYTES: usize = 64 << 10;
const MARKER_BYTES: usize = 4;

pub(crate) type Marker = [u8; MARKER_BYTES];

/// The marker of the file with this nonce.
pub(crate) fn marker(file_nonce: &[u8; 16]) -> Marker {
    let [.., a, b, c, d] = *file_nonce;
    [a, b, c, d]
}

/// Starts a record in `out`: the prefix for `sealed_bytes` to follow.
pub(crate) fn push_prefix(out: &mut Vec<u8>, marker: Marker, sealed_bytes: u32, number: u64) {
    out.extend_from_slice(&marker);
    out.extend_from_slice(&sealed_bytes.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
}

/// What a file has next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Record {
        offset: u64,
        number: u64,
        plaintext: Vec<u8>,
    },
    /// Bytes that are no record: damage, or what a crash left of a write.
    Unreadable {
        offset: u64,
        bytes: u64,
    },
}

/// Opens a record: number, prefix and sealed bytes in, plaintext out.
pub(crate) type Open<'o> = &'o dyn Fn(u64, &[u8], Vec<u8>) -> Option<Vec<u8>>;

/// Reads a file from a place to its end as of when the reading began.
#[derive(Debug)]
pub(crate) struct Scanner {
    file: Box<dyn DiskFile>,
    marker: Marker,
    position: u64,
    end: u64,
    sealed_bytes_max: u32,
    wasted: u64,
    /// Found while searching past damage.
    ready: Option<(Item, u64)>,
}

impl Scanner {
    pub(crate) fn new(file: Box<dyn DiskFile>, marker: Marker, start: u64, sealed_bytes_max: u32) -> io::Result<Self> {
        let end = file.len()?;
        Ok(Self { file, marker, position: start, end, sealed_bytes_max, wasted: 0, ready: None })
    }

    /// Length of the file when the reading began.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn next(&mut self, open: Open<'_>) -> io::Result<Option<Item>> {
        if let Some((item, after)) = self.ready.take() {
            self.position = after;
            return Ok(Some(item));
        }
        if self.position >= self.end {
            return Ok(None);
        }
        let offset = self.position;
        if let Some((item, after)) = self.record_at(offset, open)? {
            self.position = after;
            return Ok(Some(item));
        }
        let mut search = offset + 1;
        let next = loop {
            let Some(found) = self.find_marker(search)? else { break self.end };
            self.ready = self.record_at(found, open)?;
            if self.ready.is_some() {
                break found;
            }
            search = found + 1;
        };
        self.position = next;
        Ok(Some(Item::Unreadable { offset, bytes: next - offset }))
    }

    /// The record at `offset` and where it ends, if there is one that opens.
    fn record_at(&mut self, offset: u64, open: Open<'_>) -> io::Result<Option<(Item, u64)>> {
        let mut prefix = [0; PREFIX_BYTES];
        if self.wasted > RESYNC_BYTES_MAX || !self.read(offset, &mut prefix)? {
            return Ok(None);
        }
        let [m0, m1, m2, m3, l0, l1, l2, l3, number @ ..] = prefix;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let number = u64::from_le_bytes(number);
        let end = offset.saturating_add(PREFIX_BYTES as u64 + u64::from(length));
        if [m0, m1, m2, m3] != self.marker || length > self.sealed_bytes_max || end > self.end {
            return Ok(None);
        }
        let mut sealed = vec![0; length as usize];
        if !self.read(offset + PREFIX_BYTES as u64, &mut sealed)? {
            return Ok(None);
        }
        match open(number, &prefix, sealed) {
            Some(plaintext) => Ok(Some((Item::Record { offset, number, plaintext }, end))),
            None => {
                self.wasted += u64::from(length);
                Ok(None)
            }
        }
    }

    /// Where the marker stands next, at or after `from`.
    fn find_marker(&self, mut from: u64) -> io::Result<Option<u64>> {
        if self.wasted > RESYNC_BYTES_MAX {
            return Ok(None);
        }
        let mut window = vec![0; WINDOW_BYTES];
        while from < self.end {
            let length = (self.end - from).min(WINDOW_BYTES as u64) as usize;
            window.truncate(length);
            if !self.read(from, &mut window)? {
                return Ok(None);
            }
            if let Some(index) = memchr::memmem::find(&window, &self.marker) {
                return Ok(Some(from + index as u64));
            }
            if length < WINDOW_BYTES {
                return Ok(None);
            }
            // A marker may lie across the border.
            from += (length - (MARKER_BYTES - 1)) as u64;
        }
        Ok(None)
    }

    /// Fills `buffer`, unless the file ends before: a writer may just be cutting off what it failed to write.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        if offset.saturating_add(buffer.len() as u64) > self.end {
            return Ok(false);
        }
        match self.file.read_at(offset, buffer) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk as _, SimDisk};

    const MARKER: Marker = *b"MARK";

    /// "Sealed" here means: ends with the sum of all that comes before.
    fn open(_: u64, prefix: &[u8], mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let tag = sealed.pop()?;
        (tag == sum(prefix) ^ sum(&sealed).rotate_left(1)).then_some(sealed)
    }

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0u8, |sum, it| sum.rotate_left(1) ^ it)
    }

    fn scan(bytes: &[u8]) -> Vec<Item> {
        let disk = SimDisk::new();
        disk.create_new("x").unwrap().append(bytes).unwrap();
        let mut scanner = Scanner::new(disk.open_read("x").unwrap(), MARKER, 0, 1000).unwrap();
        std::iter::from_fn(|| scanner.next(&open).unwrap()).collect()
    }

    fn records() -> Vec<Vec<u8>> {
        (1..=3u64)
            .map(|number| {
                let mut out = Vec::new();
                push_prefix(&mut out, MARKER, 11, number);
                out.extend_from_slice(&[b'a'; 10]);
                out.push(sum(&out[..PREFIX_BYTES]) ^ sum(&out[PREFIX_BYTES..]).rotate_left(1));
                out
            })
            .collect()
    }

    fn numbers(items: &[Item]) -> Vec<u64> {
        let number = |item: &Item| match item {
            Item::Record { number, .. } => Some(*number),
            Item::Unreadable { .. } => None,
        };
        items.iter().filter_map(number).collect()
    }

    #[test]
    fn any_one_flipped_bit_costs_one_record() {
        let whole = records().concat();
        assert_eq!(numbers(&scan(&whole)), [1, 2, 3]);
        for bit in 27 * 8..54 * 8 {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let items = scan(&changed);
            assert_eq!(numbers(&items), [1, 3], "bit {bit}");
            assert_eq!(items[1], Item::Unreadable { offset: 27, bytes: 27 }, "bit {bit}");
        }
    }

    #[test]
    fn any_cut_costs_what_is_cut() {
        let whole = records().concat();
        for cut in 0..whole.len() {
            assert_eq!(numbers(&scan(&whole[..cut])).len(), cut / 27, "cut at {cut}");
        }
    }

    #[test]
    fn a_marker_across_two_windows_is_found() {
        for shift in 0..6 {
            let mut bytes = vec![b'.'; WINDOW_BYTES - 3 + shift];
            bytes.extend_from_slice(&records().concat());
            assert_eq!(numbers(&scan(&bytes)), [1, 2, 3], "shift {shift}");
        }
    }

    #[test]
    fn planted_markers_end_the_search_for_more() {
        let disk = SimDisk::new();
        let mut file = disk.create_new("x").unwrap();
        let mut planted = Vec::new();
        // Each claims a megabyte that does not open.
        for _ in 0..2000 {
            push_prefix(&mut planted, MARKER, 1 << 20, 1);
        }
        file.append(&planted).unwrap();
        file.append(&vec![0; 2 << 20]).unwrap();
        file.append(&records().concat()).unwrap();
        let mut scanner = Scanner::new(file, MARKER, 0, 2 << 20).unwrap();
        let mut tries = 0;
        let counted = std::cell::RefCell::new(&mut tries);
        let items: Vec<_> = std::iter::from_fn(|| {
            scanner
                .next(&|number, prefix, sealed| {
                    **counted.borrow_mut() += 1;
                    if sealed.len() > 100 { None } else { open(number, prefix, sealed) }
                })
                .unwrap()
        })
        .collect();
        assert!(numbers(&items).is_empty());
        assert_eq!(tries, (RESYNC_BYTES_MAX >> 20) + 1);
    }

    #[test]
    fn no_bytes_make_scanning_panic() {
        let mut dice = crate::disk::sim::Dice::new(7);
        for _ in 0..2000 {
            let length = dice.below(120) as usize;
            let bytes: Vec<u8> = (0..length)
                .map(|_| match dice.below(3) {
                    0 => MARKER[dice.below(4) as usize],
                    1 => 0,
                    _ => dice.next() as u8,
                })
                .collect();
            scan(&bytes);
        }
    }
}
