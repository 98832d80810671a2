//! Access logs of nginx, Apache and all that imitate them: common, combined, with a virtual host in front, with more
//! behind.
//!
//! `[host[:port] ]client ident user [time] "request" status bytes ["referrer" "agent" [more…]]`
//!
//! Servers escape quotes in what a client sends, so the first `] "` ends the time, whatever the user is called.

use panoptes_model::{BatchWriter, field};

use super::nginx_error::write_request;
use super::{Declined, FormatKind};
use crate::context::{Context, Server};
use crate::fact::{write_dataset, write_user};
use crate::text::{Cursor, leading_number};
use crate::{address, names, time};

pub(super) static KIND: FormatKind = FormatKind {
    name: "web_access",
    summary: "a line of an access log: common, combined, with or without virtual host",
    example: r#"203.0.113.9 - bob [15/Jan/2024:10:30:00 +0100] "GET /a?b=1 HTTP/1.1" 200 512 "https://example.com/" "Mozilla/5.0""#,
    parse,
};

const NO: Declined = Declined::because("is not `client ident user [time] \"request\" status bytes`");

fn parse(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    write(writer, text, context).ok_or(NO)
}

#[inline]
fn write(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Option<()> {
    let close = find_time_end(text)?;
    let open = memchr::memrchr(b'[', text.as_bytes().get(..close)?)?;
    let (civil, rest) = time::leading(text.get(open + 1..close)?)?;
    if !rest.is_empty() {
        return None;
    }
    let who = Who::of(text.get(..open)?.strip_suffix(' ')?)?;
    let mut cursor = Cursor::new(text.get(close + 2..)?);
    let request = cursor.quoted()?;
    let (status, rest) = leading_number(cursor.rest.trim_ascii_start())?;
    let status = i64::try_from(status).ok().filter(|it| (100..=999).contains(it))?;
    let mut cursor = Cursor::new(rest.strip_prefix(' ').unwrap_or(rest));
    let bytes = cursor.word();

    context.stamp(writer, &civil);
    let server = if who.host.is_some() && context.server == Server::Unknown { Server::Apache } else { context.server };
    write_dataset(
        writer,
        match server {
            Server::Nginx => "nginx.access",
            Server::Apache => "apache.access",
            Server::Unknown => "web.access",
        },
    );
    let (kind, outcome) = names::request_words(status);
    writer.word(field::EVENT_CATEGORY, "web");
    writer.words(field::EVENT_TYPE, kind);
    writer.word(field::EVENT_ACTION, "http_request");
    if let Some(outcome) = outcome {
        writer.text(field::EVENT_OUTCOME, outcome);
    }
    address::write_source(writer, who.client, None);
    // BunkerWeb writes the request's id behind the identity: `- 7bde940e… -`.
    match who.user.split_once(' ') {
        Some((id, "-")) => {
            if let Some(field) = writer.field("http.request.id") {
                writer.text(field, id);
            }
        }
        _ => write_user(writer, field::USER_NAME, who.user),
    }
    if let Some(host) = who.host {
        names::write_host(writer, host);
    }
    write_request(writer, request);
    writer.integer(field::HTTP_RESPONSE_STATUS_CODE, status);
    if let Ok(bytes) = bytes.parse() {
        writer.integer(field::HTTP_RESPONSE_BODY_BYTES, bytes);
    }
    if let Some(referrer) = cursor.quoted() {
        if !matches!(referrer, "" | "-") {
            writer.text(field::HTTP_REQUEST_REFERRER, referrer);
        }
        cursor.skip_spaces();
        if let Some(agent) = cursor.quoted() {
            if !matches!(agent, "" | "-") {
                writer.text(field::USER_AGENT_ORIGINAL, agent);
            }
            cursor.skip_spaces();
            // nginx's packaged `main` format ends with what proxies said.
            if let Some(forwarded) = cursor.quoted()
                && let Some(first) = forwarded.split(',').next()
                && let Some(client) = address::ip(first.trim_ascii())
                && let Some(id) = writer.field("network.forwarded_ip")
            {
                writer.ip(id, client);
            }
        }
    }
    writer.text(field::MESSAGE, text);
    Some(())
}

/// Where the `]` of the first `] "` is.
#[inline]
fn find_time_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b']', bytes).find(|at| bytes.get(at + 1..at + 3) == Some(b" \""))
}

/// What stands before the time.
struct Who<'t> {
    host: Option<&'t str>,
    client: &'t str,
    user: &'t str,
}

impl<'t> Who<'t> {
    #[inline]
    fn of(text: &'t str) -> Option<Self> {
        let mut cursor = Cursor::new(text);
        let first = cursor.word();
        // `X-Forwarded-For` in place of the client: a list, the client first.
        if let Some(client) = first.strip_suffix(',') {
            address::ip(client)?;
            while address::ip(cursor.rest.split(' ').next()?.trim_end_matches(',')).is_some() {
                cursor.word();
            }
            return Some(Self { host: None, client, user: Self::user(cursor) });
        }
        let second = cursor.rest.split(' ').next()?;
        if address::ip(first).is_none() && address::ip(second).is_some() {
            cursor.word();
            return Some(Self { host: Some(first), client: second, user: Self::user(cursor) });
        }
        if first != "-" && address::endpoint(first).is_none() && !address::is_host_name(first) {
            return None;
        }
        if cursor.rest.is_empty() {
            return None;
        }
        Some(Self { host: None, client: first, user: Self::user(cursor) })
    }

    /// The rest is the identity, in practice always `-`, and the user, who may have spaces.
    #[inline]
    fn user(mut cursor: Cursor<'t>) -> &'t str {
        let _identity = cursor.word();
        cursor.rest
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::formats::tests::{check, value};

    #[test]
    fn combined_lines_are_read_to_the_end() {
        check(
            super::KIND.example,
            expect![[r#"
            2024-01-15T09:30:00Z
            event.kind: event
            event.dataset: web.access
            event.category: web
            event.type: access
            event.action: http_request
            event.outcome: success
            source.ip: 203.0.113.9
            user.name: bob
            http.request.method: GET
            url.original: /a?b=1
            url.path: /a
            url.query: b=1
            http.version: 1.1
            http.response.status_code: 200
            http.response.body.bytes: 512
            http.request.referrer: https://example.com/
            user_agent.original: Mozilla/5.0
            message: 203.0.113.9 - bob [15/Jan/2024:10:30:00 +0100] "GET /a?b=1 HTTP/1.1" 200 512 "https://example.com/" "Mozilla/5.0"
            panoptes.format: web_access
        "#]],
        );
    }

    #[test]
    fn common_lines_and_lines_with_a_virtual_host_are_read() {
        check(
            r#"2001:db8::7 - - [15/Jan/2024:10:30:00 +0000] "HEAD / HTTP/1.0" 304 -"#,
            expect![[r#"
            2024-01-15T10:30:00Z
            event.kind: event
            event.dataset: web.access
            event.category: web
            event.type: access
            event.action: http_request
            event.outcome: success
            source.ip: 2001:db8::7
            http.request.method: HEAD
            url.original: /
            url.path: /
            http.version: 1.0
            http.response.status_code: 304
            message: 2001:db8::7 - - [15/Jan/2024:10:30:00 +0000] "HEAD / HTTP/1.0" 304 -
            panoptes.format: web_access
        "#]],
        );
        check(
            r#"www.example.com:443 203.0.113.9 - - [15/Jan/2024:10:30:00 +0000] "POST /login HTTP/1.1" 401 12 "-" "curl/8.0""#,
            expect![[r#"
                2024-01-15T10:30:00Z
                event.kind: event
                event.dataset: apache.access
                event.category: web
                event.type: access,error
                event.action: http_request
                event.outcome: failure
                source.ip: 203.0.113.9
                url.domain: www.example.com
                url.port: 443
                http.request.method: POST
                url.original: /login
                url.path: /login
                http.version: 1.1
                http.response.status_code: 401
                http.response.body.bytes: 12
                user_agent.original: curl/8.0
                message: www.example.com:443 203.0.113.9 - - [15/Jan/2024:10:30:00 +0000] "POST /login HTTP/1.1" 401 12 "-" "curl/8.0"
                panoptes.format: web_access
            "#]],
        );
        check(
            r#"203.0.113.9 - - [15/Jan/2024:10:30:00 +0000] "GET http://example.com:8080/x HTTP/1.1" 200 5 "-" "-" "198.51.100.7, 10.0.0.1" rt=0.1"#,
            expect![[r#"
                2024-01-15T10:30:00Z
                event.kind: event
                event.dataset: web.access
                event.category: web
                event.type: access
                event.action: http_request
                event.outcome: success
                source.ip: 203.0.113.9
                http.request.method: GET
                url.original: http://example.com:8080/x
                url.path: /x
                url.scheme: http
                url.domain: example.com
                url.port: 8080
                http.version: 1.1
                http.response.status_code: 200
                http.response.body.bytes: 5
                network.forwarded_ip: 198.51.100.7
                message: 203.0.113.9 - - [15/Jan/2024:10:30:00 +0000] "GET http://example.com:8080/x HTTP/1.1" 200 5 "-" "-" "198.51.100.7, 10.0.0.1" rt=0.1
                panoptes.format: web_access
            "#]],
        );
    }

    #[test]
    fn requests_may_be_anything() {
        let target = |request: &str| {
            let line = format!(r#"203.0.113.9 - - [15/Jan/2024:10:30:00 +0000] "{request}" 400 0 "-" "-""#);
            (value(&line, "http.request.method"), value(&line, "url.original"))
        };
        assert_eq!(target(r"\x16\x03\x01"), (String::new(), r"\x16\x03\x01".into()));
        assert_eq!(target("-"), (String::new(), String::new()));
        assert_eq!(target(""), (String::new(), String::new()));
        assert_eq!(target("GET /a b HTTP/1.1"), ("GET".into(), "/a b".into()));
        assert_eq!(target(r#"GET /\"x\" HTTP/1.1"#), ("GET".into(), r#"/\"x\""#.into()));
        assert_eq!(target("GET /"), ("GET".into(), "/".into()));
        assert_eq!(target("CONNECT example.com:443 HTTP/1.1"), ("CONNECT".into(), "example.com:443".into()));
    }

    #[test]
    fn users_may_be_called_anything() {
        let line =
            r#"203.0.113.9 - a [10/Oct/2000:13:55:36 -0700] b [15/Jan/2024:10:30:00 +0000] "GET / HTTP/1.1" 401 0"#;
        assert_eq!(value(line, "user.name"), "a [10/Oct/2000:13:55:36 -0700] b");
        assert_eq!(value(line, "source.ip"), "203.0.113.9");
    }
}
