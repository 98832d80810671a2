//! The manifest on a disk that fails, and under the hands of somebody who changes it.

use std::sync::Arc;

use panoptes_model::FrameId;
use panoptes_seal::KeyEncryptionKey;

use super::*;
use crate::disk::sim::Dice;
use crate::disk::{Disk, SimDisk, read_all};

const PATH: &str = "evidence/manifest";

fn kek() -> KeyEncryptionKey {
    KeyEncryptionKey::from_bytes([5; 32])
}

fn open(disk: &SimDisk) -> Manifest {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Manifest::open(&disk, &kek(), PATH).unwrap()
}

fn segment(n: u64) -> Segment {
    Segment {
        file: format!("segments/{n:04}"),
        day: -3,
        rows: n,
        time_min: Timestamp(-1),
        time_max: Timestamp(n as i64),
        frame_first: FrameId(n * 10),
        frame_last: FrameId(n * 10 + 9),
        bytes: 1000 + n,
        digest: [n as u8; 32],
        rows_digest: Some(RowsDigest([n as u8 + 1; 32])),
        words: n.is_multiple_of(2).then_some(Sidecar { bytes: n, digest: [9; 32] }),
        sources: Kinds::Known(vec![String::new(), format!("host{n}")]),
        datasets: if n == 3 { Kinds::Unknown } else { Kinds::Known(vec!["linux.sshd".into()]) },
        class: if n == 4 { "short".into() } else { String::new() },
        key: Some(kek().id()),
    }
}

/// What an entry of version 1 can say of it.
fn segment_v1(n: u64) -> Segment {
    Segment {
        rows_digest: None,
        words: None,
        sources: Kinds::Unknown,
        datasets: Kinds::Unknown,
        class: String::new(),
        key: None,
        ..segment(n)
    }
}

fn cause(reason: &str) -> Cause {
    Cause { reason: reason.into(), actor: "alice".into(), policy: "web".into() }
}

fn seal(manifest: &mut Manifest, n: u64) -> Head {
    manifest.append(Timestamp(n as i64), Change::Sealed(vec![segment(n)])).unwrap()
}

fn names(contents: &Contents) -> Vec<u64> {
    contents.segments().map(|it| it.rows).collect()
}

fn read(disk: &SimDisk) -> Contents {
    Contents::read(disk, &kek(), PATH).unwrap().unwrap()
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let disk = SimDisk::new();
    assert!(Contents::read(&disk, &kek(), PATH).unwrap().is_none());
    let mut manifest = open(&disk);
    seal(&mut manifest, 1);
    manifest.append(Timestamp(3), Change::Sealed(vec![segment(2), segment(3)])).unwrap();
    seal(&mut manifest, 4);
    let inputs = vec![segment(1).file, segment(3).file];
    manifest.append(Timestamp(5), Change::Compacted { inputs, outputs: vec![segment(9)] }).unwrap();
    let deleted = Change::Deleted { files: vec![segment(9).file], cause: cause("older than 90 days") };
    let head = manifest.append(Timestamp(6), deleted.clone()).unwrap();
    disk.crash(1);
    let manifest = open(&disk);
    assert_eq!(manifest.contents().head(), head);
    assert_eq!((head.number, names(manifest.contents())), (5, vec![2, 4]));
    assert_eq!(manifest.frame_last(), FrameId(99), "though that segment is gone");
    assert_eq!(manifest.contents().segment("segments/0002"), Some(&segment(2)));
    assert_eq!(manifest.contents().problems(), []);
    let mut story = Vec::new();
    let problems = history(&disk, &kek(), PATH, &mut |it| story.push(it.clone())).unwrap();
    assert!(problems.is_empty());
    assert_eq!(story.len(), 5);
    assert_eq!(story.last(), Some(&Entry { head, at: Timestamp(6), change: deleted }));
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_no_trace() {
    let disk = SimDisk::new();
    let mut manifest = open(&disk);
    seal(&mut manifest, 1);
    let before = disk.dump();
    let refused: [(Change, &str); 5] = [
        (Change::Sealed(vec![segment(2), segment(2)]), "there is a segment `segments/0002` already"),
        (Change::Sealed(vec![segment(1)]), "there is a segment `segments/0001` already"),
        (Change::Deleted { files: vec!["x".into()], cause: Cause::default() }, "there is no segment `x`"),
        (Change::Compacted { inputs: vec!["x".into()], outputs: vec![segment(2)] }, "there is no segment `x`"),
        (
            Change::Deleted { files: vec![segment(1).file], cause: cause(&"y".repeat(ENTRY_BYTES_MAX)) },
            "one may have 1048576",
        ),
    ];
    for (change, reason) in refused {
        let error = manifest.append(Timestamp(0), change).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(disk.dump(), before);
    assert_eq!(names(manifest.contents()), [1]);
}

#[test]
fn no_more_segments_are_taken_than_fit() {
    let disk = SimDisk::new();
    let mut manifest = open(&disk);
    let names = (0..SEGMENTS_MAX).map(|n| format!("{n}"));
    manifest.contents.segments = names.map(|file| (file.clone(), Segment { file, ..segment(1) })).collect();
    let error = manifest.append(Timestamp(0), Change::Sealed(vec![segment(1)])).unwrap_err();
    assert!(matches!(error, ManifestError::SegmentsTooMany));
    let smaller = Change::Compacted { inputs: vec!["7".into(), "8".into()], outputs: vec![segment(1)] };
    manifest.append(Timestamp(0), smaller).unwrap();
    seal(&mut manifest, 2);
}

/// Lives through appends, faults and crashes; every acknowledged entry must be there, in order.
fn live(seed: u64) -> u64 {
    let mut dice = Dice::new(seed);
    let disk = SimDisk::new();
    let mut acknowledged: Vec<Head> = Vec::new();
    let mut tails = 0;
    let mut n = 0;
    for round in 0..6 {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut manifest = match Manifest::open(&shared, &kek(), PATH) {
            Ok(manifest) => manifest,
            Err(error) => panic!("seed {seed}, round {round}: {error}: {error:?}"),
        };
        assert_eq!(manifest.contents().problems(), [], "seed {seed}, round {round}");
        let mut found = Vec::new();
        history(&disk, &kek(), PATH, &mut |it| found.push(it.head)).unwrap();
        assert!(
            found.starts_with(&acknowledged),
            "seed {seed}, round {round}: {} of {}",
            found.len(),
            acknowledged.len()
        );
        assert!(found.len() <= acknowledged.len() + 1, "at most the one under way");
        tails += u64::from(found.len() > acknowledged.len());
        acknowledged = found;
        if dice.percent(70) {
            disk.power_off_after(dice.below(25));
        }
        for _ in 0..dice.below(12) {
            match dice.below(8) {
                0 => disk.fail_operation(dice.below(4)),
                1 => disk.fail_sync(0),
                2 => disk.set_capacity(Some(disk.used() + dice.below(200))),
                _ => disk.set_capacity(None),
            }
            n += 1;
            if let Ok(head) = manifest.append(Timestamp(0), Change::Sealed(vec![segment(n)])) {
                acknowledged.push(head);
            }
        }
        disk.set_capacity(None);
        if dice.percent(85) { disk.crash(dice.next()) } else { disk.kill() }
    }
    tails
}

#[test]
fn every_acknowledged_entry_is_there_after_crashes() {
    let tails: u64 = (0..500).map(live).sum();
    println!("seeds 0..500: {tails} entries found that were not acknowledged");
    assert!(tails > 0);
}

#[test]
fn making_the_manifest_may_be_interrupted_anywhere() {
    for seed in 0..200 {
        let disk = SimDisk::new();
        let mut dice = Dice::new(seed);
        disk.power_off_after(dice.below(9));
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let made = Manifest::open(&shared, &kek(), PATH).is_ok();
        disk.crash(seed);
        let mut manifest = open(&disk);
        assert_eq!((names(manifest.contents()), manifest.contents().problems()), (vec![], &[][..]), "{made}");
        seal(&mut manifest, 1);
        disk.crash(seed);
        assert_eq!(names(&read(&disk)), [1], "seed {seed}");
    }
}

#[test]
fn a_torn_entry_is_cut_off_wherever_it_ends() {
    let disk = SimDisk::new();
    let mut manifest = open(&disk);
    seal(&mut manifest, 1);
    let before = disk.used() as usize;
    seal(&mut manifest, 2);
    let whole = read_all(&*disk.open_read(PATH).unwrap()).unwrap();
    for cut in before..whole.len() {
        disk.tamper(PATH, |it| *it = whole[..cut].to_vec());
        assert_eq!(read(&disk).torn_bytes(), (cut - before) as u64);
        let mut manifest = open(&disk);
        assert_eq!((names(manifest.contents()), read(&disk).torn_bytes()), (vec![1], 0));
        seal(&mut manifest, 3);
        assert_eq!((names(&read(&disk)), read(&disk).problems()), (vec![1, 3], &[][..]));
    }
}

#[test]
fn an_entry_that_stands_there_twice_counts_once() {
    let disk = SimDisk::new();
    let head = seal(&mut open(&disk), 1);
    let once = disk.used();
    let first = read_all(&*disk.open_read(PATH).unwrap()).unwrap();
    let manifest = open(&disk);
    assert!(disk.used() > once);
    assert_eq!((manifest.contents().head(), names(manifest.contents())), (head, vec![1]));
    let mut manifest = open(&disk);
    seal(&mut manifest, 2);
    let mut story = Vec::new();
    history(&disk, &kek(), PATH, &mut |it| story.push(it.head.number)).unwrap();
    assert_eq!(story, [1, 2]);
    // Any of the copies will do.
    disk.tamper(PATH, |it| it[first.len() - 40] ^= 1);
    assert_eq!((names(&read(&disk)), read(&disk).problems()), (vec![1, 2], &[][..]));
}

#[test]
fn a_full_disk_does_not_stop_the_manifest_from_opening() {
    let disk = SimDisk::new();
    let mut manifest = open(&disk);
    seal(&mut manifest, 1);
    disk.set_capacity(Some(disk.used() + 20));
    let error = manifest.append(Timestamp(0), Change::Sealed(vec![segment(2)])).unwrap_err();
    assert!(matches!(error, ManifestError::DiskFull { .. }), "{error}");
    let mut manifest = open(&disk);
    assert_eq!(names(manifest.contents()), [1]);
    disk.set_capacity(None);
    seal(&mut manifest, 2);
    disk.crash(4);
    assert_eq!((names(&read(&disk)), read(&disk).problems()), (vec![1, 2], &[][..]));
}

#[test]
fn damage_costs_the_entry_it_hits_and_is_told() {
    let disk = SimDisk::new();
    let mut manifest = open(&disk);
    seal(&mut manifest, 1);
    let start = disk.used() as usize;
    seal(&mut manifest, 2);
    let end = disk.used() as usize;
    seal(&mut manifest, 3);
    let whole = read_all(&*disk.open_read(PATH).unwrap()).unwrap();
    for offset in start..end {
        disk.tamper(PATH, |it| {
            it.clone_from(&whole);
            it[offset] ^= 0x10;
        });
        let contents = read(&disk);
        assert_eq!(names(&contents), [1, 3], "byte {offset}");
        let path = PATH.to_owned();
        assert_eq!(
            contents.problems(),
            [
                ManifestProblem::Damaged { path: path.clone(), offset: start as u64, bytes: (end - start) as u64 },
                ManifestProblem::Missing { path, first: 2, last: 2 },
            ]
        );
    }
    // It can still be written to.
    let mut manifest = open(&disk);
    seal(&mut manifest, 4);
    assert_eq!(names(&read(&disk)), [1, 3, 4]);
}

#[test]
fn entries_swapped_doubled_or_of_another_manifest_are_noticed() {
    let disk = SimDisk::new();
    let mut manifest = open(&disk);
    let header = disk.used() as usize;
    for n in 1..=3 {
        seal(&mut manifest, n);
    }
    let whole = read_all(&*disk.open_read(PATH).unwrap()).unwrap();
    let record = (whole.len() - header) / 3;
    let piece = |n: usize| whole[header + n * record..header + (n + 1) * record].to_vec();
    let head = [&whole[..header]].concat();
    for order in [vec![1, 0, 2], vec![0, 1, 0, 2], vec![0, 2, 1], vec![0, 2]] {
        let changed = order.iter().fold(head.clone(), |file, n| [file, piece(*n)].concat());
        disk.tamper(PATH, |it| *it = changed);
        assert!(!read(&disk).problems().is_empty(), "{order:?}");
    }
    // Cut at a border, nothing inside the file shows it; a head that was kept elsewhere does.
    let kept = manifest.contents().head();
    disk.tamper(PATH, |it| it.truncate(header + record));
    assert_eq!(read(&disk).problems(), []);
    let mut found = false;
    history(&disk, &kek(), PATH, &mut |it| found |= it.head == kept).unwrap();
    assert!(!found);
    let other = SimDisk::new();
    seal(&mut open(&other), 1);
    let foreign = read_all(&*other.open_read(PATH).unwrap()).unwrap()[header..].to_vec();
    disk.tamper(PATH, |it| *it = [head, foreign].concat());
    assert!(names(&read(&disk)).is_empty());
}

#[test]
fn an_entry_forged_with_the_key_breaks_the_chain() {
    let disk = SimDisk::new();
    let mut manifest = open(&disk);
    seal(&mut manifest, 1);
    // What somebody with the key would have to do: write an entry that does not name the one before.
    manifest.contents.head.hash = [0; 32];
    seal(&mut manifest, 2);
    let problem = ManifestProblem::ChainBroken { path: PATH.into(), number: 2 };
    assert_eq!(read(&disk).problems(), [problem]);
}

#[test]
fn a_wrong_key_and_a_damaged_header_are_told_and_change_nothing() {
    let disk = SimDisk::new();
    seal(&mut open(&disk), 1);
    let before = disk.dump();
    let other = KeyEncryptionKey::from_bytes([6; 32]);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let error = Manifest::open(&shared, &other, PATH).unwrap_err().to_string();
    assert!(error.contains(&kek().id().to_string()) && error.contains(&other.id().to_string()), "{error}");
    assert_eq!(disk.dump(), before);
    disk.tamper(PATH, |it| it[15] ^= 1);
    assert!(matches!(Manifest::open(&shared, &kek(), PATH), Err(ManifestError::HeaderDamaged { .. })));
    disk.tamper(PATH, |it| it.truncate(5));
    assert!(matches!(Manifest::open(&shared, &kek(), PATH), Err(ManifestError::HeaderDamaged { .. })));
    disk.tamper(PATH, |it| {
        it.clone_from(&before[0].1);
        it[8] = 9;
    });
    assert!(matches!(
        Manifest::open(&shared, &kek(), PATH),
        Err(ManifestError::VersionUnknown { version: 9, known: 1, .. })
    ));
}

#[test]
fn nothing_of_an_entry_can_be_read_on_the_disk() {
    let disk = SimDisk::new();
    let mut manifest = open(&disk);
    seal(&mut manifest, 1);
    let deleted = Change::Deleted { files: vec![segment(1).file], cause: cause("xyzzy-plugh") };
    manifest.append(Timestamp(0), deleted).unwrap();
    for (path, bytes) in disk.dump() {
        for word in ["xyzzy", "segments/"] {
            assert!(memchr::memmem::find(&bytes, word.as_bytes()).is_none(), "{path}");
        }
    }
}

#[test]
fn the_digest_of_a_file_is_its_sha_256() {
    let disk = SimDisk::new();
    for length in [0, 3, (1 << 20) - 1, 1 << 20, (1 << 20) + 1] {
        let path = format!("file{length}");
        let content = vec![7; length];
        let mut file = disk.create_new(&path).unwrap();
        file.append(&content).unwrap();
        assert_eq!(digest(&*file).unwrap(), panoptes_seal::sha256(&[&content]));
    }
    // The well-known digest of nothing.
    assert_eq!(digest(&*disk.open_read("file0").unwrap()).unwrap()[..4], [0xe3, 0xb0, 0xc4, 0x42]);
}

#[test]
fn kinds_say_nothing_rather_than_too_much() {
    let of = |values: &[&str]| Kinds::of(values.iter().map(|it| (*it).to_owned()));
    let both = of(&["b", "a", "b"]).union(&of(&["c"]));
    assert_eq!(both, Kinds::Known(vec!["a".into(), "b".into(), "c".into()]));
    assert!(both.may_contain("c") && !both.may_contain("d") && Kinds::Unknown.may_contain("d"));
    assert_eq!(both.union(&Kinds::Unknown), Kinds::Unknown);
    assert_eq!(Kinds::of((0..=KINDS_MAX).map(|n| n.to_string())), Kinds::Unknown);
    assert!(matches!(Kinds::of((0..KINDS_MAX).map(|n| n.to_string())), Kinds::Known(it) if it.len() == KINDS_MAX));
    assert_eq!(Kinds::of(["x".repeat(KIND_BYTES_MAX + 1)]), Kinds::Unknown);
}

fn sample(name: &str) -> Vec<(Timestamp, Change)> {
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("test-data/manifest");
    let disk = crate::disk::RealDisk::open(place).unwrap();
    let mut found = Vec::new();
    let problems = history(&disk, &kek(), name, &mut |it| found.push((it.at, it.change.clone()))).unwrap();
    assert_eq!(problems, []);
    let contents = Contents::read(&disk, &kek(), name).unwrap().unwrap();
    assert_eq!(names(&contents), [3]);
    found
}

fn numbered(changes: impl IntoIterator<Item = Change>) -> Vec<(Timestamp, Change)> {
    (0..).map(Timestamp).zip(changes).collect()
}

/// Entries of version 1 must be readable for ever. Nothing writes them any more.
#[test]
fn a_manifest_of_version_1_can_still_be_read() {
    let v1 = |reason: &str| Cause { reason: reason.into(), ..Cause::default() };
    let changes = [
        Change::Sealed(vec![segment_v1(1), segment_v1(2)]),
        Change::Compacted { inputs: vec![segment(1).file, segment(2).file], outputs: vec![segment_v1(3)] },
        Change::Sealed(vec![segment_v1(4)]),
        Change::Deleted { files: vec![segment(4).file], cause: v1("retention") },
    ];
    assert_eq!(sample("manifest-v1"), numbered(changes));
}

/// And those of version 2. `PANOPTES_BLESS=1` writes them anew: only before a release.
#[test]
fn a_manifest_of_version_2_can_still_be_read() {
    let changes = [
        Change::Sealed(vec![segment(1), segment(2)]),
        Change::Compacted { inputs: vec![segment(1).file, segment(2).file], outputs: vec![segment(5)] },
        Change::Sealed(vec![segment(4), segment(6)]),
        Change::Deleted { files: vec![segment(4).file, segment(6).file], cause: cause("retention") },
        Change::Erased(Erasure {
            inputs: vec![segment(5).file],
            outputs: vec![segment(3)],
            rows: 2,
            rows_digest: RowsDigest([7; 32]),
            cause: cause("asked for by the person"),
        }),
    ];
    if std::env::var_os("PANOPTES_BLESS").is_some() {
        let disk = SimDisk::new();
        let mut manifest = open(&disk);
        for (at, change) in numbered(changes.clone()) {
            manifest.append(at, change).unwrap();
        }
        let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("test-data/manifest");
        std::fs::write(place.join("manifest-v2"), &disk.dump()[0].1).unwrap();
    }
    assert_eq!(sample("manifest-v2"), numbered(changes));
}
