//! The service formats that Panoptes ships: one file per service under `rules/formats`.

use super::ServiceFile;

macro_rules! shipped {
    ($($file:literal,)*) => {
        &[$((concat!("shipped:formats/", $file), include_str!(concat!("../../../../rules/formats/", $file))),)*]
    };
}

/// What errors call it, and its text.
const ALL: &[(&str, &str)] = shipped![
    "3proxy.toml",
    "assp.toml",
    "asterisk.toml",
    "bitwarden.toml",
    "centreon.toml",
    "counter-strike.toml",
    "courier.toml",
    "cowrie.toml",
    "cyrus.toml",
    "dante.toml",
    "directadmin.toml",
    "dovecot.toml",
    "fail2ban.toml",
    "freeswitch.toml",
    "froxlor.toml",
    "ftpd.toml",
    "grafana.toml",
    "groupoffice.toml",
    "guacamole.toml",
    "horde.toml",
    "lighttpd.toml",
    "mongodb.toml",
    "monit.toml",
    "monitorix.toml",
    "mssql.toml",
    "murmur.toml",
    "nrpe.toml",
    "openhab.toml",
    "oracleims.toml",
    "postfix.toml",
    "proftpd.toml",
    "proxmox.toml",
    "pure-ftpd.toml",
    "roundcube.toml",
    "routeros.toml",
    "screensharingd.toml",
    "slapd.toml",
    "softethervpn.toml",
    "sogo.toml",
    "solid-pop3d.toml",
    "squirrelmail.toml",
    "stunnel.toml",
    "suhosin.toml",
    "uw-imap.toml",
    "vaultwarden.toml",
    "webmin.toml",
    "xinetd.toml",
    "znc.toml",
    "generic.toml",
];

pub(super) fn files() -> Vec<ServiceFile> {
    ALL.iter().map(|(name, text)| ServiceFile { name: (*name).to_owned(), text: (*text).to_owned() }).collect()
}
