use panoptes_model::Alert;

use super::*;
use crate::testing::{NOW, Temporary, again, alert, id, key, updates};
use crate::{AlertFilter, AlertRecord, OpenMode, blocking};

async fn only(temporary: &Temporary) -> AlertRecord {
    let records = temporary.catalog.list_alerts(&AlertFilter::default()).await.unwrap();
    assert_eq!(records.len(), 1);
    records.into_iter().next().unwrap()
}

#[tokio::test]
async fn an_alert_reads_back_as_it_was_written() {
    let temporary = Temporary::new().await;
    let written = alert(id("f00d"), "203.0.113.9", 100);
    let outcome = temporary.fold(1, std::slice::from_ref(&written)).await;
    assert_eq!(outcome, FoldOutcome { applied: true, opened: vec![written.id], reopened: Vec::new() });
    let record = only(&temporary).await;
    assert_eq!(record.alert, written);
    assert_eq!((record.state, record.resolution, record.assignee), (AlertState::Open, None, None));
    assert_eq!((record.acknowledged_at, record.resolved_at, record.changed_at), (None, None, NOW));
}

#[tokio::test]
async fn later_updates_move_the_counters_and_open_nothing() {
    let temporary = Temporary::new().await;
    let first = alert(7, "a", 100);
    let second = Alert { sample: "newer".to_owned(), ..again(&first, 300) };
    temporary.fold(1, std::slice::from_ref(&first)).await;
    let outcome = temporary.fold(2, std::slice::from_ref(&second)).await;
    assert_eq!((outcome.applied, outcome.opened.len()), (true, 0));
    assert_eq!(only(&temporary).await.alert, second);
}

#[tokio::test]
async fn frames_that_were_folded_before_change_nothing() {
    let temporary = Temporary::new().await;
    assert_eq!(temporary.catalog.folded_through().await.unwrap(), FrameId(0));
    let first = alert(7, "a", 100);
    temporary.fold(5, std::slice::from_ref(&first)).await;
    assert_eq!(temporary.catalog.folded_through().await.unwrap(), FrameId(5));
    for frame in [0, 4, 5] {
        let position = SourcePosition { source: "s".to_owned(), identity: String::new(), position: 1 };
        let stale = updates(&[again(&first, 400), alert(8, "b", 100)]);
        let outcome = temporary.catalog.commit_fold(FrameId(frame), NOW, &stale, &[position]).await.unwrap();
        assert_eq!(outcome, FoldOutcome::default());
    }
    assert_eq!(only(&temporary).await.alert, first);
    assert!(temporary.catalog.positions().await.unwrap().is_empty());
    assert_eq!(temporary.catalog.folded_through().await.unwrap(), FrameId(5));
}

#[tokio::test]
async fn a_replay_that_is_cut_differently_tells_nobody_twice_and_reopens_nothing() {
    let temporary = Temporary::new().await;
    let first = alert(id("f00d"), "a", 100);
    let second = again(&first, 200);
    temporary.fold(2, &[first.clone(), second.clone()]).await;
    let catalog = &temporary.catalog;
    catalog.resolve("f00d", Resolution::TruePositive, None, "ada", NOW).await.unwrap();
    // After a crash, frames 1 to 3 come in one batch; frame 3 opens another alert.
    let outcome = temporary.fold(3, &[first, second.clone(), alert(9, "b", 300)]).await;
    assert_eq!((outcome.opened, outcome.reopened), (vec![AlertId(9)], Vec::new()));
    let details = catalog.alert("f00d").await.unwrap();
    assert_eq!((details.record.state, details.history.len()), (AlertState::Resolved, 1));
    assert_eq!(details.record.alert, second);
}

#[tokio::test]
async fn an_alert_resolved_as_true_reopens_when_it_is_seen_again() {
    for resolution in [Resolution::TruePositive, Resolution::Duplicate] {
        let temporary = Temporary::new().await;
        let first = alert(id("f00d"), "a", 100);
        temporary.fold(1, std::slice::from_ref(&first)).await;
        temporary.catalog.resolve("f00d", resolution, None, "ada", NOW).await.unwrap();
        let outcome = temporary.fold(2, &[again(&first, 200)]).await;
        assert_eq!(outcome.reopened, [first.id]);
        let details = temporary.catalog.alert("f00d").await.unwrap();
        let record = &details.record;
        assert_eq!((record.state, record.resolution, record.resolved_at), (AlertState::Open, None, None));
        assert_eq!((record.alert.findings, record.assignee.as_deref()), (2, Some("ada")));
        let last = details.history.last().unwrap();
        assert_eq!((last.kind, last.actor.as_ref(), last.resolution), (HistoryKind::Reopened, None, Some(resolution)));
    }
}

#[tokio::test]
async fn an_alert_found_harmless_stays_resolved_and_only_counts() {
    for resolution in [Resolution::FalsePositive, Resolution::Benign] {
        let temporary = Temporary::new().await;
        let first = alert(id("f00d"), "a", 100);
        temporary.fold(1, std::slice::from_ref(&first)).await;
        temporary.catalog.resolve("f00d", resolution, None, "ada", NOW).await.unwrap();
        assert_eq!(temporary.fold(2, &[again(&first, 200)]).await.reopened, []);
        let record = only(&temporary).await;
        assert_eq!((record.state, record.resolution), (AlertState::Resolved, Some(resolution)));
        assert_eq!((record.alert.findings, record.alert.count), (2, 7));
    }
}

#[tokio::test]
async fn an_acknowledged_alert_that_is_seen_again_stays_whose_it_is() {
    let temporary = Temporary::new().await;
    let first = alert(id("f00d"), "a", 100);
    temporary.fold(1, std::slice::from_ref(&first)).await;
    temporary.catalog.acknowledge("f00d", None, "ada", NOW).await.unwrap();
    temporary.fold(2, &[again(&first, 200)]).await;
    let record = only(&temporary).await;
    assert_eq!((record.state, record.assignee.as_deref()), (AlertState::Acknowledged, Some("ada")));
}

#[tokio::test]
async fn a_fold_that_fails_leaves_nothing() {
    let temporary = Temporary::new().await;
    let mut transaction = temporary.catalog.write().await.unwrap();
    let trap = "CREATE TRIGGER trap BEFORE INSERT ON positions BEGIN SELECT RAISE(ABORT, 'no'); END";
    sqlx::raw_sql(trap).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    let position = SourcePosition { source: "s".to_owned(), identity: String::new(), position: 1 };
    let new = updates(&[alert(7, "a", 100)]);
    temporary.catalog.commit_fold(FrameId(1), NOW, &new, &[position]).await.unwrap_err();
    assert_eq!(temporary.catalog.folded_through().await.unwrap(), FrameId(0));
    assert!(temporary.catalog.list_alerts(&AlertFilter::default()).await.unwrap().is_empty());
    // And the connection is fit for the next.
    assert!(temporary.catalog.commit_fold(FrameId(1), NOW, &new, &[]).await.unwrap().applied);
}

#[tokio::test]
async fn positions_move_with_their_frames_and_can_be_forgotten() {
    let temporary = Temporary::new().await;
    let catalog = &temporary.catalog;
    let at = |source: &str, position| SourcePosition {
        source: source.to_owned(),
        identity: format!("{source}-inode"),
        position,
    };
    catalog.commit_fold(FrameId(1), NOW, &[], &[at("a", 1), at("b", 2)]).await.unwrap();
    catalog.commit_fold(FrameId(2), NOW, &[], &[at("a", 9)]).await.unwrap();
    let sorted = || async {
        let mut positions = catalog.positions().await.unwrap();
        positions.sort_by(|left, right| left.source.cmp(&right.source));
        positions
    };
    assert_eq!(sorted().await, [at("a", 9), at("b", 2)]);
    catalog.forget_positions(&["b", "never"]).await.unwrap();
    assert_eq!(sorted().await, [at("a", 9)]);
}

#[tokio::test]
async fn the_positions_written_longest_ago_are_forgotten_beyond_the_limit() {
    let temporary = Temporary::new().await;
    let catalog = &temporary.catalog;
    for frame in 1..=6 {
        let position = SourcePosition { source: format!("s{frame}"), identity: String::new(), position: frame };
        catalog.commit_fold(FrameId(frame), NOW, &[], &[position]).await.unwrap();
    }
    let mut transaction = catalog.write().await.unwrap();
    forget_surplus(&mut transaction, 2).await.unwrap();
    transaction.commit().await.unwrap();
    let mut kept: Vec<_> = catalog.positions().await.unwrap().into_iter().map(|it| it.source).collect();
    kept.sort();
    assert_eq!(kept, ["s5", "s6"]);
}

#[tokio::test]
async fn counters_beyond_what_sql_can_hold_are_cut_to_it() {
    let temporary = Temporary::new().await;
    temporary
        .fold(1, &[Alert { count: u64::MAX, ..alert(7, "a", 100) }, Alert { count: u64::MAX, ..alert(8, "b", 1) }])
        .await;
    let records = temporary.catalog.list_alerts(&AlertFilter::default()).await.unwrap();
    assert!(records.iter().all(|it| it.alert.count == i64::MAX as u64));
    assert!(temporary.catalog.stats(None).await.unwrap().events > i64::MAX as u64, "the sum does not overflow");
}

/// The server folds while the command line acts on the same alert, each with connections of its own.
#[test]
fn two_processes_can_write_at_the_same_time_and_lose_nothing() {
    const FRAMES: u64 = 60;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.sqlite");
    let server = blocking::Catalog::open(&path, &key(1), OpenMode::Create).unwrap();
    let first = alert(id("f00d"), "a", 100);
    server.commit_fold(FrameId(1), NOW, &updates(std::slice::from_ref(&first)), &[]).unwrap();
    let people = std::thread::spawn(move || {
        let cli = blocking::Catalog::open(&path, &key(1), OpenMode::Existing).unwrap();
        for n in 0..FRAMES {
            cli.note("f00d", &format!("note {n}"), "ada", NOW).unwrap();
            cli.resolve("f00d", Resolution::TruePositive, None, "ada", NOW).unwrap();
        }
    });
    let (mut current, mut reopened) = (first, 0);
    for frame in 2..=FRAMES {
        current = again(&current, 100 + frame as i64);
        let update = updates(std::slice::from_ref(&current));
        reopened += server.commit_fold(FrameId(frame), NOW, &update, &[]).unwrap().reopened.len();
    }
    people.join().unwrap();
    let details = server.alert("f00d").unwrap();
    assert_eq!(details.record.alert, current);
    let of_kind = |kind| details.history.iter().filter(|it| it.kind == kind).count();
    assert_eq!(of_kind(HistoryKind::Note), FRAMES as usize);
    assert_eq!(of_kind(HistoryKind::Resolved), FRAMES as usize);
    assert_eq!(of_kind(HistoryKind::Reopened), reopened);
    let notes: Vec<_> = details.history.iter().filter_map(|it| it.note.clone()).collect();
    assert_eq!(notes, (0..FRAMES).map(|n| format!("note {n}")).collect::<Vec<_>>());
}
