//! The stories under `tests/cases/`: what rules tell there is not told again.

use std::path::Path;
use std::sync::Arc;

use panoptes_detect::{CompileOptions, Detector, DetectorOptions, RuleSet};
use panoptes_model::{FindingOrigin, FrameId, LogFrame, Origin, RawBatch, Schema, Timestamp};
use panoptes_normalize::Normalizer;

#[test]
fn stories_that_rules_tell_completely_are_not_told_again() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases");
    let mut stories = 0;
    for folder in cases.read_dir().unwrap().map(|it| it.unwrap().path()) {
        let case = std::fs::read_to_string(folder.join("case.toml")).unwrap_or_default();
        if !case.contains("exhaustive = true") {
            continue;
        }
        let now = case.lines().find_map(|it| it.strip_prefix("now")).and_then(|it| it.split('"').nth(1)).unwrap();
        let now = Timestamp::from(now.parse::<jiff::Timestamp>().unwrap());
        let (rules, _) = RuleSet::compile(Vec::new(), &CompileOptions::default());
        let rules = Arc::new(rules);
        let mut detector = Detector::new(Arc::clone(&rules), DetectorOptions::default());
        let mut findings = Vec::new();
        let mut inputs: Vec<_> = folder.read_dir().unwrap().map(|it| it.unwrap().path()).collect();
        inputs.retain(|it| it.file_name().unwrap().to_string_lossy().starts_with("input"));
        inputs.sort();
        for (input, id) in inputs.iter().zip(1..) {
            let mut records = RawBatch::new();
            let source = input.file_name().unwrap().to_string_lossy().into_owned();
            let origin = records.origin(&Origin { input: "file".to_owned(), source, ..Origin::default() });
            for (line, position) in std::fs::read(input).unwrap().split(|it| *it == b'\n').zip(1..) {
                records.push(origin, now, position, line);
            }
            let frame = LogFrame { id: FrameId(id), now, rules_epoch: 0, snapshots_epoch: 0, records };
            let events = Normalizer::default().normalize(&Arc::new(Schema::ecs()), frame);
            let hits = rules.prepare(&events);
            detector.fold(&mut findings, &events, &hits, now, FindingOrigin::Scan);
            stories += 1;
        }
        findings.retain(|it| it.rule.id.starts_with("behaviour."));
        assert!(findings.is_empty(), "{}: {findings:#?}", folder.display());
    }
    assert!(stories > 4, "only {stories} inputs were read");
}
