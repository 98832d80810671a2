//! Both engines behind one question: which rules match these events?

use std::collections::BTreeSet;
use std::sync::Arc;

use panoptes_detect::{CompileOptions, RuleError, RuleFile, RuleSet};
use panoptes_model::{EventBatch, FieldType, FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp};
use panoptes_normalize::{Normalizer, json};
use rsigma_eval::EvaluationResult;
use rsigma_eval::event::JsonEvent;
use rsigma_parser::{SigmaRule, parse_sigma_yaml};
use serde_json::Value;

use crate::specified::{self, Record, has_placeholders};

/// The ids of the rules that match one event.
pub(crate) type Matched = BTreeSet<String>;

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// Our engine with one set of rules.
pub(crate) struct Ours {
    rules: RuleSet,
    ids: Vec<String>,
    schema: Arc<Schema>,
}

impl Ours {
    pub(crate) fn compile(files: Vec<RuleFile>) -> (Self, Vec<RuleError>) {
        let (rules, errors) = RuleSet::compile(files, &CompileOptions::default());
        let mut schema = Schema::ecs();
        for name in rules.fields() {
            schema.intern(name, FieldType::Text).expect("the names of all rules fit");
        }
        let ids = rules.rules().map(|it| it.summary.id.clone()).collect();
        (Self { rules, ids, schema: Arc::new(schema) }, errors)
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Each line as a record of its own, through the normalizer.
    pub(crate) fn ask_records<'l>(&self, lines: impl IntoIterator<Item = &'l str>) -> Vec<Matched> {
        let mut records = RawBatch::new();
        let origin = records.origin(&Origin { source: "oracle".to_owned(), ..Origin::default() });
        for (line, number) in lines.into_iter().zip(1..) {
            records.push(origin, NOW, number, line.as_bytes());
        }
        let frame = LogFrame { id: FrameId(1), now: NOW, rules_epoch: 0, snapshots_epoch: 0, records };
        self.ask(&Normalizer::default().normalize(&self.schema, frame))
    }

    /// Each line as nothing but the fields of its JSON object: what no source has given a meaning to.
    pub(crate) fn ask_objects<'l>(&self, lines: impl IntoIterator<Item = &'l str>) -> Vec<Matched> {
        let lines: Vec<&str> = lines.into_iter().collect();
        let input = lines.join("\n");
        let batch = EventBatch::build(Arc::clone(&self.schema), FrameId(1), NOW, Vec::new(), input, |writer| {
            let mut start = 0;
            for line in &lines {
                let text = writer.input().get(start..start + line.len()).expect("the lines were joined");
                start += line.len() + 1;
                writer.begin(text, 0, NOW, 0);
                json::read_object(writer, text).expect("a JSON object");
                writer.end();
            }
        });
        self.ask(&batch)
    }

    fn ask(&self, batch: &EventBatch) -> Vec<Matched> {
        let mut matched = vec![Matched::new(); batch.len()];
        for (event, rule) in self.rules.prepare(batch).pairs() {
            matched[event as usize].insert(self.ids[rule as usize].clone());
        }
        matched
    }
}

/// `rsigma-eval` with one set of rules, which it reads as the specification says.
pub(crate) struct Theirs {
    engine: rsigma_eval::Engine,
}

impl Theirs {
    pub(crate) fn compile<'r>(rules: impl IntoIterator<Item = &'r SigmaRule>) -> Self {
        Self::as_they_are(&rules.into_iter().map(specified::rule).collect::<Vec<_>>())
    }

    /// The same with its own reading of them.
    pub(crate) fn as_they_are(rules: &[SigmaRule]) -> Self {
        let mut engine = rsigma_eval::Engine::new();
        let errors = engine.add_rules(rules);
        assert!(errors.is_empty(), "{errors:?}");
        Self { engine }
    }

    pub(crate) fn ask(&self, line: &str) -> Matched {
        let event: Value = serde_json::from_str(line).expect("events are JSON");
        ids(self.engine.evaluate(&Record::new(&event)))
    }

    /// The same with its own reading of the event.
    pub(crate) fn ask_as_it_is(&self, event: &Value) -> Matched {
        ids(self.engine.evaluate(&JsonEvent::borrow(event)))
    }
}

fn ids(results: Vec<EvaluationResult>) -> Matched {
    results.into_iter().filter_map(|it| it.header.rule_id).collect()
}

/// The rules of some files as `rsigma-parser` reads them: single-event rules only.
pub(crate) fn parsed(files: &[RuleFile]) -> Vec<SigmaRule> {
    let read = |file: &RuleFile| parse_sigma_yaml(&file.text).unwrap_or_else(|it| panic!("{}: {it}", file.path)).rules;
    files.iter().flat_map(read).collect()
}

/// SigmaHQ's rules without their log sources, so that they are asked about every event and keep their field names; and
/// the titles of those that are left out, because they need lists that only their reader can have.
pub(crate) fn without_log_sources(files: &[RuleFile]) -> (Vec<RuleFile>, Vec<String>) {
    let (with_lists, files): (Vec<_>, Vec<_>) =
        files.iter().cloned().partition(|it| parsed(std::slice::from_ref(it)).iter().any(has_placeholders));
    let titles = parsed(&with_lists).into_iter().map(|it| it.title).collect();
    (stripped(&files), titles)
}

/// The same rules without their log sources. Nothing else changes, which is checked.
fn stripped(files: &[RuleFile]) -> Vec<RuleFile> {
    let strip = |file: &RuleFile| {
        let mut rule: yaml_serde::Value = yaml_serde::from_str(&file.text).expect("a rule of SigmaHQ is YAML");
        rule.as_mapping_mut().expect("a rule is a mapping").remove("logsource");
        let stripped =
            RuleFile { path: file.path.clone(), text: yaml_serde::to_string(&rule).expect("what was YAML is YAML") };
        let (before, after) = (parsed(std::slice::from_ref(file)), parsed(std::slice::from_ref(&stripped)));
        let detections = |rules: &[SigmaRule]| rules.iter().map(|it| it.detection.clone()).collect::<Vec<_>>();
        assert_eq!(detections(&before), detections(&after), "{}", file.path);
        stripped
    };
    files.iter().map(strip).collect()
}
