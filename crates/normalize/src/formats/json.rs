//! JSON, flat, nested or in ECS.
//!
//! Leaves get dotted names; the usual names (`level`, `msg`, `client_ip`…) mean ECS fields *as well*, so that rules
//! match both what the sender calls a thing and what it is. `names.rs` has the list.

use panoptes_model::{Anomaly, BatchWriter, Value, field};

use super::{Declined, FormatKind, json_sources};
use crate::context::Context;
use crate::json::{Malformed, Reason, read_object};
use crate::{names, time};

pub(super) static KIND: FormatKind = FormatKind {
    name: "json",
    summary: "one JSON object: flat, nested or in ECS",
    example: r#"{"timestamp":"2024-01-15T10:30:00Z","level":"ERROR","service":"shop","client_ip":"203.0.113.9","message":"login failed"}"#,
    parse,
};

fn parse(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Declined::because("does not begin with `{`"));
    }
    write_object(writer, text, context).map_err(|Malformed { offset, reason }| match reason {
        Reason::Truncated => Declined::damaged("the JSON ends inside a value", Anomaly::Truncated, offset),
        _ => Declined::damaged("the JSON is malformed", Anomaly::SyntaxInvalid, offset),
    })
}

/// Writes one object into the open event, under its own and under common names.
pub(super) fn write_object(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Malformed> {
    let start = writer.field_count();
    read_object(writer, text)?;
    understand(writer, start, text, context);
    Ok(())
}

/// Says what the object means whose fields begin at `start`.
fn understand(writer: &mut BatchWriter<'_>, start: usize, text: &str, context: &Context<'_>) {
    let marks = json_sources::look(writer, start);
    if json_sources::read(writer, start, marks, text, context) {
        return;
    }
    if let Some(line) = container_line(writer, start, text) {
        // Docker wraps each line of a container in an object of its own.
        let time = writer.field("time").and_then(|id| writer.get(id)).and_then(|value| match value {
            Value::Text(time) => time::of_text(time, context.zone, writer.received_at()),
            _ => None,
        });
        if super::read_unwrapped(writer, &line, context) {
            if let (Some(instant), false) = (time, writer.has_time()) {
                writer.time(instant.time);
            }
            return;
        }
    }
    if json_sources::read_wrapped(writer, start, marks, context) {
        return;
    }
    names::map(writer, start, context);
    if context.services.read_record(writer, start, context) {
        if !writer.has(field::MESSAGE) {
            writer.text(field::MESSAGE, text);
        }
        return;
    }
    if let Some(line) = shipped_line(writer)
        && super::read_unwrapped(writer, &line, context)
    {
        return;
    }
    super::write_carried_message(writer, context);
    if !writer.has(field::EVENT_KIND) {
        writer.word(field::EVENT_KIND, "event");
    }
    if !writer.has(field::EVENT_DATASET) {
        writer.word(field::EVENT_DATASET, "json");
    }
    if !writer.has(field::MESSAGE) {
        writer.text(field::MESSAGE, text);
    }
}

/// The same for an object that was carried as text by another, whose fields are in the event already: a key that both
/// have is none that the sender repeated.
pub(super) fn write_inner(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Malformed> {
    let start = writer.field_count();
    json_sources::read_below(writer, text, "")?;
    understand(writer, start, text, context);
    Ok(())
}

/// The line inside `{"log":"…\n","stream":"stdout","time":"…"}`. It was decoded, so it is a copy.
fn container_line(writer: &mut BatchWriter<'_>, start: usize, text: &str) -> Option<String> {
    if !text.starts_with(r#"{"log":"#) || !text.contains(r#""stream":"#) {
        return None;
    }
    match writer.nth(start)? {
        (_, Value::Text(line)) => Some(line.trim_end().to_owned()),
        _ => None,
    }
}

/// A shipper's `{"message":"Jan 15 10:30:00 web1 sshd[42]: …"}`: the line that the message is, if it looks like one of
/// syslog or of a web server. A copy, because the message may have been decoded.
fn shipped_line(writer: &BatchWriter<'_>) -> Option<String> {
    let Some(Value::Text(message)) = writer.get(field::MESSAGE) else { return None };
    let looks_like_one = match message.as_bytes().first()? {
        b'<' => true,
        b'[' => message.contains("] ["),
        b'0'..=b'9' => message.contains("] \"") || message.as_bytes().get(4) == Some(&b'/'),
        b'A'..=b'Z' => time::leading(message).is_some_and(|(civil, _)| civil.year.is_none()),
        _ => false,
    };
    (looks_like_one && !writer.has(field::EVENT_CATEGORY)).then(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::formats::tests::{check, value};

    #[test]
    fn common_names_mean_ecs_fields_and_stay() {
        check(
            r#"{"timestamp":"2024-01-15T10:30:00Z","level":"CRITICAL","source":"api-gateway","message":"Unauthorized access from 192.168.1.100"}"#,
            expect![[r#"
                2024-01-15T10:30:00Z
                timestamp: 2024-01-15T10:30:00Z
                level: CRITICAL
                source: api-gateway
                message: Unauthorized access from 192.168.1.100
                log.level: critical
                service.name: api-gateway
                source.ip: 192.168.1.100
                event.kind: event
                event.dataset: json
                panoptes.format: json
            "#]],
        );
        check(
            r#"{"ts":1705314600.5,"lvl":"W","msg":"slow","remote_addr":"[2001:db8::1]:4711","username":"bob","status":"503","method":"GET","url":"https://shop.example/a?b=1","success":false}"#,
            expect![[r#"
                2024-01-15T10:30:00.5Z
                ts: 1705314600.5
                lvl: W
                msg: slow
                remote_addr: [2001:db8::1]:4711
                username: bob
                status: 503
                method: GET
                url: https://shop.example/a?b=1
                success: false
                log.level: warning
                message: slow
                source.ip: 2001:db8::1
                source.port: 4711
                user.name: bob
                http.response.status_code: 503
                http.request.method: GET
                url.original: https://shop.example/a?b=1
                url.scheme: https
                url.domain: shop.example
                url.path: /a
                url.query: b=1
                event.outcome: failure
                event.category: web
                event.type: access,error
                event.action: http_request
                event.kind: event
                event.dataset: json
                panoptes.format: json
            "#]],
        );
    }

    #[test]
    fn ecs_passes_through() {
        check(
            r#"{"@timestamp":"2024-01-15T10:30:00Z","log":{"level":"ERROR"},"client":{"ip":"203.0.113.9"},"message":"no"}"#,
            expect![[r#"
                2024-01-15T10:30:00Z
                client.ip: 203.0.113.9
                message: no
                log.level: error
                source.ip: 203.0.113.9
                event.kind: event
                event.dataset: json
                panoptes.format: json
            "#]],
        );
        check(
            r#"{"@timestamp":"2024-01-15T10:30:00Z","event":{"action":"login","outcome":"failure","category":["authentication"]},"source":{"ip":"203.0.113.9"},"user":{"name":"bob"},"message":"no"}"#,
            expect![[r#"
                2024-01-15T10:30:00Z
                event.action: login
                event.outcome: failure
                event.category: authentication
                source.ip: 203.0.113.9
                user.name: bob
                message: no
                event.kind: event
                event.dataset: json
                panoptes.format: json
            "#]],
        );
    }

    #[test]
    fn nobody_else_speaks_for_panoptes() {
        check(
            r#"{"panoptes.source":"spoofed","panoptes":{"anomaly":"none"},"event":{"ingested":"2001-01-01T00:00:00Z"},"time":"2024-01-15T10:30:00Z","message":"m"}"#,
            expect![[r#"
                2024-01-15T10:30:00Z
                time: 2024-01-15T10:30:00Z
                message: m
                event.kind: event
                event.dataset: json
                panoptes.format: json
            "#]],
        );
    }

    #[test]
    fn a_times_name_on_something_else_is_told() {
        check(
            r#"{"timestamp":"yesterday","message":"m"}"#,
            expect![[r#"
            2024-01-15T12:00:00Z
            timestamp: yesterday
            message: m
            event.kind: event
            event.dataset: json
            panoptes.format: json
            panoptes.anomaly: time_missing,time_invalid
        "#]],
        );
        check(
            r#"{"time":0.25,"message":"took a while"}"#,
            expect![[r#"
            2024-01-15T12:00:00Z
            time: 0.25
            message: took a while
            event.kind: event
            event.dataset: json
            panoptes.format: json
            panoptes.anomaly: time_missing
        "#]],
        );
    }

    #[test]
    fn damaged_objects_are_kept_as_text() {
        check(
            r#"{"message":"x","client_ip":"203.0.113.9""#,
            expect![[r#"
            2024-01-15T12:00:00Z unparsed
            event.kind: event
            event.dataset: plain
            message: {"message":"x","client_ip":"203.0.113.9"
            source.ip: 203.0.113.9
            panoptes.format: plain
            panoptes.anomaly: time_missing,truncated
        "#]],
        );
        check(
            r#"{"message":x}"#,
            expect![[r#"
            2024-01-15T12:00:00Z unparsed
            event.kind: event
            event.dataset: plain
            message: {"message":x}
            panoptes.format: plain
            panoptes.anomaly: time_missing,syntax_invalid
        "#]],
        );
    }

    #[test]
    fn lines_that_a_shipper_carries_are_read() {
        check(
            r#"{"@timestamp":"2024-01-15T10:30:01Z","message":"Jan 15 10:30:00 web1 sshd[42]: Invalid user \"x\" from 203.0.113.9","agent":{"type":"filebeat"}}"#,
            expect![[r#"
                2024-01-15T10:30:01Z
                message: Jan 15 10:30:00 web1 sshd[42]: Invalid user "x" from 203.0.113.9
                agent.type: filebeat
                host.name: web1
                log.syslog.hostname: web1
                log.syslog.appname: sshd
                process.name: sshd
                process.pid: 42
                event.kind: event
                event.dataset: linux.sshd
                event.category: authentication
                event.type: info
                event.action: ssh_preauth
                event.outcome: failure
                user.name: "x"
                source.ip: 203.0.113.9
                event.reason: invalid user
                panoptes.format: json
            "#]],
        );
        assert_eq!(value(r#"{"message":"<13>not quite 10"}"#, "message"), "<13>not quite 10");
        assert_eq!(value(r#"{"message":"[a] [b] c"}"#, "event.dataset"), "json");
        assert_eq!(value(r#"{"message":"1 of [2] \"x\""}"#, "event.dataset"), "json");
    }

    #[test]
    fn lines_of_containers_are_unwrapped() {
        check(
            r#"{"log":"203.0.113.9 - - [15/Jan/2024:10:30:00 +0000] \"GET / HTTP/1.1\" 200 13\n","stream":"stdout","time":"2024-01-15T10:30:01Z"}"#,
            expect![[r#"
                2024-01-15T10:30:00Z
                log: 203.0.113.9 - - [15/Jan/2024:10:30:00 +0000] "GET / HTTP/1.1" 200 13

                stream: stdout
                time: 2024-01-15T10:30:01Z
                event.kind: event
                event.dataset: web.access
                event.category: web
                event.type: access
                event.action: http_request
                event.outcome: success
                source.ip: 203.0.113.9
                http.request.method: GET
                url.original: /
                url.path: /
                http.version: 1.1
                http.response.status_code: 200
                http.response.body.bytes: 13
                message: 203.0.113.9 - - [15/Jan/2024:10:30:00 +0000] "GET / HTTP/1.1" 200 13
                panoptes.format: json
            "#]],
        );
        check(
            r#"{"log":"ready\n","stream":"stdout","time":"2024-01-15T10:30:01Z"}"#,
            expect![[r#"
            2024-01-15T10:30:01Z
            log: ready

            stream: stdout
            time: 2024-01-15T10:30:01Z
            message: ready

            event.kind: event
            event.dataset: json
            panoptes.format: json
        "#]],
        );
    }
}
