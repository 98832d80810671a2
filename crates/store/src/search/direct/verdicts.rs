//! Where queries found nothing: rows of segments that need not be read again when a query is asked again.
//!
//! Segments never change, and their names are not used twice, so that what is known of one stays true.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

/// How many blocks of rows are remembered over all queries; with more, all are forgotten.
const BLOCKS_MAX: usize = 64 << 10;
/// For how many queries blocks are remembered; with more, all are forgotten.
const QUERIES_MAX: usize = 256;

/// Path of a segment, row group, first row of the block.
type Block = (Arc<str>, usize, usize);

/// The blocks in which one query found nothing.
#[derive(Clone, Default)]
pub(in crate::search) struct Verdict(Arc<Mutex<HashSet<Block, RandomState>>>);

impl Verdict {
    pub(in crate::search) fn has_nothing(&self, block: &Block) -> bool {
        lock(&self.0).contains(block)
    }

    pub(in crate::search) fn found_nothing(&self, block: Block) {
        lock(&self.0).insert(block);
    }
}

/// What is known of the queries that were asked lately.
#[derive(Default)]
pub(in crate::search) struct Verdicts(Mutex<HashMap<String, Verdict>>);

impl Verdicts {
    /// Of the query that is written so.
    pub(in crate::search) fn of(&self, query: String) -> Verdict {
        let mut known = lock(&self.0);
        let blocks: usize = known.values().map(|it| lock(&it.0).len()).sum();
        if blocks >= BLOCKS_MAX || known.len() >= QUERIES_MAX && !known.contains_key(&query) {
            known.clear();
        }
        known.entry(query).or_default().clone()
    }
}

/// A panic elsewhere leaves what is known as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_query_has_its_own_and_no_more_are_kept_than_there_is_room_for() {
        let verdicts = Verdicts::default();
        let block = |row| -> Block { ("segments/a".into(), 0, row) };
        verdicts.of("a".to_owned()).found_nothing(block(0));
        assert!(verdicts.of("a".to_owned()).has_nothing(&block(0)));
        assert!(!verdicts.of("a".to_owned()).has_nothing(&block(1)));
        assert!(!verdicts.of("b".to_owned()).has_nothing(&block(0)));
        (0..QUERIES_MAX - 1).for_each(|n| drop(verdicts.of(n.to_string())));
        assert!(!verdicts.of("a".to_owned()).has_nothing(&block(0)), "one query too many");
        let many = verdicts.of("a".to_owned());
        (0..BLOCKS_MAX).for_each(|row| many.found_nothing(block(row)));
        assert!(!verdicts.of("a".to_owned()).has_nothing(&block(0)), "too many blocks");
    }
}
