use super::*;
use crate::HistoryEntry;
use crate::testing::{NOW, Temporary, alert, id};

const LATER: Timestamp = Timestamp::from_seconds(2_000);

async fn with_one_alert() -> Temporary {
    let temporary = Temporary::new().await;
    temporary.fold(1, &[alert(id("f00d"), "a", 100)]).await;
    temporary
}

#[tokio::test]
async fn an_alert_lives_from_open_to_resolved_and_its_history_says_how() {
    let temporary = with_one_alert().await;
    let catalog = &temporary.catalog;
    let taken = catalog.acknowledge("f00d", None, "ada", NOW).await.unwrap();
    assert_eq!((taken.state, taken.assignee.as_deref()), (AlertState::Acknowledged, Some("ada")));
    catalog.note("f00d", "looks real", "bob", NOW).await.unwrap();
    let done = catalog.resolve("f00d", Resolution::TruePositive, Some("blocked"), "bob", LATER).await.unwrap();
    assert_eq!((done.state, done.resolution), (AlertState::Resolved, Some(Resolution::TruePositive)));
    assert_eq!((done.acknowledged_at, done.resolved_at, done.changed_at), (Some(NOW), Some(LATER), LATER));
    assert_eq!(done.assignee.as_deref(), Some("ada"), "who took it on keeps it");

    let details = catalog.alert("f00d").await.unwrap();
    assert_eq!(details.record, done);
    let entry = |at, kind, actor: &str, resolution, note: Option<&str>| HistoryEntry {
        at,
        kind,
        actor: Some(actor.to_owned()),
        resolution,
        note: note.map(str::to_owned),
    };
    let expected = [
        entry(NOW, HistoryKind::Acknowledged, "ada", None, None),
        entry(NOW, HistoryKind::Note, "bob", None, Some("looks real")),
        entry(LATER, HistoryKind::Resolved, "bob", Some(Resolution::TruePositive), Some("blocked")),
    ];
    assert_eq!(details.history, expected);
}

#[tokio::test]
async fn a_reopened_alert_is_nobodys_and_keeps_when_it_was_first_taken_on() {
    let temporary = with_one_alert().await;
    let catalog = &temporary.catalog;
    catalog.resolve("f00d", Resolution::Benign, None, "ada", NOW).await.unwrap();
    let open = catalog.reopen("f00d", Some("not so benign"), "bob", LATER).await.unwrap();
    assert_eq!((open.state, open.resolution, open.resolved_at, open.assignee), (AlertState::Open, None, None, None));
    assert_eq!(open.acknowledged_at, Some(NOW), "who resolves has taken it on");
    let last = catalog.alert("f00d").await.unwrap().history.pop().unwrap();
    assert_eq!((last.kind, last.resolution), (HistoryKind::Reopened, Some(Resolution::Benign)));
    let taken = catalog.acknowledge("f00d", None, "bob", LATER).await.unwrap();
    assert_eq!((taken.acknowledged_at, taken.assignee.as_deref()), (Some(NOW), Some("bob")));
}

#[tokio::test]
async fn actions_that_make_no_sense_are_refused_and_leave_no_trace() {
    let temporary = with_one_alert().await;
    let catalog = &temporary.catalog;
    let error = catalog.reopen("f00d", None, "ada", NOW).await.unwrap_err();
    assert_eq!(error.to_string(), "alert f00d0000000000000000000000000000 is open, so it cannot be reopened");
    catalog.resolve("f00d", Resolution::Benign, None, "ada", NOW).await.unwrap();
    let error = catalog.acknowledge("f00d", None, "bob", NOW).await.unwrap_err();
    assert!(error.to_string().ends_with("is resolved, so it cannot be acknowledged; reopen it first"), "{error}");
    assert_eq!(catalog.alert("f00d").await.unwrap().history.len(), 1);
    // To resolve again is to think better of it.
    let better = catalog.resolve("f00d", Resolution::Duplicate, None, "bob", LATER).await.unwrap();
    assert_eq!((better.resolution, better.resolved_at), (Some(Resolution::Duplicate), Some(LATER)));
}

#[tokio::test]
async fn notes_and_names_are_bounded() {
    let temporary = with_one_alert().await;
    let catalog = &temporary.catalog;
    let fits = "n".repeat(NOTE_BYTES_MAX);
    catalog.note("f00d", &fits, &"a".repeat(ACTOR_BYTES_MAX), NOW).await.unwrap();
    assert_eq!(catalog.alert("f00d").await.unwrap().history[0].note.as_deref(), Some(fits.as_str()));
    for (note, actor) in [(NOTE_BYTES_MAX + 1, 1), (1, ACTOR_BYTES_MAX + 1)] {
        let error = catalog.note("f00d", &"n".repeat(note), &"a".repeat(actor), NOW).await.unwrap_err();
        assert!(matches!(error, CatalogError::TextTooLong { .. }), "{error}");
    }
    assert_eq!(catalog.alert("f00d").await.unwrap().history.len(), 1);
}

#[tokio::test]
async fn a_long_history_is_read_from_its_newest_end() {
    let temporary = with_one_alert().await;
    let catalog = &temporary.catalog;
    let id = format!("{:032x}", id("f00d"));
    let mut transaction = catalog.write().await.unwrap();
    for n in 0..crate::HISTORY_READ_MAX + 5 {
        let cell = HistoryCell { kind: HistoryKind::Note, actor: None, resolution: None, note: Some(n.to_string()) };
        append_history(&catalog.sealer, &mut transaction, &id, NOW, &cell).await.unwrap();
    }
    transaction.commit().await.unwrap();
    let history = catalog.alert("f00d").await.unwrap().history;
    assert_eq!(history.len(), crate::HISTORY_READ_MAX);
    assert_eq!((history[0].note.as_deref(), history.last().unwrap().note.as_deref()), (Some("5"), Some("1004")));
}
