//! What people do to alerts. Every action reads the alert again under the write lock, and leaves a line of history.

use panoptes_model::{AlertState, Resolution, Timestamp};
use panoptes_seal::ValueSealer;
use sqlx::{AnyConnection, Row as _};

use crate::alerts::{ALERTS, AlertCell, HISTORY, HistoryCell, HistoryKind, find, history_row};
use crate::cell::{self, Place};
use crate::{AlertRecord, Catalog, CatalogError};

/// A longer note is refused.
pub const NOTE_BYTES_MAX: usize = 16 << 10;
/// A longer name is refused.
pub const ACTOR_BYTES_MAX: usize = 256;

/// One action, in words of the tables.
struct Action<'a> {
    kind: HistoryKind,
    resolution: Option<Resolution>,
    note: Option<&'a str>,
    actor: &'a str,
    now: Timestamp,
}

impl Catalog {
    /// Takes an alert on: it is acknowledged, and `actor`'s. `id` may be a prefix, here and below.
    pub async fn acknowledge(
        &self,
        id: &str,
        note: Option<&str>,
        actor: &str,
        now: Timestamp,
    ) -> Result<AlertRecord, CatalogError> {
        self.act(id, Action { kind: HistoryKind::Acknowledged, resolution: None, note, actor, now }).await
    }

    /// Closes an alert, or changes why it was closed.
    pub async fn resolve(
        &self,
        id: &str,
        resolution: Resolution,
        note: Option<&str>,
        actor: &str,
        now: Timestamp,
    ) -> Result<AlertRecord, CatalogError> {
        self.act(id, Action { kind: HistoryKind::Resolved, resolution: Some(resolution), note, actor, now }).await
    }

    /// Opens an alert again that was acknowledged or resolved; nobody has it then.
    pub async fn reopen(
        &self,
        id: &str,
        note: Option<&str>,
        actor: &str,
        now: Timestamp,
    ) -> Result<AlertRecord, CatalogError> {
        self.act(id, Action { kind: HistoryKind::Reopened, resolution: None, note, actor, now }).await
    }

    /// Adds a note and changes nothing else.
    pub async fn note(&self, id: &str, note: &str, actor: &str, now: Timestamp) -> Result<AlertRecord, CatalogError> {
        self.act(id, Action { kind: HistoryKind::Note, resolution: None, note: Some(note), actor, now }).await
    }

    async fn act(&self, id: &str, action: Action<'_>) -> Result<AlertRecord, CatalogError> {
        check_length("note", action.note.unwrap_or_default(), NOTE_BYTES_MAX)?;
        check_length("name", action.actor, ACTOR_BYTES_MAX)?;
        let mut transaction = self.write().await?;
        let mut record = find(&self.sealer, &mut transaction, id).await?;
        let before = record.resolution;
        change(&mut record, &action)?;
        self.put(&mut transaction, &record).await?;
        let cell = HistoryCell {
            kind: action.kind,
            actor: Some(action.actor.to_owned()),
            resolution: if action.kind == HistoryKind::Reopened { before } else { action.resolution },
            note: action.note.map(str::to_owned),
        };
        let id = record.alert.id.to_string();
        append_history(&self.sealer, &mut transaction, &id, action.now, &cell).await?;
        transaction.commit().await.map_err(CatalogError::database("commit an action"))?;
        Ok(record)
    }

    /// Writes the columns that people change.
    async fn put(&self, connection: &mut AnyConnection, record: &AlertRecord) -> Result<(), CatalogError> {
        let alert = &record.alert;
        let id = alert.id.to_string();
        let cell = AlertCell {
            title: alert.rule.title.clone(),
            tags: alert.rule.tags.clone(),
            entities: alert.entities.clone(),
            context: alert.context.clone(),
            events: alert.events.clone(),
            sample: alert.sample.clone(),
            reason: alert.reason.clone(),
            source: alert.source.clone(),
            assignee: record.assignee.clone(),
        };
        let sealed = cell::seal(&self.sealer, Place { table: ALERTS, row: &id }, &cell)?;
        const SQL: &str = "UPDATE alerts SET state = $1, resolution = $2, acknowledged_at = $3, resolved_at = $4, \
             changed_at = $5, sealed = $6 WHERE id = $7";
        let query = sqlx::query(SQL)
            .bind(record.state.as_str())
            .bind(record.resolution.map(|it| it.as_str().to_owned()))
            .bind(record.acknowledged_at.map(|it| it.0))
            .bind(record.resolved_at.map(|it| it.0))
            .bind(record.changed_at.0)
            .bind(sealed)
            .bind(id);
        query.execute(connection).await.map_err(CatalogError::database("change an alert"))?;
        Ok(())
    }
}

fn change(record: &mut AlertRecord, action: &Action<'_>) -> Result<(), CatalogError> {
    let conflict = |wanted| CatalogError::StateConflict { id: record.alert.id, state: record.state, wanted };
    match action.kind {
        HistoryKind::Acknowledged if record.state == AlertState::Resolved => {
            return Err(conflict("acknowledged; reopen it first"));
        }
        HistoryKind::Acknowledged => {
            record.state = AlertState::Acknowledged;
            record.assignee = Some(action.actor.to_owned());
            record.acknowledged_at.get_or_insert(action.now);
        }
        HistoryKind::Resolved => {
            record.state = AlertState::Resolved;
            record.resolution = action.resolution;
            record.resolved_at = Some(action.now);
            // Who resolves has taken it on.
            record.acknowledged_at.get_or_insert(action.now);
            record.assignee.get_or_insert_with(|| action.actor.to_owned());
        }
        HistoryKind::Reopened if record.state == AlertState::Open => return Err(conflict("reopened")),
        HistoryKind::Reopened => {
            record.state = AlertState::Open;
            record.resolution = None;
            record.resolved_at = None;
            record.assignee = None;
        }
        HistoryKind::Note => {}
    }
    record.changed_at = action.now;
    Ok(())
}

fn check_length(what: &'static str, text: &str, max: usize) -> Result<(), CatalogError> {
    if text.len() > max { Err(CatalogError::TextTooLong { what, bytes: text.len(), max }) } else { Ok(()) }
}

/// Adds the next line to an alert's history. The caller holds the write lock, so numbers do not collide.
pub(crate) async fn append_history(
    sealer: &ValueSealer,
    connection: &mut AnyConnection,
    id: &str,
    now: Timestamp,
    cell: &HistoryCell,
) -> Result<(), CatalogError> {
    let failed = CatalogError::database("write an alert's history");
    const NEXT: &str = "SELECT COALESCE(MAX(sequence), 0) + 1 FROM alert_history WHERE alert_id = $1";
    let row = sqlx::query(NEXT).bind(id.to_owned()).fetch_one(&mut *connection).await.map_err(&failed)?;
    let sequence: i64 = row.try_get(0).map_err(&failed)?;
    let sealed = cell::seal(sealer, Place { table: HISTORY, row: &history_row(id, sequence) }, cell)?;
    const INSERT: &str = "INSERT INTO alert_history (alert_id, sequence, happened_at, sealed) VALUES ($1, $2, $3, $4)";
    let query = sqlx::query(INSERT).bind(id.to_owned()).bind(sequence).bind(now.0).bind(sealed);
    query.execute(connection).await.map_err(failed)?;
    Ok(())
}

#[cfg(test)]
#[path = "actions_tests.rs"]
mod tests;
