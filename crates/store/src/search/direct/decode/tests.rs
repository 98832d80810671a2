use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringViewArray, TimestampNanosecondArray,
    UInt32Array, UInt64Array,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::schema::types::ColumnPath;
use proptest::prelude::*;

use super::*;

/// The rows of a column that the Parquet writer has written, as they are decoded here.
fn decoded(column: ArrayRef, kind: Kind, encoding: Option<Encoding>, dictionary_bytes: usize) -> Vec<String> {
    let batch = RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap();
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap()))
        .set_dictionary_page_size_limit(dictionary_bytes)
        .set_data_page_size_limit(200)
        .set_write_batch_size(16);
    if let Some(encoding) = encoding {
        let path = ColumnPath::new(vec!["c".to_owned()]);
        properties = properties.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, encoding);
    }
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes.clone())).unwrap();
    let chunk = reader.metadata().row_group(0).column(0);
    let (start, length) = chunk.byte_range();
    let mut decoded = Decoded::new(Shape { kind, is_nullable: true, compression: chunk.compression() });
    let mut rest = &bytes[start as usize..(start + length) as usize];
    let mut with = Decompressor::new().unwrap();
    while !rest.is_empty() {
        let taken = decoded.add_page(rest, &mut with).unwrap();
        rest = &rest[taken..];
    }
    let shown = |code: &u32| match &decoded.values {
        _ if *code == NULL => "null".to_owned(),
        Values::Text(texts) => texts.get(*code).unwrap().to_owned(),
        Values::Integers(numbers) => numbers[*code as usize].to_string(),
        Values::Floats(numbers) => numbers[*code as usize].to_string(),
        Values::Booleans(truths) => truths[*code as usize].to_string(),
    };
    decoded.codes.iter().map(shown).collect()
}

fn expected<T: ToString>(values: &[Option<T>]) -> Vec<String> {
    values.iter().map(|it| it.as_ref().map_or("null".to_owned(), T::to_string)).collect()
}

proptest! {
    #[test]
    fn what_the_writer_writes_is_read(
        numbers in proptest::collection::vec(proptest::option::of(prop_oneof![any::<i64>(), 0..50_i64, Just(7)]), 1..300),
        texts in proptest::collection::vec(proptest::option::of("[a-c]{0,3}|[a-z]{0,40}"), 1..300),
        dictionary_bytes in prop_oneof![Just(1 << 20), 1..300_usize],
    ) {
        let integers: ArrayRef = Arc::new(Int64Array::from(numbers.clone()));
        prop_assert_eq!(decoded(integers.clone(), Kind::Integer, None, dictionary_bytes), expected(&numbers));
        let packed = Some(Encoding::DELTA_BINARY_PACKED);
        prop_assert_eq!(decoded(integers, Kind::Integer, packed, dictionary_bytes), expected(&numbers));
        let times: ArrayRef = Arc::new(TimestampNanosecondArray::from(numbers.clone()).with_timezone("+00:00"));
        prop_assert_eq!(decoded(times, Kind::Timestamp, packed, dictionary_bytes), expected(&numbers));
        let small: Vec<Option<u32>> = numbers.iter().map(|it| it.map(|it| it as u32)).collect();
        let column: ArrayRef = Arc::new(UInt32Array::from(small.clone()));
        prop_assert_eq!(decoded(column.clone(), Kind::Unsigned32, packed, dictionary_bytes), expected(&small));
        prop_assert_eq!(decoded(column, Kind::Unsigned32, None, dictionary_bytes), expected(&small));
        let large: Vec<Option<u64>> = numbers.iter().map(|it| it.map(|it| it as u64)).collect();
        let column: ArrayRef = Arc::new(UInt64Array::from(large));
        prop_assert_eq!(decoded(column, Kind::Integer, packed, dictionary_bytes), expected(&numbers));
        let floats: Vec<Option<f64>> = numbers.iter().map(|it| it.map(|it| it as f64 / 3.0)).collect();
        let column: ArrayRef = Arc::new(Float64Array::from(floats.clone()));
        prop_assert_eq!(decoded(column, Kind::Float, None, dictionary_bytes), expected(&floats));
        let truths: Vec<Option<bool>> = numbers.iter().map(|it| it.map(|it| it % 2 == 0)).collect();
        let column: ArrayRef = Arc::new(BooleanArray::from(truths.clone()));
        prop_assert_eq!(decoded(column, Kind::Boolean, None, dictionary_bytes), expected(&truths));
        let column: ArrayRef = Arc::new(StringViewArray::from_iter(texts.iter().map(Option::as_deref)));
        prop_assert_eq!(decoded(column.clone(), Kind::Text, None, dictionary_bytes), expected(&texts));
        prop_assert_eq!(decoded(column.clone(), Kind::Text, Some(Encoding::PLAIN), dictionary_bytes), expected(&texts));
    }

    #[test]
    fn any_bytes_are_refused_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 0..500_usize) {
        for width in [0, 1, 3, 17, 32, 33, 255] {
            let _perhaps = hybrid(&bytes, width, count, &mut Vec::new());
        }
        let _perhaps = delta(&bytes, count, &mut Vec::new());
        let _perhaps = Values::none(Kind::Text).add_plain(Kind::Text, bytes.clone(), 0, count);
        // A page that says it has so many values, plain or of a dictionary.
        for encoding in [PLAIN, PLAIN_DICTIONARY, RLE, DELTA_BINARY_PACKED, RLE_DICTIONARY, 77] {
            for kind in [Kind::Text, Kind::Integer, Kind::Unsigned32, Kind::Float, Kind::Boolean] {
                let shape = Shape { kind, is_nullable: count % 2 == 0, compression: Compression::UNCOMPRESSED };
                let header = PageHeader {
                    kind: PageKind::Data,
                    header_bytes: 0,
                    compressed_bytes: bytes.len(),
                    bytes: bytes.len(),
                    values: count,
                    encoding,
                    levels_encoding: RLE,
                };
                let _perhaps = Decoded::new(shape).add_data(&header, bytes.clone());
            }
        }
    }
}

#[test]
fn a_code_beyond_the_dictionary_is_refused() {
    let shape = Shape { kind: Kind::Text, is_nullable: false, compression: Compression::UNCOMPRESSED };
    let mut decoded = Decoded::new(shape);
    let header = PageHeader {
        kind: PageKind::Data,
        header_bytes: 0,
        compressed_bytes: 0,
        bytes: 0,
        values: 3,
        encoding: RLE_DICTIONARY,
        levels_encoding: RLE,
    };
    assert!(decoded.add_data(&header, vec![1, 6, 1]).is_err(), "three times the code 1 of no dictionary");
}

#[test]
fn a_page_that_claims_to_be_huge_is_not_opened() {
    let header = PageHeader {
        kind: PageKind::Data,
        header_bytes: 0,
        compressed_bytes: 4,
        bytes: PAGE_BYTES_MAX + 1,
        values: 1,
        encoding: PLAIN,
        levels_encoding: RLE,
    };
    let mut with = Decompressor::new().unwrap();
    assert!(with.open(&header, &[0; 4], Compression::UNCOMPRESSED).is_err());
}
