//! Running other programs from the root of the repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The same for what is measured: built as releases are, whatever the environment says. Functions of one crate are not
/// inlined in another by incremental builds, which costs a fifth of the speed.
pub(crate) fn measuring_cargo() -> Command {
    let mut command = cargo();
    command.env("CARGO_INCREMENTAL", "0");
    command
}

/// Runs with the terminal's own output.
///
/// # Errors
/// It cannot be started or does not end well.
pub(crate) fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs and returns what it wrote to standard output; standard error stays the terminal's.
///
/// # Errors
/// It cannot be started or does not end well.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let shown = shown(command);
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start `{shown}`"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("`{shown}` ended with {}\n{text}", output.status);
    }
    Ok(text)
}

/// Builds `panoptes` and says where it is.
///
/// # Errors
/// It does not build.
pub(crate) fn build_panoptes(release: bool) -> anyhow::Result<PathBuf> {
    let mut build = if release { measuring_cargo() } else { cargo() };
    build.args(["build", "--quiet", "--package", "panoptes"]);
    if release {
        build.arg("--release");
    }
    succeed(&mut build)?;
    let metadata = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
    Ok(Path::new(target).join(if release { "release" } else { "debug" }).join("panoptes"))
}

/// Public data sets that tests and scores read; they are no part of the repository.
pub(crate) fn corpora() -> Option<PathBuf> {
    let path = std::env::var_os("PANOPTES_CORPORA").map_or_else(|| root().join("../shared/corpora"), PathBuf::from);
    path.is_dir().then_some(path)
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    command.get_args().fold(program, |text, argument| format!("{text} {}", argument.to_string_lossy()))
}
