//! One address tries one password on each of sixteen people: too few failures per person for anyone to lock.

use super::super::kinds::failed;
use super::{Attack, Expected, Who};

pub(super) static ATTACK: Attack = Attack {
    title: "password spraying",
    expected: &[Expected { title: "SSH password spraying", about: Some(("source.ip", Who::Attacker)) }],
    kind: "sshd",
    write: |script, role| {
        for person in &role.cast.people {
            let pid = role.rng.u32(2_000..60_000);
            script.after(190, |line| failed(line, role.host, pid, person.name, role.attacker, true));
        }
    },
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::tests::{check, staged};
    use super::*;

    #[test]
    fn one_address_fails_once_for_each_of_sixteen_people() {
        check(&ATTACK, &["Failed password for ", " from 203.0.113.9 port "], 16);
        let (text, ..) = staged(&ATTACK);
        let people: HashSet<_> =
            text.lines().filter_map(|line| line.split(" for ").nth(1)?.split(' ').next()).collect();
        assert_eq!(people.len(), 16);
    }
}
