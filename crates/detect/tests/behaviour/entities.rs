//! The budget of profiles: held against any number of names, without forgetting those who have been there.

use panoptes_detect::{BehaviourOptions, CompileOptions};

use crate::support::{Bench, DAY, HOUR, Line, MONDAY, ids, login};

const BUDGET: usize = 4 << 20;

#[test]
fn a_flood_of_invented_names_is_told_and_pushes_nobody_out_who_was_known() {
    let options = BehaviourOptions { memory_bytes_max: BUDGET };
    let mut bench = Bench::with(CompileOptions::default(), options);
    for day in (0..28).filter(|it| it % 7 < 5) {
        let lines: Vec<Line> = (0..50)
            .map(|it| (MONDAY + day * DAY + 9 * HOUR, login(&format!("user{it}"), &format!("192.0.2.{it}"), true, "")))
            .collect();
        bench.fold(&lines);
    }
    let now = MONDAY + 28 * DAY;
    let mut found = Vec::new();
    for part in 0..40_i64 {
        let lines: Vec<Line> = (0..2_500_i64)
            .map(|it| {
                let number = part * 2_500 + it;
                let ip = format!("203.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
                (now + part, login(&format!("invented{number}"), &ip, false, ""))
            })
            .collect();
        found.extend(bench.fold(&lines));
        let counters = bench.detector.counters().behaviour;
        assert!(counters.bytes <= BUDGET, "{counters:?}");
    }
    assert_eq!(ids(&found).iter().filter(|it| **it == "behaviour.entity_flood").count(), 1);
    let forgotten = bench.detector.counters().behaviour.forgotten;
    assert!(forgotten.newcomers_forgotten > 50_000 && forgotten.residents_forgotten == 0, "{forgotten:?}");
    // Their habits are still known.
    let night = (now + 26 * HOUR, login("user7", "192.0.2.7", true, ""));
    assert_eq!(ids(&bench.fold(&[night])), ["behaviour.unusual_hour"]);
}

#[test]
fn a_budget_too_small_for_one_profile_still_works() {
    let mut bench = Bench::with(CompileOptions::default(), BehaviourOptions { memory_bytes_max: 0 });
    let lines: Vec<Line> = (0..100).map(|it| (MONDAY + it, login("bob", "192.0.2.7", false, ""))).collect();
    assert!(bench.fold(&lines).is_empty());
    assert_eq!(bench.detector.counters().behaviour.entities, 0);
}
