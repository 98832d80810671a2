//! Files that BIND writes itself: `15-Jan-2024 10:30:00.123 [category: ][severity: ]message`.
//!
//! What the message says is read as if it had come through syslog.

use panoptes_model::{BatchWriter, field};

use super::{Declined, FormatKind};
use crate::context::Context;
use crate::{level, programs, time};

pub(super) static KIND: FormatKind = FormatKind {
    name: "bind",
    summary: "a line of a file that BIND writes",
    example: "15-Jan-2024 10:30:00.123 queries: info: client @0x7f5b 192.0.2.7#53211 (www.example.com): query: www.example.com IN A +E(0)K (192.0.2.53)",
    parse,
};

const NO: Declined = Declined::because("does not begin with `15-Jan-2024 10:30:00.123`");
/// How long the time is.
const TIME_BYTES: usize = 24;

fn parse(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    let stamp = text.get(..TIME_BYTES).ok_or(NO)?;
    let message = text.get(TIME_BYTES..).and_then(|it| it.strip_prefix(' ')).ok_or(NO)?;
    if (stamp.as_bytes().get(2), stamp.as_bytes().get(6)) != (Some(&b'-'), Some(&b'-')) {
        return Err(NO);
    }
    // The usual order of day, month and year, but for the hyphens.
    let mut spaced = [0; TIME_BYTES];
    spaced.copy_from_slice(stamp.as_bytes());
    for byte in spaced.iter_mut().filter(|it| **it == b'-') {
        *byte = b' ';
    }
    let (civil, rest) = std::str::from_utf8(&spaced).ok().and_then(time::leading).ok_or(NO)?;
    if !rest.is_empty() {
        return Err(NO);
    }
    context.stamp(writer, &civil);
    let words = message.split(": ").take(2);
    if let Some(word) = words.filter_map(level::canonical).next() {
        writer.text(field::LOG_LEVEL, word);
    }
    writer.word(field::PROCESS_NAME, "named");
    programs::write(writer, "named", None, message, context);
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::formats::tests::{check, value};

    #[test]
    fn queries_and_refusals_are_read() {
        check(
            super::KIND.example,
            expect![[r#"
            2024-01-15T10:30:00.123Z
            log.level: info
            process.name: named
            event.kind: event
            event.dataset: dns.server
            event.category: network
            event.type: protocol
            event.action: dns_query
            dns.question.name: www.example.com
            dns.question.type: A
            network.protocol: dns
            dns.question.class: IN
            source.ip: 192.0.2.7
            source.port: 53211
            message: queries: info: client @0x7f5b 192.0.2.7#53211 (www.example.com): query: www.example.com IN A +E(0)K (192.0.2.53)
            panoptes.format: bind
        "#]],
        );
        let line = "15-Jan-2024 10:30:00.123 client @0x7f 192.0.2.7#3076 (example.com): zone transfer 'example.com/AXFR/IN' denied";
        assert_eq!(value(line, "dns.question.type"), "AXFR");
        assert_eq!((value(line, "event.outcome"), value(line, "source.ip")), ("failure".into(), "192.0.2.7".into()));
        let line = "15-Jan-2024 10:30:00.123 general: error: zone example.com/IN: not loaded";
        assert_eq!((value(line, "log.level"), value(line, "event.dataset")), ("error".into(), "dns.server".into()));
    }

    #[test]
    fn other_times_are_others() {
        for line in [
            "15-Jan-2024 10:30:00 short",
            "15-Foo-2024 10:30:00.123 x",
            "15-Jan-2024 10:30:00.12é x",
            "15-Jan-2024 10:30:00.123",
        ] {
            assert_ne!(value(line, "panoptes.format"), "bind", "{line}");
        }
    }
}
