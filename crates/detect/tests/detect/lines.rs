//! The shipped rules and raw lines.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use panoptes_detect::{CompileOptions, RuleError, RuleFile, RuleSet};
use panoptes_model::{EventBatch, FieldType, FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp};
use panoptes_normalize::Normalizer;

pub(crate) fn shipped_rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/sigma").canonicalize().unwrap()
}

/// All files below `folder` whose name ends with `suffix`, sorted, as text.
pub(crate) fn files(folder: &Path, suffix: &str) -> Vec<RuleFile> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(suffix) {
                let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                found.push(RuleFile { path: path.to_string_lossy().into_owned(), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

pub(crate) fn compile_pack(folder: &Path) -> (Arc<RuleSet>, Vec<RuleError>) {
    let (rules, errors) = RuleSet::compile(files(folder, ".yml"), &CompileOptions::default());
    (Arc::new(rules), errors)
}

pub(crate) fn schema_of(rules: &RuleSet) -> Arc<Schema> {
    let mut schema = Schema::ecs();
    for name in rules.fields() {
        schema.intern(name, FieldType::Text).unwrap();
    }
    Arc::new(schema)
}

pub(crate) fn normalized<'l>(
    schema: &Arc<Schema>,
    origin: &Origin,
    frame: u64,
    lines: impl IntoIterator<Item = &'l str>,
    now: Timestamp,
) -> EventBatch {
    let mut records = RawBatch::new();
    let at = records.origin(origin);
    for (line, number) in lines.into_iter().zip(1..) {
        records.push(at, now, number, line.as_bytes());
    }
    let frame = LogFrame { id: FrameId(frame), now, rules_epoch: 0, snapshots_epoch: 0, records };
    Normalizer::default().normalize(schema, frame)
}
