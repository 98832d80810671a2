//! How many events a second detection takes on one core, with the shipped rules.
//!
//! `cargo run --release -p panoptes-detect --example events_per_second -- [FILE | nginx | sshd | json | syslog | attack]…`
//! A word makes up lines of that kind; a file is read as it is. `PANOPTES_RULES` names another folder of rules.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool at a terminal")]

#[path = "../tests/detect/lines.rs"]
mod lines;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lines::{compile_pack, normalized, schema_of, shipped_rules};
use panoptes_detect::{Detector, DetectorOptions};
use panoptes_model::{FindingOrigin, Origin, Timestamp};

/// How many events are folded at once.
const FRAME: usize = 4_096;
const LINES: usize = 200_000;

/// The time that this thread has spent on a core, which other programs do not lengthen.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|it| it.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn made_up(kind: &str) -> Option<Vec<String>> {
    // A small generator of its own: the same lines every time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let agents = [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/121.0 Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64; rv:122.0) Gecko/20100101 Firefox/122.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2",
    ];
    let paths = [
        "/",
        "/cart",
        "/api/v1/items?limit=50&offset=100&sort=price",
        "/static/app.4f2a91.js",
        "/search?q=red+shoes&page=2",
        "/img/logo.svg",
    ];
    let line = |kind: &str, random: &mut dyn FnMut(u64) -> u64, index: usize| -> Option<String> {
        let second = index / 1_000;
        let (minute, second) = (second / 60 % 60, second % 60);
        let ip = format!("198.51.{}.{}", random(100), random(250));
        let status = [200, 200, 200, 200, 200, 200, 304, 304, 404, 302].get(random(10) as usize)?;
        Some(match kind {
            "nginx" => format!(
                r#"{ip} - - [01/Mar/2026:11:{minute:02}:{second:02} +0000] "GET {} HTTP/1.1" {status} {} "https://shop.example.com/" "{}""#,
                paths.get(random(6) as usize)?,
                random(90_000),
                agents.get(random(3) as usize)?
            ),
            "attack" => format!(
                r#"203.0.113.{} - - [01/Mar/2026:11:{minute:02}:{second:02} +0000] "GET /item{}?id=1%27%20or%201=1-- HTTP/1.1" 404 512 "-" "sqlmap/1.8""#,
                random(250),
                random(1_000)
            ),
            "sshd" => format!(
                "Mar  1 11:{minute:02}:{second:02} web{} sshd[{}]: Failed password for invalid user u{} from 203.0.{}.{} port {} ssh2",
                random(20),
                random(30_000),
                random(5_000),
                random(30),
                random(250),
                1024 + random(60_000)
            ),
            "syslog" => format!(
                "Mar  1 11:{minute:02}:{second:02} web{} systemd[1]: Started session-{}.scope - Session {} of User u{}, took {} ms.",
                random(20),
                random(30_000),
                random(30_000),
                random(500),
                random(900)
            ),
            "json" => format!(
                r#"{{"timestamp":"2026-03-01T11:{minute:02}:{second:02}.{:03}Z","level":"{}","service":"checkout-{}","message":"order {} for customer {} done in {} ms","trace_id":"{:016x}","client_ip":"{ip}","region":"eu-central-1"}}"#,
                random(1_000),
                if random(200) == 0 { "ERROR" } else { "INFO" },
                random(8),
                random(1_000_000),
                random(90_000),
                random(700),
                random(u64::MAX)
            ),
            _ => return None,
        })
    };
    (0..LINES).map(|index| line(kind, &mut random, index)).collect()
}

fn main() {
    let folder = std::env::var_os("PANOPTES_RULES").map_or_else(shipped_rules, PathBuf::from);
    let started = cpu_time();
    let (rules, errors) = compile_pack(&folder);
    println!("{} rules, {} errors, compiled in {:?}", rules.len(), errors.len(), cpu_time() - started);
    let schema = schema_of(&rules);
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted.is_empty() {
        wanted = ["nginx", "sshd", "json", "syslog", "attack"].map(str::to_owned).to_vec();
    }
    for what in wanted {
        let lines = made_up(&what).unwrap_or_else(|| {
            let bytes = std::fs::read(&what).unwrap_or_default();
            String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
        });
        let now = Timestamp::from_seconds(1_772_366_400);
        let origin = Origin { input: "file".to_owned(), source: what.clone(), ..Origin::default() };
        let batches: Vec<_> = lines
            .chunks(FRAME)
            .zip(1..)
            .map(|(lines, frame)| normalized(&schema, &origin, frame, lines.iter().map(String::as_str), now))
            .collect();
        let started = cpu_time();
        let hits: Vec<_> = batches.iter().map(|batch| rules.prepare(batch)).collect();
        let prepared = cpu_time() - started;
        let mut detector = Detector::new(Arc::clone(&rules), DetectorOptions::default());
        let mut findings = Vec::new();
        let started = cpu_time();
        for (batch, hits) in batches.iter().zip(&hits) {
            detector.fold(&mut findings, batch, hits, now, FindingOrigin::Scan);
        }
        let folded = cpu_time() - started;
        let per = |time: Duration| time.as_secs_f64() * 1e6 / lines.len().max(1) as f64;
        let matches: usize = hits.iter().map(panoptes_detect::Hits::len).sum();
        println!(
            "{what}: {} events, {matches} matches, {} findings; prepare {:.2} µs, fold {:.2} µs an event, {:.0} events/s on one core",
            lines.len(),
            findings.len(),
            per(prepared),
            per(folded),
            1e6 / (per(prepared) + per(folded))
        );
        println!("  {:?}", detector.counters());
    }
}
