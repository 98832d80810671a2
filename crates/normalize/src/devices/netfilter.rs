//! The packet filter of Linux: `[UFW BLOCK] IN=eth0 OUT= MAC=… SRC=192.0.2.7 DST=192.0.2.8 … PROTO=TCP SPT=4711 DPT=22 …`.

use panoptes_model::{BatchWriter, field};

use super::write_own;
use crate::address;
use crate::fact::{FAILURE, Fact, SUCCESS, Words};
use crate::text::value_of;

const DATASET: &str = "linux.netfilter";
/// How long the prefix may be that a rule gives its packets: the kernel allows 128 bytes.
const PREFIX_BYTES_MAX: usize = 192;

/// Parts of the packet's header, and the fields that they have.
const HEADER: &[(&str, &str)] = &[
    ("IN", "observer.ingress.interface.name"),
    ("OUT", "observer.egress.interface.name"),
    ("MAC", "iptables.mac"),
    ("LEN", "iptables.length"),
    ("TOS", "iptables.tos"),
    ("PREC", "iptables.precedence_bits"),
    ("TTL", "iptables.ttl"),
    ("ID", "iptables.id"),
    ("WINDOW", "iptables.tcp.window"),
    ("RES", "iptables.tcp.reserved_bits"),
    ("URGP", "iptables.tcp.urgent_pointer"),
    ("MARK", "iptables.mark"),
    ("TYPE", "iptables.icmp.type"),
    ("CODE", "iptables.icmp.code"),
];

/// The same without the kernel's name in front, as routers write it: only if the packet is told in full.
pub(super) fn write_unannounced(writer: &mut BatchWriter<'_>, message: &str) -> bool {
    memchr::memmem::find(message.as_bytes(), b" LEN=").is_some()
        && memchr::memmem::find(message.as_bytes(), b" PROTO=").is_some()
        && write(writer, message)
}

pub(super) fn write(writer: &mut BatchWriter<'_>, message: &str) -> bool {
    let head = message.as_bytes().get(..PREFIX_BYTES_MAX).unwrap_or(message.as_bytes());
    let Some(at) = memchr::memmem::find(head, b"IN=") else { return false };
    let Some((prefix, packet)) = message.split_at_checked(at) else { return false };
    let said = |key| value_of(packet, key);
    let (Some(from), Some(to)) = (said("SRC").and_then(address::ip), said("DST").and_then(address::ip)) else {
        return false;
    };
    if said("OUT").is_none() {
        return false;
    }
    // What became of the packet is in the words of whoever wrote the rule, if at all.
    let has = |words: &[&str]| {
        let mut parts = prefix.split(|it: char| !it.is_ascii_alphanumeric());
        parts.any(|part| words.iter().any(|it| part.eq_ignore_ascii_case(it)))
    };
    // UniFi names the chain, a letter for what becomes of the packet, and the rule: `[WAN_LOCAL-D-4000]`.
    let letter = |letter: &str| prefix.split(['[', ']', ' ']).any(|it| it.split('-').nth(1) == Some(letter));
    let (action, kind, outcome, blocked): (_, Words, _, _) =
        if has(&["block", "drop", "dropped", "reject", "rejected", "deny", "denied", "blocked"])
            || letter("D")
            || letter("R")
        {
            ("packet_denied", &["connection", "denied"], FAILURE, Some("true"))
        } else if has(&["allow", "allowed", "accept", "accepted"]) || letter("A") {
            ("packet_allowed", &["connection", "allowed"], SUCCESS, Some("false"))
        } else {
            ("packet_logged", &["connection"], None, None)
        };
    Fact::network(kind, action, outcome).write(writer, DATASET);
    if let Some(blocked) = blocked {
        write_own(writer, "firewall.blocked", blocked);
    }
    writer.ip(field::SOURCE_IP, from);
    writer.ip(field::DESTINATION_IP, to);
    for (key, id) in [("SPT", field::SOURCE_PORT), ("DPT", field::DESTINATION_PORT)] {
        if let Some(port) = said(key).and_then(|it| it.parse::<u16>().ok()) {
            writer.integer(id, i64::from(port));
        }
    }
    if let Some(transport) = said("PROTO").filter(|it| it.len() <= 16 && !it.is_empty()) {
        writer.text_with(field::NETWORK_TRANSPORT, |out| out.push_str(&transport.to_ascii_lowercase()));
    }
    let (inside, outside) = (said("IN").unwrap_or(""), said("OUT").unwrap_or(""));
    let direction = match (inside.is_empty(), outside.is_empty()) {
        (false, true) => Some("ingress"),
        (true, false) => Some("egress"),
        _ => None,
    };
    if let Some(direction) = direction {
        writer.text(field::NETWORK_DIRECTION, direction);
    }
    for (key, name) in HEADER {
        if let Some(value) = said(key).filter(|it| !it.is_empty()) {
            write_own(writer, name, value);
        }
    }
    // `[   12.345678] [UFW BLOCK] `
    let rule = prefix.trim_ascii().trim_end_matches(':');
    let rule = rule.strip_prefix('[').and_then(|it| it.split_once("] ")).map_or(rule, |(_, rule)| rule).trim_ascii();
    let rule = rule.trim_matches(['[', ']']);
    if !rule.is_empty() {
        writer.text(field::RULE_NAME, rule);
    }
    writer.text(field::MESSAGE, message);
    true
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::value;

    #[test]
    fn packets_have_their_ends_and_their_verdict() {
        let line = "Jan 15 10:30:00 h kernel: [   12.345678] [UFW BLOCK] IN=eth0 OUT= MAC=00:11 SRC=203.0.113.9 DST=192.0.2.8 LEN=40 TTL=243 PROTO=TCP SPT=4711 DPT=22 WINDOW=1024 SYN";
        let get = |name| value(line, name);
        assert_eq!((get("source.ip"), get("destination.port")), ("203.0.113.9".into(), "22".into()));
        assert_eq!((get("event.dataset"), get("event.action")), ("linux.netfilter".into(), "packet_denied".into()));
        assert_eq!((get("rule.name"), get("network.transport")), ("UFW BLOCK".into(), "tcp".into()));
        assert_eq!((get("network.direction"), get("firewall.blocked")), ("ingress".into(), "true".into()));
        let plain = "Jan 15 10:30:00 h kernel: IN=eth0 OUT=eth1 SRC=2001:db8::5 DST=2001:db8::8 PROTO=UDP SPT=1 DPT=53";
        assert_eq!(
            (value(plain, "event.action"), value(plain, "source.ip")),
            ("packet_logged".into(), "2001:db8::5".into())
        );
        for other in ["IN=eth0 OUT= SRC=x DST=y", "IN=eth0 SRC=192.0.2.1 DST=192.0.2.2", "LOGIN=x SRC=192.0.2.1"] {
            assert_ne!(
                value(&format!("Jan 15 10:30:00 h kernel: {other}"), "event.dataset"),
                "linux.netfilter",
                "{other}"
            );
        }
    }
}
