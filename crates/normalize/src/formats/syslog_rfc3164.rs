//! BSD syslog (RFC 3164) as it is really sent and stored: with and without priority, year, host, tag, colon.
//!
//! ```text
//! <38>Jan 15 10:30:00 host sshd[42]: message          2024-01-15T10:30:00.5+01:00 host sshd[42]: message
//! Jan 15 10:30:00 host message                        Jan 15 10:30:00 [sshd] message
//! Jan 15 10:30:00 <4.6> host sshd[42]: message        <189>45: *Jan 15 10:30:00.123: %SYS-5-CONFIG_I: message
//! host sshd[42]: message                              <13>message
//! ```

use panoptes_model::{BatchWriter, field};

use super::{Declined, FormatKind};
use crate::context::Context;
use crate::syslog::{Tag, facility_and_severity, priority, write_host, write_message, write_program};
use crate::text::leading_number;
use crate::{address, devices, level, time};

pub(super) static KIND: FormatKind = FormatKind {
    name: "syslog_rfc3164",
    summary: "BSD syslog and its common abuses",
    example: "<38>Jan 15 10:30:00 web1 sshd[4242]: Failed password for root from 203.0.113.9 port 22 ssh2",
    parse,
};

const NO_HEADER: Declined = Declined::because("has neither a priority nor a syslog time nor `host program[pid]:`");
const NO_TAG: Declined = Declined::because("begins with a time, but no `program:` or `program[pid]:` follows");

fn parse(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    let after_priority = priority(writer, text);
    let text = after_priority.unwrap_or(text);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Cisco counts its messages, and marks clocks that are not set.
    let counted = sequence_number(text);
    let rest = counted.unwrap_or(text).trim_start_matches([' ', '*', '.']);
    let begins_with_letter = rest.starts_with(|c: char| c.is_ascii_alphabetic());
    let Some((civil, rest)) = time::leading(rest) else {
        return without_time(writer, text, after_priority.is_some(), context);
    };
    // `Jan 15 10:30:00` is syslog's own; anything may begin like `2024-01-15 10:30:00`.
    let is_usual = after_priority.is_some() || counted.is_some() || begins_with_letter;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let Some(rest) = rest.strip_prefix(' ') else { return Err(NO_HEADER) };
    let rest = rest.trim_start_matches(' ');
    let (verbose, rest) = match bsd_verbose(rest) {
        Some((facility, severity, rest)) => (Some((facility, severity)), rest),
        None => (None, rest),
    };
    let header = Header::of(rest);
    if !is_usual {
        let spaced = text.as_bytes().get(10) == Some(&b' ');
        let is_program = |it: &Tag<'_>| it.colon && !is_level(it.name) && (it.pid.is_some() || !spaced);
        // A host, and what names itself, need no program: `2024-01-15T10:30:00Z fw CEF:0|…`.
        let is_told = !spaced && header.tag.is_none() && header.host.is_some_and(is_host) && is_own(header.message);
        if !is_told && (!header.tag.as_ref().is_some_and(is_program) || header.host.is_some_and(is_level)) {
            return Err(NO_TAG);
        }
    }
    // `Mon Jan 15 10:30:00 2024 [pid 7] …`, `Mon Jan 15 10:30:00 2024 : …`: a program's own file.
    let no_host = |it: &str| !it.starts_with(|c: char| c.is_alphanumeric() || matches!(c, ':' | '_'));
    if after_priority.is_none() && header.tag.is_none() && header.host.is_some_and(no_host) {
        return Err(NO_TAG);
    }
    context.stamp(writer, &civil);
    if let Some((facility, severity)) = verbose.filter(|_| after_priority.is_none()) {
        facility_and_severity(writer, facility, severity);
    }
    header.write(writer, context);
    Ok(())
}

fn is_host(word: &str) -> bool {
    address::ip(word).is_some() || (address::is_host_name(word) && !is_level(word))
}

/// Whether a message tells of itself what it is: an object, CEF or LEEF, a row of PAN-OS.
fn is_own(message: &str) -> bool {
    message.starts_with('{')
        || ["CEF:", "LEEF:", "@cee:"].iter().any(|it| message.starts_with(it))
        || devices::begins_row(message)
}

fn is_level(word: &str) -> bool {
    level::canonical(word.trim_matches(['[', ']', '-'])).is_some()
}

/// The journal's short form and bare lines: only with a program and its number, or a priority, is it syslog.
fn without_time(
    writer: &mut BatchWriter<'_>,
    text: &str,
    has_priority: bool,
    context: &Context<'_>,
) -> Result<(), Declined> {
    let header = Header::of(text);
    let numbered = |it: &Tag<'_>| {
        it.colon && it.pid.is_some_and(|pid| !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if header.tag.as_ref().is_some_and(numbered) {
        header.write(writer, context);
        return Ok(());
    }
    if !has_priority {
        return Err(NO_HEADER);
    }
    // RFC 3164, 4.3.3: a relay would call all of it the message.
    match Tag::of(text).filter(|it| it.colon) {
        Some(tag) => Header { host: None, tag: Some(tag), message: tag.message }.write(writer, context),
        None => Header { host: None, tag: None, message: text }.write(writer, context),
    }
    Ok(())
}

/// `45: ` or `000045: ` before the time.
fn sequence_number(text: &str) -> Option<&str> {
    let (_number, rest) = leading_number(text)?;
    rest.strip_prefix(": ")
}

/// `<4.6>`: facility and severity as FreeBSD's `syslogd -v` writes them.
fn bsd_verbose(text: &str) -> Option<(u8, u8, &str)> {
    let (inside, rest) = text.strip_prefix('<')?.split_once("> ")?;
    let (facility, severity) = inside.split_once('.')?;
    Some((facility.parse().ok()?, severity.parse().ok()?, rest))
}

/// What stands between the time and the message.
struct Header<'t> {
    host: Option<&'t str>,
    tag: Option<Tag<'t>>,
    message: &'t str,
}

impl<'t> Header<'t> {
    #[inline]
    fn of(text: &'t str) -> Self {
        // `%SYS-5-CONFIG_I: …`: Cisco's message, with nothing before it.
        if text.starts_with('%') {
            return Self { host: None, tag: None, message: text };
        }
        let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
        // Is the first word the tag already? Then there is no host.
        if first.ends_with([':', ']'])
            && let Some(tag) = Tag::of(text)
        {
            if tag.message.starts_with('%') && tag.colon && tag.pid.is_none() {
                return Self { host: Some(tag.name), tag: None, message: tag.message };
            }
            return Self { host: None, tag: Some(tag), message: tag.message };
        }
        let rest = rest.trim_start_matches(' ');
        // Some relays write the host twice.
        let rest = rest.strip_prefix(first).and_then(|it| it.strip_prefix(' ')).unwrap_or(rest);
        match Tag::of(rest) {
            Some(tag) => Self { host: Some(first), tag: Some(tag), message: tag.message },
            None => Self { host: Some(first), tag: None, message: rest },
        }
    }

    #[inline]
    fn write(&self, writer: &mut BatchWriter<'_>, context: &Context<'_>) {
        if let Some(host) = self.host.filter(|it| !it.is_empty()) {
            write_host(writer, host);
        }
        if let Some(tag) = &self.tag {
            write_program(writer, tag.name, tag.pid);
        }
        if let Some((code, _)) = self.message.strip_prefix('%').and_then(|it| it.split_once(": "))
            && let Some(severity) = cisco_severity(code)
        {
            writer.text(field::EVENT_CODE, code);
            if !writer.has(field::LOG_LEVEL)
                && let Some(word) = level::of_number(i64::from(severity))
            {
                writer.text(field::LOG_LEVEL, word);
            }
        }
        write_message(writer, self.tag.as_ref(), self.message, context);
    }
}

/// The digit of `SYS-5-CONFIG_I` or `ASA-6-302013`.
fn cisco_severity(code: &str) -> Option<u8> {
    if code.contains(' ') {
        return None;
    }
    code.split('-').find_map(|part| match part.as_bytes() {
        [digit @ b'0'..=b'7'] => Some(digit - b'0'),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::KIND;
    use crate::formats::tests::{check, value};

    #[test]
    fn the_textbook_line_is_read() {
        check(
            KIND.example,
            expect![[r#"
            2024-01-15T10:30:00Z
            log.syslog.priority: 38
            log.syslog.facility.code: 4
            log.syslog.facility.name: auth
            log.syslog.severity.code: 6
            log.syslog.severity.name: info
            log.level: info
            host.name: web1
            log.syslog.hostname: web1
            log.syslog.appname: sshd
            process.name: sshd
            process.pid: 4242
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
            panoptes.format: syslog_rfc3164
            panoptes.anomaly: year_inferred
        "#]],
        );
    }

    #[test]
    fn headers_are_found_in_whatever_shape() {
        let seen =
            |line: &str| ["host.name", "process.name", "process.pid", "message"].map(|it| value(line, it)).join("|");
        for line in [
            "Jan 15 10:30:00 h app[7]: said",
            "<13>Jan 15 10:30:00 h app[7]: said",
            "<13>Jan 15 2024 10:30:00 h app[7]: said",
            "<13>2024-01-15T10:30:00.123456+01:00 h app[7]: said",
            "<13>2024-01-15 10:30:00 h app[7]: said",
            "2024-01-15T10:30:00+01:00 h app[7]: said",
            "2024-01-15 10:30:00 h app[7]: said",
            "Jan 15 10:30:00 <4.6> h app[7]: said",
            "\u{feff}<13>Jan  5 10:30:00 h app[7]: said",
            "Jan 15 10:30:00 h /usr/sbin/app[7]: said",
            "Mon Jan 15 10:30:00 2024 h app[7]: said",
            "h app[7]: said",
            "<13>h app[7]: said",
            "Jan 15 10:30:00 h app[7] said",
        ] {
            assert_eq!(seen(line), "h|app|7|said", "{line}");
        }
        assert_eq!(seen("Jan 15 10:30:00 app[7]: said"), "|app|7|said");
        assert_eq!(seen("<13>app: said"), "|app||said");
        assert_eq!(seen("<13>said it"), "|||said it");
        assert_eq!(seen("Jan 15 10:30:00 [app] said"), "|app||said");
        assert_eq!(seen("Jan 15 10:30:00 h said it all"), "h|||said it all");
        assert_eq!(seen("Jan 15 10:30:00 h app: said"), "h|app||said");
        assert_eq!(seen("Jan 15 10:30:00 2001:db8::1 app: said"), "2001:db8::1|app||said");
    }

    #[test]
    fn ciscos_messages_carry_their_own_level() {
        check(
            "<189>45: *Jan 15 10:30:00.123: %SYS-5-CONFIG_I: Configured from console by vty0 (192.0.2.7)",
            expect![[r#"
                2024-01-15T10:30:00.123Z
                log.syslog.priority: 189
                log.syslog.facility.code: 23
                log.syslog.facility.name: local7
                log.syslog.severity.code: 5
                log.syslog.severity.name: notice
                log.level: notice
                event.code: SYS-5-CONFIG_I
                event.kind: event
                event.dataset: cisco.ios
                event.category: configuration
                event.type: change
                event.action: device_configured
                source.ip: 192.0.2.7
                event.provider: SYS
                event.severity: 5
                cisco.mnemonic: CONFIG_I
                message: %SYS-5-CONFIG_I: Configured from console by vty0 (192.0.2.7)
                panoptes.format: syslog_rfc3164
                panoptes.anomaly: year_inferred
            "#]],
        );
        assert_eq!(value("Jan 15 10:30:00 rtr1: %LINK-3-UPDOWN: Interface Gi0/1 down", "host.name"), "rtr1");
    }

    #[test]
    fn a_priority_out_of_range_is_flagged() {
        assert_eq!(value("<999>Jan 15 10:30:00 h app: said", "panoptes.anomaly"), "year_inferred,priority_invalid");
    }

    #[test]
    fn lines_of_other_programs_with_a_time_are_not_syslog() {
        for line in [
            "2024-01-15 10:30:00,123 INFO [main] org.example.App: started",
            "2024-01-15 10:30:00 ERROR app: broken",
            "2024-01-15 10:30:00 - something else",
            "2024-01-15 10:30:00 GET /index.html: done",
            "2024-01-15T10:30:00Z level=info msg=x",
        ] {
            assert_ne!(value(line, "panoptes.format"), "syslog_rfc3164", "{line}");
        }
    }

    #[test]
    fn old_systems_are_understood() {
        let seen = |said: &str| {
            let line = format!("Jun 15 10:30:00 combo {said}");
            ["process.name", "event.dataset", "event.action", "event.outcome", "user.name", "source.ip"]
                .map(|it| value(&line, it))
                .join("|")
        };
        let failure = "authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost=203.0.113.9  user=root";
        assert_eq!(seen(&format!("sshd(pam_unix)[7]: {failure}")), "sshd|linux.pam|pam_auth|failure|root|203.0.113.9");
        assert_eq!(seen("su(pam_unix)[7]: session closed for user bob"), "su|linux.pam|session_closed|success|bob|");
        assert_eq!(seen("-- root[7]: ROOT LOGIN ON tty2"), "login|linux.login|login|success|root|");
        assert_eq!(
            seen("ftpd[7]: connection from 203.0.113.9 (h.example) at Fri Jun 17 07:07:00 2005"),
            "ftpd|ftpd||||203.0.113.9"
        );
        assert_eq!(seen("syslogd 1.4.1: restart."), "syslogd|linux.syslog||||");
        assert_eq!(seen("kernel: hub 1-0:1.0: USB hub found"), "kernel|linux.syslog||||");
    }

    #[test]
    fn messages_with_structure_are_read_for_it() {
        check(
            r#"<13>Jan 15 10:30:00 h app[7]: {"msg":"no","user":"bob"}"#,
            expect![[r#"
            2024-01-15T10:30:00Z
            log.syslog.priority: 13
            log.syslog.facility.code: 1
            log.syslog.facility.name: user
            log.syslog.severity.code: 5
            log.syslog.severity.name: notice
            log.level: notice
            host.name: h
            log.syslog.hostname: h
            log.syslog.appname: app
            process.name: app
            process.pid: 7
            msg: no
            user: bob
            message: no
            user.name: bob
            event.kind: event
            event.dataset: json
            panoptes.format: syslog_rfc3164
            panoptes.anomaly: year_inferred
        "#]],
        );
        check(
            "Jan 15 10:30:00 h kernel: [12.5] DROP IN=eth0 SRC=203.0.113.9 DST=192.0.2.1 PROTO=TCP SPT=4711 DPT=22 SYN",
            expect![[r#"
            2024-01-15T10:30:00Z
            host.name: h
            log.syslog.hostname: h
            log.syslog.appname: kernel
            process.name: kernel
            event.kind: event
            event.dataset: linux.syslog
            source.ip: 203.0.113.9
            message: [12.5] DROP IN=eth0 SRC=203.0.113.9 DST=192.0.2.1 PROTO=TCP SPT=4711 DPT=22 SYN
            panoptes.format: syslog_rfc3164
            panoptes.anomaly: year_inferred
        "#]],
        );
    }
}
