//! What a set of events is, whatever files it is spread over.

use panoptes_model::EventId;

/// The sum modulo 2^256 of a SHA-256 for each event. It does not depend on the order, and the digests of two segments
/// add up to that of the segment that they are compacted into; what is erased is subtracted.
///
/// The SHA-256 of an event is that of `panoptes row v1`, the frame (8 bytes) and the index (4 bytes) of its id, and its
/// original record; the sum is kept as 32 bytes. All integers little-endian.
///
/// It shows that no event was lost, doubled or changed on its way. Against somebody who chooses records so that sums
/// collide it is weaker than SHA-256; such a person would need the key as well, because manifest and segments are
/// sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RowsDigest(pub [u8; 32]);

impl RowsDigest {
    /// Of no events.
    pub const EMPTY: Self = Self([0; 32]);

    /// Adds the event `id`, which came in as `original`.
    pub fn add_event(&mut self, id: EventId, original: &[u8]) {
        let hash =
            panoptes_seal::sha256(&[b"panoptes row v1", &id.frame.0.to_le_bytes(), &id.index.to_le_bytes(), original]);
        *self = self.plus(Self(hash));
    }

    /// Of the events of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let mut carry = false;
        self.zip(other, |a, b| {
            let (sum, first) = a.overflowing_add(b);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            carry = first || second;
            sum
        })
    }

    /// Of the events that are left without those of `other`.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        let mut borrow = false;
        self.zip(other, |a, b| {
            let (rest, first) = a.overflowing_sub(b);
            let (rest, second) = rest.overflowing_sub(u64::from(borrow));
            borrow = first || second;
            rest
        })
    }

    /// Sixty-four bits at a time, the lowest first.
    fn zip(self, other: Self, mut combine: impl FnMut(u64, u64) -> u64) -> Self {
        let mut out = [0; 32];
        let (mine, _) = self.0.as_chunks::<8>();
        let (others, _) = other.0.as_chunks::<8>();
        let (places, _) = out.as_chunks_mut::<8>();
        for ((place, a), b) in places.iter_mut().zip(mine).zip(others) {
            *place = combine(u64::from_le_bytes(*a), u64::from_le_bytes(*b)).to_le_bytes();
        }
        Self(out)
    }
}

impl std::fmt::Display for RowsDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|it| write!(f, "{it:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use panoptes_model::FrameId;
    use proptest::prelude::*;

    use super::*;

    fn of(events: &[(u64, &str)]) -> RowsDigest {
        let mut digest = RowsDigest::EMPTY;
        for (frame, text) in events {
            digest.add_event(EventId { frame: FrameId(*frame), index: 7 }, text.as_bytes());
        }
        digest
    }

    #[test]
    fn order_and_spread_do_not_matter_and_every_event_does() {
        let all = of(&[(1, "a"), (2, "b"), (3, "c")]);
        assert_eq!(all, of(&[(3, "c"), (1, "a"), (2, "b")]));
        assert_eq!(all, of(&[(1, "a")]).plus(of(&[(2, "b"), (3, "c")])));
        assert_eq!(all.minus(of(&[(2, "b")])), of(&[(1, "a"), (3, "c")]));
        for other in [
            &[(1, "a"), (2, "b")][..],
            &[(1, "a"), (2, "b"), (3, "c"), (3, "c")],
            &[(1, "a"), (2, "b"), (3, "x")],
            &[(1, "b"), (2, "a"), (3, "c")],
        ] {
            assert_ne!(all, of(other));
        }
    }

    proptest! {
        #[test]
        fn sums_and_differences_are_those_of_whole_numbers(a: [u8; 32], b: [u8; 32]) {
            // Digit by digit, as on paper.
            let mut carry = 0_u16;
            let sum: Vec<u8> = a.iter().zip(&b).map(|(a, b)| {
                let digit = u16::from(*a) + u16::from(*b) + carry;
                carry = digit >> 8;
                digit as u8
            }).collect();
            let (a, b) = (RowsDigest(a), RowsDigest(b));
            prop_assert_eq!(&a.plus(b).0[..], &sum[..]);
            prop_assert_eq!(a.plus(b).minus(b), a);
        }
    }
}
