//! Syslog framing over UDP and TCP.

use std::net::SocketAddr;

use panoptes_intake::inputs::{SyslogTcpConfig, SyslogTcpInput, SyslogUdpConfig, SyslogUdpInput};
use panoptes_intake::limits::{LINE_BYTES_MAX, ORIGINS_MAX};
use panoptes_intake::{Context, SinkLimits};
use panoptes_model::FrameId;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::support::{balanced, connect, send, soon, start, start_with, texts};

async fn listen_tcp(context: &Context) -> (SocketAddr, JoinHandle<()>) {
    let config = SyslogTcpConfig { address: "127.0.0.1:0".parse().unwrap(), ..SyslogTcpConfig::default() };
    let input = SyslogTcpInput::bind(config).await.unwrap();
    (input.local_addr(), tokio::spawn(input.run(context.clone())))
}

async fn listen_udp(context: &Context) -> (SocketAddr, JoinHandle<()>) {
    let config = SyslogUdpConfig { address: "127.0.0.1:0".parse().unwrap(), ..SyslogUdpConfig::default() };
    let input = SyslogUdpInput::bind(config).await.unwrap();
    (input.local_addr(), tokio::spawn(input.run(context.clone())))
}

#[tokio::test]
async fn counted_and_delimited_messages_mix_in_one_connection() {
    let (context, mut pipeline) = start();
    let (address, _running) = listen_tcp(&context).await;
    send(address, b"11 <34>1 two\nx<13>line\r\n<14>nul\x0011 <34>1 again\n<15>last, no line feed").await;
    let records = pipeline.records(5).await;
    assert_eq!(texts(&records), ["<34>1 two\nx", "<13>line", "<14>nul", "<34>1 again", "<15>last, no line feed"]);
    assert!(records.iter().all(|it| it.source == "syslog" && it.peer.as_deref() == Some("127.0.0.1")));
}

#[tokio::test]
async fn a_count_split_across_packets_is_put_together() {
    let (context, mut pipeline) = start();
    let (address, _running) = listen_tcp(&context).await;
    let mut stream = connect(address).await;
    stream.set_nodelay(true).unwrap();
    // A complete message behind each piece would come out at once; each byte must wait for its message.
    for byte in b"12 <34>1 hello!" {
        stream.write_all(&[*byte]).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(texts(&pipeline.records(1).await), ["<34>1 hello!"]);
}

#[tokio::test]
async fn hostile_counts_take_nothing_with_them() {
    let (context, mut pipeline) = start();
    let (address, running) = listen_tcp(&context).await;
    send(address, b"1000000000000 <34>a trillion bytes to come\n<13>next\n").await;
    assert_eq!(texts(&pipeline.records(2).await), ["1000000000000 <34>a trillion bytes to come", "<13>next"]);
    send(address, b"99999999999999999999999999999 <34>more than a number holds\n0 <1>zero\n-1 <1>minus\n").await;
    assert_eq!(pipeline.records(3).await.len(), 3);
    send(address, b"500 <34>promised more than was sent").await;
    assert_eq!(texts(&pipeline.records(1).await), ["<34>promised more than was sent"]);
    let counters = context.counters.clone();
    context.shutdown.cancel();
    drop(context);
    assert!(pipeline.rest().await.is_empty());
    running.await.unwrap();
    assert_eq!(balanced(&counters).accepted, 6);
}

#[tokio::test]
async fn an_overlong_counted_message_is_cut_and_the_next_is_found() {
    let (context, mut pipeline) = start();
    let (address, _running) = listen_tcp(&context).await;
    let mut text = format!("{} <34>", LINE_BYTES_MAX * 2).into_bytes();
    text.resize(text.len() + LINE_BYTES_MAX * 2 - 4, b'\n');
    text.extend_from_slice(b"7 <13>abc");
    let (records, ()) = tokio::join!(pipeline.records(2), send(address, &text));
    assert_eq!(texts(&records), ["<34>", "<13>abc"], "what is kept of it is line feeds");
}

#[tokio::test]
async fn a_datagram_is_a_message_without_its_trailer() {
    let (context, mut pipeline) = start();
    let (address, running) = listen_udp(&context).await;
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for datagram in
        [b"<34>1 one\n".as_slice(), b"<34>two\nlines\r\n\0", b"\n", b"", &[0xff, 0xfe, b'x'], &[b'y'; 60_000]]
    {
        sender.send_to(datagram, address).await.unwrap();
    }
    let records = pipeline.records(4).await;
    assert_eq!(texts(&records)[..3], ["<34>1 one", "<34>two\nlines", "\u{fffd}\u{fffd}x"]);
    assert_eq!(records[3].text.len(), 60_000);
    assert_eq!(records.iter().map(|it| it.position).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let counters = context.counters.clone();
    context.shutdown.cancel();
    drop(context);
    assert!(pipeline.rest().await.is_empty());
    running.await.unwrap();
    assert_eq!(balanced(&counters).accepted, 4);
}

#[tokio::test]
async fn what_a_full_queue_has_no_room_for_is_counted_as_dropped() {
    let (context, mut pipeline) = start_with(SinkLimits { batches_max: 1, bytes_max: 1 << 20 });
    let (address, running) = listen_udp(&context).await;
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let datagram = vec![b'x'; 50_000];
    // Nothing is taken from the queue, so first it fills up, then the backlog, then datagrams are dropped.
    let page = context.counters.source("syslog_udp", "syslog");
    drop(page);
    let dropped = |context: &Context| -> u64 {
        context.counters.totals().iter().flat_map(|it| it.dropped.clone()).map(|(_, n)| n).sum()
    };
    soon(async {
        while dropped(&context) < 10 {
            sender.send_to(&datagram, address).await.unwrap();
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(context.sink.depth().bytes <= 1 << 20);
    let counters = context.counters.clone();
    context.shutdown.cancel();
    drop(context);
    let mut kept = 0;
    while let Some(submission) = soon(pipeline.submissions.recv()).await {
        kept += submission.batch.records.len() as u64;
        submission.ticket.committed(FrameId(1));
    }
    running.await.unwrap();
    let totals = balanced(&counters);
    assert_eq!(totals.accepted, kept);
    assert!(totals.dropped.iter().any(|(reason, n)| *reason == "queue_full" && *n >= 10));
}

#[tokio::test]
async fn peers_are_told_apart_and_bounded_per_batch() {
    let (context, mut pipeline) = start();
    let (address, _running) = listen_udp(&context).await;
    let count = ORIGINS_MAX + 40;
    for n in 0..count {
        let own = format!("127.0.{}.{}:0", 1 + n / 250, 1 + n % 250);
        let sender = UdpSocket::bind(own).await.unwrap();
        sender.send_to(format!("<34>{n}").as_bytes(), address).await.unwrap();
    }
    let mut peers = std::collections::BTreeSet::new();
    let mut records = 0;
    while records < count {
        let submission = pipeline.recv().await;
        assert!(submission.batch.origins.len() <= ORIGINS_MAX);
        peers.extend(submission.batch.origins.iter().filter_map(|it| it.peer));
        records += submission.batch.records.len();
        submission.ticket.committed(FrameId(1));
    }
    assert_eq!((records, peers.len()), (count, count));
}

#[tokio::test]
async fn datagrams_of_one_audit_event_are_one_record_and_counted_one_by_one() {
    let (context, mut pipeline) = start();
    let (address, running) = listen_udp(&context).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let datagram = |kind: &str| format!("<13>Jan 15 10:30:00 h audispd: type={kind} msg=audit(1705314600.123:7): a=b");
    for kind in ["SYSCALL", "EXECVE", "PROCTITLE"] {
        socket.send_to(datagram(kind).as_bytes(), address).await.unwrap();
    }
    let records = pipeline.records(1).await;
    let whole = [datagram("SYSCALL"), datagram("EXECVE"), datagram("PROCTITLE")].join("\n");
    assert_eq!(texts(&records), [whole]);
    let counters = context.counters.clone();
    context.shutdown.cancel();
    drop(context);
    assert!(pipeline.rest().await.is_empty());
    running.await.unwrap();
    assert_eq!(balanced(&counters).accepted, 3);
}

#[tokio::test]
async fn counted_messages_of_one_audit_event_are_one_record() {
    let (context, mut pipeline) = start();
    let (address, _running) = listen_tcp(&context).await;
    let message = |kind: &str| format!("<13>1 - h audispd - - - type={kind} msg=audit(1705314600.123:7): a=b");
    let counted = |kind: &str| format!("{} {}", message(kind).len(), message(kind));
    send(address, format!("{}{}", counted("SYSCALL"), counted("EXECVE")).as_bytes()).await;
    let whole = [message("SYSCALL"), message("EXECVE")].join("\n");
    assert_eq!(texts(&pipeline.records(1).await), [whole]);
}
