//! Frames as they came in, made again from what the evidence keeps of them.
//!
//! A segment has of each record its text, its source, its input and when it was received; of the source's settings
//! (format, time zone) the configuration knows today's. That is what a frame of the log is made of, so rules meet the
//! same code as when the record came in, with today's formats: a format that was taught more since is what counts for
//! the days to come.

use std::io::IsTerminal as _;
use std::ops::RangeInclusive;

use indicatif::{ProgressBar, ProgressStyle};
use panoptes_config::Config;
use panoptes_model::{BATCH_RECORDS_MAX, EventId, FrameId, LogFrame, Origin, RawBatch, Timestamp};
use panoptes_store::StoreReader;
use panoptes_store::manifest::Segment;
use panoptes_store::search::{RecordReader, StoredRecord};

/// Frames that are worked on at once, per core.
const FRAMES_PER_WORKER: usize = 4;
/// How many damaged places are told one by one.
const PROBLEMS_TOLD_MAX: u64 = 20;
/// How many records are held at once, unless a single frame has more.
const RECORDS_HELD_MAX: u64 = 200_000;

/// What the configuration says of sources.
pub(super) struct Sources {
    files: Vec<(Vec<glob::Pattern>, Settings)>,
    by_input: Vec<(&'static str, Settings)>,
}

#[derive(Clone, Default)]
struct Settings {
    source: Option<String>,
    format: Option<String>,
    time_zone: Option<String>,
}

impl Sources {
    pub(super) fn of(config: &Config) -> Self {
        let files = config.files.iter().map(|watch| {
            let patterns = watch.paths.iter().filter_map(|it| glob::Pattern::new(it).ok()).collect();
            let (source, format, time_zone) = (watch.source.clone(), watch.format.clone(), watch.time_zone.clone());
            (patterns, Settings { source, format, time_zone })
        });
        let settings = |format: &Option<String>, time_zone: &Option<String>| Settings {
            source: None,
            format: format.clone(),
            time_zone: time_zone.clone(),
        };
        let mut by_input = Vec::new();
        if let Some(http) = &config.http {
            by_input.push(("http", settings(&http.format, &http.time_zone)));
        }
        if let Some(tcp) = &config.tcp {
            by_input.push(("tcp", settings(&tcp.format, &tcp.time_zone)));
        }
        for input in ["syslog_udp", "syslog_tcp"] {
            if let Some(syslog) = &config.syslog {
                by_input.push((input, settings(&syslog.format, &syslog.time_zone)));
            }
        }
        Self { files: files.collect(), by_input }
    }

    /// Where a record of `source` came from, as far as it matters to formats.
    fn origin(&self, source: &str, input: &str) -> Origin {
        let of_file = self.files.iter().find(|(patterns, settings)| match &settings.source {
            Some(name) => name == source,
            None => patterns.iter().any(|it| it.matches(source)),
        });
        let settings = match input {
            "file" => of_file.map(|it| it.1.clone()),
            _ => self.by_input.iter().find(|it| it.0 == input).map(|it| it.1.clone()),
        };
        let Settings { format, time_zone, .. } = settings.unwrap_or_default();
        Origin { input: input.to_owned(), source: source.to_owned(), format, time_zone, ..Origin::default() }
    }
}

/// A frame, and which of its records are there: the others have gone, and stand as empty ones in their places.
pub(super) struct Rebuilt {
    pub(super) frame: LogFrame,
    /// What each record was taken for when it was stored; `None` if the record is not there.
    pub(super) datasets: Vec<Option<String>>,
}

impl Rebuilt {
    /// A frame of which everything is there.
    pub(super) fn whole(frame: LogFrame) -> Self {
        let datasets = vec![Some(String::new()); frame.records.records.len()];
        Self { frame, datasets }
    }

    pub(super) fn has(&self, index: u32) -> bool {
        self.datasets.get(index as usize).is_some_and(Option::is_some)
    }

    /// From the records of one frame, in their order.
    fn of(records: &[StoredRecord], sources: &Sources) -> Option<Self> {
        let id = records.first()?.id.frame;
        let now = records.iter().map(|it| it.received_at).max()?;
        let mut batch = RawBatch::new();
        let gone = batch.origin(&Origin::default());
        let mut datasets: Vec<Option<String>> = Vec::with_capacity(records.len());
        let mut last: Option<(&str, &str, u32)> = None;
        for record in records {
            let index = record.id.index as usize;
            // A frame never had more; whatever says so is not one.
            if index >= BATCH_RECORDS_MAX || index < datasets.len() {
                continue;
            }
            while datasets.len() < index {
                batch.push(gone, record.received_at, 0, b"");
                datasets.push(None);
            }
            let origin = match last {
                Some((source, input, origin)) if (source, input) == (&*record.source, &*record.input) => origin,
                _ => batch.origin(&sources.origin(&record.source, &record.input)),
            };
            last = Some((&record.source, &record.input, origin));
            batch.push(origin, record.received_at, index as u64 + 1, record.original.as_bytes());
            datasets.push(Some(record.dataset.clone()));
        }
        let frame = LogFrame { id, now, rules_epoch: 0, snapshots_epoch: 0, records: batch };
        Some(Self { frame, datasets })
    }
}

/// A walk through the evidence in the order of the log, from the segments on.
pub(super) struct Walk<'r> {
    reader: &'r StoreReader,
    records: &'r RecordReader,
    sources: Sources,
    steps: Vec<Step<'r>>,
}

/// Frames that are read at once, and where they lie.
struct Step<'r> {
    frames: RangeInclusive<FrameId>,
    segments: Vec<&'r Segment>,
    /// How many records the segments say that they hold; all steps over them together count them once.
    rows: u64,
}

impl<'r> Walk<'r> {
    /// Over events from `since` on, before `until`.
    pub(super) fn new(
        reader: &'r StoreReader,
        records: &'r RecordReader,
        sources: Sources,
        since: Timestamp,
        until: Timestamp,
    ) -> Self {
        let mut segments: Vec<&Segment> =
            reader.segments.iter().filter(|it| it.time_max >= since && it.time_min < until).collect();
        segments.sort_by_key(|it| (it.frame_first, it.frame_last));
        Self { reader, records, sources, steps: steps(&segments) }
    }

    /// Gives every frame to `work`, on `workers` cores at once, and what became of it to `take`, in the order of the log.
    /// What cannot be read is told, and missing. A terminal sees how far it is.
    pub(super) fn each<T: Send>(&self, workers: usize, work: impl Fn(Rebuilt) -> T + Sync, mut take: impl FnMut(T)) {
        let bar = progress_bar(self.steps.iter().map(|it| it.rows).sum());
        let mut problems = 0;
        let mut tell = |problem: String| {
            problems += 1;
            match problems {
                ..=PROBLEMS_TOLD_MAX => bar.suspend(|| tracing::warn!("{problem}; its events are missing")),
                _ if problems == PROBLEMS_TOLD_MAX + 1 => bar.suspend(|| tracing::warn!("there are more such places")),
                _ => {}
            }
        };
        let mut do_all = |frames: Vec<Rebuilt>| {
            let mut frames = frames.into_iter().peekable();
            while frames.peek().is_some() {
                let some: Vec<Rebuilt> = frames.by_ref().take(workers.max(1) * FRAMES_PER_WORKER).collect();
                in_parallel(some, workers, &work).into_iter().for_each(&mut take);
            }
        };
        for step in &self.steps {
            do_all(self.read(step, &mut tell));
            bar.inc(step.rows);
        }
        let mut waiting = Vec::new();
        for frame in self.reader.log.frames_after(self.reader.sealed_through) {
            match frame {
                Ok(frame) => waiting.push(Rebuilt::whole(frame)),
                Err(error) => tell(panoptes_stdx::ErrorChain(&error).to_string()),
            }
            if waiting.len() >= workers * FRAMES_PER_WORKER {
                do_all(std::mem::take(&mut waiting));
            }
        }
        do_all(waiting);
        bar.finish_and_clear();
    }

    /// The frames of one step, in order.
    fn read(&self, step: &Step<'_>, tell: &mut impl FnMut(String)) -> Vec<Rebuilt> {
        let mut records = Vec::new();
        for segment in &step.segments {
            match self.records.records(segment, &step.frames) {
                Ok(found) => records.extend(found),
                Err(error) => tell(panoptes_stdx::ErrorChain(&error).to_string()),
            }
        }
        records.sort_by_key(|it| it.id);
        records
            .chunk_by(|a, b| a.id.frame == b.id.frame)
            .filter_map(|frame| Rebuilt::of(frame, &self.sources))
            .collect()
    }
}

/// `work` for each of `frames`, on `workers` cores; the answers in the order of the frames.
fn in_parallel<T: Send>(frames: Vec<Rebuilt>, workers: usize, work: &(impl Fn(Rebuilt) -> T + Sync)) -> Vec<T> {
    let share = frames.len().div_ceil(workers.max(1)).max(1);
    let mut frames = frames.into_iter();
    let shares: Vec<Vec<Rebuilt>> = std::iter::from_fn(|| {
        let some: Vec<Rebuilt> = frames.by_ref().take(share).collect();
        (!some.is_empty()).then_some(some)
    })
    .collect();
    std::thread::scope(|scope| {
        let working: Vec<_> =
            shares.into_iter().map(|share| scope.spawn(|| share.into_iter().map(work).collect::<Vec<T>>())).collect();
        let panicked = |panic| std::panic::resume_unwind(panic);
        working.into_iter().flat_map(|it| it.join().unwrap_or_else(panicked)).collect()
    })
}

fn progress_bar(events: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(events);
    let style = "{spinner} {human_pos}/{human_len} events  {per_sec}  {eta} left  {wide_bar}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}

/// Cuts `segments`, in the order of their frames, into steps of few enough records. Segments that were sealed together
/// share their frames, so a frame is never in two steps.
fn steps<'r>(segments: &[&'r Segment]) -> Vec<Step<'r>> {
    let mut steps = Vec::new();
    let mut rest = segments;
    while let Some(first) = rest.first() {
        let mut end = first.frame_last;
        let together = rest
            .iter()
            .take_while(|it| {
                let overlaps = it.frame_first <= end;
                end = if overlaps { end.max(it.frame_last) } else { end };
                overlaps
            })
            .count();
        let (group, others) = rest.split_at(together.max(1));
        rest = others;
        let rows: u64 = group.iter().map(|it| it.rows).sum();
        let (start, end) = (first.frame_first.0, group.iter().map(|it| it.frame_last.0).max().unwrap_or(0));
        let frames = end.saturating_sub(start).saturating_add(1);
        let parts = rows.div_ceil(RECORDS_HELD_MAX).clamp(1, frames);
        let size = frames.div_ceil(parts);
        let mut from = start;
        while from <= end {
            let to = from.saturating_add(size - 1).min(end);
            let inside = |it: &&&Segment| it.frame_first.0 <= to && it.frame_last.0 >= from;
            let segments: Vec<&Segment> = group.iter().filter(inside).copied().collect();
            steps.push(Step { frames: FrameId(from)..=FrameId(to), segments, rows: rows / parts });
            from = to.saturating_add(1);
            if to == u64::MAX {
                break;
            }
        }
    }
    steps
}

/// The frame that holds the event `id`, with nothing else in it but what stands for its neighbours; `None` if the
/// evidence does not have it.
pub(super) fn event(
    reader: &StoreReader,
    records: &RecordReader,
    sources: &Sources,
    id: EventId,
) -> anyhow::Result<Option<Rebuilt>> {
    if id.frame > reader.sealed_through {
        for frame in reader.log.frames_after(reader.sealed_through) {
            let frame = frame?;
            if frame.id == id.frame {
                let rebuilt = Rebuilt::whole(frame);
                return Ok(rebuilt.has(id.index).then_some(rebuilt));
            }
        }
        return Ok(None);
    }
    let frames = id.frame..=id.frame;
    for segment in reader.segments.iter().filter(|it| it.frame_first <= id.frame && it.frame_last >= id.frame) {
        let found: Vec<StoredRecord> =
            records.records(segment, &frames)?.into_iter().filter(|it| it.id == id).collect();
        if let Some(rebuilt) = Rebuilt::of(&found, sources) {
            return Ok(Some(rebuilt));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(first: u64, last: u64, rows: u64) -> Segment {
        Segment {
            file: format!("{first}-{last}"),
            rows,
            frame_first: FrameId(first),
            frame_last: FrameId(last),
            ..Segment::default()
        }
    }

    fn cut(segments: &[Segment]) -> Vec<(u64, u64, usize)> {
        let segments: Vec<&Segment> = segments.iter().collect();
        steps(&segments).iter().map(|it| (it.frames.start().0, it.frames.end().0, it.segments.len())).collect()
    }

    #[test]
    fn frames_that_share_segments_are_read_together_and_never_twice() {
        assert_eq!(cut(&[segment(1, 4, 10), segment(1, 4, 10), segment(5, 9, 1)]), [(1, 4, 2), (5, 9, 1)]);
        assert_eq!(cut(&[segment(1, 6, 1), segment(3, 4, 1), segment(6, 9, 1)]), [(1, 9, 3)]);
        let large = [segment(1, 10, RECORDS_HELD_MAX), segment(4, 10, RECORDS_HELD_MAX)];
        assert_eq!(cut(&large), [(1, 5, 2), (6, 10, 2)]);
        assert_eq!(cut(&[segment(7, 7, 5 * RECORDS_HELD_MAX)]), [(7, 7, 1)]);
        assert!(cut(&[]).is_empty());
    }

    #[test]
    fn a_frame_keeps_the_places_of_its_records() {
        let record = |index: u32, text: &str| StoredRecord {
            id: EventId { frame: FrameId(3), index },
            time: Timestamp(1),
            received_at: Timestamp(i64::from(index)),
            source: "s".to_owned(),
            input: "tcp".to_owned(),
            dataset: "plain".to_owned(),
            original: text.to_owned(),
        };
        let sources = Sources {
            files: Vec::new(),
            by_input: vec![("tcp", Settings { format: Some("json".into()), ..Settings::default() })],
        };
        let rebuilt =
            Rebuilt::of(&[record(1, "a"), record(3, "b"), record(3, "again"), record(u32::MAX, "x")], &sources)
                .unwrap();
        let texts: Vec<&[u8]> =
            rebuilt.frame.records.records.iter().map(|it| rebuilt.frame.records.bytes_of(it)).collect();
        assert_eq!(texts, [&b""[..], b"a", b"", b"b"]);
        assert_eq!([0, 1, 2, 3, 4].map(|it| rebuilt.has(it)), [false, true, false, true, false]);
        assert_eq!(rebuilt.frame.now, Timestamp(i64::from(u32::MAX)));
        let origin = rebuilt.frame.records.origin_of(&rebuilt.frame.records.records[1]).unwrap();
        assert_eq!((origin.source.as_str(), origin.format.as_deref()), ("s", Some("json")));
    }
}
