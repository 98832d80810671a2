//! Events without a normalizer, and rules without files.

use std::sync::Arc;

use panoptes_detect::{CompileOptions, Detector, DetectorOptions, RuleFile, RuleSet};
use panoptes_model::{EventBatch, FieldType, Finding, FindingOrigin, FrameId, Origin, Schema, Timestamp};

/// An event: when (in seconds), and `field=value` pairs separated by blanks, which is also its text.
pub(crate) type Line<'t> = (i64, &'t str);

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(2_000_000_000);

pub(crate) fn batch_of(rules: &RuleSet, frame: u64, source: &str, lines: &[Line<'_>]) -> EventBatch {
    let mut schema = Schema::ecs();
    for name in rules.fields() {
        schema.intern(name, FieldType::Text).unwrap();
    }
    let origin = Origin { input: "test".to_owned(), source: source.to_owned(), ..Origin::default() };
    let input: String = lines.iter().map(|(_, text)| format!("{text}\n")).collect();
    EventBatch::build(Arc::new(schema), FrameId(frame), NOW, vec![origin], input, |writer| {
        for (index, (text, (seconds, _))) in writer.input().lines().zip(lines).enumerate() {
            writer.begin(text, 0, NOW, index as u64 + 1);
            writer.time(Timestamp::from_seconds(*seconds));
            for (name, value) in text.split(' ').filter_map(|pair| pair.split_once('=')) {
                let id = writer.field(name).unwrap();
                match value.parse() {
                    Ok(number) if name == "panoptes.repeat" => writer.integer(id, number),
                    _ => writer.typed(id, &value.replace('_', " ")),
                }
            }
            writer.end();
        }
    })
}

/// Compiles rules that have no errors.
pub(crate) fn rules_of(text: &str) -> Arc<RuleSet> {
    let file = RuleFile { path: "rules.yml".to_owned(), text: text.to_owned() };
    let (rules, errors) = RuleSet::compile(vec![file], &CompileOptions::default());
    assert!(errors.is_empty(), "{errors:#?}");
    Arc::new(rules)
}

/// A detector that is fed frame by frame.
pub(crate) struct Bench {
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) detector: Detector,
    pub(crate) frame: u64,
}

impl Bench {
    pub(crate) fn new(text: &str) -> Self {
        Self::with(rules_of(text))
    }

    pub(crate) fn of(rules: RuleSet) -> Self {
        Self::with(Arc::new(rules))
    }

    fn with(rules: Arc<RuleSet>) -> Self {
        let detector = Detector::new(Arc::clone(&rules), DetectorOptions::default());
        Self { rules, detector, frame: 0 }
    }

    /// One frame.
    pub(crate) fn fold(&mut self, lines: &[Line<'_>]) -> Vec<Finding> {
        self.fold_from("test", lines)
    }

    pub(crate) fn fold_from(&mut self, source: &str, lines: &[Line<'_>]) -> Vec<Finding> {
        self.frame += 1;
        let batch = batch_of(&self.rules, self.frame, source, lines);
        let mut findings = Vec::new();
        let hits = self.rules.prepare(&batch);
        self.detector.fold(&mut findings, &batch, &hits, NOW, FindingOrigin::Live);
        findings
    }
}

/// `title count [entities] first..last` of each finding.
pub(crate) fn shown(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .map(|it| {
            let who: Vec<String> = it.entities.iter().map(|it| format!("{}={}", it.field, it.value)).collect();
            let (first, last) = (it.first_seen.as_seconds(), it.time.as_seconds());
            format!("{} {} [{}] {first}..{last}", it.rule.title, it.count, who.join(" "))
        })
        .collect()
}
