//! The kernel and systemd.

use std::fmt;

use fastrand::Rng;

use super::super::cast::{Cast, HOSTS};
use super::super::pool::{Dress, LineWriter, Pool};
use super::super::stamp::Stamp;
use super::{LogKind, Source, pick};

pub(super) static KIND: LogKind = LogKind { name: "system", weight: 2, build };

/// kern, informational.
const PRIORITY_KERNEL: u8 = 6;
/// daemon, informational.
const PRIORITY_DAEMON: u8 = 30;

const KERNEL: [&str; 5] = [
    "eth0: Link is Up - 1Gbps/Full - flow control rx/tx",
    "EXT4-fs (sda2): re-mounted. Quota mode: none.",
    "IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready",
    "perf: interrupt took too long (2512 > 2500), lowering kernel.perf_event_max_sample_rate to 79500",
    "nf_conntrack: default automatic helper assignment has been turned off",
];
const UNITS: [&str; 5] = [
    "logrotate.service - Rotate log files",
    "apt-daily.service - Daily apt download activities",
    "fstrim.service - Discard unused blocks on filesystems",
    "man-db.service - Daily man-db regeneration",
    "systemd-tmpfiles-clean.service - Cleanup of Temporary Directories",
];

/// A message of a daemon.
pub(in super::super) fn write(
    line: &mut LineWriter<'_>,
    host: &str,
    program: &str,
    pid: u32,
    message: fmt::Arguments<'_>,
) {
    line.syslog(PRIORITY_DAEMON, host, program, Some(pid)).put(message);
}

// The first round of stories tells all of them.
const _: () = assert!(KERNEL.len() + UNITS.len() <= super::FIRST_STORIES);

fn build(_: &Cast, rng: &mut Rng, dress: Dress, lines: usize) -> Source {
    let mut everyday = Pool::new(dress);
    while everyday.len() < lines {
        let host = *pick(rng, &HOSTS);
        let n = everyday.stories();
        if n.is_multiple_of(2) {
            let message = KERNEL[n / 2 % KERNEL.len()];
            everyday.line(|line| {
                line.syslog(PRIORITY_KERNEL, host, "kernel", None)
                    .text("[")
                    .stamp(Stamp::Uptime)
                    .text("] ")
                    .text(message);
            });
        } else {
            let unit = UNITS[n / 2 % UNITS.len()];
            let name = unit.split(' ').next().unwrap_or(unit);
            everyday.line_and(|line| write(line, host, "systemd", 1, format_args!("Starting {unit}...")));
            everyday
                .line_and(|line| write(line, host, "systemd", 1, format_args!("{name}: Deactivated successfully.")));
            everyday.line(|line| write(line, host, "systemd", 1, format_args!("Finished {unit}.")));
        }
    }
    Source { everyday, rare: Vec::new() }
}
