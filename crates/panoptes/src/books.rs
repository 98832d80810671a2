//! Once a minute: what inputs refused or lost goes into the catalogue, and time goes on even if nobody sends.
//!
//! Detection knows no time but that of frames. Without records there would be none, and a source that falls silent would
//! be told of when it speaks again; so an empty batch is put into the queue.

use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use panoptes_catalog::Loss;
use panoptes_catalog::blocking::Catalog;
use panoptes_intake::{Counters, Sink, SourceTotals};
use panoptes_model::{RawBatch, Timestamp};

use crate::time;

/// How long time may stand still for detection, and what is lost be known to this process alone.
pub(crate) const EVERY: Duration = Duration::from_secs(60);

/// The thread that does it.
pub(crate) struct Books {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Books {
    pub(crate) fn open(
        catalog: Catalog,
        counters: Counters,
        sink: Sink,
        clock: fn() -> Timestamp,
        every: Duration,
    ) -> anyhow::Result<Self> {
        let (stop, stopped) = bounded::<()>(0);
        let thread = std::thread::Builder::new()
            .name("books".to_owned())
            .spawn(move || {
                let mut written = Written::default();
                while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                    written.write(&catalog, &counters, clock());
                    // With a full queue there are frames enough.
                    drop(sink.try_commit(RawBatch::new()));
                }
                written.write(&catalog, &counters, clock());
                catalog.close();
            })
            .context("cannot start the thread `books`")?;
        Ok(Self { stop, thread })
    }

    /// Writes what is left and lets go of the queue.
    pub(crate) fn close(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread `books` panicked; what was lost in the last minute is not in the catalogue");
        }
    }
}

/// Writes what an instance that only took files in has counted.
pub(crate) fn note(catalog: &Catalog, counters: &Counters) {
    Written::default().write(catalog, counters, time::now());
}

/// Up to which count each fate of a source's records is in the catalogue.
#[derive(Default)]
struct Written(BTreeMap<(&'static str, String, bool, &'static str), u64>);

impl Written {
    /// What came on top since; it counts as written.
    fn news(&mut self, totals: Vec<SourceTotals>, now: Timestamp) -> Vec<Loss> {
        let mut news = Vec::new();
        for SourceTotals { input, source, rejected, dropped, .. } in totals {
            let fates = rejected.into_iter().map(|it| (true, it)).chain(dropped.into_iter().map(|it| (false, it)));
            for (is_rejected, (reason, count)) in fates {
                let known = self.0.entry((input, source.clone(), is_rejected, reason)).or_default();
                let records = count.saturating_sub(*known);
                *known = count;
                if records > 0 {
                    news.push(Loss {
                        hour: now,
                        input: input.to_owned(),
                        source: source.clone(),
                        rejected: is_rejected,
                        reason: reason.to_owned(),
                        records,
                    });
                }
            }
        }
        news
    }

    fn write(&mut self, catalog: &Catalog, counters: &Counters, now: Timestamp) {
        let before = self.0.clone();
        let news = self.news(counters.totals(), now);
        if news.is_empty() {
            return;
        }
        if let Err(error) = catalog.add_losses(&news) {
            tracing::warn!("{}; the next minute tries again", panoptes_stdx::ErrorChain(&error));
            self.0 = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(source: &str, rejected: &[(&'static str, u64)], dropped: &[(&'static str, u64)]) -> SourceTotals {
        SourceTotals {
            input: "tcp",
            source: source.to_owned(),
            received: 100,
            accepted: 50,
            cut: 0,
            rejected: rejected.to_vec(),
            dropped: dropped.to_vec(),
        }
    }

    #[test]
    fn only_what_came_on_top_is_written() {
        let mut written = Written::default();
        let mut news = |totals: Vec<SourceTotals>| {
            let mut news: Vec<_> = written
                .news(totals, Timestamp(7))
                .into_iter()
                .map(|it| (it.source, it.rejected, it.reason, it.records))
                .collect();
            news.sort();
            news
        };
        let of =
            |source: &str, rejected, reason: &str, records| (source.to_owned(), rejected, reason.to_owned(), records);
        assert_eq!(
            news(vec![totals("a", &[("busy", 3)], &[("busy", 2)]), totals("b", &[], &[])]),
            [of("a", false, "busy", 2), of("a", true, "busy", 3)]
        );
        assert!(news(vec![totals("a", &[("busy", 3)], &[("busy", 2)])]).is_empty());
        assert_eq!(news(vec![totals("a", &[("busy", 3), ("binary", 1)], &[("busy", 7)])]).len(), 2);
    }

    #[test]
    fn what_could_not_be_written_is_written_later_and_time_goes_on_without_records() {
        let folder = tempfile::tempdir().unwrap();
        let key = panoptes_seal::KeyEncryptionKey::from_bytes([1; 32]);
        let path = folder.path().join("catalog.sqlite");
        let open = || Catalog::open(&path, &key, panoptes_catalog::OpenMode::Create).unwrap();
        let counters = Counters::new();
        counters.source("tcp", "198.51.100.7").dropped(panoptes_intake::DropReason::QueueFull, 4);
        let (sink, mut submissions) = Sink::channel(panoptes_intake::SinkLimits::default());
        let clock = || Timestamp::from_seconds(3_600);
        let books = Books::open(open(), counters, sink, clock, Duration::from_millis(1)).unwrap();
        let tick = submissions.blocking_recv().unwrap();
        assert!(tick.batch.records.is_empty());
        drop(tick);
        books.close();
        while submissions.try_recv().is_some() {}
        let losses = open().losses(Timestamp(0)).unwrap();
        assert_eq!(losses.iter().map(|it| (it.source.as_str(), it.records)).collect::<Vec<_>>(), [("198.51.100.7", 4)]);
        assert!(submissions.blocking_recv().is_none(), "the queue was let go of");
    }
}
