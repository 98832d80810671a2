//! Events as rows, the newest first, without the engine: from the newest segment back, and in each from its last rows
//! back, until no older one can be among those that are wanted. Their values are read when it is clear which events are
//! listed, unless the rows that they lie in are at hand.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use panoptes_model::{FieldType, Timestamp};

use super::Input;
use super::quick::{ALL_ROWS, GROWTH, Question, Tally, Turns, is_for_the_engine, lacks_columns, tell};
use super::rows::Rows as TableRows;
use crate::pivot::{FieldValue, ITEM_SEPARATOR, MESSAGE, ORIGINAL, SAME, TIME};
use crate::search::direct::{Decompressor, Failure, GroupRows, HotRows, NULL, Rows, Unusual, Values, View};
use crate::search::stop::Partial;
use crate::search::watch::{Work, Yield};
use crate::search::{Candidate, Searcher};

/// How many rows are listed here at most; longer lists are left to the engine, which watches its memory.
const LISTED_MAX: usize = 10_000;
/// How many events one piece of reading values has: those of neighbouring rows share pages.
const READ_TOGETHER: usize = 8;

/// An event that is listed.
#[derive(Clone, Debug)]
struct Listed {
    time: i64,
    /// The segment's number among those looked at, row group, row.
    place: (usize, usize, usize),
    /// `None`: still to be read.
    values: Option<Vec<FieldValue>>,
}

impl Searcher {
    pub(super) async fn listed(
        &self,
        question: &Question<'_>,
        hot: Option<&(RecordBatch, bool)>,
        candidates: &[Candidate],
        work: &mut Work,
    ) -> Result<(TableRows, Option<Partial>), Failure> {
        let outline = question.outline;
        let is_newest_first = matches!(outline.sort.as_slice(), [only] if only.name == TIME && only.descending);
        if !is_newest_first || outline.limit > LISTED_MAX || outline.inputs.iter().any(is_for_the_engine) {
            return Err(Unusual("such a list").into());
        }
        // One more tells whether there are more.
        let limit = outline.limit + 1;
        let mut best: Vec<Listed> = Vec::new();
        let mut tally = Tally::default();
        if let Some((batch, overflows)) = hot {
            let mut rows = HotRows::new(batch);
            let all = 0..rows.len();
            let mut list = List { question, limit, floor: None, with_overflow: *overflows, found: Vec::new() };
            let place = (usize::MAX, 0);
            let wanted = question.wanted(question.sieve, &mut rows, &all, false)?;
            list.add(&mut rows, &all, &wanted, place, true)?;
            best = list.found;
        }
        // Those that were looked at, and which of `candidates` come next.
        let (mut looked_at, mut next): (Vec<Candidate>, usize) = (Vec::new(), 0);
        // What is in memory is nearly always the newest; otherwise the newest segment may be all that is needed.
        let mut count = 1;
        let missing = loop {
            best.sort_by_key(|it| std::cmp::Reverse(it.time));
            best.truncate(limit);
            let floor = if best.len() == limit { best.last().map(|it| it.time) } else { None };
            // Whoever stops the question has to come to it.
            Yield::once().await;
            let rest = candidates.get(next..).unwrap_or_default();
            // The newest first: what comes behind one that is not needed is not needed either.
            let is_needed = |it: &&Candidate| floor.is_none_or(|floor| it.time_max.0 >= floor);
            let needed = rest.get(..rest.iter().take_while(is_needed).count()).unwrap_or_default();
            if needed.is_empty() {
                break &[][..];
            }
            if question.stop.reason().is_some() {
                break rest;
            }
            let mut round: Vec<(usize, Candidate)> = Vec::new();
            let mut passed = 0;
            // Many segments may lack what is asked for: those do not count.
            while let Some(candidate) = needed.get(passed).filter(|_| round.len() < count) {
                let sifted = self.sifted(question, std::slice::from_ref(candidate), work);
                round.extend(sifted.into_iter().map(|it| (passed, it)));
                passed += 1;
            }
            let known: Vec<Candidate> = round.iter().map(|it| it.1.clone()).collect();
            // Records are work for a processor, not for the disk.
            let threads = if question.sieve.reads_records() { self.options.threads } else { self.threads_for(&known) };
            let first = looked_at.len();
            let already = if best.len() < limit { best.len() } else { 0 };
            let (found_by_all, taken) = (AtomicUsize::new(already), AtomicUsize::new(0));
            let numbered: Vec<(usize, &Candidate)> =
                known.iter().enumerate().map(|(index, it)| (first + index, it)).collect();
            // Alone, a segment has its pages looked at side by side.
            let of_segment = if known.len() == 1 { self.options.threads.max(1) } else { 1 };
            let found = Self::side_by_side(threads.clamp(1, known.len().max(1)), |turns| {
                let (mut found, mut tally) = (Vec::new(), Tally::default());
                // Those before are newer, mostly: with enough of them older ones are perhaps not needed.
                while found_by_all.load(Ordering::Relaxed) < limit
                    && let Some(segment) = turns.next(&numbered)
                {
                    let (listed, looked) = self.list_segment(question, *segment, (limit, floor), of_segment)?;
                    found_by_all.fetch_add(listed.len(), Ordering::Relaxed);
                    taken.fetch_add(1, Ordering::Relaxed);
                    found.extend(listed);
                    tally = tally.plus(looked);
                }
                Ok((found, tally))
            })?;
            for (listed, of_thread) in found {
                best.extend(listed);
                tally = tally.plus(of_thread);
            }
            // They are taken in their order, so that those that were are the first ones.
            let taken = taken.into_inner();
            next += round.get(taken).map_or(passed, |it| it.0);
            looked_at.extend(known.into_iter().take(taken));
            count *= GROWTH;
        };
        self.read_values(question, &looked_at, &mut best)?;
        work.segments_opened = looked_at.len() as u64;
        tell(work, tally);
        let mut rows = TableRows::new(outline.columns.clone(), None, outline.limit, false);
        for values in best.into_iter().filter_map(|it| it.values) {
            rows.add(values.len(), |index| values.get(index).cloned().unwrap_or(FieldValue::Null));
        }
        Ok((rows, question.partial(missing)))
    }

    /// The newest of a segment, whose pages are looked at by so many threads.
    fn list_segment(
        &self,
        question: &Question<'_>,
        (number, candidate): (usize, &Candidate),
        (limit, floor): (usize, Option<i64>),
        threads: usize,
    ) -> Result<(Vec<Listed>, Tally), Failure> {
        let part = &candidate.part;
        let sieve = question.sieve.knowing(&part.sources, &part.datasets);
        let is_cut_by_time = question.cuts(candidate);
        let reads_records = sieve.reads_records();
        let file = self.segment_file(part);
        let path: Arc<str> = part.file.as_str().into();
        let layout = self.layouts.get(&file)?;
        let (mut listed, mut tally) = (Vec::new(), Tally::default());
        for group in part.row_groups(layout.groups())?.into_iter().rev() {
            if listed.len() >= limit {
                break;
            }
            tally.row_groups += 1;
            let mut with = Decompressor::new()?;
            let mut rows = GroupRows::new(&file, &layout, group, &mut with)?;
            let (all, starts) = (rows.len(), if reads_records { rows.page_starts(ORIGINAL)? } else { Vec::new() });
            let blocks = blocks(all, starts);
            let found_by_all = AtomicUsize::new(listed.len());
            let look = |turns: &Turns| {
                let mut with = Decompressor::new()?;
                let mut rows = GroupRows::new(&file, &layout, group, &mut with)?;
                let with_overflow = lacks_columns(question.outline, &rows);
                let mut list = List { question, limit, floor, with_overflow, found: Vec::new() };
                let mut tally = Tally::default();
                while found_by_all.load(Ordering::Relaxed) < limit
                    && let Some(block) = turns.next(&blocks)
                {
                    let known = (Arc::clone(&path), group, if block.len() == all { ALL_ROWS } else { block.start });
                    if question.verdict.has_nothing(&known) {
                        continue;
                    }
                    if let Some(floor) = floor
                        && last_time(&mut rows, block)? < floor
                    {
                        break;
                    }
                    let wanted = question.wanted(&sieve, &mut rows, block, is_cut_by_time)?;
                    tally.rows_read += block.len() as u64;
                    tally.rows_matched += wanted.iter().filter(|it| **it).count() as u64;
                    if wanted.contains(&true) {
                        let before = list.found.len();
                        list.add(&mut rows, block, &wanted, (number, group), reads_records)?;
                        found_by_all.fetch_add(list.found.len() - before, Ordering::Relaxed);
                    } else if !is_cut_by_time {
                        question.verdict.found_nothing(known);
                    }
                }
                Ok((list.found, tally))
            };
            for (found, of_thread) in Self::side_by_side(threads.clamp(1, blocks.len().max(1)), look)? {
                listed.extend(found);
                tally = tally.plus(of_thread);
            }
        }
        Ok((listed, tally))
    }

    /// Reads what is missing of the events that are listed.
    fn read_values(
        &self,
        question: &Question<'_>,
        looked_at: &[Candidate],
        listed: &mut [Listed],
    ) -> Result<(), Failure> {
        let mut missing: Vec<(usize, usize, usize)> =
            listed.iter().filter(|it| it.values.is_none()).map(|it| it.place).collect();
        missing.sort_unstable();
        let pieces: Vec<&[(usize, usize, usize)]> = missing
            .chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
            .flat_map(|of_group| of_group.chunks(READ_TOGETHER))
            .collect();
        if pieces.is_empty() {
            return Ok(());
        }
        let threads = self.options.threads.max(1).min(pieces.len());
        let read = Self::side_by_side(threads, |turns| {
            let mut with = Decompressor::new()?;
            let mut read = Vec::new();
            while let Some(piece) = turns.next(&pieces) {
                let Some((number, group, _)) = piece.first().copied() else { continue };
                let candidate = looked_at.get(number).ok_or(Unusual("a segment that is not there"))?;
                let file = self.segment_file(&candidate.part);
                let layout = self.layouts.get(&file)?;
                let mut rows = GroupRows::new(&file, &layout, group, &mut with)?;
                let with_overflow = lacks_columns(question.outline, &rows);
                for place in *piece {
                    read.push((*place, values(question, &mut rows, place.2, with_overflow)?));
                }
            }
            Ok(read)
        })?;
        let mut read: std::collections::HashMap<_, _> = read.into_iter().flatten().collect();
        for event in listed.iter_mut().filter(|it| it.values.is_none()) {
            event.values = read.remove(&event.place);
        }
        Ok(())
    }
}

/// The rows of a row group in blocks that begin with pages, the last block first.
fn blocks(rows: usize, mut starts: Vec<usize>) -> Vec<Range<usize>> {
    let (mut end, mut blocks) = (rows, Vec::new());
    while end > 0 {
        let start = starts.pop().filter(|it| *it < end).unwrap_or(0);
        blocks.push(start..end);
        end = start;
    }
    blocks
}

fn last_time(rows: &mut dyn Rows, block: &Range<usize>) -> Result<i64, Failure> {
    let times = rows.view(TIME, block)?.ok_or(Unusual("events without time"))?;
    time_of(&times, block.len().saturating_sub(1)).map_err(Failure::from)
}

fn time_of(times: &View, row: usize) -> Result<i64, Unusual> {
    let Values::Integers(instants) = times.values() else { return Err(Unusual("times of another type")) };
    instants.get(times.code(row) as usize).copied().ok_or(Unusual("an event without time"))
}

/// The newest events that match.
struct List<'l> {
    question: &'l Question<'l>,
    limit: usize,
    /// Older ones than this are not wanted.
    floor: Option<i64>,
    with_overflow: bool,
    found: Vec<Listed>,
}

impl List<'_> {
    /// Takes those of the rows `block` in that are wanted, from the last one back, until there are enough.
    fn add(
        &mut self,
        rows: &mut dyn Rows,
        block: &Range<usize>,
        wanted: &[bool],
        (number, group): (usize, usize),
        at_hand: bool,
    ) -> Result<(), Failure> {
        let Some(times) = rows.view(TIME, block)? else { return Err(Unusual("events without time").into()) };
        let mut hits = Vec::new();
        for (row, _) in wanted.iter().enumerate().rev().filter(|it| *it.1) {
            hits.push((time_of(&times, row)?, block.start + row));
        }
        // What is in memory is in the order in which it came.
        if !hits.is_sorted_by(|a, b| a.0 >= b.0) {
            hits.sort_by_key(|it| std::cmp::Reverse(it.0));
        }
        for (time, row) in hits {
            if self.found.len() >= self.limit || self.floor.is_some_and(|it| time < it) {
                break;
            }
            let values = match at_hand {
                true => Some(values(self.question, rows, row, self.with_overflow)?),
                false => None,
            };
            self.found.push(Listed { time, place: (number, group, row), values });
        }
        Ok(())
    }
}

/// What is shown of an event.
fn values(
    question: &Question<'_>,
    rows: &mut dyn Rows,
    row: usize,
    with_overflow: bool,
) -> Result<Vec<FieldValue>, Failure> {
    let outline = question.outline;
    let shown = outline.inputs.len().saturating_sub(outline.only_sorted);
    outline.inputs.iter().take(shown).map(|it| value(question, it, rows, row, with_overflow)).collect()
}

fn value(
    question: &Question<'_>,
    input: &Input,
    rows: &mut dyn Rows,
    row: usize,
    with_overflow: bool,
) -> Result<FieldValue, Failure> {
    let place = row..row + 1;
    let mut view = question.values(input, rows, &place, &[true], with_overflow)?;
    if input.name == MESSAGE
        && let Some(message) = &view
        && message.code(0) != NULL
        && let Values::Text(texts) = message.values()
        && texts.get(message.code(0))? == SAME
    {
        view = rows.view(ORIGINAL, &place)?;
    }
    let Some(view) = view.filter(|it| it.code(0) != NULL) else { return Ok(FieldValue::Null) };
    let (code, index) = (view.code(0), view.code(0) as usize);
    let missing = Unusual("a code has no value");
    Ok(match view.values() {
        Values::Text(texts) => {
            let text = texts.get(code)?;
            if text.contains(ITEM_SEPARATOR) {
                FieldValue::List(text.split(ITEM_SEPARATOR).map(|it| FieldValue::Text(it.to_owned())).collect())
            } else {
                FieldValue::Text(text.to_owned())
            }
        }
        Values::Integers(numbers) if input.field_type == FieldType::Timestamp => {
            FieldValue::Timestamp(Timestamp(*numbers.get(index).ok_or(missing)?))
        }
        Values::Integers(numbers) => FieldValue::Integer(*numbers.get(index).ok_or(missing)?),
        Values::Floats(numbers) => FieldValue::Float(*numbers.get(index).ok_or(missing)?),
        Values::Booleans(truths) => FieldValue::Boolean(*truths.get(index).ok_or(missing)?),
    })
}
