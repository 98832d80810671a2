//! What is written here is read by the library.

use std::sync::Arc;

use arrow::array::{
    BooleanArray, Float64Array, Int64Array, StringViewArray, TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;
use proptest::prelude::*;

use super::*;
use crate::pivot::timestamp_type;

/// The file of these row groups, each of some batches.
fn written(groups: &[Vec<RecordBatch>]) -> Bytes {
    let schema = groups[0][0].schema();
    let mut properties = WriterProperties::builder().build();
    add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
    let properties = Arc::new(properties);
    let mut encoder = GroupEncoder::new(&schema, Arc::clone(&properties)).unwrap();
    let parquet = ArrowSchemaConverter::new().convert(&schema).unwrap();
    let mut file = SerializedFileWriter::new(Vec::new(), parquet.root_schema_ptr(), properties).unwrap();
    for group in groups {
        group.iter().for_each(|it| encoder.add(it).unwrap());
        encoder.finish_group(&mut file).unwrap();
    }
    file.into_inner().unwrap().into()
}

fn metadata_of(file: &Bytes) -> ArrowReaderMetadata {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    ArrowReaderMetadata::load(file, options).unwrap()
}

fn read(file: &Bytes, selection: Option<RowSelection>) -> RecordBatch {
    let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata_of(file));
    if let Some(selection) = selection {
        builder = builder.with_row_selection(selection);
    }
    let schema = Arc::clone(builder.schema());
    let batches: Vec<RecordBatch> = builder.with_batch_size(777).build().unwrap().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

fn batch_of(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let required = [TIME, FRAME, INDEX, ORIGINAL];
    let fields: Vec<Field> =
        columns.iter().map(|(name, it)| Field::new(*name, it.data_type().clone(), !required.contains(name))).collect();
    let columns = columns.into_iter().map(|it| it.1).collect();
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns).unwrap()
}

#[derive(Clone, Debug)]
struct Made {
    text: Option<String>,
    sparse: Option<String>,
    number: Option<i64>,
    float: Option<f64>,
    truth: Option<bool>,
    time: Option<i64>,
}

fn batch(rows: &[Made], first: usize) -> RecordBatch {
    let numbers = || (first..first + rows.len()).map(|it| it as i64);
    let times = |it: TimestampNanosecondArray| -> ArrayRef { Arc::new(it.with_data_type(timestamp_type())) };
    let texts =
        |of: fn(&Made) -> Option<&str>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<StringViewArray>()) };
    let records =
        rows.iter().zip(numbers()).map(|(row, it)| Some(format!("{it} {}", row.text.as_deref().unwrap_or(""))));
    batch_of(vec![
        (TIME, times(numbers().map(|it| it * 1_000_000).collect::<Vec<_>>().into())),
        (FRAME, Arc::new(numbers().map(|it| u64::MAX - it as u64).collect::<UInt64Array>())),
        (INDEX, Arc::new(numbers().map(|it| it as u32 % 7).collect::<UInt32Array>())),
        (ORIGINAL, Arc::new(records.collect::<StringViewArray>())),
        ("text", texts(|it| it.text.as_deref())),
        ("user.name", texts(|it| it.sparse.as_deref())),
        ("number", Arc::new(rows.iter().map(|it| it.number).collect::<Int64Array>())),
        ("float", Arc::new(rows.iter().map(|it| it.float).collect::<Float64Array>())),
        ("truth", Arc::new(rows.iter().map(|it| it.truth).collect::<BooleanArray>())),
        ("time", times(rows.iter().map(|it| it.time).collect())),
        ("nothing", Arc::new(StringViewArray::new_null(rows.len()))),
    ])
}

fn made() -> impl Strategy<Value = Made> {
    let few = prop_oneof![Just(None), "[a-c]{0,2}".prop_map(Some), "\\PC{0,30}".prop_map(Some)];
    let rare = prop::option::weighted(0.05, "[a-z]{20,90}");
    let number = prop_oneof![Just(Some(7)), prop::option::of(any::<i64>())];
    let rest = (
        prop::option::of(any::<f64>().prop_filter("NaN is not equal to itself", |it| !it.is_nan())),
        any::<Option<bool>>(),
        any::<Option<i64>>(),
    );
    (few, rare, number, rest).prop_map(|(text, sparse, number, (float, truth, time))| Made {
        text,
        sparse,
        number,
        float,
        truth,
        time,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_went_in_comes_out(groups in prop::collection::vec(prop::collection::vec(prop::collection::vec(made(), 1..200), 1..3), 1..4)) {
        let mut first = 0;
        let groups: Vec<Vec<RecordBatch>> = groups.iter().map(|group| {
            group.iter().map(|rows| { first += rows.len(); batch(rows, first - rows.len()) }).collect()
        }).collect();
        let file = written(&groups);
        let all: Vec<&RecordBatch> = groups.iter().flatten().collect();
        let expected = arrow::compute::concat_batches(&all[0].schema(), all).unwrap();
        prop_assert_eq!(read(&file, None), expected.clone());
        let some = expected.num_rows() / 3;
        let selection = RowSelection::from(vec![RowSelector::skip(some), RowSelector::select(some)]);
        prop_assert_eq!(read(&file, Some(selection)), expected.slice(some, some));
    }
}

/// Rows enough for several pages.
#[test]
fn pages_end_after_some_rows_and_some_bytes_and_single_rows_are_found_in_them() {
    const ROWS: usize = PAGE_ROWS * 2 + 77;
    let long = |row: usize| "0123456789".repeat(row % 90);
    let numbers: Vec<i64> = (0..ROWS as i64).collect();
    let of = batch_of(vec![
        (TIME, Arc::new(TimestampNanosecondArray::from(numbers.clone()).with_data_type(timestamp_type()))),
        (ORIGINAL, Arc::new(StringViewArray::from_iter_values((0..ROWS).map(|it| format!("{it} {}", long(it)))))),
        ("different", Arc::new(StringViewArray::from_iter_values((0..ROWS).map(|it| format!("{} {it}", long(it)))))),
        ("few", Arc::new(StringViewArray::from_iter_values((0..ROWS).map(|it| long(it / 1000))))),
        ("gaps", Arc::new((0..ROWS).map(|it| (it % 1000 == 3).then(|| it.to_string())).collect::<StringViewArray>())),
        ("one", Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n("same", ROWS)))),
    ]);
    let file = written(&[vec![of.clone()]]);
    let metadata = metadata_of(&file);
    let index = &metadata.metadata().offset_index().unwrap()[0];
    let pages = |column: usize| index[column].page_locations.len();
    assert_eq!((pages(3), pages(4), pages(5)), (3, 3, 3));
    // Some 450 bytes a row.
    assert!((8..14).contains(&pages(1)) && (8..14).contains(&pages(2)), "{} {}", pages(1), pages(2));
    assert_eq!(read(&file, None), of);
    for row in [0, 63, 64, PAGE_ROWS - 1, PAGE_ROWS, 5_000, ROWS - 1] {
        let selection = RowSelection::from(vec![RowSelector::skip(row), RowSelector::select(1)]);
        assert_eq!(read(&file, Some(selection)), of.slice(row, 1), "{row}");
    }
    let size = |column: usize| metadata.metadata().row_group(0).column(column).compressed_size();
    assert!(size(5) < 200 && size(4) < 1_500, "{} {}", size(5), size(4));
}

#[test]
fn the_footer_states_bounds_that_are_short_and_the_filter_knows_its_values() {
    let row = |text: &str, number: i64| Made {
        text: Some(text.into()),
        sparse: Some(text.into()),
        number: Some(number),
        float: Some(number as f64),
        truth: Some(number > 0),
        time: None,
    };
    let long = "z".repeat(65);
    let short = vec![batch(&[row("b", 5), row("", -5), row("é", 0)], 0)];
    let file = written(&[short, vec![batch(&[row(&long, 1)], 3)]]);
    let metadata = metadata_of(&file);
    let column = |group: usize, name: &str| {
        let group = metadata.metadata().row_group(group);
        group.columns().iter().find(|it| it.column_path().string() == name).unwrap().clone()
    };
    let bounds = |group: usize, name: &str| {
        let column = column(group, name);
        let found = column.statistics().unwrap();
        let text = |it: Option<&[u8]>| it.map(|it| String::from_utf8(it.to_vec()).unwrap());
        (text(found.min_bytes_opt()), text(found.max_bytes_opt()), found.null_count_opt())
    };
    let texts = |min: &str, max: &str| (Some(min.to_owned()), Some(max.to_owned()), Some(0));
    assert_eq!(bounds(0, "text"), texts("", "é"));
    assert_eq!(bounds(1, "text"), (None, None, Some(0)));
    assert_eq!(bounds(0, "time"), (None, None, Some(3)));
    assert_eq!(bounds(0, ORIGINAL), (None, None, Some(0)));
    let column_of = |name: &str| column(0, name).statistics().unwrap().clone();
    assert!(
        matches!(column_of("number"), Statistics::Int64(it) if (it.min_opt(), it.max_opt()) == (Some(&-5), Some(&5)))
    );
    assert!(
        matches!(column_of("float"), Statistics::Double(it) if (it.min_opt(), it.max_opt()) == (Some(&-5.0), Some(&5.0)))
    );
    assert!(
        matches!(column_of("truth"), Statistics::Boolean(it) if (it.min_opt(), it.max_opt()) == (Some(&false), Some(&true)))
    );
    assert!(column(0, "text").bloom_filter_offset().is_none());
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let position = builder.schema().index_of("user.name").unwrap();
    let filter = builder.get_row_group_column_bloom_filter(0, position).unwrap().unwrap();
    assert!(["b", "", "é"].iter().all(|it| filter.check(*it)) && !filter.check("absent"));
}

#[test]
fn texts_that_are_nearly_all_different_get_no_dictionary() {
    let rows = TRIED_VALUES as i64 + 100;
    let column = |of: fn(i64) -> String| -> ArrayRef {
        Arc::new((0..rows).map(|it| (it % 5 != 1).then(|| of(it))).collect::<StringViewArray>())
    };
    let of = batch_of(vec![
        ("user.name", column(|it| format!("somebody {it}"))),
        ("number", column(|it| (it % 100).to_string())),
    ]);
    let all = [of.slice(0, TRIED_VALUES), of.slice(TRIED_VALUES, 100), of.slice(0, TRIED_VALUES), of.slice(0, 1_000)];
    let file = written(&[all[..2].to_vec(), all[2..3].to_vec(), all[3..].to_vec()]);
    let expected = arrow::compute::concat_batches(&of.schema(), &all).unwrap();
    assert_eq!(read(&file, None), expected);
    let metadata = metadata_of(&file);
    let has_dictionary = |group: usize, column: usize| {
        metadata.metadata().row_group(group).column(column).dictionary_page_offset().is_some()
    };
    assert!((0..3).all(|group| !has_dictionary(group, 0) && has_dictionary(group, 1)));
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let filter = builder.get_row_group_column_bloom_filter(0, 0).unwrap().unwrap();
    assert!(filter.check("somebody 0") && filter.check("somebody 2100") && !filter.check("somebody 1"));
}

#[test]
fn columns_that_have_no_place_for_nulls_refuse_them() {
    let indexes: ArrayRef = Arc::new(UInt32Array::from(vec![Some(1), None]));
    let batch = RecordBatch::try_from_iter_with_nullable([(INDEX, indexes, true)]).unwrap();
    let mut encoder = GroupEncoder::new(&batch.schema(), Arc::default()).unwrap();
    let error = encoder.add(&batch).unwrap_err().to_string();
    assert!(error.contains(INDEX), "{error}");
    let odd: ArrayRef = Arc::new(arrow::array::Int8Array::from(vec![1]));
    let batch = RecordBatch::try_from_iter([("odd", odd)]).unwrap();
    assert!(GroupEncoder::new(&batch.schema(), Arc::default()).is_err());
}
