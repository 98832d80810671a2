//! Logs of containers in the folders that Docker and Kubernetes would have.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use panoptes_intake::Context;
use panoptes_intake::inputs::{ContainerConfig, ContainerInput, FileCheckpoints, StartAt};
use panoptes_intake::limits::CONTAINER_HOLD;
use panoptes_model::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{Pipeline, Seen, balanced, soon, start};

fn append(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn run(context: &Context, folder: &Path, known: FileCheckpoints) -> JoinHandle<Option<FileCheckpoints>> {
    let pattern = |it: &str| format!("{}/{it}", folder.display());
    let paths = vec![pattern("containers/*/*-json.log"), pattern("pods/*/*/*.log")];
    let config = ContainerConfig { paths, start_at: StartAt::Beginning, ..ContainerConfig::default() };
    tokio::spawn(ContainerInput::new(config, known).unwrap().run(context.clone()))
}

fn objects(records: &[Seen]) -> Vec<Value> {
    records.iter().map(|it| serde_json::from_str(&it.text).unwrap()).collect()
}

async fn take(pipeline: &mut Pipeline, count: usize) -> Vec<Value> {
    objects(&pipeline.records(count).await)
}

fn docker(text: &str) -> String {
    json!({ "log": text, "stream": "stdout", "time": "2024-01-15T10:30:00Z" }).to_string() + "\n"
}

#[tokio::test]
async fn containers_of_docker_and_kubernetes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let id = "ab".repeat(32);
    let docker_folder = folder.path().join("containers").join(&id);
    append(&docker_folder.join("config.v2.json"), r#"{"Name":"/web","Config":{"Image":"nginx:1.25"}}"#);
    append(&docker_folder.join(format!("{id}-json.log")), &docker("ready\n"));
    append(&folder.path().join("pods/shop_web-7d9_0a1b/app/0.log"), "2024-01-15T10:30:00Z stderr F failed\n");
    let (context, mut pipeline) = start();
    let running = run(&context, folder.path(), FileCheckpoints::default());
    let records = pipeline.records(2).await;
    let mut sources: Vec<_> = records.iter().map(|it| it.source.as_str()).collect();
    sources.sort_unstable();
    assert_eq!(sources, ["docker/web", "kubernetes/shop/app"]);
    let of = |source: &str| objects(&records[records.iter().position(|it| it.source == source).unwrap()..])[0].clone();
    let named = of("docker/web");
    assert_eq!(
        (&named["container.name"], &named["container.image.name"], &named["log"]),
        (&"web".into(), &"nginx:1.25".into(), &"ready".into())
    );
    let named = of("kubernetes/shop/app");
    assert_eq!(
        (&named["orchestrator.resource.name"], &named["stream"], &named["log"]),
        (&"web-7d9".into(), &"stderr".into(), &"failed".into())
    );
    context.shutdown.cancel();
    soon(running).await.unwrap();
    let totals = balanced(&context.counters);
    assert_eq!(totals.accepted, 2);
    assert!(context.counters.totals().iter().all(|it| it.input == "container"));
}

#[tokio::test]
async fn a_line_in_pieces_is_one_record_also_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let id = "cd".repeat(32);
    let log = folder.path().join("containers").join(&id).join(format!("{id}-json.log"));
    append(&log, &(docker("one\n") + &docker("two ") + &docker("and ")));
    let (context, mut pipeline) = start();
    let running = run(&context, folder.path(), FileCheckpoints::default());
    assert_eq!(take(&mut pipeline, 1).await[0]["log"], "one");
    context.shutdown.cancel();
    let known = soon(running).await.unwrap().unwrap();
    append(&log, &(docker("three\n") + &docker("four\n")));
    let (context, mut pipeline) = start();
    let running = run(&context, folder.path(), known);
    let records = take(&mut pipeline, 2).await;
    assert_eq!((&records[0]["log"], &records[1]["log"]), (&"two and three".into(), &"four".into()));
    context.shutdown.cancel();
    soon(running).await.unwrap();
}

#[tokio::test]
async fn a_line_whose_end_does_not_come_is_a_record_after_a_while() {
    let folder = tempfile::tempdir().unwrap();
    append(&folder.path().join("pods/shop_web_0a1b/app/0.log"), "2024-01-15T10:30:00Z stdout P progress 50% \n");
    let (context, mut pipeline) = start();
    // Each look finds it a quarter of the way on.
    let now = AtomicI64::new(1_705_314_600_000);
    let step = CONTAINER_HOLD.as_millis() as i64 / 4;
    let clock = Arc::new(move || Timestamp::from_millis(now.fetch_add(step, Ordering::Relaxed)));
    let context = Context { clock, ..context };
    let running = run(&context, folder.path(), FileCheckpoints::default());
    assert_eq!(take(&mut pipeline, 1).await[0]["log"], "progress 50% ");
    context.shutdown.cancel();
    soon(running).await.unwrap();
}

#[tokio::test]
async fn a_file_larger_than_many_turns_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pieces = 60_000;
    let line = |n: usize| {
        let mark = if n % 3 == 2 { 'F' } else { 'P' };
        format!("2024-01-15T10:30:00Z stdout {mark} piece {n} {} \n", "x".repeat(n % 50))
    };
    append(&folder.path().join("pods/shop_web_0a1b/app/0.log"), &(0..pieces).map(line).collect::<String>());
    let (context, mut pipeline) = start();
    let running = run(&context, folder.path(), FileCheckpoints::default());
    let records = take(&mut pipeline, pieces / 3).await;
    for (n, record) in records.iter().enumerate() {
        let text = record["log"].as_str().unwrap();
        let numbers: Vec<usize> =
            text.split("piece ").skip(1).map(|it| it.split(' ').next().unwrap().parse().unwrap()).collect();
        assert_eq!(numbers, [n * 3, n * 3 + 1, n * 3 + 2], "{text}");
    }
    context.shutdown.cancel();
    soon(running).await.unwrap();
}
