//! Hot reload: rules on disk that have changed come into force without a restart, all of them or none; and so does each
//! file that events are enriched from ([`Enrichment`]).
//!
//! A thread looks at the rule files every [`LOOK_EVERY`], and at once on SIGHUP. What it finds changed it compiles; if
//! that costs a rule that was in force, or a file that is new has an error, nothing changes, and the log says so once.
//! Otherwise the new set is put in force between two frames of the log (`pipeline/in_force.rs`).

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use panoptes_detect::{RuleError, RuleSet};

use crate::enrichment::Enrichment;
use crate::pipeline::InForce;
use crate::rules::{self, LoadedRules, RuleSources};
use crate::time::{self, Stopwatch};

/// How often the files are looked at. A change counts when it is seen twice in the same shape, so that a file that is
/// still being written is left alone.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How many errors of one attempt the log tells; `rules check` tells all.
const ERRORS_TOLD_MAX: usize = 20;

/// What the rule files looked like at one moment: enough to see that any of them has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen(Vec<FileSeen>);

/// What one file looked like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileSeen {
    path: PathBuf,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    /// Tools that keep the time of modification cannot keep this one.
    changed: (i64, i64),
}

impl Seen {
    /// # Errors
    /// A path does not exist or cannot be read.
    pub(crate) fn look(sources: &RuleSources) -> anyhow::Result<Self> {
        Ok(Self(rules::paths_below(&sources.paths)?.iter().map(|it| FileSeen::of(it)).collect()))
    }
}

impl FileSeen {
    /// A file that is not there looks like [`nothing`](Self::nothing).
    pub(crate) fn of(path: &Path) -> Self {
        let Ok(metadata) = std::fs::metadata(path) else { return Self::nothing(path) };
        Self {
            path: path.to_owned(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    pub(crate) fn nothing(path: &Path) -> Self {
        Self { path: path.to_owned(), inode: 0, bytes: 0, modified: (0, 0), changed: (0, 0) }
    }
}

/// What the start of a run knows of its rules.
pub(crate) struct Loaded {
    pub(crate) sources: RuleSources,
    /// Looked at before the files were read: what changed in between is seen as a change.
    pub(crate) seen: Seen,
    /// What was wrong then.
    pub(crate) errors: Vec<RuleError>,
    pub(crate) enrichment: Enrichment,
}

/// How an attempt ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Loaded,
    Unchanged,
    Refused,
}

impl Outcome {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

struct Reloader {
    sources: RuleSources,
    in_force: Arc<InForce>,
    /// The errors of the files from which the rules in force were made.
    errors: Vec<RuleError>,
    enrichment: Enrichment,
    /// What was told of the attempt before, so that it is told once.
    told: BTreeSet<String>,
}

/// Notes how many rules are in force.
pub(crate) fn note_loaded(rules: &RuleSet) {
    metrics::gauge!("panoptes_rules_loaded").set(rules.len() as f64);
    metrics::gauge!("panoptes_rules_stale").set(0.0);
}

/// Watches until `wake` is closed; whatever is sent on it is a wish to reload at once.
///
/// # Errors
/// The thread cannot be started.
pub(crate) fn watch(loaded: Loaded, in_force: Arc<InForce>, wake: Receiver<()>) -> anyhow::Result<()> {
    let Loaded { sources, seen, errors, enrichment } = loaded;
    let reloader = Reloader { sources, in_force, errors, enrichment, told: BTreeSet::new() };
    let thread = std::thread::Builder::new().name("rules".to_owned());
    thread.spawn(move || reloader.run(&wake, seen)).map(drop).context("cannot start the thread that watches rules")
}

impl Reloader {
    fn run(mut self, wake: &Receiver<()>, seen: Seen) {
        // What was tried last, and what the look before this one saw.
        let (mut tried, mut before) = (Ok(seen.clone()), Ok(seen));
        loop {
            let is_asked = match wake.recv_timeout(LOOK_EVERY) {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.enrich();
            if self.sources.paths.is_empty() {
                if is_asked {
                    tracing::info!("there are no rules to reload: name a folder in rules.paths or with --rules");
                }
                continue;
            }
            let seen = Seen::look(&self.sources).map_err(|error| format!("{error:#}"));
            if is_asked || (seen == before && seen != tried) {
                self.attempt(is_asked);
                tried = seen.clone();
            }
            before = seen;
        }
    }

    /// Puts what files newly say of addresses and so on in force. Only this thread changes what is in force.
    fn enrich(&mut self) {
        let now = self.in_force.get();
        metrics::gauge!("panoptes_enrichment_lookups_failed").set(now.snapshot().lookups_failed() as f64);
        if let Some(snapshot) = self.enrichment.look() {
            match now.with_snapshot(snapshot) {
                Ok(preparer) => self.in_force.replace(preparer),
                Err(error) => tracing::error!("{error}; events are enriched as before"),
            }
        }
        self.enrichment.count();
    }

    fn attempt(&mut self, is_asked: bool) {
        let started = time::stopwatch();
        let outcome = match self.sources.load() {
            Ok(loaded) => self.take(loaded, is_asked, &started),
            Err(error) => self.refuse(&[format!("{error:#}")]),
        };
        metrics::counter!("panoptes_rules_reloads_total", "result" => outcome.as_str()).increment(1);
    }

    fn take(&mut self, loaded: LoadedRules, is_asked: bool, started: &Stopwatch) -> Outcome {
        let LoadedRules { rules, errors } = loaded;
        let new: Vec<String> = errors.iter().filter(|it| self.costs(it)).map(ToString::to_string).collect();
        if !new.is_empty() {
            return self.refuse(&new);
        }
        let now = self.in_force.get();
        let news = News::between(now.rules(), &rules);
        if rules.fingerprint() == now.rules().fingerprint() {
            note_loaded(now.rules());
            if is_asked || !self.told.is_empty() {
                tracing::info!("the rules on disk are those in force: {}", rules.len());
            }
            (self.errors, self.told) = (errors, BTreeSet::new());
            return Outcome::Unchanged;
        }
        let rules = Arc::new(rules);
        match now.with_rules(Arc::clone(&rules)) {
            Ok(preparer) => self.in_force.replace(preparer),
            Err(error) => return self.refuse(&[format!("{error}; restart to begin with these rules alone")]),
        }
        note_loaded(&rules);
        tracing::info!(
            "rules reloaded: {} in force, {} new, {} gone, in {} ms",
            rules.len(),
            news.new,
            news.gone,
            started.elapsed_micros().div_ceil(1_000)
        );
        (self.errors, self.told) = (errors, BTreeSet::new());
        Outcome::Loaded
    }

    /// Whether `error` would take a rule away that is in force, or stands in something new. What was broken before is
    /// no reason to refuse what is right.
    fn costs(&self, error: &RuleError) -> bool {
        let is_same = |it: &&RuleError| it.path == error.path && it.title == error.title && !it.loaded;
        !error.loaded && !self.errors.iter().any(|it| is_same(&it))
    }

    /// Leaves everything as it is, and says why; but not twice.
    fn refuse(&mut self, reasons: &[String]) -> Outcome {
        let reasons: BTreeSet<String> = reasons.iter().cloned().collect();
        metrics::gauge!("panoptes_rules_stale").set(1.0);
        if reasons != self.told {
            for reason in reasons.difference(&self.told).take(ERRORS_TOLD_MAX) {
                tracing::error!("{reason}");
            }
            tracing::warn!(
                "the rules on disk have {} new errors: all {} rules in force stay as they are until that is put right",
                reasons.len(),
                self.in_force.get().rules().len()
            );
            self.told = reasons;
        }
        Outcome::Refused
    }
}

/// What distinguishes two sets, by the ids of their rules.
struct News {
    new: usize,
    gone: usize,
}

impl News {
    fn between(old: &RuleSet, new: &RuleSet) -> Self {
        fn ids(rules: &RuleSet) -> BTreeSet<&str> {
            rules.rules().map(|it| it.summary.id.as_str()).collect()
        }
        let (old, new) = (ids(old), ids(new));
        Self { new: new.difference(&old).count(), gone: old.difference(&new).count() }
    }
}
