//! The journal through a stand-in for `journalctl`, and through files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use panoptes_intake::inputs::{Import, ImportConfig, JournaldConfig, JournaldInput, OwnService, StartAt};
use panoptes_intake::limits::JOURNAL_CURSOR_TRIES_MAX;
use panoptes_intake::{Context, InputError};
use panoptes_model::FrameId;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::support::{balanced, clock, gzip, seen, soon, start};

/// The stand-in, which reads the folder `journal`.
pub(crate) fn config(journal: &Path) -> JournaldConfig {
    JournaldConfig {
        program: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/journalctl.sh"),
        arguments: vec![format!("--directory={}", journal.display())],
        start_at: StartAt::Beginning,
        restart_pause: Duration::from_millis(1),
        ..JournaldConfig::default()
    }
}

/// The `number`th entry of the stand-in's journal.
pub(crate) fn entry(number: usize, message: &[u8], more: &str) -> Vec<u8> {
    let head = format!("__CURSOR=s=1;i={number};t=f4240\n{more}MESSAGE\n");
    [head.as_bytes(), &(message.len() as u64).to_le_bytes(), message, b"\n\n"].concat()
}

pub(crate) fn put(journal: &Path, number: usize, message: &[u8], more: &str) {
    std::fs::write(journal.join(format!("entry.{number}")), entry(number, message, more)).unwrap();
}

fn run(context: &Context, config: JournaldConfig, cursor: Option<&str>) -> JoinHandle<Option<String>> {
    let input = JournaldInput::new(config, cursor.map(str::to_owned)).unwrap();
    tokio::spawn(input.run(context.clone()))
}

fn messages<'t>(texts: impl IntoIterator<Item = &'t str>) -> Vec<String> {
    let of = |it: &str| serde_json::from_str::<Value>(it).unwrap()["MESSAGE"].as_str().unwrap().to_owned();
    texts.into_iter().map(of).collect()
}

fn calls(journal: &Path) -> Vec<String> {
    std::fs::read_to_string(journal.join("calls")).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_restart_goes_on_behind_the_last_durable_entry() {
    let journal = tempfile::tempdir().unwrap();
    put(journal.path(), 1, b"one", "PRIORITY=6\n");
    put(journal.path(), 2, b"two\nlines", "");
    let (context, mut pipeline) = start();
    let running = run(&context, config(journal.path()), None);
    let submission = pipeline.recv().await;
    let batch = submission.batch.clone();
    let records = seen(&batch);
    assert_eq!(messages(records.iter().map(|it| it.text.as_str())), ["one", "two\nlines"]);
    assert_eq!(records[0].text, r#"{"__CURSOR":"s=1;i=1;t=f4240","PRIORITY":"6","MESSAGE":"one"}"#);
    assert_eq!(batch.origins[0].identity.as_deref(), Some("s=1;i=2;t=f4240"));
    // The log fails: the same comes again, and nothing that comes after it before.
    submission.ticket.failed("disk full");
    let submission = pipeline.recv().await;
    assert_eq!(submission.batch, batch);
    submission.ticket.committed(FrameId(1));
    context.shutdown.cancel();
    let cursor = soon(running).await.unwrap();
    assert_eq!(cursor.as_deref(), Some("s=1;i=2;t=f4240"));

    put(journal.path(), 3, b"three", "");
    let (context, mut pipeline) = start();
    let running = run(&context, config(journal.path()), cursor.as_deref());
    let records = pipeline.records(1).await;
    assert_eq!(messages(records.iter().map(|it| it.text.as_str())), ["three"]);
    context.shutdown.cancel();
    assert_eq!(soon(running).await.unwrap().as_deref(), Some("s=1;i=3;t=f4240"));
    assert_eq!(balanced(&context.counters).accepted, 1);
}

#[tokio::test]
async fn what_was_not_durable_at_a_shutdown_comes_again() {
    let journal = tempfile::tempdir().unwrap();
    put(journal.path(), 1, b"one", "");
    let (context, mut pipeline) = start();
    let running = run(&context, config(journal.path()), None);
    let submission = pipeline.recv().await;
    context.shutdown.cancel();
    submission.ticket.failed("disk full");
    assert_eq!(soon(running).await.unwrap(), None, "no place to go on from");
    assert_eq!(balanced(&context.counters).received, 0);
}

#[tokio::test]
async fn a_journalctl_that_ends_is_started_again_where_it_was() {
    let journal = tempfile::tempdir().unwrap();
    std::fs::write(journal.path().join("mode"), "once").unwrap();
    put(journal.path(), 1, b"one", "");
    let (context, mut pipeline) = start();
    let running = run(&context, config(journal.path()), None);
    let first = pipeline.records(1).await;
    put(journal.path(), 2, b"two", "");
    let second = pipeline.records(1).await;
    let texts = first.iter().chain(&second).map(|it| it.text.as_str());
    assert_eq!(messages(texts), ["one", "two"]);
    assert!(second[0].position > first[0].position);
    context.shutdown.cancel();
    soon(running).await.unwrap();
    assert!(calls(journal.path()).iter().any(|it| it.starts_with("after=1 ")), "{:?}", calls(journal.path()));
}

#[tokio::test]
async fn a_cursor_that_the_journal_does_not_know_is_given_up_for_its_time() {
    let journal = tempfile::tempdir().unwrap();
    std::fs::write(journal.path().join("mode"), "lost").unwrap();
    put(journal.path(), 1, b"one", "");
    let (context, mut pipeline) = start();
    let running = run(&context, config(journal.path()), Some("s=9;i=7;t=f4240"));
    assert_eq!(pipeline.records(1).await.len(), 1);
    context.shutdown.cancel();
    soon(running).await.unwrap();
    let calls = calls(journal.path());
    assert_eq!(calls.len(), JOURNAL_CURSOR_TRIES_MAX as usize + 1, "{calls:?}");
    assert_eq!(calls.last().unwrap(), "after=0 lines=all since=@1");
}

#[tokio::test]
async fn a_first_start_begins_at_the_end_and_a_quiet_journal_keeps_its_place() {
    let journal = tempfile::tempdir().unwrap();
    put(journal.path(), 1, b"old", "");
    let (context, mut pipeline) = start();
    let config = JournaldConfig { start_at: StartAt::End, ..config(journal.path()) };
    let running = run(&context, config.clone(), None);
    soon(async {
        while !journal.path().join("calls").try_exists().unwrap() || calls(journal.path()).len() < 2 {
            tokio::task::yield_now().await
        }
    })
    .await;
    context.shutdown.cancel();
    let cursor = soon(running).await.unwrap();
    assert_eq!(cursor.as_deref(), Some("s=1;i=1;t=f4240"));
    assert!(pipeline.submissions.try_recv().is_none());
    // What is written while nobody looks is not lost.
    put(journal.path(), 2, b"new", "");
    let (context, mut pipeline) = start();
    let running = run(&context, config, cursor.as_deref());
    assert_eq!(messages(pipeline.records(1).await.iter().map(|it| it.text.as_str())), ["new"]);
    context.shutdown.cancel();
    soon(running).await.unwrap();
}

#[tokio::test]
async fn entries_of_this_very_service_are_passed_over_and_of_nobody_else() {
    let journal = tempfile::tempdir().unwrap();
    put(journal.path(), 1, b"same number, other service", "_PID=42\n_SYSTEMD_INVOCATION_ID=theirs\n");
    put(journal.path(), 2, b"own", "_PID=42\n_SYSTEMD_INVOCATION_ID=ours\n");
    put(journal.path(), 3, b"a child of ours", "_PID=43\n_SYSTEMD_INVOCATION_ID=ours\n");
    put(journal.path(), 4, b"own again", "_PID=42\n_SYSTEMD_INVOCATION_ID=ours\n");
    put(journal.path(), 5, b"last", "");
    let (context, mut pipeline) = start();
    let own = Some(OwnService { pid: 42, invocation: "ours".to_owned() });
    let running = run(&context, JournaldConfig { own, ..config(journal.path()) }, None);
    let records = pipeline.records(3).await;
    let texts = records.iter().map(|it| it.text.as_str());
    assert_eq!(messages(texts), ["same number, other service", "a child of ours", "last"]);
    context.shutdown.cancel();
    assert_eq!(soon(running).await.unwrap().as_deref(), Some("s=1;i=5;t=f4240"));
}

#[test]
fn a_journal_that_has_nothing_to_show_is_known() {
    let journal = tempfile::tempdir().unwrap();
    assert!(!config(journal.path()).has_entries());
    put(journal.path(), 1, b"one", "");
    assert!(config(journal.path()).has_entries());
    assert!(!JournaldConfig { program: "/no/such/journalctl".into(), ..JournaldConfig::default() }.has_entries());
}

#[tokio::test]
async fn a_missing_journalctl_is_told_with_its_cure() {
    let config = JournaldConfig { program: "/no/such/journalctl".into(), ..JournaldConfig::default() };
    let error = JournaldInput::new(config, None).err().unwrap();
    assert!(matches!(error, InputError::Journalctl { .. }));
    assert!(error.to_string().contains("has no systemd"), "{error}");
    let config = JournaldConfig { program: "/bin/false".into(), ..JournaldConfig::default() };
    assert!(JournaldInput::new(config, None).err().unwrap().to_string().contains("may run it"));
}

#[test]
fn exports_are_imported_and_what_is_damaged_in_them_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let bytes =
        [entry(1, b"one \xff\0", ""), b"damaged\n\xff\xff\xff\xff\xff\xff\xff\xff\n\n".to_vec(), entry(2, b"two", "")];
    std::fs::write(folder.path().join("a.export"), bytes.concat()).unwrap();
    std::fs::write(folder.path().join("b.export.gz"), gzip(&bytes[2])).unwrap();
    let config = ImportConfig { paths: vec![folder.path().to_owned()], ..ImportConfig::default() };
    let (mut texts, mut problems) = (Vec::new(), Vec::new());
    for item in Import::new(config, clock()) {
        match item {
            Ok(batch) => texts.extend(seen(&batch).into_iter().map(|it| it.text)),
            Err(problem) => problems.push((problem.position, problem.problem.to_string())),
        }
    }
    assert_eq!(messages(texts.iter().map(String::as_str)), ["one \u{fffd}\0", "two", "two"]);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].1.contains("journal's export") && problems[0].0 >= Some(bytes[0].len() as u64), "{problems:?}");
}
