//! The log on a disk that fails, and against mutants of itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use panoptes_model::{LogFrame, Origin, RawBatch, Timestamp};
use panoptes_seal::KeyEncryptionKey;

use super::*;
use crate::disk::sim::Dice;
use crate::disk::{Disk, SimDisk, create_dir_durably};

const FOLDER: &str = "log";

fn kek() -> KeyEncryptionKey {
    KeyEncryptionKey::from_bytes([5; 32])
}

/// A frame whose content says which it is: `salt` tells two tries at the same id apart.
fn frame(id: u64, salt: u64, bytes: usize) -> LogFrame {
    let mut records = RawBatch::new();
    let origin = records.origin(&Origin { input: "tcp".into(), source: "s".into(), ..Origin::default() });
    let mut dice = Dice::new(id ^ salt << 32);
    let text: Vec<u8> = (0..bytes).map(|_| dice.next() as u8).collect();
    records.push(origin, Timestamp(salt as i64), id, &text);
    LogFrame { id: FrameId(id), now: Timestamp(id as i64), rules_epoch: 1, snapshots_epoch: 2, records }
}

fn open(disk: &SimDisk, options: LogOptions) -> (Log, Recovery) {
    Log::open_with(Arc::new(disk.clone()), &kek(), FOLDER, options).unwrap()
}

fn small() -> LogOptions {
    LogOptions { file_bytes_max: 2000, ..LogOptions::default() }
}

/// Reads without changing anything.
fn look(disk: &SimDisk) -> Recovery {
    Recovery::open_read_only(Arc::new(disk.clone()), &kek(), FOLDER).unwrap()
}

/// Ids of the frames that are given, and texts of the errors among them.
fn read(recovery: &Recovery, after: u64) -> (Vec<u64>, Vec<String>) {
    let (mut ids, mut errors) = (Vec::new(), Vec::new());
    for item in recovery.frames_after(FrameId(after)) {
        match item {
            Ok(frame) => ids.push(frame.id.0),
            Err(error) => errors.push(error.to_string()),
        }
    }
    (ids, errors)
}

fn append(log: &mut Log, count: u64) {
    for _ in 0..count {
        let id = log.next_id().0;
        log.append(&[frame(id, 0, 300)]).unwrap();
    }
}

/// The log's files, oldest first.
fn files(disk: &SimDisk) -> Vec<String> {
    disk.list(FOLDER).unwrap().into_iter().map(|it| format!("{FOLDER}/{it}")).collect()
}

fn ids(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

/// What a story over many crashes may do.
#[derive(Clone, Copy, Debug)]
struct Story {
    sync: SyncPolicy,
    faults: bool,
    remove: bool,
}

/// Lives through appends, faults, crashes and restarts as `seed` has it; `Err` tells what was lost or doubled.
fn live(seed: u64, story: Story) -> Result<Counts, String> {
    let mut dice = Dice::new(seed);
    let disk = SimDisk::new();
    // The folder itself lasts, also in the stories where syncing of folders is left out: it is files that are to be lost.
    create_dir_durably(&disk, FOLDER).unwrap();
    let options = LogOptions { file_bytes_max: 500 + dice.below(6000), sync: story.sync };
    // Every try at an id; of the acknowledged there is one that counts.
    let mut tried: BTreeMap<u64, Vec<LogFrame>> = BTreeMap::new();
    let mut acknowledged: BTreeMap<u64, LogFrame> = BTreeMap::new();
    let mut removed = 0;
    let mut counts = Counts::default();
    for round in 0..6 {
        let opened = Log::open_with(Arc::new(disk.clone()), &kek(), FOLDER, options);
        let (mut log, recovery) = opened.map_err(|error| format!("round {round}: {error}: {error:?}"))?;
        let mut found = Vec::new();
        for item in recovery.frames_after(FrameId(removed)) {
            found.push(item.map_err(|error| format!("round {round}: {error}"))?);
        }
        if !found.iter().map(|it| it.id.0).eq(removed + 1..=removed + found.len() as u64) {
            return Err(format!("round {round}: ids have gaps or come twice"));
        }
        for (id, frame) in acknowledged.range(removed + 1..) {
            let same = found.get((*id - removed - 1) as usize) == Some(frame);
            if !same {
                return Err(format!("round {round}: acknowledged frame {id} is lost or another"));
            }
        }
        for frame in found {
            if !tried.get(&frame.id.0).is_some_and(|it| it.contains(&frame)) {
                return Err(format!("round {round}: frame {} was never appended", frame.id.0));
            }
            // What was given after a restart was acted on: it counts from now on.
            counts.unacknowledged_found += u64::from(acknowledged.insert(frame.id.0, frame).is_none());
        }
        log.continue_after(FrameId(removed));
        let last = acknowledged.keys().last().copied().unwrap_or(0);
        if log.next_id().0 != last + 1 {
            return Err(format!("round {round}: the log goes on with {} after {last}", log.next_id().0));
        }
        counts.torn += u64::from(recovery.torn_tail().is_some());
        counts.files = counts.files.max(recovery.files.len());
        if dice.percent(70) {
            disk.power_off_after(dice.below(60));
        }
        for _ in 0..dice.below(20) {
            if story.faults {
                match dice.below(10) {
                    0 => disk.fail_operation(dice.below(6)),
                    1 => disk.fail_sync(dice.below(3)),
                    2 => disk.set_capacity(Some(disk.used() + dice.below(1500))),
                    _ => disk.set_capacity(None),
                }
            }
            let first = log.next_id().0;
            let group: Vec<_> = (first..=first + dice.below(4))
                .map(|id| frame(id, dice.next() >> 40, dice.below(1200) as usize))
                .collect();
            for frame in &group {
                tried.entry(frame.id.0).or_default().push(frame.clone());
            }
            match log.append(&group) {
                Ok(()) => {
                    counts.acknowledged += group.len() as u64;
                    acknowledged.extend(group.into_iter().map(|it| (it.id.0, it)));
                }
                Err(_) => counts.refused += 1,
            }
            if dice.percent(10) {
                counts.looks += u64::from(look_beside(&disk, removed, &acknowledged)?);
            }
            if story.remove && dice.percent(15) {
                let last = acknowledged.keys().last().copied().unwrap_or(0);
                removed = removed.max(dice.below(last + 1));
                counts.removals += u64::from(log.remove_through(FrameId(removed)).is_ok());
            }
        }
        disk.set_capacity(None);
        // Mostly the power fails; sometimes only the process ends.
        if dice.percent(85) { disk.crash(dice.next()) } else { disk.kill() }
    }
    Ok(counts)
}

/// What another process sees meanwhile: all that was acknowledged. `false` if the disk lets nobody read.
fn look_beside(disk: &SimDisk, removed: u64, acknowledged: &BTreeMap<u64, LogFrame>) -> Result<bool, String> {
    let recovery = match Recovery::open_read_only(Arc::new(disk.clone()), &kek(), FOLDER) {
        Ok(recovery) => recovery,
        Err(LogError::Disk { .. }) => return Ok(false),
        Err(error) => return Err(format!("beside the writer: {error}")),
    };
    let found: Result<Vec<_>, _> = recovery.frames_after(FrameId(removed)).collect();
    let found = found.map_err(|error| format!("beside the writer: {error}"))?;
    let seen = found.iter().filter(|it| acknowledged.get(&it.id.0) == Some(it)).count();
    if seen == acknowledged.range(removed + 1..).count() { Ok(true) } else { Err("a reader misses frames".into()) }
}

/// What happened in the stories: none of it may have been left out.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    acknowledged: u64,
    unacknowledged_found: u64,
    refused: u64,
    removals: u64,
    torn: u64,
    looks: u64,
    files: usize,
}

/// How many stories are lived through; `PANOPTES_SEEDS` asks for more.
fn seeds() -> u64 {
    std::env::var("PANOPTES_SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(300)
}

fn live_all(story: Story) -> Counts {
    let mut sum = Counts::default();
    let seeds = seeds();
    for seed in 0..seeds {
        let counts = live(seed, story).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        sum.acknowledged += counts.acknowledged;
        sum.unacknowledged_found += counts.unacknowledged_found;
        sum.refused += counts.refused;
        sum.removals += counts.removals;
        sum.torn += counts.torn;
        sum.looks += counts.looks;
        sum.files = sum.files.max(counts.files);
    }
    println!("seeds 0..{seeds}, {story:?}: {sum:?}");
    assert!(sum.acknowledged > seeds && sum.torn > 0 && sum.files > 2, "{sum:?}");
    assert!(sum.unacknowledged_found > 0 && sum.refused > 0 && sum.looks > 0, "{sum:?}");
    sum
}

#[test]
fn every_acknowledged_frame_is_there_exactly_once_after_crashes() {
    live_all(Story { sync: SyncPolicy::Full, faults: false, remove: false });
}

#[test]
fn the_same_when_writes_and_syncs_fail_and_the_disk_fills_up() {
    live_all(Story { sync: SyncPolicy::Full, faults: true, remove: false });
}

#[test]
fn the_same_while_old_files_are_removed() {
    let counts = live_all(Story { sync: SyncPolicy::Full, faults: true, remove: true });
    assert!(counts.removals > 0);
}

/// How many seeds notice that `sync` loses frames.
fn noticed(sync: SyncPolicy) -> usize {
    let lost: Vec<_> = (0..seeds())
        .filter_map(|seed| Some((seed, live(seed, Story { sync, faults: false, remove: false }).err()?)))
        .collect();
    println!("{sync:?}: noticed by {} of {} seeds, first {:?}", lost.len(), seeds(), lost.first());
    lost.iter().filter(|(_, what)| what.contains("acknowledged frame")).count()
}

#[test]
fn a_log_that_does_not_sync_its_files_is_found_out() {
    assert!(noticed(SyncPolicy::WithoutFiles) > 0);
}

#[test]
fn a_log_that_does_not_sync_its_folder_is_found_out() {
    assert!(noticed(SyncPolicy::WithoutFolders) > 0);
}

#[test]
fn a_log_that_never_syncs_is_found_out() {
    assert!(noticed(SyncPolicy::Never) > 0);
}

#[test]
fn frames_read_back_in_order_across_files_and_restarts() {
    let disk = SimDisk::new();
    for restart in 0..4 {
        let (mut log, recovery) = open(&disk, small());
        assert_eq!(read(&recovery, 0), (ids(1..=restart * 10), vec![]));
        assert_eq!(read(&recovery, 15).0, ids(16..=restart * 10));
        append(&mut log, 10);
    }
    let (_, recovery) = open(&disk, small());
    assert_eq!((recovery.last(), recovery.torn_tail()), (Some(FrameId(40)), None));
    assert!(files(&disk).len() > 4, "files were rotated");
}

#[test]
fn openings_that_append_nothing_do_not_pile_up_files() {
    let disk = SimDisk::new();
    open(&disk, small());
    assert!(disk.dump().is_empty());
    append(&mut open(&disk, small()).0, 3);
    for _ in 0..10 {
        let (_, recovery) = open(&disk, small());
        assert_eq!(read(&recovery, 0), (ids(1..=3), vec![]));
        assert!(files(&disk).len() <= 3, "{:?}", files(&disk));
    }
}

#[test]
fn a_group_whose_sync_failed_is_not_relied_on_from_memory() {
    let mut read_back = 0;
    for shift in 0..20 {
        let disk = SimDisk::new();
        let (mut log, _) = open(&disk, LogOptions::default());
        append(&mut log, 2);
        // Whether the power goes away before or after an operation takes effect depends on its number.
        (0..shift).for_each(|_| disk.sync_dir("").unwrap());
        // Write, failed sync, and the end of the process where the rest would be cut off.
        disk.fail_sync(0);
        disk.power_off_after(2);
        log.append(&[frame(3, 0, 300)]).unwrap_err();
        disk.kill();
        let (mut log, recovery) = open(&disk, LogOptions::default());
        let found = read(&recovery, 0).0.len() as u64;
        read_back += u64::from(found == 3);
        append(&mut log, 1);
        disk.crash(1);
        assert_eq!(read(&look(&disk), 0), (ids(1..=found + 1), vec![]), "shift {shift}");
    }
    assert!(read_back > 0, "the case that this is about came up");
}

#[test]
fn a_full_disk_does_not_stop_the_log_from_opening() {
    let disk = SimDisk::new();
    append(&mut open(&disk, small()).0, 12);
    disk.set_capacity(Some(disk.used()));
    let (mut log, recovery) = open(&disk, small());
    assert_eq!((read(&recovery, 0), log.next_id()), ((ids(1..=12), vec![]), FrameId(13)));
    assert!(log.append(&[frame(13, 0, 300)]).is_err());
    log.remove_through(FrameId(11)).unwrap();
    append(&mut log, 1);
    assert_eq!(read(&open(&disk, small()).1, 11), (vec![12, 13], vec![]));
}

#[test]
fn a_torn_tail_is_cut_at_every_byte_and_told() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, LogOptions::default());
    append(&mut log, 2);
    let [path] = &files(&disk)[..] else { panic!() };
    let before = disk.used();
    log.append(&[frame(3, 0, 100), frame(4, 0, 100)]).unwrap();
    let whole = disk.dump().remove(0).1;
    for cut in before..whole.len() as u64 {
        disk.tamper(path, |it| *it = whole[..cut as usize].to_vec());
        let recovery = look(&disk);
        let (found, errors) = read(&recovery, 0);
        assert!(errors.is_empty() && (found == ids(1..=2) || found == ids(1..=3)), "cut {cut}: {found:?} {errors:?}");
        if found == ids(1..=2) {
            let torn = TornTail { file: path.clone(), offset: before, bytes: cut - before };
            assert_eq!(recovery.torn_tail(), Some(&torn).filter(|it| it.bytes > 0));
        }
    }
    // What is appended after a torn tail goes to a new file, and the tail counts no more.
    let (mut log, recovery) = open(&disk, LogOptions::default());
    assert_eq!(recovery.last(), Some(FrameId(3)));
    append(&mut log, 2);
    assert_eq!(read(&open(&disk, LogOptions::default()).1, 0), (ids(1..=5), vec![]));
}

#[test]
fn a_group_that_was_written_in_part_counts_up_to_the_first_missing_frame() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, LogOptions::default());
    append(&mut log, 2);
    let before = disk.used() as usize;
    log.append(&[frame(3, 0, 100), frame(4, 0, 100), frame(5, 0, 100)]).unwrap();
    let path = &files(&disk)[0];
    let record = (disk.used() as usize - before) / 3;
    // The disk wrote the end of the group but not its middle.
    disk.tamper(path, |it| it[before + record..before + 2 * record].fill(0));
    let (_, recovery) = open(&disk, LogOptions::default());
    assert_eq!(read(&recovery, 0), (ids(1..=3), vec![]));
    assert_eq!(recovery.torn_tail().unwrap().offset, (before + record) as u64);
    // The same once a later group stands behind it: then it was acknowledged, and this is damage.
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, LogOptions::default());
    append(&mut log, 2);
    log.append(&[frame(3, 0, 100), frame(4, 0, 100), frame(5, 0, 100)]).unwrap();
    append(&mut log, 1);
    disk.tamper(path, |it| it[before + record..before + 2 * record].fill(0));
    let (found, errors) = read(&open(&disk, LogOptions::default()).1, 0);
    assert_eq!(found, [1, 2, 3, 5, 6]);
    assert_eq!(
        errors,
        [format!(
            "log file `{path}` is damaged at byte {}: frames 4 to 4 are lost, all others are intact; restore the file \
             from a backup to get them back",
            before + record
        )]
    );
}

#[test]
fn damage_in_an_older_file_costs_the_frame_it_hits() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, small());
    append(&mut log, 12);
    let path = files(&disk)[0].clone();
    let length = disk.open_read(&path).unwrap().len().unwrap();
    let whole = disk.dump().remove(0).1;
    for offset in (KIND.header_bytes() as u64..length).step_by(7) {
        disk.tamper(&path, |it| it[offset as usize] ^= 4);
        let (found, errors) = read(&look(&disk), 0);
        assert_eq!((found.len(), errors.len()), (11, 1), "byte {offset}: {found:?} {errors:?}");
        assert!(errors[0].contains(&path), "{errors:?}");
        disk.tamper(&path, |it| it.clone_from(&whole));
    }
    // Cut short, or gone altogether.
    disk.tamper(&path, |it| it.truncate(length as usize - 1));
    let (found, errors) = read(&look(&disk), 0);
    assert_eq!((found.len(), errors.len()), (11, 1));
    disk.remove(&path).unwrap();
    let (found, errors) = read(&look(&disk), 1);
    assert_eq!(found.last(), Some(&12));
    assert!(errors[0].starts_with("frames 2 to ") && errors.len() == 1, "{errors:?}");
}

#[test]
fn a_damaged_header_costs_its_file_and_no_id_is_used_again() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, small());
    append(&mut log, 12);
    let all = files(&disk);
    let firsts: Vec<_> =
        all.iter().map(|it| FileName::parse(it.strip_prefix("log/").unwrap()).unwrap().first.0).collect();
    // In the middle.
    let saved = disk.dump();
    disk.tamper(&all[1], |it| it[20] ^= 1);
    let (found, errors) = read(&look(&disk), 0);
    assert_eq!(found, [ids(1..=firsts[1] - 1), ids(firsts[2]..=12)].concat());
    assert!(errors.len() == 1 && errors[0].contains(&all[1]), "{errors:?}");
    disk.tamper(&all[1], |it| it.clone_from(&saved[1].1));
    // At the end.
    let last = all.last().unwrap();
    disk.tamper(last, |it| it[20] ^= 1);
    let (mut log, recovery) = open(&disk, small());
    let (found, errors) = read(&recovery, 0);
    assert_eq!(found, ids(1..=firsts.last().unwrap() - 1));
    assert!(errors.len() == 1 && errors[0].contains(last), "{errors:?}");
    let next = log.next_id().0;
    assert!(next > 12);
    append(&mut log, 1);
    let (_, recovery) = open(&disk, small());
    assert_eq!(recovery.last(), Some(FrameId(next)));
    assert_eq!(read(&recovery, 0).0.last(), Some(&next));
}

#[test]
fn a_file_that_somebody_planted_hides_nothing() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, small());
    append(&mut log, 12);
    for name in ["0000000002-00000000000000000003.wal", "9999999999-00000000000000000001.wal", "notes.txt"] {
        disk.create_new(&format!("{FOLDER}/{name}")).unwrap().append(&[7; 5000]).unwrap();
    }
    let (mut log, recovery) = open(&disk, small());
    assert_eq!(read(&recovery, 0).0, ids(1..=12));
    append(&mut log, 1);
    let (found, _) = read(&open(&disk, small()).1, 0);
    assert_eq!((found.len(), found.last().copied()), (13, Some(log.next_id().0 - 1)));
    // A file under another name than its own does not pass for another.
    let all = files(&disk);
    disk.rename(&all[0], &format!("{FOLDER}/0000000001-00000000000000000002.wal")).unwrap();
    let (found, errors) = read(&open(&disk, small()).1, 0);
    assert!(!found.contains(&1) && found.contains(&12) && !errors.is_empty(), "{found:?} {errors:?}");
}

#[test]
fn a_failed_sync_moves_the_frames_to_a_new_file() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, LogOptions::default());
    append(&mut log, 2);
    disk.fail_sync(0);
    append(&mut log, 1);
    assert_eq!(files(&disk).len(), 2, "the file whose pages are gone is not used again");
    append(&mut log, 1);
    disk.crash(1);
    assert_eq!(read(&open(&disk, LogOptions::default()).1, 0), (ids(1..=4), vec![]));
}

#[test]
fn a_full_disk_is_told_and_appending_may_be_tried_again() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, LogOptions::default());
    append(&mut log, 2);
    disk.set_capacity(Some(disk.used() + 100));
    for _ in 0..3 {
        let error = log.append(&[frame(3, 1, 300)]).unwrap_err();
        assert!(matches!(error, LogError::DiskFull { .. }), "{error}");
        assert!(error.to_string().contains("free space and try again"));
    }
    assert_eq!(read(&open(&disk, LogOptions::default()).1, 0), (ids(1..=2), vec![]));
    disk.set_capacity(None);
    append(&mut log, 1);
    disk.crash(1);
    let (_, recovery) = open(&disk, LogOptions::default());
    assert_eq!(recovery.frames_after(FrameId(2)).next().unwrap().unwrap(), frame(3, 0, 300), "the later try");
}

#[test]
fn ids_go_up_by_one_and_nothing_else_is_taken() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, LogOptions::default());
    for group in [vec![2], vec![0], vec![1, 3], vec![1, 1]] {
        let frames: Vec<_> = group.iter().map(|id| frame(*id, 0, 10)).collect();
        let error = log.append(&frames).unwrap_err();
        assert!(matches!(error, LogError::FrameOutOfOrder { .. }), "{group:?}");
    }
    log.append(&[]).unwrap();
    assert!(disk.dump().is_empty());
    log.continue_after(FrameId(41));
    log.continue_after(FrameId(7));
    append(&mut log, 2);
    let (log, recovery) = open(&disk, LogOptions::default());
    assert_eq!((read(&recovery, 41).0, log.next_id()), (ids(42..=43), FrameId(44)));
}

#[test]
fn a_group_beyond_the_limit_is_refused_whole() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, LogOptions::default());
    let mut records = frame(1, 0, 0).records;
    records.bytes = vec![0; 40 << 20];
    let frames: Vec<_> = (1..=4).map(|id| LogFrame { records: records.clone(), ..frame(id, 0, 0) }).collect();
    assert!(matches!(log.append(&frames).unwrap_err(), LogError::GroupTooLarge { .. }));
    assert!(disk.dump().is_empty());
    append(&mut log, 1);
}

#[test]
fn removing_deletes_whole_files_only_and_never_the_one_being_written() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, small());
    append(&mut log, 12);
    let before = files(&disk);
    let second = FileName::parse(before[1].strip_prefix("log/").unwrap()).unwrap().first.0;
    log.remove_through(FrameId(second - 2)).unwrap();
    assert_eq!(files(&disk), before);
    log.remove_through(FrameId(second - 1)).unwrap();
    assert_eq!(files(&disk), before[1..]);
    log.remove_through(FrameId(12)).unwrap();
    assert_eq!(files(&disk).len(), 1);
    disk.crash(3);
    let (mut log, recovery) = open(&disk, small());
    assert_eq!(read(&recovery, 11), (vec![12], vec![]));
    // After a restart it is being written no more; the new one holds the last group again.
    let before = files(&disk);
    log.remove_through(FrameId(12)).unwrap();
    assert_eq!((before.len(), files(&disk)), (2, before[1..].to_vec()));
    append(&mut log, 1);
    assert_eq!(read(&open(&disk, small()).1, 11), (vec![12, 13], vec![]));
}

#[test]
fn a_reader_beside_the_writer_sees_what_is_there_and_survives_removal() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, small());
    append(&mut log, 12);
    let newest = files(&disk).pop().unwrap();
    let half_a_record = [0; 9];
    disk.open_append(&newest).unwrap().append(&half_a_record).unwrap();
    let before = disk.dump();
    let recovery = look(&disk);
    assert_eq!(read(&recovery, 0), (ids(1..=12), vec![]));
    assert_eq!(disk.dump(), before, "reading changes nothing");
    let mut frames = recovery.frames_after(FrameId(0));
    assert_eq!(frames.next().unwrap().unwrap().id, FrameId(1));
    log.remove_through(FrameId(12)).unwrap();
    // The open file goes on, the removed ones are passed over, the newest is there.
    let rest: Vec<_> = frames.map(|it| it.unwrap().id.0).collect();
    assert!(rest.starts_with(&[2]) && rest.ends_with(&[12]), "{rest:?}");
    let nowhere = Recovery::open_read_only(Arc::new(SimDisk::new()), &kek(), FOLDER).unwrap();
    assert_eq!((read(&nowhere, 0), nowhere.last()), ((vec![], vec![]), None));
}

#[test]
fn a_wrong_key_is_named_and_nothing_is_changed() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, small());
    append(&mut log, 12);
    let before = disk.dump();
    let other = KeyEncryptionKey::from_bytes([6; 32]);
    let error = Log::open(Arc::new(disk.clone()), &other, FOLDER).unwrap_err().to_string();
    assert!(error.contains(&kek().id().to_string()) && error.contains(&other.id().to_string()), "{error}");
    assert_eq!(disk.dump(), before);
}

#[test]
fn a_log_of_a_newer_program_is_refused_and_left_alone() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, small());
    append(&mut log, 1);
    disk.tamper(&files(&disk)[0], |it| it[8] = 2);
    let error = Log::open(Arc::new(disk.clone()), &kek(), FOLDER).unwrap_err().to_string();
    assert!(error.contains("format version 2") && error.contains("update"), "{error}");
}

#[test]
fn nothing_that_was_sent_in_can_be_read_on_the_disk() {
    const MARKER: &[u8] = b"xyzzy-plugh-2718";
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, small());
    let mut records = RawBatch::new();
    let origin = records.origin(&Origin {
        input: String::from_utf8(MARKER.to_vec()).unwrap(),
        source: String::from_utf8(MARKER.to_vec()).unwrap(),
        ..Origin::default()
    });
    for n in 0..200 {
        records.push(origin, Timestamp(n), n as u64, &MARKER.repeat(1 + n as usize % 5));
    }
    for id in 1..=20 {
        log.append(&[LogFrame { records: records.clone(), ..frame(id, 0, 0) }]).unwrap();
    }
    // The same frame unsealed has both marks: the search below can find something.
    let (plain, _) =
        frame::Encoder::new().unwrap().encode(&LogFrame { records, ..frame(1, 0, 0) }, FrameId(1)).unwrap();
    assert!(decodable_zstd(&plain) && plain.windows(4).any(|it| it == ZSTD_MAGIC));
    assert!(disk.dump().len() > 1);
    for (path, bytes) in disk.dump() {
        assert!(memchr::memmem::find(&bytes, MARKER).is_none(), "{path}");
        assert!(memchr::memmem::find(&bytes, MARKER.split_at(8).0).is_none(), "{path}");
        assert!(!decodable_zstd(&bytes), "{path}");
    }
}

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

fn decodable_zstd(bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, &ZSTD_MAGIC)
        .any(|at| zstd::bulk::decompress(&bytes[at..], FRAME_BYTES_MAX).is_ok_and(|it| !it.is_empty()))
}

#[test]
fn whatever_happens_to_the_files_only_genuine_frames_come_out_in_order() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk, small());
    append(&mut log, 30);
    let whole = disk.dump();
    let (mut given, mut lost) = (0, 0);
    for seed in 0..400 {
        let mut dice = Dice::new(seed);
        for (path, bytes) in &whole {
            disk.tamper(path, |it| it.clone_from(bytes));
        }
        for _ in 0..=dice.below(5) {
            let (path, _) = &whole[dice.below(whole.len() as u64) as usize];
            let (_, other) = &whole[dice.below(whole.len() as u64) as usize];
            disk.tamper(path, |it| {
                let at = dice.below(it.len() as u64 + 1) as usize;
                match dice.below(5) {
                    0 => it.truncate(at),
                    1 => it.extend_from_slice(other),
                    2 => drop(it.splice(at..at, other.iter().copied().take(50))),
                    3 => it.clone_from(other),
                    _ => it.iter_mut().skip(at).take(9).for_each(|it| *it = dice.next() as u8),
                }
            });
        }
        let Ok(recovery) = Recovery::open_read_only(Arc::new(disk.clone()), &kek(), FOLDER) else { continue };
        let mut last = 0;
        for item in recovery.frames_after(FrameId(0)) {
            match item {
                Ok(found) => {
                    assert!(found.id.0 > last, "seed {seed}");
                    last = found.id.0;
                    assert_eq!(found, frame(last, 0, 300), "seed {seed}");
                    given += 1;
                }
                Err(_) => lost += 1,
            }
        }
    }
    assert!(given > 4000 && lost > 400, "{given} given, {lost} lost");
}

#[test]
fn the_log_works_on_a_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(crate::disk::RealDisk::open(folder.path().join("data")).unwrap());
    for restart in 0..3 {
        let (mut log, recovery) = Log::open_with(Arc::clone(&disk), &kek(), FOLDER, small()).unwrap();
        assert_eq!(read(&recovery, 0), (ids(1..=restart * 10), vec![]));
        append(&mut log, 10);
    }
    let (mut log, _) = Log::open_with(Arc::clone(&disk), &kek(), FOLDER, small()).unwrap();
    log.remove_through(FrameId(29)).unwrap();
    let recovery = Recovery::open_read_only(disk, &kek(), FOLDER).unwrap();
    assert_eq!(read(&recovery, 29), (vec![30], vec![]));
}

/// Files of format version 1 must be readable for ever. `PANOPTES_BLESS=1` writes them anew: only before a release.
#[test]
fn a_log_of_version_1_can_still_be_read() {
    const NAME: &str = "0000000001-00000000000000000001.wal";
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("test-data/log");
    let mut frames: Vec<_> = (1..=3).map(|id| frame(id, 7, 200)).collect();
    frames[1].records.origins = vec![Origin {
        input: "file".into(),
        source: "mail".into(),
        peer: Some("192.0.2.1".parse().unwrap()),
        path: Some("/var/log/mail.log".into()),
        identity: Some("8:15".into()),
        format: Some("syslog".into()),
        time_zone: Some("Europe/Berlin".into()),
    }];
    frames[2].records.bytes = b"compressible ".repeat(50);
    if std::env::var_os("PANOPTES_BLESS").is_some() {
        let disk = SimDisk::new();
        open(&disk, LogOptions::default()).0.append(&frames).unwrap();
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join(NAME), &disk.dump()[0].1).unwrap();
    }
    let disk: Arc<dyn Disk> = Arc::new(crate::disk::RealDisk::open(place).unwrap());
    let recovery = Recovery::open_read_only(disk, &kek(), "").unwrap();
    let found: Result<Vec<_>, _> = recovery.frames_after(FrameId(0)).collect();
    assert_eq!(found.unwrap(), frames);
}
