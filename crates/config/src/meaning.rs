//! What the written configuration means: addresses, folders, durations. Everything here has been checked.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use panoptes_model::Severity;

use crate::check::{check, nearest};
use crate::enrich::EnrichConfig;
use crate::environment::Environment;
use crate::file::{Console, FilesSection, StartAt, SyslogSection, default_files, schema};
use crate::key::KeySource;
use crate::problem::{ConfigError, Problems};
use crate::retention::PolicyConfig;
use crate::tree::{Layers, Origin, Override, SourceFile, Table, merge};
use crate::{ConfigFile, FILE_BYTES_MAX};

/// A configuration that can be run. All paths are absolute.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub data_dir: PathBuf,
    /// The usual or the named place of the key file; whether the key is there says [`key`](Self::key).
    pub key_file: PathBuf,
    pub key: KeySource,
    pub insecure: bool,
    /// `None` where an input is turned off.
    pub http: Option<HttpConfig>,
    pub tcp: Option<StreamConfig>,
    pub syslog: Option<SyslogConfig>,
    pub files: Vec<FileWatch>,
    pub journald: Option<JournaldConfig>,
    pub containers: Option<ContainersConfig>,
    pub enrich: EnrichConfig,
    pub rules: RulesConfig,
    pub alerts: AlertsConfig,
    pub store: StoreConfig,
    pub never_seen: Option<NeverSeenConfig>,
    pub limits: LimitsConfig,
    /// What [`show`](Self::show) prints: every value as it would be written, and where it came from.
    pub(crate) effective: ConfigFile,
    pub(crate) origins: BTreeMap<String, Origin>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct HttpConfig {
    pub listen: SocketAddr,
    pub body_bytes_max: u64,
    pub body_decoded_bytes_max: u64,
    pub format: Option<String>,
    pub time_zone: Option<String>,
}

/// Lines over TCP.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamConfig {
    pub listen: SocketAddr,
    pub connections_max: usize,
    pub idle_max: Option<Duration>,
    pub format: Option<String>,
    pub time_zone: Option<String>,
}

/// At least one of the addresses is there.
#[derive(Clone, Debug, PartialEq)]
pub struct SyslogConfig {
    pub udp: Option<SocketAddr>,
    pub tcp: Option<SocketAddr>,
    pub tls: Option<SyslogTlsConfig>,
    pub connections_max: usize,
    pub idle_max: Option<Duration>,
    pub format: Option<String>,
    pub time_zone: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SyslogTlsConfig {
    pub listen: SocketAddr,
    pub certificate: TlsCertificate,
    /// Who issues the certificates that clients must have.
    pub client_ca: Option<PathBuf>,
}

/// Where the certificate of a listener is.
#[derive(Clone, Debug, PartialEq)]
pub enum TlsCertificate {
    Files {
        certificate: PathBuf,
        key: PathBuf,
    },
    /// To be made in this folder, which lies outside of the data folder as the key does.
    SelfSigned {
        folder: PathBuf,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct JournaldConfig {
    pub arguments: Vec<String>,
    pub start: StartAt,
    /// Whether nobody asked for it: then it is no news if there is no journal.
    pub is_default: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ContainersConfig {
    /// Absolute glob patterns; each has been parsed.
    pub paths: Vec<String>,
    pub start: StartAt,
    /// Whether nobody asked for them.
    pub is_default: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FileWatch {
    /// Absolute glob patterns; each has been parsed.
    pub paths: Vec<String>,
    /// `None`: each file's own path.
    pub source: Option<String>,
    pub format: Option<String>,
    pub time_zone: Option<String>,
    pub start: StartAt,
    /// Whether nobody asked for these files: then it is no news if they are not there or not readable.
    pub is_default: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RulesConfig {
    pub shipped: bool,
    pub paths: Vec<PathBuf>,
    /// Of service formats.
    pub formats: Vec<PathBuf>,
    pub disabled: BTreeSet<String>,
    pub min_level: Severity,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlertsConfig {
    pub cooldown_seconds: u32,
    pub console: Console,
    pub file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct StoreConfig {
    pub segment_bytes_max: u64,
    pub segment_age_max: Duration,
    pub log_file_bytes_max: u64,
    pub hot_bytes_max: u64,
    pub query_bytes_max: u64,
    /// `None`: as long as it takes.
    pub query_time_max: Option<Duration>,
    /// In the order in which they count; the last is for all the rest.
    pub retention: Vec<PolicyConfig>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NeverSeenConfig {
    pub learn_events: u64,
    pub learn_time: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LimitsConfig {
    pub queue_bytes_max: u64,
    /// `None`: one per core.
    pub workers: Option<usize>,
    pub shutdown_max: Duration,
}

impl Config {
    /// Reads the file at `path`, or the one at the default place if there is one, and all other layers.
    ///
    /// `formats` are the formats that `normalize` knows; empty if any name will do.
    pub fn load(
        path: Option<&Path>,
        environment: &Environment,
        overrides: Vec<Override>,
        formats: &[&str],
    ) -> Result<Self, ConfigError> {
        let file = match (path, environment.config_file()) {
            (Some(named), _) => Some(read(&environment.working_dir().join(named))?),
            (None, Err(named)) => Some(read(&named)?),
            (None, Ok(None)) => None,
            (None, Ok(Some(usual))) => match read(&usual) {
                Err(ConfigError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
                outcome => Some(outcome?),
            },
        };
        let layers = Layers { file, environment: environment.clone(), overrides, formats };
        Self::from_layers(&layers).map_err(ConfigError::Invalid)
    }

    /// The configuration that `layers` make together.
    pub fn from_layers(layers: &Layers<'_>) -> Result<Self, Problems> {
        let schema = schema();
        let mut problems = Problems::default();
        let mut tree = merge(layers, &schema, &mut problems);
        check(&schema, &mut tree, &mut problems);
        let config = match tree.to_toml().try_into::<ConfigFile>() {
            Ok(written) => Some(Reader { layers, tree: &tree, problems: &mut problems }.config(written)),
            Err(error) => {
                problems.push(&Origin::Default, "configuration", error.message());
                None
            }
        };
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => {
                problems.sort();
                Err(problems)
            }
        }
    }
}

fn read(path: &Path) -> Result<SourceFile, ConfigError> {
    let unreadable = |source| ConfigError::Read { path: path.to_path_buf(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_path_buf() });
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| ConfigError::NotText { path: path.to_path_buf(), offset: error.utf8_error().valid_up_to() })?;
    Ok(SourceFile { path: path.to_path_buf(), text })
}

/// Reads meanings out of what was written and notes what has none. Where something is wrong it goes on with a
/// stand-in, so that everything is said at once; the stand-in is never handed out.
pub(crate) struct Reader<'a> {
    layers: &'a Layers<'a>,
    pub(crate) tree: &'a Table,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn config(&mut self, mut written: ConfigFile) -> Config {
        let environment = &self.layers.environment;
        let data_dir = self.place("data_dir", written.data_dir.as_deref(), environment.default_data_dir());
        let is_elsewhere = written.key_env.is_some()
            || written.key_credential.is_some()
            || written.passphrase_env.is_some()
            || written.passphrase_file.is_some();
        // Who has its key elsewhere needs no home folder for it.
        let usual = environment.default_key_file().or_else(|| is_elsewhere.then(|| PathBuf::from("/nonexistent/key")));
        let key_file = self.place("key_file", written.key_file.as_deref(), usual);
        if lies_in(&key_file, &data_dir) {
            let message = format!(
                "key_file {} lies in data_dir {}: whoever copies the data would have its key; \
                 choose a place outside of it",
                key_file.display(),
                data_dir.display()
            );
            self.complain(if written.key_file.is_some() { "key_file" } else { "data_dir" }, message);
        }
        let key = self.key(&mut written, &key_file, &data_dir);
        let is_default = written.files.is_none();
        let sections = written.files.get_or_insert_with(default_files).clone();
        let files: Vec<_> =
            sections.iter().enumerate().map(|(index, it)| self.file_watch(index, it, is_default)).collect();
        let journald = written.journald.enabled.unwrap_or(is_default).then(|| JournaldConfig {
            arguments: written.journald.arguments.clone(),
            start: written.journald.start,
            is_default: written.journald.enabled.is_none(),
        });
        let containers = self.containers(&written, is_default);
        let followed = files.iter().flat_map(|it| &it.paths).chain(containers.iter().flat_map(|it| &it.paths));
        let alerts = self.alerts(&written, &data_dir, followed);
        let mut all = |key: &str, paths: &[String]| -> Vec<PathBuf> {
            (paths.iter().enumerate()).map(|(index, it)| self.path(&format!("rules.{key}[{index}]"), it)).collect()
        };
        let rule_paths = all("paths", &written.rules.paths);
        let formats = all("formats", &written.rules.formats);
        let enrich = self.enrich(&mut written.enrich);
        // What is shown means the same from everywhere.
        written.files = Some(sections.into_iter().zip(&files).map(|(it, watch)| it.with_paths(&watch.paths)).collect());
        if let Some(containers) = &containers {
            written.containers.paths.clone_from(&containers.paths);
        }
        written.rules.paths = rule_paths.iter().map(|it| it.to_string_lossy().into_owned()).collect();
        written.rules.formats = formats.iter().map(|it| it.to_string_lossy().into_owned()).collect();
        written.alerts.file = alerts.file.as_ref().map(|it| it.to_string_lossy().into_owned());
        written.data_dir = Some(data_dir.to_string_lossy().into_owned());
        written.key_file = Some(key_file.to_string_lossy().into_owned());
        let (http, tcp, syslog) = self.listeners(&mut written, &key_file);
        let retention = self.retention(&written.store.retention);
        let store = &written.store;
        let never_seen = &written.detect.never_seen;
        Config {
            data_dir,
            key_file,
            key,
            insecure: written.insecure,
            http,
            tcp,
            syslog,
            files,
            journald,
            containers,
            enrich,
            rules: RulesConfig {
                shipped: written.rules.shipped,
                paths: rule_paths,
                formats,
                disabled: written.rules.disabled.iter().cloned().collect(),
                min_level: written.rules.min_level.into(),
            },
            alerts,
            store: StoreConfig {
                segment_bytes_max: store.segment_bytes_max,
                segment_age_max: seconds(store.segment_seconds_max),
                log_file_bytes_max: store.log_file_bytes_max,
                hot_bytes_max: store.hot_bytes_max,
                query_bytes_max: store.query_bytes_max,
                query_time_max: Some(seconds(store.query_seconds_max)).filter(|it| !it.is_zero()),
                retention,
            },
            never_seen: never_seen.enabled.then_some(NeverSeenConfig {
                learn_events: never_seen.learn_events,
                learn_time: seconds(never_seen.learn_seconds),
            }),
            limits: LimitsConfig {
                queue_bytes_max: written.limits.queue_bytes_max,
                workers: (written.limits.workers > 0).then_some(written.limits.workers as usize),
                shutdown_max: seconds(written.limits.shutdown_seconds_max),
            },
            origins: self.origins(),
            effective: written,
        }
    }

    fn listeners(
        &mut self,
        written: &mut ConfigFile,
        key_file: &Path,
    ) -> (Option<HttpConfig>, Option<StreamConfig>, Option<SyslogConfig>) {
        let (certificate, client_ca) = self.tls(&mut written.syslog, key_file);
        let ConfigFile { http, tcp, syslog, insecure, .. } = &*written;
        let on = |enabled: bool, text: &str| enabled && !text.is_empty();
        let mut streams: Vec<(&str, SocketAddr)> = Vec::new();
        let mut listen = |reader: &mut Self, key: &'static str, enabled: bool, text: &str| {
            let address = reader.address(key, text)?;
            if !on(enabled, text) {
                return None;
            }
            if key == "syslog.tls" {
                reader.refuse_strangers(key, address, *insecure || client_ca.is_some());
            } else {
                reader.refuse_exposure(key, address, *insecure);
            }
            if key != "syslog.udp" {
                reader.refuse_conflict(key, address, &streams);
                streams.push((key, address));
            }
            Some(address)
        };
        let http_listen = listen(self, "http.listen", http.enabled, &http.listen);
        let tcp_listen = listen(self, "tcp.listen", tcp.enabled, &tcp.listen);
        let syslog_udp = listen(self, "syslog.udp", syslog.enabled, &syslog.udp);
        let syslog_tcp = listen(self, "syslog.tcp", syslog.enabled, &syslog.tcp);
        let syslog_tls = listen(self, "syslog.tls", syslog.enabled, &syslog.tls);
        let http_config = http_listen.map(|listen| HttpConfig {
            listen,
            body_bytes_max: http.body_bytes_max,
            body_decoded_bytes_max: http.body_decoded_bytes_max,
            format: self.format("http.format", http.format.as_deref()),
            time_zone: self.time_zone("http.time_zone", http.time_zone.as_deref()),
        });
        let tcp_config = tcp_listen.map(|listen| StreamConfig {
            listen,
            connections_max: tcp.connections_max as usize,
            idle_max: idle(tcp.idle_seconds_max),
            format: self.format("tcp.format", tcp.format.as_deref()),
            time_zone: self.time_zone("tcp.time_zone", tcp.time_zone.as_deref()),
        });
        let any_syslog = syslog_udp.or(syslog_tcp).or(syslog_tls);
        let syslog_config = any_syslog.map(|_| SyslogConfig {
            udp: syslog_udp,
            tcp: syslog_tcp,
            tls: syslog_tls.map(|listen| SyslogTlsConfig { listen, certificate, client_ca: client_ca.clone() }),
            connections_max: syslog.connections_max as usize,
            idle_max: idle(syslog.idle_seconds_max),
            format: self.format("syslog.format", syslog.format.as_deref()),
            time_zone: self.time_zone("syslog.time_zone", syslog.time_zone.as_deref()),
        });
        (http_config, tcp_config, syslog_config)
    }

    /// `None` for an empty text and for one that is no address (which is then told).
    fn address(&mut self, key: &str, text: &str) -> Option<SocketAddr> {
        if text.is_empty() {
            if !key.starts_with("syslog.") {
                self.complain(key, format!("`{key}` is empty; turn the input off with `enabled = false`"));
            }
            return None;
        }
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        let address = numeric.parse().ok();
        if address.is_none() {
            let message = format!("`{key}` is `{text}`, not an address and port such as 127.0.0.1:8080 or [::1]:8080");
            self.complain(key, message);
        }
        address
    }

    /// The certificate for syslog over TLS, and who issues those of clients.
    fn tls(&mut self, syslog: &mut SyslogSection, key_file: &Path) -> (TlsCertificate, Option<PathBuf>) {
        let mut place = |key: &str, written: &mut Option<String>| {
            let path = written.as_deref().map(|it| self.path(key, it));
            *written = path.as_ref().map(|it| it.to_string_lossy().into_owned());
            path
        };
        let certificate = place("syslog.tls_certificate", &mut syslog.tls_certificate);
        let key = place("syslog.tls_key", &mut syslog.tls_key);
        let client_ca = place("syslog.tls_client_ca", &mut syslog.tls_client_ca);
        if certificate.is_some() != key.is_some() {
            let (there, missing) = match certificate {
                Some(_) => ("syslog.tls_certificate", "syslog.tls_key"),
                None => ("syslog.tls_key", "syslog.tls_certificate"),
            };
            self.complain(there, format!("`{there}` needs `{missing}`: name both, or none for a self-signed one"));
        }
        let certificate = match (certificate, key) {
            (Some(certificate), Some(key)) => TlsCertificate::Files { certificate, key },
            _ => TlsCertificate::SelfSigned { folder: key_file.parent().unwrap_or(Path::new("/")).join("tls") },
        };
        (certificate, client_ca)
    }

    fn containers(&mut self, written: &ConfigFile, is_default: bool) -> Option<ContainersConfig> {
        let section = &written.containers;
        let paths = (section.paths.iter().enumerate())
            .map(|(place, text)| self.glob(&format!("containers.paths[{place}]"), text))
            .collect();
        section.enabled.unwrap_or(is_default).then(|| ContainersConfig {
            paths,
            start: section.start,
            is_default: section.enabled.is_none(),
        })
    }

    /// TLS hides what is sent, and clients with certificates are known; others are not.
    fn refuse_strangers(&mut self, key: &str, address: SocketAddr, allowed: bool) {
        if !allowed && !address.ip().to_canonical().is_loopback() {
            let message = format!(
                "`{key}` is {address}, which other machines can reach: anybody there could send; ask for certificates \
                 with `syslog.tls_client_ca`, or accept it aloud with `insecure = true` or --insecure"
            );
            self.complain(key, message);
        }
    }

    fn refuse_exposure(&mut self, key: &str, address: SocketAddr, insecure: bool) {
        if !insecure && !address.ip().to_canonical().is_loopback() {
            let message = format!(
                "`{key}` is {address}, which other machines can reach, and Panoptes has neither users nor TLS yet: \
                 anybody there could send and read; listen on 127.0.0.1, or accept it aloud with `insecure = true` \
                 or --insecure"
            );
            self.complain(key, message);
        }
    }

    fn refuse_conflict(&mut self, key: &str, address: SocketAddr, others: &[(&str, SocketAddr)]) {
        // Port 0 asks the system for a free one.
        let meets = |other: &SocketAddr| {
            address.port() != 0
                && other.port() == address.port()
                && (other.ip() == address.ip() || other.ip().is_unspecified() || address.ip().is_unspecified())
        };
        if let Some((other, _)) = others.iter().find(|it| meets(&it.1)) {
            self.complain(key, format!("`{key}` is {address}, where `{other}` listens already; choose another port"));
        }
    }

    fn file_watch(&mut self, index: usize, section: &FilesSection, is_default: bool) -> FileWatch {
        let key = |name: &str| format!("files[{index}].{name}");
        if section.paths.is_empty() && !self.problems.mentions(&key("paths")) {
            self.complain(&format!("files[{index}]"), format!("`{}` is missing or empty; name a file", key("paths")));
        }
        let pattern = |reader: &mut Self, (place, text): (usize, &String)| {
            reader.glob(&format!("{}[{place}]", key("paths")), text)
        };
        FileWatch {
            paths: section.paths.iter().enumerate().map(|it| pattern(self, it)).collect(),
            source: section.source.clone(),
            format: self.format(&key("format"), section.format.as_deref()),
            time_zone: self.time_zone(&key("time_zone"), section.time_zone.as_deref()),
            start: section.start,
            is_default,
        }
    }

    /// `text` as an absolute path pattern that is one.
    fn glob(&mut self, key: &str, text: &str) -> String {
        let path = self.pattern(key, text);
        if let Err(error) = glob::Pattern::new(&path) {
            let message = format!("`{path}` is no path pattern: {} at character {}", error.msg, error.pos + 1);
            self.complain(key, message);
        }
        path
    }

    fn alerts<'p>(
        &mut self,
        written: &ConfigFile,
        data_dir: &Path,
        mut followed: impl Iterator<Item = &'p String>,
    ) -> AlertsConfig {
        let section = &written.alerts;
        let file = section.file.as_deref().map(|it| self.path("alerts.file", it));
        if let Some(file) = &file {
            if lies_in(file, data_dir) {
                let message = format!(
                    "alerts.file {} lies in data_dir {}, where nothing is plaintext; choose a place outside of it",
                    file.display(),
                    data_dir.display()
                );
                self.complain("alerts.file", message);
            }
            let follows = |it: &String| glob::Pattern::new(it).is_ok_and(|it| it.matches_path(file));
            if followed.any(follows) {
                let message = format!(
                    "alerts.file {} is among the followed files: alerts would raise alerts; choose another place",
                    file.display()
                );
                self.complain("alerts.file", message);
            }
        }
        AlertsConfig { cooldown_seconds: section.cooldown_seconds, console: section.console, file }
    }

    fn format(&mut self, key: &str, name: Option<&str>) -> Option<String> {
        let (name, known) = (name?, self.layers.formats);
        if !known.is_empty() && !known.contains(&name) {
            let hint = match nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", known.join(", ")),
            };
            self.complain(key, format!("`{key}` is `{name}`, which is no format; {hint}"));
        }
        Some(name.to_owned())
    }

    fn time_zone(&mut self, key: &str, name: Option<&str>) -> Option<String> {
        let name = name?;
        if jiff::fmt::temporal::DateTimeParser::new().parse_time_zone(name).is_err() {
            self.complain(key, format!("`{key}` is `{name}`, which is no time zone such as Europe/Berlin or +02:00"));
        }
        Some(name.to_owned())
    }

    /// The file or folder at `key`, or the usual one.
    fn place(&mut self, key: &str, written: Option<&str>, usual: Option<PathBuf>) -> PathBuf {
        match (written, usual) {
            (Some(text), _) => self.path(key, text),
            (None, Some(usual)) => usual,
            (None, None) => {
                if !self.problems.mentions(key) {
                    self.complain(key, "there is no home folder (HOME is not set) to put it in; name a place".into());
                }
                PathBuf::from("/nonexistent").join(key)
            }
        }
    }

    /// `text` as an absolute path: relative to the folder of the configuration file if it stands there, else to the
    /// working directory; `~` is the home folder.
    pub(crate) fn path(&mut self, key: &str, text: &str) -> PathBuf {
        let environment = &self.layers.environment;
        if text.is_empty() {
            self.complain(key, format!("`{key}` is empty; name a place"));
        }
        if let Some(rest) = text.strip_prefix("~/") {
            if let Some(home) = environment.home() {
                return tidy(&home.join(rest));
            }
            self.complain(key, format!("`{key}` is `{text}`, but there is no home folder (HOME is not set)"));
        }
        tidy(&self.base(key).join(text))
    }

    /// `text` as an absolute path pattern. What is a wild card in `text` is none in the folder it is relative to.
    fn pattern(&mut self, key: &str, text: &str) -> String {
        if text.is_empty() || text.starts_with("~/") || text.starts_with('/') {
            return self.path(key, text).to_string_lossy().into_owned();
        }
        let base = glob::Pattern::escape(&self.base(key).to_string_lossy());
        tidy(&Path::new(&base).join(text)).to_string_lossy().into_owned()
    }

    /// What a relative path at `key` is relative to.
    fn base(&self, key: &str) -> PathBuf {
        let working_dir = self.layers.environment.working_dir();
        match self.tree.origin_of(key) {
            Origin::File { path, .. } => working_dir.join(path.parent().unwrap_or(Path::new(""))),
            _ => working_dir.to_path_buf(),
        }
    }

    pub(crate) fn complain(&mut self, key: &str, message: String) {
        let origin = self.tree.origin_of(key);
        self.problems.push(&origin, key, message);
    }

    /// The origin of every value that did not come from the defaults.
    fn origins(&self) -> BTreeMap<String, Origin> {
        fn walk(table: &Table, path: &str, found: &mut BTreeMap<String, Origin>) {
            for (name, (_, node)) in &table.0 {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match &node.value {
                    crate::tree::Written::Table(inner) => walk(inner, &path, found),
                    _ => drop(found.insert(path, node.origin.clone())),
                }
            }
        }
        let mut found = BTreeMap::new();
        walk(self.tree, "", &mut found);
        found
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(u64::from(count))
}

fn idle(count: u32) -> Option<Duration> {
    (count > 0).then(|| seconds(count))
}

/// `path` without `.` and `..`, by its text alone.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(tidied.pop()),
            other => tidied.push(other),
        }
    }
    tidied
}

/// Whether `inner` lies in `folder`, by its text or by where symbolic links lead.
pub(crate) fn lies_in(inner: &Path, folder: &Path) -> bool {
    inner.starts_with(folder) || real(inner).starts_with(real(folder))
}

/// `path` with the links of its existing part resolved.
fn real(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(resolved), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return if rest.as_os_str().is_empty() { resolved } else { resolved.join(rest) };
        }
    }
    path.to_path_buf()
}

#[cfg(test)]
#[path = "meaning_tests.rs"]
mod tests;
