//! `panoptes rules coverage`: what the rules in force can find of ATT&CK, and which of them cannot fire.

mod attack;
mod navigator;
mod survey;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Write};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use panoptes_detect::{CompileOptions, RuleMeta, RuleSet};
use panoptes_model::{RuleSummary, Timestamp};
use serde_json::{Value, json};

use self::attack::{Attack, Tag, parent};
use super::count_text;
use super::list::Enabled;
use super::silent::{self, Silent};
use crate::cli::{CoverageArgs, CoverageShow, Format, Global};
use crate::commands::Outcome;
use crate::table::Table;
use crate::{console, surroundings, time};

/// What is known of one technique.
#[derive(Default)]
struct Covered {
    /// Rules that name it and can fire.
    rules: Vec<Arc<RuleSummary>>,
    /// How many name it and cannot.
    silent: usize,
}

struct Coverage {
    attack: Attack,
    /// Those that some rule names, by id.
    techniques: BTreeMap<&'static str, Covered>,
    /// How many rules that can fire name the tactic, or a technique of it.
    rules_of_tactic: BTreeMap<&'static str, usize>,
    /// Tags of ATT&CK that this version of it does not have, and how many rules have them.
    unknown: BTreeMap<String, usize>,
    rules: usize,
    silent: Vec<(RuleMeta, Silent)>,
}

pub(super) fn run(global: &Global, args: &CoverageArgs) -> anyhow::Result<Outcome> {
    let now = time::now();
    let since = args.seen_since.as_deref().map(|it| time::parse_when(it, now)).transpose().map_err(|it| anyhow!(it))?;
    let config = surroundings::config(global, Vec::new())?;
    let sources = surroundings::rule_sources(&config, &args.rules, true);
    let files = sources.read()?;
    let seen = since.map(|since| survey::survey(&config, files.files.clone(), since)).transpose()?;
    let loaded = files.compile(&sources.options);
    loaded.tell();
    let why = silent::of_all(&loaded.rules, &sources.options, seen.as_ref());
    let coverage = Coverage::of(&loaded.rules, why, &sources.options);

    if let Some(path) = &args.navigator {
        let made_at = Timestamp::from_seconds(now.as_seconds()).to_string();
        let layer = serde_json::to_string_pretty(&navigator::layer(&coverage, &made_at))?;
        std::fs::write(path, layer + "\n").with_context(|| format!("cannot write the layer to {}", path.display()))?;
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    coverage.write(&mut out, args)?;
    out.flush()?;
    Ok(Outcome::Fine)
}

impl Coverage {
    fn of(set: &RuleSet, why: Vec<Option<Silent>>, options: &CompileOptions) -> Self {
        let mut coverage = Self {
            attack: Attack::load(),
            techniques: BTreeMap::new(),
            rules_of_tactic: BTreeMap::new(),
            unknown: BTreeMap::new(),
            rules: 0,
            silent: Vec::new(),
        };
        let detectors = set.detectors();
        let rules = set.rules().zip(why).zip(Enabled::of_all(set, options));
        // What is only counted is told by the correlation that counts it.
        let reporting = rules.filter(|it| it.1 != Enabled::Counted).map(|it| it.0);
        for (rule, why) in reporting.chain(detectors.iter().filter(|it| it.reports).map(|it| (it, None))) {
            coverage.rules += 1;
            coverage.add(rule, why.is_none());
            if let Some(why) = why {
                coverage.silent.push((rule.clone(), why));
            }
        }
        coverage
    }

    fn add(&mut self, rule: &RuleMeta, can_fire: bool) {
        let mut tactics: BTreeSet<&'static str> = BTreeSet::new();
        for tag in &rule.summary.tags {
            match self.attack.named(tag) {
                Tag::Technique(id) => {
                    let covered = self.techniques.entry(id).or_default();
                    if can_fire {
                        covered.rules.push(Arc::clone(&rule.summary));
                    } else {
                        covered.silent += 1;
                    }
                    tactics
                        .extend(self.attack.techniques.get(id).into_iter().flat_map(|it| it.tactics.iter().copied()));
                }
                Tag::Tactic(name) => drop(tactics.insert(name)),
                Tag::Unknown => *self.unknown.entry(tag.to_lowercase()).or_default() += 1,
                Tag::Other => {}
            }
        }
        if can_fire {
            for tactic in tactics {
                *self.rules_of_tactic.entry(tactic).or_default() += 1;
            }
        }
    }

    fn is_covered(&self, technique: &str) -> bool {
        self.techniques.get(technique).is_some_and(|it| !it.rules.is_empty())
    }

    /// For a tactic: techniques there are, those covered (by themselves or a sub-technique), and the same for
    /// sub-techniques.
    fn counts(&self, tactic: &str) -> [usize; 4] {
        let of_tactic: Vec<&'static str> =
            self.attack.techniques.iter().filter(|it| it.1.tactics.contains(&tactic)).map(|it| *it.0).collect();
        let (techniques, subtechniques): (Vec<&str>, Vec<&str>) =
            of_tactic.into_iter().partition(|it| *it == parent(it));
        let covered_parents: BTreeSet<&str> =
            self.techniques.keys().filter(|it| self.is_covered(it)).map(|it| parent(it)).collect();
        let covered = techniques.iter().filter(|it| covered_parents.contains(*it)).count();
        let covered_below = subtechniques.iter().filter(|it| self.is_covered(it)).count();
        [techniques.len(), covered, subtechniques.len(), covered_below]
    }

    fn write(&self, out: &mut impl Write, args: &CoverageArgs) -> anyhow::Result<()> {
        if args.format == Format::Json {
            return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&self.json())?)?);
        }
        let table = match args.show {
            CoverageShow::Tactics => self.tactics(args.format == Format::Table),
            CoverageShow::Techniques => self.techniques(args.format == Format::Table),
            CoverageShow::Silent => self.silent(),
        };
        table.write(out, args.format)?;
        if args.format != Format::Table {
            return Ok(());
        }
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, why) in &self.silent {
            *reasons.entry(why.summary()).or_default() += 1;
        }
        let covered = self.techniques.values().filter(|it| !it.rules.is_empty()).count();
        writeln!(
            out,
            "{}{}, {} can fire; {covered} of {} techniques and sub-techniques of ATT&CK {}",
            if table.is_empty() { "" } else { "\n" },
            count_text(self.rules, "rule"),
            self.rules - self.silent.len(),
            self.attack.techniques.len(),
            attack::VERSION,
        )?;
        if !reasons.is_empty() {
            let parts: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            let hint = if args.show == CoverageShow::Silent { "" } else { " (--show silent lists them)" };
            writeln!(out, "{} cannot: {}{hint}", self.silent.len(), parts.join(", "))?;
        }
        if !self.unknown.is_empty() {
            let tags: Vec<&str> = self.unknown.keys().map(String::as_str).collect();
            writeln!(out, "not in ATT&CK {}: {}", attack::VERSION, tags.join(", "))?;
        }
        Ok(())
    }

    fn tactics(&self, is_short: bool) -> Table {
        let mut table = match is_short {
            true => Table::new(["tactic", "id", "rules", "techniques", "sub-techniques"]),
            false => Table::new(["tactic", "id", "rules", "techniques", "covered", "subtechniques", "covered_below"]),
        };
        for tactic in &self.attack.tactics {
            let counts = self.counts(tactic.name);
            let rules = self.rules_of_tactic.get(tactic.name).copied().unwrap_or(0);
            let mut cells = vec![json!(title_of(tactic.name)), json!(tactic.id), json!(rules)];
            let [techniques, covered, below, covered_below] = counts;
            if is_short {
                cells.extend(
                    [(covered, techniques), (covered_below, below)]
                        .map(|(some, all)| json!(format!("{some} of {all}"))),
                );
            } else {
                cells.extend(counts.map(|it| json!(it)));
            }
            table.row(cells);
        }
        table
    }

    fn techniques(&self, is_short: bool) -> Table {
        let mut table = Table::new(["technique", "name", "tactics", "rules", "silent_rules", "titles"]);
        for (id, covered) in &self.techniques {
            let Some(technique) = self.attack.techniques.get(id) else { continue };
            let titles: BTreeSet<&str> = covered.rules.iter().map(|it| it.title.as_str()).collect();
            let name = match self.attack.techniques.get(parent(id)).filter(|_| *id != parent(id)) {
                Some(parent) if !is_short => format!("{}: {}", parent.name, technique.name),
                _ => technique.name.to_owned(),
            };
            table.row(vec![
                json!(id),
                json!(name),
                json!(technique.tactics),
                json!(covered.rules.len()),
                json!(covered.silent),
                json!(titles),
            ]);
        }
        table
    }

    fn silent(&self) -> Table {
        let mut table = Table::new(["level", "title", "why", "reason", "techniques", "path", "id"]);
        for (rule, why) in &self.silent {
            table.row(vec![
                json!(rule.summary.level),
                json!(rule.summary.title),
                json!(why.word()),
                json!(why.reason()),
                json!(console::techniques(&rule.summary.tags)),
                json!(rule.path),
                json!(rule.summary.id),
            ]);
        }
        table
    }

    fn json(&self) -> Value {
        json!({
            "attack_version": attack::VERSION,
            "rules": self.rules,
            "rules_silent": self.silent.len(),
            "tactics": self.tactics(false).objects(),
            "techniques": self.techniques(false).objects(),
            "silent": self.silent().objects(),
            "unknown_tags": self.unknown,
        })
    }
}

/// `initial-access` as people write it.
fn title_of(tactic: &str) -> String {
    let words = tactic.replace('-', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
