//! What folding costs an event, what the state takes, and how long writing it down takes.
//!
//! `cargo bench -p panoptes-engine -- LINES [RULES…]`: the lines of the file LINES, in frames of as many records as a
//! busy river has, under the shipped rules and those below the folders RULES. Only folding is timed, in CPU time of its
//! thread. The digest at the end is of all that came of it: two programs that print the same one found the same.

#![expect(clippy::print_stdout, unsafe_code, reason = "a measurement, with an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use panoptes_detect::{CompileOptions, RuleFile, RuleSet};
use panoptes_engine::{Fold, FoldOptions, Gathered, LogFrame, Preparer};
use panoptes_model::{FrameId, Origin, RawBatch, Timestamp, content_hash};
use panoptes_normalize::Normalizer;

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn count(size: usize) {
    let held = HELD.fetch_add(size, Ordering::Relaxed) + size;
    PEAK.fetch_max(held, Ordering::Relaxed);
}

// SAFETY: every call goes on to the system's allocator as it came; the counters change nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const FRAME_RECORDS: usize = 1_024;
/// How many frames share a transaction when much comes in.
const TRANSACTION_FRAMES: u64 = 16;
const START: i64 = 1_790_000_000;

/// Of this thread.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0))
}

fn collect(files: &mut Vec<RuleFile>, folder: &Path) {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).expect("a folder of rules").map(|it| it.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(files, &path);
        } else if path.extension().is_some_and(|it| it == "yml") {
            let text = std::fs::read_to_string(&path).expect("a rule");
            files.push(RuleFile { path: path.display().to_string(), text });
        }
    }
}

/// Counts what a checkpoint has, and keeps nothing of it.
#[derive(Default)]
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|it| it != "--bench");
    let Some(lines) = arguments.next() else {
        println!("usage: cargo bench -p panoptes-engine -- LINES [RULES…]");
        return;
    };
    let text = std::fs::read(&lines).expect("the lines");
    let mut files = Vec::new();
    collect(&mut files, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/sigma"));
    arguments.for_each(|it| collect(&mut files, Path::new(&it)));
    let (rules, _) = RuleSet::compile(files, &CompileOptions::default());
    let rules = Arc::new(rules);
    let preparer = Preparer::new(Normalizer::default(), Arc::clone(&rules)).expect("room for all fields");
    let mut fold = Fold::new(rules, FoldOptions::default());

    let origin = Origin { input: "tcp".to_owned(), source: "tcp".to_owned(), ..Origin::default() };
    let all: Vec<&[u8]> = text.split(|it| *it == b'\n').filter(|it| !it.is_empty()).collect();
    let (mut spent, mut digest, mut findings, mut alerts) = (Duration::ZERO, 0, 0, 0);
    let (mut pending, mut most) = (Gathered::default(), 0);
    let before = HELD.load(Ordering::Relaxed);
    for (records, id) in all.chunks(FRAME_RECORDS).zip(1_u64..) {
        let now = Timestamp::from_millis(START * 1_000 + id as i64 * 100);
        let mut batch = RawBatch::new();
        let at = batch.origin(&origin);
        for (record, position) in records.iter().zip(1_u64..) {
            batch.push(at, now, id * FRAME_RECORDS as u64 + position, record);
        }
        let frame =
            preparer.prepare(LogFrame { id: FrameId(id), now, rules_epoch: 0, snapshots_epoch: 0, records: batch });
        let (began, held) = (cpu_time(), HELD.load(Ordering::Relaxed));
        PEAK.store(held, Ordering::Relaxed);
        let levels = fold.gather(&mut pending, &frame);
        spent += cpu_time() - began;
        most = most.max(PEAK.load(Ordering::Relaxed) - held);
        findings += levels.iter().sum::<u64>();
        if id.is_multiple_of(TRANSACTION_FRAMES) {
            let began = cpu_time();
            fold.flush(&mut pending);
            spent += cpu_time() - began;
            alerts += pending.alerts.len();
            pending.alerts.sort_by_key(|it| it.alert.id);
            let text = format!("{digest}{:?}", std::mem::take(&mut pending).alerts);
            digest = content_hash(&[text.as_bytes()]);
        }
    }
    let events = all.len() as f64;
    println!("{:.2} µs of folding an event, {} events", spent.as_secs_f64() * 1e6 / events, all.len());
    println!("{findings} findings, {alerts} updates of alerts, digest {digest:032x}");
    let held = HELD.load(Ordering::Relaxed).saturating_sub(before);
    println!("{:.1} MB held, one frame added up to {:.1} MB", held as f64 / 1e6, most as f64 / 1e6);
    let (began, held, mut count) = (cpu_time(), HELD.load(Ordering::Relaxed), Count::default());
    PEAK.store(held, Ordering::Relaxed);
    fold.checkpoint_into(&mut count).expect("a checkpoint");
    let (took, more) = (cpu_time() - began, PEAK.load(Ordering::Relaxed) - held);
    println!(
        "a checkpoint of {:.1} MB took {:.0} ms and {:.1} MB more",
        count.0 as f64 / 1e6,
        took.as_secs_f64() * 1e3,
        more as f64 / 1e6
    );
    let bytes = fold.checkpoint().expect("a checkpoint");
    println!("its digest {:032x}", content_hash(&[&bytes]));
}
