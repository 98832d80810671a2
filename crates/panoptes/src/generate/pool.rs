//! Lines that are rendered once and then only patched: what makes the generator cheap enough to be a load source.
//!
//! A [`Pool`] is one text and, per line, the places that differ each time the line is written: time stamps, numbers,
//! identifiers. Writing a line is one copy and a few small ones.

use std::fmt;

use fastrand::Rng;

use super::stamp::{Stamp, Stamps};

/// How the lines look, which depends on where they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dress {
    /// As syslog daemons write their files: no priority.
    File,
    /// One line per record on a stream: syslog lines carry their priority, web and JSON lines are bare.
    Lines,
    /// Everything is a syslog message, also what nginx and the applications write.
    Syslog,
}

/// What is written anew each time.
#[derive(Clone, Copy, Debug)]
enum Fresh {
    Stamp(Stamp),
    /// As many decimal digits.
    Digits(u8),
    /// As many lower-case hexadecimal digits.
    Hex(u8),
}

#[derive(Clone, Copy, Debug)]
struct Patch {
    /// From the start of the line.
    offset: u32,
    fresh: Fresh,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    start: u32,
    end: u32,
    patches_start: u32,
    patches_end: u32,
    /// The next line belongs to the same story and follows at once.
    continues: bool,
}

/// Many lines in one text.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) dress: Dress,
    text: Vec<u8>,
    lines: Vec<Line>,
    /// Where a story begins: lines that do not follow another.
    starts: Vec<u32>,
    patches: Vec<Patch>,
}

impl Pool {
    pub(super) const fn new(dress: Dress) -> Self {
        Self { dress, text: Vec::new(), lines: Vec::new(), starts: Vec::new(), patches: Vec::new() }
    }

    pub(super) const fn len(&self) -> usize {
        self.lines.len()
    }

    /// How many stories there are.
    pub(super) const fn stories(&self) -> usize {
        self.starts.len()
    }

    /// The first line of the `n`th story, counted round and round.
    #[inline]
    pub(super) fn story(&self, n: usize) -> usize {
        self.starts[n % self.starts.len()] as usize
    }

    /// The first line of any story.
    #[inline]
    pub(super) fn any_story(&self, rng: &mut Rng) -> usize {
        self.starts[rng.usize(0..self.starts.len())] as usize
    }

    /// Adds a line; it ends when `write` does.
    pub(super) fn line(&mut self, write: impl FnOnce(&mut LineWriter<'_>)) {
        self.add(false, write);
    }

    /// Adds a line that the next one follows at once.
    pub(super) fn line_and(&mut self, write: impl FnOnce(&mut LineWriter<'_>)) {
        self.add(true, write);
    }

    fn add(&mut self, continues: bool, write: impl FnOnce(&mut LineWriter<'_>)) {
        let (start, patches_start) = (self.text.len(), self.patches.len());
        write(&mut LineWriter { pool: self, start });
        self.text.push(b'\n');
        if !self.lines.last().is_some_and(|last| last.continues) {
            self.starts.push(self.lines.len() as u32);
        }
        self.lines.push(Line {
            start: start as u32,
            end: self.text.len() as u32,
            patches_start: patches_start as u32,
            patches_end: self.patches.len() as u32,
            continues,
        });
    }

    /// Appends line `index` (and its line feed) to `out`. True if the next line must follow.
    #[inline]
    pub(super) fn write(&self, index: usize, stamps: &Stamps, rng: &mut Rng, out: &mut Vec<u8>) -> bool {
        let Some(line) = self.lines.get(index) else { return false };
        let at = out.len();
        out.extend_from_slice(&self.text[line.start as usize..line.end as usize]);
        for patch in &self.patches[line.patches_start as usize..line.patches_end as usize] {
            let from = at + patch.offset as usize;
            match patch.fresh {
                Fresh::Stamp(stamp) => {
                    let text = stamps.get(stamp);
                    out[from..from + text.len()].copy_from_slice(text);
                }
                Fresh::Digits(count) => {
                    let mut random = rng.u64(..);
                    for byte in &mut out[from..from + usize::from(count)] {
                        *byte = b'0' + (random % 10) as u8;
                        random /= 10;
                    }
                }
                Fresh::Hex(count) => {
                    for chunk in out[from..from + usize::from(count)].chunks_mut(16) {
                        let mut random = rng.u64(..);
                        for byte in chunk {
                            *byte = b"0123456789abcdef"[(random & 15) as usize];
                            random >>= 4;
                        }
                    }
                }
            }
        }
        line.continues
    }
}

/// Writes one line of a pool.
pub(super) struct LineWriter<'p> {
    pool: &'p mut Pool,
    start: usize,
}

impl LineWriter<'_> {
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.pool.text.extend_from_slice(text.as_bytes());
        self
    }

    /// Formatted text: `line.put(format_args!(..))`.
    pub(super) fn put(&mut self, text: fmt::Arguments<'_>) -> &mut Self {
        use std::io::Write as _;
        // Writing to a vector cannot fail.
        drop(self.pool.text.write_fmt(text));
        self
    }

    pub(super) fn stamp(&mut self, stamp: Stamp) -> &mut Self {
        self.fresh(Fresh::Stamp(stamp), stamp.len())
    }

    /// `count` decimal digits (at most 19), others each time.
    pub(super) fn digits(&mut self, count: u8) -> &mut Self {
        self.fresh(Fresh::Digits(count), usize::from(count))
    }

    /// `count` hexadecimal digits, others each time.
    pub(super) fn hex(&mut self, count: u8) -> &mut Self {
        self.fresh(Fresh::Hex(count), usize::from(count))
    }

    fn fresh(&mut self, fresh: Fresh, len: usize) -> &mut Self {
        let offset = (self.pool.text.len() - self.start) as u32;
        self.pool.patches.push(Patch { offset, fresh });
        self.pool.text.extend(std::iter::repeat_n(b'0', len));
        self
    }

    /// What precedes the message in RFC 3164, priority included where it belongs.
    pub(super) fn syslog(&mut self, priority: u8, host: &str, program: &str, pid: Option<u32>) -> &mut Self {
        if self.pool.dress != Dress::File {
            self.put(format_args!("<{priority}>"));
        }
        self.stamp(Stamp::Rfc3164).put(format_args!(" {host} {program}"));
        match pid {
            Some(pid) => self.put(format_args!("[{pid}]: ")),
            None => self.text(": "),
        }
    }

    /// What precedes a line that is no syslog of its own: nothing, except where everything is syslog.
    pub(super) fn bare(&mut self, priority: u8, host: &str, program: &str) -> &mut Self {
        if self.pool.dress == Dress::Syslog { self.syslog(priority, host, program, None) } else { self }
    }
}
