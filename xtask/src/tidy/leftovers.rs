//! What was meant to be taken out again.

use super::{Problem, Tree};

/// Longer files want a second room.
const LINES_MAX: usize = 900;
/// Within so many lines from the top, this word says that a machine wrote the file.
const GENERATED_MARK: (&str, usize) = ("@generated", 5);

/// Written in two halves, so that this file passes its own check.
const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const MACROS: &[&str] = &[concat!("to", "do!"), concat!("unimplemen", "ted!"), concat!("db", "g!")];

pub(super) fn no_leftovers(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.texts(&[".rs", ".toml", ".yml", ".yaml", ".sh", "/run"]) {
        for (index, line) in text.lines().enumerate() {
            for mark in MARKS.iter().filter(|it| has_word(line, it)) {
                problems.push(Problem::new(path, index + 1, format!("`{mark}` is left over: do it, or open an issue")));
            }
            if !path.ends_with(".rs") || line.trim_start().starts_with("//") {
                continue;
            }
            for name in MACROS.iter().filter(|it| has_word(line, it)) {
                problems.push(Problem::new(path, index + 1, format!("`{name}` is left over")));
            }
            if line.trim_start().starts_with(concat!("#[ign", "ore")) {
                problems.push(Problem::new(path, index + 1, "an ignored test tests nothing: mend it or delete it"));
            }
        }
    }
    problems
}

/// An exception from a lint says why it is one.
pub(super) fn no_exception_without_reason(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.texts(&[".rs"]) {
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let line = line.trim_start();
            let Some(rest) = line.strip_prefix("#![").or_else(|| line.strip_prefix("#[")) else { continue };
            if !rest.starts_with("allow(") && !rest.starts_with("expect(") {
                continue;
            }
            let end = lines.iter().skip(index).position(|it| it.trim_end().ends_with(']')).unwrap_or(0);
            if !lines.iter().skip(index).take(end + 1).any(|it| it.contains("reason")) {
                problems.push(Problem::new(path, index + 1, "an exception from a lint needs `reason = \"…\"`"));
            }
        }
    }
    problems
}

pub(super) fn no_ragged_lines(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.texts(&[".rs", ".md", ".toml", ".yml", ".yaml", ".sh", "/run"]) {
        for (index, line) in text.split('\n').enumerate() {
            // In Rust, rustfmt sees to it, and texts that tests expect may need blanks.
            if line.ends_with([' ', '\t', '\r']) && !path.ends_with(".rs") {
                problems.push(Problem::new(path, index + 1, "blank at the end of the line"));
            }
        }
        if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
            problems.push(Problem::new(path, text.lines().count(), "a file ends with exactly one line break"));
        }
    }
    problems
}

pub(super) fn no_endless_files(tree: &Tree) -> Vec<Problem> {
    tree.texts(&[".rs"])
        .filter(|(_, text)| !text.lines().take(GENERATED_MARK.1).any(|it| it.contains(GENERATED_MARK.0)))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| Problem::new(path, lines, format!("{lines} lines, more than {LINES_MAX}: split it")))
        .collect()
}

/// Whether `word` stands in `line` with no letter, digit or underscore on either side.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |it: char| it.is_alphanumeric() || it == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|it| it.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|it| it.chars().next());
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    #[test]
    fn leftovers_are_named_with_their_line() {
        let text = format!(
            "// {}: later\nfn f() {{ {}() }}\nlet xxx = \"{}YZ\";\n// {}(x) in a comment\n{}]\n",
            MARKS[0],
            MACROS[0],
            MARKS[2],
            MACROS[2],
            concat!("#[ign", "ore"),
        );
        let expected = [
            format!("a.rs:1: `{}` is left over: do it, or open an issue", MARKS[0]),
            format!("a.rs:2: `{}` is left over", MACROS[0]),
            "a.rs:5: an ignored test tests nothing: mend it or delete it".to_owned(),
        ];
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        expect(no_leftovers, &[("a.rs", &text)], &expected);
    }

    #[test]
    fn marks_count_in_rules_and_scripts_too() {
        let text = format!("# {} later\n", MARKS[1]);
        let path = ".ci/run";
        let expected = format!("{path}:1: `{}` is left over: do it, or open an issue", MARKS[1]);
        expect(no_leftovers, &[(path, &text)], &[&expected]);
    }

    #[test]
    fn an_exception_needs_a_reason() {
        expect(
            no_exception_without_reason,
            &[(
                "a.rs",
                "#![allow(dead_code)]\n#[expect(\n    dead_code,\n    reason = \"kept\"\n)]\n#[expect(unused)]\nfn f() {}\n",
            )],
            &[
                "a.rs:1: an exception from a lint needs `reason = \"…\"`",
                "a.rs:6: an exception from a lint needs `reason = \"…\"`",
            ],
        );
    }

    #[test]
    fn ragged_lines_and_ends_are_seen() {
        expect(
            no_ragged_lines,
            &[("a.md", "one \ntwo\n"), ("b.toml", "x = 1"), ("c.yml", "x: 1\n\n"), ("d.rs", "kept \n")],
            &[
                "a.md:1: blank at the end of the line",
                "b.toml:1: a file ends with exactly one line break",
                "c.yml:2: a file ends with exactly one line break",
            ],
        );
    }

    #[test]
    fn long_files_are_seen_unless_a_machine_wrote_them() {
        let long = "x\n".repeat(LINES_MAX + 1);
        let generated = format!("// {}\n{long}", GENERATED_MARK.0);
        let fits = "x\n".repeat(LINES_MAX);
        expect(
            no_endless_files,
            &[("a.rs", &long), ("b.rs", &generated), ("c.rs", &fits)],
            &["a.rs:901: 901 lines, more than 900: split it"],
        );
    }
}
