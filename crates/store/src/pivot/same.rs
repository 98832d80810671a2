//! A message that is the record itself is stored once.
//!
//! In segments a `message` that equals `event.original` is [`SAME`]: a text that no column has otherwise. Whoever reads
//! segments puts the message back in its place; batches in memory always have it.

use arrow::array::{ArrayRef, AsArray as _, BooleanArray, Datum, RecordBatch, StringViewArray};
use arrow::compute::kernels::zip::zip;
use arrow::error::ArrowError;

use super::{MESSAGE, ORIGINAL};

/// Stands in `message` for the text of `event.original`. No column has it otherwise: what has the separator of lists in
/// it, and the list that would read so, are misfits.
pub(crate) const SAME: &str = "\u{1f}";

/// `batch` with [`SAME`] for each message that is the record.
pub(crate) fn without_repeats(batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
    let same = StringViewArray::new_scalar(SAME);
    replaced(batch, |message, record| message == record, Some(&same))
}

/// `batch` with the record for each message that is [`SAME`].
pub(crate) fn with_repeats(batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
    replaced(batch, |message, _| message == SAME, None)
}

/// Puts `by`, or else the record, in place of each message that `is_replaced`.
fn replaced(
    batch: RecordBatch,
    is_replaced: impl Fn(&str, &str) -> bool,
    by: Option<&dyn Datum>,
) -> Result<RecordBatch, ArrowError> {
    let column = |name| batch.column_by_name(name).and_then(|it| it.as_string_view_opt());
    let (Some(messages), Some(records)) = (column(MESSAGE), column(ORIGINAL)) else { return Ok(batch) };
    let is_replaced = |(message, record): (Option<&str>, Option<&str>)| {
        message.zip(record).is_some_and(|(message, record)| is_replaced(message, record))
    };
    let mask: BooleanArray = messages.iter().zip(records).map(|it| Some(is_replaced(it))).collect();
    if mask.true_count() == 0 {
        return Ok(batch);
    }
    let replaced = zip(&mask, by.unwrap_or(records), messages)?;
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| -> ArrayRef {
        if field.name() == MESSAGE { replaced.clone() } else { column.clone() }
    });
    let columns = columns.collect();
    RecordBatch::try_new(schema, columns)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn batch(messages: &[Option<&str>], records: &[&str]) -> RecordBatch {
        let messages: ArrayRef = Arc::new(StringViewArray::from(messages.to_vec()));
        let records: ArrayRef = Arc::new(StringViewArray::from(records.to_vec()));
        RecordBatch::try_from_iter_with_nullable([(MESSAGE, messages, true), (ORIGINAL, records, false)]).unwrap()
    }

    #[test]
    fn a_message_that_is_the_record_is_stored_once_and_comes_back() {
        let long = "a record that is longer than a view holds inside";
        let made =
            batch(&[Some("a"), None, Some(long), Some(""), Some("b")], &["a", "a", long, "", "a longer record than b"]);
        let stored = without_repeats(made.clone()).unwrap();
        assert_eq!(
            stored,
            batch(
                &[Some(SAME), None, Some(SAME), Some(SAME), Some("b")],
                &["a", "a", long, "", "a longer record than b"]
            )
        );
        assert_eq!(without_repeats(stored.clone()).unwrap(), stored);
        assert_eq!(with_repeats(stored).unwrap(), made);
        let slice = without_repeats(made.slice(1, 3)).unwrap();
        assert_eq!(with_repeats(slice).unwrap(), made.slice(1, 3));
    }

    #[test]
    fn columns_without_messages_stay_as_they_are() {
        let records: ArrayRef = Arc::new(StringViewArray::from(vec!["a"]));
        let alone = RecordBatch::try_from_iter([(ORIGINAL, records)]).unwrap();
        assert_eq!(with_repeats(without_repeats(alone.clone()).unwrap()).unwrap(), alone);
    }
}
