//! A layer for the ATT&CK Navigator (layer format 4.5): <https://mitre-attack.github.io/attack-navigator/>.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::attack::{VERSION, parent};
use super::{Coverage, Covered};

/// How many titles the comment of a technique names.
const TITLES_MAX: usize = 20;

/// The layer: the score of a technique is the number of rules that can find it.
pub(super) fn layer(coverage: &Coverage, made_at: &str) -> Value {
    let most = coverage.techniques.values().map(|it| it.rules.len()).max().unwrap_or(1).max(1);
    let mut techniques: Vec<Value> = Vec::new();
    let mut opened: BTreeSet<&str> = BTreeSet::new();
    for (id, covered) in &coverage.techniques {
        if *id != parent(id) {
            opened.insert(parent(id));
        }
        let mut entry = json!({
            "techniqueID": id,
            "score": covered.rules.len(),
            "color": "",
            "comment": comment(covered),
            "enabled": true,
            "metadata": [],
            "links": [],
            "showSubtechniques": is_opened(coverage, id),
        });
        if covered.rules.is_empty()
            && let Value::Object(entry) = &mut entry
        {
            // Not nothing: there are rules, but none of them can fire.
            entry.insert("color".to_owned(), json!("#d9d9d9"));
            entry.remove("score");
        }
        techniques.push(entry);
    }
    // Sub-techniques are hidden in the matrix until their technique is unfolded.
    for id in opened.into_iter().filter(|it| !coverage.techniques.contains_key(it)) {
        techniques.push(json!({ "techniqueID": id, "enabled": true, "showSubtechniques": true }));
    }
    json!({
        "name": "Panoptes",
        "versions": { "attack": VERSION, "navigator": "5.1.0", "layer": "4.5" },
        "domain": "enterprise-attack",
        "description": format!("Techniques that the rules in force can find, {made_at}. The score is the number of rules."),
        "sorting": 3,
        "layout": {
            "layout": "side", "aggregateFunction": "sum", "showID": true, "showName": true,
            "showAggregateScores": true, "countUnscored": false, "expandedSubtechniques": "annotated",
        },
        "hideDisabled": false,
        "techniques": techniques,
        "gradient": { "colors": ["#cfe8ff", "#2171b5"], "minValue": 1, "maxValue": most.max(2) },
        "legendItems": [{ "label": "only rules that cannot fire", "color": "#d9d9d9" }],
        "metadata": [],
        "links": [],
        "showTacticRowBackground": true,
        "tacticRowBackground": "#dddddd",
        "selectTechniquesAcrossTactics": true,
        "selectSubtechniquesWithParent": false,
        "selectVisibleTechniques": false,
    })
}

fn is_opened(coverage: &Coverage, id: &str) -> bool {
    coverage.techniques.keys().any(|it| *it != id && parent(it) == id)
}

fn comment(covered: &Covered) -> String {
    let mut titles: Vec<&str> = covered.rules.iter().map(|it| it.title.as_str()).collect();
    titles.sort_unstable();
    let hidden = titles.len().saturating_sub(TITLES_MAX);
    titles.truncate(TITLES_MAX);
    let mut text = titles.join("\n");
    if hidden > 0 {
        text.push_str(&format!("\n… and {hidden} more"));
    }
    if covered.silent > 0 {
        let line = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!("{line}{} more rules cannot fire", covered.silent));
    }
    text
}
