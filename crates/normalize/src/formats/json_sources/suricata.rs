//! Suricata: `eve.json`, one object an event. Its kind (`event_type`) says below which key the rest stands.

use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "Suricata EVE",
    examples: &[
        (
            "suricata.alert",
            r#"{"timestamp":"2024-01-15T10:30:00.123456+0000","flow_id":1258832998001901,"in_iface":"eth0","event_type":"alert","src_ip":"203.0.113.9","src_port":4711,"dest_ip":"192.0.2.8","dest_port":80,"proto":"TCP","alert":{"action":"allowed","gid":1,"signature_id":2000001,"rev":3,"signature":"EXAMPLE Probe","category":"Attempted Information Leak","severity":2},"http":{"hostname":"h.example","url":"/a?b=1","http_user_agent":"curl/8","http_method":"GET","protocol":"HTTP/1.1","status":404,"length":13},"app_proto":"http"}"#,
        ),
        (
            "suricata.dns",
            r#"{"timestamp":"2024-01-15T10:30:00.123456+0000","flow_id":7,"event_type":"dns","src_ip":"192.0.2.8","src_port":5353,"dest_ip":"192.0.2.53","dest_port":53,"proto":"UDP","dns":{"type":"query","rrname":"www.example.com","rrtype":"A"}}"#,
        ),
    ],
    keys: &[mark::SURICATA_EVENT_TYPE.and(mark::FLOW_ID), mark::SURICATA_EVENT_TYPE.and(mark::DEST_IP)],
    read,
};

const MEANINGS: Meanings = Meanings::of(&[
    ("src_ip", "source.ip"),
    ("src_port", "source.port"),
    ("dest_ip", "destination.ip"),
    ("dest_port", "destination.port"),
    ("flow_id", "event.id"),
    ("community_id", "network.community_id"),
    ("app_proto", "network.protocol"),
    ("in_iface", "observer.ingress.interface.name"),
    ("host", "observer.name"),
    ("alert.signature", "rule.name"),
    ("alert.signature_id", "rule.id"),
    ("alert.rev", "rule.version"),
    ("alert.category", "rule.category"),
    ("alert.severity", "event.severity"),
    ("http.hostname", "url.domain"),
    ("http.http_method", "http.request.method"),
    ("http.http_user_agent", "user_agent.original"),
    ("http.http_refer", "http.request.referrer"),
    ("http.status", "http.response.status_code"),
    ("http.length", "http.response.body.bytes"),
    ("dns.rrname", "dns.question.name"),
    ("dns.rrtype", "dns.question.type"),
    ("dns.rcode", "dns.response_code"),
    ("tls.sni", "tls.client.server_name"),
    ("tls.version", "tls.version"),
    ("tls.subject", "tls.server.subject"),
    ("tls.issuerdn", "tls.server.issuer"),
    ("flow.bytes_toserver", "source.bytes"),
    ("flow.bytes_toclient", "destination.bytes"),
    ("flow.pkts_toserver", "source.packets"),
    ("flow.pkts_toclient", "destination.packets"),
    ("fileinfo.filename", "file.path"),
    ("fileinfo.size", "file.size"),
    ("fileinfo.md5", "file.hash.md5"),
    ("fileinfo.sha1", "file.hash.sha1"),
    ("fileinfo.sha256", "file.hash.sha256"),
    ("smtp.helo", "source.domain"),
    ("ssh.client.software_version", "user_agent.original"),
]);

fn read(fields: &mut Fields<'_, '_>) -> bool {
    let kind = match fields.text("event_type") {
        Some(kind) if kind.len() <= 32 && kind.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_') => {
            kind.to_owned()
        }
        _ => return false,
    };
    if !["src_ip", "stats", "flow_id"].iter().any(|it| fields.has(it)) {
        return false;
    }
    if kind == "alert" {
        fields.set("event.kind", "alert");
    }
    fields.dataset(&format!("suricata.{kind}"));
    fields.time(&["timestamp"]);
    fields.mean(MEANINGS);
    fields.url("http.url");
    if let Some(transport) = fields.text("proto").map(str::to_ascii_lowercase).filter(|it| it.len() <= 16) {
        fields.set("network.transport", &transport);
    }
    match kind.as_str() {
        "alert" => {
            let blocked = fields.is("alert.action", "blocked");
            fields.category("intrusion_detection", if blocked { "denied" } else { "allowed" });
            fields.set("event.action", "signature_matched");
            fields.set("firewall.blocked", if blocked { "true" } else { "false" });
        }
        "http" => fields.request("http.status"),
        "drop" => {
            fields.category("network", "denied");
            fields.set("event.action", "packet_denied");
            fields.outcome(false);
            fields.set("firewall.blocked", "true");
        }
        "flow" | "netflow" | "tls" | "ssh" | "dns" | "smb" | "rdp" | "smtp" | "ftp" | "quic" => {
            fields.category("network", "connection");
        }
        "anomaly" => fields.category("network", "error"),
        "fileinfo" => fields.category("file", "info"),
        _ => {}
    }
    true
}
