use super::*;

fn ask(text: &str) -> Ask {
    text.parse().unwrap_or_else(|error: QueryError| panic!("{error}\n{}", error.pointer()))
}

fn aggregate(text: &str) -> Aggregate {
    match ask(text).then {
        Then::Aggregate(found, rest) if rest.is_empty() => found,
        other => panic!("{text}: {other:?}"),
    }
}

fn measure(function: Function, field: &str, name: &str) -> Measure {
    Measure { function, field: Some(field.to_owned()), name: name.to_owned() }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|it| (*it).to_owned()).collect()
}

#[test]
fn a_query_without_commands_lists_events() {
    let plain = Then::Events { fields: None, sort: Vec::new(), limit: None };
    assert_eq!(ask("a || b").then, plain);
    assert_eq!(ask("a || b").query, "a OR b".parse().unwrap());
    assert_eq!((ask("").query, ask(" | limit 5").query), (Query::All, Query::All));
}

#[test]
fn commands_read_as_the_manual_says() {
    let counted =
        |by: &[&str]| Aggregate { by: strings(by), measures: vec![count()], ..Aggregate::plain(GroupOrder::Most) };
    assert_eq!(aggregate("x | count"), counted(&[]));
    assert_eq!(aggregate("x |count by user.name, host.name"), counted(&["user.name", "host.name"]));
    assert_eq!(aggregate("| count BY user.name host.name user.name"), counted(&["user.name", "host.name"]));
    let top = |limit, by: &[&str]| Aggregate { limit: Some(limit), share: true, ..counted(by) };
    assert_eq!(aggregate("| top source.ip"), top(10, &["source.ip"]));
    assert_eq!(aggregate("| top 3 \"Process Name\" by host.name"), top(3, &["host.name", "Process Name"]));
    assert_eq!(aggregate("| rare limit=5 a"), Aggregate { order: GroupOrder::Least, ..top(5, &["a"]) });
    assert_eq!(aggregate("| uniq a"), Aggregate { by: strings(&["a"]), ..Aggregate::plain(GroupOrder::Keys) });
}

#[test]
fn charts_and_statistics_read_as_the_manual_says() {
    let chart =
        Aggregate { time: Some(Interval::Fitting), measures: vec![count()], ..Aggregate::plain(GroupOrder::Keys) };
    assert_eq!(aggregate("| timechart"), chart);
    let hours = Some(Interval::Nanos(3_600 * Timestamp::NANOS_PER_SECOND));
    let by = strings(&["host.name"]);
    assert_eq!(aggregate("| timechart 1h by host.name"), Aggregate { time: hours, by: by.clone(), ..chart.clone() });
    let average = vec![measure(Function::Average, "x", "avg(x)")];
    assert_eq!(
        aggregate("| timechart span=1h avg(x) by host.name"),
        Aggregate { time: hours, by: by.clone(), measures: average, ..chart }
    );
    let found = aggregate("| stats count, avg(a), max( b ) as most, dc(c), p95(a) count(d) by host.name");
    assert_eq!(found.by, by);
    let expected = [
        count(),
        measure(Function::Average, "a", "avg(a)"),
        measure(Function::Max, "b", "most"),
        measure(Function::Distinct, "c", "dc(c)"),
        measure(Function::Percentile(95.0), "a", "p95(a)"),
        measure(Function::Count, "d", "count(d)"),
    ];
    assert_eq!(found.measures, expected);
    assert_eq!(found.columns(), ["host.name", "count", "avg(a)", "most", "dc(c)", "p95(a)", "count(d)"]);
}

#[test]
fn commands_on_events_and_on_rows_differ() {
    let sorted = |name: &str, descending| SortBy { name: name.to_owned(), descending };
    let events = ask("a | where b:1 | sort -x, y | fields x, y | head 5");
    assert_eq!(events.query, "a b:1".parse().unwrap());
    let expected = Then::Events {
        fields: Some(strings(&["x", "y"])),
        sort: vec![sorted("x", true), sorted("y", false)],
        limit: Some(5),
    };
    assert_eq!(events.then, expected);
    let Then::Aggregate(_, rest) = ask("a | count by x | where count > 5 | sort by x desc | limit 3 | table x").then
    else {
        panic!()
    };
    let expected = [
        OnRows::Where("count:>5".parse().unwrap()),
        OnRows::Sort(vec![sorted("x", true)]),
        OnRows::Limit(3),
        OnRows::Fields(strings(&["x"])),
    ];
    assert_eq!(rest, expected);
    let rows = |text: &str| match ask(text).then {
        Then::Aggregate(_, mut rest) => rest.remove(0),
        Then::Events { .. } => panic!(),
    };
    assert_eq!(rows("| count by x | where x != a"), OnRows::Where("-x:a".parse().unwrap()));
    assert_eq!(rows("| count by x | where count:>5 OR x:a"), OnRows::Where("count:>5 OR x:a".parse().unwrap()));
}

#[test]
fn what_is_wrong_with_a_command_is_said_where_it_stands() {
    for (text, problem, character) in [
        ("a | cuont", "there is no command `cuont`; did you mean `count`?", 5),
        (
            "a |",
            "a command must follow `|`: count, top, rare, timechart, stats, distinct, fields, sort, limit, where",
            4,
        ),
        ("a | count x", "this command is complete before here; the next one begins with `|`", 11),
        ("a | count by", "the field to count by must follow `by`", 13),
        ("a | count by x,", "a name must follow the comma", 16),
        ("a | top", "the field whose values are counted must follow `top`", 8),
        ("a | top 0 x", "a number from 1 on must stand here", 9),
        ("a | timechart 5x", "an interval is a number and s, m, h, d or w, for example `timechart 1h`", 15),
        (
            "a | timechart 999999999999999999w",
            "an interval is a number and s, m, h, d or w, for example `timechart 1h`",
            15,
        ),
        ("a | stats", "what to compute must follow `stats`, for example `stats avg(event.duration) by host.name`", 10),
        ("a | stats avg", "`avg` needs a field: `avg(event.duration)`", 11),
        ("a | stats avg(x", "the name of one field and `)` must stand here", 15),
        (
            "a | stats p0(x)",
            "there is no function `p0`; there are count, distinct, sum, avg, min, max, median, p95 (any p1 to p99), stdev",
            11,
        ),
        ("a | stats sum(x), sum(x)", "there is a column `sum(x)` already; name this one with `as`", 19),
        ("a | limit", "a number must follow, for example `limit 20`", 10),
        ("a | limit 5 | count", "with `limit` before it, only some events would be counted: put it after", 15),
        ("a | count | top x", "events are counted already; only sort, where, limit and fields can follow", 13),
        ("a | where", "a condition must follow, for example `where count:>5`", 10),
        ("a | where (b", "this parenthesis is never closed; add `)`, or quote it to find it", 11),
        ("a | sort", "the field to sort by must follow, with `-` before it largest first", 9),
        ("a ) | count", crate::search::query::NEVER_OPENED, 3),
    ] {
        let error = text.parse::<Ask>().unwrap_err();
        assert_eq!((error.problem(), error.character()), (problem, character), "{text}");
    }
    let many = format!("a {}", "| limit 5 ".repeat(COMMANDS_MAX + 1));
    assert_eq!(many.parse::<Ask>().unwrap_err().problem(), "more than 16 commands follow the query");
    let names: Vec<String> = (0..=LISTED_MAX).map(|it| format!("f{it}")).collect();
    let error = format!("| count by {}", names.join(",")).parse::<Ask>().unwrap_err();
    assert_eq!(error.problem(), "more than 16 names are listed");
}

#[test]
fn operators_in_small_letters_are_noted() {
    assert_eq!(ask("a and b").notes, ["`and` is looked for as a word; the operator is AND in capitals"]);
    assert!(ask("a AND b").notes.is_empty());
}

proptest::proptest! {
    #[test]
    fn no_commands_make_the_parser_panic(text in r#"(a )?(\|(count|top|stats|sort|where|timechart|limit)?[ab,:"()\-é0-9by= |]{0,20}){0,4}"#) {
        if let Err(error) = text.parse::<Ask>() {
            assert!(error.pointer().ends_with('^') && error.character() <= text.chars().count() + 1);
        }
    }
}
