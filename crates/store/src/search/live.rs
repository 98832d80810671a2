//! A query on events as they come, before anything is written: what a live tail asks.
//!
//! The events become columns as they would in a segment, and the same expression as in a search is asked of these, so
//! that both find the same.

use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _};
use datafusion::common::DFSchema;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;
use panoptes_model::{EventBatch, FieldType, Schema, Timestamp};

use super::expr::filter;
use super::query::Query;
use super::table::conform;
use super::{SearchError, columns, engine_error};
use crate::pivot::{Row, RowRef, pivot, pivot_named, rows};
use crate::segment::with_row_numbers;

/// A query made ready for batches of events.
#[derive(Debug)]
pub struct LiveFilter {
    fields: Vec<(String, FieldType)>,
    columns: arrow::datatypes::SchemaRef,
    predicate: Arc<dyn PhysicalExpr>,
}

impl LiveFilter {
    /// `schema` is that of the batches; `now` is what the query means by it.
    pub fn new(query: &Query, schema: &Schema, now: Timestamp) -> Result<Self, SearchError> {
        let filter = filter(&query.at(now, schema), schema)
            .map_err(|error| SearchError::PatternTooLarge { source: error.source })?;
        let columns = Arc::new(arrow::datatypes::Schema::new(columns(&filter.fields)));
        let engine_error = |source| engine_error(source, 0);
        let shape = DFSchema::try_from(Arc::clone(&columns)).map_err(engine_error)?;
        let predicate = SessionContext::new().create_physical_expr(filter.expr, &shape).map_err(engine_error)?;
        Ok(Self { fields: filter.fields, columns, predicate })
    }

    /// The events of `batch` that match, in the order in which they came.
    pub fn matching(&self, batch: &EventBatch) -> Result<Vec<Row>, SearchError> {
        let found = self.places(batch)?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        Ok(rows(&pivot(&[batch], &found)))
    }

    /// Their places.
    pub fn places(&self, batch: &EventBatch) -> Result<Vec<RowRef>, SearchError> {
        let all: Vec<RowRef> = (0..batch.len() as u32).map(|event| RowRef { batch: 0, event }).collect();
        if all.is_empty() {
            return Ok(all);
        }
        let engine_error = |source| engine_error(source, 0);
        let named = with_row_numbers(&pivot_named(&[batch], &all, &self.fields));
        let named = conform(&named, &self.columns).map_err(engine_error)?;
        let found =
            self.predicate.evaluate(&named).and_then(|it| it.into_array(named.num_rows())).map_err(engine_error)?;
        let Some(found) = found.as_boolean_opt() else { return Ok(Vec::new()) };
        let is_found = |it: &RowRef| !found.is_null(it.event as usize) && found.value(it.event as usize);
        Ok(all.into_iter().filter(is_found).collect())
    }
}

#[cfg(test)]
mod tests {
    use panoptes_model::EventId;
    use proptest::prelude::*;

    use super::super::tests::{Bed, made, made_query, schema, three_days, write};
    use super::super::{Order, SearchRequest};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn a_tail_finds_what_a_search_finds_later(
            events in proptest::collection::vec(made(), 0..12),
            queries in proptest::collection::vec(made_query(), 4),
        ) {
            let batch = write(1, &events);
            let bed = Bed::new();
            bed.keep(Arc::clone(&batch));
            bed.seal();
            for query in queries {
                let live = LiveFilter::new(&query, &schema(), Timestamp(0)).unwrap().matching(&batch).unwrap();
                let request = SearchRequest { order: Order::OldestFirst, ..SearchRequest::new(query.clone(), 100) };
                let later = bed.found(&request).all_rows().unwrap();
                let ids = |rows: &[Row]| {
                    let mut ids: Vec<EventId> = rows.iter().map(|it| it.id).collect();
                    ids.sort();
                    ids
                };
                prop_assert_eq!(ids(&live), ids(&later), "{:?}", &query);
            }
        }
    }

    #[test]
    fn whole_events_come_out() {
        let bed = three_days();
        let (hot, _) = bed.store.snapshot();
        let query = "user.name:\"jane doe\" @timestamp:<now".parse().unwrap();
        let found = LiveFilter::new(&query, &schema(), Timestamp(i64::MAX)).unwrap().matching(&hot[0]).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].to_json().contains(r#""event.original":"Accepted password for Jane""#));
    }
}
