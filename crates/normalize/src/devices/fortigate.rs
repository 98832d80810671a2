//! Fortinet's FortiGate: `key=value` lines that name the device and the number of the message.

use panoptes_model::{BatchWriter, Value, field};

use super::write_own;
use crate::fact::{FAILURE, SUCCESS, Words};

/// Writes what pairs that were read mean beyond their usual names, if a FortiGate wrote them, and says so.
pub(crate) fn write(writer: &mut BatchWriter<'_>) -> Option<&'static str> {
    let mut has = |name: &str| writer.field(name).is_some_and(|id| writer.has(id));
    if !(has("logid") && has("subtype") && (has("devid") || has("vd"))) {
        return None;
    }
    let kind = word(writer, "type", &["traffic", "event", "utm"]);
    let subtype = word(writer, "subtype", &["system", "user", "vpn"]);
    if kind == Some("traffic") {
        let denied = word(writer, "action", &["deny", "blocked", "ip-conn", "dns"]).is_some();
        let (words, outcome, blocked): (Words, _, _) = if denied {
            (&["connection", "denied"], FAILURE, "true")
        } else {
            (&["connection", "allowed"], SUCCESS, "false")
        };
        classify(writer, "network", words, outcome);
        write_own(writer, "firewall.blocked", blocked);
    } else if kind == Some("event") && subtype.is_some() {
        // The tunnel to the network, by TLS or by IPsec.
        let refused =
            ["ssl-login-fail", "ssl-alert", "ssl-exit-fail", "phase1-error", "negotiate-error", "ipsec_phase1_error"];
        if word(writer, "action", &refused).is_some_and(|it| it != "ssl-alert") {
            classify(writer, "authentication", &["start"], FAILURE);
        } else if word(writer, "action", &["tunnel-up", "ssl-new-con"]).is_some_and(|it| it == "tunnel-up") {
            classify(writer, "authentication", &["start"], SUCCESS);
        } else if word(writer, "action", &["login"]).is_some() {
            let failed = word(writer, "status", &["failed", "failure"]).is_some();
            classify(writer, "authentication", &["start"], if failed { FAILURE } else { SUCCESS });
        } else if writer.field("cfgpath").is_some_and(|id| writer.has(id)) {
            classify(writer, "configuration", &["change"], None);
        }
    }
    Some("fortinet.fortigate")
}

/// Which of `known` the pair called `name` has.
fn word(writer: &mut BatchWriter<'_>, name: &str, known: &[&'static str]) -> Option<&'static str> {
    let id = writer.field(name)?;
    match writer.get(id)? {
        Value::Text(text) => known.iter().copied().find(|it| it.eq_ignore_ascii_case(text)),
        _ => None,
    }
}

fn classify(writer: &mut BatchWriter<'_>, category: &str, kind: Words, outcome: Option<&str>) {
    writer.text(field::EVENT_CATEGORY, category);
    writer.words(field::EVENT_TYPE, kind);
    if let Some(outcome) = outcome.filter(|_| !writer.has(field::EVENT_OUTCOME)) {
        writer.text(field::EVENT_OUTCOME, outcome);
    }
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::value;

    #[test]
    fn lines_of_a_fortigate_are_known_by_their_device_and_number() {
        let head =
            "<189>date=2024-01-15 time=10:30:00 devname=\"fw1\" devid=\"FG100\" logid=\"0100044547\" vd=\"root\"";
        let change = format!(
            "{head} type=\"event\" subtype=\"system\" level=\"information\" user=\"bob\" action=\"Add\" cfgpath=\"system.admin\" cfgobj=\"x\""
        );
        let get = |name| value(&change, name);
        assert_eq!((get("event.dataset"), get("cfgpath")), ("fortinet.fortigate".into(), "system.admin".into()));
        assert_eq!((get("event.category"), get("user.name")), ("configuration".into(), "bob".into()));
        assert_eq!(get("host.name"), "fw1");
        let traffic = format!(
            "{head} type=\"traffic\" subtype=\"forward\" srcip=203.0.113.9 dstip=192.0.2.8 dstport=22 action=\"deny\""
        );
        assert_eq!(
            (value(&traffic, "firewall.blocked"), value(&traffic, "event.outcome")),
            ("true".into(), "failure".into())
        );
        let login = format!(
            "{head} type=\"event\" subtype=\"system\" user=\"bob\" action=\"login\" status=\"failed\" srcip=203.0.113.9"
        );
        assert_eq!(
            (value(&login, "event.category"), value(&login, "event.outcome")),
            ("authentication".into(), "failure".into())
        );
        assert_eq!(value("a=1 devid=2 logid=3", "event.dataset"), "keyvalue");
    }
}
