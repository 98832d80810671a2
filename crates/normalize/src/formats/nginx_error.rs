//! nginx's error log: `2024/01/15 10:30:00 [error] 12#12: *7 message, client: …, server: …, request: "…", host: "…"`.
//!
//! Two parts of a line are a stranger's: what the message quotes (a user's name, a path) and the `Referer` at its end.
//! nginx escapes neither, so each can hold a forged `, client: `. The tail that counts is the first one that reads well
//! to the end of the line, or the last one where the message quotes a stranger. Where the two name different clients
//! somebody is forging, and the event is flagged `syntax_invalid`.

use std::net::IpAddr;

use panoptes_model::{Anomaly, BatchWriter, field};

use super::{Declined, FormatKind};
use crate::context::Context;
use crate::fact::{FAILURE, Fact, SUCCESS, write_user};
use crate::text::{Cursor, leading_number};
use crate::url::Target;
use crate::{address, level, names, time};

pub(super) static KIND: FormatKind = FormatKind {
    name: "nginx_error",
    summary: "a line of nginx's error log",
    example: r#"2024/01/15 10:30:00 [error] 12#12: *7 user "bob": password mismatch, client: 203.0.113.9, server: example.com, request: "GET /admin HTTP/1.1", host: "example.com""#,
    parse,
};

const NO: Declined = Declined::because("is not `YYYY/MM/DD hh:mm:ss [level] pid#tid: message`");

const HTTP_AUTH: Fact =
    Fact { category: &["authentication", "web"], kind: &["start"], action: "http_auth", outcome: FAILURE };
const HTTP_ERROR: Fact = Fact { category: &["web"], kind: &["error"], action: "http_error", outcome: None };
const HTTP_DENIED: Fact =
    Fact { category: &["web"], kind: &["access", "denied"], action: "http_denied", outcome: FAILURE };
const HTTP_LIMITED: Fact =
    Fact { category: &["web"], kind: &["access", "denied"], action: "http_rate_limited", outcome: FAILURE };
const TLS: Fact = Fact::network(&["connection", "error"], "tls_handshake", FAILURE);
const CONNECT: Fact = Fact::network(&["connection", "start"], "connect", None);
const SERVER: Fact = Fact { category: &["web"], kind: &["info"], action: "server_message", outcome: None };

fn parse(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    if text.as_bytes().get(4) != Some(&b'/') {
        return Err(NO);
    }
    write(writer, text, context).ok_or(NO)
}

/// Writes the line into the open event; `None` if it is no such line.
fn write(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Option<()> {
    let (civil, rest) = time::leading(text)?;
    let mut cursor = Cursor::new(rest);
    if !cursor.eat(" [") {
        return None;
    }
    let word = level::canonical(cursor.until(b']')?)?;
    cursor.skip_spaces();
    let (pid, rest) = leading_number(cursor.rest)?;
    let (_thread, rest) = leading_number(rest.strip_prefix('#')?)?;
    let mut cursor = Cursor::new(rest.strip_prefix(':')?);
    cursor.skip_spaces();
    let connection = if cursor.rest.starts_with('*') { cursor.word().get(1..) } else { None };
    context.stamp(writer, &civil);
    let line = cursor.rest;
    let tail = tail_of(line);
    let message = tail.map_or(line, |(message, ..)| message);

    let (fact, user) = classify(message);
    fact.write(writer, "nginx.error");
    if !writer.has(field::LOG_LEVEL) {
        writer.text(field::LOG_LEVEL, word);
    }
    if !writer.has(field::PROCESS_PID) {
        writer.integer(field::PROCESS_PID, i64::try_from(pid).unwrap_or(i64::MAX));
    }
    writer.text(field::MESSAGE, line);
    let mut login = None;
    if let Some((_, tail, is_ambiguous)) = tail {
        if is_ambiguous {
            writer.anomaly(Anomaly::SyntaxInvalid);
        }
        address::write_source(writer, tail.client, None);
        if let Some(host) = tail.host.or(Some(tail.server).filter(|it| !it.is_empty() && !it.contains(':'))) {
            names::write_host(writer, host);
        }
        if let Some(request) = tail.request {
            write_request(writer, request);
        }
        if let Some(referrer) = tail.referrer {
            writer.text(field::HTTP_REQUEST_REFERRER, referrer);
        }
        login = tail.login;
        // Mail servers are told by their address: there is no name.
        if let Some((address, port)) = address::endpoint(tail.server).filter(|it| it.1.is_some()) {
            write_server(writer, address, port);
        }
    } else if let Some((client, server)) =
        message.strip_prefix("client ").and_then(|it| it.split_once(" connected to "))
    {
        address::write_source(writer, client, None);
        if let Some((address, port)) = address::endpoint(server) {
            write_server(writer, address, port);
        }
    }
    if let Some(id) = connection.and_then(|_| writer.field("nginx.error.connection_id"))
        && let Some(number) = connection
    {
        writer.text(id, number);
    }
    if let Some(user) = user.or(login) {
        write_user(writer, field::USER_NAME, user);
    }
    if fact.outcome.is_some() {
        writer.text(field::EVENT_REASON, reason_of(message));
    }
    Some(())
}

fn write_server(writer: &mut BatchWriter<'_>, address: IpAddr, port: Option<u16>) {
    writer.ip(field::DESTINATION_IP, address);
    if let Some(port) = port {
        writer.integer(field::DESTINATION_PORT, i64::from(port));
    }
}

/// The message without the user name that a stranger chose.
fn reason_of(message: &str) -> &str {
    match message.rsplit_once("\": ").or_else(|| message.rsplit_once("\" was ")) {
        Some((_, reason)) if message.starts_with("user \"") => reason,
        _ => message,
    }
}

/// What the message says, and the user that it names.
fn classify(message: &str) -> (Fact, Option<&str>) {
    if let Some(rest) = message.strip_prefix("user \"") {
        if let Some(user) = rest.strip_suffix("\": password mismatch") {
            return (HTTP_AUTH, Some(user));
        }
        if let Some((user, _file)) = rest.rsplit_once("\" was not found in \"").or_else(|| {
            // As older releases write it.
            rest.rsplit_once("\": was not found in \"")
        }) {
            return (HTTP_AUTH, Some(user.strip_suffix("\":").unwrap_or(user)));
        }
    }
    if let Some(rest) = message.strip_prefix("PAM: user '")
        && let Some((user, _)) = rest.rsplit_once("' - not authenticated")
    {
        return (HTTP_AUTH, Some(user));
    }
    if message.starts_with("client login failed") {
        return (Fact { category: &["authentication"], ..HTTP_AUTH }, None);
    }
    if message == "client logged in" {
        return (Fact { category: &["authentication"], outcome: SUCCESS, ..HTTP_AUTH }, None);
    }
    // Its proxy for mail: `client 203.0.113.9:4711 connected to 192.0.2.8:25`.
    if message.starts_with("client ") && message.contains(" connected to ") {
        return (CONNECT, None);
    }
    if message.starts_with("access forbidden by rule") || message.contains("directory index of") {
        return (HTTP_DENIED, None);
    }
    if message.starts_with("limiting ") || message.starts_with("delaying request") {
        return (HTTP_LIMITED, None);
    }
    if message.starts_with("SSL_") {
        return (TLS, None);
    }
    if message.starts_with("open() \"") || message.starts_with("client ") || message.contains("is not found (2:") {
        return (HTTP_ERROR.with(FAILURE), None);
    }
    if message.contains("upstream") {
        return (HTTP_ERROR, None);
    }
    (SERVER, None)
}

/// What nginx says about the request behind the message.
#[derive(Clone, Copy)]
struct Tail<'t> {
    client: &'t str,
    server: &'t str,
    request: Option<&'t str>,
    host: Option<&'t str>,
    referrer: Option<&'t str>,
    login: Option<&'t str>,
}

/// How many `, client: ` of a line are tried as the start of its tail, from each end. A line with more forged ones
/// between message and tail has no tail that counts.
const TAILS_MAX: usize = 8;

/// The message and the tail of a line, and whether another tail would name another client.
fn tail_of(line: &str) -> Option<(&str, Tail<'_>, bool)> {
    let read = |(at, mark): (usize, &str)| Some((line.get(..at)?, read_tail(line.get(at + mark.len()..)?)?));
    let last = line.rmatch_indices(", client: ").take(TAILS_MAX).find_map(read);
    let first = line.match_indices(", client: ").take(TAILS_MAX).find_map(read).or(last)?;
    let last = last.unwrap_or(first);
    let quotes_a_stranger =
        ["user \"", "PAM: user '", "open() \"", "directory index of \"", "\""].iter().any(|it| line.starts_with(it));
    let (message, tail) = if quotes_a_stranger { last } else { first };
    Some((message, tail, first.1.client != last.1.client))
}

/// `A, server: S, request: "…", upstream: "…", host: "…", referrer: "…"`, each at most once and in this order, to the
/// end of the line.
fn read_tail(text: &str) -> Option<Tail<'_>> {
    let (client, mut rest) = text.split_once(", server: ").unwrap_or((text, ""));
    if client.contains([' ', '"']) {
        return None;
    }
    let server_end = rest.find(", ").unwrap_or(rest.len());
    let server = rest.get(..server_end)?;
    if server.contains(['"', ' ']) {
        return None;
    }
    rest = rest.get(server_end..)?;
    let mut value = |key: &str, is_last: bool| -> Option<Option<&str>> {
        let Some(open) =
            rest.strip_prefix(", ").and_then(|it| it.strip_prefix(key)).and_then(|it| it.strip_prefix(": \""))
        else {
            // That of mail stands without quotes.
            if key == "upstream"
                && let Some(after) = rest.strip_prefix(", upstream: ")
            {
                rest = after.get(after.find(", ").unwrap_or(after.len())..)?;
            }
            return Some(None);
        };
        if is_last {
            rest = "";
            return Some(Some(open.strip_suffix('"')?));
        }
        let mut from = 0;
        loop {
            let at = from + open.get(from..)?.find('"')?;
            let after = open.get(at + 1..)?;
            if after.is_empty() || after.starts_with(", ") {
                rest = after;
                return Some(open.get(..at));
            }
            from = at + 1;
        }
    };
    let request = value("request", false)?;
    let _subrequest = value("subrequest", false)?;
    let login = value("login", false)?;
    let _upstream = value("upstream", false)?;
    let host = value("host", false)?;
    let referrer = value("referrer", true)?;
    rest.is_empty().then_some(Tail { client, server, request, host, referrer, login })
}

/// Method, target and version of a request line, as far as it has them.
#[inline]
pub(crate) fn write_request(writer: &mut BatchWriter<'_>, request: &str) {
    if matches!(request, "" | "-") {
        return;
    }
    let (head, version) = match request.rsplit_once(" HTTP/") {
        Some((head, version)) => (head, Some(version)),
        None => (request, None),
    };
    let target = match head.split_once(' ') {
        Some((method, target)) if names::is_method(method) => {
            writer.text(field::HTTP_REQUEST_METHOD, method);
            target
        }
        // No request by the book (a TLS hello on a plain port, a probe): all of it is what was asked for.
        _ => {
            writer.text(field::URL_ORIGINAL, request);
            return;
        }
    };
    writer.text(field::URL_ORIGINAL, target);
    let parts = Target::of(target);
    if let Some(path) = parts.path {
        writer.text(field::URL_PATH, path);
    }
    if let Some(query) = parts.query {
        writer.text(field::URL_QUERY, query);
    }
    if let Some(scheme) = parts.scheme {
        writer.text(field::URL_SCHEME, scheme);
    }
    // A whole URL: whoever sends it takes the server for a proxy.
    if let Some(domain) = parts.domain.filter(|_| !writer.has(field::URL_DOMAIN)) {
        writer.text(field::URL_DOMAIN, domain);
        if let Some(port) = parts.port {
            writer.integer(field::URL_PORT, i64::from(port));
        }
    }
    if let Some(version) = version {
        writer.text(field::HTTP_VERSION, version);
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::formats::tests::check;

    #[test]
    fn a_wrong_password_is_a_failed_authentication() {
        check(
            super::KIND.example,
            expect![[r#"
                2024-01-15T10:30:00Z
                event.kind: event
                event.dataset: nginx.error
                event.category: authentication,web
                event.type: start
                event.action: http_auth
                event.outcome: failure
                log.level: error
                process.pid: 12
                message: user "bob": password mismatch, client: 203.0.113.9, server: example.com, request: "GET /admin HTTP/1.1", host: "example.com"
                source.ip: 203.0.113.9
                url.domain: example.com
                http.request.method: GET
                url.original: /admin
                url.path: /admin
                http.version: 1.1
                nginx.error.connection_id: 7
                user.name: bob
                event.reason: password mismatch
                panoptes.format: nginx_error
            "#]],
        );
        check(
            r#"2024/01/15 10:30:00 [error] 1#1: *2 user "a b" was not found in "/etc/nginx/htpasswd", client: 2001:db8::7, server: _, request: "GET / HTTP/2.0", host: "h:8443""#,
            expect![[r#"
                2024-01-15T10:30:00Z
                event.kind: event
                event.dataset: nginx.error
                event.category: authentication,web
                event.type: start
                event.action: http_auth
                event.outcome: failure
                log.level: error
                process.pid: 1
                message: user "a b" was not found in "/etc/nginx/htpasswd", client: 2001:db8::7, server: _, request: "GET / HTTP/2.0", host: "h:8443"
                source.ip: 2001:db8::7
                url.domain: h
                url.port: 8443
                http.request.method: GET
                url.original: /
                url.path: /
                http.version: 2.0
                nginx.error.connection_id: 2
                user.name: a b
                event.reason: not found in "/etc/nginx/htpasswd"
                panoptes.format: nginx_error
            "#]],
        );
    }

    #[test]
    fn forged_tails_do_not_count() {
        let client = |line: &str| crate::formats::tests::value(line, "source.ip");
        // In the user name.
        assert_eq!(
            client(
                r#"2024/01/15 10:30:00 [error] 1#1: *2 user "x": password mismatch, client: 198.51.100.1, server: s, request: "GET / HTTP/1.1", host: "h"": password mismatch, client: 203.0.113.9, server: , request: "GET / HTTP/1.1", host: "h""#
            ),
            "203.0.113.9"
        );
        // As often as it fits.
        let forged =
            r#"": password mismatch, client: 198.51.100.1, server: s, request: "GET / HTTP/1.1", host: "h"#.repeat(20);
        let line = format!(
            r#"2024/01/15 10:30:00 [error] 1#1: *2 user "x{forged}": password mismatch, client: 203.0.113.9, server: , request: "GET / HTTP/1.1", host: "h""#
        );
        assert_eq!(client(&line), "203.0.113.9");
        // In the referrer.
        assert_eq!(
            client(
                r#"2024/01/15 10:30:00 [error] 1#1: *2 open() "/x" failed (2: No such file or directory), client: 203.0.113.9, server: s, request: "GET /x HTTP/1.1", host: "h", referrer: "http://a/, client: 198.51.100.1, server: s""#
            ),
            "203.0.113.9"
        );
    }

    #[test]
    fn lines_with_two_tails_are_flagged() {
        let line = r#"2024/01/15 10:30:00 [error] 1#1: *2 limiting requests, excess: 1.5 by zone "one", client: 203.0.113.9, server: s, request: "GET /x HTTP/1.1", host: "h", referrer: "http://a/, client: 198.51.100.1, server: s, request: "GET / HTTP/1.1", host: "b""#;
        assert_eq!(crate::formats::tests::value(line, "source.ip"), "203.0.113.9");
        assert_eq!(crate::formats::tests::value(line, "panoptes.anomaly"), "syntax_invalid");
    }

    #[test]
    fn the_number_of_tails_is_bounded() {
        let forged = ", client: x y".repeat(super::TAILS_MAX);
        let line = format!(r#"2024/01/15 10:30:00 [error] 1#1: *2 user "x{forged}, client: 203.0.113.9{forged}"#);
        assert_eq!(crate::formats::tests::value(&line, "source.ip"), "");
    }

    #[test]
    fn messages_of_the_server_itself_have_no_outcome() {
        check(
            "2024/01/15 10:30:00 [notice] 1#1: signal process started",
            expect![[r#"
            2024-01-15T10:30:00Z
            event.kind: event
            event.dataset: nginx.error
            event.category: web
            event.type: info
            event.action: server_message
            log.level: notice
            process.pid: 1
            message: signal process started
            panoptes.format: nginx_error
        "#]],
        );
        check(
            r#"2024/01/15 10:30:00 [error] 1#1: *5 connect() failed (111: Connection refused) while connecting to upstream, client: 203.0.113.9, server: s, request: "GET /a HTTP/2.0", upstream: "http://127.0.0.1:3000/a", host: "h""#,
            expect![[r#"
                2024-01-15T10:30:00Z
                event.kind: event
                event.dataset: nginx.error
                event.category: web
                event.type: error
                event.action: http_error
                log.level: error
                process.pid: 1
                message: connect() failed (111: Connection refused) while connecting to upstream, client: 203.0.113.9, server: s, request: "GET /a HTTP/2.0", upstream: "http://127.0.0.1:3000/a", host: "h"
                source.ip: 203.0.113.9
                url.domain: h
                http.request.method: GET
                url.original: /a
                url.path: /a
                http.version: 2.0
                nginx.error.connection_id: 5
                panoptes.format: nginx_error
            "#]],
        );
    }
}
