//! What of a damaged segment can still be read: all row groups but those that the damage lies in.

use std::ops::Range;
use std::sync::Arc;

use panoptes_seal::{CHUNK_BYTES, CHUNK_HEADER_BYTES, CHUNK_SEALED_BYTES, SealError};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

use super::Searcher;
use super::fetch::SegmentFile;
use super::table::Part;
use crate::damage::{groups_behind, rows_behind};
use crate::object::SegmentError;
use crate::words::Groups;

/// The row groups that a damaged block costs.
pub(super) struct Loss {
    segment: String,
    offset: u64,
    source: Arc<SealError>,
    groups: Vec<usize>,
    rows: Vec<Range<u64>>,
}

impl Loss {
    /// `None` if the damage lies in no row group: then nothing can be read without it.
    pub(super) fn of(metadata: &ParquetMetaData, damage: &SegmentError) -> Option<Self> {
        let SegmentError::Damaged { segment, offset, source } = damage else { return None };
        let chunk = offset.checked_sub(CHUNK_HEADER_BYTES as u64)? / CHUNK_SEALED_BYTES as u64;
        let start = chunk.saturating_mul(CHUNK_BYTES as u64);
        let damaged = start..start.saturating_add(CHUNK_BYTES as u64);
        let groups = groups_behind(metadata, &damaged);
        let rows = rows_behind(metadata, &damaged);
        let (segment, offset, source) = (segment.clone(), *offset, Arc::clone(source));
        (!groups.is_empty()).then_some(Self { segment, offset, source, groups, rows })
    }

    pub(super) fn has_row(&self, row: u32) -> bool {
        self.rows.iter().any(|it| it.contains(&u64::from(row)))
    }

    pub(super) fn into_error(self) -> SegmentError {
        let rows: Vec<String> =
            self.rows.iter().map(|it| format!("{} to {}", it.start, it.end.saturating_sub(1))).collect();
        SegmentError::RowsLost {
            segment: self.segment,
            offset: self.offset,
            events: self.rows.iter().map(|it| it.end - it.start).sum(),
            rows: rows.join(", "),
            source: self.source,
        }
    }
}

impl Searcher {
    /// Takes out of `parts` what could not be read since the mark: row groups of a segment, or all of it. Each time there
    /// is less, so that asking again comes to an end.
    pub(super) fn leave_out_damaged(&self, parts: &mut Vec<Part>, mark: u64) -> Option<SegmentError> {
        let is_part = |it: &SegmentError| parts.iter().any(|part| part.file == it.segment());
        let damage = self.store.damage_since(mark).into_iter().find(is_part)?;
        tracing::warn!(error = %damage, "left out of a search");
        let part = parts.iter_mut().find(|it| it.file == damage.segment())?;
        if let Some(loss) = self.leave_out_groups(part, &damage) {
            return Some(loss.into_error());
        }
        parts.retain(|it| it.file != damage.segment());
        Some(damage)
    }

    /// Leaves out the row groups that a damaged block lies in; `None` if that does not help.
    fn leave_out_groups(&self, part: &mut Part, damage: &SegmentError) -> Option<Loss> {
        let file = SegmentFile { store: Arc::clone(&self.store), file: part.file.clone(), size: part.size };
        // Page indexes may be what is damaged.
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Skip);
        let footer = ArrowReaderMetadata::load(&file, options).ok()?;
        let loss = Loss::of(footer.metadata(), damage)?;
        let count = footer.metadata().num_row_groups();
        let before: Vec<bool> = match &part.groups {
            Some(groups) if groups.iter().len() == count => groups.iter().collect(),
            Some(_) => return None,
            None => vec![true; count],
        };
        let after: Vec<bool> = before.iter().enumerate().map(|(n, it)| *it && !loss.groups.contains(&n)).collect();
        // Otherwise it was met all the same.
        if after == before {
            return None;
        }
        part.groups = Some(Groups::new(after));
        Some(loss)
    }
}
