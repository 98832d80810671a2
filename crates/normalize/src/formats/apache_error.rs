//! Apache's error log, of 2.2 and 2.4: `[time] [module:level] [pid 1:tid 2] [client A:P] AH01617: message, referer: …`.

use panoptes_model::{BatchWriter, field};

use super::nginx_error::write_request;
use super::{Declined, FormatKind};
use crate::context::Context;
use crate::fact::{FAILURE, Fact, write_user};
use crate::text::{Cursor, leading_number};
use crate::{address, level, time};

pub(super) static KIND: FormatKind = FormatKind {
    name: "apache_error",
    summary: "a line of Apache's error log (2.2 or 2.4)",
    example: r#"[Mon Jan 15 10:30:00.123456 2024] [auth_basic:error] [pid 12:tid 34] [client 203.0.113.9:4711] AH01617: user bob: authentication failure for "/admin": Password Mismatch"#,
    parse,
};

const NO: Declined = Declined::because("is not `[time] [level] message`");

const HTTP_AUTH: Fact =
    Fact { category: &["authentication", "web"], kind: &["start"], action: "http_auth", outcome: FAILURE };
const HTTP_DENIED: Fact =
    Fact { category: &["web"], kind: &["access", "denied"], action: "http_denied", outcome: FAILURE };
const HTTP_ERROR: Fact = Fact { category: &["web"], kind: &["error"], action: "http_error", outcome: FAILURE };
const SERVER: Fact = Fact { category: &["web"], kind: &["info"], action: "server_message", outcome: None };

fn parse(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    // Apache's own time begins with the day of the week; with a number anybody's line may begin so.
    if text.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
        && !text.contains("[client ")
        && context.services.may_know(text)
    {
        return Err(Declined::because("may be a line of a service that a file describes"));
    }
    write(writer, text, context).ok_or(NO)
}

fn write(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Option<()> {
    let (civil, rest) = time::leading(text.strip_prefix('[')?)?;
    let mut cursor = Cursor::new(rest.strip_prefix("] ")?);
    let (mut word, mut module, mut pid, mut client, mut code) = (None, None, None, None, None);
    let mut message = cursor.rest;
    // Bracketed parts come in any order and number; what is none of them begins the message.
    while cursor.eat("[") {
        let Some(part) = cursor.until(b']') else { break };
        if let Some(peer) = part.strip_prefix("client ").or_else(|| part.strip_prefix("remote ")) {
            client = client.or(Some(peer));
        } else if let Some(ids) = part.strip_prefix("pid ") {
            pid = leading_number(ids).map(|(pid, _)| pid);
        } else if let Some(it) = part.rsplit(':').next().and_then(level_of)
            && word.is_none()
        {
            word = Some(it);
            module = part.rsplit_once(':').map(|(module, _)| module).filter(|it| !it.is_empty());
        } else if word.is_none() || !part.starts_with("tid ") {
            break;
        }
        cursor.skip_spaces();
        message = cursor.rest;
        // `(13)Permission denied: [client …]`: the error of the system stands before the client.
        if client.is_none()
            && message.starts_with('(')
            && let Some((_, after)) = message.split_once(": [client ")
        {
            let mut after = Cursor::new(after);
            client = after.until(b']');
            after.skip_spaces();
            message = after.rest;
            break;
        }
    }
    let word = word?;
    let whole = message;
    if let Some((id, rest)) = message.split_once(": ")
        && id.len() == 7
        && id.starts_with("AH")
        && id.bytes().skip(2).all(|byte| byte.is_ascii_digit())
    {
        (code, message) = (Some(id), rest);
    }
    let referrer = message.rsplit_once(", referer: ");
    let message = referrer.map_or(message, |(message, _)| message);
    context.stamp(writer, &civil);

    let (fact, user) = classify(message, client.is_some());
    fact.write(writer, "apache.error");
    if !writer.has(field::LOG_LEVEL) {
        writer.text(field::LOG_LEVEL, word);
    }
    writer.text(field::MESSAGE, whole);
    if let Some(module) = module {
        writer.text(field::LOG_LOGGER, module);
    }
    if let Some(pid) = pid.filter(|_| !writer.has(field::PROCESS_PID)) {
        writer.integer(field::PROCESS_PID, i64::try_from(pid).unwrap_or(i64::MAX));
    }
    if let Some(client) = client {
        address::write_source(writer, client, None);
    }
    if let Some(code) = code {
        writer.text(field::EVENT_CODE, code);
    }
    if let Some(user) = user {
        write_user(writer, field::USER_NAME, user);
    }
    if let Some((_, referrer)) = referrer {
        writer.text(field::HTTP_REQUEST_REFERRER, referrer);
    }
    if let Some(request) = message.strip_prefix("Invalid URI in request ") {
        write_request(writer, request.trim_end());
    }
    // What an application says through PHP.
    if let Some((_, said)) = message.split_once("PHP message: ") {
        let said = said.trim_end_matches(['\'', '"']);
        context.services.read_line(writer, said, context);
    }
    Some(())
}

/// `trace1` to `trace8` are levels too.
fn level_of(word: &str) -> Option<&'static str> {
    if word.starts_with("trace") && word.len() <= 6 { Some("trace") } else { level::canonical(word) }
}

/// What the message says, and the user that it names.
fn classify(message: &str, from_client: bool) -> (Fact, Option<&str>) {
    if !from_client {
        return (SERVER, None);
    }
    let message = message.strip_prefix("Digest: ").unwrap_or(message);
    if let Some(rest) = message.strip_prefix("user ") {
        // The name is the stranger's: the words of the server are looked for from the right.
        for mark in [
            ": authentication failure for ",
            ": authorization failure for ",
            ": password mismatch: ",
            " not found: ",
            "' not found: ",
            "' in realm `",
            "' in realm '",
            " in realm ",
            ": ",
        ] {
            if let Some((user, _)) = rest.rsplit_once(mark) {
                let user = user.trim_matches(['`', '\'', '"']);
                // `user x' in realm y' not found`: what is left of the mark may still hold the realm.
                let user = user.split_once("' in realm ").map_or(user, |(user, _)| user);
                return (HTTP_AUTH, Some(user));
            }
        }
        return (HTTP_AUTH, None);
    }
    let starts = |prefix: &str| message.starts_with(prefix);
    if starts("client used wrong authentication scheme")
        || starts("invalid nonce")
        || starts("realm mismatch")
        || starts("unknown algorithm")
        || starts("invalid qop")
        || starts("invalid opaque")
        || starts("uri mismatch")
        || starts("need AuthName")
        || starts("access to ") && message.contains("reason: user ")
    {
        let user = message.split_once("reason: user ").and_then(|(_, it)| it.split_once(" not allowed"));
        return (HTTP_AUTH, user.map(|(user, _)| user));
    }
    if starts("client denied by server configuration")
        || starts("Directory index forbidden")
        || starts("Cannot serve directory")
        || starts("access to ")
        || message.contains("Access denied")
    {
        return (HTTP_DENIED, None);
    }
    (HTTP_ERROR, None)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::formats::tests::{check, value};

    #[test]
    fn failed_basic_authentication_names_user_and_client() {
        check(
            super::KIND.example,
            expect![[r#"
            2024-01-15T10:30:00.123456Z
            event.kind: event
            event.dataset: apache.error
            event.category: authentication,web
            event.type: start
            event.action: http_auth
            event.outcome: failure
            log.level: error
            message: AH01617: user bob: authentication failure for "/admin": Password Mismatch
            log.logger: auth_basic
            process.pid: 12
            source.ip: 203.0.113.9
            source.port: 4711
            event.code: AH01617
            user.name: bob
            panoptes.format: apache_error
        "#]],
        );
        check(
            "[Mon Jan 15 10:30:00 2024] [error] [client 203.0.113.9] user a b not found: /x",
            expect![[r#"
            2024-01-15T10:30:00Z
            event.kind: event
            event.dataset: apache.error
            event.category: authentication,web
            event.type: start
            event.action: http_auth
            event.outcome: failure
            log.level: error
            message: user a b not found: /x
            source.ip: 203.0.113.9
            user.name: a b
            panoptes.format: apache_error
        "#]],
        );
    }

    #[test]
    fn users_may_be_called_anything() {
        let user = |message: &str| {
            value(&format!("[Mon Jan 15 10:30:00 2024] [error] [client 203.0.113.9] {message}"), "user.name")
        };
        assert_eq!(user(r#"AH01617: user x: y: authentication failure for "/": Password Mismatch"#), "x: y");
        assert_eq!(user("AH01618: user x not found: y not found: /a"), "x not found: y");
        assert_eq!(user("AH01790: user `bob' in realm `staff' not found: /a"), "bob");
        assert_eq!(user("AH01794: user bob: password mismatch: /a"), "bob");
        assert_eq!(user(r#"AH01631: user bob: authorization failure for "/a": "#), "bob");
    }

    #[test]
    fn clients_are_found_wherever_they_stand() {
        check(
            "[Mon Jan 15 10:30:00.5 2024] [core:error] [pid 5] (13)Permission denied: [client 203.0.113.9:1] AH00132: file permissions deny server access: /x, referer: http://a/",
            expect![[r#"
                2024-01-15T10:30:00.5Z
                event.kind: event
                event.dataset: apache.error
                event.category: web
                event.type: error
                event.action: http_error
                event.outcome: failure
                log.level: error
                message: AH00132: file permissions deny server access: /x, referer: http://a/
                log.logger: core
                process.pid: 5
                source.ip: 203.0.113.9
                source.port: 1
                event.code: AH00132
                http.request.referrer: http://a/
                panoptes.format: apache_error
            "#]],
        );
        check(
            "[Mon Jan 15 10:30:00 2024] [error] [client 203.0.113.9] Directory index forbidden by rule: /x",
            expect![[r#"
            2024-01-15T10:30:00Z
            event.kind: event
            event.dataset: apache.error
            event.category: web
            event.type: access,denied
            event.action: http_denied
            event.outcome: failure
            log.level: error
            message: Directory index forbidden by rule: /x
            source.ip: 203.0.113.9
            panoptes.format: apache_error
        "#]],
        );
    }

    #[test]
    fn messages_of_the_server_itself_have_no_outcome() {
        check(
            "[Mon Jan 15 10:30:00 2024] [notice] workerEnv.init() ok",
            expect![[r#"
            2024-01-15T10:30:00Z
            event.kind: event
            event.dataset: apache.error
            event.category: web
            event.type: info
            event.action: server_message
            log.level: notice
            message: workerEnv.init() ok
            panoptes.format: apache_error
        "#]],
        );
    }
}
