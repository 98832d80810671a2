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
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, name: String::new(), scratch: String::new() };
    reader.skip_space();
    reader.eat(b'{', Reason::NotAnObject)?;
    reader.object(writer, 1)?;
    reader.skip_space();
    if reader.at < reader.bytes.len() { Err(reader.malformed(Reason::Trailing)) } else { Ok(()) }
}

struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    /// The dotted name of the object being read, with a dot behind unless empty.
    name: String,
    scratch: String,
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
            let key = self.key(writer)?;
            self.skip_space();
            self.eat(b':', Reason::ColonExpected)?;
            self.skip_space();
            self.member(writer, key, depth)?;
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

    /// A key whose opening quote has been read; `None`: it had escapes and lies decoded in `scratch`.
    #[inline]
    fn key(&mut self, writer: &mut BatchWriter<'_>) -> Result<Option<&'t str>, Malformed> {
        if let Some(text) = self.plain_string() {
            return Ok(Some(text));
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let flagged = self.decode(&mut scratch);
        self.scratch = scratch;
        if flagged? {
            writer.anomaly(Anomaly::SyntaxInvalid);
        }
        Ok(None)
    }

    /// One value under `key` of the object being read.
    fn member(&mut self, writer: &mut BatchWriter<'_>, key: Option<&'t str>, depth: usize) -> Result<(), Malformed> {
        let parent = self.name.len();
        if self.peek() == Some(b'{') {
            self.push_key(key);
            self.nested(writer, depth)?;
            self.name.truncate(parent);
            return Ok(());
        }
        let id = match key {
            Some(key) if parent == 0 => writer.key(key),
            _ => {
                self.push_key(key);
                let id = writer.key(&self.name);
                self.name.truncate(parent);
                id
            }
        };
        match id {
            Some(id) => self.value(writer, id),
            None => self.skip_value(),
        }
    }

    /// Appends the key to the dotted name.
    fn push_key(&mut self, key: Option<&'t str>) {
        self.name.push_str(key.unwrap_or(&self.scratch));
    }

    /// The object at hand, whose dotted name is complete.
    fn nested(&mut self, writer: &mut BatchWriter<'_>, depth: usize) -> Result<(), Malformed> {
        let start = self.at;
        if depth >= NESTING_MAX || self.name.len() >= NAME_BYTES_MAX {
            writer.anomaly(Anomaly::NestingTooDeep);
            self.skip_value()?;
            if let Some(id) = writer.key(&self.name) {
                writer.text(id, self.slice(start, self.at));
            }
            return Ok(());
        }
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            // An empty object has no leaf: keep that the key was there.
            self.at += 1;
            if let Some(id) = writer.key(&self.name) {
                writer.null(id);
            }
            return Ok(());
        }
        self.name.push('.');
        self.object(writer, depth + 1)
    }

    fn value(&mut self, writer: &mut BatchWriter<'_>, id: FieldId) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                match self.plain_string() {
                    Some(text) if writer.schema().field_type(id) == FieldType::Text => writer.text(id, text),
                    Some(text) => writer.typed(id, text),
                    None => {
                        let mut done = Ok(false);
                        writer.text_with(id, |arena| done = self.decode(arena));
                        if done? {
                            writer.anomaly(Anomaly::SyntaxInvalid);
                        }
                    }
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
        let mut flagged = false;
        let mut list = writer.list(id);
        loop {
            self.skip_space();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    match self.plain_string() {
                        Some(text) => match if is_ip { text.parse().ok() } else { None } {
                            Some(address) => list.ip(address),
                            None => list.text(text),
                        },
                        None => {
                            let mut done = Ok(false);
                            list.text_with(|arena| done = self.decode(arena));
                            flagged |= done?;
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
        if flagged {
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

    /// The string whose opening quote has been read, if it is its own text: no escapes, no control characters. Else
    /// nothing is read, and [`decode`](Self::decode) is the way.
    #[inline]
    fn plain_string(&mut self) -> Option<&'t str> {
        let end = next_special(self.bytes, self.at);
        if self.bytes.get(end) != Some(&b'"') {
            return None;
        }
        let text = self.slice(self.at, end);
        self.at = end + 1;
        Some(text)
    }

    /// Appends the string whose opening quote has been read to `out`, in one pass. `true`: it had raw control
    /// characters, or a surrogate that stood alone and became U+FFFD.
    fn decode(&mut self, out: &mut String) -> Result<bool, Malformed> {
        let mut flagged = false;
        let mut run = self.at;
        self.at = next_special(self.bytes, self.at);
        loop {
            match self.peek() {
                Some(b'"') => {
                    out.push_str(self.slice(run, self.at));
                    self.at += 1;
                    return Ok(flagged);
                }
                Some(b'\\') => {
                    if run < self.at {
                        out.push_str(self.slice(run, self.at));
                    }
                    flagged |= self.escape(out)?;
                    run = self.at;
                    // Escapes come in rows: line ends and indents.
                    if self.peek() != Some(b'\\') {
                        self.at = next_special(self.bytes, self.at);
                    }
                }
                Some(_) => {
                    flagged = true;
                    self.at = next_special(self.bytes, self.at + 1);
                }
                None => {
                    out.push_str(self.slice(run, self.bytes.len()));
                    return Err(self.malformed(Reason::Truncated));
                }
            }
        }
    }

    /// One escape, whose backslash is at hand. `true`: a surrogate stood alone.
    #[inline]
    fn escape(&mut self, out: &mut String) -> Result<bool, Malformed> {
        let simple = match self.bytes.get(self.at + 1) {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'u') => return self.unicode_escape(out),
            Some(_) => return Err(self.malformed(Reason::Escape)),
            None => return Err(Malformed { offset: self.bytes.len(), reason: Reason::Truncated }),
        };
        out.push(simple);
        self.at += 2;
        Ok(false)
    }

    fn unicode_escape(&mut self, out: &mut String) -> Result<bool, Malformed> {
        let high = self.hex4(self.at + 2).ok_or_else(|| self.malformed(Reason::Escape))?;
        self.at += 6;
        if let 0xd800..=0xdbff = high
            && self.bytes.get(self.at..self.at + 2) == Some(b"\\u")
            && let Some(low @ 0xdc00..=0xdfff) = self.hex4(self.at + 2)
        {
            self.at += 6;
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            return Ok(false);
        }
        let character = char::from_u32(high);
        out.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
        Ok(character.is_none())
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        self.bytes.get(at..at + 4)?.iter().try_fold(0, |code, byte| {
            let digit = char::from(*byte).to_digit(16)?;
            Some(code << 4 | digit)
        })
    }

    /// Passes over the string whose opening quote has been read.
    fn skip_string(&mut self) -> Result<(), Malformed> {
        loop {
            self.at = next_special(self.bytes, self.at);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err(self.malformed(Reason::Truncated)),
            }
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
                    self.skip_string()?;
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

/// The first quote, backslash or control character at or after `from`; the length of `bytes` if there is none.
#[inline]
fn next_special(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        let found = find_specials(block);
        if found != 0 {
            return at + found.trailing_zeros() as usize / BITS_PER_BYTE;
        }
        at += BLOCK;
    }
    while bytes.get(at).is_some_and(|byte| !is_special(*byte)) {
        at += 1;
    }
    at
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[expect(unsafe_code, reason = "vector instructions that every x86-64 has")]
fn find_specials(block: &[u8; BLOCK]) -> u32 {
    // SAFETY: the function needs SSE2 and nothing else, and SSE2 is part of the architecture.
    unsafe { specials(block) }
}

/// One bit per special byte.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn specials(block: &[u8; BLOCK]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let word = u128::from_le_bytes(*block);
    let bytes = _mm_set_epi64x((word >> 64) as i64, word as i64);
    let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
    let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
    let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control)) as u32
}
#[cfg(target_arch = "x86_64")]
const BLOCK: usize = 16;
#[cfg(target_arch = "x86_64")]
const BITS_PER_BYTE: usize = 1;

/// The highest bit of each special byte, and false ones only above the lowest true one.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn find_specials(block: &[u8; BLOCK]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(*block);
    let zero_byte = |x: u64| x.wrapping_sub(ONES) & !x & HIGHS;
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
    zero_byte(word ^ (ONES * b'"' as u64)) | zero_byte(word ^ (ONES * b'\\' as u64)) | control
}
#[cfg(not(target_arch = "x86_64"))]
const BLOCK: usize = 8;
#[cfg(not(target_arch = "x86_64"))]
const BITS_PER_BYTE: usize = 8;

const fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\') || byte < 0x20
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
        assert_eq!(fields, "a=1 b=x");
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
            for at in 0..120 {
                let mut bytes = vec![0x80 | 0x22; 120];
                bytes[at] = special;
                bytes[at + 1..].fill(b'"');
                assert_eq!(next_special(&bytes, 0), at, "{special:#x}");
            }
        }
        assert_eq!(next_special(&[b'a'; 20], 3), 20);
    }
}
