//! Finds a short ASCII text in others in any case, as a whole word if wanted, without allocating and without a regular
//! expression: most conditions on text are this.
//!
//! The rarest byte of what is looked for leads: `memchr` jumps from one of it to the next, and only there the rest is
//! compared.

use crate::words::is_word;

/// Bytes as they are frequent in logs, the most frequent first. What is not here is rare.
const FREQUENT: &[u8] = b" eta0oi1nsr2/.dlc-p:m\"uh35f64=g87b9w,v_y\\k;x(){}[]zjq";

/// What to find. Says nothing of a text in which a character beyond ASCII may stand for a letter: see
/// [`find`](Self::find).
#[derive(Clone, Debug)]
pub(super) struct Folded {
    /// In small letters.
    needle: Box<[u8]>,
    /// The place of the rarest byte in it.
    lead: usize,
    /// Whether the word must not go on before it, and after it.
    borders: (bool, bool),
    /// Has letters for which there are characters beyond ASCII that count as the same (`ſ`, the Kelvin sign).
    has_doubles: bool,
}

impl Folded {
    /// `None` for what is not ASCII, or empty.
    pub(super) fn new(text: &str, borders: (bool, bool)) -> Option<Self> {
        if !text.is_ascii() || text.is_empty() {
            return None;
        }
        let needle: Box<[u8]> = text.to_ascii_lowercase().into_bytes().into();
        let rarity = |byte: &u8| FREQUENT.iter().position(|it| it == byte).unwrap_or(FREQUENT.len());
        let lead = needle.iter().enumerate().max_by_key(|it| rarity(it.1)).map_or(0, |it| it.0);
        let has_doubles = needle.iter().any(|it| matches!(it, b'k' | b's'));
        Some(Self { needle, lead, borders, has_doubles })
    }

    /// Whether `text` has it. `None`: a character beyond ASCII may count as one of its letters.
    pub(super) fn find(&self, text: &str) -> Option<bool> {
        let found = self.is_in(text);
        if !found && self.has_doubles && !text.is_ascii() { None } else { Some(found) }
    }

    /// Whether `text` begins with it, or ends, in any case.
    pub(super) fn is_affix(&self, text: &str, is_end: bool) -> Option<bool> {
        let length = self.needle.len();
        let bytes = text.as_bytes();
        let place = match is_end {
            false => bytes.get(..length),
            true => bytes.len().checked_sub(length).and_then(|start| bytes.get(start..)),
        };
        let found = place.is_some_and(|it| it.eq_ignore_ascii_case(&self.needle));
        if !found && self.has_doubles && !text.is_ascii() { None } else { Some(found) }
    }

    fn is_in(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let Some(small) = self.needle.get(self.lead).copied() else { return true };
        let large = small.to_ascii_uppercase();
        // No earlier than where there is room for what comes before it.
        let mut from = self.lead;
        while let Some(rest) = bytes.get(from..) {
            let found = if small == large { memchr::memchr(small, rest) } else { memchr::memchr2(small, large, rest) };
            let Some(offset) = found else { return false };
            let start = from + offset - self.lead;
            let end = start + self.needle.len();
            let Some(place) = bytes.get(start..end) else { return false };
            if place.eq_ignore_ascii_case(&self.needle) && self.is_whole(text, start, end) {
                return true;
            }
            from += offset + 1;
        }
        false
    }

    fn is_whole(&self, text: &str, start: usize, end: usize) -> bool {
        // ASCII stands there, so that the text can be cut there.
        let before = || text.get(..start).and_then(|it| it.chars().next_back()).is_some_and(is_word);
        let after = || text.get(end..).and_then(|it| it.chars().next()).is_some_and(is_word);
        !(self.borders.0 && before() || self.borders.1 && after())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_regular_expression(
            needle in "[aAkKsS.1_ ]{1,3}",
            text in "[aAkKsS.1_ ſKé]{0,12}",
            borders in any::<(bool, bool)>(),
        ) {
            let starts = borders.0 && needle.chars().next().is_some_and(is_word);
            let ends = borders.1 && needle.chars().next_back().is_some_and(is_word);
            let border = |it: bool| if it { r"\b" } else { "" };
            let whole = format!("(?i){}{}{}", border(starts), regex::escape(&needle), border(ends));
            let folded = Folded::new(&needle, (starts, ends)).unwrap();
            let expected = regex::Regex::new(&whole).unwrap().is_match(&text);
            prop_assert!(folded.find(&text).is_none_or(|it| it == expected), "{needle} {text}");
            for (is_end, pattern) in [(false, format!("(?i)^{}", regex::escape(&needle))), (true, format!("(?i){}$", regex::escape(&needle)))] {
                let expected = regex::Regex::new(&pattern).unwrap().is_match(&text);
                prop_assert!(folded.is_affix(&text, is_end).is_none_or(|it| it == expected), "{needle} {text}");
            }
        }
    }

    #[test]
    fn only_where_a_letter_has_a_double_it_cannot_tell() {
        let find = |needle: &str, text: &str| Folded::new(needle, (true, true)).unwrap().find(text);
        assert_eq!((find("failed", "é Failed"), find("failed", "é unfailed")), (Some(true), Some(false)));
        assert_eq!(
            (find("ask", "aſk"), find("ask", "to Ask é"), find("ask", "nothing")),
            (None, Some(true), Some(false))
        );
        assert!(Folded::new("é", (true, true)).is_none() && Folded::new("", (true, true)).is_none());
    }
}
