//! `panoptes scan PATH…`: the whole middle over files, nothing stored.

use std::collections::HashMap;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::PathBuf;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use panoptes_engine::{Fold, LogFrame};
use panoptes_intake::inputs::{Import, ImportConfig, Progress};
use panoptes_model::{Alert, AlertUpdate, Finding, FindingOrigin, FrameId, RawBatch, Severity};
use serde_json::json;

use crate::cli::{Format, Global, ScanArgs};
use crate::commands::Outcome;
use crate::console::{self, Palette};
use crate::table::Table;
use crate::{server, surroundings, time};

/// What a text scan shows at its end; the newest of each alert. More are counted.
const ALERTS_SHOWN_MAX: usize = 10_000;

pub(super) fn run(global: &Global, args: &ScanArgs) -> anyhow::Result<Outcome> {
    let config = surroundings::config(global, Vec::new())?;
    let rules = Arc::new(surroundings::rules(&config, &args.rules, !args.no_shipped_rules)?);
    let normalizer = surroundings::normalizer(&config, args.time_zone.as_deref())?;
    let preparer = surroundings::preparer(&config, normalizer, Arc::clone(&rules))?;
    surroundings::check_format(args.input_format.as_deref())?;
    let mut fold = Fold::new(rules, server::fold_options(&config, FindingOrigin::Scan));
    let fixed = args.now;
    let clock = move || fixed.unwrap_or_else(time::now);
    let mut import = Import::new(
        ImportConfig {
            paths: args.paths.iter().filter(|it| *it != "-").map(PathBuf::from).collect(),
            source: None,
            format: args.input_format.clone(),
            time_zone: args.time_zone.clone(),
        },
        Arc::new(clock),
    );
    if args.paths.iter().any(|it| it == "-") {
        import.add_reader("-", std::io::stdin());
    }

    let mut scan = Scan {
        out: BufWriter::new(std::io::stdout().lock()),
        args,
        alerts: HashMap::new(),
        findings: 0,
        worst: None,
        csv: (args.format == Format::Csv).then(finding_table),
        json: Vec::new(),
    };
    let (mut id, mut records, mut unparsed, mut problems) = (FrameId(0), 0_u64, 0_u64, 0_u64);
    let mut numbers: HashMap<String, u64> = HashMap::new();
    let bar = progress_bar(import.progress());
    while let Some(item) = import.next() {
        bar.set_position(import.progress().bytes_done);
        let mut batch = match item {
            Ok(batch) => batch,
            Err(problem) => {
                problems += 1;
                bar.suspend(|| tell_problem(&problem));
                continue;
            }
        };
        number_records(&mut batch, &mut numbers);
        id = id.next();
        records += batch.records.len() as u64;
        let frame = LogFrame { id, now: clock(), rules_epoch: 0, snapshots_epoch: 0, records: batch };
        let prepared = preparer.prepare(frame);
        unparsed += prepared.events.events().filter(|it| it.is_unparsed()).count() as u64;
        let effects = fold.fold(&prepared);
        for finding in &effects.findings {
            scan.finding(finding)?;
        }
        scan.alerts(effects.alerts);
    }
    bar.finish_and_clear();
    scan.finish(records, unparsed, problems)
}

fn tell_problem(problem: &panoptes_intake::inputs::FileProblem) {
    let at = problem.position.map(|it| format!(" at byte {it}")).unwrap_or_default();
    tracing::warn!("{}{at}: {}", problem.path.display(), panoptes_stdx::ErrorChain(&problem.problem));
}

/// Replaces byte positions by record numbers, counted from 1 in each file: what a reader looks for.
fn number_records(batch: &mut RawBatch, numbers: &mut HashMap<String, u64>) {
    for record in &mut batch.records {
        let path = batch.origins.get(record.origin as usize).and_then(|it| it.path.as_deref()).unwrap_or("-");
        let number = match numbers.get_mut(path) {
            Some(number) => number,
            None => numbers.entry(path.to_owned()).or_default(),
        };
        *number += 1;
        record.position = *number;
    }
}

fn progress_bar(progress: Progress) -> ProgressBar {
    if progress.bytes_total < 1 << 20 || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(progress.bytes_total);
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {wide_bar}")
    {
        bar.set_style(style);
    }
    bar
}

struct Scan<'a, W> {
    out: W,
    args: &'a ScanArgs,
    alerts: HashMap<panoptes_model::AlertId, Alert>,
    findings: u64,
    worst: Option<Severity>,
    csv: Option<Table>,
    json: Vec<serde_json::Value>,
}

impl<W: Write> Scan<'_, W> {
    fn finding(&mut self, finding: &Finding) -> anyhow::Result<()> {
        if finding.rule.level < self.args.min_level {
            return Ok(());
        }
        self.findings += 1;
        self.worst = self.worst.max(Some(finding.rule.level));
        match self.args.format {
            Format::Jsonl => writeln!(self.out, "{}", console::finding_json(finding))?,
            Format::Json => self.json.push(console::finding_json(finding)),
            Format::Csv => {
                if let Some(table) = &mut self.csv {
                    table.row(vec![
                        json!(finding.time.to_string()),
                        json!(finding.rule.level),
                        json!(finding.rule.title),
                        json!(finding.rule.id),
                        json!(console::techniques(&finding.rule.tags)),
                        json!(console::entities_text(&finding.entities)),
                        json!(finding.count),
                        json!(finding.source),
                        json!(finding.position),
                        json!(finding.reason),
                    ]);
                }
            }
            Format::Table => {}
        }
        Ok(())
    }

    fn alerts(&mut self, updates: Vec<AlertUpdate>) {
        for AlertUpdate { alert, .. } in updates {
            if alert.rule.level >= self.args.min_level
                && (self.alerts.len() < ALERTS_SHOWN_MAX || self.alerts.contains_key(&alert.id))
            {
                self.alerts.insert(alert.id, alert);
            }
        }
    }

    fn finish(mut self, records: u64, unparsed: u64, problems: u64) -> anyhow::Result<Outcome> {
        match self.args.format {
            Format::Table => {
                let palette = Palette::for_stdout();
                let mut alerts: Vec<&Alert> = self.alerts.values().collect();
                alerts.sort_by_key(|it| (std::cmp::Reverse(it.rule.level), it.first_seen, it.id));
                for alert in alerts {
                    writeln!(self.out, "{}", console::scan_text(alert, palette))?;
                }
                let shown = self.alerts.len();
                writeln!(
                    self.out,
                    "{records} records, {unparsed} not understood by any format; {shown} alerts from {} findings{}",
                    self.findings,
                    if problems > 0 { format!("; {problems} problems told above") } else { String::new() }
                )?;
            }
            Format::Csv => {
                if let Some(table) = &self.csv {
                    table.write(&mut self.out, Format::Csv)?;
                }
            }
            Format::Json => writeln!(self.out, "{}", serde_json::to_string_pretty(&self.json)?)?,
            Format::Jsonl => {}
        }
        self.out.flush()?;
        if records == 0 && problems > 0 {
            anyhow::bail!("nothing could be read");
        }
        let failed = self.args.fail_on.is_some_and(|limit| self.worst.is_some_and(|worst| worst >= limit));
        Ok(if failed { Outcome::Found } else { Outcome::Fine })
    }
}

fn finding_table() -> Table {
    Table::new([
        "timestamp",
        "level",
        "rule",
        "rule_id",
        "techniques",
        "entities",
        "count",
        "source",
        "record",
        "reason",
    ])
}

#[cfg(test)]
mod tests {
    use panoptes_model::{Origin, Timestamp};

    use super::*;

    #[test]
    fn records_are_numbered_per_file_across_batches() {
        let mut numbers = HashMap::new();
        let mut positions = Vec::new();
        for _ in 0..2 {
            let mut batch = RawBatch::new();
            for path in ["a", "b", "a"] {
                let origin = batch.origin(&Origin { path: Some(path.to_owned()), ..Origin::default() });
                batch.push(origin, Timestamp(0), 77, b"x");
            }
            number_records(&mut batch, &mut numbers);
            positions.extend(batch.records.iter().map(|it| it.position));
        }
        assert_eq!(positions, [1, 1, 2, 3, 2, 4]);
    }
}
