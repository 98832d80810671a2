//! sudo: everyday administration.

use std::time::Duration;

use fastrand::Rng;

use super::super::cast::{Cast, HOSTS};
use super::super::pool::{Dress, Pool};
use super::{LogKind, Rare, Source, pick};

pub(super) static KIND: LogKind = LogKind { name: "sudo", weight: 2, build };

/// authpriv, notice: a command that was allowed.
const PRIORITY: u8 = 85;
/// authpriv, alert: one that was not.
pub(in super::super) const PRIORITY_ALERT: u8 = 81;
/// authpriv, informational: PAM.
const PRIORITY_PAM: u8 = 86;

/// Only so many are administrators; the others never use sudo.
const ADMINISTRATORS: usize = 3;
const COMMANDS: [&str; 4] = [
    "/usr/bin/systemctl reload nginx",
    "/usr/bin/apt-get update",
    "/usr/bin/journalctl -u postgresql -n 200",
    "/usr/bin/df -h",
];
// The first round of stories tells all of them.
const _: () = assert!(ADMINISTRATORS * COMMANDS.len() <= super::FIRST_STORIES);

fn build(cast: &Cast, rng: &mut Rng, dress: Dress, lines: usize) -> Source {
    let mut everyday = Pool::new(dress);
    while everyday.len() < lines {
        let n = everyday.stories();
        let person = &cast.people[n % ADMINISTRATORS];
        let (host, command) = (*pick(rng, &HOSTS), COMMANDS[n / ADMINISTRATORS % COMMANDS.len()]);
        everyday.line_and(|line| {
            line.syslog(PRIORITY, host, "sudo", None);
            line.put(format_args!("{:>8} : TTY=pts/0 ; PWD=/home/{0} ; USER=root ; COMMAND={command}", person.name));
        });
        everyday.line_and(|line| {
            line.syslog(PRIORITY_PAM, host, "sudo", None);
            line.put(format_args!(
                "pam_unix(sudo:session): session opened for user root(uid=0) by {}(uid={})",
                person.name, person.uid
            ));
        });
        everyday.line(|line| {
            line.syslog(PRIORITY_PAM, host, "sudo", None);
            line.text("pam_unix(sudo:session): session closed for user root");
        });
    }
    // Wrong at first, right at the second try: sudo itself then complains of nothing, only PAM does.
    let mut mistyped = Pool::new(dress);
    for (index, person) in cast.people[..ADMINISTRATORS].iter().enumerate() {
        let host = HOSTS[index % HOSTS.len()];
        mistyped.line_and(|line| {
            line.syslog(PRIORITY, host, "sudo", None);
            line.put(format_args!(
                "pam_unix(sudo:auth): authentication failure; logname={0} uid={1} euid=0 tty=/dev/pts/0 ruser={0} rhost=  user={0}",
                person.name, person.uid
            ));
        });
        mistyped.line(|line| {
            line.syslog(PRIORITY, host, "sudo", None);
            line.put(format_args!(
                "{:>8} : TTY=pts/0 ; PWD=/home/{0} ; USER=root ; COMMAND=/usr/bin/apt-get update",
                person.name
            ));
        });
    }
    Source { everyday, rare: vec![Rare { pool: mistyped, every: Duration::from_secs(307), lines_min: 200 }] }
}
