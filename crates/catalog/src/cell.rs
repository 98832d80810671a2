//! Sealed cells: JSON under AES-256-GCM as base64 text, bound to table and row.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use panoptes_model::Entity;
use panoptes_seal::{SealError, ValueSealer};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::CatalogError;

/// Where a cell stands; it opens nowhere else.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'static str,
    pub(crate) row: &'a str,
}

impl Place<'_> {
    /// Table names hold no zero byte, so the border between the two is clear.
    fn aad(self) -> Vec<u8> {
        [self.table.as_bytes(), b"\0", self.row.as_bytes()].concat()
    }

    pub(crate) fn damaged(self, column: &'static str) -> CatalogError {
        CatalogError::RowDamaged { table: self.table, row: self.row.to_owned(), column }
    }
}

pub(crate) fn seal<T: Serialize>(sealer: &ValueSealer, place: Place<'_>, value: &T) -> Result<String, CatalogError> {
    let failed = |source| CatalogError::Sealed { table: place.table, row: place.row.to_owned(), source };
    let plain = serde_json::to_vec(value).map_err(|_| place.damaged("sealed"))?;
    Ok(BASE64.encode(sealer.seal(&plain, &place.aad()).map_err(failed)?))
}

pub(crate) fn open<T: DeserializeOwned>(
    sealer: &ValueSealer,
    place: Place<'_>,
    sealed: &str,
) -> Result<T, CatalogError> {
    let failed = |source| CatalogError::Sealed { table: place.table, row: place.row.to_owned(), source };
    let bytes = BASE64.decode(sealed).map_err(|_| failed(SealError::ValueDamaged))?;
    let plain = sealer.open(&bytes, &place.aad()).map_err(failed)?;
    serde_json::from_slice(&plain).map_err(|_| place.damaged("sealed"))
}

/// What equal entities are found by.
pub(crate) fn entity_hash(sealer: &ValueSealer, field: &str, value: &str) -> String {
    // The length keeps the border between field and value.
    let length = (field.len() as u64).to_le_bytes();
    hash(sealer, &[b"entity\0".as_slice(), &length, field.as_bytes(), value.as_bytes()].concat())
}

pub(crate) fn entity_hashes(sealer: &ValueSealer, entities: &[Entity]) -> Vec<String> {
    entities.iter().map(|it| entity_hash(sealer, &it.field, &it.value)).collect()
}

/// What a source's position is found by.
pub(crate) fn source_hash(sealer: &ValueSealer, source: &str) -> String {
    hash(sealer, &[b"source\0".as_slice(), source.as_bytes()].concat())
}

/// What the losses of one hour, input, source and reason are found by.
pub(crate) fn loss_hash(sealer: &ValueSealer, hour: i64, words: [&str; 3], rejected: bool) -> String {
    let mut bytes = b"loss\0".to_vec();
    bytes.extend(hour.to_le_bytes());
    bytes.push(u8::from(rejected));
    for word in words {
        // The length keeps the borders clear.
        bytes.extend((word.len() as u64).to_le_bytes());
        bytes.extend(word.as_bytes());
    }
    hash(sealer, &bytes)
}

fn hash(sealer: &ValueSealer, bytes: &[u8]) -> String {
    BASE64.encode(sealer.keyed_hash(bytes))
}
