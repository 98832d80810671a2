//! Turns the rows of comma-separated values into JSON objects under the names of the header.
//!
//! Every value becomes a JSON string: which type it has is the field's to say, not the writer's. The comma may be a
//! semicolon or a tab. Rows that are shorter than the header lack those fields; further cells are `column_5` and so
//! on, so that nothing is lost.

use std::io::{self, Read};

use memchr::memchr;

use super::{At, Collector, Stop};
use crate::counters::RejectReason;
use crate::limits::{CSV_COLUMNS_MAX, CSV_HEADER_BYTES_MAX, CSV_ROW_BYTES_MAX};

/// Why a text is no table at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CsvError {
    #[error("the header has more than {CSV_COLUMNS_MAX} columns")]
    ColumnsTooMany,
    #[error("the header is longer than {CSV_HEADER_BYTES_MAX} bytes")]
    HeaderTooLong,
    #[error("the text could not be read")]
    Read(#[source] io::Error),
    #[error("the text was not read to its end")]
    Stopped(Stop),
}

impl From<Stop> for CsvError {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

/// Cuts the rows of `text` into `out`.
pub(crate) fn cut_csv(out: &mut Collector<'_>, text: &[u8]) -> Result<(), CsvError> {
    let mut table = Table::new(text, text)?;
    while table.next_row(out)? {}
    Ok(())
}

/// A table that is read row by row.
pub(crate) struct Table<R> {
    rows: csv::Reader<Guarded<R>>,
    /// The header as JSON keys.
    names: Vec<Vec<u8>>,
    row: csv::ByteRecord,
    json: Vec<u8>,
}

impl<R: Read> Table<R> {
    /// Reads the header. `start` is the beginning of `text`, as far as it is known.
    pub(crate) fn new(text: R, start: &[u8]) -> Result<Self, CsvError> {
        let rows = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter(start))
            .from_reader(Guarded { text, row_bytes: 0 });
        let mut table = Self { rows, names: Vec::new(), row: csv::ByteRecord::new(), json: Vec::new() };
        table.read()?;
        table.names = names(&table.row)?;
        Ok(table)
    }

    /// Whether the header looks like one: more than one column, and none of them without a name.
    pub(crate) fn is_plausible(&self) -> bool {
        self.names.len() > 1 && self.row.iter().all(|it| !it.trim_ascii().is_empty())
    }

    /// Cuts one row, if there is one.
    pub(crate) fn next_row(&mut self, out: &mut Collector<'_>) -> Result<bool, CsvError> {
        if !self.read()? {
            return Ok(false);
        }
        let end = self.rows.position().byte();
        let (line, offset) = self.row.position().map_or((0, 0), |it| (it.line(), it.byte()));
        let at = At { line, offset, end };
        if self.row.len() > CSV_COLUMNS_MAX {
            let reason = format!("the row has more than {CSV_COLUMNS_MAX} columns");
            out.reject(RejectReason::Malformed, at, reason)?;
        } else if self.row.iter().any(|it| !it.is_empty()) {
            object(&mut self.json, &self.names, &self.row);
            out.accept(&self.json, at)?;
        }
        Ok(true)
    }

    fn read(&mut self) -> Result<bool, CsvError> {
        self.rows.get_mut().row_bytes = 0;
        self.rows.read_byte_record(&mut self.row).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(source) => CsvError::Read(source),
            kind => CsvError::Read(io::Error::other(format!("{kind:?}"))),
        })
    }
}

/// Ends a row that does not end: a quote that is never closed would be read into memory up to the end of the file.
struct Guarded<R> {
    text: R,
    row_bytes: usize,
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.row_bytes > CSV_ROW_BYTES_MAX {
            let text = format!("a row does not end within {CSV_ROW_BYTES_MAX} bytes: a quote is not closed");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let length = self.text.read(buffer)?;
        self.row_bytes += length;
        Ok(length)
    }
}

/// Whichever of comma, semicolon and tab the first line has most of.
fn delimiter(start: &[u8]) -> u8 {
    let line = start.get(..memchr(b'\n', start).unwrap_or(start.len())).unwrap_or_default();
    let count = |byte: u8| memchr::memchr_iter(byte, line).count();
    [b',', b';', b'\t'].into_iter().rev().max_by_key(|it| count(*it)).unwrap_or(b',')
}

/// The header as JSON keys.
fn names(header: &csv::ByteRecord) -> Result<Vec<Vec<u8>>, CsvError> {
    if header.len() > CSV_COLUMNS_MAX {
        return Err(CsvError::ColumnsTooMany);
    }
    if header.as_slice().len() > CSV_HEADER_BYTES_MAX {
        return Err(CsvError::HeaderTooLong);
    }
    let names = header.iter().enumerate().map(|(index, name)| {
        let name = if index == 0 { super::without_mark(name) } else { name };
        match name.trim_ascii() {
            [] => quoted(format!("column_{}", index + 1).as_bytes()),
            name => quoted(name),
        }
    });
    Ok(names.collect())
}

fn object(json: &mut Vec<u8>, names: &[Vec<u8>], row: &csv::ByteRecord) {
    json.clear();
    json.push(b'{');
    for (index, cell) in row.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        match names.get(index) {
            Some(name) => json.extend_from_slice(name),
            None => json.extend(quoted(format!("column_{}", index + 1).as_bytes())),
        }
        json.push(b':');
        quote(json, cell);
    }
    json.push(b'}');
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut json = Vec::new();
    quote(&mut json, text);
    json
}

fn quote(json: &mut Vec<u8>, text: &[u8]) {
    let start = json.len();
    if serde_json::to_writer(&mut *json, &*String::from_utf8_lossy(text)).is_err() {
        // Strings always have a JSON form and a vector always has room; were it otherwise, no half value stays.
        json.truncate(start);
        json.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::super::collector::tests::collector;
    use super::*;

    fn run(text: &[u8]) -> (Vec<String>, Vec<(u64, u64)>) {
        let mut out = collector();
        cut_csv(&mut out, text).unwrap();
        let collected = out.finish();
        (collected.texts(), collected.rejected.iter().map(|it| (it.record, it.line)).collect())
    }

    #[test]
    fn rows_become_objects_under_the_header() {
        let (texts, _) =
            run(b"\xef\xbb\xbftime, user ,text\r\n1,root,\"a \"\"quoted\"\", text\nof two lines\"\r\n\r\n2,w\xff\n");
        assert_eq!(
            texts,
            [
                r#"{"time":"1","user":"root","text":"a \"quoted\", text\nof two lines"}"#,
                "{\"time\":\"2\",\"user\":\"w\u{fffd}\"}",
            ]
        );
        assert_eq!(run(b"a;b\n1,5;2\n").0, [r#"{"a":"1,5","b":"2"}"#]);
        assert_eq!(run(b"a\tb\n1\t2\n").0, [r#"{"a":"1","b":"2"}"#]);
        assert_eq!(run(b"a,\n1,2,3\n").0, [r#"{"a":"1","column_2":"2","column_3":"3"}"#]);
        assert_eq!(run(b"").0, [""; 0]);
        assert_eq!(run(b"only,a,header\n").0, [""; 0]);
    }

    #[test]
    fn columns_and_the_header_are_bounded() {
        let mut out = collector();
        let wide = vec![b','; CSV_COLUMNS_MAX];
        assert!(matches!(cut_csv(&mut out, &wide), Err(CsvError::ColumnsTooMany)));
        let long = vec![b'x'; CSV_HEADER_BYTES_MAX + 1];
        assert!(matches!(cut_csv(&mut out, &long), Err(CsvError::HeaderTooLong)));
        let text = [b"a,b\n1,2\n".as_slice(), &wide, b"\n3,4\n"].concat();
        let (texts, rejected) = run(&text);
        assert_eq!((texts.len(), rejected), (2, vec![(2, 3)]));
    }

    #[test]
    fn a_quote_that_is_never_closed_ends_at_the_limit() {
        let text = [b"a,b\n1,2\n\"".to_vec(), vec![b'x'; CSV_ROW_BYTES_MAX + (1 << 20)]].concat();
        let mut out = collector();
        assert!(matches!(cut_csv(&mut out, &text), Err(CsvError::Read(_))));
        assert_eq!(out.finish().texts().len(), 1);
    }

    #[test]
    fn names_cannot_blow_the_text_up() {
        let text = [vec![b'n'; 60_000], b"\n".to_vec(), b"1\n".repeat(2_000)].concat();
        let mut out = collector();
        let result = cut_csv(&mut out, &text);
        assert!(matches!(result, Err(CsvError::Stopped(Stop::RecordsTooMany | Stop::TextTooLarge))));
    }
}
