//! The simulated disk loses what it should, and nothing else.

use super::super::read_all;
use super::*;

fn content(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    disk.open_read(path).ok().map(|it| read_all(&*it).unwrap())
}

/// A disk with one synced file `a` that says "kept".
fn with_synced_file() -> (SimDisk, Box<dyn DiskFile>) {
    let disk = SimDisk::new();
    let mut file = disk.create_new("a").unwrap();
    file.append(b"kept").unwrap();
    file.sync().unwrap();
    disk.sync_dir("").unwrap();
    (disk, file)
}

#[test]
fn what_was_synced_survives_every_crash() {
    for seed in 0..100 {
        let (disk, mut file) = with_synced_file();
        file.append(&[b'x'; 3000]).unwrap();
        disk.remove("a").unwrap();
        disk.crash(seed);
        if let Some(content) = content(&disk, "a") {
            assert!(content.starts_with(b"kept"), "seed {seed}");
        }
        assert!(file.append(b"y").is_err(), "the handle is of the time before the crash");
    }
}

#[test]
fn crashes_lose_keep_and_tear_what_was_not_synced() {
    let outcomes: Vec<_> = (0..200)
        .map(|seed| {
            let (disk, mut file) = with_synced_file();
            file.append(&[b'x'; 3000]).unwrap();
            disk.crash(seed);
            content(&disk, "a").unwrap()
        })
        .collect();
    let whole = [b"kept".to_vec(), vec![b'x'; 3000]].concat();
    assert!(outcomes.iter().any(|it| *it == b"kept"));
    assert!(outcomes.contains(&whole));
    assert!(outcomes.iter().any(|it| it.len() < whole.len() && it.len() > 4), "torn");
    assert!(outcomes.iter().any(|it| it.len() > 600 && it.contains(&0) && it.ends_with(b"x")), "a hole");
}

#[test]
fn names_that_were_not_synced_come_and_go() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let (disk, _) = with_synced_file();
        disk.create_dir_all("f").unwrap();
        disk.create_new("b").unwrap().sync().unwrap();
        disk.rename("a", "c").unwrap();
        disk.crash(seed);
        seen.insert(disk.list("").unwrap().join(" "));
    }
    for names in ["a", "a b", "a b f", "a f", "b c", "b c f", "c", "c f"] {
        assert!(seen.contains(names), "{names}: {seen:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_crash() {
    let run = || {
        let (disk, mut file) = with_synced_file();
        file.append(&[b'x'; 3000]).unwrap();
        disk.create_new("b").unwrap();
        disk.crash(42);
        disk.dump()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_failed_sync_loses_its_pages_though_they_still_read() {
    let (disk, mut file) = with_synced_file();
    file.append(b" lost").unwrap();
    disk.fail_sync(0);
    assert!(file.sync().is_err());
    file.sync().unwrap();
    assert_eq!(content(&disk, "a").unwrap(), b"kept lost");
    file.append(b" more").unwrap();
    file.sync().unwrap();
    disk.crash(1);
    assert_eq!(content(&disk, "a").unwrap(), b"kept\0\0\0\0\0 more");
}

#[test]
fn a_full_disk_takes_what_fits_and_says_so() {
    let (disk, mut file) = with_synced_file();
    disk.set_capacity(Some(6));
    assert_eq!(file.append(b"12345").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!((content(&disk, "a").unwrap(), disk.used()), (b"kept12".to_vec(), 6));
    disk.set_capacity(None);
    file.append(b"3").unwrap();
}

#[test]
fn the_operation_that_shall_fail_does_once() {
    let (disk, mut file) = with_synced_file();
    disk.fail_operation(1);
    file.append(b"1").unwrap();
    assert!(file.append(b"22").is_err());
    file.append(b"3").unwrap();
    assert_eq!(content(&disk, "a").unwrap(), b"kept123");
}

#[test]
fn without_power_nothing_works_until_the_crash() {
    let (disk, mut file) = with_synced_file();
    disk.power_off_after(1);
    file.append(b"1").unwrap();
    assert!(file.append(b"2").is_err() && file.sync().is_err() && disk.list("").is_err());
    disk.crash(0);
    assert!(content(&disk, "a").unwrap().starts_with(b"kept"));
}

#[test]
fn a_killed_process_loses_nothing_but_its_files() {
    let (disk, mut file) = with_synced_file();
    file.append(b"!").unwrap();
    disk.kill();
    assert!(file.append(b"2").is_err());
    assert_eq!(content(&disk, "a").unwrap(), b"kept!");
    disk.tamper("a", |it| it.truncate(1));
    assert_eq!(content(&disk, "a").unwrap(), b"k");
}
