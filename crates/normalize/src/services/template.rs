//! Patterns of service formats: how they are written, and what they become.
//!
//! ```text
//! Failed login for {user.name} from {source.ip}        literal text and named fields
//! {*} {_:number}                                        passed over
//! {?port {source.port}}                                 may be missing
//! {=wrong|bad} password    {event.reason=wrong|bad}     one of these, as it stands; the second keeps it
//! { }                                                   one or more spaces
//! {{ }}                                                 a brace
//! {user.name:rest} {@timestamp:%d-%m-%Y %H:%M:%S}       another shape than the field's own
//! ```
//!
//! A pattern becomes a short list of [`Op`]s without loops; `matcher.rs` walks it.

use memchr::memmem;
use panoptes_model::{FieldId, FieldType, Schema, field};

use super::clock::Clock;

/// How many steps one pattern may have. A longer one is an error of its file.
pub(super) const OPS_MAX: usize = 128;
/// How many named fields one pattern may have. One with more is an error of its file.
pub(super) const CAPTURES_MAX: usize = 32;
/// How deep optional parts may be nested. Deeper ones are an error of the file.
const DEPTH_MAX: usize = 4;
/// Text shorter than this tells nothing: a pattern needs one literal at least as long to be recognised by.
pub(super) const LITERAL_BYTES_MIN: usize = 3;

/// One step of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Literal(Box<Literal>),
    /// One or more spaces or tabs.
    Blanks,
    Capture(Capture),
    /// Goes on with the next step; if that comes to nothing, at this one.
    Optional(usize),
}

/// A fixed text, ready to be looked for from either end.
#[derive(Clone, Debug)]
pub(super) struct Literal {
    pub(super) text: Box<str>,
    pub(super) forward: memmem::Finder<'static>,
    pub(super) backward: memmem::FinderRev<'static>,
}

#[derive(Clone, Debug)]
pub(super) struct Capture {
    /// Index into [`Template::targets`]; `None` is passed over.
    pub(super) slot: Option<usize>,
    pub(super) shape: Shape,
}

/// What text a capture takes.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// As little as possible.
    Text,
    /// As much as possible.
    Rest,
    /// As little as possible, without spaces, but something.
    Word,
    /// An address, also in brackets, also with a zone.
    Ip,
    /// An address or a host's name, with a port behind an address (`:80`) or without.
    Endpoint,
    /// An address or a host's name.
    Host,
    /// Decimal digits.
    Number,
    /// A text in double quotes; what is between them is kept.
    Quoted,
    /// A time, as any format writes it or as told.
    Time(Option<Clock>),
    /// One of these texts.
    OneOf(Vec<Box<str>>),
}

/// Where a capture goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// `@timestamp`
    Time,
    /// `source`: address and port, or the name.
    Source,
    Destination,
    /// `message`: what the patterns of events read.
    Message,
    Level,
    /// `repeat`: how many times what the event says happened.
    Repeat,
    /// `connection`: what the lines of one connection have in common.
    Connection,
    /// `request`: `GET /path HTTP/1.1`.
    Request,
    User(FieldId),
    /// Text, number or address, as the schema says.
    Field(FieldId),
    Unknown(Box<str>),
}

/// A pattern, ready to be matched.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) ops: Vec<Op>,
    pub(super) targets: Vec<Target>,
    /// One of these is in every text that matches.
    pub(super) literals: Vec<Box<str>>,
}

/// Why a pattern is none. Always its author's to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TemplateError {
    #[error("`{{` at character {at} is not closed; write `{{{{` for a brace")]
    Unclosed { at: usize },
    #[error("`}}` at character {at} closes nothing; write `}}}}` for a brace")]
    Unopened { at: usize },
    #[error("`{{{name}}}`: a name has letters, digits, `.`, `_`, `-` and `@` only")]
    NameInvalid { name: String },
    #[error(
        "`{name}` has the shape `{shape}`, which is none; there are text, rest, word, ip, host, endpoint, number, quoted and, for @timestamp, one such as `%Y-%m-%d %H:%M:%S`"
    )]
    ShapeUnknown { name: String, shape: String },
    #[error("`{shape}` is no shape of a time: {reason}")]
    ClockInvalid { shape: String, reason: String },
    #[error("`{name}` is of Panoptes itself; call it otherwise")]
    NameReserved { name: String },
    #[error("an optional part is nested more than {DEPTH_MAX} deep; write two patterns")]
    TooDeep,
    #[error(
        "the pattern has more than {OPS_MAX} parts or {CAPTURES_MAX} fields; write `{{*}}` for what does not matter"
    )]
    TooLong,
    #[error(
        "nothing to recognise it by: outside of optional parts it needs {LITERAL_BYTES_MIN} or more characters of fixed text in a row"
    )]
    NoLiteral,
    #[error(
        "two fields stand side by side without text between them, so that it is open where the first ends: `{first}`"
    )]
    Ambiguous { first: String },
}

impl Template {
    /// Reads `pattern`. With `needs_literal`, fixed text to recognise it by is demanded.
    pub(super) fn parse(pattern: &str, schema: &Schema, needs_literal: bool) -> Result<Self, TemplateError> {
        let mut parser = Parser { schema, ops: Vec::new(), targets: Vec::new() };
        parser.sequence(pattern, 0)?;
        let Parser { ops, targets, .. } = parser;
        if ops.len() > OPS_MAX || targets.len() > CAPTURES_MAX {
            return Err(TemplateError::TooLong);
        }
        for pair in ops.windows(2) {
            if let [Op::Capture(first), Op::Capture(second)] = pair
                && first.is_open()
                && (second.is_open() || matches!(second.shape, Shape::Host | Shape::Endpoint))
            {
                let first = format!("{:?}", first.shape).to_ascii_lowercase();
                return Err(TemplateError::Ambiguous { first });
            }
        }
        let literals = literals(&ops);
        if needs_literal && literals.is_empty() {
            return Err(TemplateError::NoLiteral);
        }
        Ok(Self { ops, targets, literals })
    }
}

impl Capture {
    /// Whether only what follows says where it ends.
    fn is_open(&self) -> bool {
        matches!(self.shape, Shape::Text | Shape::Rest | Shape::Word)
    }
}

/// The texts one of which must be there: of those outside of optional parts the longest.
fn literals(ops: &[Op]) -> Vec<Box<str>> {
    let mut best: Vec<Box<str>> = Vec::new();
    let shortest = |it: &[Box<str>]| it.iter().map(|it| it.len()).min().unwrap_or(0);
    let mut index = 0;
    while let Some(op) = ops.get(index) {
        match op {
            Op::Optional(other) => {
                index = *other;
                continue;
            }
            Op::Literal(it) if it.text.len() > shortest(&best) => best = vec![it.text.clone()],
            Op::Capture(Capture { shape: Shape::OneOf(texts), .. }) if shortest(texts) > shortest(&best) => {
                best = texts.clone();
            }
            _ => {}
        }
        index += 1;
    }
    if shortest(&best) < LITERAL_BYTES_MIN { Vec::new() } else { best }
}

struct Parser<'s> {
    schema: &'s Schema,
    ops: Vec<Op>,
    targets: Vec<Target>,
}

impl Parser<'_> {
    fn sequence(&mut self, pattern: &str, depth: usize) -> Result<(), TemplateError> {
        if depth > DEPTH_MAX {
            return Err(TemplateError::TooDeep);
        }
        let mut literal = String::new();
        let mut rest = pattern;
        while let Some(character) = rest.chars().next() {
            let at = pattern.len() - rest.len() + 1;
            if let Some(after) = rest.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = rest.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let end = closing(after).ok_or(TemplateError::Unclosed { at })?;
                let (inside, after) = after.split_at_checked(end).ok_or(TemplateError::Unclosed { at })?;
                self.literal(&mut literal);
                self.braces(inside, depth)?;
                rest = after.strip_prefix('}').unwrap_or(after);
            } else if character == '}' {
                return Err(TemplateError::Unopened { at });
            } else {
                literal.push(character);
                rest = rest.strip_prefix(character).unwrap_or("");
            }
            if self.ops.len() > OPS_MAX {
                return Err(TemplateError::TooLong);
            }
        }
        self.literal(&mut literal);
        Ok(())
    }

    fn literal(&mut self, text: &mut String) {
        if !text.is_empty() {
            let text = std::mem::take(text).into_boxed_str();
            let forward = memmem::Finder::new(text.as_bytes()).into_owned();
            let backward = memmem::FinderRev::new(text.as_bytes()).into_owned();
            self.ops.push(Op::Literal(Box::new(Literal { text, forward, backward })));
        }
    }

    fn braces(&mut self, inside: &str, depth: usize) -> Result<(), TemplateError> {
        if inside == " " {
            self.ops.push(Op::Blanks);
            return Ok(());
        }
        if let Some(part) = inside.strip_prefix('?') {
            let here = self.ops.len();
            self.ops.push(Op::Optional(0));
            self.sequence(part, depth + 1)?;
            let end = self.ops.len();
            if let Some(op) = self.ops.get_mut(here) {
                *op = Op::Optional(end);
            }
            return Ok(());
        }
        let name_length = inside.find([':', '=']).unwrap_or(inside.len());
        let (name, told) = inside.split_at_checked(name_length).unwrap_or((inside, ""));
        let shape = match told.strip_prefix('=') {
            Some(texts) => Shape::OneOf(texts.split('|').map(Into::into).collect()),
            None => self.shape(name, told.strip_prefix(':').unwrap_or(""))?,
        };
        let slot = match name {
            "*" | "_" | "" => None,
            _ => {
                let target = self.target(name)?;
                let known = self.targets.iter().position(|it| *it == target);
                Some(known.unwrap_or_else(|| {
                    self.targets.push(target);
                    self.targets.len() - 1
                }))
            }
        };
        self.ops.push(Op::Capture(Capture { slot, shape }));
        Ok(())
    }

    fn shape(&self, name: &str, shape: &str) -> Result<Shape, TemplateError> {
        if name == "@timestamp" || shape.starts_with('%') {
            if shape.is_empty() {
                return Ok(Shape::Time(None));
            }
            return match Clock::parse(shape) {
                Ok(clock) => Ok(Shape::Time(Some(clock))),
                Err(reason) => Err(TemplateError::ClockInvalid { shape: shape.to_owned(), reason }),
            };
        }
        Ok(match shape {
            "" => match name {
                "source" | "destination" => Shape::Endpoint,
                "repeat" => Shape::Number,
                "connection" => Shape::Word,
                "source.address" | "destination.address" => Shape::Host,
                _ => match self.schema.id(name).map(|it| self.schema.field_type(it)) {
                    Some(FieldType::Ip) => Shape::Ip,
                    Some(FieldType::Integer) => Shape::Number,
                    _ => Shape::Text,
                },
            },
            "text" => Shape::Text,
            "rest" => Shape::Rest,
            "word" => Shape::Word,
            "ip" => Shape::Ip,
            "host" => Shape::Host,
            "endpoint" => Shape::Endpoint,
            "number" => Shape::Number,
            "quoted" => Shape::Quoted,
            "time" => Shape::Time(None),
            _ => return Err(TemplateError::ShapeUnknown { name: name.to_owned(), shape: shape.to_owned() }),
        })
    }

    fn target(&self, name: &str) -> Result<Target, TemplateError> {
        target(name, self.schema)
    }
}

/// What the field `name` is.
pub(super) fn target(name: &str, schema: &Schema) -> Result<Target, TemplateError> {
    let allowed = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-' | '@');
    if name.is_empty() || !name.chars().all(allowed) {
        return Err(TemplateError::NameInvalid { name: name.to_owned() });
    }
    if name.starts_with("panoptes.") || matches!(name, "event.ingested" | "event.original") {
        return Err(TemplateError::NameReserved { name: name.to_owned() });
    }
    Ok(match name {
        "@timestamp" => Target::Time,
        "source" | "source.address" => Target::Source,
        "destination" | "destination.address" => Target::Destination,
        "message" => Target::Message,
        "log.level" => Target::Level,
        "repeat" => Target::Repeat,
        "connection" => Target::Connection,
        "request" => Target::Request,
        _ => match schema.id(name) {
            Some(
                id
                @ (field::USER_NAME | field::USER_EFFECTIVE_NAME | field::USER_TARGET_NAME | field::SOURCE_USER_NAME),
            ) => Target::User(id),
            Some(id) => Target::Field(id),
            None => Target::Unknown(name.into()),
        },
    })
}

/// Where the brace closes that was opened before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pattern: &str) -> Result<Template, String> {
        Template::parse(pattern, &Schema::ecs(), true).map_err(|it| it.to_string())
    }

    #[test]
    fn the_longest_text_outside_of_optional_parts_is_what_a_pattern_is_recognised_by() {
        let literals = |pattern: &str| parse(pattern).unwrap().literals.join(",");
        assert_eq!(literals("login of {user.name} failed{? and that was all there is}"), "login of ");
        assert_eq!(literals("{=refused|rejected} {source.ip}"), "refused,rejected");
        assert_eq!(literals("a {{b}} c{*}"), "a {b} c");
    }

    #[test]
    fn mistakes_are_named() {
        for (pattern, said) in [
            ("login {user.name", "at character 7 is not closed"),
            ("login user.name}", "at character 16 closes nothing"),
            ("login {us er}", "a name has letters"),
            ("login {user.name:long}", "the shape `long`, which is none"),
            ("login {@timestamp:%Q}", "`%Q` is no shape of a time"),
            ("login {panoptes.source}", "is of Panoptes itself"),
            ("{user.name} {source.ip}", "nothing to recognise it by"),
            ("login {user.name}{*}", "side by side"),
            ("abc{?{?{?{?{?{?x}}}}}}", "nested more than 4 deep"),
        ] {
            let error = parse(pattern).unwrap_err();
            assert!(error.contains(said), "{pattern}: {error}");
        }
        let many = (0..CAPTURES_MAX + 1).map(|n| format!("abc {{f{n}}}")).collect::<String>();
        assert!(parse(&many).unwrap_err().contains("more than"));
        assert!(parse(&"{ }{=a|b}".repeat(OPS_MAX)).unwrap_err().contains("more than"));
    }
}
