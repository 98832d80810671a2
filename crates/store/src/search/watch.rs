//! One reading of segments, watched: it can be ended early, and says afterwards what was read.
//!
//! A plan that is stopped does not fail: its segments end early, as if there were no more, so that whatever counts or
//! sorts above them gives the answer for what was read until then. For this every read of a segment yields once, which
//! gives [`StoppableExec`] the chance to end even where no row matches.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as EngineResult, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ReplaceChildrenOptions};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricValue};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use panoptes_model::Timestamp;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::file::metadata::ParquetMetaData;

use super::prune::Pruning;
use super::stop::{Reason, Stop};

/// How many segments a stream may have in hand at once: the one it reads and the one it opens.
const IN_HAND_MAX: usize = 2;

/// What searching cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Events that were in memory only, in the time asked for.
    pub events_in_memory: u64,
    /// Segments there are.
    pub segments: u64,
    /// Those of them in the time asked for.
    pub segments_in_time: u64,
    pub segments_opened: u64,
    /// What the sidecars of segments spared.
    pub pruning: Pruning,
    pub row_groups_read: u64,
    /// Left out because of their statistics or filters.
    pub row_groups_pruned: u64,
    /// Rows of segments that were looked at, about.
    pub rows_read: u64,
    /// Of those, the ones that matched.
    pub rows_matched: u64,
    /// Read from the disk, as it lies there.
    pub bytes_read: u64,
    /// Decrypted.
    pub bytes_opened: u64,
}

impl Work {
    /// What sidecars spared was opened but not read: the scans themselves do not tell.
    pub(super) fn settle(&mut self) {
        let spared = self.pruning.row_groups as u64;
        let left = self.row_groups_read.saturating_sub(spared);
        self.rows_read = (self.rows_read * left).checked_div(self.row_groups_read).unwrap_or(0).max(self.rows_matched);
        self.row_groups_read = left;
    }
}

/// Which scan of a plan, and which of its streams.
type Stream = (usize, usize);

/// Follows one execution of a plan.
#[derive(Debug, Default)]
pub(super) struct Watch {
    stop: Stop,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Which segments each stream opened, in order.
    opened: HashMap<Stream, Vec<String>>,
    /// Streams that came to their end.
    ended: HashSet<Stream>,
    scans: usize,
    /// Row groups and rows of the segments whose footers were read.
    footers: HashMap<String, (u64, u64)>,
    /// Segments are read in pieces, by several streams.
    is_split: bool,
    was_stopped: bool,
}

impl Watch {
    pub(super) fn new(stop: &Stop) -> Arc<Self> {
        Arc::new(Self { stop: stop.clone(), seen: Mutex::default() })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for one more scan.
    pub(super) fn scan(&self) -> usize {
        let mut seen = self.seen();
        seen.scans += 1;
        seen.scans
    }

    pub(super) fn segments_opened(&self) -> u64 {
        let seen = self.seen();
        let all: HashSet<&String> = seen.opened.values().flatten().collect();
        all.len() as u64
    }

    /// If the reading ended early, why, and from which time on all was read. `parts` are all segments that were to be
    /// read, each with its last time.
    pub(super) fn cut(&self, parts: &BTreeMap<&str, Timestamp>) -> Option<(Reason, Option<Timestamp>)> {
        let seen = self.seen();
        let reason = self.stop.reason().filter(|_| seen.was_stopped)?;
        if seen.is_split {
            return Some((reason, None));
        }
        let mut whole: HashSet<&str> = HashSet::new();
        for (stream, opened) in &seen.opened {
            let done =
                if seen.ended.contains(stream) { opened.len() } else { opened.len().saturating_sub(IN_HAND_MAX) };
            whole.extend(opened.iter().take(done).map(String::as_str));
        }
        // What another stream has in hand is not whole, although this one read its share of it.
        for (stream, opened) in seen.opened.iter().filter(|it| !seen.ended.contains(it.0)) {
            for file in opened.iter().rev().take(IN_HAND_MAX) {
                whole.remove(file.as_str());
                tracing::trace!(?stream, file, "not read to its end");
            }
        }
        let missing = parts.iter().filter(|it| !whole.contains(it.0)).map(|it| *it.1).max();
        Some((reason, missing.map(|it| it.saturating_add_nanos(1))))
    }
}

/// Adds up what the scans of a plan say of themselves.
pub(super) fn add_metrics(plan: &Arc<dyn ExecutionPlan>, watch: &Watch, work: &mut Work) {
    let seen = watch.seen();
    let (mut groups_pruned, mut rows_matched, mut rows_left_out) = (0, 0, 0);
    let mut scans: Vec<&Arc<dyn ExecutionPlan>> = Vec::new();
    stoppable(plan, &mut scans);
    for metric in scans.iter().filter_map(|it| it.metrics()).flat_map(|it| it.iter().cloned().collect::<Vec<_>>()) {
        match metric.value() {
            MetricValue::PruningMetrics { name, pruning_metrics } if name.starts_with("row_groups_pruned") => {
                groups_pruned += pruning_metrics.pruned() as u64;
            }
            MetricValue::PruningMetrics { name, pruning_metrics } if name == "page_index_rows_pruned" => {
                rows_left_out += pruning_metrics.pruned() as u64;
            }
            MetricValue::OutputRows(count) => rows_matched += count.value() as u64,
            other if other.name() == "row_groups_pruned_dynamic_filter" => groups_pruned += other.as_usize() as u64,
            _ => {}
        }
    }
    let groups: u64 = seen.footers.values().map(|it| it.0).sum();
    let rows: u64 = seen.footers.values().map(|it| it.1).sum();
    let groups_read = groups.saturating_sub(groups_pruned);
    work.row_groups_pruned += groups_pruned.min(groups);
    work.row_groups_read += groups_read;
    // Of a group that is pruned only its footer is known: each counts as the mean.
    work.rows_read += (rows * groups_read).checked_div(groups).unwrap_or(0).saturating_sub(rows_left_out);
    work.rows_matched += rows_matched;
}

/// The scans below `plan` that can be stopped.
fn stoppable<'p>(plan: &'p Arc<dyn ExecutionPlan>, out: &mut Vec<&'p Arc<dyn ExecutionPlan>>) {
    let children = plan.children();
    if children.is_empty() {
        return;
    }
    for child in children {
        if plan.downcast_ref::<StoppableExec>().is_some() {
            let mut leaf = child;
            while let Some(deeper) = leaf.children().first().copied() {
                leaf = deeper;
            }
            out.push(leaf);
        } else {
            stoppable(child, out);
        }
    }
}

/// Hands out readers that note what is opened and let others run before each read.
#[derive(Debug)]
pub(super) struct WatchedReaders {
    pub(super) inner: Arc<dyn ParquetFileReaderFactory>,
    pub(super) watch: Arc<Watch>,
    pub(super) scan: usize,
}

impl ParquetFileReaderFactory for WatchedReaders {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> EngineResult<Box<dyn AsyncFileReader + Send>> {
        let name = file.object_meta.location.as_ref().to_owned();
        let mut seen = self.watch.seen();
        let opened = seen.opened.entry((self.scan, partition_index)).or_default();
        // A reader for bloom filters and one for rows: the same opening.
        if opened.last() != Some(&name) {
            opened.push(name.clone());
        }
        drop(seen);
        let inner = self.inner.create_reader(partition_index, file, metadata_size_hint, metrics)?;
        Ok(Box::new(WatchedReader { inner, name, watch: Arc::clone(&self.watch) }))
    }
}

struct WatchedReader {
    inner: Box<dyn AsyncFileReader + Send>,
    name: String,
    watch: Arc<Watch>,
}

/// Is pending once.
pub(super) struct Yield(bool);

impl Yield {
    pub(super) fn once() -> Self {
        Self(false)
    }
}

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncFileReader for WatchedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move {
            Yield::once().await;
            self.inner.get_bytes(range).await
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move {
            Yield::once().await;
            self.inner.get_byte_ranges(ranges).await
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            Yield::once().await;
            let footer = self.inner.get_metadata(options).await?;
            let size = (footer.num_row_groups() as u64, footer.file_metadata().num_rows().max(0) as u64);
            self.watch.seen().footers.insert(self.name.clone(), size);
            Ok(footer)
        }
        .boxed()
    }
}

/// Passes the rows of segments on until it is stopped.
#[derive(Debug)]
pub(super) struct StoppableExec {
    input: Arc<dyn ExecutionPlan>,
    watch: Arc<Watch>,
    scan: usize,
}

impl StoppableExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, watch: Arc<Watch>, scan: usize) -> Self {
        Self { input, watch, scan }
    }

    fn around(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, watch: Arc::clone(&self.watch), scan: self.scan })
    }
}

impl DisplayAs for StoppableExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoppableExec")
    }
}

impl ExecutionPlan for StoppableExec {
    fn name(&self) -> &str {
        "StoppableExec"
    }

    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(only), true) => Ok(self.around(only)),
            _ => internal_err!("a stoppable scan has one input"),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> EngineResult<SendableRecordBatchStream> {
        let inner = self.input.execute(partition, context)?;
        Ok(Box::pin(StoppableStream { inner, stream: (self.scan, partition), watch: Arc::clone(&self.watch) }))
    }

    fn repartitioned(
        &self,
        target_partitions: usize,
        config: &ConfigOptions,
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        // With a segment for each stream there is nothing to gain, and the order of segments to lose.
        if self.properties().partitioning.partition_count() >= target_partitions {
            return Ok(None);
        }
        let split = self.input.repartitioned(target_partitions, config)?;
        self.watch.seen().is_split |= split.is_some();
        Ok(split.map(|it| self.around(it)))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExec,
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        Ok(self.input.try_swapping_with_projection(projection)?.map(|it| self.around(it)))
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> EngineResult<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        child_pushdown_result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> EngineResult<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(child_pushdown_result))
    }
}

struct StoppableStream {
    inner: SendableRecordBatchStream,
    stream: Stream,
    watch: Arc<Watch>,
}

impl futures::Stream for StoppableStream {
    type Item = EngineResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.watch.stop.reason().is_some() {
            let mut seen = self.watch.seen();
            if !seen.ended.contains(&self.stream) {
                seen.was_stopped = true;
            }
            return Poll::Ready(None);
        }
        let polled = self.inner.poll_next_unpin(context);
        if matches!(polled, Poll::Ready(None)) {
            self.watch.seen().ended.insert(self.stream);
        }
        polled
    }
}

impl RecordBatchStream for StoppableStream {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}
