//! The names of all fields that are written, and which fields of an event are looked at.

use panoptes_model::{FieldId, FieldType, Schema, SchemaFull, field};

/// The two ends of a connection, and what proxies and applications call them.
pub(crate) const SIDES: [&str; 4] = ["source", "destination", "client", "server"];

/// What is said of an address, below each of [`SIDES`]. The order is that of `side`'s constants.
pub(crate) const SIDE: [(&str, FieldType); 18] = [
    ("geo.continent_code", FieldType::Text),
    ("geo.country_iso_code", FieldType::Text),
    ("geo.country_name", FieldType::Text),
    ("geo.region_iso_code", FieldType::Text),
    ("geo.region_name", FieldType::Text),
    ("geo.city_name", FieldType::Text),
    ("geo.location", FieldType::Text),
    ("geo.timezone", FieldType::Text),
    ("as.number", FieldType::Integer),
    ("as.organization.name", FieldType::Text),
    ("network.scope", FieldType::Text),
    ("network.name", FieldType::Text),
    ("network.tags", FieldType::Text),
    ("asset.name", FieldType::Text),
    ("asset.owner", FieldType::Text),
    ("asset.criticality", FieldType::Text),
    ("asset.type", FieldType::Text),
    ("lists", FieldType::Text),
];

pub(crate) mod side {
    pub(crate) const CONTINENT: u8 = 0;
    pub(crate) const COUNTRY_ISO: u8 = 1;
    pub(crate) const COUNTRY: u8 = 2;
    pub(crate) const REGION_ISO: u8 = 3;
    pub(crate) const REGION: u8 = 4;
    pub(crate) const CITY: u8 = 5;
    pub(crate) const LOCATION: u8 = 6;
    pub(crate) const TIMEZONE: u8 = 7;
    pub(crate) const AS_NUMBER: u8 = 8;
    pub(crate) const AS_ORGANIZATION: u8 = 9;
    pub(crate) const SCOPE: u8 = 10;
    pub(crate) const NETWORK: u8 = 11;
    pub(crate) const TAGS: u8 = 12;
    /// [`super::ASSET`] follows from here on.
    pub(crate) const ASSET: u8 = 13;
    pub(crate) const LISTS: u8 = 17;
}

/// What is said of an asset, below `host` and, for its addresses, below each of [`SIDES`].
pub(crate) const ASSET: [&str; 4] = ["asset.name", "asset.owner", "asset.criticality", "asset.type"];

/// Where domains stand, and what they are parts of.
pub(crate) const DOMAINS: [(&str, FieldId); 4] = [
    ("url", field::URL_DOMAIN),
    ("dns.question", field::DNS_QUESTION_NAME),
    ("destination", field::DESTINATION_DOMAIN),
    ("source", field::SOURCE_DOMAIN),
];

/// What is said of a domain, below each of [`DOMAINS`].
pub(crate) const DOMAIN: [&str; 3] = ["registered_domain", "top_level_domain", "subdomain"];

pub(crate) const AGENT: [&str; 5] =
    ["user_agent.name", "user_agent.version", "user_agent.os.name", "user_agent.os.version", "user_agent.device.name"];

/// What kind of thing the indicator is, the indicator, and the list that has it.
pub(crate) const THREAT: [&str; 3] = ["threat.indicator.type", "threat.indicator.name", "threat.indicator.provider"];

/// Fields that lists of hashes are asked about.
const HASHES: [FieldId; 6] = [
    field::FILE_HASH_SHA256,
    field::FILE_HASH_SHA1,
    field::FILE_HASH_MD5,
    field::PROCESS_HASH_SHA256,
    field::PROCESS_HASH_SHA1,
    field::PROCESS_HASH_MD5,
];

/// Fields that lists of users are asked about.
const USERS: [FieldId; 5] =
    [field::USER_NAME, field::USER_TARGET_NAME, field::USER_EFFECTIVE_NAME, field::SOURCE_USER_NAME, field::USER_EMAIL];

/// Why a field of an event matters. Those up to [`role::LOOKED_UP`] are looked up, of the rest it only counts that
/// they are there.
pub(crate) mod role {
    use super::{DOMAINS, HASHES, SIDES, USERS};

    pub(crate) const NONE: u8 = 0;
    /// One for each side.
    pub(crate) const ADDRESS: u8 = 1;
    /// One for each place of a domain.
    pub(crate) const DOMAIN: u8 = ADDRESS + SIDES.len() as u8;
    pub(crate) const AGENT: u8 = DOMAIN + DOMAINS.len() as u8;
    pub(crate) const HOST: u8 = AGENT + 1;
    pub(crate) const HASH: u8 = HOST + 1;
    pub(crate) const USER: u8 = HASH + HASHES.len() as u8;
    pub(crate) const RESOLVED: u8 = USER + USERS.len() as u8;
    pub(crate) const LOOKED_UP: u8 = RESOLVED + 1;
    /// Geography of a side, told by the sender.
    pub(crate) const HAS_GEO: u8 = LOOKED_UP;
    pub(crate) const HAS_AS: u8 = HAS_GEO + SIDES.len() as u8;
    pub(crate) const HAS_DOMAIN: u8 = HAS_AS + SIDES.len() as u8;
    pub(crate) const HAS_AGENT: u8 = HAS_DOMAIN + DOMAINS.len() as u8;
    pub(crate) const HAS_DIRECTION: u8 = HAS_AGENT + 1;
    pub(crate) const HAS_THREAT: u8 = HAS_DIRECTION + 1;
    /// What only Panoptes can know.
    pub(crate) const OURS: u8 = HAS_THREAT + 1;
    pub(crate) const COUNT: usize = OURS as usize + 1;
}

pub(crate) const HASH_COUNT: u8 = HASHES.len() as u8;
pub(crate) const USER_COUNT: u8 = USERS.len() as u8;

/// The ids of all of them in one schema. They stay right when the schema grows.
#[derive(Debug)]
pub(crate) struct Fields {
    pub(crate) side: [[FieldId; SIDE.len()]; SIDES.len()],
    pub(crate) domain: [[FieldId; DOMAIN.len()]; DOMAINS.len()],
    pub(crate) agent: [FieldId; AGENT.len()],
    pub(crate) host: [FieldId; ASSET.len()],
    pub(crate) threat: [FieldId; THREAT.len()],
    pub(crate) labels: Vec<FieldId>,
    /// The role of each fixed field.
    roles: Vec<u8>,
}

impl Fields {
    /// # Errors
    /// [`SchemaFull`] if the schema has no room for these names.
    pub(crate) fn new<'l>(schema: &mut Schema, lists: impl Iterator<Item = &'l str>) -> Result<Self, SchemaFull> {
        let mut side = [[field::MESSAGE; SIDE.len()]; SIDES.len()];
        for (ids, prefix) in side.iter_mut().zip(SIDES) {
            for (id, (name, kind)) in ids.iter_mut().zip(SIDE) {
                *id = schema.intern(&format!("{prefix}.{name}"), kind)?;
            }
        }
        let mut domain = [[field::MESSAGE; DOMAIN.len()]; DOMAINS.len()];
        for (ids, (prefix, _)) in domain.iter_mut().zip(DOMAINS) {
            for (id, name) in ids.iter_mut().zip(DOMAIN) {
                *id = schema.intern(&format!("{prefix}.{name}"), FieldType::Text)?;
            }
        }
        let text = |schema: &mut Schema, name: &str| schema.intern(name, FieldType::Text);
        let mut fields = Self { side, domain, ..Self::empty() };
        for (id, name) in fields.agent.iter_mut().zip(AGENT) {
            *id = text(schema, name)?;
        }
        for (id, name) in fields.host.iter_mut().zip(ASSET) {
            *id = text(schema, &format!("host.{name}"))?;
        }
        for (id, name) in fields.threat.iter_mut().zip(THREAT) {
            *id = text(schema, name)?;
        }
        fields.labels =
            lists.map(|name| text(schema, &format!("labels.list.{name}"))).collect::<Result<_, SchemaFull>>()?;
        fields.set_roles(schema);
        Ok(fields)
    }

    fn empty() -> Self {
        Self {
            side: [[field::MESSAGE; SIDE.len()]; SIDES.len()],
            domain: [[field::MESSAGE; DOMAIN.len()]; DOMAINS.len()],
            agent: [field::MESSAGE; AGENT.len()],
            host: [field::MESSAGE; ASSET.len()],
            threat: [field::MESSAGE; THREAT.len()],
            labels: Vec::new(),
            roles: Vec::new(),
        }
    }

    fn set_roles(&mut self, schema: &Schema) {
        let mut roles = vec![role::NONE; schema.len()];
        let mut set = |id: FieldId, role: u8| {
            if let Some(slot) = id.fixed_index().and_then(|it| roles.get_mut(it)) {
                *slot = role;
            }
        };
        let addresses = [field::SOURCE_IP, field::DESTINATION_IP, field::CLIENT_IP, field::SERVER_IP];
        for (place, (address, ids)) in (0..).zip(addresses.into_iter().zip(self.side)) {
            set(address, role::ADDRESS + place);
            for (slot, id) in (0..).zip(ids) {
                let role = match slot {
                    side::CONTINENT..=side::TIMEZONE => role::HAS_GEO + place,
                    side::AS_NUMBER | side::AS_ORGANIZATION => role::HAS_AS + place,
                    _ => role::OURS,
                };
                set(id, role);
            }
        }
        for (place, ((_, whole), ids)) in (0..).zip(DOMAINS.into_iter().zip(self.domain)) {
            set(whole, role::DOMAIN + place);
            ids.into_iter().for_each(|id| set(id, role::HAS_DOMAIN + place));
        }
        set(field::USER_AGENT_ORIGINAL, role::AGENT);
        self.agent.into_iter().for_each(|id| set(id, role::HAS_AGENT));
        set(field::HOST_NAME, role::HOST);
        self.host.into_iter().chain(self.labels.iter().copied()).for_each(|id| set(id, role::OURS));
        (0..).zip(HASHES).for_each(|(place, id)| set(id, role::HASH + place));
        (0..).zip(USERS).for_each(|(place, id)| set(id, role::USER + place));
        set(field::DNS_RESOLVED_IP, role::RESOLVED);
        set(field::NETWORK_DIRECTION, role::HAS_DIRECTION);
        self.threat.into_iter().for_each(|id| set(id, role::HAS_THREAT));
        self.roles = roles;
    }

    #[inline]
    pub(crate) fn role(&self, id: FieldId) -> u8 {
        id.fixed_index().and_then(|it| self.roles.get(it)).copied().unwrap_or(role::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_names_agree() {
        let name = |slot: u8| SIDE[slot as usize].0;
        assert_eq!(name(side::LOCATION), "geo.location");
        assert_eq!(name(side::AS_ORGANIZATION), "as.organization.name");
        assert_eq!(name(side::TAGS), "network.tags");
        assert_eq!(name(side::LISTS), "lists");
        for (index, asset) in ASSET.iter().enumerate() {
            assert_eq!(name(side::ASSET + index as u8), *asset);
        }
    }

    #[test]
    fn roles_follow_from_names() {
        let mut schema = Schema::ecs();
        let fields = Fields::new(&mut schema, ["tor"].into_iter()).unwrap();
        let role = |name: &str| fields.role(schema.id(name).unwrap());
        assert_eq!(role("destination.ip"), role::ADDRESS + 1);
        assert_eq!(role("destination.geo.city_name"), role::HAS_GEO + 1);
        assert_eq!(role("server.as.number"), role::HAS_AS + 3);
        assert_eq!(role("dns.question.name"), role::DOMAIN + 1);
        assert_eq!(role("dns.question.subdomain"), role::HAS_DOMAIN + 1);
        assert_eq!(role("source.lists"), role::OURS);
        assert_eq!(role("host.asset.owner"), role::OURS);
        assert_eq!(role("labels.list.tor"), role::OURS);
        assert_eq!(role("message"), role::NONE);
        assert_eq!(role("user.email"), role::USER + USER_COUNT - 1);
    }
}
