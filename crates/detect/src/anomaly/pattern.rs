//! The pattern of a message: what is left when all that varies is masked.
//!
//! A word with a digit in it (numbers, addresses, ids, versions, `user17`), a long hexadecimal word, a path, quoted
//! text, the value behind `=`, and the name behind words like `user` or `from` are each one mask, whatever they are.
//! Case and runs of blanks do not matter.

use panoptes_model::{Event, Value, field};

/// How much of a message is looked at: what makes a pattern stands at its beginning.
const MESSAGE_BYTES_MAX: usize = 512;

/// Datasets whose messages are written for people. Access logs are not: each request would be a pattern.
const DATASETS: &[&str] = &["json", "keyvalue", "plain"];
const DATASET_PREFIX: &str = "linux.";
/// Of those with the prefix: records of fields, in which every program would be a pattern.
const RECORDS: &[&str] = &["linux.auditd", "linux.netfilter", "linux.sysmon"];

/// Words after which the next word is somebody's name.
const NAMING: &[&str] =
    &["account", "by", "for", "from", "group", "host", "login", "logname", "ruser", "to", "user", "username"];

/// Where patterns are written to: a hash, or text for people.
trait Sink {
    fn put(&mut self, byte: u8);
}

/// FNV-1a with 64 bits: the same for ever, which a filter that survives restarts needs. Somebody who can choose
/// messages could make two patterns share one; all that this hides is that a message is new.
struct Hash(u64);

impl Sink for Hash {
    fn put(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, byte: u8) {
        self.push(byte);
    }
}

/// The message of an event that has patterns.
fn message(event: Event<'_>) -> Option<&str> {
    let dataset = event.text(field::EVENT_DATASET)?;
    let is_for_people = dataset.starts_with(DATASET_PREFIX) && !RECORDS.contains(&dataset);
    if !is_for_people && !DATASETS.contains(&dataset) {
        return None;
    }
    event.text(field::MESSAGE).filter(|it| !it.trim().is_empty())
}

/// The program that wrote the message: the same words of two programs are two patterns.
fn program(event: Event<'_>) -> &str {
    [field::SERVICE_NAME, field::PROCESS_NAME, field::LOG_LOGGER]
        .into_iter()
        .find_map(|it| match event.get(it) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        })
        .unwrap_or("")
}

/// A hash of the pattern of the event's message; `None` if it has no message with a pattern.
pub(crate) fn hash_of(event: Event<'_>) -> Option<u64> {
    let message = message(event)?;
    let mut hash = Hash(0xcbf2_9ce4_8422_2325);
    for byte in program(event).bytes() {
        hash.put(byte);
    }
    hash.put(0);
    write_pattern(&mut hash, message);
    Some(hash.0)
}

/// The pattern for people.
pub(crate) fn text_of(event: Event<'_>) -> String {
    let mut text = Vec::new();
    write_pattern(&mut text, message(event).unwrap_or_default());
    String::from_utf8_lossy(&text).into_owned()
}

fn write_pattern(out: &mut impl Sink, message: &str) {
    let cut = message.get(..message.floor_char_boundary(MESSAGE_BYTES_MAX)).unwrap_or_default();
    let mut rest = cut.as_bytes();
    let mut is_name_next = false;
    let mut is_first = true;
    while let Some(first) = rest.first() {
        if first.is_ascii_whitespace() {
            rest = rest.split_at_checked(1).map_or(&[], |(_, after)| after);
            continue;
        }
        if !is_first {
            out.put(b' ');
        }
        is_first = false;
        if matches!(first, b'"' | b'\'' | b'`')
            && let Some(length) = quoted_length(rest)
        {
            out.put(b'"');
            out.put(b'"');
            rest = rest.get(length..).unwrap_or_default();
            is_name_next = false;
            continue;
        }
        // `alice(uid=0)` is two words.
        let ends = |(at, byte): (usize, &u8)| byte.is_ascii_whitespace() || (*byte == b'(' && at > 0);
        let length = rest.iter().enumerate().position(ends).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        rest = after;
        is_name_next = write_word(out, word, is_name_next);
    }
}

/// The bytes of a quotation with its quotes; `None` if it never ends (an apostrophe).
fn quoted_length(text: &[u8]) -> Option<usize> {
    let quote = text.first()?;
    text.iter().skip(1).position(|it| it == quote).map(|it| it + 2)
}

/// Writes one word; returns whether the next one is a name.
fn write_word(out: &mut impl Sink, word: &[u8], is_name: bool) -> bool {
    let is_mark = |it: &u8| it.is_ascii_punctuation() && *it != b'/' && *it != b'-' && *it != b'_';
    let trimmed_front = word.iter().take_while(|it| is_mark(it)).count();
    let (front, core) = word.split_at_checked(trimmed_front).unwrap_or((word, &[]));
    let trimmed_back = core.iter().rev().take_while(|it| is_mark(it)).count();
    let (core, back) = core.split_at_checked(core.len() - trimmed_back).unwrap_or((core, &[]));
    for mark in front {
        out.put(*mark);
    }
    // `key=value`: the key says what it is, the value varies.
    let assigned = core.iter().position(|it| *it == b'=').and_then(|it| core.split_at_checked(it));
    let is_naming = match assigned {
        Some((name, _)) => {
            write_plain(out, name);
            out.put(b'=');
            out.put(b'*');
            false
        }
        None if is_name && !core.is_empty() && !NAMING.iter().any(|it| core.eq_ignore_ascii_case(it.as_bytes())) => {
            out.put(b'*');
            false
        }
        None if is_variable(core) => {
            out.put(b'#');
            false
        }
        None => {
            write_plain(out, core);
            NAMING.iter().any(|it| core.eq_ignore_ascii_case(it.as_bytes()))
        }
    };
    for mark in back {
        out.put(*mark);
    }
    is_naming
}

fn is_variable(word: &[u8]) -> bool {
    word.iter().any(u8::is_ascii_digit)
        || word.contains(&b'/')
        || word.contains(&b'@')
        || (word.len() >= 8 && word.iter().all(u8::is_ascii_hexdigit))
        || (word.contains(&b':') && word.iter().all(|it| it.is_ascii_hexdigit() || *it == b':'))
}

fn write_plain(out: &mut impl Sink, word: &[u8]) {
    for byte in word {
        if byte.is_ascii_digit() {
            continue;
        }
        out.put(byte.to_ascii_lowercase());
    }
}

#[cfg(test)]
mod tests {
    use panoptes_model::{EventBatch, FrameId, Schema, Timestamp};

    use super::*;

    fn pattern(message: &str) -> String {
        let mut text = Vec::new();
        write_pattern(&mut text, message);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_varies_is_masked() {
        for (message, expected) in [
            ("Failed password for root from 203.0.113.9 port 22 ssh2", "failed password for * from * port # #"),
            ("Failed password for  invalid user bob from 2001:db8::1", "failed password for * user * from *"),
            ("session opened for user alice(uid=0) by (uid=0)", "session opened for user * (uid=*) by (uid=*)"),
            ("job 'nightly backup' took 12ms", "job \"\" took #"),
            ("cannot open /var/lib/x.db: No such file", "cannot open #: no such file"),
            ("request deadbeefcafe done, [ok]", "request # done, [ok]"),
            ("level=warn cache miss ratio=0.5", "level=* cache miss ratio=*"),
            ("it doesn't work", "it doesn't work"),
        ] {
            assert_eq!(pattern(message), expected, "{message}");
        }
        assert_eq!(pattern("worker 1 is up"), pattern("Worker   22 is UP"));
        assert_ne!(pattern("worker is up"), pattern("worker is down"));
    }

    #[test]
    fn only_what_is_written_for_people_has_a_pattern() {
        let has_pattern = |dataset: &str| {
            let schema = std::sync::Arc::new(Schema::ecs());
            let batch = EventBatch::build(schema, FrameId(1), Timestamp(0), Vec::new(), String::new(), |writer| {
                writer.begin("", 0, Timestamp(0), 1);
                writer.text(field::EVENT_DATASET, dataset);
                writer.text(field::MESSAGE, "said");
            });
            batch.event(0).is_some_and(|it| hash_of(it).is_some())
        };
        assert!(has_pattern("linux.sshd") && has_pattern("json"));
        assert!(!has_pattern("linux.auditd") && !has_pattern("nginx.access"));
    }

    #[test]
    fn any_text_has_a_pattern() {
        for message in ["", " ", "'", "\"\"", "=", "====", "é'ü=ß", &"x".repeat(10_000), "\u{0}\u{1}", "for for for"]
        {
            pattern(message);
        }
        assert_eq!(pattern("for for bob"), "for for *");
    }
}
