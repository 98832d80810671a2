//! Microsoft 365: the unified audit log, as the Management Activity API and exports give it.

use super::spread::Pairs;
use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "Microsoft 365 audit",
    examples: &[
        (
            "m365.audit",
            r#"{"CreationTime":"2024-01-15T10:30:00","Id":"11111111-2222-3333-4444-555555555555","Operation":"New-InboxRule","OrganizationId":"o","RecordType":1,"ResultStatus":"True","UserKey":"k","UserType":2,"Workload":"Exchange","ClientIP":"203.0.113.9:50000","UserId":"bob@example.com","Parameters":[{"Name":"ForwardTo","Value":"eve@example.net"},{"Name":"DeleteMessage","Value":"True"}]}"#,
        ),
        (
            "m365.audit",
            r#"{"CreationTime":"2024-01-15T10:30:00","Operation":"UserLoggedIn","RecordType":15,"ResultStatus":"Success","Workload":"AzureActiveDirectory","ActorIpAddress":"2001:db8::1","UserId":"bob@example.com","ApplicationId":"a","ExtendedProperties":[{"Name":"UserAgent","Value":"curl/8.0"},{"Name":"RequestType","Value":"Cmsi:Cmsi"}]}"#,
        ),
        (
            "m365.audit",
            r#"{"CreationTime":"2024-01-15T10:30:00","Operation":"AlertTriggered","RecordType":40,"Workload":"SecurityComplianceCenter","UserId":"SecurityComplianceAlerts","Name":"Activity from infrequent country","Severity":"Medium","Status":"Active"}"#,
        ),
    ],
    keys: &[mark::OPERATION.and(mark::WORKLOAD), mark::OPERATION.and(mark::RECORD_TYPE)],
    read,
};

const MEANINGS: Meanings = Meanings::of(&[
    ("Id", "event.id"),
    ("Operation", "event.action"),
    ("Workload", "event.provider"),
    ("RecordType", "event.code"),
    ("OrganizationId", "organization.id"),
    ("ClientIP", "source.ip"),
    ("ClientIPAddress", "source.ip"),
    ("ActorIpAddress", "source.ip"),
    ("UserId", "user.name"),
    ("UserId", "user.email"),
    ("UserKey", "user.id"),
    ("UserAgent", "user_agent.original"),
    ("ObjectId", "file.path"),
    ("SourceFileName", "file.name"),
    ("SiteUrl", "url.original"),
    ("LogonError", "event.reason"),
]);

/// Named pairs: of settings, of what was changed and from what, of anything else.
const LISTS: &[&str] = &["Parameters", "ModifiedProperties", "ExtendedProperties", "OperationProperties"];

fn read(fields: &mut Fields<'_, '_>) -> bool {
    fields.cloud("azure", "m365.audit");
    fields.time(&["CreationTime"]);
    fields.mean(MEANINGS);
    if fields.is("Operation", "AlertTriggered") {
        // The policy that raised the alert is what happened; that it was raised needs no success of its own.
        fields.also("Name", "rule.name");
        fields.outcome(true);
    }
    let failed = fields.is_one_of("ResultStatus", &["Failed", "Failure", "False", "PartiallySucceeded"]);
    if fields.is_one_of("Operation", &["UserLoggedIn", "UserLoginFailed", "MailboxLogin"]) {
        let refused = fields.is("Operation", "UserLoginFailed");
        fields.login(!failed && !refused);
    }
    if failed || fields.has("ResultStatus") {
        fields.outcome(!failed);
    }
    for list in LISTS {
        fields.spread_pairs(list, Pairs { name: "Name", value: &["NewValue", "Value"] });
    }
    fields.also("ExtendedProperties.UserAgent", "user_agent.original");
    fields.spread("Target");
    true
}
