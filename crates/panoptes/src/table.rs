//! Tables, CSV and JSON for listings: one place, so that every listing has every format.

use std::io::Write;

use serde_json::Value;

use crate::cli::Format;

/// Cells of a table wider than this are cut with an ellipsis; the other formats give all of them.
const CELL_CHARS_MAX: usize = 60;

/// A listing: names of columns, and rows of JSON values in their order.
pub(crate) struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl Table {
    pub(crate) fn new<T: Into<String>>(columns: impl IntoIterator<Item = T>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<Value>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows as objects, for a listing that is a part of something larger.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.rows.iter().map(|row| self.object(row)).collect()
    }

    /// Writes the listing; a table without rows writes nothing.
    pub(crate) fn write(&self, out: &mut impl Write, format: Format) -> anyhow::Result<()> {
        match format {
            Format::Table => self.write_table(out)?,
            Format::Csv => {
                write_csv_row(out, self.columns.iter().cloned())?;
                for row in &self.rows {
                    write_csv_row(out, row.iter().map(plain))?;
                }
            }
            Format::Jsonl => {
                for row in &self.rows {
                    writeln!(out, "{}", self.object(row))?;
                }
            }
            Format::Json => {
                writeln!(out, "{}", serde_json::to_string_pretty(&self.objects())?)?;
            }
        }
        out.flush()?;
        Ok(())
    }

    fn object(&self, row: &[Value]) -> Value {
        Value::Object(self.columns.iter().cloned().zip(row.iter().cloned()).collect())
    }

    fn write_table(&self, out: &mut impl Write) -> anyhow::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let heads: Vec<String> = self.columns.iter().map(|it| it.to_uppercase()).collect();
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(|cell| cut(&plain(cell))).collect()).collect();
        let mut widths: Vec<usize> = heads.iter().map(|it| it.chars().count()).collect();
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in std::iter::once(&heads).chain(&rows) {
            let mut line = String::new();
            for (width, cell) in widths.iter().zip(row) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A cell as people read it. Control characters are escaped: log text is hostile and must not drive a terminal.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => harmless(text),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// `text` with control characters escaped.
pub(crate) fn harmless(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

fn cut(text: &str) -> String {
    if text.chars().count() <= CELL_CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect()
}

/// RFC 4180; a cell that a spreadsheet would run as a formula is defused with an apostrophe.
pub(crate) fn write_csv_row(out: &mut impl Write, cells: impl Iterator<Item = String>) -> std::io::Result<()> {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        // The time's own name is the one of ours that begins so, and others look for it.
        let cell = if cell.starts_with(['=', '+', '@']) && cell != "@timestamp" { format!("'{cell}") } else { cell };
        if cell.contains([',', '"', '\n', '\r']) {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            out.write_all(cell.as_bytes())?;
        }
    }
    out.write_all(b"\r\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(format: Format) -> String {
        let mut table = Table::new(["id", "note"]);
        table.row(vec![json!(1), json!("a,\"b\"")]);
        table.row(vec![json!(22), json!("\u{1b}[31mred")]);
        let mut out = Vec::new();
        table.write(&mut out, format).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_format_writes_the_same_rows() {
        assert_eq!(written(Format::Table), "ID  NOTE\n1   a,\"b\"\n22  \\u{1b}[31mred\n");
        assert_eq!(written(Format::Csv), "id,note\r\n1,\"a,\"\"b\"\"\"\r\n22,\\u{1b}[31mred\r\n");
        assert_eq!(
            written(Format::Jsonl),
            "{\"id\":1,\"note\":\"a,\\\"b\\\"\"}\n{\"id\":22,\"note\":\"\\u001b[31mred\"}\n"
        );
        assert!(serde_json::from_str::<Value>(&written(Format::Json)).unwrap().as_array().unwrap().len() == 2);
    }

    #[test]
    fn a_cell_that_a_spreadsheet_would_run_is_defused() {
        let mut table = Table::new(["x"]);
        table.row(vec![json!("=cmd()")]);
        let mut out = Vec::new();
        table.write(&mut out, Format::Csv).unwrap();
        assert_eq!(out, b"x\r\n'=cmd()\r\n");
    }
}
