//! `quorate-testnet simulate`: the front end of the deterministic simulator.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Instant;

use quorate_cli::exit::{Exit, Failure};
use quorate_cli::output::progress::Progress;
use quorate_cli::output::table::{Facts, Style};
use quorate_cli::output::{Printer, Readable};
use quorate_crypto::hash::digest;
use quorate_protocol::sim::legend::condensed;
use quorate_protocol::sim::{Outcome, Plan, Report, Scenario, legend, scenarios, shrink};
use serde::Serialize;

use crate::arguments::Simulate;

/// How many runs without `--seeds` and `--seed`.
const SEEDS: u64 = 100;
/// How many plans are tried to make a failing one shorter.
const SHRINK_TRIES: usize = 300;
/// How many failing seeds are told of; all are counted.
const FAILURES_SHOWN: usize = 20;

/// What names the scenarios in place of one.
const LIST: &str = "list";

/// Which worlds are run.
#[derive(Clone, Copy, Debug)]
struct Worlds {
    /// Those of one situation, or those that plain seeds decide.
    scenario: Option<&'static Scenario>,
    nodes: Option<usize>,
}

/// The scenarios by name.
#[derive(Clone, Debug, Serialize)]
struct List {
    scenarios: Vec<Listed>,
}

#[derive(Clone, Debug, Serialize)]
struct Listed {
    name: &'static str,
    /// What happens in it.
    about: &'static str,
    /// The fewest validators that it takes.
    nodes_min: usize,
}

/// One failing run.
#[derive(Clone, Debug, Serialize)]
struct Failed {
    seed: u64,
    outcome: String,
    /// The last lines of its trace.
    tail: String,
}

/// All runs together.
#[derive(Clone, Debug, Serialize)]
struct Summary {
    first_seed: u64,
    seeds: u64,
    /// The situation that was asked for.
    scenario: Option<&'static str>,
    /// How often it came about, and in how many of the runs.
    happened: Option<u64>,
    happened_in: Option<u64>,
    passed: u64,
    failed: u64,
    /// The first of the failing runs, by seed.
    failures: Vec<Failed>,
    /// The first of them made as short as it can be: its plan, what happens, and what the words mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    story: Option<String>,
    /// Transactions executed.
    executed: u64,
    /// Blocks made.
    blocks: u64,
    /// Faults that happened.
    faults: u64,
    /// A hash over the digests of all traces, in the order of the seeds: equal seeds give equal ones.
    digest: String,
    seconds: f64,
    seeds_per_minute: f64,
    #[serde(skip)]
    worlds: Worlds,
}

/// Runs the seeds, on all cores.
///
/// # Errors
/// When the trace cannot be written. A broken promise is exit code 1.
pub fn run(arguments: &Simulate, printer: Printer) -> Result<Exit, Failure> {
    let first = arguments.seed.unwrap_or(0);
    let count = arguments.seeds.unwrap_or(if arguments.seed.is_some() { 1 } else { SEEDS });
    if first.checked_add(count).is_none() {
        return Err(Failure::usage(format!("there are no {count} seeds from {first} on"), "choose a smaller --seed"));
    }
    let worlds = match arguments.scenario.as_deref() {
        Some(LIST) => return printer.print(&List::of_all()).map(|()| Exit::Success),
        name => Worlds::new(name, arguments.nodes)?,
    };
    let began = Instant::now();
    let mut summary = Summary::new(first, count, worlds);
    let mut progress = Progress::on_terminal();
    let mut last = None;
    let mut digests = Vec::new();
    each_in_order(first, count, worlds, |report| {
        summary.add(&report);
        digests.push(report.digest);
        progress.tick(&format!("{} of {count} seeds, {} failed", summary.passed + summary.failed, summary.failed));
        last = Some(report);
    });
    drop(progress);
    summary.finish(began, digest("quorate/simulation", &digests).to_string());
    summary.story = summary.failures.first().map(|failed| {
        let shrunk = shrink(&worlds.plan(failed.seed), SHRINK_TRIES, Plan::run_caught);
        worlds.title() + &shrunk.story()
    });
    if let (Some(file), Some(last)) = (&arguments.trace, last) {
        let end = || format!("{}{}\n{}", worlds.title(), legend(&worlds.plan(last.seed)), condensed(&last.tail));
        write_trace(file, &summary.story.clone().unwrap_or_else(end))?;
    }
    let Some(worst) = summary.failures.first() else {
        printer.print(&summary)?;
        return Ok(Exit::Success);
    };
    let failure = Failure::new(
        Exit::Internal,
        "promise_broken",
        format!("{} of {count} runs failed, first seed {}: {}", summary.failed, worst.seed, worst.outcome),
        format!("replay it with: quorate-testnet simulate --seed {}{} --trace FILE", worst.seed, worlds.flags()),
    );
    printer.print_failed(&summary, &failure)
}

impl Worlds {
    fn new(name: Option<&str>, nodes: Option<u8>) -> Result<Worlds, Failure> {
        let scenario = name.map(|name| Scenario::named(name).ok_or_else(|| no_such_scenario(name))).transpose()?;
        let nodes = nodes.map(usize::from);
        if let (Some(Scenario { name, n_min, .. }), Some(n)) = (scenario, nodes)
            && n < *n_min
        {
            let message = format!("{name} takes {n_min} validators at least, not {n}");
            return Err(Failure::usage(message, format!("give --nodes {n_min} or more, or leave it out")));
        }
        Ok(Worlds { scenario, nodes })
    }

    fn plan(&self, seed: u64) -> Plan {
        match self.scenario {
            Some(scenario) => scenario.plan(seed, self.nodes),
            None => Plan::from_seed(seed, self.nodes),
        }
    }

    /// The first line of a story.
    fn title(&self) -> String {
        self.scenario.map_or_else(String::new, |Scenario { name, about, .. }| format!("{name}: {about}\n"))
    }

    /// What repeats them on the command line.
    fn flags(&self) -> String {
        let nodes = self.nodes.map_or_else(String::new, |nodes| format!(" --nodes {nodes}"));
        self.scenario.map_or_else(String::new, |scenario| format!(" --scenario {}", scenario.name)) + &nodes
    }
}

fn no_such_scenario(name: &str) -> Failure {
    Failure::usage(
        format!("there is no scenario {name}; there are:\n{}", List::of_all().lines()),
        "name one of them, or leave --scenario out to have the seed decide what goes wrong",
    )
}

impl List {
    fn of_all() -> List {
        let listed = |it: &Scenario| Listed { name: it.name, about: it.about, nodes_min: it.n_min };
        List { scenarios: scenarios().iter().map(listed).collect() }
    }

    fn lines(&self) -> String {
        let width = self.scenarios.iter().map(|listed| listed.name.len()).max().unwrap_or_default();
        self.scenarios.iter().map(|listed| format!("  {:width$}  {}\n", listed.name, listed.about)).collect()
    }
}

impl Readable for List {
    fn text(&self, _: Style) -> String {
        self.lines()
    }
}

/// Runs seeds on all cores and hands each report over in the order of the seeds.
fn each_in_order(first: u64, count: u64, worlds: Worlds, mut each: impl FnMut(Report)) {
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let next = AtomicU64::new(first);
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        for _ in 0..workers {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || work(next, first + count, worlds, &sender));
        }
        drop(sender);
        let (mut early, mut expected) = (BTreeMap::new(), first);
        for report in receiver {
            early.insert(report.seed, report);
            while let Some(report) = early.remove(&expected) {
                expected += 1;
                each(report);
            }
        }
    });
}

fn work(next: &AtomicU64, end: u64, worlds: Worlds, sender: &Sender<Report>) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end || sender.send(worlds.plan(seed).run_caught()).is_err() {
            return;
        }
    }
}

fn write_trace(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(|error| {
        Failure::internal(format!("the trace cannot be written to {}: {error}", file.display()), "choose another file")
    })
}

impl Summary {
    fn new(first_seed: u64, seeds: u64, worlds: Worlds) -> Summary {
        let none_yet = worlds.scenario.map(|_| 0);
        Summary {
            first_seed,
            seeds,
            scenario: worlds.scenario.map(|scenario| scenario.name),
            happened: none_yet,
            happened_in: none_yet,
            passed: 0,
            failed: 0,
            failures: Vec::new(),
            story: None,
            executed: 0,
            blocks: 0,
            faults: 0,
            digest: String::new(),
            seconds: 0.0,
            seeds_per_minute: 0.0,
            worlds,
        }
    }

    fn add(&mut self, report: &Report) {
        self.executed += report.executed as u64;
        self.blocks += report.height;
        self.faults += report.faults as u64;
        let times = self.worlds.scenario.map(|scenario| scenario.happened(report));
        self.happened = self.happened.zip(times).map(|(all, times)| all + times);
        self.happened_in = self.happened_in.zip(times).map(|(runs, times)| runs + u64::from(times > 0));
        if report.outcome == Outcome::Pass {
            self.passed += 1;
            return;
        }
        self.failed += 1;
        if self.failures.len() < FAILURES_SHOWN {
            let (seed, outcome) = (report.seed, report.outcome.to_string());
            self.failures.push(Failed { seed, outcome, tail: report.tail.clone() });
        }
    }

    fn finish(&mut self, began: Instant, digest: String) {
        self.digest = digest;
        self.seconds = began.elapsed().as_secs_f64();
        self.seeds_per_minute = self.seeds as f64 * 60.0 / self.seconds.max(0.001);
    }
}

impl Readable for Summary {
    fn text(&self, style: Style) -> String {
        let verdict =
            if self.failed == 0 { style.good("every promise held") } else { style.bad("a promise was broken") };
        let nodes = self.worlds.nodes.map_or_else(|| "as each seed decides".to_owned(), |nodes| nodes.to_string());
        let mut facts = Facts::default();
        facts.add("verdict", verdict);
        if let (Some(name), Some(happened), Some(runs)) = (self.scenario, self.happened, self.happened_in) {
            facts.add("scenario", format!("{name}: it came about in {runs} of {} runs, {happened} times", self.seeds));
        }
        facts
            .add("seeds", format!("{} to {}", self.first_seed, self.first_seed + self.seeds - 1))
            .add("passed", format!("{} of {}", self.passed, self.seeds))
            .add("nodes", nodes)
            .add("faults", self.faults.to_string())
            .add("executed", format!("{} transactions in {} blocks", self.executed, self.blocks))
            .add("traces", self.digest.clone())
            .add("speed", format!("{:.0} seeds per minute, {:.1} s in all", self.seeds_per_minute, self.seconds));
        for failed in &self.failures {
            facts.add(&format!("seed {}", failed.seed), style.bad(&failed.outcome));
        }
        let story = self.story.as_ref().map(|story| format!("\n{story}"));
        facts.render(style) + story.as_deref().unwrap_or_default()
    }
}
