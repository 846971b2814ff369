//! Members: registered, given roles and frozen by admins.
//!
//! No admin changes its own membership. Whoever takes the role from an admin, or freezes it, therefore remains one
//! itself, and a chain that starts with an admin always has one that is not frozen.

use super::context::{Sender, StateView, Stop};
use super::overlay::Overlay;
use crate::api::code::Code;
use crate::document::operation::{Role, Roles};
use crate::document::state::MemberState;
use quorate_crypto::key::PublicKey;

pub(super) fn register(
    overlay: &mut Overlay<'_, impl StateView>,
    sender: &Sender,
    key: &PublicKey,
    roles: Roles,
) -> Result<(), Stop> {
    require_admin(sender)?;
    key.check_registrable().map_err(|_| Code::BadKey)?;
    if overlay.member(key)?.is_some() {
        return Err(Code::MemberExists.into());
    }
    Ok(overlay.set_member(key, MemberState { roles, frozen: false })?)
}

pub(super) fn set_roles(
    overlay: &mut Overlay<'_, impl StateView>,
    sender: &Sender,
    key: &PublicKey,
    roles: Roles,
) -> Result<(), Stop> {
    let member = other_member(overlay, sender, key)?;
    Ok(overlay.set_member(key, MemberState { roles, ..member })?)
}

pub(super) fn freeze(
    overlay: &mut Overlay<'_, impl StateView>,
    sender: &Sender,
    key: &PublicKey,
    frozen: bool,
) -> Result<(), Stop> {
    let member = other_member(overlay, sender, key)?;
    Ok(overlay.set_member(key, MemberState { frozen, ..member })?)
}

/// A member that is not the admin itself.
fn other_member(
    overlay: &mut Overlay<'_, impl StateView>,
    sender: &Sender,
    key: &PublicKey,
) -> Result<MemberState, Stop> {
    require_admin(sender)?;
    let member = overlay.member(key)?.ok_or(Code::UnknownMember)?;
    if *key == sender.key { Err(Code::OwnMembership.into()) } else { Ok(member) }
}

fn require_admin(sender: &Sender) -> Result<(), Stop> {
    if sender.member.roles.has(Role::Admin) { Ok(()) } else { Err(Code::NotPermitted.into()) }
}
