use super::*;

fn parse(options: ListOptions, text: &str) -> Result<List, String> {
    List::parse(options, "feed.csv", text.as_bytes()).map_err(|it| it.to_string())
}

fn with_columns(kind: KeyKind) -> ListOptions {
    ListOptions {
        column: Some("value".to_owned()),
        expires: Some("until".to_owned()),
        label: Some("why".to_owned()),
        ..ListOptions::new("feed", kind)
    }
}

fn labels(list: &List, address: &str) -> Vec<String> {
    list.of_address(address.parse().unwrap()).map(|it| it.label.to_string()).collect()
}

#[test]
fn one_value_a_line_needs_no_header() {
    let list = parse(
        ListOptions::new("feed", KeyKind::Address),
        "\u{feff}# made today\n203.0.113.0/24\n\n 198.51.100.7 \n2001:db8::/32,ignored\n::ffff:192.0.2.1\n",
    );
    let list = list.unwrap();
    assert_eq!(list.len(), 4);
    assert_eq!(labels(&list, "203.0.113.77"), ["203.0.113.0/24"]);
    assert_eq!(labels(&list, "198.51.100.7"), ["198.51.100.7"]);
    assert_eq!(labels(&list, "2001:db8::1"), ["2001:db8::/32"]);
    assert_eq!(labels(&list, "192.0.2.1"), ["::ffff:192.0.2.1"]);
    assert!(labels(&list, "198.51.100.8").is_empty());
}

#[test]
fn columns_are_found_by_their_names_in_any_case_and_order() {
    let text = "Why,extra,VALUE,until\n\"a, b\",x,Evil.Example.,2026-02-01\nc,x,*.bad.example,\n";
    let list = parse(with_columns(KeyKind::Domain), text).unwrap();
    let entry = list.of_text("evil.example").unwrap();
    assert_eq!((&*entry.label, entry.expires), ("a, b", Timestamp::from_seconds(1_769_904_000)));
    assert_eq!(list.of_text("bad.example").unwrap().expires, Timestamp(i64::MAX));
}

#[test]
fn times_have_the_usual_forms() {
    for text in ["2026-01-31T12:00:00Z", "2026-01-31 12:00:00", "2026-01-31T13:00:00+01:00", "1769860800"] {
        assert_eq!(time(text), Some(Timestamp::from_seconds(1_769_860_800)), "{text}");
    }
    assert_eq!(time("tomorrow"), None);
}

#[test]
fn of_a_value_that_is_there_twice_the_row_that_holds_longest_counts() {
    let text = "value,until,why\nA,2026-01-02,short\na,2026-01-03,long\nA,2026-01-01,shortest\n";
    let list = parse(with_columns(KeyKind::User), text).unwrap();
    assert_eq!((list.len(), &*list.of_text("a").unwrap().label), (1, "long"));
    let text = "value,until,why\n192.0.2.1,2026-01-02,short\n192.0.2.1/32,,for ever\n192.0.2.1,2026-01-01,x\n";
    let list = parse(with_columns(KeyKind::Address), text).unwrap();
    assert_eq!((list.len(), labels(&list, "192.0.2.1")), (1, vec!["for ever".to_owned()]));
}

#[test]
fn what_is_wrong_is_said_with_file_and_line() {
    let address = || ListOptions::new("feed", KeyKind::Address);
    for (options, text, said) in [
        (address(), "192.0.2.1\n# no\nnonsense\n", "feed.csv, line 3: `nonsense` is no address"),
        (address(), "192.0.2.0/33\n", "feed.csv, line 1: `192.0.2.0/33` is no address"),
        (ListOptions::new("feed", KeyKind::Hash), "abc\n", "feed.csv, line 1: `abc` is no hash"),
        (ListOptions::new("feed", KeyKind::Domain), "a..b\n", "feed.csv, line 1: `a..b` is no domain"),
        (with_columns(KeyKind::User), "value,until,why\n\"\",,\n", "feed.csv, line 2: the column of the user is empty"),
        (
            with_columns(KeyKind::User),
            "value,when,why\n",
            "feed.csv, line 1: there is no column `until`, only `value`, `when`, `why`",
        ),
        (
            with_columns(KeyKind::User),
            "value,until,why\n\"a\nb\",soon,\n",
            "feed.csv, line 2: `soon` is no time such as 2026-01-31, 2026-01-31T12:00:00Z or 1769860800",
        ),
        (
            ListOptions { label: Some("why".to_owned()), ..address() },
            "",
            "feed.csv: `expires` and `label` name columns, so `column` has to name one too and line 1 has to be a header",
        ),
    ] {
        assert_eq!(parse(options, text).unwrap_err(), said);
    }
    let broken = List::parse(address(), "feed.csv", b"192.0.2.1\n\xff\xfe\n").unwrap_err();
    assert_eq!(broken.to_string(), "feed.csv, line 2: it is not UTF-8");
}

#[test]
fn a_list_with_too_many_entries_is_refused() {
    let of = |text: &str| List::parse_within(2, ListOptions::new("feed", KeyKind::User), "feed.csv", text.as_bytes());
    assert_eq!(of("a\nb\n").unwrap().len(), 2);
    let error = of("a\nb\nc\n").unwrap_err().to_string();
    assert_eq!(error, "feed.csv has more than the 2 entries that a list may have: split it");
}

#[test]
fn any_bytes_are_a_list_or_an_error() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..500 {
        let bytes: Vec<u8> = (0..round)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                b"\"\n,#1.:/a\xff\0 "[(random >> 33) as usize % 12]
            })
            .collect();
        for kind in [KeyKind::Address, KeyKind::Domain, KeyKind::Hash, KeyKind::User] {
            drop(List::parse(ListOptions::new("x", kind), "x", &bytes));
            drop(List::parse(with_columns(kind), "x", &[b"value,until,why\n", &bytes[..]].concat()));
        }
    }
}
