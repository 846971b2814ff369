//! Assets: created by an issuer, minted and burnt by it alone, transferred by whoever holds them.
//!
//! An asset's supply is the sum of its balances, before and after every transaction.

use super::context::{Sender, StateView, Stop};
use super::overlay::Overlay;
use crate::api::code::Code;
use crate::document::operation::{AssetCode, Role, Scale};
use crate::document::state::AssetState;
use quorate_crypto::key::PublicKey;

pub(super) fn create(
    overlay: &mut Overlay<'_, impl StateView>,
    sender: &Sender,
    code: AssetCode,
    scale: Scale,
) -> Result<(), Stop> {
    require_issuer(sender)?;
    if overlay.asset(code)?.is_some() {
        return Err(Code::AssetExists.into());
    }
    Ok(overlay.set_asset(code, AssetState { scale, issuer: sender.key, supply: 0 })?)
}

pub(super) fn mint(
    overlay: &mut Overlay<'_, impl StateView>,
    sender: &Sender,
    code: AssetCode,
    to: &PublicKey,
    amount: u128,
) -> Result<(), Stop> {
    let mut asset = own_asset(overlay, sender, code, amount)?;
    require_receiver(overlay, to)?;
    asset.supply = asset.supply.checked_add(amount).ok_or(Code::Overflow)?;
    overlay.set_asset(code, asset)?;
    credit(overlay, to, code, amount)
}

pub(super) fn burn(
    overlay: &mut Overlay<'_, impl StateView>,
    sender: &Sender,
    code: AssetCode,
    amount: u128,
) -> Result<(), Stop> {
    let mut asset = own_asset(overlay, sender, code, amount)?;
    debit(overlay, &sender.key, code, amount)?;
    // No balance exceeds the supply, so this cannot fail after the debit; if it did, nothing would apply.
    asset.supply = asset.supply.checked_sub(amount).ok_or(Code::Overflow)?;
    Ok(overlay.set_asset(code, asset)?)
}

pub(super) fn transfer(
    overlay: &mut Overlay<'_, impl StateView>,
    sender: &Sender,
    to: &PublicKey,
    code: AssetCode,
    amount: u128,
) -> Result<(), Stop> {
    require_amount(amount)?;
    if overlay.asset(code)?.is_none() {
        return Err(Code::UnknownAsset.into());
    }
    require_receiver(overlay, to)?;
    // Debit, then credit what is there by then: a transfer to oneself changes nothing, and needs the balance.
    debit(overlay, &sender.key, code, amount)?;
    credit(overlay, to, code, amount)
}

/// The asset, if the sender issues it.
fn own_asset(
    overlay: &mut Overlay<'_, impl StateView>,
    sender: &Sender,
    code: AssetCode,
    amount: u128,
) -> Result<AssetState, Stop> {
    require_issuer(sender)?;
    require_amount(amount)?;
    let asset = overlay.asset(code)?.ok_or(Code::UnknownAsset)?;
    if asset.issuer == sender.key { Ok(asset) } else { Err(Code::NotTheIssuer.into()) }
}

fn require_issuer(sender: &Sender) -> Result<(), Stop> {
    if sender.member.roles.has(Role::Issuer) { Ok(()) } else { Err(Code::NotPermitted.into()) }
}

fn require_amount(amount: u128) -> Result<(), Stop> {
    if amount == 0 { Err(Code::AmountZero.into()) } else { Ok(()) }
}

fn require_receiver(overlay: &mut Overlay<'_, impl StateView>, to: &PublicKey) -> Result<(), Stop> {
    if overlay.member(to)?.is_some() { Ok(()) } else { Err(Code::ReceiverNotAMember.into()) }
}

fn debit(
    overlay: &mut Overlay<'_, impl StateView>,
    account: &PublicKey,
    code: AssetCode,
    amount: u128,
) -> Result<(), Stop> {
    let balance = overlay.balance(account, code)?;
    let left = balance.checked_sub(amount).ok_or(Code::InsufficientBalance)?;
    Ok(overlay.set_balance(account, code, left)?)
}

fn credit(
    overlay: &mut Overlay<'_, impl StateView>,
    account: &PublicKey,
    code: AssetCode,
    amount: u128,
) -> Result<(), Stop> {
    let balance = overlay.balance(account, code)?;
    let sum = balance.checked_add(amount).ok_or(Code::Overflow)?;
    Ok(overlay.set_balance(account, code, sum)?)
}
