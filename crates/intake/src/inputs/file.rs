//! Log files, followed as they grow.
//!
//! *Takes* the lines of all files that match its patterns. Recognises files that were rotated by renaming (their rest
//! is read, then the new file), by copying and truncating, and by compressing: what was read under another name is
//! not read again. A last line without a line feed waits for it until the file is rotated. *Position* is the byte
//! offset behind the record; with `Origin::path` and `Origin::identity` it is all that is needed to go on
//! ([`FileCheckpoints::observe`]). The next lines are read once the last ones are durable.

mod archived;
mod identity;
mod tailed;
mod tailer;
mod watch;

use std::collections::BTreeMap;

use panoptes_model::RawBatch;

pub use self::identity::{FileCheckpoint, FileCheckpoints, FileIdentity, IdentityMalformed};
pub use self::tailer::{FileTailer, Step};
use self::watch::Watch;
use super::InputKind;
use crate::context::{Context, InputError};
use crate::limits::{AUDIT_HOLD, COMMIT_RETRY, FILE_HINT_PAUSE, FILE_POLL, FILES_MAX};
use crate::sink::SinkError;

pub(super) static KIND: InputKind =
    InputKind { name: "file", summary: "log files, followed as they grow", default_address: None, slows_sender: true };

/// The logs that a Linux machine usually has: what is followed when nothing is configured.
pub static VAR_LOG: &[&str] = &[
    "/var/log/syslog",
    "/var/log/messages",
    "/var/log/auth.log",
    "/var/log/secure",
    "/var/log/kern.log",
    "/var/log/daemon.log",
    "/var/log/cron",
    "/var/log/fail2ban.log",
    "/var/log/ufw.log",
    "/var/log/audit/audit.log",
    "/var/log/nginx/*.log",
    "/var/log/apache2/*.log",
    "/var/log/httpd/*_log",
];

/// Where to begin in files that are there when the tail starts for the first time. Later ones are read from their
/// beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    #[default]
    End,
    Beginning,
}

/// Which files to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileConfig {
    /// Patterns: `*` and `?` within a name, `**` for any folders.
    pub paths: Vec<String>,
    pub exclude: Vec<String>,
    pub start_at: StartAt,
    /// What the events' source is called; each file's path without it.
    pub source: Option<String>,
    pub format: Option<String>,
    pub time_zone: Option<String>,
    pub files_max: usize,
}

impl Default for FileConfig {
    fn default() -> Self {
        Self {
            paths: VAR_LOG.iter().map(|it| (*it).to_owned()).collect(),
            exclude: Vec::new(),
            start_at: StartAt::End,
            source: None,
            format: None,
            time_zone: None,
            files_max: FILES_MAX,
        }
    }
}

/// The tail and what drives it.
pub struct FileInput {
    tailer: FileTailer,
    kind: &'static InputKind,
}

impl FileInput {
    /// A tail that goes on where `known` says.
    pub fn new(config: FileConfig, known: FileCheckpoints) -> Result<Self, InputError> {
        Self::of(&KIND, config, known)
    }

    /// The same for an input that makes more of its files' lines.
    pub(super) fn of(kind: &'static InputKind, config: FileConfig, known: FileCheckpoints) -> Result<Self, InputError> {
        Ok(Self { tailer: FileTailer::of(kind, config, known)?, kind })
    }

    /// Returns after a shutdown or when the pipeline has stopped. What was read and not made durable is read again at
    /// the next start, so it is in no count.
    ///
    /// If all that was read is durable, the positions come back: with those of files that had nothing to say, so that
    /// the next start does not take them for new.
    pub async fn run(self, context: Context) -> Option<FileCheckpoints> {
        let Self { mut tailer, kind } = self;
        let mut watch = Watch::start();
        while !context.shutdown.is_cancelled() {
            let now = context.now();
            let rescan = watch.take_rescan();
            // Files may be slow (a network mount): not on a thread of the runtime.
            let polled = tokio::task::spawn_blocking(move || {
                if rescan {
                    tailer.rescan();
                }
                let step = tailer.poll_once(now);
                let folders = tailer.folders();
                (tailer, step, folders)
            });
            let Ok((back, step, folders)) = polled.await else {
                tracing::error!("the tail of files ended early: see the message before this one");
                return None;
            };
            tailer = back;
            watch.follow(folders);
            let holds = step.holds;
            if !step.batch.is_empty() && !commit(&context, kind, step.batch, step.cut).await {
                return None;
            }
            if step.more {
                continue;
            }
            let pause = if holds { AUDIT_HOLD } else { FILE_POLL };
            tokio::select! {
                () = context.shutdown.cancelled() => {}
                () = watch.changed() => tokio::time::sleep(FILE_HINT_PAUSE).await,
                () = tokio::time::sleep(pause) => {}
            }
        }
        Some(tailer.into_positions())
    }
}

/// Offers `batch` until it is durable. Later lines must not become durable before it, or a restart would lose it.
async fn commit(context: &Context, kind: &'static InputKind, batch: RawBatch, cut: (u64, u64)) -> bool {
    let mut told = false;
    loop {
        match context.sink.commit(batch.clone()).await {
            Ok(_) => {
                book(context, kind, &batch, cut);
                return true;
            }
            Err(SinkError::Stopped) => return false,
            Err(error @ SinkError::NotDurable { .. }) => {
                if !told {
                    tracing::warn!(%error, "lines of files wait: they are offered again until they are durable");
                    told = true;
                }
            }
        }
        tokio::select! {
            () = context.shutdown.cancelled() => return false,
            () = tokio::time::sleep(COMMIT_RETRY) => {}
        }
    }
}

fn book(context: &Context, kind: &'static InputKind, batch: &RawBatch, cut: (u64, u64)) {
    let mut by_source: BTreeMap<&str, u64> = BTreeMap::new();
    for record in &batch.records {
        if let Some(origin) = batch.origin_of(record) {
            *by_source.entry(&origin.source).or_default() += 1;
        }
    }
    for (index, (source, records)) in by_source.into_iter().enumerate() {
        let counts = context.counters.source(kind.name, source);
        counts.received(records);
        counts.accepted(records);
        if index == 0 {
            counts.cut(cut.0, cut.1);
        }
    }
}
