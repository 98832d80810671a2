//! Batches to `POST /logs`, each acknowledged before the next. `429` and `503` are waited out as `Retry-After` says.

use std::io;
use std::time::Duration;

use anyhow::bail;

use super::{Batch, Flow, TRIES_MAX, Tally, Watch, connect, pause_before, unreachable};

/// How long one request may take, answer included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest `Retry-After` that is obeyed; a longer one is cut to this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// The shortest pause after a `429`, lest a zero becomes a busy loop.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(20);
/// How much of an answer is read: the counts come first, and a list of rejected records may be long.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// How much of an error answer is shown.
const SHOWN_CHARS_MAX: usize = 300;

#[derive(Debug)]
pub(super) struct Http {
    agent: ureq::Agent,
    address: String,
    url: String,
}

struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    body: String,
}

impl Http {
    pub(super) fn open(address: &str, path: &str) -> anyhow::Result<Self> {
        // Found out now rather than at the first batch.
        drop(connect(address)?);
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // The server is named; a proxy from the environment is meant for the web.
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(REQUEST_TIMEOUT))
            .user_agent(concat!("panoptes-generate/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.into(), address: address.to_owned(), url: format!("http://{address}{path}") })
    }

    pub(super) fn send(
        &mut self,
        batch: &Batch,
        is_json: bool,
        watch: &Watch<'_>,
        tally: &mut Tally,
    ) -> anyhow::Result<Flow> {
        match self.deliver(batch, is_json, watch, tally) {
            Ok(Some(acknowledged)) => {
                let acknowledged = acknowledged.min(batch.lines);
                tally.sent += batch.lines;
                tally.bytes += batch.text.len() as u64;
                tally.acknowledged += acknowledged;
                tally.failed += batch.lines - acknowledged;
                Ok(Flow::Open)
            }
            Ok(None) => {
                tally.failed += batch.lines;
                Ok(Flow::Open)
            }
            Err(error) => {
                tally.failed += batch.lines;
                Err(error)
            }
        }
    }

    /// How many lines were acknowledged; `None` if the run was over before the server took them.
    fn deliver(
        &self,
        batch: &Batch,
        is_json: bool,
        watch: &Watch<'_>,
        tally: &mut Tally,
    ) -> anyhow::Result<Option<u64>> {
        let mut tries = 0;
        loop {
            let problem = match self.post(batch, is_json) {
                Ok(answer) => match answer.status {
                    200..=299 => return Ok(Some(accepted(&answer.body).unwrap_or(batch.lines))),
                    429 | 503 => {
                        let pause = answer.retry_after.unwrap_or(Duration::from_secs(1));
                        watch.pause(pause.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX));
                        if watch.is_over() {
                            return Ok(None);
                        }
                        tally.retries += 1;
                        continue;
                    }
                    500..=599 => anyhow::anyhow!("{} answered {}: {}", self.url, answer.status, shown(&answer.body)),
                    status => bail!("{} refused a batch with {status}: {}", self.url, shown(&answer.body)),
                },
                Err(ureq::Error::Io(error)) => unreachable(error, &self.address),
                Err(ureq::Error::ConnectionFailed) => {
                    unreachable(io::ErrorKind::ConnectionRefused.into(), &self.address)
                }
                Err(error) => anyhow::Error::new(error).context(format!("cannot post to {}", self.url)),
            };
            tries += 1;
            if tries > TRIES_MAX {
                return Err(problem);
            }
            watch.pause(pause_before(tries));
            if watch.is_over() {
                return Ok(None);
            }
            tally.retries += 1;
        }
    }

    fn post(&self, batch: &Batch, is_json: bool) -> Result<Answer, ureq::Error> {
        let kind = if is_json { "application/x-ndjson" } else { "text/plain; charset=utf-8" };
        let mut response = self.agent.post(&self.url).header("content-type", kind).send(&batch.text)?;
        let retry_after = response.headers().get("retry-after").and_then(|it| it.to_str().ok()?.trim().parse().ok());
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).lossy_utf8(true).read_to_string();
        Ok(Answer {
            status: response.status().as_u16(),
            retry_after: retry_after.map(Duration::from_secs),
            body: body.unwrap_or_default(),
        })
    }
}

/// The number of accepted records that the answer states.
fn accepted(body: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(body).ok()?.get("accepted")?.as_u64()
}

fn shown(body: &str) -> String {
    body.trim().chars().take(SHOWN_CHARS_MAX).collect()
}
