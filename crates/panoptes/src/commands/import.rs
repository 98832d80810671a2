//! `panoptes import PATH…`: old logs into the evidence, with detection, by an instance of its own.

use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use panoptes_intake::inputs::{Import, ImportConfig};
use panoptes_model::FindingOrigin;

use crate::cli::{Global, ImportArgs};
use crate::commands::Outcome;
use crate::server::{self, Importer};
use crate::{console, surroundings, time};

pub(super) fn run(global: &Global, args: &ImportArgs) -> anyhow::Result<Outcome> {
    let config = surroundings::config(global, Vec::new())?;
    surroundings::check_format(args.input_format.as_deref())?;
    surroundings::zone(args.time_zone.as_deref())?;
    if let Some(source) = &args.source {
        panoptes_intake::check_source(source).with_context(|| format!("`{source}` cannot name a source"))?;
    }
    let mut import = Import::new(
        ImportConfig {
            paths: args.paths.iter().map(PathBuf::from).collect(),
            source: args.source.clone(),
            format: args.input_format.clone(),
            time_zone: args.time_zone.clone(),
        },
        Arc::new(time::now),
    );
    let opened = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&opened);
    let importer = Importer::start(
        &config,
        server::fold_options(&config, FindingOrigin::Import),
        Box::new(move |updates| {
            counted.fetch_add(updates.iter().filter(|it| it.opened).count() as u64, Ordering::Relaxed);
        }),
    )?;
    if !args.again {
        import.resume(importer.checkpoints());
    }
    let progress = import.progress();
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new(progress.bytes_total) } else { ProgressBar::hidden() };
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {wide_bar}  {msg}")
    {
        bar.set_style(style);
    }
    let summary = import.commit(importer.sink(), importer.counters(), |progress, problem| {
        bar.set_position(progress.bytes_done);
        if progress.files_total > 1 {
            bar.set_message(format!("file {} of {}", progress.files_done + 1, progress.files_total));
        }
        if let Some(problem) = problem {
            let at = problem.position.map(|it| format!(" at byte {it}")).unwrap_or_default();
            bar.suspend(|| {
                tracing::warn!("{}{at}: {}", problem.path.display(), panoptes_stdx::ErrorChain(&problem.problem));
            });
        }
    });
    bar.finish_and_clear();
    importer.stop()?;
    let summary = summary
        .context("the import did not finish; what was taken in is safe, and the same command goes on from there")?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} records from {} files; {} rejected, {} cut, {} problems; {} new alerts",
        summary.records,
        summary.files,
        summary.rejected,
        summary.cut,
        summary.problems,
        opened.load(Ordering::Relaxed)
    )?;
    if summary.skipped > 0 {
        writeln!(
            out,
            "{} records were left out because they were imported before; --again takes them in once more",
            summary.skipped
        )?;
    }
    writeln!(out, "next: {} search '' --limit 10", console::program())?;
    if summary.records == 0 && summary.problems > 0 {
        anyhow::bail!("nothing could be read");
    }
    Ok(Outcome::Fine)
}
