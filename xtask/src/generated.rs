//! Files that the binary writes about itself, kept in the repository for readers and editors.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::run;

/// Each file, and what must be typed to make it.
const ALL: &[(&str, &[&str])] = &[("docs/config.schema.json", &["config", "schema"])];

pub(crate) fn write() -> anyhow::Result<bool> {
    let panoptes = run::build_panoptes(false)?;
    for (path, arguments) in ALL {
        std::fs::write(run::root().join(path), fresh(&panoptes, arguments)?)
            .with_context(|| format!("cannot write {path}"))?;
        println!("wrote {path}");
    }
    Ok(true)
}

/// The files that are not what the binary says today.
pub(crate) fn stale(panoptes: &Path) -> anyhow::Result<Vec<&'static str>> {
    let mut stale = Vec::new();
    for (path, arguments) in ALL {
        let fresh = fresh(panoptes, arguments)?;
        if std::fs::read_to_string(run::root().join(path)).ok().as_deref() != Some(&fresh) {
            stale.push(*path);
        }
    }
    Ok(stale)
}

fn fresh(panoptes: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    run::output(Command::new(panoptes).args(arguments))
}
