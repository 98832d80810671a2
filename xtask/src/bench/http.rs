//! As much of HTTP/1.1 as talking to our own server on loopback takes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

const TIMEOUT: Duration = Duration::from_secs(60);

/// One connection that is kept open.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: String,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub(super) fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"), &[])
    }

    pub(super) fn post(&mut self, path: &str, content_type: &str, body: &[u8]) -> anyhow::Result<Answer> {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        self.ask(&head, body)
    }

    fn ask(&mut self, head: &str, body: &[u8]) -> anyhow::Result<Answer> {
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.stream.get_mut().write_all(body)?;
        read_answer(&mut self.stream)
    }
}

fn read_answer(stream: &mut impl std::io::BufRead) -> anyhow::Result<Answer> {
    let first = read_line(stream)?;
    let status = first.split(' ').nth(1).and_then(|it| it.parse().ok()).with_context(|| format!("no HTTP: {first}"))?;
    let (mut length, mut chunked, mut retry_after) = (0, false, None);
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').with_context(|| format!("no header: {line}"))?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().context("content-length is no number")?,
            "transfer-encoding" => chunked = value == "chunked",
            "retry-after" => retry_after = value.parse().ok().map(Duration::from_secs),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let line = read_line(stream)?;
            let size = u64::from_str_radix(line.trim(), 16).with_context(|| format!("no chunk size: {line}"))?;
            stream.take(size).read_to_end(&mut body)?;
            read_line(stream)?;
            if size == 0 {
                break;
            }
        }
    } else {
        stream.take(length).read_to_end(&mut body)?;
    }
    Ok(Answer { status, retry_after, body: String::from_utf8(body)? })
}

fn read_line(stream: &mut impl std::io::BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    if stream.take(64 << 10).read_line(&mut line)? == 0 {
        bail!("the server closed the connection");
    }
    Ok(line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Answer> {
        read_answer(&mut text.as_bytes())
    }

    #[test]
    fn answers_of_both_shapes_are_read() {
        let plain = "HTTP/1.1 429 Too Many\r\nRetry-After: 2\r\nContent-Length: 3\r\n\r\nno\nrest";
        let expected = Answer { status: 429, retry_after: Some(Duration::from_secs(2)), body: "no\n".to_owned() };
        assert_eq!(read(plain).unwrap(), expected);
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(read(chunked).unwrap().body, "abc0123456789");
        assert!(read("").is_err());
        assert!(read("nonsense\r\n\r\n").is_err());
    }
}
