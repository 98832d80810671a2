//! What was written where: the layers, merged into one tree whose every value knows its origin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value as Schema;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::check::{self, Kind};
use crate::environment::Environment;
use crate::problem::Problems;

/// The prefix of environment variables that override the file: `PANOPTES__HTTP__LISTEN` is `http.listen`.
const VARIABLE_PREFIX: &str = "PANOPTES__";

/// Where a value came from. Ordered as the layers are, and lines within the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    #[default]
    Default,
    /// 1-based; columns count characters.
    File { path: PathBuf, line: usize, column: usize },
    /// The variable's name.
    Environment(String),
    /// The flag.
    CommandLine(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::CommandLine(flag) => f.write_str(flag),
        }
    }
}

/// The text of a configuration file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    pub path: PathBuf,
    pub text: String,
}

/// One setting of the command line.
#[derive(Clone, Debug)]
pub struct Override {
    /// `data_dir`, `http.listen`…
    pub key: &'static str,
    /// As it would stand in an environment variable: plain text, `true`, `1024`, `a,b`.
    pub value: String,
    /// What the user typed: `--data`.
    pub flag: &'static str,
}

/// Everything that a configuration is made from.
#[derive(Clone, Debug, Default)]
pub struct Layers<'a> {
    pub file: Option<SourceFile>,
    pub environment: Environment,
    pub overrides: Vec<Override>,
    /// The formats that `normalize` knows; empty if any name will do.
    pub formats: &'a [&'a str],
}

/// A value and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Written,
    pub(crate) origin: Origin,
}

#[derive(Clone, Debug)]
pub(crate) enum Written {
    Text(String),
    Integer(i64),
    /// Digits that do not fit into 64 bits.
    IntegerTooLarge,
    Float(f64),
    Boolean(bool),
    Date,
    List(Vec<Node>),
    Table(Table),
}

/// Keys in the order of the alphabet, each with the place of the key itself (that of the value is in its node).
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(pub(crate) BTreeMap<String, (Origin, Node)>);

impl Table {
    /// Where the value of `key` (`http.listen`, `files[0].paths[1]`) came from.
    pub(crate) fn origin_of(&self, key: &str) -> Origin {
        let mut table = self;
        let mut found = &Origin::Default;
        for step in key.split('.') {
            let (name, indices) = step.split_once('[').unwrap_or((step, ""));
            let Some((_, node)) = table.0.get(name) else { return Origin::Default };
            let mut node = node;
            for index in indices.split(['[', ']']).filter(|it| !it.is_empty()) {
                let Written::List(items) = &node.value else { return node.origin.clone() };
                let Some(item) = index.parse::<usize>().ok().and_then(|it| items.get(it)) else {
                    return node.origin.clone();
                };
                node = item;
            }
            found = &node.origin;
            match &node.value {
                Written::Table(inner) => table = inner,
                _ => break,
            }
        }
        found.clone()
    }

    pub(crate) fn to_toml(&self) -> toml::Table {
        self.0.iter().map(|(key, (_, node))| (key.clone(), node.to_toml())).collect()
    }

    /// Puts `node` at `path`, over whatever lower layers said. A value that stands where a section should be is left:
    /// it is refused where it was written.
    fn set(&mut self, path: &[&str], node: Node) {
        let Some((first, rest)) = path.split_first() else { return };
        let origin = node.origin.clone();
        if rest.is_empty() {
            self.0.insert((*first).to_owned(), (origin, node));
            return;
        }
        let section = || Node { value: Written::Table(Self::default()), origin: origin.clone() };
        let (_, inner) = self.0.entry((*first).to_owned()).or_insert_with(|| (origin.clone(), section()));
        if let Written::Table(table) = &mut inner.value {
            table.set(rest, node);
        }
    }
}

impl Node {
    fn to_toml(&self) -> toml::Value {
        match &self.value {
            Written::Text(text) => toml::Value::String(text.clone()),
            Written::Integer(number) => toml::Value::Integer(*number),
            Written::Float(number) => toml::Value::Float(*number),
            Written::Boolean(flag) => toml::Value::Boolean(*flag),
            Written::List(items) => toml::Value::Array(items.iter().map(Self::to_toml).collect()),
            Written::Table(table) => toml::Value::Table(table.to_toml()),
            // The check has taken these out.
            Written::IntegerTooLarge | Written::Date => toml::Value::String(String::new()),
        }
    }
}

/// All layers as one tree. What is not TOML is a problem and left out.
pub(crate) fn merge(layers: &Layers<'_>, schema: &Schema, problems: &mut Problems) -> Table {
    let mut tree = layers.file.as_ref().map(|it| parse(it, problems)).unwrap_or_default();
    let from_text = |path: &[&str], text: &str, origin: Origin| {
        let kind = check::kind_at(schema, path);
        read_text(kind, text, &origin)
    };
    if let Some(folder) = layers.environment.get("PANOPTES_DATA") {
        let origin = Origin::Environment("PANOPTES_DATA".to_owned());
        tree.set(&["data_dir"], Node { value: Written::Text(folder.to_owned()), origin });
    }
    for (name, text) in layers.environment.variables() {
        let Some(key) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
        let key = key.to_ascii_lowercase();
        let path: Vec<&str> = key.split("__").collect();
        tree.set(&path, from_text(&path, text, Origin::Environment(name.to_owned())));
    }
    for Override { key, value, flag } in &layers.overrides {
        let path: Vec<&str> = key.split('.').collect();
        tree.set(&path, from_text(&path, value, Origin::CommandLine((*flag).to_owned())));
    }
    tree
}

fn parse(file: &SourceFile, problems: &mut Problems) -> Table {
    let lines = Lines::new(file);
    let (table, errors) = DeTable::parse_recoverable(&file.text);
    for error in errors {
        let offset = error.span().map_or(0, |it| it.start);
        problems.push(&lines.origin(offset), "", format!("not valid TOML: {}", error.message().replace('\n', "; ")));
    }
    read_table(table.get_ref(), &|offset| lines.origin(offset))
}

/// A value that was given as plain text, read as what its place wants.
fn read_text(kind: Kind, text: &str, origin: &Origin) -> Node {
    let node = |value| Node { value, origin: origin.clone() };
    let as_toml = || DeValue::parse(text).ok().map(|it| read_value(&it, &|_| origin.clone()));
    match kind {
        Kind::Text => node(Written::Text(text.to_owned())),
        Kind::List if !text.trim_start().starts_with('[') => {
            let items = text.split(',').map(str::trim).filter(|it| !it.is_empty());
            node(Written::List(items.map(|it| node(Written::Text(it.to_owned()))).collect()))
        }
        // What does not read as such stays text, and the check says what was expected.
        Kind::List | Kind::Other => as_toml().unwrap_or_else(|| node(Written::Text(text.to_owned()))),
    }
}

fn read_table(table: &DeTable<'_>, place: &dyn Fn(usize) -> Origin) -> Table {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        (name.clone().into_owned(), (place(key.span().start), read_value(value, place)))
    };
    Table(table.iter().map(entry).collect())
}

fn read_value(value: &Spanned<DeValue<'_>>, place: &dyn Fn(usize) -> Origin) -> Node {
    let written = match value.get_ref() {
        DeValue::String(text) => Written::Text(text.clone().into_owned()),
        DeValue::Integer(digits) => {
            i64::from_str_radix(digits.as_str(), digits.radix()).map_or(Written::IntegerTooLarge, Written::Integer)
        }
        DeValue::Float(digits) => digits.as_str().parse().map_or(Written::IntegerTooLarge, Written::Float),
        DeValue::Boolean(flag) => Written::Boolean(*flag),
        DeValue::Datetime(_) => Written::Date,
        DeValue::Array(items) => Written::List(items.iter().map(|it| read_value(it, place)).collect()),
        DeValue::Table(table) => Written::Table(read_table(table, place)),
    };
    Node { value: written, origin: place(value.span().start) }
}

/// Byte offsets as lines and columns.
struct Lines<'f> {
    path: &'f Path,
    text: &'f str,
    starts: Vec<usize>,
}

impl<'f> Lines<'f> {
    fn new(file: &'f SourceFile) -> Self {
        let starts = std::iter::once(0).chain(file.text.match_indices('\n').map(|it| it.0 + 1)).collect();
        Self { path: &file.path, text: &file.text, starts }
    }

    fn origin(&self, offset: usize) -> Origin {
        let line = self.starts.partition_point(|it| *it <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = 1 + self.text.get(start..offset).map_or(0, |it| it.chars().count());
        Origin::File { path: self.path.to_path_buf(), line, column }
    }
}
