//! The files of a repository, read once.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;

/// Folders that are not ours.
const SKIPPED: &[&str] = &[".git", "target", "node_modules"];
/// Larger files are no text that somebody wrote.
const TEXT_BYTES_MAX: u64 = 4 << 20;
const TEXT_EXTENSIONS: &[&str] = &["rs", "md", "toml", "yml", "yaml", "sh", "json"];
/// Texts without an extension.
const TEXT_NAMES: &[&str] = &["LICENSE", "NOTICE", "run"];

/// Paths relative to the root, with `/`; the text where it is one that somebody wrote.
pub(crate) struct Tree {
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self { files: BTreeMap::new() };
        tree.add_folder(root, "")?;
        Ok(tree)
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned()))).collect();
        Self { files }
    }

    fn add_folder(&mut self, folder: &Path, prefix: &str) -> anyhow::Result<()> {
        for entry in folder.read_dir().with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            if entry.file_type()?.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    self.add_folder(&entry.path(), &path)?;
                }
                continue;
            }
            let wanted = TEXT_NAMES.contains(&name.as_str())
                || name.rsplit_once('.').is_some_and(|(_, it)| TEXT_EXTENSIONS.contains(&it));
            let text = if wanted && entry.metadata()?.len() <= TEXT_BYTES_MAX {
                let bytes = std::fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
                Some(String::from_utf8(bytes).with_context(|| format!("{path} is not UTF-8"))?)
            } else {
                None
            };
            self.files.insert(path, text);
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    pub(super) fn has_folder(&self, path: &str) -> bool {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        self.under(&prefix).next().is_some()
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    #[cfg(test)]
    fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Paths that begin with `prefix`.
    pub(super) fn under(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.files
            .range(prefix.to_owned()..)
            .map(|(path, _)| path.as_str())
            .take_while(move |it| it.starts_with(prefix))
    }

    /// All texts whose path ends in one of `endings`.
    pub(super) fn texts<'a>(&'a self, endings: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files
            .iter()
            .filter(|(path, _)| endings.iter().any(|it| path.ends_with(it)))
            .filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The manifests of members of the workspace with their texts. What lies under `peers/` is none: it has versions of
    /// its own.
    pub(super) fn manifests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts(&["/Cargo.toml"]).filter(|(path, _)| !path.starts_with("peers/"))
    }

    /// The names of the folders under `crates/` that hold a manifest.
    pub(super) fn crates(&self) -> Vec<&str> {
        self.under("crates/")
            .filter_map(|it| it.strip_prefix("crates/")?.strip_suffix("/Cargo.toml"))
            .filter(|it| !it.contains('/'))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_on_disk_is_read_without_what_is_not_ours() {
        let root = std::env::temp_dir().join(format!("panoptes-xtask-tree-{}", std::process::id()));
        for (path, bytes) in [
            ("crates/a/Cargo.toml", &b"[package]\n"[..]),
            ("crates/a/src/lib.rs", b"//! A.\n"),
            ("crates/a/tests/data/x.bin", b"\xff\xfe"),
            ("target/debug/build.rs", b"generated\n"),
            (".git/config", b""),
            (".ci/run", b"#!/bin/sh\n"),
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let tree = Tree::read(&root).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        let paths: Vec<_> = tree.paths().collect();
        assert_eq!(paths, [".ci/run", "crates/a/Cargo.toml", "crates/a/src/lib.rs", "crates/a/tests/data/x.bin"]);
        assert_eq!(tree.crates(), ["a"]);
        assert_eq!(tree.text("crates/a/src/lib.rs"), Some("//! A.\n"));
        assert_eq!(tree.text("crates/a/tests/data/x.bin"), None);
        assert!(tree.has_folder("crates/a/tests") && !tree.has_folder("crates/b"));
    }
}
