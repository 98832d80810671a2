//! Squid's own access log.
//!
//! `seconds.millis elapsed client result/status bytes method url user hierarchy/server type`

use panoptes_model::{BatchWriter, field};

use super::{Declined, FormatKind};
use crate::context::Context;
use crate::fact::{write_dataset, write_user};
use crate::text::Cursor;
use crate::url::{self, Target};
use crate::{address, names, time};

pub(super) static KIND: FormatKind = FormatKind {
    name: "squid",
    summary: "a line of Squid's native access log",
    example: "1705314600.123    345 192.0.2.7 TCP_MISS/200 1234 GET http://www.example.com/a.exe?b=1 bob HIER_DIRECT/203.0.113.9 application/octet-stream",
    parse,
};

const NO: Declined = Declined::because("is not `seconds.millis elapsed client result/status bytes method url …`");

fn parse(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    write(writer, text, context).ok_or(NO)
}

fn write(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Option<()> {
    let mut cursor = Cursor::new(text);
    let mut word = || {
        cursor.skip_spaces();
        Some(cursor.word()).filter(|it| !it.is_empty())
    };
    let clock = word()?;
    // Seconds of ten digits and thousandths: nothing else begins like this.
    if clock.len() != 14 || clock.as_bytes().get(10) != Some(&b'.') {
        return None;
    }
    let instant = time::of_text(clock, context.zone, writer.received_at())?;
    let elapsed: i64 = word()?.parse().ok()?;
    let client = word()?;
    let (result, status) = word()?.split_once('/')?;
    let status: i64 = status.parse().ok()?;
    let bytes: i64 = word()?.parse().ok()?;
    let method = word()?;
    let target = word()?;
    let user = word()?;
    let (hierarchy, server) = word()?.split_once('/')?;
    let mime = word();

    writer.time(instant.time);
    write_dataset(writer, "squid.access");
    // A status of 0 is a request that was broken off.
    let (kind, outcome) = if result.contains("DENIED") {
        (&["access", "denied"][..], Some("failure"))
    } else {
        names::request_words(status)
    };
    writer.word(field::EVENT_CATEGORY, "web");
    writer.words(field::EVENT_TYPE, kind);
    writer.word(field::EVENT_ACTION, "http_request");
    if let Some(outcome) = outcome {
        writer.text(field::EVENT_OUTCOME, outcome);
    }
    writer.integer(field::EVENT_DURATION, elapsed.max(0).saturating_mul(1_000_000));
    address::write_source(writer, client, None);
    write_user(writer, field::USER_NAME, user);
    writer.text(field::HTTP_REQUEST_METHOD, method);
    write_target(writer, target);
    if status > 0 {
        writer.integer(field::HTTP_RESPONSE_STATUS_CODE, status);
    }
    writer.integer(field::HTTP_RESPONSE_BODY_BYTES, bytes);
    if let Some(address) = address::ip(server) {
        writer.ip(field::DESTINATION_IP, address);
    } else if address::is_host_name(server) {
        writer.text(field::DESTINATION_ADDRESS, server);
    }
    for (name, value) in [
        ("squid.result", Some(result)),
        ("squid.hierarchy", Some(hierarchy)),
        ("http.response.mime_type", mime.filter(|it| *it != "-")),
    ] {
        if let Some(value) = value
            && let Some(id) = writer.field(name)
        {
            writer.text(id, value);
        }
    }
    writer.text(field::MESSAGE, text);
    Some(())
}

/// What a proxy is asked for: a whole URL, or `host:port` of a tunnel.
fn write_target(writer: &mut BatchWriter<'_>, text: &str) {
    writer.text(field::URL_ORIGINAL, text);
    let target = Target::of(text);
    let (domain, port) = match target.domain {
        Some(domain) => (Some(domain), target.port),
        None if target.path.is_none() => url::host_and_port(text),
        None => (None, None),
    };
    for (id, part) in [
        (field::URL_SCHEME, target.scheme),
        (field::URL_DOMAIN, domain),
        (field::URL_PATH, target.path),
        (field::URL_EXTENSION, target.path.and_then(url::extension)),
        (field::URL_QUERY, target.query),
    ] {
        if let Some(part) = part {
            writer.text(id, part);
        }
    }
    if let Some(port) = port {
        writer.integer(field::URL_PORT, i64::from(port));
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::formats::tests::{check, value};

    #[test]
    fn requests_through_a_proxy_are_read() {
        check(
            super::KIND.example,
            expect![[r#"
            2024-01-15T10:30:00.123Z
            event.kind: event
            event.dataset: squid.access
            event.category: web
            event.type: access
            event.action: http_request
            event.outcome: success
            event.duration: 345000000
            source.ip: 192.0.2.7
            user.name: bob
            http.request.method: GET
            url.original: http://www.example.com/a.exe?b=1
            url.scheme: http
            url.domain: www.example.com
            url.path: /a.exe
            url.extension: exe
            url.query: b=1
            http.response.status_code: 200
            http.response.body.bytes: 1234
            destination.ip: 203.0.113.9
            squid.result: TCP_MISS
            squid.hierarchy: HIER_DIRECT
            http.response.mime_type: application/octet-stream
            message: 1705314600.123    345 192.0.2.7 TCP_MISS/200 1234 GET http://www.example.com/a.exe?b=1 bob HIER_DIRECT/203.0.113.9 application/octet-stream
            panoptes.format: squid
        "#]],
        );
    }

    #[test]
    fn tunnels_and_refusals_are_told() {
        let line =
            "1705314600.123      0 192.0.2.7 TCP_DENIED/403 3900 CONNECT www.example.com:443 - HIER_NONE/- text/html";
        assert_eq!(value(line, "url.domain"), "www.example.com");
        assert_eq!(value(line, "url.port"), "443");
        assert_eq!(value(line, "event.type"), "access,denied");
        assert_eq!((value(line, "user.name"), value(line, "destination.ip")), (String::new(), String::new()));
        let line = "1705314600.123 5 host.example.com NONE/000 0 NONE error:invalid-request - HIER_NONE/- -";
        assert_eq!(value(line, "event.dataset"), "squid.access");
        assert_eq!(value(line, "event.outcome"), "failure");
    }

    #[test]
    fn other_numbers_are_not_squids() {
        for line in [
            "1705314600.123 something else",
            "1705314600.123 5 a TCP_MISS/x 1 GET / - A/B",
            "1705314600 5 a B/1 1 G u - A/B",
        ] {
            assert_ne!(value(line, "event.dataset"), "squid.access", "{line}");
        }
    }
}
