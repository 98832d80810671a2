//! Detectors that know the habits of users, hosts, addresses, programs, services and sources.
//!
//! # Where to look first
//! * [`ALL`]: every detector, a file each (`KIND`: what it is; `observe`: what it does). To add one, write its file, list
//!   it here and call it in [`Behaviour::observe`].
//! * `store.rs`: all profiles within one budget of bytes, and who is forgotten first. `profile.rs`: what is remembered.
//! * `usual.rs`: values, hours and amounts that fade.
//!
//! # Invariants
//! * Events are judged before they are learnt from, and what was flagged is not learnt, whether or not anybody was told:
//!   a detector that is disabled still knows what is usual when it is enabled again. Only if all are, nothing is learnt.
//! * State depends on events and the clocks of their frames alone, and survives a checkpoint as it is.

mod error_rate;
mod facts;
mod first_seen;
mod guessing;
mod impossible_travel;
mod kind;
mod log_clearing;
mod network;
mod port_scan;
mod profile;
mod rare_parent;
mod scene;
mod sources;
mod store;
mod time;
mod unusual_hour;
mod unusual_volume;
mod usual;
mod web_probing;

use std::sync::{Arc, LazyLock};

use panoptes_model::{
    EVIDENCE_MAX, Entity, Event, Finding, FindingId, FindingOrigin, RuleSummary, content_hash, sample_of,
};
use serde::{Deserialize, Serialize};

use self::facts::{Facts, What, short, short_of_network};
use self::kind::Kind;
use self::profile::Told;
use self::scene::{Claim, Scene};
use self::sources::{Sources, SourcesState};
pub use self::store::EntityCounters;
use self::store::{Store, StoreState};
use self::time::At;
use crate::finding::{self, Frame};
use crate::rules::{CompileOptions, RuleMeta};

/// Every detector.
pub(crate) static ALL: &[&Kind] = &[
    &guessing::GUESSING,
    &guessing::SPRAYING,
    &guessing::DISTRIBUTED,
    &guessing::STUFFING,
    &guessing::SUCCESS,
    &impossible_travel::KIND,
    &first_seen::COUNTRY,
    &first_seen::HOST,
    &first_seen::PROGRAM,
    &first_seen::PRIVILEGE,
    &unusual_hour::KIND,
    &unusual_volume::KIND,
    &rare_parent::KIND,
    &port_scan::PORTS,
    &port_scan::HOSTS,
    &web_probing::SECRETS,
    &web_probing::SEARCH,
    &web_probing::CRAWLING,
    &log_clearing::KIND,
    &error_rate::KIND,
    &sources::SILENT,
    &sources::JUMP,
    &sources::FLOOD,
];

static SUMMARIES: LazyLock<Vec<Arc<RuleSummary>>> = LazyLock::new(|| ALL.iter().map(|it| it.summary()).collect());

/// The word under which all detectors of behaviour are disabled at once, as if each were named.
pub const BEHAVIOUR_RULE_IDS: &str = "behaviour";

/// Which detectors may report: a bit each, in the order of [`ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reporting(u32);

const _: () = assert!(ALL.len() <= u32::BITS as usize);

impl Reporting {
    pub(crate) fn of(options: &CompileOptions) -> Self {
        let is_off = options.disabled.contains(BEHAVIOUR_RULE_IDS);
        let reports = |kind: &Kind| !is_off && kind.level >= options.min_level && !options.disabled.contains(kind.id);
        Self(ALL.iter().enumerate().map(|(index, kind)| u32::from(reports(kind)) << index).sum())
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// Whether nobody wants to hear anything: then nothing need be remembered either.
    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }

    const fn has(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }

    /// What each detector is, for listings.
    pub(crate) fn metas(self) -> impl Iterator<Item = RuleMeta> {
        ALL.iter().enumerate().map(move |(index, kind)| kind.meta(self.has(index)))
    }
}

/// What an operator may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BehaviourOptions {
    /// How many bytes all profiles may take; `store.rs` says who is forgotten when they are used up.
    pub memory_bytes_max: usize,
}

impl Default for BehaviourOptions {
    /// Room for some 360,000 users, hosts and addresses (`cargo xtask bench entities`).
    fn default() -> Self {
        Self { memory_bytes_max: 128 << 20 }
    }
}

/// How many entities there are, what they take, and what was forgotten since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BehaviourCounters {
    pub entities: usize,
    pub bytes: usize,
    pub forgotten: EntityCounters,
}

/// What a checkpoint keeps.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct BehaviourState {
    entities: StoreState,
    sources: SourcesState,
    logs_told: Told,
}

/// The same, borrowed.
#[derive(Serialize)]
struct Written<'b, E, S> {
    entities: E,
    sources: S,
    logs_told: &'b Told,
}

#[derive(Debug)]
pub(crate) struct Behaviour {
    options: BehaviourOptions,
    entities: Store,
    sources: Sources,
    /// When each host's cleared logs were told.
    logs_told: Told,
}

/// How many users of a host, a program or an address are told apart is bounded by `profile::Few`; a network is usual for
/// a user as soon as he got in from it.
impl Behaviour {
    pub(crate) fn new(options: BehaviourOptions) -> Self {
        Self {
            entities: Store::new(options.memory_bytes_max),
            sources: Sources::default(),
            logs_told: Told::default(),
            options,
        }
    }

    pub(crate) fn restore(options: BehaviourOptions, state: BehaviourState) -> Self {
        Self {
            entities: Store::restore(options.memory_bytes_max, state.entities),
            sources: Sources::restore(state.sources),
            logs_told: state.logs_told,
            options,
        }
    }

    /// Written as a [`BehaviourState`].
    pub(crate) fn state(&self) -> impl Serialize + '_ {
        Written { entities: self.entities.state(), sources: self.sources.state(), logs_told: &self.logs_told }
    }

    pub(crate) fn counters(&self) -> BehaviourCounters {
        debug_assert!(self.entities.bytes() <= self.options.memory_bytes_max || self.entities.len() <= 1);
        BehaviourCounters {
            entities: self.entities.len(),
            bytes: self.entities.bytes(),
            forgotten: self.entities.counters(),
        }
    }

    /// Takes in one event.
    pub(crate) fn observe(
        &mut self,
        out: &mut Vec<Finding>,
        reporting: Reporting,
        event: Event<'_>,
        frame: &Frame<'_>,
    ) {
        let facts = Facts::of(event, frame.repeat);
        let mut scene = Scene::set(&mut self.entities, &facts);
        guessing::observe(&mut scene);
        impossible_travel::observe(&mut scene);
        first_seen::observe(&mut scene);
        unusual_hour::observe(&mut scene);
        unusual_volume::observe(&mut scene);
        rare_parent::observe(&mut scene);
        port_scan::observe(&mut scene);
        web_probing::observe(&mut scene);
        log_clearing::observe(&mut scene, &mut self.logs_told);
        error_rate::observe(&mut scene);
        if !scene.is_suspicious {
            learn(&mut scene);
        }
        let (mut claims, newcomers) = scene.strike(&mut self.entities);
        let is_live = frame.origin == FindingOrigin::Live;
        self.sources.observe(event, facts.host, At::of(frame.now), newcomers, is_live, &mut claims);
        for claim in claims {
            out.extend(finding_of(claim, Some(event), reporting, frame));
        }
    }

    /// Looks for what did not come, once per frame.
    pub(crate) fn end_frame(&mut self, out: &mut Vec<Finding>, reporting: Reporting, frame: &Frame<'_>) {
        if frame.origin != FindingOrigin::Live {
            return;
        }
        let mut claims = Vec::new();
        self.sources.end_frame(At::of(frame.now), &mut claims);
        for claim in claims {
            out.extend(finding_of(claim, None, reporting, frame));
        }
    }
}

/// What an event at which nothing was unusual teaches.
fn learn(scene: &mut Scene<'_, '_>) {
    let facts = scene.facts;
    let at = facts.at;
    let user_name = facts.user.as_deref().map(short);
    match facts.what {
        What::Login { success: true } => {
            let (country, is_relayed) = (facts.country().map(short), facts.is_relayed());
            let network = facts.address.map(short_of_network);
            let host = facts.host.map(short);
            let place = scene.place.take();
            if let Some(user) = scene.user() {
                user.place = place.or(user.place);
                if at.day() > user.login_day {
                    user.login_day = at.day();
                    user.login_days = user.login_days.saturating_add(1);
                }
                user.hours.learn(at);
                user.uses_relays |= is_relayed;
                for (values, value) in
                    [(&mut user.hosts, host), (&mut user.networks, network), (&mut user.countries, country)]
                {
                    if let Some(value) = value {
                        values.learn(value, at);
                    }
                }
            }
            if let Some(name) = user_name {
                if let Some(address) = scene.address() {
                    address.users.add(name);
                }
                if let Some(host) = scene.host() {
                    host.users.add(name);
                }
            }
        }
        What::Start { program, .. } => {
            let small = short(&program.to_lowercase());
            if let Some(user) = scene.user() {
                user.programs.learn(small, at);
            }
            if let Some(parent) = scene.parent() {
                parent.children.learn(small, at);
            }
            if let Some(program) = scene.program() {
                program.starts = program.starts.saturating_add(1);
                if let Some(name) = user_name {
                    program.users.add(name);
                }
            }
        }
        What::Privilege { of } => {
            if let Some(user) = scene.user() {
                user.privileges.learn(short(of), at);
            }
        }
        What::Login { success: false } | What::Flow { .. } | What::Request { .. } | What::Other => {}
    }
}

/// The finding of a claim, if its detector may report.
fn finding_of(claim: Claim, event: Option<Event<'_>>, reporting: Reporting, frame: &Frame<'_>) -> Option<Finding> {
    let index = ALL.iter().position(|it| it.id == claim.kind.id).filter(|it| reporting.has(*it))?;
    let rule = SUMMARIES.get(index)?.clone();
    let named = |pairs: Vec<(&'static str, String)>| -> Vec<Entity> {
        let shown = |(field, value): (&str, String)| Entity { field: field.to_owned(), value: finding::shown(&value) };
        pairs.into_iter().filter(|it| !it.1.is_empty()).map(shown).collect()
    };
    let mut entities = named(claim.entities);
    entities.sort_unstable();
    entities.dedup();
    let mut events = claim.evidence;
    if let Some(event) = event
        && !events.contains(&event.id())
    {
        events.push(event.id());
    }
    let surplus = events.len().saturating_sub(EVIDENCE_MAX);
    events.drain(..surplus);
    let newest = events.last()?;
    let key: Vec<&str> = entities.iter().map(|it| it.value.as_str()).collect();
    let (of_frame, of_event) = (newest.frame.0.to_le_bytes(), newest.index.to_le_bytes());
    let id = content_hash(&[rule.id.as_bytes(), key.join("\u{1f}").as_bytes(), &of_frame, &of_event]);
    // Profiles keep whole seconds: what is said about the event at hand alone has its exact time. A clock that is wrong
    // is told under the time at which that was noticed.
    let exact = event.map(Event::time).filter(|it| At::of(*it) == claim.time);
    let time = exact.unwrap_or_else(|| claim.time.timestamp());
    let first_seen = if claim.first == claim.time { time } else { claim.first.timestamp() };
    Some(Finding {
        id: FindingId(id),
        time,
        first_seen: first_seen.min(time),
        context: event.map(|it| finding::context_beside(it, &entities, named(claim.context))).unwrap_or_default(),
        count: claim.count.max(1),
        events,
        sample: event.map(|it| sample_of(it.original())).unwrap_or_default(),
        reason: claim.reason,
        source: event.and_then(Event::origin).map(|it| it.source.clone()).unwrap_or_default(),
        position: event.map_or(0, Event::position),
        origin: frame.origin,
        entities,
        rule,
    })
}
