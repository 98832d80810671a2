//! MaxMind-format databases: geography, autonomous systems, anonymous networks.
//!
//! Which of these a database holds does not matter: every record is asked for all of it. Understood are the names that
//! MaxMind's own databases use (and those made like them), and `country_code`, `city`, `latitude` and `longitude`
//! without any nesting, as free databases have them.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use maxminddb::Reader;
use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};

use crate::snapshot::fingerprint;

/// The largest file that is read as a database; one that is larger is refused. The databases of whole cities have some
/// 100 MB.
pub const DATABASE_BYTES_MAX: u64 = 1 << 30;
/// Longer names are cut here: a broken database must not make events grow.
const NAME_BYTES_MAX: usize = 256;

/// Why a file is no database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    #[error("`{name}` is no readable MaxMind-format database (.mmdb): get it anew from where it came")]
    Malformed { name: String, source: maxminddb::MaxMindDbError },
    #[error("`{name}` has an index of IPv{ip_version}, which does not exist: get it anew from where it came")]
    IpVersion { name: String, ip_version: u16 },
    #[error("`{name}` is larger than the {DATABASE_BYTES_MAX} bytes that a database may have")]
    TooLarge { name: String },
}

/// One database.
pub struct Database {
    name: String,
    reader: Reader<Vec<u8>>,
    fingerprint: u64,
    failed: AtomicU64,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Database").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Database {
    /// Reads the file called `name` in errors.
    ///
    /// # Errors
    /// The file is no database, or one that is broken where this shows at once. What is broken further down fails
    /// where it is looked up, and is counted.
    pub fn new(name: &str, bytes: Vec<u8>) -> Result<Self, DatabaseError> {
        let name = name.to_owned();
        if bytes.len() as u64 > DATABASE_BYTES_MAX {
            return Err(DatabaseError::TooLarge { name });
        }
        let fingerprint = fingerprint(&bytes);
        let reader = match Reader::from_source(bytes) {
            Ok(reader) => reader,
            Err(source) => return Err(DatabaseError::Malformed { name, source }),
        };
        let ip_version = reader.metadata().ip_version;
        if !matches!(ip_version, 4 | 6) {
            return Err(DatabaseError::IpVersion { name, ip_version });
        }
        Ok(Self { name, reader, fingerprint, failed: AtomicU64::new(0) })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the database says that it is, such as `GeoLite2-City`.
    pub fn kind(&self) -> &str {
        &self.reader.metadata().database_type
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// How many look-ups failed since it was read because the database is broken where they led.
    pub fn lookups_failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Adds to `place` what it lacks and this database has.
    pub(crate) fn complete(&self, address: IpAddr, place: &mut Place) {
        // An index of IPv4 has no IPv6 address; that is no failure.
        if self.reader.metadata().ip_version == 4 && address.is_ipv6() {
            return;
        }
        match self.reader.lookup(address).and_then(|it| it.decode::<Record<'_>>()) {
            Ok(Some(record)) => place.complete(&record),
            Ok(None) => {}
            Err(_) => drop(self.failed.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// What databases say of an address. Empty is unknown.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Place {
    pub(crate) continent: String,
    pub(crate) country_iso: String,
    pub(crate) country: String,
    pub(crate) region_iso: String,
    pub(crate) region: String,
    pub(crate) city: String,
    pub(crate) location: Option<(f64, f64)>,
    pub(crate) timezone: String,
    pub(crate) as_number: Option<u32>,
    pub(crate) as_organization: String,
    /// What kinds of anonymous network it belongs to.
    pub(crate) tags: Vec<&'static str>,
}

impl Place {
    fn complete(&mut self, record: &Record<'_>) {
        let Record { continent, country, subdivisions, city, location, .. } = record;
        let country_iso = country.iso_code.or(record.country_code).unwrap_or("");
        // Two databases that do not agree on the country must not be mixed.
        let agrees = self.country_iso.is_empty() || country_iso.is_empty() || self.country_iso == country_iso;
        if agrees {
            fill(&mut self.continent, continent.code);
            fill(&mut self.country_iso, Some(country_iso));
            fill(&mut self.country, country.names.en);
            fill(&mut self.region_iso, subdivisions.0.iso_code);
            fill(&mut self.region, subdivisions.0.names.en);
            fill(&mut self.city, city.names.en);
            fill(&mut self.timezone, location.time_zone);
            let there = location.latitude.or(record.latitude).zip(location.longitude.or(record.longitude));
            let is_on_earth = |(latitude, longitude): &(f64, f64)| {
                (-90.0..=90.0).contains(latitude) && (-180.0..=180.0).contains(longitude)
            };
            self.location = self.location.or(there.filter(is_on_earth));
        }
        if self.as_number.is_none() && self.as_organization.is_empty() {
            self.as_number = record.autonomous_system_number;
            fill(&mut self.as_organization, record.autonomous_system_organization);
        }
        let kinds = [
            (record.is_anonymous_vpn, "vpn"),
            (record.is_hosting_provider, "hosting"),
            (record.is_public_proxy, "proxy"),
            (record.is_residential_proxy, "residential_proxy"),
            (record.is_tor_exit_node, "tor"),
        ];
        for (is, tag) in kinds {
            if is && !self.tags.contains(&tag) {
                self.tags.push(tag);
            }
        }
    }
}

fn fill(slot: &mut String, value: Option<&str>) {
    if let Some(value) = value
        && slot.is_empty()
    {
        slot.push_str(value.get(..value.floor_char_boundary(NAME_BYTES_MAX)).unwrap_or(""));
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    continent: Continent<'a>,
    #[serde(borrow)]
    country: Country<'a>,
    #[serde(borrow)]
    subdivisions: First<'a>,
    #[serde(borrow)]
    city: City<'a>,
    #[serde(borrow)]
    location: Location<'a>,
    autonomous_system_number: Option<u32>,
    autonomous_system_organization: Option<&'a str>,
    is_anonymous_vpn: bool,
    is_hosting_provider: bool,
    is_public_proxy: bool,
    is_residential_proxy: bool,
    is_tor_exit_node: bool,
    country_code: Option<&'a str>,
    latitude: Option<f64>,
    longitude: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Names<'a> {
    en: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Continent<'a> {
    code: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Country<'a> {
    iso_code: Option<&'a str>,
    #[serde(borrow)]
    names: Names<'a>,
}

#[derive(Debug, Default)]
struct City<'a> {
    names: Names<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Location<'a> {
    latitude: Option<f64>,
    longitude: Option<f64>,
    time_zone: Option<&'a str>,
}

/// The first of a list: the largest subdivision of the country.
#[derive(Debug, Default)]
struct First<'a>(Country<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for First<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FirstOf;
        impl<'de> Visitor<'de> for FirstOf {
            type Value = First<'de>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a list of subdivisions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let first = items.next_element::<Country<'de>>()?.unwrap_or_default();
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }
        }
        deserializer.deserialize_seq(FirstOf)
    }
}

/// A city is a map with names, or its name alone.
impl<'de: 'a, 'a> Deserialize<'de> for City<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapOrName;
        impl<'de> Visitor<'de> for MapOrName {
            type Value = City<'de>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a city")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(City { names: Names { en: Some(name) } })
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut city = City::default();
                while let Some(key) = map.next_key::<&str>()? {
                    if key == "names" {
                        city.names = map.next_value()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(city)
            }
        }
        deserializer.deserialize_any(MapOrName)
    }
}

#[cfg(test)]
mod tests;
