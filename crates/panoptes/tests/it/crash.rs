//! `kill -9` at random moments: see `panoptes_testkit::crash`. `PANOPTES_KILLS` sets the number of kills, `PANOPTES_SEED`
//! the seed, which is printed; `cargo xtask crash` does the same without a test around it.

use panoptes_testkit::crash::{CrashPlan, run};

use crate::support::binary;

const KILLS: u64 = 6;

#[test]
fn what_was_acknowledged_survives_kill_nine_exactly_once() {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
    let kills = number("PANOPTES_KILLS").unwrap_or(KILLS) as u32;
    let seed = number("PANOPTES_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{kills} kills, PANOPTES_SEED={seed}");
    let summary = run(binary(), CrashPlan { kills, seed }, &mut |_| ());
    println!("{summary}");
    assert!(summary.is_clean(), "seed {seed}:\n{summary}");
}
