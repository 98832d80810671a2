//! `rules coverage`: what the rules can find, and which cannot fire.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::commands::panoptes;
use crate::support::{complaint_of, json_lines, output_of};

fn rule(number: u32, title: &str, log_source: &str, detection: &str, tag: &str) -> String {
    format!(
        "title: {title}\nid: 44444444-0000-4000-8000-{number:012}\nlevel: high\ntags: [{tag}]\nlogsource: {log_source}\n\
         detection:\n    s: {detection}\n    condition: s\n---\n"
    )
}

/// A home whose only rules are these.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a temporary folder");
    let rules = [
        rule(1, "Fires", "{product: linux, service: sshd}", "{user.name: root}", "attack.t1078.003"),
        rule(2, "No such source", "{product: vax, category: x}", "{a: 1}", "attack.t1003"),
        rule(3, "No such field", "{product: linux, service: sshd}", "{user.nam: root}", "attack.t1078"),
        rule(4, "Stated", "{product: acme, service: portal}", "{a: 1}", "attack.t1110"),
        rule(5, "Disabled", "{product: linux, service: sshd}", "{user.name: root}", "attack.t1021.004"),
        rule(6, "Web", "{category: webserver}", "{url.decoded|contains: evil}", "attack.initial-access"),
        rule(7, "Odd tag", "{product: linux, service: sudo}", "{user.name: root}", "attack.t9999"),
    ];
    std::fs::write(home.path().join("rules.yml"), rules.concat()).expect("a file can be written");
    let config = format!(
        "[rules]\nshipped = false\npaths = [{:?}]\ndisabled = [\"44444444-0000-4000-8000-000000000005\", \"behaviour\"]\n[detect.never_seen]\nenabled = false\n",
        home.path().join("rules.yml")
    );
    std::fs::write(home.path().join("panoptes.toml"), config).expect("a file can be written");
    home
}

fn coverage(home: &Path, arguments: &[&str]) -> String {
    let config = home.join("panoptes.toml");
    output_of(panoptes(home).args(["rules", "coverage", "--config"]).arg(config).args(arguments))
}

fn whole(home: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&coverage(home, &[&["--format", "json"], arguments].concat())).expect("JSON")
}

/// Title and reason of each rule that cannot fire.
fn silent(whole: &Value) -> BTreeSet<(String, String)> {
    let text = |it: &Value, key: &str| it[key].as_str().expect("text").to_owned();
    whole["silent"].as_array().expect("a list").iter().map(|it| (text(it, "title"), text(it, "why"))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    expected.iter().map(|(title, why)| ((*title).to_owned(), (*why).to_owned())).collect()
}

#[test]
fn coverage_counts_techniques_by_tactic_and_says_which_rules_cannot_fire() {
    let home = home();
    let home = home.path();
    let all = whole(home, &[]);
    assert_eq!((all["rules"].as_u64(), all["rules_silent"].as_u64()), (Some(7), Some(4)));
    assert_eq!(
        silent(&all),
        pairs(&[
            ("No such source", "no_source"),
            ("No such field", "no_fields"),
            ("Stated", "stated_dataset"),
            ("Disabled", "disabled")
        ])
    );
    assert_eq!(all["unknown_tags"]["attack.t9999"], 1);
    let tactic =
        |name: &str| all["tactics"].as_array().unwrap().iter().find(|it| it["tactic"] == name).unwrap().clone();
    // T1078.003 is of four tactics; its technique counts as covered through it.
    let access = tactic("Initial access");
    assert_eq!(
        (access["rules"].as_u64(), access["covered"].as_u64(), access["covered_below"].as_u64()),
        (Some(2), Some(1), Some(1))
    );
    assert!(access["techniques"].as_u64().unwrap() > 5);
    assert_eq!(tactic("Persistence")["rules"], 1);
    assert_eq!(tactic("Lateral movement")["rules"], 0, "a disabled rule covers nothing");
    let technique =
        |id: &str| all["techniques"].as_array().unwrap().iter().find(|it| it["technique"] == id).unwrap().clone();
    assert_eq!(technique("T1078.003")["name"], "Valid Accounts: Local Accounts");
    assert_eq!((&technique("T1003")["rules"], &technique("T1003")["silent_rules"]), (&Value::from(0), &Value::from(1)));

    let text = coverage(home, &[]);
    for part in [
        "Initial access",
        "7 rules, 3 can fire; 1 of ",
        "4 cannot: 1 disabled",
        "--show silent",
        "not in ATT&CK 17: attack.t9999",
    ] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    let text = coverage(home, &["--show", "silent"]);
    for part in [
        "No such field",
        "its events do not have user.nam",
        "only events that state event.dataset acme.portal",
        "the configuration disables it",
    ] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    assert_eq!(json_lines(&coverage(home, &["--show", "techniques", "--format", "jsonl"])).len(), 5);
}

#[test]
fn the_evidence_says_which_sources_and_fields_there_were() {
    let home = home();
    let home = home.path();
    let import = |name: &str, text: &str| {
        std::fs::write(home.join(name), text).unwrap();
        output_of(panoptes(home).arg("import").arg(home.join(name)));
    };
    import(
        "auth.log",
        "<38>1 2026-01-05T10:00:00Z web1 sshd 42 - - Failed password for root from 203.0.113.1 port 22 ssh2\n\
         {\"timestamp\":\"2026-01-05T10:00:00Z\",\"event.dataset\":\"acme.portal\",\"b\":1}\n",
    );
    let seen = |since: &str| silent(&whole(home, &["--seen-since", since]));
    let always = [("No such source", "no_source"), ("No such field", "no_fields"), ("Disabled", "disabled")];
    let more = [("Stated", "fields_not_seen"), ("Web", "source_not_seen"), ("Odd tag", "source_not_seen")];
    assert_eq!(seen("2026-01-01"), pairs(&[&always[..], &more].concat()));
    // Later there was nothing at all.
    let nothing = [
        ("Stated", "source_not_seen"),
        ("Web", "source_not_seen"),
        ("Odd tag", "source_not_seen"),
        ("Fires", "source_not_seen"),
    ];
    assert_eq!(seen("2026-01-06"), pairs(&[&always[..], &nothing].concat()));
    import(
        "more.log",
        "192.0.2.1 - - [05/Jan/2026:10:00:00 +0000] \"GET / HTTP/1.1\" 200 12 \"-\" \"x\"\n\
         {\"timestamp\":\"2026-01-05T10:00:01Z\",\"event.dataset\":\"acme.portal\",\"a\":2}\n",
    );
    assert_eq!(seen("2026-01-01"), pairs(&[&always[..], &[("Odd tag", "source_not_seen")]].concat()));
    let text = coverage(home, &["--seen-since", "2026-01-01", "--show", "silent"]);
    assert!(text.contains("no event of sudo was seen"), "{text}");

    let empty = tempfile::tempdir().unwrap();
    let said = complaint_of(panoptes(empty.path()).args(["rules", "coverage", "--seen-since", "7d"]));
    assert!(said.contains("there is no evidence in"), "{said}");
}

#[test]
fn the_layer_is_one_that_the_navigator_opens() {
    let home = home();
    let path = home.path().join("layer.json");
    coverage(home.path(), &["--navigator", path.to_str().unwrap()]);
    let layer: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(layer["versions"]["layer"], "4.5");
    assert_eq!((layer["domain"].as_str(), layer["name"].as_str()), (Some("enterprise-attack"), Some("Panoptes")));
    let techniques = layer["techniques"].as_array().unwrap();
    let technique = |id: &str| techniques.iter().find(|it| it["techniqueID"] == id).unwrap_or_else(|| panic!("{id}"));
    let covered = technique("T1078.003");
    assert_eq!((covered["score"].as_u64(), covered["comment"].as_str()), (Some(1), Some("Fires")));
    // Its technique is unfolded, or nobody would see it; one that only silent rules name is grey and has no score.
    assert_eq!(technique("T1078")["showSubtechniques"], true);
    let grey = technique("T1003");
    assert!(
        grey["score"].is_null() && grey["color"] == "#d9d9d9" && grey["comment"] == "1 more rules cannot fire",
        "{grey}"
    );
    // What the Navigator refuses: ids it does not know the form of, colours that are none, the same cell twice.
    let mut ids = BTreeSet::new();
    for technique in techniques {
        let id = technique["techniqueID"].as_str().unwrap();
        let digits = id.strip_prefix('T').unwrap();
        assert!(digits.len() == 4 || digits.len() == 8 && digits.as_bytes()[4] == b'.', "{id}");
        assert!(ids.insert(id), "{id} twice");
        let color = technique["color"].as_str().unwrap_or_default();
        assert!(color.is_empty() || color.starts_with('#') && color.len() == 7, "{color}");
    }
    assert!(layer["gradient"]["minValue"].as_u64() < layer["gradient"]["maxValue"].as_u64());
}
