//! EO: a transaction has at most one receipt, for ever, everywhere the same.

use super::promise::{Invariant, Observation, Promise, Violation};
use crate::document::Outcome;
use crate::id::{Height, TransactionId};
use std::collections::BTreeMap;

/// The one receipt of each transaction.
#[derive(Debug, Default)]
pub struct ExactlyOnce {
    receipts: BTreeMap<TransactionId, (Height, usize, Outcome)>,
}

impl Invariant for ExactlyOnce {
    fn observe(&mut self, observation: Observation<'_>) -> Result<(), Violation> {
        let Observation::Executed { node, block, .. } = observation else { return Ok(()) };
        let height = block.header.height;
        for (index, position) in block.positions.iter().enumerate() {
            // A skipped position is no receipt.
            if matches!(position.outcome, Outcome::Skipped(_)) {
                continue;
            }
            let receipt = (height, index, position.outcome);
            let first = *self.receipts.entry(position.id).or_insert(receipt);
            if first != receipt {
                let detail = format!("{} has a receipt {first:?}, and at {node} also {receipt:?}", position.id);
                return Err(Violation { promise: Promise::ExactlyOnce, detail });
            }
        }
        Ok(())
    }
}
