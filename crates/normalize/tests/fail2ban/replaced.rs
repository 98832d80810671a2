//! A copy of the cases in which every address, user, host and date is another, the same one everywhere in a file.
//!
//! Names are those that Panoptes read out of the line (a word that it took wrongly for a name is replaced, too, and the
//! score falls). Dates move by 28 years, after which weekdays, leap days and daylight saving time fall on the same
//! days; minutes move, too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use panoptes_model::{Event, field};

use crate::annotated::Case;

/// How far dates move.
pub(crate) const YEARS: i32 = 28;
/// 28 years in seconds.
const EPOCH_SECONDS: i64 = 10_227 * 86_400;

pub(crate) fn replaced(case: &Case, event: Event<'_>) -> Case {
    let mut line = case.line.clone();
    let mut host = case.host.clone();
    let ids =
        [field::USER_NAME, field::HOST_NAME, field::SOURCE_ADDRESS, field::SOURCE_DOMAIN, field::USER_TARGET_NAME];
    let mut names: Vec<String> =
        ids.iter().filter_map(|id| Some(event.get(*id)?.to_text().into_owned())).filter(|it| is_name(it)).collect();
    names.sort_by_key(|it| std::cmp::Reverse(it.len()));
    names.dedup();
    for name in names {
        line = replace_word(&line, &name, &other_name(&name));
        if host.as_deref() == Some(&name) {
            host = Some(other_name(&name));
        }
    }
    let line = shift_times(&replace_addresses(&line));
    Case {
        number: case.number,
        line,
        is_attempt: case.is_attempt,
        host: host.map(|it| replace_addresses(&it)),
        time: case.time.as_deref().map(shift_times),
    }
}

/// Names in the corpus that are words of the messages around them, too, or of a path.
const NO_NAMES: &[&str] = &["user", "host", "sshd", "server", "test"];

/// Names of letters only or nearly so; numbers, addresses and quoted junk stay.
fn is_name(text: &str) -> bool {
    text.len() >= 3
        && !NO_NAMES.contains(&text)
        && text.parse::<IpAddr>().is_err()
        && text.chars().any(|it| it.is_ascii_alphabetic())
        && text.chars().all(|it| it.is_ascii_alphanumeric() || "._-@".contains(it))
}

fn other_name(name: &str) -> String {
    let turn = |it: char, first: char| {
        let offset = (it as u8 - first as u8 + 11) % 26;
        char::from(first as u8 + offset)
    };
    name.chars()
        .map(|it| match it {
            'a'..='z' => turn(it, 'a'),
            'A'..='Z' => turn(it, 'A'),
            _ => it,
        })
        .collect()
}

fn is_word(it: Option<char>) -> bool {
    it.is_some_and(|it| it.is_alphanumeric() || it == '_')
}

fn replace_word(line: &str, from: &str, to: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(from) {
        let (before, after) = rest.split_at(at);
        let behind = after.strip_prefix(from).unwrap_or("");
        out.push_str(before);
        let bounded = !is_word(out.chars().next_back()) && !is_word(behind.chars().next());
        out.push_str(if bounded { to } else { from });
        rest = behind;
    }
    out + rest
}

fn other_address(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(it) => {
            let [a, b, c, d] = it.octets();
            // Never of a kind that is treated apart (unspecified, broadcast, multicast).
            Ipv4Addr::new(11 + a % 100, b ^ 0x55, c.wrapping_add(77), d.wrapping_add(1)).into()
        }
        IpAddr::V6(it) => match it.to_ipv4_mapped() {
            Some(inner) => match other_address(inner.into()) {
                IpAddr::V4(inner) => inner.to_ipv6_mapped().into(),
                six => six,
            },
            None => {
                let mut parts = it.segments();
                if parts[1..7].iter().all(|it| *it == 0) {
                    return address;
                }
                parts[1] ^= 0x0101;
                parts[7] = parts[7].wrapping_add(3);
                Ipv6Addr::from(parts).into()
            }
        },
    }
}

fn replace_addresses(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|it: char| it.is_ascii_hexdigit() || it == ':') {
        let (before, after) = rest.split_at(start);
        out.push_str(before);
        let end = after.find(|it: char| !(it.is_ascii_hexdigit() || it == ':' || it == '.')).unwrap_or(after.len());
        let (token, behind) = after.split_at(end);
        // `[7]:` is no beginning of an address that a letter precedes or follows.
        let glued = is_word(out.chars().next_back()) || is_word(behind.chars().next());
        out.push_str(&replace_token(token, glued));
        rest = behind;
    }
    out + rest
}

/// A run of digits, letters, colons and dots: the longest address that it begins with, and what is left.
fn replace_token(token: &str, glued: bool) -> String {
    // `UDP:192.0.2.1`
    if let Some(inner) = token.strip_prefix(':').filter(|it| !it.starts_with(':')) {
        return format!(":{}", replace_token(inner, glued));
    }
    let ends = (1..=token.len()).rev();
    for end in ends {
        let (head, tail) = token.split_at(end);
        let whole = tail.is_empty() && !glued || tail.starts_with([':', '.']);
        if whole
            && head.len() >= 3
            && head.contains(['.', ':'])
            && let Ok(address) = head.parse::<IpAddr>()
        {
            return format!("{}{tail}", other_address(address));
        }
    }
    token.to_owned()
}

/// Moves years, minutes and epochs.
fn shift_times(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|it: char| it.is_ascii_digit()) {
        let (before, after) = rest.split_at(start);
        out.push_str(before);
        let end = after.find(|it: char| !it.is_ascii_digit()).unwrap_or(after.len());
        let (digits, behind) = after.split_at(end);
        let previous = out.chars().next_back();
        if let Some((clock, behind)) = shift_clock(after).filter(|_| !is_word(previous) || previous == Some('T')) {
            out.push_str(&clock);
            rest = behind;
            continue;
        }
        let year: i32 = if digits.len() == 4 { digits.parse().unwrap_or(0) } else { 0 };
        let seconds: i64 = if digits.len() == 10 { digits.parse().unwrap_or(0) } else { 0 };
        let next = behind.chars().next();
        let in_date = matches!(previous, None | Some('-' | '/' | ' ' | '=' | '[' | '"' | '\'' | '>' | '.' | '('))
            && (next.is_none() || next.is_some_and(|it| "-/ :|]T.".contains(it)));
        if (1990..=2030).contains(&year) && in_date && looks_like_date(&out, behind) {
            out.push_str(&(year + YEARS).to_string());
        } else if (1_000_000_000..1_800_000_000).contains(&seconds)
            && matches!(next, Some('.' | ' ' | '-' | ']'))
            && matches!(previous, None | Some('(' | '['))
        {
            out.push_str(&other_epoch(seconds).to_string());
        } else if let Some(date) =
            other_glued_date(digits).filter(|_| matches!(previous, None | Some('[' | ' ')) && is_clock(behind))
        {
            out.push_str(&date);
        } else if digits.len() == 2 && behind.starts_with(' ') && is_short_year(&out) {
            out.push_str(&format!("{:02}", (digits.parse::<i32>().unwrap_or(0) + YEARS) % 100));
        } else {
            out.push_str(digits);
        }
        rest = behind;
    }
    out + rest
}

/// An epoch moved like a written time.
fn other_epoch(seconds: i64) -> i64 {
    let minute = seconds / 60 % 60;
    seconds - minute * 60 + (minute + 17) % 60 * 60 + EPOCH_SECONDS
}

/// `20240115` and `240115`.
fn other_glued_date(digits: &str) -> Option<String> {
    let (year, rest) = digits.split_at_checked(if digits.len() == 8 { 4 } else { 2 })?;
    let number: i32 = year.parse().ok()?;
    match digits.len() {
        8 if (1990..=2030).contains(&number) => Some(format!("{}{rest}", number + YEARS)),
        6 => Some(format!("{:02}{rest}", (number + YEARS) % 100)),
        _ => None,
    }
}

/// Whether a clock follows, behind one mark.
fn is_clock(behind: &str) -> bool {
    behind.strip_prefix([' ', '-', 'T']).is_some_and(|it| shift_clock(it.trim_start()).is_some())
}

/// Whether a month or a day stands beside the year.
fn looks_like_date(before: &str, behind: &str) -> bool {
    let is_digit = |at: usize| behind.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let digits_behind = is_digit(1) && is_digit(2) && !is_digit(3);
    // `2014:07:02-`, but neither `2024:10:30:00` behind a month nor an address.
    let colons = !behind.starts_with(':') || behind.as_bytes().get(6) == Some(&b'-');
    let marked = behind.starts_with(['-', '/', ':', '.']) && digits_behind && colons;
    let words: Vec<&str> = before.split([' ', '/', '-', ',', '[', '"']).filter(|it| !it.is_empty()).collect();
    let is_month = |it: &&str| {
        let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        months.iter().any(|month| it.to_lowercase().starts_with(month))
    };
    let is_number = |it: &&str| it.len() <= 2 && it.bytes().all(|it| it.is_ascii_digit());
    marked
        || behind.starts_with(' ') && digits_behind && words.last().is_some_and(is_number)
        || words.last().is_some_and(is_month)
        || (words.len() >= 2 && words.last().is_some_and(is_number) && words.get(words.len() - 2).is_some_and(is_month))
        || (words.len() >= 2 && before.ends_with(['-', '/']) && words.iter().rev().take(2).all(is_number))
        || (before.ends_with(' ') && words.last().is_some_and(|it| shift_clock(it).is_some()))
}

/// `Apr-07-` before a year of two digits.
fn is_short_year(before: &str) -> bool {
    let parts: Vec<&str> = before.rsplit('-').collect();
    matches!(parts.as_slice(), ["", day, month, ..] if day.len() == 2 && month.len() == 3 && month.chars().all(char::is_alphabetic))
}

/// `10:30:00` or `10:30: ` with other minutes, and what follows.
fn shift_clock(text: &str) -> Option<(String, &str)> {
    let hours = text.find(|it: char| !it.is_ascii_digit()).filter(|it| (1..=2).contains(it))?;
    let rest = text.get(hours..)?;
    let pair = |it: &str| it.get(1..3).filter(|it| it.bytes().all(|it| it.is_ascii_digit()))?.parse::<u32>().ok();
    let minutes = pair(rest).filter(|it| *it < 60 && rest.starts_with(':'))?;
    let rest = rest.get(3..)?;
    let other = format!("{}:{:02}", text.get(..hours)?, (minutes + 17) % 60);
    if rest.starts_with(": ") {
        return Some((other, rest));
    }
    pair(rest).filter(|it| *it < 60 && rest.starts_with(':'))?;
    let (seconds, rest) = rest.split_at_checked(3)?;
    if is_word(rest.chars().next()) && !rest.starts_with('Z') || rest.starts_with(':') && pair(rest).is_some() {
        return None;
    }
    Some((other + seconds, rest))
}

#[test]
fn addresses_and_times_are_replaced_wherever_they_stand() {
    assert_eq!(
        shift_times(&replace_addresses("Jun 21 16:47:46 h a[7]: from 1.2.3.4:80 [::ffff:1.2.3.4]:5 2001:db8::1.")),
        "Jun 21 16:04:46 h a[7]: from 12.87.80.5:80 [::ffff:12.87.80.5]:5 2001:cb9::4."
    );
    assert_eq!(shift_times("2014-01-06 10:59:38 +0200"), "2042-01-06 10:16:38 +0200");
    assert_eq!(shift_times("[22-Jan-2013 22:28:21 +0200]: x 2013"), "[22-Jan-2041 22:45:21 +0200]: x 2013");
    assert_eq!(shift_times("Apr-07-13 07:08:36 7"), "Apr-07-41 07:25:36 7");
    assert_eq!(
        shift_times("[20130918-16:10:10] 130324 22:51:59 1705314600"),
        "[20410918-16:27:10] 410324 22:08:59 1705314600"
    );
    assert_eq!(shift_times("[1387288694] April 09, 2020 14:04: x"), "[2270898914] April 09, 2048 14:21: x");
    assert_eq!(replace_word("bobby bob bob's", "bob", "x"), "bobby x x's");
}
