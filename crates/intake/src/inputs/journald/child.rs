//! The `journalctl` that is read from.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::unix::pipe::Receiver;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::JournaldConfig;
use crate::context::Context;
use crate::journal::{Decoder, Found, MAGIC};
use crate::limits::{JOURNAL_COMPLAINT_BYTES_MAX, JOURNAL_COMPLAINT_TIMEOUT, READ_BYTES_MAX};

/// A running program and the ends of its pipes. It ends when this is dropped.
pub(super) struct Child {
    process: Process,
    output: Receiver,
    complaint: JoinHandle<String>,
}

/// Killed and waited for when dropped.
struct Process(std::process::Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Has it ended by itself, there is nothing to kill.
        let _ended_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Whether the program can be run at all.
pub(super) fn probe(program: &Path) -> io::Result<()> {
    let mut probe = Command::new(program);
    probe.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = probe.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("it ended with {status}"))) }
}

/// Whether the program prints any entry.
pub(super) fn has_entries(config: &JournaldConfig) -> io::Result<bool> {
    let mut command = command(config);
    command.arg("--lines=1").stderr(Stdio::null());
    let mut process = Process(command.spawn()?);
    let mut start = Vec::new();
    if let Some(output) = process.0.stdout.take() {
        output.take(MAGIC.len() as u64).read_to_end(&mut start)?;
    }
    Ok(start == MAGIC)
}

fn command(config: &JournaldConfig) -> Command {
    let mut command = Command::new(&config.program);
    command.args(["--output=export", "--no-pager", "--quiet"]).args(&config.arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // What it complains of is told, and looked at: in one language.
    command.env("LC_ALL", "C.UTF-8");
    command
}

/// The cursor of the newest entry; `None` if there is none, or it cannot be told.
pub(super) async fn last_cursor(config: &JournaldConfig, context: &Context) -> Option<String> {
    let mut child = Child::start(config, vec!["--lines=1".to_owned()]).await.ok()?;
    let mut decoder = Decoder::default();
    let mut chunk = Vec::new();
    loop {
        let read = tokio::select! {
            () = context.shutdown.cancelled() => return None,
            read = child.read(&mut chunk) => read,
        };
        decoder.push(&chunk);
        chunk.clear();
        if let Found::Entry(entry) = decoder.next() {
            return Some(entry.cursor).filter(|it| !it.is_empty());
        }
        if !matches!(read, Ok(length) if length > 0) {
            return decoder.finish().map(|it| it.cursor).filter(|it| !it.is_empty());
        }
    }
}

impl Child {
    pub(super) async fn start(config: &JournaldConfig, arguments: Vec<String>) -> io::Result<Self> {
        let mut command = command(config);
        command.args(arguments);
        let spawned = spawn_blocking(move || command.spawn().map(Process)).await;
        let mut process = spawned.map_err(io::Error::other)??;
        let missing = || io::Error::other("the program has no output");
        let output = OwnedFd::from(process.0.stdout.take().ok_or_else(missing)?);
        let complaint = OwnedFd::from(process.0.stderr.take().ok_or_else(missing)?);
        let complaint = tokio::spawn(keep_start(Receiver::from_owned_fd(complaint)?));
        Ok(Self { process, output: Receiver::from_owned_fd(output)?, complaint })
    }

    /// Appends what is printed to `chunk`; 0 at the end. Safe to be cancelled.
    pub(super) async fn read(&mut self, chunk: &mut Vec<u8>) -> io::Result<usize> {
        chunk.reserve(READ_BYTES_MAX);
        self.output.read_buf(chunk).await
    }

    /// Ends the program and says what it complained of.
    pub(super) async fn stop(self) -> String {
        let Self { process, output, complaint } = self;
        drop(output);
        let reaped = spawn_blocking(move || drop(process)).await;
        // What it started itself may still hold the pipe.
        match (reaped, timeout(JOURNAL_COMPLAINT_TIMEOUT, complaint).await) {
            (Ok(()), Ok(Ok(complaint))) => complaint,
            _ => String::new(),
        }
    }
}

/// The beginning of what comes; the rest is read too, or its writer would wait.
async fn keep_start(mut pipe: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut chunk = [0; 4_096];
    while let Ok(length) = pipe.read(&mut chunk).await
        && length > 0
    {
        let wanted = JOURNAL_COMPLAINT_BYTES_MAX.saturating_sub(kept.len()).min(length);
        kept.extend_from_slice(chunk.get(..wanted).unwrap_or_default());
    }
    String::from_utf8_lossy(&kept).trim_ascii().replace(char::is_control, " ")
}
