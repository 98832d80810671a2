//! Single-event Sigma rules: how they are compiled and how events are asked.
//!
//! * `lower.rs`: what a rule's text means, as conditions over items (`ir.rs`).
//! * `mapping/`, `router.rs`: which log sources an event is, and what rules call its fields.
//! * `engine.rs`, `plan.rs`, `field_plan.rs`, `memo.rs`: all rules as one matcher.
//! * `literal.rs`, `text.rs`, `networks.rs`, `time_part.rs`: the comparisons.
//! * `explain.rs`: the same answer the slow way, with reasons. `reach.rs`: whether there can be an answer at all.

mod decode;
mod engine;
mod explain;
mod field_plan;
mod ir;
mod literal;
mod lower;
mod mapping;
mod memo;
mod networks;
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only x86-64 has vectors here so far"))]
mod pieces;
mod plan;
mod reach;
mod router;
mod text;
mod time_part;

use std::borrow::Cow;

use panoptes_model::Event;
use rsigma_parser::{LogSource, SigmaRule};

pub(crate) use self::decode::URL_DECODED;
pub(crate) use self::engine::Engine;
pub(crate) use self::explain::explain;
pub use self::explain::{Explanation, Reason};
pub(crate) use self::ir::Program;
use self::ir::{KEYWORD, Node, Symbol, visit};
pub(crate) use self::lower::LowerError;
pub(crate) use self::mapping::{Mapping, is_everything};
pub use self::reach::Reach;

/// A compiled rule, and whom it may be asked about.
pub(crate) struct Matcher {
    pub(crate) log_source: LogSource,
    node: Node,
    symbols: Vec<Symbol>,
    /// Positions in the mapping.
    pub(crate) sources: Vec<u32>,
    /// The names of the event fields that it looks at, through any source; sorted.
    pub(crate) fields: Vec<String>,
    /// Placeholders that have no list: their values match nothing.
    pub(crate) unknown_placeholders: Vec<String>,
}

impl Matcher {
    /// Compiles one rule into `program`. What can be wrong with it is found here, before it meets any event.
    pub(crate) fn compile(program: &mut Program, mapping: &Mapping, rule: &SigmaRule) -> Result<Self, LowerError> {
        let mut unknown_placeholders = Vec::new();
        let node = lower::lower(program, &rule.detection, &mapping.placeholders, &mut unknown_placeholders)?;
        let mut symbols = Vec::new();
        let mut items = Vec::new();
        visit(&node, &mut |item| items.push(item), &mut |symbol| symbols.push(symbol));
        symbols.extend(items.iter().filter_map(|it| program.items.get(*it as usize)).map(|it| it.symbol));
        symbols.sort_unstable();
        symbols.dedup();
        symbols.retain(|it| *it != KEYWORD);
        let log_source = rule.logsource.clone();
        let sources: Vec<u32> = mapping.sources_of(&log_source).map(|(index, _)| index).collect();
        let mut fields: Vec<String> = Vec::new();
        let ways = sources.iter().map(|it| mapping.source(*it));
        for source in ways.chain(std::iter::once(None).filter(|_| sources.is_empty())) {
            fields.extend(symbols.iter().map(|it| mapping.resolved(source, program.symbol_name(*it)).into_owned()));
        }
        fields.sort_unstable();
        fields.dedup();
        Ok(Self { log_source, node, symbols, sources, fields, unknown_placeholders })
    }

    /// What `names` of the rule are called in the events of the first source that it is asked about.
    pub(crate) fn event_names(&self, mapping: &Mapping, names: &[String]) -> Vec<String> {
        let source = self.sources.first().and_then(|it| mapping.source(*it));
        names.iter().map(|it| mapping.resolved(source, it).into_owned()).collect()
    }

    /// What `name` of the rule is called in the events of each source that it is asked about.
    pub(crate) fn all_event_names(&self, mapping: &Mapping, name: &str) -> Vec<String> {
        let sources = self.sources.iter().map(|it| mapping.source(*it));
        let any = std::iter::once(None).filter(|_| self.sources.is_empty());
        sources.chain(any).map(|it| mapping.resolved(it, name).into_owned()).collect()
    }

    /// The log source in one line.
    pub(crate) fn source_text(&self) -> String {
        let LogSource { product, category, service, .. } = &self.log_source;
        let parts = [("product", product), ("category", category), ("service", service)];
        let set: Vec<String> =
            parts.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_deref()?))).collect();
        if set.is_empty() { "any".to_owned() } else { set.join(" ") }
    }
}

/// The text of a field as rules see it, worked-out ones included.
pub(crate) fn field_text<'b>(event: Event<'b>, name: &str) -> Option<Cow<'b, str>> {
    if name == URL_DECODED {
        return decode::url_decoded(event);
    }
    event.get_named(name).map(panoptes_model::Value::to_text)
}
