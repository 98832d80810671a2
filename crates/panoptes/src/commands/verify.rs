//! `panoptes verify`: reads the whole data folder and says what is not as it should be. Also beside a running instance.

use std::io::{IsTerminal as _, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use panoptes_catalog::OpenMode;
use panoptes_config::Config;
use panoptes_seal::KeyEncryptionKey;
use panoptes_store::disk::{Disk, RealDisk};
use panoptes_store::lock::is_locked;
use panoptes_store::verify::{Finding, FindingKind, HEAD_FILE_BYTES_MAX, Report, SignedHead, VerifyOptions, verify};
use serde_json::json;

use crate::cli::{Format, Global, VerifyArgs};
use crate::commands::Outcome;
use crate::table::Table;
use crate::{surroundings, time};

pub(super) fn run(global: &Global, args: &VerifyArgs) -> anyhow::Result<Outcome> {
    let now = time::now();
    let since = args.since.as_deref().map(|it| time::parse_when(it, now)).transpose().map_err(|it| anyhow!(it))?;
    let config = surroundings::config(global, Vec::new())?;
    let key = crate::keys::for_reading(&config)?;
    let kept = args.head.as_deref().map(|it| read_head(it, &key)).transpose()?;
    let disk = RealDisk::open(config.data_dir.clone())
        .with_context(|| format!("cannot read {}", config.data_dir.display()))?;
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let options = VerifyOptions {
        since,
        head: kept.map(|it| it.head),
        is_running: is_locked(&config.data_dir).context("cannot tell whether an instance is running")?,
    };
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {wide_bar}")
    {
        bar.set_style(style);
    }
    let report = verify(&disk, &key, &options, &mut |progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes);
    });
    bar.finish_and_clear();
    let mut report = report.with_context(|| format!("cannot verify {}", config.data_dir.display()))?;
    let catalog_rows = verify_catalog(&config, &key, &mut report);
    let is_clean = report.problems().next().is_none();
    if let Some(path) = &args.export_head {
        export_head(path, &report, &key, is_clean)?;
    }
    write(&report, catalog_rows, options.is_running, args.format)?;
    Ok(if is_clean { Outcome::Fine } else { Outcome::Found })
}

/// How many rows of the catalogue open.
fn verify_catalog(config: &Config, key: &KeyEncryptionKey, report: &mut Report) -> u64 {
    let checked = surroundings::catalog(config, key, OpenMode::Existing)
        .and_then(|catalog| catalog.verify().context("cannot read the catalogue"));
    let problem = |text| Finding::of(panoptes_catalog::Catalog::FILE_NAME, FindingKind::Damaged, text);
    match checked {
        Ok(check) => {
            check.problems.into_iter().for_each(|it| report.push(problem(it)));
            check.rows
        }
        Err(error) => {
            report.push(problem(format!("{error:#}")));
            0
        }
    }
}

fn read_head(path: &Path, key: &KeyEncryptionKey) -> anyhow::Result<SignedHead> {
    let cannot = || format!("cannot use the head in {}", path.display());
    let length = std::fs::metadata(path).with_context(cannot)?.len();
    anyhow::ensure!(length <= HEAD_FILE_BYTES_MAX as u64, "{} is too long for a head", path.display());
    let text = std::fs::read_to_string(path).with_context(cannot)?;
    SignedHead::from_text(key, &text).with_context(cannot)
}

fn export_head(path: &Path, report: &Report, key: &KeyEncryptionKey, is_clean: bool) -> anyhow::Result<()> {
    // What is exported vouches for the manifest: a broken one is not vouched for.
    anyhow::ensure!(
        is_clean,
        "no head was exported to {}: something is wrong with the evidence (see above)",
        path.display()
    );
    let head = report.head.context("there is no manifest yet, so there is no head to export")?;
    let text = SignedHead { head, at: time::now() }.to_text(key);
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    tracing::info!("wrote the head, entry {}, to {}: keep it on another machine", head.number, path.display());
    Ok(())
}

fn write(report: &Report, catalog_rows: u64, is_running: bool, format: Format) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut table = Table::new(["file", "finding", "severity", "offset", "bytes", "events", "rows", "text"]);
    for finding in &report.findings {
        let rows: Vec<String> = finding.rows.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        table.row(vec![
            json!(finding.file),
            json!(finding.kind.as_str()),
            json!(if finding.is_note { "note" } else { "problem" }),
            json!(finding.offset),
            json!(finding.bytes),
            json!(finding.events),
            json!(rows.join(" ")),
            json!(finding.text),
        ]);
    }
    match format {
        // Texts and cures are too long for cells.
        Format::Table => {
            for finding in &report.findings {
                write_finding(&mut out, finding)?;
            }
        }
        other => table.write(&mut out, other)?,
    }
    let problems = report.problems().count() as u64 + report.findings_left_out;
    let summary = format!(
        "{problems} problems, {} notes; {} of {} segments read with {} events, {} frames in the log, {} rows in the catalogue{}",
        report.notes().count(),
        report.segments_read,
        report.segments,
        report.rows,
        report.frames,
        catalog_rows,
        if is_running { "; an instance was writing meanwhile" } else { "" },
    );
    match format {
        Format::Table => writeln!(out, "{summary}")?,
        _ => tracing::info!("{summary}"),
    }
    out.flush()?;
    Ok(())
}

fn write_finding(out: &mut impl Write, finding: &Finding) -> anyhow::Result<()> {
    let severity = if finding.is_note { "note" } else { "problem" };
    write!(out, "{severity}: {} {}", finding.file, finding.kind.as_str())?;
    if let (Some(offset), bytes) = (finding.offset, finding.bytes) {
        write!(out, " at byte {offset}")?;
        if let Some(bytes) = bytes {
            write!(out, " ({bytes} bytes)")?;
        }
    }
    if finding.events > 0 {
        let rows: Vec<String> = finding.rows.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        write!(out, ", {} events lost (rows {})", finding.events, rows.join(", "))?;
    }
    writeln!(out, ": {}", finding.text)?;
    Ok(())
}
