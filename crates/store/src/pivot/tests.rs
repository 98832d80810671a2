use std::sync::Arc;

use panoptes_model::{BatchWriter, Event, EventBatch, FieldType, FrameId, Origin, Schema, Timestamp, field};

use super::*;

fn build(fill: impl FnOnce(&mut BatchWriter<'_>)) -> EventBatch {
    let mut schema = Schema::ecs();
    schema.intern("x.ratio", FieldType::Float).unwrap();
    schema.intern("x.flag", FieldType::Boolean).unwrap();
    let origin = Origin { source: "web".into(), input: "tcp".into(), ..Origin::default() };
    EventBatch::build(Arc::new(schema), FrameId(7), Timestamp::from_seconds(9_000), vec![origin], String::new(), fill)
}

fn one(fill: impl FnOnce(&mut BatchWriter<'_>)) -> Row {
    let batch = build(|writer| {
        writer.begin("raw", 0, Timestamp(5), 0);
        writer.time(Timestamp(3));
        fill(writer);
    });
    rows(&pivot_batch(&batch)).remove(0)
}

fn named(writer: &mut BatchWriter<'_>, name: &str) -> panoptes_model::FieldId {
    writer.field(name).unwrap()
}

#[test]
fn every_type_comes_back_as_it_went_in() {
    let row = one(|writer| {
        writer.text(field::MESSAGE, "héllo");
        writer.ip(field::SOURCE_IP, "2001:DB8::1".parse().unwrap());
        writer.ip(field::HOST_IP, "::ffff:10.0.0.1".parse().unwrap());
        writer.integer(field::SOURCE_PORT, -22);
        writer.timestamp(field::EVENT_START, Timestamp(i64::MIN));
        let ratio = named(writer, "x.ratio");
        writer.float(ratio, f64::MIN_POSITIVE);
        let flag = named(writer, "x.flag");
        writer.boolean(flag, false);
        writer.text_list(field::EVENT_CATEGORY, ["authentication", "session", ""]);
        let invented = named(writer, "count");
        writer.integer(invented, 5);
        writer.text(field::USER_NAME, "");
    });
    assert_eq!((row.id.to_string().as_str(), row.time), ("7-0", Timestamp(3)));
    let text = |it: &str| FieldValue::Text(it.into());
    let expected = [
        ("@timestamp", FieldValue::Timestamp(Timestamp(3))),
        ("event.id", text("7-0")),
        ("event.ingested", FieldValue::Timestamp(Timestamp(5))),
        ("event.original", text("raw")),
        ("panoptes.source", text("web")),
        ("panoptes.input", text("tcp")),
        ("message", text("héllo")),
        ("source.ip", text("2001:db8::1")),
        ("host.ip", text("10.0.0.1")),
        ("source.port", FieldValue::Integer(-22)),
        ("event.start", FieldValue::Timestamp(Timestamp(i64::MIN))),
        ("x.ratio", FieldValue::Float(f64::MIN_POSITIVE)),
        ("x.flag", FieldValue::Boolean(false)),
        ("event.category", FieldValue::List(vec![text("authentication"), text("session"), text("")])),
        ("count", text("5")),
        ("user.name", text("")),
    ];
    assert_eq!(row.fields, expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn misfits_repetitions_and_reserved_names_go_to_the_overflow_and_come_back() {
    let batch = build(|writer| {
        writer.begin("raw", 0, Timestamp(5), 0);
        writer.time(Timestamp(3));
        writer.text(field::SOURCE_PORT, "ssh");
        writer.text(field::SOURCE_IP, "unknown");
        writer.text(field::USER_NAME, "root");
        writer.text(field::USER_NAME, "toor");
        writer.text(field::MESSAGE, "a\u{1f}b");
        writer.text(field::EVENT_ORIGINAL, "forged");
        let overflow = named(writer, "_overflow");
        writer.text(overflow, "\"{");
        let mut list = writer.list(field::URL_PORT);
        list.integer(1);
        list.null();
        list.close();
        let ratio = named(writer, "x.ratio");
        writer.float(ratio, 1.0);
        writer.float(ratio, f64::NAN);
        writer.null(field::TAGS);
    });
    let record = pivot_batch(&batch);
    let column = |name: &str| record.column_by_name(name).map(|it| it.null_count());
    assert_eq!((column("user.name"), column("source.port"), column("tags")), (Some(0), Some(1), None));
    let row = rows(&record).remove(0);
    let text = |it: &str| FieldValue::Text(it.into());
    let tail: Vec<_> = row.fields.iter().skip(6).map(|(name, value)| (name.as_str(), value.clone())).collect();
    assert_eq!(
        tail,
        [
            ("user.name", text("root")),
            ("x.ratio", FieldValue::Float(1.0)),
            ("source.port", text("ssh")),
            ("source.ip", text("unknown")),
            ("user.name", text("toor")),
            ("message", text("a\u{1f}b")),
            ("_sent.event.original", text("forged")),
            ("_sent._overflow", text("\"{")),
            ("url.port", FieldValue::List(vec![FieldValue::Integer(1), FieldValue::Null])),
            ("x.ratio", text("NaN")),
        ]
    );
    assert_eq!(row.get("event.original"), Some(&text("raw")));
    let json: serde_json::Value = serde_json::from_str(&row.to_json()).unwrap();
    assert_eq!(json["user.name"], serde_json::json!(["root", "toor"]));
}

#[test]
fn text_that_reads_as_the_type_of_its_field_fits() {
    let row = one(|writer| {
        writer.text(field::SOURCE_PORT, "22");
        writer.text(field::SOURCE_IP, "::FFFF:10.0.0.1");
        writer.text(field::EVENT_START, "1970-01-01T01:00:00+01:00");
        let ratio = named(writer, "x.ratio");
        writer.integer(ratio, 2);
    });
    assert_eq!(row.get("source.port"), Some(&FieldValue::Integer(22)));
    assert_eq!(row.get("source.ip"), Some(&FieldValue::Text("10.0.0.1".into())));
    assert_eq!(row.get("event.start"), Some(&FieldValue::Timestamp(Timestamp(0))));
    assert_eq!(row.get("x.ratio"), Some(&FieldValue::Float(2.0)));
}

#[test]
fn fields_beyond_the_limit_overflow_and_invented_names_go_first() {
    let batch = build(|writer| {
        for round in 0..2 {
            writer.begin("", 0, Timestamp(5), 0);
            writer.time(Timestamp(3));
            for n in 0..2 * COLUMNS_MAX {
                // Every other name comes twice.
                if round == 0 || n % 2 == 0 {
                    let id = named(writer, &format!("x{n}"));
                    writer.integer(id, n as i64);
                }
            }
            writer.text(field::USER_NAME, "root");
        }
    });
    let record = pivot_batch(&batch);
    // `_row` is added when a segment is written.
    assert_eq!(record.num_columns(), COLUMNS_MAX - 1);
    assert!(record.column_by_name("user.name").is_some());
    assert!(record.column_by_name("x2").is_some(), "frequent");
    assert!(record.column_by_name("x1").is_none(), "rare");
    for (row, event) in rows(&record).iter().zip(batch.events()) {
        assert_eq!(row.fields.len(), 6 + event.fields().len(), "nothing is lost");
    }
    assert_eq!(rows(&record)[0].get("x1"), Some(&FieldValue::Integer(1)));
}

#[test]
fn events_of_several_batches_are_joined_by_name() {
    let batch = |names: [&str; 2]| {
        build(|writer| {
            for n in 0..2 {
                writer.begin("", 0, Timestamp(5), 0);
                writer.time(Timestamp(n));
                for name in names {
                    let id = named(writer, name);
                    writer.text(id, &format!("{name}{n}"));
                }
            }
        })
    };
    let (left, right) = (batch(["a", "b"]), batch(["c", "a"]));
    let picked = [(1, 1), (0, 0), (1, 0), (5, 0), (0, 9)].map(|(batch, event)| RowRef { batch, event });
    let record = pivot(&[&left, &right], &picked);
    let names: Vec<_> = record.schema().fields().iter().skip(FIXED_COLUMNS).map(|it| it.name().clone()).collect();
    assert_eq!(names, ["c", "a", "b"]);
    let seen: Vec<_> = rows(&record).iter().map(|row| row.get("a").cloned()).collect();
    assert_eq!(seen, ["a1", "a0", "a0"].map(|it| Some(FieldValue::Text(it.into()))));
}

#[test]
fn a_pivot_of_named_fields_ignores_the_others_but_keeps_their_misfits() {
    let batch = build(|writer| {
        writer.begin("", 0, Timestamp(5), 0);
        writer.time(Timestamp(3));
        writer.text(field::USER_NAME, "root");
        writer.text(field::SOURCE_PORT, "ssh");
        writer.text(field::URL_PORT, "http");
    });
    let rows_of = [RowRef { batch: 0, event: 0 }];
    let wanted = [("source.port".to_owned(), FieldType::Integer), ("nowhere".to_owned(), FieldType::Text)];
    let record = pivot_named(&[&batch], &rows_of, &wanted);
    let row = rows(&record).remove(0);
    let tail: Vec<_> = row.fields.iter().skip(3).collect();
    assert_eq!(tail, [&("source.port".to_owned(), FieldValue::Text("ssh".into()))]);
    let with_text = [("event.original".to_owned(), FieldType::Text)];
    assert!(pivot_named(&[&batch], &rows_of, &with_text).column_by_name("event.original").is_some());
    assert_eq!(record.column_by_name("nowhere").map(|it| it.null_count()), Some(1));
    let _: Option<Event<'_>> = batch.event(0);
}
