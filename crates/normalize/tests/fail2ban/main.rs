//! fail2ban's annotated logs: which lines are attempts, whose, and when.
//!
//! fail2ban remembers a connection's earlier lines and may hold a later, innocent one against its host; we hold what
//! failed. [`EXPLAINED`] says where that costs points.

mod annotated;
#[expect(dead_code, reason = "this suite has a clock of its own to normalise by")]
#[path = "../corpora/mod.rs"]
mod corpora;
mod replaced;

use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use panoptes_model::{
    Anomaly, Event, EventBatch, FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp, Value, field,
};
use panoptes_normalize::Normalizer;

use crate::annotated::{Case, cases};
use crate::replaced::{YEARS, replaced};

const FOLDER: &str = "fail2ban/fail2ban/tests/files/logs";
/// The zone that fail2ban's tests run in.
const ZONE: &str = "Europe/Zurich";
/// The year of their clock, which stands at noon of 14 August: what lines without a year are dated by.
const YEAR: i32 = 2005;
/// What all files together have to reach.
const F1_MIN: f64 = 0.95;
/// What each file has to reach.
const FILE_F1_MIN: f64 = 0.7;
/// Files that cannot, and why.
const EXPLAINED: &[(&str, &str)] = &[
    ("mongodb-auth", "the line that fails names no address, the one that names it is `end connection`"),
    ("selinux-ssh", "sshd tells each refusal twice, as USER_AUTH and as USER_LOGIN; fail2ban counts the first only"),
];

/// Whether the event is an attempt of an attack: something that failed, or what a sensor calls an intrusion. The one
/// place where that is defined.
fn is_attempt(event: Event<'_>) -> bool {
    let is_intrusion = event
        .get(field::EVENT_CATEGORY)
        .is_some_and(|it| it.each().any(|it| matches!(it, Value::Text("intrusion_detection" | "threat" | "malware"))));
    event.text(field::EVENT_OUTCOME) == Some("failure") || is_intrusion
}

/// Against whom.
fn address(event: Event<'_>) -> Option<String> {
    let value = event.get(field::SOURCE_IP).or_else(|| event.get(field::SOURCE_ADDRESS));
    value.map(|it| it.to_text().into_owned())
}

/// `host` as Panoptes writes addresses.
fn canonical(host: &str) -> String {
    host.parse::<std::net::IpAddr>().map_or_else(|_| host.to_owned(), |it| it.to_canonical().to_string())
}

/// Wall-clock time in fail2ban's zone as an instant.
fn instant(time: &str) -> Option<Timestamp> {
    let civil: DateTime = time.parse().ok()?;
    let zone = TimeZone::get(ZONE).ok()?;
    Some(Timestamp::from_seconds(civil.to_zoned(zone).ok()?.timestamp().as_second()))
}

fn normalize(path: &str, cases: &[Case], year: i32) -> EventBatch {
    let received_at = instant(&format!("{year}-08-14T12:00:00")).expect("the clock of the suite");
    // Lines with a year may be of any; what lies ahead of the clock would be dated by it.
    let now = instant("2090-01-01T00:00:00").expect("the clock of the suite");
    let mut records = RawBatch::new();
    let origin = records.origin(&Origin {
        source: path.into(),
        path: Some(path.into()),
        time_zone: Some(ZONE.into()),
        ..Origin::default()
    });
    for (index, case) in cases.iter().enumerate() {
        assert!(records.has_room_for(case.line.len()), "{path} does not fit into one frame");
        records.push(origin, received_at, index as u64 + 1, case.line.as_bytes());
    }
    let frame = LogFrame { id: FrameId(1), now, rules_epoch: 0, snapshots_epoch: 0, records };
    Normalizer::default().normalize(&Arc::new(Schema::ecs()), frame)
}

#[derive(Clone, Copy, Default)]
struct Score {
    right: usize,
    claimed: usize,
    actual: usize,
}

impl Score {
    fn precision(&self) -> f64 {
        if self.claimed == 0 { 1.0 } else { self.right as f64 / self.claimed as f64 }
    }

    fn recall(&self) -> f64 {
        if self.actual == 0 { 1.0 } else { self.right as f64 / self.actual as f64 }
    }

    fn f1(&self) -> f64 {
        if self.claimed + self.actual == 0 {
            return 1.0;
        }
        2.0 * self.right as f64 / (self.claimed + self.actual) as f64
    }

    fn add(&mut self, other: Self) {
        self.right += other.right;
        self.claimed += other.claimed;
        self.actual += other.actual;
    }
}

/// The score of one file and what was missed, a line each.
fn judge(name: &str, cases: &[Case], year: i32) -> (Score, Vec<String>) {
    let events = normalize(&format!("{FOLDER}/{name}"), cases, year);
    assert_eq!(events.len(), cases.len());
    let (mut score, mut misses) = (Score::default(), Vec::new());
    for (case, event) in cases.iter().zip(events.events()) {
        let address = address(event);
        // An attempt without an address is held against nobody, unless nobody is what is asked for.
        let claimed = is_attempt(event) && (address.is_some() || (case.is_attempt && case.host.is_none()));
        let right_host = case.host.as_ref().is_none_or(|host| address.as_deref() == Some(&canonical(host)));
        let is_timed = !event.anomalies().contains(Anomaly::TimeMissing);
        let expected = case.time.as_deref().and_then(instant).filter(|_| is_timed);
        let right_time = expected.is_none_or(|it| is_right_time(case, it, event.time()));
        let right = claimed && case.is_attempt && right_host && right_time;
        score.add(Score { right: right.into(), claimed: claimed.into(), actual: case.is_attempt.into() });
        if claimed != case.is_attempt || (claimed && !right) {
            misses.push(format!(
                "  {name}:{} expected {:?} {:?}, got {} {:?} {} ({}): {}",
                case.number,
                case.is_attempt.then_some(case.host.as_deref()),
                case.time,
                if is_attempt(event) { "an attempt" } else { "none" },
                address,
                event.time(),
                event.text(field::EVENT_DATASET).unwrap_or("?"),
                case.line
            ));
        }
    }
    (score, misses)
}

/// To the second. Some filters of fail2ban pass over the zone that a line states; their annotations then repeat the
/// line's own clock as if it were the suite's, and only the hours may differ.
fn is_right_time(case: &Case, expected: Timestamp, ours: Timestamp) -> bool {
    let difference = (expected.as_seconds() - ours.as_seconds()).abs();
    let clock = case.time.as_deref().and_then(|it| it.split_once('T')).map_or("", |(_, clock)| clock);
    let repeats_the_line = !clock.is_empty() && case.line.contains(clock);
    difference == 0 || (repeats_the_line && difference % 900 == 0 && difference <= 14 * 3_600)
}

#[expect(clippy::print_stdout, reason = "a test that is skipped must say so")]
fn files() -> Option<Vec<String>> {
    let folder = corpora::root().join(FOLDER);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        assert!(std::env::var_os("CI").is_none(), "there is no {}", folder.display());
        println!("skipped: there is no {}", folder.display());
        return None;
    };
    let mut names: Vec<String> =
        entries.filter_map(|it| it.ok().filter(|it| it.path().is_file())?.file_name().into_string().ok()).collect();
    names.sort();
    Some(names)
}

fn line(name: &str, score: &Score) -> String {
    let Score { right, claimed, actual } = score;
    let (precision, recall, f1) = (score.precision(), score.recall(), score.f1());
    format!(
        "{name}: F1 {f1:.3}, precision {precision:.3}, recall {recall:.3} ({right} right of {claimed} claimed, {actual} attempts)"
    )
}

#[test]
fn attempts_are_told_as_fail2ban_tells_them() {
    let Some(files) = files() else { return };
    let (mut all, mut copied) = (Score::default(), Score::default());
    let (mut low, mut changed) = (Vec::new(), Vec::new());
    for name in &files {
        let text = corpora::read(&format!("{FOLDER}/{name}")).unwrap();
        let cases = cases(&text);
        if cases.is_empty() {
            continue;
        }
        let (score, misses) = judge(name, &cases, YEAR);
        let events = normalize(&format!("{FOLDER}/{name}"), &cases, YEAR);
        let copies: Vec<Case> = cases.iter().zip(events.events()).map(|(case, event)| replaced(case, event)).collect();
        let (copy, copy_misses) = judge(name, &copies, YEAR + YEARS);
        let explained = EXPLAINED.iter().find(|(file, _)| file == name);
        println!("{}{}", line(name, &score), explained.map_or_else(String::new, |(_, why)| format!("; {why}")));
        for miss in misses {
            println!("{miss}");
        }
        if copy.right != score.right || copy.claimed != score.claimed {
            println!("{}", line(&format!("{name}, replaced"), &copy));
            for miss in copy_misses {
                println!("{miss}");
            }
            changed.push(name.clone());
        }
        if score.f1() < FILE_F1_MIN && explained.is_none() {
            low.push(name.clone());
        }
        all.add(score);
        copied.add(copy);
    }
    println!("{}", line("all files", &all));
    println!("{}", line("all files, addresses, names and dates replaced", &copied));
    assert!(low.is_empty(), "below {FILE_F1_MIN}: {low:?}");
    assert!(changed.is_empty(), "other scores with other names: {changed:?}");
    assert!(all.f1() >= F1_MIN, "{}", all.f1());
}
