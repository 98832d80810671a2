//! Merged segments hold what their inputs held.

use std::collections::BTreeMap;
use std::sync::Arc;

use panoptes_model::{BatchWriter, EventBatch, EventId, FieldType, Origin, Schema, field};

use super::*;
use crate::disk::sim::Dice;
use crate::disk::{Disk as _, SimDisk};
use crate::manifest::Kinds;
use crate::pivot::{COLUMNS_MAX, FieldValue, Row, rows};
use crate::segment::write_segments;

const DAY: i64 = 86_400 * Timestamp::NANOS_PER_SECOND;

fn key() -> KeyEncryptionKey {
    KeyEncryptionKey::from_bytes([5; 32])
}

fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir_all(FOLDER).unwrap();
    disk
}

fn seal(disk: &SimDisk, frame: u64, fill: impl FnOnce(&mut BatchWriter<'_>)) -> Segment {
    let origin = Origin { source: format!("host{}", frame % 3), ..Origin::default() };
    let (schema, now) = (Arc::new(Schema::ecs()), Timestamp(i64::MAX));
    let batch = EventBatch::build(schema, FrameId(frame), now, vec![origin], String::new(), fill);
    write_segments(disk, &key(), &[Arc::new(batch)], (FrameId(frame), FrameId(frame)), 0, &Default::default())
        .unwrap()
        .remove(0)
}

fn read(disk: &SimDisk, segment: &Segment) -> Vec<Row> {
    let file = SealedFile::open(disk, &key(), &segment.file).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.flat_map(|it| rows(&it.unwrap())).collect()
}

/// The values of each event under each name, in whatever order names come.
fn by_id(rows: &[Row]) -> BTreeMap<EventId, BTreeMap<String, Vec<String>>> {
    let json = |value: &FieldValue| {
        let mut out = String::new();
        value.write_json(&mut out);
        out
    };
    let of_row = |row: &Row| {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &row.fields {
            fields.entry(name.clone()).or_default().push(json(value));
        }
        (row.id, fields)
    };
    rows.iter().map(of_row).collect()
}

/// Merges and compares.
fn check(disk: &SimDisk, inputs: &[Segment]) -> (Segment, Vec<Row>) {
    let before: Vec<Row> = inputs.iter().flat_map(|it| read(disk, it)).collect();
    let refs: Vec<&Segment> = inputs.iter().collect();
    let file = output_file(&refs, 7, 1);
    let merged = merge(disk, &key(), &refs, &file, &keep_all, &|| true).unwrap();
    let output = merged.output.unwrap();
    let after = read(disk, &output);
    assert_eq!(by_id(&before), by_id(&after));
    assert_eq!((after.len(), output.rows), (before.len(), before.len() as u64));
    assert!(after.is_sorted_by_key(|it| (it.time, it.id)));
    assert_eq!((output.time_min, output.time_max), (after[0].time, after.last().unwrap().time));
    let sum = inputs.iter().filter_map(|it| it.rows_digest).fold(RowsDigest::EMPTY, RowsDigest::plus);
    assert_eq!((output.rows_digest, merged.dropped_rows), (Some(sum), 0));
    assert!(!disk.exists(&format!("{file}.new")).unwrap());
    (output, after)
}

#[test]
fn rows_are_woven_by_time_and_keep_all_their_fields() {
    let disk = disk();
    let mut dice = Dice::new(1);
    let inputs: Vec<Segment> = (1..=5)
        .map(|frame| {
            seal(&disk, frame, |writer| {
                for n in 0..3_000 / frame {
                    writer.begin(&format!("record {frame} {n}"), 0, Timestamp(9), n);
                    writer.time(Timestamp(dice.below(50) as i64 * 1000));
                    writer.text(field::MESSAGE, &format!("message {n}"));
                    if dice.percent(30) {
                        writer.typed(field::SOURCE_IP, "203.0.113.9");
                    }
                    if dice.percent(10) {
                        writer.text_list(field::HOST_IP, ["10.0.0.1", "10.0.0.2"]);
                    }
                    // Each segment has columns of its own, and misfits.
                    let own = writer.field(&format!("only.{frame}")).unwrap();
                    writer.text(own, "x");
                    if dice.percent(5) {
                        writer.text(own, "again");
                    }
                }
            })
        })
        .collect();
    let (output, rows) = check(&disk, &inputs);
    assert_eq!((output.frame_first, output.frame_last), (FrameId(1), FrameId(5)));
    assert_eq!(output.sources, Kinds::of((0..3).map(|n| format!("host{n}"))));
    assert!(matches!(rows.iter().find_map(|it| it.get("host.ip")), Some(FieldValue::List(items)) if items.len() == 2));
    // What was merged can be merged again.
    check(&disk, &[output, inputs[0].clone()][..1]);
}

#[test]
fn fields_beyond_the_columns_and_values_of_another_type_go_to_the_overflow() {
    let disk = disk();
    let inputs: Vec<Segment> = (1..=2)
        .map(|frame| {
            seal(&disk, frame, |writer| {
                for row in 0..4 {
                    writer.begin("x", 0, Timestamp(9), row);
                    writer.time(Timestamp(row as i64));
                    writer.text(field::MESSAGE, "kept");
                    for n in 0..COLUMNS_MAX as u64 - 40 {
                        // Invented, and those of the second segment more frequent.
                        let name = writer.field(&format!("field{frame}.{n}")).unwrap();
                        if frame == 2 || row == 0 {
                            writer.text(name, &format!("{n}"));
                        }
                    }
                    // A value and a second one: readers must see the same first.
                    let twice = writer.field("field1.0").unwrap();
                    writer.text(twice, "first");
                    writer.text(twice, "second");
                }
            })
        })
        .collect();
    let (output, rows) = check(&disk, &inputs);
    let file = SealedFile::open(&disk, &key(), &output.file).unwrap();
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).unwrap();
    let names: Vec<&str> = metadata.schema().fields().iter().map(|it| it.name().as_str()).collect();
    assert_eq!(names.len(), COLUMNS_MAX);
    assert!(names.contains(&"message") && names.contains(&"field2.9") && names.contains(&"_overflow"));
    let last_of_first = rows.iter().find(|it| it.id.frame == FrameId(1)).unwrap();
    assert_eq!(last_of_first.get("field1.9"), Some(&FieldValue::Text("9".into())), "wherever it lies");

    // As after an update that gave a field another type.
    let typed = |frame: u64, count: u64| {
        let mut schema = Schema::ecs();
        let ty = if frame == 8 { FieldType::Integer } else { FieldType::Text };
        let amount = schema.intern("amount", ty).unwrap();
        let batch = EventBatch::build(
            Arc::new(schema),
            FrameId(frame),
            Timestamp(i64::MAX),
            Vec::new(),
            String::new(),
            |writer| {
                for n in 0..count {
                    writer.begin("x", 0, Timestamp(9), n);
                    writer.text(amount, "12");
                }
            },
        );
        write_segments(&disk, &key(), &[Arc::new(batch)], (FrameId(frame), FrameId(frame)), 0, &Default::default())
            .unwrap()
            .remove(0)
    };
    let inputs = [typed(7, 2), typed(8, 3)];
    let refs: Vec<&Segment> = inputs.iter().collect();
    let merged = merge(&disk, &key(), &refs, &output_file(&refs, 7, 2), &keep_all, &|| true).unwrap();
    let values: Vec<FieldValue> =
        read(&disk, &merged.output.unwrap()).iter().map(|it| it.get("amount").unwrap().clone()).collect();
    let text = FieldValue::Text("12".into());
    assert_eq!(values, [text.clone(), text, FieldValue::Integer(12), FieldValue::Integer(12), FieldValue::Integer(12)]);
}

fn lines(disk: &SimDisk, frame: u64, count: u64) -> Segment {
    seal(disk, frame, |writer| {
        for n in 0..count {
            writer.begin(&format!("line {n}"), 0, Timestamp(9), n);
            writer.time(Timestamp(DAY + n as i64));
        }
    })
}

#[test]
fn rows_that_are_not_kept_are_counted_and_summed() {
    let disk = disk();
    let inputs = [lines(&disk, 1, 1_000), lines(&disk, 2, 10)];
    let refs: Vec<&Segment> = inputs.iter().collect();
    let keep = |batch: &RecordBatch| {
        use arrow::array::AsArray as _;
        let originals = batch.column_by_name(ORIGINAL).unwrap().as_string_view();
        Ok(Some(originals.iter().map(|it| it.map(|it| it != "line 3")).collect()))
    };
    let merged = merge(&disk, &key(), &refs, "segments/a.segment", &keep, &|| true).unwrap();
    let mut gone = RowsDigest::EMPTY;
    for frame in [1, 2] {
        gone.add_event(EventId { frame: FrameId(frame), index: 3 }, b"line 3");
    }
    assert_eq!((merged.dropped_rows, merged.dropped_digest), (2, gone));
    let output = merged.output.unwrap();
    let all = inputs.iter().filter_map(|it| it.rows_digest).fold(RowsDigest::EMPTY, RowsDigest::plus);
    assert_eq!((output.rows, output.rows_digest), (1_008, Some(all.minus(gone))));
    let none = |batch: &RecordBatch| Ok(Some(BooleanArray::from(vec![false; batch.num_rows()])));
    let merged = merge(&disk, &key(), &refs, "segments/b.segment", &none, &|| true).unwrap();
    assert_eq!((merged.output, merged.dropped_rows, merged.dropped_digest), (None, 1_010, all));
    assert!(!disk.exists("segments/b.segment").unwrap());
}

#[test]
fn what_is_not_what_the_manifest_says_is_not_merged_and_leaves_nothing() {
    let disk = disk();
    let inputs = [lines(&disk, 1, 500), lines(&disk, 2, 10)];
    let files = disk.list(FOLDER).unwrap();
    let try_merge = |inputs: &[Segment], go_on: bool| {
        let refs: Vec<&Segment> = inputs.iter().collect();
        let error = merge(&disk, &key(), &refs, "segments/m.segment", &keep_all, &|| go_on).unwrap_err();
        assert_eq!(disk.list(FOLDER).unwrap(), files, "{error}");
        error
    };
    let altered = |change: fn(&mut Segment)| {
        let mut changed = inputs.clone();
        change(&mut changed[1]);
        try_merge(&changed, true)
    };
    let to_blame = |error: &CompactError| error.damaged_input().map(str::to_owned);
    assert_eq!(to_blame(&altered(|it| it.rows += 1)), Some(inputs[1].file.clone()));
    assert_eq!(to_blame(&altered(|it| it.rows_digest = Some(RowsDigest([1; 32])))), Some(inputs[1].file.clone()));
    assert_eq!(to_blame(&altered(|it| it.file.push('x'))), Some(format!("{}x", inputs[1].file)));
    assert!(matches!(try_merge(&inputs, false), CompactError::Stopped));
    disk.fail_operation(2);
    let refused = try_merge(&inputs, true);
    assert!(matches!(refused, CompactError::Write(_)) && to_blame(&refused).is_none(), "{refused:?}");
    disk.tamper(&inputs[0].file, |it| {
        let middle = it.len() / 2;
        it[middle] ^= 1;
    });
    assert_eq!(to_blame(&try_merge(&inputs, true)), Some(inputs[0].file.clone()));
}
