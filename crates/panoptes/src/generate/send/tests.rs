use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::thread;

use super::*;

fn clock() -> Timestamp {
    Timestamp::from_seconds(1_705_314_600)
}

fn batch(lines: &[&str]) -> Batch {
    Batch { text: lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect(), lines: lines.len() as u64 }
}

fn send(sender: &mut Sender, lines: &[&str], stop: &AtomicBool) -> (anyhow::Result<Flow>, Tally) {
    let watch = Watch { clock: &clock, stop, deadline: None };
    let mut tally = Tally::default();
    let result = sender.send(&batch(lines), false, &watch, &mut tally);
    (result, tally)
}

fn open(target: &str) -> Sender {
    Sender::open(&target.parse().unwrap()).unwrap()
}

#[test]
fn a_target_is_read_and_told_again() {
    for (text, expected) in [
        ("tcp://127.0.0.1:9090", Target::Tcp("127.0.0.1:9090".into())),
        ("udp://[::1]:5514", Target::Udp("[::1]:5514".into())),
        ("syslog://localhost:5514", Target::Syslog("localhost:5514".into())),
        ("syslog+tcp://localhost:5514", Target::SyslogTcp("localhost:5514".into())),
        ("http://127.0.0.1:8080/logs", Target::Http { address: "127.0.0.1:8080".into(), path: "/logs".into() }),
        ("http://h:80/a/b?c=d", Target::Http { address: "h:80".into(), path: "/a/b?c=d".into() }),
        ("file:/tmp/x.log", Target::File("/tmp/x.log".into())),
    ] {
        let target: Target = text.parse().unwrap();
        assert_eq!(target, expected);
        assert_eq!(target.to_string(), text);
    }
    assert_eq!("http://h:8080".parse::<Target>().unwrap().to_string(), "http://h:8080/logs");
    assert_eq!("tcp://h:1/".parse::<Target>().unwrap(), Target::Tcp("h:1".into()));
    assert_eq!("file:///var/log/x".parse::<Target>().unwrap(), Target::File("/var/log/x".into()));
    assert_eq!("-".parse::<Target>().unwrap(), Target::Stdout);
}

#[test]
fn a_wrong_target_says_what_to_write_instead() {
    for (text, cause) in [
        ("127.0.0.1:9090", "is no place to send to: write tcp://HOST:PORT"),
        ("tcp://localhost", "has no port: write tcp://HOST:PORT"),
        ("tcp://localhost:99999", "has no port"),
        ("tcp://:9090", "has no port"),
        ("tcp://h:1/logs", "has a path, which only http:// can use: write tcp://h:1"),
        ("https://h:1", "speaks no TLS"),
        ("ftp://h:1", "nothing is known about `ftp://`"),
        ("file:", "names no file"),
    ] {
        let error = text.parse::<Target>().unwrap_err().to_string();
        assert!(error.contains(cause), "{text}: {error}");
    }
}

#[test]
fn lines_arrive_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = open(&format!("tcp://{}", listener.local_addr().unwrap()));
    let reader = thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    let (result, tally) = send(&mut sender, &["one", "two"], &AtomicBool::new(false));
    assert_eq!((result.unwrap(), tally.sent, tally.failed, tally.bytes), (Flow::Open, 2, 0, 8));
    sender.finish().unwrap();
    assert_eq!(reader.join().unwrap(), "one\ntwo\n");
}

#[test]
fn syslog_over_tcp_counts_octets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = open(&format!("syslog+tcp://{}", listener.local_addr().unwrap()));
    let (_, tally) = send(&mut sender, &["<13>one", "<13>größer"], &AtomicBool::new(false));
    assert_eq!(tally.sent, 2);
    sender.finish().unwrap();
    let mut text = String::new();
    listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
    assert_eq!(text, "7 <13>one12 <13>größer");
    assert_eq!(tally.bytes, text.len() as u64);
}

#[test]
fn each_line_is_a_datagram() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    for scheme in ["udp", "syslog"] {
        let mut sender = open(&format!("{scheme}://{}", receiver.local_addr().unwrap()));
        let (_, tally) = send(&mut sender, &["<13>one", "<13>two"], &AtomicBool::new(false));
        assert_eq!((tally.sent, tally.failed, tally.bytes), (2, 0, 14));
        for expected in ["<13>one", "<13>two"] {
            let mut buffer = [0; 100];
            let length = receiver.recv(&mut buffer).unwrap();
            assert_eq!(std::str::from_utf8(&buffer[..length]), Ok(expected));
        }
    }
}

#[test]
fn datagrams_that_nobody_wants_are_counted_and_then_an_error() {
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut sender = open(&format!("udp://{address}"));
    let lines = vec!["x"; 5_000];
    let (result, tally) = send(&mut sender, &lines, &AtomicBool::new(false));
    assert_eq!(tally.sent + tally.failed, 5_000);
    assert!(tally.failed > 0);
    // The kernel may not tell of every refusal, so only what is said is checked, not that it is said.
    if let Err(error) = result {
        assert!(error.to_string().contains(&format!("nothing listens on UDP {address}")), "{error}");
    }
}

#[test]
fn a_port_that_nobody_listens_on_is_said_at_once() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for target in [format!("tcp://{address}"), format!("syslog+tcp://{address}"), format!("http://{address}/logs")] {
        let error = Sender::open(&target.parse().unwrap()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("nothing listens on {address} (connection refused): is `panoptes run` running there?"),
            "{target}"
        );
    }
}

#[test]
fn a_broken_connection_is_made_anew_and_no_line_is_cut() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = open(&format!("tcp://{}", listener.local_addr().unwrap()));
    drop(listener.accept().unwrap().0);
    let reader = thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    let stop = AtomicBool::new(false);
    let mut total = Tally::default();
    // The first write after the other side left may still seem to work.
    while total.retries == 0 {
        let (result, tally) = send(&mut sender, &["one line", "another line"], &stop);
        result.unwrap();
        assert_eq!((tally.sent, tally.failed), (2, 0));
        total.retries += tally.retries;
    }
    send(&mut sender, &["the last"], &stop).0.unwrap();
    sender.finish().unwrap();
    let text = reader.join().unwrap();
    assert!(text.ends_with("the last\n"), "{text}");
    assert!(text.lines().all(|line| ["one line", "another line", "the last"].contains(&line)), "{text}");
}

#[test]
fn a_receiver_that_is_gone_for_good_ends_with_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut sender = open(&format!("tcp://{address}"));
    drop(listener.accept().unwrap());
    drop(listener);
    let stop = AtomicBool::new(false);
    let mut tries = 0;
    let error = loop {
        tries += 1;
        assert!(tries < 1_000);
        let (result, tally) = send(&mut sender, &["x"], &stop);
        assert_eq!(tally.sent + tally.failed, 1);
        if let Err(error) = result {
            break format!("{error:#}");
        }
    };
    assert!(error.starts_with(&format!("the connection to {address} broke: nothing listens on {address}")), "{error}");
}

#[test]
fn a_receiver_that_reads_nothing_does_not_hold_up_a_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = open(&format!("tcp://{}", listener.local_addr().unwrap()));
    let connection = listener.accept().unwrap();
    let stop = AtomicBool::new(false);
    let line = "x".repeat(1 << 16);
    let lines = vec![line.as_str(); 400];
    let tally = thread::scope(|scope| {
        let sending = scope.spawn(|| send(&mut sender, &lines, &stop));
        // Whether it blocks already or not yet: in both cases it must come back.
        stop.store(true, Ordering::Relaxed);
        let (result, tally) = sending.join().unwrap();
        assert_eq!(result.unwrap(), Flow::Open);
        tally
    });
    assert_eq!(tally.sent + tally.failed, 400);
    assert!(tally.failed > 0, "26 MB do not fit into the buffers of a socket");
    drop(connection);
}

/// Answers the requests that come over one connection after another, and returns their heads and bodies.
fn serve(listener: TcpListener, answers: Vec<&'static str>) -> thread::JoinHandle<Vec<(String, String)>> {
    thread::spawn(move || {
        let mut requests = Vec::new();
        let mut answers = answers.into_iter().peekable();
        while answers.peek().is_some() {
            let mut reader = BufReader::new(listener.accept().unwrap().0);
            while answers.peek().is_some() {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    if reader.read_line(&mut head).unwrap() == 0 {
                        break;
                    }
                }
                // The look whether somebody listens says nothing.
                let Some(length) = head.to_ascii_lowercase().split("content-length: ").nth(1).map(str::to_owned) else {
                    break;
                };
                let mut body = vec![0; length.split("\r\n").next().unwrap().parse().unwrap()];
                reader.read_exact(&mut body).unwrap();
                requests.push((head, String::from_utf8(body).unwrap()));
                reader.get_mut().write_all(answers.next().unwrap().as_bytes()).unwrap();
            }
        }
        requests
    })
}

#[test]
fn http_batches_are_acknowledged_after_the_server_had_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = serve(
        listener,
        vec![
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy",
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{\"accepted\":2,\"rejected\":1}",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ],
    );
    let mut sender = open(&format!("http://{address}"));
    assert!(sender.acknowledges());
    let stop = AtomicBool::new(false);
    let (result, tally) = send(&mut sender, &["one", "two", "three"], &stop);
    assert_eq!(result.unwrap(), Flow::Open);
    assert_eq!(tally, Tally { sent: 3, acknowledged: 2, failed: 1, retries: 2, bytes: 14 });
    let (_, tally) = send(&mut sender, &["four"], &stop);
    assert_eq!(tally.acknowledged, 1, "an answer without a count accepts all");
    let requests = server.join().unwrap();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|(head, _)| head.starts_with("POST /logs HTTP/1.1\r\n")));
    assert!(requests[0].0.contains("text/plain"), "{}", requests[0].0);
    assert!(requests[..3].iter().all(|(_, body)| body == "one\ntwo\nthree\n"));
}

#[test]
fn a_batch_that_the_server_refuses_is_an_error_with_its_words() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = serve(listener, vec!["HTTP/1.1 413 Payload Too Large\r\nContent-Length: 14\r\n\r\nat most 16 MiB"]);
    let mut sender = open(&format!("http://{address}/logs"));
    let (result, tally) = send(&mut sender, &["one", "two"], &AtomicBool::new(false));
    let error = result.unwrap_err().to_string();
    assert_eq!(error, format!("http://{address}/logs refused a batch with 413: at most 16 MiB"));
    assert_eq!((tally.sent, tally.failed), (0, 2));
    server.join().unwrap();
}

#[test]
fn a_stop_ends_waiting_for_a_busy_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let busy = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n";
    let server = serve(listener, vec![busy]);
    let mut sender = open(&format!("http://{address}/logs"));
    let stop = AtomicBool::new(true);
    let (result, tally) = send(&mut sender, &["one"], &stop);
    assert_eq!((result.unwrap(), tally.sent, tally.failed), (Flow::Open, 0, 1));
    server.join().unwrap();
}

#[test]
fn files_are_appended_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.log");
    std::fs::write(&path, "before\n").unwrap();
    let mut sender = open(&format!("file:{}", path.display()));
    let (_, tally) = send(&mut sender, &["one", "two"], &AtomicBool::new(false));
    sender.finish().unwrap();
    assert_eq!((tally.sent, tally.bytes), (2, 8));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before\none\ntwo\n");
    let error = Sender::open(&Target::File(folder.path().join("none/x.log"))).unwrap_err().to_string();
    assert!(error.starts_with("cannot open ") && error.ends_with("none/x.log for writing"), "{error}");
}
