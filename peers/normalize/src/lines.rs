//! Lines as services write them, made up from a seed; those of many services are read from the corpus of fail2ban.

use std::fmt::Write as _;
use std::path::Path;

const SEED: u64 = 42;
const USERS: &[&str] = &["root", "admin", "alice", "bob", "postgres", "deploy", "invalid user test", "git"];
const PATHS: &[&str] =
    &["/", "/index.html", "/api/v1/items?page=3", "/static/app.4f3a.js", "/wp-login.php", "/img/a%20b.png"];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0 Safari/537.36",
    "curl/8.5.0",
];

struct Maker(fastrand::Rng);

impl Maker {
    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.0.usize(..choices.len())]
    }

    fn address(&mut self) -> String {
        format!("203.{}.{}.{}", self.0.u8(..), self.0.u8(..), self.0.u8(1..))
    }

    fn clock(&mut self) -> String {
        format!("{:02}:{:02}:{:02}", self.0.u8(..24), self.0.u8(..60), self.0.u8(..60))
    }
}

fn made(count: usize, mut line: impl FnMut(&mut Maker) -> String) -> Vec<String> {
    let mut maker = Maker(fastrand::Rng::with_seed(SEED));
    (0..count).map(|_| line(&mut maker)).collect()
}

pub(crate) fn json(count: usize) -> Vec<String> {
    made(count, |it| {
        format!(
            r#"{{"time":"2026-09-21T{}.123Z","level":"{}","msg":"request done","service":"shop","trace_id":"{:016x}","user":{{"name":"{}","id":{}}},"http":{{"method":"GET","path":"{}","status":{},"duration_ms":{}.5}},"client":{{"ip":"{}"}}}}"#,
            it.clock(),
            it.of(&["info", "warn", "error"]),
            it.0.u64(..),
            it.of(USERS),
            it.0.u32(..100_000),
            it.of(PATHS),
            it.of(&["200", "404", "500"]),
            it.0.u16(..),
            it.address()
        )
    })
}

pub(crate) fn sshd(count: usize) -> Vec<String> {
    made(count, |it| {
        let (clock, pid, user, address, port) =
            (it.clock(), it.0.u16(1..), it.of(USERS), it.address(), it.0.u16(1024..));
        match it.0.u8(..4) {
            0 => format!(
                "Sep 21 {clock} web-1 sshd[{pid}]: Accepted publickey for {user} from {address} port {port} ssh2: ED25519 SHA256:2n7zXqkq"
            ),
            1 => format!("Sep 21 {clock} web-1 sshd[{pid}]: Connection closed by {address} port {port} [preauth]"),
            _ => {
                format!("Sep 21 {clock} web-1 sshd[{pid}]: Failed password for {user} from {address} port {port} ssh2")
            }
        }
    })
}

pub(crate) fn syslog(count: usize) -> Vec<String> {
    made(count, |it| {
        let (clock, pid) = (it.clock(), it.0.u16(1..));
        format!(
            "<30>Sep 21 {clock} web-1 billing-worker[{pid}]: batch {} of {} done, {} rows written to the warehouse",
            it.0.u16(..),
            it.of(&["invoices", "refunds", "reminders"]),
            it.0.u32(..100_000)
        )
    })
}

pub(crate) fn nginx(count: usize) -> Vec<String> {
    made(count, |it| {
        format!(
            r#"{} - - [21/Sep/2026:{} +0000] "GET {} HTTP/1.1" {} {} "https://shop.example.org/" "{}""#,
            it.address(),
            it.clock(),
            it.of(PATHS),
            it.of(&["200", "301", "404"]),
            it.0.u16(..),
            it.of(AGENTS)
        )
    })
}

pub(crate) fn cef(count: usize) -> Vec<String> {
    made(count, |it| {
        format!(
            "CEF:0|Acme|Gate|4.2|{}|Connection refused|5|src={} dst={} spt={} dpt=443 proto=TCP act=blocked suser={} request=https://shop.example.org{} cs1Label=policy cs1=default deny",
            it.0.u16(..900),
            it.address(),
            it.address(),
            it.0.u16(1024..),
            it.of(USERS),
            it.of(&["/", "/index.html", "/wp-login.php"])
        )
    })
}

pub(crate) fn eve(count: usize) -> Vec<String> {
    made(count, |it| {
        let mut line = format!(
            r#"{{"timestamp":"2026-09-21T{}.123456+0000","flow_id":{},"in_iface":"eth0","event_type":"{}","src_ip":"{}","src_port":{},"dest_ip":"{}","dest_port":80,"proto":"TCP","#,
            it.clock(),
            it.0.u64(..1 << 50),
            it.of(&["alert", "http"]),
            it.address(),
            it.0.u16(1024..),
            it.address()
        );
        let _ = write!(
            line,
            r#""alert":{{"action":"allowed","gid":1,"signature_id":{},"rev":2,"signature":"Acme probe for a login page","category":"Attempted Information Leak","severity":2}},"http":{{"hostname":"shop.example.org","url":"{}","http_user_agent":"{}","http_method":"GET","protocol":"HTTP/1.1","status":200,"length":{}}},"app_proto":"http"}}"#,
            it.0.u32(2_000_000..3_000_000),
            it.of(PATHS),
            it.of(AGENTS),
            it.0.u16(..)
        );
        line
    })
}

/// How many services have lines, and their lines in turns until there are `count`.
pub(crate) fn of_services(folder: &Path, count: usize, wanted: impl Fn(&str) -> bool) -> (usize, Vec<String>) {
    let mut services: Vec<Vec<String>> = Vec::new();
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("the corpus of fail2ban").flatten().map(|it| it.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !path.is_file() || !wanted(&name) {
            continue;
        }
        let text = String::from_utf8_lossy(&std::fs::read(&path).expect("a file of the corpus")).into_owned();
        let lines: Vec<String> =
            text.lines().filter(|it| !it.trim().is_empty() && !it.starts_with('#')).map(str::to_owned).collect();
        services.extend((!lines.is_empty()).then_some(lines));
    }
    let turns = (0..).flat_map(|turn| services.iter().map(move |it| it[turn % it.len()].clone()));
    let lines = if services.is_empty() { Vec::new() } else { turns.take(count).collect() };
    (services.len(), lines)
}
