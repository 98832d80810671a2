//! Logs of Linux emptied, deleted, or no longer written.
//!
//! *What it claims.* A command or a deletion whose only sense is that what was logged is gone, or that nothing more will
//! be. Windows logs have rules of their own (`rules/sigma/windows/`).
//!
//! *When it is wrong.* An administrator short of disk space. What log rotation does is left out.

use panoptes_model::{Severity, Value, field};

use super::kind::Kind;
use super::scene::Scene;
use super::time::{At, HOUR};

pub(super) static KIND: Kind = Kind {
    id: "behaviour.log_clearing",
    title: "Logs emptied, deleted or stopped",
    level: Severity::High,
    tags: &["attack.defense-evasion", "attack.t1070.002", "attack.t1562.001"],
    description: "A command that empties or deletes logs or histories or stops their service, or the deletion of a file \
                  under /var/log by something that is no log rotation.",
    falsepositives: &["An administrator short of disk space, the removal of a package"],
    reads: "process.command_line and file.path of Linux",
};

/// Programs that are expected to move and delete logs.
const ROTATION: &[&str] =
    &["logrotate", "newsyslog", "savelog", "systemd-journald", "rsyslogd", "syslog-ng", "apt", "dpkg", "dnf", "rpm"];
/// Verbs that make a log under /var/log empty or gone, and whole commands that need no path.
const EMPTYING: &[&str] =
    &["rm ", "shred ", "truncate ", "unlink ", "cp /dev/null", "cat /dev/null", "dd if=/dev/null", "srm ", "wipe "];
const PLAIN: &[&str] = &[
    "history -c",
    "unset histfile",
    "histfile=/dev/null",
    "histsize=0",
    "ln -sf /dev/null ~/.bash_history",
    "auditctl -e 0",
    "auditctl -d",
    "setenforce 0",
    "log erase --all",
];
const STOPPING: &[&str] = &["stop", "disable", "mask", "kill"];
const LOGGERS: &[&str] = &["auditd", "rsyslog", "syslog-ng", "systemd-journald", "journald"];
/// A wiped host is said once, not once per file.
const QUIET: u32 = HOUR;

/// Why a command is one that clears logs.
fn why(command: &str) -> Option<&'static str> {
    let command = command.to_lowercase();
    let names_log = command.contains("/var/log") || command.contains("/var/adm") || command.contains("_history");
    if names_log && EMPTYING.iter().any(|it| calls(&command, it)) {
        return Some("it deletes or empties logs");
    }
    if names_log && (command.contains("> /var/log") || command.contains(">/var/log")) && !command.contains(">>") {
        return Some("it overwrites a log");
    }
    if command.contains("journalctl") && command.contains("--vacuum") {
        return Some("it shortens the journal");
    }
    if PLAIN.iter().any(|it| command.contains(it)) {
        return Some("nothing is recorded any more, or what was recorded is gone");
    }
    let stops = command.contains("systemctl ")
        || command.contains("service ")
        || command.contains("pkill ")
        || command.contains("killall ");
    let (is_stop, is_logger) =
        (STOPPING.iter().any(|it| command.contains(it)), LOGGERS.iter().any(|it| command.contains(it)));
    (stops && is_stop && is_logger).then_some("it stops the service that records")
}

/// What a command may stand behind: nothing, another command, a shell, or a program that runs it.
const BEFORE: &[&str] =
    &[";", "&", "|", "(", "'", "\"", "`", "/", "sudo", " -c", "xargs", "-exec", "nohup", "command="];

/// Whether the command `part` is called, rather than searched for or named.
fn calls(command: &str, part: &str) -> bool {
    command.match_indices(part).any(|(at, _)| {
        let before = command.get(..at).unwrap_or_default();
        let trimmed = before.trim_end();
        // `/bin/rm` is the command, `alarm` is not.
        let is_apart = before.len() > trimmed.len()
            || before.ends_with(|it: char| !it.is_alphanumeric() && it != '-' && it != '_');
        trimmed.is_empty() || (is_apart && BEFORE.iter().any(|it| trimmed.ends_with(it)))
    })
}

fn text<'e>(scene: &Scene<'_, 'e>, id: panoptes_model::FieldId) -> &'e str {
    match scene.facts.get(id) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}

/// `told` is when each host was last spoken of.
pub(super) fn observe(scene: &mut Scene<'_, '_>, told: &mut super::profile::Told) {
    let command = text(scene, field::PROCESS_COMMAND_LINE);
    let is_deleted = text(scene, field::EVENT_ACTION) == "file_deleted";
    if (command.is_empty() && !is_deleted) || scene.facts.dataset.starts_with("windows.") {
        return;
    }
    let program = super::facts::base_name(text(scene, field::PROCESS_NAME)).to_lowercase();
    if ROTATION.iter().any(|it| program == *it) {
        return;
    }
    let reason = match why(command) {
        Some(why) => format!("`{}`: {why}", command.get(..command.floor_char_boundary(200)).unwrap_or_default()),
        None => {
            let path = text(scene, field::FILE_PATH);
            if !is_deleted || !path.starts_with("/var/log/") || path.ends_with(".gz") {
                return;
            }
            format!("{path} was deleted, and not by log rotation")
        }
    };
    let host = scene.facts.host.unwrap_or_default();
    let at: At = scene.facts.at;
    // A byte of the host's hash: two hosts that share it within an hour are told as one.
    let place = (super::facts::short(host) & 0x7f) as u8;
    if !told.may_tell(place, at, QUIET) {
        return;
    }
    let mut entities = Vec::new();
    if !host.is_empty() {
        entities.push(("host.name", host.to_owned()));
    }
    if let Some(user) = scene.facts.user.as_deref() {
        entities.push(("user.name", user.to_owned()));
    }
    scene.claim(&KIND, entities, reason);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_clear_logs_are_told_from_those_that_read_them() {
        for command in [
            "rm -rf /var/log/auth.log",
            "sh -c 'cat /dev/null > /var/log/secure'",
            "bash -c ': > /var/log/wtmp'",
            "truncate -s 0 /var/log/syslog",
            "shred -u /root/.bash_history",
            "journalctl --rotate --vacuum-time=1s",
            "systemctl stop auditd",
            "auditctl -e 0",
        ] {
            assert!(why(command).is_some(), "{command}");
        }
        for command in [
            "",
            "tail -f /var/log/auth.log",
            "grep rm /var/log/auth.log",
            "echo x >> /var/log/my.log",
            "systemctl restart rsyslog",
            "alarm /var/log/x",
            "ls /var/log",
        ] {
            assert_eq!(why(command), None, "{command}");
        }
    }
}
