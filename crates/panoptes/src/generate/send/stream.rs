//! Lines or syslog messages over TCP. Nothing is acknowledged there: what was written may still be lost with the
//! receiver.

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

use super::{Batch, Flow, TRIES_MAX, Tally, Watch, connect, pause_before, unreachable};

/// How long a write may block before it looks whether the run is over.
const WRITE_TIMEOUT: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
pub(super) enum Framing {
    Lines,
    /// The length in decimal, a space, the message.
    OctetCounting,
}

#[derive(Debug)]
pub(super) struct Stream {
    address: String,
    framing: Framing,
    stream: TcpStream,
    framed: Vec<u8>,
    /// Where each message of the batch ends in what is written.
    ends: Vec<usize>,
}

impl Stream {
    pub(super) fn open(address: &str, framing: Framing) -> anyhow::Result<Self> {
        let stream = prepared(address)?;
        Ok(Self { address: address.to_owned(), framing, stream, framed: Vec::new(), ends: Vec::new() })
    }

    pub(super) fn send(&mut self, batch: &Batch, watch: &Watch<'_>, tally: &mut Tally) -> anyhow::Result<Flow> {
        self.frame(batch);
        let mut from = 0;
        let mut result = Ok(Flow::Open);
        let mut tries = 0;
        while from < self.framed.len() {
            let (written, error) = write_watching(&mut self.stream, &self.framed[from..], watch);
            from += written;
            if written > 0 {
                tries = 0;
            }
            let Some(error) = error else {
                if from < self.framed.len() {
                    break; // Stopped while the receiver read nothing.
                }
                continue;
            };
            // A message that was cut off is sent again as a whole.
            let whole = self.ends.partition_point(|end| *end <= from);
            from = whole.checked_sub(1).map_or(0, |last| self.ends[last]);
            if let Err(gone) = self.reconnect(error, &mut tries, watch) {
                result = Err(gone);
                break;
            }
            tally.retries += 1;
        }
        let sent = self.ends.partition_point(|end| *end <= from);
        tally.sent += sent as u64;
        tally.failed += (self.ends.len() - sent) as u64;
        tally.bytes += from as u64;
        result
    }

    fn frame(&mut self, batch: &Batch) {
        self.framed.clear();
        self.ends.clear();
        for line in batch.text.split_inclusive(|byte| *byte == b'\n') {
            match self.framing {
                Framing::Lines => self.framed.extend_from_slice(line),
                Framing::OctetCounting => {
                    let message = line.strip_suffix(b"\n").unwrap_or(line);
                    self.framed.extend_from_slice(message.len().to_string().as_bytes());
                    self.framed.push(b' ');
                    self.framed.extend_from_slice(message);
                }
            }
            self.ends.push(self.framed.len());
        }
    }

    fn reconnect(&mut self, error: io::Error, tries: &mut u32, watch: &Watch<'_>) -> anyhow::Result<()> {
        let mut last = unreachable(error, &self.address);
        while *tries < TRIES_MAX && !watch.is_over() {
            *tries += 1;
            watch.pause(pause_before(*tries));
            match prepared(&self.address) {
                Ok(stream) => {
                    self.stream = stream;
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last.context(format!("the connection to {} broke", self.address)))
    }

    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        match self.stream.shutdown(Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => {
                Err(error).with_context(|| format!("cannot close the connection to {}", self.address))
            }
            _ => Ok(()),
        }
    }
}

fn prepared(address: &str) -> anyhow::Result<TcpStream> {
    let stream = connect(address)?;
    stream
        .set_write_timeout(Some(WRITE_TIMEOUT))
        .with_context(|| format!("cannot set up the connection to {address}"))?;
    Ok(stream)
}

/// Writes until all is out, the run is over, or the connection breaks. A receiver that is slow is waited for: that
/// is how it slows its senders down.
#[expect(clippy::disallowed_methods, reason = "a short write is what tells how much went out before the time-out")]
fn write_watching(stream: &mut TcpStream, bytes: &[u8], watch: &Watch<'_>) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if watch.is_over() {
                    break;
                }
            }
            Err(error) => return (written, Some(error)),
        }
    }
    (written, None)
}
