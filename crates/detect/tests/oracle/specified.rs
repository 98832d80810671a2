//! Rules and events as `rsigma-eval` must be given them so that it reads them as the Sigma specification says.
//!
//! Whatever is changed here is a difference that `differences.rs` shows and `docs/sigma.md` tells; everything else
//! reaches it as it was written.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rsigma_eval::event::JsonEvent;
use rsigma_eval::{Event, EventValue};
use rsigma_parser::value::{SigmaString, SpecialChar, StringPart};
use rsigma_parser::{Detection, DetectionItem, FieldSpec, Modifier, SigmaRule, SigmaValue};
use serde_json::Value;

/// What `windash` makes of each other.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// The rule, so that they match what Sigma says it matches.
pub(crate) fn rule(rule: &SigmaRule) -> SigmaRule {
    let mut rule = rule.clone();
    for it in rule.detection.named.values_mut() {
        *it = detection(it);
    }
    rule
}

/// Whether a value of the rule names a list that its reader has to have.
pub(crate) fn has_placeholders(rule: &SigmaRule) -> bool {
    fn of(detection: &Detection) -> bool {
        match detection {
            Detection::AllOf(items) => items.iter().any(|it| it.field.has_modifier(Modifier::Expand)),
            Detection::AnyOf(all) | Detection::And(all) => all.iter().any(of),
            _ => false,
        }
    }
    rule.detection.named.values().any(of)
}

fn detection(it: &Detection) -> Detection {
    let all = |list: &[Detection]| list.iter().map(detection).collect();
    match it {
        Detection::AllOf(items) => and(items.iter().map(item).collect()),
        Detection::AnyOf(list) => Detection::AnyOf(all(list)),
        Detection::And(list) => Detection::And(all(list)),
        Detection::Keywords(words) => keywords(words, false),
        Detection::ArrayMatch { field, quantifier, body } => {
            Detection::ArrayMatch { field: field.clone(), quantifier: *quantifier, body: Box::new(detection(body)) }
        }
        Detection::Conditional { named, condition } => Detection::Conditional {
            named: named.iter().map(|(name, it)| (name.clone(), detection(it))).collect(),
            condition: condition.clone(),
        },
    }
}

fn and(mut all: Vec<Detection>) -> Detection {
    if all.len() == 1 { all.remove(0) } else { Detection::And(all) }
}

fn or(mut all: Vec<Detection>) -> Detection {
    if all.len() == 1 { all.remove(0) } else { Detection::AnyOf(all) }
}

/// Keywords stand anywhere in the event, each in a place of its own.
fn keywords(words: &[SigmaValue], all: bool) -> Detection {
    let each = words.iter().map(|word| {
        let pattern = match word {
            SigmaValue::String(text) => regex(&text.parts, ""),
            other => regex_syntax::escape(&other.to_string()),
        };
        let modifiers = vec![Modifier::Re, Modifier::IgnoreCase, Modifier::DotAll];
        one(None, modifiers, vec![SigmaValue::from_raw_string(&pattern)])
    });
    if all { and(each.collect()) } else { or(each.collect()) }
}

fn one(name: Option<&String>, modifiers: Vec<Modifier>, values: Vec<SigmaValue>) -> Detection {
    let field = FieldSpec::new(name.cloned(), modifiers);
    Detection::AllOf(vec![DetectionItem { field, values }])
}

fn item(it: &DetectionItem) -> Detection {
    let has = |modifier| it.field.has_modifier(modifier);
    let name = it.field.name.as_ref();
    let without = |gone: &[Modifier]| -> Vec<Modifier> {
        it.field.modifiers.iter().copied().filter(|modifier| !gone.contains(modifier)).collect()
    };
    if name.is_none() && !has(Modifier::Re) {
        return keywords(&it.values, has(Modifier::All));
    }
    if has(Modifier::WindAsh) || has(Modifier::Base64Offset) {
        let gone = [
            Modifier::WindAsh,
            Modifier::Base64Offset,
            Modifier::All,
            Modifier::Wide,
            Modifier::Utf16,
            Modifier::Utf16be,
        ];
        let mut modifiers = without(&gone);
        if has(Modifier::Base64Offset) && !has(Modifier::Contains) {
            modifiers.push(Modifier::Contains);
        }
        let each = it.values.iter().map(|value| {
            let SigmaValue::String(text) = value else { return one(name, modifiers.clone(), vec![value.clone()]) };
            let variants =
                if has(Modifier::WindAsh) { dashes(text) } else { offsets(&bytes(text, &it.field.modifiers)) };
            let values = variants.into_iter().map(SigmaValue::String).collect();
            detection(&one(name, modifiers.clone(), values))
        });
        return if has(Modifier::All) { and(each.collect()) } else { or(each.collect()) };
    }
    let is_null = |value: &&SigmaValue| matches!(value, SigmaValue::Null);
    if it.values.len() > 1 && it.values.iter().any(|value| is_null(&value)) && !has(Modifier::Neq) {
        let split = it.values.iter().map(|value| detection(&one(name, without(&[Modifier::All]), vec![value.clone()])));
        return if has(Modifier::All) { and(split.collect()) } else { or(split.collect()) };
    }
    let takes_wildcards = |modifier: &Modifier| {
        use Modifier::{All, Cased, Contains, EndsWith, Neq, StartsWith};
        matches!(modifier, Contains | StartsWith | EndsWith | All | Cased | Neq)
    };
    let is_meant = |value: &SigmaValue| match value {
        SigmaValue::String(text) => text.contains_wildcards(),
        SigmaValue::Bool(_) => true,
        _ => false,
    };
    if it.field.modifiers.iter().all(takes_wildcards) && it.values.iter().any(is_meant) {
        let mut parts = Vec::new();
        let is_text = |value: &SigmaValue| matches!(value, SigmaValue::String(_) | SigmaValue::Bool(_));
        let (texts, others): (Vec<_>, Vec<_>) = it.values.iter().cloned().partition(is_text);
        let operator = [(Modifier::Contains, ""), (Modifier::StartsWith, "^"), (Modifier::EndsWith, "$")];
        let anchors = operator.iter().find(|it| has(it.0)).map_or("^$", |it| it.1);
        let patterns: Vec<SigmaValue> = texts
            .iter()
            .filter_map(|value| match value {
                SigmaValue::String(text) => Some(regex(&text.parts, anchors)),
                // Also the number 1 is true.
                SigmaValue::Bool(true) => Some("^(?i:true|yes|1)$".to_owned()),
                SigmaValue::Bool(false) => Some("^(?i:false|no|0)$".to_owned()),
                _ => None,
            })
            .map(|it| SigmaValue::from_raw_string(&it))
            .collect();
        let links = |count: usize| {
            let kept = [Modifier::All, Modifier::Neq].into_iter();
            kept.filter(|it| has(*it) && (*it != Modifier::All || count > 1)).collect::<Vec<_>>()
        };
        let mut modifiers = vec![Modifier::Re, Modifier::DotAll];
        modifiers.extend((!has(Modifier::Cased)).then_some(Modifier::IgnoreCase));
        modifiers.extend(links(patterns.len()));
        parts.push(one(name, modifiers, patterns));
        if !others.is_empty() {
            let mut modifiers = without(&[Modifier::All, Modifier::Neq]);
            modifiers.extend(links(others.len()));
            parts.push(one(name, modifiers, others));
        }
        return if has(Modifier::All) || has(Modifier::Neq) { and(parts) } else { or(parts) };
    }
    Detection::AllOf(vec![it.clone()])
}

/// The pattern as a regular expression, between the anchors that are asked for.
fn regex(parts: &[StringPart], anchors: &str) -> String {
    let mut out = String::new();
    if anchors.contains('^') {
        out.push('^');
    }
    for part in parts {
        match part {
            StringPart::Plain(text) => out.push_str(&regex_syntax::escape(text)),
            StringPart::Special(SpecialChar::WildcardMulti) => out.push_str(".*"),
            StringPart::Special(SpecialChar::WildcardSingle) => out.push('.'),
        }
    }
    if anchors.contains('$') {
        out.push('$');
    }
    out
}

/// The value with each dash or slash that begins a word as each of the dashes; wildcards stay.
fn dashes(text: &SigmaString) -> Vec<SigmaString> {
    let is_word = |it: Option<char>| it.is_some_and(|it| it.is_alphanumeric() || it == '_');
    let mut all = vec![Vec::new()];
    for part in &text.parts {
        let variants: Vec<StringPart> = match part {
            StringPart::Special(_) => vec![part.clone()],
            StringPart::Plain(plain) => {
                let mut variants = vec![String::new()];
                let (mut before, mut rest) = (None, plain.chars());
                while let Some(character) = rest.next() {
                    let begins = matches!(character, '-' | '/') && !is_word(before) && is_word(rest.clone().next());
                    before = Some(character);
                    let meant = if begins { &DASHES[..] } else { &[character][..] };
                    variants =
                        variants.iter().flat_map(|start| meant.iter().map(move |it| format!("{start}{it}"))).collect();
                }
                variants.into_iter().map(StringPart::Plain).collect()
            }
        };
        let extended = |start: &Vec<StringPart>| {
            variants.iter().map(|it| start.iter().cloned().chain([it.clone()]).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(extended).collect();
    }
    all.into_iter().map(|parts| SigmaString { parts, original: text.original.clone() }).collect()
}

fn bytes(text: &SigmaString, modifiers: &[Modifier]) -> Vec<u8> {
    let plain = text.as_plain().unwrap_or_else(|| text.original.clone());
    let units = || plain.encode_utf16();
    if modifiers.contains(&Modifier::Wide) {
        units().flat_map(u16::to_le_bytes).collect()
    } else if modifiers.contains(&Modifier::Utf16be) {
        units().flat_map(u16::to_be_bytes).collect()
    } else if modifiers.contains(&Modifier::Utf16) {
        [0xff, 0xfe].into_iter().chain(units().flat_map(u16::to_le_bytes)).collect()
    } else {
        plain.into_bytes()
    }
}

/// What is the same in Base64 wherever the bytes stand: without the characters that neighbours have a share in.
fn offsets(bytes: &[u8]) -> Vec<SigmaString> {
    let at = |offset: usize| {
        let padded: Vec<u8> = std::iter::repeat_n(b' ', offset).chain(bytes.iter().copied()).collect();
        let encoded = BASE64.encode(&padded);
        let (start, cut) = ([0, 2, 3][offset], [0, 3, 2][padded.len() % 3]);
        SigmaString::from_raw(encoded.get(start..encoded.len() - cut).unwrap_or_default())
    };
    (0..3).map(at).collect()
}

/// An event in which null is nothing, and in which keywords are looked for in every value: numbers as they are written.
pub(crate) struct Record<'e> {
    event: JsonEvent<'e>,
    scalars: Vec<String>,
}

impl<'e> Record<'e> {
    pub(crate) fn new(event: &'e Value) -> Self {
        let mut scalars = Vec::new();
        collect_scalars(&mut scalars, event);
        Self { event: JsonEvent::borrow(event), scalars }
    }
}

fn collect_scalars(out: &mut Vec<String>, value: &Value) {
    match value {
        Value::Number(number) => {
            out.push(EventValue::from(&Value::Number(number.clone())).as_str().unwrap().into_owned())
        }
        Value::Bool(value) => out.push(value.to_string()),
        Value::Array(items) => items.iter().for_each(|it| collect_scalars(out, it)),
        Value::Object(fields) => fields.values().for_each(|it| collect_scalars(out, it)),
        Value::Null | Value::String(_) => {}
    }
}

impl Event for Record<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        let mut value = self.event.get_field(path)?;
        // A list of one is the one.
        if let EventValue::Array(items) = &mut value
            && items.len() == 1
        {
            value = items.pop()?;
        }
        (!value.is_null()).then_some(value)
    }

    fn any_string_value(&self, wanted: &dyn Fn(&str) -> bool) -> bool {
        self.scalars.iter().any(|it| wanted(it)) || self.event.any_string_value(wanted)
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        let scalars = self.scalars.iter().map(|it| Cow::Borrowed(it.as_str()));
        scalars.chain(self.event.all_string_values()).collect()
    }

    fn visit_string_values(&self, visit: &mut dyn FnMut(&str)) {
        self.scalars.iter().for_each(|it| visit(it));
        self.event.visit_string_values(visit);
    }

    fn to_json(&self) -> Value {
        self.event.to_json()
    }

    fn top_level_keys(&self) -> Option<Vec<Cow<'_, str>>> {
        self.event.top_level_keys()
    }

    fn visit_top_level_keys(&self, visit: &mut dyn FnMut(&str)) -> bool {
        self.event.visit_top_level_keys(visit)
    }
}
