//! Reading alerts: one, or a list.

use std::str::FromStr;
use std::sync::Arc;

use panoptes_model::{
    Alert, AlertId, AlertState, Entity, EventId, FindingOrigin, Resolution, RuleSummary, Severity, Timestamp,
};
use panoptes_seal::ValueSealer;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use crate::cell::{self, Place, entity_hash};
use crate::{Catalog, CatalogError};

/// A list has at most so many alerts, whatever limit is asked for.
pub const LIST_MAX: usize = 10_000;
/// So many hexadecimal digits name an alert, if they are the first ones of no other.
pub const ID_PREFIX_MIN: usize = 4;
/// So many entries of an alert's history are read, the newest; older ones stay in the table.
pub const HISTORY_READ_MAX: usize = 1_000;
/// So many candidates are named when a prefix is ambiguous.
const MATCHES_MAX: usize = 5;

/// An alert and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertRecord {
    pub alert: Alert,
    pub state: AlertState,
    pub resolution: Option<Resolution>,
    /// Who took it on last.
    pub assignee: Option<String>,
    /// When somebody first took it on, and when it was resolved, if it still is.
    pub acknowledged_at: Option<Timestamp>,
    pub resolved_at: Option<Timestamp>,
    /// The clock of the last change of any kind.
    pub changed_at: Timestamp,
}

/// An alert with what was done to it, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertDetails {
    pub record: AlertRecord,
    pub history: Vec<HistoryEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    pub at: Timestamp,
    pub kind: HistoryKind,
    /// Who did it; `None` if the alert reopened because it was seen again.
    pub actor: Option<String>,
    /// Why it was resolved, or had been before it reopened.
    pub resolution: Option<Resolution>,
    pub note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HistoryKind {
    Acknowledged,
    Resolved,
    Reopened,
    Note,
}

impl HistoryKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
            Self::Reopened => "reopened",
            Self::Note => "note",
        }
    }
}

/// Which alerts to list; the default lists all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertFilter {
    /// Empty: any state.
    pub states: Vec<AlertState>,
    pub min_level: Option<Severity>,
    /// A rule's id.
    pub rule: Option<String>,
    /// A field and the exact value.
    pub entity: Option<(String, String)>,
    /// Alerts with events at or after this time...
    pub since: Option<Timestamp>,
    /// ... and at or before this one.
    pub until: Option<Timestamp>,
    /// At most [`LIST_MAX`].
    pub limit: usize,
}

impl Default for AlertFilter {
    fn default() -> Self {
        Self {
            states: Vec::new(),
            min_level: None,
            rule: None,
            entity: None,
            since: None,
            until: None,
            limit: LIST_MAX,
        }
    }
}

/// What the sealed column of an alert holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AlertCell {
    pub(crate) title: String,
    pub(crate) tags: Vec<String>,
    pub(crate) entities: Vec<Entity>,
    pub(crate) context: Vec<Entity>,
    pub(crate) events: Vec<EventId>,
    pub(crate) sample: String,
    pub(crate) reason: String,
    pub(crate) source: String,
    pub(crate) assignee: Option<String>,
}

/// What the sealed column of a history row holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HistoryCell {
    pub(crate) kind: HistoryKind,
    pub(crate) actor: Option<String>,
    pub(crate) resolution: Option<Resolution>,
    pub(crate) note: Option<String>,
}

pub(crate) const ALERTS: &str = "alerts";
pub(crate) const HISTORY: &str = "alert_history";

/// The row of a history entry, as its cell is bound to it.
pub(crate) fn history_row(id: &str, sequence: i64) -> String {
    format!("{id}/{sequence}")
}

macro_rules! select_alerts {
    ($rest:literal) => {
        concat!(
            "SELECT id, rule_id, level, state, resolution, origin, event_count, finding_count, first_seen_at, ",
            "last_seen_at, opened_at, acknowledged_at, resolved_at, changed_at, sealed FROM alerts ",
            $rest
        )
    };
}

impl Catalog {
    /// The alerts that `filter` lets through, newest event first.
    pub async fn list_alerts(&self, filter: &AlertFilter) -> Result<Vec<AlertRecord>, CatalogError> {
        let mut conditions = Conditions::default();
        if !filter.states.is_empty() {
            let states = filter.states.iter().map(|it| Bound::Text(it.as_str().to_owned()));
            conditions.add_list("state", states);
        }
        if let Some(level) = filter.min_level {
            conditions.add("level >=", Bound::Integer(level_number(level)));
        }
        if let Some(rule) = &filter.rule {
            conditions.add("rule_id =", Bound::Text(rule.clone()));
        }
        if let Some((field, value)) = &filter.entity {
            let hash = Bound::Text(entity_hash(&self.sealer, field, value));
            conditions.add_wrapped("id IN (SELECT alert_id FROM alert_entities WHERE entity = ", hash, ")");
        }
        if let Some(since) = filter.since {
            conditions.add("last_seen_at >=", Bound::Integer(since.0));
        }
        if let Some(until) = filter.until {
            conditions.add("first_seen_at <=", Bound::Integer(until.0));
        }
        let limit = filter.limit.min(LIST_MAX);
        let sql =
            format!("{}{} ORDER BY last_seen_at DESC, id DESC LIMIT {limit}", select_alerts!(""), conditions.to_sql());
        let failed = CatalogError::database("list alerts");
        let mut transaction = self.read().await?;
        // The text consists of literals of this function, placeholders and one number.
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for bound in conditions.bounds {
            query = match bound {
                Bound::Text(text) => query.bind(text),
                Bound::Integer(number) => query.bind(number),
            };
        }
        let rows = query.fetch_all(&mut *transaction).await.map_err(failed)?;
        rows.iter().map(|it| read_record(&self.sealer, it)).collect()
    }

    /// The alert whose id is or begins with `id`, with its history.
    pub async fn alert(&self, id: &str) -> Result<AlertDetails, CatalogError> {
        let mut transaction = self.read().await?;
        let record = find(&self.sealer, &mut transaction, id).await?;
        let id = record.alert.id.to_string();
        const SQL: &str = "SELECT sequence, happened_at, sealed FROM alert_history WHERE alert_id = $1 \
                           ORDER BY sequence DESC LIMIT $2";
        let failed = CatalogError::database("read an alert's history");
        let query = sqlx::query(SQL).bind(id.clone()).bind(HISTORY_READ_MAX as i64);
        let rows = query.fetch_all(&mut *transaction).await.map_err(&failed)?;
        let mut history = Vec::with_capacity(rows.len());
        for row in rows.iter().rev() {
            let sequence: i64 = row.try_get(0).map_err(&failed)?;
            let sealed: String = row.try_get(2).map_err(&failed)?;
            let place = Place { table: HISTORY, row: &history_row(&id, sequence) };
            let HistoryCell { kind, actor, resolution, note } = cell::open(&self.sealer, place, &sealed)?;
            let at = Timestamp(row.try_get(1).map_err(&failed)?);
            history.push(HistoryEntry { at, kind, actor, resolution, note });
        }
        Ok(AlertDetails { record, history })
    }
}

/// The one alert whose id begins with `prefix`.
pub(crate) async fn find(
    sealer: &ValueSealer,
    connection: &mut AnyConnection,
    prefix: &str,
) -> Result<AlertRecord, CatalogError> {
    const DIGITS_MAX: usize = 32;
    let digits = prefix.to_ascii_lowercase();
    let well_formed =
        (ID_PREFIX_MIN..=DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_hexdigit());
    if !well_formed {
        // What is told is cut as well: it may be anything.
        return Err(CatalogError::IdMalformed { text: prefix.chars().take(2 * DIGITS_MAX).collect() });
    }
    // `g` comes after all digits.
    const SQL: &str = select_alerts!("WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3");
    let query = sqlx::query(SQL).bind(digits.clone()).bind(format!("{digits}g")).bind(MATCHES_MAX as i64);
    let rows = query.fetch_all(connection).await.map_err(CatalogError::database("look up an alert"))?;
    match rows.as_slice() {
        [] => Err(CatalogError::AlertUnknown { text: digits }),
        [row] => read_record(sealer, row),
        several => {
            let ids = several.iter().map(|it| read_record(sealer, it).map(|it| it.alert.id));
            Err(CatalogError::AlertAmbiguous { prefix: digits, matches: ids.collect::<Result<_, _>>()? })
        }
    }
}

pub(crate) fn read_record(sealer: &ValueSealer, row: &AnyRow) -> Result<AlertRecord, CatalogError> {
    let failed = CatalogError::database("read an alert");
    let text = |column| row.try_get::<String, _>(column).map_err(&failed);
    let number = |column| row.try_get::<i64, _>(column).map_err(&failed);
    let optional = |column| row.try_get::<Option<i64>, _>(column).map_err(&failed);
    let id = text("id")?;
    let place = Place { table: ALERTS, row: &id };
    let cell: AlertCell = cell::open(sealer, place, &text("sealed")?)?;
    let resolution = row.try_get::<Option<String>, _>("resolution").map_err(&failed)?;
    let rule = RuleSummary {
        id: text("rule_id")?,
        title: cell.title,
        level: level_of(number("level")?).ok_or_else(|| place.damaged("level"))?,
        tags: cell.tags,
    };
    let alert = Alert {
        id: AlertId(u128::from_str_radix(&id, 16).map_err(|_| place.damaged("id"))?),
        rule: Arc::new(rule),
        entities: cell.entities,
        context: cell.context,
        first_seen: Timestamp(number("first_seen_at")?),
        last_seen: Timestamp(number("last_seen_at")?),
        opened_at: Timestamp(number("opened_at")?),
        count: number("event_count")?.unsigned_abs(),
        findings: number("finding_count")?.unsigned_abs(),
        events: cell.events,
        sample: cell.sample,
        reason: cell.reason,
        source: cell.source,
        origin: origin_of(&text("origin")?).ok_or_else(|| place.damaged("origin"))?,
    };
    Ok(AlertRecord {
        alert,
        state: AlertState::from_str(&text("state")?).map_err(|_| place.damaged("state"))?,
        resolution: resolution.map(|it| it.parse()).transpose().map_err(|_| place.damaged("resolution"))?,
        assignee: cell.assignee,
        acknowledged_at: optional("acknowledged_at")?.map(Timestamp),
        resolved_at: optional("resolved_at")?.map(Timestamp),
        changed_at: Timestamp(number("changed_at")?),
    })
}

/// Levels are kept as numbers, so that they compare in SQL.
pub(crate) fn level_number(level: Severity) -> i64 {
    Severity::ALL.iter().position(|it| *it == level).unwrap_or(0) as i64
}

pub(crate) fn level_of(number: i64) -> Option<Severity> {
    Severity::ALL.get(usize::try_from(number).ok()?).copied()
}

pub(crate) fn origin_word(origin: FindingOrigin) -> &'static str {
    match origin {
        FindingOrigin::Live => "live",
        FindingOrigin::Import => "import",
        FindingOrigin::Scan => "scan",
    }
}

fn origin_of(word: &str) -> Option<FindingOrigin> {
    [FindingOrigin::Live, FindingOrigin::Import, FindingOrigin::Scan].into_iter().find(|it| origin_word(*it) == word)
}

enum Bound {
    Text(String),
    Integer(i64),
}

/// A `WHERE` clause with numbered placeholders (`QueryBuilder` would write `?`, which PostgreSQL does not know).
#[derive(Default)]
struct Conditions {
    parts: Vec<String>,
    bounds: Vec<Bound>,
}

impl Conditions {
    fn add(&mut self, left: &'static str, bound: Bound) {
        self.add_wrapped(left, bound, "");
    }

    fn add_wrapped(&mut self, left: &'static str, bound: Bound, right: &'static str) {
        let place = self.place(bound);
        self.parts.push(format!("{left} {place}{right}"));
    }

    fn add_list(&mut self, column: &'static str, bounds: impl Iterator<Item = Bound>) {
        let places: Vec<_> = bounds.map(|it| self.place(it)).collect();
        self.parts.push(format!("{column} IN ({})", places.join(", ")));
    }

    fn place(&mut self, bound: Bound) -> String {
        self.bounds.push(bound);
        format!("${}", self.bounds.len())
    }

    fn to_sql(&self) -> String {
        if self.parts.is_empty() { String::new() } else { format!("WHERE {}", self.parts.join(" AND ")) }
    }
}

#[cfg(test)]
#[path = "alerts_tests.rs"]
mod tests;
