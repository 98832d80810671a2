//! What is wrong with a rule file, said so that its author can put it right.

use std::fmt;

/// One thing that is wrong with one rule. Always the rule author's to fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RuleError {
    pub path: String,
    /// 1-based.
    pub line: Option<u32>,
    pub column: Option<u32>,
    /// The rule's title, as far as it could be read.
    pub title: Option<String>,
    pub reason: String,
    /// What to do about it.
    pub cure: String,
    /// Whether the rule was loaded all the same (a field that only people read is wrong).
    pub loaded: bool,
}

/// `rules/a.yml:12:3: rule "Title": reason; cure`, with what is known of it.
impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        f.write_str(": ")?;
        if let Some(title) = &self.title {
            write!(f, "rule \"{title}\": ")?;
        }
        write!(f, "{}; {}", self.reason, self.cure)
    }
}

/// Where in which file an error belongs; the part of [`RuleError`] that is known before it happens.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) path: String,
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
    pub(crate) title: Option<String>,
}

impl Place {
    pub(crate) fn error(&self, reason: impl Into<String>, cure: impl Into<String>) -> RuleError {
        RuleError {
            path: self.path.clone(),
            line: self.line,
            column: self.column,
            title: self.title.clone(),
            reason: reason.into(),
            cure: cure.into(),
            loaded: false,
        }
    }
}
