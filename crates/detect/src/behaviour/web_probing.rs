//! One address goes through a web server: for secrets, for pages that are not there, for everything.
//!
//! *What they claim.* `secret_probing`: several kinds of files that hold secrets were asked for within a day.
//! `page_search`: most of what the address asked for within a day is not there, and it was much, though never so fast
//! that the rule for it speaks. `web_crawling`: very many different pages within minutes, without what pages are made of.
//!
//! *When they are wrong.* A scanner of one's own (quiet after three days, as with ports); a search engine, which names
//! itself and is left out of crawling; a site with broken links.

use panoptes_model::{Severity, Value, field};

use super::facts::{Facts, What, short};
use super::kind::Kind;
use super::network;
use super::port_scan::{distinct, is_known_scanner};
use super::profile::{PAGES_MAX, Page, keep, keep_newest};
use super::scene::Scene;
use super::time::{DAY, MINUTE, span_text};

const READS: &str = "requests with source.ip, url.path and http.response.status_code";

pub(super) static SECRETS: Kind = Kind {
    id: "behaviour.secret_probing",
    title: "Many kinds of secrets asked for at a web server",
    level: Severity::Medium,
    tags: &["attack.reconnaissance", "attack.t1595.003"],
    description: "One address asked for several kinds of files that hold secrets within a day: environment files, \
                  repositories, keys, backups, consoles.",
    falsepositives: &["Tools of one's own that watch whether such files are closed"],
    reads: READS,
};

pub(super) static SEARCH: Kind = Kind {
    id: "behaviour.page_search",
    title: "Slow search for hidden pages",
    level: Severity::Low,
    tags: &["attack.reconnaissance", "attack.t1595.003"],
    description: "One address asked for many different pages that are not there within a day, and for little else, but \
                  more slowly than limits per minute see.",
    falsepositives: &["Search engines after a site was rebuilt"],
    reads: READS,
};

pub(super) static CRAWLING: Kind = Kind {
    id: "behaviour.web_crawling",
    title: "Web server crawled",
    level: Severity::Low,
    tags: &["attack.reconnaissance", "attack.t1593", "attack.t1594"],
    description: "One address asked for very many different pages within minutes and for hardly any image, style or \
                  script.",
    falsepositives: &["Search engines that do not name themselves, monitoring, clients of an interface"],
    reads: READS,
};

/// Parts of paths that only somebody in search of secrets asks for, by kind.
const SECRET_PATHS: &[&[&str]] = &[
    &["/.env", "/env.json", "/environment"],
    &["/.git/", "/.gitignore", "/.svn/", "/.hg/"],
    &["/.aws/", "/.docker/", "/.kube/", "/.azure/", "/credentials.json", "/secrets."],
    &["/.ssh/", "/id_rsa", "/id_ed25519", ".pem", ".key"],
    &["/wp-config", "/configuration.php", "/config.php.", "/web.config", "/appsettings"],
    &["/.htpasswd", "/.htaccess", "/.npmrc", "/.netrc", "/.bash_history"],
    &[".sql", ".bak", "/backup", "/dump.", ".tar.gz", ".zip"],
    &["/phpinfo", "/info.php", "/server-status", "/_profiler", "/debug/", "/telescope"],
    &["/actuator", "/heapdump", "/jolokia", "/metrics/heap"],
    &["/phpmyadmin", "/adminer", "/pma/", "/dbadmin", "/manager/html"],
    &["/docker-compose", "/terraform", ".tfstate", "/vendor/composer", "/composer.lock"],
    &["/.vscode/", "/.idea/", "/.ds_store", "/sftp-config"],
];
/// Endings of what pages ask for by themselves.
const PARTS: &[&str] = &[
    ".css", ".js", ".map", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".avif", ".ico", ".woff", ".woff2", ".ttf",
];
/// Search engines that name themselves: crawling is what they are for. Nobody is let off anything else for a name.
const CRAWLERS: &[&str] = &["googlebot", "bingbot", "applebot", "duckduckbot", "yandexbot", "baiduspider"];
const SECRETS_MIN: usize = 3;
const MISSING_MIN: usize = 40;
/// The share of all requests that are missing pages.
const MISSING_SHARE_MIN: f32 = 0.6;
/// From so many missing pages in a minute on, the rule `Search for hidden pages` speaks.
const RULED_PER_MINUTE: usize = 30;
const CRAWL: u32 = 10 * MINUTE;
const CRAWLED_MIN: usize = 200;
const PARTS_SHARE_MAX: f32 = 0.05;
const QUIET: u32 = DAY;

/// Which kind of secret a path asks for.
fn secret(path: &str) -> Option<u8> {
    let path = path.to_lowercase();
    SECRET_PATHS.iter().position(|parts| parts.iter().any(|it| path.contains(it))).map(|it| it as u8)
}

/// Whether a page asks for it by itself.
fn is_part(path: &str) -> bool {
    let ends = |part: &&str| {
        let end = path.len().checked_sub(part.len()).and_then(|it| path.as_bytes().get(it..));
        end.is_some_and(|it| it.eq_ignore_ascii_case(part.as_bytes()))
    };
    PARTS.iter().any(ends)
}

fn is_crawler(facts: &Facts<'_>) -> bool {
    let Some(Value::Text(agent)) = facts.event.get(field::USER_AGENT_ORIGINAL) else { return false };
    let agent = agent.to_lowercase();
    CRAWLERS.iter().any(|it| agent.contains(it))
}

pub(super) fn observe(scene: &mut Scene<'_, '_>) {
    let What::Request { status, path } = scene.facts.what else { return };
    let facts = scene.facts;
    let (at, id) = (facts.at, facts.event.id());
    let is_own = facts.address.is_some_and(network::is_private);
    let is_missing = matches!(status, 400 | 403..=405 | 410);
    let page = Page { at, path: short(path), is_missing, is_part: is_part(path) };
    let Some(address) = scene.address() else { return };
    keep_newest(&mut address.pages, PAGES_MAX, page);
    let mut said = None;
    // A path that leads somewhere is no search: a site may have a folder of this name.
    if (400..500).contains(&status)
        && let Some(kind) = secret(path)
    {
        address.evidence.add(id);
        address.secrets.retain(|it| at.since(it.1) <= DAY && it.0 != kind);
        keep(&mut address.secrets, SECRET_PATHS.len(), (kind, at));
        let count = address.secrets.len();
        if count >= SECRETS_MIN
            && address.told.may_tell(7, at, QUIET)
            && !is_known_scanner(is_own, &mut address.scans, 7, at)
        {
            let name = facts.address_text();
            let reason = format!(
                "{name} asked for {count} kinds of files that hold secrets within {}, last for {path}; {SECRETS_MIN} are told",
                span_text(DAY)
            );
            let first = address.secrets.iter().map(|it| it.1).min().unwrap_or(at);
            said = Some((&SECRETS, reason, first, count, address.evidence.ids(count)));
        }
    }
    if said.is_none() && page.is_missing && !page.is_part {
        address.evidence.add(id);
    }
    // In a time of quiet nothing would be said, whatever was counted.
    if said.is_none() && page.is_missing && !page.is_part && address.told.would_tell(8, at, QUIET) {
        let today = || address.pages.iter().filter(|it| at.since(it.at) <= DAY);
        let missing = || today().filter(|it| it.is_missing && !it.is_part);
        let (all, found) = (today().count(), missing().count());
        let share = found as f32 / all.max(1) as f32;
        let minute = today().filter(|it| it.is_missing && at.since(it.at) <= MINUTE).count();
        let count = if found >= MISSING_MIN { distinct(missing().map(|it| it.path)) } else { found };
        let first = today().next().map_or(at, |it| it.at);
        if minute >= RULED_PER_MINUTE {
            address.told.may_tell(8, at, QUIET);
        } else if count >= MISSING_MIN
            && share >= MISSING_SHARE_MIN
            && address.told.may_tell(8, at, QUIET)
            && !is_known_scanner(is_own, &mut address.scans, 8, at)
        {
            let name = facts.address_text();
            let reason = format!(
                "{name} asked for {count} different pages that are not there within {}, {:.0} % of all its requests; \
                 {MISSING_MIN} are told",
                span_text(DAY),
                share * 100.0
            );
            said = Some((&SEARCH, reason, first, count, address.evidence.ids(count)));
        }
    }
    let may_be_full = address.pages.len() >= CRAWLED_MIN;
    if said.is_none() && may_be_full && !page.is_part && address.told.would_tell(9, at, QUIET) {
        let recent = || address.pages.iter().filter(|it| at.since(it.at) <= CRAWL);
        let pages = || recent().filter(|it| !it.is_part && !it.is_missing);
        let (all, parts) = (recent().count(), recent().filter(|it| it.is_part).count());
        if pages().count() >= CRAWLED_MIN && parts as f32 <= PARTS_SHARE_MAX * all as f32 && !is_crawler(facts) {
            let count = distinct(pages().map(|it| it.path));
            let first = recent().next().map_or(at, |it| it.at);
            if count >= CRAWLED_MIN
                && address.told.may_tell(9, at, QUIET)
                && !is_known_scanner(is_own, &mut address.scans, 9, at)
            {
                let name = facts.address_text();
                let reason = format!(
                    "{name} asked for {count} different pages within {} and for {parts} images, styles or scripts; \
                     {CRAWLED_MIN} are told",
                    span_text(CRAWL)
                );
                said = Some((&CRAWLING, reason, first, count, address.evidence.ids(1)));
            }
        }
    }
    if let Some((kind, reason, first, count, evidence)) = said {
        scene.claim_of(kind, vec![("source.ip", facts.address_text())], reason, first, count as u64, evidence);
    }
}
