//! Cisco's messages as devices and their collectors write them to files, without a syslog header that others know.
//!
//! ```text
//! 192.0.2.1 6705: Jan 15 10:30:00.673: %PARSER-5-CFGLOG_LOGGEDCMD: …      6705: *Jan 15 10:30:00.673 UTC: %SYS-5-…
//! 2024 Jan 15 10:30:00 UTC: %VSHD-5-VSHD_SYSLOG_CONFIG_I: …               RP/0/RSP0/CPU0:Jan 15 10:30:00.1 : exec[7]: %…
//! ```

use panoptes_model::{BatchWriter, field};

use super::{Declined, FormatKind};
use crate::context::Context;
use crate::devices::Mnemonic;
use crate::{address, time};

pub(super) static KIND: FormatKind = FormatKind {
    name: "cisco_ios",
    summary: "a message of a Cisco device (`%SYS-5-CONFIG_I: …`) without a usual syslog header",
    example: "192.0.2.1 6705: Jan 15 10:30:00.673: %PARSER-5-CFGLOG_LOGGEDCMD: User:bob  logged command:no logging",
    parse,
};

/// How many words before the message may be numbers, names and times.
const WORDS_MAX: usize = 16;

fn parse(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    let mnemonic = Mnemonic::of(text).ok_or(Declined::because("holds no `%FACILITY-SEVERITY-MNEMONIC:`"))?;
    let before = mnemonic.before;
    let mut rest = before.trim_ascii_start();
    for _ in 0..WORDS_MAX {
        if rest.is_empty() {
            break;
        }
        let from = rest.trim_start_matches(['*', '.', ' ']);
        if let Some((civil, _)) = time::leading(from) {
            context.stamp(writer, &civil);
            break;
        }
        // NX-OS puts the year in front: `2024 Jan 15 10:30:00`.
        if let Some((year, after)) = from.split_once(' ')
            && year.len() == 4
            && let Some((month_and_day, after)) = split_words(after.trim_ascii_start(), 2)
            && let Some((clock, _)) = split_words(after, 1)
            && let Some((civil, _)) = time::leading(&format!("{month_and_day} {year} {clock}"))
        {
            context.stamp(writer, &civil);
            break;
        }
        // A board glues its name to the time: `RP/0/RSP0/CPU0:Jan 15 …`.
        rest = from.find([' ', ':']).and_then(|at| from.get(at + 1..)).unwrap_or("");
    }
    let first = before.split(' ').next().unwrap_or("").trim_end_matches(':');
    let is_number = first.bytes().all(|it| it.is_ascii_digit());
    let is_name = !is_number && address::is_host_name(first) && time::leading(before).is_none() && !is_month(first);
    if is_name || address::ip(first).is_some() {
        writer.text(field::HOST_NAME, first);
    }
    mnemonic.write(writer);
    Ok(())
}

/// The first `count` words of `text`, and what follows.
fn split_words(text: &str, count: usize) -> Option<(&str, &str)> {
    let at = text.match_indices(' ').nth(count - 1)?.0;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn is_month(word: &str) -> bool {
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"].contains(&word)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::formats::tests::{check, fields, value};

    #[test]
    fn a_collectors_line_is_read() {
        check(
            KIND.example,
            expect![[r#"
            2024-01-15T10:30:00.673Z
            host.name: 192.0.2.1
            event.kind: event
            event.dataset: cisco.ios
            event.category: configuration
            event.type: change
            event.action: device_command
            user.name: bob
            process.command_line: no logging
            event.code: PARSER-5-CFGLOG_LOGGEDCMD
            event.provider: PARSER
            event.severity: 5
            log.level: notice
            cisco.mnemonic: CFGLOG_LOGGEDCMD
            message: %PARSER-5-CFGLOG_LOGGEDCMD: User:bob  logged command:no logging
            panoptes.format: cisco_ios
            panoptes.anomaly: year_inferred
        "#]],
        );
    }

    #[test]
    fn times_and_hosts_stand_in_many_places() {
        for (line, host) in [
            ("6705: *Jan 15 10:30:00.673 UTC: %SYS-5-CONFIG_I: x", ""),
            ("2024 Jan 15 10:30:00.673 UTC: %VSHD-5-VSHD_SYSLOG_CONFIG_I: x", ""),
            ("r1: 2024 Jan 15 10:30:00.673 UTC: %VSHD-5-VSHD_SYSLOG_CONFIG_I: x", "r1"),
            ("RP/0/RSP0/CPU0:Jan 15 10:30:00.673 : exec[7]: %SECURITY-LOGIN-4-AUTHEN_FAILED : x", ""),
        ] {
            assert!(fields(line).starts_with("2024-01-15T10:30:00.673Z\n"), "{line}: {}", fields(line));
            assert_eq!(value(line, "host.name"), host, "{line}");
            assert_eq!(value(line, "event.dataset"), "cisco.ios", "{line}");
        }
        assert_eq!(value("%SYS-5-CONFIG_I: x", "panoptes.anomaly"), "time_missing");
    }

    #[test]
    fn the_sample_of_sigmahq_is_a_command() {
        let corpora = std::env::var_os("PANOPTES_CORPORA").map_or_else(
            || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora"),
            std::path::PathBuf::from,
        );
        let folder = corpora.join("sigma/regression_data/rules/cisco/aaa/cisco_cli_dot1x_disabled");
        let raw = |it: &std::path::PathBuf| it.extension().is_some_and(|it| it == "raw");
        let found = folder.read_dir().ok().and_then(|it| it.flatten().map(|it| it.path()).find(raw));
        let Some(path) = found else {
            assert!(std::env::var_os("CI").is_none(), "{} is missing", folder.display());
            eprintln!("skipped: {} is missing", folder.display());
            return;
        };
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.trim_end();
        assert_eq!(
            (value(line, "event.dataset"), value(line, "event.action")),
            ("cisco.ios".into(), "device_command".into())
        );
        assert_eq!(value(line, "host.name"), "172.16.5.10");
        assert!(value(line, "process.command_line").contains("port-control"));
    }
}
