//! PAM's modules, whichever program they speak through: `pam_unix(sshd:auth): authentication failure; … rhost=…`.
//!
//! Under `sshd` the verdict of one module is not that of the attempt (another module may still accept), and sshd states
//! the attempt itself: so there the outcome is `unknown`. Old PAM spoke under a tag of its own, `sshd(pam_unix)[7]:`,
//! often into another file than sshd; there it counts.

use panoptes_model::{BatchWriter, field};

use crate::address;
use crate::fact::{FAILURE, Fact, SUCCESS, UNKNOWN, write_repeat, write_user};
use crate::text::{leading_number, value_of};

const DATASET: &str = "linux.pam";

const AUTH: Fact = Fact::authentication(&["info"], "pam_auth", FAILURE);
const ACCOUNT_LOCKED: Fact = Fact::authentication(&["denied"], "account_locked", FAILURE);
const OPENED: Fact = Fact::session(&["start"], "session_opened", SUCCESS);
const CLOSED: Fact = Fact::session(&["end"], "session_closed", SUCCESS);
const PASSWORD_CHANGED: Fact =
    Fact { category: &["iam"], kind: &["user", "change"], action: "password_changed", outcome: SUCCESS };
const OTHER: Fact = Fact::authentication(&["info"], "pam_message", None);

/// Writes the message if a PAM module says it; `false` if none does.
#[inline]
pub(super) fn write(writer: &mut BatchWriter<'_>, program: &str, tag_module: Option<&str>, said: &str) -> bool {
    let said = said.trim_ascii();
    if let Some(module) = tag_module.filter(|it| it.starts_with("pam_")) {
        write_said(writer, module, program, said, true);
        return true;
    }
    // `pam_unix(sshd:auth): …`, `(pam_unix) …`, `PAM 2 more authentication failures; …`
    match said.as_bytes().first() {
        Some(b'p') if said.starts_with("pam_") => {
            let Some((head, rest)) = said.split_once(": ") else { return false };
            let Some((module, inside)) = head.split_once('(') else {
                write_said(writer, head, program, rest, false);
                return true;
            };
            let service = inside.split([':', ')']).next().unwrap_or(program);
            write_said(writer, module, service, rest, false);
            true
        }
        Some(b'(') => {
            let Some((module, rest)) = said.strip_prefix("(pam_").and_then(|it| it.split_once(") ")) else {
                return false;
            };
            if module.contains(' ') {
                return false;
            }
            write_said(writer, module, program, rest, false);
            true
        }
        Some(b'P') => {
            let rest = said.strip_prefix("PAM ").filter(|it| {
                it.starts_with("service(") || leading_number(it).is_some_and(|(_, rest)| rest.starts_with(" more auth"))
            });
            let Some(rest) = rest else { return false };
            write_said(writer, "pam_unix", program, rest, false);
            true
        }
        _ => false,
    }
}

fn write_said(writer: &mut BatchWriter<'_>, _module: &str, service: &str, said: &str, own_tag: bool) {
    let is_cron = matches!(service, "cron" | "crond" | "CRON");
    let failed = if service.starts_with("sshd") && !own_tag { AUTH.with(UNKNOWN) } else { AUTH };
    let (times, text) = match leading_number(said) {
        Some((times, rest)) if rest.starts_with(" more auth") => (Some(times), rest.trim_ascii_start()),
        _ => (None, said),
    };

    let is_failure = text.starts_with("authentication failure")
        || text.starts_with("more authentication failure")
        || text.starts_with("authentication error")
        || text.starts_with("auth could not identify password");
    let is_success = text.starts_with("authentication success");
    if is_failure || is_success {
        if is_failure { failed } else { AUTH.with(SUCCESS) }.write(writer, DATASET);
        write_credentials(writer, text);
        if let Some(times) = times {
            write_repeat(writer, times);
        }
    } else if let Some(rest) = text.strip_prefix("received for user ") {
        // `pam_sss`: `received for user NAME: 7 (Authentication failure)`.
        let (user, reason) = rest.rsplit_once(": ").unwrap_or((rest, ""));
        failed.write(writer, DATASET);
        write_user(writer, field::USER_NAME, user);
        writer.text(field::EVENT_REASON, reason);
    } else if let Some(rest) = text.strip_prefix("session opened for user ") {
        if is_cron { Fact { action: "cron_session", ..OPENED } } else { OPENED }.write(writer, DATASET);
        write_session(writer, rest);
    } else if let Some(rest) = text.strip_prefix("session closed for user ") {
        if is_cron { Fact { action: "cron_session", ..CLOSED } } else { CLOSED }.write(writer, DATASET);
        write_user(writer, field::USER_NAME, rest.split('(').next().unwrap_or(rest).trim_ascii());
    } else if let Some(user) = text.strip_prefix("password changed for ") {
        PASSWORD_CHANGED.write(writer, DATASET);
        write_user(writer, field::USER_TARGET_NAME, user);
    } else if let Some(user) =
        text.strip_prefix("Consecutive login failures for user ").and_then(|it| it.split_once(" account"))
    {
        ACCOUNT_LOCKED.write(writer, DATASET);
        write_user(writer, field::USER_NAME, user.0);
    } else if let Some((user, rest)) = text.strip_prefix("user ").and_then(|it| it.split_once(" ("))
        && rest.contains("tally")
    {
        // `pam_tally2`: `user NAME (1000) tally 5, deny 3`.
        ACCOUNT_LOCKED.write(writer, DATASET);
        write_user(writer, field::USER_NAME, user);
    } else {
        OTHER.write(writer, DATASET);
        // `requirement "uid >= 1000" not met by user "NAME"`, `bad username [NAME]`.
        let quoted = text.rsplit_once("by user \"").and_then(|(_, it)| it.strip_suffix('"'));
        let bracketed = text.strip_prefix("bad username [").and_then(|it| it.strip_suffix(']'));
        if let Some(user) = quoted.or(bracketed) {
            write_user(writer, field::USER_NAME, user);
        }
    }
    if let Some(id) = writer.field("pam.service").filter(|_| !service.is_empty()) {
        writer.text(id, service);
    }
}

/// `logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root`, or `… for [root]`.
fn write_credentials(writer: &mut BatchWriter<'_>, text: &str) {
    if let Some(user) = text.split_once(" for [").and_then(|(_, it)| it.strip_suffix(']')) {
        write_user(writer, field::USER_NAME, user);
        return;
    }
    // The user stands last and may be called anything, so the keys before it are looked for from the left.
    let (head, user) = match text.split_once(" rhost=") {
        Some((_, rest)) => match rest.split_once(" user=") {
            Some((_, user)) => (text, Some(user)),
            None => (text, None),
        },
        None => (text, value_of(text, "user")),
    };
    if let Some(host) = value_of(head, "rhost").filter(|it| !it.is_empty()) {
        address::write_source(writer, host, None);
    }
    let remote = value_of(head, "ruser").unwrap_or("");
    match user.map(str::trim_ascii).filter(|it| !it.is_empty()) {
        Some(user) => {
            // `ruser` is who asks (su, sudo), `user` who is to be.
            let is_other = !remote.is_empty() && remote != user;
            write_user(writer, field::USER_NAME, if is_other { remote } else { user });
            if is_other {
                write_user(writer, field::USER_EFFECTIVE_NAME, user);
            }
        }
        None => write_user(writer, field::USER_NAME, remote),
    }
    if let Some(tty) = value_of(head, "tty").filter(|it| !it.is_empty()) {
        writer.text(field::PROCESS_TTY_NAME, tty);
    }
}

/// `root(uid=0) by alice(uid=1000)`, `root by (uid=0)`.
fn write_session(writer: &mut BatchWriter<'_>, text: &str) {
    let (user, by) = text.split_once(" by ").unwrap_or((text, ""));
    let name = |it: &'_ str| it.split_once('(').map_or(it, |(name, _)| name).trim_ascii().len();
    let user = user.get(..name(user.trim_ascii())).unwrap_or(user);
    let by = by.get(..name(by)).unwrap_or(by);
    // `login` calls itself LOGIN.
    if by.is_empty() || by == user || by == "LOGIN" {
        write_user(writer, field::USER_NAME, user);
    } else {
        write_user(writer, field::USER_NAME, by);
        write_user(writer, field::USER_EFFECTIVE_NAME, user);
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::formats::tests::value;

    fn seen(tag: &str, said: &str) -> String {
        let line = format!("Jan 15 10:30:00 h {tag}: {said}");
        let names = [
            "event.dataset",
            "pam.service",
            "event.action",
            "event.outcome",
            "user.name",
            "user.effective.name",
            "user.target.name",
            "source.ip",
            "source.address",
            "event.reason",
            "panoptes.repeat",
        ];
        names.map(|it| value(&line, it)).into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn modules_are_heard_through_any_program() {
        let failure = "authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root";
        let out = [
            seen("sshd[7]", &format!("pam_unix(sshd:auth): {failure}")),
            seen("sshd(pam_unix)[7]", failure),
            seen("vsftpd[7]", &format!("pam_unix(vsftpd:auth): {failure}")),
            seen("login[7]", &format!("(pam_unix) {failure}")),
            seen(
                "sshd[7]",
                "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=h.example  user=root",
            ),
            seen(
                "sudo",
                "pam_unix(sudo:auth): authentication failure; logname=bob uid=1000 euid=0 tty=/dev/pts/0 ruser=bob rhost=  user=bob",
            ),
            seen(
                "su[7]",
                "pam_unix(su:auth): authentication failure; logname=bob uid=1000 euid=0 tty=pts/0 ruser=bob rhost=  user=root",
            ),
            seen("sudo", "pam_unix(sudo:auth): auth could not identify password for [bob]"),
            seen("sshd[7]", "pam_sss(sshd:auth): received for user bob: 7 (Authentication failure)"),
            seen("sshd[7]", "pam_unix(sshd:auth): check pass; user unknown"),
            seen("sshd[7]", "PAM service(sshd) ignoring max retries; 6 > 3"),
        ];
        expect![[r#"
            linux.pam | sshd | pam_auth | unknown | root | 203.0.113.9
            linux.pam | sshd | pam_auth | failure | root | 203.0.113.9
            linux.pam | vsftpd | pam_auth | failure | root | 203.0.113.9
            linux.pam | login | pam_auth | failure | root | 203.0.113.9
            linux.pam | sshd | pam_auth | unknown | root | h.example | 2
            linux.pam | sudo | pam_auth | failure | bob
            linux.pam | su | pam_auth | failure | bob | root
            linux.pam | sudo | pam_auth | failure | bob
            linux.pam | sshd | pam_auth | unknown | bob | 7 (Authentication failure)
            linux.pam | sshd | pam_message
            linux.pam | sshd | pam_message"#]]
        .assert_eq(&out.join("\n"));
    }

    #[test]
    fn sessions_open_and_close() {
        let out = [
            seen("sshd[7]", "pam_unix(sshd:session): session opened for user bob by (uid=0)"),
            seen("sshd[7]", "pam_unix(sshd:session): session opened for user bob(uid=1000) by bob(uid=0)"),
            seen("sudo", "pam_unix(sudo:session): session opened for user root(uid=0) by bob(uid=1000)"),
            seen("CRON[7]", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"),
            seen("CRON[7]", "pam_unix(cron:session): session closed for user root"),
            seen("login[7]", "pam_unix(login:session): session opened for user bob by LOGIN(uid=0)"),
            seen("su(pam_unix)[7]", "session opened for user cyrus by (uid=0)"),
        ];
        expect![[r#"
            linux.pam | sshd | session_opened | success | bob
            linux.pam | sshd | session_opened | success | bob
            linux.pam | sudo | session_opened | success | bob | root
            linux.pam | cron | cron_session | success | root
            linux.pam | cron | cron_session | success | root
            linux.pam | login | session_opened | success | bob
            linux.pam | su | session_opened | success | cyrus"#]]
        .assert_eq(&out.join("\n"));
    }

    #[test]
    fn passwords_change_and_accounts_lock() {
        let out = [
            seen("passwd[7]", "pam_unix(passwd:chauthtok): password changed for bob"),
            seen(
                "sshd[7]",
                "pam_faillock(sshd:auth): Consecutive login failures for user bob account temporarily locked",
            ),
            seen("login[7]", "pam_tally2(login:auth): user bob (1000) tally 5, deny 3"),
            seen("sshd[7]", r#"pam_succeed_if(sshd:auth): requirement "uid >= 1000" not met by user "root""#),
        ];
        expect![[r#"
            linux.pam | passwd | password_changed | success | bob
            linux.pam | sshd | account_locked | failure | bob
            linux.pam | login | account_locked | failure | bob
            linux.pam | sshd | pam_message | root"#]]
        .assert_eq(&out.join("\n"));
    }

    #[test]
    fn a_user_cannot_forge_the_host() {
        let line = "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser= rhost=203.0.113.9  user=x rhost=198.51.100.1";
        expect!["linux.pam | vsftpd | pam_auth | failure | x rhost=198.51.100.1 | 203.0.113.9"]
            .assert_eq(&seen("vsftpd[7]", line));
    }
}
