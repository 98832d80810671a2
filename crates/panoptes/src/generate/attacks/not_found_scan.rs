//! One visitor asks for sixty things that are not there, within three seconds, under an ordinary browser's name.

use super::super::kinds::{AGENTS, Access};
use super::{Attack, Expected, Who};

const FOLDERS: [&str; 10] =
    ["admin", "backup", "old", "test", "dev", "staging", "private", "portal", "manager", "console"];
const FILES: [&str; 6] = ["index.php", "login.jsp", "setup.aspx", "readme.txt", "news.html", "status"];

pub(super) static ATTACK: Attack = Attack {
    title: "scan for hidden pages",
    expected: &[Expected { title: "Search for hidden pages", about: Some(("source.ip", Who::Attacker)) }],
    kind: "nginx",
    write: |script, role| {
        let access = Access {
            host: role.host,
            address: role.attacker,
            method: "GET",
            status: 404,
            bytes: 153,
            referrer: "-",
            agent: AGENTS[0].1,
        };
        for index in 0..60 {
            let (folder, file) = (FOLDERS[index % FOLDERS.len()], FILES[index / FOLDERS.len()]);
            script.after(50, |line| {
                access.write(line, |line| {
                    line.put(format_args!("/{folder}/{file}"));
                })
            });
        }
    },
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::tests::{check, staged};
    use super::*;

    #[test]
    fn one_visitor_asks_for_sixty_different_things_that_are_not_there() {
        check(&ATTACK, &["203.0.113.9 - - [", " HTTP/1.1\" 404 "], 60);
        let (text, ..) = staged(&ATTACK);
        let paths: HashSet<_> = text.lines().filter_map(|line| line.split(' ').nth(6)).collect();
        assert_eq!(paths.len(), 60);
    }
}
