//! Cuts a stream of bytes into records without copying them: the buffer that is read into becomes the batch.

use panoptes_model::{BATCH_RECORDS_MAX, Origin, RawBatch, RawRecord, Timestamp};

use crate::audit::{self, Ending};
use crate::cut::elements;
use crate::framing::{Framing, Next, Skip};
use crate::headed::{Headed, Line};
use crate::limits::{CARRIED_RECORDS_MAX, LINE_BYTES_MAX, ROWS_BYTES_MAX};

/// Offsets from here on are into the rows until the batch is taken; those into the buffer are far below.
const ROWS_BASE: u32 = 1 << 31;

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
    headed: Headed,
    /// What the rows below a header became.
    rows: Vec<u8>,
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
        let headed = Headed::new(origin.format.as_deref());
        let mut cutter = Self {
            framing,
            positions,
            origin,
            batch: RawBatch::new(),
            headed,
            rows: Vec::new(),
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

    /// Says how the stream begins that is read from its middle on.
    pub(crate) fn prime(&mut self, start: &[u8]) {
        self.headed.prime(start);
    }

    /// Where to append what was read: room for at least `bytes` more. What is there must stay.
    pub(crate) fn buffer(&mut self, bytes: usize) -> &mut Vec<u8> {
        self.batch.bytes.reserve(bytes);
        &mut self.batch.bytes
    }

    /// Cuts what was appended. Returns `false` if the batch is full and must be [taken](Self::take) first.
    pub(crate) fn scan(&mut self, now: Timestamp) -> bool {
        loop {
            if !self.skip_on() {
                return true;
            }
            if self.batch.records.len() >= BATCH_RECORDS_MAX || self.rows.len() >= ROWS_BYTES_MAX {
                return false;
            }
            let open = self.batch.bytes.get(self.open..).unwrap_or_default();
            match self.framing.next(open, self.searched.saturating_sub(self.open)) {
                Next::More => {
                    self.searched = self.batch.bytes.len();
                    return true;
                }
                Next::Record { start, end, next } => {
                    if !self.record(now, start, end, next) {
                        return false;
                    }
                }
                Next::TooLong { start, rest } => {
                    let end = start + LINE_BYTES_MAX;
                    // It has lost its end, so it carries nothing and always has its place.
                    self.record(now, start, end, end);
                    self.cut_records += 1;
                    self.skip = rest;
                }
            }
        }
    }

    /// How many whole records wait to be taken, those that are held back among them.
    pub(crate) fn records(&self) -> usize {
        self.batch.records.len()
    }

    /// How many bytes are held.
    pub(crate) fn bytes(&self) -> usize {
        self.batch.bytes.len() + self.rows.len()
    }

    /// Up to where the stream was read.
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.batch.bytes.len() as u64
    }

    /// How many bytes of them are of the record that is not whole yet.
    pub(crate) fn open_bytes(&self) -> usize {
        self.batch.bytes.len() - self.open
    }

    /// The whole records so far; the open one goes on in a new buffer, and so do those that are held back because
    /// what follows may belong to them ([`audit`]). There may be none left then.
    pub(crate) fn take(&mut self, ending: Ending) -> RawBatch {
        // Rows lie elsewhere; what is among them is no audit log.
        let ending = if self.rows.is_empty() { ending } else { Ending::Closed };
        let held_from = audit::held_from(&self.batch, 0, ending);
        let held = self.batch.records.split_off(held_from.unwrap_or(usize::MAX).min(self.batch.records.len()));
        let border = held.first().map_or(self.open, |it| it.offset as usize);
        let rest = self.batch.bytes.get(border..).unwrap_or_default().to_vec();
        self.batch.bytes.truncate(border);
        self.base += border as u64;
        self.searched = self.searched.saturating_sub(border);
        self.open = self.open.saturating_sub(border);
        let mut next = RawBatch { bytes: rest, origins: vec![self.origin.clone()], records: held };
        for record in &mut next.records {
            record.offset -= border as u32;
        }
        let mut batch = std::mem::replace(&mut self.batch, next);
        if !self.rows.is_empty() {
            place_rows(&mut batch, std::mem::take(&mut self.rows));
        }
        if held_from.is_some() {
            audit::join(&mut batch, 0);
        }
        batch
    }

    /// How many rows had no header or did not fit it, since the last call.
    pub(crate) fn take_unfit(&mut self) -> u64 {
        self.headed.take_unfit()
    }

    /// Makes a record of the open one as it is and skips its rest: there is no more memory for it.
    pub(crate) fn cut_open(&mut self, now: Timestamp) {
        let open = self.batch.bytes.get(self.open..).unwrap_or_default();
        if open.is_empty() || self.skip != Skip::Nothing {
            return;
        }
        let length = open.len();
        let (start, rest) = self.framing.abandon(open);
        self.last_record(now, start, length);
        self.cut_records += 1;
        self.skip = rest;
    }

    /// The stream has ended: what is open is a record.
    pub(crate) fn finish(&mut self, now: Timestamp) {
        let open = self.batch.bytes.get(self.open..).unwrap_or_default();
        if !open.is_empty() && self.skip == Skip::Nothing {
            let length = open.len();
            let (start, _) = self.framing.abandon(open);
            self.last_record(now, start, length);
        }
    }

    /// Makes a record of all that is there.
    fn last_record(&mut self, now: Timestamp, start: usize, length: usize) {
        if !self.record(now, start, length, length) {
            // It carries more records than the batch has room for: as one record it has its place.
            let begin = self.open;
            self.open += length;
            self.searched = self.open;
            self.numbered += 1;
            self.push(now, begin + start, length - start);
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

    /// Adds the open record's bytes `start..end` and goes on at `next`; all relative to where it began. Returns `false`
    /// and does nothing if what it carries does not fit into the batch any more.
    fn record(&mut self, now: Timestamp, start: usize, end: usize, next: usize) -> bool {
        let begin = self.open;
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
        let is_whole = text.len() < LINE_BYTES_MAX;
        let carried = if is_whole { elements(text, CARRIED_RECORDS_MAX) } else { None };
        if let Some(carried) = &carried
            && self.batch.records.len() + carried.len() > BATCH_RECORDS_MAX
        {
            return false;
        }
        self.open = begin + next;
        self.searched = self.open;
        self.numbered += 1;
        let length = text.len();
        if text.trim_ascii().is_empty() {
            return true;
        }
        if let Some(carried) = carried {
            for it in carried {
                self.push(now, offset + it.start, it.len());
            }
            return true;
        }
        match self.headed.line(text) {
            Line::Header => {}
            Line::Row(row) => {
                let start = ROWS_BASE as usize + self.rows.len();
                self.rows.extend_from_slice(row);
                let length = self.rows.len() + ROWS_BASE as usize - start;
                self.push(now, start, length);
            }
            Line::AsIs => self.push(now, offset, length),
        }
        true
    }

    fn push(&mut self, now: Timestamp, offset: usize, length: usize) {
        let kept = length.min(LINE_BYTES_MAX);
        if length > kept {
            self.cut_records += 1;
            self.cut_bytes += (length - kept) as u64;
        }
        let position = match self.positions {
            Positions::Numbers => self.numbered,
            Positions::Offsets => self.base + self.open as u64,
        };
        self.batch.records.push(RawRecord {
            offset: offset as u32,
            length: kept as u32,
            origin: 0,
            received_at: now,
            position,
        });
    }
}

/// Puts the rows' text into the batch: in place of the lines that they were, unless some line is a record still.
fn place_rows(batch: &mut RawBatch, rows: Vec<u8>) {
    let only_rows = batch.records.iter().all(|it| it.offset >= ROWS_BASE);
    let base = if only_rows { 0 } else { batch.bytes.len() as u32 };
    for record in batch.records.iter_mut().filter(|it| it.offset >= ROWS_BASE) {
        record.offset = base + (record.offset - ROWS_BASE);
    }
    if only_rows {
        batch.bytes = rows;
    } else {
        batch.bytes.extend_from_slice(&rows);
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
            batches.push(cutter.take(Ending::Closed));
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
            batches.push(cutter.take(Ending::Closed));
        }
        cutter.finish(NOW);
        batches.push(cutter.take(Ending::Closed));
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
        batches.push(cutter.take(Ending::Closed));
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
        batches.push(cutter.take(Ending::Closed));
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
        batches.push(cutter.take(Ending::Closed));
        let records = records(&batches);
        assert_eq!(records.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["<", "<1>a"]);
        assert_eq!(cutter.take_cut().0, 1);
    }

    #[test]
    fn a_batch_is_full_at_its_limit_and_nothing_is_lost() {
        let mut cutter = Cutter::new(Lines, Positions::Numbers, Origin::default(), 0);
        let mut batches = feed(&mut cutter, &b"a\n".repeat(BATCH_RECORDS_MAX + 5));
        assert_eq!(batches.len(), 1);
        batches.push(cutter.take(Ending::Closed));
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
        assert_eq!(records(&[cutter.take(Ending::Closed)]), expect(&[("whole", 1), ("open li", 2), ("next", 3)]));
        assert_eq!(cutter.take_cut(), (1, 15));
    }

    #[test]
    fn rows_and_carried_records_take_their_places_in_order() {
        let text: &[u8] = b"#fields\ta\tb\n1\t2\nx\n{\"Records\":[{\"c\":1},{\"c\":2}]}\n3\t4\n";
        let row = |a, b| format!("{{\"a\":\"{a}\",\"b\":\"{b}\"}}");
        let expected =
            [(row(1, 2), 2), ("x".into(), 3), ("{\"c\":1}".into(), 4), ("{\"c\":2}".into(), 4), (row(3, 4), 5)];
        assert_eq!(cut(Lines, Positions::Numbers, &[text]), expected);
        let (left, right) = text.split_at(20);
        assert_eq!(cut(Lines, Positions::Numbers, &[left, right]), expected);
        assert_eq!(cut(Lines, Positions::Offsets, &[&text[..16]]), [(row(1, 2), 16)], "only rows: the lines are gone");
    }

    #[test]
    fn rows_hand_a_batch_on_before_they_grow_it_much() {
        let text = format!("#fields\t{}\tb\n{}", "n".repeat(10_000), "1\t2\n".repeat(1_000));
        let mut cutter = Cutter::new(Lines, Positions::Numbers, Origin::default(), 0);
        let mut batches = feed(&mut cutter, text.as_bytes());
        batches.push(cutter.take(Ending::Closed));
        assert!(batches.len() > 9 && batches.iter().all(|it| it.bytes.len() < 2 * ROWS_BYTES_MAX));
        assert_eq!(records(&batches).len(), 1_000);
    }

    #[test]
    fn carried_records_wait_for_a_batch_that_has_room_for_all() {
        let carrier = format!("{{\"Records\":[{}{{}}]}}\n", "{},".repeat(99));
        let text = format!("{}{carrier}", "a\n".repeat(BATCH_RECORDS_MAX - 50));
        let mut cutter = Cutter::new(Lines, Positions::Numbers, Origin::default(), 0);
        let mut batches = feed(&mut cutter, text.as_bytes());
        batches.push(cutter.take(Ending::Closed));
        let lengths: Vec<_> = batches.iter().map(|it| it.records.len()).collect();
        assert_eq!(lengths, [BATCH_RECORDS_MAX - 50, 100]);
        let mut cutter = Cutter::new(Lines, Positions::Numbers, Origin::default(), 0);
        feed(&mut cutter, text.trim_end().as_bytes());
        cutter.finish(NOW);
        assert_eq!(
            cutter.take(Ending::Closed).records.len(),
            BATCH_RECORDS_MAX - 49,
            "at the end of the stream it is one record"
        );
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
