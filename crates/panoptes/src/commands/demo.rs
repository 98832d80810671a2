//! `panoptes demo`: generated traffic and staged attacks against a temporary instance.

use std::io::{IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use panoptes_config::{Config, Environment, Layers, Override};
use panoptes_model::{Alert, FindingOrigin, Timestamp};
use panoptes_seal::KeyEncryptionKey;

use crate::cli::{DemoArgs, Global};
use crate::commands::Outcome;
use crate::console::{self, Palette};
use crate::generate::run::{Plan, Report};
use crate::generate::send::{Sender, Target};
use crate::generate::{Generator, Options};
use crate::server::{self, Server, ServerOptions};
use crate::time;

/// How long without a terminal.
const UNATTENDED: Duration = Duration::from_secs(60);
/// The demo cannot wait an hour for never-seen messages: it learns this many messages, this long.
const LEARN_EVENTS: u64 = 500;
const LEARN_SECONDS: u32 = 8;
/// Updates of alerts that the summary looks at; a demo of a minute has some hundred.
const UPDATES_MAX: usize = 10_000;
/// An alert as it was when the terminal could show it.
struct Told {
    alert: Alert,
    opened: bool,
    at: Timestamp,
}

/// How long the last lines may take to become alerts.
const SETTLE: Duration = Duration::from_millis(1_500);

pub(super) fn run(global: &Global, args: &DemoArgs) -> anyhow::Result<Outcome> {
    let folder =
        tempfile::Builder::new().prefix("panoptes-demo-").tempdir().context("cannot make a temporary folder")?;
    let config = config(global, folder.path())?;
    // A key that is gone in a minute need not be kept in a safe place, so nobody is told of it.
    KeyEncryptionKey::create_or_load(&config.key_file).context("cannot make a key")?;
    let mut fold = server::fold_options(&config, FindingOrigin::Live);
    fold.detector.never_seen.learn_events = LEARN_EVENTS;
    fold.detector.never_seen.learn_seconds = LEARN_SECONDS;

    let alerts: Arc<Mutex<Vec<Told>>> = Arc::default();
    let seen = Arc::clone(&alerts);
    let options = ServerOptions {
        rules: Vec::new(),
        reload: false,
        on_alerts: Box::new(move |updates| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let room = UPDATES_MAX.saturating_sub(seen.len());
            let at = time::now();
            seen.extend(updates.iter().take(room).map(|it| Told { alert: it.alert.clone(), opened: it.opened, at }));
            // A terminal that went away ends the demo by its signal, not by this.
            drop(console::write_alerts(&mut std::io::stdout().lock(), updates, false));
        }),
        stdin: false,
        fold,
    };
    let mut server = Server::start(&config, options)?;
    let tcp = server.tcp.context("the demo listens for TCP lines")?;
    let duration = args.duration.or_else(|| (!std::io::stdout().is_terminal()).then_some(UNATTENDED));
    introduce(&server, &config, duration, args.rate)?;

    let target: Target = format!("tcp://{tcp}").parse()?;
    let options = Options { dress: target.dress(), anomalies: true, ..Options::default() };
    let (seed, rate) = (args.seed, args.rate.max(1));
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let generator = std::thread::Builder::new()
        .name("generate".to_owned())
        .spawn(move || -> anyhow::Result<Report> {
            let mut generator = Generator::new(seed, time::now(), &options);
            let mut sender = Sender::open(&target)?;
            let plan = Plan { rate, count: None, duration };
            Ok(crate::generate::run::run(&mut generator, &mut sender, plan, &time::now, &stopped, &mut |_| ()))
        })
        .context("cannot start the generator")?;
    server.wait(async move {
        match duration {
            Some(duration) => tokio::select! {
                () = server::interrupted() => {}
                () = tokio::time::sleep(duration + SETTLE) => {}
            },
            None => server::interrupted().await,
        }
    });
    stop.store(true, Ordering::Release);
    let report = generator.join().map_err(|_| anyhow::anyhow!("the generator panicked"))??;
    server.stop()?;
    let alerts = alerts.lock().unwrap_or_else(PoisonError::into_inner);
    summarize(&report, &alerts)?;
    Ok(Outcome::Fine)
}

/// Everything in the temporary folder, on ports that nobody uses, whatever the user's own configuration says.
fn config(global: &Global, folder: &std::path::Path) -> anyhow::Result<Config> {
    let set = |key: &'static str, value: String| Override { key, value, flag: "demo" };
    let path = |name: &str| folder.join(name).display().to_string();
    let overrides = vec![
        set("data_dir", path("data")),
        set("key_file", path("key")),
        set("http.listen", "127.0.0.1:0".to_owned()),
        set("tcp.listen", "127.0.0.1:0".to_owned()),
        set("syslog.enabled", "false".to_owned()),
        set("files", String::new()),
    ];
    if global.config.is_some() || global.data.is_some() {
        tracing::warn!("the demo is always in a temporary folder: --config and --data are for `panoptes run`");
    }
    let layers = Layers { file: None, environment: Environment::new([], false, folder), overrides, formats: &[] };
    Config::from_layers(&layers).map_err(|problems| anyhow::anyhow!("{problems}"))
}

fn introduce(server: &Server, config: &Config, duration: Option<Duration>, rate: u64) -> anyhow::Result<()> {
    let palette = Palette::for_stdout();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", palette.bold("panoptes demo"))?;
    let until = match duration {
        Some(duration) => format!("for {} s", duration.as_secs()),
        None => "until Ctrl-C".to_owned(),
    };
    writeln!(out, "  {rate} log lines a second with staged attacks between them, {until}; {} rules", server.rules)?;
    writeln!(
        out,
        "  everything is encrypted in a temporary folder and gone afterwards; in another terminal, meanwhile:"
    )?;
    let program = console::program();
    writeln!(
        out,
        "    export PANOPTES_DATA={} PANOPTES_KEY_FILE={}",
        config.data_dir.display(),
        config.key_file.display()
    )?;
    writeln!(out, "    {program} alerts list")?;
    writeln!(out, "    {program} search 'event.outcome:failure' --limit 5")?;
    if let Some(http) = server.http {
        writeln!(
            out,
            "    curl -d '{{\"level\":\"CRITICAL\",\"message\":\"Unauthorized access from 192.168.1.100\"}}' {http}/logs"
        )?;
    }
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

/// What was staged against what was alerted.
fn summarize(report: &Report, alerts: &[Told]) -> anyhow::Result<()> {
    let palette = Palette::for_stdout();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{}  {} lines in {:.0} s, {} alerts",
        palette.bold("summary"),
        report.tally.sent,
        report.seconds(),
        alerts.iter().filter(|it| it.opened).count()
    )?;
    let (mut owed, mut met) = (0, 0);
    for staged in report.staged.iter().filter(|it| it.is_finished()) {
        for expected in &staged.expected {
            let names = |alert: &Alert| match &expected.entity {
                Some((field, value)) => alert.entities.iter().any(|it| it.field == *field && it.value == *value),
                None => true,
            };
            // Log lines tell whole seconds.
            let began = staged.started_at.as_seconds();
            let found = alerts.iter().find(|told| {
                told.alert.rule.title == expected.title
                    && names(&told.alert)
                    && told.alert.last_seen.as_seconds() >= began
            });
            owed += 1;
            met += usize::from(found.is_some());
            let (mark, after) = match found {
                Some(told) => {
                    let seconds = told.at.nanos_since(staged.started_at) as f64 / 1e9;
                    ("found ", format!("{seconds:.1} s after it began"))
                }
                None => ("MISSED", String::new()),
            };
            let whom = expected.entity.as_ref().map_or("", |it| &it.1);
            writeln!(out, "  {mark}  {:<48} {whom:<18} {after}", expected.title)?;
        }
    }
    writeln!(out, "  {met} of {owed} expected alerts came")?;
    writeln!(out, "\nnext: {} run    # the same for this machine", console::program())?;
    out.flush()?;
    Ok(())
}
