//! Names of fields, as numbers.
//!
//! Names from ECS, from loaded rules, mappings and the configuration get fixed ids here, when the program starts or
//! reloads. Every other name that a sender invents lives in its own batch ([`EventBatch`](crate::EventBatch)), so no
//! sender can grow this table.

use std::hash::BuildHasher;

use hashbrown::HashTable;

/// How many fixed names there may be. ECS has some 2,000, all of SigmaHQ names 1,100; reaching it refuses the rule or
/// mapping that asked for one more.
const FIXED_MAX: usize = 32_768;

/// A field name: fixed (an index into [`Schema`]) or local to one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub(crate) u32);

impl FieldId {
    const LOCAL_BIT: u32 = 1 << 31;

    pub(crate) const fn local(index: u32) -> Self {
        Self(index | Self::LOCAL_BIT)
    }

    /// The index among the batch's own names, if the name is local: usable as an index into a table per batch.
    #[inline]
    pub const fn local_index(self) -> Option<u32> {
        if self.0 & Self::LOCAL_BIT == 0 { None } else { Some(self.0 & !Self::LOCAL_BIT) }
    }

    /// The position in [`Schema`], if the name is fixed: usable as an index into a table per field.
    #[inline]
    pub const fn fixed_index(self) -> Option<usize> {
        if self.0 & Self::LOCAL_BIT == 0 { Some(self.0 as usize) } else { None }
    }
}

/// What a field holds, for ever: ECS's type, else text. A value of another kind is still kept in the event; in the
/// store it goes to the overflow instead of a second type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    Text,
    Integer,
    Float,
    Boolean,
    Ip,
    Timestamp,
}

/// No further field name can be given a fixed id.
#[derive(Debug, thiserror::Error)]
#[error("field `{name}` is one more than the {FIXED_MAX} names that rules, mappings and the configuration may use")]
pub struct SchemaFull {
    name: String,
}

/// The fixed names. Append-only: an id keeps its meaning as long as the program runs.
#[derive(Clone, Debug)]
pub struct Schema {
    names: Vec<Box<str>>,
    types: Vec<FieldType>,
    by_name: HashTable<u32>,
    hasher: foldhash::fast::FixedState,
}

impl Schema {
    /// The schema that holds ECS alone.
    pub fn ecs() -> Self {
        let mut schema = Self {
            names: Vec::new(),
            types: Vec::new(),
            by_name: HashTable::new(),
            hasher: foldhash::fast::FixedState::with_seed(0x7061_6e6f_7074_6573),
        };
        for (name, field_type) in field::ALL {
            schema.insert(name, *field_type);
        }
        schema
    }

    fn insert(&mut self, name: &str, field_type: FieldType) -> FieldId {
        let id = self.names.len() as u32;
        self.names.push(name.into());
        self.types.push(field_type);
        let (names, hasher) = (&self.names, &self.hasher);
        self.by_name.insert_unique(hasher.hash_one(name), id, |it| {
            hasher.hash_one(names.get(*it as usize).map_or("", |name| name))
        });
        FieldId(id)
    }

    /// The id of `name`, made if it is new (as text unless `field_type` says otherwise; ECS's own types stay).
    pub fn intern(&mut self, name: &str, field_type: FieldType) -> Result<FieldId, SchemaFull> {
        match self.id(name) {
            Some(id) => Ok(id),
            None if self.names.len() >= FIXED_MAX => Err(SchemaFull { name: name.to_owned() }),
            None => Ok(self.insert(name, field_type)),
        }
    }

    /// The id of `name`, if it has a fixed one.
    #[inline]
    pub fn id(&self, name: &str) -> Option<FieldId> {
        let hash = self.hasher.hash_one(name);
        self.by_name
            .find(hash, |it| self.names.get(*it as usize).is_some_and(|known| **known == *name))
            .map(|it| FieldId(*it))
    }

    /// The name behind a fixed id.
    pub fn name(&self, id: FieldId) -> Option<&str> {
        self.names.get(id.fixed_index()?).map(|name| &**name)
    }

    /// The type of a field; text for local names.
    pub fn field_type(&self, id: FieldId) -> FieldType {
        id.fixed_index().and_then(|index| self.types.get(index)).copied().unwrap_or(FieldType::Text)
    }

    /// All fixed names, in the order of their indexes.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// How many fixed names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: ECS is always there.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// The ECS fields that Panoptes's own code speaks of, as constants, and the order in which they get their ids.
pub mod field {
    use super::{FieldId, FieldType};

    macro_rules! fields {
        ($($constant:ident $name:literal $field_type:ident,)*) => {
            #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "only counts the constants")]
            #[repr(u32)]
            enum Index { $($constant,)* }
            $(#[doc = concat!("`", $name, "`")] pub const $constant: FieldId = FieldId(Index::$constant as u32);)*
            pub(super) const ALL: &[(&str, FieldType)] = &[$(($name, FieldType::$field_type),)*];
        };
    }

    fields! {
        TIMESTAMP "@timestamp" Timestamp,
        MESSAGE "message" Text,
        TAGS "tags" Text,
        AGENT_NAME "agent.name" Text,
        AGENT_TYPE "agent.type" Text,
        CLIENT_ADDRESS "client.address" Text,
        CLIENT_IP "client.ip" Ip,
        CLIENT_PORT "client.port" Integer,
        CLOUD_ACCOUNT_ID "cloud.account.id" Text,
        CLOUD_PROVIDER "cloud.provider" Text,
        CLOUD_REGION "cloud.region" Text,
        CONTAINER_ID "container.id" Text,
        CONTAINER_NAME "container.name" Text,
        DESTINATION_ADDRESS "destination.address" Text,
        DESTINATION_BYTES "destination.bytes" Integer,
        DESTINATION_DOMAIN "destination.domain" Text,
        DESTINATION_IP "destination.ip" Ip,
        DESTINATION_PORT "destination.port" Integer,
        DNS_QUESTION_NAME "dns.question.name" Text,
        DNS_QUESTION_TYPE "dns.question.type" Text,
        DNS_RESOLVED_IP "dns.resolved_ip" Ip,
        DNS_RESPONSE_CODE "dns.response_code" Text,
        ECS_VERSION "ecs.version" Text,
        EMAIL_FROM "email.from.address" Text,
        EMAIL_TO "email.to.address" Text,
        ERROR_CODE "error.code" Text,
        ERROR_MESSAGE "error.message" Text,
        EVENT_ACTION "event.action" Text,
        EVENT_CATEGORY "event.category" Text,
        EVENT_CODE "event.code" Text,
        EVENT_CREATED "event.created" Timestamp,
        EVENT_DATASET "event.dataset" Text,
        EVENT_DURATION "event.duration" Integer,
        EVENT_END "event.end" Timestamp,
        EVENT_ID "event.id" Text,
        EVENT_INGESTED "event.ingested" Timestamp,
        EVENT_KIND "event.kind" Text,
        EVENT_MODULE "event.module" Text,
        EVENT_ORIGINAL "event.original" Text,
        EVENT_OUTCOME "event.outcome" Text,
        EVENT_PROVIDER "event.provider" Text,
        EVENT_REASON "event.reason" Text,
        EVENT_SEQUENCE "event.sequence" Integer,
        EVENT_SEVERITY "event.severity" Integer,
        EVENT_START "event.start" Timestamp,
        EVENT_TIMEZONE "event.timezone" Text,
        EVENT_TYPE "event.type" Text,
        FILE_DIRECTORY "file.directory" Text,
        FILE_EXTENSION "file.extension" Text,
        FILE_HASH_MD5 "file.hash.md5" Text,
        FILE_HASH_SHA1 "file.hash.sha1" Text,
        FILE_HASH_SHA256 "file.hash.sha256" Text,
        FILE_NAME "file.name" Text,
        FILE_PATH "file.path" Text,
        FILE_PE_COMPANY "file.pe.company" Text,
        FILE_PE_DESCRIPTION "file.pe.description" Text,
        FILE_PE_FILE_VERSION "file.pe.file_version" Text,
        FILE_PE_IMPHASH "file.pe.imphash" Text,
        FILE_PE_ORIGINAL_FILE_NAME "file.pe.original_file_name" Text,
        FILE_PE_PRODUCT "file.pe.product" Text,
        FILE_SIZE "file.size" Integer,
        GROUP_ID "group.id" Text,
        GROUP_NAME "group.name" Text,
        HOST_HOSTNAME "host.hostname" Text,
        HOST_IP "host.ip" Ip,
        HOST_NAME "host.name" Text,
        HTTP_REQUEST_BODY_BYTES "http.request.body.bytes" Integer,
        HTTP_REQUEST_BYTES "http.request.bytes" Integer,
        HTTP_REQUEST_METHOD "http.request.method" Text,
        HTTP_REQUEST_REFERRER "http.request.referrer" Text,
        HTTP_RESPONSE_BODY_BYTES "http.response.body.bytes" Integer,
        HTTP_RESPONSE_STATUS_CODE "http.response.status_code" Integer,
        HTTP_VERSION "http.version" Text,
        LOG_FILE_PATH "log.file.path" Text,
        LOG_LEVEL "log.level" Text,
        LOG_LOGGER "log.logger" Text,
        LOG_OFFSET "log.offset" Integer,
        LOG_SYSLOG_APPNAME "log.syslog.appname" Text,
        LOG_SYSLOG_FACILITY_CODE "log.syslog.facility.code" Integer,
        LOG_SYSLOG_FACILITY_NAME "log.syslog.facility.name" Text,
        LOG_SYSLOG_HOSTNAME "log.syslog.hostname" Text,
        LOG_SYSLOG_MSGID "log.syslog.msgid" Text,
        LOG_SYSLOG_PRIORITY "log.syslog.priority" Integer,
        LOG_SYSLOG_PROCID "log.syslog.procid" Text,
        LOG_SYSLOG_SEVERITY_CODE "log.syslog.severity.code" Integer,
        LOG_SYSLOG_SEVERITY_NAME "log.syslog.severity.name" Text,
        LOG_SYSLOG_VERSION "log.syslog.version" Text,
        NETWORK_APPLICATION "network.application" Text,
        NETWORK_BYTES "network.bytes" Integer,
        NETWORK_COMMUNITY_ID "network.community_id" Text,
        NETWORK_DIRECTION "network.direction" Text,
        NETWORK_PROTOCOL "network.protocol" Text,
        NETWORK_TRANSPORT "network.transport" Text,
        OBSERVER_IP "observer.ip" Ip,
        OBSERVER_NAME "observer.name" Text,
        PROCESS_COMMAND_LINE "process.command_line" Text,
        PROCESS_ENTITY_ID "process.entity_id" Text,
        PROCESS_EXECUTABLE "process.executable" Text,
        PROCESS_HASH_MD5 "process.hash.md5" Text,
        PROCESS_HASH_SHA1 "process.hash.sha1" Text,
        PROCESS_HASH_SHA256 "process.hash.sha256" Text,
        PROCESS_NAME "process.name" Text,
        PROCESS_PARENT_COMMAND_LINE "process.parent.command_line" Text,
        PROCESS_PARENT_ENTITY_ID "process.parent.entity_id" Text,
        PROCESS_PARENT_EXECUTABLE "process.parent.executable" Text,
        PROCESS_PARENT_NAME "process.parent.name" Text,
        PROCESS_PARENT_PID "process.parent.pid" Integer,
        PROCESS_PE_COMPANY "process.pe.company" Text,
        PROCESS_PE_DESCRIPTION "process.pe.description" Text,
        PROCESS_PE_FILE_VERSION "process.pe.file_version" Text,
        PROCESS_PE_IMPHASH "process.pe.imphash" Text,
        PROCESS_PE_ORIGINAL_FILE_NAME "process.pe.original_file_name" Text,
        PROCESS_PE_PRODUCT "process.pe.product" Text,
        PROCESS_PID "process.pid" Integer,
        PROCESS_THREAD_ID "process.thread.id" Integer,
        PROCESS_TTY_NAME "process.tty.name" Text,
        PROCESS_WORKING_DIRECTORY "process.working_directory" Text,
        REGISTRY_DATA_STRINGS "registry.data.strings" Text,
        REGISTRY_HIVE "registry.hive" Text,
        REGISTRY_KEY "registry.key" Text,
        REGISTRY_PATH "registry.path" Text,
        REGISTRY_VALUE "registry.value" Text,
        RELATED_IP "related.ip" Ip,
        RELATED_USER "related.user" Text,
        RULE_ID "rule.id" Text,
        RULE_NAME "rule.name" Text,
        SERVER_ADDRESS "server.address" Text,
        SERVER_IP "server.ip" Ip,
        SERVER_PORT "server.port" Integer,
        SERVICE_NAME "service.name" Text,
        SERVICE_TYPE "service.type" Text,
        SOURCE_ADDRESS "source.address" Text,
        SOURCE_AS_NUMBER "source.as.number" Integer,
        SOURCE_BYTES "source.bytes" Integer,
        SOURCE_DOMAIN "source.domain" Text,
        SOURCE_GEO_COUNTRY_ISO_CODE "source.geo.country_iso_code" Text,
        SOURCE_IP "source.ip" Ip,
        SOURCE_PORT "source.port" Integer,
        SOURCE_USER_NAME "source.user.name" Text,
        TLS_CIPHER "tls.cipher" Text,
        TLS_VERSION "tls.version" Text,
        TRACE_ID "trace.id" Text,
        URL_DOMAIN "url.domain" Text,
        URL_EXTENSION "url.extension" Text,
        URL_FULL "url.full" Text,
        URL_ORIGINAL "url.original" Text,
        URL_PATH "url.path" Text,
        URL_PORT "url.port" Integer,
        URL_QUERY "url.query" Text,
        URL_SCHEME "url.scheme" Text,
        USER_DOMAIN "user.domain" Text,
        USER_EFFECTIVE_NAME "user.effective.name" Text,
        USER_EMAIL "user.email" Text,
        USER_ID "user.id" Text,
        USER_NAME "user.name" Text,
        USER_TARGET_DOMAIN "user.target.domain" Text,
        USER_TARGET_GROUP_NAME "user.target.group.name" Text,
        USER_TARGET_ID "user.target.id" Text,
        USER_TARGET_NAME "user.target.name" Text,
        USER_AGENT_NAME "user_agent.name" Text,
        USER_AGENT_ORIGINAL "user_agent.original" Text,
        // Not in ECS, but usual beside it: the system part of a Windows event, as Winlogbeat names it.
        WINLOG_ACTIVITY_ID "winlog.activity_id" Text,
        WINLOG_CHANNEL "winlog.channel" Text,
        WINLOG_COMPUTER_NAME "winlog.computer_name" Text,
        WINLOG_KEYWORDS "winlog.keywords" Text,
        WINLOG_LEVEL "winlog.level" Text,
        WINLOG_LOGON_ID "winlog.logon.id" Text,
        WINLOG_LOGON_TYPE "winlog.logon.type" Text,
        WINLOG_OPCODE "winlog.opcode" Text,
        WINLOG_PROCESS_PID "winlog.process.pid" Text,
        WINLOG_PROCESS_THREAD_ID "winlog.process.thread.id" Text,
        WINLOG_PROVIDER_GUID "winlog.provider_guid" Text,
        WINLOG_PROVIDER_NAME "winlog.provider_name" Text,
        WINLOG_RECORD_ID "winlog.record_id" Text,
        WINLOG_RELATED_ACTIVITY_ID "winlog.related_activity_id" Text,
        WINLOG_TASK "winlog.task" Text,
        WINLOG_USER_DOMAIN "winlog.user.domain" Text,
        WINLOG_USER_IDENTIFIER "winlog.user.identifier" Text,
        WINLOG_USER_NAME "winlog.user.name" Text,
        WINLOG_USER_TYPE "winlog.user.type" Text,
        WINLOG_VERSION "winlog.version" Text,
        // Not in ECS: what Panoptes says of the event itself.
        PANOPTES_ANOMALY "panoptes.anomaly" Text,
        PANOPTES_FORMAT "panoptes.format" Text,
        PANOPTES_INPUT "panoptes.input" Text,
        PANOPTES_SOURCE "panoptes.source" Text,
        PANOPTES_WINDOWS_INITIATED "panoptes.windows.initiated" Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_names_agree() {
        let schema = Schema::ecs();
        assert_eq!(schema.id("source.ip"), Some(field::SOURCE_IP));
        assert_eq!(schema.name(field::USER_NAME), Some("user.name"));
        assert_eq!(schema.field_type(field::SOURCE_IP), FieldType::Ip);
        assert_eq!(schema.len(), field::ALL.len());
        for (name, field_type) in field::ALL {
            let id = schema.id(name).unwrap();
            assert_eq!((schema.name(id), schema.field_type(id)), (Some(*name), *field_type));
        }
    }

    #[test]
    fn a_name_of_a_rule_keeps_its_id_and_ecs_keeps_its_type() {
        let mut schema = Schema::ecs();
        let id = schema.intern("CommandLine", FieldType::Text).unwrap();
        assert_eq!(schema.intern("CommandLine", FieldType::Text).unwrap(), id);
        assert_eq!(schema.intern("source.ip", FieldType::Text).unwrap(), field::SOURCE_IP);
        assert_eq!(schema.field_type(field::SOURCE_IP), FieldType::Ip);
    }

    #[test]
    fn the_table_of_fixed_names_is_bounded() {
        let mut schema = Schema::ecs();
        let refused = (0..=FIXED_MAX).find_map(|n| schema.intern(&format!("field{n}"), FieldType::Text).err());
        assert!(refused.unwrap().to_string().contains("one more than the 32768 names"));
        assert_eq!(schema.len(), FIXED_MAX);
    }
}
