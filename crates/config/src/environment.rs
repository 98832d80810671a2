//! The process's surroundings, as an argument: tests stay pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Environment variables, who we are and where we stand.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    is_root: bool,
    working_dir: PathBuf,
}

impl Environment {
    /// `working_dir` is what relative paths of the environment and the command line are relative to.
    pub fn new(
        variables: impl IntoIterator<Item = (String, String)>,
        is_root: bool,
        working_dir: impl Into<PathBuf>,
    ) -> Self {
        Self { variables: variables.into_iter().collect(), is_root, working_dir: working_dir.into() }
    }

    /// That of this process.
    pub fn of_process() -> Self {
        let text = |it: std::ffi::OsString| it.to_string_lossy().into_owned();
        let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        Self::new(variables, runs_as_root(), std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")))
    }

    /// A variable that is set to an empty text counts as not set: that is how container files leave one out.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|it| !it.is_empty())
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).filter(|it| !it.1.is_empty())
    }

    pub(crate) fn working_dir(&self) -> &Path {
        &self.working_dir
    }

    pub(crate) fn home(&self) -> Option<&Path> {
        self.absolute("HOME")
    }

    /// The configuration file that is used if none is named: `Err` must exist, `Ok` may.
    pub(crate) fn config_file(&self) -> Result<Option<PathBuf>, PathBuf> {
        if let Some(named) = self.get("PANOPTES_CONFIG") {
            return Err(self.working_dir.join(named));
        }
        Ok(self.config_dir().map(|it| it.join("panoptes.toml")))
    }

    pub(crate) fn default_data_dir(&self) -> Option<PathBuf> {
        if self.is_root {
            return Some(PathBuf::from("/var/lib/panoptes"));
        }
        let data_home = self.absolute("XDG_DATA_HOME").map(Path::to_path_buf);
        Some(data_home.or_else(|| Some(self.home()?.join(".local/share")))?.join("panoptes"))
    }

    pub(crate) fn default_key_file(&self) -> Option<PathBuf> {
        Some(self.config_dir()?.join("key"))
    }

    fn config_dir(&self) -> Option<PathBuf> {
        if self.is_root {
            return Some(PathBuf::from("/etc/panoptes"));
        }
        let config_home = self.absolute("XDG_CONFIG_HOME").map(Path::to_path_buf);
        Some(config_home.or_else(|| Some(self.home()?.join(".config")))?.join("panoptes"))
    }

    /// A folder named by a variable. The XDG specification wants relative ones ignored.
    fn absolute(&self, name: &str) -> Option<&Path> {
        self.get(name).map(Path::new).filter(|it| it.is_absolute())
    }
}

/// Who owns this process, without a call into C: `/proc/self` belongs to its effective user.
#[cfg(target_os = "linux")]
fn runs_as_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;

    std::fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0)
}

#[cfg(not(target_os = "linux"))]
fn runs_as_root() -> bool {
    false
}
