//! Lists of values that rules can ask: a column of a CSV file, with what else its rows say.

use std::borrow::Cow;
use std::net::IpAddr;

use hashbrown::HashMap;
use ipnet::IpNet;
use panoptes_model::Timestamp;

use crate::cidr::CidrMap;
use crate::domain;
use crate::snapshot::fingerprint;

/// The largest file that is read as a list.
pub const LIST_BYTES_MAX: u64 = 256 << 20;
/// How many entries a list may have; one with more is refused.
pub const LIST_ENTRIES_MAX: usize = 2_000_000;
/// How much of a label is kept.
const LABEL_BYTES_MAX: usize = 256;

/// What the values of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Addresses and networks.
    Address,
    /// Domains, each with everything below it.
    Domain,
    /// MD5, SHA-1, SHA-256 or SHA-512 in hexadecimal.
    Hash,
    /// User names, in whatever case.
    User,
}

impl KeyKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Domain => "domain",
            Self::Hash => "hash",
            Self::User => "user",
        }
    }
}

/// How a list is to be read and what a match means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListOptions {
    /// Events get the field `labels.list.<name>`.
    pub name: String,
    pub kind: KeyKind,
    /// The column of the values. `None`: the file has no header, the first column it is.
    pub column: Option<String>,
    /// The column of the time after which a row does not count any more.
    pub expires: Option<String>,
    /// The column whose text the field gets; else it gets the value that matched, as the list has it.
    pub label: Option<String>,
    /// What `source.network.tags` and its like say of addresses on the list, such as `vpn`.
    pub tags: Vec<String>,
    /// Whether a match is evidence of a threat (`threat.indicator.*`).
    pub indicator: bool,
}

impl ListOptions {
    pub fn new(name: &str, kind: KeyKind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            column: None,
            expires: None,
            label: None,
            tags: Vec::new(),
            indicator: false,
        }
    }
}

/// Why a file is not the list that it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    #[error("{file} is larger than the {LIST_BYTES_MAX} bytes that a list may have")]
    TooLarge { file: String },
    #[error("{file} has more than the {entries_max} entries that a list may have: split it")]
    TooLong { file: String, entries_max: usize },
    #[error("{file}, line 1: there is no column `{column}`, only {known}")]
    ColumnUnknown { file: String, column: String, known: String },
    #[error(
        "{file}: `expires` and `label` name columns, so `column` has to name one too and line 1 has to be a header"
    )]
    HeaderNeeded { file: String },
    #[error("{file}, line {line}: {reason}")]
    Line { file: String, line: u64, reason: String },
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) expires: Timestamp,
    pub(crate) label: Box<str>,
}

/// A list as it was read.
#[derive(Debug)]
pub struct List {
    options: ListOptions,
    networks: CidrMap<Entry>,
    texts: HashMap<Box<str>, Entry, foldhash::quality::RandomState>,
    entries: usize,
    fingerprint: u64,
}

/// Where in a row what stands.
#[derive(Default)]
struct Columns {
    key: usize,
    expires: Option<usize>,
    label: Option<usize>,
}

impl List {
    /// A list without entries: what stands for a file that cannot be read, so that its field exists.
    pub fn empty(options: ListOptions) -> Self {
        let (networks, texts) = (CidrMap::new(), HashMap::default());
        Self { options, networks, texts, entries: 0, fingerprint: 0 }
    }

    /// Reads the bytes of the file called `file` in errors. Lines that begin with `#` and empty ones say nothing.
    ///
    /// # Errors
    /// Anything in it is not what `options` say: a list that is half understood would be trusted as a whole.
    pub fn parse(options: ListOptions, file: &str, bytes: &[u8]) -> Result<Self, ListError> {
        Self::parse_within(LIST_ENTRIES_MAX, options, file, bytes)
    }

    fn parse_within(entries_max: usize, options: ListOptions, file: &str, bytes: &[u8]) -> Result<Self, ListError> {
        let file_name = || file.to_owned();
        if bytes.len() as u64 > LIST_BYTES_MAX {
            return Err(ListError::TooLarge { file: file_name() });
        }
        if options.column.is_none() && (options.expires.is_some() || options.label.is_some()) {
            return Err(ListError::HeaderNeeded { file: file_name() });
        }
        let mut list = Self::empty(options);
        list.fingerprint = fingerprint(bytes);
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(bytes);
        let mut columns = list.options.column.is_none().then(Columns::default);
        let mut row = csv::ByteRecord::new();
        loop {
            let start = reader.position().byte();
            let at = |reason: String| ListError::Line { file: file_name(), line: line_of(bytes, start), reason };
            match reader.read_byte_record(&mut row) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Err(at(error.to_string())),
            }
            let Some(columns) = &columns else {
                columns = Some(list.columns(&row, file)?);
                continue;
            };
            if list.entries >= entries_max {
                return Err(ListError::TooLong { file: file_name(), entries_max });
            }
            list.add(&row, columns).map_err(at)?;
        }
        Ok(list)
    }

    fn columns(&self, header: &csv::ByteRecord, file: &str) -> Result<Columns, ListError> {
        let find = |name: &str| {
            let found = header.iter().position(|it| it.eq_ignore_ascii_case(name.as_bytes()));
            found.ok_or_else(|| ListError::ColumnUnknown {
                file: file.to_owned(),
                column: name.to_owned(),
                known: header.iter().map(|it| format!("`{}`", shown(it))).collect::<Vec<_>>().join(", "),
            })
        };
        Ok(Columns {
            key: find(self.options.column.as_deref().unwrap_or_default())?,
            expires: self.options.expires.as_deref().map(find).transpose()?,
            label: self.options.label.as_deref().map(find).transpose()?,
        })
    }

    fn add(&mut self, row: &csv::ByteRecord, columns: &Columns) -> Result<(), String> {
        let text = |index: usize| {
            std::str::from_utf8(row.get(index).unwrap_or_default()).map_err(|_| "it is not UTF-8".to_owned())
        };
        let key = text(columns.key)?;
        if key.is_empty() {
            return Err(format!("the column of the {} is empty", self.options.kind.as_str()));
        }
        let expires = match columns.expires.map(text).transpose()?.unwrap_or("") {
            "" => Timestamp(i64::MAX),
            written => time(written).ok_or_else(|| {
                format!("`{}` is no time such as 2026-01-31, 2026-01-31T12:00:00Z or 1769860800", shown(written))
            })?,
        };
        let label = match columns.label.map(text).transpose()?.unwrap_or("") {
            "" => key,
            label => label.get(..label.floor_char_boundary(LABEL_BYTES_MAX)).unwrap_or(""),
        };
        let entry = Entry { expires, label: label.into() };
        let wrong = || format!("`{}` is no {}", shown(key), self.options.kind.as_str());
        if self.options.kind == KeyKind::Address {
            let network = network(key).ok_or_else(wrong)?;
            put(self.networks.at(network), entry, &mut self.entries);
            return Ok(());
        }
        let key = match self.options.kind {
            KeyKind::Domain => {
                let name = key.trim_start_matches("*.").trim_start_matches('.');
                domain::canonical(name).ok_or_else(wrong)?
            }
            KeyKind::Hash => hash(key).ok_or_else(wrong)?,
            _ => user(key).ok_or_else(wrong)?,
        };
        match self.texts.get_mut(&*key) {
            // The row that holds longest counts.
            Some(known) if known.expires >= entry.expires => {}
            Some(known) => *known = entry,
            None => {
                self.texts.insert(key.into(), entry);
                self.entries += 1;
            }
        }
        Ok(())
    }

    pub fn options(&self) -> &ListOptions {
        &self.options
    }

    /// How many values it has, those that have expired included.
    pub fn len(&self) -> usize {
        self.entries
    }

    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(crate) fn of_address(&self, address: IpAddr) -> impl Iterator<Item = &Entry> {
        self.networks.matches(address)
    }

    /// The entry of a value in the form that [`hash`], [`user`] or [`domain::canonical`] give it.
    pub(crate) fn of_text(&self, value: &str) -> Option<&Entry> {
        self.texts.get(value)
    }
}

fn put(entries: &mut Vec<Entry>, entry: Entry, count: &mut usize) {
    match entries.first_mut() {
        Some(known) if known.expires >= entry.expires => {}
        Some(known) => *known = entry,
        None => {
            entries.push(entry);
            *count += 1;
        }
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(|it| IpNet::from(it.to_canonical())))
}

/// A hash as lists have it.
pub(crate) fn hash(text: &str) -> Option<Cow<'_, str>> {
    let is_one = matches!(text.len(), 32 | 40 | 64 | 128) && text.bytes().all(|it| it.is_ascii_hexdigit());
    is_one.then(|| lower(text))
}

/// A user name as lists have it.
pub(crate) fn user(text: &str) -> Option<Cow<'_, str>> {
    const USER_BYTES_MAX: usize = 256;
    (!text.is_empty() && text.len() <= USER_BYTES_MAX).then(|| lower(text))
}

pub(crate) fn lower(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.bytes().any(|it| it.is_ascii_uppercase()) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.to_lowercase())
    }
}

/// A date, a time with or without its zone (UTC then), or seconds since 1970.
fn time(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(Timestamp::from_seconds(seconds));
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.into());
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok()?;
    civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|it| it.timestamp().into())
}

/// The number of the line in which the row stands that is looked for from `start` on: behind empty lines and comments.
fn line_of(bytes: &[u8], start: u64) -> u64 {
    let (before, after) = bytes.split_at_checked(start as usize).unwrap_or((bytes, b""));
    let says_nothing = |it: &&[u8]| it.is_empty() || *it == b"\r" || it.starts_with(b"#");
    let skipped = after.split(|it| *it == b'\n').take_while(says_nothing).count();
    (before.iter().filter(|it| **it == b'\n').count() + skipped + 1) as u64
}

/// What a file says, as an error may repeat it.
fn shown(text: impl AsRef<[u8]>) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let text = String::from_utf8_lossy(text.as_ref()).into_owned();
    text.chars().take(SHOWN_CHARS_MAX).map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}

#[cfg(test)]
mod tests;
