//! `panoptes rules check [PATH…]`: everything that is wrong with rule files, and what compiling them costs.

use std::io::{BufWriter, Write};

use anyhow::bail;
use panoptes_detect::{CompileOptions, RuleError, RuleMeta, RuleSet};
use serde_json::{Value, json};

use super::count_text;
use super::silent::{self, Silent};
use crate::cli::{CheckArgs, Format, Global};
use crate::commands::Outcome;
use crate::console::Palette;
use crate::rules::{self, RuleFiles, refused};
use crate::table::{Table, harmless};
use crate::{surroundings, time};

/// How many warnings the text shows; the other formats have all of them.
const WARNINGS_SHOWN_MAX: usize = 50;

/// What compiling came to.
struct Summary {
    files: usize,
    rules: usize,
    refused: usize,
    warnings: usize,
    compile_micros: u64,
    memory_bytes: Option<u64>,
}

pub(super) fn run(global: &Global, args: &CheckArgs) -> anyhow::Result<Outcome> {
    let (found, options) = if args.paths.is_empty() {
        let config = surroundings::config(global, Vec::new())?;
        let sources = surroundings::rule_sources(&config, &[], true);
        (sources.read()?, sources.options)
    } else {
        // Whether a rule may report is no question of whether it is right.
        (rules::read(&args.paths)?, CompileOptions::default())
    };
    let RuleFiles { files, unreadable } = found;
    let mut warnings = RuleSet::lint(&files);
    let mut summary = Summary {
        files: files.len() + unreadable.len(),
        rules: 0,
        refused: 0,
        warnings: 0,
        compile_micros: 0,
        memory_bytes: None,
    };
    let resident_before = resident_bytes();
    let started = time::stopwatch();
    let (set, mut errors) = RuleSet::compile(files, &options);
    summary.compile_micros = started.elapsed_micros();
    summary.memory_bytes = resident_bytes().zip(resident_before).map(|(after, before)| after.saturating_sub(before));
    errors.extend(unreadable);
    warnings.extend(errors.extract_if(.., |it| it.loaded));
    warnings.extend(never_asked(&set, &options));
    let order = |a: &RuleError, b: &RuleError| (&a.path, a.line, a.column).cmp(&(&b.path, b.line, b.column));
    errors.sort_by(order);
    warnings.sort_by(order);
    (summary.rules, summary.refused, summary.warnings) = (set.len(), refused(&errors), warnings.len());

    let mut out = BufWriter::new(std::io::stdout().lock());
    write(&mut out, args.format, &errors, &warnings, &summary)?;
    out.flush()?;
    if summary.refused > 0 {
        bail!("{} refused", count_text(summary.refused, "rule"));
    }
    if args.strict && summary.warnings > 0 {
        bail!("{}, and --strict takes none", count_text(summary.warnings, "warning"));
    }
    Ok(Outcome::Fine)
}

/// Rules that can never fire, whatever comes in.
fn never_asked(set: &RuleSet, options: &CompileOptions) -> Vec<RuleError> {
    let why = silent::of_all(set, options, None);
    let told = |(rule, why): (&RuleMeta, Option<Silent>)| {
        let cure = match why.as_ref()? {
            Silent::NoSource { .. } => {
                "correct `logsource` (docs/sigma.md lists what there is), or write a mapping that says which events are meant"
            }
            Silent::NoFields { .. } => "correct the name of the field (docs/fields.md lists what there is)",
            // That nobody wants to hear it, or that it waits for others, is no fault of it.
            _ => return None,
        };
        Some(RuleError {
            path: rule.path.clone(),
            line: rule.line,
            column: None,
            title: Some(rule.summary.title.clone()),
            reason: format!("it can never fire: {}", why?.reason()),
            cure: cure.to_owned(),
            loaded: true,
        })
    };
    set.rules().zip(why).filter_map(told).collect()
}

fn write(
    out: &mut impl Write,
    format: Format,
    errors: &[RuleError],
    warnings: &[RuleError],
    summary: &Summary,
) -> anyhow::Result<()> {
    let all = || errors.iter().map(|it| ("error", it)).chain(warnings.iter().map(|it| ("warning", it)));
    match format {
        Format::Table => {
            let palette = Palette::for_stdout();
            for (kind, error) in all().take(errors.len() + WARNINGS_SHOWN_MAX) {
                writeln!(out, "{}", text(kind, error, palette))?;
            }
            let hidden = warnings.len().saturating_sub(WARNINGS_SHOWN_MAX);
            if hidden > 0 {
                writeln!(out, "… and {hidden} more warnings: --format jsonl shows all")?;
            }
            writeln!(out, "{}", summary_text(summary))?;
        }
        Format::Json => {
            let problems: Vec<Value> = all().map(|(kind, error)| problem_json(kind, error)).collect();
            let whole = json!({
                "files": summary.files,
                "rules": summary.rules,
                "refused": summary.refused,
                "warnings": summary.warnings,
                "compile_milliseconds": summary.compile_micros as f64 / 1_000.0,
                "memory_bytes": summary.memory_bytes,
                "problems": problems,
            });
            writeln!(out, "{}", serde_json::to_string_pretty(&whole)?)?;
        }
        Format::Jsonl | Format::Csv => {
            let mut table = Table::new(["kind", "path", "line", "column", "rule", "reason", "cure"]);
            for (kind, error) in all() {
                table.row(vec![
                    json!(kind),
                    json!(error.path),
                    json!(error.line),
                    json!(error.column),
                    json!(error.title),
                    json!(error.reason),
                    json!(error.cure),
                ]);
            }
            table.write(out, format)?;
            tracing::info!("{}", summary_text(summary));
        }
    }
    Ok(())
}

fn problem_json(kind: &str, error: &RuleError) -> Value {
    json!({
        "kind": kind,
        "path": error.path,
        "line": error.line,
        "column": error.column,
        "rule": error.title,
        "reason": error.reason,
        "cure": error.cure,
    })
}

/// `path:line:column: error: rule "Title": reason; cure`, which editors know how to jump to.
fn text(kind: &str, error: &RuleError, palette: Palette) -> String {
    let mut place = harmless(&error.path);
    for number in [error.line, error.line.and(error.column)].into_iter().flatten() {
        place.push_str(&format!(":{number}"));
    }
    let title = error.title.as_ref().map(|it| format!("rule \"{}\": ", harmless(it))).unwrap_or_default();
    let (reason, cure) = (harmless(&error.reason), harmless(&error.cure));
    format!("{}: {}: {title}{reason}; {cure}", palette.bold(&place), palette.problem(kind))
}

fn summary_text(summary: &Summary) -> String {
    let memory = match summary.memory_bytes {
        Some(bytes) => format!(", {:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        None => String::new(),
    };
    format!(
        "{}: {} loaded, {} refused, {}; compiled in {} ms{memory}",
        count_text(summary.files, "file"),
        count_text(summary.rules, "rule"),
        summary.refused,
        count_text(summary.warnings, "warning"),
        summary.compile_micros.div_ceil(1_000),
    )
}

/// How much memory of this process is in use, as the system counts it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?.trim();
    Some(kilobytes.parse::<u64>().ok()? << 10)
}
