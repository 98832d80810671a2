//! The threads of a running instance.
//!
//! ```text
//! inputs ─▶ queue ─▶ committer ─▶ preparers ─▶ folder ─▶ catalogue, alerts
//!           bounded   log, fsync,  any core     log order  one transaction
//!                     acknowledge                 │
//!                                                 └─▶ hot events ─▶ sealer ─▶ segments ◀─ tender: merges small ones
//! ```
//!
//! Every channel is bounded, so a slow stage slows the ones before it down to the inputs, which then stop reading
//! or answer 429. A frame is acknowledged when its bytes are on disk; all that follows can be done again from the log.
//!
//! Shutdown runs along the river: inputs stop and drain, the queue closes, each stage ends when its channel does, and
//! the folder writes the last transaction and a checkpoint.

mod commit;
mod fold;
mod in_force;
mod seal;
mod tend;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, Sender, bounded};
use panoptes_catalog::SourcePosition;
use panoptes_catalog::blocking::Catalog;
use panoptes_engine::{Fold, PreparedFrame, Preparer};
use panoptes_intake::{Counters, Submissions};
use panoptes_model::{AlertUpdate, LogFrame, Timestamp};
use panoptes_store::Store;
use panoptes_store::log::Recovery;

use self::fold::{Folder, FolderParts};
pub(crate) use self::in_force::InForce;
use crate::live::Taps;
use crate::time;

/// Frames between two stages. Small: a frame may hold 16 MiB, and the log has them all anyway.
const FRAMES_MAX: usize = 2;

/// How the world hears of alerts once they are in the catalogue. `opened` is true for those that people have not been
/// told of: new ones and reopened ones.
pub(crate) type OnAlerts = Box<dyn FnMut(&[AlertUpdate]) + Send>;

/// What a pipeline is made of.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) catalog: Catalog,
    pub(crate) preparer: Preparer,
    pub(crate) fold: Fold,
    /// What the log held at the start.
    pub(crate) log: Recovery,
    pub(crate) submissions: Submissions,
    pub(crate) on_alerts: OnAlerts,
    pub(crate) counters: Counters,
    pub(crate) clock: fn() -> Timestamp,
    /// Threads that prepare; at least one.
    pub(crate) preparers: usize,
    pub(crate) vitals: Arc<Vitals>,
    /// Who looks on.
    pub(crate) taps: Arc<Taps>,
}

/// What health checks and metrics read of a running pipeline.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    pub(crate) ready: AtomicBool,
    pub(crate) stopping: AtomicBool,
    /// The last frame on disk, in the catalogue, and in segments.
    pub(crate) committed: AtomicU64,
    pub(crate) folded: AtomicU64,
    pub(crate) sealed: AtomicU64,
    /// Set while writing fails; what the operator should read.
    pub(crate) trouble: std::sync::Mutex<Option<String>>,
}

impl Vitals {
    /// Notes or clears what is wrong with writing.
    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
        // A panic while holding this lock cannot leave the text half written.
        let mut slot = self.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *slot = trouble;
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// A frame on its way, numbered without gaps, so that the folder can put them back into log order.
struct Numbered<T> {
    number: u64,
    item: T,
}

/// A frame that is durable, and the rules that were in force when it became so.
struct Committed {
    frame: LogFrame,
    preparer: Preparer,
}

/// The running threads.
pub(crate) struct Pipeline {
    /// Where other rules can be put in force.
    pub(crate) in_force: Arc<InForce>,
    /// How far sources were read, with all that the log had.
    pub(crate) positions: Vec<SourcePosition>,
    committer: JoinHandle<()>,
    preparers: Vec<JoinHandle<()>>,
    folder: JoinHandle<anyhow::Result<Catalog>>,
    sealer: JoinHandle<()>,
    tender: tend::Tender,
}

impl Pipeline {
    /// Folds what was recovered, then starts all threads. When this returns, the state is that of the last
    /// acknowledged record.
    pub(crate) fn start(parts: Parts) -> anyhow::Result<Self> {
        let Parts {
            store,
            catalog,
            preparer,
            fold,
            log,
            mut submissions,
            on_alerts,
            counters,
            clock,
            preparers,
            vitals,
            taps,
        } = parts;
        let store = Arc::new(store);
        let folded_before = catalog.folded_through().context("cannot read the catalogue")?;
        let fold_through = fold.through();
        let (seal_sender, seal_receiver) = bounded::<()>(1);
        let mut folder = Folder::new(FolderParts {
            fold,
            catalog,
            store: Arc::clone(&store),
            on_alerts,
            vitals: Arc::clone(&vitals),
            taps,
            seal: seal_sender,
            folded_before,
            clock,
        });
        store.continue_after(folded_before);
        // Before the replay: what it makes hot again may need sealing to have room.
        let sealer = {
            let store = Arc::clone(&store);
            spawn("seal", move || seal::run(&store, &seal_receiver, clock))?
        };
        let (mut under_other_rules, mut with_other_snapshots) = (0_u64, 0_u64);
        // Frames may be in segments already but not in the checkpoint, or the other way round.
        for frame in log.frames_after(fold_through.min(store.sealed_through())) {
            match frame {
                Ok(frame) => {
                    let is_new_to_fold = frame.id > fold_through;
                    under_other_rules += u64::from(is_new_to_fold && frame.rules_epoch != preparer.rules_epoch());
                    let is_known_otherwise = frame.snapshots_epoch != preparer.snapshots_epoch();
                    with_other_snapshots += u64::from(is_new_to_fold && is_known_otherwise);
                    folder.replay(preparer.prepare(frame))?;
                }
                Err(error) => tracing::error!("{}; going on with the rest", panoptes_stdx::ErrorChain(&error)),
            }
        }
        drop(log);
        folder.commit()?;
        // Not before: after a crash the catalogue is behind the log.
        let positions = folder.positions()?;
        if under_other_rules > 0 {
            tracing::info!("the rules have changed since {under_other_rules} frames of the log: they meet today's");
        }
        if with_other_snapshots > 0 {
            tracing::info!(
                "what events are enriched with has changed since {with_other_snapshots} frames of the log: they get today's"
            );
        }

        let (to_prepare, from_commit) = bounded::<Numbered<Committed>>(FRAMES_MAX);
        let (to_fold, from_prepare) = bounded::<Numbered<PreparedFrame>>(FRAMES_MAX);
        let in_force = Arc::new(InForce::new(preparer));
        let committer = {
            let (store, vitals, in_force) = (Arc::clone(&store), Arc::clone(&vitals), Arc::clone(&in_force));
            spawn("commit", move || commit::run(&mut submissions, &store, &to_prepare, clock, &in_force, &vitals))?
        };
        let preparers = (0..preparers.max(1))
            .map(|index| {
                let (counters, from, to) = (counters.clone(), from_commit.clone(), to_fold.clone());
                spawn(&format!("prepare-{index}"), move || prepare(&counters, &from, &to))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        drop(to_fold);
        let folder = spawn("fold", move || folder.run(&from_prepare))?;
        let tender = tend::Tender::start(Arc::clone(&store), clock)?;
        vitals.ready.store(true, Ordering::Release);
        Ok(Self { in_force, positions, committer, preparers, folder, sealer, tender })
    }

    /// Waits for all threads; they end once every [`Sink`](panoptes_intake::Sink) of the queue is gone.
    pub(crate) fn join(self) -> anyhow::Result<Catalog> {
        let panicked = |_| anyhow::anyhow!("a pipeline thread panicked; what was acknowledged is in the log");
        self.committer.join().map_err(panicked)?;
        for preparer in self.preparers {
            preparer.join().map_err(panicked)?;
        }
        let folded = self.folder.join().map_err(panicked)?;
        self.sealer.join().map_err(panicked)?;
        self.tender.stop().map_err(panicked)?;
        folded
    }
}

fn prepare(counters: &Counters, from: &Receiver<Numbered<Committed>>, to: &Sender<Numbered<PreparedFrame>>) {
    let micros = metrics::counter!("panoptes_prepare_microseconds_total");
    let events = metrics::counter!("panoptes_events_evaluated_total");
    for Numbered { number, item: Committed { frame, preparer } } in from {
        let started = time::stopwatch();
        let prepared = preparer.prepare(frame);
        micros.increment(started.elapsed_micros());
        events.increment(prepared.events.len() as u64);
        count_unparsed(counters, &prepared);
        if to.send(Numbered { number, item: prepared }).is_err() {
            return;
        }
    }
}

fn count_unparsed(counters: &Counters, prepared: &PreparedFrame) {
    let mut unparsed = vec![0_u64; prepared.events.origins().len()];
    for event in prepared.events.events().filter(|it| it.is_unparsed()) {
        if let Some(count) = unparsed.get_mut(event.origin_index()) {
            *count += 1;
        }
    }
    for (origin, count) in prepared.events.origins().iter().zip(unparsed).filter(|(_, count)| *count > 0) {
        if let Some(page) = counters.source_of(origin) {
            page.unparsed(count);
        }
    }
}

fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<JoinHandle<T>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .with_context(|| format!("cannot start the thread `{name}`"))
}
