use std::cell::Cell;
use std::io::Read as _;
use std::net::TcpListener;
use std::sync::atomic::Ordering;

use super::super::Options;
use super::super::send::Target;
use super::*;

const START: Timestamp = Timestamp::from_seconds(1_705_314_600);

/// A clock that goes on by `step` nanoseconds whenever somebody looks.
fn ticking(step: i64) -> impl Fn() -> Timestamp {
    let now = Cell::new(START);
    move || {
        now.set(now.get().saturating_add_nanos(step));
        now.get()
    }
}

fn run_to(target: &Target, plan: Plan, step: i64, progress: &mut dyn FnMut(&Report)) -> Report {
    let mut generator = Generator::new(1, START, &Options { dress: target.dress(), ..Options::default() });
    let mut sender = Sender::open(target).unwrap();
    run(&mut generator, &mut sender, plan, &ticking(step), &AtomicBool::new(false), progress)
}

#[test]
fn exactly_as_many_lines_as_asked_for_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.log");
    let plan = Plan { count: Some(100_001), ..Plan::default() };
    let mut batches = 0;
    let report = run_to(&Target::File(path.clone()), plan, 1_000, &mut |_| batches += 1);
    assert_eq!(
        (report.ended, report.generated, report.tally.sent, report.tally.failed),
        (Ended::Count, 100_001, 100_001, 0)
    );
    assert_eq!(batches, 101);
    assert!(report.error.is_none() && !report.acknowledges);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!((text.lines().count(), text.len() as u64), (100_001, report.tally.bytes));
    assert!(report.staged.iter().filter(|it| it.is_finished()).count() >= 10, "20 played seconds hold most attacks");
}

#[test]
fn the_rate_is_kept_until_time_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::File(folder.path().join("x.log"));
    let plan = Plan { rate: 5_000, duration: Some(Duration::from_secs(2)), ..Plan::default() };
    // Half a millisecond passes whenever somebody looks, and more while it sleeps (which this clock does not see).
    let report = run_to(&target, plan, 500_000, &mut |_| {});
    assert_eq!(report.ended, Ended::Duration);
    assert!((9_800..=10_000).contains(&report.generated), "{}", report.generated);
    assert!((report.rate() - 5_000.0).abs() < 100.0, "{}", report.rate());
}

#[test]
fn a_stop_ends_the_run_and_everything_sent_arrives() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::Tcp(listener.local_addr().unwrap().to_string());
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    let stop = AtomicBool::new(false);
    let mut generator = Generator::new(1, START, &Options::default());
    let mut sender = Sender::open(&target).unwrap();
    let report = run(&mut generator, &mut sender, Plan::default(), &ticking(1_000), &stop, &mut |report| {
        if report.generated >= 20_000 {
            stop.store(true, Ordering::Relaxed);
        }
    });
    assert_eq!((report.ended, report.generated, report.tally.sent), (Ended::Stopped, 20_000, 20_000));
    drop(sender);
    assert_eq!(reader.join().unwrap().lines().count(), 20_000);
}

#[test]
fn every_generated_line_is_sent_or_failed_when_the_receiver_goes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::Tcp(listener.local_addr().unwrap().to_string());
    let reader = std::thread::spawn(move || {
        let mut some = [0; 1_000];
        listener.accept().unwrap().0.read_exact(&mut some).unwrap();
    });
    let report = run_to(&target, Plan::default(), 1_000, &mut |_| {});
    reader.join().unwrap();
    assert_eq!(report.ended, Ended::Failed);
    assert_eq!(report.generated, report.tally.sent + report.tally.failed);
    let error = format!("{:#}", report.error.unwrap());
    assert!(error.contains("is `panoptes run` running there?"), "{error}");
}
