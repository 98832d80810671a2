//! Where the records of a whole text end up.

use memchr::memchr_iter;
use panoptes_model::{Origin, RawBatch, Timestamp};

use crate::audit;
use crate::budget::Lease;
use crate::counters::RejectReason;
use crate::cutter::Positions;
use crate::limits::{LINE_BYTES_MAX, REJECTED_LISTED_MAX};
use crate::text::looks_binary;

/// Where a record was found: its line, from 1, and the bytes before it and up to behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) line: u64,
    pub(crate) offset: u64,
    pub(crate) end: u64,
}

/// A record that was refused, as its sender is told.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Rejected {
    pub(crate) record: u64,
    pub(crate) line: u64,
    pub(crate) offset: u64,
    pub(crate) reason: String,
}

/// Why nothing of a text can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    RecordsTooMany,
    TextTooLarge,
    /// The shared memory is used up for now.
    Busy,
}

/// What a text may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CollectorLimits {
    pub(crate) records_max: usize,
    pub(crate) bytes_max: usize,
}

/// Collects records into batches and remembers what was rejected.
pub(crate) struct Collector<'l> {
    origin: Origin,
    now: Timestamp,
    positions: Positions,
    limits: CollectorLimits,
    /// The shared memory that the batches are booked on.
    lease: Option<&'l mut Lease>,
    leased: usize,
    batches: Vec<RawBatch>,
    bytes: usize,
    records: u64,
    rejected: Vec<Rejected>,
    rejected_counts: [u64; RejectReason::ALL.len()],
}

impl<'l> Collector<'l> {
    pub(crate) fn new(
        origin: Origin,
        now: Timestamp,
        positions: Positions,
        limits: CollectorLimits,
        lease: Option<&'l mut Lease>,
    ) -> Self {
        Self {
            origin,
            now,
            positions,
            limits,
            lease,
            leased: 0,
            batches: Vec::new(),
            bytes: 0,
            records: 0,
            rejected: Vec::new(),
            rejected_counts: [0; RejectReason::ALL.len()],
        }
    }

    /// The format that the configuration fixed for the source.
    pub(crate) fn format(&self) -> Option<&str> {
        self.origin.format.as_deref()
    }

    /// Takes one record, or rejects it for what it is.
    pub(crate) fn accept(&mut self, text: &[u8], at: At) -> Result<(), Stop> {
        if text.len() >= LINE_BYTES_MAX {
            let reason = format!("the record has {} bytes, {LINE_BYTES_MAX} or more", text.len());
            return self.reject(RejectReason::TooLong, at, reason);
        }
        if looks_binary(text) {
            return self.reject(RejectReason::Binary, at, "the record is not text: send UTF-8".to_owned());
        }
        self.count()?;
        self.bytes += text.len();
        if self.bytes > self.limits.bytes_max {
            return Err(Stop::TextTooLarge);
        }
        self.book(text.len())?;
        let position = match self.positions {
            Positions::Numbers => self.records,
            Positions::Offsets => at.end,
        };
        if self.batches.last().is_none_or(|it| !it.has_room_for(text.len())) {
            self.batches.push(RawBatch::new());
        }
        if let Some(batch) = self.batches.last_mut() {
            let origin = batch.origin(&self.origin);
            batch.push(origin, self.now, position, text);
        }
        Ok(())
    }

    /// Refuses one record.
    pub(crate) fn reject(&mut self, reason: RejectReason, at: At, text: String) -> Result<(), Stop> {
        self.count()?;
        if let Some(count) = self.rejected_counts.get_mut(reason as usize) {
            *count += 1;
        }
        if self.rejected.len() < REJECTED_LISTED_MAX {
            self.rejected.push(Rejected { record: self.records, line: at.line, offset: at.offset, reason: text });
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Stop> {
        if self.records >= self.limits.records_max as u64 {
            return Err(Stop::RecordsTooMany);
        }
        self.records += 1;
        Ok(())
    }

    /// Books memory in steps, so that small records do not contend for the shared counter.
    fn book(&mut self, text: usize) -> Result<(), Stop> {
        const STEP: usize = 256 << 10;
        const RECORD: usize = size_of::<panoptes_model::RawRecord>();
        let needed = self.bytes + self.records as usize * RECORD;
        if let Some(lease) = &mut self.lease
            && needed > self.leased
        {
            let more = STEP.max(text + RECORD);
            if !lease.grow(more) {
                return Err(Stop::Busy);
            }
            self.leased += more;
        }
        Ok(())
    }

    /// How much text was taken.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn finish(mut self) -> Collected {
        for batch in &mut self.batches {
            let lines = batch.records.len();
            audit::join(batch, 0);
            self.records -= (lines - batch.records.len()) as u64;
        }
        let counts = RejectReason::ALL.into_iter().zip(self.rejected_counts).filter(|(_, n)| *n > 0).collect();
        Collected { batches: self.batches, records: self.records, rejected: self.rejected, rejected_counts: counts }
    }
}

/// What a text held.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) batches: Vec<RawBatch>,
    /// All of them, the rejected too.
    pub(crate) records: u64,
    /// The first [`REJECTED_LISTED_MAX`].
    pub(crate) rejected: Vec<Rejected>,
    pub(crate) rejected_counts: Vec<(RejectReason, u64)>,
}

impl Collected {
    pub(crate) fn rejected_total(&self) -> u64 {
        self.rejected_counts.iter().map(|(_, n)| n).sum()
    }
}

/// Tells the line of offsets that only grow.
pub(crate) struct LineCount<'t> {
    text: &'t [u8],
    offset: usize,
    line: u64,
}

impl<'t> LineCount<'t> {
    pub(crate) fn new(text: &'t [u8]) -> Self {
        Self { text, offset: 0, line: 1 }
    }

    pub(crate) fn at(&mut self, offset: usize) -> u64 {
        let passed = self.text.get(self.offset..offset).unwrap_or_default();
        self.line += memchr_iter(b'\n', passed).count() as u64;
        self.offset = self.offset.max(offset);
        self.line
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::budget::Budget;

    pub(crate) const ROOMY: CollectorLimits = CollectorLimits { records_max: 1_000, bytes_max: 64 << 20 };

    pub(crate) fn collector() -> Collector<'static> {
        Collector::new(Origin::default(), Timestamp(1), Positions::Numbers, ROOMY, None)
    }

    impl Collected {
        pub(crate) fn texts(&self) -> Vec<String> {
            let of = |batch: &RawBatch| -> Vec<String> {
                batch.records.iter().map(|it| String::from_utf8_lossy(batch.bytes_of(it)).into_owned()).collect()
            };
            self.batches.iter().flat_map(of).collect()
        }
    }

    const AT: At = At { line: 3, offset: 10, end: 20 };

    #[test]
    fn records_that_are_too_long_or_not_text_are_rejected_with_their_place() {
        let mut out = collector();
        out.accept(b"good", AT).unwrap();
        out.accept(&vec![b'x'; LINE_BYTES_MAX], AT).unwrap();
        out.accept(b"\0\x01\x02\x03", AT).unwrap();
        let collected = out.finish();
        assert_eq!((collected.texts(), collected.records), (vec!["good".to_owned()], 3));
        assert_eq!(collected.rejected_counts, [(RejectReason::Binary, 1), (RejectReason::TooLong, 1)]);
        let places: Vec<_> = collected.rejected.iter().map(|it| (it.record, it.line, it.offset)).collect();
        assert_eq!(places, [(2, 3, 10), (3, 3, 10)]);
    }

    #[test]
    fn the_list_of_rejected_records_is_capped_but_all_are_counted() {
        let mut out = collector();
        for _ in 0..REJECTED_LISTED_MAX + 5 {
            out.reject(RejectReason::Malformed, AT, String::new()).unwrap();
        }
        let collected = out.finish();
        assert_eq!(collected.rejected.len(), REJECTED_LISTED_MAX);
        assert_eq!(collected.rejected_total(), REJECTED_LISTED_MAX as u64 + 5);
    }

    #[test]
    fn each_limit_stops_with_its_name() {
        let limits = CollectorLimits { records_max: 2, bytes_max: 10 };
        let new = |lease| Collector::new(Origin::default(), Timestamp(1), Positions::Numbers, limits, lease);
        let mut out = new(None);
        out.accept(b"a", AT).unwrap();
        out.reject(RejectReason::Malformed, AT, String::new()).unwrap();
        assert_eq!(out.accept(b"b", AT), Err(Stop::RecordsTooMany));
        assert_eq!(new(None).accept(b"more than ten", AT), Err(Stop::TextTooLarge));
        let mut lease = Budget::new(100).lease();
        assert_eq!(new(Some(&mut lease)).accept(b"a", AT), Err(Stop::Busy));
    }

    #[test]
    fn a_batch_that_is_full_is_followed_by_another() {
        let mut out = Collector::new(
            Origin::default(),
            Timestamp(1),
            Positions::Numbers,
            CollectorLimits { records_max: 1_000_000, bytes_max: 1 << 30 },
            None,
        );
        for _ in 0..panoptes_model::BATCH_RECORDS_MAX + 1 {
            out.accept(b"x", AT).unwrap();
        }
        let collected = out.finish();
        assert_eq!(collected.batches.iter().map(|it| it.records.len()).collect::<Vec<_>>(), [65_536, 1]);
    }
}
