//! Which Sigma log sources an event is, and what the fields that rules name are called in our events.
//!
//! A mapping is a data file (`rules/mappings/*.toml`; a site adds its own beside its rules):
//!
//! ```toml
//! [[source]]
//! name = "Sysmon: process creation"     # what `rules coverage` shows
//! product = "windows"                   # text or list; left out: the events say nothing of it
//! category = "process_creation"
//! service = "sysmon"
//! when = { "event.dataset" = "windows.sysmon", "event.code" = "1" }
//! prefix = "winlog.event_data."         # put before names that are in no table and no names of ECS
//! fields = ["windows"]                  # tables below; the first that has the name wins
//!
//! [fields.windows]
//! "EventID" = "event.code"              # the rules' name = the event's field
//! ```
//!
//! A mapping file may also hold lists for Sigma's placeholders (`field|expand: '%admins%'`):
//!
//! ```toml
//! [placeholders]
//! admins = ["root", "svc-*"]
//! ```
//!
//! All of `when` must hold: the field equals the text or one of the list (case ignored; `okta.*` is every text that
//! begins with `okta.`), or, with `true`, is there.
//! An event can be several sources. A rule is asked about it if, for one of them, every part of the rule's log source
//! is left out or among the source's.

mod built_in;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use panoptes_model::{Schema, field};
use rsigma_parser::LogSource;
use serde::Deserialize;

use super::lower::Placeholders;
use crate::rules::{RuleError, RuleFile};

/// How many sources all mappings together may have. Those beyond are errors.
const SOURCES_MAX: usize = 4_096;
/// How many different fields `when` may test in all mappings together: each is looked at for every event.
const TESTED_FIELDS_MAX: usize = 64;
/// How the names of sources begin that no mapping has.
pub(crate) const OWN_DATASET: &str = "events of the dataset ";

/// One kind of event.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    product: Vec<String>,
    category: Vec<String>,
    service: Vec<String>,
    pub(crate) when: Vec<Test>,
    prefix: Option<String>,
    /// The rules' names and the events'; the first that has the name wins.
    fields: Vec<Arc<BTreeMap<String, String>>>,
}

/// What an event must have to be of a source.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) field: String,
    /// Lower case. `None`: the field has to be there.
    pub(crate) values: Option<Vec<String>>,
}

/// All sources.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub(crate) sources: Vec<Arc<Source>>,
    /// Whether every rule is asked about every event, under the names that it uses.
    pub(crate) ignore_sources: bool,
    /// Lists for placeholders, those of all files together.
    pub(crate) placeholders: Placeholders,
    ecs: Arc<Schema>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    source: Vec<toml::Spanned<SourceEntry>>,
    #[serde(default)]
    fields: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    placeholders: Placeholders,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceEntry {
    name: String,
    #[serde(default)]
    product: Words,
    #[serde(default)]
    category: Words,
    #[serde(default)]
    service: Words,
    #[serde(default)]
    when: BTreeMap<String, Wanted>,
    prefix: Option<String>,
    #[serde(default)]
    fields: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Words {
    #[default]
    None,
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Wanted {
    Present(bool),
    Values(Words),
}

impl Words {
    fn list(self) -> Vec<String> {
        let words = match self {
            Self::None => Vec::new(),
            Self::One(word) => vec![word],
            Self::Several(words) => words,
        };
        words.into_iter().map(|it| it.to_lowercase()).collect()
    }
}

impl Mapping {
    /// The shipped mappings and those in `files`; what is wrong with the latter goes to `errors`.
    pub(crate) fn load<'f>(
        files: impl Iterator<Item = &'f RuleFile>,
        ignore_sources: bool,
        errors: &mut Vec<RuleError>,
    ) -> Self {
        // What is wrong with the shipped ones a test tells.
        static SHIPPED: LazyLock<Mapping> = LazyLock::new(|| {
            let mut shipped = Mapping::empty();
            for (path, text) in built_in::ALL {
                shipped.add(path, text, &mut Vec::new());
            }
            shipped
        });
        // A site's own come first: they may rename what the shipped ones name.
        let mut mapping = Self { ignore_sources, ecs: Arc::clone(&SHIPPED.ecs), ..Self::empty() };
        for file in files {
            mapping.add(&file.path, &file.text, errors);
        }
        mapping.sources.extend(SHIPPED.sources.iter().cloned());
        mapping.sources.truncate(SOURCES_MAX);
        for (name, values) in &SHIPPED.placeholders {
            mapping.placeholders.entry(name.clone()).or_default().extend(values.iter().cloned());
        }
        if ignore_sources {
            mapping.sources.clear();
        }
        mapping
    }

    fn empty() -> Self {
        Self {
            sources: Vec::new(),
            ignore_sources: false,
            placeholders: Placeholders::new(),
            ecs: Arc::new(Schema::ecs()),
        }
    }

    /// The texts of the shipped mappings.
    pub(crate) fn shipped<'s>() -> impl Iterator<Item = &'s str> {
        built_in::ALL.iter().map(|(_, text)| *text)
    }

    fn add(&mut self, path: &str, text: &str, errors: &mut Vec<RuleError>) {
        let line_of = |offset: usize| 1 + text.bytes().take(offset).filter(|it| *it == b'\n').count() as u32;
        let mut tell = |line: Option<u32>, reason: String, cure: &str| {
            errors.push(RuleError {
                path: path.to_owned(),
                line,
                column: None,
                title: None,
                reason,
                cure: cure.to_owned(),
                loaded: false,
            });
        };
        let file: File = match toml::from_str(text) {
            Ok(file) => file,
            Err(error) => {
                let line = error.span().map(|it| line_of(it.start));
                let cure = "docs/sigma.md shows what a mapping looks like";
                tell(line, format!("not a mapping: {}", error.message()), cure);
                return;
            }
        };
        let tables: BTreeMap<String, Arc<BTreeMap<String, String>>> =
            file.fields.into_iter().map(|(name, table)| (name, Arc::new(table))).collect();
        for (name, values) in file.placeholders {
            self.placeholders.entry(name).or_default().extend(values);
        }
        for entry in file.source {
            let line = Some(line_of(entry.span().start));
            let entry = entry.into_inner();
            let mut fields = Vec::new();
            for table in &entry.fields {
                match tables.get(table) {
                    Some(table) => fields.push(Arc::clone(table)),
                    None => {
                        let reason =
                            format!("source \"{}\" uses the table `fields.{table}`, which is not there", entry.name);
                        tell(line, reason, "define it in this file");
                    }
                }
            }
            let when: Vec<Test> = entry
                .when
                .into_iter()
                .filter_map(|(field, wanted)| match wanted {
                    Wanted::Present(false) => None,
                    Wanted::Present(true) => Some(Test { field, values: None }),
                    Wanted::Values(values) => Some(Test { field, values: Some(values.list()) }),
                })
                .collect();
            if when.is_empty() {
                let reason = format!("source \"{}\" does not say by `when` which events it is", entry.name);
                tell(line, reason, "name a field and its value, such as `when = { \"event.dataset\" = \"shop\" }`");
                continue;
            }
            let source = Source {
                name: entry.name,
                product: entry.product.list(),
                category: entry.category.list(),
                service: entry.service.list(),
                when,
                prefix: entry.prefix,
                fields,
            };
            let mut tested: Vec<&str> = self
                .sources
                .iter()
                .map(|it| &**it)
                .chain([&source])
                .flat_map(|it| &it.when)
                .map(|it| it.field.as_str())
                .collect();
            tested.sort_unstable();
            tested.dedup();
            if self.sources.len() >= SOURCES_MAX || tested.len() > TESTED_FIELDS_MAX {
                let reason = format!(
                    "source \"{}\" is one more than the {SOURCES_MAX} sources or {TESTED_FIELDS_MAX} fields that all mappings may have",
                    source.name
                );
                tell(line, reason, "join some");
                return;
            }
            self.sources.push(Arc::new(source));
        }
    }

    /// Makes events that no mapping knows, but whose dataset is read as ECS means it (`product.service`), sources of
    /// the rules that wait for just those.
    pub(crate) fn add_own_datasets<'r>(&mut self, rules: impl Iterator<Item = &'r LogSource>) {
        if self.ignore_sources {
            return;
        }
        let mut names: Vec<(String, Option<String>)> = rules
            .filter(|rule| rule.category.is_none() && rule.custom.is_empty())
            .filter(|rule| !self.sources.iter().any(|it| it.allows(rule)))
            .filter_map(|rule| Some((rule.product.as_deref()?.to_lowercase(), rule.service.clone())))
            .map(|(product, service)| (product, service.map(|it| it.to_lowercase())))
            .collect();
        names.sort_unstable();
        names.dedup();
        for (product, service) in names {
            if self.sources.len() >= SOURCES_MAX {
                return;
            }
            let datasets = match &service {
                Some(service) => vec![format!("{product}.{service}")],
                None => vec![product.clone(), format!("{product}.*")],
            };
            self.sources.push(Arc::new(Source {
                name: format!("{OWN_DATASET}{}", datasets.join(" or ")),
                product: vec![product],
                category: Vec::new(),
                service: service.into_iter().collect(),
                when: vec![Test { field: "event.dataset".to_owned(), values: Some(datasets) }],
                prefix: None,
                fields: Vec::new(),
            }));
        }
    }

    /// The sources whose events a rule with this log source is asked about. A rule whose log source names nothing is
    /// asked about every event and has none.
    pub(crate) fn sources_of<'m>(&'m self, rule: &'m LogSource) -> impl Iterator<Item = (u32, &'m Source)> {
        (0..).zip(self.sources.iter().map(|it| &**it)).filter(|(_, it)| it.allows(rule))
    }

    pub(crate) fn source(&self, position: u32) -> Option<&Source> {
        self.sources.get(position as usize).map(|it| &**it)
    }

    /// What `name` of a rule is called in the events of `source`.
    pub(crate) fn resolved<'n>(&'n self, source: Option<&'n Source>, name: &'n str) -> std::borrow::Cow<'n, str> {
        let Some(source) = source else { return name.into() };
        if let Some(known) = source.fields.iter().find_map(|it| it.get(name)) {
            return known.as_str().into();
        }
        match &source.prefix {
            Some(prefix) if !self.is_ecs(name) && !name.starts_with(prefix.as_str()) => {
                format!("{prefix}{name}").into()
            }
            _ => name.into(),
        }
    }

    /// Whether the events of `source` may call something `name` that their mapping states.
    pub(crate) fn is_ecs(&self, name: &str) -> bool {
        name == super::URL_DECODED
            || name.contains('.') && self.ecs.id(name).is_some()
            || name == self.ecs.name(field::MESSAGE).unwrap_or_default()
    }
}

impl Source {
    /// The datasets that its events have.
    pub(crate) fn datasets(&self) -> impl Iterator<Item = &str> {
        let tests = self.when.iter().filter(|it| it.field == "event.dataset");
        tests.filter_map(|it| it.values.as_ref()).flatten().map(String::as_str)
    }

    /// Whether a rule with this log source is asked about events of this source.
    pub(crate) fn allows(&self, rule: &LogSource) -> bool {
        let part = |wanted: &Option<String>, has: &[String]| {
            wanted.as_deref().is_none_or(|wanted| has.iter().any(|it| wanted.eq_ignore_ascii_case(it)))
        };
        // A part that Sigma does not define is something that no event can be known to be.
        rule.custom.is_empty()
            && !is_everything(rule)
            && part(&rule.product, &self.product)
            && part(&rule.category, &self.category)
            && part(&rule.service, &self.service)
    }
}

/// A rule whose log source names nothing is asked about every event.
pub(crate) fn is_everything(rule: &LogSource) -> bool {
    rule.product.is_none() && rule.category.is_none() && rule.service.is_none() && rule.custom.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(product: &str, category: &str, service: &str) -> LogSource {
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        LogSource { product: part(product), category: part(category), service: part(service), ..LogSource::default() }
    }

    fn load(text: &str) -> (Mapping, Vec<RuleError>) {
        let mut errors = Vec::new();
        let file = RuleFile { path: "own.toml".to_owned(), text: text.to_owned() };
        (Mapping::load([&file].into_iter(), false, &mut errors), errors)
    }

    fn names(mapping: &Mapping, rule: &LogSource) -> Vec<String> {
        mapping.sources_of(rule).map(|(_, it)| it.name.clone()).collect()
    }

    #[test]
    fn shipped_mappings_have_no_error() {
        let mut errors = Vec::new();
        let mut mapping = Mapping::empty();
        for (path, text) in built_in::ALL {
            mapping.add(path, text, &mut errors);
        }
        assert!(errors.is_empty(), "{errors:?}");
        assert!(!mapping.sources.is_empty());
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/mappings");
        for file in std::fs::read_dir(folder).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            assert!(built_in::ALL.iter().any(|(path, _)| path.ends_with(&format!("/{name}"))), "{name} is not shipped");
        }
    }

    #[test]
    fn a_rule_is_asked_only_if_all_its_parts_are_known_of_the_event() {
        let (mapping, errors) = load(
            r#"
            [[source]]
            name = "own"
            product = ["shop", "till"]
            service = "audit"
            when = { "event.dataset" = "shop.audit" }
            "#,
        );
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(names(&mapping, &rule("Shop", "", "")), ["own"]);
        assert_eq!(names(&mapping, &rule("till", "", "AUDIT")), ["own"]);
        assert!(names(&mapping, &rule("shop", "process_creation", "")).is_empty());
        assert!(names(&mapping, &LogSource::default()).is_empty());
        let mut custom = rule("shop", "", "");
        custom.custom.insert("tenant".to_owned(), "acme".to_owned());
        assert!(names(&mapping, &custom).is_empty());
    }

    #[test]
    fn names_are_looked_up_in_tables_then_ecs_then_prefixed() {
        let (mapping, errors) = load(
            r#"
            [[source]]
            name = "own"
            product = "shop"
            when = { "event.dataset" = ["shop"], "shop.kind" = true }
            prefix = "shop."
            fields = ["first", "second"]
            [fields.first]
            Who = "user.name"
            [fields.second]
            Who = "host.name"
            Where = "host.name"
            "#,
        );
        assert!(errors.is_empty(), "{errors:?}");
        let source = mapping.sources.first().map(|it| &**it);
        assert_eq!(mapping.resolved(source, "Who"), "user.name");
        assert_eq!(mapping.resolved(source, "Where"), "host.name");
        assert_eq!(mapping.resolved(source, "user.domain"), "user.domain");
        assert_eq!(mapping.resolved(source, "Amount"), "shop.Amount");
        assert_eq!(mapping.resolved(source, "shop.Amount"), "shop.Amount");
        assert_eq!(mapping.resolved(None, "Amount"), "Amount");
    }

    #[test]
    fn datasets_that_no_mapping_knows_are_product_and_service() {
        let (mut mapping, _) = load("");
        let (known, unknown) = (rule("linux", "", "sshd"), rule("Acme", "", "Portal"));
        mapping.add_own_datasets([&known, &unknown, &rule("acme", "x", "")].into_iter());
        assert_eq!(names(&mapping, &unknown), ["events of the dataset acme.portal"]);
        assert_eq!(names(&mapping, &rule("acme", "", "")), ["events of the dataset acme.portal"]);
        assert!(names(&mapping, &rule("acme", "x", "")).is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line, reason) in [
            ("[[source]]\nname = \"x\"\n", 1, "does not say by `when`"),
            ("\n[[source]]\nname = \"x\"\nwhen = { a = true }\nfields = [\"f\"]\n", 2, "`fields.f`"),
            ("x = 1\n", 1, "not a mapping"),
        ] {
            let (_, errors) = load(text);
            let error = errors.first().expect("an error");
            assert!(error.reason.contains(reason), "{error}");
            assert_eq!(error.line, Some(line), "{error}");
        }
    }
}
