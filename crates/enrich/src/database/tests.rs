use std::path::{Path, PathBuf};

use super::*;

fn folder() -> Option<PathBuf> {
    panoptes_testkit::corpora().map(|it| it.join("maxmind-db"))
}

fn open(path: &Path) -> Result<Database, DatabaseError> {
    Database::new(&path.file_name().unwrap().to_string_lossy(), std::fs::read(path).unwrap())
}

fn place(databases: &[Database], address: &str) -> Place {
    let mut place = Place::default();
    databases.iter().for_each(|it| it.complete(address.parse().unwrap(), &mut place));
    place
}

#[test]
fn a_city_a_network_and_an_anonymous_network_are_told_together() {
    let Some(folder) = folder() else { return };
    let databases = ["GeoLite2-City-Test", "GeoLite2-ASN-Test", "GeoIP2-Anonymous-IP-Test"]
        .map(|it| open(&folder.join(format!("test-data/{it}.mmdb"))).unwrap());
    assert_eq!(databases[0].kind(), "GeoLite2-City");
    assert_eq!(
        place(&databases, "89.160.20.112"),
        Place {
            continent: "EU".to_owned(),
            country_iso: "SE".to_owned(),
            country: "Sweden".to_owned(),
            region_iso: "E".to_owned(),
            region: "Östergötland County".to_owned(),
            city: "Linköping".to_owned(),
            location: Some((58.4167, 15.6167)),
            timezone: "Europe/Stockholm".to_owned(),
            as_number: Some(29_518),
            as_organization: "Bredband2 AB".to_owned(),
            tags: Vec::new(),
        }
    );
    assert_eq!(place(&databases, "1.2.0.1").tags, ["vpn"]);
    assert_eq!(place(&databases, "10.0.0.1"), Place::default());
    assert_eq!(databases.iter().map(Database::lookups_failed).sum::<u64>(), 0);
}

#[test]
fn later_databases_fill_in_what_earlier_ones_lack_unless_they_disagree_on_the_country() {
    let of = |country: &'static str, city| Record {
        country_code: Some(country),
        city: City { names: Names { en: city } },
        ..Record::default()
    };
    let mut place = Place::default();
    place.complete(&of("SE", None));
    place.complete(&of("NO", Some("Oslo")));
    assert_eq!(place.city, "");
    place.complete(&of("SE", Some("Lund")));
    place.complete(&of("SE", Some("Malmö")));
    assert_eq!((place.country_iso.as_str(), place.city.as_str()), ("SE", "Lund"));
}

/// Every network of MaxMind's own table of truths says the same here.
#[test]
fn the_databases_say_what_their_sources_say() {
    let Some(folder) = folder() else { return };
    let mut asked = 0;
    for name in ["GeoLite2-City-Test", "GeoIP2-City-Test", "GeoLite2-Country-Test", "GeoLite2-ASN-Test"] {
        let database = [open(&folder.join(format!("test-data/{name}.mmdb"))).unwrap()];
        let text = std::fs::read_to_string(folder.join(format!("source-data/{name}.json"))).unwrap();
        let source: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(&text).unwrap();
        for (network, truth) in source.iter().flatten() {
            let network: ipnet::IpNet = network.parse().unwrap();
            // A smaller network within would rightly say something else.
            let covers = |it: &str| it.parse().is_ok_and(|it: ipnet::IpNet| it != network && network.contains(&it));
            if source.iter().flatten().any(|(it, _)| covers(it)) {
                continue;
            }
            let place = place(&database, &network.addr().to_string());
            let text = |path: &str| {
                truth.get(path.split('/').next().unwrap()).map_or("", |it| {
                    let rest = path.split_once('/').map_or(String::new(), |it| format!("/{}", it.1));
                    it.pointer(&rest).and_then(serde_json::Value::as_str).unwrap_or("")
                })
            };
            assert_eq!(place.country_iso, text("country/iso_code"), "{name} {network}");
            assert_eq!(place.city, text("city/names/en"), "{name} {network}");
            assert_eq!(place.timezone, text("location/time_zone"), "{name} {network}");
            assert_eq!(place.as_organization, text("autonomous_system_organization"), "{name} {network}");
            let number = truth.get("autonomous_system_number").and_then(serde_json::Value::as_u64);
            assert_eq!(place.as_number.map(u64::from), number, "{name} {network}");
            asked += 1;
        }
        assert_eq!(database[0].lookups_failed(), 0, "{name}");
    }
    assert!(asked > 300, "{asked}");
}

/// Addresses that lead to many places of an index.
fn addresses() -> impl Iterator<Item = IpAddr> {
    let v4 = (0..=255_u32).flat_map(|high| [1, 0x14_2070, 0xff_fffe].map(|low| IpAddr::V4((high << 24 | low).into())));
    let v6 = (0..128_u32).map(|bit| IpAddr::V6((1_u128 << bit | 1).into()));
    v4.chain(v6).chain(["2001:218::1", "2a02:ffc0::1", "::1.1.1.1"].map(|it| it.parse().unwrap()))
}

#[test]
fn broken_databases_are_refused_or_their_failed_lookups_counted() {
    let Some(folder) = folder() else { return };
    let (mut refused, mut failed, mut files) = (0, 0, 0);
    for sub in ["libmaxminddb", "maxminddb-golang", "maxminddb-python"] {
        for file in std::fs::read_dir(folder.join("bad-data").join(sub)).unwrap() {
            files += 1;
            match open(&file.unwrap().path()) {
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().contains(".mmdb"), "{error}");
                }
                Ok(database) => {
                    let mut place = Place::default();
                    addresses().for_each(|it| database.complete(it, &mut place));
                    failed += usize::from(database.lookups_failed() > 0);
                }
            }
        }
    }
    assert!(files >= 20 && refused > 0 && failed > 0, "{files} files, {refused} refused, {failed} failed");
}

#[test]
fn every_test_database_is_read_or_refused_without_harm() {
    let Some(folder) = folder() else { return };
    let mut read = 0;
    for file in std::fs::read_dir(folder.join("test-data")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|it| it == "mmdb")
            && let Ok(database) = open(&path)
        {
            addresses().for_each(|it| database.complete(it, &mut Place::default()));
            read += 1;
        }
    }
    assert!(read > 30, "{read}");
}

#[test]
fn a_database_with_any_bytes_changed_neither_panics_nor_hangs() {
    let Some(folder) = folder() else { return };
    let whole = std::fs::read(folder.join("test-data/GeoIP2-City-Test.mmdb")).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 16) as usize % below
    };
    let (mut refused, mut failed) = (0, 0);
    for round in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=round % 64 {
            let at = next(bytes.len());
            bytes[at] = next(256) as u8;
        }
        // The last part says how all the rest is to be read.
        let at = bytes.len() - 1 - next(400);
        bytes[at] = next(256) as u8;
        if round % 10 == 0 {
            bytes.truncate(next(whole.len()));
        }
        match Database::new("changed.mmdb", bytes) {
            Err(_) => refused += 1,
            Ok(database) => {
                addresses().for_each(|it| database.complete(it, &mut Place::default()));
                failed += usize::from(database.lookups_failed() > 0);
            }
        }
    }
    assert!(refused > 0 && failed > 0, "{refused} refused, {failed} failed");
}

#[test]
fn what_is_no_database_says_so() {
    for bytes in [&b""[..], b"hello", b"\xab\xcd\xefMaxMind.com", &[0xff; 5_000]] {
        let error = Database::new("geo.mmdb", bytes.to_vec()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`geo.mmdb` is no readable MaxMind-format database (.mmdb): get it anew from where it came"
        );
    }
}
