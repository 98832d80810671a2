//! Where the data lies that is too big, or not ours, to be in the repository.

use std::env;
use std::path::{Path, PathBuf};

/// The folder of the repository.
pub fn repository() -> &'static Path {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).unwrap_or_else(|| panic!("{} lies nowhere", env!("CARGO_MANIFEST_DIR")))
}

/// The folder of public data sets: `PANOPTES_CORPORA`, else `../shared/corpora` beside the repository. Where there is
/// none the reason is printed and the test should return; in continuous integration (`CI` is set) that is a failure,
/// for tests that silently test nothing are worse than none.
#[track_caller]
pub fn corpora() -> Option<PathBuf> {
    match locate(env::var_os("PANOPTES_CORPORA").map(PathBuf::from), repository()) {
        Ok(found) => Some(found),
        Err(reason) => {
            let in_ci = env::var_os("CI").is_some_and(|it| !it.is_empty() && it != "false" && it != "0");
            assert!(!in_ci, "{reason}");
            report_skip(&reason);
            None
        }
    }
}

#[expect(clippy::print_stderr, reason = "the reason why a test tests nothing belongs into its output")]
fn report_skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

fn locate(named: Option<PathBuf>, repository: &Path) -> Result<PathBuf, String> {
    let (folder, cure) = match named {
        Some(folder) => (folder, "correct the environment variable PANOPTES_CORPORA"),
        None => (
            repository.parent().unwrap_or(repository).join("shared/corpora"),
            "put the corpora there, or name their folder in the environment variable PANOPTES_CORPORA",
        ),
    };
    if folder.is_dir() { Ok(folder) } else { Err(format!("no corpora in {}: {cure}", folder.display())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_the_one_with_this_crate() {
        assert!(repository().join("crates/testkit/Cargo.toml").is_file());
    }

    #[test]
    fn corpora_are_where_they_are_named_or_beside_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("repository");
        let missing = locate(None, &repository).unwrap_err();
        assert!(missing.contains("shared/corpora: put the corpora there"), "{missing}");
        let beside = folder.path().join("shared/corpora");
        std::fs::create_dir_all(&beside).unwrap();
        assert_eq!(locate(None, &repository), Ok(beside));
        assert_eq!(locate(Some(folder.path().into()), &repository), Ok(folder.path().into()));
        let wrong = locate(Some(folder.path().join("x")), &repository).unwrap_err();
        assert!(wrong.ends_with("correct the environment variable PANOPTES_CORPORA"), "{wrong}");
    }
}
