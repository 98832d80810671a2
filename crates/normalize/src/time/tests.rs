use proptest::prelude::*;

use super::*;

fn received() -> Timestamp {
    // 2024-01-15T12:00:00Z
    Timestamp::from_seconds(1_705_320_000)
}

/// The instant at the start of `text`, what follows, and a mark if the year was inferred.
fn read_in(text: &str, zone: &str) -> String {
    match leading(text) {
        None => "none".to_owned(),
        Some((civil, rest)) => match civil.resolve(&Zone::named(zone).unwrap(), received()) {
            None => format!("no such time|{rest}"),
            Some(it) => format!("{}{}|{rest}", it.time, if it.year_inferred { "~" } else { "" }),
        },
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(read_in(text, "UTC"), expected, "{text}");
}

#[test]
fn the_usual_forms_are_read() {
    for text in [
        "2024-01-15T10:30:00Z",
        "2024-01-15t10:30:00z",
        "2024-01-15T11:30:00+01:00",
        "2024-01-15T05:00:00-0530",
        "2024-01-15T12:30:00+02",
        "2024-01-15 10:30:00",
        "2024-01-15 10:30:00 UTC",
        "2024-01-15 11:30:00 +0100",
        "2024-01-15 10:30",
        "2024/01/15 10:30:00",
        "2024 Jan 15 10:30:00",
        "Jan 15 2024 10:30:00",
        "Jan 15, 2024 10:30:00",
        "Mon Jan 15 10:30:00 2024",
        "Mon Jan 15 10:30:00 CET 2024",
        "Mon Jan 15 10:30:00 UTC 2024",
        "Mon, 15 Jan 2024 11:30:00 +0100",
        "15 Jan 2024 10:30:00 GMT",
        "15/Jan/2024:11:30:00 +0100",
        "20240115T103000Z",
    ] {
        check(text, "2024-01-15T10:30:00Z|");
        check(&format!("{text} and more"), "2024-01-15T10:30:00Z| and more");
    }
}

#[test]
fn fractions_are_read_to_the_nanosecond() {
    check("2024-01-15T10:30:00.123456789Z x", "2024-01-15T10:30:00.123456789Z| x");
    check("2024-01-15T10:30:00.1234567891Z", "2024-01-15T10:30:00.123456789Z|");
    check("2024-01-15 10:30:00,5 - INFO", "2024-01-15T10:30:00.5Z| - INFO");
    check("2024-01-15 10:30:00, Info", "2024-01-15T10:30:00Z|, Info");
    check("Mon Jan 15 10:30:00.25 2024]", "2024-01-15T10:30:00.25Z|]");
    check("20240115T103000.5Z", "2024-01-15T10:30:00.5Z|");
}

#[test]
fn a_missing_year_is_the_nearest_that_is_not_ahead() {
    check("Jan 15 10:30:00 host", "2024-01-15T10:30:00Z~| host");
    check("Jan  5 10:30:00 host", "2024-01-05T10:30:00Z~| host");
    check("Jan 5 10:30:00 host", "2024-01-05T10:30:00Z~| host");
    check("Jan 16 11:59:59 host", "2024-01-16T11:59:59Z~| host");
    check("Jan 16 12:00:01 host", "2023-01-16T12:00:01Z~| host");
    check("Dec 31 23:59:59 host", "2023-12-31T23:59:59Z~| host");
    check("Feb 29 00:00:00 host", "2020-02-29T00:00:00Z~| host");
    check("01-15 10:30:00.123 x", "2024-01-15T10:30:00.123Z~| x");
    // At New Year, a line of the old year arrives in the new one, and one of the new year a little early.
    let at = |text: &str, seconds| {
        let (civil, _) = leading(text).unwrap();
        civil.resolve(&Zone::default(), Timestamp::from_seconds(seconds)).unwrap().time.to_string()
    };
    assert_eq!(at("Dec 31 23:59:58", 1_704_067_201), "2023-12-31T23:59:58Z");
    assert_eq!(at("Jan  1 00:00:02", 1_704_067_199), "2024-01-01T00:00:02Z");
}

#[test]
fn times_without_a_zone_are_in_the_zone_of_their_source() {
    assert_eq!(read_in("2024-07-15 10:30:00", "+02:00"), "2024-07-15T08:30:00Z|");
    assert_eq!(read_in("2024-07-15 10:30:00", "Europe/Berlin"), "2024-07-15T08:30:00Z|");
    assert_eq!(read_in("2024-01-15 10:30:00", "Europe/Berlin"), "2024-01-15T09:30:00Z|");
    assert_eq!(read_in("2024-01-15 10:30:00.5", "America/New_York"), "2024-01-15T15:30:00.5Z|");
    assert_eq!(read_in("2024-01-15T10:30:00Z", "Europe/Berlin"), "2024-01-15T10:30:00Z|");
    // 02:30 does not exist on that day in Berlin.
    assert_eq!(read_in("2024-03-31 02:30:00", "Europe/Berlin"), "2024-03-31T01:30:00Z|");
    let refused = Zone::named("Mars/Olympus").unwrap_err();
    assert!(refused.to_string().contains("no time zone is called `Mars/Olympus`"));
    assert!(Zone::named("+2x").is_err() && Zone::named("").is_err());
}

#[test]
fn what_is_no_time_is_left_alone() {
    for text in [
        "",
        "x",
        "2024",
        "2024-01-15",
        "2024-13-15 10:30:00",
        "2024-01-32 10:30:00",
        "2024-01-15 24:00:00",
        "2024-01-15 10:60:00",
        "Jam 15 10:30:00",
        "Jan 32 10:30:00",
        "Jan 15 1030",
        "10:30:00",
        "192.0.2.1 - -",
        "15/Foo/2024:10:30:00",
        "Monday",
        "May be",
        "Sun",
        "1705314600",
        "ä",
    ] {
        check(text, "none");
    }
    check("2023-02-29 10:30:00", "no such time|");
    check("9999-01-01 10:30:00", "no such time|");
}

#[test]
fn numbers_say_their_unit_by_their_size() {
    let text = |text: &str| of_text(text, &Zone::default(), received()).map(|it| it.time.to_string());
    let expected = Some("2024-01-15T10:30:00Z".to_owned());
    for number in [1_705_314_600, 1_705_314_600_000, 1_705_314_600_000_000, 1_705_314_600_000_000_000] {
        assert_eq!(of_integer(number).map(|it| it.to_string()), expected);
        assert_eq!(text(&number.to_string()), expected);
    }
    assert_eq!(text("1705314600.123456789").as_deref(), Some("2024-01-15T10:30:00.123456789Z"));
    assert_eq!(text("1705314600123.5").as_deref(), Some("2024-01-15T10:30:00.1235Z"));
    assert_eq!(of_float(1_705_314_600.25).unwrap().to_string(), "2024-01-15T10:30:00.25Z");
    for number in [0, 12, 200, 2024, 99_999_999, -1_705_314_600, 5_000_000_000, i64::MAX, i64::MIN] {
        assert_eq!(of_integer(number), None, "{number}");
    }
    for number in [0.5, f64::NAN, f64::INFINITY, 1e300, -1.0] {
        assert_eq!(of_float(number), None, "{number}");
    }
    for number in ["", "12.5", "2024", "123456789012345678901234567890", "1705314600.x"] {
        assert_eq!(text(number), None, "{number}");
    }
}

#[test]
fn a_value_must_be_a_time_as_a_whole() {
    let text = |text: &str| of_text(text, &Zone::default(), received()).map(|it| it.time.to_string());
    assert_eq!(text(" 2024-01-15T10:30:00Z ").as_deref(), Some("2024-01-15T10:30:00Z"));
    assert_eq!(text("[15/Jan/2024:10:30:00 +0000]").as_deref(), Some("2024-01-15T10:30:00Z"));
    assert_eq!(text("2024-01-15").as_deref(), Some("2024-01-15T00:00:00Z"));
    assert_eq!(text("2024-01-15 10:30:00 or so"), None);
    assert_eq!(text("2024-01-15x"), None);
}

fn instants() -> impl Strategy<Value = jiff::Timestamp> {
    // 1970 to 2261, with a bias to whole seconds.
    (0_i64..9_190_000_000, prop_oneof![Just(0), 0_i32..1_000_000_000])
        .prop_map(|(second, nanos)| jiff::Timestamp::new(second, nanos).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_form_agrees_with_jiff(instant in instants(), minutes in -720_i32..720) {
        let offset = jiff::tz::Offset::from_seconds(minutes * 60).unwrap();
        let zoned = instant.to_zoned(offset.to_time_zone());
        for form in [
            "%Y-%m-%dT%H:%M:%S%.f%:z",
            "%Y-%m-%d %H:%M:%S%.f %z",
            "%Y-%m-%d %H:%M:%S%.f%z",
            "%d/%b/%Y:%H:%M:%S%.f %z",
            "%a, %d %b %Y %H:%M:%S%.f %z",
            "%Y %b %d %H:%M:%S%.f %z",
            "%Y%m%dT%H%M%S%.f%z",
        ] {
            let text = zoned.strftime(form).to_string();
            let (civil, rest) = leading(&text).unwrap();
            prop_assert_eq!(rest, "");
            let read = civil.resolve(&Zone::default(), received()).unwrap();
            prop_assert_eq!(read, Instant { time: instant.into(), year_inferred: false }, "{}", text);
        }
    }

    #[test]
    fn named_zones_agree_with_jiff(instant in instants()) {
        let zone = Zone::named("Europe/Berlin").unwrap();
        let civil = instant.in_tz("Europe/Berlin").unwrap().datetime();
        let meant: Timestamp = civil.in_tz("Europe/Berlin").unwrap().timestamp().into();
        for form in ["%a %b %e %H:%M:%S%.f %Y", "%Y/%m/%d %H:%M:%S%.f", "%b %e %Y %H:%M:%S%.f"] {
            let text = civil.strftime(form).to_string();
            let (read, _) = leading(&text).unwrap();
            prop_assert_eq!(read.resolve(&zone, received()).unwrap().time, meant, "{}", text);
        }
    }

    #[test]
    fn an_inferred_year_is_nearest_and_never_a_day_ahead(instant in instants(), late in 0_i64..300 * 86_400) {
        let instant = jiff::Timestamp::from_second(instant.as_second()).unwrap();
        let text = instant.strftime("%b %e %H:%M:%S").to_string();
        let received_at = Timestamp::from(instant).saturating_add_nanos(late * 1_000_000_000);
        let (civil, _) = leading(&text).unwrap();
        let read = civil.resolve(&Zone::default(), received_at).unwrap();
        prop_assert_eq!(read, Instant { time: instant.into(), year_inferred: true });
    }

    #[test]
    fn dates_agree_with_jiff(day in -100_000_i32..100_000) {
        let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap();
        prop_assert_eq!(days_from_civil(i32::from(date.year()), date.month() as u8, date.day() as u8), i64::from(day));
        prop_assert_eq!(year_of_day(i64::from(day)), i32::from(date.year()));
        prop_assert_eq!(days_in_month(i32::from(date.year()), date.month() as u8), date.days_in_month() as u8);
    }

    #[test]
    fn no_text_panics(text in "[0-9A-Za-z :/.,+-]{0,40}", any: String) {
        for text in [&text, &any] {
            let _civil = leading(text).and_then(|(civil, _)| civil.resolve(&Zone::default(), Timestamp(i64::MAX)));
            of_text(text, &Zone::default(), Timestamp(i64::MIN));
        }
    }
}
