//! Which literals a regular expression needs: text without any of them cannot match and is never tried.

use regex_syntax::hir::{Hir, HirKind};

use super::text::folds_to_ascii;

/// Shorter literals are in every other text: an expression that has no longer one is tried on demand.
pub(crate) const LITERAL_BYTES_MIN: usize = 3;
/// How many alternatives a need may have. More are not worth looking for.
const ALTERNATIVES_MAX: usize = 64;
/// Deeper parts of an expression are taken to need nothing.
const DEPTH_MAX: usize = 64;

/// Folded literals of which every text that the expression matches holds at least one; `None` if there is no such
/// set of literals of [`LITERAL_BYTES_MIN`] bytes and more.
pub(crate) fn needed_by(expression: &str) -> Option<Vec<Box<str>>> {
    let tree = regex_syntax::Parser::new().parse(expression).ok()?;
    needed(&tree, 0).map(|set| set.into_iter().map(String::into_boxed_str).collect())
}

fn needed(tree: &Hir, depth: usize) -> Option<Vec<String>> {
    if depth > DEPTH_MAX {
        return None;
    }
    let parts = match tree.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(needed(part, depth + 1)?);
                if all.len() > ALTERNATIVES_MAX {
                    return None;
                }
            }
            all.sort_unstable();
            all.dedup();
            return Some(all);
        }
        HirKind::Capture(capture) => return needed(&capture.sub, depth + 1),
        HirKind::Repetition(repetition) if repetition.min >= 1 => return needed(&repetition.sub, depth + 1),
        _ => std::slice::from_ref(tree),
    };
    let mut best: Option<Vec<String>> = None;
    let mut run = String::new();
    for part in parts {
        if !extend_run(&mut run, part, depth) {
            better(&mut best, vec![std::mem::take(&mut run)]);
            // A single part that is no literal was looked into above: it needs nothing.
            if parts.len() > 1
                && let Some(inner) = needed(part, depth + 1)
            {
                better(&mut best, inner);
            }
        }
    }
    better(&mut best, vec![run]);
    best
}

/// Appends what `part` matches to `run` if that is exactly one text, whatever its case.
fn extend_run(run: &mut String, part: &Hir, depth: usize) -> bool {
    match part.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => {
            let Ok(text) = std::str::from_utf8(&literal.0) else { return false };
            let folded: Option<String> = text.chars().map(folds_to_ascii).collect();
            folded.is_some_and(|folded| {
                run.push_str(&folded);
                true
            })
        }
        HirKind::Class(class) => match single(class) {
            Some(character) => {
                run.push(character);
                true
            }
            None => false,
        },
        HirKind::Capture(capture) if depth < DEPTH_MAX => extend_run(run, &capture.sub, depth + 1),
        HirKind::Concat(parts) if depth < DEPTH_MAX => {
            let before = run.len();
            let whole = parts.iter().all(|it| extend_run(run, it, depth + 1));
            if !whole {
                run.truncate(before);
            }
            whole
        }
        _ => false,
    }
}

/// The character that all members of `class` fold to.
fn single(class: &regex_syntax::hir::Class) -> Option<char> {
    let regex_syntax::hir::Class::Unicode(class) = class else { return None };
    let mut found = None;
    for range in class.ranges() {
        // Case variants of one letter are a handful of characters.
        if range.end() as u32 - range.start() as u32 > 2 {
            return None;
        }
        for character in range.start()..=range.end() {
            let folded = folds_to_ascii(character)?;
            if *found.get_or_insert(folded) != folded {
                return None;
            }
        }
    }
    found
}

/// Keeps the set whose shortest literal is longest; of these the one with fewer.
fn better(best: &mut Option<Vec<String>>, other: Vec<String>) {
    let worth = |set: &[String]| (set.iter().map(String::len).min().unwrap_or(0).min(8), std::cmp::Reverse(set.len()));
    if worth(&other).0 >= LITERAL_BYTES_MIN && best.as_ref().is_none_or(|it| worth(&other) > worth(it)) {
        *best = Some(other);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sigma::text::folded;

    fn check(expression: &str, expected: &[&str]) {
        let found = needed_by(expression).unwrap_or_default();
        let found: Vec<&str> = found.iter().map(|it| &**it).collect();
        assert_eq!(found, expected, "{expression}");
    }

    #[test]
    fn literals_are_found_inside_and_whatever_the_case() {
        check(r"(?i)\\powershell\.exe\s+-enc", &["\\powershell.exe"]);
        check(r"[Cc]md[0-9]+(?:start|stop)", &["start", "stop"]);
        check(r"foo.*longest.*ab", &["longest"]);
        check(r"(?:abc){2,}x", &["abc"]);
        check(r"(abc)?x", &[]);
        check(r"(?:abc|x)", &[]);
        check(r"\d{4}-[a-z]+", &[]);
        check(r"^(?i:task)\x{212a}ey$", &["taskkey"]);
        check(r"a(b(c(d)))e", &["abcde"]);
        check(r"\babc\b", &["abc"]);
        check("", &[]);
        check("(", &[]);
    }

    proptest! {
        /// What cannot match is never tried, what matches is.
        #[test]
        fn every_match_holds_one_of_the_needed(expression in "(\\(\\?i\\))?[a-cS?*|()+.\\[\\]]{0,12}", text in "[a-csSK\u{17f}]{0,12}") {
            if let (Ok(regex), Some(needed)) = (regex::Regex::new(&expression), needed_by(&expression)) {
                let folded = folded(&text);
                let holds = needed.iter().any(|it| folded.contains(&**it));
                prop_assert!(holds || !regex.is_match(&text), "{expression} on {text} needs {needed:?}");
            }
        }
    }
}
