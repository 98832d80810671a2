//! Products that log in JSON, recognised by the keys of their records, one file each.
//!
//! Which of the [marks](MARKS) an object has is one look at a table for each of its fields; most JSON has none of those
//! that matter and pays no more than that. A product's own names stay as they are, because rules use them; its file
//! adds what they mean in ECS, the dataset and the time. Records that shippers wrapped (a text with JSON in it, a
//! bus's envelope) are unwrapped here too.
//!
//! To add one: copy `onelogin.rs`, list its `KIND` in [`ALL`]. The contract tests then see to it that its examples are
//! taken by it and by no other.

mod azure;
mod bitbucket;
mod cloudtrail;
mod duo;
mod fields;
mod gcp;
mod github;
mod google_workspace;
mod journald;
mod kubernetes;
mod m365;
mod okta;
mod onelogin;
mod opencanary;
mod rails;
mod spread;
mod suricata;
mod w3c;
mod wrapped;
mod zeek;

use panoptes_model::BatchWriter;

use self::fields::{Fields, Meanings};
pub(super) use self::spread::read_below;
pub(super) use self::wrapped::read_wrapped;
use crate::context::Context;

/// Every product, the ones that are told apart most surely first.
static ALL: &[&JsonSource] = &[
    &zeek::KIND,
    &suricata::KIND,
    &w3c::KIND,
    &journald::KIND,
    &cloudtrail::KIND,
    &kubernetes::KIND,
    &google_workspace::KIND,
    &gcp::KIND,
    &m365::KIND,
    &okta::KIND,
    &azure::KIND,
    &github::KIND,
    &bitbucket::KIND,
    &duo::KIND,
    &onelogin::KIND,
    &opencanary::KIND,
    &rails::KIND,
];

struct JsonSource {
    /// How the manual calls it.
    name: &'static str,
    /// Each with the dataset that it must become.
    examples: &'static [(&'static str, &'static str)],
    /// What an object must have to be looked at more closely: all keys of one of these sets.
    keys: &'static [Marks],
    /// Says what the record means; `false`, with nothing written, if it is none of this product's after all.
    read: fn(&mut Fields<'_, '_>) -> bool,
}

/// A set of [`MARKS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks(u128);

macro_rules! marks {
    ($($constant:ident $name:literal,)*) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "only counts the constants")]
        enum Index { $($constant,)* }
        /// One key each, to be joined by [`Marks::and`].
        mod mark {
            use super::*;
            $(pub(super) const $constant: Marks = Marks(1 << Index::$constant as u32);)*
        }
        /// The keys by which products are told. A key that half the world uses is of no use alone.
        const MARKS: &[&str] = &[$($name,)*];
    };
}

marks! {
    ACCESS_DEVICE_IP "access_device.ip",
    ACTION "action",
    ACTIVITY_DISPLAY_NAME "activityDisplayName",
    ACTOR "actor",
    ACTOR_ALTERNATE_ID "actor.alternateId",
    ACTOR_ID "actor_id",
    APP_DISPLAY_NAME "appDisplayName",
    APP_DISPLAY_NAME_UPPER "AppDisplayName",
    AUDIT_DATA "AuditData",
    AUDIT_ID "auditID",
    AUDIT_TYPE_ACTION "auditType.action",
    AWS_REGION "awsRegion",
    CATEGORY "category",
    CATEGORY_UPPER "Category",
    CONTROLLER "controller",
    CREATED_AT "created_at",
    DEST_IP "dest_ip",
    DATA_METHOD_NAME "data.protoPayload.methodName",
    DETAIL_EVENT_SOURCE "detail.eventSource",
    DISPLAY_MESSAGE "displayMessage",
    DOCUMENT_ID "_document_id",
    EVENT_NAME "eventName",
    EVENT_SERVICE "eventService",
    EVENT_SOURCE "eventSource",
    EVENT_TYPE "eventType",
    EVENT_TYPE_ID "event_type_id",
    EVENTS "events",
    FACTOR "factor",
    FLOW_ID "flow_id",
    ID_APPLICATION_NAME "id.applicationName",
    JOURNAL_BOOT "_BOOT_ID",
    JOURNAL_MESSAGE "MESSAGE",
    JOURNAL_TIME "__REALTIME_TIMESTAMP",
    LEGACY_EVENT_TYPE "legacyEventType",
    LOG "log",
    LOGTYPE "logtype",
    MESSAGE "message",
    METHOD_NAME "protoPayload.methodName",
    NODE_ID "node_id",
    OBJECT_REF_RESOURCE "objectRef.resource",
    ODATA_TYPE "@odata.type",
    OPERATION "Operation",
    OPERATION_NAME "operationName",
    OPERATION_NAME_UPPER "OperationName",
    OPERATION_NAME_VALUE "OperationNameValue",
    ORG "org",
    PROPERTIES_LOG "properties.log",
    RECORD_TYPE "RecordType",
    REPO "repo",
    REQUEST_URI "requestURI",
    RESOURCE_ID "resourceId",
    RESULT_TYPE_UPPER "ResultType",
    RISK_EVENT_TYPE "riskEventType",
    RISK_EVENT_TYPE_UPPER "RiskEventType",
    SERVICE_NAME "protoPayload.serviceName",
    SURICATA_EVENT_TYPE "event_type",
    TARGET_RESOURCES "TargetResources",
    TIME "time",
    TXID "txid",
    USER_IDENTITY_TYPE "userIdentity.type",
    VERB "verb",
    W3C "_w3c",
    WORKLOAD "Workload",
    ZEEK_ORIG_H "id.orig_h",
    ZEEK_PATH "_path",
    ZEEK_TS "ts",
    ZEEK_UID "uid",
}

// One bit each.
const _: () = assert!(MARKS.len() <= u128::BITS as usize);

/// Keys that ordinary records have: an object with none but these is no product's, and needs no second look.
const ORDINARY: Marks = mark::MESSAGE
    .and(mark::LOG)
    .and(mark::TIME)
    .and(mark::ZEEK_TS)
    .and(mark::CATEGORY)
    .and(mark::ACTION)
    .and(mark::ACTOR)
    .and(mark::EVENTS)
    .and(mark::CREATED_AT)
    .and(mark::AUDIT_DATA)
    .and(mark::SURICATA_EVENT_TYPE)
    .and(mark::PROPERTIES_LOG);

/// Keys below which a whole record of another product may stand, and the key that says so.
const ENVELOPES: &[(Marks, &str)] = &[(mark::DETAIL_EVENT_SOURCE, "detail."), (mark::DATA_METHOD_NAME, "data.")];

impl Marks {
    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    const fn has_any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

/// Which marks the object has whose fields begin at `start`.
#[inline]
pub(super) fn look(writer: &mut BatchWriter<'_>, start: usize) -> Marks {
    Marks(writer.marks(start, MARKS))
}

/// Says what the object with these marks means whose fields begin at `start`, if it is a known product's.
#[inline]
pub(super) fn read(
    writer: &mut BatchWriter<'_>,
    start: usize,
    marks: Marks,
    text: &str,
    context: &Context<'_>,
) -> bool {
    if ORDINARY.has(marks) {
        return false;
    }
    ALL.iter().any(|it| it.is_possible(marks)) && read_possible(writer, start, text, context, marks)
        || ENVELOPES.iter().any(|(mark, _)| marks.has_any(*mark)) && read_envelope(writer, start, text, context, marks)
}

#[cold]
fn read_possible(writer: &mut BatchWriter<'_>, start: usize, text: &str, context: &Context<'_>, marks: Marks) -> bool {
    let mut fields = Fields::new(writer, start, text, context);
    let found = ALL.iter().any(|it| it.is_possible(marks) && (it.read)(&mut fields));
    if found {
        fields.finish();
    }
    found
}

/// A record that a bus put below a key of its own: its fields get their own names back, beside those of the bus.
#[cold]
fn read_envelope(writer: &mut BatchWriter<'_>, start: usize, text: &str, context: &Context<'_>, marks: Marks) -> bool {
    let inner = writer.field_count();
    for (_, prefix) in ENVELOPES.iter().filter(|(mark, _)| marks.has_any(*mark)) {
        for index in start..inner {
            let Some((id, _)) = writer.nth(index) else { break };
            let Some(name) = writer.field_name(id).strip_prefix(prefix).map(str::to_owned) else { continue };
            if let Some(id) = writer.field(&name) {
                writer.alias(id, index);
            }
        }
    }
    let marks = Marks(writer.marks(inner, MARKS));
    let mut fields = Fields::new(writer, start, text, context);
    let found = ALL.iter().any(|it| it.is_possible(marks) && (it.read)(&mut fields));
    if found {
        fields.finish();
    } else {
        while writer.field_count() > inner {
            writer.remove(writer.field_count() - 1);
        }
    }
    found
}

/// The products that are recognised, each with the datasets that its examples become, and the examples.
pub fn json_examples() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    ALL.iter().flat_map(|it| it.examples.iter().map(|(dataset, example)| (it.name, *dataset, *example)))
}

impl JsonSource {
    fn is_possible(&self, marks: Marks) -> bool {
        self.keys.iter().any(|it| marks.has(*it))
    }
}

#[cfg(test)]
mod tests;
