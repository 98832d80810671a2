//! One segment and its sidecar.

use std::io;
use std::ops::Range;

use panoptes_seal::{CHUNK_BYTES, CHUNK_HEADER_BYTES, CHUNK_SEALED_BYTES, KeyEncryptionKey};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;

use super::{Finding, FindingKind, chain};
use crate::compact::read_digest;
use crate::damage::rows_behind;
use crate::disk::Disk;
use crate::manifest::{Segment, digest};
use crate::sealed_file::{SealedFile, SealedFileError};

/// What was found in one segment.
#[derive(Default)]
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    /// Events that were read.
    pub(super) rows: u64,
}

/// Where chunk `number` begins in its file.
pub(super) fn chunk_offset(number: u64) -> u64 {
    (CHUNK_HEADER_BYTES as u64).saturating_add(number.saturating_mul(CHUNK_SEALED_BYTES as u64))
}

pub(super) fn check_segment(disk: &dyn Disk, key: &KeyEncryptionKey, segment: &Segment, in_full: bool) -> Found {
    let mut found = Found::default();
    if let Some(words) = &segment.words {
        let file = segment.words_file();
        found.findings.extend(check_file(disk, key, &file, (words.bytes, words.digest), in_full).findings);
    }
    let expected = (segment.bytes, segment.digest);
    let checked = check_file(disk, key, &segment.file, expected, in_full);
    let is_whole = checked.findings.is_empty();
    for finding in checked.findings {
        let (events, rows) = match &checked.sealed {
            // A place that is known costs the row groups that lie there.
            Some(sealed) if finding.kind == FindingKind::Damaged => {
                let damaged = finding.offset.zip(finding.bytes).map(plaintext_of);
                rows_lost(sealed, damaged, segment.rows)
            }
            Some(_) => (0, Vec::new()),
            None => (segment.rows, all_rows(segment.rows)),
        };
        found.findings.push(Finding { events, rows, ..finding });
    }
    if is_whole && in_full {
        found.rows = segment.rows;
        match read_digest(disk, key, &segment.file) {
            Ok((rows, _)) if rows != segment.rows => found.findings.push(Finding::new(
                &segment.file,
                FindingKind::Altered,
                format!("it has {rows} rows, the manifest says {}", segment.rows),
            )),
            Ok((_, digest)) if segment.rows_digest.is_some_and(|it| it != digest) => {
                let text = "its rows are not those that the manifest says were written";
                found.findings.push(Finding::new(&segment.file, FindingKind::Altered, text));
            }
            Ok(_) => {}
            Err(error) => {
                found.findings.push(Finding::new(&segment.file, FindingKind::Altered, chain(&error)));
            }
        }
    }
    found
}

struct Checked {
    findings: Vec<Finding>,
    /// If it could be opened.
    sealed: Option<SealedFile>,
}

fn check_file(
    disk: &dyn Disk,
    key: &KeyEncryptionKey,
    path: &str,
    (bytes, expected): (u64, [u8; 32]),
    in_full: bool,
) -> Checked {
    let alone = |finding| Checked { findings: vec![finding], sealed: None };
    let file = match disk.open_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return alone(Finding::new(path, FindingKind::Missing, "restore it from a backup"));
        }
        Err(error) => return alone(Finding::new(path, FindingKind::Unreadable, chain(&error))),
    };
    let mut findings = Vec::new();
    match file.len() {
        Ok(length) if length != bytes => {
            let kind = if length < bytes { FindingKind::Truncated } else { FindingKind::Altered };
            let text = format!("it has {length} bytes, the manifest says {bytes}; restore it from a backup");
            findings.push(Finding::new(path, kind, text));
        }
        Ok(_) => {}
        Err(error) => return alone(Finding::new(path, FindingKind::Unreadable, chain(&error))),
    }
    if !in_full {
        // A file that cannot be opened costs all its rows; one that has its size was not looked into.
        let sealed = SealedFile::open(disk, key, path).ok();
        return Checked { findings, sealed };
    }
    let sealed = match SealedFile::open(disk, key, path) {
        Ok(sealed) => sealed,
        Err(error) => {
            let text = format!("{}; restore it from a backup", chain(&error));
            findings.push(Finding::new(path, FindingKind::Damaged, text).at(0, CHUNK_HEADER_BYTES as u64));
            return Checked { findings, sealed: None };
        }
    };
    // Neighbours that are damaged are one place.
    let mut damaged: Vec<(Range<u64>, String)> = Vec::new();
    for number in 0..sealed.chunks() {
        match sealed.chunk(number) {
            Ok(_) => {}
            Err(SealedFileError::NotRead { offset, source }) => {
                let text = format!("the disk could not read it: {source}");
                findings.push(Finding::new(path, FindingKind::Unreadable, text).at(offset, CHUNK_SEALED_BYTES as u64));
            }
            Err(error) => match damaged.last_mut() {
                Some((run, _)) if run.end == number => run.end += 1,
                _ => damaged.push((number..number + 1, chain(&error))),
            },
        }
    }
    for (run, text) in damaged {
        let (start, end) = (chunk_offset(run.start), chunk_offset(run.end).min(bytes.max(chunk_offset(run.start))));
        let text = format!("{text}; restore it from a backup");
        findings.push(Finding::new(path, FindingKind::Damaged, text).at(start, end - start));
    }
    match digest(&*file) {
        Ok(found) if found != expected && findings.is_empty() => {
            let text = "it is another file than the one that the manifest names; restore it from a backup";
            findings.push(Finding::new(path, FindingKind::Altered, text));
        }
        Ok(_) => {}
        Err(error) if findings.is_empty() => findings.push(Finding::new(path, FindingKind::Unreadable, chain(&error))),
        Err(_) => {}
    }
    Checked { findings, sealed: Some(sealed) }
}

/// The plaintext that lies in some bytes of the file.
fn plaintext_of((offset, bytes): (u64, u64)) -> Range<u64> {
    let chunk = |at: u64| at.saturating_sub(CHUNK_HEADER_BYTES as u64) / CHUNK_SEALED_BYTES as u64;
    let (first, last) = (chunk(offset), chunk(offset.saturating_add(bytes).saturating_sub(1)));
    first.saturating_mul(CHUNK_BYTES as u64)..last.saturating_add(1).saturating_mul(CHUNK_BYTES as u64)
}

fn all_rows(rows: u64) -> Vec<(u64, u64)> {
    if rows == 0 { Vec::new() } else { vec![(0, rows - 1)] }
}

/// How many rows are lost with a part of the plaintext, and which.
fn rows_lost(sealed: &SealedFile, damaged: Option<Range<u64>>, rows: u64) -> (u64, Vec<(u64, u64)>) {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Skip);
    let (Ok(metadata), Some(damaged)) = (ArrowReaderMetadata::load(sealed, options), damaged) else {
        return (rows, all_rows(rows));
    };
    let lost = rows_behind(metadata.metadata(), &damaged);
    let count = lost.iter().map(|it| it.end - it.start).sum();
    (count, lost.into_iter().filter(|it| it.start < it.end).map(|it| (it.start, it.end - 1)).collect())
}
