//! What the events mean in ECS: one entry for each kind of event that matters to a detection.
//!
//! An entry says how the event is classified and which of its data are which ECS field. To teach the format another
//! event, add its arm in [`of`]; data that it names for the first time need a tag in `names.rs`.

use panoptes_model::{FieldId, field};

use super::channel::Family;
use super::names::{Tag, tag};
use crate::fact::{FAILURE, SUCCESS, Words};

/// The classification of an event, and its fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) category: Words,
    pub(super) kind: Words,
    pub(super) action: &'static str,
    pub(super) outcome: Outcome,
    pub(super) steps: &'static [&'static [Step]],
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Is(Option<&'static str>),
    /// The status code of Kerberos and NTLM: zero is success.
    OfStatus,
    /// The audit bits of `Keywords`.
    OfKeywords,
}

/// One datum and what it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) from: Tag,
    pub(super) to: FieldId,
    pub(super) how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Text,
    /// The part behind the last backslash or slash.
    FileName,
    /// The part before it.
    Folder,
    /// A file's extension without the dot.
    Extension,
    /// Decimal, or hexadecimal behind `0x`.
    Number,
    Ip,
    /// `DOMAIN\name`: the name.
    AccountName,
    /// And the domain.
    AccountDomain,
    /// One of `SHA1=…,MD5=…`, in small letters.
    HashMd5,
    HashSha1,
    HashSha256,
    Imphash,
    /// The first part of a registry path.
    Hive,
    /// The part between the first and the last.
    RegistryKey,
    /// `6` and `tcp` are `tcp`.
    Transport,
    /// `true` is `egress`, `false` is `ingress`; `%%14593` and `%%14592` likewise.
    Direction,
    /// The same as `true` and `false`: what Sysmon calls it, and with it the rules.
    Initiated,
}

use How::{
    AccountDomain, AccountName, Extension, FileName, Folder, HashMd5, HashSha1, HashSha256, Hive, Imphash, Ip, Number,
    RegistryKey, Text,
};

const fn step(from: Tag, to: FieldId, how: How) -> Step {
    Step { from, to, how }
}

const fn text(from: Tag, to: FieldId) -> Step {
    step(from, to, Text)
}

/// Sysmon: the process that acted.
const ACTOR: &[Step] = &[
    text(tag::IMAGE, field::PROCESS_EXECUTABLE),
    step(tag::IMAGE, field::PROCESS_NAME, FileName),
    step(tag::PROCESS_ID, field::PROCESS_PID, Number),
    text(tag::PROCESS_GUID, field::PROCESS_ENTITY_ID),
    step(tag::USER, field::USER_NAME, AccountName),
    step(tag::USER, field::USER_DOMAIN, AccountDomain),
    text(tag::RULE_NAME, field::RULE_NAME),
];
/// Sysmon: the process that did something to another.
const SOURCE: &[Step] = &[
    text(tag::SOURCE_IMAGE, field::PROCESS_EXECUTABLE),
    step(tag::SOURCE_IMAGE, field::PROCESS_NAME, FileName),
    step(tag::SOURCE_PROCESS_ID, field::PROCESS_PID, Number),
    text(tag::SOURCE_PROCESS_GUID, field::PROCESS_ENTITY_ID),
    text(tag::SOURCE_PROCESS_GUID_LOWER, field::PROCESS_ENTITY_ID),
    step(tag::SOURCE_THREAD_ID, field::PROCESS_THREAD_ID, Number),
    step(tag::SOURCE_USER, field::USER_NAME, AccountName),
    step(tag::SOURCE_USER, field::USER_DOMAIN, AccountDomain),
    text(tag::RULE_NAME, field::RULE_NAME),
];
const STARTED: &[Step] = &[
    text(tag::COMMAND_LINE, field::PROCESS_COMMAND_LINE),
    text(tag::CURRENT_DIRECTORY, field::PROCESS_WORKING_DIRECTORY),
    text(tag::PARENT_IMAGE, field::PROCESS_PARENT_EXECUTABLE),
    step(tag::PARENT_IMAGE, field::PROCESS_PARENT_NAME, FileName),
    text(tag::PARENT_COMMAND_LINE, field::PROCESS_PARENT_COMMAND_LINE),
    step(tag::PARENT_PROCESS_ID, field::PROCESS_PARENT_PID, Number),
    text(tag::PARENT_PROCESS_GUID, field::PROCESS_PARENT_ENTITY_ID),
    text(tag::LOGON_ID, field::WINLOG_LOGON_ID),
    step(tag::HASHES, field::PROCESS_HASH_MD5, HashMd5),
    step(tag::HASHES, field::PROCESS_HASH_SHA1, HashSha1),
    step(tag::HASHES, field::PROCESS_HASH_SHA256, HashSha256),
    step(tag::HASHES, field::PROCESS_PE_IMPHASH, Imphash),
    text(tag::COMPANY, field::PROCESS_PE_COMPANY),
    text(tag::DESCRIPTION, field::PROCESS_PE_DESCRIPTION),
    text(tag::FILE_VERSION, field::PROCESS_PE_FILE_VERSION),
    text(tag::ORIGINAL_FILE_NAME, field::PROCESS_PE_ORIGINAL_FILE_NAME),
    text(tag::PRODUCT, field::PROCESS_PE_PRODUCT),
];
const LOADED: &[Step] = &[
    text(tag::IMAGE_LOADED, field::FILE_PATH),
    step(tag::IMAGE_LOADED, field::FILE_NAME, FileName),
    step(tag::HASHES, field::FILE_HASH_MD5, HashMd5),
    step(tag::HASHES, field::FILE_HASH_SHA1, HashSha1),
    step(tag::HASHES, field::FILE_HASH_SHA256, HashSha256),
    step(tag::HASHES, field::FILE_PE_IMPHASH, Imphash),
    text(tag::COMPANY, field::FILE_PE_COMPANY),
    text(tag::DESCRIPTION, field::FILE_PE_DESCRIPTION),
    text(tag::FILE_VERSION, field::FILE_PE_FILE_VERSION),
    text(tag::ORIGINAL_FILE_NAME, field::FILE_PE_ORIGINAL_FILE_NAME),
    text(tag::PRODUCT, field::FILE_PE_PRODUCT),
];
const FILE: &[Step] = &[
    text(tag::TARGET_FILENAME, field::FILE_PATH),
    step(tag::TARGET_FILENAME, field::FILE_NAME, FileName),
    step(tag::TARGET_FILENAME, field::FILE_DIRECTORY, Folder),
    step(tag::TARGET_FILENAME, field::FILE_EXTENSION, Extension),
];
const FILE_HASHES: &[Step] = &[
    step(tag::HASHES, field::FILE_HASH_MD5, HashMd5),
    step(tag::HASHES, field::FILE_HASH_SHA1, HashSha1),
    step(tag::HASHES, field::FILE_HASH_SHA256, HashSha256),
    step(tag::HASHES, field::FILE_PE_IMPHASH, Imphash),
    step(tag::HASH, field::FILE_HASH_MD5, HashMd5),
    step(tag::HASH, field::FILE_HASH_SHA1, HashSha1),
    step(tag::HASH, field::FILE_HASH_SHA256, HashSha256),
    step(tag::HASH, field::FILE_PE_IMPHASH, Imphash),
];
const REGISTRY: &[Step] = &[
    text(tag::TARGET_OBJECT, field::REGISTRY_PATH),
    step(tag::TARGET_OBJECT, field::REGISTRY_HIVE, Hive),
    step(tag::TARGET_OBJECT, field::REGISTRY_KEY, RegistryKey),
    step(tag::TARGET_OBJECT, field::REGISTRY_VALUE, FileName),
    text(tag::DETAILS, field::REGISTRY_DATA_STRINGS),
];
const NETWORK: &[Step] = &[
    step(tag::SOURCE_IP, field::SOURCE_IP, Ip),
    step(tag::SOURCE_PORT, field::SOURCE_PORT, Number),
    text(tag::SOURCE_HOSTNAME, field::SOURCE_DOMAIN),
    step(tag::DESTINATION_IP, field::DESTINATION_IP, Ip),
    step(tag::DESTINATION_PORT, field::DESTINATION_PORT, Number),
    text(tag::DESTINATION_HOSTNAME, field::DESTINATION_DOMAIN),
    step(tag::PROTOCOL, field::NETWORK_TRANSPORT, How::Transport),
    step(tag::INITIATED, field::NETWORK_DIRECTION, How::Direction),
];
const PIPE: &[Step] = &[text(tag::PIPE_NAME, field::FILE_NAME)];
const DNS: &[Step] =
    &[text(tag::DNS_QUERY_NAME, field::DNS_QUESTION_NAME), text(tag::DNS_QUERY_STATUS, field::DNS_RESPONSE_CODE)];

/// Security: who did it.
const SUBJECT: &[Step] = &[
    text(tag::SUBJECT_USER_NAME, field::USER_NAME),
    text(tag::SUBJECT_DOMAIN_NAME, field::USER_DOMAIN),
    text(tag::SUBJECT_USER_SID, field::USER_ID),
    text(tag::SUBJECT_LOGON_ID, field::WINLOG_LOGON_ID),
];
/// Security: who logged on.
const LOGON_USER: &[Step] = &[
    text(tag::TARGET_USER_NAME, field::USER_NAME),
    text(tag::TARGET_DOMAIN_NAME, field::USER_DOMAIN),
    text(tag::TARGET_USER_SID, field::USER_ID),
    text(tag::TARGET_SID, field::USER_ID),
    text(tag::TARGET_LOGON_ID, field::WINLOG_LOGON_ID),
    text(tag::LOGON_TYPE, field::WINLOG_LOGON_TYPE),
];
/// Security: to whom it was done.
const TARGET_USER: &[Step] = &[
    text(tag::TARGET_USER_NAME, field::USER_TARGET_NAME),
    text(tag::TARGET_DOMAIN_NAME, field::USER_TARGET_DOMAIN),
    text(tag::TARGET_SID, field::USER_TARGET_ID),
    text(tag::TARGET_USER_SID, field::USER_TARGET_ID),
];
const TARGET_GROUP: &[Step] = &[
    text(tag::TARGET_USER_NAME, field::GROUP_NAME),
    text(tag::TARGET_SID, field::GROUP_ID),
    text(tag::MEMBER_NAME, field::USER_TARGET_NAME),
    text(tag::MEMBER_SID, field::USER_TARGET_ID),
];
const CLIENT: &[Step] = &[
    step(tag::IP_ADDRESS, field::SOURCE_IP, Ip),
    step(tag::IP_PORT, field::SOURCE_PORT, Number),
    text(tag::WORKSTATION_NAME, field::SOURCE_DOMAIN),
    text(tag::WORKSTATION, field::SOURCE_DOMAIN),
];
/// Security: in which process.
const CALLER: &[Step] = &[
    text(tag::PROCESS_NAME, field::PROCESS_EXECUTABLE),
    step(tag::PROCESS_NAME, field::PROCESS_NAME, FileName),
    step(tag::PROCESS_ID, field::PROCESS_PID, Number),
];
const STARTED_4688: &[Step] = &[
    text(tag::NEW_PROCESS_NAME, field::PROCESS_EXECUTABLE),
    step(tag::NEW_PROCESS_NAME, field::PROCESS_NAME, FileName),
    step(tag::NEW_PROCESS_ID, field::PROCESS_PID, Number),
    text(tag::COMMAND_LINE, field::PROCESS_COMMAND_LINE),
    text(tag::PARENT_PROCESS_NAME, field::PROCESS_PARENT_EXECUTABLE),
    step(tag::PARENT_PROCESS_NAME, field::PROCESS_PARENT_NAME, FileName),
    step(tag::PROCESS_ID, field::PROCESS_PARENT_PID, Number),
];
const SERVICE: &[Step] = &[
    text(tag::SERVICE_NAME, field::SERVICE_NAME),
    text(tag::SERVICE_FILE_NAME, field::PROCESS_COMMAND_LINE),
    text(tag::IMAGE_PATH, field::PROCESS_COMMAND_LINE),
];
const SHARE: &[Step] = &[
    text(tag::RELATIVE_TARGET_NAME, field::FILE_PATH),
    step(tag::RELATIVE_TARGET_NAME, field::FILE_NAME, FileName),
    text(tag::SHARE_NAME, field::FILE_DIRECTORY),
];
const OBJECT: &[Step] = &[text(tag::OBJECT_NAME, field::FILE_PATH), step(tag::OBJECT_NAME, field::FILE_NAME, FileName)];
const REGISTRY_4657: &[Step] = &[
    text(tag::OBJECT_NAME, field::REGISTRY_PATH),
    text(tag::OBJECT_VALUE_NAME, field::REGISTRY_VALUE),
    text(tag::NEW_VALUE, field::REGISTRY_DATA_STRINGS),
];
const PACKET: &[Step] = &[
    text(tag::APPLICATION, field::PROCESS_EXECUTABLE),
    step(tag::APPLICATION, field::PROCESS_NAME, FileName),
    step(tag::PROCESS_ID_UPPER, field::PROCESS_PID, Number),
    step(tag::SOURCE_ADDRESS, field::SOURCE_IP, Ip),
    step(tag::SOURCE_PORT, field::SOURCE_PORT, Number),
    step(tag::DESTINATION_ADDRESS, field::DESTINATION_IP, Ip),
    step(tag::DESTINATION_PORT_SHORT, field::DESTINATION_PORT, Number),
    step(tag::PROTOCOL, field::NETWORK_TRANSPORT, How::Transport),
    step(tag::DIRECTION, field::NETWORK_DIRECTION, How::Direction),
    step(tag::DIRECTION, field::PANOPTES_WINDOWS_INITIATED, How::Initiated),
];
const SCRIPT: &[Step] = &[text(tag::PATH, field::FILE_PATH), step(tag::PATH, field::FILE_NAME, FileName)];
const THREAT: &[Step] = &[
    text(tag::THREAT_NAME, field::RULE_NAME),
    text(tag::PATH, field::FILE_PATH),
    text(tag::PROCESS_NAME_SPACED, field::PROCESS_EXECUTABLE),
    step(tag::PROCESS_NAME_SPACED, field::PROCESS_NAME, FileName),
    step(tag::DETECTION_USER, field::USER_NAME, AccountName),
    step(tag::DETECTION_USER, field::USER_DOMAIN, AccountDomain),
];

/// What is known of event `id` of a family.
pub(super) fn of(family: Family, id: u32) -> Option<&'static Plan> {
    match family {
        Family::Sysmon | Family::LinuxSysmon => sysmon(id),
        Family::Security => security(id),
        Family::System => system(id),
        Family::PowerShell => power_shell(id),
        Family::PowerShellClassic => power_shell_classic(id),
        Family::Defender => defender(id),
        Family::DnsClient => dns_client(id),
        Family::TaskScheduler => task_scheduler(id),
        Family::WmiActivity | Family::Bits | Family::Application | Family::Other => None,
    }
}

macro_rules! plans {
    ($id:ident; $($ids:pat => $category:expr, $kind:expr, $action:literal, $outcome:expr, $steps:expr;)*) => {
        match $id {
            $($ids => {
                static PLAN: Plan =
                    Plan { category: &$category, kind: &$kind, action: $action, outcome: $outcome, steps: &$steps };
                Some(&PLAN)
            })*
            _ => None,
        }
    };
}

const DONE: Outcome = Outcome::Is(SUCCESS);
const FAILED: Outcome = Outcome::Is(FAILURE);
const NONE: Outcome = Outcome::Is(None);

fn sysmon(id: u32) -> Option<&'static Plan> {
    plans! { id;
        1 => ["process"], ["start"], "process_started", NONE, [ACTOR, STARTED];
        2 => ["file"], ["change"], "file_time_changed", NONE, [ACTOR, FILE];
        3 => ["network"], ["connection", "start", "protocol"], "network_connection", NONE, [ACTOR, NETWORK];
        4 => ["process"], ["change"], "sysmon_state_changed", NONE, [];
        5 => ["process"], ["end"], "process_ended", NONE, [ACTOR];
        6 => ["driver"], ["start"], "driver_loaded", NONE, [LOADED];
        7 => ["library"], ["start"], "image_loaded", NONE, [ACTOR, LOADED];
        8 => ["process"], ["change"], "remote_thread_created", NONE, [SOURCE];
        9 => ["process"], ["access"], "raw_disk_read", NONE, [ACTOR];
        10 => ["process"], ["access"], "process_accessed", NONE, [SOURCE];
        11 => ["file"], ["creation"], "file_created", NONE, [ACTOR, FILE];
        12 => ["configuration", "registry"], ["change"], "registry_object_changed", NONE, [ACTOR, REGISTRY];
        13 => ["configuration", "registry"], ["change"], "registry_value_set", NONE, [ACTOR, REGISTRY];
        14 => ["configuration", "registry"], ["change"], "registry_object_renamed", NONE, [ACTOR, REGISTRY];
        15 => ["file"], ["creation"], "file_stream_created", NONE, [ACTOR, FILE, FILE_HASHES];
        16 => ["configuration"], ["change"], "sysmon_configuration_changed", NONE, [];
        17 => ["file"], ["creation"], "pipe_created", NONE, [ACTOR, PIPE];
        18 => ["file"], ["access"], "pipe_connected", NONE, [ACTOR, PIPE];
        19..=21 => ["configuration"], ["change"], "wmi_subscription_changed", NONE, [ACTOR];
        22 => ["network"], ["connection", "protocol", "info"], "dns_query", NONE, [ACTOR, DNS];
        23 | 26 => ["file"], ["deletion"], "file_deleted", NONE, [ACTOR, FILE, FILE_HASHES];
        24 => ["process"], ["change"], "clipboard_changed", NONE, [ACTOR];
        25 => ["process"], ["change"], "process_tampered", NONE, [ACTOR];
        27 | 28 => ["file"], ["denied"], "file_blocked", NONE, [ACTOR, FILE, FILE_HASHES];
        29 => ["file"], ["creation"], "executable_created", NONE, [ACTOR, FILE, FILE_HASHES];
        255 => ["process"], ["error"], "sysmon_error", NONE, [];
    }
}

fn security(id: u32) -> Option<&'static Plan> {
    plans! { id;
        1102 | 517 => ["iam"], ["deletion"], "audit_log_cleared", DONE, [SUBJECT];
        4616 => ["configuration"], ["change"], "system_time_changed", DONE, [SUBJECT, CALLER];
        4624 => ["authentication"], ["start"], "logged_in", DONE, [LOGON_USER, CLIENT, CALLER];
        4625 => ["authentication"], ["start"], "logon_failed", FAILED, [LOGON_USER, CLIENT, CALLER];
        4634 | 4647 => ["authentication"], ["end"], "logged_out", DONE, [LOGON_USER];
        4648 => ["authentication"], ["start"], "logged_in_explicit", DONE, [SUBJECT, TARGET_USER, CLIENT, CALLER];
        4656 | 4658 | 4661 | 4663 | 4690 => ["file"], ["access"], "object_accessed", Outcome::OfKeywords, [SUBJECT, CALLER, OBJECT];
        4657 => ["configuration", "registry"], ["change"], "registry_value_set", DONE, [SUBJECT, CALLER, REGISTRY_4657];
        4660 => ["file"], ["deletion"], "object_deleted", Outcome::OfKeywords, [SUBJECT, CALLER];
        4662 => ["iam"], ["access"], "directory_object_accessed", Outcome::OfKeywords, [SUBJECT];
        4672 => ["iam"], ["admin"], "logged_in_special", DONE, [SUBJECT];
        4673 | 4674 => ["iam"], ["admin"], "privilege_used", Outcome::OfKeywords, [SUBJECT, CALLER];
        4688 => ["process"], ["start"], "process_started", NONE, [SUBJECT, STARTED_4688];
        4689 => ["process"], ["end"], "process_ended", NONE, [SUBJECT, CALLER];
        4697 => ["iam", "configuration"], ["admin", "change"], "service_installed", DONE, [SUBJECT, SERVICE];
        4698 => ["iam", "configuration"], ["creation"], "scheduled_task_created", DONE, [SUBJECT];
        4699 => ["iam", "configuration"], ["deletion"], "scheduled_task_deleted", DONE, [SUBJECT];
        4700..=4702 => ["iam", "configuration"], ["change"], "scheduled_task_changed", DONE, [SUBJECT];
        4703..=4705 | 4717 | 4718 => ["iam"], ["admin", "change"], "user_right_changed", DONE, [SUBJECT];
        4719 => ["iam", "configuration"], ["admin", "change"], "audit_policy_changed", DONE, [SUBJECT];
        4720 | 4741 => ["iam"], ["user", "creation"], "user_added", DONE, [SUBJECT, TARGET_USER];
        4722 => ["iam"], ["user", "change"], "user_enabled", DONE, [SUBJECT, TARGET_USER];
        4723 | 4724 => ["iam"], ["user", "change"], "password_changed", Outcome::OfKeywords, [SUBJECT, TARGET_USER];
        4725 => ["iam"], ["user", "change"], "user_disabled", DONE, [SUBJECT, TARGET_USER];
        4726 | 4743 => ["iam"], ["user", "deletion"], "user_deleted", DONE, [SUBJECT, TARGET_USER];
        4738 | 4742 | 4767 | 4781 => ["iam"], ["user", "change"], "user_changed", DONE, [SUBJECT, TARGET_USER];
        4740 => ["iam"], ["user", "change"], "user_locked_out", DONE, [SUBJECT, TARGET_USER];
        4727 | 4731 | 4744 | 4749 | 4754 | 4759 | 4783 | 4790
            => ["iam"], ["group", "creation"], "group_added", DONE, [SUBJECT, TARGET_GROUP];
        4728 | 4732 | 4746 | 4751 | 4756 | 4761 | 4785 | 4787 | 632 | 636
            => ["iam"], ["group", "change"], "group_member_added", DONE, [SUBJECT, TARGET_GROUP];
        4729 | 4733 | 4747 | 4752 | 4757 | 4762 | 4786 | 4788 | 633
            => ["iam"], ["group", "change"], "group_member_removed", DONE, [SUBJECT, TARGET_GROUP];
        4730 | 4734 | 4748 | 4753 | 4758 | 4763 | 4789 | 634
            => ["iam"], ["group", "deletion"], "group_deleted", DONE, [SUBJECT, TARGET_GROUP];
        4735 | 4737 | 4745 | 4750 | 4755 | 4760 | 4764 | 4784
            => ["iam"], ["group", "change"], "group_changed", DONE, [SUBJECT, TARGET_GROUP];
        4768 => ["authentication"], ["start"], "kerberos_ticket_requested", Outcome::OfStatus, [LOGON_USER, CLIENT];
        4769 => ["authentication"], ["start"], "kerberos_service_ticket_requested", Outcome::OfStatus,
            [LOGON_USER, CLIENT, SERVICE];
        4770 => ["authentication"], ["start"], "kerberos_ticket_renewed", DONE, [LOGON_USER, CLIENT, SERVICE];
        4771 | 675 => ["authentication"], ["start"], "kerberos_preauthentication_failed", FAILED, [LOGON_USER, CLIENT];
        4776 => ["authentication"], ["start"], "credential_validated", Outcome::OfStatus, [LOGON_USER, CLIENT];
        4778 => ["authentication", "session"], ["start"], "session_reconnected", DONE, [CLIENT];
        4779 => ["authentication", "session"], ["end"], "session_disconnected", DONE, [CLIENT];
        4798 | 4799 => ["iam"], ["user", "info"], "group_membership_enumerated", DONE, [SUBJECT, TARGET_USER];
        4800 => ["authentication", "session"], ["info"], "workstation_locked", DONE, [LOGON_USER];
        4801 => ["authentication", "session"], ["info"], "workstation_unlocked", DONE, [LOGON_USER];
        5058 | 5059 | 5061 => ["iam"], ["access"], "cryptographic_key_used", Outcome::OfKeywords, [SUBJECT];
        5379 => ["iam"], ["access"], "credentials_read", DONE, [SUBJECT];
        4964 => ["iam"], ["admin", "group"], "logged_in_special_group", DONE, [LOGON_USER];
        5136..=5139 | 5141 => ["iam"], ["change"], "directory_object_changed", DONE, [SUBJECT];
        5140 | 5145 => ["network", "file"], ["access"], "network_share_accessed", Outcome::OfKeywords,
            [SUBJECT, CLIENT, SHARE];
        5156 | 5158 => ["network"], ["connection", "allowed"], "connection_permitted", DONE, [PACKET];
        5152 | 5157 => ["network"], ["connection", "denied"], "connection_blocked", FAILED, [PACKET];
    }
}

fn system(id: u32) -> Option<&'static Plan> {
    const STATE: &[Step] = &[text(tag::PARAM_1, field::SERVICE_NAME)];
    plans! { id;
        7045 => ["configuration"], ["creation"], "service_installed", DONE, [SERVICE];
        7036 => ["process"], ["change"], "service_state_changed", NONE, [STATE];
        7040 => ["configuration"], ["change"], "service_start_type_changed", NONE, [STATE];
        104 => ["configuration"], ["deletion"], "event_log_cleared", DONE, [SUBJECT];
    }
}

fn power_shell(id: u32) -> Option<&'static Plan> {
    plans! { id;
        4103 => ["process"], ["info"], "powershell_pipeline_executed", NONE, [];
        4104 => ["process"], ["info"], "powershell_script_block", NONE, [SCRIPT];
        4105 => ["process"], ["start"], "powershell_script_started", NONE, [];
        4106 => ["process"], ["end"], "powershell_script_ended", NONE, [];
    }
}

fn power_shell_classic(id: u32) -> Option<&'static Plan> {
    plans! { id;
        400 => ["process"], ["start"], "powershell_engine_started", NONE, [];
        403 => ["process"], ["end"], "powershell_engine_stopped", NONE, [];
        600 => ["process"], ["start"], "powershell_provider_started", NONE, [];
        800 => ["process"], ["info"], "powershell_pipeline_executed", NONE, [];
    }
}

fn defender(id: u32) -> Option<&'static Plan> {
    plans! { id;
        1006 | 1015 | 1116 => ["malware"], ["info"], "malware_detected", DONE, [THREAT];
        1007 | 1117 => ["malware"], ["info"], "malware_action_taken", DONE, [THREAT];
        1008 | 1118 | 1119 => ["malware"], ["info"], "malware_action_failed", FAILED, [THREAT];
        1121 | 1122 => ["intrusion_detection"], ["info"], "attack_surface_rule_fired", NONE, [THREAT];
        5001 | 5010 | 5012 => ["configuration"], ["change"], "protection_disabled", DONE, [];
        5007 | 5013 => ["configuration"], ["change"], "protection_configuration_changed", NONE, [];
    }
}

fn dns_client(id: u32) -> Option<&'static Plan> {
    plans! { id;
        3006 | 3008 | 3020 => ["network"], ["protocol", "info"], "dns_query", NONE, [DNS];
    }
}

fn task_scheduler(id: u32) -> Option<&'static Plan> {
    plans! { id;
        106 => ["configuration"], ["creation"], "scheduled_task_created", DONE, [];
        140 => ["configuration"], ["change"], "scheduled_task_changed", DONE, [];
        141 => ["configuration"], ["deletion"], "scheduled_task_deleted", DONE, [];
        129 | 200 => ["process"], ["start"], "scheduled_task_started", NONE, [];
    }
}
