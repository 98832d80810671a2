//! What kind of event it is, in the words that rules match on (`docs/fields.md`).

use panoptes_model::{BatchWriter, field};

pub(crate) const SUCCESS: Option<&str> = Some("success");
pub(crate) const FAILURE: Option<&str> = Some("failure");
/// Something was tried and the line does not tell how it ended; another one will.
pub(crate) const UNKNOWN: Option<&str> = Some("unknown");

pub(crate) type Words = &'static [&'static str];

/// The classification of one kind of message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fact {
    pub(crate) category: Words,
    pub(crate) kind: Words,
    pub(crate) action: &'static str,
    pub(crate) outcome: Option<&'static str>,
}

impl Fact {
    /// A fact of category authentication.
    pub(crate) const fn authentication(kind: Words, action: &'static str, outcome: Option<&'static str>) -> Self {
        Self { category: &["authentication"], kind, action, outcome }
    }

    pub(crate) const fn session(kind: Words, action: &'static str, outcome: Option<&'static str>) -> Self {
        Self { category: &["session"], kind, action, outcome }
    }

    pub(crate) const fn network(kind: Words, action: &'static str, outcome: Option<&'static str>) -> Self {
        Self { category: &["network"], kind, action, outcome }
    }

    #[must_use]
    pub(crate) const fn with(self, outcome: Option<&'static str>) -> Self {
        Self { outcome, ..self }
    }

    #[inline]
    pub(crate) fn write(&self, writer: &mut BatchWriter<'_>, dataset: &'static str) {
        write_dataset(writer, dataset);
        writer.words(field::EVENT_CATEGORY, self.category);
        writer.words(field::EVENT_TYPE, self.kind);
        writer.word(field::EVENT_ACTION, self.action);
        if let Some(outcome) = self.outcome {
            writer.word(field::EVENT_OUTCOME, outcome);
        }
    }
}

/// All that is known of an event without a classification.
#[inline]
pub(crate) fn write_dataset(writer: &mut BatchWriter<'_>, dataset: &'static str) {
    writer.word(field::EVENT_KIND, "event");
    writer.word(field::EVENT_DATASET, dataset);
}

/// A user's name, unless the record leaves it blank.
#[inline]
pub(crate) fn write_user(writer: &mut BatchWriter<'_>, id: panoptes_model::FieldId, name: &str) {
    if is_user(name) {
        writer.text(id, name);
    }
}

/// Whether that names somebody, and is not one of the words for nobody.
pub(crate) fn is_user(name: &str) -> bool {
    !matches!(name, "" | "-" | "?" | "(null)" | "(unknown)" | "<invalid username>")
}

/// How many times what the record says happened, where it says so.
pub(crate) fn write_repeat(writer: &mut BatchWriter<'_>, times: u64) {
    if let Some(id) = writer.field("panoptes.repeat") {
        writer.integer(id, i64::try_from(times).unwrap_or(i64::MAX));
    }
}
