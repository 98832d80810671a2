//! Questions that are answered without the engine: some columns of each segment are read, page by page, and conditions
//! and groups work on the codes of their dictionaries.
//!
//! The engine plans each question anew for each segment and makes texts of codes before anything is compared; for the
//! questions that people ask most that is nearly all that they cost. What this module does not know how to read or to
//! ask is [`Failure::Unusual`]: the engine then answers, as it does when a segment is damaged, so that there is one
//! place that tells what is lost. Nothing here changes what an answer is.
//!
//! # Where to look first
//! * [`Sieve`]: a query as conditions on columns. [`Rows`]: the columns of a row group, or of what is in memory.
//! * `layout.rs`: where columns lie. `decode.rs`: pages to values. `thrift.rs`: what lies around pages.

mod decode;
mod layout;
mod rows;
mod sieve;
mod thrift;
mod verdicts;

pub(super) use self::decode::{Decoded, Decompressor, Kind, NULL, Values};
pub(super) use self::layout::Layouts;
pub(super) use self::rows::{GroupRows, HotRows, Rows, View};
pub(super) use self::sieve::{Sieve, kind_of};
pub(super) use self::verdicts::{Verdict, Verdicts};
use crate::object::SegmentError;

/// What is not known here; the engine answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unusual(pub(super) &'static str);

/// Why there is no answer from here.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Unusual(#[from] Unusual),
    /// The store has noted what is damaged.
    #[error(transparent)]
    Segment(Box<SegmentError>),
}

impl From<SegmentError> for Failure {
    fn from(error: SegmentError) -> Self {
        Self::Segment(Box::new(error))
    }
}
