//! A query as conditions on columns, which take out of some rows those that do not pass.
//!
//! It means what `expr.rs` makes of a query for the engine: what is unknown does not match, a field that is not in its
//! column may be in the overflow, and a message that is the record is stored once.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ops::Range;

use memchr::memmem::Finder;
use panoptes_model::{FieldType, Schema};

use super::decode::{Kind, NULL, Values};
use super::rows::{Rows, View};
use super::{Failure, Unusual};
use crate::manifest::Kinds;
use crate::pivot::{
    EVENT_ID, FRAME, INDEX, INGESTED, INPUT, ITEM_SEPARATOR, MESSAGE, ORIGINAL, OVERFLOW, ROW, SAME, SEGMENT, SENT,
    SOURCE, TIME, write_json_text,
};
use crate::search::expr::type_of;
use crate::search::item::{Matcher, PatternTooLarge, span};
use crate::search::prune::DATASET;
use crate::search::query::{Bound, Query, Test};

/// Conditions on rows.
#[derive(Clone, Debug)]
pub(in crate::search) enum Sieve {
    Everything,
    Nothing,
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
    /// The message, or the record.
    Texts {
        matcher: Matcher,
        is_pattern: bool,
    },
    Column {
        name: String,
        test: ColumnTest,
    },
    /// A value under this name in the overflow.
    Overflow {
        name: String,
        quoted: Box<Finder<'static>>,
        matcher: Matcher,
    },
}

/// A test on the values of one column.
#[derive(Clone, Debug)]
pub(in crate::search) enum ColumnTest {
    Exists(FieldType),
    /// Some item of the text.
    Items(Matcher),
    /// The value as text.
    Whole(FieldType, Matcher),
    Number(FieldType, Vec<(Ordering, bool, Number)>),
    Boolean(bool),
    /// Within, both ends included.
    Time(i64, i64),
}

#[derive(Clone, Copy, Debug)]
pub(in crate::search) enum Number {
    Integer(i64),
    Float(f64),
}

impl Sieve {
    /// `None`: something is asked that only the engine answers.
    pub(in crate::search) fn new(query: &Query, schema: &Schema) -> Result<Option<Self>, PatternTooLarge> {
        let each = |parts: &[Query]| -> Result<Option<Vec<Self>>, PatternTooLarge> {
            parts.iter().map(|it| Self::new(it, schema)).collect()
        };
        Ok(Some(match query {
            Query::All => Self::Everything,
            Query::Words(glob) => Self::Texts { matcher: Matcher::words(glob)?, is_pattern: false },
            Query::Pattern(pattern) => Self::Texts { matcher: Matcher::pattern(pattern)?, is_pattern: true },
            Query::Not(inner) => match Self::new(inner, schema)? {
                Some(inner) => Self::Not(Box::new(inner)),
                None => return Ok(None),
            },
            Query::And(parts) => match each(parts)? {
                Some(parts) => Self::All(parts),
                None => return Ok(None),
            },
            Query::Or(parts) => match each(parts)? {
                Some(parts) => Self::Any(parts),
                None => return Ok(None),
            },
            Query::Field { name, test } => match name.as_str() {
                ROW | SEGMENT => Self::Nothing,
                FRAME | INDEX | EVENT_ID => return Ok(None),
                it if it.starts_with(SENT) => return Ok(None),
                TIME | INGESTED | ORIGINAL | SOURCE | INPUT | OVERFLOW => of_column(name, test, schema)?,
                _ => {
                    let mut quoted = String::new();
                    write_json_text(name, &mut quoted);
                    let quoted = Box::new(Finder::new(quoted.as_bytes()).into_owned());
                    let overflow = Self::Overflow { name: name.clone(), quoted, matcher: Matcher::new(test)? };
                    Self::Any(vec![of_column(name, test, schema)?, overflow])
                }
            },
        }))
    }

    /// The columns of text that are large.
    pub(in crate::search) fn reads_records(&self) -> bool {
        match self {
            Self::Everything | Self::Nothing | Self::Overflow { .. } => false,
            Self::Not(inner) => inner.reads_records(),
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::reads_records),
            Self::Texts { .. } => true,
            Self::Column { name, .. } => matches!(name.as_str(), ORIGINAL | MESSAGE),
        }
    }

    /// What is left to ask where sources and datasets are those.
    pub(in crate::search) fn knowing(&self, sources: &Kinds, datasets: &Kinds) -> Self {
        let each = |parts: &[Self]| parts.iter().map(|it| it.knowing(sources, datasets)).collect::<Vec<_>>();
        match self {
            Self::Not(inner) => match inner.knowing(sources, datasets) {
                Self::Everything => Self::Nothing,
                Self::Nothing => Self::Everything,
                inner => Self::Not(Box::new(inner)),
            },
            Self::All(parts) => {
                let mut parts = each(parts);
                parts.retain(|it| !matches!(it, Self::Everything));
                match parts.iter().any(|it| matches!(it, Self::Nothing)) {
                    true => Self::Nothing,
                    false if parts.is_empty() => Self::Everything,
                    false => Self::All(parts),
                }
            }
            Self::Any(parts) => {
                let mut parts = each(parts);
                parts.retain(|it| !matches!(it, Self::Nothing));
                match parts.iter().any(|it| matches!(it, Self::Everything)) {
                    true => Self::Everything,
                    false if parts.is_empty() => Self::Nothing,
                    false => Self::Any(parts),
                }
            }
            Self::Column { name, test: ColumnTest::Items(matcher) } => {
                let kinds = match name.as_str() {
                    SOURCE => sources,
                    DATASET => datasets,
                    _ => return self.clone(),
                };
                let Kinds::Known(values) = kinds else { return self.clone() };
                // An event without a value counts as one with the empty text: what that passes is to be looked at.
                if values.iter().all(|it| !it.is_empty() && matcher.matches(it)) {
                    Self::Everything
                } else if values.iter().all(|it| !matcher.matches(it)) {
                    Self::Nothing
                } else {
                    self.clone()
                }
            }
            // What is listed is all that there is: the overflow has none.
            Self::Overflow { name, .. } if name == DATASET && matches!(datasets, Kinds::Known(_)) => Self::Nothing,
            _ => self.clone(),
        }
    }

    /// Takes out of `wanted`, which stands for the rows `range`, what does not pass. Nests no deeper than queries.
    pub(in crate::search) fn sift(
        &self,
        rows: &mut dyn Rows,
        range: &Range<usize>,
        wanted: &mut [bool],
    ) -> Result<(), Failure> {
        match self {
            Self::Everything => {}
            Self::Nothing => wanted.fill(false),
            Self::Not(inner) => {
                let mut passing = wanted.to_vec();
                inner.sift(rows, range, &mut passing)?;
                wanted.iter_mut().zip(passing).for_each(|(wanted, passes)| *wanted &= !passes);
            }
            Self::All(parts) => {
                for part in parts {
                    if !wanted.contains(&true) {
                        break;
                    }
                    part.sift(rows, range, wanted)?;
                }
            }
            Self::Any(parts) => {
                // What is still to be asked, and what has passed.
                let mut open = wanted.to_vec();
                wanted.fill(false);
                for part in parts {
                    let mut passing = open.clone();
                    part.sift(rows, range, &mut passing)?;
                    for ((wanted, open), passes) in wanted.iter_mut().zip(&mut open).zip(passing) {
                        *wanted |= passes;
                        *open &= !passes;
                    }
                    if !open.contains(&true) {
                        break;
                    }
                }
            }
            Self::Texts { matcher, is_pattern } => texts(matcher, *is_pattern, rows, range, wanted)?,
            Self::Column { name, test } => {
                if name != MESSAGE
                    && let Some(known) = rows.known_values(name)?
                {
                    test.check(known.kind())?;
                    // Where no value passes, no row does: which rows have which value need not be read.
                    let passes = |code| test.passes(&known.values, code);
                    let mut codes = 0..known.values.len() as u32;
                    if !codes.try_fold(false, |some, code| Ok::<_, Unusual>(some || passes(code)?))? {
                        wanted.fill(false);
                        return Ok(());
                    }
                }
                let Some(view) = rows.view(name, range)? else {
                    wanted.fill(false);
                    return Ok(());
                };
                test.check(view.decoded().kind())?;
                if name == MESSAGE {
                    return message(test, &view, rows, range, wanted);
                }
                each_value(&view, wanted, |code| test.passes(view.values(), code))?;
            }
            Self::Overflow { name, quoted, matcher } => {
                let Some(view) = rows.view(OVERFLOW, range)? else {
                    wanted.fill(false);
                    return Ok(());
                };
                let Values::Text(overflows) = view.values() else { return Err(OF_ANOTHER_TYPE.into()) };
                each_value(&view, wanted, |code| {
                    let text = overflows.get(code)?;
                    Ok(quoted.find(text.as_bytes()).is_some() && matcher.matches_overflow(text, name))
                })?;
            }
        }
        Ok(())
    }
}

const OF_ANOTHER_TYPE: Unusual = Unusual("a column of another type");

/// Asks for each row that is wanted; of a value that many rows have, once.
fn each_value(
    view: &View,
    wanted: &mut [bool],
    mut passes: impl FnMut(u32) -> Result<bool, Unusual>,
) -> Result<(), Unusual> {
    const NO: u8 = 1;
    const YES: u8 = 2;
    let mut known = vec![0_u8; view.values().len()];
    for (wanted, code) in wanted.iter_mut().zip(view.codes()).filter(|it| *it.0) {
        *wanted = match known.get_mut(*code as usize) {
            None => false,
            Some(known) => {
                if *known == 0 {
                    *known = if passes(*code)? { YES } else { NO };
                }
                *known == YES
            }
        };
    }
    Ok(())
}

/// The record, and where it does not pass, the message.
fn texts(
    matcher: &Matcher,
    is_pattern: bool,
    rows: &mut dyn Rows,
    range: &Range<usize>,
    wanted: &mut [bool],
) -> Result<(), Failure> {
    let mut open = wanted.to_vec();
    let records = rows.view(ORIGINAL, range)?;
    match &records {
        None => wanted.fill(false),
        Some(view) => {
            let Values::Text(texts) = view.values() else { return Err(OF_ANOTHER_TYPE.into()) };
            each_value(view, wanted, |code| Ok(matcher.matches(texts.get(code)?)))?;
        }
    }
    open.iter_mut().zip(&*wanted).for_each(|(open, passes)| *open &= !passes);
    if !open.contains(&true) {
        return Ok(());
    }
    let Some(messages) = rows.view(MESSAGE, range)? else { return Ok(()) };
    let Values::Text(texts) = messages.values() else { return Err(OF_ANOTHER_TYPE.into()) };
    // Where the message is the record all is said already, unless a pattern may fit an item but not the whole.
    let mut same = HashSet::new();
    each_value(&messages, &mut open, |code| match texts.get(code)? {
        SAME => {
            same.insert(code);
            Ok(is_pattern)
        }
        text => Ok(matcher.matches_some(text)),
    })?;
    if is_pattern && !same.is_empty() {
        let Some(records) = &records else { return Ok(()) };
        let Values::Text(texts) = records.values() else { return Err(OF_ANOTHER_TYPE.into()) };
        for (row, open) in open.iter_mut().enumerate() {
            if *open && same.contains(&messages.code(row)) {
                let text = if records.code(row) == NULL { "" } else { texts.get(records.code(row))? };
                *open = text.contains(ITEM_SEPARATOR) && matcher.matches_some(text);
            }
        }
    }
    wanted.iter_mut().zip(open).for_each(|(wanted, passes)| *wanted |= passes);
    Ok(())
}

/// A test on the message, which may be the record.
fn message(
    test: &ColumnTest,
    messages: &View,
    rows: &mut dyn Rows,
    range: &Range<usize>,
    wanted: &mut [bool],
) -> Result<(), Failure> {
    let Values::Text(texts) = messages.values() else { return Err(OF_ANOTHER_TYPE.into()) };
    let mut same = HashSet::new();
    each_value(messages, wanted, |code| match texts.get(code)? {
        SAME => {
            same.insert(code);
            Ok(true)
        }
        _ => test.passes(messages.values(), code),
    })?;
    if same.is_empty() {
        return Ok(());
    }
    let Some(records) = rows.view(ORIGINAL, range)? else { return Err(OF_ANOTHER_TYPE.into()) };
    for (row, wanted) in wanted.iter_mut().enumerate() {
        if *wanted && same.contains(&messages.code(row)) {
            *wanted = records.code(row) != NULL && test.passes(records.values(), records.code(row))?;
        }
    }
    Ok(())
}

fn of_column(name: &str, test: &Test, schema: &Schema) -> Result<Sieve, PatternTooLarge> {
    let field_type = type_of(name, schema);
    let column = |test| Sieve::Column { name: name.to_owned(), test };
    if matches!(test, Test::Exists | Test::Range { low: None, high: None }) {
        return Ok(column(ColumnTest::Exists(field_type)));
    }
    Ok(match (field_type, test) {
        (FieldType::Ip, Test::Is(text)) => {
            let plain = text.parse::<std::net::IpAddr>().map_or(text.clone(), |it| it.to_canonical().to_string());
            column(ColumnTest::Items(Matcher::new(&Test::Is(plain))?))
        }
        (FieldType::Text | FieldType::Ip, test) => column(ColumnTest::Items(Matcher::new(test)?)),
        (FieldType::Timestamp, test) => match times(test) {
            Some((from, to)) => column(ColumnTest::Time(from, to)),
            None => Sieve::Nothing,
        },
        (FieldType::Integer | FieldType::Float | FieldType::Boolean, Test::Like(_) | Test::Pattern(_)) => {
            column(ColumnTest::Whole(field_type, Matcher::new(test)?))
        }
        (FieldType::Integer | FieldType::Float, test) => match numbers(test) {
            Some(limits) => column(ColumnTest::Number(field_type, limits)),
            None => Sieve::Nothing,
        },
        (FieldType::Boolean, Test::Is(text)) => match text.parse() {
            Ok(truth) => column(ColumnTest::Boolean(truth)),
            Err(_) => Sieve::Nothing,
        },
        (FieldType::Boolean, _) => Sieve::Nothing,
    })
}

/// How a number must compare with others; `None`: none does.
fn numbers(test: &Test) -> Option<Vec<(Ordering, bool, Number)>> {
    let number = |text: &str| match (text.parse(), text.parse()) {
        (Ok(number), _) => Some(Number::Integer(number)),
        (Err(_), Ok(number)) => Some(Number::Float(number)),
        _ => None,
    };
    match test {
        Test::Is(text) => Some(vec![(Ordering::Equal, true, number(text)?)]),
        Test::Range { low, high } => {
            let end =
                |bound: &Option<Bound>, order| bound.as_ref().map(|it| Some((order, it.inclusive, number(&it.value)?)));
            [end(low, Ordering::Greater), end(high, Ordering::Less)].into_iter().flatten().collect()
        }
        _ => None,
    }
}

/// The first and last instant that passes; `None`: none does.
fn times(test: &Test) -> Option<(i64, i64)> {
    match test {
        Test::Is(text) => span(text).map(|(from, to)| (from.0, to.0)),
        Test::Range { low, high } => {
            let from = match low {
                None => i64::MIN,
                Some(bound) if bound.inclusive => span(&bound.value)?.0.0,
                Some(bound) => span(&bound.value)?.1.0.checked_add(1)?,
            };
            let to = match high {
                None => i64::MAX,
                Some(bound) if bound.inclusive => span(&bound.value)?.1.0,
                Some(bound) => span(&bound.value)?.0.0.checked_sub(1)?,
            };
            Some((from, to))
        }
        _ => None,
    }
}

/// The columns that a field of this type has.
pub(in crate::search) fn kind_of(field_type: FieldType) -> Kind {
    match field_type {
        FieldType::Text | FieldType::Ip => Kind::Text,
        FieldType::Integer => Kind::Integer,
        FieldType::Float => Kind::Float,
        FieldType::Boolean => Kind::Boolean,
        FieldType::Timestamp => Kind::Timestamp,
    }
}

impl ColumnTest {
    /// Another segment may have a column under another type.
    fn check(&self, kind: Kind) -> Result<(), Unusual> {
        let wanted = match self {
            Self::Exists(field_type) | Self::Whole(field_type, _) | Self::Number(field_type, _) => kind_of(*field_type),
            Self::Items(_) => Kind::Text,
            Self::Boolean(_) => Kind::Boolean,
            Self::Time(..) => Kind::Timestamp,
        };
        if wanted == kind { Ok(()) } else { Err(OF_ANOTHER_TYPE) }
    }

    fn passes(&self, values: &Values, code: u32) -> Result<bool, Unusual> {
        let missing = Unusual("a code has no value");
        let index = code as usize;
        Ok(match (self, values) {
            (Self::Exists(_), _) => true,
            (Self::Items(matcher), Values::Text(texts)) => matcher.matches_some(texts.get(code)?),
            (Self::Whole(_, matcher), Values::Text(texts)) => matcher.matches(texts.get(code)?),
            (Self::Whole(_, matcher), Values::Integers(numbers)) => {
                matcher.matches(&numbers.get(index).ok_or(missing)?.to_string())
            }
            (Self::Whole(_, matcher), Values::Floats(numbers)) => {
                matcher.matches(&numbers.get(index).ok_or(missing)?.to_string())
            }
            (Self::Whole(_, matcher), Values::Booleans(truths)) => {
                matcher.matches(&truths.get(index).ok_or(missing)?.to_string())
            }
            (Self::Number(_, limits), Values::Integers(numbers)) => {
                let number = *numbers.get(index).ok_or(missing)?;
                limits.iter().all(|(wanted, inclusive, limit)| {
                    let order = match limit {
                        Number::Integer(limit) => number.cmp(limit),
                        // As the engine compares them.
                        Number::Float(limit) => (number as f64).total_cmp(limit),
                    };
                    order == *wanted || *inclusive && order.is_eq()
                })
            }
            (Self::Number(_, limits), Values::Floats(numbers)) => {
                let number = *numbers.get(index).ok_or(missing)?;
                limits.iter().all(|(wanted, inclusive, limit)| {
                    let order = match limit {
                        Number::Integer(limit) => number.total_cmp(&(*limit as f64)),
                        Number::Float(limit) => number.total_cmp(limit),
                    };
                    order == *wanted || *inclusive && order.is_eq()
                })
            }
            (Self::Boolean(truth), Values::Booleans(truths)) => truths.get(index).ok_or(missing)? == truth,
            (Self::Time(from, to), Values::Integers(times)) => (*from..=*to).contains(times.get(index).ok_or(missing)?),
            _ => return Err(OF_ANOTHER_TYPE),
        })
    }
}
