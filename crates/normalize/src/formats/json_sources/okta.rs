//! Okta: the system log.

use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "Okta system log",
    examples: &[(
        "okta.system",
        r#"{"actor":{"id":"00u1","type":"User","alternateId":"bob@example.com","displayName":"Bob"},"client":{"userAgent":{"rawUserAgent":"Mozilla/5.0"},"ipAddress":"203.0.113.9","geographicalContext":{"country":"Germany"}},"displayMessage":"User login to Okta","eventType":"user.session.start","outcome":{"result":"FAILURE","reason":"INVALID_CREDENTIALS"},"published":"2024-01-15T10:30:00.123Z","securityContext":{"isProxy":true},"severity":"INFO","legacyEventType":"core.user_auth.login_failed","uuid":"u","target":[{"id":"0oa1","type":"AppInstance","displayName":"Okta Admin Console"}],"debugContext":{"debugData":{"requestUri":"/api/v1/authn"}}}"#,
    )],
    keys: &[
        mark::EVENT_TYPE.and(mark::DISPLAY_MESSAGE),
        mark::EVENT_TYPE.and(mark::ACTOR_ALTERNATE_ID),
        mark::EVENT_TYPE.and(mark::LEGACY_EVENT_TYPE),
    ],
    read,
};

const MEANINGS: Meanings = Meanings::of(&[
    ("uuid", "event.id"),
    ("eventType", "event.action"),
    ("displayMessage", "message"),
    ("actor.alternateId", "user.name"),
    ("actor.id", "user.id"),
    ("client.ipAddress", "source.ip"),
    ("client.userAgent.rawUserAgent", "user_agent.original"),
    ("outcome.reason", "event.reason"),
    ("transaction.id", "trace.id"),
    ("securityContext.asNumber", "source.as.number"),
]);

fn read(fields: &mut Fields<'_, '_>) -> bool {
    fields.dataset("okta.system");
    fields.time(&["published", "eventTime"]);
    fields.mean(MEANINGS);
    let result = fields.text("outcome.result").map(str::to_ascii_uppercase);
    let success = match result.as_deref() {
        Some("SUCCESS" | "ALLOW") => Some(true),
        Some("FAILURE" | "DENY") => Some(false),
        _ => None,
    };
    let is_login =
        fields.text("eventType").is_some_and(|it| it == "user.session.start" || it.starts_with("user.authentication."));
    match success {
        Some(success) if is_login => fields.login(success),
        Some(success) => fields.outcome(success),
        None => {}
    }
    fields.spread("target");
    true
}
