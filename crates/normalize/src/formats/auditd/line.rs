//! One line of the audit log, cut into its head and its pairs.
//!
//! ```text
//! type=SYSCALL msg=audit(1705314600.123:456): arch=c000003e syscall=59 … comm="ls" key=(null)␝ARCH=x86_64 UID="bob"
//! node=web1 type=USER_LOGIN msg=audit(1705314600.123:457): pid=7 uid=0 msg='op=login acct="bob" res=failed'
//! <13>Jan 15 10:30:00 web1 audispd: type=CWD msg=audit(1705314600.123:456): cwd="/root"
//! audit: type=1400 audit(1705314600.123:458): avc:  denied  { read } for  pid=7 comm="cat" name="shadow"
//! type=SYSCALL msg=audit(01/15/24 10:30:00.123:456) : arch=x86_64 syscall=execve … (ausearch --interpret)
//! ```

use memchr::memmem;

/// How far into a line its stamp is looked for: there may be a syslog header and a node before it.
const HEAD_BYTES_MAX: usize = 512;
/// How long a name may be. What is longer is text that happens to hold a `=`.
const NAME_BYTES_MAX: usize = 64;
/// How long the name of a record type may be. A longer one is none.
const TYPE_BYTES_MAX: usize = 40;

/// The head of a line, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'t> {
    pub(super) node: Option<&'t str>,
    /// The record type by name, or by number where the kernel spoke for itself.
    pub(super) kind: &'t str,
    /// `1705314600.123:456`; empty where journald took it away.
    pub(super) stamp: &'t str,
    pub(super) body: &'t str,
}

impl<'t> Line<'t> {
    /// A line with a stamp, whatever a relay put in front of it.
    pub(super) fn of(line: &'t str) -> Option<Self> {
        let head = line.as_bytes().get(..HEAD_BYTES_MAX).unwrap_or(line.as_bytes());
        let at = memmem::find(head, b"audit(")?;
        let before = line.get(..at)?;
        let before = before.strip_suffix("msg=").unwrap_or(before).trim_ascii_end();
        let (front, kind) = before.rsplit_once("type=")?;
        if !(front.is_empty() || front.ends_with([' ', ':', '\t'])) || !is_type(kind) {
            return None;
        }
        let (stamp, rest) = line.get(at + "audit(".len()..)?.split_once(')')?;
        // A serial number is what makes it a stamp.
        let serial = stamp.rsplit_once(':')?.1;
        if serial.is_empty() || stamp.len() > 64 || !serial.bytes().all(|it| it.is_ascii_digit()) {
            return None;
        }
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let body = rest.strip_prefix(':').unwrap_or(rest);
        let node = front.trim_ascii_end().rsplit(' ').next().and_then(|it| it.strip_prefix("node="));
        let kind = kind.strip_prefix("UNKNOWN[").and_then(|it| it.strip_suffix(']')).unwrap_or(kind);
        Some(Self { node: node.filter(|it| !it.is_empty()), kind, stamp, body })
    }

    /// `USER_LOGIN pid=7 …`: what journald prints of an audit record. It keeps the stamp to itself.
    pub(super) fn of_journal(message: &'t str) -> Option<Self> {
        let (kind, body) = message.split_once(' ')?;
        let kind = kind.strip_prefix("UNKNOWN[").and_then(|it| it.strip_suffix(']')).unwrap_or(kind);
        let is_letter = |it: u8| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_';
        let is_name = (3..=TYPE_BYTES_MAX).contains(&kind.len()) && kind.bytes().all(is_letter);
        let has_pairs = Pairs::new(body, false).next().is_some();
        (is_name && has_pairs).then_some(Self { node: None, kind, stamp: "", body })
    }

    /// The seconds since 1970 (or a date), and the number of the event.
    pub(super) fn time_and_serial(&self) -> Option<(&'t str, &'t str)> {
        self.stamp.rsplit_once(':')
    }

    /// Whether `ausearch --interpret` wrote it: values then have no quotes and may hold spaces.
    pub(super) fn is_interpreted(&self) -> bool {
        self.stamp.contains('/')
    }
}

fn is_type(kind: &str) -> bool {
    !kind.is_empty()
        && kind.len() <= TYPE_BYTES_MAX
        && kind.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'[' | b']'))
}

/// How a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dress {
    Bare,
    Quoted,
    /// In quotes or braces that never closed.
    Torn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair<'t> {
    pub(super) name: &'t str,
    pub(super) value: &'t str,
    pub(super) dress: Dress,
}

/// The pairs of a body, those within `msg='…'` and `SADDR={ … }` among them. Words that are no pair are passed over.
pub(super) struct Pairs<'t> {
    rest: &'t str,
    /// What follows the text in quotes or braces that is being read.
    outer: &'t str,
    is_interpreted: bool,
    is_torn: bool,
}

impl<'t> Pairs<'t> {
    pub(super) fn new(body: &'t str, is_interpreted: bool) -> Self {
        Self { rest: body, outer: "", is_interpreted, is_torn: false }
    }

    /// Goes into `inner` and later on behind it.
    fn enter(&mut self, inner: &'t str, after: &'t str, is_torn: bool) {
        self.rest = inner;
        self.outer = after;
        self.is_torn |= is_torn;
    }

    fn value(&mut self, name: &'t str, value: &'t str) -> Option<Pair<'t>> {
        // Old PAM messages put what they say about the host in parentheses.
        let closing = [' ', ',', ')', '\u{1d}'];
        if let Some(inner) = value.strip_prefix('"') {
            let (value, rest, dress) = match inner.split_once('"') {
                Some((value, rest)) => (value, rest, Dress::Quoted),
                None => (inner, "", Dress::Torn),
            };
            self.rest = rest;
            return Some(Pair { name, value, dress });
        }
        if self.outer.is_empty() {
            if let Some(inner) = value.strip_prefix('\'') {
                // What a program says may hold an apostrophe: the last one ends it.
                let said = inner.split_once('\u{1d}').map_or(inner, |(said, _)| said);
                match said.rfind('\'').and_then(|at| Some((inner.get(..at)?, inner.get(at + 1..)?))) {
                    Some((said, after)) => self.enter(said, after, false),
                    None => self.enter(inner, "", true),
                }
                return None;
            }
            if let Some(inner) = value.strip_prefix('{') {
                match inner.split_once('}') {
                    Some((said, after)) => self.enter(said, after, false),
                    None => self.enter(inner, "", true),
                }
                return None;
            }
        }
        let end = if self.is_interpreted {
            interpreted_end(name, value)
        } else if value.starts_with('(') {
            value.find(')').map_or(value.len(), |at| at + 1)
        } else {
            value.find(closing).unwrap_or(value.len())
        };
        let bare = value.get(..end)?;
        let end = if self.is_interpreted { end } else { glued_at(bare).unwrap_or(end) };
        self.rest = value.get(end..)?;
        Some(Pair { name, value: value.get(..end)?.trim_ascii_end(), dress: Dress::Bare })
    }

    /// Whether a quote or brace did not close.
    pub(super) fn is_torn(&self) -> bool {
        self.is_torn
    }
}

impl<'t> Iterator for Pairs<'t> {
    type Item = Pair<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', ',', '(', ')', '\u{1d}', '\t', '\r']);
            if self.rest.is_empty() {
                if self.outer.is_empty() {
                    return None;
                }
                self.rest = std::mem::take(&mut self.outer);
                continue;
            }
            let rest = self.rest;
            let length = rest.bytes().take_while(is_name).take(NAME_BYTES_MAX + 1).count();
            let (name, after) = rest.split_at_checked(length)?;
            if (1..=NAME_BYTES_MAX).contains(&length)
                && let Some(value) = after.strip_prefix('=')
            {
                match self.value(name, value) {
                    Some(pair) => {
                        self.is_torn |= pair.dress == Dress::Torn;
                        return Some(pair);
                    }
                    None => continue,
                }
            }
            let end = rest.find([' ', '\u{1d}', '\t']).unwrap_or(rest.len());
            self.rest = rest.get(end..)?;
        }
    }
}

fn is_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'[' | b']')
}

/// What an enriched record says again in words. Some relays drop the separator in front of them (`res=1AUID="bob"`).
const ENRICHED: [&str; 16] = [
    "ARCH", "SYSCALL", "AUID", "EUID", "FSUID", "OAUID", "OUID", "SUID", "UID", "EGID", "FSGID", "OGID", "SGID", "GID",
    "SADDR", "ID",
];

/// Where in `bare` such a name begins that belongs to the next pair.
fn glued_at(bare: &str) -> Option<usize> {
    let (before, _) = bare.split_once('=')?;
    let name = ENRICHED.iter().find(|it| before.ends_with(**it))?;
    Some(before.len() - name.len()).filter(|at| *at > 0)
}

/// Where the value of `name` ends when nothing but the next `name=` tells.
fn interpreted_end(name: &str, value: &str) -> usize {
    // What a program was started with may itself hold `name=`.
    if name == "proctitle" {
        return value.len();
    }
    let mut from = 0;
    while let Some(found) = value.get(from..).and_then(|it| it.find(' ')) {
        let at = from + found;
        let next = value.get(at + 1..).unwrap_or("");
        let length = next.bytes().take_while(is_name).take(NAME_BYTES_MAX + 1).count();
        let begins = next.starts_with(|it: char| it.is_ascii_alphabetic());
        if begins && length <= NAME_BYTES_MAX && next.as_bytes().get(length) == Some(&b'=') {
            return at;
        }
        from = at + 1;
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(body: &str) -> Vec<(&str, &str)> {
        Pairs::new(body, false).map(|it| (it.name, it.value)).collect()
    }

    #[test]
    fn the_head_is_found_behind_whatever_a_relay_puts_in_front() {
        let read = |line| Line::of(line).map(|it| (it.node, it.kind, it.stamp, it.body));
        assert_eq!(read("type=CWD msg=audit(1.5:7): cwd=\"/\""), Some((None, "CWD", "1.5:7", " cwd=\"/\"")));
        assert_eq!(read("node=h1 type=EOE msg=audit(1.5:7): "), Some((Some("h1"), "EOE", "1.5:7", " ")));
        assert_eq!(
            read("<13>Jan 15 10:30:00 h audispd: node=n type=PATH msg=audit(1.5:7): item=0"),
            Some((Some("n"), "PATH", "1.5:7", " item=0"))
        );
        assert_eq!(read("audit: type=1400 audit(1.5:7): avc: x"), Some((None, "1400", "1.5:7", " avc: x")));
        assert_eq!(read("type=UNKNOWN[1334] msg=audit(1.5:7): a=b"), Some((None, "1334", "1.5:7", " a=b")));
        assert_eq!(
            read("type=CWD msg=audit(01/15/24 10:30:00.123:456) : cwd=/"),
            Some((None, "CWD", "01/15/24 10:30:00.123:456", " cwd=/"))
        );
        for line in [
            "type=CWD",
            "audit(1.5:7): x",
            "subtype=A msg=audit(1.5:7): x",
            "type=a b msg=audit(1.5:7): x",
            "type=A msg=audit(1.5): x",
            "type=A msg=audit(1.5:x): x",
            "type=A msg=audit(1.5:7",
            "type= audit(1.5:7): ",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn pairs_stand_bare_in_quotes_in_messages_and_in_braces() {
        assert_eq!(
            pairs(r#" user pid=7 msg='op=login acct="it's" (hostname=?, addr=192.0.2.1) res=failed'"#),
            [
                ("pid", "7"),
                ("op", "login"),
                ("acct", "it's"),
                ("hostname", "?"),
                ("addr", "192.0.2.1"),
                ("res", "failed")
            ]
        );
        assert_eq!(
            pairs("saddr=0200\u{1d}SADDR={ saddr_fam=inet laddr=192.0.2.1 lport=53 } UID=\"bob\""),
            [("saddr", "0200"), ("saddr_fam", "inet"), ("laddr", "192.0.2.1"), ("lport", "53"), ("UID", "bob")]
        );
        assert_eq!(
            pairs("key=(null)\u{1d}ARCH=x86_64 SYSCALL=execve"),
            [("key", "(null)"), ("ARCH", "x86_64"), ("SYSCALL", "execve")]
        );
        assert_eq!(pairs("avc:  denied  { read } for  pid=7 comm=\"cat\""), [("pid", "7"), ("comm", "cat")]);
        assert_eq!(
            pairs("a0[1]=6162 a0_len=9 new-disk=\"x\" ="),
            [("a0[1]", "6162"), ("a0_len", "9"), ("new-disk", "x")]
        );
    }

    #[test]
    fn enriched_names_are_found_without_their_separator() {
        assert_eq!(pairs("key=\"k\"ARCH=x86_64"), [("key", "k"), ("ARCH", "x86_64")]);
        assert_eq!(pairs("cap=0OUID=\"root\" OGID=\"root\""), [("cap", "0"), ("OUID", "root"), ("OGID", "root")]);
        assert_eq!(pairs("msg='res=failed'UID=\"root\""), [("res", "failed"), ("UID", "root")]);
        assert_eq!(pairs("UID=a=b"), [("UID", "a=b")]);
        assert_eq!(pairs("op=x=y"), [("op", "x=y")]);
    }

    #[test]
    fn interpreted_values_hold_spaces() {
        let read = |body| Pairs::new(body, true).map(|it| (it.name, it.value)).collect::<Vec<_>>();
        assert_eq!(
            read(" exit=EINPROGRESS(Operation now in progress) a0=0x3 comm=my tool"),
            [("exit", "EINPROGRESS(Operation now in progress)"), ("a0", "0x3"), ("comm", "my tool")]
        );
        assert_eq!(read(" proctitle=dd if=/dev/zero of=x"), [("proctitle", "dd if=/dev/zero of=x")]);
    }

    #[test]
    fn what_does_not_close_is_kept_and_told() {
        for (body, expected) in [("a=\"b c", "b c"), ("msg='a=b", "b"), ("SADDR={ a=b", "b")] {
            let mut all = Pairs::new(body, false);
            assert_eq!(all.next().map(|it| (it.name, it.value)), Some(("a", expected)), "{body}");
            assert_eq!(all.next(), None);
            assert!(all.is_torn());
        }
    }

    #[test]
    fn journald_prints_records_without_their_stamp() {
        let read = |text| Line::of_journal(text).map(|it| (it.kind, it.body));
        assert_eq!(read("USER_LOGIN pid=7 uid=0"), Some(("USER_LOGIN", "pid=7 uid=0")));
        for text in ["USER_LOGIN", "Hello a=b", "A a=b", "USER_LOGIN said nothing", ""] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
