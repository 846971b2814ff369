//! The chain store on RocksDB. [`schema`](crate::schema) says what lies where.
//!
//! A block is one write batch, synced: header, batch with bodies, positions, proof, changes of the state, head. Only the
//! changes of the state are entries of their own; what would otherwise be one entry per transaction is one value per block, and the
//! index by hash is made in the background.
//!
//! Write-ahead logs are not recycled: RocksDB, when it recovers recycled logs, takes a gap in its sequence numbers for the end
//! of what was written, and adding sorted files makes such gaps.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use borsh::BorshDeserialize;
use quorate_crypto::encode::{decode, encode};
use quorate_crypto::hash::Digest;
use quorate_crypto::key::PublicKey;
use quorate_crypto::sparse::{Bucket, Leaves};
use quorate_protocol::document::{
    AssetCode, Batch, Block, Body, Certificate, Genesis, Header, Position, Proof, StateKey,
};
use quorate_protocol::id::{ChainId, Height, TransactionId};
use quorate_protocol::pbft::evidence::Evidence;
use quorate_protocol::store::{BlockCommit, Change, EvidenceList, Head, StateReader, Store, StoreError};
use rocksdb::{DB, DBRawIterator, ReadOptions, WriteBatch, WriteOptions};

pub use crate::database::StoreOptions;
use crate::database::{failed, family, open_database};
use crate::index::Index;
use crate::schema::{self, Family, Kind, damaged};

/// A chain store on disk.
pub struct RocksStore {
    /// Before the database, so that its thread has ended when the database is closed.
    index: Index,
    db: Arc<DB>,
    head: RwLock<Option<Head>>,
    /// Heights without a certificate. There are few: execution runs at most a window ahead of certificates.
    uncertified: Mutex<BTreeSet<Height>>,
    /// The first failed write. What the disk has after it, only a restart can tell.
    stopped: Mutex<Option<StoreError>>,
}

impl RocksStore {
    /// Opens the store in a directory, which is made when it is not there. A new store is empty.
    ///
    /// # Errors
    /// When the directory cannot be used, or what it holds is damaged.
    pub fn open(directory: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        std::fs::create_dir_all(directory)
            .map_err(|error| StoreError::Io(format!("{}: {error}", directory.display())))?;
        let db = Arc::new(open_database(&directory.join("db"), options)?);
        let index = Index::start(db.clone(), directory.join("runs"), options.index_run_max)?;
        let store =
            Self { index, db, head: RwLock::default(), uncertified: Mutex::default(), stopped: Mutex::default() };
        store.restore()?;
        Ok(store)
    }

    /// Reads what is held in memory: head, uncertified heights, the newest part of the index.
    fn restore(&self) -> Result<(), StoreError> {
        let Some(bytes) = self.get(Family::Metadata, schema::HEAD_KEY)? else { return Ok(()) };
        let height = schema::sealed_height(Kind::Head, &bytes)?;
        let header_hash: Digest = schema::unseal(Kind::Head, height, &bytes)?;
        let header = self.expect_header(height)?;
        if header.hash() != header_hash {
            return Err(damaged("head", format!("the header of height {height} is not the head's")));
        }
        self.restore_uncertified()?;
        let first = match self.get(Family::Metadata, schema::INDEXED_KEY)? {
            Some(bytes) => {
                let indexed = schema::sealed_height(Kind::Indexed, &bytes)?;
                schema::unseal::<()>(Kind::Indexed, indexed, &bytes)?;
                indexed.next()
            }
            None => Height::ZERO,
        };
        for height in (first.get()..=height.get()).map(Height) {
            self.index.add(height, self.expect_header(height)?.hash(), &self.expect_positions(height)?)?;
        }
        self.set_head(Head { height, header, header_hash });
        Ok(())
    }

    fn restore_uncertified(&self) -> Result<(), StoreError> {
        let mut heights = BTreeSet::new();
        let mut range = ReadOptions::default();
        range.set_iterate_range(schema::UNCERTIFIED_PREFIX..schema::UNCERTIFIED_END);
        self.each(Family::Metadata, range, |key, value| {
            let height = schema::uncertified_height(key)?;
            schema::unseal::<()>(Kind::Uncertified, height, value)?;
            heights.insert(height);
            Ok(true)
        })?;
        *self.lock_uncertified() = heights;
        Ok(())
    }

    /// Reads everything once, so that what the disk has damaged is found wherever it lies. Takes as long as reading all
    /// files takes.
    ///
    /// # Errors
    /// The first damage that is found.
    pub fn check_all(&self) -> Result<(), StoreError> {
        for family_of in Family::ALL {
            let mut range = ReadOptions::default();
            range.fill_cache(false);
            range.set_readahead_size(1 << 20);
            self.each(family_of, range, |_, _| Ok(true))?;
        }
        Ok(())
    }

    fn get(&self, family_of: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get_cf(family(&self.db, family_of), key).map_err(|error| failed(family_of.name(), &error))
    }

    /// A value by height.
    fn read<T: BorshDeserialize>(
        &self,
        family_of: Family,
        key: &[u8],
        kind: Kind,
        height: Height,
    ) -> Result<Option<T>, StoreError> {
        let pinned = self.db.get_pinned_cf(family(&self.db, family_of), key);
        let pinned = pinned.map_err(|error| failed(family_of.name(), &error))?;
        pinned.map(|bytes| schema::unseal(kind, height, &bytes)).transpose()
    }

    /// Visits a range in the order of its keys until the visitor has enough (`false`).
    fn each(
        &self,
        family_of: Family,
        range: ReadOptions,
        visit: impl FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        each(family_of, self.db.raw_iterator_cf_opt(family(&self.db, family_of), range), visit)
    }

    fn expect_header(&self, height: Height) -> Result<Header, StoreError> {
        self.header(height)?.ok_or_else(|| damaged("header", format!("height {height} is missing")))
    }

    fn expect_positions(&self, height: Height) -> Result<Vec<Position>, StoreError> {
        let positions = self.read(Family::Receipts, &schema::positions_key(height), Kind::Positions, height)?;
        positions.ok_or_else(|| damaged("positions", format!("height {height} is missing")))
    }

    fn known_head(&self) -> Option<Head> {
        self.head.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn head_height(&self) -> Option<Height> {
        self.head.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|head| head.height)
    }

    fn set_head(&self, head: Head) {
        *self.head.write().unwrap_or_else(PoisonError::into_inner) = Some(head);
    }

    fn lock_uncertified(&self) -> MutexGuard<'_, BTreeSet<Height>> {
        self.uncertified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_stopped(&self) -> MutexGuard<'_, Option<StoreError>> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, failure: &StoreError) {
        self.lock_stopped().get_or_insert_with(|| failure.clone());
    }

    /// Writes a batch, unless an earlier write has failed.
    fn write(&self, batch: WriteBatch, sync: bool) -> Result<(), StoreError> {
        if let Some(failure) = self.lock_stopped().as_ref() {
            return Err(failure.clone());
        }
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        let written = self.db.write_opt(batch, &options).map_err(|error| failed("write", &error));
        written.inspect_err(|failure| self.stop(failure))
    }

    /// Everything of a block but its proof, made durable at once with what the batch holds already.
    fn write_block(&self, mut batch: WriteBatch, block: &Block, changes: &[Change]) -> Result<(), StoreError> {
        let header = &block.header;
        let (height, header_hash) = (header.height, header.hash());
        let mut put = |family_of, key: &[u8], value: Vec<u8>| batch.put_cf(family(&self.db, family_of), key, value);
        put(Family::Blocks, &schema::header_key(height), schema::seal(Kind::Header, height, header));
        let contents = schema::seal(Kind::Contents, height, &(&block.batch, &block.bodies));
        put(Family::Blocks, &schema::contents_key(height), contents);
        let positions = schema::seal(Kind::Positions, height, &block.positions);
        put(Family::Receipts, &schema::positions_key(height), positions);
        put(Family::Metadata, schema::HEAD_KEY, schema::seal(Kind::Head, height, &header_hash));
        for change in changes {
            self.put_change(&mut batch, change);
        }
        self.write(batch, true)?;
        self.index.add(height, header_hash, &block.positions).inspect_err(|failure| self.stop(failure))?;
        self.set_head(Head { height, header: header.clone(), header_hash });
        Ok(())
    }

    fn put_change(&self, batch: &mut WriteBatch, change: &Change) {
        let (state, accounts) = (family(&self.db, Family::State), family(&self.db, Family::Accounts));
        let hash = change.key_hash.as_bytes();
        match &change.value {
            Some(value) => batch.put_cf(state, hash, schema::seal_hash(hash, value)),
            None => batch.delete_cf(state, hash),
        }
        let StateKey::Balance { account, code } = &change.key else { return };
        match change.value {
            Some(_) if change.created => batch.put_cf(accounts, schema::balance_key(account, code), hash),
            Some(_) => {}
            None => batch.delete_cf(accounts, schema::balance_key(account, code)),
        }
    }

    /// Marks a height as one without a certificate, unless what made it final is one.
    fn put_proof(&self, batch: &mut WriteBatch, height: Height, proof: &Proof) {
        let sealed = schema::seal(Kind::Proof, height, proof);
        batch.put_cf(family(&self.db, Family::Certificates), schema::proof_key(height), sealed);
        if matches!(proof, Proof::Commits(_)) {
            let mark = schema::seal(Kind::Uncertified, height, &());
            batch.put_cf(family(&self.db, Family::Metadata), schema::uncertified_key(height), mark);
        }
    }
}

impl StateReader for RocksStore {
    fn state(&self, key_hash: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let hash = key_hash.as_bytes();
        let pinned = self.db.get_pinned_cf(family(&self.db, Family::State), hash);
        let pinned = pinned.map_err(|error| failed("state", &error))?;
        pinned.map(|bytes| Ok(schema::unseal_hash("state", hash, &bytes)?.to_vec())).transpose()
    }

    fn bucket(&self, bucket: Bucket) -> Result<Leaves, StoreError> {
        let (first, past_the_end) = bucket.range();
        let mut range = ReadOptions::default();
        range.set_iterate_lower_bound(first.as_bytes().as_slice());
        if let Some(end) = past_the_end {
            range.set_iterate_upper_bound(end.as_bytes().as_slice());
        }
        let mut leaves = Leaves::new();
        self.each(Family::State, range, |key, value| {
            let hash = state_hash(key)?;
            leaves.push((Digest::from_bytes(hash), schema::unseal_hash("state", &hash, value)?.to_vec()));
            Ok(true)
        })?;
        Ok(leaves)
    }

    fn each_state(&self, visit: &mut dyn FnMut(&Digest, &[u8])) -> Result<(), StoreError> {
        let mut range = ReadOptions::default();
        // Everything is read once; it must not drive what is used often out of the cache.
        range.fill_cache(false);
        range.set_readahead_size(1 << 20);
        self.each(Family::State, range, |key, value| {
            let hash = state_hash(key)?;
            visit(&Digest::from_bytes(hash), schema::unseal_hash("state", &hash, value)?);
            Ok(true)
        })
    }

    fn transaction(&self, id: &TransactionId) -> Result<Option<(Height, u32)>, StoreError> {
        let place = match self.index.transaction(id) {
            Some(place) => Some(place),
            None => {
                let bytes = self.get(Family::Index, &schema::transaction_key(id))?;
                bytes.map(|bytes| schema::unseal_place(id, &bytes)).transpose()?
            }
        };
        // After damage the index may know more than there is.
        Ok(place.filter(|(height, _)| Some(*height) <= self.head_height()))
    }
}

impl Store for RocksStore {
    fn head(&self) -> Result<Option<Head>, StoreError> {
        Ok(self.known_head())
    }

    fn initialize(&self, genesis: &Genesis) -> Result<(), StoreError> {
        let expected = genesis.chain_id();
        if self.head_height().is_some() {
            let chain = self.get(Family::Metadata, schema::CHAIN_KEY)?;
            let chain = chain.ok_or_else(|| damaged("metadata", "the chain id is missing"))?;
            let found: ChainId = decode(&chain).map_err(|error| damaged("metadata", format!("chain id: {error}")))?;
            return if found == expected { Ok(()) } else { Err(StoreError::WrongChain { expected, found }) };
        }
        let mut batch = WriteBatch::default();
        batch.put_cf(family(&self.db, Family::Metadata), schema::CHAIN_KEY, expected.as_bytes());
        self.write_block(batch, &genesis.block(), &genesis.state())
    }

    fn append(&self, commit: &BlockCommit) -> Result<(), StoreError> {
        let expected = self.head_height().ok_or(StoreError::NotInitialized)?.next();
        let found = commit.block.header.height;
        if found != expected {
            return Err(StoreError::OutOfOrder { expected, found });
        }
        let mut batch = WriteBatch::default();
        self.put_proof(&mut batch, found, &commit.proof);
        self.write_block(batch, &commit.block, &commit.changes)?;
        if matches!(commit.proof, Proof::Commits(_)) {
            self.lock_uncertified().insert(found);
        }
        Ok(())
    }

    fn certify(&self, height: Height, certificate: &Certificate) -> Result<(), StoreError> {
        if Some(height) > self.head_height() {
            return Err(damaged("certificates", format!("there is no block {height} to certify")));
        }
        let mut batch = WriteBatch::default();
        let sealed = schema::seal(Kind::Certificate, height, certificate);
        batch.put_cf(family(&self.db, Family::Certificates), schema::certificate_key(height), sealed);
        batch.delete_cf(family(&self.db, Family::Metadata), schema::uncertified_key(height));
        self.write(batch, false)?;
        self.lock_uncertified().remove(&height);
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        if let Some(failure) = self.lock_stopped().as_ref() {
            return Err(failure.clone());
        }
        let synced = self.db.flush_wal(true).map_err(|error| failed("sync", &error));
        synced.inspect_err(|failure| self.stop(failure))
    }

    fn header(&self, height: Height) -> Result<Option<Header>, StoreError> {
        let header: Option<Header> = self.read(Family::Blocks, &schema::header_key(height), Kind::Header, height)?;
        match header {
            Some(header) if header.height != height => Err(damaged("header", format!("height {height} is another's"))),
            other => Ok(other),
        }
    }

    fn height_of(&self, header_hash: &Digest) -> Result<Option<Height>, StoreError> {
        let height = match self.index.height_of(header_hash) {
            Some(height) => Some(height),
            None => {
                let bytes = self.get(Family::Index, &schema::header_hash_key(header_hash))?;
                bytes.map(|bytes| schema::unseal_header_height(header_hash, &bytes)).transpose()?
            }
        };
        Ok(height.filter(|height| Some(*height) <= self.head_height()))
    }

    fn block(&self, height: Height) -> Result<Option<Block>, StoreError> {
        let Some(header) = self.header(height)? else { return Ok(None) };
        let contents: Option<(Batch, Vec<Body>)> =
            self.read(Family::Blocks, &schema::contents_key(height), Kind::Contents, height)?;
        let (batch, bodies) =
            contents.ok_or_else(|| damaged("batch and bodies", format!("height {height} is missing")))?;
        let positions = self.expect_positions(height)?;
        let ids = batch.ids.iter().copied();
        // The ids of bodies are computed when they are decoded.
        if !bodies.iter().map(|body| body.id()).eq(ids.clone()) || !positions.iter().map(|position| position.id).eq(ids)
        {
            return Err(damaged(
                "batch and bodies",
                format!("height {height} has other bodies or positions than its batch"),
            ));
        }
        Ok(Some(Block { header, batch, bodies, positions }))
    }

    fn positions(&self, height: Height) -> Result<Option<Vec<Position>>, StoreError> {
        self.read(Family::Receipts, &schema::positions_key(height), Kind::Positions, height)
    }

    fn proof(&self, height: Height) -> Result<Option<Proof>, StoreError> {
        self.read(Family::Certificates, &schema::proof_key(height), Kind::Proof, height)
    }

    fn certificate(&self, height: Height) -> Result<Option<Certificate>, StoreError> {
        let later = self.read(Family::Certificates, &schema::certificate_key(height), Kind::Certificate, height)?;
        if later.is_some() {
            return Ok(later);
        }
        Ok(match self.proof(height)? {
            Some(Proof::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
    }

    fn uncertified(&self, from: Height, max: usize) -> Result<Vec<Height>, StoreError> {
        Ok(self.lock_uncertified().range(from..).take(max).copied().collect())
    }

    fn balances(&self, account: &PublicKey, max: usize) -> Result<Vec<(AssetCode, u128)>, StoreError> {
        // The list and the amounts are of one moment.
        let snapshot = self.db.snapshot();
        let mut range = ReadOptions::default();
        range.set_iterate_range(rocksdb::PrefixRange(account.as_bytes().as_slice()));
        let held = snapshot.raw_iterator_cf_opt(family(&self.db, Family::Accounts), range);
        let mut balances = Vec::new();
        each(Family::Accounts, held, |key, hash| {
            if balances.len() == max {
                return Ok(false);
            }
            let code = schema::balance_code(account, key)?;
            let state_key = StateKey::Balance { account: *account, code };
            if state_key.key_hash().as_bytes() != hash {
                return Err(damaged("account", format!("{code} of {account} is listed with the value of another key")));
            }
            let value =
                snapshot.get_cf(family(&self.db, Family::State), hash).map_err(|error| failed("state", &error))?;
            balances.push((code, amount(account, code, hash, value)?));
            Ok(true)
        })?;
        Ok(balances)
    }

    fn put_evidence(&self, evidence: &Evidence) -> Result<bool, StoreError> {
        let key = schema::evidence_key(evidence);
        if self.get(Family::Evidence, &key)?.is_some() {
            return Ok(false);
        }
        let mut batch = WriteBatch::default();
        batch.put_cf(family(&self.db, Family::Evidence), key, encode(evidence));
        self.write(batch, true)?;
        Ok(true)
    }

    fn evidence(&self, bytes_max: usize) -> Result<EvidenceList, StoreError> {
        let (mut list, mut room) = (EvidenceList::default(), bytes_max);
        self.each(Family::Evidence, ReadOptions::default(), |key, value| {
            match room.checked_sub(value.len()) {
                Some(left) => {
                    room = left;
                    list.pieces.push(schema::evidence_value(key, value)?);
                }
                None => list.left_out += 1,
            }
            Ok(true)
        })?;
        Ok(list)
    }
}

fn amount(account: &PublicKey, code: AssetCode, hash: &[u8], value: Option<Vec<u8>>) -> Result<u128, StoreError> {
    let value = value.ok_or_else(|| damaged("account", format!("{code} of {account} is listed and has no balance")))?;
    let value = schema::unseal_hash("state", &state_hash(hash)?, &value)?;
    decode(value).map_err(|error| damaged("state", format!("{code} of {account}: {error}")))
}

fn state_hash(key: &[u8]) -> Result<[u8; 32], StoreError> {
    key.try_into().map_err(|_| damaged("state", "a key is no hash"))
}

fn each(
    family_of: Family,
    mut entries: DBRawIterator<'_>,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    entries.seek_to_first();
    while let Some((key, value)) = entries.item() {
        if !visit(key, value)? {
            return Ok(());
        }
        entries.next();
    }
    entries.status().map_err(|error| failed(family_of.name(), &error))
}

#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;

#[cfg(test)]
mod tests {
    use super::common::*;
    use super::*;

    fn open(directory: &Path) -> RocksStore {
        RocksStore::open(directory, StoreOptions { index_run_max: 20, ..StoreOptions::default() }).unwrap()
    }

    fn indexed(store: &RocksStore) -> Option<Height> {
        let bytes = store.get(Family::Metadata, schema::INDEXED_KEY).unwrap()?;
        Some(schema::sealed_height(Kind::Indexed, &bytes).unwrap())
    }

    fn entries(store: &RocksStore) -> usize {
        let mut count = 0;
        store
            .each(Family::Index, ReadOptions::default(), |_, _| {
                Ok({
                    count += 1;
                    true
                })
            })
            .unwrap();
        count
    }

    #[test]
    fn the_index_is_whole_after_a_crash_at_any_step_of_a_run() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        store.initialize(&genesis(0)).unwrap();
        grow(&store, 40, 10);
        store.index.settle();
        let height = indexed(&store).expect("runs were written");
        assert!(height > Height(20) && entries(&store) > 200, "{height}, {} entries", entries(&store));
        drop(store);
        // A file that the database has not got yet.
        let leftover = directory.path().join("runs/index-99.sst");
        std::fs::write(&leftover, b"half a file").unwrap();
        let store = open(directory.path());
        assert!(!leftover.exists());
        check_whole(&store);
        // Files that the database has, the height not recorded.
        for recorded in [None, Some(Height(3)), Some(Height(11))] {
            store.index.settle();
            let metadata = family(&store.db, Family::Metadata);
            match recorded {
                Some(height) => {
                    store.db.put_cf(metadata, schema::INDEXED_KEY, schema::seal(Kind::Indexed, height, &()))
                }
                None => store.db.delete_cf(metadata, schema::INDEXED_KEY),
            }
            .unwrap();
            let crashed = tempfile::tempdir().unwrap();
            let checkpoint = rocksdb::checkpoint::Checkpoint::new(&store.db).unwrap();
            checkpoint.create_checkpoint(crashed.path().join("db")).unwrap();
            let reopened = open(crashed.path());
            assert_eq!(check_whole(&reopened), 40);
            reopened.index.settle();
            assert!(indexed(&reopened) > recorded);
        }
    }

    #[test]
    fn a_run_that_cannot_be_written_stops_the_store() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        store.initialize(&genesis(0)).unwrap();
        std::fs::remove_dir(directory.path().join("runs")).unwrap();
        let mut results = (0..30).map(|_| store.append(&next_block(&store, 10)));
        let failure = results.find_map(Result::err).expect("the failure comes out");
        assert!(matches!(&failure, StoreError::Io(reason) if reason.contains("index run")), "{failure}");
        assert_eq!(store.append(&next_block(&store, 1)), Err(failure.clone()));
        assert_eq!(store.certify(Height(1), &certificate(1)), Err(failure));
        drop(store);
        let store = open(directory.path());
        check_whole(&store);
        grow(&store, 10, 10);
        check_whole(&store);
    }

    #[test]
    fn an_indexed_height_with_more_behind_it_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        store.initialize(&genesis(0)).unwrap();
        let indexed = [schema::seal(Kind::Indexed, Height(0), &()), vec![0]].concat();
        store.db.put_cf(family(&store.db, Family::Metadata), schema::INDEXED_KEY, indexed).unwrap();
        drop(store);
        let opened = RocksStore::open(directory.path(), StoreOptions::default());
        assert!(matches!(opened.err(), Some(StoreError::Corrupt { .. })));
    }

    #[test]
    fn a_value_in_the_wrong_place_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        store.initialize(&genesis(0)).unwrap();
        grow(&store, 2, 3);
        let swap = |family_of, from: &[u8], to: &[u8]| {
            let value = store.get(family_of, from).unwrap().unwrap();
            store.db.put_cf(family(&store.db, family_of), to, value).unwrap();
        };
        swap(Family::Blocks, &schema::header_key(Height(1)), &schema::header_key(Height(2)));
        swap(Family::Certificates, &schema::proof_key(Height(1)), &schema::proof_key(Height(2)));
        let (one, two) = (set_balance(&account(1), "USD", 0, false), set_balance(&account(2), "USD", 0, false));
        swap(Family::State, one.key_hash.as_bytes(), two.key_hash.as_bytes());
        let is_corrupt = |error: Option<StoreError>| matches!(error, Some(StoreError::Corrupt { .. }));
        assert!(is_corrupt(store.block(Height(2)).err()) && is_corrupt(store.proof(Height(2)).err()));
        assert!(is_corrupt(store.state(&two.key_hash).err()));
        assert!(is_corrupt(store.bucket(Bucket::of(&two.key_hash)).err()));
        assert!(is_corrupt(store.balances(&account(2), 5).err()) && store.balances(&account(1), 5).is_ok());
    }
}
