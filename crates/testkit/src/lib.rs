//! What tests share: the runner for `tests/cases/`, the corpora, and a running instance to talk to.
//!
//! # Where to look first
//! * [`cases::run`]: one story under `tests/cases/` through the real binary. `tests/cases/README.md` says how a case is
//!   written.
//! * [`Server`]: `panoptes run` in a temporary folder, with everything that hurts: `kill -9`, restart.
//! * [`crash`]: a server that is killed again and again, and what must be there afterwards.
//! * [`traces`]: what somebody without the key could read in a data folder.
//! * [`corpora`]: the public data sets, which lie outside the repository.
//! * [`staged_week`]: a company with habits, and forty oddities planted among them.
//!
//! # Invariants
//! * Nothing waits for a fixed time: whatever is waited for is polled until a deadline ([`wait_until`]).
//! * Nothing touches the user's own configuration, key or data: both start the binary in an empty home.
//! * Only tests depend on this crate.

pub mod cases;
mod corpora;
pub mod crash;
mod http;
mod matching;
mod process;
mod server;
pub mod staged_week;
pub mod traces;
mod waiting;

pub use corpora::{corpora, repository};
pub use http::{Answer, get, post};
pub use process::Finished;
pub use server::{Server, ServerBuilder, free_port};
pub use waiting::wait_until;
