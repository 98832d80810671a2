//! su, as util-linux, shadow and the BSDs write it.

use panoptes_model::{BatchWriter, field};

use super::ProgramKind;
use crate::fact::{FAILURE, Fact, SUCCESS, write_user};

pub(super) static KIND: ProgramKind =
    ProgramKind { names: &["su", "su-l"], dataset: "linux.su", example: "FAILED SU (to root) bob on pts/0", write };

const SU: Fact = Fact::authentication(&["start"], "su", SUCCESS);

fn write(writer: &mut BatchWriter<'_>, said: &str) -> bool {
    let Some(Change { success, by, to, tty }) = Change::of(said.trim_ascii()) else { return false };
    SU.with(if success { SUCCESS } else { FAILURE }).write(writer, KIND.dataset);
    write_user(writer, field::USER_NAME, by);
    write_user(writer, field::USER_EFFECTIVE_NAME, to);
    if let Some(tty) = tty.filter(|it| !matches!(*it, "" | "none" | "???")) {
        writer.text(field::PROCESS_TTY_NAME, tty);
    }
    true
}

struct Change<'t> {
    success: bool,
    by: &'t str,
    to: &'t str,
    tty: Option<&'t str>,
}

impl<'t> Change<'t> {
    fn of(said: &'t str) -> Option<Self> {
        // shadow: `Successful su for root by bob`, `FAILED su for root by bob`
        for (prefix, success) in [("Successful su for ", true), ("FAILED su for ", false)] {
            if let Some((to, by)) = said.strip_prefix(prefix).and_then(|it| it.rsplit_once(" by ")) {
                return Some(Self { success, by, to, tty: None });
            }
        }
        // util-linux: `(to root) bob on pts/0`, `FAILED SU (to root) bob on pts/0`
        let failed = said.strip_prefix("FAILED SU ");
        if let Some((to, rest)) = failed.unwrap_or(said).strip_prefix("(to ").and_then(|it| it.split_once(") ")) {
            let (by, tty) = rest.rsplit_once(" on ").map_or((rest, None), |(by, tty)| (by, Some(tty)));
            return Some(Self { success: failed.is_none(), by, to, tty });
        }
        // shadow's own log: `+ /dev/pts/0 bob:root`, `- ??? nobody:root`
        for (prefix, success) in [("+ ", true), ("- ", false)] {
            if let Some((tty, names)) = said.strip_prefix(prefix).and_then(|it| it.split_once(' ')) {
                let (by, to) = names.split_once(':')?;
                return Some(Self { success, by, to, tty: Some(tty) });
            }
        }
        // BSD: `BAD SU bob to root on /dev/ttyp0`, `bob to root on /dev/ttyp0`
        let failed = said.strip_prefix("BAD SU ");
        let (by, rest) = failed.unwrap_or(said).split_once(" to ")?;
        let (to, tty) = rest.split_once(" on ")?;
        let is_name = |it: &str| !it.is_empty() && !it.contains(' ');
        (is_name(by) && is_name(to)).then_some(Self { success: failed.is_none(), by, to, tty: Some(tty) })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::formats::tests::value;

    #[test]
    fn every_su_is_understood() {
        let out = [
            "(to root) bob on pts/0",
            "FAILED SU (to root) bob on pts/0",
            "Successful su for root by bob",
            "FAILED su for root by bob",
            "+ /dev/pts/0 bob:root",
            "- /dev/pts/0 bob:root",
            "+ ??? root:nobody",
            "BAD SU bob to root on /dev/ttyp0",
            "bob to root on /dev/ttyp0",
            "pam_authenticate: Authentication failure",
        ]
        .map(|said| {
            let line = format!("Jan 15 10:30:00 h su[7]: {said}");
            ["event.dataset", "event.action", "event.outcome", "user.name", "user.effective.name", "process.tty.name"]
                .map(|it| value(&line, it))
                .join(" | ")
        });
        expect![[r#"
            linux.su | su | success | bob | root | pts/0
            linux.su | su | failure | bob | root | pts/0
            linux.su | su | success | bob | root | 
            linux.su | su | failure | bob | root | 
            linux.su | su | success | bob | root | /dev/pts/0
            linux.su | su | failure | bob | root | /dev/pts/0
            linux.su | su | success | root | nobody | 
            linux.su | su | failure | bob | root | /dev/ttyp0
            linux.su | su | success | bob | root | /dev/ttyp0
            linux.pam | pam_message |  |  |  | "#]]
        .assert_eq(&out.join("\n"));
    }
}
