//! The service formats that Panoptes ships: one file per service under `rules/formats`.

use super::ServiceFile;

macro_rules! shipped {
    ($($file:literal,)*) => {
        &[$((concat!("shipped:formats/", $file), include_str!(concat!("../../../../rules/formats/", $file))),)*]
    };
}

/// What errors call it, and its text.
const ALL: &[(&str, &str)] = shipped!["dovecot.toml", "postfix.toml", "proftpd.toml", "vaultwarden.toml",];

pub(super) fn files() -> Vec<ServiceFile> {
    ALL.iter().map(|(name, text)| ServiceFile { name: (*name).to_owned(), text: (*text).to_owned() }).collect()
}
