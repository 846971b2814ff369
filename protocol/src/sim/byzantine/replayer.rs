//! Says again and again what it once heard, whoever said it. Tries to have old votes counted, old STATUS answered, and
//! old transactions executed again.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::NodeIndex;
use crate::replica::PeerMessage;

/// Messages that are kept; the first ones, since the oldest are the most stale.
const KEPT_MAX: usize = 256;

/// See the file.
#[derive(Debug, Default)]
pub struct Replayer {
    heard: Vec<PeerMessage>,
}

impl Behaviour for Replayer {
    fn on_receive(&mut self, liar: &mut Liar<'_>, _from: NodeIndex, message: &PeerMessage) -> bool {
        if self.heard.len() < KEPT_MAX {
            self.heard.push(message.clone());
        } else if liar.forge.random.chance(20) {
            let place = liar.forge.random.below(KEPT_MAX as u64) as usize;
            self.heard[place] = message.clone();
        }
        true
    }

    fn on_tick(&mut self, liar: &mut Liar<'_>) {
        let others = liar.others();
        if let (Some(message), Some(to)) =
            (liar.forge.random.pick(&self.heard).cloned(), liar.forge.random.pick(&others).copied())
        {
            liar.send(to, message);
        }
    }
}
