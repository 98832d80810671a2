//! Texts as Sigma compares them: without case, and with `*` and `?`.

use memchr::memmem;

/// Appends `text` to `out` as it is compared when case does not matter.
///
/// Letters become lower case one by one (no rule of a language, so that a part of a text folds like the whole). The
/// two letters beyond ASCII that regular expressions take for ASCII ones (ſ and the Kelvin sign) become those, so that
/// a literal that a case-insensitive expression needs is found in folded text.
pub(crate) fn fold_into(out: &mut String, text: &str) {
    let mut rest = text;
    loop {
        let ascii = ascii_prefix(rest.as_bytes());
        let start = out.len();
        out.push_str(rest.get(..ascii).unwrap_or_default());
        if let Some(added) = out.get_mut(start..) {
            added.make_ascii_lowercase();
        }
        let mut characters = rest.get(ascii..).unwrap_or_default().chars();
        let Some(character) = characters.next() else { return };
        fold_character(out, character);
        rest = characters.as_str();
    }
}

/// The same for bytes that are only searched.
pub(crate) fn fold_bytes_into(out: &mut Vec<u8>, text: &str) {
    if text.is_ascii() {
        out.extend(text.bytes().map(|it| it.to_ascii_lowercase()));
    } else {
        out.extend_from_slice(folded(text).as_bytes());
    }
}

/// How many bytes at the beginning of `bytes` are ASCII.
fn ascii_prefix(bytes: &[u8]) -> usize {
    if bytes.is_ascii() {
        return bytes.len();
    }
    let whole = bytes.chunks(64).take_while(|chunk| chunk.is_ascii()).count() * 64;
    let rest = bytes.get(whole..).unwrap_or_default();
    whole + rest.iter().position(|it| !it.is_ascii()).unwrap_or(rest.len())
}

fn fold_character(out: &mut String, character: char) {
    match character {
        'A'..='Z' => out.push(character.to_ascii_lowercase()),
        '\0'..='\x7f' => out.push(character),
        '\u{17f}' => out.push('s'),
        '\u{212a}' => out.push('k'),
        _ => out.extend(character.to_lowercase()),
    }
}

/// `text` as [`fold_into`] writes it.
pub(crate) fn folded(text: &str) -> String {
    let mut out = String::new();
    fold_into(&mut out, text);
    out
}

/// The one ASCII character that `character` folds to.
pub(crate) fn folds_to_ascii(character: char) -> Option<char> {
    let mut out = String::new();
    fold_character(&mut out, character);
    let mut characters = out.chars();
    let first = characters.next().filter(char::is_ascii)?;
    characters.next().is_none().then_some(first)
}

/// A piece of a pattern with wildcards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Text(Box<str>),
    /// `?`: exactly one character.
    One,
    /// `*`: any number of characters, line breaks among them.
    Many,
}

/// Whether all of `text` has the form `parts`. Takes time proportional to the text for each `*` at most.
pub(crate) fn glob(parts: &[Part], text: &str) -> bool {
    let mut segments = parts.split(|part| *part == Part::Many);
    let Some(first) = segments.next() else { return text.is_empty() };
    let Some(mut rest) = strip(first, text) else { return false };
    let mut last: Option<&[Part]> = None;
    for segment in segments {
        // What was last is not: it only has to be somewhere. The leftmost place leaves most to the others.
        if let Some(middle) = last.replace(segment) {
            match find(middle, rest) {
                Some(after) => rest = after,
                None => return false,
            }
        }
    }
    match last {
        None => rest.is_empty(),
        Some(segment) => ends(segment, rest),
    }
}

/// What follows `segment` if `text` begins with it.
fn strip<'t>(segment: &[Part], text: &'t str) -> Option<&'t str> {
    segment.iter().try_fold(text, |rest, part| match part {
        Part::Text(literal) => rest.strip_prefix(&**literal),
        Part::One | Part::Many => {
            let mut characters = rest.chars();
            characters.next().map(|_| characters.as_str())
        }
    })
}

/// What follows the first place where `segment` is in `text`.
fn find<'t>(segment: &[Part], text: &'t str) -> Option<&'t str> {
    let Some(first) = segment.first() else { return Some(text) };
    let mut rest = text;
    loop {
        if let Part::Text(literal) = first {
            let at = memmem::find(rest.as_bytes(), literal.as_bytes())?;
            rest = rest.get(at..)?;
        }
        if let Some(after) = strip(segment, rest) {
            return Some(after);
        }
        let mut characters = rest.chars();
        characters.next()?;
        rest = characters.as_str();
    }
}

fn ends(segment: &[Part], text: &str) -> bool {
    let rest = segment.iter().rev().try_fold(text, |rest, part| match part {
        Part::Text(literal) => rest.strip_suffix(&**literal),
        Part::One | Part::Many => {
            let mut characters = rest.chars();
            characters.next_back().map(|_| characters.as_str())
        }
    });
    rest.is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(pattern: &str) -> Vec<Part> {
        pattern
            .chars()
            .map(|it| match it {
                '*' => Part::Many,
                '?' => Part::One,
                other => Part::Text(other.to_string().into()),
            })
            .collect()
    }

    #[test]
    fn folding_is_by_character() {
        assert_eq!(folded("C:\\Windows\\ÄÖ"), "c:\\windows\\äö");
        let long = format!("{}ä{}Ö", "X".repeat(130), "Y".repeat(70));
        assert_eq!(folded(&long), format!("{}ä{}ö", "x".repeat(130), "y".repeat(70)));
        assert_eq!(folded("ΣΑΣ"), "σασ", "no final sigma, so that parts fold like the whole");
        assert_eq!(folded("\u{17f}\u{212a}"), "sk");
        assert_eq!(folds_to_ascii('K'), Some('k'));
        assert_eq!(folds_to_ascii('\u{212a}'), Some('k'));
        assert_eq!(folds_to_ascii('ä'), None);
        assert_eq!(folds_to_ascii('İ'), None);
    }

    #[test]
    fn wildcards_take_what_they_should() {
        for (pattern, text, expected) in [
            ("a*c", "abbc", true),
            ("a*c", "ac", true),
            ("a*c", "acd", false),
            ("*b*", "abc", true),
            ("a?c", "aäc", true),
            ("a?c", "ac", false),
            ("*.exe", "x.exe", true),
            ("a*b*b", "ab", false),
            ("a*b*b", "abb", true),
            ("*?b*c?", "xbcd", true),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("?", "", false),
            ("a*", "a\nb", true),
        ] {
            assert_eq!(glob(&parts(pattern), text), expected, "{pattern} on {text}");
        }
    }

    proptest! {
        #[test]
        fn globs_are_the_regular_expressions_that_they_stand_for(pattern in "[ab?*]{0,8}", text in "[abä\n]{0,10}") {
            let expression: String = pattern
                .chars()
                .map(|it| match it {
                    '*' => ".*".to_owned(),
                    '?' => ".".to_owned(),
                    other => other.to_string(),
                })
                .collect();
            let expected = regex::Regex::new(&format!("(?s)^{expression}$")).unwrap().is_match(&text);
            prop_assert_eq!(glob(&parts(&pattern), &text), expected);
        }
    }
}
