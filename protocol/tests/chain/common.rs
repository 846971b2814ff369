//! A small chain for tests: four validators, an admin who issues USD, three members with 1,000.00 each.

use quorate_crypto::encode::BoundedVec;
use quorate_crypto::key::{PublicKey, SecretKey, Signature};
use quorate_crypto::signed::Signed;
use quorate_protocol::document::genesis::{GENESIS_VERSION, GenesisAsset, GenesisBalance, GenesisMember};
use quorate_protocol::document::{
    AssetCode, Batch, Block, Body, Certificate, Genesis, Header, Operation, Outcome, Parameters, Proof, Role, Roles,
    Scale, SignedTransaction, StateKey, Transaction, Validator, ValidatorSet,
};
use quorate_protocol::id::NodeIndex;
use quorate_protocol::ledger::{Executed, Ledger};
use quorate_protocol::store::{BlockCommit, MemoryStore, Store};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// Time of the genesis, Unix milliseconds.
pub const START: u64 = 1_700_000_000_000;

/// The validity window of the default parameters, milliseconds.
pub const WINDOW: u64 = 120_000;

pub const ADMIN: u8 = 1;
pub const ALICE: u8 = 2;
pub const BOB: u8 = 3;
pub const CAROL: u8 = 4;
/// A key that is no member.
pub const STRANGER: u8 = 9;

pub fn secret(name: u8) -> SecretKey {
    SecretKey::from_seed([name; 32])
}

pub fn key(name: u8) -> PublicKey {
    static KEYS: LazyLock<Vec<PublicKey>> =
        LazyLock::new(|| (0..=u8::MAX).map(|name| secret(name).public_key()).collect());
    KEYS[usize::from(name)]
}

pub fn code(text: &str) -> AssetCode {
    AssetCode::new(text).unwrap()
}

pub fn bounded<T, const MAX: usize>(elements: Vec<T>) -> BoundedVec<T, MAX> {
    BoundedVec::try_from(elements).unwrap_or_else(|error| panic!("{error}"))
}

pub fn validator_secrets() -> Vec<SecretKey> {
    (0..4).map(|index| secret(100 + index)).collect()
}

pub fn genesis() -> Genesis {
    static GENESIS: LazyLock<Genesis> = LazyLock::new(make_genesis);
    GENESIS.clone()
}

fn make_genesis() -> Genesis {
    let validator = |index: u8| Validator { consensus_key: key(100 + index), network_key: key(110 + index) };
    let member = |name, roles: &[Role]| GenesisMember { key: key(name), roles: Roles::of(roles) };
    let balance = |name| GenesisBalance { account: key(name), code: code("USD"), amount: 100_000 };
    Genesis {
        version: GENESIS_VERSION,
        time: START,
        parameters: Parameters::default(),
        validators: ValidatorSet::new((0..4).map(validator).collect()).unwrap(),
        members: bounded(vec![
            member(ADMIN, &[Role::Admin, Role::Issuer]),
            member(ALICE, &[Role::Member]),
            member(BOB, &[Role::Member]),
            member(CAROL, &[Role::Issuer, Role::Member]),
        ]),
        assets: bounded(vec![GenesisAsset { code: code("USD"), scale: Scale::new(2).unwrap(), issuer: key(ADMIN) }]),
        balances: bounded(vec![balance(ALICE), balance(BOB), balance(CAROL)]),
    }
}

/// A transaction that is valid until half a window after the start; `salt` tells it from others.
pub fn transaction(sender: u8, salt: u64, operations: Vec<Operation>) -> Transaction {
    Transaction {
        chain_id: genesis().chain_id(),
        sender: key(sender),
        valid_until: START + WINDOW / 2,
        salt,
        operations: bounded(operations),
        memo: Default::default(),
    }
}

/// With a signature that is none: what stands after the door does not look at signatures.
pub fn unsigned(transaction: Transaction) -> Body {
    Arc::new(SignedTransaction::new(transaction, Signature::from_bytes([0; 64])))
}

pub fn transfer(to: u8, amount: u128) -> Operation {
    Operation::Transfer { to: key(to), code: code("USD"), amount }
}

/// A ledger with its store, and the state as its changes told it.
pub struct Chain {
    pub genesis: Genesis,
    pub store: MemoryStore,
    pub ledger: Ledger,
    pub state: BTreeMap<StateKey, Vec<u8>>,
}

impl Chain {
    pub fn new() -> Chain {
        let genesis = genesis();
        let store = MemoryStore::new();
        store.initialize(&genesis).unwrap();
        let ledger = Ledger::open(&genesis, &store).unwrap();
        let state = genesis.state().into_iter().map(|change| (change.key, change.value.unwrap())).collect();
        Chain { genesis, store, ledger, state }
    }

    /// Forgets the ledger and takes it up again from the store.
    pub fn reopen(&mut self) {
        self.ledger = Ledger::open(&self.genesis, &self.store).unwrap();
    }

    /// Executes and appends a block.
    pub fn block(&mut self, time: u64, bodies: &[Body]) -> Block {
        let batch = Batch { time, ids: bounded(bodies.iter().map(|body| body.id()).collect()) };
        let executed = self.ledger.execute(&self.store, &batch, bodies, false).unwrap();
        self.append(executed)
    }

    /// Executes and appends the null batch.
    pub fn null_block(&mut self) -> Block {
        let executed = self.ledger.execute(&self.store, &Batch::default(), &[], true).unwrap();
        self.append(executed)
    }

    fn append(&mut self, executed: Executed) -> Block {
        for change in &executed.changes {
            let before = match &change.value {
                Some(value) => self.state.insert(change.key, value.clone()),
                None => self.state.remove(&change.key),
            };
            assert_eq!(before.is_none(), change.created, "{:?}", change.key);
            assert_ne!(before, change.value, "a change that changes nothing");
        }
        let block = executed.block.clone();
        let proof = proof(&block.header);
        self.store.append(&BlockCommit { block: executed.block, proof, changes: executed.changes }).unwrap();
        block
    }

    /// What becomes of one transaction in a block of its own.
    pub fn outcome(&mut self, sender: u8, operations: Vec<Operation>) -> Outcome {
        let salt = self.ledger.head().height.get();
        let body = unsigned(transaction(sender, 1_000 + salt, operations));
        self.block(START + 1, &[body]).positions[0].outcome
    }

    pub fn balance(&self, name: u8, asset: &str) -> u128 {
        let held = self.store.balances(&key(name), 100).unwrap();
        held.into_iter().find(|(code, _)| code.as_str() == asset).map_or(0, |(_, amount)| amount)
    }
}

/// As a proof of finality.
pub fn proof(header: &Header) -> Proof {
    Proof::Certificate(certificate(header))
}

/// The first quorum of validators signs a header.
pub fn certificate(header: &Header) -> Certificate {
    let secrets = validator_secrets();
    let sign = |index: usize| {
        let signed = Signed::sign(header.checkpoint(), &header.chain_id, &secrets[index]);
        (NodeIndex(index as u8), signed.signature)
    };
    Certificate { signatures: bounded((0..3).map(sign).collect()) }
}
