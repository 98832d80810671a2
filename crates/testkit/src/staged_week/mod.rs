//! A company of some two hundred people, staged: four weeks of habits, then a week with forty planted oddities.
//!
//! Out come records as machines write them (lines of sshd, sudo, nginx, a packet filter; JSON with ECS names), in order
//! of arrival, and the list of what was planted. Everything follows from a seed. Nothing here knows of a detector:
//! people work, travel, mistype, get laptops and forget phones, strangers knock, services fail.
//!
//! # Where to look first
//! * [`StagedWeek::of`]. `people.rs`: who there is. `life.rs`: what they do. `surroundings.rs`: what goes on around them.
//!   `oddities.rs`: what was planted.

mod life;
mod line;
mod oddities;
mod people;
mod random;
mod surroundings;

use self::people::Role;
use self::random::Random;

/// Midnight of Monday, 2 March 2026, UTC.
pub(crate) const START_MILLIS: i64 = 1_772_409_600_000;
const HOUR_MILLIS: i64 = 3_600_000;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;
/// The first day of the week that is scored, and how many days there are.
const SCORED_FROM: i64 = 28;
const DAYS: i64 = 35;

/// A record as it arrives. Times are milliseconds since the epoch.
#[derive(Clone, Debug)]
pub struct StagedRecord {
    pub at: i64,
    pub received_at: i64,
    /// The stream that it arrives in.
    pub source: String,
    pub text: String,
}

/// Something that should be noticed: whoever is named by one of its entities, between the two times.
#[derive(Clone, Debug)]
pub struct Oddity {
    pub kind: &'static str,
    pub from: i64,
    pub until: i64,
    /// Under their ECS fields.
    pub entities: Vec<(&'static str, String)>,
}

/// What was staged.
#[derive(Debug)]
pub struct StagedWeek {
    /// In order of arrival.
    pub records: Vec<StagedRecord>,
    pub oddities: Vec<Oddity>,
    /// How many people there are, jobs left out.
    pub people: usize,
    /// When the week that is scored begins and ends.
    pub scored_from: i64,
    pub scored_until: i64,
}

#[derive(Default)]
struct Stage {
    records: Vec<StagedRecord>,
    oddities: Vec<Oddity>,
}

impl Stage {
    fn write(&mut self, at: i64, source: &str, text: String) {
        self.records.push(StagedRecord { at, received_at: at, source: source.to_owned(), text });
    }

    /// The clock of a service's machine is `back` behind for a while.
    fn turn_back(&mut self, host: &str, from: i64, length: i64, back: i64) {
        let named = format!("\"{host}\"");
        for record in self.records.iter_mut().filter(|it| it.source == "services" && it.text.contains(&named)) {
            if (from..from + length).contains(&record.at) {
                let (was, is) = (line::stamp(record.at), line::stamp(record.at - back));
                record.text = record.text.replace(&was, &is);
            }
        }
    }

    /// A service's machine writes nothing for a while.
    fn silence(&mut self, host: &str, from: i64, until: i64) {
        let named = format!("\"{host}\"");
        self.records
            .retain(|it| it.source != "services" || !it.text.contains(&named) || !(from..until).contains(&it.at));
    }
}

impl StagedWeek {
    /// The company of `seed` with `people` people: a hundred or more, so that everything happens to somebody else.
    pub fn of(seed: u64, people: usize) -> Self {
        let mut random = Random::new(seed);
        let mut stage = Stage::default();
        let staff = people::staff(&mut random, people, DAYS, SCORED_FROM);
        for person in &staff {
            let mut own = random.fork();
            life::live(&mut stage, &mut own, person, DAYS);
        }
        for day in 0..DAYS {
            let mut own = random.fork();
            surroundings::day(&mut stage, &mut own, day);
        }
        oddities::plant(&mut stage, &mut random.fork(), &staff);
        let mut lag = random.fork();
        for record in &mut stage.records {
            // Nearly everything arrives at once; agents of machines that sleep send later.
            let late = record.source == "endpoints" && lag.chance(0.01);
            record.received_at = record.at + if late { lag.range(1_000, 300_000) } else { lag.range(0, 200) };
        }
        let end = START_MILLIS + DAYS * DAY_MILLIS;
        stage.records.retain(|it| it.received_at < end);
        stage.records.sort_by_key(|it| it.received_at);
        Self {
            records: stage.records,
            oddities: stage.oddities,
            people: staff.iter().filter(|it| it.role != Role::Batch).count(),
            scored_from: START_MILLIS + SCORED_FROM * DAY_MILLIS,
            scored_until: end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_stages_the_same_week_and_another_seed_another() {
        let (one, again, other) = (StagedWeek::of(1, 120), StagedWeek::of(1, 120), StagedWeek::of(2, 120));
        let texts = |week: &StagedWeek| week.records.iter().map(|it| it.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&one), texts(&again));
        assert_ne!(texts(&one), texts(&other));
        assert_eq!(one.oddities.len(), 40);
        assert!(one.records.is_sorted_by_key(|it| it.received_at));
        assert!(one.oddities.iter().all(|it| it.from >= one.scored_from && it.until <= one.scored_until));
    }
}
