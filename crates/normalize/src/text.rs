//! Cutting text at ASCII marks, without a chance to panic.

/// What is left of a text that is read from left to right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'t> {
    pub(crate) rest: &'t str,
}

impl<'t> Cursor<'t> {
    pub(crate) fn new(rest: &'t str) -> Self {
        Self { rest }
    }

    /// Passes `prefix` if it is next.
    #[inline]
    pub(crate) fn eat(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The text before the next `mark`; the cursor is then behind it.
    #[inline]
    pub(crate) fn until(&mut self, mark: u8) -> Option<&'t str> {
        let at = memchr::memchr(mark, self.rest.as_bytes())?;
        let (before, rest) = (self.rest.get(..at)?, self.rest.get(at + 1..)?);
        self.rest = rest;
        Some(before)
    }

    /// The text up to the next space or the end; the cursor is then behind that space.
    #[inline]
    pub(crate) fn word(&mut self) -> &'t str {
        match self.until(b' ') {
            Some(word) => word,
            None => std::mem::take(&mut self.rest),
        }
    }

    /// A text in double quotes, with the quotes next: what is between them, as it stands. `\` protects the byte behind
    /// it. `None` if there is no quote or it does not close.
    #[inline]
    pub(crate) fn quoted(&mut self) -> Option<&'t str> {
        let inner = self.rest.strip_prefix('"')?;
        let bytes = inner.as_bytes();
        let mut at = 0;
        loop {
            at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
            if bytes.get(at) == Some(&b'"') {
                let (text, rest) = (inner.get(..at)?, inner.get(at + 1..)?);
                self.rest = rest;
                return Some(text);
            }
            at += 2;
        }
    }

    pub(crate) fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }
}

/// The digits at the start of `text` as a number, and what follows. `None` without a digit or past `u64`.
pub(crate) fn leading_number(text: &str) -> Option<(u64, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text.get(..length)?.parse().ok()?, text.get(length..)?))
}

/// `text` in ASCII lower case inside `buffer`; `None` if it is too long or not ASCII.
#[inline]
pub(crate) fn lower<'b>(text: &str, buffer: &'b mut [u8; 32]) -> Option<&'b str> {
    let into = buffer.get_mut(..text.len())?;
    for (to, from) in into.iter_mut().zip(text.bytes()) {
        *to = from.to_ascii_lowercase();
    }
    std::str::from_utf8(into).ok()
}

/// Whether `text` begins with `prefix`, whatever the case of ASCII letters.
pub(crate) fn starts_with_ignore_case(text: &str, prefix: &str) -> bool {
    text.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// The text between `open` (a prefix) and the next `close`, and what follows.
pub(crate) fn between<'t>(text: &'t str, open: &str, close: char) -> Option<(&'t str, &'t str)> {
    text.strip_prefix(open)?.split_once(close)
}

/// The value of `key=` in a run of `key=value` separated by spaces: up to the next space. The first one counts.
pub(crate) fn value_of<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let mut from = 0;
    while let Some(found) = text.get(from..)?.find(key) {
        let at = from + found;
        let bounded = at == 0 || matches!(text.as_bytes().get(at - 1), Some(b' ' | b',' | b';'));
        let rest = text.get(at + key.len()..)?;
        if bounded && let Some(value) = rest.strip_prefix('=') {
            return value.split(' ').next();
        }
        from = at + key.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_end_at_the_first_unprotected_one() {
        let mut cursor = Cursor::new(r#""a \" b" c"#);
        assert_eq!(cursor.quoted(), Some(r#"a \" b"#));
        assert_eq!(cursor.rest, " c");
        for open in ["\"", "\"\\", "\"abc\\\"", "x"] {
            assert_eq!(Cursor::new(open).quoted(), None, "{open}");
        }
    }

    #[test]
    fn keys_are_whole_words() {
        assert_eq!(value_of("ruser=a user=b", "user"), Some("b"));
        assert_eq!(value_of("ruser= user= x", "ruser"), Some(""));
        assert_eq!(value_of("ruser", "user"), None);
    }
}
