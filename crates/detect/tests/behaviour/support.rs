//! Events without a normaliser, folded frame by frame.

use std::sync::Arc;

use panoptes_detect::{BehaviourOptions, CompileOptions, Detector, DetectorOptions, RuleSet};
use panoptes_model::{EventBatch, Finding, FindingOrigin, FrameId, Origin, Schema, Timestamp};

pub(crate) const HOUR: i64 = 3_600;
pub(crate) const DAY: i64 = 24 * HOUR;
/// Midnight of a Monday.
pub(crate) const MONDAY: i64 = 1_772_409_600;

/// An event: when, in seconds, and `field=value` pairs separated by blanks; values with `|` are lists.
pub(crate) type Line = (i64, String);

pub(crate) fn batch_of(frame: u64, source: &str, now: i64, lines: &[Line]) -> EventBatch {
    let origin = Origin { input: "test".to_owned(), source: source.to_owned(), ..Origin::default() };
    let now = Timestamp::from_seconds(now);
    let schema = Arc::new(Schema::ecs());
    EventBatch::build(schema, FrameId(frame), now, vec![origin], String::new(), |writer| {
        for (index, (seconds, text)) in lines.iter().enumerate() {
            writer.begin("", 0, now, frame * 1_000_000 + index as u64);
            writer.time(Timestamp::from_seconds(*seconds));
            for (name, value) in text.split(' ').filter_map(|pair| pair.split_once('=')) {
                let Some(id) = writer.field(name) else { continue };
                if value.contains('|') {
                    writer.text_list(id, value.split('|'));
                } else {
                    writer.typed(id, &value.replace('_', " "));
                }
            }
            writer.end();
        }
    })
}

/// Detectors alone.
pub(crate) struct Bench {
    rules: Arc<RuleSet>,
    options: DetectorOptions,
    pub(crate) detector: Detector,
    frame: u64,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(CompileOptions::default(), BehaviourOptions::default())
    }

    pub(crate) fn with(compile: CompileOptions, behaviour: BehaviourOptions) -> Self {
        let (rules, errors) = RuleSet::compile(Vec::new(), &compile);
        assert!(errors.is_empty());
        let (rules, options) = (Arc::new(rules), DetectorOptions { behaviour, ..DetectorOptions::default() });
        Self { detector: Detector::new(Arc::clone(&rules), options), rules, options, frame: 0 }
    }

    /// One frame, whose clock is the time of its last event.
    pub(crate) fn fold(&mut self, lines: &[Line]) -> Vec<Finding> {
        let now = lines.iter().map(|it| it.0).max().unwrap_or_default();
        self.fold_at(now, "test", lines)
    }

    pub(crate) fn fold_at(&mut self, now: i64, source: &str, lines: &[Line]) -> Vec<Finding> {
        self.frame += 1;
        let batch = batch_of(self.frame, source, now, lines);
        let hits = self.rules.prepare(&batch);
        let mut findings = Vec::new();
        self.detector.fold(&mut findings, &batch, &hits, Timestamp::from_seconds(now), FindingOrigin::Live);
        findings
    }

    pub(crate) fn restart(&mut self) {
        let bytes = postcard::to_stdvec(&self.detector.checkpoint()).unwrap();
        let checkpoint = postcard::from_bytes(&bytes).unwrap();
        self.detector = Detector::restore(Arc::clone(&self.rules), self.options, checkpoint);
    }
}

pub(crate) fn login(user: &str, ip: &str, ok: bool, more: &str) -> String {
    let outcome = if ok { "success" } else { "failure" };
    format!(
        "event.dataset=app.auth event.category=authentication event.type=start event.outcome={outcome} \
         service.name=app user.name={user} source.ip={ip} {more}"
    )
}

pub(crate) fn start(user: &str, program: &str, parent: &str) -> String {
    format!(
        "event.category=process event.type=start process.name={program} process.parent.name={parent} user.name={user}"
    )
}

pub(crate) fn ids(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|it| it.rule.id.as_str()).collect()
}
