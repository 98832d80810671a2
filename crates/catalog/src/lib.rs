//! What must be kept in order rather than in bulk: alerts and what people did to them, how far frames are folded, how
//! far sources are read.
//!
//! In go [`AlertUpdate`](panoptes_model::AlertUpdate)s, one transaction per fold; out come lists, single alerts and
//! figures. One SQL text serves SQLite (`catalog.sqlite` in the data folder) and, later, PostgreSQL.
//!
//! # Where to look first
//! * [`Catalog`]: every call. [`blocking::Catalog`] is the same for plain threads.
//! * `migrations/`: the tables, and what is in clear in them.
//! * `fold.rs`: the transaction on which recovery rests; `actions.rs`: the life of an alert.
//!
//! # Invariants
//! * A fold is all or nothing, and folding the same frames again changes nothing.
//! * What came from a sender or a person (entities, samples, titles, notes, names) is sealed, bound to its row, and
//!   found by keyed hashes. In clear are ids, rule ids, times, levels, states and counters.
//! * A commit that returned survives power loss (`synchronous=FULL`).
//! * Several processes may use one catalogue: every write takes the lock first (`BEGIN IMMEDIATE`) and reads again
//!   under it.
//! * No clock: `now` is an argument.

mod actions;
mod alerts;
pub mod blocking;
mod catalog;
mod cell;
mod error;
mod fold;
mod losses;
mod stats;
#[cfg(test)]
mod testing;
mod verify;

pub use crate::actions::{ACTOR_BYTES_MAX, NOTE_BYTES_MAX};
pub use crate::alerts::{
    AlertDetails, AlertFilter, AlertRecord, HISTORY_READ_MAX, HistoryEntry, HistoryKind, ID_PREFIX_MIN, LIST_MAX,
};
pub use crate::catalog::{Catalog, OpenMode};
pub use crate::error::CatalogError;
pub use crate::fold::{FoldOutcome, POSITIONS_MAX, SourcePosition};
pub use crate::losses::{LOSSES_MAX, Loss};
pub use crate::stats::{AlertStats, EntityCount, RuleCount, TOP_MAX};
pub use crate::verify::CatalogCheck;
