//! What became of what was sent, and when.

use std::time::Duration;

use serde::Serialize;

/// Transactions that went out in one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// When the first of them was due, since the begin of the load.
    pub due: Duration,
    /// How much later each of the next was due.
    pub step: Duration,
    /// When the answer was there, since the begin of the load.
    pub answered: Duration,
    /// How many were certified as applied.
    pub applied: usize,
    /// How many were not.
    pub other: usize,
}

/// All that was sent in one stretch of a load.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    sent: Vec<Sent>,
}

/// Quantiles, in milliseconds; `null` in JSON where nothing was certified.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Half are faster.
    pub p50: f64,
    /// 99 of 100 are faster.
    pub p99: f64,
    /// 999 of 1,000 are faster.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

/// One second of a load.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Moment {
    /// Which second, from 0.
    pub second: u64,
    /// Transactions whose certified outcome came in it.
    pub committed: usize,
    /// Latencies of those, in milliseconds.
    pub latency_millis: Latency,
}

impl Samples {
    pub(super) fn of(mut sent: Vec<Sent>) -> Samples {
        sent.sort_by_key(|sent| sent.answered);
        Samples { sent }
    }

    /// Transactions with a certified `applied`.
    pub fn applied(&self) -> usize {
        self.sent.iter().map(|sent| sent.applied).sum()
    }

    /// Transactions that ended in any other way.
    pub fn other(&self) -> usize {
        self.sent.iter().map(|sent| sent.other).sum()
    }

    /// From the begin to the last answer.
    pub fn elapsed(&self) -> Duration {
        self.sent.last().map_or(Duration::ZERO, |sent| sent.answered)
    }

    /// Certified transactions per second, from the begin to the last answer.
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed().as_secs_f64();
        if seconds > 0.0 { self.applied() as f64 / seconds } else { 0.0 }
    }

    /// Latencies from when each transaction was due to its certified outcome. Counted from when it was due, not from
    /// when it was sent, so a stall delays everything that was due during it.
    pub fn latency(&self) -> Latency {
        quantiles(self.sent.iter())
    }

    /// The same second by second, by the second of the outcome.
    pub fn moments(&self) -> Vec<Moment> {
        let of = |sent: &Sent| sent.answered.as_secs();
        let parts = self.sent.chunk_by(|a, b| of(a) == of(b));
        let moment = |part: &[Sent]| Moment {
            second: of(&part[0]),
            committed: part.iter().map(|sent| sent.applied).sum(),
            latency_millis: quantiles(part.iter()),
        };
        parts.map(moment).collect()
    }
}

fn quantiles<'a>(sent: impl Iterator<Item = &'a Sent>) -> Latency {
    let each = |sent: &'a Sent| {
        let late = move |place: usize| {
            let due = sent.due + sent.step * u32::try_from(place).unwrap_or(u32::MAX);
            sent.answered.saturating_sub(due).as_secs_f64() * 1e3
        };
        (0..sent.applied).map(late)
    };
    let mut all: Vec<f64> = sent.flat_map(each).collect();
    all.sort_by(f64::total_cmp);
    let quantile = |part: f64| {
        let place = ((all.len() as f64 * part) as usize).min(all.len().saturating_sub(1));
        all.get(place).copied().unwrap_or(f64::NAN)
    };
    Latency { p50: quantile(0.5), p99: quantile(0.99), p999: quantile(0.999), max: quantile(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn latency_counts_from_when_each_was_due() {
        let sent = Sent { due: millis(100), step: millis(10), answered: millis(150), applied: 3, other: 1 };
        let samples = Samples::of(vec![sent]);
        let latency = samples.latency();
        assert_eq!((latency.p50, latency.p99, latency.max), (40.0, 50.0, 50.0));
        assert_eq!((samples.applied(), samples.other(), samples.elapsed()), (3, 1, millis(150)));
        assert_eq!(samples.rate(), 20.0);
    }

    #[test]
    fn moments_are_seconds_in_which_outcomes_came() {
        let sent =
            |answered, applied| Sent { due: millis(0), step: millis(0), answered: millis(answered), applied, other: 0 };
        let moments = Samples::of(vec![sent(2_500, 1), sent(100, 2), sent(900, 3)]).moments();
        let told: Vec<_> = moments.iter().map(|moment| (moment.second, moment.committed)).collect();
        assert_eq!(told, [(0, 5), (2, 1)]);
        assert_eq!(moments[1].latency_millis.p50, 2_500.0);
    }

    #[test]
    fn nothing_sent_is_no_division_by_zero() {
        let samples = Samples::default();
        assert_eq!(samples.rate(), 0.0);
        assert!(samples.latency().p50.is_nan());
        assert!(samples.moments().is_empty());
    }
}
