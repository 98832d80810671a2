//! Somebody guesses one person's password eight times, and then it is right.

use super::super::kinds::{accepted, failed};
use super::{Attack, Expected, Who};

pub(super) static ATTACK: Attack = Attack {
    title: "login after many failures",
    expected: &[Expected {
        title: "SSH login succeeded after many failures",
        about: Some(("source.ip", Who::Attacker)),
    }],
    kind: "sshd",
    write: |script, role| {
        let (host, from, person) = (role.host, role.attacker, role.person);
        let pid = role.pid();
        for attempt in 0..8 {
            script.after(200, |line| failed(line, host, pid + attempt, person.name, from, true));
        }
        script.after(400, |line| accepted(line, host, pid + 8, person.name, from));
        script.after(20, |line| {
            line.syslog(86, host, "sshd", Some(pid + 8));
            line.put(format_args!(
                "pam_unix(sshd:session): session opened for user {}(uid={}) by {0}(uid=0)",
                person.name, person.uid
            ));
        });
    },
};

#[cfg(test)]
mod tests {
    use super::super::tests::{check, staged};
    use super::*;

    #[test]
    fn the_login_comes_after_the_failures_from_the_same_address() {
        check(&ATTACK, &["Failed password for", "from 203.0.113.9 port"], 8);
        check(&ATTACK, &["Accepted password for", "from 203.0.113.9 port"], 1);
        let (text, ..) = staged(&ATTACK);
        assert!(text.rfind("Failed password") < text.find("Accepted password"));
    }
}
