//! Finds events, in memory and in segments alike.
//!
//! A search has two phases. The first reads only the columns that the query looks at and gives the places of the events
//! that match, newest first, from the newest segment back until no older one can add any. The second reads whole
//! events by their place, some at a time ([`Found::next_rows`]). Segments outside the time asked for are not opened, nor
//! those, and their row groups, that lack a word or value which the query needs (`prune.rs`).
//!
//! # Where to look first
//! * [`Query`]: the language. [`Searcher::search`]: the phases. [`Searcher::sql`]: the other way in.
//! * [`Ask`]: a query with commands. [`Searcher::table`]: their answers. [`LiveFilter`]: a query on events as they come.
//! * `expr.rs`: the language in terms of the engine (DataFusion); `table.rs`: events as the engine's table.
//! * `direct/`: columns read without the engine, which most counts and lists do with (`answer/quick.rs`).
//!
//! # Invariants
//! * Nothing is written: a query that needs more memory than it may have does not spill. It answers with what fitted and
//!   says so ([`Partial`]), or fails.
//! * A search can be ended at any time ([`Stop`]) and then answers with what it has.
//! * A damaged block costs the row group that it lies in: the answer says which segment, which rows, how many
//!   ([`Found::warnings`]).

mod answer;
mod damaged;
mod direct;
mod expr;
mod fetch;
mod folded;
mod item;
mod live;
mod names;
mod parquet_out;
mod pipes;
mod prune;
mod query;
mod records;
mod sql;
mod stop;
mod table;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Field, SchemaRef, TimestampNanosecondType, UInt32Type, UInt64Type};
use datafusion::common::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use panoptes_model::{EventBatch, EventId, FieldType, FrameId, Schema, Timestamp};
use panoptes_seal::{KeyEncryptionKey, plaintext_size};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::errors::ParquetError;

pub use self::answer::{Make, TableRequest};
use self::damaged::Loss;
use self::direct::{Layouts, Verdicts};
use self::expr::{column, filter, time_literal};
use self::fetch::SegmentFile;
pub use self::live::LiveFilter;
pub use self::names::UnknownField;
pub use self::parquet_out::{Columns, EXPORT_COLUMNS_MAX, ParquetOut};
pub use self::pipes::{Aggregate, Ask, COMMANDS_MAX, Function, GroupOrder, Interval, Measure, OnRows, SortBy, Then};
pub use self::prune::Pruning;
use self::prune::need;
pub use self::query::{Pattern, QUERY_BYTES_MAX, QUERY_DEPTH_MAX, QUERY_TERMS_MAX, Query, QueryError};
pub use self::records::{RecordReader, RecordsError, StoredRecord};
pub use self::sql::{SQL_ROWS_MAX, Table};
pub use self::stop::{Partial, Reason, Stop};
use self::table::{Events, Part, STORE_URL};
pub use self::watch::Work;
use self::watch::{Watch, add_metrics};
use crate::disk::Disk;
use crate::manifest::Segment;
pub use crate::object::SegmentError;
use crate::object::SegmentStore;
use crate::pivot::{
    FRAME, INDEX, INGESTED, INPUT, ORIGINAL, OVERFLOW, ROW, Row, RowRef, SEGMENT, SOURCE, TIME, data_type, is_reserved,
    pivot, pivot_named, rows, timestamp_type,
};
use crate::segment::with_row_numbers;
use crate::words::WordsStore;

/// How many events one search gives at most; [`Found::is_cut`] says that there are more.
pub const ROWS_MAX: usize = 1_000_000;
/// How many whole events are read at a time.
const FETCH_ROWS: usize = 1_000;
/// How much memory the engine's cache of footers takes; beyond it those used least recently are read again.
const FOOTER_CACHE_BYTES_MAX: usize = 64 << 20;
/// How many footers a search keeps; beyond it they are read again when needed.
const FOOTERS_MAX: usize = 64;
/// How many segments the first round looks at; each further round looks at twice as many.
const FIRST_ROUND_SEGMENTS: usize = 1;

/// What a searcher may use.
#[derive(Clone, Copy, Debug)]
pub struct SearchOptions {
    /// Memory for the engine's sorting and grouping. A query that needs more fails with
    /// [`SearchError::MemoryExceeded`].
    pub memory_bytes_max: usize,
    /// How many streams of work a query is split into.
    pub threads: usize,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { memory_bytes_max: 128 << 20, threads: 2 }
    }
}

/// Which end of time to begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    NewestFirst,
    OldestFirst,
}

/// What to find.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    pub query: Query,
    /// Events from this time on.
    pub since: Option<Timestamp>,
    /// Events before this time.
    pub until: Option<Timestamp>,
    /// What `now` in the query means; without it such a time matches nothing.
    pub now: Option<Timestamp>,
    /// How many to give; at most [`ROWS_MAX`].
    pub limit: usize,
    pub order: Order,
    /// Ends the search early; what was found until then is the answer ([`Found::partial`]).
    pub stop: Stop,
}

impl SearchRequest {
    /// The newest events that match, all times.
    pub fn new(query: Query, limit: usize) -> Self {
        Self { query, since: None, until: None, now: None, limit, order: Order::NewestFirst, stop: Stop::default() }
    }
}

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    #[error("a pattern with `*` is too large; make it shorter")]
    PatternTooLarge { source: regex::Error },
    #[error("the query needs more than {bytes_max} bytes of memory; ask for less time, fewer columns or fewer groups")]
    MemoryExceeded { bytes_max: usize, source: Box<DataFusionError> },
    #[error("there is no column `{name}`{}", sql::hint(.nearest))]
    ColumnUnknown { name: String, nearest: Option<String> },
    #[error("the rows have no column `{name}`; they have {columns}")]
    RowColumnUnknown { name: String, columns: String },
    #[error("`{measure}` needs numbers, and `{field}` has none; count, distinct, min and max take anything")]
    NoNumbers { measure: String, field: String },
    #[error("the SQL cannot be understood: {problem}")]
    Sql { problem: String },
    #[error("the query failed")]
    Engine { source: Box<DataFusionError> },
    #[error("an event cannot be read")]
    Read { source: Box<ParquetError> },
}

/// Answers queries. Keeps caches: one for many queries.
pub struct Searcher {
    store: Arc<SegmentStore>,
    words: WordsStore,
    schema: Arc<Schema>,
    runtime: Arc<RuntimeEnv>,
    options: SearchOptions,
    /// The columns of segments, by their paths.
    schemas: Mutex<HashMap<String, SchemaRef>>,
    /// Where they lie.
    layouts: Layouts,
    /// Where queries found nothing.
    verdicts: Verdicts,
    /// For tests that compare the engine's answers with those that are had without it.
    #[cfg(test)]
    engine_only: std::sync::atomic::AtomicBool,
    #[cfg(test)]
    quick_answers: std::sync::atomic::AtomicUsize,
}

/// What a search looks at: what is in memory and which segments there are, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'e> {
    /// In the order of frames.
    pub hot: &'e [Arc<EventBatch>],
    pub segments: &'e [Segment],
}

impl Searcher {
    /// Over the segments on `disk`. `schema` says which types fields have.
    pub fn new(
        disk: Arc<dyn Disk>,
        key: &KeyEncryptionKey,
        schema: Arc<Schema>,
        options: SearchOptions,
    ) -> Result<Self, SearchError> {
        let words = WordsStore::new(Arc::clone(&disk), key.clone());
        let store = Arc::new(SegmentStore::new(disk, key.clone()));
        let engine_error = |source| engine_error(source, options.memory_bytes_max);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(options.memory_bytes_max)))
            .with_metadata_cache_limit(FOOTER_CACHE_BYTES_MAX)
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(engine_error)?;
        let url = url::Url::parse(STORE_URL).expect("the constant is a URL");
        runtime.register_object_store(&url, Arc::<SegmentStore>::clone(&store));
        Ok(Self {
            store,
            words,
            schema,
            runtime,
            options,
            schemas: Mutex::default(),
            layouts: Layouts::default(),
            verdicts: Verdicts::default(),
            #[cfg(test)]
            engine_only: Default::default(),
            #[cfg(test)]
            quick_answers: Default::default(),
        })
    }

    /// How many times a segment was opened so far.
    pub fn segments_opened(&self) -> u64 {
        self.store.opened()
    }

    /// Finds the events that match. Their number is known then, and their places; read them with [`Found::next_rows`].
    pub async fn search(&self, evidence: Evidence<'_>, request: &SearchRequest) -> Result<Found, SearchError> {
        let Asked { query, filter, since, until } =
            self.asked(&request.query, request.now, request.since, request.until)?;
        let mut scope = self.scope(evidence, since, until);
        let mut work = scope.work;
        let need = need(&query, &self.schema);
        let bytes_before = self.store.bytes();
        let limit = request.limit.min(ROWS_MAX);
        let mut hits: Vec<Hit> = Vec::new();
        let mut partial = None;
        let mut segments_searched = 0;
        let parts = scope.ordered(request.order);
        let mut rest = parts.as_slice();
        let mut is_first = true;
        // What is in memory needs no segment; it is nearly always the newest.
        let mut count = if scope.hot_rows.is_empty() { FIRST_ROUND_SEGMENTS } else { 0 };
        loop {
            let (mut looked_into, mut looked_at) = (Vec::new(), 0);
            while let Some(next) = rest.get(looked_at) {
                if looked_into.len() >= count || request.stop.reason().is_some() {
                    break;
                }
                looked_into.extend(self.prune(vec![next.part.clone()], &need, &mut work.pruning));
                looked_at += 1;
            }
            let (now, later) = rest.split_at(looked_at);
            segments_searched += looked_into.len();
            let looked_into_numbers: HashSet<u32> = looked_into.iter().map(|it| it.number).collect();
            let ends: BTreeMap<String, Timestamp> = now
                .iter()
                .filter(|it| looked_into_numbers.contains(&it.part.number))
                .map(|it| (it.part.file.clone(), it.time_max))
                .collect();
            let round = Round {
                is_first: std::mem::take(&mut is_first),
                parts: looked_into,
                // One more than asked for tells whether there are more.
                limit: limit + 1,
                order: request.order,
                worst: hits.get(limit).map(|it| it.time),
            };
            let watch = Watch::new(&request.stop);
            match self.round(&mut scope, &filter, round, &watch, &mut work).await {
                Ok(found) => hits.extend(found),
                Err(SearchError::MemoryExceeded { .. }) if !hits.is_empty() => request.stop.stop(Reason::Memory),
                Err(error) => return Err(error),
            }
            work.segments_opened += watch.segments_opened();
            hits.sort_unstable_by_key(|it| (it.time, it.frame, it.index));
            if request.order == Order::NewestFirst {
                hits.reverse();
            }
            hits.truncate(limit + 1);
            rest = later;
            count = (count * 2).max(FIRST_ROUND_SEGMENTS);
            let is_enough = hits.get(limit).zip(rest.first()).is_some_and(|(last, next)| match request.order {
                Order::NewestFirst => last.time > next.time_max,
                Order::OldestFirst => last.time < next.time_min,
            });
            if let Some(reason) = request.stop.reason() {
                let ends = ends.iter().map(|it| (it.0.as_str(), *it.1)).collect();
                let cut = watch.cut(&ends);
                if cut.is_some() || !(rest.is_empty() || is_enough) {
                    let of_rest = rest.iter().map(|it| it.time_max.saturating_add_nanos(1)).max();
                    let is_known = request.order == Order::NewestFirst && cut.is_none_or(|it| it.1.is_some());
                    let complete_since = cut.and_then(|it| it.1).max(of_rest).filter(|_| is_known);
                    partial = Some(Partial { reason, complete_since });
                }
                break;
            }
            if is_enough || rest.is_empty() {
                break;
            }
        }
        work.bytes_read = self.store.bytes().0 - bytes_before.0;
        work.bytes_opened = self.store.bytes().1 - bytes_before.1;
        work.settle();
        let is_cut = hits.len() > limit;
        hits.truncate(limit);
        Ok(Found {
            store: Arc::clone(&self.store),
            hot: scope.hot.to_vec(),
            hot_rows: scope.hot_rows.iter().map(|it| it.1).collect(),
            segments: scope.segments,
            hits: hits.into(),
            warnings: scope.warnings,
            footers: HashMap::new(),
            is_cut,
            partial,
            work,
            segments_searched,
        })
    }

    /// What a request means: its query at its time, ready for the engine.
    fn asked(
        &self,
        query: &Query,
        now: Option<Timestamp>,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Asked, SearchError> {
        let query = match now {
            Some(now) => query.at(now, &self.schema),
            None => query.clone(),
        };
        let filter =
            filter(&query, &self.schema).map_err(|error| SearchError::PatternTooLarge { source: error.source })?;
        let (since, until) = within(&query, since, until);
        Ok(Asked { query, filter, since, until })
    }

    /// What lies in the time asked for.
    fn scope<'e>(&self, evidence: Evidence<'e>, since: Option<Timestamp>, until: Option<Timestamp>) -> Scope<'e> {
        let inside = |time: Timestamp| since.is_none_or(|it| time >= it) && until.is_none_or(|it| time < it);
        let mut hot_rows: Vec<(Timestamp, RowRef)> = Vec::new();
        for (batch_index, batch) in evidence.hot.iter().enumerate() {
            let of_batch = batch.events().filter(|it| inside(it.time()));
            hot_rows.extend(of_batch.map(|it| (it.time(), RowRef { batch: batch_index as u32, event: it.id().index })));
        }
        let overlaps = |it: &&Segment| {
            since.is_none_or(|since| it.time_max >= since) && until.is_none_or(|until| it.time_min < until)
        };
        let mut warnings = Vec::new();
        let mut segments = BTreeMap::new();
        for (number, segment) in evidence.segments.iter().filter(overlaps).enumerate() {
            match plaintext_size(segment.bytes) {
                Some(size) => {
                    let part = Part {
                        file: segment.file.clone(),
                        number: number as u32,
                        size,
                        sidecar_of: segment.words.as_ref().map(|_| segment.digest),
                        sources: segment.sources.clone(),
                        datasets: segment.datasets.clone(),
                        groups: None,
                    };
                    segments.insert(
                        number as u32,
                        Candidate { part, time_min: segment.time_min, time_max: segment.time_max },
                    );
                }
                None => warnings.push(SegmentError::size_impossible(&segment.file, segment.bytes)),
            }
        }
        let segments_of_other_times = evidence.segments.len() - segments.len() - warnings.len();
        let work = Work {
            pruning: Pruning { segments_of_other_times, ..Pruning::default() },
            events_in_memory: hot_rows.len() as u64,
            segments: evidence.segments.len() as u64,
            segments_in_time: segments.len() as u64,
            ..Work::default()
        };
        Scope { hot: evidence.hot, hot_rows, segments, since, until, warnings, work }
    }

    /// The first matches in some segments. What is damaged is left out, told, and not asked again.
    async fn round(
        &self,
        scope: &mut Scope<'_>,
        filter: &expr::Filter,
        mut round: Round,
        watch: &Arc<Watch>,
        work: &mut Work,
    ) -> Result<Vec<Hit>, SearchError> {
        let hot = match scope.hot_rows.is_empty() || !round.is_first {
            true => Vec::new(),
            false => vec![with_row_numbers(&scope.hot_columns(&filter.fields))],
        };
        if hot.is_empty() && round.parts.is_empty() {
            return Ok(Vec::new());
        }
        loop {
            let mark = self.store.damage_mark();
            match self.run(scope, filter, &hot, &round, watch, work).await {
                Ok(hits) => return Ok(hits),
                Err(error) => match self.leave_out_damaged(&mut round.parts, mark) {
                    Some(damage) => scope.warnings.push(damage),
                    None => return Err(engine_error(error, self.options.memory_bytes_max)),
                },
            }
        }
    }

    async fn run(
        &self,
        scope: &Scope<'_>,
        filter: &expr::Filter,
        hot: &[RecordBatch],
        round: &Round,
        watch: &Arc<Watch>,
        work: &mut Work,
    ) -> Result<Vec<Hit>, DataFusionError> {
        let parts = round.parts.clone();
        let events = Events::new(columns(&filter.fields), hot, parts, Arc::clone(&self.store), watch)?;
        let context = self.context();
        let mut frame = scope.in_time(context.read_table(Arc::new(events))?.filter(filter.expr.clone())?)?;
        let is_ascending = round.order == Order::OldestFirst;
        if let Some(worst) = round.worst {
            let (time, worst) = (column(TIME), time_literal(worst));
            frame = frame.filter(if is_ascending { time.lt_eq(worst) } else { time.gt_eq(worst) })?;
        }
        let frame = frame
            .select([SEGMENT, ROW, TIME, FRAME, INDEX].map(column))?
            .sort([TIME, FRAME, INDEX].map(|it| column(it).sort(is_ascending, false)).to_vec())?
            .limit(0, Some(round.limit))?;
        let plan = frame.create_physical_plan().await?;
        let batches = datafusion::physical_plan::collect(Arc::clone(&plan), context.task_ctx()).await?;
        add_metrics(&plan, watch, work);
        Ok(batches.iter().flat_map(hits_of).collect())
    }

    fn context(&self) -> SessionContext {
        let mut config = SessionConfig::new().with_target_partitions(self.options.threads.max(1));
        let options = config.options_mut();
        options.sql_parser.enable_ident_normalization = false;
        options.execution.collect_statistics = false;
        options.execution.parquet.pushdown_filters = true;
        SessionContext::new_with_config_rt(config, Arc::clone(&self.runtime))
    }
}

/// The time that both the query itself and the request leave.
fn within(query: &Query, since: Option<Timestamp>, until: Option<Timestamp>) -> (Option<Timestamp>, Option<Timestamp>) {
    let bounds = query.time_bounds();
    (since.max(bounds.0), [until, bounds.1].into_iter().flatten().min())
}

fn engine_error(source: DataFusionError, bytes_max: usize) -> SearchError {
    match source.find_root() {
        DataFusionError::ResourcesExhausted(_) => SearchError::MemoryExceeded { bytes_max, source: Box::new(source) },
        _ => SearchError::Engine { source: Box::new(source) },
    }
}

/// The damaged segment that an error comes from.
fn damage_behind(error: &ParquetError) -> Option<SegmentError> {
    let ParquetError::External(inner) = error else { return None };
    let through_read = || inner.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref::<SegmentError>();
    inner.downcast_ref::<SegmentError>().or_else(through_read).cloned()
}

/// Fixed columns and `fields`, as segments have them. All may be null: a table is of many segments.
fn columns(fields: &[(String, FieldType)]) -> Vec<Field> {
    let text = |name| Field::new(name, DataType::Utf8View, true);
    let fixed = [
        Field::new(TIME, timestamp_type(), true),
        Field::new(FRAME, DataType::UInt64, true),
        Field::new(INDEX, DataType::UInt32, true),
        Field::new(INGESTED, timestamp_type(), true),
        text(ORIGINAL),
        text(SOURCE),
        text(INPUT),
        text(OVERFLOW),
        Field::new(ROW, DataType::UInt32, true),
    ];
    let of_fields = fields.iter().filter(|it| !is_reserved(&it.0));
    fixed.into_iter().chain(of_fields.map(|(name, ty)| Field::new(name, data_type(*ty), true))).collect()
}

/// A request as the engine takes it.
struct Asked {
    query: Query,
    filter: expr::Filter,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// A segment that may hold what is asked for.
#[derive(Clone, Debug)]
struct Candidate {
    part: Part,
    time_min: Timestamp,
    time_max: Timestamp,
}

/// What a search looks at.
struct Scope<'e> {
    hot: &'e [Arc<EventBatch>],
    hot_rows: Vec<(Timestamp, RowRef)>,
    /// By number.
    segments: BTreeMap<u32, Candidate>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    warnings: Vec<SegmentError>,
    /// As far as it is known before anything is read.
    work: Work,
}

impl Scope<'_> {
    /// The segments, so that what comes first in `order` comes first.
    fn ordered(&self, order: Order) -> Vec<Candidate> {
        let mut all: Vec<Candidate> = self.segments.values().cloned().collect();
        match order {
            Order::NewestFirst => all.sort_by_key(|it| std::cmp::Reverse((it.time_max, it.time_min))),
            Order::OldestFirst => all.sort_by_key(|it| (it.time_min, it.time_max)),
        }
        all
    }

    /// What is in memory, as columns: the fixed ones and `fields`.
    fn hot_columns(&self, fields: &[(String, FieldType)]) -> RecordBatch {
        let refs: Vec<RowRef> = self.hot_rows.iter().map(|it| it.1).collect();
        let batches: Vec<&EventBatch> = self.hot.iter().map(|it| &**it).collect();
        pivot_named(&batches, &refs, fields)
    }

    /// `frame` without what lies outside the time asked for.
    fn in_time(&self, mut frame: DataFrame) -> Result<DataFrame, DataFusionError> {
        if let Some(since) = self.since {
            frame = frame.filter(column(TIME).gt_eq(time_literal(since)))?;
        }
        if let Some(until) = self.until {
            frame = frame.filter(column(TIME).lt(time_literal(until)))?;
        }
        Ok(frame)
    }
}

/// A part of a search: some segments, in the order of their times.
struct Round {
    /// What is in memory only is looked at with the first.
    is_first: bool,
    parts: Vec<Part>,
    limit: usize,
    order: Order,
    /// Later ones than this are not wanted any more.
    worst: Option<Timestamp>,
}

/// The place of an event, and what it is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hit {
    /// `None`: in memory.
    segment: Option<u32>,
    row: u32,
    time: Timestamp,
    frame: u64,
    index: u32,
}

fn hits_of(batch: &RecordBatch) -> Vec<Hit> {
    let numbers = |name: &str| batch.column_by_name(name).and_then(|it| it.as_primitive_opt::<UInt32Type>());
    let times = batch.column_by_name(TIME).and_then(|it| it.as_primitive_opt::<TimestampNanosecondType>());
    let frames = batch.column_by_name(FRAME).and_then(|it| it.as_primitive_opt::<UInt64Type>());
    let (Some(segments), Some(rows), Some(indexes)) = (numbers(SEGMENT), numbers(ROW), numbers(INDEX)) else {
        return Vec::new();
    };
    let (Some(times), Some(frames)) = (times, frames) else { return Vec::new() };
    (0..batch.num_rows())
        .map(|index| Hit {
            segment: (!segments.is_null(index)).then(|| segments.value(index)),
            row: rows.value(index),
            time: Timestamp(times.value(index)),
            frame: frames.value(index),
            index: indexes.value(index),
        })
        .collect()
}

/// The events that a search found, in order.
pub struct Found {
    store: Arc<SegmentStore>,
    hot: Vec<Arc<EventBatch>>,
    hot_rows: Vec<RowRef>,
    segments: BTreeMap<u32, Candidate>,
    hits: std::collections::VecDeque<Hit>,
    warnings: Vec<SegmentError>,
    footers: HashMap<u32, ArrowReaderMetadata>,
    is_cut: bool,
    partial: Option<Partial>,
    work: Work,
    segments_searched: usize,
}

/// The rows among places.
fn numbers(places: &[(u32, usize)]) -> Vec<u32> {
    places.iter().map(|it| it.0).collect()
}

impl Found {
    /// How many events are still to be read.
    pub fn len(&self) -> usize {
        self.hits.len()
    }

    pub fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }

    /// Whether more events match than were asked for.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Why not all that match were found, if so, and what was looked at.
    pub fn partial(&self) -> Option<Partial> {
        self.partial
    }

    /// What finding them cost.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// How many segments were looked into.
    pub fn segments_searched(&self) -> usize {
        self.segments_searched
    }

    /// Which segments and row groups were left out.
    pub fn pruning(&self) -> Pruning {
        self.work.pruning
    }

    /// The segments that could not be read so far: their events are missing.
    pub fn warnings(&self) -> &[SegmentError] {
        &self.warnings
    }

    /// Time and id of the last event that was found.
    pub fn last(&self) -> Option<(Timestamp, EventId)> {
        let last = self.hits.back()?;
        Some((last.time, EventId { frame: FrameId(last.frame), index: last.index }))
    }

    /// The next events; `None` after the last.
    pub fn next_rows(&mut self) -> Result<Option<Vec<Row>>, SearchError> {
        self.next_rows_up_to(FETCH_ROWS)
    }

    /// The same, `count` at a time: with more, each page of a segment is read less often.
    pub fn next_rows_up_to(&mut self, count: usize) -> Result<Option<Vec<Row>>, SearchError> {
        if self.hits.is_empty() {
            return Ok(None);
        }
        let hits: Vec<Hit> = self.hits.drain(..count.max(1).min(self.hits.len())).collect();
        let mut found: Vec<Option<Row>> = vec![None; hits.len()];
        let mut by_segment: BTreeMap<Option<u32>, Vec<(u32, usize)>> = BTreeMap::new();
        for (position, hit) in hits.iter().enumerate() {
            by_segment.entry(hit.segment).or_default().push((hit.row, position));
        }
        for (segment, mut places) in by_segment {
            places.sort_unstable();
            let read = match segment {
                None => self.hot_events(&numbers(&places)),
                Some(number) => self.readable_events(number, &mut places)?,
            };
            for ((_, position), row) in places.into_iter().zip(read) {
                if let Some(slot) = found.get_mut(position) {
                    *slot = Some(row);
                }
            }
        }
        Ok(Some(found.into_iter().flatten().collect()))
    }

    /// All events. For tests and small answers.
    pub fn all_rows(&mut self) -> Result<Vec<Row>, SearchError> {
        let mut all = Vec::with_capacity(self.len());
        while let Some(rows) = self.next_rows()? {
            all.extend(rows);
        }
        Ok(all)
    }

    fn hot_events(&self, numbers: &[u32]) -> Vec<Row> {
        let refs: Vec<RowRef> = numbers.iter().filter_map(|it| self.hot_rows.get(*it as usize).copied()).collect();
        let batches: Vec<&EventBatch> = self.hot.iter().map(|it| &**it).collect();
        rows(&pivot(&batches, &refs))
    }

    /// The events at `places` of a segment, without those that cannot be read: they are told, and taken out of `places`.
    fn readable_events(&mut self, number: u32, places: &mut Vec<(u32, usize)>) -> Result<Vec<Row>, SearchError> {
        while !places.is_empty() {
            let mark = self.store.damage_mark();
            let error = match self.segment_events(number, &numbers(places)) {
                Ok(read) => return Ok(read),
                Err(error) => error,
            };
            // The reader makes text of errors that come in the middle of a file.
            let file = self.segments.get(&number).map(|it| it.part.file.as_str());
            let noted = || self.store.damage_since(mark).into_iter().find(|it| Some(it.segment()) == file);
            let Some(damage) = damage_behind(&error).or_else(noted) else {
                return Err(SearchError::Read { source: Box::new(error) });
            };
            let footer = self.footers.get(&number).map(|it| it.metadata());
            let loss = footer.and_then(|it| Loss::of(it, &damage));
            let before = places.len();
            if let Some(loss) = &loss {
                places.retain(|it| !loss.has_row(it.0));
            }
            // What does not lie in rows that were asked for costs them all: asking again would meet it again.
            if places.len() == before {
                places.clear();
            }
            let warning = loss.map_or(damage, Loss::into_error);
            // The same place may be met by each read.
            let text = warning.to_string();
            if !self.warnings.iter().any(|it| it.to_string() == text) {
                tracing::warn!(error = text, "events left out of a search");
                self.warnings.push(warning);
            }
        }
        Ok(Vec::new())
    }

    fn segment_events(&mut self, number: u32, numbers: &[u32]) -> Result<Vec<Row>, ParquetError> {
        let Some(candidate) = self.segments.get(&number) else { return Ok(Vec::new()) };
        let Part { file, size, .. } = candidate.part.clone();
        let file = SegmentFile { store: Arc::clone(&self.store), file, size };
        let footer = match self.footers.get(&number) {
            Some(footer) => footer.clone(),
            None => {
                if self.footers.len() >= FOOTERS_MAX {
                    self.footers.clear();
                }
                let footer = file.metadata()?;
                self.footers.insert(number, footer.clone());
                footer
            }
        };
        Ok(file.rows(&footer, numbers)?.iter().flat_map(rows).collect())
    }
}
