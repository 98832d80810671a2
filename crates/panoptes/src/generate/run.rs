//! From a generator to a sender, at a rate, until there were enough lines.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use panoptes_model::Timestamp;

use super::limiter::Limiter;
use super::send::{Batch, Flow, Sender, Tally, Watch};
use super::{Generator, Staged};

/// How many lines share one reading of the clock.
const LINES_PER_CLOCK: u64 = 32;

/// How fast and how long.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    /// Lines per second; 0 is as fast as the receiver takes them.
    pub(crate) rate: u64,
    /// Stop after so many lines.
    pub(crate) count: Option<u64>,
    /// Stop after so much time.
    pub(crate) duration: Option<Duration>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It has not.
    Running,
    Count,
    Duration,
    Stopped,
    /// Who read standard output left.
    Closed,
    /// See [`Report::error`].
    Failed,
}

/// How a run went.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) started_at: Timestamp,
    /// Until now, while it runs.
    pub(crate) ended_at: Timestamp,
    pub(crate) generated: u64,
    pub(crate) tally: Tally,
    /// Whether `tally.acknowledged` means anything: only HTTP acknowledges.
    pub(crate) acknowledges: bool,
    pub(crate) ended: Ended,
    pub(crate) error: Option<anyhow::Error>,
    /// The attacks between the lines; filled when the run is over.
    pub(crate) staged: Vec<Staged>,
}

impl Report {
    pub(crate) fn seconds(&self) -> f64 {
        self.ended_at.nanos_since(self.started_at).max(0) as f64 / 1e9
    }

    /// Lines per second, over all.
    pub(crate) fn rate(&self) -> f64 {
        if self.seconds() > 0.0 { self.tally.sent as f64 / self.seconds() } else { 0.0 }
    }

    /// Sent, in millions of bytes.
    pub(crate) const fn megabytes(&self) -> f64 {
        self.tally.bytes as f64 / 1e6
    }
}

/// Runs until the plan is fulfilled, `stop` is set, or the receiver is gone. Keeps one batch in memory, no more: a
/// receiver that is slow slows the generator down. `progress` is called after each batch.
pub(crate) fn run(
    generator: &mut Generator,
    sender: &mut Sender,
    plan: Plan,
    clock: &dyn Fn() -> Timestamp,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(&Report),
) -> Report {
    let started_at = clock();
    let deadline = plan.duration.map(|it| started_at.saturating_add_nanos(super::nanos(it)));
    let watch = Watch { clock, stop, deadline };
    let mut report = Report {
        started_at,
        ended_at: started_at,
        generated: 0,
        tally: Tally::default(),
        acknowledges: sender.acknowledges(),
        ended: Ended::Running,
        error: None,
        staged: Vec::new(),
    };
    let (batch_max, tick) = sender.target().batch();
    let per_tick = u128::from(plan.rate) * tick.as_nanos() / 1_000_000_000;
    let per_tick = u64::try_from(per_tick).unwrap_or(u64::MAX).clamp(1, batch_max);
    let mut limiter = Limiter::new(plan.rate, started_at);
    let mut batch = Batch::default();
    while report.ended == Ended::Running {
        let now = clock();
        report.ended_at = now;
        let most = plan.count.map_or(batch_max, |count| batch_max.min(count.saturating_sub(report.generated)));
        if most == 0 {
            report.ended = Ended::Count;
        } else if watch.is_stopped() {
            report.ended = Ended::Stopped;
        } else if deadline.is_some_and(|deadline| now >= deadline) {
            report.ended = Ended::Duration;
        } else {
            let granted = limiter.take_at_least(now, per_tick.min(most), most);
            if granted == 0 {
                watch.pause(limiter.wait(per_tick.min(most)));
                continue;
            }
            fill(&mut batch, generator, granted, clock);
            report.generated += batch.lines;
            match sender.send(&batch, generator.is_json(), &watch, &mut report.tally) {
                Ok(Flow::Open) => {}
                Ok(Flow::Closed) => report.ended = Ended::Closed,
                Err(error) => (report.ended, report.error) = (Ended::Failed, Some(error)),
            }
            report.ended_at = clock();
            progress(&report);
        }
    }
    if let Err(error) = sender.finish()
        && report.error.is_none()
    {
        (report.ended, report.error) = (Ended::Failed, Some(error));
    }
    report.staged = generator.staged().to_vec();
    report
}

fn fill(batch: &mut Batch, generator: &mut Generator, lines: u64, clock: &dyn Fn() -> Timestamp) {
    batch.text.clear();
    batch.lines = lines;
    let mut left = lines;
    while left > 0 {
        let now = clock();
        for _ in 0..left.min(LINES_PER_CLOCK) {
            generator.next(now, &mut batch.text);
        }
        left = left.saturating_sub(LINES_PER_CLOCK);
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
