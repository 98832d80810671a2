//! Rows of extended log files (W3C), which inputs make objects of: IIS, proxies, CloudFront, the firewall of Windows,
//! Exchange's message tracking.

use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "W3C extended log files",
    examples: &[
        (
            "iis.access",
            r#"{"_w3c":"Microsoft Internet Information Services 10.0","date":"2024-01-15","time":"10:30:00","s-ip":"192.0.2.1","cs-method":"GET","cs-uri-stem":"/a b","cs-uri-query":"b=1","s-port":"443","cs-username":"CORP\\bob","c-ip":"203.0.113.9","cs(User-Agent)":"Mozilla/5.0+(X11;+Linux)","cs(Referer)":"https://example.com/","sc-status":"404","sc-substatus":"0","sc-win32-status":"2","time-taken":"15"}"#,
        ),
        (
            "proxy.w3c",
            r#"{"_w3c":"SGOS 6.7","date":"2024-01-15","time":"10:30:00","time-taken":"120","c-ip":"192.0.2.7","cs-username":"bob","s-action":"TCP_MISS","sc-status":"200","cs-method":"GET","cs-uri-scheme":"http","cs-host":"www.example.com","cs-uri-port":"80","cs-uri-path":"/a.exe","cs-uri-query":"?b=1","cs-uri-extension":"exe","cs(User-Agent)":"Mozilla/5.0 (X11)","r-ip":"203.0.113.9","sc-bytes":"512","cs-bytes":"128"}"#,
        ),
        (
            "aws.cloudfront",
            r#"{"_w3c":"","date":"2024-01-15","time":"10:30:00","x-edge-location":"FRA2","sc-bytes":"512","c-ip":"203.0.113.9","cs-method":"GET","cs(Host)":"d1.cloudfront.net","cs-uri-stem":"/a","sc-status":"200","cs(User-Agent)":"Mozilla/5.0%20(X11)","x-edge-result-type":"Hit"}"#,
        ),
        (
            "windows.firewall_log",
            r#"{"_w3c":"Microsoft Windows Firewall","date":"2024-01-15","time":"10:30:00","action":"DROP","protocol":"TCP","src-ip":"203.0.113.9","dst-ip":"192.0.2.1","src-port":"50000","dst-port":"445","size":"60"}"#,
        ),
        (
            "exchange.message_tracking",
            r#"{"_w3c":"Microsoft Exchange Server","date-time":"2024-01-15T10:30:00.000Z","client-ip":"203.0.113.9","event-id":"RECEIVE","message-id":"<1@example.com>","recipient-address":"bob@example.com","sender-address":"alice@example.com","message-subject":"hello"}"#,
        ),
    ],
    keys: &[mark::W3C],
    read,
};

const REQUEST: Meanings = Meanings::of(&[
    ("c-ip", "source.ip"),
    ("c-port", "source.port"),
    ("cs-username", "user.name"),
    ("cs-method", "http.request.method"),
    ("cs-version", "http.version"),
    ("cs-protocol-version", "http.version"),
    ("cs-bytes", "http.request.bytes"),
    ("sc-bytes", "http.response.body.bytes"),
    ("cs(Cookie)", "http.request.cookies"),
    ("cs(Referer)", "http.request.referrer"),
    ("cs(referer)", "http.request.referrer"),
    ("cs-referer", "http.request.referrer"),
    ("cs-uri-extension", "url.extension"),
    ("cs-uri-scheme", "url.scheme"),
    ("cs-uri-port", "url.port"),
    ("cs(Content-Type)", "http.request.mime_type"),
    ("rs(Content-Type)", "http.response.mime_type"),
    ("sc-content-type", "http.response.mime_type"),
    ("r-ip", "destination.ip"),
    ("cs-ip", "destination.ip"),
    ("s-ip", "destination.ip"),
    ("r-port", "destination.port"),
    ("s-port", "destination.port"),
    ("r-host", "destination.domain"),
    ("r-dns", "destination.domain"),
    ("s-computername", "host.name"),
    ("x-virus-id", "threat.software.name"),
]);

const FIREWALL: Meanings = Meanings::of(&[
    ("src-ip", "source.ip"),
    ("src-port", "source.port"),
    ("dst-ip", "destination.ip"),
    ("dst-port", "destination.port"),
    ("size", "network.bytes"),
    ("pid", "process.pid"),
]);

const MAIL: Meanings = Meanings::of(&[
    ("client-ip", "source.ip"),
    ("original-client-ip", "source.ip"),
    ("server-ip", "destination.ip"),
    ("sender-address", "email.from.address"),
    ("recipient-address", "email.to.address"),
    ("message-subject", "email.subject"),
    ("message-id", "email.message_id"),
    ("event-id", "event.action"),
    ("server-hostname", "host.name"),
]);

fn read(fields: &mut Fields<'_, '_>) -> bool {
    write_time(fields);
    if fields.has("src-ip") && fields.has("dst-ip") {
        fields.dataset("windows.firewall_log");
        fields.mean(FIREWALL);
        fields.set("event.category", "network");
        if let Some(protocol) = fields.text("protocol").map(str::to_ascii_lowercase) {
            fields.set("network.transport", &protocol);
        }
        if let Some(action) = fields.text("action").map(str::to_ascii_lowercase) {
            fields.set("event.action", &action);
            let (kind, blocked) = if action == "allow" { ("allowed", "false") } else { ("denied", "true") };
            fields.set("event.type", kind);
            fields.set("firewall.blocked", blocked);
        }
        return true;
    }
    if fields.has("message-id") && fields.has("event-id") {
        fields.dataset("exchange.message_tracking");
        fields.category("email", "info");
        fields.mean(MAIL);
        return true;
    }
    if !["cs-method", "cs-uri-stem", "cs-uri", "c-uri", "cs-host", "c-ip"].iter().any(|it| fields.has(it)) {
        fields.dataset("w3c");
        return true;
    }
    let dataset = kind(fields);
    fields.dataset(dataset);
    fields.mean(REQUEST);
    write_agent(fields, dataset);
    write_url(fields);
    for name in ["cs-host", "cs(Host)", "x-host-header"] {
        fields.host(name);
    }
    fields.request("sc-status");
    if fields.is("sc-filter-result", "DENIED") {
        fields.set("event.outcome", "failure");
    }
    // CloudFront and proxies of other makers count seconds with a fraction.
    let unit = if fields.text("time-taken").is_some_and(|it| it.contains('.')) { 1e9 } else { 1e6 };
    fields.duration("time-taken", unit);
    true
}

fn kind(fields: &mut Fields<'_, '_>) -> &'static str {
    let by_iis = fields.text("_w3c").is_some_and(|it| it.contains("Internet Information Services"));
    if by_iis || fields.has("sc-win32-status") || fields.has("s-sitename") {
        "iis.access"
    } else if fields.has("x-edge-location") {
        "aws.cloudfront"
    } else if ["s-action", "cs-uri-scheme", "sc-filter-result", "r-host", "r-ip", "cs-uri", "c-uri", "x-virus-id"]
        .iter()
        .any(|it| fields.has(it))
    {
        "proxy.w3c"
    } else {
        "web.access"
    }
}

fn write_time(fields: &mut Fields<'_, '_>) {
    if let (Some(date), Some(clock)) = (fields.text("date").map(str::to_owned), fields.text("time").map(str::to_owned))
    {
        fields.time_of(&format!("{date} {clock}"));
    }
    fields.time(&["date-time", "x-timestamp", "gmttime", "timestamp"]);
}

/// IIS writes a plus for a space, CloudFront escapes as in URLs.
fn write_agent(fields: &mut Fields<'_, '_>, dataset: &str) {
    let names = ["cs(User-Agent)", "cs(user-agent)", "cs-user-agent", "c-useragent"];
    let Some(agent) = names.iter().find_map(|it| fields.text(it).map(str::to_owned)) else { return };
    let agent = match dataset {
        "iis.access" if !agent.contains(' ') => agent.replace('+', " "),
        "aws.cloudfront" => agent.replace("%2520", " ").replace("%20", " "),
        _ => agent,
    };
    fields.set("user_agent.original", &agent);
}

/// The target: as it stands, or put together of its parts.
fn write_url(fields: &mut Fields<'_, '_>) {
    for name in ["cs-uri", "c-uri"] {
        fields.url(name);
    }
    if fields.has("url.original") {
        return;
    }
    let part = |fields: &mut Fields<'_, '_>, names: &[&str]| {
        names.iter().find_map(|it| fields.text(it).map(str::to_owned)).unwrap_or_default()
    };
    let path = part(fields, &["cs-uri-stem", "cs-uri-path"]);
    let query = part(fields, &["cs-uri-query"]);
    if path.is_empty() {
        return;
    }
    let query = query.strip_prefix('?').unwrap_or(&query);
    let mut target = String::new();
    let scheme = part(fields, &["cs-uri-scheme"]);
    let host = part(fields, &["cs-host"]);
    if !scheme.is_empty() && !host.is_empty() && path.starts_with('/') {
        target = format!("{scheme}://{host}");
    }
    target.push_str(&path);
    if !query.is_empty() {
        target.push('?');
        target.push_str(query);
    }
    fields.set("url.original", &target);
    fields.set("url.path", &path);
    if let Some(extension) = crate::url::extension(&path) {
        fields.set("url.extension", extension);
    }
    if !query.is_empty() {
        fields.set("url.query", query);
    }
}
