//! Random rules, random events: both engines must say the same of every pair.

use panoptes_detect::RuleFile;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use rsigma_parser::SigmaRule;
use serde_json::Value;

use crate::engines::{Ours, Theirs, parsed};
use crate::generate::{EventSpec, RuleSpec, event, rule};

/// How many sets of rules are tried where `PANOPTES_ORACLE_CASES` says nothing: some ten seconds in the dev profile.
const CASES: u32 = 400;

#[test]
fn random_rules_match_the_same_random_events() {
    let cases = std::env::var("PANOPTES_ORACLE_CASES").ok().and_then(|it| it.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(CASES),
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..Config::default()
    };
    // CI compares the same every time; who asks for more gets new cases.
    let mut runner = match cases {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let strategy = (prop::collection::vec(rule(), 1..7), prop::collection::vec(event(), 1..24));
    let mut pairs = Pairs::default();
    let counted = std::cell::RefCell::new(&mut pairs);
    let outcome = runner.run(&strategy, |(rules, events)| {
        compare(&rules, &events).map(|it| counted.borrow_mut().add(&it)).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, _)) => panic!("{reason}"),
        Err(error) => panic!("{error}"),
    }
    let Pairs { asked, matched } = pairs;
    println!("random rules: {asked} pairs of an event and a rule, {matched} match, all agree");
    assert!(matched * 20 > asked, "too few random events match: {matched} of {asked}");
    assert!(matched * 2 < asked * 2 - asked / 20, "too many random events match: {matched} of {asked}");
}

#[derive(Default)]
struct Pairs {
    asked: usize,
    matched: usize,
}

impl Pairs {
    fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.matched += other.matched;
    }
}

/// A set of rules for both.
struct Both {
    ours: Ours,
    theirs: Theirs,
    parsed: Vec<SigmaRule>,
}

fn compile(rules: &[Value]) -> Result<Both, String> {
    let text = |rule: &Value| RuleFile { path: format!("{}.yml", rule["id"]), text: rule.to_string() };
    let files: Vec<RuleFile> = rules.iter().map(text).collect();
    let (ours, errors) = Ours::compile(files.clone());
    if let Some(error) = errors.first() {
        let rules: String = rules.iter().map(|it| format!("{it:#}\n")).collect();
        return Err(format!("we refuse a rule that they take: {error}\n{rules}"));
    }
    let parsed = parsed(&files);
    Ok(Both { ours, theirs: Theirs::compile(&parsed), parsed })
}

fn compare(rules: &[RuleSpec], events: &[EventSpec]) -> Result<Pairs, String> {
    let named = rules.iter().zip(0..).map(|(rule, number)| rule.to_json(&format!("rule-{number}")));
    // What no engine can compile, such as an expression of nothing, says nothing.
    let rules: Vec<Value> = named.filter(accepted).collect();
    let both = compile(&rules)?;
    let lines: Vec<String> = events.iter().map(|it| it.line(&both.parsed)).collect();
    let ours = both.ours.ask_records(lines.iter().map(String::as_str));
    let mut pairs = Pairs::default();
    for (line, ours) in lines.iter().zip(&ours) {
        let theirs = both.theirs.ask(line);
        if let Some(id) = ours.symmetric_difference(&theirs).next() {
            let rule = rules.iter().find(|it| it["id"] == **id).unwrap();
            let alone = compile(std::slice::from_ref(rule))?.ours.ask_records([line.as_str()]);
            return Err(format!(
                "{}\nrule: {rule:#}\nevent: {line}\nof the rule alone, we say: {}",
                if ours.contains(id) { "we match, rsigma-eval does not" } else { "rsigma-eval matches, we do not" },
                if alone.iter().any(|it| it.contains(id)) { "match" } else { "no match" },
            ));
        }
        pairs.add(&Pairs { asked: rules.len(), matched: theirs.len() });
    }
    Ok(pairs)
}

fn accepted(rule: &Value) -> bool {
    let Ok(collection) = rsigma_parser::parse_sigma_yaml(&rule.to_string()) else { return false };
    collection.errors.is_empty() && collection.rules.iter().all(|it| rsigma_eval::compile_rule(it).is_ok())
}
