//! Single-event Sigma rules, evaluated by `rsigma-eval`. Nothing outside of this module knows that engine.
//!
//! All rules that events of one dataset may be asked about are compiled into one engine, so a rule for another log
//! source costs an event nothing. Datasets with the same rules share an engine.

mod decode;
mod event;
mod gate;
mod taxonomy;

use std::borrow::Cow;

use hashbrown::HashMap;
use panoptes_model::{Event, EventBatch};
use rsigma_eval::{CompiledRule, Engine, EvalError};
use rsigma_parser::{Detection, Detections, LogSource, Modifier, SigmaRule};

pub(crate) use self::decode::URL_DECODED;
use self::event::SigmaEvent;

/// A rule that can be asked, and whom it may be asked about.
pub(crate) struct Matcher {
    source: LogSource,
    compiled: CompiledRule,
    /// The ECS names of the fields that it looks at, sorted.
    pub(crate) fields: Vec<String>,
}

impl Matcher {
    /// Compiles one rule. What can be wrong with it is found here, before it meets any event.
    pub(crate) fn compile(rule: &SigmaRule) -> Result<Self, EvalError> {
        let mut rule = rule.clone();
        let source = rule.logsource.clone();
        let mut fields = Vec::new();
        rename_all(&mut rule.detection, &source, &mut fields);
        fields.sort_unstable();
        fields.dedup();
        let mut compiled = rsigma_eval::compile_rule(&rule)?;
        // Every match copies these; the index that replaces the id is all that is needed to find them again.
        compiled.title = String::new();
        compiled.tags = Vec::new();
        compiled.include_event = false;
        compiled.custom_attributes = Default::default();
        Ok(Self { source, compiled, fields })
    }

    /// The datasets of the table whose events it is asked about.
    pub(crate) fn datasets(&self) -> Vec<&'static str> {
        gate::datasets().filter(|name| gate::allows(&self.source, Some(name))).collect()
    }

    /// `names`, each as ECS calls it.
    pub(crate) fn ecs_names(&self, names: Vec<String>) -> Vec<String> {
        let ecs = |name: String| taxonomy::ecs_name(&self.source, &name).map_or(name, str::to_owned);
        names.into_iter().map(ecs).collect()
    }

    /// The log source in one line.
    pub(crate) fn source_text(&self) -> String {
        let LogSource { product, category, service, .. } = &self.source;
        let parts = [("product", product), ("category", category), ("service", service)];
        let set: Vec<String> =
            parts.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_deref()?))).collect();
        if set.is_empty() { "any".to_owned() } else { set.join(" ") }
    }
}

/// Gives every field in `detections` its ECS name and adds it to `fields`.
fn rename_all(detections: &mut Detections, source: &LogSource, fields: &mut Vec<String>) {
    // The order of a hash map, but `fields` is sorted afterwards.
    for detection in detections.named.values_mut() {
        rename(detection, source, fields);
    }
}

fn rename(detection: &mut Detection, source: &LogSource, fields: &mut Vec<String>) {
    match detection {
        Detection::AllOf(items) => {
            for item in items {
                let is_reference = item.field.has_modifier(Modifier::FieldRef);
                if let Some(name) = &mut item.field.name {
                    rename_one(name, source, fields);
                }
                if is_reference {
                    for value in &mut item.values {
                        if let rsigma_parser::SigmaValue::String(text) = value {
                            let mut name = text.original.clone();
                            rename_one(&mut name, source, fields);
                            *text = rsigma_parser::SigmaString::new(&name);
                        }
                    }
                }
            }
        }
        Detection::AnyOf(list) | Detection::And(list) => {
            for inner in list {
                rename(inner, source, fields);
            }
        }
        Detection::ArrayMatch { field, body, .. } => {
            rename_one(field, source, fields);
            // Names in the body are those of an array's members: no ECS names.
            rename(body, &LogSource::default(), &mut Vec::new());
        }
        Detection::Keywords(_) | Detection::Conditional { .. } => {}
    }
}

fn rename_one(name: &mut String, source: &LogSource, fields: &mut Vec<String>) {
    if let Some(ecs) = taxonomy::ecs_name(source, name) {
        *name = ecs.to_owned();
    }
    fields.push(name.clone());
}

/// The text of a field as rules see it, worked-out ones included.
pub(crate) fn field_text<'b>(event: Event<'b>, name: &str) -> Option<Cow<'b, str>> {
    if name == URL_DECODED {
        return decode::url_decoded(event);
    }
    event.get_named(name).map(panoptes_model::Value::to_text)
}

/// Every engine, and which one an event's dataset leads to.
pub(crate) struct Plans {
    engines: Vec<Engine>,
    /// `None`: no rule is asked about events of that dataset.
    by_dataset: HashMap<String, Option<usize>>,
    /// For events whose dataset leads nowhere else.
    otherwise: Option<usize>,
}

impl Plans {
    /// Builds the engines for `matchers`: pairs of a rule's index and its matcher.
    pub(crate) fn build<'m>(matchers: impl Iterator<Item = (u32, &'m Matcher)> + Clone) -> Self {
        let mut plans = Self { engines: Vec::new(), by_dataset: HashMap::new(), otherwise: None };
        let mut by_rules: HashMap<Vec<u32>, usize> = HashMap::new();
        let mut plan_for = |dataset: Option<&str>| -> Option<usize> {
            let asked = matchers.clone().filter(|(_, it)| gate::allows(&it.source, dataset));
            let indexes: Vec<u32> = asked.clone().map(|(index, _)| index).collect();
            if indexes.is_empty() {
                return None;
            }
            Some(*by_rules.entry(indexes).or_insert_with(|| {
                let mut engine = Engine::new();
                engine.extend_compiled_rules(asked.map(|(index, matcher)| {
                    let mut compiled = matcher.compiled.clone();
                    compiled.id = Some(index.to_string());
                    compiled
                }));
                plans.engines.push(engine);
                plans.engines.len() - 1
            }))
        };
        let own = matchers.clone().filter_map(|(_, matcher)| gate::own_dataset(&matcher.source));
        for dataset in gate::datasets().map(str::to_owned).chain(own) {
            if !plans.by_dataset.contains_key(&dataset) {
                let plan = plan_for(Some(&dataset));
                plans.by_dataset.insert(dataset, plan);
            }
        }
        plans.otherwise = plan_for(None);
        plans
    }

    fn plan(&self, dataset: Option<&str>) -> Option<usize> {
        let Some(dataset) = dataset else { return self.otherwise };
        if let Some(plan) = self.by_dataset.get(dataset) {
            return *plan;
        }
        // `aws.something` that no rule names is still `aws`.
        dataset
            .split_once('.')
            .and_then(|(product, _)| self.by_dataset.get(product))
            .map_or(self.otherwise, |plan| *plan)
    }

    /// Calls `hit` with the index of every event and of every rule that it matches: events in order, rules in order.
    pub(crate) fn evaluate(&self, batch: &EventBatch, mut hit: impl FnMut(u32, u32)) {
        // Events of one dataset come in runs.
        let mut last: (Option<&str>, Option<usize>) = (None, self.otherwise);
        for (index, event) in batch.events().enumerate() {
            let dataset = gate::dataset_of(event);
            if dataset != last.0 {
                last = (dataset, self.plan(dataset));
            }
            let Some(engine) = last.1.and_then(|plan| self.engines.get(plan)) else { continue };
            for matched in engine.evaluate(&SigmaEvent::new(event)) {
                if let Some(rule) = matched.header.rule_id.as_deref().and_then(|id| id.parse().ok()) {
                    hit(index as u32, rule);
                }
            }
        }
    }
}
