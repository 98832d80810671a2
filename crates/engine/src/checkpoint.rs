//! The state of a [`Fold`] as bytes, so that a restart folds only what came after.

use std::io::Write;

use panoptes_correlate::DeduplicatorState;
use panoptes_detect::Checkpoint as DetectorState;
use panoptes_model::FrameId;
use serde::{Deserialize, Serialize};

use crate::Fold;

/// Counts up with every change of what lies in a checkpoint. Another version's checkpoint is not read: the caller
/// then folds the log from the start of what it still has, with empty state.
const VERSION: u32 = 3;

#[derive(Serialize, Deserialize)]
struct Checkpoint {
    version: u32,
    through: FrameId,
    now: LaneState,
    imported: LaneState,
}

/// The state of one lane of a fold.
#[derive(Serialize, Deserialize)]
pub(crate) struct LaneState {
    pub(crate) detector: DetectorState,
    pub(crate) deduplicator: DeduplicatorState,
}

/// Why a checkpoint could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    #[error("the checkpoint of the detection state is damaged")]
    Damaged(#[source] postcard::Error),
    #[error("the checkpoint of the detection state has version {found}; this program reads version {VERSION}")]
    VersionUnknown { found: u32 },
    #[error("the detection state could not be written down")]
    Unwritable(#[source] postcard::Error),
}

impl Fold {
    /// The whole state after the last folded frame.
    pub fn checkpoint(&self) -> Result<Vec<u8>, CheckpointError> {
        let mut bytes = Vec::new();
        self.checkpoint_into(&mut bytes)?;
        Ok(bytes)
    }

    /// The same, written piece by piece: it may be as large as the state in memory.
    pub fn checkpoint_into(&self, out: &mut dyn Write) -> Result<(), CheckpointError> {
        let checkpoint = Checkpoint {
            version: VERSION,
            through: self.through,
            now: self.now.state(),
            imported: self.imported.state(),
        };
        postcard::to_io(&checkpoint, out).map_err(CheckpointError::Unwritable)?;
        Ok(())
    }

    /// Takes up the state that [`checkpoint`](Self::checkpoint) wrote. State of rules that are gone or changed is
    /// dropped.
    ///
    /// # Errors
    /// The bytes are no checkpoint of this version; the fold stays as it was.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), CheckpointError> {
        let (version, _) = postcard::take_from_bytes::<u32>(bytes).map_err(CheckpointError::Damaged)?;
        if version != VERSION {
            return Err(CheckpointError::VersionUnknown { found: version });
        }
        let checkpoint: Checkpoint = postcard::from_bytes(bytes).map_err(CheckpointError::Damaged)?;
        debug_assert_eq!(checkpoint.version, VERSION, "read above");
        self.now.restore(checkpoint.now);
        self.imported.restore(checkpoint.imported);
        self.through = checkpoint.through;
        Ok(())
    }
}
