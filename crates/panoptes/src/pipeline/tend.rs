//! The tender: looks after segments that are there, in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use panoptes_model::Timestamp;
use panoptes_store::{Store, StoreError};

use super::spawn;

/// How often to look whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Who deletes, in the record of deletions.
const ACTOR: &str = "panoptes";
/// How long to wait after a failure (a full disk), so that it is not tried in a tight loop.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// The running thread.
pub(super) struct Tender {
    thread: JoinHandle<()>,
    going: Arc<AtomicBool>,
    /// Dropped to wake the thread for its end.
    alive: Sender<()>,
}

impl Tender {
    pub(super) fn start(store: Arc<Store>, clock: fn() -> Timestamp) -> anyhow::Result<Self> {
        let (alive, ended) = bounded::<()>(1);
        let going = Arc::new(AtomicBool::new(true));
        let thread = {
            let going = Arc::clone(&going);
            spawn("tend", move || run(&store, &ended, clock, &going))?
        };
        Ok(Self { thread, going, alive })
    }

    /// Ends what is under way; nothing is lost by that.
    pub(super) fn stop(self) -> std::thread::Result<()> {
        self.going.store(false, Ordering::Release);
        drop(self.alive);
        self.thread.join()
    }
}

fn run(store: &Store, ended: &Receiver<()>, clock: fn() -> Timestamp, going: &AtomicBool) {
    let mut wait = LOOK_EVERY;
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(wait) {
        wait = match tend(store, clock, going) {
            Ok(()) => LOOK_EVERY,
            Err(error) => {
                if going.load(Ordering::Acquire) {
                    tracing::error!("{}; tried again later", panoptes_stdx::ErrorChain(&error));
                }
                RETRY_AFTER
            }
        };
    }
}

fn tend(store: &Store, clock: fn() -> Timestamp, going: &AtomicBool) -> Result<(), StoreError> {
    let go_on = || going.load(Ordering::Acquire);
    for deletion in store.apply_retention(ACTOR, clock())? {
        metrics::counter!("panoptes_deleted_events_total", "policy" => deletion.cause.policy.clone())
            .increment(deletion.events);
        tracing::info!(
            policy = deletion.cause.policy,
            reason = deletion.cause.reason,
            events = deletion.events,
            bytes = deletion.bytes,
            "evidence deleted"
        );
    }
    store.remove_replaced(clock())?;
    while go_on() {
        let Some(done) = store.compact_by_and_by(clock(), &go_on)? else { break };
        metrics::counter!("panoptes_compacted_segments_total").increment(done.inputs as u64);
        metrics::counter!("panoptes_compacted_bytes_total").increment(done.bytes_after);
        tracing::debug!(
            inputs = done.inputs,
            rows = done.rows,
            bytes_before = done.bytes_before,
            bytes_after = done.bytes_after,
            "segments merged"
        );
        store.remove_replaced(clock())?;
    }
    Ok(())
}
