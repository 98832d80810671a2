//! Passwords guessed slowly, from many places, or at services that no rule counts.
//!
//! *What they claim.* `password_guessing`: one address fails again and again. `password_spraying`: as many different
//! users. `distributed_guessing`: one account that is in use fails from many strange networks. `credential_stuffing`:
//! many accounts of one service fail from many strange networks, hardly any of them twice. `success_after_failures`:
//! somebody gets in from where guessing came from.
//!
//! *How they differ from the rules.* Fast guessing (over SSH, at web servers, of Windows logons, at any service) is
//! counted by rules under `rules/sigma/authentication`; what those tell is not told again. Here is what stays below their
//! limits, within minutes, over hours or days, and what is spread over addresses and accounts.
//!
//! *When they are wrong.* A typing error is taken back when the same user gets in from the same network. Failures from
//! a network that a user usually comes from are a stale password, not guessing: only fast ones count. An address from
//! which several people get in is shared (an office, a jump host): slow failures there are theirs.

use panoptes_model::Severity;

use super::facts::{What, short, short_of_network};
use super::kind::Kind;
use super::network;
use super::profile::{ATTEMPTS_MAX, Attempt, SERVICE_ATTEMPTS_MAX, keep};
use super::scene::Scene;
use super::time::{At, DAY, HOUR, MINUTE, span_text};

const READS: &str = "event.category authentication with an outcome, user.name and source.ip";

pub(super) static GUESSING: Kind = Kind {
    id: "behaviour.password_guessing",
    title: "Password guessing, slow or across services",
    level: Severity::Medium,
    tags: &["attack.credential-access", "attack.t1110.001"],
    description: "One address fails to log in again and again: within minutes at services that no rule counts or at \
                  several of them, or over hours and days from a network that the users never came from.",
    falsepositives: &["A device with a stored password that was changed, at an address that is new to its owner"],
    reads: READS,
};

pub(super) static SPRAYING: Kind = Kind {
    id: "behaviour.password_spraying",
    title: "Password spraying, slow or across services",
    level: Severity::Medium,
    tags: &["attack.credential-access", "attack.t1110.003"],
    description: "One address fails to log in as many different users, within minutes at services that no rule \
                  counts, or slowly over a week, and none of them gets in from there.",
    falsepositives: &["The address of an office or a proxy that is new, after passwords have expired"],
    reads: READS,
};

pub(super) static DISTRIBUTED: Kind = Kind {
    id: "behaviour.distributed_guessing",
    title: "One account guessed at from many networks",
    level: Severity::Medium,
    tags: &["attack.credential-access", "attack.t1110.001"],
    description: "An account that is in use failed to log in from many networks within a day that it never came from, \
                  far more than usual for it.",
    falsepositives: &["A person on a journey with a device that has an old password stored"],
    reads: READS,
};

pub(super) static STUFFING: Kind = Kind {
    id: "behaviour.credential_stuffing",
    title: "Many accounts tried from many networks",
    level: Severity::Medium,
    tags: &["attack.credential-access", "attack.t1110.004"],
    description: "Many accounts of one service failed within an hour from many networks that their users never came \
                  from, each of them hardly more than once: a list of stolen or common passwords is tried.",
    falsepositives: &["Many people who work from elsewhere for the first time, on the day when passwords expired"],
    reads: READS,
};

pub(super) static SUCCESS: Kind = Kind {
    id: "behaviour.success_after_failures",
    title: "Login succeeded from where passwords were guessed",
    level: Severity::High,
    tags: &["attack.credential-access", "attack.initial-access", "attack.t1110", "attack.t1078"],
    description: "An account was logged into from an address or network from which it, or several accounts, failed \
                  before over hours or days, or while strangers from many networks were guessing at it.",
    falsepositives: &["Somebody who forgot the password and remembered it at an address that is new to him"],
    reads: READS,
};

/// Failures of one address within [`FAST`] that are guessing. The rules for SSH speak from six in five minutes.
const FAST: u32 = 10 * MINUTE;
const FAST_FAILURES_MIN: usize = 8;
/// Different users within [`FAST`] that are spraying.
const FAST_USERS_MIN: usize = 6;
/// From so many ruled failures within [`FAST`] on, the rules have told it.
const RULED_MIN: usize = 6;
/// The rule for all services speaks from so many failures within so long.
const VERY_FAST: u32 = 5 * MINUTE;
const RULED_ANYWHERE_MIN: usize = 10;
/// How far back slow guessing is looked for.
const SLOW: u32 = 7 * DAY;
const SLOW_FAILURES_MIN: usize = 12;
/// Slow failures lie in so many different hours at least: what comes at once is one clumsy moment.
const SLOW_HOURS_MIN: usize = 6;
const SLOW_USERS_MIN: usize = 6;
const SLOW_SPRAYING_HOURS_MIN: usize = 3;
/// From so many users on that get in from an address, it is shared.
const SHARED_USERS: usize = 3;
/// Strange networks within [`DAY`] from which one account fails, and how many times its usual day that must be.
const DISTRIBUTED_NETWORKS_MIN: usize = 6;
const DISTRIBUTED_TIMES_USUAL: f32 = 4.0;
/// The rule for SSH speaks from so many addresses within [`FAST`].
const RULED_NETWORKS: usize = 10;
/// Accounts and networks of one service within an hour that are stuffing, and how many tries an account has at most.
const STUFFING_USERS_MIN: usize = 15;
const STUFFING_NETWORKS_MIN: usize = 8;
const STUFFING_TRIES_MAX: usize = 2;
const STUFFING_TIMES_USUAL: f32 = 4.0;
/// What must have come before a success: so many users tried from the address, or so many failures of that user.
const SUCCESS_USERS_MIN: usize = 4;
const SUCCESS_FAILURES_MIN: usize = 6;
const SUCCESS_NETWORKS_MIN: usize = 5;
/// The same is said again after so long.
const QUIET: u32 = DAY;

fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> usize {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.dedup();
    values.len()
}

fn is_ruled(scene: &Scene<'_, '_>) -> bool {
    let dataset = scene.facts.dataset;
    dataset == "linux.sshd"
        || dataset.starts_with("windows.")
        || dataset.ends_with(".access")
        || dataset.ends_with(".error")
}

pub(super) fn observe(scene: &mut Scene<'_, '_>) {
    let (What::Login { success }, Some(address), Some(user)) =
        (scene.facts.what, scene.facts.address, scene.facts.user.as_deref())
    else {
        return;
    };
    let (at, user, network) = (scene.facts.at, short(user), short_of_network(address));
    let is_stranger = scene.user().is_none_or(|it| !it.networks.is_usual(network, at, 1));
    let attempt =
        Attempt { at, user, service: short(scene.facts.service), network, is_ruled: is_ruled(scene), is_stranger };
    if success {
        succeeded(scene, attempt);
    } else {
        failed(scene, attempt);
    }
}

fn failed(scene: &mut Scene<'_, '_>, attempt: Attempt) {
    let (id, at) = (scene.facts.event.id(), attempt.at);
    let times = scene.facts.times.min(ATTEMPTS_MAX as u32);
    if let Some(address) = scene.address() {
        address.evidence.add(id);
        for _ in 0..times {
            keep(&mut address.attempts, ATTEMPTS_MAX, attempt);
        }
        address.attempts.retain(|it| at.since(it.at) <= SLOW);
    }
    if let Some(user) = scene.user()
        && attempt.is_stranger
    {
        user.evidence.add(id);
        keep(&mut user.attempts, ATTEMPTS_MAX, attempt);
        user.attempts.retain(|it| at.since(it.at) <= DAY);
        user.strange_failures.add(at, 1.0);
    }
    if let Some(service) = scene.service()
        && attempt.is_stranger
    {
        service.evidence.add(id);
        keep(&mut service.attempts, SERVICE_ATTEMPTS_MAX, attempt);
        service.attempts.retain(|it| at.since(it.at) <= HOUR);
        service.strange_failures.add(at, 1.0);
    }
    one_address(scene, attempt);
    one_account(scene, attempt);
    one_service(scene, attempt);
}

fn one_address(scene: &mut Scene<'_, '_>, attempt: Attempt) {
    let at = attempt.at;
    let name = scene.address_text();
    let Some(address) = scene.address() else { return };
    let fast: Vec<&Attempt> = address.attempts.iter().filter(|it| at.since(it.at) <= FAST).collect();
    let users = distinct(fast.iter().map(|it| it.user));
    let services = distinct(fast.iter().map(|it| it.service));
    let very_fast = fast.iter().filter(|it| at.since(it.at) <= VERY_FAST).count();
    if fast.iter().filter(|it| it.is_ruled).count() >= RULED_MIN || very_fast >= RULED_ANYWHERE_MIN {
        address.loud = at;
        return;
    }
    let among = if services > 1 { format!(" at {services} services") } else { String::new() };
    let count = fast.len();
    let first = fast.first().map_or(at, |it| it.at);
    // What comes faster is about to be told by a rule.
    let is_steady = at.since(first) >= VERY_FAST;
    let is_spraying = users >= FAST_USERS_MIN;
    if is_steady && (is_spraying || count >= FAST_FAILURES_MIN) {
        address.loud = at;
        let (kind, what) = if is_spraying { (&SPRAYING, 1) } else { (&GUESSING, 0) };
        if address.told.may_tell(what, at, QUIET) {
            let evidence = address.evidence.ids(count);
            let limit =
                if is_spraying { format!("{FAST_USERS_MIN} users") } else { format!("{FAST_FAILURES_MIN} failures") };
            let reason = format!(
                "{name} failed {count} times as {users} users{among} within {}, and {limit} are told",
                span_text(FAST)
            );
            scene.claim_of(kind, vec![("source.ip", name)], reason, first, count as u64, evidence);
        }
        return;
    }
    // Everything that is left is slow, and what was loud lately is known already.
    if (address.loud > At(0) && at.since(address.loud) < SLOW) || address.users.len() >= SHARED_USERS {
        return;
    }
    let is_own = scene.facts.address.is_some_and(network::is_private);
    let Some(address) = scene.address() else { return };
    // Within an office everybody's usual network is the same: there it is the number of users that counts.
    let slow: Vec<&Attempt> = address.attempts.iter().filter(|it| it.is_stranger || is_own).collect();
    let users = distinct(slow.iter().map(|it| it.user));
    let hours = distinct(slow.iter().map(|it| it.at.0 / HOUR));
    let strange = slow.iter().filter(|it| it.is_stranger).count();
    let is_spraying = users >= SLOW_USERS_MIN && hours >= SLOW_SPRAYING_HOURS_MIN;
    let is_guessing = strange >= SLOW_FAILURES_MIN && hours >= SLOW_HOURS_MIN;
    let (Some(first), count) = (slow.first().map(|it| it.at), slow.len()) else { return };
    let (kind, what) = match (is_spraying, is_guessing) {
        (true, _) => (&SPRAYING, 3),
        (_, true) => (&GUESSING, 2),
        _ => return,
    };
    if address.told.may_tell(what, at, SLOW) {
        let evidence = address.evidence.ids(count);
        let reason = format!(
            "{name} failed {count} times as {users} users in {hours} different hours since {}, slower than any limit \
             per minute; none of them ever got in from there",
            first.timestamp()
        );
        scene.claim_of(kind, vec![("source.ip", name)], reason, first, count as u64, evidence);
    }
}

fn one_account(scene: &mut Scene<'_, '_>, attempt: Attempt) {
    let at = attempt.at;
    let name = scene.user_name();
    let Some(user) = scene.user() else { return };
    // Names that nobody has are guessed at all day.
    if user.login_days == 0 || !attempt.is_stranger {
        return;
    }
    let networks = distinct(user.attempts.iter().map(|it| it.network));
    if networks < DISTRIBUTED_NETWORKS_MIN {
        return;
    }
    let fast = user.attempts.iter().filter(|it| it.is_ruled && at.since(it.at) <= FAST);
    if distinct(fast.map(|it| it.network)) >= RULED_NETWORKS {
        user.told.may_tell(0, at, QUIET);
        return;
    }
    let usual = user.strange_failures.usual();
    if user.strange_failures.today < DISTRIBUTED_TIMES_USUAL * usual || !user.told.may_tell(0, at, QUIET) {
        return;
    }
    user.strange_failures.flag();
    let (count, first) = (user.attempts.len(), user.attempts.first().map_or(at, |it| it.at));
    let evidence = user.evidence.ids(count);
    let reason = format!(
        "{name} failed {count} times from {networks} networks within {} that this account never came from; usual are \
         {usual:.1} such failures a day",
        span_text(DAY)
    );
    scene.claim_of(&DISTRIBUTED, vec![("user.name", name)], reason, first, count as u64, evidence);
}

fn one_service(scene: &mut Scene<'_, '_>, attempt: Attempt) {
    let at = attempt.at;
    let (name, host) = (scene.facts.service.to_owned(), scene.facts.host.map(str::to_owned));
    let Some(service) = scene.service() else { return };
    if !attempt.is_stranger {
        return;
    }
    let (users, networks) =
        (distinct(service.attempts.iter().map(|it| it.user)), distinct(service.attempts.iter().map(|it| it.network)));
    let count = service.attempts.len();
    let usual = service.strange_failures.usual();
    if users < STUFFING_USERS_MIN
        || networks < STUFFING_NETWORKS_MIN
        || count > users * STUFFING_TRIES_MAX
        || service.strange_failures.today < STUFFING_TIMES_USUAL * usual
        || !service.told.may_tell(0, at, QUIET)
    {
        return;
    }
    service.strange_failures.flag();
    let first = service.attempts.first().map_or(at, |it| it.at);
    let evidence = service.evidence.ids(count);
    let reason = format!(
        "{users} accounts failed {count} times from {networks} networks within {} that their users never came from; \
         usual are {usual:.1} such failures a day",
        span_text(HOUR)
    );
    let entities = [Some(("service.name", name)), host.map(|it| ("host.name", it))].into_iter().flatten().collect();
    scene.claim_of(&STUFFING, entities, reason, first, count as u64, evidence);
}

fn succeeded(scene: &mut Scene<'_, '_>, attempt: Attempt) {
    let at = attempt.at;
    let (user_name, address_name) = (scene.user_name(), scene.address_text());
    let entities = vec![("source.ip", address_name.clone()), ("user.name", user_name.clone())];
    let mut said = None;
    if let Some(address) = scene.address() {
        let others = distinct(address.attempts.iter().map(|it| it.user).filter(|it| *it != attempt.user));
        let own = address.attempts.iter().filter(|it| it.user == attempt.user).count();
        let fast = address.attempts.iter().filter(|it| it.is_ruled && at.since(it.at) <= 2 * FAST).count();
        // Five failures and a success within minutes are the rule's.
        let is_told_by_rule = attempt.is_ruled && fast + 1 >= RULED_MIN;
        let is_shared = address.users.len() >= SHARED_USERS;
        let many_users = others + 1 >= SUCCESS_USERS_MIN && !is_shared && !address.users.contains(attempt.user);
        let many_failures = own >= SUCCESS_FAILURES_MIN && attempt.is_stranger;
        if (many_users || many_failures) && !is_told_by_rule && address.told.may_tell(4, at, QUIET) {
            let count = address.attempts.len();
            let first = address.attempts.first().map_or(at, |it| it.at);
            let reason = format!(
                "{user_name} logged in from {address_name}, where {count} logins failed since {}: {own} as {user_name}, \
                 the others as {others} users",
                first.timestamp()
            );
            said = Some((reason, first, count, address.evidence.ids(count)));
        }
        // Whoever gets in after a few tries has mistyped.
        if own < SUCCESS_FAILURES_MIN {
            address.attempts.retain(|it| it.user != attempt.user);
        }
    }
    if let Some(user) = scene.user() {
        let networks = distinct(user.attempts.iter().map(|it| it.network));
        if said.is_none()
            && networks >= SUCCESS_NETWORKS_MIN
            && attempt.is_stranger
            && user.login_days > 0
            && user.told.may_tell(1, at, QUIET)
        {
            let (count, first) = (user.attempts.len(), user.attempts.first().map_or(at, |it| it.at));
            let reason = format!(
                "{user_name} logged in from {address_name}, a network that this account never came from, while {count} \
                 logins as {user_name} failed from {networks} such networks within {}",
                span_text(DAY)
            );
            said = Some((reason, first, count, user.evidence.ids(count)));
        }
        user.attempts.retain(|it| it.network != attempt.network);
    }
    if let Some(service) = scene.service() {
        service.attempts.retain(|it| it.user != attempt.user || it.network != attempt.network);
    }
    if let Some((reason, first, count, evidence)) = said {
        scene.claim_of(&SUCCESS, entities, reason, first, count as u64 + 1, evidence);
    }
}
