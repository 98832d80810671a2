//! Which of the shipped rules fire on which files, and on what: to look for false positives.
//!
//! `cargo run -p panoptes-detect --example what_fires -- FILE…`

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool at a terminal")]

#[path = "../tests/detect/lines.rs"]
mod lines;

use std::collections::BTreeMap;
use std::sync::Arc;

use lines::{compile_pack, normalized, schema_of, shipped_rules};
use panoptes_detect::{Detector, DetectorOptions};
use panoptes_model::{FindingOrigin, Origin, Timestamp};

/// How many findings of a rule are shown per file.
const SHOWN: usize = 3;

fn main() {
    let (rules, errors) = compile_pack(&shipped_rules());
    errors.iter().for_each(|error| println!("{error}"));
    let schema = schema_of(&rules);
    let now = Timestamp::from_seconds(1_790_000_000);
    for path in std::env::args().skip(1) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().filter(|it| !it.trim().is_empty()).collect();
        let origin =
            Origin { input: "file".to_owned(), source: path.clone(), path: Some(path.clone()), ..Origin::default() };
        let mut detector = Detector::new(Arc::clone(&rules), DetectorOptions::default());
        let mut findings = Vec::new();
        for (lines, frame) in lines.chunks(4_096).zip(1..) {
            let batch = normalized(&schema, &origin, frame, lines.iter().copied(), now);
            detector.fold(&mut findings, &batch, &rules.prepare(&batch), now, FindingOrigin::Scan);
        }
        let mut by_rule: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for finding in &findings {
            by_rule.entry(&finding.rule.title).or_default().push(finding);
        }
        println!("{path}: {} lines, {} findings", lines.len(), findings.len());
        for (title, findings) in by_rule {
            let level = findings.first().map(|it| it.rule.level);
            println!("  {} × {title} ({})", findings.len(), level.unwrap_or_default());
            for finding in findings.iter().take(SHOWN) {
                let who: Vec<String> = finding.entities.iter().map(|it| format!("{}={}", it.field, it.value)).collect();
                let sample: String = finding.sample.chars().take(150).collect();
                println!("      [{}] {} | {sample}", who.join(" "), finding.count);
            }
        }
    }
}
