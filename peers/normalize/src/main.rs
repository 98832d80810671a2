//! What normalising costs: ours from bytes to an [`EventBatch`] beside the parse functions of VRL (the language of
//! Vector) from text to its value, on one thread, in the same run. Seconds are CPU seconds of that thread; the fastest
//! of some rounds, which take turns, counts. Run by `cargo xtask bench normalize`.
//!
//! VRL is told the format of each line; it neither recognises formats nor names fields. What sshd says behind its header
//! it reads with two regular expressions, as its users do.

mod lines;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use panoptes_model::{FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp};
use panoptes_normalize::{Normalizer, Options, ServiceFile, ServiceFormats};
use vrl::compiler::state::RuntimeState;
use vrl::compiler::{Context, Program, TargetValue, TimeZone, compile};
use vrl::value::{Secrets, Value};

const ROUNDS: usize = 5;
/// How many bytes and records a batch has, as the pipeline cuts them.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_RECORDS: usize = 4_096;
const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
const LINES: usize = 50_000;
/// Ten services: what they say is read with formats for them alone, and with all.
const TEN: &[&str] = &[
    "3proxy",
    "asterisk",
    "centreon",
    "dante",
    "murmur",
    "postfix",
    "proftpd",
    "pure-ftpd",
    "squirrelmail",
    "stunnel",
];

/// The header, and who came from where.
const SSHD: &str = r#"
.read = parse_syslog!(string!(.m))
.said, error = parse_regex(.read.message, r'^(?P<result>Failed|Accepted) (?P<method>\S+) for (?:invalid user )?(?P<user>.+) from (?P<ip>\S+) port (?P<port>\d+)')
if error != null {
    .said = parse_regex!(.read.message, r'^Connection (?P<end>closed|reset) by (?:(?:authenticating|invalid) user (?P<user>\S+) )?(?P<ip>\S+) port (?P<port>\d+)')
}
"#;

fn main() {
    let inputs = [
        ("JSON, an application's", lines::json(LINES), Some("parse_json!(string!(.m))")),
        ("syslog, a program nobody knows", lines::syslog(LINES), Some("parse_syslog!(string!(.m))")),
        ("sshd in syslog", lines::sshd(LINES), Some(SSHD)),
        ("nginx, combined", lines::nginx(LINES), Some("parse_nginx_log!(string!(.m), \"combined\")")),
        ("CEF", lines::cef(LINES), Some("parse_cef!(string!(.m))")),
        ("Suricata's eve.json", lines::eve(LINES), Some("parse_json!(string!(.m))")),
    ];
    println!(
        "| input | lines | MB | ours, lines/s | MB/s | VRL, lines/s | ratio |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    let all = Normalizer::default();
    // For a profiler: one input, ours alone, again and again.
    if let Some(wanted) = std::env::args().nth(1) {
        let (name, lines, _) = inputs.iter().find(|it| it.0.contains(&wanted)).expect("an input's name has this");
        return (0..10).for_each(|_| row(name, lines, &all, None));
    }
    for (name, lines, source) in &inputs {
        let program = source.map(program);
        row(name, lines, &all, program.as_ref());
    }
    let Some(corpora) = std::env::var_os("PANOPTES_CORPORA") else {
        println!("\nskipped: a mix of services, whose lines are in PANOPTES_CORPORA");
        return;
    };
    let folder = Path::new(&corpora).join("fail2ban/fail2ban/tests/files/logs");
    let (services, mix) = lines::of_services(&folder, LINES, |_| true);
    row(&format!("{services} services, mixed"), &mix, &all, None);

    let (_, few) = lines::of_services(&folder, LINES, |it| TEN.contains(&it));
    let formats = ten_formats();
    let ten = Normalizer::with_services(Options::default(), Arc::new(formats));
    let mut seconds = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        for (times, normalizer) in seconds.iter_mut().zip([&ten, &all]) {
            times.push(ours(&few, normalizer));
        }
    }
    let [with_ten, with_all] = seconds.map(fastest);
    println!(
        "\nten services' {} lines: with formats for them alone {:.0} lines/s, with all {:.0}: {:.2} times as long",
        few.len(),
        few.len() as f64 / with_ten,
        few.len() as f64 / with_all,
        with_all / with_ten
    );
}

fn ten_formats() -> ServiceFormats {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/formats");
    let files: Vec<ServiceFile> = TEN
        .iter()
        .map(|name| ServiceFile {
            name: (*name).to_owned(),
            text: std::fs::read_to_string(folder.join(format!("{name}.toml"))).expect("each of the ten has a file"),
        })
        .collect();
    let (formats, errors) = ServiceFormats::compile(&files);
    assert!(errors.is_empty(), "{errors:?}");
    formats
}

fn row(name: &str, lines: &[String], normalizer: &Normalizer, program: Option<&Program>) {
    let bytes: usize = lines.iter().map(String::len).sum();
    let (mut own, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        own.push(ours(lines, normalizer));
        peer.extend(program.map(|it| vrl(lines, it)));
    }
    let (own, peer) = (fastest(own), fastest(peer));
    let count = lines.len() as f64;
    let megabytes = bytes as f64 / 1e6;
    let (speed, ratio) = match program {
        Some(_) => (format!("{:.0}", count / peer), format!("{:.1}", peer / own)),
        None => (String::new(), String::new()),
    };
    println!("| {name} | {count} | {megabytes:.1} | {:.0} | {:.0} | {speed} | {ratio} |", count / own, megabytes / own);
}

fn fastest(seconds: Vec<f64>) -> f64 {
    seconds.into_iter().fold(f64::INFINITY, f64::min)
}

fn ours(lines: &[String], normalizer: &Normalizer) -> f64 {
    let schema = Arc::new(Schema::ecs());
    let frames = frames(lines);
    timed(|| {
        for frame in frames {
            black_box(normalizer.normalize(&schema, frame));
        }
    })
}

fn frames(lines: &[String]) -> Vec<LogFrame> {
    let mut frames = Vec::new();
    let empty = || {
        let mut batch = RawBatch::new();
        batch.origin(&Origin { input: "file".to_owned(), source: "bench".to_owned(), ..Origin::default() });
        batch
    };
    let mut batch = empty();
    let mut cut = |records: RawBatch| {
        let id = FrameId(frames.len() as u64 + 1);
        frames.push(LogFrame { id, now: NOW, rules_epoch: 0, snapshots_epoch: 0, records });
    };
    for (line, number) in lines.iter().zip(1..) {
        if batch.bytes.len() + line.len() > BATCH_BYTES || batch.records.len() >= BATCH_RECORDS {
            cut(std::mem::replace(&mut batch, empty()));
        }
        batch.push(0, NOW, number, line.as_bytes());
    }
    cut(batch);
    frames
}

fn program(source: &str) -> Program {
    match compile(source, &vrl::stdlib::all()) {
        Ok(compiled) => compiled.program,
        Err(errors) => panic!("{source}: {errors:?}"),
    }
}

fn vrl(lines: &[String], program: &Program) -> f64 {
    let values: Vec<Value> =
        lines.iter().map(|it| Value::Object([("m".into(), Value::from(it.as_str()))].into_iter().collect())).collect();
    let zone = TimeZone::default();
    timed(|| {
        for value in values {
            let mut target =
                TargetValue { value, metadata: Value::Object(Default::default()), secrets: Secrets::default() };
            let mut state = RuntimeState::default();
            let read = program.resolve(&mut Context::new(&mut target, &mut state, &zone));
            black_box(read.expect("VRL reads every line"));
        }
    })
}

/// CPU seconds of this thread.
fn timed(work: impl FnOnce()) -> f64 {
    let now = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's CPU time");
        text.split(' ').next().and_then(|it| it.parse::<f64>().ok()).expect("the first word is nanoseconds") / 1e9
    };
    let started = now();
    work();
    now() - started
}
