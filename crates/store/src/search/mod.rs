//! Finds events.
mod item;
mod query;
