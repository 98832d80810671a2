//! `cargo xtask tidy`: order that the compiler does not keep. All problems at once, each with file and line.

mod dependencies;
mod documents;
mod leftovers;
mod manifest;
mod map;
mod modules;
mod rules;
mod tree;

use std::fmt;

use crate::run::root;

pub(crate) use self::tree::Tree;

type Check = fn(&Tree) -> Vec<Problem>;

/// Every check, in the order in which its problems are shown.
const ALL: &[Check] = &[
    dependencies::direction,
    dependencies::from_the_workspace,
    dependencies::described,
    map::every_crate_is_on_the_map,
    modules::no_dead_files,
    modules::every_crate_says_what_it_is,
    leftovers::no_leftovers,
    leftovers::no_exception_without_reason,
    leftovers::no_ragged_lines,
    leftovers::no_endless_files,
    documents::links_resolve,
    documents::changelog_has_unreleased,
    documents::licence_is_there,
    rules::every_rule_has_a_test,
];

/// Something out of order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    path: String,
    /// 1-based; 0 is the file as a whole.
    line: usize,
    text: String,
}

impl Problem {
    fn new(path: impl Into<String>, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.into(), line, text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line.max(1), self.text)
    }
}

pub(crate) fn run() -> anyhow::Result<bool> {
    let tree = Tree::read(&root())?;
    let problems = problems(&tree);
    for problem in &problems {
        eprintln!("{problem}");
    }
    if problems.is_empty() {
        println!("tidy: {} files, nothing to say", tree.len());
    } else {
        eprintln!("tidy: {} problems", problems.len());
    }
    Ok(problems.is_empty())
}

fn problems(tree: &Tree) -> Vec<Problem> {
    ALL.iter().flat_map(|check| check(tree)).collect()
}

#[cfg(test)]
#[track_caller]
fn expect(check: Check, files: &[(&str, &str)], expected: &[&str]) {
    let found: Vec<String> = check(&Tree::of(files)).iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}
