//! Syslog (RFC 5424): `<38>1 2024-01-15T10:30:00Z host app procid msgid [id name="value"] message`.
//!
//! Structured data becomes `log.syslog.structured_data.<id>.<name>`.

use panoptes_model::{Anomaly, BatchWriter, field};

use super::{Declined, FormatKind};
use crate::context::Context;
use crate::syslog::{Tag, priority, write_host, write_message, write_program};
use crate::text::{Cursor, leading_number};
use crate::time;

pub(super) static KIND: FormatKind = FormatKind {
    name: "syslog_rfc5424",
    summary: "syslog with a version and structured data (RFC 5424)",
    example: r#"<38>1 2024-01-15T10:30:00.123Z web1 sshd 4242 - [meta@32473 seq="7"] Failed password for root from 203.0.113.9 port 22 ssh2"#,
    parse,
};

/// How many parameters of structured data are read; the rest is only in the original text.
const PARAMETERS_MAX: usize = 256;

fn parse(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    let rest = priority(writer, text).ok_or(Declined::because("does not begin with a priority such as `<38>`"))?;
    let no_version = Declined::because("has no version and space behind its priority");
    let (version, rest) = leading_number(rest).ok_or(no_version)?;
    let mut cursor = Cursor::new(rest);
    if version == 0 || version > 99 || !cursor.eat(" ") {
        return Err(no_version);
    }
    let stamp = cursor.word();
    if stamp != "-" {
        let (civil, rest) = time::leading(stamp).ok_or(Declined::because("has no RFC 3339 time behind its version"))?;
        if !rest.is_empty() {
            return Err(Declined::because("has text glued to its time"));
        }
        context.stamp(writer, &civil);
    }
    writer.text(field::LOG_SYSLOG_VERSION, version_text(text));
    let nil = |it: &str| matches!(it, "-" | "");
    let host = cursor.word();
    if !nil(host) {
        write_host(writer, host);
    }
    let (name, pid) = (cursor.word(), cursor.word());
    if !nil(name) {
        write_program(writer, name, Some(pid).filter(|it| !nil(it)));
    } else if !nil(pid) {
        writer.text(field::LOG_SYSLOG_PROCID, pid);
    }
    let id = cursor.word();
    if !nil(id) {
        writer.text(field::LOG_SYSLOG_MSGID, id);
    }
    structured_data(writer, &mut cursor);
    let message = cursor.rest.strip_prefix(' ').unwrap_or(cursor.rest);
    let name = name.rsplit('/').next().filter(|it| !nil(it));
    let tag = name.map(|name| Tag { name, module: None, pid: None, colon: true, message });
    write_message(writer, tag.as_ref(), message, context);
    Ok(())
}

/// The digits of the version, as a slice of the text.
fn version_text(text: &str) -> &str {
    text.split_once('>').and_then(|(_, rest)| rest.split_once(' ')).map_or("", |(version, _)| version)
}

/// Passes over `-` or `[id name="value" …][…]` and writes the values. Where it is malformed, the rest counts as message.
fn structured_data(writer: &mut BatchWriter<'_>, cursor: &mut Cursor<'_>) {
    if cursor.eat("-") {
        return;
    }
    let mut parameters = 0;
    let mut field_name = String::new();
    while cursor.rest.starts_with('[') {
        let mut inside = Cursor::new(cursor.rest.strip_prefix('[').unwrap_or(""));
        let id_length = inside.rest.find([' ', ']', '"', '=']).unwrap_or(0);
        let Some((id, rest)) = inside.rest.split_at_checked(id_length).filter(|(id, _)| !id.is_empty()) else {
            writer.anomaly(Anomaly::SyntaxInvalid);
            return;
        };
        inside.rest = rest;
        loop {
            if inside.eat("]") {
                *cursor = inside;
                break;
            }
            inside.skip_spaces();
            let parameter = inside.until(b'=').filter(|it| !it.is_empty() && !it.contains(['"', ']', ' ']));
            let (Some(name), Some(value)) = (parameter, inside.quoted()) else {
                writer.anomaly(Anomaly::SyntaxInvalid);
                return;
            };
            parameters += 1;
            if parameters > PARAMETERS_MAX {
                writer.anomaly(Anomaly::FieldsTooMany);
                continue;
            }
            field_name.clear();
            field_name.extend(["log.syslog.structured_data.", id, ".", name]);
            let Some(id) = writer.field(&field_name) else { continue };
            if value.contains('\\') {
                writer.text_with(id, |out| unescape(value, out));
            } else {
                writer.text(id, value);
            }
        }
    }
}

/// `\"`, `\\` and `\]`; a backslash before anything else is itself.
fn unescape(value: &str, out: &mut String) {
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\\'
            && let Some(escaped) = characters.next_if(|it| matches!(it, '"' | '\\' | ']'))
        {
            out.push(escaped);
        } else {
            out.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::formats::tests::{check, value};

    #[test]
    fn every_part_is_read() {
        check(
            KIND.example,
            expect![[r#"
            2024-01-15T10:30:00.123Z
            log.syslog.priority: 38
            log.syslog.facility.code: 4
            log.syslog.facility.name: auth
            log.syslog.severity.code: 6
            log.syslog.severity.name: info
            log.level: info
            log.syslog.version: 1
            host.name: web1
            log.syslog.hostname: web1
            log.syslog.appname: sshd
            process.name: sshd
            process.pid: 4242
            log.syslog.structured_data.meta@32473.seq: 7
            event.kind: event
            event.dataset: linux.sshd
            event.category: authentication
            event.type: start
            event.action: ssh_login
            event.outcome: failure
            user.name: root
            source.ip: 203.0.113.9
            source.port: 22
            ssh.method: password
            message: Failed password for root from 203.0.113.9 port 22 ssh2
            panoptes.format: syslog_rfc5424
        "#]],
        );
        check(
            "<165>1 2024-01-15T10:30:00-05:30 h app 7 ID47 [a@1 x=\"\\\"q\\\" \\] \\n\"][b y=\"\"] \u{feff}said",
            expect![[r#"
                2024-01-15T12:00:00Z
                log.syslog.priority: 165
                log.syslog.facility.code: 20
                log.syslog.facility.name: local4
                log.syslog.severity.code: 5
                log.syslog.severity.name: notice
                log.level: notice
                log.syslog.version: 1
                host.name: h
                log.syslog.hostname: h
                log.syslog.appname: app
                process.name: app
                process.pid: 7
                log.syslog.msgid: ID47
                log.syslog.structured_data.a@1.x: "q" ] \n
                log.syslog.structured_data.b.y: 
                event.kind: event
                event.dataset: linux.syslog
                message: said
                panoptes.format: syslog_rfc5424
                panoptes.anomaly: time_ahead
            "#]],
        );
    }

    #[test]
    fn nil_parts_are_left_out() {
        check(
            "<13>1 - - - - - - said",
            expect![[r#"
            2024-01-15T12:00:00Z
            log.syslog.priority: 13
            log.syslog.facility.code: 1
            log.syslog.facility.name: user
            log.syslog.severity.code: 5
            log.syslog.severity.name: notice
            log.level: notice
            log.syslog.version: 1
            event.kind: event
            event.dataset: linux.syslog
            message: said
            panoptes.format: syslog_rfc5424
            panoptes.anomaly: time_missing
        "#]],
        );
        check(
            "<13>1 2024-01-15T10:30:00Z h app - - -",
            expect![[r#"
            2024-01-15T10:30:00Z
            log.syslog.priority: 13
            log.syslog.facility.code: 1
            log.syslog.facility.name: user
            log.syslog.severity.code: 5
            log.syslog.severity.name: notice
            log.level: notice
            log.syslog.version: 1
            host.name: h
            log.syslog.hostname: h
            log.syslog.appname: app
            process.name: app
            event.kind: event
            event.dataset: linux.syslog
            message: 
            panoptes.format: syslog_rfc5424
        "#]],
        );
    }

    #[test]
    fn malformed_structured_data_is_part_of_the_message() {
        let line = r#"<13>1 2024-01-15T10:30:00Z h app 7 - [a x="1 said"#;
        assert_eq!(value(line, "message"), r#"[a x="1 said"#);
        assert_eq!(value(line, "panoptes.anomaly"), "syntax_invalid");
    }

    #[test]
    fn the_number_of_parameters_is_bounded() {
        let parameters: String = (0..=PARAMETERS_MAX).map(|n| format!(" n{n}=\"1\"")).collect();
        let line = format!("<13>1 2024-01-15T10:30:00Z h app 7 - [a{parameters}] said");
        let field = |n| format!("log.syslog.structured_data.a.n{n}");
        assert_eq!(value(&line, &field(PARAMETERS_MAX - 1)), "1");
        assert_eq!(value(&line, &field(PARAMETERS_MAX)), "");
        assert_eq!(value(&line, "message"), "said");
        assert_eq!(value(&line, "panoptes.anomaly"), "fields_too_many");
    }
}
