//! Google Cloud: audit log entries, also as Pub/Sub wraps them (`data.`).

use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "Google Cloud audit",
    examples: &[
        (
            "gcp.audit",
            r#"{"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","authenticationInfo":{"principalEmail":"bob@example.com"},"requestMetadata":{"callerIp":"203.0.113.9","callerSuppliedUserAgent":"gcloud"},"serviceName":"storage.googleapis.com","methodName":"storage.buckets.delete","authorizationInfo":[{"resource":"projects/_/buckets/b","permission":"storage.buckets.delete","granted":true}],"resourceName":"projects/_/buckets/b","status":{}},"insertId":"1","resource":{"type":"gcs_bucket","labels":{"project_id":"p1","location":"eu"}},"timestamp":"2024-01-15T10:30:00.123Z","severity":"NOTICE","logName":"projects/p1/logs/cloudaudit.googleapis.com%2Factivity"}"#,
        ),
        (
            "gcp.audit",
            r#"{"data":{"protoPayload":{"serviceName":"iam.googleapis.com","methodName":"google.iam.admin.v1.DeleteServiceAccount","status":{"code":7,"message":"denied"}},"timestamp":"2024-01-15T10:30:00Z"},"publishTime":"2024-01-15T10:30:09Z"}"#,
        ),
        (
            "google_workspace.login",
            r#"{"protoPayload":{"serviceName":"login.googleapis.com","methodName":"google.login.LoginService.loginFailure","authenticationInfo":{"principalEmail":"bob@example.com"},"requestMetadata":{"callerIp":"203.0.113.9"},"metadata":{"event":[{"eventName":"login_failure","eventType":"login"}]}},"timestamp":"2024-01-15T10:30:00Z"}"#,
        ),
    ],
    keys: &[mark::METHOD_NAME, mark::SERVICE_NAME],
    read,
};

const MEANINGS: Meanings = Meanings::of(&[
    ("protoPayload.methodName", "event.action"),
    ("protoPayload.serviceName", "event.provider"),
    ("insertId", "event.id"),
    ("protoPayload.authenticationInfo.principalEmail", "user.email"),
    ("protoPayload.authenticationInfo.principalEmail", "user.name"),
    ("protoPayload.requestMetadata.callerIp", "source.ip"),
    ("protoPayload.requestMetadata.callerSuppliedUserAgent", "user_agent.original"),
    ("resource.labels.project_id", "cloud.project.id"),
    ("resource.labels.location", "cloud.region"),
    ("protoPayload.status.code", "error.code"),
    ("protoPayload.status.message", "error.message"),
    // As Elastic's module calls them, and with it the rules.
    ("protoPayload.methodName", "gcp.audit.method_name"),
    ("protoPayload.serviceName", "gcp.audit.service_name"),
    ("protoPayload.resourceName", "gcp.audit.resource_name"),
]);

fn read(fields: &mut Fields<'_, '_>) -> bool {
    let dataset = if fields.is("protoPayload.serviceName", "login.googleapis.com") {
        "google_workspace.login"
    } else if fields.is("protoPayload.serviceName", "admin.googleapis.com") {
        "google_workspace.admin"
    } else {
        "gcp.audit"
    };
    fields.cloud("gcp", dataset);
    fields.time(&["timestamp", "receiveTimestamp"]);
    fields.mean(MEANINGS);
    let failed = fields.number("protoPayload.status.code").is_some_and(|it| it != 0);
    fields.spread("protoPayload.authorizationInfo");
    fields.spread_pairs(
        "protoPayload.metadata.event",
        super::spread::Pairs { name: "name", value: &["value", "boolValue", "multiStrValue", "intValue"] },
    );
    fields.also("protoPayload.metadata.event.eventName", "google_workspace.event_name");
    if dataset == "google_workspace.login" {
        let refused = fields.text("protoPayload.methodName").is_some_and(|it| it.contains("Failure"));
        fields.login(!refused && !failed);
    }
    fields.outcome(!failed);
    true
}
