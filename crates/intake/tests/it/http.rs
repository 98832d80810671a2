//! `POST /logs` over real connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use panoptes_intake::inputs::{ElasticsearchInput, HttpConfig, HttpInput};
use panoptes_intake::limits::{BODY_RATIO_FREE_BYTES, LINE_BYTES_MAX, REJECTED_LISTED_MAX};
use panoptes_intake::{Context, SinkLimits};
use panoptes_model::{BATCH_RECORDS_MAX, FrameId};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Pipeline, Seen, balanced, connect, gzip, seen, soon, start, start_with, texts, zlib, zstd};

pub(crate) async fn serve(context: &Context, config: HttpConfig) -> (SocketAddr, Arc<HttpInput>) {
    let input = Arc::new(HttpInput::new(config, context.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = input.router().merge(ElasticsearchInput::beside(&input).router());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let shutdown = context.shutdown.clone();
    tokio::spawn(async move {
        let stopped = async move { shutdown.cancelled().await };
        axum::serve(listener, service).with_graceful_shutdown(stopped).await.unwrap();
    });
    (address, input)
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) json: Value,
}

async fn request(address: SocketAddr, path: &str, headers: &[&str], body: &[u8]) -> Reply {
    ask(address, "POST", path, headers, body).await
}

pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Reply {
    let mut stream = connect(address).await;
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    // A refusal may come before all is sent, and then the rest has nowhere to go.
    let _refused_early = match stream.write_all(head.as_bytes()).await {
        Ok(()) => stream.write_all(body).await,
        error => error,
    };
    let mut reply = Vec::new();
    let mut chunk = [0; 4_096];
    while let Ok(length) = soon(stream.read(&mut chunk)).await
        && length > 0
    {
        reply.extend_from_slice(&chunk[..length]);
    }
    let reply = String::from_utf8(reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {reply:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head: head.to_ascii_lowercase(), json: serde_json::from_str(body).unwrap_or(Value::Null) }
}

/// Sends one request while the pipeline commits what comes of it.
async fn post(address: SocketAddr, pipeline: &mut Pipeline, headers: &[&str], body: &[u8]) -> (Reply, Vec<Seen>) {
    post_to(address, "/logs", pipeline, headers, body).await
}

pub(crate) async fn post_to(
    address: SocketAddr,
    path: &str,
    pipeline: &mut Pipeline,
    headers: &[&str],
    body: &[u8],
) -> (Reply, Vec<Seen>) {
    let mut request = std::pin::pin!(request(address, path, headers, body));
    let mut records = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(submission) = pipeline.submissions.recv() => {
                records.extend(seen(&submission.batch));
                submission.ticket.committed(FrameId(1));
            }
            reply = &mut request => return (reply, records),
        }
    }
}

const JSON: &str = "Content-Type: application/json";

#[tokio::test]
async fn each_kind_of_body_becomes_its_records() {
    let (context, mut pipeline) = start();
    let (address, _) = serve(&context, HttpConfig::default()).await;
    let cases: &[(&[&str], &str, &[&str])] = &[
        (&[JSON], r#"{"a":1}"#, &[r#"{"a":1}"#]),
        (&[JSON], r#"[{"a":1}, {"a":2}]"#, &[r#"{"a":1}"#, r#"{"a":2}"#]),
        (&[JSON], "{\n  \"a\": 1\n}", &["{\n  \"a\": 1\n}"]),
        (&["Content-Type: application/x-ndjson"], "{\"a\":1}\n{\"a\":2}\r\n\n", &[r#"{"a":1}"#, r#"{"a":2}"#]),
        (&["Content-Type: text/plain"], "[{\"a\":1}]\nsecond", &["[{\"a\":1}]", "second"]),
        (&["Content-Type: text/csv"], "a,b\n1,x\n", &[r#"{"a":"1","b":"x"}"#]),
        // What `curl -d` says and does: a type that is not meant, and no line feeds.
        (&["Content-Type: application/x-www-form-urlencoded"], r#"{"a":1}{"a":2}"#, &[r#"{"a":1}"#, r#"{"a":2}"#]),
        (
            &[],
            "Jan 15 10:30:00 web1 sshd[1]: one\nJan 15 10:30:01 web1 sshd[1]: two",
            &["Jan 15 10:30:00 web1 sshd[1]: one", "Jan 15 10:30:01 web1 sshd[1]: two"],
        ),
        (&["Content-Type: application/octet-stream"], "{\"a\":1}\n{broken\n", &[r#"{"a":1}"#, "{broken"]),
    ];
    let mut sum = 0;
    for (headers, body, expected) in cases {
        let (reply, records) = post(address, &mut pipeline, headers, body.as_bytes()).await;
        assert_eq!((reply.status, texts(&records).as_slice()), (200, *expected), "{body}");
        assert_eq!(reply.json["accepted"], expected.len());
        assert_eq!((&reply.json["rejected"], &reply.json["rejected_total"]), (&serde_json::json!([]), &0.into()));
        let positions: Vec<_> = records.iter().map(|it| it.position).collect();
        assert_eq!(positions, (1..=expected.len() as u64).collect::<Vec<_>>());
        assert!(records.iter().all(|it| it.source == "http" && it.peer.as_deref() == Some("127.0.0.1")));
        sum += expected.len() as u64;
    }
    assert_eq!(balanced(&context.counters).accepted, sum);
}

#[tokio::test]
async fn the_lines_of_an_audit_event_count_as_the_record_that_they_become() {
    let (context, mut pipeline) = start();
    let (address, _) = serve(&context, HttpConfig::default()).await;
    let body = b"type=CWD msg=audit(1.5:7): a\ntype=PATH msg=audit(1.5:7): b\nthird\n\0\x01\x02\x03";
    let (reply, records) = post(address, &mut pipeline, &["Content-Type: text/plain"], body).await;
    assert_eq!(texts(&records), ["type=CWD msg=audit(1.5:7): a\ntype=PATH msg=audit(1.5:7): b", "third"]);
    assert_eq!((reply.json["accepted"].as_u64(), reply.json["rejected_total"].as_u64()), (Some(2), Some(1)));
    let totals = balanced(&context.counters);
    assert_eq!((totals.received, totals.accepted), (3, 2));
}

#[tokio::test]
async fn compressed_bodies_are_understood() {
    let (context, mut pipeline) = start();
    let (address, _) = serve(&context, HttpConfig::default()).await;
    let plain = b"{\"a\":1}\n{\"a\":2}\n";
    let two_members = [gzip(b"{\"a\":1}\n"), gzip(b"{\"a\":2}\n")].concat();
    for (name, body) in [("gzip", gzip(plain)), ("gzip", two_members), ("zstd", zstd(plain)), ("deflate", zlib(plain))]
    {
        let header = format!("Content-Encoding: {name}");
        let (reply, records) = post(address, &mut pipeline, &[&header], &body).await;
        assert_eq!((reply.status, records.len()), (200, 2), "{name}");
    }
    let (reply, _) = post(address, &mut pipeline, &["Content-Encoding: gzip"], b"not gzip at all").await;
    assert_eq!(reply.status, 400);
    let cut = gzip(plain);
    let (reply, records) = post(address, &mut pipeline, &["Content-Encoding: gzip"], &cut[..cut.len() - 4]).await;
    assert_eq!((reply.status, records.len()), (400, 0));
    assert!(reply.json["error"].as_str().unwrap().contains("breaks off"));
    assert_eq!(balanced(&context.counters).rejected, [("body_unreadable", 2)]);
}

#[tokio::test]
async fn bodies_that_are_too_large_before_or_after_decompression_are_413() {
    let (context, mut pipeline) = start();
    let config = HttpConfig {
        body_bytes_max: 100_000,
        body_decoded_bytes_max: 300_000,
        body_records_max: 1_000,
        ..HttpConfig::default()
    };
    let (address, _) = serve(&context, config).await;
    let gz = "Content-Encoding: gzip";
    let line = |count: usize| b"a line of a log\n".repeat(count);
    let (reply, _) = post(address, &mut pipeline, &[], &vec![b'x'; 100_001]).await;
    assert_eq!(reply.status, 413);
    let (reply, _) = post(address, &mut pipeline, &[gz], &gzip(&vec![b'x'; 300_001])).await;
    assert_eq!(reply.status, 413);
    assert!(reply.json["error"].as_str().unwrap().contains("more than 300000 bytes come out"), "{}", reply.json);
    let (reply, _) = post(address, &mut pipeline, &[gz], &gzip(&line(1_001))).await;
    assert!(reply.status == 413 && reply.json["error"].as_str().unwrap().contains("1000 records"));
    let (reply, records) = post(address, &mut pipeline, &[gz], &gzip(&line(1_000))).await;
    assert_eq!((reply.status, records.len()), (200, 1_000));
    assert_eq!(balanced(&context.counters).rejected, [("body_too_large", 3)]);
}

#[tokio::test]
async fn a_length_that_is_too_large_is_refused_before_the_body_comes() {
    let (context, _pipeline) = start();
    let (address, _) = serve(&context, HttpConfig::default()).await;
    let mut stream = connect(address).await;
    stream.write_all(b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n").await.unwrap();
    let mut start = [0; 12];
    soon(stream.read_exact(&mut start)).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[tokio::test]
async fn bodies_share_one_memory_and_what_is_beyond_is_429() {
    let (context, mut pipeline) = start();
    let (address, _) = serve(&context, HttpConfig { bodies_bytes_max: 1 << 20, ..HttpConfig::default() }).await;
    let mut slow = connect(address).await;
    slow.write_all(b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 900001\r\n\r\n").await.unwrap();
    slow.write_all(&vec![b'x'; 900_000]).await.unwrap();
    // The first body is read bit by bit, so the second is refused once enough of it is there.
    let reply = soon(async {
        loop {
            let (reply, _) = post(address, &mut pipeline, &[], &vec![b'y'; 200_000]).await;
            if reply.status != 200 {
                return reply;
            }
        }
    })
    .await;
    assert_eq!(reply.status, 429);
    assert!(reply.head.contains("retry-after: 1"));
    // Its part comes back when it is gone.
    drop(slow);
    soon(async { while post(address, &mut pipeline, &[], &vec![b'y'; 200_000]).await.0.status != 200 {} }).await;
}

#[tokio::test]
async fn a_body_without_a_length_is_measured_as_it_comes() {
    let (context, _pipeline) = start();
    let (address, _) = serve(&context, HttpConfig { body_bytes_max: 10_000, ..HttpConfig::default() }).await;
    let mut stream = connect(address).await;
    stream.write_all(b"POST /logs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
    let chunk = [b"1000\r\n".to_vec(), vec![b'x'; 0x1000], b"\r\n".to_vec()].concat();
    for _ in 0..3 {
        stream.write_all(&chunk).await.unwrap();
    }
    let mut start = [0; 12];
    soon(stream.read_exact(&mut start)).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_decompression_bomb_is_413() {
    let (context, mut pipeline) = start();
    let (address, _) = serve(&context, HttpConfig::default()).await;
    let zeros = vec![b' '; BODY_RATIO_FREE_BYTES as usize * 4];
    let (reply, _) = post(address, &mut pipeline, &["Content-Encoding: zstd"], &zstd(&zeros)).await;
    assert_eq!(reply.status, 413);
    assert!(reply.json["error"].as_str().unwrap().contains("bomb"), "{}", reply.json);
}

#[tokio::test]
async fn types_that_hold_no_logs_are_415() {
    let (context, mut pipeline) = start();
    let (address, _) = serve(&context, HttpConfig::default()).await;
    for header in [
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Type: image/png",
        "Content-Encoding: br",
        "Content-Encoding: gzip, gzip",
    ] {
        let (reply, records) = post(address, &mut pipeline, &[header], b"{}").await;
        assert_eq!((reply.status, records.len()), (415, 0), "{header}");
        assert!(reply.json["error"].is_string());
    }
    assert_eq!(balanced(&context.counters).rejected, [("type_unsupported", 4)]);
}

#[tokio::test]
async fn rejected_records_are_told_with_place_and_reason() {
    let (context, mut pipeline) = start();
    let (address, _) = serve(&context, HttpConfig::default()).await;
    let body = [b"good\n\0\x01\x02\x03\ngood\n".to_vec(), vec![b'x'; LINE_BYTES_MAX], b"\nlast".to_vec()].concat();
    let (reply, records) = post(address, &mut pipeline, &[], &body).await;
    assert_eq!((reply.status, texts(&records)), (200, vec!["good", "good", "last"]));
    assert_eq!((&reply.json["accepted"], &reply.json["rejected_total"]), (&3.into(), &2.into()));
    let rejected = reply.json["rejected"].as_array().unwrap();
    let places: Vec<_> =
        rejected.iter().map(|it| (it["record"].clone(), it["line"].clone(), it["offset"].clone())).collect();
    assert_eq!(places, [(2.into(), 2.into(), 5.into()), (4.into(), 4.into(), 15.into())]);
    assert!(rejected[0]["reason"].as_str().unwrap().contains("not text"));
    let mut reasons = balanced(&context.counters).rejected;
    reasons.sort_unstable();
    assert_eq!(reasons, [("binary", 1), ("too_long", 1)]);

    let (reply, records) = post(address, &mut pipeline, &[JSON], b"[{\"a\":1},,{\"b\":").await;
    assert_eq!((reply.status, records.len()), (200, 1));
    assert_eq!(reply.json["rejected"][1]["offset"], 10);

    let nothing_good = b"\0\0\0\n".repeat(REJECTED_LISTED_MAX + 1);
    let (reply, _) = post(address, &mut pipeline, &[], &nothing_good).await;
    assert_eq!(reply.status, 400, "none was accepted");
    assert_eq!(reply.json["rejected"].as_array().unwrap().len(), REJECTED_LISTED_MAX);
    assert_eq!(reply.json["rejected_total"], REJECTED_LISTED_MAX + 1);
    balanced(&context.counters);
}

#[tokio::test]
async fn empty_and_foreign_bodies_are_400_and_an_empty_array_is_fine() {
    let (context, mut pipeline) = start();
    let (address, _) = serve(&context, HttpConfig::default()).await;
    for body in [b"".as_slice(), b" \n \r\n", b"\xff\xfe{\0}\0"] {
        let (reply, _) = post(address, &mut pipeline, &[], body).await;
        assert!(reply.status == 400 && reply.json["error"].is_string(), "{body:?}");
    }
    let (reply, _) = post(address, &mut pipeline, &[JSON], b"[]").await;
    assert_eq!((reply.status, &reply.json["accepted"]), (200, &0.into()));
}

#[tokio::test]
async fn the_request_names_its_source() {
    let (context, mut pipeline) = start();
    let (address, _) = serve(&context, HttpConfig::default()).await;
    let header = "X-Panoptes-Source: by-header";
    let (_, records) = post_to(address, "/logs?source=by-query", &mut pipeline, &[header], b"x").await;
    assert_eq!(records[0].source, "by-query");
    let (_, records) = post(address, &mut pipeline, &[header], b"x").await;
    assert_eq!(records[0].source, "by-header");
    let (reply, _) = post_to(address, "/logs?source=no%20spaces", &mut pipeline, &[], b"x").await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn the_answer_comes_after_the_log() {
    let (context, mut pipeline) = start();
    let (address, _) = serve(&context, HttpConfig::default()).await;
    let sending = tokio::spawn(async move { request(address, "/logs", &[], b"one\ntwo").await });
    let submission = pipeline.recv().await;
    assert!(!sending.is_finished());
    submission.ticket.committed(FrameId(1));
    assert_eq!(soon(sending).await.unwrap().status, 200);

    let sending = tokio::spawn(async move { request(address, "/logs", &[], b"one\ntwo").await });
    pipeline.recv().await.ticket.failed("disk full");
    let reply = soon(sending).await.unwrap();
    assert_eq!((reply.status, &reply.json["accepted"]), (503, &0.into()));
    assert!(reply.head.contains("retry-after: 1") && reply.json["error"].as_str().unwrap().contains("disk full"));
    let totals = balanced(&context.counters);
    assert_eq!((totals.accepted, totals.dropped), (2, vec![("not_durable", 2)]));
}

#[tokio::test]
async fn a_full_queue_is_429_and_nothing_of_the_request_is_kept() {
    let (context, mut pipeline) = start_with(SinkLimits { batches_max: 1, bytes_max: 1 << 20 });
    let (address, _) = serve(&context, HttpConfig::default()).await;
    let first = tokio::spawn(async move { request(address, "/logs", &[], b"first").await });
    soon(async {
        while context.sink.depth().batches == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let reply = request(address, "/logs", &[], b"second\nthird").await;
    assert_eq!((reply.status, &reply.json["accepted"]), (429, &0.into()));
    assert!(reply.head.contains("retry-after: 1"), "{}", reply.head);
    assert_eq!(texts(&pipeline.records(1).await), ["first"]);
    assert_eq!(soon(first).await.unwrap().status, 200);
    assert_eq!(balanced(&context.counters).rejected, [("busy", 2)]);
}

#[tokio::test]
async fn a_request_larger_than_a_batch_is_answered_as_one() {
    let (context, mut pipeline) = start_with(SinkLimits { batches_max: 1, bytes_max: 64 << 20 });
    let (address, _) = serve(&context, HttpConfig::default()).await;
    let count = BATCH_RECORDS_MAX * 2 + 5;
    let (reply, records) = post(address, &mut pipeline, &[], &b"x\n".repeat(count)).await;
    assert_eq!((reply.status, &reply.json["accepted"], records.len()), (200, &count.into(), count));
}

#[tokio::test]
async fn a_client_that_goes_away_changes_nothing_about_its_records() {
    let (context, mut pipeline) = start();
    let (address, input) = serve(&context, HttpConfig::default()).await;
    let sending = tokio::spawn(async move { request(address, "/logs", &[], b"one\ntwo").await });
    let submission = pipeline.recv().await;
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
    submission.ticket.committed(FrameId(1));
    soon(input.drained()).await;
    assert_eq!(balanced(&context.counters).accepted, 2);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408_or_400() {
    let (context, _pipeline) = start();
    let config = HttpConfig { body_timeout: Duration::from_millis(50), ..HttpConfig::default() };
    let (address, _) = serve(&context, config).await;
    let mut stream = connect(address).await;
    stream.write_all(b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    let mut start = [0; 12];
    soon(stream.read_exact(&mut start)).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 408");
    assert_eq!(balanced(&context.counters).rejected, [("body_unreadable", 1)]);
}

#[tokio::test]
async fn requests_during_a_shutdown_are_turned_away() {
    let (context, _pipeline) = start();
    let input = HttpInput::new(HttpConfig::default(), context.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = input.router();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    context.shutdown.cancel();
    let reply = request(address, "/logs", &[], b"late").await;
    assert_eq!(reply.status, 503);
    assert!(reply.head.contains("retry-after"));
    soon(input.drained()).await;
}
