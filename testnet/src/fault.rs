//! Faults as values: what is in force, and what is told of it.

use std::time::Instant;

use quorate_cli::clock;
use quorate_cli::output::table::Style;
use quorate_cli::output::time::utc;
use quorate_cli::output::word;
use serde::{Deserialize, Serialize};

/// What kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A node's process is stopped.
    Pause,
    /// Links carry nothing, both ways or one way.
    Partition,
    /// Links are slow.
    Delay,
    /// A node's clock is wrong.
    Clock,
    /// A node's disk is full or slow.
    Disk,
}

impl FaultKind {
    /// Whether `heal` ends it.
    pub fn is_of_network(self) -> bool {
        matches!(self, FaultKind::Partition | FaultKind::Delay)
    }
}

impl std::fmt::Display for FaultKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&word(self))
    }
}

/// A fault in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// What it is done to, as it was typed: a node, a link, a partition.
    pub target: String,
    /// What it does, in words.
    pub what: String,
    /// The command that ends it.
    pub undo: String,
    /// Since when, Unix milliseconds.
    pub since: u64,
}

/// One direction of a link that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LinkShown {
    /// The node that sends.
    pub from: String,
    /// The node that should receive.
    pub to: String,
    /// Nothing arrives.
    pub held: bool,
    /// Each byte arrives so many milliseconds later.
    pub latency_ms: u64,
    /// Up to so many milliseconds more, at random.
    pub jitter_ms: u64,
    /// So many of a thousand chunks wait 200 ms longer.
    pub stall_permille: u16,
    /// Bytes per second that pass at most.
    pub bandwidth: Option<u64>,
}

/// What happens to a node's disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disk {
    /// Every write to a file fails.
    Full,
    /// Every sync takes so many milliseconds longer.
    Slow(u64),
    /// Nothing.
    Ok,
}

/// What a command did.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Said {
    /// In words.
    pub what: String,
    /// The command that takes it back, where something is to be taken back.
    pub undo: Option<String>,
    /// What else one should know.
    pub notes: Vec<String>,
    /// Since when it is in force, Unix milliseconds.
    pub at: u64,
    /// Milliseconds from when the supervisor had read the request until it was in force.
    pub took_ms: f64,
}

impl Said {
    /// Something was done just now.
    pub fn new(what: impl Into<String>, undo: Option<String>, notes: Vec<String>) -> Said {
        Said { what: what.into(), undo, notes, at: clock::now_ms(), took_ms: 0.0 }
    }

    /// The same, of a request that was read at this moment and is in force now.
    pub fn asked_at(mut self, asked: Instant) -> Said {
        self.took_ms = (asked.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        self.at = clock::now_ms();
        self
    }

    /// The text for people, its lines ended.
    pub fn text(&self, style: Style) -> String {
        let mut text = format!("  {}\n", style.strong(&self.what));
        self.notes.iter().for_each(|note| text.push_str(&format!("  {note}\n")));
        text.push_str(&format!("  Done at {}, {} ms after the request\n", utc(self.at), self.took_ms));
        if let Some(undo) = &self.undo {
            text.push_str(&format!("  Undo it with: {undo}\n"));
        }
        text
    }
}
