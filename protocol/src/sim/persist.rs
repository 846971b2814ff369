//! The vote journal of each node: written, synced, and only then what it releases leaves.

use super::describe;
use super::disk::Write;
use super::event::Event;
use super::world::World;
use crate::id::NodeIndex;
use crate::replica::Input;

impl World {
    pub(super) fn write(&mut self, node: NodeIndex, write: Write) {
        if self.running_mut(node).is_some_and(|running| running.journal_failed) {
            return;
        }
        self.node_mut(node).disk.write(write);
        self.begin_sync(node);
    }

    fn begin_sync(&mut self, node: NodeIndex) {
        if self.node_mut(node).disk.begin_sync() {
            let slow = self.node(node).disk.sync;
            self.happened.slow_syncs += u64::from(slow.is_some());
            let sync = slow.unwrap_or(self.config.sync);
            let (delay, life) = (self.draw(sync), self.node(node).life);
            self.schedule(delay, Event::Synced { node, life });
        }
    }

    pub(super) fn on_synced(&mut self, node: NodeIndex) {
        let synced = match self.node_mut(node).disk.end_sync() {
            Ok(synced) => synced,
            Err(error) => {
                if let Some(running) = self.running_mut(node) {
                    running.journal_failed = true;
                }
                return self.halt(node, format!("the vote journal failed: {error}"));
            }
        };
        let life = self.node(node).life;
        for _ in &synced {
            let delay = self.draw(self.config.release);
            self.schedule(delay, Event::Released { node, life });
        }
        if let Some(running) = self.running_mut(node) {
            running.synced.extend(synced);
        }
        self.begin_sync(node);
    }

    /// The votes of the oldest synced record leave, and the replica hears that it is durable.
    pub(super) fn on_released(&mut self, node: NodeIndex) {
        let Some(synced) = self.running_mut(node).and_then(|running| running.synced.pop_front()) else { return };
        for message in &synced.release {
            let text = describe::message(message);
            self.note(node, format_args!("says {text}"));
            self.tell_all(node, message);
        }
        self.handle(node, Input::Durable(synced.ticket));
    }
}
