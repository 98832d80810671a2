//! Every record ends in exactly one of accepted, rejected (with a reason) and dropped (with a reason).
//!
//! Counts go out through the `metrics` facade and can be read back ([`Counters::totals`]), which is how the contract
//! tests balance the books. Install the metrics recorder before making [`Counters`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use metrics::Counter;

use panoptes_model::Origin;

use crate::limits::{SOURCE_BYTES_MAX, SOURCES_MAX};
use crate::sink::SinkError;

/// Why a record was refused: its own fault or its sender's, and the sender was told where the protocol can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RejectReason {
    /// Not text.
    Binary,
    /// Longer than a record may be.
    TooLong,
    /// Its end could not be found.
    Malformed,
    /// A whole request was larger than allowed, before or after decompression.
    BodyTooLarge,
    /// A whole request could not be decompressed or read to its end.
    BodyUnreadable,
    /// A whole request was of a type that holds no logs.
    TypeUnsupported,
    /// The queue was full and the sender was told to come back.
    Busy,
}

impl RejectReason {
    pub const ALL: [Self; 7] = [
        Self::Binary,
        Self::TooLong,
        Self::Malformed,
        Self::BodyTooLarge,
        Self::BodyUnreadable,
        Self::TypeUnsupported,
        Self::Busy,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyUnreadable => "body_unreadable",
            Self::TypeUnsupported => "type_unsupported",
            Self::Busy => "busy",
        }
    }
}

/// Why a record was lost: our fault or the machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DropReason {
    /// The queue was full and the protocol has no way to slow its sender down.
    QueueFull,
    /// The kernel's receive buffer was full.
    KernelBufferFull,
    /// The log could not be written.
    NotDurable,
    /// The pipeline had stopped.
    Stopped,
}

impl DropReason {
    pub const ALL: [Self; 4] = [Self::QueueFull, Self::KernelBufferFull, Self::NotDurable, Self::Stopped];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::KernelBufferFull => "kernel_buffer_full",
            Self::NotDurable => "not_durable",
            Self::Stopped => "stopped",
        }
    }
}

impl From<&SinkError> for DropReason {
    fn from(error: &SinkError) -> Self {
        match error {
            SinkError::Stopped => Self::Stopped,
            SinkError::NotDurable { .. } => Self::NotDurable,
        }
    }
}

/// The books of all inputs. A clone is a handle to the same books.
#[derive(Clone, Default)]
pub struct Counters(Arc<Mutex<Pages>>);

/// By input and source.
type Pages = BTreeMap<(&'static str, String), Arc<SourceCounts>>;

impl Counters {
    pub fn new() -> Self {
        Self::default()
    }

    /// The page of one source of one input; of the page `other` once there are [`SOURCES_MAX`]. Keep it: finding it
    /// takes a lock.
    pub fn source(&self, input: &'static str, source: &str) -> Arc<SourceCounts> {
        // Paths can be long; a label need only tell them apart.
        let source = source.get(..source.floor_char_boundary(SOURCE_BYTES_MAX)).unwrap_or(source);
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = pages.get(&(input, source.to_owned())) {
            return Arc::clone(known);
        }
        let source = if pages.len() < SOURCES_MAX { source } else { "other" };
        let page = pages.entry((input, source.to_owned()));
        Arc::clone(page.or_insert_with(|| Arc::new(SourceCounts::new(input, source))))
    }

    /// The page of a source that a batch names, whose input may be any text. `None` if there is no such input.
    pub fn source_of(&self, origin: &Origin) -> Option<Arc<SourceCounts>> {
        let input = crate::inputs::ALL.iter().find(|it| it.name == origin.input)?.name;
        Some(self.source(input, &origin.source))
    }

    /// A reading of every page.
    pub fn totals(&self) -> Vec<SourceTotals> {
        let pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pages.values().map(|it| it.totals()).collect()
    }
}

/// The counts of one source.
pub struct SourceCounts {
    input: &'static str,
    source: String,
    received: Count,
    accepted: Count,
    unparsed: Count,
    cut_records: Count,
    cut_bytes: Count,
    // Most reasons never occur for most sources: such series are not opened.
    rejected: [OnceLock<Count>; RejectReason::ALL.len()],
    dropped: [OnceLock<Count>; DropReason::ALL.len()],
}

impl SourceCounts {
    fn new(input: &'static str, source: &str) -> Self {
        let count = |name| Count::new(metrics::counter!(name, "source" => source.to_owned(), "input" => input));
        Self {
            input,
            source: source.to_owned(),
            received: count("panoptes_records_received_total"),
            accepted: count("panoptes_records_accepted_total"),
            unparsed: count("panoptes_records_unparsed_total"),
            cut_records: count("panoptes_records_cut_total"),
            cut_bytes: count("panoptes_bytes_cut_total"),
            rejected: Default::default(),
            dropped: Default::default(),
        }
    }

    pub fn received(&self, records: u64) {
        self.received.add(records);
    }

    pub fn accepted(&self, records: u64) {
        self.accepted.add(records);
    }

    /// Of the accepted ones: those that no format understood. Told by the pipeline, which sees them later.
    pub fn unparsed(&self, records: u64) {
        self.unparsed.add(records);
    }

    pub fn rejected(&self, reason: RejectReason, records: u64) {
        if let Some(slot) = self.rejected.get(reason as usize) {
            slot.get_or_init(|| self.with_reason("panoptes_records_rejected_total", reason.as_str())).add(records);
        }
    }

    pub fn dropped(&self, reason: DropReason, records: u64) {
        if let Some(slot) = self.dropped.get(reason as usize) {
            slot.get_or_init(|| self.with_reason("panoptes_records_dropped_total", reason.as_str())).add(records);
        }
    }

    /// Records that were too long for their input and lost their end. They are accepted all the same.
    pub fn cut(&self, records: u64, bytes: u64) {
        self.cut_records.add(records);
        self.cut_bytes.add(bytes);
    }

    /// Books `records` that were handed to the sink under what became of them.
    pub fn settle<T>(&self, result: &Result<T, SinkError>, records: u64) {
        match result {
            Ok(_) => self.accepted(records),
            Err(error) => self.dropped(error.into(), records),
        }
    }

    fn with_reason(&self, name: &'static str, reason: &'static str) -> Count {
        let source = self.source.clone();
        Count::new(metrics::counter!(name, "source" => source, "input" => self.input, "reason" => reason))
    }

    fn totals(&self) -> SourceTotals {
        let read = |slot: &OnceLock<Count>| slot.get().map_or(0, Count::read);
        let named = |slots: &[OnceLock<Count>], names: &[&'static str]| {
            names.iter().zip(slots).map(|(name, slot)| (*name, read(slot))).filter(|(_, n)| *n > 0).collect()
        };
        SourceTotals {
            input: self.input,
            source: self.source.clone(),
            received: self.received.read(),
            accepted: self.accepted.read(),
            cut: self.cut_records.read(),
            rejected: named(&self.rejected, &RejectReason::ALL.map(RejectReason::as_str)),
            dropped: named(&self.dropped, &DropReason::ALL.map(DropReason::as_str)),
        }
    }
}

/// What one source's counts read at one time.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SourceTotals {
    pub input: &'static str,
    pub source: String,
    pub received: u64,
    pub accepted: u64,
    pub cut: u64,
    pub rejected: Vec<(&'static str, u64)>,
    pub dropped: Vec<(&'static str, u64)>,
}

impl SourceTotals {
    /// Records that are received but not settled yet: none once an input has stopped.
    pub fn open(&self) -> u64 {
        let lost: u64 = self.rejected.iter().chain(&self.dropped).map(|(_, n)| n).sum();
        self.received.saturating_sub(self.accepted + lost)
    }
}

/// A metric that can be read back.
struct Count {
    value: AtomicU64,
    metric: Counter,
}

impl Count {
    fn new(metric: Counter) -> Self {
        Self { value: AtomicU64::new(0), metric }
    }

    fn add(&self, n: u64) {
        if n > 0 {
            self.value.fetch_add(n, Ordering::Relaxed);
            self.metric.increment(n);
        }
    }

    fn read(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_received_is_settled_once() {
        let counters = Counters::new();
        let page = counters.source("http", "web1");
        page.received(10);
        page.rejected(RejectReason::Binary, 1);
        page.settle(&Ok(()), 5);
        page.settle::<()>(&Err(SinkError::Stopped), 3);
        let totals = counters.totals().remove(0);
        assert_eq!((totals.accepted, totals.open()), (5, 1));
        assert_eq!((totals.rejected, totals.dropped), (vec![("binary", 1)], vec![("stopped", 3)]));
    }

    #[test]
    fn sources_beyond_the_limit_share_a_page_per_input() {
        let counters = Counters::new();
        for n in 0..SOURCES_MAX + 10 {
            counters.source("http", &format!("s{n}")).received(1);
        }
        counters.source("tcp", "t").received(1);
        counters.source("http", "s0").received(1);
        let totals = counters.totals();
        assert_eq!(totals.len(), SOURCES_MAX + 2, "one `other` for each of the two inputs");
        let read = |input, source| totals.iter().find(|it| it.input == input && it.source == source).unwrap().received;
        assert_eq!((read("http", "other"), read("tcp", "other"), read("http", "s0")), (10, 1, 2));
    }

    #[test]
    fn long_names_are_cut_between_letters() {
        let counters = Counters::new();
        counters.source("file", &"ä".repeat(SOURCE_BYTES_MAX)).received(1);
        assert_eq!(counters.totals().remove(0).source, "ä".repeat(SOURCE_BYTES_MAX / 2));
    }

    #[test]
    fn every_reason_has_its_own_place() {
        for (index, reason) in RejectReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
