//! `cargo xtask crash`: the crash test of the test kit, with as many kills as you like.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};

use crate::run;

const KILLS: u32 = 50;

pub(crate) fn run(options: &[&str]) -> anyhow::Result<bool> {
    let (mut kills, mut seed, mut binary) = (KILLS, None, None);
    let mut rest = options;
    while let [option, value, more @ ..] = rest {
        match *option {
            "--kills" => kills = value.parse().context("`--kills` is no number")?,
            "--seed" => seed = Some(value.parse().context("`--seed` is no number")?),
            "--binary" => binary = Some(PathBuf::from(value)),
            _ => bail!("`crash` has no option `{option}`; it has --kills N, --seed S and --binary PATH"),
        }
        rest = more;
    }
    if let [lonely] = rest {
        bail!("`{lonely}` needs a value");
    }
    let binary = binary.map_or_else(|| run::build_panoptes(false), Ok)?;
    for line in kill(&binary, kills, seed)? {
        println!("{line}");
    }
    Ok(true)
}

/// Kills `binary` and gives the summary.
///
/// # Errors
/// Something was lost, doubled or wrong, or it could not be tried.
pub(crate) fn kill(binary: &Path, kills: u32, seed: Option<u64>) -> anyhow::Result<Vec<String>> {
    let by_clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |it| u64::from(it.subsec_nanos()));
    let seed = seed.unwrap_or_else(by_clock);
    let binary = binary.canonicalize().with_context(|| format!("there is no binary {}", binary.display()))?;
    let mut crash = run::cargo();
    crash.args(["run", "--quiet", "--package", "panoptes-testkit", "--bin", "panoptes-testkit-crash", "--"]);
    let said = run::output(crash.arg(binary).args([kills.to_string(), seed.to_string()]))?;
    Ok(said.lines().map(str::to_owned).collect())
}
