//! The evidence of the data folder, opened to be asked: by whoever lists something of it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use panoptes_catalog::OpenMode;
use panoptes_catalog::blocking::Catalog;
use panoptes_config::Config;
use panoptes_engine::Preparer;
use panoptes_model::{EventBatch, Schema, Timestamp};
use panoptes_seal::KeyEncryptionKey;
use panoptes_store::StoreReader;
use panoptes_store::manifest::Segment;
use panoptes_store::pivot::FieldValue;
use panoptes_store::search::{
    Evidence, Found, Reason, SearchOptions, SearchRequest, Searcher, SegmentError, Stop, Table, TableRequest,
    UnknownField,
};

use crate::cli::Global;
use crate::surroundings;

/// How often a question is asked again because segments went away: a minute goes by before they do, each time.
const ASKED_AGAIN_MAX: usize = 3;

/// What is on the disk at the moment of opening; a running instance goes on beside it.
pub(super) struct Asking {
    pub(super) config: Config,
    pub(super) reader: StoreReader,
    hot: Vec<Arc<EventBatch>>,
    key: KeyEncryptionKey,
    preparer: Preparer,
    searcher: Searcher,
    schema: Arc<Schema>,
    runtime: tokio::runtime::Runtime,
    /// Ends what is asked.
    stop: Stop,
}

/// How often a running instance may seal events while they are read before the search goes on with what it has.
const READ_AGAIN_MAX: usize = 5;

impl Asking {
    pub(super) fn open(global: &Global) -> anyhow::Result<Self> {
        let config = surroundings::config(global, Vec::new())?;
        let key = crate::keys::for_reading(&config)?;
        // The rules only give their fields fixed ids; without them every field is found all the same.
        let rules = Arc::new(surroundings::rules(&config, &[], true)?);
        let preparer = surroundings::preparer(&config, surroundings::normalizer(&config, None)?, rules)?;
        let (reader, hot) = read(&config, &key, &preparer)?;
        let options = SearchOptions {
            memory_bytes_max: config.store.query_bytes_max as usize,
            threads: surroundings::workers(&config),
        };
        let threads = options.threads;
        let searcher = Searcher::new(Arc::clone(&reader.disk), &key, Arc::clone(preparer.schema()), options)?;
        let schema = Arc::clone(preparer.schema());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .context("cannot start the runtime of queries")?;
        Ok(Self { config, reader, hot, key, preparer, searcher, schema, runtime, stop: Stop::default() })
    }

    /// From here on, questions end after `time_max`, or when somebody interrupts: with what was found until then.
    pub(super) fn end_early(&self, time_max: Option<Duration>) {
        if let Some(time_max) = time_max {
            let stop = self.stop.clone();
            self.runtime.spawn(async move {
                tokio::time::sleep(time_max).await;
                stop.stop(Reason::Time);
            });
        }
        let stop = self.stop.clone();
        self.runtime.spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.stop(Reason::Cancelled);
            }
        });
    }

    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Which types fields have.
    pub(super) fn schema(&self) -> Arc<Schema> {
        Arc::clone(&self.schema)
    }

    /// The first and the last time of all events there are.
    pub(super) fn times(&self) -> Option<(Timestamp, Timestamp)> {
        let hot = || self.hot.iter().flat_map(|it| it.events().map(|it| it.time()));
        let segments = || self.reader.segments.iter();
        let first = segments().map(|it| it.time_min).chain(hot()).min()?;
        Some((first, segments().map(|it| it.time_max).chain(hot()).max()?))
    }

    pub(super) fn search(&self, request: &SearchRequest) -> anyhow::Result<Found> {
        let ask = |evidence: Evidence<'_>| Ok(self.runtime.block_on(self.searcher.search(evidence, request))?);
        self.until_current(ask, |found: &Found| found.warnings())
    }

    pub(super) fn sql(&self, text: &str, since: Option<Timestamp>, until: Option<Timestamp>) -> anyhow::Result<Table> {
        let ask = |evidence: Evidence<'_>| {
            Ok(self.runtime.block_on(self.searcher.sql(evidence, text, since, until, &self.stop))?)
        };
        self.until_current(ask, |table: &Table| &table.warnings)
    }

    pub(super) fn table(&self, request: &TableRequest) -> anyhow::Result<Table> {
        let ask = |evidence: Evidence<'_>| Ok(self.runtime.block_on(self.searcher.table(evidence, request))?);
        self.until_current(ask, |table: &Table| &table.warnings)
    }

    /// Asks, and asks again of what is there now if segments went away meanwhile, because a running instance merged or
    /// deleted them.
    fn until_current<T>(
        &self,
        ask: impl Fn(Evidence<'_>) -> anyhow::Result<T>,
        warnings: impl Fn(&T) -> &[SegmentError],
    ) -> anyhow::Result<T> {
        let mut answer = ask(self.evidence())?;
        for _ in 0..ASKED_AGAIN_MAX {
            if warnings(&answer).is_empty() {
                break;
            }
            let (reader, hot) = read(&self.config, &self.key, &self.preparer)?;
            if !warnings(&answer).iter().any(|it| is_replaced(it.segment(), &reader.segments)) {
                break;
            }
            answer = ask(Evidence { hot: &hot, segments: &reader.segments })?;
        }
        Ok(answer)
    }

    /// Names that no event has, with what was perhaps meant.
    pub(super) fn unknown_fields(
        &self,
        names: &[&str],
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Vec<UnknownField> {
        self.searcher.unknown_fields(self.evidence(), names, since, until)
    }

    /// The same for a question of ours: what cannot be read is told, and the rows come alone.
    pub(super) fn rows(&self, text: &str, since: Option<Timestamp>) -> anyhow::Result<Vec<Vec<FieldValue>>> {
        let answer = self.sql(text, since, None)?;
        for warning in &answer.warnings {
            tracing::warn!("{}; its events are missing from the answer", panoptes_stdx::ErrorChain(warning));
        }
        if answer.is_cut {
            tracing::warn!("more than {} rows: ask for a shorter time (--since)", answer.rows.len());
        }
        Ok(answer.rows)
    }

    /// The fields that events since `since` have.
    pub(super) fn columns(&self, since: Option<Timestamp>) -> anyhow::Result<Vec<String>> {
        Ok(self.sql("select * from events limit 0", since, None)?.columns)
    }

    /// What is in order rather than in bulk.
    pub(super) fn catalog(&self) -> anyhow::Result<Catalog> {
        let key = crate::keys::for_reading(&self.config)?;
        surroundings::catalog(&self.config, &key, OpenMode::Existing)
    }

    fn evidence(&self) -> Evidence<'_> {
        Evidence { hot: &self.hot, segments: &self.reader.segments }
    }
}

/// Whether a segment that could not be read is none any more.
fn is_replaced(segment: &str, now: &[Segment]) -> bool {
    now.iter().all(|it| it.file != segment)
}

/// What there is at one moment: segments, and the events that none of them has yet.
fn read(
    config: &Config,
    key: &KeyEncryptionKey,
    preparer: &Preparer,
) -> anyhow::Result<(StoreReader, Vec<Arc<EventBatch>>)> {
    let cannot = || format!("cannot read the evidence in {}", config.data_dir.display());
    let mut found = None;
    for _ in 0..READ_AGAIN_MAX {
        let reader = StoreReader::open(&config.data_dir, key).with_context(cannot)?;
        let hot = hot_events(&reader, preparer);
        // A running instance may have sealed frames meanwhile and given them up before they were read from the log.
        let is_current = reader.is_current(key).with_context(cannot)?;
        found = Some((reader, hot));
        if is_current {
            break;
        }
    }
    found.with_context(cannot)
}

/// The events of frames that are not in segments yet, made again from the log.
fn hot_events(reader: &StoreReader, preparer: &Preparer) -> Vec<Arc<EventBatch>> {
    let mut hot = Vec::new();
    for frame in reader.log.frames_after(reader.sealed_through) {
        match frame {
            Ok(frame) => hot.push(Arc::new(preparer.normalize(frame))),
            Err(error) => tracing::warn!("{}; going on with the rest", panoptes_stdx::ErrorChain(&error)),
        }
    }
    hot
}

/// A text as SQL writes it.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(super) fn text_of(value: Option<&FieldValue>) -> String {
    value.map(FieldValue::to_text).unwrap_or_default()
}

pub(super) fn number_of(value: Option<&FieldValue>) -> f64 {
    match value {
        Some(FieldValue::Integer(number)) => *number as f64,
        Some(FieldValue::Float(number)) => *number,
        _ => 0.0,
    }
}

pub(super) fn time_of(value: Option<&FieldValue>) -> Option<Timestamp> {
    if let Some(FieldValue::Timestamp(time)) = value { Some(*time) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_is_still_named_is_damaged_and_one_that_is_not_was_replaced() {
        let now = [Segment { file: "segments/b".to_owned(), ..Segment::default() }];
        assert!(is_replaced("segments/a", &now) && !is_replaced("segments/b", &now));
    }
}
