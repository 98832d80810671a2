//! Tools that say their name, and probes for files that hold secrets.

use super::super::kinds::Access;
use super::{Attack, Expected, Who};

const AGENTS: [&str; 3] = [
    "sqlmap/1.8.4#stable (https://sqlmap.org)",
    "Mozilla/5.00 (Nikto/2.5.0) (Evasions:None) (Test:000431)",
    "Nuclei - Open-source project (github.com/projectdiscovery/nuclei)",
];
const PROBES: [&str; 8] = [
    "/.env",
    "/.git/config",
    "/.aws/credentials",
    "/.env.production",
    "/backup/.env",
    "/wp-config.php.bak",
    "/.git/HEAD",
    "/server-status",
];

pub(super) static ATTACK: Attack = Attack {
    title: "web scanner",
    expected: &[
        Expected { title: "Attack tool in the user agent", about: Some(("source.ip", Who::Attacker)) },
        Expected { title: "Request for a file that nobody should ask for", about: Some(("source.ip", Who::Attacker)) },
    ],
    kind: "nginx",
    write: |script, role| {
        for (index, path) in PROBES.into_iter().enumerate() {
            let access = Access {
                host: role.host,
                address: role.attacker,
                method: "GET",
                status: if index == 1 { 403 } else { 404 },
                bytes: 153,
                referrer: "-",
                agent: AGENTS[index % AGENTS.len()],
            };
            script.after(200, |line| {
                access.write(line, |line| {
                    line.text(path);
                })
            });
        }
    },
};

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn scanners_say_their_name_and_ask_for_secrets() {
        check(&ATTACK, &["203.0.113.9 ", "sqlmap/"], 3);
        check(&ATTACK, &["203.0.113.9 ", "Nikto/"], 3);
        check(&ATTACK, &["203.0.113.9 ", "/.env"], 3);
    }
}
