use proptest::prelude::*;

use super::*;

/// The records that `text` becomes, line by line, and how many of its rows fit no header.
fn run(headed: &mut Headed, text: &str) -> (Vec<String>, u64) {
    let mut records = Vec::new();
    for line in text.split('\n') {
        match headed.line(line.as_bytes()) {
            Line::AsIs if line.is_empty() => {}
            Line::AsIs => records.push(line.to_owned()),
            Line::Header => {}
            Line::Row(json) => {
                let json = String::from_utf8(json.to_vec()).unwrap();
                serde_json::from_str::<serde_json::Value>(&json).unwrap();
                records.push(json);
            }
        }
    }
    (records, headed.take_unfit())
}

fn records(text: &str) -> Vec<String> {
    run(&mut Headed::new(None), text).0
}

const ZEEK: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n\
    #open\t2024-01-15-10-30-00\n#fields\tts\tid.orig_h\tid.orig_p\tquery\tAA\tTTLs\tanswers\ttags\n\
    #types\ttime\taddr\tport\tstring\tbool\tvector[interval]\tvector[string]\tset[enum]\n";

const IIS: &str = "#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n#Date: 2024-01-15 10:30:00\n\
    #Fields: date time cs-method cs-uri-stem cs(User-Agent) sc-status\n";

#[test]
fn a_zeek_row_is_typed_by_its_header() {
    let rows = "1705314600.123456\t192.0.2.1\t53\ta\\x09b\\\\c\\q\tT\t1.5,-\tone,t\\x2co\t(empty)\n\
        1705314600.0\t-\t-\t\\x2d\tF\t-\t(empty)\t-\n#close\t2024-01-15-11-00-00\n";
    assert_eq!(
        records(&format!("{ZEEK}{rows}")),
        [
            r#"{"_path":"dns","ts":1705314600.123456,"id.orig_h":"192.0.2.1","id.orig_p":53,"query":"a\tb\\c\\q","AA":true,"TTLs":[1.5,null],"answers":["one","t,o"],"tags":[]}"#,
            r#"{"_path":"dns","ts":1705314600.0,"query":"-","AA":false,"answers":[]}"#,
        ]
    );
}

#[test]
fn cells_that_misfit_their_type_are_texts() {
    let row = "never\tx\t-5x\t(empty)\tyes\t1e5\t-\t\\xff\n";
    assert_eq!(
        records(&format!("{ZEEK}{row}")),
        [
            "{\"_path\":\"dns\",\"ts\":\"never\",\"id.orig_h\":\"x\",\"id.orig_p\":\"-5x\",\"query\":\"\",\"AA\":\"yes\",\
          \"TTLs\":[\"1e5\"],\"tags\":[\"\u{fffd}\"]}"
        ]
    );
}

#[test]
fn another_separator_and_header_replace_the_first() {
    let text = format!(
        "{ZEEK}{}#separator \\x7c\n#path|x509\n#fields|certificate.serial|n\n#types|string|count\n8BB00EE|007\n",
        "1.0\t192.0.2.1\t53\tq\tT\t-\t-\t-\n"
    );
    let records = records(&text);
    assert_eq!(records.len(), 2);
    assert_eq!(records[1], r#"{"_path":"x509","certificate.serial":"8BB00EE","n":"007"}"#);
}

#[test]
fn a_w3c_row_is_named_by_its_header() {
    let row = "2024-01-15 10:30:01 GET /a\\b Mozilla/5.0+(X11) 200\n2024-01-15 10:30:01 - / \"a \"\"b\"\" c\" 404 \n";
    assert_eq!(
        records(&format!("{IIS}{row}")),
        [
            r#"{"_w3c":"Microsoft Internet Information Services 10.0","date":"2024-01-15","time":"10:30:01","cs-method":"GET","cs-uri-stem":"/a\\b","cs(User-Agent)":"Mozilla/5.0+(X11)","sc-status":"200"}"#,
            r#"{"_w3c":"Microsoft Internet Information Services 10.0","date":"2024-01-15","time":"10:30:01","cs-uri-stem":"/","cs(User-Agent)":"a \"b\" c","sc-status":"404"}"#,
        ]
    );
}

#[test]
fn tabs_commas_and_a_date_in_the_header_are_understood() {
    assert_eq!(
        records("#Version: 1.0\n#Fields: date time c-ip\n2024-01-15\t10:30:00\t192.0.2.1\n"),
        [r#"{"_w3c":"","date":"2024-01-15","time":"10:30:00","c-ip":"192.0.2.1"}"#]
    );
    assert_eq!(
        records("#Fields: date-time,client-ip,subject\n2024-01-15T10:30:00Z,,\"a, b\"\n"),
        [r#"{"_w3c":"","date-time":"2024-01-15T10:30:00Z","subject":"a, b"}"#]
    );
    assert_eq!(
        records("#Date: 2024-01-15 10:30:00\n#Fields: time c-ip\n10:30:01 192.0.2.1\n"),
        [r#"{"_w3c":"","date":"2024-01-15","time":"10:30:01","c-ip":"192.0.2.1"}"#]
    );
}

#[test]
fn what_does_not_fit_its_header_stays_text_and_is_counted() {
    let text = format!("{ZEEK}1.0\tcut off\n{{\"a\":1}}\nno row\n{}", "x\t".repeat(9));
    let (records, unfit) = run(&mut Headed::new(None), &text);
    assert_eq!(records, ["1.0\tcut off", "{\"a\":1}", "no row", &"x\t".repeat(9)]);
    assert_eq!(unfit, 3);
    let row = "1705314600.123456\tCHhAvVGS1DHFjwGM9\t192.0.2.1";
    assert_eq!(run(&mut Headed::new(None), row), (vec![row.to_owned()], 1), "a row without any header");
    assert_eq!(run(&mut Headed::new(None), "#separator \\x09\na\tb"), (vec!["a\tb".to_owned()], 1));
}

#[test]
fn a_header_in_the_middle_of_an_ordinary_log_renames_nothing() {
    let text = format!("an ordinary line\n{ZEEK}# a comment\na\tb\tc\td\te\tf\tg\th\n");
    assert_eq!(records(&text), text.trim_end().split('\n').collect::<Vec<_>>());
    assert_eq!(records("# a comment\n#!/bin/sh\nx y"), ["# a comment", "#!/bin/sh", "x y"]);
    let mut plain = Headed::new(Some("plain"));
    assert_eq!(run(&mut plain, ZEEK).0.len(), ZEEK.lines().count(), "the source says that it is plain text");
}

#[test]
fn tables_that_are_too_wide_have_no_rows() {
    let wide =
        |columns: usize| format!("#fields\t{}\n{}\n", vec!["n"; columns].join("\t"), vec!["v"; columns].join("\t"));
    assert!(records(&wide(CSV_COLUMNS_MAX))[0].starts_with("{\"n\":\"v\""));
    let (records, unfit) = run(&mut Headed::new(None), &wide(CSV_COLUMNS_MAX + 1));
    assert!(records[0].starts_with("v\tv") && unfit == 1);
    let long = format!("#fields\t{}\tb\na\tb\n", "n".repeat(CSV_HEADER_BYTES_MAX));
    assert_eq!(run(&mut Headed::new(None), &long), (vec!["a\tb".to_owned()], 1));
}

#[test]
fn a_row_whose_object_would_be_too_long_stays_text() {
    let row = format!("{}\t", "\x01".repeat(LINE_BYTES_MAX / 2));
    let (records, unfit) = run(&mut Headed::new(None), &format!("#fields\ta\tb\n{row}"));
    assert_eq!((records[0] == row, unfit), (true, 1));
}

#[test]
fn reading_may_go_on_in_the_middle() {
    let mut headed = Headed::new(None);
    headed.prime(format!("\u{feff}{IIS}2024-01-15 10:30:01 GET / x 200\nhalf").as_bytes());
    headed.prime_on(b"half a row\na b\n#Version: 1.0\n#Fields: time c-ip\n10:00:00 192.0.2.1\n#Fiel");
    let (records, unfit) = run(&mut headed, "10:00:01 192.0.2.2");
    assert_eq!(
        records,
        [
            r#"{"_w3c":"Microsoft Internet Information Services 10.0","date":"2024-01-15","time":"10:00:01","c-ip":"192.0.2.2"}"#
        ]
    );
    assert_eq!(unfit, 0);
    let mut other = Headed::new(None);
    other.prime(b"plain\n");
    other.prime_on(format!("x\n{ZEEK}").as_bytes());
    assert_eq!(other.line(b"1\t2\t3\t4\t5\t6\t7\t8"), Line::AsIs);
}

#[test]
fn real_tables_of_zeek_have_no_row_that_does_not_fit() {
    let folder = std::env::var("PANOPTES_CORPORA").unwrap_or_else(|_| "../../../shared/corpora".to_owned());
    let folder = std::path::Path::new(&folder).join("zeek-btest/Baseline");
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "CI has the corpora");
        eprintln!("skipped: there are no corpora");
        return;
    }
    let (mut tables, mut rows) = (0, 0);
    for test in std::fs::read_dir(folder).unwrap().flatten().filter(|it| it.path().is_dir()) {
        for log in std::fs::read_dir(test.path()).unwrap().flatten() {
            let text = String::from_utf8_lossy(&std::fs::read(log.path()).unwrap()).into_owned();
            // The remark that the test suite put in front, and sections for several tables in one file.
            let text: String = text.split_inclusive('\n').filter(|it| !it.starts_with("###")).collect();
            if !text.starts_with("#separator") {
                continue;
            }
            tables += 1;
            let data = text.lines().filter(|it| !it.starts_with('#') && !it.is_empty()).count();
            let (records, unfit) = run(&mut Headed::new(None), &text);
            assert_eq!((records.len(), unfit), (data, 0), "{:?}", log.path());
            rows += data;
        }
    }
    assert!(tables > 250 && rows > 500, "{tables} {rows}");
}

proptest! {
    #[test]
    fn any_lines_end_as_records_or_headers(
        lines in proptest::collection::vec(prop_oneof![
            Just("#separator \\x09".to_owned()), Just("#fields\ta\tb".to_owned()), Just("#types\tset[count]\tbool".to_owned()),
            Just("#Fields: a b".to_owned()), Just("#Date: x".to_owned()), Just("#set_separator\t".to_owned()),
            "[ab\\\\x0\"\t,#\u{e9} -]{0,12}", any::<String>(),
        ], 0..20)
    ) {
        let mut headed = Headed::new(None);
        for line in &lines {
            if let Line::Row(json) = headed.line(line.as_bytes()) {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(json).is_ok());
            }
        }
        let mut headed = Headed::new(None);
        let text = lines.join("\n");
        headed.prime(text.as_bytes());
        headed.prime_on(text.as_bytes());
    }

    #[test]
    fn what_is_written_into_a_cell_comes_back(cells in proptest::collection::vec("[ -~\u{e4}]{1,12}", 2..5)) {
        let escape = |cell: &String| cell.replace('\\', "\\\\").replace('\t', "\\x09");
        let row = cells.iter().map(escape).collect::<Vec<_>>().join("\t");
        prop_assume!(!row.starts_with(['#', '{']) && !row.trim().is_empty());
        prop_assume!(cells.iter().all(|it| it != "-" && it != "(empty)"));
        let names = (0..cells.len()).map(|it| format!("n{it}")).collect::<Vec<_>>().join("\t");
        let mut headed = Headed::new(None);
        headed.line(format!("#fields\t{names}").as_bytes());
        let Line::Row(json) = headed.line(row.as_bytes()) else { return Err(TestCaseError::fail(row)) };
        let object: serde_json::Value = serde_json::from_slice(json).unwrap();
        for (index, cell) in cells.iter().enumerate() {
            prop_assert_eq!(object[format!("n{index}")].as_str(), Some(cell.as_str()));
        }
    }
}
