//! Groups of rows and what is counted of each, on codes as long as it goes.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;
use panoptes_model::{FieldType, Timestamp};

use super::quick::{Question, is_for_the_engine, is_message, may_be_list};
use super::rows::Rows as TableRows;
use super::{BUCKETS_FROM, Outline};
use crate::pivot::{FieldValue, ITEM_SEPARATOR, TIME};
use crate::search::direct::{Failure, NULL, Rows, Unusual, Values, View};
use crate::search::pipes::Function;

/// How many groups of one row group are counted in a table with a place for each; more are looked up.
const DENSE_MAX: u64 = 1 << 16;
/// How many groups an event with several lists may belong to; one with more is left to the engine.
const EXPANDED_MAX: usize = 10_000;
/// What a group or a distinct value takes beside its bytes, about.
const ENTRY_BYTES: usize = 96;
/// A row that is in no group.
const NOWHERE: u32 = u32::MAX;

/// What is counted.
#[derive(Debug)]
enum State {
    Count(i64),
    Distinct(HashSet<Box<[u8]>, RandomState>),
}

/// Groups by their keys, which are the bytes that [`put`] makes of values.
pub(super) struct Groups {
    numbers: HashMap<Box<[u8]>, u32, RandomState>,
    /// Those of the first group, then those of the second, and so on.
    states: Vec<State>,
    /// Of each measure, whether distinct values are counted.
    distinct: Vec<bool>,
    bytes: usize,
    bytes_max: usize,
}

/// One thing that rows are grouped by.
struct Key {
    codes: KeyCodes,
    /// The bytes of each value, or of each item of a list.
    values: KeyValues,
    count: usize,
}

enum KeyCodes {
    View(View),
    Own(Vec<u32>),
}

enum KeyValues {
    View(View, bool),
    Buckets(Vec<i64>),
}

impl Key {
    fn codes(&self) -> &[u32] {
        match &self.codes {
            KeyCodes::View(view) => view.codes(),
            KeyCodes::Own(codes) => codes,
        }
    }
}

impl Groups {
    /// Whether what is asked is counted here.
    pub(super) fn can(outline: &Outline) -> bool {
        let Some(aggregate) = &outline.aggregate else { return false };
        let counts = aggregate.measures.iter().all(|it| matches!(it.function, Function::Count | Function::Distinct));
        let is_plain =
            |it: &super::Input| !is_for_the_engine(it) && !is_message(it) && it.field_type != FieldType::Float;
        counts && outline.inputs.iter().all(is_plain)
    }

    pub(super) fn new(outline: &Outline, bytes_max: usize) -> Self {
        let measures = outline.aggregate.iter().flat_map(|it| &it.measures);
        let distinct = measures.map(|it| it.function == Function::Distinct && it.field.is_some()).collect();
        Self { numbers: HashMap::default(), states: Vec::new(), distinct, bytes: 0, bytes_max }
    }

    fn take(&mut self, bytes: usize) -> Result<(), Unusual> {
        self.bytes += bytes + ENTRY_BYTES;
        if self.bytes > self.bytes_max { Err(Unusual("groups take too much memory")) } else { Ok(()) }
    }

    /// The number of the group under `key`, which is made if there is none.
    fn number(&mut self, key: &[u8]) -> Result<u32, Unusual> {
        if let Some(number) = self.numbers.get(key) {
            return Ok(*number);
        }
        self.take(key.len() + self.distinct.len() * size_of::<State>())?;
        let number = u32::try_from(self.numbers.len()).map_err(|_| Unusual("too many groups"))?;
        self.numbers.insert(key.into(), number);
        let new = |distinct: &bool| if *distinct { State::Distinct(HashSet::default()) } else { State::Count(0) };
        self.states.extend(self.distinct.iter().map(new));
        Ok(number)
    }

    fn state(&mut self, group: u32, measure: usize) -> Option<&mut State> {
        self.states.get_mut(group as usize * self.distinct.len() + measure)
    }

    fn count(&mut self, group: u32, measure: usize, count: i64) -> Result<(), Unusual> {
        match self.state(group, measure) {
            Some(State::Count(sum)) => *sum += count,
            _ => return Err(Unusual("a measure of another kind")),
        }
        Ok(())
    }

    fn see(&mut self, group: u32, measure: usize, value: &[u8]) -> Result<(), Unusual> {
        let Some(State::Distinct(seen)) = self.state(group, measure) else {
            return Err(Unusual("a measure of another kind"));
        };
        if !seen.contains(value) {
            seen.insert(value.into());
            self.take(value.len())?;
        }
        Ok(())
    }

    /// Takes in what others have counted.
    pub(super) fn absorb(&mut self, other: Self) -> Result<(), Unusual> {
        if self.numbers.is_empty() {
            *self = other;
            return Ok(());
        }
        let mut states: Vec<Option<State>> = other.states.into_iter().map(Some).collect();
        for (key, number) in other.numbers {
            let group = self.number(&key)?;
            for measure in 0..self.distinct.len() {
                let place = number as usize * self.distinct.len() + measure;
                match states.get_mut(place).and_then(Option::take) {
                    Some(State::Count(count)) => self.count(group, measure, count)?,
                    Some(State::Distinct(values)) => {
                        values.iter().try_for_each(|it| self.see(group, measure, it))?;
                    }
                    None => return Err(Unusual("a group without measures")),
                }
            }
        }
        Ok(())
    }

    /// Takes in the rows that are wanted.
    pub(super) fn add(
        &mut self,
        question: &Question<'_>,
        rows: &mut dyn Rows,
        wanted: &[bool],
        with_overflow: bool,
    ) -> Result<(), Failure> {
        let outline = question.outline;
        let Some(aggregate) = &outline.aggregate else { return Err(Unusual("nothing to count").into()) };
        let range = 0..rows.len();
        let mut keys = Vec::new();
        if let Some(interval) = outline.interval {
            if outline.inputs.is_empty() && !wanted.contains(&false) && self.add_sorted(rows, interval)? {
                return Ok(());
            }
            keys.push(buckets(rows, interval)?);
        }
        let mut views = Vec::new();
        for input in &outline.inputs {
            let view = question.values(input, rows, &range, wanted, with_overflow)?;
            if input.is_key {
                // Without a value an event is in no group.
                let Some(view) = view else { return Ok(()) };
                let count = view.values().len();
                let (codes, values) = (KeyCodes::View(view.clone()), KeyValues::View(view, may_be_list(input)));
                keys.push(Key { codes, values, count });
                views.push(None);
            } else {
                views.push(view);
            }
        }
        let placed = place(&keys, wanted)?;
        let mut counts = vec![0_i64; placed.places.len()];
        for place in placed.of_rows.iter().filter(|it| **it != NOWHERE) {
            if let Some(count) = counts.get_mut(*place as usize) {
                *count += 1;
            }
        }
        // The groups of each place: one, unless values are lists.
        let mut first = vec![NOWHERE; placed.places.len()];
        let mut others: HashMap<usize, Vec<u32>> = HashMap::new();
        let mut name = Vec::new();
        for (place, _) in counts.iter().enumerate().filter(|it| *it.1 > 0) {
            let combined = placed.places.get(place).copied().unwrap_or_default();
            let number = if plain(&keys, combined, &mut name)? {
                self.number(&name)?
            } else {
                let mut numbers = Vec::new();
                for name in expanded(&keys, combined)? {
                    numbers.push(self.number(&name)?);
                }
                let number = numbers.pop().ok_or(Unusual("a list without items"))?;
                others.insert(place, numbers);
                number
            };
            if let Some(slot) = first.get_mut(place) {
                *slot = number;
            }
        }
        let groups_of = |place: usize| {
            let others = others.get(&place).map_or(&[][..], Vec::as_slice);
            first.get(place).into_iter().chain(others).copied()
        };
        for (measure, wanted) in aggregate.measures.iter().enumerate() {
            let position = wanted
                .field
                .as_ref()
                .and_then(|field| outline.inputs.iter().position(|it| it.name == *field && !it.is_key));
            let Some(position) = position else {
                for (place, count) in counts.iter().enumerate().filter(|it| *it.1 > 0) {
                    groups_of(place).try_for_each(|it| self.count(it, measure, *count))?;
                }
                continue;
            };
            let Some(view) = views.get(position).and_then(Option::as_ref) else { continue };
            let with_values = placed.of_rows.iter().zip(view.codes()).filter(|it| *it.0 != NOWHERE && *it.1 != NULL);
            if self.distinct.get(measure) == Some(&true) {
                let mut value = Vec::new();
                for (place, code) in seen(with_values, placed.places.len(), view.values().len()) {
                    value.clear();
                    put(view.values(), code, &mut value)?;
                    groups_of(place as usize).try_for_each(|it| self.see(it, measure, &value))?;
                }
            } else {
                let mut counts = vec![0_i64; placed.places.len()];
                for (place, _) in with_values {
                    if let Some(count) = counts.get_mut(*place as usize) {
                        *count += 1;
                    }
                }
                for (place, count) in counts.iter().enumerate().filter(|it| *it.1 > 0) {
                    groups_of(place).try_for_each(|it| self.count(it, measure, *count))?;
                }
            }
        }
        Ok(())
    }

    /// Counts all rows by their time, if that rises: where buckets begin is then looked up. `false`: it does not.
    fn add_sorted(&mut self, rows: &mut dyn Rows, interval: i64) -> Result<bool, Failure> {
        let times = rows.view(TIME, &(0..rows.len()))?.ok_or(Unusual("events without time"))?;
        let Values::Integers(instants) = times.values() else { return Err(Unusual("times of another type").into()) };
        // One value a row, in their order.
        let is_plain = instants.len() == rows.len() && times.codes().iter().zip(0..).all(|(code, row)| *code == row);
        if !is_plain || !instants.is_sorted() {
            return Ok(false);
        }
        let mut rest = instants.as_slice();
        let mut name = Vec::new();
        while let Some(first) = rest.first() {
            let (from, to) = bucket(*first, interval)?;
            let count = rest.partition_point(|it| *it < to);
            name.clear();
            put_integer(from, &mut name);
            let number = self.number(&name)?;
            for measure in 0..self.distinct.len() {
                self.count(number, measure, count as i64)?;
            }
            rest = rest.get(count..).unwrap_or_default();
        }
        Ok(true)
    }

    pub(super) fn finish(mut self, outline: &Outline) -> Result<TableRows, Unusual> {
        let aggregate = outline.aggregate.as_ref().ok_or(Unusual("nothing to count"))?;
        if aggregate.by.is_empty() && outline.interval.is_none() {
            // What nothing matches is still counted.
            self.number(&[])?;
        }
        let mut rows = TableRows::new(outline.columns.clone(), outline.order, outline.limit, outline.share);
        let bucket = usize::from(outline.interval.is_some());
        let keys: Vec<&super::Input> = outline.inputs.iter().filter(|it| it.is_key).collect();
        let is_time = |position: usize| match position.checked_sub(bucket) {
            None => true,
            Some(position) => keys.get(position).is_some_and(|it| it.field_type == FieldType::Timestamp),
        };
        for (key, number) in &self.numbers {
            let mut values = Vec::with_capacity(outline.columns.len());
            let mut rest: &[u8] = key;
            while !rest.is_empty() {
                let value = value_of(&mut rest).ok_or(Unusual("a key that does not read"))?;
                values.push(match value {
                    FieldValue::Integer(time) if is_time(values.len()) => FieldValue::Timestamp(Timestamp(time)),
                    value => value,
                });
            }
            let start = *number as usize * self.distinct.len();
            let states = self.states.get(start..start + self.distinct.len()).unwrap_or_default();
            values.extend(states.iter().map(|it| match it {
                State::Count(count) => FieldValue::Integer(*count),
                State::Distinct(seen) => FieldValue::Integer(seen.len() as i64),
            }));
            rows.add(values.len(), |index| values.get(index).cloned().unwrap_or(FieldValue::Null));
        }
        Ok(rows)
    }
}

/// The first instant of the bucket that `time` is in, and that of the next.
fn bucket(time: i64, interval: i64) -> Result<(i64, i64), Unusual> {
    let from = || {
        let steps = time.checked_sub(BUCKETS_FROM)?.checked_div_euclid(interval).filter(|_| interval > 0)?;
        let from = steps.checked_mul(interval)?.checked_add(BUCKETS_FROM)?;
        Some((from, from.checked_add(interval)?))
    };
    from().ok_or(Unusual("a time that is in no bucket"))
}

/// Which bucket of time each row is in.
fn buckets(rows: &mut dyn Rows, interval: i64) -> Result<Key, Failure> {
    let range = 0..rows.len();
    let times = rows.view(TIME, &range)?.ok_or(Unusual("events without time"))?;
    let Values::Integers(instants) = times.values() else { return Err(Unusual("times of another type").into()) };
    let impossible = Unusual("a time that is in no bucket");
    let mut places: HashMap<i64, u32> = HashMap::new();
    let mut buckets: Vec<i64> = Vec::new();
    let mut codes = Vec::with_capacity(range.len());
    // Neighbours are nearly always in the same bucket.
    let (mut from, mut to, mut last) = (0_i64, 0_i64, NOWHERE);
    for code in times.codes().iter().take(range.len()) {
        let time = *instants.get(*code as usize).ok_or(impossible)?;
        if last == NOWHERE || time < from || time >= to {
            (from, to) = bucket(time, interval)?;
            last = *places.entry(from).or_insert_with(|| {
                buckets.push(from);
                buckets.len() as u32 - 1
            });
        }
        codes.push(last);
    }
    let count = buckets.len();
    Ok(Key { codes: KeyCodes::Own(codes), values: KeyValues::Buckets(buckets), count })
}

/// Where rows belong.
struct Placed {
    /// The place of each row, or [`NOWHERE`].
    of_rows: Vec<u32>,
    /// The codes of the keys of each place, as one number.
    places: Vec<u64>,
}

fn place(keys: &[Key], wanted: &[bool]) -> Result<Placed, Unusual> {
    let combinations = keys.iter().try_fold(1_u64, |all, it| all.checked_mul(it.count.max(1) as u64));
    let combinations = combinations.ok_or(Unusual("too many combinations"))?;
    let combined = |row: usize| {
        keys.iter().try_fold(0_u64, |sum, key| {
            let code = key.codes().get(row).copied().unwrap_or(NULL);
            (code != NULL).then(|| sum * key.count.max(1) as u64 + u64::from(code))
        })
    };
    let mut of_rows = Vec::with_capacity(wanted.len());
    if combinations <= DENSE_MAX.max(wanted.len() as u64) && combinations < u64::from(NOWHERE) {
        match keys {
            [only] => of_rows
                .extend(wanted.iter().zip(only.codes()).map(|(wanted, code)| if *wanted { *code } else { NOWHERE })),
            _ => of_rows.extend(wanted.iter().enumerate().map(|(row, wanted)| {
                let place = if *wanted { combined(row) } else { None };
                place.map_or(NOWHERE, |it| it as u32)
            })),
        }
        return Ok(Placed { of_rows, places: (0..combinations).collect() });
    }
    let mut known: HashMap<u64, u32, RandomState> = HashMap::default();
    let mut places = Vec::new();
    for (row, wanted) in wanted.iter().enumerate() {
        let place = if *wanted { combined(row) } else { None };
        of_rows.push(match place {
            None => NOWHERE,
            Some(place) => *known.entry(place).or_insert_with(|| {
                places.push(place);
                places.len() as u32 - 1
            }),
        });
    }
    Ok(Placed { of_rows, places })
}

/// Which pairs of a place and a value there are.
fn seen<'c>(
    pairs: impl Iterator<Item = (&'c u32, &'c u32)>,
    places: usize,
    values: usize,
) -> HashSet<(u32, u32), RandomState> {
    if places != 1 {
        return pairs.map(|(place, code)| (*place, *code)).collect();
    }
    let mut is_seen = vec![false; values];
    for (_, code) in pairs {
        if let Some(slot) = is_seen.get_mut(*code as usize) {
            *slot = true;
        }
    }
    is_seen.iter().enumerate().filter(|it| *it.1).map(|(code, _)| (0, code as u32)).collect()
}

/// The code of each key of a place.
fn codes_of(keys: &[Key], mut place: u64) -> Vec<u32> {
    let mut codes = vec![0_u32; keys.len()];
    for (code, key) in codes.iter_mut().zip(keys).rev() {
        let count = key.count.max(1) as u64;
        *code = (place % count) as u32;
        place /= count;
    }
    codes
}

/// Makes `out` the keys of a place as bytes; `false`: some value is a list.
fn plain(keys: &[Key], place: u64, out: &mut Vec<u8>) -> Result<bool, Unusual> {
    out.clear();
    for (code, key) in codes_of(keys, place).into_iter().zip(keys) {
        match &key.values {
            KeyValues::Buckets(buckets) => {
                put_integer(*buckets.get(code as usize).ok_or(Unusual("a bucket that is not there"))?, out);
            }
            KeyValues::View(view, may_be_list) => {
                if let Values::Text(texts) = view.values()
                    && *may_be_list
                    && texts.bytes(code).is_some_and(|it| memchr::memchr(ITEM_SEPARATOR as u8, it).is_some())
                {
                    return Ok(false);
                }
                put(view.values(), code, out)?;
            }
        }
    }
    Ok(true)
}

/// The keys of a place as bytes, for each item of a list.
fn expanded(keys: &[Key], place: u64) -> Result<Vec<Vec<u8>>, Unusual> {
    let codes = codes_of(keys, place);
    let mut all: Vec<Vec<u8>> = vec![Vec::new()];
    for (code, key) in codes.into_iter().zip(keys) {
        match &key.values {
            KeyValues::Buckets(buckets) => {
                let time = *buckets.get(code as usize).ok_or(Unusual("a bucket that is not there"))?;
                all.iter_mut().for_each(|it| put_integer(time, it));
            }
            KeyValues::View(view, may_be_list) => match view.values() {
                Values::Text(texts) if *may_be_list && texts.get(code)?.contains(ITEM_SEPARATOR) => {
                    let mut each = Vec::new();
                    for item in texts.get(code)?.split(ITEM_SEPARATOR) {
                        for name in &all {
                            let mut name = name.clone();
                            put_text(item.as_bytes(), &mut name);
                            each.push(name);
                        }
                        if each.len() > EXPANDED_MAX {
                            return Err(Unusual("an event belongs to too many groups"));
                        }
                    }
                    all = each;
                }
                values => all.iter_mut().try_for_each(|it| put(values, code, it))?,
            },
        }
    }
    Ok(all)
}

const INTEGER: u8 = 0;
const BOOLEAN: u8 = 1;
const TEXT: u8 = 2;

fn put_integer(number: i64, out: &mut Vec<u8>) {
    out.push(INTEGER);
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(TEXT);
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text);
}

/// Appends a value as bytes that are equal for equal ones.
fn put(values: &Values, code: u32, out: &mut Vec<u8>) -> Result<(), Unusual> {
    let missing = Unusual("a code has no value");
    match values {
        Values::Text(texts) => put_text(texts.bytes(code).ok_or(missing)?, out),
        Values::Integers(numbers) => put_integer(*numbers.get(code as usize).ok_or(missing)?, out),
        Values::Booleans(truths) => {
            out.extend([BOOLEAN, u8::from(*truths.get(code as usize).ok_or(missing)?)]);
        }
        Values::Floats(_) => return Err(Unusual("groups of numbers with fractions")),
    }
    Ok(())
}

/// Takes the first value off what [`put`] has made.
fn value_of(rest: &mut &[u8]) -> Option<FieldValue> {
    let (tag, after) = rest.split_first()?;
    if *tag == BOOLEAN {
        let (truth, after) = after.split_first()?;
        *rest = after;
        return Some(FieldValue::Boolean(*truth == 1));
    }
    let (number, after) = after.split_first_chunk::<8>()?;
    let number = i64::from_le_bytes(*number);
    if *tag != TEXT {
        *rest = after;
        return Some(FieldValue::Integer(number));
    }
    let (text, after) = after.split_at_checked(usize::try_from(number).ok()?)?;
    *rest = after;
    Some(FieldValue::Text(std::str::from_utf8(text).ok()?.to_owned()))
}
