//! One address tries twenty passwords for four names within three seconds and never gets in.

use super::super::kinds::{SSHD_PRIORITY, failed};
use super::{Attack, Expected, Who};

pub(super) static ATTACK: Attack = Attack {
    title: "SSH password guessing",
    expected: &[Expected { title: "SSH password guessing", about: Some(("source.ip", Who::Attacker)) }],
    kind: "sshd",
    write: |script, role| {
        let (host, from) = (role.host, role.attacker);
        for attempt in 0..20 {
            let pid = role.pid();
            // Real names first: guessing at them is what matters.
            let (user, known) = match attempt % 10 {
                0..=4 => ("root", true),
                5..=6 => ("admin", false),
                7..=8 => ("oracle", false),
                _ => ("test", false),
            };
            if !known {
                script.after(10, |line| {
                    line.syslog(SSHD_PRIORITY, host, "sshd", Some(pid));
                    line.put(format_args!("Invalid user {user} from {from} port 4")).digits(4);
                });
            }
            script.after(140, |line| failed(line, host, pid, user, from, known));
        }
        let pid = role.pid();
        script.after(50, |line| {
            line.syslog(SSHD_PRIORITY, host, "sshd", Some(pid));
            line.put(format_args!("Connection closed by authenticating user root {from} port 4"))
                .digits(4)
                .text(" [preauth]");
        });
    },
};

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn one_address_fails_twenty_times_under_several_names() {
        check(&ATTACK, &["Failed password for", "from 203.0.113.9 port"], 20);
        check(&ATTACK, &["Failed password for root "], 10);
        check(&ATTACK, &["Failed password for invalid user oracle "], 4);
        check(&ATTACK, &["Accepted"], 0);
    }
}
