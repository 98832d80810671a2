//! Where one record ends and the next begins, in bytes that arrive bit by bit.

use memchr::{memchr, memchr2};

use crate::limits::{LINE_BYTES_MAX, OCTET_COUNT_MAX};

/// What a framing sees in the bytes that are not cut yet. Offsets count from the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// No whole record yet.
    More,
    /// A record, maybe longer than [`LINE_BYTES_MAX`], and where the next one begins.
    Record { start: usize, end: usize, next: usize },
    /// A record of which [`LINE_BYTES_MAX`] bytes are there and whose rest must be skipped.
    TooLong { start: usize, rest: Skip },
}

/// What must be skipped before the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skip {
    Nothing,
    Bytes(u64),
    /// All up to and including the next delimiter.
    ToDelimiter,
}

pub(crate) trait Framing {
    /// Looks for the record that `open` begins with. A former call said that there is none in its first `searched`
    /// bytes.
    fn next(&self, open: &[u8], searched: usize) -> Next;

    /// Where in `bytes` the delimiter of a record is.
    fn delimiter(&self, bytes: &[u8]) -> Option<usize>;

    /// Where the text of the unfinished record `open` begins, and what is skipped if no more of it is wanted.
    fn abandon(&self, open: &[u8]) -> (usize, Skip);

    /// What senders put behind a record that is not part of it.
    fn is_trailer(byte: u8) -> bool;
}

/// One record a line; LF or CRLF.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines;

impl Framing for Lines {
    fn next(&self, open: &[u8], searched: usize) -> Next {
        delimited(open, searched, |bytes| self.delimiter(bytes))
    }

    fn delimiter(&self, bytes: &[u8]) -> Option<usize> {
        memchr(b'\n', bytes)
    }

    fn abandon(&self, _: &[u8]) -> (usize, Skip) {
        (0, Skip::ToDelimiter)
    }

    fn is_trailer(byte: u8) -> bool {
        byte == b'\r'
    }
}

fn delimited(open: &[u8], searched: usize, find: impl Fn(&[u8]) -> Option<usize>) -> Next {
    match find(open.get(searched..).unwrap_or_default()) {
        Some(index) => Next::Record { start: 0, end: searched + index, next: searched + index + 1 },
        None if open.len() >= LINE_BYTES_MAX => Next::TooLong { start: 0, rest: Skip::ToDelimiter },
        None => Next::More,
    }
}

/// Syslog over a stream (RFC 6587): each message says for itself whether it is counted (`LEN SP <PRI>…`) or ends
/// with LF, CRLF or NUL.
///
/// A count is believed only if `<` follows it, as RFC 6587 demands: lines that begin with a number and a space (a
/// year, say) are lines. So are counts beyond [`OCTET_COUNT_MAX`], because to believe them would swallow the rest of
/// the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Syslog;

impl Framing for Syslog {
    fn next(&self, open: &[u8], searched: usize) -> Next {
        match count(open) {
            Count::Unknown => Next::More,
            Count::None => delimited(open, searched, |bytes| self.delimiter(bytes)),
            Count::Of { header, length } => {
                let available = open.len() - header;
                if available as u64 >= length {
                    let end = header + length as usize;
                    Next::Record { start: header, end, next: end }
                } else if available >= LINE_BYTES_MAX {
                    Next::TooLong { start: header, rest: Skip::Bytes(length - LINE_BYTES_MAX as u64) }
                } else {
                    Next::More
                }
            }
        }
    }

    fn delimiter(&self, bytes: &[u8]) -> Option<usize> {
        memchr2(b'\n', b'\0', bytes)
    }

    fn abandon(&self, open: &[u8]) -> (usize, Skip) {
        match count(open) {
            Count::Of { header, length } => (header, Skip::Bytes(length.saturating_sub((open.len() - header) as u64))),
            Count::None | Count::Unknown => (0, Skip::ToDelimiter),
        }
    }

    fn is_trailer(byte: u8) -> bool {
        matches!(byte, b'\n' | b'\r' | b'\0')
    }
}

enum Count {
    None,
    /// Too few bytes to tell.
    Unknown,
    Of {
        header: usize,
        length: u64,
    },
}

fn count(open: &[u8]) -> Count {
    let mut length = 0_u64;
    for (index, byte) in open.iter().enumerate() {
        match byte {
            b'1'..=b'9' => length = length * 10 + u64::from(byte - b'0'),
            b'0' if index > 0 => length *= 10,
            b' ' if index > 0 => {
                return match open.get(index + 1) {
                    Some(b'<') => Count::Of { header: index + 1, length },
                    Some(_) => Count::None,
                    None => Count::Unknown,
                };
            }
            _ => return Count::None,
        }
        if length > OCTET_COUNT_MAX {
            return Count::None;
        }
    }
    Count::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_at_its_line_feed() {
        assert_eq!(Lines.next(b"one\ntwo", 0), Next::Record { start: 0, end: 3, next: 4 });
        assert_eq!(Lines.next(b"one\ntwo", 2), Next::Record { start: 0, end: 3, next: 4 });
        assert_eq!(Lines.next(b"on", 0), Next::More);
        let long = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(Lines.next(&long, 0), Next::TooLong { start: 0, rest: Skip::ToDelimiter });
        assert_eq!(Lines.next(&long[1..], 0), Next::More);
    }

    #[test]
    fn syslog_tells_its_framing_per_message() {
        assert_eq!(Syslog.next(b"5 <1>ab<2>c\n", 0), Next::Record { start: 2, end: 7, next: 7 });
        assert_eq!(Syslog.next(b"<2>c\n", 0), Next::Record { start: 0, end: 4, next: 5 });
        assert_eq!(Syslog.next(b"<2>c\0<3>", 0), Next::Record { start: 0, end: 4, next: 5 });
        assert_eq!(Syslog.next(b"2024 was a year\n", 0), Next::Record { start: 0, end: 15, next: 16 });
        assert_eq!(Syslog.next(b"0 <1>\n", 0), Next::Record { start: 0, end: 5, next: 6 }, "no count begins with 0");
    }

    #[test]
    fn a_count_waits_for_its_bytes_at_every_split() {
        let message = b"12 <34>1 hello!";
        for length in 0..message.len() {
            assert_eq!(Syslog.next(&message[..length], 0), Next::More, "{length} bytes");
        }
        assert_eq!(Syslog.next(message, 0), Next::Record { start: 3, end: 15, next: 15 });
    }

    #[test]
    fn a_count_that_cannot_be_true_is_taken_for_text() {
        let line = b"1000000000000 <34>hello\nnext";
        assert_eq!(Syslog.next(line, 0), Next::Record { start: 0, end: 23, next: 24 });
        let endless = [b'9'; 4_096];
        assert_eq!(Syslog.next(&endless, 0), Next::More, "it may still end with a line feed");
        assert!(matches!(count(&endless), Count::None));
    }

    #[test]
    fn a_counted_message_that_is_too_long_is_cut_and_its_rest_skipped() {
        let mut open = b"2000000 <".to_vec();
        assert_eq!(Syslog.next(&open, 0), Next::More);
        open.resize(8 + LINE_BYTES_MAX, b'x');
        let rest = Skip::Bytes(2_000_000 - LINE_BYTES_MAX as u64);
        assert_eq!(Syslog.next(&open, 0), Next::TooLong { start: 8, rest });
        assert_eq!(Syslog.abandon(&open[..108]), (8, Skip::Bytes(2_000_000 - 100)));
    }
}
