//! Zeek's logs: in JSON, or rows of its tables, which inputs make the same objects of.
//!
//! The kind of log is `_path`; without one (Zeek's own JSON writer leaves it out) the keys tell.

use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "Zeek",
    examples: &[
        (
            "zeek.http",
            r#"{"_path":"http","ts":1705314600.123456,"uid":"CHhAvVGS1DHFjwGM9","id.orig_h":"192.0.2.7","id.orig_p":50000,"id.resp_h":"203.0.113.9","id.resp_p":80,"trans_depth":1,"method":"GET","host":"www.example.com:8080","uri":"/a?b=1","referrer":"http://example.com/","version":"1.1","user_agent":"curl/8.0","request_body_len":0,"response_body_len":512,"status_code":404,"username":"bob","resp_mime_types":["text/html"]}"#,
        ),
        (
            "zeek.dns",
            r#"{"ts":"2024-01-15T10:30:00.123456Z","uid":"CHhAvVGS1DHFjwGM9","id":{"orig_h":"192.0.2.7","orig_p":50000,"resp_h":"192.0.2.53","resp_p":53},"proto":"udp","query":"www.example.com","qtype_name":"A","rcode_name":"NOERROR","answers":["203.0.113.9"]}"#,
        ),
        (
            "zeek.conn",
            r#"{"ts":1705314600.5,"uid":"C1","id.orig_h":"192.0.2.7","id.orig_p":1,"id.resp_h":"203.0.113.9","id.resp_p":22,"proto":"tcp","service":"ssh","duration":1.5,"orig_bytes":10,"resp_bytes":20,"conn_state":"SF"}"#,
        ),
        (
            "zeek.x509",
            r#"{"_path":"x509","ts":1705314600.5,"certificate.serial":"8BB00EE","certificate.subject":"CN=x"}"#,
        ),
    ],
    keys: &[
        mark::ZEEK_PATH.and(mark::ZEEK_TS),
        mark::ZEEK_PATH.and(mark::ZEEK_UID),
        mark::ZEEK_PATH.and(mark::ZEEK_ORIG_H),
        mark::ZEEK_UID.and(mark::ZEEK_ORIG_H),
    ],
    read,
};

/// What the names mean wherever they stand.
const ALL: Meanings = Meanings::of(&[
    ("id.orig_h", "source.ip"),
    ("id.orig_p", "source.port"),
    ("id.resp_h", "destination.ip"),
    ("id.resp_p", "destination.port"),
    ("proto", "network.transport"),
    ("uid", "event.id"),
    ("community_id", "network.community_id"),
]);

/// The logs whose names mean more: how the kind is told without `_path`, and the names.
const KINDS: &[(&str, &[&str], Meanings)] = &[
    (
        "http",
        &["trans_depth", "method"],
        Meanings::of(&[
            ("method", "http.request.method"),
            ("user_agent", "user_agent.original"),
            ("referrer", "http.request.referrer"),
            ("version", "http.version"),
            ("request_body_len", "http.request.body.bytes"),
            ("response_body_len", "http.response.body.bytes"),
            ("resp_mime_types", "http.response.mime_type"),
            ("username", "user.name"),
        ]),
    ),
    (
        "dns",
        &["trans_id", "qtype_name", "rcode_name"],
        Meanings::of(&[
            ("query", "dns.question.name"),
            ("qtype_name", "dns.question.type"),
            ("qclass_name", "dns.question.class"),
            ("rcode_name", "dns.response_code"),
            ("answers", "dns.answers.data"),
            ("trans_id", "dns.id"),
        ]),
    ),
    (
        "conn",
        &["conn_state"],
        Meanings::of(&[
            ("orig_bytes", "source.bytes"),
            ("resp_bytes", "destination.bytes"),
            ("service", "network.protocol"),
        ]),
    ),
    (
        "ssl",
        &["ssl_history", "next_protocol", "cert_chain_fps", "cipher"],
        Meanings::of(&[
            ("version", "tls.version"),
            ("cipher", "tls.cipher"),
            ("curve", "tls.curve"),
            ("server_name", "tls.client.server_name"),
            ("ja3", "tls.client.ja3"),
            ("ja3s", "tls.server.ja3s"),
            ("subject", "tls.server.subject"),
            ("issuer", "tls.server.issuer"),
            ("established", "tls.established"),
        ]),
    ),
    (
        "x509",
        &["certificate.serial"],
        Meanings::of(&[
            ("certificate.serial", "tls.server.x509.serial_number"),
            ("certificate.subject", "tls.server.subject"),
            ("certificate.issuer", "tls.server.issuer"),
            ("san.dns", "tls.server.x509.alternative_names"),
        ]),
    ),
    ("ssh", &["auth_attempts", "kex_alg"], Meanings::of(&[("client", "ssh.client"), ("server", "ssh.server")])),
    (
        "files",
        &["mime_type", "seen_bytes"],
        Meanings::of(&[
            ("filename", "file.name"),
            ("mime_type", "file.mime_type"),
            ("total_bytes", "file.size"),
            ("md5", "file.hash.md5"),
            ("sha1", "file.hash.sha1"),
            ("sha256", "file.hash.sha256"),
            ("tx_hosts", "source.ip"),
            ("rx_hosts", "destination.ip"),
        ]),
    ),
    ("smb_mapping", &["share_type"], Meanings::of(&[("path", "file.path")])),
    (
        "smb_files",
        &["prev_name", "times.modified"],
        Meanings::of(&[("action", "event.action"), ("name", "file.path"), ("size", "file.size")]),
    ),
    ("dce_rpc", &["named_pipe", "endpoint"], Meanings::of(&[("operation", "event.action")])),
    ("kerberos", &["request_type"], Meanings::of(&[("client", "user.name"), ("request_type", "event.action")])),
    (
        "ntlm",
        &["domainname"],
        Meanings::of(&[("username", "user.name"), ("domainname", "user.domain"), ("hostname", "source.domain")]),
    ),
    ("rdp", &["security_protocol", "cookie"], Meanings::of(&[("cookie", "user.name")])),
    ("ftp", &["reply_code"], Meanings::of(&[("user", "user.name"), ("command", "event.action"), ("arg", "file.path")])),
    (
        "smtp",
        &["mailfrom", "helo"],
        Meanings::of(&[
            ("mailfrom", "email.from.address"),
            ("rcptto", "email.to.address"),
            ("subject", "email.subject"),
            ("msg_id", "email.message_id"),
            ("user_agent", "user_agent.original"),
        ]),
    ),
    (
        "notice",
        &["note"],
        Meanings::of(&[
            ("note", "rule.name"),
            ("msg", "message"),
            ("src", "source.ip"),
            ("dst", "destination.ip"),
            ("p", "destination.port"),
        ]),
    ),
    ("weird", &["notice"], Meanings::of(&[("name", "event.action"), ("addl", "event.reason")])),
    (
        "dhcp",
        &["lease_time"],
        Meanings::of(&[("assigned_addr", "client.ip"), ("mac", "client.mac"), ("host_name", "client.domain")]),
    ),
    ("tunnel", &["tunnel_type"], Meanings::of(&[("action", "event.action")])),
    (
        "software",
        &["software_type"],
        Meanings::of(&[("host", "host.ip"), ("name", "package.name"), ("unparsed_version", "package.version")]),
    ),
    ("radius", &["connect_info"], Meanings::of(&[("username", "user.name"), ("framed_addr", "client.ip")])),
    ("mysql", &["cmd"], Meanings::of(&[("cmd", "event.action")])),
    ("sip", &["call_id"], Meanings::of(&[("method", "event.action"), ("user_agent", "user_agent.original")])),
    ("snmp", &["community"], Meanings::of(&[("community", "user.name")])),
    ("socks", &["bound_p"], Meanings::of(&[("user", "user.name")])),
    ("known_hosts", &[], Meanings::of(&[("host", "host.ip")])),
];

/// How much of a path that nobody knows goes into the dataset.
const PATH_BYTES_MAX: usize = 64;

fn read(fields: &mut Fields<'_, '_>) -> bool {
    let path = match fields.text("_path") {
        Some(path) if path.len() <= PATH_BYTES_MAX => path.to_ascii_lowercase(),
        Some(_) => return false,
        None => match KINDS.iter().find(|(_, keys, _)| keys.iter().any(|it| fields.index(it).is_some())) {
            Some((path, ..)) => (*path).to_owned(),
            None => "log".to_owned(),
        },
    };
    fields.dataset(&format!("zeek.{path}"));
    fields.time(&["ts"]);
    fields.mean(ALL);
    if let Some((_, _, meanings)) = KINDS.iter().find(|(it, ..)| *it == path) {
        fields.mean(*meanings);
    }
    fields.duration("duration", 1e9);
    match path.as_str() {
        "http" => {
            fields.set("network.protocol", "http");
            fields.host("host");
            fields.url("uri");
            fields.request("status_code");
        }
        "dns" => {
            fields.set("network.protocol", "dns");
            fields.category("network", "protocol");
            fields.set("event.action", "dns_query");
        }
        "conn" => {
            fields.category("network", "connection");
            fields.set("event.action", "network_flow");
            if let (Some(source), Some(destination)) = (fields.number("orig_bytes"), fields.number("resp_bytes")) {
                fields.integer("network.bytes", source.saturating_add(destination));
            }
        }
        "ssh" => {
            fields.set("network.protocol", "ssh");
            if let Some(panoptes_model::Value::Boolean(success)) = fields.value("auth_success") {
                fields.login(success);
            }
        }
        "kerberos" | "ntlm" => {
            if let Some(panoptes_model::Value::Boolean(success)) = fields.value("success") {
                fields.login(success);
            }
        }
        "notice" => fields.set("event.category", "intrusion_detection"),
        "ssl" => fields.set("network.protocol", "tls"),
        "files" | "smb_files" | "pe" => fields.set("event.category", "file"),
        _ => fields.set("event.category", "network"),
    }
    true
}
