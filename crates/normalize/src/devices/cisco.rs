//! Cisco: `%FACILITY-SEVERITY-MNEMONIC: text`, from IOS, IOS XE, IOS XR, NX-OS, ASA and FTD.
//!
//! ```text
//! %PARSER-5-CFGLOG_LOGGEDCMD: User:bob  logged command:no logging
//! %SYS-5-CONFIG_I: Configured from console by bob on vty0 (192.0.2.7)
//! %SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: bob] [Source: 192.0.2.7] [localport: 22] [Reason: …] at …
//! %ASA-6-302013: Built inbound TCP connection 7 for outside:192.0.2.7/4711 …
//! ```

use panoptes_model::{BatchWriter, field};

use super::{cisco_asa, write_once, write_own};
use crate::fact::{FAILURE, Fact, SUCCESS, write_dataset};
use crate::text::between;
use crate::{address, level};

/// How far into a message its mnemonic is looked for: a number and a time may stand before it.
pub(super) const HEAD_BYTES_MAX: usize = 160;
/// How long a mnemonic may be. What is longer is none.
const CODE_BYTES_MAX: usize = 96;

pub(super) const DATASET: &str = "cisco.ios";

pub(super) const LOGIN: Fact = Fact::authentication(&["start"], "device_login", None);
pub(super) const COMMAND: Fact =
    Fact { category: &["configuration"], kind: &["change"], action: "device_command", outcome: None };
const CONFIGURED: Fact =
    Fact { category: &["configuration"], kind: &["change"], action: "device_configured", outcome: None };

/// The word that every message of such a device begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mnemonic<'t> {
    /// `SYS-5-CONFIG_I`
    code: &'t str,
    facility: &'t str,
    severity: u8,
    name: &'t str,
    /// What stands before it: numbers, times, names.
    pub(crate) before: &'t str,
    /// The message from the percent sign on.
    message: &'t str,
    text: &'t str,
}

impl<'t> Mnemonic<'t> {
    #[inline]
    pub(crate) fn of(message: &'t str) -> Option<Self> {
        let head = message.as_bytes().get(..HEAD_BYTES_MAX).unwrap_or(message.as_bytes());
        memchr::memchr_iter(b'%', head).find_map(|at| Self::at(message, at))
    }

    fn at(message: &'t str, at: usize) -> Option<Self> {
        let (before, said) = message.split_at_checked(at)?;
        if !(before.is_empty() || before.ends_with([' ', ':'])) {
            return None;
        }
        let inside = said.strip_prefix('%')?;
        let is_code = |it: &u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-' | b'/');
        let length = inside.bytes().take_while(is_code).take(CODE_BYTES_MAX + 1).count();
        let (code, rest) = inside.split_at_checked(length).filter(|_| length <= CODE_BYTES_MAX)?;
        // IOS XR puts a space before the colon.
        let text = rest.strip_prefix(' ').unwrap_or(rest).strip_prefix(':')?;
        let bytes = code.as_bytes();
        let digit = (1..bytes.len()).find(|at| {
            let is_severity = matches!(bytes.get(*at), Some(b'0'..=b'7'));
            is_severity && bytes.get(at - 1) == Some(&b'-') && bytes.get(at + 1) == Some(&b'-')
        })?;
        let facility = code.get(..digit - 1)?;
        let name = code.get(digit + 2..)?;
        if name.is_empty() || !facility.starts_with(|it: char| it.is_ascii_uppercase()) {
            return None;
        }
        let severity = bytes.get(digit)? - b'0';
        Some(Self { code, facility, severity, name, before, message: said, text: text.trim_ascii_start() })
    }

    pub(crate) fn write(&self, writer: &mut BatchWriter<'_>) {
        if matches!(self.facility, "ASA" | "FTD" | "PIX" | "FWSM") {
            cisco_asa::write(writer, self.name, self.text);
        } else if !self.write_known(writer) {
            write_dataset(writer, DATASET);
            if let Some((address, port)) = address::find_introduced(self.text) {
                writer.ip(field::SOURCE_IP, address);
                if let Some(port) = port {
                    writer.integer(field::SOURCE_PORT, i64::from(port));
                }
            }
        }
        if !writer.has(field::EVENT_CODE) {
            writer.text(field::EVENT_CODE, self.code);
        }
        writer.text(field::EVENT_PROVIDER, self.facility);
        writer.integer(field::EVENT_SEVERITY, i64::from(self.severity));
        if !writer.has(field::LOG_LEVEL)
            && let Some(word) = level::of_number(i64::from(self.severity))
        {
            writer.text(field::LOG_LEVEL, word);
        }
        write_own(writer, "cisco.mnemonic", self.name);
        writer.text(field::MESSAGE, self.message);
    }

    /// The messages that detections ask for. `false`, with nothing written, for all others.
    fn write_known(&self, writer: &mut BatchWriter<'_>) -> bool {
        let text = self.text;
        match (self.facility, self.name) {
            ("PARSER" | "ARCHIVE", "CFGLOG_LOGGEDCMD") | ("SHELL", "CMD" | "SHELL_COMMAND") => {
                let Some((who, command)) = text.split_once("logged command:") else { return false };
                COMMAND.write(writer, DATASET);
                write_once(writer, field::USER_NAME, who.trim_ascii().trim_start_matches("User:").trim_ascii());
                write_once(writer, field::PROCESS_COMMAND_LINE, command.trim_ascii());
            }
            ("AAA" | "AAA_ACCOUNTING" | "HA_EM" | "CLI_LOGGING", _)
                if text.contains("command") || text.contains("cmd") =>
            {
                COMMAND.write(writer, DATASET);
            }
            ("SYS" | "VSHD", "CONFIG_I" | "CONFIG_P" | "VSHD_SYSLOG_CONFIG_I") | ("MGBL-SYS", "CONFIG_I") => {
                CONFIGURED.write(writer, DATASET);
                let as_whom = text.rsplit_once(" as ").or_else(|| text.split_once(" by ")).map(|it| it.1);
                // Older ones name the line instead: `by vty0`.
                let is_line = |it: &&str| ["vty", "tty", "console"].iter().any(|line| it.starts_with(line));
                if let Some(user) = as_whom.and_then(|it| it.split([' ', ',']).next()).filter(|it| !is_line(it)) {
                    write_once(writer, field::USER_NAME, user);
                }
                write_address(writer, text.rsplit_once('(').and_then(|it| it.1.split_once(')')).map(|it| it.0));
            }
            ("SEC_LOGIN", "LOGIN_SUCCESS" | "LOGIN_FAILED" | "WEBLOGIN_SUCCESS" | "WEBLOGIN_FAILED") => {
                LOGIN.with(if self.name.ends_with("FAILED") { FAILURE } else { SUCCESS }).write(writer, DATASET);
                self.write_brackets(writer);
            }
            ("SEC_LOGIN", "QUIET_MODE_ON") => {
                Fact::authentication(&["info"], "device_login_blocked", FAILURE).write(writer, DATASET);
                self.write_brackets(writer);
            }
            ("SSH", "SSH2_USERAUTH" | "SSH_USERAUTH") => {
                let outcome = if text.contains("Failed") { FAILURE } else { SUCCESS };
                LOGIN.with(outcome).write(writer, DATASET);
                if let Some((user, _)) = text.split_once('\'').and_then(|it| it.1.split_once('\'')) {
                    write_once(writer, field::USER_NAME, user);
                }
                write_address(writer, text.split_once(" from ").and_then(|it| it.1.split(' ').next()));
            }
            ("SECURITY-LOGIN", "AUTHEN_FAILED" | "AUTHEN_SUCCESS") => {
                LOGIN.with(if self.name.ends_with("FAILED") { FAILURE } else { SUCCESS }).write(writer, DATASET);
                write_address(writer, text.split_once(" from '").and_then(|it| it.1.split('\'').next()));
                if let Some(user) = text.split_once(" user '").and_then(|it| it.1.split('\'').next()) {
                    write_once(writer, field::USER_NAME, user);
                }
            }
            ("SEC" | "SEC_6" | "FMANFP", "IPACCESSLOGP" | "IPACCESSLOGDP" | "IPACCESSLOGNP" | "IPACCESSLOGS") => {
                return write_access_list(writer, text);
            }
            _ => return false,
        }
        true
    }

    /// `[user: bob] [Source: 192.0.2.7] [localport: 22] [Reason: …]`
    fn write_brackets(&self, writer: &mut BatchWriter<'_>) {
        for part in self.text.split('[').skip(1).take(16) {
            let Some((inside, _)) = part.split_once(']') else { continue };
            let Some((name, value)) = inside.split_once(':') else { continue };
            let value = value.trim_ascii();
            match name.trim_ascii() {
                "user" => write_once(writer, field::USER_NAME, value),
                "Source" => write_address(writer, Some(value)),
                "Reason" => write_once(writer, field::EVENT_REASON, value),
                "localport" => {
                    if let Ok(port) = value.parse::<u16>() {
                        writer.integer(field::DESTINATION_PORT, i64::from(port));
                    }
                }
                _ => {}
            }
        }
    }
}

fn write_address(writer: &mut BatchWriter<'_>, text: Option<&str>) {
    if let Some(text) = text.filter(|it| !it.starts_with("UNKNOWN"))
        && !writer.has(field::SOURCE_IP)
    {
        address::write_source(writer, text.trim_ascii(), None);
    }
}

/// `list 101 denied tcp 192.0.2.7(4711) -> 192.0.2.8(80), 1 packet`
fn write_access_list(writer: &mut BatchWriter<'_>, text: &str) -> bool {
    let Some((list, rest)) = between(text, "list ", ' ') else { return false };
    let Some((verdict, rest)) = rest.split_once(' ') else { return false };
    let (action, kind, outcome, blocked): (_, crate::fact::Words, _, _) = match verdict {
        "denied" => ("packet_denied", &["connection", "denied"], FAILURE, "true"),
        "permitted" => ("packet_allowed", &["connection", "allowed"], SUCCESS, "false"),
        _ => return false,
    };
    let Some((transport, rest)) = rest.split_once(' ') else { return false };
    Fact::network(kind, action, outcome).write(writer, DATASET);
    write_own(writer, "firewall.blocked", blocked);
    writer.text(field::RULE_NAME, list);
    writer.text(field::NETWORK_TRANSPORT, transport);
    let (from, to) = rest.split_once(" -> ").unwrap_or((rest, ""));
    let sides = [(from, field::SOURCE_IP, field::SOURCE_PORT), (to, field::DESTINATION_IP, field::DESTINATION_PORT)];
    for (side, ip, port) in sides {
        // The interface that it came by may stand between.
        let side = side.split([' ', ',']).next().unwrap_or("");
        let (bare, number) = match side.split_once('(') {
            Some((bare, number)) => (bare, number.trim_end_matches(')').parse::<u16>().ok()),
            None => (side, None),
        };
        if let Some(address) = address::ip(bare) {
            writer.ip(ip, address);
            if let Some(number) = number {
                writer.integer(port, i64::from(number));
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::formats::tests::{check, value};

    #[test]
    fn mnemonics_are_found_behind_whatever_stands_before_them() {
        let read = |text| Mnemonic::of(text).map(|it| (it.facility, it.severity, it.name, it.text));
        assert_eq!(read("%SYS-5-CONFIG_I: x"), Some(("SYS", 5, "CONFIG_I", "x")));
        assert_eq!(
            read("45: Jan 15 10:30:00.1: %SEC_LOGIN-4-LOGIN_FAILED: x"),
            Some(("SEC_LOGIN", 4, "LOGIN_FAILED", "x"))
        );
        assert_eq!(read("%SECURITY-LOGIN-4-AUTHEN_FAILED : x"), Some(("SECURITY-LOGIN", 4, "AUTHEN_FAILED", "x")));
        assert_eq!(read("100% of %ASA-6-302013: x"), Some(("ASA", 6, "302013", "x")));
        for text in
            ["100%", "%", "%SYS-9-X: x", "%SYS-5-: x", "%SYS-5-CONFIG_I x", "50%SYS-5-A: x", "%5-A: x", "%a-5-B: x"]
        {
            assert_eq!(read(text), None, "{text}");
        }
        let (long, far) = ("A".repeat(CODE_BYTES_MAX), "a".repeat(HEAD_BYTES_MAX));
        assert_eq!(Mnemonic::of(&format!("%{long}-5-A: x")), None);
        assert_eq!(Mnemonic::of(&format!("{far} %SYS-5-A: x")), None);
    }

    #[test]
    fn a_command_is_told_with_who_gave_it() {
        check(
            "<189>Jan 15 10:30:00 192.0.2.1 6705: Jan 15 10:30:00.673: %PARSER-5-CFGLOG_LOGGEDCMD: User:bob  logged command:no logging",
            expect![[r#"
                2024-01-15T10:30:00Z
                log.syslog.priority: 189
                log.syslog.facility.code: 23
                log.syslog.facility.name: local7
                log.syslog.severity.code: 5
                log.syslog.severity.name: notice
                log.level: notice
                host.name: 192.0.2.1
                log.syslog.hostname: 192.0.2.1
                event.kind: event
                event.dataset: cisco.ios
                event.category: configuration
                event.type: change
                event.action: device_command
                user.name: bob
                process.command_line: no logging
                event.code: PARSER-5-CFGLOG_LOGGEDCMD
                event.provider: PARSER
                event.severity: 5
                cisco.mnemonic: CFGLOG_LOGGEDCMD
                message: %PARSER-5-CFGLOG_LOGGEDCMD: User:bob  logged command:no logging
                panoptes.format: syslog_rfc3164
                panoptes.anomaly: year_inferred
            "#]],
        );
    }

    #[test]
    fn logins_have_their_user_address_and_reason() {
        let failed = "<188>45: *Jan 15 10:30:00.123: %SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: bob] [Source: 203.0.113.9] [localport: 22] [Reason: Login Authentication Failed] at 10:30:00 UTC Mon Jan 15 2024";
        let get = |name| value(failed, name);
        assert_eq!((get("event.action"), get("event.outcome")), ("device_login".into(), "failure".into()));
        assert_eq!((get("user.name"), get("source.ip")), ("bob".into(), "203.0.113.9".into()));
        assert_eq!(get("event.reason"), "Login Authentication Failed");
        let ssh = "<189>Jan 15 10:30:00 r1 45: %SSH-5-SSH2_USERAUTH: User 'bob' authentication for SSH2 Session from 203.0.113.9 (tty = 0) using crypto cipher 'aes' Failed";
        assert_eq!((value(ssh, "user.name"), value(ssh, "event.outcome")), ("bob".into(), "failure".into()));
        let changed = "<189>Jan 15 10:30:00 r1 45: %SYS-5-CONFIG_P: Configured programmatically by process SEP_webui_wsma_http from console as cisco_support on vty0";
        assert_eq!(
            (value(changed, "user.name"), value(changed, "event.action")),
            ("cisco_support".into(), "device_configured".into())
        );
        let console =
            "<189>Jan 15 10:30:00 r1 45: %SYS-5-CONFIG_I: Configured from console by bob on vty0 (203.0.113.9)";
        assert_eq!((value(console, "user.name"), value(console, "source.ip")), ("bob".into(), "203.0.113.9".into()));
    }

    #[test]
    fn access_lists_say_who_wanted_to_go_where() {
        let line = "<190>Jan 15 10:30:00 r1 45: %SEC-6-IPACCESSLOGP: list 101 denied tcp 203.0.113.9(4711) (Gi0/1) -> 192.0.2.8(80), 1 packet";
        let get = |name| value(line, name);
        assert_eq!((get("source.ip"), get("source.port")), ("203.0.113.9".into(), "4711".into()));
        assert_eq!((get("destination.ip"), get("destination.port")), ("192.0.2.8".into(), "80".into()));
        assert_eq!((get("event.action"), get("firewall.blocked")), ("packet_denied".into(), "true".into()));
    }

    #[test]
    fn what_is_not_known_keeps_its_message() {
        let line =
            "<187>Jan 15 10:30:00 r1 45: %TCP-6-BADAUTH: No MD5 digest from 203.0.113.9(179) to 192.0.2.1(11003)";
        assert_eq!(
            (value(line, "event.dataset"), value(line, "event.code")),
            ("cisco.ios".into(), "TCP-6-BADAUTH".into())
        );
        assert_eq!(value(line, "source.ip"), "203.0.113.9");
        assert!(value(line, "message").starts_with("%TCP-6-BADAUTH: No MD5"));
    }
}
