//! What a user agent says of itself.
//!
//! A user agent is a row of products (`Name/1.2`) with remarks in brackets between them. Browsers name all those that
//! they want to be taken for, so the most particular name counts: [`BROWSERS`] has them in that order. Programs that
//! are no browsers name themselves first. The system stands in a remark, or is the product itself.
//!
//! One pass over at most [`AGENT_BYTES_MAX`] bytes and [`PRODUCTS_MAX`] products; no patterns.

use std::borrow::Cow;

/// What stands further back is not read.
const AGENT_BYTES_MAX: usize = 1_024;
/// Further products are not looked at.
const PRODUCTS_MAX: usize = 32;
/// Longer names and versions are cut.
const NAME_BYTES_MAX: usize = 64;

/// What is known of it. Empty where it is not said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Agent<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) version: Cow<'a, str>,
    pub(crate) os_name: Cow<'a, str>,
    pub(crate) os_version: Cow<'a, str>,
    pub(crate) device: Cow<'a, str>,
}

/// What a product is called by everybody, the more particular first. On a phone the second name, if there is one.
const BROWSERS: &[(&str, &str, &str)] = &[
    ("HeadlessChrome", "HeadlessChrome", ""),
    ("PhantomJS", "PhantomJS", ""),
    ("Electron", "Electron", ""),
    ("Teams", "Microsoft Teams", ""),
    ("Slack", "Slack Desktop Client", ""),
    ("Slack_SSB", "Slack Desktop Client", ""),
    ("Edg", "Edge", "Edge Mobile"),
    ("EdgA", "Edge Mobile", ""),
    ("EdgiOS", "Edge Mobile", ""),
    ("Edge", "Edge", "Edge Mobile"),
    ("OPR", "Opera", "Opera Mobile"),
    ("OPT", "Opera Touch", ""),
    ("OPiOS", "Opera Mini", ""),
    ("Vivaldi", "Vivaldi", ""),
    ("YaBrowser", "Yandex Browser", ""),
    ("SamsungBrowser", "Samsung Internet", ""),
    ("MiuiBrowser", "MiuiBrowser", ""),
    ("UCBrowser", "UC Browser", ""),
    ("HuaweiBrowser", "HuaweiBrowser", ""),
    ("Whale", "Whale", ""),
    ("Silk", "Amazon Silk", ""),
    ("DuckDuckGo", "DuckDuckGo Mobile", ""),
    ("Brave", "Brave", ""),
    ("GSA", "Google", ""),
    ("FxiOS", "Firefox iOS", ""),
    ("CriOS", "Chrome Mobile iOS", ""),
    ("SeaMonkey", "SeaMonkey", ""),
    ("Thunderbird", "Thunderbird", ""),
    ("PaleMoon", "Pale Moon", ""),
    ("Waterfox", "Waterfox", ""),
    ("Firefox", "Firefox", "Firefox Mobile"),
    ("Chromium", "Chromium", ""),
    ("Chrome", "Chrome", "Chrome Mobile"),
    ("WindowsPowerShell", "WindowsPowerShell", ""),
    ("PowerShell", "PowerShell", ""),
];

/// Programs that call themselves otherwise than people do.
const PROGRAMS: &[(&str, &str)] = &[
    ("python-requests", "Python Requests"),
    ("Python-urllib", "Python-urllib"),
    ("axios", "axios"),
    ("Microsoft-WebDAV-MiniRedir", "Microsoft-WebDAV-MiniRedir"),
];

/// Systems by the word that gives them away, the more particular first, and what their version follows.
const SYSTEMS: &[(&str, &str, &str)] = &[
    ("Windows Phone", "Windows Phone", "Windows Phone OS "),
    ("Windows Phone", "Windows Phone", "Windows Phone "),
    ("Xbox", "Xbox", ""),
    ("Windows NT", "Windows", "Windows NT "),
    ("Windows", "Windows", "Windows "),
    ("Win64", "Windows", ""),
    ("HarmonyOS", "HarmonyOS", "HarmonyOS "),
    ("KAIOS", "KaiOS", "KAIOS/"),
    ("Tizen", "Tizen", "Tizen "),
    ("Web0S", "webOS", ""),
    ("Android", "Android", "Android "),
    ("Android", "Android", "Android/"),
    ("iPhone", "iOS", " OS "),
    ("iPad", "iOS", " OS "),
    ("iPod", "iOS", " OS "),
    ("iOS", "iOS", "iOS "),
    ("Mac OS X", "Mac OS X", "Mac OS X "),
    ("Macintosh", "Mac OS X", ""),
    ("macOS", "Mac OS X", "macOS "),
    ("CrOS", "Chrome OS", ""),
    ("PlayStation", "PlayStation", ""),
    ("Nintendo", "Nintendo", ""),
    ("Ubuntu", "Ubuntu", "Ubuntu/"),
    ("Fedora", "Fedora", "Fedora/"),
    ("Debian", "Debian", "Debian/"),
    ("FreeBSD", "FreeBSD", ""),
    ("OpenBSD", "OpenBSD", ""),
    ("NetBSD", "NetBSD", ""),
    ("SunOS", "Solaris", ""),
    ("Linux", "Linux", ""),
    ("linux", "Linux", ""),
];

/// What Windows is called by its number.
const WINDOWS: &[(&str, &str)] = &[
    ("10.0", "10"),
    ("6.3", "8.1"),
    ("6.2", "8"),
    ("6.1", "7"),
    ("6.0", "Vista"),
    ("5.2", "XP"),
    ("5.1", "XP"),
    ("5.0", "2000"),
];

/// Words in a name that say that nobody sits in front of it.
const ROBOTS: &[&str] = &["bot", "crawl", "spider", "slurp", "scrap", "facebookexternalhit"];

struct Product<'a> {
    name: &'a str,
    version: &'a str,
}

pub(crate) fn parse(original: &str) -> Agent<'_> {
    let text = original.get(..original.floor_char_boundary(AGENT_BYTES_MAX)).unwrap_or("").trim();
    let (products, remarks) = parts_of(text);
    let mut agent = Agent::default();
    system(text, &remarks, &mut agent);
    if let Some(robot) = robot(text, &products) {
        (agent.name, agent.version) = robot;
        agent.device = "Spider".into();
        return cut(agent);
    }
    (agent.name, agent.version) = program(text, &products, &remarks);
    if agent.device.is_empty() {
        agent.device = device(&remarks).into();
    }
    cut(agent)
}

/// The products, and what stands in brackets.
fn parts_of(text: &str) -> (Vec<Product<'_>>, Vec<&str>) {
    let (mut products, mut remarks) = (Vec::new(), Vec::new());
    let mut rest = text;
    while !rest.is_empty() && products.len() < PRODUCTS_MAX && remarks.len() < PRODUCTS_MAX {
        let (outside, after) = rest.split_once('(').unwrap_or((rest, ""));
        for word in outside.split_ascii_whitespace() {
            let (name, version) = word.split_once('/').unwrap_or((word, ""));
            let name = name.trim_matches([',', ';', '"', '\'']);
            if !name.is_empty() && products.len() < PRODUCTS_MAX {
                products.push(Product { name, version: version_in(version) });
            }
        }
        let end = remark_end(after);
        if let Some(remark) = after.get(..end).filter(|it| !it.is_empty()) {
            remarks.push(remark);
        }
        rest = after.get(end + 1..).unwrap_or("");
    }
    (products, remarks)
}

/// Where the bracket that was opened before `text` is closed; brackets within belong to the remark.
fn remark_end(text: &str) -> usize {
    let mut open = 1;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => open += 1,
            b')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return index;
        }
    }
    text.len()
}

/// The version that `text` begins with: digits, then what versions are made of.
fn version_in(text: &str) -> &str {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    if !text.starts_with(|it: char| it.is_ascii_digit()) {
        return "";
    }
    let end = text.find(|it: char| !(it.is_ascii_alphanumeric() || "._-+".contains(it))).unwrap_or(text.len());
    text.get(..end).unwrap_or("").trim_end_matches(['.', '_', '-', '+'])
}

/// The version that follows `mark` in `text`.
fn version_after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let version = version_in(text.split_once(mark)?.1);
    (!version.is_empty()).then_some(version)
}

fn system<'a>(text: &'a str, remarks: &[&'a str], agent: &mut Agent<'a>) {
    let Some(&(word, mut name, _)) = SYSTEMS.iter().find(|it| text.contains(it.0)) else { return };
    // Of the ways to write its version, the one that was used.
    let ways = SYSTEMS.iter().filter(|it| it.0 == word && !it.2.is_empty());
    let mut version = "";
    for (_, called, mark) in ways {
        if let Some(found) = version_after(text, mark) {
            (name, version) = (called, found);
            break;
        }
    }
    agent.os_name = name.into();
    agent.os_version = match name {
        "Windows" => WINDOWS.iter().find(|it| it.0 == version).map_or(version, |it| it.1).into(),
        "iOS" | "Mac OS X" => version.replace('_', ".").into(),
        "Chrome OS" => remarks.iter().find_map(|it| chrome_os(it)).unwrap_or("").into(),
        _ => version.into(),
    };
    agent.device = match word {
        "iPhone" | "iPad" | "iPod" => word.into(),
        _ if name == "Mac OS X" => "Mac".into(),
        _ => Cow::Borrowed(""),
    };
}

/// `X11; CrOS x86_64 14541.0.0`.
fn chrome_os(remark: &str) -> Option<&str> {
    remark.split_once("CrOS ")?.1.split([' ', ';']).nth(1).map(version_in)
}

fn robot<'a>(text: &'a str, products: &[Product<'a>]) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
    let is_robot = |name: &str| {
        let name = name.to_ascii_lowercase();
        // Cubot makes telephones.
        ROBOTS.iter().any(|it| name.contains(it)) && !name.contains("cubot")
    };
    if let Some(product) = products.iter().find(|it| is_robot(it.name)) {
        return Some((product.name.into(), product.version.into()));
    }
    // `(compatible; Googlebot/2.1; +http://www.google.com/bot.html)`: not the address, the name in front of it.
    let word = text
        .split(['(', ')', ';', ',', ' '])
        .find(|it| !it.contains("://") && !it.contains('@') && !it.starts_with("www.") && is_robot(it))?;
    let (name, version) = word.split_once('/').unwrap_or((word, ""));
    Some((name.into(), version_in(version).into()))
}

fn program<'a>(text: &'a str, products: &[Product<'a>], remarks: &[&'a str]) -> (Cow<'a, str>, Cow<'a, str>) {
    let find = |name: &str| products.iter().find(|it| it.name == name);
    let is_phone = find("Mobile").is_some()
        || remarks.iter().any(|it| it.split(';').any(|it| matches!(it.trim(), "Mobile" | "Tablet")));
    if text.contains("Opera Mini") {
        return ("Opera Mini".into(), version_after(text, "Opera Mini/").unwrap_or("").into());
    }
    for (token, name, on_phone) in BROWSERS {
        let Some(product) = find(token) else { continue };
        let is_web_view = *token == "Chrome" && remarks.iter().any(|it| it.ends_with("; wv"));
        let name = match is_web_view {
            true => "Chrome Mobile WebView",
            false if is_phone && !on_phone.is_empty() => on_phone,
            false => name,
        };
        return (name.into(), product.version.into());
    }
    let version = || find("Version").map_or("", |it| it.version);
    if let Some(version) = version_after(text, "MSIE ") {
        return ("IE".into(), version.into());
    }
    if text.contains("Trident/") {
        return ("IE".into(), version_after(text, "rv:").unwrap_or("").into());
    }
    if let Some(opera) = find("Opera") {
        return ("Opera".into(), Some(version()).filter(|it| !it.is_empty()).unwrap_or(opera.version).into());
    }
    if find("Safari").is_some() || (find("AppleWebKit").is_some() && find("Mobile").is_some()) {
        let name = match () {
            () if text.contains("Android") => "Android",
            () if find("Safari").is_none() => "Mobile Safari UI/WKWebView",
            () if find("Mobile").is_some() => "Mobile Safari",
            () => "Safari",
        };
        return (name.into(), version().into());
    }
    // Whatever names itself first, unless it only says that it is compatible with everything.
    let Some(first) = products.iter().find(|it| it.name != "Mozilla") else { return Default::default() };
    let is_name = first.name.starts_with(|it: char| it.is_alphanumeric());
    let is_alone = products.iter().all(|it| it.name != "Mozilla");
    if !is_name || !is_alone && first.version.is_empty() {
        return Default::default();
    }
    let known = PROGRAMS.iter().find(|it| it.0.eq_ignore_ascii_case(first.name));
    (known.map_or(first.name, |it| it.1).into(), first.version.into())
}

/// `Linux; Android 13; Pixel 7 Build/TQ1A`: the model stands behind the version.
fn device<'a>(remarks: &[&'a str]) -> &'a str {
    let Some(remark) = remarks.iter().find(|it| it.contains("Android")) else { return "" };
    let mut items = remark.split(';').map(str::trim).skip_while(|it| !it.starts_with("Android")).skip(1);
    let is_model = |it: &&str| {
        let is_locale = it.len() <= 5 && it.as_bytes().get(2).is_none_or(|it| matches!(it, b'-' | b'_'));
        !it.is_empty() && !matches!(*it, "wv" | "U" | "K" | "Mobile" | "Tablet") && !is_locale && !it.starts_with("rv:")
    };
    let Some(model) = items.find(is_model) else { return "" };
    model.split_once(" Build").map_or(model, |it| it.0).trim()
}

fn cut(mut agent: Agent<'_>) -> Agent<'_> {
    let parts = [&mut agent.name, &mut agent.version, &mut agent.os_name, &mut agent.os_version, &mut agent.device];
    for part in parts {
        if part.len() > NAME_BYTES_MAX {
            *part = part.get(..part.floor_char_boundary(NAME_BYTES_MAX)).unwrap_or("").to_owned().into();
        }
    }
    agent
}

#[cfg(test)]
mod tests;
