//! What evidence costs: sealing events into segments and their sidecars, their sizes, and look-ups in sidecars. One
//! thread; seconds are CPU seconds of that thread.
//!
//! Input: the Windows events of the `security-datasets` corpus (`PANOPTES_CORPORA`, else `../shared/corpora`), and
//! generated access lines of nginx. Run by `cargo xtask bench segments`;
//! `--only-windows` and `--only-nginx` leave out the other.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use arrow::array::AsArray as _;
use bytes::Bytes;

use panoptes_model::{EventBatch, FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp};
use panoptes_normalize::Normalizer;
use panoptes_seal::{ChunkOpener, KeyEncryptionKey};
use panoptes_store::disk::{Disk, RealDisk};
use panoptes_store::lock::DataLock;
use panoptes_store::pivot::{RowRef, pivot};
use panoptes_store::words::{Limits, Need, Term, WordsStore, WordsWriter};
use panoptes_store::{Store, StoreOptions};
use parquet::file::metadata::ParquetMetaDataReader;

#[path = "shared/corpus.rs"]
mod corpus;

use corpus::{BATCH_BYTES, windows_lines};

const NGINX_LINES: u64 = 400_000;
/// How many words are looked up in each sidecar.
const LOOK_UPS: usize = 1_000;
/// How many columns are listed.
const COLUMNS_SHOWN: usize = 14;
const SECOND: i64 = Timestamp::NANOS_PER_SECOND;
const BEGIN: i64 = 1_760_000_000 * SECOND;

fn main() {
    let only =
        |name: &str| std::env::args().any(|it| it == name) || !std::env::args().any(|it| it.starts_with("--only-"));
    if only("--only-windows") {
        match windows_lines() {
            Some(texts) => measure("Windows JSON", &texts),
            None => println!("skipped: no corpus `security-datasets` in PANOPTES_CORPORA or ../shared/corpora"),
        }
    }
    if only("--only-nginx") {
        measure("nginx lines", &nginx_lines());
    }
}

fn measure(name: &str, texts: &[String]) {
    let bytes: usize = texts.iter().map(String::len).sum();
    let batches = batches(texts);
    let events: usize = batches.iter().map(|it| it.len()).sum();
    println!("{name}: {events} events, {:.0} MB", mega(bytes));
    let per_event = |seconds: f64| seconds * 1e6 / events as f64;

    let folder = tempfile::tempdir().expect("a folder for files");
    let key = KeyEncryptionKey::generate().expect("random bytes");
    let lock = DataLock::acquire(folder.path()).expect("a new folder");
    let (store, _) = Store::open(folder.path(), &key, lock, StoreOptions::default()).expect("a new folder");
    let mut sealing = 0.0;
    let mut seal = || {
        let start = cpu_seconds();
        store.seal(Timestamp(BEGIN)).expect("there is room");
        sealing += cpu_seconds() - start;
    };
    for batch in &batches {
        store.keep(Arc::clone(batch));
        if store.hot_bytes() >= StoreOptions::default().segment_bytes {
            seal();
        }
    }
    seal();
    let sizes = |store: &Store| {
        let (_, segments) = store.snapshot();
        let words: u64 = segments.iter().filter_map(|it| it.words.as_ref()).map(|it| it.bytes).sum();
        (segments.len(), segments.iter().map(|it| it.bytes).sum::<u64>(), words)
    };
    let show = |(count, segments, words): (usize, u64, u64)| {
        println!(
            "  {count} segments: {:.1} bytes/event, sidecars {:.1} more ({:.1} %), together {:.2} % of the text",
            segments as f64 / events as f64,
            words as f64 / events as f64,
            words as f64 * 100.0 / segments as f64,
            (segments + words) as f64 * 100.0 / bytes as f64,
        );
    };
    println!("  sealing: {:.1} µs CPU/event", per_event(sealing));
    show(sizes(&store));
    let start = cpu_seconds();
    while store.compact(Timestamp(BEGIN + 10 * 86_400 * SECOND), &|| true).expect("segments can be read").is_some() {}
    println!("  compaction: {:.1} µs CPU/event", per_event(cpu_seconds() - start));
    show(sizes(&store));

    words_alone(&batches, bytes);
    look_ups(&store, folder.path(), &key);
    columns(&store, folder.path(), &key, events);
}

fn batches(texts: &[String]) -> Vec<Arc<EventBatch>> {
    let normalizer = Normalizer::default();
    let schema = Arc::new(Schema::ecs());
    let of_text = |(number, text): (usize, &String)| {
        let now = Timestamp(BEGIN + number as i64 * SECOND);
        let mut records = RawBatch::new();
        let origin = records.origin(&Origin { source: "bench".into(), input: "tcp".into(), ..Origin::default() });
        for (position, line) in text.lines().enumerate() {
            records.push(origin, now, position as u64, line.as_bytes());
        }
        let frame = LogFrame { id: FrameId(number as u64 + 1), now, rules_epoch: 0, snapshots_epoch: 0, records };
        Arc::new(normalizer.normalize(&schema, frame))
    };
    texts.iter().enumerate().map(of_text).collect()
}

/// The sidecar without the segment.
fn words_alone(batches: &[Arc<EventBatch>], bytes: usize) {
    let mut seconds = 0.0;
    let (mut size, mut terms) = (0, 0);
    for run in batches.chunks(16) {
        let refs: Vec<&EventBatch> = run.iter().map(|it| &**it).collect();
        let rows: Vec<RowRef> = refs
            .iter()
            .enumerate()
            .flat_map(|(batch, it)| (0..it.len() as u32).map(move |event| RowRef { batch: batch as u32, event }))
            .collect();
        let columns = pivot(&refs, &rows);
        let start = cpu_seconds();
        let mut writer = WordsWriter::new(Vec::new(), Limits::default());
        for (field, column) in columns.schema().fields().iter().zip(columns.columns()) {
            writer.add(field.name(), column.as_string_view_opt().map(|it| it.iter().flatten()));
        }
        writer.end_group().expect("memory takes it");
        let out = writer.finish(&[0; 32]).expect("memory takes it").expect("one row group");
        seconds += cpu_seconds() - start;
        // The last entry of the directory, before the trailer, ends with the number of terms; there is one.
        let entry = out.len().checked_sub(72).and_then(|start| out.get(start..)?.first_chunk::<8>());
        terms += entry.map_or(0, |it| u64::from_le_bytes(*it));
        size += black_box(out).len();
    }
    println!(
        "  sidecars alone: {:.0} MB/s of input, {:.1} bits for a term of a row group",
        mega(bytes) / seconds,
        size as f64 * 8.0 / terms as f64
    );
}

fn look_ups(store: &Store, folder: &Path, key: &KeyEncryptionKey) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(folder.to_owned()).expect("it is there"));
    let (_, segments) = store.snapshot();
    let need = |word: usize| Need::all(Term::words(&format!("absent{word}")).into_iter().map(Need::Term));
    // How long each look-up takes on average, and how many of them said "perhaps".
    let look_up = |words: &WordsStore, numbers: &mut dyn Iterator<Item = usize>| {
        let (mut count, mut perhaps) = (0, 0);
        let start = cpu_seconds();
        for need in numbers.map(need) {
            for segment in &segments {
                let groups = words.groups(&segment.file, &segment.digest, &need).expect("sidecars are whole");
                perhaps += usize::from(groups.expect("sidecars are there").count() > 0);
                count += 1;
            }
        }
        ((cpu_seconds() - start) * 1e6 / f64::from(count), f64::from(perhaps as u32) * 100.0 / f64::from(count))
    };
    let store = || WordsStore::new(Arc::clone(&disk), key.clone());
    let first = (0..100).map(|it| look_up(&store(), &mut std::iter::once(it)).0).sum::<f64>() / 100.0;
    let words = store();
    let (further, perhaps) = look_up(&words, &mut (0..LOOK_UPS));
    let (again, _) = look_up(&words, &mut std::iter::repeat_n(LOOK_UPS - 1, LOOK_UPS));
    println!(
        "  look-up in a sidecar: {first:.0} µs CPU at first, {further:.1} for further words, {again:.2} for the same again; \"perhaps\" for {perhaps:.2} % of absent words"
    );
}

/// Where the bytes are: the largest columns.
fn columns(store: &Store, folder: &Path, key: &KeyEncryptionKey, events: usize) {
    let mut bytes: BTreeMap<String, i64> = BTreeMap::new();
    for segment in store.snapshot().1 {
        let sealed = std::fs::read(folder.join(&segment.file)).expect("the segment is there");
        let plain = ChunkOpener::open_all(key, &sealed).expect("the segment is whole");
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&Bytes::from(plain)).expect("it is Parquet");
        for column in metadata.row_groups().iter().flat_map(|it| it.columns()) {
            *bytes.entry(column.column_path().string()).or_default() += column.compressed_size();
        }
    }
    let mut largest: Vec<(i64, String)> = bytes.into_iter().map(|(name, bytes)| (bytes, name)).collect();
    largest.sort_unstable_by(|a, b| b.cmp(a));
    let all: i64 = largest.iter().map(|it| it.0).sum();
    let per_event = |bytes: i64| bytes as f64 / events as f64;
    let shown: Vec<String> =
        largest.iter().take(COLUMNS_SHOWN).map(|(bytes, name)| format!("{name} {:.1}", per_event(*bytes))).collect();
    println!("  bytes/event of {} columns {:.1}: {}", largest.len(), per_event(all), shown.join(", "));
}

/// Access lines in the combined format, of one server and some thousand visitors.
fn nginx_lines() -> Vec<String> {
    const PAGES: [&str; 6] = ["/", "/login", "/search?q=", "/cart/item/", "/api/v1/orders/", "/static/app.js?v="];
    const AGENTS: [&str; 3] = [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
        "kube-probe/1.30",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let mut texts = vec![String::new()];
    for number in 0..NGINX_LINES {
        let second = number / 500;
        let line = format!(
            "10.{}.{}.{} - - [08/Oct/2025:{:02}:{:02}:{:02} +0000] \"GET {}{} HTTP/1.1\" {} {} \"https://shop.example/{}\" \"{}\"\n",
            random.u8(0..4),
            random.u8(0..16),
            random.u8(..),
            second / 3600,
            second / 60 % 60,
            second % 60,
            PAGES[random.usize(0..PAGES.len())],
            random.u32(0..100_000),
            [200, 200, 200, 304, 404, 500][random.usize(0..6)],
            random.u32(200..60_000),
            ["", "garden", "books"][random.usize(0..3)],
            AGENTS[random.usize(0..AGENTS.len())],
        );
        if texts.last().is_some_and(|it| it.len() + line.len() > BATCH_BYTES) {
            texts.push(String::new());
        }
        if let Some(text) = texts.last_mut() {
            text.push_str(&line);
        }
    }
    texts
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
