//! How the staged machines write: lines of sshd, sudo, nginx and a packet filter, and JSON with ECS names of an identity
//! provider, of endpoint agents and of services.

use serde_json::{Value, json};

/// A place with its addresses: what enrichment would say of them.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) city: &'static str,
    pub(super) country: &'static str,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) number: u32,
    pub(super) operator: &'static str,
}

/// 2026-11-21T18:30:00.000Z
pub(super) fn stamp(millis: i64) -> String {
    let (days, of_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    // Days to a date, by the rule of the Gregorian calendar over eras of 400 years.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", of_day % 1_000)
}

fn place(source: &mut Value, spot: Option<&Spot>) {
    if let Some(spot) = spot {
        source["geo"] = json!({
            "city_name": spot.city,
            "country_iso_code": spot.country,
            "location": {"lat": spot.latitude, "lon": spot.longitude},
        });
        source["as"] = json!({"number": spot.number, "organization": {"name": spot.operator}});
    }
}

/// A login at a service that writes JSON.
pub(super) fn login(
    at: i64,
    service: &str,
    host: Option<&str>,
    user: &str,
    ip: &str,
    spot: Option<&Spot>,
    ok: bool,
) -> String {
    let mut source = json!({"ip": ip});
    place(&mut source, spot);
    let mut record = json!({
        "@timestamp": stamp(at),
        "event": {
            "dataset": format!("{service}.auth"), "category": ["authentication"], "type": ["start"], "action": "login",
            "outcome": if ok { "success" } else { "failure" },
        },
        "service": {"name": service},
        "user": {"name": user},
        "source": source,
        "message": if ok { "login accepted" } else { "login refused" },
    });
    if let Some(host) = host {
        record["host"] = json!({"name": host});
    }
    record.to_string()
}

pub(super) fn process(at: i64, host: &str, user: &str, program: &str, parent: &str, command: &str) -> String {
    json!({
        "@timestamp": stamp(at),
        "event": {"dataset": "endpoint.process", "category": ["process"], "type": ["start"], "action": "process_started"},
        "host": {"name": host}, "user": {"name": user},
        "process": {"name": program, "command_line": command, "parent": {"name": parent}},
        "message": "process started",
    })
    .to_string()
}

pub(super) fn traffic(at: i64, user: &str, from: &str, to: &str, port: u16, bytes: u64) -> String {
    json!({
        "@timestamp": stamp(at),
        "event": {"dataset": "gateway.flow", "category": ["network"], "type": ["connection", "allowed"], "action": "flow"},
        "user": {"name": user},
        "source": {"ip": from, "bytes": bytes}, "destination": {"ip": to, "port": port},
        "message": "flow ended",
    })
    .to_string()
}

pub(super) fn service(at: i64, service: &str, host: &str, level: &str, message: &str) -> String {
    json!({
        "@timestamp": stamp(at), "log": {"level": level}, "service": {"name": service}, "host": {"name": host},
        "message": message,
    })
    .to_string()
}

pub(super) fn ssh(at: i64, host: &str, user: &str, ip: &str, port: i64, ok: bool) -> String {
    let what = if ok { "Accepted" } else { "Failed" };
    format!("{} {host} sshd[{}]: {what} password for {user} from {ip} port {port} ssh2", stamp(at), 1_000 + at % 30_000)
}

pub(super) fn sudo(at: i64, host: &str, user: &str, command: &str) -> String {
    format!("{} {host} sudo: {user} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND={command}", stamp(at))
}

/// A request in the combined format.
pub(super) fn request(at: i64, ip: &str, path: &str, status: u16, bytes: u64, agent: &str) -> String {
    let stamp = stamp(at);
    let part = |from: usize, to: usize| stamp.get(from..to).unwrap_or_default().to_owned();
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = part(5, 7).parse::<usize>().ok().and_then(|it| month.get(it - 1)).copied().unwrap_or("Jan");
    format!(
        "{ip} - - [{}/{month}/{}:{} +0000] \"GET {path} HTTP/1.1\" {status} {bytes} \"-\" \"{agent}\"",
        part(8, 10),
        part(0, 4),
        part(11, 19)
    )
}

/// A packet that the firewall refused.
pub(super) fn refused(at: i64, host: &str, from: &str, to: &str, port: u16) -> String {
    format!(
        "{} {host} kernel: [UFW BLOCK] IN=eth0 OUT= MAC= SRC={from} DST={to} LEN=44 TOS=0x00 PREC=0x00 TTL=240 ID={} \
         PROTO=TCP SPT=51234 DPT={port} WINDOW=1024 RES=0x00 SYN URGP=0",
        stamp(at),
        at % 60_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_dates_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_795_285_800, "2026-11-21T18:30:00.000Z"),
        ] {
            assert_eq!(stamp(seconds * 1_000), text);
        }
    }
}
