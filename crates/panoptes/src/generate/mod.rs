//! The log generator: realistic lines, with staged attacks between them or without.
//!
//! In go a seed, a start and options; out come lines, the same for the same seed and the same times. Everyday
//! traffic is quiet by construction: failures in it are limited by time ([`kinds::Rare`]), so that whatever a
//! reasonable rule alerts on was staged ([`stage`]), and [`Generator::staged`] says what must have been alerted.
//!
//! # Where to look first
//! * [`Generator`]: one line at a time, for whoever has a sink of their own (the demo).
//! * [`send::Target`] and [`run::run`]: from the generator to a socket or file, at a rate.
//! * `kinds/` and `attacks/`: one file per kind of log and per attack. To add one, copy the shortest and list it.
//!
//! # Invariants
//! * No clock: time comes with each call.
//! * A line costs a copy and a few patches ([`pool`]): this is also the source of load in the benchmark.
//! * Every address is from a range for documentation or a private one; attackers have 203.0.113.0/24 to themselves.

pub(crate) mod attacks;
mod cast;
mod kinds;
mod limiter;
mod pool;
pub(crate) mod run;
pub(crate) mod send;
mod stage;
mod stamp;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use fastrand::Rng;
use jiff::tz::TimeZone;
use panoptes_model::Timestamp;

pub(crate) use self::pool::Dress;
pub(crate) use self::stage::Staged;

use self::cast::Cast;
use self::kinds::{FIRST_STORIES, Rare, Source};
use self::pool::Pool;
use self::stage::{NOMINAL_RATE, Stage};
use self::stamp::Stamps;

/// Lines that are rendered beforehand for web traffic, the kind with the most variety.
const POOL_LINES: usize = 10_000;
/// And for each of the others.
const POOL_LINES_OTHER: usize = 2_000;

/// Each rare line comes once within this time, or as soon as there are enough others: a healthy system's failures are
/// then known to a detector that learns at first.
const FIRST_RARE_MAX: Duration = Duration::from_secs(6);

/// How much of each kind of log there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mix {
    /// One weight per entry of [`kinds::ALL`].
    weights: Vec<u32>,
}

impl Mix {
    fn of(weight: impl Fn(&kinds::LogKind) -> u32) -> Self {
        Self { weights: kinds::ALL.iter().map(|kind| weight(kind)).collect() }
    }

    /// The names of all kinds of logs.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        kinds::ALL.iter().map(|kind| kind.name)
    }

    /// Whether every line is a JSON object.
    pub(crate) fn is_json(&self) -> bool {
        kinds::ALL.iter().zip(&self.weights).all(|(kind, weight)| (kind.name == "json") == (*weight > 0))
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self::of(|kind| kind.weight)
    }
}

/// `mixed`, one kind (`nginx`), or several with their weights (`nginx=70,json=30`).
impl FromStr for Mix {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text == "mixed" {
            return Ok(Self::default());
        }
        let mut mix = Self::of(|_| 0);
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let weight: u32 =
                weight.trim().parse().ok().filter(|weight| *weight <= 1_000_000).with_context(|| {
                    format!("the weight `{weight}` of `{name}` is not a whole number up to 1000000")
                })?;
            let Some(index) = kinds::ALL.iter().position(|kind| kind.name == name.trim()) else {
                let known: Vec<_> = Self::names().collect();
                bail!("no kind of log is named `{name}`: there are mixed, {}", known.join(", "));
            };
            mix.weights[index] += weight;
        }
        if mix.weights.iter().all(|weight| *weight == 0) {
            bail!("`{text}` leaves nothing to generate: give at least one kind a weight above 0");
        }
        Ok(mix)
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let present = kinds::ALL.iter().zip(&self.weights).filter(|(_, weight)| **weight > 0);
        for (index, (kind, weight)) in present.enumerate() {
            write!(f, "{}{}={weight}", if index == 0 { "" } else { "," }, kind.name)?;
        }
        Ok(())
    }
}

/// What a generator writes.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) mix: Mix,
    pub(crate) dress: Dress,
    /// Whether attacks are staged.
    pub(crate) anomalies: bool,
    /// The time zone of forms that are written in local time.
    pub(crate) zone: TimeZone,
}

impl Default for Options {
    fn default() -> Self {
        Self { mix: Mix::default(), dress: Dress::Lines, anomalies: true, zone: TimeZone::UTC }
    }
}

/// Writes lines without end.
pub(crate) struct Generator {
    rng: Rng,
    cast: Cast,
    stamps: Stamps,
    started_at: Timestamp,
    /// Lines so far.
    lines: u64,
    sources: Vec<Playing>,
    weight_total: u32,
    stage: Option<Stage>,
    /// A story that is not over: its place among `sources`, in which pool, and the next line.
    story: Option<(usize, Shelf, usize)>,
    is_json: bool,
}

/// Which of a source's pools.
#[derive(Clone, Copy, Debug)]
enum Shelf {
    Everyday,
    Rare(usize),
}

#[derive(Debug)]
struct Playing {
    /// The sum of the weights up to and with this one.
    weight_until: u32,
    lines: u64,
    /// Everyday stories told in order so far; see [`FIRST_STORIES`].
    stories: usize,
    everyday: Pool,
    rare: Vec<RarePlaying>,
}

#[derive(Debug)]
struct RarePlaying {
    rare: Rare,
    due_at: Timestamp,
    due_lines: u64,
    count: usize,
}

impl Generator {
    pub(crate) fn new(seed: u64, start: Timestamp, options: &Options) -> Self {
        let mut rng = Rng::with_seed(seed);
        let cast = Cast::new(&mut rng);
        let mut weight_total = 0;
        let mut sources = Vec::new();
        let mut names = Vec::new();
        for (kind, weight) in kinds::ALL.iter().zip(&options.mix.weights) {
            // Each kind has random numbers of its own: what one writes does not depend on which others there are.
            let mut rng = rng.fork();
            if *weight == 0 {
                continue;
            }
            weight_total += weight;
            names.push(kind.name);
            let lines = if kind.name == "nginx" { POOL_LINES } else { POOL_LINES_OTHER };
            let Source { everyday, rare } = (kind.build)(&cast, &mut rng, options.dress, lines);
            let rare = rare.into_iter().map(|rare| RarePlaying::new(rare, start, &mut rng)).collect();
            sources.push(Playing { weight_until: weight_total, lines: 0, stories: 0, everyday, rare });
        }
        let stage_rng = rng.fork();
        let stage = options.anomalies.then(|| Stage::new(&names, options.dress, stage_rng)).flatten();
        let stamps = Stamps::new(options.zone.clone(), start);
        let is_json = options.mix.is_json();
        Self { rng, cast, stamps, started_at: start, lines: 0, sources, weight_total, stage, story: None, is_json }
    }

    /// Appends one line and its line feed to `out`.
    #[inline]
    pub(crate) fn next(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        self.stamps.set(now);
        self.lines += 1;
        if let Some(story) = self.story.take() {
            return self.tell(story, out);
        }
        if let Some(stage) = &mut self.stage {
            let played = played(self.started_at, now, self.lines);
            if stage.is_due(played) {
                return stage.write(played, now, &self.cast, &self.stamps, out);
            }
        }
        let at = self.rng.u32(0..self.weight_total);
        let index = self.sources.iter().position(|it| at < it.weight_until).unwrap_or(0);
        let source = &mut self.sources[index];
        source.lines += 1;
        let mut story = (index, Shelf::Everyday, 0);
        match source.rare.iter_mut().position(|it| now >= it.due_at && source.lines >= it.due_lines) {
            Some(rare) => story = (index, Shelf::Rare(rare), source.rare[rare].draw(now, source.lines)),
            None if source.stories < FIRST_STORIES => {
                story.2 = source.everyday.story(source.stories);
                source.stories += 1;
            }
            None => story.2 = source.everyday.any_story(&mut self.rng),
        }
        self.tell(story, out);
    }

    fn tell(&mut self, (index, shelf, line): (usize, Shelf, usize), out: &mut Vec<u8>) {
        let source = &self.sources[index];
        let pool = match shelf {
            Shelf::Everyday => &source.everyday,
            Shelf::Rare(rare) => &source.rare[rare].rare.pool,
        };
        if pool.write(line, &self.stamps, &mut self.rng, out) {
            self.story = Some((index, shelf, line + 1));
        }
    }

    /// The attacks that were staged so far, the oldest first.
    pub(crate) fn staged(&self) -> &[Staged] {
        self.stage.as_ref().map_or(&[], Stage::staged)
    }

    /// Whether every line is a JSON object.
    pub(crate) const fn is_json(&self) -> bool {
        self.is_json
    }
}

/// See [`stage`].
fn played(started_at: Timestamp, now: Timestamp, lines: u64) -> Duration {
    let elapsed = now.nanos_since(started_at).max(0).unsigned_abs();
    Duration::from_nanos(elapsed.max(lines.saturating_mul(1_000_000_000 / NOMINAL_RATE)))
}

impl RarePlaying {
    fn new(rare: Rare, start: Timestamp, rng: &mut Rng) -> Self {
        let due_at = start.saturating_add_nanos(rng.i64(0..=nanos(rare.every.min(FIRST_RARE_MAX))));
        Self { due_at, due_lines: u64::from(rare.lines_min), count: 0, rare }
    }

    /// The first line of the next story; the one after that has to wait again.
    fn draw(&mut self, now: Timestamp, lines: u64) -> usize {
        self.due_at = now.saturating_add_nanos(nanos(self.rare.every));
        self.due_lines = lines + u64::from(self.rare.lines_min);
        let first = self.rare.pool.story(self.count);
        self.count += 1;
        first
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "generator_tests.rs"]
mod tests;
