//! The kinds of logs: one file each, listed in [`ALL`].
//!
//! A kind renders a pool of everyday lines and a few pools of *rare* ones: the failures that a healthy system also
//! has. Rare lines are limited by time and by number ([`Rare`]), whatever the rate, so that everyday traffic never
//! trips a reasonable rule.

mod cron;
mod json;
mod nginx;
mod sshd;
mod sudo;
mod syslog;
mod system;

use std::time::Duration;

use fastrand::Rng;

use super::cast::Cast;
use super::pool::{Dress, Pool};

pub(super) use json::write as write_json;
pub(super) use nginx::{AGENTS, Access};
pub(super) use sshd::{PRIORITY as SSHD_PRIORITY, accepted, failed};
pub(super) use sudo::PRIORITY_ALERT as SUDO_PRIORITY_ALERT;
pub(super) use system::write as write_system;

/// One kind of log.
pub(super) struct LogKind {
    pub(super) name: &'static str,
    /// Its share in mixed traffic.
    pub(super) weight: u32,
    pub(super) build: fn(&Cast, &mut Rng, Dress, usize) -> Source,
}

pub(super) static ALL: &[&LogKind] =
    &[&nginx::KIND, &json::KIND, &sshd::KIND, &syslog::KIND, &system::KIND, &cron::KIND, &sudo::KIND];

/// How many stories of the everyday pool are told in order before they are drawn at random. A kind puts one of each
/// sort there, so that a detector that learns at first has soon heard all that is usual.
pub(super) const FIRST_STORIES: usize = 12;

/// What a kind writes.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) everyday: Pool,
    pub(super) rare: Vec<Rare>,
}

/// Lines that may come only now and then.
#[derive(Debug)]
pub(super) struct Rare {
    pub(super) pool: Pool,
    /// At least this much time between two of them.
    pub(super) every: Duration,
    /// At least this many lines of the kind between two of them.
    pub(super) lines_min: u32,
}

/// Picks an item with a probability in proportion to its weight.
fn weighted<'t, T>(rng: &mut Rng, items: &'t [(u32, T)]) -> &'t T {
    let total: u32 = items.iter().map(|(weight, _)| weight).sum();
    let mut at = rng.u32(0..total.max(1));
    for (weight, item) in items {
        match at.checked_sub(*weight) {
            Some(rest) => at = rest,
            None => return item,
        }
    }
    // Not reached: `at` is less than the sum of the weights.
    &items[0].1
}

fn pick<'t, T>(rng: &mut Rng, items: &'t [T]) -> &'t T {
    &items[rng.usize(0..items.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_fills_its_pool_and_tells_whole_stories() {
        let mut rng = Rng::with_seed(4);
        let cast = Cast::new(&mut rng);
        for kind in ALL {
            let source = (kind.build)(&cast, &mut rng, Dress::Lines, 500);
            assert!((500..510).contains(&source.everyday.len()), "{}", kind.name);
            assert!(source.everyday.stories() >= FIRST_STORIES, "{}", kind.name);
            assert!(source.rare.iter().all(|it| it.pool.stories() > 0), "{}", kind.name);
        }
    }
}
