//! Adds to [`Event`](panoptes_model::Event)s what is known of their values from elsewhere: where an address lies and
//! whose it is, what a user agent says of itself, which part of a domain can be registered, which lists name a value.
//!
//! ```text
//! files, configuration ─▶ Snapshot ─▶ Enricher ─▶ BatchEnricher::complete, once per event before it is closed
//! ```
//!
//! A [`Snapshot`] is everything that is known at one moment. It never changes: who wants to know something newer makes
//! another, with the parts that have not changed, and another [`Enricher`] over it.
//!
//! # Where to look first
//! * [`Enricher`]: what is added to which event, and what of the sender's is kept.
//! * `fields.rs`: all names that are written.
//! * [`Database`], [`List`], [`Network`], [`Asset`]: what is known, one file each.
//!
//! # Invariants
//! * No I/O, no threads, no clock: files are read outside, and `now` is that of the frame.
//! * The same event, snapshot and `now` give the same fields, whatever was looked up before: a memo changes what a
//!   look-up costs, never what it says.
//! * A database, list or value of any bytes neither panics nor takes unbounded time or memory; what could not be
//!   looked up is counted ([`Snapshot::lookups_failed`]).
//! * What a sender says of geography, user agents and domains stays; what only Panoptes can know (own networks, assets,
//!   lists) a sender cannot say.

mod address;
mod agent;
mod cidr;
mod database;
mod domain;
mod enricher;
mod facts;
mod fields;
mod list;
mod memo;
mod snapshot;

pub use crate::database::{DATABASE_BYTES_MAX, Database, DatabaseError};
pub use crate::enricher::{BatchEnricher, Enricher};
pub use crate::list::{KeyKind, LIST_BYTES_MAX, LIST_ENTRIES_MAX, List, ListError, ListOptions};
pub use crate::snapshot::{Asset, Network, Parts, Snapshot};
