//! sshd: people who log in with their key, from their own machine, and leave again. Once a minute somebody mistypes
//! a password and gets it right at the second try.

use std::net::Ipv4Addr;
use std::time::Duration;

use fastrand::Rng;

use super::super::cast::{Cast, HOSTS, Person};
use super::super::pool::{Dress, LineWriter, Pool};
use super::{LogKind, Rare, Source, pick};

pub(super) static KIND: LogKind = LogKind { name: "sshd", weight: 8, build };

/// auth, informational.
pub(in super::super) const PRIORITY: u8 = 38;
/// authpriv, informational: PAM.
const PRIORITY_PAM: u8 = 86;

fn build(cast: &Cast, rng: &mut Rng, dress: Dress, lines: usize) -> Source {
    let mut everyday = Pool::new(dress);
    while everyday.len() < lines {
        let person = pick(rng, &cast.people);
        let (host, pid) = (*pick(rng, &HOSTS), rng.u32(2_000..60_000));
        if everyday.stories().is_multiple_of(2) {
            arrive(&mut everyday, host, pid, person)
        } else {
            leave(&mut everyday, host, pid, person)
        }
    }
    let mut mistyped = Pool::new(dress);
    for person in &cast.people {
        let (host, pid) = (*pick(rng, &HOSTS), rng.u32(2_000..60_000));
        mistyped.line_and(|line| failed(line, host, pid, person.name, person.address, true));
        mistyped.line_and(|line| accepted(line, host, pid, person.name, person.address));
        mistyped.line(|line| opened(line, host, pid, person));
    }
    Source { everyday, rare: vec![Rare { pool: mistyped, every: Duration::from_secs(61), lines_min: 100 }] }
}

fn arrive(pool: &mut Pool, host: &str, pid: u32, person: &Person) {
    pool.line_and(|line| {
        line.syslog(PRIORITY, host, "sshd", Some(pid));
        line.put(format_args!("Accepted publickey for {} from {} port 5", person.name, person.address)).digits(4);
        line.put(format_args!(" ssh2: ED25519 SHA256:{}", person.key));
    });
    pool.line(|line| opened(line, host, pid, person));
}

fn opened(line: &mut LineWriter<'_>, host: &str, pid: u32, person: &Person) {
    line.syslog(PRIORITY_PAM, host, "sshd", Some(pid));
    line.put(format_args!(
        "pam_unix(sshd:session): session opened for user {}(uid={}) by {0}(uid=0)",
        person.name, person.uid
    ));
}

fn leave(pool: &mut Pool, host: &str, pid: u32, person: &Person) {
    pool.line_and(|line| {
        line.syslog(PRIORITY, host, "sshd", Some(pid));
        line.put(format_args!("Received disconnect from {} port 5", person.address)).digits(4);
        line.text(":11: disconnected by user");
    });
    pool.line_and(|line| {
        line.syslog(PRIORITY, host, "sshd", Some(pid));
        line.put(format_args!("Disconnected from user {} {} port 5", person.name, person.address)).digits(4);
    });
    pool.line(|line| {
        line.syslog(PRIORITY_PAM, host, "sshd", Some(pid));
        line.put(format_args!("pam_unix(sshd:session): session closed for user {}", person.name));
    });
}

/// A password that was wrong.
pub(in super::super) fn failed(
    line: &mut LineWriter<'_>,
    host: &str,
    pid: u32,
    user: &str,
    from: Ipv4Addr,
    known: bool,
) {
    let invalid = if known { "" } else { "invalid user " };
    line.syslog(PRIORITY, host, "sshd", Some(pid));
    line.put(format_args!("Failed password for {invalid}{user} from {from} port 4")).digits(4).text(" ssh2");
}

/// A password that was right.
pub(in super::super) fn accepted(line: &mut LineWriter<'_>, host: &str, pid: u32, user: &str, from: Ipv4Addr) {
    line.syslog(PRIORITY, host, "sshd", Some(pid));
    line.put(format_args!("Accepted password for {user} from {from} port 4")).digits(4).text(" ssh2");
}
