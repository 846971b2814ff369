//! `quorate member register|freeze|unfreeze|roles|show`.

use super::context::Context;
use super::wish::Wish;
use super::{account, send};
use crate::arguments::member::Member;
use crate::exit::{Exit, Failure};

/// Runs one of the five.
///
/// # Errors
/// See [`send::run`] and [`account::run`].
pub fn run(arguments: &Member, context: &Context) -> Result<Exit, Failure> {
    let (wish, signing) = match arguments {
        Member::Show(which) => return account::run(which, context),
        Member::Register(of) => {
            (Wish::MemberRegister { member: of.member.clone(), roles: of.roles.clone() }, &of.signing)
        }
        Member::Roles(of) => (Wish::MemberSetRoles { member: of.member.clone(), roles: of.roles.clone() }, &of.signing),
        Member::Freeze(of) => (Wish::MemberFreeze { member: of.member.clone(), frozen: true }, &of.signing),
        Member::Unfreeze(of) => (Wish::MemberFreeze { member: of.member.clone(), frozen: false }, &of.signing),
    };
    send::run(&[wish], signing, context)
}
