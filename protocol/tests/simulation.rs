//! A thousand worlds: random clusters, networks, crashes and loads; no promise is broken, and everything is settled.
//!
//! `QUORATE_SEEDS=FIRST..LAST` runs other seeds than the first thousand; `QUORATE_SEED=N` runs one and prints its trace.
#![cfg(feature = "sim")]

use quorate_protocol::sim::{Outcome, Plan, Report};
use std::io::Write;
use std::panic::catch_unwind;
use std::time::Instant;

/// Runs a seed; a panic is a failure with a seed, too.
fn run(seed: u64) -> Result<Report, String> {
    let report = catch_unwind(|| Plan::from_seed(seed, None).run()).map_err(|_| format!("seed {seed} panicked"))?;
    match &report.outcome {
        Outcome::Pass => Ok(report),
        outcome => Err(format!("seed {seed}: {outcome}\nthe last of {} lines:\n{}", report.lines, report.tail)),
    }
}

/// Runs every other seed of a range, from its first or second on.
fn run_half(seeds: std::ops::Range<u64>, half: u64) -> Vec<Result<Report, String>> {
    seeds.filter(|seed| seed % 2 == half).map(run).collect()
}

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("QUORATE_SEEDS") else { return 0..1_000 };
    let (first, last) = text.split_once("..").expect("QUORATE_SEEDS is FIRST..LAST");
    first.parse().expect("a number")..last.parse().expect("a number")
}

#[test]
fn a_thousand_worlds_keep_every_promise() {
    if let Ok(seed) = std::env::var("QUORATE_SEED") {
        let report = run(seed.parse().expect("QUORATE_SEED is a number")).unwrap_or_else(|failure| panic!("{failure}"));
        let Report { outcome, executed, height, faults, digest, .. } = &report;
        return println!(
            "{}{outcome}: {executed} transactions in {height} blocks, {faults} faults, trace {digest}",
            report.tail
        );
    }
    let (seeds, begun) = (seeds(), Instant::now());
    let results: Vec<Result<Report, String>> = std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            let seeds = seeds.clone();
            scope.spawn(move || run_half(seeds, half))
        });
        halves.into_iter().flat_map(|half| half.join().expect("panics are caught")).collect()
    });
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let reports: Vec<&Report> = results.iter().flatten().collect();
    let sum = |of: fn(&Report) -> u64| reports.iter().map(|report| of(report)).sum::<u64>();
    // Past the test harness's capture: a run that passes tells its figures, too.
    writeln!(
        std::io::stdout().lock(),
        "{} of {} seeds pass: {:.0} seeds per minute; {} transactions in {} blocks, {} faults, {} lines of trace",
        reports.len(),
        results.len(),
        results.len() as f64 / minutes,
        sum(|report| report.executed as u64),
        sum(|report| report.height),
        sum(|report| report.faults as u64),
        sum(|report| report.lines),
    )
    .expect("stdout takes a line");
    let failures: Vec<&String> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(failures.is_empty(), "{} seeds fail, the first one:\n{}", failures.len(), failures[0]);
    let eventful = reports.iter().filter(|report| report.executed >= 100 && report.faults >= 5).count();
    assert!(eventful == reports.len(), "only {eventful} worlds have 100 executed transactions and 5 faults");
}

#[test]
fn a_seed_gives_the_same_trace_twice() {
    for seed in 0..10 {
        let [first, second] = [(); 2].map(|()| Plan::from_seed(seed, None).run());
        assert_eq!((first.digest, first.lines), (second.digest, second.lines), "seed {seed}");
    }
    assert_ne!(Plan::from_seed(0, None).run().digest, Plan::from_seed(1, None).run().digest);
}
