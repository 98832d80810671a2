//! What the tests of this crate share.

use std::path::PathBuf;
use std::sync::Arc;

use panoptes_model::{
    Alert, AlertId, AlertUpdate, Entity, EventId, FindingOrigin, FrameId, RuleSummary, Severity, Timestamp,
};
use panoptes_seal::KeyEncryptionKey;
use tempfile::TempDir;

use crate::{Catalog, OpenMode};

/// The clock of most tests.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_000);

pub(crate) fn key(byte: u8) -> KeyEncryptionKey {
    KeyEncryptionKey::from_bytes([byte; 32])
}

/// A catalogue in a folder that goes with it.
pub(crate) struct Temporary {
    pub(crate) catalog: Catalog,
    pub(crate) folder: TempDir,
}

impl Temporary {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Catalog::FILE_NAME);
        let catalog = Catalog::open(&path, &key(1), OpenMode::Create).await.unwrap();
        Self { catalog, folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join(Catalog::FILE_NAME)
    }

    /// Folds `alerts` as frame `frame` and hands back what that changed.
    pub(crate) async fn fold(&self, frame: u64, alerts: &[Alert]) -> crate::FoldOutcome {
        self.catalog.commit_fold(FrameId(frame), NOW, &updates(alerts), &[]).await.unwrap()
    }
}

pub(crate) fn updates(alerts: &[Alert]) -> Vec<AlertUpdate> {
    alerts.iter().map(|it| AlertUpdate { alert: it.clone(), opened: it.findings == 1 }).collect()
}

pub(crate) fn entity(field: &str, value: &str) -> Entity {
    Entity { field: field.to_owned(), value: value.to_owned() }
}

/// An alert about `who` whose newest event was at `second`.
pub(crate) fn alert(id: u128, who: &str, second: i64) -> Alert {
    Alert {
        id: AlertId(id),
        rule: Arc::new(RuleSummary {
            id: "auth.password_guessing".to_owned(),
            title: "Password guessing".to_owned(),
            level: Severity::High,
            tags: vec!["attack.t1110".to_owned()],
        }),
        entities: vec![entity("source.ip", who), entity("user.name", "root")],
        context: vec![entity("host.name", "web1.example.org")],
        first_seen: Timestamp::from_seconds(second - 10),
        last_seen: Timestamp::from_seconds(second),
        opened_at: Timestamp::from_seconds(900),
        count: 5,
        findings: 1,
        events: vec![EventId { frame: FrameId(1), index: 3 }],
        sample: format!("Failed password for root from {who}"),
        reason: "5 failures in 60 seconds".to_owned(),
        source: "/var/log/auth.log".to_owned(),
        origin: FindingOrigin::Live,
    }
}

/// The same alert, seen again.
pub(crate) fn again(alert: &Alert, second: i64) -> Alert {
    let last_seen = Timestamp::from_seconds(second);
    Alert { last_seen, count: alert.count + 2, findings: alert.findings + 1, ..alert.clone() }
}

/// An id that begins with `digits`.
pub(crate) fn id(digits: &str) -> u128 {
    u128::from_str_radix(&format!("{digits:0<32}"), 16).unwrap()
}
