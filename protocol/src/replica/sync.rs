//! Catching up by blocks (PROTOCOL 4.3), from one source at a time.

use super::{
    core::{Replica, send},
    message::{SyncMessage, content_of},
    output::Output,
    source::{ANSWER_WITHIN, Sync},
};
use crate::{
    document::CertifiedBlock,
    id::{NodeIndex, Sequence},
    pbft::{self, Synced, message::Content},
    time::Now,
};

/// How many synced blocks may wait for their execution before more are fetched.
const AHEAD_MAX: u64 = 64;

impl Replica {
    /// Asks for the next blocks, if some are missing and nobody is being asked.
    pub(super) fn run_sync(&mut self, now: Now, out: &mut Vec<Output>) {
        if !self.sync.is_active() {
            return;
        }
        let status = self.engine.status();
        let delivered = self.engine.delivered();
        if delivered >= self.sync.target {
            self.sync = Sync { source: self.sync.source, ..Sync::default() };
            return;
        }
        if let Some((_, until)) = self.sync.asked {
            if until > now.monotonic {
                return;
            }
            self.sync.asked = None;
            self.sync.source = self.sync.source.wrapping_add(1);
        }
        if delivered.0 - status.executed.0 > AHEAD_MAX || self.connected.is_empty() {
            return;
        }
        let Some(source) = self.connected.iter().nth(self.sync.source % self.connected.len()).copied() else { return };
        self.sync.asked = Some((source, now.monotonic + ANSWER_WITHIN));
        send(source, SyncMessage::FetchBlocks { from: delivered.next() }, out);
    }

    /// Blocks came. Their signatures and certificates are verified; they still must follow each other from here. Bodies that
    /// a final batch here lacks are welcome in any case.
    pub(super) fn on_blocks(&mut self, now: Now, from: NodeIndex, blocks: Vec<CertifiedBlock>, out: &mut Vec<Output>) {
        blocks.iter().flat_map(|block| block.bodies.iter()).for_each(|body| self.supply(body));
        self.try_execute(out);
        if self.sync.asked.map(|(source, _)| source) != Some(from) {
            return;
        }
        self.sync.asked = None;
        let before = self.engine.delivered();
        for block in blocks {
            if block.header.height <= self.engine.delivered() {
                continue;
            }
            if block.header.height != self.engine.delivered().next() {
                break;
            }
            self.take_block(now, block, out);
        }
        if self.engine.delivered() == before {
            // Nothing useful: somebody else is asked, after a pause so that an empty answer is no loop.
            self.sync.source = self.sync.source.wrapping_add(1);
            self.sync.asked = Some((from, now.monotonic + ANSWER_WITHIN / 10));
        }
    }

    fn take_block(&mut self, now: Now, block: CertifiedBlock, out: &mut Vec<Output>) {
        let content = content_of(&block);
        let height = block.header.height;
        if let Content::Batch(batch) = &content {
            let key = (Sequence::from(height), content.digest());
            self.bodies.want(key, batch, self.engine.primary(), &self.pool, now.monotonic);
            block.bodies.iter().for_each(|body| self.supply(body));
        }
        let synced = Synced { height, header_hash: block.header.hash(), content, proof: block.proof };
        self.step(now, pbft::Input::Synced(synced), out);
    }
}
