//! The audit log of Linux: one event per record, which may be several lines.
//!
//! The kernel writes what one system call did as several lines with one number; `intake` joins those that it can. What
//! each line says is kept under `auditd.data.<name>`, as a list where several lines say it; texts that the kernel wrote
//! in hexadecimal are decoded. The ECS fields beside it are those of the event as a whole.
//!
//! `line.rs` cuts lines into pairs, `decode.rs` reads hexadecimal, `meaning.rs` says what happened, `event.rs` puts it
//! together.

use panoptes_model::{Anomaly, BatchWriter, field};

use super::{Declined, FormatKind};
use crate::context::Context;
use crate::syslog::take_back;

mod decode;
mod event;
mod line;
mod meaning;
mod syscalls;
#[cfg(test)]
mod tests;

use self::line::Line;

pub(super) static KIND: FormatKind = FormatKind {
    name: "auditd",
    summary: "Linux audit records, also several lines of one event",
    example: "type=SYSCALL msg=audit(1705314600.123:456): arch=c000003e syscall=59 success=yes exit=0 a0=55d0 a1=55d1 ppid=41 pid=42 auid=1000 uid=1000 euid=0 tty=pts0 ses=3 comm=\"id\" exe=\"/usr/bin/id\" key=\"exec\"\u{1d}ARCH=x86_64 SYSCALL=execve AUID=\"bob\" UID=\"bob\" EUID=\"root\"\n\
              type=EXECVE msg=audit(1705314600.123:456): argc=2 a0=\"id\" a1=2D75\n\
              type=CWD msg=audit(1705314600.123:456): cwd=\"/home/bob\"\n\
              type=PATH msg=audit(1705314600.123:456): item=0 name=\"/usr/bin/id\" inode=7 nametype=NORMAL\n\
              type=PROCTITLE msg=audit(1705314600.123:456): proctitle=6964002D75",
    parse,
};

/// How many lines one event may have. Further ones are only in the original text ([`Anomaly::FieldsTooMany`]).
const LINES_MAX: usize = 1_024;

fn parse(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    let text = text.trim_ascii_start();
    if Line::of(text.lines().next().unwrap_or("")).is_none() {
        return Err(Declined::because("does not begin with `type=… msg=audit(…:…)`"));
    }
    write_lines(writer, text, context);
    Ok(())
}

/// Writes what a program said through syslog, if it passed an audit record on: `audispd`, the kernel, journald.
/// `false`, and nothing is written, if it is none.
pub(crate) fn write_message(writer: &mut BatchWriter<'_>, program: &str, message: &str, context: &Context<'_>) -> bool {
    // `kernel: [   12.345678] audit: type=1400 audit(…): …`
    let said = message.strip_prefix('[').and_then(|it| it.split_once("] ")).map_or(message, |(_, said)| said);
    let begins = ["type=", "node=", "audit: type="].iter().any(|it| said.starts_with(it));
    if !begins && program != "audit" {
        return false;
    }
    let first = said.lines().next().unwrap_or("");
    let stated = begins.then(|| Line::of(first)).flatten();
    if stated.is_none() && !(program == "audit" && Line::of_journal(first).is_some()) {
        return false;
    }
    // The process is the one that the record is about, not the one that passes it on.
    take_back(writer, &[field::PROCESS_NAME, field::PROCESS_PID]);
    write_lines(writer, said, context);
    writer.text(field::MESSAGE, message);
    true
}

fn write_lines(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) {
    let mut event = event::AuditEvent::default();
    for (number, line) in text.lines().enumerate() {
        if number >= LINES_MAX {
            writer.anomaly(Anomaly::FieldsTooMany);
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let read = Line::of(line).or_else(|| if number == 0 { Line::of_journal(line) } else { None });
        match read {
            Some(line) => event.add(writer, &line),
            None => writer.anomaly(Anomaly::SyntaxInvalid),
        }
    }
    event.write(writer, context);
}
