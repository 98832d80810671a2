//! File patterns: `*`, `?` and `[…]` within a name, `**` for any number of folders.
//!
//! The walk is our own because that of the `glob` crate follows links below `**`: a few links that lead back to their
//! own folder would keep it busy for ever.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern, PatternError};

use crate::limits::{PATTERN_DEPTH_MAX, PATTERN_ENTRIES_MAX};

/// What a pattern leads to.
#[derive(Debug, Default)]
pub(crate) struct Expanded {
    /// Whatever has a matching name, in no order; each path once.
    pub(crate) found: Vec<PathBuf>,
    /// Folders that could not be listed.
    pub(crate) faults: Vec<(PathBuf, io::Error)>,
    /// Whether the limit was reached and the rest not looked at.
    pub(crate) is_cut: bool,
}

/// Checks that `pattern` is one.
pub(crate) fn check(pattern: &str) -> Result<(), PatternError> {
    parts(pattern).map(drop)
}

/// Whether `text` has a wildcard.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The folder part of `pattern` before its first wildcard.
pub(crate) fn literal_folder(pattern: &str) -> PathBuf {
    let wild = |it: &std::path::Component<'_>| is_pattern(&it.as_os_str().to_string_lossy());
    let literal: PathBuf = Path::new(pattern).components().take_while(|it| !wild(it)).collect();
    let folder = if literal == Path::new(pattern) { literal.parent() } else { Some(literal.as_path()) };
    match folder {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

enum Part {
    Literal(String),
    Wild(Pattern),
    /// `**`
    Folders,
}

fn parts(pattern: &str) -> Result<Vec<Part>, PatternError> {
    // The whole is checked first: it knows what a misplaced `**` is.
    Pattern::new(pattern)?;
    let mut parts = Vec::new();
    for name in pattern.split('/').filter(|it| !it.is_empty()) {
        match name {
            "**" if matches!(parts.last(), Some(Part::Folders)) => {}
            "**" => parts.push(Part::Folders),
            name if is_pattern(name) => parts.push(Part::Wild(Pattern::new(name)?)),
            name => parts.push(Part::Literal(name.to_owned())),
        }
    }
    if matches!(parts.last(), Some(Part::Folders)) {
        parts.push(Part::Wild(Pattern::new("*")?));
    }
    Ok(parts)
}

/// Looks for what `pattern` leads to.
pub(crate) fn expand(pattern: &str) -> Result<Expanded, PatternError> {
    let parts = parts(pattern)?;
    let root = if pattern.starts_with('/') { PathBuf::from("/") } else { PathBuf::new() };
    let mut walk = Walk { expanded: Expanded::default(), seen: HashSet::new(), entries: 0, todo: vec![(root, 0, 0)] };
    while let Some((path, index, depth)) = walk.todo.pop() {
        match parts.get(index) {
            None => walk.found(path),
            Some(Part::Literal(name)) => {
                let path = path.join(name);
                if path.symlink_metadata().is_ok() {
                    walk.todo.push((path, index + 1, depth));
                }
            }
            Some(Part::Wild(wild)) => walk.wild(&path, wild, index, index + 1 < parts.len()),
            Some(Part::Folders) => walk.folders(path, index, depth),
        }
    }
    Ok(walk.expanded)
}

struct Walk {
    expanded: Expanded,
    seen: HashSet<PathBuf>,
    entries: usize,
    /// A folder, the part of the pattern that is to be matched in it, and how deep it lies below `**`.
    todo: Vec<(PathBuf, usize, usize)>,
}

impl Walk {
    fn found(&mut self, path: PathBuf) {
        if self.seen.insert(path.clone()) {
            self.expanded.found.push(path);
        }
    }

    fn wild(&mut self, folder: &Path, wild: &Pattern, index: usize, needs_folder: bool) {
        let options =
            MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
        for entry in self.list(folder) {
            if !wild.matches_with(&entry.file_name().to_string_lossy(), options) {
                continue;
            }
            let path = entry.path();
            if !needs_folder {
                self.found(path);
            } else if path.is_dir() {
                self.todo.push((path, index + 1, 0));
            }
        }
    }

    fn folders(&mut self, folder: PathBuf, index: usize, depth: usize) {
        if depth < PATTERN_DEPTH_MAX {
            for entry in self.list(&folder) {
                // Of the entry itself, so a link is no folder here.
                let is_folder = entry.file_type().is_ok_and(|it| it.is_dir());
                if is_folder && !entry.file_name().to_string_lossy().starts_with('.') {
                    self.todo.push((entry.path(), index, depth + 1));
                }
            }
        } else {
            self.expanded.is_cut = true;
        }
        self.todo.push((folder, index + 1, depth));
    }

    fn list(&mut self, folder: &Path) -> Vec<std::fs::DirEntry> {
        let left = PATTERN_ENTRIES_MAX - self.entries;
        let folder = if folder == Path::new("") { Path::new(".") } else { folder };
        match folder.read_dir() {
            Ok(entries) => {
                let mut entries: Vec<_> = entries.flatten().take(left + 1).collect();
                if entries.len() > left {
                    entries.truncate(left);
                    self.expanded.is_cut = true;
                }
                self.entries += entries.len();
                entries
            }
            // It went away, or is a file: then nothing matches in it.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Vec::new(),
            Err(error) => {
                self.expanded.faults.push((folder.to_owned(), error));
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(root: &Path, pattern: &str) -> Vec<String> {
        let expanded = expand(&format!("{}/{pattern}", root.display())).unwrap();
        let mut names: Vec<_> =
            expanded.found.iter().map(|it| it.strip_prefix(root).unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        folder
    }

    #[test]
    fn wildcards_match_names_and_folders() {
        let folder = tree(&["a.log", "a.txt", ".hidden.log", "b/c.log", "b/d/e.log", "b/.git/f.log"]);
        let root = folder.path();
        assert_eq!(names(root, "*.log"), ["a.log"]);
        assert_eq!(names(root, "a.???"), ["a.log", "a.txt"]);
        assert_eq!(names(root, "a.[l-m]og"), ["a.log"]);
        assert_eq!(names(root, "*/*.log"), ["b/c.log"]);
        assert_eq!(names(root, "**/*.log"), ["a.log", "b/c.log", "b/d/e.log"]);
        assert_eq!(names(root, "**/**/e.log"), ["b/d/e.log"]);
        assert_eq!(names(root, "b/**"), ["b/c.log", "b/d", "b/d/e.log"]);
        assert_eq!(names(root, "a.log"), ["a.log"]);
        assert_eq!(names(root, "a.log/*"), [""; 0]);
        assert_eq!(names(root, "gone/*.log"), [""; 0]);
    }

    #[test]
    fn links_that_lead_back_end() {
        let folder = tree(&["a.log", "b/c.log"]);
        for n in 0..10 {
            symlink(folder.path(), folder.path().join(format!("b/link{n}"))).unwrap();
        }
        assert_eq!(names(folder.path(), "**/*.log"), ["a.log", "b/c.log"]);
    }

    #[test]
    fn misplaced_stars_and_brackets_are_no_pattern() {
        for bad in ["/var/log/**.log", "/var/log/[a", "a/b**/c"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_depth_is_bounded() {
        let deep = vec!["d"; PATTERN_DEPTH_MAX + 1].join("/");
        let folder = tree(&[&format!("{deep}/x.log"), "d/y.log"]);
        let expanded = expand(&format!("{}/**/*.log", folder.path().display())).unwrap();
        assert!(expanded.is_cut);
        assert_eq!(expanded.found.len(), 1);
    }

    #[test]
    fn the_folder_before_the_first_wildcard_is_known() {
        for (pattern, folder) in [
            ("/var/log/*.log", "/var/log"),
            ("/var/log/syslog", "/var/log"),
            ("/a/*/b/c", "/a"),
            ("x.log", "."),
            ("*", "."),
        ] {
            assert_eq!(literal_folder(pattern), Path::new(folder), "{pattern}");
        }
    }
}
