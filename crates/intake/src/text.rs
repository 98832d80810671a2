//! Text or not.

use memchr::memchr;

/// How much of a long record is looked at.
const SAMPLE_BYTES: usize = 64 << 10;

/// Whether `bytes` are not text in any encoding that logs have: more than a third are control characters or no UTF-8.
/// A stray NUL or Latin-1 letter does not make a record binary, or else an attacker could hide a line with one.
pub(crate) fn looks_binary(bytes: &[u8]) -> bool {
    let sample = bytes.get(..SAMPLE_BYTES).unwrap_or(bytes);
    if sample.is_empty() || (memchr(0, sample).is_none() && std::str::from_utf8(sample).is_ok()) {
        return false;
    }
    let mut foreign = 0;
    for chunk in sample.utf8_chunks() {
        foreign += chunk.invalid().len();
        foreign += chunk.valid().bytes().filter(|it| it.is_ascii_control() && !b"\t\n\r\x1b".contains(it)).count();
    }
    foreign * 3 > sample.len()
}

/// Whether `start`, the beginning of a text, is marked as UTF-16.
pub(crate) fn is_utf16(start: &[u8]) -> bool {
    matches!(start, [0xff, 0xfe, ..] | [0xfe, 0xff, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_text_and_programs_are_not() {
        assert!(!looks_binary(b""));
        assert!(!looks_binary("Größe: 5 µs".as_bytes()));
        assert!(!looks_binary(b"caf\xe9 au lait, s'il vous pla\xeet"), "Latin-1");
        assert!(!looks_binary(b"Failed password for \0\0 from 203.0.113.9"), "a NUL hides nothing");
        assert!(!looks_binary(b"\x1b[31mred\x1b[0m"));
        assert!(looks_binary(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0"));
        assert!(looks_binary(&[0; 10]));
        assert!(looks_binary(b"a\0b\0c\0d\0"), "UTF-16");
        assert!(looks_binary(&(0..=255).map(|it: u8| it.wrapping_mul(7)).collect::<Vec<_>>()));
    }
}
