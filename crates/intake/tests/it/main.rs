//! The inputs from outside: real sockets, real files.

mod contract;
mod file;
mod http;
mod import;
mod support;
mod syslog;
mod tcp;
