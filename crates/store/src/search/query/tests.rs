use super::*;

fn parse(text: &str) -> Query {
    text.parse().unwrap_or_else(|error: QueryError| panic!("{error}\n{}", error.pointer()))
}

fn field(name: &str, test: Test) -> Query {
    Query::Field { name: name.into(), test }
}

fn is(name: &str, value: &str) -> Query {
    field(name, Test::Is(value.into()))
}

fn words(text: &str) -> Query {
    Query::Words(glob(text))
}

fn bound(value: &str, inclusive: bool) -> Option<Bound> {
    Some(Bound { value: value.into(), inclusive })
}

#[test]
fn terms_read_as_the_manual_says() {
    let cases = [
        ("", Query::All),
        ("  * ", Query::All),
        ("failed", words("failed")),
        ("web* ", words("web*")),
        ("\"failed password\"", Query::Words(Glob(vec!["failed password".into()]))),
        ("user.name:root", is("user.name", "root")),
        ("user.name:\"jane \\\"j\\\" doe\"", is("user.name", "jane \"j\" doe")),
        ("path:C:\\Windows\\cmd.exe", is("path", "C:\\Windows\\cmd.exe")),
        ("path:\"C:\\Windows\\\\\"", is("path", "C:\\Windows\\")),
        ("path:C:\\Windows\\*", field("path", Test::Like(glob("C:\\Windows\\*")))),
        ("\"Process Name\":x", is("Process Name", "x")),
        ("user.name:*", field("user.name", Test::Exists)),
        ("_exists_:user.name", field("user.name", Test::Exists)),
        ("has:\"Process Name\"", field("Process Name", Test::Exists)),
        ("-has:user.name", Query::Not(Box::new(field("user.name", Test::Exists)))),
        ("user.name: root", is("user.name", "root")),
        ("user.name : \"jane doe\"", is("user.name", "jane doe")),
        ("user.name = (a)", is("user.name", "a")),
        ("user.name!=root", Query::Not(Box::new(is("user.name", "root")))),
        ("event.duration >= 5", field("event.duration", Test::Range { low: bound("5", true), high: None })),
        ("x = y", Query::And(vec![words("x"), words("="), words("y")])),
        ("x=y", words("x=y")),
        ("user.name:/ro+t$/", field("user.name", Test::Pattern(Pattern("ro+t$".into())))),
        (
            "user.name:(/a b/ OR c)",
            Query::Or(vec![field("user.name", Test::Pattern(Pattern("a b".into()))), is("user.name", "c")]),
        ),
        ("/a\\/b \\d/", Query::Pattern(Pattern("a\\/b \\d".into()))),
        ("url.path:/a/b", is("url.path", "/a/b")),
        ("url.path:/ /", Query::And(vec![is("url.path", "/"), words("/")])),
        ("//x/", words("//x/")),
        ("source.ip:2001:db8::1", is("source.ip", "2001:db8::1")),
        ("call:f(x)", is("call", "f(x)")),
        ("x:[1,2]", is("x", "[1,2]")),
        ("10:30:00", words("10:30:00")),
        ("x:a\"b", is("x", "a\"b")),
        ("n:>=500", field("n", Test::Range { low: bound("500", true), high: None })),
        ("n:<-5", field("n", Test::Range { low: None, high: bound("-5", false) })),
        ("n:[400 TO 499}", field("n", Test::Range { low: bound("400", true), high: bound("499", false) })),
        ("n:{* TO \"a b\"]", field("n", Test::Range { low: None, high: bound("a b", true) })),
        (
            "@timestamp:>2024-01-15T10:30:00Z",
            field("@timestamp", Test::Range { low: bound("2024-01-15T10:30:00Z", false), high: None }),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text), expected, "{text}");
    }
}

#[test]
fn a_test_can_stand_alone() {
    assert_eq!(Test::parse(">=5"), Ok(Test::Range { low: bound("5", true), high: None }));
    assert_eq!(Test::parse("a b").unwrap_err().problem(), "nothing may follow the value");
    assert_eq!(Test::parse("").unwrap_err().problem(), "a value is missing here");
}

#[test]
fn operators_bind_as_the_manual_says() {
    let [a, b, c] = ["a", "b", "c"].map(words);
    let not = |it: &Query| Query::Not(Box::new(it.clone()));
    let cases = [
        ("a b", Query::And(vec![a.clone(), b.clone()])),
        ("a AND b OR c", Query::Or(vec![Query::And(vec![a.clone(), b.clone()]), c.clone()])),
        ("a OR b c", Query::Or(vec![a.clone(), Query::And(vec![b.clone(), c.clone()])])),
        ("a AND (b OR c)", Query::And(vec![a.clone(), Query::Or(vec![b.clone(), c.clone()])])),
        ("a NOT b", Query::And(vec![a.clone(), not(&b)])),
        ("-a -(b c)", Query::And(vec![not(&a), not(&Query::And(vec![b.clone(), c.clone()]))])),
        ("a and b", Query::And(vec![a.clone(), words("and"), b.clone()])),
        ("ANDERSON", words("ANDERSON")),
        ("x:(a OR \"b c\")", Query::Or(vec![is("x", "a"), is("x", "b c")])),
        (
            "x:(>=1 <5)",
            Query::And(vec![
                field("x", Test::Range { low: bound("1", true), high: None }),
                field("x", Test::Range { low: None, high: bound("5", false) }),
            ]),
        ),
        ("-x:y", not(&is("x", "y"))),
        ("a - b", Query::And(vec![a.clone(), words("-"), b.clone()])),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text), expected, "{text}");
    }
}

#[test]
fn operators_in_small_letters_are_words_and_noticed() {
    let mut parser = Parser::new("a and b or x:not").unwrap();
    parser.either(None, 0).unwrap();
    assert_eq!(parser.small_operators, ["and", "or"]);
}

#[test]
fn networks_know_their_addresses() {
    let Query::Field { test: Test::Network(network), .. } = parse("source.ip:10.1.2.3/8") else { panic!() };
    assert_eq!(network.to_string(), "10.0.0.0/8");
    for (address, inside) in [("10.255.0.1", true), ("11.0.0.0", false), ("::ffff:10.0.0.1", true), ("::a00:1", false)]
    {
        assert_eq!(network.contains(address.parse().unwrap()), inside, "{address}");
    }
    let all = Network::new("1.2.3.4".parse().unwrap(), 0).unwrap();
    assert!(all.contains("255.0.0.1".parse().unwrap()) && !all.contains("2001:db8::".parse().unwrap()));
    let Query::Field { test: Test::Network(network), .. } = parse("source.ip:2001:db8::/33") else { panic!() };
    assert!(network.contains("2001:db8:7fff::1".parse().unwrap()));
    assert!(!network.contains("2001:db8:8000::1".parse().unwrap()));
    assert_eq!(parse("url.path:/a/24"), is("url.path", "/a/24"));
}

#[test]
fn errors_point_at_the_place() {
    let cases = [
        ("a AND", "a term is missing here; quote the operator to find it as a word", 6),
        ("a (b OR c", "this parenthesis is never closed; add `)`, or quote it to find it", 3),
        ("ä b) c", NEVER_OPENED, 4),
        ("error: root", "a value must follow `error:` without a space; `error:*` finds events that have the field", 7),
        (
            "user.name: AND x",
            "a value must follow `user.name:` without a space; `user.name:*` finds events that have the field",
            11,
        ),
        ("user.name = ", "a value of `user.name` is missing here", 13),
        ("a | b", "commands cannot stand here: this `|` must go", 3),
        ("a AND | b", "a term is missing before this `|`", 7),
        ("x:/a(b/", "this regular expression is not one: unclosed group; quote it to find it as text", 5),
        (
            "/ä[z-a]/",
            "this regular expression is not one: invalid character class range, the start must be <= the end; quote it to find it as text",
            4,
        ),
        ("/(a{1000}){1000}/", "this regular expression is too large; repeat less of it", 2),
        ("x:\"ab", "these quotes are never closed; add `\"`", 3),
        ("x:\"C:\\dir\\\"", "these quotes are never closed; add `\"`; a backslash at the end is written `\\\\`", 3),
        ("x:[1 TO 2", "the range is never closed: `]` or `}` is missing", 10),
        ("x:[ TO 2]", "TO must stand between the ends of a range", 8),
        ("OR b", "OR needs a term on each side; quote it to find the word", 1),
        ("a OR OR b", "OR needs a term on each side; quote it to find the word", 6),
        ("source.ip:10.0.0.0/33", "a number from 0 to 32 must follow the `/` of this network", 11),
        ("()", "a term is missing before this parenthesis", 2),
        ("x:>", "a number, time or text must follow the comparison", 4),
        ("\"\"", "there is nothing to find between these quotes", 1),
    ];
    for (text, problem, character) in cases {
        let error = text.parse::<Query>().unwrap_err();
        assert_eq!((error.problem(), error.character()), (problem, character), "{text}");
    }
    let error = "ä b) c".parse::<Query>().unwrap_err();
    assert_eq!(error.to_string(), format!("{NEVER_OPENED} at character 4 of the query"));
    assert_eq!(error.pointer(), "ä b) c\n   ^");
}

#[test]
fn queries_are_bounded_in_length_terms_and_depth() {
    let problem = |text: String| text.parse::<Query>().unwrap_err().problem().to_owned();
    assert_eq!(problem("x".repeat(QUERY_BYTES_MAX + 1)), "the query has 16385 bytes, it may have 16384");
    assert_eq!(problem("x ".repeat(QUERY_TERMS_MAX + 1)), "the query has more than 256 terms");
    assert_eq!(problem("(".repeat(QUERY_DEPTH_MAX + 2)), "parentheses and NOT nest deeper than 32");
    assert_eq!(problem("-".repeat(QUERY_DEPTH_MAX + 2) + "x"), "parentheses and NOT nest deeper than 32");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in r#"[ab:"()\[\]{}*<>=|!\\/ 1.\-éANDORTO]{0,40}"#) {
        if let Err(error) = text.parse::<Query>() {
            assert!(error.pointer().ends_with('^') && error.character() <= text.chars().count() + 1);
        }
    }
}
