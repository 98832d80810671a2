//! The folder: puts prepared frames back into log order, changes the state, writes what follows from it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use panoptes_catalog::SourcePosition;
use panoptes_catalog::blocking::Catalog;
use panoptes_engine::{Fold, Gathered, InputPosition, PreparedFrame};
use panoptes_model::{AlertId, FrameId, Severity, Timestamp};
use panoptes_store::Store;

use super::{Numbered, OnAlerts, Vitals};
use crate::live::Taps;

/// Effects wait at most this long for company before their transaction.
const COMMIT_AFTER: Duration = Duration::from_millis(100);
/// And never more than so many frames.
const COMMIT_FRAMES_MAX: u32 = 64;
/// How often a failing catalogue is tried again. Meanwhile nothing is folded and the inputs slow down.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The state is written down at most so often: it may have a hundred megabytes, and under load a segment is sealed
/// every second. Until then the log is kept.
const CHECKPOINT_EVERY_NANOS: i64 = 15 * Timestamp::NANOS_PER_SECOND;

pub(super) struct Folder {
    fold: Fold,
    catalog: Catalog,
    store: Arc<Store>,
    on_alerts: OnAlerts,
    vitals: Arc<Vitals>,
    taps: Arc<Taps>,
    seal: Sender<()>,
    /// What the catalogue knew when the program started: effects up to here are there already.
    folded_before: FrameId,
    pending: Gathered,
    pending_frames: u32,
    checkpointed: FrameId,
    /// When; `None` since the start: who is killed again and again must get on as well.
    checkpointed_at: Option<Timestamp>,
    clock: fn() -> Timestamp,
}

/// What a folder works with.
pub(super) struct FolderParts {
    pub(super) fold: Fold,
    pub(super) catalog: Catalog,
    pub(super) store: Arc<Store>,
    pub(super) on_alerts: OnAlerts,
    pub(super) vitals: Arc<Vitals>,
    pub(super) taps: Arc<Taps>,
    pub(super) seal: Sender<()>,
    pub(super) folded_before: FrameId,
    pub(super) clock: fn() -> Timestamp,
}

impl Folder {
    pub(super) fn new(parts: FolderParts) -> Self {
        let pending = Gathered { through: parts.folded_before, ..Gathered::default() };
        let FolderParts { fold, catalog, store, on_alerts, vitals, taps, seal, folded_before, clock } = parts;
        let checkpointed = fold.through();
        Self {
            fold,
            catalog,
            store,
            on_alerts,
            vitals,
            taps,
            seal,
            folded_before,
            pending,
            pending_frames: 0,
            checkpointed,
            checkpointed_at: None,
            clock,
        }
    }

    /// Folds a frame that was on disk when the program started.
    pub(super) fn replay(&mut self, frame: PreparedFrame) -> anyhow::Result<()> {
        self.take(frame)?;
        if self.pending_frames >= COMMIT_FRAMES_MAX { self.commit() } else { Ok(()) }
    }

    pub(super) fn positions(&self) -> anyhow::Result<Vec<SourcePosition>> {
        self.catalog.positions().context("cannot read the catalogue")
    }

    /// Ends when the preparers have; gives the catalogue back.
    pub(super) fn run(mut self, frames: &Receiver<Numbered<PreparedFrame>>) -> anyhow::Result<Catalog> {
        // Bounded by what can be between committer and folder: two channels and the preparers' hands.
        let mut early: BTreeMap<u64, PreparedFrame> = BTreeMap::new();
        let mut next = 0;
        loop {
            match frames.recv_timeout(COMMIT_AFTER) {
                Ok(Numbered { number, item }) => {
                    early.insert(number, item);
                    while let Some(frame) = early.remove(&next) {
                        next += 1;
                        self.take(frame)?;
                    }
                    // With an empty channel there is time; otherwise let frames share a transaction.
                    if self.pending_frames >= COMMIT_FRAMES_MAX || frames.is_empty() {
                        self.commit_until_done()?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.commit_until_done()?,
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.maintain();
        }
        self.commit()?;
        self.checkpoint()?;
        Ok(self.catalog)
    }

    fn take(&mut self, frame: PreparedFrame) -> anyhow::Result<()> {
        if !Arc::ptr_eq(&frame.rules, self.fold.rules()) {
            self.change_rules(&frame)?;
        }
        let started = crate::time::stopwatch();
        let levels = self.fold.gather(&mut self.pending, &frame);
        metrics::counter!("panoptes_fold_microseconds_total").increment(started.elapsed_micros());
        for (level, count) in Severity::ALL.into_iter().zip(levels).filter(|(_, count)| *count > 0) {
            metrics::counter!("panoptes_findings_total", "level" => level.as_str()).increment(count);
        }
        if frame.id <= self.folded_before {
            // In the catalogue since before the restart.
            self.fold.flush(&mut self.pending);
            self.pending = Gathered { through: self.pending.through, ..Gathered::default() };
        }
        // Before there is need to wait for room: only sealing makes any.
        self.ask_to_seal();
        self.taps.offer(&frame.events);
        self.store.keep(frame.events);
        self.pending_frames += 1;
        Ok(())
    }

    /// `frame` is the first that was prepared with other rules: they are in force from here on. The state is written
    /// down before, so that a crash after this replays frames of the new rules only, and comes to the same.
    fn change_rules(&mut self, frame: &PreparedFrame) -> anyhow::Result<()> {
        self.commit_until_done()?;
        self.fold.replace_rules(&frame.rules);
        if let Err(error) = self.checkpoint() {
            tracing::warn!("{error:#}; after a crash, older records would be read with the new rules");
        }
        tracing::debug!("from frame {} on, {} rules are in force", frame.id.0, frame.rules.len());
        Ok(())
    }

    /// Writes what is pending in one transaction, then tells people.
    pub(super) fn commit(&mut self) -> anyhow::Result<()> {
        if self.pending_frames == 0 {
            return Ok(());
        }
        self.fold.flush(&mut self.pending);
        if self.pending.through > self.folded_before {
            let positions: Vec<SourcePosition> = self.pending.positions.iter().filter_map(source_position).collect();
            let outcome = self
                .catalog
                .commit_fold(self.pending.through, (self.clock)(), &self.pending.alerts, &positions)
                .context("cannot write to the catalogue")?;
            let news: HashSet<AlertId> = outcome.opened.iter().chain(&outcome.reopened).copied().collect();
            for update in &mut self.pending.alerts {
                update.opened = news.contains(&update.alert.id);
            }
            for update in self.pending.alerts.iter().filter(|it| it.opened) {
                metrics::counter!("panoptes_alerts_told_total", "level" => update.alert.rule.level.as_str())
                    .increment(1);
            }
            self.vitals.set_trouble(None);
            (self.on_alerts)(&self.pending.alerts);
        }
        self.vitals.folded.store(self.pending.through.0, Ordering::Release);
        self.pending = Gathered { through: self.pending.through, ..Gathered::default() };
        self.pending_frames = 0;
        Ok(())
    }

    /// A catalogue that cannot be written to (a full disk) is tried again until it can: going on would forget alerts.
    ///
    /// # Errors
    /// It still cannot when the program is to stop. The log has everything: the next start folds it again.
    fn commit_until_done(&mut self) -> anyhow::Result<()> {
        while let Err(error) = self.commit() {
            if self.vitals.stopping.load(Ordering::Acquire) {
                return Err(error);
            }
            let text = format!("{error:#}");
            tracing::error!("{text}; trying again every {} s", RETRY_AFTER.as_secs());
            self.vitals.set_trouble(Some(text));
            std::thread::sleep(RETRY_AFTER);
        }
        Ok(())
    }

    /// Has segments sealed when they are due, and lets go of the log that nothing needs any more.
    fn maintain(&mut self) {
        self.ask_to_seal();
        let sealed = self.store.sealed_through();
        self.vitals.sealed.store(sealed.0, Ordering::Release);
        if sealed > self.checkpointed
            && is_checkpoint_due(self.checkpointed_at, (self.clock)())
            && self.pending_frames == 0
            && let Err(error) = self.checkpoint()
        {
            tracing::warn!("{error:#}; the log is kept until it works");
        }
    }

    fn ask_to_seal(&self) {
        if self.store.seal_due((self.clock)()) {
            // Full means that the sealer has been asked already.
            let _already_asked = self.seal.try_send(());
        }
    }

    /// Writes the state down and releases the log below it.
    fn checkpoint(&mut self) -> anyhow::Result<()> {
        self.store
            .write_checkpoint(|out| self.fold.checkpoint_into(out).map_err(std::io::Error::other))
            .context("cannot write the checkpoint of the detection state")?;
        self.checkpointed_at = Some((self.clock)());
        self.checkpointed = self.fold.through();
        self.store.release(self.checkpointed).context("cannot remove old log files")?;
        Ok(())
    }
}

/// Whether the last one was long enough ago. A clock that was set back makes nobody wait.
fn is_checkpoint_due(last: Option<Timestamp>, now: Timestamp) -> bool {
    last.is_none_or(|last| !(0..CHECKPOINT_EVERY_NANOS).contains(&now.nanos_since(last)))
}

/// Only sources that can be read again have a place to go on from: those that know their identity.
fn source_position(position: &InputPosition) -> Option<SourcePosition> {
    let InputPosition { origin, position } = position;
    let identity = origin.identity.clone()?;
    let source = match &origin.path {
        Some(path) => crate::server::position_key(path, &identity),
        None => crate::journal::position_key(),
    };
    Some(SourcePosition { source, identity, position: *position })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_written_soon_after_the_start_and_then_now_and_then() {
        let at = Timestamp::from_seconds;
        assert!(is_checkpoint_due(None, at(100)));
        assert!(!is_checkpoint_due(Some(at(100)), at(100)) && !is_checkpoint_due(Some(at(100)), at(114)));
        assert!(is_checkpoint_due(Some(at(100)), at(115)));
        assert!(is_checkpoint_due(Some(at(100)), at(40)), "the clock was set back");
    }
}
