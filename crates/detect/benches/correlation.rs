//! What correlations cost: time per event in crowded windows, and memory per group.
//!
//! `cargo xtask bench correlation` prints tables, each line beside `rsigma-eval` doing the same in the same run, as far as
//! it can. Both are handed events that are parsed already, and both match the rule and count. Time is that of this thread on a core; memory is what a counting allocator says is alive.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool at a terminal")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use panoptes_detect::{CompileOptions, Detector, DetectorOptions, RuleFile, RuleSet, WindowOptions};
use panoptes_model::{EventBatch, FieldType, FindingOrigin, FrameId, Origin, Schema, Timestamp};
use rsigma_eval::{CorrelationConfig, CorrelationEngine, CorrelationSnapshot, GroupKey, JsonEvent, WindowState};

/// Counts what is alive.
struct Counting;

static ALIVE: AtomicUsize = AtomicUsize::new(0);
static BLOCKS: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator that only counts what it hands on")]
// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALIVE.fetch_add(layout.size(), Ordering::Relaxed);
        BLOCKS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        BLOCKS.fetch_sub(1, Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many events are folded at once.
const FRAME: usize = 8_192;
/// How many different values lie in the window.
const VALUES: usize = 100_000;
const GROUPS: usize = 1_000_000;
/// How many events the other engine is given for its groups: for all it would take minutes and gigabytes.
const EVENTS_OTHER: usize = 100_000;
const START: i64 = 1_790_000_000;
/// How long the other engine may take per line.
const PATIENCE: Duration = Duration::from_secs(3);

/// The time that this thread has spent on a core, which other programs do not lengthen.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|it| it.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// The same numbers every time.
struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

/// An event: when in milliseconds, from where, and who.
#[derive(Clone)]
struct Made {
    millis: i64,
    ip: u32,
    user: usize,
}

impl Made {
    fn ip(&self) -> String {
        let [a, b, c, d] = self.ip.to_be_bytes();
        format!("{a}.{b}.{c}.{d}")
    }

    fn user(&self) -> String {
        format!("user-{:06}", self.user)
    }
}

fn rules_text(correlation: &str) -> String {
    format!(
        "title: Failed\nid: 6a1f2f0e-6f0c-4c55-9d0b-0c4c2a0b1c11\nname: failed\nlogsource: {{product: linux}}\ndetection: {{s: {{event.outcome: failure}}, condition: s}}\n---\ntitle: Counted\nname: counted\ncorrelation:\n  rules: [failed]\n{correlation}"
    )
}

/// Panoptes with one correlation.
struct Ours {
    rules: Arc<RuleSet>,
    detector: Detector,
    schema: Arc<Schema>,
    frame: u64,
    time: Duration,
    events: usize,
    findings: usize,
}

impl Ours {
    fn new(correlation: &str, memory_bytes_max: usize) -> Self {
        let file = RuleFile { path: "bench.yml".to_owned(), text: rules_text(correlation) };
        let (rules, errors) = RuleSet::compile(vec![file], &CompileOptions::default());
        assert!(errors.is_empty(), "{errors:?}");
        let rules = Arc::new(rules);
        let windows = WindowOptions { memory_bytes_max, ..WindowOptions::default() };
        let options = DetectorOptions { windows, ..DetectorOptions::default() };
        let mut schema = Schema::ecs();
        for name in rules.fields() {
            schema.intern(name, FieldType::Text).unwrap();
        }
        let detector = Detector::new(Arc::clone(&rules), options);
        Self { rules, detector, schema: Arc::new(schema), frame: 0, time: Duration::ZERO, events: 0, findings: 0 }
    }

    fn feed(&mut self, made: &[Made]) {
        for made in made.chunks(FRAME) {
            self.frame += 1;
            let now = Timestamp::from_millis(START * 1_000 + made.iter().map(|it| it.millis).max().unwrap_or(0));
            let origin = Origin { source: "bench".to_owned(), ..Origin::default() };
            let mut batch = None;
            let input: String = made.iter().map(|it| format!("{} {}\n", it.ip(), it.user())).collect();
            let built =
                EventBatch::build(Arc::clone(&self.schema), FrameId(self.frame), now, vec![origin], input, |writer| {
                    let [dataset, outcome, ip, user, amount] =
                        ["event.dataset", "event.outcome", "source.ip", "user.name", "amount"]
                            .map(|it| writer.field(it).unwrap());
                    for (line, made) in writer.input().lines().zip(made) {
                        let (from, who) = line.split_once(' ').unwrap();
                        writer.begin(line, 0, now, 0);
                        writer.time(Timestamp::from_millis(START * 1_000 + made.millis));
                        writer.typed(dataset, "linux.sshd");
                        writer.typed(outcome, "failure");
                        writer.typed(ip, from);
                        writer.typed(user, who);
                        writer.integer(amount, made.user as i64);
                        writer.end();
                    }
                });
            let batch = batch.get_or_insert(built);
            let mut findings = Vec::new();
            let started = cpu_time();
            let hits = self.rules.prepare(batch);
            self.detector.fold(&mut findings, batch, &hits, now, FindingOrigin::Scan);
            self.time += cpu_time() - started;
            self.events += made.len();
            self.findings += findings.len();
        }
    }

    /// Events per second since the last call.
    fn rate(&mut self) -> f64 {
        let rate = self.events as f64 / self.time.as_secs_f64().max(1e-9);
        (self.events, self.time) = (0, Duration::ZERO);
        rate
    }
}

/// `rsigma-eval` with one correlation.
struct Other {
    engine: CorrelationEngine,
    time: Duration,
    events: usize,
}

impl Other {
    fn new(correlation: &str) -> Self {
        let config =
            CorrelationConfig { max_state_entries: usize::MAX, emit_detections: false, ..CorrelationConfig::default() };
        let mut engine = CorrelationEngine::new(config);
        let rules = rsigma_parser::parse_sigma_yaml(&rules_text(correlation)).unwrap();
        assert!(rules.errors.is_empty());
        engine.add_collection(&rules).unwrap();
        Self { engine, time: Duration::ZERO, events: 0 }
    }

    /// Puts a window into it: event by event it would take minutes.
    fn fill(&mut self, key: &[&str], window: WindowState) {
        let key = GroupKey(key.iter().map(|it| Some((*it).to_owned())).collect());
        let windows = HashMap::from([("counted".to_owned(), vec![(key, window)])]);
        let (last_alert, event_buffers, event_ref_buffers) = (HashMap::new(), HashMap::new(), HashMap::new());
        let snapshot = CorrelationSnapshot { version: 1, windows, last_alert, event_buffers, event_ref_buffers };
        assert!(self.engine.import_state(snapshot));
        assert_eq!(self.engine.state_count(), 1);
    }

    fn feed(&mut self, made: &[Made], patience: Duration) {
        for made in made {
            let json = serde_json::json!({
                "event": {"dataset": "linux.sshd", "outcome": "failure"}, "source": {"ip": made.ip()},
                "user": {"name": made.user()}, "amount": made.user,
            });
            let event = JsonEvent::borrow(&json);
            let started = cpu_time();
            self.engine.process_event_at(&event, START + made.millis / 1_000);
            self.time += cpu_time() - started;
            self.events += 1;
            if self.time > patience {
                break;
            }
        }
        assert!(self.engine.state_count() > 0, "it does not see the fields");
    }

    fn rate(&self) -> f64 {
        self.events as f64 / self.time.as_secs_f64().max(1e-9)
    }
}

fn with_dots(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn line(what: &str, ours: f64, other: Option<f64>) {
    let other_text = other.map_or("-".to_owned(), with_dots);
    let ratio = other.map_or("-".to_owned(), |other| format!("{:.0}×", ours / other));
    println!("| {what} | {} | {other_text} | {ratio} |", with_dots(ours));
}

const DIFFERENT: &str =
    "  type: value_count\n  group-by: [source.ip]\n  timespan: 100s\n  condition: {field: user.name, gte: 130000}\n";

/// One event a millisecond from one address: as many values as the window has milliseconds.
fn crowd(events: usize, mut user: impl FnMut(usize) -> usize, mut late: impl FnMut(usize) -> i64) -> Vec<Made> {
    let event = |index: usize| Made { millis: index as i64 - late(index), ip: 0xcb00_7109, user: user(index) };
    (0..events).map(event).collect()
}

/// A second in the middle of a crowded window is told of exactly if the threshold is what the window holds: both of its
/// ends and the milliseconds in between.
fn check_of_values() {
    for (threshold, told) in [(VALUES + 1, true), (VALUES + 2, false)] {
        let mut ours = Ours::new(&DIFFERENT.replace("130000", &threshold.to_string()), 256 << 20);
        ours.feed(&crowd(3 * VALUES, |it| it, |_| 0));
        assert_eq!(ours.findings > 0, told, "{threshold}");
    }
}

fn time_of_values() {
    check_of_values();
    println!("value_count with {} different values in the window, events/s:\n", with_dots(VALUES as f64));
    println!("| | Panoptes | rsigma-eval | |\n| --- | ---: | ---: | ---: |");
    let measured = 10 * VALUES;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let shuffled: Vec<usize> = (0..VALUES + measured).map(|_| random.below(VALUES)).collect();
    type Order<'o> = &'o dyn Fn(usize) -> usize;
    let orders: [(&str, Order<'_>, Order<'_>); 4] = [
        ("every event a value that is not in the window", &|it| it, &|_| 0),
        ("every event a value that is in the window", &|it| it % VALUES, &|_| 0),
        ("values at random", &|it| if it < VALUES { it } else { shuffled[it] }, &|_| 0),
        ("values at random, every other event 20 s late", &|it| if it < VALUES { it } else { shuffled[it] }, &|it| {
            if it > VALUES && it % 2 == 0 { 20_000 } else { 0 }
        }),
    ];
    for (what, user, late) in orders {
        let made = crowd(VALUES + measured, user, |it| late(it) as i64);
        let (filling, rest) = made.split_at(VALUES);
        let mut ours = Ours::new(DIFFERENT, 256 << 20);
        ours.feed(filling);
        ours.rate();
        ours.feed(rest);
        assert_eq!(ours.findings, 0);
        let mut other = Other::new(DIFFERENT);
        let entries = filling.iter().map(|it| (START + it.millis / 1_000, it.user())).collect();
        other.fill(&["203.0.113.9"], WindowState::ValueCount { entries });
        other.feed(rest, PATIENCE);
        line(what, ours.rate(), Some(other.rate()));
    }
    println!();
}

fn time_of_types() {
    println!("Other types, {} events in the window of one group, events/s:\n", with_dots(VALUES as f64));
    println!("| | Panoptes | rsigma-eval | |\n| --- | ---: | ---: | ---: |");
    let made = crowd(VALUES * 6, |it| (it * 7_919) % 10_007, |_| 0);
    let (filling, rest) = made.split_at(VALUES);
    for kind in ["event_count", "value_sum", "value_avg", "value_median", "value_percentile"] {
        let field = if kind == "event_count" { "" } else { ", field: amount" };
        let text = format!(
            "  type: {kind}\n  group-by: [source.ip]\n  timespan: 100s\n  condition: {{gte: 9000000000000{field}}}\n"
        );
        let mut ours = Ours::new(&text, 256 << 20);
        ours.feed(filling);
        ours.rate();
        ours.feed(rest);
        let mut other = Other::new(&text);
        let seconds = |it: &Made| START + it.millis / 1_000;
        other.fill(
            &["203.0.113.9"],
            if kind == "event_count" {
                WindowState::EventCount { timestamps: filling.iter().map(seconds).collect() }
            } else {
                WindowState::NumericAgg { entries: filling.iter().map(|it| (seconds(it), it.user as f64)).collect() }
            },
        );
        other.feed(rest, PATIENCE);
        line(kind, ours.rate(), Some(other.rate()));
    }
    println!();
}

/// `each` events of each of `groups` addresses, all within the window.
fn population(groups: usize, each: usize) -> Vec<Made> {
    let event = |index: usize| Made {
        millis: (index / 1_000) as i64,
        ip: 0x0a00_0000 + (index % groups) as u32,
        user: (index * 7_919) % 10_007,
    };
    (0..groups * each).map(event).collect()
}

fn memory_of_groups() {
    println!("Memory of {} groups (of fewer for rsigma-eval), bytes per group:\n", with_dots(GROUPS as f64));
    println!(
        "| | Panoptes | blocks | as it reckons | rsigma-eval | | events/s |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    let condition =
        |field: &str| format!("  group-by: [source.ip]\n  timespan: 1d\n  condition: {{gte: 100{field}}}\n");
    for (what, each, text) in [
        ("event_count, 1 event", 1, format!("  type: event_count\n{}", condition(""))),
        ("event_count, 2 events", 2, format!("  type: event_count\n{}", condition(""))),
        ("event_count, 4 events", 4, format!("  type: event_count\n{}", condition(""))),
        ("event_count, 8 events", 8, format!("  type: event_count\n{}", condition(""))),
        ("event_count, 16 events", 16, format!("  type: event_count\n{}", condition(""))),
        ("value_count, 1 event", 1, format!("  type: value_count\n{}", condition(", field: user.name"))),
        ("value_count, 4 events", 4, format!("  type: value_count\n{}", condition(", field: user.name"))),
        ("value_sum, 1 event", 1, format!("  type: value_sum\n{}", condition("000000000, field: amount"))),
    ] {
        let groups = if each > 8 { GROUPS / 4 } else { GROUPS };
        let made = population(groups, each);
        let mut ours = Ours::new(&text, usize::MAX / 4);
        let (alive, blocks) = (ALIVE.load(Ordering::Relaxed), BLOCKS.load(Ordering::Relaxed));
        ours.feed(&made);
        let bytes = (ALIVE.load(Ordering::Relaxed) - alive) as f64 / groups as f64;
        let blocks = (BLOCKS.load(Ordering::Relaxed) - blocks) as f64 / groups as f64;
        let counters = ours.detector.counters().windows;
        assert_eq!(counters.groups, groups as u64);
        drop(made);
        let rate = ours.rate();
        drop(ours);
        let made = population(EVENTS_OTHER / each, each);
        let mut other = Other::new(&text);
        let alive = ALIVE.load(Ordering::Relaxed);
        other.feed(&made, Duration::MAX);
        let of_other = (ALIVE.load(Ordering::Relaxed) - alive) as f64 / other.engine.state_count() as f64;
        println!(
            "| {what} | {bytes:.0} | {blocks:.2} | {:.0} | {of_other:.0} | {:.1}× | {} |",
            counters.memory_bytes as f64 / groups as f64,
            of_other / bytes,
            with_dots(rate)
        );
    }
    println!();
}

/// Somebody invents keys while memory is full.
fn time_of_flood() {
    let text = "  type: event_count\n  group-by: [source.ip]\n  timespan: 5m\n  condition: {gte: 10}\n";
    let mut ours = Ours::new(text, WindowOptions::default().memory_bytes_max);
    let made: Vec<Made> =
        (0..2 * GROUPS).map(|it| Made { millis: (it / 100) as i64, ip: 0x0a00_0000 + it as u32, user: 0 }).collect();
    let alive = ALIVE.load(Ordering::Relaxed);
    let (filling, rest) = made.split_at(GROUPS);
    ours.feed(filling);
    ours.rate();
    ours.feed(rest);
    let counters = ours.detector.counters().windows;
    println!(
        "A flood of {} invented keys: {} groups and {:.1} MiB are kept (reckoned as {:.1} of {} MiB), {} forgotten, {} events/s while memory is full",
        with_dots(made.len() as f64),
        with_dots(counters.groups as f64),
        (ALIVE.load(Ordering::Relaxed) - alive) as f64 / f64::from(1 << 20),
        counters.memory_bytes as f64 / f64::from(1 << 20),
        WindowOptions::default().memory_bytes_max >> 20,
        with_dots(counters.groups_forgotten as f64),
        with_dots(ours.rate())
    );
    let started = cpu_time();
    let checkpoint = ours.detector.checkpoint();
    let bytes = postcard::to_stdvec(&checkpoint).unwrap();
    println!("A checkpoint of it: {:.1} MiB in {:?}", bytes.len() as f64 / f64::from(1 << 20), cpu_time() - started);
}

fn main() {
    time_of_values();
    time_of_types();
    memory_of_groups();
    time_of_flood();
}
