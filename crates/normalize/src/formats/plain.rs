//! Plain text: whatever no other format took. A time, a level, an address and a status are picked out where they are
//! plain to see.

use std::net::IpAddr;

use panoptes_model::{BatchWriter, field};

use super::{Declined, FormatKind};
use crate::context::Context;
use crate::text::starts_with_ignore_case;
use crate::{address, fact, level, login_phrases, time};

pub(super) static KIND: FormatKind = FormatKind {
    name: "plain",
    summary: "plain text, with what time, level, address and HTTP status it shows",
    example: "2024-01-15 10:30:00,123 ERROR [main] login from 203.0.113.9 failed with status 401",
    parse: write,
};

/// How many words from the start may be the level.
const LEVEL_WORDS_MAX: usize = 6;

/// Takes every text. `Err` means that nothing in it was understood.
pub(super) fn write(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    fact::write_dataset(writer, "plain");
    writer.text(field::MESSAGE, text);
    let mut rest = text.trim_ascii_start();
    let inside = rest.strip_prefix(['[', '(']).unwrap_or(rest);
    let mut understood = false;
    if let Some((civil, after)) = time::leading(inside) {
        context.stamp(writer, &civil);
        rest = after;
        understood = true;
    } else if let Some((number, after)) = rest.split_once([' ', ':', '\t'])
        && number.len() >= 10
        && let Some(instant) = time::of_text(number, context.zone, writer.received_at())
    {
        writer.time(instant.time);
        rest = after;
        understood = true;
    }
    let found = write_findings(writer, rest);
    login_phrases::write(writer, rest);
    if found || understood || writer.has(field::EVENT_CATEGORY) {
        Ok(())
    } else {
        Err(Declined::because("nothing in it was recognised"))
    }
}

/// Level, address and status of free text; says whether there was any.
pub(crate) fn write_findings(writer: &mut BatchWriter<'_>, text: &str) -> bool {
    let address = address::find(text);
    write_found(writer, text, address)
}

/// The same, but only with an address that the text says something came from.
pub(crate) fn write_introduced_findings(writer: &mut BatchWriter<'_>, text: &str) {
    let address = address::find_introduced(text);
    write_found(writer, text, address);
}

fn write_found(writer: &mut BatchWriter<'_>, text: &str, address: Option<(IpAddr, Option<u16>)>) -> bool {
    let mut found = false;
    if !writer.has(field::LOG_LEVEL)
        && let Some(word) = level_of(text)
    {
        writer.text(field::LOG_LEVEL, word);
        found = true;
    }
    if !writer.has(field::SOURCE_IP)
        && let Some((address, port)) = address
    {
        writer.ip(field::SOURCE_IP, address);
        if let Some(port) = port {
            writer.integer(field::SOURCE_PORT, i64::from(port));
        }
        found = true;
    }
    if !writer.has(field::HTTP_RESPONSE_STATUS_CODE)
        && let Some(status) = status_of(text)
    {
        writer.integer(field::HTTP_RESPONSE_STATUS_CODE, status);
        found = true;
    }
    found
}

/// A level word near the start, if it stands out: in capitals, in brackets, or before a colon.
pub(crate) fn level_of(text: &str) -> Option<&'static str> {
    text.split([' ', '\t', '|']).filter(|it| !it.is_empty()).take(LEVEL_WORDS_MAX).find_map(|token| {
        let word = token.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let word = word.strip_prefix("level=").unwrap_or(word);
        let stands_out = word.len() < token.len() || word.bytes().all(|byte| byte.is_ascii_uppercase());
        if stands_out && word.len() > 1 { level::canonical(word) } else { None }
    })
}

/// The number behind `status`, `code`, `HTTP` or `returned`, if it is a status of HTTP.
fn status_of(text: &str) -> Option<i64> {
    let mut introduced = false;
    for token in text.split([' ', '\t', '"', '=', ':', ',', '(', ')', '[', ']']).filter(|it| !it.is_empty()) {
        if introduced
            && token.len() == 3
            && let Ok(status @ 100..=599) = token.parse()
        {
            return Some(status);
        }
        // `status code 500`, `HTTP/1.1" 404`, `status: 404`.
        introduced = starts_with_ignore_case(token, "status")
            || starts_with_ignore_case(token, "http") && token.len() <= 8
            || introduced && token.eq_ignore_ascii_case("code")
            || token.eq_ignore_ascii_case("returned");
    }
    None
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::formats::tests::check;

    #[test]
    fn time_level_address_and_status_are_picked_out() {
        check(
            KIND.example,
            expect![[r#"
            2024-01-15T10:30:00.123Z
            event.kind: event
            event.dataset: plain
            message: 2024-01-15 10:30:00,123 ERROR [main] login from 203.0.113.9 failed with status 401
            log.level: error
            source.ip: 203.0.113.9
            http.response.status_code: 401
            panoptes.format: plain
        "#]],
        );
        check(
            "[2024-01-15 10:30:00] warning: peer 2001:db8::7 sent nothing",
            expect![[r#"
            2024-01-15T10:30:00Z
            event.kind: event
            event.dataset: plain
            message: [2024-01-15 10:30:00] warning: peer 2001:db8::7 sent nothing
            log.level: warning
            source.ip: 2001:db8::7
            panoptes.format: plain
        "#]],
        );
        check(
            "1705314600 started",
            expect![[r#"
            2024-01-15T10:30:00Z
            event.kind: event
            event.dataset: plain
            message: 1705314600 started
            panoptes.format: plain
        "#]],
        );
    }

    #[test]
    fn text_without_any_of_these_is_unparsed() {
        check(
            "hello, an error is nothing to worry about",
            expect![[r#"
            2024-01-15T12:00:00Z unparsed
            event.kind: event
            event.dataset: plain
            message: hello, an error is nothing to worry about
            panoptes.format: plain
            panoptes.anomaly: time_missing
        "#]],
        );
        check(
            "",
            expect![[r#"
            2024-01-15T12:00:00Z unparsed
            event.kind: event
            event.dataset: plain
            message: 
            panoptes.format: plain
            panoptes.anomaly: time_missing
        "#]],
        );
    }

    #[test]
    fn only_words_that_stand_out_are_levels() {
        assert_eq!(level_of("main ERROR x"), Some("error"));
        assert_eq!(level_of("[warn] x"), Some("warning"));
        assert_eq!(level_of("error: x"), Some("error"));
        assert_eq!(level_of("no error here"), None);
        assert_eq!(level_of("a b c d e f ERROR"), None, "too far from the start");
    }

    #[test]
    fn a_status_needs_an_introduction() {
        assert_eq!(status_of(r#""GET / HTTP/1.1" 404 12"#), Some(404));
        assert_eq!(status_of("failed with status code 503"), Some(503));
        assert_eq!(status_of("status=418"), Some(418));
        assert_eq!(status_of("took 404 ms"), None);
        assert_eq!(status_of("status 999"), None);
    }
}
