//! A running instance: everything between the command line and the pipeline. `run` and `demo` are this.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use panoptes_catalog::blocking::Catalog;
use panoptes_catalog::{OpenMode, SourcePosition};
use panoptes_config::{Config, FileWatch, SyslogConfig};
use panoptes_correlate::DeduplicatorOptions;
use panoptes_detect::DetectorOptions;
use panoptes_engine::{Fold, FoldOptions, Preparer};
use panoptes_intake::inputs::{
    ContainerConfig, ContainerInput, ElasticsearchInput, FileCheckpoint, FileCheckpoints, FileConfig, FileIdentity,
    FileInput, HttpConfig, HttpInput, ImportCheckpoints, ImportProgress, StartAt, StdinConfig, StdinInput,
    SyslogTcpConfig, SyslogTcpInput, SyslogTlsConfig, SyslogTlsInput, SyslogUdpConfig, SyslogUdpInput, TcpConfig,
    TcpInput,
};
use panoptes_intake::{Context, Counters, Sink, SinkLimits, Submissions};
use panoptes_model::FindingOrigin;
use panoptes_seal::KeyEncryptionKey;
use panoptes_store::Store;
use panoptes_store::lock::DataLock;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::books::Books;
use crate::enrichment::Enrichment;
use crate::health::{self, Health};
use crate::live::{Listener, Taps};
use crate::pipeline::{OnAlerts, Parts, Pipeline, Vitals};
use crate::reload::{self, Loaded, Seen};
use crate::rules::LoadedRules;
use crate::{books, journal, surroundings, time};

/// Threads of the inputs' runtime: they only move bytes.
const INTAKE_THREADS_MAX: usize = 4;

/// What only this run wants.
pub(crate) struct ServerOptions {
    /// More rule files and folders.
    pub(crate) rules: Vec<PathBuf>,
    /// Whether rules that change on disk, or a SIGHUP, bring others in force.
    pub(crate) reload: bool,
    pub(crate) on_alerts: OnAlerts,
    pub(crate) stdin: bool,
    pub(crate) fold: FoldOptions,
}

/// The river without its springs: everything from the queue on.
struct Core {
    pipeline: Pipeline,
    vitals: Arc<Vitals>,
    rules: usize,
    loaded: Loaded,
    /// Another way into the catalogue, for those who keep books.
    catalog: Catalog,
    key: KeyEncryptionKey,
    taps: Arc<Taps>,
}

impl Core {
    /// Opens the data folder and starts the threads. When this returns, what an earlier run left is folded.
    fn start(
        config: &Config,
        rules: &[PathBuf],
        fold: FoldOptions,
        on_alerts: OnAlerts,
        counters: Counters,
        before: impl FnOnce() -> anyhow::Result<Submissions>,
    ) -> anyhow::Result<Self> {
        surroundings::make_data_dir(&config.data_dir)?;
        // The lock first: nothing may be touched beside a running instance.
        let lock = DataLock::acquire(&config.data_dir)?;
        let sources = surroundings::rule_sources(config, rules, true);
        let seen = Seen::look(&sources)?;
        let loaded = sources.load()?;
        loaded.tell();
        let LoadedRules { rules, errors } = loaded;
        let enrichment = Enrichment::load(config);
        let snapshot = enrichment.snapshot();
        let (rules, loaded) = (Arc::new(rules), Loaded { sources, seen, errors, enrichment });
        // Ports before evidence: a used one must end the start while nothing has begun.
        let submissions = before()?;
        let key = crate::keys::for_writing(config)?;
        let count = rules.len();
        let preparer =
            Preparer::new(surroundings::normalizer(config, None)?, Arc::clone(&rules))?.with_snapshot(snapshot)?;
        let catalog = surroundings::catalog(config, &key, OpenMode::Create)?;
        let (store, log) = Store::open(&config.data_dir, &key, lock, surroundings::store_options(config))
            .with_context(|| format!("cannot open the evidence in {}", config.data_dir.display()))?;
        let store = store.with_retention(surroundings::retention(config));
        let fold = restore_fold(&store, rules, fold)?;
        let for_books = surroundings::catalog(config, &key, OpenMode::Existing)?;
        let vitals = Arc::new(Vitals::default());
        let taps = Arc::new(Taps::default());
        let pipeline = Pipeline::start(Parts {
            store,
            catalog,
            preparer,
            fold,
            log,
            submissions,
            on_alerts,
            counters,
            clock: time::now,
            preparers: surroundings::workers(config),
            vitals: Arc::clone(&vitals),
            taps: Arc::clone(&taps),
        })?;
        Ok(Self { pipeline, vitals, rules: count, loaded, catalog: for_books, key, taps })
    }
}

fn queue(config: &Config) -> (Sink, Submissions) {
    Sink::channel(SinkLimits { bytes_max: config.limits.queue_bytes_max as usize, ..SinkLimits::default() })
}

/// An instance that takes in files and ends.
pub(crate) struct Importer {
    core: Core,
    sink: Sink,
    counters: Counters,
}

impl Importer {
    pub(crate) fn start(config: &Config, fold: FoldOptions, on_alerts: OnAlerts) -> anyhow::Result<Self> {
        let (sink, submissions) = queue(config);
        let counters = Counters::new();
        let core = Core::start(config, &[], fold, on_alerts, counters.clone(), || Ok(submissions))?;
        Ok(Self { core, sink, counters })
    }

    pub(crate) fn sink(&self) -> &Sink {
        &self.sink
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How far files were imported before.
    pub(crate) fn checkpoints(&self) -> ImportCheckpoints {
        let mut known = ImportCheckpoints::default();
        for position in &self.core.pipeline.positions {
            known.note(&position.identity, position.position);
        }
        known
    }

    /// Waits until everything that was committed is detected on and in the catalogue.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        let Self { core, sink, counters } = self;
        books::note(&core.catalog, &counters);
        core.catalog.close();
        drop(sink);
        core.pipeline.join().map(drop)
    }
}

/// A started instance. Dropping it without [`stop`](Self::stop) is a crash.
pub(crate) struct Server {
    runtime: tokio::runtime::Runtime,
    inputs: JoinSet<anyhow::Result<Option<Resume>>>,
    shutdown: CancellationToken,
    pipeline: Pipeline,
    books: Books,
    /// For those who look on.
    listener: Option<Listener>,
    vitals: Arc<Vitals>,
    shutdown_max: Duration,
    /// Where it listens, as it turned out (port 0 becomes a real one).
    pub(crate) http: Option<SocketAddr>,
    pub(crate) tcp: Option<SocketAddr>,
    pub(crate) syslog_udp: Option<SocketAddr>,
    pub(crate) syslog_tcp: Option<SocketAddr>,
    pub(crate) syslog_tls: Option<SocketAddr>,
    pub(crate) rules: usize,
}

impl Server {
    pub(crate) fn start(config: &Config, options: ServerOptions) -> anyhow::Result<Self> {
        let ServerOptions { rules, reload, on_alerts, stdin, fold } = options;
        let prometheus = install_metrics()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(surroundings::workers(config).min(INTAKE_THREADS_MAX))
            .thread_name("intake")
            .enable_all()
            .build()
            .context("cannot start the runtime of the inputs")?;
        let (sink, submissions) = queue(config);
        let shutdown = CancellationToken::new();
        let counters = Counters::new();
        let context = Context { sink, counters, clock: Arc::new(time::now), shutdown: shutdown.clone() };
        let mut bound = None;
        let core = Core::start(config, &rules, fold, on_alerts, context.counters.clone(), || {
            bound = Some(runtime.block_on(Inputs::bind(config))?);
            Ok(submissions)
        })?;
        let Core { mut pipeline, vitals, rules, loaded, catalog, key, taps } = core;
        let positions = std::mem::take(&mut pipeline.positions);
        // Looking on is no reason not to run.
        let listener = match Listener::start(&config.data_dir, key, taps) {
            Ok(listener) => Some(listener),
            Err(error) => {
                tracing::warn!("{error:#}; `panoptes tail` cannot reach this instance");
                None
            }
        };
        let books = Books::open(catalog, context.counters.clone(), context.sink.clone(), time::now, books::EVERY)?;
        reload::note_loaded(pipeline.in_force.get().rules());
        if pipeline.in_force.get().snapshot().lacks_databases() {
            tracing::info!(
                "nothing says where addresses lie: name databases of countries, cities and networks in enrich.databases"
            );
        }
        let inputs = bound.context("the inputs were not bound")?;
        let mut server = Self {
            inputs: JoinSet::new(),
            shutdown,
            pipeline,
            books,
            listener,
            shutdown_max: config.limits.shutdown_max,
            http: inputs.http.as_ref().and_then(|it| it.1.local_addr().ok()),
            tcp: inputs.tcp.as_ref().map(TcpInput::local_addr),
            syslog_udp: inputs.syslog_udp.as_ref().map(SyslogUdpInput::local_addr),
            syslog_tcp: inputs.syslog_tcp.as_ref().map(SyslogTcpInput::local_addr),
            syslog_tls: inputs.syslog_tls.as_ref().map(SyslogTlsInput::local_addr),
            rules,
            vitals: Arc::clone(&vitals),
            runtime,
        };
        if reload {
            let wake = on_hangup(&server.runtime)?;
            reload::watch(loaded, Arc::clone(&server.pipeline.in_force), wake)?;
        }
        server.start_inputs(
            inputs,
            config,
            &context,
            positions,
            Health { vitals, prometheus, sink: context.sink.clone() },
            stdin,
        )?;
        Ok(server)
    }

    fn start_inputs(
        &mut self,
        inputs: Inputs,
        config: &Config,
        context: &Context,
        positions: Vec<SourcePosition>,
        health: Health,
        stdin: bool,
    ) -> anyhow::Result<()> {
        let _inside = self.runtime.enter();
        let Inputs { http, tcp, syslog_udp, syslog_tcp, syslog_tls } = inputs;
        if let Some((http_config, listener)) = http {
            let (input, stopped) = (HttpInput::new(http_config, context.clone()), context.shutdown.clone());
            let documents = ElasticsearchInput::beside(&input).router();
            let router = input.router().merge(documents).merge(health::router(health));
            self.inputs.spawn(async move {
                let service = router.into_make_service_with_connect_info::<SocketAddr>();
                axum::serve(listener, service)
                    .with_graceful_shutdown(async move { stopped.cancelled().await })
                    .await
                    .context("the HTTP input failed")?;
                input.drained().await;
                Ok(None)
            });
        }
        if let Some(input) = tcp {
            let context = context.clone();
            self.inputs.spawn(async move {
                input.run(context).await;
                Ok(None)
            });
        }
        if let Some(input) = syslog_udp {
            let context = context.clone();
            self.inputs.spawn(async move {
                input.run(context).await;
                Ok(None)
            });
        }
        if let Some(input) = syslog_tcp {
            let context = context.clone();
            self.inputs.spawn(async move {
                input.run(context).await;
                Ok(None)
            });
        }
        if let Some(input) = syslog_tls {
            let context = context.clone();
            self.inputs.spawn(async move {
                input.run(context).await;
                Ok(None)
            });
        }
        if let Some(input) = journal::input(config, &positions)? {
            let context = context.clone();
            self.inputs.spawn(async move { Ok(input.run(context).await.map(Resume::Journal)) });
        }
        let known = checkpoints(positions);
        for watched in &config.files {
            let input = FileInput::new(file_config(watched), known.clone())?;
            let context = context.clone();
            self.inputs.spawn(async move { Ok(input.run(context).await.map(Resume::Files)) });
        }
        if let Some(containers) = container_config(config) {
            let input = ContainerInput::new(containers, known)?;
            let context = context.clone();
            self.inputs.spawn(async move { Ok(input.run(context).await.map(Resume::Files)) });
        }
        if stdin {
            let input = StdinInput::new(StdinConfig::default(), tokio::io::stdin());
            let context = context.clone();
            self.inputs.spawn(async move {
                input.run(context).await?;
                Ok(None)
            });
        }
        Ok(())
    }

    /// Waits until `until` is over, or an input fails.
    pub(crate) fn wait(&mut self, until: impl Future<Output = ()>) {
        let (runtime, inputs) = (&self.runtime, &mut self.inputs);
        runtime.block_on(async {
            tokio::pin!(until);
            loop {
                tokio::select! {
                    () = &mut until => return,
                    Some(ended) = inputs.join_next() => match ended {
                        Ok(Ok(_)) => {}
                        Ok(Err(error)) => tracing::error!("{error:#}"),
                        Err(error) => tracing::error!("an input ended unexpectedly: {error}"),
                    },
                }
            }
        });
    }

    /// Stops along the river: inputs drain, the queue closes, every stage ends, the state is written down.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        let Self { runtime, mut inputs, shutdown, pipeline, books, listener, vitals, shutdown_max, .. } = self;
        drop(listener);
        vitals.stopping.store(true, Ordering::Release);
        shutdown.cancel();
        let mut positions: BTreeMap<String, SourcePosition> = BTreeMap::new();
        let drained = runtime.block_on(async {
            let drain = async {
                while let Some(ended) = inputs.join_next().await {
                    match ended {
                        Ok(Ok(Some(Resume::Files(files)))) => note_positions(&mut positions, &files),
                        Ok(Ok(Some(Resume::Journal(cursor)))) => {
                            let position = journal::position(cursor);
                            positions.insert(position.source.clone(), position);
                        }
                        _ => {}
                    }
                }
            };
            tokio::time::timeout(shutdown_max, drain).await.is_ok()
        });
        if !drained {
            tracing::warn!(
                "some inputs did not drain within {} s; what was acknowledged is safe",
                shutdown_max.as_secs()
            );
        }
        books.close();
        // Ends tasks that still hold a sink, so that the queue closes.
        drop(inputs);
        runtime.shutdown_timeout(Duration::from_secs(1));
        let catalog = pipeline.join()?;
        let positions: Vec<SourcePosition> = positions.into_values().collect();
        catalog.set_positions(&positions).context("cannot note how far files were read")
    }
}

/// Sockets that are bound, not yet served.
struct Inputs {
    http: Option<(HttpConfig, TcpListener)>,
    tcp: Option<TcpInput>,
    syslog_udp: Option<SyslogUdpInput>,
    syslog_tcp: Option<SyslogTcpInput>,
    syslog_tls: Option<SyslogTlsInput>,
}

impl Inputs {
    async fn bind(config: &Config) -> anyhow::Result<Self> {
        let mut inputs = Self { http: None, tcp: None, syslog_udp: None, syslog_tcp: None, syslog_tls: None };
        if let Some(http) = &config.http {
            let listener = TcpListener::bind(http.listen).await.with_context(|| {
                format!(
                    "cannot listen for HTTP on {}; stop what uses the port, or choose another with --http ADDR \
                     (`--http none` turns it off)",
                    http.listen
                )
            })?;
            let input = HttpConfig {
                format: http.format.clone(),
                time_zone: http.time_zone.clone(),
                body_bytes_max: http.body_bytes_max as usize,
                body_decoded_bytes_max: http.body_decoded_bytes_max as usize,
                ..HttpConfig::default()
            };
            inputs.http = Some((input, listener));
        }
        if let Some(tcp) = &config.tcp {
            let mut input = TcpConfig { address: tcp.listen, ..TcpConfig::default() };
            input.format.clone_from(&tcp.format);
            input.time_zone.clone_from(&tcp.time_zone);
            input.connections_max = tcp.connections_max;
            if let Some(idle) = tcp.idle_max {
                input.idle_timeout = idle;
            }
            inputs.tcp = Some(TcpInput::bind(input).await?);
        }
        if let Some(syslog) = &config.syslog {
            if let Some(address) = syslog.udp {
                let mut input = SyslogUdpConfig { address, ..SyslogUdpConfig::default() };
                input.format.clone_from(&syslog.format);
                input.time_zone.clone_from(&syslog.time_zone);
                inputs.syslog_udp = Some(SyslogUdpInput::bind(input).await?);
            }
            if let Some(address) = syslog.tcp {
                let mut input = SyslogTcpConfig { address, ..SyslogTcpConfig::default() };
                input.format.clone_from(&syslog.format);
                input.time_zone.clone_from(&syslog.time_zone);
                input.connections_max = syslog.connections_max;
                if let Some(idle) = syslog.idle_max {
                    input.idle_timeout = idle;
                }
                inputs.syslog_tcp = Some(SyslogTcpInput::bind(input).await?);
            }
            inputs.syslog_tls = bind_tls(syslog).await?;
        }
        Ok(inputs)
    }
}

async fn bind_tls(syslog: &SyslogConfig) -> anyhow::Result<Option<SyslogTlsInput>> {
    let Some(tls) = &syslog.tls else { return Ok(None) };
    let files = surroundings::tls_files(tls)?;
    let mut input = SyslogTlsConfig { address: tls.listen, ..SyslogTlsConfig::new(files) };
    input.format.clone_from(&syslog.format);
    input.time_zone.clone_from(&syslog.time_zone);
    input.connections_max = syslog.connections_max;
    if let Some(idle) = syslog.idle_max {
        input.idle_timeout = idle;
    }
    Ok(Some(SyslogTlsInput::bind(input, Arc::new(time::now)).await?))
}

/// Where an input goes on at the next start, as far as no frame says so.
enum Resume {
    Files(FileCheckpoints),
    /// The journal's cursor.
    Journal(String),
}

/// The state of the last run, as far as it can be read. Without it the log is folded again from its start.
pub(crate) fn restore_fold(
    store: &Store,
    rules: Arc<panoptes_detect::RuleSet>,
    options: FoldOptions,
) -> anyhow::Result<Fold> {
    let mut fold = Fold::new(rules, options);
    if let Some(bytes) = store.read_checkpoint().context("cannot read the checkpoint of the detection state")?
        && let Err(error) = fold.restore(&bytes)
    {
        tracing::warn!("{error}: windows and cool-downs start empty");
    }
    Ok(fold)
}

/// What the configuration says to detection.
pub(crate) fn fold_options(config: &Config, origin: FindingOrigin) -> FoldOptions {
    let mut detector = DetectorOptions::default();
    if let Some(options) = &config.never_seen {
        detector.never_seen.learn_events = options.learn_events;
        detector.never_seen.learn_seconds = u32::try_from(options.learn_time.as_secs()).unwrap_or(u32::MAX);
    }
    let deduplicator =
        DeduplicatorOptions { cooldown_seconds: config.alerts.cooldown_seconds, ..DeduplicatorOptions::default() };
    FoldOptions { detector, deduplicator, origin }
}

pub(crate) fn start_at(start: panoptes_config::StartAt) -> StartAt {
    match start {
        panoptes_config::StartAt::End => StartAt::End,
        panoptes_config::StartAt::Beginning => StartAt::Beginning,
    }
}

/// The logs of containers to follow. What nobody asked for and this user may not read is no news.
fn container_config(config: &Config) -> Option<ContainerConfig> {
    let containers = config.containers.as_ref()?;
    let is_forbidden = |pattern: &String| {
        let folder = pattern.split_once('*').map_or(pattern.as_str(), |it| it.0);
        std::fs::read_dir(folder).is_err_and(|it| it.kind() == std::io::ErrorKind::PermissionDenied)
    };
    let paths = containers.paths.iter().filter(|it| !(containers.is_default && is_forbidden(it)));
    let paths: Vec<String> = paths.cloned().collect();
    (!paths.is_empty()).then(|| ContainerConfig {
        paths,
        start_at: start_at(containers.start),
        ..ContainerConfig::default()
    })
}

fn file_config(watched: &FileWatch) -> FileConfig {
    FileConfig {
        paths: watched.paths.clone(),
        start_at: start_at(watched.start),
        source: watched.source.clone(),
        format: watched.format.clone(),
        time_zone: watched.time_zone.clone(),
        ..FileConfig::default()
    }
}

/// Where files were read to, as the catalogue knows it.
fn checkpoints(positions: Vec<SourcePosition>) -> FileCheckpoints {
    let files: Vec<FileCheckpoint> = positions
        .into_iter()
        .filter_map(|it| {
            let (path, _) = it.source.rsplit_once('#')?;
            let identity = it.identity.parse().ok()?;
            Some(FileCheckpoint { path: path.to_owned(), identity, offset: it.position })
        })
        .collect();
    FileCheckpoints::from(files)
}

/// Adds the positions of one group of files. Groups know of each other's files what was known at the start: the
/// furthest counts.
fn note_positions(positions: &mut BTreeMap<String, SourcePosition>, files: &FileCheckpoints) {
    for file in files.iter() {
        let identity = file.identity.to_string();
        let source = position_key(&file.path, &identity);
        let position = SourcePosition { source: source.clone(), identity, position: file.offset };
        let known = positions.entry(source).or_insert_with(|| position.clone());
        if position.position > known.position {
            *known = position;
        }
    }
}

/// What a position is of: a path may name one file now and another after a rotation, and both may be under way.
pub(crate) fn position_key(path: &str, identity: &str) -> String {
    if let Ok(import) = identity.parse::<ImportProgress>() {
        // Whatever it is called: a file that was moved is not imported again.
        return import.file.key();
    }
    let file = identity.parse::<FileIdentity>().map(|it| format!("{}:{}", it.device, it.inode)).unwrap_or_default();
    format!("{path}#{file}")
}

/// One recorder per process.
fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    PrometheusBuilder::new().install_recorder().context("cannot set up metrics")
}

/// Whoever sends SIGHUP wants the rules to be read again.
fn on_hangup(runtime: &tokio::runtime::Runtime) -> anyhow::Result<crossbeam_channel::Receiver<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    // One wish waits while another is fulfilled; further ones are the same wish.
    let (wish, wake) = crossbeam_channel::bounded(1);
    let _inside = runtime.enter();
    let mut hangups = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    runtime.spawn(async move {
        while hangups.recv().await.is_some() {
            let _already_wished = wish.try_send(());
        }
    });
    Ok(wake)
}

/// The terminal that the program was started from has gone: the other reason for a SIGHUP, and an end.
pub(crate) async fn terminal_lost() {
    use std::io::IsTerminal as _;
    use tokio::signal::unix::{SignalKind, signal};
    if std::io::stderr().is_terminal()
        && let Ok(mut hangups) = signal(SignalKind::hangup())
    {
        while hangups.recv().await.is_some() {
            if !std::io::stderr().is_terminal() {
                return;
            }
        }
    }
    std::future::pending::<()>().await;
}

/// Ctrl-C or SIGTERM.
pub(crate) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
