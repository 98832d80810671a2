//! Whether and from where the systemd journal is followed.

use std::path::Path;

use panoptes_catalog::SourcePosition;
use panoptes_config::Config;
use panoptes_intake::inputs::{JournaldConfig, JournaldInput, OwnService};

/// Where syslog daemons put what the journal has as well: followed, the same would come twice.
const TEXT_LOGS: [&str; 2] = ["/var/log/syslog", "/var/log/messages"];

/// The input, if the journal is to be followed.
pub(crate) fn input(config: &Config, positions: &[SourcePosition]) -> anyhow::Result<Option<JournaldInput>> {
    let Some(wanted) = &config.journald else { return Ok(None) };
    // An error is no reason to follow less.
    if wanted.is_default && TEXT_LOGS.iter().any(|it| Path::new(it).try_exists().unwrap_or(false)) {
        return Ok(None);
    }
    let key = position_key();
    let cursor = positions.iter().find(|it| it.source == key).map(|it| it.identity.clone());
    let settings = JournaldConfig {
        arguments: wanted.arguments.clone(),
        start_at: crate::server::start_at(wanted.start),
        own: std::env::var("INVOCATION_ID")
            .ok()
            .map(|invocation| OwnService { pid: u64::from(std::process::id()), invocation }),
        ..JournaldConfig::default()
    };
    if wanted.is_default && !settings.has_entries() {
        tracing::debug!("the systemd journal is not followed: there is none, or this user may not read it");
        return Ok(None);
    }
    Ok(Some(JournaldInput::new(settings, cursor)?))
}

/// What the journal's position is kept under. No path begins like it, so no file's is.
pub(crate) fn position_key() -> String {
    "journald#".to_owned()
}

/// The position that the journal's cursor is.
pub(crate) fn position(cursor: String) -> SourcePosition {
    SourcePosition { source: position_key(), identity: cursor, position: 0 }
}
