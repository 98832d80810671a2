//! Who works in the staged company, where they live, and what they use.

use super::line::Spot;
use super::random::Random;

/// What somebody does for a living.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Office,
    Developer,
    Administrator,
    /// Early, late and night by turns, week by week.
    Shift,
    /// Visits customers.
    Traveller,
    /// A job that runs by itself.
    Batch,
}

#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) home: Spot,
    /// The first three numbers of the networks that the line at home has.
    pub(super) home_networks: Vec<String>,
    /// Hours of UTC.
    pub(super) starts: f64,
    pub(super) works: f64,
    /// Stays later in some weeks, has a private life on the machine in the evening.
    pub(super) evenings: f64,
    pub(super) weekends: f64,
    pub(super) days_at_home: f64,
    pub(super) types_badly: f64,
    pub(super) workstation: String,
    pub(super) desk: String,
    pub(super) servers: Vec<String>,
    pub(super) programs: Vec<&'static str>,
    /// A VPN of his own, whose exit is abroad.
    pub(super) private_vpn: bool,
    /// Days (of the whole time) on which he is away.
    pub(super) away: Vec<i64>,
    /// The first day on which he works here.
    pub(super) joins: i64,
}

pub(super) const HOME_CITIES: &[Spot] = &[
    Spot { city: "Hamburg", country: "DE", latitude: 53.55, longitude: 9.99, number: 3_320, operator: "Hanse Telekom" },
    Spot { city: "Berlin", country: "DE", latitude: 52.52, longitude: 13.40, number: 3_209, operator: "Spree Kabel" },
    Spot { city: "Cologne", country: "DE", latitude: 50.94, longitude: 6.96, number: 8_881, operator: "Rhein DSL" },
    Spot { city: "Munich", country: "DE", latitude: 48.14, longitude: 11.58, number: 8_767, operator: "Isar Netz" },
    Spot { city: "Vienna", country: "AT", latitude: 48.21, longitude: 16.37, number: 8_447, operator: "Donau Telekom" },
];

pub(super) const JOURNEYS: &[Spot] = &[
    Spot {
        city: "London",
        country: "GB",
        latitude: 51.51,
        longitude: -0.13,
        number: 2_856,
        operator: "Thames Broadband",
    },
    Spot { city: "Paris", country: "FR", latitude: 48.86, longitude: 2.35, number: 3_215, operator: "Seine Telecom" },
    Spot { city: "Madrid", country: "ES", latitude: 40.42, longitude: -3.70, number: 3_352, operator: "Iberia Fibra" },
    Spot { city: "New York", country: "US", latitude: 40.71, longitude: -74.01, number: 701, operator: "Hudson Cable" },
    Spot {
        city: "Singapore",
        country: "SG",
        latitude: 1.35,
        longitude: 103.82,
        number: 7_473,
        operator: "Straits Tel",
    },
    Spot { city: "Milan", country: "IT", latitude: 45.46, longitude: 9.19, number: 3_269, operator: "Lombardia Rete" },
];

/// Where strangers come from.
pub(super) const ELSEWHERE: &[Spot] = &[
    Spot { city: "Lagos", country: "NG", latitude: 6.52, longitude: 3.38, number: 37_148, operator: "Lagoon Mobile" },
    Spot {
        city: "Sao Paulo",
        country: "BR",
        latitude: -23.55,
        longitude: -46.63,
        number: 28_573,
        operator: "Paulista Net",
    },
    Spot {
        city: "Hanoi",
        country: "VN",
        latitude: 21.03,
        longitude: 105.85,
        number: 45_899,
        operator: "Red River Telecom",
    },
    Spot {
        city: "Jakarta",
        country: "ID",
        latitude: -6.21,
        longitude: 106.85,
        number: 7_713,
        operator: "Java Broadband",
    },
];

pub(super) const VPN_EXIT: Spot = Spot {
    city: "Stockholm",
    country: "SE",
    latitude: 59.33,
    longitude: 18.07,
    number: 39_351,
    operator: "Nordic VPN Exit AB",
};
pub(super) const ON_BOARD: Spot = Spot {
    city: "Ashburn",
    country: "US",
    latitude: 39.04,
    longitude: -77.49,
    number: 22_351,
    operator: "Skywave Inflight Connect",
};

const FIRST: &[&str] = &[
    "anna", "ben", "clara", "david", "emma", "felix", "greta", "henry", "ida", "jonas", "karla", "leon", "mia", "noah",
    "olga", "paul", "rosa", "simon", "tina", "uwe", "vera", "willi", "xenia", "yusuf", "zoe",
];
const LAST: &[&str] = &[
    "adler", "berg", "conrad", "dorn", "eck", "falk", "gross", "hahn", "iser", "jung", "kern", "lang", "moor", "nagel",
    "ott",
];

const OFFICE_PROGRAMS: &[&str] = &[
    "outlook.exe",
    "winword.exe",
    "excel.exe",
    "chrome.exe",
    "teams.exe",
    "acrobat.exe",
    "notepad.exe",
    "powerpnt.exe",
];
const DEVELOPER_PROGRAMS: &[&str] =
    &["code.exe", "git.exe", "chrome.exe", "node.exe", "python.exe", "cmd.exe", "docker.exe", "teams.exe", "cargo.exe"];
const ADMINISTRATOR_PROGRAMS: &[&str] =
    &["mmc.exe", "powershell.exe", "cmd.exe", "putty.exe", "chrome.exe", "outlook.exe", "mstsc.exe", "robocopy.exe"];

/// `count` people and ten jobs.
pub(super) fn staff(random: &mut Random, count: usize, days: i64, scored_from: i64) -> Vec<Person> {
    let mut all: Vec<Person> = (0..count).map(|index| person(random, index, count, days, scored_from)).collect();
    for index in 0..10 {
        let mut job = person(random, 10_000 + index, count, days, scored_from);
        job.name = format!("svc-job{index:02}");
        job.role = Role::Batch;
        job.starts = random.range(0, 23) as f64;
        job.away.clear();
        job.joins = 0;
        job.desk = format!("10.9.1.{}", 10 + index);
        job.servers = vec![format!("srv-app{:02}", index % 6)];
        all.push(job);
    }
    all
}

fn person(random: &mut Random, index: usize, count: usize, days: i64, scored_from: i64) -> Person {
    let part = index as f64 / count as f64;
    let role = match part {
        it if it < 0.05 => Role::Administrator,
        it if it < 0.22 => Role::Developer,
        it if it < 0.34 => Role::Shift,
        it if it < 0.41 => Role::Traveller,
        _ => Role::Office,
    };
    let first = FIRST.get(index % FIRST.len()).copied().unwrap_or("eva");
    let last = LAST.get(index / FIRST.len() % LAST.len()).copied().unwrap_or("zorn");
    let home = random.pick(HOME_CITIES).clone();
    let networks = random.range(1, 3);
    let home_networks =
        (0..networks).map(|_| format!("{}.{}.{}", 80 + index % 7, random.range(1, 250), random.range(1, 250)));
    let home_networks = home_networks.collect();
    let servers = |random: &mut Random, kind: &str, of: i64, count: i64| -> Vec<String> {
        let mut all: Vec<String> = (0..count).map(|_| format!("srv-{kind}{:02}", random.range(0, of - 1))).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let (servers, programs): (Vec<String>, &[&'static str]) = match role {
        Role::Administrator => ((0..12).map(|it| format!("srv-app{it:02}")).collect(), ADMINISTRATOR_PROGRAMS),
        Role::Developer => {
            let count = random.range(2, 3);
            (servers(random, "app", 8, count), DEVELOPER_PROGRAMS)
        }
        _ => (Vec::new(), OFFICE_PROGRAMS),
    };
    let mut programs = programs.to_vec();
    let first_program = index % programs.len().max(1);
    programs.rotate_left(first_program);
    programs.truncate(6);
    let mut away = Vec::new();
    if random.chance(0.25) {
        let (first, length) = (random.range(0, days - 1), random.range(3, 10));
        away.extend(first..first + length);
    }
    // Ill for a day now and then.
    away.extend((0..days).filter(|_| random.chance(0.01)));
    Person {
        name: format!(
            "{first}.{last}{}",
            if index >= FIRST.len() * LAST.len() { index.to_string() } else { String::new() }
        ),
        role,
        home,
        home_networks,
        starts: random.normal(7.2, 0.6),
        works: random.normal(8.5, 0.4),
        evenings: if random.chance(0.3) { random.unit() * 0.25 } else { 0.01 },
        weekends: if random.chance(0.2) { random.unit() * 0.3 } else { 0.01 },
        days_at_home: if role == Role::Shift { 0.0 } else { random.unit() * 0.6 },
        types_badly: 0.01 + random.unit() * 0.08,
        workstation: format!("ws-{index:03}"),
        desk: format!("10.1.{}.{}", index / 200, 20 + index % 200),
        servers,
        programs,
        private_vpn: random.chance(0.05),
        away,
        joins: if random.chance(0.02) { random.range(0, scored_from + 4) } else { 0 },
    }
}
