//! A file of a service format: TOML in, what it says out. Each mistake is an error of its own line; the rest stands.

use panoptes_model::{Schema, Timestamp};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::matcher::{self, Effort};
use super::template::{Target, Template, target};

/// How long a file may be. A longer one is an error and left out.
const FILE_BYTES_MAX: usize = 1 << 20;
/// How many patterns one file may have. Those beyond are errors.
const PATTERNS_MAX: usize = 2_048;

/// A file of service formats: what errors call it, and its text.
#[derive(Clone, Debug)]
pub struct ServiceFile {
    pub name: String,
    pub text: String,
}

/// What is wrong with a file of service formats, where, and what to do. The rest of the file and all others work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct ServiceError {
    pub file: String,
    pub line: u32,
    pub reason: String,
}

/// What a file says.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) file: String,
    pub(super) service: String,
    pub(super) dataset: String,
    /// Nobody in particular: it says neither whose a record is nor, where another does, of which dataset.
    pub(super) anonymous: bool,
    /// In lower case.
    pub(super) programs: Vec<String>,
    pub(super) lines: Vec<Line>,
    pub(super) events: Vec<Event>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) records: Vec<Record>,
}

/// What stands around the message where no syslog does.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) template: Template,
    /// Whether this alone tells the service.
    pub(super) alone: bool,
    pub(super) number: u32,
}

/// What a message means.
#[derive(Debug, Default)]
pub(super) struct Event {
    pub(super) dataset: Option<String>,
    pub(super) category: Vec<String>,
    pub(super) kind: Vec<String>,
    pub(super) action: Option<String>,
    pub(super) outcome: Option<String>,
    pub(super) constants: Vec<(Target, String)>,
    /// Messages that it must take, and where they stand.
    examples: Vec<(usize, String)>,
}

#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) template: Template,
    /// Index into [`Definition::events`].
    pub(super) event: usize,
    pub(super) number: u32,
}

/// Fields that together mean something.
#[derive(Debug)]
pub(super) struct Record {
    /// The field's name and what it has to say.
    pub(super) when: Vec<(String, Template)>,
    /// What is written, and the field that says it: the first of these that is there.
    pub(super) fields: Vec<(Target, Vec<String>)>,
    /// Index into [`Definition::events`].
    pub(super) event: usize,
    pub(super) number: u32,
}

/// The words of `event.outcome`.
const OUTCOMES: &[&str] = &["success", "failure", "unknown"];
/// The words of `event.category` (ECS 8).
const CATEGORIES: &[&str] = &[
    "api",
    "authentication",
    "configuration",
    "database",
    "driver",
    "email",
    "file",
    "host",
    "iam",
    "intrusion_detection",
    "library",
    "malware",
    "network",
    "package",
    "process",
    "registry",
    "session",
    "threat",
    "vulnerability",
    "web",
];
/// The words of `event.type` (ECS 8).
const TYPES: &[&str] = &[
    "access",
    "admin",
    "allowed",
    "change",
    "connection",
    "creation",
    "deletion",
    "denied",
    "device",
    "end",
    "error",
    "group",
    "indicator",
    "info",
    "installation",
    "protocol",
    "start",
    "user",
];

/// Where nothing says it: neither a clock nor a text without a year matters to whether an example is taken.
const EXAMPLE_RECEIVED_AT: Timestamp = Timestamp(1_705_320_000 * Timestamp::NANOS_PER_SECOND);

/// Tells of the examples that their event does not take, and who takes them instead.
pub(super) fn check_examples(file: &ServiceFile, definition: &Definition, errors: &mut Vec<ServiceError>) {
    let line_of = |offset: usize| 1 + file.text.bytes().take(offset).filter(|it| *it == b'\n').count() as u32;
    let find = |template: &Template, text: &str| {
        matcher::find(template, text, EXAMPLE_RECEIVED_AT, &mut Effort::for_text(text))
    };
    let taken_by = |text: &str| definition.patterns.iter().find(|it| find(&it.template, text).is_some());
    for (index, event) in definition.events.iter().enumerate() {
        for (offset, example) in &event.examples {
            let example = example.trim_ascii();
            let inside = || {
                definition.lines.iter().find_map(|line| {
                    let slot = line.template.targets.iter().position(|it| *it == Target::Message)?;
                    taken_by(find(&line.template, example)?.text(slot, example)?.trim_ascii())
                })
            };
            let reason = match taken_by(example).or_else(inside) {
                Some(pattern) if pattern.event == index => continue,
                Some(pattern) => {
                    format!("the pattern in line {} takes this example; put it after this one", pattern.number)
                }
                None => "no pattern of its event takes this example".to_owned(),
            };
            errors.push(ServiceError { file: file.name.clone(), line: line_of(*offset), reason });
        }
    }
}

/// Reads one file. `None` if nothing of it is of use; why is in `errors`.
pub(super) fn read(file: &ServiceFile, schema: &Schema, errors: &mut Vec<ServiceError>) -> Option<Definition> {
    let before = errors.len();
    let mut reader = Reader { file, schema, errors, patterns: 0 };
    if file.text.len() > FILE_BYTES_MAX {
        reader.error(0, format!("the file is longer than {FILE_BYTES_MAX} bytes; divide it"));
        return None;
    }
    let (table, problems) = DeTable::parse_recoverable(&file.text);
    for problem in problems {
        let offset = problem.span().map_or(0, |it| it.start);
        reader.error(offset, format!("not valid TOML: {}", problem.message().replace('\n', "; ")));
    }
    let definition = reader.definition(table.get_ref());
    if let Some(own) = errors.get_mut(before..) {
        own.sort_by_key(|it| it.line);
    }
    definition
}

struct Reader<'r> {
    file: &'r ServiceFile,
    schema: &'r Schema,
    errors: &'r mut Vec<ServiceError>,
    patterns: usize,
}

type Value<'v> = Spanned<DeValue<'v>>;

impl Reader<'_> {
    fn line(&self, offset: usize) -> u32 {
        let before = self.file.text.as_bytes().get(..offset).unwrap_or_default();
        1 + before.iter().filter(|it| **it == b'\n').count() as u32
    }

    fn error(&mut self, offset: usize, reason: String) {
        let line = self.line(offset);
        self.errors.push(ServiceError { file: self.file.name.clone(), line, reason });
    }

    fn definition(&mut self, table: &DeTable<'_>) -> Option<Definition> {
        let mut definition = Definition {
            file: self.file.name.clone(),
            service: String::new(),
            dataset: String::new(),
            anonymous: false,
            programs: Vec::new(),
            lines: Vec::new(),
            events: Vec::new(),
            patterns: Vec::new(),
            records: Vec::new(),
        };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "service" => definition.service = self.text(value).unwrap_or_default(),
                "dataset" => definition.dataset = self.text(value).unwrap_or_default(),
                "anonymous" => match value.get_ref() {
                    DeValue::Boolean(flag) => definition.anonymous = *flag,
                    _ => self.error(value.span().start, "`anonymous` is true or false".to_owned()),
                },
                "programs" => {
                    for (offset, name) in self.texts(value) {
                        if is_program(&name) {
                            definition.programs.push(name.to_lowercase());
                        } else {
                            self.error(offset, format!("`{name}` is no program's name; a `*` may stand at its end behind `/`, `-`, `_` or `.`"));
                        }
                    }
                }
                "line" => {
                    for (offset, table) in self.tables(value, "line") {
                        self.header(offset, &table, &mut definition);
                    }
                }
                "event" => {
                    for (offset, table) in self.tables(value, "event") {
                        self.event(offset, &table, &mut definition);
                    }
                }
                "record" => {
                    for (offset, table) in self.tables(value, "record") {
                        self.record(offset, &table, &mut definition);
                    }
                }
                other => self.error(
                    key.span().start,
                    format!("`{other}` is not known; a file has service, dataset, programs, [[line]], [[event]] and [[record]]"),
                ),
            }
        }
        if definition.service.is_empty() {
            self.error(0, "the file does not say whose it is; add service = \"name\"".to_owned());
            return None;
        }
        if definition.dataset.is_empty() {
            definition.dataset.clone_from(&definition.service);
        }
        if definition.programs.is_empty() && definition.lines.is_empty() && definition.records.is_empty() {
            self.error(
                0,
                "nothing says which records are the service's; add programs = [\"name\"] for what it says through syslog, [[line]] for its own files, or [[record]] for JSON".to_owned(),
            );
            return None;
        }
        Some(definition)
    }

    fn header(&mut self, offset: usize, table: &DeTable<'_>, definition: &mut Definition) {
        let (mut alone, mut patterns) = (false, Vec::new());
        for (key, value) in table {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("alone", DeValue::Boolean(flag)) => alone = *flag,
                ("alone", _) => self.error(value.span().start, "`alone` is true or false".to_owned()),
                ("pattern", _) => patterns = self.texts(value),
                (other, _) => {
                    self.error(key.span().start, format!("`{other}` is not known; a [[line]] has pattern and alone"));
                }
            }
        }
        if patterns.is_empty() {
            self.error(offset, "a [[line]] needs a pattern".to_owned());
        }
        for (offset, pattern) in patterns {
            if !self.one_more(offset) {
                return;
            }
            match Template::parse(&pattern, self.schema, alone) {
                Ok(template) if template.targets.contains(&Target::Message) => {
                    definition.lines.push(Line { template, alone, number: self.line(offset) });
                }
                Ok(_) => {
                    self.error(offset, "the pattern of a [[line]] needs {message}: what its events read".to_owned())
                }
                Err(error) => self.error(offset, error.to_string()),
            }
        }
    }

    fn event(&mut self, offset: usize, table: &DeTable<'_>, definition: &mut Definition) {
        let (mut event, mut patterns) = (Event::default(), Vec::new());
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "pattern" => patterns = self.texts(value),
                "example" => event.examples = self.texts(value),
                name if self.meaning(name, value, &mut event) => {}
                other => self.error(
                    key.span().start,
                    format!("`{other}` is not known; an [[event]] has pattern, example, category, type, action, outcome, dataset and set"),
                ),
            }
        }
        if patterns.is_empty() {
            self.error(offset, "an [[event]] needs a pattern".to_owned());
        }
        if !self.has_action(&event, offset) {
            return;
        }
        definition.events.push(event);
        for (offset, pattern) in patterns {
            if !self.one_more(offset) {
                return;
            }
            match Template::parse(&pattern, self.schema, true) {
                Ok(template) if template.targets.contains(&Target::Message) => {
                    self.error(
                        offset,
                        "{message} belongs into a [[line]]; an event's pattern is the message".to_owned(),
                    );
                }
                Ok(template) => definition.patterns.push(Pattern {
                    template,
                    event: definition.events.len() - 1,
                    number: self.line(offset),
                }),
                Err(error) => self.error(offset, error.to_string()),
            }
        }
    }

    fn record(&mut self, offset: usize, table: &DeTable<'_>, definition: &mut Definition) {
        let (mut event, mut when, mut fields) = (Event::default(), Vec::new(), Vec::new());
        let errors = self.errors.len();
        for (key, value) in table {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("when", DeValue::Table(table)) => {
                    for (name, value) in table {
                        let Some(pattern) = self.text(value) else { continue };
                        match Template::parse(&pattern, self.schema, false) {
                            Ok(template) => when.push((name.get_ref().clone().into_owned(), template)),
                            Err(error) => self.error(value.span().start, error.to_string()),
                        }
                    }
                }
                ("fields", DeValue::Table(table)) => {
                    for (name, value) in table {
                        let keys: Vec<String> = self.texts(value).into_iter().map(|(_, key)| key).collect();
                        match target(name.get_ref(), self.schema) {
                            Ok(target) => fields.push((target, keys)),
                            Err(error) => self.error(name.span().start, error.to_string()),
                        }
                    }
                }
                ("when" | "fields", _) => {
                    self.error(value.span().start, format!("`{}` is a table", key.get_ref()));
                }
                (name, _) if self.meaning(name, value, &mut event) => {}
                (other, _) => self.error(
                    key.span().start,
                    format!("`{other}` is not known; a [[record]] has when, fields, category, type, action, outcome, dataset and set"),
                ),
            }
        }
        if !self.has_action(&event, offset) || !self.one_more(offset) {
            return;
        }
        if when.iter().all(|(_, template)| template.literals.is_empty()) {
            self.error(
                offset,
                "a [[record]] needs `when` with a field whose text is known: when = { eventid = \"shop.login\" }"
                    .to_owned(),
            );
            return;
        }
        // With a condition missing it would take what it must not.
        if self.errors.len() > errors {
            return;
        }
        definition.events.push(event);
        let event = definition.events.len() - 1;
        definition.records.push(Record { when, fields, event, number: self.line(offset) });
    }

    fn has_action(&mut self, event: &Event, offset: usize) -> bool {
        if event.action.is_none() {
            self.error(offset, "this needs an action: one word for what happened, such as \"smtp_login\"".to_owned());
        }
        event.action.is_some()
    }

    /// What both events and records may say of their meaning; `false` if the key is none of it.
    fn meaning(&mut self, key: &str, value: &Value<'_>, event: &mut Event) -> bool {
        match key {
            "dataset" => event.dataset = self.text(value),
            "category" => event.category = self.words(value, "category", CATEGORIES),
            "type" => event.kind = self.words(value, "type", TYPES),
            "action" => event.action = self.text(value),
            "outcome" => event.outcome = self.words(value, "outcome", OUTCOMES).into_iter().next(),
            "set" => {
                let DeValue::Table(table) = value.get_ref() else {
                    self.error(value.span().start, "`set` is a table: { \"field.name\" = \"text\" }".to_owned());
                    return true;
                };
                for (name, value) in table {
                    let text = self.text(value);
                    match target(name.get_ref(), self.schema) {
                        Ok(Target::Message | Target::Time) => {
                            self.error(name.span().start, format!("`{}` cannot be set", name.get_ref()));
                        }
                        Ok(target) => event.constants.extend(text.map(|text| (target, text))),
                        Err(error) => self.error(name.span().start, error.to_string()),
                    }
                }
            }
            _ => return false,
        }
        true
    }

    fn one_more(&mut self, offset: usize) -> bool {
        self.patterns += 1;
        if self.patterns == PATTERNS_MAX + 1 {
            self.error(offset, format!("the file has more than {PATTERNS_MAX} patterns; divide it"));
        }
        self.patterns <= PATTERNS_MAX
    }

    fn text(&mut self, value: &Value<'_>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.clone().into_owned()),
            other => {
                self.error(value.span().start, format!("expected a text in quotes, found {}", other.type_str()));
                None
            }
        }
    }

    /// A text or a list of texts, each with where it stands.
    fn texts(&mut self, value: &Value<'_>) -> Vec<(usize, String)> {
        match value.get_ref() {
            DeValue::Array(items) => items.iter().filter_map(|it| Some((it.span().start, self.text(it)?))).collect(),
            _ => self.text(value).map(|text| (value.span().start, text)).into_iter().collect(),
        }
    }

    fn words(&mut self, value: &Value<'_>, name: &str, known: &[&str]) -> Vec<String> {
        let mut words = self.texts(value);
        words.retain(|(offset, word)| {
            let is_known = known.contains(&word.as_str());
            if !is_known {
                self.error(*offset, format!("`{word}` is no {name}; there are {}", known.join(", ")));
            }
            is_known
        });
        words.into_iter().map(|(_, word)| word).collect()
    }

    fn tables<'v>(&mut self, value: &'v Value<'v>, name: &str) -> Vec<(usize, DeTable<'v>)> {
        let DeValue::Array(items) = value.get_ref() else {
            self.error(value.span().start, format!("write [[{name}]], in double brackets"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::Table(table) => tables.push((item.span().start, table.clone())),
                _ => self.error(item.span().start, format!("write [[{name}]], in double brackets")),
            }
        }
        tables
    }
}

/// A name as syslog's tags have it, with `*` for any end behind a mark.
fn is_program(name: &str) -> bool {
    let body = name.strip_suffix('*').unwrap_or(name);
    let bounded = body.len() == name.len() || body.ends_with(['/', '-', '_', '.']);
    !body.is_empty() && body.len() <= 64 && bounded && !body.contains(['*', ' '])
}
