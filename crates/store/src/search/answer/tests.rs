use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::search::pipes::{Ask, Then};
use crate::search::stop::{Partial, Reason};
use crate::search::tests::{Bed, batch, begin, key, made, made_query, matches, run, schema, write};
use crate::search::{SearchOptions, SearchRequest};

const HOUR: i64 = 3_600 * Timestamp::NANOS_PER_SECOND;

fn request(text: &str) -> TableRequest {
    let ask: Ask = text.parse().unwrap();
    let make = match ask.then {
        Then::Aggregate(aggregate, rest) => Make::Groups(aggregate, rest),
        Then::Events { fields, sort, limit } => {
            Make::Events { fields: fields.unwrap(), sort, limit: limit.unwrap_or(100) }
        }
    };
    TableRequest { query: ask.query, make, since: None, until: None, now: None, stop: Stop::default() }
}

fn asked(bed: &Bed, request: &TableRequest) -> Result<Table, SearchError> {
    let (hot, segments) = bed.store.snapshot();
    run(bed.searcher.table(Evidence { hot: &hot, segments: &segments }, request))
}

/// Rows as text, values separated by spaces.
fn shown(table: &Table) -> Vec<String> {
    let value = |it: &FieldValue| {
        let mut out = String::new();
        it.write_json(&mut out);
        out.replace('"', "")
    };
    table.rows.iter().map(|row| row.iter().map(value).collect::<Vec<_>>().join(" ")).collect()
}

/// Five web requests in three hours, on disk, in memory, and half and half.
fn beds() -> Vec<Bed> {
    let first = || {
        batch(1, |writer| {
            for (time, ip, status, duration) in
                [(0, "10.0.0.1", "200", "10"), (1, "10.0.0.2", "404", "30"), (HOUR + 1, "10.0.0.1", "200", "20")]
            {
                let fields = [
                    ("source.ip", ip),
                    ("http.response.status_code", status),
                    ("event.duration", duration),
                    ("took", duration),
                ];
                begin(writer, time, "GET /", &fields);
            }
            let category = writer.schema().id("event.category").unwrap();
            writer.text_list(category, ["web", "network"]);
        })
    };
    let second = || {
        batch(2, |writer| {
            begin(writer, 3 * HOUR, "GET /x", &[("source.ip", "10.0.0.1"), ("http.response.status_code", "500")]);
            let category = writer.schema().id("event.category").unwrap();
            writer.text(category, "web");
            begin(writer, 3 * HOUR + 1, "odd", &[("http.response.status_code", "five"), ("took", "long")]);
        })
    };
    [0, 1, 2]
        .map(|sealed| {
            let bed = Bed::new();
            for (number, batch) in [first(), second()].into_iter().enumerate() {
                bed.keep(batch);
                if number < sealed {
                    bed.seal();
                }
            }
            bed
        })
        .into()
}

#[test]
fn commands_answer_what_their_manual_says_wherever_events_are() {
    for (number, bed) in beds().into_iter().enumerate() {
        for (text, columns, rows) in [
            ("| count", "count", &["5"][..]),
            ("nowhere | count", "count", &["0"]),
            ("| count by source.ip", "source.ip count", &["10.0.0.1 3", "10.0.0.2 1"]),
            ("| count by event.category", "event.category count", &["web 2", "network 1"]),
            (
                "| count by source.ip, event.category",
                "source.ip event.category count",
                &["10.0.0.1 web 2", "10.0.0.1 network 1"],
            ),
            ("| count by nowhere", "nowhere count", &[]),
            ("| count by http.response.status_code", "http.response.status_code count", &["200 2", "404 1", "500 1"]),
            ("| top 1 source.ip", "source.ip count percent", &["10.0.0.1 3 75.0"]),
            ("| rare 1 source.ip", "source.ip count percent", &["10.0.0.2 1 25.0"]),
            ("| distinct source.ip", "source.ip", &["10.0.0.1", "10.0.0.2"]),
            ("| distinct event.id | limit 1", "event.id", &["1-0"]),
            (
                "GET | stats count, avg(event.duration), max(took), distinct(source.ip), median(event.duration)",
                "count avg(event.duration) max(took) distinct(source.ip) median(event.duration)",
                &["4 20.0 30.0 2 20.0"],
            ),
            (
                "| stats sum(event.duration) as total, min(@timestamp) by source.ip",
                "source.ip total min(@timestamp)",
                &["10.0.0.1 30 1970-01-01T00:00:00Z", "10.0.0.2 30 1970-01-01T00:00:00.000000001Z"],
            ),
            (
                "| timechart 1h",
                "@timestamp count",
                &[
                    "1970-01-01T00:00:00Z 2",
                    "1970-01-01T01:00:00Z 1",
                    "1970-01-01T02:00:00Z 0",
                    "1970-01-01T03:00:00Z 2",
                ],
            ),
            ("| timechart 1d max(event.duration)", "@timestamp max(event.duration)", &["1970-01-01T00:00:00Z 30"]),
            (
                "GET | timechart 2h by source.ip",
                "@timestamp source.ip count",
                &[
                    "1970-01-01T00:00:00Z 10.0.0.1 2",
                    "1970-01-01T00:00:00Z 10.0.0.2 1",
                    "1970-01-01T02:00:00Z 10.0.0.1 1",
                ],
            ),
            ("| count by source.ip | where count < 3", "source.ip count", &["10.0.0.2 1"]),
            ("| count by source.ip | sort source.ip desc | limit 1 | fields count", "count", &["1"]),
            ("| fields event.id, source.ip | limit 2", "event.id source.ip", &["2-1 null", "2-0 10.0.0.1"]),
            ("event.duration:* | sort -event.duration, source.ip | fields took | limit 2", "took", &["30", "20"]),
            ("event.duration:* | sort -took | fields took, took | limit 2", "took", &["30", "20"]),
            ("| fields took, source.ip, took | limit 2", "took source.ip", &["long null", "null 10.0.0.1"]),
        ] {
            let table = asked(&bed, &request(text)).unwrap();
            assert_eq!(
                (table.columns.join(" "), shown(&table)),
                (columns.to_owned(), rows.iter().map(|it| (*it).to_owned()).collect()),
                "{number}: {text}"
            );
            assert_eq!(
                (table.partial, table.is_cut),
                (None, text.contains("| fields") && text.contains("| limit 2")),
                "{number}: {text}"
            );
        }
        for (text, problem) in [
            ("| count by source.ip | sort x", "the rows have no column `x`; they have source.ip, count"),
            (
                "| stats avg(source.ip)",
                "`avg(source.ip)` needs numbers, and `source.ip` has none; count, distinct, min and max take anything",
            ),
        ] {
            assert_eq!(asked(&bed, &request(text)).unwrap_err().to_string(), problem);
        }
    }
}

#[test]
fn an_interval_fits_the_time_that_is_looked_at() {
    let bed = beds().remove(1);
    let table = asked(&bed, &request("| timechart")).unwrap();
    assert_eq!(table.rows.len(), 37, "three hours in steps of five minutes");
    let day = TableRequest { since: Some(Timestamp(0)), until: Some(Timestamp(10)), ..request("| timechart") };
    assert_eq!(shown(&asked(&bed, &day).unwrap()), ["1970-01-01T00:00:00Z 2"]);
}

#[test]
fn a_chart_by_many_values_shows_the_largest_and_adds_up_the_rest() {
    let bed = Bed::new();
    bed.keep(batch(1, |writer| {
        for user in 0..13 {
            for _ in 0..=user {
                begin(writer, 0, "x", &[("user.name", &format!("u{user:02}"))]);
            }
        }
    }));
    let table = asked(&bed, &request("| timechart 1h by user.name")).unwrap();
    assert_eq!(table.rows.len(), 11);
    assert!(shown(&table).contains(&"1970-01-01T00:00:00Z (other) 6".to_owned()), "{:?}", shown(&table));
}

#[test]
fn fields_that_a_segment_has_no_column_for_are_counted_from_its_overflow() {
    let bed = Bed::new();
    bed.keep(batch(1, |writer| {
        begin(writer, 0, "x", &[]);
        for number in 0..400 {
            let id = writer.field(&format!("made.f{number:03}")).unwrap();
            writer.text(id, "v");
        }
        begin(writer, 1, "y", &[("made.f399", "w")]);
    }));
    bed.seal();
    let (_, segments) = bed.store.snapshot();
    let scope = bed.searcher.scope(Evidence { hot: &[], segments: &segments }, None, None);
    let part = scope.segments[&0].part.clone();
    let schema = bed.searcher.schema_of(&part).unwrap();
    let lacking = (0..400).map(|it| format!("made.f{it:03}")).find(|it| schema.field_with_name(it).is_err()).unwrap();
    assert_eq!(shown(&asked(&bed, &request(&format!("| count by {lacking}"))).unwrap()), ["v 1"]);
}

/// Many hours, a segment each, with an event in each minute.
fn hours(count: i64) -> Bed {
    let bed = Bed::new();
    for hour in 0..count {
        bed.keep(batch(hour as u64 + 1, |writer| {
            (0..60).for_each(|minute| {
                begin(writer, hour * HOUR + minute * HOUR / 60, &format!("common line {hour} {minute}"), &[]);
            });
        }));
        bed.seal();
    }
    bed
}

#[test]
fn the_newest_of_many_are_found_in_few_segments() {
    let bed = hours(40);
    for (limit, opened) in [(50, 1), (60, 3), (150, 3)] {
        let found = bed.found(&SearchRequest::new("common".parse().unwrap(), limit));
        assert_eq!((found.len(), found.work().segments_opened), (limit, opened), "{limit}");
        assert_eq!((found.work().segments, found.work().segments_in_time), (40, 40));
    }
    let oldest = SearchRequest { order: Order::OldestFirst, ..SearchRequest::new("common".parse().unwrap(), 50) };
    assert_eq!(bed.found(&oldest).work().segments_opened, 1);
}

#[test]
fn what_was_looked_at_is_counted() {
    let bed = hours(4);
    let found = bed.found(&SearchRequest::new("\"line 2 7\"".parse().unwrap(), 50));
    let work = *found.work();
    assert_eq!(
        (work.segments_opened, work.row_groups_read, work.rows_read, work.rows_matched),
        (4, 4, 240, 1),
        "{work:?}"
    );
    assert!(work.bytes_read > work.bytes_opened && work.bytes_opened > 0, "{work:?}");
    let table = asked(&bed, &request("common | count")).unwrap();
    assert_eq!((table.work.segments_opened, table.work.rows_read), (4, 240), "{:?}", table.work);
}

#[test]
fn a_stopped_search_has_all_of_the_time_that_it_says() {
    let bed = hours(8);
    let (hot, segments) = bed.store.snapshot();
    let evidence = Evidence { hot: &hot, segments: &segments };
    // One piece of work between two looks at who stops it.
    let stepwise = tokio::runtime::Builder::new_current_thread().event_interval(1).build().unwrap();
    let after = |yields: usize, stop: Stop| async move {
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        stop.stop(Reason::Time);
    };
    let (mut whole, mut cut) = (0, 0);
    for yields in (0..6).chain((6..200).step_by(24)) {
        let search = SearchRequest::new("line".parse().unwrap(), 10_000);
        let (found, ()) = stepwise.block_on(async {
            tokio::join!(bed.searcher.search(evidence, &search), after(yields, search.stop.clone()))
        });
        let found = found.unwrap();
        let partial = found.partial();
        let since = partial.map_or(Timestamp(0), |it| it.complete_since.unwrap());
        let times: Vec<Timestamp> = found.hits.iter().map(|it| it.time).collect();
        let expected = (0..8 * 60).filter(|it| Timestamp(it * HOUR / 60) >= since).count();
        assert!(times.iter().filter(|it| **it >= since).count() == expected, "{yields}: {partial:?}");
        let hourly = request("line | timechart 1h");
        let (table, ()) = stepwise.block_on(async {
            tokio::join!(bed.searcher.table(evidence, &hourly), after(yields, hourly.stop.clone()))
        });
        let table = table.unwrap();
        match table.partial {
            None => whole += 1,
            Some(Partial { reason, complete_since }) => {
                cut += 1;
                assert_eq!(reason, Reason::Time);
                let since = complete_since.unwrap();
                let counts = table.rows.iter().filter(|row| matches!(row[0], FieldValue::Timestamp(it) if it >= since));
                assert!(counts.clone().all(|row| row[1] == FieldValue::Integer(60)), "{yields}: {since} {table:?}");
                assert_eq!(counts.count() as i64, (8 * HOUR - since.0) / HOUR, "{yields}: {since} {table:?}");
            }
        }
    }
    // A count looks at whether it is stopped before each round: of one segment, of four, and of the rest.
    assert!(whole > 0 && cut > 2, "{whole} {cut}");
}

#[test]
fn what_does_not_fit_into_memory_is_left_out_from_the_old_end_and_said() {
    let bed = hours(16);
    let (hot, segments) = bed.store.snapshot();
    let evidence = Evidence { hot: &hot, segments: &segments };
    let mut seen = Vec::new();
    for kib in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384] {
        let options = SearchOptions { memory_bytes_max: kib << 10, threads: 1 };
        let disk = Arc::<crate::disk::SimDisk>::clone(&bed.disk);
        let searcher = Searcher::new(disk, &key(), schema(), options).unwrap();
        match run(searcher.table(evidence, &request("| count by event.original"))) {
            Ok(Table {
                rows, partial: Some(Partial { reason: Reason::Memory, complete_since: Some(since) }), ..
            }) => {
                let hours = (16 * HOUR - since.0 + HOUR / 60 - 1) / HOUR;
                assert_eq!(rows.len() as i64, 60 * hours, "{kib} {since}");
                seen.push("partial");
            }
            Ok(Table { rows, partial: None, .. }) => {
                assert_eq!(rows.len(), 16 * 60);
                seen.push("whole");
            }
            Err(SearchError::MemoryExceeded { .. }) => seen.push("nothing"),
            other => panic!("{other:?}"),
        }
    }
    seen.dedup();
    assert_eq!(seen, ["nothing", "partial", "whole"]);
}

/// Which values an event has, as columns and overflow keep them.
fn values(name: &str, batch: &panoptes_model::EventBatch, index: usize) -> Vec<String> {
    let event = batch.event(index).unwrap();
    let Some(id) = batch.field_id(name) else { return Vec::new() };
    let first = event.fields().find(|it| it.0 == id && it.1.each().any(|it| it != panoptes_model::Value::Null));
    first
        .into_iter()
        .flat_map(|it| {
            it.1.each()
                .filter(|it| *it != panoptes_model::Value::Null)
                .map(|it| it.to_text().into_owned())
                .collect::<Vec<_>>()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    #[test]
    fn counting_agrees_with_counting_by_hand(
        frames in proptest::collection::vec(proptest::collection::vec(made(), 0..10), 1..5),
        queries in proptest::collection::vec(made_query(), 2),
        name in proptest::sample::select(&["user.name", "event.category", "made.up"][..]),
        sealed in 0..5_usize,
    ) {
        let bed = Bed::new();
        let batches: Vec<_> = frames.iter().enumerate().map(|(n, it)| write(n as u64 + 1, it)).collect();
        for (n, batch) in batches.iter().enumerate() {
            bed.keep(Arc::clone(batch));
            if n < sealed {
                bed.seal();
            }
        }
        for query in queries {
            let mut by_day: BTreeMap<i32, i64> = BTreeMap::new();
            let mut expected: BTreeMap<String, i64> = BTreeMap::new();
            for batch in &batches {
                for (index, event) in batch.events().enumerate().filter(|it| matches(&query, it.1)) {
                    *by_day.entry(event.time().day()).or_default() += 1;
                    for value in values(name, batch, index) {
                        *expected.entry(value).or_default() += 1;
                    }
                }
            }
            let counted = TableRequest { query: query.clone(), ..request(&format!("| count by {name}")) };
            let table = asked(&bed, &counted).unwrap();
            let found: BTreeMap<String, i64> = table.rows.iter().map(|row| match row.as_slice() {
                [FieldValue::Text(key), FieldValue::Integer(count)] => (key.clone(), *count),
                other => panic!("{other:?}"),
            }).collect();
            prop_assert_eq!(&found, &expected, "{:?}", &query);
            let chart = TableRequest { query: query.clone(), ..request("| timechart 1d | where count:>0") };
            let found: Vec<i64> = asked(&bed, &chart).unwrap().rows.iter().map(|row| match row[1] {
                FieldValue::Integer(count) => count,
                _ => panic!(),
            }).collect();
            prop_assert_eq!(found, by_day.into_values().collect::<Vec<_>>(), "{:?}", &query);
        }
    }
}

/// Both answers to a question: that of the engine, and that which is had without it.
fn both(bed: &Bed, text: &str, times: (Option<i64>, Option<i64>)) -> (Vec<String>, Option<Vec<String>>) {
    use std::sync::atomic::Ordering::Relaxed;
    let mut request = request(text);
    (request.since, request.until) = (times.0.map(Timestamp), times.1.map(Timestamp));
    let rows = |table: Table| {
        let mut rows = shown(&table);
        // Events of the same time come as they like.
        rows.sort();
        rows
    };
    bed.searcher.engine_only.store(true, Relaxed);
    let engine = rows(asked(bed, &request).unwrap());
    bed.searcher.engine_only.store(false, Relaxed);
    let before = bed.searcher.quick_answers.load(Relaxed);
    let quick = rows(asked(bed, &request).unwrap());
    (engine, (bed.searcher.quick_answers.load(Relaxed) > before).then_some(quick))
}

const QUICK: &[&str] = &[
    "| count",
    "| count by source.ip",
    "| count by event.category, http.response.status_code",
    "| top 2 source.ip",
    "| timechart 1h",
    "| timechart 30m count by source.ip",
    "| distinct event.category",
    "| stats distinct(source.ip), count(event.duration), count by http.response.status_code",
    "| stats distinct(event.category), count",
    "| fields @timestamp, event.original, source.ip, event.category, http.response.status_code, event.duration",
    "| fields message | limit 2",
];

#[test]
fn what_the_engine_is_not_asked_for_is_answered_alike() {
    for bed in beds() {
        for text in QUICK {
            let (engine, quick) = both(&bed, text, (None, None));
            assert_eq!(Some(engine), quick, "{text}");
            let (engine, quick) = both(&bed, &format!("GET {text}"), (Some(1), Some(3 * HOUR)));
            assert_eq!(Some(engine), quick, "GET {text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_query_is_answered_otherwise_than_by_the_engine(
        batches in proptest::collection::vec(proptest::collection::vec(made(), 0..6), 1..4),
        queries in proptest::collection::vec(made_query(), 1..4),
        sealed in 0..4_usize,
        times in (proptest::option::of(0..5_i64), proptest::option::of(0..9_i64)),
    ) {
        let bed = Bed::new();
        for (number, events) in batches.iter().enumerate() {
            bed.keep(write(number as u64 + 1, events));
            if number < sealed {
                bed.seal();
            }
        }
        for query in &queries {
            for make in [
                Make::Groups(aggregate("| count"), Vec::new()),
                Make::Groups(aggregate("| count by user.name, source.ip"), Vec::new()),
                Make::Groups(aggregate("| stats distinct(user.name), count(source.ip) by message2"), Vec::new()),
                Make::Events {
                    fields: ["@timestamp", "event.original", "user.name", "message"].map(str::to_owned).to_vec(),
                    sort: Vec::new(),
                    limit: 100,
                },
            ] {
                use std::sync::atomic::Ordering::Relaxed;
                let (since, until) = (times.0.map(Timestamp), times.1.map(Timestamp));
                let stop = Stop::default();
                let request = TableRequest { query: query.clone(), make, since, until, now: None, stop };
                bed.searcher.engine_only.store(true, Relaxed);
                let engine = asked(&bed, &request);
                bed.searcher.engine_only.store(false, Relaxed);
                let quick = asked(&bed, &request);
                let rows = |table: Result<Table, SearchError>| table.map(|it| {
                    let mut rows = shown(&it);
                    rows.sort();
                    rows
                });
                prop_assert_eq!(rows(engine).unwrap(), rows(quick).unwrap(), "{:?}", request);
            }
        }
    }
}

#[test]
fn lists_end_where_they_are_full_and_have_the_newest() {
    let bed = hours(6);
    for text in ["line", "\"line 2\"", "\"line 3 7\" OR \"line 1 5\"", "absent", "NOT line", "event.original:*2*"] {
        for limit in [1, 2, 59, 60, 61, 150, 1_000] {
            let text = format!("{text} | fields @timestamp, event.original | limit {limit}");
            for _again in 0..2 {
                let (engine, quick) = both(&bed, &text, (None, Some(5 * HOUR)));
                assert_eq!(Some(engine), quick, "{text}");
                let (engine, quick) = both(&bed, &text, (None, None));
                assert_eq!(Some(engine), quick, "{text}");
            }
        }
    }
    let newest = asked(&bed, &request("line | fields event.original | limit 3")).unwrap();
    assert_eq!((newest.rows.len(), newest.is_cut, newest.work.segments_opened), (3, true, 1));
}

#[test]
fn what_is_too_much_is_left_to_the_engine() {
    let bed = hours(1);
    let (engine, quick) = both(&bed, "line | fields event.original | limit 10000", (None, None));
    assert_eq!((engine.len(), quick.is_some()), (60, true));
    let (engine, quick) = both(&bed, "line | fields event.original | limit 10001", (None, None));
    assert_eq!((engine.len(), quick.is_some()), (60, false));
    let bed = Bed::new();
    let items: Vec<String> = (0..101).map(|it| format!("i{it}")).collect();
    bed.keep(batch(1, |writer| {
        begin(writer, 1, "two lists", &[]);
        for name in ["event.category", "event.type"] {
            let id = writer.schema().id(name).unwrap();
            writer.text_list(id, items.iter().map(String::as_str));
        }
    }));
    let (engine, quick) = both(&bed, "| count by event.category", (None, None));
    assert_eq!((engine.len(), quick.is_some()), (101, true));
    let (engine, quick) = both(&bed, "| count by event.category, event.type", (None, None));
    assert_eq!((engine.len(), quick.is_some()), (101 * 101, false));
}

fn aggregate(text: &str) -> Aggregate {
    match text.parse::<Ask>().unwrap().then {
        Then::Aggregate(aggregate, _) => aggregate,
        Then::Events { .. } => panic!("{text} counts nothing"),
    }
}
