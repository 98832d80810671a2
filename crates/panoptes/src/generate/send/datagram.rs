//! A line per UDP datagram. What gets lost on the way is lost; only a port that nobody listens on is noticed.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use anyhow::Context as _;

use super::{Batch, Flow, Tally, Watch, resolve};

/// How long to wait when the machine's own send queue is full.
const QUEUE_PAUSE: Duration = Duration::from_millis(1);
/// And how often. After that the line counts as failed.
const QUEUE_TRIES_MAX: u32 = 100;
/// After so many refusals in a row nobody will listen any more: the run ends with an error.
const REFUSED_MAX: u64 = 1_000;

#[derive(Debug)]
pub(super) struct Datagram {
    address: String,
    socket: UdpSocket,
    refused_in_a_row: u64,
}

impl Datagram {
    pub(super) fn open(address: &str) -> anyhow::Result<Self> {
        let mut last = None;
        for candidate in resolve(address)? {
            let any = if candidate.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            match UdpSocket::bind(any).and_then(|socket| socket.connect(candidate).map(|()| socket)) {
                Ok(socket) => return Ok(Self { address: address.to_owned(), socket, refused_in_a_row: 0 }),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
            .with_context(|| format!("cannot send to {address}"))
    }

    pub(super) fn send(&mut self, batch: &Batch, watch: &Watch<'_>, tally: &mut Tally) -> anyhow::Result<Flow> {
        let mut left = batch.lines;
        for line in batch.text.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            left -= 1;
            match self.send_one(line, watch) {
                Ok(()) => {
                    tally.sent += 1;
                    tally.bytes += line.len() as u64;
                    self.refused_in_a_row = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    tally.failed += 1;
                    self.refused_in_a_row += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tally.failed += 1,
                Err(error) => {
                    tally.failed += 1 + left;
                    return Err(error).with_context(|| format!("cannot send to {}", self.address));
                }
            }
            if self.refused_in_a_row >= REFUSED_MAX {
                tally.failed += left;
                anyhow::bail!(
                    "nothing listens on UDP {} (datagrams come back refused): is `panoptes run` running there?",
                    self.address
                );
            }
        }
        Ok(Flow::Open)
    }

    fn send_one(&self, line: &[u8], watch: &Watch<'_>) -> io::Result<()> {
        for _ in 0..QUEUE_TRIES_MAX {
            match self.socket.send(line) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // ENOBUFS has no kind of its own.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(105) => {
                    watch.pause(QUEUE_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}
