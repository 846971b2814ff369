//! Why this node cannot take part, or why nothing is decided, in words: everything that it can know from where it stands.

use std::time::Duration;

use quorate_protocol::api::http::{LeftView, Standstill, StandstillKind, ViewChangeStatus};
use quorate_protocol::document::ValidatorSet;
use quorate_protocol::id::{Height, NodeIndex, Sequence};
use quorate_protocol::pbft::status::EngineStatus;
use quorate_protocol::time::UnixMillis;

/// A primary that is there says something at least once a second; twice that is silence.
const SILENCE_MIN: Duration = Duration::from_secs(2);
/// For so long a proposal that was refused for its time counts.
const CLOCK_REFUSAL_MAX: Duration = Duration::from_secs(10);

/// What a node knows of itself and its peers.
#[derive(Debug, Clone)]
pub(super) struct Facts<'a> {
    pub engine: &'a EngineStatus,
    pub validators: &'a ValidatorSet,
    pub me: NodeIndex,
    /// With a link, this node among them.
    pub connected: Vec<NodeIndex>,
    pub missing: Vec<NodeIndex>,
    /// Why signing stopped.
    pub halted: Option<String>,
    /// Why this node casts no votes.
    pub not_voting: Option<String>,
    pub catching_up: bool,
    /// Transactions in the pool.
    pub pending: usize,
    /// How long nothing came from the primary; `None` for one that was never connected, and for oneself.
    pub primary_silent: Option<Duration>,
    /// The time of the last block, and this node's clock.
    pub head_time: UnixMillis,
    pub wall: UnixMillis,
    pub clock_skew_max_ms: u64,
    /// How long ago a proposal was refused because its time was too old.
    pub clock_refusal: Option<Duration>,
}

/// Everything that is in the way, what lasts first.
pub(super) fn reasons(facts: &Facts<'_>) -> Vec<Standstill> {
    let found = [
        (StandstillKind::Halted, halted(facts)),
        (StandstillKind::NoQuorum, no_quorum(facts)),
        (StandstillKind::ClockOff, clock_off(facts)),
        (StandstillKind::CatchingUp, catching_up(facts)),
        (StandstillKind::BetweenViews, waits_for_view(facts.engine, facts.validators)),
        (StandstillKind::WindowFull, window_full(facts)),
        (StandstillKind::PrimarySilent, primary_silent(facts)),
    ];
    found.into_iter().filter_map(|(kind, detail)| Some(Standstill { kind, detail: detail? })).collect()
}

/// Why nothing can be decided until somebody does something about it. A missing primary is none: whoever waits for a
/// transaction leaves its view.
pub(super) fn lasting(reasons: &[Standstill]) -> Option<String> {
    let lasts = |reason: &&Standstill| matches!(reason.kind, StandstillKind::Halted | StandstillKind::NoQuorum);
    reasons.iter().find(lasts).map(|reason| reason.detail.clone())
}

/// Why this node cannot take part at the moment. It takes part in leaving a silent primary.
pub(super) fn not_ready(reasons: &[Standstill]) -> Option<String> {
    let bars = reasons.iter().filter(|reason| reason.kind != StandstillKind::PrimarySilent);
    let words: Vec<&str> = bars.map(|reason| reason.detail.as_str()).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

fn halted(facts: &Facts<'_>) -> Option<String> {
    if let Some(reason) = &facts.halted {
        return Some(format!("this node has stopped signing: {reason}"));
    }
    let height = facts.engine.state_diverged?;
    Some(format!(
        "state_diverged: validators computed so many different headers of height {height} that none can be certified"
    ))
}

fn no_quorum(facts: &Facts<'_>) -> Option<String> {
    let (need, connected) = (facts.validators.quorum(), facts.connected.len());
    if connected < need {
        return Some(format!("need {need}, connected {connected}: missing {}", names(&facts.missing).join(", ")));
    }
    let reason = facts.not_voting.as_ref().filter(|_| connected == need)?;
    Some(format!("need {need}, connected {connected}, of which {} (this node) does not vote: {reason}", facts.me))
}

fn clock_off(facts: &Facts<'_>) -> Option<String> {
    let allowed = facts.clock_skew_max_ms;
    let behind = facts.head_time.saturating_sub(facts.wall);
    if behind > allowed {
        return Some(format!(
            "this node's clock is {behind} ms behind the time of the last block, {allowed} ms are allowed: set the clock"
        ));
    }
    let ago = facts.clock_refusal.filter(|ago| *ago <= CLOCK_REFUSAL_MAX)?.as_millis();
    Some(format!(
        "{ago} ms ago a proposal was too old by this node's clock: it, or the primary's, is off by more than {allowed} ms"
    ))
}

fn catching_up(facts: &Facts<'_>) -> Option<String> {
    if !facts.catching_up {
        return None;
    }
    let (executed, others) = (facts.engine.executed, told_by_weak_quorum(facts));
    Some(match others.0.saturating_sub(executed.0) {
        0 => format!("fetching blocks above height {executed}"),
        behind => format!("fetching blocks: behind by {behind} (at {executed}, others at {others})"),
    })
}

/// The height that f + 1 others have reached: at least one of them is correct.
fn told_by_weak_quorum(facts: &Facts<'_>) -> Height {
    let others = facts.engine.peer_heights.iter().filter(|(index, _)| *index != facts.me);
    let mut heights: Vec<Height> = others.map(|(_, height)| *height).collect();
    heights.sort_unstable_by(|a, b| b.cmp(a));
    heights.get(facts.validators.f()).copied().unwrap_or(Height::ZERO)
}

fn window_full(facts: &Facts<'_>) -> Option<String> {
    let EngineStatus { low, high, highest_slot, .. } = facts.engine;
    (*highest_slot >= Sequence::from(*high)).then(|| {
        let need = facts.validators.quorum();
        format!("all sequence numbers up to {high} are in use, and none is given up: no block above {low} has {need} CHECKPOINTs")
    })
}

fn primary_silent(facts: &Facts<'_>) -> Option<String> {
    let EngineStatus { primary, view, view_timeout, active, .. } = facts.engine;
    if facts.pending == 0 || !active || *primary == facts.me {
        return None;
    }
    let patience = format!("view {view} is left {} ms after the last progress", view_timeout.as_millis());
    let waiting = match facts.pending {
        1 => "1 transaction waits".to_owned(),
        count => format!("{count} transactions wait"),
    };
    if facts.missing.contains(primary) {
        return Some(format!("{waiting}, and the primary {primary} is not connected; {patience}"));
    }
    let silent = facts.primary_silent.filter(|silent| *silent >= SILENCE_MIN)?.as_millis();
    Some(format!("{waiting}, and nothing came from the primary {primary} for {silent} ms; {patience}"))
}

/// Who has left for which view, while this node is between two.
pub(super) fn view_change(engine: &EngineStatus, validators: &ValidatorSet) -> Option<ViewChangeStatus> {
    let left = engine.view_changes.iter().map(|(index, view)| LeftView { name: index.to_string(), view: *view });
    (!engine.active).then(|| ViewChangeStatus {
        left: left.collect(),
        need: validators.quorum(),
        timeout: u64::try_from(engine.view_timeout.as_millis()).unwrap_or(u64::MAX),
    })
}

/// The same in words.
pub(super) fn waits_for_view(engine: &EngineStatus, validators: &ValidatorSet) -> Option<String> {
    let ViewChangeStatus { left, need, timeout } = view_change(engine, validators)?;
    let left: Vec<String> = left
        .into_iter()
        .map(|left| if left.view == engine.view { left.name } else { format!("{} for view {}", left.name, left.view) })
        .collect();
    let left = if left.is_empty() { "none yet".to_string() } else { left.join(", ") };
    let (view, primary) = (engine.view, engine.primary);
    Some(format!(
        "between two views: {need} have to leave for view {view} (so far: {left}), then {primary} has {timeout} ms to open it"
    ))
}

pub(super) fn names(indices: &[NodeIndex]) -> Vec<String> {
    indices.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_crypto::key::PublicKey;
    use quorate_protocol::document::Validator;
    use quorate_protocol::id::{Epoch, View};

    fn set() -> ValidatorSet {
        let key = |byte| PublicKey::from_bytes([byte; 32]);
        let members = (0..4).map(|n| Validator { consensus_key: key(n), network_key: key(n + 100) }).collect();
        ValidatorSet::new(members).unwrap()
    }

    fn engine(active: bool, left: &[(u8, u64)]) -> EngineStatus {
        EngineStatus {
            epoch: Epoch(0),
            view: View(2),
            active,
            primary: NodeIndex(2),
            low: Height(0),
            high: Height(128),
            executed: Height(7),
            certified: Height(7),
            highest_slot: Sequence(9),
            view_changes: left.iter().map(|(index, view)| (NodeIndex(*index), View(*view))).collect(),
            view_timeout: Duration::from_secs(2),
            standing: Ok(()),
            peer_heights: Vec::new(),
            state_diverged: None,
            halted: None,
        }
    }

    /// v0 of four, all connected, in order.
    fn facts<'a>(engine: &'a EngineStatus, validators: &'a ValidatorSet) -> Facts<'a> {
        Facts {
            engine,
            validators,
            me: NodeIndex(0),
            connected: (0..4).map(NodeIndex).collect(),
            missing: Vec::new(),
            halted: None,
            not_voting: None,
            catching_up: false,
            pending: 0,
            primary_silent: Some(Duration::from_millis(10)),
            head_time: 1_000_000,
            wall: 1_000_500,
            clock_skew_max_ms: 2_000,
            clock_refusal: None,
        }
    }

    fn one(facts: &Facts<'_>) -> (StandstillKind, String) {
        let mut found = reasons(facts);
        assert_eq!(found.len(), 1, "{found:?}");
        let Standstill { kind, detail } = found.remove(0);
        (kind, detail)
    }

    #[test]
    fn a_node_in_order_has_no_reason() {
        let (engine, set) = (engine(true, &[]), set());
        let facts = facts(&engine, &set);
        assert_eq!(reasons(&facts), []);
        assert_eq!((lasting(&[]), not_ready(&[])), (None, None));
    }

    #[test]
    fn missing_quorum_is_told_with_names() {
        let (engine, set) = (engine(true, &[]), set());
        let mut facts = facts(&engine, &set);
        (facts.connected, facts.missing) = (vec![NodeIndex(0), NodeIndex(2)], vec![NodeIndex(1), NodeIndex(3)]);
        let (kind, detail) = one(&facts);
        assert_eq!((kind, detail.as_str()), (StandstillKind::NoQuorum, "need 3, connected 2: missing v1, v3"));
        assert_eq!(lasting(&reasons(&facts)), Some(detail));
        (facts.connected, facts.missing) = ((0..3).map(NodeIndex).collect(), vec![NodeIndex(3)]);
        assert_eq!(reasons(&facts), []);
        facts.not_voting = Some("its journal is gone".to_owned());
        let told = "need 3, connected 3, of which v0 (this node) does not vote: its journal is gone";
        assert_eq!(one(&facts), (StandstillKind::NoQuorum, told.to_owned()));
        facts.connected.push(NodeIndex(3));
        assert_eq!(reasons(&facts), [], "three others vote");
    }

    #[test]
    fn a_halted_node_and_a_diverged_chain_say_so_first() {
        let (mut engine, set) = (engine(false, &[]), set());
        let mut halted = facts(&engine, &set);
        halted.halted = Some("the disk is full".to_owned());
        let found = reasons(&halted);
        assert_eq!(found[0].detail, "this node has stopped signing: the disk is full");
        assert!(not_ready(&found).unwrap().contains("full; between two views"), "all that bars it: {found:?}");
        engine.active = true;
        engine.state_diverged = Some(Height(8));
        assert!(one(&facts(&engine, &set)).1.starts_with("state_diverged: "));
    }

    #[test]
    fn a_node_between_two_views_says_who_has_left_and_how_long_it_waits() {
        let words = |left: &[(u8, u64)]| waits_for_view(&engine(false, left), &set()).unwrap();
        assert_eq!(
            words(&[(0, 2), (3, 5)]),
            "between two views: 3 have to leave for view 2 (so far: v0, v3 for view 5), then v2 has 2000 ms to open it"
        );
        assert!(words(&[]).contains("(so far: none yet)"));
        let told = view_change(&engine(false, &[(3, 5)]), &set()).unwrap();
        assert_eq!((told.need, told.timeout), (3, 2000));
        assert_eq!(told.left, [LeftView { name: "v3".to_string(), view: View(5) }]);
        let (between, set) = (engine(false, &[]), set());
        let found = reasons(&facts(&between, &set));
        assert_eq!((found[0].kind, lasting(&found)), (StandstillKind::BetweenViews, None), "it passes by itself");
        assert!(not_ready(&found).is_some());
    }

    #[test]
    fn a_node_in_an_active_view_waits_for_none() {
        // The engine forgets who left for a view when it opens; whatever it still holds is of no view to come.
        let engine = engine(true, &[(1, 2)]);
        assert_eq!((view_change(&engine, &set()), waits_for_view(&engine, &set())), (None, None));
    }

    #[test]
    fn a_silent_or_absent_primary_is_told_while_something_waits_for_it() {
        let (engine, set) = (engine(true, &[]), set());
        let mut facts = facts(&engine, &set);
        facts.primary_silent = Some(Duration::from_millis(3_210));
        assert_eq!(reasons(&facts), [], "nothing waits");
        facts.pending = 3;
        let (kind, detail) = one(&facts);
        let told = "3 transactions wait, and nothing came from the primary v2 for 3210 ms; view 2 is left 2000 ms after \
                    the last progress";
        assert_eq!((kind, detail.as_str()), (StandstillKind::PrimarySilent, told));
        assert_eq!(not_ready(&reasons(&facts)), None, "it takes part in leaving it");
        (facts.connected, facts.missing) = ([0, 1, 3].map(NodeIndex).to_vec(), vec![NodeIndex(2)]);
        facts.pending = 1;
        assert!(one(&facts).1.starts_with("1 transaction waits, and the primary v2 is not connected; "));
        facts.me = NodeIndex(2);
        assert_eq!(reasons(&facts), [], "nobody waits for himself");
    }

    #[test]
    fn a_node_that_is_behind_says_by_how_much() {
        let (mut engine, validators) = (engine(true, &[]), set());
        let words = |engine: &EngineStatus| {
            let mut facts = facts(engine, &validators);
            facts.catching_up = true;
            one(&facts).1
        };
        assert_eq!(words(&engine), "fetching blocks above height 7");
        // One of them alone could lie.
        engine.peer_heights =
            vec![(NodeIndex(1), Height(999)), (NodeIndex(2), Height(107)), (NodeIndex(3), Height(50))];
        assert_eq!(words(&engine), "fetching blocks: behind by 100 (at 7, others at 107)");
        assert_eq!(reasons(&facts(&engine, &validators)), [], "only while it fetches");
    }

    #[test]
    fn a_window_without_a_stable_checkpoint_is_told() {
        let (mut engine, set) = (engine(true, &[]), set());
        engine.highest_slot = Sequence(128);
        let (kind, detail) = one(&facts(&engine, &set));
        assert_eq!(kind, StandstillKind::WindowFull);
        assert!(detail.contains("up to 128") && detail.contains("no block above 0 has 3 CHECKPOINTs"), "{detail}");
    }

    #[test]
    fn a_clock_that_is_off_is_told_with_by_how_much() {
        let (engine, set) = (engine(true, &[]), set());
        let mut facts = facts(&engine, &set);
        facts.wall = facts.head_time - 2_000;
        assert_eq!(reasons(&facts), [], "within what is allowed");
        facts.wall = facts.head_time - 2_001;
        let (kind, detail) = one(&facts);
        assert_eq!(kind, StandstillKind::ClockOff);
        assert!(detail.starts_with("this node's clock is 2001 ms behind the time of the last block"), "{detail}");
        facts.wall = facts.head_time;
        facts.clock_refusal = Some(Duration::from_millis(300));
        assert!(one(&facts).1.starts_with("300 ms ago a proposal was too old by this node's clock"));
        facts.clock_refusal = Some(Duration::from_secs(11));
        assert_eq!(reasons(&facts), [], "long ago");
    }
}
