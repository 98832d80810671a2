//! Huawei: `%%01BGP/3/AUTH_FAILED(l)[12]:text`.

use panoptes_model::{BatchWriter, field};

use crate::fact::write_dataset;
use crate::{address, level};

const DATASET: &str = "huawei.vrp";
/// How long the head of a message may be. What is longer is none.
const HEAD_BYTES_MAX: usize = 96;

pub(super) fn write(writer: &mut BatchWriter<'_>, message: &str) -> bool {
    let head = message.as_bytes().get(..HEAD_BYTES_MAX).unwrap_or(message.as_bytes());
    let Some(at) = memchr::memmem::find(head, b"%%") else { return false };
    let Some(inside) = message.get(at + 2..) else { return false };
    let Some((version, rest)) = inside.split_at_checked(2) else { return false };
    if !version.bytes().all(|it| it.is_ascii_digit()) {
        return false;
    }
    let Some((module, rest)) = rest.split_once('/') else { return false };
    let Some((severity, rest)) = rest.split_once('/') else { return false };
    let name = rest.split(['(', '[', ':', ' ']).next().unwrap_or("");
    let is_word = |it: &str| {
        (1..=48).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-'))
    };
    let Some(severity) = severity.parse::<u8>().ok().filter(|it| *it <= 7) else { return false };
    if !is_word(module) || !is_word(name) {
        return false;
    }
    write_dataset(writer, DATASET);
    let code = inside.get(2..).and_then(|it| it.get(..module.len() + name.len() + 3)).unwrap_or(name);
    writer.text(field::EVENT_CODE, code);
    writer.text(field::EVENT_PROVIDER, module);
    writer.integer(field::EVENT_SEVERITY, i64::from(severity));
    if !writer.has(field::LOG_LEVEL)
        && let Some(word) = level::of_number(i64::from(severity))
    {
        writer.text(field::LOG_LEVEL, word);
    }
    if let Some((address, _)) = address::find_introduced(rest) {
        writer.ip(field::SOURCE_IP, address);
    }
    writer.text(field::MESSAGE, message);
    true
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::value;

    #[test]
    fn messages_are_known_by_their_head() {
        let line = "<187>Jan 15 2024 10:30:00 r1 %%01BGP/3/BGP_AUTH_FAILED(l)[12]:BGP session authentication failed. (PeerAddress=203.0.113.9:179)";
        let get = |name| value(line, name);
        assert_eq!((get("event.dataset"), get("event.code")), ("huawei.vrp".into(), "BGP/3/BGP_AUTH_FAILED".into()));
        assert_eq!((get("host.name"), get("event.severity")), ("r1".into(), "3".into()));
        assert!(get("message").contains(":179"));
        for text in ["%%", "%%01", "%%01a/b", "%%01a/9/c", "%%xxa/1/c", "%%01/1/c", "100%% of all"] {
            assert_eq!(value(&format!("<187>Jan 15 10:30:00 r1 {text}"), "event.dataset"), "linux.syslog", "{text}");
        }
    }
}
