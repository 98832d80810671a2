//! cron: jobs that run by the clock.

use fastrand::Rng;

use super::super::cast::{Cast, HOSTS};
use super::super::pool::{Dress, Pool};
use super::{LogKind, Source, pick};

pub(super) static KIND: LogKind = LogKind { name: "cron", weight: 3, build };

/// cron, informational.
const PRIORITY: u8 = 78;
/// authpriv, informational: PAM.
const PRIORITY_PAM: u8 = 86;

const JOBS: [(&str, u32, &str); 5] = [
    ("root", 0, "cd / && run-parts --report /etc/cron.hourly"),
    ("root", 0, "command -v debian-sa1 > /dev/null && debian-sa1 1 1"),
    ("www-data", 33, "/usr/bin/php /srv/shop/bin/console queue:work --once"),
    ("postgres", 114, "/usr/local/bin/vacuum-nightly"),
    ("backup", 34, "/usr/local/bin/backup-run --quiet"),
];

fn build(_: &Cast, rng: &mut Rng, dress: Dress, lines: usize) -> Source {
    let mut everyday = Pool::new(dress);
    while everyday.len() < lines {
        let (user, uid, command) = JOBS[everyday.stories() % JOBS.len()];
        let (host, pid) = (*pick(rng, &HOSTS), rng.u32(2_000..60_000));
        everyday.line_and(|line| {
            line.syslog(PRIORITY_PAM, host, "CRON", Some(pid));
            line.put(format_args!("pam_unix(cron:session): session opened for user {user}(uid={uid}) by (uid=0)"));
        });
        everyday.line_and(|line| {
            line.syslog(PRIORITY, host, "CRON", Some(pid + 1)).put(format_args!("({user}) CMD ({command})"));
        });
        everyday.line(|line| {
            line.syslog(PRIORITY_PAM, host, "CRON", Some(pid));
            line.put(format_args!("pam_unix(cron:session): session closed for user {user}"));
        });
    }
    Source { everyday, rare: Vec::new() }
}
