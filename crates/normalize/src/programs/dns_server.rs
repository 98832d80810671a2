//! DNS servers that log their queries: BIND (`named`), dnsmasq, Unbound.

use panoptes_model::{BatchWriter, field};

use super::ProgramKind;
use crate::address;
use crate::fact::{FAILURE, Fact};
use crate::text::Cursor;

pub(super) static KIND: ProgramKind = ProgramKind {
    names: &["named", "dnsmasq", "dnsmasq-dhcp", "unbound"],
    dataset: "dns.server",
    example: "client @0x7f5b 192.0.2.7#53211 (www.example.com): query: www.example.com IN A +E(0)K (192.0.2.53)",
    write,
};

const QUERY: Fact = Fact::network(&["protocol"], "dns_query", None);
const DENIED: Fact = Fact::network(&["protocol", "denied"], "dns_query", FAILURE);
const ANSWER: Fact = Fact::network(&["protocol"], "dns_answer", None);

fn write(writer: &mut BatchWriter<'_>, said: &str) -> bool {
    bind(writer, said).or_else(|| dnsmasq(writer, said)).or_else(|| unbound(writer, said)).is_some()
}

/// `client @0x… ADDRESS#PORT (NAME): [view V: ]query: NAME IN TYPE FLAGS (SERVER)`, and `… query (cache) 'NAME/TYPE/IN'
/// denied`, `… zone transfer 'NAME/AXFR/IN' denied`.
fn bind(writer: &mut BatchWriter<'_>, said: &str) -> Option<()> {
    let at = said.find("client ")?;
    let mut cursor = Cursor::new(said.get(at + "client ".len()..)?);
    if cursor.rest.starts_with('@') {
        cursor.word();
    }
    let (client, port) = cursor.word().trim_end_matches(':').split_once('#')?;
    let client = address::ip(client)?;
    let rest = cursor.rest;
    if let Some((_, query)) = rest.split_once("query: ") {
        let mut words = query.split(' ');
        let (name, class, kind) = (words.next()?, words.next()?, words.next()?);
        QUERY.write(writer, KIND.dataset);
        write_question(writer, name, kind);
        write_text(writer, "dns.question.class", class);
    } else {
        let (_, quoted) = rest.split_once("query ").or_else(|| rest.split_once("zone transfer "))?;
        let (quoted, tail) = quoted.split_once('\'')?.1.split_once('\'')?;
        if !tail.contains("denied") {
            return None;
        }
        let mut parts = quoted.rsplitn(3, '/');
        let (_class, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
        DENIED.write(writer, KIND.dataset);
        write_question(writer, name, kind);
    }
    writer.ip(field::SOURCE_IP, client);
    if let Ok(port) = port.trim_end_matches(':').parse() {
        writer.integer(field::SOURCE_PORT, port);
    }
    Some(())
}

/// `query[TYPE] NAME from ADDRESS`, `reply NAME is ANSWER`, `cached NAME is ANSWER`.
fn dnsmasq(writer: &mut BatchWriter<'_>, said: &str) -> Option<()> {
    // With `log-queries=extra` a serial number and the client stand in front.
    let at = ["query[", "reply ", "cached "].iter().find_map(|it| said.find(it).filter(|at| *at < 64))?;
    let rest = said.get(at..)?;
    if let Some(rest) = rest.strip_prefix("query[") {
        let (kind, rest) = rest.split_once("] ")?;
        let (name, client) = rest.split_once(" from ")?;
        let client = address::ip(client.trim_ascii())?;
        QUERY.write(writer, KIND.dataset);
        write_question(writer, name, kind);
        writer.ip(field::SOURCE_IP, client);
        return Some(());
    }
    let (_, rest) = rest.split_once(' ')?;
    let (name, answer) = rest.split_once(" is ")?;
    if name.contains(' ') || answer.is_empty() {
        return None;
    }
    ANSWER.write(writer, KIND.dataset);
    writer.text(field::DNS_QUESTION_NAME, name);
    write_text(writer, "network.protocol", "dns");
    match answer {
        "NXDOMAIN" | "NODATA" | "NODATA-IPv4" | "NODATA-IPv6" | "SERVFAIL" | "REFUSED" => {
            writer.text(field::DNS_RESPONSE_CODE, answer);
        }
        _ => {
            write_text(writer, "dns.answers.data", answer);
            if let Some(address) = address::ip(answer) {
                writer.ip(field::DNS_RESOLVED_IP, address);
            }
        }
    }
    Some(())
}

/// `[1:0] info: ADDRESS NAME. TYPE CLASS [RCODE …]`.
fn unbound(writer: &mut BatchWriter<'_>, said: &str) -> Option<()> {
    let (_, rest) = said.split_once("info: ")?;
    let mut words = rest.split(' ');
    let client = address::ip(words.next()?)?;
    let (name, kind, class) = (words.next()?, words.next()?, words.next()?);
    if !matches!(class, "IN" | "CH" | "HS" | "ANY") {
        return None;
    }
    QUERY.write(writer, KIND.dataset);
    write_question(writer, name, kind);
    write_text(writer, "dns.question.class", class);
    writer.ip(field::SOURCE_IP, client);
    if let Some(code) = words.next() {
        writer.text(field::DNS_RESPONSE_CODE, code);
    }
    Some(())
}

fn write_question(writer: &mut BatchWriter<'_>, name: &str, kind: &str) {
    let name = match name.strip_suffix('.') {
        Some(bare) if !bare.is_empty() => bare,
        _ => name,
    };
    writer.text(field::DNS_QUESTION_NAME, name);
    writer.text(field::DNS_QUESTION_TYPE, kind);
    write_text(writer, "network.protocol", "dns");
}

fn write_text(writer: &mut BatchWriter<'_>, name: &str, text: &str) {
    if let Some(id) = writer.field(name) {
        writer.text(id, text);
    }
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::value;

    fn seen(program: &str, said: &str) -> [String; 4] {
        let line = format!("Jan 15 10:30:00 ns1 {program}[7]: {said}");
        ["event.dataset", "dns.question.name", "dns.question.type", "source.ip"].map(|it| value(&line, it))
    }

    fn expect(fields: [&str; 4]) -> [String; 4] {
        fields.map(str::to_owned)
    }

    #[test]
    fn queries_are_read_whichever_server_logs_them() {
        let query = expect(["dns.server", "www.example.com", "A", "192.0.2.7"]);
        for (program, said) in [
            ("named", super::KIND.example),
            (
                "named",
                "queries: info: client 192.0.2.7#53211 (www.example.com): view internal: query: www.example.com IN A + (192.0.2.53)",
            ),
            ("named", "client 192.0.2.7#53211: query: www.example.com IN A +"),
            (
                "named",
                "client @0x7f 192.0.2.7#53211 (www.example.com): query (cache) 'www.example.com/A/IN' denied (allow-query-cache did not match)",
            ),
            ("dnsmasq", "query[A] www.example.com from 192.0.2.7"),
            ("dnsmasq", "12 192.0.2.7/5353 query[A] www.example.com from 192.0.2.7"),
            ("unbound", "[1234:0] info: 192.0.2.7 www.example.com. A IN"),
            ("unbound", "[1234:0] info: 192.0.2.7 www.example.com. A IN NOERROR 0.012 0 60"),
        ] {
            assert_eq!(seen(program, said), query, "{said}");
        }
        let line = "Jan 15 10:30:00 ns1 dnsmasq[7]: reply www.example.com is 203.0.113.9";
        assert_eq!(value(line, "dns.answers.data"), "203.0.113.9");
        assert_eq!(value(line, "dns.resolved_ip"), "203.0.113.9");
        let line = "Jan 15 10:30:00 ns1 dnsmasq[7]: cached gone.example.com is NXDOMAIN";
        assert_eq!(value(line, "dns.response_code"), "NXDOMAIN");
        assert_eq!(seen("unbound", "[1:0] info: 192.0.2.7 . NS IN")[1], ".");
    }

    #[test]
    fn what_else_they_say_is_kept() {
        for said in [
            "zone example.com/IN: loaded serial 5",
            "client ",
            "client 192.0.2.7#1: ",
            "query[A] x",
            "reply x is ",
            "info: a b c d",
        ] {
            assert_eq!(seen("named", said)[..2], expect(["dns.server", "", "", ""])[..2], "{said}");
        }
    }
}
