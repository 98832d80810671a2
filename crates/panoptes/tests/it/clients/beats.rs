//! What Winlogbeat and Filebeat ask and send, in their order and form.

use std::net::SocketAddr;

use panoptes_testkit::{get, post, wait_until};
use serde_json::{Value, json};

use super::server;
use crate::support::{LIMIT, events};

fn asked(address: SocketAddr, path: &str) -> Value {
    let answer = get(address, path).unwrap();
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    assert!(answer.head.to_ascii_lowercase().contains("x-elastic-product: elasticsearch"), "{path}: {answer:?}");
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {answer:?}"))
}

#[test]
fn events_as_winlogbeat_sends_them_are_understood() {
    let server = server("");
    let address = server.http();
    let version = &asked(address, "/")["version"];
    assert!(version["number"].as_str().is_some_and(|it| it.split('.').count() == 3), "{version}");
    assert_eq!(asked(address, "/_license?human=false")["license"]["status"], "active");
    assert!(asked(address, "/_ilm/policy/winlogbeat").is_object());
    assert!(asked(address, "/_index_template/winlogbeat-8.12.0")["index_templates"].is_array());
    assert!(asked(address, "/_ingest/pipeline/winlogbeat-8.12.0-routing").is_object());
    assert!(asked(address, "/_data_stream/winlogbeat-8.12.0")["data_streams"].is_array());

    let event = json!({
        "@timestamp": "2024-01-15T10:30:00.123Z",
        "agent": { "type": "winlogbeat", "version": "8.12.0", "name": "DC1" },
        "ecs": { "version": "8.0.0" },
        "event": { "kind": "event", "code": "4625", "provider": "Microsoft-Windows-Security-Auditing", "outcome": "failure" },
        "host": { "name": "dc1.example.com" },
        "log": { "level": "information" },
        "message": "An account failed to log on.",
        "winlog": {
            "channel": "Security", "event_id": "4625", "provider_name": "Microsoft-Windows-Security-Auditing",
            "computer_name": "dc1.example.com", "record_id": 77,
            "event_data": { "TargetUserName": "bob", "IpAddress": "203.0.113.9", "LogonType": "3", "Status": "0xc000006d" },
        },
    });
    let action = json!({ "create": { "_index": "winlogbeat-8.12.0" } });
    let body = format!("{action}\n{event}\n{action}\n{{\"broken\": \n");
    let path = "/_bulk?filter_path=errors%2Citems.%2A.error%2Citems.%2A.status";
    let answer = post(address, path, "application/json; charset=UTF-8", body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    let status = |it: usize| answer["items"][it]["create"]["status"].as_u64();
    assert_eq!((&answer["errors"], status(0), status(1)), (&true.into(), Some(201), Some(400)), "{answer}");

    let found = wait_until(LIMIT, "the event", || events(&server, "\"failed to log on\"").into_iter().next());
    for (field, value) in [
        ("panoptes.input", "elasticsearch"),
        ("panoptes.source", "winlogbeat-8.12.0"),
        ("event.code", "4625"),
        ("event.category", "authentication"),
        ("event.outcome", "failure"),
        ("source.ip", "203.0.113.9"),
        ("host.name", "dc1.example.com"),
    ] {
        assert_eq!(found[field], value, "{field}: {found}");
    }
}
