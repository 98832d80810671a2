//! `kill -9` at random moments while records come in over HTTP.
//!
//! Goal: what was acknowledged is found afterwards exactly once, and each attack has exactly one alert that counts its
//! stored events. Method: senders post small batches; after a random time the process is killed and started again on
//! the same data; at the end the whole store is read. `PANOPTES_KILLS` sets the number of kills, `PANOPTES_SEED` the
//! seed, which is printed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use panoptes_testkit::{get, post, wait_until};

use crate::support::{alerts, events, failed_login, server};

const KILLS: u32 = 6;
const SENDERS: u64 = 2;
/// A batch has up to so many plain records and one line of an attack.
const RECORDS_MAX: u64 = 30;
/// Lines per attack: over the threshold of the rule for password guessing, spread over as many requests.
const ATTACK_LINES: u64 = 9;
/// Requests of a sender between two kills, so that two hundred kills stay below what one search gives.
const REQUESTS_MAX: u64 = 80;
const LIMIT: Duration = Duration::from_secs(60);

/// What a sender knows when the server is gone.
#[derive(Default)]
struct Sent {
    acknowledged: Vec<String>,
    /// Posted without an answer: may be there once, or not at all.
    unknown: Vec<String>,
}

#[test]
fn what_was_acknowledged_survives_kill_nine_exactly_once() {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
    let kills = number("PANOPTES_KILLS").map_or(KILLS, |it| it as u32);
    let seed = number("PANOPTES_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{kills} kills, PANOPTES_SEED={seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut server = server();
    let mut sent = Sent::default();
    for round in 0..kills {
        let address = server.http();
        let gone = AtomicBool::new(false);
        let wait = Duration::from_millis(dice.u64(20..300));
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS)
                .map(|sender| {
                    let (dice, gone) = (dice.fork(), &gone);
                    scope.spawn(move || send(address, round, sender, dice, gone))
                })
                .collect();
            std::thread::sleep(wait);
            server.kill();
            gone.store(true, Ordering::Release);
            for sender in senders {
                let more = sender.join().expect("a sender does not panic");
                sent.acknowledged.extend(more.acknowledged);
                sent.unknown.extend(more.unknown);
            }
        });
        server.restart();
    }
    // What the last start has to catch up with must be in the catalogue before alerts are compared.
    wait_until(LIMIT, "everything is folded", || {
        let metrics = get(server.http(), "/metrics").ok()?.body;
        metrics.lines().any(|it| it == "panoptes_fold_lag_frames 0").then_some(())
    });
    assert_eq!(server.stop(), Some(0));

    let mut stored: HashMap<String, u32> = HashMap::new();
    let mut attacks: HashMap<String, u64> = HashMap::new();
    for event in events(&server, "") {
        let original = event["event.original"].as_str().expect("every event has its original");
        let token = original.rsplit("token-").next().and_then(|it| it.split('"').next()).expect("every record has one");
        *stored.entry(token.to_owned()).or_default() += 1;
        if event["event.action"] == "ssh_login" {
            let attacker = event["source.ip"].as_str().expect("an attack has an address").to_owned();
            *attacks.entry(attacker).or_default() += 1;
        }
    }
    println!("{} acknowledged, {} unknown, {} stored", sent.acknowledged.len(), sent.unknown.len(), stored.len());
    assert!(!sent.acknowledged.is_empty(), "nothing was acknowledged: the test has shown nothing");
    for token in &sent.acknowledged {
        assert_eq!(stored.get(token), Some(&1), "acknowledged record {token} (seed {seed})");
    }
    for token in &sent.unknown {
        assert!(stored.get(token).is_none_or(|it| *it == 1), "record {token} is there twice (seed {seed})");
    }
    assert!(stored.len() <= sent.acknowledged.len() + sent.unknown.len());

    let mut told: HashMap<String, (u32, u64)> = HashMap::new();
    for alert in alerts(&server).iter().filter(|it| it["rule"]["title"] == "SSH password guessing") {
        let attacker = alert["entities"]["source.ip"].as_str().expect("guessing has an address").to_owned();
        let entry = told.entry(attacker).or_default();
        entry.0 += 1;
        entry.1 += alert["count"].as_u64().expect("a count");
    }
    let complete = attacks.values().filter(|it| **it >= 6).count();
    println!("{} attacks, {complete} over the threshold, {} alerted", attacks.len(), told.len());
    for (attacker, lines) in &attacks {
        let expected = (*lines >= 6).then_some((1, *lines));
        assert_eq!(told.get(attacker).copied(), expected, "alerts for {attacker} (seed {seed})");
    }
    assert_eq!(told.len(), complete);
}

fn send(address: std::net::SocketAddr, round: u32, sender: u64, mut dice: fastrand::Rng, gone: &AtomicBool) -> Sent {
    let mut sent = Sent::default();
    let (mut attack, mut line) = (0_u64, 0);
    for request in 0..REQUESTS_MAX {
        let mut tokens = Vec::new();
        let mut body = String::new();
        for record in 0..dice.u64(1..=RECORDS_MAX) {
            let token = format!("{round}.{sender}.{request}.{record}");
            body.push_str(&format!("{{\"level\":\"info\",\"message\":\"probe token-{token}\"}}\n"));
            tokens.push(token);
        }
        let token = format!("{round}.{sender}.{request}.attack");
        let attacker = format!("2001:db8:{:x}:{attack:x}::1", u64::from(round) * SENDERS + sender + 1);
        body.push_str(&failed_login(&attacker, "root", &format!("token-{token}")));
        body.push('\n');
        tokens.push(token);
        line += 1;
        if line == ATTACK_LINES {
            (attack, line) = (attack + 1, 0);
        }
        match post(address, "/logs", "text/plain", body.as_bytes()) {
            Ok(answer) if answer.status == 200 => sent.acknowledged.append(&mut tokens),
            // 429 or 503: refused, so it must not be there, which the total count checks as far as it can.
            Ok(_) | Err(_) => sent.unknown.append(&mut tokens),
        }
        if gone.load(Ordering::Acquire) {
            break;
        }
    }
    sent
}
