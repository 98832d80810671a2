//! Lists of objects, spread out: each key has the values of all objects, as Elasticsearch and the rules see them.

use std::borrow::Cow;

use panoptes_model::{Anomaly, BatchWriter, Value};

use crate::json::{Leaf, Malformed, Names, read_object_as};

/// How deep lists within objects within lists are spread; those below stay lists of texts.
const DEPTH_MAX: usize = 3;
/// How many objects of one list are spread; the others are in the list itself only ([`Anomaly::ListTooLong`]).
const OBJECTS_MAX: usize = 128;

/// What the objects of a list call the two halves of a pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pairs {
    pub(super) name: &'static str,
    /// The first that is there.
    pub(super) value: &'static [&'static str],
}

/// Spreads the list that is the `index`th field of the open event, or the one object that it holds.
pub(super) fn spread(writer: &mut BatchWriter<'_>, index: usize, pairs: Option<Pairs>) {
    let start = writer.field_count();
    spread_on(writer, index, pairs, DEPTH_MAX);
    writer.gather(start);
}

fn spread_on(writer: &mut BatchWriter<'_>, index: usize, pairs: Option<Pairs>, depth: usize) {
    let Some((id, _)) = writer.nth(index) else { return };
    let texts: Vec<_> = writer.texts(index).filter(|it| it.starts_with('{')).map(|it| of_input(writer, it)).collect();
    if texts.len() > OBJECTS_MAX {
        writer.anomaly(Anomaly::ListTooLong);
    }
    let name = writer.field_name(id).to_owned();
    for text in texts.iter().take(OBJECTS_MAX) {
        let first = writer.field_count();
        if read_below(writer, text, &format!("{name}.")).is_err() {
            // A text that only looks like an object.
            while writer.field_count() > first {
                writer.remove(writer.field_count() - 1);
            }
            continue;
        }
        let end = writer.field_count();
        if let Some(pairs) = pairs {
            write_pair(writer, &name, first, pairs);
        }
        if depth > 1 {
            for index in first..end {
                spread_on(writer, index, pairs, depth - 1);
            }
        }
    }
}

/// `text` as a piece of the input if it is one, so that its own pieces need no copies.
fn of_input<'i>(writer: &BatchWriter<'i>, text: &str) -> Cow<'i, str> {
    let offset = (text.as_ptr() as usize).wrapping_sub(writer.input().as_ptr() as usize);
    match offset.checked_add(text.len()).and_then(|end| writer.input().get(offset..end)) {
        // The same bytes at the same place: an equal text elsewhere would do as well.
        Some(piece) if piece == text => Cow::Borrowed(piece),
        _ => Cow::Owned(text.to_owned()),
    }
}

/// Gives the value of a pair, whose object's fields begin at `first`, the name that stands beside it.
fn write_pair(writer: &mut BatchWriter<'_>, list: &str, first: usize, pairs: Pairs) {
    let find = |writer: &mut BatchWriter<'_>, key: &str| {
        let id = writer.field(&format!("{list}.{key}"))?;
        writer.position(id, first)
    };
    let Some(name) = find(writer, pairs.name) else { return };
    let Some(value) = pairs.value.iter().find_map(|it| find(writer, it)) else { return };
    let Some((_, Value::Text(name))) = writer.nth(name) else { return };
    let name = format!("{list}.{name}");
    // Microsoft quotes texts twice.
    let quoted = match writer.nth(value) {
        Some((_, Value::Text(text))) if text.len() >= 2 && text.starts_with('"') && text.ends_with('"') => text.len(),
        _ => 0,
    };
    let Some(id) = writer.field(&name) else { return };
    if quoted > 0 {
        writer.alias_part(id, value, 1, quoted - 1);
    } else {
        writer.alias(id, value);
    }
}

/// Reads the object `text` into the open event under names that begin with `prefix`. A name that comes again is none
/// that the sender repeated.
pub(in crate::formats) fn read_below(writer: &mut BatchWriter<'_>, text: &str, prefix: &str) -> Result<(), Malformed> {
    read_object_as(writer, text, &mut Below { prefix })
}

struct Below<'n> {
    prefix: &'n str,
}

impl<'t> Names<'t> for Below<'_> {
    type Place = ();

    fn enter(&mut self, _path: &str) {}

    fn leave(&mut self, _before: ()) {}

    fn leaf(&mut self, writer: &mut BatchWriter<'_>, path: &mut String, key: &str, _first: u8) -> Leaf {
        let name = format!("{}{path}{key}", self.prefix);
        writer.field(&name).map_or(Leaf::Skip, Leaf::Typed)
    }
}

/// The text of the object or list that is the member `name` of the object `text`.
pub(super) fn member<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut from = 0;
    let quoted = format!("\"{name}\"");
    loop {
        let at = from + text.get(from..)?.find(&quoted)?;
        from = at + quoted.len();
        let value = text.get(from..)?.trim_ascii_start().strip_prefix(':').map(str::trim_ascii_start);
        if let Some(value) = value.filter(|it| it.starts_with(['{', '['])) {
            return value.get(..brackets_length(value)?);
        }
    }
}

/// How long the object or list is that `text`, which is well-formed, begins with.
fn brackets_length(text: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}
