//! Lines from standard input, or from any other stream that the program was handed.
//!
//! *Takes* lines up to the end of the stream. *Position* is the number of the line. The reading end waits until the
//! log has what was read, so a full pipeline blocks the program that writes.

use panoptes_model::Origin;
use tokio::io::AsyncRead;

use super::InputKind;
use crate::context::Context;
use crate::cutter::{Cutter, Positions};
use crate::framing::Lines;
use crate::sink::SinkError;
use crate::stream::{Ended, Stream};

pub(super) static KIND: InputKind =
    InputKind { name: "stdin", summary: "lines from standard input", default_address: None, slows_sender: true };

/// How to name what comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StdinConfig {
    /// What the events' source is called.
    pub source: String,
    pub format: Option<String>,
    pub time_zone: Option<String>,
}

impl Default for StdinConfig {
    fn default() -> Self {
        Self { source: "stdin".to_owned(), format: None, time_zone: None }
    }
}

/// Reads one stream.
pub struct StdinInput<R> {
    config: StdinConfig,
    reader: R,
}

impl<R: AsyncRead + Unpin> StdinInput<R> {
    /// `reader` is `tokio::io::stdin()`. Its pending read cannot be cancelled: end the runtime with
    /// `shutdown_background`, or the program waits for one more line.
    pub fn new(config: StdinConfig, reader: R) -> Self {
        Self { config, reader }
    }

    /// Returns when the stream has ended or after a shutdown, once all that was read is settled.
    pub async fn run(self, context: Context) -> Result<(), SinkError> {
        let StdinConfig { source, format, time_zone } = self.config;
        let counts = context.counters.source(KIND.name, &source);
        let origin = Origin { input: KIND.name.to_owned(), source, format, time_zone, ..Origin::default() };
        let stream = Stream {
            reader: self.reader,
            cutter: Cutter::new(Lines, Positions::Numbers, origin, 0),
            lease: None,
            counts: &counts,
            context: &context,
            idle_timeout: None,
        };
        match stream.run().await {
            Ended::BySink(error) => Err(error),
            Ended::Broken(kind) => {
                tracing::warn!(%kind, "standard input broke off");
                Ok(())
            }
            Ended::BySender | Ended::Idle | Ended::ByShutdown => Ok(()),
        }
    }
}
