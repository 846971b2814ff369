//! One transaction from the user's words to its printed receipt.

use super::context::Context;
use super::tx::{Settled, finish};
use super::wish::{Wish, understand};
use crate::arguments::signing::Signing;
use crate::client::submit::{self, Draft};
use crate::exit::{Exit, Failure};
use crate::output::progress::Progress;

/// Signs a transaction of these operations, sends it, and prints the receipt once it is verified.
///
/// # Errors
/// See [`submit::send`] and [`understand`]; exit code 4 when it failed with a receipt.
pub fn run(wishes: &[Wish], signing: &Signing, context: &Context) -> Result<Exit, Failure> {
    let genesis = context.genesis()?;
    // What is wrong with the words is said before a passphrase is asked for.
    let sender = context.sender(signing.from.as_deref())?;
    let (operations, words): (Vec<_>, Vec<_>) = understand(wishes, &sender, context)?.into_iter().unzip();
    let key = context.sender_key(signing.from.as_deref())?;
    let draft = Draft { operations, memo: signing.memo.clone(), valid_for: signing.valid_for };
    let announce = |id| context.printer.say(&format!("transaction {id}"));
    let mut progress = Progress::on_terminal();
    let nodes = (context.nodes()?, &genesis);
    let kept = (&context.outbox()?, context.seen());
    let outcome = submit::send(nodes, (&key, &draft), kept, context.deadline, announce, &mut progress);
    drop(progress);
    context.remember(outcome.as_ref().ok().and_then(|response| response.height));
    finish(outcome, Settled { what: Some(words.join("; ")), validators: genesis.validators.n() }, context)
}
