//! Writing state down as it lies, without a copy of it.

use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};

/// What an iterator gives, written as a `Vec` of it would be. It is asked twice: binary formats begin with the number.
pub(crate) struct Sequence<F>(pub(crate) F);

impl<F, I> Serialize for Sequence<F>
where
    F: Fn() -> I,
    I: Iterator,
    I::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some((self.0)().count()))?;
        for item in (self.0)() {
            sequence.serialize_element(&item)?;
        }
        sequence.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_written_as_a_vec_is() {
        let numbers: Vec<u32> = (0..300).collect();
        let sequence = Sequence(|| numbers.iter());
        assert_eq!(postcard::to_stdvec(&sequence).unwrap(), postcard::to_stdvec(&numbers).unwrap());
        assert_eq!(serde_json::to_string(&sequence).unwrap(), serde_json::to_string(&numbers).unwrap());
    }
}
