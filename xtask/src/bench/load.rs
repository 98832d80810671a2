//! What is sent to a server under test, and how.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use anyhow::bail;

use super::http::Connection;
use super::server::Server;

/// Bodies of about this size: what a log shipper sends at once.
pub(super) const BODY_BYTES: usize = 256 << 10;
/// A server under back-pressure says when to come again; if not, then after this.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    Tcp,
    Http,
}

impl Load {
    pub(super) const ALL: [Self; 2] = [Self::Tcp, Self::Http];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Tcp => "nginx lines over TCP",
            Self::Http => "JSON over HTTP",
        }
    }

    /// As `panoptes generate --kind` calls it.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Tcp => "nginx",
            Self::Http => "json",
        }
    }

    pub(super) fn send(self, server: &Server, lines: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Tcp => {
                let mut stream = TcpStream::connect(server.tcp())?;
                stream.write_all(lines)?;
                stream.shutdown(Shutdown::Write)?;
                Ok(())
            }
            Self::Http => {
                let mut connection = Connection::open(server.http())?;
                for body in bodies(lines) {
                    post(&mut connection, body)?;
                }
                Ok(())
            }
        }
    }
}

fn post(connection: &mut Connection, body: &[u8]) -> anyhow::Result<()> {
    loop {
        let answer = connection.post("/logs", "application/x-ndjson", body)?;
        match answer.status {
            200..=299 => return Ok(()),
            429 | 503 => std::thread::sleep(answer.retry_after.unwrap_or(RETRY_AFTER)),
            status => bail!("POST /logs was answered with {status}: {}", answer.body.trim()),
        }
    }
}

/// Whole lines, about [`BODY_BYTES`] at a time.
fn bodies(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        let cut = match rest.iter().skip(BODY_BYTES).position(|it| *it == b'\n') {
            Some(more) => BODY_BYTES + more + 1,
            None => rest.len(),
        };
        let (body, after) = rest.split_at_checked(cut)?;
        rest = after;
        (!body.is_empty()).then_some(body)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_whole_lines_and_nothing_is_lost() {
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();
        let lines = line.repeat(1_000);
        let cut: Vec<&[u8]> = bodies(&lines).collect();
        assert_eq!(cut.concat(), lines);
        assert!(cut.len() > 2);
        assert!(cut.iter().all(|it| it.ends_with(b"\n") && it.len() <= BODY_BYTES + 1_000));
        assert_eq!(bodies(b"").count(), 0);
    }
}
