//! Short runs of bytes without a memory block of their own: most group keys and most counted values are.

use serde::{Deserialize, Serialize};

/// How many bytes fit inside.
const INLINE_MAX: usize = 22;

/// Bytes, inside of the value itself if they are few.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<u8>")]
pub(crate) enum SmallBytes {
    Inline { length: u8, bytes: [u8; INLINE_MAX] },
    Boxed(Box<[u8]>),
}

// What a million groups cost hangs on it.
const _: () = assert!(size_of::<SmallBytes>() == 24);

impl SmallBytes {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Boxed(bytes) => bytes,
        }
    }

    /// Memory beside itself.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Inline { .. } => 0,
            Self::Boxed(bytes) => bytes.len(),
        }
    }
}

impl Default for SmallBytes {
    fn default() -> Self {
        Self::Inline { length: 0, bytes: [0; INLINE_MAX] }
    }
}

impl From<&[u8]> for SmallBytes {
    fn from(slice: &[u8]) -> Self {
        let mut bytes = [0; INLINE_MAX];
        match bytes.get_mut(..slice.len()) {
            Some(place) => {
                place.copy_from_slice(slice);
                Self::Inline { length: slice.len() as u8, bytes }
            }
            None => Self::Boxed(slice.into()),
        }
    }
}

impl From<Vec<u8>> for SmallBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl Serialize for SmallBytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_slice())
    }
}

impl std::fmt::Debug for SmallBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().escape_ascii().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_back_at_any_length() {
        for length in [0, 1, INLINE_MAX - 1, INLINE_MAX, INLINE_MAX + 1, 300] {
            let bytes: Vec<u8> = (0..length).map(|it| it as u8).collect();
            let small = SmallBytes::from(bytes.as_slice());
            assert_eq!(small.as_slice(), bytes);
            assert_eq!(small.bytes() == 0, length <= INLINE_MAX);
            let stored = postcard::to_stdvec(&small).unwrap();
            assert_eq!(postcard::from_bytes::<SmallBytes>(&stored).unwrap(), small);
        }
    }
}
