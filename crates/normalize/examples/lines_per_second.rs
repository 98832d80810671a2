//! Lines per second on one core: `cargo run --release -p panoptes-normalize --example lines_per_second [FILE…]`.
//!
//! Measures the lines of each file, or generated ones where none is named.
#![expect(clippy::print_stdout, reason = "an example prints its figures")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use panoptes_model::{FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp};
use panoptes_normalize::Normalizer;

const LINES: usize = 20_000;
const ROUNDS: usize = 20;

/// Appends the `n`th line.
type WriteLine = fn(usize, &mut String);

fn main() {
    let kinds: [(&str, WriteLine); 6] = [
        ("nginx combined", |n, line| {
            let _written = write!(
                line,
                "203.0.113.{} - - [15/Jan/2024:10:{:02}:{:02} +0100] \"GET /shop/item?id={n} HTTP/1.1\" {} {} \"https://example.com/shop\" \"Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0\"",
                n % 256,
                n / 60 % 60,
                n % 60,
                if n % 7 == 0 { 404 } else { 200 },
                n % 5_000
            );
        }),
        ("sshd RFC 3164", |n, line| {
            let _written = write!(
                line,
                "Jan 15 10:{:02}:{:02} web1 sshd[{}]: Failed password for invalid user user{n} from 203.0.113.{} port {} ssh2",
                n / 60 % 60,
                n % 60,
                1_000 + n % 9_000,
                n % 256,
                1_024 + n % 60_000
            );
        }),
        ("sshd RFC 5424", |n, line| {
            let _written = write!(
                line,
                "<38>1 2024-01-15T10:{:02}:{:02}.123456+01:00 web1 sshd {} - - Failed password for root from 203.0.113.{} port {} ssh2",
                n / 60 % 60,
                n % 60,
                1_000 + n % 9_000,
                n % 256,
                1_024 + n % 60_000
            );
        }),
        ("json", |n, line| {
            let _written = write!(
                line,
                r#"{{"timestamp":"2024-01-15T10:{:02}:{:02}Z","level":"ERROR","service":"shop","client_ip":"203.0.113.{}","user":"user{n}","status":{},"method":"POST","path":"/login","message":"login failed after {} ms"}}"#,
                n / 60 % 60,
                n % 60,
                n % 256,
                if n % 7 == 0 { 500 } else { 401 },
                n % 900
            );
        }),
        ("windows event", |n, line| {
            let stack: String =
                (0..12).map(|it| format!(r"C:\\\\Windows\\\\System32\\\\module{it}.dll+{it:x}4b2|")).collect();
            let _written = write!(
                line,
                r#"{{"SourceName":"Microsoft-Windows-Sysmon","ProviderGuid":"{{5770385f-c22a-43e0-bf4c-06f5698ffbd9}}","Level":"4","Keywords":"0x8000000000000000","Channel":"Microsoft-Windows-Sysmon/Operational","Hostname":"pc{}.example","TimeCreated":"2024-01-15T10:{:02}:{:02}.123Z","@timestamp":"2024-01-15T10:{:02}:{:02}.200Z","EventID":10,"Task":"10","RuleName":"-","UtcTime":"2024-01-15 10:30:00.120","SourceProcessGUID":"{{a1}}","SourceProcessId":"{}","SourceThreadId":"77","SourceImage":"C:\\Windows\\System32\\svchost.exe","TargetProcessGUID":"{{b2}}","TargetProcessId":"812","TargetImage":"C:\\Windows\\System32\\lsass.exe","GrantedAccess":"0x1000","CallTrace":"{stack}","SourceUser":"NT AUTHORITY\\SYSTEM","TargetUser":"NT AUTHORITY\\SYSTEM","Message":"Process accessed:\r\nRuleName: -\r\nUtcTime: 2024-01-15 10:30:00.120\r\nSourceProcessId: {n}\r\nSourceImage: C:\\Windows\\System32\\svchost.exe\r\nTargetImage: C:\\Windows\\System32\\lsass.exe\r\nGrantedAccess: 0x1000\r\nCallTrace: {stack}"}}"#,
                n % 50,
                n / 60 % 60,
                n % 60,
                n / 60 % 60,
                n % 60,
                1_000 + n % 9_000
            );
        }),
        ("plain", |n, line| {
            let _written = write!(
                line,
                "2024-01-15 10:{:02}:{:02},123 ERROR [worker-{}] request {n} from 203.0.113.{} was refused",
                n / 60 % 60,
                n % 60,
                n % 16,
                n % 256
            );
        }),
    ];
    let schema = Arc::new(Schema::ecs());
    println!("{:16} {:>10} {:>8} {:>8} {:>12}", "lines", "lines/s", "ns/line", "MB/s", "bytes/event");
    let paths: Vec<String> = std::env::args().skip(1).collect();
    for (name, write_line) in kinds.into_iter().filter(|_| paths.is_empty()) {
        let lines = (0..LINES).map(|n| {
            let mut line = String::new();
            write_line(n, &mut line);
            line
        });
        measure(&schema, name, &lines.collect::<Vec<_>>());
    }
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let start = path.len().saturating_sub(16);
        measure(&schema, path.get(start..).unwrap_or(&path), &lines);
    }
}

/// Prints the fastest of some rounds over `lines`, in frames as large as an import's.
fn measure(schema: &Arc<Schema>, name: &str, lines: &[String]) {
    const FRAME_BYTES: usize = 1 << 20;
    let normalizer = Normalizer::default();
    let now = Timestamp::from_seconds(1_705_320_000);
    let mut frames = Vec::new();
    let mut records = RawBatch::new();
    for (n, line) in lines.iter().enumerate() {
        let origin = records.origin(&Origin::default());
        records.push(origin, now, n as u64, line.as_bytes());
        if records.bytes.len() >= FRAME_BYTES || n + 1 == lines.len() {
            let records = std::mem::replace(&mut records, RawBatch::new());
            frames.push(LogFrame { id: FrameId(1), now, rules_epoch: 0, snapshots_epoch: 0, records });
        }
    }
    let bytes: usize = lines.iter().map(String::len).sum();
    let mut best = f64::MAX;
    let mut memory = 0;
    for _ in 0..ROUNDS {
        let mut taken = 0.0;
        memory = 0;
        for frame in &frames {
            let frame = frame.clone();
            #[expect(clippy::disallowed_methods, reason = "measures itself; no event depends on it")]
            let start = Instant::now();
            let events = black_box(normalizer.normalize(schema, frame));
            taken += start.elapsed().as_secs_f64();
            memory += events.memory_bytes();
        }
        best = best.min(taken);
    }
    println!(
        "{name:16} {:>10.0} {:>8.0} {:>8.0} {:>12}",
        lines.len() as f64 / best,
        best * 1e9 / lines.len() as f64,
        bytes as f64 / best / 1e6,
        memory / lines.len()
    );
}
