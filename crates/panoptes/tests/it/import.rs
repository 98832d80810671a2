//! Imports that are interrupted, repeated, or of files that grow.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::commands::panoptes;
use crate::support::{json_lines, output_of};

fn import(home: &Path, paths: &[PathBuf], more: &[&str]) -> Command {
    let mut command = panoptes(home);
    command.arg("import").args(paths).args(more);
    command
}

/// How often each token is in the evidence.
fn stored(home: &Path) -> HashMap<String, u32> {
    let mut tokens = HashMap::new();
    let mut search = panoptes(home);
    search.env("PANOPTES__STORE__QUERY_BYTES_MAX", "1073741824");
    for event in json_lines(&output_of(search.args(["search", "", "--format", "jsonl", "--limit", "1000000"]))) {
        let original = event["event.original"].as_str().expect("every event has its original");
        let token = original.split("token-").nth(1).and_then(|it| it.split(['"', ' ']).next()).unwrap_or_default();
        *tokens.entry(token.to_owned()).or_default() += 1;
    }
    tokens
}

fn lines(file: &str, count: u32) -> String {
    (0..count)
        .map(|n| {
            format!(
                "203.0.113.{} - - [21/Nov/2025:10:{:02}:{:02} +0000] \"GET /p/{n} HTTP/1.1\" 200 512 \"-\" \"token-{file}.{n} \"\n",
                n % 250,
                n / 60 % 60,
                n % 60
            )
        })
        .collect()
}

/// Plain and compressed text, a JSON array and a table: each kind of reading goes on in its own way.
fn files(home: &Path) -> (Vec<PathBuf>, usize) {
    let folder = home.join("logs");
    std::fs::create_dir(&folder).expect("a folder");
    let mut paths = Vec::new();
    let mut put = |name: &str, bytes: Vec<u8>| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a file");
        paths.push(path);
    };
    put("plain.log", lines("plain", 40_000).into_bytes());
    put("packed.log.zst", zstd::encode_all(lines("zst", 20_000).as_bytes(), 1).expect("it compresses"));
    let array: Vec<String> = (0..5_000).map(|n| format!("{{\"message\":\"token-array.{n} \"}}")).collect();
    put("array.json", format!("[{}]", array.join(",\n")).into_bytes());
    let rows: String = (0..5_000).map(|n| format!("{n},token-row.{n} ,x\n")).collect();
    put("table.csv", format!("number,message,more\n{rows}").into_bytes());
    (paths, 70_000)
}

#[test]
fn an_import_that_is_killed_again_and_again_has_every_record_once() {
    let home = tempfile::tempdir().unwrap();
    let (paths, expected) = files(home.path());
    let seed = std::env::var("PANOPTES_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    let mut dice = fastrand::Rng::with_seed(seed);
    let (mut kills, mut went_on) = (0, 0);
    for _ in 0..10 {
        let mut run = import(home.path(), &paths, &[]);
        let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(dice.u64(200..1_300)));
        if run.try_wait().unwrap().is_none() {
            kills += 1;
        }
        drop(run.kill());
        drop(run.wait());
    }
    let said = output_of(&mut import(home.path(), &paths, &[]));
    if said.contains("were left out") {
        went_on += 1;
    }
    println!("{kills} kills, seed {seed}: {said}");
    assert!(kills > 0 && went_on > 0, "the test needs imports that go on: {said}");
    let stored = stored(home.path());
    let doubled: Vec<_> = stored.iter().filter(|it| *it.1 != 1).take(5).collect();
    assert!(doubled.is_empty(), "seed {seed}: {doubled:?}");
    assert_eq!(stored.len(), expected, "seed {seed}");
}

#[test]
fn a_file_is_imported_once_whatever_it_is_called_until_it_grows() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("some.log");
    std::fs::write(&log, lines("a", 10)).unwrap();
    let said = output_of(&mut import(home.path(), std::slice::from_ref(&log), &[]));
    assert!(said.contains("10 records from 1 files") && !said.contains("left out"), "{said}");
    let twice = output_of(&mut import(home.path(), std::slice::from_ref(&log), &[]));
    assert!(twice.contains("0 records from") && twice.contains("10 records were left out"), "{twice}");
    assert!(twice.contains("--again"), "{twice}");
    let copy = home.path().join("copy.log");
    std::fs::copy(&log, &copy).unwrap();
    let said = output_of(&mut import(home.path(), &[copy], &[]));
    assert!(said.contains("10 records were left out"), "{said}");
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(lines("b", 3).as_bytes()).unwrap();
    let said = output_of(&mut import(home.path(), std::slice::from_ref(&log), &[]));
    assert!(said.contains("3 records from") && said.contains("10 records were left out"), "{said}");
    assert_eq!(stored(home.path()).len(), 13);
    let again = output_of(&mut import(home.path(), &[log], &["--again"]));
    assert!(again.contains("13 records from") && !again.contains("left out"), "{again}");
    assert!(stored(home.path()).values().all(|it| *it == 2));
}
