//! Every rule stands beside a test, and every test beside a rule.

use super::{Problem, Tree};

const RULE_FOLDERS: &[&str] = &["rules/sigma/"];
const TEST_ENDING: &str = ".test.toml";

pub(super) fn every_rule_has_a_test(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for path in RULE_FOLDERS.iter().flat_map(|it| tree.under(it)) {
        if let Some(stem) = path.strip_suffix(TEST_ENDING) {
            if !tree.has(&format!("{stem}.yml")) {
                problems.push(Problem::new(path, 0, "tests a rule that is not there"));
            }
        } else if let Some(stem) = path.strip_suffix(".yml") {
            let test = format!("{stem}{TEST_ENDING}");
            if !tree.has(&test) {
                problems.push(Problem::new(path, 0, format!("no test beside it: write {test}")));
            }
        } else if path.ends_with(".yaml") {
            problems.push(Problem::new(path, 0, "rules end in `.yml`: this one is not shipped"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    #[test]
    fn rules_and_tests_come_in_pairs() {
        expect(
            every_rule_has_a_test,
            &[
                ("rules/sigma/web/a.yml", ""),
                ("rules/sigma/web/a.test.toml", ""),
                ("rules/sigma/web/b.yml", ""),
                ("rules/sigma/web/c.test.toml", ""),
                ("rules/sigma/web/d.yaml", ""),
            ],
            &[
                "rules/sigma/web/b.yml:1: no test beside it: write rules/sigma/web/b.test.toml",
                "rules/sigma/web/c.test.toml:1: tests a rule that is not there",
                "rules/sigma/web/d.yaml:1: rules end in `.yml`: this one is not shipped",
            ],
        );
    }
}
