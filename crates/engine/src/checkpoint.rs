//! The state of a [`Fold`] as bytes, so that a restart folds only what came after.

use std::io::{self, Write};

use panoptes_correlate::DeduplicatorState;
use panoptes_detect::Checkpoint as DetectorState;
use panoptes_model::FrameId;
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

use crate::Fold;

/// Counts up with every change of what lies in a checkpoint. Another version's checkpoint is not read: the caller
/// then folds the log from the start of what it still has, with empty state.
const VERSION: u32 = 3;

/// How much is put together before it is written.
const PIECE_BYTES: usize = 64 << 10;

#[derive(Serialize, Deserialize)]
struct Checkpoint<N, I> {
    version: u32,
    through: FrameId,
    now: N,
    imported: I,
}

/// The state of one lane of a fold: as it is read, or borrowed to be written.
#[derive(Serialize, Deserialize)]
pub(crate) struct LaneState<S = DetectorState, D = DeduplicatorState> {
    pub(crate) detector: S,
    pub(crate) deduplicator: D,
}

/// Takes in the single bytes of an encoding and writes them in pieces.
struct Pieces<'o> {
    out: &'o mut dyn Write,
    piece: Vec<u8>,
    error: Option<io::Error>,
}

impl Pieces<'_> {
    fn write(&mut self) -> postcard::Result<()> {
        let written = self.out.write_all(&self.piece);
        self.piece.clear();
        written.map_err(|error| {
            self.error = Some(error);
            postcard::Error::SerializeBufferFull
        })
    }
}

impl Flavor for &mut Pieces<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.piece.push(byte);
        if self.piece.len() < PIECE_BYTES { Ok(()) } else { self.write() }
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() < PIECE_BYTES { Ok(()) } else { self.write() }
    }

    fn finalize(self) -> postcard::Result<()> {
        self.write()
    }
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
    Unwritable(#[source] io::Error),
}

impl Fold {
    /// The whole state after the last folded frame.
    pub fn checkpoint(&self) -> Result<Vec<u8>, CheckpointError> {
        let mut bytes = Vec::new();
        self.checkpoint_into(&mut bytes)?;
        Ok(bytes)
    }

    /// The same, written piece by piece and without a copy of the state: it may be as large as that.
    pub fn checkpoint_into(&self, out: &mut dyn Write) -> Result<(), CheckpointError> {
        let checkpoint = Checkpoint {
            version: VERSION,
            through: self.through,
            now: self.now.state(),
            imported: self.imported.state(),
        };
        let mut pieces = Pieces { out, piece: Vec::with_capacity(PIECE_BYTES), error: None };
        postcard::serialize_with_flavor(&checkpoint, &mut pieces).map_err(|error| {
            CheckpointError::Unwritable(pieces.error.take().unwrap_or_else(|| io::Error::other(error)))
        })
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
        let checkpoint: Checkpoint<LaneState, LaneState> =
            postcard::from_bytes(bytes).map_err(CheckpointError::Damaged)?;
        debug_assert_eq!(checkpoint.version, VERSION, "read above");
        self.now.restore(checkpoint.now);
        self.imported.restore(checkpoint.imported);
        self.through = checkpoint.through;
        Ok(())
    }
}
