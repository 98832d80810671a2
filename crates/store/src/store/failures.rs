//! The store under failures: power, disk, restarts, and readers beside the writer.

use std::collections::BTreeMap;

use panoptes_model::EventId;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::testing::{DAY, frame, key, open, prepared};
use super::*;
use crate::disk::SimDisk;
use crate::disk::sim::Dice;
use crate::pivot::rows;

/// Every event that a search would see, and how often.
fn events(disk: &SimDisk, store: &Store) -> BTreeMap<EventId, (String, u32)> {
    let (hot, segments) = store.snapshot();
    let mut seen: BTreeMap<EventId, (String, u32)> = BTreeMap::new();
    let mut see = |id, text: &str| seen.entry(id).or_insert_with(|| (text.to_owned(), 0)).1 += 1;
    for event in hot.iter().flat_map(|it| it.events()) {
        see(event.id(), event.original());
    }
    for segment in segments {
        let sealed = read_all(&*disk.open_read(&segment.file).unwrap()).unwrap();
        assert_eq!(panoptes_seal::sha256(&[&sealed]), segment.digest);
        let plain = bytes::Bytes::from(ChunkOpener::open_all(&key(), &sealed).unwrap());
        for batch in ParquetRecordBatchReaderBuilder::try_new(plain).unwrap().build().unwrap() {
            for row in rows(&batch.unwrap()) {
                let Some(crate::pivot::FieldValue::Text(text)) = row.get("event.original") else { panic!("no text") };
                see(row.id, text);
            }
        }
    }
    seen
}

/// What the pipeline around a store knows.
#[derive(Default)]
struct Caller {
    /// Acknowledged frames and what they hold.
    acknowledged: BTreeMap<FrameId, Vec<String>>,
    /// Frames that failed: they may be found, whole, or not.
    failed: BTreeMap<FrameId, Vec<Vec<String>>>,
    folded: FrameId,
}

impl Caller {
    /// Opens the store and brings back what is not in segments, as the pipeline does.
    fn start(&mut self, disk: &SimDisk) -> Result<Store, StoreError> {
        let (store, recovery) = open(disk)?;
        let folded = store.read_checkpoint()?.map_or(0, |it| u64::from_le_bytes(it.try_into().unwrap()));
        assert!(FrameId(folded) >= self.folded, "a checkpoint that was written stays written");
        self.folded = FrameId(folded);
        let sealed = store.sealed_through();
        let mut next = self.folded.min(sealed).next();
        for frame in recovery.frames_after(self.folded.min(sealed)) {
            let frame = frame.unwrap();
            assert_eq!(frame.id, next, "nothing is missing in the middle");
            next = next.next();
            // Folding would happen here for frames after `folded`.
            store.keep(prepared(&frame));
        }
        let last = self.acknowledged.last_key_value().map_or(FrameId(0), |it| *it.0);
        assert!(next > last || sealed >= last, "acknowledged frames are there");
        Ok(store)
    }

    fn check(&self, disk: &SimDisk, store: &Store) {
        let mut seen = events(disk, store);
        assert!(seen.values().all(|it| it.1 == 1), "every event is in one place");
        for (id, texts) in &self.acknowledged {
            for (index, text) in texts.iter().enumerate() {
                let found = seen.remove(&EventId { frame: *id, index: index as u32 });
                assert_eq!(found.map(|it| it.0).as_ref(), Some(text));
            }
        }
        for (id, (text, _)) in seen {
            let possible = self.failed.get(&id.frame).into_iter().flatten();
            assert!(possible.into_iter().any(|it| it.get(id.index as usize) == Some(&text)), "{id} came from nowhere");
        }
    }

    fn work(&mut self, store: &Store, dice: &mut Dice) -> Result<(), StoreError> {
        match dice.below(8) {
            0 => {
                store.seal(Timestamp(7))?;
            }
            1 => {
                let through = store.next_frame().0 - 1;
                store.write_checkpoint(|out| out.write_all(&through.to_le_bytes()))?;
                self.folded = FrameId(through);
                store.release(self.folded)?;
            }
            2 => {
                // All days are over by then.
                store.compact(Timestamp(9 * DAY), &|| true)?;
                store.remove_replaced(Timestamp(9 * DAY + dice.below(2) as i64 * DAY))?;
            }
            _ => {
                let first = store.next_frame();
                let frames: Vec<_> = (0..1 + dice.below(3))
                    .map(|n| {
                        let id = FrameId(first.0 + n);
                        let texts: Vec<_> = (0..dice.below(4)).map(|_| format!("text {}", dice.next())).collect();
                        (id, texts)
                    })
                    .collect();
                let made: Vec<LogFrame> = frames.iter().map(|(id, texts)| frame(*id, texts)).collect();
                match store.append(&made) {
                    Ok(()) => {
                        self.acknowledged.extend(frames);
                        made.iter().for_each(|it| store.keep(prepared(it)));
                    }
                    Err(error) => {
                        frames.into_iter().for_each(|(id, texts)| self.failed.entry(id).or_default().push(texts));
                        return Err(error.into());
                    }
                }
            }
        }
        Ok(())
    }
}

#[test]
fn power_failures_at_any_moment_lose_and_double_nothing() {
    for seed in 0..150 {
        let disk = SimDisk::new();
        let mut dice = Dice::new(seed);
        let mut caller = Caller::default();
        for _ in 0..6 {
            let store = match caller.start(&disk) {
                Ok(store) => store,
                Err(_) => {
                    // The power went away while starting.
                    disk.crash(dice.next());
                    caller.start(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"))
                }
            };
            caller.check(&disk, &store);
            disk.power_off_after(dice.below(120));
            for _ in 0..dice.below(40) {
                if caller.work(&store, &mut dice).is_err() {
                    break;
                }
            }
            drop(store);
            disk.crash(dice.next());
            if dice.percent(30) {
                disk.power_off_after(dice.below(12));
            }
        }
        disk.crash(0);
        let store = caller.start(&disk).unwrap();
        caller.check(&disk, &store);
        // What is left of interrupted sealings is gone.
        let (_, segments) = store.snapshot();
        let files: usize = segments.iter().map(|it| it.files().count()).sum();
        assert_eq!(disk.list(FOLDER).unwrap().len(), files, "seed {seed}");
    }
}

#[test]
fn compaction_keeps_every_event_in_one_place_for_readers_that_came_before_and_after() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk).unwrap();
    let mut caller = Caller::default();
    for n in 0..9 {
        let id = store.next_frame();
        let texts: Vec<String> = (0..3).map(|it| format!("{n} {it}")).collect();
        store.append(&[frame(id, &texts)]).unwrap();
        store.keep(prepared(&frame(id, &texts)));
        store.seal(Timestamp(0)).unwrap();
        caller.acknowledged.insert(id, texts);
    }
    let before = store.snapshot().1;
    let reader = StoreReader::open_on(Arc::new(disk.clone()), &key()).unwrap();
    let now = Timestamp(9 * DAY);
    let mut done = Vec::new();
    while let Some(compaction) = store.compact(now, &|| true).unwrap() {
        done.push((compaction.inputs, compaction.rows));
        caller.check(&disk, &store);
    }
    assert_eq!((done, before.len(), store.snapshot().1.len()), (vec![(9, 9); 3], 27, 3));
    // Whoever knows the old manifest still finds all it names, until a while has passed.
    let rows = |segments: &[Segment]| {
        segments
            .iter()
            .map(|it| crate::compact::read_digest(&disk, &key(), &it.file).map(|it| it.0))
            .sum::<Result<u64, _>>()
    };
    assert_eq!(store.remove_replaced(Timestamp(now.0 + 1)).unwrap(), 0);
    assert_eq!(rows(&reader.segments).unwrap(), 27);
    let open = disk.open_read(&before[0].file).unwrap();
    let later = Timestamp(now.0 + tend::REMOVE_AFTER_NANOS);
    assert_eq!((store.remove_replaced(later).unwrap(), store.remove_replaced(later).unwrap()), (2 * 27, 0));
    assert!(rows(&reader.segments).is_err());
    assert_eq!(rows(&StoreReader::open_on(Arc::new(disk.clone()), &key()).unwrap().segments).unwrap(), 27);
    // What the file system may still have of a removed file opens for nobody.
    let left = read_all(&*open).unwrap();
    assert_eq!(left.len() as u64, before[0].bytes);
    assert!(ChunkOpener::open_all(&key(), &left).is_err());
    caller.check(&disk, &store);
    drop(store);
    disk.crash(1);
    let store = caller.start(&disk).unwrap();
    caller.check(&disk, &store);
}

#[test]
fn a_damaged_segment_is_told_once_and_the_others_are_merged() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk).unwrap();
    for _ in 0..3 {
        let id = store.next_frame();
        store.append(&[frame(id, &["x".to_owned()])]).unwrap();
        // All on one day.
        store.keep(prepared(&frame(FrameId(id.0 * 3), &["x".to_owned()])));
        store.seal(Timestamp(0)).unwrap();
    }
    let segments = store.snapshot().1;
    disk.tamper(&segments[1].file, |it| {
        let middle = it.len() / 2;
        it[middle] ^= 1;
    });
    let error = store.compact(Timestamp(9 * DAY), &|| true).unwrap_err();
    assert!(matches!(&error, StoreError::Compact(it) if it.damaged_input() == Some(&segments[1].file)), "{error:?}");
    assert_eq!(store.compact(Timestamp(9 * DAY), &|| true).unwrap().unwrap().inputs, 2);
    assert_eq!(store.compact(Timestamp(9 * DAY), &|| true).unwrap(), None);
    assert_eq!(store.snapshot().1.len(), 2);
}

#[test]
fn a_full_disk_is_not_filled_further_by_trying_again() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk).unwrap();
    let id = store.next_frame();
    let texts = vec!["x".to_owned(); 50];
    store.append(&[frame(id, &texts)]).unwrap();
    store.keep(prepared(&frame(id, &texts)));
    let used = disk.used();
    disk.set_capacity(Some(used + 500));
    for _ in 0..5 {
        let error = store.seal(Timestamp(0)).unwrap_err();
        assert!(matches!(error, StoreError::Segment(SegmentWriteError::DiskFull { .. })), "{error:?}");
        assert_eq!(disk.used(), used);
    }
    disk.set_capacity(None);
    assert_eq!(store.seal(Timestamp(0)).unwrap(), 50);
}

#[test]
fn a_read_only_file_system_takes_nothing_in_and_loses_nothing() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk).unwrap();
    let mut caller = Caller::default();
    let ingest = |store: &Store, caller: &mut Caller, text: &str| {
        let (id, texts) = (store.next_frame(), vec![text.to_owned()]);
        store.append(&[frame(id, &texts)])?;
        store.keep(prepared(&frame(id, &texts)));
        caller.acknowledged.insert(id, texts);
        Ok::<(), StoreError>(())
    };
    ingest(&store, &mut caller, "before").unwrap();
    store.seal(Timestamp(0)).unwrap();
    ingest(&store, &mut caller, "hot").unwrap();
    disk.set_read_only(true);
    for _ in 0..3 {
        let error = ingest(&store, &mut caller, "refused").unwrap_err();
        assert!(
            matches!(&error, StoreError::Log(LogError::Disk { source, .. })
            if source.kind() == io::ErrorKind::ReadOnlyFilesystem),
            "{error:?}"
        );
        assert!(store.seal(Timestamp(1)).is_err() && store.write_checkpoint(|out| out.write_all(b"x")).is_err());
    }
    caller.check(&disk, &store);
    let reader = StoreReader::open_on(Arc::new(disk.clone()), &key()).unwrap();
    assert_eq!((reader.segments.len(), reader.log.frames_after(reader.sealed_through).count()), (1, 1));
    drop(store);
    assert!(open(&disk).is_err(), "who only reads can do so, who writes says what is wrong");
    // Mounted for writing again.
    disk.set_read_only(false);
    let store = caller.start(&disk).unwrap();
    ingest(&store, &mut caller, "after").unwrap();
    store.seal(Timestamp(2)).unwrap();
    caller.check(&disk, &store);
}

#[test]
fn a_clock_that_jumps_back_delays_and_loses_nothing() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk).unwrap();
    let mut caller = Caller::default();
    let late = Timestamp(90 * DAY);
    for _ in 0..3 {
        let (id, texts) = (store.next_frame(), vec!["x".to_owned(); 3]);
        store.append(&[frame(id, &texts)]).unwrap();
        store.keep(prepared(&frame(id, &texts)));
        caller.acknowledged.insert(id, texts);
        store.seal(late).unwrap();
    }
    while store.compact(late, &|| true).unwrap().is_some() {}
    // Set back by months: files that were replaced wait, and nothing is due for its age.
    let early = Timestamp(9 * DAY);
    assert_eq!(store.remove_replaced(early).unwrap(), 0);
    let (id, texts) = (store.next_frame(), vec!["late".to_owned()]);
    store.append(&[frame(id, &texts)]).unwrap();
    store.keep(prepared(&frame(id, &texts)));
    caller.acknowledged.insert(id, texts);
    assert!(!store.seal_due(Timestamp(-5)));
    store.seal(early).unwrap();
    caller.check(&disk, &store);
    drop(store);
    disk.crash(3);
    let store = caller.start(&disk).unwrap();
    caller.check(&disk, &store);
    assert_eq!(disk.list(FOLDER).unwrap().len(), 2 * store.snapshot().1.len(), "each with its words");
}

#[test]
fn a_start_that_breaks_off_anywhere_loses_nothing() {
    for cut in 0..40 {
        let disk = SimDisk::new();
        let (store, _) = open(&disk).unwrap();
        let frames: Vec<_> = (1..=4).map(|n| frame(FrameId(n), &["x".to_owned()])).collect();
        store.append(&frames[..1]).unwrap();
        store.append(&frames[1..]).unwrap();
        drop(store);
        disk.kill();
        disk.power_off_after(cut);
        let whole = open(&disk).is_ok();
        disk.crash(cut);
        let (_, recovery) = open(&disk).unwrap();
        assert_eq!(
            recovery.frames_after(FrameId(0)).map(|it| it.unwrap()).collect::<Vec<_>>(),
            frames,
            "{cut} {whole}"
        );
        let names = disk.list(LOG).unwrap();
        assert!(names.iter().all(|it| it.ends_with(".wal")), "{names:?}");
    }
}

#[test]
fn a_failed_sealing_keeps_events_searchable_and_is_tried_again() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk).unwrap();
    let texts = vec!["one".to_owned(), "two".to_owned()];
    let made = frame(store.next_frame(), &texts);
    store.append(std::slice::from_ref(&made)).unwrap();
    store.keep(prepared(&made));
    // Every operation of a sealing fails once.
    let before = disk.operations();
    let mut failures = 0;
    loop {
        disk.fail_operation(failures);
        match store.seal(Timestamp(1)) {
            Ok(rows) => {
                assert_eq!(rows, 2);
                break;
            }
            Err(_) => failures += 1,
        }
        assert_eq!(events(&disk, &store).len(), 2);
    }
    assert!(failures > 5 && disk.operations() > before, "{failures}");
    assert_eq!((events(&disk, &store).len(), store.hot_bytes()), (2, 0));
    disk.kill();
    let (store, _) = open(&disk).unwrap();
    assert_eq!(events(&disk, &store).len(), 2);
    assert_eq!(disk.list(FOLDER).unwrap().len(), 2 * store.snapshot().1.len());
}

#[test]
fn sealing_is_due_by_size_and_by_age_even_behind_frames_without_events() {
    let disk = SimDisk::new();
    let options = StoreOptions { segment_bytes: 2_000, segment_age: Duration::from_nanos(50), ..Default::default() };
    let (store, _) = Store::open_on(Arc::new(disk), &key(), None, options).unwrap();
    assert!(!store.seal_due(Timestamp(i64::MAX)));
    store.keep(prepared(&frame(FrameId(1), &[])));
    assert_eq!(store.seal(Timestamp(0)).unwrap(), 0);
    store.keep(prepared(&frame(FrameId(10), &["x".to_owned()])));
    assert!(!store.seal_due(Timestamp(59)) && store.seal_due(Timestamp(60)));
    store.keep(prepared(&frame(FrameId(11), &["x".repeat(3_000)])));
    assert!(store.seal_due(Timestamp(0)));
    store.seal(Timestamp(0)).unwrap();
    assert_eq!((store.sealed_through(), store.seal_due(Timestamp(i64::MAX))), (FrameId(11), false));
    store.keep(prepared(&frame(FrameId(11), &["again".to_owned()])));
    assert_eq!(store.hot_bytes(), 0, "what is sealed is not kept again");
}

#[test]
fn a_reader_beside_the_writer_sees_every_event_once_at_any_moment() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk).unwrap();
    let mut dice = Dice::new(3);
    let mut caller = Caller::default();
    for _ in 0..60 {
        caller.work(&store, &mut dice).unwrap();
        let reader = StoreReader::open_on(Arc::new(disk.clone()), &key()).unwrap();
        let hot: Vec<_> = reader.log.frames_after(reader.sealed_through).map(|it| prepared(&it.unwrap())).collect();
        let in_segments: u64 = reader.segments.iter().map(|it| it.rows).sum();
        let in_memory: usize = hot.iter().map(|it| it.len()).sum();
        let all: usize = caller.acknowledged.values().map(Vec::len).sum();
        assert_eq!(in_segments + in_memory as u64, all as u64);
    }
}
