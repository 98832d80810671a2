#![allow(clippy::print_stdout, clippy::unwrap_used)]
#[path = "../tests/detect/lines.rs"]
mod lines;
use std::sync::Arc;
use lines::{compile_pack, normalized, schema_of, shipped_rules};
use panoptes_detect::{Detector, DetectorOptions};
use panoptes_model::{FindingOrigin, Origin, Timestamp};
fn main() {
    let (rules, errors) = compile_pack(&shipped_rules());
    errors.iter().for_each(|error| eprintln!("{error}"));
    let schema = schema_of(&rules);
    let now = Timestamp::from_seconds(1_861_833_600);
    for path in std::env::args().skip(1).filter(|it| it.contains('/')) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().filter(|it| !it.trim().is_empty()).collect();
        let origin = Origin { input: "file".to_owned(), source: path.clone(), path: Some(path.clone()), ..Origin::default() };
        let mut detector = Detector::new(Arc::clone(&rules), DetectorOptions::default());
        let mut findings = Vec::new();
        for (lines, frame) in lines.chunks(4_096).zip(1..) {
            let batch = normalized(&schema, &origin, frame, lines.iter().copied(), now);
            detector.fold(&mut findings, &batch, &rules.prepare(&batch), now, FindingOrigin::Scan);
        }
        for f in findings {
            let of = |all: &[panoptes_model::Entity]| -> serde_json::Value { serde_json::Value::Object(all.iter().map(|e| (e.field.clone(), serde_json::Value::from(e.value.clone()))).collect()) };
            let mut event = of(&f.context);
            if let (Some(a), Some(b)) = (event.as_object_mut(), of(&f.entities).as_object()) { a.extend(b.clone()); }
            println!("{}", serde_json::json!({"rule": {"id": f.rule.id, "title": f.rule.title, "level": f.rule.level.to_string(), "tags": f.rule.tags}, "source": {"path": path}, "entities": of(&f.entities), "event": event, "count": f.count}));
        }
    }
}
