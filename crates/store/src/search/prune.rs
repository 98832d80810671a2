//! Which segments and row groups need not be read for a query, by what their sidecars say ([`words`](crate::words)), and
//! the manifest of their sources and datasets.
//!
//! A query *needs* the words that every match of it has, each whole, and the values that it compares looked-up fields
//! with. What has a `*` at its end, ranges, networks, regular expressions and what is negated need nothing.

use panoptes_model::{FieldType, Schema};

use super::Searcher;
use super::direct::Verdict;
use super::expr::type_of;
use super::item::{Matcher, canonical};
use super::query::{Query, Test};
use super::table::Part;
use crate::manifest::Kinds;
use crate::pivot::{SENT, SOURCE};
use crate::segment::is_looked_up;
use crate::words::{Need, Term, is_worded, whole_words};

/// What an event was taken for.
pub(super) const DATASET: &str = "event.dataset";

/// What the segments of a query must have.
pub(super) struct Needs {
    need: Need,
    kinds: KindsTest,
}

/// What a query needs.
pub(super) fn need(query: &Query, schema: &Schema) -> Needs {
    Needs { need: terms(query, schema), kinds: kinds(query, schema) }
}

/// What is asked of the fields whose values the manifest lists.
enum KindsTest {
    Anything,
    Source(Matcher),
    Dataset(Matcher),
    All(Vec<Self>),
    Any(Vec<Self>),
}

impl KindsTest {
    /// Whether events of such sources and datasets may pass. Nests no deeper than queries.
    fn may_pass(&self, part: &Part) -> bool {
        let some = |kinds: &Kinds, matcher: &Matcher| match kinds {
            Kinds::Known(values) => values.iter().any(|it| matcher.matches(it)),
            Kinds::Unknown => true,
        };
        match self {
            Self::Anything => true,
            Self::Source(matcher) => some(&part.sources, matcher),
            Self::Dataset(matcher) => some(&part.datasets, matcher),
            Self::All(tests) => tests.iter().all(|it| it.may_pass(part)),
            Self::Any(tests) => tests.iter().any(|it| it.may_pass(part)),
        }
    }
}

fn kinds(query: &Query, schema: &Schema) -> KindsTest {
    match query {
        Query::And(parts) => KindsTest::All(parts.iter().map(|it| kinds(it, schema)).collect()),
        Query::Or(parts) => KindsTest::Any(parts.iter().map(|it| kinds(it, schema)).collect()),
        Query::Field { name, test } if matches!(name.as_str(), SOURCE | DATASET) => {
            let is_text = type_of(name, schema) == FieldType::Text;
            match Matcher::new(test) {
                Ok(matcher) if is_text && name == SOURCE => KindsTest::Source(matcher),
                Ok(matcher) if is_text => KindsTest::Dataset(matcher),
                _ => KindsTest::Anything,
            }
        }
        _ => KindsTest::Anything,
    }
}

fn terms(query: &Query, schema: &Schema) -> Need {
    match query {
        Query::Words(glob) => words(&glob.0),
        Query::Field { name, test } => field(name, test, schema),
        Query::And(parts) => Need::all(parts.iter().map(|it| terms(it, schema))),
        Query::Or(parts) => Need::any(parts.iter().map(|it| terms(it, schema))),
        Query::All | Query::Not(_) | Query::Pattern(_) => Need::Nothing,
    }
}

/// The words of a text that has these parts in their order. At its beginning and its end no word goes on.
fn words(parts: &[String]) -> Need {
    let last = parts.len().saturating_sub(1);
    let of_part = |(index, part): (usize, &String)| Term::words(whole_words(part, index == 0, index == last));
    Need::all(parts.iter().enumerate().flat_map(of_part).map(Need::Term))
}

fn field(name: &str, test: &Test, schema: &Schema) -> Need {
    // Other types compare by what both sides read as. What the store answers itself is nobody's field.
    let is_text = matches!(type_of(name, schema), FieldType::Text | FieldType::Ip);
    if !is_text || name.starts_with(SENT) {
        return Need::Nothing;
    }
    match test {
        Test::Is(text) if is_looked_up(name) => {
            let forms = [Some(text.clone()), canonical(text)].into_iter().flatten();
            Need::any(forms.map(|it| Need::Term(Term::value(name, &it))))
        }
        Test::Is(text) if is_worded(name) => {
            let forms = [Some(text.clone()), canonical(text)].into_iter().flatten();
            Need::any(forms.map(|it| words(&[it])))
        }
        Test::Like(glob) if is_worded(name) => words(&glob.0),
        _ => Need::Nothing,
    }
}

/// What was left out, and what not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruning {
    /// Segments of other times than the one asked for.
    pub segments_of_other_times: usize,
    /// Segments of the time asked for that were left out because a word or value is not in them.
    pub segments: usize,
    /// Row groups left out for that, of segments that were read.
    pub row_groups: usize,
}

impl Searcher {
    /// Leaves out what cannot match: segments here, row groups when they are read.
    pub(super) fn prune(&self, parts: Vec<Part>, needs: &Needs, pruning: &mut Pruning) -> Vec<Part> {
        let parts = Self::prune_kinds(parts, needs, pruning);
        self.prune_words(parts, needs, None, pruning)
    }

    /// Leaves out the segments whose sources and datasets do not match. Nothing is read for it.
    pub(super) fn prune_kinds(mut parts: Vec<Part>, needs: &Needs, pruning: &mut Pruning) -> Vec<Part> {
        let before = parts.len();
        parts.retain(|it| needs.kinds.may_pass(it));
        pruning.segments += before - parts.len();
        parts
    }

    /// Leaves out what lacks words and values. What is known of the query already is not looked up.
    pub(super) fn prune_words(
        &self,
        parts: Vec<Part>,
        Needs { need, .. }: &Needs,
        verdict: Option<&Verdict>,
        pruning: &mut Pruning,
    ) -> Vec<Part> {
        if *need == Need::Nothing {
            return parts;
        }
        let mut left = Vec::with_capacity(parts.len());
        for mut part in parts {
            if verdict.is_some_and(|it| it.has_nothing(&segment_of(&part))) {
                pruning.segments += 1;
                continue;
            }
            let groups = match part.sidecar_of {
                Some(digest) => self.words.groups(&part.file, &digest, need).unwrap_or_else(|error| {
                    tracing::warn!(%error, source = std::error::Error::source(&error), "no use of a sidecar");
                    None
                }),
                None => None,
            };
            match &groups {
                Some(groups) if groups.count() == 0 => {
                    pruning.segments += 1;
                    if let Some(verdict) = verdict {
                        verdict.found_nothing(segment_of(&part));
                    }
                    continue;
                }
                Some(groups) => pruning.row_groups += groups.iter().len() - groups.count(),
                None => {}
            }
            part.groups = groups;
            left.push(part);
        }
        left
    }
}

/// All of a segment, as verdicts know it.
fn segment_of(part: &Part) -> (std::sync::Arc<str>, usize, usize) {
    (part.file.as_str().into(), usize::MAX, usize::MAX)
}

#[cfg(test)]
mod tests;
