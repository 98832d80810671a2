//! CrowdSec's hub: what its parsers read out of lines of sshd, nginx and Apache is what Panoptes reads out of them.
//!
//! `parser.assert` states fields of the n-th line that a parser took; only folders in which it took every line are
//! compared, so that line and statement belong together. All such folders count, also the two whose lines have a shape of
//! their own (nginx proxy manager, a platform's wrapping).

mod corpora;

use std::collections::BTreeMap;

use panoptes_model::{Event, field};

/// Folder and log.
const LOGS: [(&str, &str); 11] = [
    ("CVE-2022-40684", "CVE-2022-40684"),
    ("actual-budget-whitelist", "actual-budget-logs"),
    ("base-upsun-httplog-logs", "base-upsun-httplog-logs"),
    ("jellyfin-whitelist", "jellyfin-logs"),
    ("jellyseerr-whitelist", "jellyseerr-logs"),
    ("nginx_http-catch-npm", "nginx_http-catch-npm"),
    ("overseerr-whitelist", "overseerr-logs"),
    ("pfsense-rfc5424-nginx", "pfsense-rfc5424-nginx"),
    ("rocketchat-whitelist", "rocketchat-whitelist"),
    ("sshd-invalid-bf", "sshd-invalid-bf"),
    ("sshd-logs-fp", "sshd-logs"),
];

/// `results["s01-parse"]["crowdsecurity/sshd-logs"][0].Evt.Meta["source_ip"] == "192.0.2.1"` as (0, source_ip, 192.0.2.1).
fn statement(line: &str) -> Option<(usize, &str, String)> {
    let rest = line.strip_prefix("results[\"s01-parse\"][\"crowdsecurity/")?;
    let (parser, rest) = rest.split_once("\"][")?;
    if !matches!(parser, "sshd-logs" | "nginx-logs" | "apache2-logs") {
        return None;
    }
    let (index, rest) = rest.split_once("].Evt.Meta[\"")?;
    let (name, rest) = rest.split_once("\"] == \"")?;
    let value = rest.strip_suffix('"')?.replace("\\\"", "\"").replace("\\\\", "\\");
    Some((index.parse().ok()?, name, value))
}

fn ours(event: Event<'_>, name: &str) -> Option<String> {
    let id = match name {
        "source_ip" => field::SOURCE_IP,
        "http_verb" => field::HTTP_REQUEST_METHOD,
        "http_status" => field::HTTP_RESPONSE_STATUS_CODE,
        "http_user_agent" => field::USER_AGENT_ORIGINAL,
        "target_user" => field::USER_NAME,
        "machine" => field::HOST_NAME,
        "http_path" => {
            let text = |id| event.text(id).unwrap_or("");
            let path = [text(field::URL_PATH), text(field::URL_ORIGINAL)];
            return Some(path.into_iter().find(|it| !it.is_empty()).unwrap_or("").to_owned());
        }
        _ => return None,
    };
    Some(event.get(id).map_or_else(String::new, |it| it.to_text().into_owned()))
}

#[test]
fn fields_agree_with_crowdsecs_parsers() {
    let (mut right, mut all) = (0, 0);
    for (folder, log) in LOGS {
        let log = format!("crowdsec-hub/tests/{folder}/{log}.log");
        let Some(text) = corpora::read(&log) else { return };
        let Some(statements) = corpora::read(&format!("crowdsec-hub/tests/{folder}/parser.assert")) else { return };
        let lines: Vec<_> = text.lines().filter(|it| !it.trim().is_empty()).collect();
        let events = corpora::normalize(&log, &lines);
        let mut wrong = BTreeMap::new();
        for (index, name, theirs) in statements.lines().filter_map(statement) {
            let Some(event) = events.event(index) else { continue };
            let Some(ours) = ours(event, name) else { continue };
            // Their `-` is our absence; their path may keep the query.
            let path = theirs.split('?').next().unwrap_or(&theirs).to_owned();
            let agree = ours == theirs || (ours.is_empty() && theirs == "-") || (name == "http_path" && ours == path);
            all += 1;
            right += usize::from(agree);
            if !agree {
                wrong.entry((name, event.text(field::PANOPTES_FORMAT))).or_insert((theirs, ours));
            }
        }
        println!("{folder}: {wrong:#?}");
    }
    println!("{right} of {all} fields agree");
    assert!(all > 100, "{all}");
    assert!(right as f64 >= 0.85 * all as f64, "{right} of {all}");
}
