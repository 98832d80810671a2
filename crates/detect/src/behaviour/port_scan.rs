//! One address knocks at many ports of a host, or at many hosts.
//!
//! *What they claim.* `port_scan`: many different ports of one host within minutes, or refused ones within a day.
//! `host_scan`: the same port of many hosts, refused.
//!
//! *When they are wrong.* A scanner of one's own: an own address that was told on [`OWN_DAYS`] days is known to scan and
//! goes quiet. Answers come from a service to high ports: those are left out. Connections that a firewall lets through
//! are no sign that many hosts are searched: a proxy or a mail server has many partners.

use panoptes_model::{Severity, Value, field};

use super::facts::{What, short};
use super::kind::Kind;
use super::network;
use super::profile::{FLOWS_MAX, Flow, keep_newest};
use super::scene::Scene;
use super::time::{At, DAY, MINUTE, span_text};
use super::usual::Standing;

const READS: &str = "firewall and connection events with source.ip, destination.ip and destination.port";

pub(super) static PORTS: Kind = Kind {
    id: "behaviour.port_scan",
    title: "Many ports of one host tried",
    level: Severity::Low,
    tags: &["attack.discovery", "attack.t1046"],
    description: "One address tried many different ports of one host within minutes, or was refused at many within a day.",
    falsepositives: &["Scanners and inventories of one's own, until they are known", "Active FTP, some games"],
    reads: READS,
};

pub(super) static HOSTS: Kind = Kind {
    id: "behaviour.host_scan",
    title: "Many hosts tried at one port",
    level: Severity::Low,
    tags: &["attack.discovery", "attack.t1018", "attack.t1046"],
    description: "One address was refused at the same port of many hosts within minutes or within a day.",
    falsepositives: &["Scanners and inventories of one's own, until they are known"],
    reads: READS,
};

const FAST: u32 = 10 * MINUTE;
const SLOW: u32 = DAY;
/// From so many ports within a minute on, the rule speaks.
const RULED_PORTS: usize = 10;
/// Different ports of one host.
const PORTS_FAST_MIN: usize = 20;
const PORTS_SLOW_MIN: usize = 25;
/// Different hosts at one port, refused.
const HOSTS_FAST_MIN: usize = 20;
const HOSTS_SLOW_MIN: usize = 30;
/// From here on ports are those of clients: what goes there is an answer.
const CLIENT_PORTS: u16 = 32_768;
/// On so many earlier days an own address must have been told to be known as a scanner.
pub(super) const OWN_DAYS: u16 = 3;
const QUIET: u32 = DAY;

/// How many different values there are.
pub(super) fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> usize {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.dedup();
    values.len()
}

pub(super) fn observe(scene: &mut Scene<'_, '_>) {
    let What::Flow { to, port, denied } = scene.facts.what else { return };
    if !denied && port >= CLIENT_PORTS {
        return;
    }
    let facts = scene.facts;
    let (at, id) = (facts.at, facts.event.id());
    let is_own = scene.facts.address.is_some_and(network::is_private);
    let is_ruled = matches!(scene.facts.get(field::EVENT_ACTION), Some(Value::Text("packet_denied" | "packet_logged")));
    let Some(address) = scene.address() else { return };
    let target = short(&to.to_string());
    let same = |it: &&Flow| it.to == target && it.port == port && at.since(it.at) < MINUTE;
    // The same knock again within a minute says nothing new and would push out others.
    if address.flows.iter().rev().take(8).any(|it| same(&it)) {
        return;
    }
    keep_newest(&mut address.flows, FLOWS_MAX, Flow { at, to: target, port, denied });
    address.evidence.add(id);
    if address.flows.len() < PORTS_FAST_MIN.min(HOSTS_FAST_MIN) {
        return;
    }
    let within = |seconds: u32| address.flows.iter().filter(move |it| at.since(it.at) <= seconds);
    let ports = |seconds: u32, all: bool| {
        distinct(within(seconds).filter(|it| it.to == target && (all || it.denied)).map(|it| it.port))
    };
    // Fast knocking that a firewall refused is counted by a rule, `Port scan seen by a firewall`.
    let is_told_by_rule = is_ruled && ports(MINUTE, false) >= RULED_PORTS;
    if is_told_by_rule {
        address.told.may_tell(5, at, QUIET);
        return;
    }
    let hosts = |seconds: u32| distinct(within(seconds).filter(|it| it.port == port && it.denied).map(|it| it.to));
    let (kind, what, count, span) = if ports(FAST, true) >= PORTS_FAST_MIN {
        (&PORTS, 5, ports(FAST, true), FAST)
    } else if hosts(FAST) >= HOSTS_FAST_MIN {
        (&HOSTS, 6, hosts(FAST), FAST)
    } else if ports(SLOW, false) >= PORTS_SLOW_MIN {
        (&PORTS, 5, ports(SLOW, false), SLOW)
    } else if hosts(SLOW) >= HOSTS_SLOW_MIN {
        (&HOSTS, 6, hosts(SLOW), SLOW)
    } else {
        return;
    };
    let first = within(span).map(|it| it.at).min().unwrap_or(at);
    if !address.told.may_tell(what, at, QUIET) {
        return;
    }
    if is_known_scanner(is_own, &mut address.scans, what, at) {
        return;
    }
    let (evidence, name) = (address.evidence.ids(count), facts.address_text());
    let (entities, tried) = if std::ptr::eq(kind, &PORTS) {
        (
            vec![("destination.ip", to.to_string()), ("source.ip", name.clone())],
            format!(
                "{count} different ports of {to}, limit {}",
                if span == FAST { PORTS_FAST_MIN } else { PORTS_SLOW_MIN }
            ),
        )
    } else {
        (
            vec![("source.ip", name.clone())],
            format!(
                "port {port} of {count} different hosts, refused, limit {}",
                if span == FAST { HOSTS_FAST_MIN } else { HOSTS_SLOW_MIN }
            ),
        )
    };
    let reason = format!("{name} tried {tried} within {}", span_text(span));
    scene.claim_of(kind, entities, reason, first, count as u64, evidence);
}

/// Whether an own address has scanned on enough earlier days to be known for it. Today is noted.
pub(super) fn is_known_scanner(is_own: bool, scans: &mut super::usual::Values, what: u8, at: At) -> bool {
    let name = u32::from(what);
    let is_known = is_own && matches!(scans.standing(name, at), Standing::Seen(days) if days >= OWN_DAYS);
    scans.learn(name, at);
    is_known
}
