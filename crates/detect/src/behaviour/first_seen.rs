//! The first time that a user does something: in a country, on a host, with a program, with higher rights.
//!
//! *What they claim.* The user has a history of at least two weeks without this. A value that was not seen for three
//! months is forgotten, so "first" means "not within the last three months".
//!
//! *When they are wrong.* People do new things. Guards: enough history; a host that is itself new is a new machine, one
//! that many use is everybody's; a program that several people start was rolled out; users who had several new things
//! lately are such users; relays and shared addresses do not say a country. Each is told once: what was told is neither
//! usual nor news.

use panoptes_model::Severity;

use super::facts::{Short, What, short};
use super::impossible_travel;
use super::kind::Kind;
use super::profile::User;
use super::scene::Scene;
use super::time::{At, DAY, day_text};
use super::usual::{Standing, Values};

pub(super) static COUNTRY: Kind = Kind {
    id: "behaviour.first_country",
    title: "User logged in from a country for the first time",
    level: Severity::Low,
    tags: &["attack.initial-access", "attack.t1078"],
    description: "A user with a history logged in from a country in which that history has no login. Needs the country \
                  of the address (enrichment).",
    falsepositives: &["Journeys", "Addresses whose country the database has wrong"],
    reads: "successful logins with user.name and source.geo.country_iso_code",
};

pub(super) static HOST: Kind = Kind {
    id: "behaviour.first_host",
    title: "User logged in on a host for the first time",
    level: Severity::Low,
    tags: &["attack.lateral-movement", "attack.t1021"],
    description: "A user who keeps to few hosts logged in on one that others have used for long and this user never has.",
    falsepositives: &["A new task, a colleague's machine"],
    reads: "successful logins with user.name and host.name",
};

pub(super) static PROGRAM: Kind = Kind {
    id: "behaviour.first_program",
    title: "User started a program that nobody else uses for the first time",
    level: Severity::Low,
    tags: &["attack.execution", "attack.t1204"],
    description: "A user who keeps to the same programs started one that is new to this user and that hardly anybody \
                  else starts.",
    falsepositives: &["Software that was installed for one person"],
    reads: "starts of processes with user.name",
};

pub(super) static PRIVILEGE: Kind = Kind {
    id: "behaviour.first_privilege",
    title: "User took higher rights for the first time",
    level: Severity::Medium,
    tags: &["attack.privilege-escalation", "attack.t1548"],
    description: "A user with a history of working without sudo or su used it successfully.",
    falsepositives: &["A new task of an administrator"],
    reads: "successful sudo and su",
};

/// How many new values within [`NEWS_DAYS`] make somebody one to whom new things are usual. Shorter than the time of
/// learning, in which everything is new.
const NEWS_DAYS: u16 = 10;
const COUNTRY_NEWS_MAX: usize = 2;
const HOST_NEWS_MAX: usize = 1;
const PROGRAM_NEWS_MAX: usize = 1;
/// Somebody who uses more hosts than this administers them.
const HOSTS_MAX: usize = 20;
/// Somebody who uses more programs than this tries them all.
const PROGRAMS_MAX: usize = 60;
/// How many programs must be known of somebody before one more is new.
const PROGRAMS_MIN: usize = 3;
/// From so many users on, a host or a program is everybody's.
const HOST_USERS_MAX: usize = 5;
const PROGRAM_USERS_MAX: usize = 2;
/// A host is new for so long: whoever gets it is expected to log in.
const HOST_NEW: u32 = 14 * DAY;
/// On how many days somebody must have logged in before a country or a host is new to him.
const LOGIN_DAYS_MIN: u16 = 8;
/// From so many users on, an address is shared (an office, a gateway).
const SHARED_USERS: usize = 3;

/// Whether `name` is new where `news_max` new values are normal.
fn is_news(values: &Values, name: Short, at: At, news_max: usize) -> bool {
    values.standing(name, at) == Standing::Unseen && values.len() > 0 && values.news(at, NEWS_DAYS) <= news_max
}

pub(super) fn observe(scene: &mut Scene<'_, '_>) {
    let at = scene.facts.at;
    let Some(known) = scene.known_user().filter(|it| it.is_learnt(at)) else { return };
    let since = day_text(known.first().day());
    let login_days = scene.user().map_or(0, |it| it.login_days);
    match scene.facts.what {
        What::Login { success: true } if login_days >= LOGIN_DAYS_MIN => {
            country(scene, &since);
            host(scene, &since);
        }
        What::Start { program: name, .. } => program(scene, name, &since),
        What::Privilege { of } => privilege(scene, of, &since),
        _ => {}
    }
}

fn country(scene: &mut Scene<'_, '_>, since: &str) {
    let Some(country) = scene.facts.country() else { return };
    let (at, name, user_name) = (scene.facts.at, short(country), scene.user_name());
    let (is_relayed, is_on_board) = (scene.facts.is_relayed(), scene.facts.is_on_board());
    let is_shared = scene.address().is_some_and(|it| it.users.len() >= SHARED_USERS);
    let Some(user) = scene.user() else { return };
    if is_shared
        || is_on_board
        || (is_relayed && user.uses_relays)
        || !is_news(&user.countries, name, at, COUNTRY_NEWS_MAX)
    {
        return;
    }
    let (known, days) = (user.countries.len(), user.login_days);
    user.countries.flag(name, at);
    scene.is_suspicious = true;
    // That nobody can be there so fast says more.
    if scene.claims.iter().any(|it| it.kind.id == impossible_travel::KIND.id) {
        return;
    }
    let reason = format!(
        "{user_name} logged in from {country}; on {days} days since {since} all logins came from {known} other {}",
        if known == 1 { "country" } else { "countries" }
    );
    let entities = vec![("user.name", user_name), ("source.geo.country_iso_code", country.to_owned())];
    scene.claim(&COUNTRY, entities, reason);
}

fn host(scene: &mut Scene<'_, '_>, since: &str) {
    let Some(host) = scene.facts.host else { return };
    let (at, name, user_name) = (scene.facts.at, short(host), scene.user_name());
    let is_established = scene.known_host().is_some_and(|it| it.is_learnt(at) && at.since(it.first()) >= HOST_NEW);
    let users = scene.host().map_or(0, |it| it.users.len());
    let Some(user) = scene.user() else { return };
    if !is_established
        || users == 0
        || users >= HOST_USERS_MAX
        || user.hosts.len() > HOSTS_MAX
        || !is_news(&user.hosts, name, at, HOST_NEWS_MAX)
    {
        return;
    }
    let (known, days) = (user.hosts.len(), user.login_days);
    user.hosts.flag(name, at);
    let reason = format!(
        "{user_name} logged in on {host}, which {users} others use; on {days} days since {since} this user kept to {known} \
         other {}",
        if known == 1 { "host" } else { "hosts" }
    );
    scene.claim(&HOST, vec![("host.name", host.to_owned()), ("user.name", user_name)], reason);
}

fn program(scene: &mut Scene<'_, '_>, program: &str, since: &str) {
    let small = program.to_lowercase();
    let (at, name, user_name) = (scene.facts.at, short(&small), scene.user_name());
    let others = scene.program().map_or(0, |it| it.users.len());
    let Some(user) = scene.user() else { return };
    let known = user.programs.len();
    if others > PROGRAM_USERS_MAX
        || !(PROGRAMS_MIN..=PROGRAMS_MAX).contains(&known)
        || !is_news(&user.programs, name, at, PROGRAM_NEWS_MAX)
    {
        return;
    }
    user.programs.flag(name, at);
    // How many people use it is no habit of one of them: a program that is rolled out is told for the first few only.
    let who = short(&user_name);
    if let Some(program) = scene.program() {
        program.users.add(who);
    }
    let reason = format!(
        "{user_name} started {program}, which {} others start; since {since} this user kept to {known} other programs",
        if others == 0 { "no".to_owned() } else { others.to_string() }
    );
    scene.claim(&PROGRAM, vec![("process.name", small), ("user.name", user_name)], reason);
}

fn privilege(scene: &mut Scene<'_, '_>, of: &str, since: &str) {
    let (at, name, user_name) = (scene.facts.at, short(of), scene.user_name());
    let days = scene.known_user().map_or(0, |it| it.entity.days);
    let Some(User { privileges, .. }) = scene.user() else { return };
    // Somebody who takes the rights of one account and now those of another is an administrator.
    if privileges.len() > 0 || privileges.standing(name, at) != Standing::Unseen {
        return;
    }
    privileges.flag(name, at);
    let reason = format!("{user_name} took the rights of {of}; on {days} days since {since} this user worked without");
    scene.claim(&PRIVILEGE, vec![("user.effective.name", of.to_owned()), ("user.name", user_name)], reason);
}
