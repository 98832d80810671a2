//! Our Sigma engine beside `rsigma-eval`, which knows nothing of ours: random rules and events, every rule of SigmaHQ
//! with one event that satisfies it and one that barely does not, and SigmaHQ over real events.
//!
//! Where the two differ, the Sigma specification decides; what is then left is in `differences.rs`, each with a test,
//! and in `docs/sigma.md` for rule writers.
//!
//! # Where to look first
//! * `engines.rs`: both engines behind one question, which rules match these events.
//! * `witness.rs`: events that satisfy a rule, made from its syntax tree.
//! * `random.rs`, `every_rule.rs`, `corpus.rs`: the three comparisons.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "tests may, and so may their helpers")]

#[path = "../detect/corpora.rs"]
mod corpora;
mod corpus;
mod data;
mod differences;
mod engines;
mod every_rule;
mod generate;
mod log_sources;
mod random;
mod regex_sample;
mod specified;
mod witness;
