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

use panoptes_model::{BatchWriter, FieldId, Value, field};

use crate::event_xml::RawText;
use crate::json::{Leaf, Names, own_key};

/// A part of an event that this format knows by name. [`tag::NONE`] is any other.
pub(super) type Tag = u16;

macro_rules! tags {
    ($($constant:ident)* ; $($data:ident $name:literal)*) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "only counts the constants")]
        #[repr(u16)]
        enum Index { NONE, $($constant,)* $($data,)* COUNT }
        pub(super) mod tag {
            use super::{Index, Tag};
            pub(in super::super) const NONE: Tag = Index::NONE as Tag;
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
    // Captured: the times, and a word for the level.
    TIME_SYSTEM TIME_SENT TIME_LOCAL LEVEL_WORD
    // Written under a name of its own, and looked at afterwards.
    CHANNEL PERHAPS_CHANNEL EVENT_ID EVENT_CODE PROVIDER PERHAPS_PROVIDER COMPUTER PERHAPS_COMPUTER RECORD_ID LEVEL KEYWORDS KEYWORDS_NUMBER SEVERITY
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

/// How many parts are captured.
const CAPTURED: usize = (tag::LEVEL_WORD - tag::TIME_SYSTEM + 1) as usize;

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
    FlatNumber,
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
    /// What was captured, from [`tag::TIME_SYSTEM`] on.
    captured: [&'t str; CAPTURED],
}

impl<'t> EventNames<'t> {
    pub(super) fn new(shape: Shape) -> Self {
        let space = if shape == Shape::Flat { Space::Flat } else { Space::Own };
        Self { shape, space, places: [0; tag::COUNT], captured: [""; CAPTURED] }
    }

    /// Takes what may be a part of the system for one where that part was not told otherwise.
    pub(super) fn settle(&mut self, writer: &mut BatchWriter<'_>) {
        for (perhaps, part, id) in [
            (tag::PERHAPS_CHANNEL, tag::CHANNEL, field::WINLOG_CHANNEL),
            (tag::PERHAPS_PROVIDER, tag::PROVIDER, field::WINLOG_PROVIDER_NAME),
            (tag::PERHAPS_COMPUTER, tag::COMPUTER, field::WINLOG_COMPUTER_NAME),
        ] {
            if let (None, Some(index)) = (self.index(part), self.index(perhaps)) {
                writer.alias(id, index);
                self.note(writer, part);
            }
        }
    }

    /// Names of an object that holds data alone.
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

    /// The text that was captured for `tag`; empty if there was none.
    pub(super) fn captured(&self, tag: Tag) -> &'t str {
        tag.checked_sub(tag::TIME_SYSTEM).and_then(|it| self.captured.get(usize::from(it))).copied().unwrap_or("")
    }

    fn capture(&mut self, tag: Tag, text: &'t str) {
        let place = tag.checked_sub(tag::TIME_SYSTEM).and_then(|it| self.captured.get_mut(usize::from(it)));
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

    /// Writes a value of the system part in XML: an element's text or one of its attributes.
    pub(super) fn system_value(
        &mut self,
        writer: &mut BatchWriter<'_>,
        element: &str,
        attribute: Option<&str>,
        value: RawText<'t>,
    ) {
        let translated = match attribute {
            Some(key) => writer.translated(Space::Attributes as u8, key, |name| self::attribute(key, name)),
            None => writer.translated(Space::System as u8, element, |name| system(element, name)),
        };
        match (translated, value.plain()) {
            (_, Some("")) | (None | Some((_, tag::SKIP)), _) => {}
            (Some((_, tag @ tag::TIME_SYSTEM..=tag::LEVEL_WORD)), text) => self.capture(tag, text.unwrap_or("")),
            (Some((id, tag)), _) => self.xml_value(writer, id, tag, value),
        }
    }

    /// Writes a datum in XML.
    pub(super) fn data_value(&mut self, writer: &mut BatchWriter<'_>, name: &str, value: RawText<'_>) {
        if let Some((id, tag)) = writer.translated(Space::Data as u8, name, |full| data(name, full)) {
            self.xml_value(writer, id, tag, value);
        }
    }

    /// Writes the text that Windows made of the event.
    pub(super) fn message(&mut self, writer: &mut BatchWriter<'_>, value: RawText<'_>) {
        self.xml_value(writer, field::MESSAGE, tag::MESSAGE, value);
    }

    fn xml_value(&mut self, writer: &mut BatchWriter<'_>, id: FieldId, tag: Tag, value: RawText<'_>) {
        value.write(writer, id);
        self.wrote(writer, tag);
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
            Space::Flat => match writer.translated(Space::Flat as u8, key, |name| flat(key, name)) {
                // A part of the system as a number and something else as a text.
                Some((_, tag::KEYWORDS | tag::PROCESS_ID_UPPER)) if first != b'"' => {
                    writer.translated(Space::FlatNumber as u8, key, |name| flat_number(key, name))
                }
                translated => translated,
            },
            Space::System => writer.translated(Space::System as u8, key, |name| system(key, name)),
            _ => return self.other_leaf(writer, path, key, first),
        };
        match translated {
            Some((id, tag)) => leaf_of(id, tag, first),
            None => Leaf::Skip,
        }
    }

    #[inline]
    fn foretold(&mut self, writer: &mut BatchWriter<'_>, rest: &[u8]) -> Option<(FieldId, u16, usize)> {
        match self.space {
            Space::Data | Space::Flat | Space::System => writer
                .foretold(self.space as u8, rest)
                // What these mean depends on the value.
                .filter(|it| self.space != Space::Flat || !matches!(it.1, tag::KEYWORDS | tag::PROCESS_ID_UPPER)),
            _ => None,
        }
    }

    #[inline]
    fn leaf_of(&self, id: FieldId, tag: u16, first: u8) -> Leaf {
        leaf_of(id, tag, first)
    }

    #[inline]
    fn wrote(&mut self, writer: &BatchWriter<'_>, tag: u16) {
        if tag != tag::NONE {
            self.note(writer, tag);
        }
    }

    fn captured(&mut self, tag: u16, text: &'t str) {
        self.capture(tag, text);
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
                    tag::TIME_SENT | tag::LEVEL_WORD => return Leaf::Capture(tag),
                    tag::SKIP => return Leaf::Skip,
                    _ => {}
                }
                return match own_key(writer, path, key) {
                    Some(id) if tag != tag::NONE && first != b'[' || path.starts_with("winlog.") => Leaf::Text(id, tag),
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
fn leaf_of(id: FieldId, tag: Tag, first: u8) -> Leaf {
    match tag {
        tag::NONE => Leaf::Text(id, tag),
        tag::SKIP => Leaf::Skip,
        tag::TIME_SYSTEM..=tag::LEVEL_WORD => Leaf::Capture(tag),
        tag::CHANNEL..=tag::EVENT_DATA_TEXT if matches!(first, b'n' | b'{') => Leaf::Skip,
        _ => Leaf::Text(id, tag),
    }
}

/// The data called `key`.
fn data(key: &str, name: &mut String) -> Tag {
    let key = key.strip_prefix('@').unwrap_or(key);
    name.push_str("winlog.event_data.");
    name.push_str(key);
    DATA.iter().find(|(known, _)| *known == key).map_or(tag::NONE, |(_, tag)| *tag)
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
        "Task" => ("winlog.task", tag::NONE),
        "Opcode" => ("winlog.opcode", tag::NONE),
        "Version" => ("winlog.version", tag::NONE),
        "TimeCreated" => ("TimeCreated", tag::TIME_SYSTEM),
        "Provider" => ("winlog.provider_name", tag::PROVIDER),
        // Elements without attributes.
        "Correlation" | "Execution" | "Security" => (element, tag::SKIP),
        _ => {
            name.push_str("winlog.system.");
            name.push_str(element);
            return tag::NONE;
        }
    };
    name.push_str(own);
    tag
}

/// The same for an attribute: their names are distinct.
fn attribute(key: &str, name: &mut String) -> Tag {
    let (own, tag) = match key {
        "Name" => ("winlog.provider_name", tag::PROVIDER),
        "Guid" => ("winlog.provider_guid", tag::NONE),
        "EventSourceName" => ("winlog.event_source_name", tag::NONE),
        "Qualifiers" => ("winlog.qualifiers", tag::NONE),
        "SystemTime" => ("TimeCreated.SystemTime", tag::TIME_SYSTEM),
        "ActivityID" => ("winlog.activity_id", tag::NONE),
        "RelatedActivityID" => ("winlog.related_activity_id", tag::NONE),
        "ProcessID" => ("winlog.process.pid", tag::NONE),
        "ThreadID" => ("winlog.process.thread.id", tag::NONE),
        "UserID" | "UserId" => ("winlog.user.identifier", tag::USER_SID),
        _ => {
            name.push_str("winlog.system.");
            name.push_str(key);
            return tag::NONE;
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
        _ => tag::NONE,
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
        _ => tag::NONE,
    }
}

/// The same for members of a flat event that mean something else as a number than as a text.
fn flat_number(key: &str, name: &mut String) -> Tag {
    match key {
        "Keywords" => {
            name.push_str(key);
            tag::KEYWORDS_NUMBER
        }
        "ProcessID" => {
            name.push_str("winlog.process.pid");
            tag::NONE
        }
        _ => flat(key, name),
    }
}

/// The name and the tag of a member of a flat event.
fn flat(key: &str, name: &mut String) -> Tag {
    let mut perhaps = |tag| {
        data(key, name);
        tag
    };
    let (own, tag) = match key {
        "EventID" | "event_id" => ("event.code", tag::EVENT_ID),
        "Channel" => ("winlog.channel", tag::CHANNEL),
        "SourceName" | "source_name" => ("winlog.provider_name", tag::PROVIDER),
        "Hostname" => ("winlog.computer_name", tag::COMPUTER),
        // Parts of the system for some shippers, and data of some events.
        "LogName" | "log_name" => return perhaps(tag::PERHAPS_CHANNEL),
        "ProviderName" | "Provider" => return perhaps(tag::PERHAPS_PROVIDER),
        "HostName" | "Computer" | "MachineName" | "computer_name" => return perhaps(tag::PERHAPS_COMPUTER),
        "RecordNumber" | "EventRecordID" | "RecordId" | "record_number" => ("winlog.record_id", tag::RECORD_ID),
        "ProviderGuid" | "ProviderID" | "provider_guid" => ("winlog.provider_guid", tag::NONE),
        "Level" | "EventLevel" => ("winlog.level", tag::LEVEL),
        "SeverityValue" => (key, tag::SEVERITY),
        "Keywords" => ("winlog.keywords", tag::KEYWORDS),
        "Task" => ("winlog.task", tag::NONE),
        "Opcode" => ("winlog.opcode", tag::NONE),
        "Version" => ("winlog.version", tag::NONE),
        "ActivityID" => ("winlog.activity_id", tag::NONE),
        "RelatedActivityID" => ("winlog.related_activity_id", tag::NONE),
        "ExecutionProcessID" => ("winlog.process.pid", tag::NONE),
        "ThreadID" | "ExecutionThreadID" => ("winlog.process.thread.id", tag::NONE),
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
        | "_ResourceId" => (key, tag::NONE),
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
