//! Google Workspace: activities as the Reports API gives them.

use super::spread::Pairs;
use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "Google Workspace",
    examples: &[
        (
            "google_workspace.admin",
            r#"{"kind":"admin#reports#activity","id":{"time":"2024-01-15T10:30:00.000Z","uniqueQualifier":"1","applicationName":"admin","customerId":"C1"},"actor":{"email":"bob@example.com","profileId":"7"},"ipAddress":"203.0.113.9","events":[{"type":"SECURITY_SETTINGS","name":"CHANGE_APPLICATION_SETTING","parameters":[{"name":"SETTING_NAME","value":"ContextAwareAccess Enabled"},{"name":"NEW_VALUE","value":"false"}]}]}"#,
        ),
        (
            "google_workspace.login",
            r#"{"id":{"time":"2024-01-15T10:30:00.000Z","applicationName":"login"},"actor":{"email":"bob@example.com"},"ipAddress":"2001:db8::1","events":[{"type":"login","name":"login_failure"}]}"#,
        ),
        (
            "google_workspace.admin",
            r#"{"eventService":"admin.googleapis.com","eventName":"DELETE_ROLE","timestamp":"2024-01-15T10:30:00Z","actor":{"email":"bob@example.com"}}"#,
        ),
    ],
    keys: &[mark::ID_APPLICATION_NAME.and(mark::EVENTS), mark::EVENT_SERVICE.and(mark::EVENT_NAME)],
    read,
};

const MEANINGS: Meanings = Meanings::of(&[
    ("id.uniqueQualifier", "event.id"),
    ("actor.email", "user.email"),
    ("actor.email", "user.name"),
    ("actor.profileId", "user.id"),
    ("ipAddress", "source.ip"),
    ("eventName", "event.action"),
    ("eventService", "event.provider"),
]);

/// How long the name of an application may be to become part of a dataset.
const APPLICATION_BYTES_MAX: usize = 64;

fn read(fields: &mut Fields<'_, '_>) -> bool {
    let application = match fields.text("id.applicationName").map(str::to_ascii_lowercase) {
        Some(application) if application.len() <= APPLICATION_BYTES_MAX => application,
        Some(_) => return false,
        None => match fields.text("eventService").and_then(|it| it.strip_suffix(".googleapis.com")) {
            Some(application) => application.to_ascii_lowercase(),
            None => return false,
        },
    };
    fields.cloud("gcp", &format!("google_workspace.{application}"));
    fields.time(&["id.time", "timestamp", "time"]);
    fields.mean(MEANINGS);
    fields.spread_pairs("events", Pairs { name: "name", value: &["value", "boolValue", "multiValue", "intValue"] });
    fields.also("events.name", "event.action");
    fields.also("event.action", "google_workspace.event_name");
    fields.also("events.parameters.NEW_VALUE", "google_workspace.new_value");
    fields.also("events.parameters.SETTING_NAME", "google_workspace.setting_name");
    fields.also("new_value", "google_workspace.new_value");
    fields.also("setting_name", "google_workspace.setting_name");
    fields.set("event.provider", &format!("{application}.googleapis.com"));
    if application == "login" {
        let failed = fields.is_one_of("event.action", &["login_failure", "login_blocked"]);
        if fields.text("event.action").is_some_and(|it| it.starts_with("login_")) {
            fields.login(!failed);
        }
    }
    true
}
