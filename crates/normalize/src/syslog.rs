//! What both forms of syslog share: the priority, the tag, and how the message behind them is read.

use panoptes_model::{Anomaly, BatchWriter, FieldId, field};

use crate::context::Context;
use crate::text::leading_number;
use crate::{devices, formats, level, programs};

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// How long a tag may be: RFC 3164 allows 32, programs take more.
const TAG_BYTES_MAX: usize = 64;

/// Reads `<34>` at the start and writes what it says. Returns what follows; `None` if there is none. A number out of
/// range is flagged and passed over.
pub(crate) fn priority<'t>(writer: &mut BatchWriter<'_>, text: &'t str) -> Option<&'t str> {
    let (number, rest) = leading_number(text.strip_prefix('<')?)?;
    let rest = rest.strip_prefix('>')?;
    match u8::try_from(number) {
        Ok(number @ 0..=191) => {
            writer.integer(field::LOG_SYSLOG_PRIORITY, i64::from(number));
            facility_and_severity(writer, number / 8, number % 8);
        }
        _ => writer.anomaly(Anomaly::PriorityInvalid),
    }
    Some(rest)
}

pub(crate) fn facility_and_severity(writer: &mut BatchWriter<'_>, facility: u8, severity: u8) {
    if let Some(name) = FACILITIES.get(usize::from(facility)) {
        writer.integer(field::LOG_SYSLOG_FACILITY_CODE, i64::from(facility));
        writer.word(field::LOG_SYSLOG_FACILITY_NAME, name);
    }
    if let (Some(name), Some(word)) = (SEVERITIES.get(usize::from(severity)), level::of_number(i64::from(severity))) {
        writer.integer(field::LOG_SYSLOG_SEVERITY_CODE, i64::from(severity));
        writer.word(field::LOG_SYSLOG_SEVERITY_NAME, name);
        writer.word(field::LOG_LEVEL, word);
    }
}

/// Solaris writes `[ID 800047 auth.info]` before the message.
pub(crate) fn solaris_id<'t>(writer: &mut BatchWriter<'_>, text: &'t str) -> Option<&'t str> {
    let (inside, rest) = text.strip_prefix("[ID ")?.split_once("] ")?;
    let (facility, severity) = inside.split_once(' ')?.1.split_once('.')?;
    if !writer.has(field::LOG_SYSLOG_SEVERITY_CODE) {
        let index = |names: &[&str], name: &str| names.iter().position(|it| *it == name);
        if let (Some(facility), Some(severity)) = (index(&FACILITIES, facility), index(&SEVERITIES, severity)) {
            facility_and_severity(writer, facility as u8, severity as u8);
        }
    }
    Some(rest)
}

/// Who speaks: `sshd[4242]:`, `kernel:`, `sshd(pam_unix)[7]:`, `[sshd]:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag<'t> {
    pub(crate) name: &'t str,
    /// A module in parentheses, as old PAM wrote it.
    pub(crate) module: Option<&'t str>,
    pub(crate) pid: Option<&'t str>,
    /// A colon ended it.
    pub(crate) colon: bool,
    pub(crate) message: &'t str,
}

impl<'t> Tag<'t> {
    #[inline]
    pub(crate) fn of(text: &'t str) -> Option<Self> {
        // util-linux's login speaks as `-- root[42]:` once it knows the user.
        if let Some(user) = text.strip_prefix("-- ") {
            return Self::of(user).map(|it| Self { name: "login", ..it });
        }
        // `syslogd 1.4.1: restart.`
        if let Some((name, rest)) = text.split_once(' ')
            && name.ends_with("syslogd")
            && let Some((version, message)) = rest.split_once(": ")
            && version.starts_with(|c: char| c.is_ascii_digit())
            && !version.contains(' ')
        {
            return Some(Self { name, module: None, pid: None, colon: true, message });
        }
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./-@+~$%#*\\".contains(byte);
        // `[sshd]: …` and `[sshd] …`.
        if let Some(inside) = text.strip_prefix('[') {
            let (name, rest) = inside.split_once(']')?;
            if name.is_empty() || name.len() > TAG_BYTES_MAX || !name.bytes().all(|it| is_name(&it)) {
                return None;
            }
            let after = rest.strip_prefix(':');
            let message = after.unwrap_or(rest).strip_prefix(' ')?;
            return Some(Self { name, module: None, pid: None, colon: after.is_some(), message });
        }
        let length = text.bytes().take_while(is_name).take(TAG_BYTES_MAX + 1).count();
        let (name, mut rest) = text.split_at_checked(length)?;
        if name.is_empty() || length > TAG_BYTES_MAX {
            return None;
        }
        let mut module = None;
        if let Some((inside, after)) = rest.strip_prefix('(').and_then(|it| it.split_once(')'))
            && inside.len() <= TAG_BYTES_MAX
            && !inside.contains(' ')
        {
            (module, rest) = (Some(inside), after);
        }
        let mut pid = None;
        if let Some((inside, after)) = rest.strip_prefix('[').and_then(|it| it.split_once(']'))
            && inside.len() <= 32
            && !inside.contains([' ', '['])
        {
            (pid, rest) = (Some(inside), after);
        }
        let after = rest.strip_prefix(':');
        if after.is_none() && pid.is_none() && module.is_none() {
            return None;
        }
        let rest = after.unwrap_or(rest);
        // `12:30` is no tag.
        if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
            return None;
        }
        Some(Self { name, module, pid, colon: after.is_some(), message: rest.strip_prefix([' ', '\t']).unwrap_or("") })
    }
}

/// Writes who speaks.
#[inline]
pub(crate) fn write_program(writer: &mut BatchWriter<'_>, name: &str, pid: Option<&str>) {
    writer.text(field::LOG_SYSLOG_APPNAME, name);
    // `/usr/sbin/cron` is the program `cron`; `postfix/smtpd` keeps both, as its kind tells them apart.
    let short = match name.rsplit_once('/') {
        Some((_, last)) if name.starts_with('/') && !last.is_empty() => last,
        _ => name,
    };
    writer.text(field::PROCESS_NAME, short);
    if let Some(pid) = pid.filter(|it| !it.is_empty()) {
        match pid.parse() {
            Ok(number) => writer.integer(field::PROCESS_PID, number),
            Err(_) => writer.text(field::LOG_SYSLOG_PROCID, pid),
        }
    }
}

/// Takes fields away that the header gave and the message knows better.
pub(crate) fn take_back(writer: &mut BatchWriter<'_>, ids: &[FieldId]) {
    for id in ids {
        if let Some(index) = writer.position(*id, 0) {
            writer.remove(index);
        }
    }
}

/// The same for those that the message has written by now.
fn keep_inner(writer: &mut BatchWriter<'_>, ids: &[FieldId]) {
    for id in ids {
        if let Some(outer) = writer.position(*id, 0)
            && writer.position(*id, outer + 1).is_some()
        {
            writer.remove(outer);
        }
    }
}

#[inline]
pub(crate) fn write_host(writer: &mut BatchWriter<'_>, host: &str) {
    writer.text(field::HOST_NAME, host);
    writer.text(field::LOG_SYSLOG_HOSTNAME, host);
}

/// Reads the message behind the header: by the program that speaks, else by its content, else as it stands.
#[inline]
pub(crate) fn write_message(writer: &mut BatchWriter<'_>, tag: Option<&Tag<'_>>, message: &str, context: &Context<'_>) {
    let message = message.strip_prefix('\u{feff}').unwrap_or(message);
    let message = solaris_id(writer, message).unwrap_or(message);
    let name = tag.map_or("", |it| it.name);
    let module = tag.and_then(|it| it.module);
    if formats::write_audit_message(writer, name, message, context) {
        return;
    }
    if programs::write(writer, name, module, message, context) || devices::write(writer, name, message, context) {
        return;
    }
    // A tag may have taken the word: `CEF:0|…` and `fw CEF: 0|…` look like a program that speaks.
    if formats::write_event_format(writer, message, context)
        || (matches!(name, "CEF" | "LEEF")
            && formats::write_event_format(writer, &format!("{name}:{message}"), context))
    {
        return;
    }
    let start = message.trim_ascii_start();
    // `@cee:` announces JSON.
    let object = start.strip_prefix("@cee:").unwrap_or(start).trim_ascii_start();
    // Sysmon for Linux writes the XML of Windows events.
    if start.starts_with("<Event") && formats::read_unwrapped(writer, start, context) {
        keep_inner(writer, &[field::PROCESS_NAME, field::PROCESS_PID, field::HOST_NAME, field::LOG_LEVEL]);
        if !writer.has(field::MESSAGE) {
            writer.text(field::MESSAGE, message);
        }
        return;
    }
    if (object.starts_with('{') && formats::read_unwrapped(writer, object, context))
        || (formats::looks_like_pairs(start) && formats::read_unwrapped(writer, start, context))
    {
        if !writer.has(field::MESSAGE) {
            writer.text(field::MESSAGE, message);
        }
        return;
    }
    if context.services.read_line(writer, start, context) {
        return;
    }
    programs::write_generic(writer, name, message, context);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tests::value;

    #[test]
    fn sysmon_for_linux_is_taken_out_of_its_syslog_line() {
        let line = r#"<13>Jan 15 10:30:00 relay sysmon[9]: <Event><System><Provider Name="Linux-Sysmon" Guid="{ff032593-a8d3-4f13-b0d6-01fc615a0f97}"/><EventID>1</EventID><Level>4</Level><Task>1</Task><TimeCreated SystemTime="2024-01-15T10:30:00.123456000Z"/><EventRecordID>7</EventRecordID><Execution ProcessID="9" ThreadID="9"/><Channel>Linux-Sysmon/Operational</Channel><Computer>web1</Computer><Security UserId="0"/></System><EventData><Data Name="RuleName">-</Data><Data Name="ProcessId">42</Data><Data Name="Image">/usr/bin/id</Data><Data Name="CommandLine">id &quot;bob&quot;</Data><Data Name="CurrentDirectory">/root</Data><Data Name="User">root</Data><Data Name="ParentProcessId">41</Data><Data Name="ParentImage">/usr/bin/bash</Data></EventData></Event>"#;
        for (name, expected) in [
            ("event.dataset", "linux.sysmon"),
            ("event.code", "1"),
            ("event.category", "process"),
            ("@timestamp", "2024-01-15T10:30:00.123456Z"),
            ("host.name", "web1"),
            ("process.name", "id"),
            ("process.pid", "42"),
            ("process.command_line", "id \"bob\""),
            ("process.parent.executable", "/usr/bin/bash"),
            ("user.name", "root"),
            ("winlog.event_data.CurrentDirectory", "/root"),
            ("log.syslog.appname", "sysmon"),
            ("panoptes.format", "syslog_rfc3164"),
        ] {
            assert_eq!(value(line, name), expected, "{name}");
        }
        let (torn, _) = line.split_at(line.len() / 2);
        assert_eq!(value(torn, "event.kind"), "event");
        assert!(value(torn, "message").starts_with("<Event>"));
    }

    #[test]
    fn tags_come_in_many_shapes() {
        let tag = |text| Tag::of(text).map(|it| (it.name, it.module, it.pid, it.message));
        assert_eq!(tag("sshd[42]: x"), Some(("sshd", None, Some("42"), "x")));
        assert_eq!(tag("kernel: x"), Some(("kernel", None, None, "x")));
        assert_eq!(tag("sshd(pam_unix)[7]: x"), Some(("sshd", Some("pam_unix"), Some("7"), "x")));
        assert_eq!(tag("[sshd]: x"), Some(("sshd", None, None, "x")));
        assert_eq!(tag("[sshd] x"), Some(("sshd", None, None, "x")));
        assert_eq!(tag("postfix/smtpd[1]: x"), Some(("postfix/smtpd", None, Some("1"), "x")));
        assert_eq!(tag("a[1] x"), Some(("a", None, Some("1"), "x")));
        assert_eq!(tag("a:"), Some(("a", None, None, "")));
        assert_eq!(tag("-- root[7]: x"), Some(("login", None, Some("7"), "x")));
        assert_eq!(tag("syslogd 1.4.1: restart."), Some(("syslogd", None, None, "restart.")));
        for text in ["", "a", "a b", "12:30", ": x", "[a b] x", "a[1 2]: x", "[a]", "é: x"] {
            assert_eq!(tag(text), None, "{text}");
        }
        assert_eq!(tag(&format!("{}: x", "a".repeat(TAG_BYTES_MAX + 1))), None);
    }
}
