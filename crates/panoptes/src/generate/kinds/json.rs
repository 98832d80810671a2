//! Application logs, one JSON object a line.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use super::super::cast::{APP_HOSTS, Cast};
use super::super::pool::{Dress, LineWriter, Pool};
use super::super::stamp::Stamp;
use super::{LogKind, Rare, Source, pick};

pub(super) static KIND: LogKind = LogKind { name: "json", weight: 20, build };

/// local0, informational.
const PRIORITY: u8 = 134;

/// One object. `message` and `more` are JSON already: whoever calls writes no character that JSON would escape.
/// `more` starts with a comma.
pub(in super::super) fn write(
    line: &mut LineWriter<'_>,
    (host, source): (&str, &str),
    level: &str,
    message: fmt::Arguments<'_>,
    more: impl FnOnce(&mut LineWriter<'_>),
) {
    line.bare(PRIORITY, host, source);
    line.text(r#"{"timestamp":""#).stamp(Stamp::Rfc3339);
    line.put(format_args!(r#"","level":"{level}","source":"{source}","host":"{host}","message":"{message}""#));
    more(line);
    line.text("}");
}

fn build(cast: &Cast, rng: &mut Rng, dress: Dress, lines: usize) -> Source {
    let mut everyday = Pool::new(dress);
    for n in 0..lines {
        // Each kind once, then as often as applications write them.
        let kind = [0, 40, 60, 75, 90].get(n).copied().unwrap_or_else(|| rng.u8(0..100));
        everyday_line(kind, cast, rng, &mut everyday);
    }
    let mut slow = Pool::new(dress);
    let mut wrong = Pool::new(dress);
    for index in 0..20 {
        let host = APP_HOSTS[index % 2];
        slow.line(|line| {
            write(line, (host, "inventory"), "WARN", format_args!("query took longer than 500 ms"), |line| {
                line.text(r#","duration_ms":5"#).digits(2).text(r#","trace_id":""#).hex(32).text("\"");
            });
        });
        wrong.line(|line| {
            write(
                line,
                (host, "mailer"),
                "ERROR",
                format_args!("mail server answered 451, next try in 60 s"),
                |line| {
                    line.text(r#","attempt":1,"trace_id":""#).hex(32).text("\"");
                },
            );
        });
    }
    let rare = vec![
        Rare { pool: slow, every: Duration::from_secs(11), lines_min: 50 },
        Rare { pool: wrong, every: Duration::from_secs(71), lines_min: 100 },
    ];
    Source { everyday, rare }
}

fn everyday_line(kind: u8, cast: &Cast, rng: &mut Rng, pool: &mut Pool) {
    let host = *pick(rng, &APP_HOSTS);
    let address = *pick(rng, &cast.visitors);
    let lead = rng.u8(1..10);
    let method = *pick(rng, &["GET", "GET", "GET", "POST", "PUT"]);
    pool.line(|line| match kind {
        0..=39 => write(line, (host, "api-gateway"), "INFO", format_args!("request completed"), |line| {
            line.put(format_args!(r#","method":"{method}","path":"/api/v1/products/1"#)).digits(5);
            line.put(format_args!(r#"","status":200,"duration_ms":{lead}"#)).digits(1);
            line.put(format_args!(r#","client_ip":"{address}","request_id":""#)).hex(32).text("\"");
        }),
        40..=59 => write(line, (host, "orders"), "INFO", format_args!("order accepted"), |line| {
            line.text(r#","order_id":"A-1"#)
                .digits(6)
                .put(format_args!(r#"","items":{lead},"total_cents":{lead}"#))
                .digits(3);
            line.text(r#","trace_id":""#).hex(32).text("\"");
        }),
        60..=74 => write(line, (host, "inventory"), "DEBUG", format_args!("cache refreshed"), |line| {
            line.put(format_args!(r#","entries":{lead}"#)).digits(3).put(format_args!(r#","duration_ms":{lead}"#));
        }),
        75..=89 => write(line, (host, "payments"), "INFO", format_args!("payment captured"), |line| {
            line.text(r#","provider":"card","payment_id":"p-"#)
                .hex(12)
                .put(format_args!(r#"","amount_cents":{lead}"#))
                .digits(4);
        }),
        _ => write(line, (host, "mailer"), "INFO", format_args!("mail handed over"), |line| {
            line.text(r#","template":"order-confirmation","message_id":""#).hex(16).text(r#"@shop.example.com""#);
        }),
    });
}
