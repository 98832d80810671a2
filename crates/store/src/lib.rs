//! Keeps evidence: what came in, encrypted, durable and searchable.
//!
//! In go [`LogFrame`](panoptes_model::LogFrame)s, which [`log::Log`] makes durable before anything is derived from them,
//! and batches of events, which become immutable sealed segments. Out come frames after a restart, and the events that a
//! search asks for. The store knows nothing of rules, alerts or users.
//!
//! # Where to look first
//! * [`Store`]: what the pipeline writes to; [`StoreReader`]: the same folder from another process.
//! * [`search::Searcher`]: what searches go through; [`search::Query`]: their language.
//! * [`disk`]: all file work goes through [`disk::Disk`], so that [`disk::SimDisk`] can lose what a real disk may lose.
//! * [`log`]: the write-ahead log and its format.
//! * [`manifest`]: which segments there are, as a chain of sealed entries.
//! * [`retention`]: how long events are kept; [`holds`]: what must not be deleted.
//! * [`verify`]: reads everything and says what is not as it should be.
//! * [`keys`]: the key slots of the data folder, and how a key is exchanged.
//! * [`lock`]: one process per data folder.
//! * [`pivot`]: which columns events have in segments; `segment.rs`: how segments lie on disk; `compact/`: how small ones
//!   become large ones; [`words`]: by what a search leaves them out.
//!
//! # Invariants
//! * Every byte in the data folder but names, sizes and the lock is sealed ([`panoptes_seal`]).
//! * What was acknowledged survives a loss of power; what was not is there whole or not at all.
//! * Files are appended to or removed, never changed, but that the data key of one that goes is written over first; a
//!   damaged block costs that block.
//! * No clock: time arrives with the data.

mod compact;
mod damage;
pub mod disk;
mod erase;
pub mod holds;
pub mod keys;
pub mod lock;
pub mod log;
pub mod manifest;
#[cfg(feature = "search")]
mod object;
pub mod pivot;
mod record;
pub mod retention;
mod sealed_file;
#[cfg(feature = "search")]
pub mod search;
mod segment;
mod store;
pub mod verify;
pub mod words;

pub use crate::compact::CompactError;
pub use crate::erase::Person;
pub use crate::segment::SegmentWriteError;
pub use crate::store::{Compaction, Deletion, Erased, Store, StoreError, StoreOptions, StoreReader};
