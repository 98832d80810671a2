//! What a group is called: the values of the group-by fields in one run of bytes.

/// How many bytes of one value belong to the key. Of a longer value, a hash of all of it takes the place of the rest.
const VALUE_BYTES_MAX: usize = 256;

/// Appends `value` to `key`.
pub(crate) fn push(key: &mut Vec<u8>, value: &str) {
    let shortened;
    let value = if value.len() <= VALUE_BYTES_MAX {
        value
    } else {
        let beginning = value.get(..value.floor_char_boundary(VALUE_BYTES_MAX)).unwrap_or_default();
        shortened = format!("{beginning}…{:032x}", panoptes_model::content_hash(&[value.as_bytes()]));
        &shortened
    };
    key.extend_from_slice(&(value.len() as u32).to_le_bytes());
    key.extend_from_slice(value.as_bytes());
}

/// The values in `key`, in order.
pub(crate) fn values(mut key: &[u8]) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (length, rest) = key.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        key = rest;
        std::str::from_utf8(value).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_and_their_borders_matter() {
        let key_of = |parts: &[&str]| {
            let mut key = Vec::new();
            parts.iter().for_each(|it| push(&mut key, it));
            key
        };
        assert_eq!(values(&key_of(&["203.0.113.9", "röot"])).collect::<Vec<_>>(), ["203.0.113.9", "röot"]);
        assert_ne!(key_of(&["ab", "c"]), key_of(&["a", "bc"]));
        let long = "é".repeat(1_000);
        assert_ne!(key_of(&[&long]), key_of(&[&format!("{long}!")]));
        assert!(key_of(&[&long]).len() < 320);
        assert_eq!(values(&[9, 0, 0, 0, 1]).count(), 0);
    }
}
