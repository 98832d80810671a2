//! Where the lines go: one file per way, named by a URL ([`Target`]).

mod datagram;
mod file;
mod http;
mod stream;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use panoptes_model::Timestamp;

use super::Dress;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a broken connection is tried again, with twice the pause each time: 3.1 seconds in all. After that the
/// run ends with an error.
const TRIES_MAX: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How soon a pause notices that it should end.
const WATCH_EVERY: Duration = Duration::from_millis(20);

/// A place to send lines to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `tcp://HOST:PORT`: lines.
    Tcp(String),
    /// `udp://HOST:PORT`: a line per datagram.
    Udp(String),
    /// `syslog://HOST:PORT`: a syslog message per datagram.
    Syslog(String),
    /// `syslog+tcp://HOST:PORT`: syslog messages with octet counting (RFC 6587).
    SyslogTcp(String),
    /// `http://HOST:PORT/logs`: batches that are acknowledged.
    Http { address: String, path: String },
    /// `file:PATH`: appended to it.
    File(PathBuf),
    /// `-`
    Stdout,
}

impl Target {
    /// How the lines have to look there.
    pub(crate) const fn dress(&self) -> Dress {
        match self {
            Self::Tcp(_) | Self::Udp(_) | Self::Http { .. } | Self::Stdout => Dress::Lines,
            Self::Syslog(_) | Self::SyslogTcp(_) => Dress::Syslog,
            Self::File(_) => Dress::File,
        }
    }

    /// How many lines go out at once at most, and how long to collect them when a rate is asked for: a request costs
    /// more than a write.
    pub(super) const fn batch(&self) -> (u64, Duration) {
        match self {
            Self::Http { .. } => (4_000, Duration::from_millis(50)),
            _ => (1_000, Duration::from_millis(10)),
        }
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        const FORMS: &str = "tcp://HOST:PORT, udp://HOST:PORT, syslog://HOST:PORT, syslog+tcp://HOST:PORT, \
                             http://HOST:PORT/logs, file:PATH or - for standard output";
        if text == "-" {
            return Ok(Self::Stdout);
        }
        if let Some(path) = text.strip_prefix("file:") {
            // `file:///var/log/x` is how a URL says it.
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                bail!("`{text}` names no file: write file:PATH");
            }
            return Ok(Self::File(path.into()));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            bail!("`{text}` is no place to send to: write {FORMS}");
        };
        let (address, path) = match rest.split_once('/') {
            Some((address, path)) => (address, path),
            None => (rest, ""),
        };
        let has_port =
            address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !has_port {
            bail!("`{text}` has no port: write {scheme}://HOST:PORT");
        }
        if scheme != "http" && !path.is_empty() {
            bail!("`{text}` has a path, which only http:// can use: write {scheme}://{address}");
        }
        let address = address.to_owned();
        Ok(match scheme {
            "tcp" => Self::Tcp(address),
            "udp" => Self::Udp(address),
            "syslog" | "syslog+udp" => Self::Syslog(address),
            "syslog+tcp" => Self::SyslogTcp(address),
            "http" => {
                let path = if path.is_empty() { "/logs".to_owned() } else { format!("/{path}") };
                Self::Http { address, path }
            }
            "https" => bail!("the generator speaks no TLS: send to http:// on the same machine, or through a proxy"),
            _ => bail!("nothing is known about `{scheme}://`: write {FORMS}"),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Syslog(address) => write!(f, "syslog://{address}"),
            Self::SyslogTcp(address) => write!(f, "syslog+tcp://{address}"),
            Self::Http { address, path } => write!(f, "http://{address}{path}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Stdout => f.write_str("standard output"),
        }
    }
}

/// When to end: told so, or out of time. Pauses are made through it, so that they end too.
pub(super) struct Watch<'a> {
    pub(super) clock: &'a dyn Fn() -> Timestamp,
    pub(super) stop: &'a AtomicBool,
    pub(super) deadline: Option<Timestamp>,
}

impl Watch<'_> {
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_stopped() || self.deadline.is_some_and(|deadline| (self.clock)() >= deadline)
    }

    /// Sleeps, unless it is over before.
    pub(super) fn pause(&self, mut duration: Duration) {
        while !duration.is_zero() && !self.is_over() {
            let step = duration.min(WATCH_EVERY);
            std::thread::sleep(step);
            duration -= step;
        }
    }
}

/// Lines that go out together. Its size is bounded by [`Target::batch`].
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) text: Vec<u8>,
    pub(super) lines: u64,
}

/// What became of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Handed over: to the operating system, or to the server in a request that it answered.
    pub(crate) sent: u64,
    /// Said to be accepted. Only HTTP says so.
    pub(crate) acknowledged: u64,
    /// Refused, or not handed over because the run ended or the receiver was gone.
    pub(crate) failed: u64,
    /// Batches that had to be sent again: after a broken connection the receiver may have some lines twice.
    pub(crate) retries: u64,
    /// What was sent, in bytes, framing included.
    pub(crate) bytes: u64,
}

/// Whether there is anyone left to send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Open,
    /// The reader left (`panoptes generate | head`): no error.
    Closed,
}

/// An open way to a [`Target`].
#[derive(Debug)]
pub(crate) struct Sender {
    way: Way,
    target: Target,
}

#[derive(Debug)]
enum Way {
    Stream(stream::Stream),
    Datagram(datagram::Datagram),
    Http(Box<http::Http>),
    File(file::File),
}

impl Sender {
    /// Opens the way; for TCP and HTTP somebody must listen.
    pub(crate) fn open(target: &Target) -> anyhow::Result<Self> {
        let way = match target {
            Target::Tcp(address) => Way::Stream(stream::Stream::open(address, stream::Framing::Lines)?),
            Target::SyslogTcp(address) => Way::Stream(stream::Stream::open(address, stream::Framing::OctetCounting)?),
            Target::Udp(address) | Target::Syslog(address) => Way::Datagram(datagram::Datagram::open(address)?),
            Target::Http { address, path } => Way::Http(Box::new(http::Http::open(address, path)?)),
            Target::File(path) => Way::File(file::File::open(path)?),
            Target::Stdout => Way::File(file::File::stdout()),
        };
        Ok(Self { way, target: target.clone() })
    }

    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    /// Whether the receiver says what it accepted.
    pub(crate) const fn acknowledges(&self) -> bool {
        matches!(self.way, Way::Http(_))
    }

    /// Sends the batch or says why not. Every line of it is in `tally` afterwards, either way.
    pub(super) fn send(
        &mut self,
        batch: &Batch,
        is_json: bool,
        watch: &Watch<'_>,
        tally: &mut Tally,
    ) -> anyhow::Result<Flow> {
        match &mut self.way {
            Way::Stream(stream) => stream.send(batch, watch, tally),
            Way::Datagram(datagram) => datagram.send(batch, watch, tally),
            Way::Http(http) => http.send(batch, is_json, watch, tally),
            Way::File(file) => file.send(batch, tally),
        }
    }

    /// Sees to it that what was sent arrives.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        match &mut self.way {
            Way::Stream(stream) => stream.finish(),
            Way::File(file) => file.finish(),
            Way::Datagram(_) | Way::Http(_) => Ok(()),
        }
    }
}

fn resolve(address: &str) -> anyhow::Result<Vec<SocketAddr>> {
    let found: Vec<_> =
        address.to_socket_addrs().with_context(|| format!("cannot find the address of `{address}`"))?.collect();
    if found.is_empty() {
        bail!("`{address}` has no address");
    }
    Ok(found)
}

fn connect(address: &str) -> anyhow::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in resolve(address)? {
        match TcpStream::connect_timeout(&candidate, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true).with_context(|| format!("cannot set up the connection to {address}"))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(unreachable(last, address))
}

/// What to do about a connection that did not come about or broke.
fn unreachable(error: io::Error, address: &str) -> anyhow::Error {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        anyhow::anyhow!("nothing listens on {address} (connection refused): is `panoptes run` running there?")
    } else {
        anyhow::Error::new(error).context(format!("cannot reach {address}: is `panoptes run` running there?"))
    }
}

/// The pause before try number `tries` (the first is 1).
fn pause_before(tries: u32) -> Duration {
    FIRST_PAUSE * (1 << tries.saturating_sub(1).min(10))
}

#[cfg(test)]
mod tests;
