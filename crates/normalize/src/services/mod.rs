//! Services whose messages are told apart by files, not by code: `rules/formats/*.toml`, and the user's own.
//!
//! A file names the programs that speak, the shape of the service's own log lines, and patterns with what they mean.
//! How files are written is in `docs/formats.md`. All files become one set:
//!
//! 1. A message that came through syslog is looked up by the name of its program: only that service's patterns count.
//! 2. A bare line is searched once, by one automaton, for the texts that the patterns of all services cannot do
//!    without; only patterns whose text was seen are tried.
//!
//! 3. A record with named fields is looked up by those fields that any file asks for.
//!
//! So the cost of a record does not grow with the number of services. Within a service the first pattern that matches
//! counts, and it has to match all of the message.

mod built_in;
mod clock;
mod file;
mod matcher;
mod records;
mod set;
mod template;

pub use self::file::{ServiceError, ServiceFile};
pub(crate) use self::records::KeyTable;
pub use self::set::ServiceFormats;

#[cfg(test)]
mod tests;
