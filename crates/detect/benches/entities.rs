//! What profiles of users and hosts take, up to a million of each, and that the budget holds.
//!
//! Each user logs in from an address of his own on a host of his own, on one day or on ten. Memory is what the allocator
//! was asked for, beside what the store counts itself.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    unsafe_code,
    reason = "a measurement, with an allocator that counts"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use panoptes_detect::{BehaviourOptions, CompileOptions, Detector, DetectorOptions, RuleSet};
use panoptes_model::{EventBatch, FindingOrigin, FrameId, Schema, Timestamp, field};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes on to the system's allocator as it came; the counter changes nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const PART: u64 = 20_000;
const MONDAY: i64 = 1_772_409_600;

fn batch(schema: &Arc<Schema>, frame: u64, now: Timestamp, users: std::ops::Range<u64>) -> EventBatch {
    EventBatch::build(Arc::clone(schema), FrameId(frame), now, Vec::new(), String::new(), |writer| {
        for user in users {
            writer.begin("", 0, now, user);
            writer.time(now);
            writer.text(field::EVENT_CATEGORY, "authentication");
            writer.text(field::EVENT_OUTCOME, "success");
            writer.text_with(field::USER_NAME, |out| out.push_str(&format!("user{user}")));
            writer.text_with(field::HOST_NAME, |out| out.push_str(&format!("host{user}")));
            writer.ip(field::SOURCE_IP, std::net::Ipv4Addr::from_bits(0x0a00_0000 | user as u32).into());
            writer.end();
        }
    })
}

fn row(users: u64, days: i64, budget: usize) {
    let (rules, _) = RuleSet::compile(Vec::new(), &CompileOptions::default());
    let (rules, schema) = (Arc::new(rules), Arc::new(Schema::ecs()));
    let options =
        DetectorOptions { behaviour: BehaviourOptions { memory_bytes_max: budget }, ..DetectorOptions::default() };
    let mut detector = Detector::new(Arc::clone(&rules), options);
    let before = HELD.load(Ordering::Relaxed);
    let (started, mut frame, mut peak, mut findings) = (Instant::now(), 0, 0, Vec::new());
    for day in 0..days {
        let now = Timestamp::from_seconds(MONDAY + day * 86_400);
        for first in (0..users).step_by(PART as usize) {
            frame += 1;
            let events = batch(&schema, frame, now, first..(first + PART).min(users));
            let hits = rules.prepare(&events);
            detector.fold(&mut findings, &events, &hits, now, FindingOrigin::Live);
            peak = peak.max(detector.counters().behaviour.bytes);
            findings.clear();
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let held = HELD.load(Ordering::Relaxed).saturating_sub(before);
    let counters = detector.counters().behaviour;
    assert!(peak <= budget, "the budget was exceeded");
    let forgotten = counters.forgotten.newcomers_forgotten + counters.forgotten.residents_forgotten;
    println!(
        "| {users} | {days} | {} | {} | {} | {forgotten} | {:.0} | {:.0} | {:.0} | {:.0} |",
        budget >> 20,
        counters.entities,
        counters.bytes >> 20,
        counters.bytes as f64 / counters.entities.max(1) as f64,
        held as f64 / 1e6,
        held as f64 / counters.entities.max(1) as f64,
        (users * days as u64) as f64 / seconds,
    );
}

fn main() {
    println!(
        "| users, hosts and addresses, each | days | budget MiB | entities held | MiB counted | forgotten | bytes/entity \
         counted | MB allocated | bytes/entity allocated | events/s |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (users, days, budget) in [
        (10_000, 10, 128 << 20),
        (100_000, 1, 1 << 30),
        (1_000_000, 1, 4 << 30),
        (1_000_000, 1, 128 << 20),
        (1_000_000, 2, 128 << 20),
    ] {
        row(users, days, budget);
    }
}
