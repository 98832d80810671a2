//! Keeps evidence: what came in, encrypted, durable and searchable.

pub mod pivot;
