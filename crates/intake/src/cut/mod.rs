//! Cuts whole texts (a request's body, a file that must be seen as a whole) into records.
//!
//! Nothing here understands a record: it only finds where one ends. What is damaged but has an end is kept as it is
//! and becomes plain text later; what has no end is rejected with its position.

mod collector;
mod csv;
mod envelope;
mod json;

pub(crate) use self::collector::{At, Collected, Collector, CollectorLimits, Rejected, Stop};
pub(crate) use self::csv::{CsvError, Table, cut_csv};
pub(crate) use self::envelope::{begins_carrier, elements};
pub(crate) use self::json::{cut_array, cut_sequence};

use memchr::memchr;

use self::collector::LineCount;
use crate::headed::{Headed, Line};
use crate::limits::CARRIED_RECORDS_MAX;

/// How a text is divided into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One record a line: plain text, or one JSON value a line.
    Lines,
    /// One JSON array; each element is a record.
    Array,
    /// JSON objects one after another, on one line or on many.
    Sequence,
    /// One JSON object that carries a list of records ([`elements`]).
    Carrier,
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
    if begins_carrier(text) && elements_or_unclosed(text) {
        return Shape::Carrier;
    }
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

/// Whether `text`, which begins like a carrier, is one, as far as it is there: of a file only the beginning is.
fn elements_or_unclosed(text: &[u8]) -> bool {
    json::value_end(text, json::Strings::OnAnyLines) == Err(json::NoEnd::Unclosed)
        || elements(text, usize::MAX).is_some()
}

/// `text` without a byte order mark.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Cuts `text` at its line feeds. Empty lines are no records, rows below a header become objects, and an object that
/// carries records is taken apart.
pub(crate) fn cut_lines(out: &mut Collector<'_>, text: &[u8]) -> Result<(), Stop> {
    let marked = text.len() - without_mark(text).len();
    let mut headed = Headed::new(out.format());
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
            let at = At { line, offset: start as u64, end: next as u64 };
            match headed.line(record) {
                Line::Header => {}
                Line::Row(row) => out.accept(row, at)?,
                Line::AsIs => accept_object(out, record, at)?,
            }
        }
        start = next;
        line += 1;
    }
    Ok(())
}

/// Takes one record, or those that it carries.
fn accept_object(out: &mut Collector<'_>, record: &[u8], at: At) -> Result<(), Stop> {
    match elements(record, CARRIED_RECORDS_MAX) {
        None => out.accept(record, at),
        Some(elements) => elements.into_iter().try_for_each(|it| out.accept(record.get(it).unwrap_or_default(), at)),
    }
}

/// The text is one object that carries records. If it broke off, those that are whole are taken; if it is no carrier
/// after all, it is one record.
pub(crate) fn cut_carrier(out: &mut Collector<'_>, text: &[u8]) -> Result<(), Stop> {
    let body = without_mark(text).trim_ascii_start();
    let base = text.len() - body.len();
    if let Some(elements) = elements(body, usize::MAX) {
        let mut lines = LineCount::new(text);
        return elements.into_iter().try_for_each(|it| {
            let at =
                At { line: lines.at(base + it.start), offset: (base + it.start) as u64, end: (base + it.end) as u64 };
            out.accept(body.get(it).unwrap_or_default(), at)
        });
    }
    match envelope::list_at(body) {
        Some(list) if json::value_end(body, json::Strings::OnAnyLines).is_err() => {
            json::cut_list(out, text, base + list)
        }
        _ => cut_sequence(out, text),
    }
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
                    prop_assume!(!bytes.contains(&b'#'));
                    let lines = without_mark(&bytes).split(|it| *it == b'\n');
                    let expected = lines.filter(|it| !it.trim_ascii().is_empty()).count();
                    prop_assert_eq!(out.finish().records, expected as u64);
                }
                Shape::Array => cut_array(&mut out, &bytes).unwrap(),
                Shape::Sequence => {
                    cut_sequence(&mut out, &bytes).unwrap();
                    prop_assert!(out.finish().records > 0);
                }
                Shape::Carrier => cut_carrier(&mut out, &bytes).unwrap(),
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
            ("{\"Records\":[{\"a\":1},{\"a\":2}]}", Shape::Carrier),
            ("{\n\"Records\": [\n{\"a\":1},\n{\"a\":", Shape::Carrier),
            ("{\"Records\":[{\"a\":1}]}\n{\"Records\":[{\"a\":1}]}\n", Shape::Lines),
            ("{\"Records\":[{\"a\":1}],\"x\":1}", Shape::Lines),
        ];
        for (text, shape) in cases {
            assert_eq!(sniff(text.as_bytes(), false), *shape, "{text}");
        }
        assert_eq!(sniff(b"[1,2]", true), Shape::Array, "its sender said so");
    }

    fn cut(cut: fn(&mut Collector<'_>, &[u8]) -> Result<(), Stop>, text: &str) -> (Vec<String>, Vec<(u64, u64)>) {
        let mut out = collector();
        cut(&mut out, text.as_bytes()).unwrap();
        let collected = out.finish();
        (collected.texts(), collected.rejected.iter().map(|it| (it.line, it.offset)).collect())
    }

    #[test]
    fn carried_records_are_records() {
        let both = vec![r#"{"a":1}"#.to_owned(), r#"{"a":2}"#.to_owned()];
        let carrier = "\u{feff}{\"Records\":[\n{\"a\":1},\n{\"a\":2}\n]}\n";
        assert_eq!(cut(cut_carrier, carrier), (both.clone(), vec![]));
        assert_eq!(cut(cut_carrier, "{\"Records\":[\n{\"a\":1},\n{\"a\":2},\n{\"a\":"), (both.clone(), vec![(4, 31)]));
        assert_eq!(cut(cut_carrier, "{\"Records\":[{\"a\":1}],\"x\":1}").0, ["{\"Records\":[{\"a\":1}],\"x\":1}"]);
        let lines = "{\"Records\":[{\"a\":1}]}\n{\"Records\":[{\"a\":2}]}\n";
        assert_eq!(cut(cut_lines, lines), (both.clone(), vec![]));
        assert_eq!(cut(cut_sequence, &lines.replace('\n', " ")), (both, vec![]));
        let many = format!("{{\"Records\":[{}{{}}]}}", "{},".repeat(CARRIED_RECORDS_MAX));
        assert_eq!(cut(cut_lines, &many).0, [many.as_str()], "a line that carries too many stays one record");
    }

    #[test]
    fn rows_below_a_header_are_objects() {
        let text = "#fields\ta\tb\n1\t2\n3\n{\"c\":1}\n";
        assert_eq!(cut(cut_lines, text).0, [r#"{"a":"1","b":"2"}"#, "3", r#"{"c":1}"#]);
    }
}
