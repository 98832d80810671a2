//! The committer: takes what is queued, writes it as frames with one fsync, acknowledges.

use std::sync::atomic::Ordering;

use crossbeam_channel::Sender;
use panoptes_engine::Preparer;
use panoptes_intake::{Submission, Submissions};
use panoptes_model::{BATCH_RECORDS_MAX, FrameId, LogFrame, RawBatch, Timestamp};
use panoptes_store::Store;

use super::{Committed, InForce, Numbered, Vitals};

/// A group takes no further submission once it holds this much: it bounds what one fsync keeps waiting.
const GROUP_BYTES_MAX: usize = 2 << 20;
/// And no more than so many submissions.
const GROUP_SUBMISSIONS_MAX: usize = 1_024;
/// Submissions are joined into frames of about this size: large enough that the cost of a frame does not show, small
/// enough that several cores share a burst.
const FRAME_BYTES: usize = 512 << 10;

pub(super) fn run(
    submissions: &mut Submissions,
    store: &Store,
    to_prepare: &Sender<Numbered<Committed>>,
    clock: fn() -> Timestamp,
    in_force: &InForce,
    vitals: &Vitals,
) {
    let mut next = store.next_frame();
    let mut number = 0;
    while let Some(submission) = submissions.blocking_recv() {
        let mut group = gather(submissions, submission);
        for late in group.extract_if(.., |it| it.ticket.is_behind_a_failure()) {
            late.ticket.failed("a batch before it was not written");
        }
        let before = next;
        // Asked once per frame: all its events see these rules, whatever is loaded meanwhile.
        let preparer = in_force.get();
        let (frames, placed) = frames(&mut group, &mut next, clock(), &preparer);
        match store.append(&frames) {
            Ok(()) => {
                vitals.set_trouble(None);
                if let Some(last) = frames.last() {
                    vitals.committed.store(last.id.0, Ordering::Release);
                }
                for (submission, frame) in group.into_iter().zip(placed) {
                    submission.ticket.committed(frame);
                }
                for frame in frames {
                    let item = Committed { frame, preparer: preparer.clone() };
                    if to_prepare.send(Numbered { number, item }).is_err() {
                        return;
                    }
                    number += 1;
                }
            }
            Err(error) => {
                let text = format!("cannot write evidence: {}", panoptes_stdx::ErrorChain(&error));
                tracing::error!("{text}; inputs are told to try again");
                vitals.set_trouble(Some(text.clone()));
                // Ids rise by one through the log: those of a group that was not written are given out again.
                next = before;
                for submission in group {
                    submission.ticket.failed(text.as_str());
                }
            }
        }
    }
}

/// `first` and all that is queued behind it, within the limits.
fn gather(submissions: &mut Submissions, first: Submission) -> Vec<Submission> {
    let mut bytes = first.batch.bytes.len();
    let mut group = vec![first];
    while bytes < GROUP_BYTES_MAX && group.len() < GROUP_SUBMISSIONS_MAX {
        let Some(submission) = submissions.try_recv() else { break };
        bytes += submission.batch.bytes.len();
        group.push(submission);
    }
    group
}

/// The group's batches as frames, and for each submission the frame that holds it.
fn frames(
    group: &mut [Submission],
    next: &mut FrameId,
    now: Timestamp,
    preparer: &Preparer,
) -> (Vec<LogFrame>, Vec<FrameId>) {
    let mut frames: Vec<LogFrame> = Vec::new();
    let mut placed = Vec::with_capacity(group.len());
    for submission in group {
        let batch = std::mem::take(&mut submission.batch);
        match frames.last_mut() {
            Some(last) if joins(&last.records, &batch) => last.records.append(&batch),
            _ => {
                let (rules_epoch, snapshots_epoch) = (preparer.rules_epoch(), preparer.snapshots_epoch());
                frames.push(LogFrame { id: *next, now, rules_epoch, snapshots_epoch, records: batch });
                *next = next.next();
            }
        }
        placed.extend(frames.last().map(|it| it.id));
    }
    (frames, placed)
}

fn joins(frame: &RawBatch, batch: &RawBatch) -> bool {
    frame.bytes.len() < FRAME_BYTES
        && frame.has_room_for(batch.bytes.len())
        && frame.records.len() + batch.records.len() <= BATCH_RECORDS_MAX
}
