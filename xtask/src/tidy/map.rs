//! ARCHITECTURE.md describes the crates that there are.

use std::collections::BTreeMap;

use super::{Problem, Tree};

const MAP: &str = "ARCHITECTURE.md";

pub(super) fn every_crate_is_on_the_map(tree: &Tree) -> Vec<Problem> {
    let text = tree.text(MAP).unwrap_or_default();
    let mut problems = Vec::new();
    // Crate, line of its heading, whether it states an invariant.
    let mut described: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
    let mut current = None;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('#') {
            current = line.strip_prefix("### `crates/").and_then(|it| it.strip_suffix('`'));
            if let Some(name) = current
                && described.insert(name, (index + 1, false)).is_some()
            {
                problems.push(Problem::new(MAP, index + 1, format!("`crates/{name}` is described a second time")));
            }
        } else if line.contains("**Invariant")
            && let Some(entry) = current.and_then(|it| described.get_mut(it))
        {
            entry.1 = true;
        }
    }
    let present = tree.crates();
    for krate in present.iter().filter(|it| !described.contains_key(**it)) {
        problems.push(Problem::new(MAP, 0, format!("`crates/{krate}` is not described; add \"### `crates/{krate}`\"")));
    }
    for (name, (line, has_invariant)) in described {
        if !present.contains(&name) {
            problems.push(Problem::new(MAP, line, format!("`crates/{name}` is described but is not there")));
        } else if !has_invariant {
            problems.push(Problem::new(MAP, line, format!("`crates/{name}` states no **Invariant**")));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    #[test]
    fn the_map_and_the_crates_match_both_ways() {
        expect(
            every_crate_is_on_the_map,
            &[
                (
                    "ARCHITECTURE.md",
                    "# Map\n### `crates/a`\n**Invariant** no I/O\n### `crates/b`\nwords\n### `crates/c`\n",
                ),
                ("crates/a/Cargo.toml", ""),
                ("crates/b/Cargo.toml", ""),
                ("crates/d/Cargo.toml", ""),
            ],
            &[
                "ARCHITECTURE.md:1: `crates/d` is not described; add \"### `crates/d`\"",
                "ARCHITECTURE.md:4: `crates/b` states no **Invariant**",
                "ARCHITECTURE.md:6: `crates/c` is described but is not there",
            ],
        );
    }
}
