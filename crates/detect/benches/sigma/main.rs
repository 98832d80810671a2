//! All of SigmaHQ over Windows events, ours beside `rsigma-eval` in the same run: from bytes to pairs of an event and a
//! rule, on one thread. Seconds are CPU seconds of that thread; rounds of all engines take turns, and the
//! fastest of each counts: what slows a round down on a shared machine is none of the engine's.
//!
//! * **ours**: batches of records, [`Normalizer`], [`RuleSet::prepare`], as in production.
//! * **default**: `serde_json::from_slice`, `JsonEvent`, `Engine::evaluate`, as rsigma's command line does.
//! * **routed**: the same with one engine for each set of rules that a channel and an event id can concern, which is the
//!   most that routing can give it. Who may be asked about what is `tests/oracle/log_sources.rs`, not our mappings.
//!
//! Three inputs, of the corpus `security-datasets` (`PANOPTES_CORPORA`, else `../shared/corpora`): everything as it is;
//! programs started; unique script blocks. Of the last two the corpora have few hundred, so `inputs.rs` makes more of
//! them. Run by `cargo xtask bench sigma`; `-- --profile-only ours --input mixed --seconds 10` is for a profiler.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "../../tests/oracle/data.rs"]
mod data;
mod engines;
mod inputs;
#[path = "../../tests/oracle/log_sources.rs"]
mod log_sources;
mod memory;

use std::path::{Path, PathBuf};

use panoptes_detect::RuleFile;
use rsigma_parser::{SigmaRule, parse_sigma_yaml};

use self::engines::{Default, Engine, Ours, Pair, Routed};
use self::inputs::Input;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// How often everything is timed, unless told otherwise.
const ROUNDS: usize = 5;
/// One in so many rules is kept to see what the others cost.
const TENTH: usize = 10;

struct Options {
    rounds: usize,
    input: Option<String>,
    profile_seconds: Option<f64>,
    seconds: f64,
}

fn options() -> Options {
    let mut options = Options { rounds: ROUNDS, input: None, profile_seconds: None, seconds: 10.0 };
    let mut words = std::env::args().skip(1);
    let mut profiled = false;
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("`{word}` needs a value"));
        match word.as_str() {
            "--rounds" => options.rounds = value().parse().expect("`--rounds` is a whole number"),
            "--input" => options.input = Some(value()),
            "--seconds" => options.seconds = value().parse().expect("`--seconds` is a number"),
            "--profile-only" => {
                assert_eq!(value(), "ours", "only ours is profiled");
                profiled = true;
            }
            // What cargo says to every bench.
            "--bench" => {}
            other => panic!("there is no option `{other}`: --rounds, --input, --profile-only ours, --seconds"),
        }
    }
    options.profile_seconds = profiled.then_some(options.seconds);
    options
}

fn main() {
    let options = options();
    let corpora = std::env::var_os("PANOPTES_CORPORA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora"), PathBuf::from);
    if !corpora.join("sigma").is_dir() {
        println!("skipped: no corpus `sigma` in PANOPTES_CORPORA or ../shared/corpora");
        return;
    }
    let files = data::sigma_rules(&corpora);
    let inputs: Vec<Input> = inputs::all(&corpora)
        .into_iter()
        .filter(|it| options.input.as_deref().is_none_or(|wanted| wanted == it.name))
        .collect();
    assert!(!inputs.is_empty(), "there is no such input: mixed, processes, scripts");
    if let Some(seconds) = options.profile_seconds {
        return profile(&files, &inputs, seconds);
    }

    let rules: Vec<SigmaRule> =
        files.iter().flat_map(|it| parse_sigma_yaml(&it.text).expect("rules of SigmaHQ are rules").rules).collect();
    compile_costs(&files);

    println!(
        "\n| input | events | MB | ours, events per CPU second | rsigma | ratio | rsigma routed | ratio | ours with a tenth of the rules |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut details = Vec::new();
    for input in &inputs {
        let ours = Ours::new(&files);
        let tenth: Vec<RuleFile> = files.iter().step_by(TENTH).cloned().collect();
        let tenth = Ours::new(&tenth);
        let default = Default::new(&rules);
        let routed = Routed::new(&rules);
        let engines: [&dyn Engine; 4] = [&ours, &default, &routed, &tenth];
        // Once before the clock runs: plans and routes are made as they are needed.
        let pairs: Vec<Vec<Pair>> = engines.iter().map(|it| it.pairs(input)).collect();
        let mut seconds = [const { Vec::new() }; 4];
        for _ in 0..options.rounds {
            for (engine, seconds) in engines.iter().zip(&mut seconds) {
                seconds.push(engine.seconds(input));
            }
        }
        let [own, default_seconds, routed_seconds, few] = seconds.map(fastest);
        let rate = |seconds: f64| input.events() as f64 / seconds;
        println!(
            "| {} | {} | {:.0} | {:.0} | {:.0} | **{:.1}** | {:.0} | **{:.1}** | {:.0} ({:.2}) |",
            input.title,
            input.events(),
            input.bytes() as f64 / 1e6,
            rate(own),
            rate(default_seconds),
            default_seconds / own,
            rate(routed_seconds),
            routed_seconds / own,
            rate(few),
            own / few,
        );
        details.push(agreement(input, &routed, &pairs));
        details.push(costs(input, &ours, options.rounds));
    }
    println!();
    details.iter().for_each(|it| println!("{it}"));
}

fn fastest(seconds: Vec<f64>) -> f64 {
    seconds.into_iter().fold(f64::INFINITY, f64::min)
}

/// Our side alone, again and again.
fn profile(files: &[RuleFile], inputs: &[Input], seconds: f64) {
    let ours = Ours::new(files);
    let until = engines::cpu_seconds() + seconds;
    let (mut events, mut spent) = (0, 0.0);
    let mut best = vec![f64::INFINITY; inputs.len()];
    while engines::cpu_seconds() < until {
        for (input, best) in inputs.iter().zip(&mut best) {
            let seconds = ours.seconds(input);
            spent += seconds;
            events += input.events();
            *best = best.min(seconds);
        }
    }
    println!("{:.0} events per CPU second", events as f64 / spent);
    for (input, best) in inputs.iter().zip(best) {
        println!("{}: at best {:.0}", input.name, input.events() as f64 / best);
    }
}

/// What it costs to have the rules: time of reading and of compiling, memory of what stays.
fn compile_costs(files: &[RuleFile]) {
    let (mut reading, mut all) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = engines::cpu_seconds();
        for file in files {
            std::hint::black_box(parse_sigma_yaml(&file.text).expect("rules of SigmaHQ are rules"));
        }
        reading.push(engines::cpu_seconds() - started);
        let started = engines::cpu_seconds();
        std::hint::black_box(Ours::new(files));
        all.push(engines::cpu_seconds() - started);
    }
    let (ours, bytes) = memory::of(|| Ours::new(files));
    println!(
        "{} rules: read and compiled in {:.2} s (reading YAML alone takes {:.2} s); {:.1} MB once compiled",
        ours.len(),
        fastest(all),
        fastest(reading),
        bytes as f64 / 1e6,
    );
}

/// Which pairs each finds.
fn agreement(input: &Input, routed: &Routed, pairs: &[Vec<Pair>]) -> String {
    let [ours, default, by_route, ..] = pairs else { return String::new() };
    let gated: Vec<Pair> = default.iter().filter(|it| routed.may_ask(input, it)).cloned().collect();
    let common = |one: &[Pair], other: &[Pair]| {
        let other: std::collections::HashSet<&Pair> = other.iter().collect();
        one.iter().filter(|it| other.contains(it)).count()
    };
    let with_gated = common(ours, &gated);
    format!(
        "{}: pairs of an event and a rule: ours {}, rsigma {}, of them within the rule's log source {}, rsigma routed {}; \
         ours and those within {with_gated} common, {} only ours, {} only rsigma's; with the routed {} common",
        input.name,
        ours.len(),
        default.len(),
        gated.len(),
        by_route.len(),
        ours.len() - with_gated,
        gated.len() - with_gated,
        common(ours, by_route),
    )
}

/// Where our time goes.
fn costs(input: &Input, ours: &Ours<'_>, rounds: usize) -> String {
    let mut parts = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        for (seconds, part) in parts.iter_mut().zip(ours.parts(input)) {
            seconds.push(part);
        }
    }
    let [json, normalize, matching] = parts.map(fastest);
    let per_event = |seconds: f64| seconds * 1e6 / input.events() as f64;
    format!(
        "{}: reading JSON {:.2} µs an event, the rest of normalising {:.2}, matching {:.2}; memory with all plans made {:.1} MB",
        input.name,
        per_event(json),
        per_event(normalize - json),
        per_event(matching),
        ours.memory_after(input) as f64 / 1e6,
    )
}
