//! What the kernel writes in hexadecimal: texts that a stranger chose, and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The value of one hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|it| u8::try_from(it).ok())
}

/// Whether `text` could be bytes in hexadecimal.
pub(super) fn is_hex(text: &str) -> bool {
    text.len() >= 2 && text.len().is_multiple_of(2) && text.bytes().all(|it| it.is_ascii_hexdigit())
}

/// Appends the bytes that `text` stands for. What is no hexadecimal ends it.
pub(super) fn hex(text: &str, out: &mut Vec<u8>) {
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    for [high, low] in pairs {
        match (digit(*high), digit(*low)) {
            (Some(high), Some(low)) => out.push(high << 4 | low),
            _ => return,
        }
    }
}

/// The other end of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Socket {
    Ip(IpAddr, u16),
    /// A path, or with `@` in front a name that is no file.
    Unix(String),
    /// Another family, by number.
    Other(u16),
}

impl Socket {
    /// How auditd calls the family.
    pub(super) fn family(&self) -> &'static str {
        match self {
            Self::Ip(IpAddr::V4(_), _) => "inet",
            Self::Ip(IpAddr::V6(_), _) => "inet6",
            Self::Unix(_) | Self::Other(1) => "local",
            Self::Other(16) => "netlink",
            Self::Other(17) => "packet",
            Self::Other(38) => "alg",
            Self::Other(40) => "vsock",
            Self::Other(44) => "xdp",
            Self::Other(_) => "other",
        }
    }

    /// What the address of a socket, as the kernel holds it in memory, stands for. The family is in the byte order of
    /// the machine; nearly all of them put the small end first.
    pub(super) fn of(saddr: &str) -> Option<Self> {
        let mut bytes = Vec::new();
        hex(saddr, &mut bytes);
        let (family, rest) = bytes.split_first_chunk::<2>()?;
        let family = match u16::from_le_bytes(*family) {
            family @ 0..=255 => family,
            _ => u16::from_be_bytes(*family),
        };
        Some(match family {
            1 => {
                let (mark, path) = match rest {
                    [0, name @ ..] => ("@", name),
                    path => ("", path),
                };
                let end = path.iter().position(|it| *it == 0).unwrap_or(path.len());
                let path = path.get(..end).unwrap_or_default();
                if path.is_empty() {
                    return Some(Self::Other(1));
                }
                Self::Unix(format!("{mark}{}", String::from_utf8_lossy(path)))
            }
            2 => {
                let (port, rest) = rest.split_first_chunk::<2>()?;
                let (address, _) = rest.split_first_chunk::<4>()?;
                Self::Ip(Ipv4Addr::from(*address).into(), u16::from_be_bytes(*port))
            }
            10 => {
                let (port, rest) = rest.split_first_chunk::<2>()?;
                let (address, _) = rest.get(4..)?.split_first_chunk::<16>()?;
                Self::Ip(IpAddr::V6(Ipv6Addr::from(*address)).to_canonical(), u16::from_be_bytes(*port))
            }
            other => Self::Other(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_read_as_the_kernel_holds_them() {
        let read = |saddr| Socket::of(saddr);
        assert_eq!(read("02000035C00002010000000000000000"), Some(Socket::Ip("192.0.2.1".parse().unwrap(), 53)));
        assert_eq!(
            read("0A0001BB0000000020010DB800000000000000000000000500000000"),
            Some(Socket::Ip("2001:db8::5".parse().unwrap(), 443))
        );
        assert_eq!(read("01002F746D702F7800"), Some(Socket::Unix("/tmp/x".into())));
        assert_eq!(read("0100006162"), Some(Socket::Unix("@ab".into())));
        assert_eq!(read("100000000000000000000000").map(|it| it.family()), Some("netlink"));
        assert_eq!(read("00020035C0000201"), Some(Socket::Ip("192.0.2.1".parse().unwrap(), 53)), "the large end first");
        for torn in ["", "02", "0200", "02000035C000", "0A0001BB00000000", "zz"] {
            assert_eq!(read(torn), None, "{torn}");
        }
    }

    proptest! {
        #[test]
        fn hexadecimal_gives_its_bytes_back(bytes: Vec<u8>, text: String) {
            let written: String = bytes.iter().map(|it| format!("{it:02X}")).collect();
            let mut read = Vec::new();
            hex(&written, &mut read);
            prop_assert_eq!(read, bytes);
            hex(&text, &mut Vec::new());
            Socket::of(&text);
        }
    }
}
