//! What tests of the store share.

use std::sync::Arc;

use panoptes_model::{EventBatch, FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp};
use panoptes_seal::KeyEncryptionKey;

use super::{Store, StoreError, StoreOptions};
use crate::disk::SimDisk;
use crate::log::Recovery;

pub(crate) const DAY: i64 = 86_400 * Timestamp::NANOS_PER_SECOND;

pub(crate) fn key() -> KeyEncryptionKey {
    KeyEncryptionKey::from_bytes([5; 32])
}

pub(crate) fn frame(id: FrameId, texts: &[String]) -> LogFrame {
    let mut records = RawBatch::new();
    let origin = records.origin(&Origin { source: "s".into(), input: "tcp".into(), ..Origin::default() });
    for (n, text) in texts.iter().enumerate() {
        records.push(origin, Timestamp(id.0 as i64), n as u64 + 1, text.as_bytes());
    }
    LogFrame { id, now: Timestamp(i64::MAX), rules_epoch: 0, snapshots_epoch: 0, records }
}

/// Stands in for `prepare`: every record is an event, some days apart.
pub(crate) fn prepared(frame: &LogFrame) -> Arc<EventBatch> {
    prepared_at(frame, |n| Timestamp((frame.id.0 as i64 + n as i64) % 3 * DAY))
}

/// The same with the time that each record of the frame has by its number.
pub(crate) fn prepared_at(frame: &LogFrame, time: impl Fn(usize) -> Timestamp) -> Arc<EventBatch> {
    let text = String::from_utf8(frame.records.bytes.clone()).unwrap();
    let schema = Arc::new(Schema::ecs());
    Arc::new(EventBatch::build(schema, frame.id, frame.now, frame.records.origins.clone(), text, |writer| {
        for (n, record) in frame.records.records.iter().enumerate() {
            let original = std::str::from_utf8(frame.records.bytes_of(record)).unwrap();
            writer.begin(original, 0, record.received_at, record.position);
            writer.time(time(n));
        }
    }))
}

pub(crate) fn open(disk: &SimDisk) -> Result<(Store, Recovery), StoreError> {
    Store::open_on(Arc::new(disk.clone()), &key(), None, StoreOptions::default())
}
