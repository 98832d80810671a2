//! Networks that addresses are looked up in: one table of prefixes for each length that occurs.

use std::net::IpAddr;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ipnet::IpNet;

/// Prefixes by length: a lookup costs one probe per length that some rule uses, however many networks there are.
#[derive(Default)]
pub(crate) struct Networks {
    four: Vec<(u8, Table)>,
    six: Vec<(u8, Table)>,
}

type Table = HashMap<u128, Vec<u32>, FixedState>;

impl Networks {
    pub(crate) fn is_empty(&self) -> bool {
        self.four.is_empty() && self.six.is_empty()
    }

    pub(crate) fn add(&mut self, network: IpNet, atom: u32) {
        let length = network.prefix_len();
        let (tables, prefix) = match network {
            IpNet::V4(network) => (&mut self.four, prefix_of(u128::from(network.network().to_bits()) << 96, length)),
            IpNet::V6(network) => (&mut self.six, prefix_of(network.network().to_bits(), length)),
        };
        let index = match tables.iter().position(|(known, _)| *known == length) {
            Some(index) => index,
            None => {
                tables.push((length, Table::default()));
                tables.len() - 1
            }
        };
        if let Some((_, table)) = tables.get_mut(index) {
            table.entry(prefix).or_default().push(atom);
        }
    }

    /// Calls `hit` for every network that `address` is in.
    pub(crate) fn find(&self, address: IpAddr, mut hit: impl FnMut(u32)) {
        let (tables, bits) = match address {
            IpAddr::V4(address) => (&self.four, u128::from(address.to_bits()) << 96),
            IpAddr::V6(address) => (&self.six, address.to_bits()),
        };
        for (length, table) in tables {
            for atom in table.get(&prefix_of(bits, *length)).map(Vec::as_slice).unwrap_or_default() {
                hit(*atom);
            }
        }
    }
}

/// The first `length` of 128 bits, left aligned.
fn prefix_of(bits: u128, length: u8) -> u128 {
    bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_address_is_in_the_networks_that_contain_it(
            networks in prop::collection::vec((any::<u32>(), 0_u8..=32, any::<u128>(), 0_u8..=128), 1..20),
            address in any::<u32>(), six in any::<u128>(), near in any::<prop::sample::Index>(),
        ) {
            let mut all = Vec::new();
            for (four, short, six, long) in networks {
                all.push(IpNet::new_assert(IpAddr::from(four.to_be_bytes()), short));
                all.push(IpNet::new_assert(IpAddr::from(six.to_be_bytes()), long));
            }
            let mut tables = Networks::default();
            for (index, network) in (0..).zip(&all) {
                tables.add(*network, index);
            }
            let near = all[near.index(all.len())].addr();
            for address in [IpAddr::from(address.to_be_bytes()), IpAddr::from(six.to_be_bytes()), near] {
                let mut found = Vec::new();
                tables.find(address, |it| found.push(it));
                found.sort_unstable();
                let expected: Vec<u32> = (0..).zip(&all).filter(|(_, it)| it.contains(&address)).map(|(index, _)| index).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
