//! Gives events what is known of their values.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use panoptes_model::{BatchWriter, FieldId, Kept, Schema, SchemaFull, Timestamp, Value, field};

use crate::facts::{Facts, Slot};
use crate::fields::{DOMAINS, Fields, HASH_COUNT, SIDES, USER_COUNT, role, side};
use crate::list::KeyKind;
use crate::memo::Memo;
use crate::snapshot::Snapshot;

/// How many addresses one memo knows; see [`Memo`] for what happens when there are more.
const ADDRESSES_MAX: usize = 16_384;
/// The same for domains, user agents, hosts, hashes and users, each.
const TEXTS_MAX: usize = 8_192;
/// Longer values are looked up by their beginning: only user agents are ever this long.
const TEXT_BYTES_MAX: usize = 1_024;
/// How many memos wait for the next batch: one for each batch that is enriched at the same time. Further ones are
/// thrown away when their batch is done.
const MEMOS_MAX: usize = 64;
/// How many addresses that a name resolved to are looked up in lists; the rest is not.
const RESOLVED_MAX: usize = 16;

/// What is known, and the fields it goes to. Share one between as many threads as you like.
pub struct Enricher {
    snapshot: Arc<Snapshot>,
    fields: Fields,
    memos: Mutex<Vec<Memos>>,
}

/// What one batch after another has looked up.
struct Memos {
    /// Counts the batches; 0 is none.
    batch: u64,
    addresses: Memo<IpAddr>,
    answers: Memo<IpAddr>,
    domains: Memo<String>,
    agents: Memo<String>,
    hosts: Memo<String>,
    hashes: Memo<String>,
    users: Memo<String>,
}

impl Default for Memos {
    fn default() -> Self {
        let texts = || Memo::new(TEXTS_MAX);
        Self {
            batch: 0,
            addresses: Memo::new(ADDRESSES_MAX),
            answers: Memo::new(TEXTS_MAX),
            domains: texts(),
            agents: texts(),
            hosts: texts(),
            hashes: texts(),
            users: texts(),
        }
    }
}

impl Enricher {
    /// Gives all names that may be written fixed ids in `schema`; batches over that schema, and over any that it grows
    /// to, can be enriched.
    ///
    /// # Errors
    /// [`SchemaFull`] if there is no room for them.
    pub fn new(schema: &mut Schema, snapshot: Arc<Snapshot>) -> Result<Self, SchemaFull> {
        let fields = Fields::new(schema, snapshot.parts().lists.iter().map(|it| it.options().name.as_str()))?;
        Ok(Self { snapshot, fields, memos: Mutex::new(Vec::new()) })
    }

    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Begins a batch.
    pub fn batch(&self) -> BatchEnricher<'_> {
        // A panic while holding this lock cannot leave half a memo.
        let mut memos = self.memos.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        memos.batch += 1;
        BatchEnricher { enricher: self, memos: Some(memos), given: Vec::new() }
    }
}

/// Enriches the events of one batch, one after the other.
pub struct BatchEnricher<'e> {
    enricher: &'e Enricher,
    /// Gone when this is dropped.
    memos: Option<Memos>,
    /// Fields that several values of an event may want: the first gets it.
    given: Vec<FieldId>,
}

impl Drop for BatchEnricher<'_> {
    fn drop(&mut self) {
        let mut idle = self.enricher.memos.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(memos) = self.memos.take()
            && idle.len() < MEMOS_MAX
        {
            idle.push(memos);
        }
    }
}

/// Where the fields of an event are that matter: position plus one, by role; 0 is nowhere.
type Places = [u32; role::COUNT];

impl BatchEnricher<'_> {
    /// Adds to the open event what is known of its values. All of its own fields have been written.
    pub fn complete(&mut self, writer: &mut BatchWriter<'_>) {
        let Some(memos) = &mut self.memos else { return };
        let Enricher { snapshot, fields, .. } = self.enricher;
        self.given.clear();
        let mut work = Work { snapshot, fields, given: &mut self.given, batch: memos.batch, now: writer.now(), writer };
        let places = work.survey();
        let Memos { addresses, answers, domains, agents, hosts, hashes, users, .. } = memos;
        let is_own = work.addresses(&places, addresses);
        work.direction(&places, is_own);
        work.domains(&places, domains);
        work.agent(&places, agents);
        if snapshot.has_hosts() {
            work.texts(&places, role::HOST..role::HOST + 1, hosts, |host, _, facts| snapshot.host(host, facts));
        }
        if snapshot.has_lists(KeyKind::Hash) {
            work.texts(&places, role::HASH..role::HASH + HASH_COUNT, hashes, |hash, now, facts| {
                snapshot.hash(hash, now, facts);
            });
        }
        if snapshot.has_lists(KeyKind::User) {
            work.texts(&places, role::USER..role::USER + USER_COUNT, users, |user, now, facts| {
                snapshot.user(user, now, facts);
            });
        }
        if snapshot.has_lists(KeyKind::Address) {
            work.answers(&places, answers);
        }
    }
}

/// One event.
struct Work<'w, 'b, 'i> {
    snapshot: &'w Snapshot,
    fields: &'w Fields,
    given: &'w mut Vec<FieldId>,
    batch: u64,
    now: Timestamp,
    writer: &'b mut BatchWriter<'i>,
}

impl Work<'_, '_, '_> {
    /// Where the fields that matter are. What only Panoptes can say is taken from an event that says it itself.
    fn survey(&mut self) -> Places {
        let places = self.places();
        if places[role::OURS as usize] == 0 {
            return places;
        }
        self.writer.remove_all(|id| self.fields.role(id) == role::OURS);
        self.places()
    }

    fn places(&self) -> Places {
        let mut places: Places = [0; role::COUNT];
        for (position, id) in (1..).zip(self.writer.ids(0)) {
            let role = self.fields.role(id);
            if role != role::NONE
                && let Some(place @ 0) = places.get_mut(role as usize)
            {
                *place = position;
            }
        }
        places
    }

    fn position(places: &Places, role: u8) -> Option<usize> {
        places.get(role as usize)?.checked_sub(1).map(|it| it as usize)
    }

    /// Whether each side's address is one of ours.
    fn addresses(&mut self, places: &Places, memo: &mut Memo<IpAddr>) -> [Option<bool>; SIDES.len()] {
        let mut is_own = [None; SIDES.len()];
        for (place, is_own) in (0..).zip(&mut is_own) {
            let position = Self::position(places, role::ADDRESS + place);
            let Some((_, Value::Ip(address))) = position.and_then(|it| self.writer.nth(it)) else { continue };
            let entry = memo.find(&address, self.now, |facts| self.snapshot.address(address, self.now, facts));
            let (facts, kept) = memo.kept(entry, self.batch, self.writer);
            *is_own = Some(facts.is_own);
            let has = |role: u8| Self::position(places, role + place).is_some();
            let (has_geo, has_as) = (has(role::HAS_GEO), has(role::HAS_AS));
            let ids = self.fields.side.get(place as usize);
            self.give(places, kept.iter(), |slot| match slot {
                Slot::Side(side::CONTINENT..=side::TIMEZONE) if has_geo => None,
                Slot::Side(side::AS_NUMBER | side::AS_ORGANIZATION) if has_as => None,
                Slot::Side(slot) => ids.and_then(|it| it.get(slot as usize)).copied(),
                _ => None,
            });
        }
        is_own
    }

    /// Whether the event crosses the border of our networks, and which way.
    fn direction(&mut self, places: &Places, [source, destination, ..]: [Option<bool>; SIDES.len()]) {
        if Self::position(places, role::HAS_DIRECTION).is_none()
            && let (Some(from_inside), Some(to_inside)) = (source, destination)
        {
            let direction = match (from_inside, to_inside) {
                (true, true) => "internal",
                (true, false) => "outbound",
                (false, true) => "inbound",
                (false, false) => "external",
            };
            self.writer.text(field::NETWORK_DIRECTION, direction);
        }
    }

    fn domains(&mut self, places: &Places, memo: &mut Memo<String>) {
        for place in 0..DOMAINS.len() as u8 {
            let snapshot = self.snapshot;
            let has_parts = Self::position(places, role::HAS_DOMAIN + place).is_some();
            let ids = self.fields.domain.get(place as usize).filter(|_| !has_parts);
            self.text(
                places,
                role::DOMAIN + place,
                memo,
                |domain, now, facts| snapshot.domain(domain, now, facts),
                |slot| match slot {
                    Slot::Domain(slot) => ids.and_then(|it| it.get(slot as usize)).copied(),
                    _ => None,
                },
            );
        }
    }

    fn agent(&mut self, places: &Places, memo: &mut Memo<String>) {
        if Self::position(places, role::HAS_AGENT).is_some() {
            return;
        }
        self.texts(places, role::AGENT..role::AGENT + 1, memo, |agent, _, facts| Snapshot::agent(agent, facts));
    }

    fn texts(
        &mut self,
        places: &Places,
        roles: std::ops::Range<u8>,
        memo: &mut Memo<String>,
        look_up: impl Fn(&str, Timestamp, &mut Facts),
    ) {
        let fields = self.fields;
        for role in roles {
            self.text(places, role, memo, &look_up, |slot| match slot {
                Slot::Agent(slot) => fields.agent.get(slot as usize).copied(),
                Slot::Host(slot) => fields.host.get(slot as usize).copied(),
                _ => None,
            });
        }
    }

    fn text(
        &mut self,
        places: &Places,
        role: u8,
        memo: &mut Memo<String>,
        look_up: impl Fn(&str, Timestamp, &mut Facts),
        target: impl Fn(Slot) -> Option<FieldId>,
    ) {
        let position = Self::position(places, role);
        let Some((_, Value::Text(text))) = position.and_then(|it| self.writer.nth(it)) else { return };
        let text = text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or("");
        if text.is_empty() {
            return;
        }
        let place = memo.find(text, self.now, |facts| look_up(text, self.now, facts));
        let (_, kept) = memo.kept(place, self.batch, self.writer);
        self.give(places, kept.iter(), target);
    }

    /// Asks the lists about the addresses that a name resolved to.
    fn answers(&mut self, places: &Places, memo: &mut Memo<IpAddr>) {
        let position = Self::position(places, role::RESOLVED);
        let Some((_, value)) = position.and_then(|it| self.writer.nth(it)) else { return };
        let mut addresses = [None; RESOLVED_MAX];
        for (slot, item) in addresses.iter_mut().zip(value.each()) {
            if let Value::Ip(address) = item {
                *slot = Some(address);
            }
        }
        for address in addresses.into_iter().flatten() {
            let place = memo.find(&address, self.now, |facts| self.snapshot.listed_address(address, self.now, facts));
            let (_, kept) = memo.kept(place, self.batch, self.writer);
            self.give(places, kept.iter(), |_| None);
        }
    }

    /// Writes `kept`, each to the field that `target` or, for those that several values may have, its slot names.
    fn give<'k>(
        &mut self,
        places: &Places,
        kept: impl Iterator<Item = &'k (Slot, Kept)>,
        target: impl Fn(Slot) -> Option<FieldId>,
    ) {
        let mut is_indicator = false;
        for (slot, value) in kept {
            let shared = match *slot {
                Slot::Label(list) => self.fields.labels.get(list as usize),
                Slot::Threat(_) if Self::position(places, role::HAS_THREAT).is_some() => continue,
                Slot::Threat(slot) => self.fields.threat.get(slot as usize),
                slot => {
                    if let Some(id) = target(slot) {
                        self.writer.give(id, *value);
                    }
                    continue;
                }
            };
            let Some(id) = shared.copied() else { continue };
            // An indicator is given as a whole or not at all.
            let first = self.fields.threat.first().is_some_and(|it| self.given.contains(it));
            if matches!(slot, Slot::Threat(_)) && !is_indicator && first {
                continue;
            }
            is_indicator |= matches!(slot, Slot::Threat(_));
            if !self.given.contains(&id) {
                self.given.push(id);
                self.writer.give(id, *value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
