//! The project's documents: links lead somewhere, the changelog is open, the licence is there.

use super::modules::joined;
use super::{Problem, Tree};

pub(super) fn links_resolve(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.texts(&[".md"]) {
        let folder = path.rsplit_once('/').map_or("", |it| it.0);
        for (line, target) in links(text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let resolved = if file.is_empty() { path.to_owned() } else { joined(folder, file) };
            if !tree.has(&resolved) && !tree.has_folder(&resolved) {
                problems.push(Problem::new(path, line, format!("the link `{target}` leads nowhere")));
            } else if !anchor.is_empty()
                && let Some(text) = tree.text(&resolved)
                && resolved.ends_with(".md")
                && !anchors(text).iter().any(|it| it == anchor)
            {
                problems.push(Problem::new(path, line, format!("no heading of {resolved} answers to `#{anchor}`")));
            }
        }
    }
    problems
}

pub(super) fn changelog_has_unreleased(tree: &Tree) -> Vec<Problem> {
    match tree.text("CHANGELOG.md") {
        Some(text) if text.lines().any(|it| it.trim_end() == "## [Unreleased]") => Vec::new(),
        _ => vec![Problem::new("CHANGELOG.md", 0, "there is no section `## [Unreleased]`")],
    }
}

pub(super) fn licence_is_there(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !tree.text("LICENSE").is_some_and(|it| it.contains("Apache License") && it.contains("Version 2.0")) {
        problems.push(Problem::new("LICENSE", 0, "the text of the Apache License 2.0 is missing"));
    }
    for (path, text) in tree.manifests() {
        if !text.lines().any(|it| it.replace(' ', "") == "license.workspace=true") {
            problems.push(Problem::new(path, 0, "write `license.workspace = true`"));
        }
    }
    problems
}

/// Targets of `[text](target)` and `[name]: target` with their lines, outside of code.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (index, line) in prose(text) {
        if line.trim_start().starts_with('[')
            && let Some((_, target)) = line.split_once("]: ")
            && let Some(target) = target.split_whitespace().next()
        {
            found.push((index + 1, target));
        }
        // Every other piece is inside backticks.
        for piece in line.split('`').step_by(2) {
            for (at, _) in piece.match_indices("](") {
                let rest = piece.get(at + 2..).unwrap_or("");
                if let Some((target, _)) = rest.split_once(')')
                    && let Some(target) = target.split_whitespace().next()
                {
                    found.push((index + 1, target));
                }
            }
        }
    }
    found
}

/// What headings are called in links: lower case, blanks as dashes, no punctuation.
fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).filter(|(_, line)| line.starts_with('#'));
    let slug = |heading: &str| {
        heading
            .trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'))
            .map(|it| if it == ' ' { '-' } else { it })
            .collect()
    };
    headings.map(|(_, line)| slug(line)).collect()
}

/// Lines outside of fenced code, with their index.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    #[test]
    fn links_into_the_repository_resolve() {
        expect(
            links_resolve,
            &[
                (
                    "README.md",
                    "# Top\n[a](docs/a.md) [b](docs/b.md) [web](https://example.org/x) [top](#top) [no](#nowhere)\n```\n[code](gone.md)\n```\n`[span](gone.md)`\n[ref]: docs/c.md\n",
                ),
                (
                    "docs/a.md",
                    "## Ports & files\n[up](../README.md) [there](#ports--files) [out](../../other/x.md) [folder](adr/)\n",
                ),
                ("docs/adr/1.md", "[p](../a.md#ports)\n"),
            ],
            &[
                "README.md:2: the link `docs/b.md` leads nowhere",
                "README.md:2: no heading of README.md answers to `#nowhere`",
                "README.md:7: the link `docs/c.md` leads nowhere",
                "docs/a.md:2: the link `../../other/x.md` leads nowhere",
                "docs/adr/1.md:1: no heading of docs/a.md answers to `#ports`",
            ],
        );
    }

    #[test]
    fn the_changelog_is_open() {
        let expected = "CHANGELOG.md:1: there is no section `## [Unreleased]`";
        expect(changelog_has_unreleased, &[("CHANGELOG.md", "# Changelog\n## 1.0\n")], &[expected]);
        expect(changelog_has_unreleased, &[], &[expected]);
        expect(changelog_has_unreleased, &[("CHANGELOG.md", "# Changelog\n## [Unreleased]\n")], &[]);
    }

    #[test]
    fn a_licence_must_be_there_and_be_named() {
        expect(
            licence_is_there,
            &[("LICENSE", "MIT"), ("crates/a/Cargo.toml", "license = \"MIT\"\n")],
            &[
                "LICENSE:1: the text of the Apache License 2.0 is missing",
                "crates/a/Cargo.toml:1: write `license.workspace = true`",
            ],
        );
    }
}
