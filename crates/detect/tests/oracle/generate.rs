//! Strategies for random rules and events over few names and few letters, so that much matches by chance and more by
//! intention.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use rsigma_parser::SigmaRule;
use serde_json::{Map, Value, json};

use crate::witness::{Choices, Draft};

/// Fields of texts and numbers.
const FIELDS: [&str; 5] = ["g1", "g2", "g3", "hh.gg", "hh.ii.gg"];
/// Fields that are compared with each other, that hold addresses and times, and whose existence is asked for.
const PEERS: [&str; 2] = ["g5", "g6"];
const ADDRESS: &str = "g7";
const TIME: &str = "g8";
const OPTIONAL: &str = "g4";

const LETTERS: [&str; 12] = ["q", "w", "k", "Q", "W", "qw", "kk", "ü", "Ü", "я", "Я", "中"];
const MARKS: [&str; 14] = [" ", "-", "/", ".", "1", "10", "%", "\"", "'", "\n", "\t", "x", "_", "qwqwqw"];
/// What Sigma gives a meaning to, as rules write it: a wildcard each, both escaped, a backslash escaped and alone.
const SPECIAL: [&str; 6] = ["*", "?", r"\*", r"\?", r"\\", r"\"];
const DASHES: [&str; 5] = ["-", "/", "\u{2013}", "\u{2014}", "\u{2015}"];
const ADDRESSES: [&str; 10] = [
    "10.1.2.3",
    "10.1.2.200",
    "10.1.3.1",
    "192.0.2.7",
    "::1",
    "2001:db8::7",
    "2001:db8:1::7",
    "fe80::1",
    "::ffff:10.1.2.3",
    "no address",
];
const NETWORKS: [&str; 9] = [
    "10.0.0.0/8",
    "10.1.2.0/24",
    "10.1.2.128/25",
    "10.1.2.3/32",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/32",
    "2001:db8::/48",
    "fe80::/10",
];
const TIMES: [&str; 6] = [
    "2024-05-06T07:08:09Z",
    "2024-05-06T23:59:09.5Z",
    "2024-12-30T00:00:00Z",
    "2023-01-01T12:30:00Z",
    "2024-05-06 07:08:09",
    "yesterday",
];

/// A rule as JSON, which is YAML.
#[derive(Clone, Debug)]
pub(crate) struct RuleSpec {
    selections: Vec<Selection>,
    condition: Condition,
}

/// One `field|modifiers: value`.
#[derive(Clone, Debug)]
struct Item {
    key: String,
    value: Value,
}

#[derive(Clone, Debug)]
enum Selection {
    Map(Vec<Item>),
    List(Vec<Vec<Item>>),
    Keywords(Vec<String>, bool),
}

#[derive(Clone, Debug)]
enum Condition {
    Name(Index),
    OneOf(Index),
    AllOf(Index),
    SomeOf(u8),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

const NAMES: [&str; 4] = ["sel_one", "sel_two", "filter_one", "filter_two"];

impl RuleSpec {
    pub(crate) fn to_json(&self, id: &str) -> Value {
        let mut detection = Map::new();
        for (name, selection) in NAMES.iter().zip(&self.selections) {
            let map =
                |items: &Vec<Item>| Value::Object(items.iter().map(|it| (it.key.clone(), it.value.clone())).collect());
            let value = match selection {
                Selection::Map(items) => map(items),
                Selection::List(maps) => maps.iter().map(map).collect(),
                Selection::Keywords(words, true) => json!({ "|all": words }),
                Selection::Keywords(words, false) => json!(words),
            };
            detection.insert((*name).to_owned(), value);
        }
        detection.insert("condition".to_owned(), Value::String(self.condition.text(self.selections.len(), 0)));
        json!({ "title": id, "id": id, "detection": detection })
    }
}

impl Condition {
    /// `binding` is how tightly what stands around it binds: brackets only where they are needed.
    fn text(&self, count: usize, binding: u8) -> String {
        // Selectors always mean a selection that there is.
        let patterns: &[&str] =
            if count > 2 { &["them", "sel_*", "filter_*", "*_one"] } else { &["them", "sel_*", "*_one"] };
        let joined = |parts: &[Self], word: &str, own: u8| {
            let parts: Vec<String> = parts.iter().map(|it| it.text(count, own)).collect();
            let text = parts.join(word);
            if binding > own { format!("({text})") } else { text }
        };
        match self {
            Self::Name(index) => index.get(NAMES.get(..count).unwrap_or(&NAMES)).to_string(),
            Self::OneOf(index) => format!("1 of {}", index.get(patterns)),
            Self::AllOf(index) => format!("all of {}", index.get(patterns)),
            Self::SomeOf(number) => format!("{number} of them"),
            Self::Not(inner) => format!("not {}", inner.text(count, 3)),
            Self::And(parts) => joined(parts, " and ", 2),
            Self::Or(parts) => joined(parts, " or ", 1),
        }
    }
}

/// A text as an event has it.
fn event_text() -> impl Strategy<Value = String> {
    let piece =
        prop_oneof![4 => select(&LETTERS[..]), 2 => select(&MARKS[..]), 1 => select(&["*", "?", "\\", "\u{2013}"][..])];
    prop_oneof![
        8 => prop::collection::vec(piece.clone(), 0..6).prop_map(|it| it.concat()),
        // Never long numbers: which of them are numbers, nobody says.
        1 => (prop::collection::vec(piece, 0..4), 1..400_usize)
            .prop_map(|(it, times)| format!("qwkqwkqwk{}", it.concat().repeat(times))),
    ]
}

/// A text as a rule has it.
fn rule_text(wildcards: bool) -> impl Strategy<Value = String> {
    let special = if wildcards { &SPECIAL[..] } else { &SPECIAL[4..] };
    let piece = prop_oneof![5 => select(&LETTERS[..]), 2 => select(&MARKS[..]), 2 => select(special)];
    prop::collection::vec(piece, 0..5).prop_map(|it| it.concat())
}

fn field() -> impl Strategy<Value = String> {
    select(&FIELDS[..]).prop_map(str::to_owned)
}

fn item(key: String, value: Value) -> Item {
    Item { key, value }
}

/// One value as it is, several as a list.
fn listed(values: Vec<Value>) -> Value {
    match <[Value; 1]>::try_from(values) {
        Ok([single]) => single,
        Err(values) => Value::Array(values),
    }
}

fn texts() -> impl Strategy<Value = Item> {
    let operator = select(&["", "contains", "startswith", "endswith"][..]);
    let values = prop_oneof![
        3 => prop::collection::vec(rule_text(false), 1..4),
        2 => prop::collection::vec(rule_text(true), 1..4),
        // So many that a linear search would not do.
        1 => prop::collection::vec(rule_text(false), 8..14),
    ];
    (field(), operator, any::<bool>(), any::<bool>(), values).prop_map(|(field, operator, cased, all, values)| {
        let all = all && values.len() > 1;
        let key = |words: &[&str]| {
            let set = words.iter().filter(|it| !it.is_empty());
            set.fold(field.clone(), |key, word| format!("{key}|{word}"))
        };
        let key = key(&[operator, if cased { "cased" } else { "" }, if all { "all" } else { "" }]);
        item(key, listed(values.iter().map(|it| json!(it)).collect()))
    })
}

fn scalars() -> impl Strategy<Value = Item> {
    let number = prop_oneof![
        (-2..12_i64).prop_map(|it| json!(it)),
        select(&[0.5, 1.0, -1.5, 10.25][..]).prop_map(|it| json!(it)),
        any::<bool>().prop_map(|it| json!(it)),
        rule_text(false).prop_map(|it| json!(it)),
    ];
    prop_oneof![
        2 => (field(), prop::collection::vec(number, 1..4)).prop_map(|(field, it)| item(field, listed(it))),
        1 => field().prop_map(|field| item(field, Value::Null)),
        1 => (field(), select(&["contains", "startswith", "endswith"][..]), 0..12_i64)
            .prop_map(|(field, operator, number)| item(format!("{field}|{operator}"), json!(number))),
        1 => (field(), select(&["gt", "gte", "lt", "lte"][..]), -2..12_i64)
            .prop_map(|(field, operator, number)| item(format!("{field}|{operator}"), json!(number))),
        1 => (field(), prop::collection::vec(rule_text(false), 1..3))
            .prop_map(|(field, it)| item(format!("{field}|neq"), listed(it.into_iter().map(Value::String).collect()))),
        1 => any::<bool>().prop_map(|it| item(format!("{OPTIONAL}|exists"), json!(it))),
        1 => (select(&["", "|contains", "|startswith", "|endswith"][..]), select(&["", "|cased"][..]), any::<bool>())
            .prop_map(|(operator, cased, swapped)| {
                let [one, other] = if swapped { [PEERS[1], PEERS[0]] } else { PEERS };
                item(format!("{one}|fieldref{operator}{cased}"), json!(other))
            }),
        1 => prop::collection::vec(select(&NETWORKS[..]), 1..3)
            .prop_map(|it| item(format!("{ADDRESS}|cidr"), listed(it.into_iter().map(|it| json!(it)).collect()))),
        1 => (select(&["minute", "hour", "day", "week", "month", "year"][..]), select(&[0, 1, 5, 6, 7, 8, 12, 19, 23, 52, 2024][..]))
            .prop_map(|(part, number)| item(format!("{TIME}|{part}"), json!(number))),
    ]
}

fn encodings() -> impl Strategy<Value = Item> {
    let plain = || prop::collection::vec(select(&LETTERS[..]), 1..4).prop_map(|it| it.concat());
    let dashed = prop::collection::vec(prop_oneof![select(&LETTERS[..]), Just("-"), Just(" ")], 1..5)
        .prop_map(|it| it.concat())
        .prop_filter("few dashes", |it| it.matches('-').count() < 4);
    prop_oneof![
        (
            field(),
            select(&["base64", "wide|base64", "utf16le|base64", "utf16be|base64", "utf16|base64"][..]),
            select(&["", "|contains", "|startswith"][..]),
            plain()
        )
            .prop_map(|(field, encoding, operator, value)| item(format!("{field}|{encoding}{operator}"), json!(value))),
        (
            field(),
            select(&["", "|contains", "|startswith", "|endswith"][..]),
            prop::collection::vec(dashed, 1..3),
            any::<bool>()
        )
            .prop_map(|(field, operator, values, all)| {
                let all = if all && values.len() > 1 { "|all" } else { "" };
                let values = values.into_iter().map(Value::String).collect();
                item(format!("{field}|windash{operator}{all}"), listed(values))
            }),
    ]
}

fn regexes() -> impl Strategy<Value = Item> {
    const PIECES: [&str; 22] = [
        "q",
        "w",
        "Q",
        "ü",
        "[qw]",
        "[^q]",
        "q+",
        "w?",
        "(q|w)",
        "(?:qw|k)*",
        r"\d+",
        r"\s",
        r"\\",
        ".",
        ".*",
        "q{2}",
        r"\bq",
        r"w\b",
        "(?i:q)",
        r"\w+",
        r"\.",
        "",
    ];
    let pattern = (select(&["", "^"][..]), prop::collection::vec(select(&PIECES[..]), 0..5), select(&["", "$"][..]))
        .prop_map(|(start, pieces, end)| json!(format!("{start}{}{end}", pieces.concat())));
    let flags = prop::sample::subsequence(vec!["i", "m", "s"], 0..=3);
    (field(), flags, prop::collection::vec(pattern, 1..4), any::<bool>()).prop_map(|(field, flags, patterns, all)| {
        let all = if all && patterns.len() > 1 { "|all" } else { "" };
        let flags: String = flags.iter().map(|it| format!("|{it}")).collect();
        item(format!("{field}|re{flags}{all}"), listed(patterns))
    })
}

fn selection() -> impl Strategy<Value = Selection> {
    let item = prop_oneof![5 => texts(), 3 => scalars(), 1 => encodings(), 1 => regexes()].boxed();
    let map = prop::collection::vec(item, 1..4);
    let keywords = prop_oneof![2 => rule_text(false), 1 => rule_text(true), 1 => select(&["1", "true", "10.25"][..]).prop_map(str::to_owned)];
    prop_oneof![
        6 => map.clone().prop_map(Selection::Map),
        2 => prop::collection::vec(map, 1..3).prop_map(Selection::List),
        1 => (prop::collection::vec(keywords, 1..3), any::<bool>())
            .prop_map(|(words, all)| Selection::Keywords(words.clone(), all && words.len() > 1)),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        4 => any::<Index>().prop_map(Condition::Name),
        2 => any::<Index>().prop_map(Condition::OneOf),
        1 => any::<Index>().prop_map(Condition::AllOf),
        1 => (1..4_u8).prop_map(Condition::SomeOf),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|it| Condition::Not(Box::new(it))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::And),
            prop::collection::vec(inner, 2..4).prop_map(Condition::Or),
        ]
    })
}

pub(crate) fn rule() -> impl Strategy<Value = RuleSpec> {
    (prop::collection::vec(selection(), 1..5), condition())
        .prop_map(|(selections, condition)| RuleSpec { selections, condition })
}

/// What is done to an event that was made for a rule.
#[derive(Clone, Debug)]
enum Edit {
    Set(String, Value),
    Remove(Index),
    Tweak(Index, Tweak),
}

#[derive(Clone, Copy, Debug)]
enum Tweak {
    Upper,
    Lower,
    DropFirst,
    DropLast,
    Append(&'static str),
    Prepend(&'static str),
    BreakLine,
    InList,
    Dash(&'static str),
}

/// An event as JSON: made for a rule, then changed; or made of nothing.
#[derive(Clone, Debug)]
pub(crate) struct EventSpec {
    rule: Option<Index>,
    seed: u64,
    truth: bool,
    edits: Vec<Edit>,
    nested: bool,
    escaped: bool,
}

fn event_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        5 => event_text().prop_map(Value::String),
        1 => (-2..12_i64).prop_map(|it| json!(it)),
        1 => select(&[0.5, 1.0, -1.5, 10.25, 1e9][..]).prop_map(|it| json!(it)),
        1 => any::<bool>().prop_map(|it| json!(it)),
    ];
    let item = prop_oneof![6 => scalar.clone(), 1 => Just(Value::Null)];
    prop_oneof![6 => scalar, 1 => prop::collection::vec(item, 0..4).prop_map(Value::Array)]
}

fn edit() -> impl Strategy<Value = Edit> {
    let set = |name: &'static str, values: &'static [&'static str]| {
        select(values).prop_map(move |it| Edit::Set(name.to_owned(), json!(it)))
    };
    let peer = prop_oneof![
        4 => prop::collection::vec(select(&["q", "w", "Q"][..]), 0..3).prop_map(|it| json!(it.concat())),
        1 => (0..3_i64).prop_map(|it| json!(it)),
    ];
    let tweak = prop_oneof![
        Just(Tweak::Upper),
        Just(Tweak::Lower),
        Just(Tweak::DropFirst),
        Just(Tweak::DropLast),
        select(&LETTERS[..]).prop_map(Tweak::Append),
        select(&MARKS[..]).prop_map(Tweak::Prepend),
        Just(Tweak::BreakLine),
        Just(Tweak::InList),
        select(&DASHES[..]).prop_map(Tweak::Dash),
    ];
    prop_oneof![
        6 => (field(), event_value()).prop_map(|(name, value)| Edit::Set(name, value)),
        1 => field().prop_map(|name| Edit::Set(name, Value::Null)),
        1 => (select(&PEERS[..]), peer).prop_map(|(name, value)| Edit::Set(name.to_owned(), value)),
        1 => set(ADDRESS, &ADDRESSES),
        1 => set(TIME, &TIMES),
        1 => set(OPTIONAL, &["", "q"]),
        1 => Just(Edit::Set(OPTIONAL.to_owned(), Value::Null)),
        1 => any::<Index>().prop_map(Edit::Remove),
        4 => (any::<Index>(), tweak).prop_map(|(index, tweak)| Edit::Tweak(index, tweak)),
    ]
}

pub(crate) fn event() -> impl Strategy<Value = EventSpec> {
    (
        prop::option::weighted(0.75, any::<Index>()),
        any::<u64>(),
        prop::bool::weighted(0.8),
        prop::collection::vec(edit(), 0..5),
        any::<bool>(),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(rule, seed, truth, edits, nested, escaped)| EventSpec {
            rule,
            seed,
            truth,
            edits,
            nested,
            escaped,
        })
}

impl EventSpec {
    /// The event as one line of JSON.
    pub(crate) fn line(&self, rules: &[SigmaRule]) -> String {
        let mut choices = Choices::new(self.seed);
        let mut event = Map::new();
        if let Some(index) = &self.rule
            && !rules.is_empty()
        {
            event = Draft::of(index.get(rules), self.truth, &mut choices).to_json(&mut choices);
        }
        for edit in &self.edits {
            match edit {
                Edit::Set(name, value) => {
                    event.insert(name.clone(), value.clone());
                }
                Edit::Remove(index) if !event.is_empty() => {
                    let name = index.get(&event.keys().cloned().collect::<Vec<_>>()).clone();
                    event.remove(&name);
                }
                Edit::Tweak(index, tweak) if !event.is_empty() => {
                    let at = index.index(event.len());
                    // Which texts are times, nobody says either.
                    if let Some((_, value)) = event.iter_mut().nth(at).filter(|it| it.0 != TIME) {
                        tweak.apply(value);
                    }
                }
                Edit::Remove(_) | Edit::Tweak(..) => {}
            }
        }
        // Lists are no peers: what comparing two lists means, nobody says.
        for name in PEERS {
            if let Some(value @ Value::Array(_)) = event.get_mut(name) {
                *value = json!("q");
            }
        }
        let event = if self.nested { nested(event) } else { Value::Object(event) };
        let line = event.to_string();
        if self.escaped { escaped(&line) } else { line }
    }
}

impl Tweak {
    fn apply(self, value: &mut Value) {
        if matches!(self, Self::InList) {
            *value = json!([value.take()]);
            if let Value::Array(items) = value
                && items.iter().any(|it| it.is_array() || it.is_null())
            {
                *value = items.pop().unwrap_or_default();
            }
            return;
        }
        let Value::String(text) = value else { return };
        *text = match self {
            Self::Upper => text.to_uppercase(),
            Self::Lower => text.to_lowercase(),
            Self::DropFirst => text.chars().skip(1).collect(),
            Self::DropLast => text.chars().take(text.chars().count().saturating_sub(1)).collect(),
            Self::Append(piece) => format!("{text}{piece}"),
            Self::Prepend(piece) => format!("{piece}{text}"),
            Self::BreakLine => {
                let middle = text.chars().count() / 2;
                text.chars().take(middle).chain(['\n']).chain(text.chars().skip(middle)).collect()
            }
            Self::Dash(dash) => text.replace('-', dash),
            Self::InList => return,
        };
    }
}

/// `{"hh.gg": 1}` as `{"hh": {"gg": 1}}`.
fn nested(event: Map<String, Value>) -> Value {
    let mut root = Map::new();
    for (name, value) in event {
        let mut inner = &mut root;
        let mut names = name.split('.').peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                inner.insert(name.to_owned(), value);
                break;
            }
            match inner.entry(name).or_insert_with(|| json!({})) {
                Value::Object(map) => inner = map,
                _ => break,
            }
        }
    }
    Value::Object(root)
}

/// The same JSON as a careful sender writes it: all that is not ASCII, and slashes, as escapes.
fn escaped(line: &str) -> String {
    let mut out = String::new();
    for character in line.chars() {
        match character {
            '/' => out.push_str(r"\/"),
            _ if character.is_ascii() => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out
}
