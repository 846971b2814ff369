//! The faults in force, and what the links do because of them.
//!
//! Network faults are answered here at once, on the thread of whoever asks, so that they do not wait while the supervisor
//! starts or stops a node. The others are the supervisor's, who notes them here.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use quorate_cli::exit::Failure;

use crate::banner::quoted;
use crate::conditions::{Conditions, STALL};
use crate::control::{Delay, Request, State};
use crate::directory::Directory;
use crate::fault::{Fault, FaultKind, LinkShown, Said};
use crate::links::Links;
use crate::partition;
use crate::timeline::Timeline;
use crate::units::{show_bytes, show_ms};

/// Faults of one kind and target replace each other; what was typed differently adds up, to no more than this, so that an
/// answer of the supervisor stays within its bound.
const IN_FORCE_MAX: usize = 200;

/// What a fault does to the links.
#[derive(Clone, Debug)]
enum Effect {
    /// Nothing: it is a process's.
    None,
    /// These directions carry nothing.
    Cut(BTreeSet<(usize, usize)>),
    /// These directions are slow.
    Slow(BTreeSet<(usize, usize)>, Conditions),
}

#[derive(Clone, Debug)]
struct InForce {
    fault: Fault,
    effect: Effect,
}

/// The faults of one testnet.
#[derive(Debug)]
pub struct Faults {
    directory: Directory,
    names: Vec<String>,
    /// Absent where the nodes are connected without proxies.
    links: OnceLock<Links>,
    in_force: Mutex<Vec<InForce>>,
    timeline: Timeline,
}

impl Faults {
    /// No faults, and no proxies yet.
    pub fn new(directory: &Directory, names: Vec<String>) -> Faults {
        Faults {
            timeline: Timeline::new(&directory.timeline()),
            directory: directory.clone(),
            names,
            links: OnceLock::new(),
            in_force: Mutex::default(),
        }
    }

    /// Puts a proxy into each link of the nodes that will listen for peers at these addresses.
    ///
    /// # Errors
    /// When a proxy cannot be started.
    pub fn open_links(&self, p2p: &[SocketAddr]) -> Result<(), Failure> {
        // There is one start of everything in the life of a supervisor.
        let _ = self.links.set(Links::start(p2p)?);
        Ok(())
    }

    /// The proxies, where there are any.
    pub fn links(&self) -> Option<&Links> {
        self.links.get()
    }

    /// The faults in force, the oldest first.
    pub fn in_force(&self) -> Vec<Fault> {
        self.lock().iter().map(|entry| entry.fault.clone()).collect()
    }

    /// How the network is, without the nodes' processes.
    pub fn state(&self) -> State {
        let links = self.links_shown();
        State { proxied: self.links.get().is_some(), faults: self.in_force(), links, ..State::default() }
    }

    /// The directions of links that are not as they should be.
    pub fn links_shown(&self) -> Vec<LinkShown> {
        let in_force = self.lock();
        let nodes = 0..self.names.len();
        let all = nodes.clone().flat_map(|from| nodes.clone().map(move |to| (from, to)));
        let shown = all.filter_map(|(from, to)| {
            let conditions = conditions(&in_force, from, to);
            (conditions != Conditions::default()).then(|| self.show(from, to, conditions))
        });
        shown.collect()
    }

    fn show(&self, from: usize, to: usize, conditions: Conditions) -> LinkShown {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        LinkShown {
            from: self.names[from].clone(),
            to: self.names[to].clone(),
            held: conditions.held,
            latency_ms: ms(conditions.latency),
            jitter_ms: ms(conditions.jitter),
            stall_permille: conditions.stall_permille,
            bandwidth: conditions.bandwidth,
        }
    }

    /// Does what is asked where it is about the network; `None` where it is not.
    pub fn answer(&self, request: &Request) -> Option<Result<Said, Failure>> {
        match request {
            Request::Partition { spec } => Some(self.partition(spec)),
            Request::Delay(delay) => Some(self.delay(delay)),
            Request::Heal {} => Some(self.heal()),
            _ => None,
        }
    }

    /// Notes a fault that is in force from now on; one of the same kind and target is replaced.
    pub fn begin(&self, kind: FaultKind, target: &str, what: &str, undo: &str) -> Said {
        self.insert(kind, target, what, undo, Effect::None);
        Said::new(format!("{target}: {what}"), Some(self.command(undo)), Vec::new())
    }

    /// Notes that a fault has ended. Returns whether there was one.
    pub fn end(&self, kind: FaultKind, target: &str, why: &str) -> bool {
        let mut in_force = self.lock();
        let before = in_force.len();
        in_force.retain(|entry| entry.fault.kind != kind || entry.fault.target != target);
        let ended = in_force.len() < before;
        if ended {
            self.timeline.note(&format!("{kind} ended"), target, why);
        }
        ended
    }

    /// Whether a fault of this kind is in force for this target.
    pub fn has(&self, kind: FaultKind, target: &str) -> bool {
        self.lock().iter().any(|entry| entry.fault.kind == kind && entry.fault.target == target)
    }

    /// Notes what was done and is no fault that lasts.
    pub fn note(&self, event: &str, target: &str, what: &str) {
        self.timeline.note(event, target, what);
    }

    /// Ends everything that is noted here, since the testnet ends.
    pub fn end_all(&self) {
        for entry in self.lock().drain(..) {
            self.timeline.note(&format!("{} ended", entry.fault.kind), &entry.fault.target, "the testnet was stopped");
        }
    }

    /// A command on this testnet as it is typed.
    pub fn command(&self, arguments: &str) -> String {
        format!("quorate-testnet {arguments} --dir {}", quoted(self.directory.path()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<InForce>> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, kind: FaultKind, target: &str, what: &str, undo: &str, effect: Effect) {
        let mut in_force = self.lock();
        let since = self.timeline.note(&kind.to_string(), target, what);
        let fault = Fault { kind, target: target.to_owned(), what: what.to_owned(), undo: self.command(undo), since };
        in_force.retain(|entry| entry.fault.kind != kind || entry.fault.target != target);
        in_force.push(InForce { fault, effect });
        self.apply(&in_force);
    }

    fn apply(&self, in_force: &[InForce]) {
        if let Some(links) = self.links.get() {
            links.apply(|from, to| conditions(in_force, from, to));
        }
    }

    fn must_have_links(&self) -> Result<(), Failure> {
        if self.links.get().is_some() {
            return Ok(());
        }
        let (down, up) = (self.command("down"), self.command("up --faults --detach"));
        Err(Failure::usage(
            "this testnet runs without proxies between its nodes, so its links cannot be broken",
            format!("start it with them (the chain stays): {down}; {up}"),
        ))
    }

    fn must_have_room(&self) -> Result<(), Failure> {
        if self.lock().len() < IN_FORCE_MAX {
            return Ok(());
        }
        Err(Failure::usage(
            format!("{IN_FORCE_MAX} faults are in force, and there may not be more"),
            self.command("heal"),
        ))
    }

    fn partition(&self, spec: &str) -> Result<Said, Failure> {
        let cut = partition::parse(spec, &self.names)?;
        self.must_have_links()?;
        self.must_have_room()?;
        let target: String = spec.split_whitespace().collect();
        let ways = if cut.one_way { "one way" } else { "both ways" };
        let count = cut.pairs.len();
        let plural = if count == 1 { "direction of a link carries" } else { "directions of links carry" };
        let what = format!("{count} {plural} nothing ({ways})");
        self.insert(FaultKind::Partition, &target, &what, "heal", Effect::Cut(cut.pairs));
        let mut notes = Vec::new();
        if cut.one_way {
            notes.push(
                "This is TCP: the open direction runs on for one Yamux window (256 KiB), since nothing acknowledges it; \
                 after 16 s of silence the deaf side gives the connection up, and no new one comes about until it is healed."
                    .to_owned(),
            );
        }
        if !cut.unnamed.is_empty() {
            notes.push(format!("Not named, so their links stay: {}.", cut.unnamed.join(", ")));
        }
        Ok(Said::new(format!("partition {target}: {what}"), Some(self.command("heal")), notes))
    }

    fn delay(&self, delay: &Delay) -> Result<Said, Failure> {
        let pairs = self.target_pairs(&delay.target)?;
        self.must_have_links()?;
        let target = &delay.target;
        let conditions = delay.conditions();
        if conditions == Conditions::default() {
            return self.undelay(target, &pairs);
        }
        self.must_have_room()?;
        let what = describe(&conditions);
        let undo = format!("delay {target} --latency 0ms");
        self.insert(FaultKind::Delay, target, &what, &undo, Effect::Slow(pairs, conditions));
        Ok(Said::new(format!("delay {target}: {what}, each way"), Some(self.command(&undo)), Vec::new()))
    }

    fn undelay(&self, target: &str, pairs: &BTreeSet<(usize, usize)>) -> Result<Said, Failure> {
        let ended = self.end(FaultKind::Delay, target, "taken off");
        let in_force = self.lock();
        self.apply(&in_force);
        let covers = |entry: &&InForce| matches!(&entry.effect, Effect::Slow(slow, _) if !slow.is_disjoint(pairs));
        let others: Vec<String> = in_force.iter().filter(covers).map(|entry| entry.fault.target.clone()).collect();
        let notes = match others.join(", ") {
            others if others.is_empty() => Vec::new(),
            others => vec![format!("Still in force on some of these links: the delay of {others}.")],
        };
        let what = if ended { "ended" } else { "there was none" };
        Ok(Said::new(format!("delay {target}: {what}"), None, notes))
    }

    fn heal(&self) -> Result<Said, Failure> {
        self.must_have_links()?;
        let mut in_force = self.lock();
        let (ended, stay): (Vec<InForce>, Vec<InForce>) =
            in_force.drain(..).partition(|entry| entry.fault.kind.is_of_network());
        *in_force = stay;
        self.apply(&in_force);
        self.timeline.note("heal", "", "all network faults ended");
        let told: Vec<String> =
            ended.iter().map(|entry| format!("{} {}", entry.fault.kind, entry.fault.target)).collect();
        let what = match told.is_empty() {
            true => "healed: no network fault was in force".to_owned(),
            false => format!("healed: {}", told.join(", ")),
        };
        let notes = match in_force.is_empty() {
            true => Vec::new(),
            false => {
                let left: Vec<&str> = in_force.iter().map(|entry| entry.fault.undo.as_str()).collect();
                vec![format!("Other faults stay until: {}.", left.join("; "))]
            }
        };
        Ok(Said::new(what, None, notes))
    }

    /// The directions that a node's name or a pair `v0-v1` stands for.
    fn target_pairs(&self, target: &str) -> Result<BTreeSet<(usize, usize)>, Failure> {
        let index = |name: &str| {
            self.names.iter().position(|known| known == name).ok_or_else(|| {
                Failure::usage(
                    format!("there is no node {name} in {target:?}"),
                    format!("name a node or a link such as v0-v1; the nodes are {}", self.names.join(", ")),
                )
            })
        };
        match target.split_once('-') {
            Some((one, other)) if one == other => {
                Err(Failure::usage(format!("{target:?} is no link"), "name two nodes, such as v0-v1"))
            }
            Some((one, other)) => {
                let (one, other) = (index(one)?, index(other)?);
                Ok(BTreeSet::from([(one, other), (other, one)]))
            }
            None => {
                let node = index(target)?;
                let others = (0..self.names.len()).filter(|other| *other != node);
                Ok(others.flat_map(|other| [(node, other), (other, node)]).collect())
            }
        }
    }
}

/// What one direction is like: held by any cut, and as slow as the latest delay on it says.
fn conditions(in_force: &[InForce], from: usize, to: usize) -> Conditions {
    let mut state = Conditions::default();
    for entry in in_force {
        match &entry.effect {
            Effect::Slow(pairs, slow) if pairs.contains(&(from, to)) => {
                state = Conditions { held: state.held, ..*slow }
            }
            Effect::Cut(pairs) if pairs.contains(&(from, to)) => state.held = true,
            _ => {}
        }
    }
    state
}

fn describe(conditions: &Conditions) -> String {
    let ms = |time: Duration| show_ms(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let mut parts = Vec::new();
    if !conditions.latency.is_zero() {
        parts.push(format!("latency {}", ms(conditions.latency)));
    }
    if !conditions.jitter.is_zero() {
        parts.push(format!("jitter up to {}", ms(conditions.jitter)));
    }
    if conditions.stall_permille > 0 {
        let share = f64::from(conditions.stall_permille) / 10.0;
        parts.push(format!("{share} % of the chunks (at most 16 KiB each) stall for {}", ms(STALL)));
    }
    if let Some(bandwidth) = conditions.bandwidth {
        parts.push(format!("{} per second", show_bytes(bandwidth)));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(dir: &tempfile::TempDir) -> Faults {
        let faults = Faults::new(&Directory::new(dir.path()), (0..4).map(|index| format!("v{index}")).collect());
        faults.open_links(&[SocketAddr::from(([127, 0, 0, 1], 9)); 4]).unwrap();
        faults
    }

    fn ask(faults: &Faults, request: Request) -> Said {
        faults.answer(&request).expect("of the network").unwrap()
    }

    fn cut(spec: &str) -> Request {
        Request::Partition { spec: spec.to_owned() }
    }

    fn slow(target: &str, latency_ms: u64) -> Request {
        Request::Delay(Delay { target: target.to_owned(), latency_ms, ..Delay::default() })
    }

    fn shown(faults: &Faults) -> Vec<(String, bool, u64)> {
        let shown = faults.links_shown().into_iter();
        shown.map(|link| (format!("{}>{}", link.from, link.to), link.held, link.latency_ms)).collect()
    }

    #[test]
    fn cuts_add_up_delays_replace_each_other_and_heal_ends_both() {
        let dir = tempfile::tempdir().unwrap();
        let faults = faults(&dir);
        ask(&faults, cut("v0>v1"));
        ask(&faults, cut("v2>v1"));
        ask(&faults, slow("v0-v1", 50));
        ask(&faults, slow("v0-v1", 70));
        let at = |link: &str, held, ms| (link.to_owned(), held, ms);
        assert_eq!(shown(&faults), [at("v0>v1", true, 70), at("v1>v0", false, 70), at("v2>v1", true, 0)]);
        assert_eq!(faults.in_force().len(), 3);
        faults.begin(FaultKind::Pause, "v3", "paused", "resume v3");
        let healed = ask(&faults, Request::Heal {});
        assert!(healed.what.contains("partition v0>v1, partition v2>v1, delay v0-v1"), "{healed:?}");
        assert!(healed.notes[0].contains("resume v3"), "{healed:?}");
        assert_eq!(shown(&faults), []);
        assert_eq!(faults.in_force().len(), 1, "a pause is no fault of the network");
        assert!(ask(&faults, Request::Heal {}).what.contains("no network fault"));
        let lines = std::fs::read_to_string(dir.path().join("faults.jsonl")).unwrap();
        assert_eq!(lines.lines().count(), 7);
    }

    #[test]
    fn the_latest_delay_on_a_link_counts_and_what_it_hid_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let faults = faults(&dir);
        ask(&faults, slow("v1", 30));
        ask(&faults, slow("v1-v2", 90));
        let of = |link: &str| shown(&faults).into_iter().find(|shown| shown.0 == link).map(|shown| shown.2);
        assert_eq!((of("v0>v1"), of("v2>v1"), of("v0>v2")), (Some(30), Some(90), None));
        let said = ask(&faults, slow("v1-v2", 0));
        assert!(said.notes[0].contains("the delay of v1"), "{said:?}");
        assert_eq!(of("v2>v1"), Some(30));
        ask(&faults, slow("v1", 0));
        assert_eq!(shown(&faults), []);
        assert!(ask(&faults, slow("v1", 0)).what.contains("there was none"));
    }

    #[test]
    fn without_proxies_a_cut_names_the_command_that_helps() {
        let dir = tempfile::tempdir().unwrap();
        let faults = Faults::new(&Directory::new(dir.path()), vec!["v0".to_owned(), "v1".to_owned()]);
        for request in [cut("v0|v1"), slow("v0", 5), Request::Heal {}] {
            let failure = faults.answer(&request).unwrap().unwrap_err();
            assert!(failure.hint.contains("up --faults --detach --dir"), "{}", failure.hint);
        }
        assert!(faults.answer(&cut("v0|v9")).unwrap().unwrap_err().message.contains("v9"), "nonsense is told first");
        assert!(faults.answer(&Request::Processes {}).is_none());
    }

    #[test]
    fn only_nodes_and_links_are_delayed() {
        let dir = tempfile::tempdir().unwrap();
        let faults = faults(&dir);
        for target in ["v9", "v0-v9", "v1-v1", "", "v0-", "v0-v1-v2"] {
            assert!(faults.answer(&slow(target, 5)).unwrap().is_err(), "{target}");
        }
    }
}
