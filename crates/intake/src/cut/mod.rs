//! Cuts whole texts (a request's body, a file that must be seen as a whole) into records.
//!
//! Nothing here understands a record: it only finds where one ends. What is damaged but has an end is kept as it is
//! and becomes plain text later; what has no end is rejected with its position.

mod collector;
mod csv;
mod json;

pub(crate) use self::collector::{At, Collected, Collector, CollectorLimits, Rejected, Stop};
pub(crate) use self::csv::{CsvError, Table, cut_csv};
pub(crate) use self::json::{cut_array, cut_sequence};

use memchr::memchr;

/// How a text is divided into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One record a line: plain text, or one JSON value a line.
    Lines,
    /// One JSON array; each element is a record.
    Array,
    /// JSON objects one after another, on one line or on many.
    Sequence,
    /// Comma-separated values with a header; each row is a record.
    Csv,
}

/// The shape that `text` seems to have. `json` says that its sender called it JSON.
pub(crate) fn sniff(text: &[u8], json: bool) -> Shape {
    let text = without_mark(text).trim_ascii_start();
    match text.first() {
        Some(b'[') => {
            // Plain log lines begin with `[` as well: `[Mon Jan 15 …] [error] …`.
            let inner = text.get(1..).unwrap_or_default().trim_ascii_start().first();
            if json || matches!(inner, Some(b'{' | b']' | b'"')) { Shape::Array } else { Shape::Lines }
        }
        Some(b'{') => sniff_object(text),
        _ => Shape::Lines,
    }
}

/// One object a line, or objects of any other layout?
fn sniff_object(text: &[u8]) -> Shape {
    let line = text.get(..memchr(b'\n', text).unwrap_or(text.len())).unwrap_or_default();
    match json::value_end(line, json::Strings::OnOneLine) {
        Ok(end) => match line.get(end..).unwrap_or_default().trim_ascii_start().first() {
            Some(b'{') => Shape::Sequence,
            _ => Shape::Lines,
        },
        Err(_) if json::value_end(text, json::Strings::OnOneLine).is_ok() => Shape::Sequence,
        // Nothing that ends: line by line at least the other lines are saved.
        Err(_) => Shape::Lines,
    }
}

/// `text` without a byte order mark.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Cuts `text` at its line feeds. Empty lines are no records.
pub(crate) fn cut_lines(out: &mut Collector<'_>, text: &[u8]) -> Result<(), Stop> {
    let marked = text.len() - without_mark(text).len();
    let mut start = marked;
    let mut line = 1;
    while let Some(rest) = text.get(start..)
        && !rest.is_empty()
    {
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        let record = rest.get(..length).unwrap_or_default();
        let record = record.strip_suffix(b"\r").unwrap_or(record);
        let next = (start + length + 1).min(text.len());
        if !record.trim_ascii().is_empty() {
            out.accept(record, At { line, offset: start as u64, end: next as u64 })?;
        }
        start = next;
        line += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::collector::tests::collector;
    use super::*;

    proptest! {
        #[test]
        fn any_bytes_end_in_records_and_rejections(bytes in proptest::collection::vec(prop_oneof![
            Just(b'\n'), Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b'"'), Just(b','), any::<u8>()
        ], 0..300), json: bool) {
            let mut out = collector();
            match sniff(&bytes, json) {
                Shape::Lines => {
                    cut_lines(&mut out, &bytes).unwrap();
                    let lines = without_mark(&bytes).split(|it| *it == b'\n');
                    let expected = lines.filter(|it| !it.trim_ascii().is_empty()).count();
                    prop_assert_eq!(out.finish().records, expected as u64);
                }
                Shape::Array => cut_array(&mut out, &bytes).unwrap(),
                Shape::Sequence => {
                    cut_sequence(&mut out, &bytes).unwrap();
                    prop_assert!(out.finish().records > 0);
                }
                Shape::Csv => prop_assert!(false, "only a sender can say so"),
            }
            // A table may be refused, but not panic.
            let mut out = collector();
            drop(cut_csv(&mut out, &bytes));
        }
    }

    #[test]
    fn the_shape_follows_the_content() {
        let cases: &[(&str, Shape)] = &[
            ("", Shape::Lines),
            ("Jan 15 10:30:00 web1 sshd[1]: x", Shape::Lines),
            ("[Mon Jan 15 10:30:00 2024] [error] x", Shape::Lines),
            ("[ {\"a\":1} ]", Shape::Array),
            ("\u{feff}\n [\"one\", \"two\"]", Shape::Array),
            ("[]", Shape::Array),
            ("{\"a\":1}", Shape::Lines),
            ("{\"a\":1}\n{\"a\":2}\n", Shape::Lines),
            ("{\"a\":1} trailing words\n", Shape::Lines),
            ("{\"a\":1}{\"a\":2}", Shape::Sequence),
            ("{\"a\":1} {\"a\":2}\n", Shape::Sequence),
            ("{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}\n", Shape::Sequence),
            ("{broken\n{\"a\":1}\n", Shape::Lines),
            ("{\"a\":\"broken\n{\"a\":\"b\"}\n", Shape::Lines),
        ];
        for (text, shape) in cases {
            assert_eq!(sniff(text.as_bytes(), false), *shape, "{text}");
        }
        assert_eq!(sniff(b"[1,2]", true), Shape::Array, "its sender said so");
    }
}
