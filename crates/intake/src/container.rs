//! Lines that a container runtime wrote, as records that name their container.
//!
//! Docker writes `{"log":"…\n","stream":"stdout","time":"…"}` and parts what a program writes in one go into pieces of
//! 16 KiB, of which only the last ends with `\n`. Kubernetes' runtimes write `TIME stdout P …` for such pieces and
//! `TIME stdout F …` for the last. Either becomes one object in Docker's form, its pieces joined, with the names of
//! the container behind what the runtime wrote. Lines of any other form stay as they are.

mod names;

use std::borrow::Cow;

use memchr::memmem;
use panoptes_model::RawBatch;
use serde::Deserialize;

pub(crate) use self::names::Names;
use crate::audit;
use crate::limits::{CONTAINER_LINE_BYTES_MAX, LINE_BYTES_MAX};

/// One line of the runtime.
#[derive(Debug, PartialEq, Eq)]
struct Piece<'t> {
    text: Cow<'t, str>,
    stream: Cow<'t, str>,
    time: Cow<'t, str>,
    /// Its line goes on in the stream's next piece.
    is_open: bool,
}

#[derive(Deserialize)]
struct DockerLine<'t> {
    #[serde(borrow)]
    log: Cow<'t, str>,
    #[serde(borrow, default)]
    stream: Cow<'t, str>,
    #[serde(borrow, default)]
    time: Cow<'t, str>,
}

impl<'t> Piece<'t> {
    fn of(line: &'t [u8]) -> Option<Self> {
        if line.starts_with(b"{\"log\":") {
            let DockerLine { log, stream, time } = serde_json::from_slice(line).ok()?;
            let is_open = !log.ends_with('\n');
            return Some(Self { text: log, stream, time, is_open });
        }
        // The `T` of the time is in a fixed place: cheap to ask first.
        if line.get(10) != Some(&b'T') {
            return None;
        }
        let mut words = line.splitn(4, |it| *it == b' ');
        let (time, stream, tags) = (words.next()?, words.next()?, words.next()?);
        let text = String::from_utf8_lossy(words.next().unwrap_or_default());
        let is_open = match tags.split(|it| *it == b':').next()? {
            b"P" => true,
            b"F" => false,
            _ => return None,
        };
        let stream = std::str::from_utf8(stream).ok().filter(|it| matches!(*it, "stdout" | "stderr"))?;
        let time = std::str::from_utf8(time).ok()?;
        Some(Self { text, stream: stream.into(), time: time.into(), is_open })
    }
}

/// The end of the text of a line that is Docker's and whole, told without reading it: nearly all lines are.
fn whole_docker_line(line: &[u8]) -> Option<usize> {
    if !line.starts_with(b"{\"log\":\"") || !line.ends_with(b"}") {
        return None;
    }
    // Inside of the text the quotes would be escaped. `\\n` may also be a backslash and an `n`.
    let end = memmem::find(line, b"\\n\",\"stream\":\"")?;
    let backslashes = line.get(..end)?.iter().rev().take_while(|it| **it == b'\\').count();
    (backslashes % 2 == 0).then_some(end)
}

/// What becomes of the lines of one file.
enum Act {
    /// It stays as it is.
    Keep {
        at: usize,
    },
    /// Docker's line, whose text ends there, gets names.
    Name {
        at: usize,
        end: usize,
    },
    Join(Joined),
}

impl Act {
    /// The line in whose place it is.
    fn at(&self) -> usize {
        match self {
            Self::Keep { at } | Self::Name { at, .. } => *at,
            Self::Join(joined) => joined.at,
        }
    }
}

/// A line in pieces.
struct Joined {
    stream: String,
    /// The lines that its first and its last piece are.
    from: usize,
    at: usize,
    text: String,
    time: String,
}

/// Puts in place of the records of `batch` from the `first`th on, which are lines of one file, what they become.
///
/// Returns how many of them are done: the others are taken out, because a line among them goes on in what is not
/// written yet, and must be read again. Without `hold`, such a line is taken as it is.
pub(crate) fn unwrap(batch: &mut RawBatch, first: usize, names: &Names, hold: Hold) -> usize {
    let lines = audit::split(batch, first);
    let (mut acts, open) = plan(&lines);
    let done = match begin_of(&acts, &open) {
        Some(from) if hold.is_wanted(from) => {
            acts.retain(|it| it.at() < from);
            from
        }
        _ => {
            let last = lines.records.len().saturating_sub(1);
            acts.extend(open.into_iter().map(|it| Act::Join(Joined { at: last, ..it })));
            lines.records.len()
        }
    };
    let mut json = Vec::new();
    for act in acts {
        let Some(record) = lines.records.get(act.at()) else { continue };
        let origin = lines.origin_of(record).map_or(0, |it| batch.origin(it));
        let line = lines.bytes_of(record);
        let left = lines.bytes.len();
        let has_room =
            |json: &[u8], batch: &RawBatch| json.len() < LINE_BYTES_MAX && batch.has_room_for(json.len() + left);
        let text = match &act {
            Act::Keep { .. } => line,
            Act::Name { end, .. } => {
                let inner = line.strip_suffix(b"}").unwrap_or(line);
                json.clear();
                json.extend_from_slice(inner.get(..*end).unwrap_or_default());
                json.extend_from_slice(inner.get(end + 2..).unwrap_or_default());
                json.extend_from_slice(names.members());
                json.push(b'}');
                // Names make lines longer: where they have no room, the line goes without.
                if has_room(&json, batch) { &json } else { line }
            }
            Act::Join(Joined { text, stream, time, .. }) => {
                names.write(text, stream, time, &mut json);
                if !has_room(&json, batch) {
                    Names::default().write(text, stream, time, &mut json);
                }
                &json
            }
        };
        batch.push(origin, record.received_at, record.position, text);
    }
    done
}

/// Whether to wait for the rest of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    Yes,
    /// Only if something before it is done with.
    ForProgress,
    No,
}

impl Hold {
    fn is_wanted(self, done: usize) -> bool {
        match self {
            Self::Yes => true,
            Self::ForProgress => done > 0,
            Self::No => false,
        }
    }
}

/// What becomes of each line, in order, and the lines that go on.
fn plan(lines: &RawBatch) -> (Vec<Act>, Vec<Joined>) {
    let mut acts = Vec::new();
    let mut open: Vec<Joined> = Vec::new();
    for (at, record) in lines.records.iter().enumerate() {
        let line = lines.bytes_of(record);
        if open.is_empty()
            && let Some(end) = whole_docker_line(line)
        {
            acts.push(Act::Name { at, end });
            continue;
        }
        let Some(piece) = Piece::of(line) else {
            acts.push(Act::Keep { at });
            continue;
        };
        let begun = open.iter().position(|it| it.stream == piece.stream).map(|it| open.swap_remove(it));
        let whole = match begun {
            Some(begun) if begun.text.len() + piece.text.len() <= CONTAINER_LINE_BYTES_MAX => {
                Joined { at, text: begun.text + &piece.text, ..begun }
            }
            begun => {
                // All before this line is done with.
                acts.extend(begun.map(|it| Act::Join(Joined { at: at.saturating_sub(1), ..it })));
                if piece.text.len() > CONTAINER_LINE_BYTES_MAX {
                    acts.push(Act::Keep { at });
                    continue;
                }
                let Piece { text, stream, time, .. } = &piece;
                Joined { stream: stream.to_string(), from: at, at, text: text.to_string(), time: time.to_string() }
            }
        };
        if piece.is_open {
            open.push(whole);
        } else {
            acts.push(Act::Join(whole));
        }
    }
    (acts, open)
}

/// The first line that must be read again if the open ones are to become whole: no line that is joined may have
/// pieces on both sides of it.
fn begin_of(acts: &[Act], open: &[Joined]) -> Option<usize> {
    let mut begin = open.iter().map(|it| it.from).min()?;
    for act in acts.iter().rev() {
        if let Act::Join(Joined { from, at, .. }) = act
            && *at >= begin
        {
            begin = begin.min(*from);
        }
    }
    Some(begin)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use panoptes_model::{Origin, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn pod() -> Names {
        Names::of(Path::new("/var/log/pods/shop_web-7d9_0a1b/nginx/0.log"))
    }

    /// The texts and positions that `lines` become, and from which line on they are held.
    fn unwrapped(lines: &[&str], hold: Hold) -> (Vec<(String, u64)>, usize) {
        let mut batch = RawBatch::new();
        let origin = batch.origin(&Origin::default());
        batch.push(origin, Timestamp(1), 1, b"before");
        for (index, line) in lines.iter().enumerate() {
            batch.push(origin, Timestamp(1), index as u64 + 10, line.as_bytes());
        }
        let done = unwrap(&mut batch, 1, &pod(), hold);
        assert_eq!(batch.bytes_of(&batch.records[0]), b"before");
        let text = |it: &panoptes_model::RawRecord| String::from_utf8(batch.bytes_of(it).to_vec()).unwrap();
        (batch.records.iter().skip(1).map(|it| (text(it), it.position)).collect(), done)
    }

    const NAMES: &str = r#","container.name":"nginx","orchestrator.type":"kubernetes","orchestrator.namespace":"shop","orchestrator.resource.type":"pod","orchestrator.resource.name":"web-7d9","kubernetes.pod.uid":"0a1b""#;

    #[test]
    fn lines_of_docker_keep_their_text_and_get_names() {
        let line = |end: &str| {
            format!(r#"{{"log":"a \"b\"{end}","stream":"stdout","attrs":{{"x":"y"}},"time":"2024-01-15T10:30:00Z""#)
        };
        let (records, done) = unwrapped(&[&format!("{}}}", line("\\n"))], Hold::Yes);
        assert_eq!((records, done), (vec![(format!("{}{NAMES}}}", line("")), 10)], 1));
        let backslash = format!("{}}}", line("\\\\n"));
        assert_eq!(unwrapped(&[&backslash], Hold::Yes).1, 0, "a backslash and an n do not end a line");
    }

    #[test]
    fn pieces_are_joined_per_stream_at_the_place_of_the_last() {
        let docker = |text: &str, stream: &str| format!(r#"{{"log":"{text}","stream":"{stream}","time":"T"}}"#);
        let (one, two, three, four) =
            (docker("a", "stdout"), docker("err\\n", "stderr"), docker("b", "stdout"), docker("c\\n", "stdout"));
        let (records, done) = unwrapped(&[&one, &two, &three, &four], Hold::Yes);
        let expected = [
            (format!(r#"{{"log":"err","stream":"stderr","time":"T"{NAMES}}}"#), 11),
            (format!(r#"{{"log":"abc","stream":"stdout","time":"T"{NAMES}}}"#), 13),
        ];
        assert_eq!((records, done), (expected.to_vec(), 4));
        let cri = [
            "2024-01-15T10:30:00Z stdout P one ",
            "2024-01-15T10:30:01Z stderr F other",
            "2024-01-15T10:30:02Z stdout F:x two",
            "2024-01-15T10:30:03Z stdout F ",
        ];
        let (records, done) = unwrapped(&cri, Hold::Yes);
        let of = |text: &str, stream: &str, second: u8| {
            format!(r#"{{"log":"{text}","stream":"{stream}","time":"2024-01-15T10:30:0{second}Z"{NAMES}}}"#)
        };
        let expected = [(of("other", "stderr", 1), 11), (of("one two", "stdout", 0), 12), (of("", "stdout", 3), 13)];
        assert_eq!((records, done), (expected.to_vec(), 4));
    }

    #[test]
    fn what_goes_on_later_is_held_or_taken_as_it_is() {
        let lines = [
            "2024-01-15T10:30:00Z stdout F whole",
            "2024-01-15T10:30:01Z stdout P half",
            "2024-01-15T10:30:02Z stderr F after it",
        ];
        let (records, done) = unwrapped(&lines, Hold::Yes);
        assert_eq!((records.len(), done), (1, 1));
        let (records, done) = unwrapped(&lines, Hold::No);
        assert_eq!((records.len(), done), (3, 3));
        assert!(records[2].0.contains("half") && records[2].1 == 12, "{records:?}");
        assert_eq!(unwrapped(&lines[1..], Hold::ForProgress).1, 2, "there is nothing before it");
        assert_eq!(unwrapped(&lines, Hold::ForProgress).1, 1);
    }

    #[test]
    fn no_line_is_parted_because_another_is_held() {
        let lines = [
            "2024-01-15T10:30:00Z stdout F whole",
            "2024-01-15T10:30:01Z stdout P one ",
            "2024-01-15T10:30:02Z stderr P goes on ",
            "2024-01-15T10:30:03Z stdout F two",
        ];
        let (records, done) = unwrapped(&lines, Hold::Yes);
        assert_eq!((records.len(), done), (1, 1));
    }

    #[test]
    fn a_line_without_an_end_is_parted_at_the_limit() {
        let piece = format!("2024-01-15T10:30:00Z stdout P {}", "x".repeat(CONTAINER_LINE_BYTES_MAX / 2));
        let (records, done) = unwrapped(&[piece.as_str(); 5], Hold::Yes);
        assert_eq!((records.len(), done), (2, 4), "a record at its limit goes when the next piece comes");
        assert!(records.iter().all(|it| it.0.len() > CONTAINER_LINE_BYTES_MAX));
        let long = format!("2024-01-15T10:30:00Z stdout P {}", "x".repeat(CONTAINER_LINE_BYTES_MAX + 1));
        let (records, done) = unwrapped(&[&piece, &long, &piece], Hold::No);
        assert_eq!((records.len(), done, &records[1].0), (3, 3, &long));
        // Escapes make six bytes of one.
        let control = format!("2024-01-15T10:30:00Z stdout F {}", "\u{1}".repeat(CONTAINER_LINE_BYTES_MAX));
        let (records, _) = unwrapped(&[&control], Hold::Yes);
        assert!(records[0].0.len() > 6 * CONTAINER_LINE_BYTES_MAX && records[0].0.len() < LINE_BYTES_MAX);
    }

    #[test]
    fn other_lines_stay_as_they_are() {
        for line in [
            "plain text",
            "{\"log\":",
            "{\"log\":7}",
            "2024-01-15T10:30:00Z stdin F x",
            "2024-01-15T10:30:00Z stdout X x",
            "2024-01-15T",
        ] {
            assert_eq!(unwrapped(&[line], Hold::Yes), (vec![(line.to_owned(), 10)], 1), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_lines_end_in_records_whose_positions_do_not_fall(lines in proptest::collection::vec(prop_oneof![
            Just(r#"{"log":"a","stream":"stdout","time":"T"}"#.to_owned()),
            Just(r#"{"log":"a\n","stream":"stdout","time":"T"}"#.to_owned()),
            Just(r#"{"log":"a\n","stream":"stderr"}"#.to_owned()),
            Just("2024-01-15T10:30:00Z stdout P a".to_owned()), Just("2024-01-15T10:30:00Z stderr F a".to_owned()),
            "[ -~]{0,20}"
        ], 0..12)) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let (whole, all) = unwrapped(&lines, Hold::No);
            prop_assert_eq!(all, lines.len());
            prop_assert!(whole.windows(2).all(|it| it[0].1 <= it[1].1));
            // What is not held is as if the rest were there.
            let (records, done) = unwrapped(&lines, Hold::Yes);
            prop_assert_eq!(&records, &whole[..records.len()].to_vec());
            prop_assert!(done <= lines.len());
            // And the rest, read again, makes the rest.
            let (rest, _) = unwrapped(&lines[done..], Hold::No);
            let texts = |it: &[(String, u64)]| it.iter().map(|it| it.0.clone()).collect::<Vec<_>>();
            prop_assert_eq!(texts(&rest), texts(&whole[records.len()..]));
        }
    }
}
