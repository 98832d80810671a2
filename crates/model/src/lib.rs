//! The nouns of Panoptes: what each stage hands to the next.
//!
//! ```text
//! RawRecord ─▶ Event ─▶ Finding ─▶ Alert ─▶ Incident ─▶ Report
//! ```
//!
//! Data travels in batches: [`RawBatch`] from intake, [`LogFrame`] once durable, [`EventBatch`] after `prepare`.
//!
//! # Where to look first
//! * [`EventBatch`]: how events lie in memory, and [`BatchWriter`], how formats fill them.
//! * [`Schema`] and [`field`]: the names and types of fields.
//!
//! # Invariants
//! * No I/O, no clock, no threads; depends on no other Panoptes crate. Every other crate may depend on it.
//! * Nothing here panics on hostile input: offsets are checked where they are read.

mod anomaly;
mod batch;
mod finding;
mod id;
mod keys;
mod raw;
mod schema;
mod severity;
mod time;
mod writer;

pub use crate::anomaly::{Anomalies, Anomaly};
pub use crate::batch::{Event, EventBatch, List, Value, write_ip};
pub use crate::finding::{
    Alert, AlertState, AlertUpdate, EVIDENCE_MAX, Entity, Finding, FindingOrigin, Resolution, RuleSummary,
    SAMPLE_BYTES_MAX, WordUnknown, sample_of,
};
pub use crate::id::{AlertId, EventId, EventIdMalformed, FindingId, FrameId, content_hash};
pub use crate::raw::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, LogFrame, Origin, RECORD_BYTES_MAX, RawBatch, RawRecord};
pub use crate::schema::{FieldId, FieldType, Schema, SchemaFull, field};
pub use crate::severity::{Severity, SeverityUnknown};
pub use crate::time::Timestamp;
pub use crate::writer::{BatchWriter, EVENT_FIELDS_MAX, Kept, LOCAL_NAMES_MAX, Pairs, PairsThere};
