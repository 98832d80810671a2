//! The disk that lies: power fails at every operation of a whole life, and any subset of what was not synced is lost.
//!
//! The life has everything in it: start, ingest, sealing, compaction, checkpoint, release of the log, deletion, the removal
//! of files, a restart. After each crash the store must open, what was acknowledged must be there once, what was deleted
//! must be gone, what was under way must be there whole or not at all, and `verify` must find nothing.
//!
//! That the test can fail is tested too: with any one of the syncs left out, some crash shows it. Excused are those that
//! only save work or guard against what this life does not have:
//! * the folder after files were removed: what comes back is removed at the next start, and its key is destroyed;
//! * what a start syncs again because the process before may have been killed before it did;
//! * the manifest while the log still has all that it names.

use std::collections::{BTreeMap, BTreeSet};

use super::testing::{DAY, frame, key, open, prepared_at};
use super::*;
use crate::disk::SimDisk;
use crate::manifest::Cause;
use crate::pivot::{FieldValue, rows};
use crate::sealed_file::SealedFile;
use crate::verify::{VerifyOptions, verify};

/// Seeds of crashes that are tried at each operation.
const SEEDS: u64 = 2;
const SEEDS_OF_MUTANTS: u64 = 8;
/// Operations after a sync that was left out, at which power fails.
const LATER_MAX: u64 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// There once.
    Kept,
    /// There once or not at all.
    Open,
    Deleted,
}

/// What a caller knows.
#[derive(Clone, Default)]
struct Model {
    records: BTreeMap<String, Fate>,
    /// The last checkpoint that was written.
    checkpoint: u64,
    /// Files that were removed for good.
    destroyed: Vec<u64>,
    /// Syncs that need not show.
    excused: BTreeSet<usize>,
}

impl Model {
    fn set(&mut self, text: &str, fate: Fate) {
        self.records.insert(text.to_owned(), fate);
    }

    /// Excuses the syncs of `work` whose path is `of`.
    fn excuse<T>(&mut self, disk: &SimDisk, of: &str, work: impl FnOnce() -> T) -> T {
        let before = disk.sync_story().len();
        let done = work();
        let story = disk.sync_story();
        self.excused.extend((before..story.len()).filter(|it| story.get(*it).is_some_and(|it| it.1.starts_with(of))));
        done
    }
}

/// Removes what was replaced or deleted, for good.
fn remove(disk: &SimDisk, store: &Store, model: &mut Model, now: Timestamp) -> Result<(), StoreError> {
    let live: BTreeSet<String> = store.snapshot().1.iter().flat_map(Segment::files).collect();
    let names = disk.list(FOLDER).unwrap_or_default().into_iter().map(|it| format!("{FOLDER}/{it}"));
    let gone: Vec<u64> = names.filter(|it| !live.contains(it)).filter_map(|it| disk.inode(&it)).collect();
    model.excuse(disk, "segments/", || {
        // The header of each file is written over and synced; that shows.
        store.remove_replaced(now)
    })?;
    model.excused.retain(|it| disk.sync_story().get(*it).is_none_or(|it| it.1 == "segments/"));
    model.destroyed.extend(gone);
    Ok(())
}

/// Stands in for `prepare`: all on one day.
fn events(frame: &LogFrame) -> Arc<EventBatch> {
    prepared_at(frame, |_| Timestamp(frame.id.0 as i64))
}

fn ingest(store: &Store, model: &mut Model, text: &str) -> Result<(), StoreError> {
    let made = frame(store.next_frame(), &[text.to_owned()]);
    model.set(text, Fate::Open);
    store.append(std::slice::from_ref(&made))?;
    model.set(text, Fate::Kept);
    store.keep(events(&made));
    Ok(())
}

/// Opens the store as the pipeline does.
fn start(disk: &SimDisk) -> Result<Store, StoreError> {
    let (store, recovery) = open(disk)?;
    let folded = store.read_checkpoint()?.map_or(0, |it| u64::from_le_bytes(it.try_into().unwrap()));
    for frame in recovery.frames_after(FrameId(folded).min(store.sealed_through())) {
        store.keep(events(&frame?));
    }
    Ok(store)
}

/// A whole life, up to the operation that fails.
fn live(disk: &SimDisk, cut: Option<u64>, model: &mut Model) -> Result<(), StoreError> {
    let arm = || {
        if let Some(cut) = cut {
            disk.power_off_after(cut.saturating_sub(disk.operations()));
        }
    };
    arm();
    let store = start(disk)?;
    for text in ["one", "two", "three"] {
        ingest(&store, model, text)?;
        store.seal(Timestamp(1))?;
    }
    ingest(&store, model, "four")?;
    assert!(store.compact(Timestamp(9 * DAY), &|| true)?.is_some());
    remove(disk, &store, model, Timestamp(10 * DAY))?;
    store.seal(Timestamp(2))?;
    let through = store.next_frame().0 - 1;
    store.write_checkpoint(|out| out.write_all(&through.to_le_bytes()))?;
    model.checkpoint = through;
    store.release(FrameId(through))?;
    ingest(&store, model, "five")?;
    let last = store.snapshot().1.into_iter().max_by_key(|it| it.frame_first).unwrap();
    model.set("four", Fate::Open);
    let cause = Cause { reason: "test".into(), ..Cause::default() };
    assert_eq!(store.delete(&[last.file], cause, Timestamp(10 * DAY))?, (1, 1));
    model.set("four", Fate::Deleted);
    remove(disk, &store, model, Timestamp(11 * DAY))?;
    drop(store);
    disk.kill();
    arm();
    let store = model.excuse(disk, "", || start(disk))?;
    ingest(&store, model, "six")?;
    model.excuse(disk, "manifest", || store.seal(Timestamp(3)))?;
    ingest(&store, model, "seven")
}

/// Every event that a search would see.
fn seen(disk: &SimDisk, store: &Store) -> Result<Vec<String>, String> {
    let (hot, segments) = store.snapshot();
    let mut seen: Vec<String> =
        hot.iter().flat_map(|it| it.events().map(|it| it.original().to_owned()).collect::<Vec<_>>()).collect();
    for segment in segments {
        let file = SealedFile::open(disk, &key(), &segment.file).map_err(|it| format!("{}: {it}", segment.file))?;
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|it| it.build())
            .map_err(|it| it.to_string())?;
        for batch in reader {
            for row in rows(&batch.map_err(|it| it.to_string())?) {
                let Some(FieldValue::Text(text)) = row.get("event.original") else { return Err("no text".into()) };
                seen.push(text.clone());
            }
        }
    }
    Ok(seen)
}

/// What is wrong after a crash, if anything.
fn check(disk: &SimDisk, model: &Model) -> Result<(), String> {
    let store = start(disk).map_err(|error| format!("it does not open: {error:?}"))?;
    let folded = store
        .read_checkpoint()
        .map_err(|it| it.to_string())?
        .map_or(0, |it| u64::from_le_bytes(it.try_into().unwrap()));
    if folded < model.checkpoint {
        return Err(format!("the checkpoint is {folded}, not {}", model.checkpoint));
    }
    let opens = |inode: &&u64| ChunkOpener::open_all(&key(), &disk.content(**inode)).is_ok();
    if let Some(inode) = model.destroyed.iter().find(opens) {
        return Err(format!("file {inode}, which was destroyed, can be opened"));
    }
    let look = |store: &Store, model: &Model| {
        let seen = seen(disk, store)?;
        let once: BTreeSet<&String> = seen.iter().collect();
        if once.len() != seen.len() {
            return Err(format!("something is there twice: {seen:?}"));
        }
        for (text, fate) in &model.records {
            if *fate == Fate::Kept && !once.contains(text) || *fate == Fate::Deleted && once.contains(text) {
                return Err(format!("`{text}` should be {fate:?}: {seen:?}"));
            }
        }
        match seen.iter().find(|it| !model.records.contains_key(*it)) {
            Some(stranger) => Err(format!("`{stranger}` came from nowhere")),
            None => Ok(()),
        }
    };
    look(&store, model)?;
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let clean = |when: &str| {
        let report = verify(&shared, &key(), &VerifyOptions::default(), &mut |_| {}).map_err(|it| it.to_string())?;
        match report.problems().next() {
            Some(problem) => Err(format!("{when}: {problem:?}")),
            None => Ok(()),
        }
    };
    clean("after the start")?;
    // Life goes on.
    let mut model = model.clone();
    let go_on = |model: &mut Model| {
        ingest(&store, model, "more")?;
        store.seal(Timestamp(4))?;
        store.compact(Timestamp(20 * DAY), &|| true)?;
        store.remove_replaced(Timestamp(30 * DAY))
    };
    go_on(&mut model).map_err(|error| format!("it does not go on: {error:?}"))?;
    look(&store, &model)?;
    clean("afterwards")
}

/// A life with a crash: what is wrong then.
fn crash(cut: Option<u64>, seed: u64, ignored: Option<usize>) -> Result<(), String> {
    let disk = SimDisk::new();
    if let Some(ignored) = ignored {
        disk.ignore_sync(ignored);
    }
    let mut model = Model::default();
    let lived = live(&disk, cut, &mut model);
    assert!(lived.is_err() || cut.is_none_or(|it| it >= disk.operations()));
    disk.crash(seed);
    check(&disk, &model)
}

#[test]
fn power_fails_at_every_operation_and_nothing_is_lost_doubled_or_damaged() {
    let disk = SimDisk::new();
    live(&disk, None, &mut Model::default()).unwrap();
    let operations = disk.operations();
    for cut in 0..=operations {
        for seed in 0..SEEDS {
            if let Err(problem) = crash(Some(cut), seed.wrapping_add(cut), None) {
                panic!("power failed at operation {cut} of {operations}, seed {seed}: {problem}");
            }
        }
    }
    println!("{operations} operations, {SEEDS} crashes at each");
    assert!(operations > 100);
}

#[test]
fn a_sync_that_is_left_out_is_noticed() {
    let disk = SimDisk::new();
    let mut model = Model::default();
    live(&disk, None, &mut model).unwrap();
    let operations = disk.operations();
    let story = disk.sync_story();
    let mut unnoticed = Vec::new();
    for (number, (at, path)) in story.iter().enumerate().filter(|it| !model.excused.contains(&it.0)) {
        let cuts = (at + 1..=operations).take(LATER_MAX as usize).chain([operations]);
        let shows = cuts
            .flat_map(|cut| (0..SEEDS_OF_MUTANTS).map(move |seed| (cut, seed)))
            .any(|(cut, seed)| crash(Some(cut), seed, Some(number)).is_err());
        if !shows {
            unnoticed.push((number, path.as_str()));
        }
    }
    println!("{} syncs, {} of them excused", story.len(), model.excused.len());
    assert!(unnoticed.is_empty() && story.len() > model.excused.len() + 30, "{unnoticed:?}");
}
