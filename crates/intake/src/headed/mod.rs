//! Lines whose meaning stands in a header above them: Zeek's tables and the W3C's extended log files (IIS, proxies,
//! CloudFront, the firewall of Windows).
//!
//! What reads a record later sees it alone, so each row becomes a JSON object under the names of its header here, as
//! rows of CSV do. A header counts at the beginning of a stream or behind another one: a line that somebody smuggled
//! into the middle of an ordinary log must not rename what follows it. A row that does not fit its header, or has none,
//! stays the text that it is and is counted.

mod w3c;
mod zeek;

use self::w3c::W3c;
use self::zeek::Zeek;
use crate::cut::without_mark;
use crate::limits::{CSV_COLUMNS_MAX, CSV_HEADER_BYTES_MAX, LINE_BYTES_MAX};

/// What a line turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'h> {
    /// A record by itself.
    AsIs,
    /// A part of a header, or a remark beside the rows: no record.
    Header,
    /// A row, as a JSON object.
    Row(&'h [u8]),
}

/// The header that is in force in one stream.
#[derive(Debug, Default)]
pub(crate) struct Headed {
    /// The source's format says that its lines are something else.
    off: bool,
    /// A record came that is no row: from here on no header begins.
    closed: bool,
    table: Option<Box<Table>>,
    json: Vec<u8>,
    unfit: u64,
}

#[derive(Debug)]
enum Table {
    Zeek(Zeek),
    W3c(W3c),
}

/// Why a row did not become an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unfit;

/// Names as JSON keys with their colons, ready to be copied.
type Names = Vec<Vec<u8>>;

impl Headed {
    /// `format` is what the configuration fixed for the source.
    pub(crate) fn new(format: Option<&str>) -> Self {
        let off = format.is_some_and(|it| it != "json");
        Self { off, ..Self::default() }
    }

    /// Says what `text`, the next line of the stream without its end, is.
    #[inline]
    pub(crate) fn line(&mut self, text: &[u8]) -> Line<'_> {
        if self.off || (self.table.is_none() && self.closed) {
            return Line::AsIs;
        }
        self.headed_line(text)
    }

    fn headed_line(&mut self, text: &[u8]) -> Line<'_> {
        if text.trim_ascii().is_empty() {
            return Line::AsIs;
        }
        if text.first() == Some(&b'#') {
            return self.directive(text);
        }
        let Some(table) = &mut self.table else {
            self.closed = true;
            self.unfit += u64::from(zeek::looks_like_row(text));
            return Line::AsIs;
        };
        // Objects that a sender mixes in are records by themselves, and what lost its end is no whole row.
        if text.first() == Some(&b'{') || text.len() >= LINE_BYTES_MAX {
            return Line::AsIs;
        }
        self.json.clear();
        let written = match &mut **table {
            Table::Zeek(zeek) => zeek.row(text, &mut self.json),
            Table::W3c(w3c) => w3c.row(text, &mut self.json),
        };
        if written.is_err() || self.json.len() >= LINE_BYTES_MAX {
            self.unfit += 1;
            return Line::AsIs;
        }
        Line::Row(&self.json)
    }

    fn directive(&mut self, text: &[u8]) -> Line<'static> {
        // A remark of a kind that is not known stands beside the rows as well.
        if let Some(table) = &mut self.table
            && (table.directive(text) || !(Zeek::begins(text) || W3c::begins(text)))
        {
            return Line::Header;
        }
        self.table = if Zeek::begins(text) {
            Some(Box::new(Table::Zeek(Zeek::new())))
        } else if W3c::begins(text) {
            Some(Box::new(Table::W3c(W3c::new())))
        } else {
            return Line::AsIs;
        };
        if let Some(table) = &mut self.table {
            table.directive(text);
        }
        Line::Header
    }

    /// Reads the header that stands at the beginning of a stream whose beginning, `start`, was read before.
    pub(crate) fn prime(&mut self, start: &[u8]) {
        for line in whole_lines(without_mark(start)) {
            if !line.starts_with(b"#") && !line.trim_ascii().is_empty() {
                break;
            }
            self.line(line);
        }
        self.closed = true;
    }

    /// Whether there is a header.
    pub(crate) fn is_in_force(&self) -> bool {
        self.table.is_some()
    }

    /// Reads the last header in `before`, a piece of the stream that was read before and ends where reading goes on,
    /// if one is in force by then: a writer that was started again writes a new one.
    pub(crate) fn prime_on(&mut self, before: &[u8]) {
        if self.table.is_none() {
            return;
        }
        let mut lines = whole_lines(before).collect::<Vec<_>>();
        let Some(last) = lines.iter().rposition(|it| it.starts_with(b"#fields") || it.starts_with(b"#Fields")) else {
            return;
        };
        let first = lines.get(..last).unwrap_or_default().iter().rposition(|it| !it.starts_with(b"#"));
        // A header whose beginning is not in the piece is read as far as it is there.
        for line in lines.drain(first.map_or(0, |it| it + 1)..).filter(|it| it.starts_with(b"#")) {
            self.line(line);
        }
    }

    /// How many rows came without a header or did not fit it, since the last call.
    pub(crate) fn take_unfit(&mut self) -> u64 {
        std::mem::take(&mut self.unfit)
    }
}

impl Table {
    /// Takes one line that begins with `#`, if it means something to this kind of table.
    fn directive(&mut self, text: &[u8]) -> bool {
        match self {
            Self::Zeek(zeek) => zeek.directive(text),
            Self::W3c(w3c) => w3c.directive(text),
        }
    }
}

/// The lines of `text` that have an end.
fn whole_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|it| *it == b'\n')
        .filter_map(|it| it.strip_suffix(b"\n"))
        .map(|it| it.strip_suffix(b"\r").unwrap_or(it))
}

/// Names as keys; `None` if there are more than a table may have, or none.
fn keys<'n>(names: impl Iterator<Item = &'n [u8]>) -> Option<Names> {
    let mut keys = Names::new();
    let mut bytes = 0;
    for name in names {
        bytes += name.len();
        if keys.len() >= CSV_COLUMNS_MAX || bytes > CSV_HEADER_BYTES_MAX {
            return None;
        }
        let mut key = Vec::new();
        match name.trim_ascii() {
            [] => quote(&mut key, format!("column_{}", keys.len() + 1).as_bytes()),
            name => quote(&mut key, name),
        }
        key.push(b':');
        keys.push(key);
    }
    (!keys.is_empty()).then_some(keys)
}

/// Appends `text` as a JSON string.
fn quote(json: &mut Vec<u8>, text: &[u8]) {
    // Most cells are plain; they are copied as they are.
    if text.iter().all(|it| matches!(it, b' '..=b'~') && !matches!(it, b'"' | b'\\')) {
        json.push(b'"');
        json.extend_from_slice(text);
        json.push(b'"');
        return;
    }
    let start = json.len();
    if serde_json::to_writer(&mut *json, &*String::from_utf8_lossy(text)).is_err() {
        // Strings always have a JSON form and a vector always has room; were it otherwise, no half value stays.
        json.truncate(start);
        json.extend_from_slice(b"null");
    }
}

/// Appends a member; `key` as [`keys`] made it.
fn begin_member(json: &mut Vec<u8>, key: &[u8]) {
    json.push(if json.is_empty() { b'{' } else { b',' });
    json.extend_from_slice(key);
}

/// Closes the object, which may have no member.
fn end_object(json: &mut Vec<u8>) {
    if json.is_empty() {
        json.push(b'{');
    }
    json.push(b'}');
}

#[cfg(test)]
mod tests;
