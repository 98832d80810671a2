//! GitHub: the audit log of an organisation or enterprise.

use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "GitHub audit",
    examples: &[
        (
            "github.audit",
            r#"{"@timestamp":1705314600123,"_document_id":"d","action":"protected_branch.policy_override","actor":"bob","actor_id":7,"actor_ip":"203.0.113.9","actor_location":{"country_code":"DE"},"business":"corp","created_at":1705314600123,"org":"corp","repo":"corp/shop","user_agent":"git/2.43"}"#,
        ),
        ("github.audit", r#"{"action":"repo.destroy","actor":"bob","created_at":1705314600123,"repo":"corp/shop"}"#),
    ],
    keys: &[
        mark::ACTION.and(mark::ACTOR).and(mark::DOCUMENT_ID),
        mark::ACTION.and(mark::ACTOR).and(mark::CREATED_AT).and(mark::ORG),
        mark::ACTION.and(mark::ACTOR).and(mark::CREATED_AT).and(mark::REPO),
        mark::ACTION.and(mark::ACTOR).and(mark::CREATED_AT).and(mark::ACTOR_ID),
    ],
    read,
};

const MEANINGS: Meanings = Meanings::of(&[
    ("_document_id", "event.id"),
    ("action", "event.action"),
    ("actor", "user.name"),
    ("actor_id", "user.id"),
    ("actor_ip", "source.ip"),
    ("user", "user.target.name"),
    ("user_agent", "user_agent.original"),
    ("org", "organization.name"),
    ("team", "group.name"),
]);

fn read(fields: &mut Fields<'_, '_>) -> bool {
    // `area.what`, of letters: what others call an action has another form.
    let is_action = |it: &str| {
        it.contains('.')
            && it.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-'))
    };
    if !fields.text("action").is_some_and(is_action) || fields.text("actor").is_none() {
        return false;
    }
    fields.dataset("github.audit");
    fields.time(&["@timestamp", "created_at"]);
    fields.mean(MEANINGS);
    true
}
