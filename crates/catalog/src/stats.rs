//! Alerts in figures.

use std::collections::HashMap;

use panoptes_model::{AlertState, Entity, Resolution, Severity, Timestamp};
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::alerts::{ALERTS, AlertCell, level_of};
use crate::cell::{self, Place, entity_hash};
use crate::{Catalog, CatalogError};

/// So many rules and so many entities are named, those with the most alerts; the sums hold all.
pub const TOP_MAX: usize = 20;

/// Figures over all alerts with events since some time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AlertStats {
    pub alerts: u64,
    pub events: u64,
    /// Every level, every state and every resolution, also those without alerts.
    pub by_level: Vec<(Severity, u64)>,
    pub by_state: Vec<(AlertState, u64)>,
    pub by_resolution: Vec<(Resolution, u64)>,
    pub by_rule: Vec<RuleCount>,
    pub top_entities: Vec<EntityCount>,
    /// From the opening of an alert until somebody first took it on; `None` if nobody ever did.
    pub mean_seconds_to_acknowledge: Option<f64>,
    /// From the opening of an alert until it was resolved.
    pub mean_seconds_to_resolve: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    pub rule_id: String,
    pub title: String,
    pub level: Severity,
    pub alerts: u64,
    pub events: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntityCount {
    pub entity: Entity,
    pub alerts: u64,
    pub events: u64,
}

/// SQLite's sum of integers fails when it overflows, PostgreSQL's is a NUMERIC that `Any` does not know.
const SUMS: &str = "COUNT(*), CAST(COALESCE(SUM(CAST(event_count AS DOUBLE PRECISION)), 0) AS DOUBLE PRECISION)";

impl Catalog {
    /// Figures over the alerts with events at or after `since`, or over all.
    pub async fn stats(&self, since: Option<Timestamp>) -> Result<AlertStats, CatalogError> {
        let since = since.map_or(i64::MIN, |it| it.0);
        let mut transaction = self.read().await?;
        let connection = &mut *transaction;
        let groups =
            |column: &str| format!("SELECT {column}, {SUMS} FROM alerts WHERE last_seen_at >= $1 GROUP BY {column}");
        let mut stats = AlertStats::default();

        let levels: HashMap<i64, Sums> = read_groups(connection, groups("level"), since).await?;
        let count = |sums: Option<&Sums>| sums.map_or(0, |it| it.alerts);
        let by_level = |(number, level): (usize, Severity)| (level, count(levels.get(&(number as i64))));
        stats.by_level = Severity::ALL.into_iter().enumerate().map(by_level).collect();
        stats.alerts = levels.values().map(|it| it.alerts).sum();
        stats.events = levels.values().map(|it| it.events).fold(0, u64::saturating_add);

        let states: HashMap<String, Sums> = read_groups(connection, groups("state"), since).await?;
        stats.by_state = AlertState::ALL.into_iter().map(|it| (it, count(states.get(it.as_str())))).collect();
        let resolutions: HashMap<Option<String>, Sums> = read_groups(connection, groups("resolution"), since).await?;
        let by_resolution = |it: Resolution| (it, count(resolutions.get(&Some(it.as_str().to_owned()))));
        stats.by_resolution = Resolution::ALL.into_iter().map(by_resolution).collect();

        stats.by_rule = self.rules(connection, since).await?;
        stats.top_entities = self.entities(connection, since).await?;
        (stats.mean_seconds_to_acknowledge, stats.mean_seconds_to_resolve) = means(connection, since).await?;
        Ok(stats)
    }

    async fn rules(&self, connection: &mut AnyConnection, since: i64) -> Result<Vec<RuleCount>, CatalogError> {
        let sql = format!(
            "SELECT rule_id, {SUMS}, MAX(level), MAX(id) FROM alerts WHERE last_seen_at >= $1 GROUP BY rule_id \
             ORDER BY COUNT(*) DESC, rule_id LIMIT {TOP_MAX}"
        );
        let failed = CatalogError::database("count alerts by rule");
        let mut counts = Vec::new();
        for row in fetch(connection, sql, since).await? {
            let rule_id: String = row.try_get(0).map_err(&failed)?;
            let Sums { alerts, events } = Sums::read(&row, 1)?;
            let level: i64 = row.try_get(3).map_err(&failed)?;
            // A title is sealed with each alert; that of one will do.
            let example: String = row.try_get(4).map_err(&failed)?;
            let level = level_of(level).ok_or_else(|| Place { table: ALERTS, row: &example }.damaged("level"))?;
            let title = self.cell(connection, &example).await?.title;
            counts.push(RuleCount { rule_id, title, level, alerts, events });
        }
        Ok(counts)
    }

    async fn entities(&self, connection: &mut AnyConnection, since: i64) -> Result<Vec<EntityCount>, CatalogError> {
        let sql = format!(
            "SELECT alert_entities.entity, {SUMS}, MAX(alerts.id) \
             FROM alerts JOIN alert_entities ON alert_entities.alert_id = alerts.id \
             WHERE last_seen_at >= $1 GROUP BY alert_entities.entity \
             ORDER BY COUNT(*) DESC, alert_entities.entity LIMIT {TOP_MAX}"
        );
        let failed = CatalogError::database("count alerts by entity");
        let mut counts = Vec::new();
        for row in fetch(connection, sql, since).await? {
            let hash: String = row.try_get(0).map_err(&failed)?;
            let Sums { alerts, events } = Sums::read(&row, 1)?;
            let example: String = row.try_get(3).map_err(&failed)?;
            let entities = self.cell(connection, &example).await?.entities;
            let named = |it: &Entity| entity_hash(&self.sealer, &it.field, &it.value) == hash;
            let entity = entities
                .into_iter()
                .find(named)
                .ok_or_else(|| Place { table: "alert_entities", row: &example }.damaged("entity"))?;
            counts.push(EntityCount { entity, alerts, events });
        }
        Ok(counts)
    }

    async fn cell(&self, connection: &mut AnyConnection, id: &str) -> Result<AlertCell, CatalogError> {
        let failed = CatalogError::database("read an alert");
        let query = sqlx::query("SELECT sealed FROM alerts WHERE id = $1").bind(id.to_owned());
        let row = query.fetch_one(connection).await.map_err(&failed)?;
        let sealed: String = row.try_get(0).map_err(failed)?;
        cell::open(&self.sealer, Place { table: ALERTS, row: id }, &sealed)
    }
}

/// What [`SUMS`] gives.
#[derive(Clone, Copy)]
struct Sums {
    alerts: u64,
    events: u64,
}

impl Sums {
    fn read(row: &AnyRow, column: usize) -> Result<Self, CatalogError> {
        let failed = CatalogError::database("count alerts");
        let alerts: i64 = row.try_get(column).map_err(&failed)?;
        let events: f64 = row.try_get(column + 1).map_err(failed)?;
        Ok(Self { alerts: alerts.unsigned_abs(), events: events as u64 })
    }
}

async fn read_groups<K>(
    connection: &mut AnyConnection,
    sql: String,
    since: i64,
) -> Result<HashMap<K, Sums>, CatalogError>
where
    K: for<'r> sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any> + std::hash::Hash + Eq,
{
    let failed = CatalogError::database("count alerts");
    let rows = fetch(connection, sql, since).await?;
    rows.iter().map(|row| Ok((row.try_get(0).map_err(&failed)?, Sums::read(row, 1)?))).collect()
}

/// `sql` consists of literals of this file; its one parameter is `since`.
async fn fetch(connection: &mut AnyConnection, sql: String, since: i64) -> Result<Vec<AnyRow>, CatalogError> {
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(since);
    query.fetch_all(connection).await.map_err(CatalogError::database("count alerts"))
}

/// Mean seconds until alerts were acknowledged, and until they were resolved.
async fn means(connection: &mut AnyConnection, since: i64) -> Result<(Option<f64>, Option<f64>), CatalogError> {
    const SQL: &str = "SELECT CAST(AVG(CAST(acknowledged_at AS DOUBLE PRECISION) - opened_at) AS DOUBLE PRECISION), \
         CAST(AVG(CAST(resolved_at AS DOUBLE PRECISION) - opened_at) AS DOUBLE PRECISION) \
         FROM alerts WHERE last_seen_at >= $1";
    let failed = CatalogError::database("compute mean times");
    let row = sqlx::query(SQL).bind(since).fetch_one(connection).await.map_err(&failed)?;
    let seconds = |column: usize| {
        let nanos: Option<f64> = row.try_get(column).map_err(&failed)?;
        Ok(nanos.map(|it| it / Timestamp::NANOS_PER_SECOND as f64))
    };
    Ok((seconds(0)?, seconds(1)?))
}

#[cfg(test)]
#[path = "stats_tests.rs"]
mod tests;
