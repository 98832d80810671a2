//! One plain file that is read as it grows.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use memchr::{memchr, memrchr};
use panoptes_model::{BATCH_RECORDS_MAX, Origin, RawBatch, Timestamp};

use super::identity::{FileIdentity, Fingerprint, Key};
use crate::archive::{fill_at, read_at_most, start_of};
use crate::audit::{self, Ending};
use crate::container::{self, Hold, Names};
use crate::cut::elements;
use crate::headed::{Headed, Line};
use crate::limits::{
    AUDIT_HOLD, CARRIED_RECORDS_MAX, CONTAINER_HOLD, CONTAINER_TURN_BYTES, CSV_HEADER_BYTES_MAX, FILE_STEP_BYTES,
    FILE_TURN_BYTES, HEADER_LOOKBACK_BYTES, LINE_BYTES_MAX, READ_BYTES_MAX,
};

pub(super) struct Tailed {
    /// What it was called when it was first seen: what its events say.
    pub(super) path: PathBuf,
    /// What it is called now.
    pub(super) current_path: PathBuf,
    pub(super) key: Key,
    pub(super) file: File,
    /// Where the next line begins.
    pub(super) offset: u64,
    /// There is no line feed between `offset` and here.
    pub(super) searched: u64,
    /// The lines from `offset` on were read but not handed on: what follows may belong to them.
    pub(super) held: Option<Held>,
    pub(super) fingerprint: Fingerprint,
    /// The header that its lines are rows of, if it has one.
    pub(super) headed: Headed,
    pub(super) grown_at: Timestamp,
    /// Since when no pattern leads to it, or leads to it by another name.
    pub(super) moved_at: Option<Timestamp>,
    /// Whether a pattern still leads to it.
    pub(super) listed: bool,
    /// Of the container whose log it is, if it is one.
    pub(super) container: Option<Names>,
}

/// Lines that wait for others ([`audit`]).
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// Up to where the file was read.
    to: u64,
    since: Timestamp,
    /// How long they may wait.
    hold: Duration,
}

impl Held {
    fn is_due(&self, now: Timestamp) -> bool {
        // A clock that was set back must not make them wait.
        !(0..self.hold.as_nanos() as i64).contains(&now.nanos_since(self.since))
    }
}

/// What a look at a file found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// All that is whole has been read.
    Idle,
    /// There is more than this turn's share.
    More,
    /// It was emptied and begins anew.
    Restarted,
}

/// Where the lines of one step go.
pub(super) struct Out<'o> {
    pub(super) batch: &'o mut RawBatch,
    pub(super) now: Timestamp,
    pub(super) cut_records: u64,
    pub(super) cut_bytes: u64,
}

impl Out<'_> {
    pub(super) fn is_full(&self) -> bool {
        self.batch.bytes.len() >= FILE_STEP_BYTES
            || !self.batch.has_room_for(LINE_BYTES_MAX)
            || self.batch.records.len() + CARRIED_RECORDS_MAX > BATCH_RECORDS_MAX
    }

    /// Adds a line of `length` bytes, of which `text` may be the beginning only.
    fn push(&mut self, headed: &mut Headed, origin: u32, text: &[u8], length: u64, position: u64) {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.trim_ascii().is_empty() {
            return;
        }
        let kept = text.get(..LINE_BYTES_MAX).unwrap_or(text);
        if kept.len() >= LINE_BYTES_MAX {
            self.cut_records += 1;
            self.cut_bytes += length.saturating_sub(kept.len() as u64);
        }
        if let Some(carried) = elements(kept, CARRIED_RECORDS_MAX) {
            for it in carried {
                self.batch.push(origin, self.now, position, kept.get(it).unwrap_or_default());
            }
            return;
        }
        match headed.line(kept) {
            Line::Header => {}
            Line::Row(row) => self.batch.push(origin, self.now, position, row),
            Line::AsIs => self.batch.push(origin, self.now, position, kept),
        }
    }
}

/// The header in force at `offset` of a file: that of its beginning, or a later one not far before `offset`.
pub(super) fn headed_at(file: &File, format: Option<&str>, offset: u64) -> io::Result<Headed> {
    let mut headed = Headed::new(format);
    if offset == 0 {
        return Ok(headed);
    }
    headed.prime(&read_at_most(file, 0, 2 * CSV_HEADER_BYTES_MAX)?);
    if headed.is_in_force() {
        let length = offset.min(HEADER_LOOKBACK_BYTES as u64);
        headed.prime_on(&read_at_most(file, offset - length, length as usize)?);
    }
    Ok(headed)
}

impl Tailed {
    pub(super) fn identity(&self) -> FileIdentity {
        FileIdentity { device: self.key.0, inode: self.key.1, fingerprint: self.fingerprint }
    }

    /// Reads whole lines, up to one turn's share.
    pub(super) fn read_on(&mut self, out: &mut Out<'_>, origin: &Origin, scratch: &mut Vec<u8>) -> io::Result<Look> {
        let size = self.file.metadata()?.len();
        let is_due = self.held.is_some_and(|it| it.is_due(out.now));
        if size == self.held.map_or(self.searched, |it| it.to) && size >= self.offset && !is_due {
            return Ok(Look::Idle);
        }
        if size < self.offset || !self.fingerprint_holds()? {
            self.offset = 0;
            self.searched = 0;
            self.held = None;
            self.fingerprint = Fingerprint::of(&start_of(&self.file)?);
            self.headed = Headed::new(origin.format.as_deref());
            return Ok(Look::Restarted);
        }
        self.grown_at = out.now;
        let origin = Origin { identity: Some(self.identity().to_string()), ..origin.clone() };
        let origin = out.batch.origin(&origin);
        let (begin, first) = (self.offset, out.batch.records.len());
        let look = self.read_turn(out, origin, scratch);
        if self.container.is_some() {
            let hold = match look {
                _ if is_due => Hold::No,
                // Were all of the turn held back, the next would be the same.
                Ok(Look::More) => Hold::ForProgress,
                _ => Hold::Yes,
            };
            self.unwrap(out, begin, first, hold);
        } else {
            self.hold_back(out, begin, first, if is_due { Ending::Closed } else { Ending::Open });
        }
        look
    }

    fn read_turn(&mut self, out: &mut Out<'_>, origin: u32, scratch: &mut Vec<u8>) -> io::Result<Look> {
        let mut taken = 0;
        let turn_bytes = if self.container.is_some() { CONTAINER_TURN_BYTES } else { FILE_TURN_BYTES };
        while taken < turn_bytes && !out.is_full() {
            let open = self.searched - self.offset;
            let read = if open >= LINE_BYTES_MAX as u64 {
                self.search_long(out, origin, scratch)?
            } else {
                self.read_lines(out, origin, scratch, open as usize)?
            };
            if read == 0 {
                return Ok(Look::Idle);
            }
            taken += read;
        }
        Ok(Look::More)
    }

    /// Joins the lines that were read from `begin` on, which are the records from the `first`th on, and takes back those
    /// that may go on in what is not written yet. They are read again, at the latest when they have waited long enough.
    fn hold_back(&mut self, out: &mut Out<'_>, begin: u64, first: usize, ending: Ending) {
        if out.batch.records.len() == first {
            return;
        }
        let from = audit::held_from(out.batch, first, ending);
        let waited = self.held.take();
        let Some(from) = from else { return };
        if from < out.batch.records.len() {
            let start = match from.checked_sub(1).filter(|it| *it >= first).and_then(|it| out.batch.records.get(it)) {
                Some(before) => before.position,
                None => begin,
            };
            drop(audit::split(out.batch, from));
            self.go_back(start, waited.filter(|_| start == begin).map_or(out.now, |it| it.since), AUDIT_HOLD);
        }
        audit::join(out.batch, first);
    }

    /// The same for the lines of a container, which are joined per stream and get its names.
    fn unwrap(&mut self, out: &mut Out<'_>, begin: u64, first: usize, hold: Hold) {
        let waited = self.held.take();
        let Some(names) = &self.container else { return };
        let positions: Vec<u64> = out.batch.records.iter().skip(first).map(|it| it.position).collect();
        let done = container::unwrap(out.batch, first, names, hold);
        if done < positions.len() {
            let start = done.checked_sub(1).and_then(|it| positions.get(it)).copied().unwrap_or(begin);
            self.go_back(start, waited.filter(|_| start == begin).map_or(out.now, |it| it.since), CONTAINER_HOLD);
        }
    }

    /// Has what was read from `start` on read again.
    fn go_back(&mut self, start: u64, since: Timestamp, hold: Duration) {
        self.held = Some(Held { to: self.searched, since, hold });
        self.offset = start;
        self.searched = start;
    }

    /// A file that was emptied and written anew may already be longer than it was.
    fn fingerprint_holds(&mut self) -> io::Result<bool> {
        let start = start_of(&self.file)?;
        let holds = self.fingerprint.is_empty() || self.fingerprint.matches(&start);
        if holds && !self.fingerprint.is_whole() {
            self.fingerprint = Fingerprint::of(&start);
        }
        Ok(holds)
    }

    /// Reads the open line's `open` known bytes and what follows. Returns how much was new.
    fn read_lines(&mut self, out: &mut Out<'_>, origin: u32, scratch: &mut Vec<u8>, open: usize) -> io::Result<usize> {
        scratch.resize(open + READ_BYTES_MAX, 0);
        let length = fill_at(&self.file, self.offset, scratch)?;
        let Some(text) = scratch.get(..length) else { return Ok(0) };
        if length <= open {
            return Ok(0);
        }
        let base = self.offset;
        let mut start = 0;
        let mut from = open;
        loop {
            if start == from {
                start += stuffing(text.get(start..).unwrap_or_default(), base + start as u64);
                from = start;
            }
            let Some(found) = memchr(b'\n', text.get(from..).unwrap_or_default()) else { break };
            let end = from + found;
            let line = text.get(start..end).unwrap_or_default();
            out.push(&mut self.headed, origin, line, line.len() as u64, base + end as u64 + 1);
            start = end + 1;
            from = start;
            if out.is_full() {
                self.offset = base + start as u64;
                self.searched = self.offset;
                return Ok(start);
            }
        }
        self.offset = base + start as u64;
        self.searched = base + length as u64;
        Ok(length - open)
    }

    /// Looks for the end of a line that is too long to be kept. Returns how much was looked through.
    fn search_long(&mut self, out: &mut Out<'_>, origin: u32, scratch: &mut Vec<u8>) -> io::Result<usize> {
        scratch.resize(READ_BYTES_MAX, 0);
        let length = fill_at(&self.file, self.searched, scratch)?;
        match memchr(b'\n', scratch.get(..length).unwrap_or_default()) {
            None => self.searched += length as u64,
            Some(found) => {
                let end = self.searched + found as u64;
                self.push_kept(out, origin, end, end + 1)?;
            }
        }
        Ok(length)
    }

    /// Adds what is kept of the line up to `end` and goes on at `next`.
    fn push_kept(&mut self, out: &mut Out<'_>, origin: u32, end: u64, next: u64) -> io::Result<()> {
        let length = end - self.offset;
        let kept = read_at_most(&self.file, self.offset, length.min(LINE_BYTES_MAX as u64) as usize)?;
        out.push(&mut self.headed, origin, &kept, length, next);
        self.offset = next;
        self.searched = next;
        Ok(())
    }

    /// Takes the last line, which has no line feed, because none will come.
    pub(super) fn take_open(&mut self, out: &mut Out<'_>, origin: &Origin) -> io::Result<()> {
        if self.searched > self.offset && self.held.is_none() {
            let origin = Origin { identity: Some(self.identity().to_string()), ..origin.clone() };
            let origin = out.batch.origin(&origin);
            let first = out.batch.records.len();
            self.push_kept(out, origin, self.searched, self.searched)?;
            if let Some(names) = &self.container {
                container::unwrap(out.batch, first, names, Hold::No);
            }
        }
        Ok(())
    }
}

/// What at the beginning of a line is none of it: a byte order mark at the beginning of the file, and the NULs that
/// stand where a file was emptied under a writer that went on at its old position.
fn stuffing(text: &[u8], offset: u64) -> usize {
    if offset == 0 && text.starts_with(b"\xef\xbb\xbf") {
        return 3;
    }
    text.iter().position(|it| *it != 0).unwrap_or(text.len())
}

/// Where the last line of a file of `size` bytes begins: whole lines before it are not read when the tail starts at
/// the end, and half a line is no line.
pub(super) fn last_line_start(file: &File, size: u64) -> io::Result<u64> {
    let length = size.min(LINE_BYTES_MAX as u64);
    let base = size - length;
    let end = read_at_most(file, base, length as usize)?;
    Ok(memrchr(b'\n', &end).map_or(if base == 0 { 0 } else { size }, |it| base + it as u64 + 1))
}
