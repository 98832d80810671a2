//! Errors as one line.

use std::error::Error;
use std::fmt;

/// How many causes are told; a longer chain ends in `…`. No sane error comes near it, a cyclic one would not end.
const CAUSES_MAX: usize = 16;

/// Shows an error followed by its causes, joined by `: `. Our error texts do not repeat their source, so this is
/// how they are logged.
pub struct ErrorChain<'e>(pub &'e (dyn Error + 'e));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        for _ in 0..CAUSES_MAX {
            let Some(error) = cause else { return Ok(()) };
            write!(f, ": {error}")?;
            cause = error.source();
        }
        if cause.is_some() {
            f.write_str(": …")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not open the door")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("no key")]
    struct Inner;

    #[derive(Debug, thiserror::Error)]
    #[error("again")]
    struct Endless(#[source] Option<Box<Endless>>);

    #[test]
    fn causes_follow_the_error() {
        assert_eq!(ErrorChain(&Outer(Inner)).to_string(), "could not open the door: no key");
    }

    #[test]
    fn a_long_chain_is_cut() {
        let endless = (0..=CAUSES_MAX).fold(Endless(None), |inner, _| Endless(Some(Box::new(inner))));
        let text = ErrorChain(&endless).to_string();
        assert_eq!(text.matches("again").count(), CAUSES_MAX + 1);
        assert!(text.ends_with(": …"));
    }
}
