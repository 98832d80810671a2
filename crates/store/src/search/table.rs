//! Hot events and segments as one table for the engine.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetFileReaderFactory, ParquetAccessPlan, RowGroupAccess,
};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::{BinaryExpr, Column, IsNotNullExpr, Literal, TryCastExpr, case, lit};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;

use super::direct::Unusual;
use super::expr::{Matches, Scope};
use super::watch::{StoppableExec, Watch, WatchedReaders};
use crate::manifest::Kinds;
use crate::object::SegmentStore;
use crate::pivot::{LISTS_KEY, MESSAGE, ORIGINAL, SAME, SEGMENT};
use crate::words::Groups;

/// Where the engine finds the segments.
pub(super) const STORE_URL: &str = "panoptes://segments";

/// One segment to look into.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Its path in the data folder.
    pub(super) file: String,
    /// Its number among the segments of the searcher: what `_segment` says.
    pub(super) number: u32,
    /// Of the plaintext.
    pub(super) size: u64,
    /// The digest of its file, if a sidecar lies beside it.
    pub(super) sidecar_of: Option<[u8; 32]>,
    /// What the manifest says of the values of `panoptes.source` and `event.dataset`.
    pub(super) sources: Kinds,
    pub(super) datasets: Kinds,
    /// The row groups to read; all if there is nothing to say which.
    pub(super) groups: Option<Groups>,
}

impl Part {
    /// Which of `count` row groups are to be read.
    pub(super) fn row_groups(&self, count: usize) -> Result<Vec<usize>, Unusual> {
        match &self.groups {
            None => Ok((0..count).collect()),
            Some(groups) if groups.iter().len() == count => {
                Ok(groups.iter().enumerate().filter(|it| it.1).map(|it| it.0).collect())
            }
            Some(_) => Err(Unusual("a sidecar of other row groups")),
        }
    }

    /// For the engine.
    fn file(&self) -> PartitionedFile {
        let file = PartitionedFile::new(self.file.clone(), self.size)
            .with_partition_values(vec![ScalarValue::UInt32(Some(self.number))]);
        let access = |it: bool| if it { RowGroupAccess::Scan } else { RowGroupAccess::Skip };
        match &self.groups {
            Some(groups) => file.with_extension(ParquetAccessPlan::new(groups.iter().map(access).collect())),
            None => file,
        }
    }
}

#[derive(Debug)]
pub(super) struct Events {
    /// Columns of segments, then `_segment`.
    table: TableSchema,
    hot: Vec<RecordBatch>,
    parts: Vec<Part>,
    store: Arc<SegmentStore>,
    watch: Arc<Watch>,
}

impl Events {
    /// A table with `columns` and `_segment`, which is null for events of `hot`. What a segment or a batch does not have
    /// is null; what it has under another type is cast, or null where that fails. `parts` are read in their order.
    pub(super) fn new(
        columns: Vec<Field>,
        hot: &[RecordBatch],
        parts: Vec<Part>,
        store: Arc<SegmentStore>,
        watch: &Arc<Watch>,
    ) -> EngineResult<Self> {
        let table = TableSchema::builder(Arc::new(ArrowSchema::new(columns)))
            .with_table_partition_cols(vec![Arc::new(Field::new(SEGMENT, DataType::UInt32, true))])
            .build();
        let hot = hot.iter().map(|it| conform(it, table.table_schema())).collect::<EngineResult<_>>()?;
        Ok(Self { table, hot, parts, store, watch: Arc::clone(watch) })
    }

    /// Reads `columns` (of the table) of the segments, as `partitions` streams.
    fn scan_segments(
        &self,
        state: &dyn Session,
        columns: &[usize],
        partitions: usize,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let mut options = state.config_options().execution.parquet.clone();
        options.pushdown_filters = true;
        options.reorder_filters = true;
        let readers = CachedParquetFileReaderFactory::new(
            Arc::<SegmentStore>::clone(&self.store),
            state.runtime_env().cache_manager.get_file_metadata_cache(),
        );
        let scan = self.watch.scan();
        let readers = WatchedReaders { inner: Arc::new(readers), watch: Arc::clone(&self.watch), scan };
        let source = ParquetSource::new(self.table.clone())
            .with_table_parquet_options(datafusion::config::TableParquetOptions {
                global: options,
                ..Default::default()
            })
            .with_parquet_file_reader_factory(Arc::new(readers));
        let mut groups: Vec<Vec<PartitionedFile>> = vec![Vec::new(); partitions.min(self.parts.len())];
        for (index, part) in self.parts.iter().enumerate() {
            let group = index % groups.len();
            if let Some(group) = groups.get_mut(group) {
                group.push(part.file());
            }
        }
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::parse(STORE_URL)?, Arc::new(source))
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_expr_adapter(Some(Arc::new(ColumnsByName)))
            .with_projection_indices(Some(columns.to_vec()))?
            .build();
        let read = DataSourceExec::from_data_source(config);
        Ok(Arc::new(StoppableExec::new(read, Arc::clone(&self.watch), scan)))
    }
}

#[async_trait]
impl TableProvider for Events {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.table.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Exact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let schema = self.schema();
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        // What is only filtered by is read too, and left out afterwards.
        let mut columns = wanted.clone();
        for name in filters.iter().flat_map(|it| it.column_refs()) {
            let index = schema.index_of(name.name())?;
            if !columns.contains(&index) {
                columns.push(index);
            }
        }
        let read = Arc::new(schema.project(&columns)?);
        let predicate = conjunction(filters.iter().cloned())
            .map(|it| state.create_physical_expr(it, &DFSchema::try_from(Arc::clone(&read))?))
            .transpose()?;

        let mut inputs: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        if !self.hot.is_empty() {
            let hot = std::slice::from_ref(&self.hot);
            inputs.push(MemorySourceConfig::try_new_exec(hot, Arc::clone(&schema), Some(columns.clone()))?);
        }
        if !self.parts.is_empty() {
            inputs.push(self.scan_segments(state, &columns, state.config().target_partitions())?);
        }
        let mut filtered = inputs
            .into_iter()
            .map(|input| -> EngineResult<Arc<dyn ExecutionPlan>> {
                let input = match &predicate {
                    Some(predicate) => Arc::new(FilterExec::try_new(Arc::clone(predicate), input)?),
                    None => input,
                };
                if columns.len() == wanted.len() {
                    return Ok(input);
                }
                let kept = wanted.iter().enumerate().map(|(position, index)| {
                    let name = schema.field(*index).name();
                    (Arc::new(Column::new(name, position)) as Arc<dyn PhysicalExpr>, name.clone())
                });
                Ok(Arc::new(ProjectionExec::try_new(kept.collect::<Vec<_>>(), input)?))
            })
            .collect::<EngineResult<Vec<_>>>()?;
        match (filtered.pop(), filtered.is_empty()) {
            (None, _) => Ok(Arc::new(EmptyExec::new(Arc::new(schema.project(&wanted)?)))),
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                filtered.push(last);
                UnionExec::try_new(filtered)
            }
        }
    }
}

/// `batch` with the columns of `schema`.
pub(super) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> EngineResult<RecordBatch> {
    let columns = schema.fields().iter().map(|field| -> EngineResult<ArrayRef> {
        match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column) => Ok(cast(column, field.data_type())?),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        }
    });
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect::<EngineResult<_>>()?)?)
}

/// Fits expressions over the table to the columns that a segment has. In a column without lists, "an item is x" becomes
/// "equals x", which statistics and bloom filters understand.
#[derive(Debug)]
struct ColumnsByName;

impl PhysicalExprAdapterFactory for ColumnsByName {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> EngineResult<Arc<dyn PhysicalExprAdapter>> {
        let by_name = file.fields().iter().enumerate().map(|(index, it)| (it.name().clone(), index)).collect();
        Ok(Arc::new(Adapter { table, file, by_name }))
    }
}

#[derive(Debug)]
struct Adapter {
    table: SchemaRef,
    file: SchemaRef,
    by_name: HashMap<String, usize>,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> EngineResult<Arc<dyn PhysicalExpr>> {
        // From the top, so that a function is seen before its column is replaced.
        let simpler = expr.transform_down(|it| Ok(self.plain_equality(it))).data()?;
        simpler.transform_up(|it| self.column(it)?.transform_data(|it| Ok(without_constants(it)))).data()
    }
}

/// What a column that the file does not have makes of a condition: `NULL IS NOT NULL` is false, `false AND x` is false,
/// `x OR false` is x. The engine understands only what is then left.
fn without_constants(expr: Arc<dyn PhysicalExpr>) -> Transformed<Arc<dyn PhysicalExpr>> {
    let is_false = |it: &Arc<dyn PhysicalExpr>| {
        it.downcast_ref::<Literal>().is_some_and(|it| *it.value() == ScalarValue::Boolean(Some(false)))
    };
    if let Some(test) = expr.downcast_ref::<IsNotNullExpr>()
        && let Some(literal) = test.arg().downcast_ref::<Literal>()
    {
        return Transformed::yes(lit(!literal.value().is_null()));
    }
    let Some(both) = expr.downcast_ref::<BinaryExpr>() else { return Transformed::no(expr) };
    let (left, right) = (both.left(), both.right());
    match both.op() {
        Operator::And if is_false(left) || is_false(right) => Transformed::yes(lit(false)),
        Operator::Or if is_false(left) => Transformed::yes(Arc::clone(right)),
        Operator::Or if is_false(right) => Transformed::yes(Arc::clone(left)),
        _ => Transformed::no(expr),
    }
}

impl Adapter {
    fn plain_equality(&self, expr: Arc<dyn PhysicalExpr>) -> Transformed<Arc<dyn PhysicalExpr>> {
        let equality = || {
            let call = ScalarFunctionExpr::try_downcast_func::<Matches>(&*expr)?;
            let function = (call.fun().inner().as_ref() as &dyn std::any::Any).downcast_ref::<Matches>()?;
            let [argument] = call.args() else { return None };
            let field = self.file.field(*self.by_name.get(argument.downcast_ref::<Column>()?.name())?);
            if function.scope != Scope::Items || field.metadata().contains_key(LISTS_KEY) {
                return None;
            }
            let text = function.matcher.only_text()?.to_owned();
            let text = match field.data_type() {
                DataType::Utf8View => ScalarValue::Utf8View(Some(text)),
                _ => return None,
            };
            let equal = BinaryExpr::new(Arc::clone(argument), Operator::Eq, lit(text));
            Some(Arc::new(equal) as Arc<dyn PhysicalExpr>)
        };
        match equality() {
            Some(equality) => Transformed::yes(equality),
            None => Transformed::no(expr),
        }
    }

    fn column(&self, expr: Arc<dyn PhysicalExpr>) -> EngineResult<Transformed<Arc<dyn PhysicalExpr>>> {
        let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
        let wanted = self.table.field_with_name(column.name())?.data_type();
        let Some(index) = self.by_name.get(column.name()) else {
            return Ok(Transformed::yes(Arc::new(Literal::new(ScalarValue::try_from(wanted)?))));
        };
        let mut found: Arc<dyn PhysicalExpr> = Arc::new(Column::new(column.name(), *index));
        if column.name() == MESSAGE
            && let Some(original) = self.by_name.get(ORIGINAL)
            && *self.file.field(*index).data_type() == DataType::Utf8View
        {
            // A message that is the record is stored once.
            let same = lit(ScalarValue::Utf8View(Some(SAME.to_owned())));
            let is_same = Arc::new(BinaryExpr::new(Arc::clone(&found), Operator::Eq, same));
            found = case(None, vec![(is_same, Arc::new(Column::new(ORIGINAL, *original)))], Some(found))?;
        }
        Ok(Transformed::yes(if self.file.field(*index).data_type() == wanted {
            found
        } else {
            Arc::new(TryCastExpr::new(found, wanted.clone()))
        }))
    }
}
