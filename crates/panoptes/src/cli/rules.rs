//! What can be typed behind `panoptes rules`: the workflow of a rule, from its first check to the day it is in force.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use panoptes_model::Severity;

use super::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// The rules in force: level, techniques, log source, whether they report
    #[command(
        after_help = "Examples:\n  panoptes rules list --level high\n  panoptes rules list --tag T1110 --source linux\n  panoptes rules list --search password --format jsonl | jq -r .id\n\n--tag takes a technique (T1110 also means its sub-techniques), a tactic (credential-access) or any other tag.\n--source takes a part of a log source (windows, process_creation, sshd) or the name of a mapped source."
    )]
    List(ListArgs),
    /// What is wrong with rule files: all errors of all files at once, with line, reason and cure
    #[command(
        after_help = "Examples:\n  panoptes rules check my-rules/\n  panoptes rules check                      # the rules that `run` would load\n  panoptes rules check rules/ --strict      # in CI: warnings fail as well\n  panoptes rules check rules/ --format jsonl | jq 'select(.kind == \"error\")'\n\nExit codes:  0 every rule is loaded · 2 a rule is refused (or there is a warning, with --strict)"
    )]
    Check(CheckArgs),
    /// Run the tests beside rules: log lines that must fire, and log lines that must not
    #[command(after_help = TEST_HELP)]
    Test(TestArgs),
    /// Why a rule fires for an event, or why not: every condition, and the value that it saw
    #[command(
        after_help = "Examples:\n  panoptes rules explain 'SSH login failed' 1042-7          # an event of the evidence, by its id\n  panoptes rules explain my-rules/whoami.yml suspicious.evtx\n  panoptes rules explain 5af54681 '{\"EventID\": 1, \"Image\": \"C:\\\\whoami.exe\"}'\n  journalctl -o short-iso | panoptes rules explain ssh_login_failed - --limit 5\n\nRULE is an id or its beginning, a name, a title or a file. EVENT is an event id, a file, `-` for standard input, or a\nraw log line. Of a correlation, the rules that it counts are explained.\n\nExit codes:  0 explained · 2 no such rule or event"
    )]
    Explain(ExplainArgs),
    /// What rules would have found in the evidence: how often, about whom, with examples; nothing is stored
    #[command(
        after_help = "Examples:\n  panoptes rules backtest 'SSH password guessing' --since 30d\n  panoptes rules backtest --rules draft.yml --since 7d --examples 10\n  panoptes rules backtest my-rules/a.yml my-rules/b.yml --since 2026-03-01 --until 2026-03-08 --format json\n\nRULE is an id or its beginning, a name, a title or a file; a file need not be installed. The records are normalised\nagain as this version and this configuration read them, and go through rules, windows and cool-down as they would have\ncome in. Windows begin empty at --since.\n\nExit codes:  0 done · 2 no such rule, or no evidence"
    )]
    Backtest(BacktestArgs),
    /// What the rules in force can find of MITRE ATT&CK, and which of them cannot fire, and why
    #[command(
        after_help = "Examples:\n  panoptes rules coverage\n  panoptes rules coverage --show silent                 # rules that cannot fire, with the reason\n  panoptes rules coverage --seen-since 7d               # judged by the events of the last week\n  panoptes rules coverage --navigator layer.json        # for https://mitre-attack.github.io/attack-navigator/\n  panoptes rules coverage --show techniques --format csv > coverage.csv\n\nA rule cannot fire if the configuration turns it off, if no format or mapping makes events of its log source, or if its\nevents never have a field that it needs. With --seen-since the evidence is asked as well: which sources had events, and\nwith which fields."
    )]
    Coverage(CoverageArgs),
}

const TEST_HELP: &str = "Examples:
  panoptes rules test my-rules/
  panoptes rules test my-rules/ssh_guessing.yml
  panoptes rules test rules/ --junit report.xml     # for CI
  panoptes rules test                               # all rules that `run` would load

The tests of name.yml are in name.test.toml beside it:

  now = 2026-03-01T12:00:00Z          # the clock of the test

  [[fires]]
  why = \"ten failures in a minute from one address\"
  repeat = 10                         # the log that often; {i} counts 1, 2, 3 and {ii} 01, 02, 03
  log = '''
  Mar  1 11:00:{ii} web1 sshd[411]: Failed password for root from 203.0.113.9 port 4022 ssh2
  '''
  entities = { \"source.ip\" = \"203.0.113.9\" }   # what the findings must name
  count = 10                          # how many events they must rest on

  [[silent]]
  why = \"an administrator runs it from the console\"
  events = '''
  { \"EventID\": 1, \"Channel\": \"Microsoft-Windows-Sysmon/Operational\",
    \"EventData\": { \"Image\": \"C:\\\\Windows\\\\System32\\\\whoami.exe\" } }
  '''

`log` is raw lines as they would come in, `events` is JSON as tools print it: one object or many, an array, pretty
printed or not. A file with several rules says `rule = \"title or id\"` in each case. Every rule that reports needs a
case of each kind. Rules are tested together with those that `run` would load.

Exit codes:  0 all cases hold · 1 a case fails · 2 a test could not be run (a broken rule or test file)";

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// More rules: a file or folder of Sigma YAML; repeatable
    #[arg(long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// Only with this tag, technique (T1110) or tactic; repeatable: any of them
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
    /// Only this level and above
    #[arg(long)]
    pub(crate) level: Option<Severity>,
    /// Only for this log source: a product, category, service or mapped source
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Option<String>,
    /// Only with this text in title, description, id, name or path
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// Only those that make no findings of their own
    #[arg(long)]
    pub(crate) off: bool,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Rule files and folders; none means the rules that `run` would load
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Fail on warnings as well
    #[arg(long)]
    pub(crate) strict: bool,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// The rule: id, name, title or file
    pub(crate) rule: String,
    /// The event: an event id, a file, `-`, or a raw log line
    pub(crate) event: String,
    /// At most so many events
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
    /// Take every record as this format instead of looking at it
    #[arg(long, value_name = "NAME")]
    pub(crate) input_format: Option<String>,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct BacktestArgs {
    /// The rules: ids, names, titles or files
    #[arg(value_name = "RULE", required_unless_present = "rules")]
    pub(crate) wanted: Vec<String>,
    /// Rules that are not installed: a file or folder; all of them, unless RULE says which. Repeatable
    #[arg(long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// Events since: 24h, 30d, or a time (RFC 3339 or YYYY-MM-DD)
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    pub(crate) since: String,
    /// Events until, the same forms
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
    /// How many examples of each rule to show
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) examples: usize,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Rule files and folders; none means the rules that `run` would load
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Also write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct CoverageArgs {
    /// More rules: a file or folder of Sigma YAML; repeatable
    #[arg(long, value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// What to list
    #[arg(long, value_enum, default_value_t)]
    pub(crate) show: CoverageShow,
    /// Count only rules whose events the evidence has had since: 24h, 30d, or a time
    #[arg(long, value_name = "WHEN")]
    pub(crate) seen_since: Option<String>,
    /// Also write a layer for the ATT&CK Navigator
    #[arg(long, value_name = "FILE")]
    pub(crate) navigator: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// What `rules coverage` lists; `--format json` has all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum CoverageShow {
    /// Each tactic: how many techniques there are, and how many are covered
    #[default]
    Tactics,
    /// Each technique that a rule names
    Techniques,
    /// Each rule that cannot fire, with the reason
    Silent,
}
