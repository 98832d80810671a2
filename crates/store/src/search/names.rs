//! Names of fields that nothing has, and what was perhaps meant.

use std::collections::BTreeSet;

use panoptes_model::Timestamp;

use super::{Evidence, Order, Searcher};
use crate::pivot::{EVENT_ID, SENT, is_internal, is_reserved};

/// How many segments, the newest first, are asked for their columns. A name that only older ones have counts as unknown.
const SEGMENTS_MAX: usize = 64;
/// How many names are suggested.
const NEAREST_MAX: usize = 3;
/// How like a name must be to be suggested, of 1.
const LIKENESS_MIN: f64 = 0.8;

/// A name that neither the schema nor the newest segments have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    pub name: String,
    /// Known names like it, the likest first.
    pub nearest: Vec<String>,
}

impl Searcher {
    /// Which of `names` no event in the time asked for has, as far as columns tell: what a segment keeps in its overflow
    /// is not looked at, so ask only when nothing was found.
    pub fn unknown_fields(
        &self,
        evidence: Evidence<'_>,
        names: &[&str],
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Vec<UnknownField> {
        let is_known =
            |it: &str| self.schema.id(it).is_some() || is_reserved(it) || it == EVENT_ID || it.starts_with(SENT);
        let mut unknown: Vec<&str> = names.iter().copied().filter(|it| !is_known(it)).collect();
        if unknown.is_empty() {
            return Vec::new();
        }
        unknown.retain(|it| {
            let has = |batch: &&std::sync::Arc<panoptes_model::EventBatch>| batch.field_id(it).is_some();
            !evidence.hot.iter().any(|batch| has(&batch))
        });
        let mut seen: BTreeSet<String> = self.schema.names().map(str::to_owned).collect();
        let scope = self.scope(evidence, since, until);
        for candidate in scope.ordered(Order::NewestFirst).iter().take(SEGMENTS_MAX) {
            // A damaged segment was told of by the search itself.
            let Ok(schema) = self.schema_of(&candidate.part) else { continue };
            for field in schema.fields().iter().filter(|it| !is_internal(it.name())) {
                seen.insert(field.name().clone());
            }
        }
        unknown.retain(|it| !seen.contains(*it));
        unknown.into_iter().map(|it| UnknownField { name: it.to_owned(), nearest: nearest(it, &seen) }).collect()
    }
}

fn nearest(name: &str, known: &BTreeSet<String>) -> Vec<String> {
    let lower = name.to_lowercase();
    let last = |it: &str| it.rsplit('.').next().unwrap_or(it).to_owned();
    let mut like: Vec<(f64, &String)> = known
        .iter()
        .map(|it| {
            let other = it.to_lowercase();
            // `username` or `srcip` are rather the end of a name than its beginning.
            let plain = |text: &str| text.replace(['.', '_', '-'], "");
            let whole = strsim::jaro_winkler(&plain(&lower), &plain(&other));
            (whole.max(strsim::jaro(&last(&lower), &last(&other)) * 0.9), it)
        })
        .filter(|it| it.0 > LIKENESS_MIN)
        .collect();
    like.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.len().cmp(&b.1.len())).then_with(|| a.1.cmp(b.1)));
    like.into_iter().take(NEAREST_MAX).map(|it| it.1.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Bed, batch, begin};
    use super::*;

    #[test]
    fn a_name_that_nothing_has_is_told_with_those_like_it() {
        let bed = Bed::new();
        bed.keep(batch(1, |writer| begin(writer, 1, "x", &[("made.colour", "red")])));
        bed.seal();
        bed.keep(batch(2, |writer| begin(writer, 2, "x", &[("made.shape", "round")])));
        let (hot, segments) = bed.store.snapshot();
        let evidence = Evidence { hot: &hot, segments: &segments };
        let asked =
            ["user.nam", "user.name", "made.colour", "made.shape", "made.color", "username", "@timestamp", "qqq"];
        let unknown = bed.searcher.unknown_fields(evidence, &asked, None, None);
        let names: Vec<&str> = unknown.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["user.nam", "made.color", "username", "qqq"]);
        let first = |index: usize| unknown[index].nearest.first().map(String::as_str);
        assert_eq!(
            (first(0), first(1), first(2), first(3)),
            (Some("user.name"), Some("made.colour"), Some("user.name"), None)
        );
        assert!(bed.searcher.unknown_fields(evidence, &["made.colour"], Some(Timestamp(5)), None).len() == 1);
    }
}
