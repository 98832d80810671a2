//! Looks for pieces of keywords in a text as it is written, whatever its case, many bytes at a time.
//!
//! Each piece belongs to one of eight buckets. The halves of a byte select, from a table for each of the first
//! four places of a piece, the buckets that have such a byte there; a letter counts in both cases. Where a bucket is
//! left after four places, its pieces are compared. This is the algorithm Teddy of Hyperscan with folding inside.
//! Processors that can look up whole bytes do that instead.

/// How many bytes of a piece the tables know; shorter pieces cannot be looked for.
const PLACES: usize = 4;
/// How many pieces there may be: with more, most texts have places to compare.
const PIECES_MAX: usize = 64;
const BUCKETS: usize = 8;
/// How many bytes are looked at together.
#[cfg(target_arch = "x86_64")]
const BLOCK: usize = 32;

/// Pieces, folded, ready to be looked for.
pub(crate) struct Pieces {
    tables: [Table; PLACES],
    /// The same by whole bytes of ASCII.
    whole: [Whole; PLACES],
    is_wide: bool,
    buckets: [Vec<Box<[u8]>>; BUCKETS],
}

/// The buckets by the low and by the high half of a byte.
#[derive(Clone, Copy, Default)]
struct Table {
    low: [u8; 16],
    high: [u8; 16],
}

type Whole = [u8; 128];

/// What [`Pieces::find`] says of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Yes,
    No,
    /// Nothing in it as it is written, but it has letters beyond ASCII, which may fold to ones of a piece.
    Fold,
}

impl Pieces {
    /// `None` if there are too many, if one is too short, or if this processor cannot.
    pub(crate) fn new(pieces: &[String]) -> Option<Self> {
        if pieces.len() > PIECES_MAX || pieces.iter().any(|it| it.len() < PLACES) || !is_able() {
            return None;
        }
        // Sorted, so that pieces of one bucket begin alike and its tables stay sparse.
        let mut sorted: Vec<&[u8]> = pieces.iter().map(String::as_bytes).collect();
        sorted.sort_unstable();
        let mut made = Self {
            tables: [Table::default(); PLACES],
            whole: [[0; 128]; PLACES],
            is_wide: is_wide(),
            buckets: Default::default(),
        };
        for (index, piece) in sorted.iter().enumerate() {
            let bucket = index * BUCKETS / sorted.len();
            for ((table, whole), byte) in made.tables.iter_mut().zip(&mut made.whole).zip(*piece) {
                for byte in [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()] {
                    let halves = [(&mut table.low, byte & 0xf), (&mut table.high, byte >> 4)];
                    for (buckets, half) in halves {
                        if let Some(buckets) = buckets.get_mut(usize::from(half)) {
                            *buckets |= 1 << bucket;
                        }
                    }
                    if let Some(buckets) = whole.get_mut(usize::from(byte)) {
                        *buckets |= 1 << bucket;
                    }
                }
            }
            if let Some(pieces) = made.buckets.get_mut(bucket) {
                pieces.push((*piece).into());
            }
        }
        Some(made)
    }

    /// Whether any piece is in `text`, whatever the case of its ASCII letters.
    pub(crate) fn find(&self, text: &[u8]) -> Found {
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "vector instructions that not every processor has")]
        {
            if self.is_wide {
                // SAFETY: the function needs what `is_wide` asks for and nothing else.
                unsafe { wide::find(self, text) }
            } else {
                // SAFETY: the function needs AVX2 and nothing else; `new` makes no pieces without it.
                unsafe { vector::find(self, text) }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            _ = text;
            Found::Fold
        }
    }

    /// Whether a piece begins at `start` of `text`.
    #[cold]
    fn is_at(&self, text: &[u8], start: usize) -> bool {
        let here = text.get(start..).unwrap_or_default();
        let is_here = |piece: &[u8]| here.get(..piece.len()).is_some_and(|it| it.eq_ignore_ascii_case(piece));
        let left = self.tables.iter().zip(here).fold(u8::MAX, |left, (table, byte)| {
            let half = |of: &[u8; 16], half: u8| of.get(usize::from(half)).copied().unwrap_or(0);
            left & half(&table.low, byte & 0xf) & half(&table.high, byte >> 4)
        });
        (0..).zip(&self.buckets).any(|(bucket, pieces)| left & 1 << bucket != 0 && pieces.iter().any(|it| is_here(it)))
    }
}

#[cfg(target_arch = "x86_64")]
fn is_able() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

#[cfg(target_arch = "x86_64")]
fn is_wide() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vbmi")
}

#[cfg(not(target_arch = "x86_64"))]
fn is_able() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn is_wide() -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
mod vector {
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_loadu_si128, _mm256_alignr_epi8, _mm256_and_si256, _mm256_broadcastsi128_si256,
        _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_permute2x128_si256,
        _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
    };

    use super::{BLOCK, Found, PLACES, Pieces};

    #[inline]
    #[target_feature(enable = "avx2")]
    #[expect(unsafe_code, reason = "vectors are read from memory")]
    fn twice(table: &[u8; 16]) -> __m256i {
        // SAFETY: the reference is to as many bytes as are read, at any address.
        _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(table.as_ptr().cast::<__m128i>()) })
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    #[expect(unsafe_code, reason = "vectors are read from memory")]
    fn load(block: &[u8; BLOCK]) -> __m256i {
        // SAFETY: the reference is to as many bytes as are read, at any address.
        unsafe { _mm256_loadu_si256(block.as_ptr().cast::<__m256i>()) }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn find(pieces: &Pieces, text: &[u8]) -> Found {
        let [first, second, third, fourth] = pieces.tables.map(|it| (twice(&it.low), twice(&it.high)));
        let half = _mm256_set1_epi8(0xf);
        let zero = _mm256_setzero_si256();
        let (mut before_1, mut before_2, mut before_3) = (zero, zero, zero);
        let mut all = zero;
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        let mut last = [0; BLOCK];
        for (into, byte) in last.iter_mut().zip(rest) {
            *into = *byte;
        }
        let last = if rest.is_empty() { None } else { Some(&last) };
        for (index, block) in blocks.iter().chain(last).enumerate() {
            let bytes = load(block);
            all = _mm256_or_si256(all, bytes);
            let low = _mm256_and_si256(bytes, half);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), half);
            let buckets = |(of_low, of_high): (__m256i, __m256i)| {
                _mm256_and_si256(_mm256_shuffle_epi8(of_low, low), _mm256_shuffle_epi8(of_high, high))
            };
            let (at_1, at_2, at_3, at_4) = (buckets(first), buckets(second), buckets(third), buckets(fourth));
            // Where the fourth place of a piece lies, its first lies three bytes before, perhaps in the last block.
            let carried_1 = _mm256_permute2x128_si256::<0x21>(before_1, at_1);
            let carried_2 = _mm256_permute2x128_si256::<0x21>(before_2, at_2);
            let carried_3 = _mm256_permute2x128_si256::<0x21>(before_3, at_3);
            let left = _mm256_and_si256(
                _mm256_and_si256(_mm256_alignr_epi8::<13>(at_1, carried_1), _mm256_alignr_epi8::<14>(at_2, carried_2)),
                _mm256_and_si256(_mm256_alignr_epi8::<15>(at_3, carried_3), at_4),
            );
            (before_1, before_2, before_3) = (at_1, at_2, at_3);
            let mut ends = !_mm256_movemask_epi8(_mm256_cmpeq_epi8(left, zero)) as u32;
            while ends != 0 {
                let end = index * BLOCK + ends.trailing_zeros() as usize;
                ends &= ends - 1;
                if pieces.is_at(text, (end + 1).saturating_sub(PLACES)) {
                    return Found::Yes;
                }
            }
        }
        if _mm256_movemask_epi8(all) == 0 { Found::No } else { Found::Fold }
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::{
        __m512i, _mm512_and_si512, _mm512_loadu_epi8, _mm512_movepi8_mask, _mm512_or_si512, _mm512_permutex2var_epi8,
        _mm512_setzero_si512, _mm512_test_epi8_mask,
    };

    use super::{Found, PLACES, Pieces, Whole};

    const BLOCK: usize = 64;
    /// A block, and the places of pieces that begin in it.
    const SEEN: usize = BLOCK + PLACES - 1;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    #[expect(unsafe_code, reason = "vectors are read from memory")]
    fn load(bytes: &[u8], at: usize) -> __m512i {
        match bytes.get(at..).and_then(|it| it.first_chunk::<BLOCK>()) {
            // SAFETY: the reference is to as many bytes as are read, at any address.
            Some(block) => unsafe { _mm512_loadu_epi8(block.as_ptr().cast::<i8>()) },
            None => _mm512_setzero_si512(),
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    pub(super) fn find(pieces: &Pieces, text: &[u8]) -> Found {
        let [first, second, third, fourth] = pieces.whole.map(|it: Whole| (load(&it, 0), load(&it, BLOCK)));
        let mut all = _mm512_setzero_si512();
        let mut last = [0; SEEN];
        let mut at = 0;
        loop {
            let rest = text.get(at..).unwrap_or_default();
            let seen = match rest.first_chunk::<SEEN>() {
                Some(seen) => seen,
                None => {
                    for (into, byte) in last.iter_mut().zip(rest) {
                        *into = *byte;
                    }
                    &last
                }
            };
            let bytes = load(seen, 0);
            all = _mm512_or_si512(all, bytes);
            // Of a byte beyond ASCII this looks up another: that is found out when the piece is compared.
            let left = _mm512_and_si512(
                _mm512_and_si512(
                    _mm512_permutex2var_epi8(first.0, bytes, first.1),
                    _mm512_permutex2var_epi8(second.0, load(seen, 1), second.1),
                ),
                _mm512_and_si512(
                    _mm512_permutex2var_epi8(third.0, load(seen, 2), third.1),
                    _mm512_permutex2var_epi8(fourth.0, load(seen, 3), fourth.1),
                ),
            );
            let mut starts = _mm512_test_epi8_mask(left, left);
            while starts != 0 {
                if pieces.is_at(text, at + starts.trailing_zeros() as usize) {
                    return Found::Yes;
                }
                starts &= starts - 1;
            }
            at += BLOCK;
            if at >= text.len() {
                return if _mm512_movepi8_mask(all) == 0 { Found::No } else { Found::Fold };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn too_many_or_too_short_pieces_are_for_somebody_else() {
        let piece = |number: usize| format!("piece{number}");
        assert!(Pieces::new(&["abc".to_owned()]).is_none());
        assert!(Pieces::new(&(0..=PIECES_MAX).map(piece).collect::<Vec<_>>()).is_none());
        assert_eq!(Pieces::new(&(0..PIECES_MAX).map(piece).collect::<Vec<_>>()).is_some(), is_able());
    }

    #[test]
    fn a_piece_is_found_wherever_it_stands() {
        let Some(mut pieces) = Pieces::new(&["ge::debug".to_owned(), "kali".to_owned(), "mp::".to_owned()]) else {
            return;
        };
        for length in 0..150 {
            let text = "-".repeat(length);
            assert_eq!(find(&mut pieces, &text), Found::No);
            assert_eq!(find(&mut pieces, &format!("{text}é")), Found::Fold);
            for piece in ["ge::debug", "Ge::DeBug", "KALI", "mp::"] {
                for behind in ["", "x", "0123456789012345678901234567890123456789"] {
                    assert_eq!(find(&mut pieces, &format!("{text}{piece}{behind}")), Found::Yes);
                    let (cut, _) = piece.split_at(piece.len() - 1);
                    assert_eq!(find(&mut pieces, &format!("{text}{cut}")), Found::No);
                }
            }
        }
    }

    /// What is found, in every way that this processor has.
    fn find(pieces: &mut Pieces, text: &str) -> Found {
        let found = pieces.find(text.as_bytes());
        pieces.is_wide = false;
        assert_eq!(pieces.find(text.as_bytes()), found);
        pieces.is_wide = is_wide();
        found
    }

    proptest! {
        #[test]
        fn what_is_found_is_there(
            pieces in proptest::collection::vec("[ab:k.]{4,7}", 1..20),
            text in "[abABkK:.ké]{0,200}",
        ) {
            let Some(mut searcher) = Pieces::new(&pieces) else { return Ok(()) };
            let lower = text.to_ascii_lowercase();
            let is_there = pieces.iter().any(|it| lower.contains(&**it));
            let expected = match (is_there, text.is_ascii()) {
                (true, _) => Found::Yes,
                (false, true) => Found::No,
                (false, false) => Found::Fold,
            };
            prop_assert_eq!(find(&mut searcher, &text), expected);
        }
    }
}
