//! `search --fields`: which fields the events found have, how many of them, and with which values.

use std::collections::HashMap;

use panoptes_store::pivot::Row;
use serde_json::json;

use super::plain;
use crate::table::Table;

/// How many fields are followed; further ones are not shown.
const FIELDS_MAX: usize = 2_000;
/// How many values of one field are counted; what comes later counts as present only.
const VALUES_MAX: usize = 1_000;
/// A value longer than this is counted by its beginning.
const VALUE_CHARS_MAX: usize = 100;
/// How many values are shown.
const VALUES_SHOWN: usize = 3;

#[derive(Default)]
pub(super) struct Summary {
    events: u64,
    fields: HashMap<String, Field>,
}

#[derive(Default)]
struct Field {
    events: u64,
    values: HashMap<String, u64>,
    /// Whether there were more values than are counted.
    is_cut: bool,
}

impl Summary {
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    pub(super) fn add(&mut self, row: &Row) {
        self.events += 1;
        for (index, (name, value)) in row.fields.iter().enumerate() {
            let is_again = row.fields.iter().take(index).any(|it| it.0 == *name);
            let is_new = !self.fields.contains_key(name);
            if is_again || is_new && self.fields.len() >= FIELDS_MAX {
                continue;
            }
            let field = self.fields.entry(name.clone()).or_default();
            field.events += 1;
            let value: String = plain(value).chars().take(VALUE_CHARS_MAX).collect();
            if field.values.len() >= VALUES_MAX && !field.values.contains_key(&value) {
                field.is_cut = true;
                continue;
            }
            *field.values.entry(value).or_default() += 1;
        }
    }

    pub(super) fn table(self) -> Table {
        let mut table = Table::new(["field", "events", "percent", "values", "top"]);
        let events = self.events.max(1) as f64;
        let mut fields: Vec<(String, Field)> = self.fields.into_iter().collect();
        fields.sort_by(|a, b| b.1.events.cmp(&a.1.events).then_with(|| a.0.cmp(&b.0)));
        for (name, field) in fields {
            let count = field.values.len();
            let mut values: Vec<(String, u64)> = field.values.into_iter().collect();
            values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            let top: Vec<String> =
                values.into_iter().take(VALUES_SHOWN).map(|(value, count)| format!("{value} ({count})")).collect();
            table.row(vec![
                json!(name),
                json!(field.events),
                json!((field.events as f64 / events * 1_000.0).round() / 10.0),
                if field.is_cut { json!(format!("over {count}")) } else { json!(count) },
                json!(top.join(", ")),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use panoptes_model::{EventId, FrameId, Timestamp};
    use panoptes_store::pivot::FieldValue;

    use super::*;

    fn row(fields: &[(&str, &str)]) -> Row {
        let value = |it: &(&str, &str)| (it.0.to_owned(), FieldValue::Text(it.1.to_owned()));
        Row {
            id: EventId { frame: FrameId(1), index: 0 },
            time: Timestamp(0),
            fields: fields.iter().map(value).collect(),
        }
    }

    #[test]
    fn presence_and_values_are_counted() {
        let mut summary = Summary::default();
        summary.add(&row(&[("a", "x"), ("b", "1"), ("a", "again")]));
        summary.add(&row(&[("a", "x")]));
        summary.add(&row(&[("a", "y")]));
        let rows = summary.table().objects();
        assert_eq!(rows[0], json!({"field": "a", "events": 3, "percent": 100.0, "values": 2, "top": "x (2), y (1)"}));
        assert_eq!(rows[1], json!({"field": "b", "events": 1, "percent": 33.3, "values": 1, "top": "1 (1)"}));
    }

    #[test]
    fn fields_and_values_are_bounded() {
        let mut summary = Summary::default();
        for number in 0..=VALUES_MAX {
            summary.add(&row(&[("a", &format!("v{number}"))]));
        }
        for number in 0..FIELDS_MAX {
            summary.add(&row(&[(&format!("f{number}"), "x")]));
        }
        let rows = summary.table().objects();
        assert_eq!((rows.len(), &rows[0]["values"]), (FIELDS_MAX, &json!("over 1000")));
    }
}
