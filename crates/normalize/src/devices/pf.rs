//! The packet filter of pfSense and OPNsense: `filterlog` writes one row of comma-separated values a packet.
//!
//! `rule,sub-rule,anchor,tracker,interface,reason,action,direction,version,…`: what follows depends on the version of
//! IP, then on the protocol.

use panoptes_model::{BatchWriter, field};

use super::write_own;
use crate::address;
use crate::fact::{FAILURE, Fact, SUCCESS};

const DATASET: &str = "pf.filterlog";

/// Writes what the row says, if it is one. Nothing is written if it is none.
pub(super) fn write(writer: &mut BatchWriter<'_>, message: &str) -> bool {
    let mut cells = message.trim_ascii().split(',');
    let mut next = || cells.next();
    let (Some(rule), Some(_), Some(anchor), Some(tracker)) = (next(), next(), next(), next()) else { return false };
    let (Some(interface), Some(reason), Some(action)) = (next(), next(), next()) else { return false };
    let (Some(direction), Some(version)) = (next(), next()) else { return false };
    let rest: Vec<&str> = cells.collect();
    let at = |index: usize| rest.get(index).copied().unwrap_or("");
    // Where the protocol's name, the length and the addresses stand.
    let (transport, length, from) = match version {
        "4" => (at(7), at(8), 9),
        "6" => (at(3), at(5), 6),
        _ => return false,
    };
    let (Some(source), Some(destination)) = (address::ip(at(from)), address::ip(at(from + 1))) else { return false };
    let (fact, blocked) = match action {
        "block" | "reject" => (Fact::network(&["connection", "denied"], "packet_denied", FAILURE), "true"),
        "pass" => (Fact::network(&["connection", "allowed"], "packet_allowed", SUCCESS), "false"),
        _ => (Fact::network(&["connection"], "packet_logged", None), ""),
    };
    fact.write(writer, DATASET);
    if !blocked.is_empty() {
        write_own(writer, "firewall.blocked", blocked);
    }
    writer.ip(field::SOURCE_IP, source);
    writer.ip(field::DESTINATION_IP, destination);
    let transport = transport.to_ascii_lowercase();
    if matches!(transport.as_str(), "tcp" | "udp") {
        for (id, text) in [(field::SOURCE_PORT, at(from + 2)), (field::DESTINATION_PORT, at(from + 3))] {
            if let Ok(port) = text.parse::<u16>() {
                writer.integer(id, i64::from(port));
            }
        }
    }
    if !transport.is_empty() {
        writer.text(field::NETWORK_TRANSPORT, &transport);
    }
    if transport == "tcp" && !at(from + 5).is_empty() {
        write_own(writer, "tcp.flags", at(from + 5));
    }
    let way = match direction {
        "in" => Some("ingress"),
        "out" => Some("egress"),
        _ => None,
    };
    if let Some(way) = way {
        writer.text(field::NETWORK_DIRECTION, way);
    }
    for (name, value) in [
        ("rule.id", rule),
        ("pf.anchor", anchor),
        ("rule.uuid", tracker),
        ("observer.ingress.interface.name", interface),
        ("event.reason", reason),
        ("pf.action", action),
    ] {
        if !matches!(value, "" | "0") {
            write_own(writer, name, value);
        }
    }
    if let Ok(bytes) = length.parse() {
        writer.integer(field::NETWORK_BYTES, bytes);
    }
    writer.text(field::MESSAGE, message);
    true
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::value;

    #[test]
    fn packets_of_both_versions_have_their_ends_and_their_verdict() {
        let four = "<134>1 2024-01-15T10:30:00Z fw filterlog 7 - - 7,,,1000000102,em0,match,block,in,4,0x0,,64,19008,0,DF,6,tcp,60,203.0.113.9,192.0.2.8,4711,22,0,S,1,,64240,,mss";
        let six = "Jan 15 10:30:00 fw filterlog[7]: 8,,,0,em1,match,pass,out,6,0x00,0x1,64,UDP,17,44,2001:db8::9,2001:db8::8,5353,53,36";
        for (line, name, expected) in [
            (four, "event.dataset", "pf.filterlog"),
            (four, "source.ip", "203.0.113.9"),
            (four, "destination.port", "22"),
            (four, "network.transport", "tcp"),
            (four, "tcp.flags", "S"),
            (four, "event.action", "packet_denied"),
            (four, "firewall.blocked", "true"),
            (four, "network.direction", "ingress"),
            (four, "observer.ingress.interface.name", "em0"),
            (six, "source.ip", "2001:db8::9"),
            (six, "source.port", "5353"),
            (six, "network.transport", "udp"),
            (six, "event.action", "packet_allowed"),
        ] {
            assert_eq!(value(line, name), expected, "{name} of {line}");
        }
        for other in
            ["", "7,,,1,em0,match,block,in,5,x", "7,,,1,em0,match,block,in,4,0x0,,64,1,0,DF,6,tcp,60,no,192.0.2.8"]
        {
            assert_ne!(value(&format!("Jan 15 10:30:00 fw filterlog[7]: {other}"), "event.dataset"), "pf.filterlog");
        }
    }
}
