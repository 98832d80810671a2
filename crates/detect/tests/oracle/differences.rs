//! Where we read a rule otherwise than `rsigma-eval` on purpose: the specification decides. `docs/sigma.md` has the
//! same list for rule writers.

use panoptes_detect::RuleFile;
use serde_json::{Value, json};

use crate::engines::{Ours, Theirs, parsed};

/// What each says of one event: we; `rsigma-eval`; and `rsigma-eval` when it is given what the specification means,
/// which is what the other comparisons hold against us (`None`: it cannot be told).
#[derive(Debug, PartialEq)]
struct Said {
    ours: bool,
    theirs: bool,
    specified: Option<bool>,
}

/// `selection` is the whole selection of a rule, or all of `detection` if it has a condition.
fn say(selection: &Value, line: &str) -> Said {
    let detection = match selection.get("condition") {
        Some(_) => selection.clone(),
        None => json!({ "selection": selection, "condition": "selection" }),
    };
    let text = json!({ "title": "t", "id": "t", "detection": detection }).to_string();
    let files = [RuleFile { path: "t.yml".to_owned(), text }];
    let (ours, errors) = Ours::compile(files.to_vec());
    assert!(errors.is_empty(), "{errors:?}");
    let rules = parsed(&files);
    let event = serde_json::from_str(line).unwrap();
    let said = Said {
        ours: !ours.ask_records([line])[0].is_empty(),
        theirs: !Theirs::as_they_are(&rules).ask_values(&event).is_empty(),
        specified: Some(!Theirs::compile(&rules).ask(line).is_empty()),
    };
    assert_eq!(!ours.ask_objects([line])[0].is_empty(), said.ours, "a source without a meaning changes nothing");
    said
}

/// We and the specification say `expected` of the event, `rsigma-eval` the opposite.
#[track_caller]
fn differs(selection: &Value, line: &str, expected: bool) {
    let wanted = Said { ours: expected, theirs: !expected, specified: Some(expected) };
    assert_eq!(say(selection, line), wanted, "{selection} on {line}");
}

/// The same where `rsigma-eval` cannot be made to say it.
#[track_caller]
fn differs_for_ever(selection: &Value, line: &str, expected: bool) {
    let wanted = Said { ours: expected, theirs: !expected, specified: None };
    assert_eq!(Said { specified: None, ..say(selection, line) }, wanted, "{selection} on {line}");
}

#[track_caller]
fn agrees(selection: &Value, line: &str, expected: bool) {
    let wanted = Said { ours: expected, theirs: expected, specified: Some(expected) };
    assert_eq!(say(selection, line), wanted, "{selection} on {line}");
}

#[test]
fn startswith_and_endswith_keep_their_end_when_a_value_has_wildcards() {
    differs(&json!({ "g1|startswith": "q*w" }), r#"{"g1":"qxwk"}"#, true);
    differs(&json!({ "g1|startswith": "q*w" }), r#"{"g1":"kqxw"}"#, false);
    differs(&json!({ "g1|endswith": "q*w" }), r#"{"g1":"kqxw"}"#, true);
    differs(&json!({ "g1|endswith": "q*w" }), r#"{"g1":"qxwk"}"#, false);
    agrees(&json!({ "g1|contains": "q*w" }), r#"{"g1":"kqxwk"}"#, true);
}

#[test]
fn wildcards_stand_for_line_ends_too() {
    differs(&json!({ "g1": "q*w" }), r#"{"g1":"q\nw"}"#, true);
    differs(&json!({ "g1": "q?w" }), r#"{"g1":"q\nw"}"#, true);
    differs(&json!({ "g1|contains": "q*w" }), r#"{"g1":"kq\n\nwk"}"#, true);
    // Of regular expressions only with the flag.
    agrees(&json!({ "g1|re": "q.w" }), r#"{"g1":"q\nw"}"#, false);
    agrees(&json!({ "g1|re|s": "q.w" }), r#"{"g1":"q\nw"}"#, true);
}

#[test]
fn keywords_that_must_all_be_there_may_stand_in_any_value() {
    differs(&json!({ "|all": ["q", "w"] }), r#"{"g1":"kqk","g2":"w"}"#, true);
    differs(&json!({ "|all": ["q", "w"] }), r#"{"g1":"qw"}"#, true);
    agrees(&json!({ "|all": ["q", "w"] }), r#"{"g1":"q","g2":"k"}"#, false);
}

#[test]
fn keywords_are_looked_for_in_the_whole_record() {
    differs(&json!(["g1"]), r#"{"g1":"q"}"#, true);
    differs(&json!([4711]), r#"{"g1":4711}"#, true);
    differs(&json!([4711]), r#"{"g1":"event 4711"}"#, true);
    differs(&json!(["4711"]), r#"{"g1":4711}"#, true);
    agrees(&json!(["ü\\w"]), r#"{"g1":"\u00dc\\W"}"#, true);
}

#[test]
fn null_in_a_list_means_a_missing_field_too() {
    differs(&json!({ "g1": [null, "q"] }), r#"{"g2":"q"}"#, true);
    agrees(&json!({ "g1": [null, "q"] }), r#"{"g1":null}"#, true);
    agrees(&json!({ "g1": [null, "q"] }), r#"{"g1":"q"}"#, true);
    agrees(&json!({ "g1": [null, "q"] }), r#"{"g1":""}"#, false);
}

#[test]
fn a_field_that_is_null_exists() {
    differs_for_ever(&json!({ "g1|exists": true }), r#"{"g1":null}"#, true);
    differs_for_ever(&json!({ "g1|exists": false }), r#"{"g1":null}"#, false);
    agrees(&json!({ "g1|exists": true }), r#"{"g1":""}"#, true);
    agrees(&json!({ "g1|exists": true }), r#"{"g2":""}"#, false);
}

#[test]
fn base64offset_leaves_out_what_the_neighbours_have_a_share_in() {
    // "xhttp://y", "xxhttp://yy", "http://": only of the last, that nothing follows, do both know.
    let rule = json!({ "g1|base64offset|contains": "http://" });
    differs(&rule, r#"{"g1":"eGh0dHA6Ly95"}"#, true);
    differs(&rule, r#"{"g1":"eHhodHRwOi8veXk="}"#, true);
    agrees(&rule, r#"{"g1":"aHR0cDovLw=="}"#, true);
    agrees(&rule, r#"{"g1":"aHR0cA=="}"#, false);
}

#[test]
fn windash_exchanges_every_dash_for_every_other() {
    let dashes = ["-", "/", "\u{2013}", "\u{2014}", "\u{2015}"];
    for dash in dashes {
        let event = json!({ "g1": format!("q {dash}w") }).to_string();
        agrees(&json!({ "g1|windash|contains": " -w" }), &event, true);
        for other in dashes.iter().filter(|it| **it != "-" && **it != dash) {
            differs(&json!({ "g1|windash|contains": format!(" {other}w") }), &event, true);
        }
    }
}

#[test]
fn windash_keeps_wildcards() {
    differs(&json!({ "g1|windash": "* -w *" }), r#"{"g1":"q /w k"}"#, true);
    differs(&json!({ "g1|windash|contains": "-w*-k" }), r#"{"g1":"q /w 1 -k"}"#, true);
}

#[test]
fn what_lies_in_a_list_of_objects_is_text() {
    differs_for_ever(&json!({ "g1.g2": "q" }), r#"{"g1":[{"g2":"q"}]}"#, false);
    differs_for_ever(&json!({ "g1|contains": "\"q\"" }), r#"{"g1":[{"g2":"q"}]}"#, true);
}

#[test]
fn an_object_is_its_fields() {
    differs_for_ever(&json!({ "g1|exists": true }), r#"{"g1":{"g2":"q"}}"#, false);
    agrees(&json!({ "g1.g2|exists": true }), r#"{"g1":{"g2":"q"}}"#, true);
}

#[test]
fn of_a_field_that_is_there_twice_the_first_counts() {
    differs_for_ever(&json!({ "g1": "q" }), r#"{"g1":"q","g1":"w"}"#, true);
    differs_for_ever(&json!({ "g1": "w" }), r#"{"g1":"q","g1":"w"}"#, false);
}
