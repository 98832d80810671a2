//! What goes on around the people: services, visitors of the public web server, and the noise of the Internet.

use super::line;
use super::random::Random;
use super::{DAY_MILLIS, HOUR_MILLIS, START_MILLIS, Stage};

const PAGES: &[&str] =
    &["/", "/products", "/products/anvil", "/about", "/jobs", "/contact", "/news", "/news/spring", "/support", "/shop"];
const PARTS: &[&str] = &["/style.css", "/app.js", "/logo.svg", "/hero.jpg", "/font.woff2"];
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0";

pub(super) fn address(random: &mut Random) -> String {
    format!("{}.{}.{}.{}", random.range(130, 170), random.range(1, 250), random.range(1, 250), random.range(2, 250))
}

pub(super) fn day(stage: &mut Stage, random: &mut Random, day: i64) {
    let midnight = START_MILLIS + day * DAY_MILLIS;
    services(stage, random, midnight, day);
    web(stage, random, midnight);
    noise(stage, random, midnight);
    scanner(stage, random, midnight);
}

fn services(stage: &mut Stage, random: &mut Random, midnight: i64, day: i64) {
    for index in 0..6_i64 {
        let (service, host) = (format!("app{index}"), format!("srv-app{index:02}"));
        // A deployment now and then goes a bit wrong for an hour.
        let bad = (day % 9 == index).then(|| random.range(8, 16));
        for hour in 0..24 {
            let share = if bad == Some(hour) { 0.05 } else { 0.01 };
            let count = if (7..19).contains(&hour) { random.range(40, 70) } else { random.range(10, 20) };
            for _ in 0..count {
                let at = midnight + hour * HOUR_MILLIS + random.range(0, HOUR_MILLIS - 1);
                let failed = random.chance(share);
                let (level, message) = if failed { ("error", "request failed") } else { ("info", "request served") };
                stage.write(at, "services", line::service(at, &service, &host, level, message));
            }
        }
    }
}

fn web(stage: &mut Stage, random: &mut Random, midnight: i64) {
    for _ in 0..50 {
        let (ip, mut at) =
            (address(random), midnight + (random.normal(13.0, 4.0).clamp(0.0, 23.0) * HOUR_MILLIS as f64) as i64);
        for _ in 0..random.range(2, 6) {
            let page = *random.pick(PAGES);
            let missing = random.chance(0.02);
            let path = if missing { format!("{page}/old-{}", random.range(1, 50)) } else { page.to_owned() };
            stage.write(at, "web", line::request(at, &ip, &path, if missing { 404 } else { 200 }, 8_000, BROWSER));
            for part in PARTS {
                stage.write(at + 300, "web", line::request(at + 300, &ip, part, 200, 20_000, BROWSER));
            }
            at += random.range(5_000, 90_000);
        }
    }
    // Robots that try one door and go on.
    for _ in 0..20 {
        let (ip, at) = (address(random), midnight + random.range(0, DAY_MILLIS - 1));
        let path = *random.pick(&["/wp-login.php", "/.env", "/robots.txt", "/xmlrpc.php", "/favicon.ico"]);
        stage.write(at, "web", line::request(at, &ip, path, 404, 150, "curl/8.0"));
    }
    for page in 0..80 {
        let at = midnight + page * 900_000 + random.range(0, 60_000);
        let path = format!("/shop/item-{}", random.range(1, 2_000));
        stage.write(
            at,
            "web",
            line::request(at, "66.249.66.1", &path, 200, 9_000, "Mozilla/5.0 (compatible; Googlebot/2.1)"),
        );
    }
}

fn noise(stage: &mut Stage, random: &mut Random, midnight: i64) {
    for _ in 0..150 {
        let (ip, at) = (address(random), midnight + random.range(0, DAY_MILLIS - 1));
        let to = format!("203.0.113.{}", random.range(1, 20));
        for knock in 0..random.range(1, 3) {
            let port = *random.pick(&[22_u16, 23, 80, 443, 445, 3_389, 5_060, 8_080]);
            stage.write(at + knock * 900, "firewall", line::refused(at + knock * 900, "fw1", &ip, &to, port));
        }
    }
    for _ in 0..40 {
        let (ip, at) = (address(random), midnight + random.range(0, DAY_MILLIS - 1));
        for attempt in 0..random.range(1, 3) {
            let user = *random.pick(&["root", "admin", "test", "ubuntu", "oracle"]);
            let when = at + attempt * 4_000;
            stage.write(when, "servers", line::ssh(when, "srv-edge", user, &ip, 50_000, false));
        }
    }
}

/// The company's own scanner: every night.
fn scanner(stage: &mut Stage, random: &mut Random, midnight: i64) {
    let mut at = midnight + 2 * HOUR_MILLIS;
    for host in 0..30 {
        for port in [22, 80, 443] {
            stage.write(at, "firewall", line::refused(at, "fw1", "10.9.9.9", &format!("10.1.0.{}", 20 + host), port));
            at += random.range(200, 900);
        }
    }
    for port in 1..40 {
        stage.write(at, "firewall", line::refused(at, "fw1", "10.9.9.9", "10.1.0.99", port * 7));
        at += random.range(200, 900);
    }
}
