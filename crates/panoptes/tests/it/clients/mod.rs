//! The programs that people send logs with, as they come from their distribution, against the real binary.
//!
//! Where one is missing its test says so and passes; in CI (`.ci/run` installs them) it fails. What is lost is looked
//! for by number: each line that a client is given has one.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "tests may, and say what they miss")]

mod beats;
mod docker;
mod elasticsearch_py;
mod journalctl;
mod logger;
mod rsyslog;
mod syslog_ng;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use panoptes_testkit::{Server, wait_until};

use crate::support::{LIMIT, binary, events};

/// `found`, or the news that there is no such client.
fn needed<T>(client: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "`{client}` is missing: .ci/run installs it");
        println!("skipped: `{client}` is missing");
    }
    found
}

/// The program called `name`, where programs are, those of root too.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|it| it.join(name)).find(|it| it.is_file())
}

/// A server whose configuration begins with `more`.
fn server(more: &str) -> Server {
    let config = format!(
        "files = []\n{more}\n[store]\nsegment_bytes_max = 1048576\nsegment_seconds_max = 1\nquery_bytes_max = 1073741824\n"
    );
    Server::of(binary()).config(&config).start()
}

/// A client that runs in the foreground. Killed when dropped.
struct Client {
    child: Child,
    said: PathBuf,
}

impl Client {
    fn start(command: &mut Command, folder: &Path) -> Self {
        let said = folder.join("said");
        let out = OpenOptions::new().create(true).append(true).open(&said).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, said }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap_or_default()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            println!("the client said:\n{}", self.said());
        }
    }
}

/// The text of the line with this number.
fn line(number: usize) -> String {
    format!("request {number} of the test-client took {} ms", number * 7 % 1_000)
}

/// Writes the lines with these numbers behind what is in the file.
fn append(path: &Path, numbers: Range<usize>) {
    let mut text = String::new();
    for number in numbers {
        writeln!(text, "{}", line(number)).unwrap();
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// How often each numbered line is stored.
fn stored(server: &Server) -> BTreeMap<usize, usize> {
    let mut stored = BTreeMap::new();
    for event in events(server, "\"test-client\"") {
        let original = event["event.original"].as_str().unwrap_or_default();
        let number = original.split("request ").nth(1).and_then(|it| it.split(' ').next()?.parse().ok());
        if let Some(number) = number {
            *stored.entry(number).or_default() += 1;
        }
    }
    stored
}

/// Waits until all lines of these numbers are stored; how often each is.
#[track_caller]
fn all_stored(server: &Server, client: Option<&Client>, numbers: Range<usize>) -> BTreeMap<usize, usize> {
    let mut last = BTreeMap::new();
    wait_until(LIMIT, "every line is stored", || {
        if let Some(client) = client {
            assert!(client.child.id() > 0 && !client.said().contains("panic"), "{}", client.said());
        }
        last = stored(server);
        numbers.clone().all(|it| last.contains_key(&it)).then(|| last.clone())
    })
}

/// A client that tries again is given the first lines, the server is killed and started again while the others come,
/// and nothing may be missing in the end.
fn nothing_is_lost_across_a_restart(server: &mut Server, client: &Client, input: &Path) {
    const LINES: usize = 1_000;
    append(input, 0..LINES);
    wait_until(LIMIT, "the first lines are stored", || (!stored(server).is_empty()).then_some(()));
    server.kill();
    append(input, LINES..2 * LINES);
    server.restart();
    let stored = all_stored(server, Some(client), 0..2 * LINES);
    let doubles = stored.values().filter(|it| **it > 1).count();
    println!("{doubles} lines came twice: their answer was lost");
}
