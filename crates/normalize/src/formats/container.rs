//! Lines that a container runtime wrote (Kubernetes' CRI): a time, a stream, a mark, then the program's own line.

use panoptes_model::{BatchWriter, field};

use super::{Declined, FormatKind};
use crate::context::Context;
use crate::text::Cursor;
use crate::{fact, time};

pub(super) static KIND: FormatKind = FormatKind {
    name: "container",
    summary: "a line of a container's log (CRI), with the program's own line inside",
    example: r#"2024-01-15T10:30:00.123456789Z stderr F {"level":"error","msg":"login failed","client_ip":"203.0.113.9"}"#,
    parse,
};

pub(super) static COMPOSE: FormatKind = FormatKind {
    name: "compose",
    summary: "a line that Docker Compose shows: the container's name, a bar, the program's own line",
    example: r#"shop-1  | {"time":"2024-01-15T10:30:00Z","level":"error","msg":"login failed","client_ip":"203.0.113.9"}"#,
    parse: parse_compose,
};

/// How long the name of a container may be.
const NAME_BYTES_MAX: usize = 64;

fn parse_compose(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    let no = Declined::because("is not `name  | LINE`");
    let head = text.as_bytes().get(..NAME_BYTES_MAX).unwrap_or(text.as_bytes());
    let at = memchr::memmem::find(head, b" | ").ok_or(no)?;
    let name = text.get(..at).ok_or(no)?.trim_end_matches(' ');
    let line = text.get(at + " | ".len()..).ok_or(no)?;
    let is_name = name.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-' | b'.'));
    if name.is_empty() || !is_name || !name.bytes().any(|it| it.is_ascii_alphabetic()) {
        return Err(no);
    }
    // Tables have bars too: only a line that somebody knows counts.
    if !super::read_unwrapped(writer, line, context) {
        return Err(Declined::because("what stands behind `name  |` is of no format"));
    }
    if !writer.has(field::CONTAINER_NAME) {
        writer.text(field::CONTAINER_NAME, name);
    }
    Ok(())
}

fn parse(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    let no = Declined::because("is not `TIME stdout|stderr F|P LINE`");
    // The `T` of the time is in a fixed place: cheap to ask first.
    if text.as_bytes().get(10) != Some(&b'T') {
        return Err(no);
    }
    let (civil, rest) = time::leading(text).ok_or(no)?;
    let mut cursor = Cursor::new(rest);
    if !cursor.eat(" stdout ") && !cursor.eat(" stderr ") {
        return Err(no);
    }
    let mark = cursor.word();
    if !mark.split(':').all(|it| matches!(it, "F" | "P")) {
        return Err(no);
    }
    let line = cursor.rest;
    let stream = if rest.starts_with(" stdout") { "stdout" } else { "stderr" };
    let mut instant = None;
    if let Some(it) = civil.resolve(context.zone, writer.received_at()) {
        instant = Some(it.time);
    }
    if !super::read_unwrapped(writer, line, context) {
        writer.rollback();
        fact::write_dataset(writer, "plain");
        super::write_findings(writer, line);
        writer.text(field::MESSAGE, line);
    }
    for (name, value) in [("log.iostream", stream), ("log.cri.tag", mark)] {
        if let Some(id) = writer.field(name) {
            writer.text(id, value);
        }
    }
    // The program's own time is nearer to what happened than the runtime's.
    if let Some(time) = instant.filter(|_| !writer.has_time()) {
        writer.time(time);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::formats::tests::{check, value};

    /// What our own input makes of the lines of a container, whichever runtime wrote them.
    #[test]
    fn a_line_that_names_its_container_is_read_by_its_own_format() {
        let record = |log: &str| {
            format!(
                r#"{{"log":"{log}","stream":"stdout","time":"2024-01-15T10:30:01Z","container.name":"web","container.image.name":"nginx:1.25","orchestrator.namespace":"shop"}}"#
            )
        };
        let access = record(r#"203.0.113.9 - - [15/Jan/2024:10:30:00 +0000] \"GET / HTTP/1.1\" 404 13"#);
        let json = record(r#"{\"level\":\"error\",\"client_ip\":\"203.0.113.9\",\"msg\":\"no\"}"#);
        for line in [access, json] {
            for (name, expected) in [
                ("source.ip", "203.0.113.9"),
                ("container.name", "web"),
                ("container.image.name", "nginx:1.25"),
                ("orchestrator.namespace", "shop"),
            ] {
                assert_eq!(value(&line, name), expected, "{name}: {line}");
            }
        }
        let plain = record("worker 7 is ready");
        assert_eq!(
            (value(&plain, "message").as_str(), value(&plain, "container.name").as_str()),
            ("worker 7 is ready", "web")
        );
        assert_eq!(value(&plain, "@timestamp"), "2024-01-15T10:30:01Z");
    }

    #[test]
    fn lines_of_compose_are_read_by_their_own_format() {
        use crate::formats::tests::value;
        let line = super::COMPOSE.example;
        for (name, expected) in [
            ("container.name", "shop-1"),
            ("source.ip", "203.0.113.9"),
            ("event.outcome", "failure"),
            ("panoptes.format", "compose"),
        ] {
            assert_eq!(value(line, name), expected, "{name}");
        }
        for other in ["a | b | c", "two words | x=1 y=2", " | x=1 y=2", "12 | x=1 y=2"] {
            assert_ne!(value(other, "panoptes.format"), "compose", "{other}");
        }
    }

    #[test]
    fn the_line_inside_is_read_by_its_own_format() {
        check(
            r#"2024-01-15T10:30:01.5Z stdout F 203.0.113.9 - - [15/Jan/2024:10:30:00 +0000] "GET / HTTP/1.1" 404 13"#,
            expect![[r#"
                2024-01-15T10:30:00Z
                event.kind: event
                event.dataset: web.access
                event.category: web
                event.type: access,error
                event.action: http_request
                event.outcome: failure
                source.ip: 203.0.113.9
                http.request.method: GET
                url.original: /
                url.path: /
                http.version: 1.1
                http.response.status_code: 404
                http.response.body.bytes: 13
                message: 203.0.113.9 - - [15/Jan/2024:10:30:00 +0000] "GET / HTTP/1.1" 404 13
                log.iostream: stdout
                log.cri.tag: F
                panoptes.format: container
            "#]],
        );
        check(
            "2024-01-15T10:30:00.5Z stderr P listening",
            expect![[r#"
                2024-01-15T10:30:00.5Z
                event.kind: event
                event.dataset: plain
                message: listening
                log.iostream: stderr
                log.cri.tag: P
                panoptes.format: container
            "#]],
        );
    }
}
