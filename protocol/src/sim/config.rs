//! What a world begins with.

use super::network::Link;
use crate::document::Parameters;
use std::time::Duration;

/// A range of times from which one is drawn.
pub type Delay = (Duration, Duration);

/// What a world begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct WorldConfig {
    /// Decides every draw.
    pub seed: u64,
    /// How many validators.
    pub n: usize,
    /// Every link at first.
    pub link: Link,
    /// How long a sync of the journal takes.
    pub sync: Delay,
    /// How long the votes of a synced record take to leave, and the answer of a written block to come.
    pub release: Delay,
    /// How long executing and writing a block takes.
    pub execution: Delay,
    /// How long two nodes need to notice that a link is up or down.
    pub connect: Delay,
    /// The chain's parameters.
    pub parameters: Parameters,
    /// How often STATUS goes out while something is missing.
    pub status_interval: Duration,
    /// How often STATUS goes out while nothing is missing.
    pub status_interval_idle: Duration,
    /// Whether the trace keeps all its lines, and the world every vote.
    pub keep_trace: bool,
}

impl WorldConfig {
    /// `n` validators on a network that delivers after exactly one millisecond, with disks that sync in half of one.
    #[must_use]
    pub fn quiet(n: usize) -> Self {
        let half = Duration::from_micros(500);
        WorldConfig {
            seed: 0,
            n,
            link: Link::exact(Duration::from_millis(1)),
            sync: (half, half),
            release: (Duration::ZERO, Duration::ZERO),
            execution: (half, half),
            connect: (Duration::ZERO, Duration::ZERO),
            parameters: Parameters::default(),
            status_interval: Duration::from_millis(100),
            status_interval_idle: Duration::from_secs(1),
            keep_trace: true,
        }
    }

    /// The same with view timeouts so short that a scenario with several view changes stays within seconds: 300 ms at
    /// first, 2.4 s at most.
    #[must_use]
    pub fn hasty(n: usize, seed: u64) -> Self {
        let parameters = hasty_timeouts(Parameters::default());
        WorldConfig { seed, parameters, ..WorldConfig::quiet(n) }
    }
}

/// View timeouts of 300 ms at first and 2.4 s at most, and claims after 100 ms.
#[must_use]
pub fn hasty_timeouts(parameters: Parameters) -> Parameters {
    Parameters { view_timeout_ms: 300, view_timeout_max_ms: 2_400, forward_timeout_ms: 100, ..parameters }
}
