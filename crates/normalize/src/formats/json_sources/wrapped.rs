//! Records whose text is JSON inside a text of another record: what log shippers, CloudWatch, Azure's container logs
//! and exports of Microsoft's audit log make.

use panoptes_model::{BatchWriter, Value, field};

use super::{Marks, mark};
use crate::context::Context;
use crate::names;

/// The fields that carry such texts, and their marks.
pub(super) const CARRIERS: &[(Marks, &str)] = &[
    (mark::MESSAGE, "message"),
    (mark::LOG, "log"),
    (mark::AUDIT_DATA, "AuditData"),
    (mark::PROPERTIES_LOG, "properties.log"),
];

/// Reads the object that one of the fields from the `start`th on carries as text, if one does. The fields around it
/// stay, but for the text itself.
#[inline]
pub(in crate::formats) fn read_wrapped(
    writer: &mut BatchWriter<'_>,
    start: usize,
    marks: Marks,
    context: &Context<'_>,
) -> bool {
    CARRIERS
        .iter()
        .any(|(mark, name)| marks.has(*mark) && object_in(writer, start, name) && unwrap(writer, start, name, context))
}

/// Whether the text seems to be an object with a key.
fn object_in(writer: &mut BatchWriter<'_>, start: usize, name: &str) -> bool {
    let Some(index) = writer.field(name).and_then(|id| writer.position(id, start)) else { return false };
    let Some((_, Value::Text(text))) = writer.nth(index) else { return false };
    text.starts_with('{') && text.get(1..).is_some_and(|it| it.trim_ascii_start().starts_with('"'))
}

#[cold]
fn unwrap(writer: &mut BatchWriter<'_>, start: usize, name: &str, context: &Context<'_>) -> bool {
    let Some(inner_context) = context.unwrapped() else { return false };
    let Some(id) = writer.field(name) else { return false };
    let Some(index) = writer.position(id, start) else { return false };
    let Some((_, Value::Text(text))) = writer.nth(index) else { return false };
    // A copy, because it was decoded. The field itself must not hide one of the same name inside.
    let text = text.trim_ascii().to_owned();
    writer.remove(index);
    let inner = writer.field_count();
    if super::super::json::write_inner(writer, &text, &inner_context).is_err() {
        while writer.field_count() > inner {
            writer.remove(writer.field_count() - 1);
        }
        writer.text(id, &text);
        return false;
    }
    names::guard(writer, start, context);
    if !writer.has(field::MESSAGE) {
        writer.text(field::MESSAGE, &text);
    }
    true
}
