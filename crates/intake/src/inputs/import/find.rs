//! Which files an import means, and in which order.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{FileProblem, Problem};
use crate::archive::rotation_base;
use crate::limits::{IMPORT_DEPTH_MAX, IMPORT_FILES_MAX};
use crate::pattern::{expand, is_pattern};

/// A file to be read and its size, as far as it says.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// The files behind `paths`: files, folders with all that is in them, and patterns. Each file once; the rotated ones
/// of a log before it, the oldest first.
pub(super) fn find(paths: &[PathBuf]) -> (VecDeque<Found>, VecDeque<FileProblem>) {
    let mut search = Search::default();
    for path in paths {
        search.named(path);
    }
    if search.beyond > 0 {
        let problem = Problem::FilesTooMany { beyond: search.beyond };
        search.problems.push_back(FileProblem::new(paths.first().map_or(Path::new(""), PathBuf::as_path), problem));
    }
    (in_order(search.found), search.problems)
}

#[derive(Default)]
struct Search {
    found: Vec<Found>,
    seen: HashSet<(u64, u64)>,
    problems: VecDeque<FileProblem>,
    beyond: usize,
}

impl Search {
    fn named(&mut self, path: &Path) {
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => self.folder(path),
            // What is named is read even if it is a pipe.
            Ok(metadata) => self.add(path, &metadata),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.pattern(path),
            Err(source) => self.problem(path, Problem::Unreadable { source }),
        }
    }

    fn pattern(&mut self, path: &Path) {
        let text = path.to_string_lossy();
        if !is_pattern(&text) {
            return self.problem(path, Problem::NotFound);
        }
        let mut expanded = match expand(&text) {
            Ok(expanded) => expanded,
            Err(source) => return self.problem(path, Problem::Pattern { source }),
        };
        if expanded.is_cut {
            self.problem(path, Problem::PatternTooWide);
        } else if expanded.found.is_empty() && expanded.faults.is_empty() {
            self.problem(path, Problem::NotFound);
        }
        for (folder, source) in expanded.faults {
            self.problem(&folder, Problem::Unreadable { source });
        }
        expanded.found.sort_unstable();
        for found in expanded.found {
            match found.metadata() {
                // The folders that `**` goes through are not meant themselves.
                Ok(metadata) if metadata.is_dir() && text.contains("**") => {}
                Ok(metadata) if metadata.is_dir() => self.folder(&found),
                Ok(metadata) if metadata.is_file() => self.add(&found, &metadata),
                Ok(_) => {}
                Err(source) => self.problem(&found, Problem::Unreadable { source }),
            }
        }
    }

    fn folder(&mut self, path: &Path) {
        let mut folders = vec![(path.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = match folder.read_dir() {
                Ok(entries) => entries,
                Err(source) => {
                    self.problem(&folder, Problem::Unreadable { source });
                    continue;
                }
            };
            let mut paths: Vec<PathBuf> = entries.flatten().take(IMPORT_FILES_MAX).map(|it| it.path()).collect();
            paths.sort_unstable();
            let mut below = Vec::new();
            for path in paths {
                // Links to folders are not followed: they can lead in circles.
                let linked = path.is_symlink();
                match path.metadata() {
                    Ok(metadata) if metadata.is_dir() && linked => {}
                    Ok(metadata) if metadata.is_dir() && depth >= IMPORT_DEPTH_MAX => {
                        self.problem(&path, Problem::TooDeep);
                    }
                    Ok(metadata) if metadata.is_dir() => below.push((path, depth + 1)),
                    Ok(metadata) if metadata.is_file() => self.add(&path, &metadata),
                    Ok(_) => {}
                    Err(source) => self.problem(&path, Problem::Unreadable { source }),
                }
            }
            folders.extend(below.into_iter().rev());
        }
    }

    fn add(&mut self, path: &Path, metadata: &Metadata) {
        if !self.seen.insert((metadata.dev(), metadata.ino())) {
            return;
        }
        if self.found.len() >= IMPORT_FILES_MAX {
            self.beyond += 1;
            return;
        }
        let bytes = if metadata.is_file() { metadata.len() } else { 0 };
        self.found.push(Found { path: path.to_owned(), bytes });
    }

    fn problem(&mut self, path: &Path, problem: Problem) {
        // As many problems as files, at most: a folder full of broken links fills no memory.
        if self.problems.len() < IMPORT_FILES_MAX {
            self.problems.push_back(FileProblem::new(path, problem));
        }
    }
}

/// Keeps the order of the logs, but puts what belongs to one log into the order of time.
fn in_order(found: Vec<Found>) -> VecDeque<Found> {
    let mut groups: HashMap<(PathBuf, String), usize> = HashMap::new();
    let mut keyed: Vec<_> = found
        .into_iter()
        .map(|file| {
            let name = file.path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
            let folder = file.path.parent().map(Path::to_owned).unwrap_or_default();
            let (base, _) = rotation_base(&name);
            let next = groups.len();
            let group = *groups.entry((folder, base.to_owned())).or_insert(next);
            ((group, age(&name, base)), file)
        })
        .collect();
    keyed.sort_by(|(left, _), (right, _)| left.cmp(right));
    keyed.into_iter().map(|(_, file)| file).collect()
}

/// Sorts the names of one log by time: dates, then numbers from the highest, then the log itself.
fn age(name: &str, base: &str) -> (u8, String, Reverse<u64>) {
    const DATE_DIGITS: usize = 6;
    let suffix = name.strip_prefix(base).unwrap_or("");
    let digits: String = suffix.chars().filter(char::is_ascii_digit).collect();
    match digits.len() {
        0 if suffix.is_empty() => (3, String::new(), Reverse(0)),
        0 => (2, suffix.to_owned(), Reverse(0)),
        DATE_DIGITS.. => (0, digits, Reverse(0)),
        _ => (1, String::new(), Reverse(digits.parse().unwrap_or(0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: &VecDeque<Found>, root: &Path) -> Vec<String> {
        found.iter().map(|it| it.path.strip_prefix(root).unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn rotated_logs_come_before_the_log_that_follows_them() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b.log",
            "auth.log",
            "auth.log.1",
            "auth.log.10.gz",
            "auth.log.2.gz",
            "b.log-20240201",
            "b.log-20240101.gz",
        ] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let (found, problems) = find(&[folder.path().to_owned()]);
        assert!(problems.is_empty());
        let expected = [
            "auth.log.10.gz",
            "auth.log.2.gz",
            "auth.log.1",
            "auth.log",
            "b.log-20240101.gz",
            "b.log-20240201",
            "b.log",
        ];
        assert_eq!(names(&found, folder.path()), expected);
    }

    #[test]
    fn folders_patterns_and_names_are_found_once_and_circles_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        for name in ["one.log", "a/two.log", "a/b/three.log"] {
            std::fs::write(root.join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink(root, root.join("a/circle")).unwrap();
        std::os::unix::fs::symlink(root.join("one.log"), root.join("a/again.log")).unwrap();
        let (found, problems) = find(&[
            root.join("one.log"),
            root.to_owned(),
            root.join("**/*.log"),
            root.join("none-*"),
            root.join("gone"),
        ]);
        assert_eq!(names(&found, root), ["one.log", "a/two.log", "a/b/three.log"]);
        let problems: Vec<_> = problems.iter().map(|it| it.path.file_name().unwrap().to_string_lossy()).collect();
        assert_eq!(problems, ["none-*", "gone"]);
    }

    #[test]
    fn folders_are_followed_only_so_deep() {
        let folder = tempfile::tempdir().unwrap();
        let mut deep = folder.path().to_owned();
        for _ in 0..=IMPORT_DEPTH_MAX + 1 {
            deep.push("d");
        }
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("x.log"), "x").unwrap();
        let (found, problems) = find(&[folder.path().to_owned()]);
        assert!(found.is_empty());
        assert!(matches!(problems[0].problem, Problem::TooDeep));
    }
}
