//! What a batch costs: parsing into it, matching on it, turning it into columns; beside `serde_json` and `sonic-rs`
//! trees over the same bytes in the same run. One thread; seconds are CPU seconds of that thread, medians of several
//! rounds.
//!
//! Input: all Windows events of the `security-datasets` corpus (`PANOPTES_CORPORA`, else `../shared/corpora`), in
//! batches of one mebibyte, as the pipeline makes them. Run by `cargo xtask bench batch`.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::hint::black_box;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use panoptes_model::{EventBatch, FieldType, FrameId, Schema, Timestamp, Value};
use panoptes_normalize::json;

const ROUNDS: usize = 5;

/// What the match bench looks at: the fields that most Sigma rules for Windows name.
const FIELDS: [&str; 12] = [
    "EventID",
    "Channel",
    "Image",
    "CommandLine",
    "ParentImage",
    "ParentCommandLine",
    "TargetFilename",
    "TargetObject",
    "DestinationIp",
    "User",
    "ScriptBlockText",
    "OriginalFileName",
];

/// Fragments of the kind rules look for; written for this bench.
const NEEDLES: [&str; 16] = [
    "powershell",
    "-encodedcommand",
    "mimikatz",
    "rundll32",
    "regsvr32",
    "certutil",
    "\\temp\\",
    "lsass",
    "invoke-",
    "downloadstring",
    "schtasks",
    "wmic",
    "\\currentversion\\run",
    "net user",
    "vssadmin",
    "bitsadmin",
];

#[path = "shared/corpus.rs"]
mod corpus;

use corpus::{BATCH_BYTES, windows_lines};

fn main() {
    let Some(lines) = windows_lines() else {
        println!("skipped: no corpus `security-datasets` in PANOPTES_CORPORA or ../shared/corpora");
        return;
    };
    let bytes: usize = lines.iter().map(String::len).sum();
    let events: usize = lines.iter().map(|it| it.lines().count()).sum();
    println!("{events} events, {:.0} MB, batches of {} KiB\n", mega(bytes), BATCH_BYTES >> 10);
    println!("{:<44} {:>9} {:>12} {:>8}", "", "MB/s", "events/s", "ratio");

    let mut schema = Schema::ecs();
    for name in FIELDS {
        schema.intern(name, FieldType::Text).expect("a dozen names fit");
    }
    let schema = Arc::new(schema);
    let needles = AhoCorasick::builder().ascii_case_insensitive(true).build(NEEDLES).expect("literal patterns");
    let report = |name: &str, seconds: f64, baseline: f64| {
        println!(
            "{name:<44} {:>9.0} {:>12.0} {:>7.1}x",
            mega(bytes) / seconds,
            events as f64 / seconds,
            baseline / seconds
        );
    };

    // As in the pipeline: the bytes are checked as UTF-8, then become the batch's own input.
    let texts: Vec<Text> = lines.iter().map(|text| Text::new(text)).collect();
    let own = timed(|| {
        for text in &texts {
            black_box(parse(&schema, text));
        }
    });
    if std::env::args().any(|it| it == "--only-own") {
        report("parse: EventBatch (UTF-8 check, decoding)", own, own);
        return;
    }
    let serde = timed(|| {
        for line in lines.iter().flat_map(|it| it.lines()) {
            black_box(serde_json::from_str::<serde_json::Value>(line).expect("corpus is JSON"));
        }
    });
    report("parse: serde_json::Value", serde, serde);
    let sonic = timed(|| {
        for line in lines.iter().flat_map(|it| it.lines()) {
            black_box(sonic_rs::from_str::<sonic_rs::Value>(line).expect("corpus is JSON"));
        }
    });
    report("parse: sonic_rs::Value", sonic, serde);
    report("parse: EventBatch (UTF-8 check, decoding)", own, serde);

    let trees: Vec<serde_json::Value> =
        lines.iter().flat_map(|it| it.lines()).map(|it| serde_json::from_str(it).expect("JSON")).collect();
    let mut tree_hits = 0;
    let on_tree = timed(|| {
        tree_hits = 0;
        for tree in &trees {
            for name in FIELDS {
                tree_hits += match tree.get(name) {
                    Some(serde_json::Value::String(text)) => needles.find_iter(text.as_str()).count(),
                    _ => 0,
                };
            }
        }
    });
    drop(trees);
    let batches: Vec<EventBatch> = texts.iter().map(|it| parse(&schema, it)).collect();
    let ids: Vec<_> = FIELDS.iter().filter_map(|name| schema.id(name)).collect();
    let mut batch_hits = 0;
    let on_batch = timed(|| {
        batch_hits = 0;
        for event in batches.iter().flat_map(EventBatch::events) {
            for id in &ids {
                batch_hits += match event.get(*id) {
                    Some(Value::Text(text)) => needles.find_iter(text).count(),
                    _ => 0,
                };
            }
        }
    });
    assert_eq!(tree_hits, batch_hits, "both must find the same");
    println!();
    report("match: serde_json::Value", on_tree, on_tree);
    report("match: EventBatch", on_batch, on_tree);

    println!();
    let memory: usize = batches.iter().map(EventBatch::memory_bytes).sum();
    pivot(&batches, &report);
    println!("\nmemory of all batches: {:.2} bytes per byte of input", memory as f64 / bytes as f64);
}

fn pivot(batches: &[EventBatch], report: &dyn Fn(&str, f64, f64)) {
    let seconds = timed(|| {
        for batch in batches {
            black_box(panoptes_store::pivot::pivot_batch(batch));
        }
    });
    report("pivot: EventBatch to Arrow columns", seconds, seconds);
}

/// Bytes as intake hands them on: cut into records.
struct Text {
    bytes: Vec<u8>,
    records: Vec<std::ops::Range<usize>>,
}

impl Text {
    fn new(text: &str) -> Self {
        let mut records = Vec::new();
        let mut start = 0;
        for line in text.lines() {
            records.push(start..start + line.len());
            start += line.len() + 1;
        }
        Self { bytes: text.as_bytes().to_vec(), records }
    }
}

fn parse(schema: &Arc<Schema>, text: &Text) -> EventBatch {
    let input = String::from_utf8(text.bytes.clone()).expect("corpus is UTF-8");
    EventBatch::build(Arc::clone(schema), FrameId(1), Timestamp(0), Vec::new(), input, |writer| {
        for record in &text.records {
            let line = writer.input().get(record.clone()).expect("records lie in the text");
            writer.begin(line, 0, Timestamp(0), 0);
            json::read_object(writer, line).expect("corpus is JSON");
        }
    })
}

/// The median time of some rounds, after one to warm up.
fn timed(mut work: impl FnMut()) -> f64 {
    work();
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = cpu_seconds();
            work();
            cpu_seconds() - start
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[ROUNDS / 2]
}

/// What this thread has used so far: other load on the machine does not count.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's CPU time");
    let nanos: f64 = text.split(' ').next().and_then(|it| it.parse().ok()).expect("the first word is nanoseconds");
    nanos / 1e9
}

fn mega(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
