//! The inputs from outside: real sockets, real files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod container;
mod contract;
mod elasticsearch;
mod event_log;
mod file;
mod http;
mod import;
mod journald;
mod support;
mod syslog;
mod syslog_tls;
mod tcp;
