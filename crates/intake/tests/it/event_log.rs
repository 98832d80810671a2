//! Windows event logs: every event of sound ones; of damaged ones what is left, and what is said of the rest.
//!
//! The logs are those of the public corpora, damaged here.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use panoptes_intake::inputs::{FileProblem, Import, ImportConfig, Problem};
use panoptes_intake::limits::EVENT_LOG_PROBLEMS_MAX;
use proptest::prelude::*;

use crate::support::{Seen, clock, gzip, seen, zstd};

const HEADER: usize = 4_096;
const CHUNK: usize = 65_536;

/// The folder of the corpora; `None` (after saying so) if there are none here. CI must have them.
#[expect(clippy::print_stdout, reason = "a test that is skipped must say so")]
fn corpora() -> Option<PathBuf> {
    let root = std::env::var_os("PANOPTES_CORPORA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora")), PathBuf::from);
    if root.is_dir() {
        return Some(root);
    }
    assert!(std::env::var_os("CI").is_none(), "no corpora in {}", root.display());
    println!("skipped: no corpora in {}", root.display());
    None
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A log of several chunks, with how many events each of them has.
fn several_chunks() -> Option<Vec<u8>> {
    let logs = files(&corpora()?.join("evtx-to-mitre"), "evtx");
    let whole = |bytes: &Vec<u8>| {
        let chunks: Vec<&[u8]> = bytes[HEADER..].chunks(CHUNK).filter(|it| it.starts_with(b"ElfChnk\0")).collect();
        chunks.len() >= 3 && chunks.len() * CHUNK + HEADER == bytes.len()
    };
    logs.iter().map(|it| fs::read(it).unwrap()).find(whole)
}

fn drain(import: Import) -> (Vec<Seen>, Vec<FileProblem>) {
    let mut records = Vec::new();
    let mut problems = Vec::new();
    for item in import {
        match item {
            Ok(batch) => records.extend(seen(&batch)),
            Err(problem) => problems.push(problem),
        }
    }
    (records, problems)
}

fn read(path: &Path) -> (Vec<Seen>, Vec<FileProblem>) {
    drain(Import::new(ImportConfig { paths: vec![path.to_owned()], ..ImportConfig::default() }, clock()))
}

/// The same from a file made for it.
fn read_bytes(bytes: &[u8]) -> (Vec<Seen>, Vec<FileProblem>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.evtx");
    fs::write(&path, bytes).unwrap();
    read(&path)
}

fn ids(records: &[Seen]) -> Vec<u64> {
    records.iter().map(|it| it.position).collect()
}

#[test]
fn every_event_of_the_rules_own_samples_is_read() {
    let Some(corpora) = corpora() else { return };
    let logs = files(&corpora.join("sigma/regression_data"), "evtx");
    assert!(logs.len() > 50);
    for path in logs {
        let (records, problems) = read(&path);
        assert!(problems.is_empty(), "{}: {problems:?}", path.display());
        assert!(!records.is_empty(), "{}", path.display());
        assert!(ids(&records).is_sorted_by(|left, right| left < right), "{}", path.display());
        for record in &records {
            let value: serde_json::Value = serde_json::from_str(&record.text).unwrap();
            let system = &value["Event"]["System"];
            assert!(system["EventRecordID"].is_u64(), "{}", path.display());
            assert!(system["Channel"].is_string() && system["Provider"]["#attributes"]["Name"].is_string());
        }
        // Beside each log lies what somebody else read from it.
        let Ok(theirs) = fs::read_to_string(path.with_extension("json")) else { continue };
        let theirs: Vec<serde_json::Value> =
            serde_json::Deserializer::from_str(&theirs).into_iter().collect::<Result<_, _>>().unwrap();
        assert_eq!(records.len(), theirs.len(), "{}", path.display());
        for (record, theirs) in records.iter().zip(&theirs) {
            let ours: serde_json::Value = serde_json::from_str(&record.text).unwrap();
            let data = |it: &serde_json::Value| it["Event"]["EventData"].as_object().map(|it| it.len());
            assert_eq!(data(&ours), data(theirs), "{}", path.display());
            assert_eq!(ours["Event"]["System"]["EventID"], theirs["Event"]["System"]["EventID"]);
        }
    }
}

#[test]
fn compressed_logs_and_logs_from_a_pipe_are_the_same() {
    let Some(log) = several_chunks() else { return };
    let (records, problems) = read_bytes(&log);
    assert!(problems.is_empty(), "{problems:?}");
    for packed in [gzip(&log), zstd(&log)] {
        let (again, problems) = read_bytes(&packed);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(ids(&again), ids(&records));
    }
    let mut import = Import::new(ImportConfig::default(), clock());
    import.add_reader("-", Cursor::new(log));
    assert_eq!(ids(&drain(import).0), ids(&records));
}

#[test]
fn a_log_that_began_anew_is_read_from_its_oldest_event_on() {
    let Some(log) = several_chunks() else { return };
    let (records, _) = read_bytes(&log);
    let (header, chunks) = log.split_at(HEADER);
    let (oldest, newer) = chunks.split_at(CHUNK);
    let (again, problems) = read_bytes(&[header, newer, oldest].concat());
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(ids(&again), ids(&records));
}

#[test]
fn a_damaged_chunk_costs_only_its_own_events() {
    let Some(log) = several_chunks() else { return };
    let (whole, _) = read_bytes(&log);
    let mut damaged = log.clone();
    damaged[HEADER + CHUNK..HEADER + CHUNK + 8].copy_from_slice(b"garbage!");
    let (records, problems) = read_bytes(&damaged);
    assert!(!records.is_empty() && records.len() < whole.len());
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(matches!(problems[0].problem, Problem::ChunkLost { chunk: 1, .. }), "{problems:?}");
    assert_eq!(problems[0].position, Some((HEADER + CHUNK) as u64));
    assert!(problems[0].problem.to_string().contains("chunk 1"));
}

#[test]
fn a_damaged_event_is_told_and_the_others_are_read() {
    let Some(log) = several_chunks() else { return };
    let (whole, _) = read_bytes(&log);
    let chunk = &log[HEADER..HEADER + CHUNK];
    let marks: Vec<usize> = (512..CHUNK - 4).filter(|at| chunk[*at..].starts_with(b"\x2a\x2a\0\0")).collect();
    let mut damaged = log.clone();
    damaged[HEADER + marks[1]..HEADER + marks[1] + 4].copy_from_slice(b"gone");
    let (records, problems) = read_bytes(&damaged);
    assert_eq!(records.len(), whole.len() - 1, "{problems:?}");
    assert!(problems.iter().any(|it| matches!(it.problem, Problem::ChunkChanged { chunk: 0 })), "{problems:?}");
    let lost = problems.iter().find(|it| matches!(it.problem, Problem::EventLost { chunk: 0, .. })).unwrap();
    assert_eq!(lost.position, Some((HEADER + marks[1]) as u64));
    let rejected: u64 = problems.iter().map(|it| it.problem.rejected_records()).sum();
    assert_eq!(rejected, 1);
}

#[test]
fn a_cut_log_gives_what_is_there_wherever_it_is_cut() {
    let Some(log) = several_chunks() else { return };
    let (whole, _) = read_bytes(&log);
    for cut in [HEADER + CHUNK, HEADER + 2 * CHUNK - 1, HEADER + CHUNK + 20_000, HEADER + CHUNK + 600, HEADER + 700] {
        let (records, problems) = read_bytes(&log[..cut]);
        assert!(records.len() < whole.len());
        assert_eq!(ids(&records), ids(&whole)[..records.len()], "{cut}");
        let told = problems.iter().any(|it| matches!(it.problem, Problem::ChunkCut { .. }));
        assert_eq!(told, !(cut - HEADER).is_multiple_of(CHUNK), "{cut} {problems:?}");
    }
    for cut in [8, 9, 100, 128, HEADER - 1] {
        let (records, problems) = read_bytes(&log[..cut]);
        assert!(records.is_empty());
        assert!(matches!(problems[..], [FileProblem { problem: Problem::EventLogHeader, .. }]), "{cut} {problems:?}");
    }
    let (records, problems) = read_bytes(&log[..HEADER]);
    assert!(records.is_empty());
    assert!(matches!(problems[..], [FileProblem { problem: Problem::EventLogEmpty, .. }]), "{problems:?}");
}

#[test]
fn only_so_many_problems_of_a_log_are_told_one_by_one() {
    let Some(log) = several_chunks() else { return };
    let mut bytes = log[..HEADER].to_vec();
    for _ in 0..EVENT_LOG_PROBLEMS_MAX + 5 {
        let start = bytes.len();
        bytes.resize(start + CHUNK, 0);
        bytes[start] = 1;
    }
    let (records, problems) = read_bytes(&bytes);
    assert!(records.is_empty());
    assert_eq!(problems.len(), EVENT_LOG_PROBLEMS_MAX + 1);
    assert!(matches!(problems.last().unwrap().problem, Problem::EventLogMore { problems: 5 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// The first two chunks of a log with bytes of them changed anywhere: read to the end, without a panic.
    #[test]
    fn changed_bytes_never_stop_the_reading(changes in prop::collection::vec((0..2 * CHUNK, any::<u8>()), 1..40)) {
        static LOG: std::sync::LazyLock<Option<Vec<u8>>> = std::sync::LazyLock::new(several_chunks);
        let Some(log) = &*LOG else { return Ok(()) };
        let mut damaged = log[..HEADER + 2 * CHUNK].to_vec();
        for (at, byte) in changes {
            damaged[HEADER + at] = byte;
        }
        let mut import = Import::new(ImportConfig::default(), clock());
        import.add_reader("-", Cursor::new(damaged));
        for batch in import.flatten() {
            for record in seen(&batch) {
                let read = serde_json::from_str::<serde_json::Value>(&record.text);
                prop_assert!(read.is_ok(), "{read:?} {}", record.text);
            }
        }
    }
}
