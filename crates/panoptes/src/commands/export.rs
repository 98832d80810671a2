//! `panoptes export QUERY --to FILE`: evidence as a file that others can read.
//!
//! Events go out oldest first, some at a time, so that memory is bounded whatever there is. The file gets its name when it
//! is complete, and is nobody's but the user's.

use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use panoptes_model::Timestamp;
use panoptes_store::pivot::{FieldValue, Row};
use panoptes_store::search::{
    Columns, EXPORT_COLUMNS_MAX, Order, ParquetOut, Query, QueryError, ROWS_MAX, SearchRequest, SegmentError,
};
use tempfile::NamedTempFile;

use super::asking::Asking;
use super::search::plain;
use crate::cli::{ExportArgs, Global};
use crate::commands::Outcome;
use crate::table::write_csv_row;
use crate::time;

/// How many events are looked for at a time.
const FIND_ROWS: usize = 200_000;
/// How many whole events are in memory at a time.
const READ_ROWS: usize = 8_192;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Csv,
    Jsonl,
    Parquet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Zstd,
}

pub(super) fn run(global: &Global, args: &ExportArgs) -> anyhow::Result<Outcome> {
    let now = time::now();
    let when = |text: &Option<String>| {
        text.as_deref().map(|it| time::parse_when(it, now)).transpose().map_err(|it| anyhow!(it))
    };
    let (since, until) = (when(&args.since)?, when(&args.until)?);
    let query: Query = args.query.parse().map_err(|error: QueryError| anyhow!("{error}\n{}", error.pointer()))?;
    let (kind, packing) = form(&args.to)?;
    let asking = Asking::open(global)?;
    let folder = target_folder(&args.to, &asking.config.data_dir, args.force)?;
    asking.end_early(None);
    let mut reading = Reading { asking: &asking, query, since, until, now, bar: bar(), damage: Vec::new() };
    let columns = match kind {
        Kind::Jsonl => Columns::default(),
        Kind::Csv if !args.columns.is_empty() => Columns::default().only(&args.columns),
        Kind::Csv | Kind::Parquet => reading.columns(&args.columns)?,
    };
    let file = NamedTempFile::new_in(&folder).with_context(|| format!("cannot write in {}", folder.display()))?;
    let cannot_write = || format!("cannot write {}", args.to.display());
    let mut writer = Writer::new(file, kind, packing, &columns).with_context(cannot_write)?;
    let rows = reading.each("writing", &mut |rows| writer.write(rows, &columns).with_context(cannot_write))?;
    let file = writer.finish().with_context(cannot_write)?;
    file.as_file().sync_all().with_context(cannot_write)?;
    let kept = match args.force {
        true => file.persist(&args.to).map_err(|error| error.error),
        false => file.persist_noclobber(&args.to).map_err(|error| error.error),
    };
    kept.with_context(cannot_write)?;
    reading.bar.finish_and_clear();
    for damage in &reading.damage {
        tracing::warn!("{}; its events are missing from the export", panoptes_stdx::ErrorChain(damage));
    }
    tracing::info!("wrote {rows} events to {}: not encrypted any more, keep it accordingly", args.to.display());
    Ok(Outcome::Fine)
}

/// What the name of the file says.
fn form(path: &Path) -> anyhow::Result<(Kind, Packing)> {
    let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default().to_ascii_lowercase();
    let (packing, name) = match (name.strip_suffix(".gz"), name.strip_suffix(".zst")) {
        (Some(name), _) => (Packing::Gzip, name),
        (_, Some(name)) => (Packing::Zstd, name),
        _ => (Packing::None, name.as_str()),
    };
    let kind = match name.rsplit_once('.').map(|it| it.1) {
        Some("csv") => Kind::Csv,
        Some("jsonl" | "ndjson") => Kind::Jsonl,
        Some("parquet") if packing == Packing::None => Kind::Parquet,
        Some("parquet") => bail!("{}: Parquet is packed by itself; take the last ending away", path.display()),
        _ => bail!(
            "{} does not end with what says how to write it: .csv, .jsonl (both also .gz or .zst) or .parquet",
            path.display()
        ),
    };
    Ok((kind, packing))
}

/// The folder to write in.
fn target_folder(to: &Path, data_dir: &Path, force: bool) -> anyhow::Result<PathBuf> {
    let folder = match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let real = folder.canonicalize().with_context(|| format!("cannot write in {}", folder.display()))?;
    let data = data_dir.canonicalize().with_context(|| format!("cannot find {}", data_dir.display()))?;
    if real.starts_with(&data) {
        bail!("{} is in the data folder, where everything is encrypted: name another place", to.display());
    }
    let exists = to.try_exists().with_context(|| format!("cannot look for {}", to.display()))?;
    if exists && !force {
        bail!("{} exists already: name another file, or say --force to replace it", to.display());
    }
    Ok(real)
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(1_000);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {percent} % of the time  {eta} left  {wide_bar}")
    {
        bar.set_style(style);
    }
    bar
}

/// Goes through the events that match.
struct Reading<'a> {
    asking: &'a Asking,
    query: Query,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    now: Timestamp,
    bar: ProgressBar,
    damage: Vec<SegmentError>,
}

impl Reading<'_> {
    /// The columns that the events need.
    fn columns(&mut self, wanted: &[String]) -> anyhow::Result<Columns> {
        let mut columns = Columns::default();
        let mut is_complete = true;
        let schema = self.asking.schema();
        self.each("looking for columns", &mut |rows| {
            rows.iter().for_each(|it| is_complete &= columns.add(it, &schema));
            Ok(())
        })?;
        if !is_complete && wanted.is_empty() {
            tracing::warn!(
                "the events have more than {EXPORT_COLUMNS_MAX} fields: some are left out; choose with --columns, or export JSON lines"
            );
        }
        Ok(if wanted.is_empty() { columns } else { columns.only(wanted) })
    }

    /// Shows all events to `visit`, oldest first, some at a time.
    fn each(&mut self, what: &str, visit: &mut dyn FnMut(&[Row]) -> anyhow::Result<()>) -> anyhow::Result<u64> {
        let started = time::stopwatch();
        let ends = self.asking.times();
        let mut limit = FIND_ROWS;
        let mut since = self.since;
        let mut seen = None;
        let mut count = 0;
        loop {
            let mut found = self.asking.search(&SearchRequest {
                query: self.query.clone(),
                since,
                until: self.until,
                now: Some(self.now),
                limit,
                order: Order::OldestFirst,
                stop: self.asking.stop().clone(),
            })?;
            let (last, is_cut) = (found.last(), found.is_cut());
            if let Some(partial) = found.partial() {
                bail!("the export was not finished, {}: nothing was written", partial.reason.as_str());
            }
            while let Some(mut rows) = found.next_rows_up_to(READ_ROWS)? {
                if self.asking.stop().reason().is_some() {
                    bail!("the export was cancelled: nothing was written");
                }
                // Those of the time at which the last round ended come again.
                rows.retain(|it| Some((it.time, it.id)) > seen);
                visit(&rows)?;
                count += rows.len() as u64;
                if let (Some(row), Some((from, to))) = (rows.last(), ends) {
                    let (done, all) = (row.time.nanos_since(from) as f64, to.nanos_since(from) as f64);
                    self.bar.set_position((done / all.max(1.0) * 1_000.0).clamp(0.0, 1_000.0) as u64);
                    let rate = count * 1_000_000 / started.elapsed_micros().max(1);
                    self.bar.set_message(format!("{what}: {count} events, {rate} a second"));
                }
            }
            for damage in found.warnings() {
                if self.damage.iter().all(|it| it.segment() != damage.segment()) {
                    self.damage.push(damage.clone());
                }
            }
            let Some(last) = last.filter(|_| is_cut) else { return Ok(count) };
            if since == Some(last.0) {
                // All of one time: only a larger round gets past it.
                limit *= 2;
                if limit > ROWS_MAX {
                    bail!("more than {ROWS_MAX} events have the time {}: name a narrower query", last.0);
                }
            } else {
                limit = FIND_ROWS;
            }
            (since, seen) = (Some(last.0), Some(last));
        }
    }
}

enum Writer {
    Text(Kind, Box<Packed>),
    Parquet(Box<ParquetOut<BufWriter<NamedTempFile>>>),
}

enum Packed {
    Plain(BufWriter<NamedTempFile>),
    Gzip(flate2::write::GzEncoder<BufWriter<NamedTempFile>>),
    Zstd(zstd::Encoder<'static, BufWriter<NamedTempFile>>),
}

impl Write for Packed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(out) => out.write_all(bytes),
            Self::Gzip(out) => out.write_all(bytes),
            Self::Zstd(out) => out.write_all(bytes),
        }?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(out) => out.flush(),
            Self::Zstd(out) => out.flush(),
        }
    }
}

impl Writer {
    fn new(file: NamedTempFile, kind: Kind, packing: Packing, columns: &Columns) -> anyhow::Result<Self> {
        let out = BufWriter::new(file);
        if kind == Kind::Parquet {
            return Ok(Self::Parquet(Box::new(ParquetOut::new(out, columns)?)));
        }
        let mut packed = match packing {
            Packing::None => Packed::Plain(out),
            Packing::Gzip => Packed::Gzip(flate2::write::GzEncoder::new(out, flate2::Compression::default())),
            Packing::Zstd => Packed::Zstd(zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?),
        };
        if kind == Kind::Csv {
            write_csv_row(&mut packed, columns.names().iter().cloned())?;
        }
        Ok(Self::Text(kind, Box::new(packed)))
    }

    fn write(&mut self, rows: &[Row], columns: &Columns) -> anyhow::Result<()> {
        match self {
            Self::Parquet(out) => out.write(rows)?,
            Self::Text(kind, out) => {
                for row in rows {
                    match kind {
                        Kind::Csv => write_csv_row(out, columns.names().iter().map(|it| cell(&row.all_of(it))))?,
                        Kind::Jsonl | Kind::Parquet => writeln!(out, "{}", row.to_json())?,
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<NamedTempFile> {
        let out = match self {
            Self::Parquet(out) => out.finish()?,
            Self::Text(_, packed) => match *packed {
                Packed::Plain(out) => out,
                Packed::Gzip(out) => out.finish()?,
                Packed::Zstd(out) => out.finish()?,
            },
        };
        Ok(out.into_inner().map_err(|error| error.into_error())?)
    }
}

/// A value as a cell: text as it is (a file does not drive a terminal), a list as JSON.
fn cell(value: &FieldValue) -> String {
    match value {
        FieldValue::List(_) => {
            let mut out = String::new();
            value.write_json(&mut out);
            out
        }
        other => plain(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_file_says_how_to_write_it() {
        for (name, expected) in [
            ("a.csv", Some((Kind::Csv, Packing::None))),
            ("a.JSONL.zst", Some((Kind::Jsonl, Packing::Zstd))),
            ("dir.csv/a.csv.gz", Some((Kind::Csv, Packing::Gzip))),
            ("a.parquet", Some((Kind::Parquet, Packing::None))),
            ("a.parquet.gz", None),
            ("a.txt", None),
            ("csv", None),
            (".gz", None),
        ] {
            assert_eq!(form(Path::new(name)).ok(), expected, "{name}");
        }
    }
}
