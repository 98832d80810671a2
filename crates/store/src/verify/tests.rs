//! Whatever is changed in a data folder is found.

use panoptes_model::{EventBatch, Schema, field};

use super::*;
use crate::disk::SimDisk;
use crate::segment::GROUP_ROWS_MAX;
use crate::store::testing::{DAY, frame, key, open, prepared};

fn check_with(disk: &SimDisk, options: &VerifyOptions) -> Report {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    verify(&shared, &key(), options, &mut |_| {}).unwrap()
}

fn check(disk: &SimDisk) -> Report {
    check_with(disk, &VerifyOptions::default())
}

fn kinds(report: &Report) -> Vec<(&str, FindingKind)> {
    report.findings.iter().map(|it| (it.file.as_str(), it.kind)).collect()
}

/// A folder with some of everything: a segment of two that were merged, six others, frames in the log, a checkpoint.
fn filled() -> SimDisk {
    let disk = SimDisk::new();
    let (store, _) = open(&disk).unwrap();
    for n in 0..5_u64 {
        let id = store.next_frame();
        let texts = vec![format!("text {n}"); 2];
        store.append(&[frame(id, &texts)]).unwrap();
        store.keep(prepared(&frame(id, &texts)));
        if n < 4 {
            store.seal(Timestamp(n as i64)).unwrap();
        }
        if n == 1 {
            while store.compact(Timestamp(9 * DAY), &|| true).unwrap().is_some() {}
            store.remove_replaced(Timestamp(19 * DAY)).unwrap();
        }
    }
    store.write_checkpoint(|out| out.write_all(b"state")).unwrap();
    drop(store);
    disk.kill();
    // A second start: files of both, and the last entry of the manifest twice.
    let (store, _) = open(&disk).unwrap();
    let id = store.next_frame();
    store.append(&[frame(id, &["last".to_owned()])]).unwrap();
    disk
}

#[test]
fn what_is_as_it_was_written_is_clean() {
    let report = check(&filled());
    assert_eq!(report.findings, []);
    assert_eq!((report.segments, report.segments_read, report.rows, report.frames), (7, 7, 8, 6));
    assert_eq!(report.head.map(|it| it.number), Some(5));
    // An empty folder has nothing wrong with it either.
    assert_eq!(check(&SimDisk::new()).findings, []);
}

#[test]
fn one_flipped_bit_anywhere_is_found() {
    let disk = filled();
    let mut tried = 0;
    for (path, content) in disk.dump() {
        let places =
            (0..content.len()).filter(|it| *it < 100 && it % 5 == 0 || it % 211 == 0 || *it + 1 == content.len());
        for offset in places {
            disk.tamper(&path, |it| it[offset] ^= 1 << (offset % 8));
            let shared: Arc<dyn Disk> = Arc::new(disk.clone());
            let names_it = match verify(&shared, &key(), &VerifyOptions::default(), &mut |_| {}) {
                Ok(report) => report.findings.iter().any(|it| it.file == path),
                Err(_) => false,
            };
            assert!(names_it, "{path} at {offset} of {}", content.len());
            disk.tamper(&path, |it| it.clone_from(&content));
            tried += 1;
        }
    }
    assert_eq!(check(&disk).findings, []);
    assert!(tried > 300, "{tried}");
}

#[test]
fn flips_in_what_counts_are_problems_and_not_only_notes() {
    let disk = filled();
    for (path, content) in disk.dump() {
        // The older file of the log ends with a group that the newer one repeats.
        if path.starts_with("log/") {
            continue;
        }
        disk.tamper(&path, |it| it[content.len() / 2] ^= 4);
        assert!(check(&disk).problems().any(|it| it.file == path), "{path}");
        disk.tamper(&path, |it| it.clone_from(&content));
    }
    let logs = disk.list(LOG).unwrap();
    let first = format!("{LOG}/{}", logs[0]);
    disk.tamper(&first, |it| it[200] ^= 1);
    let report = check(&disk);
    let problem = report.problems().next().unwrap();
    assert_eq!((problem.file.as_str(), problem.kind), (first.as_str(), FindingKind::Damaged));
    assert!(problem.text.contains("frames 1 to 1"), "{}", problem.text);
}

#[test]
fn missing_unknown_cut_and_exchanged_files_are_told_apart() {
    let disk = filled();
    let mut names: Vec<String> = disk.list(FOLDER).unwrap().iter().map(|it| format!("{FOLDER}/{it}")).collect();
    names.retain(|it| it.ends_with(".segment"));
    let contents: BTreeMap<String, Vec<u8>> = disk.dump().into_iter().collect();
    let restore = |path: &str| disk.tamper(path, |it| it.clone_from(&contents[path]));

    disk.tamper(&names[0], |it| it.truncate(it.len() - 1));
    let report = check(&disk);
    assert!(kinds(&report).contains(&(names[0].as_str(), FindingKind::Truncated)), "{:?}", report.findings);
    restore(&names[0]);

    // A file of the same store, sealed under the same key, in place of another.
    disk.tamper(&names[0], |it| it.clone_from(&contents[&names[1]]));
    assert!(
        kinds(&check(&disk))
            .iter()
            .all(|it| *it == (names[0].as_str(), FindingKind::Altered) || it.1 == FindingKind::Truncated)
    );
    assert!(check(&disk).problems().count() > 0);
    restore(&names[0]);

    let mut planted = disk.create_new("segments/planted.segment").unwrap();
    planted.append(&contents[&names[1]]).unwrap();
    disk.create_new("segments/left.segment.new").unwrap();
    let report = check(&disk);
    assert_eq!(
        kinds(&report),
        [("segments/left.segment.new", FindingKind::Unknown), ("segments/planted.segment", FindingKind::Unknown)]
    );
    assert_eq!(report.problems().count(), 1);
    let running = VerifyOptions { is_running: true, ..VerifyOptions::default() };
    assert_eq!(check_with(&disk, &running).findings, [], "it may be under way");
    disk.remove("segments/planted.segment").unwrap();
    disk.remove("segments/left.segment.new").unwrap();

    disk.remove(&names[2]).unwrap();
    let report = check(&disk);
    assert_eq!(kinds(&report), [(names[2].as_str(), FindingKind::Missing)]);
    assert_eq!((report.findings[0].events, &report.findings[0].rows[..]), (1, &[(0, 0)][..]));
    disk.remove(MANIFEST).unwrap();
    assert!(kinds(&check(&disk)).contains(&(MANIFEST, FindingKind::Missing)));
}

#[test]
fn a_head_that_was_kept_shows_that_the_end_was_cut_off_or_the_story_changed() {
    let disk = filled();
    let whole = disk.dump().into_iter().find(|it| it.0 == MANIFEST).unwrap().1;
    let head = check(&disk).head.unwrap();
    let with = |head| check_with(&disk, &VerifyOptions { head: Some(head), ..VerifyOptions::default() });
    assert_eq!(with(head).findings, []);
    // Cut after some entry: the chain is as good as before. The last one stands there twice.
    let lengths: Vec<usize> = (0..whole.len())
        .filter(|length| {
            disk.tamper(MANIFEST, |it| *it = whole[..*length].to_vec());
            check(&disk).findings.iter().all(|it| it.file != MANIFEST)
        })
        .collect();
    assert_eq!(lengths.len(), 6, "{lengths:?}");
    for length in &lengths[..4] {
        disk.tamper(MANIFEST, |it| *it = whole[..*length].to_vec());
        let report = with(head);
        assert!(kinds(&report).contains(&(MANIFEST, FindingKind::Truncated)), "{length}: {:?}", report.findings);
    }
    disk.tamper(MANIFEST, |it| it.clone_from(&whole));
    let other = Head { hash: [1; 32], ..head };
    assert_eq!(kinds(&with(other)), [(MANIFEST, FindingKind::Altered)]);
}

#[test]
fn a_nightly_check_reads_what_is_new_and_sees_that_the_rest_is_there() {
    let disk = filled();
    let since = VerifyOptions { since: Some(Timestamp(3)), ..VerifyOptions::default() };
    let report = check_with(&disk, &since);
    assert_eq!((report.segments, report.segments_read, report.findings.len()), (7, 3, 0));
    let contents = Contents::read(&disk, &key(), MANIFEST).unwrap().unwrap();
    // Two of the last sealing, and the merged one, which came late.
    let old = contents.segments().find(|it| it.frame_first == FrameId(3)).unwrap().file.clone();
    disk.tamper(&old, |it| it[500] ^= 1);
    assert_eq!(check_with(&disk, &since).findings, []);
    assert_eq!(check(&disk).problems().count(), 1);
    disk.tamper(&old, |it| it.truncate(500));
    assert_eq!(kinds(&check_with(&disk, &since)), [(old.as_str(), FindingKind::Truncated)]);
    disk.remove(&old).unwrap();
    assert_eq!(kinds(&check_with(&disk, &since)), [(old.as_str(), FindingKind::Missing)]);
}

#[test]
fn a_damaged_place_costs_its_row_group_and_the_rows_are_named() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk).unwrap();
    let rows = GROUP_ROWS_MAX as u64 + 1_000;
    let fill = |writer: &mut panoptes_model::BatchWriter<'_>| {
        for n in 0..rows {
            writer.begin(&format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), 0, Timestamp(5), n);
            writer.time(Timestamp(n as i64));
            writer.text(field::MESSAGE, "x");
        }
    };
    let schema = Arc::new(Schema::ecs());
    let batch = EventBatch::build(schema, FrameId(1), Timestamp(i64::MAX), Vec::new(), String::new(), fill);
    store.append(&[frame(FrameId(1), &["x".to_owned()])]).unwrap();
    store.keep(Arc::new(batch));
    store.seal(Timestamp(0)).unwrap();
    let file = store.snapshot().1[0].file.clone();
    let place = file::chunk_offset(2);
    disk.tamper(&file, |it| it[place as usize + 9] ^= 1);
    let report = check(&disk);
    let finding = &report.findings[0];
    assert_eq!((report.findings.len(), finding.kind, finding.offset), (1, FindingKind::Damaged, Some(place)));
    assert_eq!((finding.events, &finding.rows[..]), (GROUP_ROWS_MAX as u64, &[(0, GROUP_ROWS_MAX as u64 - 1)][..]));
    // The end holds the footer: nothing can be read without it.
    disk.tamper(&file, |it| {
        it[place as usize + 9] ^= 1;
        let last = it.len() - 9;
        it[last] ^= 1;
    });
    let report = check(&disk);
    assert_eq!((report.findings.len(), report.findings[0].events), (1, rows));
}

#[test]
fn another_key_is_an_error_and_not_damage() {
    let disk = filled();
    let shared: Arc<dyn Disk> = Arc::new(disk);
    let other = KeyEncryptionKey::from_bytes([6; 32]);
    let error = verify(&shared, &other, &VerifyOptions::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, VerifyError::KeyOther { given, .. } if given == other.id()), "{error}");
}

#[test]
fn slots_that_were_changed_are_told() {
    let disk = filled();
    let mut slots = panoptes_seal::KeySlots::new(&key(), false);
    keys::write(&disk, &mut slots, &key()).unwrap();
    assert_eq!(check(&disk).findings, []);
    let length = disk.dump().into_iter().find(|it| it.0 == keys::FILE_NAME).unwrap().1.len();
    for offset in 0..length {
        disk.tamper(keys::FILE_NAME, |it| it[offset] ^= 1);
        assert_eq!(kinds(&check(&disk)), [(keys::FILE_NAME, FindingKind::Damaged)], "byte {offset}");
        disk.tamper(keys::FILE_NAME, |it| it[offset] ^= 1);
    }
}
