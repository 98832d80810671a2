//! The XML of an event, as Windows itself, Event Forwarding and Sysmon write it.

use panoptes_model::BatchWriter;

use super::names::{EventNames, Shape, tag};
use crate::event_xml::{Malformed, Part, RawText, read_event};

/// How many data without a name are kept; the rest stays in the original text.
const UNNAMED_MAX: usize = 1_024;

/// Reads the XML of one event into the open event and notes where its parts are.
pub(super) fn read<'t>(writer: &mut BatchWriter<'_>, text: &'t str) -> Result<EventNames<'t>, Malformed> {
    let mut names = EventNames::new(Shape::Tree);
    let mut unnamed: Vec<RawText<'t>> = Vec::new();
    let read = read_event(
        text,
        &mut |writer, part, value| match part {
            Part::System { element, attribute } => names.system_value(writer, element, attribute, value),
            Part::Data(Some(name)) | Part::UserData(name) => names.data_value(writer, name, value),
            Part::Data(None) if unnamed.len() < UNNAMED_MAX => unnamed.push(value),
            Part::Rendering("Message") => names.message(writer, value),
            Part::Data(None) | Part::Rendering(_) => {}
        },
        writer,
    );
    if !unnamed.is_empty()
        && let Some(id) = writer.key("winlog.event_data.Data")
    {
        let mut list = writer.list(id);
        for value in unnamed {
            match value.plain() {
                Some(text) => list.text(text),
                None => list.text_with(|arena| value.decode(arena)),
            }
        }
        list.close();
        names.note(writer, tag::DATA_LIST);
    }
    read.map(|()| names)
}
