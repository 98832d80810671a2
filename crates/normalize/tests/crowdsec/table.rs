//! `names.toml`: what CrowdSec's names are called in ECS, and whether an event says what is stated.

use std::net::IpAddr;
use std::sync::LazyLock;

use panoptes_model::{Anomaly, Event, Timestamp};
use serde_json::Value as Json;

use crate::assertions::{Fact, decoded};

/// What a stated field is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It states no fact of the line.
    LeftOut,
    /// Whether the event says the same; `listed` if the table names the ECS field, else any field would do.
    Counts { right: bool, listed: bool },
}

struct Row {
    names: Vec<String>,
    /// Empty: left out.
    ecs: Vec<String>,
    compare: Compare,
    values: Vec<Words>,
}

/// CrowdSec's own words, and which fields must then say what. Words that are not listed are left out.
struct Words {
    like: Vec<String>,
    wanted: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compare {
    Text,
    Address,
    Number,
    Path,
    Time,
    User,
    Level,
}

static TABLE: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let table: toml::Table = include_str!("names.toml").parse().expect("names.toml");
    let texts = |row: &toml::Table, key: &str| -> Vec<String> {
        let list = row.get(key).and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().map(|it| it.as_str().expect("a text").to_owned()).collect()
    };
    let rows = table.get("row").and_then(toml::Value::as_array).expect("rows");
    rows.iter()
        .map(|it| {
            let row = it.as_table().expect("a row");
            let compare = match row.get("compare").and_then(toml::Value::as_str) {
                None => Compare::Text,
                Some("address") => Compare::Address,
                Some("number") => Compare::Number,
                Some("path") => Compare::Path,
                Some("time") => Compare::Time,
                Some("user") => Compare::User,
                Some("level") => Compare::Level,
                Some(other) => panic!("compare = {other}"),
            };
            let values = row.get("values").and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let values = values
                .iter()
                .map(|it| {
                    let words = it.as_table().expect("words");
                    let wanted = words.iter().filter_map(|(name, it)| Some((name.clone(), it.as_str()?.to_owned())));
                    Words { like: texts(words, "like"), wanted: wanted.collect() }
                })
                .collect();
            let (names, ecs) = (texts(row, "names"), texts(row, "ecs"));
            assert!(!names.is_empty(), "a row without names");
            assert_eq!(row.contains_key("because"), ecs.is_empty() && row.get("values").is_none(), "{names:?}");
            Row { names, ecs, compare, values }
        })
        .collect()
});

/// Whether `event`, made of `line`, says what `fact` states under `name`,
/// and the row of the table by which that was judged. `label` is the type that the configuration gives to all lines.
pub(crate) fn judge(event: Event<'_>, line: &str, label: &str, name: &str, fact: &Fact) -> (Verdict, usize) {
    let value = fact.value.trim();
    let is_label =
        matches!(name, "Parsed.program" | "Meta.program" | "Meta.machine") && (value == label || !line.contains(value));
    if is_label {
        return (Verdict::LeftOut, usize::MAX);
    }
    if matches!(value, "" | "-" | "N/A" | "null" | "<nil>") {
        return (Verdict::LeftOut, usize::MAX);
    }
    let Some((number, row)) = TABLE.iter().enumerate().find(|it| it.1.names.iter().any(|glob| matches(glob, name)))
    else {
        return (unlisted(event, line, value), usize::MAX);
    };
    if !row.values.is_empty() {
        let Some(words) = row.values.iter().find(|it| it.like.iter().any(|glob| matches(glob, value))) else {
            return (Verdict::LeftOut, number);
        };
        let right = words.wanted.iter().all(|(name, wanted)| {
            fields(event).any(|(id, ours)| id == *name && ours.iter().any(|it| wanted.split('|').any(|one| one == it)))
        });
        return (Verdict::Counts { right, listed: true }, number);
    }
    if row.ecs.is_empty() {
        return (Verdict::LeftOut, number);
    }
    if row.compare == Compare::Time {
        let right = same_time(event, fact);
        return (Verdict::Counts { right, listed: true }, number);
    }
    let right = row.ecs.iter().any(|wanted| {
        fields(event).any(|(name, ours)| name == *wanted && ours.iter().any(|it| same(row.compare, it, value)))
    });
    // A sender's own name is a name that rules know; it stays beside ECS's.
    let own = || {
        let theirs = plain(name.splitn(if name.starts_with("Unmarshaled.") { 3 } else { 2 }, '.').last().unwrap_or(""));
        fields(event).any(|(name, ours)| plain(&name) == theirs && ours.iter().any(|it| same(row.compare, it, value)))
    };
    (Verdict::Counts { right: right || own(), listed: true }, number)
}

/// A name without its marks: `cs_uri_stem` is `cs-uri-stem`.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|it| it.to_ascii_lowercase()).collect()
}

/// A name that the table does not know: the line must say it, and any field but the text may have it.
fn unlisted(event: Event<'_>, line: &str, value: &str) -> Verdict {
    let contains = |text: &str| text.to_ascii_lowercase().contains(&value.to_ascii_lowercase());
    if !contains(line) && !contains(&decoded(line)) {
        return Verdict::LeftOut;
    }
    let right = fields(event)
        // The message counts where it is less than the line.
        .filter(|(name, ours)| !matches!(name.as_str(), "event.original") && ours.iter().all(|it| it != line))
        .any(|(_, ours)| ours.iter().any(|it| same(Compare::Text, it, value)));
    Verdict::Counts { right, listed: false }
}

/// Names and values, a list's one by one.
fn fields(event: Event<'_>) -> impl Iterator<Item = (String, Vec<String>)> {
    let batch = event.batch();
    event.fields().map(move |(id, value)| {
        let texts = value.each().map(|it| it.to_text().into_owned()).collect();
        (batch.field_name(id).to_owned(), texts)
    })
}

fn same(compare: Compare, ours: &str, theirs: &str) -> bool {
    let bare =
        |it: &str| it.trim().trim_matches(['"', '\'', '<', '>']).trim_end_matches('.').trim().to_ascii_lowercase();
    let number = |it: &str| it.trim().parse::<f64>().ok();
    if bare(ours) == bare(theirs) || number(ours).is_some_and(|it| Some(it) == number(theirs)) {
        return true;
    }
    match compare {
        Compare::Text | Compare::Time | Compare::Number => false,
        Compare::Address => {
            let address = |it: &str| it.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(|it| it.to_canonical());
            address(ours).is_some_and(|it| Some(it) == address(theirs))
        }
        // CrowdSec keeps the query with some parsers and cuts it off with others.
        Compare::Path => theirs.split('?').next() == ours.split('?').next(),
        // `W`, `WRN`, `Warn`, `warning`.
        Compare::Level => {
            let (ours, theirs) = (bare(ours), bare(theirs));
            let short = theirs.replace("wrn", "war");
            !short.is_empty() && short.len() < ours.len() && ours.starts_with(&short)
        }
        // `DOMAIN\user` and `user@realm` may be in two fields.
        Compare::User => {
            bare(theirs).rsplit('\\').next() == Some(&bare(ours)) || bare(ours).split('@').next() == Some(&bare(theirs))
        }
    }
}

fn same_time(event: Event<'_>, fact: &Fact) -> bool {
    let whole = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let ours = event.time();
    // CrowdSec drops fractions of some formats.
    let agree = |theirs: jiff::Timestamp, ours: Timestamp| {
        let unit = if theirs.subsec_nanosecond() == 0 { 1_000_000_000 } else { 1_000_000 };
        theirs.as_nanosecond().div_euclid(unit) == i128::from(ours.0).div_euclid(unit)
    };
    let text = ours.to_string();
    let year = text.get(..4).unwrap_or("");
    if fact.from == 4 {
        return whole(&format!("{year}{}", fact.value)).is_some_and(|it| agree(it, ours));
    }
    let Some(theirs) = whole(&fact.value) else { return false };
    if agree(theirs, ours) {
        return true;
    }
    // The line has no year: theirs is that of the day on which somebody wrote the test.
    event.anomalies().contains(Anomaly::YearInferred) && theirs.to_string().get(4..19) == text.get(4..19)
}

/// Whether `name` is `glob`, in which `*` stands for anything; without regard to case.
fn matches(glob: &str, name: &str) -> bool {
    let (glob, name) = (glob.to_ascii_lowercase(), name.to_ascii_lowercase());
    let mut parts = glob.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or("")) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part).and_then(|at| rest.get(at + part.len()..)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The value of a field, for people who look for a miss.
pub(crate) fn shown(event: Event<'_>) -> String {
    let all: serde_json::Map<String, Json> = fields(event)
        .filter(|(name, _)| !matches!(name.as_str(), "message" | "event.original" | "event.kind" | "panoptes.source"))
        .map(|(name, values)| (name, Json::from(values.join(","))))
        .collect();
    Json::Object(all).to_string()
}

#[test]
fn globs_match_names() {
    for (glob, name, expected) in [
        ("*.source_ip", "Meta.source_ip", true),
        ("*.source_ip", "Meta.source_ips", false),
        ("Parsed.*_client_ip", "Parsed.sshd_client_ip", true),
        ("Parsed.a*b*c", "Parsed.a1b2c", true),
        ("Parsed.a*b*c", "Parsed.a1c", false),
        ("Meta.x", "Meta.x", true),
    ] {
        assert_eq!(matches(glob, name), expected, "{glob} {name}");
    }
}
