//! Failing disks for tests: wrappers that pass everything through until a planned fault strikes.

use std::io::{self, Error, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_crypto::hash::Digest;
use quorate_crypto::key::PublicKey;
use quorate_crypto::sparse::{Bucket, Leaves};
use quorate_protocol::document::{AssetCode, Block, Certificate, Genesis, Header, Proof};
use quorate_protocol::id::{Height, TransactionId};
use quorate_protocol::pbft::evidence::Evidence;
use quorate_protocol::store::{BlockCommit, EvidenceList, Head, StateReader, Store, StoreError};

use crate::files::{Files, Handle};

/// A fault that can be planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Writes and syncs fail, and nothing of the write arrives.
    Write,
    /// Writes fail because the disk is full.
    Full,
    /// Only the first so many bytes of the write arrive, then it fails. For a store, which writes all or nothing, this is [`Fault::Write`].
    Torn(usize),
    /// Reads fail.
    Read,
    /// The program fails: the thread that writes panics.
    Panic,
}

/// When which fault strikes. Clones share the plan; it starts without a fault.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    state: Arc<Mutex<PlanState>>,
}

#[derive(Debug, Default)]
struct PlanState {
    /// The fault, and how many operations it still lets pass.
    fault: Option<(Fault, u64)>,
}

impl Plan {
    /// No fault.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `pass` more operations of the fault's kind (reads, or writes and syncs) succeed; all later ones fail, until [`Plan::heal`].
    pub fn strike_after(&self, pass: u64, fault: Fault) {
        self.lock().fault = Some((fault, pass));
    }

    /// Ends the fault.
    pub fn heal(&self) {
        self.lock().fault = None;
    }

    /// The fault that meets a write or a sync now.
    fn on_write(&self) -> Option<Fault> {
        let fault = self.meet(|fault| fault != Fault::Read);
        assert!(fault != Some(Fault::Panic), "planned fault: panic");
        fault
    }

    /// The fault that meets a read now.
    fn on_read(&self) -> Option<Fault> {
        self.meet(|fault| fault == Fault::Read)
    }

    fn meet(&self, is_met: impl Fn(Fault) -> bool) -> Option<Fault> {
        let mut state = self.lock();
        let (fault, pass) = state.fault.as_mut()?;
        if !is_met(*fault) {
            return None;
        }
        if *pass > 0 {
            *pass -= 1;
            return None;
        }
        Some(*fault)
    }

    fn lock(&self) -> MutexGuard<'_, PlanState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failure(fault: Fault) -> Error {
    match fault {
        Fault::Full => Error::new(ErrorKind::StorageFull, "planned fault: no space left on device"),
        Fault::Read => Error::other("planned fault: read error"),
        Fault::Write | Fault::Torn(_) | Fault::Panic => Error::other("planned fault: write error"),
    }
}

/// Files with faults by plan.
#[derive(Clone)]
pub struct FaultyFiles {
    inner: Arc<dyn Files>,
    plan: Plan,
}

impl FaultyFiles {
    /// Puts the plan before the files.
    pub fn new(inner: Arc<dyn Files>, plan: Plan) -> Self {
        Self { inner, plan }
    }

    fn check_write(&self) -> io::Result<()> {
        self.plan.on_write().map_or(Ok(()), |fault| Err(failure(fault)))
    }

    fn check_read(&self) -> io::Result<()> {
        self.plan.on_read().map_or(Ok(()), |fault| Err(failure(fault)))
    }
}

impl Files for FaultyFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        self.check_read()?;
        self.inner.list()
    }

    fn read(&self, name: &str, max: u64) -> io::Result<Vec<u8>> {
        self.check_read()?;
        self.inner.read(name, max)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Handle>> {
        Ok(Box::new(FaultyHandle { inner: self.inner.open(name)?, plan: self.plan.clone() }))
    }

    fn create(&self, name: &str, size: u64) -> io::Result<()> {
        self.check_write()?;
        self.inner.create(name, size)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.check_write()?;
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.check_write()?;
        self.inner.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.check_write()?;
        self.inner.sync()
    }
}

struct FaultyHandle {
    inner: Box<dyn Handle>,
    plan: Plan,
}

impl Handle for FaultyHandle {
    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let Some(fault) = self.plan.on_write() else { return self.inner.write_at(offset, bytes) };
        if let Fault::Torn(arrived) = fault {
            self.inner.write_at(offset, &bytes[..arrived.min(bytes.len())])?;
        }
        Err(failure(fault))
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.plan.on_write() {
            Some(fault) => Err(failure(fault)),
            None => self.inner.sync(),
        }
    }
}

/// A chain store with faults by plan. A write that fails has written nothing.
pub struct FaultyStore<S> {
    inner: S,
    plan: Plan,
}

impl<S> FaultyStore<S> {
    /// Puts the plan before the store.
    pub fn new(inner: S, plan: Plan) -> Self {
        Self { inner, plan }
    }

    fn for_write(&self) -> Result<&S, StoreError> {
        self.plan.on_write().map_or(Ok(&self.inner), |fault| Err(store_failure(fault)))
    }

    fn for_read(&self) -> Result<&S, StoreError> {
        self.plan.on_read().map_or(Ok(&self.inner), |fault| Err(store_failure(fault)))
    }
}

fn store_failure(fault: Fault) -> StoreError {
    match fault {
        Fault::Full => StoreError::Full(failure(fault).to_string()),
        _ => StoreError::Io(failure(fault).to_string()),
    }
}

impl<S: StateReader> StateReader for FaultyStore<S> {
    fn state(&self, key_hash: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.for_read()?.state(key_hash)
    }

    fn bucket(&self, bucket: Bucket) -> Result<Leaves, StoreError> {
        self.for_read()?.bucket(bucket)
    }

    fn each_state(&self, visit: &mut dyn FnMut(&Digest, &[u8])) -> Result<(), StoreError> {
        self.for_read()?.each_state(visit)
    }

    fn transaction(&self, id: &TransactionId) -> Result<Option<(Height, u32)>, StoreError> {
        self.for_read()?.transaction(id)
    }
}

impl<S: Store> Store for FaultyStore<S> {
    fn head(&self) -> Result<Option<Head>, StoreError> {
        self.for_read()?.head()
    }

    fn initialize(&self, genesis: &Genesis) -> Result<(), StoreError> {
        self.for_write()?.initialize(genesis)
    }

    fn append(&self, commit: &BlockCommit) -> Result<(), StoreError> {
        self.for_write()?.append(commit)
    }

    fn certify(&self, height: Height, certificate: &Certificate) -> Result<(), StoreError> {
        self.for_write()?.certify(height, certificate)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.for_write()?.sync()
    }

    fn header(&self, height: Height) -> Result<Option<Header>, StoreError> {
        self.for_read()?.header(height)
    }

    fn height_of(&self, header_hash: &Digest) -> Result<Option<Height>, StoreError> {
        self.for_read()?.height_of(header_hash)
    }

    fn block(&self, height: Height) -> Result<Option<Block>, StoreError> {
        self.for_read()?.block(height)
    }

    fn proof(&self, height: Height) -> Result<Option<Proof>, StoreError> {
        self.for_read()?.proof(height)
    }

    fn certificate(&self, height: Height) -> Result<Option<Certificate>, StoreError> {
        self.for_read()?.certificate(height)
    }

    fn uncertified(&self, from: Height, max: usize) -> Result<Vec<Height>, StoreError> {
        self.for_read()?.uncertified(from, max)
    }

    fn balances(&self, account: &PublicKey, max: usize) -> Result<Vec<(AssetCode, u128)>, StoreError> {
        self.for_read()?.balances(account, max)
    }

    fn put_evidence(&self, evidence: &Evidence) -> Result<bool, StoreError> {
        self.for_write()?.put_evidence(evidence)
    }

    fn evidence(&self, bytes_max: usize) -> Result<EvidenceList, StoreError> {
        self.for_read()?.evidence(bytes_max)
    }
}
