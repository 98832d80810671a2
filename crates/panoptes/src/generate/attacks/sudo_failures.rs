//! Somebody at a terminal tries to become root, does not know the password and may not use sudo anyway.

use super::super::kinds::SUDO_PRIORITY_ALERT;
use super::{Attack, Expected, Who};

pub(super) static ATTACK: Attack = Attack {
    title: "sudo failures",
    expected: &[Expected { title: "sudo password wrong again and again", about: Some(("user.name", Who::Person)) }],
    kind: "sudo",
    write: |script, role| {
        let (host, person) = (role.host, role.person);
        for _ in 0..6 {
            script.after(300, |line| {
                line.syslog(85, host, "sudo", None);
                line.put(format_args!(
                    "pam_unix(sudo:auth): authentication failure; logname={0} uid={1} euid=0 tty=/dev/pts/3 ruser={0} rhost=  user={0}",
                    person.name, person.uid
                ));
            });
        }
        for command in ["/bin/bash", "/usr/bin/cat /etc/shadow"] {
            script.after(200, |line| {
                line.syslog(SUDO_PRIORITY_ALERT, host, "sudo", None);
                line.put(format_args!(
                    "{:>8} : 3 incorrect password attempts ; TTY=pts/3 ; PWD=/home/{0} ; USER=root ; COMMAND={command}",
                    person.name
                ));
            });
        }
        script.after(400, |line| {
            line.syslog(SUDO_PRIORITY_ALERT, host, "sudo", None);
            line.put(format_args!(
                "{:>8} : user NOT in sudoers ; TTY=pts/3 ; PWD=/home/{0} ; USER=root ; COMMAND=/bin/bash",
                person.name
            ));
        });
    },
};

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn one_person_fails_at_sudo_again_and_again() {
        check(&ATTACK, &["sudo: ", "authentication failure", "user="], 6);
        check(&ATTACK, &["sudo: ", "3 incorrect password attempts"], 2);
        check(&ATTACK, &["sudo: ", "user NOT in sudoers"], 1);
    }
}
