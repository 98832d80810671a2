//! The two commands of the README share one build.
//!
//! Cargo builds a dependency again when another set of its features is asked for, and everything above it too: one
//! feature that only a test's dependency switches on can have the whole query engine built twice.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;

use crate::run;

/// Says how many packages are shared, or which are not.
pub(crate) fn examine() -> anyhow::Result<String> {
    let run = packages(&["--package", "panoptes", "--edges", "normal,build"])?;
    let test = packages(&["--workspace", "--edges", "normal,build,dev"])?;
    let differences = differences(&run, &test);
    if !differences.is_empty() {
        bail!(
            "`cargo run` and `cargo test --workspace` would each build these, and what depends on them: {}; \
             let `panoptes` ask for the features that are missing",
            differences.join("; ")
        );
    }
    Ok(format!("{} packages are built once for `cargo run` and `cargo test`", run.len()))
}

/// Each package with the features it is built with: once, or twice if build scripts want others.
type Packages = BTreeMap<String, BTreeSet<String>>;

fn packages(arguments: &[&str]) -> anyhow::Result<Packages> {
    let mut tree = run::cargo();
    tree.args(["tree", "--locked", "--prefix", "none", "--format", "{p}|{f}"]);
    Ok(read(&run::output(tree.args(arguments))?))
}

fn read(tree: &str) -> Packages {
    let mut packages = Packages::new();
    for line in tree.lines() {
        if let Some((package, features)) = line.split_once('|') {
            // What was shown before is marked.
            let features = features.trim_end_matches(" (*)");
            // Our own crates are shown with their folder.
            let package = package.split(" (/").next().unwrap_or(package);
            packages.entry(package.to_owned()).or_default().insert(features.to_owned());
        }
    }
    packages
}

fn differences(run: &Packages, test: &Packages) -> Vec<String> {
    let mut found = Vec::new();
    for (package, features) in run {
        let Some(tested) = test.get(package) else { continue };
        for set in tested.difference(features) {
            let known: BTreeSet<&str> = features.iter().flat_map(|it| it.split(',')).collect();
            let more: Vec<&str> = set.split(',').filter(|it| !known.contains(it)).collect();
            found.push(format!("{package} (tests also want {})", more.join(", ")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_only_tests_want_is_named() {
        let run = read("panoptes v0.1.0 (/somewhere/crates/panoptes)|default\na v1.0.0|std\nb v1.0.0 (proc-macro)|\n");
        let test = read("a v1.0.0|default,std\na v1.0.0|default,std (*)\nb v1.0.0 (proc-macro)|\nc v1.0.0|x\n");
        assert_eq!(run.len(), 3);
        assert_eq!(differences(&run, &test), ["a v1.0.0 (tests also want default)"]);
        assert!(differences(&run, &run).is_empty());
    }
}
