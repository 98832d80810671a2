//! Where the hub's tests lie, and their lines as events.

use std::path::PathBuf;
use std::sync::Arc;

use panoptes_model::{EventBatch, FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp};
use panoptes_normalize::Normalizer;

/// The clock of the score, later than every line: the end of 2028, so that a date without a year may be a leap day.
const RECEIVED_AT: Timestamp = Timestamp(1_861_833_600 * Timestamp::NANOS_PER_SECOND);

/// Beside the repository, or where `PANOPTES_CORPORA` says.
pub(crate) fn folder() -> PathBuf {
    let root = std::env::var_os("PANOPTES_CORPORA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora")), PathBuf::from);
    root.join("crowdsec-hub/tests")
}

/// The text of a file, `None` if there is none.
pub(crate) fn read(path: &str) -> Option<String> {
    let bytes = std::fs::read(folder().join(path)).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The lines as one source.
pub(crate) fn normalize(path: &str, lines: &[&str]) -> EventBatch {
    let mut records = RawBatch::new();
    let origin = records.origin(&Origin { source: path.into(), path: Some(path.into()), ..Origin::default() });
    for (index, line) in lines.iter().enumerate() {
        assert!(records.has_room_for(line.len()), "{path} does not fit into one frame");
        records.push(origin, RECEIVED_AT, index as u64 + 1, line.as_bytes());
    }
    let frame = LogFrame { id: FrameId(1), now: RECEIVED_AT, rules_epoch: 0, snapshots_epoch: 0, records };
    Normalizer::default().normalize(&Arc::new(Schema::ecs()), frame)
}
