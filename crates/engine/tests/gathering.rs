//! Frames that are gathered tell the same as frames that are folded one by one, also across a checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use panoptes_detect::{CompileOptions, RuleFile, RuleSet};
use panoptes_engine::{Fold, FoldOptions, Gathered, LogFrame, PreparedFrame, Preparer};
use panoptes_model::{Alert, AlertId, AlertUpdate, FrameId, Origin, RawBatch, Timestamp};
use panoptes_normalize::Normalizer;

const RULE: &str = "
title: Failed
id: 00000000-0000-4000-8000-000000000001
name: failed
level: low
logsource: {product: linux, service: sshd}
detection:
    selection: {event.outcome: failure}
    condition: selection
---
title: Guessing
id: 00000000-0000-4000-8000-000000000002
level: high
correlation:
    type: event_count
    rules: [failed]
    group-by: [source.ip]
    timespan: 5m
    condition: {gte: 3}
";

fn frames(rules: &Arc<RuleSet>) -> Vec<PreparedFrame> {
    let preparer = Preparer::new(Normalizer::default(), Arc::clone(rules)).expect("room for all fields");
    let origin = Origin { input: "tcp".to_owned(), source: "test".to_owned(), ..Origin::default() };
    let frame = |id: u64| {
        let now = Timestamp::from_seconds(1_790_000_000 + id as i64);
        let mut records = RawBatch::new();
        let at = records.origin(&origin);
        for line in 0..5 {
            let address = (id * 7 + line * 3) % 11;
            let text = format!("sshd[7]: Failed password for root from 203.0.113.{address} port 40000 ssh2");
            records.push(at, now, id * 5 + line, text.as_bytes());
        }
        preparer.prepare(LogFrame { id: FrameId(id), now, rules_epoch: 0, snapshots_epoch: 0, records })
    };
    (1..=60).map(frame).collect()
}

fn rules() -> Arc<RuleSet> {
    let file = RuleFile { path: "r.yml".to_owned(), text: RULE.to_owned() };
    let (rules, errors) = RuleSet::compile(vec![file], &CompileOptions::default());
    assert!(errors.is_empty(), "{errors:?}");
    Arc::new(rules)
}

/// What somebody knows who has heard all updates, and which alerts he was told of as new.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    alerts: BTreeMap<AlertId, Alert>,
    opened: Vec<AlertId>,
}

impl Heard {
    fn hear(&mut self, updates: Vec<AlertUpdate>) {
        for AlertUpdate { alert, opened } in updates {
            if opened {
                self.opened.push(alert.id);
            }
            self.alerts.insert(alert.id, alert);
        }
    }
}

#[test]
fn gathered_frames_tell_the_same_as_frames_one_by_one() {
    let rules = rules();
    let frames = frames(&rules);
    let mut alone = Fold::new(Arc::clone(&rules), FoldOptions::default());
    let (mut expected, mut findings) = (Heard::default(), 0);
    for frame in &frames {
        let effects = alone.fold(frame);
        findings += effects.findings.len() as u64;
        expected.hear(effects.alerts);
    }
    assert!(findings > 20 && expected.opened.len() == 11, "{findings}, {}", expected.opened.len());
    expected.opened.sort_unstable();

    for together in [1, 7, 60] {
        let mut fold = Fold::new(Arc::clone(&rules), FoldOptions::default());
        let (mut heard, mut count) = (Heard::default(), 0);
        for group in frames.chunks(together) {
            let mut gathered = Gathered::default();
            for frame in group {
                count += fold.gather(&mut gathered, frame).iter().sum::<u64>();
                assert_eq!(fold.gather(&mut gathered, frame), [0; 5], "a frame counts once");
            }
            fold.flush(&mut gathered);
            assert_eq!(gathered.through, group.last().unwrap().id);
            assert_eq!(gathered.positions.len(), 1);
            let ids: Vec<AlertId> = gathered.alerts.iter().map(|it| it.alert.id).collect();
            assert!(ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id)), "an alert is told once");
            heard.hear(gathered.alerts);
            // A restart in between is not to be seen.
            let bytes = fold.checkpoint().unwrap();
            fold = Fold::new(Arc::clone(&rules), FoldOptions::default());
            fold.restore(&bytes).unwrap();
            assert_eq!(fold.checkpoint().unwrap(), bytes);
        }
        heard.opened.sort_unstable();
        assert_eq!(
            (heard, count),
            (Heard { alerts: expected.alerts.clone(), opened: expected.opened.clone() }, findings)
        );
        assert_eq!(fold.checkpoint().unwrap(), alone.checkpoint().unwrap());
    }
}

#[test]
fn other_rules_keep_the_state_of_those_that_stay() {
    let rules = rules();
    let frames = frames(&rules);
    let mut fold = Fold::new(Arc::clone(&rules), FoldOptions::default());
    frames.iter().for_each(|it| drop(fold.fold(it)));
    let before = fold.checkpoint().unwrap();
    let (more, _) = RuleSet::compile(
        vec![
            RuleFile {
                path: "a.yml".to_owned(),
                text: RULE.replace("-000000000", "-000000001").replace("failed", "other"),
            },
            RuleFile { path: "r.yml".to_owned(), text: RULE.to_owned() },
        ],
        &CompileOptions::default(),
    );
    fold.replace_rules(&Arc::new(more));
    let with_more = fold.checkpoint().unwrap();
    assert_eq!(with_more, before, "the new rule has counted nothing yet");
    fold.replace_rules(&Arc::new(RuleSet::compile(Vec::new(), &CompileOptions::default()).0));
    assert!(fold.checkpoint().unwrap().len() < before.len(), "groups of rules that are gone are gone");
}

/// Takes only so many bytes.
struct Full(usize);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        if taken == 0 { Err(std::io::Error::other("the disk is full")) } else { Ok(taken) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_checkpoint_that_cannot_be_written_says_why() {
    let rules = rules();
    let mut fold = Fold::new(Arc::clone(&rules), FoldOptions::default());
    frames(&rules).iter().for_each(|it| drop(fold.fold(it)));
    let length = fold.checkpoint().unwrap().len();
    fold.checkpoint_into(&mut Full(length)).unwrap();
    let error = fold.checkpoint_into(&mut Full(length - 1)).unwrap_err();
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the disk is full");
}
