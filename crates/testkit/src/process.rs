//! Starting the binary in an empty home, and waiting for its end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::waiting::wait_or_give_up;

/// How a command ended.
#[derive(Debug)]
pub struct Finished {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// `binary` with nothing of the user's surroundings: no `PANOPTES_*`, another home.
pub(crate) fn isolated(binary: &Path, home: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PANOPTES_") {
            command.env_remove(name);
        }
    }
    command.env("HOME", home).env("XDG_CONFIG_HOME", home.join("config")).env("XDG_DATA_HOME", home.join("data"));
    command.env("TZ", "UTC").env("NO_COLOR", "1").env("RUST_BACKTRACE", "1").stdin(Stdio::null());
    command
}

/// Runs `command` to its end, for at most `limit`. Output goes through files, so that no pipe can fill up.
pub(crate) fn run_to_end(command: &mut Command, scratch: &Path, limit: Duration) -> Result<Finished, String> {
    let (out, err) = (scratch.join("stdout"), scratch.join("stderr"));
    let create = |path: &PathBuf| fs::File::create(path).map_err(|error| format!("{}: {error}", path.display()));
    let mut child = command
        .stdout(create(&out)?)
        .stderr(create(&err)?)
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))?;
    let ended = wait_or_give_up(limit, &mut || child.try_wait().transpose());
    let status = match ended {
        Some(status) => status.map_err(|error| format!("cannot wait for the binary: {error}"))?,
        None => {
            let killed = child.kill().and_then(|()| child.wait());
            let said = text_of(&err).unwrap_or_default();
            return Err(format!("did not end within {limit:?} and was killed ({killed:?}); it said:\n{said}"));
        }
    };
    let read = |path: &PathBuf| text_of(path).map_err(|error| format!("{}: {error}", path.display()));
    Ok(Finished { code: status.code(), stdout: read(&out)?, stderr: read(&err)? })
}

/// A file as text; what is no UTF-8 is replaced.
pub(crate) fn text_of(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}
