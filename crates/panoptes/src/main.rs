//! The Panoptes binary.
fn main() {}
