//! `panoptes generate`.
#![expect(clippy::print_stderr, reason = "progress and summary are for people; lines go to standard output")]

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::GenerateArgs;
use crate::commands::Outcome;
use crate::generate::run::{Plan, Report};
use crate::generate::send::{Sender, Target};
use crate::generate::{Generator, Options};
use crate::time;

pub(super) fn run(args: &GenerateArgs) -> anyhow::Result<Outcome> {
    let target: Target = args.to.parse()?;
    let options =
        Options { mix: args.kind.parse()?, dress: target.dress(), anomalies: !args.no_anomalies, ..Options::default() };
    let mut generator = Generator::new(args.seed, time::now(), &options);
    let mut sender = Sender::open(&target)?;
    let stop = stop_on_interrupt()?;
    let plan = Plan { rate: args.rate, count: args.count, duration: args.duration };
    let bar = progress_bar(&plan, &target);
    let report =
        crate::generate::run::run(&mut generator, &mut sender, plan, &time::now, &stop, &mut |report: &Report| {
            bar.set_position(report.tally.sent);
        });
    bar.finish_and_clear();
    if target != Target::Stdout || std::io::stderr().is_terminal() {
        summarize(&report);
    }
    match report.error {
        Some(error) => Err(error),
        None => Ok(Outcome::Fine),
    }
}

/// A flag that Ctrl-C and SIGTERM set, so that what is under way can end properly; a second Ctrl-C ends at once.
pub(super) fn stop_on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot watch for Ctrl-C")?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                crate::server::interrupted().await;
                flag.store(true, Ordering::Release);
                crate::server::interrupted().await;
                // The user has asked twice; nothing here holds anything that a lost process would damage.
                #[expect(clippy::exit, reason = "a second Ctrl-C must end whatever still hangs")]
                std::process::exit(130);
            });
        })
        .context("cannot watch for Ctrl-C")?;
    Ok(stop)
}

fn progress_bar(plan: &Plan, target: &Target) -> ProgressBar {
    if *target == Target::Stdout || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = plan.count.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = "{spinner} {human_pos} lines  {per_sec}  {elapsed}  {wide_bar}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn summarize(report: &Report) {
    let tally = &report.tally;
    let acknowledged =
        if report.acknowledges { format!(", {} acknowledged", tally.acknowledged) } else { String::new() };
    eprintln!(
        "{} lines sent{acknowledged}, {} failed, {:.1} MB in {:.1} s: {:.0} lines/s",
        tally.sent,
        tally.failed,
        report.megabytes(),
        report.seconds(),
        report.rate()
    );
    let finished = report.staged.iter().filter(|it| it.is_finished()).count();
    if finished > 0 {
        eprintln!("{finished} attacks staged between them");
    }
}
