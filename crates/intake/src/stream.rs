//! Reads one byte stream to its end: what TCP, syslog over TCP and standard input share.

use std::future::pending;
use std::time::Duration;

use panoptes_model::RawBatch;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, sleep_until, timeout};

use crate::audit::Ending;
use crate::budget::Lease;
use crate::context::Context;
use crate::counters::SourceCounts;
use crate::cutter::Cutter;
use crate::flight::Flight;
use crate::framing::Framing;
use crate::limits::{
    DRAIN_BYTES_MAX, DRAIN_QUIET, READ_BYTES_MAX, READ_BYTES_MIN, STREAM_BATCH_BYTES, STREAM_FLUSH,
    STREAM_IN_FLIGHT_MAX,
};
use crate::sink::SinkError;

/// Why a stream is not read any further.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its sender closed it.
    BySender,
    /// Its sender broke it off, or the network did.
    Broken(std::io::ErrorKind),
    Idle,
    ByShutdown,
    /// The log failed: to read on would lose more.
    BySink(SinkError),
}

pub(crate) struct Stream<'c, R, F> {
    pub(crate) reader: R,
    pub(crate) cutter: Cutter<F>,
    /// The share of a memory that all streams of a listener have together; without one the memory is the stream's own.
    pub(crate) lease: Option<Lease>,
    pub(crate) counts: &'c SourceCounts,
    pub(crate) context: &'c Context,
    pub(crate) idle_timeout: Option<Duration>,
}

impl<R: AsyncRead + Unpin, F: Framing> Stream<'_, R, F> {
    /// Returns once all that was read is settled.
    pub(crate) async fn run(mut self) -> Ended {
        let mut flight = Flight::default();
        let ended = match self.read_on(&mut flight).await {
            Ok(ended) => ended,
            Err(error) => Ended::BySink(error),
        };
        let ended = match ended {
            Ended::BySink(error) => {
                // What was read but could not be handed on any more is lost here, and so it is counted here.
                self.cutter.finish(self.context.now());
                let records = self.cutter.take(Ending::Closed).records.len() as u64;
                self.counts.received(records);
                self.counts.settle::<()>(&Err(error.clone()), records);
                Ended::BySink(error)
            }
            // A line that has begun was sent, so it is kept.
            ended => match self.finish(&mut flight).await {
                Ok(()) => ended,
                Err(error) => Ended::BySink(error),
            },
        };
        self.book_cut();
        while let Some((result, records)) = flight.next().await {
            self.counts.settle(&result, records);
        }
        ended
    }

    async fn read_on(&mut self, flight: &mut Flight) -> Result<Ended, SinkError> {
        let mut read_bytes = READ_BYTES_MIN;
        let mut flush_at: Option<Instant> = None;
        let mut idle_at = self.idle_timeout.map(|it| Instant::now() + it);
        loop {
            self.make_room(flight, read_bytes).await?;
            if self.cutter.records() == 0 {
                flush_at = None;
            } else if flush_at.is_none() {
                flush_at = Some(Instant::now() + STREAM_FLUSH);
            }
            let buffer = self.cutter.buffer(read_bytes);
            tokio::select! {
                biased;
                () = self.context.shutdown.cancelled() => {
                    self.drain(flight).await?;
                    return Ok(Ended::ByShutdown);
                }
                Some((result, records)) = flight.next(), if !flight.is_empty() => {
                    self.counts.settle(&result, records);
                    result?;
                }
                () = until(flush_at) => {
                    // What is held back is looked at again.
                    flush_at = None;
                    self.hand_on(flight, self.live()).await?;
                }
                read = self.reader.read_buf(buffer) => {
                    let length = match read {
                        Ok(0) => return Ok(Ended::BySender),
                        Ok(length) => length,
                        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                        Err(error) => return Ok(Ended::Broken(error.kind())),
                    };
                    idle_at = self.idle_timeout.map(|it| Instant::now() + it);
                    read_bytes = next_read(read_bytes, length);
                    self.cut(flight).await?;
                }
                () = until(idle_at) => return Ok(Ended::Idle),
            }
        }
    }

    /// Takes what the sender had sent before it could know of the shutdown.
    async fn drain(&mut self, flight: &mut Flight) -> Result<(), SinkError> {
        let mut drained = 0;
        while drained < DRAIN_BYTES_MAX {
            self.make_room(flight, READ_BYTES_MAX).await?;
            let buffer = self.cutter.buffer(READ_BYTES_MAX);
            match timeout(DRAIN_QUIET, self.reader.read_buf(buffer)).await {
                Ok(Ok(length)) if length > 0 => {
                    drained += length;
                    self.cut(flight).await?;
                }
                _ => break,
            }
        }
        Ok(())
    }

    async fn cut(&mut self, flight: &mut Flight) -> Result<(), SinkError> {
        let now = self.context.now();
        while !self.cutter.scan(now) {
            self.hand_on(flight, Ending::Live(now)).await?;
        }
        if self.cutter.bytes() - self.cutter.open_bytes() >= STREAM_BATCH_BYTES {
            self.hand_on(flight, Ending::Live(now)).await?;
        }
        Ok(())
    }

    async fn finish(&mut self, flight: &mut Flight) -> Result<(), SinkError> {
        self.cutter.finish(self.context.now());
        self.hand_on(flight, Ending::Closed).await
    }

    /// Sees to it that the next read stays within the shared memory.
    async fn make_room(&mut self, flight: &mut Flight, bytes: usize) -> Result<(), SinkError> {
        if self.grow_lease(bytes) {
            return Ok(());
        }
        // There is no memory to hold anything back.
        self.hand_on(flight, Ending::Closed).await?;
        if !self.grow_lease(bytes) && self.cutter.open_bytes() > READ_BYTES_MIN {
            self.cutter.cut_open(self.context.now());
            self.hand_on(flight, Ending::Closed).await?;
        }
        // With nothing held, the next read takes the part that every connection has of its own.
        let _within = self.grow_lease(0);
        Ok(())
    }

    fn grow_lease(&mut self, more: usize) -> bool {
        let bytes = (self.cutter.bytes() + more).saturating_sub(READ_BYTES_MIN);
        self.lease.as_mut().is_none_or(|it| it.resize(bytes))
    }

    fn live(&self) -> Ending {
        Ending::Live(self.context.now())
    }

    async fn hand_on(&mut self, flight: &mut Flight, ending: Ending) -> Result<(), SinkError> {
        self.book_cut();
        if self.cutter.records() == 0 {
            return Ok(());
        }
        let batch = self.cutter.take(ending);
        self.grow_lease(0);
        if batch.is_empty() {
            return Ok(());
        }
        let records = batch.records.len() as u64;
        self.counts.received(records);
        let result = self.enqueue(flight, batch).await;
        if result.is_err() {
            self.counts.settle(&result, records);
        }
        result
    }

    async fn enqueue(&self, flight: &mut Flight, batch: RawBatch) -> Result<(), SinkError> {
        if flight.len() >= STREAM_IN_FLIGHT_MAX
            && let Some((result, records)) = flight.next().await
        {
            self.counts.settle(&result, records);
            result?;
        }
        let records = batch.records.len() as u64;
        let pending = self.context.sink.enqueue(batch).await?;
        flight.push(pending, records);
        Ok(())
    }

    fn book_cut(&mut self) {
        let (records, bytes) = self.cutter.take_cut();
        self.counts.cut(records, bytes);
    }
}

/// Never, without an instant.
pub(crate) async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

/// Fast senders are read in large pieces; slow ones do not hold much memory.
fn next_read(asked: usize, got: usize) -> usize {
    if got >= asked {
        (asked * 2).min(READ_BYTES_MAX)
    } else if got < asked / 4 {
        (asked / 2).max(READ_BYTES_MIN)
    } else {
        asked
    }
}
