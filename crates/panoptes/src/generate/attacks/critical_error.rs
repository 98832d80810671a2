//! An application reports that it cannot go on.

use super::super::kinds::write_json;
use super::{Attack, Expected, Who};

pub(super) static ATTACK: Attack = Attack {
    title: "critical application error",
    expected: &[Expected { title: "Critical log message", about: Some(("host.name", Who::Host)) }],
    kind: "json",
    write: |script, role| {
        let host = role.host;
        for (level, message) in [
            ("ERROR", "connection to db1 lost"),
            ("CRITICAL", "database unreachable, orders are no longer stored"),
            ("FATAL", "giving up after 3 attempts"),
        ] {
            script.after(500, |line| {
                write_json(line, (host, "orders"), level, format_args!("{message}"), |line| {
                    line.text(r#","error":{"type":"ConnectionLost","code":"08006"},"trace_id":""#).hex(32).text("\"");
                });
            });
        }
    },
};

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn critical_levels_are_there() {
        check(&ATTACK, &[r#""level":"CRITICAL""#, r#""source":"orders""#, r#""host":"web1""#], 1);
        check(&ATTACK, &[r#""level":"FATAL""#], 1);
    }
}
