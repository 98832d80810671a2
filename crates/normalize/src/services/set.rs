//! All service formats together, and how a record finds its own.

use hashbrown::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, LazyLock};

use daachorse::DoubleArrayAhoCorasick;
use panoptes_model::{BatchWriter, FieldId, Schema, Value, field};

use super::built_in;
use super::clock::Read;
use super::file::{self, Definition, Event, ServiceError, ServiceFile};
use super::matcher::{self, Effort, Found};
use super::records::{RecordTexts, Records};
use super::template::{Op, Shape, Target, Template};
use crate::context::Context;
use crate::fact::{write_repeat, write_user};
use crate::{address, level};

/// How many files a set may have. Those beyond are errors and left out.
const FILES_MAX: usize = 4_096;
/// How long the program names may be that are looked up; longer ones are of no service.
const PROGRAM_BYTES_MAX: usize = 64;
/// How many places of necessary texts are looked at in one record. Text that repeats them without end is read by the
/// patterns seen by then.
const HITS_MAX: usize = 4_096;

/// Patterns of services, ready to be matched. Cheap to share: wrap it in an [`Arc`].
#[derive(Debug)]
pub struct ServiceFormats {
    services: Vec<Service>,
    /// From the name of a program to its services, in order.
    programs: HashMap<Box<str>, Vec<usize>>,
    /// The same for names that begin like this.
    prefixes: HashMap<Box<str>, Vec<usize>>,
    /// Over the texts of all services that have lines of their own.
    bare: Searcher,
    pub(super) records: Records,
}

#[derive(Debug)]
struct Service {
    definition: Definition,
    searcher: Searcher,
}

/// Finds necessary texts.
#[derive(Default)]
pub(super) struct Searcher {
    automaton: Option<DoubleArrayAhoCorasick<u32>>,
    /// Per text of the automaton: who cannot do without it.
    users: Vec<Vec<User>>,
}

/// A pattern of a service, or one of its lines that tells it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct User {
    pub(super) service: u32,
    /// `u32::MAX`: no pattern, only the line.
    pub(super) pattern: u32,
}

const LINE_ALONE: u32 = u32::MAX;

static BUILT_IN: LazyLock<Arc<ServiceFormats>> = LazyLock::new(|| {
    // What is wrong with them is found by the tests; a pattern that is left out costs its events only.
    let (definitions, _errors) = ServiceFormats::read(&built_in::files(), false);
    Arc::new(ServiceFormats::of(definitions))
});

impl ServiceFormats {
    /// The services that Panoptes ships.
    pub fn built_in() -> Arc<Self> {
        Arc::clone(&BUILT_IN)
    }

    /// The user's files and after them those that Panoptes ships: the user's are asked first.
    pub fn with_built_in(files: &[ServiceFile]) -> (Self, Vec<ServiceError>) {
        let (mut definitions, mut errors) = Self::read(files, true);
        let (shipped, shipped_errors) = Self::read(&built_in::files(), false);
        definitions.extend(shipped);
        errors.extend(shipped_errors);
        (Self::of(definitions), errors)
    }

    /// Only these files. What is wrong with one costs no other; the set holds all that is right.
    pub fn compile(files: &[ServiceFile]) -> (Self, Vec<ServiceError>) {
        let (definitions, errors) = Self::read(files, true);
        (Self::of(definitions), errors)
    }

    /// With `try_examples`, those are tried: the tests have done that for the shipped ones.
    fn read(files: &[ServiceFile], try_examples: bool) -> (Vec<Definition>, Vec<ServiceError>) {
        let schema = Schema::ecs();
        let (mut definitions, mut errors) = (Vec::new(), Vec::new());
        for (index, file) in files.iter().enumerate() {
            if index == FILES_MAX {
                let reason = format!("there are more than {FILES_MAX} files; this and the later ones are left out");
                errors.push(ServiceError { file: file.name.clone(), line: 1, reason });
                break;
            }
            let Some(definition) = file::read(file, &schema, &mut errors) else { continue };
            if try_examples {
                file::check_examples(file, &definition, &mut errors);
            }
            definitions.push(definition);
        }
        (definitions, errors)
    }

    fn of(definitions: Vec<Definition>) -> Self {
        let mut programs: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut prefixes: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut services = Vec::new();
        let mut bare = Texts::default();
        let mut records = RecordTexts::default();
        for (index, definition) in definitions.into_iter().enumerate() {
            for name in &definition.programs {
                let (table, name) = match name.strip_suffix('*') {
                    Some(prefix) => (&mut prefixes, prefix),
                    None => (&mut programs, name.as_str()),
                };
                let known = table.entry(name.into()).or_default();
                if !known.contains(&index) {
                    known.push(index);
                }
            }
            let mut own = Texts::default();
            for (number, pattern) in definition.patterns.iter().enumerate() {
                let user = User { service: index as u32, pattern: number as u32 };
                own.add(&pattern.template, user);
                if !definition.lines.is_empty() {
                    bare.add(&pattern.template, user);
                }
            }
            for line in definition.lines.iter().filter(|it| it.alone) {
                bare.add(&line.template, User { service: index as u32, pattern: LINE_ALONE });
            }
            for (number, record) in definition.records.iter().enumerate() {
                records.add(record, User { service: index as u32, pattern: number as u32 });
            }
            services.push(Service { searcher: own.searcher(), definition });
        }
        Self { services, programs, prefixes, bare: bare.searcher(), records: records.records() }
    }

    /// How many services and how many patterns there are.
    pub fn counts(&self) -> (usize, usize) {
        (
            self.services.len(),
            self.services.iter().map(|it| it.definition.patterns.len() + it.definition.records.len()).sum(),
        )
    }

    pub(super) fn definition(&self, service: u32) -> Option<&Definition> {
        self.services.get(service as usize).map(|it| &it.definition)
    }

    /// The services of the program called `name`.
    fn of_program(&self, name: &str) -> impl Iterator<Item = (usize, &Service)> {
        let mut buffer = [0; PROGRAM_BYTES_MAX];
        let lower = buffer.get_mut(..name.len()).and_then(|into| {
            for (to, from) in into.iter_mut().zip(name.bytes()) {
                *to = from.to_ascii_lowercase();
            }
            std::str::from_utf8(into).ok()
        });
        let exact = lower.and_then(|it| self.programs.get(it)).map_or(&[][..], Vec::as_slice);
        let mut found = &[][..];
        if let Some(lower) = lower.filter(|_| exact.is_empty() && !self.prefixes.is_empty()) {
            let marks = lower.rmatch_indices(['/', '-', '_', '.']);
            found =
                marks.filter_map(|(at, _)| self.prefixes.get(lower.get(..=at)?)).next().map_or(&[][..], Vec::as_slice);
        }
        exact.iter().chain(found).filter_map(|it| Some((*it, self.services.get(*it)?)))
    }

    /// Reads the message of the program called `name` into the open event. `false`, with nothing written, if none of
    /// its services knows it.
    pub(crate) fn read_program(
        &self,
        writer: &mut BatchWriter<'_>,
        name: &str,
        message: &str,
        context: &Context<'_>,
    ) -> bool {
        let message = message.trim_ascii();
        for (index, service) in self.of_program(name) {
            let mut users = Vec::new();
            service.searcher.search(message, &mut users);
            if users.is_empty() {
                continue;
            }
            let mut effort = Effort::for_text(message);
            let read = service.read(message, &users, true, writer, &mut effort);
            if let Some(read) = read {
                self.write(writer, index, &read, message, context);
                return true;
            }
        }
        false
    }

    /// The dataset of what the program called `name` says and no pattern knows.
    pub(crate) fn dataset_of_program(&self, name: &str) -> Option<(&str, &str)> {
        self.of_program(name).next().map(|(_, it)| (it.definition.dataset.as_str(), it.definition.service.as_str()))
    }

    /// Whether `text` has a fixed text of some service: not yet that it is one's.
    pub(crate) fn may_know(&self, text: &str) -> bool {
        self.bare.automaton.as_ref().is_some_and(|it| it.find_overlapping_iter(text).next().is_some())
    }

    /// Reads a line of a service's own file into the open event. `false`, with nothing written, if it is of none.
    pub(crate) fn read_line(&self, writer: &mut BatchWriter<'_>, line: &str, context: &Context<'_>) -> bool {
        let line = line.trim_ascii();
        let mut users = Vec::new();
        self.bare.search(line, &mut users);
        let mut effort = Effort::for_text(line);
        for group in users.chunk_by(|left, right| left.service == right.service) {
            let Some(index) = group.first().map(|it| it.service as usize) else { continue };
            let Some(service) = self.services.get(index) else { continue };
            if let Some(read) = service.read(line, group, false, writer, &mut effort) {
                self.write(writer, index, &read, line, context);
                return true;
            }
        }
        false
    }

    fn write(
        &self,
        writer: &mut BatchWriter<'_>,
        service: usize,
        read: &Reading<'_>,
        text: &str,
        context: &Context<'_>,
    ) {
        let Some(Service { definition, .. }) = self.services.get(service) else { return };
        let event = read.pattern.and_then(|(at, _)| definition.events.get(definition.patterns.get(at)?.event));
        let mut sink = Sink { writer, context };
        sink.event(definition, event);
        if let Some((line, found)) = &read.line
            && let Some(line) = definition.lines.get(*line)
        {
            sink.captures(&line.template, found, text);
        }
        if let Some((at, found)) = &read.pattern
            && let Some(pattern) = definition.patterns.get(*at)
        {
            sink.captures(&pattern.template, found, read.message);
        }
        if !sink.writer.has(field::MESSAGE) {
            sink.writer.text(field::MESSAGE, read.message);
        }
        let pattern = read.pattern.as_ref().and_then(|(at, _)| Some(definition.patterns.get(*at)?.number));
        let line = read.line.as_ref().and_then(|(at, _)| Some(definition.lines.get(*at)?.number));
        sink.finish(definition, event, pattern.or(line).unwrap_or(1));
    }
}

/// What was understood of a text.
struct Reading<'t> {
    line: Option<(usize, Found)>,
    pattern: Option<(usize, Found)>,
    message: &'t str,
}

impl Service {
    /// By the patterns of `users`, which are sorted. With `whole` the text itself may be the message.
    fn read<'t>(
        &self,
        text: &'t str,
        users: &[User],
        whole: bool,
        writer: &BatchWriter<'_>,
        effort: &mut Effort,
    ) -> Option<Reading<'t>> {
        let received_at = writer.received_at();
        let pattern_of = |message: &str, effort: &mut Effort| {
            users.iter().find_map(|user| {
                let at = user.pattern as usize;
                let pattern = self.definition.patterns.get(at)?;
                Some((at, matcher::find(&pattern.template, message, received_at, effort)?))
            })
        };
        if whole && let Some(pattern) = pattern_of(text, effort) {
            return Some(Reading { line: None, pattern: Some(pattern), message: text });
        }
        let mut alone = None;
        for (at, line) in self.definition.lines.iter().enumerate() {
            let Some(found) = matcher::find(&line.template, text, received_at, effort) else { continue };
            let slot = line.template.targets.iter().position(|it| *it == Target::Message);
            let message = slot.and_then(|it| found.text(it, text)).unwrap_or(text).trim_ascii();
            if let Some(pattern) = pattern_of(message, effort) {
                return Some(Reading { line: Some((at, found)), pattern: Some(pattern), message });
            }
            if line.alone && alone.is_none() {
                alone = Some(Reading { line: Some((at, found)), pattern: None, message });
            }
        }
        alone
    }
}

/// Texts on their way into an automaton.
#[derive(Default)]
pub(super) struct Texts {
    known: HashMap<Box<str>, usize>,
    texts: Vec<Box<str>>,
    users: Vec<Vec<User>>,
}

impl Texts {
    pub(super) fn add(&mut self, template: &Template, user: User) {
        for text in &template.literals {
            let at = *self.known.entry(text.clone()).or_insert_with(|| {
                self.texts.push(text.clone());
                self.users.push(Vec::new());
                self.texts.len() - 1
            });
            if let Some(users) = self.users.get_mut(at) {
                users.push(user);
            }
        }
    }

    pub(super) fn searcher(self) -> Searcher {
        if self.texts.is_empty() {
            return Searcher::default();
        }
        // Each text is there once and none is empty: nothing else can go wrong with this few.
        let texts = self.texts.iter().zip(0_u32..);
        let automaton = DoubleArrayAhoCorasick::with_values(texts.map(|(text, at)| (text.as_bytes(), at))).ok();
        Searcher { automaton, users: self.users }
    }
}

impl fmt::Debug for Searcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Searcher").field("texts", &self.users.len()).finish_non_exhaustive()
    }
}

impl Searcher {
    /// Appends who may match `text`, sorted, each once.
    pub(super) fn search(&self, text: &str, users: &mut Vec<User>) {
        let Some(automaton) = &self.automaton else { return };
        for hit in automaton.find_overlapping_iter(text).take(HITS_MAX) {
            users.extend(self.users.get(hit.value() as usize).into_iter().flatten());
        }
        if users.len() > 1 {
            users.sort_unstable();
            users.dedup();
        }
    }
}

/// Writes into the open event.
pub(super) struct Sink<'w, 'i, 'c> {
    pub(super) writer: &'w mut BatchWriter<'i>,
    pub(super) context: &'c Context<'c>,
}

impl Sink<'_, '_, '_> {
    /// What was written before by the header or by the names of keys gives way.
    fn replace(&mut self, id: FieldId) {
        if let Some(index) = self.writer.position(id, 0) {
            self.writer.remove(index);
        }
    }

    /// Writes what holds for all events of the kind.
    pub(super) fn event(&mut self, definition: &Definition, event: Option<&Event>) {
        let nothing = Event::default();
        let event = event.unwrap_or(&nothing);
        self.constant(field::EVENT_KIND, "event");
        if !definition.anonymous || !self.writer.has(field::EVENT_DATASET) {
            self.constant(field::EVENT_DATASET, event.dataset.as_deref().unwrap_or(&definition.dataset));
        }
        if !definition.anonymous {
            self.constant(field::SERVICE_NAME, &definition.service);
        }
        self.list(field::EVENT_CATEGORY, &event.category);
        self.list(field::EVENT_TYPE, &event.kind);
        for (id, word) in [(field::EVENT_ACTION, &event.action), (field::EVENT_OUTCOME, &event.outcome)] {
            if let Some(word) = word {
                self.constant(id, word);
            }
        }
    }

    /// Writes the fixed fields and, for who wants to know, where the pattern stands.
    pub(super) fn finish(&mut self, definition: &Definition, event: Option<&Event>, number: u32) {
        for (target, value) in event.map_or(&[][..], |it| &it.constants) {
            self.put(target, None, value);
        }
        if !self.writer.has(field::EVENT_OUTCOME)
            && let Some(Value::Integer(status)) = self.writer.get(field::HTTP_RESPONSE_STATUS_CODE)
            && let (_, Some(outcome)) = crate::names::request_words(status)
        {
            self.writer.text(field::EVENT_OUTCOME, outcome);
        }
        if self.context.explains
            && let Some(id) = self.writer.field("panoptes.pattern")
        {
            self.writer.text(id, &format!("{}:{number}", definition.file));
        }
    }

    fn constant(&mut self, id: FieldId, text: &str) {
        self.replace(id);
        self.writer.text(id, text);
    }

    fn list(&mut self, id: FieldId, words: &[String]) {
        if !words.is_empty() {
            self.replace(id);
            self.writer.text_list(id, words.iter().map(String::as_str));
        }
    }

    pub(super) fn captures(&mut self, template: &Template, found: &Found, text: &str) {
        for (slot, target) in template.targets.iter().enumerate() {
            if let Some(value) = found.text(slot, text) {
                let shape = template.ops.iter().find_map(|op| match op {
                    Op::Capture(it) if it.slot == Some(slot) && matches!(it.shape, Shape::Time(_)) => Some(&it.shape),
                    _ => None,
                });
                self.put(target, shape, value);
            }
        }
    }

    pub(super) fn put(&mut self, target: &Target, shape: Option<&Shape>, value: &str) {
        let value = value.trim_ascii();
        let value = value.strip_prefix("IPv6:").unwrap_or(value);
        if value.is_empty() {
            return;
        }
        match target {
            Target::Message => {
                if !self.writer.has(field::MESSAGE) {
                    self.writer.text(field::MESSAGE, value);
                }
            }
            Target::Time => self.time(shape, value),
            Target::Source => {
                for id in [field::SOURCE_IP, field::SOURCE_ADDRESS] {
                    self.replace(id);
                }
                address::write_source(self.writer, value, None);
            }
            Target::Destination => match address::endpoint(value) {
                Some((address, port)) => {
                    self.replace(field::DESTINATION_IP);
                    self.writer.ip(field::DESTINATION_IP, address);
                    if let Some(port) = port {
                        self.replace(field::DESTINATION_PORT);
                        self.writer.integer(field::DESTINATION_PORT, i64::from(port));
                    }
                }
                None => self.constant(field::DESTINATION_ADDRESS, value),
            },
            Target::Level => {
                let word = level::canonical(value).or_else(|| level::of_letter(value));
                if let Some(word) = word.filter(|_| !self.writer.has(field::LOG_LEVEL)) {
                    self.writer.text(field::LOG_LEVEL, word);
                }
            }
            Target::User(id) => {
                self.replace(*id);
                write_user(self.writer, *id, value);
            }
            Target::Repeat => {
                if let Ok(times) = value.parse() {
                    write_repeat(self.writer, times);
                }
            }
            Target::Connection => {
                let mut hasher = DefaultHasher::new();
                value.hash(&mut hasher);
                self.context.keys.connection.set(Some(hasher.finish()));
            }
            Target::Request => crate::formats::write_request(self.writer, value),
            // Syslog's own header knows these better.
            Target::Field(id @ (field::PROCESS_PID | field::PROCESS_NAME | field::HOST_NAME))
                if self.writer.has(*id) => {}
            Target::Field(id) => self.field(*id, value),
            Target::Unknown(name) => {
                if let Some(id) = self.writer.field(name) {
                    self.constant(id, value);
                }
            }
        }
    }

    fn field(&mut self, id: FieldId, value: &str) {
        if self.writer.schema().field_type(id) == panoptes_model::FieldType::Ip {
            if let Some((address, _)) = address::endpoint(value) {
                self.replace(id);
                self.writer.ip(id, address);
            }
            return;
        }
        self.replace(id);
        self.writer.typed(id, value);
    }

    fn time(&mut self, shape: Option<&Shape>, value: &str) {
        if self.writer.has_time() {
            return;
        }
        let civil = match shape {
            Some(Shape::Time(Some(clock))) => match clock.read(value, self.writer.received_at()) {
                Some((Read::Civil(civil), _)) => Some(civil),
                Some((Read::Instant(time), _)) => {
                    self.writer.time(time);
                    return;
                }
                None => None,
            },
            Some(_) => crate::time::leading(value).map(|(civil, _)| civil),
            // A record's field may be an epoch, too.
            None => match crate::time::of_text(value, self.context.zone, self.writer.received_at()) {
                Some(instant) => {
                    self.writer.time(instant.time);
                    return;
                }
                None => None,
            },
        };
        if let Some(civil) = civil {
            self.context.stamp(self.writer, &civil);
        }
    }
}
