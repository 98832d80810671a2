//! `key=value` lines: logfmt, firewalls, the audit daemon.
//!
//! Keys become fields as they stand; the usual ones mean ECS fields as well (`names.rs`). Values may be quoted; an
//! audit record's `msg='op=login …'` holds pairs of its own.

use panoptes_model::{BatchWriter, field};

use super::{Declined, FormatKind};
use crate::context::Context;
use crate::text::Cursor;
use crate::{devices, level, names, time};

pub(super) static KIND: FormatKind = FormatKind {
    name: "key_value",
    summary: "key=value pairs (logfmt), with or without a time in front",
    example: r#"ts=2024-01-15T10:30:00Z level=warn msg="login failed" user=bob client_ip=203.0.113.9"#,
    parse,
};

/// How many pairs of a line are read; the rest is only in the original text.
const PAIRS_MAX: usize = 512;
/// How long a key may be; what is longer is text that happens to hold a `=`.
const KEY_BYTES_MAX: usize = 64;

fn parse(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    let mut rest = text.trim_ascii_start();
    let mut word = None;
    let mut civil = None;
    if let Some((time, after)) = time::leading(rest) {
        civil = Some(time);
        rest = after.trim_ascii_start();
        if let Some((first, after)) = rest.split_once(' ')
            && let Some(level) = level::canonical(first.trim_matches(['[', ']', ':']))
        {
            word = Some(level);
            rest = after.trim_ascii_start();
        }
    }
    if !looks_like_pairs(rest) {
        return Err(Declined::because("does not begin with two or more key=value pairs"));
    }
    if let Some(civil) = civil {
        context.stamp(writer, &civil);
    }
    if let Some(word) = word {
        writer.text(field::LOG_LEVEL, word);
    }
    write_pairs(writer, rest, context);
    if !writer.has(field::EVENT_KIND) {
        writer.word(field::EVENT_KIND, "event");
    }
    if !writer.has(field::EVENT_DATASET) {
        let dataset = devices::write_fortigate(writer).unwrap_or("keyvalue");
        writer.text(field::EVENT_DATASET, dataset);
    }
    if !writer.has(field::MESSAGE) {
        writer.text(field::MESSAGE, text);
    }
    Ok(())
}

/// Whether the text begins with at least two pairs.
pub(crate) fn looks_like_pairs(text: &str) -> bool {
    let mut pairs = Pairs { cursor: Cursor::new(text), strict: true };
    pairs.next().is_some() && pairs.next().is_some()
}

/// Writes the pairs of `text` as fields, under their own and under common names.
fn write_pairs(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) {
    let start = writer.field_count();
    write_own(writer, text, context, 0);
    names::map(writer, start, context);
    if !context.services.read_record(writer, start, context) {
        super::write_carried_message(writer, context);
    }
}

fn write_own(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>, depth: usize) {
    for pair in (Pairs { cursor: Cursor::new(text), strict: false }).take(PAIRS_MAX) {
        if depth == 0 && pair.quote == Some('\'') && pair.value.contains('=') {
            write_own(writer, pair.value, context, depth + 1);
            continue;
        }
        // `msg=audit(1705314600.123:456):` is the time and the number of an audit record.
        if pair.key == "msg"
            && let Some((seconds, _)) = pair.value.strip_prefix("audit(").and_then(|it| it.split_once(':'))
        {
            if let Some(instant) = time::of_text(seconds, context.zone, writer.received_at())
                && !writer.has_time()
            {
                writer.time(instant.time);
            }
            continue;
        }
        let Some(id) = writer.field(pair.key) else { continue };
        if pair.quote == Some('"') && pair.value.contains('\\') {
            writer.text_with(id, |out| unescape(pair.value, out));
        } else {
            writer.typed(id, pair.value);
        }
    }
}

/// `\"`, `\\`, `\n`, `\t`, `\r`; another escape stays as it is.
fn unescape(text: &str, out: &mut String) {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some(plain @ ('"' | '\\')) => out.push(plain),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
}

struct Pair<'t> {
    key: &'t str,
    value: &'t str,
    quote: Option<char>,
}

struct Pairs<'t> {
    cursor: Cursor<'t>,
    /// End at the first word that is no pair, instead of passing over it.
    strict: bool,
}

impl<'t> Iterator for Pairs<'t> {
    type Item = Pair<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.cursor.rest = self.cursor.rest.trim_start_matches([' ', '\t', ',', ';']);
            let rest = self.cursor.rest;
            if rest.is_empty() {
                return None;
            }
            let length = rest.bytes().take_while(is_key).take(KEY_BYTES_MAX + 1).count();
            let (key, after) = rest.split_at_checked(length)?;
            if (1..=KEY_BYTES_MAX).contains(&length)
                && let Some(value) = after.strip_prefix('=')
            {
                return Some(self.value(key, value));
            }
            if self.strict {
                return None;
            }
            let end = rest.find([' ', '\t', ',', ';']).unwrap_or(rest.len());
            self.cursor.rest = rest.get(end..)?;
        }
    }
}

fn is_key(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@' | b'/')
}

impl<'t> Pairs<'t> {
    fn value(&mut self, key: &'t str, value: &'t str) -> Pair<'t> {
        self.cursor.rest = value;
        if value.starts_with('"')
            && let Some(value) = self.cursor.quoted()
        {
            return Pair { key, value, quote: Some('"') };
        }
        if let Some((value, rest)) = value.strip_prefix('\'').and_then(|it| it.split_once('\'')) {
            self.cursor.rest = rest;
            return Pair { key, value, quote: Some('\'') };
        }
        let end = value.find([' ', '\t']).unwrap_or(value.len());
        let (value, rest) = value.split_at_checked(end).unwrap_or((value, ""));
        self.cursor.rest = rest;
        Pair { key, value: value.trim_end_matches([',', ';']), quote: None }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::formats::tests::{check, value};

    #[test]
    fn logfmt_is_read() {
        check(
            KIND.example,
            expect![[r#"
                2024-01-15T10:30:00Z
                ts: 2024-01-15T10:30:00Z
                level: warn
                msg: login failed
                user: bob
                client_ip: 203.0.113.9
                log.level: warning
                message: login failed
                user.name: bob
                source.ip: 203.0.113.9
                event.category: authentication
                event.type: start
                event.action: login
                event.outcome: failure
                event.kind: event
                event.dataset: keyvalue
                panoptes.format: key_value
            "#]],
        );
        check(
            r#"2024-01-15 10:30:00 WARN a="x \"y\"\n" b=, c=1;d=2"#,
            expect![[r#"
            2024-01-15T10:30:00Z
            log.level: warning
            a: x "y"

            b: 
            c: 1;d=2
            event.kind: event
            event.dataset: keyvalue
            message: 2024-01-15 10:30:00 WARN a="x \"y\"\n" b=, c=1;d=2
            panoptes.format: key_value
        "#]],
        );
    }

    #[test]
    fn firewalls_split_date_and_time() {
        check(
            r#"date=2024-01-15 time=10:30:00 devname="fw1" srcip=203.0.113.9 srcport=4711 dstip=192.0.2.1 dstport=22 action="deny""#,
            expect![[r#"
                2024-01-15T10:30:00Z
                date: 2024-01-15
                time: 10:30:00
                devname: fw1
                srcip: 203.0.113.9
                srcport: 4711
                dstip: 192.0.2.1
                dstport: 22
                action: deny
                host.name: fw1
                source.ip: 203.0.113.9
                source.port: 4711
                destination.ip: 192.0.2.1
                destination.port: 22
                event.action: deny
                event.kind: event
                event.dataset: keyvalue
                message: date=2024-01-15 time=10:30:00 devname="fw1" srcip=203.0.113.9 srcport=4711 dstip=192.0.2.1 dstport=22 action="deny"
                panoptes.format: key_value
            "#]],
        );
    }

    #[test]
    fn a_value_in_single_quotes_may_hold_pairs() {
        check(
            r#"unit=login pid=12 msg='op=login acct="bob" exe="/usr/sbin/sshd" hostname=? addr=203.0.113.9 res=failed'"#,
            expect![[r#"
                2024-01-15T12:00:00Z
                unit: login
                pid: 12
                op: login
                acct: bob
                exe: /usr/sbin/sshd
                hostname: ?
                addr: 203.0.113.9
                res: failed
                process.pid: 12
                user.name: bob
                process.executable: /usr/sbin/sshd
                source.ip: 203.0.113.9
                event.outcome: failure
                event.kind: event
                event.dataset: keyvalue
                message: unit=login pid=12 msg='op=login acct="bob" exe="/usr/sbin/sshd" hostname=? addr=203.0.113.9 res=failed'
                panoptes.format: key_value
                panoptes.anomaly: time_missing
            "#]],
        );
    }

    #[test]
    fn the_number_of_pairs_is_bounded() {
        let line: String = (0..=PAIRS_MAX).map(|n| format!("k{n}=1 ")).collect();
        assert_eq!(value(&line, &format!("k{}", PAIRS_MAX - 1)), "1");
        assert_eq!(value(&line, &format!("k{PAIRS_MAX}")), "");
        let line = format!("{}=1 b=2", "k".repeat(KEY_BYTES_MAX + 1));
        assert_eq!(value(&line, "event.dataset"), "plain");
    }

    #[test]
    fn prose_with_one_equals_sign_is_no_list_of_pairs() {
        assert_eq!(value("x=1 is what we want", "event.dataset"), "plain");
    }
}
