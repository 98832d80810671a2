//! What a format knows beside the text: where the record is from.

use panoptes_model::{Anomaly, BatchWriter, Origin};

use crate::services::{KeyTable, ServiceFormats};
use crate::time::{Civil, Zone};

/// How many wrappings are taken off a record (container runtime around syslog around JSON). Further ones stay text.
const WRAPPINGS_MAX: u8 = 3;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'c> {
    /// The zone of times that name none.
    pub(crate) zone: &'c Zone,
    pub(crate) server: Server,
    /// What files say of services.
    pub(crate) services: &'c ServiceFormats,
    /// Which fields of the batch they ask for.
    pub(crate) keys: &'c KeyTable,
    /// Whether somebody wants to know which pattern it was.
    pub(crate) explains: bool,
    wrappings: u8,
}

/// Whose access log it is. The lines of nginx and Apache look alike; the name of the file tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Nginx,
    Apache,
    Unknown,
}

impl Server {
    pub(crate) fn of_origin(origin: &Origin) -> Self {
        let names = [Some(&origin.source), origin.path.as_ref()];
        let named = |word: &str| names.iter().flatten().any(|it| it.contains(word));
        if named("nginx") {
            Self::Nginx
        } else if named("apache") || named("httpd") {
            Self::Apache
        } else {
            Self::Unknown
        }
    }
}

impl<'c> Context<'c> {
    pub(crate) fn new(zone: &'c Zone, server: Server, services: &'c ServiceFormats, keys: &'c KeyTable) -> Self {
        Self { zone, server, services, keys, explains: false, wrappings: 0 }
    }

    /// The same for somebody who wants to know why.
    pub(crate) fn explaining(self) -> Self {
        Self { explains: true, ..self }
    }

    /// The context of a record that was wrapped in this one; `None` when it is wrapped too often already.
    pub(crate) fn unwrapped(&self) -> Option<Self> {
        (self.wrappings < WRAPPINGS_MAX).then(|| Self { wrappings: self.wrappings + 1, ..*self })
    }

    /// The same for a line that this server is known to have written.
    pub(crate) fn written_by(&self, server: Server) -> Self {
        Self { server, ..*self }
    }

    /// Gives the open event the time `civil`, unless it has one.
    #[inline]
    pub(crate) fn stamp(&self, writer: &mut BatchWriter<'_>, civil: &Civil) {
        if writer.has_time() {
            return;
        }
        match civil.resolve(self.zone, writer.received_at()) {
            Some(instant) => {
                writer.time(instant.time);
                if instant.year_inferred {
                    writer.anomaly(Anomaly::YearInferred);
                }
            }
            None => writer.anomaly(Anomaly::TimeInvalid),
        }
    }
}
