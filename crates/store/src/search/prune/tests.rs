use std::sync::Arc;

use panoptes_model::{BatchWriter, EventBatch, FrameId, Origin, Timestamp};
use panoptes_seal::KeyEncryptionKey;
use proptest::prelude::*;

use super::super::query::Glob;
use super::super::{Evidence, Found, SearchOptions, SearchRequest};
use super::*;
use crate::disk::{Disk, SimDisk, read_all};
use crate::manifest::{Kinds, Segment};
use crate::pivot::COLUMNS_MAX;
use crate::segment::GROUP_TEXT_BYTES_MAX;
use crate::store::{Store, StoreOptions};

const DAY: i64 = 86_400 * Timestamp::NANOS_PER_SECOND;

/// A store on a disk that is only in memory.
struct Bed {
    disk: Arc<SimDisk>,
    store: Store,
    searcher: Searcher,
    frame: u64,
}

impl Bed {
    fn new() -> Self {
        let disk = Arc::new(SimDisk::new());
        let key = KeyEncryptionKey::from_bytes([5; 32]);
        let (store, _) = Store::open_on(Arc::<SimDisk>::clone(&disk), &key, None, StoreOptions::default()).unwrap();
        let schema = Arc::new(Schema::ecs());
        let searcher = Searcher::new(Arc::<SimDisk>::clone(&disk), &key, schema, SearchOptions::default()).unwrap();
        Self { disk, store, searcher, frame: 0 }
    }

    /// One segment for each day of these events.
    fn seal(&mut self, fill: impl FnOnce(&mut BatchWriter<'_>)) {
        self.seal_from("bed", fill);
    }

    fn seal_from(&mut self, source: &str, fill: impl FnOnce(&mut BatchWriter<'_>)) {
        self.frame += 1;
        let (schema, now) = (Arc::new(Schema::ecs()), Timestamp(i64::MAX));
        let origin = Origin { source: source.to_owned(), ..Origin::default() };
        let batch = EventBatch::build(schema, FrameId(self.frame), now, vec![origin], String::new(), fill);
        self.store.keep(Arc::new(batch));
        self.store.seal(Timestamp(0)).unwrap();
    }

    fn segments(&self) -> Vec<Segment> {
        self.store.snapshot().1
    }

    fn found_in(&self, segments: &[Segment], query: Query) -> Found {
        let evidence = Evidence { hot: &[], segments };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.searcher.search(evidence, &SearchRequest::new(query, 1_000))).unwrap()
    }

    /// Ids, and what was left out.
    fn found(&self, query: &str) -> (Vec<String>, Pruning) {
        let mut found = self.found_in(&self.segments(), query.parse().unwrap());
        (ids(&mut found), found.pruning())
    }
}

fn ids(found: &mut Found) -> Vec<String> {
    found.all_rows().unwrap().iter().map(|it| it.id.to_string()).collect()
}

fn begin(writer: &mut BatchWriter<'_>, day: i64, original: &str, fields: &[(&str, &str)]) {
    writer.begin(original, 0, Timestamp(5), 0);
    writer.time(Timestamp(day * DAY));
    for (name, value) in fields {
        let id = writer.field(name).unwrap();
        writer.typed(id, value);
    }
}

fn three_segments() -> Bed {
    let mut bed = Bed::new();
    bed.seal(|writer| {
        begin(writer, 0, "Failed password for root", &[("source.ip", "10.0.0.1"), ("user.name", "root")])
    });
    bed.seal(|writer| {
        begin(writer, 1, "{\"path\":\"C:\\\\Temp\\\\a.exe\"}", &[("process.command_line", "A.exe -x 7")])
    });
    bed.seal(|writer| {
        begin(writer, 2, "GET /admin", &[("message", "Prüfung von Müller")]);
        let address = writer.field("source.ip").unwrap();
        writer.text_list(address, ["192.0.2.7", "192.0.2.8"]);
        // Twice: the second goes to the overflow. So does what is no address.
        begin(writer, 2, "", &[("user.name", "first"), ("user.name", "second"), ("host.ip", "no address")]);
    });
    bed
}

#[test]
fn segments_without_a_needed_word_or_value_are_not_opened() {
    let bed = three_segments();
    for (query, ids, left_out) in [
        ("failed", &["1-0"][..], 2),
        ("\"password FOR root\"", &["1-0"], 2),
        ("\"password for ro*\"", &[], 3),
        ("password fo*", &["1-0"], 2),
        ("*asswor*", &["1-0"], 0),
        ("absent", &[], 3),
        ("absent OR failed", &["1-0"], 2),
        ("failed -root", &[], 2),
        ("-failed", &["3-1", "3-0", "2-0"], 0),
        ("source.ip:10.0.0.1", &["1-0"], 2),
        ("source.ip:::ffff:10.0.0.1", &["1-0"], 2),
        ("source.ip:192.0.2.8", &["3-0"], 2),
        ("source.ip:10.0.0.0/8", &["1-0"], 0),
        ("user.name:root failed", &["1-0"], 2),
        ("user.name:Root", &[], 3),
        ("user.name:second", &["3-1"], 2),
        ("host.ip:\"no address\"", &["3-1"], 2),
        ("PRÜFUNG", &["3-0"], 2),
        ("temp", &["2-0"], 2),
        ("process.command_line:*.EXE*", &["2-0"], 0),
        ("process.command_line:\"A.exe -x 7\"", &["2-0"], 2),
        ("process.command_line:\"a.exe -x 7\"", &[], 2),
        ("process.command_line:*.exe\\*", &[], 2),
        ("process.command_line:*-x*7", &["2-0"], 0),
        ("", &["3-1", "3-0", "2-0", "1-0"], 0),
    ] {
        let (found, pruning) = bed.found(query);
        assert_eq!(
            (&found[..], pruning.segments),
            (&ids.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()[..], left_out),
            "{query}"
        );
    }
    let opened = bed.searcher.segments_opened();
    bed.found("absent");
    assert_eq!(bed.searcher.segments_opened(), opened);
}

#[test]
fn segments_of_other_sources_and_datasets_are_not_opened() {
    let mut bed = Bed::new();
    for (source, dataset) in [("web1", Some("nginx.access")), ("web2", None), ("dc1", Some("windows.security"))] {
        let day = bed.frame as i64;
        bed.seal_from(source, |writer| {
            let fields: Vec<(&str, &str)> = dataset.iter().map(|it| ("event.dataset", *it)).collect();
            begin(writer, day, "x", &fields);
        });
    }
    for (query, ids, left_out) in [
        ("panoptes.source:web1", &["1-0"][..], 2),
        ("panoptes.source:web*", &["2-0", "1-0"], 1),
        ("panoptes.source:/^web[12]$/", &["2-0", "1-0"], 1),
        ("panoptes.source:other", &[], 3),
        ("-panoptes.source:web1", &["3-0", "2-0"], 0),
        ("event.dataset:nginx.access", &["1-0"], 2),
        ("event.dataset:nginx.access OR panoptes.source:dc1", &["3-0", "1-0"], 1),
        ("event.dataset:nginx.access panoptes.source:dc1", &[], 3),
        ("event.dataset:*", &["3-0", "1-0"], 0),
        ("-event.dataset:*", &["2-0"], 0),
        ("event.dataset:>o", &["3-0"], 2),
    ] {
        let (found, pruning) = bed.found(query);
        assert_eq!((found, pruning.segments), (ids.iter().map(|it| (*it).to_owned()).collect(), left_out), "{query}");
    }
}

#[test]
fn row_groups_without_a_needed_word_are_skipped() {
    let mut bed = Bed::new();
    // Two of them are a row group.
    let long = "x ".repeat(GROUP_TEXT_BYTES_MAX / 4);
    bed.seal(|writer| {
        for number in 0..4 {
            begin(writer, 0, &format!("number{number} and{}", number / 2), &[("message", &long)]);
        }
    });
    for (query, count, skipped) in [("number3", 1, 1), ("and1", 2, 1), ("number1 number2", 0, 0), ("x", 4, 0)] {
        let (found, pruning) = bed.found(query);
        assert_eq!((found.len(), pruning.row_groups), (count, skipped), "{query}");
        assert_eq!(pruning.segments, usize::from(count == 0), "{query}");
    }
}

/// More fields than a segment has columns: the rest lies in the overflow.
#[test]
fn fields_beyond_the_columns_are_found_by_value_word_and_pattern() {
    let mut bed = Bed::new();
    bed.seal(|writer| {
        begin(writer, 0, "one more", &[("f0", "other")]);
        begin(writer, 1, "the record", &[]);
        for number in 0..COLUMNS_MAX + 50 {
            let id = writer.field(&format!("f{number}")).unwrap();
            writer.text(id, &format!("Value {number}"));
        }
        for (name, value) in
            [("z.user.name", "Jane Doe"), ("z.command_line", "net.exe user /add"), ("z.ip", "10.0.0.1")]
        {
            let id = writer.field(name).unwrap();
            writer.text(id, value);
        }
    });
    let last = COLUMNS_MAX + 49;
    for (query, ids, left_out) in [
        (format!("f{last}:\"Value {last}\""), &["1-1"][..], 0),
        (format!("f{last}:value*"), &["1-1"], 0),
        (format!("f{last}:*"), &["1-1"], 0),
        (format!("f{last}:other"), &[], 0),
        ("record".to_owned(), &["1-1"], 1),
        ("z.user.name:\"Jane Doe\"".to_owned(), &["1-1"], 1),
        ("z.user.name:jane*".to_owned(), &["1-1"], 0),
        ("z.user.name:Jane".to_owned(), &[], 2),
        ("z.command_line:*user*".to_owned(), &["1-1"], 0),
        ("z.command_line:\"net.exe user /add\"".to_owned(), &["1-1"], 1),
        ("z.command_line:*.exe\\*".to_owned(), &[], 1),
        ("z.ip:10.0.0.1".to_owned(), &["1-1"], 1),
        ("z.ip:10.0.0.0/8".to_owned(), &["1-1"], 0),
    ] {
        let (found, pruning) = bed.found(&query);
        assert_eq!((found, pruning.segments), (ids.iter().map(|it| (*it).to_owned()).collect(), left_out), "{query}");
    }
}

/// All that can be done to a sidecar: no match is lost, and no search fails.
#[test]
fn a_missing_damaged_or_foreign_sidecar_is_done_without() {
    let bed = three_segments();
    let segments = bed.segments();
    let [first, second, _] = &segments[..] else { panic!("three segments") };
    let bytes = |it: &Segment| read_all(&*bed.disk.open_read(&it.words_file()).unwrap()).unwrap();
    let write = |bytes: &[u8]| {
        bed.disk.remove(&first.words_file()).unwrap();
        bed.disk.create_new(&first.words_file()).unwrap().append(bytes).unwrap();
    };
    let whole = bytes(first);
    let foreign = bytes(second);
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cut = |length: usize| whole[..length].to_vec();
    for damaged in
        [foreign, Vec::new(), cut(50), cut(96), cut(whole.len() - 1), flipped(1), flipped(40), flipped(whole.len() - 1)]
    {
        write(&damaged);
        // What was read before is in the cache; another searcher has not seen it.
        let fresh = Searcher::new(
            Arc::<SimDisk>::clone(&bed.disk),
            &KeyEncryptionKey::from_bytes([5; 32]),
            Arc::new(Schema::ecs()),
            SearchOptions::default(),
        );
        let fresh = Bed { searcher: fresh.unwrap(), disk: Arc::clone(&bed.disk), store: Bed::new().store, frame: 0 };
        for _ in 0..2 {
            let mut found = fresh.found_in(&segments, "failed".parse().unwrap());
            assert_eq!(
                (ids(&mut found), found.pruning().segments, found.warnings().len()),
                (vec!["1-0".to_owned()], 2, 0)
            );
            let found = fresh.found_in(&segments, "absent".parse().unwrap());
            assert_eq!((found.len(), found.pruning().segments), (0, 2));
        }
    }
    write(&whole);
    assert_eq!(bed.found("absent").1.segments, 3);
    bed.disk.remove(&first.words_file()).unwrap();
    let none = Segment { words: None, ..first.clone() };
    let found = bed.found_in(&[none], "absent".parse().unwrap());
    assert_eq!(found.pruning().segments, 0);
}

// From here: any texts and queries, with and without sidecars.

/// Pieces that meet at all kinds of borders.
const PIECES: &[&str] = &[
    "a", "A", "ab", "B", "7", "_", " ", "-", ".", "\u{1f}", "\"", "é", "É", "ß", "ẞ", "ſ", "s", "S", "k", "\u{212a}",
    "\u{300}", "²", "٣", "中", "ǅ", "ǆ", "“", "i", "İ", "ı", "\u{200d}", "Ⅷ", "ⅷ", "\u{345}", "ι", "longer", "Longer",
];
const NAMES: &[&str] = &[
    "message",
    "event.original",
    "process.command_line",
    "user.name",
    "event.dataset",
    "panoptes.source",
    "source.ip",
    "url.path",
    "host.name",
    "x.user.id",
];
const VALUES: &[&str] = &["10.0.0.1", "::ffff:10.0.0.1", "1", "1.0", "true", "2001:DB8::1", "2001:db8::1", ""];

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![4 => proptest::sample::select(PIECES), 1 => proptest::sample::select(VALUES)];
    proptest::collection::vec(piece, 0..5).prop_map(|it| it.concat())
}

#[derive(Clone, Debug)]
enum Value {
    Text(String),
    List(Vec<String>),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

type Fields = Vec<(&'static str, Value)>;

fn event() -> impl Strategy<Value = (String, Fields)> {
    let value = prop_oneof![
        6 => text().prop_map(Value::Text),
        2 => proptest::collection::vec(text(), 0..3).prop_map(Value::List),
        1 => (0..2_i64).prop_map(Value::Integer),
        1 => prop_oneof![Just(1.0), Just(1.5)].prop_map(Value::Float),
        1 => any::<bool>().prop_map(Value::Boolean),
    ];
    (text(), proptest::collection::vec((proptest::sample::select(NAMES), value), 0..6))
}

fn leaf(texts: Vec<String>) -> impl Strategy<Value = Query> {
    // Parts of what is there, so that many match.
    let text = move || {
        let of_texts =
            (proptest::sample::select(texts.clone()), 0..9_usize, 0..9_usize).prop_map(|(text, from, to)| {
                let chars: Vec<char> = text.chars().collect();
                chars.get(from.min(to)..from.max(to).min(chars.len())).unwrap_or(&chars).iter().collect::<String>()
            });
        prop_oneof![3 => of_texts, 1 => text(), 1 => proptest::sample::select(VALUES).prop_map(str::to_owned)]
    };
    let glob = |text: BoxedStrategy<String>| proptest::collection::vec(text, 1..4).prop_map(Glob);
    let test = prop_oneof![
        3 => text().prop_map(Test::Is),
        1 => text().prop_map(|it| Test::Is(it.to_uppercase())),
        2 => glob(text().boxed()).prop_map(Test::Like),
        1 => Just(Test::Exists),
    ];
    prop_oneof![
        3 => text().prop_map(|it| Query::Words(Glob(vec![it]))),
        1 => text().prop_map(|it| Query::Words(Glob(vec![it.to_uppercase()]))),
        2 => glob(text().boxed()).prop_map(Query::Words),
        6 => (proptest::sample::select(NAMES), test)
            .prop_map(|(name, test)| Query::Field { name: name.to_owned(), test }),
    ]
}

fn query(texts: Vec<String>) -> impl Strategy<Value = Query> {
    leaf(texts).prop_recursive(3, 6, 3, |inner| {
        prop_oneof![
            1 => inner.clone().prop_map(|it| Query::Not(Box::new(it))),
            2 => proptest::collection::vec(inner.clone(), 2..3).prop_map(Query::And),
            2 => proptest::collection::vec(inner, 2..4).prop_map(Query::Or),
        ]
    })
}

fn events_and_queries() -> impl Strategy<Value = (Vec<(String, Fields)>, Vec<Query>)> {
    proptest::collection::vec(event(), 1..6).prop_flat_map(|events| {
        let mut texts: Vec<String> = events.iter().map(|it| it.0.clone()).collect();
        for (_, value) in events.iter().flat_map(|it| &it.1) {
            match value {
                Value::Text(text) => texts.push(text.clone()),
                Value::List(items) => texts.extend(items.iter().cloned()),
                Value::Integer(number) => texts.push(number.to_string()),
                Value::Float(number) => texts.push(number.to_string()),
                Value::Boolean(truth) => texts.push(truth.to_string()),
            }
        }
        let queries = proptest::collection::vec(query(texts), 8);
        (Just(events), queries)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn no_sidecar_loses_a_match((events, queries) in events_and_queries()) {
        let mut bed = Bed::new();
        // A day and segment each.
        bed.seal(|writer| {
            for (day, (original, fields)) in events.iter().enumerate() {
                begin(writer, day as i64, original, &[]);
                for (name, value) in fields {
                    let id = writer.field(name).unwrap();
                    match value {
                        Value::Text(text) => writer.typed(id, text),
                        Value::List(items) => writer.text_list(id, items.iter().map(String::as_str)),
                        Value::Integer(number) => writer.integer(id, *number),
                        Value::Float(number) => writer.float(id, *number),
                        Value::Boolean(truth) => writer.boolean(id, *truth),
                    }
                }
            }
        });
        let with = bed.segments();
        prop_assert!(with.iter().all(|it| it.words.is_some()));
        let without: Vec<Segment> = with.iter().map(|it| Segment { words: None, sources: Kinds::Unknown, datasets: Kinds::Unknown, ..it.clone() }).collect();
        for query in queries {
            let mut pruned = bed.found_in(&with, query.clone());
            let mut unpruned = bed.found_in(&without, query.clone());
            prop_assert_eq!(ids(&mut pruned), ids(&mut unpruned), "{:?}", query);
            prop_assert_eq!(unpruned.pruning(), Pruning::default());
        }
    }
}
