//! What drives a replica, as the node's pump does: an input goes in with the time, what comes out is begun in its order.

use super::byzantine::Liar;
use super::describe;
use super::disk::Write;
use super::event::Event;
use super::invariants::{Observation, Promise, Violation};
use super::node::Job;
use super::world::World;
use crate::api::code::Code;
use crate::id::{NodeIndex, TransactionId};
use crate::pbft::Note;
use crate::pool::Admitted;
use crate::replica::serve;
use crate::replica::{Input, Output, SyncMessage};
use crate::time::Instant;

impl World {
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, message } => self.deliver(from, to, &message),
            Event::Gossip { from, to, transactions } => self.deliver_gossip(from, to, transactions),
            Event::LinkUp { node, peer } if self.is_up(node) && self.is_up(peer) => {
                let peer = self.node(peer).validator;
                self.handle(node, Input::PeerUp(peer));
            }
            Event::LinkDown { node, peer } if self.is_up(node) && !self.is_up(peer) => {
                let peer = self.node(peer).validator;
                self.handle(node, Input::PeerDown(peer));
            }
            Event::LinkAgain { node, peer } if self.is_up(node) && self.is_up(peer) => {
                let peer = self.node(peer).validator;
                self.handle(node, Input::PeerDown(peer));
                self.handle(node, Input::PeerUp(peer));
            }
            Event::Synced { node, life } if self.lives(node, life) => self.on_synced(node),
            Event::Released { node, life } if self.lives(node, life) => self.on_released(node),
            Event::Executed { node, life } if self.lives(node, life) => self.on_job(node),
            Event::Reported { node, life } if self.lives(node, life) => {
                let report = self.running_mut(node).and_then(|running| running.reports.pop_front());
                self.handle(node, report.expect("every report has its event"));
            }
            Event::Alarm { node, life, at } if self.lives(node, life) && self.take_alarm(node, at) => {
                self.handle(node, Input::Deadline);
            }
            Event::Tick { node, life } if self.lives(node, life) => {
                self.lie(node, |behaviour, liar| {
                    behaviour.on_tick(liar);
                    ((), liar.has_said_nothing())
                });
                self.schedule(Liar::TICK, Event::Tick { node, life });
            }
            // It was meant for an earlier life, for a link that has changed again, or for a deadline that has moved.
            _ => {}
        }
    }

    /// Hands an input to a replica and begins what it asks for.
    pub(super) fn handle(&mut self, node: NodeIndex, input: Input) {
        let now = self.clock.read(node);
        let Some(running) = self.running_mut(node) else { return };
        let mut out = Vec::new();
        running.replica.handle(now, input, &mut out);
        for output in out {
            self.begin(node, output);
        }
        self.look_at_replica(node);
        self.set_alarm(node);
    }

    fn look_at_replica(&mut self, node: NodeIndex) {
        if self.is_lying(node) {
            return;
        }
        let World { nodes, watch, .. } = self;
        let Some(running) = &nodes[node.as_usize()].running else { return };
        let broken = watch.show(Observation::Handled { node, replica: &running.replica });
        self.break_promise(broken);
    }

    fn begin(&mut self, node: NodeIndex, output: Output) {
        match output {
            Output::Send { to, message } => self.tell(node, to, &message),
            Output::Broadcast(message) => self.tell_all(node, &message),
            Output::Gossip(bodies) => self.gossip(node, &bodies),
            Output::Persist { entry, release, ticket } => {
                let text = describe::record(&entry.record);
                self.note(node, format_args!("writes {text}"));
                self.write(node, Write::Append { entry, release, ticket });
            }
            Output::Trim { low, carry } => self.write(node, Write::Trim { low, carry }),
            Output::Execute(job) => self.enqueue(node, Job::Block(job)),
            Output::Certify { height, certificate, anchor } => {
                self.enqueue(node, Job::Certify { height, certificate, anchor });
            }
            Output::Serve { to, request } => self.serve(node, to, &request),
            Output::Admission { id, result } => self.admitted(node, id, result),
            Output::Note(note) => self.on_note(node, note),
            Output::Halt { reason, .. } => self.halt(node, reason),
        }
    }

    /// Answers from the store. What cannot be read is not served.
    fn serve(&mut self, node: NodeIndex, to: NodeIndex, request: &SyncMessage) {
        match serve::answer(&self.node(node).disk.store, request) {
            Ok(answers) => answers.iter().for_each(|answer| self.tell(node, to, answer)),
            Err(error) => {
                assert!(self.node(node).standing.may_halt, "a sound disk can be read: {error}");
                self.note(node, format_args!("cannot answer {to}: {error}"));
            }
        }
    }

    fn on_note(&mut self, node: NodeIndex, note: Note) {
        let text = describe::note(&note);
        self.note(node, format_args!("{text}"));
        if let Note::Evidence(evidence) = note {
            if !self.is_lying(node) {
                self.observe(Observation::Accused { node, evidence: &evidence });
            }
            self.node_mut(node).evidence.push(*evidence);
        }
    }

    /// A correct node on a sound disk has no reason to stop itself: no world has more than f liars.
    pub(super) fn halt(&mut self, node: NodeIndex, reason: String) {
        self.note(node, format_args!("halts: {reason}"));
        let detail = format!("{node} stopped itself: {reason}");
        let promise = if reason.starts_with("diverged") { Promise::Agreement } else { Promise::Availability };
        if let Some(running) = self.running_mut(node) {
            let is_first = running.halted.is_none();
            running.halted.get_or_insert(reason);
            self.happened.halts += u64::from(is_first);
        }
        if !self.node(node).standing.may_halt {
            self.break_promise(Some(Violation { promise, detail }));
        }
    }

    pub(super) fn admitted(&mut self, node: NodeIndex, id: TransactionId, result: Result<Admitted, Code>) {
        match result {
            Ok(Admitted::New) => self.note(node, format_args!("admits {}", describe::short_id(&id))),
            Ok(Admitted::Known) => self.note(node, format_args!("has {} already", describe::short_id(&id))),
            Ok(Admitted::Executed) => self.note(node, format_args!("has executed {} already", describe::short_id(&id))),
            Err(code) => self.note(node, format_args!("refuses {}: {code}", describe::short_id(&id))),
        }
        self.admissions.insert((id, node), result);
    }

    pub(super) fn set_alarm(&mut self, node: NodeIndex) {
        let (now, life) = (self.clock.now(), self.node(node).life);
        let Some(running) = self.running_mut(node) else { return };
        let deadline = running.replica.next_deadline().map(|deadline| deadline.max(now));
        if deadline == running.alarm {
            return;
        }
        running.alarm = deadline;
        if let Some(at) = deadline {
            self.schedule(at.saturating_since(now), Event::Alarm { node, life, at });
        }
    }

    /// Whether the node still waits for this very time; if so, it waits no longer.
    fn take_alarm(&mut self, node: NodeIndex, at: Instant) -> bool {
        self.running_mut(node).is_some_and(|running| running.alarm.take_if(|alarm| *alarm == at).is_some())
    }
}
