//! A `panoptes run` of our own: started on free ports over an empty folder, watched from outside, ended with us.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::http::Connection;

/// The label of records whose sender was told to come back.
const BUSY: &str = "reason=\"busy\"";
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Segments are sealed this long after their first event, so that the disk settles soon after a load.
const SEGMENT_SECONDS: &str = "10";

/// A folder that is gone when the run ends.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("panoptes-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.0.join(format!("{name}.server"));
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.log"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("xtask: cannot remove {}: {error}", self.0.display());
        }
    }
}

/// How far a server is, of its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) accepted: u64,
    /// Rejected or dropped, except for what the server was too busy to take and its sender sends again.
    pub(super) lost: u64,
    pub(super) fold_lag_frames: u64,
    pub(super) store_lag_frames: u64,
}

/// What the kernel says about its process.
pub(super) struct Process {
    /// User and system time.
    pub(super) cpu: Duration,
    pub(super) resident_bytes: u64,
    pub(super) peak_bytes: u64,
}

pub(super) struct Server {
    child: Child,
    http: SocketAddr,
    tcp: SocketAddr,
    data: PathBuf,
    ready_after: Duration,
}

impl Server {
    /// Returns once it is ready.
    pub(super) fn start(panoptes: &Path, folder: &Path) -> anyhow::Result<Self> {
        Self::start_with(panoptes, folder, &[])
    }

    /// The same with further arguments of `panoptes run`.
    pub(super) fn start_with(panoptes: &Path, folder: &Path, arguments: &[OsString]) -> anyhow::Result<Self> {
        let (http, tcp) = (free_port()?, free_port()?);
        let data = folder.join("data");
        let config = folder.join("panoptes.toml");
        // No file of this machine is watched.
        std::fs::write(&config, "files = []\n")?;
        let mut command = Command::new(panoptes);
        command
            .arg("run")
            .args(["--syslog", "none", "--alerts", "none"])
            .args(["--http", &http.to_string(), "--tcp", &tcp.to_string()])
            .arg("--config")
            .arg(config)
            .arg("--data")
            .arg(&data)
            .arg("--key-file")
            .arg(folder.join("key"))
            .args(arguments)
            .env("PANOPTES__STORE__SEGMENT_SECONDS_MAX", SEGMENT_SECONDS)
            .env("PANOPTES_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", panoptes.display()))?;
        let mut server = Self { child, http, tcp, data, ready_after: Duration::ZERO };
        while !server.is_ready() {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended with {status} before it was ready");
            }
            if started.elapsed() > READY_WITHIN {
                bail!("the server was not ready within {} s", READY_WITHIN.as_secs());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        server.ready_after = started.elapsed();
        Ok(server)
    }

    pub(super) fn http(&self) -> SocketAddr {
        self.http
    }

    pub(super) fn tcp(&self) -> SocketAddr {
        self.tcp
    }

    pub(super) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    fn is_ready(&self) -> bool {
        Connection::open(self.http).and_then(|mut it| it.get("/readyz")).is_ok_and(|it| it.status == 200)
    }

    pub(super) fn progress(&self) -> anyhow::Result<Progress> {
        let answer = Connection::open(self.http)?.get("/metrics")?;
        if answer.status != 200 {
            bail!("/metrics was answered with {}", answer.status);
        }
        let sum = |name: &str| metric(&answer.body, name, |_| true).map(|it| it as u64);
        let lost = |name: &str| metric(&answer.body, name, |labels| !labels.contains(BUSY)).map_or(0, |it| it as u64);
        Ok(Progress {
            // Counters appear with their first record.
            accepted: sum("panoptes_records_accepted_total").unwrap_or(0),
            lost: lost("panoptes_records_rejected_total") + lost("panoptes_records_dropped_total"),
            fold_lag_frames: sum("panoptes_fold_lag_frames").context("/metrics has no panoptes_fold_lag_frames")?,
            store_lag_frames: sum("panoptes_store_lag_frames").context("/metrics has no panoptes_store_lag_frames")?,
        })
    }

    pub(super) fn process(&self) -> anyhow::Result<Process> {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let stat = std::fs::read_to_string(folder.join("stat"))?;
        let status = std::fs::read_to_string(folder.join("status"))?;
        Ok(Process {
            cpu: cpu_time(&stat).context("no times in /proc/…/stat")?,
            resident_bytes: status_bytes(&status, "VmRSS").context("no VmRSS in /proc/…/status")?,
            peak_bytes: status_bytes(&status, "VmHWM").context("no VmHWM in /proc/…/status")?,
        })
    }

    /// All that lies in the data folder.
    pub(super) fn disk_bytes(&self) -> anyhow::Result<u64> {
        folder_bytes(&self.data)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("xtask: cannot end the server: {error}");
        }
    }
}

/// The most memory that a process had so far.
pub(super) fn peak_bytes(pid: u32) -> Option<u64> {
    status_bytes(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmHWM")
}

/// A port that nobody listens on at this moment.
fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The sum of a metric in Prometheus' text form over all sets of labels that are `wanted`; `None` if there is none.
fn metric(text: &str, name: &str, wanted: impl Fn(&str) -> bool) -> Option<f64> {
    text.lines()
        .filter_map(|line| {
            let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
            if !labels.is_empty() && !labels.starts_with('{') || !wanted(labels) {
                return None;
            }
            value.parse::<f64>().ok()
        })
        .reduce(|sum, it| sum + it)
}

/// Fields 14 and 15 of `/proc/PID/stat`, in ticks of which every Linux has 100 a second. The name of the process is
/// in parentheses and may hold anything, so counting starts behind it.
fn cpu_time(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 10))
}

fn status_bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(':'))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1_024)
}

fn folder_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in folder.read_dir()? {
        let entry = entry?;
        // Files come and go while segments are sealed and the log is let go.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_the_labels_that_are_wanted() {
        let metric = |text: &str, name: &str| metric(text, name, |labels| !labels.contains(BUSY));
        let text = "# HELP a_total x\n# TYPE a_total counter\na_total{source=\"x y\"} 3\na_total{source=\"z\"} 4\na_total{reason=\"busy\"} 100\na_total_more 9\nb 2.5\n";
        assert_eq!(metric(text, "a_total"), Some(7.0));
        assert_eq!(metric(text, "b"), Some(2.5));
        assert_eq!(metric(text, "c"), None);
    }

    #[test]
    fn times_and_memory_are_read_from_proc() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194304 500 0 0 0 150 25 0 0 20 0 4 0 100";
        assert_eq!(cpu_time(stat), Some(Duration::from_millis(1_750)));
        assert_eq!(cpu_time("42 (x"), None);
        let status = "Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t 1024 kB\n";
        assert_eq!(status_bytes(status, "VmHWM"), Some(2 << 20));
        assert_eq!(status_bytes(status, "VmRSS"), Some(1 << 20));
        assert_eq!(status_bytes(status, "VmSwap"), None);
    }

    #[test]
    fn a_scratch_folder_is_gone_afterwards() {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.folder("x").unwrap();
        std::fs::write(folder.join("file"), [0; 10]).unwrap();
        assert_eq!(folder_bytes(&folder).unwrap(), 10);
        drop(scratch);
        assert!(!folder.try_exists().unwrap());
    }
}
