//! What kind of address it is, whatever anybody has configured.

use std::net::{IpAddr, Ipv4Addr};

/// Where packets to an address can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Public,
    /// RFC 1918, unique local.
    Private,
    /// Between a provider and its customers.
    Shared,
    Loopback,
    LinkLocal,
    Multicast,
    /// For documentation, benchmarks, the future; unspecified, broadcast.
    Reserved,
}

impl Scope {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(it) => Self::of_v4(it),
            IpAddr::V6(it) => match it.segments() {
                _ if it.is_loopback() => Self::Loopback,
                _ if it.is_multicast() => Self::Multicast,
                _ if it.is_unique_local() => Self::Private,
                _ if it.is_unicast_link_local() => Self::LinkLocal,
                [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x100, 0, 0, 0, ..] => Self::Reserved,
                // NAT64 and 6to4 carry an IPv4 address.
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
                    Self::of_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
                }
                [0x2000..=0x3fff, ..] => Self::Public,
                _ => Self::Reserved,
            },
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            _ if address.is_loopback() => Self::Loopback,
            _ if address.is_private() => Self::Private,
            _ if address.is_link_local() => Self::LinkLocal,
            _ if address.is_multicast() => Self::Multicast,
            [100, 64..=127, ..] => Self::Shared,
            [0, ..]
            | [192, 0, 0 | 2, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [240..=255, ..] => Self::Reserved,
            _ => Self::Public,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Shared => "shared",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link_local",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        }
    }

    /// Whether such an address is of this network or this machine without anybody saying so.
    pub(crate) const fn is_inside(self) -> bool {
        matches!(self, Self::Private | Self::Loopback | Self::LinkLocal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_has_its_scope() {
        for (scope, addresses) in [
            (Scope::Public, &["8.8.8.8", "172.32.0.1", "2606:4700::1111", "100.128.0.1", "2002:808:808::1"][..]),
            (
                Scope::Private,
                &["10.1.2.3", "172.16.0.1", "192.168.1.1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"],
            ),
            (Scope::Shared, &["100.64.0.1"]),
            (Scope::Loopback, &["127.0.0.53", "::1"]),
            (Scope::LinkLocal, &["169.254.1.1", "fe80::1"]),
            (Scope::Multicast, &["224.0.0.251", "ff02::fb"]),
            (
                Scope::Reserved,
                &["0.0.0.0", "255.255.255.255", "192.0.2.1", "198.18.0.1", "2001:db8::1", "::", "4000::1"],
            ),
        ] {
            for address in addresses {
                assert_eq!(Scope::of(address.parse().unwrap()), scope, "{address}");
            }
        }
    }
}
