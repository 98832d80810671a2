//! Entries as they lie on disk. What stands here was released: a variant and its fields never change, further ones are
//! added at the end.

use panoptes_model::{FrameId, Timestamp};
use panoptes_seal::KeyId;
use serde::{Deserialize, Serialize};

use super::{Cause, Change, Erasure, Kinds, RowsDigest, Segment, Sidecar};

#[derive(Serialize, Deserialize)]
pub(super) struct EntryOnDisk {
    pub(super) previous: [u8; 32],
    pub(super) at: Timestamp,
    pub(super) change: ChangeOnDisk,
}

#[derive(Serialize, Deserialize)]
pub(super) enum ChangeOnDisk {
    SealedV1(Vec<SegmentV1>),
    CompactedV1 { inputs: Vec<String>, output: SegmentV1 },
    DeletedV1 { file: String, reason: String },
    SealedV2(Vec<SegmentV2>),
    CompactedV2 { inputs: Vec<String>, outputs: Vec<SegmentV2> },
    DeletedV2 { files: Vec<String>, cause: CauseV2 },
    ErasedV2 { inputs: Vec<String>, outputs: Vec<SegmentV2>, rows: u64, rows_digest: [u8; 32], cause: CauseV2 },
}

#[derive(Serialize, Deserialize)]
pub(super) struct SegmentV1 {
    file: String,
    day: i32,
    rows: u64,
    time_min: Timestamp,
    time_max: Timestamp,
    frame_first: FrameId,
    frame_last: FrameId,
    bytes: u64,
    digest: [u8; 32],
}

#[derive(Serialize, Deserialize)]
pub(super) struct SegmentV2 {
    segment: SegmentV1,
    rows_digest: Option<[u8; 32]>,
    words: Option<SidecarV2>,
    sources: Option<Vec<String>>,
    datasets: Option<Vec<String>>,
    class: String,
    key: Option<[u8; 8]>,
}

#[derive(Serialize, Deserialize)]
struct SidecarV2 {
    bytes: u64,
    digest: [u8; 32],
}

#[derive(Serialize, Deserialize)]
pub(super) struct CauseV2 {
    reason: String,
    actor: String,
    policy: String,
}

impl From<SegmentV1> for Segment {
    fn from(it: SegmentV1) -> Self {
        let SegmentV1 { file, day, rows, time_min, time_max, frame_first, frame_last, bytes, digest } = it;
        Self {
            file,
            day,
            rows,
            time_min,
            time_max,
            frame_first,
            frame_last,
            bytes,
            digest,
            rows_digest: None,
            words: None,
            sources: Kinds::Unknown,
            datasets: Kinds::Unknown,
            class: String::new(),
            key: None,
        }
    }
}

impl From<SegmentV2> for Segment {
    fn from(it: SegmentV2) -> Self {
        // What somebody with the key wrote unsorted is sorted here: look-ups rely on it.
        let kinds = |it: Option<Vec<String>>| it.map_or(Kinds::Unknown, Kinds::of);
        Self {
            rows_digest: it.rows_digest.map(RowsDigest),
            words: it.words.map(|it| Sidecar { bytes: it.bytes, digest: it.digest }),
            sources: kinds(it.sources),
            datasets: kinds(it.datasets),
            class: it.class,
            key: it.key.map(KeyId),
            ..Self::from(it.segment)
        }
    }
}

impl From<&Segment> for SegmentV2 {
    fn from(it: &Segment) -> Self {
        let kinds = |it: &Kinds| match it {
            Kinds::Unknown => None,
            Kinds::Known(values) => Some(values.clone()),
        };
        Self {
            segment: SegmentV1 {
                file: it.file.clone(),
                day: it.day,
                rows: it.rows,
                time_min: it.time_min,
                time_max: it.time_max,
                frame_first: it.frame_first,
                frame_last: it.frame_last,
                bytes: it.bytes,
                digest: it.digest,
            },
            rows_digest: it.rows_digest.map(|it| it.0),
            words: it.words.as_ref().map(|it| SidecarV2 { bytes: it.bytes, digest: it.digest }),
            sources: kinds(&it.sources),
            datasets: kinds(&it.datasets),
            class: it.class.clone(),
            key: it.key.map(|it| it.0),
        }
    }
}

impl From<CauseV2> for Cause {
    fn from(it: CauseV2) -> Self {
        Self { reason: it.reason, actor: it.actor, policy: it.policy }
    }
}

impl From<&Cause> for CauseV2 {
    fn from(it: &Cause) -> Self {
        Self { reason: it.reason.clone(), actor: it.actor.clone(), policy: it.policy.clone() }
    }
}

fn all<A, B>(items: impl IntoIterator<Item = A>) -> Vec<B>
where
    B: From<A>,
{
    items.into_iter().map(B::from).collect()
}

impl From<ChangeOnDisk> for Change {
    fn from(it: ChangeOnDisk) -> Self {
        match it {
            ChangeOnDisk::SealedV1(segments) => Self::Sealed(all(segments)),
            ChangeOnDisk::CompactedV1 { inputs, output } => Self::Compacted { inputs, outputs: vec![output.into()] },
            ChangeOnDisk::DeletedV1 { file, reason } => {
                Self::Deleted { files: vec![file], cause: Cause { reason, ..Cause::default() } }
            }
            ChangeOnDisk::SealedV2(segments) => Self::Sealed(all(segments)),
            ChangeOnDisk::CompactedV2 { inputs, outputs } => Self::Compacted { inputs, outputs: all(outputs) },
            ChangeOnDisk::DeletedV2 { files, cause } => Self::Deleted { files, cause: cause.into() },
            ChangeOnDisk::ErasedV2 { inputs, outputs, rows, rows_digest, cause } => Self::Erased(Erasure {
                inputs,
                outputs: all(outputs),
                rows,
                rows_digest: RowsDigest(rows_digest),
                cause: cause.into(),
            }),
        }
    }
}

impl From<&Change> for ChangeOnDisk {
    fn from(it: &Change) -> Self {
        match it {
            Change::Sealed(segments) => Self::SealedV2(all(segments)),
            Change::Compacted { inputs, outputs } => {
                Self::CompactedV2 { inputs: inputs.clone(), outputs: all(outputs) }
            }
            Change::Deleted { files, cause } => Self::DeletedV2 { files: files.clone(), cause: cause.into() },
            Change::Erased(it) => Self::ErasedV2 {
                inputs: it.inputs.clone(),
                outputs: all(&it.outputs),
                rows: it.rows,
                rows_digest: it.rows_digest.0,
                cause: (&it.cause).into(),
            },
        }
    }
}
