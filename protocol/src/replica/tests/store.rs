//! What a replica starts from, and what it serves: both read a chain store.

use quorate_crypto::{
    key::PublicKey,
    sparse::{Bucket, Leaves},
};

use super::*;
use crate::{
    document::{AssetCode, Block, Certificate, Genesis, genesis::GENESIS_VERSION},
    pbft::evidence::Evidence,
    replica::serve::answer,
    store::{BlockCommit, EvidenceList, Head, MemoryStore, StateReader, Store, StoreError},
};

/// A store that has lost its table of certificates, and only still knows what came with the blocks.
struct Forgetful(MemoryStore);

impl StateReader for Forgetful {
    fn state(&self, key_hash: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.state(key_hash)
    }
    fn bucket(&self, bucket: Bucket) -> Result<Leaves, StoreError> {
        self.0.bucket(bucket)
    }
    fn each_state(&self, visit: &mut dyn FnMut(&Digest, &[u8])) -> Result<(), StoreError> {
        self.0.each_state(visit)
    }
    fn transaction(&self, id: &TransactionId) -> Result<Option<(Height, u32)>, StoreError> {
        self.0.transaction(id)
    }
}

impl Store for Forgetful {
    fn head(&self) -> Result<Option<Head>, StoreError> {
        self.0.head()
    }
    fn initialize(&self, genesis: &Genesis) -> Result<(), StoreError> {
        self.0.initialize(genesis)
    }
    fn append(&self, commit: &BlockCommit) -> Result<(), StoreError> {
        self.0.append(commit)
    }
    fn certify(&self, height: Height, certificate: &Certificate) -> Result<(), StoreError> {
        self.0.certify(height, certificate)
    }
    fn sync(&self) -> Result<(), StoreError> {
        self.0.sync()
    }
    fn header(&self, height: Height) -> Result<Option<Header>, StoreError> {
        self.0.header(height)
    }
    fn height_of(&self, header_hash: &Digest) -> Result<Option<Height>, StoreError> {
        self.0.height_of(header_hash)
    }
    fn block(&self, height: Height) -> Result<Option<Block>, StoreError> {
        self.0.block(height)
    }
    fn proof(&self, height: Height) -> Result<Option<Proof>, StoreError> {
        self.0.proof(height)
    }
    fn certificate(&self, _: Height) -> Result<Option<Certificate>, StoreError> {
        Ok(None)
    }
    fn uncertified(&self, from: Height, max: usize) -> Result<Vec<Height>, StoreError> {
        let head = self.0.head()?.map_or(0, |head| head.height.0);
        Ok((from.0.max(1)..=head).map(Height).take(max).collect())
    }
    fn put_evidence(&self, evidence: &Evidence) -> Result<bool, StoreError> {
        self.0.put_evidence(evidence)
    }
    fn evidence(&self, bytes_max: usize) -> Result<EvidenceList, StoreError> {
        self.0.evidence(bytes_max)
    }
    fn balances(&self, account: &PublicKey, max: usize) -> Result<Vec<(AssetCode, u128)>, StoreError> {
        self.0.balances(account, max)
    }
}

fn block(height: u64, transactions: &[SignedTransaction]) -> Block {
    let ordered = batch(WALL + height, transactions);
    Block {
        header: Header { batch_digest: ordered.digest(), ..header(height, WALL + height) },
        batch: ordered,
        bodies: transactions.iter().cloned().map(Arc::new).collect(),
        positions: transactions.iter().map(|t| Position { id: t.id(), outcome: Outcome::Applied }).collect(),
    }
}

fn null_block(height: u64) -> Block {
    let header = Header { batch_digest: Batch::null_digest(), ..header(height, WALL) };
    let ordered = Batch { time: WALL, ids: Default::default() };
    Block { header, batch: ordered, bodies: Vec::new(), positions: Vec::new() }
}

/// A store with blocks of these proofs; a certificate is one that nobody looks into here.
fn store(blocks: impl IntoIterator<Item = (Block, Proof)>) -> MemoryStore {
    let store = MemoryStore::new();
    let genesis = Genesis {
        version: GENESIS_VERSION,
        time: 0,
        parameters: Parameters::default(),
        validators: validators(),
        members: Default::default(),
        assets: Default::default(),
        balances: Default::default(),
    };
    store.initialize(&genesis).unwrap();
    for (block, proof) in blocks {
        store.append(&BlockCommit { block, proof, changes: Vec::new() }).unwrap();
    }
    store
}

fn commits() -> Proof {
    Proof::Commits(Default::default())
}

fn certificate() -> Proof {
    Proof::Certificate(Certificate::default())
}

fn read(store: &dyn Store) -> DurableState {
    DurableState::read(store, None, ExecutedIds::default(), 8).unwrap()
}

fn uncertified(state: &DurableState) -> Vec<u64> {
    state.blocks.iter().filter(|block| block.certificate.is_none()).map(|block| block.height.0).collect()
}

/// 2.6: the certificate that a synced block came with counts, wherever else certificates are kept.
#[test]
fn a_block_that_came_with_its_certificate_is_certified_after_a_restart() {
    let blocks = || (1..=20).map(|height| (block(height, &[]), if height <= 17 { certificate() } else { commits() }));
    for store in [&store(blocks()) as &dyn Store, &Forgetful(store(blocks()))] {
        let state = read(store);
        assert_eq!((state.low, state.executed), (Height(16), Height(20)));
        assert_eq!(state.blocks.iter().map(|block| block.height.0).collect::<Vec<_>>(), [17, 18, 19, 20]);
        assert_eq!(uncertified(&state), [18, 19, 20]);
        assert!(state.blocks[0].commits.is_none() && state.blocks[1].commits.is_some());
        let question = SyncMessage::FetchCertificate { height: Height(17) };
        assert!(matches!(answer(store, &question).unwrap()[..], [PeerMessage::Pbft(Message::CertifiedCheckpoint(_))]));
        let question = SyncMessage::FetchCertificate { height: Height(18) };
        assert!(answer(store, &question).unwrap().is_empty());
    }
}

#[test]
fn blocks_without_a_certificate_below_the_watermark_are_spoken_of_again() {
    let store = store((1..=40).map(|height| (block(height, &[]), commits())));
    for height in (1..=33).filter(|height| ![3, 12].contains(height)) {
        store.certify(Height(height), &Certificate::default()).unwrap();
    }
    assert_eq!(store.uncertified(Height(1), 3).unwrap(), [3, 12, 34].map(Height));
    assert_eq!(store.uncertified(Height(4), 1).unwrap(), [12].map(Height));
    let state = read(&store);
    assert_eq!(state.low, Height(32));
    assert_eq!(uncertified(&state), [3, 12, 34, 35, 36, 37, 38, 39, 40]);
    assert_eq!(state.blocks.len(), 10, "and block 33, which is above the watermark");
}

#[test]
fn an_empty_chain_starts_at_its_genesis() {
    let state = read(&store([]));
    assert_eq!((state.low, state.executed, state.blocks.len()), (Height(0), Height(0), 0));
}

fn heights(store: &dyn Store, from: u64, count: u16) -> Vec<u64> {
    let answers = answer(store, &SyncMessage::FetchBlocks { from: Height(from), count }).unwrap();
    let [PeerMessage::Sync(SyncMessage::Blocks(blocks))] = &answers[..] else { panic!("one answer") };
    blocks.iter().map(|block| block.header.height.0).collect()
}

#[test]
fn an_answer_has_as_many_blocks_as_asked_for_and_no_more_bytes_than_one_may_cost() {
    let small = store((1..=70).map(|height| (block(height, &[]), certificate())));
    assert_eq!(heights(&small, 1, 3), [1, 2, 3]);
    assert_eq!(heights(&small, 69, 10), [69, 70]);
    assert_eq!(heights(&small, 1, u16::MAX).len(), 64);
    assert!(heights(&small, 71, 10).is_empty() && heights(&small, u64::MAX, 10).is_empty());
    assert!(heights(&small, 1, 0).is_empty());

    let one = fresh(1, 1);
    let many = crate::limits::SYNC_ANSWER_BYTES * 3 / 5 / one.size();
    let transactions = vec![one; many];
    let large = store((1..=4).map(|height| (block(height, &transactions), certificate())));
    assert_eq!(heights(&large, 1, 4), [1], "two are more than an answer may cost");
    let transactions = vec![fresh(1, 1); many * 2];
    let larger = store((1..=4).map(|height| (block(height, &transactions), certificate())));
    assert_eq!(heights(&larger, 2, 4), [2], "one always comes");
}

/// What a new view orders again can lie below the log of whoever is asked: its store has it.
#[test]
fn batches_are_served_from_the_store_where_the_digest_is_that_of_the_height() {
    let one = block(1, &[fresh(1, 1)]);
    let ordered = one.batch.clone();
    let store = store([(one, commits()), (null_block(2), commits()), (block(3, &[]), commits())]);
    let ask = |places: &[(u64, Digest)]| {
        let places: Vec<_> = places.iter().map(|(sequence, digest)| (Sequence(*sequence), *digest)).collect();
        answer(&store, &SyncMessage::FetchBatches(places.try_into().unwrap())).unwrap()
    };
    let batch = |sequence: u64, content: Content| {
        PeerMessage::Sync(SyncMessage::Batch { sequence: Sequence(sequence), content })
    };
    let digest = ordered.digest();
    let answers = ask(&[(1, digest), (2, Batch::null_digest()), (3, digest), (4, digest), (u64::MAX, digest)]);
    assert_eq!(answers, [batch(1, Content::Batch(ordered)), batch(2, Content::Null)]);
    assert!(ask(&[(0, Digest::ZERO), (0, Batch::null_digest()), (1, Batch::null_digest())]).is_empty());
    let genesis = store.header(Height(0)).unwrap().unwrap();
    assert!(ask(&[(0, genesis.batch_digest)]).is_empty(), "the genesis was not ordered");
}
