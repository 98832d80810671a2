//! What may be written: every section and key, with its default and its range.
//!
//! Doc comments here are what editors show: they become the descriptions of the JSON Schema.

use panoptes_model::Severity;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::enrich::EnrichSection;
use crate::retention::RetentionSection;

/// The JSON Schema of the configuration file, for editors and for `panoptes config schema`.
pub fn schema() -> serde_json::Value {
    SchemaGenerator::default().into_root_schema_for::<ConfigFile>().to_value()
}

/// The configuration of Panoptes. Every key has a default; an empty file is a valid one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigFile {
    /// Folder for evidence and state, all of it encrypted. Default: $PANOPTES_DATA, else /var/lib/panoptes for root,
    /// else panoptes in the user's data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<String>,
    /// The key that unlocks the data folder; made on first run. Must lie outside of it. Default: /etc/panoptes/key for
    /// root, else panoptes/key in the user's configuration folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// Environment variable that holds the key, written as in a key file; instead of key_file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// systemd credential that holds the key, written as in a key file (LoadCredential= or LoadCredentialEncrypted= of
    /// the unit); instead of key_file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_credential: Option<String>,
    /// Environment variable that holds a passphrase; instead of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passphrase_env: Option<String>,
    /// File whose first line is a passphrase; instead of a key. Must lie outside of the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<String>,
    /// Allow listening on addresses that other machines reach, without users and without TLS.
    pub insecure: bool,
    pub http: HttpSection,
    pub tcp: TcpSection,
    pub syslog: SyslogSection,
    /// Log files to follow. Default: what is readable of the usual files in /var/log. An empty list follows none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<FilesSection>>,
    pub journald: JournaldSection,
    pub containers: ContainersSection,
    pub enrich: EnrichSection,
    pub rules: RulesSection,
    pub alerts: AlertsSection,
    pub store: StoreSection,
    pub detect: DetectSection,
    pub limits: LimitsSection,
}

/// Records over HTTP: `POST /logs`, and the health and metrics pages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSection {
    pub enabled: bool,
    /// Address and port.
    pub listen: String,
    /// Largest request body as sent; a larger one gets 413.
    #[schemars(range(min = 1_024, max = 1_073_741_824))]
    pub body_bytes_max: u64,
    /// Largest request body after decompression; a larger one gets 413.
    #[schemars(range(min = 1_024, max = 1_073_741_824))]
    pub body_decoded_bytes_max: u64,
    /// Format of all records that come in here, instead of choosing by content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Time zone of times without one: a name such as Europe/Berlin, or +02:00. Default: UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

impl Default for HttpSection {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: "127.0.0.1:8080".to_owned(),
            body_bytes_max: 16 << 20,
            body_decoded_bytes_max: 64 << 20,
            format: None,
            time_zone: None,
        }
    }
}

/// Lines over TCP, JSON or text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TcpSection {
    pub enabled: bool,
    /// Address and port.
    pub listen: String,
    /// Connections at a time; further ones are closed and counted.
    #[schemars(range(min = 1, max = 65_536))]
    pub connections_max: u32,
    /// A connection that sends nothing for so long is closed; 0 means never.
    #[schemars(range(max = 604_800))]
    pub idle_seconds_max: u32,
    /// Format of all records that come in here, instead of choosing by content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Time zone of times without one: a name such as Europe/Berlin, or +02:00. Default: UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

impl Default for TcpSection {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: "127.0.0.1:9090".to_owned(),
            connections_max: 256,
            idle_seconds_max: 0,
            format: None,
            time_zone: None,
        }
    }
}

/// Syslog over UDP, TCP and TLS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SyslogSection {
    pub enabled: bool,
    /// Address and port for datagrams; an empty text turns UDP off.
    pub udp: String,
    /// Address and port for streams; an empty text turns TCP off.
    pub tcp: String,
    /// Address and port for streams over TLS; an empty text turns TLS off. The usual port is 6514.
    pub tls: String,
    /// PEM file with the certificate for TLS and those that lead to its issuer. Default: a self-signed one, made on
    /// first use in the folder tls beside key_file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<String>,
    /// PEM file with the private key of tls_certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<String>,
    /// PEM file with the certificates that issue those of clients. With it, a client without one is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_ca: Option<String>,
    /// TCP and TLS connections at a time, each; further ones are closed and counted.
    #[schemars(range(min = 1, max = 65_536))]
    pub connections_max: u32,
    /// A connection that sends nothing for so long is closed; 0 means never.
    #[schemars(range(max = 604_800))]
    pub idle_seconds_max: u32,
    /// Format of all records that come in here, instead of choosing by content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Time zone of times without one: a name such as Europe/Berlin, or +02:00. Default: UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

impl Default for SyslogSection {
    fn default() -> Self {
        Self {
            enabled: true,
            udp: "127.0.0.1:5514".to_owned(),
            tcp: "127.0.0.1:5514".to_owned(),
            tls: String::new(),
            tls_certificate: None,
            tls_key: None,
            tls_client_ca: None,
            connections_max: 256,
            idle_seconds_max: 0,
            format: None,
            time_zone: None,
        }
    }
}

/// Log files that are followed as one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FilesSection {
    /// Paths, in which * ? [..] and ** stand for more than one file.
    pub paths: Vec<String>,
    /// Name of the source in searches and metrics. Default: the path of each file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Format of these files, instead of choosing by content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Time zone of times without one: a name such as Europe/Berlin, or +02:00. Default: UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Where to begin in a file that was never read before.
    pub start: StartAt,
}

impl FilesSection {
    pub(crate) fn with_paths(self, paths: &[String]) -> Self {
        Self { paths: paths.to_vec(), ..self }
    }
}

/// The systemd journal, followed through journalctl.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JournaldSection {
    /// Default: on if no files are configured, this machine keeps no text logs of its own (/var/log/syslog or
    /// messages), and its journal can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Further arguments for journalctl, such as --namespace=NAME or --unit=NAME.
    pub arguments: Vec<String>,
    /// Where to begin the first time.
    pub start: StartAt,
}

/// Logs of containers, with the container's name and image: Docker's (json-file) and Kubernetes' (CRI).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContainersSection {
    /// Default: on if no files are configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Paths, in which * ? [..] and ** stand for more than one file.
    pub paths: Vec<String>,
    /// Where to begin in a file that was never read before.
    pub start: StartAt,
}

impl Default for ContainersSection {
    fn default() -> Self {
        Self {
            enabled: None,
            paths: vec!["/var/lib/docker/containers/*/*-json.log".to_owned(), "/var/log/pods/*/*/*.log".to_owned()],
            start: StartAt::End,
        }
    }
}

/// Where to begin in a file that was never read before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StartAt {
    /// Only what is written from now on.
    #[default]
    End,
    Beginning,
}

/// Which rules are in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RulesSection {
    /// Whether the rules that come with Panoptes are in force.
    pub shipped: bool,
    /// Files and folders of further Sigma rules.
    pub paths: Vec<String>,
    /// Files and folders of service formats (TOML); they are asked before those that come with Panoptes.
    pub formats: Vec<String>,
    /// Ids of rules to leave out.
    pub disabled: Vec<String>,
    /// Rules below this level are left out.
    pub min_level: Level,
}

impl Default for RulesSection {
    fn default() -> Self {
        Self {
            shipped: true,
            paths: Vec::new(),
            formats: Vec::new(),
            disabled: Vec::new(),
            min_level: Level::Informational,
        }
    }
}

/// How much a claim matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    #[default]
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Informational => Self::Informational,
            Level::Low => Self::Low,
            Level::Medium => Self::Medium,
            Level::High => Self::High,
            Level::Critical => Self::Critical,
        }
    }
}

/// How alerts come about and where they are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlertsSection {
    /// Findings of one rule about the same entities are one alert until nothing was seen for so long.
    #[schemars(range(max = 2_592_000))]
    pub cooldown_seconds: u32,
    /// How alerts are printed.
    pub console: Console,
    /// A file that gets one JSON object per alert. It is plaintext, so it may not lie in the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Default for AlertsSection {
    fn default() -> Self {
        Self { cooldown_seconds: 3_600, console: Console::Text, file: None }
    }
}

/// How alerts are printed on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Console {
    #[default]
    Text,
    Json,
    None,
}

/// The evidence store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSection {
    /// Events are sealed into a segment when so many bytes of them have come together...
    #[schemars(range(min = 1_048_576, max = 4_294_967_296_u64))]
    pub segment_bytes_max: u64,
    /// ... or when the oldest has waited for so long.
    #[schemars(range(min = 1, max = 86_400))]
    pub segment_seconds_max: u32,
    /// A file of the write-ahead log is closed at this size.
    #[schemars(range(min = 1_048_576, max = 4_294_967_296_u64))]
    pub log_file_bytes_max: u64,
    /// Memory for events that no segment holds yet; when it is full, a segment is sealed early.
    #[schemars(range(min = 1_048_576, max = 68_719_476_736_u64))]
    pub hot_bytes_max: u64,
    /// Memory for all searches together; a search that needs more is refused.
    #[schemars(range(min = 1_048_576, max = 68_719_476_736_u64))]
    pub query_bytes_max: u64,
    /// A search ends after this time with what it has found; 0 is never.
    #[schemars(range(max = 86_400))]
    pub query_seconds_max: u32,
    /// How long evidence is kept.
    pub retention: RetentionSection,
}

impl Default for StoreSection {
    fn default() -> Self {
        Self {
            segment_bytes_max: 48 << 20,
            segment_seconds_max: 300,
            log_file_bytes_max: 64 << 20,
            hot_bytes_max: 96 << 20,
            query_bytes_max: 64 << 20,
            query_seconds_max: 300,
            retention: RetentionSection::default(),
        }
    }
}

/// Detectors that are not rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DetectSection {
    pub never_seen: NeverSeenSection,
}

/// Messages whose pattern (numbers and ids masked) a source has never sent before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NeverSeenSection {
    pub enabled: bool,
    /// A source is only learnt from until it has sent so many events...
    #[schemars(range(max = 1_000_000_000))]
    pub learn_events: u64,
    /// ... and for so long.
    #[schemars(range(max = 31_536_000))]
    pub learn_seconds: u32,
}

impl Default for NeverSeenSection {
    fn default() -> Self {
        Self { enabled: true, learn_events: 1_000, learn_seconds: 3_600 }
    }
}

/// What all inputs and stages share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSection {
    /// Bytes that wait between inputs and the log; when it is full, senders are slowed down.
    #[schemars(range(min = 1_048_576, max = 17_179_869_184_u64))]
    pub queue_bytes_max: u64,
    /// Threads that normalise and match; 0 means one per core.
    #[schemars(range(max = 1_024))]
    pub workers: u32,
    /// How long a shutdown may take to drain the queues.
    #[schemars(range(min = 1, max = 3_600))]
    pub shutdown_seconds_max: u32,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self { queue_bytes_max: 4 << 20, workers: 0, shutdown_seconds_max: 20 }
    }
}

/// The files that are followed when nothing else was said.
pub(crate) fn default_files() -> Vec<FilesSection> {
    const GROUPS: [&[&str]; 4] = [
        &["/var/log/auth.log", "/var/log/secure"],
        &["/var/log/syslog", "/var/log/messages", "/var/log/kern.log"],
        &["/var/log/nginx/*.log"],
        &["/var/log/apache2/*.log", "/var/log/httpd/*_log"],
    ];
    let section = |paths: &&[&str]| FilesSection {
        paths: paths.iter().map(|it| (*it).to_owned()).collect(),
        ..FilesSection::default()
    };
    GROUPS.iter().map(section).collect()
}
