//! The mappings that Panoptes ships: one file per family of sources under `rules/mappings`.

macro_rules! shipped {
    ($($file:literal,)*) => {
        &[$((concat!("shipped:mappings/", $file), include_str!(concat!("../../../../../rules/mappings/", $file))),)*]
    };
}

/// What errors call it, and its text.
pub(super) const ALL: &[(&str, &str)] = shipped![
    "application.toml",
    "auditd.toml",
    "cisco.toml",
    "cloud.toml",
    "dns.toml",
    "firewall.toml",
    "generic.toml",
    "identity.toml",
    "linux.toml",
    "linux_sysmon.toml",
    "macos.toml",
    "network.toml",
    "proxy.toml",
    "services.toml",
    "web.toml",
    "windows.toml",
    "zeek.toml",
];
