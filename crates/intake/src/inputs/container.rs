//! Logs that container runtimes write: Docker's `json-file` and Kubernetes' CRI.
//!
//! *Takes* the lines of all files that match its patterns, as [`file`](super::FileInput) does and with its care for
//! rotation and restarts. Pieces of one line are joined per stream. A record is an object in Docker's form that names
//! its container: by the path of the file, and with Docker by `config.v2.json` beside it. *Source* is the container's
//! name (`docker/web`, `kubernetes/shop/nginx`), which survives the container. *Position* is the byte offset behind
//! the record's last line.

use super::InputKind;
use super::file::{FileCheckpoints, FileConfig, FileInput, StartAt};
use crate::context::{Context, InputError};
use crate::limits::FILES_MAX;

pub(super) static KIND: InputKind = InputKind {
    name: "container",
    summary: "logs of containers with their names: Docker's json-file, Kubernetes' CRI",
    default_address: None,
    slows_sender: true,
};

/// Which logs to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerConfig {
    /// Patterns: `*` and `?` within a name, `**` for any folders.
    pub paths: Vec<String>,
    pub exclude: Vec<String>,
    pub start_at: StartAt,
    pub time_zone: Option<String>,
    pub files_max: usize,
}

impl Default for ContainerConfig {
    fn default() -> Self {
        Self {
            paths: vec!["/var/lib/docker/containers/*/*-json.log".to_owned(), "/var/log/pods/*/*/*.log".to_owned()],
            exclude: Vec::new(),
            start_at: StartAt::End,
            time_zone: None,
            files_max: FILES_MAX,
        }
    }
}

/// The tail of all containers' logs.
pub struct ContainerInput(FileInput);

impl ContainerInput {
    /// A tail that goes on where `known` says.
    pub fn new(config: ContainerConfig, known: FileCheckpoints) -> Result<Self, InputError> {
        let ContainerConfig { paths, exclude, start_at, time_zone, files_max } = config;
        let config = FileConfig { paths, exclude, start_at, time_zone, files_max, ..FileConfig::default() };
        FileInput::of(&KIND, config, known).map(Self)
    }

    /// As [`FileInput::run`].
    pub async fn run(self, context: Context) -> Option<FileCheckpoints> {
        self.0.run(context).await
    }
}
