//! Somebody does, or carries, far more in a day than ever.
//!
//! *What it claims.* The number of events of a user today, or the bytes that a user or an own address carried, lie far
//! above that entity's usual day, both in spreads and as a multiple.
//!
//! *When it is wrong.* A backup, a migration, a new task. Small amounts are never told, days on which something was told
//! are not learnt.

use panoptes_model::Severity;

use super::facts::What;
use super::kind::Kind;
use super::network;
use super::scene::Scene;
use super::usual::Daily;

pub(super) static KIND: Kind = Kind {
    id: "behaviour.unusual_volume",
    title: "Far more events or bytes in a day than usual",
    level: Severity::Medium,
    tags: &["attack.exfiltration", "attack.t1030"],
    description: "A user or an own address did or carried far more today than on any usual day of this entity.",
    falsepositives: &["Backups, migrations, a new task"],
    reads: "source.bytes, network.bytes or http.response.body.bytes; events with user.name",
};

/// Days of history before a day can be unusual.
const DAYS_MIN: u16 = 8;
/// How far above: in spreads of the logarithm, and as a multiple.
const SPREADS_MIN: f32 = 4.0;
const TIMES_MIN: f32 = 5.0;
/// Below this no day is unusual.
const EVENTS_MIN: f32 = 300.0;
const BYTES_MIN: f32 = 200e6;

fn is_unusual(daily: &Daily, floor: f32) -> bool {
    daily.days >= DAYS_MIN
        && !daily.is_flagged()
        && daily.today >= floor
        && daily.today >= TIMES_MIN * daily.usual()
        && daily.spreads_above() >= SPREADS_MIN
}

fn reason(who: &str, daily: &Daily, what: impl Fn(f32) -> String) -> String {
    format!(
        "{who} has {} today; usual are {} a day ({} days learnt), today is {:.1} times that",
        what(daily.today),
        what(daily.usual()),
        daily.days,
        daily.today / daily.usual().max(1.0)
    )
}

fn megabytes(bytes: f32) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

pub(super) fn observe(scene: &mut Scene<'_, '_>) {
    let facts = scene.facts;
    let (at, bytes) = (facts.at, facts.bytes() as f32);
    let name = facts.user.as_deref().unwrap_or_default();
    let (mut said, mut entities, mut is_told) = (None, Vec::new(), false);
    if let Some(user) = scene.user()
        && !name.is_empty()
    {
        user.events.add(at, 1.0);
        if bytes > 0.0 {
            user.bytes.add(at, bytes);
        }
        if is_unusual(&user.bytes, BYTES_MIN) {
            user.bytes.flag();
            said = Some(reason(name, &user.bytes, megabytes));
        } else if is_unusual(&user.events, EVENTS_MIN) {
            user.events.flag();
            said = Some(reason(name, &user.events, |it| format!("{it:.0} events")));
        }
        is_told = user.bytes.is_flagged();
        if said.is_some() {
            entities = vec![("user.name", name.to_owned())];
        }
    }
    let is_own = scene.facts.address.is_some_and(network::is_private);
    if is_own
        && bytes > 0.0
        && matches!(scene.facts.what, What::Flow { .. } | What::Request { .. })
        && let Some(address) = scene.address()
    {
        address.bytes.add(at, bytes);
        // What a user carried from there was told under his name.
        if is_told {
            address.bytes.flag();
        } else if said.is_none() && is_unusual(&address.bytes, BYTES_MIN) {
            address.bytes.flag();
            let address_name = facts.address_text();
            said = Some(reason(&address_name, &address.bytes, megabytes));
            entities = vec![("source.ip", address_name)];
        }
    }
    if let Some(said) = said {
        scene.claim(&KIND, entities, said);
    }
}
