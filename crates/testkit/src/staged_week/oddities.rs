//! Forty things that should be noticed, in the week that is scored.

use super::line::{self, Spot};
use super::people::{ELSEWHERE, Person, Role};
use super::random::Random;
use super::surroundings::address;
use super::{DAY_MILLIS, HOUR_MILLIS, Oddity, SCORED_FROM, START_MILLIS, Stage};

const MINUTE: i64 = 60_000;
/// How often each kind is planted: forty in all.
pub(super) const KINDS: &[(&str, usize)] = &[
    ("slow guessing", 2),
    ("slow spraying", 2),
    ("fast guessing at a mail server", 2),
    ("guessing across services", 1),
    ("guessing at one account from many networks", 2),
    ("stuffing", 1),
    ("success after slow failures", 2),
    ("fast guessing over ssh", 1),
    ("unusual hour", 3),
    ("unusual country", 2),
    ("impossible travel", 2),
    ("first host", 2),
    ("first program", 2),
    ("first privilege", 2),
    ("rare parent", 2),
    ("unusual volume", 2),
    ("ports of one host", 1),
    ("ports of one host, slowly", 1),
    ("one port of many hosts", 1),
    ("probing for secrets", 1),
    ("slow search for pages", 1),
    ("crawling", 1),
    ("logs cleared", 1),
    ("clock turned back", 1),
    ("silent source", 1),
    ("error rate", 1),
];

struct Plan<'s> {
    stage: &'s mut Stage,
    random: &'s mut Random,
    staff: &'s [Person],
    /// Whose lives were touched already: one oddity each.
    taken: Vec<String>,
}

pub(super) fn plant(stage: &mut Stage, random: &mut Random, staff: &[Person]) {
    let mut plan = Plan { stage, random, staff, taken: Vec::new() };
    for (kind, count) in KINDS {
        for index in 0..*count {
            let mut oddity = plan.one(kind, index);
            oddity.kind = kind;
            plan.stage.oddities.push(oddity);
        }
    }
}

fn oddity(from: i64, until: i64, entities: &[(&'static str, &str)]) -> Oddity {
    Oddity {
        kind: "",
        from,
        until,
        entities: entities.iter().map(|(field, value)| (*field, (*value).to_owned())).collect(),
    }
}

impl Plan<'_> {
    /// Midday-ish of a working day of the week that is scored.
    fn working_day(&mut self) -> i64 {
        SCORED_FROM + self.random.range(1, 3)
    }

    fn at(&self, day: i64, hour: f64) -> i64 {
        START_MILLIS + day * DAY_MILLIS + (hour * HOUR_MILLIS as f64) as i64
    }

    /// Somebody of this kind who was there all the time and whom nothing else happens to.
    fn somebody(&mut self, fits: impl Fn(&Person) -> bool) -> Person {
        let taken = &self.taken;
        let is_there = |it: &&Person| {
            it.role != Role::Batch
                && it.joins == 0
                && !it.away.iter().any(|day| *day >= SCORED_FROM - 1)
                && it.away.len() < 8
                && fits(it)
                && !taken.contains(&it.name)
        };
        let fitting: Vec<&Person> = self.staff.iter().filter(is_there).collect();
        let chosen = (*self.random.pick(&fitting)).clone();
        self.taken.push(chosen.name.clone());
        chosen
    }

    fn anybody(&mut self) -> Person {
        self.somebody(|it| it.role == Role::Office)
    }

    fn stranger(&mut self) -> (String, Spot) {
        (address(self.random), self.random.pick(ELSEWHERE).clone())
    }

    fn login(&mut self, at: i64, service: &str, user: &str, ip: &str, spot: Option<&Spot>, ok: bool) {
        self.stage.write(at, service, line::login(at, service, None, user, ip, spot, ok));
    }

    fn one(&mut self, kind: &str, index: usize) -> Oddity {
        match kind {
            "slow guessing" => {
                let (person, (ip, spot)) = (self.anybody(), self.stranger());
                let (first, step) = (self.at(SCORED_FROM, 3.0), if index == 0 { 73 * MINUTE } else { 151 * MINUTE });
                for turn in 0..30 {
                    let at = first + turn * step + self.random.range(0, 300_000);
                    self.login(at, "mail", &person.name, &ip, Some(&spot), false);
                }
                oddity(first, first + 31 * step, &[("source.ip", &ip), ("user.name", &person.name)])
            }
            "slow spraying" => {
                let (ip, spot) = if index == 0 {
                    (address(self.random), Some(self.random.pick(ELSEWHERE).clone()))
                } else {
                    ("10.1.0.240".to_owned(), None)
                };
                let first = self.at(SCORED_FROM, 8.0);
                let names: Vec<String> =
                    self.staff.iter().skip(20 + 40 * index).take(25).map(|it| it.name.clone()).collect();
                for (turn, name) in names.iter().enumerate() {
                    let at = first + turn as i64 * 110 * MINUTE + self.random.range(0, 600_000);
                    self.login(at, "sso", name, &ip, spot.as_ref(), false);
                }
                oddity(first, first + 26 * 110 * MINUTE, &[("source.ip", &ip)])
            }
            "fast guessing at a mail server" => {
                let (person, (ip, spot)) = (self.anybody(), self.stranger());
                let day = self.working_day();
                let first = self.at(day, 1.0 + index as f64 * 12.0);
                for turn in 0..40 {
                    self.login(first + turn * 7_000, "mail", &person.name, &ip, Some(&spot), false);
                }
                oddity(first, first + HOUR_MILLIS, &[("source.ip", &ip), ("user.name", &person.name)])
            }
            "guessing across services" => {
                let (person, (ip, spot)) = (self.anybody(), self.stranger());
                let day = self.working_day();
                let first = self.at(day, 4.0);
                for turn in 0..12 {
                    let at = first + turn * 40_000;
                    match turn % 3 {
                        0 => self.login(at, "mail", &person.name, &ip, Some(&spot), false),
                        1 => self.login(at, "vpn", &person.name, &ip, Some(&spot), false),
                        _ => {
                            self.stage.write(at, "servers", line::ssh(at, "srv-edge", &person.name, &ip, 50_100, false))
                        }
                    }
                }
                oddity(first, first + HOUR_MILLIS, &[("source.ip", &ip), ("user.name", &person.name)])
            }
            "guessing at one account from many networks" => {
                let person = self.anybody();
                let day = self.working_day();
                let first = self.at(day, 2.0);
                for turn in 0..16 {
                    let (ip, spot) = self.stranger();
                    self.login(first + turn * 47 * MINUTE, "sso", &person.name, &ip, Some(&spot), false);
                }
                oddity(first, first + 17 * 47 * MINUTE, &[("user.name", &person.name)])
            }
            "stuffing" => {
                let day = self.working_day();
                let first = self.at(day, 12.5);
                let names: Vec<String> = self.staff.iter().skip(60).take(60).map(|it| it.name.clone()).collect();
                let hosts: Vec<(String, Spot)> = (0..30).map(|_| self.stranger()).collect();
                for (turn, name) in names.iter().enumerate() {
                    let (ip, spot) = &hosts[turn % hosts.len()];
                    let at = first + turn as i64 * 31_000;
                    self.login(at, "shop", name, ip, Some(spot), false);
                }
                oddity(first, first + HOUR_MILLIS, &[("service.name", "shop")])
            }
            "success after slow failures" => {
                let (person, (ip, spot)) = (self.anybody(), self.stranger());
                let day = self.working_day();
                let first = self.at(day, 0.5);
                for turn in 0..9 {
                    self.login(first + turn * 38 * MINUTE, "vpn", &person.name, &ip, Some(&spot), false);
                }
                let at = first + 9 * 38 * MINUTE;
                self.login(at, "vpn", &person.name, &ip, Some(&spot), true);
                oddity(at, at + HOUR_MILLIS, &[("source.ip", &ip), ("user.name", &person.name)])
            }
            "fast guessing over ssh" => {
                let (ip, _) = self.stranger();
                let day = self.working_day();
                let first = self.at(day, 3.0);
                for turn in 0..60 {
                    let at = first + turn * 2_000;
                    self.stage.write(at, "servers", line::ssh(at, "srv-edge", "root", &ip, 51_000, false));
                }
                oddity(first, first + HOUR_MILLIS, &[("source.ip", &ip)])
            }
            "unusual hour" => {
                let person = self.somebody(|it| it.role == Role::Office || it.role == Role::Developer);
                let day = self.working_day();
                let hour = 1.0 + self.random.unit() * 1.2;
                let at = self.at(day, hour);
                let ip = format!("{}.{}", person.home_networks[0], 7 + person.name.len());
                self.login(at, "vpn", &person.name, &ip, Some(&person.home), true);
                oddity(at, at + HOUR_MILLIS, &[("user.name", &person.name)])
            }
            "unusual country" => {
                // At the weekend, so that there was time to fly.
                let person = self.somebody(|it| it.role == Role::Office && it.weekends < 0.02 && !it.private_vpn);
                let (ip, spot) = self.stranger();
                let at = self.at(SCORED_FROM + 6, 15.0);
                self.login(at, "sso", &person.name, &ip, Some(&spot), true);
                oddity(at, at + HOUR_MILLIS, &[("user.name", &person.name)])
            }
            "impossible travel" => {
                let person = self.somebody(|it| it.role == Role::Office);
                let day = self.working_day();
                let (ip, spot) = self.stranger();
                let at = self.at(day, 11.0);
                let own = format!("{}.{}", person.home_networks[0], 7 + person.name.len());
                self.login(at - 40 * MINUTE, "mail", &person.name, &own, Some(&person.home), true);
                self.login(at, "mail", &person.name, &ip, Some(&spot), true);
                oddity(at, at + HOUR_MILLIS, &[("user.name", &person.name)])
            }
            "first host" => {
                let person = self.somebody(|it| it.role == Role::Developer);
                let other = self.somebody(|it| it.role == Role::Office);
                let day = self.working_day();
                let at = self.at(day, 10.0);
                let text =
                    line::login(at, "workstations", Some(&other.workstation), &person.name, &person.desk, None, true);
                self.stage.write(at, "workstations", text);
                oddity(at, at + HOUR_MILLIS, &[("user.name", &person.name), ("host.name", &other.workstation)])
            }
            "first program" => {
                let person = self.anybody();
                let day = self.working_day();
                let (at, program) = (self.at(day, 10.4), ["rclone.exe", "mimidump.exe"][index % 2]);
                self.stage.write(
                    at,
                    "endpoints",
                    line::process(at, &person.workstation, &person.name, program, "explorer.exe", program),
                );
                oddity(at, at + HOUR_MILLIS, &[("user.name", &person.name)])
            }
            "first privilege" => {
                let person = self.anybody();
                let day = self.working_day();
                let at = self.at(day, 9.7);
                self.stage.write(at, "servers", line::sudo(at, "srv-app03", &person.name, "/bin/sh"));
                oddity(at, at + HOUR_MILLIS, &[("user.name", &person.name)])
            }
            "rare parent" => {
                let person = self.anybody();
                let day = self.working_day();
                let (parent, child) = [("winword.exe", "powershell.exe"), ("excel.exe", "cmd.exe")][index % 2];
                let at = self.at(day, 13.2);
                self.stage.write(
                    at,
                    "endpoints",
                    line::process(at, &person.workstation, &person.name, child, parent, child),
                );
                oddity(
                    at,
                    at + HOUR_MILLIS,
                    &[("user.name", &person.name), ("host.name", &person.workstation), ("process.parent.name", parent)],
                )
            }
            "unusual volume" => {
                let person = self.anybody();
                let day = self.working_day();
                let first = self.at(day, 14.0);
                for turn in 0..24 {
                    let at = first + turn * 5 * MINUTE;
                    self.stage.write(
                        at,
                        "gateway",
                        line::traffic(at, &person.name, &person.desk, "45.77.1.9", 443, 350_000_000),
                    );
                }
                oddity(first, first + 3 * HOUR_MILLIS, &[("user.name", &person.name), ("source.ip", &person.desk)])
            }
            "ports of one host" | "ports of one host, slowly" => {
                let is_slow = kind.ends_with("slowly");
                let ip = address(self.random);
                let day = self.working_day();
                let (first, step) = (self.at(day, 1.5), if is_slow { 12 * MINUTE } else { 1_500 });
                for port in 0..60 {
                    let at = first + port * step;
                    self.stage.write(
                        at,
                        "firewall",
                        line::refused(at, "fw1", &ip, "203.0.113.7", 20 + port as u16 * 13),
                    );
                }
                oddity(first, first + 61 * step.max(MINUTE), &[("source.ip", &ip)])
            }
            "one port of many hosts" => {
                let person = self.anybody();
                let day = self.working_day();
                let first = self.at(day, 11.1);
                for host in 0..80 {
                    let at = first + host * 2_500;
                    self.stage.write(
                        at,
                        "firewall",
                        line::refused(at, "fw1", &person.desk, &format!("10.1.0.{}", 20 + host), 445),
                    );
                }
                oddity(first, first + HOUR_MILLIS, &[("source.ip", &person.desk)])
            }
            "probing for secrets" => {
                let ip = address(self.random);
                let day = self.working_day();
                let first = self.at(day, 5.0);
                let paths =
                    ["/.env", "/.git/config", "/backup.sql", "/phpinfo.php", "/.aws/credentials", "/wp-config.php.bak"];
                for (turn, path) in paths.iter().enumerate() {
                    let at = first + turn as i64 * 9 * MINUTE;
                    self.stage.write(at, "web", line::request(at, &ip, path, 404, 150, "Mozilla/5.0"));
                }
                oddity(first, first + 2 * HOUR_MILLIS, &[("source.ip", &ip)])
            }
            "slow search for pages" => {
                let ip = address(self.random);
                let day = self.working_day();
                let first = self.at(day, 2.0);
                for turn in 0..120 {
                    let at = first + turn * 4 * MINUTE;
                    self.stage.write(
                        at,
                        "web",
                        line::request(at, &ip, &format!("/intern/bericht-{turn}"), 404, 150, "Mozilla/5.0"),
                    );
                }
                oddity(first, first + 9 * HOUR_MILLIS, &[("source.ip", &ip)])
            }
            "crawling" => {
                let ip = address(self.random);
                let day = self.working_day();
                let first = self.at(day, 6.0);
                for turn in 0..700 {
                    let at = first + turn * 700;
                    self.stage.write(
                        at,
                        "web",
                        line::request(at, &ip, &format!("/shop/item-{turn}"), 200, 9_000, "Mozilla/5.0"),
                    );
                }
                oddity(first, first + HOUR_MILLIS, &[("source.ip", &ip)])
            }
            "logs cleared" => {
                let day = self.working_day();
                let at = self.at(day, 4.4);
                let text =
                    line::process(at, "srv-app02", "root", "sh", "sshd", "sh -c 'cat /dev/null > /var/log/auth.log'");
                self.stage.write(at, "endpoints", text);
                oddity(at, at + HOUR_MILLIS, &[("host.name", "srv-app02")])
            }
            "clock turned back" => {
                let day = self.working_day();
                let first = self.at(day, 12.0);
                let back = 9 * HOUR_MILLIS;
                self.stage.turn_back("srv-app04", first, 20 * MINUTE, back);
                oddity(first, first + 2 * HOUR_MILLIS, &[("host.name", "srv-app04")])
            }
            "silent source" => {
                let day = self.working_day();
                let (first, until) = (self.at(day, 9.0), self.at(day, 16.0));
                self.stage.silence("srv-app05", first, until);
                oddity(first, until, &[("host.name", "srv-app05")])
            }
            "error rate" => {
                let day = self.working_day();
                let first = self.at(day, 14.0);
                for turn in 0..70 {
                    let at = first + turn * 50_000;
                    self.stage.write(
                        at,
                        "services",
                        line::service(at, "app1", "srv-app01", "error", "cannot reach database"),
                    );
                }
                oddity(first, first + 2 * HOUR_MILLIS, &[("service.name", "app1")])
            }
            other => unreachable!("there is no oddity {other}"),
        }
    }
}
