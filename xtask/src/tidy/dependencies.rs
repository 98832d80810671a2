//! Who may depend on whom, and on what from outside.

use std::collections::BTreeMap;

use super::manifest::{self, Kind};
use super::{Problem, Tree};

/// Which Panoptes crates a crate may depend on. Everything not listed is refused; tests may use what they like.
/// A stage never depends on another stage: only `engine` and `panoptes` compose.
const ALLOWED: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("stdx", &[]),
    ("seal", &["stdx"]),
    ("config", &["model", "stdx"]),
    ("intake", &["model", "stdx"]),
    ("normalize", &["model"]),
    ("enrich", &["model"]),
    ("detect", &["model"]),
    ("correlate", &["model"]),
    ("engine", &["model", "normalize", "enrich", "detect", "correlate"]),
    ("store", &["model", "stdx", "seal"]),
    ("catalog", &["model", "seal", "stdx"]),
    ("testkit", &["model", "stdx"]),
    (
        "panoptes",
        &[
            "catalog",
            "config",
            "correlate",
            "detect",
            "engine",
            "enrich",
            "intake",
            "model",
            "normalize",
            "seal",
            "stdx",
            "store",
        ],
    ),
];

/// Where each dependency says why it is there.
const REASONS: &str = "docs/dependencies.md";

pub(super) fn direction(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for krate in tree.crates() {
        let path = format!("crates/{krate}/Cargo.toml");
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == krate) else {
            problems.push(Problem::new(path, 0, format!("crate `{krate}` has no line in ALLOWED of xtask tidy")));
            continue;
        };
        for dependency in manifest::dependencies(tree.text(&path).unwrap_or_default()) {
            let Some(name) = dependency.name.strip_prefix("panoptes-") else { continue };
            if dependency.kind == Kind::Real && !allowed.contains(&name) {
                let text = format!("crate `{krate}` must not depend on `{name}`: only `engine` and `panoptes` compose");
                problems.push(Problem::new(&path, dependency.line, text));
            }
        }
    }
    for dependency in manifest::dependencies(tree.text("xtask/Cargo.toml").unwrap_or_default()) {
        if dependency.name.starts_with("panoptes") {
            let text = "`xtask` must depend on no Panoptes crate: it has to build when they don't";
            problems.push(Problem::new("xtask/Cargo.toml", dependency.line, text));
        }
    }
    problems
}

/// Versions and features stand in one place, and nothing stands there that nobody uses.
pub(super) fn from_the_workspace(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut unused: BTreeMap<&str, usize> = manifest::dependencies(tree.text("Cargo.toml").unwrap_or_default())
        .iter()
        .map(|it| (it.name, it.line))
        .collect();
    for (path, text) in tree.manifests() {
        for dependency in manifest::dependencies(text) {
            unused.remove(dependency.name);
            if !dependency.from_workspace {
                let text = format!("`{0}` states a version of its own; write `{0}.workspace = true`", dependency.name);
                problems.push(Problem::new(path, dependency.line, text));
            }
        }
    }
    for (name, line) in unused {
        problems.push(Problem::new("Cargo.toml", line, format!("no crate uses `{name}`")));
    }
    problems
}

/// Every dependency from outside has a row that says why, and every row a dependency.
pub(super) fn described(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut rows = BTreeMap::new();
    for (index, line) in tree.text(REASONS).unwrap_or_default().lines().enumerate() {
        let mut cells = line.split('|').map(str::trim);
        let (Some(""), Some(name)) = (cells.next(), cells.next()) else { continue };
        let Some(name) = name.strip_prefix('`').and_then(|it| it.strip_suffix('`')) else { continue };
        if rows.insert(name, index + 1).is_some() {
            problems.push(Problem::new(REASONS, index + 1, format!("`{name}` has a second row")));
        }
        if cells.filter(|it| !it.is_empty()).count() < 2 {
            problems.push(Problem::new(REASONS, index + 1, format!("`{name}` needs a licence and a reason")));
        }
    }
    for dependency in manifest::dependencies(tree.text("Cargo.toml").unwrap_or_default()) {
        if !dependency.name.starts_with("panoptes-") && rows.remove(dependency.name).is_none() {
            let text = format!("`{}` has no row in {REASONS}: say why it is needed", dependency.name);
            problems.push(Problem::new("Cargo.toml", dependency.line, text));
        }
    }
    for (name, line) in rows {
        problems.push(Problem::new(REASONS, line, format!("`{name}` is no dependency of the workspace")));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    #[test]
    fn a_stage_must_not_depend_on_another_stage() {
        expect(
            direction,
            &[
                ("crates/model/Cargo.toml", "[dependencies]\n"),
                (
                    "crates/detect/Cargo.toml",
                    "[dependencies]\npanoptes-model.workspace = true\npanoptes-normalize.workspace = true\n",
                ),
                ("crates/engine/Cargo.toml", "[dependencies]\npanoptes-detect.workspace = true\n"),
                ("crates/correlate/Cargo.toml", "[dev-dependencies]\npanoptes-detect.workspace = true\n"),
            ],
            &[
                "crates/detect/Cargo.toml:3: crate `detect` must not depend on `normalize`: only `engine` and `panoptes` compose",
            ],
        );
    }

    #[test]
    fn an_edge_in_any_kind_of_table_is_seen() {
        expect(
            direction,
            &[(
                "crates/seal/Cargo.toml",
                "[target.'cfg(unix)'.dependencies.panoptes-store]\nworkspace = true\n[build-dependencies]\npanoptes-model.workspace = true\n",
            )],
            &[
                "crates/seal/Cargo.toml:1: crate `seal` must not depend on `store`: only `engine` and `panoptes` compose",
                "crates/seal/Cargo.toml:4: crate `seal` must not depend on `model`: only `engine` and `panoptes` compose",
            ],
        );
    }

    #[test]
    fn a_new_crate_must_state_its_edges() {
        expect(
            direction,
            &[("crates/surprise/Cargo.toml", "")],
            &["crates/surprise/Cargo.toml:1: crate `surprise` has no line in ALLOWED of xtask tidy"],
        );
    }

    #[test]
    fn xtask_depends_on_no_crate_of_ours() {
        expect(
            direction,
            &[("xtask/Cargo.toml", "[dependencies]\npanoptes-model.workspace = true\n")],
            &["xtask/Cargo.toml:2: `xtask` must depend on no Panoptes crate: it has to build when they don't"],
        );
    }

    #[test]
    fn versions_stand_in_the_workspace_and_are_used() {
        expect(
            from_the_workspace,
            &[
                ("Cargo.toml", "[workspace.dependencies]\na = \"1\"\nb = \"1\"\n"),
                ("crates/model/Cargo.toml", "[dependencies]\na.workspace = true\nc = \"1\"\n"),
                ("peers/normalize/Cargo.toml", "[dependencies]\nc = \"1\"\n"),
            ],
            &[
                "crates/model/Cargo.toml:3: `c` states a version of its own; write `c.workspace = true`",
                "Cargo.toml:3: no crate uses `b`",
            ],
        );
    }

    #[test]
    fn dependencies_and_reasons_match_both_ways() {
        expect(
            described,
            &[
                (
                    "Cargo.toml",
                    "[workspace.dependencies]\npanoptes-model = { path = \"crates/model\" }\na = \"1\"\nb = \"1\"\n",
                ),
                (
                    "docs/dependencies.md",
                    "| name | licence | why |\n| --- | --- | --- |\n| `a` | MIT | |\n| `c` | MIT | gone |\n",
                ),
            ],
            &[
                "docs/dependencies.md:3: `a` needs a licence and a reason",
                "Cargo.toml:4: `b` has no row in docs/dependencies.md: say why it is needed",
                "docs/dependencies.md:4: `c` is no dependency of the workspace",
            ],
        );
    }
}
