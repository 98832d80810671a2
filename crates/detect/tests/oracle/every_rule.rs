//! Every rule of SigmaHQ beside one event that satisfies it and one that barely does not.
//!
//! Log sources are left out here: what is compared is what the rules say, not whom they are asked about.

use std::collections::BTreeMap;

use rsigma_eval::event::JsonEvent;
use rsigma_parser::SigmaRule;
use serde_json::{Map, Value};

use crate::corpora::corpora;
use crate::data::sigma_rules;
use crate::engines::{Matched, Ours, Theirs, parsed, without_log_sources};
use crate::specified;
use crate::witness::{Choices, Draft};

/// How many drafts are made of a rule until one satisfies it.
const DRAFTS_MAX: u64 = 300;
/// How many events are asked about at once.
const EVENTS_AT_ONCE: usize = 512;

#[test]
fn every_rule_of_sigmahq_agrees_on_an_event_that_satisfies_it_and_on_one_that_barely_does_not() {
    let Some(corpora) = corpora() else { return };
    let (files, with_lists) = without_log_sources(&sigma_rules(&corpora));
    let (ours, errors) = Ours::compile(files.clone());
    assert!(errors.is_empty(), "{errors:#?}");
    let rules = parsed(&files);
    assert_eq!(ours.len(), rules.len());

    let mut left_out: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    left_out.insert("it names lists that only its reader has", with_lists.iter().map(String::as_str).collect());
    let mut asked: Vec<Asked<'_>> = Vec::new();
    let (mut satisfied, mut failing) = (0, 0);
    for rule in &rules {
        let witness = Witness::of(rule);
        match &witness.satisfying {
            Some(event) => {
                satisfied += 1;
                asked.push(Asked { rule, event: Value::Object(event.clone()).to_string(), expected: true });
            }
            None => left_out.entry("no event was found that satisfies it").or_default().push(&rule.title),
        }
        match &witness.failing {
            Some(event) => {
                failing += 1;
                asked.push(Asked { rule, event: Value::Object(event.clone()).to_string(), expected: false });
            }
            None => left_out.entry("no event was found that fails it").or_default().push(&rule.title),
        }
    }

    // The whole set is asked about each event: rules that share an automaton may not get into each other's way.
    let theirs = Theirs::compile(&rules);
    let (mut pairs, mut wrong) = (0, Vec::new());
    for asked in asked.chunks(EVENTS_AT_ONCE) {
        let said = ours.ask_objects(asked.iter().map(|it| it.event.as_str()));
        for (asked, ours) in asked.iter().zip(said) {
            let theirs = theirs.ask(&asked.event);
            pairs += theirs.len();
            wrong.extend(asked.judge(&ours, &theirs));
        }
    }
    println!(
        "every rule: {} rules; {satisfied} with an event that satisfies, {failing} with one that barely does not; \
         {} events, {pairs} pairs, {} disagreements",
        rules.len() + with_lists.len(),
        asked.len(),
        wrong.len(),
    );
    for (reason, titles) in &left_out {
        println!("  left out, {reason}: {} ({})", titles.len(), titles.join("; "));
    }
    assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    let floor = rules.len() * 98 / 100;
    assert!(satisfied >= floor && failing >= floor, "too few rules have events: {satisfied} and {failing}");
}

/// One event that was made for a rule.
struct Asked<'r> {
    rule: &'r SigmaRule,
    event: String,
    expected: bool,
}

impl Asked<'_> {
    fn judge(&self, ours: &Matched, theirs: &Matched) -> Vec<String> {
        let id = self.rule.id.as_deref().unwrap_or_default();
        assert_eq!(theirs.contains(id), self.expected, "an engine is of two minds: {} {}", self.rule.title, self.event);
        let said = |id: &&String| if ours.contains(*id) { "only we match" } else { "only rsigma-eval matches" };
        let differ = ours.symmetric_difference(theirs);
        let tell = |it: &String| format!("{}: rule {it}; made for \"{}\": {}", said(&it), self.rule.title, self.event);
        differ.map(tell).collect()
    }
}

/// Events at both sides of a rule's border, as far as they were found.
struct Witness {
    satisfying: Option<Map<String, Value>>,
    failing: Option<Map<String, Value>>,
}

impl Witness {
    fn of(rule: &SigmaRule) -> Self {
        let compiled =
            rsigma_eval::compile_rule(&specified::rule(rule)).unwrap_or_else(|it| panic!("{}: {it}", rule.title));
        let matches = |event: &Map<String, Value>| {
            let event = Value::Object(event.clone());
            rsigma_eval::evaluate_rule(&compiled, &specified::Record::new(&event)).is_some()
        };
        let drafts = |truth: bool| {
            (0..DRAFTS_MAX).map(move |seed| {
                let mut choices = Choices::new(seed);
                Draft::of(rule, truth, &mut choices).to_json(&mut choices)
            })
        };
        let satisfying = drafts(true).find(matches);
        let near = satisfying.iter().flat_map(neighbours).find(|it| !matches(it));
        let failing = near.or_else(|| drafts(false).find(|it| !matches(it)));
        Self { satisfying, failing }
    }
}

/// The event with one character changed, one number moved, or one field less: the smallest change first.
fn neighbours(event: &Map<String, Value>) -> Vec<Map<String, Value>> {
    let with = |name: &String, value: Value| {
        let mut changed = event.clone();
        changed.insert(name.clone(), value);
        changed
    };
    let mut all = Vec::new();
    for (name, value) in event {
        match value {
            Value::String(text) => {
                let count = text.chars().count();
                // The borders of the text and its middle: that is where patterns begin and end.
                for at in [count.saturating_sub(1), 0, count / 2, count / 3] {
                    let changed = text.chars().enumerate().map(|(index, it)| if index == at { '¤' } else { it });
                    all.push(with(name, Value::String(changed.collect())));
                }
                all.push(with(name, Value::String(text.chars().skip(1).collect())));
                all.push(with(name, Value::String(format!("{text}¤"))));
                all.push(with(name, Value::String(format!("¤{text}"))));
            }
            Value::Number(number) => all.push(with(name, (number.as_i64().unwrap_or_default() + 1_000_003).into())),
            Value::Bool(value) => all.push(with(name, (!value).into())),
            _ => {}
        }
    }
    for name in event.keys() {
        let mut less = event.clone();
        less.remove(name);
        all.push(less);
    }
    all
}

#[test]
fn an_event_that_satisfies_a_rule_is_found_and_so_is_its_neighbour() {
    let rule = "title: t\ndetection:\n  selection:\n    Image|endswith: '\\x.exe'\n    CommandLine|contains|all: [' -a', ' -b']\n    Port|gt: 7\n  filter:\n    User: null\n  condition: selection and not filter\n";
    let rule = rsigma_parser::parse_sigma_yaml(rule).unwrap().rules.remove(0);
    let witness = Witness::of(&rule);
    let compiled = rsigma_eval::compile_rule(&rule).unwrap();
    let matches = |event: &Map<String, Value>| {
        rsigma_eval::evaluate_rule(&compiled, &JsonEvent::owned(Value::Object(event.clone()))).is_some()
    };
    let (satisfying, failing) = (witness.satisfying.unwrap(), witness.failing.unwrap());
    assert!(matches(&satisfying) && !matches(&failing));
    let changed = satisfying.iter().filter(|(name, value)| failing.get(*name) != Some(value)).count();
    assert_eq!(changed, 1, "{satisfying:?} {failing:?}");
}
