//! From parsed documents to a [`RuleSet`]: ids, filters, matchers, correlations in order, who reports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use panoptes_model::{RuleSummary, Severity, content_hash};
use rsigma_parser::{CorrelationRule, FilterRule, FilterRuleTarget, Level, SigmaRule, Status};

use super::correlation::{Known, compile as compile_correlation};
use super::error::RuleError;
use super::load::{Document, Parsed, load};
use super::{Body, CompileOptions, RULES_MAX, Rule, RuleFile, RuleMeta, RuleSet, filter};
use crate::behaviour::Reporting;
use crate::sigma::{Engine, Mapping, Matcher, Program, is_everything};

/// Sigma lets a rule leave its level out; such a rule is neither noise nor an emergency.
const LEVEL_DEFAULT: Severity = Severity::Medium;

pub(super) fn compile(files: &[RuleFile], options: &CompileOptions) -> (RuleSet, Vec<RuleError>) {
    let mut errors = Vec::new();
    let (mappings, rules): (Vec<&RuleFile>, Vec<&RuleFile>) = files.iter().partition(|it| it.path.ends_with(".toml"));
    let mapped = mapping_fingerprint(&mappings, options);
    let mut mapping = Mapping::load(mappings.into_iter(), options.ignore_log_sources, &mut errors);
    let documents = load(&rules, &mut errors);
    let documents = without_duplicates(&documents, &mut errors);
    let filters = filters_of(&documents, &mut errors);

    mapping.add_own_datasets(documents.iter().filter_map(|document| match &document.parsed {
        Parsed::Event(rule) => Some(&rule.logsource),
        _ => None,
    }));

    let mut set = Building::new(mapping);
    for document in &documents {
        if let Parsed::Event(rule) = &document.parsed
            && let Err(error) = set.add_event_rule(document, rule, &filters, options, &mut errors)
        {
            errors.push(error);
        }
    }
    let correlations: Vec<(&Document, &CorrelationRule)> = documents
        .iter()
        .filter_map(|document| match &document.parsed {
            Parsed::Correlation(rule) => Some((*document, &**rule)),
            _ => None,
        })
        .collect();
    set.add_correlations(correlations, &mut errors);
    set.decide_who_reports(options);

    errors.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    let detector = crate::anomaly::never_seen_meta(true).summary;
    let wants_patterns = detector.level >= options.min_level && !options.disabled.contains(&detector.id);
    (set.finish(wants_patterns, Reporting::of(options), mapped), errors)
}

/// What rules mean beside their own text: a set with another mapping is another set.
fn mapping_fingerprint(mappings: &[&RuleFile], options: &CompileOptions) -> u128 {
    let ignored = [u8::from(options.ignore_log_sources)];
    let parts: Vec<&[u8]> = std::iter::once(ignored.as_slice())
        .chain(mappings.iter().map(|it| it.text.as_bytes()))
        .chain(Mapping::shipped().map(|it| -> &[u8] { it.as_bytes() }))
        .collect();
    content_hash(&parts)
}

/// The documents whose id and name nobody used before, at most [`RULES_MAX`].
fn without_duplicates<'d>(documents: &'d [Document], errors: &mut Vec<RuleError>) -> Vec<&'d Document> {
    let mut seen: BTreeMap<String, &Document> = BTreeMap::new();
    let mut kept = Vec::new();
    for document in documents {
        let (id, name) = match &document.parsed {
            Parsed::Event(rule) => (id_of(&rule.id, &rule.title), rule.name.clone()),
            Parsed::Correlation(rule) => (id_of(&rule.id, &rule.title), rule.name.clone()),
            Parsed::Filter(rule) => (id_of(&rule.id, &rule.title), None),
        };
        let words: Vec<(&str, String)> = std::iter::once(("id", id)).chain(name.map(|it| ("name", it))).collect();
        let twin = words.iter().find_map(|(kind, word)| Some((*kind, word, seen.get(word)?)));
        if let Some((kind, word, first)) = twin {
            let line = first.place.line.map(|line| format!(":{line}")).unwrap_or_default();
            let reason = format!("its {kind} `{word}` is that of a rule in {}{line} already", first.place.path);
            errors
                .push(document.place_of(word).error(reason, "give each rule an id (a new UUID) and a name of its own"));
            continue;
        }
        if kept.len() >= RULES_MAX {
            let reason = format!("it is one more than the {RULES_MAX} rules that a set may have");
            errors.push(document.place.error(reason, "load fewer rules"));
            continue;
        }
        seen.extend(words.into_iter().map(|(_, word)| (word, document)));
        kept.push(document);
    }
    kept
}

/// A rule without an id still needs one that stays the same.
fn id_of(id: &Option<String>, title: &str) -> String {
    match id {
        Some(id) if !id.trim().is_empty() => id.trim().to_owned(),
        _ => format!("title-{:032x}", content_hash(&[title.as_bytes()])),
    }
}

type NumberedFilter<'d> = (usize, &'d Document, &'d FilterRule);

fn filters_of<'d>(documents: &[&'d Document], errors: &mut Vec<RuleError>) -> Vec<NumberedFilter<'d>> {
    let rules = || {
        documents.iter().filter_map(|document| match &document.parsed {
            Parsed::Event(rule) => Some(&**rule),
            _ => None,
        })
    };
    let mut filters: Vec<NumberedFilter<'d>> = Vec::new();
    for document in documents {
        let Parsed::Filter(rule) = &document.parsed else { continue };
        if let FilterRuleTarget::Specific(references) = &rule.rules {
            for reference in references {
                if !rules().any(|it| filter::names(reference, it)) {
                    let reason = format!("it filters the rule `{reference}`, which is not loaded");
                    let error = document.place_of(reference).error(reason, "correct the id or name, or remove it");
                    errors.push(RuleError { loaded: true, ..error });
                }
            }
        }
        filters.push((filters.len(), document, rule));
    }
    filters
}

struct Building {
    mapping: Arc<Mapping>,
    program: Program,
    rules: Vec<Rule>,
    fingerprints: Vec<u128>,
    /// By id and by name.
    by_reference: BTreeMap<String, u32>,
    /// Rules that some correlation with `generate: true` names, and that some correlation names at all.
    generated: BTreeSet<u32>,
    counted: BTreeSet<u32>,
}

impl Building {
    fn new(mapping: Mapping) -> Self {
        Self {
            mapping: Arc::new(mapping),
            program: Program::new(),
            rules: Vec::new(),
            fingerprints: Vec::new(),
            by_reference: BTreeMap::new(),
            generated: BTreeSet::new(),
            counted: BTreeSet::new(),
        }
    }

    fn add(&mut self, fingerprint: u128, rule: Rule) {
        let index = self.rules.len() as u32;
        let references = [Some(rule.meta.summary.id.clone()), rule.meta.name.clone()];
        self.by_reference.extend(references.into_iter().flatten().map(|it| (it, index)));
        self.fingerprints.push(fingerprint);
        self.rules.push(rule);
    }

    fn add_event_rule(
        &mut self,
        document: &Document,
        rule: &SigmaRule,
        filters: &[NumberedFilter<'_>],
        options: &CompileOptions,
        warnings: &mut Vec<RuleError>,
    ) -> Result<(), RuleError> {
        let mut filtered = rule.clone();
        let mut texts = vec![document.text.as_bytes()];
        for (number, filter_document, filter) in filters {
            if filter::applies(filter, rule) {
                filter::apply(&mut filtered, filter, *number);
                texts.push(filter_document.text.as_bytes());
            }
        }
        let matcher = Matcher::compile(&mut self.program, &self.mapping, &filtered)
            .map_err(|error| document.place_of(&error.needle).error(error.reason, error.cure))?;
        for name in &matcher.unknown_placeholders {
            let reason = format!("the placeholder `%{name}%` has no list, so its value matches nothing");
            let cure = "give it one under `[placeholders]` in a .toml file beside the rules";
            warnings.push(RuleError { loaded: true, ..document.place_of(name).error(reason, cure) });
        }
        let mut sources: Vec<String> = Vec::new();
        let mut datasets: Vec<String> = Vec::new();
        for source in matcher.sources.iter().filter_map(|it| self.mapping.sources.get(*it as usize)) {
            sources.push(source.name.clone());
            datasets.extend(source.datasets().map(str::to_owned));
        }
        if options.ignore_log_sources || is_everything(&rule.logsource) {
            sources.push("any event".to_owned());
        }
        for list in [&mut sources, &mut datasets] {
            list.sort_unstable();
            list.dedup();
        }
        let meta = RuleMeta {
            summary: summary(&rule.id, &rule.title, rule.level, &rule.tags),
            kind: "event",
            path: document.place.path.clone(),
            line: document.place.line,
            name: rule.name.clone(),
            description: rule.description.clone(),
            author: rule.author.clone(),
            status: rule.status.map(status_text),
            date: rule.date.clone(),
            modified: rule.modified.clone(),
            falsepositives: rule.falsepositives.clone(),
            references: rule.references.clone(),
            log_source: matcher.source_text(),
            sources,
            datasets,
            reports: false,
        };
        let entities = entities_of(document, &rule.custom_attributes)?;
        let rule = Rule {
            meta,
            entities: matcher.event_names(&self.mapping, &entities),
            context: matcher.event_names(&self.mapping, &rule.fields),
            body: Body::Event(Box::new(matcher)),
            syntax: options.keep_syntax.then(|| Box::new(filtered)),
            feeds: Vec::new(),
        };
        self.add(content_hash(&texts), rule);
        Ok(())
    }

    /// Adds each correlation once the correlations that it names are there.
    fn add_correlations(&mut self, mut waiting: Vec<(&Document, &CorrelationRule)>, errors: &mut Vec<RuleError>) {
        loop {
            let names: BTreeSet<String> = waiting
                .iter()
                .flat_map(|(_, rule)| [Some(id_of(&rule.id, &rule.title)), rule.name.clone()])
                .flatten()
                .collect();
            let (ready, later): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|(_, rule)| !rule.rules.iter().any(|it| names.contains(it)));
            if ready.is_empty() {
                for (document, rule) in later {
                    let named = rule.rules.iter().find(|it| names.contains(*it)).map_or("", String::as_str);
                    let reason = format!("it names the correlation `{named}`, which leads back to it");
                    errors.push(document.place_of(named).error(reason, "break the circle"));
                }
                return;
            }
            for (document, rule) in ready {
                if let Err(error) = self.add_correlation(document, rule) {
                    errors.push(error);
                }
            }
            waiting = later;
        }
    }

    fn add_correlation(&mut self, document: &Document, rule: &CorrelationRule) -> Result<(), RuleError> {
        let known = |reference: &str| {
            let index = *self.by_reference.get(reference)?;
            let known = self.rules.get(index as usize)?;
            let inner = match &known.body {
                Body::Event(_) => None,
                Body::Correlation(inner) => Some(&**inner),
            };
            Some(Known { rule: index, fingerprint: *self.fingerprints.get(index as usize)?, inner })
        };
        let event_names = |member: u32, name: &str| self.event_names(member, name);
        let correlation = compile_correlation(document, rule, known, event_names)?;
        let entities = entities_of(document, &rule.custom_attributes)?;
        if !entities.is_empty() {
            let place = document.place_of(ENTITIES_KEY);
            return Err(
                place.error("a correlation is about its group", "use `group-by` instead of `panoptes.entities`")
            );
        }
        let own = self.rules.len() as u32;
        for member in &correlation.members {
            self.counted.insert(member.rule);
            if rule.generate {
                self.generated.insert(member.rule);
            }
            if let Some(counted) = self.rules.get_mut(member.rule as usize) {
                counted.feeds.push(own);
            }
        }
        let meta = RuleMeta {
            summary: summary(&rule.id, &rule.title, rule.level, &rule.tags),
            kind: correlation.kind.as_str(),
            path: document.place.path.clone(),
            line: document.place.line,
            name: rule.name.clone(),
            description: rule.description.clone(),
            author: rule.author.clone(),
            status: rule.status.map(status_text),
            date: rule.date.clone(),
            modified: rule.modified.clone(),
            falsepositives: rule.falsepositives.clone(),
            references: rule.references.clone(),
            log_source: String::new(),
            sources: Vec::new(),
            datasets: Vec::new(),
            reports: false,
        };
        let fingerprint = correlation.fingerprint;
        let context = rule.fields.clone();
        let body = Body::Correlation(Box::new(correlation));
        self.add(fingerprint, Rule { meta, body, entities, context, syntax: None, feeds: Vec::new() });
        Ok(())
    }

    /// What the field `name` of a rule is called in the events that it is asked about; of a correlation, in those of all
    /// rules behind it.
    fn event_names(&self, rule: u32, name: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let (mut seen, mut waiting) = (BTreeSet::from([rule]), vec![rule]);
        while let Some(rule) = waiting.pop().and_then(|it| self.rules.get(it as usize)) {
            match &rule.body {
                Body::Event(matcher) => {
                    for found in matcher.all_event_names(&self.mapping, name) {
                        if !names.contains(&found) {
                            names.push(found);
                        }
                    }
                }
                Body::Correlation(inner) => {
                    waiting.extend(inner.members.iter().map(|it| it.rule).filter(|it| seen.insert(*it)));
                }
            }
        }
        names
    }

    fn decide_who_reports(&mut self, options: &CompileOptions) {
        for (index, rule) in self.rules.iter_mut().enumerate() {
            let index = index as u32;
            let summary = &rule.meta.summary;
            let is_there_to_be_counted = self.counted.contains(&index) && !self.generated.contains(&index);
            rule.meta.reports = !is_there_to_be_counted
                && summary.level >= options.min_level
                && !options.disabled.contains(&summary.id);
        }
    }

    fn finish(mut self, wants_patterns: bool, behaviour: Reporting, mapped: u128) -> RuleSet {
        // A correlation that nobody hears of need not run, nor what only it counts. Members come before what counts
        // them, so going backwards settles each rule once.
        let mut is_needed = vec![false; self.rules.len()];
        for index in (0..self.rules.len()).rev() {
            let Some(rule) = self.rules.get_mut(index) else { continue };
            rule.feeds.retain(|fed| is_needed.get(*fed as usize).copied().unwrap_or(false));
            let needed = rule.meta.reports || !rule.feeds.is_empty();
            if let Some(slot) = is_needed.get_mut(index) {
                *slot = needed;
            }
        }
        let matchers = self.rules.iter().enumerate().filter_map(|(index, rule)| match &rule.body {
            Body::Event(matcher) if is_needed.get(index) == Some(&true) => Some((index as u32, &**matcher)),
            _ => None,
        });
        let engine = Engine::build(self.program, self.mapping, matchers);
        let reports = self
            .rules
            .iter()
            .map(|rule| u128::from(rule.meta.reports))
            .chain([wants_patterns.into(), behaviour.bits().into()]);
        let all = self.fingerprints.iter().copied().chain(reports).chain([mapped]);
        let parts: Vec<[u8; 16]> = all.map(u128::to_le_bytes).collect();
        let parts: Vec<&[u8]> = parts.iter().map(|it| it.as_slice()).collect();
        RuleSet { fingerprint: content_hash(&parts), rules: self.rules, engine, wants_patterns, behaviour }
    }
}

/// The custom attribute by which a rule says whom its findings are about.
const ENTITIES_KEY: &str = "panoptes.entities";

fn entities_of(
    document: &Document,
    attributes: &std::collections::HashMap<String, yaml_serde::Value>,
) -> Result<Vec<String>, RuleError> {
    let Some(value) = attributes.get(ENTITIES_KEY) else { return Ok(Vec::new()) };
    let names = value.as_sequence().map(|items| items.iter().map(|it| it.as_str().map(str::to_owned)).collect());
    let names: Option<Option<Vec<String>>> = names;
    names.flatten().filter(|it| !it.is_empty()).ok_or_else(|| {
        let place = document.place_of(ENTITIES_KEY);
        place.error(format!("`{ENTITIES_KEY}` is not a list of field names"), "write `[source.ip, host.name]`")
    })
}

fn summary(id: &Option<String>, title: &str, level: Option<Level>, tags: &[String]) -> Arc<RuleSummary> {
    let level = match level {
        None => LEVEL_DEFAULT,
        Some(Level::Informational) => Severity::Informational,
        Some(Level::Low) => Severity::Low,
        Some(Level::Medium) => Severity::Medium,
        Some(Level::High) => Severity::High,
        Some(Level::Critical) => Severity::Critical,
    };
    Arc::new(RuleSummary { id: id_of(id, title), title: title.to_owned(), level, tags: tags.to_vec() })
}

fn status_text(status: Status) -> String {
    match status {
        Status::Stable => "stable",
        Status::Test => "test",
        Status::Experimental => "experimental",
        Status::Deprecated => "deprecated",
        Status::Unsupported => "unsupported",
    }
    .to_owned()
}
