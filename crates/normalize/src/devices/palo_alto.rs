//! PAN-OS: one record is one row of comma-separated values without a header.
//!
//! `1,2024/01/15 10:30:00,0123,TRAFFIC,end,2561,2024/01/15 10:30:00,203.0.113.9,192.0.2.8,…`: the fourth value says
//! which table the row is of, and with it what the others are called.

use panoptes_model::{BatchWriter, field};

use super::write_own;
use crate::context::Context;
use crate::fact::{FAILURE, Fact, SUCCESS, write_user};
use crate::time::Civil;
use crate::{address, time};

const DATASET: &str = "panw.panos";
/// How many columns are read; the rest is only in the original text.
const COLUMNS_MAX: usize = 128;

/// The columns by their place, as far as they have a field. Empty: passed over.
type Columns = &'static [&'static str];

/// What traffic and threats have in common.
const SESSION: Columns = &[
    "",
    "@timestamp",
    "observer.serial_number",
    "panw.panos.type",
    "panw.panos.sub_type",
    "panw.panos.config_version",
    "generated",
    "source.ip",
    "destination.ip",
    "source.nat.ip",
    "destination.nat.ip",
    "rule.name",
    "user.name",
    "destination.user.name",
    "network.application",
    "panw.panos.virtual_sys",
    "observer.ingress.zone",
    "observer.egress.zone",
    "observer.ingress.interface.name",
    "observer.egress.interface.name",
    "panw.panos.log_profile",
    "",
    "panw.panos.flow_id",
    "panw.panos.repeat_count",
    "source.port",
    "destination.port",
    "source.nat.port",
    "destination.nat.port",
    "panw.panos.flags",
    "network.transport",
    "event.action",
];
const TRAFFIC: Columns = &[
    "network.bytes",
    "source.bytes",
    "destination.bytes",
    "network.packets",
    "",
    "panw.panos.elapsed_seconds",
    "panw.panos.url.category",
    "panw.panos.reserved",
    "panw.panos.sequence_number",
    "panw.panos.action_flags",
    "source.geo.name",
    "destination.geo.name",
    "",
    "source.packets",
    "destination.packets",
    "event.reason",
];
const THREAT: Columns = &[
    "url.original",
    "panw.panos.threat.name",
    "panw.panos.url.category",
    "panw.panos.severity",
    "panw.panos.direction",
    "panw.panos.sequence_number",
    "panw.panos.action_flags",
    "source.geo.name",
    "destination.geo.name",
    "panw.panos.reserved",
    "panw.panos.content_type",
    "panw.panos.pcap_id",
    "panw.panos.file.hash",
    "panw.panos.wildfire.name",
    "",
    "user_agent.original",
    "file.type",
    "network.forwarded_ip",
    "http.request.referrer",
];
const SYSTEM: Columns = &[
    "",
    "@timestamp",
    "observer.serial_number",
    "panw.panos.type",
    "panw.panos.sub_type",
    "panw.panos.config_version",
    "generated",
    "panw.panos.virtual_sys",
    "event.code",
    "panw.panos.object",
    "",
    "",
    "panw.panos.module",
    "panw.panos.severity",
    "message",
];
const CONFIG: Columns = &[
    "",
    "@timestamp",
    "observer.serial_number",
    "panw.panos.type",
    "panw.panos.sub_type",
    "panw.panos.config_version",
    "generated",
    "source.ip",
    "panw.panos.virtual_sys",
    "process.command_line",
    "user.name",
    "panw.panos.client",
    "panw.panos.result",
    "panw.panos.path",
];
const GLOBAL_PROTECT: Columns = &[
    "",
    "@timestamp",
    "observer.serial_number",
    "panw.panos.type",
    "panw.panos.sub_type",
    "panw.panos.config_version",
    "generated",
    "panw.panos.virtual_sys",
    "event.code",
    "panw.panos.stage",
    "panw.panos.auth_method",
    "panw.panos.tunnel_type",
    "user.name",
    "source.geo.name",
    "source.domain",
    "source.ip",
    "",
    "client.nat.ip",
    "",
    "",
    "panw.panos.client.version",
    "host.os.full",
    "",
    "panw.panos.repeat_count",
    "event.reason",
    "error.message",
    "panw.panos.description",
    "panw.panos.result",
];

/// A number, then a time, then more: cheap to ask first.
fn received(message: &str) -> Option<Civil> {
    let comma = message.bytes().take(4).position(|it| it == b',').filter(|it| *it > 0)?;
    let (civil, rest) = time::leading(message.get(comma + 1..)?)?;
    rest.starts_with(',').then_some(civil)
}

/// Whether `message` begins like a row.
pub(crate) fn begins_row(message: &str) -> bool {
    received(message).is_some()
}

/// Writes what the row says, if it is one. Nothing is written if it is none.
pub(super) fn write(writer: &mut BatchWriter<'_>, message: &str, context: &Context<'_>) -> bool {
    let Some(received) = received(message) else { return false };
    let columns: Vec<&str> = Row(Some(message)).take(COLUMNS_MAX).collect();
    let (Some(kind), Some(sub)) = (columns.get(3), columns.get(4)) else { return false };
    let tables: [Columns; 2] = match *kind {
        "TRAFFIC" => [SESSION, TRAFFIC],
        "THREAT" => [SESSION, THREAT],
        "SYSTEM" => [SYSTEM, &[]],
        "CONFIG" => [CONFIG, &[]],
        "GLOBALPROTECT" => [GLOBAL_PROTECT, &[]],
        _ => return false,
    };
    let names = tables.into_iter().flatten().copied();
    let named: Vec<(&str, &str)> = names.zip(columns.iter().copied()).filter(|it| !it.0.is_empty()).collect();
    let said = |name: &str| named.iter().find(|it| it.0 == name).map_or("", |it| it.1);
    let action = said("event.action");
    let blocked = ["deny", "drop", "reset", "block"].iter().any(|it| action.contains(it));
    let failed = ["fail", "error", "invalid"]
        .iter()
        .any(|it| said("event.code").contains(it) || said("panw.panos.result").eq_ignore_ascii_case("failure"));
    let outcome = if failed { FAILURE } else { SUCCESS };
    let fact = match (*kind, *sub) {
        ("THREAT", _) => Fact {
            category: &["intrusion_detection", "threat", "network"],
            kind: if blocked { &["indicator", "denied"] } else { &["indicator", "allowed"] },
            action: "threat_found",
            outcome: None,
        },
        ("TRAFFIC", _) if blocked => Fact::network(&["connection", "denied"], "packet_denied", FAILURE),
        ("TRAFFIC", _) => Fact::network(&["connection", "allowed"], "packet_allowed", SUCCESS),
        ("GLOBALPROTECT", _) => Fact::authentication(&["start"], "vpn_login", outcome),
        ("SYSTEM", "auth") => Fact::authentication(&["start"], "device_login", outcome),
        ("CONFIG", _) => Fact { category: &["configuration"], kind: &["change"], action: "device_configured", outcome },
        _ => Fact { category: &["host"], kind: &["info"], action: "device_message", outcome: None },
    };
    fact.write(writer, DATASET);
    // When the device made the record is nearer to what happened than when its log received it.
    match time::leading(said("generated")) {
        Some((generated, _)) => context.stamp(writer, &generated),
        None => context.stamp(writer, &received),
    }
    for (name, value) in &named {
        write_column(writer, name, value);
    }
    if matches!(*kind, "THREAT" | "TRAFFIC") {
        write_own(writer, "firewall.blocked", if blocked { "true" } else { "false" });
    }
    let severity = match said("panw.panos.severity") {
        "informational" => Some("info"),
        "low" => Some("notice"),
        "medium" => Some("warning"),
        "high" => Some("error"),
        "critical" => Some("critical"),
        _ => None,
    };
    if let Some(level) = severity.filter(|_| !writer.has(field::LOG_LEVEL)) {
        writer.text(field::LOG_LEVEL, level);
    }
    if !writer.has(field::MESSAGE) {
        writer.text(field::MESSAGE, message);
    }
    true
}

fn write_column(writer: &mut BatchWriter<'_>, name: &str, value: &str) {
    if matches!(value, "" | "any" | "N/A") || matches!(name, "@timestamp" | "generated") {
        return;
    }
    match name {
        // Its own word; what it means is in the fact.
        "event.action" => write_own(writer, "panw.panos.action", value),
        "user.name" => write_user(writer, field::USER_NAME, value),
        "source.ip" => _ = address::write_source(writer, value, None),
        "destination.ip" => {
            if let Some(address) = address::ip(value) {
                writer.ip(field::DESTINATION_IP, address);
            }
        }
        "panw.panos.threat.name" => {
            // `Name of it(40015)`
            write_own(writer, name, value);
            if let Some((_, number)) = value.strip_suffix(')').and_then(|it| it.rsplit_once('(')) {
                write_own(writer, "panw.panos.threat.id", number);
            }
        }
        _ => {
            if let Some(id) = writer.field(name).filter(|it| !writer.has(*it)) {
                writer.typed(id, value);
            }
        }
    }
}

/// The cells of a row; one in quotes may have commas. A doubled quote inside of quotes stays doubled.
struct Row<'t>(Option<&'t str>);

impl<'t> Iterator for Row<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let rest = self.0.take()?;
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut from = 0;
            while let Some(at) = memchr::memchr(b'"', quoted.as_bytes().get(from..)?).map(|it| from + it) {
                if quoted.as_bytes().get(at + 1) == Some(&b'"') {
                    from = at + 2;
                    continue;
                }
                let after = quoted.get(at + 1..).unwrap_or("");
                self.0 = after.strip_prefix(',').or_else(|| Some(after.split_once(',')?.1));
                return quoted.get(..at);
            }
        }
        match rest.split_once(',') {
            Some((cell, after)) => {
                self.0 = Some(after);
                Some(cell)
            }
            None => Some(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tests::value;

    const THREAT_LINE: &str = r#"Jan 15 10:30:01 fw 1,2024/01/15 10:30:01,0123,THREAT,vulnerability,2561,2024/01/15 10:30:00,203.0.113.9,192.0.2.8,203.0.113.9,10.0.0.8,in-web,,corpob,web-browsing,vsys1,Untrust,DMZ,ethernet1/1,ethernet1/2,log,2024/01/15 10:30:00,77,1,4711,80,4711,8080,0x2000,tcp,reset-both,"h.example/a,b",Some Scanner(58433),any,high,client-to-server,9,0x0,Germany,France,0,,"#;

    #[test]
    fn threats_have_their_ends_their_verdict_and_their_name() {
        for (name, expected) in [
            ("event.dataset", "panw.panos"),
            ("@timestamp", "2024-01-15T10:30:01Z"),
            ("source.ip", "203.0.113.9"),
            ("source.port", "4711"),
            ("destination.ip", "192.0.2.8"),
            ("destination.nat.port", "8080"),
            ("rule.name", "in-web"),
            ("observer.ingress.zone", "Untrust"),
            ("network.transport", "tcp"),
            ("url.original", "h.example/a,b"),
            ("panw.panos.threat.id", "58433"),
            ("panw.panos.action", "reset-both"),
            ("event.type", "indicator,denied"),
            ("firewall.blocked", "true"),
            ("source.geo.name", "Germany"),
            ("log.level", "error"),
        ] {
            assert_eq!(value(THREAT_LINE, name), expected, "{name}");
        }
    }

    #[test]
    fn other_tables_are_read_too_and_other_rows_are_not() {
        let line = "<14>Jan 15 10:30:00 fw 1,2024/01/15 10:30:00,0123,SYSTEM,auth,0,2024/01/15 10:30:00,,auth-fail,,0,0,general,medium,failed authentication for user 'bob'. From: 203.0.113.9.,7,0x0";
        assert_eq!(
            (value(line, "event.category"), value(line, "event.outcome")),
            ("authentication".into(), "failure".into())
        );
        assert_eq!(value(line, "message"), "failed authentication for user 'bob'. From: 203.0.113.9.");
        for other in [
            "1,2024/01/15 10:30:00,a,OTHER,b,c",
            "1,2024/01/15 10:30:00",
            "12345,2024/01/15 10:30:00,a,THREAT,b",
            ",2024/01/15 10:30:00,a,THREAT,b",
        ] {
            assert_ne!(value(&format!("Jan 15 10:30:00 fw {other}"), "event.dataset"), "panw.panos", "{other}");
        }
    }

    #[test]
    fn cells_in_quotes_may_have_commas() {
        assert_eq!(Row(Some(r#"a,"b,c",,"d""e""#)).collect::<Vec<_>>(), ["a", "b,c", "", r#"d""e"#]);
        assert_eq!(Row(Some(r#""open,x"#)).collect::<Vec<_>>(), ["\"open", "x"]);
    }
}
