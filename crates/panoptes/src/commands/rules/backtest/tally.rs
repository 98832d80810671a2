//! What one rule came to, counted in bounded memory.

use std::collections::{BTreeMap, HashMap};

use panoptes_model::{Entity, EventId, Finding, Timestamp, sample_of};

/// How many different entities are counted for one rule; what others do is counted together.
const ENTITIES_MAX: usize = 10_000;
/// How many days are counted for one rule; beyond, events count for the last one.
const DAYS_MAX: usize = 10_000;
/// How many entities are shown.
const ENTITIES_SHOWN: usize = 10;

/// Counts of a day, or of an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) events: u64,
    pub(super) alerts: u64,
}

/// A finding worth looking at.
#[derive(Clone, Debug)]
pub(super) struct Example {
    pub(super) time: Timestamp,
    pub(super) event: EventId,
    pub(super) entities: Vec<Entity>,
    pub(super) reason: String,
    pub(super) sample: String,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) events: u64,
    pub(super) findings: u64,
    pub(super) alerts: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    /// By days since 1970.
    days: BTreeMap<i32, Count>,
    entities: HashMap<String, Count>,
    /// What entities beyond [`ENTITIES_MAX`] did.
    pub(super) others: Count,
    pub(super) examples: Vec<Example>,
}

impl Tally {
    pub(super) fn finding(&mut self, finding: &Finding, examples_max: usize) {
        self.findings += 1;
        self.events += finding.count;
        self.first = Some(self.first.map_or(finding.first_seen, |it| it.min(finding.first_seen)));
        self.last = Some(self.last.map_or(finding.time, |it| it.max(finding.time)));
        self.day(finding.time).events += finding.count;
        self.entity(&finding.entities).events += finding.count;
        if self.examples.len() < examples_max {
            self.examples.extend(finding.events.last().map(|event| Example {
                time: finding.time,
                event: *event,
                entities: finding.entities.clone(),
                reason: finding.reason.clone(),
                sample: sample_of(&finding.sample),
            }));
        }
    }

    /// An alert that would have been told.
    pub(super) fn alert(&mut self, at: Timestamp, entities: &[Entity]) {
        self.alerts += 1;
        self.day(at).alerts += 1;
        self.entity(entities).alerts += 1;
    }

    fn day(&mut self, time: Timestamp) -> &mut Count {
        let mut day = time.day();
        if self.days.len() >= DAYS_MAX && !self.days.contains_key(&day) {
            day = self.days.last_key_value().map_or(day, |it| *it.0);
        }
        self.days.entry(day).or_default()
    }

    fn entity(&mut self, entities: &[Entity]) -> &mut Count {
        let name = crate::console::entities_text(entities);
        if self.entities.len() >= ENTITIES_MAX && !self.entities.contains_key(&name) {
            return &mut self.others;
        }
        self.entities.entry(name).or_default()
    }

    /// Date and count of each day, in order.
    pub(super) fn days(&self) -> impl Iterator<Item = (String, Count)> + '_ {
        self.days.iter().map(|(day, count)| {
            let midnight = Timestamp::from_seconds(i64::from(*day) * 86_400).to_string();
            (midnight.chars().take("2026-03-01".len()).collect(), *count)
        })
    }

    /// Those about whom it says most, and how many others there are.
    pub(super) fn entities(&self) -> (Vec<(&str, Count)>, usize) {
        let mut all: Vec<(&str, Count)> = self.entities.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        all.sort_by(|a, b| (b.1.events, a.0).cmp(&(a.1.events, b.0)));
        let hidden = all.len().saturating_sub(ENTITIES_SHOWN);
        all.truncate(ENTITIES_SHOWN);
        (all, hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_and_days_beyond_the_limit_are_counted_together() {
        let mut tally = Tally::default();
        let entity = |n: usize| [Entity { field: "user.name".to_owned(), value: n.to_string() }];
        for n in 0..ENTITIES_MAX + 5 {
            tally.alert(Timestamp::from_seconds(n as i64 * 86_400), &entity(n));
        }
        tally.alert(Timestamp(0), &entity(0));
        assert_eq!((tally.alerts, tally.others.alerts), (ENTITIES_MAX as u64 + 6, 5));
        let (shown, hidden) = tally.entities();
        assert_eq!((shown.len(), hidden), (ENTITIES_SHOWN, ENTITIES_MAX - ENTITIES_SHOWN));
        assert_eq!(tally.days().count(), DAYS_MAX);
        let first = tally.days().next().unwrap();
        assert_eq!((first.0.as_str(), first.1.alerts), ("1970-01-01", 2));
        assert_eq!(tally.days().last().unwrap().1.alerts, 6);
    }
}
