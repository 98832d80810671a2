//! The socket of a running instance, and what stands behind each of its connections.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use panoptes_model::{EventBatch, Schema};
use panoptes_seal::KeyEncryptionKey;
use panoptes_store::search::{LiveFilter, Query, QueryError};
use serde_json::value::RawValue;

use super::{Message, Onlooker, TAPS_MAX, Taps, Wire};
use crate::time;

/// How long a client may take to say what it wants, and to take what it is sent. Then it is let go.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a client without events hears that there are none: so that one that is gone is noticed.
const QUIET_MAX: Duration = Duration::from_secs(2);
/// How many connections may be open, those that have not asked yet included; further ones are closed at once.
const CONNECTIONS_MAX: usize = 2 * TAPS_MAX;
/// How much JSON goes into one message; a larger event is a message of its own.
const MESSAGE_BYTES: usize = 1 << 20;

/// Where an instance on `data_dir` listens.
pub(crate) fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("tail.socket")
}

/// Listens until it is dropped.
pub(crate) struct Listener {
    path: PathBuf,
    is_over: Arc<AtomicBool>,
}

impl Listener {
    /// Needs the lock of the data folder: what is left of an instance before is removed.
    pub(crate) fn start(data_dir: &Path, key: KeyEncryptionKey, taps: Arc<Taps>) -> anyhow::Result<Self> {
        let path = socket_path(data_dir);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove the old {}", path.display()));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        std::thread::Builder::new()
            .name("tail".to_owned())
            .spawn(move || accept(&listener, &key, &taps, &over))
            .context("cannot start the thread `tail`")?;
        Ok(Self { path, is_over })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread, which then ends.
        let _woken = UnixStream::connect(&self.path);
        let _removed = std::fs::remove_file(&self.path);
    }
}

fn accept(listener: &UnixListener, key: &KeyEncryptionKey, taps: &Arc<Taps>, is_over: &Arc<AtomicBool>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if is_over.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else {
            // Too many open files, most likely: it does not get better at once.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        if open.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS_MAX {
            open.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let (key, taps, is_over, mine) = (key.clone(), Arc::clone(taps), Arc::clone(is_over), Arc::clone(&open));
        let serve = move || {
            if let Err(error) = serve(stream, &key, &taps, &is_over) {
                tracing::debug!("a tail ended: {error:#}");
            }
            mine.fetch_sub(1, Ordering::AcqRel);
        };
        if std::thread::Builder::new().name("tail-client".to_owned()).spawn(serve).is_err() {
            open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn serve(stream: UnixStream, key: &KeyEncryptionKey, taps: &Arc<Taps>, is_over: &AtomicBool) -> anyhow::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut session = [0; 32];
    getrandom::fill(&mut session).context("no random numbers")?;
    let mut wire = Wire::serve(stream, key, session)?;
    let Message::Ask { query } = wire.receive()? else { anyhow::bail!("the client did not ask") };
    let query: Query = match query.parse() {
        Ok(query) => query,
        Err(error) => {
            let error: QueryError = error;
            wire.send(&Message::Refused { problem: error.to_string() })?;
            return Ok(());
        }
    };
    let Some(onlooker) = taps.join() else {
        let problem = format!("{TAPS_MAX} others look on already; end one of them");
        wire.send(&Message::Refused { problem })?;
        return Ok(());
    };
    wire.send(&Message::Begun)?;
    follow(&mut wire, &query, &onlooker, is_over)
}

fn follow(wire: &mut Wire<UnixStream>, query: &Query, onlooker: &Onlooker, is_over: &AtomicBool) -> anyhow::Result<()> {
    // Made anew when other rules bring another schema.
    let mut ready: Option<(Arc<Schema>, LiveFilter)> = None;
    while !is_over.load(Ordering::Acquire) {
        let Some(batch) = onlooker.next(QUIET_MAX) else {
            wire.send(&Message::Events { events: Vec::new(), dropped: onlooker.dropped() })?;
            continue;
        };
        let is_ready = ready.as_ref().is_some_and(|it| Arc::ptr_eq(&it.0, batch.schema()));
        if !is_ready {
            let filter = LiveFilter::new(query, batch.schema(), time::now())?;
            ready = Some((Arc::clone(batch.schema()), filter));
        }
        let Some((_, filter)) = &ready else { continue };
        show(wire, filter, &batch, onlooker)?;
    }
    Ok(())
}

fn show(
    wire: &mut Wire<UnixStream>,
    filter: &LiveFilter,
    batch: &EventBatch,
    onlooker: &Onlooker,
) -> anyhow::Result<()> {
    let mut events = Vec::new();
    let mut bytes = 0;
    for row in filter.matching(batch)? {
        let json = row.to_json();
        if bytes + json.len() > MESSAGE_BYTES && !events.is_empty() {
            wire.send(&Message::Events { events: std::mem::take(&mut events), dropped: onlooker.dropped() })?;
            bytes = 0;
        }
        bytes += json.len();
        events.push(RawValue::from_string(json)?);
    }
    let dropped = onlooker.dropped();
    if !events.is_empty() || dropped > 0 {
        wire.send(&Message::Events { events, dropped })?;
    }
    Ok(())
}
