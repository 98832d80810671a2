//! Where the public corpora lie: beside the repository, or where `PANOPTES_CORPORA` says.

use std::path::PathBuf;
use std::sync::Arc;

use panoptes_model::{EventBatch, FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp};
use panoptes_normalize::Normalizer;

/// Their folder, whether it is there or not.
pub(crate) fn root() -> PathBuf {
    std::env::var_os("PANOPTES_CORPORA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora")), PathBuf::from)
}

/// The text of a file of the corpora; `None` (after saying so) if there are none here. CI must have them.
#[expect(clippy::print_stdout, reason = "a test that is skipped must say so")]
pub(crate) fn read(path: &str) -> Option<String> {
    let path = root().join(path);
    match std::fs::read(&path) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{}: {error}", path.display());
            println!("skipped: {} cannot be read ({error})", path.display());
            None
        }
    }
}

/// The lines as one source, received at 2024-01-15T12:00:00Z, as many frames as they need.
pub(crate) fn normalize(path: &str, lines: &[&str]) -> EventBatch {
    let now = Timestamp::from_seconds(1_705_320_000);
    let mut records = RawBatch::new();
    let origin = records.origin(&Origin { source: path.into(), path: Some(path.into()), ..Origin::default() });
    for (index, line) in lines.iter().enumerate() {
        assert!(records.has_room_for(line.len()), "{path} does not fit into one frame");
        records.push(origin, now, index as u64 + 1, line.as_bytes());
    }
    let frame = LogFrame { id: FrameId(1), now, rules_epoch: 0, snapshots_epoch: 0, records };
    Normalizer::default().normalize(&Arc::new(Schema::ecs()), frame)
}
