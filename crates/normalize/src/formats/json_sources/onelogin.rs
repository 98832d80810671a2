//! OneLogin: events by number.

use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "OneLogin events",
    examples: &[(
        "onelogin.events",
        r#"{"id":1,"created_at":"2024-01-15T10:30:00.123Z","account_id":5,"user_id":7,"user_name":"Bob","event_type_id":6,"ipaddr":"203.0.113.9","actor_user_id":7,"actor_user_name":"Bob","error_description":"wrong password"}"#,
    )],
    keys: &[mark::EVENT_TYPE_ID],
    read,
};

const MEANINGS: Meanings = Meanings::of(&[
    ("id", "event.id"),
    ("event_type_id", "event.code"),
    ("actor_user_name", "user.name"),
    ("user_name", "user.name"),
    ("actor_user_id", "user.id"),
    ("user_id", "user.target.id"),
    ("user_name", "user.target.name"),
    ("ipaddr", "source.ip"),
    ("error_description", "error.message"),
    ("role_name", "group.name"),
]);

/// Logged in to OneLogin, and failed to.
const LOGIN: i64 = 5;
const LOGIN_FAILED: i64 = 6;

fn read(fields: &mut Fields<'_, '_>) -> bool {
    let Some(number) = fields.number("event_type_id") else { return false };
    if !["account_id", "actor_user_id", "user_id"].iter().any(|it| fields.has(it)) {
        return false;
    }
    fields.dataset("onelogin.events");
    fields.time(&["created_at", "event_timestamp"]);
    fields.mean(MEANINGS);
    if matches!(number, LOGIN | LOGIN_FAILED) {
        fields.login(number == LOGIN);
    }
    true
}
