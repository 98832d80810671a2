//! What a command finds around it: configuration, rules, data folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use panoptes_catalog::OpenMode;
use panoptes_catalog::blocking::Catalog;
use panoptes_config::{Config, Environment, Override, SyslogTlsConfig, TlsCertificate};
use panoptes_detect::{CompileOptions, RuleSet};
use panoptes_engine::Preparer;
use panoptes_intake::inputs::TlsFiles;
use panoptes_normalize::{Normalizer, Options as NormalizeOptions, ServiceFile, ServiceFormats, Zone};
use panoptes_seal::KeyEncryptionKey;
use panoptes_store::StoreOptions;
use panoptes_store::log::LogOptions;
use panoptes_store::retention::{Policy, Retention};

use crate::cli::Global;
use crate::enrichment::Enrichment;
use crate::rules::RuleSources;

/// The configuration: defaults, file, environment, command line.
pub(crate) fn config(global: &Global, mut overrides: Vec<Override>) -> anyhow::Result<Config> {
    let mut named = |key, flag, path: &Option<PathBuf>| {
        if let Some(path) = path {
            overrides.push(Override { key, value: path.display().to_string(), flag });
        }
    };
    named("data_dir", "--data", &global.data);
    named("key_file", "--key-file", &global.key_file);
    let formats: Vec<&str> = panoptes_normalize::formats::ALL.iter().map(|it| it.name).collect();
    Ok(Config::load(global.config.as_deref(), &Environment::of_process(), overrides, &formats)?)
}

/// Where the rules in force come from: shipped, configured, and those under `more`.
pub(crate) fn rule_sources(config: &Config, more: &[PathBuf], shipped: bool) -> RuleSources {
    let mut disabled = config.rules.disabled.clone();
    if config.never_seen.is_none() {
        disabled.insert(panoptes_detect::NEVER_SEEN_RULE_ID.to_owned());
    }
    RuleSources {
        shipped: shipped && config.rules.shipped,
        paths: config.rules.paths.iter().chain(more).cloned().collect(),
        options: CompileOptions { disabled, min_level: config.rules.min_level, ..CompileOptions::default() },
    }
}

/// The rules in force, compiled; what is wrong with their files is told on standard error.
pub(crate) fn rules(config: &Config, more: &[PathBuf], shipped: bool) -> anyhow::Result<RuleSet> {
    let loaded = rule_sources(config, more, shipped).load()?;
    loaded.tell();
    Ok(loaded.rules)
}

/// The certificate of a listener, made if none is named.
pub(crate) fn tls_files(tls: &SyslogTlsConfig) -> anyhow::Result<TlsFiles> {
    let files = match &tls.certificate {
        TlsCertificate::Files { certificate, key } => {
            TlsFiles { certificate: certificate.clone(), key: key.clone(), client_ca: None }
        }
        TlsCertificate::SelfSigned { folder } => {
            let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            names.extend(Some(host.trim().to_owned()).filter(|it| !it.is_empty() && it.is_ascii()));
            let address = tls.listen.ip();
            names.extend((!address.is_unspecified() && !address.is_loopback()).then(|| address.to_string()));
            let (files, is_new) =
                TlsFiles::self_signed(folder, names).context("there is no certificate for syslog over TLS")?;
            if is_new {
                tracing::info!(
                    "made a self-signed certificate for syslog over TLS: give senders {} to trust",
                    files.certificate.display()
                );
            }
            files
        }
    };
    Ok(TlsFiles { client_ca: tls.client_ca.clone(), ..files })
}

/// What turns records into events and asks `rules` about them, with all that the configuration says is known.
pub(crate) fn preparer(config: &Config, normalizer: Normalizer, rules: Arc<RuleSet>) -> anyhow::Result<Preparer> {
    Ok(Preparer::new(normalizer, rules)?.with_snapshot(Enrichment::load(config).snapshot())?)
}

fn catalog_path(data_dir: &Path) -> PathBuf {
    data_dir.join(panoptes_catalog::Catalog::FILE_NAME)
}

/// The catalogue of the data folder.
pub(crate) fn catalog(config: &Config, key: &KeyEncryptionKey, mode: OpenMode) -> anyhow::Result<Catalog> {
    let path = catalog_path(&config.data_dir);
    Catalog::open(&path, key, mode).with_context(|| format!("cannot open the catalogue {}", path.display()))
}

/// Makes the data folder, readable by its owner only.
pub(crate) fn make_data_dir(data_dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir).with_context(|| {
        format!("cannot make the data folder {}; name one that you may write to with --data", data_dir.display())
    })
}

/// Cores to work with.
pub(crate) fn workers(config: &Config) -> usize {
    config.limits.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get))
}

/// How long evidence is kept.
pub(crate) fn retention(config: &Config) -> Retention {
    let policies = config.store.retention.iter().map(|it| Policy {
        name: it.name.clone(),
        sources: it.sources.clone(),
        datasets: it.event_types.clone(),
        keep_days: it.keep_days,
        bytes_max: it.bytes_max,
    });
    Retention::new(policies.collect())
}

/// Who types, for what is noted about what people did.
pub(crate) fn actor() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()))
        .unwrap_or_else(|| "cli".to_owned())
}

/// What the configuration says to the store.
pub(crate) fn store_options(config: &Config) -> StoreOptions {
    StoreOptions {
        // While one half is being sealed, the other takes what comes in.
        segment_bytes: config.store.segment_bytes_max.min(config.store.hot_bytes_max / 2) as usize,
        segment_age: config.store.segment_age_max,
        hot_bytes_max: config.store.hot_bytes_max as usize,
        log: LogOptions { file_bytes_max: config.store.log_file_bytes_max, ..LogOptions::default() },
    }
}

/// The normaliser with the service formats of the configuration; what is wrong with their files is told on standard
/// error, and the others work.
pub(crate) fn normalizer(config: &Config, time_zone: Option<&str>) -> anyhow::Result<Normalizer> {
    let options = NormalizeOptions { time_zone: zone(time_zone)? };
    if config.rules.formats.is_empty() {
        return Ok(Normalizer::new(options));
    }
    let mut files = Vec::new();
    for path in &config.rules.formats {
        service_files(path, &mut files)?;
    }
    let (formats, errors) = ServiceFormats::with_built_in(&files);
    for error in errors {
        tracing::warn!("{error}");
    }
    Ok(Normalizer::with_services(options, Arc::new(formats)))
}

/// The time zone of this name; without one, what is assumed where a source says nothing.
pub(crate) fn zone(name: Option<&str>) -> anyhow::Result<Zone> {
    name.map_or_else(
        || Ok(Zone::default()),
        |name| Zone::named(name).with_context(|| format!("cannot use the time zone `{name}`")),
    )
}

/// The file `path`, or the `.toml` files in the folder, in the order of their names.
fn service_files(path: &Path, files: &mut Vec<ServiceFile>) -> anyhow::Result<()> {
    let unreadable = || format!("cannot read the service formats in {}", path.display());
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        let entries: std::io::Result<Vec<_>> = std::fs::read_dir(path).with_context(unreadable)?.collect();
        paths = entries.with_context(unreadable)?.into_iter().map(|it| it.path()).collect();
        paths.retain(|it| it.extension().is_some_and(|it| it == "toml"));
        paths.sort();
    }
    for path in paths {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        files.push(ServiceFile { name: path.display().to_string(), text });
    }
    Ok(())
}

/// Refuses a format that does not exist.
pub(crate) fn check_format(name: Option<&str>) -> anyhow::Result<()> {
    match name {
        Some(name) if panoptes_normalize::formats::named(name).is_none() => {
            let known: Vec<_> = panoptes_normalize::formats::ALL.iter().map(|it| it.name).collect();
            anyhow::bail!("no format is named `{name}`; there are {}", known.join(", "))
        }
        _ => Ok(()),
    }
}
