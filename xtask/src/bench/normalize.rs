//! What normalising costs, beside VRL.

use crate::run;

/// The package `peers/normalize`, which is no member of the workspace: VRL is large and no part of Panoptes.
pub(crate) fn normalize() -> anyhow::Result<bool> {
    let manifest = run::root().join("peers/normalize/Cargo.toml");
    let mut bench = run::measuring_cargo();
    if let Some(corpora) = run::corpora() {
        bench.env("PANOPTES_CORPORA", corpora.canonicalize()?);
    }
    println!("{} cores, {}", std::thread::available_parallelism()?, super::processor());
    run::succeed(bench.args(["run", "--release", "--locked", "--manifest-path"]).arg(manifest))?;
    Ok(true)
}
