use panoptes_model::Origin;
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_000_000_000_000);

/// A batch of lines as a stream has them; positions are byte offsets.
fn batch(lines: &[&str]) -> RawBatch {
    let mut batch = RawBatch::new();
    let origin = batch.origin(&Origin::default());
    for line in lines {
        let offset = batch.bytes.len() as u32;
        batch.bytes.extend_from_slice(line.as_bytes());
        batch.bytes.push(b'\n');
        let position = batch.bytes.len() as u64;
        batch.records.push(RawRecord { offset, length: line.len() as u32, origin, received_at: NOW, position });
    }
    batch
}

fn texts(batch: &RawBatch) -> Vec<String> {
    batch.records.iter().map(|it| String::from_utf8_lossy(batch.bytes_of(it)).into_owned()).collect()
}

fn positions(batch: &RawBatch) -> Vec<u64> {
    batch.records.iter().map(|it| it.position).collect()
}

fn joined(lines: &[&str]) -> RawBatch {
    let mut batch = batch(lines);
    join(&mut batch, 0);
    batch
}

fn line(kind: &str, serial: u32) -> String {
    format!("type={kind} msg=audit(1705314600.123:{serial}): a=b")
}

fn lines(parts: &[(&str, u32)]) -> Vec<String> {
    parts.iter().map(|(kind, serial)| line(kind, *serial)).collect()
}

fn refs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

#[test]
fn lines_with_one_stamp_are_one_record_where_they_stand() {
    let all = lines(&[("SYSCALL", 1), ("EXECVE", 1), ("EOE", 1), ("USER_LOGIN", 2), ("SYSCALL", 3), ("PROCTITLE", 3)]);
    let mut given = refs(&all);
    given.insert(0, "something else");
    let batch = joined(&given);
    let expected = ["something else".to_owned(), all[..3].join("\n"), all[3].clone(), all[4..].join("\n")];
    assert_eq!(texts(&batch), expected);
    let bytes: usize = expected.iter().map(|it| it.len() + 1).sum();
    assert_eq!(batch.bytes.len(), bytes, "nothing is copied");
    assert_eq!(positions(&batch).last(), Some(&(bytes as u64)));
}

#[test]
fn events_that_stand_among_each_other_come_in_the_order_of_their_first_lines() {
    let all = lines(&[("SYSCALL", 1), ("SYSCALL", 2), ("EXECVE", 2), ("EXECVE", 1), ("PROCTITLE", 1), ("CWD", 2)]);
    let mut given = refs(&all);
    given.insert(2, "between");
    let batch = joined(&given);
    let one = [&*all[0], &*all[3], &*all[4]].join("\n");
    let two = [&*all[1], &*all[2], &*all[5]].join("\n");
    assert_eq!(texts(&batch), [one, two, "between".to_owned()]);
    let end = given.iter().map(|it| it.len() as u64 + 1).sum::<u64>();
    assert_eq!(positions(&batch), [end - all[5].len() as u64 - 1, end, end], "never before an earlier record's");
}

#[test]
fn the_stamp_is_found_behind_what_relays_put_in_front() {
    let syslog = |kind: &str| format!("<13>Jan 15 10:30:00 h audispd: node=n type={kind} msg=audit(1.5:7): a=b");
    let all = [syslog("SYSCALL"), syslog("EXECVE")];
    assert_eq!(texts(&joined(&refs(&all))).len(), 1);
    let kernel = ["h kernel: audit: type=1300 audit(1.5:7): a=b", "h kernel: audit: type=1327 audit(1.5:7): a=b"];
    assert_eq!(texts(&joined(&kernel)).len(), 1);
    // Two hosts may count alike; JSON is what it is; and neither words nor numbers alone make a stamp.
    for apart in [
        ["node=a type=CWD msg=audit(1.5:7): x", "node=b type=PATH msg=audit(1.5:7): x"],
        ["{\"a\":\"type=CWD msg=audit(1.5:7): x\"}", "{\"a\":\"type=PATH msg=audit(1.5:7): x\"}"],
        ["type=CWD msg=audit(1.5): x", "type=CWD msg=audit(1.5): x"],
        ["subtype=CWD msg=audit(1.5:7): x", "subtype=CWD msg=audit(1.5:7): x"],
        ["said audit(1.5:7)", "said audit(1.5:7)"],
        ["type=CWD msg=audit(1.5:7", "type=CWD msg=audit(1.5:7"],
    ] {
        assert_eq!(texts(&joined(&apart)), apart);
    }
    let far = format!("{} type=CWD msg=audit(1.5:7): x", "x".repeat(HEAD_BYTES_MAX));
    assert_eq!(texts(&joined(&[&far, &far])).len(), 2);
}

#[test]
fn what_may_go_on_is_held_back_with_all_behind_it() {
    let hold = |parts: &[(&str, u32)], ending| held_from(&batch(&refs(&lines(parts))), 0, ending);
    let open = &[("SYSCALL", 1), ("PROCTITLE", 1), ("SYSCALL", 2), ("USER_LOGIN", 3), ("SYSCALL", 4), ("EOE", 4)];
    assert_eq!(hold(open, Ending::Open), Some(2));
    assert_eq!(hold(open, Ending::Closed), Some(6));
    let later = Timestamp(NOW.0 + AUDIT_HOLD.as_nanos() as i64);
    assert_eq!(hold(open, Ending::Live(Timestamp(later.0 - 1))), Some(2));
    assert_eq!(hold(open, Ending::Live(later)), Some(6), "nobody is waited for for ever");
    assert_eq!(hold(open, Ending::Live(Timestamp(0))), Some(6), "nor if the clock was set back");
    // 1 has ended, but stands among the lines of 2, which has not.
    assert_eq!(hold(&[("CWD", 9), ("EOE", 9), ("SYSCALL", 1), ("SYSCALL", 2), ("EOE", 1)], Ending::Open), Some(2));
    assert_eq!(held_from(&batch(&["a", "b"]), 0, Ending::Open), None);
    assert_eq!(held_from(&RawBatch::new(), 0, Ending::Open), None);
}

#[test]
fn what_is_held_is_bounded() {
    // Endless serials: only so many are open, and so many lines and bytes wait for them.
    let all: Vec<String> = (0..20_000).map(|serial| line("SYSCALL", serial)).collect();
    let endless = batch(&refs(&all));
    assert_eq!(held_from(&endless, 0, Ending::Open), Some(20_000 - AUDIT_EVENTS_OPEN_MAX));
    let mut others = vec![line("SYSCALL", 1)];
    others.resize(AUDIT_GAP_LINES_MAX, "other".to_owned());
    assert_eq!(held_from(&batch(&refs(&others)), 0, Ending::Open), Some(0));
    others.push("other".to_owned());
    assert_eq!(held_from(&batch(&refs(&others)), 0, Ending::Open), Some(others.len()));
    let long = format!("{}{}", line("SYSCALL", 1), "x".repeat(AUDIT_HELD_BYTES_MAX));
    assert_eq!(held_from(&batch(&[&long]), 0, Ending::Open), Some(1));
    // A chain in which no event ends before the next begins.
    let chain: Vec<String> = (0..30_000).flat_map(|it| [line("SYSCALL", it + 1), line("EXECVE", it)]).collect();
    let chain = batch(&refs(&chain));
    assert_eq!(held_from(&chain, 0, Ending::Open), Some(60_000));
}

#[test]
fn the_lines_of_one_event_are_bounded() {
    let all = vec![line("PATH", 1); AUDIT_EVENT_LINES_MAX + 1];
    assert_eq!(joined(&refs(&all)).records.len(), 2);
    let long = format!("{}{}", line("EXECVE", 1), "x".repeat(LINE_BYTES_MAX / 2));
    let two = joined(&[&long, &long]);
    assert_eq!(two.records.len(), 2);
    assert!(two.records.iter().all(|it| (it.length as usize) < LINE_BYTES_MAX));
}

#[test]
fn datagrams_of_several_senders_are_joined_for_each() {
    let mut batch = RawBatch::new();
    let origins: Vec<u32> =
        ["a", "b"].map(|it| batch.origin(&Origin { source: it.to_owned(), ..Origin::default() })).to_vec();
    for (number, (kind, origin)) in [("SYSCALL", 0), ("SYSCALL", 1), ("EXECVE", 0), ("EXECVE", 1)].iter().enumerate() {
        batch.push(origins[*origin], NOW, number as u64 + 1, line(kind, 1).as_bytes());
    }
    let rest = split(&mut batch.clone(), 3);
    assert_eq!((rest.origins.len(), texts(&rest)), (1, vec![line("EXECVE", 1)]));
    join(&mut batch, 0);
    let both = format!("{}\n{}", line("SYSCALL", 1), line("EXECVE", 1));
    assert_eq!(texts(&batch), [both.clone(), both]);
    assert_eq!(positions(&batch), [3, 4]);
}

#[test]
fn only_what_follows_is_joined_if_so_asked() {
    let all = lines(&[("SYSCALL", 1), ("EXECVE", 1), ("CWD", 1)]);
    let mut batch = batch(&refs(&all));
    join(&mut batch, 1);
    assert_eq!(texts(&batch), [all[0].clone(), all[1..].join("\n")]);
}

/// What a reader makes of a stream that it reads in pieces, each batch durable before the next; with `crash`, it
/// forgets what it holds there and goes on from the last position.
fn read(lines: &[String], pieces: &[usize], crash: Option<usize>) -> Vec<String> {
    let text = lines.iter().map(|it| format!("{it}\n")).collect::<String>().into_bytes();
    let (mut seen, mut start) = (Vec::new(), 0_usize);
    let mut ends: Vec<usize> = pieces.iter().map(|it| *it % (lines.len() + 1)).collect();
    ends.sort_unstable();
    // The end is reached twice, should the first time be lost.
    ends.extend([lines.len(); 2]);
    for (number, end) in ends.iter().enumerate() {
        let mut batch = RawBatch::new();
        let origin = batch.origin(&Origin::default());
        let mut at = start;
        while at < text.len() {
            let length = text[at..].iter().position(|it| *it == b'\n').unwrap();
            if text[..at].iter().filter(|it| **it == b'\n').count() >= *end {
                break;
            }
            batch.push(origin, NOW, (at + length + 1) as u64, &text[at..at + length]);
            at += length + 1;
        }
        let ending = if *end == lines.len() { Ending::Closed } else { Ending::Open };
        if let Some(from) = held_from(&batch, 0, ending) {
            drop(split(&mut batch, from));
            join(&mut batch, 0);
        }
        if crash == Some(number) {
            // Not durable: read again.
            continue;
        }
        seen.extend(texts(&batch));
        start = batch.records.last().map_or(start, |it| it.position as usize);
    }
    seen
}

proptest! {
    #[test]
    fn nothing_is_lost_or_doubled_however_it_is_read(
        parts in prop::collection::vec(
            (prop_oneof![Just("SYSCALL"), Just("EXECVE"), Just("PROCTITLE"), Just("EOE"), Just("USER_AUTH"), Just("")], 0_u32..4),
            0..40,
        ),
        pieces in prop::collection::vec(any::<usize>(), 0..4),
        crash in prop::option::of(0_usize..3),
    ) {
        let lines: Vec<String> = parts.iter().enumerate().map(|(number, (kind, serial))| match *kind {
            "" => format!("other {number}"),
            kind => format!("{} n={number}", line(kind, *serial)),
        }).collect();
        let seen = read(&lines, &pieces, crash);
        let mut read_lines: Vec<String> = seen.iter().flat_map(|it| it.lines().map(str::to_owned)).collect();
        let mut expected = lines.clone();
        read_lines.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(&read_lines, &expected);
        for record in &seen {
            let mark = memmem::Finder::new(MARK);
            let stamps: Vec<_> = record.lines().map(|it| Stamp::of(it.as_bytes(), &mark).map(|it| it.0)).collect();
            prop_assert!(stamps.windows(2).all(|it| it[0] == it[1]), "{}", record);
        }
    }

    #[test]
    fn any_bytes_keep_their_records(records in prop::collection::vec(
        "(type=[A-Z]{0,3} |msg=|audit\\(|1\\.2:|[0-9]|\\)|: |node=a |x| ){0,12}", 0..30)) {
        let mut given = batch(&records.iter().map(String::as_str).collect::<Vec<_>>());
        held_from(&given, 0, Ending::Open);
        join(&mut given, 0);
        prop_assert!(given.records.len() <= records.len());
        let total: usize = texts(&given).iter().map(|it| it.split('\n').count()).sum();
        prop_assert_eq!(total, records.len());
    }
}
