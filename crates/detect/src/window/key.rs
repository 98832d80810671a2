//! What a group is called: the values of the group-by fields in one run of bytes.

/// How many bytes of one value belong to the key. Of a longer value, a hash of all of it takes the place of the rest.
const VALUE_BYTES_MAX: usize = 256;

/// Set in the first byte of a length that takes two.
const LONG: u8 = 0x80;

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
    // The length in one byte if it is short, as it nearly always is; else in two, the first of which has its top bit set.
    // No value is longer than 15 bits can say.
    match u8::try_from(value.len()) {
        Ok(length) if length < LONG => key.push(length),
        _ => key.extend_from_slice(&[LONG | (value.len() >> 8) as u8, value.len() as u8]),
    }
    key.extend_from_slice(value.as_bytes());
}

/// The values in `key`, in order.
pub(crate) fn values(mut key: &[u8]) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (first, mut rest) = key.split_first()?;
        let mut length = usize::from(*first);
        if *first >= LONG {
            let (second, after) = rest.split_first()?;
            (length, rest) = (usize::from(*first & !LONG) << 8 | usize::from(*second), after);
        }
        let (value, rest) = rest.split_at_checked(length)?;
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
        for length in [0, 1, 127, 128, 129, VALUE_BYTES_MAX] {
            let value = "x".repeat(length);
            assert_eq!(values(&key_of(&["a", &value, "b"])).collect::<Vec<_>>(), ["a", &value, "b"]);
        }
        assert_eq!(values(&[9, 0, 0, 0, 1]).count(), 0);
        assert_eq!(values(&[0x81]).count(), 0);
    }
}
