//! Files by what is in them: plain text, compressed text, or something that is not read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use panoptes_stdx::decompress::Limits;

use crate::limits::{
    ARCHIVE_BYTES_MAX, ARCHIVE_RATIO_FREE_BYTES, ARCHIVE_RATIO_MAX, ARCHIVE_WINDOW_LOG_MAX, FINGERPRINT_BYTES,
};
use crate::text::{is_utf16, looks_binary};

/// What the decompression of a file may do.
pub(crate) const LIMITS: Limits = Limits {
    output_bytes_max: ARCHIVE_BYTES_MAX,
    ratio_max: ARCHIVE_RATIO_MAX,
    ratio_free_bytes: ARCHIVE_RATIO_FREE_BYTES,
    window_log_max: ARCHIVE_WINDOW_LOG_MAX,
};

/// The first bytes of a file: as many as tell what it is and which.
pub(crate) fn start_of(file: &File) -> io::Result<Vec<u8>> {
    read_at_most(file, 0, FINGERPRINT_BYTES)
}

/// Reads `length` bytes from `offset` on, fewer at the end of the file.
pub(crate) fn read_at_most(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let read = fill_at(file, offset, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Fills `buffer` from `offset` on, up to the end of the file.
pub(crate) fn fill_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = buffer.get_mut(read..)
        && !rest.is_empty()
    {
        match file.read_at(rest, offset + read as u64) {
            Ok(0) => break,
            Ok(length) => read += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Why text that begins with `start` is not read, if it is none.
pub(crate) fn refusal(start: &[u8]) -> Option<&'static str> {
    // Marks of files that people try, each with what to do.
    let known: &[(&[u8], &str)] = &[
        (
            b"ElfFile\0",
            "Windows event logs (EVTX) are not followed: read them with `panoptes import` or `panoptes scan`",
        ),
        (b"\xd4\xc3\xb2\xa1", "packet captures come with a later version"),
        (b"\xa1\xb2\xc3\xd4", "packet captures come with a later version"),
        (b"\x4d\x3c\xb2\xa1", "packet captures come with a later version"),
        (b"\xa1\xb2\x3c\x4d", "packet captures come with a later version"),
        (b"\x0a\x0d\x0d\x0a", "packet captures come with a later version"),
        (b"LPKSHHRH", "a binary journal is not read: export it with `journalctl --file FILE --output json`"),
        (b"\xfd7zXZ\0", "xz is not read: unpack the file with `xz --decompress --keep`"),
        (b"BZh", "bzip2 is not read: unpack the file with `bzip2 --decompress --keep`"),
        (b"PK\x03\x04", "zip archives are not read: unpack the file first"),
        (b"PAR1", "Parquet is not read: export the table as JSON or CSV"),
        (b"SQLite format 3\0", "databases are not read: export the table as JSON or CSV"),
    ];
    if let Some((_, reason)) = known.iter().find(|(mark, _)| start.starts_with(mark)) {
        return Some(reason);
    }
    if start.get(257..262) == Some(b"ustar") {
        return Some("tar archives are not read: unpack the file first");
    }
    if is_utf16(start) {
        return Some("UTF-16 is not read: convert the file with `iconv --from-code UTF-16 --to-code UTF-8`");
    }
    looks_binary(start).then_some("the file is not text")
}

/// The name that a log has before rotation gives it a number, a date or a compression, and whether it has one.
pub(crate) fn rotation_base(name: &str) -> (&str, bool) {
    let mut base = name;
    for suffix in [".gz", ".zst", ".xz", ".bz2"] {
        base = base.strip_suffix(suffix).unwrap_or(base);
    }
    base = base.strip_suffix(".old").unwrap_or(base);
    let bare = base.trim_end_matches(|it: char| it.is_ascii_digit() || matches!(it, '-' | '_' | '.'));
    let suffix = base.strip_prefix(bare).unwrap_or("");
    let numbered = suffix.starts_with(['.', '-', '_']) && suffix.ends_with(|it: char| it.is_ascii_digit());
    if numbered && !bare.is_empty() {
        base = bare;
    }
    (base, base.len() < name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_names_lead_back_to_the_log() {
        for (name, base) in [
            ("auth.log.1", "auth.log"),
            ("auth.log.2.gz", "auth.log"),
            ("auth.log-20240115", "auth.log"),
            ("auth.log-20240115.zst", "auth.log"),
            ("app.log.2024-01-15_10", "app.log"),
            ("messages.old", "messages"),
        ] {
            assert_eq!(rotation_base(name), (base, true), "{name}");
        }
        for name in ["auth.log", "web2", "app-2024-01-15.log", "1", ".1", "u_ex240115.log"] {
            assert_eq!(rotation_base(name), (name, false), "{name}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused_with_what_to_do() {
        assert!(refusal(b"ElfFile\0\0\0").is_some_and(|it| it.contains("panoptes scan")));
        assert!(refusal(b"\xd4\xc3\xb2\xa1\x02\0").is_some_and(|it| it.contains("later version")));
        assert!(refusal(b"\xff\xfea\0").is_some_and(|it| it.contains("iconv")));
        assert!(refusal(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0").is_some());
        let mut tar = vec![b'x'; 512];
        tar.splice(257..262, *b"ustar");
        assert!(refusal(&tar).is_some_and(|it| it.contains("tar")));
        assert_eq!(refusal(b"Jan 15 10:30:00 web1 sshd[1]: hello"), None);
        assert_eq!(refusal(b""), None);
    }
}
