//! What is read from JSON, and what is said of damage.

use std::sync::Arc;

use panoptes_model::{EventBatch, FrameId, Schema, Timestamp};

use super::*;

fn read(text: &str) -> (Result<(), Malformed>, String) {
    let mut result = Ok(());
    let now = Timestamp::from_seconds(9);
    let batch = EventBatch::build(Arc::new(Schema::ecs()), FrameId(1), now, Vec::new(), text.to_owned(), |writer| {
        writer.begin(writer.input(), 0, now, 0);
        writer.time(now);
        result = read_object(writer, writer.input());
    });
    let event = batch.event(0).unwrap();
    let fields: Vec<_> =
        event.fields().map(|(id, value)| format!("{}={}", batch.field_name(id), value.to_text())).collect();
    (result, fields.join(" "))
}

fn fields(text: &str) -> String {
    let (result, fields) = read(text);
    assert_eq!(result, Ok(()), "{text}");
    fields
}

fn malformed(text: &str) -> (usize, Reason) {
    let error = read(text).0.unwrap_err();
    (error.offset, error.reason)
}

#[test]
fn leaves_get_dotted_names() {
    assert_eq!(fields(r#" {"a":{"b":1,"c":{"d":"x"}},"e":true} "#), "a.b=1 a.c.d=x e=true");
    assert_eq!(fields(r#"{"source":{"ip":"203.0.113.9","port":"22"}}"#), "source.ip=203.0.113.9 source.port=22");
    assert_eq!(fields("{}"), "");
    assert_eq!(fields(r#"{"a":{ },"b":null}"#), "a= b=");
}

#[test]
fn lists_of_scalars_are_lists_and_others_keep_their_text() {
    assert_eq!(fields(r#"{"a":[1,"x",true,null,2.5]}"#), "a=1,x,true,,2.5");
    assert_eq!(fields(r#"{"a":[{"b":[1,{"c":"}"}]},[2]]}"#), r#"a={"b":[1,{"c":"}"}]},[2]"#);
    assert_eq!(fields(r#"{"a":[]}"#), "a=");
    assert_eq!(fields(r#"{"related.ip":["192.0.2.1","2001:DB8::1"]}"#), "related.ip=192.0.2.1,2001:db8::1");
}

#[test]
fn escapes_are_decoded() {
    assert_eq!(fields(r#"{"a":"\"\\\/\b\f\n\r\tA\u00e9\ud83d\ude00"}"#), "a=\"\\/\u{8}\u{c}\n\r\tAé😀");
    assert_eq!(fields(r#"{"\u0061b":{"\u0063":1}}"#), "ab.c=1");
    assert_eq!(fields(r#"{"a":"\ud83d!"}"#), "a=\u{fffd}! panoptes.anomaly=syntax_invalid");
    assert_eq!(malformed(r#"{"a":"x\qy"}"#), (7, Reason::Escape));
    assert_eq!(malformed(r#"{"a":"\u+123"}"#), (6, Reason::Escape));
}

#[test]
fn numbers_follow_the_grammar() {
    assert_eq!(
        fields(r#"{"a":-0,"b":9223372036854775807,"c":-9223372036854775808}"#),
        "a=0 b=9223372036854775807 c=-9223372036854775808"
    );
    assert_eq!(fields(r#"{"a":1.5e3,"b":18446744073709551615}"#), "a=1500 b=18446744073709552000");
    for text in [r#"{"a":01}"#, r#"{"a":1.}"#, r#"{"a":1e}"#, r#"{"a":-}"#] {
        assert_eq!(malformed(text).1, Reason::Number, "{text}");
    }
    assert_eq!(malformed(r#"{"a":+1}"#).1, Reason::ValueExpected);
}

#[test]
fn damage_is_told_with_its_place_and_what_was_read_stays() {
    let (result, fields) = read(r#"{"a":1,"b":"x"#);
    assert_eq!(result.unwrap_err(), Malformed { offset: 13, reason: Reason::Truncated });
    assert_eq!(fields, "a=1 b=x");
    assert_eq!(malformed(r#"{"a":1} x"#), (8, Reason::Trailing));
    assert_eq!(malformed(r#"{"a" 1}"#), (5, Reason::ColonExpected));
    assert_eq!(malformed(r#"{"a":1 "b":2}"#), (7, Reason::CommaExpected));
    assert_eq!(malformed(r#"{a:1}"#), (1, Reason::KeyExpected));
    assert_eq!(malformed(r#"{"a":tru}"#), (5, Reason::ValueExpected));
    assert_eq!(malformed("[1]"), (0, Reason::NotAnObject));
    assert_eq!(malformed(""), (0, Reason::Truncated));
}

#[test]
fn deep_nesting_and_long_names_end_as_text() {
    let text = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
    let out = fields(&text);
    assert!(out.starts_with(&format!("a{}=", ".a".repeat(NESTING_MAX - 1))), "{out}");
    assert!(out.ends_with("panoptes.anomaly=nesting_too_deep"));
    let text = format!(r#"{{"{}":{{"b":1}}}}"#, "n".repeat(NAME_BYTES_MAX));
    assert!(fields(&text).ends_with(r#"={"b":1} panoptes.anomaly=nesting_too_deep"#));
    let text = format!(r#"{{"a":[{}{}]}}"#, "[".repeat(SKIP_NESTING_MAX + 1), "]".repeat(SKIP_NESTING_MAX + 1));
    assert_eq!(malformed(&text).1, Reason::Nesting);
}

#[test]
fn a_repeated_key_is_kept_and_flagged() {
    assert_eq!(
        fields(r#"{"user.name":"a","user":{"name":"b"}}"#),
        "user.name=a user.name=b panoptes.anomaly=key_duplicate"
    );
}

#[test]
fn raw_control_characters_are_flagged() {
    assert_eq!(fields("{\"a\":\"x\ty\"}"), "a=x\ty panoptes.anomaly=syntax_invalid");
    assert_eq!(fields("{\"a\":[\"x\ty\"]}"), "a=x\ty panoptes.anomaly=syntax_invalid");
}

#[test]
fn the_special_byte_is_found_at_every_offset() {
    for special in [b'"', b'\\', 0x00, 0x1f] {
        for at in 0..120 {
            let mut bytes = vec![0x80 | 0x22; 120];
            bytes[at] = special;
            bytes[at + 1..].fill(b'"');
            assert_eq!(next_special(&bytes, 0), at, "{special:#x}");
        }
    }
    assert_eq!(next_special(&[b'a'; 20], 3), 20);
}
