//! What the shapes of Windows events call their parts, and under which name each is kept.
//!
//! | shape | system part | data |
//! | --- | --- | --- |
//! | `evtx` (and Velociraptor, `xmltodict`) | `Event.System.EventID`, `….Provider.#attributes.Name` | `Event.EventData.Image` |
//! | Winlogbeat | `winlog.channel`, `event.code` | `winlog.event_data.Image` |
//! | NXLog, Fluent Bit, Sentinel, Mordor | `EventID`, `Channel` at the top | `Image` at the top, or `EventData.Image` |
//!
//! Data always becomes `winlog.event_data.<Name>`, the system part Winlogbeat's names. Both are written while the text
//! is read; where a part was written is noted by its [`Tag`], so that nothing has to be looked for afterwards.

use panoptes_model::{BatchWriter, Value};

use crate::json::{Leaf, Names, own_key};

/// A part of an event that this format knows by name. Zero is any other.
pub(super) type Tag = u16;

macro_rules! tags {
    ($($constant:ident)* ; $($data:ident $name:literal)*) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "only counts the constants")]
        #[repr(u16)]
        enum Index { NONE, $($constant,)* $($data,)* COUNT }
        pub(super) mod tag {
            use super::{Index, Tag};
            $(pub(in super::super) const $constant: Tag = Index::$constant as Tag;)*
            $(pub(in super::super) const $data: Tag = Index::$data as Tag;)*
            pub(super) const COUNT: usize = Index::COUNT as usize;
        }
        /// The data that mean something to this format.
        const DATA: &[(&str, Tag)] = &[$(($name, tag::$data),)*];
    };
}

tags! {
    // Not written at all.
    SKIP
    // Captured: times, the most trustworthy first.
    TIME_SYSTEM TIME_SENT TIME_LOCAL
    // Written under a name of its own, and looked at afterwards.
    CHANNEL EVENT_ID EVENT_CODE PROVIDER COMPUTER RECORD_ID LEVEL LEVEL_WORD KEYWORDS KEYWORDS_NUMBER SEVERITY
    MESSAGE KIND CATEGORY TYPE ACTION OUTCOME EVENT_PROVIDER HOST_NAME
    USER_SID ACCOUNT_TYPE EVENT_DATA_TEXT
    ;
    ACCESS_MASK "AccessMask"
    ACCOUNT "AccountName"
    ACCOUNT_DATA_DOMAIN "Domain"
    APPLICATION "Application"
    CLIENT_ADDRESS "ClientAddress"
    COMMAND_LINE "CommandLine"
    COMPANY "Company"
    CURRENT_DIRECTORY "CurrentDirectory"
    DATA_LIST "Data"
    DESCRIPTION "Description"
    DESTINATION_ADDRESS "DestAddress"
    DESTINATION_HOSTNAME "DestinationHostname"
    DESTINATION_IP "DestinationIp"
    DESTINATION_PORT "DestinationPort"
    DESTINATION_PORT_SHORT "DestPort"
    DETAILS "Details"
    DETECTION_USER "Detection User"
    DIRECTION "Direction"
    DNS_QUERY_NAME "QueryName"
    DNS_QUERY_STATUS "QueryStatus"
    EVENT_TYPE "EventType"
    FILE_VERSION "FileVersion"
    HASH "Hash"
    HASHES "Hashes"
    IMAGE "Image"
    IMAGE_LOADED "ImageLoaded"
    IMAGE_PATH "ImagePath"
    INITIATED "Initiated"
    IP_ADDRESS "IpAddress"
    IP_PORT "IpPort"
    LOGON_ID "LogonId"
    LOGON_TYPE "LogonType"
    MEMBER_NAME "MemberName"
    MEMBER_SID "MemberSid"
    NEW_NAME "NewName"
    NEW_PROCESS_ID "NewProcessId"
    NEW_PROCESS_NAME "NewProcessName"
    NEW_VALUE "NewValue"
    OBJECT_NAME "ObjectName"
    OBJECT_TYPE "ObjectType"
    OBJECT_VALUE_NAME "ObjectValueName"
    ORIGINAL_FILE_NAME "OriginalFileName"
    PARAM_1 "param1"
    PARAM_2 "param2"
    PARENT_COMMAND_LINE "ParentCommandLine"
    PARENT_IMAGE "ParentImage"
    PARENT_PROCESS_GUID "ParentProcessGuid"
    PARENT_PROCESS_ID "ParentProcessId"
    PARENT_PROCESS_NAME "ParentProcessName"
    PATH "Path"
    PIPE_NAME "PipeName"
    PROCESS_GUID "ProcessGuid"
    PROCESS_ID "ProcessId"
    PROCESS_ID_UPPER "ProcessID"
    PROCESS_NAME "ProcessName"
    PROCESS_NAME_SPACED "Process Name"
    PRODUCT "Product"
    PROTOCOL "Protocol"
    QUERY_NAME_DNS_SERVER "QNAME"
    RELATIVE_TARGET_NAME "RelativeTargetName"
    RULE_NAME "RuleName"
    SCRIPT_BLOCK_TEXT "ScriptBlockText"
    SERVICE_FILE_NAME "ServiceFileName"
    SERVICE_NAME "ServiceName"
    SHARE_NAME "ShareName"
    SOURCE_ADDRESS "SourceAddress"
    SOURCE_HOSTNAME "SourceHostname"
    SOURCE_IMAGE "SourceImage"
    SOURCE_IP "SourceIp"
    SOURCE_PORT "SourcePort"
    SOURCE_PROCESS_GUID "SourceProcessGUID"
    SOURCE_PROCESS_GUID_LOWER "SourceProcessGuid"
    SOURCE_PROCESS_ID "SourceProcessId"
    SOURCE_THREAD_ID "SourceThreadId"
    SOURCE_USER "SourceUser"
    STATUS "Status"
    SUBJECT_DOMAIN_NAME "SubjectDomainName"
    SUBJECT_LOGON_ID "SubjectLogonId"
    SUBJECT_USER_NAME "SubjectUserName"
    SUBJECT_USER_SID "SubjectUserSid"
    TARGET_DOMAIN_NAME "TargetDomainName"
    TARGET_FILENAME "TargetFilename"
    TARGET_LOGON_ID "TargetLogonId"
    TARGET_OBJECT "TargetObject"
    TARGET_SERVER_NAME "TargetServerName"
    TARGET_SID "TargetSid"
    TARGET_USER_NAME "TargetUserName"
    TARGET_USER_SID "TargetUserSid"
    THREAT_NAME "Threat Name"
    USER "User"
    UTC_TIME "UtcTime"
    WORKSTATION "Workstation"
    WORKSTATION_NAME "WorkstationName"
}

/// How the text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `{"Event":{"System":…,"EventData":…}}`, as the `evtx` crate writes it.
    Tree,
    /// Winlogbeat's, below `winlog`.
    Beat,
    /// Everything at the top, as NXLog writes it.
    Flat,
}

/// Which names the members of the object at hand have. The numbers are the spaces of
/// [`BatchWriter::translated`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Space {
    /// The top of a flat event.
    Flat,
    /// Data of the event.
    Data,
    /// An element of the data that has attributes or a list: its text stands below it.
    Element,
    /// The elements of the system part.
    System,
    /// Attributes of an element of the system part.
    Attributes,
    /// Winlogbeat's system part.
    Winlog,
    /// ECS, or the sender's own.
    Own,
    /// Attributes of other elements.
    Nowhere,
}

/// Whether `key` holds the text of the element around it.
fn is_text_key(key: &str) -> bool {
    matches!(key, "#text" | "$text" | "_" | "$" | "text" | "Value")
}

/// Notes where the parts of one event are, while they are written.
pub(super) struct EventNames<'t> {
    shape: Shape,
    space: Space,
    /// Per tag the index of the field, plus one; the first if it occurs twice.
    places: [u16; tag::COUNT],
    /// What was captured, by tag.
    times: [&'t str; 3],
}

impl<'t> EventNames<'t> {
    pub(super) fn new(shape: Shape) -> Self {
        let space = if shape == Shape::Flat { Space::Flat } else { Space::Own };
        Self { shape, space, places: [0; tag::COUNT], times: [""; 3] }
    }

    /// The same for an object that holds data alone.
    pub(super) fn within_data(self) -> Self {
        Self { space: Space::Data, ..self }
    }

    /// The parts of two objects that were read into one event.
    pub(super) fn and(mut self, other: &EventNames<'_>) -> Self {
        for (mine, theirs) in self.places.iter_mut().zip(&other.places) {
            if *mine == 0 {
                *mine = *theirs;
            }
        }
        self
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// The index of the field.
    #[inline]
    pub(super) fn index(&self, tag: Tag) -> Option<usize> {
        self.places.get(usize::from(tag)).and_then(|it| it.checked_sub(1)).map(usize::from)
    }

    pub(super) fn has(&self, tag: Tag) -> bool {
        self.index(tag).is_some()
    }

    /// The text of the field, unless it is blank.
    #[inline]
    pub(super) fn text<'w>(&self, writer: &'w BatchWriter<'_>, tag: Tag) -> Option<&'w str> {
        match writer.nth(self.index(tag)?) {
            Some((_, Value::Text(text))) if !matches!(text, "" | "-") => Some(text),
            _ => None,
        }
    }

    /// A time that was captured: one of the `TIME_` tags.
    pub(super) fn time(&self, tag: Tag) -> &'t str {
        tag.checked_sub(tag::TIME_SYSTEM).and_then(|it| self.times.get(usize::from(it))).copied().unwrap_or("")
    }

    pub(super) fn set_time(&mut self, tag: Tag, text: &'t str) {
        let place = tag.checked_sub(tag::TIME_SYSTEM).and_then(|it| self.times.get_mut(usize::from(it)));
        if let Some(place) = place.filter(|it| it.is_empty()) {
            *place = text;
        }
    }

    /// Notes that the last field is `tag`.
    #[inline]
    pub(super) fn note(&mut self, writer: &BatchWriter<'_>, tag: Tag) {
        if let Some(place) = self.places.get_mut(usize::from(tag))
            && *place == 0
        {
            *place = writer.field_count() as u16;
        }
    }

    fn space_of(&self, path: &str) -> Space {
        let inner = path.strip_prefix("Event.").unwrap_or(path);
        match inner {
            "" => return Space::Own,
            "System." => return Space::System,
            "EventData." | "event_data." | "winlog_event_data." | "winlog.event_data." | "winlog.user_data." => {
                return Space::Data;
            }
            "winlog." => return Space::Winlog,
            _ => {}
        }
        if let Some(element) = inner.strip_prefix("System.") {
            return if element.matches('.').count() > 2 { Space::Nowhere } else { Space::Attributes };
        }
        if inner.starts_with("EventData.") || inner.starts_with("UserData.") || inner.starts_with("winlog.user_data.") {
            return match inner {
                _ if inner.ends_with("attributes.") => Space::Nowhere,
                _ if inner.starts_with("EventData.") => Space::Element,
                _ => Space::Data,
            };
        }
        // The name space of `Event`.
        if matches!(inner, "#attributes." | "Event_attributes.") { Space::Nowhere } else { Space::Own }
    }
}

impl<'t> Names<'t> for EventNames<'t> {
    type Place = Space;

    fn enter(&mut self, path: &str) -> Space {
        let space = self.space_of(path);
        std::mem::replace(&mut self.space, space)
    }

    fn leave(&mut self, before: Space) {
        self.space = before;
    }

    #[inline]
    fn leaf(&mut self, writer: &mut BatchWriter<'_>, path: &mut String, key: &str, first: u8) -> Leaf {
        let translated = match self.space {
            Space::Data => writer.translated(Space::Data as u8, key, |name| data(key, name)),
            Space::Flat => writer.translated(flat_space(key, first), key, |name| flat(key, first, name)),
            Space::System => writer.translated(Space::System as u8, key, |name| system(key, name)),
            _ => return self.other_leaf(writer, path, key, first),
        };
        match translated {
            Some((id, tag)) => leaf_of(id, tag, first),
            None => Leaf::Skip,
        }
    }

    #[inline]
    fn wrote(&mut self, writer: &BatchWriter<'_>, tag: u16) {
        if tag != 0 {
            self.note(writer, tag);
        }
    }

    fn captured(&mut self, tag: u16, text: &'t str) {
        self.set_time(tag, text);
    }
}

impl EventNames<'_> {
    fn other_leaf(&self, writer: &mut BatchWriter<'_>, path: &mut String, key: &str, first: u8) -> Leaf {
        // The last part of the path is the element.
        let element = || {
            let parts = path.strip_suffix('.').unwrap_or(path);
            parts.rsplit('.').find(|it| *it != "#attributes").unwrap_or("")
        };
        let translated = match self.space {
            Space::Element if is_text_key(key) => {
                let element = element();
                writer.translated(Space::Data as u8, element, |name| data(element, name))
            }
            Space::Element => writer.translated(Space::Data as u8, key, |name| data(key, name)),
            Space::Attributes if is_text_key(key) => {
                let element = element();
                writer.translated(Space::System as u8, element, |name| system(element, name))
            }
            Space::Attributes => {
                let key = key.strip_prefix('@').unwrap_or(key);
                writer.translated(Space::Attributes as u8, key, |name| attribute(key, name))
            }
            Space::Winlog => writer.translated(Space::Winlog as u8, key, |name| winlog(key, name)),
            Space::Nowhere => None,
            _ => {
                if self.shape != Shape::Beat
                    && !path.is_empty()
                    && path.starts_with("Event.")
                    && key.starts_with(['@', '#'])
                {
                    return Leaf::Skip;
                }
                let length = path.len();
                path.push_str(key);
                let tag = own(path);
                path.truncate(length);
                match tag {
                    tag::TIME_SENT => return Leaf::Capture(tag),
                    tag::SKIP => return Leaf::Skip,
                    _ => {}
                }
                return match own_key(writer, path, key) {
                    Some(id) if tag != 0 && first != b'[' || path.starts_with("winlog.") => Leaf::Text(id, tag),
                    Some(id) => Leaf::Typed(id),
                    None => Leaf::Skip,
                };
            }
        };
        match translated {
            Some((id, tag)) => leaf_of(id, tag, first),
            None => Leaf::Skip,
        }
    }
}

/// What to do with a value of this tag. System parts that are null or empty say nothing.
#[inline]
fn leaf_of(id: panoptes_model::FieldId, tag: Tag, first: u8) -> Leaf {
    match tag {
        0 => Leaf::Text(id, 0),
        tag::SKIP => Leaf::Skip,
        tag::TIME_SYSTEM..=tag::TIME_LOCAL => Leaf::Capture(tag),
        tag::CHANNEL..=tag::EVENT_DATA_TEXT if matches!(first, b'n' | b'{') => Leaf::Skip,
        _ => Leaf::Text(id, tag),
    }
}

/// The data called `key`.
fn data(key: &str, name: &mut String) -> Tag {
    let key = key.strip_prefix('@').unwrap_or(key);
    name.push_str("winlog.event_data.");
    name.push_str(key);
    DATA.iter().find(|(known, _)| *known == key).map_or(0, |(_, tag)| *tag)
}

/// The name and the tag of a part of the system part, by the name of its element.
fn system(element: &str, name: &mut String) -> Tag {
    let (own, tag) = match element {
        "EventID" => ("event.code", tag::EVENT_ID),
        "Channel" => ("winlog.channel", tag::CHANNEL),
        "Computer" => ("winlog.computer_name", tag::COMPUTER),
        "EventRecordID" => ("winlog.record_id", tag::RECORD_ID),
        "Level" => ("winlog.level", tag::LEVEL),
        "Keywords" => ("winlog.keywords", tag::KEYWORDS),
        "Task" => ("winlog.task", 0),
        "Opcode" => ("winlog.opcode", 0),
        "Version" => ("winlog.version", 0),
        "TimeCreated" => ("TimeCreated", tag::TIME_SYSTEM),
        "Provider" => ("winlog.provider_name", tag::PROVIDER),
        // Elements without attributes.
        "Correlation" | "Execution" | "Security" => (element, tag::SKIP),
        _ => {
            name.push_str("winlog.system.");
            name.push_str(element);
            return 0;
        }
    };
    name.push_str(own);
    tag
}

/// The same for an attribute: their names are distinct.
fn attribute(key: &str, name: &mut String) -> Tag {
    let (own, tag) = match key {
        "Name" => ("winlog.provider_name", tag::PROVIDER),
        "Guid" => ("winlog.provider_guid", 0),
        "EventSourceName" => ("winlog.event_source_name", 0),
        "Qualifiers" => ("winlog.qualifiers", 0),
        "SystemTime" => ("TimeCreated.SystemTime", tag::TIME_SYSTEM),
        "ActivityID" => ("winlog.activity_id", 0),
        "RelatedActivityID" => ("winlog.related_activity_id", 0),
        "ProcessID" => ("winlog.process.pid", 0),
        "ThreadID" => ("winlog.process.thread.id", 0),
        "UserID" | "UserId" => ("winlog.user.identifier", tag::USER_SID),
        _ => {
            name.push_str("winlog.system.");
            name.push_str(key);
            return 0;
        }
    };
    name.push_str(own);
    tag
}

/// The same for a member of `winlog`.
fn winlog(key: &str, name: &mut String) -> Tag {
    name.push_str("winlog.");
    name.push_str(key);
    match key {
        "channel" => tag::CHANNEL,
        "event_id" => tag::EVENT_ID,
        "provider_name" => tag::PROVIDER,
        "computer_name" => tag::COMPUTER,
        "record_id" => tag::RECORD_ID,
        "keywords" => tag::KEYWORDS,
        "level" => tag::LEVEL,
        _ => 0,
    }
}

/// The tag of a dotted name that stays as it is.
fn own(name: &str) -> Tag {
    match name {
        "@timestamp" => tag::TIME_SENT,
        "message" | "Message" => tag::MESSAGE,
        "event.code" => tag::EVENT_CODE,
        "event.kind" => tag::KIND,
        "event.category" => tag::CATEGORY,
        "event.type" => tag::TYPE,
        "event.action" => tag::ACTION,
        "event.outcome" => tag::OUTCOME,
        "event.provider" => tag::EVENT_PROVIDER,
        "host.name" => tag::HOST_NAME,
        "log.level" => tag::LEVEL_WORD,
        // The event has these from the record itself; the data set is said in one way for all shapes.
        "event.ingested" | "event.original" | "event.dataset" => tag::SKIP,
        _ if name.starts_with("panoptes.") => tag::SKIP,
        "winlog.user.identifier" => tag::USER_SID,
        _ => 0,
    }
}

/// Some keys of flat events are a part of the system as a number and something else as a text.
#[inline]
fn flat_space(key: &str, first: u8) -> u8 {
    const NUMBERS: u8 = 64;
    let ambiguous = matches!(key, "Keywords" | "ProcessID");
    if ambiguous && first != b'"' { NUMBERS } else { Space::Flat as u8 }
}

/// The name and the tag of a member of a flat event.
fn flat(key: &str, first: u8, name: &mut String) -> Tag {
    let (own, tag) = match key {
        "EventID" | "event_id" => ("event.code", tag::EVENT_ID),
        "Channel" | "LogName" | "log_name" => ("winlog.channel", tag::CHANNEL),
        "SourceName" | "ProviderName" | "Provider" | "source_name" => ("winlog.provider_name", tag::PROVIDER),
        "Hostname" | "HostName" | "Computer" | "MachineName" | "computer_name" => {
            ("winlog.computer_name", tag::COMPUTER)
        }
        "RecordNumber" | "EventRecordID" | "RecordId" | "record_number" => ("winlog.record_id", tag::RECORD_ID),
        "ProviderGuid" | "ProviderID" | "provider_guid" => ("winlog.provider_guid", 0),
        "Level" | "EventLevel" => ("winlog.level", tag::LEVEL),
        "SeverityValue" => (key, tag::SEVERITY),
        "Keywords" if first != b'"' => (key, tag::KEYWORDS_NUMBER),
        "Keywords" => ("winlog.keywords", tag::KEYWORDS),
        "Task" => ("winlog.task", 0),
        "Opcode" => ("winlog.opcode", 0),
        "Version" => ("winlog.version", 0),
        "ActivityID" => ("winlog.activity_id", 0),
        "RelatedActivityID" => ("winlog.related_activity_id", 0),
        "ExecutionProcessID" => ("winlog.process.pid", 0),
        "ProcessID" if first != b'"' => ("winlog.process.pid", 0),
        "ThreadID" | "ExecutionThreadID" => ("winlog.process.thread.id", 0),
        "UserID" => ("winlog.user.identifier", tag::USER_SID),
        "AccountType" => ("winlog.user.type", tag::ACCOUNT_TYPE),
        "Message" | "message" => ("message", tag::MESSAGE),
        "SystemTime" | "TimeCreated" | "TimeGenerated" => (key, tag::TIME_SYSTEM),
        "@timestamp" => (key, tag::TIME_SENT),
        "EventTime" => (key, tag::TIME_LOCAL),
        "EventData" => (key, tag::EVENT_DATA_TEXT),
        // What the shipper says of itself.
        "@version"
        | "host"
        | "port"
        | "tags"
        | "type"
        | "Severity"
        | "SourceModuleName"
        | "SourceModuleType"
        | "EventReceivedTime"
        | "OpcodeValue"
        | "Category"
        | "ERROR_EVT_UNRESOLVED"
        | "EventLevelName"
        | "Type"
        | "TenantId"
        | "SourceSystem"
        | "ManagementGroupName"
        | "EventOriginId"
        | "_ResourceId" => (key, 0),
        _ => {
            return if key.starts_with("panoptes.") {
                name.push_str(key);
                tag::SKIP
            } else {
                data(key, name)
            };
        }
    };
    name.push_str(own);
    tag
}
