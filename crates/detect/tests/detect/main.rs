//! The crate from outside: rules as text and events in, findings out.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "tests may, and so may their helpers")]

mod compile;
mod corpora;
mod correlations;
mod correlations_memory;
mod correlations_reference;
mod correlations_types;
mod lines;
mod matching;
mod never_seen;
mod pack;
mod products;
mod reach;
mod support;
mod testing;
