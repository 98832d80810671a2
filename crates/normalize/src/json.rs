//! JSON (RFC 8259) straight into events: no tree, no allocation per value.
//!
//! [`read_object`] checks one object and writes its leaves into the open event under dotted names: `{"a":{"b":1}}`
//! becomes `a.b` = 1. A list of scalars becomes a list; objects and lists *inside* lists are kept as their own JSON
//! text. Where the text is not JSON, the leaves read so far stay in the event and the caller decides.
//!
//! More lenient than the RFC in one point: raw control characters inside strings are accepted and flagged
//! ([`Anomaly::SyntaxInvalid`]), since real shippers write them and refusing would lose the whole structure.

mod decode;

use panoptes_model::{Anomaly, BatchWriter, FieldId, FieldType};

use self::decode::Decoder;

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
    read_object_as(writer, text, &mut OwnNames)
}

/// The same with names of the caller's choosing.
pub(crate) fn read_object_as<'t>(
    writer: &mut BatchWriter<'_>,
    text: &'t str,
    names: &mut impl Names<'t>,
) -> Result<(), Malformed> {
    // Neither is needed by most objects.
    let (name, scratch) = (String::new(), String::new());
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, names, name, scratch, decoder: Decoder::new() };
    reader.skip_space();
    reader.eat(b'{', Reason::NotAnObject)?;
    reader.object(writer, 1)?;
    if reader.decoder.spelled {
        writer.spelled();
    }
    reader.skip_space();
    if reader.at < reader.bytes.len() { Err(reader.malformed(Reason::Trailing)) } else { Ok(()) }
}

/// What becomes of the names in an object.
pub(crate) trait Names<'t> {
    /// Where in the object one is.
    type Place;

    /// The members that follow belong to the object with this dotted path (it ends with a dot). Returns the place
    /// before, to come back to.
    fn enter(&mut self, path: &str) -> Self::Place;

    fn leave(&mut self, before: Self::Place);

    /// What to do with the value of `key` in the object `path`, whose first byte is `first`. `path` may be written to,
    /// but must be as before at the end.
    fn leaf(&mut self, writer: &mut BatchWriter<'_>, path: &mut String, key: &str, first: u8) -> Leaf;

    /// What the key means that begins `rest`, and its length, if that is already known.
    fn foretold(&mut self, _writer: &mut BatchWriter<'_>, _rest: &[u8]) -> Option<(FieldId, u16, usize)> {
        None
    }

    /// What to do with the value of a key that was [foretold](Self::foretold) as `id` with `tag`.
    fn leaf_of(&self, id: FieldId, _tag: u16, _first: u8) -> Leaf {
        Leaf::Typed(id)
    }

    /// The value of a leaf with this tag was written: it is the last field by now.
    fn wrote(&mut self, _writer: &BatchWriter<'_>, _tag: u16) {}

    /// The text of a leaf that was to be captured: a string without escapes, or a number.
    fn captured(&mut self, _tag: u16, _text: &'t str) {}
}

/// What to do with a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leaf {
    Skip,
    /// Write it as what it is and what the schema says.
    Typed(FieldId),
    /// Write it as text; numbers and words as they are written.
    Text(FieldId, u16),
    /// Write nothing, but hand out the text.
    Capture(u16),
}

/// The sender's names, dotted.
struct OwnNames;

impl Names<'_> for OwnNames {
    type Place = ();

    fn enter(&mut self, _path: &str) {}

    fn leave(&mut self, _before: ()) {}

    #[inline]
    fn leaf(&mut self, writer: &mut BatchWriter<'_>, path: &mut String, key: &str, _first: u8) -> Leaf {
        own_key(writer, path, key).map_or(Leaf::Skip, Leaf::Typed)
    }
}

/// The field of `key` in the object `path` under its own dotted name.
#[inline]
pub(crate) fn own_key(writer: &mut BatchWriter<'_>, path: &mut String, key: &str) -> Option<FieldId> {
    let length = path.len();
    if length == 0 {
        return writer.key(key);
    }
    path.push_str(key);
    let id = writer.key(path);
    path.truncate(length);
    id
}

struct Reader<'t, 'n, N> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    names: &'n mut N,
    /// The dotted name of the object being read, with a dot behind unless empty.
    name: String,
    scratch: String,
    decoder: Decoder,
}

impl<'t, N: Names<'t>> Reader<'t, '_, N> {
    fn malformed(&self, reason: Reason) -> Malformed {
        let reason = if self.at >= self.bytes.len() { Reason::Truncated } else { reason };
        Malformed { offset: self.at.min(self.bytes.len()), reason }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn skip_space(&mut self) {
        // One comparison where there is none, which is nearly everywhere.
        while self.peek().is_some_and(|byte| byte <= b' ') {
            let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() else { return };
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
            match self.names.foretold(writer, self.bytes.get(self.at..).unwrap_or_default()) {
                Some((id, tag, length)) => {
                    let key = self.slice(self.at, self.at + length);
                    self.at += length + 1;
                    self.colon()?;
                    match self.peek() {
                        Some(b'{') => self.nested(writer, Some(key), depth)?,
                        first => {
                            writer.see(id);
                            self.leaf(writer, self.names.leaf_of(id, tag, first.unwrap_or(0)))?;
                        }
                    }
                }
                None => {
                    let key = self.key(writer)?;
                    self.colon()?;
                    self.member(writer, key, depth)?;
                }
            }
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

    #[inline]
    fn colon(&mut self) -> Result<(), Malformed> {
        self.skip_space();
        self.eat(b':', Reason::ColonExpected)?;
        self.skip_space();
        Ok(())
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
        let first = self.peek().unwrap_or(0);
        if first == b'{' {
            return self.nested(writer, key, depth);
        }
        let key = key.unwrap_or(&self.scratch);
        let leaf = self.names.leaf(writer, &mut self.name, key, first);
        self.leaf(writer, leaf)
    }

    #[inline]
    fn leaf(&mut self, writer: &mut BatchWriter<'_>, leaf: Leaf) -> Result<(), Malformed> {
        match leaf {
            Leaf::Typed(id) => self.value(writer, id),
            Leaf::Text(id, tag) => {
                self.value_as_text(writer, id)?;
                self.names.wrote(writer, tag);
                Ok(())
            }
            Leaf::Capture(tag) => self.capture(tag),
            Leaf::Skip => self.skip_value(),
        }
    }

    /// The object at hand, under `key`.
    fn nested(&mut self, writer: &mut BatchWriter<'_>, key: Option<&'t str>, depth: usize) -> Result<(), Malformed> {
        let start = self.at;
        let parent = self.name.len();
        self.name.push_str(key.unwrap_or(&self.scratch));
        let too_deep = depth >= NESTING_MAX || self.name.len() >= NAME_BYTES_MAX;
        if too_deep {
            writer.anomaly(Anomaly::NestingTooDeep);
            self.skip_value()?;
        } else {
            self.at += 1;
            self.skip_space();
            if self.peek() != Some(b'}') {
                self.name.push('.');
                let before = self.names.enter(&self.name);
                self.object(writer, depth + 1)?;
                self.names.leave(before);
                self.name.truncate(parent);
                return Ok(());
            }
            // An empty object has no leaf: keep that the key was there.
            self.at += 1;
        }
        self.name.truncate(parent);
        let key = key.unwrap_or(&self.scratch);
        if let Leaf::Typed(id) | Leaf::Text(id, _) = self.names.leaf(writer, &mut self.name, key, b'{') {
            if too_deep {
                writer.text(id, self.slice(start, self.at));
            } else {
                writer.null(id);
            }
        }
        Ok(())
    }

    /// The value at hand as text.
    #[inline]
    fn value_as_text(&mut self, writer: &mut BatchWriter<'_>, id: FieldId) -> Result<(), Malformed> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                match self.plain_string() {
                    Some(text) => writer.text(id, text),
                    None => self.decoded(writer, id)?,
                }
            }
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                self.skip_value()?;
                writer.text(id, self.slice(start, self.at));
            }
            _ => self.value(writer, id)?,
        }
        Ok(())
    }

    /// A string with escapes, whose opening quote has been read.
    fn decoded(&mut self, writer: &mut BatchWriter<'_>, id: FieldId) -> Result<(), Malformed> {
        let mut done = Ok(false);
        writer.text_with(id, |arena| done = self.decode(arena));
        if done? {
            writer.anomaly(Anomaly::SyntaxInvalid);
        }
        Ok(())
    }

    /// Hands the value at hand to the names instead of the event.
    fn capture(&mut self, tag: u16) -> Result<(), Malformed> {
        let start = self.at;
        if self.peek() == Some(b'"') {
            self.at += 1;
            match self.plain_string() {
                Some(text) => self.names.captured(tag, text),
                None => self.skip_string()?,
            }
            return Ok(());
        }
        let is_number = matches!(self.peek(), Some(b'-' | b'0'..=b'9'));
        self.skip_value()?;
        if is_number {
            self.names.captured(tag, self.slice(start, self.at));
        }
        Ok(())
    }

    fn value(&mut self, writer: &mut BatchWriter<'_>, id: FieldId) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                match self.plain_string() {
                    Some(text) if writer.schema().field_type(id) == FieldType::Text => writer.text(id, text),
                    Some(text) => writer.typed(id, text),
                    None => self.decoded(writer, id)?,
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
    #[inline(always)]
    fn plain_string(&mut self) -> Option<&'t str> {
        let end = next_special(self.bytes, self.at);
        if self.bytes.get(end) != Some(&b'"') {
            return None;
        }
        let text = self.slice(self.at, end);
        self.at = end + 1;
        Some(text)
    }

    /// Appends the string whose opening quote has been read to `out`. `true`: something in it was not as it should be.
    fn decode(&mut self, out: &mut String) -> Result<bool, Malformed> {
        self.decoder.decode(self.text, &mut self.at, out)
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
mod tests;
