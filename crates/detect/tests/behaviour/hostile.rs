//! Clocks that jump, events that come late, fields that are missing or nonsense, restarts anywhere.

use proptest::prelude::*;

use crate::support::{Bench, Line, MONDAY};

/// Pairs of which an event has any, in any combination.
const PAIRS: &[&str] = &[
    "event.category=authentication",
    "event.category=authentication|process",
    "event.category=process",
    "event.category=network",
    "event.category=web",
    "event.type=start",
    "event.type=denied",
    "event.outcome=success",
    "event.outcome=failure",
    "event.action=sudo",
    "event.dataset=linux.sshd",
    "service.name=mail",
    "user.name=bob",
    "user.name=EVE",
    "user.name=SYSTEM",
    "user.name=\u{202e}|ß|",
    "source.ip=203.0.113.9",
    "source.ip=10.0.0.1",
    "source.ip=::ffff:198.51.100.7",
    "source.ip=2001:db8::1",
    "source.geo.country_iso_code=DE",
    "source.geo.country_iso_code=Germany",
    "source.geo.location=53.55,9.99",
    "source.geo.location=NaN,inf",
    "source.geo.location=6.5,3.4",
    "source.geo.location=-33.9,151.2",
    "source.as.number=-5",
    "source.bytes=9223372036854775807",
    "source.bytes=-1",
    "host.name=a",
    "host.name=b",
    "process.name=C:\\Windows\\cmd.exe",
    "process.name=/",
    "process.parent.name=winword.exe",
    "process.command_line=rm_-rf_/var/log/x",
    "destination.ip=192.0.2.1",
    "destination.port=22",
    "destination.port=70000",
    "url.path=/.env",
    "url.path=/x",
    "http.response.status_code=404",
    "http.response.status_code=-1",
    "log.level=error",
    "panoptes.repeat=999999999",
];

fn event() -> impl Strategy<Value = Line> {
    let time = prop_oneof![
        6 => (0_i64..40 * 86_400).prop_map(|it| MONDAY + it),
        1 => Just(0),
        1 => Just(-9_000_000_000),
        1 => Just(9_000_000_000),
    ];
    (time, proptest::sample::subsequence(PAIRS, 0..14)).prop_map(|(time, pairs)| (time, pairs.join(" ")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_events_in_any_order_give_the_same_findings_twice_and_across_a_restart(
        lines in proptest::collection::vec(event(), 1..400),
        sorted in any::<bool>(),
        frame in 1_usize..60,
        restart in 0_usize..8,
    ) {
        let mut lines = lines;
        if sorted {
            lines.sort();
        }
        let mut plain = Bench::new();
        let mut restarted = Bench::new();
        let mut now = MONDAY;
        for (index, part) in lines.chunks(frame).enumerate() {
            now = now.max(part.iter().map(|it| it.0).max().unwrap_or(0).min(MONDAY + 50 * 86_400));
            let found = plain.fold_at(now, "test", part);
            prop_assert_eq!(&found, &restarted.fold_at(now, "test", part));
            for finding in &found {
                prop_assert!(!finding.events.is_empty() && !finding.reason.is_empty() && finding.first_seen <= finding.time, "{:?}", finding);
            }
            if index % 8 == restart {
                restarted.restart();
            }
        }
    }
}
