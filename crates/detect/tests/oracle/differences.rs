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
    assert!(errors.iter().all(|it| it.loaded), "{errors:?}");
    let rules = parsed(&files);
    let event = serde_json::from_str(line).unwrap();
    let said = Said {
        ours: !ours.ask_records([line])[0].is_empty(),
        theirs: !Theirs::as_they_are(&rules).ask_as_it_is(&event).is_empty(),
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
fn keywords_are_looked_for_in_numbers_too() {
    differs(&json!([4711]), r#"{"g1":4711}"#, true);
    differs(&json!([4711]), r#"{"g1":"event 4711"}"#, true);
    differs(&json!(["4711"]), r#"{"g1":47110}"#, true);
    agrees(&json!(["g1"]), r#"{"g1":"a name is no value"}"#, false);
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
fn a_field_that_is_null_is_missing() {
    differs(&json!({ "g1|neq": "q" }), r#"{"g1":null}"#, false);
    agrees(&json!({ "g1|neq": "q" }), r#"{"g2":"q"}"#, false);
    agrees(&json!({ "g1|exists": true }), r#"{"g1":null}"#, false);
    agrees(&json!({ "g1|exists": true }), r#"{"g1":""}"#, true);
    agrees(&json!({ "g1": null }), r#"{"g2":"q"}"#, true);
}

#[test]
fn base64offset_leaves_out_what_the_neighbours_have_a_share_in() {
    // "xhttp://y": the last character that the value has a share in is also y's.
    let rule = json!({ "g1|base64offset|contains": "http://" });
    differs(&rule, r#"{"g1":"eGh0dHA6Ly95"}"#, true);
    // "http://" alone, "xxhttp://y", "http".
    agrees(&rule, r#"{"g1":"aHR0cDovLw=="}"#, true);
    agrees(&rule, r#"{"g1":"eHhodHRwOi8veQ=="}"#, true);
    agrees(&rule, r#"{"g1":"aHR0cA=="}"#, false);
}

#[test]
fn windash_is_about_dashes_and_slashes_that_begin_a_word() {
    for dash in ["-", "/", "\u{2013}", "\u{2014}", "\u{2015}"] {
        let event = json!({ "g1": format!("q {dash}w") }).to_string();
        agrees(&json!({ "g1|windash|contains": " -w" }), &event, true);
        if dash != "/" {
            differs(&json!({ "g1|windash|contains": " /w" }), &event, true);
        }
    }
    differs(&json!({ "g1|windash|contains": "q-w" }), r#"{"g1":"q/w"}"#, false);
    agrees(&json!({ "g1|windash|contains": "q-w" }), r#"{"g1":"Q-W"}"#, true);
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
fn of_a_field_that_is_there_twice_every_value_counts() {
    differs_for_ever(&json!({ "g1": "q" }), r#"{"g1":"q","g1":"w"}"#, true);
    agrees(&json!({ "g1": "w" }), r#"{"g1":"q","g1":"w"}"#, true);
    // A name with a dot and the same by nesting are one field.
    differs_for_ever(&json!({ "g1.g2": "w" }), r#"{"g1.g2":"q","g1":{"g2":"w"}}"#, true);
}

#[test]
fn a_list_of_one_is_the_one() {
    differs(&json!({ "g1": null }), r#"{"g1":[null]}"#, true);
    differs(&json!({ "g1|exists": true }), r#"{"g1":[null]}"#, false);
    differs(&json!({ "g1|fieldref": "g2" }), r#"{"g1":["q"],"g2":"q"}"#, true);
    agrees(&json!({ "g1": null }), r#"{"g1":[]}"#, false);
    agrees(&json!({ "g1": null }), r#"{"g1":[null,"q"]}"#, false);
}

#[test]
fn long_texts_of_digits_are_no_numbers() {
    differs_for_ever(&json!({ "g1|gt": 0 }), &json!({ "g1": "1".repeat(100) }).to_string(), false);
    agrees(&json!({ "g1|gt": 0 }), &json!({ "g1": "1".repeat(30) }).to_string(), true);
}

#[test]
fn a_placeholder_without_a_list_is_no_field_of_the_event() {
    differs_for_ever(&json!({ "g1|expand": "%g2%" }), r#"{"g1":"q","g2":"q"}"#, false);
}

#[test]
fn one_and_zero_are_true_and_false_also_as_numbers() {
    differs(&json!({ "g1": true }), r#"{"g1":1}"#, true);
    differs(&json!({ "g1": false }), r#"{"g1":0}"#, true);
    agrees(&json!({ "g1": true }), r#"{"g1":"1"}"#, true);
    agrees(&json!({ "g1": false }), r#"{"g1":"No"}"#, true);
    agrees(&json!({ "g1": true }), r#"{"g1":2}"#, false);
}

#[test]
fn letters_fold_one_by_one() {
    // Their sigma at the end of a word is another than the one before it.
    differs_for_ever(&json!({ "g1|contains": "σ" }), r#"{"g1":"ΑΣ"}"#, true);
    // What regular expressions take for an s is one.
    differs_for_ever(&json!({ "g1|contains": "s" }), r#"{"g1":"ſ"}"#, true);
    agrees(&json!({ "g1|re|i": "s" }), r#"{"g1":"ſ"}"#, true);
    agrees(&json!({ "g1|contains": "k" }), r#"{"g1":"\u212a"}"#, true);
    agrees(&json!({ "g1": "GRÜSSE" }), r#"{"g1":"Grüße"}"#, false);
}
