//! (see ARCHITECTURE.md)

pub mod json;
