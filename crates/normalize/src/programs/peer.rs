//! The other side of a connection, as sshd and others write it: `NAME from ADDRESS port N`.
//!
//! The name is the stranger's choice and may itself read `x from 198.51.100.1 port 22`. So the address is looked for
//! from the right, except where a stranger's words stand on the right.

use crate::address;

/// Who and where from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer<'t> {
    /// What stands before the address.
    pub(crate) who: &'t str,
    pub(crate) address: &'t str,
    pub(crate) port: Option<u16>,
    /// What stands behind it.
    pub(crate) after: &'t str,
}

/// How many ` from ` of a message are looked at.
const CANDIDATES_MAX: usize = 32;

impl<'t> Peer<'t> {
    /// `ADDRESS[ port N]` at the start of `text`.
    #[inline]
    pub(crate) fn at_start(text: &'t str) -> Option<Self> {
        let end = text.find([' ', ',']).unwrap_or(text.len());
        let (address, rest) = text.split_at_checked(end)?;
        // `192.0.2.1: 11: Bye Bye`
        let (address, rest) = match address.strip_suffix(':') {
            Some(bare) if !bare.ends_with(':') => (bare, text.get(bare.len()..)?),
            _ => (address, rest),
        };
        if !is_address(address) {
            return None;
        }
        let (port, after) = match rest.strip_prefix(" port ") {
            Some(rest) => {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                let (number, after) = rest.split_at_checked(digits)?;
                (number.parse().ok(), after)
            }
            None => (None, rest),
        };
        Some(Self { who: "", address, port, after })
    }

    /// The last `from ADDRESS port N` of `text`; if there is none, the last `from ADDRESS`.
    #[inline]
    pub(crate) fn last_from(text: &'t str) -> Option<Self> {
        let mut without_port = None;
        let bytes = text.as_bytes();
        let marks = memchr::memrchr_iter(b' ', bytes)
            .filter(|at| bytes.get(at + 1..at + 6) == Some(b"from "))
            .map(|at| (at, at + 6))
            .take(CANDIDATES_MAX)
            .chain(text.starts_with("from ").then_some((0, 5)));
        for (before, behind) in marks {
            let Some(peer) = text.get(behind..).and_then(Self::at_start) else { continue };
            let peer = Self { who: text.get(..before)?, ..peer };
            if peer.port.is_some() {
                return Some(peer);
            }
            without_port = without_port.or(Some(peer));
        }
        without_port
    }

    /// `[WHO] from ADDRESS[ port N]` with nothing behind it: older releases tell no port, so a port must not count more
    /// than the place.
    #[inline]
    pub(crate) fn from_at_end(text: &'t str) -> Option<Self> {
        let (who, rest) = match text.rsplit_once(" from ") {
            Some(parts) => parts,
            None => ("", text.strip_prefix("from ")?),
        };
        Self::at_start(rest.trim_ascii_end()).filter(|it| it.after.is_empty()).map(|it| Self { who, ..it })
    }

    /// `[WHO ]ADDRESS[ port N]` at the end of `text`.
    #[inline]
    pub(crate) fn at_end(text: &'t str) -> Option<Self> {
        let (head, port) = match text.rsplit_once(" port ") {
            Some((head, number)) => (head, Some(number.parse().ok()?)),
            None => (text, None),
        };
        let (who, address) = head.rsplit_once(' ').unwrap_or(("", head));
        is_address(address).then_some(Self { who, address, port, after: "" })
    }

    /// The name without the words that sshd puts before one it does not know, and whether they were there.
    pub(crate) fn user(&self) -> (&'t str, bool) {
        strip_invalid(self.who)
    }
}

/// `invalid user bob` is bob, who is not known.
pub(crate) fn strip_invalid(who: &str) -> (&str, bool) {
    match who {
        "invalid user" | "illegal user" | "<invalid username>" => ("", true),
        _ => match who.strip_prefix("invalid user ").or_else(|| who.strip_prefix("illegal user ")) {
            Some(name) => (name, true),
            None => (who, false),
        },
    }
}

fn is_address(text: &str) -> bool {
    address::ip(text).is_some() || address::is_host_name(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(text: &str) -> String {
        Peer::last_from(text)
            .map_or_else(String::new, |it| format!("{}|{}|{:?}|{}", it.who, it.address, it.port, it.after))
    }

    #[test]
    fn the_last_address_with_a_port_counts() {
        assert_eq!(last("root from 203.0.113.9 port 22 ssh2"), "root|203.0.113.9|Some(22)| ssh2");
        assert_eq!(
            last("x from 198.51.100.1 port 1 ssh2 from 203.0.113.9 port 22 ssh2"),
            "x from 198.51.100.1 port 1 ssh2|203.0.113.9|Some(22)| ssh2"
        );
        assert_eq!(
            last("x from 203.0.113.9 port 22 ssh1: ruser from 198.51.100.1"),
            "x|203.0.113.9|Some(22)| ssh1: ruser from 198.51.100.1"
        );
        assert_eq!(last("root from 203.0.113.9"), "root|203.0.113.9|None|");
        assert_eq!(last("from 203.0.113.9"), "|203.0.113.9|None|");
        assert_eq!(last("bob from host.example via 192.0.2.1"), "bob|host.example|None| via 192.0.2.1");
        assert_eq!(last("nobody"), "");
        assert_eq!(last("a from ??"), "");
    }

    #[test]
    fn the_search_for_an_address_is_bounded() {
        let text = format!("x from 192.0.2.1 port 1{}", " from ??".repeat(CANDIDATES_MAX));
        assert_eq!(last(&text), "");
    }

    #[test]
    fn peers_stand_at_either_end() {
        let from = |text| Peer::from_at_end(text).map(|it| (it.who, it.address, it.port));
        assert_eq!(
            from("x from 198.51.100.1 port 1 from 203.0.113.9"),
            Some(("x from 198.51.100.1 port 1", "203.0.113.9", None))
        );
        assert_eq!(from("x from 203.0.113.9 port 22"), Some(("x", "203.0.113.9", Some(22))));
        assert_eq!(from("from 203.0.113.9"), Some(("", "203.0.113.9", None)));
        assert_eq!(from("x from 203.0.113.9 and more"), None);
        let start = |text| Peer::at_start(text).map(|it| (it.address, it.port, it.after));
        assert_eq!(start("192.0.2.1: 11: Bye"), Some(("192.0.2.1", None, ": 11: Bye")));
        assert_eq!(start("2001:db8::1 port 7:11: Bye"), Some(("2001:db8::1", Some(7), ":11: Bye")));
        assert_eq!(start("192.0.2.1"), Some(("192.0.2.1", None, "")));
        let end = |text| Peer::at_end(text).map(|it| (it.who, it.address, it.port));
        assert_eq!(end("user a b 192.0.2.1 port 7"), Some(("user a b", "192.0.2.1", Some(7))));
        assert_eq!(end("192.0.2.1"), Some(("", "192.0.2.1", None)));
        assert_eq!(end("user bob"), Some(("user", "bob", None)));
        assert_eq!(end("user bob port x"), None);
    }
}
