//! Finds where JSON values end, without reading what they say.

use memchr::{memchr_iter, memchr2};

use super::collector::LineCount;
use super::{At, Collector, Stop, without_mark};
use crate::counters::RejectReason;
use crate::limits::JSON_DEPTH_MAX;

/// Whether a string may hold a raw line feed. JSON forbids it, sloppy senders do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strings {
    OnOneLine,
    OnAnyLines,
}

/// Why a value's end was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoEnd {
    Unclosed,
    /// `]` closes `{` or the other way round.
    Mismatched,
    TooDeep,
}

impl NoEnd {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Unclosed => "the value is not closed before the end of the text",
            Self::Mismatched => "a bracket is closed by one of another kind",
            Self::TooDeep => "the value is nested too deeply for its end to be found",
        }
    }
}

/// How long the value is that `text` begins with.
pub(crate) fn value_end(text: &[u8], strings: Strings) -> Result<usize, NoEnd> {
    match text.first() {
        Some(b'{' | b'[') => brackets_end(text, strings),
        Some(b'"') => string_end(text, 0, strings),
        _ => Ok(text.iter().position(|it| b",]} \t\r\n".contains(it)).unwrap_or(text.len())),
    }
}

fn brackets_end(text: &[u8], strings: Strings) -> Result<usize, NoEnd> {
    let mut expected = Vec::new();
    let mut index = 0;
    while let Some(byte) = text.get(index) {
        match byte {
            b'{' | b'[' if expected.len() >= JSON_DEPTH_MAX => return Err(NoEnd::TooDeep),
            b'{' => expected.push(b'}'),
            b'[' => expected.push(b']'),
            b'"' => {
                index = string_end(text, index, strings)?;
                continue;
            }
            b'}' | b']' => {
                if expected.pop() != Some(*byte) {
                    return Err(NoEnd::Mismatched);
                }
                if expected.is_empty() {
                    return Ok(index + 1);
                }
            }
            _ => {}
        }
        index += 1;
    }
    Err(NoEnd::Unclosed)
}

/// Behind the string that begins at `start`.
fn string_end(text: &[u8], start: usize, strings: Strings) -> Result<usize, NoEnd> {
    let mut index = start + 1;
    loop {
        let rest = text.get(index..).unwrap_or_default();
        let found = memchr2(b'"', b'\\', rest).ok_or(NoEnd::Unclosed)?;
        let passed = rest.get(..found).unwrap_or_default();
        if strings == Strings::OnOneLine && memchr_iter(b'\n', passed).next().is_some() {
            return Err(NoEnd::Unclosed);
        }
        match rest.get(found) {
            Some(b'"') => return Ok(index + found + 1),
            _ => index += found + 2,
        }
    }
}

/// Each element of the array is a record; an element that is a string is the record's text.
pub(crate) fn cut_array(out: &mut Collector<'_>, text: &[u8]) -> Result<(), Stop> {
    let mut walk = Walk { text, index: text.len() - without_mark(text).len() };
    walk.blanks();
    cut_list(out, text, walk.index)
}

/// The same for the list that begins at `list` and is the last thing in the text.
pub(super) fn cut_list(out: &mut Collector<'_>, text: &[u8], list: usize) -> Result<(), Stop> {
    let mut lines = LineCount::new(text);
    let mut walk = Walk { text, index: list + 1 };
    walk.blanks();
    if walk.peek() == Some(b']') {
        return after(out, &mut walk, &mut lines);
    }
    loop {
        walk.blanks();
        let start = walk.index;
        let rest = text.get(start..).unwrap_or_default();
        let end = match rest.first() {
            // Not closed: what came before is whole.
            None => return reject_rest(out, &mut lines, start, text.len(), NoEnd::Unclosed.as_str()),
            Some(b',' | b']') => start,
            Some(_) => match value_end(rest, Strings::OnAnyLines) {
                Ok(length) => start + length,
                Err(problem) => return reject_rest(out, &mut lines, start, text.len(), problem.as_str()),
            },
        };
        walk.index = end;
        walk.skip_to_comma();
        let record = text.get(start..walk.index).unwrap_or_default().trim_ascii_end();
        let at = At { line: lines.at(start), offset: start as u64, end: walk.index as u64 };
        if record.is_empty() {
            out.reject(RejectReason::Malformed, at, "the element is empty".to_owned())?;
        } else {
            accept_element(out, record, at)?;
        }
        match walk.peek() {
            Some(b',') => walk.index += 1,
            Some(b']') => return after(out, &mut walk, &mut lines),
            _ => {
                let missing = "the array is not closed: the text was cut off here";
                return reject_rest(out, &mut lines, walk.index, text.len(), missing);
            }
        }
    }
}

fn accept_element(out: &mut Collector<'_>, element: &[u8], at: At) -> Result<(), Stop> {
    if element.first() == Some(&b'"')
        && let Ok(line) = serde_json::from_slice::<String>(element)
    {
        let line = line.trim_end_matches(['\n', '\r']);
        if line.trim().is_empty() {
            return out.reject(RejectReason::Malformed, at, "the element is empty".to_owned());
        }
        return out.accept(line.as_bytes(), at);
    }
    out.accept(element, at)
}

/// What stands behind the array.
fn after(out: &mut Collector<'_>, walk: &mut Walk<'_>, lines: &mut LineCount<'_>) -> Result<(), Stop> {
    walk.index += 1;
    walk.blanks();
    match walk.peek() {
        None => Ok(()),
        Some(_) => reject_rest(out, lines, walk.index, walk.text.len(), "there is text after the end of the array"),
    }
}

/// Each of the objects that follow one another is a record.
pub(crate) fn cut_sequence(out: &mut Collector<'_>, text: &[u8]) -> Result<(), Stop> {
    let mut lines = LineCount::new(text);
    let mut walk = Walk { text, index: text.len() - without_mark(text).len() };
    loop {
        walk.blanks();
        let start = walk.index;
        let rest = text.get(start..).unwrap_or_default();
        match rest.first() {
            None => return Ok(()),
            Some(b'{') => {}
            Some(_) => return reject_rest(out, &mut lines, start, text.len(), "an object was expected here"),
        }
        match value_end(rest, Strings::OnAnyLines) {
            Ok(length) => {
                walk.index = start + length;
                let at = At { line: lines.at(start), offset: start as u64, end: walk.index as u64 };
                super::accept_object(out, rest.get(..length).unwrap_or_default(), at)?;
            }
            Err(problem) => return reject_rest(out, &mut lines, start, text.len(), problem.as_str()),
        }
    }
}

/// What has no end that could be found is one rejected record.
fn reject_rest(
    out: &mut Collector<'_>,
    lines: &mut LineCount<'_>,
    start: usize,
    end: usize,
    reason: &str,
) -> Result<(), Stop> {
    let at = At { line: lines.at(start), offset: start as u64, end: end as u64 };
    out.reject(RejectReason::Malformed, at, reason.to_owned())
}

struct Walk<'t> {
    text: &'t [u8],
    index: usize,
}

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.index).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.index += 1;
        }
    }

    /// What stands between a value and the next comma belongs to no value, so it stays with the one before.
    fn skip_to_comma(&mut self) {
        while !matches!(self.peek(), None | Some(b',' | b']')) {
            self.index += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::collector::tests::collector;
    use super::*;

    type Cut = fn(&mut Collector<'_>, &[u8]) -> Result<(), Stop>;

    /// Record, line, offset and reason.
    type Place = (u64, u64, u64, String);

    fn run(cut: Cut, text: &str) -> (Vec<String>, Vec<Place>) {
        let mut out = collector();
        cut(&mut out, text.as_bytes()).unwrap();
        let collected = out.finish();
        let rejected = collected.rejected.iter().map(|it| (it.record, it.line, it.offset, it.reason.clone())).collect();
        (collected.texts(), rejected)
    }

    #[test]
    fn each_element_is_a_record_as_it_was_written() {
        let text = "\u{feff}[ {\"a\": [1, {\"]\": \"}\\\"\"}]} ,\n\"plain\\tline\\n\", 5, null, [1,2] ]\n";
        let (texts, rejected) = run(cut_array, text);
        let expected = ["{\"a\": [1, {\"]\": \"}\\\"\"}]}", "plain\tline", "5", "null", "[1,2]"];
        assert_eq!((texts, rejected), (expected.map(str::to_owned).to_vec(), vec![]));
        assert_eq!(run(cut_array, " [ ] "), (vec![], vec![]));
    }

    #[test]
    fn a_malformed_element_with_an_end_is_kept_as_text() {
        let (texts, rejected) = run(cut_array, r#"[{"a":}, {"b":1} oops, {"c":2}]"#);
        assert_eq!(texts, [r#"{"a":}"#, r#"{"b":1} oops"#, r#"{"c":2}"#]);
        assert_eq!(rejected, []);
    }

    #[test]
    fn what_has_no_end_is_rejected_with_its_position() {
        let (texts, rejected) = run(cut_array, "[{\"a\":1},\n{\"b\":");
        assert_eq!(texts, [r#"{"a":1}"#]);
        assert_eq!(rejected, [(2, 2, 10, "the value is not closed before the end of the text".to_owned())]);

        let (texts, rejected) = run(cut_array, "[{\"a\":1},, {\"b\":2}");
        assert_eq!(texts, [r#"{"a":1}"#, r#"{"b":2}"#]);
        assert_eq!(rejected.iter().map(|it| (it.0, it.2)).collect::<Vec<_>>(), [(2, 9), (4, 18)]);

        let (texts, rejected) = run(cut_array, "[{\"a\":1]}, {\"b\":2}]");
        assert_eq!((texts.len(), rejected[0].3.as_str()), (0, "a bracket is closed by one of another kind"));
        let (texts, rejected) = run(cut_array, "[1] [2]");
        assert_eq!((texts.len(), rejected[0].2), (1, 4));
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = |depth: usize| format!("[{}{}]", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(run(cut_array, &deep(JSON_DEPTH_MAX)).0.len(), 1);
        let (texts, rejected) = run(cut_array, &deep(JSON_DEPTH_MAX + 1));
        assert!(texts.is_empty() && rejected[0].3.contains("too deeply"));
    }

    #[test]
    fn objects_one_after_another_are_records() {
        let (texts, rejected) = run(cut_sequence, "{\"a\":1}{\"b\":\"}\"}\n\n{\n \"c\": 3\n}\n");
        assert_eq!(texts, ["{\"a\":1}", "{\"b\":\"}\"}", "{\n \"c\": 3\n}"]);
        assert_eq!(rejected, []);
        let (texts, rejected) = run(cut_sequence, "{\"a\":1}\n, {\"b\":2}");
        assert_eq!((texts.len(), rejected[0].0, rejected[0].1, rejected[0].2), (1, 2, 2, 8));
    }

    proptest! {
        #[test]
        fn any_array_comes_back_element_by_element(
            values in proptest::collection::vec(any::<Vec<(String, i64)>>(), 0..8),
            blank in "[ \n\t]{0,3}",
        ) {
            let object = |it: &Vec<(String, i64)>| {
                let map: serde_json::Map<_, _> = it.iter().map(|(k, v)| (k.clone(), (*v).into())).collect();
                serde_json::to_string(&map).unwrap()
            };
            let objects: Vec<String> = values.iter().map(object).collect();
            let text = format!("{blank}[{blank}{}{blank}]{blank}", objects.join(&format!("{blank},{blank}")));
            let (texts, rejected) = run(cut_array, &text);
            prop_assert_eq!(&texts, &objects);
            prop_assert!(rejected.is_empty());
            prop_assert_eq!(run(cut_sequence, &objects.join(&blank)).0, objects);
        }

        #[test]
        fn hostile_text_ends_in_records_or_rejections(text in "[\\[\\]{}\",\\\\ a\n]{0,60}") {
            let (texts, rejected) = run(cut_sequence, &text);
            prop_assert!(texts.len() + rejected.len() > 0 || text.trim().is_empty());
            let (texts, rejected) = run(cut_array, &format!("[{text}"));
            prop_assert!(texts.len() + rejected.len() > 0 || text.trim() == "]");
        }
    }
}
