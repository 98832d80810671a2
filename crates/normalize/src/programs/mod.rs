//! What programs say through syslog, one program (or family) per file.
//!
//! To add one: a file with its `KIND` (the names it speaks under, a dataset, an example that it must know, `write`) and
//! its line in [`ALL`].

use panoptes_model::{BatchWriter, field};

use crate::context::{Context, Server};
use crate::fact::{write_dataset, write_repeat};
use crate::formats;
use crate::login_phrases;
use crate::text::leading_number;

mod clamav;
mod cron;
mod dns_server;
mod login;
mod pam;
mod peer;
mod sshd;
mod su;
mod sudo;
mod user_management;

pub(crate) static ALL: &[&ProgramKind] = &[
    &sshd::KIND,
    &sudo::KIND,
    &su::KIND,
    &clamav::KIND,
    &cron::KIND,
    &dns_server::KIND,
    &login::KIND,
    &user_management::KIND,
];

/// A program whose messages have a meaning.
pub(crate) struct ProgramKind {
    /// The names it speaks under, without a path.
    names: &'static [&'static str],
    dataset: &'static str,
    /// A message that it must know. Only the contract tests read it.
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are for the contract tests"))]
    example: &'static str,
    /// Writes what the message says; `false` if it is not known. Must then have written nothing.
    write: fn(&mut BatchWriter<'_>, &str) -> bool,
}

/// Writes the message of the program called `name` into the open event. `false` if the program is none of these: its
/// messages are then read by their content.
#[inline]
pub(crate) fn write(
    writer: &mut BatchWriter<'_>,
    name: &str,
    module: Option<&str>,
    message: &str,
    context: &Context<'_>,
) -> bool {
    let (times, said) = repeated(message);
    let known = write_known(writer, name, module, said, context);
    if known && let Some(times) = times {
        write_repeat(writer, times);
    }
    if known && !writer.has(field::MESSAGE) {
        writer.text(field::MESSAGE, message);
    }
    known
}

fn write_known(
    writer: &mut BatchWriter<'_>,
    name: &str,
    module: Option<&str>,
    said: &str,
    context: &Context<'_>,
) -> bool {
    // `postfix/smtpd` is a name of its own to services; to the programs here a path.
    let (full, name) = (name, name.rsplit('/').next().unwrap_or(name));
    if pam::write(writer, name, module, said) {
        return true;
    }
    let mut by_service = || {
        context.services.read_program(writer, full, said, context)
            || (full.len() > name.len() && context.services.read_program(writer, name, said, context))
    };
    if let Some(kind) = ALL.iter().find(|it| it.names.contains(&name)) {
        if !(kind.write)(writer, said) && !context.services.read_program(writer, name, said, context) {
            write_dataset(writer, kind.dataset);
            formats::write_introduced_findings(writer, said);
        }
        return true;
    }
    if by_service() {
        return true;
    }
    let server = match name {
        "nginx" => Server::Nginx,
        "apache2" | "httpd" | "apache" => Server::Apache,
        _ => return false,
    };
    // The journal's short form twice: `nginx[7]: host nginx: 2024/01/15 …`.
    let line = said.split_once(" nginx: ").map_or(said, |(_, line)| line);
    formats::read_unwrapped(writer, line, &context.written_by(server))
}

/// A message that nobody knows: what is plain to see in it.
pub(crate) fn write_generic(writer: &mut BatchWriter<'_>, name: &str, message: &str, context: &Context<'_>) {
    let last = name.rsplit('/').next().unwrap_or(name);
    let service = context.services.dataset_of_program(name);
    let service = service.or_else(|| (last != name).then(|| context.services.dataset_of_program(last)).flatten());
    match service {
        Some((dataset, service)) => {
            writer.word(field::EVENT_KIND, "event");
            writer.text(field::EVENT_DATASET, dataset);
            writer.text(field::SERVICE_NAME, service);
        }
        None => write_dataset(writer, "linux.syslog"),
    }
    formats::write_introduced_findings(writer, message);
    login_phrases::write(writer, message);
    writer.text(field::MESSAGE, message);
    let last = message.strip_prefix("last message repeated ").and_then(leading_number);
    if let Some((times, " times")) = last {
        write_repeat(writer, times);
    }
}

/// rsyslog folds what is said again into `message repeated 5 times: [ … ]`.
#[inline]
fn repeated(message: &str) -> (Option<u64>, &str) {
    let folded = || {
        let (times, rest) = leading_number(message.strip_prefix("message repeated ")?)?;
        let inside = rest.strip_prefix(" times: [")?;
        Some((times, inside.strip_suffix(']').unwrap_or(inside).trim_ascii()))
    };
    match folded() {
        Some((times, said)) => (Some(times), said),
        None => (None, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tests::{fields, value};

    #[test]
    fn every_program_knows_its_example() {
        for kind in ALL {
            let name = kind.names.first().unwrap();
            let line = format!("<38>Jan 15 10:30:00 h {name}[7]: {}", kind.example);
            assert_eq!(value(&line, "event.dataset"), kind.dataset, "{line}");
            assert_ne!(value(&line, "event.action"), "", "{line}\n{}", fields(&line));
            // As much of it as arrives.
            for (end, _) in kind.example.char_indices() {
                let (start, _) = kind.example.split_at(end);
                assert_eq!(value(&format!("Jan 15 10:30:00 h {name}[7]: {start}"), "event.kind"), "event");
            }
        }
    }

    #[test]
    fn no_name_is_taken_twice() {
        let mut names: Vec<_> = ALL.iter().flat_map(|it| it.names).collect();
        let before = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), before);
    }

    #[test]
    fn folded_messages_count_as_often_as_they_were_said() {
        let line = "Jan 15 10:30:00 h sshd[7]: message repeated 5 times: [ Failed password for root from 203.0.113.9 port 22 ssh2]";
        assert_eq!(value(line, "panoptes.repeat"), "5");
        assert_eq!(value(line, "event.action"), "ssh_login");
        assert_eq!(value(line, "source.ip"), "203.0.113.9");
        assert_eq!(value("Jan 15 10:30:00 h last message repeated 3 times", "panoptes.repeat"), "3");
    }

    #[test]
    fn web_servers_may_speak_through_syslog() {
        let line =
            r#"<171>Jan 15 10:30:00 h nginx: 203.0.113.9 - - [15/Jan/2024:10:30:00 +0000] "GET / HTTP/1.1" 404 1"#;
        assert_eq!(value(line, "http.response.status_code"), "404");
        assert_eq!(value(line, "log.level"), "error");
        let line = r#"h nginx[7]: h nginx: 2024/01/15 10:30:00 [error] 7#7: *1 PAM: user 'bob' - not authenticated: Authentication failure, client: 203.0.113.9, server: s, request: "GET / HTTP/2.0", host: "h""#;
        assert_eq!(value(line, "source.ip"), "203.0.113.9");
        assert_eq!(value(line, "event.outcome"), "failure");
    }

    #[test]
    fn unknown_messages_of_known_programs_keep_their_dataset() {
        let line = "Jan 15 10:30:00 h sshd[7]: something new about 192.0.2.1 from 203.0.113.9";
        assert_eq!(value(line, "event.dataset"), "linux.sshd");
        assert_eq!(value(line, "source.ip"), "203.0.113.9");
        assert_eq!(value(line, "event.outcome"), "");
    }
}
