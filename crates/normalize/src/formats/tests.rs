//! The contract of every format, and helpers for their own tests.

use std::sync::Arc;

use expect_test::Expect;
use panoptes_model::{EventBatch, FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::{Normalizer, Zone};

/// 2024-01-15T12:00:00Z
fn now() -> Timestamp {
    Timestamp::from_seconds(1_705_320_000)
}

pub(crate) fn normalize(line: &[u8]) -> EventBatch {
    normalize_all(&[line])
}

fn normalize_all(lines: &[&[u8]]) -> EventBatch {
    let mut records = RawBatch::new();
    let origin = records.origin(&Origin::default());
    for line in lines {
        records.push(origin, now(), 1, line);
    }
    let frame = LogFrame { id: FrameId(1), now: now(), rules_epoch: 0, snapshots_epoch: 0, records };
    Normalizer::default().normalize(&Arc::new(Schema::ecs()), frame)
}

fn describe(batch: &EventBatch, index: usize) -> String {
    let event = batch.event(index).unwrap();
    let mut out = format!("{}{}\n", event.time(), if event.is_unparsed() { " unparsed" } else { "" });
    for (id, value) in event.fields() {
        out.push_str(&format!("{}: {}\n", batch.field_name(id), value.to_text()));
    }
    out
}

/// Time and fields of `line`, one a line.
pub(crate) fn fields(line: &str) -> String {
    describe(&normalize(line.as_bytes()), 0)
}

/// The same of several lines of one frame.
pub(crate) fn fields_together(lines: &[String]) -> Vec<String> {
    let lines: Vec<&[u8]> = lines.iter().map(|it| it.as_bytes()).collect();
    let batch = normalize_all(&lines);
    (0..lines.len()).map(|index| describe(&batch, index)).collect()
}

#[track_caller]
pub(crate) fn check(line: &str, expected: Expect) {
    expected.assert_eq(&fields(line));
}

/// The value of the field called `name`, empty if there is none.
pub(crate) fn value(line: &str, name: &str) -> String {
    let batch = normalize(line.as_bytes());
    batch.event(0).unwrap().get_named(name).map_or_else(String::new, |it| it.to_text().into_owned())
}

#[test]
fn every_format_takes_its_example_and_is_asked_for_it() {
    for kind in ALL {
        assert_eq!(value(kind.example, "panoptes.format"), kind.name, "{}", kind.example);
        assert!(!normalize(kind.example.as_bytes()).event(0).unwrap().is_unparsed());
        assert_eq!(named(kind.name).map(|it| it.name), Some(kind.name));
        assert!(!kind.summary.is_empty());
    }
    assert!(named("no such format").is_none());
}

#[test]
fn every_format_gives_the_same_event_twice() {
    for kind in ALL {
        assert_eq!(fields(kind.example), fields(kind.example));
    }
}

/// Asks one format directly, whatever the first byte.
fn ask(kind: &'static FormatKind, line: &[u8]) {
    let line = String::from_utf8_lossy(line).into_owned();
    let (zone, services, keys) = (Zone::default(), crate::ServiceFormats::built_in(), Default::default());
    let context = Context::new(&zone, crate::context::Server::Unknown, &services, &keys);
    EventBatch::build(Arc::new(Schema::ecs()), FrameId(1), now(), Vec::new(), line, |writer| {
        writer.begin(writer.input(), 0, now(), 0);
        read(writer, writer.input(), &context, Some(kind), &mut |_, _| ());
    });
}

#[test]
fn every_prefix_of_every_example_is_an_event() {
    for kind in ALL {
        for (end, _) in kind.example.char_indices() {
            let (prefix, _) = kind.example.split_at(end);
            assert_eq!(normalize(prefix.as_bytes()).len(), 1);
            for other in ALL {
                ask(other, prefix.as_bytes());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_bytes_never_panic(line: Vec<u8>) {
        prop_assert_eq!(normalize(&line).len(), 1);
        for kind in ALL {
            ask(kind, &line);
        }
    }

    #[test]
    fn damaged_examples_never_panic(which in 0..ALL.len(), at: prop::sample::Index, byte: u8, insert: bool) {
        let kind = ALL[which];
        let mut line = kind.example.as_bytes().to_vec();
        let at = at.index(line.len());
        if insert {
            line.insert(at, byte);
        } else {
            line[at] = byte;
        }
        let batch = normalize(&line);
        prop_assert_eq!(batch.len(), 1);
        prop_assert!(batch.event(0).unwrap().get(field::MESSAGE).is_some());
        for kind in ALL {
            ask(kind, &line);
        }
    }

    #[test]
    fn words_of_programs_in_any_order_never_panic(
        name in "(sshd|sudo|su|login|CRON|useradd|nginx|kernel)",
        words in prop::collection::vec(
            "(Failed|password|for|from|port|invalid|user|203\\.0\\.113\\.9|22|ssh2|:|;|\\(|\\)|\\[|\\]|'|\"|=|,|USER|COMMAND|\
              session|opened|by|pam_unix\\(|authentication|failure|rhost|Connection|closed|Disconnecting|message|repeated|times|é| )",
            0..16,
        ),
        joint in "( |)",
    ) {
        let line = format!("Jan 15 10:30:00 h {name}[7]: {}", words.join(&joint));
        prop_assert_eq!(normalize(line.as_bytes()).len(), 1);
    }
}

#[test]
fn an_event_without_a_time_has_its_receive_time_and_says_so() {
    assert_eq!(value("nothing here", "panoptes.anomaly"), "time_missing");
    assert!(fields("nothing here").starts_with("2024-01-15T12:00:00Z unparsed\n"));
}

#[test]
fn wrappings_are_taken_off_only_so_often() {
    let line = format!("{}last", "2024-01-15T10:30:00Z stdout F ".repeat(10));
    assert_eq!(value(&line, "panoptes.format"), "container");
    assert!(value(&line, "message").ends_with("stdout F last"));
}
