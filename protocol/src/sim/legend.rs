//! What a person needs in order to read a trace.

use super::fault::{Cast, Role};
use super::genesis::NAMES;
use super::plan::Plan;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The plan in words: who is who, what goes wrong and when, and how to read the lines of the trace.
#[must_use]
pub fn legend(plan: &Plan) -> String {
    let world = &plan.world;
    let (f, quorum) = ((world.n - 1) / 3, (world.n + (world.n - 1) / 3 + 1).div_ceil(2));
    let mut text =
        format!("seed {}: {} validators v0 to v{}, f = {f}, a quorum is {quorum}\n", world.seed, world.n, world.n - 1);
    let faulty: Vec<String> = plan.faulty().iter().map(ToString::to_string).collect();
    let faulty = if faulty.is_empty() { "nobody".to_owned() } else { faulty.join(", ") };
    push(&mut text, format_args!("among the f: {faulty}"));
    for Cast { node, role } in &plan.casts {
        match role {
            Role::Lies(lie) => push(&mut text, format_args!("{node} lies: {lie:?} (sim::byzantine)")),
            Role::Twin => push(&mut text, format_args!("{node} has a twin, {node}', with the same key")),
        }
    }
    for timed in &plan.faults {
        let (from, to) = (timed.at.as_secs_f64() * 1e3, (timed.at + timed.lasts).as_secs_f64() * 1e3);
        push(&mut text, format_args!("{from:>9.3} to {to:.3} ms  {:?}", timed.fault));
    }
    let link = world.link;
    push(
        &mut text,
        format_args!(
            "links take {:?} to {:?}, lose {} and double {} of a thousand; a sync takes {:?} to {:?}",
            link.delay_min, link.delay_max, link.loss_per_mille, link.duplicate_per_mille, world.sync.0, world.sync.1
        ),
    );
    push(
        &mut text,
        format_args!(
            "{} transactions of {} clients ({} to {}) within {:?}; then everything heals that can, links take {:?}",
            plan.transactions.len(),
            NAMES.len(),
            NAMES[0],
            NAMES[NAMES.len() - 1],
            plan.load,
            plan.healed_delay
        ),
    );
    text.push_str(
        "a line is: time since the beginning, `v1 → v2` and what arrives there, or `v1` and what it does;\n\
         digests and ids show their first six digits; `says` is when a vote leaves, after its record is on disk\n",
    );
    text
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    writeln!(text, "{what}").expect("writing to memory does not fail");
}

/// Every ending of the trace that says the same as the line before is one line with a count: STATUS comes all the time.
#[must_use]
pub fn condensed(trace: &str) -> String {
    let mut statuses: BTreeMap<&str, usize> = BTreeMap::new();
    let mut text = String::new();
    for line in trace.lines() {
        if line.contains(" STATUS ") {
            *statuses.entry("STATUS").or_default() += 1;
            continue;
        }
        text.push_str(line);
        text.push('\n');
    }
    if let Some(count) = statuses.get("STATUS") {
        push(&mut text, format_args!("({count} lines of STATUS are left out)"));
    }
    text
}
