//! Messages between nodes, up to the list of their signatures.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quorate_crypto::Verifiable;
use quorate_fuzz::{canonical, chain_id, genesis};
use quorate_protocol::pbft::Config;
use quorate_protocol::pbft::message::{Message, VerifyContext};
use quorate_protocol::replica::{PeerMessage, SyncMessage};

static CONTEXT: LazyLock<VerifyContext> = LazyLock::new(|| {
    Config::new(*chain_id(), genesis().validators.clone(), None, &genesis().parameters).verify_context()
});

fn judged<T: Verifiable<Context = VerifyContext>>(message: Option<T>) {
    if let Some(message) = message {
        let _ = message.claims(&CONTEXT, &mut Vec::new());
    }
}

fuzz_target!(|bytes: &[u8]| {
    judged(canonical::<PeerMessage>(bytes));
    judged(canonical::<Message>(bytes));
    judged(canonical::<SyncMessage>(bytes));
});
