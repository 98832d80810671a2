//! Cuts a stream of bytes into records without copying them: the buffer that is read into becomes the batch.

use panoptes_model::{BATCH_RECORDS_MAX, Origin, RawBatch, RawRecord, Timestamp};

use crate::framing::{Framing, Next, Skip};
use crate::limits::LINE_BYTES_MAX;

/// What [`RawRecord::position`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Positions {
    /// Records, from 1; empty ones too, so that the numbers are those of the lines.
    Numbers,
    /// Bytes up to behind the record and its delimiter.
    Offsets,
}

/// The bytes of one stream, the records found so far, and the one that is still open.
pub(crate) struct Cutter<F> {
    framing: F,
    positions: Positions,
    origin: Origin,
    batch: RawBatch,
    /// Offset in the stream of the buffer's first byte.
    base: u64,
    /// Where in the buffer the open record begins.
    open: usize,
    /// Up to where the open record was searched for its end.
    searched: usize,
    skip: Skip,
    numbered: u64,
    cut_records: u64,
    cut_bytes: u64,
}

impl<F: Framing> Cutter<F> {
    /// A stream that is read from offset `base` on.
    pub(crate) fn new(framing: F, positions: Positions, origin: Origin, base: u64) -> Self {
        let mut cutter = Self {
            framing,
            positions,
            origin,
            batch: RawBatch::new(),
            base,
            open: 0,
            searched: 0,
            skip: Skip::Nothing,
            numbered: 0,
            cut_records: 0,
            cut_bytes: 0,
        };
        cutter.batch.origin(&cutter.origin);
        cutter
    }

    /// Where to append what was read: room for at least `bytes` more. What is there must stay.
    pub(crate) fn buffer(&mut self, bytes: usize) -> &mut Vec<u8> {
        self.batch.bytes.reserve(bytes);
        &mut self.batch.bytes
    }

    /// Cuts what was appended. Returns `false` if the batch is full of records and must be [taken](Self::take) first.
    pub(crate) fn scan(&mut self, now: Timestamp) -> bool {
        loop {
            if !self.skip_on() {
                return true;
            }
            if self.batch.records.len() >= BATCH_RECORDS_MAX {
                return false;
            }
            let open = self.batch.bytes.get(self.open..).unwrap_or_default();
            match self.framing.next(open, self.searched.saturating_sub(self.open)) {
                Next::More => {
                    self.searched = self.batch.bytes.len();
                    return true;
                }
                Next::Record { start, end, next } => self.record(now, start, end, next),
                Next::TooLong { start, rest } => {
                    let end = start + LINE_BYTES_MAX;
                    self.record(now, start, end, end);
                    self.cut_records += 1;
                    self.skip = rest;
                }
            }
        }
    }

    /// How many whole records wait to be taken.
    pub(crate) fn records(&self) -> usize {
        self.batch.records.len()
    }

    /// How many bytes are held.
    pub(crate) fn bytes(&self) -> usize {
        self.batch.bytes.len()
    }

    /// Up to where the stream was read.
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.batch.bytes.len() as u64
    }

    /// How many bytes of them are of the record that is not whole yet.
    pub(crate) fn open_bytes(&self) -> usize {
        self.batch.bytes.len() - self.open
    }

    /// The whole records so far; the open one goes on in a new buffer.
    pub(crate) fn take(&mut self) -> RawBatch {
        let open = self.batch.bytes.get(self.open..).unwrap_or_default().to_vec();
        self.batch.bytes.truncate(self.open);
        self.base += self.open as u64;
        self.searched = self.searched.saturating_sub(self.open);
        self.open = 0;
        let next = RawBatch { bytes: open, origins: vec![self.origin.clone()], records: Vec::new() };
        std::mem::replace(&mut self.batch, next)
    }

    /// Makes a record of the open one as it is and skips its rest: there is no more memory for it.
    pub(crate) fn cut_open(&mut self, now: Timestamp) {
        let open = self.batch.bytes.get(self.open..).unwrap_or_default();
        if open.is_empty() || self.skip != Skip::Nothing {
            return;
        }
        let length = open.len();
        let (start, rest) = self.framing.abandon(open);
        self.record(now, start, length, length);
        self.cut_records += 1;
        self.skip = rest;
    }

    /// The stream has ended: what is open is a record.
    pub(crate) fn finish(&mut self, now: Timestamp) {
        let open = self.batch.bytes.get(self.open..).unwrap_or_default();
        if !open.is_empty() && self.skip == Skip::Nothing {
            let length = open.len();
            let (start, _) = self.framing.abandon(open);
            self.record(now, start, length, length);
        }
    }

    /// How many records lost their end since the last call, and how many bytes that were.
    pub(crate) fn take_cut(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.cut_records), std::mem::take(&mut self.cut_bytes))
    }

    /// Skips what must be skipped. Returns whether the buffer goes on behind it.
    fn skip_on(&mut self) -> bool {
        let open = self.batch.bytes.get(self.open..).unwrap_or_default();
        let (gone, done) = match self.skip {
            Skip::Nothing => return true,
            Skip::Bytes(rest) => {
                let gone = rest.min(open.len() as u64);
                self.skip = if gone == rest { Skip::Nothing } else { Skip::Bytes(rest - gone) };
                self.cut_bytes += gone;
                (gone as usize, gone == rest)
            }
            Skip::ToDelimiter => match self.framing.delimiter(open) {
                Some(index) => {
                    self.skip = Skip::Nothing;
                    self.cut_bytes += index as u64;
                    (index + 1, true)
                }
                None => {
                    self.cut_bytes += open.len() as u64;
                    (open.len(), false)
                }
            },
        };
        if done {
            self.open += gone;
            self.searched = self.open;
        } else {
            // Nothing of it is wanted, however long it goes on.
            self.batch.bytes.truncate(self.open);
            self.base += gone as u64;
            self.searched = self.open;
        }
        done
    }

    /// Adds the open record's bytes `start..end` and goes on at `next`; all relative to where it began.
    fn record(&mut self, now: Timestamp, start: usize, end: usize, next: usize) {
        let begin = self.open;
        self.open = begin + next;
        self.searched = self.open;
        self.numbered += 1;
        let mut text = self.batch.bytes.get(begin + start..begin + end).unwrap_or_default();
        let mut offset = begin + start;
        if self.base + offset as u64 == 0
            && let Some(rest) = text.strip_prefix(b"\xef\xbb\xbf")
        {
            // A byte order mark belongs to the stream, not to its first record.
            (text, offset) = (rest, offset + 3);
        }
        while let [rest @ .., last] = text
            && F::is_trailer(*last)
        {
            text = rest;
        }
        if text.trim_ascii().is_empty() {
            return;
        }
        let length = text.len().min(LINE_BYTES_MAX);
        if text.len() > length {
            self.cut_records += 1;
            self.cut_bytes += (text.len() - length) as u64;
        }
        let position = match self.positions {
            Positions::Numbers => self.numbered,
            Positions::Offsets => self.base + self.open as u64,
        };
        self.batch.records.push(RawRecord {
            offset: offset as u32,
            length: length as u32,
            origin: 0,
            received_at: now,
            position,
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::framing::{Lines, Syslog};

    const NOW: Timestamp = Timestamp(1);

    fn feed<F: Framing>(cutter: &mut Cutter<F>, bytes: &[u8]) -> Vec<RawBatch> {
        let mut batches = Vec::new();
        cutter.buffer(bytes.len()).extend_from_slice(bytes);
        while !cutter.scan(NOW) {
            batches.push(cutter.take());
        }
        batches
    }

    fn records(batches: &[RawBatch]) -> Vec<(String, u64)> {
        let of = |batch: &RawBatch| -> Vec<_> {
            let text = |it| String::from_utf8_lossy(batch.bytes_of(it)).into_owned();
            batch.records.iter().map(|it| (text(it), it.position)).collect()
        };
        batches.iter().flat_map(of).collect()
    }

    fn cut<F: Framing>(framing: F, positions: Positions, chunks: &[&[u8]]) -> Vec<(String, u64)> {
        let mut cutter = Cutter::new(framing, positions, Origin::default(), 0);
        let mut batches = Vec::new();
        for chunk in chunks {
            batches.extend(feed(&mut cutter, chunk));
            batches.push(cutter.take());
        }
        cutter.finish(NOW);
        batches.push(cutter.take());
        records(&batches)
    }

    fn expect(items: &[(&str, u64)]) -> Vec<(String, u64)> {
        items.iter().map(|(text, position)| ((*text).to_owned(), *position)).collect()
    }

    #[test]
    fn lines_come_out_with_their_numbers_or_offsets() {
        let chunks: &[&[u8]] = &[b"\xef\xbb\xbfone\r\n\r", b"\ntw", b"o\nthree"];
        assert_eq!(cut(Lines, Positions::Numbers, chunks), expect(&[("one", 1), ("two", 3), ("three", 4)]));
        assert_eq!(cut(Lines, Positions::Offsets, chunks), expect(&[("one", 8), ("two", 14), ("three", 19)]));
    }

    #[test]
    fn counted_and_delimited_messages_mix() {
        let chunks: &[&[u8]] = &[b"6 <1>a\nb\n<2>c\r\n6 <", b"3>d\ne<4>f\0", b"99 <5>unfinished"];
        let expected = expect(&[("<1>a\nb", 1), ("<2>c", 3), ("<3>d\ne", 4), ("<4>f", 5), ("<5>unfinished", 6)]);
        assert_eq!(cut(Syslog, Positions::Numbers, chunks), expected);
    }

    #[test]
    fn an_overlong_line_is_cut_and_its_rest_is_counted() {
        let mut cutter = Cutter::new(Lines, Positions::Offsets, Origin::default(), 0);
        let mut batches = Vec::new();
        for _ in 0..5 {
            batches.extend(feed(&mut cutter, &vec![b'x'; LINE_BYTES_MAX / 2]));
            assert!(cutter.bytes() <= LINE_BYTES_MAX * 2, "the rest is not kept");
        }
        batches.extend(feed(&mut cutter, b"end\nnext\n"));
        batches.push(cutter.take());
        let records = records(&batches);
        let lengths: Vec<_> = records.iter().map(|(text, _)| text.len()).collect();
        assert_eq!(lengths, [LINE_BYTES_MAX, 4]);
        assert_eq!(records.last().unwrap().1, LINE_BYTES_MAX as u64 / 2 * 5 + 9);
        assert_eq!(cutter.take_cut(), (1, LINE_BYTES_MAX as u64 / 2 * 3 + 3));
    }

    #[test]
    fn an_overlong_line_that_arrives_at_once_is_cut_too() {
        let mut cutter = Cutter::new(Lines, Positions::Numbers, Origin::default(), 0);
        let text = [vec![b'x'; LINE_BYTES_MAX + 7], b"\nnext\n".to_vec()].concat();
        let mut batches = feed(&mut cutter, &text);
        batches.push(cutter.take());
        assert_eq!(records(&batches).iter().map(|it| it.0.len()).collect::<Vec<_>>(), [LINE_BYTES_MAX, 4]);
        assert_eq!(cutter.take_cut(), (1, 7));
    }

    #[test]
    fn an_overlong_counted_message_does_not_lose_the_next() {
        let mut cutter = Cutter::new(Syslog, Positions::Numbers, Origin::default(), 0);
        let text = [b"2000000 <".to_vec(), vec![b'\n'; 1_999_999], b"4 <1>a".to_vec()].concat();
        let mut batches = Vec::new();
        for chunk in text.chunks(100_000) {
            batches.extend(feed(&mut cutter, chunk));
        }
        batches.push(cutter.take());
        let records = records(&batches);
        assert_eq!(records.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["<", "<1>a"]);
        assert_eq!(cutter.take_cut().0, 1);
    }

    #[test]
    fn a_batch_is_full_at_its_limit_and_nothing_is_lost() {
        let mut cutter = Cutter::new(Lines, Positions::Numbers, Origin::default(), 0);
        let mut batches = feed(&mut cutter, &b"a\n".repeat(BATCH_RECORDS_MAX + 5));
        assert_eq!(batches.len(), 1);
        batches.push(cutter.take());
        assert_eq!(batches.iter().map(|it| it.records.len()).collect::<Vec<_>>(), [BATCH_RECORDS_MAX, 5]);
        assert_eq!(records(&batches).last().unwrap().1, BATCH_RECORDS_MAX as u64 + 5);
    }

    #[test]
    fn an_open_line_can_be_cut_for_want_of_memory() {
        let mut cutter = Cutter::new(Lines, Positions::Numbers, Origin::default(), 0);
        feed(&mut cutter, b"whole\nopen li");
        cutter.cut_open(NOW);
        cutter.cut_open(NOW);
        feed(&mut cutter, b"ne goes on");
        feed(&mut cutter, b" here\nnext\n");
        assert_eq!(records(&[cutter.take()]), expect(&[("whole", 1), ("open li", 2), ("next", 3)]));
        assert_eq!(cutter.take_cut(), (1, 15));
    }

    proptest! {
        #[test]
        fn the_records_do_not_depend_on_how_the_bytes_arrive(
            text in proptest::collection::vec(prop_oneof![
                Just(b'\n'), Just(b'\r'), Just(0), Just(b' '), Just(b'<'), Just(b'1'), Just(b'3'), any::<u8>()
            ], 0..200),
            splits in proptest::collection::vec(0_usize..200, 0..8),
        ) {
            let mut splits: Vec<usize> = splits.into_iter().filter(|it| *it < text.len()).collect();
            splits.extend([0, text.len()]);
            splits.sort_unstable();
            let chunks: Vec<&[u8]> = splits.windows(2).map(|it| &text[it[0]..it[1]]).collect();
            for positions in [Positions::Numbers, Positions::Offsets] {
                prop_assert_eq!(cut(Lines, positions, &chunks), cut(Lines, positions, &[&text]));
                prop_assert_eq!(cut(Syslog, positions, &chunks), cut(Syslog, positions, &[&text]));
            }
        }
    }
}
