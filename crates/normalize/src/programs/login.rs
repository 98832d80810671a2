//! login, at a console or a serial line, as util-linux, shadow and the BSDs write it.

use panoptes_model::{BatchWriter, field};

use super::ProgramKind;
use crate::address;
use crate::fact::{FAILURE, Fact, SUCCESS, write_repeat, write_user};
use crate::text::leading_number;

pub(super) static KIND: ProgramKind = ProgramKind {
    names: &["login", "agetty"],
    dataset: "linux.login",
    example: "FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure",
    write,
};

const LOGIN: Fact = Fact::authentication(&["start"], "login", SUCCESS);
const EXCEEDED: Fact = Fact::authentication(&["denied"], "login_attempts_exceeded", FAILURE);

fn write(writer: &mut BatchWriter<'_>, said: &str) -> bool {
    let Some(line) = read(said.trim_ascii()) else { return false };
    line.fact.write(writer, KIND.dataset);
    if let Some(user) = line.user {
        write_user(writer, field::USER_NAME, user.trim_matches('\''));
    }
    if let Some(host) = line.from.map(|it| it.trim_matches('\'')).filter(|it| *it != "(null)") {
        address::write_source(writer, host, None);
    }
    if let Some(tty) = line.tty {
        writer.text(field::PROCESS_TTY_NAME, tty.trim_matches('\''));
    }
    if let Some(reason) = line.reason {
        writer.text(field::EVENT_REASON, reason);
    }
    if let Some(times) = line.times {
        write_repeat(writer, times);
    }
    true
}

struct Line<'t> {
    fact: Fact,
    user: Option<&'t str>,
    from: Option<&'t str>,
    tty: Option<&'t str>,
    reason: Option<&'t str>,
    times: Option<u64>,
}

fn read(said: &str) -> Option<Line<'_>> {
    let nothing = Line { fact: LOGIN, user: None, from: None, tty: None, reason: None, times: None };
    // `FAILED LOGIN (1) on '/dev/tty1' FOR 'root', reason`, `FAILED LOGIN 1 FROM host FOR root, reason`,
    // `FAILED LOGIN SESSION FROM host FOR root, reason`, `TOO MANY LOGIN TRIES (3) FROM host FOR root, reason`
    let (rest, fact) = match said.strip_prefix("FAILED LOGIN ") {
        Some(rest) => (rest.strip_prefix("SESSION ").unwrap_or(rest), LOGIN.with(FAILURE)),
        None => (said.strip_prefix("TOO MANY LOGIN TRIES ").unwrap_or(""), EXCEEDED),
    };
    if !rest.is_empty() {
        let (place, rest) = rest.split_once("FOR ")?;
        // The name is the stranger's, the reason is not.
        let (user, reason) = rest.rsplit_once(", ").map_or((rest, None), |(user, reason)| (user, Some(reason)));
        let from = place.split_once("FROM ").or_else(|| place.split_once("from ")).map(|(_, it)| it.trim_ascii());
        let tty = place.split_once("on '").and_then(|(_, it)| it.split_once('\'')).map(|(tty, _)| tty);
        return Some(Line { fact, user: Some(user), from, tty, reason, ..nothing });
    }
    // `ROOT LOGIN ON tty1 [FROM host]`, `ROOT LOGIN  on '/dev/tty1' [from 'host']`
    if let Some(rest) = said.strip_prefix("ROOT LOGIN ") {
        let rest = rest.trim_ascii_start();
        let rest = rest.strip_prefix("ON ").or_else(|| rest.strip_prefix("on "))?;
        let (tty, from) = parted(rest, " FROM ").or_else(|| parted(rest, " from ")).unwrap_or((rest, None));
        return Some(Line { user: Some("root"), tty: Some(tty), from, ..nothing });
    }
    // `LOGIN ON tty1 BY bob [FROM host]`, `DIALUP AT ttyS0 BY bob`
    if let Some((tty, rest)) =
        said.strip_prefix("LOGIN ON ").or_else(|| said.strip_prefix("DIALUP AT ")).and_then(|it| it.split_once(" BY "))
    {
        let (user, from) = parted(rest, " FROM ").unwrap_or((rest, None));
        return Some(Line { user: Some(user), tty: Some(tty), from, ..nothing });
    }
    // shadow: `invalid password for 'bob' on '/dev/tty1' [from 'host']`
    if let Some(rest) = said.strip_prefix("invalid password for '") {
        let (user, rest) = rest.rsplit_once("' on '")?;
        let (tty, from) = parted(rest, "' from '").unwrap_or((rest, None));
        let fact = LOGIN.with(FAILURE);
        return Some(Line {
            fact,
            user: Some(user),
            tty: Some(tty),
            from,
            reason: Some("invalid password"),
            ..nothing
        });
    }
    // BSD: `2 LOGIN FAILURES ON ttyv0`, `1 LOGIN FAILURE FROM host`
    let (times, rest) = leading_number(said)?;
    let rest = rest.strip_prefix(" LOGIN FAILURE")?;
    let (word, place) = rest.strip_prefix('S').unwrap_or(rest).strip_prefix(' ')?.split_once(' ')?;
    let place = place.split(',').next();
    let (tty, from) = if word == "FROM" { (None, place) } else { (place, None) };
    Some(Line { fact: LOGIN.with(FAILURE), tty, from, times: Some(times), ..nothing })
}

fn parted<'t>(text: &'t str, mark: &str) -> Option<(&'t str, Option<&'t str>)> {
    text.split_once(mark).map(|(left, right)| (left, Some(right)))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::formats::tests::value;

    #[test]
    fn every_login_is_understood() {
        let out = [
            "FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure",
            "FAILED LOGIN 1 FROM (null) FOR root, Authentication failure",
            "FAILED LOGIN 2 FROM 203.0.113.9 FOR a, b, User not known to the underlying authentication module",
            "FAILED LOGIN SESSION FROM h.example FOR bob, Error in service module",
            "TOO MANY LOGIN TRIES (3) FROM 203.0.113.9 FOR bob, Authentication failure",
            "ROOT LOGIN ON tty1",
            "ROOT LOGIN  on '/dev/tty1' from '203.0.113.9'",
            "LOGIN ON tty1 BY bob FROM 203.0.113.9",
            "DIALUP AT ttyS0 BY bob",
            "invalid password for 'bob' on '/dev/tty1' from 'h.example'",
            "2 LOGIN FAILURES ON ttyv0",
            "1 LOGIN FAILURE FROM 203.0.113.9",
            "something else",
        ]
        .map(|said| {
            let line = format!("Jan 15 10:30:00 h login[7]: {said}");
            [
                "event.dataset",
                "event.action",
                "event.outcome",
                "user.name",
                "source.ip",
                "source.address",
                "process.tty.name",
                "event.reason",
                "panoptes.repeat",
            ]
            .map(|it| value(&line, it))
            .join(" | ")
        });
        expect![[r#"
            linux.login | login | failure | root |  |  | /dev/tty1 | Authentication failure | 
            linux.login | login | failure | root |  |  |  | Authentication failure | 
            linux.login | login | failure | a, b | 203.0.113.9 |  |  | User not known to the underlying authentication module | 
            linux.login | login | failure | bob |  | h.example |  | Error in service module | 
            linux.login | login_attempts_exceeded | failure | bob | 203.0.113.9 |  |  | Authentication failure | 
            linux.login | login | success | root |  |  | tty1 |  | 
            linux.login | login | success | root | 203.0.113.9 |  | /dev/tty1 |  | 
            linux.login | login | success | bob | 203.0.113.9 |  | tty1 |  | 
            linux.login | login | success | bob |  |  | ttyS0 |  | 
            linux.login | login | failure | bob |  | h.example | /dev/tty1 | invalid password | 
            linux.login | login | failure |  |  |  | ttyv0 |  | 2
            linux.login | login | failure |  | 203.0.113.9 |  |  |  | 1
            linux.login |  |  |  |  |  |  |  | "#]].assert_eq(&out.join("\n"));
    }
}
