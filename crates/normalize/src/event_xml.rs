//! The XML of Windows events (also Sysmon for Linux and Windows Event Forwarding), read without a tree.
//!
//! ```xml
//! <Event xmlns="…"><System><Provider Name="…"/><EventID>1</EventID>…</System>
//!   <EventData><Data Name="Image">C:\a.exe</Data><Data>unnamed</Data></EventData></Event>
//! ```
//!
//! [`read_event`] hands out every value in the order of the text: attributes and texts of `System`, the `Data` of
//! `EventData`, the leaves of `UserData`, and the texts of `RenderingInfo`. It is no general XML reader and wants to be
//! none: there are no document types and no entities but the five of XML and numbers, so nothing can be expanded or
//! fetched; prefixes of names are dropped.

use panoptes_model::{BatchWriter, FieldId};

/// How deep elements may nest. Real events end at six; a deeper one is malformed.
const DEPTH_MAX: usize = 16;
/// How many values one event may hand out. One more makes it malformed: an event cannot have so many fields.
const VALUES_MAX: usize = 4_096;
/// How long a name may be. A longer one is malformed.
const NAME_BYTES_MAX: usize = 256;

/// The text is not the XML of one event. What was handed out before stands in the text up to `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) offset: usize,
    /// The text is right as far as it goes: it was cut off.
    pub(crate) is_truncated: bool,
}

/// Where in an event a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'x> {
    /// The text or an attribute of an element of `System`: `EventID`, or `Provider` and its `Name`.
    System { element: &'x str, attribute: Option<&'x str> },
    /// A value of `EventData`, with its name if it has one. `<Binary>` has the name `Binary`.
    Data(Option<&'x str>),
    /// A leaf below `UserData`, by the name of its own element.
    UserData(&'x str),
    /// A text of `RenderingInfo`: `Message`, `Level`, `Task`, `Opcode`, `Channel`, `Provider`, `Keyword`.
    Rendering(&'x str),
}

/// A value as it stands in the XML.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawText<'x> {
    raw: &'x str,
}

impl<'x> RawText<'x> {
    /// The value, if it is its own text: nothing is escaped in it.
    pub(crate) fn plain(self) -> Option<&'x str> {
        memchr::memchr2(b'&', b'<', self.raw.as_bytes()).is_none().then_some(self.raw)
    }

    /// Appends the value to `out`. An entity that XML does not define stays as it is written.
    pub(crate) fn decode(self, out: &mut String) {
        let mut rest = self.raw;
        while let Some(at) = memchr::memchr2(b'&', b'<', rest.as_bytes()) {
            let (before, marked) = rest.split_at(at);
            out.push_str(before);
            rest = if let Some(inside) = marked.strip_prefix("<![CDATA[") {
                let (text, after) = inside.split_once("]]>").unwrap_or((inside, ""));
                out.push_str(text);
                after
            } else if marked.starts_with('<') {
                // Between start and end tag of a leaf only comments and instructions are left.
                let end = if marked.starts_with("<!--") { "-->" } else { "?>" };
                marked.split_once(end).map_or("", |(_, after)| after)
            } else {
                reference(marked, out)
            };
        }
        out.push_str(rest);
    }

    /// Writes the value into the open event.
    pub(crate) fn write(self, writer: &mut BatchWriter<'_>, id: FieldId) {
        match self.plain() {
            Some(text) => writer.text(id, text),
            None => writer.text_with(id, |arena| self.decode(arena)),
        }
    }
}

/// Decodes the reference at the start of `text` and returns what follows it.
fn reference<'x>(text: &'x str, out: &mut String) -> &'x str {
    const LENGTH_MAX: usize = 10;
    let end = text.bytes().take(LENGTH_MAX).position(|byte| byte == b';');
    let parts = end.and_then(|end| Some((text.get(1..end)?, text.get(end + 1..)?)));
    let Some((name, after)) = parts else {
        out.push('&');
        return text.get(1..).unwrap_or("");
    };
    let character = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => name.strip_prefix('#').and_then(|number| {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            code.ok().map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
        }),
    };
    match character {
        Some(character) => {
            out.push(character);
            after
        }
        None => {
            out.push('&');
            text.get(1..).unwrap_or("")
        }
    }
}

/// Whether `text` begins like the XML of an event.
pub(crate) fn looks_like_event(text: &str) -> bool {
    let text = text.trim_ascii_start();
    let text = match text.strip_prefix("<?xml") {
        Some(rest) => rest.split_once("?>").map_or("", |(_, rest)| rest.trim_ascii_start()),
        None => text,
    };
    text.strip_prefix("<Event").is_some_and(|rest| rest.starts_with([' ', '>', '\n', '\r', '\t']))
}

/// Reads the XML of one event, which must fill `text` but for white space around it, and hands each value with its
/// place to `told`.
///
/// # Errors
/// [`Malformed`] says where the text stops being the XML of an event; the values before that place were handed out.
pub(crate) fn read_event<'x>(
    text: &'x str,
    told: &mut dyn FnMut(&mut BatchWriter<'_>, Part<'x>, RawText<'x>),
    writer: &mut BatchWriter<'_>,
) -> Result<(), Malformed> {
    let mut reader = Reader { text, at: 0, open: [""; DEPTH_MAX], depth: 0, values: 0 };
    reader.document(told, writer)
}

type Told<'t, 'x> = &'t mut dyn FnMut(&mut BatchWriter<'_>, Part<'x>, RawText<'x>);

struct Reader<'x> {
    text: &'x str,
    at: usize,
    /// The names of the open elements, the outermost first.
    open: [&'x str; DEPTH_MAX],
    depth: usize,
    values: usize,
}

/// What a start tag said.
struct Start<'x> {
    /// The value of `Name`, which `Data` has.
    data_name: Option<&'x str>,
    is_empty: bool,
}

impl<'x> Reader<'x> {
    fn malformed(&self) -> Malformed {
        Malformed { offset: self.at.min(self.text.len()), is_truncated: false }
    }

    fn truncated(&self) -> Malformed {
        Malformed { offset: self.text.len(), is_truncated: true }
    }

    fn rest(&self) -> &'x str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_ascii_start().len();
    }

    fn eat(&mut self, mark: &str) -> bool {
        let found = self.rest().starts_with(mark);
        if found {
            self.at += mark.len();
        }
        found
    }

    /// Passes over everything up to `end`, and `end`.
    fn skip_past(&mut self, end: &str) -> Result<(), Malformed> {
        match memchr::memmem::find(self.rest().as_bytes(), end.as_bytes()) {
            Some(found) => {
                self.at += found + end.len();
                Ok(())
            }
            None => Err(self.truncated()),
        }
    }

    /// Passes over white space, comments and instructions.
    fn skip_trifles(&mut self) -> Result<(), Malformed> {
        loop {
            self.skip_space();
            if self.eat("<!--") {
                self.skip_past("-->")?;
            } else if self.eat("<?") {
                self.skip_past("?>")?;
            } else {
                return Ok(());
            }
        }
    }

    fn document(&mut self, told: Told<'_, 'x>, writer: &mut BatchWriter<'_>) -> Result<(), Malformed> {
        self.skip_trifles()?;
        if self.rest().is_empty() {
            return Err(self.truncated());
        }
        if !self.eat("<") {
            return Err(self.malformed());
        }
        if self.name()? != "Event" {
            return Err(self.malformed());
        }
        self.push("Event")?;
        if !self.attributes(told, writer)?.is_empty {
            self.content(told, writer)?;
        }
        self.skip_trifles()?;
        if self.rest().is_empty() { Ok(()) } else { Err(self.malformed()) }
    }

    fn push(&mut self, name: &'x str) -> Result<(), Malformed> {
        match self.open.get_mut(self.depth) {
            Some(place) => {
                *place = name;
                self.depth += 1;
                Ok(())
            }
            None => Err(self.malformed()),
        }
    }

    /// What stands between the start tag of `Event` and its end tag, with everything below.
    fn content(&mut self, told: Told<'_, 'x>, writer: &mut BatchWriter<'_>) -> Result<(), Malformed> {
        while self.depth > 0 {
            self.skip_text()?;
            if self.eat("</") {
                self.end_tag()?;
            } else if self.eat("<!") {
                // A document type, or character data where no value can be.
                return Err(self.malformed());
            } else if self.eat("<") {
                let name = self.name()?;
                self.push(name)?;
                let start = self.attributes(told, writer)?;
                if start.is_empty {
                    self.tell(&start, "", told, writer)?;
                    self.depth -= 1;
                } else if let Some(raw) = self.leaf()? {
                    self.tell(&start, raw, told, writer)?;
                }
            }
        }
        Ok(())
    }

    /// Text between elements: only white space is meant to be there, and other text means nothing.
    fn skip_text(&mut self) -> Result<(), Malformed> {
        loop {
            match memchr::memchr(b'<', self.rest().as_bytes()) {
                Some(found) => self.at += found,
                None => return Err(self.truncated()),
            }
            if self.eat("<!--") {
                self.skip_past("-->")?;
            } else if self.eat("<?") {
                self.skip_past("?>")?;
            } else {
                return Ok(());
            }
        }
    }

    /// The content of the element that was just opened, if no element is in it. Its end tag is not read.
    fn leaf(&mut self) -> Result<Option<&'x str>, Malformed> {
        let start = self.at;
        loop {
            let Some(found) = memchr::memchr(b'<', self.rest().as_bytes()) else { return Err(self.truncated()) };
            self.at += found;
            let rest = self.rest();
            if rest.starts_with("</") {
                return Ok(self.text.get(start..self.at));
            } else if rest.starts_with("<![CDATA[") {
                self.skip_past("]]>")?;
            } else if rest.starts_with("<!--") {
                self.skip_past("-->")?;
            } else if rest.starts_with("<?") {
                self.skip_past("?>")?;
            } else {
                self.at = start;
                return Ok(None);
            }
        }
    }

    fn end_tag(&mut self) -> Result<(), Malformed> {
        let name = self.name()?;
        self.skip_space();
        let open = self.depth.checked_sub(1).and_then(|it| self.open.get(it)).copied();
        if self.rest().is_empty() {
            Err(self.truncated())
        } else if open == Some(name) && self.eat(">") {
            self.depth -= 1;
            Ok(())
        } else {
            Err(self.malformed())
        }
    }

    /// A name without its prefix.
    fn name(&mut self) -> Result<&'x str, Malformed> {
        let rest = self.rest();
        let is_end = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/' | b'=' | b'<' | b'"' | b'\'');
        let Some(length) = rest.bytes().take(NAME_BYTES_MAX + 1).position(is_end) else {
            return Err(if rest.len() <= NAME_BYTES_MAX { self.truncated() } else { self.malformed() });
        };
        let name = rest.get(..length).unwrap_or("");
        let local = name.rsplit(':').next().unwrap_or(name);
        if local.is_empty() {
            return Err(self.malformed());
        }
        self.at += length;
        Ok(local)
    }

    /// The rest of a start tag whose name has been read.
    fn attributes(&mut self, told: Told<'_, 'x>, writer: &mut BatchWriter<'_>) -> Result<Start<'x>, Malformed> {
        let mut start = Start { data_name: None, is_empty: false };
        loop {
            self.skip_space();
            if self.eat(">") {
                return Ok(start);
            }
            if self.eat("/>") {
                start.is_empty = true;
                return Ok(start);
            }
            if matches!(self.rest(), "" | "/") {
                return Err(self.truncated());
            }
            let name = self.name()?;
            self.skip_space();
            let equals = self.eat("=");
            self.skip_space();
            let quote = self.rest().bytes().next();
            let (true, Some(quote @ (b'"' | b'\''))) = (equals, quote) else {
                return Err(if self.rest().is_empty() { self.truncated() } else { self.malformed() });
            };
            self.at += 1;
            let Some(length) = memchr::memchr(quote, self.rest().as_bytes()) else { return Err(self.truncated()) };
            let raw = self.rest().get(..length).unwrap_or("");
            self.at += length + 1;
            match self.open.get(..self.depth) {
                Some(["Event", "System", element]) => {
                    let part = Part::System { element, attribute: Some(name) };
                    self.count()?;
                    told(writer, part, RawText { raw });
                }
                Some(["Event", "EventData", ..]) if name == "Name" && !raw.is_empty() => start.data_name = Some(raw),
                _ => {}
            }
        }
    }

    fn count(&mut self) -> Result<(), Malformed> {
        self.values += 1;
        if self.values > VALUES_MAX { Err(self.malformed()) } else { Ok(()) }
    }

    /// Hands out the text of the element that was opened last.
    fn tell(
        &mut self,
        start: &Start<'x>,
        raw: &'x str,
        told: Told<'_, 'x>,
        writer: &mut BatchWriter<'_>,
    ) -> Result<(), Malformed> {
        let part = match self.open.get(..self.depth) {
            // Elements that say all in their attributes.
            Some(["Event", "System", "Provider" | "TimeCreated" | "Correlation" | "Execution" | "Security"]) => {
                return Ok(());
            }
            Some(["Event", "System", element]) => Part::System { element, attribute: None },
            Some(["Event", "EventData", "Data"]) => Part::Data(start.data_name),
            Some(["Event", "EventData", element]) => Part::Data(start.data_name.or(Some(element))),
            // An empty `UserData` has no leaf.
            Some(["Event", "UserData", .., element]) if self.depth > 2 => Part::UserData(element),
            Some(["Event", "RenderingInfo", .., element]) if self.depth > 2 => Part::Rendering(element),
            _ => return Ok(()),
        };
        self.count()?;
        told(writer, part, RawText { raw });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use panoptes_model::{EventBatch, FrameId, Schema, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (Result<(), Malformed>, Vec<String>) {
        let mut result = Ok(());
        let mut out = Vec::new();
        EventBatch::build(Arc::new(Schema::ecs()), FrameId(1), Timestamp(0), Vec::new(), text.to_owned(), |writer| {
            let input = writer.input();
            let told = &mut |_: &mut BatchWriter<'_>, part: Part<'_>, raw: RawText<'_>| {
                let mut value = String::new();
                raw.decode(&mut value);
                assert!(raw.plain().is_none_or(|plain| plain == value));
                out.push(match part {
                    Part::System { element, attribute: None } => format!("{element}={value}"),
                    Part::System { element, attribute: Some(name) } => format!("{element}@{name}={value}"),
                    Part::Data(name) => format!("[{}]={value}", name.unwrap_or_default()),
                    Part::UserData(name) => format!("user {name}={value}"),
                    Part::Rendering(name) => format!("rendering {name}={value}"),
                });
            };
            result = read_event(input, told, writer);
        });
        (result, out)
    }

    const SYSMON: &str = concat!(
        r#"<?xml version="1.0"?><Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System>"#,
        r#"<Provider Name='Microsoft-Windows-Sysmon' Guid="{5770}"/><EventID Qualifiers="0">1</EventID>"#,
        r#"<TimeCreated SystemTime="2024-01-15T10:30:00.5Z"/><Correlation/><Channel>C</Channel><Security UserID="S-1"/>"#,
        "</System>\r\n<EventData>",
        r#"<Data Name="CommandLine">&quot;a&quot; &lt;&#x41;&#66; &nope; & b</Data><Data>x</Data><Data/>"#,
        r#"<Data Name="Empty"></Data><Binary>00FF</Binary></EventData></Event>"#,
    );

    #[test]
    fn every_value_is_handed_out_with_its_place() {
        let (result, values) = read(SYSMON);
        assert_eq!(result, Ok(()));
        assert_eq!(
            values,
            [
                "Provider@Name=Microsoft-Windows-Sysmon",
                "Provider@Guid={5770}",
                "EventID@Qualifiers=0",
                "EventID=1",
                "TimeCreated@SystemTime=2024-01-15T10:30:00.5Z",
                "Channel=C",
                "Security@UserID=S-1",
                r#"[CommandLine]="a" <AB &nope; & b"#,
                "[]=x",
                "[]=",
                "[Empty]=",
                "[Binary]=00FF",
            ]
        );
    }

    #[test]
    fn user_data_and_rendered_texts_are_leaves() {
        let (result, values) = read(concat!(
            "<Event><UserData><p:LogFileCleared xmlns:p='u'><p:SubjectUserName>a<!-- x -->b</p:SubjectUserName>",
            "<e/></p:LogFileCleared></UserData><RenderingInfo Culture='en'><Message>m<![CDATA[<&]]>n</Message>",
            "<Keywords><Keyword>k</Keyword></Keywords></RenderingInfo></Event>\n",
        ));
        assert_eq!(result, Ok(()));
        assert_eq!(values, ["user SubjectUserName=ab", "user e=", "rendering Message=m<&n", "rendering Keyword=k"]);
    }

    #[test]
    fn a_cut_event_gives_what_it_has_and_says_where_it_ends() {
        let whole = read(SYSMON).1;
        for (end, _) in SYSMON.char_indices() {
            let (result, values) = read(SYSMON.split_at(end).0);
            let malformed = result.unwrap_err();
            assert!(malformed.is_truncated && malformed.offset == end, "{end} {malformed:?}");
            assert!(whole.starts_with(&values), "{end}");
        }
    }

    #[test]
    fn what_is_no_event_is_malformed() {
        for text in [
            "<Events/>",
            "x",
            "<Event></Eventx>",
            "<Event></System></Event>",
            "<Event><a b></a></Event>",
            "<Event></Event><Event></Event>",
            "<!DOCTYPE x [<!ENTITY a 'b'>]><Event/>",
            "<Event><!DOCTYPE x></Event>",
            "<Event>< a/></Event>",
        ] {
            let malformed = read(text).0.unwrap_err();
            assert!(!malformed.is_truncated, "{text}");
        }
        assert_eq!(read("<Event/>").0, Ok(()));
    }

    #[test]
    fn depth_values_and_names_are_bounded() {
        let deep = |depth: usize| format!("<Event>{}{}</Event>", "<a>".repeat(depth), "</a>".repeat(depth));
        assert_eq!(read(&deep(DEPTH_MAX - 1)).0, Ok(()));
        assert!(read(&deep(DEPTH_MAX)).0.is_err());
        let many = |count: usize| format!("<Event><EventData>{}</EventData></Event>", "<Data/>".repeat(count));
        assert_eq!(read(&many(VALUES_MAX)).0, Ok(()));
        assert!(read(&many(VALUES_MAX + 1)).0.is_err());
        let long = |length: usize| format!("<Event><{}/></Event>", "n".repeat(length));
        assert_eq!(read(&long(NAME_BYTES_MAX)).0, Ok(()));
        assert!(!read(&long(NAME_BYTES_MAX + 1)).0.unwrap_err().is_truncated);
    }

    #[test]
    fn events_are_told_by_their_first_tag() {
        assert!(looks_like_event(SYSMON) && looks_like_event(" <Event>") && looks_like_event("<Event xmlns="));
        assert!(!looks_like_event("<Events>") && !looks_like_event("<13>x") && !looks_like_event("<Event"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _read = read(&text);
        }

        #[test]
        fn no_arrangement_of_tags_panics(pieces in prop::collection::vec(
            "(<Event>|</Event>|<System>|</System>|<EventData>|<Data Name='é'>|</Data>|<a b=\"c\"/>|<!--|-->|<!\\[CDATA\\[|\\]\\]>|&|&#|;|x|é|<|>|/|')",
            0..24,
        )) {
            let _read = read(&format!("<Event>{}", pieces.concat()));
        }
    }
}
