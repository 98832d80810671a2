//! Pages of a column, decompressed and decoded: the encodings that segments are written with.
//!
//! A text column keeps the codes of its dictionary: what is asked of a value is then asked once for each value that
//! there is, not for each row. Values beyond a dictionary get codes of their own behind it.

use parquet::basic::Compression;

use super::Unusual;
use super::thrift::{PageHeader, PageKind};

/// How large a page may be, decompressed; larger ones are left to the engine.
const PAGE_BYTES_MAX: usize = 256 << 20;
/// The code of a row without a value.
pub(in crate::search) const NULL: u32 = u32::MAX;

const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const RLE: i64 = 3;
const DELTA_BINARY_PACKED: i64 = 5;
const RLE_DICTIONARY: i64 = 8;

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::search) enum Kind {
    Text,
    /// Also numbers without a sign, whose 64 bits these are.
    Integer,
    Integer32,
    Unsigned32,
    Timestamp,
    Float,
    Boolean,
}

/// Values by their codes.
#[derive(Clone, Debug)]
pub(in crate::search) enum Values {
    Text(Texts),
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    Booleans(Vec<bool>),
}

/// Texts where they lie in their pages.
#[derive(Clone, Debug, Default)]
pub(in crate::search) struct Texts {
    pages: Vec<std::sync::Arc<Vec<u8>>>,
    spans: Vec<(u32, u32, u32)>,
}

impl Texts {
    pub(in crate::search) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(in crate::search) fn get(&self, code: u32) -> Result<&str, Unusual> {
        let bytes = self.bytes(code).ok_or(Unusual("a code has no text"))?;
        std::str::from_utf8(bytes).map_err(|_| Unusual("a text is not UTF-8"))
    }

    pub(in crate::search) fn bytes(&self, code: u32) -> Option<&[u8]> {
        let (page, start, end) = *self.spans.get(code as usize)?;
        self.pages.get(page as usize)?.get(start as usize..end as usize)
    }

    /// Adds the texts of a page, each behind its length.
    fn add_plain(&mut self, page: Vec<u8>, mut at: usize, count: usize) -> Result<(), Unusual> {
        let number = self.pages.len() as u32;
        self.spans.reserve(count.min(page.len() / 4 + 1));
        for _ in 0..count {
            let length = page.get(at..).and_then(|it| it.first_chunk()).map(|it| u32::from_le_bytes(*it));
            let start = at + 4;
            let end = length.and_then(|it| start.checked_add(it as usize)).filter(|it| *it <= page.len());
            let end = end.ok_or(Unusual("a page of texts ends early"))?;
            self.spans.push((number, start as u32, end as u32));
            at = end;
        }
        self.pages.push(std::sync::Arc::new(page));
        Ok(())
    }
}

impl<T: AsRef<str>> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let (mut page, mut spans) = (Vec::new(), Vec::new());
        for text in texts {
            let start = page.len() as u32;
            page.extend_from_slice(text.as_ref().as_bytes());
            spans.push((0, start, page.len() as u32));
        }
        Self { pages: vec![std::sync::Arc::new(page)], spans }
    }
}

impl Values {
    pub(in crate::search) fn none(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(Texts::default()),
            Kind::Integer | Kind::Integer32 | Kind::Unsigned32 | Kind::Timestamp => Self::Integers(Vec::new()),
            Kind::Float => Self::Floats(Vec::new()),
            Kind::Boolean => Self::Booleans(Vec::new()),
        }
    }

    pub(in crate::search) fn len(&self) -> usize {
        match self {
            Self::Text(texts) => texts.len(),
            Self::Integers(numbers) => numbers.len(),
            Self::Floats(numbers) => numbers.len(),
            Self::Booleans(truths) => truths.len(),
        }
    }

    fn add_plain(&mut self, kind: Kind, page: Vec<u8>, at: usize, count: usize) -> Result<(), Unusual> {
        let rest = page.get(at..).unwrap_or_default();
        let short = Unusual("a page of values ends early");
        match self {
            Self::Text(texts) => return texts.add_plain(page, at, count),
            Self::Integers(numbers) if matches!(kind, Kind::Integer32 | Kind::Unsigned32) => {
                let found = rest.as_chunks::<4>().0.get(..count).ok_or(short)?;
                let is_signed = kind == Kind::Integer32;
                numbers.extend(found.iter().map(|it| match is_signed {
                    true => i64::from(i32::from_le_bytes(*it)),
                    false => i64::from(u32::from_le_bytes(*it)),
                }));
            }
            Self::Integers(numbers) => {
                let found = rest.as_chunks::<8>().0.get(..count).ok_or(short)?;
                numbers.extend(found.iter().map(|it| i64::from_le_bytes(*it)));
            }
            Self::Floats(numbers) => {
                let found = rest.as_chunks::<8>().0.get(..count).ok_or(short)?;
                numbers.extend(found.iter().map(|it| f64::from_le_bytes(*it)));
            }
            Self::Booleans(truths) => {
                let found = rest.get(..count.div_ceil(8)).ok_or(short)?;
                truths.extend((0..count).map(|n| found.get(n / 8).is_some_and(|it| it >> (n % 8) & 1 == 1)));
            }
        }
        Ok(())
    }
}

/// Decompresses pages, one after another.
pub(in crate::search) struct Decompressor(zstd::bulk::Decompressor<'static>);

impl Decompressor {
    pub(in crate::search) fn new() -> Result<Self, Unusual> {
        Ok(Self(zstd::bulk::Decompressor::new().map_err(|_| Unusual("zstd has no memory"))?))
    }

    fn open(&mut self, header: &PageHeader, page: &[u8], compression: Compression) -> Result<Vec<u8>, Unusual> {
        if header.bytes > PAGE_BYTES_MAX {
            return Err(Unusual("a page is too large"));
        }
        let opened = match compression {
            Compression::UNCOMPRESSED => page.to_vec(),
            Compression::ZSTD(_) if header.bytes == 0 => Vec::new(),
            Compression::ZSTD(_) => {
                self.0.decompress(page, header.bytes).map_err(|_| Unusual("a page cannot be decompressed"))?
            }
            _ => return Err(Unusual("compressed in another way")),
        };
        if opened.len() == header.bytes { Ok(opened) } else { Err(Unusual("a page has another size than it says")) }
    }
}

/// Pages of one column, as they are decoded.
#[derive(Clone, Debug)]
pub(in crate::search) struct Decoded {
    /// One for each row: which value, or [`NULL`].
    pub(in crate::search) codes: Vec<u32>,
    pub(in crate::search) values: Values,
    shape: Shape,
    /// How many values are of the dictionary.
    dictionary: usize,
}

/// How the pages of a column are made.
#[derive(Clone, Copy, Debug)]
pub(in crate::search) struct Shape {
    pub(super) kind: Kind,
    pub(super) is_nullable: bool,
    pub(super) compression: Compression,
}

impl Decoded {
    pub(in crate::search) fn new(shape: Shape) -> Self {
        Self { codes: Vec::new(), values: Values::none(shape.kind), shape, dictionary: 0 }
    }

    /// Values that were decoded already, one a row.
    pub(in crate::search) fn of(codes: Vec<u32>, values: Values, kind: Kind) -> Self {
        let shape = Shape { kind, is_nullable: true, compression: Compression::UNCOMPRESSED };
        Self { codes, values, shape, dictionary: 0 }
    }

    pub(in crate::search) fn kind(&self) -> Kind {
        self.shape.kind
    }

    /// Takes in the page that `bytes` begin with, and gives how many bytes it has, with its header.
    pub(in crate::search) fn add_page(&mut self, bytes: &[u8], with: &mut Decompressor) -> Result<usize, Unusual> {
        let header = PageHeader::parse(bytes).ok_or(Unusual("not the header of a page"))?;
        let end = header.header_bytes.saturating_add(header.compressed_bytes);
        let page = bytes.get(header.header_bytes..end).ok_or(Unusual("a page ends early"))?;
        let page = with.open(&header, page, self.shape.compression)?;
        match header.kind {
            PageKind::Dictionary if self.values.len() > 0 => return Err(Unusual("a dictionary comes late")),
            PageKind::Dictionary => {
                if !matches!(header.encoding, PLAIN | PLAIN_DICTIONARY) {
                    return Err(Unusual("a dictionary in another encoding"));
                }
                self.values.add_plain(self.shape.kind, page, 0, header.values)?;
                self.dictionary = self.values.len();
            }
            PageKind::Data => self.add_data(&header, page)?,
        }
        Ok(end)
    }

    /// Takes in the dictionary if `bytes` begin with one, and gives how many bytes it has.
    pub(in crate::search) fn add_dictionary(
        &mut self,
        bytes: &[u8],
        with: &mut Decompressor,
    ) -> Result<usize, Unusual> {
        let header = PageHeader::parse(bytes).ok_or(Unusual("not the header of a page"))?;
        if header.kind == PageKind::Dictionary { self.add_page(bytes, with) } else { Ok(0) }
    }

    fn add_data(&mut self, header: &PageHeader, page: Vec<u8>) -> Result<(), Unusual> {
        let first = self.codes.len();
        let mut at = 0;
        // Rows that have a value.
        let mut present = header.values;
        if header.values > PAGE_BYTES_MAX {
            return Err(Unusual("a page has too many values"));
        }
        if self.shape.is_nullable {
            if header.levels_encoding != RLE {
                return Err(Unusual("nulls in another encoding"));
            }
            let length = page.first_chunk().map(|it| u32::from_le_bytes(*it) as usize);
            let levels = length.and_then(|it| page.get(4..it.checked_add(4)?)).ok_or(Unusual("nulls end early"))?;
            at = 4 + levels.len();
            hybrid(levels, 1, header.values, &mut self.codes)?;
            present = self.codes.iter().skip(first).filter(|it| **it == 1).count();
        }
        let rest = page.get(at..).unwrap_or_default();
        let has_nulls = present < header.values;
        if header.encoding == PLAIN_DICTIONARY || header.encoding == RLE_DICTIONARY {
            let (width, codes) = rest.split_first().map_or((0, rest), |(width, codes)| (*width, codes));
            if has_nulls {
                let mut found = Vec::with_capacity(present);
                hybrid(codes, width, present, &mut found)?;
                self.spread(first, found.into_iter());
            } else {
                self.codes.truncate(first);
                hybrid(codes, width, present, &mut self.codes)?;
            }
            let limit = self.dictionary as u32;
            let is_known = |it: &u32| *it < limit || *it == NULL;
            return match self.codes.iter().skip(first).all(is_known) {
                true => Ok(()),
                false => Err(Unusual("a code is not in the dictionary")),
            };
        }
        let before = u32::try_from(self.values.len()).map_err(|_| Unusual("too many values"))?;
        let after = before.checked_add(present as u32).filter(|it| *it < NULL).ok_or(Unusual("too many values"))?;
        match (header.encoding, &mut self.values) {
            (PLAIN, values) => values.add_plain(self.shape.kind, page, at, present)?,
            (DELTA_BINARY_PACKED, Values::Integers(numbers)) => {
                delta(rest, present, numbers)?;
                let mask = match self.shape.kind {
                    Kind::Unsigned32 => |it: &mut i64| *it = i64::from(*it as u32),
                    Kind::Integer32 => |it: &mut i64| *it = i64::from(*it as i32),
                    _ => |_: &mut i64| {},
                };
                numbers.iter_mut().skip(before as usize).for_each(mask);
            }
            _ => return Err(Unusual("values in another encoding")),
        }
        if has_nulls {
            self.spread(first, before..after);
        } else {
            self.codes.truncate(first);
            self.codes.extend(before..after);
        }
        Ok(())
    }

    /// Puts codes where from `first` on a 1 says that there is a value.
    fn spread(&mut self, first: usize, mut codes: impl Iterator<Item = u32>) {
        for slot in self.codes.iter_mut().skip(first) {
            *slot = if *slot == 1 { codes.next().unwrap_or(NULL) } else { NULL };
        }
    }
}

/// Whether all of some pages are of codes: then the dictionary has all values. They are not opened for that.
pub(in crate::search) fn only_codes(mut pages: &[u8]) -> bool {
    while !pages.is_empty() {
        let Some(header) = PageHeader::parse(pages) else { return false };
        if header.kind != PageKind::Data || !matches!(header.encoding, PLAIN_DICTIONARY | RLE_DICTIONARY) {
            return false;
        }
        let end = header.header_bytes.saturating_add(header.compressed_bytes);
        let Some(rest) = pages.get(end..) else { return false };
        pages = rest;
    }
    true
}

/// Reads a number of at most 10 bytes, seven bits in each.
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// `count` numbers of `width` bits, in runs of equal ones and of packed ones.
fn hybrid(bytes: &[u8], width: u8, count: usize, out: &mut Vec<u32>) -> Result<(), Unusual> {
    let short = Unusual("a run of codes ends early");
    if width > 32 {
        return Err(Unusual("codes are too wide"));
    }
    out.reserve(count);
    let end = out.len() + count;
    if width == 0 {
        out.resize(end, 0);
        return Ok(());
    }
    let mut at = 0;
    while out.len() < end {
        let missing = end - out.len();
        let head = varint(bytes, &mut at).ok_or(short)?;
        let length = usize::try_from(head >> 1).unwrap_or(usize::MAX);
        if head & 1 == 0 {
            let size = usize::from(width).div_ceil(8);
            let value = bytes.get(at..at + size).ok_or(short)?;
            at += size;
            let value = value.iter().rev().fold(0_u32, |sum, it| sum << 8 | u32::from(*it));
            if length == 0 {
                return Err(short);
            }
            out.resize(out.len() + length.min(missing), value);
        } else {
            let size = length.checked_mul(usize::from(width)).ok_or(short)?;
            let rest = bytes.get(at..).unwrap_or_default();
            let packed = rest.get(..size.min(rest.len())).unwrap_or_default();
            let taken = length.saturating_mul(8).min(missing);
            // The last run may lack what is not needed of it.
            if length == 0 || packed.len() * 8 < taken * usize::from(width) {
                return Err(short);
            }
            unpack(packed, usize::from(width), taken, |it| out.push(it as u32));
            at += packed.len();
        }
    }
    Ok(())
}

/// `count` numbers of `width` bits (at most 57), one behind the other.
fn unpack(packed: &[u8], width: usize, count: usize, mut push: impl FnMut(u64)) {
    let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
    let mut bit = 0;
    for _ in 0..count {
        let rest = packed.get(bit / 8..).unwrap_or_default();
        let word = match rest.first_chunk::<8>() {
            Some(word) => u64::from_le_bytes(*word),
            None => rest.iter().rev().fold(0, |sum, it| sum << 8 | u64::from(*it)),
        };
        push(word >> (bit % 8) & mask);
        bit += width;
    }
}

/// `count` numbers of which each is told by what it is more than the one before.
fn delta(bytes: &[u8], count: usize, out: &mut Vec<i64>) -> Result<(), Unusual> {
    let short = Unusual("a page of differences ends early");
    let mut at = 0;
    let next = |at: &mut usize| varint(bytes, at).ok_or(short);
    let zigzag = |it: u64| (it >> 1) as i64 ^ -((it & 1) as i64);
    let block = next(&mut at)?;
    let minis = next(&mut at)?;
    let total = next(&mut at)?;
    let mut value = zigzag(next(&mut at)?);
    let per_mini = block.checked_div(minis).unwrap_or(0) as usize;
    if total != count as u64 || per_mini == 0 || !per_mini.is_multiple_of(8) || block > 1 << 20 || minis > 1 << 10 {
        return if count == 0 { Ok(()) } else { Err(short) };
    }
    if count == 0 {
        return Ok(());
    }
    out.reserve(count);
    let end = out.len() + count;
    out.push(value);
    while out.len() < end {
        let least = zigzag(next(&mut at)?);
        let widths = bytes.get(at..at + minis as usize).ok_or(short)?;
        at += minis as usize;
        for width in widths {
            if out.len() >= end {
                break;
            }
            let width = usize::from(*width);
            if width > 64 {
                return Err(short);
            }
            let taken = per_mini.min(end - out.len());
            let size = per_mini / 8 * width;
            let rest = bytes.get(at..).unwrap_or_default();
            let packed = rest.get(..size.min(rest.len())).unwrap_or_default();
            if packed.len() * 8 < taken * width {
                return Err(short);
            }
            at += packed.len();
            let mut add = |it: u64| {
                value = value.wrapping_add(least).wrapping_add(it as i64);
                out.push(value);
            };
            if width <= 57 {
                unpack(packed, width, taken, add);
            } else {
                // Wider ones may lie across nine bytes.
                for number in 0..taken {
                    let bit = number * width;
                    let rest = packed.get(bit / 8..).unwrap_or_default();
                    let word = rest.iter().take(9).rev().fold(0_u128, |sum, it| sum << 8 | u128::from(*it));
                    add((word >> (bit % 8)) as u64 & (u64::MAX >> (64 - width)));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
