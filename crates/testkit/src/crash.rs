//! `kill -9` at random moments while records come in over HTTP, segments are sealed, merged and deleted, and keys
//! exchanged.
//!
//! Goal: what was acknowledged is found afterwards exactly once, and each attack has exactly one alert that counts its
//! stored events. Method: senders post small batches; after a random time the process is killed and started again on
//! the same data, and sometimes killed once more before it is ready; at the end the whole store is read, and verified.
//! Some rounds exchange the key meanwhile, with a process that is killed as well; between some, `panoptes compact` or
//! `panoptes retention apply` is killed at its work. A log file grows all the while, and is followed: of it all must be
//! there once, whenever it was written. Records of a source that is kept only up to some bytes may be gone, but never
//! be there twice; at the end some must be gone and some be there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::{Server, get, post, wait_until};

const SENDERS: u64 = 2;
/// A batch has up to so many plain records and one line of an attack.
const RECORDS_MAX: u64 = 30;
/// Lines per attack: over the threshold of the rule for password guessing, spread over as many requests.
const ATTACK_LINES: u64 = 9;
/// From so many failed logins on, the rule fires.
const ATTACK_THRESHOLD: u64 = 6;
/// Requests of a sender between two kills.
const REQUESTS_MAX: u64 = 80;
/// Rounds whose records are read with one search: they stay below what one search gives.
const ROUNDS_PER_SEARCH: u32 = 50;
const LIMIT: Duration = Duration::from_secs(120);
/// A file that was written to so shortly before a kill was being written when it came.
const JUST_NOW: Duration = Duration::from_millis(30);
/// What is done while no instance runs, and how it is told of.
const CHORES: [(&[&str], &str); 2] =
    [(&["compact"], "merging segments"), (&["retention", "apply"], "deleting what is due")];
/// What is kept only up to `bytes_max` of the configuration.
const SHORT: &str = "short";
/// So many of its records are more than is kept.
const SHORT_MANY: u64 = 20_000;
/// What the tokens of the followed file begin with.
const FOLLOWED: &str = "file.";
/// So many complaints are kept of each kind.
const COMPLAINTS_MAX: usize = 20;

/// Seals early and merges soon, so that a short run meets every stage.
const CONFIG: &str = "files = [{ paths = ['followed.log'], source = 'crash-file', start = 'beginning' }]\n[store]\nsegment_bytes_max = 1048576\nsegment_seconds_max = 1\n\
                      log_file_bytes_max = 1048576\nquery_bytes_max = 1073741824\n\
                      [[store.retention.policies]]\nname = 'short'\nsources = ['short']\nbytes_max = 30000\n";

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct CrashPlan {
    pub kills: u32,
    /// The same seed makes the same choices; what the processes do meanwhile differs.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct CrashSummary {
    pub acknowledged: u64,
    /// Posted without an answer: may be there once, or not at all.
    pub unknown: u64,
    /// Lines of a followed file.
    pub followed: u64,
    pub stored: u64,
    /// Of a source that is kept only up to some bytes: posted, and left at the end.
    pub short: u64,
    pub short_kept: u64,
    /// What the process was doing when it was killed, as far as its files tell.
    pub kills: BTreeMap<&'static str, u32>,
    pub rotations: u32,
    pub rotations_killed: u32,
    pub segments: u64,
    pub attacks: u64,
    pub alerts: u64,
    /// `panoptes verify` found nothing.
    pub verified: bool,
    pub lost: u64,
    pub doubled: u64,
    pub alerts_wrong: u64,
    /// Each with its record, and whatever else was not as it must be.
    pub complaints: Vec<String>,
}

impl CrashSummary {
    pub fn is_clean(&self) -> bool {
        self.complaints.is_empty() && self.lost + self.doubled + self.alerts_wrong == 0
    }

    fn complain(&mut self, text: String) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(text);
        }
    }
}

impl fmt::Display for CrashSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, unknown, followed, stored, lost, doubled, .. } = self;
        writeln!(
            f,
            "{acknowledged} acknowledged, {unknown} unknown, {followed} of a followed file, {stored} stored: {lost} lost, \
             {doubled} doubled"
        )?;
        writeln!(f, "{} of {} records of a source that is not all kept are there", self.short_kept, self.short)?;
        let Self { attacks, alerts, alerts_wrong, segments, rotations, rotations_killed, .. } = self;
        writeln!(f, "{attacks} attacks over the threshold, {alerts} alerts, {alerts_wrong} of them wrong")?;
        let verified = if self.verified { "verified" } else { "NOT VERIFIED" };
        writeln!(
            f,
            "{segments} segments at the end, {verified}; {rotations} keys exchanged, {rotations_killed} exchanges killed"
        )?;
        let phases: Vec<String> = self.kills.iter().map(|(phase, count)| format!("{count} {phase}")).collect();
        write!(f, "killed while: {}", phases.join(", "))?;
        for complaint in &self.complaints {
            write!(f, "\n{complaint}")?;
        }
        Ok(())
    }
}

/// What a sender knows when the server is gone.
#[derive(Default)]
struct Sent {
    acknowledged: Vec<String>,
    unknown: Vec<String>,
    /// Lines of the followed file.
    followed: u64,
    /// Posted to the source of which not everything is kept.
    short: u64,
}

/// Kills `binary` as `plan` says and compares. `told` hears of every kill.
///
/// # Panics
/// If the server does not start again, or a command beside it fails: then there is nothing to compare.
#[track_caller]
pub fn run(binary: &Path, plan: CrashPlan, told: &mut dyn FnMut(u32)) -> CrashSummary {
    let mut dice = fastrand::Rng::with_seed(plan.seed);
    let mut server = Server::of(binary).config(CONFIG).start();
    let (mut summary, mut sent) = (CrashSummary::default(), Sent::default());
    let (mut kills, mut round) = (0, 0);
    while kills < plan.kills {
        let phase = one_round(&mut server, round, &mut dice, &mut summary, &mut sent);
        kills += 1;
        *summary.kills.entry(phase).or_default() += 1;
        told(kills);
        for (arguments, doing) in CHORES {
            if kills < plan.kills && dice.u8(..100) < 15 && is_killed_at_work(&server, arguments, &mut dice) {
                kills += 1;
                *summary.kills.entry(doing).or_default() += 1;
                told(kills);
            }
        }
        while kills < plan.kills && dice.u8(..100) < 15 {
            server.start_unready();
            std::thread::sleep(Duration::from_micros(dice.u64(..400_000)));
            server.kill();
            kills += 1;
            *summary.kills.entry("starting").or_default() += 1;
            told(kills);
        }
        server.restart();
        round += 1;
    }
    // Lines are read in their order: with the last all are there.
    if let Some(last) = sent.followed.checked_sub(1) {
        let query = format!("panoptes.source:crash-file \"token-{FOLLOWED}{last}\"");
        wait_until(LIMIT, "the followed file is read to its end", || {
            (!json_lines(&server, &["search", &query, "--format", "jsonl"]).is_empty()).then_some(())
        });
    }
    // What the last start has to catch up with must be in the catalogue before alerts are compared.
    wait_until(LIMIT, "everything is folded", || {
        let metrics = get(server.http(), "/metrics").ok()?.body;
        metrics.lines().any(|it| it == "panoptes_fold_lag_frames 0").then_some(())
    });
    if server.stop() != Some(0) {
        summary.complain(format!("the server did not end well: {}", server.stderr()));
    }
    if let Err(said) = succeed(&server, &["retention", "apply"]) {
        summary.complain(said);
    }
    compare(&server, round, &sent, &mut summary);
    verify(&server, &mut summary);
    summary
}

/// Sends until the server is killed. Gives what it was doing then.
fn one_round(
    server: &mut Server,
    round: u32,
    dice: &mut fastrand::Rng,
    summary: &mut CrashSummary,
    sent: &mut Sent,
) -> &'static str {
    let address = server.http();
    let gone = AtomicBool::new(false);
    let followed = sent.followed;
    let wait = Duration::from_millis(dice.u64(20..300));
    let rotates = dice.u8(..100) < 30;
    let (mut rotation, mut was_rotating) = (None, false);
    let mut phase = "";
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (dice, gone) = (dice.fork(), &gone);
                scope.spawn(move || send(address, round, sender, dice, gone))
            })
            .collect();
        let log = server.data().with_file_name("followed.log");
        let writer = {
            let (dice, gone) = (dice.fork(), &gone);
            scope.spawn(move || write_on(&log, followed, dice, gone))
        };
        std::thread::sleep(wait);
        if rotates {
            rotation = Some(start_rotation(server));
            std::thread::sleep(Duration::from_micros(dice.u64(..60_000)));
        }
        was_rotating = rotation.as_mut().is_some_and(|it| matches!(it.try_wait(), Ok(None)));
        server.kill();
        phase = phase_of(&server.data(), was_rotating);
        gone.store(true, Ordering::Release);
        sent.followed = writer.join().unwrap_or(followed);
        for sender in senders {
            if let Ok(more) = sender.join() {
                sent.acknowledged.extend(more.acknowledged);
                sent.unknown.extend(more.unknown);
                sent.short += more.short;
            }
        }
    });
    if let Some(rotation) = rotation {
        end_rotation(server, rotation, was_rotating && dice.bool(), summary);
    }
    phase
}

fn start_rotation(server: &Server) -> Child {
    let mut rotation = server.command("keys");
    let rotation = rotation.arg("rotate").stdout(Stdio::null()).stderr(Stdio::piped());
    rotation.spawn().unwrap_or_else(|error| panic!("cannot start a rotation: {error}"))
}

/// Waits for the end of a rotation, or brings it about, and puts the old key away as an operator does.
fn end_rotation(server: &Server, mut rotation: Child, is_killed: bool, summary: &mut CrashSummary) {
    if is_killed {
        drop(rotation.kill());
        summary.rotations_killed += 1;
    }
    match rotation.wait_with_output() {
        Ok(output) if is_killed || output.status.success() => {}
        Ok(output) => summary.complain(format!("a rotation failed: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => summary.complain(format!("a rotation could not be waited for: {error}")),
    }
    let old = server.key_file().with_extension("old");
    let (now, before) = (std::fs::read(server.key_file()), std::fs::read(&old));
    if let (Ok(now), Ok(before)) = (now, before)
        && now != before
    {
        summary.rotations += 1;
        drop(std::fs::remove_file(old));
    }
}

/// Runs a chore while nothing else runs, and kills it. Gives whether it was under way.
fn is_killed_at_work(server: &Server, arguments: &[&str], dice: &mut fastrand::Rng) -> bool {
    let mut chore = command(server, arguments);
    let chore = chore.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut chore = chore.unwrap_or_else(|error| panic!("cannot start {arguments:?}: {error}"));
    // Some are done in no time.
    let longest = if dice.bool() { 800_000 } else { 80_000 };
    std::thread::sleep(Duration::from_micros(dice.u64(..longest)));
    let is_under_way = matches!(chore.try_wait(), Ok(None));
    drop(chore.kill());
    drop(chore.wait());
    is_under_way
}

/// Everything must be sound, too.
fn verify(server: &Server, summary: &mut CrashSummary) {
    match succeed(server, &["verify"]) {
        Ok(_) => summary.verified = true,
        Err(said) => summary.complain(said),
    }
}

/// What a process that is gone was doing, as far as its files tell.
fn phase_of(data: &Path, was_rotating: bool) -> &'static str {
    if was_rotating {
        return "exchanging keys";
    }
    let just_now = |path: &Path| {
        let modified = std::fs::metadata(path).and_then(|it| it.modified()).ok()?;
        let age = now().duration_since(modified).unwrap_or_default();
        (age <= JUST_NOW).then_some(())
    };
    let entries = |folder: &str| std::fs::read_dir(data.join(folder)).into_iter().flatten().flatten();
    let names: Vec<String> = entries("segments")
        .filter(|it| just_now(&it.path()).is_some())
        .map(|it| it.file_name().to_string_lossy().into_owned())
        .collect();
    // The segments that compaction makes carry the length of the manifest's chain.
    if names.iter().any(|it| it.contains("-m")) {
        "merging segments"
    } else if !names.is_empty() {
        "sealing"
    } else if just_now(&data.join("checkpoint")).is_some() || data.join("checkpoint.new").try_exists().unwrap_or(false)
    {
        "writing a checkpoint"
    } else {
        "taking records"
    }
}

#[expect(clippy::disallowed_methods, reason = "when a file was written is told by the real clock")]
fn now() -> SystemTime {
    SystemTime::now()
}

fn send(address: SocketAddr, round: u32, sender: u64, mut dice: fastrand::Rng, gone: &AtomicBool) -> Sent {
    let mut sent = Sent::default();
    let path = format!("/logs?source={}", source(round));
    let (mut attack, mut line) = (0_u64, 0);
    for request in 0..REQUESTS_MAX {
        let mut tokens = Vec::new();
        let mut body = String::new();
        for record in 0..dice.u64(1..=RECORDS_MAX) {
            let token = format!("{round}.{sender}.{request}.{record}");
            body.push_str(&format!("{{\"level\":\"info\",\"message\":\"probe token-{token}\"}}\n"));
            tokens.push(token);
        }
        let token = format!("{round}.{sender}.{request}.attack");
        let attacker = format!("2001:db8:{:x}:{attack:x}::1", u64::from(round) * SENDERS + sender + 1);
        body.push_str(&format!(
            "<38>1 - web1 sshd 4242 - - Failed password for root from {attacker} port 22 ssh2 token-{token}\n"
        ));
        tokens.push(token);
        line += 1;
        if line == ATTACK_LINES {
            (attack, line) = (attack + 1, 0);
        }
        match post(address, &path, "text/plain", body.as_bytes()) {
            Ok(answer) if answer.status == 200 => sent.acknowledged.append(&mut tokens),
            // 429 or 503: refused, so it must not be there, which the total count checks as far as it can.
            Ok(_) | Err(_) => sent.unknown.append(&mut tokens),
        }
        if dice.u8(..100) < 20 {
            let lines: String =
                (0..RECORDS_MAX).map(|record| format!("token-{SHORT}.{round}.{sender}.{request}.{record}\n")).collect();
            drop(post(address, &format!("/logs?source={SHORT}"), "text/plain", lines.as_bytes()));
            sent.short += RECORDS_MAX;
        }
        if gone.load(Ordering::Acquire) {
            break;
        }
    }
    sent
}

/// Appends numbered lines to the followed file, in pieces that do not keep to lines. Gives the next number.
fn write_on(path: &Path, mut number: u64, mut dice: fastrand::Rng, gone: &AtomicBool) -> u64 {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    while !gone.load(Ordering::Acquire) {
        let mut text = String::new();
        for _ in 0..dice.u64(1..=RECORDS_MAX) {
            text.push_str(&format!("{{\"level\":\"info\",\"message\":\"probe token-{FOLLOWED}{number}\"}}\n"));
            number += 1;
        }
        let (first, second) = text.as_bytes().split_at(dice.usize(..text.len()));
        for piece in [first, second] {
            file.write_all(piece).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            std::thread::sleep(Duration::from_micros(dice.u64(..5_000)));
        }
    }
    number
}

/// The source of a round's records: what is read with one search.
fn source(round: u32) -> String {
    format!("crash-{}", round / ROUNDS_PER_SEARCH)
}

fn compare(server: &Server, rounds: u32, sent: &Sent, summary: &mut CrashSummary) {
    let mut stored: HashMap<String, u32> = HashMap::new();
    let mut attacks: HashMap<String, u64> = HashMap::new();
    let sources = (0..rounds).step_by(ROUNDS_PER_SEARCH as usize).map(source).chain(["crash-file".to_owned()]);
    for source in sources {
        let query = format!("panoptes.source:{source}");
        for event in json_lines(server, &["search", &query, "--format", "jsonl", "--limit", "1000000"]) {
            let original = event["event.original"].as_str().unwrap_or_default();
            let token = original.rsplit("token-").next().and_then(|it| it.split('"').next()).unwrap_or_default();
            *stored.entry(token.to_owned()).or_default() += 1;
            if event["event.action"] == "ssh_login" {
                *attacks.entry(event["source.ip"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
            }
        }
    }
    summary.acknowledged = sent.acknowledged.len() as u64;
    summary.unknown = sent.unknown.len() as u64;
    summary.followed = sent.followed;
    summary.stored = stored.len() as u64;
    if sent.acknowledged.is_empty() {
        summary.complain("nothing was acknowledged: the run has shown nothing".to_owned());
    }
    let of_file: Vec<String> = (0..sent.followed).map(|number| format!("{FOLLOWED}{number}")).collect();
    for token in sent.acknowledged.iter().chain(&of_file) {
        if !stored.contains_key(token) {
            summary.lost += 1;
            summary.complain(format!("record {token} is lost"));
        }
    }
    for (token, times) in stored.iter().filter(|it| *it.1 > 1) {
        summary.doubled += 1;
        summary.complain(format!("record {token} is there {times} times"));
    }
    compare_short(server, sent, summary);
    let known = sent.followed + (sent.acknowledged.len() + sent.unknown.len()) as u64;
    if summary.stored > known {
        summary.complain(format!("{} records are stored, but only {known} were sent", summary.stored));
    }
    compare_alerts(server, &attacks, summary);
    // Beside each lies its sidecar.
    let files = std::fs::read_dir(server.data().join("segments")).into_iter().flatten().flatten();
    summary.segments = files.filter(|it| it.path().extension().is_some_and(|it| it == "segment")).count() as u64;
}

/// What is left of the source that is not kept as a whole.
fn compare_short(server: &Server, sent: &Sent, summary: &mut CrashSummary) {
    let mut tokens: HashSet<String> = HashSet::new();
    for event in
        json_lines(server, &["search", &format!("panoptes.source:{SHORT}"), "--format", "jsonl", "--limit", "1000000"])
    {
        let token = event["event.original"].as_str().unwrap_or_default().to_owned();
        if tokens.contains(&token) {
            summary.doubled += 1;
            summary.complain(format!("record {token} is there twice"));
        }
        tokens.insert(token);
    }
    summary.short = sent.short;
    summary.short_kept = tokens.len() as u64;
    // A short run does not come to the limit.
    if sent.short > SHORT_MANY && (tokens.is_empty() || summary.short_kept == sent.short) {
        summary.complain(format!("{} of {} records that are not all kept are there", tokens.len(), sent.short));
    }
}

fn compare_alerts(server: &Server, attacks: &HashMap<String, u64>, summary: &mut CrashSummary) {
    let mut told: HashMap<String, Vec<u64>> = HashMap::new();
    let alerts = json_lines(server, &["alerts", "list", "--all", "--format", "jsonl", "--limit", "1000000"]);
    for alert in alerts.iter().filter(|it| it["rule"]["title"] == "SSH password guessing") {
        let attacker = alert["entities"]["source.ip"].as_str().unwrap_or_default().to_owned();
        told.entry(attacker).or_default().push(alert["count"].as_u64().unwrap_or_default());
    }
    summary.attacks = attacks.values().filter(|it| **it >= ATTACK_THRESHOLD).count() as u64;
    summary.alerts = told.values().map(|it| it.len() as u64).sum();
    for (attacker, lines) in attacks {
        let expected = if *lines >= ATTACK_THRESHOLD { vec![*lines] } else { Vec::new() };
        let found = told.remove(attacker).unwrap_or_default();
        if found != expected {
            summary.alerts_wrong += 1;
            summary.complain(format!("{attacker} has alerts that count {found:?} instead of {expected:?}"));
        }
    }
    for attacker in told.into_keys() {
        summary.alerts_wrong += 1;
        summary.complain(format!("{attacker} has an alert, but nothing of it is stored"));
    }
}

/// Another command on the same data.
fn command(server: &Server, arguments: &[&str]) -> Command {
    let (name, arguments) = arguments.split_first().unwrap_or((&"", &[]));
    let mut command = server.command(name);
    command.args(arguments);
    command
}

/// What a command prints, or what it says if it fails.
fn succeed(server: &Server, arguments: &[&str]) -> Result<String, String> {
    let output = command(server, arguments).output().map_err(|error| format!("cannot start {arguments:?}: {error}"))?;
    let [told, said] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
    if output.status.success() { Ok(told) } else { Err(format!("{arguments:?} failed: {told}{said}")) }
}

/// What a command that must succeed prints.
#[track_caller]
fn json_lines(server: &Server, arguments: &[&str]) -> Vec<Value> {
    let text = succeed(server, arguments).unwrap_or_else(|said| panic!("{said}"));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}
