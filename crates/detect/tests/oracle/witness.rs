//! Events that satisfy a rule, made by walking its syntax tree.
//!
//! A condition has many ways to hold, and parts of a rule may get into each other's way: a [`Draft`] is a good guess
//! whose choices a seed makes. Whoever needs certainty asks an engine and tries the next seed.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rsigma_parser::SigmaValue;
use rsigma_parser::value::{SigmaString, SpecialChar, StringPart};
use rsigma_parser::{ArrayQuantifier, ConditionExpr, Detection, DetectionItem, Modifier, Quantifier, SigmaRule};
use serde_json::{Map, Value, json};

use crate::regex_sample;

/// Where keywords go: a name that no rule and no source uses.
pub(crate) const KEYWORDS: &str = "zz";

/// A small generator of its own: the same choices for the same seed, everywhere.
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit.max(1)
    }

    pub(crate) fn one_of<'t, T>(&mut self, all: &'t [T]) -> Option<&'t T> {
        all.get(self.below(all.len() as u64) as usize)
    }

    pub(crate) fn flip(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// What one field must be.
#[derive(Default)]
struct Wish {
    exact: Option<Value>,
    start: String,
    inner: Vec<String>,
    end: String,
    absent: bool,
}

impl Wish {
    fn to_json(&self, choices: &mut Choices) -> Option<Value> {
        if let Some(value) = &self.exact {
            return Some(value.clone());
        }
        if self.absent {
            return None;
        }
        let mut text = self.start.clone();
        // What may stand anywhere does not always stand at the border.
        if text.is_empty() && choices.below(3) == 0 {
            text.push('x');
        }
        for piece in &self.inner {
            // Pieces that stand in each other already are not repeated, if chance has it.
            if choices.flip() && text.contains(piece.as_str()) {
                continue;
            }
            if !text.is_empty() && choices.flip() {
                text.push(' ');
            }
            text.push_str(piece);
        }
        if self.start.len() < text.len() && choices.flip() && !self.end.is_empty() {
            text.push(' ');
        }
        if self.end.is_empty() && choices.below(3) == 0 {
            text.push('x');
        }
        text.push_str(&self.end);
        Some(Value::String(text))
    }
}

/// An event that probably satisfies a rule.
#[derive(Default)]
pub(crate) struct Draft {
    wishes: BTreeMap<String, Wish>,
    arrays: BTreeMap<String, Vec<Draft>>,
    keywords: Vec<String>,
}

impl Draft {
    /// An event for which the condition of `rule` is `truth`, as far as can be seen.
    pub(crate) fn of(rule: &SigmaRule, truth: bool, choices: &mut Choices) -> Self {
        let mut names: Vec<&String> = rule.detection.named.keys().collect();
        names.sort();
        let mut wanted = BTreeMap::new();
        if let Some(condition) = choices.one_of(&rule.detection.conditions) {
            decide(&mut wanted, condition, truth, &names, choices);
        }
        let mut draft = Self::default();
        for (name, truth) in &wanted {
            let Some(detection) = rule.detection.named.get(name) else { continue };
            match truth {
                true => draft.satisfy(detection, choices),
                false => draft.violate(detection),
            }
        }
        draft
    }

    /// The event; names with dots as they are.
    pub(crate) fn to_json(&self, choices: &mut Choices) -> Map<String, Value> {
        let mut event = Map::new();
        for (name, wish) in &self.wishes {
            if let Some(value) = wish.to_json(choices) {
                event.insert(name.clone(), value);
            }
        }
        for (name, members) in &self.arrays {
            let members = members.iter().map(|it| Value::Object(it.to_json(choices)));
            event.insert(name.clone(), members.collect());
        }
        if !self.keywords.is_empty() {
            event.insert(KEYWORDS.to_owned(), Value::String(self.keywords.join(" ")));
        }
        event
    }

    fn wish(&mut self, name: &str) -> &mut Wish {
        self.wishes.entry(name.to_owned()).or_default()
    }

    fn satisfy(&mut self, detection: &Detection, choices: &mut Choices) {
        match detection {
            Detection::AllOf(items) => items.iter().for_each(|it| self.satisfy_item(it, choices)),
            Detection::And(all) => all.iter().for_each(|it| self.satisfy(it, choices)),
            Detection::AnyOf(all) => {
                if let Some(one) = choices.one_of(all) {
                    self.satisfy(one, choices);
                }
            }
            Detection::Keywords(values) => {
                let keyword = choices.one_of(values).map(|it| text_of(it, choices));
                self.keywords.extend(keyword);
            }
            Detection::ArrayMatch { field, quantifier, body } => {
                if *quantifier != ArrayQuantifier::None {
                    let mut member = Self::default();
                    member.satisfy(body, choices);
                    self.arrays.entry(field.clone()).or_default().push(member);
                }
            }
            Detection::Conditional { named, condition } => {
                let names: Vec<&String> = named.keys().collect();
                let mut wanted = BTreeMap::new();
                decide(&mut wanted, condition, true, &names, choices);
                for name in wanted.iter().filter(|it| *it.1).map(|it| it.0) {
                    if let Some(detection) = named.get(name) {
                        self.satisfy(detection, choices);
                    }
                }
            }
        }
    }

    /// What would hold of a missing field is made not to hold; anything else does not hold of a missing field.
    fn violate(&mut self, detection: &Detection) {
        match detection {
            Detection::AllOf(items) => {
                let of_absence = |it: &&DetectionItem| {
                    it.values.contains(&SigmaValue::Null)
                        || (it.field.has_modifier(Modifier::Exists) && it.values.contains(&SigmaValue::Bool(false)))
                };
                if let Some(name) = items.iter().find(of_absence).and_then(|it| it.field.name.as_ref()) {
                    let wish = self.wish(name);
                    wish.absent = false;
                    if wish.exact.is_none() && wish.start.is_empty() && wish.inner.is_empty() && wish.end.is_empty() {
                        wish.inner.push(format!("unlike {name}"));
                    }
                }
            }
            Detection::And(all) | Detection::AnyOf(all) => all.iter().for_each(|it| self.violate(it)),
            _ => {}
        }
    }

    fn satisfy_item(&mut self, item: &DetectionItem, choices: &mut Choices) {
        let has = |modifier| item.field.has_modifier(modifier);
        let Some(name) = item.field.name.as_deref() else {
            let mut words: Vec<String> = item.values.iter().map(|it| text_of(it, choices)).collect();
            if !has(Modifier::All) && !words.is_empty() {
                words = vec![words.swap_remove(choices.below(words.len() as u64) as usize)];
            }
            self.keywords.extend(words);
            return;
        };
        if has(Modifier::Exists) {
            let wanted = !matches!(item.values.first(), Some(SigmaValue::Bool(false)));
            let wish = self.wish(name);
            wish.absent = !wanted;
            if wanted && wish.exact.is_none() && wish.inner.is_empty() {
                wish.inner.push("here".to_owned());
            }
            return;
        }
        if has(Modifier::Neq) {
            self.wish(name).exact = Some(json!("unlike anything"));
            return;
        }
        let one = [choices.one_of(&item.values)];
        let all: Vec<Option<&SigmaValue>> = item.values.iter().map(Some).collect();
        let values = if has(Modifier::All) { all.as_slice() } else { one.as_slice() };
        for value in values.iter().flatten() {
            self.satisfy_value(name, &item.field.modifiers, value, choices);
        }
    }

    fn satisfy_value(&mut self, name: &str, modifiers: &[Modifier], value: &SigmaValue, choices: &mut Choices) {
        let has = |modifier| modifiers.contains(&modifier);
        let exact = match modifiers.iter().find_map(|it| special(*it, value, choices)) {
            Some(exact) => Some(exact),
            None => match value {
                SigmaValue::Null => Some(Value::Null),
                SigmaValue::Bool(value) => Some(json!(value)),
                SigmaValue::Integer(value) if choices.flip() => Some(json!(value)),
                SigmaValue::Float(value) if choices.flip() => Some(json!(value)),
                _ => None,
            },
        };
        if let Some(exact) = exact {
            self.wish(name).exact = Some(exact);
            return;
        }
        if has(Modifier::FieldRef) {
            let other = text_of(value, choices);
            let shared = format!("same{}", choices.below(10));
            self.wish(&other).exact = Some(json!(shared));
            self.wish(name).exact = Some(json!(shared));
            return;
        }
        if has(Modifier::Re) {
            let pattern = match value {
                SigmaValue::String(text) => text.original.clone(),
                other => other.to_string(),
            };
            let Some(sample) = regex_sample::sample(&pattern, has(Modifier::IgnoreCase), choices) else { return };
            let wish = self.wish(name);
            match (sample.at_start, sample.at_end) {
                (true, true) => wish.exact = Some(Value::String(sample.text)),
                (true, false) => wish.start = sample.text,
                (false, true) => wish.end = sample.text,
                (false, false) => wish.inner.push(sample.text),
            }
            return;
        }
        let mut text = text_of(value, choices);
        if has(Modifier::WindAsh) && choices.flip() {
            let dash = choices.one_of(&["-", "/", "\u{2013}", "\u{2014}", "\u{2015}"]).copied().unwrap_or("-");
            text = text.replace('-', dash);
        }
        text = encoded(text, modifiers, choices);
        if !has(Modifier::Cased) && choices.below(3) == 0 {
            text = if choices.flip() { text.to_ascii_uppercase() } else { text.to_ascii_lowercase() };
        }
        let wish = self.wish(name);
        if has(Modifier::Contains) || has(Modifier::Base64Offset) {
            wish.inner.push(text);
        } else if has(Modifier::StartsWith) {
            if text.len() > wish.start.len() {
                wish.start = text;
            }
        } else if has(Modifier::EndsWith) {
            if text.len() > wish.end.len() {
                wish.end = text;
            }
        } else {
            wish.exact = Some(Value::String(text));
        }
    }
}

/// A value for modifiers that are about numbers, addresses and times.
fn special(modifier: Modifier, value: &SigmaValue, choices: &mut Choices) -> Option<Value> {
    let number = || match value {
        SigmaValue::Integer(number) => Some(*number as f64),
        SigmaValue::Float(number) => Some(*number),
        SigmaValue::String(text) => text.original.parse().ok(),
        _ => None,
    };
    let of_number = |number: f64| if number.fract() == 0.0 { json!(number as i64) } else { json!(number) };
    let part = |from: i64, width: usize| Some(format!("{:0width$}", number()? as i64 + from));
    Some(match modifier {
        Modifier::Gt => of_number(number()? + 1.0),
        Modifier::Gte | Modifier::Lte => of_number(number()?),
        Modifier::Lt => of_number(number()? - 1.0),
        Modifier::Cidr => {
            let SigmaValue::String(text) = value else { return None };
            json!(address_in(&text.original, choices)?)
        }
        Modifier::Minute => json!(format!("2024-05-06T07:{}:09Z", part(0, 2)?)),
        Modifier::Hour => json!(format!("2024-05-06T{}:08:09Z", part(0, 2)?)),
        Modifier::Day => json!(format!("2024-05-{}T07:08:09Z", part(0, 2)?)),
        Modifier::Month => json!(format!("2024-{}-06T07:08:09Z", part(0, 2)?)),
        Modifier::Year => json!(format!("{}-05-06T07:08:09Z", part(0, 4)?)),
        // 2024 began on a Monday: the n-th week begins 7(n-1) days later.
        Modifier::Week => {
            let days = (number()? as i64 - 1).clamp(0, 51) * 7;
            let day = jiff::civil::date(2024, 1, 1).saturating_add(jiff::Span::new().days(days));
            json!(format!("{day}T07:08:09Z"))
        }
        _ => return None,
    })
}

/// Some address in the network.
fn address_in(network: &str, choices: &mut Choices) -> Option<String> {
    let (address, bits) = network.split_once('/').unwrap_or((network, "128"));
    let bits: u32 = bits.parse().ok()?;
    let low = choices.below(u64::MAX);
    Some(match address.parse().ok()? {
        std::net::IpAddr::V4(address) => {
            let host = if bits >= 32 { 0 } else { u32::MAX >> bits };
            std::net::Ipv4Addr::from_bits((address.to_bits() & !host) | (low as u32 & host)).to_string()
        }
        std::net::IpAddr::V6(address) => {
            let host = if bits >= 128 { 0 } else { u128::MAX >> bits };
            std::net::Ipv6Addr::from_bits((address.to_bits() & !host) | (u128::from(low) & host)).to_string()
        }
    })
}

/// What the encoding modifiers make of a text. Bytes that are no text cannot stand in an event.
fn encoded(text: String, modifiers: &[Modifier], choices: &mut Choices) -> String {
    let has = |modifier| modifiers.contains(&modifier);
    let units = || text.encode_utf16();
    let mut bytes: Vec<u8> = if has(Modifier::Wide) {
        units().flat_map(u16::to_le_bytes).collect()
    } else if has(Modifier::Utf16be) {
        units().flat_map(u16::to_be_bytes).collect()
    } else if has(Modifier::Utf16) {
        [0xff, 0xfe].into_iter().chain(units().flat_map(u16::to_le_bytes)).collect()
    } else {
        text.clone().into_bytes()
    };
    if has(Modifier::Base64Offset) {
        let before = choices.below(3) as usize;
        bytes.splice(0..0, std::iter::repeat_n(b'x', before));
        return BASE64.encode(bytes);
    }
    if has(Modifier::Base64) {
        return BASE64.encode(bytes);
    }
    String::from_utf8(bytes).unwrap_or(text)
}

/// A text that the value matches: wildcards stand for a little.
fn text_of(value: &SigmaValue, choices: &mut Choices) -> String {
    let SigmaValue::String(text) = value else { return value.to_string() };
    filled(text, choices)
}

fn filled(pattern: &SigmaString, choices: &mut Choices) -> String {
    let mut text = String::new();
    for part in &pattern.parts {
        match part {
            StringPart::Plain(plain) => text.push_str(plain),
            StringPart::Special(SpecialChar::WildcardMulti) => {
                text.push_str(choices.one_of(&["", "", "x", " y ", "\\z"]).copied().unwrap_or_default());
            }
            StringPart::Special(SpecialChar::WildcardSingle) => {
                text.push_str(choices.one_of(&["x", "7", "ü"]).copied().unwrap_or("x"));
            }
        }
    }
    text
}

/// Which detections must hold, and which must not, for `condition` to be `truth`: one way of many.
fn decide(
    wanted: &mut BTreeMap<String, bool>,
    condition: &ConditionExpr,
    truth: bool,
    names: &[&String],
    choices: &mut Choices,
) {
    match (condition, truth) {
        (ConditionExpr::Identifier(name), _) => {
            wanted.insert(name.clone(), truth);
        }
        (ConditionExpr::Not(inner), _) => decide(wanted, inner, !truth, names, choices),
        (ConditionExpr::And(parts), true) | (ConditionExpr::Or(parts), false) => {
            parts.iter().for_each(|it| decide(wanted, it, truth, names, choices));
        }
        (ConditionExpr::And(parts), false) | (ConditionExpr::Or(parts), true) => {
            if let Some(one) = choices.one_of(parts) {
                decide(wanted, one, truth, names, choices);
            }
        }
        (ConditionExpr::Selector { quantifier, pattern }, _) => {
            let mut meant: Vec<&String> =
                names.iter().copied().filter(|it| pattern.matches_detection_name(it)).collect();
            let needed = match (quantifier, truth) {
                (Quantifier::Any, true) => 1,
                (Quantifier::Count(count), true) => *count as usize,
                (Quantifier::All, false) => 1,
                (Quantifier::All, true) | (Quantifier::Any | Quantifier::Count(_), false) => meant.len(),
            };
            while meant.len() > needed {
                let index = choices.below(meant.len() as u64) as usize;
                meant.swap_remove(index);
            }
            wanted.extend(meant.into_iter().map(|it| (it.clone(), truth)));
        }
    }
}
