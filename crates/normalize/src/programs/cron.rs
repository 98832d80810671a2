//! cron and crontab: `(root) CMD (/usr/bin/id)`.

use panoptes_model::{BatchWriter, field};

use super::ProgramKind;
use crate::fact::{FAILURE, Fact, SUCCESS, write_user};

pub(super) static KIND: ProgramKind = ProgramKind {
    names: &["CRON", "cron", "crond", "crontab", "anacron", "atd", "fcron"],
    dataset: "linux.cron",
    example: "(root) CMD (/usr/local/bin/backup --all)",
    write,
};

const COMMAND: Fact = Fact { category: &["process"], kind: &["start"], action: "cron_command", outcome: SUCCESS };
const CHANGED: Fact =
    Fact { category: &["configuration"], kind: &["change"], action: "crontab_changed", outcome: SUCCESS };
const READ: Fact = Fact { category: &["configuration"], kind: &["access"], action: "crontab_read", outcome: SUCCESS };
const DENIED: Fact =
    Fact { category: &["configuration"], kind: &["denied"], action: "crontab_denied", outcome: FAILURE };
const MESSAGE: Fact = Fact { category: &["process"], kind: &["info"], action: "cron_message", outcome: None };

fn write(writer: &mut BatchWriter<'_>, said: &str) -> bool {
    let Some((user, rest)) = said.trim_ascii().strip_prefix('(').and_then(|it| it.split_once(") ")) else {
        return false;
    };
    let Some((verb, detail)) =
        rest.rsplit_once('(').filter(|_| !rest.starts_with("CMD ")).or_else(|| rest.split_once('('))
    else {
        return false;
    };
    let detail = detail.strip_suffix(')').unwrap_or(detail);
    let fact = match verb.trim_ascii() {
        "CMD" => COMMAND,
        "REPLACE" | "DELETE" | "RELOAD" => CHANGED,
        "LIST" | "BEGIN EDIT" | "END EDIT" => READ,
        "AUTH" => DENIED,
        _ => MESSAGE,
    };
    fact.write(writer, KIND.dataset);
    // `(CRON) INFO (…)` and `(*system*) RELOAD (…)` are cron's own.
    if !matches!(user, "CRON" | "*system*" | "*system") {
        write_user(writer, field::USER_NAME, user);
    }
    match fact.action {
        "cron_command" => writer.text(field::PROCESS_COMMAND_LINE, detail),
        "crontab_changed" | "crontab_read" => write_user(writer, field::USER_TARGET_NAME, detail),
        _ => writer.text(field::EVENT_REASON, detail),
    }
    true
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::formats::tests::value;

    #[test]
    fn commands_and_crontabs_are_told_apart() {
        let out = [
            "(root) CMD (/usr/local/bin/backup --all)",
            "(root) CMD (  cd / && run-parts (all))",
            "(bob) REPLACE (bob)",
            "(bob) BEGIN EDIT (bob)",
            "(bob) LIST (bob)",
            "(root) RELOAD (crontabs/root)",
            "(*system*) RELOAD (/etc/crontab)",
            "(bob) AUTH (crontab command not allowed)",
            "(CRON) INFO (No MTA installed, discarding output)",
            "Job `cron.daily' started",
        ]
        .map(|said| {
            let line = format!("Jan 15 10:30:00 h CRON[7]: {said}");
            [
                "event.dataset",
                "event.action",
                "event.outcome",
                "user.name",
                "user.target.name",
                "process.command_line",
                "event.reason",
            ]
            .map(|it| value(&line, it))
            .join(" | ")
        });
        expect![[r#"
            linux.cron | cron_command | success | root |  | /usr/local/bin/backup --all | 
            linux.cron | cron_command | success | root |  |   cd / && run-parts (all) | 
            linux.cron | crontab_changed | success | bob | bob |  | 
            linux.cron | crontab_read | success | bob | bob |  | 
            linux.cron | crontab_read | success | bob | bob |  | 
            linux.cron | crontab_changed | success | root | crontabs/root |  | 
            linux.cron | crontab_changed | success |  | /etc/crontab |  | 
            linux.cron | crontab_denied | failure | bob |  |  | crontab command not allowed
            linux.cron | cron_message |  |  |  |  | No MTA installed, discarding output
            linux.cron |  |  |  |  |  | "#]]
        .assert_eq(&out.join("\n"));
    }
}
