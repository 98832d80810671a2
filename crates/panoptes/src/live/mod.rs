//! Events as they come, for whoever looks on: `panoptes tail`.
//!
//! The folder offers each batch to the [`Taps`] and never waits for one: what a tap has no room for is counted, and its
//! client is told. Behind each tap stands a thread that asks its query and writes to its client.
//!
//! Clients come over a Unix socket in the data folder, which only its owner can enter, and must have the key: everything
//! that goes over it is sealed (`wire.rs`).

mod listen;
mod wire;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use panoptes_model::EventBatch;

pub(crate) use self::listen::{Listener, socket_path};
pub(crate) use self::wire::{Message, Wire, WireError};

/// How many may look on at once; a further one is told so.
const TAPS_MAX: usize = 16;
/// How many batches wait for one tap; further ones are dropped, counted and told of.
const BATCHES_MAX: usize = 1_024;
/// How much memory waits for one tap, but for a single batch that is larger; what is beyond is dropped in the same way.
const BYTES_MAX: usize = 16 << 20;

/// All who look on.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    taps: Mutex<Vec<Arc<Tap>>>,
    /// Spares the folder the lock while nobody looks on.
    count: AtomicUsize,
}

#[derive(Debug)]
struct Tap {
    sender: Sender<Arc<EventBatch>>,
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

/// One who looks on. Dropping it ends that.
pub(crate) struct Onlooker {
    taps: Arc<Taps>,
    tap: Arc<Tap>,
    receiver: Receiver<Arc<EventBatch>>,
}

impl Taps {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Tap>>> {
        self.taps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a batch to all. Never waits.
    pub(crate) fn offer(&self, batch: &Arc<EventBatch>) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let bytes = batch.memory_bytes();
        for tap in self.lock().iter() {
            let waiting = tap.bytes.load(Ordering::Acquire);
            let has_room = waiting == 0 || waiting + bytes <= BYTES_MAX;
            // Counted before it is sent: the other side takes it off again.
            tap.bytes.fetch_add(bytes, Ordering::AcqRel);
            if !has_room || tap.sender.try_send(Arc::clone(batch)).is_err() {
                tap.bytes.fetch_sub(bytes, Ordering::AcqRel);
                tap.dropped.fetch_add(batch.len() as u64, Ordering::AcqRel);
            }
        }
    }

    /// Lets one more look on; `None` if there are too many.
    pub(crate) fn join(self: &Arc<Self>) -> Option<Onlooker> {
        let mut taps = self.lock();
        if taps.len() >= TAPS_MAX {
            return None;
        }
        let (sender, receiver) = bounded(BATCHES_MAX);
        let tap = Arc::new(Tap { sender, bytes: AtomicUsize::new(0), dropped: AtomicU64::new(0) });
        taps.push(Arc::clone(&tap));
        self.count.store(taps.len(), Ordering::Release);
        Some(Onlooker { taps: Arc::clone(self), tap, receiver })
    }
}

impl Onlooker {
    /// The next batch, if one comes within `time`.
    pub(crate) fn next(&self, time: std::time::Duration) -> Option<Arc<EventBatch>> {
        let batch = self.receiver.recv_timeout(time).ok()?;
        self.tap.bytes.fetch_sub(batch.memory_bytes(), Ordering::AcqRel);
        Some(batch)
    }

    /// How many events were dropped since this was asked last.
    pub(crate) fn dropped(&self) -> u64 {
        self.tap.dropped.swap(0, Ordering::AcqRel)
    }
}

impl Drop for Onlooker {
    fn drop(&mut self) {
        let mut taps = self.taps.lock();
        taps.retain(|it| !Arc::ptr_eq(it, &self.tap));
        self.taps.count.store(taps.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use panoptes_model::{FrameId, Schema, Timestamp};

    use super::*;

    fn batch(text: &str) -> Arc<EventBatch> {
        let fill = |writer: &mut panoptes_model::BatchWriter<'_>| writer.begin(text, 0, Timestamp(0), 0);
        Arc::new(EventBatch::build(
            Arc::new(Schema::ecs()),
            FrameId(1),
            Timestamp(0),
            Vec::new(),
            text.to_owned(),
            fill,
        ))
    }

    #[test]
    fn who_does_not_keep_up_loses_events_and_learns_how_many() {
        let taps = Arc::new(Taps::default());
        taps.offer(&batch("nobody looks on"));
        let (slow, quick) = (taps.join().unwrap(), taps.join().unwrap());
        let one = batch("x");
        for _ in 0..BATCHES_MAX + 3 {
            taps.offer(&one);
            assert!(quick.next(Duration::ZERO).is_some());
        }
        assert_eq!((quick.dropped(), slow.dropped(), slow.dropped()), (0, 3, 0));
        // Room again.
        assert!(slow.next(Duration::ZERO).is_some());
        taps.offer(&one);
        assert_eq!(slow.dropped(), 0);
        while slow.next(Duration::ZERO).is_some() {}
        // What is too large as a whole is let through alone.
        let large = batch(&"x".repeat(BYTES_MAX));
        taps.offer(&large);
        taps.offer(&one);
        assert_eq!(slow.dropped(), 1);
        assert_eq!(slow.next(Duration::ZERO).unwrap().input_len(), BYTES_MAX);
    }

    #[test]
    fn onlookers_are_bounded_and_make_room_when_they_go() {
        let taps = Arc::new(Taps::default());
        let mut all: Vec<Onlooker> = (0..TAPS_MAX).map(|_| taps.join().unwrap()).collect();
        assert!(taps.join().is_none());
        all.pop();
        assert!(taps.join().is_some());
    }

    trait InputLen {
        fn input_len(&self) -> usize;
    }

    impl InputLen for EventBatch {
        fn input_len(&self) -> usize {
            self.event(0).map_or(0, |it| it.original().len())
        }
    }
}
