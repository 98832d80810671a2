//! What the standard library should have.
//!
//! # Where to look first
//! * [`decompress`]: gzip, zstd and deflate that cannot fill the memory.
//! * [`ErrorChain`]: an error and everything that caused it, in one line.
//!
//! # Invariants
//! * Depends on no other Panoptes crate; knows nothing of logs.
//! * No I/O but through readers that it is handed, no clock, no threads.

pub mod decompress;
mod error_chain;

pub use crate::error_chain::ErrorChain;
