//! Lines at the end of a file, or on standard output.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context as _;

use super::{Batch, Flow, Tally};

#[derive(Debug)]
pub(super) struct File {
    name: String,
    out: Out,
}

#[derive(Debug)]
enum Out {
    File(std::fs::File),
    Stdout(io::Stdout),
}

impl File {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        Ok(Self { out: Out::File(file.with_context(|| format!("cannot open {name} for writing"))?), name })
    }

    pub(super) fn stdout() -> Self {
        Self { name: "standard output".to_owned(), out: Out::Stdout(io::stdout()) }
    }

    pub(super) fn send(&mut self, batch: &Batch, tally: &mut Tally) -> anyhow::Result<Flow> {
        let result = match &mut self.out {
            Out::File(file) => file.write_all(&batch.text),
            Out::Stdout(stdout) => {
                let mut stdout = stdout.lock();
                stdout.write_all(&batch.text).and_then(|()| stdout.flush())
            }
        };
        match result {
            Ok(()) => {
                tally.sent += batch.lines;
                tally.bytes += batch.text.len() as u64;
                Ok(Flow::Open)
            }
            Err(error) => {
                tally.failed += batch.lines;
                if error.kind() == io::ErrorKind::BrokenPipe {
                    return Ok(Flow::Closed);
                }
                Err(error).with_context(|| format!("cannot write to {}", self.name))
            }
        }
    }

    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        match &mut self.out {
            Out::File(file) => {
                file.sync_all().or_else(unsyncable).with_context(|| format!("cannot finish {}", self.name))
            }
            Out::Stdout(_) => Ok(()),
        }
    }
}

/// Pipes and devices cannot be synced and need not be.
fn unsyncable(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::InvalidInput { Ok(()) } else { Err(error) }
}
