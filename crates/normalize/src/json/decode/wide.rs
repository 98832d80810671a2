//! The same in vectors of 64 bytes, on processors that have VBMI2 (Intel since Ice Lake, AMD since Zen 4): however many
//! escapes a block has, all of them are translated and closed up at once.

use std::arch::x86_64::{
    __m512i, _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_loadu_epi8, _mm512_mask_blend_epi8,
    _mm512_maskz_compress_epi8, _mm512_maskz_loadu_epi8, _mm512_movepi8_mask, _mm512_permutex2var_epi8,
    _mm512_set1_epi8, _mm512_storeu_epi8, _mm512_testn_epi8_mask,
};

use super::{BUFFER_BYTES, CHARACTER_BYTES_MAX, Decoder, SIMPLE_ESCAPES};

/// How much is looked at and written at once.
const BLOCK: usize = 64;

pub(super) fn is_able() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vbmi")
        && std::arch::is_x86_feature_detected!("avx512vbmi2")
        && std::arch::is_x86_feature_detected!("bmi1")
        && std::arch::is_x86_feature_detected!("popcnt")
}

/// As much of `bytes` from `from` on as a block holds; zeros behind the end.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
#[expect(unsafe_code, reason = "vectors are read from memory")]
fn load(bytes: &[u8], from: usize) -> __m512i {
    let rest = bytes.get(from..).unwrap_or_default();
    match rest.first_chunk::<BLOCK>() {
        // SAFETY: the reference is to as many bytes as are read, at any address.
        Some(block) => unsafe { _mm512_loadu_epi8(block.as_ptr().cast::<i8>()) },
        // SAFETY: the mask has a bit for each byte of the rest, and only these are read.
        None => unsafe { _mm512_maskz_loadu_epi8((1 << rest.len()) - 1, rest.as_ptr().cast::<i8>()) },
    }
}

/// Which bytes of a block are the backslash of an escape, and which are the letter behind one; the first byte is not
/// such a letter. Of backslashes in a row every second one is escaped.
#[inline]
fn escapes(backslashes: u64) -> (u64, u64) {
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    // The subtraction carries through each run of backslashes: simdjson's way.
    let mixed = (backslashes << 1 | ODD).wrapping_sub(backslashes) ^ ODD;
    (mixed & backslashes, mixed ^ backslashes)
}

/// [`Decoder::copy_plain`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,bmi1,popcnt")]
#[expect(unsafe_code, reason = "vectors are written to memory")]
pub(super) fn copy_plain(decoder: &mut Decoder, bytes: &[u8], mut from: usize, out: &mut String) -> usize {
    let (low, high) = (load(&SIMPLE_ESCAPES, 0), load(&SIMPLE_ESCAPES, BLOCK));
    loop {
        if decoder.length > BUFFER_BYTES - BLOCK - CHARACTER_BYTES_MAX {
            decoder.flush(out);
        }
        let block = load(bytes, from);
        let backslashes = _mm512_cmpeq_epi8_mask(block, _mm512_set1_epi8(b'\\' as i8));
        let ends = _mm512_cmpeq_epi8_mask(block, _mm512_set1_epi8(b'"' as i8))
            | _mm512_cmplt_epu8_mask(block, _mm512_set1_epi8(b' ' as i8));
        let (text, length, stop, read);
        if backslashes == 0 {
            stop = ends;
            read = stop.trailing_zeros();
            (text, length) = (block, read);
        } else {
            let (starts, letters) = escapes(backslashes);
            // The tables are for the 128 characters of ASCII.
            let meant = _mm512_permutex2var_epi8(low, block, high);
            let strange = (_mm512_testn_epi8_mask(meant, meant) | _mm512_movepi8_mask(block)) & letters;
            stop = ends & !letters | strange >> 1;
            // An escape whose letter is in the next block is left to that.
            read = stop.trailing_zeros().min(BLOCK as u32 - (starts >> (BLOCK - 1)) as u32);
            let wanted = !starts & u64::MAX.checked_shr(BLOCK as u32 - read).unwrap_or(0);
            text = _mm512_maskz_compress_epi8(wanted, _mm512_mask_blend_epi8(letters, block, meant));
            length = wanted.count_ones();
        }
        if let Some(room) = decoder.buffer.get_mut(decoder.length..).and_then(|it| it.first_chunk_mut::<BLOCK>()) {
            // SAFETY: the reference is to as many bytes as are written, at any address.
            unsafe { _mm512_storeu_epi8(room.as_mut_ptr().cast::<i8>(), text) };
        }
        decoder.length += length as usize;
        from += read as usize;
        if stop != 0 && read == stop.trailing_zeros() {
            return from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_backslashes_in_a_row_every_second_one_is_escaped() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for round in 0..20_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            // Sparse, dense, and long runs.
            let backslashes = match round % 3 {
                0 => seed & seed.rotate_left(21),
                1 => seed | seed.rotate_left(21),
                _ => u64::MAX << (seed % 64) & u64::MAX >> ((seed >> 8) % 64),
            };
            let (mut starts, mut letters, mut is_letter) = (0_u64, 0_u64, false);
            for bit in 0..64 {
                let is_start = !is_letter && backslashes >> bit & 1 == 1;
                starts |= u64::from(is_start) << bit;
                letters |= u64::from(is_letter) << bit;
                is_letter = is_start;
            }
            assert_eq!(escapes(backslashes), (starts, letters), "{backslashes:#066b}");
        }
    }
}
