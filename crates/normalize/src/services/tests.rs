//! Sets of service formats: what is read, what is refused, what it may cost.

use std::sync::Arc;

use expect_test::{Expect, expect};
use panoptes_model::{EventBatch, FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::{Normalizer, Options};

/// 2024-01-15T12:00:00Z
fn now() -> Timestamp {
    Timestamp::from_seconds(1_705_320_000)
}

fn file(name: &str, text: &str) -> ServiceFile {
    ServiceFile { name: name.to_owned(), text: text.to_owned() }
}

fn normalize(services: ServiceFormats, line: &str) -> EventBatch {
    let mut records = RawBatch::new();
    let origin = records.origin(&Origin::default());
    records.push(origin, now(), 1, line.as_bytes());
    let frame = LogFrame { id: FrameId(1), now: now(), rules_epoch: 0, snapshots_epoch: 0, records };
    Normalizer::with_services(Options::default(), Arc::new(services)).normalize(&Arc::new(Schema::ecs()), frame)
}

#[track_caller]
fn check(text: &str, line: &str, expected: Expect) {
    let (set, errors) = ServiceFormats::compile(&[file("shop.toml", text)]);
    assert_eq!(errors, []);
    let batch = normalize(set, line);
    let event = batch.event(0).unwrap();
    let fields = event.fields().map(|(id, value)| format!("{}: {}\n", batch.field_name(id), value.to_text()));
    expected.assert_eq(&format!("{}\n{}", event.time(), fields.collect::<String>()));
}

const SHOP: &str = r#"
service = "shop"
dataset = "shop.auth"
programs = ["shopd", "shop-*"]

[[line]]
pattern = "[{@timestamp:%d.%m.%Y %H:%M:%S}] {log.level}/{process.pid}{ }{message}"

[[event]]
pattern = "{=Login|Sign-in} of {user.name:rest} from {source} refused{?: {event.reason}}"
category = "authentication"
type = "start"
action = "shop_login"
outcome = "failure"
set = { "network.protocol" = "shop", "shop.area" = "till" }
"#;

#[test]
fn a_message_through_syslog_is_read_by_the_patterns_of_its_program() {
    check(
        SHOP,
        "Jan 15 10:30:00 h shop-eu[7]: Login of bob from 192.0.2.1 from 203.0.113.9:4711 refused: too late",
        expect![[r#"
            2024-01-15T10:30:00Z
            host.name: h
            log.syslog.hostname: h
            log.syslog.appname: shop-eu
            process.name: shop-eu
            process.pid: 7
            event.kind: event
            event.dataset: shop.auth
            service.name: shop
            event.category: authentication
            event.type: start
            event.action: shop_login
            event.outcome: failure
            user.name: bob from 192.0.2.1
            source.ip: 203.0.113.9
            source.port: 4711
            event.reason: too late
            message: Login of bob from 192.0.2.1 from 203.0.113.9:4711 refused: too late
            network.protocol: shop
            shop.area: till
            panoptes.format: syslog_rfc3164
            panoptes.anomaly: year_inferred
        "#]],
    );
}

#[test]
fn a_line_of_the_services_own_file_is_recognised_by_its_content() {
    check(
        SHOP,
        "[15.01.2024 10:30:00] WARN/42  Sign-in of bob from web.example refused",
        expect![[r#"
            2024-01-15T10:30:00Z
            event.kind: event
            event.dataset: shop.auth
            service.name: shop
            event.category: authentication
            event.type: start
            event.action: shop_login
            event.outcome: failure
            log.level: warning
            process.pid: 42
            message: Sign-in of bob from web.example refused
            user.name: bob
            source.address: web.example
            network.protocol: shop
            shop.area: till
            panoptes.format: service
        "#]],
    );
}

#[test]
fn what_no_pattern_knows_keeps_its_dataset_and_what_is_plain_to_see() {
    check(
        SHOP,
        "<13>Jan 15 10:30:00 h shopd: something new from 203.0.113.9",
        expect![[r#"
            2024-01-15T10:30:00Z
            log.syslog.priority: 13
            log.syslog.facility.code: 1
            log.syslog.facility.name: user
            log.syslog.severity.code: 5
            log.syslog.severity.name: notice
            log.level: notice
            host.name: h
            log.syslog.hostname: h
            log.syslog.appname: shopd
            process.name: shopd
            event.kind: event
            event.dataset: shop.auth
            service.name: shop
            source.ip: 203.0.113.9
            message: something new from 203.0.113.9
            panoptes.format: syslog_rfc3164
            panoptes.anomaly: year_inferred
        "#]],
    );
}

#[test]
fn each_mistake_is_named_with_its_line_and_the_rest_works() {
    let bad = r#"service = "bad"
programs = ["bad", "b*d", "bad*"]
colour = "red"

[[event]]
pattern = ["login of {user.name failed", "logout of {user.name} done"]
category = "authentification"
action = "x"

[[event]]
pattern = "fine {source.ip}"
action = 7

[[event]]
pattern = "also fine {source.ip}"
action = "fine"
outcome = "maybe"
set = { "panoptes.source" = "me" }

[[line]]
pattern = "{@timestamp} no message"
"#;
    let (set, errors) = ServiceFormats::compile(&[
        file("bad.toml", bad),
        file("torn.toml", "service = \"x\nprograms"),
        file("shop.toml", SHOP),
    ]);
    let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
    expect![[r#"
        bad.toml:2: `b*d` is no program's name; a `*` may stand at its end behind `/`, `-`, `_` or `.`
        bad.toml:2: `bad*` is no program's name; a `*` may stand at its end behind `/`, `-`, `_` or `.`
        bad.toml:3: `colour` is not known; a file has service, dataset, programs, [[line]], [[event]] and [[record]]
        bad.toml:6: `{` at character 10 is not closed; write `{{` for a brace
        bad.toml:7: `authentification` is no category; there are api, authentication, configuration, database, driver, email, file, host, iam, intrusion_detection, library, malware, network, package, process, registry, session, threat, vulnerability, web
        bad.toml:10: this needs an action: one word for what happened, such as "smtp_login"
        bad.toml:12: expected a text in quotes, found integer
        bad.toml:17: `maybe` is no outcome; there are success, failure, unknown
        bad.toml:18: `panoptes.source` is of Panoptes itself; call it otherwise
        bad.toml:21: the pattern of a [[line]] needs {message}: what its events read
        torn.toml:1: not valid TOML: invalid basic string, expected `"`
        torn.toml:1: nothing says which records are the service's; add programs = ["name"] for what it says through syslog, [[line]] for its own files, or [[record]] for JSON
        torn.toml:2: not valid TOML: key with no value, expected `=`"#]]
    .assert_eq(&said.join("\n"));
    assert_eq!(set.counts(), (2, 3));
    let batch = normalize(set, "Jan 15 10:30:00 h bad: logout of bob done");
    assert_eq!(batch.event(0).unwrap().get_named("user.name").unwrap().to_text(), "bob");
}

#[test]
fn examples_that_are_not_taken_are_mistakes() {
    let text = r#"service = "s"
programs = ["s"]
[[line]]
pattern = "<{message}>"
[[event]]
pattern = "login {*}"
action = "a"
example = ["login ok", "<login ok>", "logout"]
[[event]]
pattern = "login of {user.name}"
action = "b"
example = "login of bob"
"#;
    let (_, errors) = ServiceFormats::compile(&[file("s.toml", text)]);
    let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
    expect![[r#"
        s.toml:8: no pattern of its event takes this example
        s.toml:12: the pattern in line 6 takes this example; put it after this one"#]]
    .assert_eq(&said.join("\n"));
}

#[test]
fn limits_are_told() {
    let told = |text: String| {
        let (set, errors) = ServiceFormats::compile(&[file("f", &text)]);
        (errors.first().map_or_else(String::new, ToString::to_string), set.counts())
    };
    let event = "[[event]]\npattern = \"abc\"\naction = \"x\"\n";
    let (error, counts) = told(format!("service = \"s\"\nprograms = [\"p\"]\n{}", event.repeat(2_049)));
    assert!(error.contains("more than 2048 patterns"), "{error}");
    assert_eq!(counts, (1, 2_048));
    assert!(told(" ".repeat((1 << 20) + 1)).0.contains("longer than 1048576 bytes"));
    let files = vec![file("f", "service = \"s\"\nprograms = [\"p\"]"); 4_098];
    let (set, errors) = ServiceFormats::compile(&files);
    assert!(errors.first().unwrap().reason.contains("more than 4096 files"));
    assert_eq!((set.counts().0, errors.len()), (4_096, 1));
}

#[test]
fn a_users_file_is_asked_before_the_shipped_ones() {
    let own = "service = \"own\"\nprograms = [\"postfix/*\"]\n[[event]]\npattern = \"my own words from {source.ip}\"\naction = \"own\"";
    let (set, errors) = ServiceFormats::with_built_in(&[file("own.toml", own)]);
    assert_eq!(errors, []);
    let batch = normalize(set, "Jan 15 10:30:00 h postfix/smtpd[7]: my own words from 192.0.2.1");
    assert_eq!(batch.event(0).unwrap().get_named("event.dataset").unwrap().to_text(), "own");
}

#[test]
fn shipped_files_are_right_and_listed() {
    let (set, errors) = ServiceFormats::compile(&built_in::files());
    assert_eq!(errors, []);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../rules/formats");
    let on_disk = std::fs::read_dir(folder)
        .unwrap()
        .filter(|it| it.as_ref().unwrap().path().extension().is_some_and(|it| it == "toml"));
    assert_eq!(on_disk.count(), built_in::files().len(), "a file of rules/formats is not in built_in.rs");
    assert!(set.counts().0 >= 4);
}

#[test]
fn explain_tells_the_pattern() {
    let line = crate::formats::named("service").unwrap().example;
    let explanation = Normalizer::default().explain(line, &Origin::default(), now());
    let pattern = explanation.fields.iter().find(|(name, _)| name == "panoptes.pattern").unwrap();
    assert!(pattern.1.starts_with("shipped:formats/vaultwarden.toml:"), "{}", pattern.1);
}

/// Text that repeats what patterns look for without end.
#[test]
fn hostile_text_is_read_in_bounded_time() {
    let (set, _) = ServiceFormats::compile(&[file("shop.toml", SHOP)]);
    let set = Arc::new(set);
    for unit in [" from ", "Login of ", " refused", "] ", "[", "Login of x from 1.2.3.4 refused: "] {
        let line = format!("Jan 15 10:30:00 h shopd: Login of {}", unit.repeat(100_000));
        let mut records = RawBatch::new();
        let origin = records.origin(&Origin::default());
        records.push(origin, now(), 1, line.as_bytes());
        let frame = LogFrame { id: FrameId(1), now: now(), rules_epoch: 0, snapshots_epoch: 0, records };
        let normalizer = Normalizer::with_services(Options::default(), Arc::clone(&set));
        assert_eq!(normalizer.normalize(&Arc::new(Schema::ecs()), frame).len(), 1);
    }
}

/// The fixed texts of all shipped patterns, and what may stand between them.
fn fragments() -> Vec<String> {
    let schema = Schema::ecs();
    let mut fragments: Vec<String> = [
        "203.0.113.9",
        "[2001:db8::7]:22",
        "::ffff:1.2.3.4",
        "\"",
        "'",
        " ",
        "=",
        "<",
        ">",
        "(",
        ")",
        "bob",
        "ü",
        "7",
        "10:30:00",
        "2024-01-15 10:30:00 ",
        "Jan 15 10:30:00 h ",
        "[",
        "]: ",
        ",",
    ]
    .map(str::to_owned)
    .to_vec();
    for file in built_in::files() {
        let definition = file::read(&file, &schema, &mut Vec::new()).unwrap();
        fragments
            .extend(definition.programs.iter().map(|it| format!("Jan 15 10:30:00 h {}[7]: ", it.replace('*', "x"))));
        let templates =
            definition.patterns.iter().map(|it| &it.template).chain(definition.lines.iter().map(|it| &it.template));
        for op in templates.flat_map(|it| &it.ops) {
            match op {
                template::Op::Literal(literal) => fragments.push(literal.text.to_string()),
                template::Op::Capture(template::Capture { shape: template::Shape::OneOf(texts), .. }) => {
                    fragments.extend(texts.iter().map(ToString::to_string));
                }
                _ => {}
            }
        }
    }
    fragments
}

#[test]
fn nothing_made_of_the_shipped_texts_panics() {
    let fragments = fragments();
    assert!(fragments.len() > 2_000);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(2_000));
    let strategy = prop::collection::vec(prop::sample::select(fragments), 0..12);
    runner
        .run(&strategy, |parts| {
            let line = parts.concat();
            let mut records = RawBatch::new();
            let origin = records.origin(&Origin::default());
            records.push(origin, now(), 1, line.as_bytes());
            let frame = LogFrame { id: FrameId(1), now: now(), rules_epoch: 0, snapshots_epoch: 0, records };
            prop_assert_eq!(Normalizer::default().normalize(&Arc::new(Schema::ecs()), frame).len(), 1);
            Ok(())
        })
        .unwrap();
}

proptest! {
    #[test]
    fn no_bytes_panic(line: Vec<u8>, text in "[\\[\\] A-Za-z0-9:./{}=<>'\"%-]{0,80}") {
        for line in [line, format!("Jan 15 10:30:00 h shopd[7]: {text}").into_bytes(), text.clone().into_bytes()] {
            let line = String::from_utf8_lossy(&line).into_owned();
            let (set, _) = ServiceFormats::compile(&[file("shop.toml", SHOP)]);
            prop_assert_eq!(normalize(set, &line).len(), 1);
        }
    }

    #[test]
    fn no_file_panics(text in "(service|programs|line|event|pattern|action|set|\\[|\\]|\\[\\[|=|\"|\\{|\\}|,|\n|[a-z:%*?. ]){0,40}") {
        ServiceFormats::compile(&[file("f", &text)]);
        ServiceFormats::compile(&[file("f", &format!("service = \"s\"\nprograms = [\"p\"]\n[[event]]\naction = \"a\"\npattern = '{}'", text.replace(['\'', '\n'], "")))]);
    }
}

const RECORDS: &str = r#"
service = "till"

[[record]]
when = { kind = "till.login", state = "refused{?: {event.reason}}" }
fields = { "source" = ["peer.address", "ip"], "user.name" = "who.name", "@timestamp" = "at" }
category = "authentication"
type = "start"
action = "till_login"
outcome = "failure"

[[record]]
when = { code = "4711", text = "{*}" }
action = "till_code"
"#;

#[test]
fn a_record_is_read_by_what_its_fields_say() {
    check(
        RECORDS,
        r#"{"kind":"till.login","state":"refused: too late","peer":{"address":"203.0.113.9:4711"},"who":{"name":"bob"},"at":1705314600,"level":"info"}"#,
        expect![[r#"
            2024-01-15T10:30:00Z
            kind: till.login
            state: refused: too late
            peer.address: 203.0.113.9:4711
            who.name: bob
            at: 1705314600
            level: info
            log.level: info
            event.kind: event
            event.dataset: till
            service.name: till
            event.category: authentication
            event.type: start
            event.action: till_login
            event.outcome: failure
            event.reason: too late
            source.ip: 203.0.113.9
            source.port: 4711
            user.name: bob
            message: {"kind":"till.login","state":"refused: too late","peer":{"address":"203.0.113.9:4711"},"who":{"name":"bob"},"at":1705314600,"level":"info"}
            panoptes.format: json
        "#]],
    );
    check(
        RECORDS,
        r#"kind=till.login state=refused ip=203.0.113.9"#,
        expect![[r#"
        2024-01-15T12:00:00Z
        kind: till.login
        state: refused
        ip: 203.0.113.9
        event.kind: event
        event.dataset: till
        service.name: till
        event.category: authentication
        event.type: start
        event.action: till_login
        event.outcome: failure
        source.ip: 203.0.113.9
        message: kind=till.login state=refused ip=203.0.113.9
        panoptes.format: key_value
        panoptes.anomaly: time_missing
    "#]],
    );
}

#[test]
fn a_record_needs_all_that_is_asked_of_it() {
    let action = |line: &str| {
        let (set, errors) = ServiceFormats::compile(&[file("till.toml", RECORDS)]);
        assert_eq!(errors, []);
        let batch = normalize(set, line);
        let event = batch.event(0).unwrap();
        event.get_named("event.action").map_or_else(String::new, |it| it.to_text().into_owned())
    };
    assert_eq!(action(r#"{"code":4711,"text":"x"}"#), "till_code");
    for line in [
        r#"{"code":4711}"#,
        r#"{"code":47110,"text":"x"}"#,
        r#"{"code":[4711,1],"text":"x"}"#,
        r#"{"kind":"till.login"}"#,
        r#"{"kind":"till.login","state":"granted"}"#,
        r#"{"kind":"a till.login","state":"refused"}"#,
    ] {
        assert_eq!(action(line), "", "{line}");
    }
    // Longer than what is looked at.
    let long = format!(r#"{{"kind":"till.login{}","state":"refused"}}"#, " ".repeat(5_000));
    assert_eq!(action(&long), "");
    let many: String = (0..600).map(|n| format!(r#""k{n}":{n},"#)).collect();
    assert_eq!(action(&format!(r#"{{{many}"code":4711,"text":"x"}}"#)), "", "further than what is looked at");
    assert_eq!(action(&format!(r#"{{"code":4711,"text":"x",{}"z":0}}"#, many)), "till_code");
}

#[test]
fn a_record_without_a_known_text_is_a_mistake() {
    let said = |when: &str| {
        let text = format!("service = \"s\"\n[[record]]\nwhen = {when}\naction = \"a\"\n");
        let errors = ServiceFormats::compile(&[file("s.toml", &text)]).1;
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert!(said(r#"{ a = "{*}" }"#).contains("s.toml:2: a [[record]] needs `when`"));
    assert!(said(r#"{ a = "{x" }"#).contains("s.toml:3: `{` at character 1"));
    assert!(said(r#""a""#).contains("`when` is a table"));
    assert_eq!(said(r#"{ a = "abc" }"#), "");
}

#[test]
fn a_line_may_tell_its_service_alone() {
    let text = "service = \"s\"\n[[line]]\npattern = \"S|{@timestamp}|{message}\"\n[[line]]\npattern = \"SHOP! {message}\"\nalone = true\n[[event]]\npattern = \"known {user.name}\"\naction = \"a\"\n";
    let dataset = |line: &str| {
        let (set, _) = ServiceFormats::compile(&[file("s.toml", text)]);
        let batch = normalize(set, line);
        let event = batch.event(0).unwrap();
        ["event.dataset", "event.action", "message"]
            .map(|it| event.get_named(it).map_or_else(String::new, |it| it.to_text().into_owned()))
            .join("|")
    };
    assert_eq!(dataset("SHOP! something else"), "s||something else");
    assert_eq!(dataset("SHOP! known bob"), "s|a|known bob");
    assert_eq!(dataset("S|2024-01-15 10:30:00|known bob"), "s|a|known bob");
    assert_eq!(dataset("S|2024-01-15 10:30:00|else"), "plain||S|2024-01-15 10:30:00|else");
}

#[test]
fn names_of_programs_are_compared_whatever_their_case_and_only_so_long() {
    let text = "service = \"s\"\nprograms = [\"One\", \"two-*\"]\n[[event]]\npattern = \"known\"\naction = \"a\"\n";
    let (set, errors) = ServiceFormats::compile(&[file("s.toml", text)]);
    assert_eq!(errors, []);
    for (name, is_known) in [
        ("one", true),
        ("ONE", true),
        ("two-a", true),
        ("two-a-b", true),
        ("two", false),
        ("twofold-a", false),
        ("", false),
    ] {
        assert_eq!(set.dataset_of_program(name).is_some(), is_known, "{name}");
    }
    assert!(set.dataset_of_program(&format!("two-{}", "a".repeat(60))).is_some());
    assert!(set.dataset_of_program(&format!("two-{}", "a".repeat(61))).is_none());
}

#[test]
fn of_many_places_only_so_many_are_looked_at() {
    let text = "service = \"s\"\nprograms = [\"p\"]\n[[event]]\npattern = \"{*}first {*}\"\naction = \"a\"\n[[event]]\npattern = \"{*}second\"\naction = \"b\"\n";
    let action = |times: usize| {
        let (set, _) = ServiceFormats::compile(&[file("s.toml", &text.replace("first {*}", "first."))]);
        let batch = normalize(set, &format!("Jan 15 10:30:00 h p: {}second", "first.".repeat(times)));
        let event = batch.event(0).unwrap();
        event.get_named("event.action").map_or_else(String::new, |it| it.to_text().into_owned())
    };
    assert_eq!(action(4_095), "b");
    assert_eq!(action(4_096), "", "the text behind them is not seen");
}
