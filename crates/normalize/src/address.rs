//! Addresses as logs write them: bare, with a port, in brackets, with a zone, or a name instead.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use panoptes_model::{BatchWriter, field};

/// An IPv4 address of four decimal numbers without leading zeros (`010` is eight to some and ten to others).
#[inline]
fn v4(bytes: &[u8]) -> Option<Ipv4Addr> {
    if bytes.len() > 15 {
        return None;
    }
    let mut octets = [0_u8; 4];
    let (mut index, mut value, mut digits) = (0, 0_u32, 0);
    for byte in bytes {
        match byte {
            b'0'..=b'9' => {
                if digits > 0 && value == 0 {
                    return None;
                }
                value = value * 10 + u32::from(byte - b'0');
                digits += 1;
                if digits > 3 {
                    return None;
                }
            }
            b'.' if digits > 0 => {
                *octets.get_mut(index)? = u8::try_from(value).ok()?;
                (index, value, digits) = (index + 1, 0, 0);
            }
            _ => return None,
        }
    }
    if index != 3 || digits == 0 {
        return None;
    }
    *octets.get_mut(3)? = u8::try_from(value).ok()?;
    Some(Ipv4Addr::from(octets))
}

/// An address and nothing else; brackets around it and a zone behind it (`fe80::1%eth0`) are dropped.
#[inline]
pub(crate) fn ip(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    if let Some(address) = v4(bare.as_bytes()) {
        return Some(IpAddr::V4(address));
    }
    // The shortest is `::`; names never hold a colon.
    if !text.as_bytes().contains(&b':') {
        return None;
    }
    let bare = bare.split_once('%').map_or(bare, |(address, _)| address);
    bare.parse::<Ipv6Addr>().ok().map(|it| IpAddr::V6(it).to_canonical())
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80`, `2001:db8::1`.
#[inline]
pub(crate) fn endpoint(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Some(address) = ip(text) {
        return Some((address, None));
    }
    let (address, port) = text.rsplit_once(':')?;
    Some((ip(address)?, Some(port.parse().ok()?)))
}

/// Whether `text` could be a host's name: letters, digits, dots, hyphens, underscores.
pub(crate) fn is_host_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        && text.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// Writes who it came from: `source.ip` and `source.port`, or `source.address` if it is a name. Says whether it was
/// either.
pub(crate) fn write_source(writer: &mut BatchWriter<'_>, text: &str, port: Option<u16>) -> bool {
    match endpoint(text) {
        Some((address, own_port)) => {
            writer.ip(field::SOURCE_IP, address);
            if let Some(port) = port.or(own_port) {
                writer.integer(field::SOURCE_PORT, i64::from(port));
            }
            true
        }
        None if is_host_name(text) => {
            writer.text(field::SOURCE_ADDRESS, text);
            if let Some(port) = port {
                writer.integer(field::SOURCE_PORT, i64::from(port));
            }
            true
        }
        None => false,
    }
}

/// How many candidates [`find`] looks at before it gives up: bounds the work on text full of dots and colons.
const CANDIDATES_MAX: usize = 64;

/// The first address in free text: the first behind a word such as `from`, else the first of all. What is glued to
/// letters or a path (`v1.2.3.4`, `lib/1.2.3.4`) is a version and passed over.
pub(crate) fn find(text: &str) -> Option<(IpAddr, Option<u16>)> {
    search(text, true)
}

/// The first address behind a word such as `from`.
pub(crate) fn find_introduced(text: &str) -> Option<(IpAddr, Option<u16>)> {
    search(text, false)
}

fn search(text: &str, any: bool) -> Option<(IpAddr, Option<u16>)> {
    let (mut first, mut candidates, mut previous) = (None, 0, "");
    for token in text.split(|c: char| !(c.is_ascii_alphanumeric() || ".:[]%-_/".contains(c))) {
        let token = token.trim_end_matches(['.', '-']);
        if token.is_empty() {
            continue;
        }
        let introduction = std::mem::replace(&mut previous, token);
        if !token.bytes().any(|byte| byte.is_ascii_digit()) || !token.contains(['.', ':']) {
            continue;
        }
        candidates += 1;
        if candidates > CANDIDATES_MAX {
            break;
        }
        let Some(found) = token_endpoint(token) else { continue };
        if is_introduction(introduction) {
            return Some(found);
        }
        first = first.or(Some(found));
    }
    first.filter(|_| any)
}

/// A token of free text as an address: brackets and a colon around it belong to the sentence.
fn token_endpoint(token: &str) -> Option<(IpAddr, Option<u16>)> {
    let found = endpoint(token).or_else(|| {
        let bare = token.strip_suffix(':').unwrap_or(token);
        let (bare, port) = match bare.rsplit_once("]:") {
            Some((bare, port)) => (bare, Some(port.parse().ok()?)),
            None => (bare, None),
        };
        Some((ip(bare.trim_start_matches('[').trim_end_matches(']'))?, port))
    })?;
    (!found.0.is_unspecified()).then_some(found)
}

fn is_introduction(word: &str) -> bool {
    let mut buffer = [0; 32];
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    matches!(
        crate::text::lower(word, &mut buffer),
        Some("from" | "client" | "src" | "source" | "rhost" | "peer" | "by" | "ip" | "remote" | "addr")
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> String {
        match find(text) {
            Some((address, Some(port))) => format!("{address} {port}"),
            Some((address, None)) => address.to_string(),
            None => String::new(),
        }
    }

    #[test]
    fn addresses_are_read_in_every_dress() {
        let read = |text| endpoint(text).map(|(address, port)| (address.to_string(), port));
        assert_eq!(read("192.0.2.1"), Some(("192.0.2.1".into(), None)));
        assert_eq!(read("192.0.2.1:80"), Some(("192.0.2.1".into(), Some(80))));
        assert_eq!(read("[2001:db8::1]:80"), Some(("2001:db8::1".into(), Some(80))));
        assert_eq!(read("fe80::1%eth0"), Some(("fe80::1".into(), None)));
        assert_eq!(read("::ffff:192.0.2.1"), Some(("192.0.2.1".into(), None)));
        for text in ["192.0.2", "192.0.2.256", "192.030.0.6", "1.2.3.4.5", "example.com:80", "", ":", "10:30:00"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_first_address_in_a_sentence_is_found() {
        assert_eq!(found("Unauthorized access from 192.168.1.100"), "192.168.1.100");
        assert_eq!(found("10.0.0.1 was probed from [203.0.113.9]:4711, dropped"), "203.0.113.9 4711");
        assert_eq!(found("peer (2001:db8::5) gone"), "2001:db8::5");
        assert_eq!(found("client=203.0.113.9, upstream=10.0.0.1"), "203.0.113.9");
        assert_eq!(found("denied 203.0.113.9."), "203.0.113.9");
        assert_eq!(found("listening on [::]:80 since 10:30:00 with v1.2.3.4 and ab::"), "");
    }

    #[test]
    fn the_search_for_addresses_is_bounded() {
        let text = format!("{} 192.0.2.1", "1.2 ".repeat(CANDIDATES_MAX));
        assert_eq!(found(&text), "");
    }

    proptest! {
        #[test]
        fn fast_ipv4_agrees_with_std(octets: [u8; 4], text in "[0-9.]{0,16}") {
            let written = Ipv4Addr::from(octets).to_string();
            prop_assert_eq!(v4(written.as_bytes()), Some(Ipv4Addr::from(octets)));
            prop_assert_eq!(v4(text.as_bytes()), text.parse().ok());
        }

        #[test]
        fn no_text_panics(text: String) {
            find(&text);
            endpoint(&text);
        }
    }
}
