//! What is remembered of each kind of entity. Everything here is bounded and counted by [`Profile::heap_bytes`].

use std::collections::VecDeque;

use panoptes_model::{EVIDENCE_MAX, EventId};
use serde::{Deserialize, Serialize};

use super::facts::Short;
use super::time::At;
use super::usual::{Daily, Hours, Values, heap_bytes, heap_bytes_of, push};

/// How many of the last failed logins an address, a user or a service remembers. Older ones make room.
pub(super) const ATTEMPTS_MAX: usize = 64;
/// The same for a service, which many people use.
pub(super) const SERVICE_ATTEMPTS_MAX: usize = 192;
/// How many of the last packets, and of the last requests, an address remembers.
pub(super) const FLOWS_MAX: usize = 256;
pub(super) const PAGES_MAX: usize = 256;
/// How many different companions a [`Few`] tells apart: beyond it there are "many".
const FEW_MAX: usize = 8;
/// How many kinds of findings may have a time of quiet at once; the oldest makes room.
const TOLD_MAX: usize = 12;

/// Adds to a list that keeps the newest `max`.
pub(super) fn keep<T>(all: &mut Vec<T>, max: usize, item: T) {
    if all.len() >= max {
        all.remove(0);
    }
    push(all, item);
}

/// The same, of a list that is long enough for moving it to cost.
pub(super) fn keep_newest<T>(all: &mut VecDeque<T>, max: usize, item: T) {
    if all.len() >= max {
        all.pop_front();
    }
    if all.len() == all.capacity() {
        all.reserve_exact((all.len() / 2).max(2));
    }
    all.push_back(item);
}

/// A small set that stops counting when it is full.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Few(Vec<Short>);

impl Few {
    pub(super) fn add(&mut self, name: Short) {
        if self.0.len() < FEW_MAX && !self.0.contains(&name) {
            push(&mut self.0, name);
        }
    }

    pub(super) fn contains(&self, name: Short) -> bool {
        self.0.contains(&name)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// When the entity was last spoken of, by detector: the same is not said again and again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Told(Vec<(u8, At)>);

impl Told {
    /// Whether [`may_tell`](Self::may_tell) would agree.
    pub(super) fn would_tell(&self, what: u8, at: At, quiet: u32) -> bool {
        self.0.iter().find(|it| it.0 == what).is_none_or(|known| at.since(known.1) >= quiet)
    }

    /// Whether `quiet` seconds have passed since this was last said; if so, it is said now.
    pub(super) fn may_tell(&mut self, what: u8, at: At, quiet: u32) -> bool {
        if let Some(known) = self.0.iter_mut().find(|it| it.0 == what) {
            if at.since(known.1) < quiet {
                return false;
            }
            known.1 = at;
            return true;
        }
        keep(&mut self.0, TOLD_MAX, (what, at));
        true
    }
}

/// One failed login.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) at: At,
    pub(super) user: Short,
    pub(super) service: Short,
    /// The network that it came from.
    pub(super) network: Short,
    /// Whether rules count such logins, so that fast guessing is theirs to tell.
    pub(super) is_ruled: bool,
    /// Whether the user never logged in from that network.
    pub(super) is_stranger: bool,
}

/// Where somebody was when he last logged in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) at: At,
    pub(super) latitude: f32,
    pub(super) longitude: f32,
    pub(super) network: Short,
    pub(super) country: [u8; 2],
}

/// The newest events that a windowed claim rests on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Evidence(Vec<EventId>);

impl Evidence {
    pub(super) fn add(&mut self, id: EventId) {
        keep(&mut self.0, EVIDENCE_MAX, id);
    }

    pub(super) fn ids(&self, count: usize) -> Vec<EventId> {
        self.0.iter().skip(self.0.len().saturating_sub(count)).copied().collect()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct User {
    /// On how many days he got in, and the newest of them.
    pub(super) login_days: u16,
    pub(super) login_day: u16,
    pub(super) first_login: At,
    pub(super) hours: Hours,
    pub(super) hosts: Values,
    pub(super) countries: Values,
    pub(super) networks: Values,
    pub(super) programs: Values,
    pub(super) privileges: Values,
    /// Whether he ever came through a relay.
    pub(super) uses_relays: bool,
    pub(super) place: Option<Place>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) strange_failures: Daily,
    pub(super) events: Daily,
    pub(super) bytes: Daily,
    pub(super) evidence: Evidence,
    pub(super) told: Told,
    /// On how many days lately he logged in at an unusual hour, and the newest of them.
    pub(super) odd_days: u8,
    pub(super) odd_day: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Flow {
    pub(super) at: At,
    pub(super) to: Short,
    pub(super) port: u16,
    pub(super) denied: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) at: At,
    pub(super) path: Short,
    pub(super) is_missing: bool,
    pub(super) is_part: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Address {
    pub(super) attempts: Vec<Attempt>,
    /// When its guessing was last so fast that rules or the fast detectors told it.
    pub(super) loud: At,
    /// Who got in from here.
    pub(super) users: Few,
    pub(super) flows: VecDeque<Flow>,
    pub(super) pages: VecDeque<Page>,
    /// Which kinds of secrets were asked for, and when.
    pub(super) secrets: Vec<(u8, At)>,
    /// Days on which it scanned, by kind of scan.
    pub(super) scans: Values,
    pub(super) bytes: Daily,
    pub(super) evidence: Evidence,
    pub(super) told: Told,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Host {
    /// Who got in here.
    pub(super) users: Few,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Program {
    pub(super) starts: u32,
    /// Who starts it.
    pub(super) users: Few,
    /// What it starts itself.
    pub(super) children: Values,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Service {
    pub(super) attempts: Vec<Attempt>,
    pub(super) strange_failures: Daily,
    /// The hour that is being counted, in hours since the epoch.
    pub(super) hour: u32,
    pub(super) records: u32,
    pub(super) errors: u32,
    /// Records and errors of earlier hours, fading, and how many hours there were.
    pub(super) usual_records: f32,
    pub(super) usual_errors: f32,
    /// The largest share of errors of any hour with enough records, fading.
    pub(super) worst_share: f32,
    pub(super) hours: u16,
    pub(super) is_flagged: bool,
    pub(super) evidence: Evidence,
    pub(super) told: Told,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum Profile {
    #[default]
    Gone,
    User(Box<User>),
    Address(Box<Address>),
    Host(Box<Host>),
    Program(Box<Program>),
    Service(Box<Service>),
}

impl Profile {
    /// Bytes outside of the slot. Told from contents alone, so that it is the same after a restart.
    pub(super) fn heap_bytes(&self) -> usize {
        let of_told = |told: &Told| heap_bytes(&told.0);
        match self {
            Self::Gone => 0,
            Self::User(it) => {
                size_of::<User>()
                    + it.hours.heap_bytes()
                    + [&it.hosts, &it.countries, &it.networks, &it.programs, &it.privileges]
                        .map(Values::heap_bytes)
                        .iter()
                        .sum::<usize>()
                    + heap_bytes(&it.attempts)
                    + heap_bytes(&it.evidence.0)
                    + of_told(&it.told)
            }
            Self::Address(it) => {
                size_of::<Address>()
                    + heap_bytes(&it.attempts)
                    + heap_bytes(&it.users.0)
                    + heap_bytes_of::<Flow>(it.flows.len())
                    + heap_bytes_of::<Page>(it.pages.len())
                    + heap_bytes(&it.secrets)
                    + it.scans.heap_bytes()
                    + heap_bytes(&it.evidence.0)
                    + of_told(&it.told)
            }
            Self::Host(it) => size_of::<Host>() + heap_bytes(&it.users.0),
            Self::Program(it) => size_of::<Program>() + heap_bytes(&it.users.0) + it.children.heap_bytes(),
            Self::Service(it) => {
                size_of::<Service>() + heap_bytes(&it.attempts) + heap_bytes(&it.evidence.0) + of_told(&it.told)
            }
        }
    }
}
