//! Row groups to a sidecar.

use std::io::{self, Write};

use super::table::{Pair, encode, pair};
use super::tokens::{Tokenizer, hash};
use super::{
    DIRECTORY_BYTES, FINGERPRINT_BITS, Limits, MAGIC, SECTION_GROUPS_MAX, SEED, TRAILER_BYTES, VERSION, column_seed,
    is_worded,
};
use crate::pivot::{ITEM_SEPARATOR, ORIGINAL, OVERFLOW, each_overflow, each_text};
use crate::segment::is_looked_up;

/// Seed of the hashes by which equal texts of one row group are known; not part of the format.
const SAME_TEXT_SEED: u64 = !SEED;

/// Writes the sidecar of one segment, a row group at a time.
pub struct WordsWriter<W> {
    out: W,
    limits: Limits,
    tokenizer: Tokenizer,
    /// Of the row group that is being added.
    terms: TermSet,
    /// Texts of it whose words are in `terms` already.
    texts: TermSet,
    /// Whether it must be said to have all terms.
    has_all: bool,
    section: Section,
    index: Vec<u8>,
    directory: Vec<u8>,
    sections: usize,
}

#[derive(Default)]
struct Section {
    pairs: Vec<Pair>,
    groups: u16,
    has_all: u64,
}

impl<W: Write> WordsWriter<W> {
    pub fn new(out: W, limits: Limits) -> Self {
        Self {
            out,
            limits,
            tokenizer: Tokenizer::default(),
            terms: TermSet::new(limits.group_terms_max),
            texts: TermSet::new(limits.group_terms_max),
            has_all: false,
            section: Section::default(),
            index: Vec::new(),
            directory: Vec::new(),
            sections: 0,
        }
    }

    /// Adds the values of a column to the row group, or that it has some that are no texts.
    pub fn add<'t>(&mut self, name: &str, texts: Option<impl Iterator<Item = &'t str>>) {
        let (worded, looked_up) = (is_worded(name), is_looked_up(name));
        if !worded && !looked_up && name != OVERFLOW {
            return;
        }
        let Some(texts) = texts else {
            self.has_all = true;
            return;
        };
        let seed = column_seed(SEED, name);
        for text in texts {
            if name == OVERFLOW {
                self.overflow(text);
            }
            // No record is like another.
            if worded && (name == ORIGINAL || self.texts.insert(hash(SAME_TEXT_SEED, text.as_bytes()))) {
                self.tokenizer.each(SEED, text, |it| {
                    self.terms.insert(it);
                });
            }
            if looked_up {
                for value in text.split(ITEM_SEPARATOR) {
                    self.terms.insert(hash(seed, value.as_bytes()));
                }
            }
        }
    }

    /// Ends the row group; the next begins.
    pub fn end_group(&mut self) -> io::Result<()> {
        let has_all = self.has_all || self.terms.is_full;
        let count = if has_all { 0 } else { self.terms.len };
        if usize::from(self.section.groups) >= SECTION_GROUPS_MAX
            || self.section.pairs.len() + count > self.limits.section_terms_max
        {
            self.end_section()?;
        }
        let group = self.section.groups;
        self.section.groups += 1;
        if has_all {
            self.section.has_all |= 1 << group;
        } else {
            self.section.pairs.extend(self.terms.iter().map(|it| pair(it, group)));
        }
        self.terms.clear();
        self.texts.clear();
        self.has_all = false;
        Ok(())
    }

    /// Ends the sidecar of the segment whose file has this digest. Gives what it was written to: as an error if there was
    /// no place for all row groups, so that it is of no use.
    pub fn finish(mut self, segment_digest: &[u8; 32]) -> io::Result<Result<W, W>> {
        self.end_section()?;
        if self.sections > self.limits.sections_max {
            return Ok(Err(self.out));
        }
        let mut trailer = Vec::with_capacity(TRAILER_BYTES);
        trailer.extend_from_slice(&MAGIC);
        trailer.extend_from_slice(&VERSION.to_le_bytes());
        trailer.extend_from_slice(&[FINGERPRINT_BITS as u8, 0]);
        trailer.extend_from_slice(&(self.sections as u32).to_le_bytes());
        trailer.extend_from_slice(&SEED.to_le_bytes());
        trailer.extend_from_slice(segment_digest);
        trailer.extend_from_slice(&[0; 8]);
        self.out.write_all(&self.index)?;
        self.out.write_all(&self.directory)?;
        self.out.write_all(&trailer)?;
        Ok(Ok(self.out))
    }

    fn end_section(&mut self) -> io::Result<()> {
        let Section { pairs, groups, has_all } = &mut self.section;
        if *groups == 0 {
            return Ok(());
        }
        self.sections += 1;
        if self.sections <= self.limits.sections_max {
            let groups = u32::from(*groups);
            let encoded = encode(pairs, groups).ok_or(io::ErrorKind::FileTooLarge)?;
            self.out.write_all(&encoded.data)?;
            self.index.extend(encoded.ends.iter().flat_map(|it| it.to_le_bytes()));
            let start = self.directory.len();
            self.directory.extend_from_slice(&groups.to_le_bytes());
            self.directory.extend_from_slice(&[0; 4]);
            self.directory.extend_from_slice(&has_all.to_le_bytes());
            self.directory.extend_from_slice(&encoded.terms.to_le_bytes());
            debug_assert_eq!(self.directory.len() - start, DIRECTORY_BYTES, "the format says so");
        }
        pairs.clear();
        (*groups, *has_all) = (0, 0);
        Ok(())
    }

    fn overflow(&mut self, text: &str) {
        each_overflow(text, |name, value| {
            let looked_up = is_looked_up(name).then(|| column_seed(SEED, name));
            let worded = is_worded(name);
            if worded || looked_up.is_some() {
                each_text(&value, &mut |text| {
                    if let Some(seed) = looked_up {
                        self.terms.insert(hash(seed, text.as_bytes()));
                    }
                    if worded {
                        self.tokenizer.each(SEED, text, |it| {
                            self.terms.insert(it);
                        });
                    }
                });
            }
        });
    }
}

/// Slots of a [`TermSet`] at first; it grows as needed.
const SLOTS_MIN: usize = 1 << 12;
/// How many of the last terms are looked for first: most words of a record were in the one before.
const RECENT: usize = 1 << 12;

/// Different terms, without order. Takes no more than its limit.
struct TermSet {
    /// A power of two; zero is free.
    slots: Vec<u64>,
    recent: Vec<u64>,
    len: usize,
    len_max: usize,
    is_full: bool,
}

impl TermSet {
    fn new(len_max: usize) -> Self {
        Self { slots: vec![0; SLOTS_MIN], recent: vec![0; RECENT], len: 0, len_max, is_full: false }
    }

    fn clear(&mut self) {
        self.slots.fill(0);
        self.recent.fill(0);
        (self.len, self.is_full) = (0, false);
    }

    fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.slots.iter().copied().filter(|it| *it != 0)
    }

    /// Whether the term may be new. Terms are hashes: their bits are as good as random.
    #[inline]
    fn insert(&mut self, term: u64) -> bool {
        let term = term.max(1);
        if let Some(recent) = self.recent.get_mut(term as usize % RECENT) {
            if *recent == term {
                return false;
            }
            *recent = term;
        }
        self.insert_slot(term)
    }

    fn insert_slot(&mut self, term: u64) -> bool {
        if self.len * 2 >= self.slots.len() && !self.is_full {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut index = (term >> 32) as usize & mask;
        // Half of the slots are free.
        while let Some(slot) = self.slots.get_mut(index) {
            if *slot == term {
                return false;
            }
            if *slot == 0 {
                if self.len >= self.len_max {
                    self.is_full = true;
                    return true;
                }
                *slot = term;
                self.len += 1;
                return true;
            }
            index = (index + 1) & mask;
        }
        true
    }

    fn grow(&mut self) {
        let wider = vec![0; self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, wider);
        self.len = 0;
        for term in old {
            if term != 0 {
                self.insert_slot(term);
            }
        }
    }
}
