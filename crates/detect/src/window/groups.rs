//! The groups of one correlation in one shard: found by key, forgotten in the order in which they were last touched.

use std::hash::BuildHasher;

use hashbrown::HashTable;

/// No slot.
const NONE: u32 = u32::MAX;

/// One group and its place in the order of touches.
#[derive(Debug)]
struct Slot<G> {
    key: Box<[u8]>,
    newer: u32,
    older: u32,
    /// Changes whenever the slot gets another group.
    generation: u32,
    group: Option<G>,
}

/// Where a group lies. Stays valid until the group is removed; afterwards it leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupId {
    slot: u32,
    generation: u32,
}

#[derive(Debug)]
pub(crate) struct Groups<G> {
    slots: Vec<Slot<G>>,
    free: Vec<u32>,
    by_key: HashTable<u32>,
    /// Seeded at random per process, so that a sender cannot choose keys that collide. Nothing is iterated in hash
    /// order.
    hasher: foldhash::quality::RandomState,
    newest: u32,
    oldest: u32,
}

impl<G> Groups<G> {
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashTable::new(),
            hasher: foldhash::quality::RandomState::default(),
            newest: NONE,
            oldest: NONE,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The group of `key`, which becomes the one that was touched last.
    pub(crate) fn touch(&mut self, key: &[u8]) -> Option<GroupId> {
        let hash = self.hasher.hash_one(key);
        let slot = *self.by_key.find(hash, |it| self.slots.get(*it as usize).is_some_and(|slot| *slot.key == *key))?;
        if self.newest != slot {
            self.unlink(slot);
            self.link(slot);
        }
        Some(GroupId { slot, generation: self.slots.get(slot as usize)?.generation })
    }

    /// Adds a group under a key that has none, as the one that was touched last.
    pub(crate) fn insert(&mut self, key: &[u8], group: G) -> GroupId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { key: Box::default(), newer: NONE, older: NONE, generation: 0, group: None });
            self.slots.len() as u32 - 1
        });
        let mut generation = 0;
        if let Some(place) = self.slots.get_mut(slot as usize) {
            place.key = key.into();
            place.group = Some(group);
            generation = place.generation;
        }
        let (slots, hasher) = (&self.slots, &self.hasher);
        let key_of = |it: &u32| slots.get(*it as usize).map_or(&[] as &[u8], |slot| &slot.key);
        self.by_key.insert_unique(hasher.hash_one(key), slot, |it| hasher.hash_one(key_of(it)));
        self.link(slot);
        GroupId { slot, generation }
    }

    pub(crate) fn get_mut(&mut self, id: GroupId) -> Option<(&[u8], &mut G)> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        Some((&slot.key, slot.group.as_mut()?))
    }

    /// The group that was touched longest ago.
    pub(crate) fn oldest(&self) -> Option<&G> {
        self.slots.get(self.oldest as usize)?.group.as_ref()
    }

    /// Removes the group that was touched longest ago.
    pub(crate) fn remove_oldest(&mut self) -> Option<(Box<[u8]>, G)> {
        let slot = self.oldest;
        let hash = self.hasher.hash_one(&*self.slots.get(slot as usize)?.key);
        if let Ok(entry) = self.by_key.find_entry(hash, |it| *it == slot) {
            entry.remove();
        }
        self.unlink(slot);
        let place = self.slots.get_mut(slot as usize)?;
        place.generation = place.generation.wrapping_add(1);
        let removed = (std::mem::take(&mut place.key), place.group.take()?);
        self.free.push(slot);
        Some(removed)
    }

    /// All groups, the one that was touched longest ago first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &G)> {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let slot = self.slots.get(next as usize)?;
            next = slot.newer;
            Some((&*slot.key, slot.group.as_ref()?))
        })
    }

    fn link(&mut self, slot: u32) {
        let before = self.newest;
        if let Some(place) = self.slots.get_mut(slot as usize) {
            (place.newer, place.older) = (NONE, before);
        }
        match self.slots.get_mut(before as usize) {
            Some(place) => place.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
    }

    fn unlink(&mut self, slot: u32) {
        let Some((newer, older)) = self.slots.get(slot as usize).map(|it| (it.newer, it.older)) else { return };
        match self.slots.get_mut(newer as usize) {
            Some(place) => place.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(place) => place.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(groups: &Groups<u8>) -> Vec<u8> {
        groups
            .iter()
            .map(|(key, group)| {
                assert_eq!(key, [*group]);
                *group
            })
            .collect()
    }

    #[test]
    fn groups_are_kept_in_the_order_in_which_they_were_touched() {
        let mut groups = Groups::new();
        for it in 0..4 {
            groups.insert(&[it], it);
        }
        assert_eq!(keys(&groups), [0, 1, 2, 3]);
        let zero = groups.touch(&[0]).unwrap();
        groups.touch(&[2]);
        assert_eq!(keys(&groups), [1, 3, 0, 2]);
        assert_eq!(groups.oldest(), Some(&1));
        assert_eq!(groups.remove_oldest().map(|(_, it)| it), Some(1));
        assert_eq!(groups.remove_oldest().map(|(_, it)| it), Some(3));
        assert_eq!((keys(&groups), groups.len()), (vec![0, 2], 2));
        assert_eq!(groups.get_mut(zero).map(|(_, it)| *it), Some(0));
        assert!(groups.touch(&[1]).is_none());
    }

    #[test]
    fn the_id_of_a_removed_group_leads_nowhere_even_when_its_slot_is_used_again() {
        let mut groups = Groups::new();
        let first = groups.insert(&[1], 1_u8);
        groups.remove_oldest();
        assert!(groups.get_mut(first).is_none());
        groups.insert(&[2], 2);
        assert!(groups.get_mut(first).is_none());
        assert_eq!(keys(&groups), [2]);
        assert_eq!(groups.remove_oldest().map(|(_, it)| it), Some(2));
        assert!(groups.remove_oldest().is_none());
    }
}
