//! Turns records into [`Event`](panoptes_model::Event)s.
//!
//! A *format* reads one record and writes what it understood as ECS fields. Which format is asked follows from the
//! first byte; the last to be asked, plain text, takes everything. So one record is always exactly one event, and a
//! record that nobody understood is an event that says so ([`Event::is_unparsed`](panoptes_model::Event::is_unparsed)).
//! What the fields mean is written down in `docs/fields.md`.
//!
//! # Where to look first
//! * [`Normalizer`]: a frame of records in, a batch of events out.
//! * [`formats::ALL`]: every format with an example. To add one, copy `formats/nginx_error.rs` and list it there.
//! * `services/` and `rules/formats/*.toml`: services whose messages are told apart by files (`docs/formats.md`).
//! * `programs/`: what programs say through syslog (sshd, sudo, su, PAM, cron…), one file each; `devices/`: what
//!   routers and firewalls say.
//! * [`json`], `time.rs`, `address.rs`: the readers that formats share.
//!
//! # Invariants
//! * No I/O, no threads, no clock, no state beyond a frame (`connections.rs`): the same frame always gives the same
//!   events, on any core.
//! * No format fails and none panics; damage becomes an [`Anomaly`](panoptes_model::Anomaly).
//! * Text of fields is a slice of the record: no allocation per line on the usual paths.
//! * A record cannot speak for Panoptes: fields called `panoptes.*` that a sender writes are dropped (they stay in the
//!   original text).

mod address;
mod connections;
mod context;
mod devices;
mod event_xml;
mod explain;
mod fact;
pub mod formats;
pub mod json;
mod level;
mod login_phrases;
mod names;
mod normalizer;
mod programs;
mod services;
mod syslog;
mod text;
mod time;
mod url;

pub use crate::explain::{Explanation, FormatAsked};
pub use crate::normalizer::{Normalizer, Options};
pub use crate::services::{ServiceError, ServiceFile, ServiceFormats};
pub use crate::time::{Zone, ZoneUnknown};
