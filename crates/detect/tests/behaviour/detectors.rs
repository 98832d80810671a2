//! Each detector: what it says, and what its guards keep it from saying.

use std::collections::BTreeSet;

use panoptes_detect::{BEHAVIOUR_RULE_IDS, BehaviourOptions, CompileOptions, RuleSet};

use crate::support::{Bench, DAY, HOUR, Line, MONDAY, ids, login, start};

const GEO_HAMBURG: &str = "source.geo.country_iso_code=DE source.geo.location=53.55,9.99 source.as.number=3320 source.as.organization.name=Telekom";
const GEO_LAGOS: &str = "source.geo.country_iso_code=NG source.geo.location=6.52,3.38 source.as.number=37148 source.as.organization.name=Mobile";

/// Four weeks of logins on working days at nine and at three.
fn habits(bench: &mut Bench, user: &str, ip: &str, more: &str) -> i64 {
    for day in (0..28).filter(|it| it % 7 < 5) {
        let lines: Vec<Line> =
            [9, 15].map(|hour| (MONDAY + day * DAY + hour * HOUR, login(user, ip, true, more))).to_vec();
        let found = bench.fold(&lines);
        assert!(found.is_empty(), "{found:#?}");
    }
    MONDAY + 28 * DAY
}

#[test]
fn detectors_are_listed_like_rules_and_can_be_disabled() {
    let listed = |disabled: &[&str]| {
        let disabled: BTreeSet<String> = disabled.iter().map(|it| (*it).to_owned()).collect();
        let (rules, _) = RuleSet::compile(Vec::new(), &CompileOptions { disabled, ..CompileOptions::default() });
        rules.detectors()
    };
    let all = listed(&[]);
    assert!(all.iter().filter(|it| it.summary.id.starts_with("behaviour.")).count() >= 20);
    for meta in &all {
        assert!(meta.reports && !meta.falsepositives.is_empty() && meta.description.is_some(), "{meta:?}");
    }
    let unique: BTreeSet<&str> = all.iter().map(|it| it.summary.id.as_str()).collect();
    assert_eq!(unique.len(), all.len());
    let without: Vec<String> =
        listed(&["behaviour.port_scan"]).iter().filter(|it| !it.reports).map(|it| it.summary.id.clone()).collect();
    assert_eq!(without, ["behaviour.port_scan"]);
    assert!(
        listed(&[BEHAVIOUR_RULE_IDS]).iter().filter(|it| it.summary.id.starts_with("behaviour.")).all(|it| !it.reports)
    );
}

#[test]
fn guessing_is_told_once_and_a_disabled_detector_keeps_silent() {
    let attack = |step: i64| -> Vec<Line> {
        (0..30).map(|it| (MONDAY + it * step, login("bob", "203.0.113.9", false, ""))).collect()
    };
    assert!(Bench::new().fold(&attack(5)).is_empty(), "a rule counts what is fast");
    let attack = attack(40);
    let found = Bench::new().fold(&attack);
    assert_eq!(ids(&found), ["behaviour.password_guessing"]);
    assert_eq!((found[0].count, found[0].events.len()), (9, 9));
    assert!(found[0].reason.contains("failed 9 times as 1 users within 10 minutes"), "{}", found[0].reason);
    let disabled = BTreeSet::from(["behaviour.password_guessing".to_owned()]);
    let mut bench = Bench::with(CompileOptions { disabled, ..CompileOptions::default() }, BehaviourOptions::default());
    assert!(bench.fold(&attack).is_empty());
}

#[test]
fn what_rules_count_over_ssh_is_not_told_again() {
    let failed = |at: i64| {
        let text = "event.dataset=linux.sshd event.category=authentication event.type=start event.outcome=failure \
                    user.name=bob source.ip=203.0.113.9";
        (at, text.to_owned())
    };
    let attack: Vec<Line> = (0..60).map(|it| failed(MONDAY + it * 5)).collect();
    assert!(Bench::new().fold(&attack).is_empty());
    // Nor is its tail, which trickles on for days.
    let mut bench = Bench::new();
    bench.fold(&attack);
    let tail: Vec<Line> = (1..40).map(|it| failed(MONDAY + it * 2 * HOUR)).collect();
    assert!(bench.fold(&tail).is_empty());
}

#[test]
fn slow_guessing_is_seen_over_days_but_a_stale_password_at_home_is_not() {
    let slow = |from: i64, ip: &str| -> Vec<Line> {
        (0..40).map(|it| (from + it * 70 * 60, login("bob", ip, false, ""))).collect()
    };
    let mut bench = Bench::new();
    let now = habits(&mut bench, "bob", "192.0.2.7", "");
    assert_eq!(ids(&bench.fold(&slow(now, "198.51.100.66"))), ["behaviour.password_guessing"]);
    assert!(bench.fold(&slow(now, "192.0.2.9")).is_empty(), "the network that bob comes from");
}

#[test]
fn a_success_after_slow_failures_is_told_and_a_typing_error_is_not() {
    let mut bench = Bench::new();
    let now = habits(&mut bench, "bob", "192.0.2.7", "");
    let mut lines: Vec<Line> = (0..7).map(|it| (now + it * HOUR, login("bob", "198.51.100.66", false, ""))).collect();
    lines.push((now + 9 * HOUR, login("bob", "198.51.100.66", true, "")));
    assert_eq!(ids(&bench.fold(&lines)), ["behaviour.success_after_failures"]);
    let now = now + 2 * DAY;
    let typed = [(now, false), (now + 9, false), (now + 20, true)]
        .map(|(at, ok)| (at + 9 * HOUR, login("bob", "192.0.2.7", ok, "")));
    assert!(bench.fold(&typed).is_empty());
}

#[test]
fn one_account_from_many_networks_and_many_accounts_from_many_networks() {
    let mut bench = Bench::new();
    let now = habits(&mut bench, "bob", "192.0.2.7", "");
    let many = |user: &dyn Fn(i64) -> String, step: i64| -> Vec<Line> {
        (0..40).map(|it| (now + it * step, login(&user(it), &format!("203.0.{it}.5"), false, ""))).collect()
    };
    assert_eq!(ids(&bench.fold(&many(&|_| "bob".to_owned(), 1_200))), ["behaviour.distributed_guessing"]);
    let found = Bench::new().fold(&many(&|it| format!("user{it}"), 60));
    assert_eq!(ids(&found), ["behaviour.credential_stuffing"]);
    // The same names that nobody has, one after the other from everywhere, are the noise of the Internet.
    assert!(Bench::new().fold(&many(&|_| "root".to_owned(), 1_200)).is_empty());
}

#[test]
fn nobody_travels_faster_than_an_airliner() {
    let mut bench = Bench::new();
    let now = habits(&mut bench, "bob", "192.0.2.7", GEO_HAMBURG) + 9 * HOUR;
    let at = |seconds: i64, ip: &str, more: &str| vec![(now + seconds, login("bob", ip, true, more))];
    assert!(bench.fold(&at(0, "192.0.2.7", GEO_HAMBURG)).is_empty());
    let found = bench.fold(&at(HOUR, "198.51.100.1", GEO_LAGOS));
    assert_eq!(ids(&found), ["behaviour.impossible_travel"], "and not told again as a first country");
    assert!(found[0].reason.contains("from NG 1 hour after DE"), "{}", found[0].reason);
}

#[test]
fn the_guards_of_impossible_travel_hold() {
    let hosting = GEO_LAGOS.replace("Mobile", "Lagos_Cloud_Hosting");
    for (what, ip, more, later) in [
        ("the same network", "192.0.2.99", GEO_LAGOS, HOUR),
        ("a hosting network", "198.51.100.1", hosting.as_str(), HOUR),
        ("time enough", "198.51.100.1", GEO_LAGOS, 30 * HOUR),
        ("a private address", "10.0.0.1", GEO_LAGOS, HOUR),
    ] {
        let mut bench = Bench::new();
        let now = habits(&mut bench, "bob", "192.0.2.7", GEO_HAMBURG) + 9 * HOUR;
        bench.fold(&[(now, login("bob", "192.0.2.7", true, GEO_HAMBURG))]);
        let found = bench.fold(&[(now + later, login("bob", ip, true, more))]);
        assert!(!ids(&found).contains(&"behaviour.impossible_travel"), "{what}: {found:#?}");
    }
}

#[test]
fn an_unusual_hour_is_told_against_the_users_own_history() {
    let mut bench = Bench::new();
    let now = habits(&mut bench, "bob", "192.0.2.7", "");
    habits(&mut bench, "eve", "192.0.2.8", "");
    assert!(bench.fold(&[(now + 10 * HOUR, login("bob", "192.0.2.7", true, ""))]).is_empty());
    let found = bench.fold(&[(now + 26 * HOUR, login("bob", "192.0.2.7", true, ""))]);
    assert_eq!(ids(&found), ["behaviour.unusual_hour"]);
    assert!(found[0].reason.contains("nearly all in 09–16 UTC"), "{}", found[0].reason);
    // It was not learnt from, and is not told again the night after.
    assert!(bench.fold(&[(now + 50 * HOUR, login("bob", "192.0.2.7", true, ""))]).is_empty());
    // Somebody new has no habits yet.
    assert!(bench.fold(&[(now + 26 * HOUR, login("new", "192.0.2.7", true, ""))]).is_empty());
}

#[test]
fn first_times_are_told_once_and_only_where_there_is_a_history() {
    let mut bench = Bench::new();
    let now = habits(&mut bench, "bob", "192.0.2.7", GEO_HAMBURG) + 9 * HOUR;
    let abroad = GEO_LAGOS.replace("source.geo.location=6.52,3.38", "");
    let lines = |at: i64, user: &str| vec![(at, login(user, "198.51.100.1", true, &abroad))];
    assert_eq!(ids(&bench.fold(&lines(now, "bob"))), ["behaviour.first_country"]);
    assert!(bench.fold(&lines(now + DAY, "bob")).is_empty(), "told once");
    assert!(bench.fold(&lines(now, "new")).is_empty());
    let sudo = "event.category=authentication|process event.type=start event.action=sudo event.outcome=success \
                user.effective.name=root user.name=bob";
    assert_eq!(ids(&bench.fold(&[(now + HOUR, sudo.to_owned())])), ["behaviour.first_privilege"]);
    assert!(bench.fold(&[(now + 2 * HOUR, sudo.to_owned())]).is_empty());
}

#[test]
fn a_program_started_by_one_that_never_starts_it_is_told() {
    let mut bench = Bench::new();
    for day in 0..28 {
        let lines: Vec<Line> = ["winword.exe", "powershell.exe", "excel.exe", "chrome.exe"]
            .iter()
            .map(|it| (MONDAY + day * DAY + 9 * HOUR, start("bob", it, "explorer.exe")))
            .collect();
        assert!(bench.fold(&lines).is_empty());
    }
    let now = MONDAY + 28 * DAY;
    let found = bench.fold(&[(now, start("bob", "PowerShell.exe", "WINWORD.EXE"))]);
    assert_eq!(ids(&found), ["behaviour.rare_parent"]);
    let found = bench.fold(&[(now, start("bob", "rclone.exe", "explorer.exe"))]);
    assert_eq!(ids(&found), ["behaviour.first_program"]);
}

#[test]
fn a_rollout_is_told_for_a_few_only() {
    let mut bench = Bench::new();
    let users: Vec<String> = (0..40).map(|it| format!("user{it}")).collect();
    for day in 0..28 {
        let each = |user: &String| {
            ["a.exe", "b.exe", "c.exe", "d.exe"].map(|it| (MONDAY + day * DAY, start(user, it, "explorer.exe")))
        };
        let lines: Vec<Line> = users.iter().flat_map(each).collect();
        assert!(bench.fold(&lines).is_empty());
    }
    let lines: Vec<Line> = users.iter().map(|it| (MONDAY + 28 * DAY, start(it, "new.exe", "explorer.exe"))).collect();
    assert!((1..=3).contains(&bench.fold(&lines).len()));
}

#[test]
fn scans_of_ports_and_of_hosts_are_told_and_a_known_scanner_goes_quiet() {
    let knock = |at: i64, from: &str, to: &str, port: i64| {
        let text = format!(
            "event.category=network event.type=denied source.ip={from} destination.ip={to} destination.port={port}"
        );
        (at, text)
    };
    let ports =
        |at: i64, from: &str| -> Vec<Line> { (0..100).map(|it| knock(at + it, from, "192.0.2.1", 20 + it)).collect() };
    let hosts = |at: i64, from: &str| -> Vec<Line> {
        (0..100).map(|it| knock(at + it, from, &format!("192.0.2.{it}"), 445)).collect()
    };
    let mut bench = Bench::new();
    assert_eq!(ids(&bench.fold(&ports(MONDAY, "203.0.113.9"))), ["behaviour.port_scan"]);
    assert_eq!(ids(&bench.fold(&hosts(MONDAY, "203.0.113.8"))), ["behaviour.host_scan"]);
    let slow: Vec<Line> = (0..40).map(|it| knock(MONDAY + it * 1_800, "203.0.113.7", "192.0.2.1", 20 + it)).collect();
    assert_eq!(ids(&bench.fold(&slow)), ["behaviour.port_scan"]);
    let told = |from: &str, bench: &mut Bench| -> Vec<usize> {
        (2..8).map(|day| bench.fold(&ports(MONDAY + day * (DAY + 60), from)).len()).collect()
    };
    assert_eq!(told("10.0.0.9", &mut bench), [1, 1, 1, 0, 0, 0]);
    assert_eq!(told("203.0.113.99", &mut Bench::new()), [1; 6], "a stranger never becomes usual");
}

#[test]
fn probing_and_searching_are_told_and_visitors_are_not() {
    let asked = |at: i64, ip: &str, path: &str, status: u16| {
        let text = format!("event.category=web source.ip={ip} url.path={path} http.response.status_code={status}");
        (at, text)
    };
    let mut bench = Bench::new();
    let probing: Vec<Line> = ["/.env", "/.git/config", "/backup.sql", "/phpinfo.php"]
        .iter()
        .zip(0..)
        .map(|(path, it)| asked(MONDAY + it * 900, "203.0.113.9", path, 404))
        .collect();
    assert_eq!(ids(&bench.fold(&probing)), ["behaviour.secret_probing"]);
    let search: Vec<Line> =
        (0..80).map(|it| asked(MONDAY + it * 240, "203.0.113.8", &format!("/x{it}"), 404)).collect();
    assert_eq!(ids(&bench.fold(&search)), ["behaviour.page_search"]);
    let crawl: Vec<Line> = (0..400).map(|it| asked(MONDAY + it, "203.0.113.7", &format!("/p{it}"), 200)).collect();
    assert_eq!(ids(&bench.fold(&crawl)), ["behaviour.web_crawling"]);
    let visit: Vec<Line> = (0..400)
        .map(|it| {
            asked(MONDAY + it, "203.0.113.6", &format!("/p{}{}", it / 2, if it % 2 == 0 { "" } else { ".png" }), 200)
        })
        .collect();
    assert!(bench.fold(&visit).is_empty());
}

#[test]
fn volume_far_above_usual_is_told_once_a_day() {
    let mut bench = Bench::new();
    let carried = |at: i64, bytes: i64| {
        let text = format!(
            "event.category=network source.ip=10.0.0.7 destination.ip=198.51.100.1 destination.port=443 user.name=bob \
             source.bytes={bytes}"
        );
        (at, text)
    };
    for day in 0..20 {
        assert!(bench.fold(&[(carried(MONDAY + day * DAY, 30_000_000 + day * 1_000_000))]).is_empty());
    }
    let now = MONDAY + 20 * DAY;
    let found = bench.fold(&(0..10).map(|it| carried(now + it * 60, 200_000_000)).collect::<Vec<_>>());
    assert_eq!(ids(&found), ["behaviour.unusual_volume"]);
    assert!(found[0].reason.contains("usual are"), "{}", found[0].reason);
}

#[test]
fn errors_far_above_the_usual_share_are_told() {
    let mut bench = Bench::new();
    let said = |at: i64, level: &str| (at, format!("service.name=shop log.level={level} message=x"));
    for hour in 0..100 {
        let lines: Vec<Line> =
            (0..100).map(|it| said(MONDAY + hour * HOUR + it * 30, if it == 7 { "error" } else { "info" })).collect();
        assert!(bench.fold(&lines).is_empty());
    }
    let now = MONDAY + 100 * HOUR;
    let lines: Vec<Line> = (0..100).map(|it| said(now + it * 30, if it % 2 == 0 { "error" } else { "info" })).collect();
    assert_eq!(ids(&bench.fold(&lines)), ["behaviour.error_rate"]);
}

#[test]
fn a_source_that_falls_silent_is_told_and_so_is_a_clock_that_jumps_back() {
    let mut bench = Bench::new();
    let beat = |at: i64, host: &str| (at, format!("host.name={host} message=beat"));
    let mut minute = 0;
    let mut found = Vec::new();
    // Two hosts beat for two weeks, then one stops for half a day.
    while minute < 15 * 24 * 60 {
        let at = MONDAY + minute * 60;
        let is_silent = (14 * 24 * 60 + 480..14 * 24 * 60 + 1_200).contains(&minute);
        let mut lines = vec![beat(at, "a")];
        if !is_silent {
            lines.push(beat(at, "b"));
        }
        found.extend(bench.fold_at(at, "beats", &lines));
        minute += 10;
    }
    assert_eq!(ids(&found), ["behaviour.silent_source"]);
    assert!(found[0].entities.iter().any(|it| it.value == "b"), "{:?}", found[0].entities);
    let now = MONDAY + 16 * DAY;
    bench.fold_at(now, "beats", &[beat(now, "a")]);
    let back: Vec<Line> = (0..5).map(|it| beat(now - 6 * HOUR + it, "a")).collect();
    assert_eq!(ids(&bench.fold_at(now + 60, "beats", &back)), ["behaviour.time_jump"]);
    // A single late event is none.
    let late = [beat(now - 5 * HOUR, "b"), beat(now + 61, "b")];
    assert!(bench.fold_at(now + 62, "beats", &late).is_empty());
}
