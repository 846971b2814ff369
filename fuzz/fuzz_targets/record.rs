//! What a node finds again on its disk: its journal, evidence, the state's keys and values.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::{canonical, genesis};
use quorate_protocol::document::{AssetState, MemberState, StateKey};
use quorate_protocol::pbft::Record;
use quorate_protocol::pbft::evidence::{Evidence, Kind};
use quorate_protocol::proof::verify_evidence;
use quorate_protocol::replica::JournalEntry;

fuzz_target!(|bytes: &[u8]| {
    if let Some(entry) = canonical::<JournalEntry>(bytes) {
        let _ = entry.sequence();
    }
    canonical::<Record>(bytes);
    if let Some(evidence) = canonical::<Evidence>(bytes) {
        let _ = (evidence.statements(), verify_evidence(&evidence, genesis()));
    }
    canonical::<Kind>(bytes);
    canonical::<StateKey>(bytes);
    canonical::<MemberState>(bytes);
    canonical::<AssetState>(bytes);
});
