//! Everything that is known at one moment.

use std::fmt::Display;
use std::hash::{BuildHasher as _, Hash, Hasher as _};
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use ipnet::IpNet;
use panoptes_model::Timestamp;

use crate::address::Scope;
use crate::agent::{self, Agent};
use crate::cidr::CidrMap;
use crate::database::{Database, Place};
use crate::domain;
use crate::facts::{Fact, Facts, Slot};
use crate::fields::side;
use crate::list::{self, Entry, KeyKind, List};

/// A part of the network that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    pub name: String,
    pub ranges: Vec<IpNet>,
    /// Whether it is ours: `network.direction` tells inside from outside by it. Private addresses are, unasked.
    pub own: bool,
    /// What `source.network.tags` and its like say.
    pub tags: Vec<String>,
}

/// A machine or service that somebody cares for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Asset {
    pub name: String,
    /// By which addresses it is known...
    pub addresses: Vec<IpNet>,
    /// ... and by which host names, in whatever case.
    pub hosts: Vec<String>,
    pub owner: String,
    pub criticality: String,
    pub kind: String,
}

/// What a snapshot is made of.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// In the order in which they are asked: later ones fill in what earlier ones lack.
    pub databases: Vec<Arc<Database>>,
    pub networks: Vec<Network>,
    pub assets: Vec<Asset>,
    pub lists: Vec<Arc<List>>,
}

/// Everything that is known at one moment; unchangeable.
#[derive(Debug)]
pub struct Snapshot {
    parts: Parts,
    /// Indexes into the networks and the assets.
    networks: CidrMap<usize>,
    assets: CidrMap<usize>,
    hosts: HashMap<String, usize>,
    fingerprint: u64,
}

impl Snapshot {
    pub fn new(parts: Parts) -> Self {
        let (mut networks, mut assets, mut hosts) = (CidrMap::new(), CidrMap::new(), HashMap::new());
        for (index, network) in parts.networks.iter().enumerate() {
            network.ranges.iter().for_each(|it| networks.at(*it).push(index));
        }
        for (index, asset) in parts.assets.iter().enumerate() {
            asset.addresses.iter().for_each(|it| assets.at(*it).push(index));
            for host in &asset.hosts {
                hosts.entry(host.to_lowercase()).or_insert(index);
            }
        }
        let mut hasher = foldhash::fast::FixedState::with_seed(0).build_hasher();
        parts.databases.iter().for_each(|it| it.fingerprint().hash(&mut hasher));
        (&parts.networks, &parts.assets).hash(&mut hasher);
        parts.lists.iter().for_each(|it| (it.options(), it.fingerprint()).hash(&mut hasher));
        Self { networks, assets, hosts, fingerprint: hasher.finish(), parts }
    }

    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What frames that are prepared with this snapshot carry as their epoch: equal for what was made of the same.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// What whoever starts Panoptes should be told once: nothing says where addresses lie.
    pub fn lacks_databases(&self) -> bool {
        self.parts.databases.is_empty()
    }

    /// How many look-ups failed because a database is broken where they led.
    pub fn lookups_failed(&self) -> u64 {
        self.parts.databases.iter().map(|it| it.lookups_failed()).sum()
    }

    pub(crate) fn has_lists(&self, kind: KeyKind) -> bool {
        self.parts.lists.iter().any(|it| it.options().kind == kind && !it.is_empty())
    }

    pub(crate) fn has_hosts(&self) -> bool {
        !self.hosts.is_empty()
    }

    pub(crate) fn address(&self, address: IpAddr, now: Timestamp, facts: &mut Facts) {
        let mut place = Place::default();
        self.parts.databases.iter().for_each(|it| it.complete(address, &mut place));
        describe(&place, facts);
        let scope = Scope::of(address);
        facts.text(Slot::Side(side::SCOPE), scope.as_str());
        facts.is_own = scope.is_inside();
        let mut tags: Vec<&str> = Vec::new();
        let mut name = "";
        for network in self.networks.matches(address).filter_map(|it| self.parts.networks.get(*it)) {
            if name.is_empty() {
                name = &network.name;
            }
            facts.is_own |= network.own;
            tags.extend(network.tags.iter().map(String::as_str));
        }
        facts.text(Slot::Side(side::NETWORK), name);
        if let Some(asset) = self.assets.matches(address).next().and_then(|it| self.parts.assets.get(*it)) {
            asset.describe(|index, value| facts.text(Slot::Side(side::ASSET + index), value));
        }
        let mut lists = Vec::new();
        for (index, list) in self.lists(KeyKind::Address) {
            let Some(entry) = list.of_address(address).find(|it| facts.is_in_force(it.expires, now)) else { continue };
            facts.matched(index, list, entry, address_kind(address), &address);
            tags.extend(list.options().tags.iter().map(String::as_str));
            lists.push(list.options().name.as_str().into());
        }
        tags.extend(&place.tags);
        let mut distinct: Vec<Box<str>> = Vec::new();
        for tag in tags {
            if !distinct.iter().any(|it| **it == *tag) {
                distinct.push(tag.into());
            }
        }
        facts.texts(Slot::Side(side::TAGS), distinct);
        facts.texts(Slot::Side(side::LISTS), lists);
    }

    /// Only which lists have it: for addresses that are no end of a connection.
    pub(crate) fn listed_address(&self, address: IpAddr, now: Timestamp, facts: &mut Facts) {
        for (index, list) in self.lists(KeyKind::Address) {
            if let Some(entry) = list.of_address(address).find(|it| facts.is_in_force(it.expires, now)) {
                facts.matched(index, list, entry, address_kind(address), &address);
            }
        }
    }

    pub(crate) fn domain(&self, written: &str, now: Timestamp, facts: &mut Facts) {
        let Some(domain) = domain::canonical(written) else { return };
        if let Some(parts) = domain::parts(&domain) {
            for (index, part) in (0..).zip([parts.registered, parts.top_level, parts.subdomain]) {
                facts.text(Slot::Domain(index), part);
            }
        }
        for (index, list) in self.lists(KeyKind::Domain) {
            let mut entries = domain::with_parents(&domain).filter_map(|it| list.of_text(it));
            if let Some(entry) = entries.find(|it| facts.is_in_force(it.expires, now)) {
                facts.matched(index, list, entry, "domain-name", &domain);
            }
        }
    }

    pub(crate) fn hash(&self, written: &str, now: Timestamp, facts: &mut Facts) {
        if let Some(hash) = list::hash(written) {
            self.text(KeyKind::Hash, &hash, "file", now, facts);
        }
    }

    pub(crate) fn user(&self, written: &str, now: Timestamp, facts: &mut Facts) {
        if let Some(user) = list::user(written) {
            self.text(KeyKind::User, &user, "user-account", now, facts);
        }
    }

    fn text(&self, kind: KeyKind, value: &str, indicator: &str, now: Timestamp, facts: &mut Facts) {
        for (index, list) in self.lists(kind) {
            if let Some(entry) = list.of_text(value).filter(|it| facts.is_in_force(it.expires, now)) {
                facts.matched(index, list, entry, indicator, &value);
            }
        }
    }

    /// By its full name, else by the name in front of the first dot.
    pub(crate) fn host(&self, written: &str, facts: &mut Facts) {
        let host = list::lower(written);
        let short = host.split('.').next().unwrap_or("");
        let found = self.hosts.get(&*host).or_else(|| self.hosts.get(short));
        if let Some(asset) = found.and_then(|it| self.parts.assets.get(*it)) {
            asset.describe(|index, value| facts.text(Slot::Host(index), value));
        }
    }

    pub(crate) fn agent(written: &str, facts: &mut Facts) {
        let Agent { name, version, os_name, os_version, device } = agent::parse(written);
        for (index, part) in (0..).zip([name, version, os_name, os_version, device]) {
            facts.text(Slot::Agent(index), &part);
        }
    }

    fn lists(&self, kind: KeyKind) -> impl Iterator<Item = (u16, &List)> {
        (0..).zip(&self.parts.lists).filter(move |(_, it)| it.options().kind == kind).map(|(index, it)| (index, &**it))
    }
}

impl Asset {
    fn describe(&self, mut tell: impl FnMut(u8, &str)) {
        for (index, value) in (0..).zip([&self.name, &self.owner, &self.criticality, &self.kind]) {
            tell(index, value);
        }
    }
}

impl Facts {
    fn matched(&mut self, index: u16, list: &List, entry: &Entry, kind: &str, value: &dyn Display) {
        self.text(Slot::Label(index), &entry.label);
        let is_first = !self.all.iter().any(|it| matches!(it.0, Slot::Threat(_)));
        if list.options().indicator && is_first {
            let value = value.to_string();
            let values = [kind, &value, &list.options().name];
            (0..).zip(values).for_each(|(index, value)| self.text(Slot::Threat(index), value));
        }
    }
}

/// What STIX calls it.
fn address_kind(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ipv4-addr" } else { "ipv6-addr" }
}

fn describe(place: &Place, facts: &mut Facts) {
    let texts = [
        (side::CONTINENT, &place.continent),
        (side::COUNTRY_ISO, &place.country_iso),
        (side::COUNTRY, &place.country),
        (side::REGION_ISO, &place.region_iso),
        (side::REGION, &place.region),
        (side::CITY, &place.city),
        (side::TIMEZONE, &place.timezone),
        (side::AS_ORGANIZATION, &place.as_organization),
    ];
    for (slot, value) in texts {
        facts.text(Slot::Side(slot), value);
    }
    if let Some((latitude, longitude)) = place.location {
        facts.text(Slot::Side(side::LOCATION), &format!("{latitude},{longitude}"));
    }
    if let Some(number) = place.as_number {
        facts.all.push((Slot::Side(side::AS_NUMBER), Fact::Integer(i64::from(number))));
    }
}

/// The same for the same bytes, on every machine and after every restart.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hasher = foldhash::quality::FixedState::with_seed(0).build_hasher();
    hasher.write(bytes);
    hasher.finish()
}
