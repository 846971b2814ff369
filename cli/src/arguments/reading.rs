//! What every command takes that reads from one node.

use clap::Args;
use quorate_protocol::id::Height;

/// How far the node has to be.
#[derive(Clone, Debug, Default, Args)]
pub struct Reading {
    /// Pass over nodes that have not certified this height, 0 for none [default: that of your last receipt]
    #[arg(long, value_name = "HEIGHT")]
    pub at_least: Option<u64>,
}

impl Reading {
    /// The height that was asked for.
    pub fn height(&self) -> Option<Height> {
        self.at_least.map(Height)
    }
}
