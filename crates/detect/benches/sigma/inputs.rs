//! What the engines are given.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::data::{files_below, windows_captures};

/// How many programs are started, and how many script blocks are run.
const PROCESSES: usize = 20_000;
const SCRIPTS: usize = 6_000;
/// How long a made-up script block may be: as PowerShell cuts them.
const SCRIPT_BYTES_MAX: usize = 20_000;

pub(crate) struct Input {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) lines: Vec<String>,
}

impl Input {
    pub(crate) fn events(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.lines.iter().map(String::len).sum()
    }
}

pub(crate) fn all(corpora: &Path) -> Vec<Input> {
    let mut mixed = Vec::new();
    windows_captures(corpora, |_, lines| mixed.extend(lines));
    let mut processes = Vec::new();
    let mut scripts = Vec::new();
    let mut texts = Vec::new();
    for line in &mixed {
        let is_of =
            |id: &str| line.contains(&format!("\"EventID\":{id},")) || line.contains(&format!("\"EventID\":{id}}}"));
        if !["1", "4688", "4104", "4103", "800"].iter().any(|it| is_of(it)) {
            continue;
        }
        let Ok(Value::Object(event)) = serde_json::from_str(line) else { continue };
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        match (text("Channel").to_ascii_lowercase().as_str(), event["EventID"].as_u64()) {
            ("microsoft-windows-sysmon/operational", Some(1)) | ("security", Some(4688)) => processes.push(event),
            ("microsoft-windows-powershell/operational", Some(4104)) => {
                texts.push(text("ScriptBlockText").to_owned());
                scripts.push(event);
            }
            ("microsoft-windows-powershell/operational", Some(4103)) => texts.push(text("Payload").to_owned()),
            ("windows powershell", Some(800)) => texts.push(text("Message").to_owned()),
            _ => {}
        }
    }
    processes.extend(recorded_processes(corpora));
    vec![
        Input { name: "mixed", title: "mixed Windows events", lines: mixed },
        Input { name: "processes", title: "process creations", lines: more_processes(&processes) },
        Input { name: "scripts", title: "unique script blocks", lines: more_scripts(&scripts, &texts) },
    ]
}

/// The programs that SigmaHQ's own recordings start, written as the captures write theirs.
fn recorded_processes(corpora: &Path) -> Vec<Map<String, Value>> {
    let mut paths = Vec::new();
    files_below(&corpora.join("sigma/regression_data"), &mut paths);
    paths.retain(|it| it.extension().is_some_and(|it| it == "json"));
    let mut found = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for event in serde_json::Deserializer::from_str(&text).into_iter::<Value>().flatten() {
            let system = &event["Event"]["System"];
            let (Some(Value::Object(data)), Some(channel)) =
                (event["Event"].get("EventData"), system["Channel"].as_str())
            else {
                continue;
            };
            let id = system["EventID"].as_u64().unwrap_or_default();
            if !(channel == "Microsoft-Windows-Sysmon/Operational" && id == 1 || channel == "Security" && id == 4688) {
                continue;
            }
            let mut flat = data.clone();
            flat.remove("#attributes");
            flat.insert("EventID".to_owned(), json!(id));
            flat.insert("Channel".to_owned(), json!(channel));
            flat.insert("Hostname".to_owned(), system["Computer"].clone());
            flat.insert("SourceName".to_owned(), system["Provider"]["#attributes"]["Name"].clone());
            flat.insert("EventTime".to_owned(), json!("2024-05-06 07:08:09"));
            found.push(flat);
        }
    }
    found
}

/// The same choices every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }
}

/// The recorded programs again and again, as the same programs start again and again in every fleet: with ids and times
/// of their own, and every second time with an argument that nobody had before.
fn more_processes(recorded: &[Map<String, Value>]) -> Vec<String> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let one = |number: usize| {
        let mut event = recorded.get(random.below(recorded.len()))?.clone();
        let (high, low) = (random.below(1 << 31), random.below(1 << 31));
        let mut set = |name: &str, value: Value| {
            if let Some(old) = event.get_mut(name) {
                *old = value;
            }
        };
        let guid = format!("{{b34bc01c-{high:08x}-5f69-d302-{low:012x}}}");
        set("ProcessGuid", json!(guid));
        set("ProcessId", json!((low % 65_000).to_string()));
        set("NewProcessId", json!(format!("0x{:x}", low % 65_000)));
        set("RecordNumber", json!(number));
        set("EventRecordID", json!(number));
        set("UtcTime", json!(format!("2024-05-06 07:{:02}:{:02}.{:03}", number / 60 % 60, number % 60, high % 1_000)));
        if number.is_multiple_of(2)
            && let Some(Value::String(line)) = event.get_mut("CommandLine")
        {
            line.push_str(&format!(" --run {high:08x}{low:08x}"));
        }
        Some(Value::Object(event).to_string())
    };
    (0..PROCESSES).map_while(one).collect()
}

/// Script blocks that nobody ran before: lines of recorded ones in new company, as long as recorded ones are.
fn more_scripts(recorded: &[Map<String, Value>], texts: &[String]) -> Vec<String> {
    let lines: Vec<Vec<&str>> =
        texts.iter().map(|it| it.lines().collect()).filter(|it: &Vec<&str>| !it.is_empty()).collect();
    let lengths: Vec<usize> = recorded
        .iter()
        .filter_map(|it| it.get("ScriptBlockText")?.as_str())
        .map(|it| it.len().min(SCRIPT_BYTES_MAX))
        .collect();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut seen = BTreeSet::new();
    let mut made = Vec::new();
    while made.len() < SCRIPTS && !lines.is_empty() && !lengths.is_empty() {
        let length = lengths[random.below(lengths.len())];
        let mut text = format!("# {:08x}\n", random.below(1 << 31));
        while text.len() < length {
            let block = &lines[random.below(lines.len())];
            let start = random.below(block.len());
            for line in block.iter().skip(start).take(1 + random.below(12)) {
                text.push_str(line);
                text.push('\n');
            }
        }
        if !seen.insert(text.clone()) {
            continue;
        }
        let mut event = recorded[random.below(recorded.len())].clone();
        let id = format!("{:08x}-1c1c-4d4d-8e8e-{:012x}", random.below(1 << 31), made.len());
        let message = format!("Creating Scriptblock text (1 of 1):\r\n{text}\r\n\r\nScriptBlock ID: {id}\r\nPath: ");
        event.insert("Message".to_owned(), json!(message));
        event.insert("ScriptBlockId".to_owned(), json!(id));
        event.insert("ScriptBlockText".to_owned(), json!(text));
        made.push(Value::Object(event).to_string());
    }
    made
}
