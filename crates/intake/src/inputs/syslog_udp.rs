//! Syslog over UDP: one datagram, one message. Framing only, `normalize` reads the messages.
//!
//! *Takes* datagrams; line feeds, carriage returns and NULs at their end are no part of the message. *Position* is
//! the number of the datagram since the start. Datagrams that are lines of one audit event are joined, and counted one
//! by one all the same. UDP cannot slow its sender down: what the queue or the kernel had no
//! room for is lost, and counted as dropped. The sender's address is in `Origin::peer` and is as easily forged as any
//! datagram's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use panoptes_model::{Origin, RawBatch};
use panoptes_stdx::ErrorChain;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use super::InputKind;
use crate::audit::{self, Ending};
use crate::context::{Context, InputError};
use crate::counters::{DropReason, SourceCounts};
use crate::flight::Flight;
use crate::limits::{
    ACCEPT_PAUSE, DATAGRAM_BYTES_MAX, DRAIN_BYTES_MAX, DRAIN_QUIET, ORIGINS_MAX, STREAM_BATCH_BYTES, STREAM_FLUSH,
    UDP_BACKLOG_BYTES_MAX, UDP_BURST, UDP_IN_FLIGHT_MAX, UDP_KERNEL_POLL, UDP_RECEIVE_BUFFER_BYTES,
};
use crate::sink::Full;
use crate::stream::until;

pub(super) static KIND: InputKind = InputKind {
    name: "syslog_udp",
    summary: "syslog over UDP, one message a datagram",
    default_address: Some("127.0.0.1:5514"),
    slows_sender: false,
};

/// How to listen for syslog over UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogUdpConfig {
    pub address: SocketAddr,
    /// What the events' source is called.
    pub source: String,
    pub format: Option<String>,
    pub time_zone: Option<String>,
    pub receive_buffer_bytes: usize,
}

impl Default for SyslogUdpConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 5514)),
            source: "syslog".to_owned(),
            format: None,
            time_zone: None,
            receive_buffer_bytes: UDP_RECEIVE_BUFFER_BYTES,
        }
    }
}

/// A socket that has its port.
pub struct SyslogUdpInput {
    config: SyslogUdpConfig,
    socket: UdpSocket,
    local_addr: SocketAddr,
}

impl SyslogUdpInput {
    pub async fn bind(config: SyslogUdpConfig) -> Result<Self, InputError> {
        let failed = |source| InputError::bind(KIND.name, config.address, source);
        let socket = UdpSocket::bind(config.address).await.map_err(failed)?;
        let local_addr = socket.local_addr().map_err(failed)?;
        if let Err(error) = socket2::SockRef::from(&socket).set_recv_buffer_size(config.receive_buffer_bytes) {
            tracing::warn!(input = KIND.name, %error, "receive buffer kept at the system's size");
        }
        Ok(Self { config, socket, local_addr })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns after a shutdown, once all that was read is settled.
    pub async fn run(self, context: Context) {
        let counts = context.counters.source(KIND.name, &self.config.source);
        let origin = Origin {
            input: KIND.name.to_owned(),
            source: self.config.source,
            format: self.config.format,
            time_zone: self.config.time_zone,
            ..Origin::default()
        };
        let kernel = KernelDrops::of(&self.socket);
        let receiver = Receiver {
            socket: self.socket,
            origin,
            counts,
            context,
            batch: RawBatch::new(),
            flight: Flight::default(),
            number: 0,
            flush_at: None,
            kernel,
        };
        receiver.run().await;
    }
}

struct Receiver {
    socket: UdpSocket,
    origin: Origin,
    counts: Arc<SourceCounts>,
    context: Context,
    batch: RawBatch,
    flight: Flight,
    number: u64,
    flush_at: Option<Instant>,
    kernel: KernelDrops,
}

impl Receiver {
    async fn run(mut self) {
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        let mut kernel_at = Instant::now() + UDP_KERNEL_POLL;
        loop {
            tokio::select! {
                biased;
                () = self.context.shutdown.cancelled() => break,
                Some((result, records)) = self.flight.next(), if !self.flight.is_empty() => {
                    self.counts.settle(&result, records);
                    continue;
                }
                () = until(self.flush_at) => {
                    self.hand_on();
                    continue;
                }
                () = until(Some(kernel_at)) => {
                    self.book_kernel_drops().await;
                    kernel_at = Instant::now() + UDP_KERNEL_POLL;
                    continue;
                }
                ready = self.socket.readable() => if let Err(error) = ready {
                    self.pause(&error).await;
                }
            }
            for _ in 0..UDP_BURST {
                match self.socket.try_recv_from(&mut datagram) {
                    Ok((length, peer)) => self.take(datagram.get(..length).unwrap_or_default(), peer.ip()),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => self.pause(&error).await,
                }
            }
        }
        self.finish(&mut datagram).await;
    }

    /// Such errors report what became of other datagrams, or a lack of memory that passes.
    async fn pause(&self, error: &io::Error) {
        tracing::warn!(input = KIND.name, error = %ErrorChain(error), "datagram could not be received");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }

    /// Takes what had been sent before the shutdown, and waits for the log this time.
    async fn finish(mut self, datagram: &mut [u8]) {
        let mut drained = 0;
        while drained < DRAIN_BYTES_MAX
            && let Ok(Ok((length, peer))) = timeout(DRAIN_QUIET, self.socket.recv_from(datagram)).await
        {
            drained += length.max(1);
            if self.is_full_for(length) {
                self.hand_on_waiting().await;
            }
            self.take(datagram.get(..length).unwrap_or_default(), peer.ip());
        }
        self.hand_on_waiting().await;
        self.book_kernel_drops().await;
        while let Some((result, records)) = self.flight.next().await {
            self.counts.settle(&result, records);
        }
    }

    fn take(&mut self, datagram: &[u8], peer: IpAddr) {
        let mut text = datagram;
        while let [rest @ .., b'\n' | b'\r' | b'\0'] = text {
            text = rest;
        }
        if text.trim_ascii().is_empty() {
            return;
        }
        self.number += 1;
        self.counts.received(1);
        if self.is_full_for(text.len()) {
            self.hand_on();
        }
        if self.is_full_for(text.len()) {
            self.counts.dropped(DropReason::QueueFull, 1);
            return;
        }
        let origin = self.origin_of(peer.to_canonical());
        self.batch.push(origin, self.context.now(), self.number, text);
        if self.batch.bytes.len() >= STREAM_BATCH_BYTES {
            self.hand_on();
        } else if self.flush_at.is_none() {
            self.flush_at = Some(Instant::now() + STREAM_FLUSH);
        }
    }

    /// The batch's index for `peer`. An origin is made once per peer and batch, not per datagram.
    fn origin_of(&mut self, peer: IpAddr) -> u32 {
        match self.batch.origins.iter().rposition(|it| it.peer == Some(peer)) {
            Some(index) => index as u32,
            None => self.batch.origin(&Origin { peer: Some(peer), ..self.origin.clone() }),
        }
    }

    fn is_full_for(&self, length: usize) -> bool {
        self.batch.bytes.len() + length > UDP_BACKLOG_BYTES_MAX
            || !self.batch.has_room_for(length)
            || self.batch.origins.len() >= ORIGINS_MAX
    }

    /// Hands the batch on if the queue has room, or keeps it and tries again soon.
    fn hand_on(&mut self) {
        self.flush_at = None;
        if self.batch.is_empty() {
            return;
        }
        let held_from = audit::held_from(&self.batch, 0, Ending::Live(self.context.now()));
        let offered = match held_from {
            _ if self.flight.len() >= UDP_IN_FLIGHT_MAX => None,
            Some(from) => {
                // Joined in a copy: should the queue be full, the datagrams are still there to be counted one by one.
                let mut offer = self.batch.clone();
                let rest = audit::split(&mut offer, from);
                audit::join(&mut offer, 0);
                let pending = if offer.is_empty() { None } else { self.context.sink.try_commit(offer).ok() };
                pending.map(|it| (it, from, rest))
            }
            None => {
                let records = self.batch.records.len();
                match self.context.sink.try_commit(std::mem::take(&mut self.batch)) {
                    Ok(pending) => Some((pending, records, RawBatch::new())),
                    Err(Full(batch)) => {
                        self.batch = batch;
                        None
                    }
                }
            }
        };
        if let Some((pending, datagrams, rest)) = offered {
            self.flight.push(pending, datagrams as u64);
            self.batch = rest;
        }
        if !self.batch.is_empty() {
            self.flush_at = Some(Instant::now() + STREAM_FLUSH);
        }
    }

    async fn hand_on_waiting(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let datagrams = self.batch.records.len() as u64;
        audit::join(&mut self.batch, 0);
        match self.context.sink.enqueue(std::mem::take(&mut self.batch)).await {
            Ok(pending) => self.flight.push(pending, datagrams),
            Err(error) => self.counts.settle::<()>(&Err(error), datagrams),
        }
    }

    async fn book_kernel_drops(&mut self) {
        let more = self.kernel.more().await;
        self.counts.received(more);
        self.counts.dropped(DropReason::KernelBufferFull, more);
    }
}

/// What the kernel threw away because the socket's buffer was full.
struct KernelDrops {
    table: &'static str,
    /// The socket's inode; `None` where `/proc` does not tell.
    inode: Option<String>,
    seen: u64,
}

impl KernelDrops {
    fn of(socket: &UdpSocket) -> Self {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd()));
        let inode = link.ok().and_then(|it| {
            let name = it.to_str()?;
            Some(name.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        });
        let ip6 = socket.local_addr().is_ok_and(|it| it.is_ipv6());
        Self { table: if ip6 { "/proc/net/udp6" } else { "/proc/net/udp" }, inode, seen: 0 }
    }

    /// How many more than at the last call.
    async fn more(&mut self) -> u64 {
        let Some(inode) = &self.inode else { return 0 };
        let Ok(table) = tokio::fs::read_to_string(self.table).await else { return 0 };
        let total = drops(&table, inode).unwrap_or(self.seen);
        let more = total.saturating_sub(self.seen);
        self.seen = total;
        more
    }
}

/// The last column of the row whose tenth is `inode`.
fn drops(table: &str, inode: &str) -> Option<u64> {
    let row = table.lines().map(|it| it.split_ascii_whitespace()).find(|row| row.clone().nth(9) == Some(inode))?;
    row.last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read_by_inode() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            \x20 271: 0100007F:158A 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 42\n\
            \x20 272: 0100007F:158B 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 7\n";
        assert_eq!(drops(table, "4712"), Some(7));
        assert_eq!(drops(table, "4713"), None);
        assert_eq!(drops("", "1"), None);
    }

    #[tokio::test]
    async fn what_the_kernel_dropped_is_seen() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket2::SockRef::from(&socket).set_recv_buffer_size(4_096).unwrap();
        let mut kernel = KernelDrops::of(&socket);
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..200 {
            sender.send_to(&[b'x'; 1_000], socket.local_addr().unwrap()).unwrap();
        }
        // Not every kernel offers the table (gVisor does not); where it does, the loss must show.
        if tokio::fs::try_exists(kernel.table).await.unwrap() {
            let mut received = 0;
            let mut datagram = [0; 2_000];
            while timeout(DRAIN_QUIET, socket.recv_from(&mut datagram)).await.is_ok() {
                received += 1;
            }
            assert_eq!(kernel.more().await + received, 200);
            assert_eq!(kernel.more().await, 0, "told once");
        }
    }
}
