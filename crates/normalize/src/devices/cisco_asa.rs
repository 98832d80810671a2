//! Cisco's firewalls (ASA, FTD, PIX): messages by number.

use panoptes_model::{BatchWriter, field};

use super::cisco::{COMMAND, LOGIN};
use super::{write_once, write_own};
use crate::address;
use crate::fact::{FAILURE, Fact, SUCCESS, Words, write_dataset};
use crate::text::between;

const DATASET: &str = "cisco.asa";

/// Writes what message `number` says.
pub(super) fn write(writer: &mut BatchWriter<'_>, number: &str, text: &str) {
    let quoted = |mark: &str| text.split_once(mark).and_then(|it| it.1.split_once(['"', '\''])).map(|it| it.0);
    let value = |mark: &str| text.split_once(mark).and_then(|it| it.1.split([' ', ',', ':']).next());
    match number {
        // Deny …; an access list's verdict.
        "106001" | "106006" | "106007" | "106010" | "106014" | "106015" | "106021" | "106023" | "710003" => {
            packet(writer, text, true);
        }
        "106100" | "106102" | "106103" => {
            // `access-list in denied tcp outside/192.0.2.7(4711) -> inside/192.0.2.8(80) …`
            packet(writer, text, text.contains(" denied "));
        }
        "302013" | "302015" | "302017" | "302020" => connection(writer, text),
        "113004" | "113005" | "113006" | "113008" | "113012" | "113015" | "113021" => {
            let outcome = if matches!(number, "113004" | "113008" | "113012") { SUCCESS } else { FAILURE };
            LOGIN.with(outcome).write(writer, DATASET);
            write_once(writer, field::USER_NAME, value("user = ").or_else(|| quoted("User '")).unwrap_or(""));
            write_once(writer, field::EVENT_REASON, text.split_once("reason = ").map_or("", |it| first_part(it.1)));
            source(writer, value("user IP = "));
        }
        "605004" | "605005" => {
            LOGIN.with(if number == "605004" { FAILURE } else { SUCCESS }).write(writer, DATASET);
            write_once(writer, field::USER_NAME, quoted("for user \"").unwrap_or(""));
            let (from, to) =
                text.split_once(" from ").map_or(("", ""), |it| it.1.split_once(" to ").unwrap_or((it.1, "")));
            endpoint(writer, from.split(' ').next().unwrap_or(""), true);
            endpoint(writer, to.split(' ').next().unwrap_or(""), false);
        }
        "611101" | "611102" => {
            LOGIN.with(if number == "611102" { FAILURE } else { SUCCESS }).write(writer, DATASET);
            source(writer, value("IP address: ").or_else(|| value("IP = ")));
            write_once(writer, field::USER_NAME, value("Uname: ").or_else(|| value("user: ")).unwrap_or(""));
        }
        "111008" | "111009" | "111010" => {
            COMMAND.write(writer, DATASET);
            write_once(writer, field::USER_NAME, quoted("ser '").unwrap_or(""));
            write_once(
                writer,
                field::PROCESS_COMMAND_LINE,
                quoted("executed the '").or_else(|| quoted("executed '")).unwrap_or(""),
            );
            source(writer, value("from IP "));
        }
        _ => {
            write_dataset(writer, DATASET);
            if let Some((address, port)) = address::find_introduced(text) {
                writer.ip(field::SOURCE_IP, address);
                if let Some(port) = port {
                    writer.integer(field::SOURCE_PORT, i64::from(port));
                }
            }
        }
    }
}

fn first_part(text: &str) -> &str {
    text.split(" : ").next().unwrap_or(text).trim_ascii()
}

fn source(writer: &mut BatchWriter<'_>, text: Option<&str>) {
    if let Some(text) = text {
        address::write_source(writer, text, None);
    }
}

/// `Deny tcp src outside:192.0.2.7/4711 dst inside:192.0.2.8/80 by access-group "x"` and its relatives: the first two
/// ends that are named are source and destination.
fn packet(writer: &mut BatchWriter<'_>, text: &str, denied: bool) {
    let (action, kind, outcome, blocked): (_, Words, _, _) = if denied {
        ("packet_denied", &["connection", "denied"], FAILURE, "true")
    } else {
        ("packet_allowed", &["connection", "allowed"], SUCCESS, "false")
    };
    Fact::network(kind, action, outcome).write(writer, DATASET);
    write_own(writer, "firewall.blocked", blocked);
    let mut words = text.split([' ', ',', ';']).filter(|it| !it.is_empty());
    let transport =
        words.clone().find(|it| matches!(it.to_ascii_lowercase().as_str(), "tcp" | "udp" | "icmp" | "sctp"));
    if let Some(transport) = transport {
        writer.text_with(field::NETWORK_TRANSPORT, |out| out.push_str(&transport.to_ascii_lowercase()));
    }
    let mut is_source = true;
    while let Some(word) = words.next()
        && !(writer.has(field::SOURCE_IP) && writer.has(field::DESTINATION_IP))
    {
        if endpoint(writer, word, is_source) {
            is_source = false;
        }
    }
    let list = text.split_once("access-group \"").and_then(|it| it.1.split_once('"')).map(|it| it.0);
    if let Some(list) = list.or_else(|| between(text, "access-list ", ' ').map(|it| it.0)) {
        writer.text(field::RULE_NAME, list);
    }
}

/// `Built inbound TCP connection 7 for outside:192.0.2.7/4711 (…) to inside:192.0.2.8/80 (…)`
fn connection(writer: &mut BatchWriter<'_>, text: &str) {
    Fact::network(&["connection", "start", "allowed"], "connection_built", SUCCESS).write(writer, DATASET);
    write_own(writer, "firewall.blocked", "false");
    let Some((direction, rest)) = between(text, "Built ", ' ') else { return };
    let outbound = direction == "outbound";
    writer.text(field::NETWORK_DIRECTION, if outbound { "outbound" } else { "inbound" });
    if let Some((transport, _)) = rest.split_once(' ') {
        writer.text_with(field::NETWORK_TRANSPORT, |out| out.push_str(&transport.to_ascii_lowercase()));
    }
    let first = rest.split_once(" for ").and_then(|it| it.1.split(' ').next()).unwrap_or("");
    let second = rest.split_once(" to ").and_then(|it| it.1.split(' ').next()).unwrap_or("");
    // The less trusted end stands first, whoever began.
    endpoint(writer, first, !outbound);
    endpoint(writer, second, outbound);
}

/// `inside:192.0.2.8/80`, `inside/192.0.2.8(80)`, `192.0.2.8/80`
fn endpoint(writer: &mut BatchWriter<'_>, text: &str, is_source: bool) -> bool {
    let text = text.trim_matches(['"', ')', '.', ',']);
    let (address, port) = match text.split_once('(') {
        // `inside/192.0.2.8(80)`: a user may follow in further parentheses.
        Some((bare, port)) => (bare.rsplit('/').next().unwrap_or(bare), port.split(')').next().unwrap_or("")),
        None => {
            let bare = text
                .split_once(':')
                .filter(|it| address::ip(text).is_none() && !it.0.contains('/'))
                .map_or(text, |it| it.1);
            bare.split_once('/').unwrap_or((bare, ""))
        }
    };
    let Some(address) = address::ip(address) else { return false };
    let (ip, port_id) = if is_source {
        (field::SOURCE_IP, field::SOURCE_PORT)
    } else {
        (field::DESTINATION_IP, field::DESTINATION_PORT)
    };
    writer.ip(ip, address);
    if let Ok(port) = port.parse::<u16>() {
        writer.integer(port_id, i64::from(port));
    }
    true
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::value;

    fn read(text: &str, names: &[&str]) -> String {
        let line = format!("<166>Jan 15 2024 10:30:00 fw1 : %ASA-{text}");
        names.iter().map(|it| value(&line, it)).collect::<Vec<_>>().join("|")
    }

    const ENDS: [&str; 5] = ["event.action", "source.ip", "source.port", "destination.ip", "destination.port"];

    #[test]
    fn packets_and_connections_have_their_ends() {
        for (text, expected) in [
            (
                "4-106023: Deny tcp src outside:203.0.113.9/4711 dst inside:192.0.2.8/80 by access-group \"in\" [0x0, 0x0]",
                "packet_denied|203.0.113.9|4711|192.0.2.8|80",
            ),
            (
                "6-106100: access-list in permitted udp outside/203.0.113.9(4711) -> inside/192.0.2.8(53) hit-cnt 1",
                "packet_allowed|203.0.113.9|4711|192.0.2.8|53",
            ),
            (
                "2-106001: Inbound TCP connection denied from 203.0.113.9/4711 to 192.0.2.8/22 flags SYN on interface outside",
                "packet_denied|203.0.113.9|4711|192.0.2.8|22",
            ),
            (
                "6-302013: Built inbound TCP connection 7 for outside:203.0.113.9/4711 (203.0.113.9/4711) to inside:192.0.2.8/80 (192.0.2.8/80)",
                "connection_built|203.0.113.9|4711|192.0.2.8|80",
            ),
            (
                "6-302015: Built outbound UDP connection 7 for outside:203.0.113.9/53 (203.0.113.9/53) to inside:192.0.2.8/4711 (192.0.2.8/4711)",
                "connection_built|192.0.2.8|4711|203.0.113.9|53",
            ),
            (
                "4-106023: Deny udp src outside:2001:db8::5/4711 dst inside:2001:db8::8/53 by access-group \"in\"",
                "packet_denied|2001:db8::5|4711|2001:db8::8|53",
            ),
        ] {
            assert_eq!(read(text, &ENDS), expected, "{text}");
        }
    }

    #[test]
    fn logins_and_commands_have_their_user() {
        let names = ["event.action", "event.outcome", "user.name", "source.ip", "process.command_line"];
        for (text, expected) in [
            (
                "6-113005: AAA user authentication Rejected : reason = AAA failure : server = 192.0.2.5 : user = bob : user IP = 203.0.113.9",
                "device_login|failure|bob|203.0.113.9|",
            ),
            (
                "6-113004: AAA user authentication Successful : server = 192.0.2.5 : user = bob",
                "device_login|success|bob||",
            ),
            (
                "6-605004: Login denied from 203.0.113.9/4711 to inside:192.0.2.8/ssh for user \"bob\"",
                "device_login|failure|bob|203.0.113.9|",
            ),
            ("5-111008: User 'bob' executed the 'no logging on' command.", "device_command||bob||no logging on"),
            (
                "5-111010: User 'bob', running 'CLI' from IP 203.0.113.9, executed 'write erase'",
                "device_command||bob|203.0.113.9|write erase",
            ),
        ] {
            assert_eq!(read(text, &names), expected, "{text}");
        }
        assert_eq!(read("5-199999: something", &["event.dataset", "event.code"]), "cisco.asa|ASA-5-199999");
    }
}
