//! sudo: `bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/ls`, with a reason in front if it refused.

use panoptes_model::{BatchWriter, field};

use super::ProgramKind;
use crate::fact::{FAILURE, Fact, SUCCESS, write_repeat, write_user};
use crate::text::leading_number;

pub(super) static KIND: ProgramKind = ProgramKind {
    names: &["sudo"],
    dataset: "linux.sudo",
    example: "bob : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/usr/bin/id",
    write,
};

const SUDO: Fact =
    Fact { category: &["authentication", "process"], kind: &["start"], action: "sudo", outcome: SUCCESS };

fn write(writer: &mut BatchWriter<'_>, said: &str) -> bool {
    let said = said.trim_ascii();
    let Some((user, rest)) = said.split_once(" : ") else { return false };
    if user.is_empty() || user.len() > 256 {
        return false;
    }
    // The command stands last and may hold anything, ` ; USER=root` too.
    let (head, command) = match rest.strip_prefix("COMMAND=") {
        Some(command) => ("", Some(command)),
        None => match rest.split_once(" ; COMMAND=") {
            Some((head, command)) => (head, Some(command)),
            None => (rest, None),
        },
    };
    if rest.starts_with("(command continued)") {
        SUDO.with(None).write(writer, KIND.dataset);
        write_user(writer, field::USER_NAME, user.trim_ascii());
        return true;
    }
    let (mut reason, mut tty, mut directory, mut target) = (None, None, None, None);
    for part in head.split(" ; ") {
        if let Some(value) = part.strip_prefix("TTY=") {
            first_of(&mut tty, value);
        } else if let Some(value) = part.strip_prefix("PWD=") {
            first_of(&mut directory, value);
        } else if let Some(value) = part.strip_prefix("USER=") {
            first_of(&mut target, value);
        } else if !is_assignment(part) && !part.is_empty() {
            first_of(&mut reason, part);
        }
    }
    if command.is_none() && reason.is_none() {
        return false;
    }
    SUDO.with(if reason.is_some() { FAILURE } else { SUCCESS }).write(writer, KIND.dataset);
    write_user(writer, field::USER_NAME, user.trim_ascii());
    if let Some(target) = target {
        write_user(writer, field::USER_EFFECTIVE_NAME, target);
    }
    if let Some(command) = command {
        writer.text(field::PROCESS_COMMAND_LINE, command);
    }
    if let Some(directory) = directory {
        writer.text(field::PROCESS_WORKING_DIRECTORY, directory);
    }
    if let Some(tty) = tty {
        writer.text(field::PROCESS_TTY_NAME, tty);
    }
    if let Some(reason) = reason {
        writer.text(field::EVENT_REASON, reason);
        if let Some((times, rest)) = leading_number(reason)
            && rest.starts_with(" incorrect password attempt")
        {
            write_repeat(writer, times);
        }
    }
    true
}

fn first_of<'t>(slot: &mut Option<&'t str>, value: &'t str) {
    if slot.is_none() {
        *slot = Some(value);
    }
}

/// `GROUP=`, `ENV=`, `TSID=`, `HOST=`… of newer releases.
fn is_assignment(part: &str) -> bool {
    part.split_once('=').is_some_and(|(key, _)| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::formats::tests::value;

    fn seen(said: &str) -> String {
        let line = format!("Jan 15 10:30:00 h sudo: {said}");
        let names = [
            "event.action",
            "event.outcome",
            "user.name",
            "user.effective.name",
            "process.command_line",
            "process.working_directory",
            "process.tty.name",
            "event.reason",
            "panoptes.repeat",
        ];
        names.map(|it| value(&line, it)).into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn commands_are_told_with_who_and_as_whom() {
        let out = [
            seen("     bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/ls -l ; echo"),
            seen("bob : PWD=/home/bob ; USER=root ; GROUP=adm ; ENV=A=1 ; COMMAND=/bin/true"),
            seen("bob : TTY=unknown ; PWD=/ ; USER=root ; TSID=000001 ; COMMAND=/bin/sh -c echo ; USER=nobody"),
        ];
        expect![[r#"
            sudo | success | bob | root | /bin/ls -l ; echo | /home/bob | pts/0
            sudo | success | bob | root | /bin/true | /home/bob
            sudo | success | bob | root | /bin/sh -c echo ; USER=nobody | / | unknown"#]]
        .assert_eq(&out.join("\n"));
    }

    #[test]
    fn refusals_are_failures_with_a_reason() {
        let out = [
            seen("bob : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls"),
            seen("bob : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls"),
            seen("bob : command not allowed ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls"),
            seen("bob : a password is required ; PWD=/ ; USER=root ; COMMAND=/bin/ls"),
        ];
        expect![[r#"
            sudo | failure | bob | root | /bin/ls | / | pts/0 | 3 incorrect password attempts | 3
            sudo | failure | bob | root | /bin/ls | / | pts/0 | user NOT in sudoers
            sudo | failure | bob | root | /bin/ls | / | pts/0 | command not allowed
            sudo | failure | bob | root | /bin/ls | / | a password is required"#]]
        .assert_eq(&out.join("\n"));
    }

    #[test]
    fn other_messages_are_not_commands() {
        assert_eq!(seen("unable to resolve host web1: Name or service not known"), "");
    }
}
