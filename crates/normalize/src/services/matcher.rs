//! Walks a pattern along a text.
//!
//! A pattern has no loops, so each walk ends; how often an open field may be tried with another end is bounded by
//! [`Effort`], in proportion to the text.

use panoptes_model::Timestamp;

use super::template::{CAPTURES_MAX, Op, Shape, Template};
use crate::address;
use crate::time;

/// What one text may cost beside twice its length. What does not match within that does not match.
const EFFORT_BASE: i64 = 16_384;
/// How many bytes are looked at for one unit of effort.
const BYTES_PER_UNIT: usize = 8;

/// How much work is left for one text. All patterns that are tried on it share it.
#[derive(Debug)]
pub(super) struct Effort(i64);

impl Effort {
    pub(super) fn for_text(text: &str) -> Self {
        Self(EFFORT_BASE + 2 * text.len() as i64)
    }

    fn spend(&mut self, bytes: usize) -> bool {
        self.0 -= 1 + (bytes / BYTES_PER_UNIT) as i64;
        self.0 > 0
    }
}

/// Where the fields of a pattern lie in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found([Option<(u32, u32)>; CAPTURES_MAX]);

impl Found {
    pub(super) fn text<'t>(&self, slot: usize, text: &'t str) -> Option<&'t str> {
        let (start, end) = self.0.get(slot).copied().flatten()?;
        text.get(start as usize..end as usize)
    }

    fn set(&mut self, slot: Option<usize>, start: usize, end: usize) {
        if let Some(place) = slot.and_then(|it| self.0.get_mut(it)) {
            *place = Some((start as u32, end as u32));
        }
    }
}

/// Where the fields of `template` lie in `text`, if all of it matches.
pub(super) fn find(template: &Template, text: &str, received_at: Timestamp, effort: &mut Effort) -> Option<Found> {
    // Offsets are kept in 32 bits; records are far shorter.
    if u32::try_from(text.len()).is_err() {
        return None;
    }
    let mut walk = Walk { ops: &template.ops, text, received_at, effort, found: Found([None; CAPTURES_MAX]) };
    walk.run(0, 0).then_some(walk.found)
}

struct Walk<'w> {
    ops: &'w [Op],
    text: &'w str,
    received_at: Timestamp,
    effort: &'w mut Effort,
    found: Found,
}

impl Walk<'_> {
    /// Whether the steps from `step` on take all text from `at` on.
    fn run(&mut self, mut step: usize, mut at: usize) -> bool {
        loop {
            if !self.effort.spend(0) {
                return false;
            }
            let Some(rest) = self.text.get(at..) else { return false };
            match self.ops.get(step) {
                None => return rest.is_empty(),
                Some(Op::Literal(text)) => {
                    if !rest.starts_with(&*text.text) {
                        return false;
                    }
                    at += text.text.len();
                }
                Some(Op::Blanks) => {
                    let blanks = rest.bytes().take_while(|it| matches!(it, b' ' | b'\t')).count();
                    if blanks == 0 || !self.effort.spend(blanks) {
                        return false;
                    }
                    at += blanks;
                }
                Some(Op::Optional(other)) => {
                    let before = self.found;
                    if self.run(step + 1, at) {
                        return true;
                    }
                    self.found = before;
                    step = *other;
                    continue;
                }
                Some(Op::Capture(capture)) => {
                    let (slot, start) = (capture.slot, at);
                    match &capture.shape {
                        Shape::Text => return self.open(step, slot, start, self.text.len(), false),
                        Shape::Rest => return self.open(step, slot, start, self.text.len(), true),
                        Shape::Word => {
                            let length = rest.bytes().take_while(|it| !matches!(it, b' ' | b'\t')).count();
                            return length > 0
                                && self.effort.spend(length)
                                && self.open(step, slot, start, start + length, false);
                        }
                        Shape::OneOf(texts) => {
                            return texts.iter().filter(|it| rest.starts_with(&***it)).any(|it| {
                                self.found.set(slot, start, start + it.len());
                                self.run(step + 1, start + it.len())
                            });
                        }
                        shape => {
                            let found = fixed_end(shape, rest, self.received_at);
                            // A quote that does not close was looked for to the end.
                            let looked_at = match found {
                                Some((_, _, end)) => end,
                                None if matches!(shape, Shape::Quoted) => rest.len(),
                                None => 0,
                            };
                            if !self.effort.spend(looked_at) {
                                return false;
                            }
                            let Some((from, to, end)) = found else { return false };
                            self.found.set(slot, start + from, start + to);
                            at = start + end;
                        }
                    }
                }
            }
            step += 1;
        }
    }

    /// An open field: tries its possible ends, the nearest first, or the farthest if `greedy`.
    fn open(&mut self, step: usize, slot: Option<usize>, start: usize, limit: usize, greedy: bool) -> bool {
        let ops = self.ops;
        let text = self.text;
        let next = ops.get(step + 1);
        let Some(scope) = text.get(start..) else { return false };
        match next {
            None => {
                let done = limit == text.len();
                self.found.set(slot, start, limit);
                done
            }
            Some(Op::Literal(literal)) if !greedy => {
                let mut from = 0;
                while let Some(hit) = scope.as_bytes().get(from..).and_then(|it| literal.forward.find(it)) {
                    let end = start + from + hit;
                    if end > limit || !self.effort.spend(hit) {
                        return false;
                    }
                    if self.end_at(step, slot, start, end) {
                        return true;
                    }
                    from += hit + 1;
                }
                // What was searched in vain has cost something, too.
                self.effort.spend(scope.len().saturating_sub(from));
                false
            }
            Some(Op::Literal(literal)) => {
                let mut until = scope.len();
                while let Some(hit) = scope.as_bytes().get(..until).and_then(|it| literal.backward.rfind(it)) {
                    if !self.effort.spend(until - hit) {
                        return false;
                    }
                    if start + hit <= limit && self.end_at(step, slot, start, start + hit) {
                        return true;
                    }
                    let Some(shorter) = (hit + literal.text.len()).checked_sub(1) else { return false };
                    until = shorter;
                }
                self.effort.spend(until);
                false
            }
            Some(_) if greedy => {
                for end in (start..=limit).rev().filter(|it| text.is_char_boundary(*it)) {
                    if !self.effort.spend(0) {
                        return false;
                    }
                    if self.end_at(step, slot, start, end) {
                        return true;
                    }
                }
                false
            }
            Some(_) => {
                for end in (start..=limit).filter(|it| text.is_char_boundary(*it)) {
                    if !self.effort.spend(0) {
                        return false;
                    }
                    if self.end_at(step, slot, start, end) {
                        return true;
                    }
                }
                false
            }
        }
    }

    fn end_at(&mut self, step: usize, slot: Option<usize>, start: usize, end: usize) -> bool {
        // What a vain try has set is set again by the next one, or taken back by the optional part that it is in.
        self.found.set(slot, start, end);
        self.run(step + 1, end)
    }
}

/// Of a shape that says itself where it ends: where its value begins and ends, and where the text goes on.
fn fixed_end(shape: &Shape, rest: &str, received_at: Timestamp) -> Option<(usize, usize, usize)> {
    let whole = |end: usize| Some((0, end, end));
    match shape {
        Shape::Ip => whole(ip_end(rest)?),
        Shape::Endpoint => match ip_end(rest) {
            Some(end) => {
                let digits = |it: &str| it.bytes().take_while(u8::is_ascii_digit).count();
                let port = rest.get(end..).and_then(|it| it.strip_prefix(':')).map_or(0, digits);
                whole(if (1..=5).contains(&port) { end + 1 + port } else { end })
            }
            None => whole(host_end(rest)?),
        },
        Shape::Host => whole(ip_end(rest).or_else(|| host_end(rest))?),
        Shape::Number => {
            let length = rest.bytes().take_while(u8::is_ascii_digit).count();
            if length == 0 { None } else { whole(length) }
        }
        Shape::Quoted => {
            let mut cursor = crate::text::Cursor::new(rest);
            let inner = cursor.quoted()?;
            Some((1, 1 + inner.len(), rest.len() - cursor.rest.len()))
        }
        Shape::Time(None) => {
            let (_, after) = time::leading(rest)?;
            whole(rest.len() - after.len())
        }
        Shape::Time(Some(clock)) => whole(clock.read(rest, received_at)?.1),
        Shape::Text | Shape::Rest | Shape::Word | Shape::OneOf(_) => None,
    }
}

/// Where the address ends that `text` begins with: four numbers, or the longest run that is IPv6.
fn ip_end(text: &str) -> Option<usize> {
    // Mail servers write `IPv6:2001:db8::1`.
    if let Some(rest) = text.strip_prefix("IPv6:") {
        return bare_ip_end(rest).map(|it| it + "IPv6:".len());
    }
    bare_ip_end(text)
}

fn bare_ip_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.first() == Some(&b'[') {
        let close = memchr::memchr(b']', bytes.get(..64.min(bytes.len()))?)?;
        address::ip(text.get(..=close)?)?;
        return Some(close + 1);
    }
    if let Some(end) = v4_end(bytes) {
        return Some(end);
    }
    let run = bytes.iter().take(48).take_while(|it| it.is_ascii_hexdigit() || matches!(it, b':' | b'.')).count();
    let zone = match bytes.get(run) {
        Some(b'%') => 1 + bytes.iter().skip(run + 1).take(16).take_while(|it| it.is_ascii_alphanumeric()).count(),
        _ => 0,
    };
    // A sentence's colon or dot, or a port behind the address, is none of it.
    let mut end = run;
    while end >= 2 {
        let candidate = text.get(..end)?;
        if candidate.contains(':') && address::ip(candidate).is_some() {
            return Some(if end == run { end + zone } else { end });
        }
        end = memchr::memrchr2(b':', b'.', bytes.get(..end)?)?;
        // `2001:db8::` ends with the colons themselves.
        if bytes.get(end - 1.min(end)) == Some(&b':') && address::ip(text.get(..=end)?).is_some() {
            return Some(end + 1);
        }
    }
    None
}

/// Four decimal numbers, whatever follows but a digit.
fn v4_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    for part in 0..4 {
        if part > 0 {
            if bytes.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
        let digits = bytes.iter().skip(at).take(4).take_while(|it| it.is_ascii_digit()).count();
        if !(1..=3).contains(&digits) {
            return None;
        }
        at += digits;
    }
    address::ip(std::str::from_utf8(bytes.get(..at)?).ok()?).map(|_| at)
}

/// Where the host's name ends that `text` begins with. A dot or a hyphen at the end is the sentence's.
fn host_end(text: &str) -> Option<usize> {
    let run =
        text.bytes().take(254).take_while(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b'_')).count();
    let name = text.get(..run)?.trim_end_matches(['.', '-']);
    address::is_host_name(name).then_some(name.len())
}

#[cfg(test)]
mod tests {
    use panoptes_model::Schema;
    use proptest::prelude::*;

    use super::*;

    fn matched(pattern: &str, text: &str) -> Option<Vec<String>> {
        let template = Template::parse(pattern, &Schema::ecs(), false).unwrap();
        let found = find(&template, text, Timestamp(0), &mut Effort::for_text(text))?;
        Some((0..template.targets.len()).map(|it| found.text(it, text).unwrap_or("-").to_owned()).collect())
    }

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: &[&str]) {
        assert_eq!(matched(pattern, text).unwrap_or_default(), expected, "{pattern} on {text}");
    }

    #[test]
    fn fields_are_cut_out_of_their_text() {
        check("user {user.name} from {source.ip}", "user bob from 192.0.2.1", &["bob", "192.0.2.1"]);
        check("{user.name}@{source}: no", "a@[2001:db8::1]:80: no", &["a", "[2001:db8::1]:80"]);
        check("from {source.ip}.{source.port}", "from 192.0.2.1.1080", &["192.0.2.1", "1080"]);
        check("from {source.ip}:{source.port}", "from ::ffff:192.0.2.1:1080", &["::ffff:192.0.2.1", "1080"]);
        check("{source.ip}: no", "2001:db8::: no", &["2001:db8::"]);
        check("at {source.ip}.", "at 2001:db8::7.", &["2001:db8::7"]);
        check("at {source.ip}", "at fe80::1%eth0", &["fe80::1%eth0"]);
        check("for {f:quoted} x{ }y", r#"for "a \" b" x   y"#, &[r#"a \" b"#]);
        check("{a=x|xy}z", "xyz", &["xy"]);
        check("{source.address}.", "mail.example.com.", &["mail.example.com"]);
        for (pattern, text) in [("{source.ip}", "192.0.2.1x"), ("{n:word} x", " x"), ("a{ }b", "ab"), ("abc", "abcd")] {
            assert_eq!(matched(pattern, text), None, "{pattern} on {text}");
        }
    }

    #[test]
    fn the_nearest_end_is_tried_first_and_rest_takes_the_farthest() {
        let text = "for a from 192.0.2.1 from 192.0.2.2";
        check("for {user.name} from {source.ip}{*}", text, &["a", "192.0.2.1"]);
        check("for {user.name:rest} from {source.ip}{*}", text, &["a from 192.0.2.1", "192.0.2.2"]);
        check("for {user.name} from {source.ip}", text, &["a from 192.0.2.1", "192.0.2.2"]);
    }

    #[test]
    fn optional_parts_may_be_missing() {
        let pattern = "login{? of {user.name}}{? from {source.ip}{?:{source.port}}}";
        check(pattern, "login of bob from 192.0.2.1:22", &["bob", "192.0.2.1", "22"]);
        check(pattern, "login of bob", &["bob", "-", "-"]);
        check(pattern, "login from 192.0.2.1", &["-", "192.0.2.1", "-"]);
        check(pattern, "login", &["-", "-", "-"]);
        assert_eq!(matched(pattern, "login x"), None);
    }

    #[test]
    fn hostile_text_costs_no_more_than_its_length_allows() {
        let pattern = "x{a}y{b}y{c}y{d}y{e}y{f}z";
        let template = Template::parse(pattern, &Schema::ecs(), false).unwrap();
        let text = format!("x{}", "y".repeat(100_000));
        let mut effort = Effort::for_text(&text);
        assert!(find(&template, &text, Timestamp(0), &mut effort).is_none());
        // Spent, and not far below nothing: each of the few steps under way noticed.
        assert!(effort.0 <= 0 && effort.0 > -200_000, "{}", effort.0);
    }

    #[test]
    fn long_words_and_open_quotes_are_paid_for() {
        for (pattern, text) in [
            ("{*}{? }{b:word} end", "a".repeat(300_000)),
            ("{*}{?,}{ }{b:word}x", " ".repeat(300_000)),
            ("{*}{?,}{b:quoted} end", "\"a".repeat(150_000)),
            ("{*}{?,}{n:number} end", "7".repeat(300_000)),
            ("{*}{?,}{@timestamp:%S %H} end", format!("10.{}", "7".repeat(300_000))),
        ] {
            let template = Template::parse(pattern, &Schema::ecs(), false).unwrap();
            let mut effort = Effort::for_text(&text);
            assert!(find(&template, &text, Timestamp(0), &mut effort).is_none(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_matches_is_within_it(text in "[a-f0-9:. \\[\\]%yzü\"-]{0,60}") {
            for pattern in [
                "{source.ip}{*}", "{source}{*}", "{source.address}{*}", "{a}y{b:rest}z{*}", "{a:word}{? {b:quoted}}{*}",
                "{*:rest}{?y{source.ip}}", "{@timestamp}{*}", "{@timestamp:%H:%M:%S %b}{*}", "{=y|yz|}{a:rest}ü{b}",
            ] {
                matched(pattern, &text);
            }
        }

        #[test]
        fn every_address_is_found_in_front_of_anything(octets: [u8; 16], six: bool, tail in "[ ,;)/'\"<>xü-][ -~]{0,8}") {
            let address: std::net::IpAddr = if six {
                octets.into()
            } else {
                <[u8; 4]>::try_from(&octets[..4]).unwrap().into()
            };
            // What reads as more of the address is more of it.
            let text = format!("{address}{tail}");
            if !matches!(tail.as_bytes().first(), Some(b'a'..=b'f' | b'A'..=b'F')) {
                prop_assert_eq!(ip_end(&text), Some(address.to_string().len()));
            }
        }
    }
}
