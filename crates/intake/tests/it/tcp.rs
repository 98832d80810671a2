//! Lines over TCP.

use std::net::SocketAddr;
use std::time::Duration;

use panoptes_intake::inputs::{TcpConfig, TcpInput};
use panoptes_intake::limits::{LINE_BYTES_MAX, STREAM_IN_FLIGHT_MAX};
use panoptes_intake::{Context, InputError, SinkLimits};
use panoptes_model::FrameId;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;

use crate::support::{Pipeline, balanced, connect, is_closed, seen, send, soon, start, start_with, texts};

async fn listen(context: &Context, config: TcpConfig) -> (SocketAddr, JoinHandle<()>) {
    let config = TcpConfig { address: "127.0.0.1:0".parse().unwrap(), ..config };
    let input = TcpInput::bind(config).await.unwrap();
    (input.local_addr(), tokio::spawn(input.run(context.clone())))
}

async fn stop(context: Context, pipeline: Pipeline, running: JoinHandle<()>) -> Vec<crate::support::Seen> {
    context.shutdown.cancel();
    drop(context);
    let rest = pipeline.rest().await;
    running.await.unwrap();
    rest
}

#[tokio::test]
async fn lines_arrive_with_number_source_and_peer() {
    let (context, mut pipeline) = start();
    let (address, running) = listen(&context, TcpConfig { source: "edge".into(), ..TcpConfig::default() }).await;
    send(address, b"one\r\n\ntwo\nthree").await;
    let records = pipeline.records(3).await;
    assert_eq!(texts(&records), ["one", "two", "three"]);
    assert_eq!(records.iter().map(|it| it.position).collect::<Vec<_>>(), [1, 3, 4]);
    assert!(records.iter().all(|it| it.source == "edge" && it.peer.as_deref() == Some("127.0.0.1")));
    let counters = context.counters.clone();
    assert!(stop(context, pipeline, running).await.is_empty());
    assert_eq!(balanced(&counters).accepted, 3);
}

#[tokio::test]
async fn a_line_split_across_packets_is_one_record() {
    let (context, mut pipeline) = start();
    let (address, _running) = listen(&context, TcpConfig::default()).await;
    let mut stream = connect(address).await;
    stream.set_nodelay(true).unwrap();
    stream.write_all(b"whole\nha").await.unwrap();
    assert_eq!(texts(&pipeline.records(1).await), ["whole"], "it does not wait for the rest of the next");
    stream.write_all(b"lf\n").await.unwrap();
    assert_eq!(texts(&pipeline.records(1).await), ["half"]);
}

#[tokio::test]
async fn an_overlong_line_is_cut_and_counted_and_the_next_is_whole() {
    let (context, mut pipeline) = start();
    let (address, running) = listen(&context, TcpConfig::default()).await;
    let mut text = vec![b'x'; LINE_BYTES_MAX * 3];
    text.extend_from_slice(b"\nnext\n");
    let (records, ()) = tokio::join!(pipeline.records(2), send(address, &text));
    assert_eq!((records[0].text.len(), records[1].text.as_str()), (LINE_BYTES_MAX, "next"));
    let counters = context.counters.clone();
    stop(context, pipeline, running).await;
    let totals = balanced(&counters);
    assert_eq!((totals.accepted, totals.cut), (2, 1));
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_many_senders_send_much() {
    const LINES: usize = 20_000;
    let (context, mut pipeline) = start();
    let (address, running) = listen(&context, TcpConfig::default()).await;
    let senders = (0..5).map(|sender| {
        tokio::spawn(async move {
            let text: String = (1..=LINES).map(|n| format!("{sender}:{n}:{}\n", "x".repeat(n % 400))).collect();
            send(address, text.as_bytes()).await;
        })
    });
    let senders: Vec<_> = senders.collect();
    let records = pipeline.records(LINES * 5).await;
    for sender in senders {
        sender.await.unwrap();
    }
    let mut next = [1; 5];
    for record in records {
        let mut parts = record.text.split(':');
        let sender: usize = parts.next().unwrap().parse().unwrap();
        let number: usize = parts.next().unwrap().parse().unwrap();
        assert_eq!((next[sender], number as u64), (number, record.position), "in order, with its number");
        next[sender] += 1;
    }
    let counters = context.counters.clone();
    stop(context, pipeline, running).await;
    assert_eq!(balanced(&counters).accepted, LINES as u64 * 5);
}

#[tokio::test]
async fn shutdown_takes_what_was_sent_and_waits_for_the_log() {
    let (context, pipeline) = start();
    let (address, running) = listen(&context, TcpConfig::default()).await;
    let mut stream = connect(address).await;
    stream.write_all(&b"line\n".repeat(50_000)).await.unwrap();
    stream.write_all(b"no line feed").await.unwrap();
    // The connection must have been accepted before the listener closes; the first batch shows that it was.
    let mut pipeline = pipeline;
    let first = pipeline.recv().await;
    // Sent before the shutdown, but nobody can have read it yet: nothing else runs until the next await.
    assert_eq!(stream.try_write(b"\nlast words").unwrap(), 11);
    let counters = context.counters.clone();
    context.shutdown.cancel();
    drop(context);
    assert!(!running.is_finished(), "it waits for the acknowledgement");
    let mut records = seen(&first.batch);
    first.ticket.committed(FrameId(1));
    records.extend(pipeline.rest().await);
    running.await.unwrap();
    assert_eq!(texts(&records)[50_000..], ["no line feed", "last words"]);
    assert_eq!(balanced(&counters).accepted, 50_002);
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn a_slow_log_slows_the_sender_down() {
    let (context, mut pipeline) = start_with(SinkLimits { batches_max: 2, bytes_max: 4 << 20 });
    let (address, _running) = listen(&context, TcpConfig::default()).await;
    let mut stream = connect(address).await;
    let line = [vec![b'x'; 999], b"\n".to_vec()].concat();
    let chunk = line.repeat(1_000);
    // Nothing is taken from the queue: the sender must come to a stop long before it has sent this much.
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_millis(500), stream.write_all(&chunk)).await.is_ok() {
        sent += chunk.len();
        assert!(sent < 200 << 20, "the sender was never slowed down");
    }
    assert!(context.sink.depth().bytes <= 4 << 20);
    // Once the log moves again, so does the sender.
    let mut batches = 0;
    while batches < STREAM_IN_FLIGHT_MAX {
        pipeline.recv().await.ticket.committed(FrameId(1));
        batches += 1;
    }
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let (context, mut pipeline) = start();
    let config = TcpConfig { idle_timeout: Duration::from_millis(50), ..TcpConfig::default() };
    let (address, _running) = listen(&context, config).await;
    let mut stream = connect(address).await;
    stream.write_all(b"half a line").await.unwrap();
    assert_eq!(texts(&pipeline.records(1).await), ["half a line"]);
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_places_come_back() {
    let (context, mut pipeline) = start();
    let (address, _running) = listen(&context, TcpConfig { connections_max: 1, ..TcpConfig::default() }).await;
    let mut first = connect(address).await;
    first.write_all(b"first\n").await.unwrap();
    pipeline.records(1).await;
    let mut second = connect(address).await;
    assert!(is_closed(&mut second).await);
    first.shutdown().await.unwrap();
    assert!(is_closed(&mut first).await);
    // The place is given back right after the connection was closed.
    soon(async {
        loop {
            let mut third = connect(address).await;
            if third.write_all(b"third\n").await.is_ok()
                && tokio::time::timeout(Duration::from_millis(100), pipeline.submissions.recv()).await.is_ok()
            {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_log_that_fails_closes_the_connection_and_counts_the_loss() {
    let (context, mut pipeline) = start();
    let (address, running) = listen(&context, TcpConfig::default()).await;
    let mut stream = connect(address).await;
    stream.write_all(b"one\ntwo\nthr").await.unwrap();
    pipeline.recv().await.ticket.failed("disk full");
    assert!(is_closed(&mut stream).await);
    let counters = context.counters.clone();
    stop(context, pipeline, running).await;
    let totals = balanced(&counters);
    assert_eq!((totals.accepted, totals.dropped), (0, vec![("not_durable", totals.received)]));
    assert!(totals.received >= 2);
}

#[tokio::test]
async fn many_open_lines_share_one_memory() {
    const CONNECTIONS: usize = 120;
    let (context, mut pipeline) = start();
    let (address, running) = listen(&context, TcpConfig::default()).await;
    let open = vec![b'x'; 900 << 10];
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        streams.push(connect(address).await);
    }
    // Together more than the connections may hold: although no line has ended, some are cut so that all can go on.
    let writing = futures_join(streams.iter_mut().map(|stream| async {
        stream.write_all(&open).await.unwrap();
    }));
    let (first, ()) = tokio::join!(pipeline.recv(), writing);
    let mut records = seen(&first.batch);
    first.ticket.committed(FrameId(1));
    let ending = futures_join(streams.iter_mut().map(|stream| async {
        stream.write_all(b"\nend\n").await.unwrap();
    }));
    let (rest, ()) = tokio::join!(pipeline.records(CONNECTIONS * 2 - records.len()), ending);
    records.extend(rest);
    assert_eq!(records.iter().filter(|it| it.text == "end").count(), CONNECTIONS);
    assert!(records.iter().any(|it| it.text.len() == open.len()), "not all are cut");
    let counters = context.counters.clone();
    stop(context, pipeline, running).await;
    let totals = balanced(&counters);
    assert!(totals.cut > 0 && totals.accepted == CONNECTIONS as u64 * 2, "{totals:?}");
}

async fn futures_join<F: Future<Output = ()>>(futures: impl Iterator<Item = F>) {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        futures.retain_mut(|it| it.as_mut().poll(context).is_pending());
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn a_used_port_is_named_with_the_cure() {
    let taken = TcpInput::bind(TcpConfig { address: "127.0.0.1:0".parse().unwrap(), ..TcpConfig::default() }).await;
    let taken = taken.unwrap();
    let error = TcpInput::bind(TcpConfig { address: taken.local_addr(), ..TcpConfig::default() }).await.err().unwrap();
    assert!(matches!(error, InputError::Bind { .. }));
    let text = error.to_string();
    assert!(text.contains(&taken.local_addr().to_string()) && text.contains("another program"), "{text}");
}

#[tokio::test]
async fn the_lines_of_an_audit_event_are_joined_and_a_silent_sender_is_not_waited_for() {
    let (context, mut pipeline) = start();
    let (address, running) = listen(&context, TcpConfig::default()).await;
    let line = |kind: &str, serial: u32| format!("type={kind} msg=audit(1705314600.123:{serial}): a=b");
    let mut stream = connect(address).await;
    stream.set_nodelay(true).unwrap();
    stream.write_all(format!("{}\n{}\n", line("SYSCALL", 1), line("SYSCALL", 2)).as_bytes()).await.unwrap();
    stream.write_all(format!("{}\n{}\n", line("PROCTITLE", 1), line("CWD", 2)).as_bytes()).await.unwrap();
    let records = pipeline.records(2).await;
    let event = |serial, other| format!("{}\n{}", line("SYSCALL", serial), line(other, serial));
    assert_eq!(texts(&records), [event(1, "PROCTITLE"), event(2, "CWD")], "the connection is still open");
    assert_eq!(records.iter().map(|it| it.position).collect::<Vec<_>>(), [3, 4]);
    let counters = context.counters.clone();
    assert!(stop(context, pipeline, running).await.is_empty());
    assert_eq!(balanced(&counters).accepted, 2);
}

#[tokio::test]
async fn endless_audit_events_do_not_fill_the_memory() {
    let (context, pipeline) = start();
    let (address, running) = listen(&context, TcpConfig::default()).await;
    let text: String = (0..50_000).map(|it| format!("type=SYSCALL msg=audit(1705314600.123:{it}): a=b\n")).collect();
    let sending = tokio::spawn(async move { send(address, text.as_bytes()).await });
    let collecting = tokio::spawn(pipeline.rest());
    sending.await.unwrap();
    context.shutdown.cancel();
    let counters = context.counters.clone();
    drop(context);
    running.await.unwrap();
    assert_eq!(collecting.await.unwrap().len(), 50_000);
    assert_eq!(balanced(&counters).accepted, 50_000);
}
