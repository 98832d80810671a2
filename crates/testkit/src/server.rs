//! A running instance in a temporary folder, for tests from end to end.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use crate::http::{Answer, get};
use crate::process::{isolated, text_of};
use crate::waiting::wait_or_give_up;

/// How long a start may take before the test fails: far more than it should, for a busy machine with a debug build.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// The same for an orderly end.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Below the range from which the system takes the ports of outgoing connections: nobody takes one of these between
/// our look and the server's start.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A port of 127.0.0.1 that nobody uses, neither with TCP nor UDP; another one each time in this process.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let given = given.get_or_insert_with(HashSet::new);
    // Test processes run at the same time: each begins elsewhere.
    let offset = std::process::id().wrapping_mul(97) % u32::from(PORTS.end - PORTS.start);
    for port in cycle_from(PORTS, offset as u16) {
        let is_free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if is_free && given.insert(port) {
            return port;
        }
    }
    panic!("no port is free between {} and {}", PORTS.start, PORTS.end);
}

/// All of `range`, beginning `offset` after its start.
fn cycle_from(range: std::ops::Range<u16>, offset: u16) -> impl Iterator<Item = u16> {
    let middle = range.start + offset;
    (middle..range.end).chain(range.start..middle)
}

/// What a [`Server`] is started with.
#[derive(Debug)]
pub struct ServerBuilder {
    binary: PathBuf,
    config: Option<String>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

impl ServerBuilder {
    /// The text of a configuration file.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        self.config = Some(toml.to_owned());
        self
    }

    /// A further argument of `run`.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> Server {
        let home = tempfile::tempdir().unwrap_or_else(|error| panic!("cannot make a temporary folder: {error}"));
        if let Some(config) = &self.config {
            fs::write(home.path().join("panoptes.toml"), config)
                .unwrap_or_else(|error| panic!("cannot write the configuration: {error}"));
        }
        let [http, tcp, syslog] = [(); 3].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        let mut server = Server { builder: self, home, http, tcp, syslog, child: None, starts: 0 };
        server.restart();
        server
    }
}

/// `panoptes run` with a data folder, a key and ports of its own. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    builder: ServerBuilder,
    home: TempDir,
    http: SocketAddr,
    tcp: SocketAddr,
    syslog: SocketAddr,
    child: Option<Child>,
    starts: u32,
}

impl Server {
    /// A server that is not started yet.
    pub fn of(binary: impl Into<PathBuf>) -> ServerBuilder {
        ServerBuilder { binary: binary.into(), config: None, args: Vec::new(), env: Vec::new() }
    }

    /// Starts it with nothing but the defaults.
    #[track_caller]
    pub fn start(binary: impl Into<PathBuf>) -> Self {
        Self::of(binary).start()
    }

    pub const fn http(&self) -> SocketAddr {
        self.http
    }

    pub const fn tcp(&self) -> SocketAddr {
        self.tcp
    }

    pub const fn syslog(&self) -> SocketAddr {
        self.syslog
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("evidence")
    }

    /// Lies beside the data folder, not in it.
    pub fn key_file(&self) -> PathBuf {
        self.home.path().join("key")
    }

    /// The process, while there is one.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Another command on the same data: `server.command("search").arg("failed")`.
    pub fn command(&self, name: &str) -> Command {
        let mut command = isolated(&self.builder.binary, self.home.path());
        command.current_dir(self.home.path()).arg(name);
        command.arg("--data").arg(self.data()).arg("--key-file").arg(self.key_file());
        if self.builder.config.is_some() {
            command.arg("--config").arg(self.home.path().join("panoptes.toml"));
        }
        command.envs(self.builder.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts it (again) on the same data and ports and waits until `/readyz` says 200.
    #[track_caller]
    pub fn restart(&mut self) {
        self.start_unready();
        let ready = wait_or_give_up(READY_LIMIT, &mut || {
            if let Some(code) = self.exit_code() {
                return Some(Err(format!("it ended with {code:?}")));
            }
            matches!(get(self.http, "/readyz"), Ok(Answer { status: 200, .. })).then_some(Ok(()))
        });
        let problem = match ready {
            Some(Ok(())) => return,
            Some(Err(problem)) => problem,
            None => format!("/readyz did not say 200 within {READY_LIMIT:?}"),
        };
        panic!("the server did not become ready: {problem}; it said:\n{}", self.stderr());
    }

    /// Starts it (again) on the same data and ports and waits for nothing.
    #[track_caller]
    pub fn start_unready(&mut self) {
        self.kill();
        self.starts += 1;
        let mut command = self.command("run");
        for (flag, address) in [("--http", self.http), ("--tcp", self.tcp), ("--syslog", self.syslog)] {
            command.arg(flag).arg(address.to_string());
        }
        command.args(&self.builder.args).stdout(self.file("stdout")).stderr(self.file("stderr"));
        let child = command.spawn();
        self.child =
            Some(child.unwrap_or_else(|error| panic!("cannot start {}: {error}", self.builder.binary.display())));
    }

    /// `kill -9`, and waits until it is gone. Nothing if it does not run.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; then there is nothing to kill and the wait says so.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Asks it to stop (SIGTERM) and waits for its end; the exit code.
    #[track_caller]
    pub fn stop(&mut self) -> Option<i32> {
        let Some(pid) = self.pid() else { panic!("the server does not run") };
        let asked = Command::new("kill").arg("-TERM").arg(pid.to_string()).status();
        assert!(asked.is_ok_and(|it| it.success()), "cannot ask the server to stop");
        let ended = wait_or_give_up(STOP_LIMIT, &mut || self.exit_code());
        match ended {
            Some(code) => {
                self.child = None;
                code
            }
            None => panic!("the server did not stop within {STOP_LIMIT:?}; it said:\n{}", self.stderr()),
        }
    }

    /// The exit code once it has ended by itself.
    fn exit_code(&mut self) -> Option<Option<i32>> {
        let child = self.child.as_mut()?;
        child.try_wait().ok().flatten().map(|status| status.code())
    }

    /// What it wrote on standard error since its last start.
    pub fn stderr(&self) -> String {
        text_of(&self.output("stderr")).unwrap_or_default()
    }

    /// What it wrote on standard output since its last start.
    pub fn stdout(&self) -> String {
        text_of(&self.output("stdout")).unwrap_or_default()
    }

    fn output(&self, name: &str) -> PathBuf {
        self.home.path().join(format!("{name}.{}", self.starts))
    }

    #[track_caller]
    fn file(&self, name: &str) -> fs::File {
        let path: &Path = &self.output(name);
        fs::File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ_and_can_be_bound() {
        let ports: HashSet<_> = (0..20).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 20);
        for port in ports {
            assert!(PORTS.contains(&port));
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }

    #[test]
    fn every_port_is_a_candidate_once() {
        let all: Vec<_> = cycle_from(5..9, 2).collect();
        assert_eq!(all, [7, 8, 5, 6]);
    }
}
