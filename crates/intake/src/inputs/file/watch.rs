//! Hints that files have changed. Hints only: the tail looks for itself, and looks without being told as well.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::limits::WATCHES_MAX;

pub(super) struct Watch {
    /// `None` where the system gives none: then there is only polling.
    watcher: Option<RecommendedWatcher>,
    hint: Arc<Hint>,
    folders: HashSet<PathBuf>,
    /// Folders that could not be watched, so that each is told once.
    refused: HashSet<PathBuf>,
}

#[derive(Default)]
struct Hint {
    changed: Notify,
    rescan: AtomicBool,
}

impl Watch {
    pub(super) fn start() -> Self {
        let hint = Arc::new(Hint::default());
        let told = Arc::clone(&hint);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            match event.map(|it| it.kind) {
                // Reading is not a change, and we read.
                Ok(EventKind::Access(_)) => return,
                Ok(EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_))) => {}
                // Names have changed, or events were lost.
                Ok(_) | Err(_) => told.rescan.store(true, Ordering::Release),
            }
            told.changed.notify_one();
        });
        let watcher = watcher.inspect_err(|error| tracing::warn!(%error, "files are only polled: no change is told"));
        Self { watcher: watcher.ok(), hint, folders: HashSet::new(), refused: HashSet::new() }
    }

    pub(super) async fn changed(&self) {
        self.hint.changed.notified().await;
    }

    /// Whether names have changed since the last call.
    pub(super) fn take_rescan(&self) -> bool {
        self.hint.rescan.swap(false, Ordering::AcqRel)
    }

    /// Watches these folders and no others.
    pub(super) fn follow(&mut self, mut folders: HashSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        self.refused.retain(|it| folders.contains(it));
        self.folders.retain(|folder| {
            let stays = folders.remove(folder);
            if !stays {
                // It may be gone already, and then so is its watch.
                drop(watcher.unwatch(folder));
            }
            stays
        });
        for folder in folders {
            if self.folders.len() + self.refused.len() >= WATCHES_MAX || self.refused.contains(&folder) {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.folders.insert(folder);
                }
                Err(error) => {
                    tracing::debug!(folder = %folder.display(), %error, "folder is only polled");
                    self.refused.insert(folder);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_file_in_a_watched_folder_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::start();
        watch.follow(HashSet::from([folder.path().to_owned()]));
        if watch.folders.is_empty() {
            println!("skipped: this system tells no changes");
            return;
        }
        std::fs::write(folder.path().join("a.log"), "x").unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(60), watch.changed()).await.unwrap();
        assert!(watch.take_rescan());
        assert!(!watch.take_rescan());
        watch.follow(HashSet::new());
        assert!(watch.folders.is_empty());
    }

    #[test]
    fn watched_folders_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let folders = (0..=WATCHES_MAX).map(|n| folder.path().join(n.to_string()));
        let folders: HashSet<PathBuf> = folders.inspect(|it| std::fs::create_dir(it).unwrap()).collect();
        let mut watch = Watch::start();
        watch.follow(folders);
        assert!(watch.folders.len() + watch.refused.len() <= WATCHES_MAX);
    }
}
