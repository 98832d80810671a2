//! When which attack is staged.
//!
//! The first round begins at second 2 and stages every attack once, one after another, within 25 seconds. After that
//! a random one comes every 20 to 60 seconds, with new actors.
//!
//! Time here is *played* time: what has passed on the clock, or what the lines would have taken at
//! [`NOMINAL_RATE`], whichever is more. So 100,000 lines hold the same attacks whether they are sent within 20
//! seconds or written to a file in one.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use panoptes_model::Timestamp;

use super::attacks::{self, Attack, Role, Script};
use super::cast::{self, Cast, HOSTS};
use super::pool::Dress;
use super::stamp::Stamps;

/// Lines per second of played time, at least.
pub(super) const NOMINAL_RATE: u64 = 5_000;
const FIRST: Duration = Duration::from_secs(2);
const GAP_FIRST_ROUND: Duration = Duration::from_millis(1_750);
const GAP_SECONDS: std::ops::Range<u64> = 20..60;
/// How many stagings are remembered; later ones still happen but are not told.
const STAGED_MAX: usize = 10_000;

/// How many attacks may be under way at once. When the clock leaps, or lines are few, the next one waits until one is
/// over.
const RUNNING_MAX: usize = 16;

/// An attack that was staged, and what must come of it.
#[derive(Clone, Debug)]
pub(crate) struct Staged {
    title: &'static str,
    pub(crate) started_at: Timestamp,
    pub(crate) expected: Vec<ExpectedAlert>,
    pub(crate) lines_total: usize,
    /// How many of its lines are out. Alerts are owed only for a finished one.
    pub(crate) lines_written: usize,
}

impl Staged {
    pub(crate) const fn is_finished(&self) -> bool {
        self.lines_written == self.lines_total
    }
}

/// What it is, for people: `SSH password guessing`.
impl fmt::Display for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.title)
    }
}

/// An alert that must come: the rule's title and the entity that the alert must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedAlert {
    pub(crate) title: &'static str,
    /// Field and value; `None` where the log names nobody.
    pub(crate) entity: Option<(&'static str, String)>,
}

#[derive(Debug)]
struct Running {
    script: Script,
    started: Duration,
    next: usize,
    staged: Option<usize>,
}

impl Running {
    fn due(&self) -> Option<Duration> {
        Some(self.started + *self.script.at.get(self.next)?)
    }
}

pub(super) struct Stage {
    attacks: Vec<&'static Attack>,
    /// How often each was staged.
    counts: Vec<usize>,
    dress: Dress,
    rng: Rng,
    /// Those that are under way.
    running: Vec<Running>,
    count: usize,
    next_start: Duration,
    /// The earliest of the next start and the next lines: nothing to do before.
    due: Duration,
    staged: Vec<Staged>,
}

impl Stage {
    /// A stage for those attacks that show in one of `kinds`; none if there is no such.
    pub(super) fn new(kinds: &[&str], dress: Dress, rng: Rng) -> Option<Self> {
        let attacks: Vec<_> = attacks::ALL.iter().copied().filter(|it| kinds.contains(&it.kind)).collect();
        (!attacks.is_empty()).then(|| Self {
            counts: vec![0; attacks.len()],
            attacks,
            dress,
            rng,
            running: Vec::new(),
            count: 0,
            next_start: FIRST,
            due: FIRST,
            staged: Vec::new(),
        })
    }

    pub(super) fn staged(&self) -> &[Staged] {
        &self.staged
    }

    /// Whether an attack has a line for this moment.
    #[inline]
    pub(super) fn is_due(&self, played: Duration) -> bool {
        played >= self.due
    }

    /// Writes the line that has waited longest.
    pub(super) fn write(&mut self, played: Duration, now: Timestamp, cast: &Cast, stamps: &Stamps, out: &mut Vec<u8>) {
        if played >= self.next_start && self.running.len() < RUNNING_MAX {
            self.start(played, now, cast);
        }
        let waiting = self.running.iter_mut().min_by_key(|it| it.due());
        if let Some(running) = waiting {
            running.script.pool.write(running.next, stamps, &mut self.rng, out);
            running.next += 1;
            if let Some(staged) = running.staged.and_then(|it| self.staged.get_mut(it)) {
                staged.lines_written = running.next;
            }
        }
        self.running.retain(|it| it.due().is_some());
        self.due = self.running.iter().filter_map(Running::due).fold(self.next_start, Duration::min);
    }

    fn start(&mut self, played: Duration, now: Timestamp, cast: &Cast) {
        let first_round = self.count < self.attacks.len();
        let index = if first_round { self.count } else { self.rng.usize(0..self.attacks.len()) };
        let attack = self.attacks[index];
        let mut role = Role {
            rng: self.rng.fork(),
            number: self.counts[index],
            attacker: cast::attacker(self.count),
            // Another person and another host each time; nobody's turn comes twice in one round.
            person: &cast.people[self.count * 7 % cast.people.len()],
            host: HOSTS[self.count % HOSTS.len()],
            cast,
        };
        let mut script = Script::new(self.dress);
        (attack.write)(&mut script, &mut role);
        self.counts[index] += 1;
        self.count += 1;
        let is_told = self.staged.len() < STAGED_MAX;
        if is_told {
            let expected = attack.expected.iter();
            self.staged.push(Staged {
                title: attack.title,
                started_at: now,
                expected: expected
                    .map(|it| ExpectedAlert {
                        title: it.title,
                        entity: it.about.map(|(field, who)| (field, role.name(who))),
                    })
                    .collect(),
                lines_total: script.at.len(),
                lines_written: 0,
            });
        }
        self.running.push(Running { script, started: played, next: 0, staged: is_told.then(|| self.staged.len() - 1) });
        self.next_start = if self.count < self.attacks.len() {
            self.next_start.max(played.saturating_sub(GAP_FIRST_ROUND)) + GAP_FIRST_ROUND
        } else {
            played + Duration::from_secs(self.rng.u64(GAP_SECONDS))
        };
    }
}
