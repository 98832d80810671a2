//! Which words and values a segment has, and in which of its row groups: the sealed sidecar that lets a search leave out
//! segments and row groups unread.
//!
//! Asked for a [`Term`], a sidecar says in which row groups it may occur. It may say so of one that does not (once in
//! [`FINGERPRINT_BITS`] bits, for the whole segment), but never leaves out one that does.
//!
//! # Terms
//!
//! * Each whole word, in any case, of the columns that [`is_worded`] names: message, record as it came, command lines,
//!   scripts (`tokens.rs` says what a word is). Term: hash of the folded word, with the seed of the file.
//! * Each value of a column that is looked up by equality ([`is_looked_up`](crate::segment::is_looked_up)), lists item by
//!   item. Term: hash of the value, the seed being the hash of the column's name with the inverted seed of the file.
//!
//! Values in the overflow count under their names as those in columns do. A row group with a column of these names that
//! is not text has all terms.
//!
//! `hash(seed, bytes)`, all operations modulo 2^64: `s = seed ^ length * 9e3779b97f4a7c15`; for each 8 bytes, zeros
//! behind the last, as a little-endian number b: `s = mix(s ^ b, a0761d6478bd642f)`; the hash is
//! `mix(s ^ e7037ed1a0b428db, 8ebc6af09c88c6e3)`. `mix(a, b)` is the lower half of the product of 128 bits XOR the upper.
//!
//! # Format, version 1
//!
//! A file `X.words` beside `X.segment`: a chunked file of [`panoptes_seal`]; integers are little-endian.
//!
//! | part | what |
//! | --- | --- |
//! | data | the buckets of section 0, of section 1, … |
//! | index | for each section and bucket, u32: where the bucket ends, counted from the section's data |
//! | directory | for each section 24 bytes: its row groups (u32, at most 64), zero (u32), those that have all terms (u64: lowest bit is the first), its distinct terms (u64) |
//! | trailer | `PANOWORD`, version (u16: 1), F (u8: bits of a fingerprint), zero (u8), sections (u32), seed (u64), SHA-256 of the segment's file (32), zero (u64): 64 bytes |
//!
//! A *section* speaks of up to 64 row groups that follow each other; sections follow each other as their row groups do. Of
//! the n terms of a section each becomes the number `hash * (n << F) >> 64`. Bucket b has the terms from `(b * 512) << F`
//! on; there are `n / 512` buckets, rounded up. A bucket is a row of bits, the lowest of a byte first, with zeros up to
//! the next byte. For each number in it, in rising order: its distance from the one after the one before (from the start
//! of the bucket for the first), the part above F bits in zeros followed by a one, then F bits; then the row groups that
//! have it. With g row groups in the section, these are: `0` and the number of the only one, in as many bits as g - 1
//! needs; `10` all; `11` and g bits, the lowest for the first. Of a section with one row group, nothing.
//!
//! Of equal numbers there is one, with the row groups of all.
//!
//! # Invariants
//! * What is asked and what was written go through the same words ([`tokens`]) and the same values, or a match is lost.
//! * The trailer names the segment: a sidecar of another segment is refused.
//! * Memory for writing is bounded ([`Limits`]), whatever the text.

mod build;
mod read;
mod table;
mod tokens;

pub use self::build::WordsWriter;
pub use self::read::{Groups, Need, WordsError, WordsStore};
#[cfg(feature = "search")]
pub(crate) use self::tokens::{is_word, whole_words};

/// How many bits tell terms apart that lie side by side: once in 2^8 look-ups a segment is said to have what it does not.
const FINGERPRINT_BITS: u32 = 8;
/// How many row groups a section has at most; further ones begin the next.
const SECTION_GROUPS_MAX: usize = 64;
/// How many terms a bucket has on average.
const BUCKET_TERMS: u64 = 512;
/// Seed of all hashes in files that are written now.
const SEED: u64 = 0x5a17_ed57_03e0_0001;
const MAGIC: [u8; 8] = *b"PANOWORD";
const VERSION: u16 = 1;
const DIRECTORY_BYTES: usize = 24;
const TRAILER_BYTES: usize = 64;

/// What is looked up in a sidecar: the hash of a word or of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term(u64);

impl Term {
    /// That a looked-up column has this value.
    pub fn value(column: &str, value: &str) -> Self {
        Self(tokens::hash(column_seed(SEED, column), value.as_bytes()))
    }

    /// The words of a text.
    pub fn words(text: &str) -> Vec<Self> {
        let mut out = Vec::new();
        tokens::Tokenizer::default().each(SEED, text, |it| out.push(Self(it)));
        out
    }
}

fn column_seed(seed: u64, column: &str) -> u64 {
    tokens::hash(!seed, column.as_bytes())
}

/// How much a sidecar may take while it is written.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Different terms of one row group. A row group with more is said to have all terms.
    group_terms_max: usize,
    /// Terms of a section, each counted once for each row group that has it; further row groups begin the next section.
    section_terms_max: usize,
    /// Sections of a file. Row groups behind the last have no place: the segment gets no sidecar.
    sections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // 16 MiB each; sections of a segment of the largest kind are a dozen.
        Self { group_terms_max: 1 << 20, section_terms_max: 2 << 20, sections_max: 4096 }
    }
}

/// Whether the words of this column are in sidecars.
pub(crate) fn is_worded(name: &str) -> bool {
    match name {
        crate::pivot::ORIGINAL | crate::pivot::MESSAGE => true,
        name => {
            let last = name.rsplit_once('.').map_or(name, |it| it.1);
            matches!(
                last,
                "command_line"
                    | "script_block_text"
                    | "CommandLine"
                    | "ParentCommandLine"
                    | "ProcessCommandLine"
                    | "ScriptBlockText"
            )
        }
    }
}

#[cfg(test)]
mod tests;
