use panoptes_model::Timestamp;

use super::*;
use crate::testing::{NOW, Temporary, alert, entity, id};

/// The first four digits of the ids that `filter` lists.
async fn listed(temporary: &Temporary, filter: AlertFilter) -> Vec<String> {
    let records = temporary.catalog.list_alerts(&filter).await.unwrap();
    records.iter().map(|it| it.alert.id.to_string().chars().take(4).collect()).collect()
}

async fn with_five_alerts() -> Temporary {
    let temporary = Temporary::new().await;
    let rule = |rule_id: &str, level| {
        Arc::new(RuleSummary { id: rule_id.to_owned(), title: String::new(), level, tags: Vec::new() })
    };
    let alerts = [
        alert(id("aaaa"), "203.0.113.1", 100),
        alert(id("bbbb"), "203.0.113.2", 200),
        Alert { rule: rule("web.sql_injection", Severity::Critical), ..alert(id("cccc"), "203.0.113.1", 300) },
        Alert { rule: rule("su.failure", Severity::Low), ..alert(id("dddd"), "203.0.113.3", 400) },
        Alert { rule: rule("sudo", Severity::Informational), entities: Vec::new(), ..alert(id("eeee"), "", 500) },
    ];
    temporary.fold(1, &alerts).await;
    temporary.catalog.acknowledge("bbbb", None, "ada", NOW).await.unwrap();
    temporary.catalog.resolve("dddd", Resolution::Benign, None, "ada", NOW).await.unwrap();
    temporary
}

#[tokio::test]
async fn lists_are_newest_first_and_every_condition_narrows_them() {
    let temporary = with_five_alerts().await;
    let all = AlertFilter::default();
    let seconds = |it| Some(Timestamp::from_seconds(it));
    let pair = |field: &str, value: &str| Some((field.to_owned(), value.to_owned()));
    let cases = [
        (all.clone(), "eeee dddd cccc bbbb aaaa"),
        (AlertFilter { limit: 2, ..all.clone() }, "eeee dddd"),
        (AlertFilter { limit: 0, ..all.clone() }, ""),
        (AlertFilter { states: vec![AlertState::Open], ..all.clone() }, "eeee cccc aaaa"),
        (AlertFilter { states: vec![AlertState::Acknowledged, AlertState::Resolved], ..all.clone() }, "dddd bbbb"),
        (AlertFilter { min_level: Some(Severity::High), ..all.clone() }, "cccc bbbb aaaa"),
        (AlertFilter { min_level: Some(Severity::Informational), ..all.clone() }, "eeee dddd cccc bbbb aaaa"),
        (AlertFilter { rule: Some("su.failure".to_owned()), ..all.clone() }, "dddd"),
        (AlertFilter { entity: pair("source.ip", "203.0.113.1"), ..all.clone() }, "cccc aaaa"),
        (AlertFilter { entity: pair("user.name", "root"), ..all.clone() }, "dddd cccc bbbb aaaa"),
        (AlertFilter { entity: pair("user.name", "203.0.113.1"), ..all.clone() }, ""),
        (AlertFilter { entity: pair("source.i", "p203.0.113.1"), ..all.clone() }, ""),
        (AlertFilter { since: seconds(300), ..all.clone() }, "eeee dddd cccc"),
        // They begin ten seconds before their newest event.
        (AlertFilter { until: seconds(190), ..all.clone() }, "bbbb aaaa"),
        (AlertFilter { since: seconds(195), until: seconds(195), ..all.clone() }, "bbbb"),
        (
            AlertFilter {
                states: vec![AlertState::Open],
                min_level: Some(Severity::High),
                rule: Some("auth.password_guessing".to_owned()),
                entity: pair("source.ip", "203.0.113.1"),
                since: seconds(1),
                until: seconds(1_000),
                limit: 10,
            },
            "aaaa",
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(listed(&temporary, filter.clone()).await.join(" "), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn a_filter_is_data_and_never_sql() {
    let temporary = with_five_alerts().await;
    for text in ["' OR 1=1 --", "$1", "?", "\"; DROP TABLE alerts; --", "\0"] {
        let filter = AlertFilter { rule: Some(text.to_owned()), ..AlertFilter::default() };
        assert!(listed(&temporary, filter).await.is_empty());
    }
    assert_eq!(listed(&temporary, AlertFilter::default()).await.len(), 5);
}

#[tokio::test]
async fn a_list_has_at_most_so_many_alerts_whatever_is_asked_for() {
    let temporary = Temporary::new().await;
    let mut transaction = temporary.catalog.write().await.unwrap();
    for n in 0..=LIST_MAX {
        let id = format!("{n:032x}");
        let cell = AlertCell {
            title: String::new(),
            tags: Vec::new(),
            entities: Vec::new(),
            context: vec![entity("a", "b")],
            events: Vec::new(),
            sample: String::new(),
            reason: String::new(),
            source: String::new(),
            assignee: None,
        };
        let sealed = cell::seal(&temporary.catalog.sealer, Place { table: ALERTS, row: &id }, &cell).unwrap();
        let sql = "INSERT INTO alerts (id, rule_id, level, state, origin, event_count, finding_count, first_seen_at, \
                   last_seen_at, opened_at, changed_at, sealed) VALUES ($1, '', 0, 'open', 'live', 1, 1, 0, 0, 0, 0, $2)";
        sqlx::query(sql).bind(id).bind(sealed).execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
    let filter = AlertFilter { limit: usize::MAX, ..AlertFilter::default() };
    assert_eq!(temporary.catalog.list_alerts(&filter).await.unwrap().len(), LIST_MAX);
}

#[tokio::test]
async fn an_alert_is_found_by_its_id_or_by_enough_of_its_first_digits() {
    let temporary = Temporary::new().await;
    let alerts = [alert(id("abcd1"), "a", 1), alert(id("abcd2"), "b", 2), alert(id("00ff"), "c", 3)];
    temporary.fold(1, &alerts).await;
    let found = |text: &'static str| {
        let catalog = temporary.catalog.clone();
        async move { catalog.alert(text).await.map(|it| it.record.alert.id.0) }
    };
    assert_eq!(found("abcd1").await.unwrap(), id("abcd1"));
    assert_eq!(found("ABCD2").await.unwrap(), id("abcd2"));
    assert_eq!(found("00ff0000000000000000000000000000").await.unwrap(), id("00ff"));
    let error = found("abcd").await.unwrap_err();
    assert_eq!(error.to_string(), "`abcd` begins several alert ids (abcd1000, abcd2000); give more digits");
    assert!(matches!(found("abce").await, Err(CatalogError::AlertUnknown { .. })));
    for text in ["", "abc", "abcg", "ab-d", "%", "abcd_", "ａｂｃｄ", "00ff00000000000000000000000000000"] {
        assert!(matches!(found(text).await, Err(CatalogError::IdMalformed { .. })), "{text}");
    }
    // Actions name alerts the same way.
    assert!(matches!(
        temporary.catalog.acknowledge("abcd", None, "ada", NOW).await,
        Err(CatalogError::AlertAmbiguous { .. })
    ));
}

#[tokio::test]
async fn a_row_with_an_unknown_word_is_told_and_not_guessed() {
    let temporary = with_five_alerts().await;
    let mut transaction = temporary.catalog.write().await.unwrap();
    sqlx::query("UPDATE alerts SET state = 'closed' WHERE id LIKE 'aaaa%'").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    let error = temporary.catalog.alert("aaaa").await.unwrap_err();
    assert!(matches!(error, CatalogError::RowDamaged { column: "state", .. }), "{error}");
}
