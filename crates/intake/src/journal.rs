//! The journal's export format, as `journalctl -o export` prints it, taken apart into records.
//!
//! ```text
//! __CURSOR=s=…;i=…\n            a field, when its value is one line of text
//! MESSAGE\n<8 bytes>…\n         any other: the length, little-endian, then so many bytes
//! \n                            the end of an entry
//! ```
//!
//! An entry becomes what `journalctl -o json` prints of it: one object with the journal's own names. A value that is
//! not UTF-8 becomes text with its stray bytes replaced, one that is no text at all becomes `null`, and a field that
//! comes several times becomes a list. Values are cut to [`JOURNAL_VALUE_BYTES_MAX`].

use memchr::{memchr, memmem};

use crate::limits::{
    JOURNAL_FIELDS_MAX, JOURNAL_NAME_BYTES_MAX, JOURNAL_VALUE_BYTES_MAX, JOURNAL_VALUE_CLAIMED_MAX, LINE_BYTES_MAX,
};
use crate::text::looks_binary;

/// What every export begins with.
pub(crate) const MAGIC: &[u8] = b"__CURSOR=";

/// One entry of the journal.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// One object on one line.
    pub(crate) json: Vec<u8>,
    /// The place of the entry in its journal; empty if it states none.
    pub(crate) cursor: String,
    pub(crate) pid: Option<u64>,
    /// Which start of which unit wrote it, as systemd knows it.
    pub(crate) invocation: String,
    /// How many bytes were cut off its values.
    pub(crate) cut_bytes: u64,
}

/// Bytes that are no export, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset} of the journal's export is damaged: {what}; reading goes on at the next entry")]
pub(crate) struct Damaged {
    pub(crate) offset: u64,
    what: &'static str,
}

/// What was found in the bytes so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Entry(Entry),
    Damaged(Damaged),
    /// Nothing more without more bytes.
    Nothing,
}

/// Takes an export apart that arrives bit by bit.
#[derive(Default)]
pub(crate) struct Decoder {
    bytes: Vec<u8>,
    /// Up to where `bytes` are done with.
    at: usize,
    /// Offset in the stream of the first of `bytes`.
    base: u64,
    state: State,
    fields: Vec<(String, Vec<u8>)>,
    cut_bytes: u64,
}

#[derive(Default)]
enum State {
    #[default]
    Line,
    /// The rest of a line whose value is long enough.
    SkipLine,
    Size {
        name: String,
    },
    Data {
        name: String,
        kept: Vec<u8>,
        left: u64,
    },
    /// The line feed behind a counted value.
    End,
    /// Damaged: the next entry is looked for.
    Lost,
}

impl Decoder {
    /// Appends what was read.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.at > 0 {
            self.base += self.at as u64;
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes are done with.
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// The next entry among what was pushed.
    pub(crate) fn next(&mut self) -> Found {
        while let Some(step) = self.step() {
            match step {
                Ok(Some(entry)) => return Found::Entry(entry),
                Ok(None) => {}
                Err(what) => {
                    let damaged = Damaged { offset: self.offset(), what };
                    self.fields.clear();
                    self.state = State::Lost;
                    return Found::Damaged(damaged);
                }
            }
        }
        Found::Nothing
    }

    /// The stream has ended: an entry whose end did not come is one all the same if it has whole fields.
    pub(crate) fn finish(&mut self) -> Option<Entry> {
        let whole = matches!(self.state, State::Line | State::SkipLine | State::End);
        self.state = State::Line;
        if whole { self.entry() } else { None }
    }

    /// One step on; `None` if there are too few bytes for it.
    fn step(&mut self) -> Option<Result<Option<Entry>, &'static str>> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match &mut self.state {
            State::Line => match memchr(b'\n', rest) {
                Some(end) => {
                    let line = rest.get(..end).unwrap_or_default();
                    if line.is_empty() {
                        self.at += 1;
                        return Some(Ok(self.entry()));
                    }
                    let step = match memchr(b'=', line) {
                        Some(equals) => {
                            let (name, value) = line.split_at(equals);
                            let value = value.get(1..).unwrap_or_default();
                            let kept = value.get(..JOURNAL_VALUE_BYTES_MAX).unwrap_or(value);
                            self.cut_bytes += (value.len() - kept.len()) as u64;
                            name_of(name).map(|name| add(&mut self.fields, name, kept.to_vec()))
                        }
                        None => name_of(line).map(|name| self.state = State::Size { name }),
                    };
                    if step.is_some() {
                        self.at += end + 1;
                    }
                    Some(step.map(|()| None).ok_or("a field has no name"))
                }
                None if rest.len() > JOURNAL_NAME_BYTES_MAX + 1 + JOURNAL_VALUE_BYTES_MAX => {
                    // All that is wanted of it is there.
                    let kept = rest.get(..JOURNAL_NAME_BYTES_MAX + 1 + JOURNAL_VALUE_BYTES_MAX).unwrap_or_default();
                    let Some(equals) = memchr(b'=', kept) else { return Some(Err("a field has no name")) };
                    let (name, value) = kept.split_at(equals);
                    let Some(name) = name_of(name) else { return Some(Err("a field has no name")) };
                    let value = value.get(1..).unwrap_or_default();
                    let value = value.get(..JOURNAL_VALUE_BYTES_MAX).unwrap_or(value).to_vec();
                    self.at += equals + 1 + value.len();
                    add(&mut self.fields, name, value);
                    self.state = State::SkipLine;
                    Some(Ok(None))
                }
                None => None,
            },
            State::SkipLine => {
                let end = memchr(b'\n', rest);
                self.cut_bytes += end.unwrap_or(rest.len()) as u64;
                match end {
                    Some(end) => {
                        self.at += end + 1;
                        self.state = State::Line;
                        Some(Ok(None))
                    }
                    None => {
                        self.at += rest.len();
                        None
                    }
                }
            }
            State::Size { name } => {
                let left = u64::from_le_bytes(*rest.first_chunk::<8>()?);
                if left > JOURNAL_VALUE_CLAIMED_MAX {
                    return Some(Err("a value is longer than any journal's"));
                }
                self.at += 8;
                self.state = State::Data { name: std::mem::take(name), kept: Vec::new(), left };
                Some(Ok(None))
            }
            State::Data { name, kept, left } => {
                let here = rest.get(..usize::try_from(*left).unwrap_or(usize::MAX)).unwrap_or(rest);
                let wanted = here.get(..JOURNAL_VALUE_BYTES_MAX.saturating_sub(kept.len())).unwrap_or(here);
                kept.extend_from_slice(wanted);
                self.cut_bytes += (here.len() - wanted.len()) as u64;
                self.at += here.len();
                *left -= here.len() as u64;
                if *left > 0 {
                    return None;
                }
                add(&mut self.fields, std::mem::take(name), std::mem::take(kept));
                self.state = State::End;
                Some(Ok(None))
            }
            State::End => {
                if *rest.first()? != b'\n' {
                    return Some(Err("no line feed follows a counted value"));
                }
                self.at += 1;
                self.state = State::Line;
                Some(Ok(None))
            }
            State::Lost => {
                const BEGIN: &[u8] = b"\n__CURSOR=";
                match memmem::find(rest, BEGIN) {
                    Some(found) => {
                        self.at += found + 1;
                        self.state = State::Line;
                        Some(Ok(None))
                    }
                    None => {
                        // The beginning may be here only in part.
                        self.at += rest.len().saturating_sub(BEGIN.len() - 1);
                        None
                    }
                }
            }
        }
    }

    /// The fields so far as an entry; `None` if there are none.
    fn entry(&mut self) -> Option<Entry> {
        let fields = std::mem::take(&mut self.fields);
        if fields.is_empty() {
            return None;
        }
        let text = |name: &str| {
            let value = fields.iter().find(|it| it.0 == name).map(|it| it.1.as_slice()).unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        let mut entry = Entry {
            json: Vec::new(),
            cursor: text("__CURSOR"),
            pid: text("_PID").parse().ok(),
            invocation: text("_SYSTEMD_INVOCATION_ID"),
            cut_bytes: std::mem::take(&mut self.cut_bytes),
        };
        write_object(&fields, &mut entry);
        Some(entry)
    }
}

/// Further fields of an entry are left out: they are no entry's.
fn add(fields: &mut Vec<(String, Vec<u8>)>, name: String, value: Vec<u8>) {
    if fields.len() < JOURNAL_FIELDS_MAX {
        fields.push((name, value));
    }
}

fn name_of(name: &[u8]) -> Option<String> {
    let is_one = (1..=JOURNAL_NAME_BYTES_MAX).contains(&name.len())
        && name.iter().all(|it| it.is_ascii_alphanumeric() || *it == b'_');
    if is_one { String::from_utf8(name.to_vec()).ok() } else { None }
}

/// Writes the fields as one object that is short enough for a record. Those that have no room any more are left out.
fn write_object(fields: &[(String, Vec<u8>)], entry: &mut Entry) {
    let json = &mut entry.json;
    json.push(b'{');
    for (index, (name, value)) in fields.iter().enumerate() {
        if fields.iter().take(index).any(|it| it.0 == *name) {
            continue;
        }
        let before = json.len();
        if before > 1 {
            json.push(b',');
        }
        write_text(json, name);
        json.push(b':');
        let mut further = fields.iter().skip(index + 1).filter(|it| it.0 == *name).peekable();
        if further.peek().is_none() {
            write_value(json, value);
        } else {
            json.push(b'[');
            write_value(json, value);
            for (_, value) in further {
                json.push(b',');
                write_value(json, value);
            }
            json.push(b']');
        }
        if json.len() + 1 >= LINE_BYTES_MAX {
            entry.cut_bytes += (json.len() - before) as u64;
            json.truncate(before);
        }
    }
    json.push(b'}');
}

fn write_value(json: &mut Vec<u8>, value: &[u8]) {
    if looks_binary(value) {
        json.extend_from_slice(b"null");
    } else {
        write_text(json, &String::from_utf8_lossy(value));
    }
}

fn write_text(json: &mut Vec<u8>, text: &str) {
    // Into memory nothing fails.
    if serde_json::to_writer(&mut *json, text).is_err() {
        json.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(name: &str, value: &[u8]) -> Vec<u8> {
        [name.as_bytes(), b"\n", &(value.len() as u64).to_le_bytes(), value, b"\n"].concat()
    }

    /// All entries of `bytes` that come in pieces of `piece`, and what was damaged.
    fn decode(bytes: &[u8], piece: usize) -> (Vec<String>, Vec<Damaged>) {
        let mut decoder = Decoder::default();
        let (mut entries, mut damages) = (Vec::new(), Vec::new());
        let mut take = |decoder: &mut Decoder| loop {
            match decoder.next() {
                Found::Entry(entry) => entries.push(String::from_utf8(entry.json).unwrap()),
                Found::Damaged(damaged) => damages.push(damaged),
                Found::Nothing => break,
            }
        };
        for piece in bytes.chunks(piece.max(1)) {
            decoder.push(piece);
            take(&mut decoder);
        }
        let last = decoder.finish();
        entries.extend(last.map(|it| String::from_utf8(it.json).unwrap()));
        (entries, damages)
    }

    fn sample() -> Vec<u8> {
        [
            b"__CURSOR=s=1;i=1\nMESSAGE=a = b \"c\"\n_PID=42\n\n".to_vec(),
            b"__CURSOR=s=1;i=2\n".to_vec(),
            counted("MESSAGE", b"two\n\nlines\tand \xe9"),
            counted("BLOB", &[0; 40]),
            b"TAG=x\nTAG=y\nEMPTY=\n\n".to_vec(),
        ]
        .concat()
    }

    #[test]
    fn entries_become_what_the_json_output_shows() {
        let expected = [
            r#"{"__CURSOR":"s=1;i=1","MESSAGE":"a = b \"c\"","_PID":"42"}"#,
            r#"{"__CURSOR":"s=1;i=2","MESSAGE":"two\n\nlines\tand �","BLOB":null,"TAG":["x","y"],"EMPTY":""}"#,
        ];
        for piece in [1, 2, 3, 7, 1_000] {
            assert_eq!(decode(&sample(), piece), (expected.map(str::to_owned).to_vec(), vec![]), "{piece}");
        }
        // The last entry without its blank line.
        assert_eq!(decode(&sample()[..sample().len() - 1], 5).0, expected);
    }

    #[test]
    fn an_entry_knows_its_place_and_its_writer() {
        let mut decoder = Decoder::default();
        decoder.push(b"__CURSOR=s=1\n_PID=42\n_SYSTEMD_INVOCATION_ID=abc\n\n");
        let Found::Entry(entry) = decoder.next() else { panic!("there is one") };
        assert_eq!((entry.cursor.as_str(), entry.pid, entry.invocation.as_str()), ("s=1", Some(42), "abc"));
    }

    #[test]
    fn damage_is_told_and_the_next_entry_is_found() {
        let good = "__CURSOR=s=1;i=9\nMESSAGE=good\n\n";
        let json = r#"{"__CURSOR":"s=1;i=9","MESSAGE":"good"}"#.to_owned();
        let endless = [b"MESSAGE\n".as_slice(), &[0xff; 8]].concat();
        let wrong = [&counted("MESSAGE", b"x")[..17], b"?"].concat();
        for bad in [b"no name here\n".as_slice(), b"=x\n", &endless, &wrong, b"\xff\xfe\n"] {
            let bytes = [good.as_bytes(), bad, b"\n\n", good.as_bytes()].concat();
            for piece in [1, 5, 1_000] {
                let (entries, damages) = decode(&bytes, piece);
                assert_eq!((entries, damages.len()), (vec![json.clone(), json.clone()], 1), "{bad:?}");
                assert!(damages[0].offset >= good.len() as u64 && damages[0].offset < (good.len() + bad.len()) as u64);
            }
        }
    }

    #[test]
    fn long_values_are_cut_and_what_follows_is_found() {
        let long = "x".repeat(JOURNAL_VALUE_BYTES_MAX + 1_000);
        let after = "__CURSOR=s=2\nMESSAGE=after\n\n";
        for bytes in [
            format!("__CURSOR=s=1\nMESSAGE={long}\n\n{after}").into_bytes(),
            [
                b"__CURSOR=s=1\n".to_vec(),
                counted("MESSAGE", long.as_bytes()),
                b"\n".to_vec(),
                after.as_bytes().to_vec(),
            ]
            .concat(),
        ] {
            for piece in [4_096, usize::MAX] {
                let (entries, damages) = decode(&bytes, piece);
                let lengths: Vec<_> = entries.iter().map(String::len).collect();
                assert_eq!(lengths, [JOURNAL_VALUE_BYTES_MAX + 31, 36], "{piece} {damages:?}");
            }
        }
    }

    #[test]
    fn an_entry_is_never_longer_than_a_record() {
        // Each byte becomes six.
        let value = vec![1; JOURNAL_VALUE_BYTES_MAX];
        let mut bytes = b"__CURSOR=s=1\n".to_vec();
        for n in 0..20 {
            bytes.extend(format!("F{n}=").bytes());
            bytes.extend(value.iter().map(|_| b'\\'));
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(b"LAST=1\n\n");
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        let Found::Entry(entry) = decoder.next() else { panic!("there is one") };
        assert!(entry.json.len() < LINE_BYTES_MAX && entry.cut_bytes > 0);
        assert!(entry.json.ends_with(b"\"LAST\":\"1\"}"));
        let many = "A=1\n".repeat(JOURNAL_FIELDS_MAX * 2);
        let (entries, _) = decode(format!("{many}\n").as_bytes(), 999);
        assert_eq!(entries[0].matches('1').count(), JOURNAL_FIELDS_MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_apart_alike_in_any_pieces(bytes in proptest::collection::vec(prop_oneof![
            Just(b"__CURSOR=s=1\n".to_vec()), Just(b"MESSAGE=x\n".to_vec()), Just(b"\n".to_vec()),
            Just(counted("M", b"y")), Just(b"N\n\x02\0\0\0\0\0\0\0ab".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6)
        ], 0..30), piece in 1_usize..20) {
            let bytes = bytes.concat();
            let whole = decode(&bytes, usize::MAX);
            for json in &whole.0 {
                prop_assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "{json}");
            }
            prop_assert_eq!(decode(&bytes, piece), whole);
        }
    }
}
