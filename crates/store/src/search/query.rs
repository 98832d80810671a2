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
//! a b · a AND b                 both;   a OR b   either;   NOT a · -a   not;   ( ) first
//! ```
//!
//! AND binds closer than OR. The words AND, OR, NOT and TO are in capitals.

use std::fmt;
use std::net::IpAddr;

/// How long a query may be; a longer one is refused.
pub const QUERY_BYTES_MAX: usize = 16 << 10;
/// How many terms a query may have; one with more is refused.
pub const QUERY_TERMS_MAX: usize = 256;
/// How deep parentheses and NOT may nest; a query that nests deeper is refused.
pub const QUERY_DEPTH_MAX: usize = 32;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// Every event.
    All,
    /// A word or phrase, with `*` where anything goes on.
    Words(Glob),
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
    Range { low: Option<Bound>, high: Option<Bound> },
    Network(Network),
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
        let mut parser = Parser { text, position: 0, terms: 0 };
        let test = parser.test()?;
        if parser.at_end() { Ok(test) } else { Err(parser.error(parser.position, "nothing may follow the value")) }
    }
}

impl std::str::FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let mut parser = Parser { text, position: 0, terms: 0 };
        if text.len() > QUERY_BYTES_MAX {
            let problem = format!("the query has {} bytes, it may have {QUERY_BYTES_MAX}", text.len());
            return Err(QueryError { problem, query: String::new(), position: 0 });
        }
        parser.skip_space();
        if parser.at_end() {
            return Ok(Self::All);
        }
        let query = parser.either(None, 0)?;
        if parser.at_end() {
            Ok(query)
        } else {
            // Only a closing parenthesis ends an expression before the text ends.
            Err(parser.error(parser.position, "this parenthesis was never opened"))
        }
    }
}

struct Parser<'q> {
    text: &'q str,
    position: usize,
    terms: usize,
}

impl<'q> Parser<'q> {
    fn rest(&self) -> &'q str {
        self.text.get(self.position..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn at_end(&self) -> bool {
        self.position >= self.text.len()
    }

    fn error(&self, position: usize, problem: impl Into<String>) -> QueryError {
        QueryError { problem: problem.into(), query: self.text.to_owned(), position }
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        if found {
            self.position += what.len();
        }
        found
    }

    /// Whether the keyword stands here as a word of its own.
    fn at_keyword(&self, keyword: &str) -> bool {
        self.rest().strip_prefix(keyword).is_some_and(|after| {
            after.chars().next().is_none_or(|it| it.is_whitespace() || matches!(it, '(' | ')' | '"'))
        })
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.at_keyword(keyword);
        if found {
            self.position += keyword.len();
            self.skip_space();
        }
        found
    }

    /// `a OR b`. Inside `field:( )` words are values of `field`.
    fn either(&mut self, field: Option<&str>, depth: usize) -> Result<Query, QueryError> {
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
            } else if self.at_end() || self.peek() == Some(')') || self.at_keyword("OR") || self.at_keyword("||") {
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
            None => return Err(self.error(start, "a term is missing here")),
            Some(')') => return Err(self.error(start, "a term is missing before this parenthesis")),
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
            Some(_) => match (field, self.field_name()) {
                (None, Some(name)) => self.field(name, depth)?,
                (Some(name), _) => Query::Field { name: name.to_owned(), test: self.test()? },
                (None, None) => {
                    let glob = glob(self.bare());
                    // Nothing but stars.
                    if glob.0.iter().all(String::is_empty) { Query::All } else { Query::Words(glob) }
                }
            },
        };
        self.skip_space();
        Ok(found)
    }

    fn group(&mut self, field: Option<&str>, depth: usize) -> Result<Query, QueryError> {
        let open = self.position;
        self.position += 1;
        self.skip_space();
        let inner = self.either(field, depth + 1)?;
        if self.take(")") { Ok(inner) } else { Err(self.error(open, "this parenthesis is never closed")) }
    }

    /// The name before a colon, if one stands here.
    fn field_name(&mut self) -> Option<String> {
        let is_name = |it: char| {
            it.is_alphanumeric() || matches!(it, '.' | '_' | '-' | '@' | '/' | '[' | ']' | '#' | '$' | '%' | '+')
        };
        let (name, after) = self.rest().split_once(':')?;
        // `10:30:00` is a word, and so is the `\\` of a path.
        let starts = name.starts_with(|it: char| it.is_alphabetic() || matches!(it, '_' | '@'));
        if !starts || !name.chars().all(is_name) {
            return None;
        }
        self.position = self.text.len() - after.len();
        Some(name.to_owned())
    }

    /// What comes after `name:`.
    fn field(&mut self, name: String, depth: usize) -> Result<Query, QueryError> {
        let start = self.position;
        if self.peek() == Some('(') {
            return self.group(Some(&name), depth);
        }
        if self.peek().is_none_or(char::is_whitespace) {
            let hint =
                format!("a value must follow `{name}:` without a space; `{name}:*` finds events that have the field");
            return Err(self.error(start, hint));
        }
        Ok(Query::Field { name, test: self.test()? })
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

    fn quoted(&mut self) -> Result<String, QueryError> {
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
        Err(self.error(start, format!("these quotes are never closed{hint}")))
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
mod tests {
    use super::*;

    fn parse(text: &str) -> Query {
        text.parse().unwrap_or_else(|error: QueryError| panic!("{error}\n{}", error.pointer()))
    }

    fn field(name: &str, test: Test) -> Query {
        Query::Field { name: name.into(), test }
    }

    fn is(name: &str, value: &str) -> Query {
        field(name, Test::Is(value.into()))
    }

    fn words(text: &str) -> Query {
        Query::Words(glob(text))
    }

    fn bound(value: &str, inclusive: bool) -> Option<Bound> {
        Some(Bound { value: value.into(), inclusive })
    }

    #[test]
    fn terms_read_as_the_manual_says() {
        let cases = [
            ("", Query::All),
            ("  * ", Query::All),
            ("failed", words("failed")),
            ("web* ", words("web*")),
            ("\"failed password\"", Query::Words(Glob(vec!["failed password".into()]))),
            ("user.name:root", is("user.name", "root")),
            ("user.name:\"jane \\\"j\\\" doe\"", is("user.name", "jane \"j\" doe")),
            ("path:C:\\Windows\\cmd.exe", is("path", "C:\\Windows\\cmd.exe")),
            ("path:\"C:\\Windows\\\\\"", is("path", "C:\\Windows\\")),
            ("path:C:\\Windows\\*", field("path", Test::Like(glob("C:\\Windows\\*")))),
            ("\"Process Name\":x", is("Process Name", "x")),
            ("user.name:*", field("user.name", Test::Exists)),
            ("source.ip:2001:db8::1", is("source.ip", "2001:db8::1")),
            ("call:f(x)", is("call", "f(x)")),
            ("x:[1,2]", is("x", "[1,2]")),
            ("10:30:00", words("10:30:00")),
            ("x:a\"b", is("x", "a\"b")),
            ("n:>=500", field("n", Test::Range { low: bound("500", true), high: None })),
            ("n:<-5", field("n", Test::Range { low: None, high: bound("-5", false) })),
            ("n:[400 TO 499}", field("n", Test::Range { low: bound("400", true), high: bound("499", false) })),
            ("n:{* TO \"a b\"]", field("n", Test::Range { low: None, high: bound("a b", true) })),
            (
                "@timestamp:>2024-01-15T10:30:00Z",
                field("@timestamp", Test::Range { low: bound("2024-01-15T10:30:00Z", false), high: None }),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_test_can_stand_alone() {
        assert_eq!(Test::parse(">=5"), Ok(Test::Range { low: bound("5", true), high: None }));
        assert_eq!(Test::parse("a b").unwrap_err().problem(), "nothing may follow the value");
        assert_eq!(Test::parse("").unwrap_err().problem(), "a value is missing here");
    }

    #[test]
    fn operators_bind_as_the_manual_says() {
        let [a, b, c] = ["a", "b", "c"].map(words);
        let not = |it: &Query| Query::Not(Box::new(it.clone()));
        let cases = [
            ("a b", Query::And(vec![a.clone(), b.clone()])),
            ("a AND b OR c", Query::Or(vec![Query::And(vec![a.clone(), b.clone()]), c.clone()])),
            ("a OR b c", Query::Or(vec![a.clone(), Query::And(vec![b.clone(), c.clone()])])),
            ("a AND (b OR c)", Query::And(vec![a.clone(), Query::Or(vec![b.clone(), c.clone()])])),
            ("a NOT b", Query::And(vec![a.clone(), not(&b)])),
            ("-a -(b c)", Query::And(vec![not(&a), not(&Query::And(vec![b.clone(), c.clone()]))])),
            ("a and b", Query::And(vec![a.clone(), words("and"), b.clone()])),
            ("ANDERSON", words("ANDERSON")),
            ("x:(a OR \"b c\")", Query::Or(vec![is("x", "a"), is("x", "b c")])),
            (
                "x:(>=1 <5)",
                Query::And(vec![
                    field("x", Test::Range { low: bound("1", true), high: None }),
                    field("x", Test::Range { low: None, high: bound("5", false) }),
                ]),
            ),
            ("-x:y", not(&is("x", "y"))),
            ("a - b", Query::And(vec![a.clone(), words("-"), b.clone()])),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn networks_know_their_addresses() {
        let Query::Field { test: Test::Network(network), .. } = parse("source.ip:10.1.2.3/8") else { panic!() };
        assert_eq!(network.to_string(), "10.0.0.0/8");
        for (address, inside) in
            [("10.255.0.1", true), ("11.0.0.0", false), ("::ffff:10.0.0.1", true), ("::a00:1", false)]
        {
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{address}");
        }
        let all = Network::new("1.2.3.4".parse().unwrap(), 0).unwrap();
        assert!(all.contains("255.0.0.1".parse().unwrap()) && !all.contains("2001:db8::".parse().unwrap()));
        let Query::Field { test: Test::Network(network), .. } = parse("source.ip:2001:db8::/33") else { panic!() };
        assert!(network.contains("2001:db8:7fff::1".parse().unwrap()));
        assert!(!network.contains("2001:db8:8000::1".parse().unwrap()));
        assert_eq!(parse("url.path:/a/24"), is("url.path", "/a/24"));
    }

    #[test]
    fn errors_point_at_the_place() {
        let cases = [
            ("a AND", "a term is missing here", 6),
            ("a (b OR c", "this parenthesis is never closed", 3),
            ("ä b) c", "this parenthesis was never opened", 4),
            (
                "user.name: root",
                "a value must follow `user.name:` without a space; `user.name:*` finds events that have the field",
                11,
            ),
            ("x:\"ab", "these quotes are never closed", 3),
            ("x:\"C:\\dir\\\"", "these quotes are never closed; a backslash at the end is written `\\\\`", 3),
            ("x:[1 TO 2", "the range is never closed: `]` or `}` is missing", 10),
            ("x:[ TO 2]", "TO must stand between the ends of a range", 8),
            ("OR b", "OR needs a term on each side; quote it to find the word", 1),
            ("a OR OR b", "OR needs a term on each side; quote it to find the word", 6),
            ("source.ip:10.0.0.0/33", "a number from 0 to 32 must follow the `/` of this network", 11),
            ("()", "a term is missing before this parenthesis", 2),
            ("x:>", "a number, time or text must follow the comparison", 4),
            ("\"\"", "there is nothing to find between these quotes", 1),
        ];
        for (text, problem, character) in cases {
            let error = text.parse::<Query>().unwrap_err();
            assert_eq!((error.problem(), error.character()), (problem, character), "{text}");
        }
        let error = "ä b) c".parse::<Query>().unwrap_err();
        assert_eq!(error.to_string(), "this parenthesis was never opened at character 4 of the query");
        assert_eq!(error.pointer(), "ä b) c\n   ^");
    }

    #[test]
    fn queries_are_bounded_in_length_terms_and_depth() {
        let problem = |text: String| text.parse::<Query>().unwrap_err().problem().to_owned();
        assert_eq!(problem("x".repeat(QUERY_BYTES_MAX + 1)), "the query has 16385 bytes, it may have 16384");
        assert_eq!(problem("x ".repeat(QUERY_TERMS_MAX + 1)), "the query has more than 256 terms");
        assert_eq!(problem("(".repeat(QUERY_DEPTH_MAX + 2)), "parentheses and NOT nest deeper than 32");
        assert_eq!(problem("-".repeat(QUERY_DEPTH_MAX + 2) + "x"), "parentheses and NOT nest deeper than 32");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in r#"[ab:"()\[\]{}*<>=\\/ 1.\-éANDORTO]{0,40}"#) {
            if let Err(error) = text.parse::<Query>() {
                assert!(error.pointer().ends_with('^') && error.character() <= text.chars().count() + 1);
            }
        }
    }
}
