//! Batches on their way to the disk.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;

use crate::sink::{Committed, Pending, SinkError};

/// Batches that wait for their acknowledgement, the oldest first: they become durable in that order.
#[derive(Default)]
pub(crate) struct Flight(VecDeque<(Pending, u64)>);

impl Flight {
    pub(crate) fn push(&mut self, pending: Pending, records: u64) {
        self.0.push_back((pending, records));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The answer to the oldest batch and its number of records. Safe to be cancelled.
    pub(crate) async fn next(&mut self) -> Option<(Result<Committed, SinkError>, u64)> {
        let (oldest, records) = self.0.front_mut()?;
        let records = *records;
        let result = poll_fn(|context| Pin::new(&mut *oldest).poll(context)).await;
        self.0.pop_front();
        Some((result, records))
    }
}
