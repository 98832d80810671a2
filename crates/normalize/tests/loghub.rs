//! loghub's excerpts of real systems: everything is understood, and the fields are sensible.

mod corpora;

use std::collections::BTreeMap;

use panoptes_model::{Anomaly, Event, EventBatch, field};

fn events(path: &str) -> Option<EventBatch> {
    let text = corpora::read(path)?;
    let lines: Vec<_> = text.lines().collect();
    let events = corpora::normalize(path, &lines);
    assert_eq!(events.len(), lines.len());
    Some(events)
}

fn count<'b>(events: &'b EventBatch, name: impl Fn(Event<'b>) -> String) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in events.events() {
        *counts.entry(name(event)).or_default() += 1;
    }
    counts
}

fn action(event: Event<'_>) -> String {
    let text = |id| event.text(id).unwrap_or("-");
    format!("{} {} {}", text(field::EVENT_DATASET), text(field::EVENT_ACTION), text(field::EVENT_OUTCOME))
}

#[test]
fn openssh_is_understood_line_by_line() {
    let Some(events) = events("loghub/OpenSSH/OpenSSH_2k.log") else { return };
    let counts = count(&events, action);
    println!("{counts:#?}");
    assert!(events.events().all(|it| !it.is_unparsed() && !it.anomalies().contains(Anomaly::TimeMissing)));
    for event in events.events() {
        assert_eq!(event.text(field::HOST_NAME), Some("LabSZ"), "{}", event.original());
        assert_eq!(event.text(field::PROCESS_NAME), Some("sshd"), "{}", event.original());
        let original = event.original();
        // Independent of the parser: every line that says `Failed password` is one failed attempt.
        let failed = original.contains(": Failed password for ") || original.contains("[ Failed password for ");
        let is_login = event.text(field::EVENT_ACTION) == Some("ssh_login");
        let outcome = event.text(field::EVENT_OUTCOME);
        assert_eq!(failed, is_login && outcome == Some("failure"), "{original}");
        assert_eq!(original.contains(": Accepted "), is_login && outcome == Some("success"), "{original}");
        if is_login {
            let address = original.rsplit_once(" from ").and_then(|(_, it)| it.split(' ').next());
            assert_eq!(event.get(field::SOURCE_IP).map(|it| it.to_text().into_owned()).as_deref(), address);
        }
    }
    let unclassified = events.events().filter(|it| it.text(field::EVENT_ACTION).is_none());
    assert_eq!(unclassified.map(|it| it.original()).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn apache_is_understood_line_by_line() {
    let Some(events) = events("loghub/Apache/Apache_2k.log") else { return };
    println!("{:#?}", count(&events, action));
    assert!(events.events().all(|it| !it.is_unparsed() && !it.anomalies().contains(Anomaly::TimeMissing)));
    for event in events.events() {
        let original = event.original();
        assert_eq!(event.text(field::EVENT_DATASET), Some("apache.error"), "{original}");
        assert_eq!(original.contains("[client "), event.get(field::SOURCE_IP).is_some(), "{original}");
        assert_eq!(event.text(field::LOG_LEVEL), Some(if original.contains("[error]") { "error" } else { "notice" }));
    }
}

#[test]
fn other_systems_keep_their_times() {
    for (name, understood) in [("Hadoop", 0.99), ("Zookeeper", 0.99), ("Windows", 0.99), ("Android", 0.99)] {
        let Some(events) = events(&format!("loghub/{name}/{name}_2k.log")) else { continue };
        let timed = events.events().filter(|it| !it.anomalies().contains(Anomaly::TimeMissing)).count();
        println!("{name}: {timed} of {} lines have a time, {:?}", events.len(), count(&events, action));
        assert!(timed as f64 >= understood * events.len() as f64, "{name}");
    }
}
