//! Joins the lines of one Linux audit event into one record.
//!
//! The kernel tells what one system call did in several lines that share a stamp, `audit(1364481363.243:24287)`. Apart
//! from each other they say little: the program is in one line, its arguments in another. What reads a record later
//! sees it alone, so the lines are joined here, with line feeds between them, in the place of the first.
//!
//! Lines of several events may stand among each other and among other lines. An event whose last line has not been
//! seen (`EOE` or `PROCTITLE`; what programs write has one line only) may go on in what was not read yet: it is *held
//! back*, and with it all that stands behind its first line. So batches are only parted where no event is open.
//!
//! # Positions
//! A joined record's position is behind its last line. Where events stand among each other, that of a later record may
//! not be before it: it is raised to the greatest so far. The last position of a batch is therefore always that of a
//! place where everything before belongs to this batch or an earlier one, and everything behind to a later one. As a
//! batch becomes durable as a whole, a restart from any position that was committed loses and doubles nothing. Lines
//! that are held back are in no batch; a file is read again from the first of them. (If the file is emptied meanwhile,
//! they are as lost as what was written since the last look at it; a copy is found as ever.)
//!
//! # Limits
//! All that is held is bounded (`limits.rs`, `AUDIT_*`); beyond, lines go out as records of their own, each with what
//! it says. A stream without audit lines pays for one search through its bytes.

use memchr::memmem;
use panoptes_model::{RawBatch, RawRecord, Timestamp};

use crate::limits::{
    AUDIT_EVENT_LINES_MAX, AUDIT_EVENTS_OPEN_MAX, AUDIT_GAP_LINES_MAX, AUDIT_HELD_BYTES_MAX, AUDIT_HELD_LINES_MAX,
    AUDIT_HOLD, LINE_BYTES_MAX,
};

/// Whether more lines may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// They will: however long it takes to read them, they are there.
    Open,
    /// They may: who writes them is not waited for longer than [`AUDIT_HOLD`].
    Live(Timestamp),
    /// None.
    Closed,
}

/// How far into a line its stamp is looked for: there may be a syslog header and a node before it.
const HEAD_BYTES_MAX: usize = 512;
const MARK: &[u8] = b"audit(";

/// The index of the first record, of those from the `first`th on, that is held back: an event that it belongs to may
/// go on. `None` if no record is a line of the audit log.
pub(crate) fn held_from(batch: &RawBatch, first: usize, ending: Ending) -> Option<usize> {
    if !may_have(batch, first) {
        return None;
    }
    let Events { events, .. } = Events::of(batch, first)?;
    let count = batch.records.len();
    if ending == Ending::Closed {
        return Some(count);
    }
    let waits = |event: &Event| {
        let first = batch.records.get(event.first).map_or(Timestamp(0), |it| it.received_at);
        let is_young = match ending {
            Ending::Live(now) => (0..AUDIT_HOLD.as_nanos() as i64).contains(&now.nanos_since(first)),
            Ending::Open | Ending::Closed => true,
        };
        event.may_go_on && is_young && count - event.last <= AUDIT_GAP_LINES_MAX
    };
    let mut from = events.iter().find(|it| waits(it)).map_or(count, |it| it.first);
    // What begins before that and goes on behind it must stay whole as well.
    for event in events.iter().rev() {
        if event.first < from && event.last >= from {
            from = event.first;
        }
    }
    let held = batch.records.get(from..).unwrap_or_default();
    let bytes: usize = held.iter().map(|it| it.length as usize).sum();
    Some(if held.len() > AUDIT_HELD_LINES_MAX || bytes > AUDIT_HELD_BYTES_MAX { count } else { from })
}

/// Takes the records from the `from`th on out of `batch`, with their bytes, which are the last of the batch's.
pub(crate) fn split(batch: &mut RawBatch, from: usize) -> RawBatch {
    let records = batch.records.split_off(from.min(batch.records.len()));
    let start = records.first().map_or(batch.bytes.len(), |it| (it.offset as usize).min(batch.bytes.len()));
    let mut rest = RawBatch { bytes: batch.bytes.split_off(start), ..RawBatch::new() };
    for record in records {
        // Only origins that are still needed: their number is limited.
        let origin = batch.origin_of(&record).map_or(0, |it| rest.origin(it));
        rest.records.push(RawRecord { offset: record.offset.saturating_sub(start as u32), origin, ..record });
    }
    rest
}

/// Joins the lines of each event among the records from the `from`th on.
pub(crate) fn join(batch: &mut RawBatch, from: usize) {
    if !may_have(batch, from) {
        return;
    }
    let Some(Events { events, of_line }) = Events::of(batch, from) else { return };
    if events.iter().all(|it| it.lines < 2) {
        return;
    }
    let in_place = events.iter().all(|it| it.lines < 2 || is_in_place(batch, it));
    let lines = batch.records.split_off(from);
    if in_place {
        // Per event: the record that it became.
        let mut placed = vec![None; events.len()];
        for (line, event) in lines.into_iter().zip(of_line) {
            let place = event.and_then(|it| placed.get_mut(it));
            match place.as_ref().and_then(|it| batch.records.get_mut((**it)?)) {
                Some(record) => extend(record, &line),
                None => {
                    if let Some(place) = place {
                        *place = Some(batch.records.len());
                    }
                    batch.records.push(line);
                }
            }
        }
    } else {
        rebuild(batch, lines, events.len(), &of_line);
    }
    raise_positions(batch, from);
}

/// Whether there is an audit line at all: one search through bytes that are in the cache.
fn may_have(batch: &RawBatch, from: usize) -> bool {
    let start = batch.records.get(from).map_or(batch.bytes.len(), |it| it.offset as usize);
    memmem::find(batch.bytes.get(start..).unwrap_or_default(), MARK).is_some()
}

/// Whether nothing but a line end stands between the lines.
fn is_in_place(batch: &RawBatch, event: &Event) -> bool {
    let lines = batch.records.get(event.first..=event.last).unwrap_or_default();
    let parted = |pair: &[RawRecord]| match pair {
        [left, right] => {
            let (from, to) = (left.offset as usize + left.length as usize, right.offset as usize);
            matches!(batch.bytes.get(from..to), Some(b"\n" | b"\r\n"))
        }
        _ => false,
    };
    lines.len() == event.lines && lines.windows(2).all(parted)
}

fn extend(record: &mut RawRecord, line: &RawRecord) {
    record.length = line.offset + line.length - record.offset;
    record.position = record.position.max(line.position);
}

/// Lays the text of all `lines` out anew, that of each event in one piece.
fn rebuild(batch: &mut RawBatch, lines: Vec<RawRecord>, events: usize, of_line: &[Option<usize>]) {
    let start = lines.first().map_or(batch.bytes.len(), |it| (it.offset as usize).min(batch.bytes.len()));
    let old = batch.bytes.split_off(start);
    let text_of = |line: &RawRecord| {
        let from = (line.offset as usize).saturating_sub(start);
        old.get(from..from + line.length as usize).unwrap_or_default()
    };
    // Which line of the same event comes next.
    let mut next = vec![None; lines.len()];
    let mut last = vec![None; events];
    for (index, event) in of_line.iter().enumerate() {
        if let Some(last) = event.and_then(|it| last.get_mut(it))
            && let Some(before) = last.replace(index)
            && let Some(link) = next.get_mut(before)
        {
            *link = Some(index);
        }
    }
    let mut is_rest = vec![false; lines.len()];
    for (index, line) in lines.iter().enumerate() {
        if is_rest.get(index) == Some(&true) {
            continue;
        }
        let offset = batch.bytes.len();
        batch.bytes.extend_from_slice(text_of(line));
        let mut position = line.position;
        let mut at = index;
        while let Some(following) = next.get(at).copied().flatten()
            && let Some(line) = lines.get(following)
        {
            batch.bytes.push(b'\n');
            batch.bytes.extend_from_slice(text_of(line));
            position = position.max(line.position);
            if let Some(rest) = is_rest.get_mut(following) {
                *rest = true;
            }
            at = following;
        }
        let length = (batch.bytes.len() - offset) as u32;
        batch.records.push(RawRecord { offset: offset as u32, length, position, ..*line });
    }
}

/// No record of a source may have a lower position than one before it.
fn raise_positions(batch: &mut RawBatch, from: usize) {
    let mut greatest = vec![0; batch.origins.len()];
    for record in batch.records.iter_mut().skip(from) {
        if let Some(greatest) = greatest.get_mut(record.origin as usize) {
            *greatest = record.position.max(*greatest);
            record.position = *greatest;
        }
    }
}

/// The lines of one event, as indices into the records.
#[derive(Debug)]
struct Event {
    first: usize,
    last: usize,
    lines: usize,
    bytes: usize,
    /// Its last line was not seen, nor must it have ended for any other reason.
    may_go_on: bool,
}

/// Which lines belong together.
struct Events {
    /// In the order of their first lines.
    events: Vec<Event>,
    /// Per line, counted from the first that was looked at: its event.
    of_line: Vec<Option<usize>>,
}

/// An event that further lines may belong to.
struct Open<'b> {
    stamp: Stamp<'b>,
    origin: u32,
    event: usize,
}

impl Events {
    /// `None` if no line is of the audit log. What a line belongs to depends on no later line.
    fn of(batch: &RawBatch, from: usize) -> Option<Self> {
        let mut found = Self { events: Vec::new(), of_line: Vec::new() };
        let mut open: Vec<Open<'_>> = Vec::new();
        let mark = memmem::Finder::new(MARK);
        for (index, record) in batch.records.iter().enumerate().skip(from) {
            let text = batch.bytes_of(record);
            let Some((stamp, kind)) = Stamp::of(text, &mark) else {
                found.of_line.push(None);
                continue;
            };
            let event = found.event_of(&mut open, index, record, stamp, kind);
            found.of_line.push(Some(event));
        }
        (!found.events.is_empty()).then_some(found)
    }

    fn event_of<'b>(
        &mut self,
        open: &mut Vec<Open<'b>>,
        index: usize,
        record: &RawRecord,
        stamp: Stamp<'b>,
        kind: &[u8],
    ) -> usize {
        let length = record.length as usize + 2;
        let known = open.iter().rposition(|it| it.stamp == stamp && it.origin == record.origin);
        if let Some(place) = known {
            let event = open.get(place).and_then(|it| Some((it.event, self.events.get_mut(it.event)?)));
            if let Some((number, event)) = event
                && event.lines < AUDIT_EVENT_LINES_MAX
                && event.bytes + length < LINE_BYTES_MAX
                && index - event.last <= AUDIT_GAP_LINES_MAX
            {
                event.last = index;
                event.lines += 1;
                event.bytes += length;
                event.may_go_on &= !is_last(kind);
                if kind == b"EOE" {
                    open.remove(place);
                }
                return number;
            }
            self.close(open, place);
        }
        let number = self.events.len();
        let is_alone = is_alone(kind);
        self.events.push(Event {
            first: index,
            last: index,
            lines: 1,
            bytes: length,
            may_go_on: !is_alone && !is_last(kind),
        });
        if !is_alone {
            if open.len() >= AUDIT_EVENTS_OPEN_MAX {
                self.close(open, 0);
            }
            open.push(Open { stamp, origin: record.origin, event: number });
        }
        number
    }

    /// Further lines are not waited for.
    fn close(&mut self, open: &mut Vec<Open<'_>>, place: usize) {
        let closed = open.remove(place);
        if let Some(event) = self.events.get_mut(closed.event) {
            event.may_go_on = false;
        }
    }
}

/// What the lines of one event have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp<'b> {
    /// The time and the number.
    stamp: &'b [u8],
    /// The host, where lines of several come together.
    node: &'b [u8],
}

impl<'b> Stamp<'b> {
    /// The stamp of a line and its record type. `None` if it is no line of the audit log.
    fn of(line: &'b [u8], mark: &memmem::Finder<'_>) -> Option<(Self, &'b [u8])> {
        // An object or a list may hold such a line, but is none.
        if matches!(line.first(), Some(b'{' | b'[') | None) {
            return None;
        }
        let head = line.get(..HEAD_BYTES_MAX).unwrap_or(line);
        let at = mark.find(head)?;
        let before = head.get(..at)?;
        let before = before.strip_suffix(b"msg=").unwrap_or(before);
        let before = before.strip_suffix(b" ")?;
        let kind_at = before.iter().rposition(|it| *it == b'=')? + 1;
        let (front, kind) = (before.get(..kind_at)?.strip_suffix(b"type=")?, before.get(kind_at..)?);
        let is_word = |it: &u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'[' | b']');
        if !(front.is_empty() || front.ends_with(b" ")) || kind.is_empty() || !kind.iter().all(is_word) {
            return None;
        }
        let rest = line.get(at + MARK.len()..)?;
        let length = rest.iter().take(64).position(|it| *it == b')')?;
        let stamp = rest.get(..length)?;
        let colon = stamp.iter().rposition(|it| *it == b':')?;
        let serial = stamp.get(colon + 1..)?;
        if serial.is_empty() || !serial.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let front = front.trim_ascii_end();
        let word = front.get(front.iter().rposition(|it| *it == b' ').map_or(0, |it| it + 1)..)?;
        let node = if word.starts_with(b"node=") { word } else { b"" };
        Some((Self { stamp, node }, kind))
    }
}

/// Whether no line of the same event is waited for behind one of this type. Others may follow at once all the same:
/// `EOE` stands behind `PROCTITLE`, but auditd does not write it to files.
fn is_last(kind: &[u8]) -> bool {
    matches!(kind, b"EOE" | b"PROCTITLE" | b"1320" | b"1327")
}

/// Whether a program wrote it: such an event has one line. All others may be part of a system call's.
fn is_alone(kind: &[u8]) -> bool {
    const FAMILIES: [&[u8]; 15] = [
        b"USER_",
        b"CRED_",
        b"SERVICE_",
        b"SYSTEM_",
        b"DAEMON_",
        b"CRYPTO_",
        b"VIRT_",
        b"ADD_",
        b"DEL_",
        b"ACCT_",
        b"GRP_",
        b"ROLE_",
        b"RESP_",
        b"LABEL_",
        b"DEV_",
    ];
    FAMILIES.iter().any(|it| kind.starts_with(it))
        || matches!(kind, b"USER" | b"CHUSER_ID" | b"CHGRP_ID" | b"SOFTWARE_UPDATE" | b"TRUSTED_APP" | b"TEST")
}

#[cfg(test)]
mod tests;
