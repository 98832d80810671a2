//! Syslog as RFC 5424 writes it: a database and a proxy, with structured data.

use fastrand::Rng;

use super::super::cast::{Cast, HOSTS};
use super::super::pool::{Dress, Pool};
use super::super::stamp::Stamp;
use super::{LogKind, Source, pick};

pub(super) static KIND: LogKind = LogKind { name: "syslog", weight: 5, build };

fn build(cast: &Cast, rng: &mut Rng, dress: Dress, lines: usize) -> Source {
    let mut everyday = Pool::new(dress);
    for _ in 0..lines {
        let host = *pick(rng, &HOSTS);
        let pid = rng.u32(500..9_000);
        let lead = rng.u8(1..10);
        let address = *pick(rng, &cast.visitors);
        let kind = everyday.stories() % 3;
        // The priority stays even in files: without it the line would not be RFC 5424.
        everyday.line(|line| match kind {
            0 => {
                line.text("<134>1 ").stamp(Stamp::Rfc3339);
                line.put(format_args!(
                    " {host}.example.com haproxy {pid} - [origin ip=\"{address}\" software=\"haproxy\"] "
                ));
                line.put(format_args!("backend app answered in {lead}")).digits(1).text(" ms");
            }
            1 => {
                line.text("<134>1 ").stamp(Stamp::Rfc3339);
                line.put(format_args!(
                    " db1.example.com postgres {pid} CHECKPOINT - checkpoint complete: wrote {lead}"
                ));
                line.digits(3).put(format_args!(" buffers; sync={lead}.0 s"));
            }
            _ => {
                line.text("<30>1 ").stamp(Stamp::Rfc3339);
                line.put(format_args!(" {host}.example.com chronyd {pid} SOURCE [meta sequenceId=\"{lead}"));
                line.digits(4).text("\"] Selected source 192.0.2.123 (time.example.com)");
            }
        });
    }
    Source { everyday, rare: Vec::new() }
}
