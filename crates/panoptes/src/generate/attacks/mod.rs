//! The staged attacks: one file each, listed in [`ALL`].
//!
//! An attack writes a [`Script`]: lines, each with its time after the attack's start. It also says what must be
//! alerted, and about whom: the demo checks itself against that, and so do the tests.

mod critical_error;
mod never_seen_message;
mod new_privileged_user;
mod not_found_scan;
mod password_spraying;
mod server_error_burst;
mod ssh_password_guessing;
mod success_after_failures;
mod sudo_failures;
mod unauthorized_access;
mod web_attack;
mod web_scanner;

use std::net::Ipv4Addr;
use std::time::Duration;

use fastrand::Rng;

use super::cast::{Cast, Person};
use super::pool::{Dress, LineWriter, Pool};

/// In the order of the first round: what convinces most comes first.
pub(crate) static ALL: &[&Attack] = &[
    &ssh_password_guessing::ATTACK,
    &success_after_failures::ATTACK,
    &sudo_failures::ATTACK,
    &server_error_burst::ATTACK,
    &web_attack::ATTACK,
    &password_spraying::ATTACK,
    &web_scanner::ATTACK,
    // Before those that also say new things: a detector tells only so many.
    &never_seen_message::ATTACK,
    &not_found_scan::ATTACK,
    &new_privileged_user::ATTACK,
    &unauthorized_access::ATTACK,
    &critical_error::ATTACK,
];

/// An attack that can be staged.
pub(crate) struct Attack {
    /// For people: `SSH password guessing`.
    pub(crate) title: &'static str,
    /// What must be alerted.
    pub(crate) expected: &'static [Expected],
    /// The kind of log in which it shows.
    pub(super) kind: &'static str,
    pub(super) write: fn(&mut Script, &mut Role<'_>),
}

/// An alert that must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The title of the rule.
    pub(crate) title: &'static str,
    /// The field of the entity that the alert must name, and who that is; `None` where the log names nobody.
    pub(super) about: Option<(&'static str, Who)>,
}

/// Whom an alert must name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Attacker,
    Person,
    Host,
}

/// Who plays in one staging.
pub(super) struct Role<'c> {
    pub(super) cast: &'c Cast,
    pub(super) rng: Rng,
    /// How often something was staged before.
    pub(super) number: usize,
    pub(super) attacker: Ipv4Addr,
    pub(super) person: &'c Person,
    pub(super) host: &'static str,
}

impl Role<'_> {
    pub(super) fn name(&self, who: Who) -> String {
        match who {
            Who::Attacker => self.attacker.to_string(),
            Who::Person => self.person.name.to_owned(),
            Who::Host => self.host.to_owned(),
        }
    }

    fn pid(&mut self) -> u32 {
        self.rng.u32(2_000..60_000)
    }
}

/// Lines with their times.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) pool: Pool,
    /// When each line is due, after the start; never falling.
    pub(super) at: Vec<Duration>,
}

impl Script {
    pub(super) const fn new(dress: Dress) -> Self {
        Self { pool: Pool::new(dress), at: Vec::new() }
    }

    /// Adds a line that is due `millis` milliseconds after the one before.
    fn after(&mut self, millis: u64, write: impl FnOnce(&mut LineWriter<'_>)) {
        let last = self.at.last().copied().unwrap_or_default();
        self.at.push(last + Duration::from_millis(millis));
        self.pool.line(write);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use jiff::tz::TimeZone;
    use panoptes_model::Timestamp;

    use super::super::cast;
    use super::super::stamp::Stamps;
    use super::*;

    /// The lines of one staging, as they go out on a stream, with attacker 203.0.113.9, user and host as given.
    pub(super) fn staged(attack: &Attack) -> (String, &'static str, &'static str) {
        let cast = Cast::new(&mut Rng::with_seed(1));
        let mut role = Role {
            rng: Rng::with_seed(2),
            number: 0,
            attacker: cast::attacker(0),
            person: &cast.people[9],
            host: "web1",
            cast: &cast,
        };
        let mut script = Script::new(Dress::Lines);
        (attack.write)(&mut script, &mut role);
        let stamps = Stamps::new(TimeZone::UTC, Timestamp::from_seconds(1_705_314_600));
        let mut out = Vec::new();
        for index in 0..script.pool.len() {
            script.pool.write(index, &stamps, &mut role.rng, &mut out);
        }
        (String::from_utf8(out).unwrap(), cast.people[9].name, "web1")
    }

    /// How many lines of the staging hold all of `words`.
    #[track_caller]
    pub(super) fn check(attack: &Attack, words: &[&str], expected: usize) {
        let (text, ..) = staged(attack);
        let found = text.lines().filter(|line| words.iter().all(|word| line.contains(word))).count();
        assert_eq!(found, expected, "lines with {words:?} in\n{text}");
    }

    #[test]
    fn every_attack_expects_something_and_names_whom_it_expects() {
        let mut names = HashSet::new();
        for attack in ALL {
            assert!(names.insert(attack.title), "{} is listed twice", attack.title);
            assert!(!attack.expected.is_empty(), "{} expects nothing", attack.title);
            assert!(super::super::kinds::ALL.iter().any(|kind| kind.name == attack.kind), "{}", attack.title);
            let (text, person, host) = staged(attack);
            for (_, who) in attack.expected.iter().filter_map(|it| it.about) {
                let name = match who {
                    Who::Attacker => "203.0.113.9",
                    Who::Person => person,
                    Who::Host => host,
                };
                assert!(text.contains(name), "{} never names {name}:\n{text}", attack.title);
            }
        }
    }

    #[test]
    fn every_attack_is_over_within_four_seconds_and_in_order() {
        let cast = Cast::new(&mut Rng::with_seed(1));
        for attack in ALL {
            let mut script = Script::new(Dress::File);
            let mut role = Role {
                rng: Rng::with_seed(3),
                number: 7,
                attacker: cast::attacker(7),
                person: &cast.people[0],
                host: "app1",
                cast: &cast,
            };
            (attack.write)(&mut script, &mut role);
            assert_eq!(script.at.len(), script.pool.len());
            assert!(script.at.is_sorted() && script.at.last().unwrap().as_millis() <= 4_000, "{}", attack.title);
        }
    }
}
