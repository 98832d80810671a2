//! A new account appears and is at once a member of the group `sudo`.

use super::{Attack, Expected, Who};

/// authpriv, informational.
const PRIORITY: u8 = 86;

pub(super) static ATTACK: Attack = Attack {
    title: "new privileged user",
    expected: &[Expected { title: "New member of a privileged group", about: Some(("host.name", Who::Host)) }],
    kind: "sudo",
    write: |script, role| {
        let (host, pid, uid) = (role.host, role.pid(), 1_100 + role.number % 900);
        let user = format!("svc-update{}", role.number % 900);
        script.after(0, |line| {
            line.syslog(PRIORITY, host, "groupadd", Some(pid));
            line.put(format_args!("new group: name={user}, GID={uid}"));
        });
        script.after(30, |line| {
            line.syslog(PRIORITY, host, "useradd", Some(pid + 1));
            line.put(format_args!(
                "new user: name={user}, UID={uid}, GID={uid}, home=/home/{user}, shell=/bin/bash, from=/dev/pts/2"
            ));
        });
        for group in ["group", "shadow group"] {
            script.after(400, |line| {
                line.syslog(PRIORITY, host, "usermod", Some(pid + 2))
                    .put(format_args!("add '{user}' to {group} 'sudo'"));
            });
        }
    },
};

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn the_new_user_joins_the_group_of_administrators() {
        check(&ATTACK, &["useradd[", "new user: name=svc-update0, UID=1100"], 1);
        check(&ATTACK, &["usermod[", "add 'svc-update0' to group 'sudo'"], 1);
    }
}
