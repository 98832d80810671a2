//! The systemd journal, followed through `journalctl`.
//!
//! *Takes* every entry that `journalctl --follow --output export` prints; an entry becomes a record as `journalctl -o
//! json` would print it. *Position* is the number of the entry since the start; where to go on is the cursor of the
//! last entry of a batch, which travels in `Origin::identity`. The next entries are taken once the last ones are
//! durable, so a restart neither loses nor doubles any. A `journalctl` that ends is started again.
//!
//! It is a program and not a library that is read from, because the library is not ours to link and the format of
//! the files is not for others to read. Entries that this very service wrote are passed over: what is told of an
//! alert must not raise another.

mod child;

use std::path::PathBuf;
use std::time::Duration;

use panoptes_model::{Origin, RawBatch};
use tokio::time::{Instant, sleep};

use self::child::Child;
use super::{InputKind, StartAt};
use crate::context::{Context, InputError};
use crate::journal::{Decoder, Entry, Found};
use crate::limits::{
    COMMIT_RETRY, JOURNAL_CURSOR_TRIES_MAX, JOURNAL_RESTART_PAUSE, JOURNAL_RESTART_PAUSE_MAX, LINE_BYTES_MAX,
    READ_BYTES_MAX, STREAM_BATCH_BYTES, STREAM_FLUSH,
};
use crate::sink::SinkError;
use crate::stream::until;

pub(super) static KIND: InputKind = InputKind {
    name: "journald",
    summary: "the systemd journal, followed through journalctl",
    default_address: None,
    slows_sender: true,
};

/// How systemd knows the service that this program runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnService {
    pub pid: u64,
    /// `INVOCATION_ID` of the environment.
    pub invocation: String,
}

/// Which journal to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournaldConfig {
    pub program: PathBuf,
    /// Further arguments, such as `--namespace=…` or `--unit=…`.
    pub arguments: Vec<String>,
    /// What the events' source is called.
    pub source: String,
    pub time_zone: Option<String>,
    /// Where to begin the first time.
    pub start_at: StartAt,
    pub own: Option<OwnService>,
    /// How long to wait before the program is started again; at first.
    pub restart_pause: Duration,
}

impl Default for JournaldConfig {
    fn default() -> Self {
        Self {
            program: PathBuf::from("journalctl"),
            arguments: Vec::new(),
            source: KIND.name.to_owned(),
            time_zone: None,
            start_at: StartAt::End,
            own: None,
            restart_pause: JOURNAL_RESTART_PAUSE,
        }
    }
}

impl JournaldConfig {
    /// Whether there is a journal in which this user can read anything. Blocks until `journalctl` has answered.
    pub fn has_entries(&self) -> bool {
        child::has_entries(self).unwrap_or(false)
    }
}

/// The input and where it goes on.
pub struct JournaldInput {
    config: JournaldConfig,
    cursor: Option<String>,
}

/// Why `journalctl` is not read any further.
enum Ended {
    ByShutdown,
    /// The pipeline has stopped.
    BySink,
    /// `journalctl` ended.
    Child {
        entries: u64,
        complaint: String,
    },
}

impl JournaldInput {
    /// Goes on behind `cursor`. Fails if there is no `journalctl`.
    pub fn new(config: JournaldConfig, cursor: Option<String>) -> Result<Self, InputError> {
        child::probe(&config.program).map_err(|source| {
            let cure = match source.kind() {
                std::io::ErrorKind::NotFound => {
                    "this machine has no systemd, or it is not in PATH; turn `journald.enabled` off"
                }
                _ => "check that this user may run it, or turn `journald.enabled` off",
            };
            InputError::Journalctl { program: config.program.display().to_string(), cure, source }
        })?;
        Ok(Self { config, cursor })
    }

    /// Returns after a shutdown or when the pipeline has stopped. If all that was read is durable, the cursor comes
    /// back: also that of a journal that had nothing to say yet.
    pub async fn run(self, context: Context) -> Option<String> {
        let Self { config, mut cursor } = self;
        let mut pause = config.restart_pause;
        let mut in_vain = 0;
        let mut number = 0;
        if cursor.is_none() && config.start_at == StartAt::End {
            // Were the end looked for by `--follow` alone, what comes before the first entry would be lost by a restart.
            cursor = child::last_cursor(&config, &context).await;
        }
        loop {
            let ended = follow(&config, &context, &mut cursor, in_vain, &mut number).await;
            let (entries, complaint) = match ended {
                Ended::ByShutdown => return cursor,
                Ended::BySink => return None,
                Ended::Child { entries, complaint } => (entries, complaint),
            };
            metrics::counter!("panoptes_journalctl_restarts_total").increment(1);
            if entries > 0 {
                (pause, in_vain) = (config.restart_pause, 0);
            } else if cursor.is_some() && complaint.to_ascii_lowercase().contains("cursor") {
                in_vain += 1;
            }
            tracing::warn!(entries, complaint, "journalctl ended; it is started again in {} s", pause.as_secs_f32());
            tokio::select! {
                () = context.shutdown.cancelled() => return cursor,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(JOURNAL_RESTART_PAUSE_MAX);
        }
    }
}

/// Reads one `journalctl` to its end.
async fn follow(
    config: &JournaldConfig,
    context: &Context,
    cursor: &mut Option<String>,
    in_vain: u32,
    number: &mut u64,
) -> Ended {
    let mut arguments = vec!["--follow".to_owned(), "--no-tail".to_owned()];
    match cursor {
        Some(cursor) if in_vain < JOURNAL_CURSOR_TRIES_MAX => arguments.push(format!("--after-cursor={cursor}")),
        Some(cursor) => {
            if let Some(seconds) = time_of(cursor) {
                tracing::warn!(cursor, "the journal does not know the cursor: read again from its time on");
                arguments.push(format!("--since=@{seconds}"));
            }
        }
        // Without it, `--follow` means this boot only.
        None => arguments.push("--since=@1".to_owned()),
    }
    let mut child = match Child::start(config, arguments).await {
        Ok(child) => child,
        Err(error) => return Ended::Child { entries: 0, complaint: error.to_string() },
    };
    let mut reading = Reading {
        config,
        context,
        cursor,
        number,
        decoder: Decoder::default(),
        batch: RawBatch::new(),
        last_cursor: None,
        cut: (0, 0),
        entries: 0,
    };
    let ended = reading.read(&mut child).await;
    let complaint = child.stop().await;
    match ended {
        Some(ended) => ended,
        None => Ended::Child { entries: reading.entries, complaint },
    }
}

struct Reading<'r> {
    config: &'r JournaldConfig,
    context: &'r Context,
    /// Of the last entry that is durable.
    cursor: &'r mut Option<String>,
    number: &'r mut u64,
    decoder: Decoder,
    batch: RawBatch,
    /// Of the last entry that was read.
    last_cursor: Option<String>,
    /// Records that were cut, and bytes.
    cut: (u64, u64),
    entries: u64,
}

impl Reading<'_> {
    /// `None` when the program has ended.
    async fn read(&mut self, child: &mut Child) -> Option<Ended> {
        let mut flush_at: Option<Instant> = None;
        let mut chunk = Vec::with_capacity(READ_BYTES_MAX);
        loop {
            let read = tokio::select! {
                biased;
                () = self.context.shutdown.cancelled() => {
                    return Some(if self.commit().await { Ended::ByShutdown } else { Ended::BySink });
                }
                () = until(flush_at) => {
                    flush_at = None;
                    if !self.commit().await {
                        return Some(Ended::BySink);
                    }
                    continue;
                }
                read = child.read(&mut chunk) => read,
            };
            self.decoder.push(&chunk);
            chunk.clear();
            if !self.take().await {
                return Some(Ended::BySink);
            }
            if !matches!(read, Ok(length) if length > 0) {
                // What is open of an entry comes again, because its cursor is not noted.
                return if self.commit().await { None } else { Some(Ended::BySink) };
            }
            if flush_at.is_none() && self.last_cursor.is_some() {
                flush_at = Some(Instant::now() + STREAM_FLUSH);
            }
        }
    }

    /// Takes the entries that are whole. `false` if the pipeline has stopped.
    async fn take(&mut self) -> bool {
        loop {
            match self.decoder.next() {
                Found::Entry(entry) => {
                    self.add(entry);
                    if (self.batch.bytes.len() >= STREAM_BATCH_BYTES || !self.batch.has_room_for(LINE_BYTES_MAX))
                        && !self.commit().await
                    {
                        return false;
                    }
                }
                Found::Damaged(error) => tracing::warn!(%error, "an entry of the journal is lost"),
                Found::Nothing => return true,
            }
        }
    }

    fn add(&mut self, entry: Entry) {
        self.entries += 1;
        if !entry.cursor.is_empty() {
            self.last_cursor = Some(entry.cursor.clone());
        }
        let is_own = |own: &OwnService| entry.pid == Some(own.pid) && entry.invocation == own.invocation;
        if self.config.own.as_ref().is_some_and(is_own) {
            return;
        }
        *self.number += 1;
        self.cut.0 += u64::from(entry.cut_bytes > 0);
        self.cut.1 += entry.cut_bytes;
        self.batch.push(0, self.context.now(), *self.number, &entry.json);
    }

    /// Offers what was read until it is durable. Later entries must not become durable before it, or a restart would
    /// lose it. `false` if that cannot be.
    async fn commit(&mut self) -> bool {
        let last_cursor = self.last_cursor.take();
        let mut batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            // What was passed over need not be read again.
            *self.cursor = last_cursor.or(self.cursor.take());
            return true;
        }
        batch.origins = vec![Origin {
            input: KIND.name.to_owned(),
            source: self.config.source.clone(),
            identity: last_cursor.clone().or_else(|| self.cursor.clone()),
            time_zone: self.config.time_zone.clone(),
            ..Origin::default()
        }];
        let records = batch.records.len() as u64;
        let mut told = false;
        loop {
            match self.context.sink.commit(batch.clone()).await {
                Ok(_) => break,
                Err(SinkError::Stopped) => return false,
                Err(error @ SinkError::NotDurable { .. }) => {
                    if !told {
                        tracing::warn!(%error, "entries of the journal wait: they are offered again until they are durable");
                        told = true;
                    }
                }
            }
            tokio::select! {
                () = self.context.shutdown.cancelled() => return false,
                () = sleep(COMMIT_RETRY) => {}
            }
        }
        *self.cursor = last_cursor.or(self.cursor.take());
        let counts = self.context.counters.source(KIND.name, &self.config.source);
        counts.received(records);
        counts.accepted(records);
        let (cut_records, cut_bytes) = std::mem::take(&mut self.cut);
        counts.cut(cut_records, cut_bytes);
        true
    }
}

/// The time that a cursor states, in whole seconds: `…;t=<microseconds in hexadecimal digits>;…`.
fn time_of(cursor: &str) -> Option<u64> {
    let micros = cursor.split(';').find_map(|it| it.strip_prefix("t="))?;
    Some(u64::from_str_radix(micros, 16).ok()? / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_states_its_time() {
        assert_eq!(time_of("s=ab;i=1;b=cd;m=7;t=f4240;x=9"), Some(1));
        assert_eq!(time_of("t=1e8480"), Some(2));
        assert_eq!(time_of("s=ab;i=1"), None);
        assert_eq!(time_of("t=xyz"), None);
    }
}
