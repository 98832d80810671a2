//! What people do all day, and what their machines write about it.

use super::line;
use super::people::{JOURNEYS, ON_BOARD, Person, Role, VPN_EXIT};
use super::random::Random;
use super::{DAY_MILLIS, HOUR_MILLIS, Stage};

/// Nobody but shifts and jobs works on these days.
const HOLIDAYS: &[i64] = &[18, 32];
/// Everybody gets a new program on this day.
const ROLLOUT: i64 = 30;
const MORE_PROGRAMS: &[&str] = &[
    "gimp.exe",
    "audacity.exe",
    "zoomit.exe",
    "vlc.exe",
    "inkscape.exe",
    "sevenzip.exe",
    "filezilla.exe",
    "keepass.exe",
    "drawio.exe",
    "postman.exe",
    "wireshark.exe",
    "handbrake.exe",
];

/// Where somebody sits when he logs in.
struct Seat {
    ip: String,
    spot: Option<line::Spot>,
}

/// A journey: first and last day, and where to.
struct Journey {
    first: i64,
    last: i64,
    to: line::Spot,
    ip: String,
}

pub(super) fn live(stage: &mut Stage, random: &mut Random, person: &Person, days: i64) {
    let journeys = journeys(random, person, days);
    let mut programs = person.programs.clone();
    let mut servers = person.servers.clone();
    let new_laptop = if random.chance(0.08) { random.range(3, days - 1) } else { days };
    let new_server =
        if person.role == Role::Developer && random.chance(0.1) { random.range(20, days - 1) } else { days };
    let stale_phone = if random.chance(0.03) { random.range(10, days - 2) } else { days };
    let uses_sudo = person.role == Role::Administrator || (person.role == Role::Developer && random.chance(0.4));
    for day in person.joins..days {
        let mut random = random.fork();
        if day == new_server {
            servers.push("srv-app07".to_owned());
        }
        if person.role != Role::Batch && random.chance(0.0015) {
            programs.push(*random.pick::<&'static str>(MORE_PROGRAMS));
        }
        if day == ROLLOUT && person.role != Role::Batch {
            programs.push("newchat.exe");
        }
        if day == stale_phone {
            stale(stage, &mut random, person, day);
        }
        let laptop = if day >= new_laptop { format!("{}n", person.workstation) } else { person.workstation.clone() };
        if person.role == Role::Batch {
            job(stage, &mut random, person, day);
            continue;
        }
        if person.away.contains(&day) {
            // Some read mail on holiday.
            if person.away.contains(&(day - 2)) && person.name.len().is_multiple_of(10) && random.chance(0.3) {
                let seat = Seat { ip: format!("90.{}.7.20", person.away.len()), spot: Some(JOURNEYS[5].clone()) };
                log_in(stage, &mut random, person, day, 18.0, "mail", None, &seat);
            }
            continue;
        }
        let journey = journeys.iter().find(|it| (it.first..=it.last).contains(&day));
        let is_weekend = day % 7 >= 5;
        let is_free = HOLIDAYS.contains(&day) || (is_weekend && !random.chance(person.weekends));
        if is_free && person.role != Role::Shift {
            phone(stage, &mut random, person, day, 1);
            continue;
        }
        if person.role == Role::Shift && is_weekend {
            continue;
        }
        work(stage, &mut random, person, day, &laptop, &programs, &servers, uses_sudo, journey);
    }
}

fn journeys(random: &mut Random, person: &Person, days: i64) -> Vec<Journey> {
    if person.role != Role::Traveller {
        return Vec::new();
    }
    (0..days / 7)
        .filter_map(|week| {
            if !random.chance(0.35) {
                return None;
            }
            let to = if random.chance(0.75) {
                JOURNEYS[person.name.len() % JOURNEYS.len()].clone()
            } else {
                random.pick(JOURNEYS).clone()
            };
            let first = week * 7 + random.range(0, 2);
            let ip = format!("92.{}.{}.{}", random.range(1, 250), random.range(1, 250), random.range(2, 250));
            Some(Journey { first, last: first + random.range(1, 2), to, ip })
        })
        .collect()
}

fn home(random: &mut Random, person: &Person) -> Seat {
    Seat {
        ip: format!("{}.{}", random.pick(&person.home_networks), 7 + person.name.len()),
        spot: Some(person.home.clone()),
    }
}

fn mobile(random: &mut Random, person: &Person) -> Seat {
    let spot = line::Spot { number: 12_638, operator: "Land Mobil", ..person.home.clone() };
    Seat { ip: format!("109.40.{}.{}", random.range(1, 6), random.range(2, 250)), spot: Some(spot) }
}

fn at(day: i64, hour: f64) -> i64 {
    super::START_MILLIS + day * DAY_MILLIS + (hour * HOUR_MILLIS as f64) as i64
}

#[expect(clippy::too_many_arguments, reason = "a login is all of this, and nobody else calls it")]
fn log_in(
    stage: &mut Stage,
    random: &mut Random,
    person: &Person,
    day: i64,
    hour: f64,
    service: &str,
    host: Option<&str>,
    seat: &Seat,
) {
    let mut when = at(day, hour) + random.range(0, 59_999);
    if random.chance(person.types_badly) {
        for _ in 0..random.range(1, 3) {
            stage.write(
                when,
                service,
                line::login(when, service, host, &person.name, &seat.ip, seat.spot.as_ref(), false),
            );
            when += random.range(4_000, 25_000);
        }
    }
    stage.write(when, service, line::login(when, service, host, &person.name, &seat.ip, seat.spot.as_ref(), true));
}

fn phone(stage: &mut Stage, random: &mut Random, person: &Person, day: i64, times: i64) {
    for _ in 0..times {
        let seat = if random.chance(0.6) { home(random, person) } else { mobile(random, person) };
        // Where nobody knows the password of old, there is nothing to mistype.
        let hour = 5.5 + random.unit() * 15.0;
        let when = at(day, hour);
        stage.write(when, "mail", line::login(when, "mail", None, &person.name, &seat.ip, seat.spot.as_ref(), true));
    }
}

/// A phone that tries an old password for a day and a half.
fn stale(stage: &mut Stage, random: &mut Random, person: &Person, day: i64) {
    let seat = home(random, person);
    let mut when = at(day, 9.0);
    while when < at(day + 1, 20.0) {
        stage.write(when, "mail", line::login(when, "mail", None, &person.name, &seat.ip, seat.spot.as_ref(), false));
        when += random.range(900_000, 1_800_000);
    }
}

fn job(stage: &mut Stage, random: &mut Random, person: &Person, day: i64) {
    let when = at(day, person.starts) + random.range(0, 120_000);
    for server in &person.servers {
        stage.write(when, "servers", line::ssh(when, server, &person.name, &person.desk, 40_000, true));
        let started = when + 2_000;
        stage.write(
            started,
            "endpoints",
            line::process(started, server, &person.name, "rsync", "sh", "rsync -a /srv /backup"),
        );
        let bytes = random.normal(4e9, 3e8).max(1e9) as u64;
        stage.write(
            when + 600_000,
            "gateway",
            line::traffic(when + 600_000, &person.name, &person.desk, "10.9.2.2", 873, bytes),
        );
    }
}

/// Who starts what: desktops start everything, tools start tools.
fn parent(random: &mut Random, program: &str) -> &'static str {
    match program {
        "git.exe" | "node.exe" | "cargo.exe" | "python.exe" if random.chance(0.7) => "code.exe",
        "chrome.exe" if random.chance(0.3) => "outlook.exe",
        "acrobat.exe" if random.chance(0.3) => "outlook.exe",
        "cmd.exe" | "powershell.exe" if random.chance(0.2) => "mmc.exe",
        _ => "explorer.exe",
    }
}

#[expect(clippy::too_many_arguments, reason = "a day at work is all of this, and nobody else calls it")]
fn work(
    stage: &mut Stage,
    random: &mut Random,
    person: &Person,
    day: i64,
    laptop: &str,
    programs: &[&str],
    servers: &[String],
    uses_sudo: bool,
    journey: Option<&Journey>,
) {
    let mut starts = person.starts + random.normal(0.0, 0.35);
    if person.role == Role::Shift {
        let turn = (day / 7 + person.name.len() as i64) % 3;
        starts = [5.0, 13.0, 21.0][turn as usize] + random.normal(0.0, 0.2);
    }
    let ends = starts + person.works;
    let desk = Seat { ip: person.desk.clone(), spot: None };
    let (seat, is_inside) = match journey {
        Some(journey) => {
            if journey.first == day {
                // In the air until the afternoon; some log in on board.
                if random.chance(0.3) {
                    let seat = Seat { ip: format!("93.1.{}.9", random.range(1, 9)), spot: Some(ON_BOARD) };
                    log_in(stage, random, person, day, starts + 3.0, "sso", None, &seat);
                }
                starts = 14.0 + if journey.to.country == "SG" || journey.to.country == "US" { 4.0 } else { 0.0 };
            }
            (Seat { ip: journey.ip.clone(), spot: Some(journey.to.clone()) }, false)
        }
        None if random.chance(person.days_at_home) => (home(random, person), false),
        None => (desk, true),
    };
    if !is_inside {
        log_in(stage, random, person, day, starts, "vpn", Some("vpn-gw"), &seat);
    }
    log_in(stage, random, person, day, starts + 0.02, "sso", None, &seat);
    log_in(
        stage,
        random,
        person,
        day,
        starts + 0.01,
        "workstations",
        Some(laptop),
        &Seat { ip: person.desk.clone(), spot: None },
    );
    let lunch = starts + person.works * 0.55;
    if lunch < 23.9 {
        log_in(stage, random, person, day, lunch, "sso", None, &seat);
    }
    if journey.is_none() {
        let times = random.range(1, 3);
        if person.role != Role::Shift {
            phone(stage, random, person, day, times);
        }
        if random.chance(person.evenings) {
            let seat = home(random, person);
            let hour = 18.5 + random.unit() * 3.0;
            log_in(stage, random, person, day, hour, "sso", None, &seat);
        }
        if person.private_vpn && random.chance(0.3) {
            let seat = Seat { ip: format!("185.65.134.{}", random.range(2, 250)), spot: Some(VPN_EXIT) };
            log_in(stage, random, person, day, 17.5, "sso", None, &seat);
        }
    }
    for _ in 0..random.range(8, 14) {
        let program = *random.pick(programs);
        let when = at(day, starts + random.unit() * (ends - starts));
        let parent = parent(random, program);
        stage.write(when, "endpoints", line::process(when, laptop, &person.name, program, parent, program));
    }
    let inside = person.desk.clone();
    for _ in 0..random.range(4, 8) {
        let when = at(day, starts + random.unit() * (ends - starts));
        let bytes = (random.normal(14.3, 1.2).exp()) as u64;
        let to = format!("198.51.100.{}", random.range(1, 40));
        stage.write(when, "gateway", line::traffic(when, &person.name, &inside, &to, 443, bytes));
    }
    if !servers.is_empty() {
        for _ in 0..random.range(1, 3) {
            let server = random.pick(servers).clone();
            let when = at(day, starts + 0.2 + random.unit() * (ends - starts - 0.5));
            ssh(stage, random, person, &server, when, uses_sudo);
        }
    }
    // On call.
    if person.role == Role::Administrator && random.chance(0.05) {
        let hour = random.unit() * 4.0 + 0.5;
        let seat = home(random, person);
        log_in(stage, random, person, day, hour, "vpn", Some("vpn-gw"), &seat);
        if let Some(server) = servers.first() {
            ssh(stage, random, person, server, at(day, hour + 0.1), uses_sudo);
        }
    }
}

fn ssh(stage: &mut Stage, random: &mut Random, person: &Person, server: &str, mut when: i64, uses_sudo: bool) {
    let port = random.range(40_000, 60_000);
    if random.chance(person.types_badly) {
        stage.write(when, "servers", line::ssh(when, server, &person.name, &person.desk, port, false));
        when += 6_000;
    }
    stage.write(when, "servers", line::ssh(when, server, &person.name, &person.desk, port, true));
    if uses_sudo && random.chance(0.6) {
        stage.write(
            when + 60_000,
            "servers",
            line::sudo(when + 60_000, server, &person.name, "/usr/bin/systemctl status app"),
        );
    }
}
