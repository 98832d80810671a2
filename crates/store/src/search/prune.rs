//! Which segments and row groups need not be read for a query, by what their sidecars say ([`words`](crate::words)).
//!
//! A query *needs* the words that every match of it has, each whole, and the values that it compares looked-up fields
//! with. What has a `*` at its end, ranges, networks, regular expressions and what is negated need nothing.

use panoptes_model::{FieldType, Schema};

use super::Searcher;
use super::expr::type_of;
use super::item::canonical;
use super::query::{Query, Test};
use super::table::Part;
use crate::pivot::SENT;
use crate::segment::is_looked_up;
use crate::words::{Need, Term, is_worded, whole_words};

/// What a query needs.
pub(super) fn need(query: &Query, schema: &Schema) -> Need {
    match query {
        Query::Words(glob) => words(&glob.0),
        Query::Field { name, test } => field(name, test, schema),
        Query::And(parts) => Need::all(parts.iter().map(|it| need(it, schema))),
        Query::Or(parts) => Need::any(parts.iter().map(|it| need(it, schema))),
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
    pub(super) fn prune(&self, parts: Vec<Part>, need: &Need, pruning: &mut Pruning) -> Vec<Part> {
        if *need == Need::Nothing {
            return parts;
        }
        let mut left = Vec::with_capacity(parts.len());
        for mut part in parts {
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

#[cfg(test)]
mod tests;
