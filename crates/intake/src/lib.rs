//! Bytes in: files, HTTP, TCP, syslog, standard input and imports become [`RawBatch`](panoptes_model::RawBatch)es.
//!
//! An *input* takes bytes from outside, finds where one record ends and the next begins, notes where each is from,
//! and hands batches of them to the [`Sink`]. What a record says is not read here. An input that can acknowledge does
//! so once the batch is durable, and not before; one that can slow its sender down does so when the queue is full.
//!
//! # Where to look first
//! * [`Sink`] and [`Submissions`]: the one way out, and the pipeline's end of it.
//! * [`inputs::ALL`]: the list of inputs; `inputs/tcp.rs` is the shortest.
//! * [`limits`]: every bound, and what happens when it is reached.
//! * [`Counters`]: how the books are kept.
//!
//! # Invariants
//! * Every record is received once and ends in exactly one of accepted, rejected (reason) and dropped (reason).
//! * Memory is bounded: the queue by bytes, what connections and requests hold by shared budgets, decompression by
//!   size and ratio.
//! * No bytes make it panic. Nothing is decompressed but through `panoptes_stdx::decompress`.
//! * The clock is injected ([`Context::clock`](Context)).

mod archive;
mod audit;
mod budget;
mod container;
mod context;
mod counters;
mod cut;
mod cutter;
mod flight;
mod framing;
mod headed;
pub mod inputs;
mod journal;
pub mod limits;
mod pattern;
mod sink;
mod source;
mod stream;
mod text;

pub use crate::context::{Clock, Context, InputError};
pub use crate::counters::{Counters, DropReason, RejectReason, SourceCounts, SourceTotals};
pub use crate::sink::{
    Committed, Depth, Full, Line, Pending, Sink, SinkError, SinkLimits, Submission, Submissions, Ticket,
};
pub use crate::source::{SourceInvalid, check_source};
