//! What routers, switches and firewalls say through syslog, one vendor per file.
//!
//! Their messages are known by how they begin, not by the program that speaks: relays put all kinds of things in front
//! of them. To add a vendor: a file with its `write`, which writes nothing if the message is not the vendor's, and its
//! line below.

use panoptes_model::{BatchWriter, FieldId, field};

use crate::context::Context;
use crate::syslog::take_back;

mod cisco;
mod cisco_asa;
mod fortigate;
mod huawei;
mod juniper;
mod netfilter;
mod palo_alto;
mod pf;

pub(crate) use cisco::Mnemonic;
pub(crate) use fortigate::write as write_fortigate;
pub(crate) use palo_alto::begins_row;

/// Writes what the device says, if one speaks. `program` is the tag of the message as it stands.
#[inline]
pub(crate) fn write(writer: &mut BatchWriter<'_>, program: &str, message: &str, context: &Context<'_>) -> bool {
    // Most messages have no percent sign where it matters, and pay for no more than this look.
    let head = message.as_bytes().get(..cisco::HEAD_BYTES_MAX).unwrap_or(message.as_bytes());
    if memchr::memchr(b'%', head).is_some() {
        if let Some(mnemonic) = Mnemonic::of(message) {
            // What looks like a tag is a number of the message, or a board.
            if !program.bytes().any(|it| it.is_ascii_alphabetic()) {
                take_back(writer, &[field::PROCESS_NAME, field::PROCESS_PID, field::LOG_SYSLOG_APPNAME]);
            }
            mnemonic.write(writer);
            return true;
        }
        if huawei::write(writer, message) {
            return true;
        }
    }
    juniper::write(writer, program, message)
        || (program == "kernel" && netfilter::write(writer, message))
        || (program == "filterlog" && pf::write(writer, message))
        || palo_alto::write(writer, message, context)
        || (program != "kernel" && netfilter::write_unannounced(writer, message))
}

/// Writes a text under a name of the device's own.
fn write_own(writer: &mut BatchWriter<'_>, name: &str, value: &str) {
    if let Some(id) = writer.field(name) {
        writer.text(id, value);
    }
}

/// Writes a text, unless there is none or the field has one.
fn write_once(writer: &mut BatchWriter<'_>, id: FieldId, value: &str) {
    if !matches!(value, "" | "-" | "unknown" | "<unknown>" | "*****") && !writer.has(id) {
        writer.text(id, value);
    }
}
