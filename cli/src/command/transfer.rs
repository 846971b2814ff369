//! `quorate transfer`.

use super::context::Context;
use super::send;
use super::wish::Wish;
use crate::arguments::transfer::Transfer;
use crate::exit::{Exit, Failure};

/// Transfers, and prints the receipt once it is verified.
///
/// # Errors
/// See [`send::run`].
pub fn run(arguments: &Transfer, context: &Context) -> Result<Exit, Failure> {
    let Transfer { to, amount, asset, signing } = arguments;
    let wish = Wish::Transfer { to: to.clone(), asset: asset.clone(), amount: amount.clone() };
    send::run(&[wish], signing, context)
}
