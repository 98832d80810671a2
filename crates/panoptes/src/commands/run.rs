//! `panoptes run`.

use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use anyhow::Context as _;
use panoptes_config::{Config, Console, Override};
use panoptes_model::{AlertUpdate, FindingOrigin};

use crate::cli::{AlertsFormat, Global, RunArgs};
use crate::commands::Outcome;
use crate::server::{self, Server, ServerOptions};
use crate::{console, surroundings};

/// Bundles of alerts that wait for a console or a file that is slow to take them. Beyond, they are only in the
/// catalogue, and their number is told.
const TELLINGS_MAX: usize = 256;

pub(super) fn run(global: &Global, args: &RunArgs) -> anyhow::Result<Outcome> {
    let config = surroundings::config(global, overrides(args))?;
    let teller = Teller::start(&config)?;
    let options = ServerOptions {
        rules: args.rules.clone(),
        reload: true,
        on_alerts: Box::new(move |updates| teller.tell(updates)),
        stdin: args.stdin,
        fold: server::fold_options(&config, FindingOrigin::Live),
    };
    let mut server = Server::start(&config, options)?;
    announce(&server, &config);
    let duration = args.duration;
    server.wait(async move {
        let over = async {
            match duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = server::interrupted() => {}
            () = server::terminal_lost() => {}
            () = over => {}
        }
    });
    tracing::info!("stopping: taking in what has arrived");
    server.stop()?;
    tracing::info!("stopped");
    Ok(Outcome::Fine)
}

fn overrides(args: &RunArgs) -> Vec<Override> {
    let mut overrides = Vec::new();
    let mut set = |key, flag, value: Option<String>| {
        if let Some(value) = value {
            overrides.push(Override { key, value, flag });
        }
    };
    let alerts = args.alerts.map(|it| {
        let word = match it {
            AlertsFormat::Text => "text",
            AlertsFormat::Json => "json",
            AlertsFormat::None => "none",
        };
        word.to_owned()
    });
    set("alerts.console", "--alerts", alerts);
    set("alerts.file", "--alerts-file", args.alerts_file.as_ref().map(|it| it.display().to_string()));
    for (listen, enabled, flag, value) in
        [("http.listen", "http.enabled", "--http", &args.http), ("tcp.listen", "tcp.enabled", "--tcp", &args.tcp)]
    {
        match value.as_deref() {
            Some("none") => set(enabled, flag, Some("false".to_owned())),
            other => set(listen, flag, other.map(str::to_owned)),
        }
    }
    match args.syslog.as_deref() {
        Some("none") => set("syslog.enabled", "--syslog", Some("false".to_owned())),
        other => {
            set("syslog.udp", "--syslog", other.map(str::to_owned));
            set("syslog.tcp", "--syslog", other.map(str::to_owned));
        }
    }
    set("insecure", "--insecure", args.insecure.then(|| "true".to_owned()));
    overrides
}

/// Where everything is, in a few lines on standard error.
fn announce(server: &Server, config: &Config) {
    let mut listening = Vec::new();
    let mut add = |name: &str, address: Option<std::net::SocketAddr>| {
        if let Some(address) = address {
            listening.push(format!("{name} {address}"));
        }
    };
    add("http", server.http);
    add("tcp", server.tcp);
    add("syslog udp", server.syslog_udp);
    add("syslog tcp", server.syslog_tcp);
    add("syslog tls", server.syslog_tls);
    let files: usize = config.files.iter().map(|it| it.paths.len()).sum();
    tracing::info!(
        "watching: {}; {files} file patterns; {} rules; evidence in {}, opened with the {}",
        if listening.is_empty() { "no ports".to_owned() } else { listening.join(", ") },
        server.rules,
        config.data_dir.display(),
        crate::keys::source_text(&config.key)
    );
}

/// Writes alerts to the console and the alerts file on a thread of its own: a terminal that was stopped with Ctrl-S
/// must not stop detection.
pub(super) struct Teller {
    queue: SyncSender<Vec<AlertUpdate>>,
    untold: std::cell::Cell<u64>,
}

impl Teller {
    pub(super) fn start(config: &Config) -> anyhow::Result<Self> {
        let json = match config.alerts.console {
            Console::Text => Some(false),
            Console::Json => Some(true),
            Console::None => None,
        };
        let mut file = config.alerts.file.as_deref().map(open_alerts_file).transpose()?;
        let (queue, tellings) = sync_channel::<Vec<AlertUpdate>>(TELLINGS_MAX);
        std::thread::Builder::new()
            .name("alerts".to_owned())
            .spawn(move || {
                for updates in tellings {
                    if let Some(json) = json
                        && let Err(error) = console::write_alerts(&mut std::io::stdout().lock(), &updates, json)
                        && error.kind() != std::io::ErrorKind::BrokenPipe
                    {
                        tracing::warn!("cannot write alerts to the console: {error}");
                    }
                    if let Some(file) = &mut file
                        && let Err(error) = console::write_alerts(file, &updates, true)
                    {
                        tracing::error!("cannot write to the alerts file: {error}; the catalogue has the alerts");
                    }
                }
            })
            .context("cannot start the thread that writes alerts")?;
        Ok(Self { queue, untold: std::cell::Cell::new(0) })
    }

    pub(super) fn tell(&self, updates: &[AlertUpdate]) {
        if updates.is_empty() {
            return;
        }
        match self.queue.try_send(updates.to_vec()) {
            Ok(()) => {}
            Err(TrySendError::Full(updates)) => {
                let untold = self.untold.get() + updates.len() as u64;
                self.untold.set(untold);
                tracing::warn!("the console is too slow: {untold} alerts are only in `panoptes alerts list`");
            }
            Err(TrySendError::Disconnected(_)) => tracing::warn!("the thread that writes alerts has ended"),
        }
    }
}

fn open_alerts_file(path: &Path) -> anyhow::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write alerts to {}; name another file with --alerts-file", path.display()))
}
