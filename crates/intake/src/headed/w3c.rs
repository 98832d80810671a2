//! Extended log files as the W3C drafted them: `#Software`, `#Date`, `#Fields`, and rows of cells below.
//!
//! A row becomes one object of texts with `_w3c` (the software that writes it, or nothing). `-` is left out. Cells are
//! divided by spaces, tabs (CloudFront writes its header with spaces all the same) or commas (Exchange), and may
//! stand in quotes, inside which a quote is doubled.

use super::{Names, Unfit, begin_member, end_object, keys, quote};

/// How much of the software's name and of the date is kept; the rest is cut.
const REMARK_BYTES_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct W3c {
    software: Vec<u8>,
    date: Vec<u8>,
    separator: u8,
    /// `None`: the header has not named them, or too many.
    names: Option<Names>,
    has_date: bool,
    cells: Vec<(usize, usize)>,
    scratch: Vec<u8>,
}

impl W3c {
    pub(super) fn begins(text: &[u8]) -> bool {
        [b"#Software:".as_slice(), b"#Version:", b"#Fields:", b"#Date:"].iter().any(|it| text.starts_with(it))
    }

    pub(super) fn new() -> Self {
        Self {
            software: Vec::new(),
            date: Vec::new(),
            separator: b' ',
            names: None,
            has_date: false,
            cells: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub(super) fn directive(&mut self, text: &[u8]) -> bool {
        let Some(at) = memchr::memchr(b':', text) else { return false };
        let (word, rest) = text.split_at(at);
        let value = rest.get(1..).unwrap_or_default().trim_ascii();
        let kept = value.get(..REMARK_BYTES_MAX).unwrap_or(value);
        match word {
            b"#Software" => self.software = kept.to_vec(),
            b"#Date" => self.date = kept.split(|it| matches!(it, b' ' | b'T')).next().unwrap_or_default().to_vec(),
            b"#Fields" => self.fields(value),
            b"#Version" | b"#Start-Date" | b"#End-Date" | b"#Remark" | b"#Log-type" | b"#Time Format"
            | b"#Log-Type" => {}
            _ => return false,
        }
        true
    }

    fn fields(&mut self, value: &[u8]) {
        let has = |byte: u8| memchr::memchr(byte, value).is_some();
        self.separator = if has(b'\t') {
            b'\t'
        } else if has(b',') && !has(b' ') {
            b','
        } else {
            b' '
        };
        let named = || value.split(|it| *it == self.separator).filter(|it| !it.is_empty());
        // A table of one column is somebody's remark.
        self.names = keys(named()).filter(|it| it.len() > 1);
        self.has_date = named().any(|it| it == b"date" || it.starts_with(b"date-time") || it == b"x-timestamp");
    }

    pub(super) fn row(&mut self, text: &[u8], json: &mut Vec<u8>) -> Result<(), Unfit> {
        let names = self.names.as_ref().ok_or(Unfit)?;
        let tabbed = self.separator == b' ' && memchr::memchr(b'\t', text).is_some();
        let separator = if tabbed { b'\t' } else { self.separator };
        let text = if separator == b' ' { text.trim_ascii_end() } else { text };
        split(text, separator, names.len(), &mut self.cells)?;
        begin_member(json, b"\"_w3c\":");
        quote(json, &self.software);
        if !self.has_date && !self.date.is_empty() {
            begin_member(json, b"\"date\":");
            quote(json, &self.date);
        }
        for (name, (start, end)) in names.iter().zip(&self.cells) {
            let cell = text.get(*start..*end).unwrap_or_default();
            if matches!(cell, b"-" | b"") {
                continue;
            }
            begin_member(json, name);
            match cell.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\"")) {
                Some(inner) => {
                    undouble(inner, &mut self.scratch);
                    quote(json, &self.scratch);
                }
                None => quote(json, cell),
            }
        }
        end_object(json);
        Ok(())
    }
}

/// Where the cells of `text` are: exactly `width`, or it is no row.
fn split(text: &[u8], separator: u8, width: usize, cells: &mut Vec<(usize, usize)>) -> Result<(), Unfit> {
    cells.clear();
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let quoted = if rest.first() == Some(&b'"') { quoted_length(rest, separator) } else { None };
        let length = quoted.or_else(|| memchr::memchr(separator, rest)).unwrap_or(rest.len());
        if cells.len() >= width {
            return Err(Unfit);
        }
        cells.push((at, at + length));
        if length == rest.len() {
            return if cells.len() == width { Ok(()) } else { Err(Unfit) };
        }
        at += length + 1;
    }
}

/// How long the cell in quotes is, if its quote closes before a separator or the end.
fn quoted_length(text: &[u8], separator: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr(b'"', text.get(at..)?)? + 1;
        match text.get(at) {
            Some(b'"') => at += 1,
            None => return Some(at),
            Some(byte) if *byte == separator => return Some(at),
            // A quote inside a cell that only begins with one.
            Some(_) => return None,
        }
    }
}

fn undouble(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut quotes = 0;
    for byte in text {
        quotes = if *byte == b'"' { quotes + 1 } else { 0 };
        if quotes != 2 {
            out.push(*byte);
        } else {
            quotes = 0;
        }
    }
}
