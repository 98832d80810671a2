//! What intake hands on: bytes that came in together, cut into records, each with where it is from.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{FrameId, Timestamp};

/// Where records come from. Few per batch: one for a file, one per peer for a datagram socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The input that took them in, as its file in `intake` is named: `http`, `tcp`, `syslog_udp`, `file`…
    pub input: String,
    /// The stream as an operator calls it and metrics count it: a path, an input's name, `import --source`.
    pub source: String,
    /// Who sent them, for inputs that listen. What a record claims about its host is a separate matter.
    pub peer: Option<IpAddr>,
    /// The file they were read from.
    pub path: Option<String>,
    /// Which file that was, whatever its name is by now: what `intake` recognises it by after a rotation or a
    /// restart. With [`RawRecord::position`] it makes a committed batch enough to resume from.
    pub identity: Option<String>,
    /// The format that the configuration fixed for this source; `None` lets content decide.
    pub format: Option<String>,
    /// The time zone (IANA name or `+02:00`) of times without one; `None` means UTC.
    pub time_zone: Option<String>,
}

/// One record: a slice of its batch's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawRecord {
    pub offset: u32,
    pub length: u32,
    /// Index into [`RawBatch::origins`].
    pub origin: u32,
    pub received_at: Timestamp,
    /// Where the record *ends* in its source: byte offset after it in a file (so that reading can resume there),
    /// 1-based number in a request or connection.
    pub position: u64,
}

/// The length that intake cuts longer records to. A record of exactly this length has lost its end
/// ([`Anomaly::LineTooLong`](crate::Anomaly)); whole ones are shorter.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// How much text a batch may hold; offsets stay well inside `u32`. A producer starts a new batch before this.
pub const BATCH_BYTES_MAX: usize = 16 << 20;
/// How many records a batch may hold.
pub const BATCH_RECORDS_MAX: usize = 65_536;

/// Records that travel together through every queue. Owns its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawBatch {
    pub bytes: Vec<u8>,
    pub origins: Vec<Origin>,
    pub records: Vec<RawRecord>,
}

impl RawBatch {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether a record of `length` bytes still fits; if not, hand this batch on and begin another.
    pub fn has_room_for(&self, length: usize) -> bool {
        self.records.len() < BATCH_RECORDS_MAX && self.bytes.len() + length <= BATCH_BYTES_MAX
    }

    /// The index of `origin`, added if it is new.
    pub fn origin(&mut self, origin: &Origin) -> u32 {
        // The newest first: records of one origin come in runs.
        match self.origins.iter().rposition(|it| it == origin) {
            Some(index) => index as u32,
            None => {
                self.origins.push(origin.clone());
                (self.origins.len() - 1) as u32
            }
        }
    }

    /// Appends one record (a copy of `bytes`). The caller has asked [`has_room_for`](Self::has_room_for); a record
    /// larger than a whole batch is the caller's to cut or reject.
    pub fn push(&mut self, origin: u32, received_at: Timestamp, position: u64, bytes: &[u8]) {
        debug_assert!(bytes.len() <= BATCH_BYTES_MAX, "record larger than a batch");
        let offset = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        self.records.push(RawRecord { offset, length: bytes.len() as u32, origin, received_at, position });
    }

    /// Moves all records of `other` behind those of `self`. The caller has checked that they fit.
    pub fn append(&mut self, other: &Self) {
        let base = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&other.bytes);
        let origins: Vec<u32> = other.origins.iter().map(|it| self.origin(it)).collect();
        self.records.extend(other.records.iter().map(|record| RawRecord {
            offset: base + record.offset,
            origin: origins.get(record.origin as usize).copied().unwrap_or(0),
            ..*record
        }));
    }

    /// The bytes of `record`; empty if the record does not belong to this batch.
    pub fn bytes_of(&self, record: &RawRecord) -> &[u8] {
        let start = record.offset as usize;
        self.bytes.get(start..start + record.length as usize).unwrap_or_default()
    }

    /// Where `record` is from.
    pub fn origin_of(&self, record: &RawRecord) -> Option<&Origin> {
        self.origins.get(record.origin as usize)
    }

    /// The last position of each origin: what an input resumes from once this batch is durable.
    pub fn positions(&self) -> Vec<(&Origin, u64)> {
        let mut last: Vec<Option<u64>> = vec![None; self.origins.len()];
        for record in &self.records {
            if let Some(slot) = last.get_mut(record.origin as usize) {
                *slot = Some(record.position);
            }
        }
        self.origins.iter().zip(last).filter_map(|(origin, position)| Some((origin, position?))).collect()
    }
}

/// One frame of the write-ahead log: one input of `fold`. Durable before anything is derived from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogFrame {
    pub id: FrameId,
    /// The clock when the frame was committed: the only time that the pure middle knows.
    pub now: Timestamp,
    /// Which rule set and which enrichment snapshots were in force.
    pub rules_epoch: u64,
    pub snapshots_epoch: u64,
    pub records: RawBatch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appended_batches_keep_bytes_and_origins() {
        let named = |source: &str| Origin { source: source.to_owned(), ..Origin::default() };
        let mut left = RawBatch::new();
        let a = left.origin(&named("a"));
        left.push(a, Timestamp(1), 1, b"one");
        let mut right = RawBatch::new();
        let b = right.origin(&named("b"));
        let a = right.origin(&named("a"));
        right.push(b, Timestamp(2), 1, b"two");
        right.push(a, Timestamp(3), 2, b"three");
        left.append(&right);
        let seen: Vec<_> =
            left.records.iter().map(|it| (left.origin_of(it).unwrap().source.as_str(), left.bytes_of(it))).collect();
        assert_eq!(seen, [("a", &b"one"[..]), ("b", b"two"), ("a", b"three")]);
        assert_eq!(
            left.positions().iter().map(|(o, p)| (o.source.as_str(), *p)).collect::<Vec<_>>(),
            [("a", 2), ("b", 1)]
        );
    }

    #[test]
    fn a_record_of_another_batch_reads_as_empty() {
        let record = RawRecord { offset: 5, length: 9, origin: 3, received_at: Timestamp(0), position: 0 };
        assert_eq!(RawBatch::new().bytes_of(&record), b"");
        assert!(RawBatch::new().origin_of(&record).is_none());
    }
}
