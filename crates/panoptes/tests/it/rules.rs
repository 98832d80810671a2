//! The workflow of a rule, command by command.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::commands::panoptes;
use crate::support::{complaint_of, json_lines, output_of};

/// A home with a folder of rules in it.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("rules")).expect("a folder can be made");
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn rules(&self) -> PathBuf {
        self.path().join("rules")
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.rules().join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path
    }

    fn rules_command(&self, arguments: &[&str]) -> Output {
        panoptes(self.path()).arg("rules").args(arguments).current_dir(self.path()).output().expect("the binary starts")
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("output is text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("output is text")
}

#[track_caller]
fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

const ROOT_LOGIN: &str = "title: Root logs in
id: 11111111-0000-4000-8000-000000000001
name: root_login
description: Somebody is root over SSH.
level: high
tags: [attack.initial-access, attack.t1078.003]
logsource: {product: linux, service: sshd}
detection:
    selection:
        event.action: ssh_login
        event.outcome: success
        user.name: root
    condition: selection
";

const ROOT_LOGIN_TEST: &str = "now = 2026-03-01T12:00:00Z
[[fires]]
why = \"root from outside\"
log = '''
Mar  1 11:00:00 web1 sshd[1]: Accepted password for root from 203.0.113.9 port 4022 ssh2
'''
entities = { \"source.ip\" = \"203.0.113.9\" }
[[silent]]
why = \"somebody else\"
log = '''
Mar  1 11:00:00 web1 sshd[1]: Accepted password for alice from 203.0.113.9 port 4022 ssh2
'''
";

#[test]
fn check_says_all_that_is_wrong_at_once_with_its_place_and_cure() {
    let home = Home::new();
    home.write("good.yml", ROOT_LOGIN);
    home.write("yaml.yml", "title: Broken\nlogsource: {product: linux\ndetection:\n");
    home.write(
        "modifier.yml",
        "title: Odd\nlogsource: {product: linux}\ndetection:\n    s:\n        a|sounds_like: b\n    condition: s\n",
    );
    home.write("twin.yml", &ROOT_LOGIN.replace("Root logs in", "The same id"));
    home.write("condition.yml", "title: Typing error\nlogsource: {product: linux}\ndetection:\n    selection:\n        a: b\n    condition: selektion\n");
    let output = home.rules_command(&["check", "rules"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let said = stdout(&output);
    assert_contains(
        &said,
        &[
            "rules/yaml.yml:",
            "rules/modifier.yml:5:",
            "sounds_like",
            "rules/condition.yml:6:",
            "selektion",
            "rules/twin.yml:2:",
            "is that of a rule in rules/good.yml:1 already; give each rule an id",
            "5 files: 1 rule loaded, 4 refused",
        ],
    );
    assert!(stderr(&output).contains("4 rules refused"), "{}", stderr(&output));
    assert_eq!(said.matches(": error: ").count(), 4, "{said}");

    let output = home.rules_command(&["check", "rules", "--format", "jsonl"]);
    let problems = json_lines(&stdout(&output));
    let errors: Vec<&Value> = problems.iter().filter(|it| it["kind"] == "error").collect();
    assert_eq!(errors.len(), 4);
    assert!(errors.iter().all(|it| it["line"].is_u64() && it["reason"].is_string() && it["cure"].is_string()));
    let whole: Value =
        serde_json::from_str(&stdout(&home.rules_command(&["check", "rules", "--format", "json"]))).unwrap();
    assert_eq!((whole["rules"].as_u64(), whole["refused"].as_u64()), (Some(1), Some(4)));
    assert!(whole["compile_milliseconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn check_warns_of_what_was_hardly_meant_and_fails_on_it_only_if_asked() {
    let home = Home::new();
    home.write(
        "vague.yml",
        "title: Vague\nlogsource: {product: vax, category: accounting}\ndetection:\n    selection:\n        a: b\n    \
         forgotten:\n        c: d\n    condition: selection\n",
    );
    let output = home.rules_command(&["check", "rules"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_contains(
        &stdout(&output),
        &[
            "rules/vague.yml:1: warning: rule \"Vague\": it has no id",
            "has no level and is taken as medium; add `level:`",
            "rules/vague.yml:6:5: warning: rule \"Vague\": its condition does not use `forgotten`",
            "it can never fire: no format or mapping makes events of its log source (product=vax category=accounting)",
            "1 rule loaded, 0 refused, 4 warnings",
        ],
    );
    let output = home.rules_command(&["check", "rules", "--strict"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("4 warnings, and --strict takes none"));
}

#[test]
fn check_without_a_path_looks_at_the_rules_that_a_run_would_load() {
    let home = Home::new();
    let output = home.rules_command(&["check", "--strict"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let config = home.path().join("panoptes.toml");
    let broken = home.write("broken.yml", "title: [\n");
    std::fs::write(&config, format!("[rules]\nshipped = false\npaths = [{:?}]\n", home.rules())).unwrap();
    let output = home.rules_command(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert_contains(&stdout(&output), &[broken.to_str().unwrap(), "1 file: 0 rules loaded, 1 refused"]);
}

#[test]
fn a_rule_file_that_cannot_be_used_costs_only_itself() {
    let home = Home::new();
    home.write("good.yml", ROOT_LOGIN);
    home.write("large.yml", &"# large\n".repeat(700_000));
    std::fs::write(home.rules().join("binary.yml"), [0xff, 0xfe, 0, 1, 0x80]).unwrap();
    std::fs::create_dir(home.rules().join("folder.yml")).unwrap();
    std::os::unix::fs::symlink("/nowhere", home.rules().join("dangling.yml")).unwrap();
    let output = home.rules_command(&["check", "rules"]);
    assert_eq!(output.status.code(), Some(2));
    assert_contains(
        &stdout(&output),
        &[
            "rules/large.yml: error: the file is larger than 1024 KiB",
            "rules/binary.yml",
            "rules/dangling.yml: error: it cannot be read",
            "4 files: 1 rule loaded, 3 refused",
        ],
    );
}

#[test]
fn list_finds_rules_by_what_people_know_of_them() {
    let home = Home::new();
    home.write("root.yml", ROOT_LOGIN);
    let list = |arguments: &[&str]| -> Vec<Value> {
        let all = [&["list", "--rules", "rules", "--format", "jsonl"], arguments].concat();
        json_lines(&stdout(&home.rules_command(&all)))
    };
    let titles =
        |rules: &[Value]| -> Vec<String> { rules.iter().map(|it| it["title"].as_str().unwrap().to_owned()).collect() };
    let all = list(&[]);
    assert!(all.len() > 40);
    assert!(all.iter().any(|it| it["kind"] == "detector"), "detectors without a rule are listed as well");
    assert!(titles(&list(&["--tag", "T1078"])).contains(&"Root logs in".to_owned()));
    assert!(titles(&list(&["--tag", "initial-access"])).contains(&"Root logs in".to_owned()));
    assert_eq!(titles(&list(&["--search", "IS ROOT over"])), ["Root logs in"]);
    assert_eq!(list(&["--search", "Root logs in"])[0]["enabled"], true);
    let high = list(&["--level", "high"]);
    assert!(
        !high.is_empty()
            && high.len() < all.len()
            && high.iter().all(|it| it["level"] == "high" || it["level"] == "critical")
    );
    let web = list(&["--source", "webserver"]);
    assert!(!web.is_empty() && web.iter().all(|it| it["log_source"].as_str().unwrap().contains("webserver")));
    let off = list(&["--off"]);
    assert!(off.iter().any(|it| it["state"] == "only counted") && off.iter().all(|it| it["enabled"] == false));

    let config = home.path().join("panoptes.toml");
    let disabled = "[rules]\nshipped = false\ndisabled = [\"11111111-0000-4000-8000-000000000001\"]\n";
    std::fs::write(&config, disabled).unwrap();
    let output = home.rules_command(&["list", "--rules", "rules", "--config", config.to_str().unwrap()]);
    assert_contains(&stdout(&output), &["Root logs in", "no: disabled", "T1078.003"]);
}

#[test]
fn test_tells_what_holds_what_fails_and_what_could_not_be_run() {
    let home = Home::new();
    home.write("root.yml", ROOT_LOGIN);
    home.write("root.test.toml", ROOT_LOGIN_TEST);
    let output = home.rules_command(&["test", "rules"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert_contains(&stdout(&output), &["ok     rules/root.yml  2 cases", "1 tested file: 2 cases ok, 0 failed"]);

    // A rule that became too wide, beside one without a test.
    home.write("root.yml", &ROOT_LOGIN.replace("        user.name: root\n", ""));
    home.write(
        "other.yml",
        &ROOT_LOGIN.replace("Root logs in", "Other").replace("0001", "0002").replace("root_login", "other"),
    );
    let junit = home.path().join("report.xml");
    let output = home.rules_command(&["test", "rules", "--junit", junit.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_contains(
        &stdout(&output),
        &[
            "FAIL   rules/root.yml  1 of 2 cases",
            "silent \"somebody else\": fired `Root logs in`",
            "1 rule in 1 file without a test",
        ],
    );
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert_contains(
        &xml,
        &[
            "tests=\"2\" failures=\"1\" errors=\"0\"",
            "<testcase classname=\"rules.root\" name=\"silent: somebody else\" file=\"rules/root.yml\"",
            "<failure type=\"silent\" message=\"fired `Root logs in`",
        ],
    );
    let cases = json_lines(&stdout(&home.rules_command(&["test", "rules/root.test.toml", "--format", "jsonl"])));
    assert_eq!(cases.len(), 2);
    assert_eq!((cases[0]["result"].as_str(), cases[1]["result"].as_str()), (Some("ok"), Some("fail")));

    // A broken rule and a broken test are no failures: nothing is known of them.
    home.write("root.yml", "title: Root logs in\nlogsource: {product: linux}\ndetection: {condition: s}\n");
    home.write("other.test.toml", "now = 5\n");
    let output = home.rules_command(&["test", "rules", "--junit", junit.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert_contains(
        &stdout(&output),
        &["ERROR  rules/root.yml", "ERROR  rules/other.yml", "other.test.toml is not a rule test"],
    );
    assert!(std::fs::read_to_string(&junit).unwrap().contains("errors=\"2\""));
}

#[test]
fn test_loads_what_a_correlation_names_and_takes_json_events() {
    let home = Home::new();
    home.write(
        "chain.yml",
        "title: Root after guessing
id: 11111111-0000-4000-8000-000000000003
level: high
correlation: {type: event_count, rules: [ssh_login_failed], group-by: [source.ip], timespan: 1m, condition: {gte: 2}}
",
    );
    home.write(
        "chain.test.toml",
        "now = 2026-03-01T12:00:00Z
[[fires]]
why = \"twice\"
repeat = 2
count = 2
log = \"Mar  1 11:00:{ii} web1 sshd[1]: Failed password for root from 203.0.113.9 port 4022 ssh2\"
[[silent]]
why = \"once\"
log = \"Mar  1 11:00:00 web1 sshd[1]: Failed password for root from 203.0.113.9 port 4022 ssh2\"
",
    );
    home.write("app.yml", "title: App\nid: 11111111-0000-4000-8000-000000000004\nlevel: low\nlogsource: {category: application}\ndetection:\n    s:\n        action: wipe\n    condition: s\n");
    home.write(
        "app.test.toml",
        "now = 2026-03-01T12:00:00Z
[[fires]]
why = \"pretty printed\"
events = '''
{
  \"action\": \"wipe\",
  \"user\": \"a\"
}
'''
[[silent]]
why = \"an array\"
events = '[{\"action\": \"read\"}, {\"action\": \"write\"}]'
",
    );
    let output = home.rules_command(&["test", "rules"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert_contains(&stdout(&output), &["ok     rules/app.yml", "ok     rules/chain.yml", "4 cases ok"]);
}

#[test]
fn the_shipped_rules_bring_their_tests_and_nothing_to_test_is_said() {
    let home = Home::new();
    let said = output_of(panoptes(home.path()).args(["rules", "test"]));
    assert_contains(
        &said,
        &["ok     shipped:authentication/ssh_password_guessing.yml", "0 failed, 0 could not be run"],
    );
    home.write("root.yml", ROOT_LOGIN);
    let said = complaint_of(panoptes(home.path()).args(["rules", "test"]).arg(home.rules()));
    assert_contains(&said, &["no rule file here has a test beside it", "rules test --help"]);
}

#[test]
fn test_takes_windows_events_as_tools_print_them() {
    let home = Home::new();
    home.write(
        "whoami.yml",
        "title: Whoami\nid: 11111111-0000-4000-8000-000000000005\nlevel: low\nlogsource: {product: windows, category: process_creation}\n\
         detection:\n    s:\n        Image|endswith: '\\whoami.exe'\n    condition: s\n",
    );
    // As `evtx_dump` prints an event, and as Winlogbeat ships it.
    home.write(
        "whoami.test.toml",
        r##"now = 2026-03-01T12:00:00Z
[[fires]]
why = "an event log, dumped"
events = '''
{
  "Event": {
    "System": {
      "Provider": { "#attributes": { "Name": "Microsoft-Windows-Sysmon" } },
      "EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "Computer": "pc1",
      "TimeCreated": { "#attributes": { "SystemTime": "2026-03-01T11:00:00Z" } }
    },
    "EventData": { "Image": "C:\\Windows\\System32\\whoami.exe", "CommandLine": "whoami /all", "ProcessId": 7 }
  }
}
'''
[[fires]]
why = "Winlogbeat"
events = '''
{ "@timestamp": "2026-03-01T11:00:00Z",
  "winlog": { "channel": "Microsoft-Windows-Sysmon/Operational", "provider_name": "Microsoft-Windows-Sysmon",
              "event_id": "1", "computer_name": "pc1", "event_data": { "Image": "C:\\Windows\\System32\\whoami.exe" } },
  "event": { "code": "1" } }
'''
[[silent]]
why = "a file of that name"
events = '''
{ "Event": { "System": { "Provider": { "#attributes": { "Name": "Microsoft-Windows-Sysmon" } }, "EventID": 11,
    "Channel": "Microsoft-Windows-Sysmon/Operational", "Computer": "pc1" },
  "EventData": { "Image": "C:\\Windows\\System32\\whoami.exe", "TargetFilename": "C:\\whoami.exe" } } }
'''
"##,
    );
    let output = home.rules_command(&["test", "rules"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert_contains(&stdout(&output), &["ok     rules/whoami.yml  3 cases"]);
}
