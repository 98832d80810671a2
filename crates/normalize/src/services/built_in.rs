//! The service formats that Panoptes ships: one file per service under `rules/formats`.

use super::ServiceFile;

macro_rules! shipped {
    ($($file:literal,)*) => {
        &[$((concat!("shipped:formats/", $file), include_str!(concat!("../../../../rules/formats/", $file))),)*]
    };
}

/// What errors call it, and its text.
const ALL: &[(&str, &str)] = shipped![
    "adguardhome.toml",
    "amavis.toml",
    "apereo_cas.toml",
    "audiobookshelf.toml",
    "authelia.toml",
    "aws_load_balancer.toml",
    "baikal.toml",
    "bookstack.toml",
    "calibre_web.toml",
    "cloudfront.toml",
    "cockpit.toml",
    "couchdb.toml",
    "cpanel.toml",
    "csf_lfd.toml",
    "dockge.toml",
    "dovecot.toml",
    "emby.toml",
    "endlessh.toml",
    "envoy.toml",
    "exchange_protocol.toml",
    "filebrowser.toml",
    "gitea.toml",
    "gotify.toml",
    "haproxy.toml",
    "harbor.toml",
    "hestiacp.toml",
    "home_assistant.toml",
    "immich.toml",
    "jellyfin.toml",
    "joplin.toml",
    "lemonldap_ng.toml",
    "mailcow.toml",
    "mailscanner.toml",
    "mailu.toml",
    "meshcentral.toml",
    "mikrotik.toml",
    "miniflux.toml",
    "navidrome.toml",
    "nginx_proxy_manager.toml",
    "ombi.toml",
    "openvpn.toml",
    "paperless_ngx.toml",
    "pfsense_gui.toml",
    "postfix.toml",
    "postgresql.toml",
    "proftpd.toml",
    "proxmox_backup.toml",
    "pterodactyl.toml",
    "qbittorrent.toml",
    "redmine.toml",
    "sabnzbd.toml",
    "seerr.toml",
    "segfault.toml",
    "servarr.toml",
    "sftpgo.toml",
    "stirling_pdf.toml",
    "sympa.toml",
    "tcpdump.toml",
    "technitium.toml",
    "unifi.toml",
    "uptime_kuma.toml",
    "uvicorn.toml",
    "vaultwarden.toml",
    "wireguard.toml",
    "zimbra.toml",
    "zoraxy.toml",
];

pub(super) fn files() -> Vec<ServiceFile> {
    ALL.iter().map(|(name, text)| ServiceFile { name: (*name).to_owned(), text: (*text).to_owned() }).collect()
}
