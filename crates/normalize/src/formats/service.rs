//! Lines of services' own log files, as the files of `rules/formats` and the user's describe them.

use panoptes_model::BatchWriter;

use super::{Declined, FormatKind};
use crate::context::Context;

pub(super) static KIND: FormatKind = FormatKind {
    name: "service",
    summary: "a line of a service that a file of service formats describes",
    example: "[2024-01-15 10:30:00.123][vaultwarden::api::identity][ERROR] Username or password is incorrect. Try again. IP: 203.0.113.9. Username: bob@example.com.",
    parse,
};

fn parse(writer: &mut BatchWriter<'_>, text: &str, context: &Context<'_>) -> Result<(), Declined> {
    if context.services.read_line(writer, text, context) {
        Ok(())
    } else {
        Err(Declined::because("is of no service that a file describes"))
    }
}
