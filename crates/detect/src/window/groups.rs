//! All groups of all correlations: found by key, forgotten in a stated order when memory is full.
//!
//! # What is forgotten first
//! The rule that takes up the most memory gives way: a flood of invented keys in one rule costs no other rule a group.
//! Within that rule, a group whose time has passed goes first. Else every group has a *level* from 0 to 7, by how near it
//! is to its threshold, and its age (in touches of the rule) counts half as much per level: a group that lacks one event
//! outlives 64 times as many invented keys as one that has just begun. Of the oldest group of each level, the one whose age
//! so counted is the greatest is forgotten. Nothing in this order depends on chance or on hashes.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::group::Body;
use super::small::SmallBytes;
use super::track::LEVELS;
use crate::rules::RULES_MAX;
use crate::stored::Sequence;

/// No slot.
const NONE: u32 = u32::MAX;
/// How many idle groups are removed per frame; of more, the rest waits for the next.
const IDLE_MAX: usize = 16_384;
/// How many slots are taken from the system at once.
const CHUNK: usize = 256;
/// Memory of a slot, and its share of the table that finds it.
const GROUP_BYTES: usize = size_of::<Slot>() + 10;

const _: () = assert!(RULES_MAX <= u16::MAX as usize, "slots keep 16 bits of a rule's index");

/// One group and its place in the order of touches.
#[derive(Debug, Default)]
struct Slot {
    key: SmallBytes,
    body: Body,
    newer: u32,
    older: u32,
    /// Changes whenever the slot gets another group.
    generation: u32,
    /// The rule's count of touches, and the clock in seconds, when it was last touched.
    tick: u32,
    touched: u32,
    rule: u16,
    level: u8,
    /// [`LISTED`] and [`OPEN`].
    marks: u8,
}

/// The group is among those to be flushed; among those that are still to be put away.
const LISTED: u8 = 1;
const OPEN: u8 = 2;

// What a million groups cost hangs on it.
const _: () = assert!(size_of::<Slot>() == 72);

/// Where a group lies. Stays valid until the group is removed; afterwards it leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupId {
    slot: u32,
    generation: u32,
}

/// The groups of one rule at one level, in the order in which they were touched.
#[derive(Clone, Copy, Debug)]
struct Order {
    newest: u32,
    oldest: u32,
}

/// What one rule takes up.
#[derive(Clone, Debug)]
struct RuleGroups {
    levels: [Order; LEVELS],
    /// How often groups of the rule were touched.
    ticks: u32,
    bytes: usize,
    reach: i64,
}

/// A group that was removed.
#[derive(Debug)]
pub(crate) struct Removed {
    pub(crate) rule: u32,
    pub(crate) key: SmallBytes,
    pub(crate) body: Body,
}

/// A group in a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredGroup<K, B> {
    key: K,
    body: B,
    tick: u32,
    touched: u32,
    level: u8,
}

/// The groups of one rule in a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredGroups<G = Vec<StoredGroup<SmallBytes, Body>>> {
    ticks: u32,
    /// Level by level, the one that was touched longest ago first.
    groups: G,
}

#[derive(Debug)]
pub(crate) struct Groups {
    slots: Vec<Vec<Slot>>,
    /// The first of the empty slots, which are linked by `newer`.
    free: u32,
    by_key: HashTable<u32>,
    /// Seeded at random per process, so that a sender cannot choose keys that collide. Nothing is iterated in hash
    /// order.
    hasher: foldhash::quality::RandomState,
    /// By index of the rule.
    rules: Vec<RuleGroups>,
    bytes: usize,
}

impl Groups {
    /// For rules whose groups reach back as far as `reaches` says.
    pub(crate) fn new(reaches: impl Iterator<Item = i64>) -> Self {
        let none = Order { newest: NONE, oldest: NONE };
        let rules = reaches.map(|reach| RuleGroups { levels: [none; LEVELS], ticks: 0, bytes: 0, reach });
        Self {
            slots: Vec::new(),
            free: NONE,
            by_key: HashTable::new(),
            hasher: foldhash::quality::RandomState::default(),
            rules: rules.collect(),
            bytes: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Memory of all groups. Goes by what is in them, so that it is the same after a restart.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        self.slots.get(index as usize / CHUNK)?.get(index as usize % CHUNK)
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize / CHUNK)?.get_mut(index as usize % CHUNK)
    }

    /// The group of `key`, which is added if there is none.
    pub(crate) fn find_or_add(&mut self, rule: u32, key: &[u8]) -> GroupId {
        let rule = rule as u16;
        let hash = self.hasher.hash_one((rule, key));
        let is_it = |it: &u32| self.slot(*it).is_some_and(|it| it.rule == rule && it.key.as_slice() == key);
        if let Some(slot) = self.by_key.find(hash, is_it).copied() {
            return GroupId { slot, generation: self.slot(slot).map_or(0, |it| it.generation) };
        }
        let index = self.take_slot();
        let Some(slot) = self.slot_mut(index) else { return GroupId { slot: NONE, generation: 0 } };
        (slot.key, slot.rule, slot.level) = (key.into(), rule, 0);
        let (generation, bytes) = (slot.generation, GROUP_BYTES + slot.key.bytes());
        self.index(index);
        self.add_bytes(rule, bytes);
        self.link(index);
        GroupId { slot: index, generation }
    }

    fn take_slot(&mut self) -> u32 {
        if let Some(next) = self.slot(self.free).map(|it| it.newer) {
            return std::mem::replace(&mut self.free, next);
        }
        if self.slots.last().is_none_or(|it| it.len() == CHUNK) {
            self.slots.push(Vec::with_capacity(CHUNK));
        }
        let chunk = self.slots.len() - 1;
        let Some(last) = self.slots.last_mut() else { return NONE };
        last.push(Slot::default());
        (chunk * CHUNK + last.len() - 1) as u32
    }

    /// Puts the slot at `index` into the table.
    fn index(&mut self, index: u32) {
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash = |it: &u32| {
            let slot = slots.get(*it as usize / CHUNK).and_then(|chunk| chunk.get(*it as usize % CHUNK));
            slot.map_or(0, |slot| hasher.hash_one((slot.rule, slot.key.as_slice())))
        };
        self.by_key.insert_unique(hash(&index), index, hash);
    }

    fn add_bytes(&mut self, rule: u16, bytes: usize) {
        self.bytes += bytes;
        if let Some(rule) = self.rules.get_mut(usize::from(rule)) {
            rule.bytes += bytes;
        }
    }

    fn remove_bytes(&mut self, rule: u16, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(rule) = self.rules.get_mut(usize::from(rule)) {
            rule.bytes = rule.bytes.saturating_sub(bytes);
        }
    }

    /// Takes the state of a group out, to be put back with [`put`](Self::put) or [`put_back`](Self::put_back).
    pub(crate) fn take(&mut self, id: GroupId) -> Option<Body> {
        let slot = self.slot_mut(id.slot).filter(|it| it.generation == id.generation)?;
        let body = std::mem::take(&mut slot.body);
        let (rule, bytes) = (slot.rule, body.bytes());
        self.remove_bytes(rule, bytes);
        Some(body)
    }

    /// Puts the state of a group back that was not touched.
    pub(crate) fn put_back(&mut self, id: GroupId, mut body: Body) {
        body.measure();
        let Some(slot) = self.slot_mut(id.slot).filter(|it| it.generation == id.generation) else { return };
        let (rule, bytes) = (slot.rule, body.bytes());
        slot.body = body;
        self.add_bytes(rule, bytes);
    }

    /// Puts the state of a group back that was touched when the clock showed `seconds`, and is now at `level`.
    pub(crate) fn put(&mut self, id: GroupId, body: Body, level: u8, seconds: u32) {
        self.unlink(id.slot);
        let Some(slot) = self.slot_mut(id.slot) else { return };
        (slot.level, slot.touched) = (level.min(LEVELS as u8 - 1), seconds);
        let rule = slot.rule;
        self.put_back(id, body);
        let ticks = self.rules.get_mut(usize::from(rule)).map_or(0, |it| {
            it.ticks = it.ticks.wrapping_add(1);
            it.ticks
        });
        if let Some(slot) = self.slot_mut(id.slot) {
            slot.tick = ticks;
        }
        self.link(id.slot);
    }

    /// Marks a group as one that has something to tell. `false` if it was already.
    pub(crate) fn list(&mut self, id: GroupId) -> bool {
        self.mark(id, LISTED)
    }

    /// Marks a group as one that is still to be put away. `false` if it was already.
    pub(crate) fn open(&mut self, id: GroupId) -> bool {
        self.mark(id, OPEN)
    }

    fn mark(&mut self, id: GroupId, mark: u8) -> bool {
        let Some(slot) = self.slot_mut(id.slot) else { return false };
        let is_new = slot.marks & mark == 0;
        slot.marks |= mark;
        is_new
    }

    /// Undoes [`open`](Self::open) and puts the group away, if it is still there.
    pub(crate) fn close(&mut self, id: GroupId) {
        if let Some(slot) = self.slot_mut(id.slot).filter(|it| it.generation == id.generation) {
            slot.marks &= !OPEN;
        }
        match self.take(id) {
            Some(Body::Whole(group)) => self.put_back(id, group.put_away()),
            Some(body) => self.put_back(id, body),
            None => {}
        }
    }

    /// Undoes [`list`](Self::list). Returns the group's rule and key, if it is still there.
    pub(crate) fn unlist(&mut self, id: GroupId) -> Option<(u32, SmallBytes)> {
        let slot = self.slot_mut(id.slot).filter(|it| it.generation == id.generation)?;
        slot.marks &= !LISTED;
        Some((u32::from(slot.rule), slot.key.clone()))
    }

    /// Removes what is to be forgotten first, but not `except`. `time` is the event's for which room is made.
    pub(crate) fn forget(&mut self, except: GroupId, time: i64) -> Option<Removed> {
        let own = self.slot(except.slot).map_or(0, |it| it.rule);
        // The first of the largest. Correlations are few, and this runs only while memory is full.
        let rules = || self.rules.iter().zip(0_u16..);
        let largest = |not: Option<u16>| {
            let others = rules().filter(|(_, index)| Some(*index) != not);
            others.max_by(|(left, a), (right, b)| left.bytes.cmp(&right.bytes).then(b.cmp(a)))
        };
        let (rule, index) = largest(None)?;
        let chosen = self.first_of(rule, except, time);
        if chosen.is_none() && index == own {
            let (rule, _) = largest(Some(own))?;
            let chosen = self.first_of(rule, except, time)?;
            return self.remove(chosen);
        }
        self.remove(chosen?)
    }

    /// The slot of the group of `rule` that is to be forgotten first.
    fn first_of(&self, rule: &RuleGroups, except: GroupId, time: i64) -> Option<u32> {
        let mut chosen: Option<(u32, u32)> = None;
        for (level, order) in rule.levels.iter().enumerate() {
            let mut oldest = order.oldest;
            if oldest == except.slot {
                oldest = self.slot(oldest).map_or(NONE, |it| it.newer);
            }
            let Some(slot) = self.slot(oldest) else { continue };
            if slot.body.newest().saturating_add(rule.reach) < time {
                return Some(oldest);
            }
            let age = rule.ticks.wrapping_sub(slot.tick) >> level;
            if chosen.is_none_or(|(most, _)| age > most) {
                chosen = Some((age, oldest));
            }
        }
        Some(chosen?.1)
    }

    /// Removes groups that were last touched before the clock showed what `before` says of the reach of their rule; at
    /// most [`IDLE_MAX`] at once, so that no frame waits for long.
    pub(crate) fn remove_idle(&mut self, before: impl Fn(i64) -> u32) {
        let mut left = IDLE_MAX;
        for rule in 0..self.rules.len() {
            for level in 0..LEVELS {
                while left > 0
                    && let Some(it) = self.rules.get(rule)
                    && let Some(oldest) = it.levels.get(level).map(|order| order.oldest)
                    && self.slot(oldest).is_some_and(|slot| slot.touched < before(it.reach))
                {
                    self.remove(oldest);
                    left -= 1;
                }
            }
        }
    }

    fn remove(&mut self, index: u32) -> Option<Removed> {
        self.unlink(index);
        let free = self.free;
        let slot = self.slot_mut(index)?;
        let (key, body, rule) = (std::mem::take(&mut slot.key), std::mem::take(&mut slot.body), slot.rule);
        slot.generation = slot.generation.wrapping_add(1);
        slot.marks = 0;
        slot.newer = free;
        self.free = index;
        let hash = self.hasher.hash_one((rule, key.as_slice()));
        if let Ok(entry) = self.by_key.find_entry(hash, |it| *it == index) {
            entry.remove();
        }
        self.remove_bytes(rule, GROUP_BYTES + key.bytes() + body.bytes());
        Some(Removed { rule: u32::from(rule), key, body })
    }

    /// Gives back memory once most slots are empty. All ids lead nowhere afterwards.
    pub(crate) fn compact(&mut self) {
        let most = self.slots.len() * CHUNK;
        if most < 16 * CHUNK || self.len() > most / 4 {
            return;
        }
        let stored: Vec<StoredGroups> = (0..self.rules.len() as u32).map(|it| self.take_rule(it)).collect();
        let hasher = self.hasher.clone();
        let mut fresh = Self { hasher, ..Self::new(self.rules.iter().map(|it| it.reach)) };
        for (rule, stored) in stored.into_iter().enumerate() {
            fresh.restore(rule as u32, stored);
        }
        *self = fresh;
    }

    /// The groups of `rule` for a checkpoint, to be read as [`StoredGroups`]; `None` if there are none.
    pub(crate) fn stored(&self, rule: u32) -> Option<impl Serialize + '_> {
        let groups = move || self.of_rule(rule).filter_map(|it| Some(self.slot(it)?.stored()));
        let ticks = self.rules.get(rule as usize)?.ticks;
        groups().next().is_some().then_some(StoredGroups { ticks, groups: Sequence(groups) })
    }

    /// The slots of all groups of `rule`: level by level, the one that was touched longest ago first.
    fn of_rule(&self, rule: u32) -> impl Iterator<Item = u32> {
        let levels = self.rules.get(rule as usize).map_or(&[] as &[Order], |it| &it.levels);
        levels.iter().flat_map(move |order| {
            let mut next = order.oldest;
            std::iter::from_fn(move || {
                let this = next;
                next = self.slot(this)?.newer;
                Some(this)
            })
        })
    }

    /// Takes all groups of `rule` out for good. Others cannot be added any more: this is the end of the whole.
    pub(crate) fn take_rule(&mut self, rule: u32) -> StoredGroups {
        let ticks = self.rules.get(rule as usize).map_or(0, |it| it.ticks);
        let slots: Vec<u32> = self.of_rule(rule).collect();
        let take = |it: u32| {
            let slot = self.slot_mut(it)?;
            let Slot { key, body, tick, touched, level, .. } = std::mem::take(slot);
            Some(StoredGroup { key, body, tick, touched, level })
        };
        StoredGroups { ticks, groups: slots.into_iter().filter_map(take).collect() }
    }

    /// Puts the groups of a checkpoint back.
    pub(crate) fn restore(&mut self, rule: u32, stored: StoredGroups) {
        for StoredGroup { key, body, tick, touched, level } in stored.groups {
            let id = self.find_or_add(rule, key.as_slice());
            self.take(id);
            self.put(id, body, level, touched);
            if let Some(slot) = self.slot_mut(id.slot) {
                slot.tick = tick;
            }
        }
        if let Some(rule) = self.rules.get_mut(rule as usize) {
            rule.ticks = stored.ticks;
        }
    }

    fn link(&mut self, index: u32) {
        let Some((rule, level)) = self.slot(index).map(|it| (usize::from(it.rule), usize::from(it.level))) else {
            return;
        };
        let Some(order) = self.rules.get_mut(rule).and_then(|it| it.levels.get_mut(level)) else { return };
        let before = std::mem::replace(&mut order.newest, index);
        if before == NONE {
            order.oldest = index;
        }
        if let Some(slot) = self.slot_mut(before) {
            slot.newer = index;
        }
        if let Some(slot) = self.slot_mut(index) {
            (slot.newer, slot.older) = (NONE, before);
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some(slot) = self.slot(index) else { return };
        let (newer, older, rule, level) = (slot.newer, slot.older, usize::from(slot.rule), usize::from(slot.level));
        match self.slot_mut(newer) {
            Some(slot) => slot.older = older,
            None => {
                if let Some(order) = self.rules.get_mut(rule).and_then(|it| it.levels.get_mut(level)) {
                    order.newest = older;
                }
            }
        }
        match self.slot_mut(older) {
            Some(slot) => slot.newer = newer,
            None => {
                if let Some(order) = self.rules.get_mut(rule).and_then(|it| it.levels.get_mut(level)) {
                    order.oldest = newer;
                }
            }
        }
    }
}

impl Slot {
    fn stored(&self) -> StoredGroup<&SmallBytes, &Body> {
        let Self { key, body, tick, touched, level, .. } = self;
        StoredGroup { key, body, tick: *tick, touched: *touched, level: *level }
    }
}
