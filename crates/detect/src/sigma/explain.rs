//! Why a rule matches an event, or why not: every line of every selection, with the value that it saw.
//!
//! The answer is worked out the slow way, line by line, without plans, automata or memo: it is also what tests compare
//! the engine with.

use std::collections::BTreeMap;

use panoptes_model::{Event, Value};
use rsigma_parser::{ConditionExpr, Detection, DetectionItem, Quantifier, SigmaRule, SigmaValue};

use super::engine::{self, Engine};
use super::ir::{KEYWORD, Node, Program, Symbol, TextOp};
use super::lower::{LowerError, Placeholders, lower_item, lower_keywords, selects};
use super::mapping::{Source, is_everything};
use super::text::folded;
use super::{Matcher, decode};

/// How many bytes of a value an explanation shows.
const SHOWN_BYTES_MAX: usize = 512;
/// How many values of one list an explanation shows.
const SHOWN_VALUES_MAX: usize = 16;

/// What became of one event at one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The sources, by name, through which the rule is asked about the event; or why it is not asked.
    pub log_source: Result<Vec<String>, String>,
    /// Whether the conditions hold. The rule fires if it is also asked.
    pub matched: bool,
    pub conditions: Vec<Reason>,
}

impl Explanation {
    /// Whether the rule fires for the event.
    pub fn fires(&self) -> bool {
        self.matched && self.log_source.is_ok()
    }
}

/// A part of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// As a rule writes it.
    pub text: String,
    pub holds: bool,
    /// The value of the field, if the part is about one that is there.
    pub seen: Option<String>,
    /// What the events call the field, if that is another name.
    pub event_field: Option<String>,
    pub parts: Vec<Reason>,
}

impl Reason {
    fn joint(text: impl Into<String>, holds: bool, parts: Vec<Self>) -> Self {
        Self { text: text.into(), holds, seen: None, event_field: None, parts }
    }
}

/// Explains `rule`, of which `matcher` was made, for `event`.
pub(crate) fn explain(
    engine: &Engine,
    matcher: &Matcher,
    rule: &SigmaRule,
    event: Event<'_>,
) -> Result<Explanation, LowerError> {
    let mapping = engine.mapping();
    let is = if mapping.ignore_sources { Vec::new() } else { engine.sources_of(event) };
    let through: Vec<&Source> =
        is.iter().filter(|it| matcher.sources.contains(it)).filter_map(|it| mapping.source(*it)).collect();
    let names = |sources: &[&Source]| sources.iter().map(|it| it.name.clone()).collect::<Vec<String>>();
    let log_source = if mapping.ignore_sources || is_everything(&matcher.log_source) {
        Ok(vec!["any event".to_owned()])
    } else if !through.is_empty() {
        Ok(names(&through))
    } else {
        let all: Vec<&Source> = is.iter().filter_map(|it| mapping.source(*it)).collect();
        let dataset = event.get_named("event.dataset").map_or_else(|| "unknown".into(), Value::to_text);
        let event_is = if all.is_empty() { format!("of the dataset {dataset}") } else { names(&all).join(", ") };
        Err(format!("the rule is for {}; the event is {event_is}", matcher.source_text()))
    };
    // Names are those of the sources that it is asked through; otherwise those that it would be asked through.
    let mut sources: Vec<Option<&Source>> = through.into_iter().map(Some).collect();
    if sources.is_empty() {
        let first = matcher.sources.first().and_then(|it| mapping.source(*it));
        sources.push(first);
    }
    let names_of = |name: &str| {
        let mut names: Vec<String> = sources.iter().map(|it| mapping.resolved(*it, name).into_owned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let explaining = Explaining { placeholders: &mapping.placeholders, event, names_of: &names_of };
    let mut named = BTreeMap::new();
    for (name, detection) in &rule.detection.named {
        named.insert(name.as_str(), explaining.detection(name, detection)?);
    }
    let conditions: Vec<Reason> = rule.detection.conditions.iter().map(|it| condition(it, &named)).collect();
    Ok(Explanation { log_source, matched: conditions.iter().any(|it| it.holds), conditions })
}

fn condition(expression: &ConditionExpr, named: &BTreeMap<&str, Reason>) -> Reason {
    let all = |parts: &[ConditionExpr]| parts.iter().map(|it| condition(it, named)).collect::<Vec<Reason>>();
    match expression {
        ConditionExpr::And(parts) => {
            let parts = all(parts);
            Reason::joint("all of", parts.iter().all(|it| it.holds), parts)
        }
        ConditionExpr::Or(parts) => {
            let parts = all(parts);
            Reason::joint("one of", parts.iter().any(|it| it.holds), parts)
        }
        ConditionExpr::Not(part) => {
            let part = condition(part, named);
            Reason::joint("not", !part.holds, vec![part])
        }
        ConditionExpr::Identifier(name) => match named.get(name.as_str()) {
            Some(reason) => reason.clone(),
            None => Reason::joint(name.clone(), false, Vec::new()),
        },
        ConditionExpr::Selector { quantifier, pattern } => {
            let chosen: Vec<Reason> =
                named.iter().filter(|(name, _)| selects(pattern, name)).map(|(_, it)| it.clone()).collect();
            let holding = chosen.iter().filter(|it| it.holds).count();
            let holds = match quantifier {
                Quantifier::Any => holding > 0,
                Quantifier::All => holding == chosen.len(),
                Quantifier::Count(count) => holding as u64 >= *count,
            };
            Reason::joint(format!("{quantifier} of {pattern}"), holds, chosen)
        }
    }
}

struct Explaining<'a> {
    placeholders: &'a Placeholders,
    event: Event<'a>,
    /// What the events call a field of the rule.
    names_of: &'a dyn Fn(&str) -> Vec<String>,
}

impl Explaining<'_> {
    fn detection(&self, name: &str, detection: &Detection) -> Result<Reason, LowerError> {
        Ok(match detection {
            Detection::AllOf(items) => {
                let parts = items.iter().map(|it| self.item(it)).collect::<Result<Vec<Reason>, LowerError>>()?;
                Reason::joint(name, parts.iter().all(|it| it.holds), parts)
            }
            Detection::And(list) => {
                let parts = self.list(list)?;
                Reason::joint(name, parts.iter().all(|it| it.holds), parts)
            }
            Detection::AnyOf(list) => {
                let parts = self.list(list)?;
                Reason::joint(format!("{name}: one of"), parts.iter().any(|it| it.holds), parts)
            }
            Detection::Keywords(values) => {
                let mut program = Program::new();
                let node = lower_keywords(&mut program, values, self.placeholders)?;
                let holds = self.holds(&program, &node);
                Reason::joint(format!("{name}: the text contains {}", listed(values)), holds, Vec::new())
            }
            // Not part of Sigma: such rules were refused.
            Detection::ArrayMatch { .. } | Detection::Conditional { .. } => Reason::joint(name, false, Vec::new()),
        })
    }

    fn list(&self, list: &[Detection]) -> Result<Vec<Reason>, LowerError> {
        (1..).zip(list).map(|(number, it)| self.detection(&format!("part {number}"), it)).collect()
    }

    fn item(&self, item: &DetectionItem) -> Result<Reason, LowerError> {
        let mut program = Program::new();
        let node = lower_item(&mut program, item, self.placeholders)?;
        let holds = self.holds(&program, &node);
        let modifiers: String = item.field.modifiers.iter().map(|it| format!("|{}", modifier(*it))).collect();
        let Some(name) = &item.field.name else {
            return Ok(Reason::joint(format!("any text{modifiers}: {}", listed(&item.values)), holds, Vec::new()));
        };
        let names = (self.names_of)(name);
        let seen: Vec<String> = names.iter().flat_map(|it| texts_of(self.event, it)).map(|it| shown(&it)).collect();
        let event_field = (names.as_slice() != std::slice::from_ref(name)).then(|| names.join(", "));
        Ok(Reason {
            text: format!("{name}{modifiers}: {}", listed(&item.values)),
            holds,
            seen: (!seen.is_empty())
                .then(|| seen.into_iter().take(SHOWN_VALUES_MAX).collect::<Vec<String>>().join(", ")),
            event_field,
            parts: Vec::new(),
        })
    }

    fn texts(&self, program: &Program, symbol: Symbol) -> Vec<String> {
        if symbol == KEYWORD {
            let mut texts = Vec::new();
            let batch = self.event.batch();
            engine::any_keyword_text(self.event, &|id| engine::is_own(batch.field_name(id)), &mut |text| {
                texts.push(text.to_owned());
                false
            });
            return texts;
        }
        let names = (self.names_of)(program.symbol_name(symbol));
        names.iter().flat_map(|it| texts_of(self.event, it)).collect()
    }

    fn holds(&self, program: &Program, node: &Node) -> bool {
        match node {
            Node::Item(index) => program.items.get(*index as usize).is_some_and(|item| {
                let atoms = || item.atoms.iter().filter_map(|it| program.atoms.get(*it as usize));
                self.texts(program, item.symbol).iter().any(|text| atoms().any(|it| it.holds(text, &folded(text))))
            }),
            Node::Exists(symbol, wanted) => {
                let names = (self.names_of)(program.symbol_name(*symbol));
                names.iter().any(|it| is_there(self.event, it)) == *wanted
            }
            Node::Reference(reference) => {
                let as_compared = |text: &String| if reference.cased { text.clone() } else { folded(text) };
                let others: Vec<String> = self.texts(program, reference.other).iter().map(as_compared).collect();
                let own = self.texts(program, reference.symbol);
                own.iter().map(as_compared).any(|own| others.iter().any(|it| TextOp::holds(reference.op, &own, it)))
            }
            Node::And(parts) => parts.iter().all(|it| self.holds(program, it)),
            Node::Or(parts) => parts.iter().any(|it| self.holds(program, it)),
            Node::Not(part) => !self.holds(program, part),
            Node::AtLeast(count, parts) => parts.iter().filter(|it| self.holds(program, it)).count() as u64 >= *count,
        }
    }
}

fn is_there(event: Event<'_>, name: &str) -> bool {
    match name {
        super::URL_DECODED => decode::url_decoded(event).is_some(),
        _ => event.get_named(name).is_some_and(|it| it != Value::Null),
    }
}

fn texts_of(event: Event<'_>, name: &str) -> Vec<String> {
    let mut texts = Vec::new();
    if name == super::URL_DECODED {
        texts.extend(decode::url_decoded(event).map(std::borrow::Cow::into_owned));
    } else if let Some(value) = event.get_named(name) {
        engine::any_text(value, &mut |text| {
            texts.push(text.to_owned());
            false
        });
    }
    texts
}

fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
    let cut = text.get(..end).unwrap_or_default();
    if end < text.len() { format!("{cut}…") } else { cut.to_owned() }
}

fn listed(values: &[SigmaValue]) -> String {
    let texts: Vec<String> = values.iter().map(|it| shown(&it.to_string())).collect();
    match texts.as_slice() {
        [one] => one.clone(),
        _ => format!("[{}]", texts.join(", ")),
    }
}

/// A modifier as rules write it.
fn modifier(modifier: rsigma_parser::Modifier) -> &'static str {
    use rsigma_parser::Modifier;
    match modifier {
        Modifier::Contains => "contains",
        Modifier::StartsWith => "startswith",
        Modifier::EndsWith => "endswith",
        Modifier::All => "all",
        Modifier::Base64 => "base64",
        Modifier::Base64Offset => "base64offset",
        Modifier::Wide => "wide",
        Modifier::Utf16be => "utf16be",
        Modifier::Utf16 => "utf16",
        Modifier::WindAsh => "windash",
        Modifier::Re => "re",
        Modifier::Cidr => "cidr",
        Modifier::Cased => "cased",
        Modifier::Exists => "exists",
        Modifier::Expand => "expand",
        Modifier::FieldRef => "fieldref",
        Modifier::Gt => "gt",
        Modifier::Gte => "gte",
        Modifier::Lt => "lt",
        Modifier::Lte => "lte",
        Modifier::Neq => "neq",
        Modifier::IgnoreCase => "i",
        Modifier::Multiline => "m",
        Modifier::DotAll => "s",
        Modifier::Minute => "minute",
        Modifier::Hour => "hour",
        Modifier::Day => "day",
        Modifier::Week => "week",
        Modifier::Month => "month",
        Modifier::Year => "year",
    }
}
