//! `parser.assert` of CrowdSec's hub: what its parsers read out of which line.
//!
//! A file states fields of the n-th event of a parser in a stage. Which line that was is found by the text that the
//! event carries (`Evt.Parsed["message"]`), else by its number.

use std::collections::{BTreeMap, BTreeSet};

/// What is stated of one event of one parser.
#[derive(Debug, Default)]
struct Group {
    failed: bool,
    facts: BTreeMap<String, Fact>,
}

/// A value, and from which of its characters on it is compared (times without a year are stated from their month on).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fact {
    pub(crate) value: String,
    pub(crate) from: usize,
}

/// Per line: name (`Meta.source_ip`) and what is stated; and how many events could not be joined to a line.
#[derive(Debug, Default)]
pub(crate) struct Stated {
    pub(crate) by_line: BTreeMap<usize, BTreeMap<String, Fact>>,
    pub(crate) lost: usize,
}

/// Reads statements about `lines`. Those of the first stage, which only takes the syslog header off, do not count.
pub(crate) fn read(text: &str, lines: &[&str]) -> Stated {
    let mut groups: BTreeMap<(String, String, usize), Group> = BTreeMap::new();
    for statement in text.lines().filter_map(statement) {
        let Statement { stage, parser, index, name, fact } = statement;
        if stage.starts_with("s00") {
            continue;
        }
        let group = groups.entry((stage, parser, index)).or_default();
        if name == "Success" {
            group.failed = fact.value == "false";
        } else {
            group.facts.insert(name, fact);
        }
    }
    let readable: Vec<String> = lines.iter().map(|it| decoded(it)).collect();
    let mut used: BTreeMap<(String, String), BTreeSet<usize>> = BTreeMap::new();
    let mut stated = Stated::default();
    for ((stage, parser, index), group) in groups {
        if group.failed || group.facts.is_empty() {
            continue;
        }
        let used = used.entry((stage, parser)).or_default();
        let line = match group.facts.get("Parsed.message").map(|it| it.value.trim()).filter(|it| !it.is_empty()) {
            Some(message) => {
                let has = |it: &usize| {
                    lines.get(*it).is_some_and(|line| line.contains(message))
                        || readable.get(*it).is_some_and(|line| line.contains(message))
                };
                let mut all = (0..lines.len()).filter(has);
                all.clone().find(|it| !used.contains(it)).or_else(|| all.next())
            }
            None => (index < lines.len()).then_some(index),
        };
        match line {
            Some(line) => {
                used.insert(line);
                stated.by_line.entry(line).or_default().extend(group.facts);
            }
            None => stated.lost += 1,
        }
    }
    stated
}

/// The line with its JSON escapes undone: a container's log holds a line as JSON text.
pub(crate) fn decoded(line: &str) -> String {
    line.replace("\\\"", "\"").replace("\\n", "\n").replace("\\t", "\t").replace("\\/", "/").replace("\\\\", "\\")
}

struct Statement {
    stage: String,
    parser: String,
    index: usize,
    name: String,
    fact: Fact,
}

/// `results["s01-parse"]["crowdsecurity/sshd-logs"][0].Evt.Meta["source_ip"] == "192.0.2.1"`.
fn statement(line: &str) -> Option<Statement> {
    let line = line.trim();
    let (line, approximate) = match line.strip_prefix("FloatApproxEqual(") {
        Some(rest) => (rest, true),
        None => (line, false),
    };
    let mut rest = line.strip_prefix("results")?;
    let stage = bracketed(&mut rest)?;
    let parser = bracketed(&mut rest)?;
    let index = bracketed(&mut rest)?.parse().ok()?;
    let rest = rest.strip_prefix('.')?;
    let kind_end = rest.find([' ', '[', ','])?;
    let (kind, mut rest) = rest.split_at_checked(kind_end)?;
    let kind = kind.strip_prefix("Evt.").unwrap_or(kind);
    let mut name = kind.to_owned();
    let mut from = 0;
    while rest.starts_with('[') {
        let part = bracketed(&mut rest)?;
        match part.strip_suffix(':').and_then(|it| it.parse().ok()) {
            Some(start) => from = start,
            None => name = format!("{name}.{part}"),
        }
    }
    let rest = rest.trim_start().trim_start_matches(if approximate { "," } else { "==" }).trim_start();
    let value = match rest.chars().next()? {
        quote @ ('"' | '\'') => quoted(rest, quote)?.0,
        _ => rest.split([')', ' ']).next()?.trim_end_matches("len").to_owned(),
    };
    Some(Statement { stage, parser, index, name, fact: Fact { value, from } })
}

/// What stands in the next brackets, without its quotes.
fn bracketed(rest: &mut &str) -> Option<String> {
    let inner = rest.strip_prefix('[')?;
    if inner.starts_with('"') {
        let (text, end) = quoted(inner, '"')?;
        *rest = inner.get(end..)?.strip_prefix(']')?;
        return Some(text);
    }
    let (text, after) = inner.split_once(']')?;
    *rest = after;
    Some(text.to_owned())
}

/// The text in quotes at the beginning of `text`, its escapes undone, and where it ends.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                other => value.push(other),
            },
            _ if character == quote => return Some((value, at + quote.len_utf8())),
            _ => value.push(character),
        }
    }
    None
}

#[test]
fn statements_are_joined_to_the_line_whose_text_they_carry() {
    let lines = ["<1>host app: no", r#"{"log":"say \"a\" to b"}"#, "same", "same"];
    let text = r#"
        results["s00-raw"]["x"][0].Evt.Parsed["message"] == "no"
        results["s01-parse"]["p"][0].Success == false
        results["s01-parse"]["p"][1].Success == true
        results["s01-parse"]["p"][1].Evt.Parsed["message"] == "say \"a\" to b"
        results["s01-parse"]["p"][1].Evt.Meta["source_ip"] == "192.0.2.1"len(results) == 3
        results["s02-enrich"]["d"][0].Evt.Parsed["message"] == "say \"a\" to b"
        results["s02-enrich"]["d"][0].Evt.Meta["timestamp"][4:] == "-01-15T10:30:00Z"
        results["s02-enrich"]["d"][1].Evt.Parsed["message"] == "same"
        results["s02-enrich"]["d"][1].Evt.Unmarshaled["j"]["n"] == 7
        results["s02-enrich"]["d"][2].Evt.Parsed["message"] == "same"
        FloatApproxEqual(results["s02-enrich"]["d"][2].Evt.Unmarshaled["j"]["n"], 0.5)
        results["s02-enrich"]["d"][3].Evt.Parsed["message"] == "elsewhere"
    "#;
    let stated = read(text, &lines);
    let all: Vec<_> = stated
        .by_line
        .iter()
        .flat_map(|(line, facts)| facts.iter().map(move |(name, fact)| (*line, name.as_str(), fact)))
        .filter(|it| it.1 != "Parsed.message")
        .map(|(line, name, fact)| (line, name, fact.value.as_str(), fact.from))
        .collect();
    assert_eq!(
        all,
        [
            (1, "Meta.source_ip", "192.0.2.1", 0),
            (1, "Meta.timestamp", "-01-15T10:30:00Z", 4),
            (2, "Unmarshaled.j.n", "7", 0),
            (3, "Unmarshaled.j.n", "0.5", 0),
        ]
    );
    assert_eq!(stated.lost, 1);
}
