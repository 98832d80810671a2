//! Lines of one connection lend each other the address that only one of them states.
//!
//! `Disconnecting: Too many authentication failures` names nobody; the line before it, of the same process, does. What
//! is lent never leaves its frame: the same frame always gives the same events. It is lent to failures only, which
//! nobody could be held to account for otherwise, and the event says so (`panoptes.address_from`).

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasherDefault, Hash as _, Hasher};
use std::net::IpAddr;

use panoptes_model::{BatchWriter, Value, field};

/// How many connections of a frame are remembered. When there are more, all are forgotten: later failures that name
/// nobody then stay without an address until their connection is named again.
const CONNECTIONS_MAX: usize = 4_096;

/// Servers that have a process for each connection: its number names it.
const BY_PROCESS: &[&str] = &["linux.sshd", "dropbear"];

/// Who is behind the connections of a frame.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    peers: HashMap<u64, (IpAddr, Option<i64>), BuildHasherDefault<IsHash>>,
}

/// The keys are hashes already.
#[derive(Debug, Default)]
struct IsHash(u64);

impl Hasher for IsHash {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Connections {
    /// Remembers the address of the open event's connection, or lends it one. `named` is what a service's pattern calls
    /// the connection.
    #[inline]
    pub(crate) fn lend(&mut self, writer: &mut BatchWriter<'_>, origin: u32, named: Option<u64>) {
        let Some(Value::Text(dataset)) = writer.get(field::EVENT_DATASET) else { return };
        let id = match named {
            Some(id) => id,
            None if BY_PROCESS.contains(&dataset) => match writer.get(field::PROCESS_PID) {
                Some(Value::Integer(pid)) => pid.unsigned_abs(),
                _ => return,
            },
            None => return,
        };
        let mut hasher = DefaultHasher::new();
        (origin, dataset, id).hash(&mut hasher);
        if let Some(Value::Text(host)) = writer.get(field::HOST_NAME) {
            host.hash(&mut hasher);
        }
        let key = hasher.finish();
        if let Some(Value::Ip(address)) = writer.get(field::SOURCE_IP) {
            let port = match writer.get(field::SOURCE_PORT) {
                Some(Value::Integer(port)) => Some(port),
                _ => None,
            };
            if self.peers.len() >= CONNECTIONS_MAX && !self.peers.contains_key(&key) {
                self.peers.clear();
            }
            self.peers.insert(key, (address, port));
            return;
        }
        let failed = matches!(writer.get(field::EVENT_OUTCOME), Some(Value::Text("failure")));
        if !failed || writer.has(field::SOURCE_ADDRESS) {
            return;
        }
        if let Some((address, port)) = self.peers.get(&key).copied() {
            writer.ip(field::SOURCE_IP, address);
            if let Some(port) = port {
                writer.integer(field::SOURCE_PORT, port);
            }
            if let Some(id) = writer.field("panoptes.address_from") {
                writer.word(id, "connection");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use panoptes_model::{FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp};

    use super::*;
    use crate::Normalizer;

    /// The addresses of the lines' events.
    fn addresses<'l>(lines: impl IntoIterator<Item = &'l str>) -> Vec<String> {
        let mut records = RawBatch::new();
        let origin = records.origin(&Origin::default());
        for line in lines {
            records.push(origin, Timestamp::from_seconds(1_705_320_000), 1, line.as_bytes());
        }
        let now = Timestamp::from_seconds(1_705_320_000);
        let frame = LogFrame { id: FrameId(1), now, rules_epoch: 0, snapshots_epoch: 0, records };
        let events = Normalizer::default().normalize(&Arc::new(Schema::ecs()), frame);
        let address = |it: panoptes_model::Event<'_>| it.get(field::SOURCE_IP).map(|it| it.to_text().into_owned());
        events.events().map(|it| address(it).unwrap_or_default()).collect()
    }

    const KNOWN: &str = "Jan 15 10:30:00 h sshd[7]: Connection from 203.0.113.9 port 4711 on 192.0.2.1 port 22";

    #[test]
    fn a_failure_has_the_address_of_its_connection() {
        let failure = "Jan 15 10:30:01 h sshd[7]: Disconnecting: Too many authentication failures for root [preauth]";
        assert_eq!(addresses([KNOWN, failure]), ["203.0.113.9", "203.0.113.9"]);
        assert_eq!(addresses([failure, KNOWN]), ["", "203.0.113.9"]);
        for other in ["h sshd[8]:", "g sshd[7]:", "h other[7]:"] {
            assert_eq!(addresses([KNOWN, &failure.replace("h sshd[7]:", other)]), ["203.0.113.9", ""], "{other}");
        }
        let no_failure = "Jan 15 10:30:01 h sshd[7]: Server listening on somewhere";
        assert_eq!(addresses([KNOWN, no_failure]), ["203.0.113.9", ""]);
    }

    #[test]
    fn a_pattern_may_name_the_connection() {
        let lines = [
            "Jan 15 10:30:00 h slapd[7]: conn=12 fd=3 ACCEPT from IP=203.0.113.9:4711 (IP=0.0.0.0:389)",
            "Jan 15 10:30:00 h slapd[7]: conn=13 fd=4 ACCEPT from IP=198.51.100.7:4711 (IP=0.0.0.0:389)",
            "Jan 15 10:30:01 h slapd[7]: conn=12 op=0 RESULT tag=97 err=49 text=",
            "Jan 15 10:30:01 h slapd[7]: conn=14 op=0 RESULT tag=97 err=49 text=",
        ];
        assert_eq!(addresses(lines), ["203.0.113.9", "198.51.100.7", "203.0.113.9", ""]);
    }

    #[test]
    fn only_so_many_connections_are_remembered() {
        let failure = "Jan 15 10:30:01 h sshd[7]: Disconnecting: Too many authentication failures for root [preauth]";
        let others = |count: usize| (0..count).map(|it| KNOWN.replace("[7]", &format!("[{}]", it + 100)));
        let last = |count: usize| {
            let lines: Vec<String> =
                std::iter::once(KNOWN.to_owned()).chain(others(count)).chain([failure.to_owned()]).collect();
            addresses(lines.iter().map(String::as_str)).pop()
        };
        assert_eq!(last(CONNECTIONS_MAX - 1).as_deref(), Some("203.0.113.9"));
        assert_eq!(last(CONNECTIONS_MAX).as_deref(), Some(""));
    }
}
