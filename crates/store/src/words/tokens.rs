//! Where words begin and end, and which are the same word: for the sidecar and for queries alike.
//!
//! A *word* is a longest run of characters that Unicode calls word characters (letters, marks, digits, `_` and the like):
//! what `\b` and `\w` of the `regex` crate go by. Words that differ in case alone are the same word. A word's *term* is
//! the [`hash`] of its folded bytes: of an ASCII character `byte | 0x20`, of another the UTF-8 of its folded form.
//!
//! Texts are scanned in blocks of 64 bytes without a branch per byte; only runs with characters beyond ASCII are looked
//! at one character at a time.

use std::sync::OnceLock;

/// Bytes that are classified at once.
const BLOCK: usize = 64;
/// Of each character below 65,536: its folded form if it is a word character, else 0.
type Plane = [u16; 1 << 16];

const MIX_LENGTH: u64 = 0x9e37_79b9_7f4a_7c15;
const MIX_BLOCK: u64 = 0xa076_1d64_78bd_642f;
const MIX_END: u64 = 0xe703_7ed1_a0b4_28db;
const MIX_LAST: u64 = 0x8ebc_6af0_9c88_c6e3;
/// Bit 5 of each byte: what tells upper from lower case in ASCII letters, and is set in digits.
const LOWER: u64 = 0x2020_2020_2020_2020;
const BEYOND_ASCII: u64 = 0x8080_8080_8080_8080;

/// Whether words have this character.
pub(crate) fn is_word(it: char) -> bool {
    match it {
        '_' => true,
        it if it.is_ascii() => it.is_ascii_alphanumeric(),
        // Without its tables nothing would be a word; they are there by default, and a test looks.
        it => regex_syntax::try_is_word_character(it).unwrap_or(false),
    }
}

/// The same for all characters that count as one in any case; coarser than need be for a few.
fn fold(it: char) -> char {
    let only = |mut chars: std::iter::Fuse<std::char::ToUppercase>| match (chars.next(), chars.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    };
    let upper = only(it.to_uppercase().fuse()).unwrap_or(it);
    let mut lower = upper.to_lowercase();
    let folded = match (lower.next(), lower.next()) {
        (Some(only), None) => only,
        _ => upper,
    };
    match folded {
        // Each of these pairs is one character in two encodings, which only the folding of Unicode joins.
        '\u{1fd3}' => '\u{390}',
        '\u{1fe3}' => '\u{3b0}',
        '\u{fb05}' => '\u{fb06}',
        it => it,
    }
}

/// Bytes to a number; specified in the header of `words/mod.rs`, because files depend on it.
pub(super) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = begin(seed, bytes.len());
    let (blocks, rest) = bytes.as_chunks::<8>();
    for block in blocks {
        state = mix(state ^ u64::from_le_bytes(*block), MIX_BLOCK);
    }
    if !rest.is_empty() {
        state = mix(state ^ padded(rest), MIX_BLOCK);
    }
    finish(state)
}

#[inline]
fn begin(seed: u64, length: usize) -> u64 {
    seed ^ (length as u64).wrapping_mul(MIX_LENGTH)
}

#[inline]
fn finish(state: u64) -> u64 {
    mix(state ^ MIX_END, MIX_LAST)
}

#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Up to eight bytes with zeros behind.
#[inline]
fn padded(bytes: &[u8]) -> u64 {
    let mut block = [0; 8];
    for (to, from) in block.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(block)
}

/// Finds words. Keeps a buffer, so that no word costs an allocation.
#[derive(Debug, Default)]
pub(crate) struct Tokenizer {
    folded: Vec<u8>,
}

impl Tokenizer {
    /// Calls `visit` with the term of each word of `text`, repeated ones too.
    pub(crate) fn each(&mut self, seed: u64, text: &str, mut visit: impl FnMut(u64)) {
        let bytes = text.as_bytes();
        let (mut start, mut inside) = (0, false);
        let mut carry = 0;
        let mut base = 0;
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut last = [0; BLOCK];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        for block in blocks.iter().chain([&last]) {
            let words = word_bytes(block);
            // One bit wherever a run begins or ends.
            let mut edges = words ^ (words << 1 | carry);
            carry = words >> 63;
            while edges != 0 {
                let edge = base + edges.trailing_zeros() as usize;
                edges &= edges - 1;
                if inside {
                    self.run(seed, text, start, edge, &mut visit);
                } else {
                    start = edge;
                }
                inside = !inside;
            }
            base += BLOCK;
        }
        if inside {
            self.run(seed, text, start, bytes.len(), &mut visit);
        }
    }

    /// The words of a run of bytes that may belong to words.
    #[inline]
    fn run(&mut self, seed: u64, text: &str, start: usize, end: usize, visit: &mut impl FnMut(u64)) {
        let Some(run) = text.as_bytes().get(start..end) else { return };
        let mut state = begin(seed, run.len());
        let mut seen = 0;
        let (blocks, rest) = run.as_chunks::<8>();
        for block in blocks {
            let block = u64::from_le_bytes(*block);
            seen |= block;
            state = mix(state ^ (block | LOWER), MIX_BLOCK);
        }
        if !rest.is_empty() {
            // What follows the run is read along and cut off, unless the text ends before.
            let from = start + blocks.len() * 8;
            let keep = u64::MAX >> (64 - 8 * rest.len());
            let block = match text.as_bytes().get(from..).and_then(|it| it.first_chunk::<8>()) {
                Some(block) => u64::from_le_bytes(*block) & keep,
                None => padded(rest),
            };
            seen |= block;
            state = mix(state ^ (block | LOWER & keep), MIX_BLOCK);
        }
        if seen & BEYOND_ASCII == 0 {
            visit(finish(state));
        } else {
            self.run_beyond_ascii(seed, text.get(start..end).unwrap_or_default(), visit);
        }
    }

    #[cold]
    fn run_beyond_ascii(&mut self, seed: u64, run: &str, visit: &mut impl FnMut(u64)) {
        self.folded.clear();
        for it in run.chars() {
            if let Some(folded) = folded_word(it) {
                push(folded, &mut self.folded);
            } else if !self.folded.is_empty() {
                visit(hash(seed, &self.folded));
                self.folded.clear();
            }
        }
        if !self.folded.is_empty() {
            visit(hash(seed, &self.folded));
        }
    }
}

/// One bit per byte: whether it may be of a word character.
#[inline]
fn word_bytes(block: &[u8; BLOCK]) -> u64 {
    let mut flags = [0_u8; BLOCK];
    for (flag, byte) in flags.iter_mut().zip(block) {
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let digit = byte.wrapping_sub(b'0') < 10;
        *flag = u8::from(letter | digit | (*byte == b'_') | (*byte >= 0x80));
    }
    let mut bits = 0;
    for (number, eight) in flags.as_chunks::<8>().0.iter().enumerate() {
        // The multiplication gathers the lowest bit of each byte in the highest byte.
        let gathered = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= gathered << (8 * number);
    }
    bits
}

/// The folded form, if words have this character.
fn folded_word(it: char) -> Option<char> {
    static PLANE: OnceLock<Box<Plane>> = OnceLock::new();
    let slow = |it: char| is_word(it).then(|| fold(it));
    let plane = PLANE.get_or_init(|| {
        let of =
            |code: usize| char::from_u32(code as u32).and_then(slow).map_or(0, |it| u16::try_from(it).unwrap_or(0));
        let entries: Vec<u16> = (0..1 << 16).map(of).collect();
        entries.try_into().unwrap_or_else(|_| Box::new([0; 1 << 16]))
    });
    match plane.get(it as usize) {
        Some(0) => None,
        Some(folded) => char::from_u32(u32::from(*folded)),
        None => slow(it),
    }
}

fn push(folded: char, out: &mut Vec<u8>) {
    if folded.is_ascii() {
        out.push(folded as u8 | 0x20);
    } else {
        out.extend_from_slice(folded.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// The words that a text must have, each whole, if it has `part` in it in any case. The runs at the two ends of the part
/// may go on in the text, unless a border is known to be there.
#[cfg(feature = "search")]
pub(crate) fn whole_words(part: &str, border_before: bool, border_behind: bool) -> &str {
    let mut rest = part;
    if !border_before {
        rest = rest.trim_start_matches(is_word);
    }
    if !border_behind {
        rest = rest.trim_end_matches(is_word);
    }
    rest
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn terms(text: &str) -> Vec<u64> {
        let mut out = Vec::new();
        Tokenizer::default().each(7, text, |it| out.push(it));
        out
    }

    /// What the specification says, one character at a time.
    fn specified(text: &str) -> Vec<u64> {
        let mut out = Vec::new();
        for word in text.split(|it| !is_word(it)).filter(|it| !it.is_empty()) {
            let mut folded = Vec::new();
            word.chars().for_each(|it| push(fold(it), &mut folded));
            out.push(hash(7, &folded));
        }
        out
    }

    #[test]
    fn words_are_found_in_any_case_and_are_cut_at_what_is_no_word() {
        assert_eq!(terms("Failed PASSWORD, für_x!"), terms("(failed)password/FÜR_X"));
        assert_eq!(terms("Failed PASSWORD für_x").len(), 3);
        assert_eq!(terms(" -- \u{1f}“”").len(), 0);
        assert_eq!(terms("\u{212a}ill \u{17f}ecret"), terms("kill Secret"));
        assert_ne!(terms("ab"), terms("a\u{60}b"), "a backtick has the bits of a folded @");
        assert_ne!(terms("a"), terms("aa"));
    }

    #[test]
    fn a_word_has_the_same_term_wherever_it_stands() {
        for word in ["a", "seven77", "eight888", "nine_nine", &"x".repeat(63), &"y".repeat(64), &"z".repeat(300), "é"]
        {
            for before in 0..130 {
                for behind in [0, 1, 7, 8, 9, 64] {
                    let text = format!("{}{word}{}", ".".repeat(before), " ".repeat(behind));
                    assert_eq!(terms(&text), [terms(word)[0]], "{word} behind {before}");
                }
            }
        }
    }

    #[test]
    fn word_characters_are_those_of_patterns() {
        let pattern = regex::Regex::new(r"^\w$").unwrap();
        for it in '\0'..=char::MAX {
            assert_eq!(is_word(it), pattern.is_match(it.encode_utf8(&mut [0; 4])), "{it:?}");
            assert_eq!(folded_word(it), is_word(it).then(|| fold(it)), "{it:?}");
        }
    }

    #[test]
    fn characters_that_patterns_take_for_one_another_fold_alike() {
        use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};
        let mut classes: HashMap<char, char> = HashMap::new();
        for it in '\0'..=char::MAX {
            let mut class = ClassUnicode::new([ClassUnicodeRange::new(it, it)]);
            class.case_fold_simple();
            for other in class.iter().flat_map(|it| it.start()..=it.end()) {
                assert_eq!((fold(other), is_word(other)), (fold(it), is_word(it)), "{it:?} {other:?}");
                classes.insert(other, it);
            }
        }
        assert!(classes.len() > 1_000_000);
    }

    /// Files depend on it.
    #[test]
    fn hashes_stay_as_they_are() {
        assert_eq!(hash(0, b""), 0xe6d2_4d7e_0390_ae94);
        assert_eq!(hash(1, b"password"), 0x690f_2e75_851b_1ee6);
        assert_eq!(hash(1, b"a longer text"), 0xbdc8_e911_f417_c3bf);
    }

    #[test]
    fn a_part_needs_only_the_words_that_cannot_go_on() {
        assert_eq!(whole_words("ed password fo", false, false), " password ");
        assert_eq!(whole_words("failed password fo", true, false), "failed password ");
        assert_eq!(whole_words("word", false, true), "");
        assert_eq!(whole_words("word", true, true), "word");
    }

    proptest::proptest! {
        #[test]
        fn fast_and_slow_find_the_same_words(text in r"[a-cA-C0_éÉßſK²٣\u{300}\u{1f} .\-]{0,150}") {
            assert_eq!(terms(&text), specified(&text));
        }
    }
}
