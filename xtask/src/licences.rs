//! Which licences may be linked. Asked of `cargo metadata`, for the platform that we build on.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::run;

/// Licences that ask for no more than a notice, and MPL-2.0, whose conditions end at its own files.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

/// Crates that must not come in, whatever their licence.
const REFUSED: &[(&str, &str)] = &[
    ("openssl-sys", "TLS is rustls with ring; OpenSSL needs a -dev package"),
    ("native-tls", "TLS is rustls with ring"),
    ("aws-lc-sys", "TLS is rustls with ring; aws-lc needs cmake"),
    ("bindgen", "needs libclang; `gcc` alone must do"),
    ("cmake", "`gcc` alone must do"),
];

pub(crate) fn run() -> anyhow::Result<bool> {
    let (summary, problems) = examine()?;
    for problem in &problems {
        eprintln!("licences: {problem}");
    }
    println!("licences: {summary}");
    Ok(problems.is_empty())
}

/// One line of counts, and what is wrong.
pub(crate) fn examine() -> anyhow::Result<(String, Vec<String>)> {
    let host = run::output(std::process::Command::new("rustc").arg("-vV"))?;
    let host = host.lines().find_map(|it| it.strip_prefix("host: ")).context("rustc names no host")?;
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", host];
    let metadata: Value = serde_json::from_str(&run::output(run::cargo().args(arguments))?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let problems = problems(packages);
    let foreign: Vec<&Value> = packages.iter().filter(|it| !it["source"].is_null()).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for package in &foreign {
        *counts.entry(package["license"].as_str().unwrap_or("?")).or_default() += 1;
    }
    Ok((format!("{} packages from outside under {} licence texts", foreign.len(), counts.len()), problems))
}

fn problems(packages: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in packages.iter().filter(|it| !it["source"].is_null()) {
        let name = package["name"].as_str().unwrap_or("?");
        let version = package["version"].as_str().unwrap_or("?");
        if let Some((_, reason)) = REFUSED.iter().find(|it| it.0 == name) {
            problems.push(format!("{name} {version} is refused: {reason}"));
        }
        match package["license"].as_str() {
            None => problems.push(format!("{name} {version} names no licence")),
            Some(text) => match is_allowed(text) {
                Ok(true) => {}
                Ok(false) => problems.push(format!("{name} {version} is under `{text}`, which is not allowed")),
                Err(error) => problems.push(format!("{name} {version}: {error:#}")),
            },
        }
    }
    problems
}

/// Whether an SPDX expression leaves a choice of allowed licences alone. `A/B` is how `A OR B` was once written.
fn is_allowed(expression: &str) -> anyhow::Result<bool> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let allowed = any_of(&mut rest).with_context(|| format!("`{expression}` is no licence expression"))?;
    if !rest.is_empty() {
        bail!("`{expression}` is no licence expression");
    }
    Ok(allowed)
}

fn any_of(words: &mut &[&str]) -> Option<bool> {
    let mut allowed = all_of(words)?;
    while let Some((&"OR", rest)) = words.split_first() {
        *words = rest;
        allowed |= all_of(words)?;
    }
    Some(allowed)
}

fn all_of(words: &mut &[&str]) -> Option<bool> {
    let mut allowed = one(words)?;
    while let Some((&"AND", rest)) = words.split_first() {
        *words = rest;
        allowed &= one(words)?;
    }
    Some(allowed)
}

fn one(words: &mut &[&str]) -> Option<bool> {
    let (&first, rest) = words.split_first()?;
    *words = rest;
    if first == "(" {
        let allowed = any_of(words)?;
        let (&")", rest) = words.split_first()? else { return None };
        *words = rest;
        return Some(allowed);
    }
    if let ["WITH", exception, rest @ ..] = *words {
        *words = rest;
        return Some(ALLOWED.contains(&format!("{first} WITH {exception}").as_str()));
    }
    (!["AND", "OR", "WITH", ")"].contains(&first)).then(|| ALLOWED.contains(&first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_allowed_choice_is_enough_but_all_conditions_count() {
        for (expression, expected) in [
            ("MIT", true),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0-only", false),
            ("LGPL-2.1-or-later", false),
            ("AGPL-3.0", false),
            ("OpenSSL", false),
            ("MIT OR LGPL-2.1-or-later", true),
            ("MIT AND GPL-2.0", false),
            ("(MIT OR GPL-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND OpenSSL", false),
            ("GPL-2.0 OR MIT AND ISC", true),
            ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", true),
            ("GPL-2.0 WITH Classpath-exception-2.0", false),
        ] {
            assert_eq!(is_allowed(expression).unwrap(), expected, "{expression}");
        }
        for broken in ["", "MIT OR", "(MIT", "MIT Apache-2.0", "OR MIT", "MIT WITH"] {
            assert!(is_allowed(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn refused_unknown_and_unnamed_packages_are_listed() {
        let package = |name: &str, licence: Value, source: &str| serde_json::json!({ "name": name, "version": "1.0.0", "license": licence, "source": source });
        let mut own = package("panoptes", Value::Null, "");
        own["source"] = Value::Null;
        let packages = [
            own,
            package("fine", "MIT".into(), "registry"),
            package("aws-lc-sys", "ISC".into(), "registry"),
            package("copyleft", "GPL-2.0".into(), "registry"),
            package("silent", Value::Null, "registry"),
        ];
        assert_eq!(
            problems(&packages),
            [
                "aws-lc-sys 1.0.0 is refused: TLS is rustls with ring; aws-lc needs cmake",
                "copyleft 1.0.0 is under `GPL-2.0`, which is not allowed",
                "silent 1.0.0 names no licence",
            ]
        );
    }
}
