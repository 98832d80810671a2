use super::*;

/// Name, version, system, its version, device.
const EXAMPLES: &[(&str, [&str; 5])] = &[
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
        ["Chrome", "120.0.0.0", "Windows", "10", ""],
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Safari/537.36 Edg/119.0.2151.97",
        ["Edge", "119.0.2151.97", "Windows", "10", ""],
    ),
    ("Mozilla/5.0 (Windows NT 6.1; rv:115.0) Gecko/20100101 Firefox/115.0", ["Firefox", "115.0", "Windows", "7", ""]),
    ("Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko", ["IE", "11.0", "Windows", "7", ""]),
    ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1; Trident/4.0)", ["IE", "8.0", "Windows", "XP", ""]),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.5 Safari/605.1.15",
        ["Safari", "16.5", "Mac OS X", "10.15.7", "Mac"],
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1",
        ["Mobile Safari", "17.1", "iOS", "17.1.2", "iPhone"],
    ),
    (
        "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/119.0.6045.169 Mobile/15E148 Safari/604.1",
        ["Chrome Mobile iOS", "119.0.6045.169", "iOS", "16.6", "iPad"],
    ),
    (
        "Mozilla/5.0 (Linux; Android 13; Pixel 7 Build/TQ1A.230205.002) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/110.0.5481.65 Mobile Safari/537.36",
        ["Chrome Mobile", "110.0.5481.65", "Android", "13", "Pixel 7"],
    ),
    (
        "Mozilla/5.0 (Linux; Android 12; SM-G991B; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/101.0.4951.61 Mobile Safari/537.36",
        ["Chrome Mobile WebView", "101.0.4951.61", "Android", "12", "SM-G991B"],
    ),
    (
        "Mozilla/5.0 (Linux; Android 11; SAMSUNG SM-A515F) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/19.0 Chrome/102.0.5005.125 Mobile Safari/537.36",
        ["Samsung Internet", "19.0", "Android", "11", "SAMSUNG SM-A515F"],
    ),
    (
        "Mozilla/5.0 (Android 13; Mobile; rv:109.0) Gecko/118.0 Firefox/118.0",
        ["Firefox Mobile", "118.0", "Android", "13", ""],
    ),
    (
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/113.0",
        ["Firefox", "113.0", "Ubuntu", "", ""],
    ),
    (
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/118.0.0.0 Safari/537.36",
        ["Chrome", "118.0.0.0", "Chrome OS", "14541.0.0", ""],
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/90.0.4430.212 Safari/537.36",
        ["HeadlessChrome", "90.0.4430.212", "Linux", "", ""],
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99.0.4844.84 Safari/537.36 OPR/85.0.4341.75",
        ["Opera", "85.0.4341.75", "Windows", "10", ""],
    ),
    ("Opera/9.80 (Windows NT 6.1; U; en) Presto/2.8.131 Version/11.11", ["Opera", "11.11", "Windows", "7", ""]),
    (
        "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.17763.1490",
        ["WindowsPowerShell", "5.1.17763.1490", "Windows", "10", ""],
    ),
    (
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        ["Googlebot", "2.1", "", "", "Spider"],
    ),
    (
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/103.0.5060.134 Safari/537.36",
        ["bingbot", "2.0", "", "", "Spider"],
    ),
    ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", ["AhrefsBot", "7.0", "", "", "Spider"]),
    ("curl/7.88.1", ["curl", "7.88.1", "", "", ""]),
    ("Wget/1.21.3", ["Wget", "1.21.3", "", "", ""]),
    ("Wget/1.20.3 (linux-gnu)", ["Wget", "1.20.3", "Linux", "", ""]),
    ("python-requests/2.31.0", ["Python Requests", "2.31.0", "", "", ""]),
    ("Go-http-client/1.1", ["Go-http-client", "1.1", "", "", ""]),
    ("okhttp/4.9.3", ["okhttp", "4.9.3", "", "", ""]),
    ("Apache-HttpClient/4.5.13 (Java/11.0.19)", ["Apache-HttpClient", "4.5.13", "", "", ""]),
    ("sqlmap/1.7.2#stable (https://sqlmap.org)", ["sqlmap", "1.7.2", "", "", ""]),
    ("Mozilla/5.0 zgrab/0.x", ["zgrab", "0.x", "", "", ""]),
    ("masscan/1.3 (https://github.com/robertdavidgraham/masscan)", ["masscan", "1.3", "", "", ""]),
    ("Mozilla/5.0", ["", "", "", "", ""]),
    ("-", ["", "", "", "", ""]),
    ("", ["", "", "", "", ""]),
    ("() { :; }; /bin/bash -c id", ["", "", "", "", ""]),
];

#[test]
fn everyday_user_agents_are_understood() {
    let mut wrong = Vec::new();
    for (original, expected) in EXAMPLES {
        let Agent { name, version, os_name, os_version, device } = parse(original);
        let found = [&*name, &*version, &*os_name, &*os_version, &*device];
        if found != *expected {
            wrong.push(format!("{original}\n  expected {expected:?}\n  found    {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn any_text_is_parsed_in_bounds() {
    for text in [
        "(".repeat(100_000),
        "a/1 ".repeat(100_000),
        "()".repeat(100_000),
        "Chrome/".to_owned() + &"9".repeat(100_000),
        "ü".repeat(5_000),
        "(Android 1; ".to_owned() + &"é;".repeat(2_000),
    ] {
        let agent = parse(&text);
        for part in [&agent.name, &agent.version, &agent.os_name, &agent.os_version, &agent.device] {
            assert!(part.len() <= NAME_BYTES_MAX, "{}", part.len());
        }
    }
}

#[test]
fn any_bytes_do_no_harm() {
    let mut random = 0x1234_5678_9abc_def1_u64;
    for (original, _) in EXAMPLES {
        for _ in 0..50 {
            let mut chars: Vec<char> = original.chars().collect();
            for _ in 0..3 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                if !chars.is_empty() {
                    let at = (random >> 20) as usize % chars.len();
                    chars[at] = ['(', ')', '/', ';', ' ', 'é', '\0', '9'][(random >> 50) as usize % 8];
                }
            }
            parse(&chars.into_iter().collect::<String>());
        }
    }
}

/// The patterns of uap-core, asked in their order, name the same browser and system.
#[test]
fn names_are_those_of_uap_core() {
    #[derive(serde::Deserialize)]
    struct Rules {
        user_agent_parsers: Vec<Rule>,
        os_parsers: Vec<Rule>,
    }
    #[derive(serde::Deserialize)]
    struct Rule {
        regex: String,
        #[serde(default, alias = "os_replacement")]
        family_replacement: Option<String>,
    }
    struct Compiled(Vec<(regex::Regex, Option<String>)>);
    impl Compiled {
        fn new(rules: Vec<Rule>) -> Self {
            let compile = |it: Rule| {
                // Escapes that other engines ignore.
                let pattern = it.regex.replace(r"\/", "/").replace(r"\ ", " ").replace(r"\!", "!");
                regex::Regex::new(&pattern).ok().map(|regex| (regex, it.family_replacement))
            };
            Self(rules.into_iter().filter_map(compile).collect())
        }

        fn name(&self, text: &str) -> String {
            for (regex, replacement) in &self.0 {
                let Some(found) = regex.captures(text) else { continue };
                let first = found.get(1).map_or("", |it| it.as_str());
                return replacement.as_deref().map_or(first.to_owned(), |it| it.replace("$1", first));
            }
            "Other".to_owned()
        }
    }
    let Some(folder) = panoptes_testkit::corpora() else { return };
    let text = std::fs::read_to_string(folder.join("uap-core/regexes.yaml")).unwrap();
    let rules: Rules = yaml_serde::from_str(&text).unwrap();
    let (agents, systems) = (Compiled::new(rules.user_agent_parsers), Compiled::new(rules.os_parsers));
    assert!(agents.0.len() > 200 && systems.0.len() > 100, "{} and {}", agents.0.len(), systems.0.len());
    let mut others = Vec::new();
    for (original, _) in EXAMPLES {
        let agent = parse(original);
        for (ours, theirs) in [(&agent.name, agents.name(original)), (&agent.os_name, systems.name(original))] {
            if **ours != theirs && !(ours.is_empty() && theirs == "Other") {
                others.push(format!("{original}: `{ours}`, uap-core says `{theirs}`"));
            }
        }
    }
    // Tools that attackers like have no name there, but must have one here.
    let known = |it: &String| it.ends_with("uap-core says `Other`");
    others.retain(|it| !known(it));
    assert!(others.len() <= EXAMPLES.len() / 20, "{}", others.join("\n"));
}
