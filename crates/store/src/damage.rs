//! What a damaged place in a segment costs.

use std::ops::Range;

use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

/// The row groups that cannot be read when the bytes `damaged` of a Parquet file cannot, by number. Bytes between row
/// groups and the footer belong to none.
pub(crate) fn groups_behind(metadata: &ParquetMetaData, damaged: &Range<u64>) -> Vec<usize> {
    let is_hit = |column: &ColumnChunkMetaData| pieces(column).iter().any(|it| overlap(it, damaged));
    let groups = metadata.row_groups().iter().enumerate();
    groups.filter(|(_, group)| group.columns().iter().any(is_hit)).map(|(number, _)| number).collect()
}

/// The rows of these groups; all, if the damage lies in none and yet something cannot be read.
pub(crate) fn rows_behind(metadata: &ParquetMetaData, damaged: &Range<u64>) -> Vec<Range<u64>> {
    let hit = groups_behind(metadata, damaged);
    let mut lost: Vec<Range<u64>> = Vec::new();
    let mut first = 0_u64;
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let end = first.saturating_add(u64::try_from(group.num_rows()).unwrap_or(0));
        if hit.is_empty() || hit.contains(&number) {
            match lost.last_mut() {
                Some(last) if last.end == first => last.end = end,
                _ => lost.push(first..end),
            }
        }
        first = end;
    }
    lost
}

/// Where a column of a row group lies: values, bloom filter and indexes.
fn pieces(column: &ColumnChunkMetaData) -> Vec<Range<u64>> {
    let (start, length) = column.byte_range();
    let piece = |offset: Option<i64>, length: Option<i32>| {
        let offset = u64::try_from(offset?).ok()?;
        Some(offset..offset.saturating_add(u64::try_from(length.unwrap_or(1)).unwrap_or(1)))
    };
    [
        Some(start..start.saturating_add(length)),
        piece(column.bloom_filter_offset(), column.bloom_filter_length()),
        piece(column.column_index_offset(), column.column_index_length()),
        piece(column.offset_index_offset(), column.offset_index_length()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}
