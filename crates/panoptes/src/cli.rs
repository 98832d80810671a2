//! What can be typed. Every sub-command is one variant here and one file under `commands/`.

mod keys;
mod rules;

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use panoptes_model::{AlertState, Resolution, Severity};

pub(crate) use self::keys::{AddCommand, KeysCommand, RotateArgs};
pub(crate) use self::rules::{
    BacktestArgs, CheckArgs, CoverageArgs, CoverageShow, ExplainArgs, ListArgs, RulesCommand, TestArgs,
};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// One binary that watches a network, its hosts and their logs: detects, alerts, keeps encrypted evidence.
#[derive(Debug, Parser)]
#[command(name = "panoptes", version, styles = STYLES, max_term_width = 110, disable_help_subcommand = true,
    after_help = "Start with:  panoptes demo      see it work in a minute, in a temporary folder\n             panoptes run       watch this machine, no configuration needed\n\nExit codes:  0 fine · 1 found something when asked to fail on it (scan --fail-on) · 2 could not run")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Global {
    /// Folder that holds the evidence and the catalogue
    #[arg(long, global = true, value_name = "DIR", env = "PANOPTES_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE", env = "PANOPTES_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The key-encryption key; made on the first run, never inside the data folder
    #[arg(long, global = true, value_name = "FILE", env = "PANOPTES_KEY_FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// More diagnostics on standard error (-v, -vv)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch: logs of this machine, HTTP 8080, TCP 9090, syslog 5514, all on 127.0.0.1
    #[command(
        after_help = "Examples:\n  panoptes run\n  panoptes run --file '/srv/app/*.log' --alerts json\n  echo '<38>Jan 15 10:30:00 web1 sshd[4242]: Failed password for root from 203.0.113.9 port 22 ssh2' | nc localhost 9090\n  curl -d '{\"level\":\"CRITICAL\",\"message\":\"Unauthorized access from 192.168.1.100\"}' localhost:8080/logs"
    )]
    Run(RunArgs),
    /// See true alerts within a minute: generated traffic and staged attacks in a temporary folder
    #[command(after_help = "Examples:\n  panoptes demo\n  panoptes demo --for 30s")]
    Demo(DemoArgs),
    /// Look for attacks in files, folders and archives; nothing is stored
    #[command(
        after_help = "Examples:\n  panoptes scan /var/log/auth.log* access.log.gz --min-level medium\n  panoptes scan logs/ --format jsonl | jq .rule.title\n  panoptes scan app.log --fail-on high       # exit 1 if anything high or worse was found\n  journalctl -o short-iso | panoptes scan -"
    )]
    Scan(ScanArgs),
    /// Take old logs into the evidence store, with detection
    #[command(
        after_help = "Example:\n  panoptes import old-logs/ --source legacy && panoptes search 'source.ip:203.0.113.9' --since 7d\n\nAn import that was interrupted goes on when it is started again: what is in the evidence already is left out."
    )]
    Import(ImportArgs),
    /// Find events in the evidence
    #[command(
        after_help = "Examples:\n  panoptes search 'source.ip:203.0.113.9 AND event.outcome:failure' --since 7d\n  panoptes search '\"failed password\" -user.name:root host.name:web*' --limit 20\n  panoptes search 'source.ip:10.0.0.0/8 http.response.status_code:>=500' --format jsonl\n  panoptes search 'event.outcome:failure @timestamp:>now-1d | top 5 source.ip'\n  panoptes search 'event.dataset:nginx.access | timechart 1h' --since 24h\n  panoptes search 'http.response.status_code:>=500 | stats count, p95(event.duration) by host.name'\n  panoptes search 'user.name:root' --histogram       # or --fields: which fields there are, with their values\n  panoptes search --sql 'select \"source.ip\", count(*) n from events group by 1 order by n desc limit 10'\n\nQueries:  word  \"a phrase\"  part*  field:value  field:\"a value\"  field:10.0.0.0/8  field:>=400  field:[400 TO 499]\n          field:*  (exists)   field:/regular expression/   @timestamp:>now-1h   AND  OR  NOT  -word  ( )\nCommands: | count [by FIELDS]   | top [N] FIELD   | rare [N] FIELD   | timechart [1h] [by FIELD]   | distinct FIELD\n          | stats count, avg(F), sum(F), min(F), max(F), p95(F), distinct(F) [by FIELDS]\n          | where CONDITION   | sort [-]FIELD   | limit N   | fields FIELDS          docs/search.md has all of it"
    )]
    Search(SearchArgs),
    /// Watch events as they come in: pushed by the running instance, ends with Ctrl-C
    #[command(
        after_help = "Examples:\n  panoptes tail\n  panoptes tail 'event.outcome:failure -user.name:backup' -n 20\n  panoptes tail 'host.name:web*' --format jsonl | jq .message"
    )]
    Tail(TailArgs),
    /// Write events to a file that others can read: CSV, JSON lines or Parquet, not encrypted
    #[command(
        after_help = "Examples:\n  panoptes export 'source.ip:203.0.113.9' --to case-17.jsonl.zst --since 30d\n  panoptes export 'event.dataset:linux.sshd' --to logins.csv --columns @timestamp,host.name,user.name,source.ip\n  panoptes export '' --to all.parquet"
    )]
    Export(ExportArgs),
    /// How long evidence is kept: status and forecast, deleting now, legal holds
    #[command(
        subcommand,
        after_help = "Examples:\n  panoptes retention status\n  panoptes retention apply --dry-run\n  panoptes retention hold case-12 --source web1 --since 2024-01-01 --reason 'letter of 3 March'\n  panoptes retention release case-12 --reason closed\n\nWhat is kept for how long stands in the configuration ([store.retention]); a running instance deletes by itself what is due."
    )]
    Retention(RetentionCommand),
    /// Erase one person's events from the evidence, with a record that they went; stop the instance first
    #[command(
        after_help = "Examples:\n  panoptes erase --user alice --dry-run\n  panoptes erase --user alice --reason 'request of 3 March'\n  panoptes erase --ip 203.0.113.9 --reason 'request of 3 March'\n\nEvents are theirs if a field for users or addresses says so; a name in the text of a message does not count.\nAlerts, and what is still in the write-ahead log, are not touched."
    )]
    Erase(EraseArgs),
    /// Read all evidence and say what is missing, altered, truncated or unreadable
    #[command(
        after_help = "Examples:\n  panoptes verify\n  panoptes verify --since 25h                   # every night\n  panoptes verify --export-head /mnt/elsewhere/head\n  panoptes verify --head /mnt/elsewhere/head    # was the end of the story cut off?\n  panoptes verify --format jsonl | jq -r .file\n\nExit codes:  0 clean (perhaps with notes: what a crash left) · 1 something is wrong · 2 could not run"
    )]
    Verify(VerifyArgs),
    /// Merge small segments now, as a running instance does by and by; after a large import
    #[command(
        after_help = "Example:\n  panoptes import old-logs/ && panoptes compact\n\nNot beside a running instance, which merges them itself."
    )]
    Compact,
    /// How each source of logs is doing: last seen, rate against its usual, what is not understood, lag
    #[command(
        after_help = "Examples:\n  panoptes sources\n  panoptes sources --since 24h --examples 3\n  panoptes sources --format jsonl | jq 'select(.state != \"ok\")'"
    )]
    Sources(SourcesArgs),
    /// What is known of a user, a host or an address: history, usual hours and places, alerts
    #[command(
        after_help = "Examples:\n  panoptes entity alice\n  panoptes entity 203.0.113.9 --since 90d\n  panoptes entity host.name=web1 --format json"
    )]
    Entity(EntityArgs),
    /// List and work through alerts
    #[command(subcommand)]
    Alerts(AlertsCommand),
    /// Write realistic logs, with or without anomalies, to a file or a running instance
    #[command(
        after_help = "Examples:\n  panoptes generate --count 20\n  panoptes generate --rate 5000 --to tcp://127.0.0.1:9090 --count 100000\n  panoptes generate --to http://127.0.0.1:8080/logs --for 1m --no-anomalies"
    )]
    Generate(GenerateArgs),
    /// Show what Panoptes understands of each line of a file
    #[command(
        after_help = "Examples:\n  panoptes normalize /var/log/auth.log | head\n  panoptes normalize access.log --explain --limit 3"
    )]
    Normalize(NormalizeArgs),
    /// Work on detection rules: list, check, test, explain, backtest, coverage
    #[command(subcommand)]
    Rules(RulesCommand),
    /// What opens the evidence: keys, passphrases and recovery codes; exchange them without rewriting data
    #[command(
        subcommand,
        after_help = "Examples:\n  panoptes keys status\n  panoptes keys export-recovery      # a code for paper\n  panoptes keys rotate"
    )]
    Keys(KeysCommand),
    /// Check, show or describe the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the completion script of a shell
    Completions { shell: clap_complete::Shell },
}

fn parse_timeout(text: &str) -> Result<std::time::Duration, String> {
    if text == "0" { Ok(std::time::Duration::ZERO) } else { crate::time::parse_duration(text) }
}

/// How a listing is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Json,
    Jsonl,
    Csv,
}

/// How alerts appear on the console of `run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AlertsFormat {
    Text,
    Json,
    None,
}

#[derive(Args, Debug, Default)]
pub(crate) struct RunArgs {
    /// How alerts are written to standard output
    #[arg(long, value_name = "FORMAT")]
    pub(crate) alerts: Option<AlertsFormat>,
    /// Also append alerts to this file as JSON lines (plaintext: never inside the data folder)
    #[arg(long, value_name = "PATH")]
    pub(crate) alerts_file: Option<PathBuf>,
    /// Watch this file or glob besides (or instead of) what the configuration names; repeatable
    #[arg(long = "file", value_name = "GLOB")]
    pub(crate) files: Vec<String>,
    /// Read watched files from their beginning when they are new to this data folder
    #[arg(long)]
    pub(crate) from_beginning: bool,
    /// Read standard input as well, until it ends
    #[arg(long)]
    pub(crate) stdin: bool,
    /// More rules: a file or folder of Sigma YAML; repeatable
    #[arg(long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// HTTP address, `none` for off
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<String>,
    /// TCP lines address, `none` for off
    #[arg(long, value_name = "ADDR")]
    pub(crate) tcp: Option<String>,
    /// Syslog address (UDP and TCP), `none` for off
    #[arg(long, value_name = "ADDR")]
    pub(crate) syslog: Option<String>,
    /// Allow listening on addresses that others can reach, although anybody there may then send and read
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Stop by itself after this time, for example 90s or 10m
    #[arg(long = "for", value_name = "DURATION", value_parser = crate::time::parse_duration)]
    pub(crate) duration: Option<std::time::Duration>,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// How long; without a terminal 60s is the default, on a terminal until Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = crate::time::parse_duration)]
    pub(crate) duration: Option<std::time::Duration>,
    /// Normal log lines per second around the attacks
    #[arg(long, default_value_t = 200)]
    pub(crate) rate: u64,
    /// Seed of the generated traffic
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Args, Debug)]
pub(crate) struct ScanArgs {
    /// Files, folders, globs; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// More rules: a file or folder of Sigma YAML; repeatable
    #[arg(long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// Leave the shipped rules out
    #[arg(long)]
    pub(crate) no_shipped_rules: bool,
    /// Show findings of this level and above
    #[arg(long, value_name = "LEVEL", default_value = "informational")]
    pub(crate) min_level: Severity,
    /// Exit with 1 if there is a finding of this level or above
    #[arg(long, value_name = "LEVEL")]
    pub(crate) fail_on: Option<Severity>,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Take every record as this format instead of looking at it
    #[arg(long, value_name = "NAME")]
    pub(crate) input_format: Option<String>,
    /// Time zone of times without one, for example Europe/Berlin or +02:00 (default UTC)
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
    /// The clock of the scan (RFC 3339), from which missing years are inferred; default now
    #[arg(long, value_name = "TIME", value_parser = crate::time::parse_instant)]
    pub(crate) now: Option<panoptes_model::Timestamp>,
}

#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// Files, folders, globs
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Name of the source, to find the events by
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// Take every record as this format instead of looking at it
    #[arg(long, value_name = "NAME")]
    pub(crate) input_format: Option<String>,
    /// Time zone of times without one (default UTC)
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
    /// Take in once more what was imported before
    #[arg(long)]
    pub(crate) again: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RetentionCommand {
    /// What each policy covers, how much it grows, what is due, and when the disk fills
    Status {
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Delete now what is due; not beside a running instance, which does it by itself
    Apply {
        /// Only say what would go, also beside a running instance
        #[arg(long)]
        dry_run: bool,
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Let nothing be deleted of what may belong to a case, also beside a running instance
    Hold(HoldArgs),
    /// End a hold; that there was one stays on record
    Release {
        /// The name of the hold
        name: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List holds
    Holds {
        /// Also those that were released
        #[arg(long)]
        all: bool,
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

#[derive(Args, Debug)]
pub(crate) struct EraseArgs {
    /// Events of this user: by name, id or mail address
    #[arg(long, value_name = "NAME", required_unless_present = "ip", conflicts_with = "ip")]
    pub(crate) user: Option<String>,
    /// Events of this address
    #[arg(long, value_name = "ADDR")]
    pub(crate) ip: Option<std::net::IpAddr>,
    /// Why, for the record; do not name the person
    #[arg(long, value_name = "TEXT", default_value = "erasure of one person's events")]
    pub(crate) reason: String,
    /// Only say how many events there are
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct HoldArgs {
    /// What to call it
    pub(crate) name: String,
    /// Events of this source; repeatable; without it of all
    #[arg(long = "source", value_name = "NAME")]
    pub(crate) sources: Vec<String>,
    /// Events since: 7d, or a time (RFC 3339 or YYYY-MM-DD)
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Events until, the same forms
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// Read only segments sealed since: 25h, 7d, or a time; of older ones only that they are there with their size
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// A head that was exported before: the manifest must have got there, by the same entries
    #[arg(long, value_name = "FILE")]
    pub(crate) head: Option<PathBuf>,
    /// Write the end of the manifest's chain, signed, to this file if all is well; keep it on another machine
    #[arg(long, value_name = "FILE")]
    pub(crate) export_head: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct SourcesArgs {
    /// Events since: 24h, 7d, or a time (RFC 3339 or YYYY-MM-DD)
    #[arg(long, value_name = "WHEN", default_value = "7d")]
    pub(crate) since: String,
    /// Show so many records of each source that no format understood
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) examples: u32,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct EntityArgs {
    /// A user, a host or an address; or FIELD=VALUE
    #[arg(value_name = "ENTITY")]
    pub(crate) entity: String,
    /// Events since: 24h, 30d, or a time (RFC 3339 or YYYY-MM-DD)
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    pub(crate) since: String,
    /// table or json
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct TailArgs {
    /// Which events, as in a search; empty is all
    #[arg(value_name = "QUERY", default_value = "")]
    pub(crate) query: String,
    /// Show so many from before first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 0)]
    pub(crate) lines: usize,
    /// End after so many new events
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// table or jsonl
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// Which events, as in a search; empty is all
    #[arg(value_name = "QUERY")]
    pub(crate) query: String,
    /// The file: FILE.csv or FILE.jsonl, also with .gz or .zst behind it, or FILE.parquet; never in the data folder
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// Events since: 24h, 30d, or a time (RFC 3339 or YYYY-MM-DD)
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Events until, the same forms
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
    /// Only these fields, in this order (CSV and Parquet); without it all that the events have
    #[arg(long, value_name = "FIELD,FIELD", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct SearchArgs {
    /// The query, and commands on what it finds; empty finds everything
    #[arg(value_name = "QUERY", default_value = "")]
    pub(crate) query: String,
    /// Ask in SQL over the table `events` instead
    #[arg(long, value_name = "SQL", conflicts_with = "query")]
    pub(crate) sql: Option<String>,
    /// Events since: 15m, 24h, 7d, or a time (RFC 3339 or YYYY-MM-DD)
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Events until, the same forms
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
    /// At most so many events, newest first
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
    /// Count the events over time instead of listing them
    #[arg(long, conflicts_with_all = ["sql", "fields"])]
    pub(crate) histogram: bool,
    /// List the fields instead of the events: how many events have each, and its most frequent values
    #[arg(long, conflicts_with = "sql")]
    pub(crate) fields: bool,
    /// End after this time with what was found until then, for example 30s; 0 is never (default: store.query_seconds_max)
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    pub(crate) timeout: Option<std::time::Duration>,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Print what was read and pruned on standard error
    #[arg(long)]
    pub(crate) explain: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// List alerts, newest first
    #[command(
        after_help = "Examples:\n  panoptes alerts list --state open --level high\n  panoptes alerts list --entity source.ip=203.0.113.9 --format jsonl"
    )]
    List(AlertsListArgs),
    /// Everything about one alert: evidence, entities, history, what to do next
    Show {
        /// The id, or its first four or more digits
        id: String,
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Say that somebody is looking at it
    Ack {
        id: String,
        #[arg(long)]
        note: Option<String>,
    },
    /// Close it with a reason
    #[command(
        after_help = "Example:\n  panoptes alerts resolve 3f2a --reason true-positive --note \"blocked at the firewall\""
    )]
    Resolve {
        id: String,
        /// true-positive, false-positive, benign or duplicate
        #[arg(long)]
        reason: Resolution,
        #[arg(long)]
        note: Option<String>,
    },
    /// Take a resolution or acknowledgement back
    Reopen {
        id: String,
        #[arg(long)]
        note: Option<String>,
    },
    /// Counts by level, state, rule and entity
    Stats {
        /// Alerts since: 24h, 7d, or a time
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

#[derive(Args, Debug)]
pub(crate) struct AlertsListArgs {
    /// open, acknowledged, resolved; repeatable; default open and acknowledged
    #[arg(long)]
    pub(crate) state: Vec<AlertState>,
    /// All states
    #[arg(long, conflicts_with = "state")]
    pub(crate) all: bool,
    /// This level and above
    #[arg(long)]
    pub(crate) level: Option<Severity>,
    /// Only this rule (id)
    #[arg(long)]
    pub(crate) rule: Option<String>,
    /// Only about this entity: FIELD=VALUE
    #[arg(long, value_name = "FIELD=VALUE")]
    pub(crate) entity: Option<String>,
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u32,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct GenerateArgs {
    /// Where to: tcp://HOST:PORT, http://HOST:PORT/logs, syslog://HOST:PORT, syslog+tcp://HOST:PORT, file:PATH, - (default)
    #[arg(long, value_name = "URL", default_value = "-")]
    pub(crate) to: String,
    /// Lines per second; 0 is as fast as possible
    #[arg(long, default_value_t = 0)]
    pub(crate) rate: u64,
    /// Stop after so many lines
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// Stop after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = crate::time::parse_duration)]
    pub(crate) duration: Option<std::time::Duration>,
    /// mixed, nginx, sshd, json or syslog
    #[arg(long, default_value = "mixed")]
    pub(crate) kind: String,
    /// Only ordinary traffic, no attacks
    #[arg(long)]
    pub(crate) no_anomalies: bool,
    /// The same seed gives the same lines
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Args, Debug)]
pub(crate) struct NormalizeArgs {
    /// A file; `-` is standard input
    pub(crate) path: String,
    /// For each line: which formats were asked, which took it, what it understood
    #[arg(long)]
    pub(crate) explain: bool,
    /// At most so many lines
    #[arg(long)]
    pub(crate) limit: Option<usize>,
    /// Take every record as this format
    #[arg(long, value_name = "NAME")]
    pub(crate) input_format: Option<String>,
    /// Time zone of times without one (default UTC)
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether the configuration is valid; exit 2 if not
    Check,
    /// The configuration in force, with defaults
    Show,
    /// The JSON Schema of the configuration file, for editors
    Schema,
}
