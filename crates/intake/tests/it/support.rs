//! A pipeline that the tests drive, and a client for each kind of sender.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use panoptes_intake::{Clock, Context, Counters, Sink, SinkLimits, SourceTotals, Submission, Submissions};
use panoptes_model::{FrameId, RawBatch, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// No test waits longer than this for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it did not happen in time")
}

/// A record as the pipeline got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) text: String,
    pub(crate) position: u64,
    pub(crate) source: String,
    pub(crate) peer: Option<String>,
    pub(crate) path: Option<String>,
}

pub(crate) fn seen(batch: &RawBatch) -> Vec<Seen> {
    let of = |record| {
        let origin = batch.origin_of(record).expect("every record has an origin");
        Seen {
            text: String::from_utf8_lossy(batch.bytes_of(record)).into_owned(),
            position: record.position,
            source: origin.source.clone(),
            peer: origin.peer.map(|it| it.to_string()),
            path: origin.path.clone(),
        }
    };
    batch.records.iter().map(of).collect()
}

pub(crate) fn texts(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|it| it.text.as_str()).collect()
}

/// The pipeline's end of the queue.
pub(crate) struct Pipeline {
    pub(crate) submissions: Submissions,
    frames: u64,
}

impl Pipeline {
    pub(crate) async fn recv(&mut self) -> Submission {
        soon(self.submissions.recv()).await.expect("the input ended early")
    }

    fn commit(&mut self, submission: Submission) -> Vec<Seen> {
        let seen = seen(&submission.batch);
        self.frames += 1;
        submission.ticket.committed(FrameId(self.frames));
        seen
    }

    /// Commits batches until `count` records have come.
    pub(crate) async fn records(&mut self, count: usize) -> Vec<Seen> {
        let mut all = Vec::new();
        while all.len() < count {
            let submission = self.recv().await;
            all.extend(self.commit(submission));
        }
        assert_eq!(all.len(), count, "more came than expected: {:?}", texts(&all));
        all
    }

    /// Commits batches until every input is gone.
    pub(crate) async fn rest(mut self) -> Vec<Seen> {
        let mut all = Vec::new();
        while let Some(submission) = soon(self.submissions.recv()).await {
            all.extend(self.commit(submission));
        }
        all
    }
}

pub(crate) fn start() -> (Context, Pipeline) {
    start_with(SinkLimits::default())
}

pub(crate) fn start_with(limits: SinkLimits) -> (Context, Pipeline) {
    let (sink, submissions) = Sink::channel(limits);
    let context = Context { sink, counters: Counters::new(), clock: clock(), shutdown: CancellationToken::new() };
    (context, Pipeline { submissions, frames: 0 })
}

/// A clock that goes on by a millisecond whenever it is read.
pub(crate) fn clock() -> Clock {
    let now = AtomicI64::new(1_705_314_600_000);
    Arc::new(move || Timestamp::from_millis(now.fetch_add(1, Ordering::Relaxed)))
}

/// The totals of all sources together, each record of which must be settled.
pub(crate) fn balanced(counters: &Counters) -> SourceTotals {
    let totals = counters.totals();
    for it in &totals {
        assert_eq!(it.open(), 0, "not settled: {it:?}");
        let lost: u64 = it.rejected.iter().chain(&it.dropped).map(|(_, n)| n).sum();
        assert_eq!(it.received, it.accepted + lost, "settled twice: {it:?}");
    }
    let mut sum = SourceTotals {
        input: "",
        source: String::new(),
        received: 0,
        accepted: 0,
        cut: 0,
        rejected: Vec::new(),
        dropped: Vec::new(),
    };
    for it in totals {
        sum.received += it.received;
        sum.accepted += it.accepted;
        sum.cut += it.cut;
        sum.rejected.extend(it.rejected);
        sum.dropped.extend(it.dropped);
    }
    sum
}

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Sends `bytes` and closes.
pub(crate) async fn send(address: SocketAddr, bytes: &[u8]) {
    let mut stream = connect(address).await;
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// Whether the other side closes the connection.
pub(crate) async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(soon(stream.read(&mut [0; 1])).await, Ok(0) | Err(_))
}

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 3).unwrap()
}
