//! From a frame of bytes to a batch of events.

use std::net::IpAddr;
use std::sync::Arc;

use panoptes_model::{
    Anomaly, BATCH_BYTES_MAX, BatchWriter, EventBatch, LogFrame, Origin, RawBatch, RawRecord, Schema, Timestamp, field,
};

use crate::connections::Connections;
use crate::context::{Context, Server};
use crate::explain::{self, Explanation};
use crate::formats::{self, FormatKind};
use crate::services::{KeyTable, ServiceFormats};
use crate::time::Zone;

/// How large the text of a frame may grow while broken UTF-8 is repaired (each bad byte becomes three). The records
/// beyond are empty and flagged [`Anomaly::Truncated`].
const REPAIRED_BYTES_MAX: usize = 4 * BATCH_BYTES_MAX;

/// What holds for all sources that say nothing else.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The zone of times that name none, from sources whose [`Origin::time_zone`] is `None` or unknown.
    pub time_zone: Zone,
}

/// Turns records into events. Holds no state: share one between as many threads as you like.
#[derive(Clone, Debug)]
pub struct Normalizer {
    options: Options,
    services: Arc<ServiceFormats>,
}

impl Default for Normalizer {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

/// What an origin means for its records.
struct Source {
    zone: Zone,
    server: Server,
    peer: Option<IpAddr>,
    format: Option<&'static FormatKind>,
}

impl Normalizer {
    /// With the service formats that Panoptes ships.
    pub fn new(options: Options) -> Self {
        Self::with_services(options, ServiceFormats::built_in())
    }

    /// With these service formats in their place: [`ServiceFormats::with_built_in`] has both.
    pub fn with_services(options: Options, services: Arc<ServiceFormats>) -> Self {
        Self { options, services }
    }

    /// Turns each record of `frame` into exactly one event, in order.
    pub fn normalize(&self, schema: &Arc<Schema>, frame: LogFrame) -> EventBatch {
        self.normalize_with(schema, frame, &mut |_| ())
    }

    /// The same, and lets `complete` add to each event before it is closed: what is known of its values from elsewhere.
    pub fn normalize_with(
        &self,
        schema: &Arc<Schema>,
        frame: LogFrame,
        complete: &mut dyn FnMut(&mut BatchWriter<'_>),
    ) -> EventBatch {
        let LogFrame { id, now, records: RawBatch { bytes, origins, mut records }, .. } = frame;
        let (input, damage) = into_text(bytes, &mut records);
        let sources: Vec<Source> = origins.iter().map(|it| self.source(it)).collect();
        let nowhere = self.source(&Origin::default());
        let keys = KeyTable::default();
        let mut connections = Connections::default();
        EventBatch::build(Arc::clone(schema), id, now, origins, input, |writer| {
            let input = writer.input();
            for (index, record) in records.iter().enumerate() {
                let start = record.offset as usize;
                let text = input.get(start..start + record.length as usize);
                let source = sources.get(record.origin as usize).unwrap_or(&nowhere);
                let context = Context::new(&source.zone, source.server, &self.services, &keys);
                writer.begin(text.unwrap_or(""), record.origin, record.received_at, record.position);
                formats::read(writer, text.unwrap_or(""), &context, source.format, &mut |_, _| ());
                connections.lend(writer, record.origin, keys.connection.take());
                if let Some(peer) = source.peer.filter(|_| !writer.has(field::OBSERVER_IP)) {
                    writer.ip(field::OBSERVER_IP, peer);
                }
                if text.is_none() {
                    writer.anomaly(Anomaly::Truncated);
                }
                if let Some(anomaly) = damage.get(index).copied().flatten() {
                    writer.anomaly(anomaly);
                }
                complete(writer);
                writer.end();
            }
        })
    }

    /// Says what becomes of `line` as a record from `origin` received at `now`: which formats were asked, which took
    /// it, why the others did not, and the fields.
    pub fn explain(&self, line: &str, origin: &Origin, now: Timestamp) -> Explanation {
        let source = self.source(origin);
        let keys = KeyTable::default();
        let context = Context::new(&source.zone, source.server, &self.services, &keys);
        explain::explain(line, origin, now, &context.explaining(), source.format)
    }

    fn source(&self, origin: &Origin) -> Source {
        let zone = origin.time_zone.as_deref().and_then(|it| Zone::named(it).ok());
        Source {
            zone: zone.unwrap_or_else(|| self.options.time_zone.clone()),
            server: Server::of_origin(origin),
            peer: origin.peer,
            format: origin.format.as_deref().and_then(formats::named),
        }
    }
}

/// The bytes as text, and per record what had to be done to it (empty if nothing). Valid UTF-8 is not copied;
/// otherwise every record is repaired for itself and `records` point into the new text.
fn into_text(bytes: Vec<u8>, records: &mut [RawRecord]) -> (String, Vec<Option<Anomaly>>) {
    let bytes = match checked_text(bytes) {
        // A record may still begin or end inside a character.
        Ok(text) if records.iter().all(|it| text.is_char_boundary(it.offset as usize) && end_is_border(&text, it)) => {
            return (text, Vec::new());
        }
        Ok(text) => text.into_bytes(),
        Err(bytes) => bytes,
    };
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 16);
    let mut damage = Vec::with_capacity(records.len());
    for record in records {
        let start = record.offset as usize;
        let end = start + record.length as usize;
        record.offset = text.len() as u32;
        let Some(raw) = bytes.get(start..end).filter(|it| text.len() + 3 * it.len() <= REPAIRED_BYTES_MAX) else {
            record.length = 0;
            damage.push(Some(Anomaly::Truncated));
            continue;
        };
        let mut broken = false;
        for chunk in raw.utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
                broken = true;
            }
        }
        record.length = (text.len() - record.offset as usize) as u32;
        damage.push(broken.then_some(Anomaly::Utf8Invalid));
    }
    (text, damage)
}

/// [`String::from_utf8`], several times as fast: every byte that comes in passes here.
#[expect(unsafe_code, reason = "the standard library would check once more")]
fn checked_text(bytes: Vec<u8>) -> Result<String, Vec<u8>> {
    match simdutf8::basic::from_utf8(&bytes) {
        // SAFETY: the bytes were just found to be valid UTF-8.
        Ok(_) => Ok(unsafe { String::from_utf8_unchecked(bytes) }),
        Err(_) => Err(bytes),
    }
}

/// Whether the record's end is no place inside a character. A record that ends beyond the text is dealt with later.
fn end_is_border(text: &str, record: &RawRecord) -> bool {
    let end = record.offset as usize + record.length as usize;
    end > text.len() || text.is_char_boundary(end)
}

#[cfg(test)]
mod tests {
    use panoptes_model::FrameId;

    use super::*;

    fn normalize(records: RawBatch) -> EventBatch {
        let now = Timestamp::from_seconds(1_705_320_000);
        let frame = LogFrame { id: FrameId(3), now, rules_epoch: 0, snapshots_epoch: 0, records };
        Normalizer::default().normalize(&Arc::new(Schema::ecs()), frame)
    }

    fn batch(records: &[&[u8]]) -> RawBatch {
        let mut batch = RawBatch::new();
        let origin = batch.origin(&Origin { source: "test".into(), ..Origin::default() });
        for (index, record) in records.iter().enumerate() {
            batch.push(origin, Timestamp::from_seconds(1_705_320_000), index as u64 + 1, record);
        }
        batch
    }

    #[test]
    fn every_record_is_one_event_in_order() {
        let events = normalize(batch(&[b"one", b"", b"{\"message\":\"three\"}", b"four"]));
        let messages: Vec<_> = events.events().map(|it| (it.position(), it.text(field::MESSAGE).unwrap())).collect();
        assert_eq!(messages, [(1, "one"), (2, ""), (3, "three"), (4, "four")]);
        let unparsed: Vec<_> = events.events().map(|it| it.is_unparsed()).collect();
        assert_eq!(unparsed, [true, true, false, true]);
    }

    #[test]
    fn broken_utf8_is_repaired_in_its_own_record_only() {
        let events = normalize(batch(&["grüß".as_bytes(), b"a\xffb\xc3", b"plain"]));
        let seen: Vec<_> = events
            .events()
            .map(|it| (it.original().to_owned(), it.anomalies().contains(Anomaly::Utf8Invalid)))
            .collect();
        assert_eq!(seen, [("grüß".into(), false), ("a\u{fffd}b\u{fffd}".into(), true), ("plain".into(), false)]);
    }

    #[test]
    fn a_character_cut_between_two_records_is_broken_in_both() {
        let (left, right) = "ü".as_bytes().split_at(1);
        let events = normalize(batch(&[left, right]));
        assert!(events.events().all(|it| it.original() == "\u{fffd}" && it.anomalies().contains(Anomaly::Utf8Invalid)));
    }

    #[test]
    fn records_that_lie_outside_the_bytes_are_empty_events() {
        let mut records = batch(&[b"one"]);
        let stray = RawRecord { offset: 2, length: 9, ..*records.records.first().unwrap() };
        records.records.push(stray);
        records.records.push(RawRecord { offset: u32::MAX, length: u32::MAX, origin: 7, ..stray });
        for bytes in [b"one".to_vec(), b"\xff\xffe".to_vec()] {
            let events = normalize(RawBatch { bytes, ..records.clone() });
            let flagged: Vec<_> = events.events().map(|it| it.anomalies().contains(Anomaly::Truncated)).collect();
            assert_eq!(flagged, [false, true, true]);
        }
    }

    #[test]
    fn who_sent_a_record_is_kept_beside_the_host_that_it_claims() {
        let mut records = RawBatch::new();
        let origin = records.origin(&Origin { peer: "192.0.2.7".parse().ok(), ..Origin::default() });
        records.push(origin, Timestamp(0), 1, b"<13>Jan 15 10:30:00 web1 app: said");
        let events = normalize(records);
        let event = events.event(0).unwrap();
        assert_eq!(event.get(field::OBSERVER_IP).unwrap().to_text(), "192.0.2.7");
        assert_eq!(event.text(field::HOST_NAME), Some("web1"));
    }

    #[test]
    fn repair_is_bounded() {
        let mut bytes = vec![b'x'; BATCH_BYTES_MAX];
        bytes[0] = 0xff;
        let whole =
            RawRecord { offset: 0, length: BATCH_BYTES_MAX as u32, origin: 0, received_at: Timestamp(0), position: 1 };
        let mut records = [whole; 6];
        let (text, damage) = into_text(bytes, &mut records);
        assert!(text.len() <= REPAIRED_BYTES_MAX);
        assert_eq!(damage.first(), Some(&Some(Anomaly::Utf8Invalid)));
        assert_eq!(damage.last(), Some(&Some(Anomaly::Truncated)));
    }

    #[test]
    fn a_source_may_fix_its_format_and_its_zone() {
        let line = b"2024-01-15 10:30:00 a=1 b=2";
        let with = |format: Option<&str>, zone: Option<&str>| {
            let mut records = RawBatch::new();
            let origin = records.origin(&Origin {
                format: format.map(str::to_owned),
                time_zone: zone.map(str::to_owned),
                ..Origin::default()
            });
            records.push(origin, Timestamp::from_seconds(1_705_320_000), 1, line);
            let events = normalize(records);
            let event = events.event(0).unwrap();
            (event.text(field::EVENT_DATASET).unwrap().to_owned(), event.time().to_string())
        };
        assert_eq!(with(None, None), ("keyvalue".into(), "2024-01-15T10:30:00Z".into()));
        assert_eq!(with(Some("plain"), Some("+01:00")), ("plain".into(), "2024-01-15T09:30:00Z".into()));
        assert_eq!(with(Some("no such format"), Some("nowhere")).0, "keyvalue");
        // A format that does not take the line leaves it to plain text.
        assert_eq!(with(Some("json"), None).0, "plain");
    }
}
