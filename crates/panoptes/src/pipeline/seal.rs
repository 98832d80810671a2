//! The sealer: turns hot events into segments, off the hot path.

use std::time::Duration;

use crossbeam_channel::Receiver;
use panoptes_model::Timestamp;
use panoptes_store::Store;

/// How long to wait after a failure (a full disk), so that it is not tried in a tight loop.
const RETRY_AFTER: Duration = Duration::from_secs(5);

pub(super) fn run(store: &Store, requests: &Receiver<()>, clock: fn() -> Timestamp) {
    for () in requests {
        if let Err(error) = store.seal_ripe(clock()) {
            tracing::error!("cannot seal a segment: {}; the log keeps the events", panoptes_stdx::ErrorChain(&error));
            std::thread::sleep(RETRY_AFTER);
        }
    }
}
