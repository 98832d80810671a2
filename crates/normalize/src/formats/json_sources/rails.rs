//! Ruby on Rails: the line that `lograge` writes for each request, in GitLab's words (`production_json.log`) and others'.

use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "Rails requests",
    examples: &[(
        "rails.requests",
        r#"{"method":"POST","path":"/users/sign_in","format":"html","controller":"SessionsController","action":"create","status":422,"time":"2024-01-15T10:30:00.123Z","params":[{"key":"user","value":{"login":"bob","password":"[FILTERED]"}}],"remote_ip":"203.0.113.9","meta.user":"bob","ua":"Mozilla/5.0","duration_s":0.2}"#,
    )],
    keys: &[mark::ACTION.and(mark::CONTROLLER)],
    read,
};

const MEANINGS: Meanings = Meanings::of(&[
    ("method", "http.request.method"),
    ("host", "url.domain"),
    ("remote_ip", "source.ip"),
    ("meta.remote_ip", "source.ip"),
    ("ip", "source.ip"),
    ("ua", "user_agent.original"),
    ("user_agent", "user_agent.original"),
    ("username", "user.name"),
    ("meta.user", "user.name"),
    ("params.value.login", "user.name"),
    ("params.value.username", "user.name"),
    ("params.username", "user.name"),
    ("user_id", "user.id"),
    ("correlation_id", "trace.id"),
    ("request_id", "http.request.id"),
    ("exception.message", "error.message"),
    ("pid", "process.pid"),
]);

fn read(fields: &mut Fields<'_, '_>) -> bool {
    let Some(controller) = fields.text("controller").map(str::to_owned) else { return false };
    if !controller.ends_with("Controller") || !fields.has("method") || !(fields.has("status") || fields.has("path")) {
        return false;
    }
    fields.dataset("rails.requests");
    fields.time(&["time", "@timestamp", "timestamp"]);
    fields.spread("params");
    fields.spread_pairs("params", super::spread::Pairs { name: "key", value: &["value"] });
    fields.mean(MEANINGS);
    fields.url("path");
    fields.duration("duration_s", 1e9);
    let action = fields.text("action").unwrap_or("").to_owned();
    let logs_in = controller.contains("Sessions") && action == "create"
        || controller.contains("OmniauthCallbacks") && action == "failure"
        || controller.contains("Sessions") && action == "authenticate";
    if logs_in && fields.is("method", "POST") {
        // Whoever is let in is sent elsewhere; a form that comes again, or an answer that never came, is a refusal.
        let success = action != "failure" && fields.number("status").is_some_and(|it| (300..400).contains(&it));
        fields.login(success);
        fields.set("event.action", "login");
    } else {
        fields.set("event.action", "http_request");
    }
    fields.request("status");
    true
}
