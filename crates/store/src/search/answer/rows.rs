//! The rows of an answer: kept in order and bounded, then shortened, sorted and sifted by further commands.

use std::cmp::Ordering;
use std::collections::HashMap;

use panoptes_model::Timestamp;

use crate::object::SegmentError;
use crate::pivot::{FieldValue, TIME};
use crate::search::item::Matcher;
use crate::search::pipes::{Aggregate, GroupOrder, OnRows, SortBy};
use crate::search::query::Query;
use crate::search::sql::Table;
use crate::search::watch::Work;
use crate::search::{SQL_ROWS_MAX, SearchError};

/// How many lines a chart by some field has; the rest are added up as [`OTHER`], if they can be.
const SERIES_MAX: usize = 10;
/// How many buckets without events a chart shows; beyond it only those with some are shown.
const EMPTY_BUCKETS_MAX: i64 = 10_000;
/// What the lines of a chart beyond the first are called together.
const OTHER: &str = "(other)";

/// The best rows so far.
pub(super) struct Rows {
    columns: Vec<String>,
    /// `None`: as they come.
    order: Option<GroupOrder>,
    limit: usize,
    share: bool,
    kept: Vec<Vec<FieldValue>>,
    is_cut: bool,
    /// Of the first measure, over all rows.
    total: i128,
}

impl Rows {
    pub(super) fn new(columns: Vec<String>, order: Option<GroupOrder>, limit: usize, share: bool) -> Self {
        Self { columns, order, limit, share, kept: Vec::new(), is_cut: false, total: 0 }
    }

    /// The first measure stands behind the keys.
    fn measured(&self) -> usize {
        self.columns.len().saturating_sub(2)
    }

    /// Takes a row in; `value` gives its columns.
    pub(super) fn add(&mut self, columns: usize, value: impl Fn(usize) -> FieldValue) {
        if self.share
            && let FieldValue::Integer(count) = value(self.measured())
        {
            self.total += i128::from(count);
        }
        self.kept.push((0..columns).map(value).collect());
        // Twice the limit, so that sorting costs little per row.
        if self.kept.len() >= self.limit.saturating_mul(2).saturating_add(1_000) {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        let keys = self.columns.len() - usize::from(self.share);
        match self.order {
            None => {}
            Some(GroupOrder::Keys) => self.kept.sort_by(|a, b| compare_all(a, b)),
            Some(order) => {
                let by = if self.share { self.measured() } else { keys.saturating_sub(1) };
                self.kept.sort_by(|a, b| {
                    let measure = compare(a.get(by), b.get(by));
                    let measure = if order == GroupOrder::Most { measure.reverse() } else { measure };
                    measure.then_with(|| compare_all(a, b))
                });
            }
        }
        self.is_cut |= self.kept.len() > self.limit;
        self.kept.truncate(self.limit);
    }

    pub(super) fn finish(mut self, warnings: Vec<SegmentError>, work: Work) -> Table {
        self.shrink();
        if self.share {
            let by = self.measured();
            for row in &mut self.kept {
                let share = match row.get(by) {
                    Some(FieldValue::Integer(count)) if self.total > 0 => {
                        (*count as f64 / self.total as f64 * 10_000.0).round() / 100.0
                    }
                    _ => 0.0,
                };
                row.push(FieldValue::Float(share));
            }
        }
        // So many groups were asked for: that is no shortage.
        let is_cut = self.is_cut && (self.order.is_none() || self.limit >= SQL_ROWS_MAX);
        Table { columns: self.columns, rows: self.kept, is_cut, partial: None, warnings, work }
    }
}

/// Numbers and times by size, texts as such; nothing comes first.
pub(super) fn compare(a: Option<&FieldValue>, b: Option<&FieldValue>) -> Ordering {
    let rank = |it: &FieldValue| match it {
        FieldValue::Null => 0,
        FieldValue::Boolean(_) => 1,
        FieldValue::Integer(_) | FieldValue::Float(_) => 2,
        FieldValue::Timestamp(_) => 3,
        FieldValue::Text(_) => 4,
        FieldValue::List(_) => 5,
    };
    let (Some(a), Some(b)) = (a, b) else { return a.is_some().cmp(&b.is_some()) };
    match (a, b) {
        (FieldValue::Boolean(a), FieldValue::Boolean(b)) => a.cmp(b),
        (FieldValue::Integer(a), FieldValue::Integer(b)) => a.cmp(b),
        (FieldValue::Integer(a), FieldValue::Float(b)) => (*a as f64).total_cmp(b),
        (FieldValue::Float(a), FieldValue::Integer(b)) => a.total_cmp(&(*b as f64)),
        (FieldValue::Float(a), FieldValue::Float(b)) => a.total_cmp(b),
        (FieldValue::Timestamp(a), FieldValue::Timestamp(b)) => a.cmp(b),
        (FieldValue::Text(a), FieldValue::Text(b)) => a.cmp(b),
        (FieldValue::List(a), FieldValue::List(b)) => compare_all(a, b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn compare_all(a: &[FieldValue], b: &[FieldValue]) -> Ordering {
    let pairs = a.iter().zip(b).map(|(a, b)| compare(Some(a), Some(b)));
    pairs.into_iter().find(|it| it.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// Makes a chart of rows: without gaps, and with few lines.
pub(super) fn chart(aggregate: &Aggregate, interval: Option<i64>, table: &mut Table) {
    let Some(interval) = interval else { return };
    let only_counts = aggregate.measures.iter().all(|it| it.name == "count");
    match aggregate.by.as_slice() {
        [] if only_counts => fill(interval, table),
        [_] => few_lines(only_counts, table),
        _ => {}
    }
}

/// A row for each bucket, also where nothing happened.
fn fill(interval: i64, table: &mut Table) {
    let time = |row: &Vec<FieldValue>| match row.first() {
        Some(FieldValue::Timestamp(time)) => Some(time.0),
        _ => None,
    };
    let (Some(first), Some(last)) = (table.rows.first().and_then(time), table.rows.last().and_then(time)) else {
        return;
    };
    if last.saturating_sub(first) / interval > EMPTY_BUCKETS_MAX {
        return;
    }
    let mut counted = std::mem::take(&mut table.rows).into_iter().peekable();
    let mut at = first;
    while at <= last {
        let row = counted.next_if(|row| time(row) == Some(at));
        table.rows.push(row.unwrap_or_else(|| vec![FieldValue::Timestamp(Timestamp(at)), FieldValue::Integer(0)]));
        let Some(next) = at.checked_add(interval) else { break };
        at = next;
    }
}

/// Keeps the largest lines and adds the others up, or leaves them out where they cannot be added.
fn few_lines(only_counts: bool, table: &mut Table) {
    let mut sizes: HashMap<String, i64> = HashMap::new();
    let key = |row: &Vec<FieldValue>| row.get(1).map(FieldValue::to_text).unwrap_or_default();
    for row in &table.rows {
        let size = match row.get(2) {
            Some(FieldValue::Integer(count)) if only_counts => *count,
            _ => 1,
        };
        *sizes.entry(key(row)).or_default() += size;
    }
    if sizes.len() <= SERIES_MAX {
        return;
    }
    let mut largest: Vec<(String, i64)> = sizes.into_iter().collect();
    largest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    largest.truncate(SERIES_MAX);
    let is_kept = |row: &Vec<FieldValue>| largest.iter().any(|it| it.0 == key(row));
    let (kept, others): (Vec<_>, Vec<_>) = std::mem::take(&mut table.rows).into_iter().partition(is_kept);
    table.rows = kept;
    if only_counts {
        let mut added: Vec<Vec<FieldValue>> = Vec::new();
        // In the order of time, so that equal times are neighbours.
        for mut row in others {
            match added.last_mut() {
                Some(last) if compare(last.first(), row.first()).is_eq() => {
                    if let (Some(FieldValue::Integer(sum)), Some(FieldValue::Integer(count))) =
                        (last.get_mut(2), row.get(2))
                    {
                        *sum = sum.saturating_add(*count);
                    }
                }
                _ => {
                    if let Some(name) = row.get_mut(1) {
                        *name = FieldValue::Text(OTHER.to_owned());
                    }
                    added.push(row);
                }
            }
        }
        table.rows.extend(added);
        table.rows.sort_by(|a, b| compare(a.first(), b.first()));
    }
}

/// Runs commands on the rows.
pub(super) fn then(commands: &[OnRows], table: &mut Table) -> Result<(), SearchError> {
    for command in commands {
        match command {
            OnRows::Limit(limit) => table.rows.truncate(*limit),
            OnRows::Where(query) => {
                let sieve = Sieve::new(query, &table.columns)?;
                table.rows.retain(|row| sieve.passes(row));
            }
            OnRows::Sort(by) => {
                let places: Vec<(usize, bool)> = by
                    .iter()
                    .map(|SortBy { name, descending }| Ok((place(name, &table.columns)?, *descending)))
                    .collect::<Result<_, SearchError>>()?;
                table.rows.sort_by(|a, b| {
                    let orders = places.iter().map(|(at, descending)| {
                        let order = compare(a.get(*at), b.get(*at));
                        if *descending { order.reverse() } else { order }
                    });
                    orders.into_iter().find(|it| it.is_ne()).unwrap_or(Ordering::Equal)
                });
            }
            OnRows::Fields(names) => {
                let places: Vec<usize> =
                    names.iter().map(|it| place(it, &table.columns)).collect::<Result<_, SearchError>>()?;
                for row in &mut table.rows {
                    *row = places.iter().map(|it| row.get(*it).cloned().unwrap_or(FieldValue::Null)).collect();
                }
                table.columns.clone_from(names);
            }
        }
    }
    Ok(())
}

fn place(name: &str, columns: &[String]) -> Result<usize, SearchError> {
    let wanted = if name == "_time" { TIME } else { name };
    columns
        .iter()
        .position(|it| it == wanted)
        .ok_or_else(|| SearchError::RowColumnUnknown { name: name.to_owned(), columns: columns.join(", ") })
}

/// A query on rows.
enum Sieve {
    All,
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
    /// In any column.
    Text(Matcher),
    Column(usize, Matcher),
}

impl Sieve {
    fn new(query: &Query, columns: &[String]) -> Result<Self, SearchError> {
        let too_large =
            |error: crate::search::item::PatternTooLarge| SearchError::PatternTooLarge { source: error.source };
        let each = |parts: &[Query]| parts.iter().map(|it| Self::new(it, columns)).collect::<Result<Vec<_>, _>>();
        Ok(match query {
            Query::All => Self::All,
            Query::Not(inner) => Self::Not(Box::new(Self::new(inner, columns)?)),
            Query::And(parts) => Self::And(each(parts)?),
            Query::Or(parts) => Self::Or(each(parts)?),
            Query::Words(glob) => Self::Text(Matcher::words(glob).map_err(too_large)?),
            Query::Pattern(pattern) => Self::Text(Matcher::pattern(pattern).map_err(too_large)?),
            Query::Field { name, test } => Self::Column(place(name, columns)?, Matcher::new(test).map_err(too_large)?),
        })
    }

    fn passes(&self, row: &[FieldValue]) -> bool {
        match self {
            Self::All => true,
            Self::Not(inner) => !inner.passes(row),
            Self::And(parts) => parts.iter().all(|it| it.passes(row)),
            Self::Or(parts) => parts.iter().any(|it| it.passes(row)),
            Self::Text(matcher) => row.iter().any(|it| fits(matcher, it)),
            Self::Column(at, matcher) => row.get(*at).is_some_and(|it| fits(matcher, it)),
        }
    }
}

fn fits(matcher: &Matcher, value: &FieldValue) -> bool {
    match value {
        FieldValue::Null => false,
        FieldValue::List(items) => items.iter().any(|it| fits(matcher, it)),
        FieldValue::Float(number) => matcher.matches(&number.to_string()),
        other => matcher.matches(&other.to_text()),
    }
}
