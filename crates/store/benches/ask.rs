//! How long questions to a data folder take: `ask DATA KEY-FILE QUERIES.json`, for `cargo xtask bench store`.
//!
//! Each question is asked some times of a searcher that was just made, with the operating system's page cache dropped
//! (*cold*), and some times of one that has answered before (*warm*). Prints one JSON object a question, as
//! `peers/store/bench.py` does for others.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark times what it does and prints its figures"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use panoptes_model::Schema;
use panoptes_seal::{KeyEncryptionKey, Secret};
use panoptes_store::StoreReader;
use panoptes_store::disk::RealDisk;
use panoptes_store::search::{
    Ask, Evidence, Make, Query, SearchOptions, SearchRequest, Searcher, Stop, TableRequest, Then,
};
use serde_json::{Value, json};

/// How often each question is asked of a cold and of a warm store.
const COLD: usize = 3;
const WARM: usize = 7;
const LIMIT: usize = 50;

type Failure = Box<dyn std::error::Error>;

struct Folder {
    reader: StoreReader,
    searcher: Searcher,
}

impl Folder {
    fn open(data: &Path, key: &KeyEncryptionKey) -> Result<Self, Failure> {
        let reader = StoreReader::open(data, key)?;
        let options = SearchOptions::default();
        let searcher = Searcher::new(Arc::clone(&reader.disk), key, Arc::new(Schema::ecs()), options)?;
        Ok(Self { reader, searcher })
    }

    /// The answer, one value a row, and what it cost.
    async fn ask(&self, question: &Question) -> Result<(Vec<Value>, String), Failure> {
        let evidence = Evidence { hot: &[], segments: &self.reader.segments };
        match question {
            Question::Events(query) => {
                let mut found = self.searcher.search(evidence, &SearchRequest::new(query.clone(), LIMIT)).await?;
                let rows = found.all_rows()?.iter().map(|it| json!([it.time.to_string()])).collect();
                Ok((rows, format!("{:?}", found.work())))
            }
            Question::Table(request) => {
                let table = self.searcher.table(evidence, request).await?;
                let row = |row: &Vec<panoptes_store::pivot::FieldValue>| {
                    let mut text = String::from("[");
                    for (index, value) in row.iter().enumerate() {
                        if index > 0 {
                            text.push(',');
                        }
                        value.write_json(&mut text);
                    }
                    text.push(']');
                    serde_json::from_str(&text).unwrap_or(Value::Null)
                };
                Ok((table.rows.iter().map(row).collect(), format!("{:?}", table.work)))
            }
        }
    }
}

enum Question {
    Events(Query),
    Table(TableRequest),
}

impl Question {
    fn of(text: &str) -> Result<Self, Failure> {
        let Ask { query, then, .. } = text.parse()?;
        let make = match then {
            Then::Events { fields: None, .. } => return Ok(Self::Events(query)),
            Then::Events { fields: Some(fields), sort, limit } => {
                Make::Events { fields, sort, limit: limit.unwrap_or(LIMIT) }
            }
            Then::Aggregate(aggregate, on_rows) => Make::Groups(aggregate, on_rows),
        };
        let stop = Stop::default();
        Ok(Self::Table(TableRequest { query, make, since: None, until: None, now: None, stop }))
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with("--")).collect();
    let [data, key_file, queries] = arguments.as_slice() else {
        // `cargo test --benches` runs it without.
        println!("usage: ask DATA KEY-FILE QUERIES.json");
        return Ok(());
    };
    let key = store_key(Path::new(data), Path::new(key_file))?;
    let queries: Vec<Value> = serde_json::from_slice(&std::fs::read(queries)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for asked in &queries {
        let question = Question::of(asked["query"].as_str().ok_or("a question needs `query`")?)?;
        let (mut cold, mut warm) = (Vec::new(), Vec::new());
        for _ in 0..COLD {
            let folder = Folder::open(Path::new(data), &key)?;
            if !drop_caches() {
                break;
            }
            let started = Instant::now();
            runtime.block_on(folder.ask(&question))?;
            cold.push(started.elapsed().as_secs_f64());
        }
        let folder = Folder::open(Path::new(data), &key)?;
        let mut answer = (Vec::new(), String::new());
        for _ in 0..WARM {
            let started = Instant::now();
            answer = runtime.block_on(folder.ask(&question))?;
            warm.push(started.elapsed().as_secs_f64());
        }
        let (rows, work) = answer;
        println!(
            "{}",
            json!({
                "peer": "panoptes", "name": asked["name"], "table": asked["table"], "cold": cold, "warm": warm,
                "rows": rows.len(), "first": rows.first(), "last": rows.last(), "work": work,
            })
        );
    }
    Ok(())
}

fn store_key(data: &Path, key_file: &Path) -> Result<KeyEncryptionKey, Failure> {
    let key = KeyEncryptionKey::load(key_file)?;
    let disk = RealDisk::open(data.to_owned())?;
    match panoptes_store::keys::read(&disk)? {
        None => Ok(key),
        Some(slots) => Ok(slots.open(&Secret::Key(key)).ok_or("the key opens no slot")?.store_key),
    }
}

/// `false` if only root may.
fn drop_caches() -> bool {
    std::process::Command::new("sync").status().is_ok_and(|it| it.success())
        && std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}
