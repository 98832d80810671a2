//! A copy of the hub's tests in which addresses, users, hosts and dates are others, the same ones wherever they stand.
//!
//! Whoever knows the corpus by heart scores less on the copy. Log and statements of a test go through the same hands;
//! of a statement only the value changes, of its names and keys only addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// By how many days all dates move: whole weeks, so that days of the week stay right.
const DAYS: i64 = -14;
/// Names that are words of the logs as well: to replace them would change what a line says.
const WORDS: &[&str] = &[
    "admin",
    "anonymous",
    "auth",
    "authentication",
    "bad",
    "client",
    "daemon",
    "default",
    "error",
    "failed",
    "failure",
    "from",
    "ftp",
    "guest",
    "host",
    "http",
    "https",
    "imap",
    "info",
    "internal",
    "invalid",
    "local",
    "localhost",
    "login",
    "mail",
    "main",
    "mysql",
    "nginx",
    "nobody",
    "none",
    "null",
    "password",
    "pop3",
    "postgres",
    "post",
    "public",
    "remote",
    "root",
    "server",
    "service",
    "smtp",
    "ssh",
    "sshd",
    "sys",
    "syslog",
    "system",
    "the",
    "true",
    "false",
    "unknown",
    "user",
    "username",
    "vpn",
    "web",
    "with",
    "www",
];
/// Names of statements that hold a user's or a host's name.
const NAMED: &[&str] =
    &["user", "username", "target_user", "source_user", "remote_user", "machine", "logsource", "target_fqdn"];

/// A folder that is removed when this goes.
pub(super) struct Copied(PathBuf);

impl Copied {
    pub(super) fn root(&self) -> &Path {
        &self.0
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        // What is left in the folder of temporary files harms nobody.
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Copies the tests in `from` to the folder `folder` of a new one.
///
/// # Errors
/// A file cannot be read or written.
pub(super) fn replaced(from: &Path, folder: &str) -> anyhow::Result<Copied> {
    let root = std::env::temp_dir().join(format!("panoptes-score-{}", std::process::id()));
    let copied = Copied(root);
    for entry in from.read_dir().with_context(|| format!("no folder {}", from.display()))? {
        let entry = entry?;
        if !entry.path().is_dir() {
            continue;
        }
        let to = copied.0.join(folder).join(entry.file_name());
        std::fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
        let mut files = BTreeMap::new();
        for file in entry.path().read_dir()? {
            let file = file?;
            let bytes = std::fs::read(file.path())?;
            files.insert(file.file_name(), String::from_utf8_lossy(&bytes).into_owned());
        }
        let names: BTreeSet<String> = files
            .iter()
            .filter(|it| Path::new(it.0).extension().is_some_and(|it| it == "assert"))
            .flat_map(|it| it.1.lines().filter_map(name_of))
            .collect();
        for (name, text) in files {
            let extension = Path::new(&name).extension().map(|it| it.to_string_lossy().into_owned());
            let text = match extension.as_deref() {
                Some("assert") => text.lines().map(|it| statement(it, &names) + "\n").collect(),
                Some("yaml") => text,
                _ => others(&text, &names),
            };
            std::fs::write(to.join(name), text)?;
        }
    }
    Ok(copied)
}

/// The name of a user or host that a statement states, if it can be told from the words around it.
fn name_of(line: &str) -> Option<String> {
    let (left, value) = line.split_once(" == \"")?;
    let left = left.trim_end_matches(')');
    let key = left.trim_end_matches("\"]").trim_end_matches('"').rsplit('"').next()?;
    if !NAMED.contains(&key) {
        return None;
    }
    let value = value.split('"').next()?;
    let simple = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_' | '@');
    let good = value.len() >= 3
        && value.chars().all(simple)
        && value.chars().any(|it| it.is_ascii_alphabetic())
        && value.parse::<IpAddr>().is_err()
        && !WORDS.contains(&value.to_ascii_lowercase().as_str());
    good.then(|| value.to_owned())
}

fn statement(line: &str, names: &BTreeSet<String>) -> String {
    match line.split_once(" == ") {
        Some((left, _)) if left.contains("GetScenario()") || left.starts_with("len(") => line.to_owned(),
        Some((left, right)) => format!("{} == {}", addresses(left), others(right, names)),
        None => addresses(line),
    }
}

/// All of `text` with other addresses, names and dates.
fn others(text: &str, names: &BTreeSet<String>) -> String {
    let mut text = dates(&addresses(text));
    for name in names {
        text = words(&text, name, &other_name(name));
    }
    text
}

/// Letters are replaced by others, but not in the last label of a host's name.
fn other_name(name: &str) -> String {
    let end = if name.contains('.') { name.rfind('.').unwrap_or(name.len()) } else { name.len() };
    let other = |it: char| match it {
        'a'..='z' => char::from(b'a' + (it as u8 - b'a' + 7) % 26),
        'A'..='Z' => char::from(b'A' + (it as u8 - b'A' + 7) % 26),
        _ => it,
    };
    name.char_indices().map(|(at, it)| if at < end { other(it) } else { it }).collect()
}

/// Replaces `from` where it stands as a word of its own and is no part of a path.
fn words(text: &str, from: &str, to: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let (before, found) = rest.split_at(at);
        let after = found.get(from.len()..).unwrap_or("");
        let joined = |it: Option<char>| it.is_some_and(|it| it.is_alphanumeric() || matches!(it, '_' | '/' | '-'));
        let last = before.chars().next_back().or_else(|| out.chars().next_back());
        // The letter of an escape is no letter of a word.
        let escape = before.ends_with("\\n") || before.ends_with("\\t");
        out.push_str(before);
        out.push_str(if (joined(last) && !escape) || joined(after.chars().next()) { from } else { to });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn other_address(address: IpAddr) -> IpAddr {
    match address {
        // Network and place stay: where an address is, is a fact of its own.
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            if v4.is_loopback() || v4.is_unspecified() || v4.is_broadcast() || v4.is_multicast() || d == 0 || d == 255 {
                return address;
            }
            Ipv4Addr::new(a, b, c.wrapping_add(37), ((u16::from(d) + 100) % 254 + 1) as u8).into()
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = v6.to_ipv4_mapped() {
                return match other_address(v4.into()) {
                    IpAddr::V4(it) => it.to_ipv6_mapped().into(),
                    it @ IpAddr::V6(_) => it,
                };
            }
            if v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() {
                return address;
            }
            let mut segments = v6.segments();
            if let Some(last) = segments.last_mut() {
                *last ^= 0x0a5a;
            }
            Ipv6Addr::from(segments).into()
        }
    }
}

/// Replaces addresses; what looks like one behind the name of a program (`Chrome/103.0.0.0`) is a version.
fn addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let part = |it: char| it.is_ascii_hexdigit() || matches!(it, '.' | ':');
    while let Some(start) = rest.find(part) {
        let (before, found) = rest.split_at(start);
        out.push_str(before);
        let end = found.find(|it| !part(it)).unwrap_or(found.len());
        let (run, after) = found.split_at(end);
        // `user:192.0.2.1`: the colon is no part of it.
        let run = match run.strip_prefix(':') {
            Some(behind) if !behind.starts_with(':') => {
                out.push(':');
                behind
            }
            _ => run,
        };
        let last = out.chars().next_back();
        // The word in front of a slash: `Chrome/103.0.0.1`, but `UDP/192.0.2.1`, `client1/192.0.2.1`.
        let word = out.strip_suffix('/').unwrap_or("");
        let word = word.get(word.rfind(|it: char| !it.is_ascii_alphanumeric()).map_or(0, |it| it + 1)..).unwrap_or("");
        let mut letters = word.chars();
        let capital = letters.next().is_some_and(|it| it.is_ascii_uppercase())
            && letters.next().is_some_and(|it| it.is_ascii_lowercase());
        let version = capital || (!word.is_empty() && run.contains(".0.0."));
        let inside = last.is_some_and(|it| it.is_alphanumeric() && !out.ends_with("\\n") && !out.ends_with("\\t"));
        let bare = run.trim_end_matches(['.', ':']);
        let host = bare.rsplit_once(':').map_or(bare, |it| it.0);
        // `192.0.2.1.4711`, as tcpdump writes a port.
        let dotted = bare.rsplit_once('.').filter(|it| it.1.parse::<u16>().is_ok()).map_or(bare, |it| it.0);
        // `7.2.0.192.host.example` is a name.
        let named = bare.len() < run.len() && run.ends_with('.') && after.starts_with(|it: char| it.is_alphanumeric());
        let inside = inside || named;
        let address = [bare, host, dotted].into_iter().find_map(|it| Some((it.len(), it.parse::<IpAddr>().ok()?)));
        match address.filter(|it| {
            !version && !inside && (it.1.is_ipv4() || after.chars().next().is_none_or(|it| !it.is_alphanumeric()))
        }) {
            Some((length, address)) => {
                out.push_str(&other_address(address).to_string());
                out.push_str(run.get(length..).unwrap_or(""));
            }
            None => match bare.rsplit_once(':').and_then(|it| Some((it.0, it.1.parse::<Ipv4Addr>().ok()?))) {
                // `UTC:192.0.2.1`: a letter of the word is a digit of an address as well.
                Some((before, address)) if !before.contains(':') && !named => {
                    out.push_str(before);
                    out.push(':');
                    out.push_str(&other_address(address.into()).to_string());
                    out.push_str(run.get(bare.len()..).unwrap_or(""));
                }
                _ => out.push_str(run),
            },
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Moves all dates: `2024-01-15`, `2024/01/15`, `15/Jan/2024`, `Jan 15`, `Mon Jan 15 10:30:00 2024`, epochs.
fn dates(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let last = out.chars().next_back();
        let free = last.is_none_or(|it| !it.is_alphanumeric()) || out.ends_with("\\n");
        let moved = if free {
            numeric(rest, last)
                .or_else(|| american(rest))
                .or_else(|| short(rest))
                .or_else(|| day_first(rest))
                .or_else(|| month_first(rest))
                .or_else(|| epoch(rest, last))
        } else {
            None
        };
        match moved {
            Some((length, text)) => {
                out.push_str(&text);
                rest = rest.get(length..).unwrap_or("");
            }
            None => {
                out.push(character);
                rest = rest.get(character.len_utf8()..).unwrap_or("");
            }
        }
    }
    out
}

type Moved = Option<(usize, String)>;

fn number(text: &str, from: usize, digits: usize) -> Option<i64> {
    let part = text.get(from..from + digits)?;
    part.bytes().all(|it| it.is_ascii_digit()).then(|| part.parse().ok())?
}

fn ends(text: &str, at: usize) -> bool {
    text.as_bytes().get(at).is_none_or(|it| !it.is_ascii_digit())
}

fn numeric(text: &str, last: Option<char>) -> Moved {
    // A time without its year, as statements have it: `-01-15T10:30:00Z`.
    if last != Some('-') && text.starts_with('-') && text.as_bytes().get(6) == Some(&b'T') {
        let (month, day) = (number(text, 1, 2)?, number(text, 4, 2)?);
        let (_, month, day) = shifted(None, month, day)?;
        return Some((6, format!("-{month:02}-{day:02}")));
    }
    let (year, month, day) = (number(text, 0, 4)?, number(text, 5, 2)?, number(text, 8, 2)?);
    let separator = char::from(*text.as_bytes().get(4)?);
    let good = matches!(separator, '-' | '/' | '.') && text.as_bytes().get(7) == text.as_bytes().get(4);
    if !good || !(1971..2100).contains(&year) || !ends(text, 10) {
        return None;
    }
    let (year, month, day) = shifted(Some(year), month, day)?;
    Some((10, format!("{year}{separator}{month:02}{separator}{day:02}")))
}

/// `01/15/2024`.
fn american(text: &str) -> Moved {
    let (month, day, year) = (number(text, 0, 2)?, number(text, 3, 2)?, number(text, 6, 4)?);
    let marks = (text.get(2..3)?, text.get(5..6)?);
    if marks != ("/", "/") || !(1971..2100).contains(&year) || !ends(text, 10) {
        return None;
    }
    let (year, month, day) = shifted(Some(year), month, day)?;
    Some((10, format!("{month:02}/{day:02}/{year}")))
}

/// `240115 10:30:00`.
fn short(text: &str) -> Moved {
    let (year, month, day) = (number(text, 0, 2)?, number(text, 2, 2)?, number(text, 4, 2)?);
    number(text, 7, 2)?;
    if text.get(6..7) != Some(" ") || text.get(9..10) != Some(":") {
        return None;
    }
    let (year, month, day) = shifted(Some(2000 + year), month, day)?;
    Some((6, format!("{:02}{month:02}{day:02}", year - 2000)))
}

fn month(text: &str) -> Option<i64> {
    let name = text.get(..3)?;
    MONTHS.iter().position(|it| *it == name).map(|it| it as i64 + 1)
}

fn month_name(month: i64) -> &'static str {
    MONTHS.get((month - 1) as usize).copied().unwrap_or("Jan")
}

fn day_first(text: &str) -> Moved {
    let digits = if number(text, 0, 2).is_some() { 2 } else { 1 };
    let day = number(text, 0, digits)?;
    let separator = text.get(digits..digits + 1)?;
    let from = month(text.get(digits + 1..)?)?;
    let year = number(text, digits + 5, 4)?;
    if !matches!(separator, "/" | "-" | " ") || text.get(digits + 4..digits + 5) != Some(separator) {
        return None;
    }
    let (year, to, day) = shifted(Some(year), from, day)?;
    Some((digits + 9, format!("{day:0digits$}{separator}{}{separator}{year}", month_name(to))))
}

fn month_first(text: &str) -> Moved {
    let from = month(text)?;
    let rest = text.get(3..)?.strip_prefix(' ')?;
    let padded = rest.starts_with(' ');
    let digits = if padded || number(rest, 0, 2).is_none() { 1 } else { 2 };
    let start = 4 + usize::from(padded);
    let day = number(text, start, digits)?;
    let end = start + digits;
    if !ends(text, end) {
        return None;
    }
    // `Jan 15 10:30:00.123 2024`, `Jan 15 2024`, `Jan 15, 2024`.
    let after = text.get(end..)?.trim_start_matches(',');
    let behind_clock = after.strip_prefix(' ').and_then(|it| {
        let clock = it.split(' ').next()?;
        (clock.len() >= 8 && clock.as_bytes().get(2) == Some(&b':')).then(|| it.get(clock.len()..))?
    });
    let year_at =
        |it: &str| number(it.strip_prefix(' ')?, 0, 4).filter(|year| (1971..2100).contains(year) && ends(it, 5));
    let (clocked, direct) = (behind_clock.and_then(year_at), year_at(after));
    let (year, month, day) = shifted(clocked.or(direct), from, day)?;
    let day = if padded || digits == 1 {
        format!("{day:width$}", width = digits + usize::from(padded))
    } else {
        format!("{day:02}")
    };
    let mut out = format!("{} {day}", month_name(month));
    let mut length = end;
    let old = clocked.or(direct);
    if let Some(old) = old {
        // What stands between the day and the year stays.
        let at = text.get(end..)?.find(&format!(" {old}"))?;
        out.push_str(text.get(end..end + at)?);
        out.push_str(&format!(" {year}"));
        length = end + at + 5;
    }
    Some((length, out))
}

fn epoch(text: &str, last: Option<char>) -> Moved {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = match digits {
        10 => 1,
        13 => 1_000,
        16 => 1_000_000,
        19 => 1_000_000_000,
        _ => return None,
    };
    if last.is_some_and(|it| matches!(it, '.' | '-' | '_'))
        || text.get(digits..)?.starts_with(|it: char| it.is_alphanumeric())
    {
        return None;
    }
    let value: i64 = text.get(..digits)?.parse().ok()?;
    if !(1_300_000_000..1_950_000_000).contains(&(value / unit)) {
        return None;
    }
    Some((digits, (value + DAYS * 86_400 * unit).to_string()))
}

/// The date that lies [`DAYS`] later; a date without a year is one of a year without a leap day.
fn shifted(year: Option<i64>, month: i64, day: i64) -> Option<(i64, i64, i64)> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(date_of(days_of(year.unwrap_or(2023), month, day) + DAYS))
}

/// Days since 1970-01-01 in the Gregorian calendar, for years behind 0.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    // The year begins in March, so that the leap day is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days.div_euclid(365);
    while days_of(year, 1, 1) > days {
        year -= 1;
    }
    let mut month = 12;
    while days_of(year, month, 1) > days {
        month -= 1;
    }
    (year, month, days - days_of(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_others_of_their_network() {
        for (from, to) in [
            ("from 192.0.2.1 port 22", "from 192.0.39.102 port 22"),
            ("192.0.2.1:4711,", "192.0.39.102:4711,"),
            ("\"127.0.0.1\"", "\"127.0.0.1\""),
            ("::ffff:192.0.2.1", "::ffff:192.0.39.102"),
            ("[2001:db8::1]:80", "[2001:db8::a5b]:80"),
            ("192.0.2.254", "192.0.39.101"),
            ("Chrome/103.0.0.1 at 10:30:00", "Chrome/103.0.0.1 at 10:30:00"),
            ("IPV4/UDP/192.0.2.1/5060", "IPV4/UDP/192.0.39.102/5060"),
            ("bob/192.0.2.1:4711", "bob/192.0.39.102:4711"),
            ("IP 192.0.2.1.4711 >", "IP 192.0.39.102.4711 >"),
            ("1.2.0.192.dsl.example", "1.2.0.192.dsl.example"),
            ("UTC:192.0.2.1(5432)", "UTC:192.0.39.102(5432)"),
            ("main::x 00:08:a2:0c:1f:12", "main::x 00:08:a2:0c:1f:12"),
        ] {
            assert_eq!(addresses(from), to);
        }
    }

    #[test]
    fn dates_move_by_whole_weeks_and_keep_their_shape() {
        for (from, to) in [
            ("2024-03-08T10:30:00Z", "2024-02-23T10:30:00Z"),
            ("[15/Jan/2024:10:30:00 +0000]", "[01/Jan/2024:10:30:00 +0000]"),
            ("2024/01/05 x", "2023/12/22 x"),
            ("Jan 15 10:30:00 web1", "Jan 01 10:30:00 web1"),
            ("Jan  9 10:30:00 web1", "Dec 26 10:30:00 web1"),
            ("Mon Jan 15 10:30:00.5 2024]", "Mon Jan 01 10:30:00.5 2024]"),
            ("Oct 26, 2025 at", "Oct 12, 2025 at"),
            ("== \"-03-20T14:05:52Z\"", "== \"-03-06T14:05:52Z\""),
            ("1705314600.25 x1705314600", "1704105000.25 x1705314600"),
            ("01/15/2024, 7:32", "01/01/2024, 7:32"),
            ("240115 10:30:00 [Warning]", "240101 10:30:00 [Warning]"),
            ("12345 2024-99-08 port 2024", "12345 2024-99-08 port 2024"),
        ] {
            assert_eq!(dates(from), to);
        }
    }

    #[test]
    fn names_are_replaced_as_words_and_only_where_they_are_told() {
        let names: BTreeSet<String> =
            [r#"x.Evt.Meta["username"] == "bob""#, r#"x.GetMeta("machine") == "web1.test""#, r#"x["user"] == "root""#]
                .into_iter()
                .filter_map(name_of)
                .collect();
        assert_eq!(names, ["bob", "web1.test"].map(str::to_owned).into());
        assert_eq!(others("bob on web1.test in /home/bob as bobby", &names), "ivi on dli1.test in /home/bob as bobby");
        assert_eq!(
            statement(r#"results[0].Overflow.Alert.GetScenario() == "a/bob-192.0.2.1""#, &names),
            r#"results[0].Overflow.Alert.GetScenario() == "a/bob-192.0.2.1""#
        );
        assert_eq!(
            statement(r#"results[0].Sources["192.0.2.1"].IP == "192.0.2.1""#, &names),
            r#"results[0].Sources["192.0.39.102"].IP == "192.0.39.102""#
        );
    }
}
