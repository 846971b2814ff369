//! What a transaction does.
//!
//! [`apply_block`] judges the positions of a block one after the other (PROTOCOL 2.3) and is total: for every list of
//! bodies there is one result, the same on every machine. The only error is that the state cannot be read.
//!
//! | file | what is in it |
//! |---|---|
//! | `context` | what every rule works with |
//! | [`overlay`] | reads once, collects writes, takes back those of a failed transaction |
//! | `asset` | create, mint, burn, transfer |
//! | `member` | register, roles, freeze |

mod asset;
mod context;
mod member;
pub mod overlay;

pub use context::StateView;

use crate::api::code::Code;
use crate::document::block::{Outcome, Position, SkipReason};
use crate::document::operation::Operation;
use crate::document::state::{Change, MemberState};
use crate::document::transaction::{Body, Transaction};
use crate::store::StoreError;
use crate::time::UnixMillis;
use context::{Sender, Stop};
use overlay::Overlay;
use quorate_crypto::fast::FastSet;

/// What a block makes of the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// What became of each body, in order.
    pub positions: Vec<Position>,
    /// The keys whose values differ after the block, in the order of their hashes.
    pub changes: Vec<Change>,
}

/// Executes the bodies of a block whose time is `time`, in order. `validity_window` is in milliseconds.
///
/// # Errors
///
/// When the state cannot be read.
pub fn apply_block(
    view: &mut impl StateView,
    time: UnixMillis,
    validity_window: u64,
    bodies: &[Body],
) -> Result<Delta, StoreError> {
    let mut overlay = Overlay::new(view);
    let mut executed_here = FastSet::with_capacity_and_hasher(bodies.len(), Default::default());
    let mut positions = Vec::with_capacity(bodies.len());
    for body in bodies {
        let skipped = if is_outside_window(body.valid_until(), time, validity_window) {
            Some(SkipReason::OutsideWindow)
        } else if executed_here.contains(&body.id()) || overlay.view().is_executed(&body.id(), body.valid_until())? {
            Some(SkipReason::Duplicate)
        } else {
            None
        };
        let outcome = match skipped {
            Some(reason) => Outcome::Skipped(reason),
            None => execute(&mut overlay, body.transaction())?,
        };
        if outcome.is_executed() {
            executed_here.insert(body.id());
        }
        positions.push(Position { id: body.id(), outcome });
    }
    Ok(Delta { positions, changes: overlay.into_changes() })
}

/// Whether block time has reached `valid_until`, or `valid_until` lies more than the window after it.
pub fn is_outside_window(valid_until: UnixMillis, time: UnixMillis, validity_window: u64) -> bool {
    time >= valid_until || valid_until > time.saturating_add(validity_window)
}

/// Executes a transaction that is inside the window and no duplicate: all of its operations, or none.
fn execute(overlay: &mut Overlay<'_, impl StateView>, transaction: &Transaction) -> Result<Outcome, StoreError> {
    let Some(sender) = overlay.member(&transaction.sender)? else {
        return Ok(Outcome::Skipped(SkipReason::NotAMember));
    };
    overlay.begin();
    match apply_all(overlay, transaction, sender) {
        Ok(()) => Ok(Outcome::Applied),
        Err(Stop::Code(code)) => {
            overlay.roll_back();
            Ok(Outcome::Failed(code))
        }
        Err(Stop::Store(error)) => Err(error),
    }
}

fn apply_all(
    overlay: &mut Overlay<'_, impl StateView>,
    transaction: &Transaction,
    sender: MemberState,
) -> Result<(), Stop> {
    if transaction.operations.is_empty() {
        return Err(Code::NoOperations.into());
    }
    if sender.frozen {
        return Err(Code::SenderFrozen.into());
    }
    // The sender cannot change its own membership, so `sender` holds for all operations.
    let sender = Sender { key: transaction.sender, member: sender };
    transaction.operations.iter().try_for_each(|operation| apply(overlay, &sender, operation))
}

fn apply(overlay: &mut Overlay<'_, impl StateView>, sender: &Sender, operation: &Operation) -> Result<(), Stop> {
    match *operation {
        Operation::AssetCreate { code, scale } => asset::create(overlay, sender, code, scale),
        Operation::AssetMint { code, ref to, amount } => asset::mint(overlay, sender, code, to, amount),
        Operation::AssetBurn { code, amount } => asset::burn(overlay, sender, code, amount),
        Operation::Transfer { ref to, code, amount } => asset::transfer(overlay, sender, to, code, amount),
        Operation::MemberRegister { ref key, roles } => member::register(overlay, sender, key, roles),
        Operation::MemberSetRoles { ref key, roles } => member::set_roles(overlay, sender, key, roles),
        Operation::MemberFreeze { ref key, frozen } => member::freeze(overlay, sender, key, frozen),
    }
}
