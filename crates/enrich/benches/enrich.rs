//! What enrichment costs an event: `cargo bench -p panoptes-enrich [-- KIND]`.
//!
//! Normalises the same lines without and with it, in frames as large as an import's, and prints the fastest of some
//! rounds. The databases are MaxMind's test files if the corpora are there: they have everything that large ones have,
//! but are not as large; what a memo spares is a look-up in them.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use panoptes_enrich::{Database, Enricher, KeyKind, List, ListOptions, Network, Parts, Snapshot};
use panoptes_model::{FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp};
use panoptes_normalize::Normalizer;

const LINES: usize = 20_000;
const ROUNDS: usize = 15;
const FRAME_BYTES: usize = 1 << 20;

/// Appends the line with this number, about one of so many addresses.
type WriteLine = fn(usize, u32, &mut String);

fn main() {
    let snapshot = Arc::new(snapshot());
    println!("{:14} {:>10} {:>12} {:>12} {:>12}", "lines", "addresses", "without ns", "with ns", "costs ns");
    let kinds: [(&str, WriteLine); 3] = [("nginx", nginx), ("sshd", sshd), ("firewall", firewall)];
    let wanted = std::env::args().skip(1).find(|it| !it.starts_with('-'));
    for (name, write) in kinds.into_iter().filter(|it| wanted.as_deref().is_none_or(|wanted| it.0 == wanted)) {
        for addresses in [100, 5_000, 20_000] {
            let lines: Vec<String> = (0..LINES)
                .map(|number| {
                    let mut line = String::new();
                    write(number, addresses, &mut line);
                    line
                })
                .collect();
            let (without, with) = measure(&snapshot, &lines);
            println!("{name:14} {addresses:>10} {without:>12.0} {with:>12.0} {:>12.0}", with - without);
        }
    }
}

/// Addresses that MaxMind's test databases know, and their neighbours.
fn address(number: usize, addresses: u32) -> std::net::Ipv4Addr {
    let mixed = (number as u32).wrapping_mul(2_654_435_761) % addresses;
    (0x59a0_1400 + mixed).into()
}

fn nginx(number: usize, addresses: u32, line: &mut String) {
    let _written = write!(
        line,
        "{} - - [15/Jan/2024:10:{:02}:{:02} +0100] \"GET /shop/item?id={number} HTTP/1.1\" 200 {} \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:{}.0) Gecko/20100101 Firefox/{}.0\"",
        address(number, addresses),
        number / 60 % 60,
        number % 60,
        number % 5_000,
        number % 50 + 70,
        number % 50 + 70,
    );
}

fn sshd(number: usize, addresses: u32, line: &mut String) {
    let _written = write!(
        line,
        "Jan 15 10:{:02}:{:02} web1 sshd[{}]: Failed password for invalid user user{number} from {} port {} ssh2",
        number / 60 % 60,
        number % 60,
        1_000 + number % 9_000,
        address(number, addresses),
        1_024 + number % 60_000
    );
}

fn firewall(number: usize, addresses: u32, line: &mut String) {
    let _written = write!(
        line,
        "Jan 15 10:{:02}:{:02} gw kernel: [UFW BLOCK] IN=eth0 OUT= MAC=00 SRC={} DST=10.1.2.{} LEN=60 TOS=0x00 PREC=0x00 TTL=52 ID={} DF PROTO=TCP SPT={} DPT=22 WINDOW=64240 RES=0x00 SYN URGP=0",
        number / 60 % 60,
        number % 60,
        address(number, addresses),
        number % 250,
        number % 65_536,
        1_024 + number % 60_000
    );
}

fn snapshot() -> Snapshot {
    let mut databases = Vec::new();
    if let Some(folder) = panoptes_testkit::corpora() {
        for kind in ["City", "ASN"] {
            let path = folder.join(format!("maxmind-db/test-data/GeoLite2-{kind}-Test.mmdb"));
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            databases.push(Arc::new(Database::new(kind, bytes).unwrap_or_else(|error| panic!("{error}"))));
        }
    }
    let mut text = String::new();
    for number in 0..100_000_u32 {
        let _written = writeln!(text, "{}", std::net::Ipv4Addr::from(0x5900_0000 + number * 37));
    }
    let list = List::parse(ListOptions::new("feed", KeyKind::Address), "feed", text.as_bytes());
    let office = "10.1.0.0/16".parse().map(|it| vec![it]).unwrap_or_default();
    Snapshot::new(Parts {
        databases,
        networks: vec![Network { name: "office".to_owned(), ranges: office, own: true, tags: Vec::new() }],
        assets: Vec::new(),
        lists: list.map(Arc::new).into_iter().collect(),
    })
}

/// Nanoseconds per event without and with enrichment. The rounds alternate: whatever else the machine does, it does to
/// both.
fn measure(snapshot: &Arc<Snapshot>, lines: &[String]) -> (f64, f64) {
    let normalizer = Normalizer::default();
    let plain = Arc::new(Schema::ecs());
    let mut schema = Schema::ecs();
    let enricher = Enricher::new(&mut schema, Arc::clone(snapshot)).unwrap_or_else(|error| panic!("{error}"));
    let schema = Arc::new(schema);
    let frames = frames(lines);
    let (mut without, mut with) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        without = without.min(timed(&frames, |frame| drop(black_box(normalizer.normalize(&plain, frame)))));
        with = with.min(timed(&frames, |frame| {
            let mut batch = enricher.batch();
            drop(black_box(normalizer.normalize_with(&schema, frame, &mut |writer| batch.complete(writer))));
        }));
    }
    let per_event = 1e9 / lines.len() as f64;
    (without * per_event, with * per_event)
}

fn timed(frames: &[LogFrame], mut work: impl FnMut(LogFrame)) -> f64 {
    let mut taken = 0.0;
    for frame in frames {
        let frame = frame.clone();
        #[expect(clippy::disallowed_methods, reason = "measures itself; no event depends on it")]
        let start = Instant::now();
        work(frame);
        taken += start.elapsed().as_secs_f64();
    }
    taken
}

fn frames(lines: &[String]) -> Vec<LogFrame> {
    let now = Timestamp::from_seconds(1_705_320_000);
    let (mut frames, mut records) = (Vec::new(), RawBatch::new());
    for (number, line) in (1..).zip(lines) {
        let origin = records.origin(&Origin::default());
        records.push(origin, now, number, line.as_bytes());
        if records.bytes.len() >= FRAME_BYTES || number as usize == lines.len() {
            let records = std::mem::take(&mut records);
            frames.push(LogFrame { id: FrameId(1), now, rules_epoch: 0, snapshots_epoch: 0, records });
        }
    }
    frames
}
