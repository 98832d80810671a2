//! What may follow a query: commands that count, chart and list, each after a `|`.
//!
//! ```text
//! ask       = [ query ] { "|" command }
//! command   = "count" [ by ]                            how many, most first
//!           | ( "top" | "rare" ) [ number ] names       the most or least frequent values, with their share
//!           | "timechart" [ interval ] [ measures ] [ by ]   per bucket of time; without an interval one that fits
//!           | "stats" measures [ by ]
//!           | "distinct" names                          the values there are
//!           | "fields" names                            only these columns
//!           | "sort" [ "-" ] name { "," … }             "-" is largest first
//!           | "limit" number
//!           | "where" query                             on events, or on the rows that a command made
//! measures  = measure { "," measure };  measure = function [ "(" name ")" ] [ "as" name ]
//! by        = "by" names;  names = name { "," name }
//! ```
//!
//! Other systems' names are understood too: `head`, `take` (limit), `table`, `project`, `keep` (fields), `uniq`, `dedup`
//! (distinct), `summarize` (stats), `order by` (sort), `filter`, `search` (where), `dc` (distinct), `mean` (avg).

use panoptes_model::Timestamp;

use super::query::{Parser, Query, QueryError, Test};
use crate::pivot::TIME;

/// How many commands may follow a query; a query with more is refused.
pub const COMMANDS_MAX: usize = 16;
/// How many names or measures one command may list; one with more is refused.
const LISTED_MAX: usize = 16;
/// How many values `top` and `rare` list when they are not told.
const TOP_DEFAULT: usize = 10;

/// A query and what is to be made of the events that it finds.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    pub query: Query,
    pub then: Then,
    /// What the asker should know: words that were perhaps meant otherwise.
    pub notes: Vec<String>,
}

/// What is made of the events.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    /// They are listed: all of each, or these fields; newest first unless sorted.
    Events { fields: Option<Vec<String>>, sort: Vec<SortBy>, limit: Option<usize> },
    /// They are counted; commands on the rows follow.
    Aggregate(Aggregate, Vec<OnRows>),
}

/// One key of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortBy {
    pub name: String,
    pub descending: bool,
}

/// Groups of events, and what is said of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Buckets of time come first among the columns.
    pub time: Option<Interval>,
    pub by: Vec<String>,
    pub measures: Vec<Measure>,
    pub order: GroupOrder,
    /// At most so many groups.
    pub limit: Option<usize>,
    /// Whether each group's share of the whole is told.
    pub share: bool,
}

/// How long a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// As it fits the time that is looked at.
    Fitting,
    Nanos(i64),
}

/// In which order groups come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupOrder {
    /// Of the first measure, largest first.
    Most,
    Least,
    /// Of what they are grouped by.
    Keys,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    pub function: Function,
    /// What it looks at; `count` may look at whole events.
    pub field: Option<String>,
    /// The column that it becomes.
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    Count,
    /// How many different values.
    Distinct,
    Sum,
    Average,
    Min,
    Max,
    /// From 0 to 100.
    Percentile(f64),
    Deviation,
}

/// A command on the rows that an aggregate gave.
#[derive(Clone, Debug, PartialEq)]
pub enum OnRows {
    Where(Query),
    Sort(Vec<SortBy>),
    Limit(usize),
    Fields(Vec<String>),
}

const NAMES: &[(&str, &[&str])] = &[
    ("count", &[]),
    ("top", &["common"]),
    ("rare", &[]),
    ("timechart", &[]),
    ("stats", &["summarize"]),
    ("distinct", &["uniq", "dedup"]),
    ("fields", &["table", "project", "keep"]),
    ("sort", &["order"]),
    ("limit", &["head", "take"]),
    ("where", &["filter", "search"]),
];

impl std::str::FromStr for Ask {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let mut parser = Parser::new(text)?;
        parser.skip_space();
        let query = match parser.at_end() || parser.at_pipe() {
            true => Query::All,
            false => parser.either(None, 0)?,
        };
        let mut ask =
            Self { query, then: Then::Events { fields: None, sort: Vec::new(), limit: None }, notes: Vec::new() };
        let mut commands = 0;
        while parser.at_pipe() {
            commands += 1;
            if commands > COMMANDS_MAX {
                return Err(
                    parser.error(parser.position, format!("more than {COMMANDS_MAX} commands follow the query"))
                );
            }
            parser.position += 1;
            parser.skip_space();
            command(&mut parser, &mut ask)?;
            parser.skip_space();
            if !parser.at_end() && !parser.at_pipe() {
                let problem = "this command is complete before here; the next one begins with `|`";
                return Err(parser.error(parser.position, problem));
            }
        }
        if !parser.at_end() {
            return Err(parser.error(parser.position, super::query::NEVER_OPENED));
        }
        for word in &parser.small_operators {
            let upper = word.to_uppercase();
            ask.notes.push(format!("`{word}` is looked for as a word; the operator is {upper} in capitals"));
        }
        Ok(ask)
    }
}

fn command(parser: &mut Parser<'_>, ask: &mut Ask) -> Result<(), QueryError> {
    let start = parser.position;
    let written = word(parser);
    let lower = written.to_ascii_lowercase();
    let known = NAMES.iter().find(|it| it.0 == lower || it.1.contains(&lower.as_str()));
    parser.skip_space();
    match known.map_or("", |it| it.0) {
        "count" => {
            let by = by(parser)?;
            let measures = vec![count()];
            aggregate(parser, start, ask, Aggregate { by, measures, ..Aggregate::plain(GroupOrder::Most) })
        }
        name @ ("top" | "rare") => {
            let limit = number(parser)?.unwrap_or(TOP_DEFAULT);
            let mut fields = names(parser, &format!("the field whose values are counted must follow `{name}`"))?;
            // `top user.name by host.name`, as Splunk has it.
            let groups = by(parser)?;
            fields.splice(0..0, groups);
            let order = if name == "top" { GroupOrder::Most } else { GroupOrder::Least };
            let plain = Aggregate::plain(order);
            let found = Aggregate { by: fields, measures: vec![count()], limit: Some(limit), share: true, ..plain };
            aggregate(parser, start, ask, found)
        }
        "timechart" => {
            let time = Some(interval(parser)?);
            parser.skip_space();
            let mut found = measures(parser)?;
            if found.is_empty() {
                found.push(count());
            }
            let by = by(parser)?;
            aggregate(parser, start, ask, Aggregate { time, by, measures: found, ..Aggregate::plain(GroupOrder::Keys) })
        }
        "stats" => {
            let found = measures(parser)?;
            if found.is_empty() {
                let problem =
                    "what to compute must follow `stats`, for example `stats avg(event.duration) by host.name`";
                return Err(parser.error(parser.position, problem));
            }
            let by = by(parser)?;
            aggregate(parser, start, ask, Aggregate { by, measures: found, ..Aggregate::plain(GroupOrder::Keys) })
        }
        "distinct" => {
            let by = names(parser, "the field whose values are listed must follow `distinct`")?;
            aggregate(parser, start, ask, Aggregate { by, ..Aggregate::plain(GroupOrder::Keys) })
        }
        "fields" => {
            let found = names(parser, "names of fields must follow")?;
            match &mut ask.then {
                Then::Events { fields, .. } => *fields = Some(found),
                Then::Aggregate(_, rest) => rest.push(OnRows::Fields(found)),
            }
            Ok(())
        }
        "sort" => {
            let found = sort(parser)?;
            match &mut ask.then {
                Then::Events { limit: Some(_), .. } => Err(parser.error(start, "`sort` must come before `limit`")),
                Then::Events { sort, .. } => {
                    *sort = found;
                    Ok(())
                }
                Then::Aggregate(_, rest) => {
                    rest.push(OnRows::Sort(found));
                    Ok(())
                }
            }
        }
        "limit" => {
            let Some(found) = number(parser)? else {
                return Err(parser.error(parser.position, "a number must follow, for example `limit 20`"));
            };
            match &mut ask.then {
                Then::Events { limit, .. } => *limit = Some(limit.unwrap_or(found).min(found)),
                Then::Aggregate(_, rest) => rest.push(OnRows::Limit(found)),
            }
            Ok(())
        }
        "where" => {
            if parser.at_end() || parser.at_pipe() {
                return Err(parser.error(parser.position, "a condition must follow, for example `where count:>5`"));
            }
            // `where count > 5`, as Splunk and Kusto have it.
            let found = match simple_comparison(parser)? {
                Some(found) => found,
                None => parser.either(None, 0)?,
            };
            match &mut ask.then {
                Then::Events { limit: Some(_), .. } => {
                    return Err(parser.error(start, "`where` must come before `limit`"));
                }
                Then::Events { .. } => {
                    let before = std::mem::replace(&mut ask.query, Query::All);
                    ask.query = if before == Query::All { found } else { Query::And(vec![before, found]) };
                }
                Then::Aggregate(_, rest) => rest.push(OnRows::Where(found)),
            }
            Ok(())
        }
        _ => Err(parser.error(start, unknown(written))),
    }
}

fn unknown(written: &str) -> String {
    let all: Vec<&str> = NAMES.iter().map(|it| it.0).collect();
    let listed = all.join(", ");
    if written.is_empty() {
        return format!("a command must follow `|`: {listed}");
    }
    let likeness = |it: &&&str| (strsim::jaro_winkler(&written.to_lowercase(), it) * 1e6) as u64;
    match all.iter().max_by_key(likeness).filter(|it| strsim::jaro_winkler(&written.to_lowercase(), it) > 0.8) {
        Some(near) => format!("there is no command `{written}`; did you mean `{near}`?"),
        None => format!("there is no command `{written}`; there are {listed}. A `|` that is meant as text is quoted"),
    }
}

/// Makes `found` what follows the query, unless something stands in its way.
fn aggregate(parser: &Parser<'_>, start: usize, ask: &mut Ask, found: Aggregate) -> Result<(), QueryError> {
    let problem = match &ask.then {
        Then::Aggregate(..) => "events are counted already; only sort, where, limit and fields can follow",
        Then::Events { limit: Some(_), .. } => {
            "with `limit` before it, only some events would be counted: put it after"
        }
        Then::Events { .. } => {
            ask.then = Then::Aggregate(found, Vec::new());
            return Ok(());
        }
    };
    Err(parser.error(start, problem))
}

impl Aggregate {
    fn plain(order: GroupOrder) -> Self {
        Self { time: None, by: Vec::new(), measures: Vec::new(), order, limit: None, share: false }
    }
}

fn count() -> Measure {
    Measure { function: Function::Count, field: None, name: "count".to_owned() }
}

/// Letters, digits and `_`.
fn word<'q>(parser: &mut Parser<'q>) -> &'q str {
    let rest = parser.rest();
    let end = rest.find(|it: char| !it.is_alphanumeric() && it != '_').unwrap_or(rest.len());
    parser.position += end;
    rest.get(..end).unwrap_or("")
}

fn number(parser: &mut Parser<'_>) -> Result<Option<usize>, QueryError> {
    for prefix in ["limit=", "="] {
        parser.take(prefix);
    }
    let start = parser.position;
    if !parser.peek().is_some_and(|it| it.is_ascii_digit()) {
        return Ok(None);
    }
    let text = word(parser);
    parser.skip_space();
    match text.parse() {
        Ok(0) | Err(_) => Err(parser.error(start, "a number from 1 on must stand here")),
        Ok(number) => Ok(Some(number)),
    }
}

/// One name, as it is or in quotes.
fn name(parser: &mut Parser<'_>) -> Result<Option<String>, QueryError> {
    if parser.peek() == Some('"') {
        return parser.quoted().map(Some);
    }
    let rest = parser.rest();
    let ends = |it: char| it.is_whitespace() || matches!(it, ',' | '(' | ')' | '|' | '"' | ':' | '=' | '<' | '>');
    let end = rest.find(ends).unwrap_or(rest.len());
    parser.position += end;
    Ok(rest.get(..end).filter(|it| !it.is_empty()).map(str::to_owned))
}

fn names(parser: &mut Parser<'_>, missing: &str) -> Result<Vec<String>, QueryError> {
    let mut found: Vec<String> = Vec::new();
    loop {
        if !found.is_empty() && (parser.at_keyword_in_any_case("by") || parser.at_end() || parser.at_pipe()) {
            return Ok(found);
        }
        let start = parser.position;
        let Some(one) = name(parser)? else { return Err(parser.error(start, missing)) };
        if found.len() >= LISTED_MAX {
            return Err(parser.error(start, format!("more than {LISTED_MAX} names are listed")));
        }
        if !found.contains(&one) {
            found.push(one);
        }
        parser.skip_space();
        if parser.take(",") {
            parser.skip_space();
            if parser.at_end() || parser.at_pipe() {
                return Err(parser.error(parser.position, "a name must follow the comma"));
            }
        }
    }
}

fn by(parser: &mut Parser<'_>) -> Result<Vec<String>, QueryError> {
    parser.skip_space();
    if !parser.at_keyword_in_any_case("by") {
        return Ok(Vec::new());
    }
    parser.position += "by".len();
    parser.skip_space();
    names(parser, "the field to count by must follow `by`")
}

fn sort(parser: &mut Parser<'_>) -> Result<Vec<SortBy>, QueryError> {
    if parser.at_keyword_in_any_case("by") {
        parser.position += "by".len();
        parser.skip_space();
    }
    let mut found = Vec::new();
    loop {
        let mut descending = parser.take("-");
        if !descending {
            parser.take("+");
        }
        parser.skip_space();
        let start = parser.position;
        let Some(name) = name(parser)? else {
            return Err(parser.error(start, "the field to sort by must follow, with `-` before it largest first"));
        };
        if found.len() >= LISTED_MAX {
            return Err(parser.error(start, format!("more than {LISTED_MAX} names are listed")));
        }
        parser.skip_space();
        for (keyword, value) in [("desc", true), ("asc", false)] {
            if parser.at_keyword_in_any_case(keyword) || parser.rest().starts_with(&format!("{keyword},")) {
                parser.position += keyword.len();
                parser.skip_space();
                descending = value;
            }
        }
        found.push(SortBy { name, descending });
        if parser.take(",") {
            parser.skip_space();
        } else if parser.at_end() || parser.at_pipe() {
            return Ok(found);
        }
    }
}

fn interval(parser: &mut Parser<'_>) -> Result<Interval, QueryError> {
    for prefix in ["span=", "interval="] {
        parser.take(prefix);
    }
    let start = parser.position;
    if parser.at_keyword_in_any_case("auto") {
        word(parser);
        return Ok(Interval::Fitting);
    }
    if !parser.peek().is_some_and(|it| it.is_ascii_digit()) {
        return Ok(Interval::Fitting);
    }
    let text = word(parser);
    let problem = "an interval is a number and s, m, h, d or w, for example `timechart 1h`";
    let digits = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (text.get(..digits).unwrap_or(""), text.get(digits..).unwrap_or(""));
    let seconds = match unit {
        "s" | "sec" => 1,
        "m" | "min" => 60,
        "h" | "hour" => 3_600,
        "d" | "day" => 86_400,
        "w" | "week" => 7 * 86_400,
        _ => 0,
    };
    let nanos =
        number.parse::<i64>().ok().and_then(|it| it.checked_mul(seconds)?.checked_mul(Timestamp::NANOS_PER_SECOND));
    match nanos {
        Some(nanos) if nanos > 0 => Ok(Interval::Nanos(nanos)),
        _ => Err(parser.error(start, problem)),
    }
}

/// `count, avg(x) as mean`, up to `by` or the end.
fn measures(parser: &mut Parser<'_>) -> Result<Vec<Measure>, QueryError> {
    let mut found: Vec<Measure> = Vec::new();
    loop {
        if parser.at_end() || parser.at_pipe() || parser.at_keyword_in_any_case("by") {
            return Ok(found);
        }
        let start = parser.position;
        if found.len() >= LISTED_MAX {
            return Err(parser.error(start, format!("more than {LISTED_MAX} values are computed")));
        }
        let one = measure(parser)?;
        if found.iter().any(|it| it.name == one.name) {
            let problem = format!("there is a column `{}` already; name this one with `as`", one.name);
            return Err(parser.error(start, problem));
        }
        found.push(one);
        parser.skip_space();
        if parser.take(",") {
            parser.skip_space();
        }
    }
}

fn measure(parser: &mut Parser<'_>) -> Result<Measure, QueryError> {
    let start = parser.position;
    let written = word(parser).to_ascii_lowercase();
    let Some(function) = function(&written) else {
        let all = "count, distinct, sum, avg, min, max, median, p95 (any p1 to p99), stdev";
        return Err(parser.error(start, format!("there is no function `{written}`; there are {all}")));
    };
    let mut field = None;
    if parser.take("(") {
        parser.skip_space();
        let open = parser.position;
        field = name(parser)?.filter(|it| it != "*");
        parser.skip_space();
        if !parser.take(")") {
            return Err(parser.error(open, "the name of one field and `)` must stand here"));
        }
    }
    if field.is_none() && function != Function::Count {
        return Err(parser.error(start, format!("`{written}` needs a field: `{written}(event.duration)`")));
    }
    let mut shown = match &field {
        Some(field) => format!("{written}({field})"),
        None => "count".to_owned(),
    };
    parser.skip_space();
    if parser.at_keyword_in_any_case("as") {
        parser.position += "as".len();
        parser.skip_space();
        let place = parser.position;
        shown = name(parser)?.ok_or_else(|| parser.error(place, "a name must follow `as`"))?;
    }
    Ok(Measure { function, field, name: shown })
}

fn function(name: &str) -> Option<Function> {
    Some(match name {
        "count" | "c" => Function::Count,
        "distinct" | "dc" | "distinct_count" | "cardinality" | "dcount" | "unique" => Function::Distinct,
        "sum" => Function::Sum,
        "avg" | "mean" | "average" => Function::Average,
        "min" => Function::Min,
        "max" => Function::Max,
        "median" => Function::Percentile(50.0),
        "stdev" | "stddev" => Function::Deviation,
        _ => {
            let percent = name.strip_prefix("perc").or_else(|| name.strip_prefix('p'))?.parse::<u8>().ok()?;
            Function::Percentile(f64::from(Some(percent).filter(|it| (1..=99).contains(it))?))
        }
    })
}

/// `count > 5`: a name and a sign with spaces around it. In a query the name alone would be a word.
fn simple_comparison(parser: &mut Parser<'_>) -> Result<Option<Query>, QueryError> {
    let rest = parser.rest();
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let name = rest.get(..end).unwrap_or("");
    let plain = !name.is_empty() && name.chars().all(|it| it.is_alphanumeric() || matches!(it, '.' | '_' | '(' | ')'));
    let after = rest.get(end..).unwrap_or("").trim_start();
    let sign = [">=", "<=", "!=", "==", ">", "<", "="].into_iter().find(|it| after.starts_with(it));
    let (true, Some(sign)) = (plain, sign) else { return Ok(None) };
    let value = after.get(sign.len()..).unwrap_or("").trim_start();
    let end = value.find(|it: char| it.is_whitespace() || it == '|').unwrap_or(value.len());
    let after_value = value.get(end..).unwrap_or("").trim_start();
    // More than one condition is a query.
    if !(after_value.is_empty() || after_value.starts_with('|')) {
        return Ok(None);
    }
    let start = parser.position;
    let value = value.get(..end).unwrap_or("");
    let text = if matches!(sign, "=" | "==" | "!=") { value.to_owned() } else { format!("{sign}{value}") };
    let test = Test::parse(&text).map_err(|error| parser.error(start, error.problem()))?;
    parser.position += rest.len() - after_value.len();
    let found = Query::Field { name: name.to_owned(), test };
    Ok(Some(if sign == "!=" { Query::Not(Box::new(found)) } else { found }))
}

impl Query {
    /// The names of fields that the query looks at, each once.
    pub fn fields(&self) -> Vec<&str> {
        fn walk<'q>(query: &'q Query, out: &mut Vec<&'q str>) {
            match query {
                Query::Field { name, .. } if !out.contains(&name.as_str()) => out.push(name),
                Query::Not(inner) => walk(inner, out),
                Query::And(parts) | Query::Or(parts) => parts.iter().for_each(|it| walk(it, out)),
                Query::Field { .. } | Query::All | Query::Words(_) | Query::Pattern(_) => {}
            }
        }
        let mut out = Vec::new();
        walk(self, &mut out);
        out
    }
}

impl Ask {
    /// The same query with its events counted over time; `None` if it has commands of its own.
    pub fn charted(self) -> Option<Self> {
        match self.then {
            Then::Events { fields: None, ref sort, limit: None } if sort.is_empty() => {
                let chart = Aggregate {
                    time: Some(Interval::Fitting),
                    measures: vec![count()],
                    ..Aggregate::plain(GroupOrder::Keys)
                };
                Some(Self { then: Then::Aggregate(chart, Vec::new()), ..self })
            }
            _ => None,
        }
    }

    /// The names of fields that the query and its commands look at.
    pub fn fields(&self) -> Vec<&str> {
        let mut out = self.query.fields();
        let more: Vec<&str> = match &self.then {
            Then::Events { fields, sort, .. } => {
                fields.iter().flatten().map(String::as_str).chain(sort.iter().map(|it| it.name.as_str())).collect()
            }
            Then::Aggregate(aggregate, _) => aggregate.fields().collect(),
        };
        for name in more {
            if !out.contains(&name) {
                out.push(name);
            }
        }
        out
    }
}

impl Aggregate {
    /// The fields that it reads, without the time.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.by.iter().chain(self.measures.iter().filter_map(|it| it.field.as_ref())).map(String::as_str)
    }

    /// The names of its columns.
    pub(super) fn columns(&self) -> Vec<String> {
        let time = self.time.map(|_| TIME.to_owned());
        let measures = self.measures.iter().map(|it| it.name.clone());
        let share = self.share.then(|| "percent".to_owned());
        time.into_iter().chain(self.by.iter().cloned()).chain(measures).chain(share).collect()
    }
}

#[cfg(test)]
mod tests;
