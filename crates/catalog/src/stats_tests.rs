use std::sync::Arc;

use panoptes_model::{Alert, FrameId, RuleSummary};

use super::*;
use crate::testing::{Temporary, alert, entity, id, updates};

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(second)
}

#[tokio::test]
async fn an_empty_catalogue_has_figures_too() {
    let temporary = Temporary::new().await;
    let stats = temporary.catalog.stats(None).await.unwrap();
    assert_eq!((stats.alerts, stats.events), (0, 0));
    assert_eq!((stats.by_level.len(), stats.by_state.len(), stats.by_resolution.len()), (5, 3, 4));
    assert!(stats.by_rule.is_empty() && stats.top_entities.is_empty());
    assert_eq!((stats.mean_seconds_to_acknowledge, stats.mean_seconds_to_resolve), (None, None));
}

#[tokio::test]
async fn figures_count_alerts_and_events_by_everything() {
    let temporary = Temporary::new().await;
    let catalog = &temporary.catalog;
    let rule =
        RuleSummary { id: "su".to_owned(), title: "su failed".to_owned(), level: Severity::Low, tags: Vec::new() };
    // All are opened at second 900.
    let alerts = [
        Alert { count: 1, ..alert(id("aaaa"), "203.0.113.1", 100) },
        Alert { count: 10, ..alert(id("bbbb"), "203.0.113.1", 200) },
        Alert { count: 100, ..alert(id("cccc"), "203.0.113.2", 300) },
        Alert { count: 1_000, rule: Arc::new(rule), ..alert(id("dddd"), "203.0.113.1", 400) },
    ];
    catalog.commit_fold(FrameId(1), at(900), &updates(&alerts), &[]).await.unwrap();
    catalog.acknowledge("aaaa", None, "ada", at(910)).await.unwrap();
    catalog.resolve("bbbb", Resolution::TruePositive, None, "ada", at(930)).await.unwrap();
    catalog.resolve("cccc", Resolution::FalsePositive, None, "ada", at(950)).await.unwrap();

    let stats = catalog.stats(None).await.unwrap();
    assert_eq!((stats.alerts, stats.events), (4, 1_111));
    let nonzero = |it: &[(Severity, u64)]| it.iter().filter(|it| it.1 > 0).copied().collect::<Vec<_>>();
    assert_eq!(nonzero(&stats.by_level), [(Severity::Low, 1), (Severity::High, 3)]);
    assert_eq!(stats.by_state, [(AlertState::Open, 1), (AlertState::Acknowledged, 1), (AlertState::Resolved, 2)]);
    assert_eq!(stats.by_resolution[..2], [(Resolution::TruePositive, 1), (Resolution::FalsePositive, 1)]);
    let rules: Vec<_> =
        stats.by_rule.iter().map(|it| (it.rule_id.as_str(), it.title.as_str(), it.alerts, it.events)).collect();
    assert_eq!(rules, [("auth.password_guessing", "Password guessing", 3, 111), ("su", "su failed", 1, 1_000)]);
    let count = |entity, alerts, events| EntityCount { entity, alerts, events };
    let expected = [
        count(entity("user.name", "root"), 4, 1_111),
        count(entity("source.ip", "203.0.113.1"), 3, 1_011),
        count(entity("source.ip", "203.0.113.2"), 1, 100),
    ];
    assert_eq!(stats.top_entities, expected);
    // Acknowledged after 10, 30 and 50 seconds; resolved after 30 and 50.
    assert_eq!((stats.mean_seconds_to_acknowledge, stats.mean_seconds_to_resolve), (Some(30.0), Some(40.0)));

    let since = catalog.stats(Some(at(300))).await.unwrap();
    assert_eq!((since.alerts, since.events, since.mean_seconds_to_resolve), (2, 1_100, Some(50.0)));
}

#[tokio::test]
async fn only_so_many_rules_and_entities_are_named() {
    let temporary = Temporary::new().await;
    let many: Vec<_> = (1..=TOP_MAX as u128 + 5)
        .map(|n| {
            let rule =
                RuleSummary { id: format!("r{n}"), title: String::new(), level: Severity::Low, tags: Vec::new() };
            Alert { rule: Arc::new(rule), ..alert(n, &format!("host{n}"), 100) }
        })
        .collect();
    temporary.fold(1, &many).await;
    let stats = temporary.catalog.stats(None).await.unwrap();
    assert_eq!((stats.by_rule.len(), stats.top_entities.len()), (TOP_MAX, TOP_MAX));
    assert_eq!(stats.alerts, TOP_MAX as u64 + 5);
    assert_eq!(stats.top_entities[0].entity, entity("user.name", "root"));
}
