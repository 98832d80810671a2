//! The few structures of Parquet that lie beside the footer: headers of pages, and where the pages of a column are.
//!
//! They are in Thrift's compact protocol. Nothing here trusts a length: what does not read as one of these structures is
//! `None`, and its segment is then left to the engine.

/// How deeply structures that are skipped may nest; deeper ones are not read.
const DEPTH_MAX: usize = 8;

/// What a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageKind {
    Data,
    Dictionary,
}

/// What precedes each page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub(super) kind: PageKind,
    /// Of the header itself.
    pub(super) header_bytes: usize,
    /// Of what follows the header.
    pub(super) compressed_bytes: usize,
    pub(super) bytes: usize,
    pub(super) values: usize,
    pub(super) encoding: i64,
    /// How it is told which values are null.
    pub(super) levels_encoding: i64,
}

/// Where one page of a column lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PagePlace {
    pub(super) offset: u64,
    /// Header included.
    pub(super) bytes: usize,
    pub(super) first_row: usize,
}

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const STRUCT: u8 = 12;

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn integer(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn size(&mut self) -> Option<usize> {
        usize::try_from(self.integer()?).ok()
    }

    /// The number and type of the next field; `None` inside: there is none.
    fn field(&mut self, last: &mut i64) -> Option<Option<(i64, u8)>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        *last = match byte >> 4 {
            0 => self.integer()?,
            step => last.checked_add(i64::from(step))?,
        };
        Some(Some((*last, byte & 0x0f)))
    }

    /// How many items a list has, and of which type.
    fn list(&mut self) -> Option<(usize, u8)> {
        let byte = self.byte()?;
        let count = match byte >> 4 {
            15 => usize::try_from(self.varint()?).ok()?,
            count => usize::from(count),
        };
        Some((count, byte & 0x0f))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match kind {
            TRUE | FALSE => {}
            BYTE => self.at += 1,
            4..=I64 => drop(self.varint()?),
            DOUBLE => self.at += 8,
            BINARY => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.at = self.at.checked_add(length)?;
            }
            LIST | SET => {
                let (count, kind) = self.list()?;
                for _ in 0..count {
                    // Each item takes a byte at least, so that a lie about their number ends with the bytes.
                    if matches!(kind, TRUE | FALSE) {
                        self.byte()?;
                    } else {
                        self.skip(kind, depth + 1)?;
                    }
                }
            }
            STRUCT => {
                let mut last = 0;
                while let Some((_, kind)) = self.field(&mut last)? {
                    self.skip(kind, depth + 1)?;
                }
            }
            _ => return None,
        }
        Some(())
    }
}

impl PageHeader {
    /// The header that `bytes` begin with.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let (mut kind, mut bytes, mut compressed_bytes) = (None, None, None);
        let (mut values, mut encoding, mut levels_encoding) = (None, None, 3);
        let mut last = 0;
        while let Some((number, field_type)) = reader.field(&mut last)? {
            match (number, field_type) {
                (1, _) => {
                    kind = match reader.integer()? {
                        0 => Some(PageKind::Data),
                        2 => Some(PageKind::Dictionary),
                        _ => return None,
                    }
                }
                (2, _) => bytes = Some(reader.size()?),
                (3, _) => compressed_bytes = Some(reader.size()?),
                // Of a page of data, and of a dictionary.
                (5 | 7, STRUCT) => {
                    let mut last_inner = 0;
                    while let Some((inner, inner_type)) = reader.field(&mut last_inner)? {
                        match inner {
                            1 => values = Some(reader.size()?),
                            2 => encoding = Some(reader.integer()?),
                            3 if number == 5 => levels_encoding = reader.integer()?,
                            _ => reader.skip(inner_type, 0)?,
                        }
                    }
                }
                _ => reader.skip(field_type, 0)?,
            }
        }
        Some(Self {
            kind: kind?,
            header_bytes: reader.at,
            compressed_bytes: compressed_bytes?,
            bytes: bytes?,
            values: values?,
            encoding: encoding?,
            levels_encoding,
        })
    }
}

/// The places of a column's pages of data, in their order: what an offset index says.
pub(super) fn page_places(bytes: &[u8]) -> Option<Vec<PagePlace>> {
    let mut reader = Reader { bytes, at: 0 };
    let mut places = None;
    let mut last = 0;
    while let Some((number, field_type)) = reader.field(&mut last)? {
        if number != 1 {
            reader.skip(field_type, 0)?;
            continue;
        }
        let (count, _) = reader.list()?;
        let mut found = Vec::new();
        for _ in 0..count {
            let (mut offset, mut bytes, mut first_row) = (None, None, None);
            let mut last_inner = 0;
            while let Some((inner, inner_type)) = reader.field(&mut last_inner)? {
                match inner {
                    1 => offset = Some(u64::try_from(reader.integer()?).ok()?),
                    2 => bytes = Some(reader.size()?),
                    3 => first_row = Some(reader.size()?),
                    _ => reader.skip(inner_type, 0)?,
                }
            }
            found.push(PagePlace { offset: offset?, bytes: bytes?, first_row: first_row? });
        }
        places = Some(found);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of a data page: 20 values, dictionary codes, RLE levels, statistics that are skipped.
    const HEADER: &[u8] = &[
        0x15, 0x00, 0x15, 0x80, 0x01, 0x15, 0x3c, 0x2c, 0x15, 0x28, 0x15, 0x10, 0x15, 0x06, 0x15, 0x06, 0x1c, 0x18,
        0x01, b'x', 0x00, 0x00, 0x00,
    ];

    #[test]
    fn a_page_header_is_read_and_what_it_does_not_need_is_skipped() {
        let header = PageHeader::parse(HEADER).unwrap();
        let expected = PageHeader {
            kind: PageKind::Data,
            header_bytes: HEADER.len(),
            compressed_bytes: 30,
            bytes: 64,
            values: 20,
            encoding: 8,
            levels_encoding: 3,
        };
        assert_eq!(header, expected);
        assert_eq!(PageHeader::parse(&[HEADER, b"more"].concat()), Some(expected));
    }

    #[test]
    fn what_is_cut_off_or_altered_is_no_header_and_never_a_panic() {
        for length in 0..HEADER.len() {
            assert_eq!(PageHeader::parse(&HEADER[..length]), None, "{length}");
        }
        for at in 0..HEADER.len() {
            for value in 0..=u8::MAX {
                let mut altered = HEADER.to_vec();
                altered[at] = value;
                let _perhaps_another = PageHeader::parse(&altered);
                let _perhaps_places = page_places(&altered);
            }
        }
        let nested = [0x1c; 100];
        assert_eq!((PageHeader::parse(&nested), page_places(&nested)), (None, None));
    }

    #[test]
    fn places_of_pages_are_read_in_their_order() {
        let bytes =
            [0x19, 0x2c, 0x16, 0x08, 0x15, 0x28, 0x16, 0x00, 0x00, 0x16, 0x30, 0x15, 0x2a, 0x16, 0x14, 0x00, 0x00];
        let place = |offset, bytes, first_row| PagePlace { offset, bytes, first_row };
        assert_eq!(page_places(&bytes), Some(vec![place(4, 20, 0), place(24, 21, 10)]));
        assert_eq!(page_places(&bytes[..9]), None);
    }
}
