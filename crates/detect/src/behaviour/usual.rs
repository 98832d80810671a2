//! What is usual for one entity: values, hours, amounts. Old habits fade; what was flagged never becomes one.

use serde::{Deserialize, Serialize};

use super::facts::Short;
use super::time::At;

/// How many values of one kind an entity remembers (12 bytes each). One more, and the one that was not seen longest
/// goes.
pub(super) const VALUES_MAX: usize = 96;
/// A value that was not seen for so many days is forgotten: the next time is a first time.
pub(super) const FORGET_DAYS: u16 = 90;
/// Habits lose half of their weight in so many days.
pub(super) const HALF_LIFE_DAYS: f32 = 30.0;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Value {
    name: Short,
    first: u16,
    last: u16,
    days: u16,
    flagged: bool,
}

/// Appends without doubling the room.
pub(super) fn push<T>(all: &mut Vec<T>, item: T) {
    if all.len() == all.capacity() {
        all.reserve_exact((all.len() / 2).max(2));
    }
    all.push(item);
}

/// What `all`, grown by [`push`], takes at most.
pub(super) fn heap_bytes<T>(all: &[T]) -> usize {
    heap_bytes_of::<T>(all.len())
}

/// The same, of so many.
pub(super) fn heap_bytes_of<T>(length: usize) -> usize {
    if length == 0 { 0 } else { (length + (length / 2).max(2)) * size_of::<T>() }
}

/// What a value is to its entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Unseen,
    /// A finding spoke of it: it is no habit, but no news either.
    Flagged,
    /// Seen on so many days.
    Seen(u16),
}

/// The values that somebody uses, with the days on which he did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Values(Vec<Value>);

impl Values {
    pub(super) fn standing(&self, name: Short, at: At) -> Standing {
        match self.0.iter().find(|it| it.name == name) {
            Some(it) if it.last.saturating_add(FORGET_DAYS) < at.day() => Standing::Unseen,
            Some(it) if it.flagged => Standing::Flagged,
            Some(it) => Standing::Seen(it.days),
            None => Standing::Unseen,
        }
    }

    /// Whether it has been seen on at least `days` days and never been flagged.
    pub(super) fn is_usual(&self, name: Short, at: At, days: u16) -> bool {
        matches!(self.standing(name, at), Standing::Seen(seen) if seen >= days)
    }

    pub(super) fn learn(&mut self, name: Short, at: At) {
        self.note(name, at, false);
    }

    /// Remembers that a finding spoke of it.
    pub(super) fn flag(&mut self, name: Short, at: At) {
        self.note(name, at, true);
    }

    fn note(&mut self, name: Short, at: At, flagged: bool) {
        let day = at.day();
        if let Some(known) = self.0.iter_mut().find(|it| it.name == name) {
            if known.last.saturating_add(FORGET_DAYS) < day {
                *known = Value { name, first: day, last: day, days: 1, flagged };
            } else {
                known.flagged |= flagged;
                if day > known.last {
                    known.days = known.days.saturating_add(1);
                    known.last = day;
                }
            }
            return;
        }
        if self.0.len() >= VALUES_MAX {
            // Ties go to the one that was noted first.
            let oldest = self.0.iter().enumerate().min_by_key(|(_, it)| it.last).map(|(at, _)| at);
            if let Some(oldest) = oldest {
                self.0.remove(oldest);
            }
        }
        push(&mut self.0, Value { name, first: day, last: day, days: 1, flagged });
    }

    /// How many values that are not flagged came up within the last `days` days: somebody who tries new things all the
    /// time is not unusual in trying one more.
    pub(super) fn news(&self, at: At, days: u16) -> usize {
        self.0.iter().filter(|it| !it.flagged && it.first.saturating_add(days) >= at.day()).count()
    }

    /// How many usual values there are.
    pub(super) fn len(&self) -> usize {
        self.0.iter().filter(|it| !it.flagged).count()
    }

    /// Told from the length alone, with what growing may leave unused, so that it is the same after a restart.
    pub(super) fn heap_bytes(&self) -> usize {
        heap_bytes(&self.0)
    }
}

/// Weights of the hours of working days, then of those of weekends: on how many days somebody was there in that hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Hours {
    weights: Vec<f32>,
    /// The newest hour that was learnt, in hours since the epoch: an hour of a day counts once.
    newest: u32,
    /// How many different hours were learnt, undecayed.
    pub(super) learnt: u32,
}

const HOURS: usize = 24;

impl Hours {
    pub(super) fn learn(&mut self, at: At) {
        let hour = at.0 / super::time::HOUR;
        // Late events are not learnt: their day was decayed already.
        if hour <= self.newest {
            return;
        }
        if self.weights.is_empty() {
            self.weights = vec![0.0; 2 * HOURS];
        }
        let days = (hour / 24).saturating_sub(self.newest / 24);
        if self.newest > 0 && days > 0 {
            let factor = 0.5_f32.powf(days as f32 / HALF_LIFE_DAYS);
            for weight in &mut self.weights {
                *weight *= factor;
            }
        }
        self.newest = hour;
        self.learnt = self.learnt.saturating_add(1);
        if let Some(weight) = self.weights.get_mut(Self::place(at)) {
            *weight += 1.0;
        }
    }

    fn place(at: At) -> usize {
        at.hour_of_day() + if at.is_weekend() { HOURS } else { 0 }
    }

    /// The share of all weight that lies in this hour of the day or next to it (`within` hours, across midnight, on
    /// any day of the week).
    pub(super) fn share_near(&self, at: At, within: usize) -> f32 {
        let total: f32 = self.weights.iter().sum();
        if total <= 0.0 {
            return 0.0;
        }
        let near = (0..=2 * within).map(|shift| (at.hour_of_day() + HOURS + shift - within) % HOURS);
        let weight =
            |hour: usize| -> f32 { [hour, hour + HOURS].into_iter().filter_map(|it| self.weights.get(it)).sum() };
        near.map(weight).sum::<f32>() / total
    }

    /// The hours in which somebody usually is there, as text: `07–18 UTC`. The shortest run of hours, across midnight
    /// if need be, that holds nearly all weight.
    pub(super) fn usual_text(&self) -> String {
        const NEARLY_ALL: f32 = 0.95;
        let by_hour: Vec<f32> = (0..HOURS)
            .map(|hour| [hour, hour + HOURS].into_iter().filter_map(|it| self.weights.get(it)).sum())
            .collect();
        let total: f32 = by_hour.iter().sum();
        let holds = |start: usize, length: usize| -> bool {
            let weight: f32 = by_hour.iter().cycle().skip(start).take(length).sum();
            weight >= NEARLY_ALL * total
        };
        let run = (1..=HOURS).find_map(|length| (0..HOURS).find(|start| holds(*start, length)).map(|it| (it, length)));
        let (start, length) = run.unwrap_or((0, HOURS));
        format!("{start:02}–{:02} UTC", (start + length) % HOURS)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.weights.len() * size_of::<f32>()
    }
}

/// A daily amount and what it usually is: mean and spread of its logarithm over the days on which there was any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Daily {
    day: u16,
    /// How many whole days were learnt.
    pub(super) days: u16,
    pub(super) today: f32,
    mean: f32,
    variance: f32,
    /// Today was spoken of: it is not learnt.
    flagged: bool,
}

/// What a new day weighs against the history, once there is one: half is forgotten in some three weeks of days.
const DAY_WEIGHT: f32 = 0.03;
/// The spread is taken to be at least so much (in logarithms): nobody is that regular.
const SPREAD_MIN: f32 = 0.4;

impl Daily {
    /// Adds to the day of `at`. Late events of days that are over are left out.
    pub(super) fn add(&mut self, at: At, amount: f32) -> bool {
        let day = at.day();
        if day < self.day {
            return false;
        }
        if day > self.day {
            if self.day > 0 && !self.flagged {
                let value = self.today.ln_1p();
                self.days = self.days.saturating_add(1);
                // The first days weigh alike.
                let weight = DAY_WEIGHT.max(1.0 / f32::from(self.days));
                let off = value - self.mean;
                self.mean += weight * off;
                self.variance = (1.0 - weight) * (self.variance + weight * off * off);
            }
            (self.day, self.today, self.flagged) = (day, 0.0, false);
        }
        self.today += amount;
        true
    }

    /// What is usual in a day.
    pub(super) fn usual(&self) -> f32 {
        self.mean.exp_m1()
    }

    /// How many spreads today lies above what is usual.
    pub(super) fn spreads_above(&self) -> f32 {
        (self.today.ln_1p() - self.mean) / self.variance.sqrt().max(SPREAD_MIN)
    }

    pub(super) fn flag(&mut self) {
        self.flagged = true;
    }

    pub(super) fn is_flagged(&self) -> bool {
        self.flagged
    }
}
