//! Events to the rows of a table, whatever it makes of them: columns in memory, or a segment.

use std::collections::HashMap;
use std::fmt::Write as _;

use panoptes_model::{Event, EventBatch, FieldType, Value};

use super::names::Names;
use super::{FIELD_COLUMNS_MAX, Fit, ITEM_SEPARATOR, NAME_BYTES_MAX, fit, is_reserved};

/// One event among some batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowRef {
    /// Index of the batch.
    pub batch: u32,
    /// Index of the event in it.
    pub event: u32,
}

/// Takes events, a row each: [`begin`](Self::begin), its values, [`end`](Self::end).
pub(crate) trait Table<'b> {
    type Error;

    /// The row of this event begins.
    fn begin(&mut self, event: Event<'b>);

    /// A value for the field column `slot`, of that column's type and once for each row: never a list, nothing or a
    /// misfit.
    fn put(&mut self, slot: usize, value: Fit<'_>);

    /// A list for the text column `slot`: `joined` from more than one item.
    fn put_list(&mut self, slot: usize, joined: &str);

    /// The row ends. What had no place is a JSON object.
    fn end(&mut self, overflow: Option<&str>) -> Result<(), Self::Error>;
}

/// Where a field's values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Column(u16),
    Overflow,
    Ignored,
}

/// Which fields of some batches have columns.
pub(crate) struct Plan<'b> {
    names: Names<'b>,
    places: Vec<Place>,
    /// Name and type of each field column.
    pub(crate) columns: Vec<(String, FieldType)>,
    /// Of names that have no place yet.
    rest: Place,
}

impl<'b> Plan<'b> {
    /// All fields of the events `rows`, or if they are too many, those of a schema and the most frequent ones.
    pub(crate) fn of(batches: &'b [&'b EventBatch], rows: &'b [RowRef]) -> Self {
        let mut names = Names::new(batches);
        let mut counts: Vec<u32> = Vec::new();
        for (row, event) in events(batches, rows) {
            for (field, is_null) in event.field_ids_and_nulls() {
                let number = names.number(row.batch as usize, field);
                if number >= counts.len() {
                    counts.resize(number + 1, 0);
                }
                if let Some(count) = counts.get_mut(number) {
                    *count += u32::from(!is_null);
                }
            }
        }
        let candidate = |name: &str| !is_reserved(name) && !name.is_empty() && name.len() <= NAME_BYTES_MAX;
        let mut chosen: Vec<usize> = names
            .known()
            .iter()
            .enumerate()
            .filter(|(number, it)| candidate(it.name) && counts.get(*number).is_some_and(|count| *count > 0))
            .map(|(number, _)| number)
            .collect();
        if chosen.len() > FIELD_COLUMNS_MAX {
            chosen.sort_by_key(|number| {
                let invented = names.known().get(*number).is_some_and(|it| !it.is_fixed);
                (invented, std::cmp::Reverse(counts.get(*number).copied()), *number)
            });
            chosen.truncate(FIELD_COLUMNS_MAX);
            chosen.sort_unstable();
        }
        let mut places = vec![Place::Overflow; names.known().len()];
        let mut columns = Vec::with_capacity(chosen.len());
        for number in chosen {
            if let (Some(place), Some(name)) = (places.get_mut(number), names.known().get(number)) {
                *place = Place::Column(columns.len() as u16);
                columns.push((name.name.to_owned(), name.field_type));
            }
        }
        Self { names, places, columns, rest: Place::Overflow }
    }

    /// The fields `columns` alone.
    pub(super) fn named(batches: &'b [&'b EventBatch], columns: Vec<(String, FieldType)>) -> Self {
        Self { names: Names::new(batches), places: Vec::new(), columns, rest: Place::Ignored }
    }
}

fn events<'b>(batches: &'b [&'b EventBatch], rows: &'b [RowRef]) -> impl Iterator<Item = (RowRef, Event<'b>)> {
    rows.iter().filter_map(|row| Some((*row, batches.get(row.batch as usize)?.event(row.event as usize)?)))
}

/// Gives the events `rows` to `table`. A row that does not exist is left out.
pub(crate) fn fill<'b, T: Table<'b>>(
    plan: Plan<'b>,
    batches: &'b [&'b EventBatch],
    rows: &'b [RowRef],
    table: &mut T,
) -> Result<(), T::Error> {
    let Plan { mut names, mut places, columns, rest } = plan;
    let by_name: HashMap<&str, u16> =
        columns.iter().enumerate().map(|(slot, (name, _))| (name.as_str(), slot as u16)).collect();
    // The last row, counted from one, that has each column.
    let mut filled: Vec<(usize, FieldType)> = columns.iter().map(|it| (0, it.1)).collect();
    let (mut overflow, mut scratch, mut joined) = (String::new(), String::new(), String::new());
    for (count, (row, event)) in events(batches, rows).enumerate() {
        table.begin(event);
        overflow.clear();
        for (field, value) in event.fields() {
            let number = names.number(row.batch as usize, field);
            // Only named plans meet names that have no place yet.
            while places.len() <= number {
                let name = names.known().get(places.len()).map_or("", |it| it.name);
                places.push(by_name.get(name).map_or(rest, |slot| Place::Column(*slot)));
            }
            let is_placed = match places.get(number) {
                Some(Place::Column(slot)) => {
                    let slot = usize::from(*slot);
                    let Some((last, field_type)) = filled.get_mut(slot) else { continue };
                    if *last > count {
                        // The event has the field twice.
                        value == Value::Null
                    } else {
                        match fit(*field_type, value, &mut scratch) {
                            Fit::Nothing => true,
                            Fit::Misfit => false,
                            Fit::List => {
                                *last = count + 1;
                                if join(*field_type, value, &mut joined) > 1 {
                                    table.put_list(slot, &joined);
                                } else {
                                    table.put(slot, Fit::Text(&joined));
                                }
                                true
                            }
                            fitted => {
                                *last = count + 1;
                                table.put(slot, fitted);
                                true
                            }
                        }
                    }
                }
                Some(Place::Ignored) | None => true,
                Some(Place::Overflow) => value == Value::Null,
            };
            if !is_placed {
                overflow.push(if overflow.is_empty() { '{' } else { ',' });
                write_json_text(event.batch().field_name(field), &mut overflow);
                overflow.push(':');
                write_json(value, &mut overflow);
            }
        }
        if overflow.is_empty() {
            table.end(None)?;
        } else {
            overflow.push('}');
            table.end(Some(&overflow))?;
        }
    }
    Ok(())
}

/// The items of a list as one text; gives how many there are.
fn join(field_type: FieldType, list: Value<'_>, joined: &mut String) -> usize {
    joined.clear();
    let (mut count, mut scratch) = (0, String::new());
    for item in list.each() {
        if let Fit::Text(text) = fit(field_type, item, &mut scratch) {
            if count > 0 {
                joined.push(ITEM_SEPARATOR);
            }
            joined.push_str(text);
            count += 1;
        }
    }
    count
}

/// A value as JSON. Numbers that JSON does not have, addresses and times become text.
fn write_json(value: Value<'_>, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Integer(_) | Value::Boolean(_) => value.write_text(out),
        Value::Float(number) if number.is_finite() => {
            // `{:?}` keeps the point, so that a float stays one.
            let done = write!(out, "{number:?}");
            debug_assert!(done.is_ok(), "writing to a string cannot fail");
        }
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(item, out);
            }
            out.push(']');
        }
        other => write_json_text(&other.to_text(), out),
    }
}

pub(crate) fn write_json_text(text: &str, out: &mut String) {
    // Serialising a string cannot fail.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}
