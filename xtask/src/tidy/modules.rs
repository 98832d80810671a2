//! Every source file is part of a crate, and every crate says what it is.

use std::collections::BTreeSet;

use super::{Problem, Tree, manifest};

/// A file that no `mod` leads to is neither compiled nor tested.
pub(super) fn no_dead_files(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for folder in packages(tree) {
        let alive = reachable(tree, &folder);
        for path in tree.under(&format!("{folder}/")).filter(|it| it.ends_with(".rs")) {
            if !alive.contains(path) {
                problems.push(Problem::new(path, 0, "no `mod` leads here: declare it or delete it"));
            }
        }
    }
    problems
}

pub(super) fn every_crate_says_what_it_is(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for folder in packages(tree) {
        for name in ["lib.rs", "main.rs"] {
            let path = format!("{folder}/src/{name}");
            if tree.text(&path).is_some_and(|it| !it.starts_with("//!")) {
                problems.push(Problem::new(
                    path,
                    1,
                    "begin with `//!`: what goes in and out, where to look first, invariants",
                ));
            }
        }
    }
    problems
}

fn packages(tree: &Tree) -> Vec<String> {
    let mut folders: Vec<String> = tree.crates().iter().map(|it| format!("crates/{it}")).collect();
    if tree.has("xtask/Cargo.toml") {
        folders.push("xtask".to_owned());
    }
    folders
}

fn reachable(tree: &Tree, folder: &str) -> BTreeSet<String> {
    let manifest = tree.text(&format!("{folder}/Cargo.toml")).unwrap_or_default();
    let mut waiting: Vec<String> =
        manifest::target_paths(manifest).iter().map(|it| format!("{folder}/{it}")).filter(|it| tree.has(it)).collect();
    waiting.extend(tree.under(&format!("{folder}/")).filter(|it| is_root(it, folder)).map(str::to_owned));
    let roots: BTreeSet<String> = waiting.iter().cloned().collect();
    let mut alive = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        let text = tree.text(&path).unwrap_or_default();
        waiting.extend(
            targets(text, &path, roots.contains(&path)).into_iter().filter(|it| tree.has(it) && !alive.contains(it)),
        );
        alive.insert(path);
    }
    alive
}

/// What cargo compiles without being told.
fn is_root(path: &str, folder: &str) -> bool {
    let Some(rest) = path.strip_prefix(folder).and_then(|it| it.strip_prefix('/')) else { return false };
    let parts: Vec<&str> = rest.split('/').collect();
    match parts.as_slice() {
        ["build.rs"] | ["src", "lib.rs" | "main.rs"] => true,
        ["tests" | "benches" | "examples", name] | ["src", "bin", name] => name.ends_with(".rs"),
        ["tests" | "benches" | "examples", _, "main.rs"] | ["src", "bin", _, "main.rs"] => true,
        _ => false,
    }
}

/// The files that the modules and includes of a file may mean.
fn targets(text: &str, path: &str, is_root: bool) -> Vec<String> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.trim_end_matches(".rs");
    let children = if is_root || stem == "mod" { parent.to_owned() } else { format!("{parent}/{stem}") };
    let mut found = Vec::new();
    let mut stated_path = None;
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("#[path") {
            stated_path = quoted(rest);
            continue;
        }
        if let Some((_, rest)) = line.split_once("include!(")
            && let Some(included) = quoted(rest)
        {
            found.push(joined(parent, included));
        }
        let Some(module) = declared_module(line) else { continue };
        match stated_path.take() {
            Some(stated) => found.push(joined(parent, stated)),
            None => found.extend([format!("{children}/{module}.rs"), format!("{children}/{module}/mod.rs")]),
        }
    }
    found
}

/// `x` in `mod x;`, whoever may see it.
fn declared_module(line: &str) -> Option<&str> {
    let line = match line.strip_prefix("pub") {
        Some(rest) => match rest.strip_prefix('(') {
            Some(scope) => scope.split_once(')')?.1,
            None => rest,
        },
        None => line,
    };
    let name = line.trim_start().strip_prefix("mod ")?.split_once(';')?.0.trim();
    (!name.is_empty() && name.chars().all(|it| it.is_alphanumeric() || it == '_')).then_some(name)
}

fn quoted(text: &str) -> Option<&str> {
    text.split('"').nth(1)
}

/// `path` as seen from `folder`, without `.` and `..`.
pub(super) fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            // What leads out of the repository stays so.
            ".." if parts.last().is_none_or(|it| *it == "..") => parts.push(".."),
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    #[test]
    fn a_file_without_its_mod_is_dead() {
        expect(
            no_dead_files,
            &[
                ("crates/a/Cargo.toml", ""),
                ("crates/a/build.rs", ""),
                ("crates/a/src/lib.rs", "mod one;\npub(crate) mod two;\n// mod dead;\n"),
                ("crates/a/src/one.rs", "#[cfg(test)]\n#[path = \"one_tests.rs\"]\nmod tests;\nmod deep;\n"),
                ("crates/a/src/one_tests.rs", ""),
                ("crates/a/src/one/deep.rs", ""),
                ("crates/a/src/two/mod.rs", "pub mod x;\n"),
                ("crates/a/src/two/x.rs", ""),
                ("crates/a/src/dead.rs", "mod below;\n"),
                ("crates/a/src/dead/below.rs", ""),
                ("crates/a/tests/story.rs", "mod common;\n"),
                ("crates/a/tests/common/mod.rs", ""),
                ("crates/a/benches/speed.rs", ""),
            ],
            &[
                "crates/a/src/dead.rs:1: no `mod` leads here: declare it or delete it",
                "crates/a/src/dead/below.rs:1: no `mod` leads here: declare it or delete it",
            ],
        );
    }

    #[test]
    fn paths_in_the_manifest_and_includes_count() {
        expect(
            no_dead_files,
            &[
                ("xtask/Cargo.toml", "[[bin]]\nname = \"x\"\npath = \"odd/place.rs\"\n"),
                ("xtask/odd/place.rs", "include!(\"../table.rs\");\n"),
                ("xtask/table.rs", ""),
                ("xtask/lost.rs", ""),
            ],
            &["xtask/lost.rs:1: no `mod` leads here: declare it or delete it"],
        );
    }

    #[test]
    fn a_crate_without_a_page_is_named() {
        expect(
            every_crate_says_what_it_is,
            &[
                ("crates/a/Cargo.toml", ""),
                ("crates/a/src/lib.rs", "mod one;\n"),
                ("crates/b/Cargo.toml", ""),
                ("crates/b/src/main.rs", "//! B.\n"),
            ],
            &["crates/a/src/lib.rs:1: begin with `//!`: what goes in and out, where to look first, invariants"],
        );
    }

    #[test]
    fn joined_paths_have_no_detours() {
        assert_eq!(joined("docs/adr", "../../README.md"), "README.md");
        assert_eq!(joined("docs", "./a/../b.md"), "docs/b.md");
        assert_eq!(joined("", "../x"), "../x");
    }
}
