//! The stories under `tests/cases/`, each through the real binary.

use panoptes_testkit::cases;

use crate::support::binary;

#[test]
fn every_case_comes_out_as_it_is_told() {
    let count = cases::run_all(binary(), &cases::folder()).unwrap_or_else(|differences| panic!("{differences}"));
    println!("{count} cases");
    assert!(count > 0, "there are no cases");
}
