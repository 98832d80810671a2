//! Logins in the words that most programs use, for texts of programs that nobody described.
//!
//! A text counts only if it names an address or a user besides: `invalid password policy` alone is no login.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use panoptes_model::{BatchWriter, field};

use crate::address;
use crate::fact::{FAILURE, Fact, SUCCESS, write_user};

/// How far into a text is looked. What stands behind is not read.
const TEXT_BYTES_MAX: usize = 1_024;
/// How long a user's name may be; what is longer is text.
const USER_BYTES_MAX: usize = 128;

/// In small letters.
const FAILED: &[&str] = &[
    "login failed",
    "failed login",
    "failed log in",
    "failed logon",
    "failed to log in",
    "failed to login",
    "login failure",
    "logon failure",
    "login attempt failed",
    "login unsuccessful",
    "failed sign-in",
    "failed sign in",
    "failed signin",
    "sign-in failed",
    "sign in failed",
    "authentication failed",
    "authentication failure",
    "authentication error",
    "failed authentication",
    "failed to authenticate",
    "could not authenticate",
    "unsuccessful login",
    "unsuccessful authentication",
    "unable to authenticate",
    "login denied",
    "login rejected",
    "auth failed",
    "auth failure",
    "auth-failure",
    "auth_failure",
    "failed password",
    "invalid password",
    "wrong password",
    "incorrect password",
    "bad password",
    "password incorrect",
    "password mismatch",
    "invalid credentials",
    "bad credentials",
    "wrong credentials",
    "incorrect credentials",
    "invalid login",
    "invalid username or password",
    "incorrect username or password",
    "wrong username or password",
    "invalid user or password",
    "incorrect login",
    "access denied for user",
    "login incorrect",
];
const SUCCEEDED: &[&str] = &[
    "login successful",
    "login succeeded",
    "login success",
    "successful login",
    "successfully logged in",
    "logged in successfully",
    "successfully authenticated",
    "authentication succeeded",
    "authentication successful",
    "successful authentication",
    "successful auth for",
];
/// What stands in front of a user's name, the surest first.
const INTRODUCTIONS: &[&str] = &[
    "username=",
    "user=",
    "username: ",
    "user: ",
    "login: ",
    "for username ",
    "for user: ",
    "for user ",
    "by user ",
    "for account ",
    "username ",
    "user ",
    "account ",
    " for ",
];
/// Words that are no user's name where one is expected.
const WORDS: &[&str] = &[
    "a",
    "account",
    "address",
    "an",
    "and",
    "at",
    "attempt",
    "authentication",
    "by",
    "client",
    "connection",
    "error",
    "failed",
    "for",
    "from",
    "has",
    "host",
    "id",
    "in",
    "invalid",
    "ip",
    "is",
    "login",
    "name",
    "not",
    "of",
    "on",
    "or",
    "password",
    "request",
    "session",
    "the",
    "this",
    "to",
    "unknown",
    "user",
    "username",
    "via",
    "was",
    "with",
];

/// All phrases, those that failed first. One look at the text finds any of them, whatever its case.
static PHRASES: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(FAILED.iter().chain(SUCCEEDED)).ok());

/// Whether a text tells of a login.
pub(crate) fn may_tell(text: &str) -> bool {
    PHRASES.as_ref().is_some_and(|it| it.is_match(head(text)))
}

fn head(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or("")
}

/// Says of an event without a category that its text tells of a login, if it does. Address and level are there by then.
pub(crate) fn write(writer: &mut BatchWriter<'_>, text: &str) {
    if writer.has(field::EVENT_CATEGORY) || writer.has(field::EVENT_OUTCOME) {
        return;
    }
    let text = head(text);
    let Some(phrases) = PHRASES.as_ref() else { return };
    // Of a text that says both, the refusal counts.
    let Some(first) = phrases.find_iter(text).map(|it| it.pattern().as_usize()).min() else { return };
    let outcome = if first < FAILED.len() { FAILURE } else { SUCCESS };
    let small = text.to_ascii_lowercase();
    let user = user_of(text, &small);
    // Where a login is told of, its address needs no introduction.
    if ![field::SOURCE_IP, field::SOURCE_ADDRESS].into_iter().any(|it| writer.has(it))
        && let Some((address, port)) = address::find(text)
    {
        writer.ip(field::SOURCE_IP, address);
        if let Some(port) = port.filter(|_| !writer.has(field::SOURCE_PORT)) {
            writer.integer(field::SOURCE_PORT, i64::from(port));
        }
    }
    let known = [field::USER_NAME, field::SOURCE_IP, field::SOURCE_ADDRESS].into_iter().any(|it| writer.has(it));
    if user.is_none() && !known {
        return;
    }
    let fact = Fact::authentication(&["start"], "login", outcome);
    writer.words(field::EVENT_CATEGORY, fact.category);
    writer.words(field::EVENT_TYPE, fact.kind);
    if !writer.has(field::EVENT_ACTION) {
        writer.text(field::EVENT_ACTION, fact.action);
    }
    if let Some(word) = outcome {
        writer.text(field::EVENT_OUTCOME, word);
    }
    if let Some(user) = user.filter(|_| !writer.has(field::USER_NAME)) {
        write_user(writer, field::USER_NAME, user);
    }
}

/// The name behind the surest introduction.
fn user_of<'t>(text: &'t str, small: &str) -> Option<&'t str> {
    INTRODUCTIONS.iter().find_map(|introduction| {
        small.match_indices(introduction).find_map(|(at, _)| {
            // A word of its own: `superuser x` introduces nobody.
            let before = small.get(..at)?.chars().next_back();
            if before.is_some_and(|it| it.is_ascii_alphanumeric()) && !introduction.starts_with(' ') {
                return None;
            }
            name_at(text.get(at + introduction.len()..)?)
        })
    })
}

/// A name in quotes or brackets, else a word.
fn name_at(text: &str) -> Option<&str> {
    let first = text.chars().next()?;
    let close = match first {
        '\'' | '"' => Some(first),
        '`' => Some(if text.get(1..)?.contains('`') { '`' } else { '\'' }),
        '[' => Some(']'),
        '<' => Some('>'),
        _ => None,
    };
    let name = match close {
        Some(close) => text.get(1..)?.split(close).next()?,
        None => text.split([' ', ',', ';', ')', '(', '\t', '"', '\'']).next()?.trim_end_matches([':', '.']),
    };
    let good = !name.is_empty() && name.len() <= USER_BYTES_MAX;
    let quoted = close.is_some();
    let is_word = WORDS.contains(&name.to_ascii_lowercase().as_str());
    let is_address = address::endpoint(name).is_some();
    (good && (quoted || !is_word) && !is_address).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tests::value;

    #[test]
    fn a_refused_login_is_told_in_many_words() {
        for (line, user) in [
            ("2024-01-15 10:30:00 WARN Login failed for user 'bob' from 203.0.113.9", "bob"),
            ("2024-01-15 10:30:00 [auth] failed login attempt: user=bob ip 203.0.113.9", "bob"),
            ("[2024-01-15T10:30:00Z] Invalid credentials for bob@example.com from 203.0.113.9", "bob@example.com"),
            ("Jan 15 10:30:00 h shopd[7]: Authentication failed for user \"b b\" from 203.0.113.9", "b b"),
            (r#"{"time":"2024-01-15T10:30:00Z","msg":"wrong password","ip":"203.0.113.9","username":"bob"}"#, "bob"),
            ("2024-01-15 10:30:00 login failure from 203.0.113.9", ""),
        ] {
            let get = |name| value(line, name);
            assert_eq!(
                (get("event.category"), get("event.outcome")),
                ("authentication".into(), "failure".into()),
                "{line}"
            );
            assert_eq!((get("source.ip"), get("user.name")), ("203.0.113.9".into(), user.into()), "{line}");
        }
    }

    #[test]
    fn a_login_that_worked_is_one_too() {
        let line = "2024-01-15 10:30:00 INFO user bob successfully logged in from 203.0.113.9";
        assert_eq!((value(line, "event.outcome"), value(line, "user.name")), ("success".into(), "bob".into()));
    }

    #[test]
    fn phrases_without_anybody_are_no_login() {
        for line in [
            "2024-01-15 10:30:00 the rule about an invalid password was changed",
            "2024-01-15 10:30:00 superuser loaded",
            "nothing at all",
        ] {
            assert_eq!(value(line, "event.category"), "", "{line}");
        }
        let far = format!("2024-01-15 10:30:00 {} login failed for user bob", "x ".repeat(TEXT_BYTES_MAX));
        assert_eq!(value(&far, "event.category"), "");
    }
}
