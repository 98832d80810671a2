//! Composes the pure middle: a [`LogFrame`] goes in, [`Effects`] come out.
//!
//! ```text
//! LogFrame ─▶ Preparer::prepare ─▶ PreparedFrame ─▶ Fold::fold ─▶ Effects
//!             stateless, any core                   all state, in log order
//! ```
//!
//! The live run, `scan`, `import`, replay after a crash and every test of detection are this code with another
//! source of frames.
//!
//! # Where to look first
//! * [`Preparer`]: normalises and evaluates single-event rules.
//! * [`Fold`]: windows, never-seen patterns, deduplication; its checkpoint.
//!
//! # Invariants
//! * No I/O, no clock, no threads, no unseeded randomness: the same frames in the same order give the same effects.
//! * [`Fold::fold`] refuses frames out of order; a frame at or below its mark changes nothing.

mod checkpoint;
mod fold;
mod prepare;

pub use crate::checkpoint::CheckpointError;
pub use crate::fold::{Effects, Fold, FoldOptions, Gathered, InputPosition};
pub use crate::prepare::{PreparedFrame, Preparer};

pub use panoptes_model::LogFrame;
