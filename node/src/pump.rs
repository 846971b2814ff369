//! The pump: the one thread that owns the replica.
//!
//! It takes what has happened from its inbox, hands it to the replica with the time, begins what the replica asks for, and
//! sleeps until the replica's next deadline. It verifies nothing, writes nothing and executes nothing itself. The
//! simulator's world is the only other place that drives a replica, in the same way.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread::JoinHandle;

use quorate_protocol::pbft::Note;
use quorate_protocol::replica::{Input, Output, Replica};
use tracing::{debug, error, info, warn};

use crate::clock::Clock;
use crate::execute::ExecuteJob;
use crate::fault::Fault;
use crate::halt::Halt;
use crate::inbox::{Inbox, Question, Taken, Work};
use crate::persist::PersistJob;
use crate::send::Outbound;
use crate::serve;
use crate::telemetry::{Counters, Drop};
use crate::threads::spawn;
use crate::waiters::Waiters;

/// Where the replica's wishes go. Dropping them ends the threads behind them.
pub struct Begin {
    /// The journal's thread.
    pub persist: SyncSender<PersistJob>,
    /// The executor.
    pub execute: SyncSender<ExecuteJob>,
    /// Answers from the store.
    pub serve: SyncSender<serve::Request>,
    /// The network.
    pub outbound: Outbound,
    /// Clients that wait.
    pub waiters: Arc<Waiters>,
    /// Told when the replica halts.
    pub halt: Arc<Halt>,
    /// Counts of what is dropped.
    pub counters: Arc<Counters>,
}

/// See the module.
struct Pump {
    replica: Replica,
    inbox: Arc<Inbox>,
    clock: Clock,
    begin: Begin,
    out: Vec<Output>,
}

/// Starts the pump; it ends when the inbox is closed.
///
/// # Errors
/// The operating system gives no thread.
pub fn start(replica: Replica, inbox: Arc<Inbox>, clock: Clock, begin: Begin) -> std::io::Result<JoinHandle<()>> {
    let halt = Arc::clone(&begin.halt);
    let mut pump = Pump { replica, inbox, clock, begin, out: Vec::new() };
    spawn("pump", &halt, move || pump.run())
}

impl Pump {
    fn run(&mut self) {
        let mut work = Vec::new();
        loop {
            let timeout = self.replica.next_deadline().map(|deadline| self.clock.until(deadline));
            match self.inbox.take(timeout, &mut work) {
                Taken::Closed => return,
                Taken::Deadline => self.handle(Input::Deadline),
                Taken::Work => work.drain(..).for_each(|work| self.on_work(work)),
            }
        }
    }

    fn on_work(&mut self, work: Work) {
        match work {
            Work::Input(input) => self.handle(*input),
            Work::Question(question) => self.answer(question),
        }
    }

    fn answer(&self, question: Question) {
        // Whoever asked may have gone.
        match question {
            Question::Status(answer) => {
                let _ = answer.send(self.replica.status());
            }
            Question::Pending(id, answer) => {
                let _ = answer.send(self.replica.pool().contains(&id));
            }
        }
    }

    fn handle(&mut self, input: Input) {
        self.replica.handle(self.clock.now(), input, &mut self.out);
        let mut out = std::mem::take(&mut self.out);
        out.drain(..).for_each(|output| self.obey(output));
        self.out = out;
    }

    fn obey(&self, output: Output) {
        let begin = &self.begin;
        match output {
            Output::Send { to, message } => begin.outbound.send(to, &message),
            Output::Broadcast(message) => begin.outbound.broadcast(&message),
            Output::Gossip(bodies) => begin.outbound.gossip(&bodies),
            Output::Persist { entry, release, ticket } => {
                begin.outbound.before(&release);
                begin.persist(PersistJob::Entry { entry, release, ticket });
            }
            Output::Trim { low, carry } => begin.persist(PersistJob::Trim { low, carry }),
            Output::Execute(job) => begin.execute(ExecuteJob::Block(job)),
            Output::Certify { height, certificate, anchor } => {
                begin.execute(ExecuteJob::Certify { height, certificate, anchor });
            }
            Output::Serve { to, request } => begin.serve((to, request)),
            Output::Admission { id, result } => begin.waiters.admitted(id, result),
            Output::Note(Note::Evidence(evidence)) => begin.execute(ExecuteJob::Evidence(evidence)),
            Output::Note(note) => {
                begin.counters.metrics.note(&note);
                log_note(&note);
            }
            Output::Halt { reason, divergence } => match divergence {
                Some(divergence) => begin.halt.raise(Fault::Diverged { divergence, header: None }),
                None => begin.halt.set(&reason),
            },
        }
    }
}

impl Begin {
    /// Waits while the disk is behind: without it there is nothing that a replica could do. The other side never waits for
    /// the pump, and it is gone only after a panic, which the halt tells.
    fn persist(&self, job: PersistJob) {
        if self.persist.send(job).is_err() {
            self.halt.set("the persist thread has ended");
        }
    }

    /// Waits while the executor is behind, for the same reason.
    fn execute(&self, job: ExecuteJob) {
        if self.execute.send(job).is_err() {
            self.halt.set("the execute thread has ended");
        }
    }

    /// Never waits: whoever is not answered asks again.
    fn serve(&self, request: serve::Request) {
        let from = request.0;
        match self.serve.try_send(request) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.counters.count_of(from, Drop::ServeFull),
            Err(TrySendError::Disconnected(_)) => self.halt.set("the serve thread has ended"),
        }
    }
}

fn log_note(note: &Note) {
    match note {
        // Stored first: only the store knows whether it is new.
        Note::Evidence(_) => {}
        Note::PrimaryPrepared(prepare) => warn!(?prepare, "the primary sent a PREPARE, which never counts"),
        Note::Refused { sequence, reason } => info!(%sequence, reason, "a proposal was not voted for"),
        Note::NotSigned { what, refusal } => debug!(what, %refusal, "not signed"),
        Note::LowWatermark(height) => debug!(%height, "low watermark"),
        Note::LeftView { to, reason } => info!(view = %to, reason, "left for another view"),
        Note::OpenedView { view, proposed_again } => info!(%view, proposed_again, "the view is active"),
        Note::RefusedNewView { view, reason } => warn!(%view, reason, "a new view was refused"),
        Note::StateDiverged { height } => {
            error!(%height, "state_diverged: no header of this height can be certified any more");
        }
    }
}
