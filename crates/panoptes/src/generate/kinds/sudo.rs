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

const COMMANDS: [&str; 7] = [
    "/usr/bin/systemctl status nginx",
    "/usr/bin/systemctl reload nginx",
    "/usr/bin/apt-get update",
    "/usr/bin/journalctl -u postgresql -n 200",
    "/usr/bin/tail -n 100 /var/log/nginx/error.log",
    "/usr/sbin/nginx -t",
    "/usr/bin/df -h",
];

fn build(cast: &Cast, rng: &mut Rng, dress: Dress, lines: usize) -> Source {
    let mut everyday = Pool::new(dress);
    while everyday.len() < lines {
        // Only some are administrators; the others never use sudo.
        let person = pick(rng, &cast.people[..5]);
        let (host, command) = (*pick(rng, &HOSTS), *pick(rng, &COMMANDS));
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
    let mut mistyped = Pool::new(dress);
    for (index, person) in cast.people[..5].iter().enumerate() {
        mistyped.line(|line| {
            line.syslog(PRIORITY_ALERT, HOSTS[index % HOSTS.len()], "sudo", None);
            line.put(format_args!(
                "{:>8} : 1 incorrect password attempt ; TTY=pts/0 ; PWD=/home/{0} ; USER=root ; COMMAND=/usr/bin/apt-get update",
                person.name
            ));
        });
    }
    Source { everyday, rare: vec![Rare { pool: mistyped, every: Duration::from_secs(307), lines_min: 200 }] }
}
