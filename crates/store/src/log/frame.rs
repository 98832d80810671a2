//! How one frame lies in its record (see `log/mod.rs` for the bytes).

use std::borrow::Cow;
use std::net::IpAddr;

use panoptes_model::{FrameId, LogFrame, Origin, RawBatch, RawRecord, Timestamp};
use serde::{Deserialize, Serialize};

use super::writer::BUFFER_KEPT_BYTES_MAX;
use super::{FRAME_BYTES_MAX, LogError};

const FLAG_ZSTD: u8 = 1;
/// Flags, first frame of the group, length of the frame before compression.
pub(super) const ENVELOPE_BYTES: usize = 1 + 8 + 4;
/// Fast is what counts here: every byte of input passes through before it is acknowledged.
const ZSTD_LEVEL: i32 = 1;
/// Shorter frames hardly shrink.
const COMPRESS_BYTES_MIN: usize = 128;

// The model's types are free to change; the bytes on disk are not. A new field there must be given a place here, and
// then this is a new version of the format.

#[derive(Serialize, Deserialize)]
struct FrameOnDisk<'a> {
    id: u64,
    now: i64,
    rules_epoch: u64,
    snapshots_epoch: u64,
    #[serde(borrow)]
    origins: Vec<OriginOnDisk<'a>>,
    records: Vec<RecordOnDisk>,
    #[serde(borrow)]
    bytes: Bytes<'a>,
}

#[derive(Serialize, Deserialize)]
struct OriginOnDisk<'a> {
    #[serde(borrow)]
    input: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    peer: Option<IpAddr>,
    #[serde(borrow)]
    path: Option<Cow<'a, str>>,
    #[serde(borrow)]
    identity: Option<Cow<'a, str>>,
    #[serde(borrow)]
    format: Option<Cow<'a, str>>,
    #[serde(borrow)]
    time_zone: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
struct RecordOnDisk {
    offset: u32,
    length: u32,
    origin: u32,
    received_at: i64,
    position: u64,
}

/// Bytes that are copied as a whole; serde takes plain slices one by one.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self)
    }
}

/// What a record of the log holds.
pub(super) struct Envelope {
    /// The first frame of the group that was written and synced together.
    pub(super) group_first: FrameId,
    raw_bytes: u32,
    zstd: bool,
}

/// Turns frames into the plaintext of records. Keeps its buffers.
pub(super) struct Encoder {
    compressor: zstd::bulk::Compressor<'static>,
    raw: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> Result<Self, LogError> {
        let compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(|source| LogError::Compression { source })?;
        Ok(Self { compressor, raw: Vec::new() })
    }

    /// The plaintext, and the length of the frame before compression.
    pub(super) fn encode(&mut self, frame: &LogFrame, group_first: FrameId) -> Result<(Vec<u8>, usize), LogError> {
        let LogFrame { id, now, rules_epoch, snapshots_epoch, records: RawBatch { bytes, origins, records } } = frame;
        let on_disk = FrameOnDisk {
            id: id.0,
            now: now.0,
            rules_epoch: *rules_epoch,
            snapshots_epoch: *snapshots_epoch,
            origins: origins.iter().map(OriginOnDisk::from).collect(),
            records: records.iter().map(RecordOnDisk::from).collect(),
            bytes: Bytes(bytes),
        };
        self.raw.clear();
        self.raw = postcard::to_extend(&on_disk, std::mem::take(&mut self.raw))
            .map_err(|source| LogError::FrameUnencodable { id: *id, source })?;
        if self.raw.len() > FRAME_BYTES_MAX {
            return Err(LogError::FrameTooLarge { id: *id, bytes: self.raw.len() as u64 });
        }
        let compressed = if self.raw.len() < COMPRESS_BYTES_MIN {
            None
        } else {
            let compressed = self.compressor.compress(&self.raw).map_err(|source| LogError::Compression { source })?;
            (compressed.len() < self.raw.len()).then_some(compressed)
        };
        let (flags, body) = match &compressed {
            Some(compressed) => (FLAG_ZSTD, &compressed[..]),
            None => (0, &self.raw[..]),
        };
        let mut out = Vec::with_capacity(ENVELOPE_BYTES + body.len());
        out.push(flags);
        out.extend_from_slice(&group_first.0.to_le_bytes());
        // Checked against `FRAME_BYTES_MAX` above.
        out.extend_from_slice(&(self.raw.len() as u32).to_le_bytes());
        out.extend_from_slice(body);
        let raw_bytes = self.raw.len();
        self.raw.clear();
        self.raw.shrink_to(BUFFER_KEPT_BYTES_MAX);
        Ok((out, raw_bytes))
    }
}

impl Envelope {
    /// Reads what comes before the frame itself, and that.
    pub(super) fn split(plaintext: &[u8]) -> Option<(Self, &[u8])> {
        let (flags, rest) = plaintext.split_first()?;
        let (group_first, rest) = rest.split_first_chunk()?;
        let (raw_bytes, body) = rest.split_first_chunk()?;
        if *flags & !FLAG_ZSTD != 0 {
            return None;
        }
        let envelope = Self {
            group_first: FrameId(u64::from_le_bytes(*group_first)),
            raw_bytes: u32::from_le_bytes(*raw_bytes),
            zstd: *flags & FLAG_ZSTD != 0,
        };
        Some((envelope, body))
    }
}

/// The frame in a record's plaintext; `None` if it is not one. Never makes more than [`FRAME_BYTES_MAX`] of it.
pub(super) fn decode(plaintext: &[u8]) -> Option<LogFrame> {
    let (envelope, body) = Envelope::split(plaintext)?;
    let raw_bytes = usize::try_from(envelope.raw_bytes).ok().filter(|it| *it <= FRAME_BYTES_MAX)?;
    let raw: Cow<'_, [u8]> =
        if envelope.zstd { zstd::bulk::decompress(body, raw_bytes).ok()?.into() } else { body.into() };
    if raw.len() != raw_bytes {
        return None;
    }
    let on_disk: FrameOnDisk<'_> = postcard::from_bytes(&raw).ok()?;
    Some(LogFrame {
        id: FrameId(on_disk.id),
        now: Timestamp(on_disk.now),
        rules_epoch: on_disk.rules_epoch,
        snapshots_epoch: on_disk.snapshots_epoch,
        records: RawBatch {
            bytes: on_disk.bytes.0.to_vec(),
            origins: on_disk.origins.into_iter().map(Origin::from).collect(),
            records: on_disk.records.into_iter().map(RawRecord::from).collect(),
        },
    })
}

impl<'a> From<&'a Origin> for OriginOnDisk<'a> {
    fn from(origin: &'a Origin) -> Self {
        let Origin { input, source, peer, path, identity, format, time_zone } = origin;
        let borrowed = |text: &'a Option<String>| text.as_deref().map(Cow::Borrowed);
        Self {
            input: input.into(),
            source: source.into(),
            peer: *peer,
            path: borrowed(path),
            identity: borrowed(identity),
            format: borrowed(format),
            time_zone: borrowed(time_zone),
        }
    }
}

impl From<OriginOnDisk<'_>> for Origin {
    fn from(origin: OriginOnDisk<'_>) -> Self {
        let OriginOnDisk { input, source, peer, path, identity, format, time_zone } = origin;
        Self {
            input: input.into_owned(),
            source: source.into_owned(),
            peer,
            path: path.map(Cow::into_owned),
            identity: identity.map(Cow::into_owned),
            format: format.map(Cow::into_owned),
            time_zone: time_zone.map(Cow::into_owned),
        }
    }
}

impl From<&RawRecord> for RecordOnDisk {
    fn from(record: &RawRecord) -> Self {
        let RawRecord { offset, length, origin, received_at, position } = *record;
        Self { offset, length, origin, received_at: received_at.0, position }
    }
}

impl From<RecordOnDisk> for RawRecord {
    fn from(record: RecordOnDisk) -> Self {
        let RecordOnDisk { offset, length, origin, received_at, position } = record;
        Self { offset, length, origin, received_at: Timestamp(received_at), position }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &[u8]) -> LogFrame {
        let mut records = RawBatch::new();
        let origin = records.origin(&Origin {
            input: "tcp".into(),
            source: "firewall".into(),
            peer: Some("2001:db8::1".parse().unwrap()),
            path: Some("/var/log/x".into()),
            identity: Some("7:42".into()),
            format: None,
            time_zone: Some("+02:00".into()),
        });
        records.push(origin, Timestamp(-5), u64::MAX, text);
        LogFrame { id: FrameId(9), now: Timestamp(i64::MIN), rules_epoch: 3, snapshots_epoch: u64::MAX, records }
    }

    #[test]
    fn a_frame_reads_back_compressed_or_not() {
        for (text, zstd) in [(&b"short"[..], false), (&[b'x'; 10_000], true)] {
            let frame = frame(text);
            let (plaintext, _) = Encoder::new().unwrap().encode(&frame, FrameId(8)).unwrap();
            let (envelope, _) = Envelope::split(&plaintext).unwrap();
            assert_eq!((envelope.group_first, envelope.zstd), (FrameId(8), zstd));
            assert_eq!(decode(&plaintext).unwrap(), frame);
        }
    }

    #[test]
    fn what_does_not_shrink_is_kept_as_it_is() {
        let mut dice = crate::disk::sim::Dice::new(1);
        let noise: Vec<u8> = (0..10_000).map(|_| dice.next() as u8).collect();
        let (plaintext, _) = Encoder::new().unwrap().encode(&frame(&noise), FrameId(1)).unwrap();
        assert!(!Envelope::split(&plaintext).unwrap().0.zstd);
        assert_eq!(decode(&plaintext).unwrap().records.bytes, noise);
    }

    #[test]
    fn a_frame_that_unpacks_to_more_than_it_says_or_may_is_refused() {
        let bomb = zstd::bulk::compress(&vec![0; FRAME_BYTES_MAX + 1], 1).unwrap();
        for claimed in [0, 1000, FRAME_BYTES_MAX as u32, FRAME_BYTES_MAX as u32 + 1, u32::MAX] {
            let plaintext = [&[FLAG_ZSTD][..], &1u64.to_le_bytes(), &claimed.to_le_bytes(), &bomb].concat();
            assert!(decode(&plaintext).is_none(), "{claimed}");
        }
    }

    #[test]
    fn a_frame_beyond_the_limit_is_refused() {
        let mut frame = frame(b"");
        frame.records.bytes = vec![0; FRAME_BYTES_MAX];
        let error = Encoder::new().unwrap().encode(&frame, FrameId(9)).unwrap_err();
        assert!(matches!(error, LogError::FrameTooLarge { id: FrameId(9), .. }), "{error}");
    }

    #[test]
    fn no_bytes_make_decoding_panic() {
        let (whole, _) = Encoder::new().unwrap().encode(&frame(b"short"), FrameId(1)).unwrap();
        let mut dice = crate::disk::sim::Dice::new(2);
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..=dice.below(4) {
                let index = dice.below(bytes.len() as u64) as usize;
                bytes[index] = dice.next() as u8;
            }
            bytes.truncate(dice.below(bytes.len() as u64 + 1) as usize);
            let _ = decode(&bytes);
        }
    }
}
