//! From a rule's syntax tree to conditions over items: what every modifier of the Sigma 2 specification means.
//!
//! `docs/sigma.md` says the same for rule writers, and where other engines read the specification differently.

use std::collections::BTreeMap;

use base64::Engine as _;
use regex::RegexBuilder;
use rsigma_parser::value::{SpecialChar, StringPart};
use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, Modifier, Quantifier, SelectorPattern, SigmaString, SigmaValue,
};

use super::ir::{Atom, Expression, KEYWORD, Node, NumberOp, Program, Reference, Symbol, TextOp, simplified};
use super::literal;
use super::text::{self, Part, folded};
use super::time_part::TimePart;

/// How many texts one value may stand for (dashes, placeholders). A rule that needs more is refused.
const VARIANTS_MAX: usize = 4_096;
/// How much memory one compiled regular expression may take. A rule that needs more is refused.
const EXPRESSION_BYTES_MAX: usize = 4 << 20;
/// What a regular expression may keep of an automaton that it builds while it runs; then it starts over.
const EXPRESSION_CACHE_BYTES_MAX: usize = 1 << 20;
/// How deep conditions and selections may be nested. A deeper rule is refused.
const DEPTH_MAX: usize = 64;
/// The dashes that Windows programs take for each other.
const DASHES: [char; 5] = ['-', '/', '–', '—', '―'];

/// Lists of values for placeholders, by name.
pub(crate) type Placeholders = BTreeMap<String, Vec<String>>;

/// Why a rule cannot be compiled.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct LowerError {
    pub(crate) reason: String,
    pub(crate) cure: &'static str,
    /// What to look for in the rule's text to find the place.
    pub(crate) needle: String,
}

fn error(reason: impl Into<String>, cure: &'static str, needle: impl Into<String>) -> LowerError {
    LowerError { reason: reason.into(), cure, needle: needle.into() }
}

/// Compiles the conditions of one rule into `program`. Placeholders without a list go to `unknown`.
pub(crate) fn lower(
    program: &mut Program,
    detections: &Detections,
    placeholders: &Placeholders,
    unknown: &mut Vec<String>,
) -> Result<Node, LowerError> {
    let mut lowering = Lowering { program, placeholders, unknown };
    // In the order of their names, not of a hash map.
    let named: BTreeMap<&str, &Detection> = detections.named.iter().map(|(name, it)| (name.as_str(), it)).collect();
    let mut nodes = BTreeMap::new();
    for (name, detection) in named {
        nodes.insert(name, lowering.detection(detection, 0).map_err(|it| it.in_selection(name))?);
    }
    let conditions: Result<Vec<Node>, LowerError> =
        detections.conditions.iter().map(|it| condition(it, &nodes, 0)).collect();
    Ok(program.ordered(simplified(Node::Or(conditions?.into()))))
}

/// Compiles one line of a selection.
pub(crate) fn lower_item(
    program: &mut Program,
    item: &DetectionItem,
    placeholders: &Placeholders,
) -> Result<Node, LowerError> {
    Lowering { program, placeholders, unknown: &mut Vec::new() }.item(item)
}

/// Compiles keywords.
pub(crate) fn lower_keywords(
    program: &mut Program,
    values: &[SigmaValue],
    placeholders: &Placeholders,
) -> Result<Node, LowerError> {
    Lowering { program, placeholders, unknown: &mut Vec::new() }.keywords(values)
}

impl LowerError {
    fn in_selection(mut self, name: &str) -> Self {
        if self.needle.is_empty() {
            self.needle = format!("{name}:");
        }
        self
    }
}

fn condition(expression: &ConditionExpr, named: &BTreeMap<&str, Node>, depth: usize) -> Result<Node, LowerError> {
    if depth > DEPTH_MAX {
        return Err(error(format!("the condition is nested deeper than {DEPTH_MAX}"), "split the rule", "condition"));
    }
    let all = |parts: &[ConditionExpr]| -> Result<Box<[Node]>, LowerError> {
        parts.iter().map(|it| condition(it, named, depth + 1)).collect()
    };
    Ok(match expression {
        ConditionExpr::And(parts) => Node::And(all(parts)?),
        ConditionExpr::Or(parts) => Node::Or(all(parts)?),
        ConditionExpr::Not(part) => Node::Not(Box::new(condition(part, named, depth + 1)?)),
        ConditionExpr::Identifier(name) => named.get(name.as_str()).cloned().ok_or_else(|| {
            let cure = "define it under `detection` or correct the condition";
            error(format!("the condition names `{name}`, which is no selection of the rule"), cure, "condition:")
        })?,
        ConditionExpr::Selector { quantifier, pattern } => {
            let chosen: Box<[Node]> =
                named.iter().filter(|(name, _)| selects(pattern, name)).map(|(_, node)| node.clone()).collect();
            if chosen.is_empty() {
                let cure = "define selections with such names or correct the condition";
                return Err(error(format!("`{quantifier} of {pattern}` means no selection"), cure, "condition:"));
            }
            match quantifier {
                Quantifier::Any => Node::Or(chosen),
                Quantifier::All => Node::And(chosen),
                Quantifier::Count(count) => Node::AtLeast(*count, chosen),
            }
        }
    })
}

/// Whether `them` or a name with wildcards means the selection `name`.
pub(crate) fn selects(pattern: &SelectorPattern, name: &str) -> bool {
    match pattern {
        SelectorPattern::Them => !name.starts_with('_'),
        SelectorPattern::Pattern(pattern) => {
            let mut parts: Vec<Part> = Vec::new();
            for piece in pattern.split('*') {
                if !piece.is_empty() {
                    parts.push(Part::Text(piece.into()));
                }
                parts.push(Part::Many);
            }
            // One star too many: there is one less than pieces.
            parts.pop();
            text::glob(&parts, name)
        }
    }
}

struct Lowering<'a> {
    program: &'a mut Program,
    placeholders: &'a Placeholders,
    unknown: &'a mut Vec<String>,
}

impl Lowering<'_> {
    fn detection(&mut self, detection: &Detection, depth: usize) -> Result<Node, LowerError> {
        if depth > DEPTH_MAX {
            return Err(error(format!("a selection is nested deeper than {DEPTH_MAX}"), "split the rule", ""));
        }
        match detection {
            Detection::AllOf(items) => {
                let parts: Result<Box<[Node]>, LowerError> = items.iter().map(|it| self.item(it)).collect();
                let parts = parts?;
                if parts.is_empty() {
                    return Err(error("a selection is empty", "give it a field, or remove it", ""));
                }
                Ok(Node::And(parts))
            }
            Detection::AnyOf(list) | Detection::And(list) => {
                let parts: Result<Box<[Node]>, LowerError> =
                    list.iter().map(|it| self.detection(it, depth + 1)).collect();
                let parts = parts?;
                if parts.is_empty() {
                    return Err(error("a selection is empty", "give it a field, or remove it", ""));
                }
                Ok(if matches!(detection, Detection::AnyOf(_)) { Node::Or(parts) } else { Node::And(parts) })
            }
            Detection::Keywords(values) => self.keywords(values),
            Detection::ArrayMatch { field, .. } => Err(error(
                format!("`{field}[…]` is not part of the Sigma specification"),
                "name the field itself: a list matches if one of its members does",
                field,
            )),
            Detection::Conditional { .. } => {
                Err(error("a condition within a selection is not part of the Sigma specification", "split it", ""))
            }
        }
    }

    fn keywords(&mut self, values: &[SigmaValue]) -> Result<Node, LowerError> {
        let modifiers = Modifiers { op: TextOp::Contains, ..Modifiers::default() };
        let mut atoms = Vec::new();
        for value in values {
            if matches!(value, SigmaValue::Null) {
                return Err(error("null is no keyword", "remove it", ""));
            }
            self.value(&mut atoms, value, &modifiers)?;
        }
        Ok(Node::Item(self.program.item(KEYWORD, atoms)))
    }

    fn item(&mut self, item: &DetectionItem) -> Result<Node, LowerError> {
        let name = item.field.name.as_deref();
        let needle = || format!("{}|", name.unwrap_or("'"));
        let placed = |it: LowerError| if it.needle.is_empty() { LowerError { needle: needle(), ..it } } else { it };
        let mut modifiers = Modifiers::of(&item.field.modifiers).map_err(placed)?;
        if name.is_none() && modifiers.op == TextOp::Exact && modifiers.kind == Kind::Text {
            // A keyword stands anywhere in a text.
            modifiers.op = TextOp::Contains;
        }
        let symbol = name.map_or(KEYWORD, |it| self.program.symbol(it));
        if item.values.is_empty() {
            return Err(error("a field has no value", "give it one, or remove it", needle()));
        }
        match modifiers.kind {
            Kind::Exists => {
                let wanted = match item.values.as_slice() {
                    [SigmaValue::Bool(wanted)] => Some(*wanted),
                    [SigmaValue::String(text)] => match text.original.to_ascii_lowercase().as_str() {
                        "true" | "yes" => Some(true),
                        "false" | "no" => Some(false),
                        _ => None,
                    },
                    _ => None,
                };
                return match (wanted, symbol) {
                    (Some(wanted), symbol) if symbol != KEYWORD => Ok(Node::Exists(symbol, wanted)),
                    _ => {
                        Err(error("`exists` is about one field, true or false", "write `field|exists: true`", needle()))
                    }
                };
            }
            Kind::Reference => {
                let parts: Result<Box<[Node]>, LowerError> =
                    item.values.iter().map(|it| self.reference(symbol, it, &modifiers)).collect();
                let parts = parts.map_err(placed)?;
                let node = if modifiers.all { Node::And(parts) } else { Node::Or(parts) };
                return Ok(if modifiers.not_equal { negated(symbol, node) } else { node });
            }
            _ => {}
        }
        if modifiers.all && item.values.len() == 1 {
            return Err(error(
                "`all` is for several values, and there is one",
                "add the other values, or remove `all`",
                needle(),
            ));
        }
        let mut parts = Vec::new();
        let mut together = Vec::new();
        let mut is_missing = false;
        for value in &item.values {
            if matches!(value, SigmaValue::Null) {
                if symbol == KEYWORD {
                    return Err(error("null is no keyword", "remove it", needle()));
                }
                if modifiers.all {
                    parts.push(Node::Exists(symbol, false));
                }
                is_missing = true;
                continue;
            }
            let mut atoms = Vec::new();
            self.value(&mut atoms, value, &modifiers).map_err(placed)?;
            if modifiers.all {
                parts.push(Node::Item(self.program.item(symbol, atoms)));
            } else {
                together.extend(atoms);
            }
        }
        let node = if modifiers.all {
            Node::And(parts.into())
        } else {
            let is_only_missing = is_missing && together.is_empty();
            let missing = is_missing.then_some(Node::Exists(symbol, false));
            let item = (!is_only_missing).then(|| Node::Item(self.program.item(symbol, together)));
            Node::Or(missing.into_iter().chain(item).collect())
        };
        Ok(if modifiers.not_equal { negated(symbol, node) } else { node })
    }

    fn reference(&mut self, symbol: Symbol, value: &SigmaValue, modifiers: &Modifiers) -> Result<Node, LowerError> {
        let cure = "write the name of another field";
        let SigmaValue::String(text) = value else {
            return Err(error("`fieldref` names something that is no field", cure, ""));
        };
        let Some(other) = text.as_plain().filter(|_| symbol != KEYWORD) else {
            return Err(error("`fieldref` compares one field with one other, without wildcards", cure, ""));
        };
        let other = self.program.symbol(&other);
        Ok(Node::Reference(Box::new(Reference { symbol, other, op: modifiers.op, cased: modifiers.cased })))
    }

    /// Appends the atoms of which one must hold for `value` to be matched.
    fn value(&mut self, out: &mut Vec<u32>, value: &SigmaValue, modifiers: &Modifiers) -> Result<(), LowerError> {
        match modifiers.kind {
            Kind::Expression { flags } => {
                let atom = expression(&raw(value), flags)?;
                out.push(self.program.atom(atom));
                return Ok(());
            }
            Kind::Network => {
                let text = raw(value);
                let host = || text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
                let network = text.parse().or_else(|_| host()).map_err(|_| error_network(&text))?;
                out.push(self.program.atom(Atom::Network(network)));
                return Ok(());
            }
            Kind::Number(op) => {
                let text = raw(value);
                let number: f64 =
                    text.parse().ok().filter(|it: &f64| it.is_finite()).ok_or_else(|| {
                        error(format!("`{text}` is no number"), "compare with a number", text.clone())
                    })?;
                out.push(self.program.atom(Atom::Number { op, bits: number.to_bits() }));
                return Ok(());
            }
            Kind::Time(part) => {
                let text = raw(value);
                let number = text.parse().map_err(|_| {
                    error(format!("`{text}` is no part of a time"), "compare with a whole number", text.clone())
                })?;
                out.push(self.program.atom(Atom::TimePart { part, value: number }));
                return Ok(());
            }
            Kind::Text | Kind::Exists | Kind::Reference => {}
        }
        let text = match value {
            SigmaValue::String(text) => text,
            SigmaValue::Integer(_) | SigmaValue::Float(_) if modifiers.op == TextOp::Exact && !modifiers.encodes() => {
                let number = match value {
                    SigmaValue::Integer(number) => *number as f64,
                    SigmaValue::Float(number) => *number,
                    _ => 0.0,
                };
                out.push(self.program.atom(Atom::Number { op: NumberOp::Equal, bits: number.to_bits() }));
                return Ok(());
            }
            SigmaValue::Bool(wanted) if modifiers.op == TextOp::Exact && !modifiers.encodes() => {
                out.push(self.program.atom(Atom::Boolean(*wanted)));
                return Ok(());
            }
            other => &SigmaString::from_raw(&other.to_string()),
        };
        if !modifiers.expand {
            return self.text(out, text, modifiers);
        }
        let mut variants = vec![String::new()];
        for piece in placeholder_pieces(&text.original) {
            let values = match piece {
                Piece::Text(text) => std::slice::from_ref(&text.to_owned()).to_vec(),
                Piece::Placeholder(name) => match self.placeholders.get(name) {
                    Some(values) => values.clone(),
                    None => {
                        self.unknown.push(name.to_owned());
                        Vec::new()
                    }
                },
            };
            if variants.len().saturating_mul(values.len()) > VARIANTS_MAX {
                return Err(too_many(&text.original));
            }
            variants = variants.iter().flat_map(|it| values.iter().map(move |value| format!("{it}{value}"))).collect();
        }
        for variant in variants {
            self.text(out, &SigmaString::new(&variant), modifiers)?;
        }
        Ok(())
    }

    fn text(&mut self, out: &mut Vec<u32>, text: &SigmaString, modifiers: &Modifiers) -> Result<(), LowerError> {
        if modifiers.encodes() {
            let plain = text.as_plain().unwrap_or_else(|| text.original.clone());
            let bytes = modifiers.wide.map_or_else(|| plain.as_bytes().to_vec(), |it| it.encode(&plain));
            match modifiers.base64 {
                None => self.pattern(out, vec![Part::Text(String::from_utf8_lossy(&bytes).into())], modifiers),
                Some(Base64::Whole) => {
                    let encoded = base64::engine::general_purpose::STANDARD.encode(&bytes);
                    self.pattern(out, vec![Part::Text(encoded.into())], modifiers);
                }
                Some(Base64::Anywhere) => {
                    for encoded in base64_anywhere(&bytes) {
                        let modifiers = Modifiers { op: TextOp::Contains, ..modifiers.clone() };
                        self.pattern(out, vec![Part::Text(encoded.into())], &modifiers);
                    }
                }
            }
            return Ok(());
        }
        if modifiers.dashes {
            for variant in dash_variants(&text.original)? {
                self.pattern(out, parts_of(&SigmaString::new(&variant)), modifiers);
            }
            return Ok(());
        }
        self.pattern(out, parts_of(text), modifiers);
        Ok(())
    }

    /// The atom for a text of `parts`, anchored as the modifiers say.
    fn pattern(&mut self, out: &mut Vec<u32>, mut parts: Vec<Part>, modifiers: &Modifiers) {
        if matches!(modifiers.op, TextOp::Contains | TextOp::Ends) {
            parts.insert(0, Part::Many);
        }
        if matches!(modifiers.op, TextOp::Contains | TextOp::Starts) {
            parts.push(Part::Many);
        }
        let cased = modifiers.cased;
        if !cased {
            for part in &mut parts {
                if let Part::Text(text) = part {
                    *text = folded(text).into();
                }
            }
        }
        parts.dedup_by(|second, first| *second == Part::Many && *first == Part::Many);
        let text_atom = |op: TextOp, text: &str| Atom::Text { op, text: text.into(), cased };
        let atom = match parts.as_slice() {
            [] => text_atom(TextOp::Exact, ""),
            [Part::Many] => text_atom(TextOp::Contains, ""),
            [Part::Text(text)] => text_atom(TextOp::Exact, text),
            [Part::Text(text), Part::Many] => text_atom(TextOp::Starts, text),
            [Part::Many, Part::Text(text)] => text_atom(TextOp::Ends, text),
            [Part::Many, Part::Text(text), Part::Many] => text_atom(TextOp::Contains, text),
            _ => Atom::Glob { parts: parts.into(), cased },
        };
        out.push(self.program.atom(atom));
    }
}

/// Field is there, and `node` does not hold.
fn negated(symbol: Symbol, node: Node) -> Node {
    let not = Node::Not(Box::new(node));
    if symbol == KEYWORD { not } else { Node::And([Node::Exists(symbol, true), not].into()) }
}

/// The value as it was written, wildcards and backslashes untouched.
fn raw(value: &SigmaValue) -> String {
    match value {
        SigmaValue::String(text) => text.original.clone(),
        other => other.to_string(),
    }
}

fn error_network(text: &str) -> LowerError {
    error(format!("`{text}` is no network"), "write it as address/bits", text)
}

fn too_many(text: &str) -> LowerError {
    let reason = format!("`{text}` stands for more than {VARIANTS_MAX} texts");
    error(reason, "split the value", text)
}

fn parts_of(text: &SigmaString) -> Vec<Part> {
    text.parts
        .iter()
        .map(|part| match part {
            StringPart::Plain(text) => Part::Text(text.as_str().into()),
            StringPart::Special(SpecialChar::WildcardMulti) => Part::Many,
            StringPart::Special(SpecialChar::WildcardSingle) => Part::One,
        })
        .collect()
}

fn expression(pattern: &str, flags: Flags) -> Result<Atom, LowerError> {
    let mut letters = String::new();
    for (is_set, letter) in [(flags.ignore_case, 'i'), (flags.multi_line, 'm'), (flags.dot_all, 's')] {
        if is_set {
            letters.push(letter);
        }
    }
    let pattern = if letters.is_empty() { pattern.to_owned() } else { format!("(?{letters}){pattern}") };
    let regex = RegexBuilder::new(&pattern)
        .size_limit(EXPRESSION_BYTES_MAX)
        .dfa_size_limit(EXPRESSION_CACHE_BYTES_MAX)
        .build()
        .map_err(|source| match source {
            regex::Error::CompiledTooBig(_) => error(
                format!("the regular expression needs more than {} MiB", EXPRESSION_BYTES_MAX >> 20),
                "repeat less",
                "|re",
            ),
            other => {
                // The last line says what is wrong; those before draw the expression.
                let text = other.to_string();
                let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                error(
                    format!("the regular expression cannot be used: {last}"),
                    "correct it (look-around and back-references could take for ever and are not supported)",
                    "|re",
                )
            }
        })?;
    let needs = literal::needed_by(&pattern).unwrap_or_default();
    Ok(Atom::Expression(Box::new(Expression { regex, needs })))
}

enum Piece<'t> {
    Text(&'t str),
    Placeholder(&'t str),
}

/// `text` cut at its `%placeholders%`.
fn placeholder_pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%')
        && let Some((name, behind)) = after.split_once('%')
    {
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        if !name.is_empty() {
            pieces.push(Piece::Placeholder(name));
        }
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// `text` with every dash or slash that begins a word replaced by each that Windows programs take for it.
fn dash_variants(text: &str) -> Result<Vec<String>, LowerError> {
    let is_word = |it: Option<char>| it.is_some_and(|it| it.is_alphanumeric() || it == '_');
    let mut variants = vec![String::new()];
    let mut before: Option<char> = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let begins_word = matches!(character, '-' | '/') && !is_word(before) && is_word(characters.peek().copied());
        before = Some(character);
        if !begins_word {
            variants.iter_mut().for_each(|it| it.push(character));
            continue;
        }
        if variants.len() * DASHES.len() > VARIANTS_MAX {
            return Err(too_many(text));
        }
        variants = variants.iter().flat_map(|it| DASHES.iter().map(move |dash| format!("{it}{dash}"))).collect();
    }
    Ok(variants)
}

/// What base64 makes of `bytes` wherever they stand in a longer text: one text for each of the three alignments,
/// without the characters that neighbours have a part in.
fn base64_anywhere(bytes: &[u8]) -> Vec<String> {
    (0..3)
        .filter_map(|offset| {
            let mut padded = vec![b' '; offset];
            padded.extend_from_slice(bytes);
            let encoded = base64::engine::general_purpose::STANDARD.encode(&padded);
            let start = [0, 2, 3].get(offset).copied()?;
            let cut = [0, 3, 2].get(padded.len() % 3).copied()?;
            let text = encoded.get(start..encoded.len().checked_sub(cut)?)?;
            (!text.is_empty()).then(|| text.to_owned())
        })
        .collect()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Flags {
    ignore_case: bool,
    multi_line: bool,
    dot_all: bool,
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Text,
    Expression {
        flags: Flags,
    },
    Network,
    Number(NumberOp),
    Time(TimePart),
    Exists,
    Reference,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base64 {
    Whole,
    Anywhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wide {
    LittleEndian,
    BigEndian,
    /// Little endian behind a byte order mark.
    Marked,
}

impl Wide {
    fn encode(self, text: &str) -> Vec<u8> {
        let units = text.encode_utf16();
        match self {
            Self::LittleEndian => units.flat_map(u16::to_le_bytes).collect(),
            Self::BigEndian => units.flat_map(u16::to_be_bytes).collect(),
            Self::Marked => std::iter::once(0xfeff).chain(units).flat_map(u16::to_le_bytes).collect(),
        }
    }
}

#[derive(Clone, Debug)]
struct Modifiers {
    kind: Kind,
    op: TextOp,
    all: bool,
    cased: bool,
    not_equal: bool,
    expand: bool,
    dashes: bool,
    wide: Option<Wide>,
    base64: Option<Base64>,
}

impl Default for Modifiers {
    fn default() -> Self {
        Self {
            kind: Kind::Text,
            op: TextOp::Exact,
            all: false,
            cased: false,
            not_equal: false,
            expand: false,
            dashes: false,
            wide: None,
            base64: None,
        }
    }
}

impl Modifiers {
    fn encodes(&self) -> bool {
        self.wide.is_some() || self.base64.is_some()
    }

    fn of(list: &[Modifier]) -> Result<Self, LowerError> {
        let mut it = Self::default();
        let mut flags = Flags::default();
        // Ways to compare, of which there is one; a field reference may be combined with a way to compare texts.
        let mut kinds: Vec<Kind> = Vec::new();
        let mut ops: Vec<TextOp> = Vec::new();
        for modifier in list {
            match modifier {
                Modifier::Contains => ops.push(TextOp::Contains),
                Modifier::StartsWith => ops.push(TextOp::Starts),
                Modifier::EndsWith => ops.push(TextOp::Ends),
                Modifier::All => it.all = true,
                Modifier::Cased => it.cased = true,
                Modifier::Neq => it.not_equal = true,
                Modifier::Expand => it.expand = true,
                Modifier::WindAsh => it.dashes = true,
                Modifier::Wide => it.wide = only(it.wide, Wide::LittleEndian)?,
                Modifier::Utf16be => it.wide = only(it.wide, Wide::BigEndian)?,
                Modifier::Utf16 => it.wide = only(it.wide, Wide::Marked)?,
                Modifier::Base64 => it.base64 = only(it.base64, Base64::Whole)?,
                Modifier::Base64Offset => it.base64 = only(it.base64, Base64::Anywhere)?,
                Modifier::Re => kinds.push(Kind::Expression { flags: Flags::default() }),
                Modifier::IgnoreCase => flags.ignore_case = true,
                Modifier::Multiline => flags.multi_line = true,
                Modifier::DotAll => flags.dot_all = true,
                Modifier::Cidr => kinds.push(Kind::Network),
                Modifier::Exists => kinds.push(Kind::Exists),
                Modifier::FieldRef => kinds.push(Kind::Reference),
                Modifier::Gt => kinds.push(Kind::Number(NumberOp::Greater)),
                Modifier::Gte => kinds.push(Kind::Number(NumberOp::GreaterOrEqual)),
                Modifier::Lt => kinds.push(Kind::Number(NumberOp::Less)),
                Modifier::Lte => kinds.push(Kind::Number(NumberOp::LessOrEqual)),
                Modifier::Minute => kinds.push(Kind::Time(TimePart::Minute)),
                Modifier::Hour => kinds.push(Kind::Time(TimePart::Hour)),
                Modifier::Day => kinds.push(Kind::Time(TimePart::Day)),
                Modifier::Week => kinds.push(Kind::Time(TimePart::Week)),
                Modifier::Month => kinds.push(Kind::Time(TimePart::Month)),
                Modifier::Year => kinds.push(Kind::Time(TimePart::Year)),
            }
        }
        let contradiction = |reason: &str| Err(error(reason, "keep one way of comparing per field", ""));
        if ops.len() > 1 || kinds.len() > 1 {
            return contradiction("modifiers contradict each other: a field is compared in one way");
        }
        it.op = ops.first().copied().unwrap_or(TextOp::Exact);
        it.kind = match kinds.first().copied() {
            Some(Kind::Expression { .. }) => Kind::Expression { flags },
            other => other.unwrap_or_default(),
        };
        let changes_text = it.encodes() || it.dashes || it.expand;
        match it.kind {
            Kind::Text => {}
            Kind::Reference if !changes_text => {
                let position = |wanted: &dyn Fn(&Modifier) -> bool| list.iter().position(wanted);
                let is_op =
                    |it: &Modifier| matches!(it, Modifier::Contains | Modifier::StartsWith | Modifier::EndsWith);
                if position(&is_op) < position(&|it| *it == Modifier::FieldRef) && position(&is_op).is_some() {
                    return contradiction("`fieldref` comes before the way to compare");
                }
            }
            _ if changes_text || it.op != TextOp::Exact => {
                return contradiction("modifiers contradict each other: one changes texts, the other compares none");
            }
            _ => {}
        }
        if flags != Flags::default() && !matches!(it.kind, Kind::Expression { .. }) {
            return Err(error(
                "`i`, `m` and `s` are for regular expressions",
                "add `re`, or remove them (case is ignored anyway unless `cased` is there)",
                "",
            ));
        }
        Ok(it)
    }
}

fn only<T>(before: Option<T>, new: T) -> Result<Option<T>, LowerError> {
    match before {
        None => Ok(Some(new)),
        Some(_) => Err(error("modifiers contradict each other: a text is encoded in one way", "keep one of them", "")),
    }
}
