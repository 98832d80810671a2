//! What rules are once they are compiled: conditions over items, items over atoms.
//!
//! An *atom* says something of one value, an *item* says that one of several atoms holds for a field, a *node* joins
//! items. Rules share atoms and items: 3,780 rules name far fewer different ones than they have lines.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use hashbrown::HashMap;
use ipnet::IpNet;
use regex::Regex;

use super::literal::{is_rare, rarity};
use super::text::{self, Part};
use super::time_part::TimePart;

/// A field as rules call it, an index into [`Program::symbols`].
pub(crate) type Symbol = u32;
/// The field of keywords: any text of the event.
pub(crate) const KEYWORD: Symbol = 0;

/// What a lazy item costs a rule that waits for it, in shares of all events: more than any other.
const LAZY_COST: f64 = 1e6;
/// What a guess counts beside what was observed.
const GUESS_WEIGHT: f64 = 1e-3;
/// Longer numbers are text.
const NUMBER_BYTES_MAX: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TextOp {
    Exact,
    Contains,
    Starts,
    Ends,
}

impl TextOp {
    pub(crate) fn holds(self, text: &str, literal: &str) -> bool {
        match self {
            Self::Exact => text == literal,
            Self::Contains => memchr::memmem::find(text.as_bytes(), literal.as_bytes()).is_some(),
            Self::Starts => text.starts_with(literal),
            Self::Ends => text.ends_with(literal),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NumberOp {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl NumberOp {
    pub(crate) fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Equal => value == limit,
            Self::Greater => value > limit,
            Self::GreaterOrEqual => value >= limit,
            Self::Less => value < limit,
            Self::LessOrEqual => value <= limit,
        }
    }
}

/// A regular expression and what it needs.
#[derive(Debug)]
pub(crate) struct Expression {
    pub(crate) regex: Regex,
    /// Folded literals of which a matching text holds one; none known if empty.
    pub(crate) needs: Vec<Box<str>>,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}

impl Eq for Expression {}

impl Hash for Expression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.regex.as_str().hash(state);
    }
}

/// Something that holds or does not hold for one value, as text.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum Atom {
    /// `text` is folded unless `cased`.
    Text {
        op: TextOp,
        text: Box<str>,
        cased: bool,
    },
    Glob {
        parts: Box<[Part]>,
        cased: bool,
    },
    Expression(Box<Expression>),
    Network(IpNet),
    /// The bits of the number.
    Number {
        op: NumberOp,
        bits: u64,
    },
    Boolean(bool),
    TimePart {
        part: TimePart,
        value: i64,
    },
}

impl Atom {
    /// Whether it holds for a value whose text is `text` and folds to `folded`.
    pub(crate) fn holds(&self, text: &str, folded: &str) -> bool {
        match self {
            Self::Text { op, text: literal, cased } => op.holds(if *cased { text } else { folded }, literal),
            Self::Glob { parts, cased } => text::glob(parts, if *cased { text } else { folded }),
            Self::Expression(expression) => expression.regex.is_match(text),
            Self::Network(network) => address_of(text).is_some_and(|it| network.contains(&it)),
            Self::Number { op, bits } => number_of(text).is_some_and(|it| op.holds(it, f64::from_bits(*bits))),
            Self::Boolean(wanted) => boolean_of(folded) == Some(*wanted),
            Self::TimePart { part, value } => part.of(text) == Some(*value),
        }
    }

    /// Folded literals of which a value holds one if the atom holds for it; empty if none is known or worth looking
    /// for in every value.
    pub(crate) fn needs(&self) -> Vec<Box<str>> {
        match self {
            Self::Text { text, cased, .. } => {
                let literal = if *cased { text::folded(text) } else { text.to_string() };
                if is_rare(&literal) { vec![literal.into()] } else { Vec::new() }
            }
            Self::Glob { parts, cased } => {
                let texts = parts.iter().filter_map(|it| if let Part::Text(text) = it { Some(&**text) } else { None });
                let longest = texts.max_by_key(|it| rarity(it)).filter(|it| is_rare(it));
                longest.map(|it| if *cased { text::folded(it) } else { it.to_owned() }.into()).into_iter().collect()
            }
            Self::Expression(expression) => expression.needs.clone(),
            _ => Vec::new(),
        }
    }

    /// Whether nothing tells beforehand when it is worth trying: then it is only tried when a rule comes to ask for it,
    /// unless some rule has nothing else to wait for.
    pub(crate) fn is_lazy(&self) -> bool {
        match self {
            Self::Text { op: TextOp::Exact | TextOp::Starts | TextOp::Ends, cased: false, .. } => false,
            Self::Text { text, cased: false, .. } => text.len() == 1,
            Self::Text { text, .. } => !text.is_empty() && self.needs().is_empty(),
            Self::Glob { .. } | Self::Expression(_) => self.needs().is_empty(),
            Self::TimePart { .. } => true,
            Self::Network(_) | Self::Number { .. } | Self::Boolean(_) => false,
        }
    }

    /// How often it is likely to hold, more or less: what a rule waits for should be rare.
    fn cost(&self) -> f64 {
        match self {
            Self::Text { op, text, .. } => {
                let length = text.len().max(1) as f64;
                match op {
                    TextOp::Exact => 0.05,
                    TextOp::Contains => 1.0 / (length * length),
                    TextOp::Starts => 1.0 / length.powf(1.5),
                    TextOp::Ends => 0.5 / length.powf(1.5),
                }
            }
            Self::Glob { .. } | Self::Expression(_) => 0.05,
            Self::Number { op: NumberOp::Equal, .. } => 0.05,
            Self::Number { .. } | Self::Network(_) | Self::Boolean(_) | Self::TimePart { .. } => 0.5,
        }
    }
}

pub(crate) fn number_of(text: &str) -> Option<f64> {
    // The first byte spares almost every text the rest.
    let first = *text.as_bytes().first()?;
    if text.len() > NUMBER_BYTES_MAX || !(first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.')) {
        return None;
    }
    text.parse().ok()
}

pub(crate) fn address_of(text: &str) -> Option<IpAddr> {
    let first = *text.as_bytes().first()?;
    if text.len() > NUMBER_BYTES_MAX + 6 || !(first.is_ascii_hexdigit() || first == b':') {
        return None;
    }
    text.parse().ok()
}

pub(crate) fn boolean_of(folded: &str) -> Option<bool> {
    match folded {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

/// One of `atoms` holds for one value of the field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Item {
    pub(crate) symbol: Symbol,
    pub(crate) atoms: Box<[u32]>,
}

/// A condition.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Item(u32),
    /// The field is there and not null; or else it is not.
    Exists(Symbol, bool),
    Reference(Box<Reference>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Not(Box<Node>),
    /// As many of them hold at least.
    AtLeast(u64, Box<[Node]>),
}

/// One field compared with another of the same event.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub(crate) symbol: Symbol,
    pub(crate) other: Symbol,
    pub(crate) op: TextOp,
    pub(crate) cased: bool,
}

/// The conditions of all rules.
#[derive(Default)]
pub(crate) struct Program {
    pub(crate) symbols: Vec<Box<str>>,
    by_symbol: HashMap<Box<str>, Symbol>,
    pub(crate) atoms: Vec<Atom>,
    /// By hash; the table compares the atoms themselves.
    by_atom: hashbrown::HashTable<u32>,
    pub(crate) items: Vec<Item>,
    by_item: HashMap<Item, u32>,
    /// Whether some atom of the item is lazy.
    lazy: Vec<bool>,
    lazy_atoms: Vec<bool>,
    /// [`Atom::needs`] of each atom.
    needs: Vec<Vec<Box<str>>>,
    hasher: foldhash::fast::FixedState,
}

impl Program {
    pub(crate) fn new() -> Self {
        let mut program = Self::default();
        // Takes number `KEYWORD`.
        program.symbol("");
        program
    }

    pub(crate) fn symbol(&mut self, name: &str) -> Symbol {
        if let Some(symbol) = self.by_symbol.get(name) {
            return *symbol;
        }
        let symbol = self.symbols.len() as Symbol;
        self.symbols.push(name.into());
        self.by_symbol.insert(name.into(), symbol);
        symbol
    }

    pub(crate) fn symbol_name(&self, symbol: Symbol) -> &str {
        self.symbols.get(symbol as usize).map_or("", |it| it)
    }

    pub(crate) fn atom(&mut self, atom: Atom) -> u32 {
        let Self { atoms, by_atom, hasher, lazy_atoms, needs, .. } = self;
        let hash = |it: &Atom| std::hash::BuildHasher::hash_one(hasher, it);
        let known = by_atom.find(hash(&atom), |it| atoms.get(*it as usize) == Some(&atom));
        if let Some(index) = known {
            return *index;
        }
        let index = atoms.len() as u32;
        let own_hash = hash(&atom);
        lazy_atoms.push(atom.is_lazy());
        needs.push(atom.needs());
        atoms.push(atom);
        by_atom.insert_unique(own_hash, index, |it| atoms.get(*it as usize).map_or(0, hash));
        index
    }

    pub(crate) fn item(&mut self, symbol: Symbol, mut atoms: Vec<u32>) -> u32 {
        atoms.sort_unstable();
        atoms.dedup();
        let item = Item { symbol, atoms: atoms.into() };
        if let Some(index) = self.by_item.get(&item) {
            return *index;
        }
        let index = self.items.len() as u32;
        self.lazy.push(item.atoms.iter().any(|it| self.is_lazy_atom(*it)));
        self.items.push(item.clone());
        self.by_item.insert(item, index);
        index
    }

    /// Forgets what only compiling needs.
    pub(crate) fn seal(&mut self) {
        self.by_symbol = HashMap::new();
        self.by_item = HashMap::new();
        self.by_atom = hashbrown::HashTable::new();
        self.atoms.shrink_to_fit();
        self.items.shrink_to_fit();
    }

    pub(crate) fn is_lazy(&self, item: u32) -> bool {
        self.lazy.get(item as usize).copied().unwrap_or(true)
    }

    pub(crate) fn is_lazy_atom(&self, atom: u32) -> bool {
        self.lazy_atoms.get(atom as usize).copied().unwrap_or(true)
    }

    /// What [`Atom::needs`] said of the atom.
    pub(crate) fn needs_of(&self, atom: u32) -> &[Box<str>] {
        self.needs.get(atom as usize).map(Vec::as_slice).unwrap_or_default()
    }

    /// Has the lazy atoms of `items` tried on every value: rules wait for them.
    pub(crate) fn make_eager(&mut self, items: impl Iterator<Item = u32>) {
        let Self { items: all, lazy_atoms, lazy, .. } = self;
        let mut changed = false;
        for item in items.filter_map(|it| all.get(it as usize)) {
            for atom in &item.atoms {
                if let Some(is_lazy) = lazy_atoms.get_mut(*atom as usize) {
                    changed |= std::mem::take(is_lazy);
                }
            }
        }
        if changed {
            for (item, is_lazy) in all.iter().zip(lazy) {
                *is_lazy &= item.atoms.iter().any(|it| lazy_atoms.get(*it as usize) != Some(&false));
            }
        }
    }

    /// Items of which one holds whenever `node` does, the rarest that can be told; `None` if there are none. Lazy ones
    /// are the last resort. `observed` is in what share of events an item held, if that is known.
    pub(crate) fn necessary(&self, node: &Node, observed: &dyn Fn(u32) -> Option<f64>) -> Option<Vec<u32>> {
        self.necessary_with_cost(node, observed).map(|(_, items)| items)
    }

    fn necessary_with_cost(&self, node: &Node, observed: &dyn Fn(u32) -> Option<f64>) -> Option<(f64, Vec<u32>)> {
        match node {
            Node::Item(index) => {
                let item = self.items.get(*index as usize)?;
                if self.is_lazy(*index) {
                    return (item.symbol != KEYWORD).then(|| (LAZY_COST, vec![*index]));
                }
                let atoms = item.atoms.iter().filter_map(|it| self.atoms.get(*it as usize));
                let cost: f64 = atoms.map(Atom::cost).sum();
                let factor = if item.symbol == KEYWORD { 10.0 } else { 1.0 };
                let guess = cost * factor;
                // What never held is still told apart by what is likely.
                Some((observed(*index).map_or(guess, |it| it + guess * GUESS_WEIGHT), vec![*index]))
            }
            Node::And(parts) => parts
                .iter()
                .filter_map(|it| self.necessary_with_cost(it, observed))
                .min_by(|left, right| left.0.total_cmp(&right.0)),
            Node::Or(parts) | Node::AtLeast(1.., parts) => {
                let mut all = (0.0, Vec::new());
                for part in parts {
                    let (cost, items) = self.necessary_with_cost(part, observed)?;
                    all.0 += cost;
                    all.1.extend(items);
                }
                all.1.sort_unstable();
                all.1.dedup();
                Some(all)
            }
            Node::AtLeast(0, _) | Node::Exists(..) | Node::Reference(_) | Node::Not(_) => None,
        }
    }

    /// Puts what is cheap to know before what is not.
    pub(crate) fn ordered(&self, node: Node) -> Node {
        let order = |parts: Box<[Node]>| -> Box<[Node]> {
            let mut parts: Vec<Node> = parts.into_vec().into_iter().map(|it| self.ordered(it)).collect();
            parts.sort_by_key(|it| self.weight(it));
            parts.into()
        };
        match node {
            Node::And(parts) => Node::And(order(parts)),
            Node::Or(parts) => Node::Or(order(parts)),
            Node::AtLeast(count, parts) => Node::AtLeast(count, order(parts)),
            Node::Not(part) => Node::Not(Box::new(self.ordered(*part))),
            other => other,
        }
    }

    fn weight(&self, node: &Node) -> u32 {
        match node {
            Node::Item(item) if self.is_lazy(*item) => 1_000,
            Node::Item(_) | Node::Exists(..) => 1,
            Node::Reference(_) => 100,
            Node::Not(part) => self.weight(part).saturating_add(1),
            Node::And(parts) | Node::Or(parts) | Node::AtLeast(_, parts) => {
                parts.iter().fold(1, |sum: u32, it| sum.saturating_add(self.weight(it)))
            }
        }
    }
}

/// Calls `visit` with every item and every other field that `node` asks for.
pub(crate) fn visit(node: &Node, items: &mut impl FnMut(u32), symbols: &mut impl FnMut(Symbol)) {
    match node {
        Node::Item(item) => items(*item),
        Node::Exists(symbol, _) => symbols(*symbol),
        Node::Reference(reference) => {
            symbols(reference.symbol);
            symbols(reference.other);
        }
        Node::And(parts) | Node::Or(parts) | Node::AtLeast(_, parts) => {
            for part in parts {
                visit(part, items, symbols);
            }
        }
        Node::Not(part) => visit(part, items, symbols),
    }
}

/// `node` without joints of one part and joints within joints of the same kind.
pub(crate) fn simplified(node: Node) -> Node {
    fn flat(parts: Box<[Node]>, same: fn(Node) -> Result<Box<[Node]>, Node>) -> Vec<Node> {
        let mut out = Vec::with_capacity(parts.len());
        for part in parts.into_vec() {
            match same(simplified(part)) {
                Ok(inner) => out.extend(inner.into_vec()),
                Err(other) => out.push(other),
            }
        }
        out
    }
    fn single(mut parts: Vec<Node>, join: fn(Box<[Node]>) -> Node) -> Node {
        match (parts.len(), parts.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                parts.extend(last);
                join(parts.into())
            }
        }
    }
    match node {
        Node::And(parts) => {
            single(flat(parts, |it| if let Node::And(inner) = it { Ok(inner) } else { Err(it) }), Node::And)
        }
        Node::Or(parts) => {
            single(flat(parts, |it| if let Node::Or(inner) = it { Ok(inner) } else { Err(it) }), Node::Or)
        }
        Node::Not(part) => match simplified(*part) {
            Node::Not(inner) => *inner,
            other => Node::Not(Box::new(other)),
        },
        Node::AtLeast(count, parts) => Node::AtLeast(count, parts.into_vec().into_iter().map(simplified).collect()),
        other => other,
    }
}
