//! What senders usually call things, and the ECS field that is meant.
//!
//! The sender's own name stays; the ECS field is a second name for the same bytes. Names are compared without regard
//! to case.

use std::net::IpAddr;

use panoptes_model::{Anomaly, BatchWriter, FieldId, Timestamp, Value, field};

use crate::context::Context;
use crate::fact::{FAILURE, SUCCESS, Words};
use crate::text::lower;
use crate::url::{Target, host_and_port, offsets};
use crate::{address, level, time};

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Time,
    /// `time` also is the usual name of a duration.
    PerhapsTime,
    Level,
    Message,
    /// Of structlog the message, of others what happened.
    Event,
    Service,
    Host,
    /// An address, or else a host's name.
    Source,
    /// An address, else not this.
    SourceIfAddress,
    SourcePort,
    Destination,
    DestinationPort,
    User,
    Status,
    Method,
    Url,
    Bytes,
    Outcome,
    Success,
    /// A text that is the field as it stands.
    Text(FieldId),
    Number(FieldId),
}

fn meaning(name: &str) -> Option<Meaning> {
    let mut buffer = [0; 32];
    let name = lower(name, &mut buffer)?;
    // `request.method` and `http.status` mean what `method` and `status` mean.
    let name = match name.split_once('.') {
        None => name,
        // Whole names of some: Teleport, MongoDB, GitLab, Keycloak.
        Some(("addr" | "attr", "remote")) | Some(("meta", "remote_ip")) | Some(("account", "ip")) => "remote_addr",
        Some(("attr", "principalname")) | Some(("details", "username")) => "user",
        Some(("t", "$date")) => "timestamp",
        Some(("request" | "req" | "response" | "res" | "http", rest)) => rest,
        Some(("data" | "fields" | "context" | "event_data" | "eventdata", rest)) if !rest.contains('.') => rest,
        Some(_) => return None,
    };
    Some(match name {
        "timestamp"
        | "@timestamp"
        | "ts"
        | "datetime"
        | "date_time"
        | "date"
        | "eventtime"
        | "event_time"
        | "log_time"
        | "logtime"
        | "created_at"
        | "asctime"
        | "@t"
        | "__realtime_timestamp"
        | "timestamp_ms" => Meaning::Time,
        "time" => Meaning::PerhapsTime,
        "level" | "severity" | "lvl" | "loglevel" | "log_level" | "levelname" | "level_name" | "priority" | "@l" => {
            Meaning::Level
        }
        "msg" | "log" | "text" | "@m" | "log_message" => Meaning::Message,
        "event" => Meaning::Event,
        "source" | "service" | "app" | "application" | "logger" | "service_name" | "servicename" | "app_name"
        | "component" => Meaning::Service,
        "host" | "hostname" | "host_name" | "node" | "computer" | "devname" | "_hostname" => Meaning::Host,
        "client_ip"
        | "src_ip"
        | "srcip"
        | "remote_addr"
        | "clientip"
        | "remote_ip"
        | "remoteip"
        | "source_ip"
        | "sourceip"
        | "ip_address"
        | "ipaddress"
        | "remote_address"
        | "remote_host"
        | "src"
        | "rhost"
        | "client_addr"
        | "source_address"
        | "c-ip"
        | "remoteaddr"
        | "remoteaddress"
        | "clienthost"
        | "clientaddr"
        | "request_ip"
        | "requestip"
        | "user_ip"
        | "userip"
        | "ip_addr"
        | "ipaddr"
        | "downstream_remote_address"
        | "source_ip_address"
        | "sourceipaddress"
        | "remip" => Meaning::Source,
        "ip" | "addr" | "client" | "remote" | "remote_ips" | "host_ip" | "peer" | "from" | "x_forwarded_for"
        | "x-forwarded-for" => Meaning::SourceIfAddress,
        "src_port" | "source_port" | "client_port" | "srcport" | "remote_port" | "spt" | "sport" => Meaning::SourcePort,
        "dst_ip" | "dstip" | "dest_ip" | "destination_ip" | "dst" | "dest" | "server_ip" => Meaning::Destination,
        "dst_port" | "dstport" | "dest_port" | "destination_port" | "dpt" | "dport" => Meaning::DestinationPort,
        "user" | "username" | "user_name" | "login" | "account" | "principal" | "principalname" | "clientusername"
        | "acct" | "usr" | "remote_user" | "cs-username" => Meaning::User,
        "status"
        | "status_code"
        | "statuscode"
        | "http_status"
        | "httpstatus"
        | "response_code"
        | "http_status_code"
        | "response_status"
        | "downstreamstatus"
        | "responsecode"
        | "response_status_code"
        | "sc-status" => Meaning::Status,
        "method" | "http_method" | "request_method" | "requestmethod" | "verb" | "cs-method" | "downstreammethod" => {
            Meaning::Method
        }
        "path"
        | "uri"
        | "url"
        | "request_uri"
        | "requesturi"
        | "request_path"
        | "requestpath"
        | "request_url"
        | "http_path"
        | "path_info"
        | "endpoint"
        | "x-envoy-original-path" => Meaning::Url,
        "bytes"
        | "body_bytes_sent"
        | "bytes_sent"
        | "response_size"
        | "responsesize"
        | "response_body_size"
        | "contentlength"
        | "content_length"
        | "downstreamcontentsize" => Meaning::Bytes,
        "outcome" | "result" | "res" => Meaning::Outcome,
        "success" => Meaning::Success,
        "user_agent" | "useragent" | "user-agent" | "ua" | "http_user_agent" | "request_user_agent"
        | "request_user-agent" | "headers.user-agent" | "cs(user-agent)" => Meaning::Text(field::USER_AGENT_ORIGINAL),
        "referer" | "referrer" | "http_referer" | "http_referrer" | "request_referer" | "request_referrer"
        | "headers.referer" => Meaning::Text(field::HTTP_REQUEST_REFERRER),
        "action" | "event_type" | "eventtype" | "event_name" | "eventname" => Meaning::Text(field::EVENT_ACTION),
        "error" | "err" | "exception" => Meaning::Text(field::ERROR_MESSAGE),
        "email" | "user_email" => Meaning::Text(field::USER_EMAIL),
        "reason" => Meaning::Text(field::EVENT_REASON),
        "trace_id" | "traceid" => Meaning::Text(field::TRACE_ID),
        "process" | "proc" | "program" | "comm" => Meaning::Text(field::PROCESS_NAME),
        "exe" => Meaning::Text(field::PROCESS_EXECUTABLE),
        "command" | "cmd" | "command_line" | "cmdline" | "commandline" => Meaning::Text(field::PROCESS_COMMAND_LINE),
        "vhost" | "http_host" | "server_name" | "requesthost" | ":authority" | "requested_server_name" => {
            Meaning::Text(field::URL_DOMAIN)
        }
        "pid" => Meaning::Number(field::PROCESS_PID),
        _ => return None,
    })
}

/// Every meaning: what is remembered of a name is the place here.
const MEANINGS: &[Meaning] = &[
    Meaning::Time,
    Meaning::PerhapsTime,
    Meaning::Level,
    Meaning::Message,
    Meaning::Event,
    Meaning::Service,
    Meaning::Host,
    Meaning::Source,
    Meaning::SourceIfAddress,
    Meaning::SourcePort,
    Meaning::Destination,
    Meaning::DestinationPort,
    Meaning::User,
    Meaning::Status,
    Meaning::Method,
    Meaning::Url,
    Meaning::Bytes,
    Meaning::Outcome,
    Meaning::Success,
    Meaning::Text(field::USER_AGENT_ORIGINAL),
    Meaning::Text(field::HTTP_REQUEST_REFERRER),
    Meaning::Text(field::EVENT_ACTION),
    Meaning::Text(field::ERROR_MESSAGE),
    Meaning::Text(field::USER_EMAIL),
    Meaning::Text(field::EVENT_REASON),
    Meaning::Text(field::TRACE_ID),
    Meaning::Text(field::PROCESS_NAME),
    Meaning::Text(field::PROCESS_EXECUTABLE),
    Meaning::Text(field::PROCESS_COMMAND_LINE),
    Meaning::Text(field::URL_DOMAIN),
    Meaning::Number(field::PROCESS_PID),
];

/// Notes of [`BatchWriter::note`]: nothing is meant, the name speaks for Panoptes, or a place in [`MEANINGS`] behind.
const NOTHING: u8 = 0;
const FOREIGN: u8 = 1;
const FIRST: u8 = 2;

fn note(writer: &mut BatchWriter<'_>, id: FieldId) -> u8 {
    writer.note(id, |name| {
        if name.starts_with("panoptes.") {
            return FOREIGN;
        }
        let place = meaning(name).and_then(|it| MEANINGS.iter().position(|other| *other == it));
        place.map_or(NOTHING, |it| FIRST + it as u8)
    })
}

/// What is to be written for one field; owns nothing of the batch.
enum Act {
    Nothing,
    Remove,
    Time(Timestamp, bool, bool),
    Anomaly(Anomaly),
    Word(FieldId, &'static str),
    /// The canonical word in place of the sender's.
    Replace(FieldId, &'static str),
    Alias(FieldId),
    Integer(FieldId, i64),
    Address(FieldId, FieldId, IpAddr, Option<u16>),
    Url {
        scheme: Part,
        domain: Part,
        path: Part,
        query: Part,
        port: Option<u16>,
    },
}

type Part = Option<(usize, usize)>;

/// Writes ECS fields for the fields from the `start`th on, as far as their names are known.
pub(crate) fn map(writer: &mut BatchWriter<'_>, start: usize, context: &Context<'_>) {
    let mut end = writer.field_count();
    let mut index = start;
    while index < end {
        let Some(id) = writer.id(index) else { return };
        let note = note(writer, id);
        let act = match writer.nth(index) {
            Some((_, value)) => decide(writer, id, note, value, context),
            None => return,
        };
        index += 1;
        match act {
            Act::Nothing => {}
            Act::Remove => {
                index -= 1;
                end -= 1;
                writer.remove(index);
            }
            Act::Time(time, inferred, remove) => {
                if !writer.has_time() {
                    writer.time(time);
                    if inferred {
                        writer.anomaly(Anomaly::YearInferred);
                    }
                }
                if remove {
                    index -= 1;
                    end -= 1;
                    writer.remove(index);
                }
            }
            Act::Anomaly(anomaly) => writer.anomaly(anomaly),
            Act::Word(id, word) => {
                if !writer.has(id) {
                    writer.text(id, word);
                }
            }
            Act::Replace(id, word) => {
                index -= 1;
                end -= 1;
                writer.remove(index);
                writer.text(id, word);
            }
            Act::Alias(id) => {
                if !writer.has(id) {
                    writer.alias(id, index - 1);
                }
            }
            Act::Integer(id, number) => {
                if !writer.has(id) {
                    writer.integer(id, number);
                }
            }
            Act::Address(id, port_id, address, port) => {
                if !writer.has(id) {
                    writer.ip(id, address);
                    if let Some(port) = port.filter(|_| !writer.has(port_id)) {
                        writer.integer(port_id, i64::from(port));
                    }
                }
            }
            Act::Url { scheme, domain, path, query, port } => {
                if writer.has(field::URL_ORIGINAL) {
                    continue;
                }
                writer.alias(field::URL_ORIGINAL, index - 1);
                let parts = [
                    (field::URL_SCHEME, scheme),
                    (field::URL_DOMAIN, domain),
                    (field::URL_PATH, path),
                    (field::URL_QUERY, query),
                ];
                for (id, part) in parts {
                    if let Some((from, to)) = part
                        && !writer.has(id)
                    {
                        writer.alias_part(id, index - 1, from, to);
                    }
                }
                if let Some(port) = port {
                    writer.integer(field::URL_PORT, i64::from(port));
                }
            }
        }
    }
}

/// What holds for fields from the `start`th on whose names are not [mapped](map): none of them speaks for Panoptes, and
/// ECS's own time counts unless there is another.
pub(crate) fn guard(writer: &mut BatchWriter<'_>, start: usize, context: &Context<'_>) {
    let mut index = start;
    while let Some(id) = writer.id(index) {
        let foreign = match id {
            field::EVENT_INGESTED | field::EVENT_ORIGINAL => true,
            field::TIMESTAMP => {
                if !writer.has_time() {
                    let value = writer.nth(index).map(|it| it.1);
                    match value.and_then(|it| instant(it, context, writer.received_at())) {
                        Some(it) => writer.time(it.time),
                        None => writer.anomaly(Anomaly::TimeInvalid),
                    }
                }
                true
            }
            _ => note(writer, id) == FOREIGN,
        };
        if foreign {
            writer.remove(index);
        } else {
            index += 1;
        }
    }
}

fn decide(writer: &BatchWriter<'_>, id: FieldId, note: u8, value: Value<'_>, context: &Context<'_>) -> Act {
    match id {
        // The event has these from the record itself; a cell of that name would hide it.
        field::EVENT_INGESTED | field::EVENT_ORIGINAL => return Act::Remove,
        field::TIMESTAMP => {
            return match instant(value, context, writer.received_at()) {
                Some(it) => Act::Time(it.time, it.year_inferred, true),
                None => Act::Anomaly(Anomaly::TimeInvalid),
            };
        }
        field::CLIENT_IP => {
            return match value {
                Value::Ip(address) => Act::Address(field::SOURCE_IP, field::SOURCE_PORT, address, None),
                _ => Act::Nothing,
            };
        }
        field::LOG_LEVEL => {
            return match value {
                Value::Text(text) => match level::canonical(text) {
                    Some(word) if word != text => Act::Replace(id, word),
                    _ => Act::Nothing,
                },
                _ => Act::Nothing,
            };
        }
        _ => {}
    }
    let meaning = match note {
        NOTHING => return Act::Nothing,
        FOREIGN => return Act::Remove,
        place => MEANINGS.get(usize::from(place - FIRST)).copied(),
    };
    let Some(meaning) = meaning else { return Act::Nothing };
    match (meaning, value) {
        (_, Value::Null | Value::List(_) | Value::Ip(_) | Value::Timestamp(_)) => Act::Nothing,
        (Meaning::Time | Meaning::PerhapsTime, _) if writer.has_time() => Act::Nothing,
        (Meaning::Time | Meaning::PerhapsTime, value) => match instant(value, context, writer.received_at()) {
            Some(it) if is_date_alone(value) => match clock_beside(writer, value, context) {
                Some(both) => Act::Time(both.time, both.year_inferred, false),
                None => Act::Time(it.time, it.year_inferred, false),
            },
            Some(it) => Act::Time(it.time, it.year_inferred, false),
            None if meaning == Meaning::Time => Act::Anomaly(Anomaly::TimeInvalid),
            None => Act::Nothing,
        },
        (Meaning::Level, Value::Text(text)) => level::canonical(text)
            .or_else(|| level::of_letter(text))
            .or_else(|| level::of_number(text.parse().ok()?))
            .map_or(Act::Nothing, |word| Act::Word(field::LOG_LEVEL, word)),
        (Meaning::Level, Value::Integer(number)) => {
            level::of_number(number).map_or(Act::Nothing, |word| Act::Word(field::LOG_LEVEL, word))
        }
        (Meaning::Message, Value::Text(_)) => Act::Alias(field::MESSAGE),
        (Meaning::Event, Value::Text(text)) if text.contains(' ') => Act::Alias(field::MESSAGE),
        (Meaning::Event, Value::Text(_)) => Act::Alias(field::EVENT_ACTION),
        (Meaning::Service, Value::Text(text)) => match address::ip(text) {
            Some(address) => Act::Address(field::SOURCE_IP, field::SOURCE_PORT, address, None),
            None => Act::Alias(field::SERVICE_NAME),
        },
        (Meaning::Host, Value::Text(text)) if !matches!(text, "" | "-" | "?") => Act::Alias(field::HOST_NAME),
        (Meaning::Source | Meaning::SourceIfAddress, Value::Text(text)) => {
            // A list of proxies names the client first.
            let first = text.split(',').next().unwrap_or(text).trim_ascii();
            match address::endpoint(first) {
                Some((address, port)) => Act::Address(field::SOURCE_IP, field::SOURCE_PORT, address, port),
                None if meaning == Meaning::Source && address::is_host_name(text) => Act::Alias(field::SOURCE_ADDRESS),
                None => Act::Nothing,
            }
        }
        (Meaning::Destination, Value::Text(text)) => match address::endpoint(text) {
            Some((address, port)) => Act::Address(field::DESTINATION_IP, field::DESTINATION_PORT, address, port),
            None => Act::Alias(field::DESTINATION_ADDRESS),
        },
        (Meaning::SourcePort, value) => number(value, 1..=65_535, field::SOURCE_PORT),
        (Meaning::DestinationPort, value) => number(value, 1..=65_535, field::DESTINATION_PORT),
        (Meaning::User, Value::Text(text)) if !matches!(text, "" | "-" | "?") => Act::Alias(field::USER_NAME),
        (Meaning::Status, Value::Text(text)) if !text.starts_with(|c: char| c.is_ascii_digit()) => outcome(text),
        (Meaning::Status, value) => number(value, 100..=599, field::HTTP_RESPONSE_STATUS_CODE),
        (Meaning::Method, Value::Text(text)) if is_method(text) => Act::Alias(field::HTTP_REQUEST_METHOD),
        (Meaning::Url, Value::Text(text)) if !text.is_empty() => {
            let target = Target::of(text);
            let part = |it: Option<&str>| it.and_then(|it| offsets(text, it));
            Act::Url {
                scheme: part(target.scheme),
                domain: part(target.domain),
                path: part(target.path),
                query: part(target.query),
                port: target.port,
            }
        }
        (Meaning::Bytes, value) => number(value, 0..=i64::MAX, field::HTTP_RESPONSE_BODY_BYTES),
        (Meaning::Outcome, Value::Text(text)) => outcome(text),
        (Meaning::Outcome | Meaning::Success, Value::Boolean(success)) => {
            Act::Word(field::EVENT_OUTCOME, if success { "success" } else { "failure" })
        }
        (Meaning::Success, Value::Text(text)) => outcome(text),
        (Meaning::Text(id), Value::Text(text)) if !text.is_empty() => Act::Alias(id),
        (Meaning::Number(id), value) => number(value, 0..=i64::MAX, id),
        _ => Act::Nothing,
    }
}

fn instant(value: Value<'_>, context: &Context<'_>, received_at: Timestamp) -> Option<time::Instant> {
    let certain = |time| time::Instant { time, year_inferred: false };
    match value {
        Value::Text(text) => time::of_text(text, context.zone, received_at),
        Value::Integer(number) => time::of_integer(number).map(certain),
        Value::Float(number) => time::of_float(number).map(certain),
        _ => None,
    }
}

fn is_date_alone(value: Value<'_>) -> bool {
    matches!(value, Value::Text(text) if text.len() == 10 && !text.contains(':'))
}

/// `date=2024-01-15 time=10:30:00`: the two halves of one time, as firewalls write them.
fn clock_beside(writer: &BatchWriter<'_>, date: Value<'_>, context: &Context<'_>) -> Option<time::Instant> {
    let Value::Text(date) = date else { return None };
    let clock = (0..writer.field_count()).find_map(|index| match writer.nth(index)? {
        (id, Value::Text(clock)) if writer.field_name(id).eq_ignore_ascii_case("time") => Some(clock),
        _ => None,
    })?;
    let mut both = [0; 48];
    let length = date.len() + 1 + clock.len();
    let into = both.get_mut(..length)?;
    let (head, tail) = into.split_at_mut_checked(date.len())?;
    head.copy_from_slice(date.as_bytes());
    let (space, tail) = tail.split_first_mut()?;
    *space = b' ';
    tail.copy_from_slice(clock.as_bytes());
    time::of_text(std::str::from_utf8(into).ok()?, context.zone, writer.received_at())
}

fn number(value: Value<'_>, range: std::ops::RangeInclusive<i64>, id: FieldId) -> Act {
    let number = match value {
        Value::Integer(number) => Some(number),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    number.filter(|it| range.contains(it)).map_or(Act::Nothing, |it| Act::Integer(id, it))
}

fn outcome(text: &str) -> Act {
    let mut buffer = [0; 32];
    let word = match lower(text, &mut buffer) {
        Some("success" | "succeeded" | "successful" | "ok" | "true" | "yes" | "allowed" | "accepted" | "granted") => {
            "success"
        }
        Some(
            "failure" | "failed" | "fail" | "denied" | "error" | "rejected" | "refused" | "false" | "no" | "blocked"
            | "unauthorized" | "forbidden",
        ) => "failure",
        _ => return Act::Nothing,
    };
    Act::Word(field::EVENT_OUTCOME, word)
}

/// Whether `text` could be the method of a request.
pub(crate) fn is_method(text: &str) -> bool {
    (2..=24).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'))
        || matches!(text, "get" | "post" | "put" | "delete" | "head" | "patch" | "options")
}

/// Says of an event with a request in it that it is one, and of any event where a message says that it came from.
pub(crate) fn classify(writer: &mut BatchWriter<'_>) {
    if !writer.has(field::SOURCE_IP) && !writer.has(field::CLIENT_IP) && !writer.has(field::SOURCE_ADDRESS) {
        let found = match writer.get(field::MESSAGE) {
            Some(Value::Text(message)) => address::find_introduced(message),
            _ => None,
        };
        if let Some((address, port)) = found {
            writer.ip(field::SOURCE_IP, address);
            if let Some(port) = port.filter(|_| !writer.has(field::SOURCE_PORT)) {
                writer.integer(field::SOURCE_PORT, i64::from(port));
            }
        }
    }
    classify_login(writer);
    let status = match writer.get(field::HTTP_RESPONSE_STATUS_CODE) {
        Some(Value::Integer(status)) => status,
        _ => return,
    };
    if writer.has(field::EVENT_CATEGORY)
        || !(writer.has(field::HTTP_REQUEST_METHOD) || writer.has(field::URL_ORIGINAL) || writer.has(field::URL_PATH))
    {
        return;
    }
    if is_refused_login(writer, status) {
        writer.words(field::EVENT_CATEGORY, &["authentication", "web"]);
        writer.word(field::EVENT_TYPE, "start");
        if !writer.has(field::EVENT_ACTION) {
            writer.word(field::EVENT_ACTION, "login");
        }
        if !writer.has(field::EVENT_OUTCOME) {
            writer.word(field::EVENT_OUTCOME, "failure");
        }
        return;
    }
    let (kind, outcome) = request_words(status);
    writer.word(field::EVENT_CATEGORY, "web");
    writer.words(field::EVENT_TYPE, kind);
    if !writer.has(field::EVENT_ACTION) {
        writer.word(field::EVENT_ACTION, "http_request");
    }
    if let Some(outcome) = outcome.filter(|_| !writer.has(field::EVENT_OUTCOME)) {
        writer.text(field::EVENT_OUTCOME, outcome);
    }
}

/// An action that is a login by its name, and how it ended: `{"event":"user.login","success":false}`.
fn classify_login(writer: &mut BatchWriter<'_>) {
    if writer.has(field::EVENT_CATEGORY) || !writer.has(field::EVENT_OUTCOME) {
        return;
    }
    let is_login = match writer.get(field::EVENT_ACTION) {
        Some(Value::Text(action)) if action.len() <= 64 => {
            let action = action.to_ascii_lowercase();
            ["login", "log_in", "logon", "signin", "sign_in", "sign-in", "authentication", "authenticate"]
                .iter()
                .any(|it| action.contains(it))
        }
        _ => false,
    };
    if is_login {
        writer.word(field::EVENT_CATEGORY, "authentication");
        writer.word(field::EVENT_TYPE, "start");
    }
}

/// Whether credentials were sent to a page for logging in, and refused.
fn is_refused_login(writer: &BatchWriter<'_>, status: i64) -> bool {
    let text = |id| match writer.get(id) {
        Some(Value::Text(text)) => text,
        _ => "",
    };
    matches!(status, 401 | 403 | 422)
        && text(field::HTTP_REQUEST_METHOD).eq_ignore_ascii_case("POST")
        && [field::URL_PATH, field::URL_ORIGINAL].into_iter().any(|id| {
            let path = text(id).split('?').next().unwrap_or("").to_ascii_lowercase();
            let mut words = path.split(|it: char| !it.is_ascii_alphanumeric());
            words.any(|it| {
                matches!(it, "login" | "signin" | "logon" | "authenticate" | "token" | "session" | "sessions")
            }) || path.contains("sign_in")
                || path.contains("sign-in")
        })
}

/// `event.type` and `event.outcome` of a request with this status.
pub(crate) const fn request_words(status: i64) -> (Words, Option<&'static str>) {
    match status {
        100..400 => (&["access"], SUCCESS),
        _ => (&["access", "error"], FAILURE),
    }
}

/// `url.domain` and `url.port` from a virtual host or a `Host` header.
pub(crate) fn write_host(writer: &mut BatchWriter<'_>, text: &str) {
    let (host, port) = host_and_port(text);
    if writer.has(field::URL_DOMAIN) {
        return;
    }
    if let Some(host) = host.filter(|it| !matches!(*it, "-" | "_")) {
        writer.text(field::URL_DOMAIN, host);
        if let Some(port) = port {
            writer.integer(field::URL_PORT, i64::from(port));
        }
    }
}
