//! What holds for every input: each record is accounted for exactly once.

use std::net::SocketAddr;

use panoptes_intake::Context;
use panoptes_intake::inputs::{
    ALL, ContainerConfig, ContainerInput, ElasticsearchInput, FileCheckpoints, FileConfig, FileInput, HttpConfig,
    HttpInput, Import, ImportConfig, JournaldInput, StartAt, StdinConfig, StdinInput, SyslogTcpConfig, SyslogTcpInput,
    SyslogTlsConfig, SyslogTlsInput, SyslogUdpConfig, SyslogUdpInput, TcpConfig, TcpInput, TlsFiles,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;

use crate::journald;
use crate::support::{balanced, clock, connect, send, soon, start};
use crate::syslog_tls::connect_tls;

/// Lines that are awkward in one way or another; each is a record.
const RECORDS: &[&[u8]] = &[
    b"<34>Jan 15 10:30:00 web1 sshd[4242]: Failed password for root from 203.0.113.9 port 22 ssh2",
    b"{\"timestamp\":\"2024-01-15T10:30:00Z\",\"message\":\"x\"}",
    b"  indented",
    b"caf\xe9 in Latin-1",
    "Größe".as_bytes(),
    b"1000000000000 <34>hello",
    b"2024 was a year",
    b"tab\tand \x1b[31mcolour",
];

fn lines() -> Vec<u8> {
    let mut text = RECORDS.join(&b'\n');
    text.push(b'\n');
    text
}

/// A record as the document that a shipper makes of it.
fn object(record: &[u8]) -> String {
    serde_json::json!({ "message": String::from_utf8_lossy(record) }).to_string()
}

/// What the record that `line` is becomes in the input called `name`.
fn expected(name: &str, number: usize, line: &[u8]) -> String {
    match name {
        "container" => serde_json::json!({
            "log": String::from_utf8_lossy(line), "stream": "stdout", "time": "2024-01-15T10:30:00Z",
            "container.name": "nginx", "orchestrator.type": "kubernetes", "orchestrator.namespace": "shop",
            "orchestrator.resource.type": "pod", "orchestrator.resource.name": "web", "kubernetes.pod.uid": "0a1b",
        })
        .to_string(),
        "journald" => {
            let message = String::from_utf8_lossy(line);
            serde_json::json!({ "__CURSOR": format!("s=1;i={number};t=f4240"), "MESSAGE": message }).to_string()
        }
        "elasticsearch" => object(line),
        _ => String::from_utf8_lossy(line).into_owned(),
    }
}

/// Feeds `RECORDS` to the input called `name`, waits until they are taken, and stops it.
async fn feed(name: &str, context: Context) {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let taken = {
        let (counters, count) = (context.counters.clone(), RECORDS.len() as u64);
        async move {
            while counters.totals().iter().map(|it| it.accepted).sum::<u64>() < count {
                tokio::task::yield_now().await;
            }
        }
    };
    let shutdown = context.shutdown.clone();
    match name {
        "tcp" => {
            let input = TcpInput::bind(TcpConfig { address: any, ..TcpConfig::default() }).await.unwrap();
            let address = input.local_addr();
            let running = tokio::spawn(input.run(context));
            send(address, &lines()).await;
            soon(taken).await;
            shutdown.cancel();
            running.await.unwrap();
        }
        "syslog_tcp" => {
            let config = SyslogTcpConfig { address: any, ..SyslogTcpConfig::default() };
            let input = SyslogTcpInput::bind(config).await.unwrap();
            let address = input.local_addr();
            let running = tokio::spawn(input.run(context));
            send(address, &lines()).await;
            soon(taken).await;
            shutdown.cancel();
            running.await.unwrap();
        }
        "syslog_tls" => {
            let folder = tempfile::tempdir().unwrap();
            let (files, _) = TlsFiles::self_signed(folder.path(), vec!["localhost".to_owned()]).unwrap();
            let trusted = files.certificate.clone();
            let config = SyslogTlsConfig { address: any, ..SyslogTlsConfig::new(files) };
            let input = SyslogTlsInput::bind(config, clock()).await.unwrap();
            let address = input.local_addr();
            let running = tokio::spawn(input.run(context));
            let mut stream = connect_tls(address, &trusted, None).await.unwrap();
            stream.write_all(&lines()).await.unwrap();
            stream.shutdown().await.unwrap();
            soon(taken).await;
            shutdown.cancel();
            running.await.unwrap();
        }
        "syslog_udp" => {
            let config = SyslogUdpConfig { address: any, ..SyslogUdpConfig::default() };
            let input = SyslogUdpInput::bind(config).await.unwrap();
            let address = input.local_addr();
            let running = tokio::spawn(input.run(context));
            let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            for record in RECORDS {
                sender.send_to(record, address).await.unwrap();
            }
            soon(taken).await;
            shutdown.cancel();
            running.await.unwrap();
        }
        "http" => {
            let input = HttpInput::new(HttpConfig::default(), context);
            let listener = tokio::net::TcpListener::bind(any).await.unwrap();
            let mut stream = connect(listener.local_addr().unwrap()).await;
            let router = input.router();
            let running = tokio::spawn(async move { axum::serve(listener, router).await });
            let body = lines();
            let head = format!(
                "POST /logs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
            let mut reply = String::new();
            soon(stream.read_to_string(&mut reply)).await.unwrap();
            assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
            shutdown.cancel();
            input.drained().await;
            // The server holds the input's handle to the queue.
            running.abort();
        }
        "container" => {
            let folder = tempfile::tempdir().unwrap();
            let pod = folder.path().join("shop_web_0a1b/nginx");
            std::fs::create_dir_all(&pod).unwrap();
            let lines = RECORDS.iter().map(|it| [b"2024-01-15T10:30:00Z stdout F ", *it, b"\n"].concat());
            std::fs::write(pod.join("0.log"), lines.collect::<Vec<_>>().concat()).unwrap();
            let paths = vec![format!("{}/*/*/*.log", folder.path().display())];
            let config = ContainerConfig { paths, start_at: StartAt::Beginning, ..ContainerConfig::default() };
            let input = ContainerInput::new(config, FileCheckpoints::default()).unwrap();
            let running = tokio::spawn(input.run(context));
            soon(taken).await;
            shutdown.cancel();
            running.await.unwrap();
        }
        "elasticsearch" => {
            let http = HttpInput::new(HttpConfig::default(), context);
            let listener = tokio::net::TcpListener::bind(any).await.unwrap();
            let mut stream = connect(listener.local_addr().unwrap()).await;
            let router = ElasticsearchInput::beside(&http).router();
            let running = tokio::spawn(async move { axum::serve(listener, router).await });
            let body: String = RECORDS.iter().map(|it| format!("{{\"index\":{{}}}}\n{}\n", object(it))).collect();
            let head = format!(
                "POST /_bulk HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
            let mut reply = String::new();
            soon(stream.read_to_string(&mut reply)).await.unwrap();
            assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("\"errors\":false"), "{reply}");
            shutdown.cancel();
            http.drained().await;
            running.abort();
        }
        "journald" => {
            let journal = tempfile::tempdir().unwrap();
            for (number, record) in (1..).zip(RECORDS) {
                journald::put(journal.path(), number, record, "");
            }
            let input = JournaldInput::new(journald::config(journal.path()), None).unwrap();
            let running = tokio::spawn(input.run(context));
            soon(taken).await;
            shutdown.cancel();
            running.await.unwrap();
        }
        "stdin" => {
            let input = StdinInput::new(StdinConfig::default(), std::io::Cursor::new(lines()));
            input.run(context).await.unwrap();
        }
        "file" => {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("a.log"), lines()).unwrap();
            let paths = vec![format!("{}/*.log", folder.path().display())];
            let config = FileConfig { paths, start_at: StartAt::Beginning, ..FileConfig::default() };
            let input = FileInput::new(config, FileCheckpoints::default()).unwrap();
            let running = tokio::spawn(input.run(context));
            soon(taken).await;
            shutdown.cancel();
            running.await.unwrap();
        }
        "import" => {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("a.log"), lines()).unwrap();
            let import =
                Import::new(ImportConfig { paths: vec![folder.path().to_owned()], ..ImportConfig::default() }, clock());
            tokio::task::spawn_blocking(move || {
                let Context { sink, counters, .. } = context;
                import.commit(&sink, &counters, |_, problem| assert!(problem.is_none())).unwrap();
            })
            .await
            .unwrap();
        }
        other => panic!("no test feeds the input `{other}`: teach this function"),
    }
}

#[tokio::test]
async fn every_input_accounts_for_every_record() {
    for kind in ALL {
        let (context, pipeline) = start();
        let counters = context.counters.clone();
        let (records, ()) = tokio::join!(pipeline.rest(), feed(kind.name, context));
        let mut texts: Vec<_> = records.iter().map(|it| it.text.clone()).collect();
        let mut expected: Vec<_> = (1..).zip(RECORDS).map(|(n, it)| expected(kind.name, n, it)).collect();
        texts.sort();
        expected.sort();
        assert_eq!(texts, expected, "{}", kind.name);
        let totals = balanced(&counters);
        let settled = (totals.received, totals.accepted, totals.rejected.len(), totals.dropped.len());
        assert_eq!(settled, (RECORDS.len() as u64, RECORDS.len() as u64, 0, 0), "{}", kind.name);
        assert!(counters.totals().iter().all(|it| it.input == kind.name), "{}", kind.name);
        assert!(records.windows(2).all(|it| it[0].position < it[1].position), "{}: positions grow", kind.name);
    }
}

#[test]
fn every_input_is_listed_once_under_its_own_name() {
    let names: Vec<_> = ALL.iter().map(|it| it.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    for kind in ALL {
        assert!(kind.default_address.is_none_or(|it| it.starts_with("127.0.0.1:")), "{}", kind.name);
        assert!(!kind.summary.is_empty());
    }
}
