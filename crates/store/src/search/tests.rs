use std::collections::BTreeSet;

use panoptes_model::{BatchWriter, Event, EventId, FrameId, Origin, Value, field};
use proptest::prelude::*;

use super::query::{Bound, Glob, Test};
use super::*;
use crate::disk::SimDisk;
use crate::pivot::FieldValue;
use crate::store::{Store, StoreOptions};

const DAY: i64 = 86_400 * Timestamp::NANOS_PER_SECOND;
const SECOND: i64 = Timestamp::NANOS_PER_SECOND;

pub(super) fn key() -> KeyEncryptionKey {
    KeyEncryptionKey::from_bytes([5; 32])
}

pub(super) fn schema() -> Arc<Schema> {
    let mut schema = Schema::ecs();
    schema.intern("x.ratio", FieldType::Float).unwrap();
    schema.intern("x.flag", FieldType::Boolean).unwrap();
    Arc::new(schema)
}

fn batch_with(schema: Arc<Schema>, frame: u64, fill: impl FnOnce(&mut BatchWriter<'_>)) -> Arc<EventBatch> {
    let origin = Origin { source: "web".into(), input: "tcp".into(), ..Origin::default() };
    let now = Timestamp(i64::MAX);
    Arc::new(EventBatch::build(schema, FrameId(frame), now, vec![origin], String::new(), fill))
}

pub(super) fn batch(frame: u64, fill: impl FnOnce(&mut BatchWriter<'_>)) -> Arc<EventBatch> {
    batch_with(schema(), frame, fill)
}

fn set(writer: &mut BatchWriter<'_>, name: &str, value: &str) {
    let id = writer.field(name).unwrap();
    writer.typed(id, value);
}

/// One event with these fields.
pub(super) fn begin(writer: &mut BatchWriter<'_>, time: i64, original: &str, fields: &[(&str, &str)]) {
    writer.begin(original, 0, Timestamp(5), 0);
    writer.time(Timestamp(time));
    for (name, value) in fields {
        set(writer, name, value);
    }
}

/// A store on a disk that is only in memory.
pub(super) struct Bed {
    pub(super) disk: Arc<SimDisk>,
    pub(super) store: Store,
    pub(super) searcher: Searcher,
}

impl Bed {
    pub(super) fn new() -> Self {
        let disk = Arc::new(SimDisk::new());
        let (store, _) = Store::open_on(Arc::<SimDisk>::clone(&disk), &key(), None, StoreOptions::default()).unwrap();
        let searcher = Searcher::new(Arc::<SimDisk>::clone(&disk), &key(), schema(), SearchOptions::default()).unwrap();
        Self { disk, store, searcher }
    }

    pub(super) fn keep(&self, batch: Arc<EventBatch>) {
        self.store.keep(batch);
    }

    pub(super) fn seal(&self) {
        self.store.seal(Timestamp(0)).unwrap();
    }

    pub(super) fn found(&self, request: &SearchRequest) -> Found {
        let (hot, segments) = self.store.snapshot();
        let evidence = Evidence { hot: &hot, segments: &segments };
        run(self.searcher.search(evidence, request)).unwrap()
    }

    fn ids(&self, query: &str) -> Vec<String> {
        // Noon of the third day.
        let now = Some(Timestamp(2 * DAY + DAY / 2));
        let request = SearchRequest { now, ..SearchRequest::new(query.parse().unwrap(), 1_000) };
        self.found(&request).all_rows().unwrap().iter().map(|it| it.id.to_string()).collect()
    }

    fn sql(&self, text: &str) -> Result<Table, SearchError> {
        let (hot, segments) = self.store.snapshot();
        run(self.searcher.sql(Evidence { hot: &hot, segments: &segments }, text, None, None, &Stop::default()))
    }
}

pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Three days, one segment each, and one event in memory.
pub(super) fn three_days() -> Bed {
    let bed = Bed::new();
    bed.keep(batch(1, |writer| {
        begin(writer, 10, "Failed password for root", &[("source.ip", "10.0.0.1"), ("user.name", "root")]);
        begin(writer, DAY + 10, "GET /admin", &[("source.ip", "192.0.2.7"), ("http.response.status_code", "404")]);
    }));
    bed.keep(batch(2, |writer| {
        begin(writer, 2 * DAY + 10, "GET /", &[("source.ip", "10.9.9.9"), ("http.response.status_code", "200")]);
        let category = writer.schema().id("event.category").unwrap();
        writer.text_list(category, ["web", "network"]);
    }));
    bed.seal();
    bed.keep(batch(3, |writer| {
        begin(writer, 2 * DAY + 20, "Accepted password for Jane", &[("user.name", "jane doe"), ("source.port", "ssh")]);
    }));
    bed
}

#[test]
fn the_language_finds_what_its_manual_says() {
    let bed = three_days();
    for (query, expected) in [
        ("", &["3-0", "2-0", "1-1", "1-0"][..]),
        ("password", &["3-0", "1-0"]),
        ("PASSWORD -failed", &["3-0"]),
        ("pass", &[]),
        ("pass*", &["3-0", "1-0"]),
        ("\"password for root\"", &["1-0"]),
        ("user.name:root", &["1-0"]),
        ("user.name:Root", &[]),
        ("user.name:RO*", &["1-0"]),
        ("user.name:\"jane doe\"", &["3-0"]),
        ("user.name:*", &["3-0", "1-0"]),
        ("NOT user.name:root", &["3-0", "2-0", "1-1"]),
        ("NOT NOT user.name:root", &["1-0"]),
        ("source.ip:10.0.0.0/8", &["2-0", "1-0"]),
        ("source.ip:::ffff:10.0.0.1", &["1-0"]),
        ("source.ip:(10.0.0.1 OR 192.0.2.7)", &["1-1", "1-0"]),
        ("http.response.status_code:>=400", &["1-1"]),
        ("http.response.status_code:[200 TO 404}", &["2-0"]),
        ("http.response.status_code:4*", &["1-1"]),
        ("http.response.status_code:404", &["1-1"]),
        ("http.response.status_code:four", &[]),
        ("event.category:network", &["2-0"]),
        ("event.category:net", &[]),
        ("event.category:\"web\\u001fnetwork\"", &[]),
        ("source.port:ssh", &["3-0"]),
        ("source.port:*", &["3-0"]),
        ("nowhere:x", &[]),
        ("/^(Failed|Accepted) .*(root|Jane)$/", &["3-0", "1-0"]),
        ("/failed/", &[]),
        ("/(?i)FAILED/ OR user.name:/^jane/", &["3-0", "1-0"]),
        ("source.ip:/\\.9$/", &["2-0"]),
        ("http.response.status_code:/^4/", &["1-1"]),
        ("event.category:/^net/", &["2-0"]),
        ("source.port:/ss./", &["3-0"]),
        ("has:source.port", &["3-0"]),
        ("user.name != root AND user.name: *", &["3-0"]),
        ("@timestamp:>=now-1d", &["3-0", "2-0"]),
        ("@timestamp:today", &["3-0", "2-0"]),
        ("@timestamp:yesterday", &["1-1"]),
        ("event.id:2-0", &["2-0"]),
        ("event.id:1-*", &["1-1", "1-0"]),
        ("panoptes.source:web AND panoptes.input:tcp user.name:root", &["1-0"]),
        ("@timestamp:1970-01-02", &["1-1"]),
        ("@timestamp:>1970-01-02", &["3-0", "2-0"]),
        ("_frame:2", &["2-0"]),
        ("_segment:0 OR _row:0", &[]),
        ("event.original:\"GET /\"", &["2-0"]),
        ("(user.name:root OR http.response.status_code:404) -source.ip:10.0.0.1", &["1-1"]),
    ] {
        assert_eq!(bed.ids(query), expected, "{query}");
    }
}

#[test]
fn whole_events_come_back_from_memory_and_segments_alike() {
    let bed = three_days();
    let rows = bed.found(&SearchRequest::new(Query::All, 10)).all_rows().unwrap();
    let text = |row: usize, name: &str| rows[row].get(name).cloned();
    assert_eq!(text(0, "source.port"), Some(FieldValue::Text("ssh".into())), "from the overflow");
    let items = ["web", "network"].map(|it| FieldValue::Text(it.into()));
    assert_eq!(text(1, "event.category"), Some(FieldValue::List(items.to_vec())));
    assert_eq!(text(2, "http.response.status_code"), Some(FieldValue::Integer(404)));
    assert!(rows[3].to_json().starts_with(r#"{"@timestamp":"1970-01-01T00:00:00.00000001Z","event.id":"1-0","#));
    assert!(rows[3].to_json().contains(r#""event.original":"Failed password for root""#));
}

#[test]
fn segments_outside_the_time_asked_for_are_not_opened() {
    let bed = three_days();
    let all = SearchRequest::new(Query::All, 10);
    let mut found =
        bed.found(&SearchRequest { since: Some(Timestamp(DAY)), until: Some(Timestamp(2 * DAY)), ..all.clone() });
    assert_eq!((found.len(), found.segments_searched(), bed.searcher.segments_opened()), (1, 1, 1));
    assert_eq!(found.all_rows().unwrap()[0].id.to_string(), "1-1");
    // The end does not count, the beginning does.
    let edge = SearchRequest { since: Some(Timestamp(10)), until: Some(Timestamp(DAY + 10)), ..all.clone() };
    assert_eq!(bed.found(&edge).len(), 1);
    assert_eq!(bed.searcher.segments_opened(), 2, "the day before now too");
    // Nothing lies in between.
    let gap = SearchRequest { since: Some(Timestamp(20)), until: Some(Timestamp(DAY)), ..all };
    assert_eq!((bed.found(&gap).len(), bed.searcher.segments_opened()), (0, 2));
}

#[test]
fn a_limit_ends_the_search_at_the_day_that_fills_it() {
    let bed = three_days();
    let mut newest = bed.found(&SearchRequest::new(Query::All, 1));
    assert_eq!((newest.len(), newest.is_cut(), newest.segments_searched()), (1, true, 1));
    assert_eq!(newest.all_rows().unwrap()[0].id.to_string(), "3-0");
    let oldest = SearchRequest { order: Order::OldestFirst, ..SearchRequest::new(Query::All, 2) };
    let mut oldest = bed.found(&oldest);
    assert!(oldest.is_cut());
    let ids: Vec<_> = oldest.all_rows().unwrap().iter().map(|it| it.id.to_string()).collect();
    assert_eq!(ids, ["1-0", "1-1"]);
    assert!(!bed.found(&SearchRequest::new(Query::All, 4)).is_cut());
}

#[test]
fn equality_is_looked_up_in_bloom_filters_unless_the_column_holds_lists() {
    let plain = Bed::new();
    let addresses = |n: usize| format!("10.0.{}.{}", n / 250, n % 250 * 2 % 250);
    plain.keep(batch(1, |writer| {
        (0..500).for_each(|n| begin(writer, 10, "x", &[("source.ip", &addresses(n))]));
    }));
    plain.seal();
    // Between the smallest and the largest: only the filter can tell.
    let request = SearchRequest::new("source.ip:10.0.0.77".parse().unwrap(), 10);
    let (hot, segments) = plain.store.snapshot();
    let filter = filter(&request.query, &schema()).unwrap();
    let scope = plain.searcher.scope(Evidence { hot: &hot, segments: &segments }, None, None);
    let parts: Vec<Part> = scope.segments.values().map(|it| it.part.clone()).collect();
    let plan = run(async {
        let events = Events::new(
            columns(&filter.fields),
            &[],
            parts,
            Arc::clone(&plain.searcher.store),
            &Watch::new(&Stop::default()),
        )?;
        let frame = plain.searcher.context().read_table(Arc::new(events))?.filter(filter.expr.clone())?;
        let batches = frame.select([column(ROW)])?.explain(false, true)?.collect().await?;
        Ok::<_, DataFusionError>(arrow::util::pretty::pretty_format_batches(&batches)?.to_string())
    })
    .unwrap();
    assert!(plan.contains("row_groups_pruned_bloom_filter=1 total → 0 matched"), "{plan}");
    assert_eq!(plain.found(&request).len(), 0);

    let lists = Bed::new();
    lists.keep(batch(1, |writer| {
        begin(writer, 10, "x", &[]);
        writer.text_list(field::SOURCE_IP, ["10.0.0.1", "10.0.0.77"]);
    }));
    lists.seal();
    assert_eq!(lists.found(&request).len(), 1);
}

#[test]
fn a_field_may_have_another_type_in_another_segment() {
    let bed = Bed::new();
    let typed = |ty| {
        let mut schema = Schema::ecs();
        schema.intern("x.code", ty).unwrap();
        Arc::new(schema)
    };
    for (frame, ty, value) in
        [(1, FieldType::Integer, "7"), (2, FieldType::Text, "seven"), (3, FieldType::Float, "7.5")]
    {
        bed.keep(batch_with(typed(ty), frame, |writer| begin(writer, frame as i64, "x", &[("x.code", value)])));
        bed.seal();
    }
    assert_eq!(bed.ids("x.code:7"), ["1-0"]);
    assert_eq!(bed.ids("x.code:seven"), ["2-0"]);
    assert_eq!(bed.ids("x.code:>7"), ["3-0"]);
    assert_eq!(bed.ids("x.code:*"), ["3-0", "2-0", "1-0"]);
    let table = bed.sql("SELECT x.code FROM events ORDER BY \"@timestamp\"").unwrap();
    let texts: Vec<_> = table.rows.into_iter().flatten().collect();
    assert_eq!(texts, ["7", "seven", "7.5"].map(|it| FieldValue::Text(it.into())));
    // And a searcher that takes for a number what is text in a segment.
    let searcher =
        Searcher::new(Arc::<SimDisk>::clone(&bed.disk), &key(), typed(FieldType::Integer), SearchOptions::default())
            .unwrap();
    let (hot, segments) = bed.store.snapshot();
    let request = SearchRequest::new("x.code:>=7".parse().unwrap(), 10);
    let found = run(searcher.search(Evidence { hot: &hot, segments: &segments }, &request)).unwrap();
    assert_eq!(found.len(), 2);
}

#[test]
fn a_damaged_segment_costs_its_own_events_and_is_named() {
    let bed = three_days();
    let (_, segments) = bed.store.snapshot();
    let victim = segments.iter().find(|it| it.time_min == Timestamp(DAY + 10)).unwrap().file.clone();
    flip(&bed.disk, &victim, 200);
    for query in ["", "http.response.status_code:404 OR user.name:*"] {
        let mut found = bed.found(&SearchRequest::new(query.parse().unwrap(), 10));
        let ids: Vec<_> = found.all_rows().unwrap().iter().map(|it| it.id.to_string()).collect();
        assert!(!ids.contains(&"1-1".to_owned()) && ids.contains(&"1-0".to_owned()), "{ids:?}");
        let warned: Vec<_> = found.warnings().iter().map(SegmentError::segment).collect();
        assert_eq!(warned, [victim.as_str()]);
    }
    let table = bed.sql("SELECT count(*) FROM events").unwrap();
    assert_eq!((&table.rows[0][0], table.warnings.len()), (&FieldValue::Integer(3), 1));
}

#[test]
fn a_damaged_block_costs_its_row_group_and_the_rows_are_named() {
    let (disk, key) = (Arc::new(SimDisk::new()), KeyEncryptionKey::from_bytes([5; 32]));
    let open_store = |disk: Arc<dyn Disk>| Store::open_on(disk, &key, None, Default::default()).unwrap().0;
    let store = open_store(Arc::clone(&disk) as Arc<dyn Disk>);
    // Two row groups: the rows of the second are the newer ones.
    let first_rows = crate::segment::GROUP_ROWS_MAX as u64;
    let fill = |writer: &mut BatchWriter<'_>| {
        for n in 0..first_rows + 50 {
            writer.begin(&format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), 0, Timestamp(5), n);
            writer.time(Timestamp(n as i64));
            writer.text(field::MESSAGE, "alike");
        }
    };
    let schema = Arc::new(Schema::ecs());
    let batch =
        EventBatch::build(Arc::clone(&schema), FrameId(1), Timestamp(i64::MAX), Vec::new(), String::new(), fill);
    store.keep(Arc::new(batch));
    store.seal(Timestamp(0)).unwrap();
    let (_, segments) = store.snapshot();
    let file = segments[0].file.clone();
    let ask = |query: &str| {
        let searcher =
            Searcher::new(Arc::clone(&disk) as Arc<dyn Disk>, &key, Arc::clone(&schema), SearchOptions::default());
        let evidence = Evidence { hot: &[], segments: &segments };
        let request = SearchRequest::new(query.parse().unwrap(), 1_000_000);
        let searcher = searcher.unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut found = runtime.block_on(searcher.search(evidence, &request)).unwrap();
        let rows = found.all_rows().unwrap().len() as u64;
        (rows, found.warnings().iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    // Original texts lie in the middle of the first group: a search for them meets the damage at once, one for all only
    // when it shows whole events.
    let place = panoptes_seal::CHUNK_HEADER_BYTES + 5 * panoptes_seal::CHUNK_SEALED_BYTES;
    disk.tamper(&file, |it| it[place + 77] ^= 1);
    for query in ["alike OR event.original:*zz*", ""] {
        let (rows, warnings) = ask(query);
        assert_eq!(warnings.len(), 1, "{query}: {warnings:?}");
        // What is shown is read page by page, and some pages of that row group are intact.
        assert!(if query.is_empty() { (50..first_rows).contains(&rows) } else { rows == 50 }, "{query}: {rows}");
        let said = format!("rows 0 to {} (up to {first_rows} events) cannot be read", first_rows - 1);
        assert!(warnings[0].contains(&said) && warnings[0].contains(&format!("byte {place}")), "{}", warnings[0]);
    }
}

#[test]
fn a_missing_segment_is_named_too() {
    let bed = three_days();
    let (_, segments) = bed.store.snapshot();
    Disk::remove(&*bed.disk, &segments[0].file).unwrap();
    let mut found = bed.found(&SearchRequest::new(Query::All, 10));
    assert_eq!(found.all_rows().unwrap().len(), 3);
    assert_eq!(
        found.warnings()[0].to_string(),
        format!("segment {} does not exist; restore it from a backup", segments[0].file)
    );
}

fn flip(disk: &Arc<SimDisk>, file: &str, offset: usize) {
    use crate::disk::Disk as _;
    let mut bytes = crate::disk::read_all(&*disk.open_read(file).unwrap()).unwrap();
    bytes[offset] ^= 1;
    disk.remove(file).unwrap();
    disk.create_new(file).unwrap().append(&bytes).unwrap();
}

#[test]
fn sql_sees_all_fields_and_needs_no_quotes_around_dots() {
    let bed = three_days();
    let table = bed
        .sql("SELECT event.id, e.source.ip, http.response.status_code AS code FROM events e WHERE source.ip IS NOT NULL AND @timestamp > '1970-01-01T00:00:00Z' ORDER BY @timestamp DESC -- source.ip")
        .unwrap();
    assert_eq!(table.columns, ["event.id", "source.ip", "code"]);
    let text = |it: &str| FieldValue::Text(it.into());
    assert_eq!(table.rows[0], [text("2-0"), text("10.9.9.9"), FieldValue::Integer(200)]);
    assert_eq!(table.rows.len(), 3);
    let table = bed
        .sql("SELECT user.name, count(*) AS n FROM events WHERE \"user.name\" LIKE 'r%' GROUP BY user.name")
        .unwrap();
    assert_eq!(table.rows, [[text("root"), FieldValue::Integer(1)]]);
    let found = |test: &str| bed.sql(&format!("SELECT event.id FROM events WHERE {test} ORDER BY 1")).unwrap().rows;
    assert_eq!(found("matches(event.category, 'network')"), [[text("2-0")]], "an item of a list");
    assert_eq!(found("matches(source.ip, '10.0.0.0/8')"), [[text("1-0")], [text("2-0")]]);
    assert_eq!(found("NOT matches(user.name, 'RO*')"), [[text("3-0")]]);
    assert_eq!(found("matches(http.response.status_code, '>=400')"), [[text("1-1")]]);
    let all = bed.sql("SELECT * FROM events").unwrap();
    assert_eq!(all.rows.len(), 4);
    assert_eq!(all.columns.iter().take(2).collect::<Vec<_>>(), ["@timestamp", "event.id"]);
    assert!(all.columns.iter().all(|it| !is_internal_name(it)), "{:?}", all.columns);
}

#[test]
fn a_message_that_is_the_record_is_found_and_shown_as_it_was() {
    let [hot, sealed, merged] = [0, 1, 2].map(|kind| {
        let bed = Bed::new();
        for frame in 1..=2 {
            bed.keep(batch(frame, |writer| {
                begin(writer, 10, "one and two", &[("message", "one and two")]);
                begin(writer, 11, "two and three", &[("message", "three")]);
                begin(writer, 12, "", &[("message", "")]);
                begin(writer, 13, "four", &[]);
                begin(writer, 14, "", &[]);
                let message = writer.schema().id("message").unwrap();
                writer.text_list(message, ["", ""]);
            }));
            if kind > 0 {
                bed.seal();
            }
        }
        if kind == 2 {
            while bed.store.compact(Timestamp(9 * DAY), &|| true).unwrap().is_some() {}
            assert_eq!(bed.store.snapshot().1.len(), 1);
        }
        bed
    });
    for query in [
        "",
        "two",
        "-two",
        "message:\"one and two\"",
        "message:*two",
        "message:*",
        "-message:*",
        "message:\"\"",
        "message:/^.?$/",
        "/^.$/",
        "message:>o",
        "message:\"\u{1f}\"",
    ] {
        assert_eq!(sealed.ids(query), hot.ids(query), "{query}");
        assert_eq!(merged.ids(query), hot.ids(query), "{query}");
    }
    assert_eq!((sealed.ids("message:*two").len(), sealed.ids("one").len(), sealed.ids("message:*").len()), (2, 2, 8));
    let rows = |bed: &Bed| bed.found(&SearchRequest::new(Query::All, 99)).all_rows().unwrap();
    assert_eq!((rows(&sealed), rows(&merged)), (rows(&hot), rows(&hot)));
    let text = "SELECT message, count(*) AS n FROM events WHERE message LIKE '%t%' GROUP BY message ORDER BY message";
    let answers = [&hot, &sealed, &merged].map(|it| it.sql(text).unwrap().rows);
    assert_eq!(answers[0].len(), 2);
    assert!(answers.iter().all(|it| *it == answers[0]), "{answers:?}");
}

fn is_internal_name(name: &str) -> bool {
    crate::pivot::is_internal(name)
}

#[test]
fn what_is_wrong_with_sql_is_said_plainly() {
    let bed = three_days();
    let error = |text: &str| bed.sql(text).unwrap_err().to_string();
    assert_eq!(error("SELECT user.nam FROM events"), "there is no column `user.nam`; did you mean \"user.name\"?");
    assert_eq!(error("SELECT zzz FROM events"), "there is no column `zzz`; `SELECT * FROM events LIMIT 1` shows all");
    assert!(error("SELEC 1").starts_with("the SQL cannot be understood: "), "{}", error("SELEC 1"));
    let wrong = error("SELECT * FROM events WHERE matches(source.ip, '10.0.0.0/99')");
    assert!(wrong.contains("a number from 0 to 32 must follow the `/` of this network"), "{wrong}");
    assert!(error("SELECT matches(user.name, user.name) FROM events").contains("text in quotes"));
    assert!(error("SELECT 'a").starts_with("the SQL cannot be understood: "));
    assert!(error("SELECT * FROM nowhere").contains("nowhere"));
    for text in [
        "DROP TABLE events",
        "CREATE TABLE x AS SELECT 1",
        "INSERT INTO events SELECT * FROM events",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "SET a = 1",
    ] {
        assert!(error(text).starts_with("the SQL cannot be understood: "), "{text}: {}", error(text));
    }
    assert!(bed.sql("SELECT * FROM '/etc/passwd'").is_err() && bed.sql("SELECT * FROM '/etc/passwd.csv'").is_err());
}

#[test]
fn a_query_that_needs_too_much_memory_fails_and_writes_nothing() {
    let bed = three_days();
    let options = SearchOptions { memory_bytes_max: 1_000, threads: 2 };
    let searcher = Searcher::new(Arc::<SimDisk>::clone(&bed.disk), &key(), schema(), options).unwrap();
    let (hot, segments) = bed.store.snapshot();
    let evidence = Evidence { hot: &hot, segments: &segments };
    let grouped = "SELECT event.original, count(*) FROM events GROUP BY event.original ORDER BY 2";
    let error = run(searcher.sql(evidence, grouped, None, None, &Stop::default())).unwrap_err();
    assert!(matches!(error, SearchError::MemoryExceeded { bytes_max: 1_000, .. }), "{error:?}");
}

#[test]
fn an_empty_store_answers() {
    let bed = Bed::new();
    assert!(bed.found(&SearchRequest::new(Query::All, 10)).is_empty());
    assert!(bed.sql("SELECT * FROM events").unwrap().rows.is_empty());
}

// From here: any events, any query, against an evaluator that knows nothing of columns.

#[derive(Clone, Debug)]
pub(super) struct Made {
    time: i64,
    original: &'static str,
    fields: Vec<(&'static str, MadeValue)>,
}

#[derive(Clone, Debug)]
enum MadeValue {
    Text(&'static str),
    Typed(&'static str),
    Integer(i64),
    Float(f64),
    List(Vec<&'static str>),
    Null,
}

const TEXTS: &[&str] = &["root", "admin", "jane doe", "7", "500", "10.0.0.1", "2001:db8::7", "", "Ro", "true", "1.5"];
const NAMES: &[&str] = &[
    "user.name",
    "source.ip",
    "source.port",
    "event.category",
    "event.start",
    "x.ratio",
    "x.flag",
    "made.up",
    "message",
];
const ORIGINALS: &[&str] = &["Failed password for root", "session opened", "admin: 7 words, one IP 10.0.0.1", ""];

const PATTERNS: &[&str] = &["ro", "^7$", "o{2}", "(?i)RO", "[0-9]+\\.[1-9]"];

fn made_value() -> impl Strategy<Value = MadeValue> {
    let text = || proptest::sample::select(TEXTS);
    prop_oneof![
        3 => text().prop_map(MadeValue::Text),
        3 => text().prop_map(MadeValue::Typed),
        2 => prop_oneof![Just(7), Just(22), Just(500), Just(-1)].prop_map(MadeValue::Integer),
        1 => prop_oneof![Just(1.5), Just(-0.25)].prop_map(MadeValue::Float),
        1 => proptest::collection::vec(text(), 0..3).prop_map(MadeValue::List),
        1 => Just(MadeValue::Null),
    ]
}

pub(super) fn made() -> impl Strategy<Value = Made> {
    let field = (proptest::sample::select(NAMES), made_value());
    (0..5_i64, 0..3_i64, proptest::sample::select(ORIGINALS), proptest::collection::vec(field, 2..9))
        .prop_map(|(day, second, original, fields)| Made { time: day * DAY + second * SECOND, original, fields })
}

fn made_test() -> impl Strategy<Value = Test> {
    let text = || proptest::sample::select(TEXTS).prop_map(str::to_owned);
    let bound = || {
        let values = prop_oneof![text(), Just("1970-01-02".to_owned()), Just("22".to_owned())];
        (values, any::<bool>()).prop_map(|(value, inclusive)| Bound { value, inclusive })
    };
    let globs: &[&str] = &["ro*", "*oo*", "*0", "*", "j*doe", "10.*.1", "*.5"];
    let networks: &[&str] = &["10.0.0.0/8", "2001:db8::/32", "10.0.0.2/31"];
    prop_oneof![
        Just(Test::Exists),
        text().prop_map(Test::Is),
        proptest::sample::select(globs).prop_map(|it| Test::Like(Glob(it.split('*').map(str::to_owned).collect()))),
        (proptest::option::of(bound()), proptest::option::of(bound()))
            .prop_map(|(low, high)| Test::Range { low, high }),
        proptest::sample::select(PATTERNS).prop_map(|it| match format!("x:/{it}/").parse() {
            Ok(Query::Field { test, .. }) => test,
            _ => panic!("`{it}` is a pattern"),
        }),
        proptest::sample::select(networks).prop_map(|it| {
            let (address, prefix) = it.split_once('/').unwrap();
            Test::Network(query::Network::new(address.parse().unwrap(), prefix.parse().unwrap()).unwrap())
        }),
    ]
}

pub(super) fn made_query() -> impl Strategy<Value = Query> {
    let words: &[&str] = &["failed", "pass*", "*word*", "root", "7", "opened"];
    let leaf = prop_oneof![
        1 => Just(Query::All),
        2 => proptest::sample::select(words).prop_map(|it| it.parse().unwrap()),
        6 => (proptest::sample::select(NAMES), made_test())
            .prop_map(|(name, test)| Query::Field { name: name.to_owned(), test }),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            1 => inner.clone().prop_map(|it| Query::Not(Box::new(it))),
            1 => proptest::collection::vec(inner.clone(), 2..3).prop_map(Query::And),
            2 => proptest::collection::vec(inner, 2..4).prop_map(Query::Or),
        ]
    })
}

pub(super) fn write(frame: u64, events: &[Made]) -> Arc<EventBatch> {
    batch(frame, |writer| {
        for made in events {
            writer.begin(made.original, 0, Timestamp(5), 0);
            writer.time(Timestamp(made.time));
            for (name, value) in &made.fields {
                let id = writer.field(name).unwrap();
                match value {
                    MadeValue::Text(text) => writer.text(id, text),
                    MadeValue::Typed(text) => writer.typed(id, text),
                    MadeValue::Integer(number) => writer.integer(id, *number),
                    MadeValue::Float(number) => writer.float(id, *number),
                    MadeValue::List(items) => writer.text_list(id, items.iter().copied()),
                    MadeValue::Null => writer.null(id),
                }
            }
        }
    })
}

/// Whether an event matches, told from the event alone.
pub(super) fn matches(query: &Query, event: Event<'_>) -> bool {
    match query {
        Query::All => true,
        Query::Pattern(_) => unreachable!("none is made"),
        Query::Words(glob) => {
            let messages = event.fields().filter(|it| it.0 == field::MESSAGE && is_of(FieldType::Text, it.1)).take(1);
            let texts = messages.flat_map(|it| it.1.each()).map(|it| it.to_text().into_owned());
            texts.chain([event.original().to_owned()]).any(|it| has_word(&glob.0, &it))
        }
        Query::Field { name, test } => {
            let id = event.batch().field_id(name);
            let ty = id.map_or(FieldType::Text, |it| event.batch().schema().field_type(it));
            // The first value that is of the field's type counts as such, all others as text.
            let values: Vec<_> = event.fields().filter(|it| Some(it.0) == id).map(|it| it.1).collect();
            let typed = values.iter().position(|it| is_of(ty, *it));
            values.iter().enumerate().any(|(index, value)| {
                let ty = if Some(index) == typed { ty } else { FieldType::Text };
                value.each().any(|it| passes(ty, it, test))
            })
        }
        Query::Not(inner) => !matches(inner, event),
        Query::And(parts) => parts.iter().all(|it| matches(it, event)),
        Query::Or(parts) => parts.iter().any(|it| matches(it, event)),
    }
}

fn is_of(ty: FieldType, value: Value<'_>) -> bool {
    let text = value.to_text();
    let is_one = !matches!(value, Value::List(_) | Value::Null);
    match ty {
        FieldType::Text => value.each().any(|it| it != Value::Null),
        FieldType::Ip => {
            let mut items = value.each().filter(|it| *it != Value::Null).peekable();
            items.peek().is_some() && items.all(|it| it.to_text().parse::<std::net::IpAddr>().is_ok())
        }
        FieldType::Integer => is_one && text.parse::<i64>().is_ok(),
        FieldType::Float => is_one && text.parse::<f64>().is_ok(),
        FieldType::Boolean => is_one && text.parse::<bool>().is_ok(),
        FieldType::Timestamp => is_one && text.parse::<jiff::Timestamp>().is_ok(),
    }
}

fn has_word(glob: &[String], text: &str) -> bool {
    let text = text.to_lowercase();
    let mut words = text.split(|it: char| !it.is_alphanumeric() && it != '_');
    match glob {
        [word] => words.any(|it| it == word),
        [start, end] if end.is_empty() => words.any(|it| it.starts_with(start.as_str())),
        [start, middle, end] if start.is_empty() && end.is_empty() => text.contains(middle.as_str()),
        _ => panic!("no such pattern is made"),
    }
}

fn passes(ty: FieldType, value: Value<'_>, test: &Test) -> bool {
    let text = value.to_text();
    if value == Value::Null {
        return false;
    }
    match test {
        Test::Exists => true,
        Test::Is(wanted) => text == *wanted,
        // A time is not text, whatever it was written as.
        Test::Like(_) | Test::Network(_) | Test::Pattern(_) if ty == FieldType::Timestamp => false,
        Test::Pattern(pattern) => regex::Regex::new(pattern.text()).unwrap().is_match(&text),
        Test::Like(glob) => glob_matches(&glob.0, &text.to_lowercase()),
        Test::Network(network) => text.parse().is_ok_and(|it| network.contains(it)),
        Test::Range { low, high } => {
            let is_number = matches!(ty, FieldType::Integer | FieldType::Float);
            let is_truth = ty == FieldType::Boolean;
            let order = |bound: &Bound| {
                use std::net::IpAddr;
                match (bound.value.parse::<f64>(), bound.value.parse::<IpAddr>()) {
                    (Ok(number), _) => text.parse::<f64>().ok()?.partial_cmp(&number),
                    (_, Ok(address)) => Some(text.parse::<IpAddr>().ok()?.cmp(&address)),
                    _ if is_number => None,
                    _ => Some(text.as_ref().cmp(bound.value.as_str())),
                }
            };
            let none = low.is_none() && high.is_none();
            let above = |it: &Bound| order(it).is_some_and(|order| order.is_gt() || order.is_eq() && it.inclusive);
            let below = |it: &Bound| order(it).is_some_and(|order| order.is_lt() || order.is_eq() && it.inclusive);
            (none || !is_truth) && low.as_ref().is_none_or(above) && high.as_ref().is_none_or(below)
        }
    }
}

fn glob_matches(parts: &[String], text: &str) -> bool {
    match parts {
        [] => text.is_empty(),
        [last] => text == last,
        [first, rest @ ..] => text.strip_prefix(first.as_str()).is_some_and(|after| {
            let starts = after.char_indices().map(|it| it.0).chain([after.len()]);
            starts.into_iter().any(|start| glob_matches(rest, after.get(start..).unwrap()))
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn memory_and_segments_give_the_same_right_answer(
        frames in proptest::collection::vec(proptest::collection::vec(made(), 0..10), 1..5),
        queries in proptest::collection::vec(made_query(), 4),
        sealed in 0..5_usize,
        limit in 1..12_usize,
        since in proptest::option::weighted(0.2, 0..5_i64),
        until in proptest::option::weighted(0.2, 0..6_i64),
        order in prop_oneof![Just(Order::NewestFirst), Just(Order::OldestFirst)],
    ) {
        let batches: Vec<_> = frames.iter().enumerate().map(|(n, it)| write(n as u64 + 1, it)).collect();
        let [hot, cold, mixed] = std::array::from_fn(|_| Bed::new());
        for (n, batch) in batches.iter().enumerate() {
            for bed in [&hot, &cold, &mixed] {
                bed.keep(Arc::clone(batch));
            }
            cold.seal();
            if n < sealed {
                mixed.seal();
            }
        }
        for query in queries {
            let (since, until) = (since.map(|it| Timestamp(it * DAY + SECOND)), until.map(|it| Timestamp(it * DAY)));
            let expected: BTreeSet<(Timestamp, EventId)> = batches
                .iter()
                .flat_map(|it| it.events())
                .filter(|it| since.is_none_or(|since| it.time() >= since) && until.is_none_or(|until| it.time() < until))
                .filter(|it| matches(&query, *it))
                .map(|it| (it.time(), it.id()))
                .collect();
            let mut ordered: Vec<_> = expected.iter().copied().collect();
            if order == Order::NewestFirst {
                ordered.reverse();
            }
            let is_cut = ordered.len() > limit;
            ordered.truncate(limit);
            let request = SearchRequest { query: query.clone(), since, until, now: None, limit, order, stop: Stop::default() };
            for (name, bed) in [("hot", &hot), ("cold", &cold), ("mixed", &mixed)] {
                let mut found = bed.found(&request);
                prop_assert_eq!(found.is_cut(), is_cut);
                let rows = found.all_rows().unwrap();
                let ids: Vec<_> = rows.iter().map(|it| (it.time, it.id)).collect();
                prop_assert_eq!(&ids, &ordered, "{} {:?}", name, &query);
            }
        }
    }
}
