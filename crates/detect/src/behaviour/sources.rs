//! Streams of events as such: one that falls silent, one whose clock jumps, one that invents names.
//!
//! *What they claim.* `silent_source`: nothing came for hours in which something always came. `time_jump`: a stream whose
//! times only ever went forward suddenly and lastingly writes times long gone. `entity_flood`: far more new users, hosts
//! and addresses within an hour than the stream ever named.
//!
//! *When they are wrong.* A machine that was switched off; a stream that is read again from its beginning (noticed by its
//! position, if it has one); a public server in the news. Holidays: when many streams fall silent at once, one finding
//! names them.
//!
//! A stream is what arrived under one `panoptes.source` and `host.name`. At most [`SOURCES_MAX`] are watched; one more,
//! and the one that was quiet longest is forgotten.

use hashbrown::HashMap;
use panoptes_model::{Anomaly, Event, EventId, Severity, content_hash};
use serde::{Deserialize, Serialize};

use super::kind::Kind;
use super::scene::Claim;
use super::time::{At, DAY, HOUR, MINUTE, day_text, span_text};

pub(super) static SILENT: Kind = Kind {
    id: "behaviour.silent_source",
    title: "Source fell silent against its rhythm",
    level: Severity::Medium,
    tags: &["attack.defense-evasion", "attack.t1562"],
    description: "A source of events has written nothing for hours of the day in which it always wrote, on this kind of \
                  day.",
    falsepositives: &["Machines that were switched off, holidays"],
    reads: "all events, by panoptes.source and host.name",
};

pub(super) static JUMP: Kind = Kind {
    id: "behaviour.time_jump",
    title: "Clock of a source jumped back",
    level: Severity::Medium,
    tags: &["attack.defense-evasion", "attack.t1070.006"],
    description: "A source whose times only ever went forward writes times that are long gone, several in a row.",
    falsepositives: &["A file that was put together from several", "A clock that was wrong before"],
    reads: "all events, by panoptes.source and host.name",
};

pub(super) static FLOOD: Kind = Kind {
    id: "behaviour.entity_flood",
    title: "Source names far more new users, hosts or addresses than ever",
    level: Severity::Medium,
    tags: &["attack.impact", "attack.t1499"],
    description: "A source named so many users, hosts and addresses within an hour that were never seen before that it \
                  invents them, or carries a flood. Those who have been known for days are not forgotten for them.",
    falsepositives: &["A public server that is suddenly popular", "The first import of old records"],
    reads: "all events, by panoptes.source and host.name",
};

/// How many streams are watched (some 400 bytes each).
const SOURCES_MAX: usize = 4_096;
/// On how many days of a kind (working days, weekends) an hour must have been watched, and on which share of them
/// there must have been an event, for the hour to be one in which something always comes.
const DAYS_MIN: f32 = 5.0;
const WEEKENDS_MIN: f32 = 4.0;
const ALWAYS_SHARE: f32 = 0.9;
/// So many whole hours of that kind without an event are silence.
const SILENT_HOURS_MIN: u32 = 2;
/// A stream that always writes in so many hours of a day writes around the clock. One that does not belongs to people,
/// who have holidays: only so many of its days are silence.
const CLOCK_HOURS_MIN: u32 = 18;
const BY_DAY_DAYS: u32 = 2;
/// A stream with fewer such hours in a day is written now and then: it has no rhythm to be silent against.
const BY_DAY_HOURS_MIN: u32 = 6;
/// How often all streams are looked at.
const CHECK_EVERY: u32 = 5 * MINUTE;
/// From so many streams on that fall silent together, one finding names them.
const TOGETHER_MIN: usize = 4;
/// Old days fade: half is gone after four weeks.
const DAY_FADE: f32 = 0.975;
/// A step back of so much is a jump; smaller ones are disorder on the way.
const JUMP_MIN: u32 = 10 * MINUTE;
/// So many events in a row must lie back: a single late one is no jump.
const JUMP_EVENTS: u8 = 3;
/// So many events must have come in order before.
const ORDERED_MIN: u32 = 200;
/// New entities of one stream in an hour that are a flood, and how many times its usual hour.
const FLOOD_MIN: u32 = 20_000;
const FLOOD_TIMES_USUAL: f32 = 10.0;
const QUIET: u32 = DAY;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Source {
    name: String,
    host: String,
    touched: u64,
    last: At,
    /// By the clock of the frames: silence is measured by it, not by what the stream says.
    heard: At,
    last_id: EventId,
    position: u64,
    /// On how many days there was an event in this hour, and on how many the hour was watched: working days, then
    /// weekends.
    active: Vec<f32>,
    watched: [f32; 2],
    hour: u32,
    since: At,
    is_silent: bool,
    ordered: u32,
    behind: u8,
    behind_from: At,
    newcomers: u32,
    newcomers_hour: u32,
    usual_newcomers: f32,
    flood_told: At,
    jump_told: At,
}

/// What a checkpoint keeps.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct SourcesState {
    all: Vec<(u128, Source)>,
    touches: u64,
    checked: At,
    heard: At,
}

/// The same, borrowed.
#[derive(Serialize)]
struct Written<'s> {
    all: Vec<(u128, &'s Source)>,
    touches: u64,
    checked: At,
    heard: At,
}

#[derive(Debug, Default)]
pub(super) struct Sources {
    all: HashMap<u128, Source, foldhash::quality::RandomState>,
    touches: u64,
    checked: At,
    /// The clock of the newest frame.
    heard: At,
    /// The stream of the event before.
    last: u128,
}

fn place(hour: u32) -> (usize, usize) {
    let at = At(hour.saturating_mul(HOUR));
    let kind = usize::from(at.is_weekend());
    (at.hour_of_day() + 24 * kind, kind)
}

impl Source {
    fn new(name: &str, host: &str, at: At, now: At, last_id: EventId) -> Self {
        Self {
            name: name.to_owned(),
            host: host.to_owned(),
            touched: 0,
            last: at,
            heard: now,
            last_id,
            position: 0,
            active: vec![0.0; 48],
            watched: [0.0; 2],
            hour: 0,
            since: now,
            is_silent: false,
            ordered: 0,
            behind: 0,
            behind_from: At(0),
            newcomers: 0,
            newcomers_hour: 0,
            usual_newcomers: 0.0,
            flood_told: At(0),
            jump_told: At(0),
        }
    }

    fn entities(&self) -> Vec<(&'static str, String)> {
        [("host.name", &self.host), ("panoptes.source", &self.name)]
            .into_iter()
            .filter(|it| !it.1.is_empty())
            .map(|(field, value)| (field, value.clone()))
            .collect()
    }

    fn who(&self) -> String {
        match (self.name.is_empty(), self.host.is_empty()) {
            (_, true) => self.name.clone(),
            (true, _) => self.host.clone(),
            _ => format!("{} ({})", self.host, self.name),
        }
    }

    /// Learns that there is an event in the hour of `now`.
    fn keep_rhythm(&mut self, now: At) {
        let hour = now.0 / HOUR;
        if hour <= self.hour {
            return;
        }
        let (place, kind) = place(hour);
        // Only days on which it wrote at all are counted, so that an outage is not learnt.
        if hour / 24 > self.hour / 24 {
            for weight in self.active.iter_mut().chain(&mut self.watched) {
                *weight *= DAY_FADE;
            }
            if let Some(watched) = self.watched.get_mut(kind) {
                *watched += 1.0;
            }
        }
        self.hour = hour;
        if let Some(active) = self.active.get_mut(place) {
            *active += 1.0;
        }
    }

    /// Whether there always is an event in this hour.
    fn is_always(&self, hour: u32) -> bool {
        let (place, kind) = place(hour);
        let active = self.active.get(place).copied().unwrap_or(0.0);
        // Today was counted when it began, but has not come to this hour yet.
        let today = if hour / 24 == self.hour / 24 { 1.0 } else { 0.0 };
        let watched = self.watched.get(kind).copied().unwrap_or(0.0) - today;
        let enough = if kind == 0 { DAYS_MIN } else { WEEKENDS_MIN };
        watched >= enough && active >= ALWAYS_SHARE * watched
    }

    /// How many whole hours there was no event, of those in which something always came; none as long as that is no
    /// silence.
    fn silent_hours(&self, now: At) -> Option<u32> {
        // Longer silence is silence too.
        const HOURS_MAX: u32 = 14 * 24;
        let (first, end) = (self.heard.0 / HOUR + 1, now.0 / HOUR);
        if first >= end {
            return None;
        }
        let silent = (first..end.min(first.saturating_add(HOURS_MAX))).filter(|it| self.is_always(*it)).count() as u32;
        if silent < SILENT_HOURS_MIN {
            return None;
        }
        // The day before the silence began says whether it writes around the clock.
        let day = self.heard.0 / HOUR / 24 * 24;
        let per_day = (day..day + 24).filter(|it| self.is_always(*it)).count() as u32;
        let limit = match per_day {
            CLOCK_HOURS_MIN.. => SILENT_HOURS_MIN,
            BY_DAY_HOURS_MIN.. => per_day * BY_DAY_DAYS,
            _ => return None,
        };
        (silent >= limit).then_some(silent)
    }

    /// Whether three events in a row lie back after many in order; answers where it stood before.
    fn jumps_back(&mut self, at: At, position: u64) -> Option<At> {
        if position < self.position {
            // Read again from an earlier place.
            (self.last, self.ordered, self.behind) = (at, 0, 0);
        }
        self.position = position;
        let back = self.last.since(at);
        if back <= MINUTE {
            if self.behind > 0 {
                (self.behind, self.ordered) = (0, 0);
            }
            self.ordered = self.ordered.saturating_add(1);
            self.last = self.last.max(at);
            return None;
        }
        if back < JUMP_MIN || self.ordered < ORDERED_MIN || (self.behind > 0 && at < self.behind_from) {
            (self.behind, self.ordered) = (0, 0);
            return None;
        }
        self.behind += 1;
        self.behind_from = at;
        if self.behind < JUMP_EVENTS {
            return None;
        }
        let before = self.last;
        (self.last, self.ordered, self.behind) = (at, 0, 0);
        Some(before)
    }
}

fn claim(kind: &'static Kind, source: &Source, reason: String, time: At, first: At) -> Claim {
    Claim {
        kind,
        entities: source.entities(),
        context: Vec::new(),
        reason,
        time,
        first,
        count: 1,
        evidence: vec![source.last_id],
    }
}

impl Sources {
    /// Takes in one event that made `newcomers` profiles. `now` is the clock of its frame.
    pub(super) fn observe(
        &mut self,
        event: Event<'_>,
        host: Option<&str>,
        now: At,
        newcomers: u32,
        is_live: bool,
        claims: &mut Vec<Claim>,
    ) {
        self.touches += 1;
        let (name, host) = (crate::finding::source_of(event), host.unwrap_or_default());
        let at = At::of(event.time());
        // Events of one stream come in runs.
        let is_last = self.all.get(&self.last).is_some_and(|it| it.name == name && it.host == host);
        if !is_last {
            self.last = content_hash(&[name.as_bytes(), host.as_bytes()]);
        }
        let key = self.last;
        if !is_last && !self.all.contains_key(&key) {
            self.forget_surplus();
            self.all.insert(key, Source::new(name, host, at, now, event.id()));
        }
        let Some(source) = self.all.get_mut(&key) else { return };
        source.touched = self.touches;
        source.last_id = event.id();
        source.heard = source.heard.max(now);
        source.is_silent = false;
        if is_live {
            source.keep_rhythm(now);
            if !event.anomalies().contains(Anomaly::TimeMissing)
                && let Some(before) = source.jumps_back(at, event.position())
                && now.since(source.jump_told) >= QUIET
            {
                source.jump_told = now;
                let reason = format!(
                    "{} wrote in order up to {} and then from {} on, {} earlier, {JUMP_EVENTS} events in a row",
                    source.who(),
                    before.timestamp(),
                    at.timestamp(),
                    span_text(before.since(at))
                );
                claims.push(claim(&JUMP, source, reason, now, at));
            }
        }
        if newcomers > 0 {
            source.count_newcomers(newcomers, now, claims);
        }
    }

    fn forget_surplus(&mut self) {
        while self.all.len() >= SOURCES_MAX {
            let quiet = self.all.iter().min_by_key(|(_, it)| it.touched).map(|(key, _)| *key);
            let Some(quiet) = quiet else { return };
            self.all.remove(&quiet);
        }
    }

    /// Looks for silence, at the end of a frame whose clock is `now`.
    pub(super) fn end_frame(&mut self, now: At, claims: &mut Vec<Claim>) {
        // Nothing came from anybody: it was us who did not listen.
        if now.since(self.heard) > HOUR {
            for source in self.all.values_mut() {
                source.heard = source.heard.max(now);
            }
        }
        self.heard = self.heard.max(now);
        if now.since(self.checked) < CHECK_EVERY {
            return;
        }
        self.checked = now;
        let mut silent: Vec<(u128, u32)> = self
            .all
            .iter()
            .filter(|(_, it)| !it.is_silent)
            .filter_map(|(key, it)| Some((*key, it.silent_hours(now)?)))
            .collect();
        silent.sort_unstable();
        for (key, _) in &silent {
            if let Some(source) = self.all.get_mut(key) {
                source.is_silent = true;
            }
        }
        let said = silent.iter().filter_map(|(key, hours)| Some((self.all.get(key)?, *hours)));
        if silent.len() >= TOGETHER_MIN {
            let mut names: Vec<String> = said.clone().map(|(it, _)| it.who()).collect();
            names.sort_unstable();
            let Some((first, _)) = said.clone().next() else { return };
            let reason = format!(
                "{} sources that always write at this time wrote nothing for {SILENT_HOURS_MIN} hours or more: {}",
                names.len(),
                names.join(", ")
            );
            let mut all = claim(&SILENT, first, reason, now, first.heard);
            all.entities = vec![("panoptes.source", "several".to_owned())];
            all.evidence = said.take(panoptes_model::EVIDENCE_MAX).map(|(it, _)| it.last_id).collect();
            claims.push(all);
            return;
        }
        for (source, hours) in said {
            let reason = format!(
                "{} wrote nothing since {}, {} ago; in each of {hours} whole hours since then it used to write on at least                  {:.0} % of the days since {}",
                source.who(),
                source.heard.timestamp(),
                span_text(now.since(source.heard)),
                ALWAYS_SHARE * 100.0,
                day_text(source.since.day())
            );
            claims.push(claim(&SILENT, source, reason, now, source.heard));
        }
    }

    /// Written as a [`SourcesState`].
    pub(super) fn state(&self) -> impl Serialize + '_ {
        let mut all: Vec<(u128, &Source)> = self.all.iter().map(|(key, it)| (*key, it)).collect();
        all.sort_unstable_by_key(|it| it.1.touched);
        Written { all, touches: self.touches, checked: self.checked, heard: self.heard }
    }

    pub(super) fn restore(state: SourcesState) -> Self {
        Self {
            all: state.all.into_iter().collect(),
            touches: state.touches,
            checked: state.checked,
            heard: state.heard,
            last: 0,
        }
    }
}

impl Source {
    fn count_newcomers(&mut self, newcomers: u32, now: At, claims: &mut Vec<Claim>) {
        let hour = now.0 / HOUR;
        if hour > self.newcomers_hour {
            // What an hour weighs against those before it.
            const WEIGHT: f32 = 0.05;
            let known = if self.newcomers_hour == 0 { 0 } else { hour - self.newcomers_hour };
            // Hours without anybody new count too.
            self.usual_newcomers *= (1.0 - WEIGHT).powf(known as f32);
            // A flood is not learnt.
            if self.newcomers < FLOOD_MIN {
                self.usual_newcomers += WEIGHT * self.newcomers as f32;
            }
            (self.newcomers_hour, self.newcomers) = (hour, 0);
        }
        self.newcomers = self.newcomers.saturating_add(newcomers);
        if self.newcomers < FLOOD_MIN
            || (self.newcomers as f32) < FLOOD_TIMES_USUAL * self.usual_newcomers
            || now.since(self.flood_told) < QUIET
        {
            return;
        }
        self.flood_told = now;
        let reason = format!(
            "{} named {} users, hosts and addresses within an hour that were never seen before; usual are {:.0}",
            self.who(),
            self.newcomers,
            self.usual_newcomers
        );
        claims.push(claim(&FLOOD, self, reason, now, now));
    }
}
