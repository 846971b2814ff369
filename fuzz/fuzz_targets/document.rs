//! Documents as clients and peers send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_crypto::sparse::SparseProof;
use quorate_crypto::{BoundedVec, Signed, Verifiable};
use quorate_fuzz::{canonical, chain_id};
use quorate_protocol::api::code::Code;
use quorate_protocol::document::{
    Batch, Block, Certificate, CertifiedBlock, Checkpoint, Genesis, Header, Operation, Parameters, Position, Proof,
    SignedTransaction, Transaction, ValidatorSet,
};
use quorate_protocol::limits::SUBMIT_COUNT_MAX;

fuzz_target!(|bytes: &[u8]| {
    if let Some(signed) = canonical::<SignedTransaction>(bytes) {
        assert_eq!(signed.size(), bytes.len());
        let _ = signed.check_form(chain_id(), 1024);
        let _ = signed.claims(chain_id(), &mut Vec::new());
    }
    if let Some(block) = canonical::<CertifiedBlock>(bytes) {
        let _ = (block.is_null(), block.is_consistent());
    }
    canonical::<BoundedVec<SignedTransaction, SUBMIT_COUNT_MAX>>(bytes);
    canonical::<Transaction>(bytes);
    canonical::<Operation>(bytes);
    canonical::<Batch>(bytes);
    canonical::<Block>(bytes);
    canonical::<Header>(bytes);
    canonical::<Position>(bytes);
    canonical::<Proof>(bytes);
    canonical::<Certificate>(bytes);
    canonical::<Signed<Checkpoint>>(bytes);
    canonical::<ValidatorSet>(bytes);
    canonical::<Parameters>(bytes);
    canonical::<Code>(bytes);
    canonical::<SparseProof>(bytes);
    if let Some(genesis) = canonical::<Genesis>(bytes) {
        let _ = genesis.check();
    }
});
