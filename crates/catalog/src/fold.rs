//! The transaction on which recovery rests: what one fold changed, and up to where it came.
//!
//! After a crash the frames since the last checkpoint are folded again, in batches that may be cut differently. A
//! batch that ends at or before `folded_through` is a no-op. One that reaches beyond it may repeat updates; these
//! state absolute counters, so an update that brings no finding beyond the stored ones changes nothing: in particular
//! it reopens nothing that a person resolved meanwhile.

use panoptes_model::{AlertId, AlertState, AlertUpdate, FrameId, Resolution, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row as _};

use crate::actions::append_history;
use crate::alerts::{ALERTS, AlertCell, HistoryCell, HistoryKind, level_number, origin_word};
use crate::catalog::{meta, set_meta};
use crate::cell::{self, Place, entity_hashes, source_hash};
use crate::{Catalog, CatalogError};

/// So many sources keep their position. When more come, those that were read longest ago are forgotten: if such a file
/// still grows, it is read again from where new files are.
pub const POSITIONS_MAX: usize = 100_000;

const FOLDED_THROUGH: &str = "folded_through";
pub(crate) const POSITIONS: &str = "positions";

/// Up to where a source has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePosition {
    /// What the position is of: a path, a unit, a channel. One row each.
    pub source: String,
    /// How the source knows that it is still the same (device, inode, fingerprint), in words of its own.
    pub identity: String,
    pub position: u64,
}

/// What a fold changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoldOutcome {
    /// `false` if these frames had been folded before: nothing was written.
    pub applied: bool,
    /// The alerts that are new in the catalogue: tell people of these, and of no others, so that a replay tells nobody
    /// twice.
    pub opened: Vec<AlertId>,
    /// The alerts that were resolved and have been seen again.
    pub reopened: Vec<AlertId>,
}

#[derive(Serialize, Deserialize)]
struct PositionCell {
    source: String,
    identity: String,
}

/// What an update needs to know of the row that it meets.
struct Stored {
    state: AlertState,
    resolution: Option<Resolution>,
    findings: i64,
    assignee: Option<String>,
}

impl Catalog {
    /// Writes what folding the frames up to `through` changed, in one transaction. `now` is the clock of that frame.
    pub async fn commit_fold(
        &self,
        through: FrameId,
        now: Timestamp,
        updates: &[AlertUpdate],
        positions: &[SourcePosition],
    ) -> Result<FoldOutcome, CatalogError> {
        let mut transaction = self.write().await?;
        if through <= folded_through(&mut transaction).await? {
            return Ok(FoldOutcome::default());
        }
        let mut outcome = FoldOutcome { applied: true, ..FoldOutcome::default() };
        for update in updates {
            self.apply(&mut transaction, update, now, &mut outcome).await?;
        }
        self.put_positions(&mut transaction, through, positions).await?;
        set_meta(&mut transaction, FOLDED_THROUGH, &through.0.to_string()).await?;
        transaction.commit().await.map_err(CatalogError::database("commit a fold"))?;
        Ok(outcome)
    }

    /// The last frame whose effects are in the catalogue.
    pub async fn folded_through(&self) -> Result<FrameId, CatalogError> {
        folded_through(&mut *self.read().await?).await
    }

    /// Up to where all sources have been read.
    pub async fn positions(&self) -> Result<Vec<SourcePosition>, CatalogError> {
        let failed = CatalogError::database("read positions");
        let mut transaction = self.read().await?;
        let query = sqlx::query("SELECT source, position, sealed FROM positions ORDER BY source");
        let rows = query.fetch_all(&mut *transaction).await.map_err(&failed)?;
        let mut positions = Vec::with_capacity(rows.len());
        for row in rows {
            let hash: String = row.try_get(0).map_err(&failed)?;
            let position: i64 = row.try_get(1).map_err(&failed)?;
            let sealed: String = row.try_get(2).map_err(&failed)?;
            let PositionCell { source, identity } =
                cell::open(&self.sealer, Place { table: POSITIONS, row: &hash }, &sealed)?;
            positions.push(SourcePosition { source, identity, position: position.unsigned_abs() });
        }
        Ok(positions)
    }

    /// Notes positions that no frame carries: those of sources that had nothing to send.
    pub async fn set_positions(&self, positions: &[SourcePosition]) -> Result<(), CatalogError> {
        let mut transaction = self.write().await?;
        let through = folded_through(&mut transaction).await?;
        self.put_positions(&mut transaction, through, positions).await?;
        transaction.commit().await.map_err(CatalogError::database("commit positions"))
    }

    /// Forgets sources that are gone.
    pub async fn forget_positions(&self, sources: &[&str]) -> Result<(), CatalogError> {
        let failed = CatalogError::database("forget positions");
        let mut transaction = self.write().await?;
        for source in sources {
            let query = sqlx::query("DELETE FROM positions WHERE source = $1").bind(source_hash(&self.sealer, source));
            query.execute(&mut *transaction).await.map_err(&failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    async fn apply(
        &self,
        connection: &mut AnyConnection,
        update: &AlertUpdate,
        now: Timestamp,
        outcome: &mut FoldOutcome,
    ) -> Result<(), CatalogError> {
        let alert = &update.alert;
        let id = alert.id.to_string();
        let stored = self.stored(connection, &id).await?;
        let findings = clamp(alert.findings);
        if stored.as_ref().is_some_and(|it| it.findings >= findings) {
            return Ok(());
        }
        let sealed = cell::seal(
            &self.sealer,
            Place { table: ALERTS, row: &id },
            &AlertCell {
                title: alert.rule.title.clone(),
                tags: alert.rule.tags.clone(),
                entities: alert.entities.clone(),
                context: alert.context.clone(),
                events: alert.events.clone(),
                sample: alert.sample.clone(),
                reason: alert.reason.clone(),
                source: alert.source.clone(),
                assignee: stored.as_ref().and_then(|it| it.assignee.clone()),
            },
        )?;
        // Who, why and since when are people's columns: only a new row sets them here.
        const UPSERT: &str = "INSERT INTO alerts (id, rule_id, level, state, origin, event_count, finding_count, \
             first_seen_at, last_seen_at, opened_at, changed_at, sealed) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             ON CONFLICT (id) DO UPDATE SET level = excluded.level, event_count = excluded.event_count, \
             finding_count = excluded.finding_count, first_seen_at = excluded.first_seen_at, \
             last_seen_at = excluded.last_seen_at, changed_at = excluded.changed_at, sealed = excluded.sealed";
        let query = sqlx::query(UPSERT)
            .bind(id.clone())
            .bind(alert.rule.id.clone())
            .bind(level_number(alert.rule.level))
            .bind(AlertState::Open.as_str())
            .bind(origin_word(alert.origin))
            .bind(clamp(alert.count))
            .bind(findings)
            .bind(alert.first_seen.0)
            .bind(alert.last_seen.0)
            .bind(alert.opened_at.0)
            .bind(now.0)
            .bind(sealed);
        query.execute(&mut *connection).await.map_err(CatalogError::database("write an alert"))?;
        match stored {
            None => {
                for entity in entity_hashes(&self.sealer, &alert.entities) {
                    const SQL: &str =
                        "INSERT INTO alert_entities (entity, alert_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
                    let query = sqlx::query(SQL).bind(entity).bind(id.clone());
                    query.execute(&mut *connection).await.map_err(CatalogError::database("write an entity"))?;
                }
                outcome.opened.push(alert.id);
            }
            Some(stored) if reopens(&stored) => {
                const SQL: &str = "UPDATE alerts SET state = $1, resolution = NULL, resolved_at = NULL WHERE id = $2";
                let query = sqlx::query(SQL).bind(AlertState::Open.as_str()).bind(id.clone());
                query.execute(&mut *connection).await.map_err(CatalogError::database("reopen an alert"))?;
                let kind = HistoryKind::Reopened;
                let cell = HistoryCell { kind, actor: None, resolution: stored.resolution, note: None };
                append_history(&self.sealer, connection, &id, now, &cell).await?;
                outcome.reopened.push(alert.id);
            }
            Some(_) => {}
        }
        Ok(())
    }

    async fn stored(&self, connection: &mut AnyConnection, id: &str) -> Result<Option<Stored>, CatalogError> {
        let failed = CatalogError::database("look up an alert");
        let query = sqlx::query("SELECT state, resolution, finding_count, sealed FROM alerts WHERE id = $1");
        let Some(row) = query.bind(id.to_owned()).fetch_optional(connection).await.map_err(&failed)? else {
            return Ok(None);
        };
        let place = Place { table: ALERTS, row: id };
        let state: String = row.try_get(0).map_err(&failed)?;
        let resolution: Option<String> = row.try_get(1).map_err(&failed)?;
        let sealed: String = row.try_get(3).map_err(&failed)?;
        let cell: AlertCell = cell::open(&self.sealer, place, &sealed)?;
        Ok(Some(Stored {
            state: state.parse().map_err(|_| place.damaged("state"))?,
            resolution: resolution.map(|it| it.parse()).transpose().map_err(|_| place.damaged("resolution"))?,
            findings: row.try_get(2).map_err(&failed)?,
            assignee: cell.assignee,
        }))
    }

    async fn put_positions(
        &self,
        connection: &mut AnyConnection,
        through: FrameId,
        positions: &[SourcePosition],
    ) -> Result<(), CatalogError> {
        const UPSERT: &str = "INSERT INTO positions (source, position, frame, sealed) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (source) DO UPDATE SET position = excluded.position, frame = excluded.frame, \
             sealed = excluded.sealed";
        for SourcePosition { source, identity, position } in positions {
            let hash = source_hash(&self.sealer, source);
            let cell = PositionCell { source: source.clone(), identity: identity.clone() };
            let sealed = cell::seal(&self.sealer, Place { table: POSITIONS, row: &hash }, &cell)?;
            let query = sqlx::query(UPSERT).bind(hash).bind(clamp(*position)).bind(clamp(through.0)).bind(sealed);
            query.execute(&mut *connection).await.map_err(CatalogError::database("write a position"))?;
        }
        if !positions.is_empty() {
            forget_surplus(connection, POSITIONS_MAX).await?;
        }
        Ok(())
    }
}

/// What was resolved as a true claim, or as one told elsewhere, and happens again is news; what was found harmless is
/// harmless again.
fn reopens(stored: &Stored) -> bool {
    let harmless = matches!(stored.resolution, Some(Resolution::FalsePositive | Resolution::Benign));
    stored.state == AlertState::Resolved && !harmless
}

async fn folded_through(connection: &mut AnyConnection) -> Result<FrameId, CatalogError> {
    let place = Place { table: "meta", row: FOLDED_THROUGH };
    match meta(connection, FOLDED_THROUGH).await? {
        None => Ok(FrameId(0)),
        Some(text) => text.parse().map(FrameId).map_err(|_| place.damaged("value")),
    }
}

/// Forgets the positions written longest ago beyond the newest `keep`.
async fn forget_surplus(connection: &mut AnyConnection, keep: usize) -> Result<(), CatalogError> {
    let failed = CatalogError::database("forget old positions");
    let count = sqlx::query("SELECT COUNT(*) FROM positions").fetch_one(&mut *connection).await.map_err(&failed)?;
    let surplus = count.try_get::<i64, _>(0).map_err(&failed)? - clamp(keep as u64);
    if surplus > 0 {
        const SQL: &str = "DELETE FROM positions WHERE source IN \
             (SELECT source FROM positions ORDER BY frame, source LIMIT $1)";
        sqlx::query(SQL).bind(surplus).execute(connection).await.map_err(failed)?;
    }
    Ok(())
}

/// SQL's integers end at half of ours; no true count comes near.
fn clamp(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
