//! Everything that is wrong with a configuration, said at once.

use std::fmt;
use std::path::PathBuf;

use crate::tree::Origin;

/// How many problems are kept; the rest is only counted.
pub const PROBLEMS_MAX: usize = 100;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    #[error("configuration file {} could not be read; name another with --config, or mend its permissions", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("configuration file {} is larger than {} bytes; was another file meant?", path.display(), crate::FILE_BYTES_MAX)]
    TooLarge { path: PathBuf },
    #[error("configuration file {} is not UTF-8 text at byte {offset}; was another file meant?", path.display())]
    NotText { path: PathBuf, offset: usize },
    #[error("{0}")]
    Invalid(Problems),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    /// The key, as `http.listen` or `files[0].paths`; empty where the text is not even TOML.
    pub key: String,
    /// What is wrong and the cure, in one sentence without a full stop.
    pub message: String,
}

/// At least one thing that is wrong, in the order of the layers and of the lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    problems: Vec<Problem>,
    further: usize,
}

impl Problems {
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// How many there are, with those that are not kept.
    pub fn len(&self) -> usize {
        self.problems.len() + self.further
    }

    pub(crate) fn push(&mut self, origin: &Origin, key: &str, message: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            let problem = Problem { origin: origin.clone(), key: key.to_owned(), message: message.into() };
            self.problems.push(problem);
        } else {
            self.further += 1;
        }
    }

    /// Whether `key` itself has been complained about: what follows from it need not be said as well.
    pub(crate) fn mentions(&self, key: &str) -> bool {
        self.problems.iter().any(|it| it.key == key)
    }

    pub(crate) fn sort(&mut self) {
        self.problems.sort_by(|left, right| left.origin.cmp(&right.origin));
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, key, message } = self;
        match origin {
            Origin::Default => write!(f, "{key}: {message}"),
            _ => write!(f, "{origin}: {message}"),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        match self.further {
            0 => Ok(()),
            further => write!(f, "\n... and {further} more"),
        }
    }
}

impl std::error::Error for Problems {}
