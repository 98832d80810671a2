//! Identifiers that the compiler refuses to mix up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names one frame of the write-ahead log. Counts up from 1 and is never used twice in a data folder; 0 is "before
/// the first frame".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FrameId(pub u64);

impl FrameId {
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Names one stored event: its frame and its place in it. The same after a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId {
    pub frame: FrameId,
    pub index: u32,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.frame.0, self.index)
    }
}

/// The text is not `FRAME-INDEX`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an event id; one looks like 1042-7")]
pub struct EventIdMalformed(String);

impl FromStr for EventId {
    type Err = EventIdMalformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || EventIdMalformed(text.to_owned());
        let (frame, index) = text.split_once('-').ok_or_else(malformed)?;
        Ok(Self {
            frame: FrameId(frame.parse().map_err(|_| malformed())?),
            index: index.parse().map_err(|_| malformed())?,
        })
    }
}

/// A 128-bit name derived from content, printed as 32 hexadecimal digits.
macro_rules! content_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }
    };
}

content_id! {
    /// Names one finding: a hash of rule, group key and first evidence, so that a replay gives the same one.
    FindingId
}
content_id! {
    /// Names one alert: the id of the finding that opened it.
    AlertId
}

impl From<FindingId> for AlertId {
    fn from(id: FindingId) -> Self {
        Self(id.0)
    }
}

/// A stable 128-bit hash of `parts` (FNV-1a, each part closed by its length). It names things; it does not defend
/// against anybody who wants two things to share a name: what is hashed here was chosen by a rule, not by a sender
/// alone.
pub fn content_hash(parts: &[&[u8]]) -> u128 {
    const OFFSET_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut hash = OFFSET_BASIS;
    for part in parts {
        for byte in part.iter().copied().chain((part.len() as u64).to_le_bytes()) {
            hash = (hash ^ u128::from(byte)).wrapping_mul(PRIME);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_reads_back() {
        let id = EventId { frame: FrameId(1042), index: 7 };
        assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
        assert!("1042".parse::<EventId>().is_err());
    }

    #[test]
    fn content_hash_keeps_the_borders_between_parts() {
        assert_ne!(content_hash(&[b"ab", b"c"]), content_hash(&[b"a", b"bc"]));
        assert_eq!(content_hash(&[b"ab"]), content_hash(&[b"ab"]));
    }
}
