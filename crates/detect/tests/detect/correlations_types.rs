//! Every type of correlation, every kind of window and condition, as a rule's author would try it.

use crate::support::{Bench, shown};
use panoptes_detect::{CompileOptions, RuleFile, RuleSet};

const REQUESTS: &str = "
title: Upload
name: upload
logsource: {product: linux, service: sshd}
detection: {selection: {event.action: upload}, condition: selection}
---
title: Delete
name: delete
logsource: {product: linux, service: sshd}
detection: {selection: {event.action: delete}, condition: selection}
---
title: Login
name: login
logsource: {product: linux, service: sshd}
detection: {selection: {event.action: login}, condition: selection}
---
title: Counted
name: counted
correlation:
";

fn bench(correlation: &str) -> Bench {
    let lines: String = correlation.lines().map(|it| format!("  {}\n", it.trim())).collect();
    Bench::new(&format!("{REQUESTS}{lines}"))
}

fn event(action: &str, rest: &str) -> String {
    format!("event.dataset=linux.sshd event.action={action} {rest}")
}

fn upload(user: &str, bytes: &str) -> String {
    event("upload", &format!("user.name={user} bytes={bytes}"))
}

/// Folds events of one user, each alone, and returns the times at which something was told.
fn times_told(bench: &mut Bench, events: &[(i64, &str)]) -> Vec<i64> {
    let told = |(time, bytes): &(i64, &str)| {
        let line = upload("eve", bytes);
        (!bench.fold(&[(*time, &line)]).is_empty()).then_some(*time)
    };
    events.iter().filter_map(told).collect()
}

#[test]
fn a_sum_grows_with_its_window_and_shrinks_with_it() {
    let mut bench = bench(
        "type: value_sum\nrules: [upload]\ngroup-by: [user.name]\ntimespan: 100s\ncondition: {gt: 1000, field: bytes}",
    );
    let (a, b) = (upload("eve", "600"), upload("bob", "600"));
    assert!(bench.fold(&[(0, &a), (1, &b)]).is_empty());
    let more = upload("eve", "400.5");
    let found = bench.fold(&[(50, &more)]);
    assert_eq!(shown(&found), ["Counted 2 [user.name=eve] 0..50"]);
    assert_eq!(found[0].reason, "sum of bytes of Upload within 100s: 1000.5 (more than 1000) for user.name eve");
    let less = upload("eve", "599");
    assert!(bench.fold(&[(101, &less)]).is_empty(), "the first 600 have left: 999.5");
    let huge = upload("eve", "9000000000000000000");
    assert_eq!(bench.fold(&[(400, &huge)]).len(), 1);
    // What is huge leaves no trace when it leaves.
    assert!(bench.fold(&[(501, &a), (502, &more)]).len() == 1);
    assert!(bench.fold(&[(700, &a)]).is_empty());
}

#[test]
fn negative_numbers_and_thresholds_count() {
    let mut bench = bench(
        "type: value_sum\nrules: [upload]\ngroup-by: [user.name]\ntimespan: 100s\ncondition: {lt: -10, field: bytes}",
    );
    assert_eq!(times_told(&mut bench, &[(0, "-10"), (1, "5"), (2, "-6"), (3, "1")]), [2]);
}

#[test]
fn an_average_is_exact_at_its_border() {
    let mut bench = bench(
        "type: value_avg\nrules: [upload]\ngroup-by: [user.name]\ntimespan: 100s\ncondition: {gte: 10, field: bytes}",
    );
    // 9; (9 + 11) / 2; (9 + 11 + 9.9) / 3; after 9 has left: (11 + 9.9 + 9.1) / 3
    assert_eq!(times_told(&mut bench, &[(0, "9"), (1, "11"), (2, "9.9"), (101, "9.1")]), [1, 101]);
}

#[test]
fn medians_and_percentiles_lie_between_the_nearest_values() {
    let median =
        "type: value_median\nrules: [upload]\ngroup-by: [user.name]\ntimespan: 100s\ncondition: {eq: 15, field: bytes}";
    assert_eq!(times_told(&mut bench(median), &[(0, "10"), (1, "20"), (2, "15"), (3, "1000")]), [1, 2]);
    // Without a percentile it is the median.
    let plain = median.replace("value_median", "value_percentile");
    assert_eq!(times_told(&mut bench(&plain), &[(0, "10"), (1, "20")]), [1]);
    let p90 = median.replace("value_median", "value_percentile").replace("eq: 15", "gte: 100, percentile: 90");
    let mut p90 = bench(&p90);
    let small: Vec<(i64, &str)> = (0..9).map(|it| (it, "1")).collect();
    assert!(times_told(&mut p90, &small).is_empty());
    // Of ten values the place 8.1: a tenth of the way to the largest.
    assert!(times_told(&mut p90, &[(9, "990")]).is_empty());
    let line = upload("eve", "990");
    let found = p90.fold(&[(10, &line)]);
    assert_eq!(found[0].reason, "percentile 90 of bytes of Upload within 100s: 990 (at least 100) for user.name eve");
}

#[test]
fn what_is_no_number_is_counted_and_left_out() {
    let mut bench = bench(
        "type: value_sum\nrules: [upload]\ngroup-by: [user.name]\ntimespan: 100s\ncondition: {gte: 10, field: bytes}",
    );
    for text in ["NaN", "inf", "-infinity", "1e308", "much", "0x10", "9,5", "99999999999999999999"] {
        assert!(times_told(&mut bench, &[(0, text)]).is_empty(), "{text}");
    }
    let without = event("upload", "user.name=eve");
    assert!(bench.fold(&[(0, &without)]).is_empty());
    let counters = bench.detector.counters().windows;
    assert_eq!((counters.not_numbers, counters.without_field), (8, 1));
    assert_eq!(times_told(&mut bench, &[(1, "9"), (2, "1")]), [2]);
}

#[test]
fn a_record_that_stands_for_several_is_summed_as_often() {
    let mut bench = bench(
        "type: value_sum\nrules: [upload]\ngroup-by: [user.name]\ntimespan: 100s\ncondition: {gte: 10, field: bytes}",
    );
    let line = format!("{} panoptes.repeat=5", upload("eve", "2"));
    assert_eq!(bench.fold(&[(0, &line)]).len(), 1);
}

#[test]
fn every_operator_means_what_it_says() {
    // Counts of 1, 2, 3, 4, 5 in one window.
    let events: Vec<(i64, &str)> = (1..=5).map(|it| (it, "0")).collect();
    for (condition, expected) in [
        ("{gt: 3}", vec![4, 5]),
        ("{gte: 3}", vec![3, 4, 5]),
        ("{lt: 3}", vec![1, 2]),
        ("{lte: 3}", vec![1, 2, 3]),
        ("{eq: 3}", vec![3]),
        ("{neq: 3}", vec![1, 2, 4, 5]),
        ("{gt: 1, lte: 4}", vec![2, 3, 4]),
        ("{gte: 2, lt: 5, neq: 3}", vec![2, 4]),
    ] {
        let text = format!(
            "type: event_count\nrules: [upload]\ngroup-by: [user.name]\ntimespan: 100s\ncondition: {condition}"
        );
        assert_eq!(times_told(&mut bench(&text), &events), expected, "{condition}");
    }
}

#[test]
fn tumbling_windows_begin_at_multiples_of_the_timespan() {
    let mut bench = bench(
        "type: event_count\nrules: [upload]\ngroup-by: [user.name]\ntimespan: 100s\nwindow: tumbling\ncondition: {gte: 3}",
    );
    let zero: Vec<(i64, &str)> = [90, 99, 100, 101, 199, 200].iter().map(|it| (*it, "0")).collect();
    assert_eq!(times_told(&mut bench, &zero), [199], "90 and 99 belong to the window before, 200 to the next");
    // A late one completes the window that it belongs to.
    assert_eq!(times_told(&mut bench, &[(98, "0")]), [98]);
}

#[test]
fn a_session_ends_with_a_silence() {
    let mut bench = bench(
        "type: event_count\nrules: [upload]\ngroup-by: [user.name]\ntimespan: 100s\nwindow: session\ngap: 10s\ncondition: {gte: 4}",
    );
    let quiet: Vec<(i64, &str)> = [0, 10, 20, 31, 41, 51].iter().map(|it| (*it, "0")).collect();
    assert!(times_told(&mut bench, &quiet).is_empty(), "eleven seconds of silence between 20 and 31");
    // A late one joins both: 0, 10, 20, 25, 31, 41, 51.
    let late = upload("eve", "0");
    assert_eq!(shown(&bench.fold(&[(25, &late)])), ["Counted 7 [user.name=eve] 0..51"]);
    // No session is longer than the timespan.
    let mut long = self::bench(
        "type: event_count\nrules: [upload]\ngroup-by: [user.name]\ntimespan: 15s\nwindow: session\ngap: 10s\ncondition: {gte: 4}",
    );
    let steady: Vec<(i64, &str)> = (0..20).map(|it| (it * 6, "0")).collect();
    assert!(times_told(&mut long, &steady).is_empty());
}

#[test]
fn a_temporal_rule_may_ask_for_some_of_its_rules_or_say_which() {
    let fold = |condition: &str, actions: &[&str]| {
        let text = format!(
            "type: temporal\nrules: [upload, delete, login]\ngroup-by: [user.name]\ntimespan: 100s\ncondition: {condition}"
        );
        let mut bench = bench(&text);
        let lines: Vec<String> = actions.iter().map(|it| event(it, "user.name=eve")).collect();
        let found: Vec<_> = lines.iter().zip(0..).map(|(line, time)| !bench.fold(&[(time, line)]).is_empty()).collect();
        found
    };
    assert_eq!(fold("{gte: 2}", &["upload", "upload", "delete", "login"]), [false, false, true, true]);
    assert_eq!(fold("{eq: 2}", &["upload", "delete", "login"]), [false, true, false]);
    assert_eq!(fold("upload and (delete or login)", &["delete", "login", "upload"]), [false, false, true]);
    assert_eq!(fold("upload and not delete", &["login", "upload", "delete", "upload"]), [false, true, false, false]);
    assert_eq!(fold("2 of them", &["login", "login", "delete"]), [false, false, true]);
    assert_eq!(fold("1 of lo* and all of *lo*", &["login", "delete", "upload"]), [false, false, true]);
}

#[test]
fn an_ordered_rule_with_a_condition_that_says_the_same_is_the_same() {
    for condition in ["upload and delete", "{gte: 2}"] {
        let mut bench = bench(&format!(
            "type: temporal_ordered\nrules: [upload, delete]\ngroup-by: [user.name]\ntimespan: 100s\ncondition: {condition}"
        ));
        let (upload, delete) = (event("upload", "user.name=eve"), event("delete", "user.name=eve"));
        assert!(bench.fold(&[(0, &delete), (1, &upload)]).is_empty(), "{condition}");
        assert_eq!(shown(&bench.fold(&[(2, &delete)])), ["Counted 3 [user.name=eve] 0..2"], "{condition}");
    }
}

/// As in the specification: the inner rule groups by the host, the outer one by the user.
#[test]
fn a_chain_may_group_by_a_field_that_the_inner_rule_does_not_group_by() {
    let text = format!(
        "{REQUESTS}  type: event_count\n  rules: [upload]\n  group-by: [host.name]\n  timespan: 100s\n  condition: {{gte: 2}}\n---\ntitle: Outer\ncorrelation: {{type: temporal_ordered, rules: [counted, login], group-by: [user.name], timespan: 100s}}\n"
    );
    let mut bench = Bench::new(&text);
    let upload = |user: &str| event("upload", &format!("user.name={user} host.name=web"));
    let (first, second, login) = (upload("bob"), upload("eve"), event("login", "user.name=eve"));
    assert!(bench.fold(&[(0, &first), (1, &second)]).is_empty());
    assert_eq!(shown(&bench.fold(&[(2, &login)])), ["Outer 3 [user.name=eve] 1..2"]);
}

#[test]
fn sums_of_sums_and_counts_of_averages_work() {
    let text = format!(
        "{REQUESTS}  type: value_avg\n  rules: [upload]\n  group-by: [user.name, host.name]\n  timespan: 100s\n  condition: {{gte: 100, field: bytes}}\n---\ntitle: Hosts\ncorrelation: {{type: value_count, rules: [counted], group-by: [user.name], timespan: 100s, condition: {{gte: 2, field: host.name}}}}\n"
    );
    let mut bench = Bench::new(&text);
    let on = |host: &str, bytes: &str| event("upload", &format!("user.name=eve host.name={host} bytes={bytes}"));
    let (web, db, low) = (on("web", "150"), on("db", "100"), on("mail", "99"));
    assert!(bench.fold(&[(0, &web), (1, &low)]).is_empty());
    assert_eq!(shown(&bench.fold(&[(2, &db)])), ["Hosts 2 [user.name=eve] 0..2"]);
}

#[test]
fn an_alias_may_name_what_is_reckoned_with() {
    let mut bench = bench(
        "type: value_sum\nrules: [upload, delete]\naliases: {size: {upload: bytes, delete: bytes_deleted}}\ngroup-by: [user.name]\ntimespan: 100s\ncondition: {gte: 10, field: size}",
    );
    let (a, b) = (upload("eve", "6"), event("delete", "user.name=eve bytes_deleted=4"));
    let found = bench.fold(&[(0, &a), (1, &b)]);
    assert_eq!(found[0].reason, "sum of size of Upload or Delete within 100s: 10 (at least 10) for user.name eve");
}

/// Rules name fields as SigmaHQ does; events call them something else.
#[test]
fn fields_go_by_the_names_that_the_rules_log_source_has() {
    let mapping = RuleFile {
        path: "own.toml".to_owned(),
        text: "[[source]]\nname = \"own\"\nproduct = \"shop\"\nwhen = { \"event.dataset\" = \"shop.sales\" }\nprefix = \"shop.\"\nfields = [\"own\"]\n[fields.own]\nWho = \"user.name\"\n".to_owned(),
    };
    let rules = RuleFile {
        path: "rules.yml".to_owned(),
        text: "title: Sale\nname: sale\nlogsource: {product: shop}\ndetection: {s: {Kind: sale}, condition: s}\n---\ntitle: Large\ncorrelation:\n  type: value_sum\n  rules: [sale]\n  group-by: [Who, Till]\n  timespan: 100s\n  condition: {gte: 10, field: Amount}\n".to_owned(),
    };
    let (rules, errors) = RuleSet::compile(vec![mapping, rules], &CompileOptions::default());
    assert!(errors.is_empty(), "{errors:#?}");
    let mut bench = Bench::of(rules);
    let line = "event.dataset=shop.sales shop.Kind=sale user.name=eve shop.Till=7 shop.Amount=5";
    assert_eq!(shown(&bench.fold(&[(0, line), (1, line)])), ["Large 2 [shop.Till=7 user.name=eve] 0..1"]);
    assert_eq!(bench.rules.fields().iter().filter(|it| it.starts_with("shop.")).count(), 3);
}

#[test]
fn times_at_the_ends_of_time_make_nothing_panic() {
    for kind in ["event_count", "value_count", "value_sum", "value_median", "temporal", "temporal_ordered"] {
        for window in ["sliding", "tumbling", "session\ngap: 5s"] {
            let field = if kind.starts_with("value") { ", field: bytes" } else { "" };
            let mut bench = bench(&format!(
                "type: {kind}\nrules: [upload, delete]\ngroup-by: [user.name]\ntimespan: 31d\nwindow: {window}\ncondition: {{gte: 2{field}}}"
            ));
            let mut found = 0;
            for time in
                [i64::MIN, i64::MIN / 1_000_000_000, 0, i64::MAX, -9_223_372_036, -9_223_372_035, i64::MIN + 1, 1]
            {
                for action in ["upload", "delete"] {
                    let line = event(action, &format!("user.name=eve bytes={time}"));
                    found += bench.fold(&[(time, &line), (time.saturating_add(1), &line)]).len();
                }
            }
            assert!(found > 0, "{kind} {window}");
        }
    }
}
