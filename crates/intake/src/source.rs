//! Names of sources.

use crate::limits::SOURCE_BYTES_MAX;

/// A text that cannot name a source.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name of a source has 1 to {SOURCE_BYTES_MAX} letters, digits and `. _ - : / @`, and does not begin with `-`"
)]
pub struct SourceInvalid;

/// Checks a name that a sender chose: it becomes a metric's label, a field that rules match and a word on the console.
pub fn check_source(name: &str) -> Result<&str, SourceInvalid> {
    let fits = !name.is_empty() && name.len() <= SOURCE_BYTES_MAX && !name.starts_with('-');
    let plain = name.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-:/@".contains(&it));
    if fits && plain { Ok(name) } else { Err(SourceInvalid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_mislead_are_refused() {
        for good in ["web1", "api-gateway", "k8s/prod:nginx@eu", "/var/log/auth.log", &"a".repeat(SOURCE_BYTES_MAX)] {
            assert_eq!(check_source(good), Ok(good));
        }
        for bad in ["", "-rf", "a b", "a\nb", "ä", "a\"b", "a\u{1b}[2J", &"a".repeat(SOURCE_BYTES_MAX + 1)] {
            assert_eq!(check_source(bad), Err(SourceInvalid), "{bad:?}");
        }
    }
}
