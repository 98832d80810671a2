//! What is written is what is read.

use std::sync::Arc;

use super::*;
use crate::FrameId;

fn build(input: &str, fill: impl FnOnce(&mut BatchWriter<'_>)) -> EventBatch {
    let now = Timestamp::from_seconds(1_000);
    EventBatch::build(Arc::new(Schema::ecs()), FrameId(7), now, Vec::new(), input.to_owned(), fill)
}

#[test]
fn slices_of_the_input_are_referred_to_and_other_text_is_copied() {
    let batch = build("user=root", |writer| {
        let input = writer.input();
        writer.begin(input, 0, Timestamp(5), 9);
        let (_, name) = input.split_once('=').unwrap();
        writer.text(field::USER_NAME, name);
        writer.text(field::MESSAGE, &"x".repeat(3));
    });
    let event = batch.event(0).unwrap();
    assert_eq!(event.text(field::USER_NAME), Some("root"));
    assert_eq!(event.text(field::MESSAGE), Some("xxx"));
    assert_eq!(batch.arena, "xxxtime_missing");
    assert_eq!((event.original(), event.position(), event.id().to_string().as_str()), ("user=root", 9, "7-0"));
}

#[test]
fn values_keep_their_types() {
    let batch = build("", |writer| {
        writer.begin("", 0, Timestamp(5), 0);
        writer.typed(field::SOURCE_IP, "203.0.113.9");
        writer.typed(field::DESTINATION_IP, "2001:db8::1");
        writer.typed(field::CLIENT_IP, "::ffff:192.0.2.1");
        writer.typed(field::SOURCE_PORT, "22");
        writer.typed(field::CLIENT_PORT, "ssh");
        writer.text_list(field::EVENT_CATEGORY, ["authentication", "session"]);
        writer.text_list(field::EVENT_TYPE, ["start"]);
    });
    let event = batch.event(0).unwrap();
    let texts: Vec<_> = event.fields().map(|(id, value)| (batch.field_name(id), value.to_text())).collect();
    assert_eq!(
        texts,
        [
            ("source.ip", "203.0.113.9".into()),
            ("destination.ip", "2001:db8::1".into()),
            ("client.ip", "192.0.2.1".into()),
            ("source.port", "22".into()),
            ("client.port", "ssh".into()),
            ("event.category", "authentication,session".into()),
            ("event.type", "start".into()),
            ("panoptes.anomaly", "time_missing".into()),
        ]
    );
    assert_eq!(event.get(field::SOURCE_PORT), Some(Value::Integer(22)));
    assert!(matches!(event.get(field::CLIENT_PORT), Some(Value::Text(_))));
    assert_eq!(event.get(field::EVENT_TYPE), Some(Value::Text("start")));
}

#[test]
fn a_rolled_back_event_leaves_nothing_of_the_first_try() {
    let batch = build("line", |writer| {
        let input = writer.input();
        writer.begin(input, 0, Timestamp(5), 0);
        writer.time(Timestamp(1));
        writer.text(field::MESSAGE, &"copied".repeat(2));
        writer.ip(field::SOURCE_IP, "2001:db8::1".parse().unwrap());
        writer.anomaly(Anomaly::Truncated);
        writer.rollback();
        writer.time(Timestamp(2));
        writer.text(field::MESSAGE, input);
    });
    let event = batch.event(0).unwrap();
    assert_eq!((event.fields().len(), event.time(), event.text(field::MESSAGE)), (1, Timestamp(2), Some("line")));
    assert!(event.anomalies().is_empty() && batch.arena.is_empty() && batch.wide.is_empty());
}

#[test]
fn fields_written_so_far_can_be_seen_named_twice_and_taken_away() {
    let batch = build("root", |writer| {
        writer.begin(writer.input(), 0, Timestamp(5), 0);
        writer.time(Timestamp(5));
        let own = writer.field("who").unwrap();
        writer.text(own, writer.input());
        writer.integer(field::SOURCE_PORT, 22);
        assert_eq!(writer.nth(0), Some((own, Value::Text("root"))));
        assert_eq!(writer.nth(2), None);
        assert_eq!(writer.field_name(own), "who");
        writer.alias(field::USER_NAME, 0);
        writer.alias(field::USER_ID, 9);
        writer.alias_part(field::GROUP_NAME, 0, 1, 3);
        writer.alias_part(field::GROUP_NAME, 0, 1, 5);
        writer.alias_part(field::GROUP_NAME, 1, 0, 1);
        writer.remove(1);
        writer.remove(9);
    });
    let event = batch.event(0).unwrap();
    let fields: Vec<_> = event.fields().map(|(id, value)| (batch.field_name(id), value)).collect();
    let text = Value::Text;
    assert_eq!(fields, [("who", text("root")), ("user.name", text("root")), ("group.name", text("oo"))]);
}

#[test]
fn times_ahead_of_the_clock_are_clamped_and_flagged() {
    let batch = build("", |writer| {
        for seconds in [1_000 + 299, 1_000 + 301] {
            writer.begin("", 0, Timestamp(5), 0);
            writer.time(Timestamp::from_seconds(seconds));
        }
    });
    let seen: Vec<_> =
        batch.events().map(|it| (it.time().as_seconds(), it.anomalies().contains(Anomaly::TimeAhead))).collect();
    assert_eq!(seen, [(1_299, false), (1_000, true)]);
}

#[test]
fn invented_names_are_local_and_bounded() {
    let batch = build("", |writer| {
        for n in 0..=LOCAL_NAMES_MAX {
            if n % 1_000 == 0 {
                writer.begin("", 0, Timestamp(5), 0);
            }
            if let Some(id) = writer.field(&format!("x{n}")) {
                writer.integer(id, 1);
            }
        }
    });
    assert_eq!(batch.field_id("x5").map(|id| id.fixed_index().is_some()), Some(false));
    assert_eq!(batch.field_id(&format!("x{LOCAL_NAMES_MAX}")), None);
    assert!(batch.events().last().unwrap().anomalies().contains(Anomaly::NamesTooMany));
    assert_eq!(batch.event(0).unwrap().get_named("x999"), Some(Value::Integer(1)));
    assert_eq!(batch.event(1).unwrap().get_named("x999"), None);
}

#[test]
fn translated_keys_are_asked_for_once_and_flagged_when_they_repeat() {
    let mut asked = 0;
    let batch = build("", |writer| {
        for key in ["Image", "Image", "a key of many more than thirty-two bytes", "Image"] {
            writer.begin("", 0, Timestamp(5), 0);
            let mut put = |writer: &mut BatchWriter<'_>| {
                let found = writer.translated(1, key, |name| {
                    asked += 1;
                    name.push_str("own.");
                    name.push_str(key);
                    9
                });
                let (id, tag) = found.unwrap();
                writer.integer(id, i64::from(tag));
            };
            put(writer);
            if key.starts_with("a ") {
                put(writer);
            }
        }
    });
    assert_eq!(asked, 3, "the long key is not remembered, so it is asked for twice");
    let flagged: Vec<_> = batch.events().map(|it| it.anomalies().contains(Anomaly::KeyDuplicate)).collect();
    assert_eq!(flagged, [false, false, true, false]);
    assert_eq!(batch.event(3).unwrap().get_named("own.Image"), Some(Value::Integer(9)));
}

#[test]
fn fields_and_list_items_are_bounded() {
    let batch = build("", |writer| {
        writer.begin("", 0, Timestamp(5), 0);
        for _ in 0..=EVENT_FIELDS_MAX {
            writer.integer(field::SOURCE_PORT, 1);
        }
        writer.begin("", 0, Timestamp(5), 0);
        writer.text_list(field::TAGS, std::iter::repeat_n("t", LIST_ITEMS_MAX + 1));
    });
    let (first, second) = (batch.event(0).unwrap(), batch.event(1).unwrap());
    assert!(first.anomalies().contains(Anomaly::FieldsTooMany));
    assert_eq!(first.fields().len(), EVENT_FIELDS_MAX + 1, "the anomaly itself is told beyond the limit");
    assert!(second.anomalies().contains(Anomaly::ListTooLong));
    assert!(matches!(second.get(field::TAGS), Some(Value::List(list)) if list.len() == LIST_ITEMS_MAX));
}

#[test]
fn decoded_text_is_bounded() {
    let batch = build("", |writer| {
        writer.begin("", 0, Timestamp(5), 0);
        writer.text_with(field::MESSAGE, |out| out.extend(std::iter::repeat_n('x', ARENA_BYTES_MAX + 1)));
    });
    let event = batch.event(0).unwrap();
    assert!(event.text(field::MESSAGE).is_none());
    assert!(event.anomalies().contains(Anomaly::FieldsTooMany));
}

#[test]
fn the_event_itself_answers_for_time_source_and_original() {
    let origin = crate::Origin { source: "s".into(), input: "tcp".into(), ..Default::default() };
    let batch = EventBatch::build(
        Arc::new(Schema::ecs()),
        FrameId(1),
        Timestamp::from_seconds(9),
        vec![origin],
        "line".into(),
        |writer| {
            writer.begin(writer.input(), 0, Timestamp(5), 0);
            writer.time(Timestamp(3));
        },
    );
    let event = batch.event(0).unwrap();
    assert_eq!(event.get_named("@timestamp"), Some(Value::Timestamp(Timestamp(3))));
    assert_eq!(event.get_named("event.original"), Some(Value::Text("line")));
    assert_eq!(event.get_named("panoptes.source"), Some(Value::Text("s")));
    assert_eq!(event.fields().len(), 0);
}
