//! What is known of addresses, domains and users beyond what events say: what may be written, and what it means.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::meaning::Reader;

/// How many lists may be named; each is a field of its own.
const LISTS_MAX: usize = 256;
/// How long the name of a list may be.
const LIST_NAME_BYTES_MAX: usize = 64;

/// What events are enriched with. Files are read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnrichSection {
    /// MaxMind-format databases (.mmdb) of countries, cities, networks (ASN) or anonymous networks. Later ones fill in
    /// what earlier ones lack.
    pub databases: Vec<String>,
    /// Parts of the network that have a name.
    pub networks: Vec<NetworkSection>,
    /// Machines and services that somebody cares for.
    pub assets: Vec<AssetSection>,
    /// Lists of addresses, domains, hashes or users.
    pub lists: Vec<ListSection>,
}

/// A part of the network that has a name: `source.network.name`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkSection {
    pub name: String,
    /// Addresses and networks such as 10.1.0.0/16.
    pub ranges: Vec<String>,
    /// Whether it is ours, so that traffic with it can be inbound or outbound. Private addresses always are.
    pub own: bool,
    /// What else to say of it: `source.network.tags`.
    pub tags: Vec<String>,
}

impl Default for NetworkSection {
    fn default() -> Self {
        Self { name: String::new(), ranges: Vec::new(), own: true, tags: Vec::new() }
    }
}

/// A machine or service that somebody cares for: `source.asset.*`, `host.asset.*`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AssetSection {
    pub name: String,
    /// Addresses and networks by which it is known.
    pub addresses: Vec<String>,
    /// Host names by which it is known, in full or up to the first dot.
    pub hosts: Vec<String>,
    /// Whom to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How bad its loss would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criticality: Option<Criticality>,
    /// What it is, such as `database` or `printer`: `source.asset.type`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// How bad the loss of an asset would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Criticality {
    Low,
    Medium,
    High,
    Critical,
}

impl Criticality {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A list of values in a CSV file: events that have one of them get the field `labels.list.<name>`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListSection {
    /// Lower-case letters, digits, `_` and `-`.
    pub name: String,
    /// The file: one value per line, or CSV with a header if `column` is given. Lines that begin with # are comments.
    pub path: String,
    /// What its values are.
    pub kind: ListKind,
    /// The column of the values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The column of the time (2026-01-31, 2026-01-31T12:00:00Z or seconds since 1970) from which a row does not count
    /// any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The column whose text the field gets. Default: the value that matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What to say of addresses on the list, such as vpn, hosting or relay: `source.network.tags`.
    pub tags: Vec<String>,
    /// Whether a match is evidence of a threat: `threat.indicator.*`.
    pub indicator: bool,
}

/// What the values of a list are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ListKind {
    /// Addresses and networks.
    #[default]
    Address,
    /// Domains, each with everything below it.
    Domain,
    /// MD5, SHA-1, SHA-256 or SHA-512.
    Hash,
    /// User names, in whatever case.
    User,
}

/// What events are enriched with. All paths are absolute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnrichConfig {
    pub databases: Vec<PathBuf>,
    pub networks: Vec<NetworkConfig>,
    pub assets: Vec<AssetConfig>,
    pub lists: Vec<ListConfig>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NetworkConfig {
    pub name: String,
    pub ranges: Vec<IpNet>,
    pub own: bool,
    pub tags: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AssetConfig {
    pub name: String,
    /// Of these two, at least one is there.
    pub addresses: Vec<IpNet>,
    pub hosts: Vec<String>,
    pub owner: Option<String>,
    pub criticality: Option<Criticality>,
    pub kind: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ListConfig {
    /// No other list has it.
    pub name: String,
    pub path: PathBuf,
    pub kind: ListKind,
    /// There if `expires` or `label` is.
    pub column: Option<String>,
    pub expires: Option<String>,
    pub label: Option<String>,
    pub tags: Vec<String>,
    pub indicator: bool,
}

impl Reader<'_> {
    /// What `section` means; its paths become those that are shown.
    pub(crate) fn enrich(&mut self, section: &mut EnrichSection) -> EnrichConfig {
        let databases: Vec<PathBuf> = (section.databases.iter().enumerate())
            .map(|(index, it)| self.path(&format!("enrich.databases[{index}]"), it))
            .collect();
        section.databases = databases.iter().map(|it| it.to_string_lossy().into_owned()).collect();
        let networks = section.networks.iter().enumerate().map(|(index, it)| self.network(index, it)).collect();
        let assets = section.assets.iter().enumerate().map(|(index, it)| self.asset(index, it)).collect();
        if section.lists.len() > LISTS_MAX {
            let message = format!("`enrich.lists` are {}, of at most {LISTS_MAX}; join some", section.lists.len());
            self.complain("enrich.lists", message);
        }
        let mut names = BTreeSet::new();
        let lists: Vec<ListConfig> =
            section.lists.iter().enumerate().map(|(index, it)| self.list(index, it, &mut names)).collect();
        for (written, meant) in section.lists.iter_mut().zip(&lists) {
            written.path = meant.path.to_string_lossy().into_owned();
        }
        EnrichConfig { databases, networks, assets, lists }
    }

    fn network(&mut self, index: usize, section: &NetworkSection) -> NetworkConfig {
        let key = format!("enrich.networks[{index}]");
        if section.name.is_empty() {
            self.complain(&key, format!("`{key}.name` is missing; name the network"));
        }
        if section.ranges.is_empty() {
            self.complain(&key, format!("`{key}.ranges` is missing or empty; say which addresses are meant"));
        }
        NetworkConfig {
            name: section.name.clone(),
            ranges: self.ranges(&format!("{key}.ranges"), &section.ranges),
            own: section.own,
            tags: section.tags.clone(),
        }
    }

    fn asset(&mut self, index: usize, section: &AssetSection) -> AssetConfig {
        let key = format!("enrich.assets[{index}]");
        if section.name.is_empty() {
            self.complain(&key, format!("`{key}.name` is missing; name the asset"));
        }
        if section.addresses.is_empty() && section.hosts.is_empty() {
            self.complain(&key, format!("`{key}` has neither `addresses` nor `hosts`; say by what it is known"));
        }
        AssetConfig {
            name: section.name.clone(),
            addresses: self.ranges(&format!("{key}.addresses"), &section.addresses),
            hosts: section.hosts.clone(),
            owner: section.owner.clone(),
            criticality: section.criticality,
            kind: section.kind.clone(),
        }
    }

    fn list(&mut self, index: usize, section: &ListSection, names: &mut BTreeSet<String>) -> ListConfig {
        let key = format!("enrich.lists[{index}]");
        let ListSection { name, path, kind, column, expires, label, tags, indicator } = section.clone();
        let is_usual = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, '_' | '-');
        if name.is_empty() || name.len() > LIST_NAME_BYTES_MAX || !name.chars().all(is_usual) {
            let message = format!(
                "`{key}.name` is `{name}`; name the list in at most {LIST_NAME_BYTES_MAX} lower-case letters, digits, \
                 `_` and `-`"
            );
            self.complain(&key, message);
        } else if !names.insert(name.clone()) {
            self.complain(&key, format!("`{key}.name` is `{name}`, which another list is called; choose another name"));
        }
        if column.is_none() && (expires.is_some() || label.is_some()) {
            let message = format!("`{key}` names other columns, but not the `column` of its values; name it");
            self.complain(&key, message);
        }
        let path = self.path(&format!("{key}.path"), &path);
        ListConfig { name, path, kind, column, expires, label, tags, indicator }
    }

    fn ranges(&mut self, key: &str, written: &[String]) -> Vec<IpNet> {
        let mut ranges = Vec::with_capacity(written.len());
        for (index, text) in written.iter().enumerate() {
            match text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
                Ok(range) => ranges.push(range),
                Err(_) => {
                    let key = format!("{key}[{index}]");
                    let message = format!("`{key}` is `{text}`, no address and no network such as 10.1.0.0/16");
                    self.complain(&key, message);
                }
            }
        }
        ranges
    }
}
