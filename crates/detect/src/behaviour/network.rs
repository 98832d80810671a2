//! Addresses: whose are own, which lie together, and which networks hide where somebody is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Autonomous systems of relays, hosting and networks on board of aircraft and ships, by number: whoever logs in
/// through them is elsewhere. Facts from the public registries; names below catch most others.
const RELAY_NUMBERS: &[u32] = &[
    9_009,   // M247
    12_876,  // Scaleway
    13_335,  // Cloudflare
    14_061,  // DigitalOcean
    14_593,  // Starlink
    14_618,  // Amazon
    16_276,  // OVH
    16_509,  // Amazon
    20_473,  // Vultr
    22_351,  // Intelsat, in-flight
    24_940,  // Hetzner
    31_173,  // 31173 Services, VPN
    36_183,  // Akamai, private relay
    39_351,  // 31173 and other VPNs
    54_113,  // Fastly, private relay
    60_068,  // Datacamp
    62_240,  // Clouvider
    63_949,  // Linode
    64_294,  // in-flight
    209_103, // Proton
    212_238, // Datacamp
    396_982, // Google Cloud
];

/// Words in the names of such networks, in small letters.
const RELAY_WORDS: &[&str] = &[
    "akamai",
    "amazon",
    "anonym",
    "avionics",
    "clouvider",
    "cloud",
    "colocation",
    "colocrossing",
    "contabo",
    "datacamp",
    "data center",
    "datacenter",
    "digitalocean",
    "expressvpn",
    "fastly",
    "gogo",
    "hetzner",
    "hosting",
    "inflight",
    "in-flight",
    "inmarsat",
    "intelsat",
    "leaseweb",
    "linode",
    "m247",
    "mullvad",
    "netskope",
    "nordvpn",
    "ovh",
    "private relay",
    "proton",
    "proxy",
    "satellite",
    "server",
    "starlink",
    "surfshark",
    "tor exit",
    "viasat",
    "vpn",
    "vps",
    "vultr",
    "zscaler",
];

/// Whether a network of this number or name says nothing of the place of those who use it.
pub(super) fn is_relay(number: Option<u32>, name: &str) -> bool {
    if number.is_some_and(|it| RELAY_NUMBERS.contains(&it)) {
        return true;
    }
    let name = name.to_lowercase();
    RELAY_WORDS.iter().any(|it| name.contains(it))
}

/// Networks on board of aircraft and ships: their addresses have a country, their passengers do not.
const ON_BOARD_NUMBERS: &[u32] = &[14_593, 22_351, 64_294];
const ON_BOARD_WORDS: &[&str] =
    &["avionics", "gogo", "inflight", "in-flight", "inmarsat", "intelsat", "starlink", "viasat"];

pub(super) fn is_on_board(number: Option<u32>, name: &str) -> bool {
    let name = name.to_lowercase();
    number.is_some_and(|it| ON_BOARD_NUMBERS.contains(&it)) || ON_BOARD_WORDS.iter().any(|it| name.contains(it))
}

/// Whether the address is one that nobody can have from outside: private, shared, link-local, loopback.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => {
            let [first, second, ..] = it.octets();
            it.is_private() || it.is_loopback() || it.is_link_local() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(it) => it.is_loopback() || it.is_unique_local() || it.is_unicast_link_local(),
    }
}

/// The network that an address shares with its neighbours: /24 or /48. A home line changes its address within it.
pub(super) fn network_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(it) => format!("{}/24", Ipv4Addr::from_bits(it.to_bits() & 0xffff_ff00)),
        IpAddr::V6(it) => format!("{}/48", Ipv6Addr::from_bits(it.to_bits() & !((1 << 80) - 1))),
    }
}

const EARTH_KM: f32 = 6_371.0;

/// Kilometres between two points, along the surface.
pub(super) fn distance_km(from: (f32, f32), to: (f32, f32)) -> f32 {
    let (latitude, other) = (from.0.to_radians(), to.0.to_radians());
    let (north, east) = ((other - latitude) / 2.0, (to.1 - from.1).to_radians() / 2.0);
    let chord = north.sin().powi(2) + latitude.cos() * other.cos() * east.sin().powi(2);
    2.0 * EARTH_KM * chord.clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_globe() {
        let (berlin, new_york, sydney) = ((52.52, 13.40), (40.71, -74.01), (-33.87, 151.21));
        assert!((distance_km(berlin, new_york) - 6_385.0).abs() < 30.0);
        assert!((distance_km(berlin, sydney) - 16_094.0).abs() < 60.0);
        assert!(distance_km(berlin, berlin) < 0.01);
        assert!((distance_km((0.0, 179.9), (0.0, -179.9)) - 22.2).abs() < 1.0, "across the date line");
    }

    #[test]
    fn networks_and_private_addresses_are_known() {
        for (address, is_own, network) in [
            ("192.168.7.9", true, "192.168.7.0/24"),
            ("100.64.1.2", true, "100.64.1.0/24"),
            ("100.128.1.2", false, "100.128.1.0/24"),
            ("203.0.113.9", false, "203.0.113.0/24"),
            ("fd00:1:2:3::4", true, "fd00:1:2::/48"),
            ("2001:db8:1:2::3", false, "2001:db8:1::/48"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!((is_private(address), network_of(address).as_str()), (is_own, network), "{address}");
        }
        assert!(
            is_relay(Some(22_351), "")
                && is_relay(None, "Example VPN Ltd")
                && !is_relay(Some(3_320), "Deutsche Telekom AG")
        );
    }
}
