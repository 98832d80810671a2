//! Evidence beside ClickHouse and DuckDB: what taking it in costs, how much disk it takes, and how long questions take.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::server::Scratch;
use crate::run;

/// 3 GB of Windows events, and as many lines of nginx as a busy site has in a month.
const WINDOWS_DEFAULT: &str = "1500000";
const NGINX_DEFAULT: &str = "10000000";
const PEERS: [&str; 2] = ["clickhouse", "duckdb"];

pub(crate) fn store(options: &[&str]) -> anyhow::Result<bool> {
    let (mut windows, mut nginx) = (WINDOWS_DEFAULT.to_owned(), NGINX_DEFAULT.to_owned());
    let mut kept = None;
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let value = *options.next().with_context(|| format!("`{option}` needs a value"))?;
        match *option {
            "--windows" => windows = value.replace('_', ""),
            "--nginx" => nginx = value.replace('_', ""),
            "--folder" => kept = Some(PathBuf::from(value)),
            _ => bail!("`bench store` knows --windows, --nginx and --folder, not `{option}`"),
        }
    }
    let corpora = run::corpora().context("the Windows events are in the corpora: set PANOPTES_CORPORA")?;
    let panoptes = run::build_panoptes(true)?;
    let ask = ask_binary()?;
    let python = python(&panoptes)?;
    let scratch = Scratch::new()?;
    let folder = match kept {
        Some(folder) => {
            std::fs::create_dir_all(&folder)?;
            folder.canonicalize()?
        }
        None => scratch.folder("store")?,
    };
    println!("{} cores, {}", std::thread::available_parallelism()?, super::processor());
    let script = run::root().join("peers/store/bench.py");
    let bench = |arguments: &[&str]| {
        let mut command = Command::new(&python);
        command.arg(&script).args(arguments).arg(&folder);
        command
    };
    if !folder.join("queries.json").exists() {
        eprintln!("making {windows} Windows events and {nginx} lines of nginx");
        let mut inputs = bench(&["inputs", "--windows", &windows, "--nginx", &nginx]);
        inputs.arg("--panoptes").arg(&panoptes).arg("--corpora").arg(corpora.canonicalize()?);
        run::succeed(&mut inputs)?;
    }

    println!("\n| | CPU s, both inputs | of it merging | wall s | disk MB, Windows and nginx |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (title, config) in
        [("detection off", "[rules]\nshipped = false\ndisabled = [\"behaviour\"]\n"), ("all shipped rules", "")]
    {
        let data = folder.join(title.replace(' ', "-"));
        let taken = take_in(&panoptes, &python, &script, &folder, &data, config)?;
        println!("| Panoptes, {title} | {taken} |");
    }
    for peer in PEERS {
        let line = run::output(&mut bench(&["ingest", peer]))?;
        let told: Value = serde_json::from_str(line.trim()).with_context(|| format!("{peer} says: {line}"))?;
        let number = |name: &str| told[name].as_f64().unwrap_or(f64::NAN);
        let sizes = told["bytes"].as_object().into_iter().flatten();
        let bytes: f64 = sizes.filter_map(|(_, it)| it.as_f64()).sum();
        println!(
            "| {peer} | {:.1} | {:.1} | {:.1} | {:.1} |",
            number("cpu"),
            number("cpu") - number("cpu_before_settling"),
            number("seconds"),
            bytes / 1e6
        );
    }

    let mut answers: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    let mut order = Vec::new();
    let mut ours = Command::new(&ask);
    ours.arg(folder.join("detection-off")).arg(folder.join("key")).arg(folder.join("queries.json"));
    for output in [
        run::output(&mut ours)?,
        run::output(&mut bench(&["ask", "clickhouse"]))?,
        run::output(&mut bench(&["ask", "duckdb"]))?,
    ] {
        for line in output.lines() {
            let answer: Value = serde_json::from_str(line).with_context(|| format!("not an answer: {line}"))?;
            let key = (text(&answer["table"]), text(&answer["name"]));
            if !answers.contains_key(&key) {
                order.push(key.clone());
            }
            answers.entry(key).or_default().push(answer);
        }
    }
    print_questions(&order, &answers);
    Ok(true)
}

/// CPU, wall and disk of one import with merging, as cells of a table.
fn take_in(
    panoptes: &Path,
    python: &Path,
    script: &Path,
    folder: &Path,
    data: &Path,
    config: &str,
) -> anyhow::Result<String> {
    let config_file = data.with_extension("toml");
    std::fs::write(&config_file, format!("files = []\n{config}"))?;
    let measured = |arguments: &[&Path]| -> anyhow::Result<(f64, f64)> {
        let mut command = Command::new(python);
        command.arg(script).arg("run").arg(panoptes).args(arguments);
        command.arg("--config").arg(&config_file).arg("--data").arg(data).arg("--key-file").arg(folder.join("key"));
        let told: Value = serde_json::from_str(run::output(&mut command)?.lines().last().unwrap_or(""))?;
        let number = |name: &str| told[name].as_f64().with_context(|| format!("no `{name}` in {told}"));
        Ok((number("cpu")?, number("seconds")?))
    };
    let files = [folder.join("windows.jsonl"), folder.join("nginx.log")];
    let (import, import_wall) = measured(&[Path::new("import"), &files[0], &files[1]])?;
    let (merging, merging_wall) = measured(&[Path::new("compact")])?;
    let mut bytes = 0;
    for entry in std::fs::read_dir(data.join("segments"))? {
        bytes += entry?.metadata()?.len();
    }
    Ok(format!(
        "{:.1} | {merging:.1} | {:.1} | {:.1}",
        import + merging,
        import_wall + merging_wall,
        bytes as f64 / 1e6
    ))
}

fn print_questions(order: &[(String, String)], answers: &BTreeMap<(String, String), Vec<Value>>) {
    let mut ratios = BTreeMap::from([("cold", Vec::new()), ("warm", Vec::new())]);
    println!("\nMilliseconds, median and (p95); the ratio is of medians, Panoptes by ClickHouse.");
    println!("\n| question | of | | Panoptes | ClickHouse | DuckDB | ratio | rows |");
    println!("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |");
    for key in order {
        let Some(told) = answers.get(key) else { continue };
        let of = |peer: &str| told.iter().find(|it| it["peer"] == peer);
        for mode in ["cold", "warm"] {
            let times = |peer: &str| {
                let mut times: Vec<f64> =
                    of(peer)?[mode].as_array()?.iter().filter_map(|it| Some(it.as_f64()? * 1e3)).collect();
                times.sort_by(f64::total_cmp);
                let last = times.len().checked_sub(1)?;
                Some((*times.get(times.len() / 2)?, *times.get((times.len() * 95 / 100).min(last))?))
            };
            let cell = |peer| times(peer).map_or_else(String::new, |(median, p95)| format!("{median:.1} ({p95:.1})"));
            let ratio = times("panoptes").zip(times("clickhouse")).map(|(ours, theirs)| ours.0 / theirs.0);
            if let (Some(ratio), Some(all)) = (ratio, ratios.get_mut(mode)) {
                all.push(ratio);
            }
            let mut rows: Vec<String> = told.iter().map(|it| it["rows"].to_string()).collect();
            rows.dedup();
            println!(
                "| {} | {} | {mode} | {} | {} | {} | {} | {} |",
                key.1,
                key.0,
                cell("panoptes"),
                cell("clickhouse"),
                cell("duckdb"),
                ratio.map_or_else(String::new, |it| format!("{it:.2}")),
                rows.join(" / ")
            );
        }
    }
    for (mode, mut ratios) in ratios {
        ratios.sort_by(f64::total_cmp);
        if let Some(median) = ratios.get(ratios.len() / 2) {
            println!("\nmedian of the ratios to ClickHouse, {mode}: {median:.2}");
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

/// The benchmark of the crate `store`, built beside the program so that both share what they depend on.
fn ask_binary() -> anyhow::Result<PathBuf> {
    let mut build = run::cargo();
    build.args(["bench", "--no-run", "--package", "panoptes", "--package", "panoptes-store", "--bench", "ask"]);
    let messages = run::output(build.args(["--message-format", "json"]).stderr(Stdio::inherit()))?;
    let executable = messages.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == "ask").then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executable.context("cargo did not say where the benchmark `ask` is")
}

/// A Python of its own with ClickHouse and DuckDB, kept beside the build.
fn python(panoptes: &Path) -> anyhow::Result<PathBuf> {
    let target = panoptes.ancestors().nth(2).context("the binary lies in no target folder")?;
    let folder = target.join("peers-store");
    let python = folder.join("bin/python");
    let has_both = || {
        let mut asked = Command::new(&python);
        asked.args(["-c", "import chdb, duckdb"]).stderr(Stdio::null());
        asked.status().is_ok_and(|it| it.success())
    };
    if !has_both() {
        run::succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        run::succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet", "chdb", "duckdb"]))?;
    }
    Ok(python)
}
