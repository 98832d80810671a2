//! The one way out of intake: a bounded queue to whoever makes batches durable.
//!
//! An input keeps a [`Sink`]; the pipeline keeps [`Submissions`] and answers each [`Submission`] through its
//! [`Ticket`] once the batch is on disk. Both the number of batches and their bytes are bounded, and the bytes count
//! until the ticket is answered: so they cover what waits and what is being written.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, Thread};

use panoptes_model::{FrameId, RawBatch, RawRecord};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::limits::{QUEUE_BATCHES_MAX, QUEUE_BYTES_MAX};

/// A batch that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The frame of the write-ahead log that holds it.
    pub frame: FrameId,
}

/// Why a batch did not become durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    #[error("the pipeline has stopped: send again once panoptes runs again")]
    Stopped,
    #[error("the log could not be written: {reason}")]
    NotDurable { reason: String },
}

/// A batch that the queue has no room for, given back.
#[derive(Debug)]
pub struct Full(pub RawBatch);

/// How large the queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkLimits {
    pub batches_max: usize,
    pub bytes_max: usize,
}

impl Default for SinkLimits {
    fn default() -> Self {
        Self { batches_max: QUEUE_BATCHES_MAX, bytes_max: QUEUE_BYTES_MAX }
    }
}

/// Hands batches to the log. A clone is a handle to the same queue.
#[derive(Clone)]
pub struct Sink {
    queue: mpsc::Sender<Submission>,
    bytes: Arc<Semaphore>,
    limits: SinkLimits,
}

impl Sink {
    /// A queue and its two ends.
    pub fn channel(limits: SinkLimits) -> (Self, Submissions) {
        let limits = SinkLimits {
            batches_max: limits.batches_max.max(1),
            // A semaphore hands out at most `u32::MAX` at once.
            bytes_max: limits.bytes_max.clamp(1, u32::MAX as usize),
        };
        let (queue, submissions) = mpsc::channel(limits.batches_max);
        (Self { queue, bytes: Arc::new(Semaphore::new(limits.bytes_max)), limits }, Submissions(submissions))
    }

    /// Waits until there is room and then until `batch` is durable.
    pub async fn commit(&self, batch: RawBatch) -> Result<Committed, SinkError> {
        self.enqueue(batch).await?.await
    }

    /// Waits until there is room. Batches become durable in the order in which they were enqueued.
    pub async fn enqueue(&self, batch: RawBatch) -> Result<Pending, SinkError> {
        self.enqueue_with(batch, None).await
    }

    async fn enqueue_with(&self, batch: RawBatch, line: Option<Line>) -> Result<Pending, SinkError> {
        let weight = self.weight(&batch);
        let permit = Arc::clone(&self.bytes).acquire_many_owned(weight).await.map_err(|_| SinkError::Stopped)?;
        let place = self.queue.reserve().await.map_err(|_| SinkError::Stopped)?;
        let (submission, pending) = submission(batch, permit, line);
        place.send(submission);
        Ok(pending)
    }

    /// [`commit`](Self::commit) for a thread that may block: not to be called from asynchronous code.
    pub fn blocking_commit(&self, batch: RawBatch) -> Result<Committed, SinkError> {
        block_on(self.commit(batch))
    }

    /// [`enqueue`](Self::enqueue) for a thread that may block.
    pub fn blocking_enqueue(&self, batch: RawBatch) -> Result<Pending, SinkError> {
        block_on(self.enqueue(batch))
    }

    /// [`blocking_enqueue`](Self::blocking_enqueue) in a line: once one batch of it failed, all behind it do.
    pub fn blocking_enqueue_in(&self, line: &Line, batch: RawBatch) -> Result<Pending, SinkError> {
        block_on(self.enqueue_with(batch, Some(line.clone())))
    }

    /// Does not wait for room. The future then waits until the batch is durable.
    pub fn try_commit(&self, batch: RawBatch) -> Result<Pending, Full> {
        let Ok(permit) = Arc::clone(&self.bytes).try_acquire_many_owned(self.weight(&batch)) else {
            return Err(Full(batch));
        };
        match self.queue.try_reserve() {
            Ok(place) => {
                let (submission, pending) = submission(batch, permit, None);
                place.send(submission);
                Ok(pending)
            }
            Err(mpsc::error::TrySendError::Full(())) => Err(Full(batch)),
            Err(mpsc::error::TrySendError::Closed(())) => Ok(Pending { answer: oneshot::channel().1 }),
        }
    }

    /// How much is not durable yet.
    pub fn depth(&self) -> Depth {
        Depth {
            batches: self.queue.max_capacity() - self.queue.capacity(),
            bytes: self.limits.bytes_max - self.bytes.available_permits(),
            limits: self.limits,
        }
    }

    /// What the batch takes of the memory. One that is larger than the whole queue waits until it is alone.
    fn weight(&self, batch: &RawBatch) -> u32 {
        const ORIGIN_BYTES: usize = 256;
        let records = batch.records.capacity() * size_of::<RawRecord>();
        let bytes = batch.bytes.capacity() + records + batch.origins.len() * ORIGIN_BYTES;
        bytes.min(self.limits.bytes_max) as u32
    }
}

fn submission(batch: RawBatch, permit: OwnedSemaphorePermit, line: Option<Line>) -> (Submission, Pending) {
    let (done, answer) = oneshot::channel();
    (Submission { batch, ticket: Ticket { done, line, _permit: permit } }, Pending { answer })
}

/// Batches of which none may become durable after an earlier one did not: where reading goes on is then what the last
/// durable one says. A clone is the same line.
#[derive(Clone, Debug, Default)]
pub struct Line(Arc<AtomicBool>);

/// Parks this thread until `future` is done. The queue needs no runtime, only someone to wake it.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = TaskContext::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// How full the queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Batches that wait to be taken.
    pub batches: usize,
    /// Bytes that wait or are being written.
    pub bytes: usize,
    pub limits: SinkLimits,
}

/// A batch on its way to the disk. Resolves once it is durable; to drop it changes nothing about the batch.
#[derive(Debug)]
pub struct Pending {
    answer: oneshot::Receiver<Result<Committed, SinkError>>,
}

impl Pending {
    /// Waits on a thread that may block.
    pub fn blocking_wait(self) -> Result<Committed, SinkError> {
        block_on(self)
    }
}

impl Future for Pending {
    type Output = Result<Committed, SinkError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Self::Output> {
        // A ticket that was dropped without an answer belonged to a pipeline that went away.
        Pin::new(&mut self.answer).poll(context).map(|answer| answer.unwrap_or(Err(SinkError::Stopped)))
    }
}

/// The pipeline's end of the queue. When it is dropped, every input learns that the pipeline has stopped.
pub struct Submissions(mpsc::Receiver<Submission>);

impl Submissions {
    /// The next batch; `None` once every [`Sink`] is gone and the queue is empty.
    pub async fn recv(&mut self) -> Option<Submission> {
        self.0.recv().await
    }

    /// [`recv`](Self::recv) for a plain thread. Panics on a thread of the asynchronous runtime.
    pub fn blocking_recv(&mut self) -> Option<Submission> {
        self.0.blocking_recv()
    }

    /// The next batch if one waits: what else belongs into the same group commit.
    pub fn try_recv(&mut self) -> Option<Submission> {
        self.0.try_recv().ok()
    }

    /// Refuses new batches; those that wait can still be received.
    pub fn close(&mut self) {
        self.0.close();
    }
}

/// A batch and who waits for it.
pub struct Submission {
    pub batch: RawBatch,
    pub ticket: Ticket,
}

/// The answer that an input waits for. Dropping it says [`SinkError::Stopped`].
#[must_use = "the input waits for an answer"]
pub struct Ticket {
    done: oneshot::Sender<Result<Committed, SinkError>>,
    line: Option<Line>,
    _permit: OwnedSemaphorePermit,
}

impl Ticket {
    /// Call it after the frame's fsync, never before.
    pub fn committed(self, frame: FrameId) {
        self.answer(Ok(Committed { frame }));
    }

    pub fn failed(self, reason: impl Into<String>) {
        if let Some(Line(is_broken)) = &self.line {
            is_broken.store(true, Ordering::Release);
        }
        self.answer(Err(SinkError::NotDurable { reason: reason.into() }));
    }

    /// Whether a batch before it in its line failed: then this one must fail too.
    pub fn is_behind_a_failure(&self) -> bool {
        self.line.as_ref().is_some_and(|it| it.0.load(Ordering::Acquire))
    }

    fn answer(self, answer: Result<Committed, SinkError>) {
        // Nobody to tell: the input's task was ended, which changes nothing about the batch.
        drop(self.done.send(answer));
    }
}

#[cfg(test)]
mod tests {
    use panoptes_model::{Origin, Timestamp};

    use super::*;

    fn batch(bytes: usize) -> RawBatch {
        let mut batch = RawBatch::new();
        let origin = batch.origin(&Origin::default());
        batch.push(origin, Timestamp(0), 1, &vec![b'x'; bytes]);
        batch
    }

    #[tokio::test]
    async fn a_commit_resolves_when_the_ticket_is_answered() {
        let (sink, mut submissions) = Sink::channel(SinkLimits::default());
        let pending = sink.enqueue(batch(10)).await.unwrap();
        let failing = sink.enqueue(batch(10)).await.unwrap();
        let forgotten = sink.enqueue(batch(10)).await.unwrap();
        assert!(sink.depth().bytes > 30 && sink.depth().batches == 3);
        submissions.recv().await.unwrap().ticket.committed(FrameId(7));
        submissions.recv().await.unwrap().ticket.failed("disk full");
        drop(submissions.recv().await.unwrap());
        assert_eq!(pending.await, Ok(Committed { frame: FrameId(7) }));
        assert_eq!(failing.await, Err(SinkError::NotDurable { reason: "disk full".into() }));
        assert_eq!(forgotten.await, Err(SinkError::Stopped));
        assert_eq!(sink.depth().bytes, 0);
    }

    #[test]
    fn nothing_passes_a_failure_in_its_line() {
        let (sink, mut submissions) = Sink::channel(SinkLimits::default());
        let line = Line::default();
        let _in_line = [(); 3].map(|()| sink.blocking_enqueue_in(&line, batch(10)).unwrap());
        let _other = sink.blocking_enqueue(batch(10)).unwrap();
        let mut next = || submissions.try_recv().unwrap().ticket;
        let first = next();
        assert!(!first.is_behind_a_failure());
        first.committed(FrameId(1));
        next().failed("disk full");
        assert!(next().is_behind_a_failure());
        assert!(!next().is_behind_a_failure(), "what is in no line is not behind it");
    }

    #[tokio::test]
    async fn bytes_count_until_the_answer() {
        let (sink, mut submissions) = Sink::channel(SinkLimits { batches_max: 10, bytes_max: 1_000 });
        let first = sink.try_commit(batch(400)).unwrap();
        let submission = submissions.recv().await.unwrap();
        assert!(matches!(sink.try_commit(batch(400)), Err(Full(back)) if back.bytes.len() == 400));
        submission.ticket.committed(FrameId(1));
        first.await.unwrap();
        assert!(sink.try_commit(batch(400)).is_ok());
    }

    #[tokio::test]
    async fn the_number_of_batches_is_bounded_and_a_waiting_one_goes_on() {
        let (sink, mut submissions) = Sink::channel(SinkLimits { batches_max: 1, bytes_max: 1 << 20 });
        let _first = sink.try_commit(batch(1)).unwrap();
        assert!(sink.try_commit(batch(1)).is_err());
        let waiting = tokio::spawn({
            let sink = sink.clone();
            async move { sink.commit(batch(2)).await }
        });
        for frame in [1, 2] {
            submissions.recv().await.unwrap().ticket.committed(FrameId(frame));
        }
        assert_eq!(waiting.await.unwrap(), Ok(Committed { frame: FrameId(2) }));
    }

    #[tokio::test]
    async fn a_batch_larger_than_the_queue_still_passes_alone() {
        let (sink, mut submissions) = Sink::channel(SinkLimits { batches_max: 4, bytes_max: 100 });
        let large = sink.enqueue(batch(5_000)).await.unwrap();
        assert!(sink.try_commit(batch(1)).is_err());
        submissions.recv().await.unwrap().ticket.committed(FrameId(1));
        large.await.unwrap();
    }

    #[tokio::test]
    async fn a_stopped_pipeline_is_told_to_everyone() {
        let (sink, submissions) = Sink::channel(SinkLimits::default());
        let waiting = sink.enqueue(batch(1)).await.unwrap();
        drop(submissions);
        assert_eq!(waiting.await, Err(SinkError::Stopped));
        assert_eq!(sink.commit(batch(1)).await, Err(SinkError::Stopped));
        assert_eq!(sink.try_commit(batch(1)).unwrap().await, Err(SinkError::Stopped));
    }

    #[test]
    fn a_plain_thread_can_commit_and_receive() {
        let (sink, mut submissions) = Sink::channel(SinkLimits { batches_max: 1, bytes_max: 1 << 20 });
        let pipeline = thread::spawn(move || {
            let mut frames = 0;
            while let Some(submission) = submissions.blocking_recv() {
                frames += 1;
                submission.ticket.committed(FrameId(frames));
            }
            frames
        });
        for frame in 1..=3 {
            assert_eq!(sink.blocking_commit(batch(1)), Ok(Committed { frame: FrameId(frame) }));
        }
        drop(sink);
        assert_eq!(pipeline.join().unwrap(), 3);
    }
}
