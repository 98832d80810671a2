//! Which rules new records meet.

use std::sync::{Mutex, PoisonError};

use panoptes_engine::Preparer;

/// The preparer for the rules in force. The committer asks for each group that it writes; what it was given travels
/// with the frames, so that a change falls between two frames and nowhere else.
pub(crate) struct InForce {
    preparer: Mutex<Preparer>,
}

impl InForce {
    pub(super) fn new(preparer: Preparer) -> Self {
        Self { preparer: Mutex::new(preparer) }
    }

    pub(crate) fn get(&self) -> Preparer {
        // A panic while holding this lock cannot leave half a preparer.
        self.preparer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts `preparer` in force for all frames that are committed from now on.
    pub(crate) fn replace(&self, preparer: Preparer) {
        *self.preparer.lock().unwrap_or_else(PoisonError::into_inner) = preparer;
    }
}
