//! `POST /_bulk` and what clients ask before it, over real connections.

use std::time::Duration;

use panoptes_intake::SinkLimits;
use panoptes_intake::inputs::HttpConfig;
use panoptes_intake::limits::{BODY_RATIO_FREE_BYTES, ORIGINS_MAX};
use panoptes_model::FrameId;
use serde_json::Value;

use crate::http::{ask, post_to, serve};
use crate::support::{balanced, gzip, soon, start, start_with, texts, zstd};

/// Clients have a name; but for rsyslog.
const NAMED: &str = "User-Agent: elasticsearch-py/8.12.0";
const NDJSON: &str = "Content-Type: application/vnd.elasticsearch+x-ndjson; compatible-with=8";

fn statuses(answer: &Value) -> Vec<u64> {
    let of = |it: &Value| it.as_object().unwrap().values().next().unwrap()["status"].as_u64().unwrap();
    answer["items"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn each_item_has_its_place_in_the_answer() {
    let (context, mut pipeline) = start();
    let (address, _) = serve(&context, HttpConfig::default()).await;
    let body = "{\"index\":{\"_index\":\"web-2024.01.15\",\"_id\":\"one\"}}\n{\"message\":\"a\"}\n\
                {\"create\":{}}\n{\"message\":\n\
                {\"delete\":{\"_id\":\"gone\"}}\n\
                {\"create\":{\"_index\":\"mail\"}}\n{\"message\":\"b\"}\n";
    for (path, encoding, bytes) in
        [("/app/_bulk", "identity", body.as_bytes().to_vec()), ("/app/_doc/_bulk", "gzip", gzip(body.as_bytes()))]
    {
        let header = format!("Content-Encoding: {encoding}");
        let (reply, records) = post_to(address, path, &mut pipeline, &[NDJSON, &header], &bytes).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.json);
        assert_eq!((reply.status, statuses(&reply.json)), (200, vec![201, 400, 400, 201]), "{}", reply.json);
        assert!(reply.head.contains("x-elastic-product: elasticsearch"), "{}", reply.head);
        assert_eq!(reply.json["errors"], true);
        let items = reply.json["items"].as_array().unwrap();
        assert_eq!(
            (&items[0]["index"]["_index"], &items[0]["index"]["_id"]),
            (&"web-2024.01.15".into(), &"one".into())
        );
        assert!(items[1]["create"]["error"]["reason"].as_str().unwrap().starts_with("line 4: "), "{}", items[1]);
        assert_eq!((&items[1]["create"]["_index"], &items[2]["delete"]["_id"]), (&"app".into(), &"gone".into()));
        assert!(items[3]["create"]["_id"].as_str().is_some_and(|it| !it.is_empty()));
        assert_eq!(texts(&records), [r#"{"message":"a"}"#, r#"{"message":"b"}"#]);
        assert_eq!(records.iter().map(|it| it.source.as_str()).collect::<Vec<_>>(), ["web", "mail"]);
        assert!(records.iter().all(|it| it.peer.as_deref() == Some("127.0.0.1")));
    }
    let totals = balanced(&context.counters);
    assert_eq!((totals.received, totals.accepted), (8, 4));
}

#[tokio::test]
async fn a_single_document_is_created() {
    let (context, mut pipeline) = start();
    let (address, _) = serve(&context, HttpConfig::default()).await;
    let document = b"{\n  \"message\": \"a\"\n}";
    let (reply, records) = post_to(address, "/app/_doc", &mut pipeline, &[], document).await;
    assert_eq!((reply.status, &reply.json["result"]), (201, &"created".into()));
    assert_eq!(texts(&records), ["{\n  \"message\": \"a\"\n}"]);
    let (reply, _) = post_to(address, "/app/_create/x7", &mut pipeline, &[], document).await;
    assert_eq!((reply.status, &reply.json["_id"]), (201, &"x7".into()));
    let (reply, records) = post_to(address, "/app/_doc", &mut pipeline, &[], b"[]").await;
    assert_eq!((reply.status, records.len()), (400, 0));
    assert_eq!(reply.json["error"]["type"], "document_parsing_exception");
    balanced(&context.counters);
}

#[tokio::test]
async fn the_answer_comes_after_the_log_and_a_failing_log_is_503() {
    let (context, mut pipeline) = start();
    let (address, _) = serve(&context, HttpConfig::default()).await;
    let body = b"{\"index\":{}}\n{\"a\":1}\n";
    let sending = tokio::spawn(async move { ask(address, "POST", "/_bulk", &[], body).await });
    let submission = pipeline.recv().await;
    assert!(!sending.is_finished());
    submission.ticket.committed(FrameId(1));
    assert_eq!(sending.await.unwrap().status, 200);

    for (headers, json) in [(&[NAMED][..], 503.into()), (&[], Value::Null)] {
        let sending = tokio::spawn(async move { ask(address, "PUT", "/_bulk", headers, body).await });
        pipeline.recv().await.ticket.failed("disk full");
        let reply = sending.await.unwrap();
        assert_eq!((reply.status, &reply.json["status"]), (503, &json));
        assert!(reply.head.contains("retry-after: 1") && reply.head.contains("x-elastic-product"), "{}", reply.head);
    }
    let totals = balanced(&context.counters);
    assert_eq!((totals.accepted, totals.dropped), (1, vec![("not_durable", 2)]));
}

#[tokio::test]
async fn when_a_part_is_not_durable_its_items_are_429_and_the_others_201() {
    let (context, mut pipeline) = start();
    let (address, _) = serve(&context, HttpConfig::default()).await;
    let line = |n: usize| format!("{{\"index\":{{\"_index\":\"i{n}\"}}}}\n{{\"n\":{n}}}\n");
    let body: String = (0..=ORIGINS_MAX).map(line).collect();
    let unnamed = body.clone();
    let sending = tokio::spawn(async move { ask(address, "POST", "/_bulk", &[NAMED], body.as_bytes()).await });
    pipeline.recv().await.ticket.committed(FrameId(1));
    pipeline.recv().await.ticket.failed("disk full");
    let reply = sending.await.unwrap();
    let statuses = statuses(&reply.json);
    assert_eq!((reply.status, statuses.len()), (200, ORIGINS_MAX + 1));
    assert!(statuses[..ORIGINS_MAX].iter().all(|it| *it == 201) && statuses[ORIGINS_MAX] == 429, "{statuses:?}");
    let totals = balanced(&context.counters);
    assert_eq!((totals.accepted, totals.dropped), (ORIGINS_MAX as u64, vec![("not_durable", 1)]));
    // Who would give single items up sends all again.
    let sending = tokio::spawn(async move { ask(address, "POST", "/_bulk", &[], unnamed.as_bytes()).await });
    pipeline.recv().await.ticket.committed(FrameId(1));
    pipeline.recv().await.ticket.failed("disk full");
    let reply = sending.await.unwrap();
    assert_eq!((reply.status, reply.json), (503, Value::Null));
}

#[tokio::test]
async fn a_queue_that_stays_full_is_429_and_nothing_of_the_request_is_kept() {
    let (context, mut pipeline) = start_with(SinkLimits { batches_max: 1, bytes_max: 1 << 20 });
    let config = HttpConfig { bulk_patience: Duration::ZERO, ..HttpConfig::default() };
    let (address, _) = serve(&context, config).await;
    let body = b"{\"index\":{}}\n{\"a\":1}\n{\"index\":{}}\nbroken\n";
    let first = tokio::spawn(async move { ask(address, "POST", "/_bulk", &[], body).await });
    while context.sink.depth().batches == 0 {
        tokio::task::yield_now().await;
    }
    let reply = ask(address, "POST", "/_bulk", &[NAMED], body).await;
    assert_eq!((reply.status, &reply.json["error"]["type"]), (429, &"es_rejected_execution_exception".into()));
    assert!(reply.head.contains("retry-after: 1"), "{}", reply.head);
    let reply = ask(address, "POST", "/_bulk", &[], body).await;
    assert_eq!((reply.status, reply.json), (429, Value::Null), "rsyslog would give up over JSON");
    assert!(reply.head.contains("retry-after: 1") && reply.head.contains("text/plain"), "{}", reply.head);
    assert_eq!(texts(&pipeline.records(1).await), [r#"{"a":1}"#]);
    assert_eq!(statuses(&first.await.unwrap().json), [201, 400]);
    let mut rejected = balanced(&context.counters).rejected;
    rejected.sort_unstable();
    assert_eq!(rejected, [("busy", 4), ("malformed", 1)]);
}

#[tokio::test]
async fn a_queue_that_is_full_for_a_moment_only_delays_the_answer() {
    let (context, mut pipeline) = start_with(SinkLimits { batches_max: 1, bytes_max: 1 << 20 });
    let config = HttpConfig { bulk_patience: Duration::from_secs(3_600), ..HttpConfig::default() };
    let (address, _) = serve(&context, config).await;
    let body = b"{\"index\":{}}\n{\"a\":1}\n";
    let first = tokio::spawn(async move { ask(address, "POST", "/_bulk", &[], body).await });
    while context.sink.depth().batches == 0 {
        tokio::task::yield_now().await;
    }
    let second = tokio::spawn(async move { ask(address, "POST", "/_bulk", &[], body).await });
    assert_eq!(pipeline.records(2).await.len(), 2);
    for reply in [first, second] {
        assert_eq!(statuses(&soon(reply).await.unwrap().json), [201]);
    }
    balanced(&context.counters);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_as_a_whole_with_its_reason() {
    let (context, mut pipeline) = start();
    let config = HttpConfig { body_bytes_max: 100_000, ..HttpConfig::default() };
    let (address, _) = serve(&context, config).await;
    let bomb = zstd(&vec![b' '; BODY_RATIO_FREE_BYTES as usize * 4]);
    let good = "{\"index\":{}}\n{\"a\":1}\n";
    let (no_action, long) = (format!("{good}{{\"a\":1}}\n"), vec![b'x'; 100_001]);
    let cases: &[(&str, &[u8], u16)] = &[
        ("identity", no_action.as_bytes(), 400),
        ("identity", b"", 400),
        ("identity", b"\xff\xfe{\0}\0", 400),
        ("identity", &long, 413),
        ("gzip", b"not gzip", 400),
        ("zstd", &bomb, 413),
        ("br", b"x", 415),
    ];
    for (encoding, body, status) in cases {
        let header = format!("Content-Encoding: {encoding}");
        let (reply, records) = post_to(address, "/_bulk", &mut pipeline, &[&header], body).await;
        assert_eq!((reply.status, records.len()), (*status, 0), "{encoding} {}", reply.json);
        assert_eq!(reply.json["status"], *status);
        assert!(reply.json["error"]["root_cause"][0]["reason"].is_string(), "{}", reply.json);
    }
    let (reply, _) = post_to(address, "/_bulk?source=no%20spaces", &mut pipeline, &[], good.as_bytes()).await;
    assert_eq!(reply.status, 400);
    let (_, records) = post_to(address, "/x/_bulk?source=edge", &mut pipeline, &[], good.as_bytes()).await;
    assert_eq!(records[0].source, "edge");
    context.shutdown.cancel();
    assert_eq!(balanced(&context.counters).accepted, 1);
}

#[tokio::test]
async fn what_clients_ask_first_lets_them_go_on() {
    let (context, _pipeline) = start();
    let (address, _) = serve(&context, HttpConfig::default()).await;
    for (method, path, status) in [
        ("HEAD", "/", 200),
        ("GET", "/_license?human=false", 200),
        ("GET", "/_xpack", 200),
        ("GET", "/_cluster/health?timeout=1s", 200),
        ("GET", "/_cat/health?", 200),
        ("HEAD", "/_index_template/winlogbeat-8.12.0", 200),
        ("PUT", "/_index_template/winlogbeat-8.12.0", 200),
        ("GET", "/_template/filebeat", 200),
        ("GET", "/_ilm/policy/filebeat", 200),
        ("PUT", "/_ilm/policy/filebeat", 200),
        ("GET", "/_ingest/pipeline/filebeat-8.12.0-nginx-access", 200),
        ("PUT", "/_ingest/pipeline/x", 200),
        ("GET", "/_data_stream/filebeat-8.12.0", 200),
        ("PUT", "/_data_stream/filebeat-8.12.0", 200),
        ("HEAD", "/_alias/filebeat", 200),
        ("POST", "/_refresh", 200),
        ("POST", "/app/_refresh", 200),
        ("PUT", "/app", 200),
        ("HEAD", "/app", 200),
        ("POST", "/app/_search", 400),
        ("PUT", "/app/_mapping", 200),
        ("GET", "/app/_settings", 200),
        ("GET", "/_nodes/http", 404),
        ("GET", "/_cat/indices", 404),
        ("GET", "/_ilm/policy", 200),
        ("GET", "/_ilm/explain/x", 404),
        ("GET", "/app", 404),
        ("POST", "/app", 404),
    ] {
        let reply = ask(address, method, path, &[], b"").await;
        assert_eq!(reply.status, status, "{method} {path}");
        assert!(reply.head.contains("x-elastic-product: elasticsearch"), "{method} {path}: {}", reply.head);
    }
    let reply = ask(address, "GET", "/", &[], b"").await;
    assert_eq!(reply.json["tagline"], "You Know, for Search");
    assert!(reply.json["version"]["number"].as_str().unwrap().starts_with("8."));
    let reply = ask(address, "GET", "/_license", &[], b"").await;
    assert_eq!((&reply.json["license"]["type"], &reply.json["license"]["status"]), (&"basic".into(), &"active".into()));
    let reply = ask(address, "GET", "/_ilm/policy/x", &[], b"").await;
    assert!(reply.json["x"]["policy"].is_object());
}
