//! Strings with escapes. Most strings of Windows events have some, so this is where JSON's time goes.
//!
//! Text is copied block by block into a small buffer together with what the escapes mean, and handed on in large
//! pieces: a copy of its own for each of the short runs between escapes costs more than looking at their bytes.

#[cfg(target_arch = "x86_64")]
mod wide;

use super::{Malformed, Reason, is_special};

/// How much decoded text is gathered before it is handed on.
const BUFFER_BYTES: usize = 1_024;
/// How much is looked at at once, and how much of it is copied at once.
const WIDE: usize = 32;
const COPIED: usize = WIDE;
/// The longest character.
const CHARACTER_BYTES_MAX: usize = 4;

/// Decodes one string after another.
pub(super) struct Decoder {
    buffer: [u8; BUFFER_BYTES],
    length: usize,
    /// Whether some string wrote a character as a number.
    pub(super) spelled: bool,
    /// Whether this processor can do it all in vectors.
    #[cfg(target_arch = "x86_64")]
    is_wide: bool,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            buffer: [0; BUFFER_BYTES],
            length: 0,
            spelled: false,
            #[cfg(target_arch = "x86_64")]
            is_wide: wide::is_able(),
        }
    }

    /// Appends the string of `text` whose opening quote lies before `at` to `out` and moves `at` behind its closing
    /// quote. `true`: it had raw control characters, or a surrogate that stood alone and became U+FFFD. Of a string
    /// that is malformed `out` gets what comes before that.
    pub(super) fn decode(&mut self, text: &str, at: &mut usize, out: &mut String) -> Result<bool, Malformed> {
        self.length = 0;
        let result = self.run(text.as_bytes(), at, out);
        self.flush(out);
        result
    }

    fn run(&mut self, bytes: &[u8], at: &mut usize, out: &mut String) -> Result<bool, Malformed> {
        let mut flagged = false;
        let mut from = *at;
        loop {
            from = self.copy_plain(bytes, from, out);
            match bytes.get(from) {
                Some(b'"') => {
                    *at = from + 1;
                    return Ok(flagged);
                }
                Some(b'\\') => match escape(bytes, from) {
                    Ok((character, end)) => {
                        self.spelled |= bytes.get(from + 1) == Some(&b'u');
                        self.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
                        flagged |= character.is_none();
                        from = end;
                    }
                    Err(malformed) => {
                        *at = malformed.offset;
                        return Err(malformed);
                    }
                },
                Some(control) => {
                    self.push(char::from(*control));
                    flagged = true;
                    from += 1;
                }
                None => {
                    *at = bytes.len();
                    return Err(Malformed { offset: bytes.len(), reason: Reason::Truncated });
                }
            }
        }
    }

    /// Copies what is its own text from `from` on, and the escapes of one letter in it, and returns where that ends.
    /// Afterwards there is room for one more character.
    fn copy_plain(&mut self, bytes: &[u8], mut from: usize, out: &mut String) -> usize {
        #[cfg(target_arch = "x86_64")]
        if self.is_wide {
            #[expect(unsafe_code, reason = "vector instructions that not every processor has")]
            // SAFETY: the function needs what `is_able` asks for and nothing else.
            return unsafe { wide::copy_plain(self, bytes, from, out) };
        }
        loop {
            if self.length > BUFFER_BYTES - WIDE - COPIED - CHARACTER_BYTES_MAX {
                self.flush(out);
            }
            let Some(block) = bytes.get(from..).and_then(|it| it.first_chunk::<{ WIDE + COPIED }>()) else {
                return self.copy_tail(bytes, from);
            };
            let all = specials_of(block);
            let (mut left, mut at, mut filled) = (all, 0, self.length);
            let stop = loop {
                // Up to the next special byte; what is copied beyond it, the next copy covers.
                let next = (left.trailing_zeros() as usize).min(WIDE);
                copy(&mut self.buffer, filled, block, at);
                filled += next - at;
                at = next;
                if left == 0 {
                    break false;
                }
                let letter = if block.get(at) == Some(&b'\\') { block.get(at + 1) } else { None };
                let byte = letter.and_then(|it| SIMPLE_ESCAPES.get(usize::from(*it))).copied().unwrap_or(0);
                let (Some(place), 1..) = (self.buffer.get_mut(filled), byte) else { break true };
                *place = byte;
                filled += 1;
                at += 2;
                if at >= WIDE {
                    break false;
                }
                left = all & (u32::MAX << at);
            };
            self.length = filled;
            from += at;
            if stop {
                return from;
            }
        }
    }

    /// The same for the last bytes, which fill no block.
    #[cold]
    fn copy_tail(&mut self, bytes: &[u8], mut from: usize) -> usize {
        while let Some(byte) = bytes.get(from).filter(|it| !is_special(**it)) {
            self.put(*byte);
            from += 1;
        }
        from
    }

    #[inline]
    fn put(&mut self, byte: u8) {
        if let Some(place) = self.buffer.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn push(&mut self, character: char) {
        for byte in character.encode_utf8(&mut [0; CHARACTER_BYTES_MAX]).bytes() {
            self.put(byte);
        }
    }

    /// Hands on what is there, but for the beginning of a character whose rest is yet to come.
    fn flush(&mut self, out: &mut String) {
        let filled = self.buffer.get(..self.length).unwrap_or_default();
        let whole = match simdutf8::compat::from_utf8(filled) {
            Ok(text) => {
                out.push_str(text);
                filled.len()
            }
            Err(error) => {
                // The text was valid as a whole, so only its border can be inside a character.
                let (valid, _) = filled.split_at_checked(error.valid_up_to()).unwrap_or_default();
                out.push_str(std::str::from_utf8(valid).unwrap_or_default());
                valid.len()
            }
        };
        self.buffer.copy_within(whole..self.length, 0);
        self.length -= whole;
    }
}

/// Copies as many bytes as there can be in a run, from `at` in `block` to `filled` in `buffer`.
#[inline]
fn copy(buffer: &mut [u8; BUFFER_BYTES], filled: usize, block: &[u8; WIDE + COPIED], at: usize) {
    let bytes = block.get(at..).and_then(|it| it.first_chunk::<COPIED>());
    let room = buffer.get_mut(filled..).and_then(|it| it.first_chunk_mut::<COPIED>());
    if let (Some(bytes), Some(room)) = (bytes, room) {
        *room = *bytes;
    }
}

/// What an escape of one letter means; zero for none.
static SIMPLE_ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut letter = 0;
    while letter < 256 {
        if let Some(byte) = simple_escape(letter as u8) {
            table[letter] = byte;
        }
        letter += 1;
    }
    table
};

/// One bit for each special byte among the first [`WIDE`].
#[inline]
fn specials_of(block: &[u8; WIDE + COPIED]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        let half = |start: usize| block.get(start..).and_then(|it| it.first_chunk()).map_or(0, super::find_specials);
        half(0) | half(WIDE / 2) << (WIDE / 2)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let bits = block.iter().take(WIDE).enumerate();
        bits.fold(0, |mask, (index, byte)| mask | u32::from(is_special(*byte)) << index)
    }
}

/// The byte that an escape of one letter means.
#[inline]
const fn simple_escape(letter: u8) -> Option<u8> {
    Some(match letter {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'"' | b'\\' | b'/' => letter,
        b'b' => 8,
        b'f' => 12,
        _ => return None,
    })
}

/// The character that the escape at `at` means (`None`: a surrogate stood alone), and where it ends.
#[cold]
fn escape(bytes: &[u8], at: usize) -> Result<(Option<char>, usize), Malformed> {
    match bytes.get(at + 1) {
        Some(b'u') => {}
        Some(letter) => {
            let byte = simple_escape(*letter).ok_or(Malformed { offset: at, reason: Reason::Escape })?;
            return Ok((Some(char::from(byte)), at + 2));
        }
        None => return Err(Malformed { offset: bytes.len(), reason: Reason::Truncated }),
    }
    let high = hex4(bytes, at + 2).ok_or(Malformed { offset: at, reason: Reason::Escape })?;
    let end = at + 6;
    if let 0xd800..=0xdbff = high
        && bytes.get(end..end + 2) == Some(b"\\u")
        && let Some(low @ 0xdc00..=0xdfff) = hex4(bytes, end + 2)
    {
        return Ok((char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)), end + 6));
    }
    Ok((char::from_u32(high), end))
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.iter().try_fold(0, |code, byte| Some(code << 4 | char::from(*byte).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(text: &str) -> (Result<bool, Malformed>, usize, String) {
        let decode = |mut decoder: Decoder| {
            let mut at = 0;
            let mut out = String::new();
            let result = decoder.decode(text, &mut at, &mut out);
            (result, at, out)
        };
        let decoded = decode(Decoder::new());
        // What processors with less do.
        #[cfg(target_arch = "x86_64")]
        assert_eq!(decode(Decoder { is_wide: false, ..Decoder::new() }), decoded);
        decoded
    }

    #[test]
    fn long_texts_cross_the_buffer_at_every_offset() {
        for shift in 0..40 {
            for piece in ["a", "\\n", "é", "😀", "\\u20ac", "xyz\\\\"] {
                let inner = format!("{}{}", "y".repeat(shift), piece.repeat(BUFFER_BYTES));
                let (result, at, out) = decode(&format!("{inner}\" rest"));
                let expected: String = serde_json::from_str(&format!("\"{inner}\"")).unwrap();
                assert_eq!((result, at), (Ok(false), inner.len() + 1));
                assert_eq!(out, expected);
            }
        }
    }

    proptest! {
        #[test]
        fn decoded_text_is_what_serde_reads(text: String, tail in "[a-z\"]{0,20}") {
            let quoted = serde_json::to_string(&text).unwrap();
            let (result, at, out) = decode(&format!("{}{tail}", quoted.strip_prefix('"').unwrap()));
            prop_assert_eq!(result, Ok(false));
            prop_assert_eq!(at, quoted.len() - 1);
            prop_assert_eq!(out, text);
        }

        #[test]
        fn escapes_in_any_order_are_what_serde_reads(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    "\\\\", "\\\"", "\\/", "\\n", "\\r", "\\t", "\\b", "\\f", "\\u0041", "\\u20ac", "a", "bcd", "é", "€",
                    "\\\\\\\\", "0123456789abcdef0123456789abcdef",
                ]),
                0..120,
            ),
            tail in "[a-z\"\\\\]{0,70}",
        ) {
            let inner = pieces.concat();
            let (result, at, out) = decode(&format!("{inner}\"{tail}"));
            prop_assert_eq!((result, at), (Ok(false), inner.len() + 1));
            prop_assert_eq!(out, serde_json::from_str::<String>(&format!("\"{inner}\"")).unwrap());
        }

        #[test]
        fn no_text_panics(text in "[\\\\\"u0-9a-fé\u{0}-\u{1f}]{0,60}") {
            let (result, at, _) = decode(&text);
            prop_assert!(at <= text.len());
            prop_assert!(result.is_ok() || text.get(..at).is_some());
        }
    }
}
