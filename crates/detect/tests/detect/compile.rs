//! What is wrong with rules is said all at once, with place, reason and cure.

use std::collections::BTreeSet;

use panoptes_detect::{
    CompileOptions, NEVER_SEEN_RULE_ID, RULE_FILE_BYTES_MAX, RULES_MAX, RuleError, RuleFile, RuleSet,
};
use panoptes_model::Severity;

use crate::corpora::corpora;
use crate::lines::files;

fn compile(files: &[(&str, &str)]) -> (RuleSet, Vec<RuleError>) {
    let files = files.iter().map(|(path, text)| RuleFile { path: (*path).to_owned(), text: (*text).to_owned() });
    RuleSet::compile(files.collect(), &CompileOptions::default())
}

const GOOD: &str = "title: Good\nid: 11111111-1111-4111-8111-111111111111\nname: good\nlogsource: {product: linux}\ndetection:\n  selection: {user.name: root}\n  condition: selection\nlevel: low\n";

/// The first error of one broken file beside a good one, which must load all the same.
fn error_of(text: &str) -> String {
    let (rules, errors) = compile(&[("bad.yml", text), ("good.yml", GOOD)]);
    assert!(rules.rules().any(|it| it.summary.title == "Good"), "{errors:#?}");
    assert!(errors.iter().all(|it| it.path == "bad.yml" && !it.cure.is_empty()), "{errors:#?}");
    errors.first().unwrap_or_else(|| panic!("no error in {text}")).to_string()
}

#[test]
fn every_kind_of_damage_is_named_with_its_line_and_cure() {
    let detection = |body: &str| {
        format!(
            "title: Bad\nlogsource: {{product: linux}}\ndetection:\n  selection:\n    {body}\n  condition: selection\n"
        )
    };
    for (text, expected) in [
        ("title: Bad\n  x: [\n", "bad.yml:2:"),
        (
            "title: Bad\nlogsource: {product: linux}\n",
            "bad.yml:1: rule \"Bad\": missing required field 'detection'; add it",
        ),
        (
            "logsource: {product: linux}\ndetection: {s: {a: b}, condition: s}\n",
            "bad.yml:1: missing required field 'title'",
        ),
        (
            &detection("user.name|contians: x"),
            "bad.yml:5:14: rule \"Bad\": unknown modifier 'contians'; use a modifier",
        ),
        (
            &detection("user.name|re: '(['"),
            "bad.yml:5:14: rule \"Bad\": the regular expression cannot be used: unclosed",
        ),
        (
            &detection("source.ip|cidr: nonsense"),
            "bad.yml:5:21: rule \"Bad\": `nonsense` is no network; write it as address/bits",
        ),
        (
            &detection("a: b").replace("condition: selection", "condition: selektion"),
            "bad.yml:6:3: rule \"Bad\": the condition names `selektion`, which is no selection of the rule; define it",
        ),
        (&detection("a: b").replace("condition: selection", "condition: selection and and"), "bad.yml:6:"),
        ("- just\n- a list\n", "bad.yml:1: document is not a YAML mapping"),
        ("# nothing but a comment\n", "bad.yml: there is no rule in the file; write one"),
        ("", "bad.yml: there is no rule in the file"),
        (&format!("{}level: hihg\n", detection("a: b")), "invalid level: 'hihg'"),
    ] {
        let error = error_of(text);
        assert!(error.contains(expected), "{error}\ndoes not contain\n{expected}");
    }
    assert!(error_of(&"#".repeat(RULE_FILE_BYTES_MAX + 1)).contains("larger than 1024 KiB; split it"));
}

#[test]
fn nesting_that_would_exhaust_the_stack_is_refused() {
    let rule = |condition: String| {
        format!("title: Deep\nlogsource: {{product: linux}}\ndetection:\n  s: {{a: b}}\n  condition: {condition}\n")
    };
    for deep in [
        rule(format!("{}s{}", "(".repeat(100_000), ")".repeat(100_000))),
        rule(format!("{}s", "not ".repeat(100_000))),
        rule(format!("{}s{}", "(not ".repeat(300), ")".repeat(300))),
        format!("title: Deep\ndetection: {}\n", "[".repeat(100_000)),
        format!("title: Deep\ndetection:\n  s: {}x{}\n", "{a: ".repeat(10_000), "}".repeat(10_000)),
    ] {
        let error = error_of(&deep);
        assert!(error.starts_with("bad.yml:"), "{error}");
    }
    let (rules, errors) = compile(&[("a.yml", &rule(format!("{}s{}", "(".repeat(60), ")".repeat(60))))]);
    assert_eq!((rules.len(), errors.len()), (1, 0), "{errors:?}");
}

#[test]
fn a_wrong_word_that_only_people_read_does_not_stop_the_rule() {
    let (rules, errors) = compile(&[("a.yml", &GOOD.replace("level: low", "level: hihg"))]);
    assert_eq!((rules.len(), errors.len()), (1, 1));
    assert!(errors[0].loaded && errors[0].line == Some(8), "{errors:#?}");
    assert_eq!(rules.rules().next().unwrap().summary.level, Severity::Medium);
}

#[test]
fn one_broken_document_costs_only_itself() {
    let (rules, errors) = compile(&[(
        "many.yml",
        &format!("{GOOD}---\ntitle: Broken\ndetection: {{\n---\n{}", GOOD.replace('1', "2").replace("good", "second")),
    )]);
    assert_eq!(rules.len(), 2, "{errors:#?}");
    assert_eq!(errors.len(), 1);
    assert_eq!((errors[0].title.as_deref(), errors[0].line.unwrap() >= 10), (Some("Broken"), true), "{errors:#?}");
}

#[test]
fn ids_and_names_belong_to_one_rule_each() {
    let (rules, errors) = compile(&[("a.yml", GOOD), ("b.yml", &GOOD.replace("name: good\n", ""))]);
    assert_eq!((rules.len(), errors.len()), (1, 1));
    assert_eq!(
        errors[0].to_string(),
        "b.yml:2:5: rule \"Good\": its id `11111111-1111-4111-8111-111111111111` is that of a rule in a.yml:1 already; give each rule an id (a new UUID) and a name of its own"
    );
    let (_, errors) = compile(&[("a.yml", GOOD), ("b.yml", &GOOD.replace("1111", "2222"))]);
    assert!(errors[0].reason.contains("its name `good`"), "{errors:#?}");
    // Without an id, the title is what tells rules apart.
    let anonymous = GOOD.replace("id: 11111111-1111-4111-8111-111111111111\nname: good\n", "");
    let (rules, errors) = compile(&[("a.yml", &anonymous), ("b.yml", &anonymous)]);
    assert_eq!((rules.len(), errors.len()), (1, 1));
    assert!(rules.rules().next().unwrap().summary.id.starts_with("title-"));
}

fn correlation(body: &str) -> String {
    format!("title: Counted\ncorrelation:\n{body}")
}

#[test]
fn correlations_are_checked_when_they_are_loaded() {
    for (text, expected) in [
        (correlation("  type: event_count\n  rules: [absent]\n  timespan: 1m\n  condition: {gte: 2}\n"), "bad.yml:4:11: rule \"Counted\": it names the rule `absent`, which is not loaded"),
        (correlation("  type: event_count\n  rules: [good, good]\n  timespan: 1m\n  condition: {gte: 2}\n"), "names the rule `good` twice"),
        (correlation("  type: event_count\n  rules: []\n  timespan: 1m\n  condition: {gte: 2}\n"), "it names 0 rules"),
        (correlation("  type: event_count\n  rules: [good]\n  timespan: 10y\n  condition: {gte: 2}\n"), "the timespan is"),
        (correlation("  type: event_count\n  rules: [good]\n  condition: {gte: 2}\n"), "Missing timeframe"),
        (correlation("  type: event_count\n  rules: [good]\n  timespan: 1m\n"), "condition"),
        (correlation("  type: event_count\n  rules: [good]\n  timespan: 1m\n  condition: {gte: 2, field: x}\n"), "event_count counts no field"),
        (correlation("  type: value_count\n  rules: [good]\n  timespan: 1m\n  condition: {gte: 2}\n"), "does not say what it counts"),
        (correlation("  type: value_count\n  rules: [good]\n  timespan: 1m\n  condition: {gte: 200000, field: x}\n"), "cannot count further than 131072"),
        (correlation("  type: value_count\n  rules: [good]\n  timespan: 1m\n  condition: {gte: -5, field: x}\n"), "the threshold is below 0"),
        (correlation("  type: value_sum\n  rules: [good]\n  timespan: 1m\n  condition: {gte: 2}\n"), "value_sum does not say what it counts"),
        (correlation("  type: value_avg\n  rules: [good]\n  timespan: 1m\n  condition: {gte: 2, field: [x, y]}\n"), "value_avg reckons with one field, not with 2"),
        (correlation("  type: value_percentile\n  rules: [good]\n  timespan: 1m\n  condition: {gte: 2, field: x, percentile: 101}\n"), "there is no percentile 101"),
        (correlation("  type: value_median\n  rules: [good]\n  timespan: 1m\n  condition: {gte: 2, field: x, percentile: 50}\n"), "value_median knows no `percentile:`"),
        (correlation("  type: guesswork\n  rules: [good]\n  timespan: 1m\n  condition: {gte: 2}\n"), "Unknown correlation type"),
        (correlation("  type: temporal\n  rules: [good]\n  timespan: 1m\n"), "it names 1 rules, not 2 to 64"),
        (correlation("  type: temporal\n  rules: [good, inner]\n  timespan: 1m\n  condition: {gte: 3}\n"), "the condition can never hold with 2 rules"),
        (correlation("  type: temporal_ordered\n  rules: [good, inner]\n  timespan: 1m\n  condition: not inner\n"), "the condition can never hold when all rules match"),
        (correlation("  type: temporal\n  rules: [good, inner]\n  timespan: 1m\n  condition: good or other\n"), "names the rule `other`, which is not among `rules:`"),
        (correlation("  type: temporal\n  rules: [good, inner]\n  timespan: 1m\n  condition: 2 of goo*\n"), "the condition wants 2 rules of a pattern that 1 match"),
        (correlation("  type: event_count\n  rules: [good]\n  timespan: 1m\n  condition: good\n"), "the condition of event_count is a sentence"),
        (correlation("  type: event_count\n  rules: [good]\n  window: hopping\n  timespan: 1m\n  condition: {gte: 2}\n"), "Unknown window mode"),
        (correlation("  type: event_count\n  rules: [good]\n  window: session\n  timespan: 1m\n  condition: {gte: 2}\n"), "requires a gap"),
        (correlation("  type: event_count\n  rules: [good]\n  window: session\n  gap: 0s\n  timespan: 1m\n  condition: {gte: 2}\n"), "the gap of the session is 0 s"),
        (correlation("  type: event_count\n  rules: [good]\n  aliases: {who: {other: user.name}}\n  group-by: [who]\n  timespan: 1m\n  condition: {gte: 2}\n"), "the alias `who` has no field for the rule `good`"),
        ("title: A\nname: a\ncorrelation: {type: event_count, rules: [b], timespan: 1m, condition: {gte: 2}}\n---\ntitle: B\nname: b\ncorrelation: {type: event_count, rules: [a], timespan: 1m, condition: {gte: 2}}\n".to_owned(), "which leads back to it; break the circle"),
    ] {
        let error = error_of(&text);
        assert!(error.contains(expected), "{error}\ndoes not contain\n{expected}");
    }
}

#[test]
fn a_correlation_may_stand_before_what_it_names_and_in_another_file() {
    let outer = "title: Outer\ncorrelation: {type: event_count, rules: [inner], group-by: [user.name], timespan: 1m, condition: {gte: 2}}\n";
    let inner = "title: Inner\nname: inner\ncorrelation: {type: event_count, rules: [11111111-1111-4111-8111-111111111111], group-by: [user.name], timespan: 1m, condition: {gte: 2}}\n";
    let (rules, errors) = compile(&[("a.yml", outer), ("b.yml", inner), ("c.yml", GOOD)]);
    assert!(errors.is_empty(), "{errors:#?}");
    let reports: Vec<(&str, bool)> = rules.rules().map(|it| (it.summary.title.as_str(), it.reports)).collect();
    assert_eq!(reports, [("Good", false), ("Inner", false), ("Outer", true)]);
}

#[test]
fn rules_below_the_level_and_disabled_ones_do_not_report() {
    let other = GOOD.replace('1', "2").replace("good", "other").replace("Good", "Other").replace("low", "high");
    let file = |text: &str| RuleFile { path: "x.yml".to_owned(), text: text.to_owned() };
    let options = CompileOptions { min_level: Severity::Medium, ..CompileOptions::default() };
    let (rules, _) = RuleSet::compile(vec![file(GOOD), file(&other)], &options);
    assert_eq!(rules.rules().map(|it| it.reports).collect::<Vec<_>>(), [false, true]);
    assert!(!rules.detectors()[0].reports);
    let disabled = ["22222222-2222-4222-8222-222222222222", NEVER_SEEN_RULE_ID].map(str::to_owned);
    let options = CompileOptions { disabled: BTreeSet::from(disabled), ..CompileOptions::default() };
    let (rules, _) = RuleSet::compile(vec![file(GOOD), file(&other)], &options);
    assert_eq!(rules.rules().map(|it| it.reports).collect::<Vec<_>>(), [true, false]);
    assert!(!rules.detectors()[0].reports);
}

#[test]
fn a_rule_knows_what_people_want_to_read() {
    let text = format!(
        "{GOOD}description: What it is.\nauthor: Somebody\nstatus: test\nfalsepositives: [None]\nreferences: ['https://example.com']\ntags: [attack.t1110]\n"
    );
    let (rules, errors) = compile(&[("a.yml", &text)]);
    assert!(errors.is_empty(), "{errors:#?}");
    let rule = rules.rules().next().unwrap();
    assert_eq!(rule.description.as_deref(), Some("What it is."));
    assert_eq!((rule.author.as_deref(), rule.status.as_deref()), (Some("Somebody"), Some("test")));
    assert_eq!((rule.falsepositives.len(), rule.references.len(), rule.summary.tags.len()), (1, 1, 1));
    assert_eq!((rule.log_source.as_str(), rule.line), ("product=linux", Some(1)));
    assert!(rule.datasets.iter().any(|it| it == "linux.sshd") && !rule.datasets.iter().any(|it| it == "nginx.access"));
}

#[test]
fn a_set_has_a_most_of_rules() {
    let one = |index: usize| {
        format!("title: t{index}\nlogsource: {{product: p}}\ndetection: {{s: {{a: b}}, condition: s}}\n---\n")
    };
    let files = (0..=RULES_MAX).collect::<Vec<_>>();
    let files = files
        .chunks(5_000)
        .map(|indexes| RuleFile { path: "many.yml".to_owned(), text: indexes.iter().map(|it| one(*it)).collect() });
    let (rules, errors) = RuleSet::compile(files.collect(), &CompileOptions::default());
    assert_eq!(rules.len(), RULES_MAX);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].reason.contains("one more than the 20000 rules"), "{errors:#?}");
}

#[test]
fn no_text_makes_the_compiler_panic() {
    for text in [
        "\u{feff}",
        "---",
        "--- ---",
        "a: &a [*a]",
        "title: x\naction: global\n---\n",
        "{",
        "\u{0}",
        "title: [1]",
        "? ? ?",
        "title: a\ncorrelation: 1",
        "title: a\nfilter: 1",
        "title: 1\ndetection: 1",
    ] {
        compile(&[("x.yml", text)]);
        for (end, _) in GOOD.char_indices() {
            compile(&[("x.yml", &format!("{}{text}", GOOD.get(..end).unwrap()))]);
        }
    }
}

#[test]
fn all_rules_of_sigmahq_load() {
    let Some(corpora) = corpora() else { return };
    let files = files(&corpora.join("sigma/rules"), ".yml");
    let count = files.len();
    let (rules, errors) = RuleSet::compile(files, &CompileOptions::default());
    assert!(count > 3_000, "{count}");
    let shown: String = errors.iter().map(|it| format!("{it}\n")).collect();
    assert_eq!((rules.len(), errors.len()), (count, 0), "{shown}");
    println!("{count} rules, {} fields", rules.fields().len());
}
