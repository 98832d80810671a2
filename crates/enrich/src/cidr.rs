//! Values by network: every network that an address lies in, the smallest first.

use std::net::IpAddr;

use hashbrown::HashMap;
use ipnet::IpNet;

/// One table for each prefix length that occurs: a look-up costs one probe for each of them, at most 33 or 129.
#[derive(Debug, Default)]
pub(crate) struct CidrMap<T> {
    v4: Vec<(u8, HashMap<u128, Vec<T>>)>,
    v6: Vec<(u8, HashMap<u128, Vec<T>>)>,
}

impl<T> CidrMap<T> {
    pub(crate) fn new() -> Self {
        Self { v4: Vec::new(), v6: Vec::new() }
    }

    /// The values of exactly this network.
    pub(crate) fn at(&mut self, network: IpNet) -> &mut Vec<T> {
        let (tables, length) = match canonical(network) {
            IpNet::V4(it) => (&mut self.v4, it.prefix_len()),
            IpNet::V6(it) => (&mut self.v6, it.prefix_len()),
        };
        let key = masked(bits(canonical(network).addr()), length, width(canonical(network).addr()));
        // The longest prefix first.
        let place = tables.partition_point(|it| it.0 > length);
        if tables.get(place).is_none_or(|it| it.0 != length) {
            tables.insert(place, (length, HashMap::new()));
        }
        tables[place].1.entry(key).or_default()
    }

    pub(crate) fn matches(&self, address: IpAddr) -> impl Iterator<Item = &T> {
        let address = address.to_canonical();
        let (tables, width, bits) = match address {
            IpAddr::V4(_) => (&self.v4, 32, bits(address)),
            IpAddr::V6(_) => (&self.v6, 128, bits(address)),
        };
        tables.iter().filter_map(move |(length, table)| table.get(&masked(bits, *length, width))).flatten()
    }
}

/// Networks of IPv4 addresses written in IPv6 as IPv4: addresses are looked up in that form.
fn canonical(network: IpNet) -> IpNet {
    match network {
        IpNet::V6(it) if it.prefix_len() >= 96 => match it.addr().to_ipv4_mapped() {
            Some(v4) => ipnet::Ipv4Net::new(v4, it.prefix_len() - 96).map_or(network, IpNet::V4),
            None => network,
        },
        _ => network,
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(it) => u128::from(it.to_bits()),
        IpAddr::V6(it) => it.to_bits(),
    }
}

fn masked(bits: u128, length: u8, width: u8) -> u128 {
    let host = u32::from(width.saturating_sub(length));
    bits.checked_shr(host).unwrap_or(0).checked_shl(host).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(networks: &[&str]) -> CidrMap<String> {
        let mut map = CidrMap::new();
        for network in networks {
            map.at(network.parse().unwrap()).push((*network).to_owned());
        }
        map
    }

    fn found(map: &CidrMap<String>, address: &str) -> Vec<String> {
        map.matches(address.parse().unwrap()).cloned().collect()
    }

    #[test]
    fn the_smallest_network_comes_first() {
        let map = map(&["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "::/0", "2001:db8::/32"]);
        assert_eq!(found(&map, "10.1.2.3"), ["10.1.2.3/32", "10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"]);
        assert_eq!(found(&map, "10.2.2.3"), ["10.0.0.0/8", "0.0.0.0/0"]);
        assert_eq!(found(&map, "2001:db8::1"), ["2001:db8::/32", "::/0"]);
    }

    #[test]
    fn ipv4_in_ipv6_is_ipv4_on_both_sides() {
        let map = map(&["::ffff:192.0.2.0/120", "198.51.100.0/24"]);
        assert_eq!(found(&map, "192.0.2.9"), ["::ffff:192.0.2.0/120"]);
        assert_eq!(found(&map, "::ffff:198.51.100.1"), ["198.51.100.0/24"]);
    }

    #[test]
    fn host_bits_of_a_network_do_not_matter() {
        assert_eq!(found(&map(&["10.1.2.3/8"]), "10.9.9.9"), ["10.1.2.3/8"]);
    }
}
