//! How many records an EVTX file has, by the headers of its chunks alone: an opinion beside that of our reader.

use std::path::Path;

use anyhow::Context as _;

const FILE_HEADER_BYTES: usize = 4_096;
const CHUNK_BYTES: usize = 65_536;

pub(super) fn records(path: &Path) -> anyhow::Result<u64> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(records_in(&bytes))
}

/// Each chunk tells the numbers of its first and its last record, from 1 on.
fn records_in(bytes: &[u8]) -> u64 {
    let number =
        |chunk: &[u8], at: usize| -> Option<u64> { Some(u64::from_le_bytes(chunk.get(at..at + 8)?.try_into().ok()?)) };
    let of_chunk = |chunk: &[u8]| -> Option<u64> {
        let (first, last) = (number(chunk, 8)?, number(chunk, 16)?);
        (chunk.starts_with(b"ElfChnk\0") && first > 0 && last >= first && last < u64::MAX).then(|| last - first + 1)
    };
    bytes.get(FILE_HEADER_BYTES..).unwrap_or_default().chunks(CHUNK_BYTES).filter_map(of_chunk).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_counted_chunk_by_chunk() {
        let mut bytes = vec![0; FILE_HEADER_BYTES];
        for (first, last) in [(1_u64, 90_u64), (91, 100), (u64::MAX, 0)] {
            let mut chunk = vec![0; CHUNK_BYTES];
            chunk.splice(..8, *b"ElfChnk\0");
            chunk.splice(8..16, first.to_le_bytes());
            chunk.splice(16..24, last.to_le_bytes());
            bytes.extend(chunk);
        }
        assert_eq!(records_in(&bytes), 100);
        assert_eq!(records_in(b"ElfFile\0"), 0);
        assert_eq!(records_in(&[7; 5_000]), 0);
    }
}
