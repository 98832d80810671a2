//! Answers of commands: groups of events and what is said of each.
//!
//! Counts, distinct values and lists with the newest first are read from columns directly (`quick.rs`). For all else, and
//! where a segment is damaged or unusual, the engine reads the columns that query and command look at, and groups. Order,
//! limits and further commands are done here on the rows that come out, so that memory is bounded by
//! [`SQL_ROWS_MAX`](super::SQL_ROWS_MAX) rows.
//!
//! What counts as a value: each item of a list; what a segment keeps in its overflow because it has too many columns.
//! An event without a value under all names of `by` is left out, as is a value that does not fit its field's type.

mod groups;
mod listing;
mod quick;
mod rows;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Int64Array, ListBuilder, RecordBatch, StringViewBuilder};
use arrow::array::{BooleanArray, Float64Array, StringViewArray, TimestampNanosecondArray};
use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::{DataFusionError, Result as EngineResult, ScalarValue, exec_err};
use datafusion::functions::datetime::expr_fn::date_bin;
use datafusion::functions_aggregate::expr_fn::{
    approx_percentile_cont, avg, count, count_distinct, max, min, stddev, sum,
};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TryCast, Volatility, cast, lit, when,
};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{DataFrame, SessionContext};
use futures::StreamExt as _;
use panoptes_model::{FieldType, Timestamp};
use parquet::errors::ParquetError;

use self::rows::{Rows, chart};
use super::expr::{self, column, id_text, type_of};
use super::fetch::SegmentFile;
use super::pipes::{Aggregate, Function, GroupOrder, Interval, Measure, OnRows, SortBy};
use super::sql::Table;
use super::stop::{Partial, Stop};
use super::table::{Events, Part};
use super::watch::{Watch, Work, add_metrics};
use super::{
    Asked, Candidate, Evidence, Order, Query, SQL_ROWS_MAX, Scope, SearchError, Searcher, columns, engine_error, need,
};
use crate::pivot::{
    EVENT_ID, FieldValue, ITEM_SEPARATOR, LISTS_KEY, OVERFLOW, TIME, cell, data_type, each_overflow, instant,
    is_reserved,
};

/// How many columns of segments are remembered between questions; beyond it they are read again.
const SCHEMAS_MAX: usize = 512;
/// Into how many buckets at most a fitting interval cuts the time.
const BUCKETS_FITTING: i64 = 60;
/// Intervals that fit people.
const FITTING_SECONDS: &[i64] =
    &[1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 7 * 86_400, 30 * 86_400];
/// Where buckets of time begin: a Monday, so that weeks do.
const BUCKETS_FROM: i64 = 4 * 86_400 * Timestamp::NANOS_PER_SECOND;

/// What to answer.
#[derive(Clone, Debug)]
pub struct TableRequest {
    pub query: Query,
    pub make: Make,
    /// Events from this time on.
    pub since: Option<Timestamp>,
    /// Events before this time.
    pub until: Option<Timestamp>,
    /// What `now` in the query means; without it such a time matches nothing.
    pub now: Option<Timestamp>,
    /// Ends the reading early; what was read until then is counted ([`Table::partial`]).
    pub stop: Stop,
}

/// What is made of the events.
#[derive(Clone, Debug)]
pub enum Make {
    Groups(Aggregate, Vec<OnRows>),
    /// One row an event: these fields, in this order, so many. Without an order the newest first.
    Events {
        fields: Vec<String>,
        sort: Vec<SortBy>,
        limit: usize,
    },
}

impl Searcher {
    /// Counts, charts or lists the events that match.
    pub async fn table(&self, evidence: Evidence<'_>, request: &TableRequest) -> Result<Table, SearchError> {
        let Asked { query, filter, since, until } =
            self.asked(&request.query, request.now, request.since, request.until)?;
        let mut scope = self.scope(evidence, since, until);
        let bytes_before = self.store.bytes();
        let mut candidates = scope.ordered(Order::NewestFirst);
        let mut work = scope.work;
        let needs = need(&query, &self.schema);
        let parts: Vec<Part> = candidates.iter().map(|it| it.part.clone()).collect();
        let mut parts = Self::prune_kinds(parts, &needs, &mut work.pruning);
        // What is spared is not missing.
        let keep = |candidates: &mut Vec<Candidate>, parts: &[Part]| {
            let left: HashSet<u32> = parts.iter().map(|it| it.number).collect();
            candidates.retain(|it| left.contains(&it.part.number));
        };
        keep(&mut candidates, &parts);
        let mut is_less = false;
        let outline = Outline::new(&request.make, self, &scope)?;
        let asked =
            quick::Asked { scope: &scope, query: &query, needs: &needs, outline: &outline, stop: &request.stop };
        if let Some((rows, partial)) = self.quick(&asked, &candidates, &mut work).await {
            work.bytes_read = self.store.bytes().0 - bytes_before.0;
            work.bytes_opened = self.store.bytes().1 - bytes_before.1;
            return made(rows.finish(scope.warnings, work), partial, request, &outline);
        }
        parts = self.prune_words(parts, &needs, None, &mut work.pruning);
        keep(&mut candidates, &parts);
        loop {
            let mark = self.store.damage_mark();
            let watch = Watch::new(&request.stop);
            let found = self.read(&scope, &filter, &outline, &parts, &watch, &mut work).await;
            match found {
                Ok(rows) => {
                    let partial = self.partial(&watch, &candidates, &parts, is_less);
                    work.segments_opened = watch.segments_opened();
                    work.bytes_read = self.store.bytes().0 - bytes_before.0;
                    work.bytes_opened = self.store.bytes().1 - bytes_before.1;
                    work.settle();
                    return made(rows.finish(scope.warnings, work), partial, request, &outline);
                }
                Err(error) => match self.leave_out_damaged(&mut parts, mark) {
                    Some(damage) => scope.warnings.push(damage),
                    None => match engine_error(error, self.options.memory_bytes_max) {
                        // The newer half may fit.
                        SearchError::MemoryExceeded { .. } if parts.len() > 1 => {
                            is_less = true;
                            parts.truncate(parts.len() / 2);
                        }
                        error => return Err(error),
                    },
                },
            }
        }
    }

    async fn read(
        &self,
        scope: &Scope<'_>,
        filter: &expr::Filter,
        outline: &Outline,
        parts: &[Part],
        watch: &Arc<Watch>,
        work: &mut Work,
    ) -> Result<Rows, DataFusionError> {
        let context = self.context();
        let mut fields = filter.fields.clone();
        for input in &outline.inputs {
            if fields.iter().all(|it| it.0 != input.name) {
                fields.push((input.name.clone(), input.field_type));
            }
        }
        let hot = match scope.hot_rows.is_empty() {
            true => Vec::new(),
            false => vec![crate::segment::with_row_numbers(&scope.hot_columns(&fields))],
        };
        // Only where a segment lacks a column is its overflow read for it, and only where there are lists are they
        // taken apart.
        let mut plain = Branch::default();
        let mut other = Branch { with_overflow: overflows(hot.first(), &outline.inputs), ..Branch::default() };
        for input in &outline.inputs {
            plain.with_lists.push(false);
            other.with_lists.push(has_lists(hot.first(), &input.name));
        }
        for part in parts {
            let schema = self.schema_of(part).map_err(|error| DataFusionError::ParquetError(Box::new(error)))?;
            let overflows = schema.field_with_name(OVERFLOW).is_ok();
            let lacks = |it: &Input| !it.is_fixed() && schema.field_with_name(&it.name).is_err();
            let lacks = overflows && outline.inputs.iter().any(lacks);
            let branch = if lacks { &mut other } else { &mut plain };
            branch.with_overflow |= lacks;
            for (input, has_lists) in outline.inputs.iter().zip(&mut branch.with_lists) {
                let field = schema.field_with_name(&input.name);
                *has_lists |= field.is_ok_and(|it| it.metadata().contains_key(LISTS_KEY));
            }
            branch.parts.push(part.clone());
        }
        let table = |hot: &[RecordBatch], branch: Branch| -> EngineResult<DataFrame> {
            let events = Events::new(columns(&fields), hot, branch.parts, Arc::clone(&self.store), watch)?;
            let frame = scope.in_time(context.read_table(Arc::new(events))?.filter(filter.expr.clone())?)?;
            let values = outline.inputs.iter().enumerate();
            let values = values.map(|(number, it)| it.value(branch.with_overflow).alias(input_name(number)));
            let values = values.chain(outline.has_time().then(|| column(TIME).alias(BUCKET)));
            let mut frame = frame.select(values.collect::<Vec<_>>())?;
            for (number, input) in outline.inputs.iter().enumerate().filter(|it| it.1.is_key) {
                let name = input_name(number);
                let has_lists = branch.with_overflow || branch.with_lists.get(number).is_some_and(|it| *it);
                if has_lists && data_type(input.field_type) == DataType::Utf8View {
                    let items = ScalarUDF::new_from_impl(Items::new()).call(vec![column(&name)]).alias(name.as_str());
                    let all = frame.schema().fields().iter().map(|it| it.name().clone());
                    let all: Vec<Expr> = all.map(|it| if it == name { items.clone() } else { column(&it) }).collect();
                    frame = frame.select(all)?.unnest_columns(&[name.as_str()])?;
                }
                frame = frame.filter(column(&name).is_not_null())?;
            }
            Ok(frame)
        };
        let frame = match (plain.parts.is_empty(), hot.is_empty() && other.parts.is_empty()) {
            (_, true) => table(&[], plain)?,
            (true, false) => table(&hot, other)?,
            (false, false) => table(&[], plain)?.union(table(&hot, other)?)?,
        };
        let frame = outline.finish(frame)?;
        self.collect(&context, frame, outline, watch, work).await
    }

    async fn collect(
        &self,
        context: &SessionContext,
        frame: DataFrame,
        outline: &Outline,
        watch: &Watch,
        work: &mut Work,
    ) -> Result<Rows, DataFusionError> {
        let plan = frame.create_physical_plan().await?;
        let mut stream = execute_stream(Arc::clone(&plan), context.task_ctx())?;
        let mut rows = Rows::new(outline.columns.clone(), outline.order, outline.limit, outline.share);
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let schema = batch.schema();
            let shown: Vec<_> = schema.fields().iter().zip(batch.columns()).collect();
            for row in 0..batch.num_rows() {
                rows.add(shown.len(), |index| {
                    shown.get(index).map_or(FieldValue::Null, |(field, column)| match cell(field, column, row) {
                        // Without the marks of its column a list of an event is one text.
                        FieldValue::Text(text) if text.contains(ITEM_SEPARATOR) => FieldValue::List(
                            text.split(ITEM_SEPARATOR).map(|it| FieldValue::Text(it.to_owned())).collect(),
                        ),
                        value => value,
                    })
                });
            }
        }
        add_metrics(&plan, watch, work);
        Ok(rows)
    }

    /// The columns of a segment.
    pub(super) fn schema_of(&self, part: &Part) -> Result<SchemaRef, ParquetError> {
        let lock = || self.schemas.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = lock().get(&part.file) {
            return Ok(Arc::clone(known));
        }
        let file = SegmentFile { store: Arc::clone(&self.store), file: part.file.clone(), size: part.size };
        let schema = Arc::clone(file.metadata()?.schema());
        let mut known = lock();
        if known.len() >= SCHEMAS_MAX {
            known.clear();
        }
        known.insert(part.file.clone(), Arc::clone(&schema));
        Ok(schema)
    }
}

/// The table with what further commands make of it.
fn made(
    mut table: Table,
    partial: Option<Partial>,
    request: &TableRequest,
    outline: &Outline,
) -> Result<Table, SearchError> {
    table.partial = partial;
    if let Make::Groups(aggregate, then) = &request.make {
        chart(aggregate, outline.interval, &mut table);
        rows::then(then, &mut table)?;
    }
    Ok(table)
}

const BUCKET: &str = "t";

fn input_name(number: usize) -> String {
    format!("c{number}")
}

/// Segments that are read alike.
#[derive(Default)]
struct Branch {
    parts: Vec<Part>,
    /// Whether values may be in the overflow.
    with_overflow: bool,
    /// Which of the inputs have lists.
    with_lists: Vec<bool>,
}

/// Whether the overflow of what is in memory speaks of some of the fields.
fn overflows(hot: Option<&RecordBatch>, inputs: &[Input]) -> bool {
    let Some(texts) = hot.and_then(|it| it.column_by_name(OVERFLOW)?.as_string_view_opt()) else { return false };
    let names: Vec<String> = inputs
        .iter()
        .filter(|it| !it.is_fixed())
        .map(|it| {
            let mut quoted = String::new();
            FieldValue::Text(it.name.clone()).write_json(&mut quoted);
            quoted
        })
        .collect();
    texts.iter().flatten().any(|text| names.iter().any(|it| text.contains(it)))
}

fn has_lists(hot: Option<&RecordBatch>, name: &str) -> bool {
    hot.and_then(|it| it.schema().field_with_name(name).ok().map(|it| it.metadata().contains_key(LISTS_KEY)))
        .unwrap_or(false)
}

/// A field that is read.
#[derive(Debug)]
struct Input {
    name: String,
    field_type: FieldType,
    /// Groups are made by it.
    is_key: bool,
}

impl Input {
    /// Whether every segment has its column, or none.
    fn is_fixed(&self) -> bool {
        is_reserved(&self.name) || self.name == EVENT_ID
    }

    fn value(&self, with_overflow: bool) -> Expr {
        if self.name == EVENT_ID {
            return id_text();
        }
        let own = column(&self.name);
        if !with_overflow || self.is_fixed() {
            return own;
        }
        let function = OverflowValue::new(self.name.clone(), self.field_type);
        let other = ScalarUDF::new_from_impl(function).call(vec![column(OVERFLOW)]);
        let either = when(own.clone().is_not_null(), own.clone()).otherwise(other);
        either.unwrap_or(own)
    }
}

/// How the engine is asked.
struct Outline {
    inputs: Vec<Input>,
    /// For groups; `None` lists events.
    aggregate: Option<Aggregate>,
    /// In nanoseconds.
    interval: Option<i64>,
    sort: Vec<SortBy>,
    columns: Vec<String>,
    /// Of groups; events come in order.
    order: Option<GroupOrder>,
    limit: usize,
    share: bool,
    /// Where events are listed: how many columns are only sorted by.
    only_sorted: usize,
    /// Which fields the schema knows: the others are numbers where numbers are wanted.
    known: Vec<String>,
}

impl Outline {
    fn new(make: &Make, searcher: &Searcher, scope: &Scope<'_>) -> Result<Self, SearchError> {
        let mut out = Self {
            inputs: Vec::new(),
            aggregate: None,
            interval: None,
            sort: Vec::new(),
            columns: Vec::new(),
            order: None,
            limit: SQL_ROWS_MAX,
            share: false,
            only_sorted: 0,
            known: Vec::new(),
        };
        let schema = &searcher.schema;
        match make {
            Make::Groups(aggregate, _) => {
                for name in &aggregate.by {
                    out.input(name, type_of(name, schema), true);
                }
                for Measure { field, function, name } in &aggregate.measures {
                    let Some(field) = field else { continue };
                    let field_type = type_of(field, schema);
                    let wants_numbers =
                        !matches!(function, Function::Count | Function::Distinct | Function::Min | Function::Max);
                    if wants_numbers && matches!(field_type, FieldType::Timestamp | FieldType::Ip) {
                        return Err(SearchError::NoNumbers { measure: name.clone(), field: field.clone() });
                    }
                    out.input(field, field_type, false);
                }
                out.interval = aggregate.time.map(|it| match it {
                    Interval::Nanos(nanos) => nanos,
                    Interval::Fitting => fitting(scope),
                });
                out.columns = aggregate.columns();
                out.order = Some(aggregate.order);
                out.limit = aggregate.limit.unwrap_or(SQL_ROWS_MAX).min(SQL_ROWS_MAX);
                out.share = aggregate.share;
                out.aggregate = Some(aggregate.clone());
            }
            Make::Events { fields, sort, limit } => {
                let newest = [SortBy { name: TIME.to_owned(), descending: true }];
                out.sort = if sort.is_empty() { newest.to_vec() } else { sort.clone() };
                // Each once, however often it was named.
                for name in fields {
                    out.input(name, type_of(name, schema), false);
                }
                out.columns = out.inputs.iter().map(|it| it.name.clone()).collect();
                for SortBy { name, .. } in out.sort.clone() {
                    out.input(&name, type_of(&name, schema), false);
                }
                out.only_sorted = out.inputs.len() - out.columns.len();
                out.limit = (*limit).min(SQL_ROWS_MAX);
            }
        }
        out.known = out.inputs.iter().map(|it| &it.name).filter(|it| schema.id(it).is_some()).cloned().collect();
        Ok(out)
    }

    fn input(&mut self, name: &str, field_type: FieldType, is_key: bool) {
        // A field may be grouped by and measured too: lists are taken apart only for the former.
        if self.inputs.iter().all(|it| it.name != name || it.is_key != is_key) {
            self.inputs.push(Input { name: name.to_owned(), field_type, is_key });
        }
    }

    fn has_time(&self) -> bool {
        self.interval.is_some()
    }

    fn place(&self, name: &str, is_key: bool) -> Option<(String, &Input)> {
        let place = self.inputs.iter().position(|it| it.name == name && it.is_key == is_key)?;
        Some((input_name(place), self.inputs.get(place)?))
    }

    fn finish(&self, frame: DataFrame) -> EngineResult<DataFrame> {
        let Some(aggregate) = &self.aggregate else {
            let sort = self.sort.iter().filter_map(|it| {
                let (name, _) = self.place(&it.name, false)?;
                Some(column(&name).sort(!it.descending, false))
            });
            let shown = (0..self.inputs.len() - self.only_sorted).map(|it| column(&input_name(it)));
            // One more tells whether there are more.
            return frame.sort(sort.collect())?.limit(0, Some(self.limit + 1))?.select(shown.collect::<Vec<_>>());
        };
        let bucket = self.interval.map(|nanos| {
            let interval = ScalarValue::IntervalMonthDayNano(Some(
                arrow::datatypes::IntervalMonthDayNanoType::make_value(0, 0, nanos),
            ));
            let zone = Some("+00:00".into());
            let origin = ScalarValue::TimestampNanosecond(Some(BUCKETS_FROM), zone);
            date_bin(lit(interval), column(BUCKET), lit(origin)).alias("b")
        });
        let keys = aggregate.by.iter().filter_map(|it| Some(column(&self.place(it, true)?.0)));
        let keys: Vec<Expr> = bucket.into_iter().chain(keys).collect();
        let measures = aggregate.measures.iter().enumerate();
        let mut values = measures
            .map(|(number, it)| Ok(self.measure(it)?.alias(format!("m{number}"))))
            .collect::<EngineResult<Vec<_>>>()?;
        if keys.is_empty() && values.is_empty() {
            values.push(count(lit(1)).alias("m0"));
        }
        frame.aggregate(keys, values)
    }

    fn measure(&self, measure: &Measure) -> EngineResult<Expr> {
        let Some((name, input)) = measure.field.as_ref().and_then(|it| self.place(it, false)) else {
            return Ok(count(lit(1)));
        };
        let value = column(&name);
        let is_text = matches!(input.field_type, FieldType::Text);
        let number = || match input.field_type {
            FieldType::Integer | FieldType::Float => cast(value.clone(), DataType::Float64),
            _ => Expr::TryCast(TryCast::new(Box::new(value.clone()), DataType::Float64)),
        };
        // Text that the schema knows is compared as text; of an invented field, numbers are more likely.
        let ordered = || if is_text && !self.known.contains(&input.name) { number() } else { value.clone() };
        Ok(match measure.function {
            Function::Count => count(value),
            Function::Distinct => count_distinct(value),
            Function::Sum if input.field_type == FieldType::Integer => sum(value),
            Function::Sum => sum(number()),
            Function::Average => avg(number()),
            Function::Min => min(ordered()),
            Function::Max => max(ordered()),
            Function::Percentile(percent) => {
                approx_percentile_cont(number().sort(true, false), lit(percent / 100.0), None)
            }
            Function::Deviation => stddev(number()),
        })
    }
}

/// An interval that cuts the time looked at into not too many buckets, in nanoseconds.
fn fitting(scope: &Scope<'_>) -> i64 {
    let hot = || scope.hot_rows.iter().map(|it| it.0);
    let first = scope.segments.values().map(|it| it.time_min).chain(hot()).min();
    let last = scope.segments.values().map(|it| it.time_max).chain(hot()).max();
    let from = scope.since.max(first);
    let to = [scope.until, last].into_iter().flatten().min();
    let nanos = from.zip(to).map_or(0, |(from, to)| to.0.saturating_sub(from.0));
    let seconds = nanos / Timestamp::NANOS_PER_SECOND / BUCKETS_FITTING;
    let fits = FITTING_SECONDS.iter().find(|it| **it >= seconds).or(FITTING_SECONDS.last());
    fits.map_or(1, |it| *it) * Timestamp::NANOS_PER_SECOND
}

/// Takes a text that may be a list apart.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Items {
    signature: Signature,
}

impl Items {
    fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Items {
    fn name(&self) -> &str {
        "items"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Utf8View, true))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(texts) = arrays.first().and_then(|it| it.as_string_view_opt()) else {
            return exec_err!("`items` takes text");
        };
        let mut out = ListBuilder::new(StringViewBuilder::new());
        for text in texts {
            match text {
                Some(text) => {
                    text.split(ITEM_SEPARATOR).for_each(|it| out.values().append_value(it));
                    out.append(true);
                }
                None => out.append(false),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}

/// The value under a name in the overflow, as a column of the field's type would have it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OverflowValue {
    name: String,
    field_type: FieldType,
    signature: Signature,
}

impl OverflowValue {
    fn new(name: String, field_type: FieldType) -> Self {
        Self { name, field_type, signature: Signature::any(1, Volatility::Immutable) }
    }

    fn text(&self, overflow: &str) -> Option<String> {
        let mut found = None;
        each_overflow(overflow, |name, value| {
            if found.is_none() && name == self.name {
                found = text_of(&value);
            }
        });
        found
    }
}

fn text_of(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Array(items) => {
            let items: Vec<String> = items.iter().filter_map(text_of).collect();
            (!items.is_empty()).then(|| items.join(ITEM_SEPARATOR.encode_utf8(&mut [0; 4])))
        }
        other => Some(other.to_string()),
    }
}

impl ScalarUDFImpl for OverflowValue {
    fn name(&self) -> &str {
        "overflow_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(data_type(self.field_type))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(texts) = arrays.first().and_then(|it| it.as_string_view_opt()) else {
            return exec_err!("`overflow_value` takes the overflow");
        };
        let found = texts.iter().map(|it| self.text(it?));
        let values: ArrayRef = match self.field_type {
            FieldType::Text | FieldType::Ip => Arc::new(found.collect::<StringViewArray>()),
            FieldType::Integer => Arc::new(found.map(|it| it?.parse().ok()).collect::<Int64Array>()),
            FieldType::Float => Arc::new(found.map(|it| it?.parse().ok()).collect::<Float64Array>()),
            FieldType::Boolean => Arc::new(found.map(|it| it?.parse().ok()).collect::<BooleanArray>()),
            FieldType::Timestamp => {
                let times = found.map(|it| instant(&it?).map(|it| it.0)).collect::<TimestampNanosecondArray>();
                Arc::new(times.with_timezone("+00:00"))
            }
        };
        Ok(ColumnarValue::Array(values))
    }
}

#[cfg(test)]
mod tests;
