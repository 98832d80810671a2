//! Fields that rules may use though no event carries them: they are worked out when a rule asks.
//!
//! `url.decoded` is the target of a request as the server behind it would read it: percent-decoding undone up to
//! [`ROUNDS_MAX`] times (attackers encode twice to pass filters), `%uXXXX` too, `+` in the query as a space, and before
//! all that what servers escape when they write the log (`\x22`, `\"`).
//! `url.original` stays as it was sent, so rules can match on the encoding itself.

use std::borrow::Cow;

use panoptes_model::{Event, Value, field};

/// What rules call it.
pub(crate) const URL_DECODED: &str = "url.decoded";

/// How many layers of encoding are undone. What is left after that stays encoded.
const ROUNDS_MAX: usize = 3;
/// How many bytes of a target are decoded; the rest is left out. Longer ones are rejected by all common servers.
const URL_BYTES_MAX: usize = 8_192;

/// The decoded target of the event's request, if it has one.
pub(crate) fn url_decoded(event: Event<'_>) -> Option<Cow<'_, str>> {
    match event.get(field::URL_ORIGINAL)? {
        Value::Text(text) => Some(decoded(text)),
        _ => None,
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    let text = text.get(..text.floor_char_boundary(URL_BYTES_MAX)).unwrap_or_default();
    let query_start = text.find('?').unwrap_or(text.len());
    let plus_in_query = text.get(query_start..).is_some_and(|query| query.contains('+'));
    if !plus_in_query && !text.contains(['%', '\\']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.as_bytes().to_vec();
    if plus_in_query {
        for byte in bytes.iter_mut().skip(query_start).filter(|byte| **byte == b'+') {
            *byte = b' ';
        }
    }
    if text.contains('\\') {
        bytes = without_log_escapes(&bytes);
    }
    for _ in 0..ROUNDS_MAX {
        let Some(next) = undo_once(&bytes) else { break };
        bytes = next;
    }
    Cow::Owned(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// `bytes` with one layer of percent-encoding removed; `None` if there was none.
fn undo_once(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut changed = false;
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%' {
            if let [high, low, after @ ..] = tail
                && let (Some(high), Some(low)) = (hex(*high), hex(*low))
            {
                out.push(high << 4 | low);
                (changed, rest) = (true, after);
                continue;
            }
            if let [b'u' | b'U', a, b, c, d, after @ ..] = tail
                && let (Some(a), Some(b), Some(c), Some(d)) = (hex(*a), hex(*b), hex(*c), hex(*d))
            {
                let code = u32::from(a) << 12 | u32::from(b) << 8 | u32::from(c) << 4 | u32::from(d);
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                (changed, rest) = (true, after);
                continue;
            }
        }
        out.push(*first);
    }
    changed.then_some(out)
}

/// `bytes` as they were before nginx (`\xHH`) or Apache (that, `\"`, `\\`) wrote them to its log.
fn without_log_escapes(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        let (byte, after) = match (first, tail) {
            (b'\\', [b'x', high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (*first, tail),
            },
            (b'\\', [escaped @ (b'"' | b'\\'), after @ ..]) => (*escaped, after),
            _ => (*first, tail),
        };
        out.push(byte);
        rest = after;
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|it| it as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_encoding_are_undone_and_the_rest_is_left() {
        assert_eq!(decoded("/a/b?c=d"), "/a/b?c=d");
        assert_eq!(decoded("/a+b?c=d+e"), "/a+b?c=d e");
        assert_eq!(decoded("/%2e%2E/etc"), "/../etc");
        assert_eq!(decoded("/%252e%252e%252fetc"), "/../etc");
        assert_eq!(decoded("/%25252527"), "/%27", "a fourth layer stays");
        assert_eq!(decoded("/?q=%u0027or"), "/?q='or");
        assert_eq!(decoded("/100%/%zz%4"), "/100%/%zz%4");
        assert_eq!(decoded(r#"/?q=\x22\x3e<b>\"\\x"#), r#"/?q="><b>"\x"#);
        assert_eq!(decoded(r"/..\..\x\xg1\"), r"/..\..\x\xg1\");
    }

    #[test]
    fn bytes_that_are_no_text_and_long_targets_do_no_harm() {
        assert_eq!(decoded("/%c0%ae"), "/\u{fffd}\u{fffd}");
        assert_eq!(decoded("/%ud800"), "/\u{fffd}");
        let long = format!("/{}", "%41".repeat(URL_BYTES_MAX));
        assert!(decoded(&long).len() <= URL_BYTES_MAX);
    }
}
