//! JSON (RFC 8259) straight into events: no tree, no allocation per value.
//!
//! [`read_object`] checks one object and writes its leaves into the open event under dotted names: `{"a":{"b":1}}`
//! becomes `a.b` = 1. A list of scalars becomes a list; objects and lists *inside* lists are kept as their own JSON
//! text. Where the text is not JSON, the leaves read so far stay in the event and the caller decides.
//!
//! More lenient than the RFC in one point: raw control characters inside strings are accepted and flagged
//! ([`Anomaly::SyntaxInvalid`]), since real shippers write them and refusing would lose the whole structure.

use panoptes_model::{Anomaly, BatchWriter, FieldId, FieldType};

/// How deep objects may nest before the rest is kept as text ([`Anomaly::NestingTooDeep`]). Deeper than anything a
/// product logs, shallow enough for the stack.
const NESTING_MAX: usize = 32;
/// How deep a value that is only skipped may nest; it costs no stack, so this only bounds absurdity.
const SKIP_NESTING_MAX: usize = 4_096;
/// A dotted name longer than this ends as text under its parent's name ([`Anomaly::NestingTooDeep`]).
const NAME_BYTES_MAX: usize = 512;

/// The text is not a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct Malformed {
    /// Where in the text.
    pub offset: usize,
    pub reason: Reason,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    #[error("the text ends inside a value")]
    Truncated,
    #[error("an object must begin with `{{`")]
    NotAnObject,
    #[error("expected a key in quotes")]
    KeyExpected,
    #[error("expected `:`")]
    ColonExpected,
    #[error("expected `,` or the end of the object or list")]
    CommaExpected,
    #[error("expected a value")]
    ValueExpected,
    #[error("malformed number")]
    Number,
    #[error("malformed escape")]
    Escape,
    #[error("values nested too deeply")]
    Nesting,
    #[error("text after the end of the object")]
    Trailing,
}

/// Reads one object, which must fill `text` but for white space around it, into the event that `writer` has open.
///
/// # Errors
/// [`Malformed`] says where the text stops being JSON; the fields before that place were written.
pub fn read_object(writer: &mut BatchWriter<'_>, text: &str) -> Result<(), Malformed> {
    let mut reader =
        Reader { text, bytes: text.as_bytes(), at: 0, name: String::new(), scratch: String::new(), seen: [0; 4] };
    reader.skip_space();
    reader.eat(b'{', Reason::NotAnObject)?;
    reader.object(writer, 1)?;
    reader.skip_space();
    if reader.at < reader.bytes.len() { Err(reader.malformed(Reason::Trailing)) } else { Ok(()) }
}

/// A string as it lies in the text.
struct Span {
    start: usize,
    end: usize,
    escaped: bool,
}

struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    /// The dotted name of the object being read, with a dot behind unless empty.
    name: String,
    scratch: String,
    /// A 256-bit filter of the fields written so far: says cheaply that a key is new.
    seen: [u64; 4],
}

impl<'t> Reader<'t> {
    fn malformed(&self, reason: Reason) -> Malformed {
        let reason = if self.at >= self.bytes.len() { Reason::Truncated } else { reason };
        Malformed { offset: self.at.min(self.bytes.len()), reason }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8, otherwise: Reason) -> Result<(), Malformed> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.malformed(otherwise))
        }
    }

    fn slice(&self, start: usize, end: usize) -> &'t str {
        // Borders always lie next to ASCII bytes of JSON's own syntax.
        self.text.get(start..end).unwrap_or("")
    }

    /// The members of an object whose `{` has been read.
    fn object(&mut self, writer: &mut BatchWriter<'_>, depth: usize) -> Result<(), Malformed> {
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.skip_space();
            self.eat(b'"', Reason::KeyExpected)?;
            let key = self.string(writer)?;
            self.skip_space();
            self.eat(b':', Reason::ColonExpected)?;
            self.skip_space();
            self.member(writer, &key, depth)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.malformed(Reason::CommaExpected)),
            }
        }
    }

    /// One value under `key` of the object being read.
    fn member(&mut self, writer: &mut BatchWriter<'_>, key: &Span, depth: usize) -> Result<(), Malformed> {
        let parent = self.name.len();
        if self.peek() == Some(b'{') {
            self.push_key(writer, key)?;
            if depth < NESTING_MAX && self.name.len() < NAME_BYTES_MAX {
                self.name.push('.');
                self.at += 1;
                let empty = self.at;
                self.object(writer, depth + 1)?;
                if self.slice(empty, self.at).trim_ascii() == "}" {
                    // An empty object has no leaf: keep that the key was there.
                    self.name.pop();
                    if let Some(id) = writer.field(&self.name) {
                        self.note(writer, id);
                        writer.null(id);
                    }
                }
            } else {
                writer.anomaly(Anomaly::NestingTooDeep);
                let start = self.at;
                self.skip_value()?;
                if let Some(id) = writer.field(&self.name) {
                    writer.text(id, self.slice(start, self.at));
                }
            }
            self.name.truncate(parent);
            return Ok(());
        }
        let id = if parent == 0 && !key.escaped {
            writer.field(self.slice(key.start, key.end))
        } else {
            self.push_key(writer, key)?;
            let id = writer.field(&self.name);
            self.name.truncate(parent);
            id
        };
        match id {
            Some(id) => {
                self.note(writer, id);
                self.value(writer, id)
            }
            None => self.skip_value(),
        }
    }

    /// Appends the decoded key to the dotted name.
    fn push_key(&mut self, writer: &mut BatchWriter<'_>, key: &Span) -> Result<(), Malformed> {
        let text = self.slice(key.start, key.end);
        if key.escaped {
            let mut scratch = std::mem::take(&mut self.scratch);
            scratch.clear();
            let done = unescape(text, &mut scratch);
            self.name.push_str(&scratch);
            self.scratch = scratch;
            self.flag_escape(writer, done, key)?;
        } else {
            self.name.push_str(text);
        }
        Ok(())
    }

    /// Flags a key that the event has already.
    fn note(&mut self, writer: &mut BatchWriter<'_>, id: FieldId) {
        let bit = id.fixed_index().unwrap_or_else(|| writer.field_count().wrapping_mul(37)) % 256;
        if let Some(word) = self.seen.get_mut(bit / 64) {
            let mask = 1 << (bit % 64);
            if *word & mask != 0 && writer.has(id) {
                writer.anomaly(Anomaly::KeyDuplicate);
            }
            *word |= mask;
        }
    }

    fn value(&mut self, writer: &mut BatchWriter<'_>, id: FieldId) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                let span = self.string(writer)?;
                let text = self.slice(span.start, span.end);
                if span.escaped {
                    let mut done = Ok(false);
                    writer.text_with(id, |arena| done = unescape(text, arena));
                    self.flag_escape(writer, done, &span)?;
                } else if matches!(writer.schema().field_type(id), FieldType::Text) {
                    writer.text(id, text);
                } else {
                    writer.typed(id, text);
                }
            }
            Some(b'[') => {
                self.at += 1;
                self.list(writer, id)?;
            }
            Some(b't') => self.word("true").map(|()| writer.boolean(id, true))?,
            Some(b'f') => self.word("false").map(|()| writer.boolean(id, false))?,
            Some(b'n') => self.word("null").map(|()| writer.null(id))?,
            Some(b'-' | b'0'..=b'9') => match self.number()? {
                Number::Integer(number) => writer.integer(id, number),
                Number::Float(number) => writer.float(id, number),
            },
            _ => return Err(self.malformed(Reason::ValueExpected)),
        }
        Ok(())
    }

    /// The items of a list whose `[` has been read.
    fn list(&mut self, writer: &mut BatchWriter<'_>, id: FieldId) -> Result<(), Malformed> {
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            writer.list(id).close();
            return Ok(());
        }
        let is_ip = writer.schema().field_type(id) == FieldType::Ip;
        let (mut control, mut lone) = (false, false);
        let mut list = writer.list(id);
        loop {
            self.skip_space();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    let (span, flagged) = self.string_span()?;
                    control |= flagged;
                    let text = self.slice(span.start, span.end);
                    if span.escaped {
                        let mut done = Ok(false);
                        list.text_with(|arena| done = unescape(text, arena));
                        lone |= done.map_err(|at| Malformed { offset: span.start + at, reason: Reason::Escape })?;
                    } else {
                        match if is_ip { text.parse().ok() } else { None } {
                            Some(address) => list.ip(address),
                            None => list.text(text),
                        }
                    }
                }
                Some(b'{' | b'[') => {
                    let start = self.at;
                    self.skip_value()?;
                    list.text(self.slice(start, self.at));
                }
                Some(b't') => self.word("true").map(|()| list.boolean(true))?,
                Some(b'f') => self.word("false").map(|()| list.boolean(false))?,
                Some(b'n') => self.word("null").map(|()| list.null())?,
                Some(b'-' | b'0'..=b'9') => match self.number()? {
                    Number::Integer(number) => list.integer(number),
                    Number::Float(number) => list.float(number),
                },
                _ => return Err(self.malformed(Reason::ValueExpected)),
            }
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    break;
                }
                _ => return Err(self.malformed(Reason::CommaExpected)),
            }
        }
        list.close();
        if control || lone {
            writer.anomaly(Anomaly::SyntaxInvalid);
        }
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), Malformed> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.malformed(Reason::ValueExpected))
        }
    }

    /// A number by the RFC's grammar: an `i64` where it is one, else a float.
    fn number(&mut self) -> Result<Number, Malformed> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        if negative {
            self.at += 1;
        }
        let digits_start = self.at;
        let mut magnitude = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            magnitude = magnitude.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.at - digits_start;
        if digits == 0 || (digits > 1 && self.bytes.get(digits_start) == Some(&b'0')) {
            return Err(self.malformed(Reason::Number));
        }
        if !matches!(self.peek(), Some(b'.' | b'e' | b'E')) && digits <= 18 {
            // 18 digits always fit.
            let value = magnitude as i64;
            return Ok(Number::Integer(if negative { -value } else { value }));
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            whole = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = self.slice(start, self.at);
        match text.parse::<i64>() {
            Ok(value) if whole => Ok(Number::Integer(value)),
            _ => text.parse().map(Number::Float).map_err(|_| self.malformed(Reason::Number)),
        }
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.malformed(Reason::Number)) } else { Ok(()) }
    }

    /// The string whose opening quote has been read.
    fn string(&mut self, writer: &mut BatchWriter<'_>) -> Result<Span, Malformed> {
        let (span, control) = self.string_span()?;
        if control {
            writer.anomaly(Anomaly::SyntaxInvalid);
        }
        Ok(span)
    }

    /// The same, and whether it holds raw control characters.
    fn string_span(&mut self) -> Result<(Span, bool), Malformed> {
        let start = self.at;
        let (mut escaped, mut control) = (false, false);
        loop {
            self.at = next_special(self.bytes, self.at);
            match self.peek() {
                Some(b'"') => {
                    let span = Span { start, end: self.at, escaped };
                    self.at += 1;
                    return Ok((span, control));
                }
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => {
                    control = true;
                    self.at += 1;
                }
                None => return Err(self.malformed(Reason::Truncated)),
            }
        }
    }

    fn flag_escape(
        &self,
        writer: &mut BatchWriter<'_>,
        done: Result<bool, usize>,
        span: &Span,
    ) -> Result<(), Malformed> {
        match done {
            Ok(false) => Ok(()),
            Ok(true) => {
                writer.anomaly(Anomaly::SyntaxInvalid);
                Ok(())
            }
            Err(at) => Err(Malformed { offset: span.start + at, reason: Reason::Escape }),
        }
    }

    /// Passes over one value, checking only that its brackets and strings close.
    fn skip_value(&mut self) -> Result<(), Malformed> {
        let mut depth = 0_usize;
        loop {
            self.skip_space();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.string_span()?;
                }
                Some(b'{' | b'[') => {
                    depth += 1;
                    if depth > SKIP_NESTING_MAX {
                        return Err(self.malformed(Reason::Nesting));
                    }
                    self.at += 1;
                    continue;
                }
                Some(b'}' | b']') if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                Some(b',' | b':') if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                Some(b'-' | b'0'..=b'9') => {
                    self.number()?;
                }
                _ => return Err(self.malformed(Reason::ValueExpected)),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

enum Number {
    Integer(i64),
    Float(f64),
}

/// The first quote, backslash or control character at or after `from`, eight bytes at a time.
fn next_special(bytes: &[u8], from: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut at = from;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*word);
        let zero_byte = |x: u64| x.wrapping_sub(ONES) & !x & HIGHS;
        let quote = zero_byte(word ^ (ONES * b'"' as u64));
        let backslash = zero_byte(word ^ (ONES * b'\\' as u64));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        // The lowest flagged byte is always a true one: borrows only spoil bytes above it.
        let found = quote | backslash | control;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        at += 1;
    }
    at
}

/// Appends the decoded `text` to `out`. `Ok(true)`: a surrogate stood alone and became U+FFFD. `Err`: the offset of a
/// malformed escape.
fn unescape(text: &str, out: &mut String) -> Result<bool, usize> {
    out.reserve(text.len());
    let mut lone = false;
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let offset = || text.len() - rest.len() + at;
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let (character, length) = match escape.as_bytes().get(1) {
            Some(b'n') => ('\n', 2),
            Some(b't') => ('\t', 2),
            Some(b'r') => ('\r', 2),
            Some(b'"') => ('"', 2),
            Some(b'\\') => ('\\', 2),
            Some(b'/') => ('/', 2),
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'u') => {
                let high = hex4(escape, 2).ok_or_else(offset)?;
                let low = if escape.get(6..8) == Some("\\u") { hex4(escape, 8) } else { None };
                match (high, low) {
                    (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
                        let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
                    }
                    _ => match char::from_u32(high) {
                        Some(character) => (character, 6),
                        None => {
                            lone = true;
                            (char::REPLACEMENT_CHARACTER, 6)
                        }
                    },
                }
            }
            _ => return Err(offset()),
        };
        out.push(character);
        rest = escape.get(length..).unwrap_or("");
    }
    out.push_str(rest);
    Ok(lone)
}

fn hex4(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?;
    // `from_str_radix` would accept a sign.
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use panoptes_model::{EventBatch, FrameId, Schema, Timestamp};

    use super::*;

    fn read(text: &str) -> (Result<(), Malformed>, String) {
        let mut result = Ok(());
        let now = Timestamp::from_seconds(9);
        let batch =
            EventBatch::build(Arc::new(Schema::ecs()), FrameId(1), now, Vec::new(), text.to_owned(), |writer| {
                writer.begin(writer.input(), 0, now, 0);
                writer.time(now);
                result = read_object(writer, writer.input());
            });
        let event = batch.event(0).unwrap();
        let fields: Vec<_> =
            event.fields().map(|(id, value)| format!("{}={}", batch.field_name(id), value.to_text())).collect();
        (result, fields.join(" "))
    }

    fn fields(text: &str) -> String {
        let (result, fields) = read(text);
        assert_eq!(result, Ok(()), "{text}");
        fields
    }

    fn malformed(text: &str) -> (usize, Reason) {
        let error = read(text).0.unwrap_err();
        (error.offset, error.reason)
    }

    #[test]
    fn leaves_get_dotted_names() {
        assert_eq!(fields(r#" {"a":{"b":1,"c":{"d":"x"}},"e":true} "#), "a.b=1 a.c.d=x e=true");
        assert_eq!(fields(r#"{"source":{"ip":"203.0.113.9","port":"22"}}"#), "source.ip=203.0.113.9 source.port=22");
        assert_eq!(fields("{}"), "");
        assert_eq!(fields(r#"{"a":{ },"b":null}"#), "a= b=");
    }

    #[test]
    fn lists_of_scalars_are_lists_and_others_keep_their_text() {
        assert_eq!(fields(r#"{"a":[1,"x",true,null,2.5]}"#), "a=1,x,true,,2.5");
        assert_eq!(fields(r#"{"a":[{"b":[1,{"c":"}"}]},[2]]}"#), r#"a={"b":[1,{"c":"}"}]},[2]"#);
        assert_eq!(fields(r#"{"a":[]}"#), "a=");
        assert_eq!(fields(r#"{"related.ip":["192.0.2.1","2001:DB8::1"]}"#), "related.ip=192.0.2.1,2001:db8::1");
    }

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(fields(r#"{"a":"\"\\\/\b\f\n\r\tA\u00e9\ud83d\ude00"}"#), "a=\"\\/\u{8}\u{c}\n\r\tAé😀");
        assert_eq!(fields(r#"{"\u0061b":{"\u0063":1}}"#), "ab.c=1");
        assert_eq!(fields(r#"{"a":"\ud83d!"}"#), "a=\u{fffd}! panoptes.anomaly=syntax_invalid");
        assert_eq!(malformed(r#"{"a":"x\qy"}"#), (7, Reason::Escape));
        assert_eq!(malformed(r#"{"a":"\u+123"}"#), (6, Reason::Escape));
    }

    #[test]
    fn numbers_follow_the_grammar() {
        assert_eq!(
            fields(r#"{"a":-0,"b":9223372036854775807,"c":-9223372036854775808}"#),
            "a=0 b=9223372036854775807 c=-9223372036854775808"
        );
        assert_eq!(fields(r#"{"a":1.5e3,"b":18446744073709551615}"#), "a=1500 b=18446744073709552000");
        for text in [r#"{"a":01}"#, r#"{"a":1.}"#, r#"{"a":1e}"#, r#"{"a":-}"#] {
            assert_eq!(malformed(text).1, Reason::Number, "{text}");
        }
        assert_eq!(malformed(r#"{"a":+1}"#).1, Reason::ValueExpected);
    }

    #[test]
    fn damage_is_told_with_its_place_and_what_was_read_stays() {
        let (result, fields) = read(r#"{"a":1,"b":"x"#);
        assert_eq!(result.unwrap_err(), Malformed { offset: 13, reason: Reason::Truncated });
        assert_eq!(fields, "a=1");
        assert_eq!(malformed(r#"{"a":1} x"#), (8, Reason::Trailing));
        assert_eq!(malformed(r#"{"a" 1}"#), (5, Reason::ColonExpected));
        assert_eq!(malformed(r#"{"a":1 "b":2}"#), (7, Reason::CommaExpected));
        assert_eq!(malformed(r#"{a:1}"#), (1, Reason::KeyExpected));
        assert_eq!(malformed(r#"{"a":tru}"#), (5, Reason::ValueExpected));
        assert_eq!(malformed("[1]"), (0, Reason::NotAnObject));
        assert_eq!(malformed(""), (0, Reason::Truncated));
    }

    #[test]
    fn deep_nesting_and_long_names_end_as_text() {
        let text = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
        let out = fields(&text);
        assert!(out.starts_with(&format!("a{}=", ".a".repeat(NESTING_MAX - 1))), "{out}");
        assert!(out.ends_with("panoptes.anomaly=nesting_too_deep"));
        let text = format!(r#"{{"{}":{{"b":1}}}}"#, "n".repeat(NAME_BYTES_MAX));
        assert!(fields(&text).ends_with(r#"={"b":1} panoptes.anomaly=nesting_too_deep"#));
        let text = format!(r#"{{"a":[{}{}]}}"#, "[".repeat(SKIP_NESTING_MAX + 1), "]".repeat(SKIP_NESTING_MAX + 1));
        assert_eq!(malformed(&text).1, Reason::Nesting);
    }

    #[test]
    fn a_repeated_key_is_kept_and_flagged() {
        assert_eq!(
            fields(r#"{"user.name":"a","user":{"name":"b"}}"#),
            "user.name=a user.name=b panoptes.anomaly=key_duplicate"
        );
    }

    #[test]
    fn raw_control_characters_are_flagged() {
        assert_eq!(fields("{\"a\":\"x\ty\"}"), "a=x\ty panoptes.anomaly=syntax_invalid");
        assert_eq!(fields("{\"a\":[\"x\ty\"]}"), "a=x\ty panoptes.anomaly=syntax_invalid");
    }

    #[test]
    fn the_special_byte_is_found_at_every_offset() {
        for special in [b'"', b'\\', 0x00, 0x1f] {
            for at in 0..40 {
                let mut bytes = vec![0x80 | 0x22; 40];
                bytes[at] = special;
                assert_eq!(next_special(&bytes, 0), at, "{special:#x}");
            }
        }
        assert_eq!(next_special(&[b'a'; 20], 3), 20);
    }
}
