//! The same calls for plain threads: the fold thread, the command line.
//!
//! Each [`Catalog`] holds a runtime of its own that runs while a call does. Not for use inside an asynchronous task:
//! there it panics, as `tokio` does.

use std::path::Path;

use panoptes_model::{AlertUpdate, FrameId, Resolution, Timestamp};
use panoptes_seal::KeyEncryptionKey;
use tokio::runtime::{Builder, Runtime};

use crate::{
    AlertDetails, AlertFilter, AlertRecord, AlertStats, CatalogCheck, CatalogError, FoldOutcome, Loss, OpenMode,
    SourcePosition,
};

/// See [`crate::Catalog`]; every call here waits for the one of the same name there.
#[derive(Debug)]
pub struct Catalog {
    runtime: Runtime,
    inner: crate::Catalog,
}

impl Catalog {
    pub fn open(path: &Path, key: &KeyEncryptionKey, mode: OpenMode) -> Result<Self, CatalogError> {
        let runtime =
            Builder::new_current_thread().enable_time().build().map_err(|source| CatalogError::Runtime { source })?;
        let inner = runtime.block_on(crate::Catalog::open(path, key, mode))?;
        Ok(Self { runtime, inner })
    }

    pub fn close(self) {
        self.runtime.block_on(self.inner.close());
    }

    pub fn commit_fold(
        &self,
        through: FrameId,
        now: Timestamp,
        updates: &[AlertUpdate],
        positions: &[SourcePosition],
    ) -> Result<FoldOutcome, CatalogError> {
        self.runtime.block_on(self.inner.commit_fold(through, now, updates, positions))
    }

    pub fn folded_through(&self) -> Result<FrameId, CatalogError> {
        self.runtime.block_on(self.inner.folded_through())
    }

    pub fn verify(&self) -> Result<CatalogCheck, CatalogError> {
        self.runtime.block_on(self.inner.verify())
    }

    pub fn set_positions(&self, positions: &[SourcePosition]) -> Result<(), CatalogError> {
        self.runtime.block_on(self.inner.set_positions(positions))
    }

    pub fn positions(&self) -> Result<Vec<SourcePosition>, CatalogError> {
        self.runtime.block_on(self.inner.positions())
    }

    pub fn forget_positions(&self, sources: &[&str]) -> Result<(), CatalogError> {
        self.runtime.block_on(self.inner.forget_positions(sources))
    }

    pub fn add_losses(&self, losses: &[Loss]) -> Result<(), CatalogError> {
        self.runtime.block_on(self.inner.add_losses(losses))
    }

    pub fn losses(&self, since: Timestamp) -> Result<Vec<Loss>, CatalogError> {
        self.runtime.block_on(self.inner.losses(since))
    }

    pub fn list_alerts(&self, filter: &AlertFilter) -> Result<Vec<AlertRecord>, CatalogError> {
        self.runtime.block_on(self.inner.list_alerts(filter))
    }

    pub fn alert(&self, id: &str) -> Result<AlertDetails, CatalogError> {
        self.runtime.block_on(self.inner.alert(id))
    }

    pub fn acknowledge(
        &self,
        id: &str,
        note: Option<&str>,
        actor: &str,
        now: Timestamp,
    ) -> Result<AlertRecord, CatalogError> {
        self.runtime.block_on(self.inner.acknowledge(id, note, actor, now))
    }

    pub fn resolve(
        &self,
        id: &str,
        resolution: Resolution,
        note: Option<&str>,
        actor: &str,
        now: Timestamp,
    ) -> Result<AlertRecord, CatalogError> {
        self.runtime.block_on(self.inner.resolve(id, resolution, note, actor, now))
    }

    pub fn reopen(
        &self,
        id: &str,
        note: Option<&str>,
        actor: &str,
        now: Timestamp,
    ) -> Result<AlertRecord, CatalogError> {
        self.runtime.block_on(self.inner.reopen(id, note, actor, now))
    }

    pub fn note(&self, id: &str, note: &str, actor: &str, now: Timestamp) -> Result<AlertRecord, CatalogError> {
        self.runtime.block_on(self.inner.note(id, note, actor, now))
    }

    pub fn stats(&self, since: Option<Timestamp>) -> Result<AlertStats, CatalogError> {
        self.runtime.block_on(self.inner.stats(since))
    }
}
