//! SQL over the table `events`.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::{Expr, ScalarUDF};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Word};
use panoptes_model::{EventBatch, Timestamp};

use super::expr::{MatchesTest, column, id_text, time_literal};
use super::fetch::SegmentFile;
use super::stop::{Partial, Reason, Stop};
use super::table::{Events, Part};
use super::watch::{Watch, Work, add_metrics};
use super::{Candidate, Evidence, Order, SearchError, Searcher, damage_behind, engine_error};
use crate::object::SegmentError;
use crate::pivot::{EVENT_ID, FieldValue, RowRef, SENT, TIME, cell, is_internal, pivot};

/// How many rows an answer has at most; [`Table::is_cut`] says that there are more.
pub const SQL_ROWS_MAX: usize = 100_000;
/// How many columns the table offers: with thousands, planning alone takes seconds. Further ones are left out, those of
/// the oldest segments first.
const TABLE_COLUMNS_MAX: usize = 2_048;
const TABLE: &str = "events";

/// The answer to SQL.
#[derive(Debug)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<FieldValue>>,
    /// Whether there are more rows than an answer may have.
    pub is_cut: bool,
    /// Why the answer is not of all events, if so, and of which it is.
    pub partial: Option<Partial>,
    /// The segments that could not be read: their events are missing.
    pub warnings: Vec<SegmentError>,
    /// What it cost.
    pub work: Work,
}

impl Searcher {
    /// Answers a `SELECT` over `events`, which has a column for every field. Names with dots need no quotes. Besides the
    /// functions of the engine there is `matches(column, 'value')`, which understands what may follow `column:` in a
    /// query: items of lists, networks, ranges, `*`.
    pub async fn sql(
        &self,
        evidence: Evidence<'_>,
        text: &str,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        stop: &Stop,
    ) -> Result<Table, SearchError> {
        let bytes_before = self.store.bytes();
        let mut scope = self.scope(evidence, since, until);
        let refs: Vec<RowRef> = scope.hot_rows.iter().map(|it| it.1).collect();
        let batches: Vec<&EventBatch> = evidence.hot.iter().map(|it| &**it).collect();
        let hot: Vec<RecordBatch> = if refs.is_empty() { Vec::new() } else { vec![pivot(&batches, &refs)] };
        let mut columns = Columns::default();
        hot.iter().for_each(|it| columns.add_all(it.schema().fields().iter().map(|it| &**it)));
        let mut parts: Vec<Part> = Vec::new();
        // The newest first: their columns go before those of older ones.
        let candidates = scope.ordered(Order::NewestFirst);
        for candidate in &candidates {
            let part = candidate.part.clone();
            let file = SegmentFile { store: Arc::clone(&self.store), file: part.file.clone(), size: part.size };
            match file.metadata() {
                Ok(metadata) => {
                    columns.add_all(metadata.schema().fields().iter().map(|it| &**it));
                    parts.push(part);
                }
                Err(error) => match damage_behind(&error) {
                    Some(damage) => scope.warnings.push(damage),
                    None => return Err(SearchError::Read { source: Box::new(error) }),
                },
            }
        }
        let columns = columns.finish();
        let names: Vec<String> = columns.iter().map(|it| it.name().clone()).collect();
        let Quoted { text, unknown } = quote_names(text, &names)?;
        let mut work = scope.work;
        let mut is_less = false;
        loop {
            let mark = self.store.damage_mark();
            let watch = Watch::new(stop);
            match self.run_sql((&text, &columns), &hot, parts.clone(), (since, until), &watch, &mut work).await {
                Ok((columns, rows, is_cut)) => {
                    let partial = self.partial(&watch, &candidates, &parts, is_less);
                    work.segments_opened = watch.segments_opened();
                    work.bytes_read = self.store.bytes().0 - bytes_before.0;
                    work.bytes_opened = self.store.bytes().1 - bytes_before.1;
                    return Ok(Table { columns, rows, is_cut, partial, warnings: scope.warnings, work });
                }
                Err(error) => match self.leave_out_damaged(&mut parts, mark) {
                    Some(damage) => scope.warnings.push(damage),
                    None => match self.sql_error(error, &names, unknown.clone()) {
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

    /// What the answer of `parts` covers of `candidates`, both newest first. `is_less`: some were left out for want of memory.
    pub(super) fn partial(
        &self,
        watch: &Watch,
        candidates: &[Candidate],
        parts: &[Part],
        is_less: bool,
    ) -> Option<Partial> {
        let read: HashSet<&str> = parts.iter().map(|it| it.file.as_str()).collect();
        let is_read = |it: &&Candidate| read.contains(it.part.file.as_str());
        let ends = candidates.iter().filter(is_read).map(|it| (it.part.file.as_str(), it.time_max)).collect();
        if let Some((reason, complete_since)) = watch.cut(&ends) {
            return Some(Partial { reason, complete_since });
        }
        if !is_less {
            return None;
        }
        let missing = candidates.iter().filter(|it| !is_read(it)).map(|it| it.time_max).max();
        Some(Partial { reason: Reason::Memory, complete_since: missing.map(|it| it.saturating_add_nanos(1)) })
    }

    async fn run_sql(
        &self,
        (text, columns): (&str, &[Field]),
        hot: &[RecordBatch],
        parts: Vec<Part>,
        (since, until): (Option<Timestamp>, Option<Timestamp>),
        watch: &Arc<Watch>,
        work: &mut Work,
    ) -> Result<(Vec<String>, Vec<Vec<FieldValue>>, bool), DataFusionError> {
        let events = Events::new(columns.to_vec(), hot, parts, Arc::clone(&self.store), watch)?;
        let context = self.context();
        let mut frame = context.read_table(Arc::new(events))?;
        if let Some(since) = since {
            frame = frame.filter(column(TIME).gt_eq(time_literal(since)))?;
        }
        if let Some(until) = until {
            frame = frame.filter(column(TIME).lt(time_literal(until)))?;
        }
        let mut shown: Vec<Expr> = vec![column(TIME), id_text().alias(EVENT_ID)];
        for field in columns {
            match field.name().as_str() {
                TIME => {}
                EVENT_ID => shown.push(column(EVENT_ID).alias(format!("{SENT}{EVENT_ID}"))),
                name if is_internal(name) => {}
                name => shown.push(column(name)),
            }
        }
        context.register_table(TABLE, frame.select(shown)?.into_view())?;
        context.register_udf(ScalarUDF::new_from_impl(MatchesTest::new()));
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let answer = context.sql_with_options(text, read_only).await?.limit(0, Some(SQL_ROWS_MAX + 1))?;
        let names = answer.schema().fields().iter().map(|it| it.name().clone()).collect();
        let mut rows = Vec::new();
        let plan = answer.create_physical_plan().await?;
        let batches = datafusion::physical_plan::collect(Arc::clone(&plan), context.task_ctx()).await?;
        add_metrics(&plan, watch, work);
        for batch in batches {
            let schema = batch.schema();
            for row in 0..batch.num_rows() {
                let fields = schema.fields().iter().zip(batch.columns());
                rows.push(fields.map(|(field, column)| cell(field, column, row)).collect());
            }
        }
        let is_cut = rows.len() > SQL_ROWS_MAX;
        rows.truncate(SQL_ROWS_MAX);
        Ok((names, rows, is_cut))
    }

    pub(super) fn sql_error(&self, error: DataFusionError, names: &[String], unknown: Option<String>) -> SearchError {
        let column_unknown = |name: String| SearchError::ColumnUnknown { nearest: nearest(&name, names), name };
        match error.find_root() {
            DataFusionError::SchemaError(schema, _) => match (&**schema, unknown) {
                (SchemaError::FieldNotFound { .. }, Some(name)) => column_unknown(name),
                (SchemaError::FieldNotFound { field, .. }, None) => column_unknown(field.name.clone()),
                (other, _) => SearchError::Sql { problem: other.to_string() },
            },
            // The engine takes an unknown name with dots for a column and parts of it.
            DataFusionError::Plan(problem) | DataFusionError::NotImplemented(problem) => match unknown {
                Some(name) if problem.contains("Dot access") => column_unknown(name),
                _ => SearchError::Sql { problem: problem.clone() },
            },
            DataFusionError::SQL(problem, _) => SearchError::Sql { problem: problem.to_string() },
            _ => engine_error(error, self.options.memory_bytes_max),
        }
    }
}

/// The columns of all that is looked at. A field has one type; should segments disagree, it is text.
#[derive(Default)]
struct Columns {
    fields: Vec<Field>,
    by_name: std::collections::HashMap<String, usize>,
}

impl Columns {
    fn add_all<'f>(&mut self, fields: impl Iterator<Item = &'f Field>) {
        for field in fields {
            let known = self.by_name.get(field.name()).copied();
            match known.and_then(|it| self.fields.get_mut(it)) {
                Some(known) if known.data_type() != field.data_type() => known.set_data_type(DataType::Utf8View),
                Some(_) => {}
                None if self.by_name.len() >= TABLE_COLUMNS_MAX => {}
                None => {
                    self.by_name.insert(field.name().clone(), self.fields.len());
                    self.fields.push(Field::new(field.name(), field.data_type().clone(), true));
                }
            }
        }
    }

    fn finish(mut self) -> Vec<Field> {
        // With nothing to look at there are still these.
        self.add_all(super::columns(&[]).iter());
        self.fields
    }
}

/// SQL in which names are quoted.
struct Quoted {
    text: String,
    /// The first name with dots that is no column.
    unknown: Option<String>,
}

/// Puts quotes around names of columns that would not be read as one name: those with dots, and `@timestamp`.
fn quote_names(text: &str, names: &[String]) -> Result<Quoted, SearchError> {
    let tokens = Tokenizer::new(&GenericDialect {}, text)
        .tokenize()
        .map_err(|error| SearchError::Sql { problem: error.to_string() })?;
    let offered = |name: &str| name == EVENT_ID || names.iter().any(|it| it == name);
    let mut out = Quoted { text: String::with_capacity(text.len() + 16), unknown: None };
    let mut rest = tokens.as_slice();
    // What a name with dots has so far, if none of it was a column.
    let mut dotted = String::new();
    while let Some((first, after)) = rest.split_first() {
        match longest_name(rest, &offered) {
            Some((name, count)) => {
                out.text.push_str(&format!("\"{}\"", name.replace('"', "\"\"")));
                rest = rest.get(count..).unwrap_or_default();
                dotted.clear();
            }
            None => {
                let shown = first.to_string();
                if matches!(first, Token::Word(Word { quote_style: None, .. }) | Token::Period) {
                    dotted.push_str(&shown);
                    let ends = !matches!(after.first(), Some(Token::Word(_) | Token::Period));
                    if ends && out.unknown.is_none() && dotted.contains('.') {
                        let name = dotted.strip_prefix("events.").unwrap_or(&dotted);
                        out.unknown = Some(name.to_owned());
                    }
                } else {
                    dotted.clear();
                }
                out.text.push_str(&shown);
                rest = after;
            }
        }
    }
    Ok(out)
}

/// The longest name of a column that `tokens` begin with, and how many tokens it takes.
fn longest_name(tokens: &[Token], offered: &dyn Fn(&str) -> bool) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut longest = None;
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Word(Word { value, quote_style: None, .. }) => name.push_str(value),
            Token::Period if index > 0 => name.push('.'),
            _ => break,
        }
        // A single word may be a function or keyword as well; only `@` leaves no doubt.
        if (index > 0 || name.starts_with('@')) && offered(&name) {
            longest = Some((name.clone(), index + 1));
        }
    }
    longest
}

/// The name most like `name`, if one is at all.
pub(super) fn nearest(name: &str, names: &[String]) -> Option<String> {
    let lower = name.to_lowercase();
    names
        .iter()
        .filter(|it| !is_internal(it))
        .map(|it| (strsim::jaro_winkler(&lower, &it.to_lowercase()), it))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|it| it.0 > 0.8)
        .map(|it| it.1.clone())
}

pub(super) fn hint(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!("; did you mean \"{name}\"?"),
        None => "; `SELECT * FROM events LIMIT 1` shows all".to_owned(),
    }
}
