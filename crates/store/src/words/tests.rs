use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Int64Array, RecordBatch, StringViewArray};
use panoptes_seal::{ChunkOpener, ChunkSealer, KeyEncryptionKey};
use proptest::prelude::*;

use super::*;
use crate::disk::{Disk, SimDisk};

const DIGEST: [u8; 32] = [7; 32];
const SEGMENT: &str = "segments/x.segment";

fn key() -> KeyEncryptionKey {
    KeyEncryptionKey::from_bytes([5; 32])
}

fn messages<'t>(texts: impl IntoIterator<Item = &'t str>) -> RecordBatch {
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values(texts));
    RecordBatch::try_from_iter([("message", texts)]).unwrap()
}

fn add_columns(writer: &mut WordsWriter<Vec<u8>>, columns: &RecordBatch) {
    for (field, column) in columns.schema().fields().iter().zip(columns.columns()) {
        if column.null_count() == column.len() {
            continue;
        }
        writer.add(field.name(), column.as_string_view_opt().map(|it| it.iter().flatten()));
    }
}

/// The sidecar of these row groups.
fn written(groups: &[RecordBatch], limits: Limits) -> Result<Vec<u8>, Vec<u8>> {
    let mut writer = WordsWriter::new(Vec::new(), limits);
    for group in groups {
        add_columns(&mut writer, group);
        writer.end_group().unwrap();
    }
    writer.finish(&DIGEST).unwrap()
}

fn store_of(sidecar: &[u8]) -> WordsStore {
    let disk = SimDisk::new();
    disk.create_dir_all("segments").unwrap();
    let sealed = ChunkSealer::seal_all(&key(), sidecar).unwrap();
    disk.create_new("segments/x.words").unwrap().append(&sealed).unwrap();
    WordsStore::new(Arc::new(disk), key())
}

fn word(word: &str) -> Need {
    Need::all(Term::words(word).into_iter().map(Need::Term))
}

fn groups_with(store: &WordsStore, need: &Need) -> Vec<usize> {
    let groups = store.groups(SEGMENT, &DIGEST, need).unwrap().unwrap();
    groups.iter().enumerate().filter(|it| it.1).map(|it| it.0).collect()
}

#[test]
fn each_word_leads_to_its_row_groups() {
    let texts = ["one two", "two three", "three four"];
    let store = store_of(&written(&texts.map(|it| messages([it])), Limits::default()).unwrap());
    for (query, expected) in [("one", &[0][..]), ("TWO", &[0, 1]), ("four", &[2]), ("two three", &[1]), ("five", &[])] {
        assert_eq!(groups_with(&store, &word(query)), expected, "{query}");
    }
    let either = Need::any([word("one"), word("four")]);
    assert_eq!(groups_with(&store, &either), [0, 2]);
    assert_eq!(groups_with(&store, &Need::Nothing), [0, 1, 2]);
    assert_eq!(groups_with(&store, &Need::any([word("one"), Need::Nothing])), [0, 1, 2]);
    assert_eq!(groups_with(&store, &Need::Any(Vec::new())), [0; 0]);
}

#[test]
fn a_row_group_with_too_many_terms_may_have_anything() {
    let many: Vec<String> = (0..101).map(|it| format!("w{it}")).collect();
    let batch = |count: usize| messages(many.iter().take(count).map(String::as_str));
    let limits = Limits { group_terms_max: 100, ..Limits::default() };
    let store = store_of(&written(&[batch(100), batch(101), batch(3)], limits).unwrap());
    assert_eq!(groups_with(&store, &word("w2")), [0, 1, 2]);
    assert_eq!(groups_with(&store, &word("w99")), [0, 1]);
    assert_eq!(groups_with(&store, &word("absent")), [1]);
}

#[test]
fn a_looked_up_column_that_is_no_text_may_have_anything() {
    let numbers = |values: Vec<Option<i64>>| {
        let numbers: ArrayRef = Arc::new(Int64Array::from(values));
        RecordBatch::try_from_iter([("user.id", numbers)]).unwrap()
    };
    let store = store_of(&written(&[numbers(vec![None]), numbers(vec![None, Some(5)])], Limits::default()).unwrap());
    assert_eq!(groups_with(&store, &Need::Term(Term::value("user.id", "7"))), [1]);
}

#[test]
fn further_sections_begin_when_one_is_full() {
    let texts: Vec<String> = (0..200).map(|it| format!("all word{it} word{}", it + 1)).collect();
    let groups: Vec<RecordBatch> = texts.iter().map(|it| messages([it.as_str()])).collect();
    for section_terms_max in [3, 10, 100, 1_000] {
        let limits = Limits { section_terms_max, ..Limits::default() };
        let store = store_of(&written(&groups, limits).unwrap());
        let mut more = 0;
        for group in 1..200 {
            let found = groups_with(&store, &word(&format!("word{group}")));
            assert!(found.contains(&(group - 1)) && found.contains(&group));
            more += found.len() - 2;
        }
        assert!(more < 199 * 200 / 100, "{section_terms_max}: {more}");
        assert_eq!(groups_with(&store, &word("all")).len(), 200);
    }
}

#[test]
fn more_sections_than_there_may_be_make_no_sidecar() {
    let groups = ["a", "b", "c"].map(|it| messages([it]));
    let limits = |sections_max| Limits { section_terms_max: 1, sections_max, ..Limits::default() };
    assert!(written(&groups, limits(3)).is_ok());
    assert!(written(&groups, limits(2)).is_err());
}

#[test]
fn the_cache_holds_no_more_than_it_may() {
    let texts: Vec<String> = (0..20_000).map(|it| format!("word{it}")).collect();
    let mut sidecar = store_of(&written(&[messages(texts.iter().map(String::as_str))], Limits::default()).unwrap());
    for bytes_max in [0, 300, 4_000, 20_000] {
        sidecar = sidecar.with_cache(bytes_max);
        for text in &texts {
            assert_eq!(groups_with(&sidecar, &word(text)), [0]);
            assert!(sidecar.cached_bytes() <= bytes_max, "{} {bytes_max}", sidecar.cached_bytes());
        }
        assert_eq!(sidecar.cached_bytes() > 0, bytes_max >= 4_000);
    }
}

#[test]
fn a_segment_without_a_sidecar_has_nothing_to_say() {
    let disk = SimDisk::new();
    disk.create_dir_all("segments").unwrap();
    assert_eq!(WordsStore::new(Arc::new(disk), key()).groups(SEGMENT, &DIGEST, &word("x")).unwrap(), None);
    assert_eq!(groups_with(&store_of(&written(&[], Limits::default()).unwrap()), &word("x")), [0; 0]);
}

/// Sidecars of format version 1 must be readable for ever. `PANOPTES_BLESS=1` writes it anew: only before a release.
#[test]
fn a_sidecar_of_version_1_can_still_be_read() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("test-data/words/v1.words");
    let texts = ["Failed password for root", "password 7 für Jürgen", "GET /"];
    if std::env::var_os("PANOPTES_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let sidecar = written(&texts.map(|it| messages([it])), Limits::default()).unwrap();
        std::fs::write(&path, ChunkSealer::seal_all(&key(), &sidecar).unwrap()).unwrap();
    }
    let store = store_of(&ChunkOpener::open_all(&key(), &std::fs::read(path).unwrap()).unwrap());
    for (query, expected) in [("failed", &[0][..]), ("Password", &[0, 1]), ("JÜRGEN", &[1]), ("get", &[2]), ("x", &[])]
    {
        assert_eq!(groups_with(&store, &word(query)), expected, "{query}");
    }
}

fn two_sections() -> Vec<u8> {
    let limits = Limits { section_terms_max: 4, ..Limits::default() };
    written(&["a b c", "b c", "d e f"].map(|it| messages([it])), limits).unwrap()
}

proptest! {
    #[test]
    fn no_bytes_make_a_look_up_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..300),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut changed = two_sections();
        for (place, byte) in changes {
            let place = place.index(changed.len());
            changed[place] = byte;
        }
        if let Some(cut) = cut {
            changed.drain(..cut.index(changed.len()));
        }
        for bytes in [noise, changed] {
            let store = store_of(&bytes);
            for name in ["a", "c", "x"] {
                if let Ok(Some(groups)) = store.groups(SEGMENT, &DIGEST, &word(name)) {
                    prop_assert!(groups.count() <= groups.iter().len());
                }
            }
        }
    }

    #[test]
    fn every_word_of_every_text_is_found(
        groups in proptest::collection::vec(proptest::collection::vec(r"[a-cé0-9 ]{0,12}", 0..6), 1..8),
        section_terms_max in 1..40_usize,
    ) {
        let batches: Vec<RecordBatch> = groups.iter().map(|it| messages(it.iter().map(String::as_str))).collect();
        let store = store_of(&written(&batches, Limits { section_terms_max, ..Limits::default() }).unwrap());
        let mut expected: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, texts) in groups.iter().enumerate() {
            for word in texts.iter().flat_map(|it| it.split(' ')).filter(|it| !it.is_empty()) {
                let of_word = expected.entry(word).or_default();
                if of_word.last() != Some(&number) {
                    of_word.push(number);
                }
            }
        }
        for (name, numbers) in expected {
            let found = groups_with(&store, &word(name));
            prop_assert!(numbers.iter().all(|it| found.contains(it)), "{} {:?} {:?}", name, numbers, found);
        }
    }
}
