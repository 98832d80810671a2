//! Tables without the engine: what is counted and listed is read from columns directly ([`direct`](crate::search::direct)).
//!
//! Segments are asked side by side, the newest first. A segment counts as a whole or not at all, so that an answer that
//! was ended early says from which time on it is complete.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use panoptes_model::Timestamp;

use super::groups::Groups;
use super::rows::Rows as TableRows;
use super::{Input, Outline, OverflowValue};
use crate::pivot::{EVENT_ID, FRAME, INDEX, MESSAGE, OVERFLOW, ROW, SEGMENT, TIME, data_type};
use crate::search::direct::{
    Decoded, Decompressor, Failure, GroupRows, HotRows, Kind, NULL, Rows, Sieve, Unusual, Values, Verdict, View,
    kind_of,
};
use crate::search::fetch::SegmentFile;
use crate::search::prune::Needs;
use crate::search::stop::{Partial, Stop};
use crate::search::table::Part;
use crate::search::watch::{Work, Yield};
use crate::search::{Candidate, Query, Scope, Searcher};

/// How many streams of work a question is split into for each of those that a searcher may have, while segments are new
/// to it: most of them then wait for the disk.
const WAITING_STREAMS: usize = 4;

/// The first round looks at one segment, each further one at so many times more: between two of them a question can be
/// stopped.
pub(super) const GROWTH: usize = 4;
/// Stands for the first row of a block that is all of a row group: pages have numbers of their own.
pub(super) const ALL_ROWS: usize = usize::MAX;

/// What is asked, and of what.
#[derive(Clone, Copy)]
pub(super) struct Asked<'q> {
    pub(super) scope: &'q Scope<'q>,
    pub(super) query: &'q Query,
    pub(super) needs: &'q Needs,
    pub(super) outline: &'q Outline,
    pub(super) stop: &'q Stop,
}

/// What a question looks at, for all segments alike.
pub(super) struct Question<'q> {
    pub(super) sieve: &'q Sieve,
    pub(super) needs: &'q Needs,
    pub(super) outline: &'q Outline,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    pub(super) stop: &'q Stop,
    pub(super) verdict: Verdict,
    /// How much memory groups may take; with more the engine answers, which knows what to do then.
    pub(super) memory_bytes_max: usize,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) row_groups: u64,
    pub(super) rows_read: u64,
    pub(super) rows_matched: u64,
}

impl Tally {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            row_groups: self.row_groups + other.row_groups,
            rows_read: self.rows_read + other.rows_read,
            rows_matched: self.rows_matched + other.rows_matched,
        }
    }
}

/// The names that only the engine shows.
pub(super) fn is_for_the_engine(input: &Input) -> bool {
    matches!(input.name.as_str(), EVENT_ID | FRAME | INDEX | ROW | SEGMENT)
}

impl Question<'_> {
    /// Which of the rows `range` are wanted.
    pub(super) fn wanted(
        &self,
        sieve: &Sieve,
        rows: &mut dyn Rows,
        range: &Range<usize>,
        is_cut_by_time: bool,
    ) -> Result<Vec<bool>, Failure> {
        let mut wanted = vec![true; range.len()];
        if is_cut_by_time {
            let times = rows.view(TIME, range)?.ok_or(Unusual("events without time"))?;
            let Values::Integers(instants) = times.values() else {
                return Err(Unusual("times of another type").into());
            };
            for (wanted, code) in wanted.iter_mut().zip(times.codes()) {
                let time = instants.get(*code as usize).copied().map(Timestamp);
                *wanted = time.is_some_and(|it| {
                    self.since.is_none_or(|since| it >= since) && self.until.is_none_or(|until| it < until)
                });
            }
        }
        sieve.sift(rows, range, &mut wanted)?;
        Ok(wanted)
    }

    /// What an answer covers for which `rest`, the oldest segments, were not looked at.
    pub(super) fn partial(&self, rest: &[Candidate]) -> Option<Partial> {
        let missing = rest.iter().map(|it| it.time_max).max()?;
        let complete_since = Some(missing.saturating_add_nanos(1));
        self.stop.reason().map(|reason| Partial { reason, complete_since })
    }

    /// Whether events of these times may lie outside of what is asked for.
    pub(super) fn cuts(&self, candidate: &Candidate) -> bool {
        self.since.is_some_and(|it| candidate.time_min < it) || self.until.is_some_and(|it| candidate.time_max >= it)
    }

    /// The values of `input` in the rows `range`; those that are wanted also from the overflow if that may have some.
    pub(super) fn values(
        &self,
        input: &Input,
        rows: &mut dyn Rows,
        range: &Range<usize>,
        wanted: &[bool],
        with_overflow: bool,
    ) -> Result<Option<View>, Failure> {
        let own = rows.view(&input.name, range)?;
        let kind = kind_of(input.field_type);
        if own.as_ref().is_some_and(|it| it.decoded().kind() != kind) {
            return Err(Unusual("a column of another type").into());
        }
        if !with_overflow || input.is_fixed() {
            return Ok(own);
        }
        let Some(overflow) = rows.view(OVERFLOW, range)? else { return Ok(own) };
        let Values::Text(overflows) = overflow.values() else { return Err(OVERFLOW_OF_ANOTHER_TYPE.into()) };
        let function = OverflowValue::new(input.name.clone(), input.field_type);
        let mut codes = vec![NULL; range.len()];
        let mut texts: Vec<String> = Vec::new();
        let mut numbers: Vec<i64> = Vec::new();
        let mut next = 0_u32;
        for (row, (code, _)) in codes.iter_mut().zip(wanted).enumerate().filter(|it| *it.1.1) {
            let own_code = own.as_ref().map_or(NULL, |it| it.code(row));
            match (own.as_ref().map(View::values), overflow.code(row)) {
                (Some(Values::Text(own)), _) if own_code != NULL => texts.push(own.get(own_code)?.to_owned()),
                (Some(Values::Integers(own)), _) if own_code != NULL => numbers.extend(own.get(own_code as usize)),
                (_, NULL) => {}
                (_, overflowing) => match (kind, function.text(overflows.get(overflowing)?)) {
                    (_, None) => {}
                    (Kind::Text, Some(text)) => texts.push(text),
                    (Kind::Integer, Some(text)) => numbers.extend(text.parse::<i64>()),
                    _ => return Err(OVERFLOW_OF_ANOTHER_TYPE.into()),
                },
            }
            let count = texts.len().max(numbers.len());
            *code = (count as u32).checked_sub(1).filter(|it| *it >= next).unwrap_or(NULL);
            next = count as u32;
        }
        let values = match kind {
            Kind::Text => Values::Text(texts.into_iter().collect()),
            _ => Values::Integers(numbers),
        };
        Ok(Some(View::of(Decoded::of(codes, values, kind))))
    }
}

const OVERFLOW_OF_ANOTHER_TYPE: Unusual = Unusual("values of such a type in the overflow");

/// Whether values that a column of a segment lacks may be in its overflow.
pub(super) fn lacks_columns(outline: &Outline, rows: &dyn Rows) -> bool {
    rows.has(OVERFLOW) && outline.inputs.iter().any(|it| !it.is_fixed() && !rows.has(&it.name))
}

impl Searcher {
    /// The answer, if it can be had without the engine. `candidates` may have something, the newest come first.
    pub(super) async fn quick(
        &self,
        asked: &Asked<'_>,
        candidates: &[Candidate],
        work: &mut Work,
    ) -> Option<(TableRows, Option<Partial>)> {
        #[cfg(test)]
        if self.engine_only.load(Ordering::Relaxed) {
            return None;
        }
        let Asked { scope, query, needs, outline, stop } = *asked;
        let sieve = Sieve::new(query, &self.schema).ok()??;
        let hot = match scope.hot_rows.is_empty() {
            true => None,
            false => Some(self.hot_batch(scope, query, outline)?),
        };
        let hot = hot.as_ref();
        let question = Question {
            sieve: &sieve,
            needs,
            outline,
            since: scope.since,
            until: scope.until,
            stop,
            verdict: self.verdicts.of(format!("{query:?}")),
            memory_bytes_max: self.options.memory_bytes_max,
        };
        // What is spent in vain does not count.
        let mut spent = *work;
        let answer = match &outline.aggregate {
            Some(_) => self.counted(&question, hot, candidates, &mut spent).await,
            None => self.listed(&question, hot, candidates, &mut spent).await,
        };
        match answer {
            Ok(answer) => {
                #[cfg(test)]
                self.quick_answers.fetch_add(1, Ordering::Relaxed);
                *work = spent;
                Some(answer)
            }
            Err(failure) => {
                tracing::debug!(%failure, "the engine answers instead");
                None
            }
        }
    }

    /// Those of some segments that may have something, by their sidecars.
    pub(super) fn sifted(&self, question: &Question<'_>, candidates: &[Candidate], work: &mut Work) -> Vec<Candidate> {
        let parts = candidates.iter().map(|it| it.part.clone()).collect();
        let parts = self.prune_words(parts, question.needs, Some(&question.verdict), &mut work.pruning);
        let mut rest = parts.into_iter().peekable();
        let left = candidates.iter().filter_map(|it| {
            let part = rest.next_if(|part| part.number == it.part.number)?;
            Some(Candidate { part, ..it.clone() })
        });
        left.collect()
    }

    /// What is in memory, and whether its overflow has some of what is asked for.
    fn hot_batch(&self, scope: &Scope<'_>, query: &Query, outline: &Outline) -> Option<(RecordBatch, bool)> {
        let mut fields = crate::search::filter(query, &self.schema).ok()?.fields;
        for input in &outline.inputs {
            if fields.iter().all(|it| it.0 != input.name) {
                fields.push((input.name.clone(), input.field_type));
            }
        }
        let batch = scope.hot_columns(&fields);
        let overflows = super::overflows(Some(&batch), &outline.inputs);
        Some((batch, overflows))
    }

    /// How many threads ask so many segments.
    pub(super) fn threads_for(&self, round: &[Candidate]) -> usize {
        let is_known = round.iter().all(|it| self.layouts.has(&it.part.file));
        let streams = if is_known { 1 } else { WAITING_STREAMS };
        (self.options.threads.max(1) * streams).min(round.len()).max(1)
    }

    /// Has `threads` workers ask, each for itself; the first failure ends all.
    pub(super) fn side_by_side<T: Send>(
        threads: usize,
        worker: impl Fn(&Turns) -> Result<T, Failure> + Sync,
    ) -> Result<Vec<T>, Failure> {
        let turns = Turns::default();
        let run = || {
            let result = worker(&turns);
            if result.is_err() {
                turns.has_failed.store(true, Ordering::Relaxed);
            }
            result
        };
        if threads <= 1 {
            return Ok(vec![run()?]);
        }
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
            let mut all = vec![run()];
            for other in others {
                all.push(other.join().unwrap_or(Err(Unusual("a thread has panicked").into())));
            }
            all.into_iter().collect()
        })
    }

    async fn counted(
        &self,
        question: &Question<'_>,
        hot: Option<&(RecordBatch, bool)>,
        candidates: &[Candidate],
        work: &mut Work,
    ) -> Result<(TableRows, Option<Partial>), Failure> {
        let outline = question.outline;
        if !Groups::can(outline) {
            return Err(Unusual("such measures").into());
        }
        let mut all = Groups::new(outline, question.memory_bytes_max);
        let mut tally = Tally::default();
        let candidates = self.sifted(question, candidates, work);
        let (mut rest, mut looked_at, mut count) = (candidates.as_slice(), 0, 1);
        loop {
            // Whoever stops the question has to come to it.
            Yield::once().await;
            if question.stop.reason().is_some() || rest.is_empty() {
                break;
            }
            let (round, later) = rest.split_at_checked(count).unwrap_or((rest, &[]));
            let counted = Self::side_by_side(self.threads_for(round), |turns| {
                let mut groups = Groups::new(outline, question.memory_bytes_max);
                let mut with = Decompressor::new()?;
                let mut tally = Tally::default();
                while let Some(candidate) = turns.next(round) {
                    tally = tally.plus(self.count_segment(question, candidate, &mut with, &mut groups)?);
                }
                Ok((groups, tally))
            })?;
            for (groups, of_thread) in counted {
                all.absorb(groups)?;
                tally = tally.plus(of_thread);
            }
            looked_at += round.len();
            (rest, count) = (later, count * GROWTH);
        }
        if let Some((batch, overflows)) = hot {
            let mut rows = HotRows::new(batch);
            let range = 0..rows.len();
            // Only events of the time asked for are among them.
            let wanted = question.wanted(question.sieve, &mut rows, &range, false)?;
            all.add(question, &mut rows, &wanted, *overflows)?;
        }
        work.segments_opened = looked_at as u64;
        tell(work, tally);
        Ok((all.finish(outline)?, question.partial(rest)))
    }

    fn count_segment(
        &self,
        question: &Question<'_>,
        candidate: &Candidate,
        with: &mut Decompressor,
        groups: &mut Groups,
    ) -> Result<Tally, Failure> {
        let part = &candidate.part;
        let sieve = question.sieve.knowing(&part.sources, &part.datasets);
        let file = self.segment_file(part);
        let layout = self.layouts.get(&file)?;
        let mut tally = Tally::default();
        let path: Arc<str> = part.file.as_str().into();
        for group in part.row_groups(layout.groups())? {
            let block = (Arc::clone(&path), group, ALL_ROWS);
            if question.verdict.has_nothing(&block) {
                continue;
            }
            let mut rows = GroupRows::new(&file, &layout, group, with)?;
            let range = 0..rows.len();
            let is_cut_by_time = question.cuts(candidate);
            let wanted = question.wanted(&sieve, &mut rows, &range, is_cut_by_time)?;
            if !is_cut_by_time && !wanted.contains(&true) {
                question.verdict.found_nothing(block);
            }
            let matched = wanted.iter().filter(|it| **it).count() as u64;
            tally = tally.plus(Tally { row_groups: 1, rows_read: range.len() as u64, rows_matched: matched });
            if matched > 0 {
                let with_overflow = lacks_columns(question.outline, &rows);
                groups.add(question, &mut rows, &wanted, with_overflow)?;
            }
        }
        Ok(tally)
    }

    pub(super) fn segment_file(&self, part: &Part) -> SegmentFile {
        SegmentFile { store: Arc::clone(&self.store), file: part.file.clone(), size: part.size }
    }
}

pub(super) fn tell(work: &mut Work, tally: Tally) {
    work.row_groups_read += tally.row_groups;
    work.rows_read += tally.rows_read;
    work.rows_matched += tally.rows_matched;
}

/// Who asks which segment.
#[derive(Default)]
pub(super) struct Turns {
    next: AtomicUsize,
    has_failed: AtomicBool,
}

impl Turns {
    /// The next of `all` that nobody has taken, unless somebody has failed.
    pub(super) fn next<'a, T>(&self, all: &'a [T]) -> Option<&'a T> {
        if self.has_failed.load(Ordering::Relaxed) {
            return None;
        }
        all.get(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// Whether the column of messages must be put together with the records.
pub(super) fn is_message(input: &Input) -> bool {
    input.name == MESSAGE
}

/// Whether a key may be a list, each item of which is then a group.
pub(super) fn may_be_list(input: &Input) -> bool {
    data_type(input.field_type) == arrow::datatypes::DataType::Utf8View
}
