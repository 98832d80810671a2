//! Decompression with limits.
//!
//! A few kilobytes can decompress to terabytes, so nothing in Panoptes decompresses except through here
//! (`clippy.toml` bans the raw decoders). Two limits hold at once: how many bytes come out, and how many come out
//! per byte that went in. The error says which one was reached.

use std::fmt;
use std::io::{self, BufReader, Cursor, Read};

/// How many bytes [`sniff`] wants to see.
pub const MAGIC_BYTES: usize = 4;

/// How bytes were compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Any number of gzip members, one after another.
    Gzip,
    /// Any number of zstd frames, one after another.
    Zstd,
    /// HTTP's `deflate`: zlib as the standard says, or the bare stream that many senders send instead.
    Deflate,
}

impl Encoding {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The encoding that the first bytes give away. Deflate has no mark of its own and is never recognised.
pub fn sniff(start: &[u8]) -> Option<Encoding> {
    match start {
        [0x1f, 0x8b, 0x08, ..] => Some(Encoding::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Encoding::Zstd),
        // A zstd stream may begin with a skippable frame (`zstd --adapt` and parallel zstd write them).
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Encoding::Zstd),
        _ => None,
    }
}

/// What decompression may do. There is no default: each caller knows what it can afford.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many bytes may come out. The next one is [`DecompressError::OutputTooLarge`].
    pub output_bytes_max: u64,
    /// How many bytes may come out per byte that went in. Beyond is [`DecompressError::RatioTooHigh`].
    pub ratio_max: u64,
    /// The ratio is looked at only from this many bytes on: short texts that repeat themselves are harmless.
    pub ratio_free_bytes: u64,
    /// The binary logarithm of the largest zstd window, which is memory that a few bytes of header demand.
    /// Beyond is [`DecompressError::Damaged`].
    pub window_log_max: u32,
}

/// Why bytes could not be decompressed (any further).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecompressError {
    #[error("more than {bytes_max} bytes come out of it")]
    OutputTooLarge { bytes_max: u64 },
    #[error("more than {ratio_max} bytes come out of each byte that went in, as from a decompression bomb")]
    RatioTooHigh { ratio_max: u64 },
    #[error("the {encoding} data breaks off before its end")]
    Truncated { encoding: Encoding },
    #[error("the {encoding} data is damaged")]
    Damaged { encoding: Encoding, source: io::Error },
    #[error("the compressed bytes could not be read")]
    Read { source: io::Error },
}

impl DecompressError {
    /// Whether a limit ended it, rather than the data.
    pub const fn is_limit(&self) -> bool {
        matches!(self, Self::OutputTooLarge { .. } | Self::RatioTooHigh { .. })
    }

    /// The [`DecompressError`] inside an error that a [`Decompressor`] returned through [`Read`].
    pub fn from_io(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<DecompressError> for io::Error {
    fn from(error: DecompressError) -> Self {
        let kind = match &error {
            DecompressError::OutputTooLarge { .. } | DecompressError::RatioTooHigh { .. } => {
                io::ErrorKind::QuotaExceeded
            }
            DecompressError::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            DecompressError::Damaged { .. } => io::ErrorKind::InvalidData,
            DecompressError::Read { source } => source.kind(),
        };
        Self::new(kind, error)
    }
}

/// Decompresses all of `input` into memory: at most `limits.output_bytes_max` bytes of it.
pub fn decompress(encoding: Encoding, input: &[u8], limits: Limits) -> Result<Vec<u8>, DecompressError> {
    let mut decompressor = Decompressor::new(encoding, input, limits)?;
    let mut output = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match decompressor.read_checked(&mut chunk)? {
            0 => return Ok(output),
            length => output.extend_from_slice(chunk.get(..length).unwrap_or_default()),
        }
    }
}

/// How much is decompressed at a time: by so much memory can a limit be overrun before it is noticed.
const CHUNK_BYTES: usize = 64 << 10;

/// Decompresses while it is read. Errors are [`DecompressError`]s inside [`io::Error`]s; after one, every further
/// read fails as well.
pub struct Decompressor<R: Read> {
    inner: Inner<R>,
    encoding: Encoding,
    limits: Limits,
    output_bytes: u64,
    failed: bool,
}

type Source<R> = Counting<io::Chain<Cursor<Vec<u8>>, R>>;

#[expect(clippy::disallowed_types, reason = "the limits are held here")]
enum Inner<R: Read> {
    Gzip(flate2::read::MultiGzDecoder<Source<R>>),
    Zlib(flate2::read::ZlibDecoder<Source<R>>),
    Deflate(flate2::read::DeflateDecoder<Source<R>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<Source<R>>>),
}

impl<R: Read> Decompressor<R> {
    /// Reads the first bytes of `input` if they are needed to tell the encoding's flavour.
    #[expect(clippy::disallowed_types, reason = "the limits are held here")]
    pub fn new(encoding: Encoding, mut input: R, limits: Limits) -> Result<Self, DecompressError> {
        let mut start = Vec::new();
        if encoding == Encoding::Deflate {
            let read = input.by_ref().take(2).read_to_end(&mut start);
            read.map_err(|source| DecompressError::Read { source })?;
        }
        let zlib = is_zlib(&start);
        let input = Counting { inner: Cursor::new(start).chain(input), bytes: 0, failed: false };
        let inner = match encoding {
            Encoding::Gzip => Inner::Gzip(flate2::read::MultiGzDecoder::new(input)),
            Encoding::Deflate if zlib => Inner::Zlib(flate2::read::ZlibDecoder::new(input)),
            Encoding::Deflate => Inner::Deflate(flate2::read::DeflateDecoder::new(input)),
            Encoding::Zstd => {
                let damaged = |source| DecompressError::Damaged { encoding, source };
                let mut decoder = zstd::stream::read::Decoder::new(input).map_err(damaged)?;
                decoder.window_log_max(limits.window_log_max).map_err(damaged)?;
                Inner::Zstd(decoder)
            }
        };
        Ok(Self { inner, encoding, limits, output_bytes: 0, failed: false })
    }

    /// How many bytes have come out.
    pub fn output_bytes(&self) -> u64 {
        self.output_bytes
    }

    /// How many compressed bytes have been asked for: a little ahead of what was decompressed.
    pub fn input_bytes(&self) -> u64 {
        self.source().bytes
    }

    fn source(&self) -> &Source<R> {
        match &self.inner {
            Inner::Gzip(inner) => inner.get_ref(),
            Inner::Zlib(inner) => inner.get_ref(),
            Inner::Deflate(inner) => inner.get_ref(),
            Inner::Zstd(inner) => inner.get_ref().get_ref(),
        }
    }

    /// [`Read::read`] with its error as what it is.
    pub fn read_checked(&mut self, buffer: &mut [u8]) -> Result<usize, DecompressError> {
        if self.failed {
            let source = io::Error::other("read on after an error");
            return Err(DecompressError::Damaged { encoding: self.encoding, source });
        }
        let result = self.read_limited(buffer);
        self.failed = result.is_err();
        result
    }

    fn read_limited(&mut self, buffer: &mut [u8]) -> Result<usize, DecompressError> {
        let read = match &mut self.inner {
            Inner::Gzip(inner) => inner.read(buffer),
            Inner::Zlib(inner) => inner.read(buffer),
            Inner::Deflate(inner) => inner.read(buffer),
            Inner::Zstd(inner) => inner.read(buffer),
        };
        let length = match read {
            Ok(length) => length,
            Err(source) if self.source().failed => return Err(DecompressError::Read { source }),
            Err(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(DecompressError::Truncated { encoding: self.encoding });
            }
            Err(source) => return Err(DecompressError::Damaged { encoding: self.encoding, source }),
        };
        self.output_bytes += length as u64;
        let Limits { output_bytes_max, ratio_max, ratio_free_bytes, .. } = self.limits;
        if self.output_bytes > output_bytes_max {
            return Err(DecompressError::OutputTooLarge { bytes_max: output_bytes_max });
        }
        let ratio_bytes_max = self.input_bytes().saturating_mul(ratio_max);
        if self.output_bytes > ratio_free_bytes && self.output_bytes > ratio_bytes_max {
            return Err(DecompressError::RatioTooHigh { ratio_max });
        }
        Ok(length)
    }
}

impl<R: Read> Read for Decompressor<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_checked(buffer).map_err(io::Error::from)
    }
}

/// RFC 1950: the method is 8 and the two header bytes are a multiple of 31. A bare stream that begins so by chance
/// would start with a stored block of a reserved kind, which encoders do not write.
fn is_zlib(start: &[u8]) -> bool {
    match start {
        [method, flags] => method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0,
        _ => false,
    }
}

/// Counts what the decoder takes in, and remembers whether the fault was there.
struct Counting<R> {
    inner: R,
    bytes: u64,
    failed: bool,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(buffer);
        match &result {
            Ok(length) => self.bytes += *length as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.failed = true,
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const ROOMY: Limits =
        Limits { output_bytes_max: 64 << 20, ratio_max: 10_000, ratio_free_bytes: 1 << 20, window_log_max: 27 };
    const ALL: [Encoding; 3] = [Encoding::Gzip, Encoding::Zstd, Encoding::Deflate];

    fn compress(encoding: Encoding, plain: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::default();
        match encoding {
            Encoding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Deflate => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Zstd => zstd::encode_all(plain, 3).unwrap(),
        }
    }

    #[test]
    fn what_was_compressed_comes_back() {
        let plain = b"Failed password for root\n".repeat(10_000);
        for encoding in ALL {
            let compressed = compress(encoding, &plain);
            assert_eq!(decompress(encoding, &compressed, ROOMY).unwrap(), plain, "{encoding}");
            assert_eq!(sniff(&compressed), (encoding != Encoding::Deflate).then_some(encoding));
        }
    }

    #[test]
    fn members_one_after_another_are_one_text() {
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let both = [compress(encoding, b"one\n"), compress(encoding, b""), compress(encoding, b"two\n")].concat();
            assert_eq!(decompress(encoding, &both, ROOMY).unwrap(), b"one\ntwo\n", "{encoding}");
        }
    }

    #[test]
    fn deflate_without_its_zlib_header_is_understood() {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(b"bare").unwrap();
        let bare = encoder.finish().unwrap();
        assert_eq!(decompress(Encoding::Deflate, &bare, ROOMY).unwrap(), b"bare");
    }

    #[test]
    fn the_error_says_that_the_output_limit_was_reached() {
        let plain: Vec<u8> = (0..200_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let exact = Limits { output_bytes_max: plain.len() as u64, ..ROOMY };
        let short = Limits { output_bytes_max: plain.len() as u64 - 1, ..ROOMY };
        for encoding in ALL {
            let compressed = compress(encoding, &plain);
            assert!(decompress(encoding, &compressed, exact).is_ok(), "{encoding}");
            let error = decompress(encoding, &compressed, short).unwrap_err();
            assert!(matches!(error, DecompressError::OutputTooLarge { bytes_max: 799_999 }), "{encoding}: {error}");
            assert!(error.is_limit());
        }
    }

    #[test]
    fn the_error_says_that_the_ratio_was_reached() {
        let plain = vec![0; 8 << 20];
        let limits = Limits { ratio_max: 100, ..ROOMY };
        for encoding in ALL {
            let compressed = compress(encoding, &plain);
            assert!(decompress(encoding, &compressed, ROOMY).is_ok() || encoding == Encoding::Zstd);
            let error = decompress(encoding, &compressed, limits).unwrap_err();
            assert!(matches!(error, DecompressError::RatioTooHigh { ratio_max: 100 }), "{encoding}: {error}");
            let short = compress(encoding, &vec![0; 1 << 20]);
            assert!(decompress(encoding, &short, limits).is_ok(), "short texts are not held to the ratio");
        }
    }

    #[test]
    fn a_window_larger_than_allowed_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(26).unwrap();
        encoder.write_all(b"x").unwrap();
        let compressed = encoder.finish().unwrap();
        assert!(decompress(Encoding::Zstd, &compressed, ROOMY).is_ok());
        let error = decompress(Encoding::Zstd, &compressed, Limits { window_log_max: 23, ..ROOMY }).unwrap_err();
        assert!(matches!(error, DecompressError::Damaged { .. }), "{error}");
    }

    #[test]
    fn data_that_breaks_off_is_told_from_damage_at_every_length() {
        let plain: Vec<u8> = (0..5_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for encoding in ALL {
            let compressed = compress(encoding, &plain);
            for length in (1..compressed.len()).step_by(97) {
                let error = decompress(encoding, &compressed[..length], ROOMY).unwrap_err();
                assert!(matches!(error, DecompressError::Truncated { .. }), "{encoding} cut at {length}: {error:?}");
            }
            let garbage = [&compressed[..4], &[0xff; 64][..]].concat();
            let error = decompress(encoding, &garbage, ROOMY).unwrap_err();
            assert!(matches!(error, DecompressError::Damaged { .. }), "{encoding}: {error:?}");
        }
    }

    #[test]
    fn a_stream_gives_what_it_can_before_its_error() {
        let plain = b"line\n".repeat(100_000);
        let compressed = [compress(Encoding::Gzip, &plain), b"trailing garbage".to_vec()].concat();
        let mut decompressor = Decompressor::new(Encoding::Gzip, compressed.as_slice(), ROOMY).unwrap();
        let mut seen = Vec::new();
        let error = decompressor.read_to_end(&mut seen).unwrap_err();
        assert_eq!((seen.len(), decompressor.output_bytes()), (plain.len(), plain.len() as u64));
        assert!(DecompressError::from_io(&error).is_some_and(|it| matches!(it, DecompressError::Damaged { .. })));
        assert!(decompressor.read(&mut [0; 8]).is_err(), "an error is final");
    }

    #[test]
    fn a_fault_of_the_reader_is_not_called_damage() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("cable pulled"))
            }
        }
        for encoding in ALL {
            let result = Decompressor::new(encoding, Broken, ROOMY).and_then(|mut it| it.read_checked(&mut [0; 8]));
            assert!(matches!(result, Err(DecompressError::Read { .. })), "{encoding}: {result:?}");
        }
    }
}
