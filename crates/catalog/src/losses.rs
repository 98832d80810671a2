//! Records that inputs refused or lost, by hour: what a listing of sources shows long after the process that counted.

use panoptes_model::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row as _};

use crate::cell::{self, Place};
use crate::{Catalog, CatalogError};

/// How many rows are kept (one for each hour, source and reason); beyond it those of the oldest hours go.
pub const LOSSES_MAX: usize = 65_536;

pub(crate) const LOSSES: &str = "losses";
const HOUR_SECONDS: i64 = 3_600;

/// Records of one source that met one fate in one hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The beginning of the hour.
    pub hour: Timestamp,
    pub input: String,
    pub source: String,
    /// Refused, so that the sender could know, rather than lost.
    pub rejected: bool,
    /// In the words of the counters: `too_long`, `queue_full`.
    pub reason: String,
    pub records: u64,
}

#[derive(Serialize, Deserialize)]
struct LossCell {
    input: String,
    source: String,
    rejected: bool,
    reason: String,
}

impl Catalog {
    /// Adds to what is known. The hours may be any time in theirs.
    pub async fn add_losses(&self, losses: &[Loss]) -> Result<(), CatalogError> {
        const UPSERT: &str = "INSERT INTO losses (row, hour, records, sealed) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (row) DO UPDATE SET records = losses.records + excluded.records";
        let failed = CatalogError::database("write what was lost");
        let mut transaction = self.write().await?;
        for loss in losses {
            let hour = loss.hour.as_seconds().div_euclid(HOUR_SECONDS);
            let row = cell::loss_hash(&self.sealer, hour, [&loss.input, &loss.source, &loss.reason], loss.rejected);
            let cell = LossCell {
                input: loss.input.clone(),
                source: loss.source.clone(),
                rejected: loss.rejected,
                reason: loss.reason.clone(),
            };
            let sealed = cell::seal(&self.sealer, Place { table: LOSSES, row: &row }, &cell)?;
            let records = i64::try_from(loss.records).unwrap_or(i64::MAX);
            let query = sqlx::query(UPSERT).bind(row).bind(hour).bind(records).bind(sealed);
            query.execute(&mut *transaction).await.map_err(&failed)?;
        }
        forget_surplus(&mut transaction, LOSSES_MAX).await?;
        transaction.commit().await.map_err(failed)
    }

    /// What was lost from the hour of `since` on, by hour.
    pub async fn losses(&self, since: Timestamp) -> Result<Vec<Loss>, CatalogError> {
        let failed = CatalogError::database("read what was lost");
        let mut transaction = self.read().await?;
        let query = sqlx::query("SELECT row, hour, records, sealed FROM losses WHERE hour >= $1 ORDER BY hour, row");
        let rows = query.bind(since.as_seconds().div_euclid(HOUR_SECONDS)).fetch_all(&mut *transaction).await;
        let mut losses = Vec::new();
        for found in rows.map_err(&failed)? {
            let row: String = found.try_get(0).map_err(&failed)?;
            let hour: i64 = found.try_get(1).map_err(&failed)?;
            let records: i64 = found.try_get(2).map_err(&failed)?;
            let sealed: String = found.try_get(3).map_err(&failed)?;
            let LossCell { input, source, rejected, reason } =
                cell::open(&self.sealer, Place { table: LOSSES, row: &row }, &sealed)?;
            let hour = Timestamp::from_seconds(hour.saturating_mul(HOUR_SECONDS));
            losses.push(Loss { hour, input, source, rejected, reason, records: records.unsigned_abs() });
        }
        Ok(losses)
    }
}

async fn forget_surplus(connection: &mut AnyConnection, keep: usize) -> Result<(), CatalogError> {
    let failed = CatalogError::database("forget what was lost long ago");
    let count = sqlx::query("SELECT COUNT(*) FROM losses").fetch_one(&mut *connection).await.map_err(&failed)?;
    let surplus = count.try_get::<i64, _>(0).map_err(&failed)? - i64::try_from(keep).unwrap_or(i64::MAX);
    if surplus > 0 {
        const SQL: &str = "DELETE FROM losses WHERE row IN (SELECT row FROM losses ORDER BY hour, row LIMIT $1)";
        sqlx::query(SQL).bind(surplus).execute(connection).await.map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Temporary;

    fn loss(second: i64, source: &str, rejected: bool, reason: &str, records: u64) -> Loss {
        Loss {
            hour: Timestamp::from_seconds(second),
            input: "tcp".to_owned(),
            source: source.to_owned(),
            rejected,
            reason: reason.to_owned(),
            records,
        }
    }

    #[tokio::test]
    async fn losses_of_an_hour_add_up_by_source_and_reason() {
        let it = Temporary::new().await;
        let written = [loss(3_700, "a", true, "too_long", 3), loss(3_900, "a", true, "too_long", 4)];
        it.catalog.add_losses(&written).await.unwrap();
        it.catalog
            .add_losses(&[loss(7_100, "a", true, "too_long", 1), loss(7_300, "a", false, "busy", 5)])
            .await
            .unwrap();
        it.catalog.add_losses(&[loss(3_650, "b", true, "too_long", 9)]).await.unwrap();
        let mut found = it.catalog.losses(Timestamp(0)).await.unwrap();
        found.sort_by(|a, b| (a.hour, &a.source).cmp(&(b.hour, &b.source)));
        let expected = [
            loss(3_600, "a", true, "too_long", 8),
            loss(3_600, "b", true, "too_long", 9),
            loss(7_200, "a", false, "busy", 5),
        ];
        assert_eq!(found, expected);
        assert_eq!(it.catalog.losses(Timestamp::from_seconds(8_000)).await.unwrap().len(), 1);
        assert!(it.catalog.losses(Timestamp::from_seconds(10_800)).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_oldest_hours_go_when_there_are_too_many() {
        let it = Temporary::new().await;
        let losses: Vec<Loss> = (0..10).map(|hour| loss(hour * 3_600, "a", false, "busy", 1)).collect();
        it.catalog.add_losses(&losses).await.unwrap();
        let mut transaction = it.catalog.write().await.unwrap();
        forget_surplus(&mut transaction, 4).await.unwrap();
        transaction.commit().await.unwrap();
        let left = it.catalog.losses(Timestamp(0)).await.unwrap();
        assert_eq!(left.iter().map(|it| it.hour.as_seconds() / 3_600).collect::<Vec<_>>(), [6, 7, 8, 9]);
    }

    #[tokio::test]
    async fn nobody_reads_a_source_without_the_key() {
        let it = Temporary::new().await;
        it.catalog.add_losses(&[loss(0, "/var/log/secret-project.log", false, "busy", 1)]).await.unwrap();
        it.catalog.close().await;
        let bytes = std::fs::read(it.path()).unwrap();
        assert!(!bytes.windows(14).any(|it| it == b"secret-project"));
    }
}
