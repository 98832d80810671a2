//! SigmaHQ over Windows events, beside `rsigma-eval`.

use crate::run;

/// The bench of `panoptes-detect`, with what follows for it: `--rounds N`, `--input mixed|processes|scripts`,
/// `--profile-only ours --seconds S`.
pub(crate) fn run(options: &[&str]) -> anyhow::Result<bool> {
    let mut bench = run::cargo();
    if let Some(corpora) = run::corpora() {
        bench.env("PANOPTES_CORPORA", corpora.canonicalize()?);
    }
    println!("{} cores, {}", std::thread::available_parallelism()?, super::processor());
    run::succeed(bench.args(["bench", "--package", "panoptes-detect", "--bench", "sigma", "--"]).args(options))?;
    Ok(true)
}
