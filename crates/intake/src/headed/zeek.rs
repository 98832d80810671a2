//! Zeek's tables: `#separator`, `#fields`, `#types`, `#path`, and rows of cells below them.
//!
//! A row becomes one object with `_path` (what kind of log it is) and its cells by their types. Cells that are unset
//! are left out, `(empty)` is an empty text or list, and `\x` escapes are undone.

use memchr::memmem;

use super::{Names, Unfit, begin_member, end_object, keys, quote};

/// How long a separator may be. A longer one is not believed.
const SEPARATOR_BYTES_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Zeek {
    separator: Vec<u8>,
    set_separator: Vec<u8>,
    empty: Vec<u8>,
    unset: Vec<u8>,
    path: Vec<u8>,
    /// `None`: the header has not named them, or too many.
    names: Option<Names>,
    types: Vec<Type>,
    scratch: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Type {
    is_list: bool,
    scalar: Scalar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scalar {
    Text,
    Integer,
    Float,
    Boolean,
}

impl Type {
    const TEXT: Self = Self { is_list: false, scalar: Scalar::Text };

    fn of(name: &[u8]) -> Self {
        let inner = [b"set[".as_slice(), b"vector[", b"list["].iter().find_map(|it| name.strip_prefix(*it));
        let scalar = match inner.map_or(name, |it| it.strip_suffix(b"]").unwrap_or(it)) {
            b"count" | b"int" | b"port" => Scalar::Integer,
            b"time" | b"interval" | b"double" => Scalar::Float,
            b"bool" => Scalar::Boolean,
            _ => Scalar::Text,
        };
        Self { is_list: inner.is_some(), scalar }
    }
}

impl Zeek {
    pub(super) fn begins(text: &[u8]) -> bool {
        text.starts_with(b"#separator ") || text.starts_with(b"#fields\t")
    }

    pub(super) fn new() -> Self {
        Self {
            separator: b"\t".to_vec(),
            set_separator: b",".to_vec(),
            empty: b"(empty)".to_vec(),
            unset: b"-".to_vec(),
            path: Vec::new(),
            names: None,
            types: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub(super) fn directive(&mut self, text: &[u8]) -> bool {
        if let Some(separator) = text.strip_prefix(b"#separator ") {
            *self = Self::new();
            let mut decoded = Vec::new();
            unescape(separator, &mut decoded);
            if (1..=SEPARATOR_BYTES_MAX).contains(&decoded.len()) {
                self.separator = decoded;
            }
            return true;
        }
        let Some(at) = memmem::find(text, &self.separator) else { return false };
        let (word, rest) = text.split_at(at);
        let value = rest.get(self.separator.len()..).unwrap_or_default();
        match word {
            b"#set_separator" if !value.is_empty() => self.set_separator = value.to_vec(),
            b"#empty_field" => self.empty = value.to_vec(),
            b"#unset_field" => self.unset = value.to_vec(),
            b"#path" => self.path = value.to_vec(),
            b"#fields" => {
                self.types.clear();
                self.names = keys(split(value, &self.separator));
            }
            b"#types" => self.types = split(value, &self.separator).take(self.width()).map(Type::of).collect(),
            b"#set_separator" | b"#open" | b"#close" => {}
            _ => return false,
        }
        true
    }

    fn width(&self) -> usize {
        self.names.as_ref().map_or(0, Vec::len)
    }

    pub(super) fn row(&mut self, text: &[u8], json: &mut Vec<u8>) -> Result<(), Unfit> {
        let names = self.names.as_ref().ok_or(Unfit)?;
        if split(text, &self.separator).count() != names.len() {
            return Err(Unfit);
        }
        if !self.path.is_empty() {
            begin_member(json, b"\"_path\":");
            quote(json, &self.path);
        }
        for (index, (name, cell)) in names.iter().zip(split(text, &self.separator)).enumerate() {
            if cell == self.unset {
                continue;
            }
            begin_member(json, name);
            let Type { is_list, scalar } = self.types.get(index).copied().unwrap_or(Type::TEXT);
            if !is_list {
                let cell = if cell == self.empty { b"" } else { cell };
                value(json, &mut self.scratch, cell, scalar);
                continue;
            }
            json.push(b'[');
            if cell != self.empty {
                for (index, item) in split(cell, &self.set_separator).enumerate() {
                    if index > 0 {
                        json.push(b',');
                    }
                    if item == self.unset {
                        json.extend_from_slice(b"null");
                    } else {
                        value(json, &mut self.scratch, item, scalar);
                    }
                }
            }
            json.push(b']');
        }
        end_object(json);
        Ok(())
    }
}

/// The parts of `text` between separators: always one more than there are separators.
fn split<'t>(text: &'t [u8], separator: &'t [u8]) -> impl Iterator<Item = &'t [u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let found = match separator {
            [byte] => memchr::memchr(*byte, text),
            _ => memmem::find(text, separator),
        };
        let Some(at) = found else { return rest.take() };
        rest = text.get(at + separator.len()..);
        text.get(..at)
    })
}

fn value(json: &mut Vec<u8>, scratch: &mut Vec<u8>, cell: &[u8], scalar: Scalar) {
    match scalar {
        Scalar::Integer if is_number(cell, false) => json.extend_from_slice(cell),
        Scalar::Float if is_number(cell, true) => json.extend_from_slice(cell),
        Scalar::Boolean if cell == b"T" => json.extend_from_slice(b"true"),
        Scalar::Boolean if cell == b"F" => json.extend_from_slice(b"false"),
        _ if memchr::memchr(b'\\', cell).is_none() => quote(json, cell),
        _ => {
            unescape(cell, scratch);
            quote(json, scratch);
        }
    }
}

/// Whether `cell` is a number as JSON writes it, without an exponent.
fn is_number(cell: &[u8], fraction: bool) -> bool {
    let digits = cell.strip_prefix(b"-").unwrap_or(cell);
    let mut parts = digits.splitn(2, |it| *it == b'.');
    let whole = parts.next().unwrap_or_default();
    let behind = parts.next();
    let all_digits = |it: &[u8]| !it.is_empty() && it.iter().all(u8::is_ascii_digit);
    all_digits(whole)
        && (whole.len() == 1 || whole.first() != Some(&b'0'))
        && behind.is_none_or(|it| fraction && all_digits(it))
}

/// Undoes `\x09` and `\\`; any other backslash is itself.
fn unescape(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let escaped = match (byte, text.get(at + 1)) {
            (b'\\', Some(b'\\')) => Some((b'\\', 2)),
            (b'\\', Some(b'x')) => hex(text.get(at + 2..at + 4)).map(|it| (it, 4)),
            _ => None,
        };
        let (byte, length) = escaped.unwrap_or((*byte, 1));
        out.push(byte);
        at += length;
    }
}

fn hex(digits: Option<&[u8]>) -> Option<u8> {
    let mut byte = 0;
    for digit in digits? {
        byte = byte << 4 | char::from(*digit).to_digit(16)? as u8;
    }
    Some(byte)
}

/// Whether a line that has no header looks like a row of such a table: a time with microseconds, a tab, an id.
pub(super) fn looks_like_row(text: &[u8]) -> bool {
    const SECONDS_DIGITS: usize = 10;
    const TIME_BYTES: usize = 17;
    text.get(SECONDS_DIGITS) == Some(&b'.')
        && text.get(TIME_BYTES) == Some(&b'\t')
        && text.get(..TIME_BYTES).is_some_and(|it| is_number(it, true))
}
