//! What a replica does about the primary: what it demands of it, and what changes with another view (PROTOCOL 5.5, 5.6).

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::encode::BoundedVec;

use super::{
    bodies::Key,
    core::{Replica, send},
    input::ExecutionResult,
    message::SyncMessage,
    output::Output,
};
use crate::{
    document::{Batch, Outcome},
    id::Sequence,
    limits::{CLAIMS_MAX, CLAIMS_PART},
    pbft::{self, Record, message::Content},
    pool::{ExecutedBlock, Unfair, ViewStart},
    time::Now,
};

impl Replica {
    /// Another view: what was proposed and is not committed is dead, and its transactions return to the pool.
    pub(super) fn on_entered(&mut self, now: Now, active: bool, kept: &[Key], committed: &[Key]) {
        if active {
            self.claims_at = now.monotonic;
            return self.begin_view(now);
        }
        self.pool.leave_view();
        let content = |(sequence, digest): &Key| match self.engine.content(*sequence, digest) {
            Some(Content::Batch(batch)) => Some((*sequence, batch)),
            Some(Content::Null) | None => None,
        };
        let committed: BTreeMap<Sequence, Batch> = committed.iter().filter_map(content).collect();
        let (dead, new) = self.proposals.enter_view(&committed);
        dead.into_iter().for_each(|sequence| self.pool.unmark(now, sequence));
        new.into_iter().for_each(|sequence| self.pool.mark(sequence, &committed[&sequence].ids));
        self.proposals.note_ready(now.monotonic, self.pool.ready().count);
        let executing = self.executions.iter().map(|next| (Sequence::from(next.height), next.content.digest()));
        let kept: BTreeSet<Key> = kept.iter().copied().chain(executing).collect();
        self.bodies.retain(|key| kept.contains(key));
    }

    /// Each view starts all counts anew; its own primary judges nobody.
    pub(super) fn begin_view(&mut self, now: Now) {
        let status = self.engine.status();
        if !status.active {
            return self.pool.leave_view();
        }
        let start = ViewStart {
            view: (status.epoch, status.view),
            view_timeout: status.view_timeout,
            validators: self.config.engine.validators.n(),
            judges: status.standing.is_ok() && !self.engine.is_primary(),
        };
        self.pool.begin_view(now, start);
    }

    /// A fresh proposal is accepted here, and may owe claims from now on.
    pub(super) fn note_accepted(&mut self, now: Now, record: &Record) {
        if let Record::Accepted { pre_prepare, content: Some(Content::Batch(batch)), .. } = record {
            let sequence = pre_prepare.body.0.sequence;
            if self.engine.is_fresh(sequence) {
                self.pool.note_accepted(now, sequence, batch.time);
            }
        }
    }

    /// The engine hears whether anything is pending when that changes, and whom the pool accuses when a window has passed.
    pub(super) fn tell_demand(&mut self, now: Now, out: &mut Vec<Output>) {
        let unfair = self.pool.judge_rate(now);
        if self.is_pending(now) != self.told_pending || unfair.is_some() {
            self.demand(now, unfair, out);
        }
    }

    /// Whether something waits here: in the pool, or turned away since it has expired by the clock, and its client waits
    /// for a block that says so (2.7). A correct primary's clock may be behind by `clock_skew_max`.
    fn is_pending(&self, now: Now) -> bool {
        let wall = now.wall.saturating_sub(self.config.parameters.clock_skew_max_ms);
        self.pool.pending().count > 0 || self.pool.overdue(wall, self.head_time).is_some()
    }

    fn demand(&mut self, now: Now, unfair: Option<Unfair>, out: &mut Vec<Output>) {
        let pending = self.is_pending(now);
        self.told_pending = pending;
        let unfair = unfair.map(|unfair| unfair.to_string());
        self.step(now, pbft::Input::Demand { pending, unfair }, out);
    }

    /// A block is executed: its transactions leave the pool, and the pool says whether the primary was fair.
    pub(super) fn on_executed(&mut self, now: Now, result: ExecutionResult, out: &mut Vec<Output>) {
        let height = result.header.height;
        let sequence = Sequence::from(height);
        self.head_time = self.head_time.max(result.header.time);
        let positions = &result.positions;
        let settled = positions.iter().filter(|position| !matches!(position.outcome, Outcome::Skipped(_))).count();
        let bodies = self.bodies.complete(&(sequence, result.header.batch_digest)).unwrap_or_default();
        self.pool.settle(now, sequence, positions, &result.valid_untils);
        let expired = !self.pool.expire(now, self.head_time).is_empty();
        let block = ExecutedBlock { sequence, time: result.header.time, positions, bodies: &bodies };
        let unfair = self.pool.judge_block(&block);
        let timeout = self.engine.view_timeout();
        let executed = pbft::Input::Executed { height, header_hash: result.header_hash, settled, expired };
        self.step(now, executed, out);
        if self.engine.view_timeout() != timeout {
            self.pool.set_view_timeout(self.engine.view_timeout());
        }
        if unfair.is_some() {
            self.demand(now, unfair, out);
        }
        self.proposals.executed(sequence);
        self.bodies.release(sequence);
    }

    /// Each sender's oldest transaction goes straight to the primary once it has waited (PROTOCOL 5.6), whatever gossip
    /// lost.
    pub(super) fn send_claims(&mut self, now: Now, out: &mut Vec<Output>) {
        if now.monotonic < self.claims_at || self.pool.pending().count == 0 {
            return;
        }
        self.claims_at = now.monotonic + self.config.pool.forward_timeout / 4;
        let primary = self.engine.primary();
        if self.engine.is_primary() || !self.connected.contains(&primary) {
            return;
        }
        let status = self.engine.status();
        let due = self.pool.claims_due(now, (status.epoch, status.view), CLAIMS_MAX);
        for part in due.chunks(CLAIMS_PART) {
            send(primary, SyncMessage::Claims(BoundedVec::try_from(part.to_vec()).unwrap_or_default()), out);
        }
    }
}
