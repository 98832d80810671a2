//! What happens to segments that are there: they are merged, and files that nothing names any more go.

use std::collections::{BTreeMap, HashSet, VecDeque};

use arrow::array::RecordBatch;
use panoptes_model::{FrameId, Timestamp};

use super::{Store, StoreError, disk_error, lock};
use crate::compact::{CompactError, keep_all, merge, output_file, plan};
use crate::erase::{Person, count};
use crate::holds;
use crate::manifest::{Cause, Change, Erasure, RowsDigest, Segment};
use crate::retention::Verdict;
use crate::segment::{FOLDER, destroy_sealed, sync_folder};

/// How long the files of segments that were replaced stay for searches that began before. A search that takes longer
/// finds that the file is gone, and asks again.
pub(super) const REMOVE_AFTER_NANOS: i64 = 60 * Timestamp::NANOS_PER_SECOND;

/// What is known of the segments beside the manifest, until the process ends.
#[derive(Default)]
pub(super) struct Tending {
    /// Names of outputs differ by it.
    attempt: u32,
    /// Segments that could not be merged: damaged.
    left_out: HashSet<String>,
    /// Files that nothing names any more, and since when.
    replaced: VecDeque<(Timestamp, String)>,
    /// The last sealed frame as of some times of the last [`SETTLED_AFTER_NANOS`], and as of one before.
    sealed: VecDeque<(Timestamp, FrameId)>,
}

/// A past day of which no event came for so long gets no more, as far as merging is concerned.
const SETTLED_AFTER_NANOS: i64 = 3_600 * Timestamp::NANOS_PER_SECOND;
/// How many times are remembered: one each ten seconds, and a few.
const SEALED_TIMES_MAX: usize = 400;

impl Tending {
    /// The last frame that was sealed an hour before `now`. When the process starts, what is there is old.
    fn settled(&mut self, now: Timestamp, sealed: FrameId) -> FrameId {
        if self.sealed.is_empty() {
            self.sealed.push_back((Timestamp(i64::MIN), sealed));
        }
        if self.sealed.back().is_some_and(|it| it.1 != sealed) {
            self.sealed.push_back((now, sealed));
        }
        let before = Timestamp(now.0.saturating_sub(SETTLED_AFTER_NANOS));
        while self.sealed.len() > SEALED_TIMES_MAX || self.sealed.get(1).is_some_and(|it| it.0 <= before) {
            self.sealed.pop_front();
        }
        self.sealed.front().map_or(sealed, |it| it.1)
    }
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// How many segments became one.
    pub inputs: usize,
    pub rows: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
}

/// What a policy had deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    pub cause: Cause,
    pub segments: usize,
    pub events: u64,
    pub bytes: u64,
}

/// What was erased, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    pub segments: usize,
    pub events: u64,
    /// What the events were: [`RowsDigest`].
    pub rows_digest: RowsDigest,
    /// Events under a hold: they stay.
    pub held: u64,
}

/// How many segments one entry of the manifest gives up: their names fit into it many times.
const DELETED_AT_ONCE_MAX: usize = 1_000;

impl Store {
    /// Merges some small segments into one; `None` if there are none to merge. It reads and writes up to some hundred
    /// megabytes; `go_on` is asked now and then whether it should. `now` is noted in the manifest.
    pub fn compact(&self, now: Timestamp, go_on: &dyn Fn() -> bool) -> Result<Option<Compaction>, StoreError> {
        self.compact_settled(&mut lock(&self.tending), now, FrameId(u64::MAX), go_on)
    }

    /// The same, but past days of which more is coming in wait, so that each event is written few times: for whoever
    /// merges while events come.
    pub fn compact_by_and_by(
        &self,
        now: Timestamp,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<Compaction>, StoreError> {
        let mut tending = lock(&self.tending);
        let settled = tending.settled(now, self.sealed_through());
        self.compact_settled(&mut tending, now, settled, go_on)
    }

    fn compact_settled(
        &self,
        tending: &mut Tending,
        now: Timestamp,
        settled: FrameId,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<Compaction>, StoreError> {
        let (inputs, head) = {
            let manifest = lock(&self.manifest);
            let inputs: Vec<Segment> =
                plan(manifest.segments(), now, settled, &tending.left_out).into_iter().cloned().collect();
            (inputs, manifest.contents().head().number)
        };
        if inputs.is_empty() {
            return Ok(None);
        }
        tending.attempt += 1;
        let refs: Vec<&Segment> = inputs.iter().collect();
        let file = output_file(&refs, head, tending.attempt);
        let merged = merge(&*self.disk, &self.key, &refs, &file, &keep_all, go_on).inspect_err(|error| {
            if let Some(segment) = error.damaged_input() {
                tending.left_out.insert(segment.to_owned());
            }
        })?;
        let Some(output) = merged.output else { return Ok(None) };
        let done = Compaction {
            inputs: inputs.len(),
            rows: output.rows,
            bytes_before: inputs.iter().map(Segment::bytes_on_disk).sum(),
            bytes_after: output.bytes_on_disk(),
        };
        let names = inputs.iter().map(|it| it.file.clone()).collect();
        // After an error it may be found in the manifest after a restart all the same: the file stays.
        lock(&self.manifest).append(now, Change::Compacted { inputs: names, outputs: vec![output] })?;
        tending.replaced.extend(inputs.iter().flat_map(Segment::files).map(|it| (now, it)));
        Ok(Some(done))
    }

    /// Gives segments up: no search finds their events any more. Their data keys are destroyed with the files, by
    /// [`remove_replaced`](Self::remove_replaced). Files that are no segments are left out. Gives how many there were, and
    /// how many events.
    pub fn delete(&self, files: &[String], cause: Cause, now: Timestamp) -> Result<(usize, u64), StoreError> {
        let mut tending = lock(&self.tending);
        let mut manifest = lock(&self.manifest);
        let gone: Vec<Segment> = files.iter().filter_map(|it| manifest.contents().segment(it)).cloned().collect();
        if gone.is_empty() {
            return Ok((0, 0));
        }
        manifest.append(now, Change::Deleted { files: gone.iter().map(|it| it.file.clone()).collect(), cause })?;
        tending.replaced.extend(gone.iter().flat_map(Segment::files).map(|it| (now, it)));
        Ok((gone.len(), gone.iter().map(|it| it.rows).sum()))
    }

    /// Deletes what the policies say is to go and no hold covers. `actor` is noted with it.
    pub fn apply_retention(&self, actor: &str, now: Timestamp) -> Result<Vec<Deletion>, StoreError> {
        let holds = holds::list(&*self.disk, &self.key, false)?;
        let segments: Vec<Segment> = lock(&self.manifest).segments().cloned().collect();
        let mut due: BTreeMap<(String, String), Vec<&Segment>> = BTreeMap::new();
        for (segment, verdict) in segments.iter().zip(self.retention.verdicts(&segments, &holds, now)) {
            if let Verdict::Due(cause) = verdict {
                due.entry((cause.policy, cause.reason)).or_default().push(segment);
            }
        }
        let mut deletions = Vec::new();
        for ((policy, reason), segments) in due {
            for some in segments.chunks(DELETED_AT_ONCE_MAX) {
                let files: Vec<String> = some.iter().map(|it| it.file.clone()).collect();
                let cause = Cause { reason: reason.clone(), actor: actor.to_owned(), policy: policy.clone() };
                let (segments, events) = self.delete(&files, cause.clone(), now)?;
                let bytes = some.iter().map(|it| it.bytes_on_disk()).sum();
                deletions.push(Deletion { cause, segments, events, bytes });
            }
        }
        Ok(deletions)
    }

    /// How many events of `person` segments have, and how many of them are held.
    pub fn find_person(&self, person: &Person) -> Result<Erased, StoreError> {
        self.each_of(person, &mut |_, _| Ok(RowsDigest::EMPTY))
    }

    /// Writes the segments that have events of `person` anew without them. Each is an entry of the manifest, with the
    /// number and the digest of what went. What is held stays. Events that are not in segments yet are not looked at.
    pub fn erase(&self, person: &Person, cause: &Cause, now: Timestamp) -> Result<Erased, StoreError> {
        let mut tending = lock(&self.tending);
        self.each_of(person, &mut |segment, rows| {
            let head = lock(&self.manifest).contents().head().number;
            tending.attempt += 1;
            let file = output_file(&[segment], head, tending.attempt);
            let keep = |batch: &RecordBatch| person.others(batch);
            let merged = merge(&*self.disk, &self.key, &[segment], &file, &keep, &|| true)?;
            debug_assert_eq!(merged.dropped_rows, rows, "counting and erasing ask the same");
            let erasure = Erasure {
                inputs: vec![segment.file.clone()],
                outputs: merged.output.into_iter().collect(),
                rows: merged.dropped_rows,
                rows_digest: merged.dropped_digest,
                cause: cause.clone(),
            };
            lock(&self.manifest).append(now, Change::Erased(erasure))?;
            tending.replaced.extend(segment.files().map(|it| (now, it)));
            Ok(merged.dropped_digest)
        })
    }

    /// Does something with each segment that has events of `person` and is not held, and adds up what it gives.
    fn each_of(
        &self,
        person: &Person,
        act: &mut dyn FnMut(&Segment, u64) -> Result<RowsDigest, StoreError>,
    ) -> Result<Erased, StoreError> {
        let holds = holds::list(&*self.disk, &self.key, false)?;
        let segments: Vec<Segment> = lock(&self.manifest).segments().cloned().collect();
        let mut erased = Erased::default();
        for segment in &segments {
            let rows = count(&*self.disk, &self.key, &segment.file, person)
                .map_err(|error| CompactError::input(segment, error))?;
            if rows == 0 {
                continue;
            }
            if holds.iter().any(|it| it.covers(segment)) {
                erased.held += rows;
                continue;
            }
            erased.rows_digest = erased.rows_digest.plus(act(segment, rows)?);
            erased.segments += 1;
            erased.events += rows;
        }
        Ok(erased)
    }

    /// Destroys and removes the files of segments that were replaced or deleted a minute before `now`. Gives how
    /// many.
    pub fn remove_replaced(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut tending = lock(&self.tending);
        let mut removed = 0;
        while let Some((since, file)) = tending.replaced.front() {
            // A clock that was set back makes them wait, at most until the next start.
            if now.nanos_since(*since) < REMOVE_AFTER_NANOS {
                break;
            }
            destroy_sealed(&*self.disk, file).map_err(disk_error("remove files of", FOLDER))?;
            tending.replaced.pop_front();
            removed += 1;
        }
        if removed > 0 {
            sync_folder(&*self.disk)?;
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_settle_after_an_hour_and_what_was_there_at_the_start_is_settled() {
        let mut tending = Tending::default();
        let mut settled = |seconds: i64, sealed: u64| {
            tending.settled(Timestamp(seconds * Timestamp::NANOS_PER_SECOND), FrameId(sealed)).0
        };
        assert_eq!([settled(0, 5), settled(10, 6), settled(20, 9), settled(3_609, 9)], [5, 5, 5, 5]);
        assert_eq!([settled(3_610, 9), settled(3_620, 9), settled(9_000, 9)], [6, 9, 9]);
        for second in 0..2_000 {
            settled(10_000 + second, 10 + second as u64);
        }
        assert!(tending.sealed.len() <= SEALED_TIMES_MAX);
    }
}
