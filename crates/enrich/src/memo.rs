//! What was looked up lately: few values make most of the traffic.

use std::borrow::Borrow;
use std::hash::Hash;

use hashbrown::HashMap;
use panoptes_model::{BatchWriter, Kept, Timestamp};

use crate::facts::{Facts, Slot};

/// Facts by value, at most `entries_max` of them: when one more comes, all are forgotten and it begins anew. That
/// costs a look-up per value again, which is what an attacker with countless addresses gets anyway.
pub(crate) struct Memo<K> {
    /// Seeded at random: senders choose the values.
    places: HashMap<K, u32, foldhash::quality::RandomState>,
    entries: Vec<Entry>,
    entries_max: usize,
}

struct Entry {
    facts: Facts,
    /// The batch that the values were put into last, and where they lie in it.
    batch: u64,
    kept: Vec<(Slot, Kept)>,
}

impl<K: Hash + Eq> Memo<K> {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { places: HashMap::default(), entries: Vec::new(), entries_max }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Where what is known of `key` at `now` stands, for [`kept`](Self::kept) before the next of these.
    #[inline]
    pub(crate) fn find<Q>(&mut self, key: &Q, now: Timestamp, look_up: impl FnOnce(&mut Facts)) -> usize
    where
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        K: Borrow<Q>,
    {
        if let Some(place) = self.places.get(key).map(|it| *it as usize)
            && self.entries.get(place).is_some_and(|it| it.facts.is_valid(now))
        {
            return place;
        }
        let mut facts = Facts::default();
        look_up(&mut facts);
        facts.all.shrink_to_fit();
        self.put(key, facts)
    }

    /// What stands at `place`, as values of the batch with the number `batch`.
    #[inline]
    pub(crate) fn kept(&mut self, place: usize, batch: u64, writer: &mut BatchWriter<'_>) -> (&Facts, &[(Slot, Kept)]) {
        static NOTHING: Facts = Facts::NOTHING;
        let Some(entry) = self.entries.get_mut(place) else { return (&NOTHING, &[]) };
        if entry.batch != batch {
            entry.facts.keep(writer, &mut entry.kept);
            entry.batch = batch;
        }
        (&entry.facts, &entry.kept)
    }

    #[cold]
    fn put<Q>(&mut self, key: &Q, facts: Facts) -> usize
    where
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        K: Borrow<Q>,
    {
        let entry = Entry { facts, batch: 0, kept: Vec::new() };
        if let Some(place) = self.places.get(key).map(|it| *it as usize)
            && let Some(known) = self.entries.get_mut(place)
        {
            *known = entry;
            return place;
        }
        if self.entries.len() >= self.entries_max {
            self.places.clear();
            self.entries.clear();
        }
        let place = self.entries.len();
        self.entries.push(entry);
        self.places.insert(key.to_owned(), place as u32);
        place
    }
}
