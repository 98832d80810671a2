//! The real binary, as a user runs it: real sockets, real files, real signals.

mod asking;
mod backtest;
mod cases;
mod clients;
mod commands;
mod coverage;
mod crash;
mod enrichment;
mod first_alert;
mod import;
mod keys;
mod reload;
mod retention;
mod rules;
mod scan;
mod sealed;
mod support;
mod verify;
