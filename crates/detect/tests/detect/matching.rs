//! What a single-event rule sees of an event, and which events it is asked about.

use std::sync::Arc;

use crate::support::{Bench, NOW, batch_of, rules_of, shown};
use panoptes_detect::{CompileOptions, RuleFile, RuleSet};
use panoptes_model::{EventBatch, FrameId, Schema, Timestamp, field};

/// Whether a rule with this log source and selection matches a batch of one event.
fn matches(rule: &str, line: &str) -> bool {
    let rules = rules_of(&format!("title: t\nlogsource: {{product: linux}}\ndetection:\n{rule}\n  condition: s\n"));
    let batch = batch_of(&rules, 1, "test", &[(0, &format!("event.dataset=linux.sshd {line}"))]);
    !rules.prepare(&batch).is_empty()
}

#[test]
fn values_match_as_what_they_are() {
    for (rule, line, expected) in [
        ("  s: {user.name: ROOT}", "user.name=root", true),
        ("  s: {user.name|cased: ROOT}", "user.name=root", false),
        ("  s: {user.name|contains: oo}", "user.name=root", true),
        ("  s: {user.name: r*t}", "user.name=root", true),
        ("  s: {user.name|re: '^r.{2}t$'}", "user.name=root", true),
        ("  s: {source.ip|cidr: 203.0.113.0/24}", "source.ip=203.0.113.9", true),
        ("  s: {source.ip|cidr: 203.0.113.0/24}", "source.ip=203.0.114.9", false),
        ("  s: {source.ip: 203.0.113.9}", "source.ip=203.0.113.9", true),
        ("  s: {source.ip|cidr: '2001:db8::/32'}", "source.ip=2001:db8::9", true),
        ("  s: {http.response.status_code|gte: 500}", "http.response.status_code=503", true),
        ("  s: {http.response.status_code: 503}", "http.response.status_code=503", true),
        ("  s: {http.response.status_code|lt: 500}", "http.response.status_code=503", false),
        ("  s: {user.name|exists: true}", "user.name=root", true),
        ("  s: {user.name|exists: false}", "user.name=root", false),
        ("  s: {user.name|exists: false}", "source.ip=203.0.113.9", true),
        ("  s: {panoptes.source: test}", "user.name=root", true),
        ("  s: {own.field: x}", "own.field=x", true),
        ("  s: [needle]", "message=a_NEEDLE_in_hay", true),
        ("  s: [needle]", "message=hay", false),
        ("  s: {user.name|fieldref: user.target.name}", "user.name=bob user.target.name=bob", true),
        ("  s: {url.decoded|contains: '../etc'}", "url.original=/%252e%252e/etc", true),
        ("  s: {url.decoded|contains: '../etc'}", "url.original=/etc", false),
        ("  s: {url.decoded|contains: '../etc'}", "user.name=root", false),
    ] {
        assert_eq!(matches(rule, line), expected, "{rule} on {line}");
    }
}

#[test]
fn items_of_lists_and_decoded_text_are_seen() {
    let rules = rules_of(
        "title: list\nlogsource: {product: linux}\ndetection: {s: {event.category: web}, condition: s}\n---\n\
         title: keyword\nlogsource: {product: linux}\ndetection: {s: [hidden words], condition: s}\n",
    );
    let schema = Arc::new(Schema::ecs());
    let batch = EventBatch::build(schema, FrameId(1), NOW, Vec::new(), "raw".to_owned(), |writer| {
        let input = writer.input();
        writer.begin(input, 0, Timestamp(0), 1);
        writer.text(field::EVENT_DATASET, "linux.sshd");
        writer.text_list(field::EVENT_CATEGORY, ["authentication", "web"]);
        // No piece of the record, so keywords must look here too.
        writer.text(field::ERROR_MESSAGE, "some hidden words");
        writer.end();
    });
    assert_eq!(rules.prepare(&batch).len(), 2);
}

#[test]
fn rules_of_other_log_sources_are_not_asked() {
    let text =
        |source: &str| format!("title: t\nlogsource: {source}\ndetection: {{s: {{user.name: root}}, condition: s}}\n");
    let asked = |source: &str, dataset: &str, more: &str| {
        let rules: Arc<RuleSet> = rules_of(&text(source));
        let line = format!("event.dataset={dataset} user.name=root {more}");
        !rules.prepare(&batch_of(&rules, 1, "test", &[(0, &line)])).is_empty()
    };
    assert!(asked("{product: linux, service: sshd}", "linux.sshd", ""));
    assert!(!asked("{product: linux, service: sshd}", "linux.sudo", ""));
    assert!(!asked("{product: windows}", "linux.sshd", ""));
    assert!(!asked("{product: linux, category: process_creation}", "linux.sshd", ""));
    assert!(asked("{definition: all}", "linux.sshd", ""));
    assert!(asked("{definition: all}", "never.heard_of", ""));
    assert!(asked("{product: acme, service: system}", "acme.system", ""));
    assert!(asked("{product: acme}", "acme.system", ""));
    assert!(!asked("{product: acme, service: other}", "acme.system", ""));
    assert!(!asked("{category: webserver}", "json", ""));
    assert!(asked("{category: webserver}", "json", "event.category=web"));
    assert!(asked("{category: application}", "json", "event.category=web"));
    assert!(asked("{category: authentication}", "keyvalue", "event.category=authentication"));
}

#[test]
fn names_of_web_rules_mean_ecs_fields() {
    let rules = rules_of(
        "title: t\nlogsource: {category: webserver}\nfields: [c-ip]\ndetection:\n  s:\n    cs-method: GET\n    cs-uri-query|contains: /admin\n    sc-status: 200\n  condition: s\n",
    );
    assert!(rules.fields().contains(&"url.original") && !rules.fields().contains(&"cs-uri-query"));
    let line = "event.dataset=nginx.access http.request.method=GET url.original=/admin?x http.response.status_code=200";
    assert_eq!(rules.prepare(&batch_of(&rules, 1, "test", &[(0, line)])).len(), 1);
}

#[test]
fn filters_take_events_out_of_rules_of_other_files() {
    let rule = "title: Root\nname: root_login\nlogsource: {product: linux, service: sshd}\ndetection: {selection: {user.name: root}, condition: 1 of them}\n---\n";
    let filter = "title: Not from the jump host\nlogsource: {product: linux}\nfilter:\n  rules: [root_login]\n  selection: {source.ip: 192.0.2.1}\n  condition: not selection\n";
    let mut bench = Bench::new(&format!("{rule}{filter}"));
    let line = |ip: &str| format!("event.dataset=linux.sshd user.name=root source.ip={ip}");
    let (jump, other) = (line("192.0.2.1"), line("192.0.2.2"));
    assert_eq!(shown(&bench.fold(&[(0, &jump), (1, &other)])), ["Root 1 [source.ip=192.0.2.2 user.name=root] 1..1"]);
}

#[test]
fn a_finding_says_whom_it_is_about_and_why() {
    let mut bench = Bench::new(
        "title: Traversal\nid: 7f1f2a52-97b9-4d6c-9a0e-0d5d1a3f9a11\nlogsource: {category: webserver}\nfields: [user_agent.original]\ndetection: {s: {url.decoded|contains: ../}, condition: s}\nlevel: high\ntags: [attack.t1190]\n---\n\
         title: Chosen\nlogsource: {category: webserver}\npanoptes.entities: [url.domain]\ndetection: {s: {url.decoded|contains: ../}, condition: s}\n",
    );
    let line = "event.dataset=nginx.access url.original=/%2e%2e/x source.ip=203.0.113.9 url.domain=shop.example user_agent.original=curl/8";
    let found = bench.fold(&[(7, line)]);
    assert_eq!(
        shown(&found),
        ["Traversal 1 [source.ip=203.0.113.9 url.domain=shop.example] 7..7", "Chosen 1 [url.domain=shop.example] 7..7"]
    );
    assert_eq!(found[0].reason, "url.decoded is `/../x`");
    assert_eq!(found[0].sample, line);
    assert_eq!((found[0].source.as_str(), found[0].position), ("test", 1));
    assert!(found[0].context.iter().any(|it| it.field == "user_agent.original" && it.value == "curl/8"));
    assert_eq!(
        (found[0].rule.id.as_str(), found[0].rule.level.as_str()),
        ("7f1f2a52-97b9-4d6c-9a0e-0d5d1a3f9a11", "high")
    );
    assert_ne!(found[0].id, found[1].id);
}

#[test]
fn an_event_without_any_entity_is_about_its_source() {
    let mut bench =
        Bench::new("title: t\nlogsource: {category: application}\ndetection: {s: {message: boom}, condition: s}\n");
    assert_eq!(shown(&bench.fold(&[(0, "event.dataset=plain message=boom")])), ["t 1 [panoptes.source=test] 0..0"]);
}

#[test]
fn placeholders_stand_for_the_lists_beside_the_rules() {
    let rule = "title: T\nid: 8b0fd4d4-8e5f-4a7e-b7c5-3a2c4ad0ac01\nlogsource: {definition: any}\ndetection:\n  s: {user.name|expand: 'adm-%admins%'}\n  condition: s\n";
    let lists = "[placeholders]\nadmins = ['bob', 'e*']\n";
    let file = |path: &str, text: &str| RuleFile { path: path.to_owned(), text: text.to_owned() };
    let (rules, errors) =
        RuleSet::compile(vec![file("r.yml", rule), file("lists.toml", lists)], &CompileOptions::default());
    assert!(errors.is_empty(), "{errors:#?}");
    let lines = [(1, "user.name=adm-bob"), (2, "user.name=adm-eve"), (3, "user.name=bob"), (4, "user.name=adm-al")];
    let batch = batch_of(&rules, 1, "test", &lines);
    assert_eq!(rules.prepare(&batch).pairs().map(|it| it.0).collect::<Vec<_>>(), [0, 1]);

    let (rules, errors) = RuleSet::compile(vec![file("r.yml", rule)], &CompileOptions::default());
    assert_eq!(rules.prepare(&batch_of(&rules, 1, "test", &lines)).len(), 0);
    assert!(errors.len() == 1 && errors[0].loaded, "{errors:#?}");
    assert!(errors[0].to_string().contains("`%admins%` has no list"), "{errors:#?}");
}

#[test]
fn keywords_are_found_however_json_spells_them() {
    let rule = "title: T\nid: 8b0fd4d4-8e5f-4a7e-b7c5-3a2c4ad0ac02\nlogsource: {definition: any}\ndetection:\n  s: ['net/User \\x', 'ünlü']\n  condition: s\n";
    let rules = rules_of(rule);
    let schema = crate::lines::schema_of(&rules);
    for (line, expected) in [
        (r#"{"a":"NET/user \\X"}"#, true),
        (r#"{"a":"net\/user \\x"}"#, true),
        (r#"{"a":"n\u0065t/user \\x"}"#, true),
        (r#"{"a":{"b":["ÜNLÜ"]}}"#, true),
        (r#"{"a":"\u00fcnl\u00dc"}"#, true),
        (r#"{"a":["n\u0065t/user \\x"]}"#, true),
        (r#"{"a":"net/user \x"#, true),
        (r#"{"a":1} NET/user \x"#, true),
        (r#"{"net/user \\x":"is no value"}"#, false),
        (r#"{"a":"net","b":"/user \\x"}"#, false),
        (r#"{"a":"net/user \\","b":"x"}"#, false),
        ("plain net/user \\x text", true),
        ("authentication", false),
    ] {
        let batch = crate::lines::normalized(&schema, &panoptes_model::Origin::default(), 1, [line], NOW);
        assert_eq!(!rules.prepare(&batch).is_empty(), expected, "{line}");
    }
    let own = rules_of(&rule.replace("'net/User \\x', 'ünlü'", "json, event, plain"));
    let schema = crate::lines::schema_of(&own);
    let batch = crate::lines::normalized(&schema, &panoptes_model::Origin::default(), 1, [r#"{"a":1}"#, "text"], NOW);
    assert!(own.prepare(&batch).is_empty(), "what Panoptes says itself is no text of the record");
}

#[test]
fn selections_are_chosen_by_names_with_stars_anywhere() {
    let rule = |of: &str| {
        rules_of(&format!(
            "title: t\nlogsource: {{definition: any}}\ndetection:\n  a_in_x: {{user.name: a}}\n  b_in_y: {{user.name: b}}\n  _c_in_z: {{user.name: c}}\n  condition: 1 of {of}\n"
        ))
    };
    for (of, expected) in
        [("*_in_*", "abc"), ("*_in_y", "b"), ("a*", "a"), ("them", "ab"), ("*", "abc"), ("a_in_x", "a")]
    {
        let rules = rule(of);
        let fires =
            |name: &&str| !rules.prepare(&batch_of(&rules, 1, "test", &[(0, &format!("user.name={name}"))])).is_empty();
        assert_eq!(["a", "b", "c"].iter().copied().filter(fires).collect::<String>(), expected, "{of}");
    }
}

#[test]
fn what_rules_wait_for_changes_and_what_they_match_does_not() {
    // What a rule waits for at first (the longer text) is in every event, what it waits for later is in few.
    let rules = rules_of(
        "title: both\nid: 8b0fd4d4-8e5f-4a7e-b7c5-3a2c4ad0ac11\nlogsource: {definition: any}\ndetection:\n  \
         s: {user.name|contains: everybody, host.name: rare}\n  condition: s\n---\n\
         title: either\nid: 8b0fd4d4-8e5f-4a7e-b7c5-3a2c4ad0ac12\nlogsource: {definition: any}\ndetection:\n  \
         s: {user.name|contains: everybody}\n  t: {host.name|re: 'r..e'}\n  u: {host.name|contains: c}\n  \
         condition: s and (t or u)\n---\n\
         title: not\nid: 8b0fd4d4-8e5f-4a7e-b7c5-3a2c4ad0ac13\nlogsource: {definition: any}\ndetection:\n  \
         s: {user.name|contains: everybody}\n  t: {host.name: [rare, often]}\n  condition: s and not t\n",
    );
    let hosts = ["often", "often", "rare", "often", "choice", "often"];
    let lines: Vec<String> =
        hosts.iter().cycle().take(600).map(|it| format!("user.name=everybody host.name={it}")).collect();
    let lines: Vec<(i64, &str)> = (0..).zip(lines.iter().map(String::as_str)).collect();
    for round in 1..=9 {
        let batch = batch_of(&rules, round, "test", &lines);
        let pairs: Vec<_> = rules.prepare(&batch).pairs().collect();
        let expected = (0_u32..600).flat_map(|event| match event % 6 {
            2 => vec![(event, 0), (event, 1)],
            4 => vec![(event, 1), (event, 2)],
            _ => vec![],
        });
        assert_eq!(pairs, expected.collect::<Vec<_>>(), "round {round}");
    }
}
