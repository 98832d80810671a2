//! Nothing in the data folder can be read without the key; and what this test looks for is there once it is opened.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use panoptes_model::{EventBatch, FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp, field};
use panoptes_seal::{ChunkOpener, KeyEncryptionKey};
use panoptes_store::lock::DataLock;
use panoptes_store::{Store, StoreOptions, StoreReader};
use panoptes_testkit::traces::{What, readable_traces, readable_traces_in};

const WORDS: [&str; 5] = ["alice-cooper", "203.0.113.213", "Failed password", "event.original", "checkpoint-of-alice"];

fn line(n: u64) -> String {
    format!("Jan 15 10:30:{:02} web1 sshd[{n}]: Failed password for alice-cooper from 203.0.113.213 port {n}", n % 60)
}

fn frame(id: u64) -> LogFrame {
    let mut records = RawBatch::new();
    let origin = records.origin(&Origin { source: "sshd".into(), input: "tcp".into(), ..Origin::default() });
    for n in 0..200 {
        records.push(origin, Timestamp(5), n, line(id * 200 + n).as_bytes());
    }
    LogFrame { id: FrameId(id), now: Timestamp(9), rules_epoch: 0, snapshots_epoch: 0, records }
}

fn prepared(frame: &LogFrame) -> Arc<EventBatch> {
    let schema = Arc::new(Schema::ecs());
    Arc::new(EventBatch::build(schema, frame.id, frame.now, frame.records.origins.clone(), String::new(), |writer| {
        for record in &frame.records.records {
            let text = std::str::from_utf8(frame.records.bytes_of(record)).unwrap();
            writer.begin(text, 0, record.received_at, record.position);
            writer.text(field::MESSAGE, text);
            writer.text(field::USER_NAME, "alice-cooper");
            writer.typed(field::SOURCE_IP, "203.0.113.213");
        }
    }))
}

/// A folder with log, segments, manifest and checkpoint.
fn filled(folder: &Path, key: &KeyEncryptionKey) {
    let lock = DataLock::acquire(folder).unwrap();
    let (store, _) = Store::open(folder, key, lock, StoreOptions::default()).unwrap();
    for id in 1..=4 {
        let made = frame(id);
        store.append(std::slice::from_ref(&made)).unwrap();
        store.keep(prepared(&made));
        if id % 2 == 0 {
            store.seal(Timestamp(0)).unwrap();
        }
    }
    store.write_checkpoint(|out| out.write_all(b"checkpoint-of-alice-cooper")).unwrap();
}

#[test]
fn nothing_in_the_data_folder_can_be_read_without_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyEncryptionKey::generate().unwrap();
    filled(folder.path(), &key);
    assert!(fs::metadata(folder.path().join("manifest")).unwrap().len() > 100);
    assert_eq!(readable_traces_in(folder.path(), &WORDS).unwrap(), []);
}

#[test]
fn the_same_look_at_opened_files_finds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyEncryptionKey::generate().unwrap();
    filled(folder.path(), &key);
    let reader = StoreReader::open(folder.path(), &key).unwrap();
    assert_eq!(reader.segments.len(), 2);
    let mut found = HashSet::new();
    for file in reader.segments.iter().map(|it| it.file.as_str()).chain(["checkpoint"]) {
        let sealed = fs::read(folder.path().join(file)).unwrap();
        let opened = ChunkOpener::open_all(&key, &sealed).unwrap();
        let traces = readable_traces(&opened, &WORDS);
        assert!(!traces.is_empty(), "{file}");
        for trace in traces {
            match trace.what {
                What::Word(word) => drop(found.insert(word)),
                What::Compressed { words, .. } => found.extend(words),
                What::Parquet => drop(found.insert("Parquet".to_owned())),
            }
        }
    }
    for expected in WORDS.iter().copied().chain(["Parquet"]) {
        assert!(found.contains(expected), "{expected} is not among {found:?}");
    }
    let frames: Vec<LogFrame> = reader.log.frames_after(FrameId(0)).map(|it| it.unwrap()).collect();
    assert_eq!(frames.len(), 4);
    assert!(!readable_traces(&frames[0].records.bytes, &["alice-cooper"]).is_empty());
}
