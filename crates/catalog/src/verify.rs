//! Whether everything in the catalogue can be read.

use sqlx::Row as _;

use crate::alerts::{ALERTS, HISTORY};
use crate::cell::{self, Place};
use crate::fold::POSITIONS;
use crate::losses::LOSSES;
use crate::{Catalog, CatalogError};

/// How many problems are told; further ones are left out.
const PROBLEMS_MAX: usize = 1_000;
/// How many rows are read at a time.
const PAGE_ROWS: i64 = 500;

/// Each table with sealed cells, and its rows after one, in order: what a cell is bound to, and the cell.
const TABLES: [(&str, &str); 4] = [
    (ALERTS, "SELECT id, sealed FROM alerts WHERE id > $1 ORDER BY id LIMIT $2"),
    (
        HISTORY,
        "SELECT alert_id || '/' || sequence AS place, sealed FROM alert_history WHERE alert_id || '/' || sequence > $1 \
         ORDER BY alert_id || '/' || sequence LIMIT $2",
    ),
    (POSITIONS, "SELECT source, sealed FROM positions WHERE source > $1 ORDER BY source LIMIT $2"),
    (LOSSES, "SELECT row, sealed FROM losses WHERE row > $1 ORDER BY row LIMIT $2"),
];

/// What a look at everything found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogCheck {
    /// Rows with a sealed cell.
    pub rows: u64,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

impl Catalog {
    /// Lets the database check its file, and opens every sealed cell. Numbers and times that stand in clear are bound to
    /// nothing: that somebody with access to the file changed one does not show.
    pub async fn verify(&self) -> Result<CatalogCheck, CatalogError> {
        let failed = CatalogError::database("verify it");
        let mut check = CatalogCheck::default();
        let mut transaction = self.read().await?;
        let found = sqlx::query("PRAGMA integrity_check").fetch_all(&mut *transaction).await.map_err(&failed)?;
        for row in found {
            let text: String = row.try_get(0).map_err(&failed)?;
            if text != "ok" {
                check.tell(text);
            }
        }
        for (table, sql) in TABLES {
            let mut after = String::new();
            loop {
                let page = sqlx::query(sql).bind(after.as_str()).bind(PAGE_ROWS).fetch_all(&mut *transaction).await;
                let page = page.map_err(&failed)?;
                if page.is_empty() {
                    break;
                }
                for row in page {
                    let place: String = row.try_get(0).map_err(&failed)?;
                    let sealed: String = row.try_get(1).map_err(&failed)?;
                    check.rows += 1;
                    let opened = cell::open::<serde_json::Value>(&self.sealer, Place { table, row: &place }, &sealed);
                    if let Err(error) = opened {
                        check.tell(error.to_string());
                    }
                    after = place;
                }
            }
        }
        Ok(check)
    }
}

impl CatalogCheck {
    fn tell(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SourcePosition;
    use crate::testing::{NOW, Temporary, alert, updates};

    async fn filled() -> Temporary {
        let temporary = Temporary::new().await;
        let alerts: Vec<_> = (0..1_100).map(|n| alert(n, "203.0.113.9", 5)).collect();
        let position = SourcePosition { source: "a#1".into(), identity: "x".into(), position: 7 };
        let frame = panoptes_model::FrameId(1);
        temporary.catalog.commit_fold(frame, NOW, &updates(&alerts), &[position]).await.unwrap();
        let id = alerts[3].id.to_string();
        temporary.catalog.note(&id, "looked at it", "alice", NOW).await.unwrap();
        temporary
    }

    #[tokio::test]
    async fn what_nobody_changed_opens() {
        let check = filled().await.catalog.verify().await.unwrap();
        assert_eq!(check, CatalogCheck { rows: 1_102, problems: Vec::new() });
    }

    #[tokio::test]
    async fn cells_that_were_changed_or_exchanged_are_told_by_row() {
        let temporary = filled().await;
        let mut transaction = temporary.catalog.write().await.unwrap();
        for sql in [
            "UPDATE positions SET sealed = 'AAAA'",
            "UPDATE alert_history SET sequence = sequence + 1",
            "UPDATE alerts SET sealed = (SELECT sealed FROM alerts ORDER BY id DESC LIMIT 1) WHERE id = (SELECT MIN(id) FROM alerts)",
        ] {
            sqlx::query(sql).execute(&mut *transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
        let check = temporary.catalog.verify().await.unwrap();
        let told = |table: &str| check.problems.iter().filter(|it| it.contains(&format!("table {table} "))).count();
        assert_eq!((told("alerts"), told("alert_history"), told("positions")), (1, 1, 1), "{:?}", check.problems);
        assert_eq!((check.rows, check.problems.len()), (1_102, 3));
    }
}
