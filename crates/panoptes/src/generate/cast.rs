//! Who acts in the generated logs: hosts, people with their machines, visitors. Made from the seed, then fixed, so
//! that a person keeps the address and key that a detector learns.
//!
//! All addresses are from the ranges for documentation (RFC 5737) and for private networks (RFC 1918).
//! 203.0.113.0/24 belongs to the attackers alone: no honest line ever comes from there.

use std::net::Ipv4Addr;

use fastrand::Rng;

pub(super) const WEB_HOSTS: [&str; 2] = ["web1", "web2"];
pub(super) const APP_HOSTS: [&str; 2] = ["app1", "app2"];
pub(super) const HOSTS: [&str; 6] = ["web1", "web2", "app1", "app2", "db1", "gate1"];

const NAMES: [&str; 16] = [
    "alice", "amir", "bruno", "carla", "chen", "dalia", "elena", "farid", "greta", "hugo", "ines", "jonas", "kavya",
    "liam", "maria", "noah",
];

/// Visitors of the web site; a pool of lines draws from them.
const VISITORS: usize = 3_000;

/// Someone who logs in.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) uid: u32,
    pub(super) address: Ipv4Addr,
    /// The SHA-256 fingerprint of their key, as sshd writes it.
    pub(super) key: String,
}

#[derive(Debug)]
pub(super) struct Cast {
    pub(super) people: Vec<Person>,
    pub(super) visitors: Vec<Ipv4Addr>,
}

impl Cast {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let people = NAMES.iter().zip(1_001..).map(|(name, uid)| Person {
            name,
            uid,
            address: Ipv4Addr::new(10, 20, rng.u8(0..8), (uid % 250) as u8),
            key: fingerprint(rng),
        });
        let people = people.collect();
        let visitors = (0..VISITORS).map(|_| visitor(rng)).collect();
        Self { people, visitors }
    }
}

fn visitor(rng: &mut Rng) -> Ipv4Addr {
    let last = rng.u8(1..255);
    match rng.u8(0..10) {
        0..=2 => Ipv4Addr::new(192, 0, 2, last),
        3..=5 => Ipv4Addr::new(198, 51, 100, last),
        6..=7 => Ipv4Addr::new(10, rng.u8(32..96), rng.u8(..), last),
        8 => Ipv4Addr::new(172, rng.u8(16..32), rng.u8(..), last),
        _ => Ipv4Addr::new(192, 168, rng.u8(..), last),
    }
}

/// 43 characters of base64: a fingerprint in form, of nothing.
fn fingerprint(rng: &mut Rng) -> String {
    (0..43).map(|_| rng.alphanumeric()).collect()
}

/// The address of the `n`th attacker: a new one each time until all 254 had their turn.
pub(super) fn attacker(n: usize) -> Ipv4Addr {
    // 89 has no factor in common with 254, so all residues are visited before one comes again.
    Ipv4Addr::new(203, 0, 113, ((n * 89 + 8) % 254 + 1) as u8)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn attackers_are_new_until_all_had_their_turn_and_never_visitors() {
        let attackers: HashSet<_> = (0..254).map(attacker).collect();
        assert_eq!(attackers.len(), 254);
        assert_eq!(attacker(0), Ipv4Addr::new(203, 0, 113, 9));
        let cast = Cast::new(&mut Rng::with_seed(1));
        assert!(cast.visitors.iter().all(|it| !attackers.contains(it)));
        assert!(cast.people.iter().all(|it| it.address.is_private()));
        let addresses: HashSet<_> = cast.people.iter().map(|it| it.address).collect();
        assert_eq!(addresses.len(), cast.people.len());
    }
}
