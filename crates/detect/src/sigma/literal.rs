//! Which literals a regular expression needs: text without any of them cannot match and is never tried.

use regex_syntax::hir::{Hir, HirKind};

use super::text::folds_to_ascii;

/// A literal that is less [rare](rarity) is in every other text: an expression that has no rarer one is tried on every
/// value, or on demand.
const RARITY_MIN: u32 = 8;
/// Beyond it, fewer literals are worth more than rarer ones.
const RARITY_ENOUGH: u32 = 12;
/// How many alternatives a need may have. More are not worth looking for.
const ALTERNATIVES_MAX: usize = 64;
/// How many texts a part of an expression may stand for exactly before only their beginnings and ends count.
const EXACT_MAX: usize = 32;
/// Longer literals are cut: what is cut off makes them no rarer.
const LITERAL_BYTES_MAX: usize = 64;
/// Deeper parts of an expression are taken to need nothing.
const DEPTH_MAX: usize = 64;

/// How rarely a text contains the folded `literal`, roughly in bits: what separates words is in every path and command
/// line, other punctuation in few.
pub(crate) fn rarity(literal: &str) -> u32 {
    let of_byte = |byte: u8| match byte {
        b' ' | b'-' | b'.' | b'\\' | b'/' | b':' | b'"' | b'_' | b',' | b'=' | b'\n' | b'\r' | b'\t' => 2,
        byte if byte.is_ascii_alphanumeric() => 3,
        _ => 5,
    };
    literal.bytes().map(of_byte).sum()
}

/// Whether it is worth looking for `literal` in every value, to try what needs it where it is found.
pub(crate) fn is_rare(literal: &str) -> bool {
    rarity(literal) >= RARITY_MIN
}

/// Folded literals of which every text that the expression matches holds at least one; `None` if there is no such
/// set of [rare](is_rare) literals.
pub(crate) fn needed_by(expression: &str) -> Option<Vec<Box<str>>> {
    let tree = regex_syntax::Parser::new().parse(expression).ok()?;
    let mut shape = shape(&tree, 0);
    shape.settle();
    let mut best = shape.best?;
    best.sort_unstable();
    // What holds one that another is part of holds the other as well.
    let all = best.clone();
    best.retain(|it| !all.iter().any(|other| other != it && it.contains(other.as_str())));
    Some(best.into_iter().map(String::into_boxed_str).collect())
}

/// What every match of a part of an expression looks like, folded.
#[derive(Default)]
struct Shape {
    /// It is one of these.
    exact: Option<Vec<String>>,
    /// It begins with one of these, if it is not exact.
    starts: Vec<String>,
    /// It ends with one of these, if it is not exact.
    ends: Vec<String>,
    /// It holds one of these.
    best: Option<Vec<String>>,
}

impl Shape {
    fn exactly(texts: Vec<String>) -> Self {
        Self { exact: Some(texts), ..Self::default() }
    }

    fn anything() -> Self {
        Self { starts: vec![String::new()], ends: vec![String::new()], ..Self::default() }
    }

    /// Counts all that is known of it as needed.
    fn settle(&mut self) {
        if let Some(exact) = self.exact.take() {
            self.starts.clone_from(&exact);
            self.ends = exact;
        }
        better(&mut self.best, self.starts.clone());
        better(&mut self.best, self.ends.clone());
        for text in &mut self.starts {
            text.truncate(text.floor_char_boundary(LITERAL_BYTES_MAX));
        }
        for text in &mut self.ends {
            text.drain(..text.ceil_char_boundary(text.len().saturating_sub(LITERAL_BYTES_MAX)));
        }
        for texts in [&mut self.starts, &mut self.ends] {
            texts.sort_unstable();
            texts.dedup();
        }
    }

    /// What `self` and then `next` looks like.
    fn then(mut self, mut next: Self) -> Self {
        if let (Some(left), Some(right)) = (&self.exact, &next.exact)
            && let Some(both) = products(left, right)
        {
            return Self { exact: Some(both), best: None, ..Self::default() };
        }
        let before = self.exact.clone();
        let after = next.exact.clone();
        self.settle();
        next.settle();
        let mut best = self.best;
        if let Some(other) = next.best {
            better(&mut best, other);
        }
        if let Some(joint) = products(&self.ends, &next.starts) {
            better(&mut best, joint);
        }
        let starts = before.and_then(|it| products(&it, &next.starts)).unwrap_or(self.starts);
        let ends = after.and_then(|it| products(&self.ends, &it)).unwrap_or(next.ends);
        let mut joined = Self { exact: None, starts, ends, best };
        joined.settle();
        joined
    }
}

/// Each of `left` followed by each of `right`; `None` if there are too many.
fn products(left: &[String], right: &[String]) -> Option<Vec<String>> {
    if left.len() * right.len() > EXACT_MAX {
        return None;
    }
    let mut all: Vec<String> =
        left.iter().flat_map(|start| right.iter().map(move |end| format!("{start}{end}"))).collect();
    all.sort_unstable();
    all.dedup();
    Some(all)
}

fn shape(tree: &Hir, depth: usize) -> Shape {
    if depth > DEPTH_MAX {
        return Shape::anything();
    }
    match tree.kind() {
        HirKind::Empty | HirKind::Look(_) => Shape::exactly(vec![String::new()]),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => literal_shape(text),
            Err(_) => Shape::anything(),
        },
        HirKind::Class(class) => members(class).map_or_else(Shape::anything, Shape::exactly),
        HirKind::Capture(capture) => shape(&capture.sub, depth + 1),
        HirKind::Repetition(repetition) => {
            let inner = shape(&repetition.sub, depth + 1);
            match (repetition.min, repetition.max) {
                (1, Some(1)) => inner,
                (0, Some(1)) => match inner.exact {
                    Some(mut exact) if exact.len() < EXACT_MAX => {
                        exact.push(String::new());
                        Shape::exactly(exact)
                    }
                    _ => Shape::anything(),
                },
                (0, _) => Shape::anything(),
                // Once at its beginning and once at its end, the same one perhaps.
                _ => {
                    let mut inner = inner;
                    inner.settle();
                    inner
                }
            }
        }
        HirKind::Concat(parts) => {
            parts.iter().map(|it| shape(it, depth + 1)).fold(Shape::exactly(vec![String::new()]), Shape::then)
        }
        HirKind::Alternation(parts) => {
            let parts: Vec<Shape> = parts.iter().map(|it| shape(it, depth + 1)).collect();
            either(parts)
        }
    }
}

fn literal_shape(text: &str) -> Shape {
    let mut shape = Shape::exactly(vec![String::new()]);
    let mut run = String::new();
    for character in text.chars() {
        match folds_to_ascii(character) {
            Some(folded) => run.push(folded),
            // The text of a rule is not folded as a value is, beyond ASCII.
            None => shape = shape.then(Shape::exactly(vec![std::mem::take(&mut run)])).then(Shape::anything()),
        }
    }
    shape.then(Shape::exactly(vec![run]))
}

fn either(mut parts: Vec<Shape>) -> Shape {
    let exact: Option<Vec<&Vec<String>>> = parts.iter().map(|it| it.exact.as_ref()).collect();
    if let Some(exact) = exact
        && exact.iter().map(|it| it.len()).sum::<usize>() <= EXACT_MAX
    {
        return Shape::exactly(exact.into_iter().flatten().cloned().collect());
    }
    for part in &mut parts {
        part.settle();
    }
    let all = |of: &dyn Fn(&Shape) -> Vec<String>| {
        let mut all: Vec<String> = parts.iter().flat_map(of).collect();
        all.sort_unstable();
        all.dedup();
        if all.len() > ALTERNATIVES_MAX { vec![String::new()] } else { all }
    };
    let starts = all(&|it| it.starts.clone());
    let ends = all(&|it| it.ends.clone());
    let mut best = None;
    if parts.iter().all(|it| it.best.is_some()) {
        better(&mut best, all(&|it| it.best.clone().unwrap_or_default()));
    }
    Shape { exact: None, starts, ends, best }
}

/// What the members of `class` fold to, if they are few.
fn members(class: &regex_syntax::hir::Class) -> Option<Vec<String>> {
    let regex_syntax::hir::Class::Unicode(class) = class else { return None };
    let mut found: Vec<String> = Vec::new();
    for range in class.ranges() {
        // Case variants of one letter are a handful of characters.
        if range.end() as usize - range.start() as usize > EXACT_MAX {
            return None;
        }
        for character in range.start()..=range.end() {
            found.push(folds_to_ascii(character)?.to_string());
        }
    }
    found.sort_unstable();
    found.dedup();
    (found.len() <= EXACT_MAX && !found.is_empty()).then_some(found)
}

/// Keeps the set whose least rare literal is rarest; of these the one with fewer.
fn better(best: &mut Option<Vec<String>>, other: Vec<String>) {
    let worth = |set: &[String]| {
        let rarity = set.iter().map(|it| rarity(it)).min().unwrap_or(0);
        (rarity.min(RARITY_ENOUGH), std::cmp::Reverse(set.len()), rarity)
    };
    if other.len() <= ALTERNATIVES_MAX
        && worth(&other).0 >= RARITY_MIN
        && best.as_ref().is_none_or(|it| worth(&other) > worth(it))
    {
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
        check(r"(?:abc){2,}x", &["abcx"]);
        check(r"(abc)?x", &[]);
        check(r"\.[a-z0-9_]{1,6}%[ab]", &["%a", "%b"]);
        check(r#""(?:\{\d\})+"\s*-f"#, &[]);
        check(r#"'(?:\{\d\})+'\s*-f"#, &["'{"]);
        check(r"\$\{`?e`?n", &["${`e`n", "${`en", "${e`n", "${en"]);
        check(r"\w`-", &[]);
        check(r"(?:ab|ba){3,}%", &["ab%", "ba%"]);
        check("[\u{430}-\u{434}]", &[]);
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
