//! An application refuses somebody who asks for what only administrators may have.

use super::super::kinds::write_json;
use super::{Attack, Expected, Who};

pub(super) static ATTACK: Attack = Attack {
    title: "unauthorized access",
    expected: &[Expected { title: "Message speaks of an attack", about: Some(("source.ip", Who::Attacker)) }],
    kind: "json",
    write: |script, role| {
        let (host, from) = (role.host, role.attacker);
        for path in ["/admin/users", "/admin/export", "/internal/keys"] {
            script.after(400, |line| {
                write_json(
                    line,
                    (host, "api-gateway"),
                    "CRITICAL",
                    format_args!("Unauthorized access from {from}"),
                    |line| {
                        line.put(format_args!(r#","source_ip":"{from}","path":"{path}","status":401,"request_id":""#));
                        line.hex(32).text("\"");
                    },
                );
            });
        }
    },
};

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn every_refusal_names_the_address() {
        check(&ATTACK, &["Unauthorized access from 203.0.113.9", r#""source_ip":"203.0.113.9""#], 3);
    }
}
