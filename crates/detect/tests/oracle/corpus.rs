//! SigmaHQ over real events: the same pairs of an event and a rule.
//!
//! Some thousand events, spread evenly over all captures; all of them if `PANOPTES_ORACLE_FULL` is set.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::corpora::corpora;
use crate::data::{files_below, sigma_rules, windows_captures};
use crate::engines::{Matched, Ours, Theirs, parsed, without_log_sources};
use crate::log_sources::LogSource;
use crate::specified::has_placeholders;

/// Every how many-th event is asked about.
const STRIDE: usize = 16;
/// How many events are asked about at once.
const EVENTS_AT_ONCE: usize = 1_024;
/// How many disagreements are told.
const TOLD_MAX: usize = 20;

fn stride() -> usize {
    if std::env::var_os("PANOPTES_ORACLE_FULL").is_some() { 1 } else { STRIDE }
}

#[test]
fn without_log_sources_sigmahq_matches_the_same_real_events() {
    let Some(corpora) = corpora() else { return };
    let (files, _) = without_log_sources(&sigma_rules(&corpora));
    let (ours, errors) = Ours::compile(files.clone());
    assert!(errors.is_empty(), "{errors:#?}");
    let theirs = Theirs::compile(&parsed(&files));
    let (mut events, mut pairs) = (0, 0);
    let mut wrong: BTreeMap<(bool, String), Vec<String>> = BTreeMap::new();
    windows_captures(&corpora, |capture, lines| {
        let lines: Vec<&String> = lines.iter().step_by(stride()).collect();
        for lines in lines.chunks(EVENTS_AT_ONCE) {
            let said = ours.ask_objects(lines.iter().map(|it| it.as_str()));
            for (line, ours) in lines.iter().zip(said) {
                let theirs = theirs.ask(line);
                (events, pairs) = (events + 1, pairs + theirs.len());
                for id in ours.symmetric_difference(&theirs) {
                    let place = (ours.contains(id), id.clone());
                    wrong.entry(place).or_default().push(format!("{capture}: {line}"));
                }
            }
        }
    });
    println!("real events, no log sources: {events} events, {pairs} pairs; {} rules disagree", wrong.len());
    assert!(pairs > events, "the corpus has events that match");
    assert!(wrong.is_empty(), "{}", told(&wrong));
}

/// Rules on which one of us stands alone, with the events.
fn told(wrong: &BTreeMap<(bool, String), Vec<String>>) -> String {
    let lines = wrong.iter().take(TOLD_MAX).map(|((we, id), events)| {
        let who = if *we { "only we match" } else { "only rsigma-eval matches" };
        format!("{who} {id} on {} events, the first {}\n", events.len(), events[0])
    });
    lines.collect()
}

/// What Sigma calls the parts of every Windows event, and what the captures call them: the first that is there.
const PARTS: &[(&str, &[&str])] = &[
    ("Provider_Name", &["SourceName"]),
    ("ProviderName", &["SourceName"]),
    ("Computer", &["Hostname", "host"]),
    ("ComputerName", &["Hostname", "host"]),
];

/// The audit events that tell what Sysmon tells, by id: Sigma's taxonomy names their fields as Sysmon does.
const AUDIT: &[(u64, &[(&str, &str)])] = &[
    (
        4688,
        &[
            ("Image", "NewProcessName"),
            ("ParentImage", "ParentProcessName"),
            ("ProcessId", "NewProcessId"),
            ("ParentProcessId", "ProcessId"),
            ("User", "SubjectUserName"),
            ("LogonId", "SubjectLogonId"),
            ("IntegrityLevel", "MandatoryLabel"),
        ],
    ),
    (4689, &[("Image", "ProcessName"), ("User", "SubjectUserName")]),
    (
        4657,
        &[
            ("TargetObject", "ObjectName"),
            ("Details", "NewValue"),
            ("Image", "ProcessName"),
            ("User", "SubjectUserName"),
        ],
    ),
    (
        5156,
        &[
            ("Image", "Application"),
            ("DestinationIp", "DestAddress"),
            ("DestinationPort", "DestPort"),
            ("SourceIp", "SourceAddress"),
        ],
    ),
];

/// The event with the names that Sigma gives to what it tells.
fn in_sigma_names(event: &Value) -> Value {
    let mut named = event.clone();
    let Value::Object(fields) = &mut named else { return named };
    let audit = AUDIT.iter().find(|it| event["EventID"].as_u64() == Some(it.0));
    for (name, from) in audit.iter().flat_map(|it| it.1) {
        if is_security(event)
            && let Some(value) = event.get(from)
        {
            fields.insert((*name).to_owned(), value.clone());
        }
    }
    // A connection that was let out is one that the machine began.
    match event["Direction"].as_str().filter(|_| audit.is_some()) {
        Some("%%14593") => fields.insert("Initiated".to_owned(), "true".into()),
        Some("%%14592") => fields.insert("Initiated".to_owned(), "false".into()),
        _ => None,
    };
    for (name, from) in PARTS {
        if let Some(value) = from.iter().find_map(|it| event.get(it)) {
            fields.entry(*name).or_insert_with(|| value.clone());
        }
    }
    named
}

fn is_security(event: &Value) -> bool {
    event["Channel"].as_str().is_some_and(|it| it.eq_ignore_ascii_case("security"))
}

#[test]
fn by_log_source_sigmahq_matches_what_rsigma_matches_within_the_rules_log_source() {
    let Some(corpora) = corpora() else { return };
    let files = sigma_rules(&corpora);
    let rules = parsed(&files);
    let (ours, errors) = Ours::compile(files);
    assert!(errors.iter().all(|it| it.loaded), "{errors:#?}");
    // What rules mean whose lists nobody gave is compared in `differences.rs`.
    let (with_lists, rules): (Vec<_>, Vec<_>) = rules.into_iter().partition(has_placeholders);
    let with_lists: Matched = with_lists.into_iter().filter_map(|it| it.id).collect();
    let theirs = Theirs::compile(&rules);
    let sources: BTreeMap<&str, LogSource> = rules
        .iter()
        .map(|it| {
            let rsigma_parser::LogSource { product, category, service, .. } = it.logsource.clone();
            (it.id.as_deref().unwrap_or_default(), LogSource { product, category, service })
        })
        .collect();
    let (mut events, mut all, mut foreign, mut renamed, mut common) = (0, 0, 0, 0, 0);
    let mut wrong: BTreeMap<(bool, String), Vec<String>> = BTreeMap::new();
    let mut compare = |name: &str, recorded: &[Recorded]| {
        let said = ours.ask_records(recorded.iter().map(|it| it.line.as_str()));
        for (Recorded { line, event }, ours) in recorded.iter().zip(said) {
            let (channel, id) = (event["Channel"].as_str().unwrap_or_default(), event["EventID"].as_u64());
            let can_be = |rule: &String| sources[rule.as_str()].can_be(channel, id.unwrap_or_default());
            let as_written = theirs.ask(&event.to_string());
            let named = theirs.ask(&in_sigma_names(event).to_string());
            events += 1;
            all += as_written.len();
            foreign += as_written.iter().filter(|it| !can_be(it)).count();
            let ours: Matched = ours.difference(&with_lists).cloned().collect();
            let expected: Matched = named.into_iter().filter(can_be).collect();
            renamed += expected.iter().filter(|it| !as_written.contains(*it)).count();
            common += expected.intersection(&ours).count();
            for id in ours.symmetric_difference(&expected) {
                let place = (ours.contains(id), id.clone());
                wrong.entry(place).or_default().push(format!("{name}: {line}"));
            }
        }
    };
    for recorded in recordings(&corpora).chunks(EVENTS_AT_ONCE) {
        compare("regression_data", recorded);
    }
    windows_captures(&corpora, |capture, lines| {
        let recorded = lines.into_iter().step_by(stride()).map(|line| {
            let event = serde_json::from_str(&line).unwrap();
            Recorded { line, event }
        });
        for recorded in recorded.collect::<Vec<_>>().chunks(EVENTS_AT_ONCE) {
            compare(capture, recorded);
        }
    });
    println!(
        "real events by log source: {events} events; rsigma-eval finds {all} pairs, {foreign} outside of the rule's log \
         source; under Sigma's names of what audit events tell {renamed} more; {common} common, {} rules disagree",
        wrong.len()
    );
    assert!(common > 96, "the corpus has events that match, and each of the recordings has");
    assert!(wrong.is_empty(), "{}", told(&wrong));
}

/// One event: the record for us, and its data by name for them.
struct Recorded {
    line: String,
    event: Value,
}

/// SigmaHQ's recordings as JSON in the shape of the XML: each event has a system part and data.
fn recordings(corpora: &Path) -> Vec<Recorded> {
    let mut paths = Vec::new();
    files_below(&corpora.join("sigma/regression_data"), &mut paths);
    paths.retain(|it| it.extension().is_some_and(|it| it == "json"));
    let mut found = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        for record in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let record = record.unwrap_or_else(|it| panic!("{}: {it}", path.display()));
            let events = match &record {
                Value::Array(events) => events.clone(),
                _ => vec![record],
            };
            found.extend(events.into_iter().map(|it| Recorded { line: it.to_string(), event: flat(&it["Event"]) }));
        }
    }
    found
}

/// The data of an event by name, and what Sigma calls the parts of its system part.
fn flat(event: &Value) -> Value {
    let mut fields = Map::new();
    let system = &event["System"];
    for (name, value) in [
        ("Channel", &system["Channel"]),
        ("Computer", &system["Computer"]),
        ("Provider_Name", &system["Provider"]["#attributes"]["Name"]),
        ("EventID", system["EventID"].get("#text").unwrap_or(&system["EventID"])),
        ("Level", &system["Level"]),
        ("Task", &system["Task"]),
        ("Opcode", &system["Opcode"]),
        ("Keywords", &system["Keywords"]),
    ] {
        fields.insert(name.to_owned(), value.clone());
    }
    let parts = [event.get("EventData"), event.get("UserData").and_then(|it| it.as_object()?.values().next())];
    for (name, value) in parts.into_iter().flatten().filter_map(Value::as_object).flatten() {
        if name != "#attributes" {
            fields.insert(name.clone(), value.clone());
            // Sigma strips blanks from names; some rules write them as underscores.
            fields.insert(name.replace(' ', ""), value.clone());
            fields.insert(name.replace(' ', "_"), value.clone());
        }
    }
    Value::Object(fields)
}

#[test]
fn an_event_is_only_what_its_channel_and_id_say() {
    let source = |product: &str, category: &str, service: &str| {
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        LogSource { product: part(product), category: part(category), service: part(service) }
    };
    let sysmon = "Microsoft-Windows-Sysmon/Operational";
    assert!(source("windows", "process_creation", "").can_be(sysmon, 1));
    assert!(source("windows", "process_creation", "").can_be("security", 4688));
    assert!(source("windows", "", "security").can_be("Security", 4688));
    assert!(!source("windows", "process_creation", "").can_be(sysmon, 3));
    assert!(!source("windows", "process_creation", "").can_be("System", 1));
    assert!(!source("windows", "", "sysmon").can_be("Security", 1));
    assert!(!source("linux", "process_creation", "").can_be(sysmon, 1));
    assert!(!source("zeek", "", "smb_files").can_be("Security", 5145));
    assert!(source("windows", "", "").can_be("whatever", 1));
    assert!(!source("windows", "", "no such service").can_be("Security", 1));
}
