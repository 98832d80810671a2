//! What somebody without the key could read in a data folder: must be nothing.
//!
//! Looked for are words that were sent in, as they are and in any case; zstd and gzip streams that decode to something;
//! and Parquet files. Each kind of trace is unlikely by chance: words must be long enough
//! ([`WORD_BYTES_MIN`]), a stream must decode, and Parquet must have its footer's length in the right place.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use panoptes_stdx::decompress::{Decompressor, Encoding, Limits};

/// Shorter words turn up in any gigabyte of noise.
pub const WORD_BYTES_MIN: usize = 6;
/// How many traces are listed; the first would do.
pub const TRACES_MAX: usize = 100;
/// How much of a stream is decoded: enough to see that it is one, and to find words in it.
const DECODED_BYTES_MAX: usize = 1 << 20;
/// A stream that decodes to less than this, and then fails, may be chance.
const DECODED_BYTES_MIN: usize = 16;

/// Something that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Where in the bytes.
    pub offset: usize,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Word(String),
    /// The mark of a Parquet file.
    Parquet,
    /// A compressed stream, and the words in what it decodes to.
    Compressed {
        encoding: &'static str,
        decoded_bytes: usize,
        words: Vec<String>,
    },
}

/// What can be read in `bytes`. `words` are what was sent in, at least [`WORD_BYTES_MIN`] bytes each.
pub fn readable_traces(bytes: &[u8], words: &[&str]) -> Vec<Trace> {
    let mut traces: Vec<Trace> = Vec::new();
    for (offset, word) in words_in(bytes, words) {
        traces.push(Trace { offset, what: What::Word(word) });
    }
    for offset in positions(bytes, b"PAR1") {
        if is_parquet_mark(bytes, offset) {
            traces.push(Trace { offset, what: What::Parquet });
        }
    }
    for (magic, name, encoding) in
        [(&b"\x28\xb5\x2f\xfd"[..], "zstd", Encoding::Zstd), (&b"\x1f\x8b\x08"[..], "gzip", Encoding::Gzip)]
    {
        for offset in positions(bytes, magic) {
            let Some(decoded) = decode(bytes.get(offset..).unwrap_or_default(), encoding) else { continue };
            let words = words_in(&decoded, words).map(|it| it.1).collect();
            let what = What::Compressed { encoding: name, decoded_bytes: decoded.len(), words };
            traces.push(Trace { offset, what });
        }
    }
    traces.truncate(TRACES_MAX);
    traces
}

/// The same for every file below `folder`, names included.
pub fn readable_traces_in(folder: &Path, words: &[&str]) -> io::Result<Vec<(PathBuf, Trace)>> {
    let mut traces = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            traces.extend(readable_traces(name.as_bytes(), words).into_iter().map(|it| (path.clone(), it)));
            if path.is_dir() {
                folders.push(path);
            } else if !path.symlink_metadata()?.file_type().is_socket() {
                // A socket holds nothing.
                let bytes = fs::read(&path)?;
                traces.extend(readable_traces(&bytes, words).into_iter().map(|it| (path.clone(), it)));
            }
        }
    }
    traces.truncate(TRACES_MAX);
    Ok(traces)
}

/// Each word's first place.
fn words_in<'w>(bytes: &[u8], words: &'w [&str]) -> impl Iterator<Item = (usize, String)> + 'w {
    let lower = bytes.to_ascii_lowercase();
    words.iter().filter_map(move |word| {
        assert!(word.len() >= WORD_BYTES_MIN, "`{word}` is too short to tell from noise");
        let offset = memchr::memmem::find(&lower, word.to_ascii_lowercase().as_bytes())?;
        Some((offset, (*word).to_owned()))
    })
}

fn positions<'b>(bytes: &'b [u8], mark: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
    memchr::memmem::find_iter(bytes, mark)
}

/// A Parquet file begins with the mark, and ends with the length of its footer and the mark.
fn is_parquet_mark(bytes: &[u8], offset: usize) -> bool {
    let footer_bytes = || {
        let length = bytes.get(offset.checked_sub(4)?..offset)?;
        Some(u32::from_le_bytes(length.try_into().ok()?) as usize)
    };
    offset == 0 || footer_bytes().is_some_and(|it| it > 0 && it < offset)
}

/// What a stream decodes to, if it is one.
fn decode(bytes: &[u8], encoding: Encoding) -> Option<Vec<u8>> {
    let limits = Limits {
        output_bytes_max: 2 * DECODED_BYTES_MAX as u64,
        ratio_max: u64::MAX,
        ratio_free_bytes: 0,
        window_log_max: 27,
    };
    let mut stream = Decompressor::new(encoding, bytes, limits).ok()?;
    let mut out = Vec::new();
    let mut window = [0; 4096];
    loop {
        match stream.read(&mut window) {
            Ok(0) => return (!out.is_empty()).then_some(out),
            Ok(count) => out.extend_from_slice(window.get(..count)?),
            // What follows the stream is not part of it.
            Err(_) => return (out.len() >= DECODED_BYTES_MIN).then_some(out),
        }
        if out.len() >= DECODED_BYTES_MAX {
            return Some(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise that is the same every time.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .take(length)
        .collect()
    }

    fn among_noise(secret: &[u8]) -> Vec<u8> {
        [&noise(5_000)[..], secret, &noise(5_000)[..]].concat()
    }

    #[test]
    fn noise_has_no_traces() {
        assert_eq!(readable_traces(&noise(4 << 20), &["password", "203.0.113.9"]), []);
        let marks = [&noise(1_000)[..], b"PAR1\x28\xb5\x2f\xfd\x1f\x8b\x08", &noise(1_000)[..]].concat();
        assert_eq!(readable_traces(&marks, &["password"]), [], "marks alone are chance");
    }

    #[test]
    fn words_are_found_in_any_case() {
        let traces = readable_traces(&among_noise(b"Failed PassWord for"), &["password", "nowhere"]);
        assert_eq!(traces, [Trace { offset: 5_007, what: What::Word("password".into()) }]);
    }

    #[test]
    fn compressed_words_are_found_even_if_the_stream_breaks_off() {
        let text = "user=alice-cooper ".repeat(50_000);
        let whole = zstd::bulk::compress(text.as_bytes(), 3).unwrap();
        for part in [&whole[..], &whole[..whole.len() - 3]] {
            let traces = readable_traces(&among_noise(part), &["alice-cooper"]);
            let compressed = |it: &Trace| matches!(&it.what, What::Compressed { encoding: "zstd", words, .. } if words == &["alice-cooper"]);
            assert!(traces.iter().any(compressed), "{traces:?}");
        }
    }

    #[test]
    fn a_parquet_file_is_known_by_its_ends() {
        let begin = [b"PAR1", &noise(100)[..]].concat();
        assert_eq!(readable_traces(&begin, &[]), [Trace { offset: 0, what: What::Parquet }]);
        let end = [&noise(100)[..], &20_u32.to_le_bytes(), b"PAR1"].concat();
        assert_eq!(readable_traces(&end, &[]), [Trace { offset: 104, what: What::Parquet }]);
    }

    #[test]
    fn files_and_their_names_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        fs::write(folder.path().join("inner/of-alice-cooper"), "nothing").unwrap();
        fs::write(folder.path().join("inner/x"), "for alice-cooper").unwrap();
        let traces = readable_traces_in(folder.path(), &["alice-cooper"]).unwrap();
        assert_eq!(traces.len(), 2);
    }
}
