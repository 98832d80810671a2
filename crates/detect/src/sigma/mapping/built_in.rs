//! The mappings that Panoptes ships: one file per family of sources under `rules/mappings`.

/// What errors call it, and its text.
pub(super) const ALL: &[(&str, &str)] = &[
    ("shipped:mappings/generic.toml", include_str!("../../../../../rules/mappings/generic.toml")),
    ("shipped:mappings/linux.toml", include_str!("../../../../../rules/mappings/linux.toml")),
    ("shipped:mappings/web.toml", include_str!("../../../../../rules/mappings/web.toml")),
    ("shipped:mappings/windows.toml", include_str!("../../../../../rules/mappings/windows.toml")),
];
