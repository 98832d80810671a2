//! Whether a rule could match events of its sources at all, given the fields that these have.

use std::collections::BTreeSet;

use panoptes_model::Event;

use super::Matcher;
use super::ir::{KEYWORD, Node, Program, Symbol};
use super::mapping::{OWN_DATASET, Source, is_everything};
use crate::rules::{Body, RuleSet};

/// How a rule stands to one of its sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The name of the source; `None` for a rule that is asked about every event.
    pub source: Option<String>,
    /// The datasets of its events, as far as it goes by them.
    pub datasets: Vec<String>,
    /// Whether no mapping has it: it is there only because the rule waits for events that state this dataset themselves.
    pub is_stated_dataset: bool,
    /// Event fields without which the rule cannot match; empty if it could.
    pub missing: Vec<String>,
}

impl RuleSet {
    /// The names of the sources that `event` is.
    pub fn sources_of(&self, event: Event<'_>) -> Vec<&str> {
        let mapping = self.engine.mapping();
        let of_event = self.engine.sources_of(event);
        of_event.iter().filter_map(|it| mapping.source(*it)).map(|it| it.name.as_str()).collect()
    }

    /// How the single-event rule at `rule` (in the order of [`rules`](Self::rules)) stands to each of its sources, if
    /// `has` says which fields the events of a source can have. None at all means that nothing makes its log source;
    /// correlations have none.
    pub fn reach(&self, rule: usize, has: &dyn Fn(&Reach, &str) -> bool) -> Vec<Reach> {
        let Some(Body::Event(matcher)) = self.rules.get(rule).map(|it| &it.body) else { return Vec::new() };
        let mapping = self.engine.mapping();
        let sources = matcher.sources.iter().filter_map(|it| mapping.source(*it)).map(Some);
        let any = (mapping.ignore_sources || is_everything(&matcher.log_source)).then_some(None);
        sources.chain(any).map(|source| self.reach_of(matcher, source, has)).collect()
    }

    fn reach_of(&self, matcher: &Matcher, source: Option<&Source>, has: &dyn Fn(&Reach, &str) -> bool) -> Reach {
        let mut reach = Reach {
            source: source.map(|it| it.name.clone()),
            datasets: source.map(|it| it.datasets().map(str::to_owned).collect()).unwrap_or_default(),
            is_stated_dataset: source.is_some_and(|it| it.name.starts_with(OWN_DATASET)),
            missing: Vec::new(),
        };
        let mapping = self.engine.mapping();
        let program = self.engine.program();
        let name_of = |symbol: Symbol| mapping.resolved(source, program.symbol_name(symbol)).into_owned();
        let is_there = |symbol: Symbol| symbol == KEYWORD || has(&reach, &name_of(symbol));
        let mut asking = Asking { program, is_there: &is_there, missing: BTreeSet::new() };
        if !asking.possible(&matcher.node, true).holds {
            reach.missing = asking.missing.into_iter().map(name_of).collect();
            reach.missing.sort_unstable();
            reach.missing.dedup();
        }
        reach
    }
}

/// What a condition can come to.
#[derive(Clone, Copy)]
struct Possible {
    holds: bool,
    fails: bool,
}

const EITHER: Possible = Possible { holds: true, fails: true };

struct Asking<'a> {
    program: &'a Program,
    is_there: &'a dyn Fn(Symbol) -> bool,
    /// Fields because of which a part cannot come to what is wanted of it.
    missing: BTreeSet<Symbol>,
}

impl Asking<'_> {
    /// `wanted` is what the whole needs `node` to come to.
    fn possible(&mut self, node: &Node, wanted: bool) -> Possible {
        match node {
            Node::Item(index) => match self.program.items.get(*index as usize) {
                Some(item) => self.compared(&[item.symbol], wanted),
                None => EITHER,
            },
            Node::Reference(reference) => self.compared(&[reference.symbol, reference.other], wanted),
            Node::Exists(symbol, true) => self.compared(&[*symbol], wanted),
            Node::Exists(symbol, false) => {
                let is_there = (self.is_there)(*symbol);
                if !is_there && !wanted {
                    self.missing.insert(*symbol);
                }
                Possible { holds: true, fails: is_there }
            }
            Node::And(parts) => {
                let of = self.each(parts, wanted);
                Possible { holds: of.iter().all(|it| it.holds), fails: of.iter().any(|it| it.fails) }
            }
            Node::Or(parts) => {
                let of = self.each(parts, wanted);
                Possible { holds: of.iter().any(|it| it.holds), fails: of.iter().all(|it| it.fails) }
            }
            Node::Not(part) => {
                let part = self.possible(part, !wanted);
                Possible { holds: part.fails, fails: part.holds }
            }
            Node::AtLeast(count, parts) => {
                let of = self.each(parts, wanted);
                let may_hold = of.iter().filter(|it| it.holds).count() as u64;
                let must_hold = of.iter().filter(|it| !it.fails).count() as u64;
                Possible { holds: may_hold >= *count, fails: must_hold < *count }
            }
        }
    }

    /// A comparison with fields of the event: it fails without them.
    fn compared(&mut self, symbols: &[Symbol], wanted: bool) -> Possible {
        let absent: Vec<Symbol> = symbols.iter().copied().filter(|it| !(self.is_there)(*it)).collect();
        let is_complete = absent.is_empty();
        if wanted {
            self.missing.extend(absent);
        }
        if is_complete { EITHER } else { Possible { holds: false, fails: true } }
    }

    fn each(&mut self, parts: &[Node], wanted: bool) -> Vec<Possible> {
        parts.iter().map(|it| self.possible(it, wanted)).collect()
    }
}
