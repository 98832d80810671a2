//! All profiles within one budget of bytes.
//!
//! *Order of forgetting.* An entity is a **newcomer** until it was there on [`RESIDENT_DAYS`] different days, then a
//! **resident**. When the budget is used up, the newcomer that was quiet longest goes first, as long as newcomers use
//! more than a [`NEWCOMERS_SHARE`]th of the budget; only then the resident that was quiet longest. So whoever invents
//! a million names pushes out other inventions, never those who have been known for days, and a real newcomer still has
//! room. What went is counted.
//!
//! Order depends on nothing but the order of events, so the same events forget the same entities.

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::profile::Profile;
use super::time::At;
use crate::stored::Sequence;

/// On how many different days somebody must have been there to be a resident.
const RESIDENT_DAYS: u16 = 3;
/// Which part of the budget newcomers always have.
const NEWCOMERS_SHARE: usize = 8;
/// No neighbour in the list.
const NONE: u32 = u32::MAX;
/// What an entity costs beside its slot and its profile: its place in the index (a number and a byte of control, at
/// the load that the table has on average), and the slots that are reserved ahead.
const INDEX_BYTES: usize = 12;
const SLOT_BYTES: usize = size_of::<Slot>() + size_of::<Slot>() / GROWTH + INDEX_BYTES;
/// Slots grow by this part at a time, not by doubling: memory that is reserved and never used counts too.
const GROWTH: usize = 8;
/// How many slots are reserved at least.
const SLOTS_MIN: usize = 64;

/// What is known of everything that has a profile, whatever kind it is of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Entity {
    pub(super) first: At,
    pub(super) last: At,
    /// On how many different days it was there.
    pub(super) days: u16,
    pub(super) profile: Profile,
}

#[derive(Debug)]
struct Slot {
    key: u128,
    newer: u32,
    older: u32,
    /// What the entity costs, as it was counted last.
    bytes: u32,
    is_resident: bool,
    entity: Entity,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    newest: u32,
    oldest: u32,
    bytes: usize,
    count: usize,
}

const EMPTY: Queue = Queue { newest: NONE, oldest: NONE, bytes: 0, count: 0 };

/// What was forgotten for lack of room, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityCounters {
    pub newcomers_forgotten: u64,
    pub residents_forgotten: u64,
}

/// What a checkpoint keeps: both queues, the entity that was quiet longest first.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct StoreState {
    newcomers: Vec<(u128, Entity)>,
    residents: Vec<(u128, Entity)>,
    counters: EntityCounters,
}

/// The same, borrowed.
#[derive(Serialize)]
struct Written<N, R> {
    newcomers: N,
    residents: R,
    counters: EntityCounters,
}

#[derive(Debug)]
pub(super) struct Store {
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: HashTable<u32>,
    newcomers: Queue,
    residents: Queue,
    bytes_max: usize,
    counters: EntityCounters,
}

/// A key is a good hash already.
const fn hash_of(key: u128) -> u64 {
    ((key >> 64) as u64 ^ key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Store {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            newcomers: EMPTY,
            residents: EMPTY,
            bytes_max,
            counters: EntityCounters::default(),
        }
    }

    pub(super) fn counters(&self) -> EntityCounters {
        self.counters
    }

    pub(super) fn len(&self) -> usize {
        self.newcomers.count + self.residents.count
    }

    /// What all entities cost together.
    pub(super) fn bytes(&self) -> usize {
        self.newcomers.bytes + self.residents.bytes
    }

    fn find(&self, key: u128) -> Option<u32> {
        self.index.find(hash_of(key), |it| self.slots.get(*it as usize).is_some_and(|slot| slot.key == key)).copied()
    }

    /// Takes the entity out, to be handed back to [`put`](Self::put) with what has changed. One that is new is made
    /// by `make`, and the answer says so.
    pub(super) fn take(&mut self, key: u128, at: At, make: impl FnOnce() -> Profile) -> (Entity, bool) {
        if let Some(slot) = self.find(key).and_then(|it| self.slots.get_mut(it as usize)) {
            let mut entity = std::mem::take(&mut slot.entity);
            // A late event makes nobody younger, and a day counts once, in order.
            if at.day() > entity.last.day() {
                entity.days = entity.days.saturating_add(1);
            }
            entity.last = entity.last.max(at);
            (entity, false)
        } else {
            (Entity { first: at, last: at, days: 1, profile: make() }, true)
        }
    }

    /// Puts back what [`take`](Self::take) gave, as the newest of its queue, and forgets what is too much.
    pub(super) fn put(&mut self, key: u128, entity: Entity) {
        let bytes = SLOT_BYTES + entity.profile.heap_bytes();
        let is_resident = entity.days >= RESIDENT_DAYS;
        let slot = Slot { key, newer: NONE, older: NONE, bytes: bytes as u32, is_resident, entity };
        let index = match self.find(key) {
            Some(index) => {
                self.unlink(index);
                if let Some(old) = self.slots.get_mut(index as usize) {
                    *old = slot;
                }
                index
            }
            None => self.insert(slot),
        };
        self.link(index);
        self.forget_surplus();
    }

    fn insert(&mut self, slot: Slot) -> u32 {
        let key = slot.key;
        let index = match self.free.pop() {
            Some(index) => {
                if let Some(place) = self.slots.get_mut(index as usize) {
                    *place = slot;
                }
                index
            }
            None => {
                if self.slots.len() == self.slots.capacity() {
                    self.slots.reserve_exact((self.slots.len() / GROWTH).max(SLOTS_MIN));
                }
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(hash_of(key), index, |it| slots.get(*it as usize).map_or(0, |slot| hash_of(slot.key)));
        index
    }

    fn queue(&mut self, is_resident: bool) -> &mut Queue {
        if is_resident { &mut self.residents } else { &mut self.newcomers }
    }

    fn unlink(&mut self, index: u32) {
        let Some(slot) = self.slots.get(index as usize) else { return };
        let (newer, older, bytes, is_resident) = (slot.newer, slot.older, slot.bytes, slot.is_resident);
        if let Some(it) = self.slots.get_mut(newer as usize) {
            it.older = older;
        }
        if let Some(it) = self.slots.get_mut(older as usize) {
            it.newer = newer;
        }
        let queue = self.queue(is_resident);
        if newer == NONE {
            queue.newest = older;
        }
        if older == NONE {
            queue.oldest = newer;
        }
        queue.bytes = queue.bytes.saturating_sub(bytes as usize);
        queue.count = queue.count.saturating_sub(1);
    }

    fn link(&mut self, index: u32) {
        let Some(slot) = self.slots.get(index as usize) else { return };
        let (bytes, is_resident) = (slot.bytes as usize, slot.is_resident);
        let queue = self.queue(is_resident);
        let next = queue.newest;
        queue.newest = index;
        if next == NONE {
            queue.oldest = index;
        }
        queue.bytes += bytes;
        queue.count += 1;
        if let Some(it) = self.slots.get_mut(index as usize) {
            (it.newer, it.older) = (NONE, next);
        }
        if let Some(it) = self.slots.get_mut(next as usize) {
            it.newer = index;
        }
    }

    fn forget_surplus(&mut self) {
        while self.bytes() > self.bytes_max {
            let newcomers_first = self.newcomers.bytes > self.bytes_max / NEWCOMERS_SHARE;
            let oldest = if newcomers_first { self.newcomers.oldest } else { self.residents.oldest };
            // Without residents, newcomers may use everything, and are all there is to forget.
            let oldest = if oldest == NONE { self.newcomers.oldest } else { oldest };
            let Some(slot) = self.slots.get(oldest as usize) else { return };
            let (key, is_resident) = (slot.key, slot.is_resident);
            self.unlink(oldest);
            let slots = &self.slots;
            let found =
                self.index.find_entry(hash_of(key), |it| slots.get(*it as usize).is_some_and(|slot| slot.key == key));
            if let Ok(entry) = found {
                entry.remove();
            }
            if let Some(slot) = self.slots.get_mut(oldest as usize) {
                slot.entity = Entity::default();
            }
            self.free.push(oldest);
            if is_resident {
                self.counters.residents_forgotten += 1;
            } else {
                self.counters.newcomers_forgotten += 1;
            }
        }
    }

    /// All of a queue, the one that was quiet longest first.
    fn queued(&self, queue: Queue) -> impl Iterator<Item = (u128, &Entity)> {
        let mut next = queue.oldest;
        std::iter::from_fn(move || {
            let slot = self.slots.get(next as usize)?;
            next = slot.newer;
            Some((slot.key, &slot.entity))
        })
    }

    /// Written as a [`StoreState`].
    pub(super) fn state(&self) -> impl Serialize + '_ {
        Written {
            newcomers: Sequence(|| self.queued(self.newcomers)),
            residents: Sequence(|| self.queued(self.residents)),
            counters: self.counters,
        }
    }

    pub(super) fn restore(bytes_max: usize, state: StoreState) -> Self {
        let mut store = Self { counters: state.counters, ..Self::new(bytes_max) };
        for (key, entity) in state.newcomers.into_iter().chain(state.residents) {
            store.put(key, entity);
        }
        store
    }
}
