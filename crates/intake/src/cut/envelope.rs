//! Objects that carry many records in one list, as cloud services deliver them: CloudTrail's files and Azure's event
//! hubs (`Records`, `records`), CloudWatch (`logEvents`), Microsoft's APIs (`value`), Kubernetes and Google (`items`,
//! `entries`), OneLogin (`data`).
//!
//! Each element of the list is a record. An object counts as such a carrier only if it has no other member than those
//! that the service writes beside its list, and if all elements are objects: an ordinary record that happens to have
//! a list called `items` stays one record.

use std::ops::Range;

use super::json::{Strings, value_end};

/// How many members a carrier may have beside its list; none of the known ones has more.
const MEMBERS_MAX: usize = 8;

/// The list, and what may stand beside it.
const CARRIERS: &[(&[u8], &[&[u8]])] = &[
    (b"Records", &[]),
    (b"records", &[]),
    (b"value", &[b"@odata.context", b"@odata.nextLink", b"@odata.count", b"nextLink"]),
    (b"logEvents", &[b"messageType", b"owner", b"logGroup", b"logStream", b"subscriptionFilters"]),
    (b"items", &[b"kind", b"apiVersion", b"metadata", b"etag", b"nextPageToken"]),
    (b"entries", &[b"nextPageToken"]),
    (b"data", &[b"status", b"pagination"]),
];

/// Whether the object that `text` begins with may be a carrier: what can be told from its first key, so that other
/// records pay next to nothing.
#[inline]
fn may_be_carrier(text: &[u8]) -> bool {
    let Some((b'{', rest)) = text.split_first() else { return false };
    let rest = rest.trim_ascii_start();
    let Some((b'"', rest)) = rest.split_first() else { return false };
    CARRIERS.iter().any(|(list, beside)| {
        let is_first = |key: &[u8]| rest.strip_prefix(key).is_some_and(|it| it.first() == Some(&b'"'));
        is_first(list) || beside.iter().any(|it| is_first(it))
    })
}

/// Whether what is known of the object, its beginning, is that of a carrier, up to the first element of its list.
pub(crate) fn begins_carrier(start: &[u8]) -> bool {
    may_be_carrier(start) && matches!(list_of(start), Some((list, _)) if start.get(list.start).is_some())
}

/// Where the list of the carrier `text` begins, whether it ends or not.
pub(crate) fn list_at(text: &[u8]) -> Option<usize> {
    let (list, _) = list_of(text)?;
    memchr::memrchr(b'[', text.get(..list.start)?)
}

/// Where the elements of the carrier `text` are; `None` if it is none, or has none or more than `elements_max`.
pub(crate) fn elements(text: &[u8], elements_max: usize) -> Option<Vec<Range<usize>>> {
    if !may_be_carrier(text) {
        return None;
    }
    let (list, beside) = list_of(text)?;
    let mut elements = Vec::new();
    let mut at = list.start;
    loop {
        let rest = text.get(at..)?;
        if rest.first() != Some(&b'{') || elements.len() >= elements_max {
            return None;
        }
        let length = value_end(rest, Strings::OnAnyLines).ok()?;
        elements.push(at..at + length);
        at = skip_blanks(text, at + length);
        match text.get(at)? {
            b',' => at = skip_blanks(text, at + 1),
            b']' => break,
            _ => return None,
        }
    }
    // Nothing but known members behind the list, and nothing behind the object.
    let mut at = skip_blanks(text, at + 1);
    for _ in 0..MEMBERS_MAX {
        match text.get(at)? {
            b'}' => return text.get(at + 1..)?.trim_ascii().is_empty().then_some(elements),
            b',' => {
                let (key, value) = member(text, skip_blanks(text, at + 1))?;
                if !beside.contains(&key) {
                    return None;
                }
                at = skip_blanks(text, value + value_end(text.get(value..)?, Strings::OnAnyLines).ok()?);
            }
            _ => return None,
        }
    }
    None
}

/// Where the list's first element begins, and what may stand beside the list.
fn list_of(text: &[u8]) -> Option<(Range<usize>, &'static [&'static [u8]])> {
    let mut seen: [&[u8]; MEMBERS_MAX] = [b""; MEMBERS_MAX];
    let mut at = skip_blanks(text, 1);
    for index in 0..=MEMBERS_MAX {
        let (key, value) = member(text, at)?;
        let known = CARRIERS.iter().find(|(list, _)| *list == key);
        if let Some((_, beside)) = known.filter(|_| text.get(value) == Some(&b'[')) {
            let before = seen.get(..index)?;
            let first = skip_blanks(text, value + 1);
            let is_object = text.get(first) == Some(&b'{');
            return (is_object && before.iter().all(|it| beside.contains(it))).then_some((first..text.len(), *beside));
        }
        *seen.get_mut(index)? = key;
        at = skip_blanks(text, value + value_end(text.get(value..)?, Strings::OnAnyLines).ok()?);
        if text.get(at) != Some(&b',') {
            return None;
        }
        at = skip_blanks(text, at + 1);
    }
    None
}

/// The key of the member at `at`, as it is written, and where its value begins.
fn member(text: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = text.get(at..)?;
    if rest.first() != Some(&b'"') {
        return None;
    }
    let length = value_end(rest, Strings::OnOneLine).ok()?;
    let key = rest.get(1..length.checked_sub(1)?)?;
    let colon = skip_blanks(text, at + length);
    (text.get(colon) == Some(&b':')).then(|| (key, skip_blanks(text, colon + 1)))
}

fn skip_blanks(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.len() - rest.trim_ascii_start().len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Option<Vec<&str>> {
        Some(elements(text.as_bytes(), 100)?.into_iter().filter_map(|it| text.get(it)).collect())
    }

    #[test]
    fn carriers_are_taken_apart() {
        let one = |text| assert_eq!(cut(text).as_deref(), Some([r#"{"a":[1]}"#, r#"{"b":"]}"}"#].as_slice()), "{text}");
        one(r#"{"Records":[{"a":[1]},{"b":"]}"}]}"#);
        one("{\n  \"records\" : [ {\"a\":[1]} ,\n {\"b\":\"]}\"}\n]\n}\n");
        one(r#"{"@odata.context":"https://x","value":[{"a":[1]},{"b":"]}"}]}"#);
        one(r#"{"value":[{"a":[1]},{"b":"]}"}],"@odata.nextLink":"x"}"#);
        one(
            r#"{"messageType":"DATA_MESSAGE","owner":"1","subscriptionFilters":["f"],"logEvents":[{"a":[1]},{"b":"]}"}]}"#,
        );
        one(r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[{"a":[1]},{"b":"]}"}]}"#);
        one(r#"{"entries":[{"a":[1]},{"b":"]}"}]}"#);
    }

    #[test]
    fn other_objects_stay_whole() {
        for text in [
            r#"{"Records":[]}"#,
            r#"{"Records":[1,{"a":1}]}"#,
            r#"{"Records":[{"a":1},2]}"#,
            r#"{"Records":[{"a":1}],"level":"info"}"#,
            r#"{"level":"info","Records":[{"a":1}]}"#,
            r#"{"value":[{"a":1}],"unit":"ms"}"#,
            r#"{"value":5,"records":[{"a":1}]}"#,
            r#"{"Records":[{"a":1}"#,
            r#"{"Records":[{"a":1}]"#,
            r#"{"Records":[{"a":1}]} x"#,
            r#"{"items":{"a":[{"b":1}]}}"#,
            r#"{"a":1}"#,
            "{}",
            "[]",
            "",
        ] {
            assert_eq!(cut(text), None, "{text}");
        }
        assert_eq!(elements(br#"{"Records":[{},{}]}"#, 1), None, "more elements than wanted");
    }

    #[test]
    fn a_carrier_is_known_by_its_beginning() {
        assert!(begins_carrier(br#"{"Records": [ {"eventVersion":"1.0"#));
        assert!(begins_carrier(br#"{"messageType":"DATA_MESSAGE","owner":"1","logEvents":[{"#));
        assert!(!begins_carrier(br#"{"Records": ["#));
        assert!(!begins_carrier(br#"{"eventVersion":"1.0","#));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_carrier_or_not(text in "[{}\\[\\]\",:a ]{0,40}", tail: Vec<u8>) {
            for text in [text.clone().into_bytes(), format!("{{\"records\":[{text}").into_bytes(), tail] {
                begins_carrier(&text);
                for it in elements(&text, 10).unwrap_or_default() {
                    prop_assert_eq!(text[it].first(), Some(&b'{'));
                }
            }
        }
    }
}
