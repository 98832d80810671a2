//! Detectors that know habits, from outside: events in, findings out; and the score of the staged week.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "tests may, and so may their helpers")]

mod detectors;
mod entities;
mod hostile;
mod score;
mod stories;
mod support;
