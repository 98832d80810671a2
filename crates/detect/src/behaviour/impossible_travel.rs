//! Two logins of one user from places between which nobody can travel in that time.
//!
//! *What it claims.* The way from the place of the last login to that of this one would have needed a speed that no
//! airliner has, from door to door.
//!
//! *When it is wrong.* Somebody else uses the account with permission; a database has the place of an address wrong.
//! Guards: the same network again, both addresses private, places closer than [`DISTANCE_MIN_KM`], relays, hosting, VPNs
//! and networks on board (whose places are not remembered either), networks that are usual for this user (an office's
//! gateway beside the home), addresses through which several people come.

use panoptes_model::Severity;

use super::facts::{What, short_of_network};
use super::kind::Kind;
use super::network::{self, distance_km};
use super::profile::Place;
use super::scene::Scene;
use super::time::{DAY, span_text};

pub(super) static KIND: Kind = Kind {
    id: "behaviour.impossible_travel",
    title: "Logins from places too far apart for the time between",
    level: Severity::High,
    tags: &["attack.initial-access", "attack.t1078"],
    description: "A user logged in from two places between which no airliner could have carried anybody in the time \
                  between. Needs the place of the address (enrichment).",
    falsepositives: &["Accounts that people share", "VPNs and proxies that are not known as such"],
    reads: "successful logins with user.name, source.ip and source.geo.location",
};

/// Nearer places are the inaccuracy of databases.
const DISTANCE_MIN_KM: f32 = 500.0;
/// So much of the way is taken to be the error of both places.
const ERROR_KM: f32 = 100.0;
/// The speed of an airliner with the way to and from it left out.
const SPEED_MAX_KMH: f32 = 1_000.0;
/// On so many days a network must have been used to be usual.
const USUAL_DAYS: u16 = 3;
/// From so many users on, an address is shared.
const SHARED_USERS: usize = 3;
const QUIET: u32 = DAY;

pub(super) fn observe(scene: &mut Scene<'_, '_>) {
    let (What::Login { success: true }, Some(address)) = (scene.facts.what, scene.facts.address) else { return };
    let Some((latitude, longitude)) = scene.facts.location() else { return };
    if network::is_private(address) || scene.facts.is_relayed() {
        return;
    }
    let (at, name) = (scene.facts.at, scene.user_name());
    let is_shared = scene.address().is_some_and(|it| it.users.len() >= SHARED_USERS);
    let network = short_of_network(address);
    let country = scene.facts.country().and_then(|it| it.as_bytes().first_chunk().copied()).unwrap_or(*b"??");
    let Some(user) = scene.user() else { return };
    let is_usual = user.networks.is_usual(network, at, USUAL_DAYS);
    let here = Place { at, latitude, longitude, network, country };
    let Some(last) = user.place else {
        scene.place = Some(here);
        return;
    };
    let kilometres = distance_km((last.latitude, last.longitude), (latitude, longitude));
    let seconds = at.since(last.at);
    let is_late = at < last.at;
    let speed = (kilometres - ERROR_KM).max(0.0) / (seconds.max(1) as f32 / 3_600.0);
    let is_possible = network == last.network || kilometres < DISTANCE_MIN_KM || speed <= SPEED_MAX_KMH;
    // An event that came late is compared with nothing: what was between is not known any more.
    if is_possible || is_usual || is_shared || is_late {
        if !is_late && !is_shared {
            scene.place = Some(here);
        }
        return;
    }
    scene.is_suspicious = true;
    let Some(user) = scene.user() else { return };
    if !user.told.may_tell(3, at, QUIET) {
        return;
    }
    let from = String::from_utf8_lossy(&last.country).into_owned();
    let to = String::from_utf8_lossy(&country).into_owned();
    let pace = if seconds < 60 { String::new() } else { format!(", {speed:.0} km/h") };
    let reason = format!(
        "{name} logged in from {to} {} after {from}, {kilometres:.0} km away{pace}; nobody travels faster than \
         {SPEED_MAX_KMH:.0} km/h",
        span_text(seconds)
    );
    scene.claim(&KIND, vec![("source.ip", scene.address_text()), ("user.name", name)], reason);
}
