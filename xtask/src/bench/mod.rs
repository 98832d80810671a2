//! The figures of `BENCHMARKS.md`, printed as rows of its tables.

mod end_to_end;
mod http;
mod load;
mod normalize;
mod server;
mod sigma;
mod store;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

pub(crate) use self::end_to_end::end_to_end;
use self::load::Load;
pub(crate) use self::normalize::normalize;
use self::server::{Scratch, Server};
pub(crate) use self::sigma::{correlation, entities, sigma};
pub(crate) use self::store::store;
use crate::run;

/// How many events each load has, unless told otherwise: some 20 seconds' worth at the rate that is asked for.
const COUNT_DEFAULT: u64 = 1_000_000;
/// How long an idle server is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(5);
/// How often a server under load is asked how far it is. Each answer costs it about a millisecond.
const POLL: Duration = Duration::from_millis(100);
/// A server that gets no further for so long is stuck.
const STALLED_AFTER: Duration = Duration::from_secs(60);

pub(crate) fn batch() -> anyhow::Result<bool> {
    of_store("batch")
}

pub(crate) fn segments() -> anyhow::Result<bool> {
    of_store("segments")
}

fn of_store(name: &str) -> anyhow::Result<bool> {
    let arguments = ["bench", "--package", "panoptes-store", "--no-default-features", "--bench", name];
    let mut bench = run::measuring_cargo();
    if let Some(corpora) = run::corpora() {
        bench.env("PANOPTES_CORPORA", corpora.canonicalize()?);
    }
    run::succeed(bench.args(arguments))?;
    Ok(true)
}

/// Starts a release binary with the shipped rules and an empty data folder for each load, sends the load as fast as
/// the server takes it, and reads from `/proc` what it cost the server. Sender and server share the machine; the
/// lines are generated before, so that the sender does little but write to a socket.
pub(crate) fn river(options: &[&str]) -> anyhow::Result<bool> {
    let mut count = COUNT_DEFAULT;
    let mut loads = Load::ALL.to_vec();
    let mut binary = None;
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let value = *options.next().with_context(|| format!("`{option}` needs a value"))?;
        match *option {
            "--count" => count = value.replace('_', "").parse().context("`--count` is no whole number")?,
            "--only" => {
                loads.retain(|it| it.name() == value);
                if loads.is_empty() {
                    bail!("there is no load `{value}`; there are tcp and http");
                }
            }
            "--binary" => binary = Some(PathBuf::from(value)),
            _ => bail!("`bench river` knows --count, --only and --binary, not `{option}`"),
        }
    }
    if count == 0 {
        bail!("`--count` must be at least 1");
    }
    let panoptes = match binary {
        Some(path) => path.canonicalize().with_context(|| format!("there is no {}", path.display()))?,
        None => run::build_panoptes(true)?,
    };
    let scratch = Scratch::new()?;
    println!("{} cores, {}", std::thread::available_parallelism()?, processor());

    let idle = {
        let server = Server::start(&panoptes, &scratch.folder("idle")?)?;
        std::thread::sleep(IDLE);
        (server.ready_after(), server.process()?.resident_bytes)
    };
    println!("\n| ready after | memory when idle |\n| ---: | ---: |");
    println!("| {:.2} s | {} MB |", idle.0.as_secs_f64(), mega(idle.1));

    println!(
        "\n| load | events | bytes/event | events/s | MB/s | CPU seconds | µs CPU/event | peak memory | disk bytes/event |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for load in loads {
        let lines = scratch.file(load.name());
        let mut generate = Command::new(&panoptes);
        generate.args(["generate", "--rate", "0", "--kind", load.kind(), "--count", &count.to_string(), "--to"]);
        run::succeed(generate.arg(format!("file:{}", lines.display())))?;
        let row =
            measure(&Server::start(&panoptes, &scratch.folder(load.name())?)?, load, &std::fs::read(&lines)?, count)?;
        println!("{row}");
    }
    Ok(true)
}

fn measure(server: &Server, load: Load, lines: &[u8], count: u64) -> anyhow::Result<String> {
    let before = (server.progress()?, server.process()?);
    let started = Instant::now();
    let took = std::thread::scope(|scope| {
        let sender = scope.spawn(|| load.send(server, lines));
        wait_until(server, "accept and fold all events", |progress| {
            progress.accepted >= before.0.accepted + count && progress.fold_lag_frames == 0
        })?;
        let took = started.elapsed();
        sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        anyhow::Ok(took)
    })?;
    let after = server.process()?;
    let rejected = server.progress()?.lost - before.0.lost;
    if rejected > 0 {
        bail!("{rejected} records were rejected or dropped: the figures would be of less than was sent");
    }
    wait_until(server, "seal all events", |progress| progress.store_lag_frames == 0)?;
    let disk = server.disk_bytes()?;

    let (events, seconds, cpu) = (count as f64, took.as_secs_f64(), (after.cpu - before.1.cpu).as_secs_f64());
    Ok(format!(
        "| {} | {count} | {:.0} | {:.0} | {:.1} | {cpu:.2} | {:.1} | {} MB | {:.1} |",
        load.title(),
        lines.len() as f64 / events,
        events / seconds,
        lines.len() as f64 / 1e6 / seconds,
        cpu * 1e6 / events,
        mega(after.peak_bytes),
        disk as f64 / events,
    ))
}

/// Asks until `done`, as long as there is progress.
fn wait_until(server: &Server, what: &str, done: impl Fn(&server::Progress) -> bool) -> anyhow::Result<()> {
    let mut last = server.progress()?;
    let mut changed = Instant::now();
    while !done(&last) {
        std::thread::sleep(POLL);
        let now = server.progress()?;
        if now != last {
            (last, changed) = (now, Instant::now());
        } else if changed.elapsed() > STALLED_AFTER {
            bail!("the server did not {what}: it stands at {last:?} for {} s", STALLED_AFTER.as_secs());
        }
    }
    Ok(())
}

fn mega(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|it| it.strip_prefix("model name")?.split_once(':').map(|it| it.1.trim()));
    model.unwrap_or("unknown processor").to_owned()
}
