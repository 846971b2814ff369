//! Cutting batches, and judging those of another primary (PROTOCOL 3.1, 3.2).

use std::{collections::BTreeSet, time::Duration};

use super::{bodies::Key, core::Replica, output::Output, proposals::Waiting};
use crate::{
    document::{Batch, Body, Parameters},
    id::{Sequence, TransactionId},
    pbft::{self, Verdict, message::Content, output::Purpose},
    pool::BatchLimits,
    time::{Now, UnixMillis},
};

/// Why a fresh batch is refused whose time lies too far behind the local clock: one of the two clocks is off.
pub const TIME_TOO_OLD: &str = "its time is too old by the local clock";

impl Replica {
    /// The engine asks whether a batch may be voted for. One that a NEW-VIEW proposes again was judged when it was fresh, by a
    /// quorum; only its bodies must be here.
    pub(super) fn on_check(
        &mut self,
        now: Now,
        sequence: Sequence,
        content: Content,
        purpose: Purpose,
        out: &mut Vec<Output>,
    ) {
        let key = (sequence, content.digest());
        let Content::Batch(batch) = content else { return };
        if let Err(reason) = check_form(&batch, &self.config.parameters) {
            return self.answer(now, key, Verdict::Refused(reason), out);
        }
        if purpose == Purpose::Fresh
            && let Err(reason) = self.check_places(sequence, &batch)
        {
            return self.answer(now, key, Verdict::Refused(reason), out);
        }
        self.bodies.want(key, &batch, self.engine.primary(), &self.pool, now.monotonic);
        if purpose != Purpose::Candidate {
            self.proposals.place(sequence, &batch);
            self.pool.mark(sequence, &batch.ids);
        }
        if purpose == Purpose::Again {
            // What this view proposes next has no earlier time, or its block would expire what it should not.
            self.proposals.set_last_time(batch.time);
        }
        self.proposals.waiting.insert(key, Waiting { batch, purpose, came: now.wall });
        self.proposals.note_completed();
        self.judge_waiting(now, out);
    }

    fn check_places(&self, sequence: Sequence, batch: &Batch) -> Result<(), String> {
        let elsewhere = |id: &TransactionId| self.proposals.placed.get(id).is_some_and(|other| *other != sequence);
        match batch.ids.iter().find(|id| elsewhere(id)) {
            Some(id) => Err(format!("{id} stands in another live slot")),
            None => Ok(()),
        }
    }

    /// Only a body tells where its id would be remembered: without it, each id would be looked up in every second of the window.
    fn check_executed(&self, bodies: &[Body]) -> Result<(), String> {
        match bodies.iter().find(|body| self.pool.is_executed(body)) {
            Some(body) => Err(format!("{} was executed at another height", body.id())),
            None => Ok(()),
        }
    }

    /// Judges every waiting proposal whose bodies have come and whose time is not too early.
    pub(super) fn judge_waiting(&mut self, now: Now, out: &mut Vec<Output>) {
        let due = self.proposals.due.is_some_and(|due| due <= now.monotonic);
        if !self.proposals.completed && !due {
            return;
        }
        self.proposals.completed = false;
        if due {
            // What still is too early sets another; one that has passed would keep the replica awake.
            self.proposals.due = None;
        }
        let skew_max = self.config.parameters.clock_skew_max_ms;
        let latest = now.wall.saturating_add(skew_max).max(self.head_time);
        let mut verdicts = Vec::new();
        let mut early: Option<UnixMillis> = None;
        for (key, Waiting { batch, purpose, came }) in &self.proposals.waiting {
            if *purpose == Purpose::Fresh && batch.time > latest {
                let by = batch.time - latest;
                early = Some(early.map_or(by, |other| other.min(by)));
            } else if let Some(bodies) = self.bodies.complete(key) {
                let verdict = match purpose {
                    // No vote and no blame: if others have too few as well, the view timer decides (3.2). It is as old as it was
                    // when it came, or a slow link could keep a batch's bodies away until none is young enough.
                    Purpose::Fresh if batch.time < came.saturating_sub(skew_max) => Err(TIME_TOO_OLD.to_owned()),
                    Purpose::Fresh => self
                        .check_executed(&bodies)
                        .and_then(|()| check_bodies(batch, &bodies, &self.config.parameters)),
                    Purpose::Again | Purpose::Candidate => Ok(()),
                };
                verdicts.push((*key, verdict.map_or_else(Verdict::Refused, |()| Verdict::Held)));
            }
        }
        if let Some(by) = early {
            // A second at most: a wall clock that jumps is noticed soon.
            self.proposals.hasten(now.monotonic + Duration::from_millis(by.min(1_000)));
        }
        for (key, verdict) in verdicts {
            self.proposals.waiting.remove(&key);
            self.answer(now, key, verdict, out);
        }
    }

    fn answer(&mut self, now: Now, (sequence, digest): Key, verdict: Verdict, out: &mut Vec<Output>) {
        self.step(now, pbft::Input::Checked { sequence, digest, verdict }, out);
    }

    /// The primary cuts batches while the window has room: when nothing is in flight, at the pace of [`Pace`](super::proposals::Pace),
    /// else when a batch is full or its first transaction has waited for `batch_age`.
    pub(super) fn try_propose(&mut self, now: Now, out: &mut Vec<Output>) {
        while let Some(sequence) = self.engine.room() {
            let time = now.wall.max(self.head_time).max(self.proposals.last_time);
            let Some(batch) = self.next_batch(now, sequence, time) else { return };
            self.proposals.set_last_time(batch.time);
            self.proposals.place(sequence, &batch);
            let key = (sequence, batch.digest());
            self.bodies.want(key, &batch, self.engine.primary(), &self.pool, now.monotonic);
            self.proposals.pace.proposed(now.monotonic, batch.ids.len());
            self.proposals.ready_since = None;
            self.proposals.note_ready(now.monotonic, self.pool.ready().count);
            self.step(now, pbft::Input::Propose(batch), out);
        }
    }

    fn next_batch(&mut self, now: Now, sequence: Sequence, time: UnixMillis) -> Option<Batch> {
        let limits = batch_limits(&self.config.parameters);
        if sequence == Sequence::from(self.engine.executed()).next() {
            self.proposals.pace.settled(now.monotonic);
        }
        let ready = self.pool.ready_at(time);
        if ready.count == 0 {
            if let Some(opens) = self.pool.next_to_open() {
                // A second at most: a wall clock that jumps is noticed soon.
                self.proposals
                    .hasten(now.monotonic + Duration::from_millis(opens.saturating_sub(time).clamp(1, 1_000)));
            }
            return self.expiry_batch(now, time);
        }
        let full = ready.count >= limits.count_max || ready.bytes >= limits.bytes_max;
        let ripe_at = *self.proposals.ready_since.get_or_insert(now.monotonic) + self.config.batch_age;
        let due = self.proposals.pace.next().map_or(ripe_at, |next| next.min(ripe_at));
        if !full && due > now.monotonic {
            self.proposals.hasten(due);
            return None;
        }
        let batch = self.pool.next_batch(limits, time, sequence);
        if batch.is_none() {
            self.proposals.ready_since = None;
        }
        batch
    }

    /// An admitted transaction that expires unexecuted asks for one empty block, so that its client can know (2.7).
    fn expiry_batch(&mut self, now: Now, time: UnixMillis) -> Option<Batch> {
        let head = self.head_time.max(self.proposals.last_time);
        self.pool.overdue(now.wall, head)?;
        if self.proposals.expiry_at > now.monotonic {
            let at = self.proposals.expiry_at;
            self.proposals.hasten(at);
            return None;
        }
        self.proposals.expiry_at = now.monotonic + self.config.pool.forward_timeout;
        Some(Batch { time, ids: Default::default() })
    }
}

fn batch_limits(parameters: &Parameters) -> BatchLimits {
    BatchLimits {
        count_max: usize::try_from(parameters.batch_count_max).unwrap_or(usize::MAX),
        bytes_max: usize::try_from(parameters.batch_bytes_max).unwrap_or(usize::MAX),
    }
}

/// What can be said of a batch without its bodies.
fn check_form(batch: &Batch, parameters: &Parameters) -> Result<(), String> {
    let limits = batch_limits(parameters);
    if batch.ids.len() > limits.count_max {
        return Err(format!("the batch has {} transactions, {} are allowed", batch.ids.len(), limits.count_max));
    }
    let mut seen = BTreeSet::new();
    match batch.ids.iter().find(|id| !seen.insert(**id)) {
        Some(id) => Err(format!("{id} stands twice in the batch")),
        None => Ok(()),
    }
}

/// What must be true of the bodies. What depends on the ledger is judged by execution only.
fn check_bodies(batch: &Batch, bodies: &[Body], parameters: &Parameters) -> Result<(), String> {
    let limits = batch_limits(parameters);
    let bytes: usize = bodies.iter().map(|body| body.size()).sum();
    if bytes > limits.bytes_max {
        return Err(format!("the batch has {bytes} bytes, {} are allowed", limits.bytes_max));
    }
    let transaction_bytes_max = usize::try_from(parameters.transaction_bytes_max).unwrap_or(usize::MAX);
    let window_end = batch.time.saturating_add(parameters.validity_window_ms);
    for body in bodies {
        let valid_until = body.valid_until();
        if valid_until <= batch.time || valid_until > window_end {
            return Err(format!("{} is valid until {valid_until}, outside of the batch's window", body.id()));
        }
        if body.size() > transaction_bytes_max || body.transaction().operations.is_empty() {
            return Err(format!("{} has a form that the chain does not allow", body.id()));
        }
    }
    Ok(())
}
