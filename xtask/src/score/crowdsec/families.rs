//! What kind of attack a scenario of the hub, or a rule of ours, speaks of.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    BruteForce,
    Scan,
    Exploit,
    Crawl,
    /// Behaviour of accounts and of programs: travel, a crash, a download.
    Behaviour,
}

impl Family {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::BruteForce => "brute force",
            Self::Scan => "scan",
            Self::Exploit => "exploit",
            Self::Crawl => "crawl",
            Self::Behaviour => "behaviour",
        }
    }
}

/// By parts of the scenario's name (behind its author's), the first row that fits. Of several families each is right: a
/// scenario about spam counts refused logins of a mail server as well.
const SCENARIOS: &[(&[&str], &[Family])] = &[
    (&["impossible-travel", "auditd-", "postexploit", "suid-crash"], &[Family::Behaviour]),
    (&["cve-", "_cve", "-rce", "_rce", "log4", "backdoor", "w00tw00t", "path-traversal", "sqli"], &[Family::Exploit]),
    (
        &["xss", "vmsa-", "open-proxy", "magento-ccs", "exploit", "injection", "spring4shell", "shell"],
        &[Family::Exploit],
    ),
    (&["modsecurity", "crs-", "anomaly-score", "openappsec", "appsec", "threat", "suricata"], &[Family::Exploit]),
    (&["crawl", "dos-", "random-uri", "switching-ua", "swithcing-ua", "bypass-cache"], &[Family::Crawl]),
    (&["spam", "acl-reject", "f2b", "lfd"], &[Family::Scan, Family::BruteForce]),
    (&["bf", "brute", "user-enum", "user_enum", "enumeration", "auth", "slow"], &[Family::BruteForce]),
    (&["scan", "probing", "bad-user-agent", "sensitive-files", "keyexchange", "timeout"], &[Family::Scan]),
    (&["refused", "relay", "honeypot", "blacklisted", "blocked", "malformed"], &[Family::Scan]),
    (&["invalid", "drop", "denied"], &[Family::Scan]),
];

/// `None` for a scenario that no row knows.
pub(super) fn of_scenario(name: &str) -> Option<&'static [Family]> {
    let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    SCENARIOS.iter().find(|it| it.0.iter().any(|part| name.contains(part))).map(|it| it.1)
}

/// By the beginning of a technique of ATT&CK; a technique may be of several families.
const TECHNIQUES: &[(&str, &[Family])] = &[
    ("attack.t1110", &[Family::BruteForce]),
    ("attack.t1589", &[Family::BruteForce, Family::Scan]),
    ("attack.t1087", &[Family::BruteForce, Family::Scan]),
    ("attack.t1595.003", &[Family::Crawl, Family::Scan]),
    ("attack.t1595", &[Family::Scan, Family::Crawl]),
    ("attack.t1594", &[Family::Crawl, Family::Scan]),
    ("attack.t1592", &[Family::Scan]),
    ("attack.t1590", &[Family::Scan]),
    ("attack.t1046", &[Family::Scan]),
    ("attack.t1566", &[Family::Scan]),
    ("attack.t1498", &[Family::Crawl]),
    ("attack.t1499", &[Family::Crawl]),
    ("attack.t1083", &[Family::Exploit, Family::Scan]),
    ("attack.t1190", &[Family::Exploit]),
    ("attack.t1210", &[Family::Exploit]),
    ("attack.t1203", &[Family::Exploit]),
    ("attack.t1059", &[Family::Exploit]),
    ("attack.t1505", &[Family::Exploit]),
    ("attack.t1189", &[Family::Exploit]),
    ("attack.t1068", &[Family::Exploit, Family::Behaviour]),
    ("attack.t1078", &[Family::Behaviour]),
    ("attack.t1027", &[Family::Behaviour]),
    ("attack.t1562", &[Family::Behaviour]),
    ("attack.t1070", &[Family::Behaviour]),
];

pub(super) fn of_tags<'t>(tags: impl Iterator<Item = &'t str>) -> Vec<Family> {
    let mut families: Vec<Family> = tags
        .filter_map(|tag| TECHNIQUES.iter().find(|it| tag.starts_with(it.0)))
        .flat_map(|it| it.1.iter().copied())
        .collect();
    families.sort();
    families.dedup();
    families
}

#[test]
fn scenarios_have_the_family_of_their_name() {
    for (name, family) in [
        ("crowdsecurity/ssh-bf_user-enum", Family::BruteForce),
        ("crowdsecurity/CVE-2022-26134", Family::Exploit),
        ("crowdsecurity/kasm-bruteforce", Family::BruteForce),
        ("crowdsecurity/http-admin-interface-probing", Family::Scan),
        ("crowdsecurity/http-crawl-non_statics", Family::Crawl),
        ("a1ad/mikrotik-scan-multi_ports", Family::Scan),
        ("crowdsecurity/impossible-travel-user", Family::Behaviour),
    ] {
        assert_eq!(of_scenario(name), Some(&[family][..]), "{name}");
    }
    assert_eq!(of_scenario("someone/new"), None);
}
