//! Files and folders, read once.

use std::fs;
use std::path::{Path, PathBuf};

use panoptes_intake::inputs::{FileProblem, Import, ImportConfig, Problem};
use panoptes_intake::limits::{IMPORT_WHOLE_BYTES_MAX, LINE_BYTES_MAX};
use panoptes_intake::{Counters, Sink, SinkError, SinkLimits};
use panoptes_model::FrameId;

use crate::support::{Seen, balanced, clock, gzip, seen, texts, zstd};

fn import(paths: &[PathBuf]) -> (Vec<Seen>, Vec<FileProblem>) {
    let mut records = Vec::new();
    let mut problems = Vec::new();
    for item in Import::new(ImportConfig { paths: paths.to_vec(), ..ImportConfig::default() }, clock()) {
        match item {
            Ok(batch) => records.extend(seen(&batch)),
            Err(problem) => problems.push(problem),
        }
    }
    (records, problems)
}

fn write(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn plain_and_compressed_files_are_told_by_content() {
    let folder = tempfile::tempdir().unwrap();
    let lines = b"one\r\n\ntwo\nthree";
    let mut names = Vec::new();
    for (name, content) in [
        ("plain.log", lines.to_vec()),
        ("gzip.dat", gzip(lines)),
        ("zstd.txt", zstd(lines)),
        ("members.gz", [gzip(b"one\r\n\n"), gzip(b"two\nth"), gzip(b"ree")].concat()),
        ("not-really.gz", lines.to_vec()),
    ] {
        names.push(write(folder.path(), name, &content));
    }
    for path in names {
        let (records, problems) = import(std::slice::from_ref(&path));
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(texts(&records), ["one", "two", "three"], "{}", path.display());
        assert_eq!(records.iter().map(|it| it.position).collect::<Vec<_>>(), [5, 10, 15]);
        assert!(records.iter().all(|it| it.path.as_deref() == path.to_str() && it.source == path.to_str().unwrap()));
    }
}

#[test]
fn json_texts_and_tables_become_their_records() {
    let folder = tempfile::tempdir().unwrap();
    let array = write(folder.path(), "a.json", b"[\n {\"a\":1},\n {\"a\":2}\n]\n");
    assert_eq!(texts(&import(&[array]).0), ["{\"a\":1}", "{\"a\":2}"]);
    let pretty = write(folder.path(), "b.json.gz", &gzip(b"{\n \"a\": 1\n}\n{\n \"a\": 2\n}\n"));
    assert_eq!(texts(&import(&[pretty]).0), ["{\n \"a\": 1\n}", "{\n \"a\": 2\n}"]);
    let lines = write(folder.path(), "c.json", b"{\"a\":1}\n{\"a\":2}\n");
    assert_eq!(texts(&import(&[lines]).0), ["{\"a\":1}", "{\"a\":2}"]);
    let table = write(folder.path(), "d.csv", b"time,user\n1,root\n2,\"a\nb\"\n");
    let (records, _) = import(&[table]);
    assert_eq!(texts(&records), ["{\"time\":\"1\",\"user\":\"root\"}", "{\"time\":\"2\",\"user\":\"a\\nb\"}"]);
    assert_eq!(records.iter().map(|it| it.position).collect::<Vec<_>>(), [17, 25]);
    let no_table = write(folder.path(), "e.csv", b"just a line\nand another\n");
    assert_eq!(import(&[no_table]).0.len(), 2);
    let apache = write(folder.path(), "error.log", b"[Mon Jan 15 10:30:00 2024] [error] one\n[Mon] two\n");
    assert_eq!(import(&[apache]).0.len(), 2);
}

#[test]
fn carried_records_and_rows_below_a_header_become_their_records() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(LINE_BYTES_MAX - 100);
    let trail = format!("{{\"Records\":[{{\"a\":\"{long}\"}},{{\"a\":2}}]}}");
    let trail = write(folder.path(), "trail.json.gz", &gzip(trail.as_bytes()));
    let (records, problems) = import(&[trail]);
    assert!(problems.is_empty() && records.len() == 2, "longer than a line may be: {problems:?}");
    let cut = write(folder.path(), "cut.json", b"{\"Records\":[{\"a\":1},{\"a\":");
    let (records, problems) = import(&[cut]);
    assert_eq!(texts(&records), ["{\"a\":1}"]);
    assert!(matches!(problems[0].problem, Problem::Record { line: 1, .. }) && problems[0].position == Some(20));
    let zeek = write(folder.path(), "conn.tsv", b"#separator \\x09\n#fields\ta\tb\n1\t2\nx\n3\n");
    let (records, problems) = import(&[zeek]);
    assert_eq!(texts(&records), [r#"{"a":"1","b":"2"}"#, "x", "3"]);
    assert!(matches!(problems[..], [FileProblem { problem: Problem::RowsUnfit { rows: 2 }, .. }]), "{problems:?}");
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let good = gzip(&b"line\n".repeat(100_000));
    write(folder.path(), "a.evtx", b"ElfFile\0\0\0\0\0");
    write(folder.path(), "b.pcap", b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0");
    write(folder.path(), "c.bin", &[0, 1, 2, 3, 4, 5, 6, 7]);
    write(folder.path(), "d.log.gz", &good[..good.len() - 20]);
    write(folder.path(), "e.log.gz", &[&good[..10], &[0xff; 100][..]].concat());
    write(folder.path(), "f.json", b"[{\"a\":1},,");
    write(folder.path(), "g.bin.gz", &gzip(&[0; 100]));
    write(folder.path(), "z.log", b"last\n");
    let (records, problems) = import(&[folder.path().to_owned(), folder.path().join("gone.log")]);
    assert_eq!(records.last().unwrap().text, "last");
    let from_broken = records.iter().filter(|it| it.path.as_deref().unwrap().ends_with("d.log.gz")).count();
    assert!(from_broken > 50_000, "what came before the break is kept: {from_broken}");
    let told = |name: &str| {
        let of = |it: &&FileProblem| it.path.file_name().unwrap() == name;
        problems.iter().find(of).unwrap_or_else(|| panic!("{name} is not told"))
    };
    assert!(matches!(told("a.evtx").problem, Problem::EventLogHeader));
    assert!(told("b.pcap").problem.to_string().contains("later version"));
    assert!(matches!(told("c.bin").problem, Problem::NotText { .. }));
    assert!(matches!(told("g.bin.gz").problem, Problem::NotText { .. }));
    assert!(matches!(told("d.log.gz").problem, Problem::Broken { .. }));
    assert!(told("d.log.gz").position.unwrap() > 250_000);
    assert!(matches!(told("e.log.gz").problem, Problem::Broken { .. }));
    assert!(matches!(told("f.json").problem, Problem::Record { line: 1, .. }));
    assert_eq!(told("f.json").position, Some(9));
    assert!(matches!(told("gone.log").problem, Problem::NotFound));
    assert_eq!(problems.len(), 9, "the array has two bad elements: {problems:?}");
}

#[test]
fn long_lines_are_cut_and_large_files_come_in_batches() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = vec![b'x'; LINE_BYTES_MAX + 5];
    text.push(b'\n');
    text.extend(b"a line of this file\n".repeat(300_000));
    let path = write(folder.path(), "large.log", &text);
    let mut import = Import::new(ImportConfig { paths: vec![path], ..ImportConfig::default() }, clock());
    assert_eq!((import.progress().files_total, import.progress().bytes_total), (1, text.len() as u64));
    let mut batches = 0;
    let mut records = 0;
    let mut done = 0;
    while let Some(item) = import.next() {
        let batch = item.unwrap();
        batches += 1;
        records += batch.records.len();
        assert!(import.progress().bytes_done > done || batches > 1);
        done = import.progress().bytes_done;
    }
    assert_eq!(records, 300_001);
    assert!(batches >= 5);
    let progress = import.progress();
    assert_eq!((progress.files_done, progress.bytes_done, progress.cut), (1, text.len() as u64, 1));
}

#[test]
fn json_that_must_be_seen_as_a_whole_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = b"[".to_vec();
    text.resize(IMPORT_WHOLE_BYTES_MAX + 2, b' ');
    text.splice(1..3, *b"{}");
    let path = write(folder.path(), "large.json", &text);
    let (records, problems) = import(&[path]);
    assert!(records.is_empty());
    assert!(matches!(problems[0].problem, Problem::WholeTooLarge));
    assert!(problems[0].problem.to_string().contains("jq"));
}

#[test]
fn a_reader_is_imported_like_a_file() {
    let config = ImportConfig { source: Some("legacy".into()), ..ImportConfig::default() };
    let mut import = Import::new(config, clock());
    import.add_reader("-", std::io::Cursor::new(gzip(b"one\ntwo\n")));
    let records: Vec<_> = import.flat_map(|it| seen(&it.unwrap())).collect();
    assert_eq!(texts(&records), ["one", "two"]);
    assert!(records.iter().all(|it| it.source == "legacy" && it.path.as_deref() == Some("-")));
}

#[test]
fn all_is_durable_and_in_the_books_when_an_import_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..20 {
        write(folder.path(), &format!("{n}.log"), b"one\ntwo\n");
    }
    write(folder.path(), "x.json", b"[{},,{}]");
    let (sink, mut submissions) = Sink::channel(SinkLimits { batches_max: 2, bytes_max: 1 << 20 });
    let pipeline = std::thread::spawn(move || {
        let mut records = 0;
        while let Some(submission) = submissions.blocking_recv() {
            records += submission.batch.records.len() as u64;
            submission.ticket.committed(FrameId(1));
        }
        records
    });
    let counters = Counters::new();
    let config = ImportConfig { paths: vec![folder.path().to_owned()], ..ImportConfig::default() };
    let mut told = 0;
    let tell = |_, problem: Option<FileProblem>| told += usize::from(problem.is_some());
    let summary = Import::new(config, clock()).commit(&sink, &counters, tell).unwrap();
    drop(sink);
    assert_eq!(pipeline.join().unwrap(), 42);
    assert_eq!((summary.files, summary.records, summary.rejected, summary.problems, told), (21, 42, 1, 1, 1));
    let totals = balanced(&counters);
    assert_eq!((totals.accepted, totals.rejected), (42, vec![("malformed", 1)]));
}

#[test]
fn an_import_ends_when_the_log_fails() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.log", &b"line\n".repeat(1_000_000));
    let (sink, mut submissions) = Sink::channel(SinkLimits::default());
    let pipeline = std::thread::spawn(move || {
        submissions.blocking_recv().unwrap().ticket.committed(FrameId(1));
        while let Some(submission) = submissions.blocking_recv() {
            submission.ticket.failed("disk full");
        }
    });
    let counters = Counters::new();
    let config = ImportConfig { paths: vec![folder.path().to_owned()], ..ImportConfig::default() };
    let error = Import::new(config, clock()).commit(&sink, &counters, |_, _| {}).unwrap_err();
    assert!(matches!(error, SinkError::NotDurable { .. }));
    drop(sink);
    pipeline.join().unwrap();
    let totals = balanced(&counters);
    assert!(totals.accepted > 0 && totals.dropped.iter().any(|it| it.0 == "not_durable"));
}

#[test]
fn audit_events_are_whole_wherever_a_file_is_parted() {
    let folder = tempfile::tempdir().unwrap();
    let line =
        |kind: &str, serial: u32| format!("type={kind} msg=audit(1705314600.123:{serial}): {}\n", "x".repeat(200));
    let events = 20_000;
    let pair = |it: u32| [line("SYSCALL", it), line("SYSCALL", it + 1), line("CWD", it), line("CWD", it + 1)];
    let text: String = (0..events).step_by(2).flat_map(pair).collect();
    let path = write(folder.path(), "audit.log", text.as_bytes());
    let (seen, problems) = import(&[path]);
    assert!(problems.is_empty());
    let given = text.lines().count();
    assert_eq!(seen.iter().map(|it| it.text.lines().count()).sum::<usize>(), given);
    assert_eq!(seen.len(), events as usize, "none is in two pieces");
    assert_eq!(seen.last().unwrap().position, text.len() as u64);
}
