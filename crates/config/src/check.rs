//! Holds what was written against the JSON Schema: unknown keys, wrong types, words and ranges, all of them at once.
//!
//! The schema is made from [`ConfigFile`](crate::ConfigFile), so what editors are told and what is checked cannot
//! differ. Only the part of JSON Schema that such a schema uses is understood.

use serde_json::Value as Schema;

use crate::problem::Problems;
use crate::tree::{Node, Table, Written};

/// What a place wants, as far as plain text must be read differently for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    List,
    Other,
}

/// What the schema wants at `path`.
pub(crate) fn kind_at(root: &Schema, path: &[&str]) -> Kind {
    let mut schema = resolve(root, root);
    for step in path {
        let Some(inner) = schema.pointer("/properties").and_then(|it| it.get(step)) else { return Kind::Other };
        schema = resolve(root, inner);
    }
    if !words(schema).is_empty() || has_type(schema, "string") {
        Kind::Text
    } else if has_type(schema, "array") {
        Kind::List
    } else {
        Kind::Other
    }
}

/// Complains about everything in `tree` that `schema` does not allow, and takes it out, so that the rest can be read.
pub(crate) fn check(schema: &Schema, tree: &mut Table, problems: &mut Problems) {
    Check { root: schema, problems }.table(resolve(schema, schema), tree, "");
}

struct Check<'a> {
    root: &'a Schema,
    problems: &'a mut Problems,
}

impl Check<'_> {
    fn table(&mut self, schema: &Schema, table: &mut Table, path: &str) {
        let properties = schema.get("properties").and_then(Schema::as_object);
        table.0.retain(|name, (key_origin, node)| {
            let path = join(path, name);
            match properties.and_then(|it| it.get(name)) {
                Some(property) => self.node(resolve(self.root, property), node, &path),
                None => {
                    let mut known: Vec<&str> = properties.into_iter().flatten().map(|it| it.0.as_str()).collect();
                    known.sort_unstable();
                    let message = format!("unknown key `{path}`; {}", self.advice(name, &path, &known));
                    self.problems.push(key_origin, &path, message);
                    false
                }
            }
        });
    }

    /// Whether `node` may stay.
    fn node(&mut self, schema: &Schema, node: &mut Node, path: &str) -> bool {
        let words = words(schema);
        if !words.is_empty() {
            let Written::Text(text) = &node.value else {
                return self.wrong_type(&format!("one of {}", words.join(", ")), node, path);
            };
            if words.contains(&text.as_str()) {
                return true;
            }
            let hint = nearest(text, &words).map(|it| format!("; did you mean `{it}`?")).unwrap_or_default();
            let message = format!("`{path}` is `{text}`, not one of {}{hint}", words.join(", "));
            self.problems.push(&node.origin, path, message);
            return false;
        }
        match &mut node.value {
            Written::Table(table) if has_type(schema, "object") => {
                self.table(schema, table, path);
                true
            }
            Written::List(items) if has_type(schema, "array") => {
                let Some(inner) = schema.get("items") else { return true };
                let inner = resolve(self.root, inner);
                let mut index = 0;
                items.retain_mut(|item| {
                    let keep = self.node(inner, item, &format!("{path}[{index}]"));
                    index += 1;
                    keep
                });
                true
            }
            Written::Text(_) if has_type(schema, "string") => true,
            Written::Boolean(_) if has_type(schema, "boolean") => true,
            Written::Integer(number) if has_type(schema, "integer") || has_type(schema, "number") => {
                let number = *number;
                self.range(schema, number as f64, &number.to_string(), node, path)
            }
            Written::Float(number) if has_type(schema, "number") => {
                let number = *number;
                self.range(schema, number, &number.to_string(), node, path)
            }
            Written::IntegerTooLarge if has_type(schema, "integer") || has_type(schema, "number") => {
                self.range(schema, f64::INFINITY, "too large", node, path)
            }
            _ => self.wrong_type(wanted(schema), node, path),
        }
    }

    fn wrong_type(&mut self, wanted: &str, node: &Node, path: &str) -> bool {
        let found = match &node.value {
            Written::Text(_) => "a text",
            Written::Integer(_) | Written::IntegerTooLarge => "a whole number",
            Written::Float(_) => "a number",
            Written::Boolean(_) => "true or false",
            Written::Date => "a date",
            Written::List(_) => "a list",
            Written::Table(_) => "a section",
        };
        self.problems.push(&node.origin, path, format!("`{path}` must be {wanted}, not {found}"));
        false
    }

    fn range(&mut self, schema: &Schema, number: f64, shown: &str, node: &Node, path: &str) -> bool {
        let bound = |name| schema.get(name).filter(|it| it.is_number());
        let (minimum, maximum) = (bound("minimum"), bound("maximum"));
        let above = minimum.and_then(Schema::as_f64).is_none_or(|it| number >= it);
        let below = maximum.and_then(Schema::as_f64).is_none_or(|it| number <= it);
        // Not a number is neither.
        if above && below {
            return true;
        }
        let limits = match (minimum, maximum) {
            (Some(minimum), Some(maximum)) => format!("{} to {}", plain(minimum), plain(maximum)),
            (Some(minimum), None) => format!("{} or more", plain(minimum)),
            (None, Some(maximum)) => format!("{} or less", plain(maximum)),
            (None, None) => "finite".to_owned(),
        };
        self.problems.push(&node.origin, path, format!("`{path}` is {shown}, but must be {limits}"));
        false
    }

    /// What may have been meant by an unknown key.
    fn advice(&self, name: &str, path: &str, known: &[&str]) -> String {
        if let Some(near) = nearest(name, known) {
            let parent = path.strip_suffix(name).unwrap_or_default();
            return format!("did you mean `{parent}{near}`?");
        }
        // The right key in the wrong place.
        let sections = self.root.get("properties").and_then(Schema::as_object).into_iter().flatten();
        for (section, schema) in sections {
            if section == name {
                return format!("did you mean `{name}` at the top of the file?");
            }
            let inner = resolve(self.root, schema).get("properties").and_then(|it| it.get(name));
            if inner.is_some() {
                return format!("did you mean `{section}.{name}`?");
            }
        }
        match known {
            [] => "there are no keys here".to_owned(),
            known => format!("known here: {}", known.join(", ")),
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The one of `known` that `word` is a slip of, if any is near enough.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // A third of the letters may differ; more is another word.
    let slips_max = (word.chars().count() / 3).max(1);
    let distance = |it: &&str| strsim::damerau_levenshtein(&word.to_lowercase(), it);
    let near = known.iter().copied().filter(|it| distance(it) <= slips_max).min_by_key(distance);
    // Half a word that begins like exactly one key is meant as well.
    near.or_else(|| {
        let mut longer = known.iter().copied().filter(|it| word.len() >= 3 && it.starts_with(word));
        longer.next().filter(|_| longer.next().is_none())
    })
}

/// Follows references and takes the part of an optional value that is not null.
fn resolve<'s>(root: &'s Schema, schema: &'s Schema) -> &'s Schema {
    /// The schema is our own and nests no deeper; a circle of references would end here.
    const STEPS_MAX: usize = 8;
    let mut schema = schema;
    for _ in 0..STEPS_MAX {
        let target = schema.get("$ref").and_then(Schema::as_str).and_then(|it| root.pointer(it.strip_prefix('#')?));
        let not_null = |it: &&Schema| it.get("type").and_then(Schema::as_str) != Some("null");
        let of_any = || schema.get("anyOf").and_then(Schema::as_array).and_then(|it| it.iter().find(not_null));
        match target.or_else(of_any) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// The words that an enumeration allows; empty if `schema` is none.
fn words(schema: &Schema) -> Vec<&str> {
    let list = |it: &'static str| schema.get(it).and_then(Schema::as_array).into_iter().flatten();
    let constants = list("oneOf").flat_map(|it| {
        let inner = it.get("enum").and_then(Schema::as_array).into_iter().flatten();
        it.get("const").into_iter().chain(inner)
    });
    list("enum").chain(constants).filter_map(Schema::as_str).collect()
}

fn has_type(schema: &Schema, name: &str) -> bool {
    match schema.get("type") {
        Some(Schema::String(one)) => one == name,
        Some(Schema::Array(several)) => several.iter().any(|it| it == name),
        _ => false,
    }
}

fn wanted(schema: &Schema) -> &'static str {
    const PHRASES: [(&str, &str); 6] = [
        ("string", "a text in quotation marks"),
        ("integer", "a whole number"),
        ("number", "a number"),
        ("boolean", "true or false"),
        ("array", "a list"),
        ("object", "a section"),
    ];
    PHRASES.into_iter().find(|it| has_type(schema, it.0)).map_or("something else", |it| it.1)
}

/// A bound as a person writes it: `1024`, not `1024.0`.
fn plain(bound: &Schema) -> String {
    match (bound.as_i64(), bound.as_f64()) {
        (Some(whole), _) => whole.to_string(),
        (None, Some(number)) => number.to_string(),
        (None, None) => bound.to_string(),
    }
}
