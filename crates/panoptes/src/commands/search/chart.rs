//! A chart over time as text: a line per bucket, with a bar for its last value.

use std::io::Write;

use panoptes_store::pivot::FieldValue;
use panoptes_store::search::Table;

use super::plain;
use crate::table::harmless;

/// How long the longest bar is.
const BAR_CHARS: usize = 40;
/// Parts of a character, from an eighth on.
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// Writes `table`, whose first column is the time.
pub(super) fn write(out: &mut impl Write, table: &Table) -> anyhow::Result<()> {
    if table.rows.is_empty() {
        writeln!(out, "no rows")?;
        return Ok(());
    }
    let size = |row: &Vec<FieldValue>| match row.last() {
        Some(FieldValue::Integer(number)) => *number as f64,
        Some(FieldValue::Float(number)) => *number,
        _ => 0.0,
    };
    let largest = table.rows.iter().map(size).fold(0.0, f64::max);
    let cells = |row: &Vec<FieldValue>| row.iter().map(|it| harmless(&plain(it))).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = table.rows.iter().map(cells).collect();
    let heads: Vec<String> = table.columns.iter().map(|it| it.to_uppercase()).collect();
    let mut widths: Vec<usize> = heads.iter().map(|it| it.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String], bar: &str| {
        let mut line = String::new();
        let last = cells.len().saturating_sub(1);
        for (index, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let space = " ".repeat(width.saturating_sub(cell.chars().count()));
            // Numbers end where they should.
            match index == last {
                true => line.push_str(&format!("{space}{cell}  ")),
                false => line.push_str(&format!("{cell}{space}  ")),
            }
        }
        line.push_str(bar);
        line.trim_end().to_owned()
    };
    writeln!(out, "{}", line(&heads, ""))?;
    for (row, cells) in table.rows.iter().zip(&rows) {
        writeln!(out, "{}", line(cells, &bar(size(row), largest)))?;
    }
    Ok(())
}

/// As long as `size` is of `largest`; what is there at all is seen.
fn bar(size: f64, largest: f64) -> String {
    if size <= 0.0 || largest <= 0.0 {
        return String::new();
    }
    let eighths = ((size / largest * (BAR_CHARS * 8) as f64).round() as usize).max(1);
    let rest = (eighths % 8).checked_sub(1).and_then(|it| EIGHTHS.get(it));
    "█".repeat(eighths / 8) + &rest.map(char::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values() {
        assert_eq!((bar(0.0, 8.0), bar(-1.0, 8.0), bar(1.0, 0.0)), (String::new(), String::new(), String::new()));
        assert_eq!(bar(8.0, 8.0), "█".repeat(BAR_CHARS));
        assert_eq!(bar(4.0, 8.0), "█".repeat(BAR_CHARS / 2));
        assert_eq!(bar(1.0, 80.0), "▌");
        assert_eq!(bar(1.0, 1e9), "▏");
    }
}
