//! The engine of rules: SigmaHQ over Windows events, and correlations, beside `rsigma-eval`.

use crate::run;

/// The bench `sigma` of `panoptes-detect`, with what follows for it: `--rounds N`, `--input mixed|processes|scripts`,
/// `--profile-only ours --seconds S`.
pub(crate) fn sigma(options: &[&str]) -> anyhow::Result<bool> {
    detect("sigma", options)
}

/// Its bench `correlation`.
pub(crate) fn correlation() -> anyhow::Result<bool> {
    detect("correlation", &[])
}

/// Its bench `entities`: what profiles of users, hosts and addresses take.
pub(crate) fn entities() -> anyhow::Result<bool> {
    detect("entities", &[])
}

fn detect(name: &str, options: &[&str]) -> anyhow::Result<bool> {
    let mut bench = run::measuring_cargo();
    if let Some(corpora) = run::corpora() {
        bench.env("PANOPTES_CORPORA", corpora.canonicalize()?);
    }
    println!("{} cores, {}", std::thread::available_parallelism()?, super::processor());
    run::succeed(bench.args(["bench", "--package", "panoptes-detect", "--bench", name, "--"]).args(options))?;
    Ok(true)
}
