//! Tactics and techniques of MITRE ATT&CK, from `rules/attack/enterprise.tsv`.

use std::collections::BTreeMap;

const TABLE: &str = include_str!("../../../../../../rules/attack/enterprise.tsv");
/// What the table is of; its first line says so.
pub(super) const VERSION: &str = "17";

/// `TA0001`, `initial-access`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tactic {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Technique {
    pub(super) name: &'static str,
    pub(super) tactics: Vec<&'static str>,
}

pub(super) struct Attack {
    /// In the order of the matrix.
    pub(super) tactics: Vec<Tactic>,
    /// By id: `T1110`, `T1110.001`.
    pub(super) techniques: BTreeMap<&'static str, Technique>,
}

impl Attack {
    pub(super) fn load() -> Self {
        let mut attack = Self { tactics: Vec::new(), techniques: BTreeMap::new() };
        for line in TABLE.lines().filter(|it| !it.starts_with('#')) {
            let mut columns = line.split('\t');
            match (columns.next(), columns.next(), columns.next()) {
                (Some(id), Some(name), None) => attack.tactics.push(Tactic { id, name }),
                (Some(id), Some(name), Some(tactics)) => {
                    let tactics = tactics.split(',').collect();
                    attack.techniques.insert(id, Technique { name, tactics });
                }
                _ => {}
            }
        }
        attack
    }

    /// What a tag of a rule names.
    pub(super) fn named(&self, tag: &str) -> Tag {
        let tag = tag.to_lowercase();
        let Some(name) = tag.strip_prefix("attack.") else { return Tag::Other };
        let is_id = |letter: char| {
            let rest = name.strip_prefix(letter);
            rest.is_some_and(|it| it.starts_with(|it: char| it.is_ascii_digit()))
        };
        if is_id('t') {
            return match self.techniques.get_key_value(name.to_uppercase().as_str()) {
                Some((id, _)) => Tag::Technique(id),
                None => Tag::Unknown,
            };
        }
        // Software, groups, campaigns, mitigations, data sources.
        if ['s', 'g', 'c', 'm'].into_iter().any(is_id) || name.starts_with("ds") {
            return Tag::Other;
        }
        let name = name.replace('_', "-");
        match self.tactics.iter().find(|it| it.name == name) {
            Some(tactic) => Tag::Tactic(tactic.name),
            None => Tag::Unknown,
        }
    }
}

/// `T1110` of `T1110.001`.
pub(super) fn parent(technique: &str) -> &str {
    technique.split_once('.').map_or(technique, |it| it.0)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Technique(&'static str),
    Tactic(&'static str),
    /// Says that it is of ATT&CK, but this version has no such technique or tactic.
    Unknown,
    /// About something else.
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete_and_every_technique_has_a_tactic() {
        let attack = Attack::load();
        assert_eq!(attack.tactics.len(), 14);
        assert!(attack.techniques.len() > 600);
        assert!(TABLE.lines().next().unwrap().contains(&format!("version {VERSION}.")));
        assert!(TABLE.contains("The MITRE Corporation. This work is reproduced and distributed with the permission"));
        for (id, technique) in &attack.techniques {
            assert!(!technique.name.is_empty() && !technique.tactics.is_empty(), "{id}");
            assert!(technique.tactics.iter().all(|it| attack.tactics.iter().any(|known| known.name == *it)), "{id}");
            assert!(attack.techniques.contains_key(parent(id)), "{id}");
        }
    }

    #[test]
    fn tags_are_read_as_rules_write_them() {
        let attack = Attack::load();
        for (tag, expected) in [
            ("attack.t1110.001", Tag::Technique("T1110.001")),
            ("attack.T1110", Tag::Technique("T1110")),
            ("attack.credential-access", Tag::Tactic("credential-access")),
            ("attack.credential_access", Tag::Tactic("credential-access")),
            ("attack.t9999", Tag::Unknown),
            ("attack.nonsense", Tag::Unknown),
            ("attack.s0002", Tag::Other),
            ("attack.g0007", Tag::Other),
            ("cve.2021-44228", Tag::Other),
        ] {
            assert_eq!(attack.named(tag), expected, "{tag}");
        }
    }
}
