//! The query language: text to [`Query`].
//!
//! ```text
//! failed password               both words, in the message or the record as it came, in any case
//! "failed password for"         the phrase
//! web* *error*                  words that begin so, or contain it
//! user.name:root                the field has this value, or a list with it, exactly
//! user.name:"jane doe"          the same, with spaces; nothing in quotes has a special meaning but \" and \\
//! url.path:/admin/*             any text for each *, in any case
//! user.name:*                   the event has the field
//! source.ip:10.0.0.0/8          the address is in the network
//! http.response.status_code:>=500   also > < <=; numbers, addresses, times, else the order of text
//! status:[400 TO 499]           both ends count; {400 TO 500} neither does; * is an open end
//! user.name:(root OR admin)     any of the values
//! process.name:/^(nc|ncat)$/    some part of a value fits the regular expression, in the case that is written
//! /fail(ed|ure) .* root/        the same for the message or the record as it came; `\\/` is a slash, (?i) any case
//! @timestamp:>now-1h            times may be said from now: now, now-7d, now/d (today), -15m, today, yesterday
//! has:user.name                 the same as user.name:*; so is _exists_:user.name
//! user.name: root · a.b >= 5    spaces, = and != are understood after a name with a dot
//! a b · a AND b                 both;   a OR b   either;   NOT a · -a   not;   ( ) first
//! ```
//!
//! AND binds closer than OR. The words AND, OR, NOT and TO are in capitals. A `|` of its own ends the query: what
//! follows is a command ([`Ask`](super::Ask)).

mod time;

use std::fmt;
use std::net::IpAddr;

/// How long a query may be; a longer one is refused.
pub const QUERY_BYTES_MAX: usize = 16 << 10;
/// How many terms a query may have; one with more is refused.
pub const QUERY_TERMS_MAX: usize = 256;
/// How deep parentheses and NOT may nest; a query that nests deeper is refused.
pub const QUERY_DEPTH_MAX: usize = 32;

/// How large a regular expression may become when it is made ready; a larger one is refused.
pub(super) const PATTERN_BYTES_MAX: usize = 4 << 20;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// Every event.
    All,
    /// A word or phrase, with `*` where anything goes on.
    Words(Glob),
    /// A regular expression, in the same texts.
    Pattern(Pattern),
    Field {
        name: String,
        test: Test,
    },
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

/// What a value of a field must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    Exists,
    Is(String),
    Like(Glob),
    Range {
        low: Option<Bound>,
        high: Option<Bound>,
    },
    Network(Network),
    /// Some part of the value fits.
    Pattern(Pattern),
}

/// A regular expression that is well-formed and not too large.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// What is wrong with `text` and at which byte.
    fn new(text: &str) -> Result<Self, (String, usize)> {
        let wrong = match regex_syntax::Parser::new().parse(text) {
            Ok(_) => None,
            Err(regex_syntax::Error::Parse(error)) => Some((error.kind().to_string(), error.span().start.offset)),
            Err(regex_syntax::Error::Translate(error)) => Some((error.kind().to_string(), error.span().start.offset)),
            Err(_) => Some(("it cannot be understood".to_owned(), 0)),
        };
        if let Some((problem, offset)) = wrong {
            return Err((
                format!("this regular expression is not one: {problem}; quote it to find it as text"),
                offset,
            ));
        }
        match regex::RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(("this regular expression is too large; repeat less of it".to_owned(), 0)),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

/// One end of a range.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bound {
    pub value: String,
    pub inclusive: bool,
}

/// Text with gaps: the parts between the `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob(pub Vec<String>);

/// Addresses that share their first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

impl Network {
    /// `None` if the address has fewer bits than `prefix`. Bits behind the prefix do not count.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let first = match address {
            IpAddr::V4(ip) if prefix <= 32 => {
                IpAddr::V4((ip.to_bits() & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)).into())
            }
            IpAddr::V6(ip) if prefix <= 128 => {
                IpAddr::V6((ip.to_bits() & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)).into())
            }
            _ => return None,
        };
        Some(Self { first, prefix })
    }

    pub fn contains(self, address: IpAddr) -> bool {
        Self::new(address.to_canonical(), self.prefix) == Some(self)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// The query cannot be understood. Prints what and where; [`pointer`](Self::pointer) shows the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at character {} of the query", self.character())]
pub struct QueryError {
    problem: String,
    query: String,
    /// In bytes.
    position: usize,
}

impl QueryError {
    /// What is wrong, without the place.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// The place, in characters from 1.
    pub fn character(&self) -> usize {
        self.query.char_indices().take_while(|it| it.0 < self.position).count() + 1
    }

    /// The query and, below it, a caret under the place.
    pub fn pointer(&self) -> String {
        let shown: String = self.query.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
        format!("{shown}\n{}^", " ".repeat(self.character() - 1))
    }
}

impl Test {
    /// What follows `field:`, all of `text`.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut parser = Parser::new(text)?;
        let test = parser.test()?;
        if parser.at_end() { Ok(test) } else { Err(parser.error(parser.position, "nothing may follow the value")) }
    }
}

impl std::str::FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let mut parser = Parser::new(text)?;
        parser.skip_space();
        if parser.at_end() {
            return Ok(Self::All);
        }
        let query = parser.either(None, 0)?;
        match parser.peek() {
            None => Ok(query),
            Some('|') => Err(parser.error(parser.position, "commands cannot stand here: this `|` must go")),
            // Only a closing parenthesis ends an expression before the text ends otherwise.
            Some(_) => Err(parser.error(parser.position, NEVER_OPENED)),
        }
    }
}

pub(super) const NEVER_OPENED: &str = "this parenthesis was never opened; take it out, or quote it to find it";

/// Reads queries and, in `pipes.rs`, the commands behind them.
pub(super) struct Parser<'q> {
    text: &'q str,
    pub(super) position: usize,
    terms: usize,
    /// Words that look like operators in the wrong case.
    pub(super) small_operators: Vec<&'q str>,
}

impl<'q> Parser<'q> {
    pub(super) fn new(text: &'q str) -> Result<Self, QueryError> {
        if text.len() > QUERY_BYTES_MAX {
            let problem = format!("the query has {} bytes, it may have {QUERY_BYTES_MAX}", text.len());
            return Err(QueryError { problem, query: String::new(), position: 0 });
        }
        Ok(Self { text, position: 0, terms: 0, small_operators: Vec::new() })
    }

    pub(super) fn rest(&self) -> &'q str {
        self.text.get(self.position..).unwrap_or("")
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn at_end(&self) -> bool {
        self.position >= self.text.len()
    }

    pub(super) fn error(&self, position: usize, problem: impl Into<String>) -> QueryError {
        QueryError { problem: problem.into(), query: self.text.to_owned(), position }
    }

    pub(super) fn skip_space(&mut self) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start().len();
    }

    pub(super) fn take(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        if found {
            self.position += what.len();
        }
        found
    }

    /// Whether the keyword stands here as a word of its own.
    pub(super) fn at_keyword(&self, keyword: &str) -> bool {
        self.rest().strip_prefix(keyword).is_some_and(|after| {
            after.chars().next().is_none_or(|it| it.is_whitespace() || matches!(it, '(' | ')' | '"'))
        })
    }

    /// The same for the small words of commands, which people write as they like.
    pub(super) fn at_keyword_in_any_case(&self, keyword: &str) -> bool {
        let rest = self.rest();
        rest.get(..keyword.len()).is_some_and(|it| it.eq_ignore_ascii_case(keyword))
            && rest.get(keyword.len()..).is_some_and(|it| it.chars().next().is_none_or(char::is_whitespace))
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.at_keyword(keyword);
        if found {
            self.position += keyword.len();
            self.skip_space();
        }
        found
    }

    /// Whether a command begins here. `||` is OR.
    pub(super) fn at_pipe(&self) -> bool {
        self.rest().strip_prefix('|').is_some_and(|it| !it.starts_with('|'))
    }

    /// `a OR b`. Inside `field:( )` words are values of `field`.
    pub(super) fn either(&mut self, field: Option<&str>, depth: usize) -> Result<Query, QueryError> {
        let mut parts = vec![self.both(field, depth)?];
        while self.take_keyword("OR") || self.take_keyword("||") {
            parts.push(self.both(field, depth)?);
        }
        Ok(joined(parts, Query::Or))
    }

    /// `a AND b`, `a b`.
    fn both(&mut self, field: Option<&str>, depth: usize) -> Result<Query, QueryError> {
        let mut parts = vec![self.term(field, depth)?];
        loop {
            if self.take_keyword("AND") || self.take_keyword("&&") {
                parts.push(self.term(field, depth)?);
            } else if self.at_end()
                || self.peek() == Some(')')
                || self.at_keyword("OR")
                || self.at_keyword("||")
                || self.at_pipe()
            {
                return Ok(joined(parts, Query::And));
            } else {
                parts.push(self.term(field, depth)?);
            }
        }
    }

    fn term(&mut self, field: Option<&str>, depth: usize) -> Result<Query, QueryError> {
        let start = self.position;
        if depth > QUERY_DEPTH_MAX {
            return Err(self.error(start, format!("parentheses and NOT nest deeper than {QUERY_DEPTH_MAX}")));
        }
        self.terms += 1;
        if self.terms > QUERY_TERMS_MAX {
            return Err(self.error(start, format!("the query has more than {QUERY_TERMS_MAX} terms")));
        }
        for keyword in ["AND", "OR", "&&", "||"] {
            if self.at_keyword(keyword) {
                return Err(
                    self.error(start, format!("{keyword} needs a term on each side; quote it to find the word"))
                );
            }
        }
        let minus = self.peek() == Some('-') && self.rest().chars().nth(1).is_some_and(|it| !it.is_whitespace());
        if minus {
            self.position += 1;
        }
        if minus || self.take_keyword("NOT") || self.take_keyword("!") {
            return Ok(Query::Not(Box::new(self.term(field, depth + 1)?)));
        }
        let found = match self.peek() {
            None => return Err(self.error(start, "a term is missing here; quote the operator to find it as a word")),
            Some(')') => return Err(self.error(start, "a term is missing before this parenthesis")),
            Some('|') if self.at_pipe() => return Err(self.error(start, "a term is missing before this `|`")),
            Some('(') => self.group(field, depth)?,
            Some('"') => {
                let phrase = self.quoted()?;
                if field.is_none() && self.take(":") {
                    self.field(phrase, depth)?
                } else if let Some(name) = field {
                    Query::Field { name: name.to_owned(), test: Test::Is(phrase) }
                } else if phrase.trim().is_empty() {
                    return Err(self.error(start, "there is nothing to find between these quotes"));
                } else {
                    Query::Words(Glob(vec![phrase]))
                }
            }
            Some(_) => match field {
                Some(name) => Query::Field { name: name.to_owned(), test: self.test()? },
                None => self.unquoted(depth)?,
            },
        };
        self.skip_space();
        Ok(found)
    }

    /// A field with its test, a regular expression or a word.
    fn unquoted(&mut self, depth: usize) -> Result<Query, QueryError> {
        if let Some(name) = self.field_name() {
            return self.field(name, depth);
        }
        if let Some(compared) = self.comparison(depth)? {
            return Ok(compared);
        }
        if let Some(pattern) = self.pattern()? {
            return Ok(Query::Pattern(pattern));
        }
        let word = self.bare();
        if matches!(word, "and" | "or" | "not") {
            self.small_operators.push(word);
        }
        let glob = glob(word);
        // Nothing but stars.
        Ok(if glob.0.iter().all(String::is_empty) { Query::All } else { Query::Words(glob) })
    }

    fn group(&mut self, field: Option<&str>, depth: usize) -> Result<Query, QueryError> {
        let open = self.position;
        self.position += 1;
        self.skip_space();
        let inner = self.either(field, depth + 1)?;
        if self.take(")") {
            Ok(inner)
        } else {
            Err(self.error(open, "this parenthesis is never closed; add `)`, or quote it to find it"))
        }
    }

    /// The name before a colon, if one stands here.
    fn field_name(&mut self) -> Option<String> {
        let name = name_at(self.rest())?;
        // `10:30:00` is a word, and so is the `\\` of a path.
        self.rest().get(name.len()..)?.strip_prefix(':')?;
        self.position += name.len() + 1;
        Some(name.to_owned())
    }

    /// `a.b >= 5`, `a.b = x`, `a.b : x`: as other languages write it. Only a name with a dot is surely a name.
    fn comparison(&mut self, depth: usize) -> Result<Option<Query>, QueryError> {
        let Some(name) = name_at(self.rest()).filter(|it| is_surely_name(it)) else { return Ok(None) };
        let after = self.rest().get(name.len()..).unwrap_or_default();
        let sign = after.trim_start();
        let is_spaced = sign.len() < after.len();
        let Some((length, negated)) = [(">=", 0, false), ("<=", 0, false), ("!=", 2, true), ("==", 2, false)]
            .into_iter()
            .chain([(">", 0, false), ("<", 0, false), ("=", 1, false), (":", 1, false)])
            .find(|it| sign.starts_with(it.0) && (it.0 != ":" || is_spaced))
            .map(|it| (it.1, it.2))
        else {
            return Ok(None);
        };
        self.position += name.len() + (after.len() - sign.len()) + length;
        self.skip_space();
        if length > 0 && self.at_no_value() {
            return Err(self.error(self.position, format!("a value of `{name}` is missing here")));
        }
        let found = match self.peek() {
            Some('(') if length > 0 => self.group(Some(name), depth)?,
            _ => Query::Field { name: name.to_owned(), test: self.test()? },
        };
        Ok(Some(if negated { Query::Not(Box::new(found)) } else { found }))
    }

    fn at_no_value(&self) -> bool {
        self.at_end() || self.peek() == Some(')') || ["AND", "OR", "&&", "||", "|"].iter().any(|it| self.at_keyword(it))
    }

    /// What comes after `name:`.
    fn field(&mut self, name: String, depth: usize) -> Result<Query, QueryError> {
        let start = self.position;
        if self.peek().is_some_and(char::is_whitespace) && is_surely_name(&name) {
            self.skip_space();
        }
        if self.at_no_value() || self.peek().is_some_and(char::is_whitespace) {
            let hint =
                format!("a value must follow `{name}:` without a space; `{name}:*` finds events that have the field");
            return Err(self.error(start, hint));
        }
        if self.peek() == Some('(') {
            return self.group(Some(&name), depth);
        }
        // As Lucene and Graylog, and as KQL's readers, ask for it.
        if matches!(name.as_str(), "_exists_" | "has") {
            let name = match self.peek() {
                Some('"') => self.quoted()?,
                _ => self.bare().to_owned(),
            };
            return Ok(Query::Field { name, test: Test::Exists });
        }
        Ok(Query::Field { name, test: self.test()? })
    }

    /// `/a regular expression/`, if one stands here: what ends with a slash and a space, a parenthesis or nothing. All
    /// else that begins with a slash is a path.
    fn pattern(&mut self) -> Result<Option<Pattern>, QueryError> {
        let Some(text) = self.rest().strip_prefix('/') else { return Ok(None) };
        if text.starts_with(|it: char| it.is_whitespace() || it == '/') {
            return Ok(None);
        }
        let mut escaped = false;
        let end = text.char_indices().find(|(_, it)| {
            let ends = *it == '/' && !escaped;
            escaped = *it == '\\' && !escaped;
            ends
        });
        let Some((inside, after)) = end.and_then(|(end, _)| Some((text.get(..end)?, text.get(end + 1..)?))) else {
            return Ok(None);
        };
        if after.starts_with(|it: char| !it.is_whitespace() && it != ')') {
            return Ok(None);
        }
        let pattern =
            Pattern::new(inside).map_err(|(problem, offset)| self.error(self.position + 1 + offset, problem))?;
        self.position += inside.len() + 2;
        Ok(Some(pattern))
    }

    /// A value, comparison or range.
    fn test(&mut self) -> Result<Test, QueryError> {
        let start = self.position;
        for (sign, upper, inclusive) in
            [(">=", false, true), ("<=", true, true), (">", false, false), ("<", true, false)]
        {
            if self.take(sign) {
                self.skip_space();
                let value = self.value("a number, time or text must follow the comparison")?;
                let bound = Some(Bound { value, inclusive });
                let (low, high) = if upper { (None, bound) } else { (bound, None) };
                return Ok(Test::Range { low, high });
            }
        }
        match self.peek() {
            Some('"') => Ok(Test::Is(self.quoted()?)),
            // A list in text form, `[1,2]`, is an ordinary value.
            Some('[' | '{') if self.range_is_ahead() => self.range(),
            _ => {
                if let Some(pattern) = self.pattern()? {
                    return Ok(Test::Pattern(pattern));
                }
                let bare = self.bare();
                if bare.is_empty() {
                    return Err(self.error(start, "a value is missing here"));
                }
                if let Some(network) = self.network(bare, start)? {
                    return Ok(Test::Network(network));
                }
                let glob = glob(bare);
                Ok(match glob.0.as_slice() {
                    [only] => Test::Is(only.clone()),
                    parts if parts.iter().all(String::is_empty) => Test::Exists,
                    _ => Test::Like(glob),
                })
            }
        }
    }

    fn range_is_ahead(&self) -> bool {
        let end = self.rest().find([']', '}']).unwrap_or(self.rest().len());
        self.rest().get(..end).is_some_and(|it| it.split_whitespace().any(|word| word == "TO"))
    }

    /// `[low TO high]`.
    fn range(&mut self) -> Result<Test, QueryError> {
        let low_inclusive = self.peek() == Some('[');
        self.position += 1;
        self.skip_space();
        let low = self.value("the lower end of the range is missing; `*` leaves it open")?;
        self.skip_space();
        if !self.take_keyword("TO") {
            return Err(self.error(self.position, "TO must stand between the ends of a range"));
        }
        let high = self.value("the upper end of the range is missing; `*` leaves it open")?;
        self.skip_space();
        let high_inclusive = self.take("]");
        if !high_inclusive && !self.take("}") {
            return Err(self.error(self.position, "the range is never closed: `]` or `}` is missing"));
        }
        let bound = |value: String, inclusive| (value != "*").then_some(Bound { value, inclusive });
        Ok(Test::Range { low: bound(low, low_inclusive), high: bound(high, high_inclusive) })
    }

    /// One end of a range.
    fn value(&mut self, missing: &str) -> Result<String, QueryError> {
        if self.peek() == Some('"') {
            return self.quoted();
        }
        let start = self.position;
        let rest = self.rest();
        let end = rest.find(|it: char| it.is_whitespace() || matches!(it, ']' | '}' | ')')).unwrap_or(rest.len());
        self.position += end;
        match rest.get(..end) {
            Some(value) if !value.is_empty() => Ok(value.to_owned()),
            _ => Err(self.error(start, missing)),
        }
    }

    /// Text up to a space or parenthesis. A parenthesis that the text itself opened belongs to it.
    fn bare(&mut self) -> &'q str {
        let rest = self.rest();
        let mut open = 0_usize;
        let end = rest
            .char_indices()
            .find(|(_, it)| match it {
                '(' => {
                    open += 1;
                    false
                }
                ')' if open > 0 => {
                    open -= 1;
                    false
                }
                ')' => true,
                it => it.is_whitespace(),
            })
            .map_or(rest.len(), |it| it.0);
        self.position += end;
        rest.get(..end).unwrap_or("")
    }

    pub(super) fn quoted(&mut self) -> Result<String, QueryError> {
        let start = self.position;
        let mut out = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((offset, it)) = chars.next() {
            match it {
                '"' => {
                    self.position += offset + 1;
                    return Ok(out);
                }
                '\\' => match chars.next_if(|it| matches!(it.1, '"' | '\\')) {
                    Some((_, escaped)) => out.push(escaped),
                    None => out.push('\\'),
                },
                it => out.push(it),
            }
        }
        let hint = if out.ends_with('"') { r#"; a backslash at the end is written `\\`"# } else { "" };
        Err(self.error(start, format!("these quotes are never closed; add `\"`{hint}")))
    }

    /// `address/prefix`.
    fn network(&self, text: &str, start: usize) -> Result<Option<Network>, QueryError> {
        let Some((address, prefix)) = text.split_once('/') else { return Ok(None) };
        let Ok(address) = address.parse::<IpAddr>() else { return Ok(None) };
        let network = prefix.parse().ok().and_then(|it| Network::new(address.to_canonical(), it));
        let bits = if address.is_ipv4() { 32 } else { 128 };
        match network {
            Some(network) => Ok(Some(network)),
            None => Err(self.error(start, format!("a number from 0 to {bits} must follow the `/` of this network"))),
        }
    }
}

/// The name that `text` begins with.
fn name_at(text: &str) -> Option<&str> {
    let is_name = |it: char| {
        it.is_alphanumeric() || matches!(it, '.' | '_' | '-' | '@' | '/' | '[' | ']' | '#' | '$' | '%' | '+')
    };
    let end = text.find(|it| !is_name(it)).unwrap_or(text.len());
    text.get(..end).filter(|it| it.starts_with(|it: char| it.is_alphabetic() || matches!(it, '_' | '@')))
}

/// Whether `name` is the name of a field rather than a word that happens to stand before a sign.
fn is_surely_name(name: &str) -> bool {
    name.starts_with(['@', '_']) || name.split('.').nth(1).is_some_and(|it| !it.is_empty())
}

fn glob(text: &str) -> Glob {
    Glob(text.split('*').map(str::to_owned).collect())
}

fn joined(mut parts: Vec<Query>, join: fn(Vec<Query>) -> Query) -> Query {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}

#[cfg(test)]
mod tests;
