//! What the workers verify against, and where they put what is good.

use std::sync::Arc;

use quorate_protocol::pbft::message::VerifyContext;

use super::queue::VerifyQueue;
use crate::inbox::Inbox;
use crate::members::Members;
use crate::network::NetworkHandle;
use crate::recent::RecentlyVerified;
use crate::telemetry::Counters;

/// What stands between the outside and the pump.
pub struct Edge {
    /// What waits.
    pub queue: Arc<VerifyQueue>,
    /// Where verified messages go.
    pub inbox: Arc<Inbox>,
    /// For verdicts on gossip.
    pub network: NetworkHandle,
    /// Who may submit.
    pub members: Arc<Members>,
    /// What was found good before.
    pub recent: RecentlyVerified,
    /// What validators' signatures are verified against.
    pub context: VerifyContext,
    /// The chain's bound on a signed transaction, in bytes.
    pub transaction_bytes_max: usize,
    /// Counts of what is dropped.
    pub counters: Arc<Counters>,
}
