//! Catching up by blocks (PROTOCOL 4.3), from all sources at once.

use std::collections::BTreeMap;

use super::{
    core::{Replica, send},
    message::{SyncMessage, content_of},
    output::Output,
    source::{Progress, RangeQuestion},
};
use crate::{
    document::CertifiedBlock,
    id::{Height, NodeIndex, Sequence},
    pbft::{self, Synced, message::Content, status::EngineStatus},
    time::Now,
};

impl Replica {
    /// Asks for the next blocks, if some are missing.
    pub(super) fn run_sync(&mut self, now: Now, out: &mut Vec<Output>) {
        if !self.sync.is_active() || !self.sync.takes_turn(now.monotonic) {
            return;
        }
        let status = self.engine.status();
        self.raise_target(&status);
        self.hand_on(now, out);
        if self.engine.delivered() >= self.sync.target() {
            self.sync.finish();
            return;
        }
        let said = status.peer_heights.into_iter().filter(|(peer, _)| self.connected.contains(peer));
        let heights: BTreeMap<NodeIndex, Height> = said.collect();
        let at = self.progress();
        for RangeQuestion { to, from, count } in self.sync.plan(now.monotonic, at, &heights) {
            let count = u16::try_from(count).unwrap_or(u16::MAX);
            send(to, SyncMessage::FetchBlocks { from, count }, out);
        }
        if heights.is_empty() {
            self.sync.sleep();
        }
    }

    /// Blocks came. Their signatures and certificates are verified. What was asked for is kept, and bodies that a final
    /// batch here lacks are welcome in any case.
    pub(super) fn on_blocks(&mut self, now: Now, from: NodeIndex, blocks: Vec<CertifiedBlock>, out: &mut Vec<Output>) {
        blocks.iter().flat_map(|block| block.bodies.iter()).for_each(|body| self.supply(body));
        self.try_execute(out);
        for block in self.sync.on_answer(now.monotonic, from, blocks) {
            let next = self.engine.delivered().next();
            if block.header.height < next {
                continue;
            }
            let is_next = block.header.height == next;
            if self.sync.held.park(block, is_next) && is_next {
                self.hand_on(now, out);
            }
        }
    }

    /// The chain moves on meanwhile: while its end is out of reach of single votes, it is fetched as well.
    fn raise_target(&mut self, status: &EngineStatus) {
        let mut heights: Vec<Height> = status.peer_heights.iter().map(|(_, height)| *height).collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        // The (f + 1)-th highest is a correct replica's, or below one's.
        let Some(reached) = heights.get(self.config.engine.validators.f()) else { return };
        if reached.saturating_since(status.executed) > self.config.engine.checkpoint_interval {
            self.sync.start(*reached);
        }
    }

    fn progress(&self) -> Progress {
        Progress { executed: self.engine.executed(), delivered: self.engine.delivered() }
    }

    /// Hands the next blocks to the engine, which delivers them (4.4), as long as execution keeps up.
    fn hand_on(&mut self, now: Now, out: &mut Vec<Output>) {
        loop {
            let Progress { executed, delivered } = self.progress();
            self.sync.held.release(executed, delivered);
            let Some(block) = self.sync.held.hand_on(delivered.next()) else { return };
            self.take_block(now, block, out);
            if self.engine.delivered() == delivered {
                return;
            }
        }
    }

    fn take_block(&mut self, now: Now, block: CertifiedBlock, out: &mut Vec<Output>) {
        let content = content_of(&block);
        let height = block.header.height;
        if let Content::Batch(batch) = &content {
            let key = (Sequence::from(height), content.digest());
            self.bodies.want(key, batch, self.engine.primary(), &self.pool, now.monotonic);
            if self.bodies.supply_batch(&key, &block.bodies) {
                self.proposals.note_completed();
            }
        }
        let synced = Synced { height, header_hash: block.header.hash(), content, proof: block.proof };
        self.step(now, pbft::Input::Synced(synced), out);
    }
}
