//! What the manifest says of one segment.

use panoptes_model::{FrameId, Timestamp};
use panoptes_seal::KeyId;

use super::RowsDigest;

/// How many different values of one field are listed; with more the list says nothing ([`Kinds::Unknown`]).
pub const KINDS_MAX: usize = 32;
/// How long a listed value may be, in bytes; with a longer one the list says nothing.
pub const KIND_BYTES_MAX: usize = 128;

/// One immutable file of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Its path in the data folder.
    pub file: String,
    /// The UTC day of its events, as days since the epoch.
    pub day: i32,
    pub rows: u64,
    pub time_min: Timestamp,
    pub time_max: Timestamp,
    /// The frames of the log that its events came in.
    pub frame_first: FrameId,
    pub frame_last: FrameId,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file as it lies on disk, sealed: [`digest`](super::digest).
    pub digest: [u8; 32],
    /// What its events are, however they are spread over files. `None` in entries of version 1.
    pub rows_digest: Option<RowsDigest>,
    /// The file of its words, which lies beside it ([`sidecar_of`]).
    pub words: Option<Sidecar>,
    /// Which values `panoptes.source` has.
    pub sources: Kinds,
    /// Which values `event.dataset` has.
    pub datasets: Kinds,
    /// Which policy of retention its events fell under when it was written; empty: none.
    pub class: String,
    /// Which key-encryption key wraps the data key of the file. `None` in entries of version 1.
    pub key: Option<KeyId>,
}

impl Segment {
    /// Path of the file of its words, whether there is one or not.
    pub fn words_file(&self) -> String {
        sidecar_of(&self.file)
    }

    /// Its files.
    pub fn files(&self) -> impl Iterator<Item = String> {
        let words = self.words.as_ref().map(|_| self.words_file());
        std::iter::once(self.file.clone()).chain(words)
    }

    /// All that it takes on the disk.
    pub fn bytes_on_disk(&self) -> u64 {
        self.bytes.saturating_add(self.words.as_ref().map_or(0, |it| it.bytes))
    }
}

/// Path of the file of words that lies beside the segment `file`.
pub fn sidecar_of(file: &str) -> String {
    format!("{}.words", file.strip_suffix(".segment").unwrap_or(file))
}

/// A file that belongs to a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    pub bytes: u64,
    /// SHA-256 of the file as it lies on disk, sealed.
    pub digest: [u8; 32],
}

/// The values that a field has in a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kinds {
    /// Any: an entry of version 1, too many values, too long ones, lists, or values that do not fit the column.
    #[default]
    Unknown,
    /// Exactly these, sorted. An event without a value counts as one with the empty text.
    Known(Vec<String>),
}

impl Kinds {
    /// Whether an event may have exactly this value.
    pub fn may_contain(&self, value: &str) -> bool {
        match self {
            Self::Unknown => true,
            Self::Known(values) => values.binary_search_by(|it| it.as_str().cmp(value)).is_ok(),
        }
    }

    /// The values that events of both have.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Known(mine), Self::Known(others)) => Self::of(mine.iter().chain(others).cloned()),
            _ => Self::Unknown,
        }
    }

    /// These values, unless they are too many or too long.
    pub fn of(values: impl IntoIterator<Item = String>) -> Self {
        let mut known = std::collections::BTreeSet::new();
        for value in values {
            if value.len() > KIND_BYTES_MAX {
                return Self::Unknown;
            }
            known.insert(value);
            if known.len() > KINDS_MAX {
                return Self::Unknown;
            }
        }
        Self::Known(known.into_iter().collect())
    }
}
