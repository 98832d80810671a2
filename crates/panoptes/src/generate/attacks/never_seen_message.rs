//! A daemon says something that nobody has ever said before: other words each time, for a message that was seen once
//! is no news.

use super::super::kinds::write_system;
use super::{Attack, Expected};

const WHAT: [&str; 8] = [
    "firmware image",
    "kernel module",
    "boot loader",
    "time source",
    "certificate store",
    "package key",
    "name server",
    "shell profile",
];
const DONE: [&str; 8] = [
    "was replaced by an unsigned build",
    "was switched to an unknown vendor",
    "no longer matches its checksum",
    "was loaded from a removable disk",
    "was reverted to an older release",
    "is now owned by a stranger",
    "was patched while in use",
    "was moved to a hidden folder",
];

pub(super) static ATTACK: Attack = Attack {
    title: "never-seen message",
    // The finding names the stream, and whoever takes the lines in names that.
    expected: &[Expected { title: "Message of a kind never seen from this source", about: None }],
    kind: "system",
    write: |script, role| {
        let (what, done) = (WHAT[role.number % WHAT.len()], DONE[role.number / WHAT.len() % DONE.len()]);
        let (host, pid) = (role.host, role.pid());
        script.after(0, |line| write_system(line, host, "integrityd", pid, format_args!("the {what} {done}")));
    },
};

#[cfg(test)]
mod tests {
    use super::super::super::kinds;
    use super::super::tests::{check, staged};
    use super::*;

    #[test]
    fn the_message_is_unlike_everyday_ones() {
        check(&ATTACK, &["web1 integrityd[", "the firmware image was replaced by an unsigned build"], 1);
        assert!(kinds::ALL.iter().all(|kind| kind.name != "integrityd"));
        assert_eq!(staged(&ATTACK).0.lines().count(), 1);
    }
}
