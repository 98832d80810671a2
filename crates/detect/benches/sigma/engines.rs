//! The engines that are timed: each from bytes to pairs.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::hint::black_box;
use std::sync::Arc;

use panoptes_detect::{CompileOptions, NEVER_SEEN_RULE_ID, RuleFile, RuleSet};
use panoptes_model::{EventBatch, FieldType, FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp};
use panoptes_normalize::{Normalizer, json};
use rsigma_eval::EvaluationResult;
use rsigma_eval::event::JsonEvent;
use rsigma_parser::SigmaRule;
use serde_json::Value;

use crate::inputs::Input;
use crate::log_sources::LogSource;
use crate::memory;

/// How many bytes and records a batch has, as the pipeline cuts them.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_RECORDS: usize = 4_096;
const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// Index of an event, id of a rule that it matches.
pub(crate) type Pair = (usize, Arc<str>);

pub(crate) trait Engine {
    /// Every pair; what is made on demand is made by it.
    fn pairs(&self, input: &Input) -> Vec<Pair>;
    /// CPU seconds of one run.
    fn seconds(&self, input: &Input) -> f64;
}

/// What this thread has used so far: other load on the machine does not count.
pub(crate) fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's CPU time");
    let nanos: f64 = text.split(' ').next().and_then(|it| it.parse().ok()).expect("the first word is nanoseconds");
    nanos / 1e9
}

fn timed(work: impl FnOnce()) -> f64 {
    let started = cpu_seconds();
    work();
    cpu_seconds() - started
}

/// Ours.
pub(crate) struct Ours<'f> {
    files: &'f [RuleFile],
    rules: RuleSet,
    ids: Vec<Arc<str>>,
    schema: Arc<Schema>,
}

impl<'f> Ours<'f> {
    pub(crate) fn new(files: &'f [RuleFile]) -> Self {
        // The detector of messages never seen before is no part of Sigma.
        let options =
            CompileOptions { disabled: BTreeSet::from([NEVER_SEEN_RULE_ID.to_owned()]), ..CompileOptions::default() };
        let (rules, errors) = RuleSet::compile(files.to_vec(), &options);
        assert!(errors.iter().all(|it| it.loaded), "{errors:#?}");
        let mut schema = Schema::ecs();
        for name in rules.fields() {
            schema.intern(name, FieldType::Text).expect("the names of all rules fit");
        }
        let ids = rules.rules().map(|it| it.summary.id.as_str().into()).collect();
        Self { files, rules, ids, schema: Arc::new(schema) }
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// CPU seconds of reading the JSON, of normalising (which includes it), and of matching.
    pub(crate) fn parts(&self, input: &Input) -> [f64; 3] {
        let frames = frames(input);
        let read = timed(|| {
            for frame in &frames {
                black_box(self.read(frame));
            }
        });
        let mut batches = Vec::new();
        let normalized = timed(|| batches.extend(frames.into_iter().map(|it| self.normalize(it))));
        let matched = timed(|| {
            for batch in &batches {
                black_box(self.rules.prepare(batch));
            }
        });
        [read, normalized, matched]
    }

    /// Bytes in use more than before there were rules, once the input has been seen: with every plan that it needs.
    pub(crate) fn memory_after(&self, input: &Input) -> isize {
        let (kept, bytes) = memory::of(|| {
            let fresh = Self::new(self.files);
            black_box(fresh.pairs(input));
            fresh
        });
        drop(kept);
        bytes
    }

    fn normalize(&self, frame: LogFrame) -> EventBatch {
        Normalizer::default().normalize(&self.schema, frame)
    }

    /// Nothing but the fields of the JSON objects.
    fn read(&self, frame: &LogFrame) -> EventBatch {
        let text = String::from_utf8(frame.records.bytes.clone()).expect("the corpus is UTF-8");
        EventBatch::build(Arc::clone(&self.schema), frame.id, NOW, Vec::new(), text, |writer| {
            for record in &frame.records.records {
                let start = record.offset as usize;
                let text = writer.input().get(start..start + record.length as usize).expect("records lie in the text");
                writer.begin(text, 0, NOW, 0);
                json::read_object(writer, text).expect("the corpus is JSON");
            }
        })
    }
}

/// The input as batches of records.
fn frames(input: &Input) -> Vec<LogFrame> {
    let mut frames = Vec::new();
    let empty = || {
        let mut batch = RawBatch::new();
        batch.origin(&Origin { input: "file".to_owned(), source: "bench".to_owned(), ..Origin::default() });
        batch
    };
    let mut batch = empty();
    let mut cut = |records: RawBatch| {
        let id = FrameId(frames.len() as u64 + 1);
        frames.push(LogFrame { id, now: NOW, rules_epoch: 0, snapshots_epoch: 0, records });
    };
    for (line, number) in input.lines.iter().zip(1..) {
        if batch.bytes.len() + line.len() > BATCH_BYTES || batch.records.len() >= BATCH_RECORDS {
            cut(std::mem::replace(&mut batch, empty()));
        }
        batch.push(0, NOW, number, line.as_bytes());
    }
    cut(batch);
    frames
}

impl Engine for Ours<'_> {
    fn pairs(&self, input: &Input) -> Vec<Pair> {
        let mut pairs = Vec::new();
        let mut before = 0;
        for frame in frames(input) {
            let batch = self.normalize(frame);
            let hits = self.rules.prepare(&batch);
            pairs.extend(
                hits.pairs().map(|(event, rule)| (before + event as usize, Arc::clone(&self.ids[rule as usize]))),
            );
            before += batch.len();
        }
        pairs
    }

    fn seconds(&self, input: &Input) -> f64 {
        // Records arrive in buffers that are the batch's own; filling them is the input's work.
        let frames = frames(input);
        timed(|| {
            for frame in frames {
                let batch = self.normalize(frame);
                black_box(self.rules.prepare(&batch));
            }
        })
    }
}

/// `rsigma-eval` as it comes.
pub(crate) struct Default {
    engine: rsigma_eval::Engine,
}

impl Default {
    pub(crate) fn new(rules: &[SigmaRule]) -> Self {
        Self { engine: engine(rules) }
    }
}

fn engine<'r>(rules: impl IntoIterator<Item = &'r SigmaRule>) -> rsigma_eval::Engine {
    let mut engine = rsigma_eval::Engine::new();
    let errors = engine.add_rules(rules);
    assert!(errors.is_empty(), "{errors:?}");
    engine
}

fn read(line: &str) -> Value {
    serde_json::from_slice(line.as_bytes()).expect("the corpus is JSON")
}

fn pairs_of(event: usize, results: Vec<EvaluationResult>) -> impl Iterator<Item = Pair> {
    results.into_iter().filter_map(move |it| Some((event, it.header.rule_id?.as_str().into())))
}

impl Engine for Default {
    fn pairs(&self, input: &Input) -> Vec<Pair> {
        let of = |(index, line): (usize, &String)| pairs_of(index, self.engine.evaluate(&JsonEvent::owned(read(line))));
        input.lines.iter().enumerate().flat_map(of).collect()
    }

    fn seconds(&self, input: &Input) -> f64 {
        timed(|| {
            for line in &input.lines {
                let event = read(line);
                black_box(self.engine.evaluate(&JsonEvent::borrow(&event)));
            }
        })
    }
}

/// `rsigma-eval` with one engine for each set of rules that can be asked together.
pub(crate) struct Routed {
    rules: Vec<SigmaRule>,
    sources: Vec<LogSource>,
    routes: RefCell<Routes>,
}

#[derive(Default)]
struct Routes {
    engines: Vec<rsigma_eval::Engine>,
    by_event: HashMap<(String, u64), usize>,
    by_rules: HashMap<Vec<usize>, usize>,
}

impl Routed {
    pub(crate) fn new(rules: &[SigmaRule]) -> Self {
        let source = |rule: &SigmaRule| LogSource {
            product: rule.logsource.product.clone(),
            category: rule.logsource.category.clone(),
            service: rule.logsource.service.clone(),
        };
        Self { rules: rules.to_vec(), sources: rules.iter().map(source).collect(), routes: RefCell::default() }
    }

    /// Whether the event can be of the rule's log source.
    pub(crate) fn may_ask(&self, input: &Input, (event, rule): &Pair) -> bool {
        let of_rule = self.rules.iter().position(|it| it.id.as_deref() == Some(rule));
        let source = of_rule.and_then(|it| self.sources.get(it));
        let line = input.lines.get(*event).map(|it| read(it));
        source.zip(line).is_some_and(|(source, event)| {
            let (channel, id) = place(&event);
            source.can_be(channel, id)
        })
    }

    fn evaluate(&self, event: &Value) -> Vec<EvaluationResult> {
        let (channel, id) = place(event);
        let mut routes = self.routes.borrow_mut();
        let known = routes.by_event.get(&(channel.to_owned(), id)).copied();
        let at = known.unwrap_or_else(|| {
            let asked: Vec<usize> = (0..self.rules.len()).filter(|it| self.sources[*it].can_be(channel, id)).collect();
            let at = routes.by_rules.get(&asked).copied().unwrap_or_else(|| {
                let made = engine(asked.iter().map(|it| &self.rules[*it]));
                routes.engines.push(made);
                let at = routes.engines.len() - 1;
                routes.by_rules.insert(asked, at);
                at
            });
            routes.by_event.insert((channel.to_owned(), id), at);
            at
        });
        routes.engines[at].evaluate(&JsonEvent::borrow(event))
    }
}

/// The channel and the id of an event.
fn place(event: &Value) -> (&str, u64) {
    let id = &event["EventID"];
    let id = id.as_u64().or_else(|| id.as_str().and_then(|it| it.parse().ok()));
    (event["Channel"].as_str().unwrap_or_default(), id.unwrap_or_default())
}

impl Engine for Routed {
    fn pairs(&self, input: &Input) -> Vec<Pair> {
        let of = |(index, line): (usize, &String)| pairs_of(index, self.evaluate(&read(line)));
        input.lines.iter().enumerate().flat_map(of).collect()
    }

    fn seconds(&self, input: &Input) -> f64 {
        timed(|| {
            for line in &input.lines {
                black_box(self.evaluate(&read(line)));
            }
        })
    }
}
