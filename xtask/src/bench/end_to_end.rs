//! The whole way of an event with all of SigmaHQ's rules: over TCP and `_bulk`, parsed, matched, sealed, searchable.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::http::Connection;
use super::load::{BODY_BYTES, RETRY_AFTER};
use super::server::{Scratch, Server};
use super::{mega, processor, wait_until};
use crate::run;

const COUNT_DEFAULT: u64 = 1_000_000;
/// Groups by two fields over everything: what needs memory.
const HEAVY_QUERY: &str = "select \"user.name\", \"source.ip\", \"process.command_line\", count(*) n from events group by 1, 2, 3 order by n desc limit 20";
/// How often the memory of the query is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Half Windows JSON, a quarter sshd, a quarter nginx; half of them over TCP, half as documents of `_bulk`.
pub(crate) fn end_to_end(options: &[&str]) -> anyhow::Result<bool> {
    let (mut count, mut binary) = (COUNT_DEFAULT, None);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let value = *options.next().with_context(|| format!("`{option}` needs a value"))?;
        match *option {
            "--count" => count = value.replace('_', "").parse().context("`--count` is no whole number")?,
            "--binary" => binary = Some(PathBuf::from(value)),
            _ => bail!("`bench end-to-end` knows --count and --binary, not `{option}`"),
        }
    }
    let corpora =
        run::corpora().context("events and rules are in the corpora: set PANOPTES_CORPORA")?.canonicalize()?;
    let panoptes = match binary {
        Some(path) => path.canonicalize().with_context(|| format!("there is no {}", path.display()))?,
        None => run::build_panoptes(true)?,
    };
    let scratch = Scratch::new()?;
    let inputs = scratch.folder("inputs")?;
    let (lines, documents) = inputs_of(&panoptes, &corpora, &inputs, count)?;
    println!("{} cores, {}", std::thread::available_parallelism()?, processor());

    let mut rules = Vec::new();
    for entry in std::fs::read_dir(corpora.join("sigma"))? {
        let path = entry?.path();
        let is_rules = path.file_name().is_some_and(|it| it.to_string_lossy().starts_with("rules"));
        if is_rules && path.is_dir() {
            rules.extend(["--rules".into(), path.into_os_string()]);
        }
    }
    let folder = scratch.folder("end-to-end")?;
    let server = Server::start_with(&panoptes, &folder, &rules)?;
    let before = server.process()?;
    let started = Instant::now();
    let sent = count / 4 * 4;
    let query_peak = std::thread::scope(|scope| -> anyhow::Result<u64> {
        let tcp = scope.spawn(|| send_lines(&server, &lines));
        let bulk = scope.spawn(|| send_documents(&server, &documents));
        wait_until(&server, "accept half of the events", |it| it.accepted >= sent / 2)?;
        let query_peak = heavy_query(&panoptes, &folder)?;
        wait_until(&server, "accept and fold all events", |it| it.accepted >= sent && it.fold_lag_frames == 0)?;
        for sender in [tcp, bulk] {
            sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
        }
        Ok(query_peak)
    })?;
    let took = started.elapsed();
    let lost = server.progress()?.lost;
    if lost > 0 {
        bail!("{lost} records were rejected or dropped: the figures would be of less than was sent");
    }
    wait_until(&server, "seal all events", |it| it.store_lag_frames == 0)?;
    let after = server.process()?;
    let cpu = (after.cpu - before.cpu).as_secs_f64();
    println!(
        "\n| events | bytes/event | events/s | CPU s per million, sealing included | peak memory | of a heavy query meanwhile | disk bytes/event |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    println!(
        "| {sent} | {:.0} | {:.0} | {:.1} | {} MB | {} MB | {:.0} |",
        (lines.len() + documents.len()) as f64 / sent as f64,
        sent as f64 / took.as_secs_f64(),
        cpu * 1e6 / sent as f64,
        mega(after.peak_bytes),
        mega(query_peak),
        server.disk_bytes()? as f64 / sent as f64
    );
    Ok(true)
}

/// What goes over TCP, and what becomes bodies of `_bulk`.
fn inputs_of(panoptes: &Path, corpora: &Path, folder: &Path, count: u64) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let quarter = (count / 4).to_string();
    let mut windows = Command::new("python3");
    windows.arg(run::root().join("peers/store/bench.py")).args(["inputs", "--windows", &(count / 2).to_string()]);
    windows.args(["--nginx", &quarter]).arg("--panoptes").arg(panoptes).arg("--corpora").arg(corpora).arg(folder);
    run::succeed(&mut windows)?;
    let sshd = folder.join("sshd.log");
    let mut generate = Command::new(panoptes);
    generate.args(["generate", "--kind", "sshd", "--rate", "0", "--seed", "7", "--count", &quarter, "--to"]);
    run::succeed(generate.arg(format!("file:{}", sshd.display())).stderr(Stdio::null()))?;
    let read = |name: &str| std::fs::read(folder.join(name)).with_context(|| format!("cannot read {name}"));
    let (windows, nginx, sshd) = (read("windows.jsonl")?, read("nginx.log")?, read("sshd.log")?);
    let mut windows = windows.split_inclusive(|it| *it == b'\n');
    let texts = nginx.split_inclusive(|it| *it == b'\n').zip(sshd.split_inclusive(|it| *it == b'\n'));
    let (mut lines, mut documents) = (Vec::new(), Vec::new());
    for (index, (nginx, sshd)) in texts.enumerate() {
        let (Some(first), Some(second)) = (windows.next(), windows.next()) else { break };
        if index % 2 == 0 {
            [first, second, nginx, sshd].iter().for_each(|it| lines.extend_from_slice(it));
            continue;
        }
        for event in [first, second] {
            documents.extend_from_slice(b"{\"create\":{\"_index\":\"windows\"}}\n");
            documents.extend_from_slice(event);
        }
        for text in [nginx, sshd] {
            documents.extend_from_slice(b"{\"create\":{\"_index\":\"logs\"}}\n{\"message\":");
            serde_json::to_writer(&mut documents, String::from_utf8_lossy(text).trim_end())?;
            documents.extend_from_slice(b"}\n");
        }
    }
    Ok((lines, documents))
}

fn send_lines(server: &Server, lines: &[u8]) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(server.tcp())?;
    stream.write_all(lines)?;
    stream.shutdown(Shutdown::Write)?;
    Ok(())
}

fn send_documents(server: &Server, documents: &[u8]) -> anyhow::Result<()> {
    let mut connection = Connection::open(server.http())?;
    let mut body = Vec::with_capacity(2 * BODY_BYTES);
    let mut lines = documents.split_inclusive(|it| *it == b'\n').peekable();
    while let (Some(action), Some(document)) = (lines.next(), lines.next()) {
        body.extend_from_slice(action);
        body.extend_from_slice(document);
        if body.len() < BODY_BYTES && lines.peek().is_some() {
            continue;
        }
        loop {
            let answer = connection.post("/_bulk", "application/x-ndjson", &body)?;
            match answer.status {
                200..=299 if answer.body.contains("\"errors\":false") => break,
                429 | 503 => std::thread::sleep(answer.retry_after.unwrap_or(RETRY_AFTER)),
                status => bail!("POST /_bulk was answered with {status}: {:.300}", answer.body.trim()),
            }
        }
        body.clear();
    }
    Ok(())
}

/// Runs beside the server; the most memory that it was seen to have.
fn heavy_query(panoptes: &Path, folder: &Path) -> anyhow::Result<u64> {
    let mut query = Command::new(panoptes);
    query.args(["search", "--sql", HEAVY_QUERY, "--data"]).arg(folder.join("data"));
    query.arg("--key-file").arg(folder.join("key")).stdout(Stdio::null());
    let mut child = query.spawn().context("cannot start the query")?;
    let mut peak = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            return if status.success() { Ok(peak) } else { bail!("the query ended with {status}") };
        }
        peak = peak.max(super::server::peak_bytes(child.id()).unwrap_or(0));
        std::thread::sleep(LOOK_EVERY);
    }
}
